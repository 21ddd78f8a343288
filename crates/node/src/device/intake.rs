//! The one way in for readings of live devices, however they come: MQTT, HTTP push, a file.
//!
//! A payload is a SenML pack (JSON or CBOR; [`proofmesh_services::senml`]) of a sensor without a key, which this node signs as
//! its gateway, or a `COSE_Sign1` reading ([`proofmesh_services::cose`]) of a device that signs for itself. A node takes one stream:
//! its own key's, or that of the sensor that its owner bound to it (`proofmesh device accept`), and then nothing
//! unsigned. Everything that is refused is counted by its name in `refused.json`.
//!
//! Refuses: `intake.form`, `intake.too-large`, `intake.retained`, `reading.unsigned`, `senml.*`, `cose.*`,
//! `reading.*`, `readings.full`, `maker.required`.

use super::enrol::{Watch, required};
use super::stream::{Seen, SignedBy, Stream};
use crate::engine::keys::Keys;
use crate::fault::{Fault, Kind, Result};
use crate::owner::{read_json, write_json};
use crate::time::Time;
use proofmesh_market::{Address, Device, DeviceSecret};
use proofmesh_services::did::Did;
use proofmesh_services::senml::{Form, PACK_BYTES_MAX};
use proofmesh_services::{cose, senml};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// A SenML pack.
    Senml(Form),
    /// A signed reading.
    Cose,
}

impl Payload {
    /// By the last level of a topic: `json`, `cbor`, `cose`.
    ///
    /// # Errors
    /// `intake.form`.
    pub fn of_topic(level: &str) -> Result<Self> {
        match level {
            "json" => Ok(Payload::Senml(Form::Json)),
            "cbor" => Ok(Payload::Senml(Form::Cbor)),
            "cose" => Ok(Payload::Cose),
            _ => Err(Fault::refused("intake.form", "json, cbor or cose", format_args!("{level:.40?}"))),
        }
    }

    /// By its media type: `application/senml+json`, `application/senml+cbor`, `application/cose`.
    ///
    /// # Errors
    /// `intake.form`.
    pub fn of_media_type(text: &str) -> Result<Self> {
        match text.split(';').next().unwrap_or_default().trim() {
            "application/senml+json" => Ok(Payload::Senml(Form::Json)),
            "application/senml+cbor" => Ok(Payload::Senml(Form::Cbor)),
            "application/cose" => Ok(Payload::Cose),
            _ => {
                let expected = "application/senml+json, application/senml+cbor or application/cose";
                Err(Fault::refused("intake.form", expected, format_args!("{text:.60?}")))
            }
        }
    }
}

/// What became of a payload that was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenDoc {
    /// Readings that are new and durable.
    pub readings: u64,
    /// Readings that were there already: a message that was sent again.
    pub known: u64,
}

/// Refusals by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Refused(pub BTreeMap<String, u64>);

impl Refused {
    /// Of a node.
    ///
    /// # Errors
    /// `refused.json`, `file.io`.
    pub fn read(node_dir: &Path) -> Result<Self> {
        Ok(read_json(&node_dir.join("refused.json"), "refused.json")?.unwrap_or_default())
    }
}

/// The sensor that a node's owner bound to it, if any.
///
/// # Errors
/// `sensor.json`, `file.io`.
pub fn bound(node_dir: &Path) -> Result<Option<Did>> {
    Ok(read_json::<Option<Did>>(&node_dir.join("sensor.json"), "sensor.json")?.flatten())
}

/// Binds a sensor with a key of its own to a node, or with `None` the node's own key again.
///
/// # Errors
/// `file.io`.
pub fn bind(node_dir: &Path, sensor: Option<Did>) -> Result<()> {
    write_json(&node_dir.join("sensor.json"), "sensor.json", &sensor)
}

/// Takes the readings of a node.
#[derive(Debug)]
pub struct Intake {
    name: String,
    dir: PathBuf,
    secret: DeviceSecret,
    owner: Address,
    sensor: Option<Did>,
    enrolled: Option<Mutex<Watch>>, // of the sensor
    time: Time,
    stream: Mutex<Stream>,
    refused: Mutex<Refused>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Intake {
    /// The intake of a node of this name with its state in `dir`.
    ///
    /// # Errors
    /// `key.*`, `sensor.json`, `log.*`, `file.io`.
    pub fn open(dir: &Path, name: &str, time: Time) -> Result<Self> {
        let keys = Keys::open(&dir.join("keys"))?;
        let (secret, owner) = (keys.device(name)?, keys.account(name)?.address());
        let dir = dir.join("nodes").join(name);
        let sensor = bound(&dir)?;
        let stream = Stream::open(&dir, sensor.unwrap_or(secret.device().into()))?;
        let (stream, refused) = (Mutex::new(stream), Mutex::new(Refused::read(&dir)?));
        let enrolled = sensor.map(|sensor| Mutex::new(Watch::new(&dir, sensor)));
        Ok(Intake { name: name.to_owned(), dir, secret, owner, sensor, enrolled, time, stream, refused })
    }

    /// The node's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The node's own device, for which it signs.
    #[must_use]
    pub fn device(&self) -> Device {
        self.secret.device()
    }

    /// Asks what is known of the stream.
    pub fn with<T>(&self, ask: impl FnOnce(&Seen) -> T) -> T {
        ask(locked(&self.stream).seen())
    }

    /// Takes a payload. What is new in it is durable when this returns, also when it returns a refusal of the rest.
    /// Blocks on the disk.
    ///
    /// # Errors
    /// The names in the head of this file; trouble when the disk fails: the payload has to come again.
    pub fn take(&self, payload: Payload, bytes: &[u8]) -> Result<TakenDoc> {
        let mut taken = TakenDoc::default();
        let outcome = match payload {
            _ if bytes.len() > PACK_BYTES_MAX => {
                let expected = format!("at most {PACK_BYTES_MAX} bytes");
                Err(Fault::refused("intake.too-large", expected, bytes.len()))
            }
            Payload::Senml(form) => self.take_pack(form, bytes, &mut taken),
            Payload::Cose => self.take_signed(bytes, &mut taken),
        };
        outcome.map(|()| taken).inspect_err(|fault| self.count(fault))
    }

    fn take_pack(&self, form: Form, bytes: &[u8], taken: &mut TakenDoc) -> Result<()> {
        if let Some(sensor) = self.sensor {
            let expected = format!("readings that {sensor} signed");
            return Err(Fault::refused("reading.unsigned", expected, "SenML without a signature"));
        }
        if let Some(maker) = required(&self.dir)? {
            let expected = format!("readings of a sensor made by {maker}");
            return Err(Fault::refused("maker.required", expected, "a sensor without a key"));
        }
        let measured = senml::measured(&senml::decode(form, bytes, self.time.now_s())?)?;
        let mut stream = locked(&self.stream);
        let mut first = None;
        for reading in &measured {
            if let Err(fault) = self.note(stream.sign(&self.secret, reading), taken) {
                if fault.kind == Kind::Trouble {
                    return Err(fault);
                }
                first = first.or(Some(fault));
            }
        }
        first.map_or(Ok(()), Err)
    }

    fn take_signed(&self, bytes: &[u8], taken: &mut TakenDoc) -> Result<()> {
        let signed = cose::decode(bytes)?;
        // A clock that runs ahead would make every honest reading after it too old.
        let now_s = self.time.now_s();
        if signed.reading.time_s > now_s.saturating_add(senml::AHEAD_S) {
            let expected = format!("at most {} s after {now_s}", senml::AHEAD_S);
            return Err(Fault::refused("reading.time-ahead", expected, signed.reading.time_s));
        }
        if let Some(enrolled) = self.enrolled.as_ref().filter(|_| self.sensor == Some(signed.reading.device))
        {
            locked(enrolled).now()?.allow(&self.owner, signed.reading.time_s)?;
        }
        let mut stream = locked(&self.stream);
        let before = stream.seen().next();
        self.note(stream.take(&signed, SignedBy::Device), taken)?;
        if signed.reading.number > before {
            // It is taken; that others before it are missing is counted and shown.
            self.count(&Fault::refused("reading.gap", before, signed.reading.number));
        }
        Ok(())
    }

    /// Counts what was taken. A reading that is here already is no error: brokers send again what they are not
    /// sure of.
    fn note(&self, outcome: Result<()>, taken: &mut TakenDoc) -> Result<()> {
        match outcome {
            Err(fault) if fault.is("reading.duplicate") || fault.is("reading.replayed") => {
                self.count(&fault);
                taken.known += 1;
            }
            outcome => {
                outcome?;
                taken.readings += 1;
            }
        }
        Ok(())
    }

    /// Refusals so far.
    #[must_use]
    pub fn refused(&self) -> Refused {
        locked(&self.refused).clone()
    }

    /// Counts a refusal.
    pub(super) fn count(&self, fault: &Fault) {
        if fault.kind == Kind::Trouble {
            return;
        }
        let mut refused = locked(&self.refused);
        *refused.0.entry(fault.name.clone()).or_default() += 1;
        // A disk that does not take the counts does not take readings either, and those are told.
        let _ = write_json(&self.dir.join("refused.json"), "refused.json", &*refused);
    }
}
