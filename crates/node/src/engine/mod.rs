//! What a node stands on: the journal, the blobs, the bus, the store of keys. Each is one file here; [`place`] says which
//! engines a directory's coordinator uses.
//!
//! A coordinator needs of a journal what [`Journal`] asks for and no more. One conformance suite (`tests/node/engines.rs`)
//! holds every engine to it, the embedded one too.

pub mod blobs;
pub mod bus;
pub mod crash;
pub mod keys;
pub mod log;
pub mod moving;
pub mod nats;
mod pack;
pub mod place;
pub mod postgres;
pub mod s3;
mod speak;

use crate::fault::{Fault, Result};
use place::Engines;
use proofmesh_market::Hash32;
use proofmesh_market::limits::EVENT_BYTES_MAX;
use std::sync::Arc;

/// Reads records of a journal: from a number on, at most so many.
pub type Records = Arc<dyn Fn(u64, usize) -> Result<Vec<Vec<u8>>> + Send + Sync>;

/// The sequence of records that everything follows from. One writer at a time; an append is the moment at which an
/// event has happened.
pub trait Journal: Send + Sync + std::fmt::Debug {
    /// Appends records in their order and makes them durable at once: when this returns, no crash loses one of them.
    /// None at all is fine; one that is no record (empty, or longer than the log takes) refuses all.
    ///
    /// After an error it is not known how many of them are in: the first few, or none, or all. Then only the same
    /// records may be appended next: none is taken twice.
    ///
    /// # Errors
    /// `log.broken`, `file.full` and `file.io` of the embedded engine; `journal.unreachable`, `journal.fenced`, `journal.moved` of a
    /// server.
    fn append(&mut self, records: &[&[u8]]) -> Result<()>;

    /// Ends it: nothing more is appended, and a database says from now on where it goes on. After an error it is not known
    /// whether it is sealed; what is sealed takes no record.
    ///
    /// # Errors
    /// `journal.unreachable`, `journal.fenced`.
    fn seal(&mut self, moved_to: &Engines) -> Result<()>;

    /// Head of the market's hash chain over the records.
    fn head(&self) -> Hash32;

    /// Number of records.
    fn len(&self) -> u64;

    /// True before the first record.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads what is in, now and later, beside whoever appends: readers keep no writer waiting.
    fn reader(&self) -> Records;

    /// Records `from ..`, at most `most`.
    ///
    /// # Errors
    /// `file.io`, `journal.unreachable`.
    fn read(&self, from: u64, most: usize) -> Result<Vec<Vec<u8>>> {
        self.reader()(from, most)
    }
}

/// What opening a journal found.
#[derive(Debug)]
pub struct Opened {
    /// The journal, ready to append to.
    pub journal: Box<dyn Journal>,
    /// All records.
    pub records: Vec<Vec<u8>>,
    /// `H` of each.
    pub hashes: Vec<Hash32>,
    /// Bytes of an unfinished record that were cut off; 0 for none.
    pub torn_bytes: u64,
}

/// Whether all of them are records.
fn require_records(records: &[&[u8]]) -> Result<()> {
    match records.iter().find(|record| !(1..=EVENT_BYTES_MAX).contains(&record.len())) {
        Some(other) => {
            Err(Fault::refused("log.record-length", format!("1 to {EVENT_BYTES_MAX} bytes"), other.len()))
        }
        None => Ok(()),
    }
}
