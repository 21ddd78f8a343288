//! The state machine: `step(state, event) -> effects`, all or nothing.
//!
//! A handler first checks everything that it will rely on, then posts its moves of money (which may still
//! refuse, and then nothing has changed), then writes. So an illegal event is a value, and the state after it
//! equals the state before it.
//!
//! One thing that looks like a refusal is none: an authentic receipt, rightly chained, that a rule does not
//! pay takes its place in its node's chain as refused, with [`Effect::ReceiptRefused`]. A node must never
//! sign two receipts for one place, so a receipt once signed must not hang in the air, or whoever kept it
//! could later show it as an equivocation.
//!
//! Names of refusals: docs/spec/market.md.

mod assign;
mod beacon;
mod dispute;
mod guard;
mod members;
mod money;
mod panel;
mod work;

use crate::epoch::Epoch;
use crate::event::{Entry, Event, Rules, What};
use crate::hash::{Hash32, keccak, keccak_pair};
use crate::key::Address;
use crate::limits::{CHECKERS_MAX, FEE_PPM_MAX, FEE_PPM_MIN, SPAN_S_MAX, TIME_S_MAX};
use crate::money::Usd;
use crate::receipt::SignedReceipt;
use crate::refusal::{Refusal, require};
use crate::state::State;
use crate::verdict::Reason;
use crate::verified::Verified;

/// What an event means for the world outside: the driver tells, posts or asks; it decides nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "effects are few and short-lived")]
pub enum Effect {
    /// Money arrived in an account's spendable balance.
    Credited {
        /// Whose.
        account: Address,
        /// How much.
        amount: Usd,
    },
    /// A job is posted and waits for its draw.
    JobPosted {
        /// The job.
        job: Hash32,
        /// The commitment whose secret draws its nodes.
        draw: Hash32,
    },
    /// Nodes were drawn for a job.
    Assigned {
        /// The job.
        job: Hash32,
        /// In the order of the draw.
        nodes: Vec<Address>,
    },
    /// A receipt waits for a check.
    CheckWanted {
        /// Its digest.
        receipt: Hash32,
    },
    /// A receipt is not paid.
    ReceiptRefused {
        /// Its digest.
        receipt: Hash32,
        /// The node.
        node: Address,
        /// Why.
        reason: Reason,
    },
    /// A receipt is paid out of escrow, and settles with an epoch.
    ReceiptAccepted {
        /// Its digest.
        receipt: Hash32,
        /// The node.
        node: Address,
        /// Units paid.
        units: u64,
        /// What the node gets.
        share: Usd,
        /// What the vault gets.
        fee: Usd,
    },
    /// Two different receipts of one node for one place in its chain. The stake is lost: both are the proof.
    Equivocated {
        /// The node.
        node: Address,
        /// The receipt that holds the place.
        first: SignedReceipt,
        /// The other one.
        second: SignedReceipt,
    },
    /// A node gets no work until it is thawed.
    Frozen {
        /// The node.
        node: Address,
        /// Refusals in a row.
        strikes: u32,
    },
    /// A part of a node's stake is to be taken on chain.
    Penalized {
        /// The node.
        node: Address,
        /// How much.
        amount: Usd,
    },
    /// A dispute is open: another checker is wanted.
    SecondCheckWanted {
        /// Digest of the receipt.
        receipt: Hash32,
    },
    /// A dispute is over.
    DisputeClosed {
        /// Digest of the receipt.
        receipt: Hash32,
        /// Who gets both bonds; `None` when each gets its own back.
        winner: Option<Address>,
    },
    /// A job is over.
    JobEnded {
        /// The job.
        job: Hash32,
        /// What went back to the buyer.
        refund: Usd,
    },
    /// Money left an account's spendable balance and is claimable with the next epoch.
    Withdrawn {
        /// Whose.
        account: Address,
        /// How much.
        amount: Usd,
    },
    /// An epoch closed: post it.
    PostEpoch(Epoch),
    /// A panel sits about a receipt: the votes of all checkers are wanted.
    PanelWanted {
        /// Digest of the receipt.
        receipt: Hash32,
    },
    /// A panel decided.
    PanelClosed {
        /// Digest of the receipt.
        receipt: Hash32,
        /// What the majority said.
        accepted: bool,
    },
    /// A part of an account's pledge went to the vault.
    Fined {
        /// Whose.
        account: Address,
        /// How much.
        amount: Usd,
    },
    /// A node gets no work for a while, and needs a new offer after it.
    Rested {
        /// The node.
        node: Address,
        /// Until this Unix second.
        until_s: u64,
    },
}

impl State {
    /// Takes one event: the effects, or a refusal that leaves the state as it was.
    ///
    /// # Errors
    /// The event is illegal; the name says which rule it breaks.
    pub fn step(&mut self, event: &Event) -> Result<Vec<Effect>, Refusal> {
        self.fold(event, &keccak(&event.encode()?), None)
    }

    /// As [`State::step`], with the signatures of the event if they were verified before.
    ///
    /// # Errors
    /// As [`State::step`].
    pub fn step_entry(&mut self, entry: &Entry, verified: Option<&Verified>) -> Result<Vec<Effect>, Refusal> {
        self.fold(entry.event(), entry.hash(), verified)
    }

    fn fold(
        &mut self,
        event: &Event,
        hash: &Hash32,
        verified: Option<&Verified>,
    ) -> Result<Vec<Effect>, Refusal> {
        require(event.at_s >= self.now_s, "event.time-backwards", self.now_s, event.at_s)?;
        require(event.at_s <= TIME_S_MAX, "event.time-range", TIME_S_MAX, event.at_s)?;
        let log_hash = keccak_pair(&self.log_hash, hash);
        let effects = self.apply(event, verified, log_hash)?;
        self.now_s = event.at_s;
        self.events += 1; // 2^64 events do not happen
        self.log_hash = log_hash;
        Ok(effects)
    }

    fn apply(
        &mut self,
        event: &Event,
        verified: Option<&Verified>,
        log_hash: Hash32,
    ) -> Result<Vec<Effect>, Refusal> {
        if let What::Opened(rules) = &event.what {
            require(self.rules.is_none(), "market.already-open", "one opening", "a second")?;
            require_rules(rules)?;
            self.rules = Some(rules.clone());
            return Ok(Vec::new());
        }
        let rules = self
            .rules
            .clone()
            .ok_or_else(|| Refusal::new("market.not-open", "an opening first", "another event"))?;
        let fold = Fold { state: self, rules: &rules, verified, at_s: event.at_s };
        match &event.what {
            What::Opened(_) => unreachable!("returned above"),
            What::DepositSeen { chain_ref, account, amount } => {
                fold.deposit_seen(chain_ref, account, *amount)
            }
            What::NodeEnrolled(order) => fold.node_enrolled(order),
            What::StakeSeen { node, stake, block } => fold.stake_seen(node, *stake, *block),
            What::CapabilityMeasured(order) => fold.capability_measured(order),
            What::DeviceBound { bind, consent } => fold.device_bound(bind, consent),
            What::DrawCommitted { commitment } => fold.draw_committed(commitment),
            What::JobPosted(order) => fold.job_posted(order),
            What::Assigned { job, secret } => fold.assigned(job, secret),
            What::Delivered(signed) => fold.delivered(signed),
            What::Judged(verdict) => fold.judged(verdict),
            What::DisputeOpened(order) => fold.dispute_opened(order),
            What::DisputeResolved(verdict) => fold.dispute_resolved(verdict),
            What::DisputeLapsed { receipt } => fold.dispute_lapsed(receipt),
            What::JobEnded { job } => fold.job_ended(job),
            What::WithdrawalAsked(order) => fold.withdrawal_asked(order),
            What::NodeThawed(order) => fold.node_thawed(order),
            What::EpochClosed { epoch } => fold.epoch_closed(*epoch, log_hash),
            What::EpochPosted { epoch, chain_ref } => fold.epoch_posted(epoch, chain_ref),
            What::GuardsSet(guards) => fold.guards_set(guards),
            What::Pledged(order) => fold.pledged(order),
            What::Offered(order) => fold.offered(order),
            What::Limited(order) => fold.limited(order),
            What::DeviceCertified(order) => fold.device_certified(order),
            What::BeaconCommitted(order) => fold.beacon_committed(order),
            What::BeaconRevealed { checker, round, secret } => fold.beacon_revealed(checker, *round, secret),
            What::BeaconClosed { round } => fold.beacon_closed(*round),
            What::PanelVoted(verdict) => fold.panel_voted(verdict),
            What::PanelLapsed { receipt } => fold.panel_lapsed(receipt),
        }
    }
}

/// One event's view of the state: the rules beside it, what was verified of the event before, and its time.
struct Fold<'a> {
    state: &'a mut State,
    rules: &'a Rules,
    verified: Option<&'a Verified>,
    at_s: u64,
}

fn require_rules(rules: &Rules) -> Result<(), Refusal> {
    let fee = FEE_PPM_MIN..=FEE_PPM_MAX;
    require(
        fee.contains(&rules.fee_ppm),
        "rules.fee",
        format_args!("{FEE_PPM_MIN} to {FEE_PPM_MAX} ppm"),
        rules.fee_ppm,
    )?;
    let checkers = 1..=CHECKERS_MAX;
    let count = rules.checkers.len();
    require(checkers.contains(&count), "rules.checkers", format_args!("1 to {CHECKERS_MAX}"), count)?;
    require(rules.freeze_after > 0, "rules.freeze-after", "at least 1", rules.freeze_after)?;
    for span_s in [rules.freeze_s, rules.dispute_window_s, rules.resolve_s, rules.judge_s] {
        require(span_s <= SPAN_S_MAX, "rules.span", SPAN_S_MAX, span_s)?;
    }
    Ok(())
}
