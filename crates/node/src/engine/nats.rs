//! The bus in NATS JetStream: every record of the journal as a message of one stream, in the journal's order.
//!
//! Record `n` is the stream's message `n + 1`: each is published with the last sequence that it expects, so that the server
//! itself refuses what is repeated, left out, or another publisher's. Whatever dies and starts again asks the stream where
//! it ends and goes on from there ([`follow`]); a stream that lost its end is filled again from the journal.
//!
//! | subject | what |
//! |---|---|
//! | `STREAM.events` | records, kept by the stream |
//! | `STREAM.work.0x...` | ids of jobs, 32 bytes, for the node of this account; not kept |
//!
//! A server with TLS is spoken to with TLS; else connections are plain, for loopback and private networks.

use super::bus::{Bus, Within};
use super::speak::{ANSWER, wait};
use crate::fault::{Fault, Kind, Result};
use crate::monitor::published;
use async_nats::jetstream::context::{CreateStreamErrorKind, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config, DirectGetErrorKind, DiscardPolicy, Stream};
use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectErrorKind, ConnectOptions};
use async_trait::async_trait;
use futures_util::stream::{BoxStream, StreamExt};
use proofmesh_market::{Address, Hash32};
use std::convert::Infallible;
use std::fmt::{self, Display};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

/// Records that are on their way to the server at once.
const PAGE: usize = 256;
/// How long nothing happens before a follower looks whether its server is there.
const QUIET: Duration = Duration::from_secs(10);
/// A message may be heard a moment before it can be read.
const HEARD_EARLY: Duration = Duration::from_millis(100);
/// Longest pause between attempts to reach a server that went away.
const AGAIN_MAX: Duration = Duration::from_secs(1);

/// Where a server is: `nats://HOST:PORT/STREAM`, the stream `proofmesh` if none is named. `NATS_TOKEN`, or `NATS_USER` and
/// `NATS_PASSWORD`, say who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At {
    address: String,
    stream: String,
}

impl Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NATS at {}", self.address)
    }
}

impl At {
    /// Reads a URL.
    ///
    /// # Errors
    /// `engine.url`, `engine.password`.
    pub fn parse(url: &str) -> Result<Self> {
        let bad =
            |got: &str| Fault::misuse("engine.url", "nats://HOST:PORT/STREAM", format_args!("{got:.60}"));
        let rest = url.strip_prefix("nats://").ok_or_else(|| bad(url))?;
        if rest.contains('@') {
            let expected = "who asks in NATS_TOKEN, or in NATS_USER and NATS_PASSWORD";
            return Err(Fault::misuse("engine.password", expected, "a URL with it"));
        }
        let (address, stream) = rest.split_once('/').unwrap_or((rest, ""));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let spelled = address.bytes().all(|byte| plain(byte) || b".:[]".contains(&byte));
        if address.is_empty() || !spelled || stream.len() > 32 || !stream.bytes().all(plain) {
            return Err(bad(rest));
        }
        let stream = if stream.is_empty() { "proofmesh" } else { stream };
        Ok(At { address: address.to_owned(), stream: stream.to_owned() })
    }

    fn away(&self, got: impl Display) -> Fault {
        let expected = format!("{self} to answer; start it, what waits goes on by itself");
        Fault::trouble("bus.unreachable", expected, got)
    }

    fn refused(&self, got: impl Display) -> Fault {
        Fault::trouble("bus.refused", format_args!("{self} to agree"), format_args!("{got:.200}"))
    }

    fn other_market(&self, number: u64) -> Fault {
        let stream = &self.stream;
        let expected = format!(
            "record {number} of this market in its place of the stream {stream}; name another stream, nats://{}/STREAM",
            self.address
        );
        Fault::refused("bus.other-market", expected, "another, or none")
    }

    async fn connect(&self) -> Result<Client> {
        let of = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let mut options = ConnectOptions::new()
            .name("proofmesh")
            .connection_timeout(ANSWER)
            .request_timeout(Some(ANSWER))
            .max_reconnects(None)
            .reconnect_delay_callback(|ends| AGAIN_MAX.min(Duration::from_millis(50 << ends.min(8))));
        if let Some(token) = of("NATS_TOKEN") {
            options = options.token(token);
        } else if let Some(user) = of("NATS_USER") {
            options = options.user_and_password(user, of("NATS_PASSWORD").unwrap_or_default());
        }
        let connected =
            tokio::time::timeout(ANSWER, options.connect(format!("nats://{}", self.address))).await;
        let client =
            connected.map_err(|_| self.away("no answer in time"))?.map_err(|error| match error.kind() {
                ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => self.refused(
                    format_args!("{error}; NATS_TOKEN, or NATS_USER and NATS_PASSWORD, say who asks"),
                ),
                _ => self.away(&error),
            })?;
        let info = client.server_info();
        if !info.jetstream || !info.headers {
            let got = "a server without: start nats-server with -js";
            return Err(Fault::refused("bus.refused", format_args!("{self} with JetStream"), got));
        }
        Ok(client)
    }

    /// Whether a server with JetStream answers there; gives its version.
    ///
    /// # Errors
    /// `bus.unreachable`, `bus.refused`.
    pub fn probe(&self) -> Result<String> {
        let at = self.clone();
        wait(async move { Ok(at.connect().await?.server_info().version) })
    }

    fn events(&self) -> String {
        format!("{}.events", self.stream)
    }

    /// Where offers for a node go.
    fn offers(&self, node: &Address) -> String {
        format!("{}.work.{node}", self.stream)
    }
}

/// The stream of a market's records.
#[derive(Clone)]
pub struct Nats {
    at: At,
    context: Context,
    stream: Stream,
}

impl fmt::Debug for Nats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nats({}, stream {})", self.at, self.at.stream)
    }
}

impl Nats {
    /// The stream there, made if it is not there. The connection is made again by itself when it is lost.
    ///
    /// # Errors
    /// `bus.unreachable`, `bus.refused`; `bus.settings` for a stream of this name that forgets.
    pub async fn open(at: At) -> Result<Self> {
        let mut context = jetstream::new(at.connect().await?);
        context.set_timeout(ANSWER);
        let config = Config {
            name: at.stream.clone(),
            subjects: vec![at.events()],
            discard: DiscardPolicy::New,
            allow_direct: true,
            deny_delete: true,
            deny_purge: true,
            ..Config::default()
        };
        let stream = match context.get_or_create_stream(config).await {
            Ok(stream) => stream,
            // Another may have made it at this moment: then it is there now.
            Err(error) => match context.get_stream(&at.stream).await {
                Ok(stream) => stream,
                Err(_) if error.kind() == CreateStreamErrorKind::TimedOut => return Err(at.away(error)),
                Err(_) => return Err(at.refused(format_args!("{error}, at the stream {}", at.stream))),
            },
        };
        let found = stream.cached_info();
        let kept = &found.config;
        let whole = kept.max_messages <= 0 && kept.max_bytes <= 0 && kept.max_age.is_zero();
        if !whole || !kept.allow_direct || kept.subjects != [at.events()] || found.state.first_sequence > 1 {
            let expected =
                format!("a stream {} that keeps all of {}, as one that this makes", at.stream, at.events());
            return Err(Fault::refused("bus.settings", expected, "one with other settings"));
        }
        Ok(Nats { at, context, stream })
    }

    /// How many records the stream has.
    ///
    /// # Errors
    /// `bus.unreachable`.
    pub async fn len(&self) -> Result<u64> {
        let info = self.stream.get_info().await.map_err(|error| self.at.away(error))?;
        Ok(info.state.last_sequence)
    }

    /// Publishes records `from ..`. What is in is not taken twice.
    ///
    /// # Errors
    /// `bus.other-market` when the stream has another record in a place, or lacks one before;
    /// `bus.unreachable`.
    pub async fn publish(&self, from: u64, records: &[Vec<u8>]) -> Result<()> {
        let mut answers = Vec::with_capacity(records.len());
        for (number, record) in (from..).zip(records) {
            let message =
                PublishMessage::build().payload(record.clone().into()).expected_last_sequence(number);
            let sent = self.context.send_publish(self.at.events(), message).await;
            answers.push((number, record, sent.map_err(|error| self.at.away(error))?));
        }
        for (number, record, answer) in answers {
            match answer.await {
                Ok(said) if said.sequence == number + 1 => {}
                Ok(_) => return Err(self.at.other_market(number)),
                // Something is there: this record, whose answer was lost before, or another.
                Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => {
                    if self.read(number).await?.as_ref() != Some(record) {
                        return Err(self.at.other_market(number));
                    }
                }
                Err(error) => return Err(self.at.away(error)),
            }
        }
        Ok(())
    }

    async fn read(&self, number: u64) -> Result<Option<Vec<u8>>> {
        // Sequences are 64 bits, and the first is 1.
        let Some(sequence) = number.checked_add(1) else { return Ok(None) };
        match self.stream.direct_get(sequence).await {
            Ok(found) => Ok(Some(found.payload.to_vec())),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.at.away(error)),
        }
    }

    async fn page(&self, from: u64, most: usize) -> Result<Vec<Vec<u8>>> {
        let mut records = Vec::new();
        while records.len() < most {
            let Some(number) = from.checked_add(records.len() as u64) else { break };
            let Some(record) = self.read(number).await? else { break };
            records.push(record);
        }
        Ok(records)
    }

    /// Tells a node that there is work for it.
    ///
    /// # Errors
    /// `bus.unreachable`.
    pub async fn offer(&self, node: &Address, job: &Hash32) -> Result<()> {
        let subject = self.at.offers(node);
        let sent = self.context.client().publish(subject, job.0.to_vec().into()).await;
        sent.map_err(|error| self.at.away(error))
    }
}

#[async_trait]
impl Bus for Nats {
    async fn events(&self, from: u64, most: usize, patience: Duration) -> Result<Vec<Vec<u8>>> {
        let (found, until) = (self.page(from, most).await?, Instant::now() + patience);
        if !found.is_empty() || most == 0 || patience.is_zero() {
            return Ok(found);
        }
        let heard = self.context.client().subscribe(self.at.events()).await;
        let mut heard = heard.map_err(|error| self.at.away(error))?;
        loop {
            // What came between the first look and the subscription is found here.
            let found = self.page(from, most).await?;
            if !found.is_empty() || tokio::time::timeout_at(until, heard.next()).await.is_err() {
                return Ok(found);
            }
            tokio::time::sleep(HEARD_EARLY.min(until.saturating_duration_since(Instant::now()))).await;
        }
    }

    async fn offers(&self, node: &Address) -> Result<BoxStream<'static, Hash32>> {
        let (client, at) = (self.context.client(), &self.at);
        let heard = client.subscribe(at.offers(node)).await.map_err(|error| at.away(error))?;
        client.flush().await.map_err(|error| at.away(error))?;
        let job = |message: async_nats::Message| async move {
            message.payload[..].try_into().ok().map(Hash32) // what is no id is no offer
        };
        // The client ends only with its last handle: this one goes along.
        let jobs = heard.filter_map(job).chain(futures_util::stream::pending());
        Ok(jobs.inspect(move |_| drop(client.clone())).boxed())
    }
}

/// Offers of a node at a URL, for a process that is not the coordinator's.
///
/// # Errors
/// `engine.url`, `bus.unreachable`, `bus.refused`.
pub async fn offers_at(url: &str, node: &Address) -> Result<BoxStream<'static, Hash32>> {
    Nats::open(At::parse(url)?).await?.offers(node).await
}

/// Publishes what a journal has and the stream has not, and goes on with whatever comes, until something fails. `heard` is
/// told how many records the stream has.
///
/// # Errors
/// `bus.unreachable`, `bus.refused`, `bus.settings`, `bus.other-market`; the journal's.
pub async fn follow(journal: &Within, at: &At, heard: &(dyn Fn(u64) + Sync)) -> Result<Infallible> {
    let mut offers = journal.all_offers();
    let nats = Nats::open(at.clone()).await?;
    let mut next = nats.len().await?;
    if let Some(last) = next.checked_sub(1) {
        let own = journal.events(last, 1, Duration::ZERO).await?;
        if own.is_empty() || own != nats.page(last, 1).await? {
            return Err(at.other_market(last));
        }
    }
    heard(next);
    loop {
        tokio::select! {
            offer = offers.recv() => match offer {
                Ok(offer) => nats.offer(&offer.node, &offer.job).await?,
                Err(RecvError::Lagged(_)) => {} // nodes look by themselves, too
                Err(RecvError::Closed) => return Err(at.away("the book is gone")),
            },
            records = journal.events(next, PAGE, QUIET) => {
                let records = records?;
                if records.is_empty() && nats.len().await? != next {
                    return Err(at.away("a stream that changed; looked at again"));
                }
                nats.publish(next, &records).await?;
                next += records.len() as u64;
                heard(next);
            }
        }
    }
}

/// Follows a journal as long as this runs; says what is in the way, each thing once until the bus goes on.
pub async fn stay(journal: &Within, at: &At, tell: &(dyn Fn(&str) + Sync)) {
    let told = Mutex::new(String::new());
    let last = || told.lock().unwrap_or_else(PoisonError::into_inner);
    let heard = |events| {
        published(events);
        if !std::mem::take(&mut *last()).is_empty() {
            tell(&format!("bus: {at} goes on at event {events}"));
        }
    };
    loop {
        let Err(fault) = follow(journal, at, &heard).await;
        if *last() != fault.name {
            tell(&format!("bus: {fault}"));
            last().clone_from(&fault.name);
        }
        // What no waiting helps with is looked at seldom.
        let passes = fault.kind == Kind::Trouble;
        tokio::time::sleep(if passes { AGAIN_MAX } else { QUIET }).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_server_and_a_stream_and_nothing_else() {
        for url in ["nats://", "nats:///s", "nats://h:1/a.b", "nats://h:1/a/b", "nats://h 1/s", "redis://h:1"]
        {
            assert!(At::parse(url).expect_err(url).is("engine.url"), "{url}");
        }
        assert!(At::parse("nats://me:secret@h:1/s").expect_err("a secret").is("engine.password"));
        let at = At::parse("nats://h:1").expect("a server");
        assert_eq!((at.address.as_str(), at.events().as_str()), ("h:1", "proofmesh.events"));
    }
}
