// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base} from "../Base.sol";
import {Delivery} from "../../src/Delivery.sol";
import {Evidence} from "../../src/Evidence.sol";
import {IResultConsumer} from "../../src/interfaces/IResultConsumer.sol";
import {Receipts} from "../../src/Receipts.sol";
import {Statements} from "../../src/Statements.sol";
import {WeatherCover} from "../../src/WeatherCover.sol";
import {Groth16Verifier} from "../../src/verifiers/Groth16Verifier.sol";
import {Toy} from "../Toy.sol";

/// A consumer that refuses, or does worse.
contract Rogue is IResultConsumer {
    Delivery private immutable delivery;
    bytes public again;
    error NotToday();

    constructor(Delivery delivery_) {
        delivery = delivery_;
    }

    function onceMore(bytes calldata call_) external {
        again = call_;
    }

    function report(bytes32, Receipts.Receipt calldata, bytes calldata, uint64, bytes32[] calldata) external pure {}

    function deliver(bytes32 id, Receipts.Receipt calldata, bytes32, bytes calldata) external {
        if (id == "refuse") revert NotToday();
        if (id == "burn") {
            while (true) {}
        }
        if (id == "again") {
            (bool ok, bytes memory why) = address(delivery).call(again);
            if (!ok) {
                assembly ("memory-safe") {
                    revert(add(why, 0x20), mload(why))
                }
            }
        }
    }
}

/// Proof mode: no epoch is posted in any of these tests.
contract DeliverTest is Base {
    bytes32 private id;
    Receipts.Receipt private r;
    Evidence.Bundle private e;

    function setUp() public override {
        super.setUp();
        (r, e) = proven(0, 0, 0);
        vm.prank(INSURER);
        id = cover.open(WeatherCover.Terms(FARMER, CELL, T0, 30, 2, 50e6, MODEL, stations, [r.job, r.job, r.job]), 0);
        vm.warp(T0 + 5 days);
    }

    function send(Receipts.Receipt memory r_, Evidence.Bundle memory e_) private {
        delivery.deliverWithProof(cover, id, r_, e_, "");
    }

    /// The node signs and proves the receipt as it now is.
    function reseal() private {
        Evidence.Bundle memory m = e;
        seal(r, m);
        e = m;
    }

    function refuse(bytes memory why) private {
        vm.expectRevert(why);
        delivery.deliverWithProof(cover, id, r, e, "");
        yes(!delivery.isDelivered(cover, id, node, r.sequence), "not delivered");
    }

    function test_two_proven_days_pay_the_farmer_without_any_epoch() public {
        vm.prank(STRANGER);
        send(r, e);
        eq(token.balanceOf(FARMER), 0, "one station");
        (Receipts.Receipt memory r2, Evidence.Bundle memory e2) = proven(1, 0, 1);
        vm.prank(STRANGER);
        send(r2, e2);
        eq(token.balanceOf(FARMER), 50e6, "paid");
        eq(token.balanceOf(STRANGER), 0, "the sender gets nothing");
        eq(settlement.latestEpoch(), 0, "no poster");
    }

    /// One station by an epoch, the other by its proof: marks are the same.
    function test_both_ways_count_together_and_a_day_once() public {
        postReceipt(1, r);
        finish();
        cover.report(id, r, e.output, 1, none());
        refuse(abi.encodeWithSelector(WeatherCover.DayCounted.selector, 0, stations[0]));
        (Receipts.Receipt memory r2, Evidence.Bundle memory e2) = proven(1, 0, 1);
        send(r2, e2);
        eq(token.balanceOf(FARMER), 50e6, "paid");
    }

    function test_a_receipt_is_delivered_once() public {
        send(r, e);
        bytes32 digest = settlement.receiptDigest(r);
        vm.expectRevert(abi.encodeWithSelector(Delivery.AlreadyDelivered.selector, digest));
        send(r, e);
        // Another proof of the same is the same.
        e.proof = Toy.prove(statements.publicInput(r, address(settlement), e.publicWords, e.output), 77);
        vm.expectRevert(abi.encodeWithSelector(Delivery.AlreadyDelivered.selector, digest));
        send(r, e);
    }

    /// A second receipt that the node signed for the same place in its chain is no second delivery.
    function test_a_place_in_the_chain_is_delivered_once() public {
        send(r, e);
        (Receipts.Receipt memory r2, Evidence.Bundle memory e2) = proven(1, 0, 0);
        vm.expectRevert(abi.encodeWithSelector(Delivery.AlreadyDelivered.selector, settlement.receiptDigest(r2)));
        send(r2, e2);
    }

    function test_evidence_is_refused_by_name() public {
        e.output = hex"0000000000000000";
        refuse(abi.encodeWithSelector(Evidence.WrongOutput.selector));
        setUp();
        e.terms = bytes.concat(e.terms, hex"00");
        refuse(abi.encodeWithSelector(Evidence.WrongTerms.selector));
        setUp();
        e.signature = "";
        refuse(abi.encodeWithSelector(Evidence.NotSignedByNode.selector, node));
        setUp();
        r.units = 2;
        refuse(abi.encodeWithSelector(Evidence.UnlawfulReceipt.selector));
        setUp();
        r.service = "another";
        refuse(abi.encodeWithSelector(Evidence.WrongService.selector, r.service));
        setUp();
        e.publicWords = bytes.concat(e.publicWords, hex"00");
        refuse(abi.encodeWithSelector(Evidence.WrongFeed.selector));
        setUp();
        e.feedProof = none();
        refuse(abi.encodeWithSelector(Evidence.WrongFeed.selector));
    }

    function test_a_class_that_the_job_does_not_pay_is_refused() public {
        e.output = hex"0000000100000001";
        r.output = keccak256(e.output);
        reseal();
        refuse(abi.encodeWithSelector(Evidence.WrongClass.selector, 0, 1));
    }

    function test_a_window_that_the_terms_do_not_know_is_refused() public {
        r.windowEnd -= 1;
        reseal();
        refuse(abi.encodeWithSelector(Evidence.WrongWindow.selector, r.windowStart, r.windowEnd));
    }

    function test_a_day_that_is_not_over_is_refused() public {
        vm.warp(T0 + 1 days - 1);
        refuse(abi.encodeWithSelector(Delivery.WindowNotOver.selector, T0 + 1 days));
    }

    /// The proof binds node, device, job, place and chain: a receipt that differs in any of them has another statement.
    function testFuzz_a_proof_serves_one_receipt_only(uint8 field, uint64 other) public {
        vm.assume(other != 0);
        bytes memory proof = e.proof;
        if (field % 3 == 0) r.sequence ^= other;
        else if (field % 3 == 1) r.input ^= bytes32(uint256(other));
        else r.previous ^= bytes32(uint256(other));
        reseal();
        // `previous` is no part of the statement: the same proof, under another signature.
        yes((keccak256(e.proof) == keccak256(proof)) == (field % 3 == 2), "statement");
        if (field % 3 == 2) return;
        e.proof = proof;
        refuse(abi.encodeWithSelector(Groth16Verifier.ProofRejected.selector));
    }

    function test_only_delivery_may_deliver() public {
        bytes32 digest = settlement.receiptDigest(r);
        vm.expectRevert(abi.encodeWithSelector(WeatherCover.NotDelivery.selector));
        cover.deliver(id, r, digest, e.output);
        Delivery other = new Delivery(settlement, registry);
        vm.expectRevert(abi.encodeWithSelector(WeatherCover.NotDelivery.selector));
        other.deliverWithProof(cover, id, r, e, "");
    }

    /// A verifier that came after the policy does not count for it: it was not part of what was agreed.
    function test_a_policy_without_proof_mode_stays_without() public {
        bytes32 model = keccak256("no verifier yet");
        vm.prank(GOVERNOR);
        registry.registerModel(model, 0, 7);
        (r.model, e.job.model) = (model, model);
        r.job = statements.jobId(e.job, settlement.domainSeparator());
        reseal();
        WeatherCover.Terms memory terms =
            WeatherCover.Terms(FARMER, CELL, T0, 30, 1, 50e6, model, stations, [r.job, r.job, r.job]);
        vm.prank(INSURER);
        id = cover.open(terms, 0);
        Groth16Verifier late = new Groth16Verifier(Toy.key(0), Toy.caps());
        vm.prank(GOVERNOR);
        registry.proposeVerifier(7, late);
        vm.warp(block.timestamp + VERIFIER_DELAY);
        registry.acceptVerifier(7);
        refuse(abi.encodeWithSelector(WeatherCover.NoProofMode.selector, id));
        vm.prank(INSURER);
        id = cover.open(terms, "later");
        send(r, e);
        eq(token.balanceOf(FARMER), 50e6, "agreed on with the verifier in place");
    }

    function test_the_node_must_own_the_device_where_the_device_cannot_sign() public {
        vm.prank(node);
        registry.transferDevice(stations[0], STRANGER);
        refuse(abi.encodeWithSelector(Delivery.DeviceNotOfNode.selector, stations[0]));
    }

    function test_a_revoked_device_is_refused() public {
        vm.prank(node);
        registry.revokeDevice(stations[0]);
        refuse(abi.encodeWithSelector(Delivery.DeviceNotOfNode.selector, stations[0]));
    }

    /// Semantics of a consumer that reverts: nothing happened, its own name comes through, the receipt can be delivered elsewhere and later.
    function test_a_consumer_that_reverts_blocks_itself_only() public {
        Rogue rogue = new Rogue(delivery);
        vm.expectRevert(abi.encodeWithSelector(Rogue.NotToday.selector));
        delivery.deliverWithProof(rogue, "refuse", r, e, "");
        yes(!delivery.isDelivered(rogue, "refuse", node, 0), "nothing happened");
        (bool ok,) = address(delivery).call{gas: 3_000_000}(
            abi.encodeCall(delivery.deliverWithProof, (rogue, bytes32("burn"), r, e, ""))
        );
        yes(!ok && !delivery.isDelivered(rogue, "burn", node, 0), "nothing happened");
        delivery.deliverWithProof(rogue, "take", r, e, "");
        send(r, e);
        // Settlement goes on.
        postReceipt(1, r);
        finish();
        yes(settlement.isFinal(1), "final");
    }

    function test_a_consumer_cannot_come_back_in() public {
        Rogue rogue = new Rogue(delivery);
        rogue.onceMore(abi.encodeCall(delivery.deliverWithProof, (cover, id, r, e, "")));
        vm.expectRevert(abi.encodeWithSignature("ReentrancyGuardReentrantCall()"));
        delivery.deliverWithProof(rogue, "again", r, e, "");
    }

    /// This chain (Prague) has no P-256: refused by that name, and not as a false signature.
    function test_a_p256_device_is_refused_by_name_where_the_chain_cannot_check_it() public {
        (uint256 x, uint256 y) = vm.publicKeyP256(0xBEEF);
        r.device = keccak256(abi.encode(x, y));
        reseal();
        (bytes32 a, bytes32 b) = lowS(0xBEEF, settlement.receiptDigest(r));
        vm.expectRevert(abi.encodeWithSignature("MissingPrecompile(address)", address(0x100)));
        delivery.deliverWithProof(cover, id, r, e, abi.encode(x, y, a, b));
        vm.expectRevert(abi.encodeWithSelector(Delivery.WrongDeviceKey.selector, r.device));
        delivery.deliverWithProof(cover, id, r, e, abi.encode(x, y ^ 1, a, b));
    }

    function test_statements_are_those_of_the_vectors() public {
        yes(sameStatements(vm.readFile("../vectors/groth16.json")) == 5, "all of them");
        StatementWords words = new StatementWords();
        vm.expectRevert(abi.encodeWithSelector(Statements.BadWords.selector, 3));
        words.publicInput(0, 0, 0, "abc", "");
    }

    /// Those of the circuit that wraps proofs (crates/wrap/tests/wrap.rs), with the bytes that are hashed.
    function test_statements_are_those_of_the_circuit() public {
        string memory json = vm.readFile("../vectors/wrap.json");
        yes(sameStatements(json) == 2, "both");
        for (uint256 i; i < 2; ++i) {
            string memory row = string.concat(".statements[", str(i), "]");
            bytes32 digest = sha256(vm.parseJsonBytes(json, string.concat(row, ".preimage")));
            bytes32 input = vm.parseJsonBytes32(json, string.concat(row, ".public_input"));
            yes(uint256(digest) & (1 << 253) - 1 == uint256(input), row);
        }
    }

    function sameStatements(string memory json) private returns (uint256 seen) {
        StatementWords words = new StatementWords();
        for (; vm.keyExistsJson(json, string.concat(".statements[", str(seen), "]")); ++seen) {
            string memory row = string.concat(".statements[", str(seen), "]");
            uint256 got = words.publicInput(
                vm.parseJsonBytes32(json, string.concat(row, ".model")),
                vm.parseJsonBytes32(json, string.concat(row, ".context")),
                vm.parseJsonBytes32(json, string.concat(row, ".input")),
                vm.parseJsonBytes(json, string.concat(row, ".public_words")),
                vm.parseJsonBytes(json, string.concat(row, ".output"))
            );
            yes(bytes32(got) == vm.parseJsonBytes32(json, string.concat(row, ".public_input")), row);
        }
    }

    function lowS(uint256 key, bytes32 digest) private pure returns (bytes32 a, bytes32 b) {
        uint256 n = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551;
        (a, b) = vm.signP256(key, digest);
        if (uint256(b) > n / 2) b = bytes32(n - uint256(b));
    }
}

/// Statements.publicInput of calldata.
contract StatementWords {
    function publicInput(bytes32 model, bytes32 context, bytes32 input, bytes calldata words, bytes calldata output)
        external
        pure
        returns (uint256)
    {
        return Statements.publicInput(model, context, input, words, output);
    }
}
