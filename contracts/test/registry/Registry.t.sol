// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base} from "../Base.sol";
import {Registry} from "../../src/Registry.sol";
import {Groth16Verifier} from "../../src/verifiers/Groth16Verifier.sol";
import {Toy} from "../Toy.sol";
import {IProofVerifier} from "../../src/interfaces/IProofVerifier.sol";

contract RegistryTest is Base {
    bytes32 private constant KEY = keccak256("device");

    function refuse(bytes4 why, address by) private {
        vm.expectRevert(abi.encodeWithSelector(why));
        vm.prank(by);
    }

    function test_the_office_goes_over_in_two_steps() public {
        refuse(Registry.NotGovernor.selector, STRANGER);
        registry.proposeGovernor(STRANGER);
        vm.prank(GOVERNOR);
        registry.proposeGovernor(BUYER);
        refuse(Registry.NotAllowed.selector, STRANGER);
        registry.acceptGovernor();
        vm.prank(BUYER);
        registry.acceptGovernor();
        refuse(Registry.NotGovernor.selector, GOVERNOR);
        registry.setRoles(GOVERNOR, 0);
    }

    function test_a_verifier_is_set_once_by_the_governor() public {
        Groth16Verifier other = new Groth16Verifier(Toy.key(1), Toy.caps());
        refuse(Registry.NotGovernor.selector, STRANGER);
        registry.setVerifier(9, other);
        refuse(Registry.ZeroValue.selector, GOVERNOR);
        registry.setVerifier(9, IProofVerifier(address(0)));
        vm.prank(GOVERNOR);
        registry.setVerifier(9, other);
        vm.expectRevert(abi.encodeWithSelector(Registry.VerifierExists.selector, 9));
        vm.prank(GOVERNOR);
        registry.setVerifier(9, verifier);
        yes(address(registry.verifierOfKey(other.keyHash())) == address(other), "by key");
        (IProofVerifier found, uint64 since) = registry.verifierOf(MODEL);
        yes(address(found) == address(verifier) && since == T0 - 1, "of the model's class");
        (found,) = registry.verifierOf(KEY);
        yes(address(found) == address(0), "none for an unknown model");
        // An account without code names no key.
        vm.expectRevert();
        vm.prank(GOVERNOR);
        registry.setVerifier(10, IProofVerifier(address(7)));
    }

    function test_a_class_with_models_gets_its_verifier_after_the_delay_only() public {
        Groth16Verifier other = new Groth16Verifier(Toy.key(1), Toy.caps());
        vm.startPrank(GOVERNOR);
        registry.registerModel(KEY, 0, 2);
        vm.expectRevert(abi.encodeWithSelector(Registry.ClassInUse.selector, 2));
        registry.setVerifier(2, other);
        vm.stopPrank();
        refuse(Registry.NotGovernor.selector, STRANGER);
        registry.proposeVerifier(2, other);
        vm.expectRevert(abi.encodeWithSelector(Registry.NoProposal.selector, 2));
        registry.acceptVerifier(2);
        uint256 ready = block.timestamp + VERIFIER_DELAY;
        vm.startPrank(GOVERNOR);
        registry.proposeVerifier(2, other);
        vm.expectRevert(abi.encodeWithSelector(Registry.VerifierExists.selector, 1));
        registry.proposeVerifier(1, other);
        vm.stopPrank();
        vm.warp(ready - 1);
        vm.expectRevert(abi.encodeWithSelector(Registry.TooEarly.selector, ready));
        registry.acceptVerifier(2);
        vm.warp(ready);
        registry.acceptVerifier(2);
        (IProofVerifier found, uint64 since) = registry.verifierOf(KEY);
        yes(address(found) == address(other) && since == ready, "set");
        vm.expectRevert(abi.encodeWithSelector(Registry.NoProposal.selector, 2));
        registry.acceptVerifier(2);
    }

    function test_enrolDevice_refusals() public {
        refuse(Registry.NotMaker.selector, STRANGER);
        registry.enrolDevice(KEY, node, 1);
        refuse(Registry.ZeroValue.selector, GOVERNOR);
        registry.enrolDevice(0, node, 1);
        refuse(Registry.ZeroValue.selector, GOVERNOR);
        registry.enrolDevice(KEY, address(0), 1);
        vm.expectRevert(abi.encodeWithSelector(Registry.DeviceExists.selector, stations[0]));
        vm.prank(GOVERNOR);
        registry.enrolDevice(stations[0], node, 1);
    }

    function test_a_revoked_device_never_comes_back() public {
        refuse(Registry.NotAllowed.selector, STRANGER);
        registry.revokeDevice(stations[0]);
        vm.prank(node);
        registry.revokeDevice(stations[0]);
        yes(!registry.isActiveDevice(stations[0]), "revoked");
        bytes memory gone = abi.encodeWithSelector(Registry.DeviceNotActive.selector, stations[0]);
        vm.expectRevert(gone);
        vm.prank(node);
        registry.revokeDevice(stations[0]);
        vm.expectRevert(gone);
        vm.prank(node);
        registry.transferDevice(stations[0], BUYER);
        vm.expectRevert(abi.encodeWithSelector(Registry.DeviceExists.selector, stations[0]));
        vm.prank(GOVERNOR);
        registry.enrolDevice(stations[0], node, 1);
    }

    /// An account that never was a maker has maker id 0, which no device has.
    function test_another_maker_revokes_nothing_of_mine() public {
        vm.prank(GOVERNOR);
        registry.setRoles(BUYER, 1);
        refuse(Registry.NotAllowed.selector, BUYER);
        registry.revokeDevice(stations[0]);
    }

    function test_transferDevice_refusals() public {
        refuse(Registry.NotAllowed.selector, GOVERNOR);
        registry.transferDevice(stations[0], BUYER);
        refuse(Registry.ZeroValue.selector, node);
        registry.transferDevice(stations[0], address(0));
        vm.prank(node);
        registry.transferDevice(stations[0], BUYER);
        yes(registry.device(stations[0]).owner == BUYER, "handed over");
        refuse(Registry.NotAllowed.selector, node);
        registry.revokeDevice(stations[0]);
    }

    function test_models_are_their_publishers() public {
        refuse(Registry.NotPublisher.selector, STRANGER);
        registry.registerModel(KEY, 0, 1);
        refuse(Registry.ZeroValue.selector, GOVERNOR);
        registry.registerModel(0, 0, 1);
        vm.expectRevert(abi.encodeWithSelector(Registry.ModelExists.selector, MODEL));
        vm.prank(GOVERNOR);
        registry.registerModel(MODEL, 0, 1);
        refuse(Registry.NotAllowed.selector, STRANGER);
        registry.revokeModel(MODEL);
        vm.prank(GOVERNOR);
        registry.revokeModel(MODEL);
        vm.expectRevert(abi.encodeWithSelector(Registry.ModelNotActive.selector, MODEL));
        vm.prank(GOVERNOR);
        registry.revokeModel(MODEL);
        vm.expectRevert(abi.encodeWithSelector(Registry.ModelExists.selector, MODEL));
        vm.prank(GOVERNOR);
        registry.registerModel(MODEL, 0, 1);
    }

    function test_nodes_are_their_operators() public {
        refuse(Registry.ZeroValue.selector, node);
        registry.registerNode(address(0));
        vm.prank(node);
        registry.registerNode(BUYER);
        vm.expectRevert(abi.encodeWithSelector(Registry.NodeExists.selector, node));
        vm.prank(node);
        registry.registerNode(BUYER);
        refuse(Registry.NotAllowed.selector, node);
        registry.retireNode(node);
        vm.prank(BUYER);
        registry.transferNode(node, BUYER2);
        refuse(Registry.NotAllowed.selector, BUYER);
        registry.transferNode(node, BUYER);
        vm.prank(BUYER2);
        registry.retireNode(node);
        vm.expectRevert(abi.encodeWithSelector(Registry.NodeNotActive.selector, node));
        vm.prank(BUYER2);
        registry.retireNode(node);
    }

    function testFuzz_a_device_is_stored_whole(bytes32 key, address owner, uint64 cell) public {
        vm.assume(key != 0 && owner != address(0) && registry.device(key).status == 0);
        vm.prank(GOVERNOR);
        registry.enrolDevice(key, owner, cell);
        Registry.Device memory d = registry.device(key);
        yes(d.owner == owner && d.cell == cell && d.maker == 1 && d.status == 1, "whole");
    }
}
