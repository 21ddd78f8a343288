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
pub mod nats;
pub mod place;
pub mod postgres;
pub mod s3;
mod speak;

use crate::fault::Result;
use proofmesh_market::Hash32;

/// The sequence of records that everything follows from. One writer at a time; an append is the moment at which an
/// event has happened.
pub trait Journal: Send + Sync + std::fmt::Debug {
    /// Appends a record and makes it durable: when this returns, no crash loses it.
    ///
    /// After an error it is not known whether the record is in. Then only the same record may be appended next: it is
    /// not taken twice.
    ///
    /// # Errors
    /// `log.broken` and `file.io` of the embedded engine; `journal.unreachable`, `journal.fenced`, `journal.moved` of a server.
    fn append(&mut self, record: &[u8]) -> Result<()>;

    /// Head of the market's hash chain over the records.
    fn head(&self) -> Hash32;

    /// Number of records.
    fn len(&self) -> u64;

    /// True before the first record.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Records `from ..`, at most `most`.
    ///
    /// # Errors
    /// `file.io`, `journal.unreachable`.
    fn read(&self, from: u64, most: usize) -> Result<Vec<Vec<u8>>>;
}

/// What opening a journal found.
#[derive(Debug)]
pub struct Opened {
    /// The journal, ready to append to.
    pub journal: Box<dyn Journal>,
    /// All records.
    pub records: Vec<Vec<u8>>,
    /// Bytes of an unfinished record that were cut off; 0 for none.
    pub torn_bytes: u64,
}
