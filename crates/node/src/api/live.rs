//! `GET /v1/events`: server-sent events, one `news` whenever something happened, and one every quarter minute.
//!
//! Refuses: `api.too-many-listeners`.

use super::{Shared, answer, blocking};
use crate::fault::Fault;
use axum::extract::State;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use std::convert::Infallible;
use std::time::Duration;

/// Streams that are open at a time.
pub(super) const LISTENERS_MAX: usize = 64;
/// Things that happen within this time are one piece of news.
const TOGETHER: Duration = Duration::from_millis(120);
/// News of the clock, if nothing else happened.
const AT_LEAST: Duration = Duration::from_secs(15);

pub(super) async fn events(State(it): Shared) -> Response {
    let Ok(place) = it.listeners.clone().try_acquire_owned() else {
        let fault = Fault::trouble("api.too-many-listeners", LISTENERS_MAX, "one more");
        return answer::<()>(Err(fault));
    };
    let news = blocking(|| it.coordinator.news());
    let stream = stream::unfold((it, news, place, true), |(it, mut news, place, first)| async move {
        if !first {
            // Closed or too long without news: the clock is news.
            let _ = tokio::time::timeout(AT_LEAST, news.changed()).await;
            tokio::time::sleep(TOGETHER).await;
            news.mark_unchanged();
        }
        let doc = blocking(|| it.coordinator.news_now());
        let event = Event::default().event("news").json_data(doc).unwrap_or_default();
        Some((Ok::<_, Infallible>(event), (it, news, place, false)))
    });
    Sse::new(stream).into_response()
}
