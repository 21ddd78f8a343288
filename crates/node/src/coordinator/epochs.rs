//! Epochs and the chain: epochs closed and posted, equivocators slashed.
//!
//! All of it may be cut off anywhere and called again. The log says what was closed; the chain says what was
//! posted; neither is ever done twice.

use super::Coordinator;
use super::check::JUDGED_AT_ONCE;
use crate::engine::crash;
use crate::fault::{Fault, Result};
use crate::wire::{ClosedDoc, PostedDoc};
use proofmesh_market::{Hash32, SignedReceipt, What};
use proofmesh_settle::Done;

impl Coordinator {
    /// Closes an epoch and posts it; `again` names a receipt that cost the bond before and is posted all the same.
    ///
    /// # Errors
    /// The market's and the chain's, `epoch.receipt-lost`; the epoch stays closed and is posted by the next call.
    pub async fn close_epoch(&self, again: Option<Hash32>) -> Result<ClosedDoc> {
        let closing = self.closing.lock().await;
        self.sync_chain().await?;
        // What was judged settles only after its chance of a second check.
        self.rounds_until(|state| !state.awaits_beacon(self.time().now_s())).await?;
        // Those whose verdict an engine did not take, when it was away. Rounds see to the others.
        let waiting = if self.is_guarded() { Vec::new() } else { self.pending() };
        for some in waiting.chunks(JUDGED_AT_ONCE) {
            tokio::task::block_in_place(|| self.judge_all(some))?;
        }
        self.end_jobs()?;
        let number = {
            let mut book = self.book();
            let number = book.state().epochs().len() as u64 + 1;
            book.take(What::EpochClosed { epoch: number })?;
            number
        };
        crash::point();
        drop(closing);
        let posted = self.post_epochs(again).await?;
        let mine = posted.iter().find(|posted| posted.epoch == number);
        let (gas, tx) = mine.map_or((0, None), |posted| (posted.gas, posted.tx));
        let index = number as usize - 1;
        let closed = self.with_state(|state| state.epochs().get(index).cloned());
        let closed =
            closed.ok_or_else(|| Fault::trouble("epoch.unknown", "the epoch just closed", number))?;
        let receipts = closed.receipts.len() as u64;
        Ok(ClosedDoc { epoch: closed.epoch, receipts, gas, tx })
    }

    /// Posts every closed epoch that the chain does not have, in order; `again` as in [`Self::close_epoch`].
    ///
    /// # Errors
    /// The chain's, `epoch.receipt-lost`.
    pub async fn post_epochs(&self, again: Option<Hash32>) -> Result<Vec<PostedDoc>> {
        let _one_at_a_time = self.closing.lock().await;
        // The chain says what it has: an epoch that was struck there is posted again.
        let latest = self.settlement().latest_epoch().await?;
        self.sync_chain().await?;
        self.require_answerable(latest + 1, again).await?;
        self.book().settle()?;
        let waiting: Vec<_> = self.with_state(|state| {
            let open = state.epochs().iter().filter(|closed| closed.epoch.number > latest);
            open.map(|closed| closed.epoch.clone()).collect()
        });
        let mut posted = Vec::new();
        for epoch in waiting {
            let done = self.settlement().post_epoch(&self.ground.poster, &epoch).await?;
            crash::point();
            let tx: Option<Hash32> = if let Done::Sent(sent) = &done { Some(sent.tx) } else { None };
            posted.push(PostedDoc { epoch: epoch.number, gas: done.gas(), tx });
        }
        self.sync_chain().await?;
        Ok(posted)
    }

    /// Lets disputes lapse that nobody decided in time, and ends jobs whose time is over or whose escrow is spent, so that the rest goes
    /// back. A dispute that a panel decides is over long before; with one checker none can be
    /// decided: the first verdict then stands and both bonds return.
    fn end_jobs(&self) -> Result<()> {
        let disputes: Vec<Hash32> = self.with_state(|state| state.disputes().keys().copied().collect());
        for receipt in disputes {
            self.take_if_legal(What::DisputeLapsed { receipt })?;
        }
        let jobs: Vec<Hash32> = self.with_state(|state| state.jobs().keys().copied().collect());
        for job in jobs {
            self.take_if_legal(What::JobEnded { job })?;
        }
        Ok(())
    }

    /// Takes the stake of a node that signed two receipts for one place, if it still has one.
    ///
    /// # Errors
    /// The chain's.
    pub async fn slash(&self, first: &SignedReceipt, second: &SignedReceipt) -> Result<()> {
        match self.settlement().slash_equivocation(&self.ground.poster, first, second).await {
            Err(error) if error.revert_name() == Some("NothingAtStake") => {}
            done => done.map(|_| ())?,
        }
        self.sync_chain().await
    }
}
