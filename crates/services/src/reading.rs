//! Readings of a device: signed, numbered, each naming the one before.
//!
//! Bytes of a reading, big-endian: `kind u8 || key || number u64 || Unix second u64 || previous digest 32
//! || present u8 (1 temperature, 2 humidity, 4 pressure) || three i32`; a value that is not present is zero. Kind 1: an
//! Ed25519 key, 32 bytes (94 in all); kind 2: a compressed P-256 key, 33 bytes (95 in all). `digest =
//! H(H("proofmesh/reading/v1") || bytes)` is what the next reading names; it leaves the signature out, so that another signature
//! of the same reading is the same reading. The device signs what COSE (RFC 9052, section 4.4) has a signer of these
//! bytes sign (EdDSA or ES256 by its kind), so that a signed reading is a `COSE_Sign1` message in another order of
//! bytes ([`crate::cose`]).
//! Values are fixed point: centi-degC, centi-%RH, Pa (which is centi-hPa).
//!
//! What can be wrong with a stream, each by its own name: `reading.signature`, `reading.wrong-device`,
//! `reading.gap` (numbers missing), `reading.duplicate` (the last one again), `reading.replayed` (an older
//! one again), `reading.reordered` (missing at its place, there later), `reading.rewritten` (the past
//! that it names is not the one we saw), `reading.cloned` (another reading with the number and past of one we
//! saw: two holders of one key), `reading.time-not-later`, `reading.form`.

use crate::did::{Did, DidSecret, P256_KEY_BYTES, Signature};
use crate::wire::array;
use proofmesh_market::{Device, Hash32, Refusal, keccak};
use std::collections::VecDeque;

/// Bytes of an encoded reading without its kind, key and signature.
const REST_BYTES: usize = 8 + 8 + 32 + 1 + 12;
/// Most bytes of an encoded reading with its signature: those of a P-256 key.
pub const SIGNED_READING_BYTES_MAX: usize = 1 + P256_KEY_BYTES + REST_BYTES + 64;
/// Past readings that a [`Chain`] remembers, to tell a replay from a rewrite or a clone.
pub const MEMORY: usize = 1_024;
const KIND_ED25519: u8 = 1;
const KIND_P256: u8 = 2;

/// What was measured; `None` where the sensor gave nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Values {
    /// Air temperature, centi-degC.
    pub temp_centi_c: Option<i32>,
    /// Relative humidity, centi-percent.
    pub rh_centi_pct: Option<i32>,
    /// Pressure, Pa.
    pub pressure_pa: Option<i32>,
}

impl Values {
    /// The three values in the order of the encoding.
    #[must_use]
    pub fn array(&self) -> [Option<i32>; 3] {
        [self.temp_centi_c, self.rh_centi_pct, self.pressure_pa]
    }

    fn from_array([temp_centi_c, rh_centi_pct, pressure_pa]: [Option<i32>; 3]) -> Self {
        Values { temp_centi_c, rh_centi_pct, pressure_pa }
    }
}

/// One reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Who measured.
    pub device: Did,
    /// From 0, no gaps.
    pub number: u64,
    /// Unix second of the measurement.
    pub time_s: u64,
    /// Digest of the reading before, zero for number 0.
    pub previous: Hash32,
    /// What was measured.
    pub values: Values,
}

impl Reading {
    /// The canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SIGNED_READING_BYTES_MAX);
        match &self.device {
            Did::Ed25519(device) => {
                bytes.push(KIND_ED25519);
                bytes.extend_from_slice(&device.0);
            }
            Did::P256(point) => {
                bytes.push(KIND_P256);
                bytes.extend_from_slice(point);
            }
        }
        bytes.extend_from_slice(&self.number.to_be_bytes());
        bytes.extend_from_slice(&self.time_s.to_be_bytes());
        bytes.extend_from_slice(&self.previous.0);
        let values = self.values.array();
        bytes.push(values.iter().rev().fold(0, |present, value| present << 1 | u8::from(value.is_some())));
        bytes.extend(values.iter().flat_map(|value| value.unwrap_or(0).to_be_bytes()));
        bytes
    }

    /// What the device signs: the `Sig_structure` of COSE (RFC 9052, section 4.4) with these bytes as payload.
    #[must_use]
    pub fn to_be_signed(&self) -> Vec<u8> {
        let bytes = self.encode();
        // ["Signature1", {alg}, "proofmesh/reading/v1", bytes] in CBOR; a byte string of 94 or 95 bytes has its length in one.
        let head = [&b"\x84\x6aSignature1\x43"[..], &protected(&self.device)];
        let tail = [&b"\x54proofmesh/reading/v1\x58"[..], &[bytes.len() as u8], &bytes];
        [head.concat(), tail.concat()].concat()
    }

    /// What the next reading names.
    #[must_use]
    pub fn digest(&self) -> Hash32 {
        let tag = keccak(b"proofmesh/reading/v1");
        keccak(&[&tag.0[..], &self.encode()].concat())
    }

    /// Signs.
    ///
    /// # Errors
    /// `reading.wrong-device` when the secret is another device's.
    pub fn sign(self, secret: &DidSecret) -> Result<SignedReading, Refusal> {
        if secret.did() != self.device {
            return Err(Refusal::new("reading.wrong-device", self.device, secret.did()));
        }
        Ok(SignedReading { signature: secret.sign(&self.to_be_signed()), reading: self })
    }
}

/// The protected header of COSE that a device of this kind signs: `{1: -8}` (EdDSA) or `{1: -7}` (ES256).
pub(crate) fn protected(device: &Did) -> [u8; 3] {
    [0xa1, 0x01, if matches!(device, Did::Ed25519(_)) { 0x27 } else { 0x26 }]
}

/// A reading and its device's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedReading {
    /// The reading.
    pub reading: Reading,
    /// Over [`Reading::to_be_signed`].
    pub signature: Signature,
}

impl SignedReading {
    /// The canonical bytes: the reading's, then the signature.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.reading.encode();
        bytes.extend_from_slice(&self.signature.0);
        bytes
    }

    /// Reads the canonical bytes. The signature is not verified here.
    ///
    /// # Errors
    /// `reading.form` when the bytes are not exactly what [`SignedReading::encode`] makes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        let refused = |got: &str| {
            Refusal::new("reading.form", "158 bytes of kind 1 (Ed25519) or 159 of kind 2 (P-256)", got)
        };
        let key_bytes = match bytes.first() {
            Some(&KIND_ED25519) => 32,
            Some(&KIND_P256) => P256_KEY_BYTES,
            _ => return Err(refused("another kind")),
        };
        if bytes.len() != 1 + key_bytes + REST_BYTES + 64 {
            return Err(refused(&format!("{} bytes", bytes.len())));
        }
        let mut rest = &bytes[1..];
        let mut next = |length: usize| {
            let (front, back) = rest.split_at(length); // the lengths below add up to the length checked above
            rest = back;
            front
        };
        let key = next(key_bytes);
        let device = if key_bytes == 32 { Did::Ed25519(Device(array(key))) } else { Did::P256(array(key)) };
        let number = u64::from_be_bytes(array(next(8)));
        let time_s = u64::from_be_bytes(array(next(8)));
        let previous = Hash32(array(next(32)));
        let present = next(1)[0];
        let mut values = [None; 3];
        for (bit, value) in values.iter_mut().enumerate() {
            let word = i32::from_be_bytes(array(next(4)));
            *value = (present >> bit & 1 == 1).then_some(word);
        }
        let signature = Signature(array(next(64)));
        let reading = Reading { device, number, time_s, previous, values: Values::from_array(values) };
        let signed = SignedReading { reading, signature };
        if signed.encode() != bytes { Err(refused("another form")) } else { Ok(signed) }
    }
}

/// What is known of a device's stream: where it stands, and its recent past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    device: Did,
    next: u64,
    head: Hash32,
    last_s: Option<u64>,
    recent: VecDeque<(u64, Hash32, Hash32)>, // (number, digest, previous) of the last readings, oldest first
}

impl Chain {
    /// A device's stream before its first reading.
    #[must_use]
    pub fn new(device: impl Into<Did>) -> Self {
        Chain { device: device.into(), next: 0, head: Hash32::ZERO, last_s: None, recent: VecDeque::new() }
    }

    /// The number of the next reading.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// What the next reading must name as previous.
    #[must_use]
    pub fn head(&self) -> Hash32 {
        self.head
    }

    /// Takes the next reading; on a refusal the chain stays as it was.
    ///
    /// # Errors
    /// The names in the head of this file, but `reading.reordered` and `reading.form`.
    pub fn accept(&mut self, signed: &SignedReading) -> Result<(), Refusal> {
        self.take(signed, false).map(drop)
    }

    /// Takes the next reading, also over a gap: gives how many numbers are missing before it. What is missing
    /// and comes later is `reading.reordered`. The reading after a gap is the first word on its past: what it
    /// names as previous is taken as said.
    ///
    /// # Errors
    /// As [`Chain::accept`], but `reading.gap`.
    pub fn accept_over_gap(&mut self, signed: &SignedReading) -> Result<u64, Refusal> {
        self.take(signed, true)
    }

    fn take(&mut self, signed: &SignedReading, over_gap: bool) -> Result<u64, Refusal> {
        let reading = &signed.reading;
        if reading.device != self.device {
            return Err(Refusal::new("reading.wrong-device", self.device, reading.device));
        }
        reading
            .device
            .verify(&reading.to_be_signed(), &signed.signature)
            .map_err(|refusal| Refusal::new("reading.signature", refusal.expected, refusal.got))?;
        let digest = reading.digest();
        if reading.number < self.next {
            return Err(self.past(reading, &digest));
        }
        let missing = reading.number - self.next;
        if missing > 0 && !over_gap {
            return Err(Refusal::new("reading.gap", self.next, reading.number));
        }
        if missing == 0 && reading.previous != self.head {
            return Err(Refusal::new(
                "reading.rewritten",
                format_args!("previous {}", self.head),
                reading.previous,
            ));
        }
        if let Some(last_s) = self.last_s.filter(|last_s| reading.time_s <= *last_s) {
            return Err(Refusal::new(
                "reading.time-not-later",
                format_args!("after {last_s}"),
                reading.time_s,
            ));
        }
        let next = reading.number.checked_add(1);
        let next = next.ok_or_else(|| Refusal::new("reading.gap", self.next, reading.number))?;
        if self.recent.len() == MEMORY {
            self.recent.pop_front();
        }
        self.recent.push_back((reading.number, digest, reading.previous));
        (self.next, self.head, self.last_s) = (next, digest, Some(reading.time_s));
        Ok(missing)
    }

    /// Why a reading with a number that is taken is refused. One older than [`MEMORY`] counts as a replay.
    fn past(&self, reading: &Reading, digest: &Hash32) -> Refusal {
        let last = self.next - reading.number == 1;
        let name = match self.recent.binary_search_by_key(&reading.number, |(number, ..)| *number) {
            Ok(index) => match self.recent[index] {
                (_, seen, _) if seen == *digest && last => "reading.duplicate",
                (_, seen, _) if seen == *digest => "reading.replayed",
                (_, _, previous) if previous == reading.previous => "reading.cloned",
                _ => "reading.rewritten",
            },
            Err(0) if self.recent.len() == MEMORY => "reading.replayed",
            Err(_) => "reading.reordered",
        };
        Refusal::new(
            name,
            format_args!("number {}", self.next),
            format_args!("number {}, {digest}", reading.number),
        )
    }

    /// Takes a batch in order, all or nothing. A number that is missing at its place but comes later in the
    /// batch is `reading.reordered`.
    ///
    /// # Errors
    /// The first refusal.
    pub fn accept_all(&mut self, batch: &[SignedReading]) -> Result<(), Refusal> {
        let mut after = self.clone();
        for (index, signed) in batch.iter().enumerate() {
            let Err(refusal) = after.accept(signed) else { continue };
            let missing = after.next;
            let later = refusal.name == "reading.gap"
                && batch[index..].iter().any(|other| other.reading.number == missing);
            return Err(if later { Refusal { name: "reading.reordered", ..refusal } } else { refusal });
        }
        *self = after;
        Ok(())
    }
}
