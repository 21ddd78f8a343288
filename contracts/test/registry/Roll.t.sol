// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base} from "../Base.sol";
import {Registry} from "../../src/Registry.sol";

/// Devices by the root of a batch: append, prove, unpack, revoke.
contract RollTest is Base {
    uint256 private constant DEPTH = 24;

    function keyOf(uint256 i) private pure returns (bytes32) {
        return keccak256(abi.encode("device", i));
    }

    function leafOf(uint256 i) private view returns (bytes32) {
        return registry.deviceLeaf(keyOf(i), node, uint64(i));
    }

    function hash(bytes32 a, bytes32 b) private pure returns (bytes32) {
        return keccak256(abi.encode(a, b));
    }

    /// Root of the subtree over devices first .. first + 2^height.
    function subtree(uint256 first, uint256 height) private view returns (bytes32) {
        if (height == 0) return leafOf(first);
        return hash(subtree(first, height - 1), subtree(first + (1 << (height - 1)), height - 1));
    }

    /// Root over `count` devices in a subtree of `height`, computed the plain way.
    function plain(uint256 first, uint256 count, uint256 height) private view returns (bytes32) {
        if (height == 0) return first < count ? leafOf(first) : bytes32(0);
        if (first >= count) {
            bytes32 empty;
            for (uint256 i; i < height; ++i) {
                empty = hash(empty, empty);
            }
            return empty;
        }
        uint256 half = 1 << (height - 1);
        return hash(plain(first, count, height - 1), plain(first + half, count, height - 1));
    }

    function place(uint256 index, uint256 count) private view returns (Registry.Place memory p) {
        (p.maker, p.index) = (1, uint32(index));
        for (uint256 level; level < DEPTH; ++level) {
            p.proof[level] = plain((index >> level ^ 1) << level, count, level);
        }
    }

    function append(uint256 first, uint8 height) private {
        bytes32 root = subtree(first, height);
        vm.prank(GOVERNOR);
        registry.appendDevices(root, height);
    }

    function test_batches_of_any_size_give_the_plain_tree() public {
        uint256 count;
        uint8[7] memory heights = [3, 0, 0, 1, 2, 4, 0];
        for (uint256 i; i < heights.length; ++i) {
            append(count, heights[i]);
            count += 1 << heights[i];
            (bytes32 root, uint32 stored) = registry.rollOf(1);
            eq(stored, count, "count");
            yes(root == plain(0, count, DEPTH), "root");
        }
        for (uint256 i; i < count; i += 5) {
            yes(registry.isOnRoll(keyOf(i), node, uint64(i), place(i, count)), "member");
            yes(!registry.isOnRoll(keyOf(i + 1), node, uint64(i), place(i, count)), "another key");
            yes(!registry.isOnRoll(keyOf(i), STRANGER, uint64(i), place(i, count)), "another owner");
            yes(!registry.isOnRoll(keyOf(i), node, uint64(i + 1), place(i, count)), "another cell");
            Registry.Place memory p = place(i, count);
            p.index ^= 1;
            yes(!registry.isOnRoll(keyOf(i), node, uint64(i), p), "another place");
            p = place(i, count);
            p.maker = 2;
            yes(!registry.isOnRoll(keyOf(i), node, uint64(i), p), "another maker");
            p = place(i, count);
            p.proof[7] ^= bytes32(uint256(1));
            yes(!registry.isOnRoll(keyOf(i), node, uint64(i), p), "another sibling");
        }
    }

    function testFuzz_single_devices_one_after_the_other(uint8 more) public {
        uint256 count = 1 + more % 20;
        for (uint256 i; i < count; ++i) {
            append(i, 0);
        }
        (bytes32 root,) = registry.rollOf(1);
        yes(root == plain(0, count, DEPTH), "root");
        yes(registry.isOnRoll(keyOf(count - 1), node, uint64(count - 1), place(count - 1, count)), "the last");
    }

    /// An index beyond the count is no place, though its path to the root is right (an empty leaf has no preimage either).
    function test_places_beyond_the_count_are_none() public {
        append(0, 0);
        yes(!registry.isOnRoll(keyOf(1), node, 1, place(1, 1)), "beyond");
    }

    function test_append_refusals() public {
        vm.expectRevert(abi.encodeWithSelector(Registry.NotMaker.selector));
        registry.appendDevices("x", 0);
        vm.startPrank(GOVERNOR);
        vm.expectRevert(abi.encodeWithSelector(Registry.ZeroValue.selector));
        registry.appendDevices(0, 0);
        vm.expectRevert(abi.encodeWithSelector(Registry.Misaligned.selector, 0, 25));
        registry.appendDevices("x", 25);
        registry.appendDevices("x", 0);
        vm.expectRevert(abi.encodeWithSelector(Registry.Misaligned.selector, 1, 3));
        registry.appendDevices("x", 3);
        vm.stopPrank();
        vm.prank(GOVERNOR);
        registry.setRoles(BUYER, 1);
        vm.startPrank(BUYER);
        registry.appendDevices("all", 24);
        vm.expectRevert(abi.encodeWithSelector(Registry.RollFull.selector, 1 << 24));
        registry.appendDevices("x", 0);
        vm.stopPrank();
        (bytes32 mine,) = registry.rollOf(1);
        (bytes32 theirs, uint32 count) = registry.rollOf(2);
        yes(mine != theirs && theirs == "all" && count == 1 << 24, "one roll a maker");
    }

    function test_a_device_is_unpacked_once_and_then_like_any_other() public {
        append(0, 2);
        Registry.Place memory p = place(2, 4);
        vm.expectRevert(abi.encodeWithSelector(Registry.NotOnRoll.selector, 1, 2));
        registry.unpackDevice(keyOf(2), STRANGER, 2, p);
        vm.prank(STRANGER);
        registry.unpackDevice(keyOf(2), node, 2, p);
        Registry.Device memory d = registry.device(keyOf(2));
        yes(d.owner == node && d.cell == 2 && d.maker == 1 && d.status == 1, "whole");
        vm.expectRevert(abi.encodeWithSelector(Registry.DeviceExists.selector, keyOf(2)));
        registry.unpackDevice(keyOf(2), node, 2, p);
        vm.prank(node);
        registry.revokeDevice(keyOf(2));
        vm.expectRevert(abi.encodeWithSelector(Registry.DeviceExists.selector, keyOf(2)));
        registry.unpackDevice(keyOf(2), node, 2, p);
        // Its record rules: the place is not revoked a second way.
        vm.expectRevert(abi.encodeWithSelector(Registry.DeviceExists.selector, keyOf(2)));
        vm.prank(node);
        registry.revokePlace(keyOf(2), node, 2, p);
    }

    function test_a_revoked_place_never_comes_back() public {
        append(0, 2);
        Registry.Place memory p = place(3, 4);
        vm.expectRevert(abi.encodeWithSelector(Registry.NotAllowed.selector));
        vm.prank(STRANGER);
        registry.revokePlace(keyOf(3), node, 3, p);
        vm.prank(node);
        registry.revokePlace(keyOf(3), node, 3, p);
        yes(!registry.isOnRoll(keyOf(3), node, 3, p), "revoked");
        yes(registry.isOnRoll(keyOf(2), node, 2, place(2, 4)), "its neighbour stands");
        vm.expectRevert(abi.encodeWithSelector(Registry.NotOnRoll.selector, 1, 3));
        registry.unpackDevice(keyOf(3), node, 3, p);
        append(4, 0);
        yes(!registry.isOnRoll(keyOf(3), node, 3, place(3, 5)), "in later roots too");
    }
}
