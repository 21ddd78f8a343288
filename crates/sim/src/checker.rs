//! Checkers: the production check over the coordinator's evidence, and their part of the beacon. Some are friends of
//! the liars: they sign what their friends want as long as they are the only ones to say so, and on a panel, where a
//! minority pays, they say what is true.

use crate::chance::{Chance, bytes};
use crate::network::Link;
use crate::physics::Ideal;
use proofmesh_market::order::BeaconCommit;
use proofmesh_market::{
    AccountSecret, Blame, Case, Check, Domain, Hash32, Job, Known, Reason, Signed, SignedReceipt, Verdict,
    What, check,
};
use proofmesh_services::inference::ModelCard;
use proofmesh_services::reference::NoReferences;
use proofmesh_services::{Engines, by_id};
use std::collections::BTreeMap;

/// A checker of this world.
#[derive(Clone, Debug)]
pub struct Checker {
    /// Its number.
    pub index: u64,
    /// Its account.
    pub account: AccountSecret,
    /// A friend of the liars.
    pub friend: bool,
    /// Down until this second.
    pub down_until_s: u64,
    /// Its line.
    pub link: Link,
    seed: u64,
    chance: Chance,
}

/// Who a receipt is from, as a friend of the liars sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// A liar.
    Friend,
    /// Anybody else.
    Stranger,
}

/// Says that there were units, whatever there is.
struct Paid(u64);

impl Check for Paid {
    fn check(&self, _: &Case<'_>) -> Result<u64, Reason> {
        Ok(self.0)
    }
}

/// Blames the node, whatever there is.
struct Slander;

impl Check for Slander {
    fn check(&self, _: &Case<'_>) -> Result<u64, Reason> {
        Err(Reason::new("inference.proof.statement", Blame::Node, "a proof", "none"))
    }
}

impl Checker {
    /// A checker of a seed.
    ///
    /// # Panics
    /// Never: a hash is below the order of the curve but for one in 2^128.
    #[must_use]
    pub fn new(seed: u64, index: u64, friend: bool) -> Self {
        let account = AccountSecret::from_bytes(bytes(seed, "checker", index).0).expect("below the order");
        let chance = Chance::stream(seed, "checker", index);
        Checker { index, account, friend, down_until_s: 0, link: Link::GOOD, seed, chance }
    }

    /// Falls over for up to ten hours, sometimes. Gives the second at which it is back.
    pub fn tick(&mut self, now_s: u64, per_mille: u64) -> Option<u64> {
        if self.chance.below(8_000) >= per_mille {
            return None;
        }
        self.down_until_s = now_s + 3_600 + self.chance.below(9 * 3_600);
        Some(self.down_until_s)
    }

    fn secret(&self, round: u64) -> Hash32 {
        bytes(self.seed, "beacon", self.index << 32 | round)
    }

    /// Its commitment for a round.
    #[must_use]
    pub fn commit(&self, domain: &Domain, round: u64) -> Option<What> {
        let checker = self.account.address();
        let commitment = proofmesh_market::guard::beacon_commitment(&checker, round, &self.secret(round));
        let order = Signed::new(BeaconCommit { checker, round, commitment }, domain, &self.account).ok()?;
        Some(What::BeaconCommitted(order))
    }

    /// Its secret of a round, unless it is a friend that keeps it (`keep` times in a thousand).
    #[must_use]
    pub fn reveal(&self, round: u64, keep: u64) -> Option<What> {
        let keeps = self.friend && Chance::stream(self.seed, "keeps", self.index << 32 | round).happens(keep);
        let secret = self.secret(round);
        (!keeps).then_some(What::BeaconRevealed { checker: self.account.address(), round, secret })
    }

    /// What it says about a receipt. `[help, blame, _]` are its habits as a friend, per thousand first verdicts.
    #[must_use]
    pub fn verdict(
        &mut self,
        domain: &Domain,
        job: &Job,
        signed: &SignedReceipt,
        evidence: &[u8],
        models: &BTreeMap<Hash32, ModelCard>,
        first: Option<(From, [u64; 3])>,
    ) -> Option<Verdict> {
        if let Some((from, [help, blame, _])) = first.filter(|_| self.friend) {
            let lie: Option<&dyn Check> = match from {
                From::Friend if self.chance.happens(help) => Some(&Paid(signed.receipt.units)),
                From::Stranger if self.chance.happens(blame) => Some(&Slander),
                _ => None,
            };
            if let Some(lie) = lie {
                return check(domain, job, signed, evidence, lie, &self.account).ok();
            }
        }
        let engines = Engines { proofs: &Ideal, models, references: &NoReferences, known: Known::NOTHING };
        let service = by_id(&job.service)?.checker(engines);
        check(domain, job, signed, evidence, &service, &self.account).ok()
    }
}
