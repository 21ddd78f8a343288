// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title The receipt of docs/spec/market.md and its two hashes.
/// @notice Says once, for all contracts, what a receipt is, how it is signed (EIP-712) and where it sits in a receipts tree.
library Receipts {
    /// @param job what was asked for
    /// @param sequence number of this receipt among the node's, from 0
    /// @param node account that signs it
    /// @param device Ed25519 public key of the device that made the input
    /// @param service kind of work
    /// @param model model id
    /// @param input commitment to the private input
    /// @param output keccak256 of the output bytes
    /// @param units units of work
    /// @param windowStart first second that the input covers, Unix
    /// @param windowEnd end of that window (exclusive), Unix
    /// @param evidence keccak256 of the proof bytes
    /// @param previous digest of the node's previous receipt, zero for its first
    struct Receipt {
        bytes32 job;
        uint64 sequence;
        address node;
        bytes32 device;
        bytes32 service;
        bytes32 model;
        bytes32 input;
        bytes32 output;
        uint64 units;
        uint64 windowStart;
        uint64 windowEnd;
        bytes32 evidence;
        bytes32 previous;
    }

    /// @dev EIP-712 type hash.
    bytes32 internal constant TYPEHASH = keccak256(
        "Receipt(bytes32 job,uint64 sequence,address node,bytes32 device,bytes32 service,bytes32 model,bytes32 input,"
        "bytes32 output,uint64 units,uint64 windowStart,uint64 windowEnd,bytes32 evidence,bytes32 previous)"
    );

    /// @notice EIP-712 digest of `r` under `domain`. All members are static, so abi.encode of the struct is their encoding in order.
    function digest(Receipt calldata r, bytes32 domain) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(hex"1901", domain, keccak256(abi.encode(TYPEHASH, r))));
    }

    /// @notice Leaf of a receipts tree: hashed twice, so that no inner node can pose as a leaf.
    function leaf(bytes32 receiptDigest) internal pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(receiptDigest))));
    }

    /// @notice The context that a proof is bound to, so that it serves one receipt on one chain only.
    function context(Receipt calldata r, address settlement) internal view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, settlement, r.job, r.sequence, r.node, r.device));
    }

    /// @notice What a verifier contract is asked to check for `r`: this model, on this input, gives this output, in this context.
    function statement(Receipt calldata r, address settlement) internal view returns (bytes32) {
        return keccak256(abi.encode(r.model, r.input, r.output, context(r, settlement)));
    }
}
