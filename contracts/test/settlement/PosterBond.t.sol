// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base} from "../Base.sol";
import {Settlement} from "../../src/Settlement.sol";

contract PosterBondTest is Base {
    function test_bond_refuses_others() public {
        vm.expectRevert(abi.encodeWithSelector(Settlement.NotPoster.selector));
        vm.prank(BUYER);
        settlement.bondPoster(1);
    }

    function test_unbond_refuses_others() public {
        vm.expectRevert(abi.encodeWithSelector(Settlement.NotPoster.selector));
        vm.prank(BUYER);
        settlement.unbondPoster(1);
    }

    function test_unbond_refuses_while_an_epoch_is_pending() public {
        post(1, 0, 0, 0);
        vm.warp(T0 + WINDOW - 1);
        vm.expectRevert(abi.encodeWithSelector(Settlement.BondInUse.selector));
        vm.prank(POSTER);
        settlement.unbondPoster(1);
    }

    function test_unbond_refuses_more_than_there_is() public {
        deposit(BUYER, 500e6);
        vm.expectRevert(abi.encodeWithSelector(Settlement.BondTooSmall.selector, POSTER_BOND, POSTER_BOND + 1));
        vm.prank(POSTER);
        settlement.unbondPoster(POSTER_BOND + 1);
    }

    function testFuzz_comes_back_whole(uint64 more, uint64 part) public {
        more = uint64(more % 900e6);
        vm.startPrank(POSTER);
        settlement.bondPoster(more);
        uint256 all = uint256(POSTER_BOND) + more;
        uint256 some = part % (all + 1);
        settlement.unbondPoster(some);
        eq(settlement.posterBond(), all - some, "left");
        settlement.unbondPoster(all - some);
        vm.stopPrank();
        eq(token.balanceOf(POSTER), 1_000e6, "all back");
    }
}
