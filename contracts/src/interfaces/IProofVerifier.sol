// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title The seam for proof checking on chain.
/// @notice One contract per verifier class. None is registered today: until one is, the poster is trusted for the content of roots.
interface IProofVerifier {
    /// @notice Returns only if `proof` proves the statement.
    /// @dev MUST revert on every failure. A verifier that returns false makes gas estimation find a "success" that runs out of gas inside,
    /// and a caller that forgets to look at the result pays for nothing.
    /// @param statementHash keccak256(abi.encode(model, input, output, context)), see Receipts.statement
    /// @param proof proof bytes of the verifier's class
    function verify(bytes32 statementHash, bytes calldata proof) external view;
}
