// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Receipts} from "../Receipts.sol";

/// @title A contract that acts on results: on settled ones (`report`), on proven ones (`deliver`). Whoever sends them gets nothing by it: what
/// is paid and to whom follows from the agreement and the receipt alone.
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

    /// @notice Takes one receipt whose proof Delivery has just checked, in the same transaction. MUST refuse every sender but the Delivery that the
    /// consumer trusts, and MUST revert if the receipt does not count: then nothing has happened, and the receipt can be delivered again.
    /// @param id the consumer's own agreement
    /// @param receipt the receipt
    /// @param digest its digest
    /// @param outputBytes 4-byte big-endian words, keccak256 of which is receipt.output
    function deliver(bytes32 id, Receipts.Receipt calldata receipt, bytes32 digest, bytes calldata outputBytes) external;
}
