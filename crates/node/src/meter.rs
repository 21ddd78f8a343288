//! Metered lines through the network: bytes carried, wireless packets heard, watt-hours delivered. Each side has its own
//! meter; every tick the provider signs its total and the consumer, when its own meter shows as much, signs too. A full
//! range of ticks is the evidence of a receipt. What the sides check of each other: `proofmesh_services::metered::session`.
//!
//! Meters: a file whose first number is a running count (an interface's `tx_bytes` and `rx_bytes` under
//! `/sys/class/net`, a register that an energy meter's reader writes), or the gateways' own datagrams: Semtech's UDP
//! protocol, PUSH_DATA counted, acknowledged and passed on, PULL_DATA acknowledged.
//!
//! The consumer answers `POST /tick` with the tick signed by both. A side that stops or restarts ends its line; what was
//! signed until then is paid.
//!
//! Refuses: `meter.file`, `meter.not-mine`, `meter.listen`, and the names of the session.

use crate::client::Client;
use crate::fault::{Fault, Result};
use crate::member::Member;
use crate::pledge::Takes;
use crate::wire::{Delivered, Hex, JobDoc, ReadyDoc};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use proofmesh_market::receipt::output_hash;
use proofmesh_market::{DeviceSecret, DeviceSignature, Hash32, Known, Receipt, Usd, keccak};
use proofmesh_services::metered::semtech::{PacketMeter, PushData};
use proofmesh_services::metered::session::{Consumer, Offered, Provider};
use proofmesh_services::metered::{Line, Range, SERVICE, SignedTick, Terms};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// Bytes of a meter's file that are read.
const FILE_BYTES_MAX: usize = 4_096;
/// Kind bytes of the gateways' keep-alive and of its answer.
const PULL: (u8, u8) = (2, 4);

/// One side's meter.
pub enum Gauge {
    /// Growth of the first number in a file.
    File {
        /// The file.
        path: PathBuf,
        /// What it showed at the beginning.
        from: u64,
    },
    /// Packets that gateways pushed.
    Packets(Gateways),
}

impl Gauge {
    /// A file's meter, from what it shows now.
    ///
    /// # Errors
    /// `meter.file`, `file.io`.
    pub fn file(path: &Path) -> Result<Self> {
        Ok(Gauge::File { path: path.to_owned(), from: first_number(path)? })
    }

    /// What was counted since the beginning. A file that shows less than before counts as no growth.
    ///
    /// # Errors
    /// `meter.file`, `file.io`.
    pub fn total(&self) -> Result<u64> {
        match self {
            Gauge::File { path, from } => Ok(first_number(path)?.saturating_sub(*from)),
            Gauge::Packets(gateways) => Ok(gateways.total()),
        }
    }

    /// Nothing beyond this total is delivered.
    fn allow(&self, limit: u64) {
        if let Gauge::Packets(gateways) = self {
            gateways.limit.store(limit, Ordering::SeqCst);
        }
    }
}

fn first_number(path: &Path) -> Result<u64> {
    use std::io::Read;
    let io = |error: std::io::Error| Fault::file(path, &error);
    let mut text = Vec::new();
    std::fs::File::open(path).map_err(io)?.take(FILE_BYTES_MAX as u64).read_to_end(&mut text).map_err(io)?;
    let text = String::from_utf8_lossy(&text);
    let number = text.split_whitespace().next().and_then(|word| word.parse().ok());
    number
        .ok_or_else(|| Fault::refused("meter.file", "a file that begins with a whole number", path.display()))
}

/// A UDP socket that gateways push to.
pub struct Gateways {
    /// Where it listens.
    pub address: SocketAddr,
    meter: Arc<Mutex<PacketMeter>>,
    limit: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Drop for Gateways {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Gateways {
    /// Listens; passes what it counted on to `forward`, the consumer's own socket. A provider starts with nothing allowed,
    /// a consumer (without `forward`) counts whatever comes.
    ///
    /// # Errors
    /// `meter.listen`.
    pub async fn listen(address: SocketAddr, forward: Option<SocketAddr>) -> Result<Self> {
        let failed = |error: std::io::Error| Fault::trouble("meter.listen", address, error);
        let socket = UdpSocket::bind(address).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        let meter = Arc::new(Mutex::new(PacketMeter::default()));
        let limit = Arc::new(AtomicU64::new(if forward.is_some() { 0 } else { u64::MAX }));
        let task = tokio::spawn(hear(socket, meter.clone(), limit.clone(), forward));
        Ok(Gateways { address, meter, limit, task })
    }

    /// Packets so far.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.meter.lock().unwrap_or_else(PoisonError::into_inner).total()
    }
}

/// Counts and acknowledges. What is beyond the limit is neither: its gateway sends it again.
async fn hear(
    socket: UdpSocket,
    meter: Arc<Mutex<PacketMeter>>,
    limit: Arc<AtomicU64>,
    forward: Option<SocketAddr>,
) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        // Errors of single datagrams (an unreachable peer's answer) are not the socket's end.
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
        let datagram = &buffer[..length];
        if let [version @ 2, high, low, kind, _, ..] = datagram
            && *kind == PULL.0
        {
            let _ = socket.send_to(&[*version, *high, *low, PULL.1], from).await; // UDP promises nothing
            continue;
        }
        let Ok(push) = PushData::decode(datagram) else { continue };
        let counted = {
            let mut meter = meter.lock().unwrap_or_else(PoisonError::into_inner);
            let room = limit.load(Ordering::SeqCst).saturating_sub(meter.total());
            let fits = push.packets.len() as u64 <= room;
            fits.then(|| meter.count(&push))
        };
        let Some(new) = counted else { continue };
        let _ = socket.send_to(&push.answer(), from).await;
        if let Some(consumer) = forward.filter(|_| new > 0) {
            let _ = socket.send_to(datagram, consumer).await;
        }
    }
}

/// A tick on its way between the sides: the consumer's signature is zero until it signed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TickDoc {
    /// `SignedTick`'s bytes.
    pub wire: Hex,
}

/// The line of a job: its provider is the one device that it names.
///
/// # Errors
/// `meter.not-mine`, `metered.terms`.
pub fn line(job: &JobDoc) -> Result<Line> {
    let terms = Terms::decode(&job.job.terms).map_err(|reason| Fault::from(&reason))?;
    match (job.job.service == SERVICE.id(), job.job.devices.as_slice()) {
        (true, [provider]) => {
            Ok(Line { job: job.id, provider: *provider, from_s: job.job.window_from_s, terms })
        }
        _ => Err(Fault::refused("meter.not-mine", "a metered job with one device", job.id)),
    }
}

/// Joins the market as a provider, and answers its challenge.
///
/// # Errors
/// The market's and the chain's refusals.
pub async fn join(client: Client, dir: &Path, name: &str) -> Result<Member> {
    let member = Member::open(client, dir, name).await?;
    member.join(member.client.status().await?.rules.min_stake).await?;
    let (node, device) = (member.address(), member.device.device());
    let context = member.client.challenge(&node).await?.context;
    let evidence = proofmesh_services::ready::metered_answer(&context, &member.device)?;
    member.client.ready(&ReadyDoc { node, service: SERVICE.id(), device, evidence: Hex(evidence) }).await?;
    member.offer(SERVICE.id(), Takes::named(Usd::ZERO)).await?;
    member.resume().await?;
    Ok(member)
}

/// What a look at the clock did.
#[derive(Debug)]
pub enum Ticked {
    /// No tick is due.
    Nothing,
    /// Both signed this tick.
    Signed(u64),
    /// And a range was handed in.
    HandedIn(Box<Delivered>),
}

/// The provider's side of a line.
pub struct Delivery {
    member: Member,
    job: JobDoc,
    line: Line,
    session: Provider,
    /// Its meter.
    pub gauge: Gauge,
    consumer: Client,
    range: Option<(SignedTick, SignedTick)>,
}

impl Delivery {
    /// A line before its tick 0.
    ///
    /// # Errors
    /// `meter.not-mine`, the API's.
    pub async fn begin(member: Member, job: &Hash32, consumer: &str, gauge: Gauge) -> Result<Self> {
        let job = member.client.job(job).await?;
        let line = line(&job)?;
        if line.provider != member.device.device() || !job.nodes.contains(&member.address()) {
            return Err(Fault::refused("meter.not-mine", "a job that this node was drawn for", job.id));
        }
        let consumer = Client::new(consumer)?;
        Ok(Delivery { member, session: Provider::new(line.clone()), job, line, gauge, consumer, range: None })
    }

    /// Offers the tick that is due, takes the consumer's signature, hands in a range that is full.
    ///
    /// # Errors
    /// The session's refusals: nothing more is delivered then, and what is signed is still paid ([`Delivery::end`]).
    pub async fn tick(&mut self) -> Result<Ticked> {
        let Terms { tick_s, tick_max, range_ticks, .. } = self.line.terms;
        let last = self.range.map(|(_, last)| last.tick);
        let now_s = self.member.client.status().await?.now_s.min(self.job.job.window_until_s);
        let due = now_s.saturating_sub(self.line.from_s) / tick_s; // above zero: metered.terms
        let (number, most) = match last {
            None => (0, 0),
            Some(last) if due <= last.number => return Ok(Ticked::Nothing),
            // Never past the start of the next range: without it that range could not be paid.
            Some(last) => {
                let start = (last.number / range_ticks + 1) * range_ticks; // bounded: metered.terms, and a time
                (due.min(start), last.total.saturating_add(tick_max))
            }
        };
        let total = self.gauge.total()?.min(most);
        let Offered { tick, provider } = self.session.offer(number, total, &self.member.device)?;
        let offered = SignedTick { tick, provider, consumer: DeviceSignature([0; 64]) };
        let answer: TickDoc = self.consumer.post("/tick", &TickDoc { wire: Hex(offered.encode()) }).await?;
        let signed = SignedTick::decode(&answer.wire.0)?;
        if signed.tick != tick {
            return Err(Fault::refused(
                "metered.tick-backwards",
                "the tick that was offered",
                signed.tick.number,
            ));
        }
        self.session.take(&signed)?;
        self.gauge.allow(total.saturating_add(tick_max));
        let first = self.range.map_or(signed, |(first, _)| first);
        self.range = Some((first, signed));
        if number - first.tick.number < range_ticks {
            return Ok(Ticked::Signed(number));
        }
        let delivered = self.end().await?;
        Ok(delivered.map_or(Ticked::Signed(number), |delivered| Ticked::HandedIn(Box::new(delivered))))
    }

    /// Hands in what both signed and was not handed in; `None` when that is not worth a unit.
    ///
    /// # Errors
    /// The coordinator's refusals.
    pub async fn end(&mut self) -> Result<Option<Delivered>> {
        let Some((first, last)) = self.range else { return Ok(None) };
        let range = Range { first, last };
        let units =
            if last.tick.number > first.tick.number { range.verify(&self.line, Known::NOTHING)? } else { 0 };
        if last.tick.number.is_multiple_of(self.line.terms.range_ticks) {
            self.range = Some((last, last)); // the next range begins where this one ends
        }
        if units == 0 {
            return Ok(None);
        }
        let (evidence, place) = (range.encode(), self.member.place().await?);
        let receipt = Receipt {
            job: self.job.id,
            sequence: place.next_sequence,
            node: self.member.address(),
            device: self.line.provider,
            service: SERVICE.id(),
            model: Hash32::ZERO,
            input: Hash32::ZERO,
            output: output_hash(&[]),
            units,
            window_start: first.tick.time_s,
            window_end: last.tick.time_s,
            evidence: keccak(&evidence),
            previous: place.head,
        };
        let signed = receipt.sign(&self.member.domain, &[], &self.member.device, &self.member.account)?;
        self.member.hand_in(&signed, &evidence).await.map(Some)
    }
}

/// The consumer's side of a line.
pub struct Consumption {
    session: Mutex<Consumer>,
    /// Its meter.
    pub gauge: Gauge,
    secret: DeviceSecret,
}

/// A consumer that answers; stops when dropped.
pub struct Answering {
    /// Where.
    pub url: String,
    task: JoinHandle<()>,
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Consumption {
    /// A line before its tick 0; the terms must name this key.
    ///
    /// # Errors
    /// `meter.not-mine`.
    pub fn begin(job: &JobDoc, gauge: Gauge, secret: DeviceSecret) -> Result<Arc<Self>> {
        let line = line(job)?;
        if line.terms.consumer != secret.device() {
            return Err(Fault::refused("meter.not-mine", line.terms.consumer, secret.device()));
        }
        Ok(Arc::new(Consumption { session: Mutex::new(Consumer::new(line)), gauge, secret }))
    }

    fn sign(&self, doc: &TickDoc) -> Result<TickDoc> {
        let offered = SignedTick::decode(&doc.wire.0)?;
        let offered = Offered { tick: offered.tick, provider: offered.provider };
        let measured = self.gauge.total()?;
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let signed = session.countersign(&offered, measured, &self.secret)?;
        Ok(TickDoc { wire: Hex(signed.encode()) })
    }

    /// Answers ticks on an address of this machine.
    ///
    /// # Errors
    /// `meter.listen`.
    pub async fn serve(self: &Arc<Self>, address: SocketAddr) -> Result<Answering> {
        let failed = |error: std::io::Error| Fault::trouble("meter.listen", address, error);
        let listener = tokio::net::TcpListener::bind(address).await.map_err(failed)?;
        let url = format!("http://{}", listener.local_addr().map_err(failed)?);
        let app = Router::new().route("/tick", post(tick)).with_state(self.clone());
        let task = tokio::spawn(async move {
            // Accept errors are retried inside; there is nobody to tell about the rest.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Answering { url, task })
    }
}

async fn tick(State(it): State<Arc<Consumption>>, axum::Json(doc): axum::Json<TickDoc>) -> Response {
    match tokio::task::block_in_place(|| it.sign(&doc)) {
        Ok(signed) => axum::Json(signed).into_response(),
        Err(fault) => (StatusCode::CONFLICT, axum::Json(fault)).into_response(),
    }
}
