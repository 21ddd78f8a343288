// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base, Vm} from "./Base.sol";
import {Evidence} from "../src/Evidence.sol";
import {IProofVerifier} from "../src/interfaces/IProofVerifier.sol";
import {Receipts} from "../src/Receipts.sol";
import {Registry} from "../src/Registry.sol";
import {Settlement} from "../src/Settlement.sol";
import {TestUSD} from "../src/TestUSD.sol";
import {Transitions} from "../src/Transitions.sol";

/// Does whatever anybody may do to Settlement, in any order, with a poster that lies about sums, and keeps its own books.
/// Every action checks by itself whether it should work, so that a refusal that should not be is seen too.
contract Crowd {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    Settlement private immutable settlement;
    TestUSD private immutable token;
    address private immutable poster;
    address private immutable auditor;
    address private immutable governor;
    Registry private immutable registry;
    address[4] public people = [address(0x1001), address(0x1002), address(0x1003), address(0x1004)];

    uint256 public deposited;
    uint256 public claimed;
    uint256 public exited;
    uint256 public bonded;
    uint256 public challengeBonds;
    uint256 public highestTotal;
    uint256 public everFinal;
    mapping(uint256 step => uint256) public worked;

    /// What each posted epoch promises to each person, and the receipts in it.
    mapping(uint64 epoch => uint256[4]) private promised;
    Receipts.Receipt private receipt_;
    Evidence.Bundle private evidence;
    bytes32 private digest;
    mapping(uint256 i => uint256) public highestClaim;
    uint32 private challengedPost;

    constructor(
        Settlement settlement_,
        address governor_,
        address poster_,
        address auditor_,
        Receipts.Receipt memory r,
        Evidence.Bundle memory e
    ) {
        (settlement, poster, auditor, governor) = (settlement_, poster_, auditor_, governor_);
        (token, registry) = (TestUSD(settlement_.TOKEN()), settlement_.REGISTRY());
        TestUSD token_ = token;
        (receipt_, evidence) = (r, e);
        digest = settlement_.receiptDigest(r);
        bonded = settlement_.posterBond();
        for (uint256 i; i < 4; ++i) {
            vm.prank(governor_);
            token_.mint(people[i], 1e12);
            vm.prank(people[i]);
            token_.approve(address(settlement_), type(uint256).max);
        }
    }

    function deposit(uint256 who, uint256 amount) external {
        amount = 1 + amount % 1e9;
        vm.prank(people[who % 4]);
        settlement.deposit(amount);
        deposited += amount;
        ++worked[0];
    }

    function post(uint256 a, uint256 b, uint256 c, uint256 d, uint256 lie) external {
        uint64 epoch = settlement.latestEpoch() + 1;
        uint256 room = settlement.totalDeposits();
        uint256 some = room / 8 + 1;
        uint256[4] memory p = promised[epoch - 1];
        (p[0], p[1], p[2], p[3]) = (p[0] + a % some, p[1] + b % some, p[2] + c % some, p[3] + d % some);
        uint256 total = p[0] + p[1] + p[2] + p[3];
        // Leaves beyond the deposits, with a total that the contract accepts.
        if (lie % 2 == 0 && total > room) total = room;
        vm.prank(poster);
        settlement.postEpoch(epoch, root(p), keccak256(bytes.concat(keccak256(abi.encode(digest)))), "log", total);
        promised[epoch] = p;
        ++worked[1];
    }

    function claim(uint256 who) external {
        uint64 epoch = settlement.lastFinal();
        uint256 i = who % 4;
        uint256 paid = settlement.claim(people[i], promised[epoch][i], proof(promised[epoch], i));
        claimed += paid;
        if (promised[epoch][i] > highestClaim[i]) highestClaim[i] = promised[epoch][i];
        ++worked[2];
    }

    function veto(uint256 back) external {
        uint64 epoch = settlement.latestEpoch() - uint64(back % 3);
        vm.prank(auditor);
        settlement.veto(epoch);
        ++worked[3];
    }

    function challenge(uint256 who) external {
        uint64 epoch = settlement.latestEpoch();
        uint32 number = settlement.epochs(epoch).post;
        vm.prank(people[who % 4]);
        settlement.challenge(epoch, receipt_, new bytes32[](0));
        challengeBonds += settlement.CHALLENGE_BOND();
        challengedPost = number;
        ++worked[4];
    }

    function answer() external {
        uint64 epoch = settlement.lastFinal() + 1;
        settlement.answer(epoch, receipt_, evidence);
        challengeBonds -= settlement.CHALLENGE_BOND();
        ++worked[5];
    }

    function resolve() external {
        uint64 epoch = settlement.lastFinal() + 1;
        settlement.resolve(epoch, digest);
        challengeBonds -= settlement.CHALLENGE_BOND();
        bonded = 0;
        ++worked[6];
    }

    function refund() external {
        settlement.refundChallenge(challengedPost, digest);
        challengeBonds -= settlement.CHALLENGE_BOND();
        ++worked[7];
    }

    /// Strikes an epoch whose leaves add up to more than its total, where the poster lied so.
    function strike(uint256 back) external {
        uint64 epoch = settlement.latestEpoch() - uint64(back % 3);
        uint256[4] memory p = promised[epoch];
        Transitions.Balance[] memory all = new Transitions.Balance[](4);
        for (uint256 i; i < 4; ++i) {
            all[i] = Transitions.Balance(people[i], p[i], proof(p, i));
        }
        settlement.strike(epoch, abi.encodeCall(Transitions.sumAboveTotal, (settlement, epoch, all)));
        bonded = 0;
        ++worked[10];
    }

    /// Whatever the governor may do, with somebody's help or without: none of it may touch what others can claim.
    function govern(uint256 what, address to, uint256 n) external {
        uint256[4] memory before = claimables();
        address office = registry.governor();
        vm.startPrank(office);
        what %= 9;
        if (what == 0) settlement.nameSuccessor(n % 4 == 0 ? address(0) : to);
        else if (what == 1) registry.setRoles(to, uint8(n));
        else if (what == 2) registry.setVerifier(uint32(n), IProofVerifier(address(settlement.TRANSITIONS())));
        else if (what == 3) registry.proposeVerifier(uint32(n % 3), IProofVerifier(to));
        else if (what == 4) registry.registerModel(bytes32(n), 0, uint32(n % 3));
        else if (what == 5) registry.acceptVerifier(uint32(n % 3));
        else if (what == 6) token.mint(to, n % 1e9);
        else if (what == 7) registry.proposeGovernor(governor);
        else settlement.retire();
        vm.stopPrank();
        same(before);
        ++worked[11];
    }

    function claimables() private view returns (uint256[4] memory out) {
        uint256[4] memory p = promised[settlement.lastFinal()];
        for (uint256 i; i < 4; ++i) {
            (, uint128 had) = settlement.accounts(people[i]);
            out[i] = p[i] > had ? p[i] - had : 0;
        }
    }

    bool public robbed;

    function same(uint256[4] memory before) private {
        uint256[4] memory after_ = claimables();
        for (uint256 i; i < 4; ++i) {
            if (after_[i] < before[i]) robbed = true;
        }
    }

    function bond() external {
        uint256 lack = settlement.POSTER_BOND() - settlement.posterBond();
        vm.prank(poster);
        settlement.bondPoster(lack);
        bonded += lack;
    }

    function unbond(uint256 amount) external {
        amount = amount % (bonded + 1);
        vm.prank(poster);
        settlement.unbondPoster(amount);
        bonded -= amount;
        ++worked[8];
    }

    function wait(uint256 seconds_) external {
        vm.warp(block.timestamp + seconds_ % 2 hours);
    }

    function silence(uint256 chance) external {
        if (chance % 32 != 0) return;
        vm.warp(block.timestamp + settlement.EXIT_DELAY());
        settlement.openExit();
    }

    function exit(uint256 who) external {
        exited += settlement.exit(people[who % 4]);
        ++worked[9];
    }

    /// Remembers how far finality ever was, and the highest final total.
    function look() external {
        uint64 last = settlement.lastFinal();
        if (last > everFinal) everFinal = last;
        uint256 total = settlement.epochs(last).total;
        if (total > highestTotal) highestTotal = total;
    }

    function leaf(uint256[4] memory p, uint256 i) private view returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(people[i], p[i]))));
    }

    function pair(bytes32 a, bytes32 b) private pure returns (bytes32) {
        return a < b ? keccak256(abi.encode(a, b)) : keccak256(abi.encode(b, a));
    }

    function root(uint256[4] memory p) private view returns (bytes32) {
        return pair(pair(leaf(p, 0), leaf(p, 1)), pair(leaf(p, 2), leaf(p, 3)));
    }

    function proof(uint256[4] memory p, uint256 i) private view returns (bytes32[] memory out) {
        out = new bytes32[](2);
        out[0] = leaf(p, i ^ 1);
        out[1] = i < 2 ? pair(leaf(p, 2), leaf(p, 3)) : pair(leaf(p, 0), leaf(p, 1));
    }
}

contract InvariantsTest is Base {
    Crowd private crowd;

    function setUp() public override {
        super.setUp();
        rich(POSTER, 1e12);
        (Receipts.Receipt memory r, Evidence.Bundle memory e) = proven(0, 0, 0);
        crowd = new Crowd(settlement, GOVERNOR, POSTER, AUDITOR, r, e);
    }

    function targetContracts() public view returns (address[] memory out) {
        out = new address[](1);
        out[0] = address(crowd);
    }

    /// Money is conserved to the unit: what lies here is what came less what went.
    function invariant_money_is_conserved() public view {
        uint256 here = crowd.deposited() - crowd.claimed() - crowd.exited() + crowd.bonded() + crowd.challengeBonds();
        eq(token.balanceOf(address(settlement)), here, "balance");
        eq(settlement.totalDeposits(), crowd.deposited(), "deposits");
        eq(settlement.totalClaimed(), crowd.claimed(), "claims");
        eq(settlement.posterBond(), crowd.bonded(), "bond");
    }

    /// The count of open challenges, which sets deadlines, is the number of bonds that lie for standing epochs.
    function invariant_open_challenges_are_counted() public view {
        uint256 open;
        for (uint64 i = settlement.finalEpoch() + 1; i <= settlement.latestEpoch(); ++i) {
            open += settlement.epochs(i).open;
        }
        eq(settlement.openChallenges(), open, "open");
        yes(open * CHALLENGE_BOND <= crowd.challengeBonds(), "each with its bond");
    }

    /// No privileged call, in any order with all others, makes anybody's claim smaller.
    function invariant_no_admin_takes_from_a_claim() public view {
        yes(!crowd.robbed(), "claimable fell by an admin's call");
    }

    /// Whatever the poster says, claims and exits never reach beyond deposits, and claims never beyond the final total.
    function invariant_solvent() public view {
        yes(crowd.claimed() + crowd.exited() <= crowd.deposited(), "claims and exits within deposits");
        yes(crowd.claimed() <= settlement.epochs(settlement.lastFinal()).total, "claims within the final total");
    }

    /// Nobody ever gets more than the highest cumulative that a final root gave it.
    function invariant_no_double_claim() public view {
        uint256 sum;
        for (uint256 i; i < 4; ++i) {
            (, uint128 claimed) = settlement.accounts(crowd.people(i));
            yes(claimed <= crowd.highestClaim(i), "claimed within promised");
            sum += claimed;
        }
        eq(sum, crowd.claimed(), "sum of claims");
    }

    /// What was final stays final, and totals of final epochs never fall.
    function invariant_finality_is_for_ever() public view {
        yes(settlement.lastFinal() >= crowd.everFinal(), "final for ever");
        yes(settlement.epochs(settlement.lastFinal()).total >= crowd.highestTotal(), "total monotone");
    }
}
