//! Round polynomials: arithmetic on coefficients, and sending them under their masks.

use p3_field::{Field, PrimeCharacteristicRing};
use proofmesh_proof::field::{F, K};
use proofmesh_proof::transcript::Channel;

/// Product of two polynomials.
pub fn multiply(a: &[K], b: &[K]) -> Vec<K> {
    let mut out = vec![K::ZERO; a.len() + b.len() - 1];
    for (i, x) in a.iter().enumerate() {
        for (j, y) in b.iter().enumerate() {
            out[i + j] += *x * *y;
        }
    }
    out
}

/// The sum of two polynomials.
pub fn add(a: &[K], b: &[K]) -> Vec<K> {
    let at = |v: &[K], i: usize| v.get(i).copied().unwrap_or(K::ZERO);
    (0..a.len().max(b.len())).map(|i| at(a, i) + at(b, i)).collect()
}

/// Sends coefficients of degree 1 and up under their masks; gives them as sent and the challenge.
pub fn send(
    coefficients: &[K],
    masks: std::ops::Range<usize>,
    pads: &[K],
    transcript: &mut dyn Channel<E = K>,
) -> (Vec<K>, K) {
    let at = |j: usize| coefficients.get(j).copied().unwrap_or(K::ZERO);
    let sent: Vec<K> = masks.enumerate().map(|(j, mask)| at(j + 1) + pads[mask]).collect();
    transcript.absorb(&sent);
    (sent, transcript.draw())
}

/// A polynomial at a point.
pub fn evaluate(coefficients: &[K], x: K) -> K {
    coefficients.iter().rev().fold(K::ZERO, |acc, c| acc * x + *c)
}

/// Coefficients of the polynomial with the given values at 0, 1, 2, ..
pub fn interpolate(values: &[K]) -> Vec<K> {
    // Newton's divided differences, then Horner's rule on X, X - 1, ..
    let mut differences = values.to_vec();
    for k in 1..values.len() {
        let inverse = F::from_usize(k).inverse();
        for i in (k..values.len()).rev() {
            differences[i] = (differences[i] - differences[i - 1]) * inverse;
        }
    }
    let mut out = Vec::with_capacity(values.len());
    for (k, difference) in differences.iter().enumerate().rev() {
        out.insert(0, K::ZERO);
        for i in 0..out.len() - 1 {
            let high = out[i + 1];
            out[i] -= high * F::from_usize(k);
        }
        out[0] += *difference;
    }
    out
}
