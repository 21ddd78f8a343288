// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base} from "../Base.sol";
import {Settlement} from "../../src/Settlement.sol";

contract ConstructorTest is Base {
    function test_refuses_zero_addresses() public {
        Settlement.Config memory c = config();
        c.token = address(0);
        vm.expectRevert(abi.encodeWithSelector(Settlement.ZeroValue.selector));
        new Settlement(c);
        c = config();
        c.poster = address(0);
        vm.expectRevert(abi.encodeWithSelector(Settlement.ZeroValue.selector));
        new Settlement(c);
    }

    function test_refuses_a_window_as_long_as_the_exit_delay() public {
        Settlement.Config memory c = config();
        c.challengeWindow = 30 days - c.responseTime;
        vm.expectRevert(abi.encodeWithSelector(Settlement.BadConfig.selector));
        new Settlement(c);
        c.challengeWindow = type(uint64).max;
        vm.expectRevert(abi.encodeWithSelector(Settlement.BadConfig.selector));
        new Settlement(c);
    }

    function test_the_domain_is_the_one_of_the_specification() public view {
        bytes32 typeHash =
            keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
        bytes32 expected = keccak256(
            abi.encode(typeHash, keccak256("Proofmesh"), keccak256("1"), block.chainid, address(settlement))
        );
        yes(settlement.domainSeparator() == expected, "domain");
    }
}
