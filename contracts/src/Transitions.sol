// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {Evidence} from "./Evidence.sol";
import {ISettlement} from "./interfaces/ISettlement.sol";
import {Jobs} from "./Jobs.sol";
import {Receipts} from "./Receipts.sol";

/// @dev What a shown breach returns. No getter: whatever returns it convicts.
bytes32 constant BREACH = keccak256("proofmesh/breach/v1");

/// @title Which epochs cannot follow from the ones before: rules of the market that Merkle paths alone can show broken.
/// @notice Settlement.strike asks here. Every function returns BREACH if what is shown breaks its rule in `epoch`, and reverts otherwise; there is no
/// other function. No honest poster breaks any of these rules, so an accuser needs no bond. Holds no money and no state.
contract Transitions {
    /// @notice One account's leaf in a balances tree.
    struct Balance {
        address account;
        uint256 cumulative;
        bytes32[] proof;
    }

    /// @notice One receipt in the receipts tree of a standing epoch.
    struct Settled {
        uint64 epoch;
        Receipts.Receipt receipt;
        bytes32[] proof;
    }

    error BadProof();
    error NoBreach();
    /// @notice No part of what is shown lies in the accused epoch.
    error NotThisEpoch();
    /// @notice Accounts or digests are not strictly ascending, so that one could be counted twice.
    error NotAscending();

    /// @notice Rule: a cumulative balance never falls from one epoch to the next.
    function balanceFell(ISettlement books, uint64 epoch, Balance calldata was, Balance calldata now_)
        external
        view
        returns (bytes32)
    {
        (bytes32 rootBefore,,) = books.roots(epoch - 1);
        (bytes32 root,,) = books.roots(epoch);
        _requireLeaf(rootBefore, was);
        _requireLeaf(root, now_);
        if (was.account != now_.account) revert NoBreach();
        return _breach(now_.cumulative < was.cumulative);
    }

    /// @notice Rule: no cumulative balance is below what the account has claimed.
    function belowClaimed(ISettlement books, uint64 epoch, Balance calldata now_) external view returns (bytes32) {
        (bytes32 root,,) = books.roots(epoch);
        _requireLeaf(root, now_);
        return _breach(now_.cumulative < books.claimedOf(now_.account));
    }

    /// @notice Rule: an account has one leaf.
    function accountTwice(ISettlement books, uint64 epoch, Balance calldata a, Balance calldata b)
        external
        view
        returns (bytes32)
    {
        (bytes32 root,,) = books.roots(epoch);
        _requireLeaf(root, a);
        _requireLeaf(root, b);
        return _breach(a.account == b.account && a.cumulative != b.cumulative);
    }

    /// @notice Rule: leaves add up to `total`. Shown by leaves of different accounts, ascending, that add up to more.
    function sumAboveTotal(ISettlement books, uint64 epoch, Balance[] calldata balances) external view returns (bytes32) {
        (bytes32 root,, uint256 total) = books.roots(epoch);
        uint256 sum;
        address last;
        for (uint256 i; i < balances.length; ++i) {
            Balance calldata b = balances[i];
            _requireLeaf(root, b);
            if (i != 0 && b.account <= last) revert NotAscending();
            last = b.account;
            // One leaf alone may say anything up to 2^256 - 1: above the total is above the total.
            if (b.cumulative > total) return BREACH;
            sum += b.cumulative;
        }
        return _breach(sum > total);
    }

    /// @notice Rules: a window of a device is paid once by a job; a place in a node's chain of receipts is settled once. So no receipt is settled twice,
    /// in two epochs or in one.
    function paidTwice(ISettlement books, uint64 epoch, Settled calldata a, Settled calldata b)
        external
        view
        returns (bytes32)
    {
        if (a.epoch != epoch && b.epoch != epoch) revert NotThisEpoch();
        bytes32 digest = _requireSettled(books, a);
        if (digest == _requireSettled(books, b) && a.epoch == b.epoch) {
            return _breach(_isTwice(Receipts.leaf(digest), a.proof, b.proof));
        }
        (Receipts.Receipt calldata x, Receipts.Receipt calldata y) = (a.receipt, b.receipt);
        bool window = x.job == y.job && x.device == y.device && x.windowStart == y.windowStart;
        return _breach(window || (x.node == y.node && x.sequence == y.sequence));
    }

    /// @notice Rule: a job pays for `maxUnits` at most. Shown by receipts of one job, ascending by digest, with more units together.
    function aboveCap(ISettlement books, uint64 epoch, Jobs.Job calldata job, Settled[] calldata receipts)
        external
        view
        returns (bytes32)
    {
        bytes32 id = Jobs.id(job, books.domainSeparator());
        uint256 units;
        bytes32 last;
        bool here;
        for (uint256 i; i < receipts.length; ++i) {
            Settled calldata s = receipts[i];
            bytes32 digest = _requireSettled(books, s);
            if (digest <= last) revert NotAscending();
            last = digest;
            if (s.receipt.job != id) revert NoBreach();
            units += s.receipt.units;
            here = here || s.epoch == epoch;
        }
        if (!here) revert NotThisEpoch();
        return _breach(units > job.maxUnits);
    }

    /// @notice Rule: a settled receipt keeps the terms of its job: service, model, input, window, units.
    function againstJob(ISettlement books, uint64 epoch, Jobs.Job calldata job, Settled calldata s)
        external
        view
        returns (bytes32)
    {
        if (s.epoch != epoch) revert NotThisEpoch();
        _requireSettled(books, s);
        if (s.receipt.job != Jobs.id(job, books.domainSeparator())) revert NoBreach();
        return _breach(!Evidence.isLawful(s.receipt, job));
    }

    // ---------------------------------------------------------------- below

    function _breach(bool shown) private pure returns (bytes32) {
        if (!shown) revert NoBreach();
        return BREACH;
    }

    function _requireLeaf(bytes32 root, Balance calldata b) private pure {
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(b.account, b.cumulative))));
        if (!MerkleProof.verifyCalldata(b.proof, root, leaf)) revert BadProof();
    }

    function _requireSettled(ISettlement books, Settled calldata s) private view returns (bytes32 digest) {
        (, bytes32 root,) = books.roots(s.epoch);
        digest = books.receiptDigest(s.receipt);
        if (!MerkleProof.verifyCalldata(s.proof, root, Receipts.leaf(digest))) revert BadProof();
    }

    /// @dev Pairs are hashed in either order, so a path does not say where its leaf is. But two different paths from one leaf to one root, or a
    /// node that is its own sibling, exist only where the leaf lies under both: Keccak has no collisions, and no inner node is a leaf.
    function _isTwice(bytes32 node, bytes32[] calldata a, bytes32[] calldata b) private pure returns (bool) {
        if (a.length != b.length) return true;
        for (uint256 i; i < a.length; ++i) {
            if (a[i] != b[i] || a[i] == node) return true;
            (bytes32 low, bytes32 high) = node < a[i] ? (node, a[i]) : (a[i], node);
            node = keccak256(abi.encode(low, high));
        }
        return false;
    }
}
