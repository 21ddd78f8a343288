//! Makes proofs of [`proofmesh_graph`] statements, and forecasts what they cost.
//!
//! ```no_run
//! use proofmesh_prover::{Job, os_rng, prove, salt};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (program, input): (proofmesh_graph::program::Program, proofmesh_graph::tensor::Tensor) = unimplemented!();
//! let mut rng = os_rng()?;
//! let salts = [salt(&mut rng)];
//! let job = Job { program: &program, inputs: &[input], salts: &salts, weight_salt: None, context: b"job 7" };
//! let proved = prove(&job, &mut rng)?;
//! println!("outputs {:?}, {} bytes", proved.statement.outputs, proved.file.len());
//! proofmesh_graph::statement::verify(&proved.statement, &proved.file)?;
//! # Ok(()) }
//! ```

#[cfg(all(feature = "unmasked-for-tests", not(debug_assertions)))]
compile_error!("proofs without masks are for test builds only");

mod engine;
mod forecast;
mod lanes;
mod lookups;
mod materialise;
mod open;
mod rounds;
mod sums;
mod tree;

use p3_field::PrimeCharacteristicRing;
use proofmesh_graph::arith::{Arithmetized, Builder, Traces};
use proofmesh_graph::assemble::{self, Secrets};
use proofmesh_graph::hash::Salt;
use proofmesh_graph::program::{Program, ProgramError, WeightMode};
use proofmesh_graph::statement::{self, Committed, Images, InputStatement, ProofFile, Statement};
use proofmesh_graph::tensor::Tensor;
use proofmesh_proof::chain::Chain;
use proofmesh_proof::engine::Proof;
use proofmesh_proof::field::F;
use proofmesh_proof::hired::Hired;
use proofmesh_proof::plain::Plain;
use proofmesh_proof::profile::{Device, Kind, Profile};
use proofmesh_proof::reject::Reject;
use rand::rngs::StdRng;
use rand::{CryptoRng, RngExt, SeedableRng};
use thiserror::Error;

pub use engine::{prove_system, prove_system_as, satisfied};
pub use forecast::{Forecast, Machine, Work, forecast, parts, stage_times};

/// Why no proof was made.
#[derive(Debug, Error)]
pub enum ProveError {
    /// The program or an input is refused.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The statement is refused.
    #[error("statement refused: {0}")]
    Statement(#[from] Reject),
    /// The job lacks something.
    #[error("{0}")]
    Job(&'static str),
    /// The execution does not satisfy the named claim: a defect of ours, never of the input.
    #[error("the execution does not satisfy `{0}`")]
    Unsatisfied(String),
    /// A challenge of negligible probability; try again.
    #[error("a challenge of negligible probability came up: try again")]
    Challenge,
    /// The commitment scheme refused.
    #[error("commitment: {0}")]
    Commitment(String),
    /// Not even one input's proof fits.
    #[error(
        "a proof of one input takes about {needed} bytes, and {memory} are allowed: allow more, or prove a smaller model"
    )]
    Memory {
        /// The forecast.
        needed: usize,
        /// What was allowed.
        memory: usize,
    },
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness: {0}")]
    Randomness(getrandom::Error),
}

/// A stage of a proof, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The program runs on every input, and inputs are committed to.
    Execution,
    /// Columns, claims and look-ups' rows are written down.
    Columns,
    /// The vector of all columns is committed to.
    Commit,
    /// The tree of fractions.
    Lookups,
    /// The main sumcheck.
    Sums,
    /// The sumcheck that reduces all claims to two points of the vector.
    Opening,
    /// The commitment opens the two points.
    Queries,
}

impl Stage {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Execution,
        Self::Columns,
        Self::Commit,
        Self::Lookups,
        Self::Sums,
        Self::Opening,
        Self::Queries,
    ];

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Execution => "execution",
            Self::Columns => "columns",
            Self::Commit => "commit",
            Self::Lookups => "look-ups",
            Self::Sums => "sums",
            Self::Opening => "opening",
            Self::Queries => "queries",
        }
    }
}

/// What to prove.
pub struct Job<'a> {
    /// The whole program, weights included.
    pub program: &'a Program,
    /// The inputs of the batch.
    pub inputs: &'a [Tensor],
    /// One salt an input, of its commitment.
    pub salts: &'a [Salt],
    /// Salt of the weights' commitment, in private mode; the same for every proof of one model.
    pub weight_salt: Option<Salt>,
    /// Bound by the proof: job, device, nonce, chain.
    pub context: &'a [u8],
}

/// A proof and its statement.
pub struct Proved {
    /// What it states.
    pub statement: Statement,
    /// The proof file.
    pub file: Vec<u8>,
}

/// A generator seeded by the operating system.
///
/// Errors: the operating system gave no randomness.
pub fn os_rng() -> Result<StdRng, ProveError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(ProveError::Randomness)?;
    Ok(StdRng::from_seed(seed))
}

/// A fresh salt.
pub fn salt(rng: &mut impl CryptoRng) -> Salt {
    std::array::from_fn(|_| rng.random::<F>())
}

/// The statement that a job's proof makes, the images of its lattice commitments, and the executions behind it.
///
/// Errors: a program or input that is refused; a missing salt.
pub fn state(job: &Job<'_>) -> Result<(Statement, Images, Traces), ProveError> {
    if job.inputs.is_empty() || job.inputs.len() != job.salts.len() {
        return Err(ProveError::Job("a job needs at least one input, and one salt an input"));
    }
    let values = job.inputs.iter().map(|x| job.program.trace(x)).collect::<Result<Vec<_>, _>>()?;
    let weights = match (job.program.weights, job.weight_salt) {
        (WeightMode::Public, _) => None,
        (WeightMode::Private, Some(salt)) => Some(statement::commit_weights(job.program, &salt)?),
        (WeightMode::Private, None) => {
            return Err(ProveError::Job("private weights need the salt of their commitment"));
        }
    };
    let mut images = Images { weights: weights.as_ref().and_then(|c| c.image.clone()), inputs: Vec::new() };
    let weights = weights.map(|c| c.digest);
    let shown = job.program.input.public_elements();
    let mut inputs = Vec::with_capacity(job.inputs.len());
    for (input, salt) in job.inputs.iter().zip(job.salts) {
        let Committed { digest, image } = statement::commit_input(job.program, input, salt)?;
        images.inputs.extend(image);
        inputs.push(InputStatement {
            commitment: digest,
            public: shown.iter().map(|i| input.data[*i]).collect(),
        });
    }
    let outputs =
        values.iter().zip(job.salts).map(|(trace, salt)| job.program.outputs_of(trace, salt)).collect();
    let batch_outputs = job.program.batch_outputs_of(&values)?;
    let (program, context) = (job.program.public_part(), job.context.to_vec());
    let statement = Statement { program, weights, inputs, outputs, batch_outputs, context };
    Ok((statement, images, Traces { values }))
}

/// Proves a job under [`Kind::Device`]. The file also checks at [`statement::verify`] with the statement alone.
///
/// Errors: see [`ProveError`].
pub fn prove(job: &Job<'_>, rng: &mut StdRng) -> Result<Proved, ProveError> {
    prove_as(Kind::Device, job, rng)
}

/// Proves a job under a profile.
///
/// Errors: see [`ProveError`].
pub fn prove_as(profile: Kind, job: &Job<'_>, rng: &mut StdRng) -> Result<Proved, ProveError> {
    prove_watched(profile, job, rng, &mut |_| ())
}

/// As [`prove_as`]; `watch` hears of every stage as it begins.
///
/// Errors: see [`ProveError`].
pub fn prove_watched(
    profile: Kind,
    job: &Job<'_>,
    rng: &mut StdRng,
    watch: &mut dyn FnMut(Stage),
) -> Result<Proved, ProveError> {
    let (statement, images, arithmetized) = arithmetize(job, watch)?;
    let file = match profile {
        Kind::Device => file::<Device>(&statement, &images, arithmetized, rng, watch)?,
        Kind::Chain => file::<Chain>(&statement, &images, arithmetized, rng, watch)?,
        Kind::Plain => file::<Plain>(&statement, &images, arithmetized, rng, watch)?,
        Kind::Hired => file::<Hired>(&statement, &images, arithmetized, rng, watch)?,
    };
    Ok(Proved { file, statement })
}

/// Proves a job for a circuit that verifies the proof: without masks, and bound to what `binding` makes of the statement.
///
/// Errors: see [`ProveError`]; those of `binding`.
pub fn prove_plain(
    job: &Job<'_>,
    binding: impl FnOnce(&Statement) -> Result<[u8; 32], Reject>,
    rng: &mut StdRng,
) -> Result<(Statement, Proof<Plain>), ProveError> {
    bound(job, binding, rng)
}

/// As [`prove_plain`], hiding: for a circuit that another runs.
///
/// Errors: see [`ProveError`]; those of `binding`.
pub fn prove_hired(
    job: &Job<'_>,
    binding: impl FnOnce(&Statement) -> Result<[u8; 32], Reject>,
    rng: &mut StdRng,
) -> Result<(Statement, Proof<Hired>), ProveError> {
    bound(job, binding, rng)
}

fn bound<P: Profile>(
    job: &Job<'_>,
    binding: impl FnOnce(&Statement) -> Result<[u8; 32], Reject>,
    rng: &mut StdRng,
) -> Result<(Statement, Proof<P>), ProveError> {
    let (statement, _, arithmetized) = arithmetize(job, &mut |_| ())?;
    let proof = prove_system_as(arithmetized, &binding(&statement)?, rng)?;
    Ok((statement, proof))
}

/// A job's statement and its claims with the columns that make them hold.
fn arithmetize(
    job: &Job<'_>,
    watch: &mut dyn FnMut(Stage),
) -> Result<(Statement, Images, Arithmetized), ProveError> {
    watch(Stage::Execution);
    let (statement, images, traces) = state(job)?;
    statement.check()?;
    watch(Stage::Columns);
    let secrets = Secrets {
        program: job.program,
        salts: job.salts,
        weight_salt: job.weight_salt.unwrap_or([F::ZERO; proofmesh_graph::hash::RATE]),
    };
    let builder = Builder::new(job.inputs.len(), Some(&traces));
    let arithmetized = assemble::build(builder, &statement, &images, Some(&secrets))?;
    Ok((statement, images, arithmetized))
}

/// The proof file of a statement under a profile.
fn file<P: Profile>(
    statement: &Statement,
    images: &Images,
    arithmetized: Arithmetized,
    rng: &mut StdRng,
    watch: &mut dyn FnMut(Stage),
) -> Result<Vec<u8>, ProveError> {
    let proof = engine::prove_watched::<P>(arithmetized, &statement.binding(P::KIND), rng, watch)?;
    let file = ProofFile { claimed: statement.claimed(P::KIND), images: images.encode(), proof };
    Ok(statement::encode_proof(&file))
}
