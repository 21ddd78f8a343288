//! What anybody may see of the market, and what is handed in to it.

use super::access::Identity;
use super::{BODY_BYTES_MAX, SMALL_BODY_BYTES_MAX, Shared, answer, blocking, parse, read, unknown};
use crate::coordinator::Page;
use crate::fault::{Fault, Result};
use crate::keys::{Caller, Scope};
use crate::monitor::collect::collect;
use crate::wire::{
    ChallengeDoc, DeliverDoc, DoneDoc, EnrolDeviceDoc, FaucetDoc, FeedDoc, HandOverDoc, IdDoc, MeasureDoc,
    MintedDoc, MoveDoc, MovedDoc, PAGE, PassTimeDoc, ReadyDoc,
};
use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use proofmesh_market::order::Order;
use proofmesh_market::{Hash32, What};

pub(super) async fn status(State(it): Shared) -> Response {
    answer(blocking(|| it.coordinator.status(it.rpc.clone())))
}

pub(super) async fn account(State(it): Shared, Path(account): Path<String>) -> Response {
    let look = async {
        let account = parse(&account, "account")?;
        it.coordinator.sync_chain().await?;
        Ok(blocking(|| it.coordinator.account(&account)))
    };
    answer(look.await)
}

pub(super) async fn node(State(it): Shared, Path(node): Path<String>) -> Response {
    let look = async {
        let node = parse(&node, "node")?;
        it.coordinator.sync_chain().await?;
        it.coordinator.look_at_stake(node).await?;
        blocking(|| it.coordinator.node(&node))
    };
    answer(look.await)
}

pub(super) async fn members(State(it): Shared) -> Response {
    answer(Ok(blocking(|| it.coordinator.members())))
}

pub(super) async fn newest_receipts(State(it): Shared) -> Response {
    answer(Ok(blocking(|| it.coordinator.newest_receipts())))
}

pub(super) async fn newest_epochs(State(it): Shared) -> Response {
    answer(Ok(blocking(|| it.coordinator.newest_epochs())))
}

pub(super) async fn model_cards(State(it): Shared) -> Response {
    answer(blocking(|| it.coordinator.model_cards()))
}

pub(super) async fn economics(State(it): Shared) -> Response {
    let look = async {
        it.coordinator.sync_chain().await?;
        it.coordinator.economics().await
    };
    answer(look.await)
}

pub(super) async fn guards(State(it): Shared) -> Response {
    answer(blocking(|| it.coordinator.guards()))
}

pub(super) async fn seed(
    State(it): Shared,
    Extension(Identity(who)): Extension<Identity>,
    Path(second): Path<String>,
) -> Response {
    let may_write = who.and_then(|caller| caller.require(Scope::Submit)).is_ok();
    let look = async { Ok(IdDoc { id: it.coordinator.seed(parse(&second, "second")?, may_write).await? }) };
    answer(look.await)
}

pub(super) async fn chain_epoch(State(it): Shared, Path(number): Path<String>) -> Response {
    let look = async { it.coordinator.chain_epoch(parse(&number, "epoch")?).await };
    answer(look.await)
}

pub(super) async fn challenge(State(it): Shared, Path(node): Path<String>) -> Response {
    let context = parse(&node, "node").and_then(|node| blocking(|| it.coordinator.challenge(&node)));
    answer(context.map(|context| ChallengeDoc { context }))
}

pub(super) async fn jobs(State(it): Shared, RawQuery(query): RawQuery) -> Response {
    answer(page(query).map(|page| blocking(|| it.coordinator.jobs(&page))))
}

pub(super) async fn jobs_of(
    State(it): Shared,
    Path(node): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let look = || {
        let (node, page) = (parse(&node, "node")?, page(query)?);
        Ok(blocking(|| it.coordinator.jobs_of(&node, &page)))
    };
    answer(look())
}

/// `after` and `limit` of a query.
fn page(query: Option<String>) -> Result<Page> {
    let mut page = Page { after: None, limit: PAGE };
    for pair in query.iter().flat_map(|query| query.split('&')).filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("after", value)) => page.after = Some(parse(value, "page.after")?),
            Some(("limit", value)) => page.limit = parse(value, "page.limit")?,
            _ => {
                return Err(Fault::misuse(
                    "page.query",
                    "after=HASH, limit=NUMBER",
                    format_args!("{pair:.80}"),
                ));
            }
        }
    }
    if (1..=PAGE).contains(&page.limit) {
        return Ok(page);
    }
    Err(Fault::misuse("page.limit", format_args!("1 to {PAGE}"), page.limit))
}

pub(super) async fn job(State(it): Shared, Path(job): Path<String>) -> Response {
    answer(parse(&job, "job").and_then(|job| blocking(|| it.coordinator.job(&job))))
}

pub(super) async fn receipts_of(
    State(it): Shared,
    Path(job): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let look = || {
        let (job, page): (Hash32, Page) = (parse(&job, "job")?, page(query)?);
        blocking(|| it.coordinator.receipts_of(&job, &page))
    };
    answer(look())
}

pub(super) async fn receipt(State(it): Shared, Path(digest): Path<String>) -> Response {
    answer(parse(&digest, "receipt").and_then(|digest| blocking(|| it.coordinator.receipt(&digest))))
}

pub(super) async fn receipt_proof(State(it): Shared, Path(digest): Path<String>) -> Response {
    answer(parse(&digest, "receipt").and_then(|digest| blocking(|| it.coordinator.receipt_proof(&digest))))
}

pub(super) async fn epoch(State(it): Shared, Path(number): Path<String>) -> Response {
    answer(parse(&number, "epoch").and_then(|number| blocking(|| it.coordinator.epoch(number))))
}

pub(super) async fn balance_proof(
    State(it): Shared,
    Path((number, account)): Path<(String, String)>,
) -> Response {
    let look = || {
        let (number, account) = (parse(&number, "epoch")?, parse(&account, "account")?);
        blocking(|| it.coordinator.balance_proof(number, &account))
    };
    answer(look())
}

pub(super) async fn log_page(State(it): Shared, Path(from): Path<String>) -> Response {
    answer(parse(&from, "record").and_then(|from| blocking(|| it.coordinator.log_page(from))))
}

fn bytes(result: Result<Vec<u8>>) -> Response {
    match result {
        Ok(bytes) => ([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response(),
        Err(fault) => answer::<()>(Err(fault)),
    }
}

pub(super) async fn blob(State(it): Shared, Path(hash): Path<String>) -> Response {
    let look = || {
        let hash = parse(&hash, "blob")?;
        blocking(|| it.coordinator.blob(&hash))?.ok_or_else(|| unknown("blob", "the hash of kept bytes"))
    };
    bytes(look())
}

pub(super) async fn model(State(it): Shared, Path(id): Path<String>) -> Response {
    bytes(parse(&id, "model").and_then(|id| blocking(|| it.coordinator.model(&id))))
}

pub(super) async fn verifier(State(it): Shared, Path(id): Path<String>) -> Response {
    let look = || {
        let key = parse(&id, "model").and_then(|id| blocking(|| it.coordinator.verifier(&id)))?;
        key.map(|key| key.0.to_vec()).ok_or_else(|| unknown("verifier", "a model with a verifier"))
    };
    bytes(look())
}

pub(super) async fn feed(State(it): Shared, Path(commitment): Path<String>) -> Response {
    let look = || {
        let commitment = parse(&commitment, "feed")?;
        blocking(|| it.coordinator.feed(&commitment))?
            .ok_or_else(|| unknown("feed", "the commitment of a feed"))
    };
    answer(look())
}

pub(super) async fn add_feed(
    State(it): Shared,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let add = async {
        let doc: FeedDoc = read(&headers, body, BODY_BYTES_MAX).await?;
        Ok(IdDoc { id: blocking(|| it.coordinator.add_feed(&caller.tenant, &doc))? })
    };
    answer(add.await)
}

pub(super) async fn order(State(it): Shared, headers: HeaderMap, body: Body) -> Response {
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
            What::Pledged(signed) => signed.order.digest(&domain),
            What::Offered(signed) => signed.order.digest(&domain),
            What::Limited(signed) => signed.order.digest(&domain),
            What::DeviceCertified(signed) => signed.order.digest(&domain),
            _ => Hash32::ZERO, // refused below
        };
        it.coordinator.order(what).await?;
        Ok(IdDoc { id })
    };
    answer(take.await)
}

pub(super) async fn hand_over(State(it): Shared, headers: HeaderMap, body: Body) -> Response {
    let take = async {
        let doc: HandOverDoc = read(&headers, body, BODY_BYTES_MAX).await?;
        Ok(IdDoc { id: it.coordinator.order_wrap(doc).await? })
    };
    answer(take.await)
}

pub(super) async fn deliver(State(it): Shared, headers: HeaderMap, body: Body) -> Response {
    let take = async {
        let doc: DeliverDoc = read(&headers, body, BODY_BYTES_MAX).await?;
        it.coordinator.deliver(&doc.receipt.0, doc.evidence.0, doc.at_once == Some(true)).await
    };
    answer(take.await)
}

pub(super) async fn measure(State(it): Shared, headers: HeaderMap, body: Body) -> Response {
    let take = async {
        let doc: MeasureDoc = read(&headers, body, BODY_BYTES_MAX).await?;
        blocking(|| it.coordinator.measure(&doc))?;
        Ok(DoneDoc { done: true })
    };
    answer(take.await)
}

pub(super) async fn ready(State(it): Shared, headers: HeaderMap, body: Body) -> Response {
    let take = async {
        let doc: ReadyDoc = read(&headers, body, BODY_BYTES_MAX).await?;
        blocking(|| it.coordinator.ready(&doc))?;
        Ok(DoneDoc { done: true })
    };
    answer(take.await)
}

pub(super) async fn close_epoch(State(it): Shared) -> Response {
    answer(it.coordinator.close_epoch(None).await)
}

pub(super) async fn close_epoch_again(State(it): Shared, Path(receipt): Path<String>) -> Response {
    let close = async { it.coordinator.close_epoch(Some(parse(&receipt, "receipt")?)).await };
    answer(close.await)
}

pub(super) async fn faucet(State(it): Shared, headers: HeaderMap, body: Body) -> Response {
    let mint = async {
        let doc: FaucetDoc = read(&headers, body, SMALL_BODY_BYTES_MAX).await?;
        Ok(MintedDoc { minted: it.coordinator.faucet(doc.account, doc.balance).await? })
    };
    answer(mint.await)
}

pub(super) async fn enrol_device(State(it): Shared, headers: HeaderMap, body: Body) -> Response {
    let enrol = async {
        let doc: EnrolDeviceDoc = read(&headers, body, SMALL_BODY_BYTES_MAX).await?;
        it.coordinator.enrol_device(doc.device, doc.owner, doc.cell).await?;
        Ok(DoneDoc { done: true })
    };
    answer(enrol.await)
}

pub(super) async fn move_to(State(it): Shared, headers: HeaderMap, body: Body) -> Response {
    let moved = async {
        let doc: MoveDoc = read(&headers, body, SMALL_BODY_BYTES_MAX).await?;
        let coordinator = it.coordinator.clone();
        // On a thread of its own: it goes on when nobody waits for the answer any more.
        let moving = tokio::task::spawn_blocking(move || {
            let waited_ms = coordinator.move_to(&doc.engines())?;
            MovedDoc::of(coordinator.dir(), waited_ms)
        });
        moving.await.map_err(|error| Fault::trouble("machine.threads", "a move to its end", error))?
    };
    answer(moved.await)
}

pub(super) async fn pass_time(State(it): Shared, headers: HeaderMap, body: Body) -> Response {
    let pass = async {
        let doc: PassTimeDoc = read(&headers, body, SMALL_BODY_BYTES_MAX).await?;
        it.coordinator.pass_time(doc.seconds).await?;
        Ok(DoneDoc { done: true })
    };
    answer(pass.await)
}

pub(super) async fn metrics(State(it): Shared) -> Response {
    match collect(&it.coordinator).await {
        Ok(page) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], page.text()).into_response(),
        Err(fault) => answer::<()>(Err(fault)),
    }
}
