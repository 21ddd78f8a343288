//! The state as metrics, read when it is asked for.

use super::{
    BUILD, BUS_EVENTS, CANARY_LAST, CANARY_OK, CANARY_RUNS, CANARY_SECONDS, CHAIN_HEAD_AGE, CHAIN_UP, CHECK,
    CONSERVED, DEMANDS, DISK_FREE, DISK_SIZE, EPOCHS, HTTP, JOBS, LOG_BYTES, LOG_EVENTS, MEMORY, METERS,
    MONEY, NODES, PROOF, Page, QUEUE, RECEIPTS, REFUSALS, REQUESTS, SETTLEMENT_LAG, SPANS_DROPPED, SPOOL,
    START,
};
use crate::coordinator::Coordinator;
use crate::engine::keys::Keys;
use crate::fault::Result;
use crate::machine;
use proofmesh_market::ledger::Conservation;
use proofmesh_market::state::{JobStatus, ReceiptStatus, Standing};
use proofmesh_market::{State, conservation};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{LazyLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Reasons that are shown by name; the rest is `other`.
const REASONS_MAX: usize = 64;
/// How long the chain may take to answer.
const CHAIN_PATIENCE: Duration = Duration::from_secs(5);

static STARTED_S: LazyLock<u64> =
    LazyLock::new(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()));

/// Everything about a coordinator and this machine.
///
/// # Errors
/// `file.io`.
pub async fn collect(coordinator: &Coordinator) -> Result<Page> {
    let mut page = Page::default();
    page.set(&BUILD, &[env!("CARGO_PKG_VERSION")], 1.0);
    page.set(&START, &[], *STARTED_S as f64);
    let now_s = coordinator.time().now_s();
    tokio::task::block_in_place(|| {
        coordinator.with_state(|state| market(&mut page, state, now_s));
        machine_and_disk(&mut page, coordinator.dir());
        spool(&mut page, coordinator)
    })?;
    let head = tokio::time::timeout(CHAIN_PATIENCE, coordinator.settlement().now()).await;
    let head = head.ok().and_then(std::result::Result::ok);
    page.set(&CHAIN_UP, &[], f64::from(u8::from(head.is_some())));
    if let Some(head_s) = head {
        page.set(&CHAIN_HEAD_AGE, &[], now_s.saturating_sub(head_s) as f64);
    }
    page.set(&DEMANDS, &[], coordinator.demands().await.len() as f64);
    counted(&mut page);
    Ok(page)
}

fn market(page: &mut Page, state: &State, now_s: u64) {
    let (mut open, mut assigned, mut ended) = (0, 0, 0);
    for posted in state.jobs().values() {
        match posted.status {
            JobStatus::Open => open += 1,
            JobStatus::Assigned => assigned += 1,
            JobStatus::Ended => ended += 1,
        }
    }
    for (name, count) in [("open", open), ("assigned", assigned), ("ended", ended)] {
        page.set(&JOBS, &[name], f64::from(count));
    }
    let (mut pending, mut refused, mut accepted, mut settled, mut oldest_s) = (0u32, 0u32, 0u32, 0u32, now_s);
    let mut reasons: BTreeMap<&str, u32> = BTreeMap::new();
    for receipt in state.receipts().values() {
        match &receipt.status {
            ReceiptStatus::Pending => pending += 1,
            ReceiptStatus::Refused { reason, .. } => {
                refused += 1;
                let known = reasons.contains_key(reason.name()) || reasons.len() < REASONS_MAX;
                *reasons.entry(if known { reason.name() } else { "other" }).or_default() += 1;
            }
            ReceiptStatus::Accepted { .. } => {
                accepted += 1;
                oldest_s = oldest_s.min(receipt.at_s);
            }
            ReceiptStatus::Settled { .. } => settled += 1,
        }
    }
    for (name, count) in
        [("pending", pending), ("refused", refused), ("accepted", accepted), ("settled", settled)]
    {
        page.set(&RECEIPTS, &[name], f64::from(count));
    }
    for (name, count) in reasons {
        page.set(&REFUSALS, &[name], f64::from(count));
    }
    page.set(&SETTLEMENT_LAG, &[], (now_s - oldest_s) as f64);
    let (mut active, mut frozen, mut jailed) = (0, 0, 0);
    for node in state.nodes().values() {
        match node.standing {
            Standing::Active => active += 1,
            Standing::Frozen { .. } => frozen += 1,
            Standing::Jailed => jailed += 1,
        }
    }
    for (name, count) in [("active", active), ("frozen", frozen), ("jailed", jailed)] {
        page.set(&NODES, &[name], f64::from(count));
    }
    let (closed, posted) = (state.epochs().len(), state.posted().len());
    page.set(&EPOCHS, &["closed"], closed as f64);
    page.set(&EPOCHS, &["posted"], posted as f64);
    page.set(&QUEUE, &["receipts"], f64::from(pending));
    page.set(&QUEUE, &["jobs"], f64::from(open));
    page.set(&QUEUE, &["epochs"], closed.saturating_sub(posted) as f64);
    page.set(&LOG_EVENTS, &[], state.events() as f64);
    let sums = conservation(state);
    let Conservation { deposited, balances, escrow, held, bonds, claims, vault } = sums;
    for (place, sum) in [
        ("deposited", deposited),
        ("balances", balances),
        ("escrow", escrow),
        ("held", held),
        ("bonds", bonds),
        ("claims", claims),
        ("vault", vault),
    ] {
        page.set(&MONEY, &[place], sum.micro() as f64);
    }
    page.set(&CONSERVED, &[], f64::from(u8::from(sums.holds())));
}

fn machine_and_disk(page: &mut Page, dir: &Path) {
    if let Some(disk) = machine::disk(dir) {
        page.set(&DISK_FREE, &[], disk.free_bytes as f64);
        page.set(&DISK_SIZE, &[], disk.size_bytes as f64);
    }
    // A journal on a server has its size there.
    if let Ok(log) = std::fs::metadata(dir.join("log")) {
        page.set(&LOG_BYTES, &[], log.len() as f64);
    }
    page.set(&MEMORY, &["resident"], machine::resident_bytes() as f64);
    page.set(&MEMORY, &["peak"], machine::peak_megabytes() * f64::from(1 << 20));
    page.set(&MEMORY, &["available"], machine::available_bytes() as f64);
}

/// Receipts in the outboxes of this machine's nodes from the place on that the market expects next.
fn spool(page: &mut Page, coordinator: &Coordinator) -> Result<()> {
    for (name, waiting) in spooled(coordinator.dir(), |account| {
        coordinator.with_state(|state| state.nodes().get(&account).map_or(0, |node| node.next_sequence()))
    })? {
        page.set(&SPOOL, &[&name], waiting as f64);
    }
    Ok(())
}

/// Receipts of each node of a directory that wait, by the next sequence that is expected of an account.
///
/// # Errors
/// `key.file`, `file.io`.
pub fn spooled(
    dir: &Path,
    expected: impl Fn(proofmesh_market::Address) -> u64,
) -> Result<Vec<(String, u64)>> {
    let keys = Keys::open(&dir.join("keys"))?;
    let mut nodes = Vec::new();
    for entry in std::fs::read_dir(dir.join("nodes")).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !keys.has_account(&name) {
            continue;
        }
        let next = expected(keys.account(&name)?.address());
        let outbox = std::fs::read_dir(entry.path().join("outbox"));
        let waits = |path: &Path| {
            let number =
                path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<u64>().ok());
            path.extension().is_some_and(|end| end == "receipt")
                && number.is_some_and(|number| number >= next)
        };
        let waiting = outbox.into_iter().flatten().flatten().filter(|entry| waits(&entry.path())).count();
        nodes.push((name, waiting as u64));
    }
    nodes.sort();
    Ok(nodes)
}

fn counted(page: &mut Page) {
    page.histogram(&CHECK, &METERS.check);
    page.histogram(&PROOF, &METERS.proof);
    page.histogram(&HTTP, &METERS.http);
    for ((path, status), count) in METERS.requests.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        page.set(&REQUESTS, &[path, &status.to_string()], *count as f64);
    }
    page.set(&BUS_EVENTS, &[], METERS.bus.load(Ordering::Relaxed) as f64);
    page.set(&SPANS_DROPPED, &[], METERS.dropped.load(Ordering::Relaxed) as f64);
    let Some(canary) = *METERS.canary.lock().unwrap_or_else(PoisonError::into_inner) else { return };
    page.set(&CANARY_RUNS, &["paid"], canary.paid as f64);
    page.set(&CANARY_RUNS, &["failed"], canary.failed as f64);
    page.set(&CANARY_OK, &[], f64::from(u8::from(canary.last_paid)));
    page.set(&CANARY_SECONDS, &[], canary.seconds);
    if canary.paid_at_s > 0 {
        page.set(&CANARY_LAST, &[], canary.paid_at_s as f64);
    }
}
