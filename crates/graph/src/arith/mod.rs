//! From a program to the claims that must hold of its execution, and, on the prover's side, the columns that make them hold.
//!
//! One pass writes both: a column is declared with the rule that fills it from a trace, so that claims and witness cannot drift.
//! Every value of a batch is one column `[batch][channels][rows][columns]`, each axis padded to a power of two. Claims read real elements
//! only; what a column holds in its padding has no meaning.

mod broadcast;
mod sponge;
mod tables;

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use p3_field::PrimeCharacteristicRing;
use proofmesh_proof::field::{F, int, log2_ceil};
use proofmesh_proof::system::{
    Axis, Column, ColumnId, Entry, Expr, LinearClaim, Lookup, Source, SumClaim, System, TableId, Term,
};

use crate::rescale::Rescale;
use crate::tensor::{Shape, Tensor};
use crate::value::{Interval, ValueType};
use crate::window::WindowAxis;

pub use broadcast::{broadcast, repeated};
pub use sponge::Absorbed;

/// A system, and the cells of its columns when there is a trace. Multiplicities of tables are left to the prover.
#[derive(Debug, Default)]
pub struct Arithmetized {
    /// What must hold.
    pub system: System,
    /// Cells of each column; empty for multiplicities, and throughout when there is no trace.
    pub cells: Vec<Vec<F>>,
}

/// A value of the program as a column.
#[derive(Clone, Copy, Debug)]
pub struct ValueColumn {
    /// The column `[batch][c][h][w]`.
    pub column: ColumnId,
    /// Its type.
    pub ty: ValueType,
}

/// `log2` of the padded axes of a tensor.
#[derive(Clone, Copy, Debug)]
pub struct Logs {
    /// Batch, channels, rows, columns.
    pub axes: [usize; 4],
}

impl Logs {
    /// Logs of a shape in a batch.
    pub fn new(batch: usize, shape: Shape) -> Self {
        let [c, h, w] = shape.axes().map(log2_ceil);
        Self { axes: [log2_ceil(batch), c, h, w] }
    }

    /// `log2` of the whole column.
    pub fn total(&self) -> usize {
        self.axes.iter().sum()
    }

    /// `log2` of one input's part.
    pub fn element(&self) -> usize {
        self.axes[1..].iter().sum()
    }

    /// Ranges of consecutive coordinates for the four axes, from `start`.
    pub fn ranges(&self, start: usize) -> [Range<usize>; 4] {
        let mut next = start;
        self.axes.map(|n| {
            next += n;
            next - n..next
        })
    }

    /// Padded index of an element inside one input's part.
    pub fn cell(&self, c: usize, y: usize, x: usize) -> usize {
        ((c << self.axes[2]) + y) << self.axes[3] | x
    }

    /// Padded index of the row-major element `i` of the shape.
    pub fn cell_of(&self, shape: Shape, i: usize) -> usize {
        self.cell(i / (shape.h * shape.w), i / shape.w % shape.h, i % shape.w)
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
    tables: tables::Tables,
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

/// An expression without a constant.
pub fn expr(terms: Vec<Term>) -> Expr {
    Expr { constant: F::ZERO, terms }
}

impl<'a> Builder<'a> {
    /// A builder for `batch` inputs.
    pub fn new(batch: usize, traces: Option<&'a Traces>) -> Self {
        Self { batch, traces, out: Arithmetized::default(), tables: tables::Tables::default() }
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
        self.out.system.columns.len() - 1
    }

    /// Declares a column shaped like a value, filled element by element from each trace.
    pub fn value_column(
        &mut self,
        name: impl Into<String>,
        shape: Shape,
        of: impl Fn(usize, &[Tensor]) -> Vec<i64>,
    ) -> ColumnId {
        let logs = Logs::new(self.batch, shape);
        self.column(name, logs.total(), |traces| {
            let mut cells = alloc::vec![F::ZERO; 1 << logs.total()];
            for (b, trace) in traces.values.iter().enumerate() {
                for (i, v) in of(b, trace).into_iter().enumerate() {
                    cells[(b << logs.element()) + logs.cell_of(shape, i)] = int(v);
                }
            }
            cells
        })
    }

    /// Demands `expr = 0`.
    pub fn linear(&mut self, name: impl Into<String>, expr: Expr) {
        self.out.system.linears.push(LinearClaim { name: name.into(), expr });
    }

    /// Demands a sum.
    pub fn sum(&mut self, claim: SumClaim) {
        self.out.system.sums.push(claim);
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
        let sizes = [self.batch, shape.c, shape.h, shape.w];
        let axes = logs.ranges(0).into_iter().zip(sizes).filter(|(r, n)| 1 << r.len() != *n);
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
        let sizes = [self.batch, shape.c, shape.h, shape.w];
        let axes = logs.ranges(0).into_iter().zip(sizes).map(|(r, n)| real_tau(r, n)).collect();
        public(value, alloc::vec![F::ONE], axes)
    }

    /// Makes sure that tau has at least this many coordinates.
    pub fn reserve(&mut self, len: usize) {
        self.out.system.tau_len = self.out.system.tau_len.max(len);
    }

    /// The columns of a rescale: quotient, remainder and result, with the look-ups that bound them. Gives the result's column and the
    /// terms `2^shift q + r - 2^(shift-1)` at tau, which the accumulator must equal.
    pub fn rescale(
        &mut self,
        name: &str,
        shape: Shape,
        rescale: Rescale,
        bound: i64,
        accumulators: impl Fn(&[Tensor]) -> Vec<i64>,
    ) -> (ColumnId, Vec<Term>) {
        let sums: Vec<Vec<i64>> = self
            .traces
            .map(|t| t.values.iter().map(|trace| accumulators(trace)).collect())
            .unwrap_or_default();
        let each = |f: fn(&Rescale, i64) -> i64| {
            let sums = &sums;
            move |b: usize, _: &[Tensor]| sums[b].iter().map(|acc| f(&rescale, *acc)).collect()
        };
        let y = self.value_column(name, shape, each(|r, acc| i64::from(r.apply(acc))));
        let q = self.value_column(alloc::format!("{name}.q"), shape, each(|r, acc| r.divide(acc).0));
        let mut terms = alloc::vec![self.at_tau(int(1 << rescale.shift), q, shape)];
        let (vars, real) = self.real_rows(shape);
        if rescale.shift > 0 {
            let r = self.value_column(alloc::format!("{name}.r"), shape, each(|r, acc| r.divide(acc).1));
            terms.push(self.at_tau(F::ONE, r, shape));
            terms.push(self.constant_at_tau(int(-rescale.half()), shape));
            let key = expr(alloc::vec![self.rows(r, shape)]);
            self.range(&alloc::format!("{name}: remainder"), 1 << rescale.shift, vars, key, real.clone());
        }
        let table = self.clamp_table(rescale, bound);
        let (key, value) = (expr(alloc::vec![self.rows(q, shape)]), expr(alloc::vec![self.rows(y, shape)]));
        self.lookup(alloc::format!("{name}: clamp"), table, vars, key, value, real);
        (y, terms)
    }

    /// The finished system.
    pub fn finish(self) -> Arithmetized {
        self.out
    }
}

/// Entries of a sliding window for every output and window position that reads a real element: `f(o, k, i)`.
pub fn window_entries(axis: &WindowAxis, mut f: impl FnMut(usize, usize, usize) -> Entry) -> Vec<Entry> {
    let mut entries = Vec::new();
    for o in 0..axis.output {
        for k in 0..axis.kernel {
            if let Some(i) = axis.source(o, k) {
                entries.push(f(o, k, i));
            }
        }
    }
    entries
}
