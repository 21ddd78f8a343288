//! The prover of the opening ([`proofmesh_proof::opening`]).
//!
//! `Phi` is never stored: any stretch of it is a sum of outer products of short tables, computed once for the first round and once when the
//! first variable is bound. From there on `Phi` and `A` are one table of pairs, half as long. Rounds bind the least significant variable:
//! neighbours are lanes of one register, and which bit of the lane moves by one with each round ([`lanes::split`]).

use std::ops::Range;

use p3_field::{PackedFieldPow2, PackedValue, PrimeCharacteristicRing};
use proofmesh_proof::field::{F, K, LIMBS, eq_table, limb_weights};
use proofmesh_proof::opening::{Folded, MaskProof, OpeningProof, mask_point, mask_weights};
use proofmesh_proof::plan::Plan;
use proofmesh_proof::system::{AxisWeights, WeighedTerm};
use proofmesh_proof::transcript::Channel;
use rayon::prelude::*;

use crate::ProveError;
use crate::lanes::{self, Lane, Lanes, PackedF, PackedK, WIDTH};

/// The opening's own masks, as committed.
pub struct Masks {
    /// `N`, two a round.
    pub first: Vec<K>,
    /// `N'`.
    pub second: Vec<K>,
}

/// `log2` of the elements that one task works through, and of the longest table that is made of shorter ones.
const STRETCH_LOG: usize = 10;

/// The registers of one task; four at least, which hold the neighbours of two rounds.
const fn stretch() -> usize {
    if 1 << STRETCH_LOG < 4 * WIDTH { 4 } else { (1 << STRETCH_LOG) / WIDTH }
}

/// Every product of an element of `a` and one of `b`, `a` the more significant.
fn outer(a: &[K], b: &[K]) -> Vec<K> {
    let mut out = Vec::with_capacity(a.len() * b.len());
    for x in a {
        if *x == K::ZERO {
            out.resize(out.len() + b.len(), K::ZERO);
        } else {
            out.extend(b.iter().map(|y| *x * *y));
        }
    }
    out
}

/// The weights of one term: cell `h * low + l` of its column weighs `high[h] * low[l]`.
struct Product {
    high: Vec<K>,
    low: Vec<K>,
}

impl Product {
    fn new(term: &WeighedTerm) -> Self {
        let mut product = Self { high: vec![term.coef], low: vec![K::ONE] };
        let mut rest: Vec<Vec<K>> = Vec::new();
        for axis in &term.axes {
            match axis {
                AxisWeights::Eq(point) => rest.extend(point.chunks(STRETCH_LOG).map(|p| eq_table(p, K::ONE))),
                axis => rest.push(axis.table()),
            }
        }
        while let Some(table) = rest.pop() {
            if product.low.len() >= WIDTH && product.low.len() * table.len() > 1 << STRETCH_LOG {
                rest.push(table);
                break;
            }
            product.low = outer(&table, &product.low);
        }
        for table in rest {
            product.high = outer(&product.high, &table);
        }
        product
    }
}

/// Weights of a stretch of whole registers.
enum Weights {
    /// A column's: sums of products.
    Products(Vec<(Vec<K>, Vec<PackedK>)>),
    /// One by one.
    Listed(Vec<PackedK>),
}

/// `Phi`, computed when it is read.
struct Phi {
    /// Disjoint stretches in registers, in order; `Phi` is zero elsewhere.
    stretches: Vec<(Range<usize>, Weights)>,
}

impl Phi {
    fn new(folded: &Folded, plan: &Plan) -> Self {
        let mut by_column: Vec<Vec<&WeighedTerm>> = vec![Vec::new(); plan.slots.len()];
        for term in &folded.terms {
            by_column[term.column].push(term);
        }
        let registers = |offset: usize, len: usize| offset / WIDTH..(offset + len) / WIDTH;
        let whole = |slot: usize| plan.slots[slot].log >= WIDTH.trailing_zeros() as usize;
        let columns =
            (0..plan.slots.len()).into_par_iter().filter(|c| whole(*c) && !by_column[*c].is_empty());
        let mut stretches: Vec<(Range<usize>, Weights)> = columns
            .map(|c| {
                let slot = plan.slots[c];
                let products = by_column[c].iter().map(|t| Product::new(t));
                let products = products.map(|p| (p.high, PackedK::pack(&p.low))).collect();
                (registers(slot.offset, 1 << slot.log), Weights::Products(products))
            })
            .collect();
        if plan.hiding {
            let mut pads = outer(&folded.pads, &limb_weights());
            pads.resize(pads.len().next_multiple_of(WIDTH.max(LIMBS)), K::ZERO);
            stretches.push((registers(plan.pads.offset, pads.len()), Weights::Listed(PackedK::pack(&pads))));
        }
        // Blocks lie in descending order of size: the columns smaller than a register share the last ones.
        let small = (0..plan.slots.len()).filter(|c| !whole(*c));
        if let Some(first) = small.clone().map(|c| plan.slots[c].offset).min() {
            let end = small.clone().map(|c| plan.slots[c].offset + (1 << plan.slots[c].log)).max();
            let mut cells = K::zero_vec((end.unwrap_or(first) - first).next_multiple_of(WIDTH));
            for c in small {
                for term in &by_column[c] {
                    let product = Product::new(term);
                    let weights = outer(&product.high, &product.low);
                    cells[plan.slots[c].offset - first..].iter_mut().zip(weights).for_each(|(c, w)| *c += w);
                }
            }
            stretches.push((registers(first, cells.len()), Weights::Listed(PackedK::pack(&cells))));
        }
        stretches.sort_by_key(|(span, _)| span.start);
        Self { stretches }
    }

    /// Writes the weights of registers `start ..`, as many as `out` holds.
    fn read(&self, start: usize, out: &mut [PackedK]) {
        out.fill(PackedK::ZERO);
        let end = start + out.len();
        let from = self.stretches.partition_point(|(span, _)| span.end <= start);
        for (span, weights) in self.stretches[from..].iter().take_while(|(span, _)| span.start < end) {
            let (first, last) = (span.start.max(start), span.end.min(end));
            let out = &mut out[first - start..last - start];
            match weights {
                Weights::Listed(listed) => {
                    out.copy_from_slice(&listed[first - span.start..last - span.start]);
                }
                Weights::Products(products) => {
                    for (high, low) in products {
                        add_product(high, low, first - span.start, out);
                    }
                }
            }
        }
    }
}

/// Adds a product's weights from register `at` of its column on.
fn add_product(high: &[K], low: &[PackedK], at: usize, mut out: &mut [PackedK]) {
    let (mut row, mut column) = (at / low.len(), at % low.len());
    while !out.is_empty() {
        let (now, rest) = out.split_at_mut(out.len().min(low.len() - column));
        if high[row] != K::ZERO {
            let weight = PackedK::from(high[row]);
            now.iter_mut().zip(&low[column..]).for_each(|(o, l)| *o += weight * *l);
        }
        (row, column, out) = (row + 1, 0, rest);
    }
}

/// A weight and a value.
type Pair<P> = [Lane<P>; 2];

/// The lane bit that holds the variable of round `i`.
fn block<P: PackedValue>(i: usize) -> usize {
    if P::WIDTH == 1 { 1 } else { 1 << (i % P::WIDTH.trailing_zeros() as usize) }
}

/// Values at 0 and at 1 of the variable of round `i`, for weight and value, from two neighbouring registers.
fn halves<P: PackedFieldPow2<Scalar = F>>(x: &[Pair<P>], i: usize) -> [(Lane<P>, Lane<P>); 2] {
    [0, 1].map(|t| lanes::split(x[0][t], x[1][t], block::<P>(i)))
}

/// Binds the variable of round `i` to `r`.
fn bind<P: PackedFieldPow2<Scalar = F>>(x: &[Pair<P>], i: usize, r: Lane<P>) -> Pair<P> {
    halves(x, i).map(|(low, high)| low + r * (high - low))
}

/// `t(0)` and the leading coefficient of a round's `t(X) = sum of weight(X) * value(X)`.
type Quadratic<P> = [Lane<P>; 2];

/// Adds two neighbouring registers.
fn accumulate<P: PackedFieldPow2<Scalar = F>>(sum: &mut Quadratic<P>, x: &[Pair<P>], i: usize) {
    let [weight, value] = halves(x, i);
    sum[0] += weight.0 * value.0;
    sum[1] += (weight.1 - weight.0) * (value.1 - value.0);
}

fn total<P: PackedFieldPow2<Scalar = F>>(sums: impl ParallelIterator<Item = Quadratic<P>>) -> [K; 2] {
    sums.reduce(|| [Lane::ZERO; 2], |x, y| [x[0] + y[0], x[1] + y[1]]).map(Lanes::total)
}

/// The first round: the sum over all cells, `t(0)` and the leading coefficient.
fn first(phi: &Phi, vector: &[PackedF]) -> [K; 3] {
    let one = |weights: &mut Vec<PackedK>, (i, cells): (usize, &[PackedF])| {
        phi.read(i * stretch(), weights);
        let mut sum = [PackedK::ZERO; 3];
        for (w, a) in weights.chunks_exact(2).zip(cells.chunks_exact(2)) {
            let (w0, w1) = lanes::split(w[0], w[1], block::<PackedF>(0));
            let (a0, a1) = a[0].interleave(a[1], block::<PackedF>(0));
            let at_zero = w0 * a0;
            sum[0] += at_zero + w1 * a1;
            sum[1] += at_zero;
            sum[2] += (w1 - w0) * (a1 - a0);
        }
        sum
    };
    let stretches = vector.par_chunks(stretch()).enumerate();
    let sums = stretches.map_init(|| vec![PackedK::ZERO; stretch()], one);
    let add = |x: [PackedK; 3], y: [PackedK; 3]| std::array::from_fn(|i| x[i] + y[i]);
    sums.reduce(|| [PackedK::ZERO; 3], add).map(Lanes::total)
}

/// Binds the first variable to `r`: the table of pairs, and the second round's polynomial.
fn bind_first(phi: &Phi, vector: &[PackedF], r: K) -> (Vec<Pair<PackedF>>, [K; 2]) {
    let r = PackedK::from(r);
    let mut table = vec![[PackedK::ZERO; 2]; vector.len() / 2];
    let one = |weights: &mut Vec<PackedK>, (i, (out, cells)): (usize, (&mut [Pair<PackedF>], &[PackedF]))| {
        phi.read(i * stretch(), weights);
        for ((out, w), a) in out.iter_mut().zip(weights.chunks_exact(2)).zip(cells.chunks_exact(2)) {
            let (w0, w1) = lanes::split(w[0], w[1], block::<PackedF>(0));
            let (a0, a1) = a[0].interleave(a[1], block::<PackedF>(0));
            *out = [w0 + r * (w1 - w0), r * (a1 - a0) + a0];
        }
        let mut sum = [PackedK::ZERO; 2];
        out.chunks_exact(2).for_each(|x| accumulate(&mut sum, x, 1));
        sum
    };
    let stretches = (table.par_chunks_mut(stretch() / 2), vector.par_chunks(stretch())).into_par_iter();
    let sums = total(stretches.enumerate().map_init(|| vec![PackedK::ZERO; stretch()], one));
    (table, sums)
}

/// Binds the variable of round `i` to `r` and gives the polynomial of the next round.
fn step<P: PackedFieldPow2<Scalar = F>>(from: &[Pair<P>], to: &mut [Pair<P>], i: usize, r: K) -> [K; 2] {
    let r = Lane::<P>::from(r);
    let one = |(to, from): (&mut [Pair<P>], &[Pair<P>])| {
        to.iter_mut().zip(from.chunks_exact(2)).for_each(|(t, x)| *t = bind(x, i, r));
        let mut sum = [Lane::ZERO; 2];
        to.chunks_exact(2).for_each(|x| accumulate(&mut sum, x, i + 1));
        sum
    };
    total((to.par_chunks_mut(stretch()), from.par_chunks(2 * stretch())).into_par_iter().map(one))
}

/// The rounds under way.
struct Rounds<'a> {
    n: usize,
    masks: &'a [K],
    transcript: &'a mut dyn Channel<E = K>,
    /// What the rest of the rounds sums to.
    claim: K,
    sent: Vec<[K; 2]>,
    weights: Vec<K>,
    point: Vec<K>,
}

impl Rounds<'_> {
    /// Sends one round's polynomial and gives the challenge.
    fn send(&mut self, [constant, square]: [K; 2]) -> K {
        let i = self.sent.len();
        let linear = self.claim - constant.double() - square;
        let sent = [linear + self.masks[2 * i], square + self.masks[2 * i + 1]];
        self.transcript.absorb(&sent);
        let r = self.transcript.draw();
        self.point[self.n - 1 - i] = r;
        self.weights.extend(mask_weights(i + 1, self.n, r));
        self.sent.push(sent);
        self.claim = constant + r * (linear + r * square);
        r
    }

    /// All rounds on a table whose next polynomial is `sums`; gives the last value.
    fn run<P: PackedFieldPow2<Scalar = F>>(&mut self, mut table: Vec<Pair<P>>, mut sums: [K; 2]) -> K {
        let mut spare = vec![[Lane::ZERO; 2]; table.len() / 2];
        while table.len() > 1 {
            let i = self.sent.len();
            let r = self.send(sums);
            spare.truncate(table.len() / 2);
            sums = step(&table, &mut spare, i, r);
            std::mem::swap(&mut table, &mut spare);
        }
        let [weights, values] = [0, 1].map(|t| Lane::unpack(&[table[0][t]]));
        if P::WIDTH == 1 {
            return values[0];
        }
        // Bit t of what is left lies at lane bit `i + t`.
        let (bits, turn) = (P::WIDTH.trailing_zeros() as usize, self.sent.len());
        let lane = |x: usize| (0..bits).fold(0, |lane, t| lane | (x >> t & 1) << ((turn + t) % bits));
        let table: Vec<Pair<F>> =
            (0..P::WIDTH).map(lane).map(|l| [weights[l].into(), values[l].into()]).collect();
        let mut sums = [Lane::ZERO; 2];
        table.chunks_exact(2).for_each(|x| accumulate(&mut sums, x, 0));
        self.run(table, sums.map(Lanes::total))
    }
}

/// What the opening of `<Phi, A> = V` gives: its messages, and the points at which the commitment must be opened.
pub struct Opened<M> {
    /// The rounds.
    pub rounds: OpeningProof,
    /// Their masks.
    pub masks: M,
    /// One point, or two where the rounds' masks are in the vector.
    pub points: Vec<Vec<K>>,
    /// The challenge that combines the masks; 0 where there are none.
    pub t: K,
}

/// Proves `<Phi, A> = V`.
///
/// Errors: [`ProveError::Unsatisfied`] when the relation does not hold of `A`.
pub fn prove<M: proofmesh_proof::opening::Masks>(
    plan: &Plan,
    folded: &Folded,
    vector: &[F],
    masks: &Masks,
    transcript: &mut dyn Channel<E = K>,
) -> Result<Opened<M>, ProveError> {
    let n = plan.log;
    let cells = PackedF::pack_slice(vector);
    let phi = Phi::new(folded, plan);
    let [claim, constant, square] = first(&phi, cells);
    if claim != folded.value {
        return Err(ProveError::Unsatisfied("linear relations".into()));
    }
    let (sent, weights, point) = (Vec::with_capacity(n), Vec::with_capacity(2 * n), vec![K::ZERO; n]);
    let mut rounds =
        Rounds { n, masks: &masks.first, transcript: &mut *transcript, claim, sent, weights, point };
    let r = rounds.send([constant, square]);
    let (table, sums) = bind_first(&phi, cells, r);
    let alpha = rounds.run(table, sums);
    let Rounds { sent: rounds, weights, point, .. } = rounds;
    let mut points = vec![point];
    let mut t = K::ZERO;
    let said = M::make(|| {
        let cross: K = weights.iter().zip(&masks.second).map(|(v, m)| *v * *m).sum();
        transcript.absorb(&[alpha, cross]);
        t = transcript.draw();
        if t == K::ZERO {
            return Err(ProveError::Challenge); // R would be N.
        }
        let sent: Vec<K> = masks.first.iter().zip(&masks.second).map(|(a, b)| *a + t * *b).collect();
        transcript.absorb(&sent);
        if M::IN_VECTOR {
            let z = transcript.draw_point(plan.opening_log);
            points.push(mask_point(plan, t, &z).ok_or(ProveError::Challenge)?.0);
        }
        Ok(MaskProof { cross, masks: sent })
    })?;
    Ok(Opened { rounds: OpeningProof { rounds }, masks: said, points, t })
}
