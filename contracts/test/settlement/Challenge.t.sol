// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base} from "../Base.sol";
import {Evidence} from "../../src/Evidence.sol";
import {Registry} from "../../src/Registry.sol";
import {Groth16Verifier} from "../../src/verifiers/Groth16Verifier.sol";
import {Toy} from "../Toy.sol";
import {Settlement} from "../../src/Settlement.sol";
import {Receipts} from "../../src/Receipts.sol";

/// challenge, answer, resolve and refundChallenge are one game, with the real verifier.
contract ChallengeTest is Base {
    Receipts.Receipt private r;
    Evidence.Bundle private e;
    bytes32 private digest;
    uint64 private posted;

    function setUp() public override {
        super.setUp();
        (r, e) = proven(0, 0, 0);
        digest = postReceipt(1, r);
        posted = uint64(block.timestamp);
        rich(STRANGER, 100e6);
    }

    function open() private {
        vm.prank(STRANGER);
        settlement.challenge(1, r, none());
    }

    function refuse(bytes4 why) private {
        vm.expectRevert(abi.encodeWithSelector(why));
        vm.prank(STRANGER);
        settlement.challenge(1, r, none());
    }

    function refuseAnswer(bytes memory why) private {
        vm.expectRevert(why);
        settlement.answer(1, r, e);
        eq(settlement.epochs(1).open, 1, "open");
    }

    function test_challenge_refuses_a_model_without_a_verifier() public {
        r.model = keccak256("unknown");
        vm.expectRevert(abi.encodeWithSelector(Evidence.NoVerifier.selector, r.model));
        vm.prank(STRANGER);
        settlement.challenge(1, r, none());
    }

    /// A verifier that accepts nothing, set when the epoch lies there, must not cost the poster its bond.
    function test_challenge_refuses_a_verifier_that_came_after_the_posting() public {
        bytes32 late = keccak256("late");
        vm.startPrank(GOVERNOR);
        registry.registerModel(late, 0, 2);
        vm.stopPrank();
        r.model = late;
        postReceipt(2, r);
        Groth16Verifier other = new Groth16Verifier(Toy.key(1), Toy.caps());
        vm.startPrank(GOVERNOR);
        registry.proposeVerifier(2, other);
        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(Evidence.NoVerifier.selector, late));
        vm.prank(STRANGER);
        settlement.challenge(2, r, none());
        // The same by registering the model late, under a class that nobody looked at.
        bytes32 later = keccak256("later");
        r.model = later;
        postReceipt(3, r);
        vm.startPrank(GOVERNOR);
        registry.setVerifier(3, other);
        registry.registerModel(later, 0, 3);
        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(Evidence.NoVerifier.selector, later));
        vm.prank(STRANGER);
        settlement.challenge(3, r, none());
    }

    /// What no evidence could ever answer, an honest poster cannot be asked for.
    function test_challenge_refuses_other_services() public {
        r.service = keccak256("proofmesh/other/v1");
        postReceipt(2, r);
        vm.expectRevert(abi.encodeWithSelector(Evidence.WrongService.selector, r.service));
        vm.prank(STRANGER);
        settlement.challenge(2, r, none());
    }

    function test_challenge_refuses_what_is_not_in_the_root() public {
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
        vm.warp(posted + WINDOW);
        refuse(Settlement.WindowClosed.selector);
    }

    function test_challenge_refuses_a_final_epoch() public {
        finish();
        vm.expectRevert(abi.encodeWithSelector(Settlement.EpochNotPending.selector, 1));
        vm.prank(STRANGER);
        settlement.challenge(1, r, none());
    }

    function test_answer_refuses_false_evidence_by_name_and_leaves_the_challenge_open() public {
        open();
        Evidence.Bundle memory good = e;
        e.proof = Toy.prove(1, 1);
        refuseAnswer(abi.encodeWithSelector(Groth16Verifier.ProofRejected.selector));
        e = good;
        e.publicWords = publicWords(stations[1], T0);
        refuseAnswer(abi.encodeWithSelector(Evidence.WrongFeed.selector));
        e = good;
        e.signature = signed(0xBAD, r);
        refuseAnswer(abi.encodeWithSelector(Evidence.NotSignedByNode.selector, node));
        e = good;
        e.output = hex"0000000000000000";
        refuseAnswer(abi.encodeWithSelector(Evidence.WrongOutput.selector));
        e = good;
        e.terms = serviceTerms(0);
        refuseAnswer(abi.encodeWithSelector(Evidence.WrongTerms.selector));
        e = good;
        e.job.maxUnits = 91;
        bytes32 other = statements.jobId(e.job, settlement.domainSeparator());
        refuseAnswer(abi.encodeWithSelector(Evidence.WrongJobId.selector, r.job, other));
        e = good;
        settlement.answer(1, r, e);
        eq(settlement.epochs(1).open, 0, "closed");
    }

    function test_answer_refuses_where_nothing_is_open() public {
        vm.expectRevert(abi.encodeWithSelector(Settlement.NoChallenge.selector));
        settlement.answer(1, r, e);
        open();
        settlement.answer(1, r, e);
        vm.expectRevert(abi.encodeWithSelector(Settlement.NoChallenge.selector));
        settlement.answer(1, r, e);
        refuse(Settlement.ChallengeExists.selector);
    }

    function test_answer_refuses_too_late() public {
        open();
        vm.warp(posted + RESPONSE + 1);
        vm.expectRevert(abi.encodeWithSelector(Settlement.TooLate.selector));
        settlement.answer(1, r, e);
    }

    /// With N challenges open the poster has N response times, whoever opened them: a flood does not outrun its prover.
    function test_each_open_challenge_gives_the_poster_its_own_time() public {
        bytes32[] memory leaves = new bytes32[](8);
        Receipts.Receipt[] memory all = new Receipts.Receipt[](8);
        Evidence.Bundle[] memory evidence = new Evidence.Bundle[](8);
        for (uint64 i; i < 8; ++i) {
            (all[i], evidence[i]) = proven(i % 3, i, i);
            leaves[i] = receiptLeaf(settlement.receiptDigest(all[i]));
        }
        (bytes32 root,) = tree(abi.decode(abi.encode(leaves), (bytes32[])), 0);
        post(2, 0, root, 0);
        for (uint256 i; i < 8; ++i) {
            (, bytes32[] memory proof) = tree(abi.decode(abi.encode(leaves), (bytes32[])), i);
            vm.prank(STRANGER);
            settlement.challenge(2, all[i], proof);
        }
        // One answer in each response time is enough.
        uint256 before = token.balanceOf(POSTER);
        for (uint256 i; i < 8; ++i) {
            vm.warp(posted + (i + 1) * RESPONSE);
            settlement.answer(2, all[i], evidence[i]);
        }
        eq(token.balanceOf(POSTER), before + 8 * CHALLENGE_BOND, "all bonds");
        eq(settlement.openChallenges(), 0, "none open");
        vm.warp(posted + 8 * RESPONSE + WINDOW);
        yes(settlement.isFinal(2), "final");
    }

    function test_resolve_refuses_too_early() public {
        open();
        vm.warp(posted + RESPONSE);
        vm.expectRevert(abi.encodeWithSelector(Settlement.TooEarly.selector, uint256(posted) + RESPONSE + 1));
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
        settlement.answer(1, r, e);
        eq(token.balanceOf(POSTER), before + CHALLENGE_BOND, "the poster's");
        finish();
        yes(settlement.isFinal(1), "final");
    }

    function test_silence_costs_the_poster_its_bond_and_the_epoch() public {
        post(2, 0, 0, 0);
        open();
        vm.warp(posted + WINDOW + 1);
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
