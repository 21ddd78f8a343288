//! The two sides of a line while it runs. Neither needs to believe the other: whoever stops or lies, at any
//! tick, nobody gains or loses more than the price of one tick.
//!
//! The provider delivers at most `tick_max` beyond the last total that the consumer signed
//! ([`Provider::allowance`]); that is all it can lose. The consumer signs a total only when its own meter
//! shows as much ([`Consumer::countersign`]); it never pays for more than came. Numbers may skip ticks, but
//! not the start of a range: without it the range could not be paid.
//!
//! Refuses, beside the names of [`super::tick`]: `metered.not-measured`, `metered.range-start-missing`.

use super::tick::{Line, SignedTick, Tick};
use proofmesh_market::{DeviceSecret, DeviceSignature, Known, Refusal};

/// A tick that the provider has signed and the consumer not yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offered {
    /// What is signed.
    pub tick: Tick,
    /// The provider's signature.
    pub provider: DeviceSignature,
}

/// Whether `tick` may come after `last` on this line.
fn require_next(line: &Line, last: Option<&Tick>, tick: &Tick) -> Result<(), Refusal> {
    line.require(tick)?;
    let Some(last) = last else {
        let first = tick.number == 0;
        return if first { Ok(()) } else { Err(missing_start(0, tick)) };
    };
    if tick.number <= last.number {
        let expected = format!("after tick {}", last.number);
        return Err(Refusal::new("metered.tick-backwards", expected, tick.number));
    }
    let range = line.terms.range_ticks;
    let next_start = (last.number / range).saturating_add(1).saturating_mul(range);
    if tick.number > next_start {
        return Err(missing_start(next_start, tick));
    }
    let growth = tick.total.checked_sub(last.total).ok_or_else(|| {
        Refusal::new("metered.total-shrinks", format_args!("at least {}", last.total), tick.total)
    })?;
    if growth > line.terms.tick_max {
        return Err(Refusal::new("metered.tick-too-large", line.terms.tick_max, growth));
    }
    Ok(())
}

fn missing_start(start: u64, tick: &Tick) -> Refusal {
    Refusal::new("metered.range-start-missing", format_args!("tick {start} first"), tick.number)
}

/// The side that delivers.
#[derive(Clone, Debug)]
pub struct Provider {
    line: Line,
    last: Option<Tick>,
}

impl Provider {
    /// A line before its tick 0.
    #[must_use]
    pub fn new(line: Line) -> Self {
        Provider { line, last: None }
    }

    /// How much more may be delivered, when `delivered` was so far, before the consumer has signed again: 0
    /// before tick 0.
    #[must_use]
    pub fn allowance(&self, delivered: u64) -> u64 {
        let unsigned = |last: &Tick| delivered.saturating_sub(last.total);
        self.last.as_ref().map_or(0, |last| self.line.terms.tick_max.saturating_sub(unsigned(last)))
    }

    /// Signs the total of a tick.
    ///
    /// # Errors
    /// The names in the head of this file; `metered.provider-signature` for another's secret.
    pub fn offer(&self, number: u64, total: u64, secret: &DeviceSecret) -> Result<Offered, Refusal> {
        let tick = self.line.tick(number, total)?;
        require_next(&self.line, self.last.as_ref(), &tick)?;
        let offered = Offered { tick, provider: tick.sign(secret) };
        self.line.verify_provider(&tick.digest(), &offered.provider, Known::NOTHING)?;
        Ok(offered)
    }

    /// Takes what the consumer gave back; on a refusal nothing changes, and nothing more is delivered.
    ///
    /// # Errors
    /// The names in the head of this file.
    pub fn take(&mut self, signed: &SignedTick) -> Result<(), Refusal> {
        require_next(&self.line, self.last.as_ref(), &signed.tick)?;
        self.line.verify(signed, Known::NOTHING)?;
        self.last = Some(signed.tick);
        Ok(())
    }
}

/// The side that pays.
#[derive(Clone, Debug)]
pub struct Consumer {
    line: Line,
    last: Option<Tick>,
}

impl Consumer {
    /// A line before its tick 0.
    #[must_use]
    pub fn new(line: Line) -> Self {
        Consumer { line, last: None }
    }

    /// Signs what the provider offers, when this side's own meter shows at least as much.
    ///
    /// # Errors
    /// `metered.not-measured` when it shows less; the names in the head of this file;
    /// `metered.consumer-signature` for another's secret.
    pub fn countersign(
        &mut self,
        offered: &Offered,
        measured: u64,
        secret: &DeviceSecret,
    ) -> Result<SignedTick, Refusal> {
        let Offered { tick, provider } = *offered;
        require_next(&self.line, self.last.as_ref(), &tick)?;
        if tick.total > measured {
            return Err(Refusal::new("metered.not-measured", format_args!("at most {measured}"), tick.total));
        }
        let signed = SignedTick { tick, provider, consumer: tick.sign(secret) };
        self.line.verify(&signed, Known::NOTHING)?;
        self.last = Some(tick);
        Ok(signed)
    }
}
