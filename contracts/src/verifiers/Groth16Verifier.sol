// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IProofVerifier} from "../interfaces/IProofVerifier.sol";

/// @title Groth16 (eprint 2016/260) over BN254 with one public input. The key is part of the code, and nothing here can be changed.
/// @notice A proof (A, C in G1, B in G2) for the input x holds when e(A, B) = e(alpha, beta) e(IC0 + x IC1, gamma) e(C, delta).
/// alpha, gamma and delta are kept negated, so that one product of four pairings must be one and no point of the proof is negated.
/// @dev Words are 32 bytes big-endian; a point of G2 is x.c1 x.c0 y.c1 y.c0 (EIP-197). The gas that precompiles get is capped: an invalid point
/// burns all that it is given, which uncapped would be 63/64 of a batch. Caps are of the chain (its prices differ), with room for a repricing.
contract Groth16Verifier is IProofVerifier {
    /// @notice Modulus of coordinates.
    uint256 internal constant Q = 0x30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd47;
    /// @notice Order of the groups; inputs are below it, or x and x + R would prove one another.
    uint256 internal constant R = 0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001;
    /// @notice Words of a key: alpha 2, beta 4, gamma 4, delta 4, IC0 2, IC1 2.
    uint256 internal constant KEY_WORDS = 18;

    /// @notice Gas for the addition on G1 (0x06).
    uint64 public immutable ADD_GAS;
    /// @notice Gas for the multiplication on G1 (0x07).
    uint64 public immutable MUL_GAS;
    /// @notice Gas for the product of four pairings (0x08).
    uint64 public immutable PAIRING_GAS;
    /// @inheritdoc IProofVerifier
    bytes32 public immutable keyHash;

    uint256 private immutable NEG_ALPHA_X;
    uint256 private immutable NEG_ALPHA_Y;
    uint256 private immutable BETA_X1;
    uint256 private immutable BETA_X0;
    uint256 private immutable BETA_Y1;
    uint256 private immutable BETA_Y0;
    uint256 private immutable NEG_GAMMA_X1;
    uint256 private immutable NEG_GAMMA_X0;
    uint256 private immutable NEG_GAMMA_Y1;
    uint256 private immutable NEG_GAMMA_Y0;
    uint256 private immutable NEG_DELTA_X1;
    uint256 private immutable NEG_DELTA_X0;
    uint256 private immutable NEG_DELTA_Y1;
    uint256 private immutable NEG_DELTA_Y0;
    uint256 private immutable IC0_X;
    uint256 private immutable IC0_Y;
    uint256 private immutable IC1_X;
    uint256 private immutable IC1_Y;

    /// @notice A key with a coordinate out of range, a point off the curve or its subgroup, or a point at infinity (which would unbind what it stands for).
    error BadKey();
    error BadLength(uint256 length);
    error InputTooLarge();
    error CoordinateTooLarge();
    /// @notice A precompile gave no result: too little gas.
    error PrecompileFailed();
    /// @notice A point of the proof is not on its curve or not in its subgroup (or the pairing got too little gas).
    error PointRejected();
    /// @notice The points are sound, and the proof does not hold for this input under this key.
    error ProofRejected();

    /// @param key alpha, beta, gamma, delta, IC0, IC1
    /// @param caps gas for addition, multiplication, pairing
    constructor(uint256[KEY_WORDS] memory key, uint64[3] memory caps) {
        _checkKey(key, caps);
        (ADD_GAS, MUL_GAS, PAIRING_GAS) = (caps[0], caps[1], caps[2]);
        keyHash = keccak256(abi.encode(key));
        (NEG_ALPHA_X, NEG_ALPHA_Y) = (key[0], _neg(key[1]));
        (BETA_X1, BETA_X0, BETA_Y1, BETA_Y0) = (key[2], key[3], key[4], key[5]);
        (NEG_GAMMA_X1, NEG_GAMMA_X0, NEG_GAMMA_Y1, NEG_GAMMA_Y0) = (key[6], key[7], _neg(key[8]), _neg(key[9]));
        (NEG_DELTA_X1, NEG_DELTA_X0, NEG_DELTA_Y1, NEG_DELTA_Y0) = (key[10], key[11], _neg(key[12]), _neg(key[13]));
        (IC0_X, IC0_Y, IC1_X, IC1_Y) = (key[14], key[15], key[16], key[17]);
    }

    /// @inheritdoc IProofVerifier
    /// @param proof A, B, C: 256 bytes
    function verify(uint256 statement, bytes calldata proof) external view {
        if (proof.length != 256) revert BadLength(proof.length);
        if (statement >= R) revert InputTooLarge();
        uint256 m;
        bool good = true;
        // m: four pairs of (G1, G2), 192 bytes each: (A, B), (-alpha, beta), (IC0 + x IC1, -gamma), (C, -delta).
        assembly ("memory-safe") {
            m := mload(0x40)
            mstore(0x40, add(m, 0x300))
            calldatacopy(m, proof.offset, 0xc0)
            calldatacopy(add(m, 0x240), add(proof.offset, 0xc0), 0x40)
            for { let i := 0 } lt(i, 0x100) { i := add(i, 0x20) } {
                good := and(good, lt(calldataload(add(proof.offset, i)), Q))
            }
        }
        if (!good) revert CoordinateTooLarge();
        _point(m + 0xc0, NEG_ALPHA_X, NEG_ALPHA_Y);
        _point(m + 0x100, BETA_X1, BETA_X0);
        _point(m + 0x140, BETA_Y1, BETA_Y0);
        _combine(m + 0x180, statement);
        _point(m + 0x1c0, NEG_GAMMA_X1, NEG_GAMMA_X0);
        _point(m + 0x200, NEG_GAMMA_Y1, NEG_GAMMA_Y0);
        _point(m + 0x280, NEG_DELTA_X1, NEG_DELTA_X0);
        _point(m + 0x2c0, NEG_DELTA_Y1, NEG_DELTA_Y0);
        uint256 gasCap = PAIRING_GAS;
        bool one;
        assembly ("memory-safe") {
            good := staticcall(gasCap, 0x08, m, 0x300, 0x00, 0x20)
            // Where there is no precompile, the call succeeds and says nothing.
            one := and(eq(mload(0x00), 1), eq(returndatasize(), 0x20))
        }
        if (!good) revert PointRejected();
        if (!one) revert ProofRejected();
    }

    /// @dev IC0 + x IC1, written at `to`. Scratch: the 0x60 bytes from `to`, filled by later steps.
    function _combine(uint256 to, uint256 x) private view {
        _point(to, IC1_X, IC1_Y);
        (uint256 x0, uint256 y0, uint256 mulGas, uint256 addGas) = (IC0_X, IC0_Y, MUL_GAS, ADD_GAS);
        bool good;
        assembly ("memory-safe") {
            mstore(add(to, 0x40), x)
            good := staticcall(mulGas, 0x07, to, 0x60, to, 0x40)
            mstore(add(to, 0x40), x0)
            mstore(add(to, 0x60), y0)
            good := and(good, staticcall(addGas, 0x06, to, 0x80, to, 0x40))
        }
        if (!good) revert PrecompileFailed();
    }

    function _point(uint256 to, uint256 x, uint256 y) private pure {
        assembly ("memory-safe") {
            mstore(to, x)
            mstore(add(to, 0x20), y)
        }
    }

    /// @dev -y for a coordinate below Q.
    function _neg(uint256 y) private pure returns (uint256) {
        return y == 0 ? 0 : Q - y;
    }

    /// @dev Pairs each point of G2 with alpha and with -alpha: the product of six is one exactly if all of them are points. Deployment only.
    function _checkKey(uint256[KEY_WORDS] memory key, uint64[3] memory caps) private view {
        for (uint256 i; i < KEY_WORDS; ++i) {
            if (key[i] >= Q) revert BadKey();
        }
        bytes memory pairs;
        for (uint256 i = 2; i < 14; i += 4) {
            if (key[i] | key[i + 1] | key[i + 2] | key[i + 3] == 0) revert BadKey();
            bytes memory g2 = abi.encode(key[i], key[i + 1], key[i + 2], key[i + 3]);
            pairs = bytes.concat(pairs, abi.encode(key[0], key[1]), g2, abi.encode(key[0], _neg(key[1])), g2);
        }
        (bool good, bytes memory one) = address(0x08).staticcall{gas: caps[2]}(pairs);
        if (!good || abi.decode(one, (uint256)) != 1) revert BadKey();
        for (uint256 i; i < KEY_WORDS; i = i == 0 ? 14 : i + 2) {
            if (key[i] | key[i + 1] == 0) revert BadKey();
            (good,) = address(0x06).staticcall{gas: caps[0]}(abi.encode(key[i], key[i + 1], 0, 0));
            if (!good) revert BadKey();
        }
    }
}
