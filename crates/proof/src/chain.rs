//! The profiles over Poseidon2-BN254: [`Chain`], which hides by itself, and the suite that it shares with [`crate::plain`].

use p3_bn254::Bn254;
use p3_merkle_tree::MerkleTreeHidingMmcs;
use rand::rngs::StdRng;

use crate::field::F;
use crate::profile::{Hiding, Kind, SALT, Suite};
use crate::sponge::{Leaves, Nodes, Sponge};

/// Poseidon2 over BN254's scalar field everywhere: cheap in a circuit over that field.
#[derive(Clone, Copy, Debug)]
pub struct Poseidon;

/// The profile of proofs that a chain's circuit may check: [`Poseidon`], hiding.
pub type Chain = Hiding<Poseidon>;

impl Suite for Poseidon {
    const KIND: Kind = Kind::Chain;
    type Salted = MerkleTreeHidingMmcs<F, Bn254, Leaves, Nodes, StdRng, 2, 1, SALT>;
    type Challenger = Sponge;

    fn salted(salts: StdRng) -> Self::Salted {
        MerkleTreeHidingMmcs::new(Leaves, Nodes, 0, salts)
    }

    fn challenger(binding: &[u8; 32]) -> Self::Challenger {
        Sponge::new(binding)
    }
}
