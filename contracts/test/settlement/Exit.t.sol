// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base} from "../Base.sol";
import {Settlement} from "../../src/Settlement.sol";

contract ExitTest is Base {
    function silence() private {
        vm.warp(block.timestamp + settlement.EXIT_DELAY());
        settlement.openExit();
    }

    function test_openExit_refuses_while_the_poster_lives() public {
        uint256 from = uint256(T0) + settlement.EXIT_DELAY();
        vm.warp(from - 1);
        vm.expectRevert(abi.encodeWithSelector(Settlement.TooEarly.selector, from));
        settlement.openExit();
        post(1, 0, 0, 0);
        vm.warp(from + 1 days);
        vm.expectRevert(abi.encodeWithSelector(Settlement.TooEarly.selector, from - 1 + settlement.EXIT_DELAY()));
        settlement.openExit();
    }

    function test_openExit_refuses_twice() public {
        silence();
        vm.expectRevert(abi.encodeWithSelector(Settlement.ExitIsOpen.selector));
        settlement.openExit();
    }

    function test_exit_refuses_while_closed() public {
        deposit(BUYER, 1);
        vm.expectRevert(abi.encodeWithSelector(Settlement.ExitNotOpen.selector));
        settlement.exit(BUYER);
    }

    function test_exit_refuses_twice_and_for_nothing() public {
        deposit(BUYER, 1);
        silence();
        settlement.exit(BUYER);
        vm.expectRevert(abi.encodeWithSelector(Settlement.AlreadyExited.selector));
        settlement.exit(BUYER);
        vm.expectRevert(abi.encodeWithSelector(Settlement.ZeroValue.selector));
        settlement.exit(STRANGER);
    }

    /// An auditor that vetoes everything cannot hold the money: struck epochs do not count as life.
    function test_vetoes_for_ever_open_the_exit() public {
        deposit(BUYER, 100);
        uint256 end = T0 + settlement.EXIT_DELAY();
        for (uint256 t = T0; t < end; t += 5 days) {
            vm.warp(t);
            post(1, 0, 0, 0);
            vm.prank(AUDITOR);
            settlement.veto(1);
        }
        vm.warp(end);
        settlement.openExit();
        // The deposit was made before the last posting: shared by proportion, and nothing is owed to anybody else.
        eq(settlement.exit(BUYER), 100, "all");
    }

    function test_the_bond_comes_back_after_the_exit() public {
        post(1, 0, 0, 0);
        silence();
        vm.prank(POSTER);
        settlement.unbondPoster(POSTER_BOND);
        eq(token.balanceOf(POSTER), 1_000e6, "back");
    }

    /// Old deposits share what the total leaves; new ones come back whole; claims stay covered to the last unit.
    function testFuzz_is_fair_to_new_deposits_and_solvent(uint32 a, uint32 b, uint32 a2, uint32 b2, uint32 owed) public {
        uint256 oldA = 1 + a % 400e6;
        uint256 oldB = 1 + b % 400e6;
        uint256 total = owed % (oldA + oldB + 1);
        deposit(BUYER, oldA);
        deposit(BUYER2, oldB);
        post(1, balanceLeaf(node, total), 0, total);
        uint256 newA = a2 % 400e6;
        uint256 newB = b2 % 400e6;
        if (newA > 0) deposit(BUYER, newA);
        if (newB > 0) deposit(BUYER2, newB);
        silence();
        uint256 paid = settlement.exitAmount(BUYER) + settlement.exitAmount(BUYER2);
        yes(settlement.exitAmount(BUYER) >= newA && settlement.exitAmount(BUYER2) >= newB, "new ones whole");
        yes(paid <= oldA + oldB + newA + newB - total, "no more than is free");
        yes(paid + 2 >= oldA + oldB + newA + newB - total, "no less, but for rounding");
        if (settlement.exitAmount(BUYER) > 0) settlement.exit(BUYER);
        if (settlement.exitAmount(BUYER2) > 0) settlement.exit(BUYER2);
        if (total > 0) settlement.claim(node, total, none());
        yes(token.balanceOf(address(settlement)) >= POSTER_BOND, "the bond is untouched");
    }
}
