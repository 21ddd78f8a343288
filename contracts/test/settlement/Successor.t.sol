// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base} from "../Base.sol";
import {Settlement} from "../../src/Settlement.sol";

/// There is no upgrade but this: a named successor, a month's notice, and an end that opens the exit.
contract SuccessorTest is Base {
    address private constant NEXT = address(0x5e);

    function setUp() public override {
        super.setUp();
        deposit(BUYER, 100e6);
    }

    function name() private {
        vm.prank(GOVERNOR);
        settlement.nameSuccessor(NEXT);
    }

    function test_only_the_governor_names_one() public {
        vm.expectRevert(abi.encodeWithSelector(Settlement.NotGovernor.selector));
        vm.prank(POSTER);
        settlement.nameSuccessor(NEXT);
        vm.expectRevert(abi.encodeWithSelector(Settlement.NoSuccessor.selector));
        settlement.retire();
    }

    function test_nothing_ends_before_the_notice_is_over() public {
        name();
        vm.warp(T0 + 30 days - 1);
        vm.expectRevert(abi.encodeWithSelector(Settlement.TooEarly.selector, T0 + 30 days));
        settlement.retire();
        // Within the notice everything goes on.
        deposit(BUYER2, 10e6);
        post(1, balanceLeaf(BUYER, 60e6), 0, 60e6);
        vm.warp(T0 + 30 days);
        vm.expectRevert(abi.encodeWithSelector(Settlement.EpochsPending.selector));
        settlement.retire();
    }

    function test_a_poster_cannot_keep_the_end_away_and_everybody_gets_its_money() public {
        name();
        // In the notice the buyer asked for its balance, and the poster put it into the leaf.
        vm.warp(T0 + 30 days - 1);
        post(1, balanceLeaf(BUYER, 60e6), 0, 60e6);
        vm.warp(T0 + 30 days);
        vm.expectRevert(abi.encodeWithSelector(Settlement.NoticeIsOver.selector, uint64(T0 + 30 days)));
        post(2, balanceLeaf(BUYER, 60e6), 0, 60e6);
        vm.warp(T0 + 30 days + WINDOW);
        vm.prank(STRANGER);
        settlement.retire();
        vm.expectRevert(abi.encodeWithSelector(Settlement.ExitIsOpen.selector));
        settlement.retire();
        settlement.claim(BUYER, 60e6, none());
        settlement.exit(BUYER);
        eq(token.balanceOf(BUYER), 1_000e6, "all of it");
        vm.prank(POSTER);
        settlement.unbondPoster(POSTER_BOND);
        eq(token.balanceOf(address(settlement)), 0, "nothing left, nothing to the governor");
    }

    function test_a_withdrawn_notice_is_none_and_a_new_one_starts_anew() public {
        name();
        vm.warp(T0 + 29 days);
        vm.prank(GOVERNOR);
        settlement.nameSuccessor(address(0));
        vm.warp(T0 + 31 days);
        vm.expectRevert(abi.encodeWithSelector(Settlement.NoSuccessor.selector));
        settlement.retire();
        name();
        vm.expectRevert(abi.encodeWithSelector(Settlement.TooEarly.selector, T0 + 61 days));
        settlement.retire();
    }
}
