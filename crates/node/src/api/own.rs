//! A tenant's routes, `/v1/own/...`: what they show and change is the caller's own.

use super::{SMALL_BODY_BYTES_MAX, Shared, answer, blocking, parse, read, read_bytes};
use crate::device::intake::Payload;
use crate::keys::Caller;
use crate::own::{BudgetDoc, WantedDoc};
use crate::owner::{GrantDoc, Limits};
use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use proofmesh_services::senml::PACK_BYTES_MAX;

type By = Extension<Caller>;

pub(super) async fn all(State(it): Shared, by: By) -> Response {
    let look = async {
        it.coordinator.sync_chain().await?;
        it.own.of(&by.tenant).all().await
    };
    answer(look.await)
}

pub(super) async fn node(State(it): Shared, by: By, Path(name): Path<String>) -> Response {
    answer(it.own.of(&by.tenant).node(&name).await)
}

/// Readings of a live node, in the media types of docs/devices.md.
pub(super) async fn push(
    State(it): Shared,
    by: By,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let take = async {
        let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let payload = Payload::of_media_type(kind)?;
        let bytes = read_bytes(&headers, body, PACK_BYTES_MAX).await?;
        blocking(|| it.own.of(&by.tenant).push(&name, payload, &bytes))
    };
    answer(take.await)
}

pub(super) async fn set_limits(
    State(it): Shared,
    by: By,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let set = async {
        let limits: Limits = read(&headers, body, SMALL_BODY_BYTES_MAX).await?;
        it.own.of(&by.tenant).set_limits(&name, limits).await
    };
    answer(set.await)
}

pub(super) async fn give(
    State(it): Shared,
    by: By,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let give = async {
        let grant: GrantDoc = read(&headers, body, SMALL_BODY_BYTES_MAX).await?;
        it.own.of(&by.tenant).give(&name, grant).await
    };
    answer(give.await)
}

pub(super) async fn withdraw_grant(
    State(it): Shared,
    by: By,
    Path((name, id)): Path<(String, String)>,
) -> Response {
    let withdraw = async { it.own.of(&by.tenant).withdraw_grant(&name, parse(&id, "grant")?).await };
    answer(withdraw.await)
}

pub(super) async fn claim(State(it): Shared, by: By, Path(name): Path<String>) -> Response {
    answer(it.own.of(&by.tenant).claim(&name).await)
}

pub(super) async fn quote(State(it): Shared, by: By, headers: HeaderMap, body: Body) -> Response {
    let look = async {
        let wanted: WantedDoc = read(&headers, body, SMALL_BODY_BYTES_MAX).await?;
        super::blocking(|| it.own.of(&by.tenant).quote(&wanted))
    };
    answer(look.await)
}

pub(super) async fn buy(State(it): Shared, by: By, headers: HeaderMap, body: Body) -> Response {
    let buy = async {
        let wanted: WantedDoc = read(&headers, body, SMALL_BODY_BYTES_MAX).await?;
        it.own.of(&by.tenant).buy(&wanted).await
    };
    answer(buy.await)
}

pub(super) async fn set_budget(State(it): Shared, by: By, headers: HeaderMap, body: Body) -> Response {
    let set = async {
        let budget: BudgetDoc = read(&headers, body, SMALL_BODY_BYTES_MAX).await?;
        it.own.of(&by.tenant).set_budget(budget).await
    };
    answer(set.await)
}

pub(super) async fn withdraw(State(it): Shared, by: By) -> Response {
    answer(it.own.of(&by.tenant).withdraw().await)
}
