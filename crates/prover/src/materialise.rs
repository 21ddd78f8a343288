//! Tables of an expression over the cube of its variables.
//!
//! A term's axes are applied one by one, in any order: contractions first, because they shrink the tensor. Base field cells stay such until
//! weights from `K` meet them, and registers run along the inner axes, or across the outer ones where those are too short.

use std::borrow::Cow;

use p3_field::{Algebra, ExtensionField, PackedValue, PrimeCharacteristicRing};
use proofmesh_proof::field::{F, K, eq_table};
use proofmesh_proof::system::{Axis, Expr, Source, Stated, Term, axis_weights};
use rayon::prelude::*;

use crate::lanes::{Lanes, PackedF, PackedK, WIDTH};

/// Most output elements of one task.
const STRETCH: usize = 1 << 12;
/// `log2` of the longest contraction; longer ones are taken in two.
const CONTRACT_LOG: usize = 9;

/// A field whose elements fill registers. Where the challenges of an expression come from: none of the look-ups uses any.
pub trait Weights: ExtensionField<F> {
    /// `WIDTH` elements.
    type Register: PrimeCharacteristicRing + Copy + Send + Sync;
    /// `eq(tau[range], .)` as a table.
    fn eq_weights(tau: &[K]) -> Vec<Self>;
    /// Weights that depend on challenges.
    fn from_weights(weights: Vec<K>) -> Vec<Self>;
    /// A register from its elements.
    fn gather(at: impl Fn(usize) -> Self) -> Self::Register;
    /// The elements of a register.
    fn scatter(register: Self::Register) -> [Self; WIDTH];
}

impl Weights for K {
    type Register = PackedK;

    fn eq_weights(tau: &[K]) -> Vec<Self> {
        eq_table(tau, K::ONE)
    }

    fn from_weights(weights: Vec<K>) -> Vec<Self> {
        weights
    }

    fn gather(at: impl Fn(usize) -> Self) -> PackedK {
        PackedK::load(&std::array::from_fn::<K, WIDTH, _>(at))
    }

    fn scatter(register: PackedK) -> [Self; WIDTH] {
        let mut out = [K::ZERO; WIDTH];
        register.store(&mut out);
        out
    }
}

impl Weights for F {
    type Register = PackedF;

    fn eq_weights(tau: &[K]) -> Vec<Self> {
        assert!(tau.is_empty(), "expressions over the base field use no challenges");
        vec![F::ONE]
    }

    fn from_weights(_: Vec<K>) -> Vec<Self> {
        unreachable!("expressions over the base field use no challenges: the plan was checked")
    }

    fn gather(at: impl Fn(usize) -> Self) -> PackedF {
        PackedF::from_fn(at)
    }

    fn scatter(register: PackedF) -> [Self; WIDTH] {
        std::array::from_fn(|lane| register.as_slice()[lane])
    }
}

/// What an axis does to the tensor it belongs to: nothing when it is a range of variables, else a sparse linear map of its cells.
type Action<E> = Option<Map<E>>;

/// Row v of the result is the sum of `weight * cell i` over `rows[v]`.
struct Map<E> {
    rows: Vec<Vec<(usize, E)>>,
}

fn action<E: Weights>(axis: &Axis, tau: &[K]) -> Action<E> {
    match axis {
        Axis::Var(_) => None,
        Axis::Tau(range) => {
            let row = E::eq_weights(&tau[range.clone()]).into_iter().enumerate().collect();
            Some(Map { rows: vec![row] })
        }
        Axis::Wire { tau: range, var, entries, .. } => {
            let weights = E::eq_weights(&tau[range.clone()]);
            let mut rows = vec![Vec::new(); 1 << var.len()];
            for e in entries.iter() {
                rows[e.v as usize].push((e.i as usize, weights[e.t as usize] * e.coef));
            }
            Some(Map { rows })
        }
        Axis::At { index, .. } => Some(Map { rows: vec![vec![(*index, E::ONE)]] }),
        Axis::Powers { .. } | Axis::Lattice { .. } => {
            let row = E::from_weights(axis_weights(axis, tau, &[]).table()).into_iter().enumerate().collect();
            Some(Map { rows: vec![row] })
        }
    }
}

/// Applies a map to the middle axis of a tensor `[outer, size, inner]`.
fn apply<V, E>(values: &[V], size: usize, inner: usize, map: &Map<E>) -> Vec<E>
where
    V: Weights,
    E: Weights + Algebra<V>,
    E::Register: Algebra<V::Register>,
{
    let outer = values.len() / size / inner;
    let rows = map.rows.len();
    let mut out = E::zero_vec(outer * rows * inner);
    let wide: Vec<Vec<(usize, E::Register)>> =
        map.rows.iter().map(|row| row.iter().map(|(i, w)| (*i, E::gather(|_| *w))).collect()).collect();
    if inner >= WIDTH {
        let tile = inner.min(STRETCH);
        out.par_chunks_mut(tile).enumerate().for_each(|(index, out)| {
            let (row, first) = (index * tile / inner, index * tile % inner);
            let (block, row) = (&values[row / rows * size * inner..][..size * inner], &wide[row % rows]);
            for (x, out) in out.chunks_exact_mut(WIDTH).enumerate() {
                let mut sum = E::Register::ZERO;
                for (i, weight) in row {
                    let cells = &block[i * inner + first + x * WIDTH..][..WIDTH];
                    sum += *weight * V::gather(|lane| cells[lane]);
                }
                out.copy_from_slice(&E::scatter(sum));
            }
        });
    } else if outer >= WIDTH {
        let blocks = out.par_chunks_mut(WIDTH * rows * inner).zip(values.par_chunks(WIDTH * size * inner));
        blocks.for_each(|(out, cells)| {
            let stride = size * inner;
            let columns: Vec<V::Register> =
                (0..stride).map(|at| V::gather(|lane| cells[lane * stride + at])).collect();
            for (v, row) in wide.iter().enumerate() {
                for x in 0..inner {
                    let mut sum = E::Register::ZERO;
                    row.iter().for_each(|(i, weight)| sum += *weight * columns[i * inner + x]);
                    for (lane, value) in E::scatter(sum).into_iter().enumerate() {
                        out[(lane * rows + v) * inner + x] = value;
                    }
                }
            }
        });
    } else {
        for (index, out) in out.iter_mut().enumerate() {
            let (row, x) = (index / inner, index % inner);
            let block = &values[row / rows * size * inner..];
            map.rows[row % rows].iter().for_each(|(i, weight)| *out += *weight * block[i * inner + x]);
        }
    }
    out
}

/// A tensor's cells: as they are until a weight from `E` is applied.
enum Cells<'a, E> {
    Base(Cow<'a, [F]>),
    Mapped(Vec<E>),
}

/// The cells of one term after all its axes; what remains is indexed by its variables in ascending order.
fn contract<'a, E>(term: &Term, cells: &'a [F], tau: &[K]) -> Cells<'a, E>
where
    E: Weights + Algebra<F> + Algebra<E>,
    E::Register: Algebra<PackedF> + Algebra<E::Register>,
{
    // A sub-block is read alone.
    let (cells, own) = match term.axes.split_first() {
        Some((Axis::At { log, index }, rest)) => {
            let size = cells.len() >> log;
            (&cells[index * size..][..size], rest)
        }
        _ => (cells, &term.axes[..]),
    };
    let mut axes: Vec<Cow<'_, Axis>> = Vec::with_capacity(own.len());
    for axis in own {
        match axis {
            Axis::Tau(r) if r.len() > CONTRACT_LOG => {
                let middle = r.end - CONTRACT_LOG;
                axes.extend([Axis::Tau(r.start..middle), Axis::Tau(middle..r.end)].map(Cow::Owned));
            }
            axis => axes.push(Cow::Borrowed(axis)),
        }
    }
    let mut shape: Vec<usize> = axes.iter().map(|axis| 1 << axis.log()).collect();
    let mut current = Cells::Base(Cow::Borrowed(cells));
    let mut order: Vec<usize> = (0..axes.len()).collect();
    order.sort_by_key(|a| !matches!(*axes[*a], Axis::Tau(_)));
    for axis in order {
        let Some(map) = action::<E>(&axes[axis], tau) else { continue };
        let inner = shape[axis + 1..].iter().product();
        current = Cells::Mapped(match &current {
            Cells::Base(cells) => apply(cells, shape[axis], inner, &map),
            Cells::Mapped(values) => apply(values, shape[axis], inner, &map),
        });
        shape[axis] = map.rows.len();
    }
    current
}

/// The table of an expression of `vars` variables: `2^vars` values.
pub fn table<E>(expr: &Expr, vars: usize, columns: &[impl AsRef<[F]>], tau: &[K]) -> Vec<E>
where
    E: Weights + Algebra<F> + Algebra<E>,
    E::Register: Algebra<PackedF> + Algebra<E::Register>,
{
    let mut out = vec![E::from(expr.constant); 1 << vars];
    for term in &expr.terms {
        let cells: &[F] = match &term.source {
            Source::Column(c) => columns[*c].as_ref(),
            Source::Public(values) | Source::Stated(Stated { values, .. }) => values,
        };
        // Variables that the term lacks: it is constant in them.
        let ranges: Vec<_> = term.axes.iter().map(Axis::var).filter(|r| !r.is_empty()).collect();
        let place = |x: usize| {
            ranges.iter().fold(0, |at, r| (at << r.len()) | (x >> (vars - r.end) & ((1 << r.len()) - 1)))
        };
        match contract::<E>(term, cells, tau) {
            Cells::Base(values) => add(&mut out, &values, |v| E::from(v * term.coef), place),
            Cells::Mapped(values) => add(&mut out, &values, |v| v * term.coef, place),
        }
    }
    out
}

/// Adds a term's values to the table; `place` finds them when there are fewer.
fn add<V: Copy + Sync, E: Weights>(
    out: &mut [E],
    values: &[V],
    scaled: impl Fn(V) -> E + Sync,
    place: impl Fn(usize) -> usize + Sync,
) {
    let whole = values.len() == out.len();
    let out = out.par_iter_mut().with_min_len(STRETCH).enumerate();
    out.for_each(|(x, o)| *o += scaled(values[if whole { x } else { place(x) }]));
}
