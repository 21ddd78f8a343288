//! The zero-knowledge proof itself, verified by a contract: no wrap, no set-up, nothing trusted but hashes.
//!
//! The verifier is `proofmesh-graph`'s, the one of nodes, pages and Python, for proofs of the *device* profile only. A model file is kept once
//! under its hash, and its program's id is what a statement names; a call brings the statement's document and the proof file. Gas and the
//! limits of the machine: docs/chains-other.md.
//!
//! Every refusal is text that begins with a stable name: the verifier's of the check, or `funds.unasked`, `message.too-large`, `model.unknown`.

use cosmwasm_std::{
    entry_point, to_json_binary, Binary, Checksum, Deps, DepsMut, Env, MessageInfo, Response, Storage,
};
use proofmesh_graph::statement::verify_as;
use proofmesh_proof::profile::Device;
use proofmesh_proof::reject::Reject;
use proofmesh_verifier::{read_program, StatementDoc};
use serde::{Deserialize, Serialize};

/// Longest model file, bytes.
pub const MODEL_BYTES: usize = 128 << 10;
/// Longest document, bytes.
pub const DOCUMENT_BYTES: usize = 64 << 10;
/// Longest proof file, bytes.
pub const PROOF_BYTES: usize = 1 << 20;

/// Nothing to set.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instantiate {}

/// The verbs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Execute {
    /// Keeps a model file; anybody may.
    AddModel {
        /// The file, `.pmesh`.
        file: Binary,
    },
    /// Succeeds only if the proof shows what the document says. Another contract sends this as a message, and all falls if it is refused.
    Verify {
        /// SHA-256 of the model file, hexadecimal.
        model: Checksum,
        /// The statement's document, JSON.
        document: String,
        /// The proof file.
        proof: Binary,
    },
}

/// The one question: true if a model file is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Query {
    /// Whether a model file is kept.
    HasModel {
        /// SHA-256 of the file, hexadecimal.
        model: Checksum,
    },
}

/// Nothing to set.
#[entry_point]
pub fn instantiate(_: DepsMut, _: Env, _: MessageInfo, _: Instantiate) -> Result<Response, String> {
    Ok(Response::new())
}

/// One verb.
#[entry_point]
pub fn execute(deps: DepsMut, _: Env, info: MessageInfo, msg: Execute) -> Result<Response, String> {
    if !info.funds.is_empty() {
        return Err("funds.unasked: expected no coins".to_owned());
    }
    match msg {
        Execute::AddModel { file } => {
            require_at_most(MODEL_BYTES, file.len())?;
            read_program(&file).map_err(text)?;
            let name = Checksum::generate(&file);
            deps.storage.set(name.as_slice(), &file);
            Ok(Response::new().add_attribute("model", name.to_hex()))
        }
        Execute::Verify { model, document, proof } => {
            require_at_most(DOCUMENT_BYTES, document.len())?;
            require_at_most(PROOF_BYTES, proof.len())?;
            let program = read_program(&model_file(deps.storage, &model)?).map_err(text)?;
            let document = StatementDoc::read(document.as_bytes()).map_err(text)?;
            let id = document.model.to_string();
            let statement = document.about(&program).map_err(text)?;
            verify_as::<Device>(&statement, &proof).map_err(text)?;
            Ok(Response::new().add_attribute("verified", id))
        }
    }
}

/// One question.
#[entry_point]
pub fn query(deps: Deps, _: Env, msg: Query) -> Result<Binary, String> {
    let Query::HasModel { model } = msg;
    to_json_binary(&deps.storage.get(model.as_slice()).is_some()).map_err(|error| error.to_string())
}

fn model_file(storage: &dyn Storage, name: &Checksum) -> Result<Vec<u8>, String> {
    storage.get(name.as_slice()).ok_or_else(|| "model.unknown: expected a model file that is kept".to_owned())
}

fn require_at_most(expected: usize, got: usize) -> Result<(), String> {
    if got > expected {
        return Err(text(Reject::new("message.too-large", format_args!("at most {expected} bytes"), got)));
    }
    Ok(())
}

fn text(why: Reject) -> String {
    format!("{}: expected {}, got {}", why.check, why.expected, why.got)
}
