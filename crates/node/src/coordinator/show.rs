//! What there is to see: documents of the state.

use super::Coordinator;
use crate::fault::{Fault, Result};
use crate::wire::{
    AccountDoc, BalanceDoc, EpochDoc, Hex, JobDoc, LogDoc, NodeDoc, ReceiptDoc, ReceiptProofDoc, StatusDoc,
};
use proofmesh_market::epoch::ClosedEpoch;
use proofmesh_market::state::ReceiptStatus;
use proofmesh_market::{Address, Hash32, State, conservation};
use std::ops::Bound;
use std::sync::PoisonError;

/// Records of one page of the log.
pub const LOG_PAGE: usize = 512;
/// Which part of a list is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// What comes after this one; from the beginning if there is none.
    pub after: Option<Hash32>,
    /// At most so many.
    pub limit: usize,
}

impl Coordinator {
    /// The whole, in short.
    ///
    /// # Errors
    /// `market.not-open`: not once it is open.
    pub fn status(&self, rpc: Option<String>) -> Result<StatusDoc> {
        let models = self.models.read().unwrap_or_else(PoisonError::into_inner).ids();
        let wrappable = models.iter().copied().filter(|model| self.is_wrappable(model)).collect();
        let now_s = self.time().now_s();
        let deployment = self.settlement().deployment().clone();
        self.with_state(|state| {
            let rules = state.rules().cloned();
            let rules = rules.ok_or_else(|| Fault::trouble("market.not-open", "an open market", "none"))?;
            Ok(StatusDoc {
                domain: rules.domain,
                deployment,
                rpc,
                now_s,
                events: state.events(),
                log_hash: state.log_hash(),
                rules,
                models,
                wrappable,
                epochs: state.epochs().len() as u64,
                posted: state.posted().len() as u64,
                money: conservation(state).into(),
            })
        })
    }

    /// An account.
    #[must_use]
    pub fn account(&self, account: &Address) -> AccountDoc {
        self.with_state(|state| AccountDoc {
            account: *account,
            balance: state.balance(account),
            cumulative: state.ledger().claim(account),
            withdrawal_nonce: state.withdrawal_nonce(account),
        })
    }

    /// A node.
    ///
    /// # Errors
    /// `node.unknown`.
    pub fn node(&self, node: &Address) -> Result<NodeDoc> {
        self.with_state(|state| {
            let known = state.nodes().get(node);
            known
                .map(|known| NodeDoc::of(node, known))
                .ok_or_else(|| Fault::refused("node.unknown", "an enrolled node", node))
        })
    }

    /// A page of all jobs, ascending.
    #[must_use]
    pub fn jobs(&self, page: &Page) -> Vec<JobDoc> {
        let from = page.after.map_or(Bound::Unbounded, Bound::Excluded);
        self.with_state(|state| {
            let found = state.jobs().range((from, Bound::Unbounded)).take(page.limit);
            found.map(|(id, posted)| JobDoc::of(id, posted, state.escrow(id))).collect()
        })
    }

    /// A page of the jobs that a node was drawn for and that are not over, ascending.
    #[must_use]
    pub fn jobs_of(&self, node: &Address, page: &Page) -> Vec<JobDoc> {
        self.with_tally(|state, tally| {
            let found = tally.at_work(node, page.after).take(page.limit);
            let found = found.filter_map(|id| state.jobs().get_key_value(id));
            found.map(|(id, posted)| JobDoc::of(id, posted, state.escrow(id))).collect()
        })
    }

    /// All jobs of a buyer.
    #[must_use]
    pub fn jobs_bought(&self, buyer: &Address) -> Vec<JobDoc> {
        self.with_tally(|state, tally| {
            let found = tally.bought(buyer).iter().filter_map(|id| state.jobs().get_key_value(id));
            found.map(|(id, posted)| JobDoc::of(id, posted, state.escrow(id))).collect()
        })
    }

    /// A job.
    ///
    /// # Errors
    /// `job.unknown`.
    pub fn job(&self, id: &Hash32) -> Result<JobDoc> {
        self.with_state(|state| {
            let posted = state.jobs().get(id);
            posted
                .map(|posted| JobDoc::of(id, posted, state.escrow(id)))
                .ok_or_else(|| Fault::refused("job.unknown", "a posted job", id))
        })
    }

    /// A page of a job's receipts, in the order in which they came.
    ///
    /// # Errors
    /// `receipt.unknown` when the page is to begin after a receipt that the job has not.
    pub fn receipts_of(&self, job: &Hash32, page: &Page) -> Result<Vec<ReceiptDoc>> {
        self.with_tally(|state, tally| {
            let all = tally.receipts(job);
            let from = match &page.after {
                None => 0,
                Some(after) => {
                    let place = all.iter().rposition(|digest| digest == after);
                    1 + place
                        .ok_or_else(|| Fault::refused("receipt.unknown", "a receipt of the job", after))?
                }
            };
            let found = all[from..].iter().take(page.limit);
            let found = found.filter_map(|digest| state.receipts().get_key_value(digest));
            Ok(found.map(|(digest, found)| ReceiptDoc::of(digest, found)).collect())
        })
    }

    /// An epoch.
    ///
    /// # Errors
    /// `epoch.unknown`.
    pub fn epoch(&self, number: u64) -> Result<EpochDoc> {
        self.with_state(|state| {
            let closed = closed(state, number)?;
            Ok(EpochDoc {
                epoch: closed.epoch.clone(),
                posted: state.posted().get(&number).copied(),
                receipts: closed.receipts.clone(),
                balances: closed.balances.clone(),
            })
        })
    }

    /// An account's balance in an epoch, with its proof.
    ///
    /// # Errors
    /// `epoch.unknown`, `epoch.no-balance`.
    pub fn balance_proof(&self, number: u64, account: &Address) -> Result<BalanceDoc> {
        self.with_state(|state| {
            let (cumulative, proof) = closed(state, number)?.balance_proof(account).ok_or_else(|| {
                Fault::refused("epoch.no-balance", format_args!("a balance in epoch {number}"), account)
            })?;
            Ok(BalanceDoc { epoch: number, account: *account, cumulative, proof })
        })
    }

    /// A settled receipt, with its proof.
    ///
    /// # Errors
    /// `receipt.unknown`, `receipt.not-settled`.
    pub fn receipt_proof(&self, digest: &Hash32) -> Result<ReceiptProofDoc> {
        self.with_state(|state| {
            let found = state.receipts().get(digest);
            let found =
                found.ok_or_else(|| Fault::refused("receipt.unknown", "a delivered receipt", digest))?;
            let ReceiptStatus::Settled { epoch, .. } = found.status else {
                return Err(Fault::refused("receipt.not-settled", "a receipt of a closed epoch", digest));
            };
            let proof = closed(state, epoch)?.receipt_proof(digest);
            let proof =
                proof.ok_or_else(|| Fault::trouble("epoch.receipt", "a receipt of its epoch", digest))?;
            Ok(ReceiptProofDoc { epoch, digest: *digest, wire: Hex(found.signed.encode()), proof })
        })
    }

    /// A page of the log.
    ///
    /// # Errors
    /// `file.io`.
    pub fn log_page(&self, from: u64) -> Result<LogDoc> {
        let records = self.records(from, LOG_PAGE)?;
        Ok(LogDoc { from, records: records.into_iter().map(Hex).collect() })
    }
}

fn closed(state: &State, number: u64) -> Result<&ClosedEpoch> {
    let index = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
    index
        .and_then(|index| state.epochs().get(index))
        .ok_or_else(|| Fault::refused("epoch.unknown", format_args!("1 to {}", state.epochs().len()), number))
}
