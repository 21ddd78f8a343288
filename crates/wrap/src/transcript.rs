//! The transcript of `proofmesh_proof::sponge`, its leaf and its node hash, on wires.

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field, PrimeField};
use p3_field::PrimeField32;
use proofmesh_proof::field::{F, K};
use proofmesh_proof::sponge::{BITS, DIGIT_BITS, LANE, RATE, Use};
use proofmesh_proof::transcript::Channel;

use crate::bits::{number, power_of_two, range, split_base_p, split_element};
use crate::circuit::{Circuit, coefficients};
use crate::poseidon::{Poseidon, element};
use crate::r1cs::{Builder, Num};
use crate::scalar::Wire;

/// Coefficients of an element of K.
const DEGREE: usize = 5;

/// Up to [`LANE`] digits of 31 bits as one element.
pub fn lane(digits: &[Num]) -> Num {
    assert!(digits.len() <= LANE, "a lane holds eight digits");
    Num::sum(digits.iter().enumerate().map(|(i, d)| (power_of_two(DIGIT_BITS * i), d)))
}

/// Hash of a leaf.
pub fn leaf(b: &mut Builder, poseidon: &Poseidon, digits: &[Num]) -> Num {
    let start = [Num::default(), Num::default(), Num::constant(element(Use::Leaf.capacity()))];
    let [digest, ..] = digits.chunks(RATE * LANE).fold(start, |mut state, block| {
        state.iter_mut().zip(block.chunks(LANE)).for_each(|(s, digits)| *s = s.plus(&lane(digits)));
        poseidon.permute(b, state)
    });
    digest
}

/// Hash of two nodes.
pub fn node(b: &mut Builder, poseidon: &Poseidon, left: &Num, right: &Num) -> Num {
    let capacity = Num::constant(element(Use::Node.capacity()));
    let [first, ..] = poseidon.permute(b, [left.clone(), right.clone(), capacity]);
    first.plus(left)
}

/// The transcript: `proofmesh_proof::sponge::Sponge`, step by step.
pub struct Transcript<'c> {
    /// What it is part of.
    pub circuit: &'c Circuit,
    /// The permutation.
    pub poseidon: &'c Poseidon,
    state: [Num; 3],
    open: Vec<Num>,
    block: Vec<Num>,
    squeezed: Vec<Num>,
    /// Bits left of an element that bits were drawn from, the next one first.
    pool: Vec<Num>,
}

impl<'c> Transcript<'c> {
    /// A transcript that has absorbed a number below `2^253` as 32 bytes, by its 128-bit halves.
    pub fn new(circuit: &'c Circuit, poseidon: &'c Poseidon, binding: &Num) -> Self {
        let before = circuit.builder().enter("transcript");
        let state = [Num::default(), Num::default(), Num::constant(element(Use::Transcript.capacity()))];
        let halves = {
            let b = &mut *circuit.builder();
            let mut value = binding.value.into_bigint();
            value.0[2..].fill(0);
            let low = b.witness(Fr::from_bigint(value).expect("128 bits"));
            range(b, &low, 128);
            let high = binding.minus(&low).scaled(power_of_two(128).inverse().expect("not 0"));
            range(b, &high, 125);
            [high, low]
        };
        let (open, block, squeezed, pool) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut transcript = Self { circuit, poseidon, state, open, block, squeezed, pool };
        halves.into_iter().for_each(|half| transcript.absorb_lane(half));
        circuit.builder().enter(before);
        transcript
    }

    fn forget(&mut self) {
        self.squeezed.clear();
        self.pool.clear();
    }

    /// Absorbs a whole lane: a root.
    pub fn absorb_lane(&mut self, lane: Num) {
        self.forget();
        self.block.push(lane);
        if self.block.len() == RATE {
            self.run();
        }
    }

    /// Absorbs a root between messages of digits.
    pub fn absorb_root(&mut self, root: Num) {
        self.close();
        self.absorb_lane(root);
    }

    fn close(&mut self) {
        if !self.open.is_empty() {
            let closed = lane(&self.open);
            self.open.clear();
            self.absorb_lane(closed);
        }
    }

    /// Absorbs digits of 31 bits.
    pub fn absorb_digits(&mut self, digits: impl IntoIterator<Item = Num>) {
        for digit in digits {
            self.forget();
            self.open.push(digit);
            if self.open.len() == LANE {
                self.close();
            }
        }
    }

    /// Absorbs constants.
    pub fn absorb_known(&mut self, values: &[F]) {
        self.absorb_digits(values.iter().map(|v| Num::constant(Fr::from(v.as_canonical_u32()))));
    }

    fn run(&mut self) {
        self.state.iter_mut().zip(self.block.drain(..)).for_each(|(s, lane)| *s = s.plus(&lane));
        let b = &mut *self.circuit.builder();
        let before = b.enter("transcript");
        self.state = self.poseidon.permute(b, self.state.clone());
        b.enter(before);
        self.squeezed = vec![self.state[1].clone(), self.state[0].clone()];
    }

    fn squeeze(&mut self) -> Num {
        self.close();
        if !self.block.is_empty() || self.squeezed.is_empty() {
            self.run();
        }
        self.squeezed.pop().expect("two were squeezed")
    }

    /// The next bits of a drawn element, the lowest first.
    pub fn draw_bits(&mut self, count: usize) -> Vec<Num> {
        if self.pool.len() < count {
            let element = self.squeeze();
            let b = &mut *self.circuit.builder();
            let before = b.enter("challenges");
            self.pool = split_element(b, &element);
            b.enter(before);
            self.pool.truncate(BITS);
        }
        self.pool.drain(..count).collect()
    }

    /// Demands that work was done: after the witness, so many bits are 0.
    pub fn check_work(&mut self, bits: usize, witness: F) {
        if bits == 0 {
            return;
        }
        let digits = self.circuit.digits(self.circuit.base(witness), 1);
        self.absorb_digits(digits);
        let drawn = self.draw_bits(bits);
        self.circuit.builder().equal(&number(&drawn), &Num::constant(Fr::ZERO));
    }
}

impl<'c> Channel for Transcript<'c> {
    type E = Wire<'c>;

    fn absorb(&mut self, values: &[Wire<'c>]) {
        for value in values {
            let digits = match *value {
                Wire::Known(value) => coefficients(value).map(|c| Num::constant(Fr::from(c))).to_vec(),
                Wire::At(circuit, id) => circuit.digits(id, DEGREE),
            };
            self.absorb_digits(digits);
        }
    }

    fn draw(&mut self) -> Wire<'c> {
        let element = self.squeeze();
        let digits = {
            let b = &mut *self.circuit.builder();
            let before = b.enter("challenges");
            let digits = split_base_p(b, &element);
            b.enter(before);
            digits
        };
        Wire::At(self.circuit, self.circuit.of_digits(digits.to_vec()))
    }
}

/// A message of the proof as a wire.
pub fn message(circuit: &Circuit, value: K) -> Wire<'_> {
    Wire::At(circuit, circuit.element(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use p3_bn254::Bn254;
    use p3_challenger::{CanObserve, CanSampleBits, FieldChallenger, GrindingChallenger};
    use p3_field::PrimeCharacteristicRing;
    use p3_symmetric::{CryptographicHasher, Hash, PseudoCompressionFunction};
    use proofmesh_proof::sponge::{Leaves, Nodes, Sponge};
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    #[test]
    fn permutations_hash_as_natively_in_240_constraints() {
        let poseidon = Poseidon::default();
        let mut rng = StdRng::seed_from_u64(5);
        let values: Vec<F> = (0..37).map(|i| if i == 3 { F::NEG_ONE } else { rng.random() }).collect();
        let mut b = Builder::new(Fr::ZERO);
        let digits: Vec<Num> = values.iter().map(|v| b.witness(Fr::from(v.as_canonical_u32()))).collect();
        let digest = leaf(&mut b, &poseidon, &digits);
        let [expected] = Leaves.hash_iter(values.clone());
        assert_eq!(digest.value, element(expected));
        let (left, right) = (Bn254::from_u64(17), -Bn254::ONE);
        let (l, r) = (b.witness(element(left)), b.witness(element(right)));
        let before = b.constraints();
        let parent = node(&mut b, &poseidon, &l, &r);
        assert_eq!(b.constraints() - before, 240);
        assert_eq!(parent.value, element(Nodes.compress([[left], [right]])[0]));
        assert_eq!(b.broken(), None);
        for var in (2..b.assignment().len() as u32).step_by(31) {
            let value = b.assignment()[var as usize];
            b.assign(var, value + Fr::ONE);
            assert!(b.broken().is_some(), "variable {var}");
            b.assign(var, value);
        }
    }

    #[test]
    fn the_transcript_is_the_native_one() {
        let mut rng = StdRng::seed_from_u64(6);
        let binding: [u8; 32] = core::array::from_fn(|i| if i == 0 { 0x1f } else { i as u8 * 7 });
        let mut native = Sponge::new(&binding);
        let circuit = Circuit::new(Fr::from_be_bytes_mod_order(&binding));
        let poseidon = Poseidon::default();
        let public = circuit.builder().public();
        let mut transcript = Transcript::new(&circuit, &poseidon, &public);
        for round in 0..6usize {
            let messages: Vec<K> = (0..round * 2).map(|_| rng.random()).collect();
            native.observe_algebra_slice(&messages);
            let wires: Vec<Wire<'_>> = messages.iter().map(|m| message(&circuit, *m)).collect();
            transcript.absorb(&wires);
            if round % 2 == 1 {
                let root = Bn254::from_u64(round as u64 + 99);
                native.observe(Hash::<F, Bn254, 1>::from([root]));
                let root = circuit.builder().witness(element(root));
                transcript.absorb_root(root);
                transcript.absorb_known(&[F::TWO; 3]);
                native.observe_slice(&[F::TWO; 3]);
            }
            for _ in 0..round {
                assert_eq!(transcript.draw().value(), native.sample_algebra_element::<K>());
            }
            if round == 4 {
                let witness = native.grind(3);
                transcript.check_work(3, witness);
                for _ in 0..30 {
                    let drawn = number(&transcript.draw_bits(15)).value;
                    assert_eq!(drawn, Fr::from(native.sample_bits(15) as u64));
                }
            }
        }
        assert_eq!(circuit.into_builder().broken(), None);
    }
}
