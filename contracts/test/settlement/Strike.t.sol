// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base} from "../Base.sol";
import {Evidence} from "../../src/Evidence.sol";
import {Jobs} from "../../src/Jobs.sol";
import {Receipts} from "../../src/Receipts.sol";
import {Settlement} from "../../src/Settlement.sol";
import {Transitions} from "../../src/Transitions.sol";

/// Each rule of Transitions: broken, the epoch is struck and the bond lost; kept, the charge is refused by name and nothing moves.
contract StrikeTest is Base {
    Jobs.Job private job;

    function setUp() public override {
        super.setUp();
        deposit(BUYER, 500e6);
        (, Evidence.Bundle memory e) = proven(0, 0, 0);
        job = e.job;
    }

    function leaves(address a, uint256 x, address b, uint256 y) private pure returns (bytes32[] memory out) {
        out = new bytes32[](2);
        (out[0], out[1]) = (balanceLeaf(a, x), balanceLeaf(b, y));
    }

    /// Posts two balances, whatever they are.
    function two(uint64 epoch, address a, uint256 x, address b, uint256 y, uint256 total) private {
        (bytes32 root,) = tree(leaves(a, x, b, y), 0);
        post(epoch, root, 0, total);
    }

    function balance(address a, uint256 x, address other, uint256 y) private pure returns (Transitions.Balance memory) {
        bytes32[] memory proof = new bytes32[](1);
        proof[0] = balanceLeaf(other, y);
        return Transitions.Balance(a, x, proof);
    }

    function struck(uint64 epoch, bytes memory charge) private {
        uint256 before = token.balanceOf(STRANGER);
        vm.prank(STRANGER);
        settlement.strike(epoch, charge);
        eq(settlement.latestEpoch(), epoch - 1, "struck");
        eq(token.balanceOf(STRANGER) - before, POSTER_BOND / 2, "reward");
        eq(token.balanceOf(settlement.BURN()), POSTER_BOND / 2, "burned");
        eq(settlement.posterBond(), 0, "slashed");
    }

    function stands(uint64 epoch, bytes4 why, bytes memory charge) private {
        vm.expectRevert(why);
        vm.prank(STRANGER);
        settlement.strike(epoch, charge);
        eq(settlement.posterBond(), POSTER_BOND, "untouched");
    }

    function fell(uint64 epoch, Transitions.Balance memory was, Transitions.Balance memory now_) private view returns (bytes memory) {
        return abi.encodeCall(Transitions.balanceFell, (settlement, epoch, was, now_));
    }

    function test_a_balance_that_fell() public {
        two(1, node, 30e6, BUYER, 5e6, 35e6);
        two(2, node, 30e6, BUYER, 6e6, 36e6);
        Transitions.Balance memory was = balance(node, 30e6, BUYER, 5e6);
        stands(2, Transitions.NoBreach.selector, fell(2, was, balance(node, 30e6, BUYER, 6e6)));
        stands(2, Transitions.NoBreach.selector, fell(2, was, balance(BUYER, 6e6, node, 30e6)));
        stands(2, Transitions.BadProof.selector, fell(2, was, balance(node, 29e6, BUYER, 6e6)));
        two(3, node, 29e6, BUYER, 7e6, 36e6);
        struck(3, fell(3, balance(node, 30e6, BUYER, 6e6), balance(node, 29e6, BUYER, 7e6)));
    }

    function test_a_balance_below_what_was_claimed() public {
        two(1, node, 30e6, BUYER, 5e6, 35e6);
        finish();
        (, bytes32[] memory proof) = tree(leaves(node, 30e6, BUYER, 5e6), 0);
        settlement.claim(node, 30e6, proof);
        two(2, node, 30e6, BUYER, 5e6, 35e6);
        Transitions.Balance memory b = balance(node, 30e6, BUYER, 5e6);
        stands(2, Transitions.NoBreach.selector, abi.encodeCall(Transitions.belowClaimed, (settlement, 2, b)));
        two(3, node, 30e6 - 1, BUYER, 5e6, 35e6);
        b = balance(node, 30e6 - 1, BUYER, 5e6);
        struck(3, abi.encodeCall(Transitions.belowClaimed, (settlement, 3, b)));
    }

    function test_an_account_with_two_leaves() public {
        two(1, node, 30e6, BUYER, 5e6, 35e6);
        Transitions.Balance memory a = balance(node, 30e6, BUYER, 5e6);
        bytes4 none_ = Transitions.NoBreach.selector;
        stands(1, none_, abi.encodeCall(Transitions.accountTwice, (settlement, 1, a, a)));
        stands(1, none_, abi.encodeCall(Transitions.accountTwice, (settlement, 1, a, balance(BUYER, 5e6, node, 30e6))));
        two(2, node, 30e6, node, 31e6, 61e6);
        struck(
            2,
            abi.encodeCall(
                Transitions.accountTwice, (settlement, 2, balance(node, 30e6, node, 31e6), balance(node, 31e6, node, 30e6))
            )
        );
    }

    function sum(uint64 epoch, Transitions.Balance memory a, Transitions.Balance memory b) private view returns (bytes memory) {
        Transitions.Balance[] memory all = new Transitions.Balance[](2);
        (all[0], all[1]) = (a, b);
        return abi.encodeCall(Transitions.sumAboveTotal, (settlement, epoch, all));
    }

    function test_leaves_above_the_total() public {
        address low = address(0x11);
        address high = address(0x22);
        two(1, low, 30e6, high, 5e6, 35e6);
        (Transitions.Balance memory a, Transitions.Balance memory b) = (balance(low, 30e6, high, 5e6), balance(high, 5e6, low, 30e6));
        stands(1, Transitions.NoBreach.selector, sum(1, a, b));
        // Nothing is counted twice.
        stands(1, Transitions.NotAscending.selector, sum(1, a, a));
        stands(1, Transitions.NotAscending.selector, sum(1, b, a));
        two(2, low, 30e6, high, 6e6, 35e6);
        struck(2, sum(2, balance(low, 30e6, high, 6e6), balance(high, 6e6, low, 30e6)));
    }

    function test_one_leaf_above_the_total_and_none_overflows() public {
        address high = address(0x22);
        two(1, address(0x11), 1, high, type(uint256).max, 35e6);
        struck(1, sum(1, balance(address(0x11), 1, high, type(uint256).max), balance(high, type(uint256).max, address(0x11), 1)));
    }

    function settled(uint64 epoch, Receipts.Receipt memory r, bytes32[] memory proof)
        private
        pure
        returns (Transitions.Settled memory)
    {
        return Transitions.Settled(epoch, r, proof);
    }

    function twice(uint64 epoch, Transitions.Settled memory a, Transitions.Settled memory b) private view returns (bytes memory) {
        return abi.encodeCall(Transitions.paidTwice, (settlement, epoch, a, b));
    }

    function test_a_receipt_in_two_epochs() public {
        (Receipts.Receipt memory r,) = proven(0, 0, 0);
        postReceipt(1, r);
        Transitions.Settled memory a = settled(1, r, none());
        stands(1, Transitions.NoBreach.selector, twice(1, a, a));
        finish();
        postReceipt(2, r);
        struck(2, twice(2, a, settled(2, r, none())));
    }

    function test_a_final_epoch_is_not_struck_but_shows_the_second_payment() public {
        (Receipts.Receipt memory r,) = proven(0, 0, 0);
        postReceipt(1, r);
        finish();
        postReceipt(2, r);
        bytes memory charge = twice(1, settled(1, r, none()), settled(2, r, none()));
        vm.expectRevert(abi.encodeWithSelector(Settlement.EpochNotPending.selector, 1));
        settlement.strike(1, charge);
    }

    function test_a_receipt_twice_in_one_epoch() public {
        (Receipts.Receipt memory r,) = proven(0, 0, 0);
        (Receipts.Receipt memory r2,) = proven(1, 1, 1);
        (bytes32 l, bytes32 m) = (receiptLeaf(settlement.receiptDigest(r)), receiptLeaf(settlement.receiptDigest(r2)));
        // Beside itself.
        bytes32[] memory proof = new bytes32[](1);
        proof[0] = l;
        post(1, 0, pair(l, l), 0);
        struck(1, twice(1, settled(1, r, proof), settled(1, r, proof)));
        // At two places of different depth: ((l, m), l).
        vm.prank(POSTER);
        settlement.bondPoster(POSTER_BOND);
        post(1, 0, pair(pair(l, m), l), 0);
        bytes32[] memory deep = new bytes32[](2);
        (deep[0], deep[1]) = (m, l);
        proof[0] = pair(l, m);
        stands(1, Transitions.NoBreach.selector, twice(1, settled(1, r, deep), settled(1, r, deep)));
        vm.prank(STRANGER);
        settlement.strike(1, twice(1, settled(1, r, deep), settled(1, r, proof)));
        eq(settlement.latestEpoch(), 0, "struck");
    }

    function test_a_window_paid_twice_and_a_place_settled_twice() public {
        (Receipts.Receipt memory r,) = proven(0, 0, 0);
        (Receipts.Receipt memory r2,) = proven(0, 0, 1);
        (Receipts.Receipt memory honest,) = proven(1, 0, 2);
        postReceipt(1, r);
        postReceipt(2, honest);
        Transitions.Settled memory a = settled(1, r, none());
        stands(2, Transitions.NoBreach.selector, twice(2, a, settled(2, honest, none())));
        stands(2, Transitions.NotThisEpoch.selector, twice(2, a, a));
        postReceipt(3, r2);
        struck(3, twice(3, a, settled(3, r2, none())));
        vm.prank(POSTER);
        settlement.bondPoster(POSTER_BOND);
        (Receipts.Receipt memory place,) = proven(2, 3, 0);
        postReceipt(3, place);
        vm.prank(STRANGER);
        settlement.strike(3, twice(3, settled(3, place, none()), a));
        eq(settlement.latestEpoch(), 2, "struck");
    }

    function cap(uint64 epoch, Transitions.Settled[] memory all) private view returns (bytes memory) {
        return abi.encodeCall(Transitions.aboveCap, (settlement, epoch, job, all));
    }

    function test_more_units_than_the_job_pays() public {
        (Receipts.Receipt memory r,) = proven(0, 0, 0);
        (Receipts.Receipt memory r2,) = proven(1, 1, 1);
        (r.units, r2.units) = (50, 40);
        postReceipt(1, r);
        postReceipt(2, r2);
        Transitions.Settled[] memory all = new Transitions.Settled[](2);
        bool order = settlement.receiptDigest(r) < settlement.receiptDigest(r2);
        (all[0], all[1]) = order
            ? (settled(1, r, none()), settled(2, r2, none()))
            : (settled(2, r2, none()), settled(1, r, none()));
        stands(2, Transitions.NoBreach.selector, cap(2, all));
        (all[0], all[1]) = (all[1], all[0]);
        stands(2, Transitions.NotAscending.selector, cap(2, all));
        Transitions.Settled[] memory one = new Transitions.Settled[](1);
        one[0] = settled(1, r, none());
        stands(2, Transitions.NotThisEpoch.selector, cap(2, one));
        job.maxUnits = 10;
        stands(2, Transitions.NoBreach.selector, cap(2, one));
        job.maxUnits = 90;
        r2.units = 41;
        r2.windowStart += 1;
        postReceipt(3, r2);
        order = settlement.receiptDigest(r) < settlement.receiptDigest(r2);
        (all[0], all[1]) = order
            ? (settled(1, r, none()), settled(3, r2, none()))
            : (settled(3, r2, none()), settled(1, r, none()));
        struck(3, cap(3, all));
    }

    function against(Receipts.Receipt memory r) private view returns (bytes memory) {
        return abi.encodeCall(Transitions.againstJob, (settlement, 1, job, settled(1, r, none())));
    }

    function testFuzz_a_receipt_against_its_job(uint8 field, uint64 n) public {
        (Receipts.Receipt memory r,) = proven(0, 0, 0);
        n = 1 + n % 1e6;
        if (field % 7 == 1) r.model = keccak256("other");
        else if (field % 7 == 2) r.service = keccak256("other");
        else if (field % 7 == 3) r.units = 0;
        else if (field % 7 == 4) r.units = job.maxUnits + n;
        else if (field % 7 == 5) r.windowStart = job.windowFrom - n;
        else if (field % 7 == 6) (r.windowStart, r.windowEnd) = (r.windowEnd, r.windowStart);
        postReceipt(1, r);
        if (field % 7 == 0) stands(1, Transitions.NoBreach.selector, against(r));
        else struck(1, against(r));
    }

    function test_only_a_charge_of_this_epoch_and_this_contract_counts() public {
        two(1, node, 30e6, BUYER, 5e6, 35e6);
        two(2, node, 29e6, BUYER, 6e6, 35e6);
        Transitions.Balance memory was = balance(node, 30e6, BUYER, 5e6);
        Transitions.Balance memory now_ = balance(node, 29e6, BUYER, 6e6);
        bytes4 no = Settlement.NotCharged.selector;
        stands(1, no, fell(2, was, now_));
        stands(2, no, "");
        stands(2, no, new bytes(67));
        Impostor impostor = new Impostor();
        stands(2, no, abi.encodeCall(Transitions.balanceFell, (Settlement(address(impostor)), 2, was, now_)));
        // What would convict without judging: a getter of the answer. There is none.
        vm.expectRevert();
        settlement.strike(2, abi.encodeWithSignature("BREACH()", settlement, uint64(2)));
        struck(2, fell(2, was, now_));
    }
}

/// Says of itself whatever helps.
contract Impostor {
    function roots(uint64) external pure returns (bytes32, bytes32, uint256) {
        return (0, 0, 0);
    }
}
