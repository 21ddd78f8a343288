// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title The seam for proof checking on chain: one contract per verification key.
interface IProofVerifier {
    /// @notice Returns only if `proof` proves the statement.
    /// @dev MUST revert on every failure. A verifier that returns false makes gas estimation find a "success" that runs out of gas inside,
    /// and a caller that forgets to look at the result pays for nothing.
    /// @param statement the proof's one public input, Statements.publicInput
    /// @param proof proof bytes of the verifier's kind
    function verify(uint256 statement, bytes calldata proof) external view;

    /// @notice Names the verification key that this contract checks with.
    function keyHash() external view returns (bytes32);
}
