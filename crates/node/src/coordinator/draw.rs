//! Draws of nodes: secrets that the coordinator committed to before it knew the job.
//!
//! Secret `n` is `H(H("proofmesh/draw-secret/v1") || seed || n)`, so that none is lost with a crash; the seed
//! is in the key directory.

use super::Coordinator;
use crate::fault::Result;
use proofmesh_market::event::draw_commitment;
use proofmesh_market::state::JobStatus;
use proofmesh_market::{Hash32, What, keccak};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Unused commitments that the coordinator keeps in stock.
const STOCK: usize = 4;

/// The secrets behind the commitments.
pub(super) struct Draws {
    seed: [u8; 32],
    secrets: Mutex<BTreeMap<Hash32, Hash32>>, // by commitment
}

impl Draws {
    /// All secrets up to the number of commitments in the log, and the one after.
    pub(super) fn new(seed: [u8; 32], committed: u64) -> Self {
        let draws = Draws { seed, secrets: Mutex::default() };
        for number in 0..=committed {
            draws.commit(number);
        }
        draws
    }

    fn commit(&self, number: u64) -> Hash32 {
        let tag = keccak(b"proofmesh/draw-secret/v1");
        let secret = keccak(&[&tag.0[..], &self.seed, &number.to_be_bytes()].concat());
        let commitment = draw_commitment(&secret);
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner).insert(commitment, secret);
        commitment
    }

    fn secret(&self, commitment: &Hash32) -> Option<Hash32> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner).get(commitment).copied()
    }

    /// What a node has to prove to be measured: nobody but the coordinator knows it before the node is
    /// enrolled.
    pub(super) fn challenge(&self, node: &[u8; 20], nonce: u64) -> Hash32 {
        let tag = keccak(b"proofmesh/measure/v1");
        keccak(&[&tag.0[..], &self.seed, node, &nonce.to_be_bytes()].concat())
    }
}

impl Coordinator {
    /// Commits to secrets until the stock is full.
    pub(super) fn stock_draws(&self) -> Result<()> {
        let mut book = self.book();
        if book.state().guarded().is_some() {
            return Ok(()); // the beacon draws
        }
        while book.state().draws().len() < STOCK {
            let commitment = self.draws.commit(book.draws());
            book.take(What::DrawCommitted { commitment })?;
        }
        Ok(())
    }

    /// Reveals the secret of every open job for which enough nodes are there. A job without stays open until
    /// its deadline.
    pub(super) fn assign_open(&self) -> Result<()> {
        let open: Vec<(Hash32, Hash32)> = self.with_state(|state| {
            let open = state.jobs().iter().filter(|(_, posted)| posted.status == JobStatus::Open);
            open.map(|(id, posted)| (*id, posted.draw)).collect()
        });
        for (job, draw) in open {
            if let Some(secret) = self.draws.secret(&draw) {
                self.take_if_legal(What::Assigned { job, secret })?;
            }
        }
        Ok(())
    }
}
