//! `proofmesh demo`: the whole story with one command.

use super::up::{go_on, interrupted};
use crate::demo::{Plan, tell};
use crate::fault::Result;
use crate::out::Context;

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  proofmesh demo                       January 2013, in a directory that is removed afterwards
  proofmesh demo --days 25 --keep      what it left behind can be looked at: log, proofs, chain
  proofmesh demo --json                one document
  proofmesh demo --open                watch it in a browser; the network stays up afterwards, until Ctrl-C

Three weather stations replay real readings of January 2013 through the path that a live device uses.
Two are honest; LGA's device lies on some days. Every day is proved in zero knowledge, checked, settled on
an embedded chain; a contract pays a farmer for frost.")]
pub struct Args {
    /// Days of January 2013
    #[arg(long, default_value_t = 31, value_parser = clap::value_parser!(u64).range(1..=31))]
    days: u64,
    /// Keep the directory
    #[arg(long)]
    keep: bool,
    /// Show the page in a browser; keep the network up after the story
    #[arg(long)]
    open: bool,
}

/// Runs.
pub async fn run(args: Args, context: &Context) -> Result<()> {
    let plan = Plan { days: args.days, keep: args.keep, dir: context.chosen_dir.clone(), open: args.open };
    let told = tell(&plan, context).await?;
    context.print(&told.doc, || crate::demo::table(&told.doc))?;
    if args.open {
        for worker in told.workers()? {
            go_on(worker, context);
        }
        context.tell("the network stays up: buy a day, set limits, check a receipt");
        context.tell(&format!("page        {}\nCtrl-C stops", told.page()));
        interrupted().await;
    }
    Ok(())
}
