//! Which engines a directory's coordinator stands on, by URL.
//!
//! `DIR/engines.json` remembers them from the first start on, so that nobody begins a second history beside the first by
//! leaving out a flag: `engine.elsewhere`. URLs carry no passwords.
//!
//! | scheme | journal |
//! |---|---|
//! | none, or `embedded` | the file `DIR/log` |
//! | `postgres://USER@HOST:PORT/DATABASE` | [`postgres`] |

use super::log::{self, Log};
use super::{Opened, postgres};
use crate::fault::{Fault, Result};
use crate::owner::{read_json, write_json};
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
}

impl Engines {
    /// Whether each is a URL of a known engine.
    ///
    /// # Errors
    /// `engine.url`, `engine.password`.
    pub fn check(&self) -> Result<()> {
        JournalAt::parse(&self.state).map(drop)
    }

    /// What the directory remembers; embedded if nothing.
    ///
    /// # Errors
    /// `engines.json`, `file.io`.
    pub fn of(dir: &Path) -> Result<Self> {
        let known: Option<Engines> = read_json(&dir.join("engines.json"), "engines.json")?;
        Ok(known.unwrap_or_else(|| Engines { state: EMBEDDED.to_owned() }))
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
        match url.split_once("://").map_or(url, |(scheme, _)| scheme) {
            "" | EMBEDDED => Ok(JournalAt::Embedded),
            "postgres" | "postgresql" => postgres::At::parse(url).map(JournalAt::Postgres),
            other => {
                let expected = "embedded, or postgres://USER@HOST:PORT/DATABASE";
                Err(Fault::misuse("engine.url", expected, format_args!("{other:.40}")))
            }
        }
    }
}

/// Opens the journal of a directory's coordinator for writing, and remembers where it is.
///
/// # Errors
/// `engine.elsewhere`, `engine.url`, and the engine's.
pub fn open_journal(dir: &Path, wanted: &Engines) -> Result<Opened> {
    let known = Engines::of(dir)?;
    let state = if wanted.state.is_empty() { &known.state } else { &wanted.state };
    if *state != known.state && (known.state != EMBEDDED || log_begun(dir)) {
        let expected = format!("`--state {}`, where the journal of {} is", known.state, dir.display());
        return Err(Fault::misuse("engine.elsewhere", expected, state));
    }
    let opened = match JournalAt::parse(state)? {
        JournalAt::Embedded => {
            let log::Opened { log, records, torn_bytes } = Log::open(&dir.join("log"))?;
            Opened { journal: Box::new(log), records, torn_bytes }
        }
        JournalAt::Postgres(at) => postgres::Postgres::open(at)?,
    };
    if *state != known.state {
        write_json(&dir.join("engines.json"), "engines.json", &Engines { state: state.clone() })?;
    }
    Ok(opened)
}

/// Whether the embedded journal holds anything.
fn log_begun(dir: &Path) -> bool {
    std::fs::metadata(dir.join("log")).is_ok_and(|data| data.len() > log::HEADER.len() as u64)
}

/// A journal that was looked at.
#[derive(Debug)]
pub struct Look {
    /// All records.
    pub records: Vec<Vec<u8>>,
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
            let found = log::scan(&bytes)?;
            let torn_bytes = (bytes.len() - found.good_bytes) as u64;
            let records = found.records.into_iter().map(<[u8]>::to_vec).collect();
            Ok(Some(Look { records, torn_bytes }))
        }
        JournalAt::Postgres(at) => {
            let (records, _) = postgres::Reader::new(at).all()?;
            Ok(Some(Look { records, torn_bytes: 0 }))
        }
    }
}

/// Whether an engine's server answers; `None` for an embedded one, else what it says of itself.
///
/// # Errors
/// `engine.url`, `engine.password`, `journal.unreachable`.
pub fn probe_journal(url: &str) -> Result<Option<String>> {
    match JournalAt::parse(url)? {
        JournalAt::Embedded => Ok(None),
        JournalAt::Postgres(at) => at.probe().map(Some),
    }
}
