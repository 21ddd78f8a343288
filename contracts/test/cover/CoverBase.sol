// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base} from "../Base.sol";
import {WeatherCover} from "../../src/WeatherCover.sol";
import {Receipts} from "../../src/Receipts.sol";

/// A policy, and receipts that count for it.
abstract contract CoverBase is Base {
    bytes internal constant FROST = hex"0000000000000001";
    bytes32[3] internal jobs = [keccak256("job 0"), keccak256("job 1"), keccak256("job 2")];
    WeatherCover.Terms internal terms;

    function setUp() public virtual override {
        super.setUp();
        terms = WeatherCover.Terms(FARMER, CELL, T0, 30, 2, 50e6, MODEL, stations, jobs);
    }

    function open() internal returns (bytes32) {
        vm.prank(INSURER);
        return cover.open(terms, 0);
    }

    /// Settles one receipt as the only one of the next epoch.
    function settle(Receipts.Receipt memory r) internal returns (uint64 epoch) {
        epoch = settlement.latestEpoch() + 1;
        postReceipt(epoch, r);
        finish();
    }

    function onDay(uint256 station, uint256 day) internal view returns (Receipts.Receipt memory r) {
        r = receipt(stations[station], uint64(day * 3 + station), FROST);
        r.job = jobs[station];
        r.windowStart = uint64(T0 + day * 1 days);
        r.windowEnd = r.windowStart + 1 days;
    }

    function report(bytes32 id, Receipts.Receipt memory r) internal {
        uint64 epoch = settle(r);
        cover.report(id, r, FROST, epoch, none());
    }
}
