//! `proofmesh verify`: does a proof show what its statement says?

use crate::fault::{Fault, Result};
use crate::out::{Context, bar};
use proofmesh_graph::parts::Cut;
use proofmesh_graph::statement::{Statement, verify};
use proofmesh_market::Hash32;
use proofmesh_proof::reject::Reject;
use proofmesh_verifier::{Manifest, StatementDoc};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Instant;

/// Bytes of a statement's document.
const STATEMENT_BYTES_MAX: usize = 64 << 20;

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  proofmesh verify day.proof
  proofmesh verify two.proof --model digits.pmesh --statement mine.json

The statement should be put together by whoever verifies; one that came with the proof says only what its
prover wanted to prove. Exit code 1 names the check that failed.")]
pub struct Args {
    /// The proof, or the file that names its parts
    proof: PathBuf,
    /// The statement [default: PROOF.json]
    #[arg(long, value_name = "FILE")]
    statement: Option<PathBuf>,
    /// The model file [default: the weather model that this binary carries]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
}

#[derive(Serialize)]
struct HoldsDoc {
    holds: bool,
    parts: usize,
    model: Hash32,
    outputs: Vec<Vec<i32>>,
    batch_outputs: Vec<i32>,
    states: Vec<String>,
    verify_ms: f64,
}

pub(super) fn read_statement(path: &std::path::Path) -> Result<StatementDoc> {
    let text = super::read_file(path, STATEMENT_BYTES_MAX)?;
    StatementDoc::read(&text).map_err(unread)
}

/// A document that is refused keeps the name of its check.
pub(super) fn unread(reject: Reject) -> Fault {
    Fault::refused(reject.check, reject.expected, reject.got)
}

pub(super) fn beside(proof: &std::path::Path) -> PathBuf {
    let mut path = proof.to_owned().into_os_string();
    path.push(".json");
    PathBuf::from(path)
}

/// Checks every part of a set, one after the other.
fn verify_parts(manifest: &std::path::Path, cut: &Cut, statement: &Statement) -> Result<()> {
    let progress = bar(cut.parts() as u64);
    for part in 0..cut.parts() {
        progress.set_message(cut.name(part));
        let path = super::prove::part_file(manifest, part);
        if !path.exists() {
            let expected = format_args!("{} in {}", cut.name(part), path.display()).to_string();
            return Err(Fault::refused("parts.missing", expected, "no such file"));
        }
        let proof = super::read_file(&path, proofmesh_proof::engine::MAX_PROOF_BYTES)?;
        cut.verify(statement, part, &proof).map_err(|reject| match reject.check.starts_with("parts.") {
            true => unread(reject),
            false => reject.into(),
        })?;
        progress.inc(1);
    }
    progress.finish_and_clear();
    Ok(())
}

/// Runs.
pub fn run(args: Args, context: &Context) -> Result<()> {
    let model = super::model_at(args.model.as_deref())?;
    let said = read_statement(&args.statement.unwrap_or_else(|| beside(&args.proof)))?;
    let statement = said.about(&model.program).map_err(unread)?;
    let proof = super::read_file(&args.proof, proofmesh_proof::engine::MAX_PROOF_BYTES)?;
    let began = Instant::now();
    let mut parts = 1;
    if Manifest::is(&proof) {
        let cut = Manifest::read(&proof).map_err(unread)?;
        verify_parts(&args.proof, &cut, &statement)?;
        parts = cut.parts();
    } else {
        verify(&statement, &proof)?;
    }
    let verify_ms = began.elapsed().as_secs_f64() * 1_000.0;
    let doc = HoldsDoc {
        holds: true,
        parts,
        model: Hash32(statement.model_id()),
        states: statement.sentences(),
        outputs: statement.outputs,
        batch_outputs: statement.batch_outputs,
        verify_ms,
    };
    context.print(&doc, || {
        let head = format!("holds, {:.0} ms\nmodel     {}", doc.verify_ms, doc.model);
        doc.states.iter().fold(head, |text, said| format!("{text}\nstates    {said}"))
    })
}
