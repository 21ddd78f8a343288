//! The Fiat-Shamir transcript: a hash over everything both sides have seen, in order.

use alloc::vec::Vec;
use p3_blake3::Blake3;
use p3_challenger::{
    ByteGrindingChallenger, CanObserve, CanSample, FieldChallenger, HashChallenger, SerializingChallenger32,
};
use p3_field::PrimeCharacteristicRing;
use p3_symmetric::Hash;

use crate::field::{F, K};
use crate::profile::Profile;
use crate::scalar::Scalar;

/// The challenger over BLAKE3.
pub type ByteChallenger = SerializingChallenger32<F, Bytes>;

/// BLAKE3's byte stream. Its proof-of-work search gives the smallest witness, however many threads there are: a seed fixes a proof.
#[derive(Clone)]
pub struct Bytes(HashChallenger<u8, Blake3, 32>);

impl CanObserve<u8> for Bytes {
    fn observe(&mut self, value: u8) {
        self.0.observe(value);
    }

    fn observe_slice(&mut self, values: &[u8]) {
        self.0.observe_slice(values);
    }
}

impl CanSample<u8> for Bytes {
    fn sample(&mut self) -> u8 {
        self.0.sample()
    }
}

impl ByteGrindingChallenger for Bytes {
    fn find_witness<const W: usize, const S: usize>(
        &self,
        num_candidates: u64,
        encode: impl Fn(u64) -> [u8; W] + Sync,
        accepts: impl Fn([u8; S]) -> bool + Sync,
    ) -> Option<u64> {
        (0..num_candidates).find(|candidate| {
            let mut stream = self.0.clone();
            stream.observe_slice(&encode(*candidate));
            accepts(stream.sample_array())
        })
    }
}

/// A [`ByteChallenger`] bound to a 32-byte digest of the whole statement and of the parameters.
pub fn bytes(binding: &[u8; 32]) -> ByteChallenger {
    let mut challenger =
        ByteChallenger::new(Bytes(HashChallenger::new(b"proofmesh-zkml/1".to_vec(), Blake3)));
    challenger.observe(Hash::<F, u8, 32>::from(*binding));
    challenger
}

/// A transcript as the reduction of a proof uses it.
pub trait Channel {
    /// The arithmetic of what is absorbed and drawn.
    type E: Scalar;

    /// Absorbs elements.
    fn absorb(&mut self, values: &[Self::E]);

    /// Draws a challenge.
    fn draw(&mut self) -> Self::E;

    /// Draws a point.
    fn draw_point(&mut self, n: usize) -> Vec<Self::E> {
        (0..n).map(|_| self.draw()).collect()
    }
}

/// A transcript that has absorbed the statement.
#[derive(Clone)]
pub struct Transcript<P: Profile> {
    /// The sponge.
    pub challenger: P::Challenger,
}

impl<P: Profile> Transcript<P> {
    /// A transcript bound to a 32-byte digest of the whole statement and of the parameters.
    pub fn new(binding: &[u8; 32]) -> Self {
        Self { challenger: P::challenger(binding) }
    }

    /// Absorbs a size.
    pub fn size(&mut self, v: usize) {
        self.challenger.observe(F::from_u32(v as u32));
    }
}

impl<P: Profile> Channel for Transcript<P> {
    type E = K;

    fn absorb(&mut self, values: &[K]) {
        self.challenger.observe_algebra_slice(values);
    }

    fn draw(&mut self) -> K {
        self.challenger.sample_algebra_element()
    }
}
