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
use std::collections::BTreeMap;
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
    lost: Vec<Hash32>,
    /// Where the poster's bond was taken last: the transaction and the index of its log.
    slashed: Option<(Hash32, u64)>,
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

    /// In the order in which they were lost.
    pub(super) fn lost(&self) -> Vec<Hash32> {
        self.lost.clone()
    }

    /// What becomes of demands.
    fn note(&mut self, event: &ChainEvent) {
        match &event.kind {
            EventKind::Challenged { epoch, digest, deadline, post, .. } => {
                let demand = Demand { epoch: *epoch, receipt: *digest, deadline_s: *deadline, post: *post };
                self.demands.insert(*digest, demand);
            }
            // Who demanded gets the bond back some day; what is posted again can be demanded anew.
            EventKind::EpochsRolledBack { from, .. } => {
                self.demands.retain(|_, demand| demand.epoch < *from);
            }
            EventKind::PosterSlashed { .. } => self.slashed = Some((event.tx, event.log_index)),
            EventKind::ChallengeClosed { post, digest, answered } => {
                if self.demands.get(digest).is_some_and(|demand| demand.post == *post) {
                    self.demands.remove(digest);
                }
                // The contract says both in one breath; any other end without an answer is of a posting that was struck for another reason.
                let cost_the_bond = self.slashed.is_some_and(|(tx, index)| {
                    tx == event.tx && index.checked_add(1) == Some(event.log_index)
                });
                if *answered || cost_the_bond {
                    self.lost.retain(|lost| lost != digest);
                }
                if !answered && cost_the_bond {
                    self.lost.push(*digest);
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

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Hash32 = Hash32([1; 32]);
    const SECOND: Hash32 = Hash32([2; 32]);

    /// What a reader makes of events, each `(transaction, index of the log, what)`.
    fn read(events: Vec<(u8, u64, EventKind)>) -> (Vec<(Hash32, u32)>, Vec<Hash32>) {
        let mut reader = Reader::default();
        for (tx, log_index, kind) in events {
            reader.note(&ChainEvent { block: u64::from(tx), log_index, tx: Hash32([tx; 32]), kind });
        }
        (reader.demands().iter().map(|demand| (demand.receipt, demand.post)).collect(), reader.lost())
    }

    fn challenged(digest: Hash32, post: u32) -> EventKind {
        EventKind::Challenged { epoch: 1, digest, challenger: Address([9; 20]), deadline: 600, post }
    }

    fn slashed() -> EventKind {
        EventKind::PosterSlashed { reward: Usd::ZERO, burned: Usd::ZERO }
    }

    fn closed(digest: Hash32, post: u32, answered: bool) -> EventKind {
        EventKind::ChallengeClosed { post, digest, answered }
    }

    /// The accuser takes back the bond of an earlier posting; the demand of the later one is still open.
    #[test]
    fn a_refund_of_a_struck_posting_closes_no_demand_of_the_next() {
        let struck = vec![
            (1, 0, challenged(FIRST, 1)),
            (2, 0, challenged(SECOND, 1)),
            (3, 0, EventKind::EpochsRolledBack { from: 1, to: 1 }),
            (3, 1, slashed()),
            (3, 2, closed(FIRST, 1, false)),
        ];
        assert_eq!(read(struck.clone()), (vec![], vec![FIRST]));
        let again = [struck, vec![(4, 0, challenged(SECOND, 2)), (5, 0, closed(SECOND, 1, false))]].concat();
        assert_eq!(read(again.clone()), (vec![(SECOND, 2)], vec![FIRST]));
        let answered = [again, vec![(6, 0, closed(SECOND, 2, true))]].concat();
        assert_eq!(read(answered), (vec![], vec![FIRST]));
    }

    #[test]
    fn only_what_cost_the_bond_is_lost() {
        let with_refund = vec![
            (1, 0, challenged(FIRST, 1)),
            (1, 1, challenged(SECOND, 1)),
            (2, 0, slashed()),
            (2, 1, closed(FIRST, 1, false)),
            (2, 2, closed(SECOND, 1, false)),
        ];
        assert_eq!(read(with_refund), (vec![], vec![FIRST]));
        let proved_later = vec![
            (1, 0, challenged(FIRST, 1)),
            (2, 0, slashed()),
            (2, 1, closed(FIRST, 1, false)),
            (3, 0, challenged(FIRST, 2)),
            (4, 0, closed(FIRST, 2, true)),
        ];
        assert_eq!(read(proved_later), (vec![], vec![]));
    }
}
