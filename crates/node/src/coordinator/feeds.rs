//! Feeds of public side inputs, by their commitment: on disk, and in memory while a job may still need them.
//!
//! One that a job names is paid for by that job; it stays on disk for audits, and in memory until nothing about the job can be
//! judged any more. One that no job names is somebody's: every tenant may have [`UNNAMED_MAX`] of 32 MiB together, and its oldest
//! make room for its next, so that nobody uses up what others need.

use super::{Coordinator, files_in};
use crate::engine::blobs::replace;
use crate::fault::{Fault, Result};
use crate::keys::Tenant;
use crate::wire::{FeedDoc, FeedRow};
use proofmesh_market::{Device, Hash32, State};
use proofmesh_services::inference::Terms;
use proofmesh_services::reference::{ReferenceTable, References, Row};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

/// Rows of a feed.
pub const FEED_ROWS_MAX: usize = 16_384;
/// Words of a row.
pub const FEED_WORDS_MAX: usize = 4_096;
/// Feeds of one tenant that no job names.
pub const UNNAMED_MAX: usize = 32;
/// Words of them together, 32 MiB.
const UNNAMED_WORDS_MAX: usize = 8 << 20;
/// Words of all feeds in memory, 256 MiB.
const WORDS_MAX: usize = 64 << 20;
/// Seconds that a feed stays in memory after the last time of its job's rules.
const GRACE_S: u64 = 7 * 86_400;

/// The feeds of a coordinator.
#[derive(Debug, Default)]
pub(super) struct Feeds {
    tables: BTreeMap<Hash32, ReferenceTable>,
    /// What no job named when it came, oldest first.
    unnamed: BTreeMap<Tenant, VecDeque<Hash32>>,
}

impl References for Feeds {
    fn reference(&self, commitment: &Hash32, device: &Device, window_start_s: u64) -> Option<Row<'_>> {
        self.tables.reference(commitment, device, window_start_s)
    }
}

/// Feeds that jobs name: all of them, and those about which something may still be judged.
struct Names {
    all: BTreeSet<Hash32>,
    live: BTreeSet<Hash32>,
}

impl Names {
    fn of(state: &State) -> Self {
        let rules_s = state.rules().map_or(0, |rules| {
            let spans = [rules.judge_s, rules.dispute_window_s, rules.resolve_s, rules.resolve_s, GRACE_S];
            spans.into_iter().fold(0, u64::saturating_add)
        });
        let mut names = Names { all: BTreeSet::new(), live: BTreeSet::new() };
        for posted in state.jobs().values() {
            if let Some(feed) = Terms::decode(&posted.job.terms).ok().and_then(|terms| terms.feed) {
                names.all.insert(feed);
                if state.now_s() <= posted.job.deadline_s.saturating_add(rules_s) {
                    names.live.insert(feed);
                }
            }
        }
        names
    }
}

impl Feeds {
    /// Those in a directory that a job may still need, or that no job names yet.
    pub(super) fn open(dir: &Path, state: &State) -> Result<Self> {
        let names = Names::of(state);
        let mut feeds = Feeds::default();
        for path in files_in(&dir.join("feeds"), "json")? {
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            let over = format!("0x{stem}")
                .parse()
                .is_ok_and(|feed: Hash32| names.all.contains(&feed) && !names.live.contains(&feed));
            if !over {
                let table = read(&path)?;
                if !names.all.contains(&table.commitment()) {
                    feeds.unnamed.entry(Tenant::local()).or_default().push_back(table.commitment());
                }
                feeds.tables.insert(table.commitment(), table);
            }
        }
        Ok(feeds)
    }

    fn words(&self) -> usize {
        self.tables.values().flat_map(|table| table.rows().values()).map(Vec::len).sum()
    }

    /// Takes another feed of a tenant; gives those that nobody needs any more, whose files may go.
    fn take(&mut self, of: &Tenant, table: ReferenceTable, names: &Names) -> Result<Vec<Hash32>> {
        let words = |table: &ReferenceTable| table.rows().values().map(Vec::len).sum::<usize>();
        if self.words() + words(&table) > WORDS_MAX {
            let unnamed: BTreeSet<Hash32> = self.unnamed.values().flatten().copied().collect();
            self.tables.retain(|feed, _| names.live.contains(feed) || unnamed.contains(feed));
        }
        let now = self.words() + words(&table);
        if now > WORDS_MAX {
            return Err(Fault::refused("feed.too-many", format_args!("{WORDS_MAX} words of all feeds"), now));
        }
        let queue = self.unnamed.entry(of.clone()).or_default();
        queue.retain(|feed| !names.all.contains(feed));
        queue.push_back(table.commitment());
        self.tables.insert(table.commitment(), table);
        // The newest stays in any case: one request holds less than a tenant's words.
        let (mut kept, mut held) = (0, 0usize);
        for feed in queue.iter().rev() {
            held += self.tables.get(feed).map_or(0, words);
            if kept == UNNAMED_MAX || held > UNNAMED_WORDS_MAX {
                break;
            }
            kept += 1;
        }
        let old: Vec<Hash32> = queue.drain(..queue.len() - kept).collect();
        let wanted = |feed: &Hash32| {
            names.all.contains(feed) || self.unnamed.values().flatten().any(|other| other == feed)
        };
        let gone: Vec<Hash32> = old.into_iter().filter(|feed| !wanted(feed)).collect();
        for feed in &gone {
            self.tables.remove(feed);
        }
        Ok(gone)
    }
}

impl Coordinator {
    fn feed_path(&self, commitment: &Hash32) -> PathBuf {
        self.dir.join("feeds").join(format!("{}.json", hex::encode(commitment.0)))
    }

    /// Keeps a tenant's feed of public side inputs and gives the commitment that jobs name it by.
    ///
    /// # Errors
    /// `feed.too-large`, `feed.too-many`, `file.io`.
    pub fn add_feed(&self, of: &Tenant, doc: &FeedDoc) -> Result<Hash32> {
        let table = doc.table()?;
        let commitment = table.commitment();
        let names = self.with_state(Names::of);
        let mut feeds = self.feeds.write().unwrap_or_else(PoisonError::into_inner);
        if feeds.tables.contains_key(&commitment) {
            return Ok(commitment);
        }
        let text = serde_json::to_vec(&FeedDoc::of(&table))
            .map_err(|error| Fault::trouble("feed.json", "a feed", error))?;
        let gone = feeds.take(of, table, &names)?;
        let path = self.feed_path(&commitment);
        if !path.exists()
            && let Err(fault) = replace(&path, &text)
        {
            feeds.tables.remove(&commitment);
            return Err(fault);
        }
        for gone in gone {
            let path = self.feed_path(&gone);
            std::fs::remove_file(&path).map_err(|error| Fault::file(&path, &error))?;
        }
        Ok(commitment)
    }

    /// A feed by its commitment.
    ///
    /// # Errors
    /// `feed.json`, `file.io`.
    pub fn feed(&self, commitment: &Hash32) -> Result<Option<FeedDoc>> {
        let feeds = self.feeds.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = feeds.tables.get(commitment) {
            return Ok(Some(FeedDoc::of(table)));
        }
        drop(feeds);
        let path = self.feed_path(commitment);
        if path.exists() { read(&path).map(|table| Some(FeedDoc::of(&table))) } else { Ok(None) }
    }
}

impl FeedDoc {
    /// A table as a document.
    #[must_use]
    pub fn of(table: &ReferenceTable) -> Self {
        let row = |((device, start_s), words): (&(Device, u64), &Vec<i32>)| FeedRow {
            device: *device,
            start_s: *start_s,
            words: words.clone(),
        };
        FeedDoc { word_bytes: table.word_bytes(), rows: table.rows().iter().map(row).collect() }
    }

    /// The table, with its commitment.
    ///
    /// # Errors
    /// `feed.too-large`, `feed.row-twice`, `inference.reference-width`.
    pub fn table(&self) -> Result<ReferenceTable> {
        let large = self.rows.iter().any(|row| row.words.len() > FEED_WORDS_MAX);
        if large || self.rows.len() > FEED_ROWS_MAX {
            let expected = format!("{FEED_ROWS_MAX} rows of {FEED_WORDS_MAX} words");
            return Err(Fault::refused("feed.too-large", expected, self.rows.len()));
        }
        let mut rows = BTreeMap::new();
        for row in &self.rows {
            if rows.insert((row.device, row.start_s), row.words.clone()).is_some() {
                return Err(Fault::refused("feed.row-twice", "one row a device and window", row.start_s));
            }
        }
        ReferenceTable::new(self.word_bytes, rows).map_err(|reason| Fault::from(&reason))
    }
}

fn read(path: &Path) -> Result<ReferenceTable> {
    let text = std::fs::read(path).map_err(|error| Fault::file(path, &error))?;
    let doc: FeedDoc =
        serde_json::from_slice(&text).map_err(|error| Fault::trouble("feed.json", path.display(), error))?;
    doc.table()
}

/// All feeds in a coordinator's directory.
///
/// # Errors
/// `feed.json`, `file.io`.
pub fn read_feeds(dir: &Path) -> Result<BTreeMap<Hash32, ReferenceTable>> {
    let tables = files_in(&dir.join("feeds"), "json")?.into_iter().map(|path| read(&path));
    tables.map(|table| table.map(|table| (table.commitment(), table))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(n: i32) -> ReferenceTable {
        ReferenceTable::new(4, BTreeMap::from([((Device([1; 32]), 0), vec![n])])).expect("a feed")
    }

    #[test]
    fn a_tenants_feeds_make_room_for_its_own_alone() {
        let (alice, mallory) = (Tenant::local(), "mallory".parse().expect("a tenant"));
        let mut feeds = Feeds::default();
        let mut names = Names { all: BTreeSet::new(), live: BTreeSet::new() };
        feeds.take(&alice, table(-1), &names).expect("taken");
        names.all.insert(table(0).commitment());
        let mut gone = Vec::new();
        for n in 0..200 {
            gone.extend(feeds.take(&mallory, table(n), &names).expect("taken"));
        }
        // 32 of its own, the one that a job names, and Alice's.
        assert_eq!((feeds.tables.len(), gone.len()), (UNNAMED_MAX + 2, 200 - UNNAMED_MAX - 1));
        let has = |n: i32| feeds.tables.contains_key(&table(n).commitment());
        assert!(has(-1) && has(0) && !has(1) && has(199));
    }

    #[test]
    fn what_two_tenants_handed_in_stays_while_one_has_it() {
        let (alice, mallory) = (Tenant::local(), "mallory".parse().expect("a tenant"));
        let (mut feeds, names) = (Feeds::default(), Names { all: BTreeSet::new(), live: BTreeSet::new() });
        feeds.take(&mallory, table(7), &names).expect("taken");
        feeds.take(&alice, table(7), &names).expect("taken");
        for n in 100..200 {
            let gone = feeds.take(&mallory, table(n), &names).expect("taken");
            assert!(!gone.contains(&table(7).commitment()));
        }
    }
}
