//! Product of two values, one matrix product a channel (head): `acc[c, i, j] = sum_k a[c, i, k] * b[c, k, j]`, or `* b[c, j, k]` when b is
//! transposed, then [`Rescale`]. Shapes `[c, i, k]` and `[c, k, j]` (`[c, j, k]`) give `[c, i, j]`.
//!
//! Claim, with a committed accumulator: `sum_{n, c, k} eq(tau_n, n) eq(tau_c, c) a(n, c, tau_i, k) b(n, c, k, tau_j) = acc(tau)`, n the
//! input of the batch: equality at every `(n, c, i, j)`; then the rescale of acc. Input and channel stand in both factors, therefore
//! under eq; i and j each in one, so the accumulators' column pads them separately. Only real `(i, k)` and `(k, j)` are read, so what
//! columns hold beyond adds to no real sum. *No wrap*: `|acc| <= K * max|a| * max|b|`, refused from 2^29 on; acc is that integer, and the
//! rescale's own bound holds.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;
use p3_field::PrimeCharacteristicRing;
use proofmesh_proof::field::{F, int, log2_ceil};
use proofmesh_proof::system::{Axis, ColumnId, SumClaim, SumPoint, Term};
use serde::{Deserialize, Serialize};

use super::{Operator, Rescale, Site, padded};
use crate::arith::{Accumulator, Builder, Traces, column, entry, expr, wire};
use crate::tensor::{Shape, Tensor};
use crate::value::{ValueType, WeightMode};

/// A matrix product of two values, channel by channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatMul {
    /// Whether b is given as `[c, j, k]`.
    pub transposed: bool,
    /// How the sum becomes an activation.
    pub rescale: Rescale,
}

impl MatMul {
    /// `(inner size, result's columns)` of the second operand.
    fn second(&self, b: Shape) -> (usize, usize) {
        if self.transposed { (b.w, b.h) } else { (b.h, b.w) }
    }

    /// Largest `|acc|`.
    fn accumulator_bound(&self, operands: &[ValueType]) -> i64 {
        let terms = operands[0].shape.w as i64;
        operands.iter().fold(terms, |n, o| n.saturating_mul(o.interval.magnitude()))
    }

    /// Every sum before the rescale.
    fn accumulate(&self, operands: &[&Tensor]) -> Vec<i64> {
        let [a, b] = [operands[0], operands[1]];
        let (inner, columns) = self.second(b.shape);
        let mut sums = Vec::with_capacity(a.shape.c * a.shape.h * columns);
        for c in 0..a.shape.c {
            for i in 0..a.shape.h {
                for j in 0..columns {
                    let product = |k: usize| {
                        let (y, x) = if self.transposed { (j, k) } else { (k, j) };
                        i64::from(a.data[a.shape.at(c, i, k)]) * i64::from(b.data[b.shape.at(c, y, x)])
                    };
                    sums.push((0..inner).map(product).sum());
                }
            }
        }
        sums
    }
}

impl Operator for MatMul {
    fn check(&self, operands: &[ValueType], _: WeightMode) -> Result<ValueType, String> {
        let [a, b] = operands else {
            return Err(alloc::format!("needs two operands, has {}", operands.len()));
        };
        let (inner, columns) = self.second(b.shape);
        if a.shape.c != b.shape.c || a.shape.w != inner {
            return Err(alloc::format!(
                "the operands are {} matrices with {} columns and {} with {inner} rows: transpose or repeat one of them",
                a.shape.c,
                a.shape.w,
                b.shape.c
            ));
        }
        self.rescale.quotient_bound(self.accumulator_bound(operands))?;
        Ok(ValueType { shape: Shape::new(a.shape.c, a.shape.h, columns), interval: self.rescale.clamp })
    }

    fn execute(&self, operands: &[&Tensor]) -> Tensor {
        let (a, columns) = (operands[0].shape, self.second(operands[1].shape).1);
        let data = self.accumulate(operands).into_iter().map(|acc| self.rescale.apply(acc)).collect();
        Tensor { shape: Shape::new(a.c, a.h, columns), data }
    }

    fn rescale_bound(&self, operands: &[ValueType], _: WeightMode) -> Option<(Rescale, i64)> {
        Some((self.rescale, self.accumulator_bound(operands)))
    }

    fn work(&self, operands: &[ValueType], result: Shape, batch: usize) -> u64 {
        // Three columns and two look-ups a result, each axis padded by itself; both factors' tables; wires over both factors' planes and the result's, an entry taking
        // the room of four cells.
        let factors = operands.iter().map(|o| padded(o.shape, batch)).fold(0, u64::saturating_add);
        let planes = operands.iter().map(|o| o.shape).chain([result]).map(|s| (s.h * s.w) as u64);
        let wires = planes.fold(0, u64::saturating_add).saturating_mul(4);
        padded(result, batch).saturating_mul(8).saturating_add(factors).saturating_add(wires)
    }

    fn constrain(&self, builder: &mut Builder<'_>, site: &Site<'_>) -> ColumnId {
        let (a, b, shape) = (site.operands[0], site.operands[1], site.ty.shape);
        let values = builder.each_trace(|trace| self.accumulate(&site.read(trace)));
        let axes = Axes::new(builder.batch, a.ty.shape, shape);
        let cells = |_: &Traces| axes.fill(&values);
        let acc = builder.column(alloc::format!("{}.acc", site.name), axes.columns.end, cells);
        builder.reserve(axes.columns.end);
        let shared = [Axis::Var(axes.batch.clone()), Axis::Var(axes.channel.clone())];
        let factor = |of: ColumnId, plane: Axis| {
            expr(alloc::vec![column(F::ONE, of, shared.iter().cloned().chain([plane]).collect())])
        };
        let first = axes.plane(axes.rows.clone(), shape.h, |i, k| i * a.ty.shape.w + k);
        let width = b.ty.shape.w;
        let second = axes.plane(axes.columns.clone(), shape.w, |j, k| {
            if self.transposed { j * width + k } else { k * width + j }
        });
        let outer = axes.channel.end;
        builder.sum(SumClaim {
            name: alloc::format!("{}: accumulators", site.name),
            point: SumPoint::Tau,
            vars: axes.inner.end,
            eq: (outer > 0).then_some((0..outer, 0..outer)),
            products: alloc::vec![(F::ONE, alloc::vec![0, 1])],
            factors: alloc::vec![factor(a.column, first), factor(b.column, second)],
            rhs: expr(alloc::vec![column(F::ONE, acc, alloc::vec![Axis::Tau(0..axes.columns.end)])]),
        });
        let linear = alloc::vec![axes.rows_of(acc)];
        let bound = self.accumulator_bound(&site.operand_types());
        let accumulator = Accumulator { linear, sum: None, values };
        builder.rescale(site.name, shape, (self.rescale, bound), &accumulator)
    }

    fn multiply_adds(&self, operands: &[ValueType]) -> u64 {
        let a = operands[0].shape;
        (a.len() as u64).saturating_mul(self.second(operands[1].shape).1 as u64)
    }
}

/// The coordinates: challenges `(batch, channel, i, j)` of the accumulators' column, each axis padded by itself; variables
/// `(batch, channel, k)`.
struct Axes {
    result: Shape,
    terms: usize,
    batch: Range<usize>,
    channel: Range<usize>,
    rows: Range<usize>,
    columns: Range<usize>,
    inner: Range<usize>,
}

impl Axes {
    fn new(batch: usize, a: Shape, result: Shape) -> Self {
        let mut next = 0;
        let [batch, channel, rows, columns] = [batch, result.c, result.h, result.w].map(|n| {
            next += log2_ceil(n);
            next - log2_ceil(n)..next
        });
        // A sum needs a variable; the upper half of one that is spare reads nothing.
        let end = (channel.end + log2_ceil(a.w)).max(1);
        let inner = channel.end..end;
        Self { result, terms: a.w, batch, channel, rows, columns, inner }
    }

    /// A factor's plane at challenge t and variable k: cell `at(t, k)`, real ones only.
    fn plane(&self, tau: Range<usize>, size: usize, at: impl Fn(usize, usize) -> usize) -> Axis {
        let pairs = (0..size).flat_map(|t| (0..self.terms).map(move |k| (t, k)));
        let entries = pairs.map(|(t, k)| entry(t, k, at(t, k), F::ONE)).collect();
        // A factor with one row or column meets no challenge at all.
        let tau = if tau.is_empty() { 0..0 } else { tau };
        wire(tau, self.inner.clone(), log2_ceil(size * self.terms), entries)
    }

    /// Cell of the accumulators' column, inside one channel, of an element of the result's plane.
    fn cell(&self, i: usize) -> usize {
        (i / self.result.w) << self.columns.len() | (i % self.result.w)
    }

    /// The accumulators' column from the sums of each input.
    fn fill(&self, values: &[Vec<i64>]) -> Vec<F> {
        let mut cells = alloc::vec![F::ZERO; 1 << self.columns.end];
        let plane = self.rows.len() + self.columns.len();
        for (b, sums) in values.iter().enumerate() {
            for (c, sums) in sums.chunks(self.result.h * self.result.w).enumerate() {
                let start = (b << self.channel.len() | c) << plane;
                sums.iter().enumerate().for_each(|(i, acc)| cells[start | self.cell(i)] = int(*acc));
            }
        }
        cells
    }

    /// The accumulators on the rows of the result.
    fn rows_of(&self, acc: ColumnId) -> Term {
        let len = self.result.h * self.result.w;
        let plane = self.channel.end..self.channel.end + log2_ceil(len);
        let log = self.rows.len() + self.columns.len();
        let entries = (0..len).map(|i| entry(0, i, self.cell(i), F::ONE)).collect();
        let axis = if plane.len() == log && self.result.w.is_power_of_two() {
            Axis::Var(plane)
        } else {
            wire(0..0, plane, log, entries)
        };
        column(F::ONE, acc, alloc::vec![Axis::Var(self.batch.clone()), Axis::Var(self.channel.clone()), axis])
    }
}
