//! `proofmesh receipt`: see a receipt, or check it as a stranger would.

use crate::audit::verify_receipt;
use crate::fault::{Fault, Result};
use crate::out::Context;
use crate::weather::date;
use crate::wire::ReceiptDoc;
use proofmesh_market::receipt::WIRE_BYTES_MAX;
use proofmesh_market::{Hash32, SignedReceipt};
use serde::Serialize;
use std::path::PathBuf;

/// Subcommands.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// A receipt and what became of it
    Show {
        /// Its digest
        digest: String,
    },
    /// Check signatures, evidence and proof again, with everything fetched and nothing believed
    #[command(after_help = "Examples:
  proofmesh receipt verify 0x...
  proofmesh receipt verify --file receipt.bin")]
    Verify {
        /// Its digest
        digest: Option<String>,
        /// Its wire form, as bytes
        #[arg(long, conflicts_with = "digest")]
        file: Option<PathBuf>,
    },
}

#[derive(Serialize)]
struct VerifiedDoc {
    digest: Hash32,
    units: u64,
    output: Vec<i32>,
}

/// Runs.
pub async fn run(command: Command, context: &Context) -> Result<()> {
    match command {
        Command::Show { digest } => {
            let doc = context.client()?.receipt(&super::parse(&digest, "receipt")?).await?;
            context.print(&doc, || describe(&doc))
        }
        Command::Verify { digest, file } => {
            let read = |path: PathBuf| {
                SignedReceipt::decode(&super::read_file(&path, WIRE_BYTES_MAX)?).map_err(Fault::from)
            };
            let from_file = file.map(read).transpose()?;
            let client = context.client()?;
            let signed = match (digest, from_file) {
                (_, Some(signed)) => signed,
                (Some(digest), None) => {
                    let digest: Hash32 = super::parse(&digest, "receipt")?;
                    let signed = SignedReceipt::decode(&client.receipt(&digest).await?.wire.0)?;
                    let found = signed.receipt.digest(&client.status().await?.domain);
                    if found != digest {
                        return Err(Fault::refused("receipt.another", digest, found));
                    }
                    signed
                }
                (None, None) => return Err(Fault::misuse("receipt.which", "a digest or --file", "neither")),
            };
            let units = verify_receipt(&client, &signed).await?;
            let digest = signed.receipt.digest(&client.status().await?.domain);
            let doc = VerifiedDoc { digest, units, output: signed.output_words() };
            context.print(&doc, || {
                format!("{}\nholds: {} units, output {:?}", doc.digest, doc.units, doc.output)
            })
        }
    }
}

fn describe(doc: &ReceiptDoc) -> String {
    let why = doc.reason.as_ref().map_or("-".to_owned(), |reason| {
        format!("{}: expected {}, got {}", reason.name, reason.expected, reason.got)
    });
    let lines = [
        format!("receipt   {}", doc.digest),
        format!("status    {}", doc.status),
        format!("refused   {why}"),
        format!("day       {}", date(doc.window_start_s)),
        format!("output    {:?}", doc.output),
        format!("pays      {} USD to the node, {} USD fee", doc.share, doc.fee),
        format!("epoch     {}", doc.epoch.map_or("-".to_owned(), |epoch| epoch.to_string())),
        format!("job       {}", doc.job),
        format!("node      {} (its receipt {})", doc.node, doc.sequence),
        format!("device    {}", doc.device),
        format!("evidence  {}", doc.evidence),
    ];
    lines.join("\n")
}
