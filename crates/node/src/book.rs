//! The book: the journal with the state folded from it. An event is in both or in neither.
//!
//! The state is asked first (it refuses what is illegal), then the record is made durable. If that fails, the book owes the
//! journal these records: it takes nothing more before they are in. A journal on a server takes them when the server is
//! back, the embedded one when a disk that was full has room; after any other trouble with a disk, what the log holds
//! decides, at the next start.
//!
//! Events that come at the same time are taken together: each is asked of the state in its turn, and one append makes
//! all of them durable.

use crate::cores::read_ahead;
use crate::engine::blobs::Blobs;
use crate::engine::bus::Voice;
use crate::engine::moving::{Moving, PAGE};
use crate::engine::{Journal, Opened};
use crate::fault::{Fault, Result};
use crate::tally::Tally;
use crate::time::Time;
use proofmesh_market::{Address, Effect, Entry, Event, SignedReceipt, State, Usd, Verified, What};
use proofmesh_services::seed::Seeds;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// A log and its fold.
#[derive(Debug)]
pub struct Book {
    journal: Box<dyn Journal>,
    owed: Vec<Vec<u8>>,
    state: State,
    time: Time,
    draws: u64,
    equivocations: Vec<(SignedReceipt, SignedReceipt)>,
    seeds: Arc<Seeds>,
    credited: BTreeMap<Address, Usd>,
    voice: Voice,
    tally: Tally,
}

/// A book, and what its log's end looked like.
#[derive(Debug)]
pub struct OpenedBook {
    /// The book.
    pub book: Book,
    /// Bytes of an unfinished record that were cut off; 0 for none.
    pub torn_bytes: u64,
}

impl Book {
    /// Folds a journal.
    ///
    /// # Errors
    /// `book.event-refused` when the journal holds an event that is illegal.
    pub fn open(opened: Opened, time: Time) -> Result<OpenedBook> {
        let (state, voice) = (State::new(), Voice::default());
        let (journal, equivocations, seeds) = (opened.journal, Vec::new(), Arc::<Seeds>::default());
        let (owed, credited) = (Vec::new(), BTreeMap::new());
        let tally = Tally::default();
        let mut book =
            Book { journal, owed, state, time, draws: 0, equivocations, seeds, credited, voice, tally };
        read_ahead(&opened.records, &opened.hashes, |read| {
            let number = book.state.events();
            let fold = read
                .and_then(|(entry, verified)| Ok((book.state.step_entry(&entry, verified.as_ref())?, entry)));
            let (effects, entry) = fold.map_err(|refusal| {
                Fault::trouble("book.event-refused", format_args!("event {number} to be legal"), refusal)
            })?;
            book.count(entry.event(), &effects);
            Ok::<(), Fault>(())
        })?;
        book.time.reach(book.state.now_s());
        Ok(OpenedBook { book, torn_bytes: opened.torn_bytes })
    }

    fn count(&mut self, event: &Event, effects: &[Effect]) {
        self.tally.note(event, effects, &self.state);
        self.draws += u64::from(matches!(event.what, What::DrawCommitted { .. }));
        if matches!(event.what, What::EpochClosed { .. } | What::BeaconClosed { .. }) {
            Arc::make_mut(&mut self.seeds).note(event, &self.state); // a copy while a check still reads the old ones
        }
        if let What::DepositSeen { account, amount, .. } = &event.what {
            let credited = self.credited.entry(*account).or_default();
            *credited = credited.checked_add(*amount).unwrap_or(*credited); // the ledger's sums are below 2^64
        }
        for effect in effects {
            if let Effect::Equivocated { first, second, .. } = effect {
                self.equivocations.push((first.clone(), second.clone()));
            }
        }
    }

    /// Takes something that happened, now. When this returns it is durable.
    ///
    /// # Errors
    /// The market's refusal, by its name; what [`Journal::append`] fails with.
    pub fn take(&mut self, what: What) -> Result<Vec<Effect>> {
        self.take_all([(what, None)])?.pop().unwrap_or_else(|| Ok(Vec::new())) // one for one
    }

    /// Takes things that happened, now and in this order, each with its signatures if they were verified before. When this
    /// returns, all that the market did not refuse are durable.
    ///
    /// # Errors
    /// What [`Journal::append`] fails with. The market's refusal of one is in its place, and stops no other.
    pub fn take_all(
        &mut self,
        wanted: impl IntoIterator<Item = (What, Option<Verified>)>,
    ) -> Result<Vec<Result<Vec<Effect>>>> {
        self.settle()?;
        if self.journal.head() != self.state.log_hash() {
            return Err(Fault::trouble(
                "log.broken",
                "a restart, which repairs the log",
                "an earlier failure",
            ));
        }
        let taken: Vec<Result<Vec<Effect>>> =
            wanted.into_iter().map(|(what, verified)| self.fold(what, verified.as_ref())).collect();
        self.settle()?;
        for effects in taken.iter().flatten() {
            self.voice.tell(effects);
        }
        Ok(taken)
    }

    fn fold(&mut self, what: What, verified: Option<&Verified>) -> Result<Vec<Effect>> {
        let event = Event { at_s: self.time.now_s().max(self.state.now_s()), what };
        let (entry, record) = Entry::write(event)?;
        let effects = self.state.step_entry(&entry, verified)?;
        self.count(entry.event(), &effects);
        self.owed.push(record);
        Ok(effects)
    }

    /// Makes durable what the state holds and the journal may not. Nothing that follows from the state may leave the house
    /// before.
    ///
    /// # Errors
    /// What [`Journal::append`] fails with.
    pub fn settle(&mut self) -> Result<()> {
        if !self.owed.is_empty() {
            let records: Vec<&[u8]> = self.owed.iter().map(Vec::as_slice).collect();
            self.journal.append(&records)?;
            self.owed.clear();
        }
        Ok(())
    }

    /// Copies what a move has not seen yet, and goes on in the new journal. Gives the new store of evidence, if it is another.
    ///
    /// # Errors
    /// As [`Moving::page`] and [`Moving::finish`]; what is owed to a journal that does not take it.
    pub fn move_to(
        &mut self,
        mut moving: Moving,
        dir: &Path,
        evidence: &dyn Blobs,
    ) -> Result<Option<Box<dyn Blobs>>> {
        self.settle()?;
        while moving.copied() < self.journal.len() {
            moving.page(&self.journal.read(moving.copied(), PAGE)?, evidence)?;
        }
        moving.finish(dir, &mut self.journal)
    }

    /// What it says aloud in its process.
    #[must_use]
    pub fn voice(&self) -> &Voice {
        &self.voice
    }

    /// The state.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What there is to see of it without walking all of it.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The journal.
    #[must_use]
    pub fn journal(&self) -> &dyn Journal {
        &*self.journal
    }

    /// Pairs of receipts for one place in their node's chain: proof against it.
    #[must_use]
    pub fn equivocations(&self) -> &[(SignedReceipt, SignedReceipt)] {
        &self.equivocations
    }

    /// Public seeds so far.
    #[must_use]
    pub fn seeds(&self) -> &Arc<Seeds> {
        &self.seeds
    }

    /// All deposits of an account that the log took.
    #[must_use]
    pub fn credited(&self, account: &Address) -> Usd {
        self.credited.get(account).copied().unwrap_or_default()
    }

    /// The same for every account that ever deposited.
    #[must_use]
    pub fn all_credited(&self) -> &BTreeMap<Address, Usd> {
        &self.credited
    }

    /// Draws committed to so far.
    #[must_use]
    pub fn draws(&self) -> u64 {
        self.draws
    }
}
