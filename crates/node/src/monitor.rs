//! How the machine is, for Prometheus and OpenTelemetry: one set of names.
//!
//! [`METRICS`] and [`SPANS`] are all names there are; docs/monitoring.md, the dashboard and the alert rules are tested against
//! them. [`collect`] reads the state when somebody asks (`GET /metrics`); [`METERS`] count what only happens ([`checked`],
//! [`proved`], [`answered`]). Base units: seconds, bytes; money in micro-USD, as everywhere.

pub mod canary;
pub mod collect;
mod page;
pub mod trace;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

pub use page::Page;

/// How a metric moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Up and down.
    Gauge,
    /// Up, from the start of the process.
    Counter,
    /// Counts by size, from the start of the process.
    Histogram,
}

/// A metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// How it moves.
    pub kind: Kind,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// What it says.
    pub about: &'static str,
}

macro_rules! metrics {
    ($($id:ident $kind:ident $name:literal [$($label:literal),*] $about:literal;)*) => {
        $(
            #[doc = $about]
            pub const $id: Metric = Metric { name: $name, kind: Kind::$kind, labels: &[$($label),*], about: $about };
        )*
        /// All metrics.
        pub const METRICS: &[Metric] = &[$($id),*];
    };
}

metrics! {
    BUILD Gauge "proofmesh_build_info" ["version"] "1, with the version that runs";
    START Gauge "proofmesh_start_time_seconds" [] "Unix second at which the process began";
    JOBS Gauge "proofmesh_jobs" ["state"] "Jobs: open, assigned, ended";
    RECEIPTS Gauge "proofmesh_receipts" ["state"] "Receipts: pending, refused, accepted, settled";
    REFUSALS Gauge "proofmesh_refusals" ["reason"] "Refused receipts by the name of the reason";
    QUEUE Gauge "proofmesh_queue_depth" ["of"] "What waits: receipts without a verdict, jobs without nodes, epochs not posted";
    NODES Gauge "proofmesh_nodes" ["standing"] "Nodes: active, frozen, jailed";
    MONEY Gauge "proofmesh_money_micro_usd" ["place"] "Where all money is; deposited is the sum of the other places";
    CONSERVED Gauge "proofmesh_money_conserved" [] "1 while the places add up to the deposits exactly";
    SETTLEMENT_LAG Gauge "proofmesh_settlement_lag_seconds" [] "Age of the oldest accepted receipt that no epoch settled; 0 for none";
    CHAIN_UP Gauge "proofmesh_chain_up" [] "1 while the chain answers";
    CHAIN_HEAD_AGE Gauge "proofmesh_chain_head_age_seconds" [] "Age of the chain's newest block, by the coordinator's clock";
    EPOCHS Gauge "proofmesh_epochs" ["state"] "Epochs: closed, posted";
    DEMANDS Gauge "proofmesh_demands" [] "Receipts that somebody demands on chain that the poster proves, and nobody proved yet";
    LOG_EVENTS Gauge "proofmesh_log_events" [] "Events in the log";
    LOG_BYTES Gauge "proofmesh_log_bytes" [] "Bytes of the log";
    BUS_EVENTS Gauge "proofmesh_bus_events" [] "Events that the bus on a server has; 0 without one, and before it answered";
    SPOOL Gauge "proofmesh_spool_receipts" ["node"] "Receipts that a node of this machine signed and nobody acknowledged";
    DISK_FREE Gauge "proofmesh_disk_free_bytes" [] "Free where the state is";
    DISK_SIZE Gauge "proofmesh_disk_size_bytes" [] "Size of the disk where the state is";
    MEMORY Gauge "proofmesh_memory_bytes" ["of"] "Of this process: resident, peak; of the machine: available";
    CHECK Histogram "proofmesh_check_seconds" [] "Time to check one receipt";
    PROOF Histogram "proofmesh_proof_seconds" [] "Time to make one proof, by nodes in this process";
    HTTP Histogram "proofmesh_http_request_seconds" [] "Time to answer a request";
    REQUESTS Counter "proofmesh_http_requests_total" ["path", "status"] "Requests by route and status";
    CANARY_RUNS Counter "proofmesh_canary_runs_total" ["result"] "Canary jobs: paid, failed";
    CANARY_OK Gauge "proofmesh_canary_ok" [] "1 if the last canary job was paid; absent before the first";
    CANARY_SECONDS Gauge "proofmesh_canary_seconds" [] "What the last canary job took from order to verdict";
    CANARY_LAST Gauge "proofmesh_canary_last_success_time_seconds" [] "Unix second of the last canary job that was paid";
    SPANS_DROPPED Counter "proofmesh_trace_spans_dropped_total" [] "Spans that the collector did not take";
}

/// Names of spans: name, attributes, what it is.
pub const SPANS: [(&str, &[&str], &str); 3] = [
    (
        "METHOD ROUTE",
        &["http.request.method", "http.route", "http.response.status_code"],
        "A request; its parent comes with `traceparent`",
    ),
    (
        "receipt.check",
        &["proofmesh.receipt"],
        "The check of one receipt, inside the request that delivered it",
    ),
    ("canary", &["proofmesh.result"], "A canary job from order to verdict"),
];

/// Bounds of the histograms' buckets in seconds.
pub const BOUNDS_S: [f64; 12] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0];

/// Counts by size.
#[derive(Debug)]
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS_S.len() + 1],
    sum_us: AtomicU64,
}

impl Histogram {
    const fn new() -> Self {
        Histogram { buckets: [const { AtomicU64::new(0) }; BOUNDS_S.len() + 1], sum_us: AtomicU64::new(0) }
    }

    fn observe(&self, seconds: f64) {
        let place = BOUNDS_S.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS_S.len());
        self.buckets[place].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add((seconds * 1e6) as u64, Ordering::Relaxed);
    }
}

/// What the last canary job did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CanaryRun {
    /// Jobs that were paid.
    pub paid: u64,
    /// Jobs that were not.
    pub failed: u64,
    /// Whether the last one was.
    pub last_paid: bool,
    /// What it took.
    pub seconds: f64,
    /// Unix second of the last one that was paid.
    pub paid_at_s: u64,
}

/// What is counted as it happens, in this process.
#[derive(Debug)]
pub struct Meters {
    check: Histogram,
    proof: Histogram,
    http: Histogram,
    requests: Mutex<BTreeMap<(&'static str, u16), u64>>,
    canary: Mutex<Option<CanaryRun>>,
    dropped: AtomicU64,
    bus: AtomicU64,
}

/// The process's meters.
pub static METERS: Meters = Meters {
    check: Histogram::new(),
    proof: Histogram::new(),
    http: Histogram::new(),
    requests: Mutex::new(BTreeMap::new()),
    canary: Mutex::new(None),
    dropped: AtomicU64::new(0),
    bus: AtomicU64::new(0),
};

/// A receipt was checked, from `began` to now.
pub fn checked(digest: &proofmesh_market::Hash32, began: Instant) {
    METERS.check.observe(began.elapsed().as_secs_f64());
    trace::note("receipt.check", began, || vec![("proofmesh.receipt", digest.to_string())]);
}

/// A proof was made in so many milliseconds.
pub fn proved(prove_ms: f64) {
    METERS.proof.observe(prove_ms / 1_000.0);
}

/// The bus has so many events.
pub fn published(events: u64) {
    METERS.bus.store(events, Ordering::Relaxed);
}

/// A request to a route was answered.
pub fn answered(route: &'static str, status: u16, took: Duration) {
    METERS.http.observe(took.as_secs_f64());
    let mut requests = METERS.requests.lock().unwrap_or_else(PoisonError::into_inner);
    *requests.entry((route, status)).or_default() += 1; // as many as routes and statuses
}
