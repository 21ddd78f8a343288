//! `proofmesh ceremony`: keys for wrapped proofs that nobody can forge with.

use super::wrap::{Of, keep, working};
use crate::fault::{Fault, Result};
use crate::out::Context;
use crate::wrapped;
use clap::Subcommand;
use proofmesh_wrap::{r1cs_file, zkey};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Instant;

/// What to do.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
A ceremony with npm's snarkjs 0.7 (https://github.com/iden3/snarkjs), for the weather model, whose circuit needs powers of tau of 2^21:
  proofmesh ceremony r1cs --out weather.r1cs
  npx snarkjs groth16 setup weather.r1cs powers_of_tau_21.ptau 0.zkey
  npx snarkjs zkey contribute 0.zkey 1.zkey           each contributor in turn, on a machine of their own
  npx snarkjs zkey beacon 1.zkey weather.zkey HEX 10  public randomness that came later
  npx snarkjs zkey verify weather.r1cs powers_of_tau_21.ptau weather.zkey
  proofmesh ceremony import weather.zkey

`import` establishes that the key belongs to this circuit and that its points are well formed. That they are the circuit's at the tau of the
powers file, and that the contributions are a chain, only `zkey verify` establishes: run it, or let somebody you trust run it.")]
pub enum Command {
    /// Write the circuit as snarkjs reads it
    R1cs(R1cs),
    /// Read a finished key, and check that it is this circuit's
    Import(Import),
}

/// Arguments of `r1cs`.
#[derive(Debug, clap::Args)]
pub struct R1cs {
    #[command(flatten)]
    of: Of,
    /// Where the constraint system goes
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Arguments of `import`.
#[derive(Debug, clap::Args)]
pub struct Import {
    #[command(flatten)]
    of: Of,
    /// The `.zkey` file of the last contribution
    zkey: PathBuf,
    /// Where the key goes; its verification key goes beside it [default: DIR/wrap/CIRCUIT.key]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Serialize)]
struct R1csDoc {
    r1cs: PathBuf,
    /// The kind of proofs that the circuit verifies.
    kind: &'static str,
    constraints: usize,
    bytes: usize,
    /// Powers of tau that the ceremony needs, as `log2`.
    powers: u32,
}

/// Runs.
pub fn run(command: Command, context: &Context) -> Result<()> {
    match command {
        Command::R1cs(args) => {
            let circuit = args.of.circuit()?;
            let file = r1cs_file::encode(&circuit);
            super::write_file(&args.out, &file)?;
            let powers = proofmesh_wrap::groth16::domain(&circuit).trailing_zeros() + 1;
            let doc = R1csDoc {
                r1cs: args.out,
                kind: args.of.kind(),
                constraints: circuit.constraints(),
                bytes: file.len(),
                powers,
            };
            context.print(&doc, || {
                format!(
                    "{}: {} constraints, {} bytes; the ceremony needs powers of tau of 2^{}\n{}",
                    doc.r1cs.display(),
                    doc.constraints,
                    doc.bytes,
                    doc.powers,
                    doc.kind
                )
            })
        }
        Command::Import(args) => {
            let began = Instant::now();
            let circuit = args.of.circuit()?;
            let file = std::fs::File::open(&args.zkey).map_err(|error| Fault::file(&args.zkey, &error))?;
            let progress = working("reading the ceremony's key");
            let reader = std::io::BufReader::with_capacity(1 << 20, file);
            let imported =
                zkey::import(reader, &circuit, |stage| progress.set_message(format!("checking {stage}")))
                    .map_err(super::verify::unread)?;
            progress.finish_and_clear();
            context.tell(&format!(
                "{} contributions; that they are a chain, and the points at tau, only `snarkjs zkey verify` establishes",
                imported.contributions
            ));
            let path = args.out.unwrap_or_else(|| wrapped::key_path(&context.dir, &imported.key.circuit));
            keep(&imported.key, &args.of, &path, began, context)
        }
    }
}
