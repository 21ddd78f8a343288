//! A move of a coordinator's state to other engines: copied while it runs, the rest under its locks, then sealed.
//!
//! 1. [`Moving::page`] copies records, and the evidence that they name, to engines that nobody stands on yet. Records that an
//!    earlier attempt left there have to be the same ones: `journal.other-market`.
//! 2. [`Moving::finish`], when nothing is left to copy and nobody can append: seals the old journal ([`Journal::seal`]: a
//!    database says then where it went on), writes `engines.json`, and gives the new one. Of a file the second is the seal.
//!
//! Killed before the seal, the coordinator is where it was. Killed after it, the next start reads in the sealed journal where
//! it goes on, and goes there ([`super::place::open`]). The old engines keep what they have.

use super::blobs::Blobs;
use super::place::{self, Engines};
use super::{Journal, Opened, crash};
use crate::fault::{Fault, Result};
use proofmesh_market::event::chain_log;
use proofmesh_market::{Domain, Event, Hash32, Job, What};
use proofmesh_services::wrap;
use std::collections::BTreeMap;
use std::path::Path;

/// Records that are copied at once.
pub const PAGE: usize = 256;

/// A move that is being prepared.
#[derive(Debug)]
pub struct Moving {
    to: Engines,
    journal: Option<Box<dyn Journal>>,
    blobs: Option<Box<dyn Blobs>>,
    copied: u64,
    head: Hash32,
    /// Of the market, once its opening was seen.
    domain: Option<Domain>,
    /// Evidence that is nowhere, by receipt: right for what was refused at the door, a loss for what was judged.
    never_kept: BTreeMap<Hash32, Hash32>,
}

impl Moving {
    /// Opens the engines that a directory's coordinator shall stand on; those that stay are left alone. `None` if all stay.
    ///
    /// # Errors
    /// `engine.url`, `journal.moved` for a database that was moved from; the engines'.
    pub fn begin(dir: &Path, wanted: &Engines) -> Result<Option<Self>> {
        let known = Engines::of(dir)?;
        let to = wanted.or(&known);
        to.check()?;
        let blobs = if to.blobs == known.blobs { None } else { Some(place::open_blobs_at(dir, &to.blobs)?) };
        let journal = if to.state == known.state {
            None
        } else {
            let Opened { journal, .. } = place::open_journal_at(dir, &to.state)?;
            Some(journal)
        };
        let moves = journal.is_some() || blobs.is_some();
        let (domain, never_kept) = (None, BTreeMap::new());
        Ok(moves.then_some(Moving { to, journal, blobs, copied: 0, head: Hash32::ZERO, domain, never_kept }))
    }

    /// How many records of the old journal were gone through.
    #[must_use]
    pub fn copied(&self) -> u64 {
        self.copied
    }

    /// Copies the records that come next, with their evidence.
    ///
    /// # Errors
    /// `journal.other-market`, `blob.missing` for what was judged; the engines'.
    pub fn page(&mut self, records: &[Vec<u8>], evidence: &dyn Blobs) -> Result<()> {
        if let Some(blobs) = &self.blobs {
            for record in records {
                match Event::decode(record)?.what {
                    What::Opened(rules) => self.domain = Some(rules.domain),
                    What::JobPosted(order) => {
                        if let Some(proof) = handed(&order.order) {
                            copy_blob(&proof, evidence, &**blobs)?;
                        }
                    }
                    What::Delivered(signed) => {
                        let receipt = &signed.receipt;
                        if !copy_blob(&receipt.evidence, evidence, &**blobs)?
                            && let Some(domain) = &self.domain
                        {
                            self.never_kept.insert(receipt.digest(domain), receipt.evidence);
                        }
                    }
                    What::Judged(verdict) | What::PanelVoted(verdict) => {
                        if let Some(lost) = self.never_kept.get(verdict.receipt()) {
                            return Err(Fault::trouble(
                                "blob.missing",
                                "the evidence of a judged receipt",
                                lost,
                            ));
                        }
                    }
                    _ => {}
                }
            }
        }
        let mut fresh = Vec::with_capacity(records.len());
        for record in records {
            let there = self.journal.as_ref().map_or(u64::MAX, |journal| journal.len());
            self.head = chain_log(&self.head, record);
            self.copied += 1;
            if self.copied > there {
                fresh.push(record.as_slice());
            } else if let Some(journal) = self.journal.as_ref().filter(|_| self.copied == there) {
                require_same(&journal.head(), &self.head)?;
            }
        }
        match &mut self.journal {
            Some(journal) => journal.append(&fresh),
            None => Ok(()),
        }
    }

    /// Moves, once all is copied: nobody may append to `journal` meanwhile. From then on that is the new one; gives the new
    /// store of evidence, if it is another.
    ///
    /// # Errors
    /// `journal.other-market` when the new journal has more than the old one; `journal.unreachable`, `file.io`: then a restart
    /// finds out whether it is moved, and nothing is appended to the old one before if it is.
    pub fn finish(self, dir: &Path, journal: &mut Box<dyn Journal>) -> Result<Option<Box<dyn Blobs>>> {
        if let Some(next) = &self.journal {
            require_same(&next.head(), &journal.head())?;
            crash::point();
            journal.seal(&self.to)?;
            crash::point();
        }
        self.to.remember(dir)?;
        crash::point();
        if let Some(next) = self.journal {
            *journal = next;
        }
        Ok(self.blobs)
    }
}

/// Copies bytes by their hash; false when they are not there.
fn copy_blob(hash: &Hash32, from: &dyn Blobs, to: &dyn Blobs) -> Result<bool> {
    let Some(bytes) = from.get(hash)? else { return Ok(false) };
    to.put(&bytes)?;
    Ok(true)
}

/// The proof that a wrapping job hands over.
fn handed(job: &Job) -> Option<Hash32> {
    if job.service == wrap::SERVICE.id() { wrap::Terms::decode(&job.terms).ok()?.handed } else { None }
}

fn require_same(there: &Hash32, here: &Hash32) -> Result<()> {
    if there == here {
        return Ok(());
    }
    let expected = "an empty journal, or one that holds the beginning of this one";
    Err(Fault::refused("journal.other-market", expected, "other records"))
}
