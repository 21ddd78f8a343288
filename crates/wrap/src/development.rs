//! The verification key of a development key, without its proving key: seconds instead of minutes.
//!
//! Whoever knows the set-up's secrets can compute any of its elements directly. A verification key has only two that depend on the circuit, the
//! columns of the constant 1 and of the public input: `(beta u_j(tau) + alpha v_j(tau) + w_j(tau)) / gamma` in the exponent, for j = 0, 1
//! (Groth, eprint 2016/260, section 3.2), where `u_j(tau)` is the sum over rows i of `A[i][j] L_i(tau)`. That a development key can be had like
//! this is one more way to say that it protects nothing from whoever knows its seed.

use ark_bn254::{Bn254, Fr, G1Projective, G2Projective};
use ark_ec::{CurveGroup, PrimeGroup};
use ark_ff::{AdditiveGroup, FftField, Field, UniformRand, batch_inversion};
use ark_groth16::VerifyingKey;
use ark_std::rand::{SeedableRng, rngs::StdRng};
use proofmesh_proof::reject::Reject;

use crate::groth16::scalar;
use crate::r1cs::{Builder, PUBLIC_INPUTS};

/// The verification key that [`crate::groth16::development_key`] gives for the same system and seed.
///
/// Errors: `wrap.setup`, for a system too large for BN254's roots of unity (`2^28`).
pub fn verification_key(b: &Builder, seed: &[u8; 32]) -> Result<VerifyingKey<Bn254>, Reject> {
    let [alpha, beta, gamma, delta] = [0, 1, 2, 3].map(|i| scalar(seed, i));
    let tau = Fr::rand(&mut StdRng::from_seed(*seed));
    // One more row for each public value, the constant among them: the reduction's own.
    let rows = b.constraints() + 1 + PUBLIC_INPUTS;
    let columns = columns(b, tau, rows)?;
    let inverse = gamma.inverse().expect("a hash to 254 bits is not zero");
    let of_column = |[u, v, w]: [Fr; 3]| (beta * u + alpha * v + w) * inverse;
    let (g1, g2) = (G1Projective::generator(), G2Projective::generator());
    Ok(VerifyingKey {
        alpha_g1: (g1 * alpha).into_affine(),
        beta_g2: (g2 * beta).into_affine(),
        gamma_g2: (g2 * gamma).into_affine(),
        delta_g2: (g2 * delta).into_affine(),
        gamma_abc_g1: columns.map(|column| (g1 * of_column(column)).into_affine()).to_vec(),
    })
}

/// `u_j(tau), v_j(tau), w_j(tau)` for the constant and the public input.
fn columns(b: &Builder, tau: Fr, rows: usize) -> Result<[[Fr; 3]; 1 + PUBLIC_INPUTS], Reject> {
    let size = rows.next_power_of_two() as u64;
    let root = Fr::get_root_of_unity(size)
        .ok_or_else(|| Reject::new("wrap.setup", "a system of at most 2^28 rows", rows))?;
    // L_i(tau) = (tau^n - 1) / n * w^i / (tau - w^i); only of rows in which one of the two columns stands.
    let stands = |i: usize| {
        i >= b.constraints()
            || b.matrices()
                .iter()
                .any(|m| m.row(i).first().is_some_and(|(var, _)| *var as usize <= PUBLIC_INPUTS))
    };
    let (mut place, mut used, mut below, mut power) = (Vec::new(), Vec::new(), Vec::new(), Fr::ONE);
    for i in 0..rows {
        if stands(i) {
            place.push(i);
            used.push(power);
            below.push(tau - power);
        }
        power *= root;
    }
    batch_inversion(&mut below);
    let vanishing = (tau.pow([size]) - Fr::ONE) / Fr::from(size);
    let mut sums = [[Fr::ZERO; 3]; 1 + PUBLIC_INPUTS];
    for ((i, power), inverse) in place.into_iter().zip(used).zip(below) {
        let lagrange = vanishing * power * inverse;
        if let Some(column) = i.checked_sub(b.constraints()) {
            sums[column][0] += lagrange;
            continue;
        }
        for (matrix, entries) in b.matrices().iter().enumerate() {
            // Variables ascend in a row.
            for (var, coefficient) in
                entries.row(i).iter().take_while(|(var, _)| *var as usize <= PUBLIC_INPUTS)
            {
                sums[*var as usize][matrix] += lagrange * b.coefficients()[*coefficient as usize];
            }
        }
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::groth16::development_key;

    #[test]
    fn it_is_the_one_of_the_whole_key() {
        for (size, seed) in [(1u64, [3; 32]), (40, [4; 32])] {
            let mut b = Builder::new(Fr::from(9u64));
            let (three, public) = (b.witness(Fr::from(3u64)), b.public());
            for i in 0..size {
                let shifted = b.product(&three.shifted(Fr::from(i)), &public);
                b.equal(&shifted.shifted(-Fr::from(9 * i)), &b.public().scaled(Fr::from(3u64)));
            }
            assert_eq!(b.broken(), None);
            let whole = development_key(&b, &seed).expect("small").vk;
            assert_eq!(verification_key(&b, &seed).expect("small"), whole);
            assert_ne!(verification_key(&b, &[9; 32]).expect("small"), whole);
        }
    }
}
