//! The tree of fractions over given leaves, layer by layer ([`proofmesh_proof::logup`]).

use p3_field::PrimeCharacteristicRing;
use proofmesh_proof::field::K;
use proofmesh_proof::logup::{LayerProof, LogupProof};
use proofmesh_proof::plan::{Plan, SumcheckPads};
use proofmesh_proof::transcript::Transcript;
use rayon::prelude::*;

use crate::rounds::{add, evaluate, multiply, send};

/// One layer: numerators and denominators.
pub struct Layer {
    /// Numerators.
    pub p: Vec<K>,
    /// Denominators.
    pub q: Vec<K>,
}

/// The layer above: node x has the children x and x + half.
fn parent(children: &Layer) -> Layer {
    let half = children.p.len() / 2;
    let ((p0, p1), (q0, q1)) = (children.p.split_at(half), children.q.split_at(half));
    let pairs = (0..half).into_par_iter().with_min_len(1 << 10);
    let (p, q) = pairs.map(|i| (p0[i] * q1[i] + p1[i] * q0[i], q0[i] * q1[i])).unzip();
    Layer { p, q }
}

/// `eq` tables of the suffixes `point[1..]`, `point[2..]`, ..
fn suffix_tables(point: &[K]) -> Vec<Vec<K>> {
    let mut tables = vec![vec![K::ONE]];
    for r in point[1..].iter().rev() {
        let last = tables.last().expect("starts with one");
        let high: Vec<K> = last.par_iter().with_min_len(1 << 11).map(|t| *t * *r).collect();
        let mut next: Vec<K> = last.iter().zip(&high).map(|(t, h)| *t - *h).collect();
        next.extend(high);
        tables.push(next);
    }
    tables.reverse();
    tables
}

/// Four factor tables `p0, p1, q0, q1` of one layer's sumcheck.
type Factors = [Vec<K>; 4];

/// `t(0)` and the leading coefficient of `t(X) = sum_x eq(rest, x) (p0 q1 + p1 q0 + eta q0 q1)(X, x)`.
fn quadratic(factors: &Factors, weights: &[K], eta: K) -> (K, K) {
    let half = weights.len();
    let form = |p0: K, p1: K, q0: K, q1: K| (p0 + eta * q0) * q1 + p1 * q0;
    let one = |i: usize| {
        let low = factors.each_ref().map(|f| f[i]);
        let slope = factors.each_ref().map(|f| f[i + half] - f[i]);
        let w = weights[i];
        (w * form(low[0], low[1], low[2], low[3]), w * form(slope[0], slope[1], slope[2], slope[3]))
    };
    let add = |a: (K, K), b: (K, K)| (a.0 + b.0, a.1 + b.1);
    (0..half).into_par_iter().with_min_len(1 << 9).map(one).reduce(|| (K::ZERO, K::ZERO), add)
}

/// Binds the most significant variable.
fn bind(table: &mut Vec<K>, r: K) {
    let half = table.len() / 2;
    let (low, high) = table.split_at_mut(half);
    low.par_iter_mut().zip(high.par_iter()).with_min_len(1 << 11).for_each(|(l, h)| *l += r * (*h - *l));
    table.truncate(half);
}

/// What one layer leaves for the next.
struct Reduced {
    proof: LayerProof,
    point: Vec<K>,
    claims: [K; 2],
}

/// One layer's sumcheck at `point` for the claims `(p, q)`.
fn layer(
    children: &Layer,
    point: &[K],
    claims: [K; 2],
    masks: &SumcheckPads,
    pads: &[K],
    transcript: &mut Transcript,
) -> Reduced {
    let eta = transcript.draw();
    let half = children.p.len() / 2;
    let (p, q) = (&children.p, &children.q);
    let mut factors: Factors =
        [p[..half].to_vec(), p[half..].to_vec(), q[..half].to_vec(), q[half..].to_vec()];
    let suffixes = suffix_tables(point);
    let mut claim = claims[0] + eta * claims[1];
    // eq of the coordinates bound so far.
    let mut bound = K::ONE;
    let mut rounds = Vec::with_capacity(point.len());
    let mut bindings = Vec::with_capacity(point.len());
    let n = point.len();
    for i in 0..n - 1 {
        let (t0, t2) = quadratic(&factors, &suffixes[i], eta);
        // claim = bound * ((1-u) t(0) + u t(1)) gives t(1) without evaluating it.
        let u = point[i];
        let coefficients = linear_times_quadratic(claim, bound, u, t0, t2);
        let (sent, r) = send(&coefficients, masks.rounds[i].clone(), pads, transcript);
        claim = evaluate(&coefficients, r);
        bound *= K::ONE - u - r + (u * r).double();
        factors.iter_mut().for_each(|f| bind(f, r));
        rounds.push(sent);
        bindings.push(r);
    }
    let rho: Vec<K> = masks.values.iter().map(|i| pads[*i]).collect();
    let curves: Vec<[K; 3]> =
        factors.iter().zip(&rho).map(|(f, rho)| [f[0], f[1] - f[0] + *rho, -*rho]).collect();
    let product = add(
        &multiply(&add(&curves[0], &curves[2].map(|c| c * eta)), &curves[3]),
        &multiply(&curves[1], &curves[2]),
    );
    let u = point[n - 1];
    let eq = [bound * (K::ONE - u), bound * (u.double() - K::ONE)];
    let (sent, r) = send(&multiply(&product, &eq), masks.rounds[n - 1].clone(), pads, transcript);
    rounds.push(sent);
    bindings.push(r);
    let values: [K; 4] = std::array::from_fn(|f| evaluate(&curves[f], r));
    transcript.absorb(&values);
    let next = transcript.draw();
    let plain = factors.each_ref().map(|f| f[0] + r * (f[1] - f[0]));
    let claims = [plain[0] + next * (plain[1] - plain[0]), plain[2] + next * (plain[3] - plain[2])];
    let point = std::iter::once(next).chain(bindings).collect();
    Reduced { proof: LayerProof { rounds, values }, point, claims }
}

/// Coefficients of `bound * eq(u, X) * t(X)`, t quadratic with the given constant and leading coefficient, the sum at 0 and 1 the claim.
fn linear_times_quadratic(claim: K, bound: K, u: K, t0: K, t2: K) -> Vec<K> {
    use p3_field::Field;
    // A challenge u of 0 has negligible probability; t(1) is then free of the claim and the proof fails to verify.
    let inverse = (bound * u).try_inverse().unwrap_or(K::ZERO);
    let t1 = (claim - bound * (K::ONE - u) * t0) * inverse;
    let t = [t0, t1 - t0 - t2, t2];
    multiply(&t, &[bound * (K::ONE - u), bound * (u.double() - K::ONE)])
}

/// Proves the tree over its leaves.
pub fn prove(leaves: Layer, plan: &Plan, pads: &[K], transcript: &mut Transcript) -> LogupProof {
    let mut layers = vec![leaves];
    while layers[layers.len() - 1].p.len() > 2 {
        layers.push(parent(&layers[layers.len() - 1]));
    }
    let top = layers.pop().expect("the tree has a layer of two");
    let root = [top.q[0], top.q[1], top.p[0]];
    transcript.absorb(&root);
    let r = transcript.draw();
    let mut point = vec![r];
    let mut claims = [top.p[0] + r * (top.p[1] - top.p[0]), top.q[0] + r * (top.q[1] - top.q[0])];
    let mut proofs = Vec::with_capacity(plan.layers.len());
    for masks in &plan.layers {
        let children = layers.pop().expect("a layer a step");
        let reduced = layer(&children, &point, claims, masks, pads, transcript);
        (point, claims) = (reduced.point, reduced.claims);
        proofs.push(reduced.proof);
    }
    LogupProof { root, layers: proofs }
}
