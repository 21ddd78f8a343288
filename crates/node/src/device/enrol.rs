//! What is known of a node's sensor beside its key: who made it, whose it is, whether it was taken back.
//!
//! Papers ([`Paper`]) come by `proofmesh sensor enrol` and lie in `nodes/NAME/sensors/KEY/`: `title.log`, a [`Log`] of the statements
//! (durable, chained, one writer), `certificate.json`, `recall.json`, and `forked.json`, the first statement by which an owner gave
//! the sensor a second time. Binding the node to another sensor and back forgets nothing, so that old statements stay old.
//! `nodes/NAME/maker.json` names the maker that the node's owner asks for. [`Watch`] is how the node that runs sees a new
//! paper at the next reading.
//!
//! Refuses: `sensor.none`, `certificate.other`, `recall.none` (no certificate), `paper.time-ahead`, `maker.required`,
//! `reading.recalled`, and the names of [`proofmesh_services::title`] and [`proofmesh_services::maker`].

use super::intake::bound;
use crate::engine::log::{Log, scan};
use crate::fault::{Fault, Result};
use crate::owner::{read_json, write_json};
use crate::wire::Hex;
use proofmesh_market::Address;
use proofmesh_services::did::Did;
use proofmesh_services::maker::{Certificate, Recall};
use proofmesh_services::senml::AHEAD_S;
use proofmesh_services::title::{SignedStatement, Title};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Largest file of a paper.
pub const PAPER_BYTES_MAX: usize = 16 << 10;

/// What is handed over with a sensor, or said about it later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Paper {
    /// Who made it.
    Certificate(Certificate),
    /// Its maker takes it, or its batch, back.
    Recall(Recall),
    /// Whose it is from then on: `SignedStatement`'s bytes.
    Statement(Hex),
}

impl Paper {
    /// Reads a paper's file.
    ///
    /// # Errors
    /// `paper.json`.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let expected = "a certificate, a recall or a statement of `proofmesh sensor`";
        serde_json::from_slice(bytes).map_err(|error| Fault::refused("paper.json", expected, error))
    }
}

/// What the papers say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolment {
    /// Whose it is; empty for a sensor without statements.
    pub title: Title,
    /// Who made it.
    pub certificate: Option<Certificate>,
    /// Its maker took it back.
    pub recall: Option<Recall>,
    /// A second statement of a number that was taken.
    pub forked: Option<Hex>,
    /// The maker that the node's owner asks for.
    pub required: Option<Did>,
}

/// The same for people and programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EnrolmentDoc {
    /// Who made it, as the certificate says.
    pub maker: Option<Did>,
    /// How the maker calls its batch.
    pub batch: Option<String>,
    /// Whose it is now.
    pub owner: Option<Address>,
    /// Statements about that.
    pub statements: usize,
    /// Revoked by its owner from this second on.
    pub revoked_s: Option<u64>,
    /// Taken back by its maker from this second on.
    pub recalled_s: Option<u64>,
    /// An owner gave it twice; the first counts.
    pub forked: bool,
    /// The maker that the node's owner asks for.
    pub required: Option<Did>,
}

fn dir(node_dir: &Path, sensor: &Did) -> PathBuf {
    node_dir.join("sensors").join(sensor.file_name())
}

fn maker_file(node_dir: &Path) -> PathBuf {
    node_dir.join("maker.json")
}

/// The maker whose sensors alone the node takes; `None` for any.
///
/// # Errors
/// `maker.json`, `file.io`.
pub fn required(node_dir: &Path) -> Result<Option<Did>> {
    Ok(read_json::<Option<Did>>(&maker_file(node_dir), "maker.json")?.flatten())
}

/// From now on only sensors of this maker; with `None` any again.
///
/// # Errors
/// `file.io`.
pub fn require(node_dir: &Path, maker: Option<Did>) -> Result<()> {
    write_json(&maker_file(node_dir), "maker.json", &maker)
}

impl Enrolment {
    /// What is known of a sensor at a node, without opening anything for writing.
    ///
    /// # Errors
    /// `log.*`, `title.*`, `certificate.json`, `recall.json`, `forked.json`, `maker.json`, `file.io`.
    pub fn look(node_dir: &Path, sensor: Did) -> Result<Self> {
        let dir = dir(node_dir, &sensor);
        let path = dir.join("title.log");
        let mut title = Title::new(sensor);
        match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            bytes => {
                for record in scan(&bytes.map_err(|error| Fault::file(&path, &error))?)?.records {
                    title.take(&SignedStatement::decode(record)?)?;
                }
            }
        }
        Ok(Enrolment {
            title,
            certificate: read_json(&dir.join("certificate.json"), "certificate.json")?,
            recall: read_json(&dir.join("recall.json"), "recall.json")?,
            forked: read_json(&dir.join("forked.json"), "forked.json")?,
            required: required(node_dir)?,
        })
    }

    /// Whether a reading of this second may be taken by a node of this owner.
    ///
    /// # Errors
    /// `maker.required`, `reading.recalled`, `reading.revoked`, `reading.not-owner`.
    pub fn allow(&self, owner: &Address, time_s: u64) -> Result<()> {
        if let Some(maker) = self.required {
            let made_by = self.certificate.as_ref().map(|certificate| certificate.batch.maker);
            if made_by != Some(maker) {
                let got = made_by.map_or("no certificate".to_owned(), |maker| maker.to_string());
                return Err(Fault::refused("maker.required", format_args!("a sensor made by {maker}"), got));
            }
        }
        if let Some(recall) = self.recall.as_ref().filter(|recall| time_s >= recall.time_s) {
            let expected = format_args!("before {}, when its maker took it back", recall.time_s);
            return Err(Fault::refused("reading.recalled", expected, time_s));
        }
        if !self.title.is_empty() {
            self.title.allow(owner, time_s)?;
        }
        Ok(())
    }

    /// For people and programs.
    #[must_use]
    pub fn doc(&self) -> EnrolmentDoc {
        let batch = self.certificate.as_ref().map(|certificate| &certificate.batch);
        EnrolmentDoc {
            maker: batch.map(|batch| batch.maker),
            batch: batch.map(|batch| batch.name.clone()),
            owner: self.title.owner(),
            statements: self.title.len(),
            revoked_s: self.title.revoked_s(),
            recalled_s: self.recall.as_ref().map(|recall| recall.time_s),
            forked: self.forked.is_some(),
            required: self.required,
        }
    }
}

/// The sensor that a node is bound to.
///
/// # Errors
/// `sensor.none`, `sensor.json`, `file.io`.
pub fn sensor(node_dir: &Path) -> Result<Did> {
    let none =
        || Fault::refused("sensor.none", "a node with a sensor: `proofmesh device accept` first", "none");
    bound(node_dir)?.ok_or_else(none)
}

/// Takes a paper about the sensor of a node. It is durable when this returns.
///
/// # Errors
/// The names in the head of this file.
pub fn enrol(node_dir: &Path, paper: &Paper, now_s: u64) -> Result<()> {
    let sensor = sensor(node_dir)?;
    let dir = dir(node_dir, &sensor);
    std::fs::create_dir_all(&dir).map_err(|error| Fault::file(&dir, &error))?;
    let ahead = |time_s: u64| {
        let until_s = now_s.saturating_add(AHEAD_S);
        let refused = || Fault::refused("paper.time-ahead", format_args!("at most {until_s}"), time_s);
        if time_s > until_s { Err(refused()) } else { Ok(()) }
    };
    match paper {
        Paper::Certificate(certificate) => {
            certificate.verify()?;
            if certificate.sensor != sensor {
                return Err(Fault::refused("certificate.other", sensor, certificate.sensor));
            }
            ahead(certificate.batch.time_s)?;
            // What was taken back stays so: another certificate would make the recall one of another batch.
            let known: Option<Certificate> = read_json(&dir.join("certificate.json"), "certificate.json")?;
            if let Some(known) = known.filter(|known| known != certificate) {
                let expected = format_args!("the certificate of batch {:?} that it has", known.batch.name);
                return Err(Fault::refused("certificate.other", expected, "another"));
            }
            write_json(&dir.join("certificate.json"), "certificate.json", certificate)
        }
        Paper::Recall(recall) => {
            let certificate: Option<Certificate> =
                read_json(&dir.join("certificate.json"), "certificate.json")?;
            let none =
                || Fault::refused("recall.none", "the certificate of its batch first", "no certificate");
            recall.verify(&certificate.ok_or_else(none)?)?;
            ahead(recall.time_s)?;
            let known: Option<Recall> = read_json(&dir.join("recall.json"), "recall.json")?;
            if known.is_some_and(|known| known.time_s <= recall.time_s) {
                return Ok(()); // the earlier one counts
            }
            write_json(&dir.join("recall.json"), "recall.json", recall)
        }
        Paper::Statement(wire) => {
            let signed = SignedStatement::decode(&wire.0)?;
            ahead(signed.statement.time_s)?;
            let mut opened = Log::open(&dir.join("title.log"))?;
            let mut title = Title::new(sensor);
            for record in &opened.records {
                title.take(&SignedStatement::decode(record)?)?;
            }
            if let Err(refusal) = title.take(&signed) {
                let path = dir.join("forked.json");
                if refusal.name == "title.forked" && !path.exists() {
                    write_json(&path, "forked.json", wire)?;
                }
                return Err(refusal.into());
            }
            opened.log.append(&[&wire.0])
        }
    }
}

/// An [`Enrolment`] that is read again when one of its files changed.
#[derive(Debug)]
pub struct Watch {
    node_dir: PathBuf,
    sensor: Did,
    seen: Option<([Stamp; 4], Enrolment)>,
}

type Stamp = Option<(u64, SystemTime)>; // length and last change of a file

impl Watch {
    /// Of a sensor at a node.
    #[must_use]
    pub fn new(node_dir: &Path, sensor: Did) -> Self {
        Watch { node_dir: node_dir.to_owned(), sensor, seen: None }
    }

    /// What is known now.
    ///
    /// # Errors
    /// As [`Enrolment::look`]: what cannot be read allows nothing.
    pub fn now(&mut self) -> Result<&Enrolment> {
        let dir = dir(&self.node_dir, &self.sensor);
        let files = [
            dir.join("title.log"),
            dir.join("certificate.json"),
            dir.join("recall.json"),
            maker_file(&self.node_dir),
        ];
        let stamps = files.map(|file| {
            let about = std::fs::metadata(file).ok()?;
            Some((about.len(), about.modified().ok()?))
        });
        let seen = match self.seen.take().filter(|(before, _)| *before == stamps) {
            Some(seen) => seen,
            None => (stamps, Enrolment::look(&self.node_dir, self.sensor)?),
        };
        Ok(&self.seen.insert(seen).1)
    }
}
