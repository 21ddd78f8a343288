//! Disputes: a second check by another checker, with a bond on both sides; the loser's goes to the winner.
//!
//! The buyer may dispute an accepted receipt, the node one that a checker (not a rule) refused, once, while the verdict is
//! young. The opener puts in the whole bond; the other side puts in as much of it as its spendable balance
//! holds (and what is held or in escrow for the receipt is at stake anyway). If a node disputes, the price is
//! set aside from escrow, the window is kept for the receipt and its units count for the node's part, so that winning pays.

use super::panel::accepts;
use super::{Effect, Fold};
use crate::hash::Hash32;
use crate::ledger::{Move, Purse, Target};
use crate::order::{Dispute, Signed};
use crate::receipt::Receipt;
use crate::refusal::{Refusal, require};
use crate::state::{JobStatus, OpenDispute, ReceiptStatus};
use crate::verdict::{Outcome, Reason, Verdict};

impl Fold<'_> {
    pub(super) fn dispute_opened(mut self, order: &Signed<Dispute>) -> Result<Vec<Effect>, Refusal> {
        order.verify(&self.rules.domain)?;
        let Dispute { by: opener, receipt: digest } = order.order;
        let delivered = self
            .state
            .receipts
            .get(&digest)
            .ok_or_else(|| Refusal::new("dispute.receipt-unknown", "a delivered receipt", digest))?;
        require(
            !self.state.disputed.contains(&digest),
            "dispute.already",
            "a receipt not disputed before",
            digest,
        )?;
        let receipt = delivered.signed.receipt.clone();
        let buyer = self.job(&receipt.job).map(|posted| posted.job.buyer)?;
        let (party, respondent, judged_s) = match &delivered.status {
            ReceiptStatus::Accepted { at_s, .. } => (buyer, receipt.node, *at_s),
            // What a rule refused although its verdict accepts is no checker's word: there is nothing to dispute.
            ReceiptStatus::Refused { verdict: Some(verdict), at_s, .. } if !accepts(verdict) => {
                (receipt.node, buyer, *at_s)
            }
            _ => {
                return Err(Refusal::new(
                    "dispute.not-judged",
                    "a receipt with a verdict, not settled",
                    digest,
                ));
            }
        };
        require(opener == party, "dispute.not-a-party", party, opener)?;
        let latest = judged_s + self.rules.dispute_window_s; // both bounded: limits.rs
        require(self.at_s <= latest, "dispute.too-late", latest, self.at_s)?;
        let mut moves = vec![to_bond(&digest, &opener, self.rules.bond)];
        let refused_before = matches!(delivered.status, ReceiptStatus::Refused { .. });
        if refused_before {
            let window = (receipt.job, receipt.device, receipt.window_start);
            let free = !self.state.windows.contains_key(&window);
            require(
                free,
                "dispute.window-already-paid",
                "a window not paid by this job",
                receipt.window_start,
            )?;
            self.require_part(&receipt)?;
            let gross = self.price(&receipt)?.gross;
            let short = self.state.escrow(&receipt.job);
            require(gross <= short, "dispute.escrow-short", gross, short)?;
            let aside = Target::Purse(Purse::Held(digest));
            moves.push(Move { from: Purse::Escrow(receipt.job), to: aside, amount: gross });
        }
        // The opener's bond is taken first: an account against itself must have both.
        let mut left = self.state.balance(&respondent);
        if respondent == opener {
            left = left.checked_sub(self.rules.bond).unwrap_or_default();
        }
        moves.push(to_bond(&digest, &respondent, self.rules.bond.min(left)));
        self.state.ledger.post(&moves, "dispute.bond-short")?;
        if refused_before {
            self.state.windows.insert((receipt.job, receipt.device, receipt.window_start), digest);
            self.count_part(&digest, true);
        }
        self.state.disputed.insert(digest);
        self.state.disputes.insert(digest, OpenDispute { opener, respondent, opened_s: self.at_s });
        let panel = self.open_panel(&digest, crate::guard::Why::Disputed);
        Ok(std::iter::once(Effect::SecondCheckWanted { receipt: digest }).chain(panel).collect())
    }

    pub(super) fn dispute_resolved(mut self, verdict: &Verdict) -> Result<Vec<Effect>, Refusal> {
        let receipt = self.require_verdict(verdict)?;
        let digest = *verdict.receipt();
        self.open_dispute(&digest)?;
        require(!self.is_open(&digest), "dispute.by-panel", "a receipt without a panel", digest)?;
        let first = self.first_verdict(&digest).1;
        require(
            first != *verdict.checker(),
            "dispute.same-checker",
            "another checker than the first",
            first,
        )?;
        self.settle_dispute(&receipt, &digest, verdict)
    }

    /// Whether a disputed receipt was accepted, and by whom it was judged.
    fn first_verdict(&self, digest: &Hash32) -> (bool, crate::key::Address) {
        match &self.state.receipts[digest].status {
            ReceiptStatus::Accepted { verdict, .. } => (true, *verdict.checker()),
            ReceiptStatus::Refused { verdict: Some(verdict), .. } => (false, *verdict.checker()),
            _ => unreachable!("an open dispute is about a judged receipt that has not settled"),
        }
    }

    /// Bonds, money and the receipt's status as the deciding verdict says.
    pub(super) fn settle_dispute(
        &mut self,
        receipt: &Receipt,
        digest: &Hash32,
        verdict: &Verdict,
    ) -> Result<Vec<Effect>, Refusal> {
        let digest = *digest;
        let dispute = self.open_dispute(&digest)?;
        let (accepted_before, _) = self.first_verdict(&digest);
        let accepted_now = matches!(verdict.outcome(), Outcome::Accepted { .. });
        let (winner, loser) = if accepted_before == accepted_now {
            (dispute.respondent, dispute.opener)
        } else {
            (dispute.opener, dispute.respondent)
        };
        let mut moves = Vec::new();
        for side in if winner == loser { vec![winner] } else { vec![winner, loser] } {
            let from = Purse::Bond(digest, side);
            let amount = self.state.ledger.purse(&from);
            moves.push(Move { from, to: Target::Purse(Purse::Balance(winner)), amount });
        }
        if !accepted_now {
            moves.push(self.give_back(receipt, &digest)?);
        }
        let price = self.price(receipt)?;
        self.state.ledger.post(&moves, "dispute.held-short")?;
        self.state.disputes.remove(&digest);
        match (accepted_before, verdict.outcome()) {
            (true, Outcome::Refused(reason)) => self.overturn(receipt, digest, verdict, reason),
            (false, Outcome::Accepted { .. }) => {
                if let Some(posted) = self.state.jobs.get_mut(&receipt.job) {
                    posted.units = posted.units.saturating_add(receipt.units);
                }
                self.count_part(&digest, false); // counted when it was set aside, and with every acceptance
                self.mark_accepted(digest, verdict, price);
            }
            (false, Outcome::Refused(_)) => {
                self.count_part(&digest, false);
                self.state.windows.remove(&(receipt.job, receipt.device, receipt.window_start));
            }
            (true, Outcome::Accepted { .. }) => {}
        }
        Ok(vec![Effect::DisputeClosed { receipt: digest, winner: Some(winner) }])
    }

    pub(super) fn dispute_lapsed(mut self, digest: &Hash32) -> Result<Vec<Effect>, Refusal> {
        let dispute = self.open_dispute(digest)?;
        require(!self.is_open(digest), "dispute.by-panel", "a receipt without a panel", digest)?;
        let earliest = dispute.opened_s + self.rules.resolve_s; // both bounded: limits.rs
        require(self.at_s >= earliest, "dispute.not-lapsed", earliest, self.at_s)?;
        let delivered = &self.state.receipts[digest];
        let receipt = delivered.signed.receipt.clone();
        let refused_before = matches!(delivered.status, ReceiptStatus::Refused { .. });
        let mut moves = Vec::new();
        let (opener, respondent) = (dispute.opener, dispute.respondent);
        for side in if opener == respondent { vec![opener] } else { vec![opener, respondent] } {
            let from = Purse::Bond(*digest, side);
            let amount = self.state.ledger.purse(&from);
            moves.push(Move { from, to: Target::Purse(Purse::Balance(side)), amount });
        }
        if refused_before {
            moves.push(self.give_back(&receipt, digest)?);
        }
        self.state.ledger.post(&moves, "dispute.held-short")?;
        self.state.disputes.remove(digest);
        if refused_before {
            self.count_part(digest, false);
            self.state.windows.remove(&(receipt.job, receipt.device, receipt.window_start));
        }
        Ok(vec![Effect::DisputeClosed { receipt: *digest, winner: None }])
    }

    fn open_dispute(&self, digest: &Hash32) -> Result<OpenDispute, Refusal> {
        let dispute = self.state.disputes.get(digest);
        dispute
            .copied()
            .ok_or_else(|| Refusal::new("dispute.not-open", "a receipt with an open dispute", digest))
    }

    /// What is held for a receipt goes back to the job's escrow, or to the buyer when the job is over.
    pub(super) fn give_back(&self, receipt: &Receipt, digest: &Hash32) -> Result<Move, Refusal> {
        let posted = self.job(&receipt.job)?;
        let over = posted.status == JobStatus::Ended;
        let to = if over { Purse::Balance(posted.job.buyer) } else { Purse::Escrow(receipt.job) };
        let from = Purse::Held(*digest);
        Ok(Move { from, to: Target::Purse(to), amount: self.state.ledger.purse(&from) })
    }

    /// An accepted receipt turns out refused: it loses its window and its place in the order of settlement.
    pub(super) fn overturn(&mut self, receipt: &Receipt, digest: Hash32, verdict: &Verdict, reason: &Reason) {
        self.state.windows.remove(&(receipt.job, receipt.device, receipt.window_start));
        self.count_part(&digest, false);
        if let Some(posted) = self.state.jobs.get_mut(&receipt.job) {
            posted.units = posted.units.saturating_sub(receipt.units);
        }
        let Some(delivered) = self.state.receipts.get_mut(&digest) else { return };
        if let ReceiptStatus::Accepted { at_event, .. } = delivered.status {
            self.state.unsettled.remove(&at_event);
        }
        delivered.status = ReceiptStatus::Refused {
            reason: reason.clone(),
            verdict: Some(verdict.clone()),
            at_s: self.at_s,
        };
    }
}

fn to_bond(digest: &Hash32, side: &crate::key::Address, amount: crate::money::Usd) -> Move {
    Move { from: Purse::Balance(*side), to: Target::Purse(Purse::Bond(*digest, *side)), amount }
}
