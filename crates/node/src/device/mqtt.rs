//! MQTT 3.1.1: readings in from a broker, and readings out to one.
//!
//! Topics are `proofmesh/NAME/FORM`, FORM one of `json`, `cbor`, `cose`; quality of service 1 both ways. In: a session that
//! the broker keeps while the node is away, and an acknowledgement only after a reading is on disk (or refused by
//! name, which coming again would not mend). Out: what the broker has not acknowledged stays in the outbox, and is sent
//! again after a lost connection. So a reading can come twice, never be lost; the chain tells repetitions.
//!
//! No TLS and no password: a broker on loopback or in a private network. Who may publish to `proofmesh/NAME/json` can feed a
//! node whose sensor has no key of its own; the broker's access list or `proofmesh device accept` closes that.

use super::intake::{Intake, Payload, TakenDoc};
use super::outbox::Outbox;
use crate::fault::{Fault, Kind, Result};
use proofmesh_services::senml::PACK_BYTES_MAX;
use rumqttc::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, Outgoing, Packet, Publish, QoS};
use std::collections::VecDeque;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Messages on their way to the broker at once.
const IN_FLIGHT: u16 = 32;
/// Bytes of a packet: a payload, its topic and some room, so that a payload a little too large is refused by name.
const PACKET_BYTES_MAX: usize = 4 * PACK_BYTES_MAX;
/// How long to wait before a broker that was away is asked again.
const AGAIN: Duration = Duration::from_millis(500);
/// How long a silent connection is believed in.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// A broker's address, `mqtt://HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    host: String,
    port: u16,
}

impl FromStr for Broker {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self> {
        let bad = || Fault::misuse("mqtt.url", "mqtt://HOST or mqtt://HOST:PORT", format_args!("{text:.80}"));
        let rest = text.strip_prefix("mqtt://").ok_or_else(bad)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = rest.rsplit_once(':').unwrap_or((rest, "1883"));
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        if host.is_empty() || !host.chars().all(plain) {
            return Err(bad());
        }
        Ok(Broker { host: host.to_owned(), port: port.parse().map_err(|_| bad())? })
    }
}

impl Broker {
    /// Host and port.
    #[must_use]
    pub fn address(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    fn connect(&self, id: String, keeps_session: bool) -> (AsyncClient, EventLoop) {
        let mut options = MqttOptions::new(id, &self.host, self.port);
        options
            .set_keep_alive(KEEP_ALIVE)
            .set_clean_session(!keeps_session)
            .set_manual_acks(keeps_session)
            .set_inflight(IN_FLIGHT)
            .set_max_packet_size(PACKET_BYTES_MAX, PACKET_BYTES_MAX);
        AsyncClient::new(options, 4 * usize::from(IN_FLIGHT))
    }

    fn away(&self, error: &ConnectionError) -> Fault {
        let expected = format!("the broker at {}:{} to answer; tried again", self.host, self.port);
        Fault::trouble("mqtt.broker", expected, error)
    }
}

/// Takes in what is published for a node until the task is dropped. Trouble is told once and tried again.
pub async fn listen(broker: &Broker, intake: &Arc<Intake>, tell: &(dyn Fn(&str) + Sync)) {
    let mut told = String::new();
    loop {
        let Err(fault) = listen_until_trouble(broker, intake, tell, &mut told).await;
        let text = format!("{}: {fault}", intake.name());
        if text != told {
            tell(&text);
            told = text;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn listen_until_trouble(
    broker: &Broker,
    intake: &Arc<Intake>,
    tell: &(dyn Fn(&str) + Sync),
    told: &mut String,
) -> Result<std::convert::Infallible> {
    // The broker keeps the session by this name: the same for every run of the node, another for every node.
    let id = format!("proofmesh-{}-{}", intake.name(), hex::encode(&intake.device().0[..6]));
    let topic = format!("proofmesh/{}/+", intake.name());
    let (client, mut events) = broker.connect(id, true);
    let full = |_| Fault::trouble("mqtt.queue", "the broker to take acknowledgements", "a full queue");
    loop {
        match events.poll().await.map_err(|error| broker.away(&error))? {
            Event::Incoming(Packet::ConnAck(_)) => {
                told.clear();
                client.try_subscribe(topic.clone(), QoS::AtLeastOnce).map_err(full)?;
            }
            Event::Incoming(Packet::SubAck(_)) => tell(&format!("{}: listening at {topic}", intake.name())),
            Event::Incoming(Packet::Publish(publish)) => {
                match tokio::task::block_in_place(|| take(intake, &publish)) {
                    // The disk may take it later: no acknowledgement, the broker sends it again.
                    Err(fault) if fault.kind == Kind::Trouble => return Err(fault),
                    Err(fault) => {
                        let count = intake.refused().0.get(&fault.name).copied().unwrap_or_default();
                        if count.is_power_of_two() {
                            tell(&format!("{}: refused ({count} so far) {fault}", intake.name()));
                        }
                    }
                    Ok(_) => {}
                }
                client.try_ack(&publish).map_err(full)?;
            }
            _ => {}
        }
    }
}

fn take(intake: &Intake, publish: &Publish) -> Result<TakenDoc> {
    if publish.retain {
        // It may be of any age, and comes again with every connection.
        let fault = Fault::refused("intake.retained", "messages that are not retained", &publish.topic);
        intake.count(&fault);
        return Err(fault);
    }
    let level = publish.topic.rsplit('/').next().unwrap_or_default();
    let payload = Payload::of_topic(level).inspect_err(|fault| intake.count(fault))?;
    intake.take(payload, &publish.payload)
}

/// Publishes what is in an outbox, and what comes into it, until `done` says that no more comes and everything is
/// acknowledged. A broker that is away is waited for.
///
/// # Errors
/// The outbox's: `log.*`, `file.io`.
pub async fn publish(
    broker: &Broker,
    name: &str,
    outbox: &tokio::sync::Mutex<Outbox>,
    done: &(dyn Fn() -> bool + Sync),
    tell: &(dyn Fn(&str) + Sync),
) -> Result<()> {
    let mut told = String::new();
    loop {
        match publish_until_trouble(broker, name, outbox, done).await {
            Err(fault) if fault.is("mqtt.broker") => {
                let waiting = outbox.lock().await.waiting();
                let text = fault.to_string();
                if text != told {
                    tell(&format!("{waiting} messages wait: {text}"));
                    told = text;
                }
                tokio::time::sleep(AGAIN).await;
            }
            outcome => return outcome,
        }
    }
}

async fn publish_until_trouble(
    broker: &Broker,
    name: &str,
    outbox: &tokio::sync::Mutex<Outbox>,
    done: &(dyn Fn() -> bool + Sync),
) -> Result<()> {
    let id = format!("proofmesh-feed-{name}-{}", std::process::id());
    let (client, mut events) = broker.connect(id, false);
    // The connection has a task of its own: a wait for an event can be given up, a packet half written cannot.
    let (said, mut heard) = tokio::sync::mpsc::channel(usize::from(IN_FLIGHT));
    let mut connection = JoinSet::new();
    connection.spawn(async move {
        loop {
            let event = events.poll().await;
            let lost = event.is_err();
            if said.send(event).await.is_err() || lost {
                break;
            }
        }
    });
    let (mut connected, mut queued) = (false, 0); // of the messages that wait
    let mut flying: VecDeque<(u16, bool)> = VecDeque::new(); // packet numbers in order, and whether acknowledged
    loop {
        let over = done();
        let waiting = outbox.lock().await;
        if over && waiting.waiting() == 0 {
            return Ok(());
        }
        while connected && queued < waiting.waiting().min(u64::from(IN_FLIGHT)) {
            let (topic, payload) = waiting.message(queued)?;
            if client.try_publish(topic, QoS::AtLeastOnce, false, payload).is_err() {
                break; // the queue is full; acknowledgements make room
            }
            queued += 1;
        }
        drop(waiting);
        // New messages are looked for even when the broker says nothing.
        let Ok(event) = tokio::time::timeout(AGAIN / 5, heard.recv()).await else { continue };
        let ended = || Fault::trouble("mqtt.broker", "a connection", "its end");
        match event.ok_or_else(ended)?.map_err(|error| broker.away(&error))? {
            Event::Incoming(Packet::ConnAck(_)) => connected = true,
            Event::Outgoing(Outgoing::Publish(number)) => flying.push_back((number, false)),
            Event::Incoming(Packet::PubAck(ack)) => {
                if let Some(sent) = flying.iter_mut().find(|(number, is)| *number == ack.pkid && !*is) {
                    sent.1 = true;
                }
                while flying.front().is_some_and(|(_, acknowledged)| *acknowledged) {
                    flying.pop_front();
                    outbox.lock().await.acknowledged()?;
                    queued -= 1;
                }
            }
            _ => {}
        }
    }
}
