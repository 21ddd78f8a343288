//! Services: one file for each kind of work: describe, price, check, count units.
//!
//! [`SERVICES`] is the only list. Nobody outside this crate matches on a kind of service: ask the row. A
//! service checks with the [`Engines`] that it is handed; it never links a prover, a chain or a disk.

pub mod cose;
pub mod did;
pub mod inference;
pub mod maker;
pub mod metered;
pub mod reading;
pub mod ready;
pub mod reference;
pub mod seed;
pub mod senml;
pub mod storage;
pub mod title;
pub mod window;
mod wire;
pub mod wrap;

use proofmesh_market::{
    Blame, Case, Check, DeviceClaim, Hash32, Job, Known, Reason, Receipt, Refusal, Usd, tag,
};

/// The idea by which work is checked: docs/spec/market.md and the product's table of families.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// V1: check a succinct proof, of the work or the work itself.
    Proof,
    /// V2: random Merkle challenges, drawn after the commitment.
    Possession,
    /// V4: totals that both sides sign every tick.
    Meter,
}

/// What a check needs from outside, handed in. `Sync`, so that one set serves all checking threads.
#[derive(Clone, Copy)]
pub struct Engines<'a> {
    /// Verifies proofs.
    pub proofs: &'a dyn inference::ProofCheck,
    /// Knows models.
    pub models: &'a dyn inference::Catalogue,
    /// Knows public side inputs.
    pub references: &'a dyn reference::References,
    /// Signatures of devices that were verified before ([`Service::signed`]); [`Known::NOTHING`] serves as well, only slower.
    pub known: &'a Known,
}

/// One kind of service.
pub struct Service {
    /// Short name, as in configuration files.
    pub name: &'static str,
    /// What the service id is the Keccak-256 of.
    pub tag: &'static str,
    /// How its work is checked.
    pub family: Family,
    /// What one unit is.
    pub unit: &'static str,
    /// The job's terms in words.
    pub describe: fn(&Job, &Engines<'_>) -> Result<String, Reason>,
    /// A fair price of one unit, to start from; the buyer's job says what is paid.
    pub price: fn(&Job, &Engines<'_>) -> Result<Usd, Reason>,
    /// Units that the evidence shows.
    pub check: fn(&Case<'_>, &Engines<'_>) -> Result<u64, Reason>,
    /// Where `check` asks about signatures of devices: which, so that those of many receipts can be verified together ([`Known::of`]).
    pub signed: Option<Signed>,
}

/// The signatures of devices in a receipt's evidence.
pub type Signed = fn(&Job, &Receipt, evidence: &[u8]) -> Vec<DeviceClaim>;

impl Service {
    /// The service id that jobs and receipts carry.
    #[must_use]
    pub fn id(&self) -> Hash32 {
        tag(self.tag)
    }

    /// This service's check with its engines, for [`proofmesh_market::check`].
    #[must_use]
    pub fn checker<'a>(&'static self, engines: Engines<'a>) -> Checker<'a> {
        Checker { service: self, engines }
    }
}

/// Every kind of service.
pub static SERVICES: &[Service] = &[inference::SERVICE, metered::SERVICE, storage::SERVICE, wrap::SERVICE];

/// The service with this id.
#[must_use]
pub fn by_id(id: &Hash32) -> Option<&'static Service> {
    SERVICES.iter().find(|service| service.id() == *id)
}

/// The service with this name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Service> {
    SERVICES.iter().find(|service| service.name == name)
}

/// A refusal of evidence that does not hold, as the node's own doing.
fn blamed(refusal: Refusal) -> Reason {
    Reason::new(refusal.name, Blame::Node, refusal.expected, refusal.got)
}

/// A service with the engines that it checks with.
#[derive(Clone, Copy)]
pub struct Checker<'a> {
    service: &'static Service,
    engines: Engines<'a>,
}

impl Check for Checker<'_> {
    fn check(&self, case: &Case<'_>) -> Result<u64, Reason> {
        (self.service.check)(case, &self.engines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_names_are_unique_and_others_are_unknown() {
        for service in SERVICES {
            assert_eq!(by_id(&service.id()).map(|found| found.name), Some(service.name));
            assert_eq!(by_name(service.name).map(|found| found.tag), Some(service.tag));
        }
        assert!(by_id(&Hash32::ZERO).is_none());
        assert!(by_name("").is_none());
    }
}
