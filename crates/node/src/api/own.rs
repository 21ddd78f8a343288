//! The owner's routes, `/v1/own/...`: every one of them asks for the owner's key first, also those that do not exist.

use super::{SMALL_BODY_BYTES_MAX, Served, Shared, answer, blocking, parse, read, read_bytes, unknown};
use crate::device::intake::Payload;
use crate::own::{BudgetDoc, WantedDoc};
use crate::owner::{GrantDoc, Limits};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use proofmesh_services::senml::PACK_BYTES_MAX;

pub(super) fn routes(served: &Served) -> Router<Served> {
    let own = Router::new()
        .route("/", get(all))
        .route("/nodes/{name}", get(node))
        .route("/nodes/{name}/readings", post(push))
        .route("/nodes/{name}/limits", post(set_limits))
        .route("/nodes/{name}/grants", post(give))
        .route("/nodes/{name}/grants/{id}/withdraw", post(withdraw_grant))
        .route("/claim/{name}", post(claim))
        .route("/quote", post(quote))
        .route("/jobs", post(buy))
        .route("/budget", post(set_budget))
        .route("/withdraw", post(withdraw))
        .fallback(|| async { answer::<()>(Err(unknown("path", "a path of crates/node/API.md"))) })
        .layer(from_fn_with_state(served.clone(), require_owner));
    Router::new().nest("/v1/own", own)
}

async fn require_owner(State(it): Shared, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|given| given.to_str().ok());
    let given = given.map(|given| given.strip_prefix("Bearer ").unwrap_or(given).to_owned());
    match it.own.require_key(given.as_deref()) {
        Ok(()) => next.run(request).await,
        Err(fault) => (StatusCode::UNAUTHORIZED, axum::Json(fault)).into_response(),
    }
}

async fn all(State(it): Shared) -> Response {
    let look = async {
        it.coordinator.sync_chain().await?;
        it.own.all().await
    };
    answer(look.await)
}

async fn node(State(it): Shared, Path(name): Path<String>) -> Response {
    answer(it.own.node(&name).await)
}

/// Readings of a live node, in the media types of docs/devices.md.
async fn push(State(it): Shared, Path(name): Path<String>, headers: HeaderMap, body: Body) -> Response {
    let take = async {
        let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let payload = Payload::of_media_type(kind)?;
        let bytes = read_bytes(&headers, body, PACK_BYTES_MAX).await?;
        blocking(|| it.own.push(&name, payload, &bytes))
    };
    answer(take.await)
}

async fn set_limits(State(it): Shared, Path(name): Path<String>, headers: HeaderMap, body: Body) -> Response {
    let set = async {
        let limits: Limits = read(&headers, body, SMALL_BODY_BYTES_MAX).await?;
        it.own.set_limits(&name, limits).await
    };
    answer(set.await)
}

async fn give(State(it): Shared, Path(name): Path<String>, headers: HeaderMap, body: Body) -> Response {
    let give = async {
        let grant: GrantDoc = read(&headers, body, SMALL_BODY_BYTES_MAX).await?;
        it.own.give(&name, grant).await
    };
    answer(give.await)
}

async fn withdraw_grant(State(it): Shared, Path((name, id)): Path<(String, String)>) -> Response {
    let withdraw = async { it.own.withdraw_grant(&name, parse(&id, "grant")?).await };
    answer(withdraw.await)
}

async fn claim(State(it): Shared, Path(name): Path<String>) -> Response {
    answer(it.own.claim(&name).await)
}

async fn quote(State(it): Shared, headers: HeaderMap, body: Body) -> Response {
    let look = async {
        let wanted: WantedDoc = read(&headers, body, SMALL_BODY_BYTES_MAX).await?;
        super::blocking(|| it.own.quote(&wanted))
    };
    answer(look.await)
}

async fn buy(State(it): Shared, headers: HeaderMap, body: Body) -> Response {
    let buy = async {
        let wanted: WantedDoc = read(&headers, body, SMALL_BODY_BYTES_MAX).await?;
        it.own.buy(&wanted).await
    };
    answer(buy.await)
}

async fn set_budget(State(it): Shared, headers: HeaderMap, body: Body) -> Response {
    let set = async {
        let budget: BudgetDoc = read(&headers, body, SMALL_BODY_BYTES_MAX).await?;
        it.own.set_budget(budget).await
    };
    answer(set.await)
}

async fn withdraw(State(it): Shared) -> Response {
    answer(it.own.withdraw().await)
}
