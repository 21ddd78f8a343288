//! Contracts that check a model's proofs, and what follows for whoever posts epochs: from then on anybody may demand on chain that it proves a
//! receipt of the model.
//!
//! A verifier of the *hired* circuit takes what a stranger wrapped. Jobs about its model have to ask for wrappable proofs
//! (`inference.not-wrappable`), so that the poster can wrap the evidence that it has, whatever the node does. A model
//! that stands without a verifier gets one only when nothing is left of it that the poster could not answer for.
//!
//! A receipt whose demand ran out on chain cost the bond. The epochs from there on are not posted again before the
//! poster can answer for it (`epoch.receipt-lost`): nobody takes one bond after the other with one receipt.

use super::Coordinator;
use crate::engine::blobs::replace;
use crate::fault::{Fault, Result};
use crate::onchain::{Registered, Verifier};
use crate::wrapped;
use proofmesh_graph::program::Program;
use proofmesh_market::state::{DeliveredReceipt, JobStatus, ReceiptStatus};
use proofmesh_market::{Hash32, Job};
use proofmesh_services::inference;
use proofmesh_settle::{Signer, VerifierKey};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

/// A demand on chain that nobody answered yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Demand {
    /// The epoch that settles the receipt.
    pub epoch: u64,
    /// The receipt.
    pub receipt: Hash32,
    /// Until when it can be answered.
    pub deadline_s: u64,
    /// Number of the posting: an epoch that was struck is posted anew under another.
    pub post: u32,
}

/// How a poster stands when somebody demands on chain a proof of one of a model's receipts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answers {
    /// The model has no verifier: nobody can demand anything.
    Unasked,
    /// The verifier takes what a node wraps of its own receipts: no other can answer.
    ByItsNode,
    /// The poster answers by itself, with the key at this place.
    Alone(PathBuf),
    /// It could, with a key at this place, where none is.
    KeyMissing(PathBuf),
}

impl Answers {
    /// What is wrong and what to do next, where something is.
    #[must_use]
    pub fn warning(&self) -> Option<(String, String)> {
        let (found, next) = match self {
            Answers::Unasked | Answers::Alone(_) => return None,
            Answers::ByItsNode => (
                "its receipts can be demanded on chain, and only the node that made one can answer".to_owned(),
                "let only nodes that are yours work for it: a silent one costs the bond. A key of `wrap set-up --hiding` lets the poster answer \
                 alone"
                    .to_owned(),
            ),
            Answers::KeyMissing(path) => (
                format!("its receipts can be demanded on chain, and there is no key to answer with: {}", path.display()),
                "`proofmesh wrap set-up --hiding`, or put a ceremony's key there: a demand that nobody answers costs the bond".to_owned(),
            ),
        };
        Some((found, next))
    }
}

/// How the poster of a directory stands about one of its models. Builds the circuit, which takes seconds, where the verifier is of hired proofs.
///
/// # Errors
/// `model.verifier-key`, `file.io`, those of [`wrapped::blank_hired`].
pub fn answers(dir: &Path, id: &Hash32, program: &Program) -> Result<Answers> {
    let path = match read_verifier(dir, id)? {
        None => return Ok(Answers::Unasked),
        Some(verifier) if !verifier.hired => return Ok(Answers::ByItsNode),
        Some(_) => wrapped::key_path(dir, &wrapped::blank_hired(program, 1)?.digest()),
    };
    Ok(if path.exists() { Answers::Alone(path) } else { Answers::KeyMissing(path) })
}

impl Coordinator {
    /// The key by which a model's wrapped proofs are checked.
    ///
    /// # Errors
    /// `model.verifier-key`, `file.io`.
    pub fn verifier(&self, model: &Hash32) -> Result<Option<VerifierKey>> {
        Ok(read_verifier(&self.dir, model)?.map(|verifier| verifier.key))
    }

    /// Whether jobs about a model have to ask for wrappable proofs.
    #[must_use]
    pub fn is_wrappable(&self, model: &Hash32) -> bool {
        self.models.read().unwrap_or_else(PoisonError::into_inner).is_wrappable(model)
    }

    /// Keeps a model's verifier: a start that finds the model registers it with what is here.
    pub(super) fn keep_verifier(&self, model: &Hash32, verifier: &Verifier) -> Result<()> {
        replace(&key_path(&self.dir, model, verifier.hired), &*verifier.key.0)
    }

    /// Registers a model on chain, as far as it is not.
    pub(super) async fn register_model(&self, id: Hash32, verifier: Option<&Verifier>) -> Result<Registered> {
        let ready = match verifier {
            Some(verifier) if verifier.hired => self.answers_for(&id, self.settlement().final_epoch().await?),
            _ => true,
        };
        self.ground.register_model(id, verifier.map(|verifier| &verifier.key), ready).await
    }

    /// Registers every model of the directory on chain.
    pub(super) async fn register_models(&self) -> Result<()> {
        let models = self.models.read().unwrap_or_else(PoisonError::into_inner).ids();
        for id in models {
            self.register_model(id, read_verifier(&self.dir, &id)?.as_ref()).await?;
        }
        Ok(())
    }

    /// Whether every job about a model that is not over, and every receipt that no final epoch settled, is of a wrappable proof. An epoch that
    /// stands but is not final may be struck, and what is posted again after the verifier came can be demanded.
    fn answers_for(&self, model: &Hash32, final_epoch: u64) -> bool {
        self.with_state(|state| {
            let old = |job: &Job| job.model == *model && is_unwrappable(job);
            let over = state.jobs().values().all(|it| it.status == JobStatus::Ended || !old(&it.job));
            let settled = |receipt: &DeliveredReceipt| match &receipt.status {
                ReceiptStatus::Pending | ReceiptStatus::Accepted { .. } => false,
                ReceiptStatus::Refused { .. } => true,
                ReceiptStatus::Settled { epoch, .. } => *epoch <= final_epoch,
            };
            let of_old = |receipt: &DeliveredReceipt| {
                state.jobs().get(&receipt.signed.receipt.job).is_some_and(|it| old(&it.job))
            };
            over && state.receipts().values().all(|receipt| !of_old(receipt) || settled(receipt))
        })
    }

    /// Who posts epochs, and answers for them.
    #[must_use]
    pub fn poster(&self) -> &Signer {
        &self.ground.poster
    }

    /// Demands of a proof that the chain waits for, as of the last look at it.
    pub async fn demands(&self) -> Vec<Demand> {
        self.reader.lock().await.demands()
    }

    /// Refuses to post epochs with a receipt that cost the bond before, unless the poster can answer for it now, or the
    /// owner says `again`: a word about the one that was lost last is one about those before it.
    pub(super) async fn require_answerable(&self, from: u64, again: Option<Hash32>) -> Result<()> {
        let lost = self.reader.lock().await.lost();
        let mut unanswerable = None;
        for receipt in lost {
            let epoch = self.with_state(|state| match state.receipts().get(&receipt)?.status {
                ReceiptStatus::Settled { epoch, .. } => Some(epoch),
                _ => None,
            });
            if let Some(epoch) = epoch.filter(|epoch| *epoch >= from)
                && !self.has_key_for(&receipt)?
            {
                unanswerable = Some((epoch, receipt));
            }
        }
        let Some((epoch, receipt)) = unanswerable.filter(|(_, receipt)| again != Some(*receipt)) else {
            return Ok(());
        };
        let expected = format!(
            "a proving key that this poster can answer with (`proofmesh wrap set-up --hiding --dir {}`), or the owner's word (`proofmesh epoch close --again {receipt}`)",
            self.dir.display()
        );
        let got = format!("epoch {epoch} with receipt {receipt}, which nobody proved when the chain asked");
        Err(Fault::refused("epoch.receipt-lost", expected, got))
    }

    /// Whether this directory has what it takes to answer for a receipt: a wrappable proof, and the key to wrap it by.
    fn has_key_for(&self, receipt: &Hash32) -> Result<bool> {
        let job = self.with_state(|state| {
            let delivered = state.receipts().get(receipt)?;
            state.jobs().get(&delivered.signed.receipt.job).map(|posted| posted.job.clone())
        });
        let Some(job) = job.filter(|job| job.service == inference::SERVICE.id() && !is_unwrappable(job))
        else {
            return Ok(false);
        };
        let program = {
            let models = self.models.read().unwrap_or_else(PoisonError::into_inner);
            models.get(&job.model).map(|file| file.program.clone())
        };
        let Some(program) = program else { return Ok(false) };
        let answers = tokio::task::block_in_place(|| answers(&self.dir, &job.model, &program))?;
        Ok(matches!(answers, Answers::Alone(_)))
    }
}

/// Whether a job's receipts are of inference and no stranger could wrap their proofs.
fn is_unwrappable(job: &Job) -> bool {
    let terms = inference::Terms::decode(&job.terms);
    job.service == inference::SERVICE.id() && terms.is_ok_and(|terms| !terms.wrappable)
}

fn key_path(dir: &Path, id: &Hash32, hired: bool) -> PathBuf {
    let kind = if hired { "hired.key" } else { "key" };
    dir.join("verifiers").join(format!("{}.{kind}", hex::encode(id.0)))
}

/// A model's verifier in a coordinator's directory, `None` for a model without one.
///
/// # Errors
/// `model.verifier-key`, `file.io`.
pub(super) fn read_verifier(dir: &Path, id: &Hash32) -> Result<Option<Verifier>> {
    for hired in [true, false] {
        let path = key_path(dir, id, hired);
        match std::fs::read(&path) {
            Ok(bytes) => {
                let length = bytes.len();
                let words = bytes.try_into();
                let words = words.map_err(|_| Fault::trouble("model.verifier-key", "576 bytes", length))?;
                return Ok(Some(Verifier { key: VerifierKey(words), hired }));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Fault::file(&path, &error)),
        }
    }
    Ok(None)
}
