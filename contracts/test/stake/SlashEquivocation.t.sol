// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base} from "../Base.sol";
import {Stake} from "../../src/Stake.sol";
import {Receipts} from "../../src/Receipts.sol";

contract SlashEquivocationTest is Base {
    Receipts.Receipt private a;
    Receipts.Receipt private b;

    function setUp() public override {
        super.setUp();
        a = receipt(stations[0], 4, hex"00");
        b = receipt(stations[0], 4, hex"01");
        a.previous = b.previous = keccak256("before");
        vm.prank(node);
        stake.bond(node, 200e6);
    }

    function refuse(bytes4 why, bytes memory sigA, bytes memory sigB) private {
        vm.expectRevert(abi.encodeWithSelector(why));
        stake.slashEquivocation(a, sigA, b, sigB);
    }

    function test_refuses_different_nodes() public {
        b.node = STRANGER;
        refuse(Stake.DifferentNodes.selector, signed(NODE_KEY, a), signed(NODE_KEY, b));
    }

    function test_refuses_receipts_of_different_places() public {
        b.sequence = 5;
        b.previous = settlement.receiptDigest(a);
        refuse(Stake.NoConflict.selector, signed(NODE_KEY, a), signed(NODE_KEY, b));
    }

    function test_refuses_one_receipt_twice() public {
        b = a;
        refuse(Stake.SameReceipt.selector, signed(NODE_KEY, a), signed(NODE_KEY, b));
    }

    function test_refuses_signatures_of_others() public {
        refuse(Stake.BadSignature.selector, signed(NODE_KEY, a), signed(0xBAD, b));
        refuse(Stake.BadSignature.selector, signed(0xBAD, a), signed(NODE_KEY, b));
        refuse(Stake.BadSignature.selector, signed(NODE_KEY, a), signed(NODE_KEY, a));
        refuse(Stake.BadSignature.selector, signed(NODE_KEY, a), "");
        a.node = b.node = address(0);
        refuse(Stake.BadSignature.selector, new bytes(65), new bytes(65));
    }

    function test_refuses_a_high_s() public {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(NODE_KEY, settlement.receiptDigest(b));
        uint256 n = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
        refuse(Stake.BadSignature.selector, signed(NODE_KEY, a), abi.encodePacked(r, n - uint256(s), v ^ 7));
    }

    function test_refuses_when_nothing_is_left() public {
        (bytes memory sigA, bytes memory sigB) = (signed(NODE_KEY, a), signed(NODE_KEY, b));
        stake.slashEquivocation(a, sigA, b, sigB);
        refuse(Stake.NothingAtStake.selector, sigA, sigB);
    }

    function test_same_previous_is_enough() public {
        b.sequence = 9;
        stake.slashEquivocation(a, signed(NODE_KEY, a), b, signed(NODE_KEY, b));
        eq(token.balanceOf(address(stake)), 0, "all gone");
    }

    function testFuzz_takes_all_that_is_at_stake(uint64 bonded, uint64 out) public {
        uint256 all = 200e6 + bonded % 800e6;
        vm.startPrank(node);
        if (all > 200e6) stake.bond(node, all - 200e6);
        if (out % all > 0) stake.startUnbonding(out % all);
        vm.stopPrank();
        (bytes memory sigA, bytes memory sigB) = (signed(NODE_KEY, a), signed(NODE_KEY, b));
        vm.prank(STRANGER);
        uint256 reward = stake.slashEquivocation(a, sigA, b, sigB);
        eq(reward, all * 3 / 10, "reward");
        eq(token.balanceOf(STRANGER), reward, "the reporter's");
        eq(token.balanceOf(stake.BURN()), all - reward, "the rest burned");
        eq(token.balanceOf(address(stake)), 0, "nothing left");
        vm.expectRevert(abi.encodeWithSelector(Stake.ZeroValue.selector));
        vm.prank(node);
        stake.withdraw();
    }
}
