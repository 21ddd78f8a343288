// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base} from "../Base.sol";
import {Settlement} from "../../src/Settlement.sol";

contract PostEpochTest is Base {
    function refuse(bytes memory why, uint64 epoch, uint256 total) private {
        vm.expectRevert(why);
        post(epoch, 0, 0, total);
    }

    function test_refuses_others() public {
        vm.expectRevert(abi.encodeWithSelector(Settlement.NotPoster.selector));
        vm.prank(AUDITOR);
        settlement.postEpoch(1, 0, 0, 0, 0);
    }

    function test_refuses_without_the_bond() public {
        vm.prank(POSTER);
        settlement.unbondPoster(1);
        refuse(abi.encodeWithSelector(Settlement.BondTooSmall.selector, POSTER_BOND - 1, POSTER_BOND), 1, 0);
    }

    function test_refuses_gaps_and_repeats() public {
        refuse(abi.encodeWithSelector(Settlement.EpochOutOfOrder.selector, 1, 0), 0, 0);
        refuse(abi.encodeWithSelector(Settlement.EpochOutOfOrder.selector, 1, 2), 2, 0);
        post(1, 0, 0, 0);
        refuse(abi.encodeWithSelector(Settlement.EpochOutOfOrder.selector, 2, 1), 1, 0);
    }

    function test_refuses_a_falling_total() public {
        deposit(BUYER, 100);
        post(1, 0, 0, 50);
        refuse(abi.encodeWithSelector(Settlement.TotalFell.selector, 50, 49), 2, 49);
    }

    function test_refuses_more_than_all_deposits() public {
        deposit(BUYER, 100);
        refuse(abi.encodeWithSelector(Settlement.TotalExceedsDeposits.selector, 100, 101), 1, 101);
        // The poster's bond is no deposit.
        refuse(abi.encodeWithSelector(Settlement.TotalExceedsDeposits.selector, 100, type(uint256).max), 1, type(uint256).max);
    }

    function test_refuses_too_many_pending() public {
        for (uint64 i = 1; i <= 64; ++i) {
            post(i, 0, 0, 0);
        }
        refuse(abi.encodeWithSelector(Settlement.TooManyPending.selector), 65, 0);
        finish();
        post(65, 0, 0, 0);
        eq(settlement.finalEpoch(), 64, "final");
    }

    function test_refuses_after_the_exit_opened() public {
        vm.warp(T0 + settlement.EXIT_DELAY());
        settlement.openExit();
        refuse(abi.encodeWithSelector(Settlement.ExitIsOpen.selector), 1, 0);
    }

    function testFuzz_is_kept_and_becomes_final_in_time(bytes32 a, bytes32 b, bytes32 c, uint64 total, uint32 wait) public {
        total = uint64(total % 1_000e6);
        if (total > 0) deposit(BUYER, total);
        vm.prank(POSTER);
        settlement.postEpoch(1, a, b, c, total);
        Settlement.Epoch memory e = settlement.epochs(1);
        yes(e.balancesRoot == a && e.receiptsRoot == b && e.logHash == c, "roots");
        eq(e.total, total, "total");
        vm.warp(T0 + uint256(wait));
        yes(settlement.isFinal(1) == (wait >= WINDOW), "final exactly after the window");
        yes(!settlement.isFinal(0) && !settlement.isFinal(2), "no other epoch is final");
    }
}
