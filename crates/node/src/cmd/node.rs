//! `proofmesh node`: an operator node with one replaying station.

use crate::client::Client;
use crate::engine::keys::Keys;
use crate::engine::nats::offers_at;
use crate::fault::{Fault, Result};
use crate::onchain::public_words;
use crate::operator::{DayDoc, windows};
use crate::out::{Context, bar, median};
use crate::time::Time;
use crate::weather::{airports, station};
use crate::wire::{JobDoc, NodeDoc};
use crate::work::{Heard, Worker};
use futures_util::stream::{self, BoxStream, StreamExt};
use indicatif::ProgressBar;
use proofmesh_market::{Address, Device, Hash32, SignedReceipt};
use serde::Serialize;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How often a node looks for a job.
const EVERY: Duration = Duration::from_secs(1);
/// The same for one that offers wake: one may be lost.
const SELDOM: Duration = Duration::from_secs(30);

/// Subcommands.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Join the market, then prove every day of the jobs that this node was drawn for
    #[command(after_help = "\
Examples:
  proofmesh node run ewr --station EWR
  proofmesh node run lga --station LGA --show 2013-01-23=tampered --show 2013-01-24=stuck
  proofmesh node run ewr --station EWR --join-only        then: proofmesh job post --device ewr
  proofmesh node run ewr --station EWR --wait 3600 --bus nats://127.0.0.1:4222
                                                          woken by the coordinator's offers (`up --bus`)

The device replays the airport's recording: signed, numbered, chained readings, as a live one would send
them. Readings never leave the node; a receipt carries a salted commitment, the proof, and what the model
said.")]
    Run(RunArgs),
    /// Wrap the proof of one of this node's receipts for a contract (minutes, gigabytes)
    #[command(after_help = "\
Example:
  proofmesh node wrap ewr 0x... --station EWR --out day.wrapped
  proofmesh cover deliver 0x... 0x... --proof day.wrapped        the cover pays without any epoch

The key is --dir's, wrap/CIRCUIT.key; without one a DEVELOPMENT key is made, which no contract of a market has.")]
    Wrap(WrapArgs),
    /// Prove one of this node's receipts again for a stranger to wrap: the proof hides the readings (seconds)
    #[command(after_help = "\
Example:
  proofmesh node hide ewr 0x... --station EWR --out day.hidden.json
  proofmesh wrap order day.hidden.json                            a node of the market wraps it; then wrap collect")]
    Hide(WrapArgs),
    /// Let a frozen node work again, once its time is over
    Thaw {
        /// Name of the node
        name: String,
    },
    /// A node as the market sees it
    Show {
        /// Its account
        account: String,
    },
}

/// Arguments of `node run`.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// Name of the node: its keys are NAME.account and NAME.device
    name: String,
    /// Station whose recording the device replays
    #[arg(long)]
    station: String,
    /// Show a manipulated day instead of the real one; may be repeated
    #[arg(long, value_name = "DATE=CLASS")]
    show: Vec<String>,
    /// Join, and do not work yet
    #[arg(long)]
    join_only: bool,
    /// Prove at most so many days
    #[arg(long, value_name = "DAYS")]
    days: Option<usize>,
    /// Wait so many seconds for a job
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    wait: u64,
    /// Be woken by offers of the coordinator's bus instead of looking every second
    #[arg(long, value_name = "nats://HOST:PORT/STREAM", requires = "wait")]
    bus: Option<String>,
}

/// Arguments of `node wrap` and `node hide`.
#[derive(Debug, clap::Args)]
pub struct WrapArgs {
    /// Name of the node
    name: String,
    /// Digest of the receipt
    receipt: String,
    /// Station whose recording the device replays
    #[arg(long)]
    station: String,
    /// Where the proof goes: 256 bytes of `wrap`, a document of `hide`
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Serialize)]
struct WrapDoc {
    receipt: Hash32,
    proof: PathBuf,
    seconds: f64,
}

#[derive(Serialize)]
struct RunDoc {
    account: Address,
    device: Device,
    node: NodeDoc,
    days: Vec<DayDoc>,
}

/// Runs.
pub async fn run(command: Command, context: &Context) -> Result<()> {
    match command {
        Command::Show { account } => {
            let doc = context.client()?.node(&super::parse(&account, "account")?).await?;
            context.print(&doc, || describe(&doc))
        }
        Command::Thaw { name } => {
            let (client, keys) = (context.client()?, Keys::open(&context.dir.join("keys"))?);
            if !keys.has_account(&name) {
                return Err(Fault::refused("node.unknown", "the name of a node of this directory", name));
            }
            let secret = keys.account(&name)?;
            crate::pledge::thaw(&client, &secret).await?;
            let doc = client.node(&secret.address()).await?;
            context.print(&doc, || describe(&doc))
        }
        Command::Run(args) => work(args, context).await,
        Command::Wrap(args) => wrap(args, false, context).await,
        Command::Hide(args) => wrap(args, true, context).await,
    }
}

fn describe(doc: &NodeDoc) -> String {
    let lines = [
        format!("node      {}", doc.node),
        format!("operator  {}", doc.operator),
        format!("stake     {} USD", doc.stake),
        format!("standing  {} ({} strikes)", doc.standing, doc.strikes),
        format!("receipts  {} (last {})", doc.next_sequence, doc.head),
    ];
    lines.join("\n")
}

/// A bar on the terminal, and what a person should know.
struct Bar<'a> {
    context: &'a Context,
    bar: ProgressBar,
}

impl Heard for Bar<'_> {
    fn job(&mut self, _job: &JobDoc, windows: usize) {
        self.bar.finish_and_clear();
        self.bar = bar(windows as u64);
    }

    fn day(&mut self, day: &DayDoc) {
        if let Some(reason) = &day.reason {
            self.tell(&format!("{} {} {}: {}", day.station, day.date, day.outcome, reason.name));
        }
        self.bar.set_message(format!("{} {}", day.station, day.date));
        self.bar.inc(1);
    }

    fn tell(&mut self, text: &str) {
        self.bar.suspend(|| self.context.tell(text));
    }
}

async fn wrap(args: WrapArgs, hide: bool, context: &Context) -> Result<()> {
    let (client, digest): (Client, Hash32) = (context.client()?, super::parse(&args.receipt, "receipt")?);
    let signed = SignedReceipt::decode(&client.receipt(&digest).await?.wire.0)?;
    let (job, start_s) = (client.job(&signed.receipt.job).await?, signed.receipt.window_start);
    let number = station(&args.station)?;
    let worker = Worker::new(client.clone(), &context.dir, &args.name, number, None, Time::system())?;
    let mut operator = worker.operator().await?;
    // The device's stream starts with the job.
    for window in windows(&job.job).into_iter().take_while(|window| *window <= start_s) {
        operator.hear(window)?;
    }
    let model = client.model(&signed.receipt.model).await?;
    let public = public_words(&client, &signed.receipt).await?;
    let began = Instant::now();
    if hide {
        let hidden = tokio::task::block_in_place(|| operator.hide(&model, &signed, &public))?;
        return super::wrap::write_hidden(&hidden.0, &hidden.1, &args.out, began, context);
    }
    let proof = tokio::task::block_in_place(|| {
        operator.wrap(&model, &crate::wrapped::key(&context.dir, &model.program, 1)?, &signed, &public)
    })?;
    super::write_file(&args.out, &proof)?;
    let doc = WrapDoc { receipt: digest, proof: args.out, seconds: began.elapsed().as_secs_f64() };
    context.print(&doc, || format!("wrapped in {:.0} s, {}", doc.seconds, doc.proof.display()))
}

async fn work(args: RunArgs, context: &Context) -> Result<()> {
    let client = context.client()?;
    let number = station(&args.station)?;
    let mut recording = airports()[number].clone();
    for text in &args.show {
        super::device::show(&mut recording, number, text)?;
    }
    let mut heard = Bar { context, bar: bar(0) };
    let worker = Worker::new(
        client.clone(),
        &context.dir,
        &args.name,
        number,
        Some(recording.into()),
        Time::system(),
    )?;
    let operator = worker.join(&mut heard).await?;
    let (account, device) = (operator.account(), operator.device().device());
    context.tell(&format!("joined as {account} with {device}"));
    let mut days = Vec::new();
    if !args.join_only {
        let wakes = match &args.bus {
            Some(url) => stream::select(offers_at(url, &account).await?.map(drop), ticks(SELDOM)).boxed(),
            None => ticks(EVERY),
        };
        let jobs = assigned(&client, &worker, &account, Duration::from_secs(args.wait), wakes).await?;
        days = worker.work(&jobs, args.days.unwrap_or(usize::MAX), &mut heard).await?;
    }
    heard.bar.finish_and_clear();
    let node = client.node(&account).await?;
    let doc = RunDoc { account, device, node, days };
    context.print(&doc, || summary(&doc))
}

fn ticks(every: Duration) -> BoxStream<'static, ()> {
    stream::unfold((), move |()| async move { Some((tokio::time::sleep(every).await, ())) }).boxed()
}

/// Jobs that this node was drawn for, waited for if there are none: looked at whenever `wakes`.
async fn assigned(
    client: &Client,
    worker: &Worker,
    account: &Address,
    wait: Duration,
    mut wakes: BoxStream<'static, ()>,
) -> Result<Vec<JobDoc>> {
    let until = tokio::time::Instant::now() + wait;
    loop {
        let jobs = worker.assigned(&client.node(account).await?).await?;
        if !jobs.is_empty() {
            return Ok(jobs);
        }
        if tokio::time::timeout_at(until, wakes.next()).await.is_err() {
            let expected = "a job that this node was drawn for (`proofmesh job post`)";
            return Err(Fault::refused("node.no-job", expected, "none"));
        }
    }
}

fn summary(doc: &RunDoc) -> String {
    let count = |outcome: &str| doc.days.iter().filter(|day| day.outcome == outcome).count();
    let proved: Vec<&DayDoc> = doc.days.iter().filter(|day| day.receipt.is_some()).collect();
    let middle = |of: fn(&DayDoc) -> f64| median(proved.iter().map(|day| of(day)).collect());
    format!(
        "{}\ndays      {} paid, {} refused, {} skipped\n\
         proof     {:.0} ms, {:.0} KiB, checked in {:.0} ms (medians)",
        describe(&doc.node),
        count("paid"),
        count("refused"),
        count("skipped"),
        middle(|day| day.prove_ms),
        middle(|day| day.proof_bytes as f64) / 1024.0,
        middle(|day| day.check_ms),
    )
}
