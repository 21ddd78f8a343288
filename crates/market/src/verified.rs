//! Signatures that were verified before their event's turn.
//!
//! Events are folded one after the other; verifying a signature needs no state and takes most of the time. So whoever
//! folds many verifies them beforehand, on other threads, and [`crate::State::step_entry`] does not do it again. A
//! [`Verified`] is made here alone, from a signature that holds, and says exactly what it is about: an event with other
//! bytes or of another market is verified as if there were none.

use crate::domain::Domain;
use crate::event::What;
use crate::hash::Hash32;
use crate::many::{accounts, devices};
use crate::receipt::SignedReceipt;
use crate::refusal::Refusal;
use crate::verdict::Verdict;

/// What holds of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    domain: Domain,
    of: Of,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Of {
    /// Both signatures of a receipt, whose digest this is.
    Receipt(Box<SignedReceipt>, Hash32),
    /// A checker's signature.
    Verdict(Verdict),
}

impl Verified {
    /// Verifies a receipt's output, and both of its signatures.
    ///
    /// # Errors
    /// As [`SignedReceipt::verify`].
    pub fn receipt(signed: &SignedReceipt, domain: &Domain) -> Result<Self, Refusal> {
        let digest = signed.verify(domain)?;
        Ok(Verified { domain: *domain, of: Of::Receipt(Box::new(signed.clone()), digest) })
    }

    /// Digest of the receipt, if it is about this one.
    pub(crate) fn digest_of(&self, signed: &SignedReceipt, domain: &Domain) -> Option<Hash32> {
        match &self.of {
            Of::Receipt(known, digest) if **known == *signed && self.domain == *domain => Some(*digest),
            _ => None,
        }
    }

    /// Whether it is about this verdict.
    pub(crate) fn is_of(&self, verdict: &Verdict, domain: &Domain) -> bool {
        matches!(&self.of, Of::Verdict(known) if known == verdict && self.domain == *domain)
    }
}

/// Verifies signatures of events ahead of their turn, many at once ([`crate::many`]). It remembers the keys that it met.
#[derive(Clone, Debug)]
pub struct Ahead {
    domain: Domain,
    accounts: accounts::Keys,
    devices: devices::Keys,
}

impl Ahead {
    /// For events of a market.
    #[must_use]
    pub fn new(domain: Domain) -> Self {
        Ahead { domain, accounts: accounts::Keys::default(), devices: devices::Keys::default() }
    }

    /// Verifies what can be of events, one result each; `None` for kinds of which there are few, and for what does not
    /// hold: its turn refuses that by name. Thousands at a time are the cheapest.
    pub fn verify<'a>(&mut self, events: impl IntoIterator<Item = &'a What>) -> Vec<Option<Verified>> {
        let domain = self.domain;
        let (mut all, mut places, mut of_accounts, mut of_devices) = (vec![], vec![], vec![], vec![]);
        for what in events {
            let claim = match what {
                What::Delivered(signed) => signed.claims(&domain).ok().map(|(account, device)| {
                    of_devices.push(device);
                    (account, Of::Receipt(Box::new(signed.clone()), account.0), Some(of_devices.len() - 1))
                }),
                What::Judged(verdict) | What::PanelVoted(verdict) => {
                    verdict.claim(&domain).ok().map(|claim| (claim, Of::Verdict(verdict.clone()), None))
                }
                _ => None,
            };
            if let Some((claim, of, device)) = claim {
                places.push((all.len(), of, device));
                of_accounts.push(claim);
            }
            all.push(None);
        }
        let by_account = accounts::verify_all(&mut self.accounts, &of_accounts);
        let by_device = devices::verify_all(&mut self.devices, &of_devices);
        for ((place, of, device), holds) in places.into_iter().zip(by_account) {
            if holds && device.is_none_or(|device| by_device[device]) {
                all[place] = Some(Verified { domain, of });
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{AccountSecret, Address, DeviceSecret};
    use crate::receipt::{Receipt, output_hash};

    fn receipt(node: u8, domain: &Domain) -> SignedReceipt {
        let (account, device) = (
            AccountSecret::from_bytes([node; 32]).expect("a secret"),
            DeviceSecret::from_bytes([node + 1; 32]),
        );
        let receipt = Receipt {
            job: Hash32([1; 32]),
            sequence: 0,
            node: account.address(),
            device: device.device(),
            service: Hash32([2; 32]),
            model: Hash32::ZERO,
            input: Hash32::ZERO,
            output: output_hash(&[]),
            units: 1,
            window_start: 1,
            window_end: 2,
            evidence: Hash32::ZERO,
            previous: Hash32::ZERO,
        };
        receipt.sign(domain, &[], &device, &account).expect("signs")
    }

    #[test]
    fn what_was_verified_speaks_for_nothing_else() {
        let domain = Domain { chain_id: 1, settlement: Address([7; 20]) };
        let other = Domain { chain_id: 2, ..domain };
        let (first, second) = (receipt(1, &domain), receipt(2, &domain));
        let verified = Verified::receipt(&first, &domain).expect("holds");
        assert_eq!(verified.digest_of(&first, &domain), Some(first.receipt.digest(&domain)));
        assert_eq!(verified.digest_of(&second, &domain), None, "another receipt");
        assert_eq!(verified.digest_of(&first, &other), None, "another market");
        let mut forged = first.clone();
        forged.node_signature = second.node_signature;
        assert_eq!(verified.digest_of(&forged, &domain), None, "another signature");
        assert_eq!(Verified::receipt(&forged, &domain).expect_err("forged").name, "receipt.node-signature");
        let mut unsigned = first.clone();
        unsigned.device_signature = second.device_signature;
        let events = [first, forged, second, unsigned].map(What::Delivered);
        let mut ahead = Ahead::new(domain);
        for _ in 0..2 {
            let found = ahead.verify(&events);
            assert_eq!(found.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true, false]);
            assert_eq!(found[0].as_ref(), Some(&verified));
        }
    }
}
