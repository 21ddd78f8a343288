//! A device that replays a recording as if it measured it: one signed, numbered, chained reading an hour.
//!
//! What a live sensor's driver will do is the same: [`Device::measure`] with values of its own. A lying
//! device is one whose values are not the world's; its signatures and its chain are in order, which is why a
//! model has to look at the values.

use crate::fault::Result;
use crate::weather::{Forgery, Hours};
use proofmesh_market::DeviceSecret;
use proofmesh_services::reading::{Chain, Reading, SignedReading, Values};
use proofmesh_services::window::HOUR_S;

/// A device with its key and its place in its own stream.
#[derive(Debug)]
pub struct Device {
    secret: DeviceSecret,
    chain: Chain,
}

impl Device {
    /// A device before its first reading.
    #[must_use]
    pub fn new(secret: DeviceSecret) -> Self {
        let chain = Chain::new(secret.device());
        Device { secret, chain }
    }

    /// Signs a reading and takes it into its own stream.
    ///
    /// # Errors
    /// `reading.*`: a time that is not later than the last.
    pub fn measure(&mut self, time_s: u64, values: Values) -> Result<SignedReading> {
        let (device, number, previous) = (self.secret.device(), self.chain.next(), self.chain.head());
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

/// A recording in which a day is replaced by what a lying device shows.
pub fn forge(recording: &mut Hours, start_s: u64, forgery: &Forgery) {
    for (hour, values) in forgery.values.iter().enumerate() {
        recording.insert(start_s + hour as u64 * HOUR_S, *values);
    }
}
