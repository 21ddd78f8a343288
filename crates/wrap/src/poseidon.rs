//! Poseidon2 over BN254's scalar field, width 3 (Grassi, Khovratovich, Schofnegger, eprint 2023/323): 240 constraints a permutation.
//!
//! Each S-box `x^5` is three constraints: `x^2`, `x^4`, `x^5`; all layers between are linear and free. 8 full rounds of three S-boxes and
//! 56 partial ones: `3 (24 + 56) = 240`. The constants are those of the native permutation.

use ark_bn254::Fr;
use ark_ff::{BigInteger256, PrimeField};
use p3_bn254::Bn254;
use p3_field::PrimeField as _;
use proofmesh_proof::poseidon::{INITIAL, PARTIAL, TERMINAL};

use crate::r1cs::{Builder, Num};

/// A native element of the same field.
pub fn element(value: Bn254) -> Fr {
    let mut limbs = BigInteger256::default();
    limbs.0.iter_mut().zip(value.as_canonical_biguint().iter_u64_digits()).for_each(|(l, d)| *l = d);
    Fr::from_bigint(limbs).expect("canonical")
}

/// Round constants.
#[derive(Clone)]
pub struct Poseidon {
    initial: Vec<[Fr; 3]>,
    partial: Vec<Fr>,
    terminal: Vec<[Fr; 3]>,
}

impl Default for Poseidon {
    fn default() -> Self {
        let full = |rounds: &[[Bn254; 3]]| rounds.iter().map(|r| r.map(element)).collect();
        let partial = PARTIAL.iter().map(|c| element(*c)).collect();
        Self { initial: full(&INITIAL), partial, terminal: full(&TERMINAL) }
    }
}

impl Poseidon {
    /// The state after one permutation.
    pub fn permute(&self, b: &mut Builder, mut state: [Num; 3]) -> [Num; 3] {
        full_layer(&mut state);
        for constants in &self.initial {
            full_round(b, &mut state, constants);
        }
        for constant in &self.partial {
            state[0] = power_of_five(b, &state[0].shifted(*constant));
            // [2 1 1; 1 2 1; 1 1 3].
            let sum = state[0].plus(&state[1]).plus(&state[2]);
            state = [state[0].plus(&sum), state[1].plus(&sum), sum.plus_scaled(&state[2], Fr::from(2u64))];
        }
        for constants in &self.terminal {
            full_round(b, &mut state, constants);
        }
        state
    }
}

/// Constants, three S-boxes, `[2 1 1; 1 2 1; 1 1 2]`.
fn full_round(b: &mut Builder, state: &mut [Num; 3], constants: &[Fr; 3]) {
    for (s, c) in state.iter_mut().zip(constants) {
        *s = power_of_five(b, &s.shifted(*c));
    }
    full_layer(state);
}

fn full_layer(state: &mut [Num; 3]) {
    let sum = state[0].plus(&state[1]).plus(&state[2]);
    state.iter_mut().for_each(|s| *s = s.plus(&sum));
}

fn power_of_five(b: &mut Builder, x: &Num) -> Num {
    let square = b.product(x, x);
    let fourth = b.product(&square, &square);
    b.product(&fourth, x)
}
