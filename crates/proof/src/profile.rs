//! The hash profile: every type of the commitment that depends on the hash, in one place. Today one profile, *device* (BLAKE3).

use p3_blake3::Blake3;
use p3_dft::Radix2DFTSmallBatch;
use p3_merkle_tree::MerkleTreeHidingMmcs;
use p3_symmetric::{CompressionFunctionFromHasher, SerializingHasher};
use p3_whir::pcs::zk::{HidingWhirPcs, ZkWhirConfig};
use rand::rngs::StdRng;

use crate::field::{F, K};
use crate::transcript::Challenger;

/// Base elements of salt in a leaf: 155 bits.
pub const SALT: usize = 5;

/// Leaf hash.
pub type LeafHash = SerializingHasher<Blake3>;
/// Node hash.
pub type NodeHash = CompressionFunctionFromHasher<Blake3, 2, 32>;
/// Salted Merkle trees.
pub type Mmcs = MerkleTreeHidingMmcs<F, u8, LeafHash, NodeHash, StdRng, 2, 32, SALT>;
/// The commitment scheme.
pub type Pcs = HidingWhirPcs<K, F, Radix2DFTSmallBatch<F>, Mmcs, Challenger, StdRng>;
/// A commitment to a vector.
pub type Commitment = <Mmcs as p3_commit::Mmcs<F>>::Commitment;
/// An opening proof.
pub type PcsProof = p3_whir::pcs::zk::ZkWhirProof<F, K, Mmcs>;
/// Derived parameters.
pub type Config = ZkWhirConfig<K, F, Challenger>;
