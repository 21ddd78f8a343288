//! An epoch: what the chain is told, and what a claimant needs to show against it.

use crate::hash::Hash32;
use crate::key::Address;
use crate::money::Usd;
use crate::refusal::{Refusal, require};
use crate::tree::{Tree, balance_leaf, receipt_leaf};
use serde::{Deserialize, Serialize};

/// The arguments of `postEpoch`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Epoch {
    /// From 1, no gaps.
    pub number: u64,
    /// Root of the cumulative balances, leaves in ascending order of account.
    pub balances_root: Hash32,
    /// Root of the receipts settled in this epoch, in the order of their acceptance.
    pub receipts_root: Hash32,
    /// Head of the log's hash chain, the closing event included.
    pub log_hash: Hash32,
    /// Sum of all cumulative balances.
    pub total: Usd,
}

impl Epoch {
    /// Refuses another epoch than this one, naming the first field that differs.
    ///
    /// # Errors
    /// `epoch.number`, `epoch.balances-root`, `epoch.receipts-root`, `epoch.log-hash`, `epoch.total`.
    pub fn require_same(&self, other: &Epoch) -> Result<(), Refusal> {
        require(self.number == other.number, "epoch.number", self.number, other.number)?;
        require(self.log_hash == other.log_hash, "epoch.log-hash", self.log_hash, other.log_hash)?;
        require(
            self.receipts_root == other.receipts_root,
            "epoch.receipts-root",
            self.receipts_root,
            other.receipts_root,
        )?;
        require(
            self.balances_root == other.balances_root,
            "epoch.balances-root",
            self.balances_root,
            other.balances_root,
        )?;
        require(self.total == other.total, "epoch.total", self.total, other.total)
    }
}

/// A closed epoch with what its trees were made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedEpoch {
    /// What is posted.
    pub epoch: Epoch,
    /// Cumulative balances above zero, ascending by account.
    pub balances: Vec<(Address, Usd)>,
    /// Digests of the receipts settled, in the order of their acceptance.
    pub receipts: Vec<Hash32>,
}

impl ClosedEpoch {
    /// Takes the roots.
    pub(crate) fn new(
        number: u64,
        log_hash: Hash32,
        total: Usd,
        balances: Vec<(Address, Usd)>,
        receipts: Vec<Hash32>,
    ) -> Self {
        let balances_root = balance_tree(&balances).root();
        let receipts_root = receipt_tree(&receipts).root();
        ClosedEpoch {
            epoch: Epoch { number, balances_root, receipts_root, log_hash, total },
            balances,
            receipts,
        }
    }

    /// The account's cumulative balance and its proof, or `None` when it has none.
    #[must_use]
    pub fn balance_proof(&self, account: &Address) -> Option<(Usd, Vec<Hash32>)> {
        let index = self.balances.binary_search_by_key(account, |(address, _)| *address).ok()?;
        Some((self.balances[index].1, balance_tree(&self.balances).proof(index)?))
    }

    /// The proof of a receipt settled in this epoch, or `None`.
    #[must_use]
    pub fn receipt_proof(&self, digest: &Hash32) -> Option<Vec<Hash32>> {
        let index = self.receipts.iter().position(|receipt| receipt == digest)?;
        receipt_tree(&self.receipts).proof(index)
    }
}

fn balance_tree(balances: &[(Address, Usd)]) -> Tree {
    Tree::new(balances.iter().map(|(account, cumulative)| balance_leaf(account, *cumulative)).collect())
}

fn receipt_tree(receipts: &[Hash32]) -> Tree {
    Tree::new(receipts.iter().map(receipt_leaf).collect())
}
