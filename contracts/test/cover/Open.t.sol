// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {CoverBase} from "./CoverBase.sol";
import {WeatherCover} from "../../src/WeatherCover.sol";

contract OpenTest is CoverBase {
    function refuse(bytes memory why) private {
        vm.expectRevert(why);
        vm.prank(INSURER);
        cover.open(terms, 0);
    }

    function test_refuses_senseless_terms() public {
        bytes memory bad = abi.encodeWithSelector(WeatherCover.BadTerms.selector);
        terms.beneficiary = address(0);
        refuse(bad);
        setUp();
        terms.payout = 0;
        refuse(bad);
        setUp();
        terms.dayCount = 0;
        refuse(bad);
        setUp();
        terms.quorum = 0;
        refuse(bad);
        terms.quorum = 4;
        refuse(bad);
        setUp();
        terms.start = 1 << 63;
        refuse(bad);
    }

    function test_refuses_a_station_without_a_job() public {
        for (uint256 i; i < 3; ++i) {
            setUp();
            terms.jobs[i] = 0;
            refuse(abi.encodeWithSelector(WeatherCover.BadTerms.selector));
        }
    }

    function test_refuses_one_station_twice() public {
        for (uint256 i; i < 3; ++i) {
            setUp();
            terms.stations[i] = terms.stations[(i + 1) % 3];
            refuse(abi.encodeWithSelector(WeatherCover.BadTerms.selector));
        }
    }

    function test_refuses_unknown_and_revoked_stations() public {
        terms.stations[1] = bytes32(uint256(77));
        refuse(abi.encodeWithSelector(WeatherCover.StationNotActive.selector, bytes32(uint256(77))));
        setUp();
        vm.prank(node);
        registry.revokeDevice(stations[2]);
        refuse(abi.encodeWithSelector(WeatherCover.StationNotActive.selector, stations[2]));
    }

    function test_refuses_stations_of_another_cell() public {
        terms.cell = 6;
        refuse(abi.encodeWithSelector(WeatherCover.StationElsewhere.selector, stations[0], CELL));
    }

    function test_refuses_unknown_and_revoked_models() public {
        terms.model = keccak256("other");
        refuse(abi.encodeWithSelector(WeatherCover.ModelNotActive.selector, terms.model));
        setUp();
        vm.prank(GOVERNOR);
        registry.revokeModel(MODEL);
        refuse(abi.encodeWithSelector(WeatherCover.ModelNotActive.selector, MODEL));
    }

    function test_refuses_the_same_policy_twice() public {
        bytes32 id = open();
        refuse(abi.encodeWithSelector(WeatherCover.PolicyExists.selector, id));
    }

    function test_refuses_what_the_insurer_lacks() public {
        terms.payout = 1_000e6 + 1;
        refuse(abi.encodeWithSignature("TransferFromFailed()"));
    }

    function testFuzz_holds_the_payout(uint96 payout, bytes32 salt) public {
        terms.payout = uint96(1 + payout % 1_000e6);
        vm.prank(INSURER);
        bytes32 id = cover.open(terms, salt);
        yes(id == keccak256(abi.encode(INSURER, salt, terms)), "id");
        eq(token.balanceOf(address(cover)), terms.payout, "held");
        WeatherCover.Policy memory p = cover.policy(id);
        for (uint256 i; i < 3; ++i) {
            eq(cover.stationOf(id, stations[i], jobs[i], MODEL), i + 1, "station, job and model");
            eq(cover.stationOf(id, stations[i], jobs[(i + 1) % 3], MODEL), 0, "another's job");
            eq(cover.stationOf(id, stations[i], jobs[i], jobs[i]), 0, "another model");
        }
        yes(p.insurer == INSURER && p.beneficiary == FARMER && p.payout == terms.payout && p.status == 1, "stored");
    }
}
