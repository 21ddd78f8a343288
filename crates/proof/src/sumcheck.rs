//! Masked sumcheck rounds (docs/spec/zkml.md, section 6).
//!
//! Of each round polynomial `p_i(X) = sum_j c_ij X^j` the prover sends `c_ij + a_ij` for `j >= 1`, each `a_ij` a committed mask used once;
//! `c_i0` is implied by the running claim. Unrolled over all rounds,
//!
//! `claim_n = 2^-n claim_0 + sum_ij 2^(i-n) (r_i^j - 1/2) (c~_ij - a_ij)`   (i from 1 to n).

use alloc::vec::Vec;
use p3_field::PrimeCharacteristicRing;

use crate::field::{K, half};
use crate::plan::SumcheckPads;
use crate::reject::Reject;
use crate::scalar::Scalar;
use crate::system::Affine;
use crate::transcript::Channel;

/// What a run of rounds leaves: the point, and `claim_n` minus `2^-n claim_0`.
pub struct Rounds<E = K> {
    /// Challenges in the order in which the variables were bound.
    pub point: Vec<E>,
    /// `claim_n - 2^-n claim_0` as an affine form in the masks.
    pub claim: Affine<E>,
    /// `2^-n`.
    pub scale: K,
}

/// `2^-n`.
pub fn power_of_half(n: usize) -> K {
    half().exp_u64(n as u64)
}

/// Reads the rounds of one sumcheck from the proof.
///
/// Errors: `shape` when the number of rounds or coefficients is not the plan's; `challenge` (negligible) when the last challenge is 0 or 1,
/// which would uncover a claimed value.
pub fn read<C: Channel>(
    rounds: &[Vec<C::E>],
    pads: &SumcheckPads,
    check: &'static str,
    transcript: &mut C,
) -> Result<Rounds<C::E>, Reject> {
    if rounds.len() != pads.rounds.len() || rounds.iter().zip(&pads.rounds).any(|(r, p)| r.len() != p.len()) {
        return Err(Reject::new(check, "the statement's number of rounds and coefficients", "another"));
    }
    let n = rounds.len();
    let mut point = Vec::with_capacity(n);
    let mut claim = Affine::default();
    for (i, (coefficients, masks)) in rounds.iter().zip(&pads.rounds).enumerate() {
        transcript.absorb(coefficients);
        let r = transcript.draw();
        let scale = power_of_half(n - 1 - i);
        let mut power = r;
        for (c, mask) in coefficients.iter().zip(masks.clone()) {
            let weight = (power - half()) * scale;
            claim.constant += weight * *c;
            claim.pads.push((mask, -weight));
            power *= r;
        }
        point.push(r);
    }
    if point.last().is_some_and(|r| !r.differs(K::ZERO) || !r.differs(K::ONE)) {
        return Err(Reject::new(check, "a last challenge other than 0 and 1", "0 or 1"));
    }
    Ok(Rounds { point, claim, scale: power_of_half(n) })
}
