//! `proofmesh audit`: recompute everything.

use crate::audit::{AuditDoc, of_dir, of_url};
use crate::fault::Result;
use crate::out::Context;

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  proofmesh audit --dir DIR                    the directory of a coordinator that is not running
  proofmesh audit --url http://127.0.0.1:7166  a running one, over its API, as anybody may

Exit code 1 names the first difference between what was claimed and what follows from log, evidence
and chain.")]
pub struct Args {
    /// The directory's files, even if a coordinator was started there
    #[arg(long)]
    offline: bool,
}

/// Runs.
pub async fn run(args: Args, context: &Context) -> Result<()> {
    let doc = match context.client() {
        Ok(client) if !args.offline && client.status().await.is_ok() => of_url(&client).await?,
        _ if context.url.is_some() => of_url(&context.client()?).await?,
        _ => of_dir(&context.dir).await?,
    };
    context.print(&doc, || describe(&doc))
}

/// For people.
pub(crate) fn describe(doc: &AuditDoc) -> String {
    let mut lines = vec![
        format!("log       {} events, head {}", doc.events, doc.log_hash),
        format!(
            "receipts  {}, of them {} verdicts checked again with their evidence",
            doc.receipts, doc.verdicts
        ),
        format!("epochs    {} on chain, all equal; {} not posted yet", doc.epochs, doc.unposted),
        format!(
            "money     {} USD deposited, {} USD claimed, conserved after every event",
            doc.deposited, doc.claimed
        ),
        "no difference".to_owned(),
    ];
    if let Some(guards) = &doc.guards {
        let text = format!(
            "guards    {} rounds of the beacon drawn again, {} votes of panels, {} times a node was caught",
            guards.rounds, guards.votes, guards.caught
        );
        lines.insert(lines.len() - 1, text);
    }
    if doc.torn_bytes > 0 {
        lines.insert(
            1,
            format!("          and {} bytes of an unfinished record, never acknowledged", doc.torn_bytes),
        );
    }
    lines.join("\n")
}
