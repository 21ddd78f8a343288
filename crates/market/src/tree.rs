//! Merkle trees of the OpenZeppelin convention: leaves hashed twice, pairs sorted, an odd node carried up
//! unchanged.
//!
//! `pair(a, b) = H(min || max)`. A leaf is `H(H(words))`, so that no inner node can be shown as a leaf. A
//! single leaf is its own root; no leaves have root zero. A proof is the list of siblings from the leaf up
//! (none at a level where the node was carried).

use crate::hash::{Hash32, Words, keccak, keccak_pair};
use crate::key::Address;
use crate::money::Usd;

/// The leaf of an account's cumulative balance: `H(H(abi.encode(address, uint256)))`.
#[must_use]
pub fn balance_leaf(account: &Address, cumulative: Usd) -> Hash32 {
    keccak(&Words::new().address(&account.0).uint(cumulative.micro()).keccak().0)
}

/// The leaf of a receipt: `H(H(abi.encode(bytes32)))`.
#[must_use]
pub fn receipt_leaf(digest: &Hash32) -> Hash32 {
    keccak(&Words::new().hash(digest).keccak().0)
}

fn pair(a: &Hash32, b: &Hash32) -> Hash32 {
    if a <= b { keccak_pair(a, b) } else { keccak_pair(b, a) }
}

/// A tree with all its levels, leaves first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    levels: Vec<Vec<Hash32>>,
}

impl Tree {
    /// The tree over leaves in the given order. Memory: 32 bytes times twice the leaves.
    #[must_use]
    pub fn new(leaves: Vec<Hash32>) -> Self {
        let mut levels = vec![leaves];
        while let Some(below) = levels.last().filter(|level| level.len() > 1) {
            let above =
                below.chunks(2).map(|two| if let [a, b] = two { pair(a, b) } else { two[0] }).collect();
            levels.push(above);
        }
        Tree { levels }
    }

    /// The root; zero for no leaves.
    #[must_use]
    pub fn root(&self) -> Hash32 {
        self.levels.last().and_then(|top| top.first()).copied().unwrap_or(Hash32::ZERO)
    }

    /// The siblings from leaf `index` up, or `None` when there is no such leaf.
    #[must_use]
    pub fn proof(&self, index: usize) -> Option<Vec<Hash32>> {
        self.levels[0].get(index)?;
        let mut at = index;
        let mut siblings = Vec::new();
        for level in &self.levels {
            if let Some(sibling) = level.get(at ^ 1) {
                siblings.push(*sibling);
            }
            at /= 2;
        }
        Some(siblings)
    }
}

/// True when `leaf` is under `root` by these siblings. Any proof longer than 64 is false: no tree has so many
/// levels.
#[must_use]
pub fn verify(root: &Hash32, leaf: &Hash32, siblings: &[Hash32]) -> bool {
    siblings.len() <= 64 && siblings.iter().fold(*leaf, |node, sibling| pair(&node, sibling)) == *root
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(count: u8) -> Vec<Hash32> {
        (0..count).map(|i| receipt_leaf(&Hash32([i; 32]))).collect()
    }

    #[test]
    fn lies_do_not_verify() {
        for count in 1..=9u8 {
            let tree = Tree::new(leaves(count));
            for (index, leaf) in leaves(count).iter().enumerate() {
                let proof = tree.proof(index).expect("a leaf");
                assert!(verify(&tree.root(), leaf, &proof), "{index} of {count}");
                assert!(!verify(&tree.root(), &receipt_leaf(&Hash32([99; 32])), &proof), "another leaf");
                if let Some((_, short)) = proof.split_last() {
                    assert!(!verify(&tree.root(), leaf, short), "a proof cut short");
                    let mut wrong = proof.clone();
                    wrong[0].0[0] ^= 1;
                    assert!(!verify(&tree.root(), leaf, &wrong), "a changed sibling");
                }
                let mut long = proof.clone();
                long.push(Hash32::ZERO);
                assert!(!verify(&tree.root(), leaf, &long), "a proof too long");
            }
            assert_eq!(tree.proof(usize::from(count)), None);
        }
    }

    #[test]
    fn an_inner_node_is_not_a_leaf() {
        let tree = Tree::new(leaves(4));
        let inner = pair(&leaves(4)[0], &leaves(4)[1]);
        let sibling = pair(&leaves(4)[2], &leaves(4)[3]);
        assert!(verify(&tree.root(), &inner, &[sibling]), "the pair hash itself cannot tell");
        // ... but a leaf is H(H(digest)): for a digest to give `inner`, Keccak would have to be inverted
        // twice.
        assert!(!verify(&tree.root(), &receipt_leaf(&inner), &[sibling]));
    }

    #[test]
    fn small_trees_are_as_the_spec_says() {
        let l = leaves(3);
        assert_eq!(Tree::new(Vec::new()).root(), Hash32::ZERO);
        assert_eq!(Tree::new(l[..1].to_vec()).root(), l[0]);
        assert_eq!(Tree::new(l.clone()).root(), pair(&pair(&l[0], &l[1]), &l[2]));
        assert_eq!(Tree::new(l.clone()).proof(2), Some(vec![pair(&l[0], &l[1])]));
        assert_eq!(pair(&l[0], &l[1]), pair(&l[1], &l[0]));
    }
}
