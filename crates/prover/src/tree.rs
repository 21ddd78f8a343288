//! The tree of fractions over given leaves, layer by layer ([`proofmesh_proof::logup`]).
//!
//! Leaves are never stored as fractions: their source computes any stretch of them, once for the layer above and twice for their own
//! sumcheck. The other layers take 40 bytes a leaf together and are freed as they are consumed. Rounds bind the most significant variable,
//! so a round's four neighbours lie a quarter of a table apart, whole registers each; one pass binds one variable in place and evaluates
//! the next round's polynomial. Equality weights are a product of two short tables.

use p3_field::{Field, PrimeCharacteristicRing};
use proofmesh_proof::field::K;
use proofmesh_proof::logup::{LayerProof, LogupProof};
use proofmesh_proof::plan::{Plan, SumcheckPads};
use proofmesh_proof::transcript::Channel;
use rayon::prelude::*;

use crate::lanes::{Lanes, PackedK, SingleK, WIDTH};
use crate::rounds::{add, evaluate, multiply, send};

/// `log2` of the elements that one task works through with one outer weight.
const STRETCH_LOG: usize = 9;

/// What gives the leaves: any stretch of them, as often as asked.
pub trait Leaves: Sync {
    /// `log2` of the leaves.
    fn depth(&self) -> usize;
    /// Writes numerators and denominators of leaves `WIDTH * start ..`, as many as the slices hold.
    fn read(&self, start: usize, p: &mut [PackedK], q: &mut [PackedK]);
}

/// One layer: numerators and denominators.
struct Layer<R> {
    p: Vec<R>,
    q: Vec<R>,
}

impl<R: Lanes> Layer<R> {
    /// The layer above: node x has the children x and x + half.
    fn parent(&self) -> Self {
        let half = self.p.len() / 2;
        let ((p0, p1), (q0, q1)) = (self.p.split_at(half), self.q.split_at(half));
        let nodes = (p0, p1, q0, q1).into_par_iter().with_min_len(1 << 7);
        let (p, q) = nodes.map(|(p0, p1, q0, q1)| (*p0 * *q1 + *p1 * *q0, *q0 * *q1)).unzip();
        Self { p, q }
    }

    /// The same layer, one node a value.
    fn single(&self) -> Layer<SingleK> {
        let one = |t: &[R]| SingleK::pack(&R::unpack(t));
        Layer { p: one(&self.p), q: one(&self.q) }
    }
}

/// A stretch of leaves of each of `N` blocks.
struct Stretches<const N: usize> {
    p: [Vec<PackedK>; N],
    q: [Vec<PackedK>; N],
}

impl<const N: usize> Stretches<N> {
    fn new(len: usize) -> Self {
        let table = |_| vec![PackedK::ZERO; len];
        Self { p: std::array::from_fn(table), q: std::array::from_fn(table) }
    }

    /// Reads the same stretch of the `N` equal parts of the leaves.
    fn read(&mut self, leaves: &impl Leaves, start: usize) {
        let part = (1usize << leaves.depth()) / WIDTH / N;
        for (i, (p, q)) in self.p.iter_mut().zip(&mut self.q).enumerate() {
            leaves.read(start + i * part, p, q);
        }
    }
}

/// The layer above the leaves.
fn above(leaves: &impl Leaves) -> Layer<PackedK> {
    let half = (1usize << leaves.depth()) / WIDTH / 2;
    let len = half.min((1usize << STRETCH_LOG).div_ceil(WIDTH));
    let mut layer = Layer { p: vec![PackedK::ZERO; half], q: vec![PackedK::ZERO; half] };
    let stretches = (layer.p.par_chunks_mut(len), layer.q.par_chunks_mut(len)).into_par_iter().enumerate();
    stretches.for_each_init(
        || Stretches::<2>::new(len),
        |part, (i, (p, q))| {
            part.read(leaves, i * len);
            for x in 0..len {
                let (p0, p1, q0, q1) = (part.p[0][x], part.p[1][x], part.q[0][x], part.q[1][x]);
                p[x] = p0 * q1 + p1 * q0;
                q[x] = q0 * q1;
            }
        },
    );
    layer
}

/// `eq` tables of all suffixes of a point, the whole point first, the empty one last.
fn suffix_tables(point: &[K]) -> Vec<Vec<K>> {
    let mut tables = vec![vec![K::ONE]];
    for r in point.iter().rev() {
        let last = &tables[tables.len() - 1];
        let high: Vec<K> = last.iter().map(|t| *t * *r).collect();
        let low = last.iter().zip(&high).map(|(t, h)| *t - *h);
        let next = low.chain(high.iter().copied()).collect();
        tables.push(next);
    }
    tables.reverse();
    tables
}

/// `eq(point[i + 1..], x)` for every round i, each as `outer[high bits of x] * inner[low bits of x]`.
struct Weights<R> {
    outer: Vec<Vec<K>>,
    inner: Vec<Vec<R>>,
}

impl<R: Lanes> Weights<R> {
    fn new(point: &[K]) -> Self {
        let rest = &point[1..];
        let (high, low) = rest.split_at(rest.len() - rest.len().min(STRETCH_LOG));
        let whole = |t: &Vec<K>| t.len() >= R::WIDTH;
        let inner = suffix_tables(low).iter().filter(|t| whole(t)).map(|t| R::pack(t)).collect();
        Self { outer: suffix_tables(high), inner }
    }

    /// The weights of round `i`.
    fn round(&self, i: usize) -> (&[K], &[R]) {
        let bound = self.outer.len() - 1;
        (&self.outer[i.min(bound)], &self.inner[i.saturating_sub(bound)])
    }
}

/// `t(0)` and the leading coefficient of a round's `t(X) = sum_x eq(rest, x) (p0 q1 + p1 q0 + eta q0 q1)(X, x)`.
#[derive(Clone, Copy)]
struct Quadratic<R>([R; 2]);

impl<R: Lanes> Quadratic<R> {
    const ZERO: Self = Self([R::ZERO; 2]);

    /// Adds one index: `low` and `high` hold `p0 + eta q0, p1, q0, q1` at 0 and at 1 of the round's variable.
    fn add_index(&mut self, weight: R, low: [R; 4], high: [R; 4]) {
        let form = |f: [R; 4]| f[0] * f[3] + f[1] * f[2];
        self.0[0] += weight * form(low);
        self.0[1] += weight * form(std::array::from_fn(|f| high[f] - low[f]));
    }

    fn times(self, weight: K) -> Self {
        Self(self.0.map(|v| v * weight))
    }

    fn add(self, other: Self) -> Self {
        Self([self.0[0] + other.0[0], self.0[1] + other.0[1]])
    }

    fn total(self) -> [K; 2] {
        self.0.map(R::total)
    }
}

/// The four factors `p0 + eta q0, p1, q0, q1` of a layer's sumcheck.
type Factors<'a, R> = [&'a mut [R]; 4];

/// The first round's polynomial of a stored layer; `p0` becomes `p0 + eta q0`.
fn first<R: Lanes>(factors: &mut Factors<'_, R>, eta: K, (outer, inner): (&[K], &[R])) -> [K; 2] {
    let eta = R::from(eta);
    let size = inner.len();
    let [p0, p1, q0, q1] = factors;
    let half = p0.len() / 2;
    let (low, high) = p0.split_at_mut(half);
    let p0 = (low.par_chunks_mut(size), high.par_chunks_mut(size)).into_par_iter();
    let rest = [&**p1, &**q0, &**q1].map(|f| {
        let (low, high) = f.split_at(half);
        (low.par_chunks(size), high.par_chunks(size)).into_par_iter()
    });
    let [p1, q0, q1] = rest;
    let stretches = (p0, p1, q0, q1, outer).into_par_iter();
    type Halves<'a, R> = (&'a [R], &'a [R]);
    type Stretch<'a, R> = ((&'a mut [R], &'a mut [R]), Halves<'a, R>, Halves<'a, R>, Halves<'a, R>, &'a K);
    let one = |(p0, p1, q0, q1, weight): Stretch<'_, R>| {
        let mut sum = Quadratic::ZERO;
        for (x, inner) in inner.iter().enumerate() {
            p0.0[x] += eta * q0.0[x];
            p0.1[x] += eta * q0.1[x];
            let low = [p0.0[x], p1.0[x], q0.0[x], q1.0[x]];
            let high = [p0.1[x], p1.1[x], q0.1[x], q1.1[x]];
            sum.add_index(*inner, low, high);
        }
        sum.times(*weight)
    };
    stretches.map(one).reduce(|| Quadratic::ZERO, Quadratic::add).total()
}

/// A stretch of each quarter of a table: the first two are overwritten.
type Quarters<'a, R> = (&'a mut [R], &'a mut [R], &'a [R], &'a [R]);

fn quarters<R: Lanes>(table: &mut [R], size: usize) -> impl IndexedParallelIterator<Item = Quarters<'_, R>> {
    let quarter = table.len() / 4;
    let (low, high) = table.split_at_mut(2 * quarter);
    let ((a, b), (c, d)) = (low.split_at_mut(quarter), high.split_at(quarter));
    (a.par_chunks_mut(size), b.par_chunks_mut(size), c.par_chunks(size), d.par_chunks(size)).into_par_iter()
}

/// Binds one variable to `r` in place and gives the polynomial of the next round.
fn step<R: Lanes>(factors: &mut Factors<'_, R>, r: K, (outer, inner): (&[K], &[R])) -> [K; 2] {
    let r = R::from(r);
    let size = inner.len();
    let [f0, f1, f2, f3] = factors.each_mut().map(|f| quarters(f, size));
    let one = |(f0, f1, f2, f3, weight): (
        Quarters<'_, R>,
        Quarters<'_, R>,
        Quarters<'_, R>,
        Quarters<'_, R>,
        &K,
    )| {
        let mut tables = [f0, f1, f2, f3];
        let mut sum = Quadratic::ZERO;
        for x in 0..size {
            let mut low = [R::ZERO; 4];
            let mut high = [R::ZERO; 4];
            for (f, (a, b, c, d)) in tables.iter_mut().enumerate() {
                low[f] = a[x] + r * (c[x] - a[x]);
                high[f] = b[x] + r * (d[x] - b[x]);
                (a[x], b[x]) = (low[f], high[f]);
            }
            sum.add_index(inner[x], low, high);
        }
        sum.times(*weight)
    };
    let sum = (f0, f1, f2, f3, outer).into_par_iter().map(one).reduce(|| Quadratic::ZERO, Quadratic::add);
    for f in factors {
        let table = std::mem::take(f);
        let half = table.len() / 2;
        *f = &mut table[..half];
    }
    sum.total()
}

/// The first round's polynomial of the leaves.
fn first_of_leaves(leaves: &impl Leaves, eta: K, (outer, inner): (&[K], &[PackedK])) -> [K; 2] {
    let eta = PackedK::from(eta);
    let size = inner.len();
    let one = |part: &mut Stretches<4>, (i, weight): (usize, &K)| {
        part.read(leaves, i * size);
        let (p, q) = (&part.p, &part.q);
        let mut sum = Quadratic::ZERO;
        for x in 0..size {
            // Parts 0 and 1 are the low and the high half of the even children, 2 and 3 of the odd ones.
            let at = |v: usize| [p[v][x] + eta * q[v][x], p[v + 2][x], q[v][x], q[v + 2][x]];
            sum.add_index(inner[x], at(0), at(1));
        }
        sum.times(*weight)
    };
    let stretches = outer.par_iter().enumerate().map_init(|| Stretches::new(size), one);
    stretches.reduce(|| Quadratic::ZERO, Quadratic::add).total()
}

/// Binds the leaves' first variable to `r`: the factors, and the polynomial of the next round.
fn bind_leaves(
    leaves: &impl Leaves,
    eta: K,
    r: K,
    (outer, inner): (&[K], &[PackedK]),
) -> ([Vec<PackedK>; 4], [K; 2]) {
    let (eta, r) = (PackedK::from(eta), PackedK::from(r));
    let size = inner.len();
    let half = outer.len() * size;
    let mut tables: [Vec<PackedK>; 4] = std::array::from_fn(|_| vec![PackedK::ZERO; 2 * half]);
    let halves = tables.each_mut().map(|t| {
        let (low, high) = t.split_at_mut(half);
        (low.par_chunks_mut(size), high.par_chunks_mut(size)).into_par_iter()
    });
    let [p0, p1, q0, q1] = halves;
    type Halves<'a> = (&'a mut [PackedK], &'a mut [PackedK]);
    let one = |part: &mut Stretches<8>,
               (i, (p0, p1, q0, q1, weight)): (
        usize,
        (Halves<'_>, Halves<'_>, Halves<'_>, Halves<'_>, &K),
    )| {
        part.read(leaves, i * size);
        let (p, q) = (&part.p, &part.q);
        let mut sum = Quadratic::ZERO;
        for x in 0..size {
            // Bits of a part: the child, the bound variable, the next round's variable.
            let at = |next: usize| {
                let bind = |t: &[Vec<PackedK>; 8], child: usize| {
                    let low = t[4 * child + next][x];
                    low + r * (t[4 * child + 2 + next][x] - low)
                };
                let q0 = bind(q, 0);
                [bind(p, 0) + eta * q0, bind(p, 1), q0, bind(q, 1)]
            };
            let (low, high) = (at(0), at(1));
            (p0.0[x], p1.0[x], q0.0[x], q1.0[x]) = low.into();
            (p0.1[x], p1.1[x], q0.1[x], q1.1[x]) = high.into();
            sum.add_index(inner[x], low, high);
        }
        sum.times(*weight)
    };
    let stretches = (p0, p1, q0, q1, outer).into_par_iter().enumerate();
    let sums = stretches.map_init(|| Stretches::new(size), one).reduce(|| Quadratic::ZERO, Quadratic::add);
    (tables, sums.total())
}

/// One layer's sumcheck under way.
struct Sumcheck<'a> {
    point: &'a [K],
    masks: &'a SumcheckPads,
    pads: &'a [K],
    transcript: &'a mut dyn Channel<E = K>,
    /// What the rest of the rounds sums to.
    claim: K,
    /// `eq` of the coordinates bound so far.
    bound: K,
    rounds: Vec<Vec<K>>,
    bindings: Vec<K>,
}

/// What one layer leaves for the next.
struct Reduced {
    proof: LayerProof,
    point: Vec<K>,
    claims: [K; 2],
}

impl Sumcheck<'_> {
    /// Sends one round's polynomial and gives the challenge.
    fn send(&mut self, [t0, t2]: [K; 2]) -> K {
        let i = self.rounds.len();
        let u = self.point[i];
        let coefficients = linear_times_quadratic(self.claim, self.bound, u, t0, t2);
        let (sent, r) = send(&coefficients, self.masks.rounds[i].clone(), self.pads, self.transcript);
        self.claim = evaluate(&coefficients, r);
        self.bound *= K::ONE - u - r + (u * r).double();
        self.rounds.push(sent);
        self.bindings.push(r);
        r
    }

    /// All rounds but the last, from factors whose next polynomial is `sums`; gives the factors' last two values.
    fn run<R: Lanes>(&mut self, mut factors: Factors<'_, R>, mut sums: [K; 2]) -> [[K; 2]; 4] {
        let done = self.rounds.len();
        let weights = Weights::<R>::new(&self.point[done..]);
        while factors[0].len() > 2 {
            let r = self.send(sums);
            sums = step(&mut factors, r, weights.round(self.rounds.len() - done));
        }
        let last = factors.map(|f| R::unpack(f));
        if last[0].len() == 2 {
            return last.map(|f| [f[0], f[1]]);
        }
        let mut last = last.map(|f| SingleK::pack(&f));
        self.run(last.each_mut().map(Vec::as_mut_slice), sums)
    }

    /// The layer's rounds when its nodes are stored.
    fn stored<R: Lanes>(&mut self, layer: &mut Layer<R>, eta: K) -> [[K; 2]; 4] {
        let half = layer.p.len() / 2;
        let ((p0, p1), (q0, q1)) = (layer.p.split_at_mut(half), layer.q.split_at_mut(half));
        let mut factors = [p0, p1, q0, q1];
        let weights = Weights::<R>::new(self.point);
        let sums = first(&mut factors, eta, weights.round(0));
        self.run(factors, sums)
    }

    /// The rounds of the leaves.
    fn leaves(&mut self, leaves: &impl Leaves, eta: K) -> [[K; 2]; 4] {
        let weights = Weights::<PackedK>::new(self.point);
        let r = self.send(first_of_leaves(leaves, eta, weights.round(0)));
        let (mut tables, sums) = bind_leaves(leaves, eta, r, weights.round(1));
        self.run(tables.each_mut().map(Vec::as_mut_slice), sums)
    }

    /// The last round, in which factors carry their masks, and the values; `factors` hold `p0 + eta q0, p1, q0, q1`.
    fn finish(mut self, factors: [[K; 2]; 4], eta: K) -> Reduced {
        let [sum, p1, q0, q1] = factors;
        let p0 = [sum[0] - eta * q0[0], sum[1] - eta * q0[1]];
        let factors = [p0, p1, q0, q1];
        let rho: Vec<K> = self.masks.values.iter().map(|i| self.pads[*i]).collect();
        let curves: Vec<[K; 3]> =
            factors.iter().zip(&rho).map(|(f, rho)| [f[0], f[1] - f[0] + *rho, -*rho]).collect();
        let product = add(
            &multiply(&add(&curves[0], &curves[2].map(|c| c * eta)), &curves[3]),
            &multiply(&curves[1], &curves[2]),
        );
        let i = self.point.len() - 1;
        let u = self.point[i];
        let eq = [self.bound * (K::ONE - u), self.bound * (u.double() - K::ONE)];
        let masks = self.masks.rounds[i].clone();
        let (sent, r) = send(&multiply(&product, &eq), masks, self.pads, self.transcript);
        self.rounds.push(sent);
        self.bindings.push(r);
        let values: [K; 4] = std::array::from_fn(|f| evaluate(&curves[f], r));
        self.transcript.absorb(&values);
        let next = self.transcript.draw();
        let [p0, p1, q0, q1] = factors.map(|f| f[0] + r * (f[1] - f[0]));
        Reduced {
            proof: LayerProof { rounds: self.rounds, values },
            point: std::iter::once(next).chain(self.bindings).collect(),
            claims: [p0 + next * (p1 - p0), q0 + next * (q1 - q0)],
        }
    }
}

/// Coefficients of `bound * eq(u, X) * t(X)`, t quadratic with the given constant and leading coefficient, the sum at 0 and 1 the claim.
fn linear_times_quadratic(claim: K, bound: K, u: K, t0: K, t2: K) -> Vec<K> {
    // A challenge u of 0 has negligible probability; t(1) is then free of the claim and the proof fails to verify.
    let inverse = (bound * u).try_inverse().unwrap_or(K::ZERO);
    let t1 = (claim - bound * (K::ONE - u) * t0) * inverse;
    let t = [t0, t1 - t0 - t2, t2];
    multiply(&t, &[bound * (K::ONE - u), bound * (u.double() - K::ONE)])
}

/// Proves the tree over its leaves.
pub fn prove(
    leaves: &impl Leaves,
    plan: &Plan,
    pads: &[K],
    transcript: &mut dyn Channel<E = K>,
) -> (LogupProof, Vec<K>) {
    // Layers of at least four registers are packed; those above, and a tree too small for registers, are scalars.
    let streamed = leaves.depth() >= WIDTH.trailing_zeros() as usize + 3;
    let mut packed = Vec::new();
    let mut scalar = Vec::new();
    if streamed {
        packed.push(above(leaves));
        while packed[packed.len() - 1].p.len() > 4 {
            packed.push(packed[packed.len() - 1].parent());
        }
        scalar.push(packed[packed.len() - 1].single().parent());
    } else {
        let len = (1usize << leaves.depth()).div_ceil(WIDTH);
        let mut all = Layer { p: vec![PackedK::ZERO; len], q: vec![PackedK::ZERO; len] };
        leaves.read(0, &mut all.p, &mut all.q);
        let mut all = all.single();
        all.p.truncate(1 << leaves.depth());
        all.q.truncate(1 << leaves.depth());
        scalar.push(all);
    }
    while scalar[scalar.len() - 1].p.len() > 2 {
        scalar.push(scalar[scalar.len() - 1].parent());
    }
    let top = scalar.pop().expect("the tree has a layer of two");
    let (top_p, top_q) = (Lanes::unpack(&top.p), Lanes::unpack(&top.q));
    let root = [top_q[0], top_q[1], top_p[0]];
    transcript.absorb(&root);
    let r = transcript.draw();
    let mut point = vec![r];
    let mut claims = [top_p[0] + r * (top_p[1] - top_p[0]), top_q[0] + r * (top_q[1] - top_q[0])];
    let mut layers = Vec::with_capacity(plan.layers.len());
    for masks in &plan.layers {
        let eta = transcript.draw();
        let claim = claims[0] + eta * claims[1];
        let (rounds, bindings) = (Vec::with_capacity(point.len()), Vec::with_capacity(point.len()));
        let mut sumcheck =
            Sumcheck { point: &point, masks, pads, transcript, claim, bound: K::ONE, rounds, bindings };
        let factors = if let Some(mut layer) = scalar.pop() {
            sumcheck.stored(&mut layer, eta)
        } else if let Some(mut layer) = packed.pop() {
            sumcheck.stored(&mut layer, eta)
        } else {
            sumcheck.leaves(leaves, eta)
        };
        let reduced = sumcheck.finish(factors, eta);
        (point, claims) = (reduced.point, reduced.claims);
        layers.push(reduced.proof);
    }
    (LogupProof { root, layers }, point)
}
