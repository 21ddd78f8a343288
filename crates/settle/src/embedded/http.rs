//! The embedded chain over HTTP, for wallets and tools on this machine.
//!
//! Bodies are hostile: size, batch and running calls are limited, and whatever comes gets a JSON-RPC
//! answer. Pages of other origins must not reach
//! the chain through a browser: the content type forces a preflight, which is not granted, and the Host
//! header must name this machine.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, oneshot};

use super::Embedded;
use super::rpc::{RpcError, envelope};
use crate::{Result, SettleError};

/// What the server accepts.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest body, bytes.
    pub body_bytes: usize,
    /// Calls in one batch.
    pub batch: usize,
    /// Bodies worked on at once; more wait.
    pub at_once: usize,
    /// True if callers may let time pass (`evm_increaseTime`, `evm_mine`).
    pub time_travel: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self { body_bytes: 1 << 20, batch: 100, at_once: 8, time_travel: false }
    }
}

/// A running server; stops when dropped.
pub struct HttpServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
}

impl HttpServer {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // No receiver means that the server has ended already.
            let _ = stop.send(());
        }
    }
}

struct Served {
    chain: Embedded,
    limits: Limits,
    loopback: bool,
    turns: Semaphore,
}

impl Embedded {
    /// Serves JSON-RPC on `address` (use loopback, `127.0.0.1:0` for any free port) until the result is
    /// dropped. Needs a tokio runtime.
    ///
    /// # Errors
    /// `settle.rpc` if the address cannot be bound.
    pub async fn serve(&self, address: SocketAddr, limits: Limits) -> Result<HttpServer> {
        let bad = |e: std::io::Error| SettleError::Rpc(format!("{address}: {e}"));
        let listener = tokio::net::TcpListener::bind(address).await.map_err(bad)?;
        let address = listener.local_addr().map_err(bad)?;
        let served = Arc::new(Served {
            chain: self.clone(),
            limits,
            loopback: address.ip().is_loopback(),
            turns: Semaphore::new(limits.at_once.max(1)),
        });
        let app = Router::new().fallback(any(handle)).with_state(served);
        let (stop, stopped) = oneshot::channel();
        tokio::spawn(async move {
            let serving = axum::serve(listener, app).with_graceful_shutdown(async {
                // An error means that the handle is gone: stop as well.
                let _ = stopped.await;
            });
            // Accept errors are retried inside; there is nobody to tell about the rest.
            let _ = serving.await;
        });
        Ok(HttpServer { address, stop: Some(stop) })
    }
}

async fn handle(State(served): State<Arc<Served>>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    if let Some(refusal) = refuse(&served, &parts.method, &parts.headers) {
        return refusal;
    }
    let Ok(_turn) = served.turns.acquire().await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let Ok(bytes) = to_bytes(body, served.limits.body_bytes).await else {
        return reply(StatusCode::PAYLOAD_TOO_LARGE, &fault(-32_600, "body too large or broken off"));
    };
    let work = served.clone();
    let answered = tokio::task::spawn_blocking(move || work.answer(&bytes)).await;
    match answered {
        Ok(Some(value)) => reply(StatusCode::OK, &value),
        Ok(None) => StatusCode::NO_CONTENT.into_response(),
        Err(_) => reply(StatusCode::INTERNAL_SERVER_ERROR, &fault(-32_603, "internal error")),
    }
}

fn refuse(served: &Served, method: &axum::http::Method, headers: &HeaderMap) -> Option<Response> {
    let text = |name| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let host = text(header::HOST);
    let name = host.rsplit_once(':').filter(|(_, port)| !port.contains(']')).map_or(host, |(name, _)| name);
    if served.loopback && !["localhost", "127.0.0.1", "[::1]"].contains(&name) {
        return Some(reply(
            StatusCode::FORBIDDEN,
            &fault(-32_600, "this chain answers to its own machine only"),
        ));
    }
    if method != axum::http::Method::POST {
        return Some(reply(StatusCode::METHOD_NOT_ALLOWED, &fault(-32_600, "POST a JSON-RPC call")));
    }
    let kind = text(header::CONTENT_TYPE).split(';').next().unwrap_or_default().trim();
    if kind != "application/json" {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Some(reply(status, &fault(-32_600, "the content type must be application/json")));
    }
    None
}

fn reply(status: StatusCode, value: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

fn fault(code: i64, message: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": null, "error": { "code": code, "message": message } })
}

impl Served {
    /// `None` if nothing is to be answered (only notifications).
    fn answer(&self, body: &[u8]) -> Option<Value> {
        match serde_json::from_slice(body) {
            Err(e) => Some(fault(-32_700, &format!("not JSON: {e}"))),
            Ok(Value::Array(calls)) if calls.is_empty() => Some(fault(-32_600, "an empty batch")),
            Ok(Value::Array(calls)) if calls.len() > self.limits.batch => {
                Some(fault(-32_600, &format!("more than {} calls in a batch", self.limits.batch)))
            }
            Ok(Value::Array(calls)) => {
                let answers: Vec<_> = calls.into_iter().filter_map(|c| self.one(c)).collect();
                (!answers.is_empty()).then_some(Value::Array(answers))
            }
            Ok(call) => self.one(call),
        }
    }

    fn one(&self, mut call: Value) -> Option<Value> {
        let Some(Value::String(method)) = call.get("method").cloned() else {
            return Some(fault(-32_600, "a call needs a method"));
        };
        let params = call.get_mut("params").map(Value::take).unwrap_or_default();
        let answer = if method.starts_with("evm_") && !self.limits.time_travel {
            Err(RpcError::no_method(&method))
        } else {
            self.chain.rpc(&method, params)
        };
        // No id: a notification, which has its effect and gets no answer.
        call.get_mut("id").map(|id| envelope(id.take(), answer))
    }
}
