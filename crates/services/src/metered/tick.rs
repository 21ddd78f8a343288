//! Ticks: growing totals that provider and consumer both sign, and the range between two of them.
//!
//! Bytes of a tick, version 1, 89 bytes, big-endian: `0x01 || job 32 || provider 32 || number u64 || total
//! u64 || time u64`. `digest = H(H("proofmesh/tick/v1") || bytes)`; both keys sign it (Ed25519). On the wire
//! the two signatures follow, provider's first: 217 bytes. A range, the evidence of a receipt, is 435 bytes:
//! `0x01 || first tick || last tick`.
//!
//! Tick `n` of a job is the one of second `windowFrom + n * tick_s`, so that a number is a time and cannot be
//! moved. Tick 0 has total 0.
//!
//! Refuses: `metered.evidence-form`, `metered.other-job`, `metered.other-provider`, `metered.same-key`,
//! `metered.provider-signature`, `metered.consumer-signature`, `metered.tick-time`, `metered.start-total`,
//! `metered.tick-backwards`, `metered.range-start`, `metered.range-too-long`, `metered.total-shrinks`,
//! `metered.tick-too-large`.

use super::Terms;
use crate::wire::{array, u64_at};
use proofmesh_market::{Device, DeviceSecret, DeviceSignature, Hash32, Known, Refusal, keccak, tag};

/// Bytes of a tick without its signatures.
pub const TICK_BYTES: usize = 1 + 32 + 32 + 8 + 8 + 8;
/// Bytes of a tick with both signatures.
pub const SIGNED_TICK_BYTES: usize = TICK_BYTES + 2 * 64;
/// Bytes of a range.
pub const RANGE_BYTES: usize = 1 + 2 * SIGNED_TICK_BYTES;
const VERSION: u8 = 1;

/// What is metered for whom: everything that a tick is checked against, all of it from the job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The job's id.
    pub job: Hash32,
    /// Who delivers: the device of the receipts.
    pub provider: Device,
    /// The job's first second: the time of tick 0.
    pub from_s: u64,
    /// The job's terms; they name the consumer.
    pub terms: Terms,
}

impl Line {
    /// The second of tick `number`, or `None` beyond the end of time.
    #[must_use]
    pub fn time_s(&self, number: u64) -> Option<u64> {
        number.checked_mul(self.terms.tick_s)?.checked_add(self.from_s)
    }

    /// The tick with this number and total.
    ///
    /// # Errors
    /// `metered.tick-time` for a number beyond the end of time.
    pub fn tick(&self, number: u64, total: u64) -> Result<Tick, Refusal> {
        let late = || Refusal::new("metered.tick-time", "a time below 2^64", number);
        let time_s = self.time_s(number).ok_or_else(late)?;
        Ok(Tick { job: self.job, provider: self.provider, number, total, time_s })
    }

    /// The rules of one tick by itself, signatures apart.
    pub(super) fn require(&self, tick: &Tick) -> Result<(), Refusal> {
        let Tick { number, total, time_s, .. } = *tick;
        let (consumer, provider) = (self.terms.consumer, self.provider);
        require(tick.job == self.job, "metered.other-job", self.job, tick.job)?;
        require(tick.provider == provider, "metered.other-provider", provider, tick.provider)?;
        require(consumer != provider, "metered.same-key", "a consumer that is not the provider", consumer)?;
        let time = self.time_s(number);
        require(time == Some(time_s), "metered.tick-time", format_args!("{time:?} of {number}"), time_s)?;
        require(number > 0 || total == 0, "metered.start-total", 0, total)
    }

    pub(super) fn verify(&self, signed: &SignedTick, known: &Known) -> Result<(), Refusal> {
        self.require(&signed.tick)?;
        let digest = signed.tick.digest();
        self.verify_provider(&digest, &signed.provider, known)?;
        let consumer = known.verify(&self.terms.consumer, &digest, &signed.consumer);
        consumer.map_err(|refusal| Refusal::new("metered.consumer-signature", refusal.expected, refusal.got))
    }

    pub(super) fn verify_provider(
        &self,
        digest: &Hash32,
        signature: &DeviceSignature,
        known: &Known,
    ) -> Result<(), Refusal> {
        let provider = known.verify(&self.provider, digest, signature);
        provider.map_err(|refusal| Refusal::new("metered.provider-signature", refusal.expected, refusal.got))
    }
}

fn require(
    holds: bool,
    name: &'static str,
    expected: impl std::fmt::Display,
    got: impl std::fmt::Display,
) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err(Refusal::new(name, expected, got)) }
}

/// One total at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tick {
    /// The job's id; it binds terms, chain and contract.
    pub job: Hash32,
    /// Who delivers.
    pub provider: Device,
    /// From 0.
    pub number: u64,
    /// All that was delivered since the job's first second, in the terms' quantity.
    pub total: u64,
    /// Unix second: `windowFrom + number * tick_s`.
    pub time_s: u64,
}

impl Tick {
    /// The canonical bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; TICK_BYTES] {
        let mut bytes = [0; TICK_BYTES];
        bytes[0] = VERSION;
        bytes[1..33].copy_from_slice(&self.job.0);
        bytes[33..65].copy_from_slice(&self.provider.0);
        for (place, integer) in bytes[65..].chunks_exact_mut(8).zip([self.number, self.total, self.time_s]) {
            place.copy_from_slice(&integer.to_be_bytes());
        }
        bytes
    }

    /// What both keys sign.
    #[must_use]
    pub fn digest(&self) -> Hash32 {
        keccak(&[&tag("proofmesh/tick/v1").0[..], &self.encode()].concat())
    }

    /// One side's signature.
    #[must_use]
    pub fn sign(&self, secret: &DeviceSecret) -> DeviceSignature {
        secret.sign(&self.digest())
    }
}

/// A tick with both signatures; nothing is verified before [`Range::verify`] or a side's own check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedTick {
    /// What is signed.
    pub tick: Tick,
    /// The provider's signature.
    pub provider: DeviceSignature,
    /// The consumer's signature.
    pub consumer: DeviceSignature,
}

impl SignedTick {
    /// The canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        [&self.tick.encode()[..], &self.provider.0, &self.consumer.0].concat()
    }

    /// Reads exactly the bytes that [`SignedTick::encode`] makes.
    ///
    /// # Errors
    /// `metered.evidence-form`.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        let refused = || Refusal::new("metered.evidence-form", "a signed tick, version 1", bytes.len());
        let rest = bytes.strip_prefix(&[VERSION]).filter(|_| bytes.len() == SIGNED_TICK_BYTES);
        let rest = rest.ok_or_else(refused)?;
        let tick = Tick {
            job: Hash32(array(&rest[..32])),
            provider: Device(array(&rest[32..64])),
            number: u64_at(rest, 64),
            total: u64_at(rest, 72),
            time_s: u64_at(rest, 80),
        };
        let provider = DeviceSignature(array(&rest[88..152]));
        Ok(SignedTick { tick, provider, consumer: DeviceSignature(array(&rest[152..])) })
    }
}

/// Two ticks of one line: what a receipt is paid for is the growth between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Where the range before ended, on the grid of the terms' `range_ticks`.
    pub first: SignedTick,
    /// The last tick that both signed.
    pub last: SignedTick,
}

impl Range {
    /// The canonical bytes: the evidence of a receipt.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        [&[VERSION][..], &self.first.encode(), &self.last.encode()].concat()
    }

    /// Reads exactly the bytes that [`Range::encode`] makes.
    ///
    /// # Errors
    /// `metered.evidence-form`.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        let rest = bytes.strip_prefix(&[VERSION]).filter(|_| bytes.len() == RANGE_BYTES);
        let rest = rest.ok_or_else(|| {
            Refusal::new("metered.evidence-form", format_args!("{RANGE_BYTES} bytes, version 1"), bytes.len())
        })?;
        let (first, last) = rest.split_at(SIGNED_TICK_BYTES);
        Ok(Range { first: SignedTick::decode(first)?, last: SignedTick::decode(last)? })
    }

    /// Verifies all four signatures, those that are not `known`, and every rule of the line; gives the units that the growth is worth.
    /// They are `floor(last / unit) - floor(first / unit)`, so that the ranges of a line, one after the
    /// other, lose nothing to rounding; 0 when the growth does not reach the next unit.
    ///
    /// # Errors
    /// The names in the head of this file.
    pub fn verify(&self, line: &Line, known: &Known) -> Result<u64, Refusal> {
        line.verify(&self.first, known)?;
        line.verify(&self.last, known)?;
        let (first, last, terms) = (&self.first.tick, &self.last.tick, &line.terms);
        require(
            last.number > first.number,
            "metered.tick-backwards",
            format_args!("after tick {}", first.number),
            last.number,
        )?;
        require(
            first.number.is_multiple_of(terms.range_ticks),
            "metered.range-start",
            format_args!("a multiple of {}", terms.range_ticks),
            first.number,
        )?;
        let ticks = last.number - first.number;
        require(ticks <= terms.range_ticks, "metered.range-too-long", terms.range_ticks, ticks)?;
        let growth = last.total.checked_sub(first.total).ok_or_else(|| {
            Refusal::new("metered.total-shrinks", format_args!("at least {}", first.total), last.total)
        })?;
        let most = terms.tick_max.saturating_mul(ticks);
        require(growth <= most, "metered.tick-too-large", format_args!("{most} in {ticks} ticks"), growth)?;
        Ok(last.total / terms.unit - first.total / terms.unit)
    }
}
