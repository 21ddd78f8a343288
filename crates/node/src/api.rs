//! The coordinator's HTTP API on loopback: JSON documents of [`crate::wire`], one table of [`routes`].
//!
//! Bodies are hostile: bounded in size and (by the JSON reader) in depth, of the content type
//! `application/json`, which a page of another origin cannot send without a preflight that nobody answers;
//! the Host header must name this machine. Connections, time and requests a second are bounded (`listen`, `access`). `own`
//! is a tenant's side; `live` is a stream; [`page`] serves the page. Every answer that is not a document is a [`Fault`] as JSON:
//! 400 misuse, 401 no key, 403 another scope, 404 unknown, 405, 409 refused, 413 too large, 415 another content type, 429 too fast,
//! 503 trouble.

mod access;
mod listen;
mod live;
mod market;
mod once;
pub mod openapi;
mod own;
pub mod page;
pub mod routes;
pub mod shape;

use crate::client::Client;
use crate::coordinator::Coordinator;
use crate::device::intake::Payload;
use crate::fault::{Fault, Kind, Result};
use crate::keys::{Caller, Keyring, Scope};
use crate::monitor::answered;
use crate::monitor::trace::{Place, span};
use crate::own::Own;
use access::{Access, Identity};
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use once::Once;
use routes::{ROUTES, Route};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, oneshot};

/// Bytes of a body with a proof or a feed: 4 MiB of evidence in hexadecimal, and the receipt.
pub const BODY_BYTES_MAX: usize = 9 << 20;
/// Bytes of any other body.
pub const SMALL_BODY_BYTES_MAX: usize = 64 << 10;
/// How long a call may take, its body included: closing an epoch waits for a chain.
pub const PATIENCE: Duration = Duration::from_secs(115);

/// What the API serves.
#[derive(Clone, Debug)]
pub struct Served {
    coordinator: Arc<Coordinator>,
    own: Arc<Own>,
    rpc: Option<String>,
    listeners: Arc<Semaphore>,
    access: Arc<Access>,
    once: Arc<Once>,
    description: Arc<serde_json::Value>,
}

type Shared = State<Served>;

/// A running server; stops when dropped.
#[derive(Debug)]
pub struct Server {
    own: Arc<Own>,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
}

impl Server {
    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The owner's side of what it serves.
    #[must_use]
    pub fn own(&self) -> &Own {
        &self.own
    }

    /// The page with the owner's key in its fragment, which no browser sends anywhere.
    #[must_use]
    pub fn page(&self) -> String {
        format!("{}/#key={}", self.url(), self.own.key())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // No receiver means that the server has ended already.
            let _ = stop.send(());
        }
    }
}

/// Serves a coordinator on a loopback address (port 0: any free one). `rpc` is where its chain is served.
///
/// # Errors
/// `api.not-loopback`, `api.listen`, `api.json`, `file.io`.
pub async fn serve(
    coordinator: Arc<Coordinator>,
    rpc: Option<String>,
    address: SocketAddr,
) -> Result<Server> {
    if !address.ip().is_loopback() {
        return Err(Fault::misuse(
            "api.not-loopback",
            "an address of this machine, such as 127.0.0.1:7166",
            address,
        ));
    }
    let listen = |error: std::io::Error| Fault::trouble("api.listen", address, error);
    let listener = tokio::net::TcpListener::bind(address).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let ring = Arc::new(Keyring::open(coordinator.dir())?);
    let client = Client::new(&format!("http://{address}"))?.with_key(ring.owner_key());
    let own = Arc::new(Own::open(coordinator.clone(), client, ring.clone())?);
    let app = router(Served {
        once: Arc::new(Once::open(&coordinator.dir().join("once"), coordinator.time().clone())?),
        access: Arc::new(Access::new(ring)),
        listeners: Arc::new(Semaphore::new(live::LISTENERS_MAX)),
        description: Arc::new(openapi::describe()?),
        own: own.clone(),
        coordinator,
        rpc,
    });
    let (stop, stopped) = oneshot::channel();
    tokio::spawn(listen::accept(listener, app, stopped));
    Ok(Server { own, address, stop: Some(stop) })
}

fn router(served: Served) -> Router {
    let route = |router: Router<Served>, route: &'static Route| {
        let admit = from_fn_with_state((served.clone(), route), admit);
        router.route(route.path, (route.run)().route_layer(admit))
    };
    ROUTES
        .iter()
        .fold(Router::new().merge(page::routes()), route)
        .fallback(no_such_path)
        .method_not_allowed_fallback(|| async {
            let fault = Fault::misuse("api.method", "GET to read, POST to hand in", "another method");
            (StatusCode::METHOD_NOT_ALLOWED, axum::Json(fault)).into_response()
        })
        .layer(from_fn_with_state(served.clone(), guard))
        .with_state(served)
}

/// Answers to this machine only, in bounded time, and not too often: see the head of this file.
async fn guard(State(it): Shared, mut request: Request<Body>, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').filter(|(_, port)| !port.contains(']')).map_or(host, |(name, _)| name);
    if !["localhost", "127.0.0.1", "[::1]"].contains(&name) {
        return answer::<()>(Err(Fault::refused(
            "api.host",
            "a request from this machine",
            format_args!("Host {host:.60}"),
        )));
    }
    match it.access.identify(&request, it.coordinator.time().now_s()) {
        Ok(identity) => drop(request.extensions_mut().insert(identity)),
        Err(fault) => return answer::<()>(Err(fault)),
    }
    let Ok(response) = tokio::time::timeout(PATIENCE, next.run(request)).await else {
        let expected = format!("a whole request, and an answer within {} s", PATIENCE.as_secs());
        return answer::<()>(Err(Fault::trouble("api.timeout", expected, "more time")));
    };
    let kind = response.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    if response.status().is_client_error() && kind != b"application/json" {
        return answer::<()>(Err(Fault::misuse("api.path", "a path in UTF-8", response.status())));
    }
    response
}

/// Lets in whom a route is for; a call that is to be done once is. Counted, and a span of a trace.
async fn admit(
    State((it, route)): State<(Served, &'static Route)>,
    request: Request<Body>,
    next: Next,
) -> Response {
    let parent = request.headers().get("traceparent").and_then(|parent| parent.to_str().ok());
    let (parent, method) = (parent.and_then(Place::parse), if route.is_post() { "POST" } else { "GET" });
    let began = Instant::now();
    let about = |response: &Response| {
        let status = response.status().as_str().to_owned();
        let known = [("http.request.method", method.to_owned()), ("http.route", route.path.to_owned())];
        known.into_iter().chain([("http.response.status_code", status)]).collect()
    };
    let name = format!("{method} {}", route.path);
    let response = span(&name, parent, admitted(&it, route, request, next), about).await;
    answered(route.path, response.status().as_u16(), began.elapsed());
    response
}

async fn admitted(it: &Served, route: &'static Route, mut request: Request<Body>, next: Next) -> Response {
    let tenant = match route.scope {
        None => None,
        Some(scope) => match caller(&request, scope) {
            Ok(caller) => {
                let tenant = caller.tenant.clone();
                request.extensions_mut().insert(caller);
                Some(tenant)
            }
            Err(fault) => return answer::<()>(Err(fault)),
        },
    };
    // A page elsewhere can send a plain form without asking; it cannot send this content type, nor hide where it is from.
    if route.is_post()
        && let Err(fault) = require_media_type(request.headers())
    {
        return answer::<()>(Err(fault));
    }
    match tenant.filter(|_| route.once) {
        Some(tenant) => it.once.run(&tenant, route, request, next).await,
        None => next.run(request).await,
    }
}

/// Who calls, if the key opens this.
fn caller(request: &Request<Body>, scope: Scope) -> Result<Caller> {
    let missing = || Fault::trouble("api.identity", "a request that was looked at", "another");
    let Identity(who) = request.extensions().get::<Identity>().ok_or_else(missing)?;
    let caller = who.clone()?;
    caller.require(scope)?;
    Ok(caller)
}

/// Paths that do not exist; what is in the private part tells nobody without a key.
async fn no_such_path(request: Request<Body>) -> Response {
    let private = request.uri().path().starts_with("/v1/own");
    let fault = if private { caller(&request, Scope::View).err() } else { None };
    answer::<()>(Err(fault.unwrap_or_else(|| unknown("path", "a path of docs/openapi.json"))))
}

fn require_media_type(headers: &HeaderMap) -> Result<()> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    // Readings have media types of their own, which no plain form can send either.
    let is_json = kind.split(';').next().unwrap_or_default().trim() == "application/json";
    if !is_json && Payload::of_media_type(kind).is_err() {
        return Err(Fault::misuse("api.content-type", "application/json", format_args!("{kind:.60}")));
    }
    Ok(())
}

fn status_of(fault: &Fault) -> StatusCode {
    match (fault.kind, fault.name.as_str()) {
        (_, "owner.key") => StatusCode::UNAUTHORIZED,
        (_, "api.scope" | "api.host") => StatusCode::FORBIDDEN,
        (_, "api.too-fast") => StatusCode::TOO_MANY_REQUESTS,
        (_, "api.body-too-large") => StatusCode::PAYLOAD_TOO_LARGE,
        (_, "api.content-type") => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        (Kind::Refused, name) if name.ends_with(".unknown") => StatusCode::NOT_FOUND,
        (Kind::Refused, _) => StatusCode::CONFLICT,
        (Kind::Misuse, _) => StatusCode::BAD_REQUEST,
        (Kind::Trouble, _) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn answer<T: Serialize>(result: Result<T>) -> Response {
    match result {
        Ok(document) => axum::Json(document).into_response(),
        Err(fault) => {
            let status = status_of(&fault);
            let mut response = (status, axum::Json(fault)).into_response();
            if status == StatusCode::UNAUTHORIZED {
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            } else if status == StatusCode::TOO_MANY_REQUESTS {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            response
        }
    }
}

fn unknown(what: &str, expected: &str) -> Fault {
    Fault::refused(format_args!("{what}.unknown"), expected, "another")
}

/// A path segment as a value.
fn parse<T: FromStr>(text: &str, what: &str) -> Result<T> {
    text.parse().map_err(|_| Fault::misuse(format_args!("{what}.form"), what, format_args!("{text:.80}")))
}

/// A body as a document.
async fn read<T: DeserializeOwned>(headers: &HeaderMap, body: Body, most: usize) -> Result<T> {
    let bytes = read_bytes(headers, body, most).await?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Fault::misuse("api.body", "a document of docs/openapi.json", short(&error)))
}

/// What was wrong, without the caller's own text at length.
fn short(error: &serde_json::Error) -> String {
    error.to_string().chars().take(240).collect()
}

/// A body of at most so many bytes.
async fn read_bytes(headers: &HeaderMap, body: Body, most: usize) -> Result<Bytes> {
    let too_large =
        || Fault::misuse("api.body-too-large", format_args!("at most {most} bytes"), "more, or cut off");
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    if length.and_then(|length| length.parse::<usize>().ok()).is_some_and(|length| length > most) {
        return Err(too_large()); // before a byte of it is read
    }
    to_bytes(body, most).await.map_err(|_| too_large())
}

/// Runs something that may wait for the disk.
fn blocking<T>(run: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(run)
}
