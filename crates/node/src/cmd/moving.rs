//! `proofmesh move`: a coordinator's state to other engines.

use crate::client::Client;
use crate::engine::moving::{Moving, PAGE};
use crate::engine::place::{self, Engines, Ground};
use crate::fault::Result;
use crate::out::Context;
use crate::wire::{MoveDoc, MovedDoc};
use std::time::Duration;

/// How long between questions whether a move that takes long is done.
const AGAIN: Duration = Duration::from_secs(1);

/// What says that no coordinator of this directory runs.
const NOBODY: [&str; 5] = ["api.no-coordinator", "api.unreachable", "api.answer", "api.path", "owner.key"];

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  proofmesh move --state postgres://proofmesh@127.0.0.1/market
  proofmesh move --blobs \"s3://evidence/market?endpoint=http://127.0.0.1:9000\"
  proofmesh move --state embedded --blobs embedded          and back

The coordinator of the directory may run or not. If it runs, it needs the servers' passwords in its own environment, and receipts wait
for the last records only. What is left behind stays as it is; a database that was moved from takes nothing more.")]
pub struct Args {
    /// Where the journal shall be
    #[arg(long, value_name = "URL", required_unless_present = "blobs")]
    state: Option<String>,
    /// Where the evidence shall be
    #[arg(long, value_name = "URL")]
    blobs: Option<String>,
}

/// Runs.
pub async fn run(args: Args, context: &Context) -> Result<()> {
    let wanted = MoveDoc { state: args.state, blobs: args.blobs };
    let asked = match context.client() {
        Ok(client) => until_moved(&client, &wanted).await,
        Err(fault) => Err(fault),
    };
    let doc = match asked {
        // Nobody there, or a stranger: then it does not run, which its journal's lock says for certain.
        Err(fault) if NOBODY.iter().any(|name| fault.is(name)) => {
            tokio::task::block_in_place(|| still(&wanted, context))?
        }
        asked => asked?,
    };
    context.print(&doc, || {
        format!("journal   {}\nevidence  {}\nwaited    {:.0} ms", doc.state, doc.blobs, doc.waited_ms)
    })
}

/// Asks the coordinator, again if it takes longer than an answer may.
async fn until_moved(client: &Client, wanted: &MoveDoc) -> Result<MovedDoc> {
    loop {
        match client.move_to(wanted).await {
            Err(fault) if fault.is("api.timeout") || fault.is("move.running") => {
                tokio::time::sleep(AGAIN).await
            }
            done => return done,
        }
    }
}

/// Moves the state of a coordinator that does not run.
fn still(wanted: &MoveDoc, context: &Context) -> Result<MovedDoc> {
    let Ground { opened, blobs } = place::open(&context.dir, &Engines::default())?;
    let mut journal = opened.journal;
    if let Some(mut moving) = Moving::begin(&context.dir, &wanted.engines())? {
        for records in opened.records.chunks(PAGE) {
            moving.page(records, &*blobs)?;
        }
        moving.finish(&context.dir, &mut journal)?;
    }
    MovedDoc::of(&context.dir, 0.0)
}
