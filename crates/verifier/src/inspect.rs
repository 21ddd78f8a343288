//! What a proof says of itself, and how sound it is for a statement.

use proofmesh_graph::program::Program;
use proofmesh_graph::statement::{Claimed, Statement, claimed_by, soundness};
use proofmesh_proof::profile::Kind;
use proofmesh_proof::reject::Reject;
use serde::Serialize;

use crate::document::{Digest, StatementDoc};

/// A proof file, described. Nothing in it has been verified.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InspectDoc {
    /// Bytes of the file.
    pub bytes: usize,
    /// Version of the format.
    pub version: u8,
    /// The profile that it says it is of.
    pub profile: Kind,
    /// The model that it says it is about.
    pub model: Digest,
    /// Digest of each input's commitment and public elements.
    pub inputs: Vec<Digest>,
    /// Digest of the outputs.
    pub outputs: Digest,
    /// Digest of the context.
    pub context: Digest,
    /// How sound a proof of the given statement is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soundness: Option<SoundnessDoc>,
}

/// Soundness of a statement's proofs: `-log2` of the chance that a false one passes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SoundnessDoc {
    /// All error terms together.
    pub bits: f64,
    /// Each term.
    pub terms: Vec<TermDoc>,
}

/// One error term.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TermDoc {
    /// Where it comes from.
    pub name: String,
    /// `-log2` of it.
    pub bits: f64,
    /// Bits of those that are proof of work.
    pub grinding_bits: usize,
}

/// A description, or why there is none.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Inspected {
    /// The proof file can be read, and so can the statement if there is one.
    Described(InspectDoc),
    /// It cannot.
    Refused {
        /// Stable name of the check that failed.
        check: &'static str,
        /// What would have passed.
        expected: String,
        /// What came.
        got: String,
    },
}

impl From<Reject> for Inspected {
    fn from(Reject { check, expected, got }: Reject) -> Self {
        Self::Refused { check, expected, got }
    }
}

/// Describes a proof file; with a program and a statement's document also how sound a proof of the statement is.
///
/// Refuses: `proof.size`, `proof.encoding`; with a statement those of [`StatementDoc::read`], [`StatementDoc::about`] and
/// [`Statement::system`].
pub fn inspect(proof: &[u8], about: Option<(&Program, &[u8])>) -> Inspected {
    let described = || {
        let statement = about.map(|(program, document)| StatementDoc::read(document)?.about(program));
        describe(proof, statement.transpose()?.as_ref())
    };
    described().map_or_else(Inspected::from, Inspected::Described)
}

fn describe(proof: &[u8], statement: Option<&Statement>) -> Result<InspectDoc, Reject> {
    let claimed = claimed_by(proof)?;
    let (version, profile) = (claimed.version(), claimed.profile()?);
    let Claimed { format: _, model, inputs, outputs, context } = claimed;
    Ok(InspectDoc {
        bytes: proof.len(),
        version,
        profile,
        model: Digest(model),
        inputs: inputs.into_iter().map(Digest).collect(),
        outputs: Digest(outputs),
        context: Digest(context),
        soundness: statement.map(|s| of_statement(s, profile)).transpose()?,
    })
}

fn of_statement(statement: &Statement, profile: Kind) -> Result<SoundnessDoc, Reject> {
    let (terms, bits) = soundness(statement, profile)?;
    let term = |term: proofmesh_proof::soundness::Term| TermDoc {
        name: term.name,
        bits: term.bits,
        grinding_bits: term.pow_bits,
    };
    Ok(SoundnessDoc { bits, terms: terms.into_iter().map(term).collect() })
}
