// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title The one public input of a wrapped proof (docs/spec/market.md, "Statement").
/// @notice SHA-256 of model 32 || context 32 || u32 inputs || commitment 32 each || u32 n || public elements, 4 n bytes || u32 output words || words, all
/// big-endian, its three top bits cleared: below 2^253 and so below the order of BN254's groups. A receipt has one input.
library Statements {
    error BadWords(uint256 length);

    /// @param model model id
    /// @param context what binds the proof to one receipt on one chain, Receipts.context
    /// @param input commitment to the private input
    /// @param publicWords public elements of the input, as wide as the model's circuit reads them, zeros up to whole groups of 4 bytes
    /// @param outputWords output words, 4 bytes each
    function publicInput(
        bytes32 model,
        bytes32 context,
        bytes32 input,
        bytes calldata publicWords,
        bytes calldata outputWords
    ) internal pure returns (uint256) {
        return uint256(
            sha256(
                abi.encodePacked(
                    model, context, uint32(1), input, _count(publicWords), publicWords, _count(outputWords), outputWords
                )
            )
        ) & (1 << 253) - 1;
    }

    function _count(bytes calldata words) private pure returns (uint32) {
        if (words.length % 4 != 0 || words.length > 1 << 20) revert BadWords(words.length);
        return uint32(words.length / 4);
    }
}
