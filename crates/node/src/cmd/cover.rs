//! `proofmesh cover`: frost covers that a contract pays on proven days.

use crate::buyer::{CoverDoc, cover, open_cover, report};
use crate::engine::keys::Keys;
use crate::fault::{Fault, Result};
use crate::out::Context;
use crate::weather::{CELL, date, day_start_s, salt};
use proofmesh_market::Hash32;
use proofmesh_settle::{CoverTerms, Done};
use serde::Serialize;

/// Subcommands.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Open and fund a cover: it pays when enough stations proved a genuine day of frost
    #[command(after_help = "Example:
  proofmesh cover open --stations ewr,jfk,lga --from 2013-01-01 --days 31 --payout 50")]
    Open(OpenArgs),
    /// Hand a settled receipt to a cover; the last one needed makes the contract pay
    Report {
        /// Id of the cover
        id: String,
        /// Digest of the receipt
        receipt: String,
        /// Name of the account that calls
        #[arg(long, default_value = "farmer")]
        by: String,
    },
    /// Where a cover stands
    Status {
        /// Its id
        id: String,
    },
}

/// Arguments of `cover open`.
#[derive(Debug, clap::Args)]
pub struct OpenArgs {
    /// Name of the insurer's account
    #[arg(long, default_value = "insurer")]
    insurer: String,
    /// Name of the farmer's account
    #[arg(long, default_value = "farmer")]
    farmer: String,
    /// Names of three devices
    #[arg(long, value_delimiter = ',', value_name = "A,B,C")]
    stations: Vec<String>,
    /// First day
    #[arg(long, value_name = "DATE")]
    from: String,
    /// Days
    #[arg(long, default_value_t = 31)]
    days: u16,
    /// Stations needed on one day
    #[arg(long, default_value_t = 2)]
    quorum: u8,
    /// Dollars
    #[arg(long, default_value = "50", value_name = "USD")]
    payout: String,
    /// Makes an equal cover another one
    #[arg(long, default_value = "")]
    salt: String,
}

#[derive(Serialize)]
struct ReportedDoc {
    counted_before: bool,
    gas: u64,
    cover: CoverDoc,
}

/// Runs.
pub async fn run(command: Command, context: &Context) -> Result<()> {
    let client = context.client()?;
    let settlement = client.settlement().await?;
    let keys = Keys::open(&context.dir.join("keys"))?;
    match command {
        Command::Open(args) => {
            let terms = terms(&args, &keys, &client).await?;
            let insurer = keys.account(&args.insurer)?;
            client.faucet(insurer.address(), terms.payout).await?;
            let id = open_cover(&*settlement, &insurer, &terms, salt(&args.salt)).await?;
            let doc = cover(&*settlement, id).await?;
            context.print(&doc, || describe(&doc))
        }
        Command::Report { id, receipt, by } => {
            let (id, digest): (Hash32, Hash32) =
                (super::parse(&id, "cover")?, super::parse(&receipt, "receipt")?);
            let done = report(&client, &*settlement, &keys.account(&by)?, id, &digest).await?;
            let counted_before = done == Done::Already;
            let doc = ReportedDoc { counted_before, gas: done.gas(), cover: cover(&*settlement, id).await? };
            context.print(&doc, || describe(&doc.cover))
        }
        Command::Status { id } => {
            let doc = cover(&*settlement, super::parse(&id, "cover")?).await?;
            context.print(&doc, || describe(&doc))
        }
    }
}

async fn terms(args: &OpenArgs, keys: &Keys, client: &crate::client::Client) -> Result<CoverTerms> {
    let devices: Result<Vec<_>> =
        args.stations.iter().map(|name| keys.device(name).map(|device| device.device())).collect();
    let stations = devices?
        .try_into()
        .map_err(|names: Vec<_>| Fault::misuse("cover.stations", "three devices", names.len()))?;
    let model = client.status().await?.models.first().copied();
    Ok(CoverTerms {
        beneficiary: keys.account(&args.farmer)?.address(),
        cell: CELL,
        start: day_start_s(&args.from)?,
        day_count: args.days,
        quorum: args.quorum,
        payout: super::dollars(&args.payout)?,
        model: model.ok_or_else(|| Fault::refused("model.unknown", "a model of the coordinator", "none"))?,
        stations,
    })
}

fn describe(doc: &CoverDoc) -> String {
    let mut lines = vec![
        format!("cover     {}", doc.id),
        format!("state     {}", doc.state),
        format!(
            "pays      {} USD to {} when {} of 3 stations prove frost on one day",
            doc.payout, doc.beneficiary, doc.quorum
        ),
        format!("days      {} from {}", doc.day_count, date(doc.start_s)),
    ];
    for (day, stations) in &doc.days {
        let proved = stations.iter().filter(|proved| **proved).count();
        lines.push(format!("  {}  {proved} of 3 stations", date(doc.start_s + day * 86_400)));
    }
    lines.join("\n")
}
