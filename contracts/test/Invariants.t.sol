// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base, Vm, OneProof} from "./Base.sol";
import {Receipts} from "../src/Receipts.sol";
import {Registry} from "../src/Registry.sol";
import {Settlement} from "../src/Settlement.sol";
import {TestUSD} from "../src/TestUSD.sol";

/// Does whatever anybody may do to Settlement, in any order, with a poster that lies about sums, and keeps its own books.
/// Every action checks by itself whether it should work, so that a refusal that should not be is seen too.
contract Crowd {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    Settlement private immutable settlement;
    TestUSD private immutable token;
    address private immutable poster;
    address private immutable auditor;
    bytes32 private immutable model;
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
    bytes32 private digest;
    mapping(uint256 i => uint256) public highestClaim;
    uint32 private challengedPost;

    constructor(Settlement settlement_, TestUSD token_, address governor, address poster_, address auditor_, bytes32 model_) {
        (settlement, token, poster, auditor, model) = (settlement_, token_, poster_, auditor_, model_);
        receipt_.model = model_;
        digest = settlement_.receiptDigest(receipt_);
        bonded = settlement_.posterBond();
        for (uint256 i; i < 4; ++i) {
            vm.prank(governor);
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
        bytes32 context = keccak256(
            abi.encode(block.chainid, address(settlement), receipt_.job, receipt_.sequence, receipt_.node, receipt_.device)
        );
        bytes32 statement = keccak256(abi.encode(model, receipt_.input, receipt_.output, context));
        settlement.answer(epoch, receipt_, abi.encode(statement, "proof"));
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
        OneProof one = new OneProof();
        vm.prank(GOVERNOR);
        registry.setVerifier(1, one);
        rich(POSTER, 1e12);
        crowd = new Crowd(settlement, token, GOVERNOR, POSTER, AUDITOR, MODEL);
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
