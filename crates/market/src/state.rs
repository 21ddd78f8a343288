//! The state of a market: a fold of its events, and nothing else.
//!
//! `BTreeMap` and integers only, so that every machine folds the same log to the same state. Fields are read
//! through methods; they are written by [`State::step`] alone (crate::step).

use crate::epoch::ClosedEpoch;
use crate::event::{ChainRef, Rules};
use crate::guard::Guarded;
use crate::hash::Hash32;
use crate::job::Job;
use crate::key::{Address, Device};
use crate::ledger::{Conservation, Ledger, Purse};
use crate::money::Usd;
use crate::receipt::SignedReceipt;
use crate::verdict::{Reason, Verdict};
use std::collections::{BTreeMap, VecDeque};

/// Whether a node may work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It may.
    Active,
    /// It was refused several times in a row by its own malfunction; its operator may thaw it.
    Frozen {
        /// Unix second.
        since_s: u64,
        /// Number of the event that froze it.
        at_event: u64,
    },
    /// It signed two receipts for one place in its chain. For good.
    Jailed,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Who runs it.
    pub operator: Address,
    /// Next nonce of its enrolment.
    pub nonce: u64,
    /// Stake as last seen on chain.
    pub stake: Usd,
    /// The block at which it was seen.
    pub stake_block: u64,
    /// (service, model; zero for any) to the second at which it expires.
    pub capabilities: BTreeMap<(Hash32, Hash32), u64>,
    /// Whether it may work.
    pub standing: Standing,
    /// Refusals in a row by its own malfunction.
    pub strikes: u32,
    /// Penalties so far.
    pub penalties: u32,
    /// Digests of its receipts, by sequence.
    pub chain: Vec<Hash32>,
}

impl Node {
    /// The sequence number of its next receipt.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.chain.len() as u64
    }

    /// What its next receipt must name as previous.
    #[must_use]
    pub fn head(&self) -> Hash32 {
        self.chain.last().copied().unwrap_or(Hash32::ZERO)
    }
}

/// A device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceBinding {
    /// Its node.
    pub node: Address,
    /// Its cell.
    pub cell: u64,
}

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobStatus {
    /// Posted; nodes are not drawn yet.
    Open,
    /// Nodes work on it.
    Assigned,
    /// Over; the rest of the escrow went back.
    Ended,
}

/// A posted job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostedJob {
    /// What the buyer signed.
    pub job: Job,
    /// The commitment that its nodes are drawn with; zero when a beacon draws them.
    pub draw: Hash32,
    /// Where it is.
    pub status: JobStatus,
    /// Nodes that could be drawn when the job was posted; empty once none of them can be drawn any more.
    pub candidates: Vec<Address>,
    /// The nodes drawn.
    pub nodes: Vec<Address>,
    /// Units accepted so far.
    pub units: u64,
    /// Digests of receipts that wait for a verdict.
    pub pending: std::collections::BTreeSet<Hash32>,
}

impl PostedJob {
    /// Its nodes are drawn.
    pub(crate) fn assign(&mut self, nodes: &[Address]) {
        self.status = JobStatus::Assigned;
        self.candidates = Vec::new();
        self.nodes = nodes.to_vec();
    }
}

/// Where a receipt is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReceiptStatus {
    /// Waits for a verdict.
    Pending,
    /// Not paid. `verdict` is `None` when a rule of the market refused it before any check.
    Refused {
        /// Why.
        reason: Reason,
        /// The verdict, if a checker said so.
        verdict: Option<Verdict>,
        /// Unix second.
        at_s: u64,
    },
    /// Paid out of escrow, waits for an epoch.
    Accepted {
        /// What the node gets.
        share: Usd,
        /// What the vault gets.
        fee: Usd,
        /// The verdict.
        verdict: Verdict,
        /// Unix second.
        at_s: u64,
        /// Number of the accepting event: its place in the order of settlement.
        at_event: u64,
    },
    /// Settled: the node's share is claimable.
    Settled {
        /// In this epoch.
        epoch: u64,
        /// What the node got.
        share: Usd,
        /// What the vault got.
        fee: Usd,
        /// The verdict.
        verdict: Verdict,
    },
}

/// A receipt that took its place in its node's chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveredReceipt {
    /// The receipt with its signatures.
    pub signed: SignedReceipt,
    /// Unix second of delivery.
    pub at_s: u64,
    /// Where it is.
    pub status: ReceiptStatus,
}

/// An open dispute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenDispute {
    /// Who opened it: the buyer of an accepted receipt, or the node of a refused one.
    pub opener: Address,
    /// The other side.
    pub respondent: Address,
    /// Unix second.
    pub opened_s: u64,
}

/// Everything there is to know about a market, folded from its log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    pub(crate) rules: Option<Rules>,
    pub(crate) now_s: u64,
    pub(crate) events: u64,
    pub(crate) log_hash: Hash32,
    pub(crate) ledger: Ledger,
    pub(crate) deposits: BTreeMap<ChainRef, (Address, Usd)>,
    pub(crate) nodes: BTreeMap<Address, Node>,
    pub(crate) devices: BTreeMap<Device, DeviceBinding>,
    pub(crate) draws: VecDeque<Hash32>,
    pub(crate) drawn: std::collections::BTreeSet<Hash32>,
    pub(crate) jobs: BTreeMap<Hash32, PostedJob>,
    /// Apart from their digests: a look for a digest, and room made for one, touches no receipt.
    pub(crate) receipts: BTreeMap<Hash32, Box<DeliveredReceipt>>,
    pub(crate) windows: BTreeMap<(Hash32, Device, u64), Hash32>,
    pub(crate) unsettled: BTreeMap<u64, Hash32>,
    pub(crate) disputes: BTreeMap<Hash32, OpenDispute>,
    pub(crate) disputed: std::collections::BTreeSet<Hash32>,
    pub(crate) withdrawals: BTreeMap<Address, u64>,
    pub(crate) epochs: Vec<ClosedEpoch>,
    pub(crate) posted: BTreeMap<u64, ChainRef>,
    pub(crate) guarded: Option<Guarded>,
}

impl State {
    /// A market before its first event, which must be `Opened`.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The rules, once open.
    #[must_use]
    pub fn rules(&self) -> Option<&Rules> {
        self.rules.as_ref()
    }

    /// The second of the last event.
    #[must_use]
    pub fn now_s(&self) -> u64 {
        self.now_s
    }

    /// Events folded so far.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Head of the log's hash chain.
    #[must_use]
    pub fn log_hash(&self) -> Hash32 {
        self.log_hash
    }

    /// All money by place.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// An account's spendable balance.
    #[must_use]
    pub fn balance(&self, account: &Address) -> Usd {
        self.ledger.purse(&Purse::Balance(*account))
    }

    /// What an account has at stake in a guarded market.
    #[must_use]
    pub fn pledge(&self, account: &Address) -> Usd {
        self.ledger.purse(&Purse::Pledge(*account))
    }

    /// The guards and what they remember, once set.
    #[must_use]
    pub fn guarded(&self) -> Option<&Guarded> {
        self.guarded.as_ref()
    }

    /// What the buyer has still in escrow for a job.
    #[must_use]
    pub fn escrow(&self, job: &Hash32) -> Usd {
        self.ledger.purse(&Purse::Escrow(*job))
    }

    /// Nodes by account.
    #[must_use]
    pub fn nodes(&self) -> &BTreeMap<Address, Node> {
        &self.nodes
    }

    /// Devices by key.
    #[must_use]
    pub fn devices(&self) -> &BTreeMap<Device, DeviceBinding> {
        &self.devices
    }

    /// Commitments that no job has used yet, oldest first.
    #[must_use]
    pub fn draws(&self) -> &VecDeque<Hash32> {
        &self.draws
    }

    /// Jobs by id.
    #[must_use]
    pub fn jobs(&self) -> &BTreeMap<Hash32, PostedJob> {
        &self.jobs
    }

    /// Receipts by digest.
    #[must_use]
    pub fn receipts(&self) -> &BTreeMap<Hash32, Box<DeliveredReceipt>> {
        &self.receipts
    }

    /// Open disputes by receipt.
    #[must_use]
    pub fn disputes(&self) -> &BTreeMap<Hash32, OpenDispute> {
        &self.disputes
    }

    /// Closed epochs; number `n` is at `n - 1`.
    #[must_use]
    pub fn epochs(&self) -> &[ClosedEpoch] {
        &self.epochs
    }

    /// Where each posted epoch is on chain.
    #[must_use]
    pub fn posted(&self) -> &BTreeMap<u64, ChainRef> {
        &self.posted
    }

    /// The next nonce of an account's withdrawals.
    #[must_use]
    pub fn withdrawal_nonce(&self, account: &Address) -> u64 {
        self.withdrawals.get(account).copied().unwrap_or_default()
    }
}

/// The sums by kind of place; [`Conservation::holds`] after every event.
#[must_use]
pub fn conservation(state: &State) -> Conservation {
    state.ledger.conservation()
}
