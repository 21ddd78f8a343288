// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Receipts} from "../Receipts.sol";

/// @title A contract that acts on settled results.
interface IResultConsumer {
    /// @notice Hands in one settled receipt with the output bytes that it commits to. Anybody may send it; MUST revert if it does not count.
    /// @param id the consumer's own agreement (a policy, a contract)
    /// @param receipt the receipt
    /// @param outputBytes 4-byte big-endian words, keccak256 of which is receipt.output
    /// @param epoch final epoch that holds the receipt
    /// @param proof siblings from the receipt's leaf to that epoch's receipts root
    function report(
        bytes32 id,
        Receipts.Receipt calldata receipt,
        bytes calldata outputBytes,
        uint64 epoch,
        bytes32[] calldata proof
    ) external;
}
