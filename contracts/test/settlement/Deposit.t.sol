// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base} from "../Base.sol";
import {Settlement} from "../../src/Settlement.sol";

contract DepositTest is Base {
    function test_refuses_nothing() public {
        vm.expectRevert(abi.encodeWithSelector(Settlement.ZeroValue.selector));
        vm.prank(BUYER);
        settlement.deposit(0);
    }

    function test_refuses_more_than_128_bits() public {
        vm.expectRevert(abi.encodeWithSelector(Settlement.AmountTooLarge.selector));
        vm.prank(BUYER);
        settlement.deposit(uint256(type(uint128).max) + 1);
    }

    function test_refuses_what_the_sender_lacks() public {
        vm.expectRevert(abi.encodeWithSignature("TransferFromFailed()"));
        vm.prank(BUYER);
        settlement.deposit(1_000e6 + 1);
    }

    function test_refuses_a_token_that_keeps_a_fee() public {
        // The contract's balance seems the same before and after.
        vm.mockCall(address(token), abi.encodeCall(token.balanceOf, (address(settlement))), abi.encode(uint256(7)));
        vm.expectRevert(abi.encodeWithSelector(Settlement.InexactToken.selector));
        vm.prank(BUYER);
        settlement.deposit(5);
    }

    function test_refuses_after_the_exit_opened() public {
        vm.warp(T0 + settlement.EXIT_DELAY());
        settlement.openExit();
        vm.expectRevert(abi.encodeWithSelector(Settlement.ExitIsOpen.selector));
        vm.prank(BUYER);
        settlement.deposit(1);
    }

    function testFuzz_counts_what_came(uint128 a, uint128 b) public {
        a = uint128(1 + a % 500e6);
        b = uint128(1 + b % 500e6);
        deposit(BUYER, a);
        deposit(BUYER, b);
        deposit(BUYER2, b);
        (uint128 deposited,) = settlement.accounts(BUYER);
        eq(deposited, uint256(a) + b, "deposited");
        eq(settlement.totalDeposits(), uint256(a) + 2 * uint256(b), "total");
        eq(token.balanceOf(address(settlement)), uint256(a) + 2 * uint256(b) + POSTER_BOND, "balance");
    }
}
