// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Delivery} from "../src/Delivery.sol";
import {Evidence} from "../src/Evidence.sol";
import {Jobs} from "../src/Jobs.sol";
import {Receipts} from "../src/Receipts.sol";
import {Registry} from "../src/Registry.sol";
import {Settlement} from "../src/Settlement.sol";
import {Stake} from "../src/Stake.sol";
import {Statements} from "../src/Statements.sol";
import {TestUSD} from "../src/TestUSD.sol";
import {Transitions} from "../src/Transitions.sol";
import {WeatherCover} from "../src/WeatherCover.sol";
import {IProofVerifier} from "../src/interfaces/IProofVerifier.sol";
import {Groth16Verifier} from "../src/verifiers/Groth16Verifier.sol";
import {Toy} from "./Toy.sol";

/// The part of forge's cheat codes that the tests use.
interface Vm {
    function addr(uint256 key) external pure returns (address);
    function sign(uint256 key, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function prank(address sender) external;
    function startPrank(address sender) external;
    function stopPrank() external;
    function warp(uint256 time) external;
    function assume(bool condition) external pure;
    function expectRevert(bytes calldata data) external;
    function expectRevert(bytes4 selector) external;
    function expectRevert() external;
    function mockCall(address target, bytes calldata data, bytes calldata returned) external;
    function readFile(string calldata path) external view returns (string memory);
    function parseJsonUint(string calldata json, string calldata key) external pure returns (uint256);
    function parseJsonUintArray(string calldata json, string calldata key) external pure returns (uint256[] memory);
    function parseJsonBytes(string calldata json, string calldata key) external pure returns (bytes memory);
    function parseJsonBytes32(string calldata json, string calldata key) external pure returns (bytes32);
    function parseJsonString(string calldata json, string calldata key) external pure returns (string memory);
    function keyExistsJson(string calldata json, string calldata key) external view returns (bool);
    function signP256(uint256 key, bytes32 digest) external pure returns (bytes32 r, bytes32 s);
    function publicKeyP256(uint256 key) external pure returns (uint256 x, uint256 y);
    function snapshotGasLastCall(string calldata group, string calldata name) external returns (uint256);
}

/// Makes the statement of a receipt where calldata are at hand.
contract StatementOf {
    function publicInput(
        Receipts.Receipt calldata r,
        address settlement,
        bytes calldata publicWords,
        bytes calldata output
    ) external view returns (uint256) {
        return Statements.publicInput(r.model, Receipts.context(r, settlement), r.input, publicWords, output);
    }

    function jobId(Jobs.Job calldata job, bytes32 domain) external pure returns (bytes32) {
        return Jobs.id(job, domain);
    }
}

/// Contracts, cast and trees for every test.
abstract contract Base {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    uint64 internal constant T0 = 1_767_225_600;
    uint64 internal constant WINDOW = 1 hours;
    uint64 internal constant RESPONSE = 10 minutes;
    uint128 internal constant POSTER_BOND = 100e6;
    uint128 internal constant CHALLENGE_BOND = 10e6;
    uint64 internal constant UNBONDING = 1 days;
    uint48 internal constant VERIFIER_DELAY = 7 days;
    bytes32 internal constant INFERENCE = keccak256("proofmesh/inference/v1");
    bytes32 internal constant MODEL = keccak256("weather-qod");
    uint64 internal constant CELL = 5;

    uint256 internal constant NODE_KEY = 0xA11CE;
    address internal constant GOVERNOR = address(0x60);
    address internal constant POSTER = address(0x70);
    address internal constant AUDITOR = address(0x71);
    address internal constant BUYER = address(0xB1);
    address internal constant BUYER2 = address(0xB2);
    address internal constant INSURER = address(0xC1);
    address internal constant FARMER = address(0xF1);
    address internal constant STRANGER = address(0x99);
    address internal node;
    bytes32[3] internal stations = [bytes32(uint256(0x51)), bytes32(uint256(0x52)), bytes32(uint256(0x53))];

    TestUSD internal token;
    Registry internal registry;
    Settlement internal settlement;
    Stake internal stake;
    WeatherCover internal cover;
    Transitions internal transitions;
    Delivery internal delivery;
    Groth16Verifier internal verifier;
    StatementOf internal statements;

    function setUp() public virtual {
        // The verifier stands before anything is posted: only then can receipts be challenged.
        vm.warp(T0 - 1);
        node = vm.addr(NODE_KEY);
        token = new TestUSD(GOVERNOR);
        registry = new Registry(GOVERNOR, VERIFIER_DELAY);
        verifier = new Groth16Verifier(Toy.key(0), Toy.caps());
        vm.startPrank(GOVERNOR);
        registry.setVerifier(1, verifier);
        registry.setRoles(GOVERNOR, 3);
        registry.registerModel(MODEL, keccak256("program"), 1);
        for (uint256 i; i < 3; ++i) {
            registry.enrolDevice(stations[i], node, CELL);
        }
        vm.stopPrank();
        vm.warp(T0);
        transitions = new Transitions();
        settlement = new Settlement(config());
        delivery = new Delivery(settlement, registry);
        stake = new Stake(address(token), delivery, UNBONDING);
        cover = new WeatherCover(address(token), delivery);
        statements = new StatementOf();
        rich(POSTER, 1_000e6);
        rich(BUYER, 1_000e6);
        rich(BUYER2, 1_000e6);
        rich(INSURER, 1_000e6);
        rich(node, 1_000e6);
        vm.prank(POSTER);
        settlement.bondPoster(POSTER_BOND);
    }

    function config() internal view returns (Settlement.Config memory) {
        return Settlement.Config(
            address(token), registry, transitions, POSTER, AUDITOR, WINDOW, RESPONSE, POSTER_BOND, CHALLENGE_BOND
        );
    }

    /// Gives money and lets every contract take it.
    function rich(address who, uint256 amount) internal {
        vm.prank(GOVERNOR);
        token.mint(who, amount);
        vm.startPrank(who);
        token.approve(address(settlement), type(uint256).max);
        token.approve(address(stake), type(uint256).max);
        token.approve(address(cover), type(uint256).max);
        vm.stopPrank();
    }

    function deposit(address who, uint256 amount) internal {
        vm.prank(who);
        settlement.deposit(amount);
    }

    function post(uint64 epoch, bytes32 balances, bytes32 receipts, uint256 total) internal {
        vm.prank(POSTER);
        settlement.postEpoch(epoch, balances, receipts, keccak256("log"), total);
    }

    function finish() internal {
        vm.warp(block.timestamp + WINDOW);
    }

    function balanceLeaf(address account, uint256 cumulative) internal pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(account, cumulative))));
    }

    function receiptLeaf(bytes32 digest) internal pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(digest))));
    }

    function pair(bytes32 a, bytes32 b) internal pure returns (bytes32) {
        return a < b ? keccak256(abi.encode(a, b)) : keccak256(abi.encode(b, a));
    }

    /// Root and proof of leaf `index`, as docs/spec/market.md says: an odd node is carried up.
    function tree(bytes32[] memory leaves, uint256 index) internal pure returns (bytes32, bytes32[] memory) {
        bytes32[] memory proof = new bytes32[](32);
        uint256 depth;
        uint256 n = leaves.length;
        while (n > 1) {
            if (index ^ 1 < n) proof[depth++] = leaves[index ^ 1];
            for (uint256 i; i < n / 2; ++i) {
                leaves[i] = pair(leaves[2 * i], leaves[2 * i + 1]);
            }
            if (n % 2 == 1) leaves[n / 2] = leaves[n - 1];
            n = (n + 1) / 2;
            index /= 2;
        }
        bytes32[] memory short = new bytes32[](depth);
        for (uint256 i; i < depth; ++i) {
            short[i] = proof[i];
        }
        return (leaves[0], short);
    }

    function none() internal pure returns (bytes32[] memory) {
        return new bytes32[](0);
    }

    function receipt(bytes32 device, uint64 sequence, bytes memory output)
        internal
        view
        returns (Receipts.Receipt memory r)
    {
        r = Receipts.Receipt({
            job: keccak256("job"),
            sequence: sequence,
            node: node,
            device: device,
            service: INFERENCE,
            model: MODEL,
            input: keccak256("input"),
            output: keccak256(output),
            units: 1,
            windowStart: T0,
            windowEnd: T0 + 1 days,
            evidence: keccak256("proof"),
            previous: 0
        });
    }

    /// The words of the feed, for each device and window: 72 elements of int8, a byte each, as the weather model's.
    function publicWords(bytes32 device, uint64 windowStart) internal pure returns (bytes memory out) {
        bytes32[3] memory seed;
        for (uint256 i; i < 3; ++i) {
            seed[i] = keccak256(abi.encode(device, windowStart, i));
        }
        for (uint256 i; i < 72; ++i) {
            out = bytes.concat(out, bytes1(seed[i / 32][i % 32]));
        }
    }

    /// A feed of the rows of three stations and 256 days: depth 10. Root, and the proof of one row.
    function feed(uint256 station, uint64 windowStart) internal view returns (bytes32, bytes32[] memory) {
        bytes32[] memory leaves = new bytes32[](768);
        for (uint256 i; i < 768; ++i) {
            uint64 start = T0 + uint64(i / 3) * 1 days;
            bytes32 device = stations[i % 3];
            leaves[i] = keccak256(bytes.concat(keccak256(abi.encodePacked(device, start, i < 30 ? publicWords(device, start) : bytes("")))));
        }
        return tree(leaves, station + 3 * ((windowStart - T0) / 1 days));
    }

    /// Terms of the service: only genuine days, whole days from T0, words of the feed.
    function serviceTerms(bytes32 feedRoot) internal pure returns (bytes memory) {
        return abi.encodePacked(uint8(1), uint8(3), uint8(0), uint64(1 days), T0 % uint64(1 days), feedRoot);
    }

    function jobOf(bytes32 termsHash) internal pure returns (Jobs.Job memory) {
        return Jobs.Job({
            buyer: BUYER,
            salt: "salt",
            service: INFERENCE,
            model: MODEL,
            input: 0,
            unitPrice: 1e6,
            maxUnits: 90,
            windowFrom: T0,
            windowUntil: T0 + 30 days,
            deadline: T0 + 60 days,
            assurance: 3,
            slots: 1,
            cell: CELL,
            devices: keccak256(""),
            terms: termsHash
        });
    }

    /// A receipt of a station's day under a job with a feed, and the evidence that it holds.
    function proven(uint256 station, uint64 day, uint64 sequence)
        internal
        view
        returns (Receipts.Receipt memory r, Evidence.Bundle memory e)
    {
        uint64 start = T0 + day * 1 days;
        bytes32 root;
        (root, e.feedProof) = feed(station, start);
        e.terms = serviceTerms(root);
        e.job = jobOf(keccak256(e.terms));
        e.publicWords = publicWords(stations[station], start);
        e.output = hex"0000000000000001";
        r = receipt(stations[station], sequence, e.output);
        r.job = statements.jobId(e.job, settlement.domainSeparator());
        (r.windowStart, r.windowEnd) = (start, start + 1 days);
        seal(r, e);
    }

    /// Signs the receipt and proves it, as it now is.
    function seal(Receipts.Receipt memory r, Evidence.Bundle memory e) internal view {
        e.signature = signed(NODE_KEY, r);
        e.proof = Toy.prove(statements.publicInput(r, address(settlement), e.publicWords, e.output), 4);
    }

    function signed(uint256 key, Receipts.Receipt memory r) internal view returns (bytes memory) {
        (uint8 v, bytes32 x, bytes32 s) = vm.sign(key, settlement.receiptDigest(r));
        return abi.encodePacked(x, s, v);
    }

    /// Posts one epoch with this receipt alone.
    function postReceipt(uint64 epoch, Receipts.Receipt memory r) internal returns (bytes32 digest) {
        digest = settlement.receiptDigest(r);
        post(epoch, 0, receiptLeaf(digest), 0);
    }

    function eq(uint256 a, uint256 b, string memory what) internal pure {
        if (a != b) revert(string.concat(what, ": ", str(a), " is not ", str(b)));
    }

    function yes(bool b, string memory what) internal pure {
        if (!b) revert(what);
    }

    function str(uint256 n) internal pure returns (string memory) {
        if (n == 0) return "0";
        bytes memory out;
        for (; n > 0; n /= 10) {
            out = abi.encodePacked(bytes1(uint8(48 + n % 10)), out);
        }
        return string(out);
    }
}
