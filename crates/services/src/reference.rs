//! Public side inputs: what the neighbours of a device measured, by device and window, behind one commitment
//! that the job names.
//!
//! The words go into the proven program as public input. The checker takes them from here, never from the
//! prover, so a proof made with other words does not check.
//!
//! Commitment: the root of a tree of the market's convention over the rows in ascending order, so that one row
//! can be opened on chain ([`ReferenceTable::proof`]). Leaf: `H(H(device 32 || window start u64 || words, 4
//! bytes each))`, big-endian.

use proofmesh_market::tree::Tree;
use proofmesh_market::{Device, Hash32, keccak};
use std::collections::BTreeMap;

/// A source of public side inputs.
pub trait References: Sync {
    /// The words of the feed with this commitment for a device and a window's first second, or `None` when
    /// the feed says nothing.
    fn reference(&self, commitment: &Hash32, device: &Device, window_start_s: u64) -> Option<&[i32]>;
}

/// No feed at all: for services and models without a public side input.
#[derive(Clone, Copy, Debug)]
pub struct NoReferences;

impl References for NoReferences {
    fn reference(&self, _: &Hash32, _: &Device, _: u64) -> Option<&[i32]> {
        None
    }
}

/// A whole feed in memory, with its commitment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferenceTable {
    rows: BTreeMap<(Device, u64), Vec<i32>>,
    commitment: Hash32,
}

impl ReferenceTable {
    /// The feed with these rows.
    #[must_use]
    pub fn new(rows: BTreeMap<(Device, u64), Vec<i32>>) -> Self {
        let commitment = tree(&rows).root();
        ReferenceTable { rows, commitment }
    }

    /// The siblings from a row's leaf to the commitment, `None` when the feed has no such row.
    #[must_use]
    pub fn proof(&self, device: &Device, window_start_s: u64) -> Option<Vec<Hash32>> {
        let index = self.rows.keys().position(|key| *key == (*device, window_start_s))?;
        tree(&self.rows).proof(index)
    }

    /// What a job's terms name this feed by.
    #[must_use]
    pub fn commitment(&self) -> Hash32 {
        self.commitment
    }

    /// The rows.
    #[must_use]
    pub fn rows(&self) -> &BTreeMap<(Device, u64), Vec<i32>> {
        &self.rows
    }
}

fn tree(rows: &BTreeMap<(Device, u64), Vec<i32>>) -> Tree {
    let leaf = |((device, start_s), words): (&(Device, u64), &Vec<i32>)| {
        let mut bytes = device.0.to_vec();
        bytes.extend_from_slice(&start_s.to_be_bytes());
        bytes.extend(words.iter().flat_map(|word| word.to_be_bytes()));
        keccak(&keccak(&bytes).0)
    };
    Tree::new(rows.iter().map(leaf).collect())
}

impl References for ReferenceTable {
    fn reference(&self, commitment: &Hash32, device: &Device, window_start_s: u64) -> Option<&[i32]> {
        if *commitment != self.commitment {
            return None;
        }
        self.rows.get(&(*device, window_start_s)).map(Vec::as_slice)
    }
}

/// Several feeds, by commitment.
impl References for BTreeMap<Hash32, ReferenceTable> {
    fn reference(&self, commitment: &Hash32, device: &Device, window_start_s: u64) -> Option<&[i32]> {
        self.get(commitment)?.reference(commitment, device, window_start_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proofmesh_market::tree::verify;

    #[test]
    fn a_row_is_opened_by_its_proof_and_no_other() {
        let rows = (0..5u8).map(|n| ((Device([n; 32]), u64::from(n)), vec![i32::from(n), -1]));
        let table = ReferenceTable::new(rows.collect());
        let leaf = |n: u8, words: [i32; 2]| {
            let mut bytes = vec![n; 32];
            bytes.extend_from_slice(&u64::from(n).to_be_bytes());
            bytes.extend(words.iter().flat_map(|word| word.to_be_bytes()));
            keccak(&keccak(&bytes).0)
        };
        for n in 0..5u8 {
            let proof = table.proof(&Device([n; 32]), u64::from(n)).expect("a row");
            assert!(verify(&table.commitment(), &leaf(n, [i32::from(n), -1]), &proof));
            assert!(!verify(&table.commitment(), &leaf(n, [i32::from(n), 1]), &proof), "other words");
            assert_eq!(table.proof(&Device([n; 32]), 9), None);
        }
    }

    #[test]
    fn another_feed_says_nothing() {
        let device = Device([1; 32]);
        let table = ReferenceTable::new(BTreeMap::from([((device, 0), vec![1, -2])]));
        let other = ReferenceTable::new(BTreeMap::from([((device, 0), vec![1, -3])]));
        assert_ne!(table.commitment(), other.commitment());
        assert_eq!(table.reference(&other.commitment(), &device, 0), None);
        assert_eq!(table.reference(&table.commitment(), &device, 1), None);
        assert_eq!(table.reference(&table.commitment(), &device, 0), Some(&[1, -2][..]));
        let both = BTreeMap::from([(table.commitment(), table.clone()), (Hash32::ZERO, other)]);
        assert_eq!(both.reference(&table.commitment(), &device, 0), Some(&[1, -2][..]));
        assert_eq!(
            both.reference(&Hash32::ZERO, &device, 0),
            None,
            "a table filed under another's commitment"
        );
    }
}
