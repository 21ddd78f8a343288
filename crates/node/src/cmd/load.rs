//! `proofmesh load`: what one coordinator carries on this machine, and what it survives.

use crate::client::Client;
use crate::engine::keys::Keys;
use crate::fault::{Fault, Result};
use crate::load::{Carried, Load, Wanted, join_all};
use crate::machine::{ProcessUse, cpu_milliseconds, peak_megabytes, process_use, processor};
use crate::out::{Context, UpDoc};
use proofmesh_market::Hash32;
use serde::Serialize;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Arguments.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
Examples:
  proofmesh load                                        100 nodes, 500 receipts a second for 10 seconds
  proofmesh load --nodes 1000 --rate 2000 --seconds 600 --json
  proofmesh load --state postgres://proofmesh@127.0.0.1:5432/market --bus nats://127.0.0.1:4222/market --nodes 1000 --rate 2000 --seconds 600

A coordinator of its own, in a process of its own and a new directory (--dir, else one that is removed again), gets real
receipts of metered data over its API. A receipt is acknowledged when it and its evidence are durable; checks follow at their
own rate. Then it is killed (kill -9), started again, and has to have every receipt that it acknowledged; what is left
is judged, an epoch is closed and posted, and everything is audited. Two cores carry the coordinator and the load together.")]
pub struct Args {
    /// Nodes
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    nodes: u16,
    /// Receipts a second, of all nodes together
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    rate: u64,
    /// For so many seconds
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Where the coordinator keeps its journal (docs/engines.md)
    #[arg(long, value_name = "URL", default_value = "embedded")]
    state: String,
    /// A NATS stream that every event goes to besides (docs/engines.md)
    #[arg(long, value_name = "URL")]
    bus: Option<String>,
    /// A market without pledges, beacon and panels: one checker judges alone
    #[arg(long)]
    unguarded: bool,
}

#[derive(Serialize)]
struct Doc {
    version: &'static str,
    processor: String,
    threads: usize,
    /// Load of the machine over the last minute before the run: what others did beside.
    machine_load: f64,
    state: String,
    /// Whether every event went to a stream besides.
    bus: bool,
    nodes: u64,
    /// Until all had joined.
    join_seconds: f64,
    /// Most memory of the process that all nodes are in.
    nodes_megabytes: f64,
    /// The coordinator's before the run.
    joined: ProcessUse,
    carried: Carried,
    /// The coordinator's after the run.
    after: ProcessUse,
    /// What the load itself computed while it ran.
    load_cpu_seconds: f64,
    /// Bytes of memory that a receipt takes.
    bytes_a_receipt: f64,
    /// Bytes of journal and evidence on disk, 0 for what is in a server.
    journal_bytes: u64,
    evidence_bytes: u64,
    /// Receipts that were judged when the last one was acknowledged.
    judged_beside: u64,
    /// From kill -9 and a new start until the API answers.
    recovery_seconds: f64,
    /// Receipts that were judged after that, and how many a second.
    judged_after: u64,
    judged_per_second: f64,
    /// To close an epoch with all of them, and post it.
    epoch_seconds: f64,
    /// Receipts of the epoch.
    epoch_receipts: u64,
    /// To recompute all of it from the directory, on all cores.
    audit_seconds: f64,
    audit_receipts: u64,
}

/// A coordinator in a process of its own.
struct Coordinator {
    child: Child,
    client: Client,
}

impl Coordinator {
    fn start(args: &Args, dir: &Path) -> Result<Self> {
        let trouble =
            |got: &dyn std::fmt::Display| Fault::trouble("load.coordinator", "`proofmesh up` to start", got);
        let program = std::env::current_exe().map_err(|error| trouble(&error))?;
        let mut command = Command::new(program);
        command
            .args(["up", "--port", "0", "--rpc-port", "0", "--json", "--state", &args.state, "--dir"])
            .arg(dir);
        if let Some(bus) = &args.bus {
            command.args(["--bus", bus]);
        }
        if args.unguarded {
            command.arg("--unguarded");
        }
        let mut child = command.stdout(Stdio::piped()).spawn().map_err(|error| trouble(&error))?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).map_err(|error| trouble(&error))?;
        }
        let doc: UpDoc = serde_json::from_str(&line).map_err(|_| {
            let _ = child.kill(); // it has said on stderr what is wrong
            trouble(&"a process that ended")
        })?;
        let key = crate::keys::Keyring::open(dir)?.owner_key();
        Ok(Coordinator { client: Client::new(&doc.api)?.with_key(key), child })
    }

    /// kill -9.
    fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Receipts judged and waiting.
async fn progress(client: &Client, jobs: &[Hash32]) -> Result<(u64, u64)> {
    let (mut judged, mut waiting) = (0, 0);
    for job in jobs {
        let doc = client.job(job).await?;
        (judged, waiting) = (judged + doc.units, waiting + doc.pending); // a unit a receipt
    }
    Ok((judged, waiting))
}

fn bytes_of(path: PathBuf) -> u64 {
    std::fs::metadata(path).map_or(0, |data| data.len())
}

/// Runs.
pub async fn run(args: Args, context: &Context) -> Result<()> {
    let fresh = std::env::temp_dir().join(format!("proofmesh-load-{}", std::process::id()));
    let dir = context.chosen_dir.clone().unwrap_or_else(|| fresh.clone());
    if dir.join("log").exists() {
        return Err(Fault::misuse("load.dir", "a new directory", dir.display()));
    }
    std::fs::create_dir_all(&dir).map_err(|error| Fault::file(&dir, &error))?;
    let done = measure(&args, context, &dir).await;
    if dir == fresh {
        // What stays behind is in the system's place for such.
        let _ = std::fs::remove_dir_all(&dir);
    }
    let doc = done?;
    context.print(&doc, || text(&doc))
}

async fn measure(args: &Args, context: &Context, dir: &Path) -> Result<Doc> {
    let machine_load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let machine_load =
        machine_load.split_whitespace().next().and_then(|load| load.parse().ok()).unwrap_or(0.0);
    let wanted = Wanted { nodes: usize::from(args.nodes), rate: args.rate, seconds: args.seconds };
    let home = dir.join("coordinator");
    let mut coordinator = Coordinator::start(args, &home)?;
    context.tell(&format!("{} nodes join", args.nodes));
    let (members, join_seconds) = join_all(&coordinator.client, dir, wanted.nodes).await?;
    context.tell(&format!("joined in {join_seconds:.1} s; their jobs are posted"));
    let keys = Keys::open(&dir.join("keys"))?;
    let (buyer, consumer) = (keys.account("buyer")?, keys.device("consumer")?);
    let load = Load::prepare(&coordinator.client, &buyer, &consumer, members, wanted).await?;
    let jobs = load.jobs().to_vec();
    let (joined, own) = (process_use(coordinator.child.id()), cpu_milliseconds());
    context.tell(&format!("{} receipts a second for {} s", args.rate, args.seconds));
    let carried = load.run().await?;
    let (after, load_cpu_seconds) = (process_use(coordinator.child.id()), (cpu_milliseconds() - own) / 1e3);
    let (judged_beside, _) = progress(&coordinator.client, &jobs).await?;
    context.tell(&format!(
        "{} acknowledged, {:.0} a second, p99 {:.0} ms; killed and started again",
        carried.receipts, carried.per_second, carried.acknowledged.p99_ms
    ));
    coordinator.kill();
    let began = Instant::now();
    let coordinator = Coordinator::start(args, &home)?;
    let recovery_seconds = began.elapsed().as_secs_f64();
    let (judged_then, waiting) = progress(&coordinator.client, &jobs).await?;
    let (known, expected) = (judged_then + waiting, carried.receipts);
    if known != expected {
        return Err(Fault::trouble("load.lost", format_args!("{expected} receipts"), known));
    }
    context.tell(&format!(
        "back after {recovery_seconds:.1} s with all of them; {waiting} are still to be judged"
    ));
    let began = Instant::now();
    while progress(&coordinator.client, &jobs).await?.1 > 0 {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let judging = began.elapsed().as_secs_f64();
    let began = Instant::now();
    let mut epoch_receipts = coordinator.client.close_epoch().await?.receipts;
    let epoch_seconds = began.elapsed().as_secs_f64();
    while epoch_receipts < expected {
        // Those that the last round's sample could still take settle with the next.
        let more = coordinator.client.close_epoch().await?.receipts;
        if more == 0 {
            return Err(Fault::trouble("load.settled", format_args!("{expected} receipts"), epoch_receipts));
        }
        epoch_receipts += more;
    }
    drop(coordinator);
    context.tell("audited");
    let began = Instant::now();
    let audit = crate::audit::of_dir(&home).await?;
    Ok(Doc {
        version: env!("CARGO_PKG_VERSION"),
        processor: processor(),
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        machine_load,
        state: args.state.split_once("://").map_or("embedded", |(scheme, _)| scheme).to_owned(),
        bus: args.bus.is_some(),
        nodes: u64::from(args.nodes),
        join_seconds,
        nodes_megabytes: peak_megabytes(),
        bytes_a_receipt: after.resident_bytes.saturating_sub(joined.resident_bytes) as f64 / expected as f64,
        joined,
        carried,
        after,
        load_cpu_seconds,
        journal_bytes: bytes_of(home.join("log")),
        evidence_bytes: bytes_of(home.join("blobs/pack")),
        judged_beside,
        recovery_seconds,
        judged_after: waiting,
        judged_per_second: waiting as f64 / judging.max(1e-9),
        epoch_seconds,
        epoch_receipts,
        audit_seconds: began.elapsed().as_secs_f64(),
        audit_receipts: audit.receipts,
    })
}

fn text(doc: &Doc) -> String {
    let Carried { receipts, per_second, acknowledged: times, again, .. } = &doc.carried;
    let megabytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    format!(
        "machine      {} x {}, load {:.1} before\n\
         joined       {} nodes in {:.1} s, {:.0} MiB for all of them\n\
         acknowledged {receipts} receipts, {per_second:.0} a second; p50 {:.0} ms, p99 {:.0}, p99.9 {:.0}, longest {:.0}; {again} handed in again\n\
         coordinator  {:.0} s of processor time, {:.0} MiB, {:.0} bytes a receipt; the load beside it {:.0} s\n\
         disk         journal {:.0} MiB, evidence {:.0} MiB\n\
         recovery     {:.1} s after kill -9, nothing lost\n\
         judged       {} beside the load; {} after, {:.0} a second\n\
         epoch        {} receipts in {:.1} s\n\
         audit        {} receipts in {:.1} s",
        doc.threads,
        doc.processor,
        doc.machine_load,
        doc.nodes,
        doc.join_seconds,
        doc.nodes_megabytes,
        times.p50_ms,
        times.p99_ms,
        times.p999_ms,
        times.most_ms,
        doc.after.cpu_seconds - doc.joined.cpu_seconds,
        megabytes(doc.after.resident_bytes),
        doc.bytes_a_receipt,
        doc.load_cpu_seconds,
        megabytes(doc.journal_bytes),
        megabytes(doc.evidence_bytes),
        doc.recovery_seconds,
        doc.judged_beside,
        doc.judged_after,
        doc.judged_per_second,
        doc.epoch_receipts,
        doc.epoch_seconds,
        doc.audit_receipts,
        doc.audit_seconds,
    )
}
