//! What a node did with its owner's machine, window by window, and what it left alone and why.
//!
//! Bounded: the newest [`ENTRIES_MAX`] entries, sums over all of them.

use super::{DAY_S, read_json, write_json};
use crate::fault::Result;
use crate::operator::DayDoc;
use crate::wire::ReasonDoc;
use proofmesh_market::Hash32;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::path::Path;

/// Entries that are kept.
pub const ENTRIES_MAX: usize = 512;

/// One thing that the node did or left alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Unix second.
    pub at_s: u64,
    /// The job.
    pub job: Hash32,
    /// First second of the window.
    pub window_start_s: u64,
    /// `paid`, `refused`, `skipped` (nothing was proved), `practised`, `declined` (the owner's limits).
    pub outcome: String,
    /// Why it was not paid.
    pub reason: Option<ReasonDoc>,
    /// Digest of the receipt, if there is one.
    pub receipt: Option<Hash32>,
    /// Milliseconds that it proved.
    pub prove_ms: f64,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Journal {
    /// Milliseconds of proving in all.
    pub busy_ms: f64,
    /// Windows proved in all.
    pub proved: u64,
    /// The day (Unix second / 86400) that `today` counts.
    pub day: u64,
    /// Windows proved on that day.
    pub today: u32,
    /// The newest entries, oldest first.
    pub entries: VecDeque<Entry>,
}

impl Journal {
    /// The journal of a node; an empty one when there is none.
    ///
    /// # Errors
    /// `journal.json`, `file.io`.
    pub fn read(node_dir: &Path) -> Result<Self> {
        Ok(read_json(&node_dir.join("journal.json"), "journal.json")?.unwrap_or_default())
    }

    /// Makes it durable.
    ///
    /// # Errors
    /// `file.io`.
    pub fn write(&self, node_dir: &Path) -> Result<()> {
        write_json(&node_dir.join("journal.json"), "journal.json", self)
    }

    /// Windows proved on the day of this second.
    #[must_use]
    pub fn windows_on(&self, now_s: u64) -> u32 {
        if self.day == now_s / DAY_S { self.today } else { 0 }
    }

    /// What became of a window.
    pub fn add(&mut self, job: &Hash32, window_start_s: u64, day: &DayDoc, now_s: u64) {
        if day.proof_bytes > 0 {
            self.today = self.windows_on(now_s).saturating_add(1);
            self.day = now_s / DAY_S;
            self.proved += 1;
            self.busy_ms += day.prove_ms;
            crate::monitor::proved(day.prove_ms);
        }
        self.push(Entry {
            at_s: now_s,
            job: *job,
            window_start_s,
            outcome: day.outcome.clone(),
            reason: day.reason.clone(),
            receipt: day.receipt,
            prove_ms: day.prove_ms,
        });
    }

    /// A job was left alone. True when that is news: the same job for the same reason is written once in a row.
    pub fn decline(&mut self, job: &Hash32, window_start_s: u64, reason: ReasonDoc, now_s: u64) -> bool {
        let last = self.entries.iter().rev().find(|entry| entry.job == *job);
        let known = last.is_some_and(|entry| {
            entry.outcome == "declined"
                && entry.reason.as_ref().is_some_and(|known| known.name == reason.name)
        });
        if !known {
            let (outcome, reason) = ("declined".to_owned(), Some(reason));
            self.push(Entry {
                at_s: now_s,
                job: *job,
                window_start_s,
                outcome,
                reason,
                receipt: None,
                prove_ms: 0.0,
            });
        }
        !known
    }

    /// Whether a window was looked at before without a receipt: practised, or nothing could be proved.
    #[must_use]
    pub fn is_done(&self, job: &Hash32, window_start_s: u64, practice: bool) -> bool {
        let mut seen =
            self.entries.iter().filter(|entry| entry.job == *job && entry.window_start_s == window_start_s);
        seen.any(|entry| entry.outcome == "skipped" || (practice && entry.outcome == "practised"))
    }

    fn push(&mut self, entry: Entry) {
        if self.entries.len() >= ENTRIES_MAX {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(name: &str) -> ReasonDoc {
        ReasonDoc { name: name.to_owned(), expected: String::new(), got: String::new() }
    }

    fn proved(outcome: &str) -> DayDoc {
        DayDoc {
            station: "EWR".to_owned(),
            date: "2013-01-01".to_owned(),
            outcome: outcome.to_owned(),
            reason: None,
            receipt: None,
            output: Vec::new(),
            prove_ms: 2.0,
            proof_bytes: 1,
            check_ms: 0.0,
        }
    }

    #[test]
    fn a_day_counts_its_own_windows_and_a_refusal_is_written_once_in_a_row() {
        let mut journal = Journal::default();
        let job = Hash32([1; 32]);
        journal.add(&job, 0, &proved("paid"), 10);
        journal.add(&job, 1, &proved("practised"), 20);
        assert_eq!((journal.windows_on(30), journal.windows_on(DAY_S), journal.proved), (2, 0, 2));
        assert!(
            journal.is_done(&job, 1, true)
                && !journal.is_done(&job, 1, false)
                && !journal.is_done(&job, 0, true)
        );
        assert!(journal.decline(&job, 2, reason("owner.a"), 30));
        assert!(!journal.decline(&job, 2, reason("owner.a"), 31));
        assert!(journal.decline(&job, 2, reason("owner.b"), 32));
        for at_s in 0..2 * ENTRIES_MAX as u64 {
            journal.add(&job, at_s, &proved("paid"), at_s);
        }
        assert_eq!((journal.entries.len(), journal.proved), (ENTRIES_MAX, 2 + 2 * ENTRIES_MAX as u64));
    }
}
