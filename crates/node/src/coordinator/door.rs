//! Whose evidence is worth the disk: a look at a receipt before anything of it is kept.
//!
//! Evidence is read to judge a receipt, and again by panels, disputes and audits of what was judged. The market itself turns
//! away what is not next in its node's chain, and refuses what no job pays, without a look at the evidence: nobody ever
//! reads it, and whoever hands in megabytes with such receipts must not fill the disk.
//!
//! The look is weaker than the market's rules, never stronger: a receipt that it passes over can not come to wait for a
//! verdict, as long as the state is the one that was looked at.

use proofmesh_market::state::{JobStatus, Standing};
use proofmesh_market::{Address, Hash32, Receipt, State};
use std::collections::{BTreeMap, BTreeSet};

/// For each receipt of a batch, in its order and with its digest: whether it may come to wait for a verdict, at a second.
pub(super) fn may_be_judged(state: &State, now_s: u64, batch: &[(Receipt, Hash32)]) -> Vec<bool> {
    // Places that may be the next of a node: the end of its chain, and what follows a receipt of this batch.
    let mut places: BTreeMap<Address, BTreeSet<(u64, Hash32)>> = BTreeMap::new();
    let look = |(receipt, digest): &(Receipt, Hash32)| {
        let Some(node) = state.nodes().get(&receipt.node) else { return false };
        let open = places.entry(receipt.node).or_insert_with(|| [(node.next_sequence(), node.head())].into());
        if !open.contains(&(receipt.sequence, receipt.previous)) {
            return false;
        }
        open.insert((receipt.sequence.saturating_add(1), *digest));
        node.standing == Standing::Active && may_be_paid(state, now_s, receipt)
    };
    batch.iter().map(look).collect()
}

/// What a live job wants of a node that was drawn for it. Left to the market is what the next moment, or another receipt of
/// the same batch, may change in favour of this one: whether its window is over, and what the escrow holds.
fn may_be_paid(state: &State, now_s: u64, receipt: &Receipt) -> bool {
    let Some(posted) = state.jobs().get(&receipt.job) else { return false };
    let job = &posted.job;
    let bound = state.devices().get(&receipt.device).is_some_and(|binding| binding.node == receipt.node);
    posted.status == JobStatus::Assigned
        && now_s < job.deadline_s
        && posted.nodes.contains(&receipt.node)
        && bound
        && job.require_kept(receipt, u64::MAX).is_ok()
}
