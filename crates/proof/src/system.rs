//! The language of claims.
//!
//! The prover commits to one vector `A` over `F`, cut into *columns*: tensors whose axes are powers of two. A [`System`] lists, as plain
//! data, what must hold of them. `tau` is one vector of challenges drawn after the commitment and shared by all claims; the *variables* of
//! an expression are summed over (in a [`SumClaim`]) or range over the rows of a [`Lookup`].
//!
//! Every expression is linear in `A`. A *term* reads one tensor along each of its axes and is therefore a product of one weight vector
//! an axis, whatever the operator: this is what makes an opening cheap for the verifier.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::{Mul, Range};

use crate::field::{F, K, eq_table, eq_vertex};
use crate::lattice;
use crate::scalar::Scalar;

/// Index of a column in [`System::columns`].
pub type ColumnId = usize;
/// Index of a table in [`System::tables`].
pub type TableId = usize;

/// A committed tensor of `2^log` cells.
#[derive(Clone, Debug)]
pub struct Column {
    /// For people.
    pub name: String,
    /// `log2` of its cells.
    pub log: usize,
}

/// Where a term reads.
#[derive(Clone, Debug)]
pub enum Source {
    /// A committed column.
    Column(ColumnId),
    /// A tensor that the verifier knows, padded like a column.
    Public(Arc<Vec<F>>),
    /// A tensor of the statement's words, padded like a column.
    Stated(Stated),
}

/// A tensor whose cells are words of the statement: other statements about the same program have the same system but for these.
#[derive(Clone, Debug)]
pub struct Stated {
    /// The cells' values, in the statement that the system was made of.
    pub values: Arc<Vec<F>>,
    /// One more than each cell's index among the statement's words; 0 for a cell that is 0 in every statement.
    pub words: Arc<Vec<u32>>,
}

/// How the statement's words are known.
#[derive(Debug)]
pub enum Words<'a, E> {
    /// By the values that the system holds.
    Values,
    /// As wires, one a word.
    Wires(&'a [E]),
}

impl<E> Clone for Words<'_, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for Words<'_, E> {}

/// One entry of a wire: weight `coef` from `(t, v)` to cell `i` of the axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Index into the cube of the `tau` range.
    pub t: u32,
    /// Index into the cube of the variables' range.
    pub v: u32,
    /// Index along the axis.
    pub i: u32,
    /// Weight.
    pub coef: F,
}

/// How a term reads one axis.
#[derive(Clone, Debug)]
pub enum Axis {
    /// `eq(tau[range], i)`.
    Tau(Range<usize>),
    /// `eq(x[range], i)`.
    Var(Range<usize>),
    /// `sum over entries of eq(tau[..], t) * eq(x[..], v) * coef` at `i`; an axis of `2^log` cells.
    Wire {
        /// Challenges that it contracts with; may be empty.
        tau: Range<usize>,
        /// Variables that it depends on; may be empty.
        var: Range<usize>,
        /// `log2` of the axis.
        log: usize,
        /// The sparse weights.
        entries: Arc<Vec<Entry>>,
    },
    /// One fixed index of an axis of `2^log`: with what follows it, a sub-block of a column.
    At {
        /// `log2` of the axis.
        log: usize,
        /// The index.
        index: usize,
    },
    /// `zeta^(first + i)` for one challenge zeta: a polynomial's coefficients at a point.
    Powers {
        /// Index of zeta among the challenges.
        tau: usize,
        /// Exponent of cell 0.
        first: usize,
        /// `log2` of the axis.
        log: usize,
    },
    /// `a_(first + i)(zeta)` for one challenge zeta: the public elements of the commitment in [`crate::lattice`].
    Lattice {
        /// Index of zeta among the challenges.
        tau: usize,
        /// Index of the element that belongs to cell 0.
        first: usize,
        /// `log2` of the axis.
        log: usize,
    },
}

impl Axis {
    /// `log2` of the axis.
    pub fn log(&self) -> usize {
        match self {
            Self::Tau(r) | Self::Var(r) => r.len(),
            Self::Wire { log, .. }
            | Self::At { log, .. }
            | Self::Powers { log, .. }
            | Self::Lattice { log, .. } => *log,
        }
    }

    /// The challenges that it depends on.
    pub fn tau(&self) -> Range<usize> {
        match self {
            Self::Var(_) | Self::At { .. } => 0..0,
            Self::Tau(r) | Self::Wire { tau: r, .. } => r.clone(),
            Self::Powers { tau, .. } | Self::Lattice { tau, .. } => *tau..tau + 1,
        }
    }

    /// The variables that it depends on.
    pub fn var(&self) -> Range<usize> {
        match self {
            Self::Var(r) | Self::Wire { var: r, .. } => r.clone(),
            Self::Tau(_) | Self::At { .. } | Self::Powers { .. } | Self::Lattice { .. } => 0..0,
        }
    }

    /// Degree of its weights in a challenge that it takes powers of.
    pub fn degree(&self) -> usize {
        match self {
            Self::Powers { first, log, .. } => first + (1 << log) - 1,
            Self::Lattice { .. } => lattice::RING - 1,
            Self::Tau(_) | Self::Var(_) | Self::Wire { .. } | Self::At { .. } => 0,
        }
    }
}

/// `coef * sum_i weights(i) * source[i]`, the weights a product over the axes.
#[derive(Clone, Debug)]
pub struct Term {
    /// Public factor.
    pub coef: F,
    /// What is read.
    pub source: Source,
    /// How, most significant axis first; the variable ranges must not overlap and must ascend.
    pub axes: Vec<Axis>,
}

/// `constant + sum of terms`, a function of the variables.
#[derive(Clone, Debug, Default)]
pub struct Expr {
    /// Added everywhere.
    pub constant: F,
    /// What is read from tensors.
    pub terms: Vec<Term>,
}

impl Expr {
    /// Whether no term reads a committed column.
    pub fn is_public(&self) -> bool {
        self.terms.iter().all(|t| !matches!(t.source, Source::Column(_)))
    }
}

/// The point that a sum's [`Axis::Tau`] coordinates come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SumPoint {
    /// The shared challenges: the sum equals its right-hand side there.
    Tau,
    /// A row of a look-up: the sum is a part of the look-up's key, and multilinear in the row. Its right-hand side is empty.
    Row(usize),
}

/// `sum_x eq(tau[eq.0], x[eq.1]) * sum_p coef_p * prod factors = rhs`, over the cube of `vars` variables.
#[derive(Clone, Debug)]
pub struct SumClaim {
    /// Name of the check, shown in refusals.
    pub name: String,
    /// Where it is taken.
    pub point: SumPoint,
    /// Number of variables, at least one.
    pub vars: usize,
    /// Optional equality factor: challenges and variables of one length.
    pub eq: Option<(Range<usize>, Range<usize>)>,
    /// Coefficient and indices into `factors`, with repetition.
    pub products: Vec<(F, Vec<usize>)>,
    /// The factors.
    pub factors: Vec<Expr>,
    /// The sum, an expression without variables.
    pub rhs: Expr,
}

impl SumClaim {
    /// Degree of the round polynomial in variable `v`; in the last round masked factors, if there are any, count twice.
    pub fn degree(&self, v: usize, masked: bool) -> usize {
        let last = masked && v + 1 == self.vars;
        let factor = |f: &usize| if last && !self.factors[*f].is_public() { 2 } else { 1 };
        let product =
            self.products.iter().map(|(_, fs)| fs.iter().map(factor).sum::<usize>()).max().unwrap_or(0);
        product + usize::from(self.eq.as_ref().is_some_and(|(_, var)| var.contains(&v)))
    }

    /// Indices of the factors that read committed columns.
    pub fn hidden_factors(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.factors.len()).filter(|f| !self.factors[*f].is_public())
    }
}

/// `expr = 0`, an expression without variables.
#[derive(Clone, Debug)]
pub struct LinearClaim {
    /// Name of the check.
    pub name: String,
    /// What vanishes.
    pub expr: Expr,
}

/// The second coordinate of a table's rows; the first of row i is `first + i`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableValues {
    /// Always 0: the table is a range.
    Range,
    /// `clamp(first + i, lo, hi)`.
    Clamp {
        /// Lower bound.
        lo: i32,
        /// Upper bound.
        hi: i32,
    },
    /// Given row by row; the last one repeats up to the power of two.
    Rows(Arc<Vec<i32>>),
}

/// A public table of `2^log` rows `(first + i, value(i))`, with its committed multiplicities.
#[derive(Clone, Debug)]
pub struct Table {
    /// `log2` of the rows.
    pub log: usize,
    /// Key of row 0.
    pub first: i64,
    /// Values.
    pub values: TableValues,
    /// How often each row is looked up.
    pub multiplicity: ColumnId,
}

impl Table {
    /// Value of row `i`.
    pub fn value(&self, i: usize) -> i64 {
        match &self.values {
            TableValues::Range => 0,
            TableValues::Clamp { lo, hi } => (self.first + i as i64).clamp(i64::from(*lo), i64::from(*hi)),
            TableValues::Rows(rows) => i64::from(rows[i.min(rows.len() - 1)]),
        }
    }

    /// Multilinear extensions of the keys and of the values at a point.
    pub fn at<E: Scalar>(&self, point: &[E]) -> (E, E) {
        use crate::field::{index_at, int, ramp_at};
        let key = index_at(point) + E::from(int(self.first));
        let value = match &self.values {
            TableValues::Range => E::ZERO,
            TableValues::Clamp { lo, hi } => {
                let (lo, hi) = (i64::from(*lo), i64::from(*hi));
                E::from(int(lo)) + ramp_at(point, lo - self.first) - ramp_at(point, hi - self.first)
            }
            TableValues::Rows(_) => {
                let weights = eq_table(point, E::ONE);
                weights.iter().enumerate().map(|(i, w)| *w * int(self.value(i))).sum()
            }
        };
        (key, value)
    }
}

/// Every row `x` of the cube for which `real` is 1: `(key(x), value(x))` is a row of the table.
#[derive(Clone, Debug)]
pub struct Lookup {
    /// Name of the check.
    pub name: String,
    /// The table.
    pub table: TableId,
    /// Number of variables.
    pub vars: usize,
    /// First coordinate; sums with [`SumPoint::Row`] of this look-up add to it.
    pub key: Expr,
    /// Second coordinate.
    pub value: Expr,
    /// Indicator of the rows that count: a product of wires onto axes of one cell.
    pub real: Vec<Axis>,
}

/// All that must hold of the committed vector.
#[derive(Clone, Debug, Default)]
pub struct System {
    /// Committed tensors.
    pub columns: Vec<Column>,
    /// Look-up tables.
    pub tables: Vec<Table>,
    /// Look-ups into them.
    pub lookups: Vec<Lookup>,
    /// Sums of products.
    pub sums: Vec<SumClaim>,
    /// Linear relations.
    pub linears: Vec<LinearClaim>,
    /// Length of `tau`.
    pub tau_len: usize,
}

/// Weights along one axis after all challenges are known.
#[derive(Clone, Debug)]
pub enum AxisWeights<E = K> {
    /// `eq(point, .)`.
    Eq(Vec<E>),
    /// Given one by one.
    Dense(Vec<E>),
    /// Of a wire: cell `i` weighs the sum of `tau[t] * var[v] * coef` over its entries.
    Wire {
        /// `log2` of the axis.
        log: usize,
        /// `eq` of the challenges; one element, 1, if there are none.
        tau: Vec<E>,
        /// `eq` of the variables; one element, 1, if there are none.
        var: Vec<E>,
        /// The sparse weights.
        entries: Arc<Vec<Entry>>,
    },
    /// 1 at one index, 0 elsewhere.
    At {
        /// `log2` of the axis.
        log: usize,
        /// The index.
        index: usize,
    },
    /// `scale * base^i`.
    Powers {
        /// Weight of cell 0.
        scale: E,
        /// Ratio of neighbours.
        base: E,
        /// `log2` of the axis.
        log: usize,
    },
}

impl<E: Scalar> AxisWeights<E> {
    /// `log2` of the axis.
    pub fn log(&self) -> usize {
        match self {
            Self::Eq(p) => p.len(),
            Self::Dense(w) => w.len().trailing_zeros() as usize,
            Self::Wire { log, .. } | Self::At { log, .. } | Self::Powers { log, .. } => *log,
        }
    }

    /// All weights.
    pub fn table(&self) -> Vec<E> {
        match self {
            Self::Eq(p) => eq_table(p, E::ONE),
            Self::Dense(w) => w.clone(),
            Self::Wire { log, tau, var, entries } => {
                let mut table = alloc::vec![E::ZERO; 1 << log];
                for e in entries.iter() {
                    let weight = match (tau.len(), var.len()) {
                        (1, _) => var[e.v as usize],
                        (_, 1) => tau[e.t as usize],
                        _ => tau[e.t as usize] * var[e.v as usize],
                    };
                    table[e.i as usize] += weight * e.coef;
                }
                table
            }
            Self::At { log, index } => {
                let mut table = alloc::vec![E::ZERO; 1 << log];
                table[*index] = E::ONE;
                table
            }
            Self::Powers { scale, base, log } => base.shifted_powers(*scale).take(1 << log).collect(),
        }
    }

    /// Multilinear extension of the weights at a point.
    pub fn at(&self, point: &[E]) -> E {
        match self {
            Self::Eq(p) => crate::field::eq(p, point),
            Self::Dense(w) if w.len() == 1 => w[0],
            Self::Dense(w) => dot(&eq_table(point, E::ONE), w),
            Self::Wire { log, tau, var, entries } => {
                // A statement's many wires onto large axes must not cost the axes.
                let few = entries.len() * log < 1 << log;
                let cells = if few { Vec::new() } else { eq_table(point, E::ONE) };
                let cell = |i: u32| if few { eq_vertex(point, i as usize) } else { cells[i as usize] };
                // A product for each run of entries with one (t, v), then one for each v.
                let mut sums = alloc::vec![E::ZERO; var.len()];
                for run in entries.chunk_by(|a, b| (a.t, a.v) == (b.t, b.v)) {
                    let sum: E = run.iter().map(|e| cell(e.i) * e.coef).sum();
                    let Entry { t, v, .. } = run[0];
                    sums[v as usize] += if tau.len() == 1 { sum } else { tau[t as usize] * sum };
                }
                if let [sum] = sums[..] { sum } else { dot(var, &sums) }
            }
            Self::At { index, .. } => eq_vertex(point, *index),
            Self::Powers { scale, base, .. } => {
                // base^i is the product of base^(2^b) over the bits b of i, so the extension is a product over the variables.
                let step =
                    |(value, power): (E, E), x: &E| (value * (E::ONE - *x + *x * power), power.square());
                point.iter().rev().fold((*scale, *base), step).0
            }
        }
    }
}

/// A term at a point: `coef * <weights, column>`.
#[derive(Clone, Debug)]
pub struct WeighedTerm<E = K> {
    /// Factor.
    pub coef: E,
    /// Column read.
    pub column: ColumnId,
    /// One weight vector an axis.
    pub axes: Vec<AxisWeights<E>>,
}

/// An affine form in the committed vector: `constant + <terms> + <pads>`.
#[derive(Clone, Debug, Default)]
pub struct Affine<E = K> {
    /// Known part.
    pub constant: E,
    /// What it reads from columns.
    pub terms: Vec<WeighedTerm<E>>,
    /// What it reads from the masks, by index of the mask.
    pub pads: Vec<(usize, E)>,
}

impl<E: Scalar> Affine<E> {
    /// A known value.
    pub fn constant(value: E) -> Self {
        Self { constant: value, ..Self::default() }
    }

    /// Adds `scale * other`.
    pub fn add_scaled(&mut self, other: Self, scale: E) {
        self.constant += scale * other.constant;
        self.terms.extend(other.terms.into_iter().map(|t| WeighedTerm { coef: t.coef * scale, ..t }));
        self.pads.extend(other.pads.into_iter().map(|(i, w)| (i, w * scale)));
    }
}

/// Weights of an axis for known challenges and variables.
pub fn axis_weights<E: Scalar>(axis: &Axis, tau: &[E], x: &[E]) -> AxisWeights<E> {
    match axis {
        Axis::Tau(r) => AxisWeights::Eq(tau[r.clone()].to_vec()),
        Axis::Var(r) => AxisWeights::Eq(x[r.clone()].to_vec()),
        Axis::At { log, index } => AxisWeights::At { log: *log, index: *index },
        Axis::Powers { tau: zeta, first, log } => {
            let base = tau[*zeta];
            AxisWeights::Powers { scale: base.exp_u64(*first as u64), base, log: *log }
        }
        Axis::Lattice { tau: zeta, first, log } => {
            AxisWeights::Dense(lattice::values(*first..first + (1 << log), tau[*zeta]))
        }
        Axis::Wire { tau: tr, var, log, entries } => {
            let (tau, var) = (eq_table(&tau[tr.clone()], E::ONE), eq_table(&x[var.clone()], E::ONE));
            AxisWeights::Wire { log: *log, tau, var, entries: entries.clone() }
        }
    }
}

/// `sum of a_i b_i`.
fn dot<E: Scalar>(a: &[E], b: &[E]) -> E {
    a.iter().zip(b).map(|(x, y)| *x * *y).sum()
}

/// Longest point whose table [`contract`] writes out; longer ones are cut.
const CUT: usize = 5;

/// `<source, product of axis weights>` for a tensor that the verifier knows, or of whose cells it has wires. The longest axis first: what is
/// left of a tensor of numbers are linear forms, and then there are few of them.
fn contract<T: Copy, E: Scalar + Mul<T, Output = E> + From<T>>(cells: &[T], axes: &[AxisWeights<E>]) -> E {
    let cut = |axis: &AxisWeights<E>| match axis {
        AxisWeights::Eq(point) => point.rchunks(CUT).rev().map(|p| eq_table(p, E::ONE)).collect(),
        axis => alloc::vec![axis.table()],
    };
    let mut tables: Vec<Vec<E>> = axes.iter().flat_map(cut).collect();
    let Some(first) = longest(&tables) else { return E::from(cells[0]) };
    let mut rest = along(cells, &tables, first);
    tables.remove(first);
    while let Some(next) = longest(&tables) {
        rest = along(&rest, &tables, next);
        tables.remove(next);
    }
    rest[0]
}

/// The longest of some tables, the last of those.
fn longest<E>(tables: &[Vec<E>]) -> Option<usize> {
    (0..tables.len()).max_by_key(|i| tables[*i].len())
}

/// A tensor contracted along one of its axes.
fn along<T: Copy, E: Scalar + Mul<T, Output = E>>(cells: &[T], tables: &[Vec<E>], axis: usize) -> Vec<E> {
    let table = &tables[axis];
    let step: usize = tables[axis + 1..].iter().map(Vec::len).product();
    let line = |block: &[T], start: usize| {
        table.iter().zip(block[start..].iter().step_by(step)).map(|(w, v)| *w * *v).sum()
    };
    cells
        .chunks(step * table.len())
        .flat_map(|block| (0..step).map(move |start| (block, start)))
        .map(|(block, start)| line(block, start))
        .collect()
}

impl Expr {
    /// The expression at a point of its variables: known where it is public, affine in the columns otherwise.
    pub fn at<E: Scalar>(&self, tau: &[E], x: &[E], words: Words<'_, E>) -> Affine<E> {
        let mut out = Affine::constant(E::from(self.constant));
        for term in &self.terms {
            let axes: Vec<AxisWeights<E>> = term.axes.iter().map(|a| axis_weights(a, tau, x)).collect();
            match &term.source {
                Source::Column(column) => {
                    out.terms.push(WeighedTerm { coef: E::from(term.coef), column: *column, axes });
                }
                Source::Public(values) => out.constant += contract(values, &axes) * term.coef,
                Source::Stated(Stated { values, words: cells }) => {
                    let value = match words {
                        Words::Values => contract(values, &axes),
                        Words::Wires(wires) => {
                            let cell = |word: usize| if word == 0 { E::ZERO } else { wires[word - 1] };
                            let cells: Vec<E> = cells.iter().map(|word| cell(*word as usize)).collect();
                            contract(&cells, &axes)
                        }
                    };
                    out.constant += value * term.coef;
                }
            }
        }
        out
    }
}

/// The indicator of a look-up's real rows at a point.
pub fn real_at<E: Scalar>(real: &[Axis], x: &[E]) -> E {
    real.iter().fold(E::ONE, |acc, axis| match axis {
        Axis::Wire { var, entries, .. } if entries.len() <= 4 => {
            acc * entries.iter().map(|e| eq_vertex(&x[var.clone()], e.v as usize) * e.coef).sum::<E>()
        }
        axis => acc * axis_weights(axis, &[], x).at(&[]),
    })
}
