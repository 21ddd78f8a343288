//! The engine that checks a system's proof.

use alloc::vec::Vec;
use p3_commit::MultilinearPcs;
use rand::{SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};

use crate::claims::{self, MainProof};
use crate::commitment;
use crate::logup::{self, LogupProof};
use crate::opening::{self, OpeningProof};
use crate::plan::Plan;
use crate::profile::{Commitment, PcsProof};
use crate::reject::Reject;
use crate::system::{Affine, System, Words};
use crate::transcript::{Channel, Transcript};

/// Longest proof that is looked at.
pub const MAX_PROOF_BYTES: usize = 4 << 20;

/// A proof that a system's claims hold of a committed vector.
#[derive(Clone, Serialize, Deserialize)]
pub struct Proof {
    /// Root of the committed vector.
    pub commitment: Commitment,
    /// Look-ups.
    pub logup: LogupProof,
    /// Sums of products.
    pub main: MainProof,
    /// All linear equations at once.
    pub opening: OpeningProof,
    /// The commitment's own opening proof.
    pub pcs: PcsProof,
}

impl Proof {
    /// Canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_allocvec(self).expect("a proof is plain data")
    }

    /// Reads canonical bytes.
    ///
    /// Errors: `proof.size` beyond [`MAX_PROOF_BYTES`]; `proof.encoding` when the bytes are not exactly what [`Proof::encode`] gives:
    /// trailing bytes, another spelling of a length, an element outside the field.
    pub fn decode(bytes: &[u8]) -> Result<Self, Reject> {
        if bytes.len() > MAX_PROOF_BYTES {
            return Err(Reject::new("proof.size", MAX_PROOF_BYTES, bytes.len()));
        }
        let (proof, rest): (Self, _) = postcard::take_from_bytes(bytes)
            .map_err(|_| Reject::new("proof.encoding", "canonical bytes", "malformed bytes"))?;
        if !rest.is_empty() || proof.encode() != bytes {
            return Err(Reject::new(
                "proof.encoding",
                "canonical bytes",
                "another spelling or trailing bytes",
            ));
        }
        Ok(proof)
    }
}

/// Starts a transcript: the statement's digest and the sizes that follow from it.
pub fn start(plan: &Plan, binding: &[u8; 32]) -> Transcript {
    let mut transcript = Transcript::new(binding);
    transcript.size(plan.log);
    transcript.size(plan.leaves.depth);
    transcript.size(plan.pad_count);
    transcript
}

/// Checks look-ups and sums; gives the linear equations on the committed vector that remain.
///
/// `words` are the statement's words: as the system holds them, or a circuit's wires.
/// The prover runs it too, on its own messages: what is opened is what the verifier will ask for.
pub fn reduce<C: Channel>(
    system: &System,
    plan: &Plan,
    words: Words<'_, C::E>,
    logup: &LogupProof<C::E>,
    main: &MainProof<C::E>,
    transcript: &mut C,
) -> Result<Vec<Affine<C::E>>, Reject> {
    let mut equations = Vec::new();
    let leaf = logup::verify(system, plan, words, logup, transcript, &mut equations)?;
    claims::verify(system, plan, words, main, leaf, transcript, &mut equations)?;
    Ok(equations)
}

/// Checks that the prover knows a vector that satisfies the system, bound to the 32-byte digest of the statement.
///
/// Errors: the first check that fails, by its stable name.
pub fn verify(system: &System, binding: &[u8; 32], proof: &Proof) -> Result<(), Reject> {
    let plan = Plan::new(system)?;
    let stub = || StdRng::from_seed([0; 32]);
    let pcs = commitment::scheme(plan.log, stub(), stub())?;
    let mut transcript = start(&plan, binding);
    pcs.observe_commitment(&proof.commitment, &mut transcript.challenger);
    let equations = reduce(system, &plan, Words::Values, &proof.logup, &proof.main, &mut transcript)?;
    let mu = transcript.draw();
    let folded = opening::fold(&plan, equations, mu);
    opening::verify(&pcs, &plan, &folded, &proof.commitment, &proof.opening, &proof.pcs, &mut transcript)
}
