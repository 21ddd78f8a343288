//! `proofmesh demo`: the whole story with one command.

use super::up::{go_on, interrupted};
use crate::demo::{Plan, Proof, tell};
use crate::fault::Result;
use crate::out::Context;
use tokio::task::JoinSet;

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  proofmesh demo                       January 2013, in a directory that is removed afterwards
  proofmesh demo --days 25 --keep      what it left behind can be looked at: log, proofs, chain
  proofmesh demo --json                one document
  proofmesh demo --days 2 --chain http://127.0.0.1:8545
                                       on another EVM chain, such as an anvil started with a timestamp before 2013
  proofmesh demo --proof onchain --days 23
                                       no trusted poster: the contract checks the proofs itself (minutes, gigabytes; the
                                       DEVELOPMENT key that is made once stays in --dir, or .proofmesh)
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
    /// What pays the farmer: settled receipts that can be challenged, or Groth16 proofs that the contract checks
    #[arg(long, value_enum, default_value = "challenge")]
    proof: Proof,
    /// A development chain to settle on, instead of the embedded one
    #[arg(long, value_name = "URL")]
    chain: Option<String>,
}

/// Runs.
pub async fn run(args: Args, context: &Context) -> Result<()> {
    let Args { days, keep, open, chain, proof } = args;
    let (dir, keys) = (context.chosen_dir.clone(), context.dir.clone());
    let plan = Plan { days, keep, dir, open, chain, proof, keys };
    let told = tell(&plan, context).await?;
    context.print(&told.doc, || crate::demo::table(&told.doc))?;
    if open {
        let mut nodes = JoinSet::new();
        for worker in told.workers() {
            go_on(&mut nodes, worker.clone(), context);
        }
        context.tell("the network stays up: buy a day, set limits, check a receipt");
        context.tell(&format!("page        {}\nCtrl-C stops", told.page()));
        interrupted().await;
    }
    Ok(())
}
