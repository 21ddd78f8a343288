//! The opening: all linear equations become one, `<Phi, A> = V`, whose sumcheck ends at one value of the committed vector.
//!
//! Rounds bind the least significant variable first. Their masks `N` (and as many `N'`) lie in a block of `A` in which `Phi` is zero, so
//! the masks enter the rounds through the block's one value only; spare random cells make that value uniform. By the unrolled rounds,
//! `<v, N> = e` with v and e known to the verifier. The prover sends `e' = <v, N'>`, gets t, sends `R = N + t N'`; the verifier checks
//! `<v, R> = e + t e'`, draws z, and opens `A` at s and at a point where its value must be `R(z) / ((1 + t) c)`: nothing new is revealed. A commitment
//! that keeps N and N' in columns of its own ([`ColumnMasks`]) opens `A` at s only, and checks R against those columns.

use alloc::vec::Vec;
use p3_field::{Field, PrimeCharacteristicRing};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::engine::Proof;
use crate::field::{K, LIMBS_LOG2, eq_table, eq_vertex, extension_at, half, limb_weights, t as generator};
use crate::plan::{Plan, Slot};
use crate::profile::Profile;
use crate::reject::Reject;
use crate::scalar::Scalar;
use crate::sumcheck::power_of_half;
use crate::system::{Affine, WeighedTerm};
use crate::transcript::{Channel, Transcript};

/// The opening's part of a proof.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OpeningProof<E = K> {
    /// Masked coefficients of degree 1 and 2 of each round.
    pub rounds: Vec<[E; 2]>,
}

/// What shows that the rounds' masks are the committed ones.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MaskProof<E = K> {
    /// `e' = <v, N'>`.
    pub cross: E,
    /// `R = N + t N'`, two a round.
    pub masks: Vec<E>,
}

/// What a profile's proofs say of the opening's masks: [`MaskProof`], or nothing where nothing is masked.
pub trait Masks: Clone + Serialize + DeserializeOwned {
    /// Whether anything is masked.
    const HIDING: bool;
    /// Whether N and N' are held against the vector, at a second point, and not against columns of the commitment's own.
    const IN_VECTOR: bool;

    /// What a prover says; `said` runs only if anything is masked.
    ///
    /// Errors: those of `said`.
    fn make<E>(said: impl FnOnce() -> Result<MaskProof, E>) -> Result<Self, E>;

    /// What was said, if anything is masked.
    fn said(&self) -> Option<&MaskProof>;
}

impl Masks for MaskProof {
    const HIDING: bool = true;
    const IN_VECTOR: bool = true;

    fn make<E>(said: impl FnOnce() -> Result<MaskProof, E>) -> Result<Self, E> {
        said()
    }

    fn said(&self) -> Option<&MaskProof> {
        Some(self)
    }
}

/// A [`MaskProof`] of masks that the commitment holds in columns of their own: the commitment checks R against them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ColumnMasks(pub MaskProof);

impl Masks for ColumnMasks {
    const HIDING: bool = true;
    const IN_VECTOR: bool = false;

    fn make<E>(said: impl FnOnce() -> Result<MaskProof, E>) -> Result<Self, E> {
        said().map(Self)
    }

    fn said(&self) -> Option<&MaskProof> {
        Some(&self.0)
    }
}

/// `R = N + t N'`, which a commitment with columns for N and N' holds against them.
#[derive(Clone, Copy, Debug)]
pub struct Masked<'a> {
    /// The challenge.
    pub t: K,
    /// R.
    pub masks: &'a [K],
}

/// All equations folded by powers of mu: `<Phi, A> = value`.
pub struct Folded<E = K> {
    /// Weights over the system's columns.
    pub terms: Vec<WeighedTerm<E>>,
    /// Weight of each mask.
    pub pads: Vec<E>,
    /// `V`.
    pub value: E,
}

/// Folds the equations.
pub fn fold<E: Scalar>(plan: &Plan, equations: Vec<Affine<E>>, mu: E) -> Folded<E> {
    let mut folded = Folded { terms: Vec::new(), pads: alloc::vec![E::ZERO; plan.pad_count], value: E::ZERO };
    let mut weight = E::ONE;
    for equation in equations {
        folded.value -= weight * equation.constant;
        for (pad, w) in equation.pads.into_iter().filter(|_| plan.hiding) {
            folded.pads[pad] += weight * w;
        }
        folded.terms.extend(equation.terms.into_iter().map(|t| WeighedTerm { coef: t.coef * weight, ..t }));
        weight *= mu;
        if plan.hiding {
            // The masks' weights have more factors than others' before they are summed.
            weight = weight.reduced();
        }
    }
    folded
}

impl<E: Scalar> Folded<E> {
    /// `Phi` at a point of the committed vector's variables.
    pub fn at(&self, plan: &Plan, point: &[E]) -> E {
        let mut columns = alloc::vec![E::ZERO; plan.slots.len()];
        for term in &self.terms {
            let mut low = &point[plan.log - plan.slots[term.column].log..];
            let mut weight = E::ONE;
            for axis in &term.axes {
                let (here, rest) = low.split_at(axis.log());
                weight *= axis.at(here);
                low = rest;
            }
            columns[term.column] += weight * term.coef;
        }
        let place = |slot: &Slot| eq_vertex(&point[..plan.log - slot.log], slot.offset >> slot.log);
        let sum = plan.slots.iter().zip(columns).map(|(slot, value)| place(slot) * value).sum();
        if !plan.hiding {
            return sum;
        }
        let (high, low) = point.split_at(plan.log - plan.pads.log);
        let (index, limb) = low.split_at(low.len() - LIMBS_LOG2);
        let limbs: E = eq_table(limb, E::ONE).into_iter().zip(limb_weights()).map(|(e, w)| e * w).sum();
        let pads = extension_at(index, &self.pads);
        sum + eq_vertex(high, plan.pads.offset >> plan.pads.log) * pads * limbs
    }
}

/// Weight of the masks of round `i` of `n` with challenge `r`: `2^(i-n) (r^j - 1/2)`, `i` from 1, `j` = 1, 2.
pub fn mask_weights<E: Scalar>(i: usize, n: usize, r: E) -> [E; 2] {
    let scale = power_of_half(n - i);
    [(r - half()) * scale, (r.square() - half()) * scale]
}

/// What the rounds of an opening leave.
pub struct Walked<E = K> {
    /// The point s at which the vector must be opened.
    pub point: Vec<E>,
    /// Weight of each mask of the rounds, `v`.
    pub weights: Vec<E>,
    /// `<v, N> + Phi(s) A(s)`.
    pub sum: E,
}

/// Reads the rounds.
///
/// Errors: `opening.rounds`: their number is not the plan's.
pub fn read<C: Channel>(
    plan: &Plan,
    value: C::E,
    proof: &OpeningProof<C::E>,
    transcript: &mut C,
) -> Result<Walked<C::E>, Reject> {
    let n = plan.log;
    if proof.rounds.len() != n {
        return Err(Reject::new("opening.rounds", n, proof.rounds.len()));
    }
    let mut walked = Walked {
        point: alloc::vec![C::E::ZERO; n],
        weights: Vec::with_capacity(2 * n),
        sum: value * power_of_half(n),
    };
    for (i, coefficients) in proof.rounds.iter().enumerate() {
        transcript.absorb(coefficients);
        let r = transcript.draw();
        walked.point[n - 1 - i] = r;
        let w = mask_weights(i + 1, n, r);
        walked.sum += w[0] * coefficients[0] + w[1] * coefficients[1];
        walked.weights.extend(w);
    }
    Ok(walked)
}

/// The second point: the masks' block, `t/(1+t)` between N and N', z over the masks, and the limb bits; and the factor `(1 + t) c`.
///
/// `None` for the negligible challenge at which it does not exist.
pub fn mask_point(plan: &Plan, t: K, z: &[K]) -> Option<(Vec<K>, K)> {
    let mut point = plan.prefix(plan.opening);
    point.push(K::ZERO);
    let mut factor = K::ONE + t;
    point.push(t * factor.try_inverse()?);
    point.extend_from_slice(z);
    for bit in (0..LIMBS_LOG2).rev() {
        let power = generator().exp_power_of_2(bit);
        point.push(power * (K::ONE + power).try_inverse()?);
        factor *= K::ONE + power;
    }
    Some((point, factor))
}

/// What is left of an opening once its relation is checked.
pub struct Related<E = K> {
    /// The point s at which the vector must take the claimed value.
    pub point: Vec<E>,
    /// The challenge t, where the rounds are masked.
    pub t: Option<E>,
}

/// Reads the rounds and checks that they end in the claimed value of the vector, their masks taken off by what the proof says of them.
///
/// Errors: `opening.rounds`, `opening.relation`.
pub fn relate<C: Channel>(
    plan: &Plan,
    folded: &Folded<C::E>,
    proof: &OpeningProof<C::E>,
    (value, said): (C::E, Option<&MaskProof<C::E>>),
    transcript: &mut C,
) -> Result<Related<C::E>, Reject> {
    if let Some(masks) = said.map(|said| &said.masks).filter(|masks| masks.len() != 2 * plan.log) {
        return Err(Reject::new("opening.rounds", 2 * plan.log, masks.len()));
    }
    let Walked { point, weights, sum } = read(plan, folded.value, proof, transcript)?;
    let at = folded.at(plan, &point) * value;
    let broken = Err(Reject::new("opening.relation", "the sum that the claims imply", "another"));
    let Some(MaskProof { cross, masks }) = said else {
        return if sum.equals(at) { Ok(Related { point, t: None }) } else { broken };
    };
    transcript.absorb(&[value, *cross]);
    let t = transcript.draw();
    transcript.absorb(masks);
    let masked: C::E = weights.iter().zip(masks).map(|(v, r)| *v * *r).sum();
    if masked.equals(sum - at + t * *cross) { Ok(Related { point, t: Some(t) }) } else { broken }
}

/// Checks the opening of `<Phi, A> = V`.
///
/// Errors: `opening.rounds`, `opening.masks`, `opening.relation`, `opening.value`, `commitment.opening`.
pub fn verify<P: Profile>(
    pcs: &P::Pcs,
    plan: &Plan,
    folded: &Folded,
    proof: &Proof<P>,
    transcript: &mut Transcript<P>,
) -> Result<(), Reject> {
    let said = proof.masks.said();
    let values = P::values(&proof.pcs);
    if values.len() != 1 + usize::from(P::Masks::HIDING && P::Masks::IN_VECTOR) {
        return Err(Reject::new("opening.value", "a value for each opened point", values.len()));
    }
    let Related { point, t } = relate(plan, folded, &proof.opening, (values[0], said), transcript)?;
    let mut points = alloc::vec![point];
    let masked = said.zip(t).map(|(said, t)| Masked { t, masks: &said.masks });
    if let Some(Masked { t, masks }) = masked.filter(|_| P::Masks::IN_VECTOR) {
        let z = transcript.draw_point(plan.opening_log);
        let Some((second, factor)) = mask_point(plan, t, &z) else {
            return Err(Reject::new("opening.masks", "a challenge other than -1", "-1"));
        };
        let at_z = extension_at(&z, masks);
        if values[1] * factor != at_z {
            return Err(Reject::new("opening.masks", "the committed masks", "others"));
        }
        points.push(second);
    }
    P::verify(pcs, (&proof.commitment, &proof.pcs), (points, masked), &mut transcript.challenger)
}
