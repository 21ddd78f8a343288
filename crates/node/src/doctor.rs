//! What is wrong with a machine, in plain words, and what to do next. Looks only; changes nothing but what opening the key directory
//! makes.
//!
//! Every [`Finding`] has a name: `disk`, `clock`, `config`, `ports`, `keys`, `log`, `engines`, `chain`, `coordinator`, `version`, `demands`,
//! `verifiers`, `spool`, `broker`, `memory`.

use crate::config::{History, Settings, chain_id, require_broker};
use crate::coordinator::{Answers, answers, read_deployment, read_models};
use crate::engine::place::{self, Engines};
use crate::fault::{Fault, Result};
use crate::machine;
use crate::monitor::DEMANDS;
use crate::monitor::collect::spooled;
use crate::out::{Context, UpDoc};
use crate::owner::read_json;
use proofmesh_market::Event;
use proofmesh_prover::{Machine, forecast};
use serde::Serialize;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Free bytes below which nothing can be promised.
const DISK_LEAST: u64 = 64 << 20;
/// Free bytes below which somebody should look.
const DISK_LOW: u64 = 1 << 30;
/// Seconds that clocks may differ.
const CLOCK_S: u64 = 120;
/// A clock before this project was written is wrong: 2025-01-01.
const CLOCK_LEAST_S: u64 = 1_735_689_600;
/// How long the coordinator may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How well it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// In order.
    Well,
    /// Works, and will not for long, or was not looked at.
    Watch,
    /// Does not work.
    Ill,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which.
    pub name: &'static str,
    /// How well it is.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What to do next; empty when it is well.
    pub next: String,
}

impl Finding {
    fn well(name: &'static str, found: impl ToString) -> Self {
        Finding { name, state: State::Well, found: found.to_string(), next: String::new() }
    }

    fn watch(name: &'static str, found: impl ToString, next: impl ToString) -> Self {
        Finding { name, state: State::Watch, found: found.to_string(), next: next.to_string() }
    }

    fn ill(name: &'static str, found: impl ToString, next: impl ToString) -> Self {
        Finding { name, state: State::Ill, found: found.to_string(), next: next.to_string() }
    }

    fn of(name: &'static str, looked: Result<Self>) -> Self {
        looked.unwrap_or_else(|fault| {
            let found = format!("{}: {}", fault.name, fault.got);
            Finding::ill(name, found, format!("needed: {}", fault.expected))
        })
    }
}

/// Looks at everything.
pub async fn look(context: &Context) -> Vec<Finding> {
    let dir = &context.dir;
    if !dir.exists() {
        let found = format!("{} does not exist", dir.display());
        return vec![Finding::watch("disk", found, "start `proofmesh up` there, or name another --dir")];
    }
    let settings = History::open(dir).and_then(|history| history.settings());
    let up: Option<UpDoc> = read_json(&dir.join("up.json"), "up.json").unwrap_or_default();
    let running = match &up {
        Some(_) => running(context).await,
        None => None,
    };
    let mut findings = vec![disk(dir), clock(dir, running.as_ref())];
    findings.push(match &settings {
        Ok(_) => Finding::well("config", "every key known, signed by the owner"),
        Err(fault) => Finding::of("config", Err(fault.clone())),
    });
    let settings = settings.unwrap_or_default();
    findings.push(ports(&settings, up.as_ref(), running.is_some()));
    findings.push(Finding::of("keys", keys(dir)));
    findings.push(log(dir, running.is_some()));
    findings.extend(engines(dir, &settings));
    findings.push(chain(dir, &settings, up.as_ref(), running.is_some()).await);
    findings.extend(coordinator(up.as_ref(), running.as_ref()));
    findings.extend(running.as_ref().and_then(|up| up.demands).map(demands));
    findings.extend(verifiers(dir).unwrap_or_else(|fault| Some(Finding::of("verifiers", Err(fault)))));
    findings.push(Finding::of("spool", spool(dir, context).await));
    if let Ok(Some(broker)) = settings.broker() {
        let answers = require_broker(&broker).map(|()| Finding::well("broker", "takes connections"));
        findings.push(Finding::of("broker", answers));
    }
    findings.push(Finding::of("memory", memory(dir)));
    findings
}

/// A coordinator that answers.
struct Running {
    now_s: u64,
    conserved: bool,
    version: String,
    /// Receipts that the chain waits for a proof of; `None` for a caller who may not read it.
    demands: Option<u64>,
}

async fn running(context: &Context) -> Option<Running> {
    let look = async {
        let client = context.client()?; // with the owner's key: metrics are for it alone
        let (status, description) = (client.status().await?, client.description().await?);
        let version = description["info"]["version"].as_str().unwrap_or("unknown").to_owned();
        let page = client.bytes("/metrics").await.unwrap_or_default();
        let page = String::from_utf8_lossy(&page);
        let demands = page.lines().find_map(|line| line.strip_prefix(DEMANDS.name)?.trim().parse().ok());
        Ok::<_, Fault>(Running { now_s: status.now_s, conserved: status.money.conserved, version, demands })
    };
    tokio::time::timeout(PATIENCE, look).await.ok()?.ok()
}

fn disk(dir: &Path) -> Finding {
    let Some(disk) = machine::disk(dir) else {
        return Finding::watch("disk", "the system does not tell", "look by hand: df");
    };
    let found = format!("{} MB free of {} MB", disk.free_bytes >> 20, disk.size_bytes >> 20);
    match disk.free_bytes {
        free if free < DISK_LEAST => Finding::ill(
            "disk",
            found,
            "free some space now: nothing is acknowledged without a place on disk",
        ),
        free if free < DISK_LOW => {
            Finding::watch("disk", found, "free some space, or give --dir a larger disk")
        }
        _ => Finding::well("disk", found),
    }
}

fn clock(dir: &Path, running: Option<&Running>) -> Finding {
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let next = "set the clock (timedatectl set-ntp true); receipts of a wrong time are refused";
    if now_s < CLOCK_LEAST_S {
        return Finding::ill("clock", format!("Unix second {now_s}, before 2025"), next);
    }
    let last_s = std::fs::metadata(dir.join("log")).and_then(|data| data.modified()).ok();
    let last_s = last_s.and_then(|at| at.duration_since(UNIX_EPOCH).ok()).map_or(0, |since| since.as_secs());
    if last_s > now_s + CLOCK_S {
        return Finding::ill("clock", format!("{} s behind the log's last change", last_s - now_s), next);
    }
    match running {
        Some(up) if up.now_s + CLOCK_S < now_s => {
            Finding::ill("clock", format!("the coordinator is {} s behind", now_s - up.now_s), next)
        }
        // Development networks let time pass.
        Some(up) if up.now_s > now_s + CLOCK_S => {
            let found = format!("the coordinator is {} s ahead", up.now_s - now_s);
            Finding::watch(
                "clock",
                found,
                "in order if time was let pass on a development chain; else set the clock",
            )
        }
        _ => Finding::well("clock", format!("Unix second {now_s}")),
    }
}

fn ports(settings: &Settings, up: Option<&UpDoc>, is_running: bool) -> Finding {
    if let (true, Some(doc)) = (is_running, up) {
        return Finding::well("ports", format!("{} answers", doc.api));
    }
    for port in [settings.api.port, settings.api.rpc_port] {
        if let Err(error) = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))) {
            let next = "end the program that has it (ss -ltnp), or `proofmesh config set api.port 0`";
            return Finding::ill("ports", format!("127.0.0.1:{port}: {error}"), next);
        }
    }
    Finding::well("ports", format!("{} and {} are free", settings.api.port, settings.api.rpc_port))
}

fn keys(dir: &Path) -> Result<Finding> {
    let place = dir.join("keys");
    if !place.exists() {
        return Ok(Finding::watch("keys", "none yet", "the first `proofmesh up` makes them"));
    }
    let mode = |path: &Path| -> Result<u32> {
        let data = std::fs::metadata(path).map_err(|error| Fault::file(path, &error))?;
        Ok(data.permissions().mode() & 0o777)
    };
    let mut count = 0;
    let mut places = vec![place];
    while let Some(at) = places.pop() {
        if mode(&at)? & 0o077 != 0 {
            let next = format!("chmod 700 {}", at.display());
            return Ok(Finding::ill(
                "keys",
                format!("{} is open to others ({:o})", at.display(), mode(&at)?),
                next,
            ));
        }
        for entry in std::fs::read_dir(&at).map_err(|error| Fault::file(&at, &error))? {
            let path = entry.map_err(|error| Fault::file(&at, &error))?.path();
            if path.is_dir() {
                // Inside a directory that is closed to others.
                places.extend((mode(&path)? & 0o077 != 0).then(|| path.clone()));
                continue;
            }
            if mode(&path)? & 0o077 != 0 {
                let found = format!("{} can be read by others ({:o})", path.display(), mode(&path)?);
                let next =
                    format!("chmod 600 {}; if others use this machine, make a new key", path.display());
                return Ok(Finding::ill("keys", found, next));
            }
            count += 1;
        }
    }
    Ok(Finding::well("keys", format!("{count} files, for their owner alone")))
}

fn log(dir: &Path, is_running: bool) -> Finding {
    let look = || {
        let Some(look) = place::look(dir)? else { return Ok(None) };
        if let Some(last) = look.records.last() {
            Event::decode(last)?;
        }
        Ok(Some((look.records.len(), look.torn_bytes)))
    };
    let found = match look() {
        Err(fault) => return Finding::of("log", Err(fault)),
        Ok(None) => return Finding::watch("log", "none yet", "the first `proofmesh up` begins it"),
        Ok(Some(found)) => found,
    };
    match found {
        (records, 0) => Finding::well("log", format!("{records} events, its chain and its end intact")),
        // A record that is being written.
        (records, _) if is_running => Finding::well("log", format!("{records} events, one more on its way")),
        (records, torn) => {
            let found = format!("{records} events, and {torn} bytes of one that was never acknowledged");
            Finding::watch("log", found, "nothing is lost: the next `proofmesh up` cuts them off")
        }
    }
}

/// The servers behind the coordinator.
fn engines(dir: &Path, settings: &Settings) -> Option<Finding> {
    let look = || {
        let known = Engines::of(dir)?;
        let wanted = settings.engines.or(&known);
        for (key, what, wanted, known) in [
            ("state", "journal", &wanted.state, &known.state),
            ("blobs", "evidence", &wanted.blobs, &known.blobs),
        ] {
            if wanted != known && dir.join("engines.json").exists() {
                let next = format!("`proofmesh config set engines.{key} {known}`");
                let found = format!("{wanted}, but the {what} is elsewhere");
                return Ok(Some(Finding::ill("engines", found, next)));
            }
        }
        let said = place::probe(&wanted)?;
        let said: Vec<_> = said.iter().map(|(url, said)| format!("{url} answers: {said}")).collect();
        Ok(Some(said).filter(|said| !said.is_empty()).map(|said| Finding::well("engines", said.join("; "))))
    };
    match look() {
        Ok(found) => found,
        Err(fault) => Some(Finding::of("engines", Err(fault))),
    }
}

async fn chain(dir: &Path, settings: &Settings, up: Option<&UpDoc>, is_running: bool) -> Finding {
    let deployment = match read_deployment(dir) {
        Ok(Some(deployment)) => deployment,
        Ok(None) => {
            return Finding::watch("chain", "no contracts yet", "the first `proofmesh up` makes them");
        }
        Err(fault) => return Finding::of("chain", Err(fault)),
    };
    let wanted = deployment.domain().chain_id;
    let served = up.filter(|_| is_running).and_then(|doc| doc.rpc.clone());
    let url = served.or_else(|| Some(settings.chain.url.clone()).filter(|url| !url.is_empty()));
    let Some(url) = url else {
        return Finding::well("chain", format!("embedded, {wanted}; nobody serves it now"));
    };
    match chain_id(&url).await {
        Ok(found) if found == wanted => Finding::well("chain", format!("{found} answers at {url}")),
        Ok(found) => Finding::ill(
            "chain",
            format!("{url} is chain {found}, the contracts are on {wanted}"),
            "name the right one: `proofmesh config set chain.url URL`",
        ),
        Err(fault) => Finding::ill(
            "chain",
            fault.got,
            format!("start the chain at {url}, or name another: `proofmesh config set chain.url URL`"),
        ),
    }
}

fn coordinator(up: Option<&UpDoc>, running: Option<&Running>) -> Vec<Finding> {
    let (Some(doc), Some(running)) = (up, running) else {
        let found = match up {
            Some(doc) => format!("{} does not answer", doc.api),
            None => "never started here".to_owned(),
        };
        return vec![Finding::watch(
            "coordinator",
            found,
            "start it: `proofmesh up`, or systemctl start proofmesh",
        )];
    };
    let own = env!("CARGO_PKG_VERSION");
    let money = if running.conserved {
        Finding::well("coordinator", format!("{} answers, money conserved", doc.api))
    } else {
        Finding::ill(
            "coordinator",
            "money is not conserved",
            "stop it and run `proofmesh audit --offline`; close no epoch",
        )
    };
    let version = if running.version == own {
        Finding::well("version", own)
    } else {
        let found = format!("the coordinator is {}, this program {own}", running.version);
        Finding::watch("version", found, "restart `proofmesh up` with this program, or call the other one")
    };
    vec![money, version]
}

/// Somebody accused the poster, and the bond is at stake.
fn demands(open: u64) -> Finding {
    if open == 0 {
        return Finding::well("demands", "nobody demands a proof on chain");
    }
    let next = "`up` answers where it has the key, minutes each; its output says what it cannot answer: `proofmesh challenge answer EPOCH RECEIPT`";
    Finding::watch(
        "demands",
        format!("{open} receipts have to be proved on chain, or the bond is lost"),
        next,
    )
}

/// Whether the poster could answer for the receipts of models that have a verifier; nothing to say where none has.
fn verifiers(dir: &Path) -> Result<Option<Finding>> {
    let (models, mut asked) = (read_models(dir)?, false);
    for id in models.ids() {
        let Some(file) = models.get(&id) else { continue };
        let standing = answers(dir, &id, &file.program)?;
        asked |= standing != Answers::Unasked;
        if let Some((found, next)) = standing.warning() {
            return Ok(Some(Finding::watch("verifiers", format!("model {id}: {found}"), next)));
        }
    }
    Ok(asked.then(|| Finding::well("verifiers", "the poster can answer for every receipt by itself")))
}

async fn spool(dir: &Path, context: &Context) -> Result<Finding> {
    if !dir.join("nodes").exists() {
        return Ok(Finding::well("spool", "no nodes here"));
    }
    let client = context.client().ok();
    let mut expected = std::collections::BTreeMap::new();
    for (name, _) in spooled(dir, |_| u64::MAX)? {
        let account = crate::engine::keys::Keys::open(&dir.join("keys"))?.account(&name)?.address();
        let Some(client) = &client else { continue };
        if let Ok(Ok(node)) = tokio::time::timeout(PATIENCE, client.node(&account)).await {
            expected.insert(account, node.next_sequence);
        }
    }
    // Without a coordinator nobody knows what arrived.
    let waiting = spooled(dir, |account| expected.get(&account).copied().unwrap_or(u64::MAX))?;
    let total: u64 = waiting.iter().map(|(_, count)| count).sum();
    if total == 0 {
        return Ok(Finding::well("spool", "no receipt waits"));
    }
    let names =
        waiting.iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!("{name}: {count}"));
    let found = format!("receipts signed and not acknowledged, {}", names.collect::<Vec<_>>().join(", "));
    Ok(Finding::watch("spool", found, "start the node again: it hands them in first"))
}

fn memory(dir: &Path) -> Result<Finding> {
    let free = machine::available_bytes();
    let mut most = 0;
    let models = read_models(dir)?;
    for file in models.ids().iter().filter_map(|id| models.get(id)) {
        let needs = forecast(&file.program, 1, Machine::REFERENCE);
        most = most.max(needs.map_or(0, |needs| needs.peak_bytes as u64));
    }
    if free == 0 {
        return Ok(Finding::watch("memory", "the system does not tell", "look by hand: free -m"));
    }
    let found = format!("{} MB free; the largest model's proof needs about {} MB", free >> 20, most >> 20);
    if most > free {
        let next = "end other programs, or let this node prove smaller models only (`proofmesh model show` says what each needs)";
        return Ok(Finding::ill("memory", found, next));
    }
    if most * 5 / 4 > free {
        return Ok(Finding::watch("memory", found, "a fifth should stay free: end other programs"));
    }
    Ok(Finding::well("memory", found))
}
