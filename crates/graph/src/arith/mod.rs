//! From a program to the claims that must hold of its execution, and, on the prover's side, the columns that make them hold.
//!
//! One pass writes both: a column is declared with the rule that fills it from a trace, so that claims and witness cannot drift.
//! Every value of a batch is one column `[batch][channels][plane]`, the plane being rows and columns, each axis padded to a power of two;
//! `pieces` then cuts the padding away. Claims read real elements only; what a column holds in its padding has no meaning.

mod broadcast;
mod pieces;
mod secret;
mod sponge;
mod tables;

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use p3_field::PrimeCharacteristicRing;
use proofmesh_proof::field::{F, int, log2_ceil};
use proofmesh_proof::system::{
    Axis, Column, ColumnId, Entry, Expr, LinearClaim, Lookup, Source, Stated, SumClaim, SumPoint, System,
    TableId, Term,
};

use crate::rescale::{Reach, Rescale};
use crate::tensor::{Shape, Tensor};
use crate::value::{Interval, ValueType};
use crate::words::Word;

pub use broadcast::{broadcast, repeated};
pub use pieces::Plane;
pub use secret::{Layout, PrivateTensor, SmallTensor, Span, Stretch};
pub use sponge::Absorbed;

/// A system, and the cells of its columns when there is a trace. Multiplicities of tables are left to the prover.
#[derive(Debug, Default)]
pub struct Arithmetized {
    /// What must hold.
    pub system: System,
    /// Cells of each column; empty for multiplicities, and throughout when there is no trace.
    pub cells: Vec<Vec<F>>,
    /// For each sum inside a look-up's key its value on every row of the look-up; empty for other sums and when there is no trace.
    pub sums: Vec<Vec<F>>,
}

/// A value of the program as a column.
#[derive(Clone, Copy, Debug)]
pub struct ValueColumn {
    /// The column `[batch][c][h * w]`.
    pub column: ColumnId,
    /// Its type.
    pub ty: ValueType,
}

/// `log2` of the padded axes of a tensor.
#[derive(Clone, Copy, Debug)]
pub struct Logs {
    /// Batch, channels, plane.
    pub axes: [usize; 3],
}

impl Logs {
    /// Logs of a shape in a batch.
    pub fn new(batch: usize, shape: Shape) -> Self {
        Self { axes: [batch, shape.c, shape.h * shape.w].map(log2_ceil) }
    }

    /// `log2` of the whole column.
    pub fn total(&self) -> usize {
        self.axes.iter().sum()
    }

    /// `log2` of one input's part.
    pub fn element(&self) -> usize {
        self.axes[1..].iter().sum()
    }

    /// Ranges of consecutive coordinates for the three axes.
    pub fn ranges(&self) -> [Range<usize>; 3] {
        let mut next = 0;
        self.axes.map(|n| {
            next += n;
            next - n..next
        })
    }

    /// Padded index of the row-major element `i` of the shape.
    pub fn cell_of(&self, shape: Shape, i: usize) -> usize {
        let plane = shape.h * shape.w;
        (i / plane) << self.axes[2] | (i % plane)
    }
}

/// The executions that fill the columns: one trace an input.
pub struct Traces {
    /// `traces[b][value]`.
    pub values: Vec<Vec<Tensor>>,
}

/// Collects columns and claims.
pub struct Builder<'a> {
    /// Number of inputs.
    pub batch: usize,
    /// Executions, on the prover's side.
    pub traces: Option<&'a Traces>,
    out: Arithmetized,
    planes: Vec<Option<Plane>>,
    tables: tables::Tables,
}

/// What a layer adds up for each element of its result, on the result's rows `(batch, channel, plane)`.
pub struct Accumulator<'s> {
    /// The linear part: terms over the rows.
    pub linear: Vec<Term>,
    /// The other part.
    pub sum: Option<RowSum<'s>>,
    /// The whole at every element, input by input; empty without traces.
    pub values: Vec<Vec<i64>>,
}

/// The sum over the cube of `vars` variables of the product of the factors, whose challenges are the row. No coordinate of the row may enter
/// twice.
pub struct RowSum<'s> {
    /// Number of variables, at least one.
    pub vars: usize,
    /// The factors.
    pub factors: Vec<Expr>,
    /// What the accumulator holds beside it, one number a channel.
    pub bias: &'s [i32],
}

/// The axis entry `v -> i` with weight 1, or with `t`.
pub fn entry(t: usize, v: usize, i: usize, coef: F) -> Entry {
    Entry { t: t as u32, v: v as u32, i: i as u32, coef }
}

/// A wire.
pub fn wire(tau: Range<usize>, var: Range<usize>, log: usize, entries: Vec<Entry>) -> Axis {
    Axis::Wire { tau, var, log, entries: Arc::new(entries) }
}

/// A one-cell axis that is 1 for the first `len` indices of the challenges' cube.
pub fn real_tau(tau: Range<usize>, len: usize) -> Axis {
    wire(tau, 0..0, 0, (0..len).map(|t| entry(t, 0, 0, F::ONE)).collect())
}

/// A one-cell axis that is 1 for the first `len` indices of the variables' cube.
pub fn real_var(var: Range<usize>, len: usize) -> Axis {
    wire(0..0, var, 0, (0..len).map(|v| entry(0, v, 0, F::ONE)).collect())
}

/// A term over a column.
pub fn column(coef: F, column: ColumnId, axes: Vec<Axis>) -> Term {
    Term { coef, source: Source::Column(column), axes }
}

/// A term over a public tensor.
pub fn public(coef: F, values: Vec<F>, axes: Vec<Axis>) -> Term {
    Term { coef, source: Source::Public(Arc::new(values)), axes }
}

/// A term over words of the statement.
pub fn stated(coef: F, words: &[Word], axes: Vec<Axis>) -> Term {
    let values = words.iter().map(|w| w.value).collect();
    let ids = words.iter().map(|w| w.id).collect();
    Term { coef, source: Source::Stated(Stated { values: Arc::new(values), words: Arc::new(ids) }), axes }
}

/// An expression without a constant.
pub fn expr(terms: Vec<Term>) -> Expr {
    Expr { constant: F::ZERO, terms }
}

impl<'a> Builder<'a> {
    /// A builder for `batch` inputs.
    pub fn new(batch: usize, traces: Option<&'a Traces>) -> Self {
        let (out, tables) = (Arithmetized::default(), tables::Tables::default());
        Self { batch, traces, out, planes: Vec::new(), tables }
    }

    /// Declares a column of `2^log` cells; `fill` gives its cells from nothing but what it captures, on the prover's side only.
    pub fn column(
        &mut self,
        name: impl Into<String>,
        log: usize,
        fill: impl FnOnce(&Traces) -> Vec<F>,
    ) -> ColumnId {
        self.out.system.columns.push(Column { name: name.into(), log });
        self.out.cells.push(self.traces.map(fill).unwrap_or_default());
        self.planes.push(None);
        self.out.system.columns.len() - 1
    }

    /// Says that a column's lowest index bits run over a plane whose padding need not be committed.
    pub fn plane(&mut self, of: ColumnId, plane: Plane) {
        self.planes[of] = Some(plane);
    }

    /// The padded cells of a value-shaped column, from the elements of each trace.
    fn fill(&self, shape: Shape, traces: &Traces, of: impl Fn(usize, &[Tensor]) -> Vec<i64>) -> Vec<F> {
        let logs = Logs::new(self.batch, shape);
        let mut cells = alloc::vec![F::ZERO; 1 << logs.total()];
        let plane = shape.h * shape.w;
        for (b, trace) in traces.values.iter().enumerate() {
            for (c, row) in of(b, trace).chunks(plane).enumerate() {
                let start = (b << logs.element()) + (c << logs.axes[2]);
                cells[start..start + plane].iter_mut().zip(row).for_each(|(cell, v)| *cell = int(*v));
            }
        }
        cells
    }

    /// Declares a column shaped like a value, filled element by element from each trace.
    pub fn value_column(
        &mut self,
        name: impl Into<String>,
        shape: Shape,
        of: impl Fn(usize, &[Tensor]) -> Vec<i64>,
    ) -> ColumnId {
        let cells = self.traces.map(|t| self.fill(shape, t, of)).unwrap_or_default();
        let column = self.column(name, Logs::new(self.batch, shape).total(), |_| cells);
        self.plane(column, Plane::new(shape.h * shape.w));
        column
    }

    /// Demands `expr = 0`.
    pub fn linear(&mut self, name: impl Into<String>, expr: Expr) {
        self.out.system.linears.push(LinearClaim { name: name.into(), expr });
    }

    /// Demands a sum.
    pub fn sum(&mut self, claim: SumClaim) {
        self.out.system.sums.push(claim);
        self.out.sums.push(Vec::new());
    }

    /// Demands that `(key, value)` is a row of a table wherever `real` is 1.
    pub fn lookup(
        &mut self,
        name: impl Into<String>,
        table: TableId,
        vars: usize,
        key: Expr,
        value: Expr,
        real: Vec<Axis>,
    ) {
        self.out.system.lookups.push(Lookup { name: name.into(), table, vars, key, value, real });
    }

    /// Demands `0 <= key < size` on the real rows: one look-up, or two when the size is no power of two.
    pub fn range(&mut self, name: &str, size: i64, vars: usize, key: Expr, real: Vec<Axis>) {
        let log = log2_ceil(size as usize);
        let table = self.range_table(log);
        if size != 1 << log {
            let mut rest = Expr { constant: int(size - 1) - key.constant, terms: key.terms.clone() };
            rest.terms.iter_mut().for_each(|t| t.coef = -t.coef);
            self.lookup(alloc::format!("{name}, upper"), table, vars, rest, Expr::default(), real.clone());
        }
        self.lookup(name, table, vars, key, Expr::default(), real);
    }

    /// Demands that every real element of a value-shaped column lies in an interval.
    pub fn interval(&mut self, name: &str, of: ColumnId, shape: Shape, interval: Interval) {
        let key = Expr { constant: int(-i64::from(interval.lo)), terms: alloc::vec![self.rows(of, shape)] };
        let size = i64::from(interval.hi) - i64::from(interval.lo) + 1;
        let (vars, real) = self.real_rows(shape);
        self.range(name, size, vars, key, real);
    }

    /// A value-shaped column read row by row: one variable a bit.
    pub fn rows(&self, of: ColumnId, shape: Shape) -> Term {
        let total = Logs::new(self.batch, shape).total();
        column(F::ONE, of, alloc::vec![Axis::Var(0..total)])
    }

    /// Number of variables and indicator of the real elements of a value-shaped column.
    pub fn real_rows(&self, shape: Shape) -> (usize, Vec<Axis>) {
        let logs = Logs::new(self.batch, shape);
        let sizes = [self.batch, shape.c, shape.h * shape.w];
        let axes = logs.ranges().into_iter().zip(sizes).filter(|(r, n)| 1 << r.len() != *n);
        (logs.total(), axes.map(|(r, n)| real_var(r, n)).collect())
    }

    /// A value-shaped column at tau.
    pub fn at_tau(&mut self, coef: F, of: ColumnId, shape: Shape) -> Term {
        let total = Logs::new(self.batch, shape).total();
        self.reserve(total);
        column(coef, of, alloc::vec![Axis::Tau(0..total)])
    }

    /// A constant on the real elements of a shape, at tau.
    pub fn constant_at_tau(&mut self, value: F, shape: Shape) -> Term {
        let logs = Logs::new(self.batch, shape);
        self.reserve(logs.total());
        let sizes = [self.batch, shape.c, shape.h * shape.w];
        let axes = logs.ranges().into_iter().zip(sizes).map(|(r, n)| real_tau(r, n)).collect();
        public(value, alloc::vec![F::ONE], axes)
    }

    /// Makes sure that tau has at least this many coordinates.
    pub fn reserve(&mut self, len: usize) {
        self.out.system.tau_len = self.out.system.tau_len.max(len);
    }

    /// A coordinate of tau that nothing has read so far, beyond those of the batch: powers of a coordinate that also picks the list could
    /// cancel between lists.
    pub fn fresh(&mut self) -> usize {
        self.reserve(log2_ceil(self.batch));
        self.out.system.tau_len += 1;
        self.out.system.tau_len - 1
    }

    /// Something of each trace, in order; nothing without traces.
    pub fn each_trace<T>(&self, of: impl FnMut(&Vec<Tensor>) -> T) -> Vec<T> {
        self.traces.map(|t| t.values.iter().map(of).collect()).unwrap_or_default()
    }

    /// Demands `0 <= key + sign * accumulator < 2^log` on the rows of a result.
    pub fn range_around(
        &mut self,
        name: &str,
        log: u32,
        shape: Shape,
        mut key: Expr,
        (sign, accumulator): (i64, &Accumulator<'_>),
    ) {
        let coef = int(sign);
        key.terms.extend(accumulator.linear.iter().map(|t| Term { coef: t.coef * coef, ..t.clone() }));
        let (vars, real) = self.real_rows(shape);
        let lookup = self.out.system.lookups.len();
        self.range(name, 1 << log, vars, key, real);
        let Some(sum) = &accumulator.sum else { return };
        let bias = |i: usize| sum.bias.get(i / (shape.h * shape.w)).copied().map_or(0, i64::from);
        let of = |b: usize, _: &[Tensor]| {
            let values = accumulator.values[b].iter().enumerate();
            values.map(|(i, acc)| sign * (acc - bias(i))).collect()
        };
        let rows = self.traces.map(|t| self.fill(shape, t, of)).unwrap_or_default();
        self.out.system.sums.push(SumClaim {
            name: alloc::format!("{name}, accumulators"),
            point: SumPoint::Row(lookup),
            vars: sum.vars,
            eq: None,
            products: alloc::vec![(coef, (0..sum.factors.len()).collect())],
            factors: sum.factors.clone(),
            rhs: Expr::default(),
        });
        self.out.sums.push(rows);
    }

    /// The columns of a rescale, quotient and result, with the look-ups that bind them to an accumulator within `reach`. Gives the result's
    /// column.
    ///
    /// The remainder `acc + half - 2^shift q` is not committed: it is the key of a range look-up.
    pub fn rescale(
        &mut self,
        name: &str,
        shape: Shape,
        (rescale, reach): (Rescale, Reach),
        accumulator: &Accumulator<'_>,
    ) -> ColumnId {
        let each = |f: fn(&Rescale, i64) -> i64| {
            move |b: usize, _: &[Tensor]| {
                accumulator.values[b].iter().map(|acc| f(&rescale, *acc)).collect::<Vec<i64>>()
            }
        };
        let y = self.value_column(name, shape, each(|r, acc| i64::from(r.apply(acc))));
        let q = self.value_column(alloc::format!("{name}.q"), shape, each(|r, acc| r.divide(acc).0));
        let mut key = expr(alloc::vec![self.rows(q, shape)]);
        key.terms[0].coef = -int(1 << rescale.shift);
        key.constant = int(rescale.half());
        self.range_around(&alloc::format!("{name}: remainder"), rescale.shift, shape, key, (1, accumulator));
        let table = self.clamp_table(rescale, reach);
        let (vars, real) = self.real_rows(shape);
        let (key, value) = (expr(alloc::vec![self.rows(q, shape)]), expr(alloc::vec![self.rows(y, shape)]));
        self.lookup(alloc::format!("{name}: clamp"), table, vars, key, value, real);
        y
    }

    /// The finished system.
    pub fn finish(self) -> Arithmetized {
        pieces::lower(self.out, &self.planes)
    }
}
