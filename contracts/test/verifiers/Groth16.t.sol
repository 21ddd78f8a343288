// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base, Vm} from "../Base.sol";
import {Groth16Verifier} from "../../src/verifiers/Groth16Verifier.sol";
import {Toy} from "../Toy.sol";

/// The verifier against proofs of a real circuit (vectors/groth16.json, made by crates/settle/tests/groth16.rs), and against lies.
contract Groth16Test is Base {
    uint256 private constant Q = 0x30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd47;
    uint256 private constant R = 0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001;

    Groth16Verifier private one;

    function setUp() public override {
        one = new Groth16Verifier(Toy.key(0), Toy.caps());
    }

    function test_vectors() public {
        string memory json = vm.readFile("../vectors/groth16.json");
        bytes memory words = vm.parseJsonBytes(json, ".key");
        Groth16Verifier real = new Groth16Verifier(abi.decode(words, (uint256[18])), Toy.caps());
        yes(real.keyHash() == keccak256(words), "key hash");
        yes(real.keyHash() == vm.parseJsonBytes32(json, ".key_hash"), "key hash as written");
        uint256 good;
        uint256 bad;
        for (uint256 i; vm.keyExistsJson(json, string.concat(".cases[", str(i), "]")); ++i) {
            string memory row = string.concat(".cases[", str(i), "]");
            uint256 input = uint256(vm.parseJsonBytes32(json, string.concat(row, ".input")));
            bytes memory proof = vm.parseJsonBytes(json, string.concat(row, ".proof"));
            string memory refusal = vm.parseJsonString(json, string.concat(row, ".refusal"));
            if (bytes(refusal).length == 0) {
                real.verify(input, proof);
                ++good;
            } else {
                (bool passed, bytes memory why) = address(real).staticcall(abi.encodeCall(real.verify, (input, proof)));
                yes(!passed && why.length >= 4, "refused");
                yes(bytes4(why) == bytes4(keccak256(bytes(refusal))), string.concat("by name ", refusal, " case ", str(i)));
                ++bad;
            }
        }
        yes(good >= 5 && bad >= 30, "as many as written");
    }

    function refuse(bytes4 why, uint256 x, bytes memory proof) private {
        vm.expectRevert(why);
        one.verify(x, proof);
    }

    function testFuzz_every_statement_can_be_proved(uint256 x, uint256 salt) public view {
        one.verify(x % R, Toy.prove(x % R, salt));
    }

    function testFuzz_another_statement_is_refused(uint256 x, uint256 y) public {
        (x, y) = (x % R, y % R);
        vm.assume(x != y);
        refuse(Groth16Verifier.ProofRejected.selector, y, Toy.prove(x, 9));
    }

    function testFuzz_an_alias_of_the_statement_is_refused(uint256 x, uint256 times) public {
        x = x % R;
        times = 1 + times % 4;
        refuse(Groth16Verifier.InputTooLarge.selector, x + times * R, Toy.prove(x, 9));
    }

    /// Any bit of any word: the proof never passes, whatever name it is refused by.
    function testFuzz_a_mutated_proof_is_refused(uint256 x, uint256 salt, uint8 word, uint8 bit) public {
        bytes memory proof = Toy.prove(x % R, salt);
        uint256 offset = 32 + 32 * (uint256(word) % 8);
        assembly ("memory-safe") {
            mstore(add(proof, offset), xor(mload(add(proof, offset)), shl(bit, 1)))
        }
        (bool passed, bytes memory why) = address(one).staticcall(abi.encodeCall(one.verify, (x % R, proof)));
        yes(!passed, "refused");
        yes(
            bytes4(why) == Groth16Verifier.CoordinateTooLarge.selector || bytes4(why) == Groth16Verifier.PointRejected.selector
                || bytes4(why) == Groth16Verifier.ProofRejected.selector,
            "by one of three names"
        );
    }

    function testFuzz_an_alias_of_a_coordinate_is_refused(uint8 word) public {
        bytes memory proof = Toy.prove(5, 6);
        uint256 offset = 32 + 32 * (uint256(word) % 8);
        assembly ("memory-safe") {
            mstore(add(proof, offset), add(mload(add(proof, offset)), Q))
        }
        refuse(Groth16Verifier.CoordinateTooLarge.selector, 5, proof);
    }

    function testFuzz_another_length_is_refused(uint16 length) public {
        vm.assume(length != 256);
        vm.expectRevert(abi.encodeWithSelector(Groth16Verifier.BadLength.selector, uint256(length)));
        one.verify(5, new bytes(length));
    }

    function test_points_at_infinity_are_refused() public {
        refuse(Groth16Verifier.ProofRejected.selector, 5, new bytes(256));
    }

    function test_the_proof_of_another_key_is_refused() public {
        Groth16Verifier other = new Groth16Verifier(Toy.key(1), Toy.caps());
        yes(other.keyHash() != one.keyHash(), "another key");
        bytes memory proof = Toy.prove(5, 6);
        vm.expectRevert(Groth16Verifier.ProofRejected.selector);
        other.verify(5, proof);
    }

    /// An invalid point burns no more than the cap, however much gas the transaction has.
    function test_an_invalid_point_cannot_eat_the_batch() public view {
        bytes memory proof = Toy.prove(5, 6);
        assembly ("memory-safe") {
            mstore(add(proof, 0x20), 1)
            mstore(add(proof, 0x40), 1)
        }
        uint256 before = gasleft();
        (bool passed,) = address(one).staticcall(abi.encodeCall(one.verify, (5, proof)));
        yes(!passed && before - gasleft() < 400_000, "capped");
    }

    /// With too little gas the call reverts, so that estimation cannot take a failure for a success.
    function testFuzz_too_little_gas_reverts(uint256 given) public view {
        given = given % 185_000;
        bytes memory call_ = abi.encodeCall(one.verify, (5, Toy.prove(5, 6)));
        (bool passed,) = address(one).staticcall{gas: given}(call_);
        yes(!passed, "reverts");
    }

    function refuseKey(uint256[18] memory key) private {
        vm.expectRevert(Groth16Verifier.BadKey.selector);
        new Groth16Verifier(key, Toy.caps());
    }

    function test_bad_keys_are_not_deployed() public {
        for (uint256 i; i < 18; ++i) {
            uint256[18] memory key = Toy.key(0);
            key[i] += Q;
            refuseKey(key);
            key = Toy.key(0);
            key[i] = addmod(key[i], 1, Q);
            refuseKey(key);
        }
        // A point at infinity is a valid point, and unbinds what it stands for: IC1 the input, gamma and delta everything.
        uint256[18] memory bare = Toy.key(0);
        (bare[16], bare[17]) = (0, 0);
        refuseKey(bare);
        for (uint256 i = 2; i < 14; i += 4) {
            bare = Toy.key(0);
            (bare[i], bare[i + 1], bare[i + 2], bare[i + 3]) = (0, 0, 0, 0);
            refuseKey(bare);
        }
        // On the twist, and not in the subgroup: the precompile refuses it.
        bare = Toy.key(0);
        (bare[2], bare[3], bare[4], bare[5]) = offSubgroup();
        refuseKey(bare);
    }

    /// A point of the twist outside the subgroup of order R (EIP-197's own kind of lie); checked to be on the curve by crates/settle/tests/groth16.rs.
    function offSubgroup() private view returns (uint256, uint256, uint256, uint256) {
        string memory json = vm.readFile("../vectors/groth16.json");
        return abi.decode(vm.parseJsonBytes(json, ".off_subgroup"), (uint256, uint256, uint256, uint256));
    }
}
