// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Receipts} from "../src/Receipts.sol";
import {Registry} from "../src/Registry.sol";
import {Settlement} from "../src/Settlement.sol";
import {Stake} from "../src/Stake.sol";
import {TestUSD} from "../src/TestUSD.sol";
import {WeatherCover} from "../src/WeatherCover.sol";
import {IProofVerifier} from "../src/interfaces/IProofVerifier.sol";

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
    function expectRevert() external;
    function mockCall(address target, bytes calldata data, bytes calldata returned) external;
    function snapshotGasLastCall(string calldata group, string calldata name) external returns (uint256);
}

/// A verifier that accepts one proof only.
contract OneProof is IProofVerifier {
    error Rejected();

    function verify(bytes32 statementHash, bytes calldata proof) external pure {
        if (keccak256(proof) != keccak256(abi.encode(statementHash, "proof"))) revert Rejected();
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

    function setUp() public virtual {
        vm.warp(T0);
        node = vm.addr(NODE_KEY);
        token = new TestUSD(GOVERNOR);
        registry = new Registry(GOVERNOR);
        settlement = new Settlement(config());
        stake = new Stake(address(token), settlement, UNBONDING);
        cover = new WeatherCover(address(token), settlement, registry);
        vm.startPrank(GOVERNOR);
        registry.setRoles(GOVERNOR, 3);
        registry.registerModel(MODEL, keccak256("program"), 1);
        for (uint256 i; i < 3; ++i) {
            registry.enrolDevice(stations[i], node, CELL);
        }
        vm.stopPrank();
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
            address(token), registry, POSTER, AUDITOR, WINDOW, RESPONSE, POSTER_BOND, CHALLENGE_BOND
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
            service: keccak256("proofmesh/inference/v1"),
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

    function str(uint256 n) private pure returns (string memory) {
        if (n == 0) return "0";
        bytes memory out;
        for (; n > 0; n /= 10) {
            out = abi.encodePacked(bytes1(uint8(48 + n % 10)), out);
        }
        return string(out);
    }
}
