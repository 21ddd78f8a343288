//! Receipts checked and judged; and nodes measured before their first job.
//!
//! A crash between a receipt and its verdict leaves a receipt without one, which the next start judges.

use super::Coordinator;
use crate::cores::shared_out;
use crate::engine::crash;
use crate::fault::{Fault, Result};
use crate::wire::{MeasureDoc, ReadyDoc, ReceiptDoc};
use proofmesh_graph::program::Interval;
use proofmesh_market::order::Measured;
use proofmesh_market::state::ReceiptStatus;
use proofmesh_market::{
    AccountSecret, Address, Check, Effect, Hash32, Job, Known, Signed, SignedReceipt, State, Verdict, What,
    check_delivered,
};
use proofmesh_services::inference::{ProofCheck, Stated};
use proofmesh_services::seed::{Seeds, WithSeeds};
use proofmesh_services::{Engines, by_id, inference, metered, ready, storage, wrap};
use std::sync::{Arc, PoisonError};
use std::time::Instant;

/// How long a measured capability counts.
const CAPABILITY_S: u64 = 90 * 86_400;

/// Receipts that are checked, and their verdicts taken, together.
pub(super) const JUDGED_AT_ONCE: usize = 64;

/// A delivered receipt with its job and its evidence.
pub(super) struct Delivery {
    pub(super) digest: Hash32,
    pub(super) job: Job,
    pub(super) signed: SignedReceipt,
    pub(super) evidence: Vec<u8>,
}

fn unknown(digest: &Hash32) -> Fault {
    Fault::trouble("receipt.unknown", "a delivered receipt of a posted job", digest)
}

/// What the checks of some receipts share, so that they wait for the book once.
pub(super) struct Shared {
    seeds: Arc<Seeds>,
    /// Signatures of devices that they will ask about, verified together.
    known: Known,
}

impl Coordinator {
    /// Receipts without a verdict.
    pub(super) fn pending(&self) -> Vec<Hash32> {
        self.with_state(|state| {
            let waits = state.receipts().iter().filter(|(_, found)| found.status == ReceiptStatus::Pending);
            waits.map(|(digest, _)| *digest).collect()
        })
    }

    /// Checks a waiting receipt and takes the verdict. Gives the check's milliseconds.
    pub(super) fn judge(&self, digest: &Hash32) -> Result<f64> {
        let delivery = self.delivery(digest)?;
        let began = Instant::now();
        let verdict = self.verdict(&delivery, &self.shared([]), self.checkers.first())?;
        let check_ms = began.elapsed().as_secs_f64() * 1_000.0;
        crash::point();
        self.take_verdicts(vec![verdict])?;
        Ok(check_ms)
    }

    /// The same of many, on all cores, their verdicts taken together.
    pub(super) fn judge_all(&self, digests: &[Hash32]) -> Result<()> {
        let checker = self.checkers.first();
        let verdicts = shared_out(digests, |some| {
            let deliveries = self.deliveries(some);
            let shared = self.shared(deliveries.iter().flatten());
            deliveries.into_iter().map(|delivery| self.verdict(&delivery?, &shared, checker)).collect()
        });
        let verdicts = verdicts.into_iter().collect::<Result<Vec<_>>>()?;
        crash::point();
        self.take_verdicts(verdicts)
    }

    fn take_verdicts(&self, verdicts: Vec<Verdict>) -> Result<()> {
        for done in self.take_many(verdicts.into_iter().map(What::Judged).collect())? {
            match done {
                // Another thread was faster: the same receipt, the same verdict. Or nobody may judge it: it lapses with its job.
                Err(fault) if fault.is("verdict.receipt-not-pending") || fault.is("verdict.own-receipt") => {}
                done => drop(done?),
            }
        }
        Ok(())
    }

    /// Takes many together; their signatures are verified together, too, before anybody waits for the book.
    pub(super) fn take_many(&self, whats: Vec<What>) -> Result<Vec<Result<Vec<Effect>>>> {
        let verified = self.ahead.lock().unwrap_or_else(PoisonError::into_inner).verify(&whats);
        self.book().take_all(whats.into_iter().zip(verified))
    }

    /// A delivered receipt with its job and its evidence.
    pub(super) fn delivery(&self, digest: &Hash32) -> Result<Delivery> {
        self.deliveries(&[*digest]).pop().unwrap_or_else(|| Err(unknown(digest)))
    }

    /// The same of many.
    pub(super) fn deliveries(&self, digests: &[Hash32]) -> Vec<Result<Delivery>> {
        let look = |state: &State, digest: &Hash32| {
            let delivered = state.receipts().get(digest)?;
            let posted = state.jobs().get(&delivered.signed.receipt.job)?;
            Some((posted.job.clone(), delivered.signed.clone()))
        };
        let found: Vec<_> =
            self.with_state(|state| digests.iter().map(|digest| look(state, digest)).collect());
        let with_evidence = |(digest, found): (&Hash32, Option<(Job, SignedReceipt)>)| {
            let (job, signed) = found.ok_or_else(|| unknown(digest))?;
            let evidence = self.blob(&signed.receipt.evidence)?.ok_or_else(|| {
                Fault::trouble("blob.missing", "the evidence of a delivered receipt", signed.receipt.evidence)
            })?;
            Ok(Delivery { digest: *digest, job, signed, evidence })
        };
        digests.iter().zip(found).map(with_evidence).collect()
    }

    /// What the checks of some receipts share.
    pub(super) fn shared<'a>(&self, deliveries: impl IntoIterator<Item = &'a Delivery>) -> Shared {
        let signed = |it: &Delivery| {
            let signed = by_id(&it.job.service)?.signed?;
            Some(signed(&it.job, &it.signed.receipt, &it.evidence))
        };
        let known = Known::of(deliveries.into_iter().filter_map(signed).flatten());
        Shared { seeds: self.book().seeds().clone(), known }
    }

    /// What a checker says about a receipt.
    pub(super) fn verdict(
        &self,
        delivery: &Delivery,
        shared: &Shared,
        checker: &AccountSecret,
    ) -> Result<Verdict> {
        let (Delivery { digest, job, signed, evidence }, began) = (delivery, Instant::now());
        let verdict = self.with_service(&job.service, shared, |check| {
            Ok(check_delivered(&self.domain(), job, (digest, signed), evidence, check, checker))
        })?;
        crate::monitor::checked(verdict.receipt(), began);
        Ok(verdict)
    }

    /// Runs something with the check of a service and this coordinator's engines.
    ///
    /// # Errors
    /// `service.unknown`.
    pub(super) fn with_service<T>(
        &self,
        service: &Hash32,
        shared: &Shared,
        run: impl FnOnce(&dyn Check) -> Result<T>,
    ) -> Result<T> {
        let service = by_id(service)
            .ok_or_else(|| Fault::refused("service.unknown", "a service of this node", service))?;
        self.with_engines(shared, |engines| run(&service.checker(*engines)))
    }

    /// Runs something with this coordinator's engines.
    pub(super) fn with_engines<T>(&self, shared: &Shared, run: impl FnOnce(&Engines<'_>) -> T) -> T {
        let models = self.models.read().unwrap_or_else(PoisonError::into_inner);
        let feeds = self.feeds.read().unwrap_or_else(PoisonError::into_inner);
        let references = WithSeeds { feeds: &*feeds, seeds: &shared.seeds };
        let (references, known) = (&references, &shared.known);
        let engines = Engines { proofs: &*models, models: &*models, references, known };
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

    /// Checks a node's proof under its challenge, wrapped or not, and takes the capability. Nothing self-reported counts.
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
            let stated = Stated {
                model: doc.model.0,
                input: doc.input.0,
                public_input: &public,
                output: &doc.output,
                context: context.0,
            };
            let checked = match &doc.key {
                None => models.verify(
                    stated.model,
                    stated.input,
                    stated.public_input,
                    stated.output,
                    stated.context,
                    &doc.proof.0,
                ),
                Some(key) => models.verify_wrapped(key, &stated, &doc.proof.0),
            };
            checked
                .map_err(|no| Fault::refused(format_args!("measure.{}", no.check), no.expected, no.got))?;
        }
        let service = if doc.key.is_some() { wrap::SERVICE.id() } else { inference::SERVICE.id() };
        self.measured(doc.node, service, doc.model)
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
