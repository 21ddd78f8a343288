//! Devices: readings that are signed, numbered and chained, from a recording or live.
//!
//! [`Device`] is the side that measures and signs: [`Device::measure`] with values of its own. A lying device is one
//! whose values are not the world's; its signatures and its chain are in order, which is why a model has to look at
//! the values. Live: [`intake`] is the one way in, [`stream`] what is on disk, [`enrol`] what is known of a sensor
//! beside its key, [`mqtt`] the broker's side, [`feed`] and [`outbox`]
//! the publishing side.

pub mod enrol;
pub mod feed;
pub mod intake;
pub mod mqtt;
pub mod outbox;
pub mod stream;

use crate::fault::Result;
use crate::weather::{Forgery, Hours};
use intake::Intake;
use proofmesh_market::DeviceSecret;
use proofmesh_services::did::DidSecret;
use proofmesh_services::reading::{Chain, Reading, SignedReading, Values};
use proofmesh_services::window::{Day, GAP_HOURS, HOUR_S, WINDOW_S, by_hour};
use std::sync::Arc;

/// A device with its key and its place in its own stream.
#[derive(Debug)]
pub struct Device {
    secret: DidSecret,
    chain: Chain,
}

impl Device {
    /// A device before its first reading.
    #[must_use]
    pub fn new(secret: impl Into<DidSecret>) -> Self {
        let secret = secret.into();
        let chain = Chain::new(secret.did());
        Device { secret, chain }
    }

    /// A device that goes on with its own stream.
    ///
    /// # Errors
    /// `reading.*`: they are not its own, or not in order.
    pub fn resume(secret: DidSecret, stream: &[SignedReading]) -> Result<Self> {
        let mut device = Device::new(secret);
        device.chain.accept_all(stream)?;
        Ok(device)
    }

    /// Signs a reading and takes it into its own stream.
    ///
    /// # Errors
    /// `reading.*`: a time that is not later than the last.
    pub fn measure(&mut self, time_s: u64, values: Values) -> Result<SignedReading> {
        let (device, number, previous) = (self.secret.did(), self.chain.next(), self.chain.head());
        let signed = Reading { device, number, time_s, previous, values }.sign(&self.secret)?;
        self.chain.accept(&signed)?;
        Ok(signed)
    }

    /// Replays the hours `from_s .. until_s` of a recording; hours without a row give no reading.
    ///
    /// # Errors
    /// As [`Device::measure`].
    pub fn replay(&mut self, recording: &Hours, from_s: u64, until_s: u64) -> Result<Vec<SignedReading>> {
        recording.range(from_s..until_s).map(|(time_s, values)| self.measure(*time_s, *values)).collect()
    }
}

/// Where a node's readings come from.
#[derive(Clone, Debug)]
pub enum Readings {
    /// A recording, replayed as if it were measured.
    Recorded(Hours),
    /// What devices send.
    Live(Arc<Intake>),
}

impl From<Hours> for Readings {
    fn from(recording: Hours) -> Self {
        Readings::Recorded(recording)
    }
}

impl Readings {
    /// Whether a day's readings are there, as far as they will come: a day that is not complete yet is waited for
    /// until readings are there that no gap in it can be filled without.
    #[must_use]
    pub fn ready(&self, start_s: u64) -> bool {
        let Readings::Live(intake) = self else { return true };
        let end_s = start_s.saturating_add(WINDOW_S + GAP_HOURS * HOUR_S);
        let passed = intake.with(|seen| seen.last_s().is_some_and(|last_s| last_s >= end_s));
        passed || Day::new(&around(intake, start_s), start_s).is_ok()
    }
}

/// The live hours of a day and those that a gap at its ends may need.
fn around(intake: &Intake, start_s: u64) -> Hours {
    let from_s = start_s.saturating_sub(GAP_HOURS * HOUR_S);
    let until_s = start_s.saturating_add(WINDOW_S + GAP_HOURS * HOUR_S);
    intake
        .with(|seen| seen.hours().range(from_s..until_s).map(|(hour_s, values)| (*hour_s, *values)).collect())
}

/// A node's readings as it works: a recording is signed as it is replayed, and checked as any stream is.
pub(crate) struct Source {
    readings: Readings,
    device: Device,
    until_s: u64,
    stream: Chain,
    replayed: Vec<SignedReading>,
}

impl Source {
    pub(crate) fn new(readings: Readings, secret: DeviceSecret) -> Self {
        let stream = Chain::new(secret.device());
        Source { readings, device: Device::new(secret), until_s: 0, stream, replayed: Vec::new() }
    }

    /// Lets a recorded device measure until a day's last reading and those that a gap at its end may need.
    pub(crate) fn hear(&mut self, start_s: u64) -> Result<()> {
        let Readings::Recorded(recording) = &self.readings else { return Ok(()) };
        let from_s = self.until_s.max(start_s.saturating_sub(GAP_HOURS * HOUR_S));
        let until_s = start_s.saturating_add(WINDOW_S + GAP_HOURS * HOUR_S);
        if until_s <= from_s {
            return Ok(());
        }
        let batch = self.device.replay(recording, from_s, until_s)?;
        self.stream.accept_all(&batch)?;
        self.replayed.extend(batch);
        self.until_s = until_s;
        Ok(())
    }

    /// A day that is complete.
    pub(crate) fn day(&self, start_s: u64) -> Result<Day> {
        let hours = match &self.readings {
            Readings::Recorded(_) => by_hour(self.replayed.iter().map(|signed| &signed.reading))?,
            Readings::Live(intake) => around(intake, start_s),
        };
        Ok(Day::new(&hours, start_s)?)
    }
}

/// A recording in which a day is replaced by what a lying device shows.
pub fn forge(recording: &mut Hours, start_s: u64, forgery: &Forgery) {
    for (hour, values) in forgery.values.iter().enumerate() {
        recording.insert(start_s + hour as u64 * HOUR_S, *values);
    }
}
