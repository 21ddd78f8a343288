// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base, OneProof} from "../Base.sol";
import {Settlement} from "../../src/Settlement.sol";
import {Receipts} from "../../src/Receipts.sol";

/// challenge, answer, resolve and refundChallenge are one game; the seam works with any verifier that keeps IProofVerifier.
contract ChallengeTest is Base {
    Receipts.Receipt private r;
    bytes32 private digest;

    function setUp() public override {
        super.setUp();
        r = receipt(stations[0], 0, hex"0000000000000001");
        digest = postReceipt(1, r);
        rich(STRANGER, 100e6);
    }

    function verifier() private {
        OneProof one = new OneProof();
        vm.prank(GOVERNOR);
        registry.setVerifier(1, one);
    }

    function open() private {
        verifier();
        vm.prank(STRANGER);
        settlement.challenge(1, r, none());
    }

    function refuse(bytes4 why) private {
        vm.expectRevert(abi.encodeWithSelector(why));
        vm.prank(STRANGER);
        settlement.challenge(1, r, none());
    }

    function proofOf() private view returns (bytes memory) {
        bytes32 context = keccak256(abi.encode(block.chainid, address(settlement), r.job, r.sequence, r.node, r.device));
        return abi.encode(keccak256(abi.encode(r.model, r.input, r.output, context)), "proof");
    }

    function test_challenge_refuses_without_a_verifier() public {
        vm.expectRevert(abi.encodeWithSelector(Settlement.NoVerifier.selector, MODEL));
        vm.prank(STRANGER);
        settlement.challenge(1, r, none());
    }

    function test_challenge_refuses_what_is_not_in_the_root() public {
        verifier();
        r.units = 2;
        refuse(Settlement.BadProof.selector);
    }

    function test_challenge_refuses_twice() public {
        open();
        refuse(Settlement.ChallengeExists.selector);
    }

    function test_challenge_refuses_after_the_window() public {
        open();
        // Epoch 1 is held pending by the open challenge; new challenges come too late all the same.
        vm.warp(T0 + WINDOW);
        refuse(Settlement.WindowClosed.selector);
    }

    function test_challenge_refuses_a_final_epoch() public {
        verifier();
        finish();
        vm.expectRevert(abi.encodeWithSelector(Settlement.EpochNotPending.selector, 1));
        vm.prank(STRANGER);
        settlement.challenge(1, r, none());
    }

    function test_answer_refuses_a_false_proof_and_leaves_the_challenge_open() public {
        open();
        vm.expectRevert(abi.encodeWithSelector(OneProof.Rejected.selector));
        settlement.answer(1, r, "false");
        eq(settlement.epochs(1).open, 1, "open");
    }

    function test_answer_refuses_where_nothing_is_open() public {
        vm.expectRevert(abi.encodeWithSelector(Settlement.NoChallenge.selector));
        settlement.answer(1, r, "");
        open();
        settlement.answer(1, r, proofOf());
        vm.expectRevert(abi.encodeWithSelector(Settlement.NoChallenge.selector));
        settlement.answer(1, r, "");
        refuse(Settlement.ChallengeExists.selector);
    }

    function test_answer_refuses_too_late() public {
        open();
        bytes memory proof = proofOf();
        vm.warp(T0 + RESPONSE + 1);
        vm.expectRevert(abi.encodeWithSelector(Settlement.TooLate.selector));
        settlement.answer(1, r, proof);
    }

    function test_resolve_refuses_too_early() public {
        open();
        vm.warp(T0 + RESPONSE);
        vm.expectRevert(abi.encodeWithSelector(Settlement.TooEarly.selector, uint256(T0) + RESPONSE + 1));
        settlement.resolve(1, digest);
    }

    function test_resolve_refuses_where_nothing_is_open() public {
        vm.expectRevert(abi.encodeWithSelector(Settlement.NoChallenge.selector));
        settlement.resolve(1, digest);
        vm.expectRevert(abi.encodeWithSelector(Settlement.NoChallenge.selector));
        settlement.resolve(2, digest);
    }

    function test_refund_refuses_a_standing_posting() public {
        open();
        vm.expectRevert(abi.encodeWithSelector(Settlement.StillStanding.selector));
        settlement.refundChallenge(1, digest);
    }

    function test_an_open_challenge_holds_the_epoch_and_all_after_it() public {
        open();
        post(2, 0, 0, 0);
        vm.warp(T0 + 10 days);
        yes(!settlement.isFinal(1) && !settlement.isFinal(2), "held");
        vm.expectRevert(abi.encodeWithSelector(Settlement.EpochsPending.selector));
        settlement.openExit();
    }

    function test_an_answer_earns_the_bond_and_frees_the_epoch() public {
        open();
        uint256 before = token.balanceOf(POSTER);
        settlement.answer(1, r, proofOf());
        eq(token.balanceOf(POSTER), before + CHALLENGE_BOND, "the poster's");
        finish();
        yes(settlement.isFinal(1), "final");
    }

    function test_silence_costs_the_poster_its_bond_and_the_epoch() public {
        post(2, 0, 0, 0);
        open();
        vm.warp(T0 + WINDOW + 1);
        settlement.resolve(1, digest);
        eq(settlement.latestEpoch(), 0, "both struck");
        eq(settlement.posterBond(), 0, "slashed");
        eq(token.balanceOf(STRANGER), 100e6 + POSTER_BOND / 2, "reward");
        eq(token.balanceOf(settlement.BURN()), POSTER_BOND / 2, "burned");
        eq(token.balanceOf(address(settlement)), 0, "nothing left over");
        vm.expectRevert(abi.encodeWithSelector(Settlement.BondTooSmall.selector, 0, POSTER_BOND));
        post(1, 0, 0, 0);
    }

    function test_a_veto_meanwhile_refunds_the_challenger_once() public {
        open();
        vm.prank(AUDITOR);
        settlement.veto(1);
        settlement.refundChallenge(1, digest);
        eq(token.balanceOf(STRANGER), 100e6, "refunded");
        vm.expectRevert(abi.encodeWithSelector(Settlement.NoChallenge.selector));
        settlement.refundChallenge(1, digest);
        // Posted again, it can be challenged again.
        postReceipt(1, r);
        vm.prank(STRANGER);
        settlement.challenge(1, r, none());
        eq(settlement.epochs(1).open, 1, "open");
    }
}
