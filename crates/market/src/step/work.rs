//! Receipts and verdicts.
//!
//! A receipt is *authentic* when both signatures hold and its place in its node's chain is the next.
//! Authentic receipts take their place whether or not they are paid. Everything before that is a refusal that
//! changes nothing, except an equivocation, which is proof against its node.

use super::assign::stands_in;
use super::{Effect, Fold};
use crate::hash::Hash32;
use crate::key::Address;
use crate::ledger::{Move, Purse, Target};
use crate::money::{PPM, Usd};
use crate::receipt::{Receipt, SignedReceipt};
use crate::refusal::{Refusal, require};
use crate::state::{DeliveredReceipt, JobStatus, Node, PostedJob, ReceiptStatus, Standing};
use crate::verdict::{Blame, Outcome, Reason, Verdict};

/// Rules by which a receipt is not paid although its node did what it was drawn for: others were faster, or the job allowed no better.
const CAME: [&str; 4] = [
    "receipt.cap-reached",
    "receipt.share-reached",
    "receipt.window-already-paid",
    "receipt.window-not-over",
];

impl Fold<'_> {
    pub(super) fn delivered(mut self, signed: &SignedReceipt) -> Result<Vec<Effect>, Refusal> {
        let receipt = &signed.receipt;
        let node = self.node(&receipt.node)?;
        let known = self.verified.and_then(|verified| verified.digest_of(signed, &self.rules.domain));
        let digest = known.map_or_else(|| signed.verify(&self.rules.domain), Ok)?;
        require(
            !self.state.receipts.contains_key(&digest),
            "receipt.replayed",
            "a receipt not delivered before",
            digest,
        )?;
        require(
            node.standing != Standing::Jailed,
            "node.jailed",
            "a node that has not equivocated",
            receipt.node,
        )?;
        if let Some(first) = self.conflict(node, receipt) {
            return Ok(self.jail(&first, signed));
        }
        require(
            receipt.sequence == node.next_sequence(),
            "receipt.wrong-sequence",
            node.next_sequence(),
            receipt.sequence,
        )?;
        require(receipt.previous == node.head(), "receipt.wrong-previous", node.head(), receipt.previous)?;
        let (status, effect) = match self.payable(receipt) {
            Ok(_) => (ReceiptStatus::Pending, Effect::CheckWanted { receipt: digest }),
            Err(refusal) => {
                if CAME.contains(&refusal.name) {
                    self.came(receipt);
                }
                let reason = Reason::from(&refusal);
                let status =
                    ReceiptStatus::Refused { reason: reason.clone(), verdict: None, at_s: self.at_s };
                (status, Effect::ReceiptRefused { receipt: digest, node: receipt.node, reason })
            }
        };
        if let (ReceiptStatus::Pending, Some(posted)) = (&status, self.state.jobs.get_mut(&receipt.job)) {
            posted.pending.insert(digest);
        }
        if let Some(node) = self.state.nodes.get_mut(&receipt.node) {
            node.chain.push(digest);
        }
        let waits = status == ReceiptStatus::Pending;
        let delivered = DeliveredReceipt { signed: signed.clone(), at_s: self.at_s, status };
        self.state.receipts.insert(digest, Box::new(delivered));
        if waits && self.waits_for_draw(receipt, digest) {
            return Ok(Vec::new()); // wanted when its checker is drawn
        }
        Ok(vec![effect])
    }

    /// In a guarded market a receipt waits until the beacon draws its checker.
    fn waits_for_draw(&mut self, receipt: &Receipt, digest: Hash32) -> bool {
        let Some(guarded) = &mut self.state.guarded else { return false };
        let round = guarded.round(self.at_s);
        guarded.unassigned.entry(round).or_default().push(digest);
        self.came(receipt);
        true
    }

    /// A receipt came for its node's part of the job.
    fn came(&mut self, receipt: &Receipt) {
        self.member(&receipt.node, |member| {
            if let Some(part) = member.parts.get_mut(&receipt.job) {
                part.came = true;
            }
        });
    }

    /// The receipt that already holds the place this one claims: the same sequence, or the same previous.
    fn conflict(&self, node: &Node, receipt: &Receipt) -> Option<Hash32> {
        let place =
            |sequence: u64| usize::try_from(sequence).ok().and_then(|index| node.chain.get(index)).copied();
        if let Some(holder) = place(receipt.sequence) {
            return Some(holder);
        }
        if receipt.previous == node.head() {
            return None; // nobody has the place after the last one
        }
        if receipt.previous == Hash32::ZERO {
            return place(0);
        }
        let previous = &self.state.receipts.get(&receipt.previous)?.signed.receipt;
        if previous.node != receipt.node { None } else { place(previous.sequence.checked_add(1)?) }
    }

    fn jail(mut self, first: &Hash32, second: &SignedReceipt) -> Vec<Effect> {
        let address = second.receipt.node;
        if let Some(node) = self.state.nodes.get_mut(&address) {
            node.standing = Standing::Jailed;
        }
        let holder = self.state.receipts.get(first).map(|delivered| delivered.signed.clone());
        holder
            .map(|first| Effect::Equivocated { node: address, first, second: second.clone() })
            .into_iter()
            .chain(self.forfeit(&address))
            .collect()
    }

    /// Every rule of the market that an authentic receipt must meet to be paid, and its job.
    fn payable(&self, receipt: &Receipt) -> Result<&PostedJob, Refusal> {
        let node = self.node(&receipt.node)?;
        require(node.standing == Standing::Active, "node.frozen", "a node that is not frozen", receipt.node)?;
        let posted = self
            .state
            .jobs
            .get(&receipt.job)
            .ok_or_else(|| Refusal::new("receipt.wrong-job", "a posted job", receipt.job))?;
        let job = &posted.job;
        let assigned = posted.status == JobStatus::Assigned;
        require(
            assigned,
            "receipt.job-not-assigned",
            "a job that nodes work on",
            format_args!("{:?}", posted.status),
        )?;
        require(
            self.at_s < job.deadline_s,
            "receipt.late",
            format_args!("before {}", job.deadline_s),
            self.at_s,
        )?;
        require(
            posted.nodes.contains(&receipt.node),
            "receipt.wrong-node",
            "a node drawn for the job",
            receipt.node,
        )?;
        let binding = self.state.devices.get(&receipt.device);
        let owned =
            binding.is_some_and(|binding| binding.node == receipt.node && stands_in(binding, job.cell));
        require(owned, "receipt.wrong-device", "a device of the node that the job wants", receipt.device)?;
        job.require_kept(receipt, self.at_s)?;
        let price = self.require_unpaid(receipt)?;
        self.require_guarded(receipt, price.gross)?;
        Ok(posted)
    }

    /// The window is not paid yet, and the escrow covers the price.
    pub(super) fn require_unpaid(&self, receipt: &Receipt) -> Result<Price, Refusal> {
        let window = (receipt.job, receipt.device, receipt.window_start);
        if let Some(paid) = self.state.windows.get(&window) {
            return Err(Refusal::new("receipt.window-already-paid", "a window not paid by this job", paid));
        }
        self.require_part(receipt)?;
        let price = self.price(receipt)?;
        let escrow = self.state.escrow(&receipt.job);
        require(price.gross <= escrow, "receipt.cap-reached", format_args!("at most {escrow}"), price.gross)?;
        Ok(price)
    }

    /// What a receipt costs the buyer, and how it is split. Linear in units: the share of one unit is rounded
    /// down once.
    pub(super) fn price(&self, receipt: &Receipt) -> Result<Price, Refusal> {
        let job = &self.job(&receipt.job)?.job;
        let share_of_one = job.unit_price.part_down(PPM - self.rules.fee_ppm).unwrap_or_default(); // fee_ppm <= PPM: rules.fee
        let gross = job.unit_price.checked_mul(receipt.units);
        let share = share_of_one.checked_mul(receipt.units);
        let (Some(gross), Some(share)) = (gross, share) else {
            return Err(Refusal::new("receipt.cap-reached", "a price below 2^64", receipt.units));
        };
        let fee = gross.checked_sub(share).unwrap_or_default(); // share <= gross: part_down
        Ok(Price { gross, share, fee })
    }

    pub(super) fn judged(mut self, verdict: &Verdict) -> Result<Vec<Effect>, Refusal> {
        let receipt = self.require_verdict(verdict)?;
        let digest = *verdict.receipt();
        let waits = self.state.receipts[&digest].status == ReceiptStatus::Pending;
        require(waits, "verdict.receipt-not-pending", "a receipt that waits for a verdict", digest)?;
        self.require_drawn(&digest, verdict.checker())?;
        if self.state.guarded.is_some() {
            return self.judged_guarded(&receipt, digest, verdict);
        }
        match verdict.outcome() {
            Outcome::Accepted { .. } => self.pay_or_refuse(&receipt, digest, verdict),
            Outcome::Refused(reason) => {
                let mut effects = self.refuse(&receipt, digest, verdict, reason.clone());
                if reason.blame() == Blame::Node {
                    effects.extend(self.strike(receipt.node));
                }
                Ok(effects)
            }
        }
    }

    /// The verdict is signed by a checker that is no party to the receipt, and fits it. Gives the receipt.
    pub(super) fn require_verdict(&self, verdict: &Verdict) -> Result<Receipt, Refusal> {
        if !self.verified.is_some_and(|verified| verified.is_of(verdict, &self.rules.domain)) {
            verdict.verify(&self.rules.domain)?;
        }
        let checker = verdict.checker();
        require(
            self.rules.checkers.contains(checker),
            "verdict.not-a-checker",
            "a checker of this market",
            checker,
        )?;
        let delivered = self.state.receipts.get(verdict.receipt()).ok_or_else(|| {
            Refusal::new("verdict.receipt-unknown", "a delivered receipt", verdict.receipt())
        })?;
        let receipt = delivered.signed.receipt.clone();
        let buyer = self.state.jobs.get(&receipt.job).map(|posted| posted.job.buyer);
        let party = self.state.is_party(checker, &receipt.node) || buyer == Some(*checker);
        require(!party, "verdict.own-receipt", "a checker that is no party", checker)?;
        if let Outcome::Accepted { units } = verdict.outcome() {
            require(*units == receipt.units && *units > 0, "verdict.units", receipt.units, units)?;
        }
        Ok(receipt)
    }

    pub(super) fn accept(
        &mut self,
        receipt: &Receipt,
        digest: Hash32,
        verdict: &Verdict,
        price: Price,
    ) -> Result<Vec<Effect>, Refusal> {
        let held = Target::Purse(Purse::Held(digest));
        let pay = Move { from: Purse::Escrow(receipt.job), to: held, amount: price.gross };
        self.state.ledger.post(&[pay], "receipt.cap-reached")?;
        if let Some(posted) = self.state.jobs.get_mut(&receipt.job) {
            posted.pending.remove(&digest);
            posted.units = posted.units.saturating_add(receipt.units); // at most max_units: the escrow covers no more
        }
        if let Some(node) = self.state.nodes.get_mut(&receipt.node) {
            node.strikes = 0;
        }
        self.state.windows.insert((receipt.job, receipt.device, receipt.window_start), digest);
        self.mark_accepted(digest, verdict, price);
        let (node, units) = (receipt.node, receipt.units);
        let rested = self.note_quality(&node, true);
        let Price { share, fee, .. } = price;
        let accepted = Effect::ReceiptAccepted { receipt: digest, node, units, share, fee };
        Ok(std::iter::once(accepted).chain(rested).collect())
    }

    /// Writes the status of an accepted receipt and its place in the order of settlement.
    pub(super) fn mark_accepted(&mut self, digest: Hash32, verdict: &Verdict, price: Price) {
        let at_event = self.state.events;
        self.state.unsettled.insert(at_event, digest);
        self.count_part(&digest, true);
        if let Some(delivered) = self.state.receipts.get_mut(&digest) {
            let Price { share, fee, .. } = price;
            delivered.status =
                ReceiptStatus::Accepted { share, fee, verdict: verdict.clone(), at_s: self.at_s, at_event };
        }
    }

    /// Adds an accepted receipt to its node's part of the job, or takes it away again.
    pub(super) fn count_part(&mut self, digest: &Hash32, add: bool) {
        let Some(delivered) = self.state.receipts.get(digest) else { return };
        let (node, job, units) = {
            let receipt = &delivered.signed.receipt;
            (receipt.node, receipt.job, receipt.units)
        };
        self.member(&node, |member| {
            if let Some(part) = member.parts.get_mut(&job) {
                part.paid =
                    if add { part.paid.saturating_add(units) } else { part.paid.saturating_sub(units) };
            }
        });
    }

    /// Refused by a verdict, which counts for its node's quality.
    pub(super) fn refuse(
        &mut self,
        receipt: &Receipt,
        digest: Hash32,
        verdict: &Verdict,
        reason: Reason,
    ) -> Vec<Effect> {
        let refused = self.mark_refused(receipt, digest, verdict, reason);
        std::iter::once(refused).chain(self.note_quality(&receipt.node, false)).collect()
    }

    /// Writes the status of a judged receipt that is not paid.
    pub(super) fn mark_refused(
        &mut self,
        receipt: &Receipt,
        digest: Hash32,
        verdict: &Verdict,
        reason: Reason,
    ) -> Effect {
        if let Some(posted) = self.state.jobs.get_mut(&receipt.job) {
            posted.pending.remove(&digest);
        }
        let refused = Effect::ReceiptRefused { receipt: digest, node: receipt.node, reason: reason.clone() };
        if let Some(delivered) = self.state.receipts.get_mut(&digest) {
            delivered.status =
                ReceiptStatus::Refused { reason, verdict: Some(verdict.clone()), at_s: self.at_s };
        }
        refused
    }

    /// One more refusal in a row. The one that freezes is the one that costs; while frozen, no other does.
    fn strike(&mut self, address: Address) -> Vec<Effect> {
        let at_event = self.state.events;
        let Some(node) = self.state.nodes.get_mut(&address) else { return Vec::new() };
        if node.standing != Standing::Active {
            return Vec::new();
        }
        node.strikes = node.strikes.saturating_add(1);
        if node.strikes < self.rules.freeze_after {
            return Vec::new();
        }
        node.standing = Standing::Frozen { since_s: self.at_s, at_event };
        node.penalties = node.penalties.saturating_add(1);
        let frozen = Effect::Frozen { node: address, strikes: node.strikes };
        vec![frozen, Effect::Penalized { node: address, amount: self.rules.penalty.min(node.stake) }]
    }
}

/// What a receipt costs the buyer, and who gets it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Price {
    pub(super) gross: Usd,
    pub(super) share: Usd,
    pub(super) fee: Usd,
}
