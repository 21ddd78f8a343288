//! Receipts that come in, many at a time.
//!
//! Who hands a receipt in waits in a queue; one thread takes all that wait together: their signatures are verified many at
//! once, their evidence is made durable by one sync, their events by one append. So the more come, the less
//! each costs. Order on disk: evidence, then the receipt, then the verdict.
//!
//! A receipt is acknowledged when it and its evidence are durable. Who asked to be answered at once is answered then, and
//! the receipt is judged after; who did not waits for the verdict.

use super::Coordinator;
use super::check::{JUDGED_AT_ONCE, is_pending};
use super::door::may_be_judged;
use crate::engine::crash;
use crate::fault::{Fault, Result};
use crate::wire::{Delivered, ReceiptDoc};
use proofmesh_market::limits::EVIDENCE_BYTES_MAX;
use proofmesh_market::{Ahead, Effect, Hash32, Receipt, SignedReceipt, State, Verified, What, keccak};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Receipts that are taken together at most: how long the book is held is bounded.
const BATCH: usize = 256;

/// Receipts that wait to be taken, and those taken that nobody waits for.
#[derive(Default)]
pub(super) struct Deliveries {
    queue: Mutex<Queue>,
    /// Delivered, to be judged, in a market without guards. One with guards remembers itself.
    unjudged: Mutex<Vec<Hash32>>,
    judging: AtomicBool,
    /// Of the one thread that takes.
    ahead: Mutex<Option<Ahead>>,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Waiting>,
    /// A thread takes what waits.
    taken_care_of: bool,
}

/// A receipt with the evidence that it names.
struct Waiting {
    receipt: Receipt,
    digest: Hash32,
    what: What,
    evidence: Vec<u8>,
    answer: oneshot::Sender<Result<Taken>>,
}

/// What came of it.
struct Taken {
    effects: Vec<Effect>,
    receipt: Option<ReceiptDoc>,
}

impl Deliveries {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unjudged(&self) -> MutexGuard<'_, Vec<Hash32>> {
        self.unjudged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets the next delivery start a thread, also when this one ends by a panic.
struct Care<'a>(&'a Deliveries);

impl Drop for Care<'_> {
    fn drop(&mut self) {
        self.0.queue().taken_care_of = false;
    }
}

impl Coordinator {
    /// Takes a receipt and its evidence and gives what became of it. When this returns, it is in the log for good, and
    /// judged unless the answer was wanted `at_once`.
    ///
    /// # Errors
    /// `receipt.*` that are refused before the receipt takes a place, `node.*`; trouble with the disk.
    pub async fn deliver(
        self: &Arc<Self>,
        receipt: &[u8],
        evidence: Vec<u8>,
        at_once: bool,
    ) -> Result<Delivered> {
        let (digest, taken) = self.take_in(receipt, evidence).await?;
        for effect in taken.effects {
            if let Effect::Equivocated { node, first, second } = effect {
                self.slash(&first, &second).await?;
                return Err(Fault::refused("receipt.equivocation", "one receipt for a place", node));
            }
        }
        if at_once {
            self.judge_later([digest]);
            let unknown = || Fault::trouble("receipt.unknown", "the receipt just delivered", digest);
            return Ok(Delivered { receipt: taken.receipt.ok_or_else(unknown)?, check_ms: 0.0 });
        }
        let check_ms = if self.is_guarded() {
            self.judged(&digest).await?
        } else if self.with_state(|state| is_pending(state, &digest)) {
            tokio::task::block_in_place(|| self.judge(&digest))?
        } else {
            0.0
        };
        Ok(Delivered { receipt: self.receipt(&digest)?, check_ms })
    }

    /// Reads what needs no state, and waits until the receipt is taken.
    async fn take_in(self: &Arc<Self>, receipt: &[u8], evidence: Vec<u8>) -> Result<(Hash32, Taken)> {
        let signed = SignedReceipt::decode(receipt)?;
        if evidence.len() > EVIDENCE_BYTES_MAX {
            return Err(Fault::refused("receipt.evidence-too-long", EVIDENCE_BYTES_MAX, evidence.len()));
        }
        let found = keccak(&evidence);
        if found != signed.receipt.evidence {
            return Err(Fault::refused("receipt.wrong-evidence", signed.receipt.evidence, found));
        }
        let digest = signed.receipt.digest(&self.domain());
        let (answer, answered) = oneshot::channel();
        let start = {
            let mut queue = self.deliveries.queue();
            let (receipt, what) = (signed.receipt.clone(), What::Delivered(signed));
            queue.waiting.push(Waiting { receipt, digest, what, evidence, answer });
            !std::mem::replace(&mut queue.taken_care_of, true)
        };
        if start {
            let it = self.clone();
            tokio::task::spawn_blocking(move || it.take_waiting());
        }
        let stopped = |error| Fault::trouble("receipt.not-taken", "the same receipt, handed in again", error);
        let taken = answered.await.map_err(stopped)??;
        Ok((digest, taken))
    }

    /// Takes batches until nothing waits.
    fn take_waiting(&self) {
        let care = Care(&self.deliveries);
        loop {
            let batch: Vec<Waiting> = {
                let mut queue = self.deliveries.queue();
                let size = queue.waiting.len().min(BATCH);
                if size == 0 {
                    // Under the lock: who comes next sees it and starts a thread.
                    queue.taken_care_of = false;
                    std::mem::forget(care);
                    return;
                }
                queue.waiting.drain(..size).collect()
            };
            self.take_batch(batch);
        }
    }

    /// Those that are new and whose signatures hold; the others are answered. Whoever asked may have gone.
    fn held(&self, batch: Vec<Waiting>) -> Vec<(Waiting, Verified)> {
        let new: Vec<Result<()>> =
            self.with_state(|state| batch.iter().map(|it| require_new(state, it)).collect());
        let refuse = |waiting: Waiting, fault| drop(waiting.answer.send(Err(fault)));
        let batch: Vec<Waiting> = batch
            .into_iter()
            .zip(new)
            .filter_map(|(waiting, new)| match new {
                Ok(()) => Some(waiting),
                Err(fault) => {
                    refuse(waiting, fault);
                    None
                }
            })
            .collect();
        let verified = {
            let mut ahead = self.deliveries.ahead.lock().unwrap_or_else(PoisonError::into_inner);
            let ahead = ahead.get_or_insert_with(|| Ahead::new(self.domain()));
            ahead.verify(batch.iter().map(|waiting| &waiting.what))
        };
        let mut held = Vec::with_capacity(batch.len());
        for (waiting, verified) in batch.into_iter().zip(verified) {
            let What::Delivered(signed) = &waiting.what else { continue };
            // What does not hold is verified by itself, for its name.
            match verified.map_or_else(|| Verified::receipt(signed, &self.domain()), Ok) {
                Ok(verified) => held.push((waiting, verified)),
                Err(refusal) => refuse(waiting, refusal.into()),
            }
        }
        held
    }

    fn take_batch(&self, batch: Vec<Waiting>) {
        let (mut wanted, mut receipts, mut answers, mut evidence) = (vec![], vec![], vec![], vec![]);
        for (waiting, verified) in self.held(batch) {
            receipts.push((waiting.receipt, waiting.digest));
            wanted.push((waiting.what, Some(verified)));
            answers.push(waiting.answer);
            evidence.push(waiting.evidence);
        }
        let taken = || {
            let look = |state: &State| may_be_judged(state, self.time.now_s().max(state.now_s()), &receipts);
            let blobs = self.blobs.read().unwrap_or_else(PoisonError::into_inner);
            let keep = |which: &dyn Fn(usize) -> bool| {
                let some = evidence.iter().enumerate().filter(|(index, _)| which(*index));
                blobs.put_all(&some.map(|(_, bytes)| bytes.as_slice()).collect::<Vec<_>>())
            };
            let kept = self.with_state(look);
            keep(&|index| kept[index])?;
            crash::point();
            let mut book = self.book();
            // What became worth it since the first look; seldom any.
            let now = look(book.state());
            keep(&|index| now[index] && !kept[index])?;
            let taken = book.take_all(wanted)?;
            let document =
                |digest| book.state().receipts().get(digest).map(|found| ReceiptDoc::of(digest, found));
            Ok(taken
                .into_iter()
                .zip(&receipts)
                .map(|(effects, (_, digest))| {
                    effects.map(|effects| Taken { effects, receipt: document(digest) })
                })
                .collect::<Vec<_>>())
        };
        match taken() {
            Ok(taken) => {
                for (answer, taken) in answers.into_iter().zip(taken) {
                    let _ = answer.send(taken);
                }
            }
            Err(fault) => {
                for answer in answers {
                    let _ = answer.send(Err(Fault::clone(&fault)));
                }
            }
        }
    }

    /// Has receipts judged that nobody waits for. What goes wrong is met again by the next delivery, or when the epoch
    /// closes.
    pub(super) fn judge_later(self: &Arc<Self>, digests: impl IntoIterator<Item = Hash32>) {
        if !self.is_guarded() {
            self.deliveries.unjudged().extend(digests);
        }
        if !self.deliveries.judging.swap(true, Ordering::SeqCst) {
            let it = self.clone();
            tokio::spawn(async move {
                loop {
                    let before = it.with_state(State::events);
                    let done = it.judge_waiting().await;
                    it.deliveries.judging.store(false, Ordering::SeqCst);
                    // Something may have come since the last look, and seen that this runs. What waits for checkers without a seat waits
                    // for more than another look.
                    let went_on = it.with_state(State::events) > before;
                    let more = done.is_ok() && went_on && it.waits_for_judges();
                    if !more || it.deliveries.judging.swap(true, Ordering::SeqCst) {
                        return;
                    }
                }
            });
        }
    }

    /// Has drawn what became due by time alone, beside whatever else goes on: stand-ins for silent nodes, a job that has nodes now.
    pub fn draw_due(self: &Arc<Self>) {
        if tokio::task::block_in_place(|| self.waits_for_judges()) {
            self.judge_later([]);
        }
    }

    fn waits_for_judges(&self) -> bool {
        let now_s = self.time.now_s();
        !self.deliveries.unjudged().is_empty() || self.with_state(|state| state.awaits_beacon(now_s))
    }

    async fn judge_waiting(&self) -> Result<()> {
        loop {
            let some: Vec<Hash32> = {
                let mut unjudged = self.deliveries.unjudged();
                let size = unjudged.len().min(JUDGED_AT_ONCE);
                unjudged.drain(..size).collect()
            };
            if some.is_empty() {
                break;
            }
            tokio::task::block_in_place(|| self.judge_all(&some))?;
        }
        self.rounds_until(|state| !state.awaits_beacon(self.time.now_s())).await
    }
}

/// Cheap refusals first: nobody but an enrolled node with a new receipt gets bytes onto the disk.
fn require_new(state: &State, waiting: &Waiting) -> Result<()> {
    let (node, digest) = (waiting.receipt.node, &waiting.digest);
    if !state.nodes().contains_key(&node) {
        return Err(Fault::refused("node.unknown", "an enrolled node", node));
    }
    if state.receipts().contains_key(digest) {
        return Err(Fault::refused("receipt.replayed", "a receipt not delivered before", digest));
    }
    Ok(())
}
