//! The prover of the look-ups: multiplicities, leaves, and the tree of fractions ([`proofmesh_proof::logup`]).

use p3_field::{PrimeCharacteristicRing, PrimeField32};
use proofmesh_proof::field::{F, K};
use proofmesh_proof::logup::{LayerProof, LeafChallenges, LogupProof};
use proofmesh_proof::plan::{Plan, SumcheckPads};
use proofmesh_proof::system::{Expr, Lookup, Source, System, Term};
use proofmesh_proof::transcript::Transcript;
use rayon::prelude::*;
use std::sync::Arc;

use crate::ProveError;
use crate::materialise;

/// One look-up's rows over the base field.
pub struct Rows {
    keys: Vec<F>,
    values: Vec<F>,
    real: Vec<bool>,
}

/// The rows of a look-up.
fn rows(lookup: &Lookup, columns: &[Vec<F>]) -> Rows {
    let one =
        Term { coef: F::ONE, source: Source::Public(Arc::new(vec![F::ONE])), axes: lookup.real.clone() };
    let indicator = Expr { constant: F::ZERO, terms: vec![one] };
    let real = materialise::table::<F>(&indicator, lookup.vars, columns, &[]);
    Rows {
        keys: materialise::table(&lookup.key, lookup.vars, columns, &[]),
        values: materialise::table(&lookup.value, lookup.vars, columns, &[]),
        real: real.into_iter().map(|v| v == F::ONE).collect(),
    }
}

/// Fills the tables' multiplicities and gives every look-up's rows.
///
/// Errors: the name of a look-up with a row that its table lacks: the execution does not satisfy the claims.
pub fn multiplicities(system: &System, columns: &mut [Vec<F>]) -> Result<Vec<Rows>, ProveError> {
    let all: Vec<Rows> = system.lookups.iter().map(|l| rows(l, columns)).collect();
    let mut counts: Vec<Vec<u32>> = system.tables.iter().map(|t| vec![0; 1 << t.log]).collect();
    for (lookup, rows) in system.lookups.iter().zip(&all) {
        let table = &system.tables[lookup.table];
        let first = proofmesh_proof::field::int(table.first);
        for i in (0..rows.keys.len()).filter(|i| rows.real[*i]) {
            let row = (rows.keys[i] - first).as_canonical_u32() as usize;
            let fits =
                row < 1 << table.log && proofmesh_proof::field::int(table.value(row)) == rows.values[i];
            if !fits {
                return Err(ProveError::Unsatisfied(lookup.name.clone()));
            }
            counts[lookup.table][row] += 1;
        }
    }
    for (table, counts) in system.tables.iter().zip(counts) {
        columns[table.multiplicity] = counts.into_iter().map(F::from_u32).collect();
    }
    Ok(all)
}

/// One layer: numerators and denominators.
struct Layer {
    p: Vec<K>,
    q: Vec<K>,
}

/// The leaves.
fn leaves(
    system: &System,
    plan: &Plan,
    rows: &[Rows],
    columns: &[Vec<F>],
    challenges: LeafChallenges,
    pads: &[K],
) -> Layer {
    let size = 1 << plan.leaves.depth;
    let mut layer = Layer { p: vec![K::ZERO; size], q: vec![K::ONE; size] };
    for ((lookup, rows), offset) in system.lookups.iter().zip(rows).zip(&plan.leaves.lookups) {
        let pole = challenges.offset(lookup.table);
        let constant_value = lookup.value.terms.is_empty();
        let shared = pole - challenges.gamma * lookup.value.constant;
        let span = *offset..offset + rows.keys.len();
        let leaves =
            layer.p[span.clone()].par_iter_mut().zip(layer.q[span].par_iter_mut()).with_min_len(1 << 10);
        leaves.enumerate().for_each(|(i, (p, q))| {
            if rows.real[i] {
                *p = -K::ONE;
            }
            *q =
                if constant_value { shared } else { pole - challenges.gamma * rows.values[i] } - rows.keys[i];
        });
    }
    for ((index, table), offset) in system.tables.iter().enumerate().zip(&plan.leaves.tables) {
        let pole = challenges.offset(index);
        for (i, count) in columns[table.multiplicity].iter().enumerate() {
            layer.p[offset + i] = K::from(*count);
            let key = proofmesh_proof::field::int(table.first + i as i64);
            let value = proofmesh_proof::field::int(table.value(i));
            layer.q[offset + i] = pole - challenges.gamma * value - key;
        }
    }
    let [nu, w0, w1] = plan.root_pads.map(|i| pads[i]);
    let at = plan.leaves.mask;
    layer.p[at..at + 2].copy_from_slice(&[nu, -nu]);
    layer.q[at + 2..at + 4].copy_from_slice(&[w0, w1]);
    layer
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
    transcript: &mut Transcript,
) -> (Vec<K>, K) {
    let at = |j: usize| coefficients.get(j).copied().unwrap_or(K::ZERO);
    let sent: Vec<K> = masks.enumerate().map(|(j, mask)| at(j + 1) + pads[mask]).collect();
    transcript.absorb(&sent);
    (sent, transcript.draw())
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

/// A polynomial at a point.
pub fn evaluate(coefficients: &[K], x: K) -> K {
    coefficients.iter().rev().fold(K::ZERO, |acc, c| acc * x + *c)
}

/// Proves the look-ups.
pub fn prove(
    system: &System,
    plan: &Plan,
    rows: &[Rows],
    columns: &[Vec<F>],
    pads: &[K],
    transcript: &mut Transcript,
) -> LogupProof {
    let challenges = LeafChallenges::draw(transcript);
    let mut layers = vec![leaves(system, plan, rows, columns, challenges, pads)];
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
