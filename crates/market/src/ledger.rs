//! The ledger: every micro-USD that was ever deposited is in exactly one place.
//!
//! `deposited = sum(purses) + sum(claims) + vault`. Money enters as a deposit alone and then only
//! moves; a move takes from a purse and puts into a purse, a claim or the vault. Nothing takes from a claim
//! or the vault, so cumulative balances cannot fall: there is no value of [`Move`] that says so. Moves of one
//! event are posted together or not at all.

use crate::hash::Hash32;
use crate::key::Address;
use crate::money::Usd;
use crate::refusal::{Refusal, require};
use std::collections::BTreeMap;

/// Where money waits before it is somebody's for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purse {
    /// An account's spendable balance.
    Balance(Address),
    /// The escrow of a job.
    Escrow(Hash32),
    /// The price of an accepted receipt (its digest) that has not settled yet.
    Held(Hash32),
    /// An account's bond in the dispute about a receipt.
    Bond(Hash32, Address),
    /// What an account has at stake in a guarded market.
    Pledge(Address),
}

/// Where money can go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Another purse.
    Purse(Purse),
    /// An account's cumulative balance, claimable on chain once an epoch is posted.
    Claim(Address),
    /// The fees.
    Vault,
}

/// One movement of money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// Out of.
    pub from: Purse,
    /// Into.
    pub to: Target,
    /// How much.
    pub amount: Usd,
}

/// All money, by place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    purses: BTreeMap<Purse, Usd>,
    claims: BTreeMap<Address, Usd>,
    sums: Conservation, // kept with every change
}

/// The sums by kind of place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conservation {
    /// All deposits seen.
    pub deposited: Usd,
    /// Spendable balances.
    pub balances: Usd,
    /// Escrow of jobs.
    pub escrow: Usd,
    /// Accepted, not yet settled.
    pub held: Usd,
    /// Bonds of open disputes, and pledges.
    pub bonds: Usd,
    /// Claimable or claimed: all cumulative balances but the vault's.
    pub claims: Usd,
    /// Fees.
    pub vault: Usd,
}

impl Conservation {
    /// True when the places add up to the deposits exactly.
    #[must_use]
    pub fn holds(&self) -> bool {
        let places = [self.balances, self.escrow, self.held, self.bonds, self.claims, self.vault];
        let sum = places.into_iter().try_fold(Usd::ZERO, Usd::checked_add);
        sum == Some(self.deposited)
    }

    fn of(&mut self, purse: &Purse) -> &mut Usd {
        match purse {
            Purse::Balance(_) => &mut self.balances,
            Purse::Escrow(_) => &mut self.escrow,
            Purse::Held(_) => &mut self.held,
            Purse::Bond(..) | Purse::Pledge(_) => &mut self.bonds,
        }
    }
}

impl Ledger {
    /// New money, seen on chain, for an account.
    pub(crate) fn deposit(&mut self, account: Address, amount: Usd) -> Result<(), Refusal> {
        let deposited =
            self.sums.deposited.checked_add(amount).ok_or_else(|| {
                Refusal::new("deposit.overflow", "all deposits below 2^64 micro-USD", amount)
            })?;
        let purse = Purse::Balance(account);
        let balance = self.purse(&purse).checked_add(amount).expect("a part of all deposits, which fit");
        self.sums.deposited = deposited;
        self.set(purse, balance);
        Ok(())
    }

    /// What is in a purse.
    #[must_use]
    pub fn purse(&self, purse: &Purse) -> Usd {
        self.purses.get(purse).copied().unwrap_or_default()
    }

    /// An account's cumulative balance, without the vault's fees.
    #[must_use]
    pub fn claim(&self, account: &Address) -> Usd {
        self.claims.get(account).copied().unwrap_or_default()
    }

    /// All fees.
    #[must_use]
    pub fn vault(&self) -> Usd {
        self.sums.vault
    }

    /// Cumulative balances above zero, ascending by account; the fees count for `vault`.
    #[must_use]
    pub fn cumulative(&self, vault: &Address) -> Vec<(Address, Usd)> {
        let mut all = self.claims.clone();
        if !self.vault().is_zero() {
            let sum = self.claim(vault).checked_add(self.vault()).expect("a part of all deposits, which fit");
            all.insert(*vault, sum);
        }
        all.into_iter().filter(|(_, usd)| !usd.is_zero()).collect()
    }

    /// Posts all moves, in order, or none.
    ///
    /// # Errors
    /// `short` names the refusal when a purse has less than a move takes from it.
    pub(crate) fn post(&mut self, moves: &[Move], short: &'static str) -> Result<(), Refusal> {
        let mut after: BTreeMap<Purse, Usd> = BTreeMap::new();
        for step in moves {
            let have = after.get(&step.from).copied().unwrap_or_else(|| self.purse(&step.from));
            let rest = have.checked_sub(step.amount);
            require(rest.is_some(), short, step.amount, have)?;
            after.insert(step.from, rest.unwrap_or_default());
            if let Target::Purse(to) = step.to {
                let have = after.get(&to).copied().unwrap_or_else(|| self.purse(&to));
                after.insert(to, have.checked_add(step.amount).expect("a part of all deposits, which fit"));
            }
        }
        for (purse, usd) in after {
            self.set(purse, usd);
        }
        for step in moves {
            match step.to {
                Target::Purse(_) => {}
                Target::Claim(account) => {
                    let sum = self
                        .claim(&account)
                        .checked_add(step.amount)
                        .expect("a part of all deposits, which fit");
                    self.claims.insert(account, sum);
                    let claims = self.sums.claims.checked_add(step.amount);
                    self.sums.claims = claims.expect("a part of all deposits, which fit");
                }
                Target::Vault => {
                    let vault = self.sums.vault.checked_add(step.amount);
                    self.sums.vault = vault.expect("a part of all deposits, which fit");
                }
            }
        }
        Ok(())
    }

    fn set(&mut self, purse: Purse, usd: Usd) {
        let before = if usd.is_zero() { self.purses.remove(&purse) } else { self.purses.insert(purse, usd) };
        let sum = self.sums.of(&purse);
        // Wrapping: between the moves of one event a sum may stand above all deposits; after them it does not.
        let more = sum.micro().wrapping_add(usd.micro());
        *sum = Usd::from_micro(more.wrapping_sub(before.unwrap_or_default().micro()));
    }

    /// The sums by kind of place, kept with every change.
    #[must_use]
    pub fn sums(&self) -> Conservation {
        self.sums
    }

    /// The same sums, added up from all the purses and claims.
    #[must_use]
    pub fn conservation(&self) -> Conservation {
        let (deposited, vault) = (self.sums.deposited, self.sums.vault);
        let mut sums = Conservation { deposited, vault, ..Conservation::default() };
        for (purse, usd) in &self.purses {
            let sum = sums.of(purse);
            *sum = sum.checked_add(*usd).unwrap_or(Usd::from_micro(u64::MAX));
        }
        for usd in self.claims.values() {
            sums.claims = sums.claims.checked_add(*usd).unwrap_or(Usd::from_micro(u64::MAX));
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_are_posted_together_or_not_at_all() {
        let (a, b) = (Address([1; 20]), Address([2; 20]));
        let usd = Usd::from_micro;
        let mut ledger = Ledger::default();
        ledger.deposit(a, usd(100)).expect("first");
        let before = ledger.clone();
        let balance = |account| Target::Purse(Purse::Balance(account));
        let first = Move { from: Purse::Balance(a), to: balance(b), amount: usd(60) };
        let second = Move { from: Purse::Balance(a), to: Target::Vault, amount: usd(41) };
        assert_eq!(ledger.post(&[first, second], "x.short").expect_err("101 of 100").name, "x.short");
        assert_eq!(ledger, before);
        let onward = Move { from: Purse::Balance(b), to: Target::Claim(b), amount: usd(60) };
        ledger.post(&[first, onward], "x.short").expect("a chain within one posting");
        assert_eq!((ledger.claim(&b), ledger.purse(&Purse::Balance(a))), (usd(60), usd(40)));
        assert!(ledger.conservation().holds());
        assert_eq!(ledger.sums(), ledger.conservation());
    }

    #[test]
    fn deposits_above_the_range_are_refused() {
        let mut ledger = Ledger::default();
        ledger.deposit(Address([1; 20]), Usd::from_micro(u64::MAX)).expect("all there is");
        let before = ledger.clone();
        assert_eq!(
            ledger.deposit(Address([2; 20]), Usd::from_micro(1)).expect_err("one more").name,
            "deposit.overflow"
        );
        assert_eq!(ledger, before);
    }
}
