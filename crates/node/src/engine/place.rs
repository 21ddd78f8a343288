//! Which engines a directory's coordinator stands on, by URL.
//!
//! `DIR/engines.json` remembers them from the first start on, so that nobody begins a second history beside the first by
//! leaving out a flag: `engine.elsewhere`. URLs carry no passwords.
//!
//! | scheme | journal | blobs | bus |
//! |---|---|---|---|
//! | none, or `embedded` | the file `DIR/log` | the files `DIR/blobs` | within the process |
//! | `postgres://USER@HOST:PORT/DATABASE` | [`postgres`] | | |
//! | `s3://BUCKET/PREFIX?endpoint=http://HOST:PORT` | | [`s3`] | |
//! | `nats://HOST:PORT/STREAM` | | | [`nats`] |
//!
//! A bus holds nothing that the journal does not, so that any may follow it at any time.

use super::blobs::{Blobs, Files};
use super::log::{self, Log};
use super::s3::{Bucket, Caller};
use super::{Opened, nats, postgres, s3};
use crate::fault::{Fault, Result};
use crate::owner::{read_json, write_json};
use axum::body::Bytes;
use proofmesh_market::Hash32;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The engine that is a file of the directory.
pub const EMBEDDED: &str = "embedded";

/// Engines by URL; empty for what the directory remembers, and embedded in a new one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Engines {
    /// The journal.
    pub state: String,
    /// The evidence.
    pub blobs: String,
    /// The bus.
    pub bus: String,
}

impl Engines {
    /// Whether each is a URL of a known engine.
    ///
    /// # Errors
    /// `engine.url`, `engine.password`.
    pub fn check(&self) -> Result<()> {
        JournalAt::parse(&self.state)?;
        BlobsAt::parse(&self.blobs)?;
        self.bus_at().map(drop)
    }

    /// The server of the bus; `None` for the one within the process.
    ///
    /// # Errors
    /// `engine.url`, `engine.password`.
    pub fn bus_at(&self) -> Result<Option<nats::At>> {
        match scheme(&self.bus) {
            "" | EMBEDDED => Ok(None),
            "nats" => nats::At::parse(&self.bus).map(Some),
            other => Err(unknown("embedded, or nats://HOST:PORT/STREAM", other)),
        }
    }

    /// What the directory remembers; embedded if nothing.
    ///
    /// # Errors
    /// `engines.json`, `file.io`.
    pub fn of(dir: &Path) -> Result<Self> {
        let known: Option<Engines> = read_json(&dir.join("engines.json"), "engines.json")?;
        let [state, blobs, bus] = [(); 3].map(|()| EMBEDDED.to_owned());
        Ok(known.unwrap_or_default().or(&Engines { state, blobs, bus }))
    }

    /// These; what they leave empty is as in others.
    #[must_use]
    pub fn or(&self, others: &Engines) -> Engines {
        let first = |own: &String, other: &String| if own.is_empty() { other.clone() } else { own.clone() };
        Engines {
            state: first(&self.state, &others.state),
            blobs: first(&self.blobs, &others.blobs),
            bus: first(&self.bus, &others.bus),
        }
    }

    /// Writes down that a directory's coordinator is on these.
    ///
    /// # Errors
    /// `file.io`.
    pub(super) fn remember(&self, dir: &Path) -> Result<()> {
        write_json(&dir.join("engines.json"), "engines.json", self)
    }
}

/// Where a journal is.
#[derive(Debug)]
enum JournalAt {
    Embedded,
    Postgres(postgres::At),
}

impl JournalAt {
    fn parse(url: &str) -> Result<Self> {
        match scheme(url) {
            "" | EMBEDDED => Ok(JournalAt::Embedded),
            "postgres" | "postgresql" => postgres::At::parse(url).map(JournalAt::Postgres),
            other => Err(unknown("embedded, or postgres://USER@HOST:PORT/DATABASE", other)),
        }
    }
}

/// Where blobs are.
#[derive(Debug)]
enum BlobsAt {
    Embedded,
    S3(s3::At),
}

impl BlobsAt {
    fn parse(url: &str) -> Result<Self> {
        match scheme(url) {
            "" | EMBEDDED => Ok(BlobsAt::Embedded),
            "s3" => s3::At::parse(url).map(BlobsAt::S3),
            other => Err(unknown("embedded, or s3://BUCKET/PREFIX?endpoint=http://HOST:PORT", other)),
        }
    }
}

fn scheme(url: &str) -> &str {
    url.split_once("://").map_or(url, |(scheme, _)| scheme)
}

fn unknown(expected: &str, scheme: &str) -> Fault {
    Fault::misuse("engine.url", expected, format_args!("{scheme:.40}"))
}

/// What a coordinator stands on.
#[derive(Debug)]
pub struct Ground {
    /// Its journal.
    pub opened: Opened,
    /// Its evidence.
    pub blobs: Box<dyn Blobs>,
}

/// Opens the engines of a directory's coordinator for writing, and remembers where they are. Finishes a move that was cut off
/// after the old journal was sealed.
///
/// # Errors
/// `engine.elsewhere`, `engine.url`, and the engines'.
pub fn open(dir: &Path, wanted: &Engines) -> Result<Ground> {
    match open_once(dir, wanted) {
        Err(fault) if fault.is("journal.moved") && goes_on(dir, wanted)? => open_once(dir, wanted),
        opened => opened,
    }
}

/// Whether the journal of a directory, which is sealed, goes on in another one that has all of its records. Remembers that.
fn goes_on(dir: &Path, wanted: &Engines) -> Result<bool> {
    let chosen = chosen(dir, wanted)?;
    let JournalAt::Postgres(at) = JournalAt::parse(&chosen.state)? else { return Ok(false) };
    let Some(next) = at.moved_to()? else { return Ok(false) };
    if next.state == EMBEDDED && !log_begun(dir) {
        return Ok(false); // another directory's file
    }
    let sealed = postgres::Reader::new(at).all()?;
    if !open_journal_at(dir, &next.state)?.records.starts_with(&sealed.records) {
        return Ok(false);
    }
    Engines { bus: String::new(), ..next }.or(&chosen).remember(dir)?;
    Ok(true)
}

fn open_once(dir: &Path, wanted: &Engines) -> Result<Ground> {
    // A bucket that does not answer is known before anything is remembered; files are touched under the journal's lock.
    let bucket = match BlobsAt::parse(&chosen(dir, wanted)?.blobs)? {
        BlobsAt::Embedded => None,
        BlobsAt::S3(at) => Some(Bucket::open(at, &Caller::of_environment()?)?),
    };
    let opened = open_journal(dir, wanted)?;
    let blobs: Box<dyn Blobs> = match bucket {
        Some(bucket) => Box::new(bucket),
        None => Box::new(Files::open(&dir.join("blobs"))?),
    };
    Ok(Ground { opened, blobs })
}

/// Opens the journal of a directory's coordinator for writing, and remembers where its engines are.
///
/// # Errors
/// `engine.elsewhere`, `engine.url`, and the engine's.
pub fn open_journal(dir: &Path, wanted: &Engines) -> Result<Opened> {
    let (known, chosen) = (Engines::of(dir)?, chosen(dir, wanted)?);
    chosen.bus_at()?;
    let opened = open_journal_at(dir, &chosen.state)?;
    if chosen != known {
        chosen.remember(dir)?;
    }
    Ok(opened)
}

/// Opens a journal for writing, wherever the directory's is.
pub(super) fn open_journal_at(dir: &Path, url: &str) -> Result<Opened> {
    match JournalAt::parse(url)? {
        JournalAt::Embedded => {
            let log::Opened { log, records, hashes, torn_bytes } = Log::open(&dir.join("log"))?;
            Ok(Opened { journal: Box::new(log), records, hashes, torn_bytes })
        }
        JournalAt::Postgres(at) => postgres::Postgres::open(at),
    }
}

/// Opens a store of evidence, wherever the directory's is.
pub(super) fn open_blobs_at(dir: &Path, url: &str) -> Result<Box<dyn Blobs>> {
    Ok(match BlobsAt::parse(url)? {
        BlobsAt::Embedded => Box::new(Files::open(&dir.join("blobs"))?),
        BlobsAt::S3(at) => Box::new(Bucket::open(at, &Caller::of_environment()?)?),
    })
}

/// The engines that are wanted, else those that the directory remembers, once a history has begun there.
fn chosen(dir: &Path, wanted: &Engines) -> Result<Engines> {
    let known = Engines::of(dir)?;
    let chosen = wanted.or(&known);
    let begun = known.state != EMBEDDED || log_begun(dir);
    for (flag, what, known, chosen) in [
        ("--state", "journal", &known.state, &chosen.state),
        ("--blobs", "evidence", &known.blobs, &chosen.blobs),
    ] {
        if begun && place_of(known) != place_of(chosen) {
            let expected = format!("`{flag} {known}`, where the {what} of {} is", dir.display());
            return Err(Fault::misuse("engine.elsewhere", expected, chosen));
        }
    }
    Ok(chosen)
}

/// Where a URL leads, however one speaks with what is there (TLS).
fn place_of(url: &str) -> &str {
    if scheme(url).starts_with("postgres") { url.split('?').next().unwrap_or(url) } else { url }
}

/// Whether the embedded journal holds anything.
fn log_begun(dir: &Path) -> bool {
    std::fs::metadata(dir.join("log")).is_ok_and(|data| data.len() > log::HEADER.len() as u64)
}

/// A journal that was looked at.
#[derive(Debug)]
pub struct Look {
    /// All records.
    pub records: Vec<Bytes>,
    /// `H` of each.
    pub hashes: Vec<Hash32>,
    /// Bytes of an unfinished record at the end.
    pub torn_bytes: u64,
}

/// Looks at a directory's journal without locking or changing it; `None` before there is one.
///
/// # Errors
/// `log.*`, `journal.unreachable`, `file.io`.
pub fn look(dir: &Path) -> Result<Option<Look>> {
    match JournalAt::parse(&Engines::of(dir)?.state)? {
        JournalAt::Embedded => {
            let path = dir.join("log");
            let bytes = match std::fs::read(&path) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(Fault::file(&path, &error)),
            };
            let bytes = Bytes::from(bytes);
            let log::Scan { records, hashes, good_bytes, .. } = log::scan(&bytes)?;
            let torn_bytes = (bytes.len() - good_bytes) as u64;
            let records = records.into_iter().map(|record| bytes.slice_ref(record)).collect();
            Ok(Some(Look { records, hashes, torn_bytes }))
        }
        JournalAt::Postgres(at) => {
            let postgres::All { records, hashes, .. } = postgres::Reader::new(at).all()?;
            let records = records.into_iter().map(Bytes::from).collect();
            Ok(Some(Look { records, hashes, torn_bytes: 0 }))
        }
    }
}

/// The evidence of a directory's coordinator, to look at.
///
/// # Errors
/// `engine.url`, `blobs.*`.
pub fn look_blobs(dir: &Path) -> Result<Box<dyn Blobs>> {
    Ok(match BlobsAt::parse(&Engines::of(dir)?.blobs)? {
        BlobsAt::Embedded => Box::new(Files::look(&dir.join("blobs"))?),
        BlobsAt::S3(at) => Box::new(Bucket::open(at, &Caller::of_environment()?)?),
    })
}

/// Whether the servers of some engines answer: each URL with what its server says of itself; none for embedded ones.
///
/// # Errors
/// `engine.url`, `engine.password`, `journal.unreachable`, `bus.*`, `blobs.*` (`blobs.credentials` when the environment has none).
pub fn probe(engines: &Engines) -> Result<Vec<(String, String)>> {
    let mut said = Vec::new();
    if let JournalAt::Postgres(at) = JournalAt::parse(&engines.state)? {
        said.push((engines.state.clone(), at.probe()?));
    }
    if let BlobsAt::S3(at) = BlobsAt::parse(&engines.blobs)? {
        Bucket::open(at, &Caller::of_environment()?)?;
        said.push((engines.blobs.clone(), "the bucket is there".to_owned()));
    }
    if let Some(at) = engines.bus_at()? {
        said.push((engines.bus.clone(), at.probe()?));
    }
    Ok(said)
}
