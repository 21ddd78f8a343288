// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base} from "../Base.sol";
import {Delivery} from "../../src/Delivery.sol";
import {Stake} from "../../src/Stake.sol";
import {Receipts} from "../../src/Receipts.sol";

abstract contract DeviceEquivocation is Base {
    uint256 internal constant KEY = 0xBEEF;
    Receipts.Receipt internal a;
    Receipts.Receipt internal b;

    function setUp() public override {
        super.setUp();
        (uint256 x, uint256 y) = vm.publicKeyP256(KEY);
        bytes32 device = keccak256(abi.encode(x, y));
        a = receipt(device, 4, hex"00");
        b = receipt(device, 4, hex"01");
        vm.prank(node);
        stake.bond(node, 200e6);
    }

    function proofOf(uint256 key, Receipts.Receipt memory r) internal view returns (bytes memory) {
        uint256 n = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551;
        (uint256 x, uint256 y) = vm.publicKeyP256(key);
        (bytes32 u, bytes32 v) = vm.signP256(key, settlement.receiptDigest(r));
        if (uint256(v) > n / 2) v = bytes32(n - uint256(v));
        return abi.encode(x, y, u, v);
    }

    function refuse(bytes memory why, bytes memory proofA, bytes memory proofB) internal {
        bytes memory signature = signed(NODE_KEY, a);
        vm.expectRevert(why);
        stake.slashDeviceEquivocation(a, signature, proofA, b, proofB);
    }
}

/// A chain without P-256 (Prague): refused by that name.
contract SlashDeviceAbsentTest is DeviceEquivocation {
    function test_refuses_by_name_where_the_chain_cannot_check() public {
        refuse(abi.encodeWithSignature("MissingPrecompile(address)", address(0x100)), proofOf(KEY, a), proofOf(KEY, b));
        eq(token.balanceOf(address(stake)), 200e6, "untouched");
    }
}

/// A chain with P-256 at 0x100 (Osaka).
/// forge-config: default.evm_version = "osaka"
contract SlashDeviceTest is DeviceEquivocation {
    function test_takes_the_stake() public {
        uint256 reward = stake.slashDeviceEquivocation(a, signed(NODE_KEY, a), proofOf(KEY, a), b, proofOf(KEY, b));
        eq(reward, 60e6, "reward");
        eq(token.balanceOf(address(stake)), 0, "all gone");
    }

    function test_refuses_signatures_of_others_and_other_conflicts() public {
        bytes32 device = a.device;
        refuse(abi.encodeWithSelector(Delivery.NotSignedByDevice.selector, device), proofOf(KEY, a), proofOf(KEY, a));
        refuse(abi.encodeWithSelector(Delivery.WrongDeviceKey.selector, device), proofOf(KEY, a), proofOf(0xBAD, b));
        b.device = stations[0];
        refuse(abi.encodeWithSelector(Stake.DifferentDevices.selector), "", "");
        b = a;
        refuse(abi.encodeWithSelector(Stake.SameReceipt.selector), "", "");
    }

    /// Anybody can make a key, have it enrolled, hand it over, and sign receipts in the name of a node with it: the node must have signed one.
    function test_refuses_a_device_that_the_node_never_worked_with() public {
        (uint256 x, uint256 y) = vm.publicKeyP256(0xBAD);
        a.device = b.device = keccak256(abi.encode(x, y));
        vm.startPrank(GOVERNOR);
        registry.enrolDevice(a.device, GOVERNOR, CELL);
        registry.transferDevice(a.device, node);
        vm.stopPrank();
        (bytes memory sig, bytes memory pa, bytes memory pb) = (signed(0xBAD, a), proofOf(0xBAD, a), proofOf(0xBAD, b));
        vm.expectRevert(abi.encodeWithSelector(Stake.BadSignature.selector));
        stake.slashDeviceEquivocation(a, sig, pa, b, pb);
    }
}
