//! The beacon of a guarded market: commitments before a round, secrets after it, then everything that was written
//! down in between is drawn. Order of the log is order of time, so nothing that is drawn was chosen after the
//! chance was known, and no secret was chosen after what it decides.

use super::guard::{part_of, stand_in_s};
use super::{Effect, Fold};
use crate::guard::{Drawn, Part, Why, beacon_commitment, beacon_rank, beacon_value, is_sampled};
use crate::hash::Hash32;
use crate::key::Address;
use crate::order::{BeaconCommit, Signed};
use crate::receipt::Receipt;
use crate::refusal::{Refusal, require};
use crate::state::{JobStatus, PostedJob, ReceiptStatus, State};
use std::collections::BTreeMap;

/// Everything of the rounds up to this one, in order.
fn take_until(lists: &mut BTreeMap<u64, Vec<Hash32>>, round: u64) -> Vec<Hash32> {
    let later = lists.split_off(&round.saturating_add(1));
    std::mem::replace(lists, later).into_values().flatten().collect()
}

/// Nodes in the order of their ranks in a draw.
fn ranked(
    kind: &'static str,
    value: &Hash32,
    id: &Hash32,
    nodes: impl IntoIterator<Item = Address>,
) -> Vec<Address> {
    let mut nodes: Vec<Address> = nodes.into_iter().collect();
    nodes.sort_by_cached_key(|node| (beacon_rank(kind, value, id, node), *node));
    nodes
}

impl Fold<'_> {
    pub(super) fn beacon_committed(self, order: &Signed<BeaconCommit>) -> Result<Vec<Effect>, Refusal> {
        order.verify(&self.rules.domain)?;
        let BeaconCommit { checker, round, commitment } = order.order;
        let guarded = self.guarded()?;
        require(self.is_seated(&checker), "beacon.not-a-checker", "a checker with its pledge", checker)?;
        let next = guarded.round(self.at_s) + 1; // far below 2^64: seconds
        require(round == next, "beacon.round-begun", next, round)?;
        let fresh = guarded.beacon.commitments.get(&round).is_none_or(|known| !known.contains_key(&checker));
        require(fresh, "beacon.repeated", "one commitment of a checker", checker)?;
        if let Some(guarded) = &mut self.state.guarded {
            guarded.beacon.commitments.entry(round).or_default().insert(checker, commitment);
        }
        Ok(Vec::new())
    }

    pub(super) fn beacon_revealed(
        self,
        checker: &Address,
        round: u64,
        secret: &Hash32,
    ) -> Result<Vec<Effect>, Refusal> {
        let guarded = self.guarded()?;
        let end_s = guarded.round_end_s(round);
        require(self.at_s >= end_s, "beacon.not-over", end_s, self.at_s)?;
        let commitment = guarded.beacon.commitments.get(&round).and_then(|known| known.get(checker));
        let commitment = commitment.copied().ok_or_else(|| {
            Refusal::new(
                "beacon.not-committed",
                "a commitment of an open round",
                format_args!("{checker}, {round}"),
            )
        })?;
        let found = beacon_commitment(checker, round, secret);
        require(found == commitment, "beacon.wrong-secret", commitment, found)?;
        let fresh = guarded.beacon.secrets.get(&round).is_none_or(|known| !known.contains_key(checker));
        require(fresh, "beacon.already-revealed", "a secret once", checker)?;
        if let Some(guarded) = &mut self.state.guarded {
            guarded.beacon.secrets.entry(round).or_default().insert(*checker, *secret);
        }
        Ok(Vec::new())
    }

    pub(super) fn beacon_closed(mut self, round: u64) -> Result<Vec<Effect>, Refusal> {
        let guarded = self.guarded()?;
        let oldest = guarded.beacon.commitments.keys().next().copied().unwrap_or(u64::MAX);
        let (next, end_s) = (guarded.beacon.next, guarded.round_end_s(round));
        let in_turn = round >= next && round <= oldest;
        require(in_turn, "beacon.wrong-round", format_args!("from {next} to {oldest}"), round)?;
        require(self.at_s >= end_s, "beacon.not-over", end_s, self.at_s)?;
        let committed = guarded.beacon.commitments.get(&round).cloned().unwrap_or_default();
        let secrets = guarded.beacon.secrets.get(&round).cloned().unwrap_or_default();
        let missing: Vec<Address> =
            committed.into_keys().filter(|checker| !secrets.contains_key(checker)).collect();
        let due_s = end_s.saturating_add(guarded.guards.reveal_s);
        require(missing.is_empty() || self.at_s >= due_s, "beacon.secrets-due", due_s, self.at_s)?;
        let penalty = guarded.guards.reveal_penalty;
        let root = self.state.epochs.last().map_or(Hash32::ZERO, |closed| closed.epoch.log_hash);
        let value = beacon_value(round, &guarded.beacon.value, &root, &secrets);
        let now = guarded.round(self.at_s);
        let mut effects: Vec<Effect> =
            missing.iter().filter_map(|checker| self.fine(checker, penalty)).collect();
        let Some(guarded) = &mut self.state.guarded else { return Ok(effects) };
        guarded.beacon.commitments.remove(&round);
        guarded.beacon.secrets.remove(&round);
        guarded.beacon.next = round + 1; // below now
        let jobs = take_until(&mut guarded.open_jobs, round);
        let receipts = take_until(&mut guarded.unassigned, round);
        let judged = take_until(&mut guarded.unsampled, round);
        if secrets.is_empty() {
            // No chance, no draw: all of it waits for a round whose secrets nobody has seen.
            guarded.open_jobs.entry(now).or_default().extend(jobs);
            guarded.unassigned.entry(now).or_default().extend(receipts);
            guarded.unsampled.entry(now).or_default().extend(judged);
            return Ok(effects);
        }
        guarded.beacon.value = value;
        let late = take_until(&mut guarded.stand_ins, end_s.saturating_sub(1));
        let recheck_ppm = guarded.guards.recheck_ppm;
        for job in jobs {
            effects.extend(self.draw_nodes(&job, &value, now));
        }
        for job in late {
            effects.extend(self.draw_stand_ins(&job, &value));
        }
        for receipt in receipts {
            effects.extend(self.draw_checkers(&receipt, &value));
        }
        for receipt in judged {
            if is_sampled(&value, &receipt, recheck_ppm) {
                effects.extend(self.open_panel(&receipt, Why::Sampled));
            }
        }
        Ok(effects)
    }

    /// Draws the nodes of a job among those that could be drawn when it was posted and still can, and
    /// take another. A job without enough of them waits for the next round.
    fn draw_nodes(&mut self, id: &Hash32, value: &Hash32, now: u64) -> Option<Effect> {
        let posted = self.state.jobs.get(id)?;
        if posted.status != JobStatus::Open || self.at_s >= posted.job.deadline_s {
            return None;
        }
        let (job, at_s) = (&posted.job, self.at_s);
        let may = self.state.may_be_drawn(posted, at_s).copied();
        let ranked = ranked("proofmesh/beacon-node/v1", value, id, may);
        let (slots, part) = (usize::from(posted.job.slots), part_of(job, at_s));
        if ranked.len() < slots {
            self.state.guarded.as_mut()?.open_jobs.entry(now).or_default().push(*id);
            return None;
        }
        let nodes: Vec<Address> = ranked.into_iter().take(slots).collect();
        let (stand_in_s, left) = (stand_in_s(job, at_s), posted.candidates.clone());
        self.state.jobs.get_mut(id)?.assign(&nodes);
        self.takes_part(id, &nodes, part);
        self.await_stand_ins(id, stand_in_s, left);
        Some(Effect::Assigned { job: *id, nodes })
    }

    fn takes_part(&mut self, id: &Hash32, nodes: &[Address], part: Part) {
        for node in nodes {
            self.member(node, |member| {
                member.parts.insert(*id, part);
            });
        }
    }

    /// From a second on others are drawn, of those that could be when the job was posted, for nodes that brought nothing.
    fn await_stand_ins(&mut self, id: &Hash32, from_s: Option<u64>, mut candidates: Vec<Address>) {
        let Some(posted) = self.state.jobs.get_mut(id) else { return };
        candidates.retain(|node| !posted.nodes.contains(node));
        posted.candidates = Vec::new();
        if let (Some(from_s), Some(guarded)) = (from_s, &mut self.state.guarded)
            && !candidates.is_empty()
        {
            posted.candidates = candidates;
            guarded.stand_ins.entry(from_s).or_default().push(*id);
        }
    }

    /// Draws as many nodes besides as a job lacks of such that brought a receipt: the same share is theirs, and the job pays no more
    /// than before. Whoever was silent until now may still bring something; if it does not, that is an absence.
    fn draw_stand_ins(&mut self, id: &Hash32, value: &Hash32) -> Option<Effect> {
        let posted = self.state.jobs.get(id)?;
        let (again_s, left) = (stand_in_s(&posted.job, self.at_s), posted.candidates.clone());
        let Some((silent, may)) = self.state.stand_ins_of(id, self.at_s) else {
            let over = posted.status == JobStatus::Ended;
            self.await_stand_ins(id, again_s.filter(|_| !over), left);
            return None;
        };
        let lacking = (usize::from(posted.job.slots) + silent.len()).saturating_sub(posted.nodes.len());
        let ranked = ranked("proofmesh/beacon-stand-in/v1", value, id, may);
        let nodes: Vec<Address> = ranked.into_iter().take(lacking).collect();
        let part = part_of(&posted.job, self.at_s);
        for node in &silent {
            self.member(node, |member| {
                if let Some(part) = member.parts.get_mut(id) {
                    part.stood_in = true;
                }
            });
        }
        self.state.jobs.get_mut(id)?.nodes.extend(&nodes);
        self.takes_part(id, &nodes, part);
        self.await_stand_ins(id, again_s, left);
        Some(Effect::Assigned { job: *id, nodes })
    }

    fn draw_checkers(&mut self, digest: &Hash32, value: &Hash32) -> Option<Effect> {
        let delivered = self.state.receipts.get(digest)?;
        if delivered.status != ReceiptStatus::Pending {
            return None;
        }
        let seats = self.seats(&delivered.signed.receipt);
        let rank =
            |checker: Address| (beacon_rank("proofmesh/beacon-checker/v1", value, digest, &checker), checker);
        let mut ranked: Vec<(Hash32, Address)> = seats.into_iter().map(rank).collect();
        ranked.sort_unstable();
        let checkers = ranked.into_iter().map(|(_, checker)| checker).collect();
        let drawn = Drawn { at_s: self.at_s, checkers };
        self.state.guarded.as_mut()?.drawn.insert(*digest, drawn);
        Some(Effect::CheckWanted { receipt: *digest })
    }

    /// A checker of this market with the pledge that its word needs.
    fn is_seated(&self, checker: &Address) -> bool {
        let Some(guarded) = &self.state.guarded else { return false };
        self.rules.checkers.contains(checker) && self.state.pledge(checker) >= guarded.guards.checker_pledge
    }

    /// Checkers that may judge a receipt: seated, and no party to it.
    pub(super) fn seats(&self, receipt: &Receipt) -> Vec<Address> {
        let buyer = self.state.jobs.get(&receipt.job).map(|posted| posted.job.buyer);
        let may = |checker: &&Address| {
            self.is_seated(checker)
                && !self.state.is_party(checker, &receipt.node)
                && buyer != Some(**checker)
        };
        self.rules.checkers.iter().filter(may).copied().collect()
    }

    /// In a guarded market a first verdict comes from the checker that was drawn, or, when it does not answer,
    /// from the next in rank.
    pub(super) fn require_drawn(&self, digest: &Hash32, checker: &Address) -> Result<(), Refusal> {
        let Some(guarded) = &self.state.guarded else { return Ok(()) };
        let sits = guarded.panels.contains_key(digest);
        require(!sits, "verdict.panel-sits", "a receipt without a panel", digest)?;
        let drawn = guarded.drawn.get(digest);
        let drawn = drawn.ok_or_else(|| {
            Refusal::new("verdict.not-drawn-yet", "a receipt whose checker is drawn", digest)
        })?;
        let turns = self.at_s.saturating_sub(drawn.at_s) / guarded.guards.reveal_s; // above zero: guards.span
        let may = usize::try_from(turns).unwrap_or(usize::MAX).saturating_add(1).min(drawn.checkers.len());
        let in_turn = drawn.checkers[..may].contains(checker);
        require(in_turn, "verdict.not-drawn", format_args!("one of the first {may} drawn"), checker)
    }
}

impl State {
    /// Whether a value of the beacon would draw anything at `at_s`: checkers of a receipt, the sample of a judged one,
    /// or nodes for a job that has enough of them. Idle checkers need not commit.
    #[must_use]
    pub fn awaits_beacon(&self, at_s: u64) -> bool {
        let Some(guarded) = &self.guarded else { return false };
        let waits = |lists: &BTreeMap<u64, Vec<Hash32>>| lists.values().any(|list| !list.is_empty());
        let late = || {
            let mut due = guarded.stand_ins.range(..=at_s).flat_map(|(_, jobs)| jobs);
            due.any(|job| self.stand_ins_of(job, at_s).is_some())
        };
        waits(&guarded.unassigned) || waits(&guarded.unsampled) || self.has_drawable_job(at_s) || late()
    }

    /// Candidates of a job that are fit now, and take another.
    fn may_be_drawn<'a>(&'a self, posted: &'a PostedJob, at_s: u64) -> impl Iterator<Item = &'a Address> {
        let job = &posted.job;
        let may = move |node: &&Address| self.is_fit(node, job, at_s) && self.is_free_for(node, job);
        posted.candidates.iter().filter(may)
    }

    /// Nodes of a job that brought nothing, and those that may be drawn for them; `None` if nobody may, or nobody has to.
    fn stand_ins_of(&self, id: &Hash32, at_s: u64) -> Option<(Vec<Address>, Vec<Address>)> {
        let (posted, guarded) = (self.jobs.get(id)?, self.guarded.as_ref()?);
        let job = &posted.job;
        let open = posted.status == JobStatus::Assigned && at_s < job.deadline_s;
        if !open || self.escrow(id).is_zero() {
            return None;
        }
        let came = |node: &&Address| {
            let part = guarded.members.get(*node).and_then(|member| member.parts.get(id));
            part.is_some_and(|part| part.came)
        };
        let silent: Vec<Address> = posted.nodes.iter().filter(|node| !came(node)).copied().collect();
        if posted.nodes.len() - silent.len() >= usize::from(job.slots) {
            return None;
        }
        let may: Vec<Address> = self.may_be_drawn(posted, at_s).copied().collect();
        (!may.is_empty()).then_some((silent, may))
    }

    /// Whether a value of the beacon would draw the nodes of a job at `at_s`.
    #[must_use]
    pub fn has_drawable_job(&self, at_s: u64) -> bool {
        let Some(guarded) = &self.guarded else { return false };
        let drawable = |id: &Hash32| {
            self.jobs.get(id).is_some_and(|posted| {
                let open = posted.status == JobStatus::Open && at_s < posted.job.deadline_s;
                open && self.may_be_drawn(posted, at_s).count() >= usize::from(posted.job.slots)
            })
        };
        guarded.open_jobs.values().flatten().any(drawable)
    }
}
