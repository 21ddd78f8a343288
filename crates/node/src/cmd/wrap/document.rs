//! Wrapped proofs and proofs that hide, as files.

use super::origin;
use crate::cmd::{read_file, verify, write_file};
use crate::fault::{Fault, Result};
use crate::wrapped::Wrapped;
use proofmesh_graph::program::Program;
use proofmesh_graph::statement::Statement;
use proofmesh_verifier::StatementDoc;
use proofmesh_wrap::groth16::PROOF_BYTES;
use proofmesh_wrap::keys::{Origin, hex};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Most bytes of a document.
const DOCUMENT_BYTES_MAX: usize = 16 << 20;

/// A wrapped proof as a file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct WrappedDoc {
    /// What is stated, in words of the model.
    pub statement: StatementDoc,
    /// The bytes whose SHA-256, less three bits, is the public input.
    preimage: String,
    public_input: String,
    /// `A`, `B`, `C`: 256 bytes as a contract reads them.
    proof: String,
    /// Digest of the circuit.
    circuit: String,
    /// Whether the circuit is that of proofs that hide.
    #[serde(default)]
    pub hiding: bool,
    /// Where the key comes from.
    key: String,
}

impl WrappedDoc {
    pub fn of(wrapped: &Wrapped, (circuit, hiding): (&[u8; 32], bool), from: &Origin) -> Self {
        WrappedDoc {
            statement: StatementDoc::of(&wrapped.statement),
            preimage: hex(&wrapped.preimage),
            public_input: hex(&wrapped.public_input),
            proof: hex(&wrapped.proof),
            circuit: hex(circuit),
            hiding,
            key: origin(from).to_owned(),
        }
    }

    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_vec_pretty(self);
        write_file(path, &text.map_err(|e| Fault::trouble("wrapped.json", "a document", e))?)
    }

    pub fn read(path: &Path) -> Result<Self> {
        Self::decode(&read_file(path, DOCUMENT_BYTES_MAX)?)
    }

    fn decode(text: &[u8]) -> Result<Self> {
        serde_json::from_slice(text)
            .map_err(|e| Fault::refused("wrapped.json", "what `wrap prove` or `wrap collect` wrote", e))
    }

    /// The 256 bytes.
    pub fn proof(&self) -> Result<[u8; PROOF_BYTES]> {
        let bytes = hex::decode(&self.proof).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.ok_or_else(|| {
            Fault::refused("wrap.encoding", "512 hexadecimal digits", format_args!("{:.40}", self.proof))
        })
    }
}

/// The 256 bytes of a wrapped proof: a file of them, as `node wrap` writes it, or a document.
pub(in crate::cmd) fn read_proof(path: &Path) -> Result<Vec<u8>> {
    let bytes = read_file(path, DOCUMENT_BYTES_MAX)?;
    if bytes.len() == PROOF_BYTES { Ok(bytes) } else { Ok(WrappedDoc::decode(&bytes)?.proof()?.to_vec()) }
}

/// A proof that hides, as it is handed to whoever wraps it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct HiddenDoc {
    /// What is stated: all that whoever wraps it learns.
    statement: StatementDoc,
    proof: String,
}

impl HiddenDoc {
    pub fn of(statement: &Statement, proof: &[u8]) -> Self {
        HiddenDoc { statement: StatementDoc::of(statement), proof: hex(proof) }
    }

    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_vec(self);
        write_file(path, &text.map_err(|e| Fault::trouble("wrapped.json", "a document", e))?)
    }

    /// The statement, about a program, and the proof.
    pub fn read(path: &Path, program: &Program) -> Result<(Statement, Vec<u8>)> {
        let doc: HiddenDoc = serde_json::from_slice(&read_file(path, DOCUMENT_BYTES_MAX)?)
            .map_err(|e| Fault::refused("wrapped.json", "what `wrap hide` or `node hide` wrote", e))?;
        let proof =
            hex::decode(&doc.proof).map_err(|e| Fault::refused("proof.encoding", "hexadecimal digits", e))?;
        Ok((doc.statement.about(program).map_err(verify::unread)?, proof))
    }
}
