// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {SafeTransferLib} from "solady/utils/SafeTransferLib.sol";
import {Delivery} from "./Delivery.sol";
import {Evidence} from "./Evidence.sol";
import {ISettlement} from "./interfaces/ISettlement.sol";
import {Receipts} from "./Receipts.sol";

/// @title Bonds of nodes. A node that signs two different receipts for one place in its chain of receipts loses all of it.
/// @notice Nobody but the node (after the delay) and a holder of two such receipts can move a bond.
/// Invariant: token balance >= sum over nodes of bonded + unbonding.
contract Stake is ReentrancyGuardTransient {
    using SafeTransferLib for address;

    /// @notice Two slots. unbonding leaves at unbondAt; both parts can be slashed until then.
    struct Bond {
        uint128 bonded;
        uint128 unbonding;
        uint64 unbondAt;
    }

    /// @notice The reporter's part of a slashed bond, in 1/10,000. Below all of it, so that a node cannot save its bond by reporting itself.
    uint256 public constant REPORTER_BPS = 3_000;
    /// @notice Where the rest goes.
    address public constant BURN = 0x000000000000000000000000000000000000dEaD;

    /// @notice Token of bonds.
    address public immutable TOKEN;
    /// @notice Gives the digest of receipts.
    ISettlement public immutable SETTLEMENT;
    /// @notice Checks signatures of devices.
    Delivery public immutable DELIVERY;
    /// @notice Seconds between asking for a bond back and getting it.
    uint64 public immutable UNBONDING_DELAY;

    mapping(address node => Bond) public bonds;

    error ZeroValue();
    error AmountTooLarge();
    error InexactToken();
    error NotEnough(uint256 have, uint256 asked);
    error TooEarly(uint256 from);
    error SameReceipt();
    error DifferentNodes();
    error NoConflict();
    error BadSignature();
    error NothingAtStake();
    error DifferentDevices();

    event Bonded(address indexed node, uint256 amount, uint256 bonded);
    event UnbondingStarted(address indexed node, uint256 amount, uint64 unbondAt);
    event Unbonded(address indexed node, uint256 amount);
    event Slashed(address indexed node, address indexed reporter, uint256 reward, uint256 burned, bytes32 digestA, bytes32 digestB);

    constructor(address token, Delivery delivery, uint64 unbondingDelay) {
        if (token == address(0)) revert ZeroValue();
        TOKEN = token;
        (SETTLEMENT, DELIVERY) = (delivery.SETTLEMENT(), delivery);
        UNBONDING_DELAY = unbondingDelay;
    }

    /// @notice Adds the sender's tokens to the bond of `node`. The bond is the node's from then on.
    function bond(address node, uint256 amount) external nonReentrant {
        if (amount == 0 || node == address(0)) revert ZeroValue();
        if (amount > type(uint128).max) revert AmountTooLarge();
        Bond storage b = bonds[node];
        b.bonded += uint128(amount);
        uint256 before = TOKEN.balanceOf(address(this));
        TOKEN.safeTransferFrom(msg.sender, address(this), amount);
        if (TOKEN.balanceOf(address(this)) - before != amount) revert InexactToken();
        emit Bonded(node, amount, b.bonded);
    }

    /// @notice The node asks for part of its bond; asking again starts the delay anew for all that is on its way.
    function startUnbonding(uint256 amount) external {
        Bond storage b = bonds[msg.sender];
        if (amount == 0) revert ZeroValue();
        if (amount > b.bonded) revert NotEnough(b.bonded, amount);
        b.bonded -= uint128(amount);
        b.unbonding += uint128(amount);
        b.unbondAt = uint64(block.timestamp) + UNBONDING_DELAY;
        emit UnbondingStarted(msg.sender, amount, b.unbondAt);
    }

    /// @notice After the delay the node gets what it asked for.
    function withdraw() external nonReentrant returns (uint256 amount) {
        Bond storage b = bonds[msg.sender];
        amount = b.unbonding;
        if (amount == 0) revert ZeroValue();
        if (block.timestamp < b.unbondAt) revert TooEarly(b.unbondAt);
        b.unbonding = 0;
        TOKEN.safeTransfer(msg.sender, amount);
        emit Unbonded(msg.sender, amount);
    }

    /// @notice Takes the whole bond of a node that signed two different receipts with the same sequence or the same previous receipt.
    /// @param a one receipt
    /// @param sigA the node's signature of its digest, r || s || v, low s
    /// @param b the other receipt
    /// @param sigB the node's signature of its digest
    function slashEquivocation(
        Receipts.Receipt calldata a,
        bytes calldata sigA,
        Receipts.Receipt calldata b,
        bytes calldata sigB
    ) external nonReentrant returns (uint256 reward) {
        (bytes32 digestA, bytes32 digestB) = _conflict(a, b);
        if (!Evidence.isSigned(a.node, digestA, sigA) || !Evidence.isSigned(a.node, digestB, sigB)) revert BadSignature();
        return _slash(a.node, digestA, digestB);
    }

    /// @notice As slashEquivocation, where the second receipt has the signature of the device only: a P-256 key (docs/spec/market.md, "Identities").
    /// The node must have signed the first one, which names this device: anybody can make a key and sign receipts in a node's name with it.
    /// Refused with MissingPrecompile where the chain cannot check P-256.
    /// @param a the receipt that the node stands behind
    /// @param sigA the node's signature of its digest
    /// @param proofA x, y, r, s: the device's key and its signature of the digest
    /// @param b the other receipt, of the same device
    /// @param proofB likewise
    function slashDeviceEquivocation(
        Receipts.Receipt calldata a,
        bytes calldata sigA,
        bytes calldata proofA,
        Receipts.Receipt calldata b,
        bytes calldata proofB
    ) external nonReentrant returns (uint256 reward) {
        (bytes32 digestA, bytes32 digestB) = _conflict(a, b);
        if (a.device != b.device) revert DifferentDevices();
        if (!Evidence.isSigned(a.node, digestA, sigA)) revert BadSignature();
        DELIVERY.checkDevice(a.device, digestA, proofA);
        DELIVERY.checkDevice(b.device, digestB, proofB);
        return _slash(a.node, digestA, digestB);
    }

    /// @dev Two receipts that cannot both stand in one node's chain, and their digests.
    function _conflict(Receipts.Receipt calldata a, Receipts.Receipt calldata b) private view returns (bytes32, bytes32) {
        if (a.node != b.node) revert DifferentNodes();
        if (a.sequence != b.sequence && a.previous != b.previous) revert NoConflict();
        (bytes32 digestA, bytes32 digestB) = (SETTLEMENT.receiptDigest(a), SETTLEMENT.receiptDigest(b));
        if (digestA == digestB) revert SameReceipt();
        return (digestA, digestB);
    }

    function _slash(address node, bytes32 digestA, bytes32 digestB) private returns (uint256 reward) {
        Bond storage bond_ = bonds[node];
        uint256 all = uint256(bond_.bonded) + bond_.unbonding;
        if (all == 0) revert NothingAtStake();
        delete bonds[node];
        reward = all * REPORTER_BPS / 10_000;
        TOKEN.safeTransfer(msg.sender, reward);
        TOKEN.safeTransfer(BURN, all - reward);
        emit Slashed(node, msg.sender, reward, all - reward, digestA, digestB);
    }
}
