//! The two fields, and multilinear arithmetic over them.
//!
//! `F` is KoalaBear, p = 2^31 - 2^24 + 1; `K = F[T]/(T^5 + T^2 - 1)`, 154.9 bits. Points list the most significant variable first:
//! index `i` of a table of `2^n` values has bit `n - 1 - j` equal to coordinate j.

use alloc::vec::Vec;
use p3_field::extension::QuinticTrinomialExtensionField;
use p3_field::{BasedVectorSpace, PrimeCharacteristicRing};
use p3_koala_bear::KoalaBear;

use crate::scalar::Scalar;

/// The base field.
pub type F = KoalaBear;
/// The challenge field.
pub type K = QuinticTrinomialExtensionField<F>;

/// Base cells that hold one element of `K` inside the committed vector: five coordinates, three zeros.
pub const LIMBS: usize = 8;
/// `log2` of [`LIMBS`].
pub const LIMBS_LOG2: usize = 3;

/// A small signed integer as a field element.
pub fn int(v: i64) -> F {
    F::from_i64(v)
}

/// The generator `T` of `K` over `F`.
pub fn t() -> K {
    K::from_basis_coefficients_fn(|i| if i == 1 { F::ONE } else { F::ZERO })
}

/// `1, T, T^2, ..`: the weight of each limb.
pub fn limb_weights() -> [K; LIMBS] {
    let mut w = [K::ONE; LIMBS];
    for i in 1..LIMBS {
        w[i] = w[i - 1] * t();
    }
    w
}

/// Levels of a table of `eq` between reductions: few entries are reduced early instead of many late.
const LEVELS: usize = 3;

/// Table of `scale * eq(point, x)` for every `x` of the cube.
///
/// From the last coordinate up: points that end alike share what belongs to the end.
pub fn eq_table<E: Scalar>(point: &[E], scale: E) -> Vec<E> {
    let mut table = alloc::vec![E::ZERO; 1 << point.len()];
    table[0] = scale;
    for (i, &r) in point.iter().rev().enumerate() {
        let (low, high) = table.split_at_mut(1 << i);
        if i > 0 && i % LEVELS == 0 && i + 1 < point.len() {
            low.iter_mut().for_each(|entry| *entry = entry.reduced());
        }
        for (low, high) in low.iter_mut().zip(high) {
            *high = *low * r;
            *low -= *high;
        }
    }
    table
}

/// `sum of eq(point, i) values[i]`, values beyond the given ones 0: by two tables of half the point, each entry of the first met once.
pub fn extension_at<E: Scalar>(point: &[E], values: &[E]) -> E {
    let (high, low) = point.split_at(point.len() / 2);
    let [high, low] =
        [high, low].map(|half| eq_table(half, E::ONE).into_iter().map(E::reduced).collect::<Vec<E>>());
    let rows = values.chunks(low.len()).zip(high);
    rows.map(|(row, weight)| weight * row.iter().zip(&low).map(|(v, w)| *v * *w).sum::<E>()).sum()
}

/// `eq(a, b)` of two points of one length, from the last coordinate up as [`eq_table`].
pub fn eq<E: Scalar>(a: &[E], b: &[E]) -> E {
    a.iter().zip(b).rev().fold(E::ONE, |acc, (&x, &y)| {
        let xy = x * y;
        acc * (E::ONE - x - y + xy + xy)
    })
}

/// `eq(point, i)` for the vertex with index `i`.
pub fn eq_vertex<E: Scalar>(point: &[E], i: usize) -> E {
    let n = point.len();
    point
        .iter()
        .enumerate()
        .fold(E::ONE, |acc, (j, &r)| acc * if i >> (n - 1 - j) & 1 == 1 { r } else { E::ONE - r })
}

/// The multilinear extension of `0, 1, 2, .., 2^n - 1` at a point.
pub fn index_at<E: Scalar>(point: &[E]) -> E {
    point.iter().fold(E::ZERO, |acc, &r| acc.double() + r)
}

/// The multilinear extension of `i -> max(0, i - c)` at a point, in time linear in the number of variables.
pub fn ramp_at<E: Scalar>(point: &[E], c: i64) -> E {
    let Some((&high, rest)) = point.split_first() else {
        return E::from(int((-c).max(0)));
    };
    let half = 1i64 << rest.len();
    if c <= 0 {
        return index_at(point) - E::from(int(c));
    }
    if c >= half {
        return high * ramp_at(rest, c - half);
    }
    let upper = index_at(rest) + E::from(int(half - c));
    high * upper + (E::ONE - high) * ramp_at(rest, c)
}

/// `2^-1`.
pub fn half() -> K {
    K::ONE.halve()
}

/// Smallest `n` with `2^n >= len`; 0 for an empty length.
pub fn log2_ceil(len: usize) -> usize {
    len.next_power_of_two().trailing_zeros() as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    #[test]
    fn closed_forms_equal_their_tables() {
        let mut rng = StdRng::seed_from_u64(7);
        for n in 0..7usize {
            let point: Vec<K> = (0..n).map(|_| rng.random()).collect();
            let table = eq_table(&point, K::ONE);
            for (i, w) in table.iter().enumerate() {
                assert_eq!(*w, eq_vertex(&point, i));
            }
            for count in [0, 1, table.len() / 2 + 1, table.len()] {
                let values: Vec<K> = (0..count).map(|_| rng.random()).collect();
                let sum: K = table.iter().zip(&values).map(|(w, v)| *w * *v).sum();
                assert_eq!(extension_at(&point, &values), sum, "{n} variables, {count} values");
            }
            let sum = |f: &dyn Fn(i64) -> i64| -> K {
                table.iter().enumerate().map(|(i, w)| *w * int(f(i as i64))).sum()
            };
            assert_eq!(sum(&|i| i), index_at(&point));
            for c in -3..70 {
                assert_eq!(sum(&|i| (i - c).max(0)), ramp_at(&point, c), "n {n} c {c}");
            }
        }
    }
}
