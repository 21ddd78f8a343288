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
use proofmesh_market::{Event, Hash32, Job, What};
use proofmesh_services::wrap;
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
        Ok(moves.then_some(Moving { to, journal, blobs, copied: 0, head: Hash32::ZERO }))
    }

    /// How many records of the old journal were gone through.
    #[must_use]
    pub fn copied(&self) -> u64 {
        self.copied
    }

    /// Copies the records that come next, with their evidence.
    ///
    /// # Errors
    /// `journal.other-market`; the engines'.
    pub fn page(&mut self, records: &[Vec<u8>], evidence: &dyn Blobs) -> Result<()> {
        if let Some(blobs) = &self.blobs {
            for record in records {
                let named = match Event::decode(record)?.what {
                    What::Delivered(signed) => Some(signed.receipt.evidence),
                    What::JobPosted(order) => handed(&order.order),
                    _ => None,
                };
                // What was refused at the door was never kept: nobody judges it, and nobody misses it.
                if let Some(bytes) = named.map(|named| evidence.get(&named)).transpose()?.flatten() {
                    blobs.put(&bytes)?;
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
