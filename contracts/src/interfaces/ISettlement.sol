// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Receipts} from "../Receipts.sol";

/// @title What other contracts ask of Settlement.
interface ISettlement {
    /// @notice EIP-712 digest of a receipt in Settlement's domain.
    function receiptDigest(Receipts.Receipt calldata receipt) external view returns (bytes32);

    /// @notice EIP-712 domain separator of receipts and jobs.
    function domainSeparator() external view returns (bytes32);

    /// @notice True if the digest is in the receipts root of `epoch` and that epoch is final.
    function isSettledReceipt(bytes32 digest, uint64 epoch, bytes32[] calldata proof) external view returns (bool);

    /// @notice What a standing epoch says; all zero if it is not posted or was struck.
    function roots(uint64 epoch) external view returns (bytes32 balancesRoot, bytes32 receiptsRoot, uint256 total);

    /// @notice All that an account ever claimed.
    function claimedOf(address account) external view returns (uint256);

    /// @notice Seconds between an epoch's posting and its finality, if nobody challenges it.
    function CHALLENGE_WINDOW() external view returns (uint64);

    /// @notice Seconds that the poster has to answer a challenge, for each that is open.
    function RESPONSE_TIME() external view returns (uint64);
}
