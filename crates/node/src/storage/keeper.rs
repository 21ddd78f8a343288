//! A keeper: a node that holds pieces on its own disk, gives them back, and after each round shows the chunks that a
//! seed from after the round asks for.
//!
//! `GET /keeper`, `PUT /pieces/JOB` (the piece of a job that this node was drawn for, checked against the job's commitment),
//! `GET /pieces/COMMITMENT`. Nobody gets bytes onto its disk that no job pays for: a job must be this node's, run for a day at
//! least, not be over, and pay every round of it at the fair price; that is settled before a byte of the body is read, and the body may have
//! exactly the bytes of the terms. [`BODIES_MAX`] pieces come in at once. A piece is deleted [`GRACE_S`] after the last of its jobs
//! ended (or at the deadline, whichever is first): until then its last receipt may come and its buyer fetch it. Receipts carry the chunks
//! that were asked for, so a dispute about them needs no piece.
//!
//! Refuses: `storage.not-mine`, `storage.over`, `storage.worth`, `storage.room`, `storage.busy`, `storage.slow`,
//! `storage.piece-differs`, `storage.piece.unknown`, `keeper.listen`.

use super::leave::{HandoverDoc, LeaveDoc};
use super::{GRACE_S, KeeperDoc, PIECE_BYTES_MAX};
use crate::client::Client;
use crate::engine::blobs::replace;
use crate::fault::{Fault, Result};
use crate::member::Member;
use crate::pledge::Takes;
use crate::wire::{Delivered, Hex, JobDoc, ReadyDoc};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path as Segment, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use proofmesh_market::receipt::output_hash;
use proofmesh_market::{Hash32, Job, Receipt, Usd, keccak};
use proofmesh_services::storage::challenge::{Asked, Challenge};
use proofmesh_services::storage::merkle::Tree;
use proofmesh_services::storage::{DAY_S, SERVICE, Terms, fair_price};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Rounds of one job that are looked at.
const ROUNDS_MAX: u64 = 4_096;

/// Pieces that come in at once: 256 MiB of memory at most.
pub const BODIES_MAX: usize = 8;
/// How long a piece may take to come.
const BODY_PATIENCE: Duration = Duration::from_secs(60);

/// A node that keeps pieces.
pub struct Keeper {
    pub(super) member: Member,
    room: u64,
    leaving: AtomicBool,
    bodies: Semaphore,
    writing: Mutex<()>, // between a look at the room and what takes it
}

/// What became of a round.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The job.
    pub job: Hash32,
    /// The round, from 0.
    pub round: u64,
    /// What the coordinator said.
    pub delivered: Delivered,
}

/// A keeper that listens; stops when dropped.
pub struct Listening {
    /// Where.
    pub url: String,
    task: JoinHandle<()>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Keeper {
    /// Opens a keeper of this name with room for so many bytes, and joins the market with it.
    ///
    /// # Errors
    /// The market's and the chain's refusals.
    pub async fn join(client: Client, dir: &Path, name: &str, room: u64) -> Result<Arc<Self>> {
        let member = Member::open(client, dir, name).await?;
        member.join(member.client.status().await?.rules.min_stake).await?;
        let keeper = Keeper {
            member,
            room,
            leaving: AtomicBool::new(false),
            bodies: Semaphore::new(BODIES_MAX),
            writing: Mutex::new(()),
        };
        keeper.be_ready().await?;
        keeper.member.resume().await?;
        Ok(Arc::new(keeper))
    }

    /// Answers the coordinator's challenge about a piece of its making, so that the market knows that this node can.
    async fn be_ready(&self) -> Result<()> {
        let node = self.member.address();
        let context = self.member.client.challenge(&node).await?.context;
        let device = self.member.device.device();
        let evidence = proofmesh_services::ready::storage_answer(&context, &node, &device)?;
        let doc = ReadyDoc { node, service: SERVICE.id(), device, evidence: Hex(evidence) };
        self.member.client.ready(&doc).await?;
        self.member.offer(SERVICE.id(), Takes::named(Usd::ZERO)).await.map(drop)
    }

    /// Who it is.
    #[must_use]
    pub fn doc(&self) -> KeeperDoc {
        let leaving = self.is_leaving();
        let room = if leaving { 0 } else { self.room.saturating_sub(self.used()) };
        KeeperDoc { node: self.member.address(), device: self.member.device.device(), room, leaving }
    }

    /// From now on it takes nothing more, and gives its pieces to whom their buyers name.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::SeqCst);
    }

    /// Whether it leaves.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::SeqCst)
    }

    /// The file of a piece.
    #[must_use]
    pub fn path(&self, commitment: &Hash32) -> PathBuf {
        self.member.dir().join("pieces").join(hex::encode(commitment.0))
    }

    fn used(&self) -> u64 {
        let files = std::fs::read_dir(self.member.dir().join("pieces")).into_iter().flatten().flatten();
        files.filter_map(|file| file.metadata().ok()).map(|about| about.len()).sum()
    }

    /// The job that a piece is offered for, if this node is to take one: what can be said before the piece is there.
    ///
    /// # Errors
    /// `storage.not-mine`, `storage.over`, `storage.worth`, `storage.room`, `storage.terms`, the API's.
    pub async fn admit(&self, job: &Hash32) -> Result<(Job, Terms)> {
        let JobDoc { job, status, nodes, .. } = self.member.client.job(job).await?;
        let (mine, node) = (self.member.device.device(), self.member.address());
        if job.service != SERVICE.id()
            || job.devices != [mine]
            || (status == "assigned" && !nodes.contains(&node))
        {
            let expected = format_args!("a storage job for {mine}, drawn for {node}");
            return Err(Fault::refused("storage.not-mine", expected, job.service));
        }
        let now_s = self.member.client.status().await?.now_s;
        if status != "assigned" || now_s >= job.window_until_s {
            let expected = format_args!("a job that is assigned and ends after {now_s}");
            let got = format_args!("{status}, until {}", job.window_until_s);
            return Err(Fault::refused("storage.over", expected, got));
        }
        let terms = Terms::decode(&job.terms).map_err(|reason| Fault::from(&reason))?;
        let (seconds, price) =
            (job.window_until_s.saturating_sub(job.window_from_s), fair_price(terms.unit_byte_days));
        let units = terms.units_in(seconds).max(1);
        if seconds < DAY_S || job.unit_price < price || job.max_units < units {
            let expected = format_args!("a day at least, {price} USD a unit, {units} units");
            let got = format_args!("{seconds} s, {} USD a unit, {} units", job.unit_price, job.max_units);
            return Err(Fault::refused("storage.worth", expected, got));
        }
        let room = self.doc().room.min(PIECE_BYTES_MAX as u64);
        if !self.path(&job.input).exists() && terms.piece_bytes > room {
            let expected = format_args!("at most {room} bytes");
            return Err(Fault::refused("storage.room", expected, terms.piece_bytes));
        }
        Ok((job, terms))
    }

    /// Takes the piece of a job onto the disk.
    ///
    /// # Errors
    /// As [`Keeper::admit`]; `storage.piece-differs`, `file.io`.
    pub async fn take(&self, job: &Hash32, piece: &[u8]) -> Result<()> {
        let (job, _) = self.admit(job).await?;
        self.keep(&job, piece)
    }

    fn keep(&self, job: &Job, piece: &[u8]) -> Result<()> {
        let found = Tree::new(piece)?.commitment();
        if found != job.input {
            return Err(Fault::refused("storage.piece-differs", job.input, found));
        }
        let path = self.path(&found);
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let room = self.doc().room;
        if !path.exists() && piece.len() as u64 > room {
            return Err(Fault::refused("storage.room", format_args!("at most {room} bytes"), piece.len()));
        }
        replace(&path, piece)
    }

    /// Deletes the pieces whose jobs are all over and past their grace; gives their commitments. A piece of which the
    /// coordinator knows no job is left alone: it may be another coordinator's.
    ///
    /// # Errors
    /// The API's, `file.io`.
    pub async fn sweep(&self) -> Result<Vec<Hash32>> {
        let now_s = self.member.client.status().await?.now_s;
        let mine = [self.member.device.device()];
        let mut over: BTreeMap<Hash32, bool> = BTreeMap::new();
        for doc in self.member.client.jobs().await? {
            if doc.job.service == SERVICE.id() && doc.job.devices == mine {
                let until_s = doc.job.deadline_s.min(doc.job.window_until_s.saturating_add(GRACE_S));
                *over.entry(doc.job.input).or_insert(true) &= now_s > until_s;
            }
        }
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut deleted = Vec::new();
        for (commitment, _) in over.into_iter().filter(|(_, over)| *over) {
            let path = self.path(&commitment);
            match std::fs::remove_file(&path) {
                Ok(()) => deleted.push(commitment),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(Fault::file(&path, &error)),
            }
        }
        Ok(deleted)
    }

    /// A piece that it holds, as it is on its disk.
    ///
    /// # Errors
    /// `storage.piece.unknown`, `file.io`.
    pub fn piece(&self, commitment: &Hash32) -> Result<Vec<u8>> {
        let path = self.path(commitment);
        match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(Fault::refused("storage.piece.unknown", "a piece of this keeper", commitment))
            }
            read => read.map_err(|error| Fault::file(&path, &error)),
        }
    }

    /// Shows every round that is over and not shown. A piece that is not whole any more is not shown: silence costs
    /// less than a false answer.
    ///
    /// # Errors
    /// Trouble; what the coordinator refuses is told in [`Shown`].
    pub async fn look(&self) -> Result<Vec<Shown>> {
        let mut shown = Vec::new();
        for job in self.assigned().await? {
            let Ok(piece) = self.piece(&job.job.input) else { continue };
            let tree = Tree::new(&piece)?;
            if tree.commitment() != job.job.input {
                continue;
            }
            for round in self.due(&job).await? {
                shown.push(self.show(&job, round, &piece, &tree).await?);
            }
        }
        Ok(shown)
    }

    /// The storage jobs that it was drawn for and that are not over.
    pub(super) async fn assigned(&self) -> Result<Vec<JobDoc>> {
        let node = self.member.address();
        let mine = |job: &JobDoc| {
            job.status == "assigned" && job.job.service == SERVICE.id() && job.nodes.contains(&node)
        };
        Ok(self.member.client.jobs_of(&node).await?.into_iter().filter(mine).collect())
    }

    /// Rounds of a job that are over and without a receipt.
    ///
    /// # Errors
    /// `storage.terms`, the API's.
    pub async fn due(&self, job: &JobDoc) -> Result<Vec<u64>> {
        let terms = Terms::decode(&job.job.terms).map_err(|reason| Fault::from(&reason))?;
        let now_s = self.member.client.status().await?.now_s.min(job.job.window_until_s);
        let over = now_s.saturating_sub(job.job.window_from_s) / terms.round_s; // above zero: storage.terms
        let receipts = self.member.client.receipts_of(&job.id).await?;
        let done: BTreeSet<u64> = receipts.iter().map(|doc| doc.window_start_s).collect();
        let start = |round: &u64| job.job.window_from_s + round * terms.round_s; // below now
        Ok((0..over.min(ROUNDS_MAX)).filter(|round| !done.contains(&start(round))).collect())
    }

    /// Answers a round's challenge from these bytes and this tree, and hands in the receipt.
    ///
    /// # Errors
    /// `seed.not-yet`, `storage.piece-differs`, the coordinator's.
    pub async fn show(&self, job: &JobDoc, round: u64, piece: &[u8], tree: &Tree) -> Result<Shown> {
        let (id, job) = (job.id, &job.job);
        let terms = Terms::decode(&job.terms).map_err(|reason| Fault::from(&reason))?;
        let start_s = job.window_from_s + round * terms.round_s;
        let window = (start_s, start_s + terms.round_s);
        let seed = self.member.client.seed(window.1).await?;
        let (node, device) = (self.member.address(), self.member.device.device());
        let asked = Asked { job: &id, node: &node, device: &device, round };
        let challenge = Challenge::draw(&seed, &asked, terms.piece_bytes, terms.questions);
        let evidence = challenge.answer(piece, tree)?;
        let receipt = self.receipt(&id, job, window, terms.units(round), &evidence).await?;
        let signed = receipt.sign(&self.member.domain, &[], &self.member.device, &self.member.account)?;
        let delivered = self.member.hand_in(&signed, &evidence).await?;
        Ok(Shown { job: id, round, delivered })
    }

    async fn receipt(
        &self,
        id: &Hash32,
        job: &Job,
        window: (u64, u64),
        units: u64,
        evidence: &[u8],
    ) -> Result<Receipt> {
        let place = self.member.place().await?;
        Ok(Receipt {
            job: *id,
            sequence: place.next_sequence,
            node: self.member.address(),
            device: self.member.device.device(),
            service: SERVICE.id(),
            model: Hash32::ZERO,
            input: job.input,
            output: output_hash(&[]),
            units,
            window_start: window.0,
            window_end: window.1,
            evidence: keccak(evidence),
            previous: place.head,
        })
    }

    /// Serves pieces on an address of this machine.
    ///
    /// # Errors
    /// `keeper.listen`.
    pub async fn serve(self: &Arc<Self>, address: SocketAddr) -> Result<Listening> {
        let listen = |error: std::io::Error| Fault::trouble("keeper.listen", address, error);
        let listener = tokio::net::TcpListener::bind(address).await.map_err(listen)?;
        let url = format!("http://{}", listener.local_addr().map_err(listen)?);
        let app = Router::new()
            .route("/keeper", get(|State(it): State<Arc<Keeper>>| async move { axum::Json(it.doc()) }))
            .route("/pieces/{name}", put(take).get(give))
            .route("/leave/{job}", post(leave))
            .route("/handovers", post(take_over))
            .with_state(self.clone());
        let task = tokio::spawn(async move {
            // Accept errors are retried inside; there is nobody to tell about the rest.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Listening { url, task })
    }
}

fn answer(result: Result<impl IntoResponse>) -> Response {
    match result {
        Ok(done) => done.into_response(),
        Err(fault) => (StatusCode::CONFLICT, axum::Json(fault)).into_response(),
    }
}

fn hash(text: &str) -> Result<Hash32> {
    text.parse()
        .map_err(|_| Fault::misuse("piece.form", "0x and 64 hexadecimal digits", format_args!("{text:.80}")))
}

async fn take(State(it): State<Arc<Keeper>>, Segment(job): Segment<String>, body: Body) -> Response {
    let done = async {
        let (job, terms) = it.admit(&hash(&job)?).await?;
        let busy =
            |_| Fault::refused("storage.busy", format_args!("at most {BODIES_MAX} pieces at once"), "more");
        let _body = it.bodies.try_acquire().map_err(busy)?;
        let bytes = usize::try_from(terms.piece_bytes).unwrap_or(usize::MAX); // at most PIECE_BYTES_MAX: storage.room
        let slow = |_| {
            Fault::refused("storage.slow", format_args!("a piece within {BODY_PATIENCE:?}"), "not all of it")
        };
        let came = tokio::time::timeout(BODY_PATIENCE, to_bytes(body, bytes)).await.map_err(slow)?;
        let large = |_| Fault::misuse("api.body-too-large", format_args!("{bytes} bytes"), "more");
        let piece = came.map_err(large)?;
        tokio::task::block_in_place(|| it.keep(&job, &piece))?;
        Ok(axum::Json(it.doc()))
    };
    answer(done.await)
}

async fn give(State(it): State<Arc<Keeper>>, Segment(commitment): Segment<String>) -> Response {
    answer(hash(&commitment).and_then(|commitment| tokio::task::block_in_place(|| it.piece(&commitment))))
}

async fn leave(
    State(it): State<Arc<Keeper>>,
    Segment(job): Segment<String>,
    axum::Json(to): axum::Json<LeaveDoc>,
) -> Response {
    let done = async {
        let signed = it.hand_over(&hash(&job)?, &to).await?;
        Ok(axum::Json(HandoverDoc { wire: Hex(signed.encode()) }))
    };
    answer(done.await)
}

async fn take_over(State(it): State<Arc<Keeper>>, axum::Json(given): axum::Json<HandoverDoc>) -> Response {
    answer(tokio::task::block_in_place(|| it.take_over(&given)).map(axum::Json))
}
