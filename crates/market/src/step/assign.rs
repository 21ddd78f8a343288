//! Posting a job, drawing its nodes, ending it.
//!
//! The draw: the coordinator commits to a secret before the job exists; the job, salted by the buyer, takes
//! the oldest unused commitment; then the secret is revealed. Node `i` has the rank
//! `H(abi.encode(H("proofmesh/rank/v1"), secret, job, node_i))`; the lowest win. Only nodes that could be
//! drawn when the job was posted, and still can, take part: neither side can add a winner after seeing the
//! draw. In a guarded market the beacon draws instead (step/beacon.rs).

use super::{Effect, Fold};
use crate::event::draw_commitment;
use crate::hash::{Hash32, Words, tag};
use crate::job::Job;
use crate::key::Address;
use crate::ledger::{Move, Purse, Target};
use crate::limits::{DRAWS_MAX, TIME_S_MAX};
use crate::order::Signed;
use crate::refusal::{Refusal, require};
use crate::state::{DeviceBinding, JobStatus, PostedJob, ReceiptStatus, Standing, State};
use crate::verdict::Reason;
use std::collections::{BTreeMap, BTreeSet};

impl Fold<'_> {
    /// The job, or `job.unknown`.
    pub(super) fn job(&self, job: &Hash32) -> Result<&PostedJob, Refusal> {
        self.state.jobs.get(job).ok_or_else(|| Refusal::new("job.unknown", "a posted job", job))
    }

    pub(super) fn draw_committed(self, commitment: &Hash32) -> Result<Vec<Effect>, Refusal> {
        require(
            !self.state.drawn.contains(commitment),
            "draw.repeated",
            "a commitment not made before",
            commitment,
        )?;
        require(self.state.draws.len() < DRAWS_MAX, "draw.too-many", DRAWS_MAX, self.state.draws.len())?;
        self.state.drawn.insert(*commitment);
        self.state.draws.push_back(*commitment);
        Ok(Vec::new())
    }

    pub(super) fn job_posted(self, order: &Signed<Job>) -> Result<Vec<Effect>, Refusal> {
        let id = order.verify(&self.rules.domain)?;
        let job = &order.order;
        require(!self.state.jobs.contains_key(&id), "job.already-posted", "a job not posted before", id)?;
        require(
            job.buyer != self.rules.vault,
            "job.buyer-is-vault",
            "an account that is not the vault",
            job.buyer,
        )?;
        let in_time = job.deadline_s > self.at_s && job.deadline_s <= TIME_S_MAX;
        require(in_time, "job.deadline", format_args!("after {}", self.at_s), job.deadline_s)?;
        let escrow = job.escrow()?;
        let by_beacon = self.state.guarded.is_some();
        let front = if by_beacon { Some(Hash32::ZERO) } else { self.state.draws.front().copied() };
        let draw =
            front.ok_or_else(|| Refusal::new("draw.none-committed", "an unused commitment", "none"))?;
        let candidates = self.candidates(job);
        let pay =
            Move { from: Purse::Balance(job.buyer), to: Target::Purse(Purse::Escrow(id)), amount: escrow };
        self.state.ledger.post(&[pay], "job.balance-short")?;
        match &mut self.state.guarded {
            Some(guarded) => {
                let round = guarded.round(self.at_s);
                guarded.open_jobs.entry(round).or_default().push(id);
            }
            None => {
                self.state.draws.pop_front();
            }
        }
        let posted = PostedJob {
            job: job.clone(),
            draw,
            status: JobStatus::Open,
            candidates,
            nodes: Vec::new(),
            units: 0,
            pending: BTreeSet::new(),
        };
        self.state.jobs.insert(id, posted);
        Ok(vec![Effect::JobPosted { job: id, draw }])
    }

    pub(super) fn assigned(self, id: &Hash32, secret: &Hash32) -> Result<Vec<Effect>, Refusal> {
        let posted = self.job(id)?;
        require(self.state.guarded.is_none(), "assignment.by-beacon", "a draw by the beacon", id)?;
        require(
            posted.status == JobStatus::Open,
            "assignment.not-open",
            "an open job",
            format_args!("{:?}", posted.status),
        )?;
        require(self.at_s < posted.job.deadline_s, "job.deadline-passed", posted.job.deadline_s, self.at_s)?;
        let commitment = draw_commitment(secret);
        require(commitment == posted.draw, "assignment.wrong-secret", posted.draw, commitment)?;
        let fit = posted.candidates.iter().filter(|node| self.state.is_fit(node, &posted.job, self.at_s));
        let mut ranked: Vec<(Hash32, Address)> = fit.map(|node| (rank(secret, id, node), *node)).collect();
        ranked.sort_unstable();
        let slots = usize::from(posted.job.slots);
        require(
            ranked.len() >= slots,
            "assignment.too-few",
            format_args!("{slots} eligible nodes"),
            ranked.len(),
        )?;
        let nodes: Vec<Address> = ranked.into_iter().take(slots).map(|(_, node)| node).collect();
        if let Some(posted) = self.state.jobs.get_mut(id) {
            posted.assign(&nodes);
        }
        Ok(vec![Effect::Assigned { job: *id, nodes }])
    }

    /// Nodes that may be drawn for a job as things stand: with a fitting device, and fit themselves.
    fn candidates(&self, job: &Job) -> Vec<Address> {
        let mut with_device = BTreeSet::new();
        for (device, binding) in &self.state.devices {
            let wanted = job.devices.is_empty() || job.devices.binary_search(device).is_ok();
            let counts = self.state.guarded.as_ref().is_none_or(|guarded| guarded.counts(device));
            if wanted && counts && stands_in(binding, job.cell) {
                with_device.insert(binding.node);
            }
        }
        with_device.into_iter().filter(|node| self.state.is_fit(node, job, self.at_s)).collect()
    }

    pub(super) fn job_ended(mut self, id: &Hash32) -> Result<Vec<Effect>, Refusal> {
        let posted = self.job(id)?;
        require(posted.status != JobStatus::Ended, "job.already-ended", "a job that is not over", id)?;
        let refund = self.state.escrow(id);
        let deadline_s = posted.job.deadline_s;
        let over = refund.is_zero() || self.at_s >= deadline_s;
        require(
            over,
            "job.not-over",
            format_args!("its deadline {deadline_s} or no escrow left"),
            self.at_s,
        )?;
        let late = self.at_s >= deadline_s + self.rules.judge_s; // both bounded: limits.rs
        let waiting = posted.pending.len();
        require(
            waiting == 0 || late,
            "job.receipts-pending",
            "no receipt that waits for a verdict",
            waiting,
        )?;
        let back = Move {
            from: Purse::Escrow(*id),
            to: Target::Purse(Purse::Balance(posted.job.buyer)),
            amount: refund,
        };
        self.state.ledger.post(&[back], "job.escrow-short")?;
        let mut effects = Vec::new();
        let Some(posted) = self.state.jobs.get_mut(id) else { return Ok(effects) };
        posted.status = JobStatus::Ended;
        if !std::mem::take(&mut posted.candidates).is_empty()
            && let Some(guarded) = &mut self.state.guarded
        {
            guarded.stand_ins.values_mut().for_each(|jobs| jobs.retain(|job| job != id));
            guarded.stand_ins.retain(|_, jobs| !jobs.is_empty());
        }
        let (nodes, pending) = (posted.nodes.clone(), std::mem::take(&mut posted.pending));
        let reason = Reason::from(&Refusal::new("job.not-judged", "a verdict in time", "none"));
        for receipt in pending {
            self.forget(&receipt);
            let Some(delivered) = self.state.receipts.get_mut(&receipt) else { continue };
            delivered.status =
                ReceiptStatus::Refused { reason: reason.clone(), verdict: None, at_s: self.at_s };
            effects.push(Effect::ReceiptRefused {
                receipt,
                node: delivered.signed.receipt.node,
                reason: reason.clone(),
            });
        }
        effects.push(Effect::JobEnded { job: *id, refund });
        for node in nodes {
            effects.extend(self.part_over(&node, id, refund));
        }
        Ok(effects)
    }
}

impl State {
    /// Active, staked, measured, not run by a checker, and let by the guards.
    pub(crate) fn is_fit(&self, address: &Address, job: &Job, at_s: u64) -> bool {
        let Some(rules) = &self.rules else { return false };
        self.nodes.get(address).is_some_and(|node| {
            node.standing == Standing::Active
                && node.stake >= rules.min_stake
                && can(&node.capabilities, job, at_s)
                && !rules.checkers.iter().any(|checker| self.is_party(checker, address))
                && self.is_guarded_fit(address, job, at_s)
        })
    }
}

fn rank(secret: &Hash32, job: &Hash32, node: &Address) -> Hash32 {
    Words::new().hash(&tag("proofmesh/rank/v1")).hash(secret).hash(job).address(&node.0).keccak()
}

/// True when the device stands where the job wants it.
pub(super) fn stands_in(binding: &DeviceBinding, cell: u64) -> bool {
    cell == 0 || binding.cell == cell
}

/// True when a measured capability for the job's service and model (or any model) has not expired.
fn can(capabilities: &BTreeMap<(Hash32, Hash32), u64>, job: &Job, at_s: u64) -> bool {
    [job.model, Hash32::ZERO]
        .into_iter()
        .any(|model| capabilities.get(&(job.service, model)).is_some_and(|expires_s| at_s < *expires_s))
}
