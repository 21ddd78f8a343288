//! Certificates of makers: who made a sensor, by one signature a batch.
//!
//! A maker (a [`Did`]) lists the keys of a batch, signs the root of the Merkle tree over them, and gives with each sensor its path in
//! the tree. Leaf of a key: [`receipt_leaf`] of `H("proofmesh/batch-key/v1" || multicodec key)`; pairs are
//! those of [`proofmesh_market::tree`]. Signed, big-endian: `"proofmesh/batch/v1" || maker || length of the name u8 || name || Unix
//! second u64 || keys u64 || root 32`. A recall takes a batch or one key of it back from a second on: `"proofmesh/recall/v1" ||
//! maker || root 32 || 0, or 1 and the key || Unix second u64`.
//!
//! What it shows: that the maker said so. Not that the key never left the sensor.
//!
//! Refuses: `maker.batch` (no keys, too many, one twice, a name), `maker.path`, `maker.signature`, `recall.signature`,
//! `recall.other` (another maker, batch or key).

use crate::did::{Did, DidSecret, Signature};
use proofmesh_market::tree::{Tree, receipt_leaf, verify};
use proofmesh_market::{Hash32, Refusal, keccak};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Most keys of a batch.
pub const BATCH_MAX: usize = 1 << 17;
/// Longest name of a batch, printable ASCII.
pub const NAME_MAX: usize = 64;
/// Longest path in the tree of a batch.
const PATH_MAX: usize = 17;

/// What a maker signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// Who made it.
    pub maker: Did,
    /// How the maker calls it.
    pub name: String,
    /// When it was signed, Unix second.
    pub time_s: u64,
    /// Keys in it.
    pub keys: u64,
    /// Root of the tree over them.
    pub root: Hash32,
}

impl Batch {
    fn message(&self) -> Vec<u8> {
        let mut bytes = [&b"proofmesh/batch/v1"[..], &self.maker.to_bytes()].concat();
        bytes.push(self.name.len() as u8); // at most NAME_MAX, checked before
        bytes.extend_from_slice(self.name.as_bytes());
        bytes.extend_from_slice(&self.time_s.to_be_bytes());
        bytes.extend_from_slice(&self.keys.to_be_bytes());
        bytes.extend_from_slice(&self.root.0);
        bytes
    }

    fn require_form(&self) -> Result<(), Refusal> {
        let printable = self.name.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if self.name.is_empty() || self.name.len() > NAME_MAX || !printable {
            let expected = format_args!("a name of 1 to {NAME_MAX} printable ASCII characters");
            return Err(Refusal::new("maker.batch", expected, format_args!("{:.80?}", self.name)));
        }
        if self.keys == 0 || self.keys > BATCH_MAX as u64 {
            return Err(Refusal::new("maker.batch", format_args!("1 to {BATCH_MAX} keys"), self.keys));
        }
        Ok(())
    }
}

/// What comes with a sensor: its batch, the maker's signature, its path to the root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// The sensor's key.
    pub sensor: Did,
    /// Its batch.
    pub batch: Batch,
    /// Siblings from its leaf to the root.
    pub path: Vec<Hash32>,
    /// The maker's, over the batch.
    pub signature: Signature,
}

fn leaf(sensor: &Did) -> Hash32 {
    receipt_leaf(&keccak(&[&b"proofmesh/batch-key/v1"[..], &sensor.to_bytes()].concat()))
}

impl Certificate {
    /// The certificates of a batch, in the order of its keys: one signature for all.
    ///
    /// # Errors
    /// `maker.batch`.
    pub fn sign(maker: &DidSecret, name: &str, time_s: u64, sensors: &[Did]) -> Result<Vec<Self>, Refusal> {
        let twice = sensors.len() - sensors.iter().collect::<BTreeSet<_>>().len();
        if twice > 0 {
            return Err(Refusal::new("maker.batch", "each key once", format_args!("{twice} again")));
        }
        let keys = sensors.len() as u64;
        let mut batch = Batch { maker: maker.did(), name: name.to_owned(), time_s, keys, root: Hash32::ZERO };
        batch.require_form()?; // before the tree, so that its size is bounded
        let tree = Tree::new(sensors.iter().map(leaf).collect());
        batch.root = tree.root();
        let signature = maker.sign(&batch.message());
        let certificate = |(index, sensor): (usize, &Did)| Certificate {
            sensor: *sensor,
            batch: batch.clone(),
            path: tree.proof(index).unwrap_or_default(), // each index is a leaf
            signature,
        };
        Ok(sensors.iter().enumerate().map(certificate).collect())
    }

    /// Checks that the maker signed the batch and that the sensor is of it.
    ///
    /// # Errors
    /// `maker.batch`, `maker.path`, `maker.signature`.
    pub fn verify(&self) -> Result<(), Refusal> {
        self.batch.require_form()?;
        if self.path.len() > PATH_MAX || !verify(&self.batch.root, &leaf(&self.sensor), &self.path) {
            let expected = format_args!("the path of {} to the batch's root", self.sensor);
            return Err(Refusal::new("maker.path", expected, "another"));
        }
        let held = self.batch.maker.verify(&self.batch.message(), &self.signature);
        held.map_err(|refusal| Refusal { name: "maker.signature", ..refusal })
    }
}

/// A maker takes a batch, or one key of it, back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recall {
    /// Whose batch.
    pub maker: Did,
    /// Root of the batch.
    pub root: Hash32,
    /// The key; `None` for all of the batch.
    pub sensor: Option<Did>,
    /// What is signed from this second on is not taken.
    pub time_s: u64,
    /// The maker's.
    pub signature: Signature,
}

impl Recall {
    /// Signs.
    #[must_use]
    pub fn sign(maker: &DidSecret, root: Hash32, sensor: Option<Did>, time_s: u64) -> Self {
        let mut recall = Recall { maker: maker.did(), root, sensor, time_s, signature: Signature([0; 64]) };
        recall.signature = maker.sign(&recall.message());
        recall
    }

    fn message(&self) -> Vec<u8> {
        let mut bytes = [&b"proofmesh/recall/v1"[..], &self.maker.to_bytes(), &self.root.0].concat();
        bytes.push(u8::from(self.sensor.is_some()));
        bytes.extend(self.sensor.iter().flat_map(Did::to_bytes));
        bytes.extend_from_slice(&self.time_s.to_be_bytes());
        bytes
    }

    /// Checks that it is the maker's and about this certificate's sensor.
    ///
    /// # Errors
    /// `recall.other`, `recall.signature`.
    pub fn verify(&self, certificate: &Certificate) -> Result<(), Refusal> {
        let batch = (self.maker, self.root) == (certificate.batch.maker, certificate.batch.root);
        if !batch || self.sensor.is_some_and(|sensor| sensor != certificate.sensor) {
            let expected = format_args!("a recall of {} or its batch, by its maker", certificate.sensor);
            return Err(Refusal::new("recall.other", expected, "another"));
        }
        let held = self.maker.verify(&self.message(), &self.signature);
        held.map_err(|refusal| Refusal { name: "recall.signature", ..refusal })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proofmesh_market::DeviceSecret;

    fn key(byte: u8) -> DidSecret {
        if byte.is_multiple_of(2) {
            DidSecret::p256([byte; 32]).expect("below the order")
        } else {
            DeviceSecret::from_bytes([byte; 32]).into()
        }
    }

    #[test]
    fn each_key_of_a_batch_is_certified_and_nothing_else_is() {
        for (maker, count) in [(key(101), 1), (key(102), 2), (key(101), 9)] {
            let sensors: Vec<Did> = (1..=count).map(|byte| key(byte).did()).collect();
            let all = Certificate::sign(&maker, "2026-11", 7, &sensors).expect("a batch");
            assert_eq!(all.len(), usize::from(count));
            for certificate in &all {
                certificate.verify().expect("of the batch");
                let text = serde_json::to_string(certificate).expect("JSON");
                assert_eq!(serde_json::from_str::<Certificate>(&text).expect("JSON"), *certificate);
                let name = |change: &dyn Fn(&mut Certificate)| {
                    let mut lie = certificate.clone();
                    change(&mut lie);
                    lie.verify().expect_err("a lie").name
                };
                assert_eq!(name(&|it| it.sensor = key(99).did()), "maker.path");
                assert_eq!(name(&|it| it.path.push(Hash32::ZERO)), "maker.path");
                assert_eq!(name(&|it| it.path = vec![Hash32::ZERO; 65]), "maker.path");
                assert_eq!(name(&|it| it.batch.root.0[0] ^= 1), "maker.path");
                assert_eq!(name(&|it| it.batch.maker = key(99).did()), "maker.signature");
                assert_eq!(name(&|it| it.batch.time_s += 1), "maker.signature");
                assert_eq!(name(&|it| it.batch.keys += 1), "maker.signature");
                assert_eq!(name(&|it| it.batch.name = "2026-12".to_owned()), "maker.signature");
                assert_eq!(name(&|it| it.batch.name = "x".repeat(65)), "maker.batch");
                assert_eq!(name(&|it| it.batch.keys = u64::MAX), "maker.batch");
                assert_eq!(name(&|it| it.signature.0[40] ^= 1), "maker.signature");
            }
        }
        let refused = |name: &str, sensors: &[Did]| {
            Certificate::sign(&key(101), name, 7, sensors).expect_err("no batch").name
        };
        assert_eq!(refused("b", &[]), "maker.batch");
        assert_eq!(refused("", &[key(1).did()]), "maker.batch");
        assert_eq!(refused("b\n", &[key(1).did()]), "maker.batch");
        assert_eq!(refused("b", &[key(1).did(), key(1).did()]), "maker.batch");
    }

    #[test]
    fn a_recall_is_the_makers_and_of_this_batch_or_key() {
        let maker = key(101);
        let sensors = [key(1).did(), key(2).did()];
        let all = Certificate::sign(&maker, "2026-11", 7, &sensors).expect("a batch");
        let root = all[0].batch.root;
        Recall::sign(&maker, root, None, 9).verify(&all[0]).expect("the batch");
        let one = Recall::sign(&maker, root, Some(sensors[1]), 9);
        one.verify(&all[1]).expect("the key");
        assert_eq!(one.verify(&all[0]).expect_err("the other").name, "recall.other");
        assert_eq!(
            Recall::sign(&key(5), root, None, 9).verify(&all[0]).expect_err("a stranger").name,
            "recall.other"
        );
        let lie = Recall { maker: maker.did(), ..Recall::sign(&key(5), root, None, 9) };
        assert_eq!(lie.verify(&all[0]).expect_err("a stranger").name, "recall.signature");
        let lie = Recall { time_s: 8, ..one.clone() };
        assert_eq!(lie.verify(&all[1]).expect_err("another second").name, "recall.signature");
        let lie = Recall { sensor: None, ..one };
        assert_eq!(lie.verify(&all[0]).expect_err("all of it").name, "recall.signature");
    }
}
