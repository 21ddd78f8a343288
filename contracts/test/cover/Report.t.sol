// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {CoverBase} from "./CoverBase.sol";
import {WeatherCover} from "../../src/WeatherCover.sol";
import {Receipts} from "../../src/Receipts.sol";

contract ReportTest is CoverBase {
    bytes32 private id;

    function setUp() public override {
        super.setUp();
        id = open();
    }

    function refuse(bytes memory why, Receipts.Receipt memory r, bytes memory output) private {
        uint64 epoch = settle(r);
        vm.expectRevert(why);
        cover.report(id, r, output, epoch, none());
    }

    function test_refuses_unknown_and_closed_policies() public {
        Receipts.Receipt memory r = onDay(0, 0);
        uint64 epoch = settle(r);
        vm.expectRevert(abi.encodeWithSelector(WeatherCover.PolicyNotOpen.selector, bytes32(uint256(1))));
        cover.report(bytes32(uint256(1)), r, FROST, epoch, none());
        report(id, onDay(1, 0));
        report(id, onDay(2, 0));
        refuse(abi.encodeWithSelector(WeatherCover.PolicyNotOpen.selector, id), r, FROST);
    }

    function test_refuses_other_devices() public {
        Receipts.Receipt memory r = onDay(0, 0);
        r.device = bytes32(uint256(77));
        refuse(abi.encodeWithSelector(WeatherCover.NotAStation.selector, r.device), r, FROST);
    }

    /// Settled, genuine, of the right device, model and day, but measured against the feed of a job that nobody agreed to.
    function test_refuses_the_same_receipt_under_another_job() public {
        Receipts.Receipt memory r = onDay(0, 0);
        r.job = keccak256("job of a stranger, with a feed of its choice");
        refuse(abi.encodeWithSelector(WeatherCover.WrongWork.selector, r.device, r.job, MODEL), r, FROST);
        r.job = jobs[1];
        refuse(abi.encodeWithSelector(WeatherCover.WrongWork.selector, r.device, jobs[1], MODEL), r, FROST);
        r.job = 0;
        refuse(abi.encodeWithSelector(WeatherCover.WrongWork.selector, r.device, bytes32(0), MODEL), r, FROST);
        (uint256 bits,) = cover.dayMarks(id, 0);
        eq(bits, 0, "nothing counted");
        report(id, onDay(0, 0));
        (bits,) = cover.dayMarks(id, 0);
        eq(bits, 1, "the agreed job counts");
    }

    function test_refuses_a_revoked_station() public {
        vm.prank(GOVERNOR);
        registry.revokeDevice(stations[0]);
        refuse(abi.encodeWithSelector(WeatherCover.StationNotActive.selector, stations[0]), onDay(0, 0), FROST);
    }

    function test_refuses_other_and_revoked_models() public {
        Receipts.Receipt memory r = onDay(0, 0);
        r.model = keccak256("other");
        refuse(abi.encodeWithSelector(WeatherCover.WrongWork.selector, r.device, r.job, r.model), r, FROST);
        vm.prank(GOVERNOR);
        registry.revokeModel(MODEL);
        refuse(abi.encodeWithSelector(WeatherCover.ModelNotActive.selector, MODEL), onDay(0, 0), FROST);
    }

    function refuseWindow(uint64 from, uint64 to) private {
        Receipts.Receipt memory r = onDay(0, 0);
        (r.windowStart, r.windowEnd) = (from, to);
        refuse(abi.encodeWithSelector(WeatherCover.NotADay.selector, from, to), r, FROST);
    }

    function test_refuses_windows_that_are_not_one_day_of_the_policy() public {
        refuseWindow(T0 - 1 days, T0);
        refuseWindow(T0 + 30 days, T0 + 31 days);
        refuseWindow(T0 + 1, T0 + 1 + 1 days);
        refuseWindow(T0, T0 + 1 days - 1);
        refuseWindow(T0, T0 + 2 days);
        refuseWindow(T0 + 1 days, T0);
        refuseWindow(type(uint64).max, type(uint64).max);
        refuseWindow(0, 1 days);
    }

    function test_refuses_outputs_that_the_receipt_does_not_commit_to() public {
        refuse(abi.encodeWithSelector(WeatherCover.OutputMismatch.selector), onDay(0, 0), hex"0000000000000000");
        refuse(abi.encodeWithSelector(WeatherCover.OutputMismatch.selector), onDay(0, 1), "");
    }

    function refuseOutput(bytes memory why, bytes memory output) private {
        Receipts.Receipt memory r = onDay(0, 0);
        r.output = keccak256(output);
        refuse(why, r, output);
    }

    function test_refuses_outputs_of_another_length() public {
        refuseOutput(abi.encodeWithSelector(WeatherCover.BadOutput.selector, 0), "");
        refuseOutput(abi.encodeWithSelector(WeatherCover.BadOutput.selector, 4), hex"00000000");
        refuseOutput(abi.encodeWithSelector(WeatherCover.BadOutput.selector, 12), hex"000000000000000100000000");
    }

    function test_refuses_days_that_are_not_genuine_or_not_cold() public {
        refuseOutput(abi.encodeWithSelector(WeatherCover.NotGenuine.selector, int32(1)), hex"0000000100000001");
        refuseOutput(abi.encodeWithSelector(WeatherCover.NotGenuine.selector, int32(-1)), hex"ffffffff00000001");
        refuseOutput(abi.encodeWithSelector(WeatherCover.NotTriggered.selector, int32(0)), hex"0000000000000000");
        refuseOutput(abi.encodeWithSelector(WeatherCover.NotTriggered.selector, int32(2)), hex"0000000000000002");
    }

    function test_refuses_what_is_not_settled() public {
        Receipts.Receipt memory r = onDay(0, 0);
        bytes32 digest = postReceipt(1, r);
        vm.expectRevert(abi.encodeWithSelector(WeatherCover.NotSettled.selector, digest, uint64(1)));
        cover.report(id, r, FROST, 1, none());
        finish();
        vm.expectRevert(abi.encodeWithSelector(WeatherCover.NotSettled.selector, digest, uint64(2)));
        cover.report(id, r, FROST, 2, none());
        r.evidence = 0;
        vm.expectRevert(
            abi.encodeWithSelector(WeatherCover.NotSettled.selector, settlement.receiptDigest(r), uint64(1))
        );
        cover.report(id, r, FROST, 1, none());
    }

    /// Neither the same receipt nor a second one of the same station and day counts twice.
    function test_refuses_a_station_twice_a_day() public {
        report(id, onDay(0, 3));
        bytes memory counted = abi.encodeWithSelector(WeatherCover.DayCounted.selector, 3, stations[0]);
        refuse(counted, onDay(0, 3), FROST);
        Receipts.Receipt memory second = onDay(0, 3);
        second.sequence = 99;
        refuse(counted, second, FROST);
        eq(token.balanceOf(FARMER), 0, "not paid");
    }

    function test_different_days_do_not_add_up() public {
        for (uint256 day; day < 30; ++day) {
            report(id, onDay(day % 3, day));
        }
        eq(token.balanceOf(FARMER), 0, "not paid");
        report(id, onDay(1, 0));
        eq(token.balanceOf(FARMER), 50e6, "paid");
    }

    /// Whatever comes in whatever order: paid exactly when the quorum of one day is there, exactly once.
    function testFuzz_pays_once_at_the_quorum(uint8 quorum, uint16 dayCount, uint256 seed) public {
        vm.warp(T0);
        terms.quorum = 1 + quorum % 3;
        terms.dayCount = uint16(1 + dayCount % 400);
        vm.prank(INSURER);
        id = cover.open(terms, "another");
        uint8[] memory seen = new uint8[](terms.dayCount);
        bool paid;
        for (uint256 i; i < 12 && !paid; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            uint256 day = (seed >> 8) % (terms.dayCount < 4 ? terms.dayCount : 4);
            if (seed & 1 == 1) day = terms.dayCount - 1 - day;
            uint256 station = (seed >> 128) % 3;
            if (seen[day] & (1 << station) != 0) continue;
            seen[day] |= uint8(1 << station);
            report(id, onDay(station, day));
            (uint256 bits, uint256 count) = cover.dayMarks(id, day);
            eq(bits, seen[day], "marks");
            paid = count >= terms.quorum;
            eq(token.balanceOf(FARMER), paid ? 50e6 : 0, "farmer");
        }
    }
}
