//! Public side inputs: what the neighbours of a device measured, by device and window, behind one commitment
//! that the job names.
//!
//! The words go into the proven program as public input. The checker takes them from here, never from the
//! prover, so a proof made with other words does not check.
//!
//! Commitment: the root of a tree of the market's convention over the rows in ascending order, so that one row
//! can be opened on chain ([`ReferenceTable::proof`]). Leaf: `H(H(device 32 || window start u64 || row))`,
//! big-endian; the row's words stand as narrow as the model's public input allows ([`packed`]).

use proofmesh_market::tree::Tree;
use proofmesh_market::{Blame, Device, Hash32, Reason, keccak};
use std::collections::BTreeMap;

/// The words of a row, and how wide they stand in its leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    /// The words.
    pub words: &'a [i32],
    /// Bytes of each: 1, 2 or 4.
    pub word_bytes: u8,
}

/// Public words as contracts hash them: two's complement, big-endian, 1, 2 or 4 bytes each, and zeros up to whole groups of four bytes.
/// `None` for another width, or a word that does not fit.
#[must_use]
pub fn packed(row: Row<'_>) -> Option<Vec<u8>> {
    let width = usize::from(row.word_bytes);
    if ![1, 2, 4].contains(&width) {
        return None;
    }
    let mut bytes = Vec::with_capacity((row.words.len() * width).next_multiple_of(4));
    for word in row.words {
        let spare = 32 - 8 * width as u32;
        if word << spare >> spare != *word {
            return None;
        }
        bytes.extend_from_slice(&word.to_be_bytes()[4 - width..]);
    }
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    Some(bytes)
}

/// A source of public side inputs.
pub trait References: Sync {
    /// The row of the feed with this commitment for a device and a window's first second, or `None` when
    /// the feed says nothing.
    fn reference(&self, commitment: &Hash32, device: &Device, window_start_s: u64) -> Option<Row<'_>>;
}

/// No feed at all: for services and models without a public side input.
#[derive(Clone, Copy, Debug)]
pub struct NoReferences;

impl References for NoReferences {
    fn reference(&self, _: &Hash32, _: &Device, _: u64) -> Option<Row<'_>> {
        None
    }
}

/// A whole feed in memory, with its commitment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferenceTable {
    word_bytes: u8,
    rows: BTreeMap<(Device, u64), Vec<i32>>,
    commitment: Hash32,
}

impl ReferenceTable {
    /// The feed with these rows, `word_bytes` a word: the width of the public input of the model that it is for.
    ///
    /// # Errors
    /// `inference.reference-width` for a width other than 1, 2 and 4, or a word that does not fit.
    pub fn new(word_bytes: u8, rows: BTreeMap<(Device, u64), Vec<i32>>) -> Result<Self, Reason> {
        let commitment = tree(word_bytes, &rows)?.root();
        Ok(ReferenceTable { word_bytes, rows, commitment })
    }

    /// Bytes of a word in a leaf.
    #[must_use]
    pub fn word_bytes(&self) -> u8 {
        self.word_bytes
    }

    /// The siblings from a row's leaf to the commitment, `None` when the feed has no such row.
    #[must_use]
    pub fn proof(&self, device: &Device, window_start_s: u64) -> Option<Vec<Hash32>> {
        let index = self.rows.keys().position(|key| *key == (*device, window_start_s))?;
        tree(self.word_bytes, &self.rows).ok()?.proof(index)
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

/// The leaf of one row as [`packed`] gives it, for who holds it against the commitment without the others.
#[must_use]
pub fn row_leaf(device: &Device, window_start_s: u64, row: &[u8]) -> Hash32 {
    keccak(&keccak(&[&device.0[..], &window_start_s.to_be_bytes(), row].concat()).0)
}

fn tree(word_bytes: u8, rows: &BTreeMap<(Device, u64), Vec<i32>>) -> Result<Tree, Reason> {
    let leaf = |((device, start_s), words): (&(Device, u64), &Vec<i32>)| {
        let row = packed(Row { words, word_bytes }).ok_or_else(|| {
            let expected = "words of 1, 2 or 4 bytes that fit them";
            Reason::new("inference.reference-width", Blame::Nobody, expected, word_bytes)
        })?;
        Ok(row_leaf(device, *start_s, &row))
    };
    Ok(Tree::new(rows.iter().map(leaf).collect::<Result<_, Reason>>()?))
}

impl References for ReferenceTable {
    fn reference(&self, commitment: &Hash32, device: &Device, window_start_s: u64) -> Option<Row<'_>> {
        if *commitment != self.commitment {
            return None;
        }
        let words = self.rows.get(&(*device, window_start_s))?;
        Some(Row { words, word_bytes: self.word_bytes })
    }
}

/// Several feeds, by commitment.
impl References for BTreeMap<Hash32, ReferenceTable> {
    fn reference(&self, commitment: &Hash32, device: &Device, window_start_s: u64) -> Option<Row<'_>> {
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
        let table = ReferenceTable::new(4, rows.collect()).expect("words of four bytes");
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
    fn words_stand_as_narrow_as_asked_and_never_cut() {
        let row = |word_bytes, words: &[i32]| packed(Row { words, word_bytes });
        assert_eq!(row(1, &[1, -1, -128, 127, -2]).expect("bytes"), [1, 255, 128, 127, 254, 0, 0, 0]);
        assert_eq!(row(2, &[-2, 32_767, -32_768]).expect("pairs"), [255, 254, 127, 255, 128, 0, 0, 0]);
        assert_eq!(row(4, &[i32::MIN]).expect("whole"), [128, 0, 0, 0]);
        assert_eq!(row(4, &[]), Some(vec![]));
        for (width, word) in [(1, 128), (1, -129), (2, 32_768), (2, -32_769), (0, 0), (3, 0), (8, 0)] {
            assert_eq!(row(width, &[word]), None, "{word} in {width} bytes");
        }
        let rows = BTreeMap::from([((Device([1; 32]), 0), vec![1, -2])]);
        let [narrow, wide] = [1, 2].map(|width| ReferenceTable::new(width, rows.clone()).expect("fits"));
        assert_ne!(narrow.commitment(), wide.commitment(), "the commitment fixes the width of a row");
        let rows = BTreeMap::from([((Device([1; 32]), 0), vec![200])]);
        assert_eq!(ReferenceTable::new(1, rows).expect_err("too wide").name(), "inference.reference-width");
    }

    #[test]
    fn another_feed_says_nothing() {
        let device = Device([1; 32]);
        let of = |words| ReferenceTable::new(2, BTreeMap::from([((device, 0), words)])).expect("fits");
        let (table, other) = (of(vec![1, -2]), of(vec![1, -3]));
        let row = Some(Row { words: &[1, -2], word_bytes: 2 });
        assert_ne!(table.commitment(), other.commitment());
        assert_eq!(table.reference(&other.commitment(), &device, 0), None);
        assert_eq!(table.reference(&table.commitment(), &device, 1), None);
        assert_eq!(table.reference(&table.commitment(), &device, 0), row);
        let both = BTreeMap::from([(table.commitment(), table.clone()), (Hash32::ZERO, other)]);
        assert_eq!(both.reference(&table.commitment(), &device, 0), row);
        assert_eq!(
            both.reference(&Hash32::ZERO, &device, 0),
            None,
            "a table filed under another's commitment"
        );
    }
}
