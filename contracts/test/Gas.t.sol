// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {CoverBase} from "./cover/CoverBase.sol";
import {Evidence} from "../src/Evidence.sol";
import {IResultConsumer} from "../src/interfaces/IResultConsumer.sol";
import {Receipts} from "../src/Receipts.sol";
import {Registry} from "../src/Registry.sol";
import {Transitions} from "../src/Transitions.sol";
import {WeatherCover} from "../src/WeatherCover.sol";
import {Groth16Verifier} from "../src/verifiers/Groth16Verifier.sol";
import {Toy} from "./Toy.sol";

/// Takes every result and does nothing with it: what checking and handing over cost alone.
contract Nothing is IResultConsumer {
    function report(bytes32, Receipts.Receipt calldata, bytes calldata, uint64, bytes32[] calldata) external pure {}
    function deliver(bytes32, Receipts.Receipt calldata, bytes32, bytes calldata) external pure {}
}

/// Gas of each case as a transaction (with its 21,000 and calldata), committed in gas-snapshot.json.
contract Gas is CoverBase {
    function note(string memory name) private {
        vm.snapshotGasLastCall("gas-snapshot", name);
    }

    function test_gas_settlement() public {
        vm.startPrank(BUYER);
        settlement.deposit(100e6);
        note("deposit, first of an account");
        settlement.deposit(100e6);
        note("deposit, again");
        vm.stopPrank();
        bytes32[] memory leaves = new bytes32[](1000);
        for (uint256 i; i < 1000; ++i) {
            leaves[i] = balanceLeaf(address(uint160(i + 0x10000)), 1e5);
        }
        leaves[0] = balanceLeaf(node, 10e6);
        (bytes32 root, bytes32[] memory proof) = tree(leaves, 0);
        vm.prank(POSTER);
        settlement.postEpoch(1, root, root, "log", 110e6);
        note("postEpoch, first");
        vm.prank(POSTER);
        settlement.postEpoch(2, root, root, "log", 110e6);
        note("postEpoch, one pending");
        finish();
        settlement.claim(node, 10e6, proof);
        note("claim, first of an account, 1000 accounts, records finality of 2 epochs");
        for (uint256 i; i < 1000; ++i) {
            leaves[i] = balanceLeaf(address(uint160(i + 0x10000)), 1e5);
        }
        leaves[0] = balanceLeaf(node, 20e6);
        (root, proof) = tree(leaves, 0);
        vm.prank(POSTER);
        settlement.postEpoch(3, root, root, "log", 120e6);
        note("postEpoch, none pending");
        finish();
        settlement.finalise();
        note("finalise");
        settlement.claim(node, 20e6, proof);
        note("claim, again, 1000 accounts");
        vm.prank(POSTER);
        settlement.postEpoch(4, root, root, "log", 120e6);
        vm.prank(AUDITOR);
        settlement.veto(4);
        note("veto");
    }

    function test_gas_stake() public {
        vm.startPrank(node);
        stake.bond(node, 10e6);
        note("bond");
        stake.startUnbonding(5e6);
        note("startUnbonding");
        vm.stopPrank();
        (Receipts.Receipt memory a, Receipts.Receipt memory b) = (onDay(0, 0), onDay(0, 0));
        b.units = 2;
        (bytes memory sigA, bytes memory sigB) = (signed(NODE_KEY, a), signed(NODE_KEY, b));
        stake.slashEquivocation(a, sigA, b, sigB);
        note("slashEquivocation");
    }

    function test_gas_cover() public {
        vm.prank(INSURER);
        bytes32 id = cover.open(terms, 0);
        note("cover open");
        Receipts.Receipt memory a = onDay(0, 0);
        Receipts.Receipt memory b = onDay(1, 0);
        bytes32[] memory leaves = new bytes32[](2);
        leaves[0] = receiptLeaf(settlement.receiptDigest(a));
        leaves[1] = receiptLeaf(settlement.receiptDigest(b));
        bytes32[] memory siblings = new bytes32[](1);
        siblings[0] = leaves[1];
        bytes32 first = leaves[0];
        (bytes32 root,) = tree(leaves, 0);
        post(1, 0, root, 0);
        finish();
        cover.report(id, a, FROST, 1, siblings);
        note("cover report, first of a day");
        siblings[0] = first;
        cover.report(id, b, FROST, 1, siblings);
        note("cover report, pays");
    }

    function test_gas_registry() public {
        vm.startPrank(GOVERNOR);
        registry.enrolDevice("key", node, 1);
        note("enrolDevice");
        registry.registerModel("model", "program", 1);
        note("registerModel");
        vm.stopPrank();
        vm.prank(node);
        registry.registerNode(node);
        note("registerNode");
    }

    function test_gas_proofs() public {
        bytes memory proof = Toy.prove(5, 6);
        verifier.verify(5, proof);
        note("verify, one public input");
        (Receipts.Receipt memory a, Evidence.Bundle memory e) = proven(0, 0, 0);
        (Receipts.Receipt memory b, Evidence.Bundle memory f) = proven(1, 0, 1);
        vm.prank(INSURER);
        bytes32 id = cover.open(WeatherCover.Terms(FARMER, CELL, T0, 30, 2, 50e6, MODEL, stations, [a.job, a.job, a.job]), 0);
        vm.warp(T0 + 2 days);
        delivery.deliverWithProof(cover, id, a, e, "");
        note("deliverWithProof, counts a day, 72 public words, first of 256 receipts of the node");
        delivery.deliverWithProof(cover, id, b, f, "");
        note("deliverWithProof, pays");
        Nothing nothing = new Nothing();
        delivery.deliverWithProof(nothing, 0, a, e, "");
        note("deliverWithProof, check and hand over alone, first of 256 receipts of the node");
        delivery.deliverWithProof(nothing, 0, b, f, "");
        note("deliverWithProof, check and hand over alone");
        vm.prank(INSURER);
        id = cover.open(WeatherCover.Terms(FARMER, CELL, T0, 30, 3, 50e6, MODEL, stations, [a.job, a.job, a.job]), 0);
        delivery.deliverWithProof(cover, id, a, e, "");
        delivery.deliverWithProof(cover, id, b, f, "");
        note("deliverWithProof, counts a day, neither the node's first nor the policy's first");
        Groth16Verifier other = new Groth16Verifier(Toy.key(1), Toy.caps());
        vm.prank(GOVERNOR);
        registry.setVerifier(9, other);
        note("register a verifier");
    }

    function test_gas_challenge() public {
        (Receipts.Receipt memory r, Evidence.Bundle memory e) = proven(0, 0, 0);
        bytes32 digest = postReceipt(1, r);
        rich(STRANGER, 100e6);
        vm.prank(STRANGER);
        settlement.challenge(1, r, none());
        note("challenge");
        settlement.answer(1, r, e);
        note("challenge lost: answered with the proof");
        digest = postReceipt(2, r);
        vm.prank(STRANGER);
        settlement.challenge(2, r, none());
        vm.warp(block.timestamp + RESPONSE + 1);
        settlement.resolve(2, digest);
        note("challenge won: not answered in time");
        vm.prank(POSTER);
        settlement.bondPoster(POSTER_BOND);
        postReceipt(2, r);
        Transitions.Settled memory a = Transitions.Settled(1, r, none());
        Transitions.Settled memory b = Transitions.Settled(2, r, none());
        vm.prank(STRANGER);
        settlement.strike(2, abi.encodeCall(Transitions.paidTwice, (settlement, 2, a, b)));
        note("strike: a receipt settled twice");
    }

    /// A roll of 2^20 devices, filled by one batch; the tree above a leaf is the empty one, the path as long as any.
    function test_gas_roll() public {
        bytes32 leaf = registry.deviceLeaf("key", node, 5);
        Registry.Place memory place;
        bytes32 empty;
        bytes32 root = leaf;
        place.maker = 1;
        for (uint256 level; level < 24; ++level) {
            place.proof[level] = empty;
            if (level < 20) root = keccak256(abi.encode(root, empty));
            empty = keccak256(abi.encode(empty, empty));
        }
        vm.prank(GOVERNOR);
        registry.appendDevices(root, 20);
        note("append 1,048,576 devices");
        vm.prank(GOVERNOR);
        registry.appendDevices(root, 20);
        note("append 1,048,576 more");
        vm.prank(GOVERNOR);
        registry.appendDevices("leaf", 0);
        note("append one device to 2,097,152");
        place.proof[20] = root;
        // One device behind the first two batches: empty up to its level.
        empty = "leaf";
        bytes32 none_;
        for (uint256 level; level < 21; ++level) {
            empty = keccak256(abi.encode(empty, none_));
            none_ = keccak256(abi.encode(none_, none_));
        }
        place.proof[21] = empty;
        registry.unpackDevice("key", node, 5, place);
        note("prove and unpack a device of 2,097,153");
        yes(registry.isActiveDevice("key"), "unpacked");
    }
}
