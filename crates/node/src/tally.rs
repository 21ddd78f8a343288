//! What there is to see of a market without walking all of it: kept event by event beside the state, so that a look costs what it
//! shows, however long the log is.

use proofmesh_market::{Address, Effect, Event, Hash32, Receipt, State, What};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;

/// Receipts that are among the newest.
pub const NEWEST: usize = 256;

/// Of one model.
#[derive(Clone, Debug, Default)]
pub struct ModelTally {
    /// Jobs about it.
    pub jobs: u64,
    /// Receipts by the first word of their output.
    pub said: BTreeMap<i32, u64>,
}

/// Jobs by buyer and by node, receipts by job, the newest receipts, sums by model.
#[derive(Debug, Default)]
pub struct Tally {
    bought: BTreeMap<Address, Vec<Hash32>>,
    at_work: BTreeMap<Address, BTreeSet<Hash32>>,
    receipts: BTreeMap<Hash32, Vec<Hash32>>,
    newest: VecDeque<Hash32>,
    models: BTreeMap<Hash32, ModelTally>,
}

impl Tally {
    /// Notes an event that the state has taken.
    pub fn note(&mut self, event: &Event, effects: &[Effect], state: &State) {
        match &event.what {
            What::JobPosted(signed) => self.models.entry(signed.order.model).or_default().jobs += 1,
            What::Delivered(signed) => {
                let receipt: &Receipt = &signed.receipt;
                // One that took its place is its node's last; an equivocation is not.
                let last = state.nodes().get(&receipt.node).map(|node| node.head()).unwrap_or_default();
                if state.receipts().get(&last).is_some_and(|taken| taken.signed.receipt == *receipt) {
                    self.receipts.entry(receipt.job).or_default().push(last);
                    self.newest.push_front(last);
                    self.newest.truncate(NEWEST);
                    if let Some(word) = signed.output_words().first() {
                        *self.models.entry(receipt.model).or_default().said.entry(*word).or_default() += 1;
                    }
                }
            }
            _ => {}
        }
        for effect in effects {
            match effect {
                Effect::JobPosted { job, .. } => {
                    if let Some(posted) = state.jobs().get(job) {
                        self.bought.entry(posted.job.buyer).or_default().push(*job);
                    }
                }
                Effect::Assigned { job, nodes } => {
                    for node in nodes {
                        self.at_work.entry(*node).or_default().insert(*job);
                    }
                }
                Effect::JobEnded { job, .. } => {
                    for node in state.jobs().get(job).map_or(&[][..], |posted| &posted.nodes) {
                        self.at_work.entry(*node).or_default().remove(job);
                    }
                }
                _ => {}
            }
        }
    }

    /// Jobs of a buyer, in the order in which they came.
    #[must_use]
    pub fn bought(&self, buyer: &Address) -> &[Hash32] {
        self.bought.get(buyer).map_or(&[], Vec::as_slice)
    }

    /// Jobs that a node was drawn for and that are not over, ascending, after one of them.
    pub fn at_work(&self, node: &Address, after: Option<Hash32>) -> impl Iterator<Item = &Hash32> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let jobs = self.at_work.get(node).into_iter();
        jobs.flat_map(move |jobs| jobs.range((from, Bound::Unbounded)))
    }

    /// Receipts of a job, in the order in which they came.
    #[must_use]
    pub fn receipts(&self, job: &Hash32) -> &[Hash32] {
        self.receipts.get(job).map_or(&[], Vec::as_slice)
    }

    /// The newest receipts, newest first.
    pub fn newest(&self) -> impl Iterator<Item = &Hash32> {
        self.newest.iter()
    }

    /// What is known of a model.
    #[must_use]
    pub fn model(&self, model: &Hash32) -> ModelTally {
        self.models.get(model).cloned().unwrap_or_default()
    }
}
