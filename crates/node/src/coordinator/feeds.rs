//! Feeds of public side inputs, by their commitment: on disk, and in memory while a job may still need them.
//!
//! One that a job names is paid for by that job, [`BYTES_PER_USD`] of its escrow; it stays on disk for audits, and in memory until
//! nothing about the job can be judged any more. One that no job names is somebody's: every tenant may have [`UNNAMED_MAX`] of 32 MiB
//! together, and its oldest make room for its next, so that nobody uses up what others need. What two tenants handed in counts for
//! both, and stays while one of them has it.

use super::{Coordinator, files_in};
use crate::engine::blobs::replace;
use crate::fault::{Fault, Result};
use crate::keys::Tenant;
use crate::wire::{FeedDoc, FeedRow};
use proofmesh_market::{Device, Effect, Hash32, Job, State, What};
use proofmesh_services::inference::{SERVICE, Terms};
use proofmesh_services::reference::{ReferenceTable, References, Row};
use std::collections::{BTreeMap, VecDeque};
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
/// Words of the feeds of one tenant that jobs name, 64 MiB; the machine's owner may have all.
const NAMED_WORDS_MAX: usize = WORDS_MAX / 4;
/// Words that a row takes besides its own.
const ROW_WORDS: usize = 24;
/// Bytes of a feed that any job may name.
const FREE_BYTES: u64 = 4_096;
/// Bytes more for each dollar in escrow.
pub const BYTES_PER_USD: u64 = 256 << 10;
/// Seconds from now to the deadline of a job that names a feed, at most.
const NAMED_S_MAX: u64 = 400 * 86_400;

/// The feeds of a coordinator.
#[derive(Debug, Default)]
pub(super) struct Feeds {
    tables: BTreeMap<Hash32, ReferenceTable>,
    /// What each tenant handed in of what is in memory, oldest first. Several may have one feed.
    held: BTreeMap<Tenant, VecDeque<Hash32>>,
    /// What jobs name, with the last deadline of these jobs.
    named: BTreeMap<Hash32, u64>,
}

impl References for Feeds {
    fn reference(&self, commitment: &Hash32, device: &Device, window_start_s: u64) -> Option<Row<'_>> {
        self.tables.reference(commitment, device, window_start_s)
    }
}

/// Seconds after a job's deadline in which something about it may still be judged.
fn rules_s(state: &State) -> u64 {
    state.rules().map_or(0, |rules| {
        let spans = [rules.judge_s, rules.dispute_window_s, rules.resolve_s, rules.resolve_s, GRACE_S];
        spans.into_iter().fold(0, u64::saturating_add)
    })
}

/// The feed of public side inputs that a job names.
#[must_use]
pub fn feed_of(job: &Job) -> Option<Hash32> {
    if job.service == SERVICE.id() { Terms::decode(&job.terms).ok()?.feed } else { None }
}

/// Words that a table takes: those of its rows, and what each row takes besides (its device, its second, its place in a map).
fn words(table: &ReferenceTable) -> usize {
    table.rows().values().map(|row| row.len() + ROW_WORDS).sum()
}

impl Feeds {
    /// Those in a directory that a job may still need, or that no job names yet. Whose they are is not written down:
    /// the unnamed are the owner's from now on.
    pub(super) fn open(dir: &Path, state: &State) -> Result<Self> {
        let mut feeds = Feeds::default();
        for posted in state.jobs().values() {
            feeds.name(&posted.job);
        }
        let since_s = state.now_s().saturating_sub(rules_s(state));
        for path in files_in(&dir.join("feeds"), "json")? {
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            let over = format!("0x{stem}").parse().is_ok_and(|feed: Hash32| feeds.is_over(&feed, since_s));
            if !over {
                let table = read(&path)?;
                feeds.held.entry(Tenant::local()).or_default().push_back(table.commitment());
                feeds.tables.insert(table.commitment(), table);
            }
        }
        Ok(feeds)
    }

    /// Notes that a job names its feed.
    fn name(&mut self, job: &Job) {
        if let Some(feed) = feed_of(job) {
            let until_s = self.named.entry(feed).or_default();
            *until_s = job.deadline_s.max(*until_s);
        }
    }

    /// True when jobs named a feed and all of their deadlines were before a second.
    fn is_over(&self, feed: &Hash32, since_s: u64) -> bool {
        self.named.get(feed).is_some_and(|until_s| *until_s < since_s)
    }

    /// Refuses a job whose escrow does not pay for the feed that it names.
    fn require_paid(&self, job: &Job, now_s: u64) -> Result<()> {
        let Some(feed) = feed_of(job) else { return Ok(()) };
        let table = self.tables.get(&feed).ok_or_else(|| {
            Fault::refused("feed.unknown", "a feed that was handed in (POST /v1/feeds)", feed)
        })?;
        let latest_s = now_s.saturating_add(NAMED_S_MAX);
        if job.deadline_s > latest_s {
            let expected = format!("a deadline by {latest_s}, for a job that names a feed");
            return Err(Fault::refused("feed.deadline", expected, job.deadline_s));
        }
        let paid = u128::from(job.escrow()?.micro()) * u128::from(BYTES_PER_USD) / 1_000_000;
        let (room, bytes) = (paid + u128::from(FREE_BYTES), 4 * words(table) as u128);
        if bytes > room {
            let expected = format!(
                "a feed of {room} bytes, {BYTES_PER_USD} a dollar in escrow: a smaller feed, or more escrow"
            );
            return Err(Fault::refused("feed.escrow-short", expected, format_args!("{bytes} bytes")));
        }
        Ok(())
    }

    fn words(&self) -> usize {
        self.tables.values().map(words).sum()
    }

    /// Takes a feed of a tenant, another's too; gives those that nobody needs any more, whose files may go. `since_s`:
    /// before it the deadlines of jobs whose feeds may go from memory.
    fn take(&mut self, of: &Tenant, table: ReferenceTable, since_s: u64) -> Result<Vec<Hash32>> {
        let (commitment, more) = (table.commitment(), words(&table));
        let known = self.tables.contains_key(&commitment);
        if !known && self.words() + more > WORDS_MAX {
            let over: Vec<Hash32> =
                self.tables.keys().filter(|feed| self.is_over(feed, since_s)).copied().collect();
            for feed in over {
                self.tables.remove(&feed);
            }
            let now = self.words() + more;
            if now > WORDS_MAX {
                let expected = format_args!("{WORDS_MAX} words of all feeds");
                return Err(Fault::refused("feed.too-many", expected, now));
            }
        }
        let (tables, named) = (&self.tables, &self.named);
        let mut queue = self.held.get(of).cloned().unwrap_or_default();
        queue.retain(|feed| tables.contains_key(feed) && *feed != commitment);
        let size = |feed: &Hash32| tables.get(feed).map_or(more, words);
        let live = |feed: &&Hash32| named.get(*feed).is_some_and(|until_s| *until_s >= since_s);
        let share: usize = queue.iter().filter(live).map(size).sum::<usize>() + more;
        if share > NAMED_WORDS_MAX && !of.is_local() {
            let expected =
                format!("{NAMED_WORDS_MAX} words of one tenant's feeds that jobs name, until they end");
            return Err(Fault::refused("feed.share", expected, share));
        }
        queue.push_back(commitment);
        // Its oldest unnamed make room. The newest stays in any case: one request holds less than a tenant's words.
        let (mut kept, mut sum, mut old) = (0, 0usize, Vec::new());
        for feed in queue.iter().rev().filter(|feed| !named.contains_key(*feed)) {
            sum += size(feed);
            if kept == UNNAMED_MAX || (sum > UNNAMED_WORDS_MAX && kept > 0) {
                old.push(*feed);
            } else {
                kept += 1;
            }
        }
        queue.retain(|feed| !old.contains(feed));
        self.held.insert(of.clone(), queue);
        if !known {
            self.tables.insert(commitment, table);
        }
        old.retain(|feed| !self.held.values().flatten().any(|other| other == feed));
        for feed in &old {
            self.tables.remove(feed);
        }
        Ok(old)
    }

    /// Takes back what was taken last.
    fn drop_last(&mut self, of: &Tenant, feed: &Hash32) {
        self.held.get_mut(of).into_iter().for_each(|queue| queue.retain(|held| held != feed));
        self.tables.remove(feed);
    }
}

impl Coordinator {
    fn feed_path(&self, commitment: &Hash32) -> PathBuf {
        self.dir.join("feeds").join(format!("{}.json", hex::encode(commitment.0)))
    }

    /// Keeps a tenant's feed of public side inputs and gives the commitment that jobs name it by.
    ///
    /// # Errors
    /// `feed.too-large`, `feed.too-many`, `feed.share`, `feed.other-form`, `file.io`.
    pub fn add_feed(&self, of: &Tenant, doc: &FeedDoc) -> Result<Hash32> {
        let table = doc.table()?;
        let commitment = table.commitment();
        let since_s = self.with_state(|state| state.now_s().saturating_sub(rules_s(state)));
        let text = serde_json::to_vec(&FeedDoc::of(&table))
            .map_err(|error| Fault::trouble("feed.json", "a feed", error))?;
        let path = self.feed_path(&commitment);
        let mut feeds = self.feeds.write().unwrap_or_else(PoisonError::into_inner);
        // A leaf says neither how wide its words are nor how many: who came first is what audits read.
        let same = match feeds.tables.get(&commitment) {
            Some(known) => *known == table,
            None => !path.exists() || read(&path)? == table,
        };
        if !same {
            let expected = "rows that no other feed has in another form; add a row of another second";
            return Err(Fault::refused("feed.other-form", expected, commitment));
        }
        let gone = feeds.take(of, table, since_s)?;
        if !path.exists()
            && let Err(fault) = replace(&path, &text)
        {
            feeds.drop_last(of, &commitment);
            return Err(fault);
        }
        for gone in gone {
            let path = self.feed_path(&gone);
            std::fs::remove_file(&path).map_err(|error| Fault::file(&path, &error))?;
        }
        Ok(commitment)
    }

    /// Takes a job. One about a feed that is not here, or that its escrow does not pay for, is refused; what it names stays from now on.
    pub(super) fn take_job(&self, what: What, job: &Job) -> Result<Vec<Effect>> {
        if feed_of(job).is_none() {
            return self.take(what);
        }
        let mut feeds = self.feeds.write().unwrap_or_else(PoisonError::into_inner);
        feeds.require_paid(job, self.time.now_s())?;
        let effects = self.take(what)?;
        feeds.name(job);
        Ok(effects)
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
    use proofmesh_market::Usd;

    fn table(n: i32) -> ReferenceTable {
        ReferenceTable::new(4, BTreeMap::from([((Device([1; 32]), 0), vec![n])])).expect("a feed")
    }

    fn tenants() -> (Tenant, Tenant) {
        ("alice".parse().expect("a tenant"), "mallory".parse().expect("a tenant"))
    }

    /// A feed of this many words, in rows of at most 4,096.
    fn wide(n: u64, words: usize) -> ReferenceTable {
        let rows = (0..words.div_ceil(FEED_WORDS_MAX) as u64)
            .map(|row| ((Device([n as u8; 32]), row), vec![n as i32; FEED_WORDS_MAX - ROW_WORDS]));
        ReferenceTable::new(4, rows.collect()).expect("a feed")
    }

    /// A job about a feed, with so much in escrow and this deadline.
    fn about(feed: Hash32, escrow: u64, deadline_s: u64) -> Job {
        let terms = Terms { feed: Some(feed), ..Terms::default() };
        let job = crate::operator::tests::job(SERVICE.id(), 0);
        Job { terms: terms.encode(), unit_price: Usd::from_micro(escrow), max_units: 1, deadline_s, ..job }
    }

    #[test]
    fn a_tenants_feeds_make_room_for_its_own_alone() {
        let (alice, mallory) = tenants();
        let mut feeds = Feeds::default();
        feeds.take(&alice, table(-1), 0).expect("taken");
        feeds.take(&mallory, table(0), 0).expect("taken");
        feeds.name(&about(table(0).commitment(), 1, 1));
        let mut gone = Vec::new();
        for n in 1..200 {
            gone.extend(feeds.take(&mallory, table(n), 0).expect("taken"));
        }
        // 32 of its own, the one that a job names, and Alice's.
        assert_eq!((feeds.tables.len(), gone.len()), (UNNAMED_MAX + 2, 199 - UNNAMED_MAX));
        let has = |n: i32| feeds.tables.contains_key(&table(n).commitment());
        assert!(has(-1) && has(0) && !has(1) && has(199));
    }

    #[test]
    fn what_two_tenants_handed_in_stays_while_one_has_it_and_counts_for_both() {
        let (alice, mallory) = tenants();
        let mut feeds = Feeds::default();
        let shared = table(7).commitment();
        feeds.take(&mallory, table(7), 0).expect("taken");
        feeds.take(&alice, table(7), 0).expect("taken");
        assert_eq!(feeds.held[&alice], [shared], "it was in memory: hers too");
        for n in 100..200 {
            assert!(!feeds.take(&mallory, table(n), 0).expect("taken").contains(&shared));
        }
        assert!(!feeds.held[&mallory].contains(&shared) && feeds.tables.contains_key(&shared));
        // Hers as any other: it makes room for her next, and then nobody has it.
        let gone: Vec<Hash32> =
            (200..240).flat_map(|n| feeds.take(&alice, table(n), 0).expect("taken")).collect();
        assert!(gone.contains(&shared) && !feeds.tables.contains_key(&shared));
        // Handed in again it is the newest.
        for n in [208, 240, 241] {
            feeds.take(&alice, table(n), 0).expect("taken");
        }
        assert!(
            feeds.tables.contains_key(&table(208).commitment()) && feeds.held[&alice].len() == UNNAMED_MAX
        );
    }

    #[test]
    fn a_feed_is_named_by_who_pays_for_it_and_nobody_fills_the_memory_of_others() {
        let (alice, mallory) = tenants();
        let mut feeds = Feeds::default();
        let large = UNNAMED_WORDS_MAX;
        let usd = 4 * large as u64 * 1_000_000 / BYTES_PER_USD;
        let feed = wide(0, large).commitment();
        let refused = |feeds: &Feeds, job: &Job| feeds.require_paid(job, 0).expect_err("refused").name;
        assert_eq!(refused(&feeds, &about(feed, usd, 1)), "feed.unknown");
        feeds.take(&mallory, wide(0, large), 0).expect("taken");
        assert_eq!(refused(&feeds, &about(feed, 1, 1)), "feed.escrow-short");
        assert_eq!(refused(&feeds, &about(feed, usd - 20_000, 1)), "feed.escrow-short");
        assert_eq!(refused(&feeds, &about(feed, usd, NAMED_S_MAX + 1)), "feed.deadline");
        feeds.require_paid(&about(feed, usd, NAMED_S_MAX), 0).expect("paid");
        // It pays, again and again: a quarter of the memory is its, until its jobs are over.
        let mut share = 0;
        for n in 1..20 {
            feeds.name(&about(wide(n - 1, large).commitment(), usd, 9));
            if let Err(fault) = feeds.take(&mallory, wide(n, large), 0) {
                assert_eq!(fault.name, "feed.share");
                break;
            }
            share = n + 1;
        }
        assert_eq!(share as usize * large, NAMED_WORDS_MAX);
        feeds.take(&alice, wide(100, large), 0).expect("room for others");
        feeds.take(&mallory, wide(101, large), 10).expect("its jobs are over");
    }

    #[test]
    fn what_is_over_makes_room_when_the_memory_is_full() {
        let mut feeds = Feeds::default();
        let local = Tenant::local();
        let full = WORDS_MAX / UNNAMED_WORDS_MAX;
        for n in 0..full as u64 {
            feeds.take(&local, wide(n, UNNAMED_WORDS_MAX), 0).expect("all of it is the owner's");
            feeds.name(&about(wide(n, UNNAMED_WORDS_MAX).commitment(), 1, 5 + n));
        }
        let next = || wide(200, UNNAMED_WORDS_MAX);
        assert_eq!(feeds.take(&local, next(), 5).expect_err("full").name, "feed.too-many");
        feeds.take(&local, next(), 6).expect("the first is over");
        assert_eq!(feeds.tables.len(), full);
        feeds.take(&local, next(), 6).expect("what is there needs no room");
    }
}
