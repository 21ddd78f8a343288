// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base} from "../Base.sol";
import {Settlement} from "../../src/Settlement.sol";

contract ClaimTest is Base {
    bytes32[] private leaves;

    /// Posts balances (node: a, BUYER2: b, BUYER: c) as `epoch` and gives the node's proof.
    function postBalances(uint64 epoch, uint256 a, uint256 b, uint256 c, uint256 total)
        private
        returns (bytes32[] memory proof)
    {
        leaves = [balanceLeaf(node, a), balanceLeaf(BUYER2, b), balanceLeaf(BUYER, c)];
        bytes32 root;
        (root, proof) = tree(leaves, 0);
        post(epoch, root, 0, total);
    }

    function refuse(bytes memory why, address account, uint256 cumulative, bytes32[] memory proof) private {
        vm.expectRevert(why);
        settlement.claim(account, cumulative, proof);
    }

    function test_refuses_before_any_epoch_is_final() public {
        refuse(abi.encodeWithSelector(Settlement.NothingFinal.selector), node, 1, none());
        deposit(BUYER, 100);
        bytes32[] memory proof = postBalances(1, 60, 30, 10, 100);
        vm.warp(T0 + WINDOW - 1);
        refuse(abi.encodeWithSelector(Settlement.NothingFinal.selector), node, 60, proof);
    }

    function test_refuses_false_proofs() public {
        deposit(BUYER, 100);
        bytes32[] memory proof = postBalances(1, 60, 30, 10, 100);
        finish();
        bytes memory bad = abi.encodeWithSelector(Settlement.BadProof.selector);
        refuse(bad, node, 61, proof);
        refuse(bad, STRANGER, 60, proof);
        refuse(bad, node, 60, none());
        proof[0] ^= bytes32(uint256(1));
        refuse(bad, node, 60, proof);
    }

    function test_refuses_the_same_claim_twice() public {
        deposit(BUYER, 100);
        bytes32[] memory proof = postBalances(1, 60, 30, 10, 100);
        finish();
        settlement.claim(node, 60, proof);
        refuse(abi.encodeWithSelector(Settlement.NothingToClaim.selector, 60), node, 60, proof);
    }

    function test_refuses_a_pending_root() public {
        deposit(BUYER, 200);
        postBalances(1, 60, 30, 10, 100);
        finish();
        bytes32[] memory proof = postBalances(2, 160, 30, 10, 200);
        refuse(abi.encodeWithSelector(Settlement.BadProof.selector), node, 160, proof);
    }

    /// A poster whose leaves add up to more than its total cannot take what the total does not cover.
    function test_refuses_leaves_beyond_the_total() public {
        deposit(BUYER, 100);
        bytes32[] memory proof = postBalances(1, 60, 30, 10, 59);
        finish();
        refuse(abi.encodeWithSelector(Settlement.ClaimExceedsTotal.selector, 59, 60), node, 60, proof);
        uint256 huge = type(uint256).max;
        bytes32[] memory giant = postBalances(2, huge, 0, 0, 100);
        finish();
        refuse(abi.encodeWithSelector(Settlement.ClaimExceedsTotal.selector, 100, huge), node, huge, giant);
    }

    function test_claims_go_on_after_the_exit_opened() public {
        deposit(BUYER, 100);
        bytes32[] memory proof = postBalances(1, 60, 30, 10, 100);
        vm.warp(T0 + settlement.EXIT_DELAY());
        settlement.openExit();
        settlement.claim(node, 60, proof);
        eq(token.balanceOf(node), 1_000e6 + 60, "paid");
    }

    function testFuzz_pays_the_difference_to_the_account_only(uint32 a, uint32 b, uint32 more, address sender) public {
        vm.assume(sender != node && sender != address(settlement) && sender != BUYER);
        uint256 first = 1 + uint256(a % 100e6);
        uint256 second = first + 1 + more % 100e6;
        uint256 other = b % 100e6;
        deposit(BUYER, 300e6);
        bytes32[] memory proof = postBalances(1, first, other, 0, first + other);
        finish();
        uint256 before = token.balanceOf(sender);
        vm.prank(sender);
        eq(settlement.claim(node, first, proof), first, "first");
        proof = postBalances(2, second, other, 0, second + other);
        finish();
        vm.prank(sender);
        eq(settlement.claim(node, second, proof), second - first, "the difference");
        eq(token.balanceOf(node), 1_000e6 + second, "node");
        eq(token.balanceOf(sender), before, "the sender gets nothing");
        eq(settlement.totalClaimed(), second, "total claimed");
    }
}
