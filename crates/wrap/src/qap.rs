//! From a constraint system to a quadratic arithmetic program, as snarkjs' Groth16 has it, so that one prover serves keys of its ceremonies
//! and development keys.
//!
//! Row i belongs to `w^i`, w a root of unity of order n, n the next power of two; after the system's rows comes one a public value, `z_j * 0 = 0`,
//! which keeps the queries of A independent. `A B - C` vanishes on these n places, and its degree is below 2 n: of the Lagrange polynomials of
//! all 2 n places `v^j`, `v^2 = w`, only those of the odd ones have a part in it. The key holds them at tau, over delta, where libsnark's holds
//! powers of tau; so nothing is divided by `X^n - 1`, and a transform is saved.

use ark_ff::PrimeField;
use ark_groth16::r1cs_to_qap::{LibsnarkReduction, R1CSToQAP};
use ark_poly::EvaluationDomain;
use ark_relations::gr1cs::{ConstraintSystemRef, Matrix, Result, SynthesisError};

/// The reduction by the odd places.
pub struct Odd;

/// What an instance map gives: A, B and C of each variable at tau, `tau^n - 1`, the number of variables, n.
type Instance<F> = (Vec<F>, Vec<F>, Vec<F>, F, usize, usize);

/// The domain of so many rows.
fn domain<F: PrimeField, D: EvaluationDomain<F>>(rows: usize) -> Result<D> {
    D::new(rows).ok_or(SynthesisError::PolynomialDegreeTooLarge)
}

impl R1CSToQAP for Odd {
    fn instance_map_with_evaluation<F: PrimeField, D: EvaluationDomain<F>>(
        cs: ConstraintSystemRef<F>,
        t: &F,
    ) -> Result<Instance<F>> {
        LibsnarkReduction::instance_map_with_evaluation::<F, D>(cs, t)
    }

    fn witness_map_from_matrices<F: PrimeField, D: EvaluationDomain<F>>(
        matrices: &[Matrix<F>],
        num_inputs: usize,
        num_constraints: usize,
        full_assignment: &[F],
    ) -> Result<Vec<F>> {
        let domain: D = domain(num_constraints + num_inputs)?;
        let values = |matrix: &Matrix<F>, tail: &[F]| {
            let row = |row: &Vec<(F, usize)>| row.iter().map(|(c, v)| *c * full_assignment[*v]).sum();
            let mut values: Vec<F> = matrix.iter().map(row).collect();
            values.extend(tail);
            values.resize(domain.size(), F::zero());
            values
        };
        let step =
            F::get_root_of_unity(2 * domain.size() as u64).ok_or(SynthesisError::PolynomialDegreeTooLarge)?;
        // From values on the even places to values on the odd ones.
        let moved = |mut values: Vec<F>| {
            domain.ifft_in_place(&mut values);
            D::distribute_powers(&mut values, step);
            domain.fft_in_place(&mut values);
            values
        };
        let mut quotient = moved(values(&matrices[0], &full_assignment[..num_inputs]));
        let b = moved(values(&matrices[1], &[]));
        quotient.iter_mut().zip(b).for_each(|(a, b)| *a *= b);
        let c = moved(values(&matrices[2], &[]));
        quotient.iter_mut().zip(c).for_each(|(ab, c)| *ab -= c);
        Ok(quotient)
    }

    /// `L_j(tau) / delta` for odd j below 2 n.
    fn h_query_scalars<F: PrimeField, D: EvaluationDomain<F>>(
        max_power: usize,
        t: F,
        _: F,
        delta_inverse: F,
    ) -> Result<Vec<F>> {
        let all: D = domain(2 * (max_power + 1))?;
        let places = all.evaluate_all_lagrange_coefficients(t).into_iter().skip(1).step_by(2);
        Ok(places.map(|l| l * delta_inverse).collect())
    }
}
