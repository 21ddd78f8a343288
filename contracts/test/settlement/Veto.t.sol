// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base} from "../Base.sol";
import {Settlement} from "../../src/Settlement.sol";

contract VetoTest is Base {
    function test_refuses_others() public {
        post(1, 0, 0, 0);
        vm.expectRevert(abi.encodeWithSelector(Settlement.NotAuditor.selector));
        vm.prank(POSTER);
        settlement.veto(1);
    }

    function test_refuses_final_and_unposted_epochs() public {
        post(1, 0, 0, 0);
        finish();
        for (uint64 i; i < 3; ++i) {
            vm.expectRevert(abi.encodeWithSelector(Settlement.EpochNotPending.selector, i));
            vm.prank(AUDITOR);
            settlement.veto(i);
        }
    }

    function testFuzz_strikes_it_and_all_after_it(uint8 count, uint8 from) public {
        uint64 n = 1 + count % 20;
        uint64 first = 1 + from % n;
        deposit(BUYER, 100);
        for (uint64 i = 1; i <= n; ++i) {
            post(i, bytes32(uint256(i)), 0, i);
        }
        vm.prank(AUDITOR);
        settlement.veto(first);
        eq(settlement.latestEpoch(), first - 1, "latest");
        eq(settlement.epochs(first).post, 0, "struck");
        // The same number is posted again, with another total than the struck one.
        post(first, bytes32(uint256(99)), 0, first - 1);
        finish();
        yes(settlement.isFinal(first) && settlement.epochs(first).balancesRoot == bytes32(uint256(99)), "the new one counts");
        eq(settlement.posterBond(), POSTER_BOND, "a veto moves no money");
    }
}
