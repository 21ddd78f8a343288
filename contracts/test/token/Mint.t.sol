// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base} from "../Base.sol";
import {TestUSD} from "../../src/TestUSD.sol";

contract MintTest is Base {
    function test_refuses_others() public {
        vm.expectRevert(abi.encodeWithSelector(TestUSD.NotOwner.selector));
        vm.prank(STRANGER);
        token.mint(STRANGER, 1);
    }

    function test_gives_no_allowance_by_itself() public view {
        address permit2 = 0x000000000022D473030F116dDEE9F6B43aC78BA3;
        eq(token.allowance(STRANGER, permit2), 0, "allowance");
        eq(token.decimals(), 6, "decimals");
    }

    function testFuzz_mints(address to, uint128 amount) public {
        uint256 before = token.balanceOf(to);
        vm.prank(GOVERNOR);
        token.mint(to, amount);
        eq(token.balanceOf(to), before + amount, "minted");
    }
}
