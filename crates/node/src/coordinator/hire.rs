//! Wrapping jobs whose proof is handed over: it comes with the job and is checked before the job is taken, so that no node is drawn for what it
//! cannot get or cannot wrap. Kept as evidence is, by its hash; it hides, so anybody may read it.
//!
//! Refuses: `wrap.not-handed`, `wrap.other-proof`, `wrap.key-unknown`, `wrap.price`, `wrap.funds`, `wrap.handed.CHECK` with the verifier's name of the check,
//! the names of `proofmesh_services::wrap`.

use super::Coordinator;
use crate::fault::{Fault, Result};
use crate::wire::HandOverDoc;
use crate::zk::Models;
use proofmesh_market::limits::EVIDENCE_BYTES_MAX;
use proofmesh_market::{Hash32, Job, Known, Signed, What, keccak};
use proofmesh_services::Engines;
use proofmesh_services::inference::{Catalogue, ProofCheck, Stated};
use proofmesh_services::reference::NoReferences;
use proofmesh_services::wrap::{Handed, PRICE, SERVICE, Terms, terms};
use std::sync::PoisonError;

impl Coordinator {
    /// Takes a wrapping job together with the proof that it hands over. Gives the job's id.
    ///
    /// # Errors
    /// The names in the head of this file; the market's.
    pub async fn order_wrap(&self, doc: HandOverDoc) -> Result<Hash32> {
        let signed = Signed { order: doc.order, signature: doc.signature };
        self.sync_chain().await?;
        let id = tokio::task::block_in_place(|| self.keep_handed(&signed, &doc.handed.0))?;
        self.order(What::JobPosted(signed)).await?;
        // A move to another store of evidence may have come between: the job is in the log, and so moved with it from now on.
        tokio::task::block_in_place(|| self.keep(&doc.handed.0))?;
        Ok(id)
    }

    /// Bytes reach the disk only for a buyer who signed a job about them, and can pay it, and only if they are the proof that it says.
    fn keep_handed(&self, signed: &Signed<Job>, bytes: &[u8]) -> Result<Hash32> {
        let (job, id) = (&signed.order, signed.verify(&self.domain())?);
        if bytes.len() > EVIDENCE_BYTES_MAX {
            return Err(Fault::refused(
                "wrap.handed",
                format_args!("at most {EVIDENCE_BYTES_MAX} bytes"),
                bytes.len(),
            ));
        }
        if job.unit_price < PRICE {
            return Err(Fault::refused("wrap.price", format_args!("at least {PRICE} USD"), job.unit_price));
        }
        let (escrow, have) = (job.escrow()?, self.with_state(|state| state.balance(&job.buyer)));
        if have < escrow {
            return Err(Fault::refused("wrap.funds", format_args!("{escrow} USD to spend"), have));
        }
        let found = keccak(bytes);
        match handed(job) {
            Some(named) if named == found => {}
            Some(named) => return Err(Fault::refused("wrap.other-proof", named, found)),
            None => return Err(Fault::refused("wrap.terms", "a job that hands a proof over", job.service)),
        }
        self.check_handed(job, bytes)?;
        self.keep(bytes)?;
        Ok(id)
    }

    fn keep(&self, bytes: &[u8]) -> Result<Hash32> {
        self.blobs.read().unwrap_or_else(PoisonError::into_inner).put(bytes)
    }

    /// Whether a wrapping job can be worked on: the key is known, and a proof that it hands over is here and shows what the job is about. Nothing is asked
    /// of any other job.
    pub(super) fn require_workable(&self, job: &Job) -> Result<()> {
        if job.service != SERVICE.id() {
            return Ok(());
        }
        // One statement, by one node, at once: it is put to rest if it brings nothing.
        let now_s = self.time().now_s();
        if job.max_units != 1 || job.slots != 1 || job.window_until_s > now_s {
            let expected = "one unit of one node, and windows that are over";
            let got = format!("{} of {}, until {}", job.max_units, job.slots, job.window_until_s);
            return Err(Fault::refused("wrap.one", expected, got));
        }
        if let Some(named) = handed(job) {
            let bytes = self.blob(&named)?.ok_or_else(|| {
                Fault::refused("wrap.not-handed", "the proof with the job (`proofmesh wrap order`)", named)
            })?;
            return self.check_handed(job, &bytes);
        }
        let models = self.models.read().unwrap_or_else(PoisonError::into_inner);
        let hidden =
            models.get(&job.model).is_some_and(|file| !file.program.input.private_elements().is_empty());
        let own = Terms::decode(&job.terms).is_ok_and(|terms| terms.own);
        if hidden && !own {
            return Err(Fault::refused(
                "wrap.not-handed",
                "a proof that hides, for private input",
                job.model,
            ));
        }
        workable(job, &models).map(drop)
    }

    fn check_handed(&self, job: &Job, bytes: &[u8]) -> Result<()> {
        let models = self.models.read().unwrap_or_else(PoisonError::into_inner);
        let terms = workable(job, &models)?;
        let words = models.card(&job.model).map_or(0, |card| card.output_words);
        let handed = Handed::decode(bytes, words).map_err(|reason| Fault::from(&reason))?;
        let stated = Stated {
            model: job.model.0,
            input: job.input.0,
            public_input: &terms.public,
            output: &handed.output,
            context: terms.context.0,
        };
        models
            .verify_hidden(&stated, &handed.proof)
            .map_err(|no| Fault::refused(format_args!("wrap.handed.{}", no.check), no.expected, no.got))
    }
}

/// The terms of a wrapping job whose model and key this market knows.
fn workable(job: &Job, models: &Models) -> Result<Terms> {
    let engines = Engines { proofs: models, models, references: &NoReferences, known: Known::NOTHING };
    let terms = terms(job, &engines).map_err(|reason| Fault::from(&reason))?;
    if models.has_key(&job.model, &terms.key, terms.handed.is_some()) {
        return Ok(terms);
    }
    let expected = "the key of this model's contract, of the hired circuit for a proof that is handed over (`proofmesh up --verifier`)";
    Err(Fault::refused("wrap.key-unknown", expected, terms.key))
}

/// What a wrapping job names as handed over.
fn handed(job: &Job) -> Option<Hash32> {
    if job.service == SERVICE.id() { Terms::decode(&job.terms).ok()?.handed } else { None }
}
