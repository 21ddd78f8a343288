//! `proofmesh cover`: frost covers that a contract pays on proven days.

use crate::buyer::{CoverDoc, cover, open_cover, report};
use crate::engine::keys::Keys;
use crate::fault::{Fault, Result};
use crate::onchain::evidence;
use crate::out::Context;
use crate::weather::{CELL, date, day_start_s, salt};
use crate::wire::{JobDoc, StatusDoc};
use proofmesh_market::{Assurance, Device, Hash32, Order, SignedReceipt};
use proofmesh_services::window::WINDOW_S;
use proofmesh_settle::{CoverTerms, Done, Signer};
use serde::Serialize;
use std::path::PathBuf;

/// Subcommands.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Open and fund a cover: it pays when enough stations proved a genuine day of frost, each by its own job
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
    /// Hand a receipt with its wrapped proof to a cover: the contract checks it, no epoch is needed
    Deliver {
        /// Id of the cover
        id: String,
        /// Digest of the receipt
        receipt: String,
        /// The wrapped proof: what `node wrap`, `wrap prove` or `wrap collect` wrote
        #[arg(long, value_name = "FILE")]
        proof: PathBuf,
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
    /// Ids of the jobs whose receipts count, in the order of the stations [default: the insurer's only job
    /// that fits, for each station]
    #[arg(long, value_delimiter = ',', value_name = "A,B,C")]
    jobs: Vec<String>,
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

/// A new cover with what the chain keeps as a hash.
#[derive(Serialize)]
struct OpenedDoc {
    #[serde(flatten)]
    cover: CoverDoc,
    model: Hash32,
    /// Each station, and the job whose receipts of it count.
    stations: Vec<(Device, Hash32)>,
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
            let stations: Vec<(Device, Hash32)> = terms.stations.into_iter().zip(terms.jobs).collect();
            let doc = OpenedDoc { cover: doc, model: terms.model, stations };
            context.print(&doc, || {
                let counts =
                    doc.stations.iter().map(|(station, job)| format!("counts    {station} by job {job}"));
                [describe(&doc.cover)].into_iter().chain(counts).collect::<Vec<_>>().join("\n")
            })
        }
        Command::Report { id, receipt, by } => {
            let (id, digest): (Hash32, Hash32) =
                (super::parse(&id, "cover")?, super::parse(&receipt, "receipt")?);
            let done = report(&client, &*settlement, &keys.account(&by)?, id, &digest).await?;
            let counted_before = done == Done::Already;
            let doc = ReportedDoc { counted_before, gas: done.gas(), cover: cover(&*settlement, id).await? };
            context.print(&doc, || describe(&doc.cover))
        }
        Command::Deliver { id, receipt, proof, by } => {
            let (id, digest): (Hash32, Hash32) =
                (super::parse(&id, "cover")?, super::parse(&receipt, "receipt")?);
            let signed = SignedReceipt::decode(&client.receipt(&digest).await?.wire.0)?;
            let proof = super::wrap::document::read_proof(&proof)?;
            let evidence = evidence(&client, signed, proof).await?;
            let (by, consumer) = (Signer::new(&keys.account(&by)?), settlement.deployment().cover);
            let done = settlement.deliver_with_proof(&by, consumer, id, &evidence, None).await?;
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
    let status = client.status().await?;
    let model = status.models.first().copied();
    let mut terms = CoverTerms {
        beneficiary: keys.account(&args.farmer)?.address(),
        cell: CELL,
        start: day_start_s(&args.from)?,
        day_count: args.days,
        quorum: args.quorum,
        payout: super::dollars(&args.payout)?,
        model: model.ok_or_else(|| Fault::refused("model.unknown", "a model of the coordinator", "none"))?,
        stations,
        jobs: [Hash32::ZERO; 3],
    };
    let given: Result<Vec<Hash32>> = args.jobs.iter().map(|id| super::parse(id, "job")).collect();
    let given = given?;
    if !matches!(given.len(), 0 | 3) {
        return Err(Fault::misuse("cover.jobs", "three jobs", given.len()));
    }
    let docs = client.jobs().await?;
    let insurer = keys.account(&args.insurer)?.address();
    for (at, station) in stations.iter().enumerate() {
        let wanted = given.get(at);
        let fitting = docs.iter().filter(|doc| match wanted {
            Some(id) => doc.id == *id,
            None => doc.job.buyer == insurer && doc.status != "ended",
        });
        let fitting: Vec<_> = fitting.filter(|doc| fits(doc, station, &terms, &status)).collect();
        terms.jobs[at] = only(&fitting, station, wanted)?;
    }
    Ok(terms)
}

/// Whether receipts of a job can count on every day of a cover, and the job is the one that its id says.
fn fits(doc: &JobDoc, station: &Device, terms: &CoverTerms, status: &StatusDoc) -> bool {
    let until_s = terms.start + u64::from(terms.day_count) * WINDOW_S;
    doc.job.devices.contains(station)
        && doc.job.model == terms.model
        && doc.job.assurance == Assurance::Proof
        && doc.job.window_from_s <= terms.start
        && doc.job.window_until_s >= until_s
        && doc.job.digest(&status.domain) == doc.id
}

fn only(fitting: &[&JobDoc], station: &Device, wanted: Option<&Hash32>) -> Result<Hash32> {
    match (fitting, wanted) {
        ([doc], _) => Ok(doc.id),
        (_, Some(id)) => Err(Fault::refused(
            "cover.job-unfit",
            format_args!("a job for proofs of {station}, with the cover's model, on all of its days"),
            id,
        )),
        ([], None) => Err(Fault::refused(
            "cover.no-job",
            format_args!(
                "a job of the insurer for {station} on all days of the cover (`proofmesh job post`)"
            ),
            "none",
        )),
        (several, None) => {
            let ids = several.iter().map(|doc| doc.id.to_string()).collect::<Vec<_>>().join(", ");
            Err(Fault::misuse(
                "cover.which-job",
                format_args!("--jobs, for {station} one of {ids}"),
                format_args!("{} jobs that fit", several.len()),
            ))
        }
    }
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
