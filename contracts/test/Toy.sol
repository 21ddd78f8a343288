// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// A verification key whose secrets are known: alpha = 5, beta = gamma = delta = 1, IC0 = 7, IC1 = 11 (times the generators). Whoever knows them
/// can make a proof of any statement (it is Groth16's own simulator), so tests get proofs of their receipts that the real verifier accepts by
/// the real pairing. Proofs of a real circuit under a real set-up are in vectors/groth16.json.
library Toy {
    uint256 internal constant R = 0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001;
    uint256 private constant X1 = 0x198e9393920d483a7260bfb731fb5d25f1aa493335a9e71297e485b7aef312c2;
    uint256 private constant X0 = 0x1800deef121f1e76426a00665e5c4479674322d4f75edadd46debd5cd992f6ed;
    uint256 private constant Y1 = 0x090689d0585ff075ec9e99ad690c3395bc4b313370b38ef355acdadcd122975b;
    uint256 private constant Y0 = 0x12c85ea5db8c6deb4aab71808dcb408fe3d1e7690c43d37b4ce6cc0166fa7daa;

    /// `shift` makes another key of the same kind.
    function key(uint256 shift) internal view returns (uint256[18] memory k) {
        (k[0], k[1]) = mul(5 + shift);
        for (uint256 i = 2; i < 14; i += 4) {
            (k[i], k[i + 1], k[i + 2], k[i + 3]) = (X1, X0, Y1, Y0);
        }
        (k[14], k[15]) = mul(7);
        (k[16], k[17]) = mul(11);
    }

    /// Twice Ethereum's prices.
    function caps() internal pure returns (uint64[3] memory) {
        return [uint64(300), 12_000, 362_000];
    }

    /// A proof of `statement` under key(0); another `salt`, another proof.
    function prove(uint256 statement, uint256 salt) internal view returns (bytes memory) {
        uint256 a = 1 + salt % (R - 1);
        uint256 c = addmod(a, R - addmod(12, mulmod(11, statement, R), R), R);
        (uint256 ax, uint256 ay) = mul(a);
        (uint256 cx, uint256 cy) = mul(c);
        return abi.encode(ax, ay, X1, X0, Y1, Y0, cx, cy);
    }

    /// `scalar` times the generator of G1.
    function mul(uint256 scalar) internal view returns (uint256, uint256) {
        (bool good, bytes memory point) = address(7).staticcall(abi.encode(1, 2, scalar));
        require(good, "ecMul");
        return abi.decode(point, (uint256, uint256));
    }
}
