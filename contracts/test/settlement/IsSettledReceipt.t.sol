// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base} from "../Base.sol";
import {Settlement} from "../../src/Settlement.sol";

contract IsSettledReceiptTest is Base {
    function test_no_epoch_before_its_time() public {
        bytes32 digest = postReceipt(1, receipt(stations[0], 0, ""));
        yes(!settlement.isSettledReceipt(digest, 1, none()), "pending");
        finish();
        yes(settlement.isSettledReceipt(digest, 1, none()), "final");
        yes(!settlement.isSettledReceipt(digest, 0, none()), "epoch 0");
        yes(!settlement.isSettledReceipt(digest, 2, none()), "unposted");
        yes(!settlement.isSettledReceipt(receiptLeaf(digest), 1, none()), "a leaf is no digest");
    }

    function test_an_empty_root_holds_nothing() public {
        post(1, 0, 0, 0);
        finish();
        yes(!settlement.isSettledReceipt(0, 1, none()), "zero");
    }

    function testFuzz_every_leaf_and_no_other(uint8 count, uint8 pick, bytes32 other) public {
        uint256 n = 1 + count % 40;
        uint256 i = pick % n;
        bytes32[] memory leaves = new bytes32[](n);
        for (uint256 k; k < n; ++k) {
            leaves[k] = receiptLeaf(bytes32(k));
        }
        (bytes32 root, bytes32[] memory proof) = tree(leaves, i);
        post(1, 0, root, 0);
        finish();
        yes(settlement.isSettledReceipt(bytes32(i), 1, proof), "in");
        vm.assume(other != bytes32(i));
        yes(!settlement.isSettledReceipt(other, 1, proof), "out");
    }
}
