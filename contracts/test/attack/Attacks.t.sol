// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base} from "../Base.sol";
import {Delivery} from "../../src/Delivery.sol";
import {Evidence} from "../../src/Evidence.sol";
import {Receipts} from "../../src/Receipts.sol";
import {Settlement} from "../../src/Settlement.sol";
import {WeatherCover} from "../../src/WeatherCover.sol";
import {Groth16Verifier} from "../../src/verifiers/Groth16Verifier.sol";
import {Toy} from "../Toy.sol";

/// A token that calls back whatever it was told to, in every transfer.
contract CallingToken {
    mapping(address => uint256) public balanceOf;
    address private target;
    bytes private call_;
    bytes public said;

    function give(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function callBack(address target_, bytes calldata data) external {
        (target, call_) = (target_, data);
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        _move(msg.sender, to, amount);
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        _move(from, to, amount);
        return true;
    }

    function _move(address from, address to, uint256 amount) private {
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
        if (target != address(0)) (, said) = target.call(call_);
    }
}

/// The attack list, each refused by a named error (or paying the attacker nothing). contracts/README.md says where the others are tested.
contract AttacksTest is Base {
    bytes4 private constant REENTERED = bytes4(keccak256("ReentrancyGuardReentrantCall()"));

    /// Claims, deposits, exits and struck bonds through a token that calls back: the second call never gets in.
    function test_a_token_that_calls_back_gets_nothing_twice() public {
        CallingToken evil = new CallingToken();
        Settlement.Config memory c = config();
        c.token = address(evil);
        Settlement books = new Settlement(c);
        evil.give(BUYER, 100e6);
        evil.give(POSTER, POSTER_BOND);
        evil.callBack(address(books), abi.encodeCall(books.deposit, (1)));
        vm.prank(BUYER);
        books.deposit(100e6);
        yes(bytes4(evil.said()) == REENTERED, "deposit in deposit");
        evil.callBack(address(books), abi.encodeCall(books.bondPoster, (1)));
        vm.prank(POSTER);
        books.bondPoster(POSTER_BOND);
        vm.prank(POSTER);
        books.postEpoch(1, balanceLeaf(node, 40e6), 0, 0, 40e6);
        vm.warp(block.timestamp + WINDOW);
        evil.callBack(address(books), abi.encodeCall(books.claim, (node, 40e6, none())));
        books.claim(node, 40e6, none());
        yes(bytes4(evil.said()) == REENTERED, "claim in claim");
        eq(evil.balanceOf(node), 40e6, "once");
        vm.warp(block.timestamp + 31 days);
        books.openExit();
        evil.callBack(address(books), abi.encodeCall(books.exit, (BUYER)));
        books.exit(BUYER);
        yes(bytes4(evil.said()) == REENTERED, "exit in exit");
        eq(evil.balanceOf(BUYER), 60e6, "once");
        eq(evil.balanceOf(address(books)), POSTER_BOND, "conserved");
    }

    /// Whoever copies a delivery from the mempool pays its gas; the first sender's own comes too late, and the farmer is paid once.
    function test_a_front_run_delivery_pays_the_front_runner_nothing() public {
        (Receipts.Receipt memory r, Evidence.Bundle memory e) = proven(0, 0, 0);
        vm.prank(INSURER);
        bytes32 id = cover.open(WeatherCover.Terms(FARMER, CELL, T0, 30, 1, 50e6, MODEL, stations, [r.job, r.job, r.job]), 0);
        vm.warp(T0 + 2 days);
        vm.prank(STRANGER);
        delivery.deliverWithProof(cover, id, r, e, "");
        eq(token.balanceOf(STRANGER), 0, "nothing");
        eq(token.balanceOf(FARMER), 50e6, "the farmer's");
        bytes32 digest = settlement.receiptDigest(r);
        vm.expectRevert(abi.encodeWithSelector(Delivery.AlreadyDelivered.selector, digest));
        vm.prank(node);
        delivery.deliverWithProof(cover, id, r, e, "");
        eq(token.balanceOf(FARMER), 50e6, "once");
    }

    /// A thief puts its own address into a copied receipt: signature and statement both name the node.
    function test_a_copied_receipt_in_another_name_is_refused() public {
        (Receipts.Receipt memory r, Evidence.Bundle memory e) = proven(0, 0, 0);
        vm.warp(T0 + 2 days);
        r.node = vm.addr(0x7417EF);
        vm.expectRevert(abi.encodeWithSelector(Delivery.DeviceNotOfNode.selector, r.device));
        delivery.deliverWithProof(cover, 0, r, e, "");
        vm.prank(node);
        registry.transferDevice(r.device, r.node);
        vm.expectRevert(abi.encodeWithSelector(Evidence.NotSignedByNode.selector, r.node));
        delivery.deliverWithProof(cover, 0, r, e, "");
        e.signature = signed(0x7417EF, r);
        vm.expectRevert(abi.encodeWithSelector(Groth16Verifier.ProofRejected.selector));
        delivery.deliverWithProof(cover, 0, r, e, "");
    }

    /// The same statement under another deployment is another statement: context and domain name the contract.
    function test_a_delivery_of_another_deployment_is_refused() public {
        (Receipts.Receipt memory r, Evidence.Bundle memory e) = proven(0, 0, 0);
        vm.warp(T0 + 2 days);
        Settlement other = new Settlement(config());
        Delivery there = new Delivery(other, registry);
        bytes32 job = statements.jobId(e.job, other.domainSeparator());
        vm.expectRevert(abi.encodeWithSelector(Evidence.WrongJobId.selector, r.job, job));
        there.deliverWithProof(cover, 0, r, e, "");
        r.job = job;
        bytes32 digest = other.receiptDigest(r);
        (uint8 v, bytes32 x, bytes32 s) = vm.sign(NODE_KEY, digest);
        e.signature = abi.encodePacked(x, s, v);
        vm.expectRevert(abi.encodeWithSelector(Groth16Verifier.ProofRejected.selector));
        there.deliverWithProof(cover, 0, r, e, "");
    }

    /// Claims sent by others go to the account; worthless, repeated, foreign and inflated ones are refused and change nothing.
    function testFuzz_griefing_claims(uint128 asked, address thief) public {
        vm.assume(thief != node && thief != address(settlement) && thief != address(0));
        deposit(BUYER, 100e6);
        post(1, balanceLeaf(node, 40e6), 0, 40e6);
        finish();
        vm.assume(asked != 40e6);
        uint256 before = token.balanceOf(thief);
        vm.expectRevert(abi.encodeWithSelector(Settlement.BadProof.selector));
        vm.prank(thief);
        settlement.claim(node, asked, none());
        vm.expectRevert(abi.encodeWithSelector(Settlement.BadProof.selector));
        vm.prank(thief);
        settlement.claim(thief, 40e6, none());
        vm.prank(thief);
        settlement.claim(node, 40e6, none());
        eq(token.balanceOf(node), 1_040e6, "the account's");
        eq(token.balanceOf(thief), before, "nothing");
        vm.expectRevert(abi.encodeWithSelector(Settlement.NothingToClaim.selector, 40e6));
        vm.prank(thief);
        settlement.claim(node, 40e6, none());
    }

    /// Many challenges of one epoch, none answered: the poster's bond is paid out once, the other challengers get back their own and no more.
    function test_a_bond_is_drained_once() public {
        bytes32[] memory leaves = new bytes32[](3);
        Receipts.Receipt[] memory all = new Receipts.Receipt[](3);
        for (uint64 i; i < 3; ++i) {
            (all[i],) = proven(i, 0, i);
            leaves[i] = receiptLeaf(settlement.receiptDigest(all[i]));
        }
        (bytes32 root,) = tree(abi.decode(abi.encode(leaves), (bytes32[])), 0);
        post(1, 0, root, 0);
        rich(STRANGER, 30e6);
        for (uint256 i; i < 3; ++i) {
            (, bytes32[] memory proof) = tree(abi.decode(abi.encode(leaves), (bytes32[])), i);
            vm.prank(STRANGER);
            settlement.challenge(1, all[i], proof);
        }
        uint32 posting = settlement.epochs(1).post;
        vm.warp(T0 + 3 * RESPONSE + 1);
        settlement.resolve(1, settlement.receiptDigest(all[0]));
        for (uint256 i; i < 3; ++i) {
            bytes32 digest = settlement.receiptDigest(all[i]);
            vm.expectRevert(abi.encodeWithSelector(Settlement.NoChallenge.selector));
            settlement.resolve(1, digest);
            if (i == 0) vm.expectRevert(abi.encodeWithSelector(Settlement.NoChallenge.selector));
            settlement.refundChallenge(posting, digest);
            vm.expectRevert(abi.encodeWithSelector(Settlement.NoChallenge.selector));
            settlement.refundChallenge(posting, digest);
        }
        eq(token.balanceOf(STRANGER), 30e6 + POSTER_BOND / 2, "one reward");
        eq(token.balanceOf(address(settlement)), 0, "nobody else's money");
        eq(settlement.openChallenges(), 0, "none open");
    }

    /// A poster that accuses itself before others do still loses half.
    function test_a_poster_that_strikes_itself_loses_half() public {
        (Receipts.Receipt memory r,) = proven(0, 0, 0);
        postReceipt(1, r);
        uint256 before = token.balanceOf(POSTER);
        vm.prank(POSTER);
        settlement.challenge(1, r, none());
        bytes32 digest = settlement.receiptDigest(r);
        vm.warp(T0 + RESPONSE + 1);
        settlement.resolve(1, digest);
        eq(token.balanceOf(POSTER), before + POSTER_BOND / 2, "half");
        vm.expectRevert(abi.encodeWithSelector(Settlement.BondTooSmall.selector, 0, POSTER_BOND));
        post(1, 0, 0, 0);
    }

    /// Every privileged function there is, by contract; a new one must be added here and looked at. None moves money of others.
    function test_privileged_functions_are_these() public {
        address[5] memory at = [address(settlement), address(settlement), address(registry), address(registry), address(token)];
        bytes[5] memory calls = [
            abi.encodeCall(settlement.nameSuccessor, (STRANGER)),
            abi.encodeCall(settlement.veto, (1)),
            abi.encodeCall(registry.setVerifier, (9, verifier)),
            abi.encodeCall(registry.proposeVerifier, (9, verifier)),
            abi.encodeCall(token.mint, (STRANGER, 1))
        ];
        for (uint256 i; i < 5; ++i) {
            vm.prank(STRANGER);
            (bool ok,) = at[i].call(calls[i]);
            yes(!ok, "privileged");
        }
        address office = GOVERNOR;
        uint256 before = token.balanceOf(address(settlement));
        vm.startPrank(office);
        settlement.nameSuccessor(STRANGER);
        registry.setVerifier(9, verifier);
        registry.setRoles(STRANGER, 3);
        registry.proposeGovernor(STRANGER);
        vm.stopPrank();
        eq(token.balanceOf(address(settlement)), before, "no money moved");
    }
}
