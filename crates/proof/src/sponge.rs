//! The *chain* suite: transcript, leaf hash and node hash of Poseidon2 over BN254's scalar field, made to be cheap inside a circuit.
//!
//! Base elements enter eight to a lane: `sum of 2^(31 i) x_i`, 248 bits, injective for digits below 2^31. A permutation takes two lanes; the
//! third element of its state is the capacity and starts from a constant that names the use.
//!
//! *Transcript.* Lanes are added to the state; a draw after messages pads the last lane and the last block with zeros and permutes. Two
//! elements can be squeezed before the next permutation. One squeezed element e gives five digits `d_i < p` of `e = sum p^i d_i + p^5 q`,
//! for challenges, *or* its low [`BITS`] bits, for query indices and proof of work: never both. The counts of messages and draws follow from
//! the statement, so no lengths are absorbed.
//!
//! *Bias.* e is uniform below r. A value of the five digits has probability at most `(1 + p^5 / r) / p^5`, `p^5 / r < 2^-98`: every event
//! about a challenge is at most `1 + 2^-98` times as likely as for a uniform one. Any pattern of `BITS` bits has at most
//! `(1 + 2^BITS / r) / 2^BITS`: events about one element's indices are at most `1 + 2^-29` times as likely.

use alloc::vec::Vec;
use p3_bn254::Bn254;
use p3_challenger::{
    CanObserve, CanSample, CanSampleBits, CanSampleUniformBits, FieldChallenger, GrindingChallenger,
    ResamplingError,
};
use p3_field::{PrimeCharacteristicRing, PrimeField, PrimeField32};
use p3_symmetric::{CryptographicHasher, Hash, MerkleCap, PseudoCompressionFunction};

use crate::field::F;
use crate::poseidon::permute;

/// Base elements in a lane.
pub const LANE: usize = 8;
/// Bits of a digit in a lane.
pub const DIGIT_BITS: usize = 31;
/// Lanes of a block.
pub const RATE: usize = 2;
/// Bits that one squeezed element gives.
pub const BITS: usize = 224;
/// Base-p digits that one squeezed element gives.
pub const DIGITS: usize = 5;
/// A digest: a root, a node, a leaf.
pub type Digest = [Bn254; 1];

/// What the capacity starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// A transcript.
    Transcript,
    /// A leaf.
    Leaf,
    /// An inner node.
    Node,
}

impl Use {
    /// The constant: ASCII, read little-endian.
    pub fn capacity(self) -> Bn254 {
        let name: &[u8; 24] = match self {
            Self::Transcript => b"proofmesh transcript 1  ",
            Self::Leaf => b"proofmesh leaf 1        ",
            Self::Node => b"proofmesh node 1        ",
        };
        let mut limbs = [0; 4];
        limbs.iter_mut().zip(name.as_chunks::<8>().0).for_each(|(l, b)| *l = u64::from_le_bytes(*b));
        Bn254::new(limbs)
    }
}

/// Up to [`LANE`] base elements as one element.
///
/// # Panics
/// For more.
pub fn lane(values: &[F]) -> Bn254 {
    assert!(values.len() <= LANE, "a lane holds eight elements");
    let mut limbs = [0u64; 4];
    for (i, value) in values.iter().enumerate() {
        let (word, shift) = (i * DIGIT_BITS / 64, i * DIGIT_BITS % 64);
        let shifted = u128::from(value.as_canonical_u32()) << shift;
        limbs[word] |= shifted as u64;
        if shift + DIGIT_BITS > 64 {
            limbs[word + 1] |= (shifted >> 64) as u64;
        }
    }
    Bn254::new(limbs)
}

/// The 128-bit halves of 32 bytes read big-endian, the high one first.
pub fn halves(bytes: &[u8; 32]) -> [Bn254; 2] {
    let word = |i: usize| u64::from_be_bytes(bytes[8 * i..8 * i + 8].try_into().expect("eight bytes"));
    [Bn254::new([word(1), word(0), 0, 0]), Bn254::new([word(3), word(2), 0, 0])]
}

/// Canonical limbs, the lowest first.
fn limbs(value: Bn254) -> [u64; 4] {
    let mut out = [0; 4];
    out.iter_mut().zip(value.as_canonical_biguint().iter_u64_digits()).for_each(|(o, l)| *o = l);
    out
}

/// Divides by p and gives the remainder.
fn divide(value: &mut [u64; 4]) -> u32 {
    let p = u128::from(F::ORDER_U32);
    let rest = value.iter_mut().rev().fold(0u128, |rest, word| {
        let part = rest << 64 | u128::from(*word);
        *word = (part / p) as u64;
        part % p
    });
    rest as u32
}

/// A transcript.
#[derive(Clone, Debug)]
pub struct Sponge {
    state: [Bn254; 3],
    /// Base elements of a lane that is not full.
    open: Vec<F>,
    /// Lanes of a block that is not full.
    block: Vec<Bn254>,
    /// Squeezed elements that nothing was drawn from.
    squeezed: Vec<Bn254>,
    /// Digits left of one that digits were drawn from, the next one last.
    digits: Vec<F>,
    /// What is left of one that bits were drawn from, and how many bits of it may be.
    pool: ([u64; 4], usize),
}

impl Sponge {
    /// A transcript that has absorbed 32 bytes, as two lanes.
    pub fn new(binding: &[u8; 32]) -> Self {
        let state = [Bn254::ZERO, Bn254::ZERO, Use::Transcript.capacity()];
        let (open, block, squeezed, digits) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut sponge = Self { state, open, block, squeezed, digits, pool: ([0; 4], 0) };
        halves(binding).into_iter().for_each(|half| sponge.absorb(half));
        sponge
    }

    fn forget(&mut self) {
        self.squeezed.clear();
        self.digits.clear();
        self.pool = ([0; 4], 0);
    }

    /// Absorbs a whole lane.
    fn absorb(&mut self, lane: Bn254) {
        self.forget();
        self.block.push(lane);
        if self.block.len() == RATE {
            self.run();
        }
    }

    /// Closes a lane that is not full.
    fn close(&mut self) {
        if !self.open.is_empty() {
            let closed = lane(&self.open);
            self.open.clear();
            self.absorb(closed);
        }
    }

    fn run(&mut self) {
        self.state.iter_mut().zip(self.block.drain(..)).for_each(|(s, lane)| *s += lane);
        self.state = permute(self.state);
        self.squeezed = alloc::vec![self.state[1], self.state[0]];
    }

    /// The next squeezed element.
    fn squeeze(&mut self) -> Bn254 {
        self.close();
        if !self.block.is_empty() || self.squeezed.is_empty() {
            self.run();
        }
        self.squeezed.pop().expect("two were squeezed")
    }

    /// The next bits, from the lowest of a squeezed element upwards; the rest of one with too few is left.
    fn bits(&mut self, count: usize) -> usize {
        assert!(count < 64, "an index has fewer bits than a word");
        if self.pool.1 < count {
            self.pool = (limbs(self.squeeze()), BITS);
        }
        let (words, left) = &mut self.pool;
        *left -= count;
        shift(words, count) as usize
    }
}

/// Takes the lowest bits off a number, fewer than 64.
fn shift(words: &mut [u64; 4], count: usize) -> u64 {
    let below = |word: u64| word & ((1 << count) - 1);
    words.iter_mut().rev().fold(0, |carry, word| {
        let low = below(*word);
        *word = *word >> count | carry << 1 << (63 - count);
        low
    })
}

impl CanObserve<F> for Sponge {
    fn observe(&mut self, value: F) {
        self.forget();
        self.open.push(value);
        if self.open.len() == LANE {
            self.close();
        }
    }
}

impl CanObserve<Hash<F, Bn254, 1>> for Sponge {
    fn observe(&mut self, root: Hash<F, Bn254, 1>) {
        self.close();
        let [root]: Digest = root.into();
        self.absorb(root);
    }
}

impl CanObserve<MerkleCap<F, Digest>> for Sponge {
    fn observe(&mut self, cap: MerkleCap<F, Digest>) {
        cap.roots().iter().for_each(|root| self.observe(Hash::from(*root)));
    }
}

impl CanSample<F> for Sponge {
    fn sample(&mut self) -> F {
        if self.digits.is_empty() {
            let mut element = limbs(self.squeeze());
            self.digits = (0..DIGITS).map(|_| F::from_u32(divide(&mut element))).collect();
            self.digits.reverse();
        }
        self.digits.pop().expect("five digits")
    }
}

impl CanSampleBits<usize> for Sponge {
    fn sample_bits(&mut self, bits: usize) -> usize {
        self.bits(bits)
    }
}

impl CanSampleUniformBits<F> for Sponge {
    fn sample_uniform_bits<const RESAMPLE: bool>(&mut self, bits: usize) -> Result<usize, ResamplingError> {
        Ok(self.bits(bits))
    }
}

impl FieldChallenger<F> for Sponge {}

impl GrindingChallenger for Sponge {
    type Witness = F;

    fn grind(&mut self, bits: usize) -> F {
        // The smallest witness: a seed fixes a proof.
        let found = (0..F::ORDER_U32).map(F::from_u32).find(|w| self.clone().check_witness(bits, *w));
        let witness = found.expect("one in 2^bits is a witness");
        assert!(self.check_witness(bits, witness), "the same transcript");
        witness
    }
}

/// Hash of a leaf: its elements in lanes, absorbed by blocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Leaves;

impl CryptographicHasher<F, Digest> for Leaves {
    fn hash_iter<I: IntoIterator<Item = F>>(&self, input: I) -> Digest {
        let values: Vec<F> = input.into_iter().collect();
        let start = [Bn254::ZERO, Bn254::ZERO, Use::Leaf.capacity()];
        let state = values.chunks(RATE * LANE).fold(start, |mut state, block| {
            state.iter_mut().zip(block.chunks(LANE)).for_each(|(s, values)| *s += lane(values));
            permute(state)
        });
        [state[0]]
    }
}

/// Hash of two nodes: one permutation, truncated, the left node fed forward.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nodes;

impl PseudoCompressionFunction<Digest, 2> for Nodes {
    fn compress(&self, [[left], [right]]: [Digest; 2]) -> Digest {
        [permute([left, right, Use::Node.capacity()])[0] + left]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::K;
    use p3_field::BasedVectorSpace;
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    #[test]
    fn lanes_are_base_2_31() {
        let top = F::from_u32(F::ORDER_U32 - 1);
        let values: Vec<F> = (0..8).map(|i| if i % 2 == 0 { top } else { F::from_u32(i) }).collect();
        let base = Bn254::from_u64(1 << 31);
        let horner = |values: &[F]| {
            values.iter().rev().fold(Bn254::ZERO, |acc, v| acc * base + Bn254::from_u32(v.as_canonical_u32()))
        };
        for n in 0..=8 {
            assert_eq!(lane(&values[..n]), horner(&values[..n]), "{n}");
        }
        let bytes: [u8; 32] = core::array::from_fn(|i| i as u8 + 1);
        let sum = halves(&bytes)[0] * Bn254::from_u64(1 << 32).exp_u64(4) + halves(&bytes)[1];
        assert_eq!(limbs(sum)[0], 0x191a_1b1c_1d1e_1f20);
    }

    #[test]
    fn draws_are_digits_and_bits_of_squeezed_elements() {
        let mut sponge = Sponge::new(&[3; 32]);
        let [high, low] = halves(&[3; 32]);
        let state = permute([high, low, Use::Transcript.capacity()]);
        let digits = |e: Bn254| {
            let mut value = limbs(e);
            K::from_basis_coefficients_fn(|_| F::from_u32(divide(&mut value)))
        };
        let [first, second]: [K; 2] = core::array::from_fn(|_| sponge.sample_algebra_element());
        assert_eq!((first, second), (digits(state[0]), digits(state[1])));
        let state = permute(state);
        let mut bits = limbs(state[0]);
        for i in 0..(BITS / 14) {
            let drawn = sponge.sample_bits(14);
            assert_eq!(drawn as u64, bits[0] & 0x3fff, "{i}");
            bits[0] = bits[0] >> 14 | bits[1] << 50;
            bits[1] = bits[1] >> 14 | bits[2] << 50;
            bits[2] = bits[2] >> 14 | bits[3] << 50;
            bits[3] >>= 14;
        }
        assert_eq!(sponge.sample_bits(20) as u64, limbs(state[1])[0] & 0xf_ffff);
        // Messages: twelve base elements and a root are two lanes, the second padded, and a third lane.
        let values: Vec<F> = (0..12).map(F::from_u32).collect();
        sponge.observe_slice(&values);
        sponge.observe(Hash::<F, Bn254, 1>::from([Bn254::TWO]));
        let next: K = sponge.sample_algebra_element();
        let state = permute([state[0] + lane(&values[..8]), state[1] + lane(&values[8..]), state[2]]);
        let state = permute([state[0] + Bn254::TWO, state[1], state[2]]);
        assert_eq!(next, digits(state[0]));
    }

    #[test]
    fn every_message_moves_the_challenges() {
        let mut rng = StdRng::seed_from_u64(4);
        let values: Vec<F> = (0..40).map(|_| rng.random()).collect();
        let draw = |values: &[F]| {
            let mut sponge = Sponge::new(&[1; 32]);
            sponge.observe_slice(values);
            (CanSample::<F>::sample(&mut sponge), sponge.sample_bits(30))
        };
        let honest = draw(&values);
        for i in 0..values.len() {
            let mut lie = values.clone();
            lie[i] += F::ONE;
            let (digit, bits) = draw(&lie);
            assert!(digit != honest.0 && bits != honest.1, "{i}");
        }
    }

    #[test]
    fn work_is_found_and_checked() {
        let mut prover = Sponge::new(&[1; 32]);
        let mut verifier = prover.clone();
        let witness = prover.grind(6);
        assert!(verifier.clone().check_witness(6, witness));
        let lies = (0..200).map(F::from_u32).filter(|w| verifier.clone().check_witness(6, *w)).count();
        assert!(lies < 20, "one in 64 passes");
        assert!(verifier.check_witness(6, witness));
        assert_eq!(prover.sample_bits(10), verifier.sample_bits(10));
    }

    #[test]
    fn leaves_and_nodes_differ_in_every_part() {
        let values: Vec<F> = (0..37).map(F::from_u32).collect();
        let [leaf] = Leaves.hash_iter(values.iter().copied());
        for i in 0..values.len() {
            let mut lie = values.clone();
            lie[i] += F::ONE;
            assert_ne!([leaf], Leaves.hash_iter(lie), "{i}");
        }
        let (l, r) = ([Bn254::from_u64(5)], [Bn254::from_u64(6)]);
        assert_ne!(Nodes.compress([l, r]), Nodes.compress([r, l]));
        assert_eq!(Nodes.compress([l, r])[0] - l[0], permute([l[0], r[0], Use::Node.capacity()])[0]);
    }
}
