//! Panels of a guarded market: all checkers that are no party vote, the majority decides, and whoever signed the
//! other way loses the pledge. A check is a pure function of public bytes, so a minority is wrong or lying.

use super::{Effect, Fold};
use crate::guard::{Panel, Why};
use crate::hash::Hash32;
use crate::key::Address;
use crate::money::{PPM, Usd};
use crate::receipt::Receipt;
use crate::refusal::{Refusal, require};
use crate::state::ReceiptStatus;
use crate::verdict::{Blame, Outcome, Reason, Verdict};
use std::collections::{BTreeMap, BTreeSet};

/// Whether a verdict accepts.
pub(super) fn accepts(verdict: &Verdict) -> bool {
    matches!(verdict.outcome(), Outcome::Accepted { .. })
}

impl Fold<'_> {
    /// Seats a panel about a judged receipt, its verdict being the first vote. `None` when one sits already, or
    /// nobody may.
    pub(super) fn open_panel(&mut self, digest: &Hash32, why: Why) -> Option<Effect> {
        let first = match &self.state.receipts.get(digest)?.status {
            ReceiptStatus::Accepted { verdict, .. } => verdict.clone(),
            ReceiptStatus::Refused { verdict: Some(verdict), .. } => verdict.clone(),
            _ => return None,
        };
        self.seat_panel(digest, why, first)
    }

    /// As [`Fold::open_panel`], with a first verdict that is not in force.
    pub(super) fn seat_panel(&mut self, digest: &Hash32, why: Why, first: Verdict) -> Option<Effect> {
        let seats = self.seats(&self.state.receipts.get(digest)?.signed.receipt);
        let opened_s = self.at_s;
        let guarded = self.state.guarded.as_mut()?;
        if seats.is_empty() || guarded.panels.contains_key(digest) {
            return None;
        }
        let mut votes = BTreeMap::new();
        if seats.contains(first.checker()) {
            votes.insert(*first.checker(), first.clone());
        }
        guarded.panels.insert(*digest, Panel { why, opened_s, seats, votes, first });
        Some(Effect::PanelWanted { receipt: *digest })
    }

    fn panel(&self, digest: &Hash32) -> Result<&Panel, Refusal> {
        let panel = self.guarded()?.panels.get(digest);
        panel.ok_or_else(|| Refusal::new("panel.not-open", "a receipt with a panel", digest))
    }

    pub(super) fn panel_voted(self, verdict: &Verdict) -> Result<Vec<Effect>, Refusal> {
        self.guarded()?;
        let receipt = self.require_verdict(verdict)?;
        let (digest, checker) = (*verdict.receipt(), *verdict.checker());
        let panel = self.panel(&digest)?;
        require(panel.seats.contains(&checker), "panel.no-seat", "a checker of this panel", checker)?;
        require(!panel.votes.contains_key(&checker), "panel.voted", "one vote each", checker)?;
        let mut panel = panel.clone();
        panel.votes.insert(checker, verdict.clone());
        let said = |yes: bool| panel.votes.values().filter(|vote| accepts(vote) == yes).count();
        let decided = [true, false].into_iter().find(|yes| said(*yes) * 2 > panel.seats.len());
        if let Some(accepted) = decided {
            return self.decide(&receipt, &digest, panel, accepted);
        }
        let mut fold = self;
        fold.keep(digest, panel);
        Ok(Vec::new())
    }

    fn keep(&mut self, digest: Hash32, panel: Panel) {
        if let Some(guarded) = &mut self.state.guarded {
            guarded.panels.insert(digest, panel);
        }
    }

    pub(super) fn panel_lapsed(mut self, digest: &Hash32) -> Result<Vec<Effect>, Refusal> {
        let panel = self.panel(digest)?.clone();
        let earliest = panel.opened_s + self.rules.resolve_s; // both bounded: limits.rs
        require(self.at_s >= earliest, "panel.not-lapsed", earliest, self.at_s)?;
        let receipt = self.state.receipts[digest].signed.receipt.clone();
        let penalty = self.guarded()?.guards.reveal_penalty;
        let yes = panel.votes.values().filter(|vote| accepts(vote)).count();
        let no = panel.votes.len() - yes;
        let accepted = if yes == no { accepts(&panel.first) } else { yes > no };
        let absent: Vec<Address> =
            panel.seats.iter().filter(|seat| !panel.votes.contains_key(seat)).copied().collect();
        let mut effects: Vec<Effect> = absent.iter().filter_map(|seat| self.fine(seat, penalty)).collect();
        effects.extend(self.decide(&receipt, digest, panel, accepted)?);
        Ok(effects)
    }

    /// What the majority said comes into force.
    fn decide(
        mut self,
        receipt: &Receipt,
        digest: &Hash32,
        panel: Panel,
        accepted: bool,
    ) -> Result<Vec<Effect>, Refusal> {
        let majority = panel.votes.values().find(|vote| accepts(vote) == accepted);
        let verdict = majority.unwrap_or(&panel.first).clone();
        let mut effects = vec![Effect::PanelClosed { receipt: *digest, accepted }];
        if self.state.disputes.contains_key(digest) {
            effects.extend(self.settle_dispute(receipt, digest, &verdict)?);
        } else {
            effects.extend(self.bring_into_force(receipt, digest, &verdict)?);
        }
        let Some(guarded) = &mut self.state.guarded else { return Ok(effects) };
        guarded.panels.remove(digest);
        guarded.drawn.remove(digest);
        let pledge = guarded.guards.checker_pledge;
        let before = guarded.detection_ppm(&receipt.service);
        let blamed = matches!(verdict.outcome(), Outcome::Refused(reason) if reason.blame() == Blame::Node);
        if blamed {
            let found = guarded.detection.entry(receipt.service).or_default();
            let weight = if panel.why == Why::Sampled { PPM * PPM / guarded.guards.recheck_ppm } else { PPM };
            if accepts(&panel.first) {
                found.missed_ppm = found.missed_ppm.saturating_add(weight);
            } else {
                found.caught = found.caught.saturating_add(1);
            }
        }
        for vote in panel.votes.values().filter(|vote| accepts(vote) != accepted) {
            effects.extend(self.fine(vote.checker(), pledge));
        }
        if blamed {
            effects.extend(self.caught(receipt, before));
        }
        Ok(effects)
    }

    /// Pays, refuses or takes back, as a receipt's status and the panel's verdict want.
    fn bring_into_force(
        &mut self,
        receipt: &Receipt,
        digest: &Hash32,
        verdict: &Verdict,
    ) -> Result<Vec<Effect>, Refusal> {
        match (&self.state.receipts[digest].status, verdict.outcome()) {
            (ReceiptStatus::Pending, Outcome::Accepted { .. }) => {
                self.pay_or_refuse(receipt, *digest, verdict)
            }
            (ReceiptStatus::Pending, Outcome::Refused(reason)) => {
                Ok(self.refuse(receipt, *digest, verdict, reason.clone()))
            }
            (ReceiptStatus::Accepted { .. }, Outcome::Refused(reason)) => {
                let back = self.give_back(receipt, digest)?;
                self.state.ledger.post(&[back], "dispute.held-short")?;
                self.overturn(receipt, *digest, verdict, reason);
                let (node, reason) = (receipt.node, reason.clone());
                Ok(vec![Effect::ReceiptRefused { receipt: *digest, node, reason }])
            }
            (ReceiptStatus::Refused { .. }, Outcome::Accepted { .. }) => match self.require_unpaid(receipt) {
                Ok(price) => self.accept(receipt, *digest, verdict, price),
                Err(_) => Ok(Vec::new()), // nothing is left to pay it with
            },
            _ => Ok(Vec::new()),
        }
    }

    /// Judged accepted: paid, unless a rule forbids it by now.
    pub(super) fn pay_or_refuse(
        &mut self,
        receipt: &Receipt,
        digest: Hash32,
        verdict: &Verdict,
    ) -> Result<Vec<Effect>, Refusal> {
        match self.require_unpaid(receipt) {
            Ok(price) => self.accept(receipt, digest, verdict, price),
            Err(refusal) => {
                // The work holds: it says nothing about its quality that the market does not pay it.
                Ok(vec![self.mark_refused(receipt, digest, verdict, Reason::from(&refusal))])
            }
        }
    }

    /// A first verdict in a guarded market: one that blames goes to the panel before anything happens; another is
    /// in force, and the sample may still take it.
    pub(super) fn judged_guarded(
        &mut self,
        receipt: &Receipt,
        digest: Hash32,
        verdict: &Verdict,
    ) -> Result<Vec<Effect>, Refusal> {
        let effects = match verdict.outcome() {
            Outcome::Accepted { .. } => self.pay_or_refuse(receipt, digest, verdict)?,
            Outcome::Refused(reason) if reason.blame() == Blame::Nobody => {
                self.refuse(receipt, digest, verdict, reason.clone())
            }
            Outcome::Refused(_) => {
                return Ok(self.seat_panel(&digest, Why::Blamed, verdict.clone()).into_iter().collect());
            }
        };
        let suspect = self.was_caught_since(&digest);
        let Some(guarded) = &mut self.state.guarded else { return Ok(effects) };
        guarded.drawn.remove(&digest);
        let round = guarded.round(self.at_s);
        guarded.unsampled.entry(round).or_default().push(digest);
        let accepted = matches!(verdict.outcome(), Outcome::Accepted { .. });
        let escalated = if accepted && suspect { self.open_panel(&digest, Why::Escalated) } else { None };
        Ok(effects.into_iter().chain(escalated).collect())
    }

    /// True while a panel sits about a receipt, or the sample may still take it.
    pub(super) fn is_open(&self, digest: &Hash32) -> bool {
        let Some(guarded) = &self.state.guarded else { return false };
        guarded.panels.contains_key(digest)
            || guarded.unsampled.values().flatten().any(|other| other == digest)
    }

    /// The same of all receipts at once.
    pub(super) fn open(&self) -> BTreeSet<Hash32> {
        let guarded = self.state.guarded.iter();
        guarded
            .flat_map(|guarded| guarded.panels.keys().chain(guarded.unsampled.values().flatten()))
            .copied()
            .collect()
    }

    /// A receipt that its job's end refused needs no checker any more.
    pub(super) fn forget(&mut self, digest: &Hash32) {
        if let Some(guarded) = &mut self.state.guarded {
            guarded.panels.remove(digest);
            guarded.drawn.remove(digest);
        }
    }

    /// The whole pledge of a node that equivocated.
    pub(super) fn forfeit(&mut self, node: &Address) -> Option<Effect> {
        self.state.guarded.as_ref()?;
        self.member(node, |member| member.listings.clear());
        let all: Usd = self.state.pledge(node);
        self.fine(node, all)
    }
}
