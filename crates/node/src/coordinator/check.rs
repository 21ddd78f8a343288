//! Receipts: delivered, checked, judged; and nodes measured before their first job.
//!
//! Order on disk: evidence, then the receipt, then the verdict. A receipt is acknowledged when all three are
//! durable; a crash in between leaves a receipt without a verdict, which the next start judges.

use super::Coordinator;
use crate::engine::crash;
use crate::fault::{Fault, Result};
use crate::wire::{Delivered, MeasureDoc, ReadyDoc, ReceiptDoc};
use proofmesh_graph::program::Interval;
use proofmesh_market::limits::EVIDENCE_BYTES_MAX;
use proofmesh_market::order::Measured;
use proofmesh_market::state::ReceiptStatus;
use proofmesh_market::{
    AccountSecret, Address, Check, Effect, Hash32, Job, Signed, SignedReceipt, State, Verdict, What, keccak,
};
use proofmesh_services::inference::ProofCheck;
use proofmesh_services::seed::WithSeeds;
use proofmesh_services::{Engines, by_id, metered, ready, storage};
use std::sync::PoisonError;
use std::time::Instant;

/// How long a measured capability counts.
const CAPABILITY_S: u64 = 90 * 86_400;

impl Coordinator {
    /// Takes a receipt and its evidence, checks, and gives what became of it. When this returns, it is in the
    /// log for good.
    ///
    /// # Errors
    /// `receipt.*` that are refused before the receipt takes a place, `node.*`; trouble with the disk.
    pub async fn deliver(&self, receipt: &[u8], evidence: &[u8]) -> Result<Delivered> {
        let effects = tokio::task::block_in_place(|| self.take_in(receipt, evidence))?;
        for effect in effects {
            if let Effect::Equivocated { node, first, second } = effect {
                self.slash(&first, &second).await?;
                return Err(Fault::refused("receipt.equivocation", "one receipt for a place", node));
            }
        }
        let digest = SignedReceipt::decode(receipt)?.receipt.digest(&self.domain());
        let check_ms = if self.is_guarded() {
            self.judged(&digest).await?
        } else if self.with_state(|state| is_pending(state, &digest)) {
            tokio::task::block_in_place(|| self.judge(&digest))?
        } else {
            0.0
        };
        Ok(Delivered { receipt: self.receipt(&digest)?, check_ms })
    }

    fn take_in(&self, receipt: &[u8], evidence: &[u8]) -> Result<Vec<Effect>> {
        let signed = SignedReceipt::decode(receipt)?;
        if evidence.len() > EVIDENCE_BYTES_MAX {
            return Err(Fault::refused("receipt.evidence-too-long", EVIDENCE_BYTES_MAX, evidence.len()));
        }
        let digest = signed.verify(&self.domain())?;
        self.require_new(&signed, &digest)?;
        let found = keccak(evidence);
        if found != signed.receipt.evidence {
            return Err(Fault::refused("receipt.wrong-evidence", signed.receipt.evidence, found));
        }
        let blobs = self.blobs.read().unwrap_or_else(PoisonError::into_inner);
        blobs.put(evidence)?;
        crash::point();
        self.take(What::Delivered(signed))
    }

    /// Cheap refusals first: nobody but an enrolled node with a new receipt gets bytes onto the disk.
    fn require_new(&self, signed: &SignedReceipt, digest: &Hash32) -> Result<()> {
        let node = signed.receipt.node;
        self.with_state(|state| {
            if !state.nodes().contains_key(&node) {
                return Err(Fault::refused("node.unknown", "an enrolled node", node));
            }
            if state.receipts().contains_key(digest) {
                return Err(Fault::refused("receipt.replayed", "a receipt not delivered before", digest));
            }
            Ok(())
        })
    }

    /// Receipts without a verdict.
    pub(super) fn pending(&self) -> Vec<Hash32> {
        self.with_state(|state| {
            let waits = state.receipts().iter().filter(|(_, found)| found.status == ReceiptStatus::Pending);
            waits.map(|(digest, _)| *digest).collect()
        })
    }

    /// Checks a waiting receipt and takes the verdict. Gives the check's milliseconds.
    pub(super) fn judge(&self, digest: &Hash32) -> Result<f64> {
        let (job, signed, evidence) = self.case(digest)?;
        let began = Instant::now();
        let verdict = self.verdict(&job, &signed, &evidence, self.checkers.first())?;
        let check_ms = began.elapsed().as_secs_f64() * 1_000.0;
        crash::point();
        match self.take(What::Judged(verdict)) {
            // Another thread was faster: the same receipt, the same verdict. Or nobody may judge it: it lapses with its job.
            Err(fault) if fault.is("verdict.receipt-not-pending") || fault.is("verdict.own-receipt") => {}
            taken => drop(taken?),
        }
        Ok(check_ms)
    }

    /// A delivered receipt with its job and its evidence.
    pub(super) fn case(&self, digest: &Hash32) -> Result<(Job, SignedReceipt, Vec<u8>)> {
        let case = self.with_state(|state| {
            let delivered = state.receipts().get(digest)?;
            let posted = state.jobs().get(&delivered.signed.receipt.job)?;
            Some((posted.job.clone(), delivered.signed.clone()))
        });
        let Some((job, signed)) = case else {
            return Err(Fault::trouble("receipt.unknown", "a delivered receipt of a posted job", digest));
        };
        let evidence = self.blob(&signed.receipt.evidence)?.ok_or_else(|| {
            Fault::trouble("blob.missing", "the evidence of a delivered receipt", signed.receipt.evidence)
        })?;
        Ok((job, signed, evidence))
    }

    /// What a checker says about a receipt.
    pub(super) fn verdict(
        &self,
        job: &Job,
        signed: &SignedReceipt,
        evidence: &[u8],
        checker: &AccountSecret,
    ) -> Result<Verdict> {
        let began = Instant::now();
        let verdict = self.with_service(&job.service, |check| {
            Ok(proofmesh_market::check(&self.domain(), job, signed, evidence, check, checker)?)
        })?;
        crate::monitor::checked(verdict.receipt(), began);
        Ok(verdict)
    }

    /// Runs something with the check of a service and this coordinator's engines.
    ///
    /// # Errors
    /// `service.unknown`.
    pub fn with_service<T>(&self, service: &Hash32, run: impl FnOnce(&dyn Check) -> Result<T>) -> Result<T> {
        let service = by_id(service)
            .ok_or_else(|| Fault::refused("service.unknown", "a service of this node", service))?;
        self.with_engines(|engines| run(&service.checker(*engines)))
    }

    /// Runs something with this coordinator's engines.
    pub(super) fn with_engines<T>(&self, run: impl FnOnce(&Engines<'_>) -> T) -> T {
        let models = self.models.read().unwrap_or_else(PoisonError::into_inner);
        let feeds = self.feeds.read().unwrap_or_else(PoisonError::into_inner);
        let seeds = self.book().seeds().clone();
        let references = WithSeeds { feeds: &*feeds, seeds: &seeds };
        let engines = Engines { proofs: &*models, models: &*models, references: &references };
        run(&engines)
    }

    /// A receipt as a document.
    ///
    /// # Errors
    /// `receipt.unknown`.
    pub fn receipt(&self, digest: &Hash32) -> Result<ReceiptDoc> {
        self.with_state(|state| {
            let delivered = state
                .receipts()
                .get(digest)
                .ok_or_else(|| Fault::refused("receipt.unknown", "a delivered receipt", digest))?;
            Ok(ReceiptDoc::of(digest, delivered))
        })
    }

    /// What a node must prove to be measured: any private input, the middle of the range as public input,
    /// under this context.
    ///
    /// # Errors
    /// `node.unknown`.
    pub fn challenge(&self, node: &Address) -> Result<Hash32> {
        let nonce = self.with_state(|state| state.nodes().get(node).map(|known| known.nonce));
        let nonce = nonce.ok_or_else(|| Fault::refused("node.unknown", "an enrolled node", node))?;
        Ok(self.draws.challenge(&node.0, nonce))
    }

    /// Checks a node's proof under its challenge, and takes the capability. Nothing self-reported counts.
    ///
    /// # Errors
    /// `model.unknown`, `measure.CHECK` with the name of the verifier's check.
    pub fn measure(&self, doc: &MeasureDoc) -> Result<()> {
        let context = self.challenge(&doc.node)?;
        {
            let models = self.models.read().unwrap_or_else(PoisonError::into_inner);
            let file = models
                .get(&doc.model)
                .ok_or_else(|| Fault::refused("model.unknown", "a model of this market", doc.model))?;
            let count = file.program.input.public_elements().len();
            let public = vec![middle(file.program.input.interval); count];
            models
                .verify(doc.model.0, doc.input.0, &public, &doc.output, context.0, &doc.proof.0)
                .map_err(|no| Fault::refused(format_args!("measure.{}", no.check), no.expected, no.got))?;
        }
        self.measured(doc.node, proofmesh_services::inference::SERVICE.id(), doc.model)
    }

    /// Checks a node's answer about a service that has no model, and takes the capability.
    ///
    /// # Errors
    /// `ready.service`, `ready.device`, the names of the service's check.
    pub fn ready(&self, doc: &ReadyDoc) -> Result<()> {
        let context = self.challenge(&doc.node)?;
        let owner = self.with_state(|state| state.devices().get(&doc.device).map(|bound| bound.node));
        if owner != Some(doc.node) {
            return Err(Fault::refused("ready.device", "a device of the node", doc.device));
        }
        if doc.service == storage::SERVICE.id() {
            ready::check_storage(&context, &doc.node, &doc.device, &doc.evidence.0)?;
        } else if doc.service == metered::SERVICE.id() {
            ready::check_metered(&context, &doc.device, &doc.evidence.0)?;
        } else {
            return Err(Fault::refused("ready.service", "storage or metered", doc.service));
        }
        self.measured(doc.node, doc.service, Hash32::ZERO)
    }

    /// A checker's word that a node can do something.
    fn measured(&self, node: Address, service: Hash32, model: Hash32) -> Result<()> {
        let expires_s = self.time.now_s().max(self.with_state(State::now_s)) + CAPABILITY_S;
        let checker = self.checkers.first();
        let order = Measured { checker: checker.address(), node, service, model, expires_s };
        self.take(What::CapabilityMeasured(Signed::new(order, &self.domain(), checker)?))?;
        self.assign_open()
    }
}

pub(super) fn is_pending(state: &State, digest: &Hash32) -> bool {
    state.receipts().get(digest).is_some_and(|found| found.status == ReceiptStatus::Pending)
}

/// The public input of a measurement: the integer nearest to zero that the model takes.
#[must_use]
pub fn middle(interval: Interval) -> i32 {
    0.clamp(interval.lo, interval.hi)
}
