//! `proofmesh meter`: lines of bytes, packets or watt-hours that both sides sign every tick.

use crate::buyer::{fund, post};
use crate::engine::keys::Keys;
use crate::fault::{Fault, Result};
use crate::meter::{Consumption, Delivery, Gateways, Gauge, Ticked, join};
use crate::out::Context;
use proofmesh_market::{Assurance, Hash32, Job};
use proofmesh_services::metered::{Quantity, SERVICE, Terms};
use rand::Rng;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// How often a provider looks at the clock.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// Seconds after the line in which its last receipt may come.
const GRACE_S: u64 = 86_400;

/// Subcommands.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "\
Examples, a LoRaWAN gateway at UDP 1700 and a network server at UDP 1701:
  proofmesh meter join gw                                             prints the device
  proofmesh meter order --provider did:key:... --consumer ns --of packets --unit 10 --price 0.0001
  proofmesh meter consume ns 0xJOB --port 7300 --udp 1701
  proofmesh meter provide gw 0xJOB --to http://127.0.0.1:7300 --udp 1700 --forward 127.0.0.1:1701

Bytes of a line and watt-hours come from files with running counts:
  proofmesh meter provide isp 0xJOB --to URL --file /sys/class/net/eth0/statistics/tx_bytes
  proofmesh meter consume home 0xJOB --file register.txt")]
pub enum Command {
    /// Join the market as a provider
    Join {
        /// Name of the node
        name: String,
    },
    /// Post a line's job
    Order {
        /// Device of the provider, did:key:...
        #[arg(long)]
        provider: String,
        /// Name of the consumer's key in this directory, made if it is missing
        #[arg(long)]
        consumer: String,
        /// What is counted
        #[arg(long, value_enum)]
        of: Counted,
        /// How much of it is one paid unit
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
        unit: u64,
        /// Dollars a unit
        #[arg(long, value_name = "USD")]
        price: String,
        /// Most growth of one tick: what either side risks
        #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
        tick_max: u64,
        /// Seconds between ticks
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
        tick: u64,
        /// Ticks of a receipt
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=1_048_576))]
        range: u64,
        /// Seconds of the line
        #[arg(long, default_value_t = 86_400, value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
        seconds: u64,
        /// Most units that are paid
        #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
        units: u64,
        /// The built-in account that pays
        #[arg(long, default_value = "insurer")]
        buyer: String,
    },
    /// Deliver: count, offer every tick, hand in every range
    Provide {
        /// Name of the node
        name: String,
        /// The job
        job: String,
        /// The consumer
        #[arg(long, value_name = "URL")]
        to: String,
        #[command(flatten)]
        from: Source,
        /// Where counted datagrams go on to
        #[arg(long, requires = "udp", value_name = "HOST:PORT")]
        forward: Option<SocketAddr>,
    },
    /// Receive: count, sign every tick that this side's meter shows
    Consume {
        /// Name of the key
        name: String,
        /// The job
        job: String,
        /// Port on 127.0.0.1; 0 for any free one
        #[arg(long, default_value_t = 0)]
        port: u16,
        #[command(flatten)]
        from: Source,
    },
}

/// This side's meter.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub struct Source {
    /// A file whose first number is a running count
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    /// A UDP port on 127.0.0.1 for gateways
    #[arg(long, value_name = "PORT")]
    udp: Option<u16>,
}

/// What is counted.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Counted {
    /// Bytes carried.
    Bytes,
    /// Wireless packets.
    Packets,
    /// Watt-hours.
    WattHours,
}

fn here(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

async fn gauge(from: &Source, forward: Option<SocketAddr>) -> Result<Gauge> {
    match (&from.file, from.udp) {
        (Some(path), _) => Gauge::file(path),
        (None, Some(port)) => Ok(Gauge::Packets(Gateways::listen(here(port), forward).await?)),
        (None, None) => Err(Fault::misuse("meter.source", "--file or --udp", "neither")),
    }
}

/// Runs.
pub async fn run(command: Command, context: &Context) -> Result<()> {
    match command {
        Command::Join { name } => {
            let member = join(context.client()?, &context.dir, &name).await?;
            let device = member.device.device();
            let doc = serde_json::json!({ "node": member.address(), "device": device });
            context.print(&doc, || format!("node    {}\ndevice  {device}", member.address()))
        }
        Command::Provide { name, job, to, from, forward } => {
            let member = join(context.client()?, &context.dir, &name).await?;
            let gauge = gauge(&from, forward).await?;
            let delivery = Delivery::begin(member, &super::parse(&job, "job")?, &to, gauge).await?;
            provide(delivery, context).await
        }
        Command::Consume { name, job, port, from } => {
            let job = context.client()?.job(&super::parse(&job, "job")?).await?;
            let secret = Keys::open(&context.dir.join("keys"))?.device(&name)?;
            let consumption = Consumption::begin(&job, gauge(&from, None).await?, secret)?;
            let answering = consumption.serve(here(port)).await?;
            let doc = serde_json::json!({ "url": answering.url });
            context.print(&doc, || format!("consumer  {}\nready; Ctrl-C stops", answering.url))?;
            super::up::interrupted().await;
            Ok(())
        }
        order => place(order, context).await,
    }
}

/// Posts a line's job.
async fn place(order: Command, context: &Context) -> Result<()> {
    let Command::Order { provider, consumer, of, unit, price, tick_max, tick, range, seconds, units, buyer } =
        order
    else {
        return Ok(());
    };
    let (client, keys) = (context.client()?, Keys::open(&context.dir.join("keys"))?);
    let buyer = keys.account(&buyer)?;
    let terms = Terms {
        quantity: match of {
            Counted::Bytes => Quantity::Bytes,
            Counted::Packets => Quantity::Packets,
            Counted::WattHours => Quantity::WattHours,
        },
        consumer: keys.device(&consumer)?.device(),
        unit,
        tick_s: tick,
        tick_max,
        range_ticks: range,
    };
    let mut salt = [0; 32];
    crate::zk::os_rng()?.fill_bytes(&mut salt);
    let status = client.status().await?;
    let until_s = status.now_s.saturating_add(seconds);
    let job = Job {
        buyer: buyer.address(),
        salt: Hash32(salt),
        service: SERVICE.id(),
        model: Hash32::ZERO,
        input: Hash32::ZERO,
        unit_price: super::dollars(&price)?,
        max_units: units,
        window_from_s: status.now_s,
        window_until_s: until_s,
        deadline_s: until_s.saturating_add(GRACE_S),
        assurance: Assurance::Sampled,
        slots: 1,
        cell: 0,
        devices: vec![super::parse(&provider, "device")?],
        terms: terms.encode(),
    };
    let settlement = client.settlement().await?;
    fund(&client, &*settlement, &buyer, job.escrow()?).await?;
    let id = post(&client, &status.domain, &buyer, job).await?;
    let doc = client.job(&id).await?;
    context.print(&doc, || format!("job     {id}\nstatus  {}", doc.status))
}

/// Ticks until the line is over or interrupted, then hands in the rest.
async fn provide(mut delivery: Delivery, context: &Context) -> Result<()> {
    loop {
        tokio::select! {
            () = super::up::interrupted() => break,
            () = tokio::time::sleep(LOOK_AGAIN) => match delivery.tick().await {
                Ok(Ticked::HandedIn(done)) => {
                    context.tell(&format!("a range of ticks: {}", done.receipt.status));
                }
                Ok(Ticked::Nothing | Ticked::Signed(_)) => {}
                Err(fault) => {
                    context.tell(&format!("the line ends: {fault}"));
                    break;
                }
            },
        }
    }
    let last = delivery.end().await?;
    let doc = last.map(|done| done.receipt);
    context.print(&doc, || doc.as_ref().map_or("nothing more to hand in".to_owned(), |it| it.status.clone()))
}
