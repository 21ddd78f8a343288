//! Traces for OpenTelemetry: spans sent as OTLP over HTTP in JSON to a collector. Off unless a collector is named.
//!
//! `OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318`, or `monitor.otlp` in the configuration. A request may name its parent in
//! `traceparent` (W3C Trace Context). Spans wait in a bounded queue; what a collector does not take is counted and
//! dropped: nothing waits for it. No span holds a reading, a key or a body.

use super::METERS;
use crate::fault::{Fault, Result};
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use std::future::Future;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;

/// Environment variable with the collector's address.
pub const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// Spans that wait.
const QUEUE: usize = 4_096;
/// Spans of one message.
const BATCH: usize = 512;
/// How long spans are gathered.
const GATHER: Duration = Duration::from_secs(1);
/// How long a collector may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where a span belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The trace.
    pub trace: [u8; 16],
    /// The span.
    pub span: [u8; 8],
}

impl Place {
    /// Of a `traceparent` header: version 00, not all zeros.
    #[must_use]
    pub fn parse(header: &str) -> Option<Self> {
        let mut parts = header.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let mut place = Place { trace: [0; 16], span: [0; 8] };
        hex::decode_to_slice(trace, &mut place.trace).ok()?;
        hex::decode_to_slice(span, &mut place.span).ok()?;
        let whole = version == "00" && flags.len() == 2 && parts.next().is_none();
        (whole && place.trace != [0; 16] && place.span != [0; 8]).then_some(place)
    }
}

tokio::task_local! {
    static HERE: Place;
}

#[derive(Debug)]
struct Span {
    place: Place,
    parent: Option<[u8; 8]>,
    name: String,
    is_request: bool,
    began: SystemTime,
    took: Duration,
    attributes: Vec<(&'static str, String)>,
}

struct Tracer {
    spans: mpsc::Sender<Span>,
    chance: Mutex<StdRng>,
}

static TRACER: OnceLock<Tracer> = OnceLock::new();

/// Starts sending spans to a collector, once in a process.
///
/// # Errors
/// `trace.endpoint`, `trace.started`.
pub fn start(endpoint: &str) -> Result<()> {
    let bad = |got: &dyn std::fmt::Display| {
        Fault::misuse("trace.endpoint", "http://HOST:PORT of an OTLP collector", got)
    };
    if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
        return Err(bad(&format_args!("{endpoint:.80}")));
    }
    let url = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
    let http = reqwest::Client::builder().timeout(PATIENCE).build().map_err(|error| bad(&error))?;
    let (spans, waiting) = mpsc::channel(QUEUE);
    let tracer = Tracer { spans, chance: Mutex::new(crate::zk::os_rng()?) };
    let started = || Fault::misuse("trace.started", "one collector a process", "another");
    TRACER.set(tracer).map_err(|_| started())?;
    tokio::spawn(send(url, http, waiting));
    Ok(())
}

async fn send(url: String, http: reqwest::Client, mut waiting: mpsc::Receiver<Span>) {
    let mut batch = Vec::new();
    while waiting.recv_many(&mut batch, BATCH).await > 0 {
        tokio::time::sleep(GATHER).await;
        while batch.len() < BATCH
            && let Ok(span) = waiting.try_recv()
        {
            batch.push(span);
        }
        let taken = http.post(&url).json(&message(&batch)).send().await;
        if !taken.is_ok_and(|answer| answer.status().is_success()) {
            METERS.dropped.fetch_add(batch.len() as u64, Ordering::Relaxed);
        }
        batch.clear();
    }
}

/// `ExportTraceServiceRequest` in JSON.
fn message(spans: &[Span]) -> Value {
    let pair = |key: &str, value: &str| json!({ "key": key, "value": { "stringValue": value } });
    let nanoseconds =
        |at: SystemTime| at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos()).to_string();
    let write = |span: &Span| {
        let attributes: Vec<Value> = span.attributes.iter().map(|(key, value)| pair(key, value)).collect();
        json!({
            "traceId": hex::encode(span.place.trace),
            "spanId": hex::encode(span.place.span),
            "parentSpanId": span.parent.map(hex::encode).unwrap_or_default(),
            "name": span.name,
            "kind": if span.is_request { 2 } else { 1 },
            "startTimeUnixNano": nanoseconds(span.began),
            "endTimeUnixNano": nanoseconds(span.began + span.took),
            "attributes": attributes,
        })
    };
    let version = env!("CARGO_PKG_VERSION");
    json!({ "resourceSpans": [{
        "resource": { "attributes": [pair("service.name", "proofmesh"), pair("service.version", version)] },
        "scopeSpans": [{
            "scope": { "name": "proofmesh", "version": version },
            "spans": spans.iter().map(write).collect::<Vec<_>>(),
        }],
    }] })
}

impl Tracer {
    fn fresh(&self, parent: Option<Place>) -> Place {
        let mut chance = self.chance.lock().unwrap_or_else(PoisonError::into_inner);
        let mut place = Place { trace: [0; 16], span: [0; 8] };
        match parent {
            Some(parent) => place.trace = parent.trace,
            None => chance.fill_bytes(&mut place.trace),
        }
        chance.fill_bytes(&mut place.span);
        place
    }

    fn give(&self, span: Span) {
        if self.spans.try_send(span).is_err() {
            METERS.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Runs something as a span; `about` says what it was when it is over. Without a collector it is just run.
pub async fn span<F: Future>(
    name: &str,
    parent: Option<Place>,
    of: F,
    about: impl FnOnce(&F::Output) -> Vec<(&'static str, String)>,
) -> F::Output {
    let Some(tracer) = TRACER.get() else { return of.await };
    let is_request = parent.is_some() || HERE.try_with(|_| ()).is_err();
    let parent = parent.or_else(|| HERE.try_with(|here| *here).ok());
    let (place, began, clock) = (tracer.fresh(parent), SystemTime::now(), Instant::now());
    let output = HERE.scope(place, of).await;
    let (name, parent, took) = (name.to_owned(), parent.map(|parent| parent.span), clock.elapsed());
    tracer.give(Span { place, parent, name, is_request, began, took, attributes: about(&output) });
    output
}

/// A span from `began` to now, inside what runs here.
pub fn note(name: &str, began: Instant, about: impl FnOnce() -> Vec<(&'static str, String)>) {
    let Some(tracer) = TRACER.get() else { return };
    let parent = HERE.try_with(|here| *here).ok();
    let (place, took) = (tracer.fresh(parent), began.elapsed());
    let (name, parent, began) = (name.to_owned(), parent.map(|parent| parent.span), SystemTime::now() - took);
    tracer.give(Span { place, parent, name, is_request: false, began, took, attributes: about() });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_read_and_what_is_none_is_not() {
        let header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let place = Place::parse(header).expect("the standard's own example");
        assert_eq!(
            (hex::encode(place.trace), hex::encode(place.span)),
            (header[3..35].into(), header[36..52].into())
        );
        for bad in [
            "",
            "00",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
        ] {
            assert_eq!(Place::parse(bad), None, "{bad}");
        }
    }
}
