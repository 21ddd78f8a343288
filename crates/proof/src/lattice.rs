//! The public side of the lattice commitment: uniform elements `a_0, a_1, ..` of `R = F[X]/(X^1024 + 1)`, and their values at a challenge.
//!
//! A commitment to small `w_0, w_1, ..` is `u = sum_j a_j w_j` in R (Ajtai 1996; over rings: Micciancio, Computational Complexity 16, 2007).
//! Nobody chose the `a_j`: their coefficients are the words of BLAKE3 streams, taken modulo nothing, those beyond the field left out.

use alloc::vec::Vec;
use core::ops::Range;
use p3_field::{Algebra, PrimeCharacteristicRing, PrimeField32};

use crate::field::F;
use crate::scalar::Scalar;

/// `log2` of the ring's degree.
pub const RING_LOG: usize = 10;
/// Degree of the ring: coefficients of an element.
pub const RING: usize = 1 << RING_LOG;

/// Bytes read from a stream at once.
const CHUNK: usize = 512;

/// The 1,024 coefficients of `a_j`, constant first.
pub fn element(j: usize) -> Vec<F> {
    let mut hasher = blake3::Hasher::new_derive_key("proofmesh lattice element 1");
    hasher.update(&(j as u64).to_le_bytes());
    let mut stream = hasher.finalize_xof();
    let mut coefficients = Vec::with_capacity(RING);
    let mut bytes = [0; CHUNK];
    while coefficients.len() < RING {
        stream.fill(&mut bytes);
        let words = bytes.as_chunks::<4>().0.iter().map(|b| u32::from_le_bytes(*b) & 0x7fff_ffff);
        let uniform = words.filter(|w| *w < F::ORDER_U32).map(F::from_u32);
        coefficients.extend(uniform.take(RING - coefficients.len()));
    }
    coefficients
}

/// `a_j(zeta)` for every j of the range.
pub fn values<E: Scalar>(range: Range<usize>, zeta: E) -> Vec<E> {
    let powers: Vec<E> = zeta.powers().take(RING).collect();
    let at = |j| {
        let a = element(j);
        let chunks = powers.as_chunks::<8>().0.iter().zip(a.as_chunks::<8>().0);
        chunks.map(|(p, a)| <E as Algebra<F>>::mixed_dot_product(p, a)).sum()
    };
    range.map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::{K, eq_table};
    use crate::system::{Axis, axis_weights};
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    #[test]
    fn elements_are_distinct_and_keep_to_their_stream() {
        let (a, b) = (element(0), element(1));
        assert_eq!((a.len(), b.len()), (RING, RING));
        assert!(a.iter().zip(&b).filter(|(x, y)| x == y).count() < 3);
        // The first words of the stream that are below the prime.
        let mut hasher = blake3::Hasher::new_derive_key("proofmesh lattice element 1");
        hasher.update(&1u64.to_le_bytes());
        let mut bytes = [0; 8192];
        hasher.finalize_xof().fill(&mut bytes);
        let words = bytes.as_chunks::<4>().0.iter().map(|w| u32::from_le_bytes(*w) & 0x7fff_ffff);
        let expected: Vec<F> = words.filter(|w| *w < F::ORDER_U32).take(RING).map(F::from_u32).collect();
        assert_eq!(b, expected);
        let mean = b.iter().map(|c| f64::from(c.as_canonical_u32())).sum::<f64>() / RING as f64;
        assert!((mean / f64::from(F::ORDER_U32) - 0.5).abs() < 0.05, "{mean}");
    }

    #[test]
    fn axes_are_their_tables() {
        let mut rng = StdRng::seed_from_u64(5);
        let tau: Vec<K> = (0..3).map(|_| rng.random()).collect();
        let axes = [
            Axis::At { log: 5, index: 19 },
            Axis::At { log: 0, index: 0 },
            Axis::Powers { tau: 1, first: 0, log: 6 },
            Axis::Powers { tau: 2, first: 1024, log: 10 },
            Axis::Lattice { tau: 0, first: 3, log: 2 },
        ];
        for axis in &axes {
            let weights = axis_weights(axis, &tau, &[]);
            let point: Vec<K> = (0..axis.log()).map(|_| rng.random()).collect();
            let table = weights.table();
            assert_eq!((weights.log(), table.len()), (axis.log(), 1 << axis.log()));
            let extended: K = eq_table(&point, K::ONE).iter().zip(&table).map(|(e, w)| *e * *w).sum();
            assert_eq!(weights.at(&point), extended, "{axis:?}");
        }
        let table = axis_weights(&axes[3], &tau, &[]).table();
        assert_eq!(table[5], tau[2].exp_u64(1029));
        let horner = |j: usize| element(j).iter().rev().fold(K::ZERO, |acc, c| acc * tau[0] + *c);
        assert_eq!(values(3..7, tau[0]), (3..7).map(horner).collect::<Vec<K>>());
    }
}
