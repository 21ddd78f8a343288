//! Proofs, as this node uses them: models by id, statements rebuilt from public data, days proved with fresh
//! masks.
//!
//! Nothing here decides what is sound: [`statement::verify`] does. Nothing of a statement is taken from its
//! prover.

use crate::fault::{Fault, Result};
use crate::onchain::Verifier;
use crate::wrapped::{self, Wrapped};
use proofmesh_graph::statement::{self, InputStatement, Statement};
use proofmesh_graph::tensor::Tensor;
use proofmesh_market::Hash32;
use proofmesh_model::ModelFile;
use proofmesh_proof::profile::Kind;
use proofmesh_proof::reject::Reject;
use proofmesh_prover::{Job, Proved};
use proofmesh_services::inference::{Catalogue, ModelCard, ProofCheck, Rejection, Stated};
use proofmesh_settle::VerifierKey;
use proofmesh_wrap::groth16::{self, VerifyingKey};
use proofmesh_wrap::hired;
use proofmesh_wrap::keys::Key;
use proofmesh_wrap::statement::public_input;
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::collections::{BTreeMap, BTreeSet};

/// A generator seeded by the operating system.
///
/// # Errors
/// `machine.randomness`.
pub fn os_rng() -> Result<StdRng> {
    proofmesh_prover::os_rng()
        .map_err(|error| Fault::trouble("machine.randomness", "randomness of the operating system", error))
}

/// The id of a model with public weights. Private ones have a commitment besides, which the market's model
/// record does not carry yet.
///
/// # Errors
/// `model.private-weights`.
pub fn model_id(file: &ModelFile) -> Result<Hash32> {
    if file.program.weights == proofmesh_graph::program::WeightMode::Private {
        return Err(Fault::refused(
            "model.private-weights",
            "public weights, for a job of the market",
            "private",
        ));
    }
    Ok(Hash32(statement::model_id(&file.program, None)))
}

/// Reads a model file's bytes.
///
/// # Errors
/// `model.model-file-malformed`.
pub fn read_model(bytes: &[u8]) -> Result<ModelFile> {
    Ok(ModelFile::decode(bytes)?)
}

/// What the service of inference wants to know of a model.
///
/// # Errors
/// `program.refused`.
pub fn card(file: &ModelFile) -> Result<ModelCard> {
    let types = file.program.check()?;
    Ok(ModelCard {
        name: file.program.name.clone(),
        output_words: file.program.output_len(&types),
        public_words: file.program.input.public_elements().len(),
        word_bytes: file.program.input.public_bytes(),
        classes: file.meta.classes.clone(),
        multiply_adds: file.meta.report.multiply_adds,
    })
}

/// A statement of a model's shape, about no input in particular.
///
/// # Errors
/// `program.refused`.
pub fn sample(model: &ModelFile, batch: usize) -> Result<Statement> {
    let types = model.program.check()?;
    let public = vec![
        crate::coordinator::middle(model.program.input.interval);
        model.program.input.public_elements().len()
    ];
    let private = model.program.weights == proofmesh_graph::program::WeightMode::Private;
    let batch = batch.min(proofmesh_graph::limits::MAX_BATCH);
    let (output, batch_outputs) = model.program.sample_outputs(&types, batch);
    Ok(Statement {
        program: model.program.public_part(),
        weights: private.then_some([0; 32]),
        inputs: vec![InputStatement { commitment: [0; 32], public }; batch],
        outputs: vec![output; batch],
        batch_outputs,
        context: Vec::new(),
    })
}

/// What is said of one input of a model on these words.
#[must_use]
pub fn stated_of(file: &ModelFile, stated: &Stated<'_>) -> Statement {
    Statement {
        program: file.program.public_part(),
        weights: None,
        inputs: vec![InputStatement { commitment: stated.input, public: stated.public_input.to_vec() }],
        outputs: vec![stated.output.to_vec()],
        batch_outputs: Vec::new(),
        context: stated.context.to_vec(),
    }
}

/// Models by id: the catalogue and the verifier that the service of inference is handed.
#[derive(Clone, Debug, Default)]
pub struct Models {
    files: BTreeMap<Hash32, ModelFile>,
    cards: BTreeMap<Hash32, ModelCard>,
    keys: BTreeMap<Hash32, VerifyingKey>,
    wrappable: BTreeSet<Hash32>,
    /// Keys of the contracts that check a model's wrapped proofs, and whether its circuit is the hired one.
    contracts: BTreeMap<(Hash32, Hash32), bool>,
}

impl Models {
    /// Adds a model and gives its id.
    ///
    /// # Errors
    /// `model.private-weights`, `program.refused`.
    pub fn add(&mut self, file: ModelFile) -> Result<Hash32> {
        let id = model_id(&file)?;
        self.cards.insert(id, card(&file)?);
        self.files.insert(id, file);
        Ok(id)
    }

    /// Adds the key of a contract that checks wrapped proofs.
    ///
    /// # Errors
    /// `proof.wrap.key`.
    pub fn add_key(&mut self, key: &VerifierKey) -> Result<()> {
        self.keys.insert(key.hash(), groth16::key_of_words(&*key.0)?);
        Ok(())
    }

    /// Adds what checks a model's proofs on chain.
    ///
    /// # Errors
    /// `proof.wrap.key`.
    pub fn add_verifier(&mut self, model: Hash32, verifier: &Verifier) -> Result<()> {
        if verifier.hired {
            self.wrappable.insert(model);
        }
        self.contracts.insert((model, verifier.key.hash()), verifier.hired);
        self.add_key(&verifier.key)
    }

    /// Whether jobs about a model have to ask for wrappable proofs.
    #[must_use]
    pub fn is_wrappable(&self, model: &Hash32) -> bool {
        self.wrappable.contains(model)
    }

    /// What is said of a model on these words.
    fn statement(&self, stated: &Stated<'_>) -> std::result::Result<Statement, Rejection> {
        let Some(file) = self.files.get(&Hash32(stated.model)) else {
            let (expected, got) = ("a model of the catalogue".to_owned(), "another".to_owned());
            return Err(Rejection { check: "statement.model".to_owned(), expected, got });
        };
        Ok(stated_of(file, stated))
    }

    /// Whether a contract that this market knows checks a model's wrapped proofs by this key, of the hired circuit or of the other.
    #[must_use]
    pub fn has_key(&self, model: &Hash32, key: &Hash32, hired: bool) -> bool {
        self.contracts.get(&(*model, *key)) == Some(&hired)
    }

    /// The model with this id.
    #[must_use]
    pub fn get(&self, id: &Hash32) -> Option<&ModelFile> {
        self.files.get(id)
    }

    /// All ids.
    #[must_use]
    pub fn ids(&self) -> Vec<Hash32> {
        self.files.keys().copied().collect()
    }
}

impl Catalogue for Models {
    fn card(&self, model: &Hash32) -> Option<&ModelCard> {
        self.cards.get(model)
    }
}

impl ProofCheck for Models {
    fn verify(
        &self,
        model: [u8; 32],
        input: [u8; 32],
        public_input: &[i32],
        output: &[i32],
        context: [u8; 32],
        proof: &[u8],
    ) -> std::result::Result<(), Rejection> {
        let statement = self.statement(&Stated { model, input, public_input, output, context })?;
        statement::verify(&statement, proof).map_err(rejection)
    }

    fn verify_hidden(&self, stated: &Stated<'_>, proof: &[u8]) -> std::result::Result<(), Rejection> {
        hired::accept(&self.statement(stated)?, proof).map(drop).map_err(rejection)
    }

    fn verify_wrapped(
        &self,
        key: &Hash32,
        stated: &Stated<'_>,
        proof: &[u8],
    ) -> std::result::Result<(), Rejection> {
        let statement = self.statement(stated)?;
        let key = self.keys.get(key).ok_or_else(|| Rejection {
            check: "key".to_owned(),
            expected: "the key of a contract that this market knows".to_owned(),
            got: key.to_string(),
        })?;
        let check = || groth16::verify(key, public_input(&statement)?, &groth16::decode(proof)?);
        check().map_err(rejection)
    }
}

fn rejection(reject: Reject) -> Rejection {
    Rejection { check: reject.check.to_owned(), expected: reject.expected, got: reject.got }
}

/// Proves one input under a context. The salt of its commitment follows from `salt_seed`, so that a run cut
/// off commits to the same; the masks are fresh each time.
///
/// # Errors
/// `program.refused`, `prover.failed`, `machine.randomness`.
pub fn prove(file: &ModelFile, words: &[i32], salt_seed: [u8; 32], context: &Hash32) -> Result<Proved> {
    with_job(file, words, salt_seed, context, |job| {
        proofmesh_prover::prove(job, &mut os_rng()?)
            .map_err(|error| Fault::trouble("prover.failed", "a proof", error))
    })
}

/// The same proof for contracts: wrapped, and checked against the key.
///
/// # Errors
/// `program.refused`, `proof.wrap.*`, `machine.randomness`.
pub fn wrap(
    file: &ModelFile,
    words: &[i32],
    salt_seed: [u8; 32],
    context: &Hash32,
    key: &Key,
) -> Result<Wrapped> {
    with_job(file, words, salt_seed, context, |job| wrapped::wrap(job, key, &mut os_rng()?))
}

/// The same proof for a stranger to wrap: the statement, and a proof that hides.
///
/// # Errors
/// As [`wrap`].
pub fn hide(
    file: &ModelFile,
    words: &[i32],
    salt_seed: [u8; 32],
    context: &Hash32,
) -> Result<(Statement, Vec<u8>)> {
    with_job(file, words, salt_seed, context, |job| wrapped::hide(job, &mut os_rng()?))
}

/// The job of one input under a context, public weights.
fn with_job<T>(
    file: &ModelFile,
    words: &[i32],
    salt_seed: [u8; 32],
    context: &Hash32,
    work: impl FnOnce(&Job<'_>) -> Result<T>,
) -> Result<T> {
    let input: Tensor = file.from_integers(words)?;
    let salts = [proofmesh_prover::salt(&mut StdRng::from_seed(salt_seed))];
    work(&Job {
        program: &file.program,
        inputs: &[input],
        salts: &salts,
        weight_salt: None,
        context: &context.0,
    })
}

/// Proves a batch of inputs under fresh salts and a profile. `weights_seed` gives the salt of private weights, the same for
/// every proof of one model.
///
/// # Errors
/// `program.refused`, `prover.failed`, `machine.randomness`.
pub fn prove_batch(
    file: &ModelFile,
    inputs: &[Tensor],
    context: &[u8],
    weights_seed: [u8; 32],
    profile: Kind,
) -> Result<Proved> {
    let mut rng = os_rng()?;
    let salts: Vec<_> = inputs.iter().map(|_| proofmesh_prover::salt(&mut rng)).collect();
    let weight_salt = Some(proofmesh_prover::salt(&mut StdRng::from_seed(weights_seed)));
    let job = Job { program: &file.program, inputs, salts: &salts, weight_salt, context };
    proofmesh_prover::prove_as(profile, &job, &mut rng).map_err(|error| match error {
        proofmesh_prover::ProveError::Program(error) => error.into(),
        error => Fault::trouble("prover.failed", "a proof", error),
    })
}
