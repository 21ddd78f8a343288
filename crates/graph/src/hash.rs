//! The commitment to inputs and to private weights: a sponge of Poseidon2 over KoalaBear, width 16, rate 8, cubic S-boxes (eprint 2023/323).
//!
//! The capacity starts as `(length, bits, 1, offset, 0, ..)`; the first block is an 8-element salt; then come the values, each offset to be
//! non-negative, packed several to an element so that packing is injective (3 up to 10 bits, 2 up to 15, else 1). The digest is the first
//! half of the last state. Capacity of 248 bits: 124-bit collision resistance; the salt hides low-entropy data.
//!
//! For proofs the permutation is 148 S-box outputs, each the cube of a value affine in the words absorbed and in earlier outputs.

use alloc::vec::Vec;
use p3_field::{PrimeCharacteristicRing, PrimeField32};
use p3_koala_bear::{
    KOALABEAR_POSEIDON2_RC_16_EXTERNAL_FINAL as RC_LAST,
    KOALABEAR_POSEIDON2_RC_16_EXTERNAL_INITIAL as RC_FIRST, KOALABEAR_POSEIDON2_RC_16_INTERNAL as RC_INNER,
    Poseidon2KoalaBear, default_koalabear_poseidon2_16,
};
use p3_symmetric::Permutation;
use proofmesh_proof::field::{F, int};
use proofmesh_proof::reject::Reject;

use crate::value::Interval;

/// Width of the state.
pub const WIDTH: usize = 16;
/// Elements absorbed by one permutation.
pub const RATE: usize = 8;
/// Full rounds.
pub const FULL_ROUNDS: usize = 8;
/// Partial rounds.
pub const PARTIAL_ROUNDS: usize = 20;

/// A digest: eight field elements, little-endian, canonical.
pub type Digest = [u8; 32];
/// A salt: eight field elements.
pub type Salt = [F; RATE];

/// How a list of small integers is absorbed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packing {
    /// Number of values.
    pub len: usize,
    /// Bits a value takes after its offset.
    pub bits: usize,
    /// Added to make values non-negative; bound, so that one digest cannot mean two lists.
    pub offset: i64,
}

impl Packing {
    /// How `len` values of an interval are absorbed.
    pub fn of(len: usize, interval: Interval) -> Self {
        let span = i64::from(interval.hi) - i64::from(interval.lo) + 1;
        let bits = proofmesh_proof::field::log2_ceil(span as usize).max(1);
        Self { len, bits, offset: -i64::from(interval.lo) }
    }

    /// Values an element.
    pub fn per_element(&self) -> usize {
        match self.bits {
            0..=10 => 3,
            11..=15 => 2,
            _ => 1,
        }
    }

    /// Values a permutation.
    pub fn per_block(&self) -> usize {
        RATE * self.per_element()
    }

    /// Permutations, that of the salt included.
    pub fn permutations(&self) -> usize {
        1 + self.len.div_ceil(self.per_block())
    }

    /// Where value `i` goes: block of values, element, place inside the element.
    pub fn position(&self, i: usize) -> (usize, usize, usize) {
        let (block, rest) = (i / self.per_block(), i % self.per_block());
        (block, rest / self.per_element(), rest % self.per_element())
    }

    /// The starting capacity.
    pub fn capacity(&self) -> [F; WIDTH - RATE] {
        let mut capacity = [F::ZERO; WIDTH - RATE];
        capacity[0] = F::from_u64(self.len as u64);
        capacity[1] = F::from_u64(self.bits as u64);
        capacity[2] = F::ONE;
        capacity[3] = int(self.offset);
        capacity
    }

    /// The blocks that follow the salt. `values` are non-negative and below `2^bits`.
    pub fn blocks(&self, values: &[u32]) -> Vec<[F; RATE]> {
        let mut blocks = alloc::vec![[F::ZERO; RATE]; self.permutations() - 1];
        for (i, v) in values.iter().enumerate() {
            let (block, element, place) = self.position(i);
            blocks[block][element] += F::from_u64(u64::from(*v) << (self.bits * place));
        }
        blocks
    }
}

/// S-box outputs of one permutation.
#[derive(Clone, Debug)]
pub struct SboxOutputs {
    /// Of the full rounds.
    pub full: [[F; WIDTH]; FULL_ROUNDS],
    /// Of the partial rounds.
    pub partial: [F; PARTIAL_ROUNDS],
}

fn permutation() -> Poseidon2KoalaBear<16> {
    default_koalabear_poseidon2_16()
}

/// The external linear layer on a state.
fn external(state: &mut [F; WIDTH]) {
    p3_poseidon2::mds_light_permutation(state, &p3_poseidon2::MDSMat4);
}

/// The internal linear layer on a state.
fn internal(state: &mut [F; WIDTH]) {
    use p3_koala_bear::GenericPoseidon2LinearLayersKoalaBear as Layers;
    use p3_poseidon2::GenericPoseidon2LinearLayers;
    Layers::internal_linear_layer(state);
}

/// Matrix `m[row][column]` of a linear map on states.
fn matrix(map: impl Fn(&mut [F; WIDTH])) -> [[F; WIDTH]; WIDTH] {
    let mut m = [[F::ZERO; WIDTH]; WIDTH];
    for column in 0..WIDTH {
        let mut unit = [F::ZERO; WIDTH];
        unit[column] = F::ONE;
        map(&mut unit);
        for (row, v) in unit.iter().enumerate() {
            m[row][column] = *v;
        }
    }
    m
}

/// The external layer as a matrix.
pub fn external_matrix() -> [[F; WIDTH]; WIDTH] {
    matrix(external)
}

/// Round constant of S-box `lane` in full round `round`.
pub fn full_constant(round: usize, lane: usize) -> F {
    if round < 4 { RC_FIRST[round][lane] } else { RC_LAST[round - 4][lane] }
}

/// How the states inside the partial rounds depend on the outputs of full round 3 (16 of them) and of the partial S-boxes (20).
///
/// Row `i < 20`: the input of partial S-box i before its constant; rows 20 .. 36: the state at full round 4 before its constants.
pub fn partial_maps() -> Vec<[F; WIDTH + PARTIAL_ROUNDS]> {
    let mut state: Vec<[F; WIDTH + PARTIAL_ROUNDS]> = alloc::vec![[F::ZERO; WIDTH + PARTIAL_ROUNDS]; WIDTH];
    for (lane, row) in external_matrix().iter().enumerate() {
        state[lane][..WIDTH].copy_from_slice(row);
    }
    let inner = matrix(internal);
    let mut rows = Vec::with_capacity(PARTIAL_ROUNDS + WIDTH);
    for round in 0..PARTIAL_ROUNDS {
        rows.push(state[0]);
        state[0] = [F::ZERO; WIDTH + PARTIAL_ROUNDS];
        state[0][WIDTH + round] = F::ONE;
        let combine = |weights: &[F; WIDTH]| {
            core::array::from_fn(|j| weights.iter().zip(&state).map(|(w, row)| *w * row[j]).sum())
        };
        state = inner.iter().map(combine).collect();
    }
    rows.extend(state);
    rows
}

/// One permutation that keeps its S-box outputs.
pub fn permute_traced(state: &mut [F; WIDTH]) -> SboxOutputs {
    let mut out = SboxOutputs { full: [[F::ZERO; WIDTH]; FULL_ROUNDS], partial: [F::ZERO; PARTIAL_ROUNDS] };
    external(state);
    for round in 0..FULL_ROUNDS {
        if round == 4 {
            for (i, rc) in RC_INNER.iter().enumerate() {
                state[0] = (state[0] + *rc).cube();
                out.partial[i] = state[0];
                internal(state);
            }
        }
        for (lane, s) in state.iter_mut().enumerate() {
            *s = (*s + full_constant(round, lane)).cube();
        }
        out.full[round] = *state;
        external(state);
    }
    out
}

/// Round constant of a partial S-box.
pub fn partial_constant(i: usize) -> F {
    RC_INNER[i]
}

/// The digest of a list; `values` are non-negative and below `2^bits`.
pub fn digest(packing: Packing, values: &[u32], salt: &Salt) -> Digest {
    let permutation = permutation();
    let mut state = [F::ZERO; WIDTH];
    state[RATE..].copy_from_slice(&packing.capacity());
    for block in core::iter::once(*salt).chain(packing.blocks(values)) {
        state[..RATE].copy_from_slice(&block);
        permutation.permute_mut(&mut state);
    }
    let mut bytes = [0; 32];
    for (chunk, v) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(&state[..RATE]) {
        *chunk = v.as_canonical_u32().to_le_bytes();
    }
    bytes
}

/// The elements of a digest.
///
/// Errors: `commitment.encoding` when an element is not canonical.
pub fn elements(digest: &Digest) -> Result<[F; RATE], Reject> {
    let mut out = [F::ZERO; RATE];
    for (v, chunk) in out.iter_mut().zip(digest.as_chunks::<4>().0) {
        let word = u32::from_le_bytes(*chunk);
        if word >= F::ORDER_U32 {
            return Err(Reject::new("commitment.encoding", "canonical field elements", word));
        }
        *v = int(i64::from(word));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traced_permutation_is_the_librarys() {
        let mut a: [F; WIDTH] = core::array::from_fn(|i| F::from_u64(i as u64 * 77 + 5));
        let mut b = a;
        permute_traced(&mut a);
        permutation().permute_mut(&mut b);
        assert_eq!(a, b);
    }

    #[test]
    fn length_salt_and_every_value_change_the_digest() {
        let packing = Packing { len: 30, bits: 8, offset: 0 };
        let values: Vec<u32> = (0..30).collect();
        let salt = [F::ONE; RATE];
        let base = digest(packing, &values, &salt);
        let mut other = values.clone();
        other[29] ^= 1;
        assert_ne!(base, digest(packing, &other, &salt));
        assert_ne!(base, digest(packing, &values, &[F::TWO; RATE]));
        assert_ne!(base, digest(Packing { len: 31, bits: 8, offset: 0 }, &values, &salt));
        assert_ne!(base, digest(Packing { offset: 1, ..packing }, &values, &salt));
        assert!(elements(&[0xff; 32]).is_err());
    }
}
