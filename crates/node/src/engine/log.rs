//! The event log on disk: append-only, every record durable before it is acknowledged, every record chained
//! to all before it.
//!
//! File: 16 bytes of header, then records. Record: `length u32 || mark of the length 4 || mark of the record
//! 8 || bytes`, big-endian. With `h_i = H(h_{i-1} || H(bytes_i))` the market's hash chain, the mark of record
//! `i` is the start of `h_i`, the mark of its length the start of `H(h_{i-1} || H(length))`. So a record
//! cannot be changed, moved, dropped or repeated without all marks after it being wrong.
//!
//! Records are appended in batches, one write and one sync for all of them. A crash in the midst of one leaves the first
//! few of its records, none of them acknowledged, and perhaps one that is unfinished, at the end: [`Log::open`] cuts it off
//! and says so. It is unfinished when the file ends inside it, or when its end was never written (zeros). Every
//! other damage is refused: `log.header`, `log.record-length`, `log.record-damaged`.
//!
//! A full disk (`file.full`) leaves the log as it was: what was written of a batch is taken off again, and the same
//! records may be appended when there is room. Any other failure of a write or a sync is for a restart to look at, since
//! what the disk holds is not known: `log.broken`.

use super::place::Engines;
use super::{Journal, Records, crash};
use crate::cores::on_all_cores;
use crate::fault::{Fault, Result};
use proofmesh_market::event::chain_log;
use proofmesh_market::hash::keccak_pair;
use proofmesh_market::limits::EVENT_BYTES_MAX;
use proofmesh_market::{Hash32, keccak};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// First bytes of a log.
pub const HEADER: &[u8; 16] = b"proofmesh log 1\n";
const MARKS: usize = 4 + 4 + 8;
/// Bytes at a record's end that, all zero, show that its end was never written.
const UNWRITTEN: usize = 8;

/// What a scan of a log's bytes found.
#[derive(Debug, PartialEq, Eq)]
pub struct Scan<'a> {
    /// The records in order.
    pub records: Vec<&'a [u8]>,
    /// `H` of each.
    pub hashes: Vec<Hash32>,
    /// Bytes up to the end of the last whole record.
    pub good_bytes: usize,
    /// Head of the hash chain.
    pub head: Hash32,
}

/// Reads all records. Bytes after [`Scan::good_bytes`], if any, are one unfinished record.
///
/// # Errors
/// `log.header`, `log.record-length`, `log.record-damaged`, with the record's number.
pub fn scan(bytes: &[u8]) -> Result<Scan<'_>> {
    let mut scan = Scan { records: Vec::new(), hashes: Vec::new(), good_bytes: 0, head: Hash32::ZERO };
    if bytes.len() < HEADER.len() && HEADER.starts_with(bytes) {
        return Ok(scan);
    }
    if !bytes.starts_with(HEADER) {
        return Err(Fault::trouble("log.header", "a log of version 1", "another file"));
    }
    scan.good_bytes = HEADER.len();
    let ahead = Ahead::of(&by_length(&bytes[HEADER.len()..]));
    while let Some((record, head)) = next(bytes, &scan, &ahead)? {
        scan.head = head;
        scan.good_bytes += MARKS + record.len();
        scan.records.push(record);
    }
    scan.hashes = ahead.hashes;
    scan.hashes.truncate(scan.records.len());
    Ok(scan)
}

/// What a scan will find if all lengths are right, most of it computed on all cores.
#[derive(Default)]
struct Ahead {
    hashes: Vec<Hash32>,
    /// After each record.
    heads: Vec<Hash32>,
    length_marks: Vec<[u8; 4]>,
}

impl Ahead {
    fn of(records: &[&[u8]]) -> Self {
        let hashes = on_all_cores(records, |record| keccak(record));
        let next = |head: &mut Hash32, hash: &Hash32| {
            *head = keccak_pair(head, hash);
            Some(*head)
        };
        let heads: Vec<Hash32> = hashes.iter().scan(Hash32::ZERO, next).collect();
        let before = std::iter::once(&Hash32::ZERO).chain(&heads);
        let marked: Vec<(&Hash32, usize)> = before.zip(records.iter().map(|record| record.len())).collect();
        let length_marks = on_all_cores(&marked, |(head, length)| length_mark(head, *length));
        Ahead { hashes, heads, length_marks }
    }

    /// The mark of a record's length, by the record's number.
    fn length_mark(&self, number: usize, head: &Hash32, length: usize) -> [u8; 4] {
        self.length_marks.get(number).copied().unwrap_or_else(|| length_mark(head, length))
    }

    /// The head after a record, by the record's number.
    fn head(&self, number: usize, head: &Hash32, record: &[u8]) -> Hash32 {
        self.heads.get(number).copied().unwrap_or_else(|| chain_log(head, record))
    }
}

/// What are records if all lengths are right.
fn by_length(mut rest: &[u8]) -> Vec<&[u8]> {
    let mut records = Vec::new();
    while let Some((marks, body)) = rest.split_first_chunk::<MARKS>() {
        let [a, b, c, d, ..] = *marks;
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let Some((record, after)) = body.split_at_checked(length).filter(|_| length > 0) else { break };
        records.push(record);
        rest = after;
    }
    records
}

/// The record at the end of what was scanned, and the chain's head with it; `None` at the end of the file or of all that was
/// finished.
fn next<'a>(bytes: &'a [u8], scan: &Scan<'_>, ahead: &Ahead) -> Result<Option<(&'a [u8], Hash32)>> {
    let rest = &bytes[scan.good_bytes..];
    let Some((marks, body)) = rest.split_first_chunk::<MARKS>() else { return Ok(None) };
    let damaged = |name, expected: &str| {
        let got = format!("record {} at byte {}", scan.records.len(), scan.good_bytes);
        Err(Fault::trouble(name, format!("{expected}; restore the log from a copy"), got))
    };
    if rest.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    let [a, b, c, d, mark @ ..] = *marks;
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    // The lengths before this one were right, so it has the same number in what was computed ahead.
    let number = scan.records.len();
    let length_mark = ahead.length_mark(number, &scan.head, length);
    if mark[..4] != length_mark || length == 0 || length > EVENT_BYTES_MAX {
        return damaged("log.record-length", "a length with its mark");
    }
    let Some(record) = body.get(..length) else { return Ok(None) };
    let head = ahead.head(number, &scan.head, record);
    if mark[4..] == head.0[..8] {
        return Ok(Some((record, head)));
    }
    let last = body.len() == length;
    if last && record.iter().rev().take(UNWRITTEN).all(|byte| *byte == 0) {
        return Ok(None);
    }
    damaged("log.record-damaged", "bytes with their mark")
}

/// Where the bytes of a log's records are in its file, and how many.
pub(super) fn places<'a>(records: impl Iterator<Item = &'a [u8]>) -> Vec<(u64, u32)> {
    let next = |at: &mut u64, record: &[u8]| {
        let first = *at + MARKS as u64;
        *at = first + record.len() as u64;
        Some((first, record.len() as u32)) // at most EVENT_BYTES_MAX
    };
    records.scan(HEADER.len() as u64, next).collect()
}

fn length_mark(head: &Hash32, length: usize) -> [u8; 4] {
    thread_local! {
        static KNOWN: RefCell<BTreeMap<usize, Hash32>> = const { RefCell::new(BTreeMap::new()) };
    }
    let of_length = || keccak(&(length as u64).to_be_bytes());
    let of_length = if length <= EVENT_BYTES_MAX {
        KNOWN.with_borrow_mut(|known| *known.entry(length).or_insert_with(of_length))
    } else {
        of_length()
    };
    let hash = keccak_pair(head, &of_length);
    [hash.0[0], hash.0[1], hash.0[2], hash.0[3]]
}

/// A log's file, and where in it the bytes of each whole record are.
#[derive(Debug)]
struct Shelf {
    file: File,
    path: PathBuf,
    places: RwLock<Vec<(u64, u32)>>,
}

impl Shelf {
    fn places(&self) -> RwLockReadGuard<'_, Vec<(u64, u32)>> {
        self.places.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn places_mut(&self) -> RwLockWriteGuard<'_, Vec<(u64, u32)>> {
        self.places.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, from: u64, most: usize) -> Result<Vec<Vec<u8>>> {
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let places: Vec<(u64, u32)> = self.places().iter().skip(from).take(most).copied().collect();
        let read = |(at, length): (u64, u32)| {
            let mut bytes = vec![0; length as usize];
            self.file.read_exact_at(&mut bytes, at).map_err(|error| Fault::file(&self.path, &error))?;
            Ok(bytes)
        };
        places.into_iter().map(read).collect()
    }
}

/// An open log. One process at a time.
#[derive(Debug)]
pub struct Log {
    shelf: Arc<Shelf>,
    head: Hash32,
    end: u64,
    broken: bool,
}

/// What [`Log::open`] found.
#[derive(Debug)]
pub struct Opened {
    /// The log, ready to append to.
    pub log: Log,
    /// All records.
    pub records: Vec<Vec<u8>>,
    /// `H` of each.
    pub hashes: Vec<Hash32>,
    /// Bytes of an unfinished record that were cut off; 0 for none.
    pub torn_bytes: u64,
}

impl Log {
    /// Opens or starts the log at `path`, and locks it.
    ///
    /// # Errors
    /// `log.in-use`, what [`scan`] refuses, `file.io`.
    pub fn open(path: &Path) -> Result<Opened> {
        let io = |error: std::io::Error| Fault::file(path, &error);
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Fault::trouble(
                    "log.in-use",
                    "no other process on this directory",
                    path.display(),
                ));
            }
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        let bytes = std::fs::read(path).map_err(io)?;
        let Scan { records, hashes, good_bytes, head } = scan(&bytes)?;
        let places = RwLock::new(places(records.iter().copied()));
        let end = good_bytes.max(HEADER.len()) as u64;
        let torn_bytes = (bytes.len() - good_bytes) as u64;
        if torn_bytes > 0 {
            file.set_len(good_bytes as u64).map_err(io)?;
            file.sync_all().map_err(io)?;
        }
        if good_bytes == 0 {
            file.write_all(HEADER).map_err(io)?;
            file.sync_all().map_err(io)?;
            sync_parent(path)?;
        }
        file.seek(SeekFrom::Start(end)).map_err(io)?;
        let records = records.into_iter().map(<[u8]>::to_vec).collect();
        let shelf = Arc::new(Shelf { file, path: path.to_owned(), places });
        let log = Log { shelf, head, end, broken: false };
        Ok(Opened { log, records, hashes, torn_bytes })
    }

    /// Appends records and makes them durable, all at once: when this returns, no crash loses one.
    ///
    /// # Errors
    /// `log.record-length` for what is no record; `file.full`, after which the same may be tried again; `file.io`, and
    /// `log.broken` after it (open the log again).
    pub fn append(&mut self, records: &[&[u8]]) -> Result<()> {
        if self.broken {
            let expected = "a restart, which repairs the log";
            return Err(Fault::trouble("log.broken", expected, self.shelf.path.display()));
        }
        super::require_records(records)?;
        if records.is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::with_capacity(records.iter().map(|record| MARKS + record.len()).sum());
        let (mut head, mut offsets) = (self.head, Vec::with_capacity(records.len()));
        for record in records {
            let length = record.len() as u32; // at most EVENT_BYTES_MAX
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(&length_mark(&head, record.len()));
            head = chain_log(&head, record);
            bytes.extend_from_slice(&head.0[..8]);
            offsets.push((self.end + bytes.len() as u64, length));
            bytes.extend_from_slice(record);
        }
        self.broken = true; // until it is whole
        if let Err(error) = self.write(&bytes) {
            let fault = Fault::file(&self.shelf.path, &error);
            self.broken = !(fault.is("file.full") && self.take_off().is_ok());
            return Err(fault);
        }
        self.broken = false;
        self.head = head;
        self.shelf.places_mut().extend(offsets);
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// Takes off what a full disk let through of a batch: nothing of it was acknowledged, all of it is written anew.
    fn take_off(&mut self) -> std::io::Result<()> {
        let mut file = &self.shelf.file;
        file.set_len(self.end)?;
        file.seek(SeekFrom::Start(self.end)).map(drop)
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let mut file = &self.shelf.file;
        if crash::here() {
            file.write_all(&bytes[..bytes.len() / 2])?;
            crash::die();
        }
        file.write_all(bytes)?;
        crash::point();
        file.sync_data()?;
        crash::point();
        Ok(())
    }

    /// Where each record's bytes are in the file, and how many.
    pub(super) fn places(&self) -> RwLockReadGuard<'_, Vec<(u64, u32)>> {
        self.shelf.places()
    }

    /// Head of the hash chain.
    #[must_use]
    pub fn head(&self) -> Hash32 {
        self.head
    }

    /// Number of records.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.shelf.places().len() as u64
    }

    /// True before the first record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shelf.places().is_empty()
    }

    /// Records `from ..`, at most `most`.
    ///
    /// # Errors
    /// `file.io`.
    pub fn read(&self, from: u64, most: usize) -> Result<Vec<Vec<u8>>> {
        self.shelf.read(from, most)
    }
}

impl Journal for Log {
    fn append(&mut self, records: &[&[u8]]) -> Result<()> {
        Log::append(self, records)
    }

    /// A file is found through `engines.json` alone, which says where it goes on.
    fn seal(&mut self, _: &Engines) -> Result<()> {
        self.broken = true;
        Ok(())
    }

    fn head(&self) -> Hash32 {
        Log::head(self)
    }

    fn len(&self) -> u64 {
        Log::len(self)
    }

    fn reader(&self) -> Records {
        let shelf = self.shelf.clone();
        Arc::new(move |from, most| shelf.read(from, most))
    }
}

/// Makes a new or renamed directory entry durable.
pub(crate) fn sync_parent(path: &Path) -> Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let dir = File::open(parent).map_err(|error| Fault::file(parent, &error))?;
    dir.sync_all().map_err(|error| Fault::file(parent, &error))
}

#[cfg(test)]
pub(crate) mod tests;
