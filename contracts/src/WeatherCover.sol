// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {SafeTransferLib} from "solady/utils/SafeTransferLib.sol";
import {Delivery} from "./Delivery.sol";
import {IProofVerifier} from "./interfaces/IProofVerifier.sol";
import {IResultConsumer} from "./interfaces/IResultConsumer.sol";
import {ISettlement} from "./interfaces/ISettlement.sol";
import {Receipts} from "./Receipts.sol";
import {Registry} from "./Registry.sol";

/// @title Frost cover: pays a farmer as soon as enough stations proved an honest day below the threshold.
/// @notice The model's program decides from the private readings both whether the day is genuine (word 0 of the output is 0) and whether
/// the threshold was crossed (word 1 is 1), so the threshold is fixed by the model id. Nobody approves a claim.
/// What "genuine" is measured against, the reference feed, is fixed by the job id: a receipt counts under the station's agreed job only,
/// since anybody can post a job with a feed made to match forged readings.
/// A result comes in either way: settled by an epoch (`report`), or with its own proof through Delivery (`deliver`), which no poster can stop or
/// forge. The second counts for policies whose model had a verifier when they were opened, so that none can be slipped under one later.
/// Invariant: token balance >= sum of payouts of open policies.
contract WeatherCover is IResultConsumer, ReentrancyGuardTransient {
    using SafeTransferLib for address;

    /// @notice What is agreed. start: Unix second at which day 0 begins (any hour, so that a day can be local or UTC).
    /// jobs: for each station, in the order of stations, the id of the job whose receipts count; it commits to reference feed, model and terms.
    struct Terms {
        address beneficiary;
        uint64 cell;
        uint64 start;
        uint16 dayCount;
        uint8 quorum;
        uint96 payout;
        bytes32 model;
        bytes32[3] stations;
        bytes32[3] jobs;
    }

    /// @notice An agreement as stored, stations apart. status: 0 unknown, 1 open, 2 paid, 3 reclaimed; proofs: the model had a verifier when the policy was opened.
    struct Policy {
        address beneficiary;
        uint56 start;
        bool proofs;
        uint16 dayCount;
        uint8 quorum;
        uint8 status;
        address insurer;
        uint96 payout;
    }

    /// @notice Seconds after the last day in which reports still come in before the insurer may reclaim.
    uint64 public constant GRACE = 14 days;
    /// @notice Stations of a policy.
    uint256 public constant STATIONS = 3;

    uint8 private constant OPEN = 1;
    uint8 private constant PAID = 2;
    uint8 private constant RECLAIMED = 3;

    /// @notice Token of payouts.
    address public immutable TOKEN;
    /// @notice Says which receipts are settled.
    ISettlement public immutable SETTLEMENT;
    /// @notice Says which devices and models stand.
    Registry public immutable REGISTRY;
    /// @notice Checks proofs; the only sender of `deliver`.
    address public immutable DELIVERY;

    mapping(bytes32 id => Policy) private _policies;
    /// @dev Per policy and station: a hash of the work that counts, `_seat`. One slot says who the station is and what it has to show.
    mapping(bytes32 id => mapping(bytes32 device => uint256)) private _seats;
    /// @dev Per policy, 64 days a slot, 4 bits a day: bit i is set when station i proved a triggered day.
    mapping(bytes32 id => mapping(uint256 word => uint256)) private _marks;

    error BadConfig();
    error BadTerms();
    error InexactToken();
    error PolicyExists(bytes32 id);
    error PolicyNotOpen(bytes32 id);
    error StationNotActive(bytes32 key);
    error StationElsewhere(bytes32 key, uint64 cell);
    error ModelNotActive(bytes32 model);
    error NotAStation(bytes32 device);
    error WrongWork(bytes32 device, bytes32 job, bytes32 model);
    error NotADay(uint64 windowStart, uint64 windowEnd);
    error OutputMismatch();
    error BadOutput(uint256 length);
    error NotGenuine(int32 class);
    error NotTriggered(int32 word);
    error DayCounted(uint256 day, bytes32 device);
    error NotSettled(bytes32 digest, uint64 epoch);
    error NotDelivery();
    error NoProofMode(bytes32 id);
    error NotInsurer();
    error TooEarly(uint256 from);

    event PolicyOpened(bytes32 indexed id, address indexed insurer, address indexed beneficiary, uint256 payout, Terms terms);
    event DayReported(bytes32 indexed id, uint256 day, bytes32 indexed device, bytes32 digest, uint256 stations);
    event PolicyPaid(bytes32 indexed id, address indexed beneficiary, uint256 payout, uint256 day);
    event PolicyReclaimed(bytes32 indexed id, address indexed insurer, uint256 payout);

    constructor(address token, Delivery delivery) {
        if (token == address(0)) revert BadConfig();
        ISettlement settlement = delivery.SETTLEMENT();
        // The last day's receipt must be able to become final, even after a challenge, before the insurer may reclaim.
        if (uint256(settlement.CHALLENGE_WINDOW()) + settlement.RESPONSE_TIME() > GRACE / 2) revert BadConfig();
        TOKEN = token;
        SETTLEMENT = settlement;
        REGISTRY = delivery.REGISTRY();
        DELIVERY = address(delivery);
    }

    /// @notice Opens a policy and funds it with the sender's tokens. The sender is the insurer.
    /// @param terms what is agreed
    /// @param salt lets one insurer open equal policies
    /// @return id policyId(sender, salt, terms)
    function open(Terms calldata terms, bytes32 salt) external nonReentrant returns (bytes32 id) {
        id = policyId(msg.sender, salt, terms);
        if (_policies[id].status != 0) revert PolicyExists(id);
        _checkTerms(terms);
        Policy storage p = _policies[id];
        (p.beneficiary, p.start, p.dayCount, p.quorum, p.status) =
            (terms.beneficiary, uint56(terms.start), terms.dayCount, terms.quorum, OPEN);
        (IProofVerifier verifier,) = REGISTRY.verifierOf(terms.model);
        p.proofs = address(verifier) != address(0);
        (p.insurer, p.payout) = (msg.sender, terms.payout);
        for (uint256 i; i < STATIONS; ++i) {
            _seats[id][terms.stations[i]] = _seat(terms.jobs[i], terms.model, i);
        }
        uint256 before = TOKEN.balanceOf(address(this));
        TOKEN.safeTransferFrom(msg.sender, address(this), terms.payout);
        if (TOKEN.balanceOf(address(this)) - before != terms.payout) revert InexactToken();
        emit PolicyOpened(id, msg.sender, terms.beneficiary, terms.payout, terms);
    }

    /// @inheritdoc IResultConsumer
    /// @dev Pays in the same call when the quorum of the day is reached.
    function report(
        bytes32 id,
        Receipts.Receipt calldata receipt,
        bytes calldata outputBytes,
        uint64 epoch,
        bytes32[] calldata proof
    ) external nonReentrant {
        if (keccak256(outputBytes) != receipt.output) revert OutputMismatch();
        Policy storage p = _policies[id];
        (uint256 day, uint256 station) = _check(p, id, receipt, outputBytes);
        bytes32 digest = SETTLEMENT.receiptDigest(receipt);
        if (!SETTLEMENT.isSettledReceipt(digest, epoch, proof)) revert NotSettled(digest, epoch);
        _count(p, id, receipt.device, digest, day, station);
    }

    /// @inheritdoc IResultConsumer
    /// @dev Pays in the same call when the quorum of the day is reached. That the output is the receipt's is part of Delivery's evidence.
    function deliver(bytes32 id, Receipts.Receipt calldata receipt, bytes32 digest, bytes calldata outputBytes)
        external
        nonReentrant
    {
        if (msg.sender != DELIVERY) revert NotDelivery();
        Policy storage p = _policies[id];
        (uint256 day, uint256 station) = _check(p, id, receipt, outputBytes);
        if (!p.proofs) revert NoProofMode(id);
        _count(p, id, receipt.device, digest, day, station);
    }

    /// @notice The insurer takes back the money of a policy that did not pay, after its last day and the grace.
    function reclaim(bytes32 id) external nonReentrant {
        Policy storage p = _policies[id];
        if (p.status != OPEN) revert PolicyNotOpen(id);
        if (msg.sender != p.insurer) revert NotInsurer();
        uint256 from = uint256(p.start) + uint256(p.dayCount) * 1 days + GRACE;
        if (block.timestamp < from) revert TooEarly(from);
        p.status = RECLAIMED;
        TOKEN.safeTransfer(p.insurer, p.payout);
        emit PolicyReclaimed(id, p.insurer, p.payout);
    }

    // ---------------------------------------------------------------- views

    /// @notice Id of a policy.
    function policyId(address insurer, bytes32 salt, Terms calldata terms) public pure returns (bytes32) {
        return keccak256(abi.encode(insurer, salt, terms));
    }

    /// @notice A policy as stored.
    function policy(bytes32 id) external view returns (Policy memory) {
        return _policies[id];
    }

    /// @notice 1 to 3: the number of the station among a policy's whose receipts of this job and model count; 0: they do not.
    function stationOf(bytes32 id, bytes32 device, bytes32 job, bytes32 model) external view returns (uint256) {
        uint256 seat = _seats[id][device];
        return seat != 0 && seat == _seat(job, model, (seat & 3) - 1) ? seat & 3 : 0;
    }

    /// @notice Stations that proved a triggered `day` of a policy, and their number.
    function dayMarks(bytes32 id, uint256 day) external view returns (uint256 bits, uint256 count) {
        bits = (_marks[id][day / 64] >> ((day % 64) * 4)) & 7;
        count = _ones(bits);
    }

    // ---------------------------------------------------------------- below

    /// @dev Returns the policy's day that the receipt counts for, and the number of its station.
    function _check(Policy storage p, bytes32 id, Receipts.Receipt calldata receipt, bytes calldata outputBytes)
        private
        view
        returns (uint256 day, uint256 station)
    {
        if (p.status != OPEN) revert PolicyNotOpen(id);
        uint256 seat = _seats[id][receipt.device];
        if (seat == 0) revert NotAStation(receipt.device);
        station = (seat & 3) - 1;
        if (seat != _seat(receipt.job, receipt.model, station)) revert WrongWork(receipt.device, receipt.job, receipt.model);
        (bool device, bool model) = REGISTRY.areActive(receipt.device, receipt.model);
        if (!device) revert StationNotActive(receipt.device);
        if (!model) revert ModelNotActive(receipt.model);
        _checkOutput(outputBytes);
        day = _day(p, receipt);
    }

    /// @dev Counts a result that is settled or proven, and pays when the quorum of the day is reached.
    function _count(Policy storage p, bytes32 id, bytes32 device, bytes32 digest, uint256 day, uint256 station) private {
        uint256 count = _mark(id, day, station, device);
        emit DayReported(id, day, device, digest, count);
        if (count >= p.quorum) {
            p.status = PAID;
            TOKEN.safeTransfer(p.beneficiary, p.payout);
            emit PolicyPaid(id, p.beneficiary, p.payout, day);
        }
    }

    function _checkTerms(Terms calldata t) private view {
        // 56 bits of seconds must hold every day's end; 2**55 is far enough and leaves no room for overflow.
        if (
            t.beneficiary == address(0) || t.payout == 0 || t.dayCount == 0 || t.quorum == 0 || t.quorum > STATIONS
                || t.start >= 1 << 55
        ) revert BadTerms();
        if (
            t.stations[0] == t.stations[1] || t.stations[0] == t.stations[2] || t.stations[1] == t.stations[2]
        ) revert BadTerms();
        if (t.jobs[0] == 0 || t.jobs[1] == 0 || t.jobs[2] == 0) revert BadTerms();
        if (!REGISTRY.isActiveModel(t.model)) revert ModelNotActive(t.model);
        for (uint256 i; i < STATIONS; ++i) {
            Registry.Device memory d = REGISTRY.device(t.stations[i]);
            if (d.status != OPEN) revert StationNotActive(t.stations[i]);
            if (d.cell != t.cell) revert StationElsewhere(t.stations[i], d.cell);
        }
    }

    /// @dev The upper 254 bits of keccak256(job || model), and in the two lowest the station's number from 1. Never 0.
    function _seat(bytes32 job, bytes32 model, uint256 station) private pure returns (uint256) {
        return uint256(keccak256(abi.encode(job, model))) & ~uint256(3) | station + 1;
    }

    /// @dev A receipt counts for exactly one whole day of the policy.
    function _day(Policy storage p, Receipts.Receipt calldata r) private view returns (uint256) {
        (uint256 from, uint256 to, uint256 start) = (r.windowStart, r.windowEnd, p.start);
        if (from < start || to != from + 1 days || (from - start) % 1 days != 0) revert NotADay(r.windowStart, r.windowEnd);
        uint256 day = (from - start) / 1 days;
        if (day >= p.dayCount) revert NotADay(r.windowStart, r.windowEnd);
        return day;
    }

    function _checkOutput(bytes calldata outputBytes) private pure {
        if (outputBytes.length != 8) revert BadOutput(outputBytes.length);
        int32 class = int32(uint32(bytes4(outputBytes[:4])));
        int32 trigger = int32(uint32(bytes4(outputBytes[4:8])));
        if (class != 0) revert NotGenuine(class);
        if (trigger != 1) revert NotTriggered(trigger);
    }

    /// @dev Each station counts once a day. Returns how many stations have proved that day now.
    function _mark(bytes32 id, uint256 day, uint256 station, bytes32 device) private returns (uint256) {
        uint256 shift = (day % 64) * 4;
        uint256 bit = 1 << (shift + station);
        mapping(uint256 word => uint256) storage days_ = _marks[id];
        uint256 marks = days_[day / 64];
        if (marks & bit != 0) revert DayCounted(day, device);
        days_[day / 64] = marks | bit;
        return _ones((marks | bit) >> shift);
    }

    function _ones(uint256 bits) private pure returns (uint256) {
        return (bits & 1) + ((bits >> 1) & 1) + ((bits >> 2) & 1);
    }
}
