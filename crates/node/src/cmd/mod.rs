//! The commands, one file each. stdout is data, stderr is talk; exit codes 0 ok, 1 refused, 2 misuse, 3
//! trouble.

mod api;
mod audit;
pub mod bench;
mod ceremony;
mod chain;
mod challenge;
mod claim;
mod config;
mod cover;
mod demo;
mod device;
mod doctor;
mod epoch;
mod inspect;
mod job;
mod load;
mod meter;
mod model;
mod moving;
mod node;
mod prove;
mod receipt;
mod sensor;
mod service;
mod sim;
mod storage;
mod up;
mod verify;
mod wrap;

use crate::fault::{Fault, Result};
use crate::out::Context;
use clap::{Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A network of machines that are paid only for work they can prove.
#[derive(Debug, Parser)]
#[command(
    name = "proofmesh",
    version,
    disable_help_subcommand = true,
    after_help = "\
Start here:
  proofmesh demo                     the whole story in under a minute
  proofmesh up                       a coordinator and its chain on this machine
  proofmesh node run ewr --station EWR
  proofmesh audit                    recompute everything

Exit codes: 0 ok, 1 refused (the name says by which rule), 2 misuse, 3 trouble."
)]
pub struct Cli {
    /// One JSON document on stdout instead of text
    #[arg(long, global = true)]
    json: bool,
    /// Directory with state and keys [default: .proofmesh]
    #[arg(long, global = true, env = "PROOFMESH_DIR", value_name = "DIR")]
    dir: Option<PathBuf>,
    /// API of a coordinator [default: the one that runs in the directory]
    #[arg(long, global = true, env = "PROOFMESH_URL", value_name = "URL")]
    url: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The whole story: stations prove their days, a contract pays a farmer, lies are refused
    Demo(demo::Args),
    /// Run a coordinator with an embedded chain, on loopback
    Up(up::Args),
    /// Run an operator node
    #[command(subcommand)]
    Node(node::Command),
    /// Devices: keys and signed readings
    #[command(subcommand)]
    Device(device::Command),
    /// Sensors with keys of their own: makers' certificates, owners, transfer, revocation
    #[command(subcommand)]
    Sensor(sensor::Command),
    /// Post and see jobs
    #[command(subcommand)]
    Job(job::Command),
    /// See and check receipts
    #[command(subcommand)]
    Receipt(receipt::Command),
    /// See and close epochs
    #[command(subcommand)]
    Epoch(epoch::Command),
    /// Claim what an account is owed by the newest final epoch
    Claim(claim::Args),
    /// Demand on chain that the poster proves a receipt; answer such a demand; end it
    #[command(subcommand)]
    Challenge(challenge::Command),
    /// Frost covers: open, report, see
    #[command(subcommand)]
    Cover(cover::Command),
    /// The configuration: check, show, set, history, rollback
    #[command(subcommand)]
    Config(config::Command),
    /// Move the journal or the evidence of this directory's coordinator to other engines, while it runs
    Move(moving::Args),
    /// What is wrong with this machine, and what to do next
    Doctor(doctor::Args),
    /// This machine as a service of systemd
    #[command(subcommand)]
    Service(service::Command),
    /// The HTTP API: its keys, its description
    #[command(subcommand)]
    Api(api::Command),
    /// Recompute everything from the log and the chain; name the first difference
    Audit(audit::Args),
    /// Turn an ONNX model into a provable program; see one
    #[command(subcommand)]
    Model(model::Command),
    /// Prove one input
    Prove(prove::Args),
    /// Verify a proof
    Verify(verify::Args),
    /// Proofs that a contract can afford to check: one Groth16 proof around a proof
    #[command(subcommand)]
    Wrap(wrap::Command),
    /// Keys for wrapped proofs from a ceremony by snarkjs
    #[command(subcommand)]
    Ceremony(ceremony::Command),
    /// Statement, sizes and soundness of a model's proofs
    Inspect(inspect::Args),
    /// Time, memory and size of proofs on this machine
    Bench(bench::Args),
    /// What one coordinator carries on this machine: receipts a second, kill -9, recovery, audit
    Load(load::Args),
    /// Lines of bytes, packets or watt-hours, signed by both sides every tick
    #[command(subcommand)]
    Meter(meter::Command),
    /// Keep objects with the network, or keep pieces for it
    #[command(subcommand)]
    Storage(storage::Command),
    /// Attack the rules: liars, faults and a clock of its own, from one seed
    Sim(sim::Args),
    /// Known chains, and a live one held against what is known of it
    #[command(subcommand)]
    Chain(chain::Command),
}

/// Runs the command line.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let dir = cli.dir.clone().unwrap_or_else(|| PathBuf::from(".proofmesh"));
    let context = Context { json: cli.json, dir, chosen_dir: cli.dir, url: cli.url };
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&context, &Fault::trouble("machine.threads", "threads", error)),
    };
    match runtime.block_on(run(cli.command, &context)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => fail(&context, &fault),
    }
}

async fn run(command: Command, context: &Context) -> Result<()> {
    match command {
        Command::Demo(args) => demo::run(args, context).await,
        Command::Up(args) => up::run(args, context).await,
        Command::Node(command) => node::run(command, context).await,
        Command::Device(command) => device::run(command, context).await,
        Command::Sensor(command) => sensor::run(command, context),
        Command::Job(command) => job::run(command, context).await,
        Command::Receipt(command) => receipt::run(command, context).await,
        Command::Epoch(command) => epoch::run(command, context).await,
        Command::Claim(args) => claim::run(args, context).await,
        Command::Challenge(command) => challenge::run(command, context).await,
        Command::Cover(command) => cover::run(command, context).await,
        Command::Config(command) => config::run(command, context).await,
        Command::Move(args) => moving::run(args, context).await,
        Command::Doctor(args) => doctor::run(args, context).await,
        Command::Service(command) => service::run(command, context),
        Command::Api(command) => api::run(command, context),
        Command::Audit(args) => audit::run(args, context).await,
        Command::Model(command) => model::run(command, context),
        Command::Prove(args) => prove::run(args, context),
        Command::Verify(args) => verify::run(args, context),
        Command::Wrap(command) => wrap::run(command, context).await,
        Command::Ceremony(command) => ceremony::run(command, context),
        Command::Inspect(args) => inspect::run(args, context),
        Command::Bench(args) => bench::run(args, context),
        Command::Load(args) => load::run(args, context).await,
        Command::Meter(command) => meter::run(command, context).await,
        Command::Storage(command) => storage::run(command, context).await,
        Command::Sim(args) => sim::run(&args, context),
        Command::Chain(command) => chain::run(command, context).await,
    }
}

fn fail(context: &Context, fault: &Fault) -> ExitCode {
    if context.json {
        let text = serde_json::to_string(fault).unwrap_or_else(|_| fault.to_string());
        context.tell(&text);
    } else {
        let kind = match fault.kind {
            crate::fault::Kind::Refused => "refused",
            crate::fault::Kind::Misuse => "misuse",
            crate::fault::Kind::Trouble => "trouble",
        };
        context.tell(&format!(
            "{kind}: {}\n  expected: {}\n  got:      {}",
            fault.name, fault.expected, fault.got
        ));
    }
    ExitCode::from(fault.exit_code())
}

/// The bytes of a file of at most `most` bytes.
fn read_file(path: &Path, most: usize) -> Result<Vec<u8>> {
    use std::io::Read;
    let io = |error: std::io::Error| Fault::file(path, &error);
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(io)?.take(most as u64 + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() > most {
        return Err(Fault::refused("file.too-large", format_args!("at most {most} bytes"), path.display()));
    }
    Ok(bytes)
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes).map_err(|error| Fault::file(path, &error))
}

/// A model file, or the weather model that the binary carries when no path is given.
fn model_at(path: Option<&Path>) -> Result<proofmesh_model::ModelFile> {
    match path {
        Some(path) => crate::zk::read_model(&read_file(path, proofmesh_model::limits::MAX_MODEL_BYTES)?),
        None => Ok(crate::weather::import_model()?.file),
    }
}

/// An argument as a value.
fn parse<T: std::str::FromStr>(text: &str, what: &str) -> Result<T> {
    text.parse().map_err(|_| Fault::misuse(format_args!("{what}.form"), what, format_args!("{text:.80}")))
}

/// Dollars with at most six decimals.
fn dollars(text: &str) -> Result<proofmesh_market::Usd> {
    let bad =
        || Fault::misuse("money.form", "dollars with at most six decimals, 0.25", format_args!("{text:.40}"));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if fraction.len() > 6 || whole.is_empty() || !digits(whole) || !digits(fraction) {
        return Err(bad());
    }
    format!("{whole}{fraction:0<6}").parse().map(proofmesh_market::Usd::from_micro).map_err(|_| bad())
}
