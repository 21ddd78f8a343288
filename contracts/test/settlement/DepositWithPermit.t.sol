// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base} from "../Base.sol";
import {Settlement} from "../../src/Settlement.sol";

contract DepositWithPermitTest is Base {
    uint256 private constant KEY = 0xB0B;

    function permit(uint256 amount, uint256 deadline) private view returns (uint8 v, bytes32 r, bytes32 s) {
        bytes32 inner = keccak256(
            abi.encode(
                keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"),
                vm.addr(KEY),
                address(settlement),
                amount,
                token.nonces(vm.addr(KEY)),
                deadline
            )
        );
        return vm.sign(KEY, keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), inner)));
    }

    function fund(uint256 amount) private returns (address who) {
        who = vm.addr(KEY);
        vm.prank(GOVERNOR);
        token.mint(who, amount);
    }

    function test_refuses_a_permit_of_another_amount() public {
        address who = fund(100);
        (uint8 v, bytes32 r, bytes32 s) = permit(99, T0);
        vm.expectRevert(abi.encodeWithSignature("TransferFromFailed()"));
        vm.prank(who);
        settlement.depositWithPermit(100, T0, v, r, s);
    }

    function test_refuses_a_late_permit() public {
        address who = fund(100);
        (uint8 v, bytes32 r, bytes32 s) = permit(100, T0 - 1);
        vm.expectRevert(abi.encodeWithSignature("TransferFromFailed()"));
        vm.prank(who);
        settlement.depositWithPermit(100, T0 - 1, v, r, s);
    }

    function test_works_though_somebody_used_the_permit_first() public {
        address who = fund(100);
        (uint8 v, bytes32 r, bytes32 s) = permit(100, T0);
        vm.prank(STRANGER);
        token.permit(who, address(settlement), 100, T0, v, r, s);
        vm.prank(who);
        settlement.depositWithPermit(100, T0, v, r, s);
        eq(settlement.totalDeposits(), 100, "total");
    }

    function testFuzz_deposits(uint128 amount) public {
        if (amount == 0) return;
        address who = fund(amount);
        (uint8 v, bytes32 r, bytes32 s) = permit(amount, T0);
        vm.prank(who);
        settlement.depositWithPermit(amount, T0, v, r, s);
        (uint128 deposited,) = settlement.accounts(who);
        eq(deposited, amount, "deposited");
        eq(token.allowance(who, address(settlement)), 0, "nothing left allowed");
    }
}
