//! `proofmesh up`: a coordinator with its embedded chain and its page, until it is interrupted.

use crate::config::{ChainSettings, History, Settings};
use crate::coordinator::{Config, MarketTerms, answers};
use crate::defence;
use crate::device::Readings;
use crate::device::intake::Intake;
use crate::device::mqtt::{Broker, listen};
use crate::engine::nats;
use crate::engine::place::Engines;
use crate::fault::{Fault, Result};
use crate::monitor::{canary, trace};
use crate::onchain::{Registered, verifiers};
use crate::operator::DayDoc;
use crate::out::{Context, UpDoc, open_page};
use crate::supervise::supervise;
use crate::time::Time;
use crate::up::Up;
use crate::weather::station;
use crate::work::{Heard, Worker};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Most bytes of a verification key's file.
const VERIFIER_BYTES_MAX: usize = 4 << 10;
/// How often it looks for what became due by time alone.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  proofmesh up                                    API on 127.0.0.1:7166, JSON-RPC of the chain on 7167
  proofmesh up --port 0 --rpc-port 0 --json       any free ports, printed as JSON
  proofmesh up --chain http://127.0.0.1:8545      contracts on another EVM chain
  proofmesh up --with ewr=EWR --with jfk=JFK --open
                                                  two nodes in the same process, and the page in a browser
  proofmesh up --with ewr=EWR --mqtt mqtt://127.0.0.1:1883
                                                  its readings come from a broker, at proofmesh/ewr/json

A new market gets the weather-qod model, or every --model instead. State is in --dir: log, blobs, models,
feeds, keys, chain. For a model with a --verifier every settled receipt has to stand a challenge on chain
(`proofmesh challenge`); for another whoever posts epochs is trusted, and `proofmesh audit` finds out.")]
pub struct Args {
    /// Port of the API on 127.0.0.1; 0 for any free one [default: the configuration's, 7166]
    #[arg(long)]
    port: Option<u16>,
    /// Port of the chain's JSON-RPC on 127.0.0.1; 0 for any free one [default: the configuration's, 7167]
    #[arg(long)]
    rpc_port: Option<u16>,
    /// Another chain than the embedded one
    #[arg(long, value_name = "URL")]
    chain: Option<String>,
    /// Where the journal is: `embedded`, or postgres://USER@HOST:PORT/DATABASE with the password in PGPASSWORD
    /// [default: the configuration's, or where it was] (docs/engines.md)
    #[arg(long, value_name = "URL", env = "PROOFMESH_STATE")]
    state: Option<String>,
    /// Where evidence is: `embedded`, or s3://BUCKET/PREFIX?endpoint=http://HOST:PORT with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY
    #[arg(long, value_name = "URL", env = "PROOFMESH_BLOBS")]
    blobs: Option<String>,
    /// Who hears of events and offers: `embedded` for this process alone, or nats://HOST:PORT/STREAM with JetStream; NATS_TOKEN, or NATS_USER and
    /// NATS_PASSWORD, say who asks
    #[arg(long, value_name = "URL", env = "PROOFMESH_BUS")]
    bus: Option<String>,
    /// A model file that jobs may ask for, instead of the weather model; may be repeated
    #[arg(long = "model", value_name = "FILE")]
    models: Vec<PathBuf>,
    /// A verification key (`wrap set-up`, `ceremony import`) for a contract that checks the proofs of one of these models: at once for a model that is new to
    /// the registry, else announced, and accepted by a start after the registry's delay; may be repeated
    #[arg(long = "verifier", value_name = "FILE")]
    verifiers: Vec<PathBuf>,
    /// Seconds in which a posted epoch can be challenged, for a new market [default: 3600]
    #[arg(long, value_name = "SECONDS")]
    challenge_window: Option<u64>,
    /// Seconds in which a verdict can be disputed, for a new market [default: 0]
    #[arg(long, value_name = "SECONDS")]
    dispute_window: Option<u64>,
    /// Close and post an epoch every so many seconds; 0 for never [default: 0]
    #[arg(long, value_name = "SECONDS")]
    epoch_every: Option<u64>,
    /// A new market without pledges, beacon and panels: one checker judges alone
    #[arg(long)]
    unguarded: bool,
    /// Run a node of this name at a station, too; may be repeated
    #[arg(long = "with", value_name = "NAME=STATION")]
    nodes: Vec<String>,
    /// Take the readings of these nodes from an MQTT broker instead of recordings (docs/devices.md)
    #[arg(long, value_name = "mqtt://HOST:PORT", requires = "nodes")]
    mqtt: Option<String>,
    /// Take the readings of these nodes as they are pushed to the API instead of from recordings
    #[arg(long, requires = "nodes")]
    live: bool,
    /// Run a canary job every so many seconds; 0 for never [default: 0]
    #[arg(long, value_name = "SECONDS")]
    canary_every: Option<u64>,
    /// Show the page in a browser
    #[arg(long)]
    open: bool,
}

/// What the nodes of this process say.
struct Talk<'a>(&'a Context);

impl Heard for Talk<'_> {
    fn day(&mut self, day: &DayDoc) {
        let why = day.reason.as_ref().map_or(String::new(), |reason| format!(": {}", reason.name));
        self.0.tell(&format!("{} {} {}{why}", day.station, day.date, day.outcome));
    }

    fn tell(&mut self, text: &str) {
        self.0.tell(text);
    }
}

/// A node to run: name, station, and whether its readings are live.
struct Wanted {
    name: String,
    station: usize,
    live: bool,
}

/// The nodes of the command line, else those of the configuration.
fn wanted(args: &Args, settings: &Settings) -> Result<Vec<Wanted>> {
    if args.nodes.is_empty() {
        let each = settings.nodes.iter();
        return each
            .map(|(name, node)| {
                Ok(Wanted { name: name.clone(), station: station(&node.station)?, live: node.live })
            })
            .collect();
    }
    let live = args.live || args.mqtt.is_some();
    let each = args.nodes.iter().map(|text| {
        let form = || Fault::misuse("up.with", "NAME=STATION, ewr=EWR", format_args!("{text:.60}"));
        let (name, at) = text.split_once('=').ok_or_else(form)?;
        Ok(Wanted { name: name.to_owned(), station: station(at)?, live })
    });
    each.collect()
}

/// Starts a worker for each node, and what listens to the broker for it; they stop when the set is dropped.
fn start_nodes(args: &Args, settings: &Settings, up: &Up, context: &Context) -> Result<JoinSet<()>> {
    let mut running = JoinSet::new();
    let broker: Option<Broker> = match &args.mqtt {
        Some(url) => Some(url.parse()?),
        None => settings.broker()?,
    };
    for Wanted { name, station, live } in wanted(args, settings)? {
        let time = up.coordinator.time().clone();
        let mut readings = None;
        if live {
            let intake = Arc::new(Intake::open(&context.dir, &name, time.clone())?);
            up.own().take_live(intake.clone());
            readings = Some(Readings::Live(intake.clone()));
            if let Some(broker) = broker.clone() {
                let (context, what) = (context.clone(), format!("{name}: listening"));
                running.spawn(async move {
                    let tell = |text: &str| context.tell(text);
                    let start = || {
                        let (broker, intake, context) = (broker.clone(), intake.clone(), context.clone());
                        async move { listen(&broker, &intake, &|text| context.tell(text)).await }
                    };
                    supervise(&what, &tell, start).await;
                });
            }
        }
        let worker = Worker::new(up.client()?, &context.dir, &name, station, readings, time)?;
        go_on(&mut running, worker, context);
    }
    Ok(running)
}

/// Lets a node work in this process, until the set is dropped.
pub(super) fn go_on(running: &mut JoinSet<()>, worker: Worker, context: &Context) {
    let context = context.clone();
    running.spawn(async move {
        let tell = |text: &str| context.tell(text);
        let start = || {
            let (worker, context) = (worker.clone(), context.clone());
            async move { worker.stay(&mut Talk(&context)).await }
        };
        supervise("node", &tell, start).await;
    });
}

/// Runs until SIGINT or SIGTERM.
pub async fn run(args: Args, context: &Context) -> Result<()> {
    let settings = History::open(&context.dir)?.settings()?;
    let ChainSettings { url, challenge_window_s, dispute_window_s, epoch_every_s } = settings.chain.clone();
    let config = Config {
        dir: context.dir.clone(),
        chain: args.chain.clone().or_else(|| Some(url).filter(|url| !url.is_empty())),
        time: Time::system(),
        engines: Engines {
            state: args.state.clone().unwrap_or_default(),
            blobs: args.blobs.clone().unwrap_or_default(),
            bus: args.bus.clone().unwrap_or_default(),
        }
        .or(&settings.engines),
        terms: MarketTerms {
            challenge_window_s: args.challenge_window.unwrap_or(challenge_window_s),
            dispute_window_s: args.dispute_window.unwrap_or(dispute_window_s),
            guarded: !args.unguarded,
            ..MarketTerms::default()
        },
    };
    let collector = std::env::var(trace::ENDPOINT).unwrap_or_else(|_| settings.monitor.otlp.clone());
    if !collector.is_empty() {
        trace::start(&collector)?;
    }
    let at = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    let (port, rpc_port) =
        (args.port.unwrap_or(settings.api.port), args.rpc_port.unwrap_or(settings.api.rpc_port));
    let up = Up::start(config, at(port), at(rpc_port), &|text| context.tell(text)).await?;
    let known = up.coordinator.status(None)?.models;
    let mut paths: Vec<_> = args.models.iter().map(|path| Some(path.as_path())).collect();
    if paths.is_empty() && (known.is_empty() || !args.verifiers.is_empty()) {
        paths.push(None); // the weather model
    }
    add_models(&paths, &args.verifiers, &up, context).await?;
    let page = format!("{}/", up.api);
    let doc = UpDoc { api: up.api.clone(), rpc: up.rpc.clone(), pid: std::process::id(), page };
    context.announce(&doc)?;
    let mut running = start_nodes(&args, &settings, &up, context)?;
    if let Some(at) = Engines::of(&context.dir)?.bus_at()? {
        let (bus, context) = (up.coordinator.bus(), context.clone());
        running.spawn(async move {
            let tell = |text: &str| context.tell(text);
            let start = || {
                let (bus, at, context) = (bus.clone(), at.clone(), context.clone());
                async move { nats::stay(&bus, &at, &|text| context.tell(text)).await }
            };
            supervise("bus", &tell, start).await;
        });
    }
    {
        let (coordinator, client, context) = (up.coordinator.clone(), up.client()?, context.clone());
        running.spawn(async move {
            let tell = |text: &str| context.tell(text);
            let start = || {
                let (coordinator, client, context) = (coordinator.clone(), client.clone(), context.clone());
                async move { defence::stay(&coordinator, &client, &|text| context.tell(text)).await }
            };
            supervise("demands", &tell, start).await;
        });
    }
    let canary_every_s = args.canary_every.unwrap_or(settings.monitor.canary_every_s);
    context.print(&doc, || {
        let rpc = doc.rpc.as_deref().unwrap_or("-");
        format!(
            "coordinator {}\nchain       {rpc}\nstate       {}\npage        {}\nready; Ctrl-C stops",
            doc.api,
            context.dir.display(),
            up.page()
        )
    })?;
    if args.open {
        open_page(&up.page(), context);
    }
    let epoch_every_s = args.epoch_every.unwrap_or(epoch_every_s);
    let mut closing = tokio::time::interval(Duration::from_secs(epoch_every_s.max(1)));
    closing.tick().await;
    let mut looking = tokio::time::interval(LOOK_EVERY);
    let tell = |text: &str| context.tell(text);
    let mut canaries = std::pin::pin!(canary::stay(&up, Duration::from_secs(canary_every_s), &tell));
    loop {
        tokio::select! {
            () = interrupted() => break,
            () = &mut canaries, if canary_every_s > 0 => {}
            _ = looking.tick() => up.coordinator.draw_due(),
            _ = closing.tick(), if epoch_every_s > 0 => {
                if let Err(fault) = up.coordinator.close_epoch(None).await {
                    context.tell(&format!("epoch not posted, tried again at the next: {fault}"));
                }
            }
        }
    }
    context.tell("stopped");
    Ok(())
}

/// Adds models, each with the verifier that there is a key for.
async fn add_models(paths: &[Option<&Path>], keys: &[PathBuf], up: &Up, context: &Context) -> Result<()> {
    let models = paths.iter().map(|path| super::model_at(*path)).collect::<Result<Vec<_>>>()?;
    let files =
        keys.iter().map(|path| super::read_file(path, VERIFIER_BYTES_MAX)).collect::<Result<Vec<_>>>()?;
    let settlement = up.coordinator.settlement();
    let keys = tokio::task::block_in_place(|| verifiers(&files, &models, settlement.profile()))?;
    for (model, key) in models.into_iter().zip(keys) {
        let program = model.program.clone();
        let (id, registered) = up.coordinator.add_model_with(model, key).await?;
        let standing = tokio::task::block_in_place(|| answers(up.coordinator.dir(), &id, &program))?;
        if let Some((found, next)) = standing.warning() {
            context.tell(&format!("WARNING, model {id}: {found}; {next}"));
        }
        match registered {
            Registered::None => {}
            Registered::Set { address, key } => {
                context.tell(&format!("model {id}: proofs are checked by {address}, key {key}"));
            }
            Registered::Announced { address, key, delay_s } => context.tell(&format!(
                "model {id}: {address}, key {key}, is announced and checks proofs from a start in {delay_s} s on"
            )),
        }
    }
    Ok(())
}

/// Waits for SIGINT or SIGTERM.
pub(super) async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
