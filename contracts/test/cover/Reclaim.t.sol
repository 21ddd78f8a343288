// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {CoverBase} from "./CoverBase.sol";
import {WeatherCover} from "../../src/WeatherCover.sol";

contract ReclaimTest is CoverBase {
    function refuse(bytes memory why, address by, bytes32 id) private {
        vm.expectRevert(why);
        vm.prank(by);
        cover.reclaim(id);
    }

    function test_refuses_others_early_and_twice() public {
        bytes32 id = open();
        uint256 from = T0 + 30 days + cover.GRACE();
        refuse(abi.encodeWithSelector(WeatherCover.NotInsurer.selector), FARMER, id);
        vm.warp(from - 1);
        refuse(abi.encodeWithSelector(WeatherCover.TooEarly.selector, from), INSURER, id);
        vm.warp(from);
        vm.prank(INSURER);
        cover.reclaim(id);
        eq(token.balanceOf(INSURER), 1_000e6, "back");
        refuse(abi.encodeWithSelector(WeatherCover.PolicyNotOpen.selector, id), INSURER, id);
    }

    function test_refuses_a_paid_policy() public {
        bytes32 id = open();
        report(id, onDay(0, 0));
        report(id, onDay(1, 0));
        vm.warp(T0 + 365 days);
        refuse(abi.encodeWithSelector(WeatherCover.PolicyNotOpen.selector, id), INSURER, id);
    }

    function test_the_last_day_still_pays_in_the_grace() public {
        bytes32 id = open();
        vm.warp(T0 + 30 days + 13 days);
        report(id, onDay(0, 29));
        report(id, onDay(2, 29));
        eq(token.balanceOf(FARMER), 50e6, "paid");
    }

    function testFuzz_only_after_end_and_grace(uint16 dayCount, uint32 wait) public {
        terms.dayCount = uint16(1 + dayCount % 1000);
        bytes32 id = open();
        uint256 from = T0 + uint256(terms.dayCount) * 1 days + cover.GRACE();
        vm.warp(T0 + uint256(wait));
        if (T0 + uint256(wait) < from) {
            refuse(abi.encodeWithSelector(WeatherCover.TooEarly.selector, from), INSURER, id);
        } else {
            vm.prank(INSURER);
            cover.reclaim(id);
            eq(token.balanceOf(address(cover)), 0, "empty");
        }
    }
}
