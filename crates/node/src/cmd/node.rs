//! `proofmesh node`: an operator node with one replaying station.

use crate::fault::{Fault, Kind, Result};
use crate::operator::{DayDoc, Operator, require_fit, windows};
use crate::out::{Context, bar, median};
use crate::weather::{airports, station};
use crate::wire::{JobDoc, NodeDoc};
use proofmesh_market::{Address, Device};
use proofmesh_services::inference::Terms;
use proofmesh_services::reference::{ReferenceTable, References};
use serde::Serialize;
use std::collections::BTreeSet;
use std::time::Duration;

/// Subcommands.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Join the market, then prove every day of the jobs that this node was drawn for
    #[command(after_help = "\
Examples:
  proofmesh node run ewr --station EWR
  proofmesh node run lga --station LGA --show 2013-01-23=tampered --show 2013-01-24=stuck
  proofmesh node run ewr --station EWR --join-only        then: proofmesh job post --device ewr

The device replays the airport's recording: signed, numbered, chained readings, as a live one would send
them. Readings never leave the node; a receipt carries a salted commitment, the proof, and what the model
said.")]
    Run(RunArgs),
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
        Command::Run(args) => work(args, context).await,
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

async fn work(args: RunArgs, context: &Context) -> Result<()> {
    let client = context.client()?;
    let number = station(&args.station)?;
    let mut recording = airports()[number].clone();
    for text in &args.show {
        super::device::show(&mut recording, number, text)?;
    }
    let status = client.status().await?;
    let mut operator = Operator::new(client.clone(), &context.dir, &args.name, number, recording).await?;
    operator.join(status.rules.min_stake).await?;
    for model in &status.models {
        operator.be_measured(&client.model(model).await?).await?;
    }
    context.tell(&format!("joined as {} with {}", operator.account(), operator.device().device()));
    if let Some(delivered) = operator.resume().await? {
        context.tell(&format!("handed in {}, signed by an earlier run", delivered.receipt.digest));
    }
    let mut days = Vec::new();
    if !args.join_only {
        for job in assigned(&client, &operator, args.wait).await? {
            match one_job(&client, &mut operator, &job, args.days, context).await {
                // A job that asks for what cannot be had is its buyer's problem, not the end of this node's work.
                Err(fault) if fault.kind == Kind::Refused => {
                    context.tell(&format!("job {} left out: {}", job.id, fault.name));
                }
                done => days.extend(done?),
            }
        }
    }
    let node = client.node(&operator.account()).await?;
    let doc = RunDoc { account: operator.account(), device: operator.device().device(), node, days };
    context.print(&doc, || summary(&doc))
}

/// Jobs that this node was drawn for, waited for if there are none.
async fn assigned(client: &crate::client::Client, operator: &Operator, wait_s: u64) -> Result<Vec<JobDoc>> {
    for _ in 0..=wait_s {
        let mine = |job: &JobDoc| job.status == "assigned" && job.nodes.contains(&operator.account());
        let jobs: Vec<JobDoc> = client.jobs().await?.into_iter().filter(mine).collect();
        if !jobs.is_empty() {
            return Ok(jobs);
        }
        if wait_s > 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
    Err(Fault::refused("node.no-job", "a job that this node was drawn for (`proofmesh job post`)", "none"))
}

async fn one_job(
    client: &crate::client::Client,
    operator: &mut Operator,
    job: &JobDoc,
    most: Option<usize>,
    context: &Context,
) -> Result<Vec<DayDoc>> {
    require_fit(&job.job)?;
    let model = client.model(&job.job.model).await?;
    let feed: Option<ReferenceTable> = match Terms::decode(&job.job.terms).ok().and_then(|terms| terms.feed) {
        Some(feed) => Some(client.feed(&feed).await?),
        None => None,
    };
    let done: BTreeSet<u64> =
        client.receipts_of(&job.id).await?.iter().map(|doc| doc.window_start_s).collect();
    let todo: Vec<u64> = windows(&job.job).into_iter().filter(|start_s| !done.contains(start_s)).collect();
    let todo = &todo[..most.unwrap_or(usize::MAX).min(todo.len())];
    // The device's stream starts with the job, however often the node does.
    for start_s in windows(&job.job).into_iter().take_while(|start_s| Some(start_s) != todo.first()) {
        operator.hear(start_s)?;
    }
    let bar = bar(todo.len() as u64);
    let mut days = Vec::new();
    for start_s in todo {
        let device = operator.device().device();
        let public = match &feed {
            Some(feed) => feed.reference(&feed.commitment(), &device, *start_s).map(<[i32]>::to_vec),
            None => Some(Vec::new()),
        };
        let day = operator.work(&model, &job.id, &job.job, public.as_deref(), *start_s).await?;
        if let Some(reason) = &day.reason {
            context.tell(&format!("{} {} {}: {}", day.station, day.date, day.outcome, reason.name));
        }
        bar.set_message(format!("{} {}", day.station, day.date));
        bar.inc(1);
        let spent = day.reason.as_ref().is_some_and(|reason| reason.name == "receipt.cap-reached");
        days.push(day);
        if spent {
            break;
        }
    }
    bar.finish_and_clear();
    Ok(days)
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
