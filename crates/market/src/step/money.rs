//! Deposits, withdrawals, epochs.

use super::{Effect, Fold};
use crate::epoch::{ClosedEpoch, Epoch};
use crate::event::ChainRef;
use crate::hash::Hash32;
use crate::key::Address;
use crate::ledger::{Move, Purse, Target};
use crate::money::Usd;
use crate::order::{Signed, Withdraw};
use crate::refusal::{Refusal, require};
use crate::state::{ReceiptStatus, State};

impl Fold<'_> {
    pub(super) fn deposit_seen(
        self,
        chain_ref: &ChainRef,
        account: &Address,
        amount: Usd,
    ) -> Result<Vec<Effect>, Refusal> {
        if let Some(seen) = self.state.deposits.get(chain_ref) {
            let same = *seen == (*account, amount);
            let name = if same { "deposit.already-seen" } else { "deposit.conflict" };
            return Err(Refusal::new(name, "a place on the chain not seen before", chain_ref.tx));
        }
        require(!amount.is_zero(), "deposit.zero", "an amount above zero", amount)?;
        self.state.ledger.deposit(*account, amount)?;
        self.state.deposits.insert(*chain_ref, (*account, amount));
        Ok(vec![Effect::Credited { account: *account, amount }])
    }

    pub(super) fn withdrawal_asked(self, order: &Signed<Withdraw>) -> Result<Vec<Effect>, Refusal> {
        order.verify(&self.rules.domain)?;
        let Withdraw { account, amount, nonce } = order.order;
        let next = self.state.withdrawal_nonce(&account);
        require(nonce == next, "withdrawal.nonce", next, nonce)?;
        require(!amount.is_zero(), "withdrawal.zero", "an amount above zero", amount)?;
        let out = Move { from: Purse::Balance(account), to: Target::Claim(account), amount };
        self.state.ledger.post(&[out], "withdrawal.balance-short")?;
        self.state.withdrawals.insert(account, nonce + 1); // below 2^64: one event each
        Ok(vec![Effect::Withdrawn { account, amount }])
    }

    pub(super) fn epoch_closed(self, number: u64, log_hash: Hash32) -> Result<Vec<Effect>, Refusal> {
        let next = self.state.epochs.len() as u64 + 1;
        require(number == next, "epoch.number", next, number)?;
        let mut due = self.due();
        let mut moves = Vec::with_capacity(due.len() * 2);
        for (_, digest) in &due {
            let delivered = &self.state.receipts[digest];
            let ReceiptStatus::Accepted { share, fee, .. } = delivered.status else {
                unreachable!("`due` lists accepted receipts")
            };
            let from = Purse::Held(*digest);
            moves.push(Move { from, to: Target::Claim(delivered.signed.receipt.node), amount: share });
            moves.push(Move { from, to: Target::Vault, amount: fee });
        }
        self.state.ledger.post(&moves, "epoch.held-short")?;
        for (order, digest) in &due {
            settle(self.state, *order, digest, number);
        }
        let balances = self.state.ledger.cumulative(&self.rules.vault);
        let total = balances
            .iter()
            .try_fold(Usd::ZERO, |sum, (_, usd)| sum.checked_add(*usd))
            .expect("a part of all deposits");
        due.sort_unstable(); // in the order of their acceptance
        let receipts = due.into_iter().map(|(_, digest)| digest).collect();
        let closed = ClosedEpoch::new(number, log_hash, total, balances, receipts);
        let effect = Effect::PostEpoch(closed.epoch.clone());
        self.state.epochs.push(closed);
        Ok(vec![effect])
    }

    /// Accepted receipts whose time for a dispute is over, with their place in the order of acceptance; in the order of their digests, as the
    /// maps that they are looked up in have them.
    fn due(&self) -> Vec<(u64, Hash32)> {
        let open = self.open();
        let is_due = |digest: &Hash32| match &self.state.receipts[digest].status {
            _ if open.contains(digest) => false,
            ReceiptStatus::Accepted { at_s, .. } if self.state.disputed.contains(digest) => {
                *at_s <= self.at_s && !self.state.disputes.contains_key(digest)
            }
            ReceiptStatus::Accepted { at_s, .. } => at_s + self.rules.dispute_window_s <= self.at_s,
            _ => false,
        };
        let mut due: Vec<_> = self.state.unsettled.iter().map(|(order, digest)| (*order, *digest)).collect();
        due.sort_unstable_by_key(|(_, digest)| *digest);
        due.retain(|(_, digest)| is_due(digest));
        due
    }

    pub(super) fn epoch_posted(self, epoch: &Epoch, chain_ref: &ChainRef) -> Result<Vec<Effect>, Refusal> {
        let index = usize::try_from(epoch.number).ok().and_then(|number| number.checked_sub(1));
        let closed = index.and_then(|index| self.state.epochs.get(index)).ok_or_else(|| {
            Refusal::new("epoch.unknown", format_args!("1 to {}", self.state.epochs.len()), epoch.number)
        })?;
        closed.epoch.require_same(epoch)?;
        let posted = self.state.posted.contains_key(&epoch.number);
        require(!posted, "epoch.already-posted", "an epoch posted once", epoch.number)?;
        self.state.posted.insert(epoch.number, *chain_ref);
        Ok(Vec::new())
    }
}

fn settle(state: &mut State, order: u64, digest: &Hash32, epoch: u64) {
    state.unsettled.remove(&order);
    let Some(delivered) = state.receipts.get_mut(digest) else { return };
    if let ReceiptStatus::Accepted { share, fee, verdict, .. } = &delivered.status {
        delivered.status =
            ReceiptStatus::Settled { epoch, share: *share, fee: *fee, verdict: verdict.clone() };
    }
}
