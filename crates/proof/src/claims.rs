//! The main sumcheck: all [`SumClaim`]s in one run, then the linear claims.
//!
//! With `n` the largest number of variables, a claim with `n_k` of them uses the last `n_k` and weighs `w_k 2^-(n - n_k)`; until its
//! first round it adds a constant. The sums inside the keys of look-ups are one claim, at the leaves' point, each with the weight of its
//! look-up's block; the others follow with `w_k = lambda, lambda^2, ..`. A factor that reads committed columns enters as
//! `f + rho * x_n (1 - x_n)`, x_n the last variable, rho a mask: its claimed value is uniform, and the sum over the cube is unchanged.

use alloc::vec::Vec;
use p3_field::PrimeCharacteristicRing;
use serde::{Deserialize, Serialize};

use crate::field::{K, eq};
use crate::logup::LeafClaim;
use crate::plan::Plan;
use crate::reject::Reject;
use crate::scalar::Scalar;
use crate::sumcheck::{self, power_of_half};
use crate::system::{Affine, SumClaim, SumPoint, System, Words};
use crate::transcript::Channel;

/// The main sumcheck's part of a proof.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MainProof<E = K> {
    /// Masked coefficients of degree 1, 2, .. of each round.
    pub rounds: Vec<Vec<E>>,
    /// Masked value of each factor that reads committed columns, claim by claim.
    pub values: Vec<E>,
}

/// Checks the main sumcheck and gives the linear equations (each `= 0`) that remain, those of the linear claims among them.
///
/// Errors: `claims.rounds`, `claims.values`.
pub fn verify<C: Channel>(
    system: &System,
    plan: &Plan,
    words: Words<'_, C::E>,
    proof: &MainProof<C::E>,
    leaf: LeafClaim<C::E>,
    transcript: &mut C,
    equations: &mut Vec<Affine<C::E>>,
) -> Result<(), Reject> {
    let tau = transcript.draw_point(system.tau_len);
    let lambda = transcript.draw();
    if proof.values.len() != plan.main_values.len() {
        return Err(Reject::new("claims.values", plan.main_values.len(), proof.values.len()));
    }
    let rounds = sumcheck::read(&proof.rounds, &plan.main, "claims.rounds", transcript)?;
    transcript.absorb(&proof.values);
    let n = plan.main_vars();
    let last = rounds.point.last().copied().unwrap_or(C::E::TWO);
    let zz = last * (C::E::ONE - last);

    let in_rows = system.sums.iter().any(|s| s.point != SumPoint::Tau);
    let mut equation = rounds.claim;
    if in_rows {
        equation.add_scaled(leaf.rest.clone(), C::E::from(rounds.scale));
    } else {
        equations.push(leaf.rest.clone());
    }
    let weights = weights(system, lambda, &leaf.weights);
    let mut claimed = proof.values.iter().zip(&plan.main.values);
    for (claim, weight) in system.sums.iter().zip(weights) {
        let x = &rounds.point[n - claim.vars..];
        let tau = point(system, claim, &tau, &leaf.point);
        let mut values = Vec::with_capacity(claim.factors.len());
        for factor in &claim.factors {
            let mut at = factor.at(tau, x, words);
            if factor.is_public() {
                values.push(at.constant);
            } else {
                let (y, rho) = claimed.next().expect("as many values as hidden factors");
                at.constant -= *y;
                at.pads.push((*rho, zz));
                equations.push(at);
                values.push(*y);
            }
        }
        let product = |(coef, factors): &(_, Vec<usize>)| {
            factors.iter().fold(C::E::from(*coef), |acc, f| acc * values[*f])
        };
        let sum: C::E = claim.products.iter().map(product).sum();
        let eq = claim.eq.as_ref().map_or(C::E::ONE, |(t, v)| eq(&tau[t.clone()], &x[v.clone()]));
        // claim_0 = rest + sum_k w_k rhs_k; claim_n = sum_k w_k 2^-(n - n_k) * (value of claim k at the point).
        equation.add_scaled(claim.rhs.at(tau, &[], words), weight * rounds.scale);
        equation.constant -= weight * eq * sum * power_of_half(n - claim.vars);
    }
    if !system.sums.is_empty() {
        equations.push(equation);
    }
    equations.extend(system.linears.iter().map(|linear| linear.expr.at(&tau, &[], words)));
    Ok(())
}

/// Weight of each sum in the main sumcheck.
pub fn weights<E: Scalar>(system: &System, lambda: E, blocks: &[E]) -> Vec<E> {
    let mut power = E::ONE;
    let weight = |claim: &SumClaim| match claim.point {
        SumPoint::Row(lookup) => blocks[lookup],
        SumPoint::Tau => {
            power *= lambda;
            power
        }
    };
    system.sums.iter().map(weight).collect()
}

/// The point at which a sum is taken.
pub fn point<'a, E>(system: &System, claim: &SumClaim, tau: &'a [E], leaf: &'a [E]) -> &'a [E] {
    match claim.point {
        SumPoint::Row(lookup) => &leaf[leaf.len() - system.lookups[lookup].vars..],
        SumPoint::Tau => tau,
    }
}
