//! The engine that checks a system's proof.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::claims::{self, MainProof};
use crate::logup::{self, LogupProof};
use crate::opening::{self, Masks, OpeningProof};
use crate::plan::Plan;
use crate::profile::{Device, Profile, stubs};
use crate::reject::Reject;
use crate::system::{Affine, System, Words};
use crate::transcript::{Channel, Transcript};

/// Longest proof that is looked at.
pub const MAX_PROOF_BYTES: usize = 4 << 20;

/// A proof that a system's claims hold of a committed vector.
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Proof<P: Profile = Device> {
    /// Root of the committed vector.
    pub commitment: P::Commitment,
    /// Look-ups.
    pub logup: LogupProof,
    /// Sums of products.
    pub main: MainProof,
    /// All linear equations at once.
    pub opening: OpeningProof,
    /// The masks of that.
    pub masks: P::Masks,
    /// The commitment's own opening proof.
    pub pcs: P::PcsProof,
}

impl<P: Profile> Proof<P> {
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
pub fn start<P: Profile>(plan: &Plan, binding: &[u8; 32]) -> Transcript<P> {
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
pub fn verify<P: Profile>(system: &System, binding: &[u8; 32], proof: &Proof<P>) -> Result<(), Reject> {
    let plan = Plan::new(system, P::Masks::HIDING)?;
    let [salts, masks] = stubs();
    let pcs = P::scheme(plan.log, salts, masks)?;
    let mut transcript = start::<P>(&plan, binding);
    P::observe(&pcs, &proof.commitment, &mut transcript.challenger);
    let equations = reduce(system, &plan, Words::Values, &proof.logup, &proof.main, &mut transcript)?;
    let mu = transcript.draw();
    let folded = opening::fold(&plan, equations, mu);
    opening::verify(&pcs, &plan, &folded, proof, &mut transcript)
}
