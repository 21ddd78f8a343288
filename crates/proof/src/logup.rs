//! Look-ups by a tree of fractions (LogUp-GKR: Haboeck 2022/1530; Papini and Haboeck 2023/1284).
//!
//! Leaves: `-real(x) / (beta - fp(x))` for a look-up, `m(x) / (beta - fp(x))` for a table's row, with
//! `fp = key + gamma * value + gamma^2 * tag`; `0/1` elsewhere. All look-ups hold if and only if the fractions sum to 0. Four mask leaves
//! `nu/1, -nu/1, 0/w0, 0/w1`, the first and third in the even half, make the two children of the root uniform.
//!
//! Node x of layer j has the children `(0, x)` and `(1, x)` in layer j + 1. Layer by layer, at point u and with challenge eta,
//! `p_j(u) + eta q_j(u) = sum_x eq(u, x) [p0 q1 + p1 q0 + eta q0 q1](x)`.

use alloc::vec::Vec;
use p3_field::PrimeCharacteristicRing;
use serde::{Deserialize, Serialize};

use crate::field::{F, K, eq, eq_vertex};
use crate::plan::Plan;
use crate::reject::Reject;
use crate::scalar::Scalar;
use crate::sumcheck;
use crate::system::{Affine, AxisWeights, System, WeighedTerm, Words, real_at};
use crate::transcript::Channel;

/// One layer of the tree.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LayerProof<E = K> {
    /// Masked coefficients of degree 1, 2, .. of each round.
    pub rounds: Vec<Vec<E>>,
    /// Masked `p0, p1, q0, q1` at the layer's point.
    pub values: [E; 4],
}

/// The look-ups' part of a proof.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LogupProof<E = K> {
    /// `q(0), q(1), p(0)` of the root's children; `p(1)` follows.
    pub root: [E; 3],
    /// Layers 1 .. depth - 1.
    pub layers: Vec<LayerProof<E>>,
}

/// Challenges of the leaves.
#[derive(Clone, Copy, Debug)]
pub struct LeafChallenges<E = K> {
    /// The pole.
    pub beta: E,
    /// Combines key, value and tag.
    pub gamma: E,
}

impl<E: Scalar> LeafChallenges<E> {
    /// Draws them.
    pub fn draw<C: Channel<E = E> + ?Sized>(transcript: &mut C) -> Self {
        Self { beta: transcript.draw(), gamma: transcript.draw() }
    }

    /// `beta - gamma^2 * tag` of a table.
    pub fn offset(&self, table: usize) -> E {
        self.beta - self.gamma.square() * F::from_usize(table + 1)
    }
}

/// What the tree leaves to the main sumcheck: `sum_l weights[l] * (sums in the key of look-up l, at row point(l)) = rest`.
#[derive(Clone, Debug)]
pub struct LeafClaim<E = K> {
    /// The leaves' point; a look-up's row is its last coordinates.
    pub point: Vec<E>,
    /// Weight of each look-up's block at the point.
    pub weights: Vec<E>,
    /// Everything of the denominators but those sums.
    pub rest: Affine<E>,
}

/// Checks the tree and gives what remains: a linear equation (`= 0`) on the committed vector, and the claim about the denominators.
///
/// Errors: `logup.root` (a zero denominator), `logup.rounds`, `logup.layers`.
pub fn verify<C: Channel>(
    system: &System,
    plan: &Plan,
    words: Words<'_, C::E>,
    proof: &LogupProof<C::E>,
    transcript: &mut C,
    equations: &mut Vec<Affine<C::E>>,
) -> Result<LeafClaim<C::E>, Reject> {
    let challenges = LeafChallenges::draw(transcript);
    if proof.layers.len() != plan.layers.len() {
        return Err(Reject::new("logup.layers", plan.layers.len(), proof.layers.len()));
    }
    let [q0, q1, p0] = proof.root;
    transcript.absorb(&proof.root);
    let Some(inverse) = q0.reciprocal().filter(|_| q1.differs(K::ZERO)) else {
        return Err(Reject::new("logup.root", "denominators other than 0", "0"));
    };
    let p1 = -p0 * q1 * inverse;
    let r = transcript.draw();
    let mut point = alloc::vec![r];
    let mut numerator = Affine::constant(p0 + r * (p1 - p0));
    let mut denominator = Affine::constant(q0 + r * (q1 - q0));
    for (layer, pads) in proof.layers.iter().zip(&plan.layers) {
        let eta = transcript.draw();
        let rounds = sumcheck::read(&layer.rounds, pads, "logup.rounds", transcript)?;
        transcript.absorb(&layer.values);
        let r = transcript.draw();
        let [p0, p1, q0, q1] = layer.values;
        // claim_n = eq * (p0 q1 + p1 q0 + eta q0 q1), an equation in masks and known values.
        let mut equation = rounds.claim;
        equation.add_scaled(numerator, C::E::from(rounds.scale));
        equation.add_scaled(denominator, eta * rounds.scale);
        equation.constant -= eq(&point, &rounds.point) * (p0 * q1 + p1 * q0 + eta * q0 * q1);
        equations.push(equation);
        // The unmasked values at the next point: y - zz * rho, combined by the new first coordinate.
        let last = *rounds.point.last().expect("layers have at least one variable");
        let zz = last * (C::E::ONE - last);
        let child = |a: C::E, b: C::E, rho: [usize; 2]| Affine {
            constant: a + r * (b - a),
            terms: Vec::new(),
            pads: alloc::vec![(rho[0], -zz * (C::E::ONE - r)), (rho[1], -zz * r)],
        };
        let rho = &pads.values;
        numerator = child(p0, p1, [rho[0], rho[1]]);
        denominator = child(q0, q1, [rho[2], rho[3]]);
        point = core::iter::once(r).chain(rounds.point).collect();
    }
    let (mut p, mut rest) = leaves_at(system, plan, words, challenges, &point);
    p.add_scaled(numerator, C::E::NEG_ONE);
    equations.push(p);
    rest.add_scaled(denominator, C::E::NEG_ONE);
    let weights = block_weights(system, plan, &point);
    Ok(LeafClaim { point, weights, rest })
}

/// Weight of each look-up's block at a point of the leaves.
pub fn block_weights<E: Scalar>(system: &System, plan: &Plan, point: &[E]) -> Vec<E> {
    let blocks = system.lookups.iter().zip(&plan.leaves.lookups);
    blocks.map(|(l, offset)| eq_vertex(&point[..point.len() - l.vars], offset >> l.vars)).collect()
}

/// Numerator and denominator of the leaves at a point, affine in the committed vector; the sums in the keys are left out.
fn leaves_at<E: Scalar>(
    system: &System,
    plan: &Plan,
    words: Words<'_, E>,
    challenges: LeafChallenges<E>,
    point: &[E],
) -> (Affine<E>, Affine<E>) {
    let split = |offset: usize, log: usize| {
        let (high, low) = point.split_at(point.len() - log);
        (eq_vertex(high, offset >> log), low)
    };
    let mut p = Affine::default();
    let mut q = Affine::constant(E::ONE);
    for (lookup, offset) in system.lookups.iter().zip(&plan.leaves.lookups) {
        let (weight, x) = split(*offset, lookup.vars);
        p.constant -= weight * real_at(&lookup.real, x);
        q.constant += weight * (challenges.offset(lookup.table) - E::ONE);
        q.add_scaled(lookup.key.at(&[], x, words), -weight);
        q.add_scaled(lookup.value.at(&[], x, words), -weight * challenges.gamma);
    }
    for (index, (table, offset)) in system.tables.iter().zip(&plan.leaves.tables).enumerate() {
        let (weight, x) = split(*offset, table.log);
        let axes = alloc::vec![AxisWeights::Eq(x.to_vec())];
        p.terms.push(WeighedTerm { coef: weight, column: table.multiplicity, axes });
        let (key, value) = table.at(x);
        q.constant += weight * (challenges.offset(index) - key - challenges.gamma * value - E::ONE);
    }
    if !plan.hiding {
        return (p, q);
    }
    let (weight, x) = split(plan.leaves.mask, 2);
    let [nu, w0, w1] = plan.root_pads;
    p.pads.push((nu, weight * (eq_vertex(x, 0) - eq_vertex(x, 1))));
    for (leaf, pad) in [(2, w0), (3, w1)] {
        let w = weight * eq_vertex(x, leaf);
        q.constant -= w;
        q.pads.push((pad, w));
    }
    (p, q)
}
