//! The coordinator: takes orders and receipts in, checks, closes epochs, posts them. It holds nobody's money
//! and makes no rule.
//!
//! One book (log and fold), one directory of blobs, one chain. Every verb is safe to call again after a
//! crash: what is in the log is not taken twice, what is on the chain is not sent twice.
//! [`Coordinator::open`] finishes whatever an earlier process left undone.

mod chain;
mod check;
mod delivery;
mod door;
mod draw;
mod epochs;
mod feeds;
mod ground;
mod hire;
mod intake;
mod moving;
mod overview;
mod rounds;
mod show;
mod verifiers;

use crate::book::Book;
use crate::engine::blobs::Blobs;
use crate::engine::bus::Within;
use crate::engine::keys::Keys;
use crate::engine::place::{self, Engines};
use crate::fault::{Fault, Result};
use crate::onchain::{Registered, Verifier};
use crate::tally::Tally;
use crate::time::Time;
use crate::zk::Models;
use chain::Reader;
use check::JUDGED_AT_ONCE;
use delivery::Deliveries;
use draw::Draws;
use feeds::Feeds;
use ground::Ground;
use proofmesh_market::{AccountSecret, Address, Ahead, Domain, Effect, Hash32, State, What};
use proofmesh_model::ModelFile;
use proofmesh_settle::Settlement;
use rounds::Checkers;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use verifiers::read_verifier;

pub use check::middle;
pub use feeds::{feed_of, read_feeds};
pub use ground::{CHECKER_PLEDGE, MarketTerms, WINDOW_MAX_S, embedded_url, read_deployment};
pub use rounds::seats_cost;
pub use show::Page;
pub use verifiers::{Answers, Demand, answers};

/// Receipts without a verdict that a start waits for; more are judged beside whatever else it does then.
const JUDGED_AT_START: usize = 1_024;

/// How a coordinator is started.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where its state is.
    pub dir: PathBuf,
    /// The chain; `None` for the embedded one in the directory.
    pub chain: Option<String>,
    /// Its clock, and the embedded chain's.
    pub time: Time,
    /// Terms of a market that does not exist yet; an existing one keeps its own.
    pub terms: MarketTerms,
    /// What it keeps its state in.
    pub engines: Engines,
}

/// A running coordinator.
pub struct Coordinator {
    dir: PathBuf,
    time: Time,
    // Read while evidence and its receipt are taken in, written when both go elsewhere.
    blobs: RwLock<Box<dyn Blobs>>,
    ground: Ground,
    checkers: Checkers,
    maker: AccountSecret,
    beating: Mutex<()>,
    deliveries: Deliveries,
    ahead: Mutex<Ahead>,
    draws: Draws,
    models: RwLock<Models>,
    feeds: RwLock<Feeds>,
    reader: tokio::sync::Mutex<Reader>,
    looks: AtomicU64, // at the chain, begun so far
    closing: tokio::sync::Mutex<()>,
    moving: Mutex<()>,
    // One transaction of the governor's at a time: each takes its account's next nonce.
    governing: tokio::sync::Mutex<()>,
    // Dropped last: whoever can lock the log finds the chain free, too.
    book: Mutex<Book>,
}

impl std::fmt::Debug for Coordinator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Coordinator({})", self.dir.display())
    }
}

impl Coordinator {
    /// Opens or starts the coordinator of a directory, and finishes what was left undone: unseen chain
    /// events, receipts without a verdict, epochs that are not posted. `tell` hears what a person should
    /// know.
    ///
    /// # Errors
    /// A damaged log or blob, a chain that does not fit, a directory in use.
    pub async fn open(config: Config, tell: &dyn Fn(&str)) -> Result<Arc<Self>> {
        let dir = &config.dir;
        std::fs::create_dir_all(dir).map_err(|error| Fault::file(dir, &error))?;
        let place::Ground { opened, blobs } = place::open(dir, &config.engines)?;
        let opened = Book::open(opened, config.time.clone())?;
        if opened.torn_bytes > 0 {
            tell(&format!(
                "log: cut off {} bytes of an unfinished record, never acknowledged",
                opened.torn_bytes
            ));
        }
        let mut book = opened.book;
        let keys = Keys::open(&dir.join("keys"))?;
        let ground = Ground::open(&config, &keys).await?;
        let checkers = Checkers::open(&keys)?;
        let maker = keys.account("governor")?;
        if book.state().rules().is_none() {
            let vault = keys.account("vault")?.address();
            let domain = ground.settlement.deployment().domain();
            book.take(What::Opened(config.terms.rules(domain, vault, checkers.addresses())))?;
        }
        let domain = ground.settlement.deployment().domain();
        require_own(book.state(), domain, checkers.first().address())?;
        // A market that was opened for guards has several checkers; a crash may have come between.
        if let Some(guards) = config.terms.guards(maker.address()) {
            let open = book.state();
            let panel = open.rules().is_some_and(|rules| rules.checkers.len() > 1);
            if panel && open.guarded().is_none() && open.jobs().is_empty() {
                book.take(What::GuardsSet(guards))?;
            }
        }
        let coordinator = Arc::new(Coordinator {
            draws: Draws::new(keys.seed("draws")?, book.draws()),
            blobs: RwLock::new(blobs),
            models: RwLock::new(read_models(dir)?),
            feeds: RwLock::new(Feeds::open(dir, book.state())?),
            reader: tokio::sync::Mutex::default(),
            looks: AtomicU64::default(),
            closing: tokio::sync::Mutex::new(()),
            moving: Mutex::new(()),
            governing: tokio::sync::Mutex::new(()),
            book: Mutex::new(book),
            time: config.time,
            dir: config.dir,
            ground,
            checkers,
            maker,
            beating: Mutex::new(()),
            deliveries: Deliveries::default(),
            ahead: Mutex::new(Ahead::new(domain)),
        });
        coordinator.recover(tell).await?;
        Ok(coordinator)
    }

    async fn recover(self: &Arc<Self>, tell: &dyn Fn(&str)) -> Result<()> {
        self.register_models().await?;
        self.sync_chain().await?;
        self.seat_checkers(tell).await?;
        let waiting = self.pending();
        if !waiting.is_empty() {
            tell(&format!("checking {} receipts that were delivered and not judged", waiting.len()));
        }
        if waiting.len() > JUDGED_AT_START {
            self.judge_later(waiting);
        } else if self.is_guarded() {
            self.rounds_until(|state| !state.awaits_beacon(self.time.now_s())).await?;
        } else {
            for some in waiting.chunks(JUDGED_AT_ONCE) {
                self.judge_all(some)?;
            }
        }
        if !self.is_guarded() {
            self.stock_draws()?;
            self.assign_open()?;
        }
        match self.post_epochs(None).await {
            Err(fault) if fault.is("epoch.receipt-lost") => tell(&format!("epochs are not posted: {fault}")),
            posted => drop(posted?),
        }
        let equivocations = self.book().equivocations().to_vec();
        for (first, second) in equivocations {
            self.slash(&first, &second).await?;
        }
        Ok(())
    }

    /// Locks the book; on a thread that may block.
    fn book(&self) -> MutexGuard<'_, Book> {
        // A panic while it was held left log and state as they were: `Book::take` refuses to go on if they
        // differ.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_guarded(&self) -> bool {
        self.with_state(|state| state.guarded().is_some())
    }

    fn take(&self, what: What) -> Result<Vec<Effect>> {
        self.book().take(what)
    }

    /// Takes something, if the market allows it now.
    fn take_if_legal(&self, what: What) -> Result<()> {
        match self.take(what) {
            Err(fault) if fault.kind == crate::fault::Kind::Refused => Ok(()),
            taken => taken.map(drop),
        }
    }

    /// Looks at the state.
    pub fn with_state<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(self.book().state())
    }

    /// The same with what is kept beside it.
    fn with_tally<T>(&self, look: impl FnOnce(&State, &Tally) -> T) -> T {
        let book = self.book();
        look(book.state(), book.tally())
    }

    /// Records of the log from a number on.
    ///
    /// # Errors
    /// `file.io`.
    pub fn records(&self, from: u64, most: usize) -> Result<Vec<Vec<u8>>> {
        let read = self.book().journal().reader();
        read(from, most)
    }

    /// The chain with the contracts.
    #[must_use]
    pub fn settlement(&self) -> &Arc<dyn Settlement> {
        &self.ground.settlement
    }

    /// The chain itself.
    #[must_use]
    pub fn chain(&self) -> &proofmesh_settle::Chain {
        &self.ground.chain
    }

    /// What everything is signed for.
    #[must_use]
    pub fn domain(&self) -> Domain {
        self.ground.settlement.deployment().domain()
    }

    /// Evidence by its hash.
    ///
    /// # Errors
    /// `blob.damaged`, `file.io`, `blobs.unreachable`.
    pub fn blob(&self, hash: &Hash32) -> Result<Option<Vec<u8>>> {
        self.blobs.read().unwrap_or_else(PoisonError::into_inner).get(hash)
    }

    /// Where its state is.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Changes whenever something happened; see [`Self::tell_news`].
    #[must_use]
    pub fn news(&self) -> tokio::sync::watch::Receiver<()> {
        self.book().voice().news()
    }

    /// Wakes whoever waits for news: something changed that is not in the log.
    pub fn tell_news(&self) {
        self.book().voice().tell_news();
    }

    /// The bus of this process: its records and its offers.
    #[must_use]
    pub fn bus(self: &Arc<Self>) -> Within {
        let (voice, it) = (self.book().voice().clone(), self.clone());
        Within::new(voice, Arc::new(move |from, most| it.records(from, most)))
    }

    /// Its clock.
    #[must_use]
    pub fn time(&self) -> &Time {
        &self.time
    }

    /// Adds a model: kept, registered on chain, and known to checks.
    ///
    /// # Errors
    /// `model.*`, `file.io`, the chain's.
    pub async fn add_model(&self, file: ModelFile) -> Result<Hash32> {
        self.add_model_with(file, None).await.map(|(id, _)| id)
    }

    /// The same, with the contract that checks its proofs. A model that is new has it at once, another after the registry's delay.
    ///
    /// # Errors
    /// As [`Self::add_model`], and `model.other-verifier`.
    pub async fn add_model_with(
        &self,
        file: ModelFile,
        verifier: Option<Verifier>,
    ) -> Result<(Hash32, Registered)> {
        let id = crate::zk::model_id(&file)?;
        // First the key: a start that finds the model registers it with what is here.
        if let Some(verifier) = &verifier {
            self.keep_verifier(&id, verifier)?;
        }
        let path = model_path(&self.dir, &id);
        if !path.exists() {
            crate::engine::blobs::replace(&path, &file.encode()?)?;
        }
        {
            // From now on jobs about it have to ask for what its verifier takes.
            let mut models = self.models.write().unwrap_or_else(PoisonError::into_inner);
            models.add(file)?;
            if let Some(verifier) = &verifier {
                models.add_verifier(id, verifier)?;
            }
        }
        let registered = self.register_model(id, verifier.as_ref()).await?;
        Ok((id, registered))
    }

    /// A model file's bytes.
    ///
    /// # Errors
    /// `model.unknown`, `model.*`.
    pub fn model(&self, id: &Hash32) -> Result<Vec<u8>> {
        let models = self.models.read().unwrap_or_else(PoisonError::into_inner);
        let file =
            models.get(id).ok_or_else(|| Fault::refused("model.unknown", "a model of this market", id))?;
        Ok(file.encode()?)
    }
}

/// Whether a journal is the one of this directory's contracts and keys: a server may hold another's.
fn require_own(state: &State, domain: Domain, checker: Address) -> Result<()> {
    match state.rules() {
        Some(rules) if rules.domain == domain && rules.checkers.contains(&checker) => Ok(()),
        rules => {
            let expected = "the journal of this directory's market; for a second coordinator copy keys/, models/, verifiers/, feeds/ and \
                            deployment.json of the first, and name the same --chain";
            let got = rules.map_or("none".to_owned(), |rules| format!("a market of {:?}", rules.domain));
            Err(Fault::refused("journal.other-market", expected, got))
        }
    }
}

fn model_path(dir: &Path, id: &Hash32) -> PathBuf {
    dir.join("models").join(format!("{}.pmesh", hex::encode(id.0)))
}

/// All models in a coordinator's directory.
///
/// # Errors
/// `model.*`, `file.io`.
pub fn read_models(dir: &Path) -> Result<Models> {
    let mut models = Models::default();
    for path in files_in(&dir.join("models"), "pmesh")? {
        let bytes = std::fs::read(&path).map_err(|error| Fault::file(&path, &error))?;
        let id = models.add(crate::zk::read_model(&bytes)?)?;
        if let Some(verifier) = read_verifier(dir, &id)? {
            models.add_verifier(id, &verifier)?;
        }
    }
    Ok(models)
}

/// Files with an ending, in the order of their names; none when the directory is missing.
fn files_in(dir: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Fault::file(dir, &error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| Fault::file(dir, &error))?.path();
        if path.extension().is_some_and(|found| found == ending) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
