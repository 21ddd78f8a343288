//! The bus: what happened, in the journal's order, and offers that wake nodes.
//!
//! *The journal decides, a bus follows.* A reader that counts records needs nothing else to take every one exactly once:
//! [`Bus::events`] gives them by their number. *Offers* are no promise: a node that hears one, or has heard none for a
//! while, asks the coordinator what is its, so that an offer that is lost or repeated changes nothing.
//!
//! Embedded, it is [`Within`] one process; by URL, [`super::nats`]. Both have one conformance suite (`tests/node/bus.rs`).

use super::Records;
use crate::fault::Result;
use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt};
use proofmesh_market::{Address, Effect, Hash32};
use std::fmt;
use std::time::Duration;
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;

/// Offers that a listener may be behind before it misses some.
const OFFERS_MAX: usize = 1_024;

/// What readers and nodes hear.
#[async_trait]
pub trait Bus: Send + Sync + fmt::Debug {
    /// Records `from ..`, at most `most`. If there are none yet it waits for the first, `patience` at most, and gives none then.
    ///
    /// # Errors
    /// The journal's; `bus.unreachable`, `bus.refused` of a server.
    async fn events(&self, from: u64, most: usize, patience: Duration) -> Result<Vec<Vec<u8>>>;

    /// Jobs that a node is drawn for from now on. The stream does not end.
    ///
    /// # Errors
    /// `bus.unreachable`, `bus.refused` of a server.
    async fn offers(&self, node: &Address) -> Result<BoxStream<'static, Hash32>>;
}

/// A node was drawn for a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The node.
    pub node: Address,
    /// The job.
    pub job: Hash32,
}

/// What a book says aloud in its process: that there is news, and offers.
#[derive(Clone, Debug)]
pub struct Voice {
    news: watch::Sender<()>,
    offers: broadcast::Sender<Offer>,
}

impl Default for Voice {
    fn default() -> Self {
        Voice { news: watch::Sender::new(()), offers: broadcast::Sender::new(OFFERS_MAX) }
    }
}

impl Voice {
    /// Wakes whoever waits for news.
    pub fn tell_news(&self) {
        self.news.send_replace(());
    }

    /// Says what follows from an event that is durable: news, and offers to the nodes that were drawn.
    pub fn tell(&self, effects: &[Effect]) {
        for effect in effects {
            if let Effect::Assigned { job, nodes } = effect {
                for node in nodes {
                    let _ = self.offers.send(Offer { node: *node, job: *job }); // nobody may listen
                }
            }
        }
        self.tell_news();
    }

    /// Changes whenever something happened.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// Offers from now on.
    #[must_use]
    pub fn offers(&self) -> broadcast::Receiver<Offer> {
        self.offers.subscribe()
    }
}

/// The bus of one process: the journal itself, and the voice of its book.
#[derive(Clone)]
pub struct Within {
    voice: Voice,
    records: Records,
}

impl fmt::Debug for Within {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Within")
    }
}

impl Within {
    /// The bus of a journal.
    #[must_use]
    pub fn new(voice: Voice, records: Records) -> Self {
        Within { voice, records }
    }

    /// All offers from now on.
    #[must_use]
    pub fn all_offers(&self) -> broadcast::Receiver<Offer> {
        self.voice.offers()
    }
}

#[async_trait]
impl Bus for Within {
    async fn events(&self, from: u64, most: usize, patience: Duration) -> Result<Vec<Vec<u8>>> {
        let (mut news, until) = (self.voice.news(), Instant::now() + patience);
        loop {
            let found = tokio::task::block_in_place(|| (self.records)(from, most))?;
            // Closed or too late: what there is.
            let waits = found.is_empty() && most > 0;
            if !waits || !matches!(tokio::time::timeout_at(until, news.changed()).await, Ok(Ok(()))) {
                return Ok(found);
            }
        }
    }

    async fn offers(&self, node: &Address) -> Result<BoxStream<'static, Hash32>> {
        let node = *node;
        let jobs = stream::unfold(self.voice.offers(), move |mut offers| async move {
            loop {
                match offers.recv().await {
                    Ok(offer) if offer.node == node => return Some((offer.job, offers)),
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                    // Its book is gone: nothing more comes.
                    Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
                }
            }
        });
        Ok(jobs.boxed())
    }
}
