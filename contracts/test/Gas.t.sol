// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {CoverBase} from "./cover/CoverBase.sol";
import {Receipts} from "../src/Receipts.sol";

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
}
