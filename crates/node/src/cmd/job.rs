//! `proofmesh job`: post a job for genuine days of a station, see jobs.

use crate::buyer::{DaysWanted, fund, post};
use crate::engine::keys::Keys;
use crate::fault::{Fault, Result};
use crate::out::Context;
use crate::weather::{airports, date, day_start_s, feed, salt, station};
use crate::wire::{FeedDoc, JobDoc, ReceiptDoc};
use serde::Serialize;

/// Subcommands.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Post a job: each genuine day of a station, proved, is paid
    #[command(after_help = "\
Example:
  proofmesh job post --device ewr --station EWR --from 2013-01-01 --days 31 --price 0.50

The buyer's whole price goes into escrow (on a development chain with test money). The neighbours' readings
are published as a feed: public airport data, the only input of the model that is not private.")]
    Post(PostArgs),
    /// One job with its receipts, or all
    Show {
        /// Its id
        id: Option<String>,
    },
}

/// Arguments of `job post`.
#[derive(Debug, clap::Args)]
pub struct PostArgs {
    /// Name of the buyer's account
    #[arg(long, default_value = "insurer")]
    buyer: String,
    /// The device: a name with a key in this directory, or did:key:...
    #[arg(long)]
    device: String,
    /// The station that it stands at
    #[arg(long)]
    station: String,
    /// First day
    #[arg(long, value_name = "DATE")]
    from: String,
    /// Days
    #[arg(long, default_value_t = 31)]
    days: u64,
    /// Dollars for a genuine day
    #[arg(long, default_value = "0.50", value_name = "USD")]
    price: String,
    /// The model [default: the only one of the coordinator]
    #[arg(long)]
    model: Option<String>,
    /// Hours from now in which receipts count
    #[arg(long, default_value_t = 24, value_name = "HOURS")]
    open: u64,
    /// Makes an equal job another one
    #[arg(long, default_value = "")]
    salt: String,
}

#[derive(Serialize)]
struct ShownJob {
    job: JobDoc,
    receipts: Vec<ReceiptDoc>,
}

/// Runs.
pub async fn run(command: Command, context: &Context) -> Result<()> {
    let client = context.client()?;
    match command {
        Command::Post(args) => {
            let id = posted(&args, &client, context).await?;
            let doc = client.job(&id).await?;
            context.print(&doc, || line(&doc))
        }
        Command::Show { id: Some(id) } => {
            let id = super::parse(&id, "job")?;
            let doc = ShownJob { job: client.job(&id).await?, receipts: client.receipts_of(&id).await? };
            context.print(&doc, || {
                let rows = doc.receipts.iter().map(receipt_line).collect::<Vec<_>>().join("\n");
                format!("{}\n{rows}", line(&doc.job))
            })
        }
        Command::Show { id: None } => {
            let docs = client.jobs().await?;
            context.print(&docs, || docs.iter().map(line).collect::<Vec<_>>().join("\n"))
        }
    }
}

async fn posted(
    args: &PostArgs,
    client: &crate::client::Client,
    context: &Context,
) -> Result<proofmesh_market::Hash32> {
    let status = client.status().await?;
    let keys = Keys::open(&context.dir.join("keys"))?;
    let number = station(&args.station)?;
    let device = if args.device.starts_with("did:") {
        super::parse(&args.device, "device")?
    } else {
        keys.device(&args.device)?.device()
    };
    let model = match (&args.model, status.models.as_slice()) {
        (Some(model), _) => super::parse(model, "model")?,
        (None, [model]) => *model,
        (None, models) => {
            return Err(Fault::misuse("model.which", "--model", format_args!("{} models", models.len())));
        }
    };
    let from_s = day_start_s(&args.from)?;
    let table = feed(&airports(), &[(number, device)], from_s, args.days.min(366))?;
    let buyer = keys.account(&args.buyer)?;
    let deadline_s = status.now_s.saturating_add(args.open.saturating_mul(3_600));
    let wanted = DaysWanted {
        model,
        device,
        unit_price: super::dollars(&args.price)?,
        from_s,
        days: args.days,
        deadline_s,
        feed: client.add_feed(&FeedDoc::of(&table)).await?,
        wrappable: status.wrappable.contains(&model),
        salt: salt(&format!("{} {}", args.salt, deadline_s)),
    };
    let job = wanted.job(buyer.address());
    let escrow = job.escrow()?;
    let settlement = client.settlement().await?;
    fund(client, &*settlement, &buyer, escrow).await?;
    post(client, &status.domain, &buyer, job).await
}

fn line(doc: &JobDoc) -> String {
    let (from, until) = (date(doc.job.window_from_s), date(doc.job.window_until_s));
    format!(
        "{}  {}  {} of {} days paid at {} USD, {from} to {until}, {} USD left, {} waiting",
        doc.id, doc.status, doc.units, doc.job.max_units, doc.job.unit_price, doc.escrow, doc.pending
    )
}

pub(super) fn receipt_line(doc: &ReceiptDoc) -> String {
    let why =
        doc.reason.as_ref().map_or(String::new(), |reason| format!("  {}: {}", reason.name, reason.got));
    format!("  {}  {}  {:<8} output {:?}{why}", doc.digest, date(doc.window_start_s), doc.status, doc.output)
}
