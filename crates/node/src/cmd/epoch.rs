//! `proofmesh epoch`: see epochs, close one.

use crate::fault::Result;
use crate::out::Context;
use crate::wire::EpochDoc;

/// Subcommands.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// An epoch, or all
    Show {
        /// Its number
        number: Option<u64>,
    },
    /// Close an epoch and post its roots
    #[command(after_help = "Example:\n  proofmesh epoch close --pass-window && proofmesh claim ewr")]
    Close {
        /// Then let the challenge window pass (development chains)
        #[arg(long)]
        pass_window: bool,
        /// A receipt that nobody proved when the chain asked, and that cost the bond: post it all the same
        #[arg(long, value_name = "RECEIPT")]
        again: Option<String>,
    },
}

/// Runs.
pub async fn run(command: Command, context: &Context) -> Result<()> {
    let client = context.client()?;
    match command {
        Command::Show { number: Some(number) } => {
            let doc = client.epoch(number).await?;
            context.print(&doc, || describe(&doc))
        }
        Command::Show { number: None } => {
            let mut docs = Vec::new();
            for number in 1..=client.status().await?.epochs {
                docs.push(client.epoch(number).await?);
            }
            context.print(&docs, || docs.iter().map(describe).collect::<Vec<_>>().join("\n\n"))
        }
        Command::Close { pass_window, again } => {
            let doc = match again {
                Some(receipt) => client.close_epoch_again(&super::parse(&receipt, "receipt")?).await?,
                None => client.close_epoch().await?,
            };
            if pass_window {
                client.pass_time(client.status().await?.deployment.params.challenge_window_s).await?;
            }
            context.print(&doc, || {
                format!(
                    "epoch {}: {} receipts, {} USD in all, {} gas",
                    doc.epoch.number, doc.receipts, doc.epoch.total, doc.gas
                )
            })
        }
    }
}

fn describe(doc: &EpochDoc) -> String {
    let mut lines = vec![
        format!("epoch     {}", doc.epoch.number),
        format!("balances  {}", doc.epoch.balances_root),
        format!("receipts  {} ({})", doc.epoch.receipts_root, doc.receipts.len()),
        format!("log       {}", doc.epoch.log_hash),
        format!("total     {} USD", doc.epoch.total),
        format!("posted    {}", doc.posted.map_or("not yet".to_owned(), |at| at.tx.to_string())),
    ];
    lines.extend(doc.balances.iter().map(|(account, usd)| format!("  {account}  {usd} USD")));
    lines.join("\n")
}
