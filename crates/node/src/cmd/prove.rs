//! `proofmesh prove`: prove what a model says about inputs, without showing them.

use crate::engine::keys::Keys;
use crate::fault::{Fault, Result};
use crate::out::Context;
use crate::zk::prove_batch;
use proofmesh_model::data;
use proofmesh_verifier::StatementDoc;
use serde::Serialize;
use std::path::PathBuf;
use std::time::Instant;

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  proofmesh prove --input examples/weather-qod/test/x_i8.npy --row 7 --out day.proof
  proofmesh prove --model digits.pmesh --input x.npy --row 0 --row 1 --context 0xc0ffee --out two.proof

Writes the proof to FILE and its statement to FILE.json: commitments, public inputs, outputs, context.
The inputs stay here.")]
pub struct Args {
    /// The model file [default: the weather model that this binary carries]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Inputs (.npy, .npz, .csv), one a row
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Row to prove; may be repeated: one proof for all
    #[arg(long = "row", default_value = "0", value_name = "N")]
    rows: Vec<usize>,
    /// What the proof is bound to: job, device, nonce; 0x and hexadecimal digits
    #[arg(long, default_value = "0x")]
    context: String,
    /// Where the proof goes
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Serialize)]
struct ProvedDoc {
    proof: PathBuf,
    proof_bytes: usize,
    prove_ms: f64,
    statement: StatementDoc,
}

/// Runs.
pub fn run(args: Args, context: &Context) -> Result<()> {
    let model = super::model_at(args.model.as_deref())?;
    let rows = data::read(&args.input)?;
    let mut inputs = Vec::new();
    for row in &args.rows {
        if *row >= rows.rows() {
            return Err(Fault::misuse("input.row", format_args!("below {}", rows.rows()), row));
        }
        inputs.push(model.quantise(rows.row(*row))?);
    }
    let digits = args.context.strip_prefix("0x").and_then(|digits| hex::decode(digits).ok());
    let bound =
        digits.ok_or_else(|| Fault::misuse("context.form", "0x and hexadecimal digits", &args.context))?;
    let private = model.program.weights == proofmesh_graph::program::WeightMode::Private;
    let seed = if private { Keys::open(&context.dir.join("keys"))?.seed("weights")? } else { [0; 32] };
    let began = Instant::now();
    let proved = prove_batch(&model, &inputs, &bound, seed)?;
    let prove_ms = began.elapsed().as_secs_f64() * 1_000.0;
    let statement = StatementDoc::of(&proved.statement);
    super::write_file(&args.out, &proved.file)?;
    let text = serde_json::to_vec_pretty(&statement)
        .map_err(|error| Fault::trouble("statement.json", "a document", error))?;
    let mut path = args.out.clone().into_os_string();
    path.push(".json");
    super::write_file(&PathBuf::from(path), &text)?;
    let doc = ProvedDoc { proof: args.out, proof_bytes: proved.file.len(), prove_ms, statement };
    context.print(&doc, || {
        let outputs =
            doc.statement.outputs.iter().map(|words| format!("output    {words:?}")).collect::<Vec<_>>();
        format!(
            "{}\nproof     {} bytes in {:.0} ms\nwritten   {} and its statement beside it",
            outputs.join("\n"),
            doc.proof_bytes,
            doc.prove_ms,
            doc.proof.display()
        )
    })
}
