// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base} from "../Base.sol";
import {Stake} from "../../src/Stake.sol";

/// bond, startUnbonding and withdraw.
contract UnbondTest is Base {
    function test_bond_refuses_nothing_and_nobody() public {
        vm.expectRevert(abi.encodeWithSelector(Stake.ZeroValue.selector));
        vm.prank(node);
        stake.bond(node, 0);
        vm.expectRevert(abi.encodeWithSelector(Stake.ZeroValue.selector));
        vm.prank(node);
        stake.bond(address(0), 1);
    }

    function test_startUnbonding_refuses_more_than_there_is() public {
        vm.startPrank(node);
        stake.bond(node, 5);
        vm.expectRevert(abi.encodeWithSelector(Stake.NotEnough.selector, 5, 6));
        stake.startUnbonding(6);
        vm.expectRevert(abi.encodeWithSelector(Stake.ZeroValue.selector));
        stake.startUnbonding(0);
        vm.stopPrank();
    }

    function test_withdraw_refuses_early_and_others() public {
        vm.startPrank(node);
        stake.bond(node, 5);
        stake.startUnbonding(5);
        vm.warp(T0 + UNBONDING - 1);
        vm.expectRevert(abi.encodeWithSelector(Stake.TooEarly.selector, T0 + UNBONDING));
        stake.withdraw();
        vm.stopPrank();
        vm.warp(T0 + UNBONDING);
        vm.expectRevert(abi.encodeWithSelector(Stake.ZeroValue.selector));
        vm.prank(STRANGER);
        stake.withdraw();
    }

    function testFuzz_asking_again_starts_the_delay_anew(uint32 wait) public {
        wait = uint32(wait % UNBONDING);
        vm.startPrank(node);
        stake.bond(node, 10);
        stake.startUnbonding(4);
        vm.warp(T0 + wait);
        stake.startUnbonding(6);
        vm.warp(T0 + wait + UNBONDING - 1);
        vm.expectRevert(abi.encodeWithSelector(Stake.TooEarly.selector, T0 + wait + UNBONDING));
        stake.withdraw();
        vm.warp(T0 + wait + UNBONDING);
        eq(stake.withdraw(), 10, "all");
        vm.stopPrank();
        eq(token.balanceOf(node), 1_000e6, "back");
    }
}
