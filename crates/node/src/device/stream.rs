//! A live device's readings on disk, and what is known of them: hours for windows, counts for completeness.
//!
//! One [`Log`] a device, `readings/KEY.log` in the node's directory. Record: who signed (0 the device, 1 its
//! gateway), then the signed reading. A reading is durable before it is acknowledged to the broker, and a stream
//! that is opened again is checked again from its first reading on.
//!
//! An hour's value is its first reading. Readings that are later in the same hour are kept, chained and counted.

use crate::engine::log::{Log, scan};
use crate::fault::{Fault, Result};
use crate::weather::{Hours, PHASE_S, date};
use proofmesh_market::DeviceSecret;
use proofmesh_services::did::Did;
use proofmesh_services::reading::{Chain, MEMORY, Reading, SIGNED_READING_BYTES_MAX, SignedReading, Values};
use proofmesh_services::senml::Measured;
use proofmesh_services::window::{HOUR_S, WINDOW_S};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

/// Readings that a stream takes: 100 years of one an hour, ten days of one a second.
pub const READINGS_MAX: u64 = 1 << 20;

/// Whose key signed a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignedBy {
    /// The device itself: what it measured is as good as its key.
    Device,
    /// The node that took it in: nobody vouches for the way from the sensor to the node.
    Gateway,
}

/// The readings of one day by their numbers. Numbers have no holes from day to day, so a day that is left out, or
/// readings of it, show as a difference between a day's first number and the end of the day before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayCount {
    /// The day.
    pub date: String,
    /// Its first second.
    pub start_s: u64,
    /// Number of its first reading.
    pub first: u64,
    /// One more than the number of its last reading.
    pub until: u64,
    /// Readings.
    pub readings: u64,
    /// Of these, signed by the gateway.
    pub by_gateway: u64,
    /// Hours with a reading, of 24.
    pub hours: u64,
    /// Numbers that are missing before readings of this day.
    pub missing: u64,
}

/// What is known of a stream.
#[derive(Clone, Debug)]
pub struct Seen {
    chain: Chain,
    hours: Hours,
    recent: VecDeque<(u64, Values)>, // second and values of the last readings, to tell a sensor's repetitions
    days: BTreeMap<u64, DayCount>,
}

impl Seen {
    fn new(device: Did) -> Self {
        Seen {
            chain: Chain::new(device),
            hours: Hours::new(),
            recent: VecDeque::new(),
            days: BTreeMap::new(),
        }
    }

    /// What a file says, without opening it for writing: another process may be at it.
    ///
    /// # Errors
    /// `log.*`, `reading.*`, `file.io`.
    pub fn look(dir: &Path, device: impl Into<Did>) -> Result<Self> {
        let device = device.into();
        let path = path(dir, &device);
        let mut seen = Seen::new(device);
        match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            bytes => {
                let bytes = bytes.map_err(|error| Fault::file(&path, &error))?;
                for record in scan(&bytes)?.records {
                    seen.load(record)?;
                }
            }
        }
        Ok(seen)
    }

    fn load(&mut self, record: &[u8]) -> Result<()> {
        let damaged = || Fault::trouble("readings.record", "a signed reading", "another record");
        let (by, signed) = record.split_first().ok_or_else(damaged)?;
        let by = match by {
            0 => SignedBy::Device,
            1 => SignedBy::Gateway,
            _ => return Err(damaged()),
        };
        self.take(&SignedReading::decode(signed)?, by)
    }

    fn take(&mut self, signed: &SignedReading, by: SignedBy) -> Result<()> {
        let missing = self.chain.accept_over_gap(signed)?;
        let Reading { number, time_s, values, .. } = signed.reading;
        let new_hour = !self.hours.contains_key(&(time_s - time_s % HOUR_S));
        if new_hour {
            self.hours.insert(time_s - time_s % HOUR_S, values);
        }
        if self.recent.len() == MEMORY {
            self.recent.pop_front();
        }
        self.recent.push_back((time_s, values));
        let start_s = time_s.saturating_sub(PHASE_S) / WINDOW_S * WINDOW_S + PHASE_S;
        let day = self.days.entry(start_s).or_insert_with(|| DayCount {
            date: date(start_s),
            start_s,
            first: number,
            until: number,
            readings: 0,
            by_gateway: 0,
            hours: 0,
            missing: 0,
        });
        day.until = number + 1;
        day.readings += 1;
        day.by_gateway += u64::from(by == SignedBy::Gateway);
        day.hours += u64::from(new_hour);
        day.missing += missing;
        Ok(())
    }

    /// Why a plain sensor's reading is none: it is not later than the last one. A sensor without a chain is told
    /// apart by its times.
    fn late(&self, measured: &Measured) -> Option<Fault> {
        let (last_s, _) = *self.recent.back()?;
        if measured.time_s > last_s {
            return None;
        }
        let seen = self.recent.binary_search_by_key(&measured.time_s, |(time_s, _)| *time_s);
        let name = match seen {
            Ok(index) if self.recent[index].1 != measured.values => "reading.rewritten",
            Ok(_) if measured.time_s == last_s => "reading.duplicate",
            Ok(_) => "reading.replayed",
            Err(0) if self.recent.len() == MEMORY => "reading.replayed",
            Err(_) => "reading.reordered",
        };
        Some(Fault::refused(name, format_args!("a second after {last_s}"), measured.time_s))
    }

    /// First readings of each hour.
    #[must_use]
    pub fn hours(&self) -> &Hours {
        &self.hours
    }

    /// Second of the last reading.
    #[must_use]
    pub fn last_s(&self) -> Option<u64> {
        self.recent.back().map(|(time_s, _)| *time_s)
    }

    /// Number of the next reading.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.chain.next()
    }

    /// Counts of the days, in order.
    pub fn days(&self) -> impl Iterator<Item = &DayCount> {
        self.days.values()
    }
}

fn path(dir: &Path, device: &Did) -> PathBuf {
    dir.join("readings").join(format!("{}.log", device.file_name()))
}

/// A stream that takes readings.
#[derive(Debug)]
pub struct Stream {
    log: Log,
    seen: Seen,
}

impl Stream {
    /// Opens or starts the stream of a device in a node's directory.
    ///
    /// # Errors
    /// `log.*` (in use, damaged), `reading.*`, `file.io`.
    pub fn open(dir: &Path, device: Did) -> Result<Self> {
        let path = path(dir, &device);
        let parent = path.parent().unwrap_or(dir);
        std::fs::create_dir_all(parent).map_err(|error| Fault::file(parent, &error))?;
        let opened = Log::open(&path)?;
        let mut seen = Seen::new(device);
        for record in &opened.records {
            seen.load(record)?;
        }
        Ok(Stream { log: opened.log, seen })
    }

    /// What is known of it.
    #[must_use]
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Takes a reading that the device signed; durable when this returns.
    ///
    /// # Errors
    /// `reading.*`, `readings.full`, `log.broken`, `file.io`.
    pub fn take(&mut self, signed: &SignedReading, by: SignedBy) -> Result<()> {
        if self.log.len() >= READINGS_MAX {
            let expected = format!("at most {READINGS_MAX} readings a device; make a new one");
            return Err(Fault::refused("readings.full", expected, self.log.len()));
        }
        self.seen.take(signed, by)?;
        let mut record = Vec::with_capacity(1 + SIGNED_READING_BYTES_MAX);
        record.push(u8::from(by == SignedBy::Gateway));
        record.extend_from_slice(&signed.encode());
        // What was seen and not written is trouble until the stream is opened again: the log refuses all more.
        self.log.append(&[&record])
    }

    /// Signs what a sensor without a key measured, and takes it.
    ///
    /// # Errors
    /// As [`Stream::take`]; `reading.duplicate`, `reading.replayed`, `reading.rewritten`, `reading.reordered` by
    /// its time.
    pub fn sign(&mut self, secret: &DeviceSecret, measured: &Measured) -> Result<()> {
        if let Some(fault) = self.seen.late(measured) {
            return Err(fault);
        }
        let (number, previous) = (self.seen.chain.next(), self.seen.chain.head());
        let Measured { time_s, values } = *measured;
        let reading = Reading { device: secret.device().into(), number, time_s, previous, values };
        self.take(&reading.sign(&secret.clone().into())?, SignedBy::Gateway)
    }
}
