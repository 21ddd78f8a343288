//! The publishing side of a live device: packs in, messages for a broker out, spooled on disk in between.
//!
//! Times become absolute when a pack is read, so that what waits for the network keeps its time. In the forms `json` and
//! `cbor` a reading goes out as SenML; in `cose` it is signed, numbered and chained first, with the key of this
//! name and curve in this directory, and the outbox is the device's stream.

use super::Device;
use super::outbox::Outbox;
use crate::engine::keys::Keys;
use crate::fault::{Fault, Result};
use proofmesh_services::did::DidSecret;
use proofmesh_services::senml::{self, Form, Measured};
use proofmesh_services::{cose, reading::SignedReading};
use serde::de::IgnoredAny;
use std::path::Path;

/// How messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum FeedForm {
    /// SenML in JSON
    Json,
    /// SenML in CBOR
    Cbor,
    /// Signed readings
    Cose,
}

impl FeedForm {
    /// The last level of its topic.
    #[must_use]
    pub fn level(self) -> &'static str {
        match self {
            FeedForm::Json => "json",
            FeedForm::Cbor => "cbor",
            FeedForm::Cose => "cose",
        }
    }
}

/// The curve of a sensor's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Curve {
    /// As devices of the market have
    Ed25519,
    /// As secure elements have
    P256,
}

impl Curve {
    /// The key of this name and curve, made if it is missing.
    ///
    /// # Errors
    /// `key.*`, `file.io`.
    pub fn secret(self, keys: &Keys, name: &str) -> Result<DidSecret> {
        match self {
            Curve::Ed25519 => Ok(keys.device(name)?.into()),
            Curve::P256 => keys.p256(name),
        }
    }
}

/// Makes messages of what a device measured.
#[derive(Debug)]
pub struct Feed {
    name: String,
    form: FeedForm,
    device: Option<Device>, // of the form `cose`
}

impl Feed {
    /// The feed of a device of this name and the outbox in which it left off.
    ///
    /// # Errors
    /// `key.*`, `log.*`, `cose.*`, `reading.*`, `file.io`.
    pub fn open(dir: &Path, name: &str, form: FeedForm, curve: Curve) -> Result<(Self, Outbox)> {
        let secret = curve.secret(&Keys::open(&dir.join("keys"))?, name)?; // a name that is none leads to no directory
        let level = form.level();
        // A stream of one key: that of the other has another file.
        let file = if curve == Curve::P256 { format!("{level}-p256.log") } else { format!("{level}.log") };
        let path = dir.join("feeds").join(name).join(file);
        let (outbox, records) =
            Outbox::open(&path, &format!("proofmesh/{name}/{level}"), form == FeedForm::Cose)?;
        let device = match form {
            FeedForm::Cose => {
                let stream: Vec<SignedReading> = records
                    .iter()
                    .map(|record| cose::decode(record))
                    .collect::<std::result::Result<_, _>>()?;
                Some(Device::resume(secret, &stream)?)
            }
            FeedForm::Json | FeedForm::Cbor => None,
        };
        Ok((Feed { name: name.to_owned(), form, device }, outbox))
    }

    /// Puts the readings of a pack into the outbox; gives how many. A reading that a signed stream has already, or
    /// that is older than its last, is left out and told.
    ///
    /// # Errors
    /// `senml.*`, `outbox.full`, trouble.
    pub fn take(&mut self, pack: &[u8], now_s: u64, outbox: &mut Outbox, tell: &dyn Fn(&str)) -> Result<u64> {
        let measured = senml::measured(&senml::decode(Form::Json, pack, now_s)?)?;
        let mut count = 0;
        for reading in &measured {
            match self.message(reading) {
                Err(fault) if fault.is("reading.time-not-later") => tell(&format!("left out: {fault}")),
                message => {
                    outbox.push(&message?)?;
                    count += 1;
                }
            }
        }
        Ok(count)
    }

    fn message(&mut self, measured: &Measured) -> Result<Vec<u8>> {
        let base = format!("{}:", self.name);
        match (&mut self.device, self.form) {
            (Some(device), _) => Ok(cose::encode(&device.measure(measured.time_s, measured.values)?)?),
            (None, FeedForm::Cbor) => Ok(senml::encode(Form::Cbor, &base, measured)),
            (None, _) => Ok(senml::encode(Form::Json, &base, measured)),
        }
    }
}

/// The packs of a recording: JSON arrays, one after the other.
///
/// # Errors
/// `feed.json`, with the place.
pub fn packs(bytes: &[u8]) -> Result<Vec<&[u8]>> {
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<IgnoredAny>();
    let mut packs = Vec::new();
    let mut from = 0;
    while let Some(value) = values.next() {
        value.map_err(|error| Fault::refused("feed.json", "SenML packs, one after the other", error))?;
        packs.push(&bytes[from..values.byte_offset()]);
        from = values.byte_offset();
    }
    Ok(packs)
}
