// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title The job of docs/spec/market.md: what the buyer signed, and its digest, which is the job's id.
library Jobs {
    /// @param buyer who pays
    /// @param salt makes the id unique
    /// @param service kind of work
    /// @param model model id
    /// @param input input commitment wanted, zero if each receipt brings its own
    /// @param unitPrice price of a unit, base units of the token
    /// @param maxUnits most units that are paid
    /// @param windowFrom no window starts before, Unix
    /// @param windowUntil no window ends after, Unix
    /// @param deadline receipts from then on are not paid, Unix
    /// @param assurance how receipts are checked
    /// @param slots nodes to draw
    /// @param cell place of devices, 0 for anywhere
    /// @param devices keccak256 of the wanted devices' keys, one after the other
    /// @param terms keccak256 of the service's own terms
    struct Job {
        address buyer;
        bytes32 salt;
        bytes32 service;
        bytes32 model;
        bytes32 input;
        uint64 unitPrice;
        uint64 maxUnits;
        uint64 windowFrom;
        uint64 windowUntil;
        uint64 deadline;
        uint8 assurance;
        uint16 slots;
        uint64 cell;
        bytes32 devices;
        bytes32 terms;
    }

    /// @dev EIP-712 type hash.
    bytes32 internal constant TYPEHASH = keccak256(
        "Job(address buyer,bytes32 salt,bytes32 service,bytes32 model,bytes32 input,uint64 unitPrice,uint64 maxUnits,"
        "uint64 windowFrom,uint64 windowUntil,uint64 deadline,uint8 assurance,uint16 slots,uint64 cell,bytes32 devices,bytes32 terms)"
    );

    /// @notice The job's id: EIP-712 digest under `domain`.
    function id(Job calldata job, bytes32 domain) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(hex"1901", domain, keccak256(abi.encode(TYPEHASH, job))));
    }
}
