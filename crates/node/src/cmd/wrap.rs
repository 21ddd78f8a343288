//! `proofmesh wrap`: a proof that a contract can afford to check.

pub(super) mod document;
mod hire;

use self::document::{HiddenDoc, WrappedDoc};
use crate::fault::{Fault, Result};
use crate::machine::{forget_peak, peak_megabytes};
use crate::out::{Context, bar};
use crate::wrapped;
use clap::Subcommand;
use proofmesh_graph::program::Program;
use proofmesh_graph::statement::Statement;
use proofmesh_model::data;
use proofmesh_prover::{Job, salt};
use proofmesh_wrap::groth16::{self, PROOF_BYTES, VerifyingKey};
use proofmesh_wrap::keys::{Key, Origin, decode_verification, hex};
use proofmesh_wrap::verifier::binding;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Most bytes of a verification key's file.
const CHECK_BYTES_MAX: usize = 4 << 10;

/// What to do.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  proofmesh wrap report                          what the circuit costs, part by part
  proofmesh wrap set-up                          a DEVELOPMENT key: whoever makes one could forge
  proofmesh wrap prove --input examples/weather-qod/test/x_i8.npy --row 7 --out day.wrapped.json
  proofmesh wrap verify day.wrapped.json

For whoever has another wrap: the proof hides, so that whoever wraps it learns no more than the statement.
  proofmesh wrap hide --input examples/weather-qod/test/x_i8.npy --row 7 --out day.hidden.json
  proofmesh wrap set-up --hiding                 the other one's key
  proofmesh wrap prove --proof day.hidden.json --out day.wrapped.json

The same through the market, paid (the contract has the hired key: proofmesh up --verifier DIR/wrap/CIRCUIT.key.check):
  proofmesh wrap work rig                        a node that wraps for whoever pays
  proofmesh wrap order day.hidden.json           prints the job
  proofmesh wrap collect 0x... --wait 600 --out day.wrapped.json

One circuit, and so one key, serves all statements of one model and batch size. The model's weights are public. For a key that
nobody can forge with: `proofmesh ceremony --help`. What is proved and how: docs/spec/wrap.md.")]
pub enum Command {
    /// Constraints of the circuit by part
    Report(Of),
    /// Make a DEVELOPMENT key (minutes, gigabytes)
    SetUp(SetUp),
    /// Prove inputs, and wrap the proof (a minute, gigabytes)
    Prove(Prove),
    /// Prove inputs so that a stranger can wrap the proof (seconds)
    Hide(Hide),
    /// Check a wrapped proof
    Verify(Verify),
    /// Pay for a wrap: post a job, hand over the proof that `hide` made
    Order(hire::Order),
    /// Fetch what came of a job, and check it
    Collect(hire::Collect),
    /// Work as a node that wraps for others (gigabytes)
    Work(hire::Work),
}

/// A circuit.
#[derive(Debug, clap::Args)]
pub struct Of {
    /// The model file [default: the weather model that this binary carries]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Inputs of one proof
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    batch: u16,
    /// The circuit of proofs that hide, for wrapping what another proved
    #[arg(long)]
    hiding: bool,
}

impl Of {
    pub(super) fn program(&self) -> Result<Program> {
        Ok(super::model_at(self.model.as_deref())?.program)
    }

    /// The kind of proofs that the circuit verifies, as it is said.
    pub(super) fn kind(&self) -> &'static str {
        wrapped::kind(self.hiding)
    }

    /// The circuit, without a witness.
    pub(super) fn circuit(&self) -> Result<proofmesh_wrap::r1cs::Builder> {
        circuit(&self.program()?, usize::from(self.batch), self.hiding)
    }
}

/// The circuit of a program and batch size, of plain proofs or of those that hide.
fn circuit(program: &Program, batch: usize, hiding: bool) -> Result<proofmesh_wrap::r1cs::Builder> {
    if hiding { wrapped::blank_hired(program, batch) } else { wrapped::blank(program, batch) }
}

/// Arguments of `set-up`.
#[derive(Debug, clap::Args)]
pub struct SetUp {
    #[command(flatten)]
    of: Of,
    /// Where the key goes; its verification key goes beside it [default: DIR/wrap/CIRCUIT.key]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What is proved.
#[derive(Debug, clap::Args)]
pub struct Inputs {
    /// Row to prove; may be repeated: one proof for all [default: 0]
    #[arg(long = "row", value_name = "N")]
    rows: Vec<usize>,
    /// What the proof is bound to, 32 bytes: 0x and 64 hexadecimal digits [default: zeros]
    #[arg(long, value_name = "HEX")]
    context: Option<String>,
}

/// Arguments of `hide`.
#[derive(Debug, clap::Args)]
pub struct Hide {
    /// The model file [default: the weather model that this binary carries]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Inputs (.npy, .npz, .csv), one a row
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    #[command(flatten)]
    inputs: Inputs,
    /// Where the statement and its proof go
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Arguments of `prove`.
#[derive(Debug, clap::Args)]
pub struct Prove {
    /// The model file [default: the weather model that this binary carries]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Inputs (.npy, .npz, .csv), one a row
    #[arg(long, value_name = "FILE", required_unless_present = "proof")]
    input: Option<PathBuf>,
    /// What `hide` wrote, instead of inputs
    #[arg(long, value_name = "FILE", conflicts_with_all = ["input", "rows", "context"])]
    proof: Option<PathBuf>,
    #[command(flatten)]
    inputs: Inputs,
    /// The proving key [default: DIR/wrap/CIRCUIT.key]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// SHA-256 that the key must have, for one that came from others
    #[arg(long, value_name = "HEX")]
    key_hash: Option<String>,
    /// Where the proof and its statement go
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Arguments of `verify`.
#[derive(Debug, clap::Args)]
pub struct Verify {
    /// What `prove` wrote
    proof: PathBuf,
    /// The statement, put together by whoever verifies [default: the one in PROOF]
    #[arg(long, value_name = "FILE")]
    statement: Option<PathBuf>,
    /// The model file [default: the weather model that this binary carries]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// The verification key [default: DIR/wrap/CIRCUIT.key.check]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

#[derive(Serialize)]
struct HidDoc {
    hidden: PathBuf,
    proof_bytes: usize,
    seconds: f64,
    states: Vec<String>,
}

#[derive(Serialize)]
struct PartDoc {
    part: &'static str,
    constraints: usize,
}

#[derive(Serialize)]
struct ReportDoc {
    circuit: String,
    kind: &'static str,
    constraints: usize,
    variables: usize,
    /// Entries of the three matrices.
    entries: usize,
    /// Rows of the prover's transforms.
    domain: usize,
    parts: Vec<PartDoc>,
    seconds: f64,
    peak_megabytes: f64,
}

#[derive(Serialize)]
struct KeyDoc {
    key: PathBuf,
    verification_key: PathBuf,
    origin: &'static str,
    /// The kind of proofs that its circuit verifies.
    kind: &'static str,
    circuit: String,
    sha256: String,
    bytes: u64,
    seconds: f64,
    peak_megabytes: f64,
}

#[derive(Serialize)]
struct ProvedDoc {
    wrapped: PathBuf,
    key: &'static str,
    kind: &'static str,
    public_input: String,
    /// To make the plain proof, or to check the one that was handed over.
    proof_seconds: f64,
    circuit_seconds: f64,
    wrap_seconds: f64,
    /// Of the process, the key read included.
    peak_megabytes: f64,
    states: Vec<String>,
}

#[derive(Serialize)]
struct VerifiedDoc {
    holds: bool,
    key: &'static str,
    kind: &'static str,
    public_input: String,
    milliseconds: f64,
    states: Vec<String>,
}

/// Where a key comes from, as it is said.
pub(super) fn origin(origin: &Origin) -> &'static str {
    match origin {
        Origin::Development => "DEVELOPMENT: whoever made it could forge",
        Origin::Ceremony { .. } => "ceremony",
    }
}

/// The file of the verification key beside a proving key's.
pub(super) fn check_path(key: &Path) -> PathBuf {
    let mut path = key.to_owned().into_os_string();
    path.push(".check");
    PathBuf::from(path)
}

/// A verification key's file: where the key comes from, its circuit, the key.
fn read_check(path: &Path) -> Result<(Origin, [u8; 32], VerifyingKey)> {
    decode_verification(&super::read_file(path, CHECK_BYTES_MAX)?).map_err(super::verify::unread)
}

/// Writes a key and its verification key; tells what they are.
pub(super) fn keep(key: &Key, of: &Of, path: &Path, began: Instant, context: &Context) -> Result<()> {
    let sha256 = hex(&wrapped::save(key, path)?);
    super::write_file(&check_path(path), &key.verification())?;
    let doc = KeyDoc {
        key: path.to_owned(),
        verification_key: check_path(path),
        origin: origin(&key.origin),
        kind: of.kind(),
        circuit: hex(&key.circuit),
        sha256,
        bytes: std::fs::metadata(path).map_or(0, |m| m.len()),
        seconds: began.elapsed().as_secs_f64(),
        peak_megabytes: peak_megabytes(),
    };
    context.print(&doc, || {
        format!(
            "key       {} ({:.0} MB)\norigin    {}\nkind      {}\ncircuit   {}\nsha256    {}\nchecks    {}\ntook      {:.0} s, {:.0} MB at most",
            doc.key.display(),
            doc.bytes as f64 / 1e6,
            doc.origin,
            doc.kind,
            doc.circuit,
            doc.sha256,
            doc.verification_key.display(),
            doc.seconds,
            doc.peak_megabytes
        )
    })
}

/// Runs.
pub async fn run(command: Command, context: &Context) -> Result<()> {
    match command {
        Command::Order(args) => hire::order(args, context).await,
        Command::Collect(args) => hire::collect(args, context).await,
        Command::Work(args) => hire::work(args, context).await,
        Command::Report(of) => report(&of, context),
        Command::SetUp(args) => set_up(&args, context),
        Command::Prove(args) => prove(args, context),
        Command::Hide(args) => hide(&args, context),
        Command::Verify(args) => verify(&args, context),
    }
}

fn report(of: &Of, context: &Context) -> Result<()> {
    let began = Instant::now();
    let circuit = of.circuit()?;
    let parts = circuit.parts().iter().filter(|part| part.1 > 0);
    let doc = ReportDoc {
        circuit: hex(&circuit.digest()),
        kind: of.kind(),
        constraints: circuit.constraints(),
        variables: circuit.assignment().len(),
        entries: circuit.matrices().iter().map(|matrix| matrix.entries()).sum(),
        domain: groth16::domain(&circuit),
        parts: parts.map(|(part, constraints)| PartDoc { part, constraints: *constraints }).collect(),
        seconds: began.elapsed().as_secs_f64(),
        peak_megabytes: peak_megabytes(),
    };
    context.print(&doc, || {
        let mut parts: Vec<&PartDoc> = doc.parts.iter().collect();
        parts.sort_by_key(|part| std::cmp::Reverse(part.constraints));
        let lines = parts.iter().map(|part| format!("{:>10}  {}\n", part.constraints, part.part));
        format!(
            "{}{:>10}  in all, of the {} that its domain holds\ncircuit   {}\nkind      {}\nvariables {}, entries {}\nbuilt     in {:.1} s, {:.0} MB at most",
            lines.collect::<String>(),
            doc.constraints,
            doc.domain,
            doc.circuit,
            doc.kind,
            doc.variables,
            doc.entries,
            doc.seconds,
            doc.peak_megabytes
        )
    })
}

fn set_up(args: &SetUp, context: &Context) -> Result<()> {
    let began = Instant::now();
    let circuit = args.of.circuit()?;
    context.tell("a DEVELOPMENT key: whoever makes it could forge, so no money may depend on it");
    let progress = working(&format!("key for {} constraints", circuit.constraints()));
    let key = wrapped::set_up(&circuit, &mut crate::zk::os_rng()?)?;
    drop(circuit);
    progress.finish_and_clear();
    let path = args.out.clone().unwrap_or_else(|| wrapped::key_path(&context.dir, &key.circuit));
    keep(&key, &args.of, &path, began, context)
}

/// A line that shows that something goes on.
pub(super) fn working(what: &str) -> indicatif::ProgressBar {
    let progress = bar(0);
    progress.set_message(what.to_owned());
    progress.enable_steady_tick(std::time::Duration::from_millis(250));
    progress
}

fn bytes32(text: &str, what: &str) -> Result<[u8; 32]> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let bytes = hex::decode(digits).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| {
        Fault::misuse(format_args!("{what}.form"), "64 hexadecimal digits", format_args!("{text:.80}"))
    })
}

/// Runs something with the job that inputs make.
fn with_job<T>(
    (model, input): (Option<&Path>, &Path),
    inputs: &Inputs,
    run: impl FnOnce(&Job<'_>, &mut rand::rngs::StdRng) -> Result<T>,
) -> Result<T> {
    let model = super::model_at(model)?;
    let rows = if inputs.rows.is_empty() { &[0][..] } else { &inputs.rows };
    let table = data::read(input)?;
    if let Some(row) = rows.iter().find(|row| **row >= table.rows()) {
        return Err(Fault::misuse("input.row", format_args!("below {}", table.rows()), row));
    }
    let bound = inputs.context.as_ref().map_or(Ok([0; 32]), |text| bytes32(text, "context"))?;
    let inputs = rows.iter().map(|row| model.quantise(table.row(*row)));
    let inputs: Vec<_> = inputs.collect::<std::result::Result<_, _>>()?;
    let mut rng = crate::zk::os_rng()?;
    let salts: Vec<_> = inputs.iter().map(|_| salt(&mut rng)).collect();
    run(
        &Job { program: &model.program, inputs: &inputs, salts: &salts, weight_salt: None, context: &bound },
        &mut rng,
    )
}

fn hide(args: &Hide, context: &Context) -> Result<()> {
    let began = Instant::now();
    let progress = working("proof");
    let (statement, proof) = with_job((args.model.as_deref(), &args.input), &args.inputs, wrapped::hide)?;
    progress.finish_and_clear();
    write_hidden(&statement, &proof, &args.out, began, context)
}

/// Writes a proof that hides; tells what it shows.
pub(super) fn write_hidden(
    statement: &Statement,
    proof: &[u8],
    out: &Path,
    began: Instant,
    context: &Context,
) -> Result<()> {
    HiddenDoc::of(statement, proof).write(out)?;
    let doc = HidDoc {
        hidden: out.to_owned(),
        proof_bytes: proof.len(),
        seconds: began.elapsed().as_secs_f64(),
        states: statement.sentences(),
    };
    context.print(&doc, || {
        let mut lines: Vec<String> = doc.states.iter().map(|said| format!("states    {said}")).collect();
        lines.push(format!(
            "proof     {} bytes that hide everything else, {:.1} s",
            doc.proof_bytes, doc.seconds
        ));
        lines.push(format!("written   {}", doc.hidden.display()));
        lines.join("\n")
    })
}

fn prove(args: Prove, context: &Context) -> Result<()> {
    let program = super::model_at(args.model.as_deref())?.program;
    let expected = args.key_hash.map(|text| bytes32(&text, "key-hash")).transpose()?;
    let handed = args.proof.as_deref().map(|path| HiddenDoc::read(path, &program)).transpose()?;
    let batch = handed.as_ref().map_or(args.inputs.rows.len().max(1), |(of, _)| of.inputs.len());
    let circuit = circuit(&program, batch, handed.is_some())?.digest();
    let path = args.key.unwrap_or_else(|| wrapped::key_path(&context.dir, &circuit));
    if !path.exists() {
        let hiding = if handed.is_some() { " --hiding" } else { "" };
        let expected = format!("`proofmesh wrap set-up{hiding}` first, or --key");
        return Err(Fault::misuse("wrap.no-key", expected, path.display()));
    }
    forget_peak();
    let progress = working("reading the key");
    let key = wrapped::open(&path, &circuit, expected.as_ref())?;
    let (began, hiding) = (Instant::now(), handed.is_some());
    let mut times = Vec::new();
    let mut watch = |stage: &'static str| {
        times.push(began.elapsed().as_secs_f64());
        progress.set_message(stage);
    };
    let wrapped = match (handed, &args.input) {
        (Some((of, proof)), _) => wrapped::wrap_handed(of, &proof, &key, &mut watch)?,
        (None, Some(input)) => with_job((args.model.as_deref(), input), &args.inputs, |job, rng| {
            wrapped::wrap_watched(job, &key, rng, &mut watch)
        })?,
        (None, None) => return Err(Fault::misuse("wrap.input", "--input or --proof", "neither")),
    };
    progress.finish_and_clear();
    let took = began.elapsed().as_secs_f64();
    WrappedDoc::of(&wrapped, (&circuit, hiding), &key.origin).write(&args.out)?;
    let statement = &wrapped.statement;
    let [_, second, third] = times[..] else { unreachable!("three stages") };
    let doc = ProvedDoc {
        wrapped: args.out,
        key: origin(&key.origin),
        kind: wrapped::kind(hiding),
        public_input: hex(&wrapped.public_input),
        proof_seconds: second,
        circuit_seconds: third - second,
        wrap_seconds: took - third,
        peak_megabytes: peak_megabytes(),
        states: statement.sentences(),
    };
    context.print(&doc, || {
        let mut lines: Vec<String> = doc.states.iter().map(|said| format!("states    {said}")).collect();
        lines.push(format!("proof     {PROOF_BYTES} bytes, public input {}", doc.public_input));
        lines.push(format!(
            "took      {:.1} s: proof {:.1}, circuit {:.1}, wrap {:.1}; {:.0} MB at most",
            took, doc.proof_seconds, doc.circuit_seconds, doc.wrap_seconds, doc.peak_megabytes
        ));
        lines.push(format!("key       {}\nkind      {}", doc.key, doc.kind));
        lines.push(format!("written   {}", doc.wrapped.display()));
        lines.join("\n")
    })
}

fn verify(args: &Verify, context: &Context) -> Result<()> {
    let model = super::model_at(args.model.as_deref())?;
    let doc = WrappedDoc::read(&args.proof)?;
    let said = match &args.statement {
        Some(path) => super::verify::read_statement(path)?,
        None => doc.statement.clone(),
    };
    let stated = said.about(&model.program).map_err(super::verify::unread)?;
    let circuit = circuit(&model.program, stated.inputs.len(), doc.hiding)?.digest();
    let path = args.key.clone().unwrap_or_else(|| check_path(&wrapped::key_path(&context.dir, &circuit)));
    let (from, of, key) = read_check(&path)?;
    if of != circuit {
        return Err(Fault::refused("wrap.key", format_args!("a key of circuit {}", hex(&circuit)), hex(&of)));
    }
    let (proof, began) = (doc.proof()?, Instant::now());
    wrapped::check(&key, &stated, &proof)?;
    let doc = VerifiedDoc {
        holds: true,
        key: origin(&from),
        kind: wrapped::kind(doc.hiding),
        public_input: hex(&binding(&stated).map_err(super::verify::unread)?),
        milliseconds: began.elapsed().as_secs_f64() * 1e3,
        states: stated.sentences(),
    };
    context.print(&doc, || {
        let head =
            format!("holds, {:.0} ms\nkey       {}\nkind      {}", doc.milliseconds, doc.key, doc.kind);
        doc.states.iter().fold(head, |text, said| format!("{text}\nstates    {said}"))
    })
}
