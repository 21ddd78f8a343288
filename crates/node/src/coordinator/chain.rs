//! What the chain says, read into the log: deposits, bonds, posted epochs.
//!
//! A reader goes on from its cursor. When the cursor's block is gone (`settle.reorg`) it reads all of it again, and what
//! rested on blocks that are no more is made good:
//!
//! - *Deposits.* An account is credited up to what the chain says that it ever deposited, and no further: a deposit
//!   that stands in another block now, or was made again, counts once. One whose place the log knows already, and of
//!   which more is due now (another payer's came before it), counts the rest under a reference of its own. Money that
//!   was credited and is gone is `chain.deposit-gone`; no order, no epoch is taken until it is back, for somebody else
//!   would pay it out.
//! - *Stakes* are what the chain says now. *Roles, the poster's bond, models* are made again.
//! - *Epochs* whose posting is gone are posted again with the next one: the chain says which it has.

use super::Coordinator;
use super::overview::sum;
use super::verifiers::Demand;
use crate::fault::{Fault, Result};
use proofmesh_market::{Address, ChainRef, Hash32, Usd, What, keccak};
use proofmesh_settle::{ChainEvent, Cursor, EventKind, SettleError};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

/// Events of one read.
const PAGE: usize = 256;
/// Times that one look begins anew; a chain that moves more often is looked at again later.
const RESTARTS_MAX: usize = 3;

/// What was read of the chain since its first block.
#[derive(Default)]
pub(super) struct Reader {
    cursor: Cursor,
    /// All that an account ever deposited.
    deposited: BTreeMap<Address, Usd>,
    /// What nodes have bonded.
    bonded: BTreeMap<Address, Usd>,
    /// Money over its events.
    flows: Flows,
    /// Demands of a proof that are open.
    demands: BTreeMap<Hash32, Demand>,
    /// Receipts whose demand nobody answered in time.
    lost: BTreeSet<Hash32>,
    /// The transaction that took the poster's bond last.
    slashed: Option<Hash32>,
    /// Number of the last look that came to its end.
    looked: u64,
    /// Log and chain were held against each other since the beginning of this reading.
    compared: bool,
    /// This reading began after blocks were taken back, and what they held is not made good yet.
    taken_back: bool,
}

impl Reader {
    pub(super) fn demands(&self) -> Vec<Demand> {
        self.demands.values().copied().collect()
    }

    pub(super) fn lost(&self) -> BTreeSet<Hash32> {
        self.lost.clone()
    }

    /// What becomes of demands.
    fn note(&mut self, event: &ChainEvent) {
        match &event.kind {
            EventKind::Challenged { epoch, digest, deadline, .. } => {
                let demand = Demand { epoch: *epoch, receipt: *digest, deadline_s: *deadline };
                self.demands.insert(*digest, demand);
            }
            EventKind::PosterSlashed { .. } => self.slashed = Some(event.tx),
            EventKind::ChallengeClosed { digest, answered } => {
                self.demands.remove(digest);
                if *answered {
                    self.lost.remove(digest);
                } else if self.slashed == Some(event.tx) {
                    self.lost.insert(*digest); // else its bond came back: the epoch was struck for another reason
                }
            }
            _ => {}
        }
    }
}

/// Money over the chain's events.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flows {
    pub(super) deposited: Usd,
    pub(super) claimed: Usd,
    pub(super) burned: Usd,
    pub(super) covers_paid: Usd,
}

impl Flows {
    fn add(&mut self, event: &EventKind) {
        let (place, amount) = match event {
            EventKind::Deposited { amount, .. } => (&mut self.deposited, amount),
            EventKind::Claimed { amount, .. } => (&mut self.claimed, amount),
            EventKind::PosterSlashed { burned, .. } | EventKind::NodeSlashed { burned, .. } => {
                (&mut self.burned, burned)
            }
            EventKind::CoverPaid { payout, .. } => (&mut self.covers_paid, payout),
            _ => return,
        };
        *place = sum(*place, *amount);
    }
}

/// A reference for more of a deposit that the log knows: `H(H(tag), transaction, index of the log, credited before)`. What is
/// credited only grows, so it is new each time, and the same after a crash.
fn once_more(known: ChainRef, credited: Usd) -> ChainRef {
    let tag = keccak(b"proofmesh/deposit-once-more/v1");
    let (index, before) = (known.log_index.to_be_bytes(), credited.micro().to_be_bytes());
    ChainRef { tx: keccak(&[&tag.0[..], &known.tx.0, &index, &before].concat()), ..known }
}

impl Coordinator {
    /// Reads what happened on the chain since the last look: deposits, bonds, posted epochs.
    ///
    /// # Errors
    /// The chain's; `chain.log-behind` when the chain holds an epoch that this log never closed, `chain.deposit-gone`
    /// when it took back a deposit that was credited.
    pub async fn sync_chain(&self) -> Result<()> {
        let asked = self.looks.load(Ordering::SeqCst);
        let mut reader = self.reader.lock().await;
        if reader.looked > asked {
            return Ok(()); // another look began after this was asked, and is over: many callers wait for two at most
        }
        let look = self.looks.fetch_add(1, Ordering::SeqCst).saturating_add(1);
        let mut restarts = 0;
        loop {
            let page = match self.settlement().events_since(&reader.cursor, PAGE).await {
                Err(SettleError::Reorg { .. }) if restarts < RESTARTS_MAX => {
                    *reader = Reader { taken_back: true, ..Reader::default() };
                    restarts += 1;
                    continue;
                }
                page => page?,
            };
            for event in &page.events {
                self.chain_event(&mut reader, event).await?;
            }
            // Once all of the page is in: it is read again after an error.
            for event in &page.events {
                reader.flows.add(&event.kind);
                reader.note(event);
            }
            if page.next == reader.cursor {
                break;
            }
            reader.cursor = page.next;
        }
        if !reader.compared {
            self.require_deposits(&reader)?;
            reader.compared = true;
        }
        if reader.taken_back {
            self.ground.stand().await?;
            self.register_models().await?;
            reader.taken_back = !self.restake(&reader)?;
        }
        reader.looked = look;
        Ok(())
    }

    /// Money over the chain's events, as of the last look.
    pub(super) async fn chain_flows(&self) -> Flows {
        self.reader.lock().await.flows
    }

    async fn chain_event(&self, reader: &mut Reader, event: &ChainEvent) -> Result<()> {
        let log_index = u32::try_from(event.log_index)
            .map_err(|_| Fault::trouble("chain.log-index", "below 2^32", event.log_index))?;
        let chain_ref = ChainRef { tx: event.tx, log_index };
        match &event.kind {
            EventKind::Deposited { account, amount, deposited } => {
                reader.deposited.insert(*account, *deposited);
                let credited = self.book().credited(account);
                let due = deposited.checked_sub(credited).unwrap_or_default().min(*amount);
                if due.is_zero() {
                    return Ok(());
                }
                let seen = |chain_ref| What::DepositSeen { chain_ref, account: *account, amount: due };
                match self.take(seen(chain_ref)) {
                    Err(fault) if fault.is("deposit.conflict") || fault.is("deposit.already-seen") => {
                        self.take(seen(once_more(chain_ref, credited))).map(drop)
                    }
                    taken => taken.map(drop),
                }
            }
            EventKind::EpochPosted(epoch) => {
                let what = What::EpochPosted { epoch: epoch.clone(), chain_ref };
                let fault = match self.take(what) {
                    Err(fault) if !fault.is("epoch.already-posted") => fault,
                    _ => return Ok(()),
                };
                // One that is not this log's and that the chain has struck since is nobody's.
                let standing = self.settlement().epoch(epoch.number).await?;
                if standing.is_none_or(|found| found.epoch != *epoch) {
                    return Ok(());
                }
                let unknown = fault.is("epoch.unknown");
                Err(if unknown { Fault { name: "chain.log-behind".into(), ..fault } } else { fault })
            }
            EventKind::Bonded { node, bonded, .. } => {
                reader.bonded.insert(*node, *bonded);
                self.see_stake(*node, *bonded, event.block)
            }
            // On its way out it is at stake for a while, but it holds nothing up any more.
            EventKind::Unbonding { node, amount } => {
                let had = reader.bonded.get(node).copied().unwrap_or_default();
                let left = had.checked_sub(*amount).unwrap_or_default();
                reader.bonded.insert(*node, left);
                self.see_stake(*node, left, event.block)
            }
            EventKind::NodeSlashed { node, .. } => {
                reader.bonded.insert(*node, Usd::ZERO);
                self.see_stake(*node, Usd::ZERO, event.block)
            }
            _ => Ok(()),
        }
    }

    /// Nobody is credited with more than the chain says that it deposited.
    fn require_deposits(&self, reader: &Reader) -> Result<()> {
        let book = self.book();
        for (account, credited) in book.all_credited() {
            let found = reader.deposited.get(account).copied().unwrap_or_default();
            if found < *credited {
                let expected = format!("deposits of {credited} by {account}, mined or made again");
                return Err(Fault::trouble("chain.deposit-gone", expected, found));
            }
        }
        Ok(())
    }

    /// A node's stake; unknown nodes and what the state knows already are left out.
    fn see_stake(&self, node: Address, stake: Usd, block: u64) -> Result<()> {
        let news = self.with_state(|state| {
            let known = state.nodes().get(&node);
            known.is_some_and(|known| block >= known.stake_block && known.stake != stake)
        });
        if news {
            self.take(What::StakeSeen { node, stake, block })?;
        }
        Ok(())
    }

    /// Sets every stake that differs from the chain's. False while the chain is shorter than it was when one was seen:
    /// the log takes no older block.
    fn restake(&self, reader: &Reader) -> Result<bool> {
        let block = reader.cursor.block;
        let bonded = |node: &Address| reader.bonded.get(node).copied().unwrap_or_default();
        let differing: Vec<(Address, u64)> = self.with_state(|state| {
            let differs = state.nodes().iter().filter(|(node, known)| known.stake != bonded(node));
            differs.map(|(node, known)| (*node, known.stake_block)).collect()
        });
        let mut all = true;
        for (node, known_block) in differing {
            if block >= known_block {
                self.take(What::StakeSeen { node, stake: bonded(&node), block })?;
            } else {
                all = false;
            }
        }
        Ok(all)
    }

    /// Looks at a node's bond on chain now: it may have bonded before it enrolled.
    ///
    /// # Errors
    /// The chain's.
    pub async fn look_at_stake(&self, node: Address) -> Result<()> {
        let bonded = self.settlement().bond(node).await?.bonded;
        let block = self.reader.lock().await.cursor.block;
        let differs = self.with_state(|state| {
            let known = state.nodes().get(&node);
            known.is_some_and(|known| known.stake != bonded && block >= known.stake_block)
        });
        if differs {
            self.take(What::StakeSeen { node, stake: bonded, block })?;
            self.assign_open()?;
        }
        Ok(())
    }
}
