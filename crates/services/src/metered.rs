//! Metered data: bytes carried, wireless packets heard, watt-hours delivered, by totals that both sides sign.
//!
//! Provider (the receipt's device) and consumer (a key in the terms) sign a growing total each tick. The
//! evidence of a receipt is a [`Range`]: the tick that it starts from and the last that both signed. Ranges
//! lie on a grid, `range_ticks` long, and a receipt's window is from the time of its first tick to that of its
//! last. So each starts where the one before ended, they never overlap, and the market, which pays a window's
//! first second once for each device, pays each range once.
//!
//! What it shows: that both keys agreed on the total. What it does not: that anything was delivered, when one
//! hand holds both keys; such a buyer pays itself, less the fee. docs/spec/services.md.
//!
//! Terms, version 1, 66 bytes, big-endian: `0x01 || quantity u8 (1 bytes, 2 packets, 3 watt-hours) ||
//! consumer 32 || unit u64 || tick_s u64 || tick_max u64 || range_ticks u64`.
//!
//! Refuses: `metered.terms`, `metered.not-empty`, `metered.wrong-window`, `metered.no-growth`, and the names
//! of [`tick`]. Evidence that does not hold is blamed on the node; growth below one unit on nobody.

pub mod semtech;
pub mod session;
pub mod tick;

use crate::wire::{array, u64_at};
use crate::{Engines, Family, Service, blamed};
use proofmesh_market::receipt::output_hash;
use proofmesh_market::{Blame, Case, Device, DeviceClaim, Hash32, Job, Reason, Receipt, Usd};
pub use tick::{Line, Range, SignedTick, Tick};

/// The row in [`crate::SERVICES`].
pub const SERVICE: Service = Service {
    name: "metered",
    tag: "proofmesh/metered/v1",
    family: Family::Meter,
    unit: "the terms' unit of a counter-signed total",
    describe,
    price,
    check,
    signed: Some(signed),
};

/// Bytes of the terms.
pub const TERMS_BYTES: usize = 1 + 1 + 32 + 4 * 8;
/// Longest tick: an hour.
pub const TICK_S_MAX: u64 = 3_600;
/// Most ticks of a range.
pub const RANGE_TICKS_MAX: u64 = 1 << 20;
const TERMS_VERSION: u8 = 1;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Bytes carried.
    Bytes,
    /// Wireless packets with a good checksum.
    Packets,
    /// Watt-hours.
    WattHours,
}

impl Quantity {
    const ALL: [Quantity; 3] = [Quantity::Bytes, Quantity::Packets, Quantity::WattHours];

    fn words(self) -> &'static str {
        match self {
            Quantity::Bytes => "bytes",
            Quantity::Packets => "packets",
            Quantity::WattHours => "watt-hours",
        }
    }
}

/// The service's terms of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// What is counted.
    pub quantity: Quantity,
    /// Who signs against the provider.
    pub consumer: Device,
    /// How much of the quantity is one paid unit; above zero.
    pub unit: u64,
    /// Seconds between ticks, 1 to [`TICK_S_MAX`].
    pub tick_s: u64,
    /// Most growth of one tick: what either side risks.
    pub tick_max: u64,
    /// Ticks of a full range, 1 to [`RANGE_TICKS_MAX`].
    pub range_ticks: u64,
}

impl Terms {
    /// The canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![TERMS_VERSION, self.quantity as u8 + 1];
        bytes.extend_from_slice(&self.consumer.0);
        for integer in [self.unit, self.tick_s, self.tick_max, self.range_ticks] {
            bytes.extend_from_slice(&integer.to_be_bytes());
        }
        bytes
    }

    /// Reads terms; exactly the bytes that [`Terms::encode`] makes of terms within their bounds.
    ///
    /// # Errors
    /// `metered.terms`.
    pub fn decode(bytes: &[u8]) -> Result<Self, Reason> {
        let refused =
            |got: &str| Reason::new("metered.terms", Blame::Nobody, "terms of metered, version 1", got);
        let bytes: &[u8; TERMS_BYTES] =
            bytes.try_into().map_err(|_| refused(&format!("{} bytes", bytes.len())))?;
        let [version, quantity, rest @ ..] = bytes;
        let (consumer, integers) = rest.split_at(32);
        let quantity = Quantity::ALL.into_iter().find(|known| *known as u8 + 1 == *quantity);
        let terms = Terms {
            quantity: quantity.ok_or_else(|| refused("another quantity"))?,
            consumer: Device(array(consumer)),
            unit: u64_at(integers, 0),
            tick_s: u64_at(integers, 8),
            tick_max: u64_at(integers, 16),
            range_ticks: u64_at(integers, 24),
        };
        let bounded = terms.unit > 0
            && terms.tick_max > 0
            && (1..=TICK_S_MAX).contains(&terms.tick_s)
            && (1..=RANGE_TICKS_MAX).contains(&terms.range_ticks);
        if *version != TERMS_VERSION || !bounded { Err(refused("another form")) } else { Ok(terms) }
    }

    /// Most units of one tick, `ceil(tick_max / unit)`: times the unit price, what either side can lose.
    #[must_use]
    pub fn tick_units(&self) -> u64 {
        self.tick_max.div_ceil(self.unit)
    }
}

fn describe(job: &Job, _: &Engines<'_>) -> Result<String, Reason> {
    let terms = Terms::decode(&job.terms)?;
    let Terms { unit, tick_s, tick_max, consumer, .. } = &terms;
    let words = terms.quantity.words();
    Ok(format!(
        "each {unit} {words} is paid, signed against {consumer} every {tick_s} s; at most {tick_max} {words} a tick"
    ))
}

/// 0.10 USD for 10^9 bytes, 10 micro-USD a packet, 0.10 USD a kilowatt-hour; at least 1 micro-USD a unit.
fn price(job: &Job, _: &Engines<'_>) -> Result<Usd, Reason> {
    let terms = Terms::decode(&job.terms)?;
    let micro = match terms.quantity {
        Quantity::Bytes => terms.unit / 10_000,
        Quantity::Packets => terms.unit.saturating_mul(10),
        Quantity::WattHours => terms.unit.saturating_mul(100),
    };
    Ok(Usd::from_micro(micro.max(1)))
}

fn signed(job: &Job, receipt: &Receipt, evidence: &[u8]) -> Vec<DeviceClaim> {
    let (Ok(terms), Ok(range)) = (Terms::decode(&job.terms), Range::decode(evidence)) else {
        return Vec::new();
    };
    let of = |signed: &SignedTick| {
        let digest = signed.tick.digest();
        [(digest, signed.provider, receipt.device), (digest, signed.consumer, terms.consumer)]
    };
    [of(&range.first), of(&range.last)].concat()
}

fn check(case: &Case<'_>, engines: &Engines<'_>) -> Result<u64, Reason> {
    let receipt = &case.receipt.receipt;
    let terms = Terms::decode(&case.job.terms)?;
    let empty = receipt.output == output_hash(&[]) && receipt.input == Hash32::ZERO;
    if !empty {
        return Err(Reason::new("metered.not-empty", Blame::Node, "no output, input 0", "another"));
    }
    let range = Range::decode(case.evidence).map_err(blamed)?;
    let from_s = case.job.window_from_s;
    let line = Line { job: *case.job_id, provider: receipt.device, from_s, terms };
    let units = range.verify(&line, engines.known).map_err(blamed)?;
    let window = (range.first.tick.time_s, range.last.tick.time_s);
    if window != (receipt.window_start, receipt.window_end) {
        let got = format!("{} to {}", receipt.window_start, receipt.window_end);
        let expected = format!("{} to {}", window.0, window.1);
        return Err(Reason::new("metered.wrong-window", Blame::Node, expected, got));
    }
    if units == 0 {
        let growth = range.last.tick.total - range.first.tick.total; // Range::verify: it does not shrink
        return Err(Reason::new("metered.no-growth", Blame::Nobody, line.terms.unit, growth));
    }
    Ok(units)
}
