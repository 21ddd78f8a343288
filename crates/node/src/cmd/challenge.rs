//! `proofmesh challenge`: demand on chain that the poster proves a receipt; answer such a demand; end it.

use crate::challenge::{Published, Won, Wrong, answer, defend, open, resolve, wrong};
use crate::client::Client;
use crate::engine::keys::Keys;
use crate::fault::{Kind, Result};
use crate::onchain::evidence;
use crate::out::Context;
use crate::wire::ReasonDoc;
use proofmesh_market::{Hash32, SignedReceipt};
use proofmesh_settle::{Settlement, Signer};
use serde::Serialize;
use std::path::PathBuf;

/// Subcommands.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Check every receipt of the epochs that are not final yet; with --by, demand on chain a proof of those that are worth nothing
    #[command(after_help = "Examples:
  proofmesh challenge find                 looks only
  proofmesh challenge find --by auditor    puts the challenge bond of that account on every wrong receipt")]
    Find {
        /// Name of the account that challenges
        #[arg(long, value_name = "NAME")]
        by: Option<String>,
        /// Final epochs too, which cannot be challenged any more
        #[arg(long)]
        all: bool,
    },
    /// Answer a challenge with the receipt's wrapped proof: the challenger's bond goes to the poster
    #[command(after_help = "Examples:
  proofmesh challenge answer 3 0xRECEIPT                       wraps the receipt's own evidence by the key of `wrap set-up --hiding`
  proofmesh challenge answer 3 0xRECEIPT --proof day.wrapped   with a proof that its node, or a stranger, wrapped

`proofmesh up` answers by itself where its directory has the key.")]
    Answer {
        /// The epoch
        epoch: u64,
        /// Digest of the receipt
        receipt: String,
        /// The wrapped proof: what `node wrap`, `wrap prove` or `wrap collect` wrote; without it the receipt's evidence is wrapped here
        #[arg(long, value_name = "FILE")]
        proof: Option<PathBuf>,
        /// Name of the account that sends it
        #[arg(long, default_value = "poster", value_name = "NAME")]
        by: String,
    },
    /// End a challenge whose time is over: strikes the epoch and takes the poster's bond
    Resolve {
        /// The epoch
        epoch: u64,
        /// Digest of the receipt
        receipt: String,
        /// Name of the account that sends it
        #[arg(long, default_value = "auditor", value_name = "NAME")]
        by: String,
    },
}

#[derive(Serialize)]
struct FoundDoc {
    /// Epochs that were looked at.
    epochs: Vec<u64>,
    /// Receipts that were checked.
    receipts: usize,
    /// Those that are worth nothing.
    wrong: Vec<Wrong>,
    /// What became of each challenge, in the order of `wrong`; none without --by.
    challenged: Vec<ChallengedDoc>,
    /// Seconds that the poster has to answer, for each challenge that is open.
    response_s: u64,
}

/// A challenge on chain, or why the contract refused it: a model without a verifier, say, whose receipts cannot be demanded.
#[derive(Serialize)]
struct ChallengedDoc {
    gas: Option<u64>,
    refused: Option<ReasonDoc>,
}

#[derive(Serialize)]
struct EndDoc {
    epoch: u64,
    receipt: Hash32,
    gas: u64,
    won: Option<Won>,
}

/// Runs.
pub async fn run(command: Command, context: &Context) -> Result<()> {
    let client = context.client()?;
    let settlement = client.settlement().await?;
    let keys = Keys::open(&context.dir.join("keys"))?;
    match command {
        Command::Find { by, all } => {
            let by = by.map(|name| keys.account(&name)).transpose()?;
            let doc = find(&client, &*settlement, by.as_ref().map(Signer::new).as_ref(), all).await?;
            context.print(&doc, || describe(&doc))
        }
        Command::Answer { epoch, receipt, proof, by } => {
            let digest: Hash32 = super::parse(&receipt, "receipt")?;
            let signed = SignedReceipt::decode(&client.receipt(&digest).await?.wire.0)?;
            let by = Signer::new(&keys.account(&by)?);
            let gas = match proof {
                Some(path) => {
                    let proof = super::wrap::document::read_proof(&path)?;
                    let evidence = evidence(&client, signed, proof).await?;
                    answer(&*settlement, &by, epoch, &evidence).await?
                }
                None => {
                    let mut watch = |stage: &'static str| context.tell(stage);
                    let of = (epoch, signed);
                    defend(&client, &*settlement, &by, of, &context.dir, &mut watch).await?
                }
            };
            let doc = EndDoc { epoch, receipt: digest, gas, won: None };
            context
                .print(&doc, || format!("answered, {} gas: the challenger's bond is the poster's", doc.gas))
        }
        Command::Resolve { epoch, receipt, by } => {
            let digest: Hash32 = super::parse(&receipt, "receipt")?;
            let won = resolve(&*settlement, &Signer::new(&keys.account(&by)?), epoch, digest).await?;
            let doc = EndDoc { epoch, receipt: digest, gas: won.gas, won: Some(won) };
            context.print(&doc, || {
                format!(
                    "epoch {epoch} is struck: the poster lost {} USD, {by} received {} USD",
                    won.lost, won.received
                )
            })
        }
    }
}

async fn find(
    client: &Client,
    settlement: &dyn Settlement,
    by: Option<&Signer>,
    all: bool,
) -> Result<FoundDoc> {
    let first = if all { 1 } else { settlement.final_epoch().await? + 1 };
    let params = &settlement.deployment().params;
    let mut doc = FoundDoc {
        epochs: (first..=settlement.latest_epoch().await?).collect(),
        receipts: 0,
        wrong: Vec::new(),
        challenged: Vec::new(),
        response_s: params.response_time_s,
    };
    for epoch in &doc.epochs {
        let published = Published::of(client, *epoch).await?;
        doc.receipts += published.receipts.len();
        for found in wrong(client, settlement, &published).await? {
            if let Some(by) = by {
                match client.faucet(by.account(), params.challenge_bond).await {
                    Err(fault) if fault.is("chain.not-development") => {} // its own money, then
                    minted => drop(minted?),
                }
                doc.challenged.push(
                    match open(settlement, by, found.epoch, &found.receipt.receipt, &found.path).await {
                        Ok(done) => ChallengedDoc { gas: Some(done.gas()), refused: None },
                        Err(fault) if fault.kind == Kind::Refused => {
                            ChallengedDoc { gas: None, refused: Some(fault.into()) }
                        }
                        Err(fault) => return Err(fault),
                    },
                );
            }
            doc.wrong.push(found);
        }
    }
    Ok(doc)
}

fn describe(doc: &FoundDoc) -> String {
    let mut lines = vec![format!(
        "{} receipts of epochs {:?} checked, {} wrong",
        doc.receipts,
        doc.epochs,
        doc.wrong.len()
    )];
    for (at, wrong) in doc.wrong.iter().enumerate() {
        lines.push(format!(
            "epoch {}  {}  {}: {}",
            wrong.epoch, wrong.digest, wrong.reason.name, wrong.reason.got
        ));
        match doc.challenged.get(at) {
            Some(ChallengedDoc { gas: Some(gas), .. }) => lines.push(format!(
                "  challenged, {gas} gas; {} s for each open challenge to answer, then: proofmesh challenge resolve",
                doc.response_s
            )),
            Some(ChallengedDoc { refused: Some(reason), .. }) => {
                lines.push(format!("  not challenged, {}: {}; a veto is left", reason.name, reason.got));
            }
            _ => {}
        }
    }
    lines.join("\n")
}
