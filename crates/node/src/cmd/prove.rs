//! `proofmesh prove`: prove what a model says about inputs, without showing them.

use crate::engine::keys::Keys;
use crate::fault::{Fault, Result};
use crate::machine::peak_megabytes;
use crate::out::{Context, bar};
use crate::zk::prove_batch;
use proofmesh_graph::parts::Cut;
use proofmesh_graph::program::WeightMode;
use proofmesh_graph::tensor::Tensor;
use proofmesh_model::ModelFile;
use proofmesh_model::data::{self, Array};
use proofmesh_proof::profile::Kind;
use proofmesh_prover::{ProveError, parts};
use proofmesh_verifier::{Manifest, StatementDoc};
use serde::Serialize;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Instant;

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  proofmesh prove --input examples/weather-qod/test/x_i8.npy --row 7 --out day.proof
  proofmesh prove --model digits.pmesh --input x.npy --row 0 --row 1 --context 0xc0ffee --out two.proof
  proofmesh prove --input day.npy --hash chain --out day.proof
  proofmesh prove --model digits.pmesh --input x.npy --rows 0..1000 --memory 1GB --out all.proof

Writes the proof to FILE and its statement to FILE.json: commitments, public inputs, outputs, context.
The inputs stay here. With --memory a batch whose proof would take more is cut into several: FILE.1, FILE.2, ..
are their proofs, FILE names the parts, FILE.json states all of them, and `verify FILE` checks the whole set.")]
pub struct Args {
    /// The model file [default: the weather model that this binary carries]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Inputs (.npy, .npz, .csv), one a row
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Row to prove; may be repeated: one proof for all [default: 0]
    #[arg(long = "row", value_name = "N", conflicts_with = "range")]
    rows: Vec<usize>,
    /// Rows to prove
    #[arg(long = "rows", value_name = "FROM..UNTIL")]
    range: Option<String>,
    /// Most memory that proving may take, as forecast: 800MB, 2GB
    #[arg(long, value_name = "BYTES")]
    memory: Option<String>,
    /// What the proof is bound to: job, device, nonce; 0x and hexadecimal digits
    #[arg(long, default_value = "0x")]
    context: String,
    /// Hash of the proof: device (BLAKE3, fast) or chain (Poseidon2 over BN254, for circuits of pairing curves)
    #[arg(long, default_value = "device", value_parser = ["device", "chain"])]
    hash: String,
    /// Where the proof goes
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Serialize)]
struct ProvedDoc {
    proof: PathBuf,
    /// Inputs of each part where the batch was cut.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts: Vec<usize>,
    proof_bytes: usize,
    profile: Kind,
    prove_ms: f64,
    /// Of this process.
    peak_megabytes: f64,
    statement: StatementDoc,
    states: Vec<String>,
}

/// What is to be proven.
struct Batch {
    model: ModelFile,
    data: Array,
    rows: Vec<usize>,
    context: Vec<u8>,
    /// Seed of the salt of private weights.
    seed: [u8; 32],
    profile: Kind,
}

impl Batch {
    fn read(args: &Args, context: &Context) -> Result<Self> {
        let model = super::model_at(args.model.as_deref())?;
        let data = data::read(&args.input)?;
        let rows = match (&args.range, args.rows.as_slice()) {
            (Some(text), _) => range(text)?.collect(),
            (None, []) => vec![0],
            (None, rows) => rows.to_vec(),
        };
        if let Some(row) = rows.iter().find(|row| **row >= data.rows()) {
            return Err(Fault::misuse("input.row", format_args!("below {}", data.rows()), row));
        }
        let digits = args.context.strip_prefix("0x").and_then(|digits| hex::decode(digits).ok());
        let bound = digits
            .ok_or_else(|| Fault::misuse("context.form", "0x and hexadecimal digits", &args.context))?;
        let private = model.program.weights == WeightMode::Private;
        let seed = if private { Keys::open(&context.dir.join("keys"))?.seed("weights")? } else { [0; 32] };
        let profile = Kind::named(&args.hash)
            .filter(|kind| matches!(kind, Kind::Device | Kind::Chain))
            .ok_or_else(|| Fault::misuse("prove.hash", "device or chain", &args.hash))?;
        Ok(Self { model, data, rows, context: bound, seed, profile })
    }

    /// Proves some of the inputs; gives statement and proof file.
    fn prove(&self, part: Range<usize>, context: &[u8]) -> Result<proofmesh_prover::Proved> {
        let input = |row: &usize| self.model.quantise(self.data.row(*row));
        let inputs: Vec<Tensor> = self.rows[part].iter().map(input).collect::<std::result::Result<_, _>>()?;
        prove_batch(&self.model, &inputs, context, self.seed, self.profile)
    }

    /// Where the batch is to be cut so that no proof takes more than `memory` bytes.
    fn cut(&self, memory: usize) -> Result<Cut> {
        let sizes = parts(&self.model.program, self.rows.len(), memory).map_err(|error| match error {
            ProveError::Memory { needed, memory } => {
                Fault::refused("prove.memory", format_args!("{needed} bytes or more"), memory)
            }
            error => Fault::refused("model.too-large", "a program that can be proved", error),
        })?;
        let cut = Cut::new(&sizes)?;
        if cut.parts() > 1 {
            Cut::fits(&self.model.program)?;
        }
        Ok(cut)
    }
}

/// The file of a part, counted from one.
pub(super) fn part_file(proof: &std::path::Path, part: usize) -> PathBuf {
    let mut path = proof.to_owned().into_os_string();
    path.push(format!(".{}", part + 1));
    PathBuf::from(path)
}

/// Runs.
pub fn run(args: Args, context: &Context) -> Result<()> {
    let batch = Batch::read(&args, context)?;
    let cut = match &args.memory {
        Some(text) => batch.cut(bytes(text)?)?,
        None => Cut::new(&[batch.rows.len()])?,
    };
    let began = Instant::now();
    let mut statement: Option<StatementDoc> = None;
    let (mut proof_bytes, mut proving) = (0, 0.0);
    let progress = bar(cut.parts() as u64);
    for part in 0..cut.parts() {
        let whole = cut.parts() == 1;
        progress.set_message(cut.name(part));
        let bound = if whole { batch.context.clone() } else { cut.context(&batch.context, part).to_vec() };
        let proved = batch.prove(cut.range(part), &bound)?;
        let path = if whole { args.out.clone() } else { part_file(&args.out, part) };
        super::write_file(&path, &proved.file)?;
        proof_bytes += proved.file.len();
        let own = StatementDoc::of(&proved.statement);
        match &mut statement {
            None => statement = Some(own),
            Some(all) => {
                all.inputs.extend(own.inputs);
                all.outputs.extend(own.outputs);
            }
        }
        proving = began.elapsed().as_secs_f64() * 1_000.0;
        progress.inc(1);
    }
    progress.finish_and_clear();
    let Some(mut statement) = statement else { return Err(Fault::misuse("input.row", "a row", "none")) };
    let mut sizes = Vec::new();
    if cut.parts() > 1 {
        statement.context = proofmesh_verifier::document::Hex(batch.context);
        sizes = (0..cut.parts()).map(|part| cut.range(part).len()).collect();
        super::write_file(&args.out, Manifest::of(&cut).as_bytes())?;
    }
    let text = serde_json::to_vec_pretty(&statement)
        .map_err(|error| Fault::trouble("statement.json", "a document", error))?;
    super::write_file(&super::verify::beside(&args.out), &text)?;
    let states = statement.clone().about(&batch.model.program).map_err(super::verify::unread)?.sentences();
    let doc = ProvedDoc {
        proof: args.out,
        parts: sizes,
        proof_bytes,
        profile: batch.profile,
        prove_ms: proving,
        peak_megabytes: peak_megabytes(),
        statement,
        states,
    };
    context.print(&doc, || doc.text())
}

impl ProvedDoc {
    fn text(&self) -> String {
        let mut lines: Vec<String> = self.states.iter().map(|said| format!("states    {said}")).collect();
        if let [first, .., last] = self.parts[..] {
            lines.push(format!("parts     {} of {first} inputs, the last of {last}", self.parts.len()));
        }
        let file = self.proof.display();
        lines.push(format!("proof     {} bytes in {:.0} ms", self.proof_bytes, self.prove_ms));
        lines.push(format!("memory    {:.0} MB at most", self.peak_megabytes));
        lines.push(format!("written   {file} and its statement beside it"));
        lines.join("\n")
    }
}

/// `FROM..UNTIL`.
fn range(text: &str) -> Result<Range<usize>> {
    let bounds =
        text.split_once("..").and_then(|(from, until)| Some(from.parse().ok()?..until.parse().ok()?));
    bounds.filter(|range: &Range<usize>| !range.is_empty() && range.len() <= MAX_ROWS).ok_or_else(|| {
        Fault::misuse(
            "rows.form",
            format_args!("FROM..UNTIL, 1 to {MAX_ROWS} rows"),
            format_args!("{text:.40}"),
        )
    })
}

/// Most rows of one command.
const MAX_ROWS: usize = 1 << 20;

/// Bytes, or so many kB, MB, GB of 1,000, or KiB, MiB, GiB of 1,024.
fn bytes(text: &str) -> Result<usize> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: Option<usize> = match &text[digits.len()..] {
        "" | "B" => Some(1),
        "kB" | "KB" => Some(1_000),
        "MB" => Some(1_000_000),
        "GB" => Some(1_000_000_000),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        _ => None,
    };
    let count: Option<usize> = digits.parse().ok();
    count
        .zip(unit)
        .and_then(|(count, unit)| count.checked_mul(unit))
        .ok_or_else(|| Fault::misuse("memory.form", "bytes such as 800MB or 2GB", format_args!("{text:.40}")))
}
