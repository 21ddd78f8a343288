//! Tables of an expression over the cube of its variables.

use std::borrow::Cow;

use p3_field::ExtensionField;
use proofmesh_proof::field::{F, K, eq_table};
use proofmesh_proof::system::{Axis, Expr, Source, Term, axis_weights};

/// What an axis does to the tensor it belongs to.
enum Action<E> {
    /// The axis stays: it is a range of variables.
    Keep,
    /// The axis is contracted with weights.
    Contract(Vec<E>),
    /// The axis of `2^log` cells is mapped onto a range of variables, which may be empty.
    Map { rows: usize, entries: Vec<(usize, usize, E)> },
}

/// Where the challenges of an expression come from: none of the look-ups uses any.
pub trait Weights: ExtensionField<F> {
    /// `eq(tau[range], .)` as a table.
    fn eq_weights(tau: &[K]) -> Vec<Self>;
    /// Weights that depend on challenges.
    fn from_weights(weights: Vec<K>) -> Vec<Self>;
}

impl Weights for K {
    fn eq_weights(tau: &[K]) -> Vec<Self> {
        use p3_field::PrimeCharacteristicRing;
        eq_table(tau, K::ONE)
    }

    fn from_weights(weights: Vec<K>) -> Vec<Self> {
        weights
    }
}

impl Weights for F {
    fn eq_weights(tau: &[K]) -> Vec<Self> {
        use p3_field::PrimeCharacteristicRing;
        assert!(tau.is_empty(), "expressions over the base field use no challenges");
        vec![F::ONE]
    }

    fn from_weights(_: Vec<K>) -> Vec<Self> {
        unreachable!("expressions over the base field use no challenges: the plan was checked")
    }
}

fn action<E: Weights>(axis: &Axis, tau: &[K]) -> Action<E> {
    match axis {
        Axis::Var(_) => Action::Keep,
        Axis::Tau(range) => Action::Contract(E::eq_weights(&tau[range.clone()])),
        Axis::Wire { tau: range, var, entries, .. } => {
            let weights = E::eq_weights(&tau[range.clone()]);
            let entries =
                entries.iter().map(|e| (e.v as usize, e.i as usize, weights[e.t as usize] * e.coef));
            Action::Map { rows: 1 << var.len(), entries: entries.collect() }
        }
        Axis::At { index, .. } => Action::Map { rows: 1, entries: vec![(0, *index, E::ONE)] },
        Axis::Powers { .. } | Axis::Lattice { .. } => {
            Action::Contract(E::from_weights(axis_weights(axis, tau, &[]).table()))
        }
    }
}

/// Applies the axes of one term, last to first; what remains is indexed by its variables in ascending order.
fn apply<E: Weights>(term: &Term, cells: &[F], tau: &[K]) -> Vec<E> {
    // A sub-block is read alone.
    let (cells, axes) = match term.axes.split_first() {
        Some((Axis::At { log, index }, rest)) => {
            let size = cells.len() >> log;
            (&cells[index * size..][..size], rest)
        }
        _ => (cells, &term.axes[..]),
    };
    let mut current: Vec<E> = cells.iter().map(|v| E::from(*v)).collect();
    let mut inner = 1;
    for axis in axes.iter().rev() {
        let size = 1 << axis.log();
        match action::<E>(axis, tau) {
            Action::Keep => inner *= size,
            Action::Contract(weights) => {
                let mut next = E::zero_vec(current.len() / size);
                for (out, block) in next.chunks_mut(inner).zip(current.chunks(size * inner)) {
                    for (row, w) in block.chunks(inner).zip(&weights) {
                        out.iter_mut().zip(row).for_each(|(o, v)| *o += *v * *w);
                    }
                }
                current = next;
            }
            Action::Map { rows, entries } => {
                let mut next = E::zero_vec(current.len() / size * rows);
                for (out, block) in next.chunks_mut(rows * inner).zip(current.chunks(size * inner)) {
                    for (v, i, coef) in &entries {
                        let row = &block[i * inner..(i + 1) * inner];
                        out[v * inner..(v + 1) * inner]
                            .iter_mut()
                            .zip(row)
                            .for_each(|(o, x)| *o += *x * *coef);
                    }
                }
                current = next;
                inner *= rows;
            }
        }
    }
    current
}

/// The table of an expression of `vars` variables: `2^vars` values.
pub fn table<E: Weights>(expr: &Expr, vars: usize, columns: &[Vec<F>], tau: &[K]) -> Vec<E> {
    let mut out = vec![E::from(expr.constant); 1 << vars];
    for term in &expr.terms {
        let cells: Cow<'_, [F]> = match &term.source {
            Source::Column(c) => Cow::Borrowed(&columns[*c]),
            Source::Public(values) => Cow::Borrowed(values),
        };
        let values = apply::<E>(term, &cells, tau);
        if values.len() == out.len() {
            out.iter_mut().zip(&values).for_each(|(o, v)| *o += *v * term.coef);
            continue;
        }
        // Some variables are absent: the term is constant in them.
        let ranges: Vec<_> = term.axes.iter().map(Axis::var).filter(|r| !r.is_empty()).collect();
        for (x, o) in out.iter_mut().enumerate() {
            let at =
                ranges.iter().fold(0, |at, r| (at << r.len()) | (x >> (vars - r.end) & ((1 << r.len()) - 1)));
            *o += values[at] * term.coef;
        }
    }
    out
}
