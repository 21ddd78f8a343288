// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Vm} from "../Base.sol";
import {Registry} from "../../src/Registry.sol";
import {Settlement} from "../../src/Settlement.sol";
import {TestUSD} from "../../src/TestUSD.sol";
import {Transitions} from "../../src/Transitions.sol";

/// For halmos (contracts/README.md): for every account and every amount, not for samples.
contract ClaimSymbolic {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    TestUSD private token;
    Settlement private books;

    function setUp() public {
        vm.warp(1_767_225_600);
        token = new TestUSD(address(this));
        Registry registry = new Registry(address(this), 7 days);
        books = new Settlement(
            Settlement.Config(address(token), registry, new Transitions(), address(this), address(0), 1 hours, 600, 0, 0)
        );
        token.mint(address(this), 1e12);
        token.approve(address(books), type(uint256).max);
        books.deposit(1e12);
    }

    /// A claim pays the account exactly what its leaf says beyond what it has, and no second claim of the same leaf pays anything.
    function check_a_claim_credits_exactly_once(address account, uint256 cumulative) public {
        vm.assume(account != address(books) && account != address(this) && account != address(0));
        bytes32 root = keccak256(bytes.concat(keccak256(abi.encode(account, cumulative))));
        books.postEpoch(1, root, 0, 0, 1e12);
        vm.warp(block.timestamp + 1 hours);
        bytes32[] memory none = new bytes32[](0);
        try books.claim(account, cumulative, none) returns (uint256 paid) {
            assert(paid == cumulative && cumulative != 0 && cumulative <= 1e12);
            assert(token.balanceOf(account) == cumulative);
            assert(books.totalClaimed() == cumulative);
            (bool again,) = address(books).call(abi.encodeCall(books.claim, (account, cumulative, none)));
            assert(!again);
            assert(token.balanceOf(account) == cumulative);
        } catch {
            assert(cumulative == 0 || cumulative > 1e12);
            assert(token.balanceOf(account) == 0);
        }
    }

    /// No amount but the leaf's is ever paid.
    function check_another_amount_is_refused(address account, uint256 cumulative, uint256 asked) public {
        vm.assume(asked != cumulative);
        bytes32 root = keccak256(bytes.concat(keccak256(abi.encode(account, cumulative))));
        books.postEpoch(1, root, 0, 0, 1e12);
        vm.warp(block.timestamp + 1 hours);
        (bool paid,) = address(books).call(abi.encodeCall(books.claim, (account, asked, new bytes32[](0))));
        assert(!paid);
    }
}
