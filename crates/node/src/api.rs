//! The coordinator's HTTP API on loopback: JSON documents of [`crate::wire`].
//!
//! Bodies are hostile: bounded in size and (by the JSON reader) in depth, of the content type
//! `application/json`, which a page of another origin cannot send without a preflight that nobody answers;
//! the Host header must name this machine. `own` asks for the owner's key besides; `live` is a stream; [`page`]
//! serves the page. Every answer that is not a document is a [`Fault`] as JSON: 400
//! misuse, 401 not the owner, 404 unknown, 409 refused, 413 too large, 415 another content type, 503 trouble.

mod live;
mod own;
pub mod page;

use crate::client::Client;
use crate::coordinator::Coordinator;
use crate::device::intake::Payload;
use crate::fault::{Fault, Kind, Result};
use crate::own::Own;
use crate::wire::{
    ChallengeDoc, DeliverDoc, DoneDoc, EnrolDeviceDoc, FaucetDoc, FeedDoc, IdDoc, MeasureDoc, MintedDoc,
    PassTimeDoc,
};
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use proofmesh_market::order::Order;
use proofmesh_market::{Hash32, What};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use tokio::sync::{Semaphore, oneshot};

/// Bytes of a body with a proof or a feed: 4 MiB of evidence in hexadecimal, and the receipt.
pub const BODY_BYTES_MAX: usize = 9 << 20;
/// Bytes of any other body.
pub const SMALL_BODY_BYTES_MAX: usize = 64 << 10;

/// What the API serves.
#[derive(Clone, Debug)]
pub struct Served {
    coordinator: Arc<Coordinator>,
    own: Arc<Own>,
    rpc: Option<String>,
    listeners: Arc<Semaphore>,
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
/// `api.not-loopback`, `api.listen`.
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
    let own = Arc::new(Own::open(coordinator.clone(), Client::new(&format!("http://{address}"))?)?);
    let listeners = Arc::new(Semaphore::new(live::LISTENERS_MAX));
    let app = routes(Served { coordinator, own: own.clone(), rpc, listeners });
    let (stop, stopped) = oneshot::channel();
    tokio::spawn(async move {
        let serving = axum::serve(listener, app).with_graceful_shutdown(async {
            // An error means that the handle is gone: stop as well.
            let _ = stopped.await;
        });
        // Accept errors are retried inside; there is nobody to tell about the rest.
        let _ = serving.await;
    });
    Ok(Server { own, address, stop: Some(stop) })
}

fn routes(served: Served) -> Router {
    Router::new()
        .merge(page::routes())
        .merge(own::routes(&served))
        .route("/v1/events", get(live::events))
        .route("/v1/status", get(status))
        .route("/v1/nodes", get(members))
        .route("/v1/accounts/{account}", get(account))
        .route("/v1/nodes/{node}", get(node))
        .route("/v1/nodes/{node}/challenge", get(challenge))
        .route("/v1/jobs", get(jobs))
        .route("/v1/jobs/{job}", get(job))
        .route("/v1/jobs/{job}/receipts", get(receipts_of))
        .route("/v1/receipts/{digest}", get(receipt))
        .route("/v1/receipts/{digest}/proof", get(receipt_proof))
        .route("/v1/epochs/{number}/chain", get(chain_epoch))
        .route("/v1/models", get(model_cards))
        .route("/v1/economics", get(economics))
        .route("/v1/epochs/{number}", get(epoch))
        .route("/v1/epochs/{number}/balances/{account}", get(balance_proof))
        .route("/v1/log/{from}", get(log_page))
        .route("/v1/blobs/{hash}", get(blob))
        .route("/v1/models/{id}", get(model))
        .route("/v1/feeds/{commitment}", get(feed))
        .route("/v1/feeds", post(add_feed))
        .route("/v1/orders", post(order))
        .route("/v1/receipts", get(newest_receipts).post(deliver))
        .route("/v1/measure", post(measure))
        .route("/v1/epochs", get(newest_epochs).post(close_epoch))
        .route("/v1/dev/faucet", post(faucet))
        .route("/v1/dev/devices", post(enrol_device))
        .route("/v1/dev/pass-time", post(pass_time))
        .fallback(|| async { answer::<()>(Err(unknown("path", "a path of crates/node/API.md"))) })
        .method_not_allowed_fallback(|| async {
            let fault = Fault::misuse("api.method", "GET to read, POST to hand in", "another method");
            (StatusCode::METHOD_NOT_ALLOWED, axum::Json(fault)).into_response()
        })
        .layer(from_fn(guard))
        .with_state(served)
}

/// Answers to this machine only: see the head of this file.
async fn guard(request: Request<Body>, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').filter(|(_, port)| !port.contains(']')).map_or(host, |(name, _)| name);
    if !["localhost", "127.0.0.1", "[::1]"].contains(&name) {
        let fault =
            Fault::refused("api.host", "a request from this machine", format_args!("Host {host:.60}"));
        return (StatusCode::FORBIDDEN, axum::Json(fault)).into_response();
    }
    // A page elsewhere can send a plain form without asking; it cannot send this content type, nor hide where it is from.
    if request.method() == Method::POST
        && let Err(fault) = require_media_type(request.headers())
    {
        return answer::<()>(Err(fault));
    }
    next.run(request).await
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
    match fault.kind {
        Kind::Refused if fault.name.ends_with(".unknown") => StatusCode::NOT_FOUND,
        Kind::Refused => StatusCode::CONFLICT,
        Kind::Misuse if fault.is("api.body-too-large") => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::Misuse if fault.is("api.content-type") => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Kind::Misuse => StatusCode::BAD_REQUEST,
        Kind::Trouble => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn answer<T: Serialize>(result: Result<T>) -> Response {
    match result {
        Ok(document) => axum::Json(document).into_response(),
        Err(fault) => (status_of(&fault), axum::Json(fault)).into_response(),
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
        .map_err(|error| Fault::misuse("api.body", "a document of crates/node/API.md", error))
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

async fn status(State(it): Shared) -> Response {
    answer(blocking(|| it.coordinator.status(it.rpc.clone())))
}

async fn account(State(it): Shared, Path(account): Path<String>) -> Response {
    let look = async {
        let account = parse(&account, "account")?;
        it.coordinator.sync_chain().await?;
        Ok(blocking(|| it.coordinator.account(&account)))
    };
    answer(look.await)
}

async fn node(State(it): Shared, Path(node): Path<String>) -> Response {
    let look = async {
        let node = parse(&node, "node")?;
        it.coordinator.sync_chain().await?;
        it.coordinator.look_at_stake(node).await?;
        blocking(|| it.coordinator.node(&node))
    };
    answer(look.await)
}

async fn members(State(it): Shared) -> Response {
    answer(Ok(blocking(|| it.coordinator.members())))
}

async fn newest_receipts(State(it): Shared) -> Response {
    answer(Ok(blocking(|| it.coordinator.newest_receipts())))
}

async fn newest_epochs(State(it): Shared) -> Response {
    answer(Ok(blocking(|| it.coordinator.newest_epochs())))
}

async fn model_cards(State(it): Shared) -> Response {
    answer(blocking(|| it.coordinator.model_cards()))
}

async fn economics(State(it): Shared) -> Response {
    let look = async {
        it.coordinator.sync_chain().await?;
        it.coordinator.economics().await
    };
    answer(look.await)
}

async fn chain_epoch(State(it): Shared, Path(number): Path<String>) -> Response {
    let look = async { it.coordinator.chain_epoch(parse(&number, "epoch")?).await };
    answer(look.await)
}

async fn challenge(State(it): Shared, Path(node): Path<String>) -> Response {
    let context = parse(&node, "node").and_then(|node| blocking(|| it.coordinator.challenge(&node)));
    answer(context.map(|context| ChallengeDoc { context }))
}

async fn jobs(State(it): Shared) -> Response {
    answer(Ok(blocking(|| it.coordinator.jobs())))
}

async fn job(State(it): Shared, Path(job): Path<String>) -> Response {
    answer(parse(&job, "job").and_then(|job| blocking(|| it.coordinator.job(&job))))
}

async fn receipts_of(State(it): Shared, Path(job): Path<String>) -> Response {
    answer(parse(&job, "job").map(|job: Hash32| blocking(|| it.coordinator.receipts_of(&job))))
}

async fn receipt(State(it): Shared, Path(digest): Path<String>) -> Response {
    answer(parse(&digest, "receipt").and_then(|digest| blocking(|| it.coordinator.receipt(&digest))))
}

async fn receipt_proof(State(it): Shared, Path(digest): Path<String>) -> Response {
    answer(parse(&digest, "receipt").and_then(|digest| blocking(|| it.coordinator.receipt_proof(&digest))))
}

async fn epoch(State(it): Shared, Path(number): Path<String>) -> Response {
    answer(parse(&number, "epoch").and_then(|number| blocking(|| it.coordinator.epoch(number))))
}

async fn balance_proof(State(it): Shared, Path((number, account)): Path<(String, String)>) -> Response {
    let look = || {
        let (number, account) = (parse(&number, "epoch")?, parse(&account, "account")?);
        blocking(|| it.coordinator.balance_proof(number, &account))
    };
    answer(look())
}

async fn log_page(State(it): Shared, Path(from): Path<String>) -> Response {
    answer(parse(&from, "record").and_then(|from| blocking(|| it.coordinator.log_page(from))))
}

fn bytes(result: Result<Vec<u8>>) -> Response {
    match result {
        Ok(bytes) => ([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response(),
        Err(fault) => answer::<()>(Err(fault)),
    }
}

async fn blob(State(it): Shared, Path(hash): Path<String>) -> Response {
    let look = || {
        let hash = parse(&hash, "blob")?;
        blocking(|| it.coordinator.blob(&hash))?.ok_or_else(|| unknown("blob", "the hash of kept bytes"))
    };
    bytes(look())
}

async fn model(State(it): Shared, Path(id): Path<String>) -> Response {
    bytes(parse(&id, "model").and_then(|id| blocking(|| it.coordinator.model(&id))))
}

async fn feed(State(it): Shared, Path(commitment): Path<String>) -> Response {
    let look = || {
        let commitment = parse(&commitment, "feed")?;
        blocking(|| it.coordinator.feed(&commitment))
            .ok_or_else(|| unknown("feed", "the commitment of a feed"))
    };
    answer(look())
}

async fn add_feed(State(it): Shared, headers: HeaderMap, body: Body) -> Response {
    let add = async {
        let doc: FeedDoc = read(&headers, body, BODY_BYTES_MAX).await?;
        Ok(IdDoc { id: blocking(|| it.coordinator.add_feed(&doc))? })
    };
    answer(add.await)
}

async fn order(State(it): Shared, headers: HeaderMap, body: Body) -> Response {
    let take = async {
        let what: What = read(&headers, body, SMALL_BODY_BYTES_MAX).await?;
        let domain = it.coordinator.domain();
        let id = match &what {
            What::NodeEnrolled(signed) => signed.order.digest(&domain),
            What::DeviceBound { bind, .. } => bind.order.digest(&domain),
            What::JobPosted(signed) => signed.order.digest(&domain),
            What::WithdrawalAsked(signed) => signed.order.digest(&domain),
            What::DisputeOpened(signed) => signed.order.digest(&domain),
            What::NodeThawed(signed) => signed.order.digest(&domain),
            _ => Hash32::ZERO, // refused below
        };
        it.coordinator.order(what).await?;
        Ok(IdDoc { id })
    };
    answer(take.await)
}

async fn deliver(State(it): Shared, headers: HeaderMap, body: Body) -> Response {
    let take = async {
        let doc: DeliverDoc = read(&headers, body, BODY_BYTES_MAX).await?;
        it.coordinator.deliver(&doc.receipt.0, &doc.evidence.0).await
    };
    answer(take.await)
}

async fn measure(State(it): Shared, headers: HeaderMap, body: Body) -> Response {
    let take = async {
        let doc: MeasureDoc = read(&headers, body, BODY_BYTES_MAX).await?;
        blocking(|| it.coordinator.measure(&doc))?;
        Ok(DoneDoc { done: true })
    };
    answer(take.await)
}

async fn close_epoch(State(it): Shared) -> Response {
    answer(it.coordinator.close_epoch().await)
}

async fn faucet(State(it): Shared, headers: HeaderMap, body: Body) -> Response {
    let mint = async {
        let doc: FaucetDoc = read(&headers, body, SMALL_BODY_BYTES_MAX).await?;
        Ok(MintedDoc { minted: it.coordinator.faucet(doc.account, doc.balance).await? })
    };
    answer(mint.await)
}

async fn enrol_device(State(it): Shared, headers: HeaderMap, body: Body) -> Response {
    let enrol = async {
        let doc: EnrolDeviceDoc = read(&headers, body, SMALL_BODY_BYTES_MAX).await?;
        it.coordinator.enrol_device(doc.device, doc.owner, doc.cell).await?;
        Ok(DoneDoc { done: true })
    };
    answer(enrol.await)
}

async fn pass_time(State(it): Shared, headers: HeaderMap, body: Body) -> Response {
    let pass = async {
        let doc: PassTimeDoc = read(&headers, body, SMALL_BODY_BYTES_MAX).await?;
        it.coordinator.pass_time(doc.seconds).await?;
        Ok(DoneDoc { done: true })
    };
    answer(pass.await)
}
