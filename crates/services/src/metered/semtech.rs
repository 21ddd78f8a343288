//! Wireless packets as LoRaWAN gateways report them: PUSH_DATA of Semtech's UDP protocol, version 2
//! (`PROTOCOL.TXT` of the packet forwarder, section 3.2): `2 || token 2 || 0 || gateway EUI-64 8 || JSON`,
//! `{"rxpk": [...], "stat": {...}}`. Of a packet: `tmst` (u32, microseconds), `stat` (1: CRC good), `size`
//! and `data` (base64). Other members are passed over. No network here: bytes in, packets out.
//!
//! Refuses: `semtech.short`, `semtech.too-long`, `semtech.version`, `semtech.kind`, `semtech.json`,
//! `semtech.packets`, `semtech.data`, `semtech.size`.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use proofmesh_market::{Hash32, Refusal, keccak};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Bytes before the JSON.
pub const HEAD_BYTES: usize = 12;
/// Longest datagram: what UDP over IPv4 carries.
pub const DATAGRAM_BYTES_MAX: usize = 65_507;
/// Most packets of one datagram.
pub const PACKETS_MAX: usize = 256;
/// Longest payload of LoRa.
pub const PAYLOAD_BYTES_MAX: usize = 255;
/// Packets that a [`PacketMeter`] remembers, to count a datagram sent twice once.
pub const MEMORY: usize = 4_096;
const PROTOCOL: u8 = 2;
const PUSH_DATA: u8 = 0;
const PUSH_ACK: u8 = 1;

/// A packet that a gateway heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The gateway's counter of microseconds.
    pub tmst: u32,
    /// True when the packet's checksum was good.
    pub good: bool,
    /// The payload.
    pub data: Vec<u8>,
}

/// What a gateway pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushData {
    /// Drawn by the gateway, to match the answer.
    pub token: [u8; 2],
    /// The gateway's EUI-64.
    pub gateway: [u8; 8],
    /// In the order of the datagram.
    pub packets: Vec<Packet>,
}

/// What is passed over. Flattened, so that an object is asked for: serde would take an array for a struct too.
type More = BTreeMap<String, IgnoredAny>;

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    rxpk: Vec<Rxpk>,
    #[serde(flatten)]
    _more: More,
}

#[derive(Deserialize)]
struct Rxpk {
    tmst: u32,
    stat: i8,
    size: usize,
    data: String,
    #[serde(flatten)]
    _more: More,
}

impl PushData {
    /// Reads a datagram.
    ///
    /// # Errors
    /// The names in the head of this file.
    pub fn decode(datagram: &[u8]) -> Result<Self, Refusal> {
        let length = datagram.len();
        if length > DATAGRAM_BYTES_MAX {
            return Err(Refusal::new("semtech.too-long", DATAGRAM_BYTES_MAX, length));
        }
        let short = || Refusal::new("semtech.short", format_args!("at least {HEAD_BYTES} bytes"), length);
        let (head, json) = datagram.split_at_checked(HEAD_BYTES).ok_or_else(short)?;
        let [version, token_high, token_low, kind, gateway @ ..] = head else { return Err(short()) };
        if *version != PROTOCOL {
            return Err(Refusal::new("semtech.version", PROTOCOL, version));
        }
        if *kind != PUSH_DATA {
            return Err(Refusal::new("semtech.kind", "0, PUSH_DATA", kind));
        }
        let body: Body = serde_json::from_slice(json)
            .map_err(|error| Refusal::new("semtech.json", "rxpk with tmst, stat, size, data", error))?;
        if body.rxpk.len() > PACKETS_MAX {
            return Err(Refusal::new("semtech.packets", PACKETS_MAX, body.rxpk.len()));
        }
        let packets = body.rxpk.into_iter().map(packet).collect::<Result<_, _>>()?;
        let gateway = gateway.try_into().map_err(|_| short())?;
        Ok(PushData { token: [*token_high, *token_low], gateway, packets })
    }

    /// The PUSH_ACK that the gateway waits for.
    #[must_use]
    pub fn answer(&self) -> [u8; 4] {
        [PROTOCOL, self.token[0], self.token[1], PUSH_ACK]
    }
}

fn packet(rxpk: Rxpk) -> Result<Packet, Refusal> {
    // The protocol takes the padding as optional.
    let text = rxpk.data.as_bytes();
    let data = STANDARD.decode(text).or_else(|_| STANDARD_NO_PAD.decode(text));
    let data = data.map_err(|error| Refusal::new("semtech.data", "base64", error))?;
    if data.len() != rxpk.size || data.len() > PAYLOAD_BYTES_MAX {
        let expected = format!("{} bytes, at most {PAYLOAD_BYTES_MAX}", rxpk.size);
        return Err(Refusal::new("semtech.size", expected, data.len()));
    }
    Ok(Packet { tmst: rxpk.tmst, good: rxpk.stat == 1, data })
}

/// One side's count of packets: the total of its ticks. A packet counts when its checksum was good and it is
/// none of the last [`MEMORY`] that counted (gateways send a datagram again when no answer came).
#[derive(Clone, Debug, Default)]
pub struct PacketMeter {
    total: u64,
    seen: BTreeSet<Hash32>,
    order: VecDeque<Hash32>,
}

impl PacketMeter {
    /// Packets so far.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Counts what a gateway pushed; gives how many packets were new.
    pub fn count(&mut self, push: &PushData) -> u64 {
        let before = self.total;
        for packet in push.packets.iter().filter(|packet| packet.good) {
            let name = keccak(&[&push.gateway[..], &packet.tmst.to_be_bytes(), &packet.data].concat());
            if !self.seen.insert(name) {
                continue;
            }
            self.order.push_back(name);
            self.total += 1; // 2^64 packets do not happen
            if self.order.len() > MEMORY
                && let Some(oldest) = self.order.pop_front()
            {
                self.seen.remove(&oldest);
            }
        }
        self.total - before
    }
}
