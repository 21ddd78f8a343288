//! `wrap order`, `wrap collect`, `wrap work`: wrapping for hire through the market.

use super::document::{HiddenDoc, WrappedDoc};
use super::{Inputs, check_path, read_check, with_job, working};
use crate::cmd::{dollars, model_at, parse, up};
use crate::engine::keys::Keys;
use crate::fault::{Fault, Result};
use crate::hire::{self, Wanted, Wrapper, name_of};
use crate::out::Context;
use crate::wrapped::{self, Wrapped};
use proofmesh_graph::program::Program;
use proofmesh_market::{Device, Hash32};
use proofmesh_wrap::groth16::{PROOF_BYTES, VerifyingKey};
use proofmesh_wrap::keys::Origin;
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often a node looks for jobs, and a buyer for what came of one.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Arguments of `order`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  proofmesh node hide ewr 0xRECEIPT --station EWR --out day.hidden.json
  proofmesh wrap order day.hidden.json --price 0.05
  proofmesh wrap order --input rows.npy --row 3 --model public.pmesh      a model whose input is all public: nothing to hide

The proof goes to the coordinator with the job, is checked there, and is public from then on: it hides. The price goes into escrow.")]
pub struct Order {
    /// What `wrap hide` or `node hide` wrote
    #[arg(required_unless_present = "input", conflicts_with_all = ["input", "rows", "context"])]
    hidden: Option<PathBuf>,
    /// Inputs (.npy, .npz, .csv) of a model whose input is all public, one a row
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    #[command(flatten)]
    inputs: Inputs,
    /// The model file [default: the weather model that this binary carries]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Verification key of the contract that will check the proof [default: DIR/wrap/CIRCUIT.key.check, of the circuit of proofs that hide]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Dollars
    #[arg(long, default_value = "0.05", value_name = "USD")]
    price: String,
    /// Hours from now in which it is wanted
    #[arg(long, default_value_t = 24, value_name = "HOURS", value_parser = clap::value_parser!(u64).range(1..=8_760))]
    open: u64,
    /// Only the node with this device, did:key:... [default: any that offers the service]
    #[arg(long, value_name = "DEVICE")]
    to: Option<String>,
    /// Name of the buyer's account
    #[arg(long, default_value = "insurer")]
    buyer: String,
}

/// Arguments of `collect`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  proofmesh wrap collect 0xJOB --wait 600 --out day.wrapped.json
  proofmesh cover deliver 0xCOVER 0xRECEIPT --proof day.wrapped.json")]
pub struct Collect {
    /// The job
    job: String,
    /// Where the proof and its statement go
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Wait so many seconds for it
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    wait: u64,
    /// The model file [default: the weather model that this binary carries]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// The verification key, as for `order`
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

/// Arguments of `work`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  proofmesh wrap set-up --hiding                 a DEVELOPMENT key; proofmesh up --verifier takes its .key.check
  proofmesh wrap work rig --least 0.05
  proofmesh wrap work rig --jobs 1               one job, then the end

The first time the node wraps a statement under the coordinator's challenge: it is drawn for what it has shown that it can.")]
pub struct Work {
    /// Name of the node: its keys are NAME.account and NAME.device
    name: String,
    /// The model file [default: the weather model that this binary carries]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// The proving key [default: DIR/wrap/CIRCUIT.key, of the circuit of proofs that hide]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// SHA-256 that the key must have, for one that came from others
    #[arg(long, value_name = "HEX")]
    key_hash: Option<String>,
    /// Dollars below which it is drawn for no job
    #[arg(long, default_value = "0.05", value_name = "USD")]
    least: String,
    /// Jobs for any node, so many at a time: each wants to be done within an hour
    #[arg(long, default_value_t = 4, value_name = "JOBS")]
    open: u16,
    /// End after so many jobs
    #[arg(long, value_name = "JOBS")]
    jobs: Option<usize>,
}

#[derive(Serialize)]
struct OrderedDoc {
    job: Hash32,
    status: String,
    /// Bytes that were handed over.
    proof_bytes: usize,
    states: Vec<String>,
}

#[derive(Serialize)]
struct CollectedDoc {
    wrapped: PathBuf,
    kind: &'static str,
    public_input: String,
    states: Vec<String>,
}

#[derive(Serialize)]
struct WrappedJobDoc {
    job: Hash32,
    receipt: Hash32,
    status: String,
    share: proofmesh_market::Usd,
    seconds: f64,
}

/// The verification key to order under: where it is from, its circuit's digest and kind, the key.
fn check_key(
    path: Option<&Path>,
    program: &Program,
    context: &Context,
) -> Result<(Origin, [u8; 32], bool, VerifyingKey)> {
    let path = match path {
        Some(path) => path.to_owned(),
        None => check_path(&wrapped::key_path(&context.dir, &wrapped::blank_hired(program, 1)?.digest())),
    };
    if !path.exists() {
        let expected = "the verification key of the contract, --key FILE (whoever ran `proofmesh wrap set-up --hiding` has it)";
        return Err(Fault::misuse("wrap.no-key", expected, path.display()));
    }
    let (origin, circuit, key) = read_check(&path)?;
    Ok((origin, circuit, wrapped::is_hired(program, 1, &circuit)?, key))
}

/// Posts a job.
pub async fn order(args: Order, context: &Context) -> Result<()> {
    let client = context.client()?;
    let model = model_at(args.model.as_deref())?;
    let (_, _, _, key) = check_key(args.key.as_deref(), &model.program, context)?;
    let (statement, proof) = match (&args.hidden, &args.input) {
        (Some(path), _) => {
            let (statement, proof) = HiddenDoc::read(path, &model.program)?;
            (statement, Some(proof))
        }
        (None, Some(_)) if !model.program.input.private_elements().is_empty() => {
            let expected = "what `proofmesh wrap hide` wrote: this model's input is private";
            return Err(Fault::misuse("wrap.private-input", expected, "--input"));
        }
        (None, Some(input)) => {
            let state = |job: &proofmesh_prover::Job<'_>, _: &mut rand::rngs::StdRng| {
                let (statement, ..) = proofmesh_prover::state(job)
                    .map_err(|error| Fault::refused("wrap.input", "an input of the model", error))?;
                Ok(statement)
            };
            (with_job((args.model.as_deref(), input), &args.inputs, state)?, None)
        }
        (None, None) => return Err(Fault::misuse("wrap.input", "a proof that hides, or --input", "neither")),
    };
    let devices: Vec<Device> = args.to.iter().map(|text| parse(text, "device")).collect::<Result<_>>()?;
    let buyer = Keys::open(&context.dir.join("keys"))?.account(&args.buyer)?;
    let (proof_bytes, states) = (proof.as_ref().map_or(0, Vec::len), statement.sentences());
    let wanted = Wanted {
        statement,
        proof,
        key: name_of(&key),
        price: dollars(&args.price)?,
        open_s: 3_600 * args.open,
        devices,
    };
    let job = hire::order(&client, &buyer, wanted).await?;
    let doc = OrderedDoc { job, status: client.job(&job).await?.status, proof_bytes, states };
    if doc.status == "open" {
        context.tell("no node that wraps was there when the job was posted: it waits for none that comes later, and the price comes back at its deadline");
    }
    context.print(&doc, || {
        let states = doc.states.iter().map(|said| format!("\nstates  {said}")).collect::<String>();
        format!("job     {}\nstatus  {}\nhanded  {} bytes{states}", doc.job, doc.status, doc.proof_bytes)
    })
}

/// Fetches and checks what came of a job.
pub async fn collect(args: Collect, context: &Context) -> Result<()> {
    let (client, job) = (context.client()?, parse(&args.job, "job")?);
    let model = model_at(args.model.as_deref())?;
    let (origin, circuit, hiding, key) = check_key(args.key.as_deref(), &model.program, context)?;
    let progress = working("waiting for the wrap");
    let until = Instant::now() + Duration::from_secs(args.wait);
    let (statement, proof) = loop {
        if let Some(found) = hire::collect(&client, &model, &job, &key).await? {
            break found;
        }
        if Instant::now() >= until {
            let expected = "an accepted receipt (--wait SECONDS, `proofmesh job show`)";
            return Err(Fault::refused("wrap.not-wrapped", expected, "none yet"));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    };
    progress.finish_and_clear();
    let wrapped = Wrapped::of(statement, proof)?;
    WrappedDoc::of(&wrapped, (&circuit, hiding), &origin).write(&args.out)?;
    let doc = CollectedDoc {
        wrapped: args.out,
        kind: wrapped::kind(hiding),
        public_input: hex::encode(wrapped.public_input),
        states: wrapped.statement.sentences(),
    };
    context.print(&doc, || {
        let mut lines: Vec<String> = doc.states.iter().map(|said| format!("states    {said}")).collect();
        lines.push(format!("proof     {PROOF_BYTES} bytes, checked; public input {}", doc.public_input));
        lines.push(format!("kind      {}\nwritten   {}", doc.kind, doc.wrapped.display()));
        lines.join("\n")
    })
}

/// Works until interrupted, or for as many jobs as were said.
pub async fn work(args: Work, context: &Context) -> Result<()> {
    let client = context.client()?;
    let model = model_at(args.model.as_deref())?;
    let expected = args.key_hash.as_deref().map(|text| super::bytes32(text, "key-hash")).transpose()?;
    let path = match args.key {
        Some(path) => path,
        None => wrapped::key_path(&context.dir, &wrapped::blank_hired(&model.program, 1)?.digest()),
    };
    if !path.exists() {
        let expected = "`proofmesh wrap set-up --hiding` first, or --key";
        return Err(Fault::misuse("wrap.no-key", expected, path.display()));
    }
    let progress = working("reading the key");
    let key = tokio::task::block_in_place(|| wrapped::open_any(&path, expected.as_ref()))?;
    let mut watch = |stage: &'static str| progress.set_message(stage);
    let who = (context.dir.as_path(), args.name.as_str());
    let wrapper =
        Wrapper::join(client, who, (model, key), (dollars(&args.least)?, args.open), &mut watch).await?;
    let (account, device) = wrapper.who();
    progress.suspend(|| context.tell(&format!("ready as {account} with {device}; Ctrl-C stops")));
    let (mut done, mut declined) = (Vec::new(), BTreeSet::new());
    let most = args.jobs.unwrap_or(usize::MAX);
    while done.len() < most {
        progress.set_message("waiting for jobs");
        let found = tokio::select! {
            () = up::interrupted() => break,
            found = wrapper.assigned() => found,
        };
        let jobs = match found {
            Ok(jobs) => jobs,
            Err(fault) => {
                progress.suspend(|| context.tell(&format!("tried again: {fault}")));
                Vec::new()
            }
        };
        let jobs: Vec<_> = jobs.into_iter().filter(|job| !declined.contains(&job.id)).collect();
        for job in jobs.into_iter().take(most - done.len()) {
            let began = Instant::now();
            match wrapper.work(&job, &mut |stage| progress.set_message(stage)).await {
                Ok(delivered) => {
                    let receipt = delivered.receipt;
                    let text = format!("job {}: {}, {} USD", job.id, receipt.status, receipt.share);
                    progress.suspend(|| context.tell(&text));
                    done.push(WrappedJobDoc {
                        job: job.id,
                        receipt: receipt.digest,
                        status: receipt.status,
                        share: receipt.share,
                        seconds: began.elapsed().as_secs_f64(),
                    });
                }
                Err(fault) => {
                    progress.suspend(|| context.tell(&format!("job {} left out: {fault}", job.id)));
                    if fault.kind == crate::fault::Kind::Refused {
                        declined.insert(job.id);
                    }
                }
            }
        }
        if done.len() < most {
            tokio::select! {
                () = up::interrupted() => break,
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
    }
    progress.finish_and_clear();
    context.print(&done, || format!("{} jobs wrapped by {account}", done.len()))
}
