//! The Fiat-Shamir transcript: BLAKE3 over everything both sides have seen, in order.

use alloc::vec::Vec;
use p3_blake3::Blake3;
use p3_challenger::{CanObserve, FieldChallenger, HashChallenger, SerializingChallenger32};
use p3_field::PrimeCharacteristicRing;
use p3_symmetric::Hash;

use crate::field::{F, K};

/// The challenger that the commitment scheme shares with us.
pub type Challenger = SerializingChallenger32<F, HashChallenger<u8, Blake3, 32>>;

/// A transcript that has absorbed the statement.
#[derive(Clone)]
pub struct Transcript {
    /// The sponge.
    pub challenger: Challenger,
}

impl Transcript {
    /// A transcript bound to a 32-byte digest of the whole statement and of the parameters.
    pub fn new(binding: &[u8; 32]) -> Self {
        let mut challenger = Challenger::from_hasher(b"proofmesh-zkml/1".to_vec(), Blake3);
        challenger.observe(Hash::<F, u8, 32>::from(*binding));
        Self { challenger }
    }

    /// Absorbs a size.
    pub fn size(&mut self, v: usize) {
        self.challenger.observe(F::from_u32(v as u32));
    }

    /// Absorbs field elements.
    pub fn absorb(&mut self, values: &[K]) {
        self.challenger.observe_algebra_slice(values);
    }

    /// Draws a challenge.
    pub fn draw(&mut self) -> K {
        self.challenger.sample_algebra_element()
    }

    /// Draws a point.
    pub fn draw_point(&mut self, n: usize) -> Vec<K> {
        (0..n).map(|_| self.draw()).collect()
    }
}
