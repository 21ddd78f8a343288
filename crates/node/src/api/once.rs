//! Done once: a call with an `Idempotency-Key` is carried out a single time within a day, and the same call with the same key is
//! answered the same again, also after a crash.
//!
//! On disk, `once/NAME.json` with `NAME = H(tenant, route, key)`: written before the call begins, written again with its
//! answer. A record without an answer is of a call that died in the middle: it is not carried out again.
//!
//! Refuses: `idempotency.form`, `idempotency.reused` (another call), `idempotency.running`, `idempotency.unfinished`,
//! `idempotency.full`.

use super::routes::Route;
use super::{answer, read_bytes};
use crate::engine::blobs::write_durably;
use crate::fault::{Fault, Result};
use crate::keys::Tenant;
use crate::owner::{DAY_S, read_json};
use crate::time::Time;
use crate::wire::Hex;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use proofmesh_market::{Hash32, keccak};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The header.
pub const HEADER: &str = "idempotency-key";
/// Calls of one tenant that are remembered.
const CALLS_MAX: usize = 10_000;
/// Bytes of an answer that is remembered: every document of these routes is smaller.
const ANSWER_BYTES_MAX: usize = 256 << 10;

/// A call, and what it was answered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    #[serde(default = "Tenant::local")] // as before there were tenants in it
    tenant: Tenant,
    at_s: u64,
    request: Hash32,
    answer: Option<(u16, Hex)>,
}

#[derive(Debug, Default)]
struct Known {
    calls: BTreeMap<Hash32, (Tenant, u64)>, // whose, when
    running: BTreeSet<Hash32>,
}

/// Calls that were made once.
#[derive(Clone, Debug)]
pub(super) struct Once {
    dir: PathBuf,
    time: Time,
    known: Arc<Mutex<Known>>,
}

impl Once {
    /// The calls in a directory.
    pub(super) fn open(dir: &Path, time: Time) -> Result<Self> {
        std::fs::create_dir_all(dir).map_err(|error| Fault::file(dir, &error))?;
        let once = Once { dir: dir.to_owned(), time, known: Arc::default() };
        let mut calls = BTreeMap::new();
        for entry in std::fs::read_dir(dir).map_err(|error| Fault::file(dir, &error))? {
            let path = entry.map_err(|error| Fault::file(dir, &error))?.path();
            let name = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
            let known = name.filter(|_| path.extension().is_some_and(|end| end == "json"));
            if let (Some(name), Some(call)) = (known, read_json::<Call>(&path, "once.json")?) {
                calls.insert(name, (call.tenant, call.at_s));
            }
        }
        once.known().calls = calls;
        Ok(once)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, name: &Hash32) -> PathBuf {
        self.dir.join(format!("{name}.json"))
    }

    fn write(&self, name: &Hash32, call: &Call) -> Result<()> {
        let text =
            serde_json::to_vec(call).map_err(|error| Fault::trouble("once.json", "a record", error))?;
        write_durably(&self.path(name).with_extension("new"), &self.path(name), &text)
    }

    /// Runs a call, or gives its answer again; one without the header is just run.
    pub(super) async fn run(
        &self,
        tenant: &Tenant,
        route: &Route,
        request: Request<Body>,
        next: Next,
    ) -> Response {
        let Some(key) = request.headers().get(HEADER) else { return next.run(request).await };
        match self.named(tenant, route, key.clone(), request, next).await {
            Ok(response) => response,
            Err(fault) => answer::<()>(Err(fault)),
        }
    }

    async fn named(
        &self,
        tenant: &Tenant,
        route: &Route,
        key: HeaderValue,
        request: Request<Body>,
        next: Next,
    ) -> Result<Response> {
        let key = key.as_bytes();
        if !(1..=64).contains(&key.len()) || !key.iter().all(u8::is_ascii_graphic) {
            let expected = "1 to 64 visible characters in Idempotency-Key";
            return Err(Fault::misuse("idempotency.form", expected, format_args!("{} bytes", key.len())));
        }
        let (parts, body) = request.into_parts();
        let body = read_bytes(&parts.headers, body, route.body_bytes_max).await?;
        let name =
            keccak(&[tenant.to_string().as_bytes(), b"\n", route.path.as_bytes(), b"\n", key].concat());
        let asked = keccak(&[parts.uri.path().as_bytes(), b"\n", &body[..]].concat());
        if let Some(answered) = super::blocking(|| self.begin(tenant, &name, asked))? {
            return Ok(answered);
        }
        let (once, tenant) = (self.clone(), tenant.clone());
        let request = Request::from_parts(parts, Body::from(body));
        // A task of its own: a caller that goes away does not leave the call half done.
        let done = tokio::spawn(async move {
            let response = next.run(request).await;
            let kept = once.keep(tenant, &name, asked, response).await;
            once.known().running.remove(&name);
            kept
        });
        done.await
            .map_err(|error| Fault::trouble("idempotency.unfinished", "a look at what it did", error))?
    }

    /// Notes that a call begins, durably; gives its answer if it had one before.
    fn begin(&self, tenant: &Tenant, name: &Hash32, request: Hash32) -> Result<Option<Response>> {
        let mut known = self.known();
        if known.running.contains(name) {
            let expected = "the same call again once the first has ended";
            return Err(Fault::refused("idempotency.running", expected, "a call that still runs"));
        }
        let now_s = self.time.now_s();
        if known.calls.contains_key(name)
            && let Some(call) = read_json::<Call>(&self.path(name), "once.json")?
            && now_s < call.at_s.saturating_add(DAY_S)
        {
            if call.request != request {
                let expected = "a fresh Idempotency-Key for another call";
                return Err(Fault::refused("idempotency.reused", expected, "a key used for another call"));
            }
            return call.answer.map(again).transpose().and_then(|answer| match answer {
                Some(answer) => Ok(Some(answer)),
                None => Err(Fault::refused(
                    "idempotency.unfinished",
                    "a look at what the earlier call did, then a fresh key",
                    "a call that was cut off",
                )),
            });
        }
        let mine = |known: &Known| known.calls.values().filter(|(whose, _)| whose == tenant).count();
        if mine(&known) >= CALLS_MAX {
            let over: Vec<Hash32> = known
                .calls
                .iter()
                .filter(|(_, (_, at_s))| at_s.saturating_add(DAY_S) <= now_s)
                .map(|(name, _)| *name)
                .collect();
            for name in over {
                known.calls.remove(&name);
                // A file that stays is forgotten at the next start.
                let _ = std::fs::remove_file(self.path(&name));
            }
        }
        if mine(&known) >= CALLS_MAX {
            let expected = format!("at most {CALLS_MAX} calls with a key a day");
            return Err(Fault::refused("idempotency.full", expected, "more"));
        }
        self.write(name, &Call { tenant: tenant.clone(), at_s: now_s, request, answer: None })?;
        known.calls.insert(*name, (tenant.clone(), now_s));
        known.running.insert(*name);
        Ok(None)
    }

    /// Keeps what a call was answered, durably, before it is answered. A misuse did nothing: its record goes.
    async fn keep(
        &self,
        tenant: Tenant,
        name: &Hash32,
        request: Hash32,
        response: Response,
    ) -> Result<Response> {
        if response.status() == StatusCode::BAD_REQUEST {
            let path = self.path(name);
            std::fs::remove_file(&path).map_err(|error| Fault::file(&path, &error))?;
            self.known().calls.remove(name);
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, ANSWER_BYTES_MAX)
            .await
            .map_err(|error| Fault::trouble("idempotency.answer", "a short answer", error))?;
        let answer = Some((parts.status.as_u16(), Hex(body.to_vec())));
        super::blocking(|| self.write(name, &Call { tenant, at_s: self.time.now_s(), request, answer }))?;
        Ok(Response::from_parts(parts, Body::from(body)))
    }
}

/// The answer that was given before.
fn again((status, body): (u16, Hex)) -> Result<Response> {
    let status =
        StatusCode::from_u16(status).map_err(|error| Fault::trouble("once.json", "a status", error))?;
    let headers = [(header::CONTENT_TYPE, "application/json")];
    let mut response = (status, headers, body.0).into_response();
    response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
    Ok(response)
}
