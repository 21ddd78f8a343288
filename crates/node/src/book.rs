//! The book: the journal with the state folded from it. An event is in both or in neither.
//!
//! The state is asked first (it refuses what is illegal), then the record is made durable. If that fails, the book owes the
//! journal this record: it takes nothing more before the record is in. A journal on a server takes it when the server is
//! back; the embedded one at no time: what the log holds decides, at the next start.

use crate::engine::bus::Voice;
use crate::engine::{Journal, Opened};
use crate::fault::{Fault, Result};
use crate::time::Time;
use proofmesh_market::{Address, Effect, Event, SignedReceipt, State, Usd, What};
use proofmesh_services::seed::Seeds;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A log and its fold.
#[derive(Debug)]
pub struct Book {
    journal: Box<dyn Journal>,
    owed: Option<Vec<u8>>,
    state: State,
    time: Time,
    draws: u64,
    equivocations: Vec<(SignedReceipt, SignedReceipt)>,
    seeds: Arc<Seeds>,
    credited: BTreeMap<Address, Usd>,
    voice: Voice,
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
        let (owed, credited) = (None, BTreeMap::new());
        let mut book = Book { journal, owed, state, time, draws: 0, equivocations, seeds, credited, voice };
        for (number, record) in opened.records.iter().enumerate() {
            let fold = Event::decode(record).and_then(|event| Ok((book.state.step(&event)?, event)));
            let (effects, event) = fold.map_err(|refusal| {
                Fault::trouble("book.event-refused", format_args!("event {number} to be legal"), refusal)
            })?;
            book.count(&event, &effects);
        }
        book.time.reach(book.state.now_s());
        Ok(OpenedBook { book, torn_bytes: opened.torn_bytes })
    }

    fn count(&mut self, event: &Event, effects: &[Effect]) {
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
        self.settle()?;
        let event = Event { at_s: self.time.now_s().max(self.state.now_s()), what };
        let record = event.encode()?;
        if self.journal.head() != self.state.log_hash() {
            return Err(Fault::trouble(
                "log.broken",
                "a restart, which repairs the log",
                "an earlier failure",
            ));
        }
        let effects = self.state.step(&event)?;
        self.count(&event, &effects);
        self.owed = Some(record);
        self.settle()?;
        self.voice.tell(&effects);
        Ok(effects)
    }

    /// Makes durable what the state holds and the journal may not. Nothing that follows from the state may leave the house
    /// before.
    ///
    /// # Errors
    /// What [`Journal::append`] fails with.
    pub fn settle(&mut self) -> Result<()> {
        if let Some(record) = &self.owed {
            self.journal.append(record)?;
            self.owed = None;
        }
        Ok(())
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
