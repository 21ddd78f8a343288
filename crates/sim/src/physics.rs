//! What is true in this world: which inputs are real readings, what the model says of them, and the one way to a
//! proof.
//!
//! The proof engine is the ideal one: it accepts a statement exactly when [`Physics::prove`] made its proof, and that
//! proves nothing false. The soundness error of the real one is below 2^-100 (docs/spec/soundness.md); a run makes
//! some 10^4 statements. The model is wrong as the committed weather-qod is measured to be: 5 % of honest days are
//! not called genuine, 2.6 % of manipulated ones are.

use proofmesh_market::receipt::output_bytes;
use proofmesh_market::{Hash32, Job, keccak};
use proofmesh_services::inference::{ModelCard, ProofCheck, Rejection};
use std::collections::BTreeMap;

/// Honest days that the model calls genuine, per thousand.
pub const GENUINE: u64 = 950;
/// Manipulated, replayed or made up days that it calls genuine, per thousand.
pub const FOOLED: u64 = 26;

/// Where the readings behind an input came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The device's own sensor, this window.
    Sensor,
    /// Another station's readings of the same window: the weather was so.
    Neighbour,
    /// Older readings, or made up ones.
    Forged,
}

/// The model, its proofs, and the inputs.
#[derive(Clone, Debug, Default)]
pub struct Physics {
    inputs: BTreeMap<Hash32, Source>,
}

impl Physics {
    /// A salted commitment to readings.
    pub fn commit(&mut self, source: Source, salt: Hash32) -> Hash32 {
        self.inputs.insert(salt, source);
        salt
    }

    /// The model's output on a committed input: class (0 genuine) and frost.
    #[must_use]
    pub fn output(&self, input: &Hash32) -> Vec<i32> {
        let draw = u64::from(u16::from_be_bytes([input.0[0], input.0[1]])) * 1_000 / 65_536;
        let passes = match self.inputs.get(input) {
            Some(Source::Sensor | Source::Neighbour) => GENUINE,
            _ => FOOLED,
        };
        vec![i32::from(draw >= passes), i32::from(input.0[2] & 1)]
    }

    /// The proof that the model says [`Physics::output`] of an input, bound to a context.
    #[must_use]
    pub fn prove(&self, job: &Job, input: &Hash32, context: &Hash32) -> Vec<u8> {
        statement(job.model.0, input.0, &[], &self.output(input), context.0)
    }
}

fn statement(model: [u8; 32], input: [u8; 32], public: &[i32], output: &[i32], context: [u8; 32]) -> Vec<u8> {
    let parts = [&model[..], &input, &output_bytes(public), b"/", &output_bytes(output), &context, b"proof"];
    keccak(&parts.concat()).0.to_vec()
}

/// The verifier.
#[derive(Clone, Copy, Debug)]
pub struct Ideal;

impl ProofCheck for Ideal {
    fn verify(
        &self,
        model: [u8; 32],
        input: [u8; 32],
        public_input: &[i32],
        output: &[i32],
        context: [u8; 32],
        proof: &[u8],
    ) -> Result<(), Rejection> {
        if proof == statement(model, input, public_input, output, context) {
            return Ok(());
        }
        Err(Rejection { check: "statement".into(), expected: "this statement".into(), got: "another".into() })
    }
}

/// The catalogue with the one model.
#[must_use]
pub fn models(model: Hash32) -> BTreeMap<Hash32, ModelCard> {
    let classes = ["genuine", "replay", "tampered", "stuck"].map(str::to_owned).to_vec();
    let card = ModelCard {
        name: "weather-qod".into(),
        output_words: 2,
        public_words: 0,
        word_bytes: 1,
        classes,
        multiply_adds: 35_840,
    };
    [(model, card)].into()
}
