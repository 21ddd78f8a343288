//! What is published of a proof: the model file and the statement's document.
//!
//! The document is what `proofmesh prove` writes beside a proof and `proofmesh verify` reads: JSON, digests and bytes as `0x` text. A
//! statement is put together from it and from a program, as [`StatementDoc::about`] says; what the prover sent along is never the source.
//!
//! Refuses: `statement.json`, `statement.model`, `model.model-file-malformed`.

use proofmesh_graph::program::Program;
use proofmesh_graph::statement::{InputStatement, Statement};
use proofmesh_proof::reject::Reject;
use serde::{Deserialize, Serialize};

/// Longest document that is looked at, and longest model file.
pub const MAX_BYTES: usize = 64 << 20;

/// Head of a model file: magic and version.
const MODEL_FILE: [u8; 10] = *b"PMESHMDL\x01\x00";

/// Bytes as `0x` text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hex(pub Vec<u8>);

impl Serialize for Hex {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format!("0x{}", hex::encode(&self.0)))
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let bytes = text.strip_prefix("0x").and_then(|digits| hex::decode(digits).ok());
        bytes.map(Hex).ok_or_else(|| serde::de::Error::custom("0x and hexadecimal digits"))
    }
}

/// Thirty-two bytes as `0x` text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(pub [u8; 32]);

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let Hex(bytes) = Hex::deserialize(from)?;
        let bytes = <[u8; 32]>::try_from(bytes);
        bytes.map(Digest).map_err(|_| serde::de::Error::custom("0x and 64 hexadecimal digits"))
    }
}

impl core::fmt::Display for Digest {
    fn fmt(&self, to: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(to, "0x{}", hex::encode(self.0))
    }
}

/// A statement without its program, which the model file holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatementDoc {
    /// The model's id.
    pub model: Digest,
    /// Commitment to private weights.
    pub weights: Option<Digest>,
    /// The inputs in order.
    pub inputs: Vec<InputDoc>,
    /// Public outputs of each.
    pub outputs: Vec<Vec<i32>>,
    /// Public outputs of all inputs together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub batch_outputs: Vec<i32>,
    /// What the proof is bound to.
    pub context: Hex,
}

/// One input of a statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputDoc {
    /// Salted commitment to the private elements.
    pub commitment: Digest,
    /// The public elements, row-major.
    pub public: Vec<i32>,
}

impl StatementDoc {
    /// A statement as a document.
    pub fn of(statement: &Statement) -> Self {
        let input = |input: &InputStatement| InputDoc {
            commitment: Digest(input.commitment),
            public: input.public.clone(),
        };
        Self {
            model: Digest(statement.model_id()),
            weights: statement.weights.map(Digest),
            inputs: statement.inputs.iter().map(input).collect(),
            outputs: statement.outputs.clone(),
            batch_outputs: statement.batch_outputs.clone(),
            context: Hex(statement.context.clone()),
        }
    }

    /// Reads a document.
    ///
    /// Errors: `statement.json`: too long, not JSON, a field unknown, missing or malformed.
    pub fn read(json: &[u8]) -> Result<Self, Reject> {
        if json.len() > MAX_BYTES {
            let expected = format!("at most {MAX_BYTES} bytes");
            return Err(Reject::new("statement.json", expected, json.len()));
        }
        serde_json::from_slice(json).map_err(|error| Reject::new("statement.json", "a statement", error))
    }

    /// The statement about a program.
    ///
    /// Errors: `statement.model` when it is about another.
    pub fn about(self, program: &Program) -> Result<Statement, Reject> {
        let input = |input: InputDoc| InputStatement { commitment: input.commitment.0, public: input.public };
        let statement = Statement {
            program: program.public_part(),
            weights: self.weights.map(|weights| weights.0),
            inputs: self.inputs.into_iter().map(input).collect(),
            outputs: self.outputs,
            batch_outputs: self.batch_outputs,
            context: self.context.0,
        };
        match Digest(statement.model_id()) {
            found if found == self.model => Ok(statement),
            found => Err(Reject::new("statement.model", self.model, found)),
        }
    }
}

/// The program in a model file (`.pmesh`). What follows it in the file, for people and for the model's owner, is not looked at: a
/// statement does not bind it.
///
/// Errors: `model.model-file-malformed`, also where [`Program::check`] refuses: one name whatever the machine's word holds.
pub fn read_program(model: &[u8]) -> Result<Program, Reject> {
    let malformed = |got: &str| Reject::new("model.model-file-malformed", "a model file, version 1", got);
    if model.len() > MAX_BYTES {
        return Err(malformed("too many bytes"));
    }
    let body = model.strip_prefix(&MODEL_FILE).ok_or_else(|| malformed("another magic or version"))?;
    let read = postcard::take_from_bytes::<Program>(body).ok();
    let program = read.map(|(program, _)| program).filter(|program| program.check().is_ok());
    program.ok_or_else(|| malformed("a program that is malformed or out of bounds"))
}
