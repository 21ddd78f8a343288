//! Sum over whole axes: `acc = factor * sum of x over the chosen axes`, then [`Rescale`]. The chosen axes of the result have one element.
//!
//! Claim: `factor * sum_x a(tau, x) = 2^k q(tau) + r(tau) - 2^(k-1)`, linear, over real x only. Without a shift, and with a clamp that
//! holds every possible sum, the result is the sum itself and costs no look-up. *No wrap*: `|acc|` is at most `|factor|` times the number
//! of elements times the magnitude, refused from 2^29 on; where the result is the sum itself, refused beyond 16 bits.

use alloc::string::String;
use alloc::vec::Vec;
use p3_field::PrimeCharacteristicRing;
use proofmesh_proof::field::{F, int, log2_ceil};
use proofmesh_proof::system::{Axis, ColumnId};
use serde::{Deserialize, Serialize};

use super::{Operator, Rescale, Site, padded, unary};
use crate::arith::{Builder, Logs, column, entry, expr, wire};
use crate::limits;
use crate::tensor::{Shape, Tensor};
use crate::value::{Interval, ValueType, WeightMode};

/// A sum over whole axes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReduceSum {
    /// Whether channels, rows and columns are summed over.
    pub axes: [bool; 3],
    /// Public integer factor.
    pub factor: i32,
    /// How the sum becomes an activation.
    pub rescale: Rescale,
}

impl ReduceSum {
    fn shape(&self, a: Shape) -> Shape {
        let [c, h, w] = self.axes;
        let size = |summed: bool, n: usize| if summed { 1 } else { n };
        Shape::new(size(c, a.c), size(h, a.h), size(w, a.w))
    }

    /// Largest `|acc|`.
    fn accumulator_bound(&self, a: ValueType) -> i64 {
        let terms = (a.shape.len() / self.shape(a.shape).len()) as i64;
        terms.saturating_mul(a.interval.magnitude()).saturating_mul(i64::from(self.factor).abs())
    }

    /// The interval of the sums when nothing is shifted or clamped away.
    fn exact(&self, a: ValueType) -> Option<Interval> {
        let terms = (a.shape.len() / self.shape(a.shape).len()) as i64;
        let end = |x: i32| terms.saturating_mul(i64::from(x)).saturating_mul(i64::from(self.factor));
        let (lo, hi) =
            (end(a.interval.lo).min(end(a.interval.hi)), end(a.interval.lo).max(end(a.interval.hi)));
        let clamp = self.rescale.clamp;
        let inside = self.rescale.shift == 0
            && i64::from(clamp.lo.max(-limits::MAX_ACTIVATION)) <= lo
            && hi <= i64::from(clamp.hi.min(limits::MAX_ACTIVATION));
        inside.then_some(Interval { lo: lo as i32, hi: hi as i32 })
    }

    /// Every sum before the rescale.
    fn accumulate(&self, a: &Tensor) -> Vec<i64> {
        let shape = self.shape(a.shape);
        let mut sums = alloc::vec![0i64; shape.len()];
        for (x, i) in a.data.iter().zip(crate::arith::repeated(shape, a.shape)) {
            sums[i] += i64::from(*x) * i64::from(self.factor);
        }
        sums
    }
}

impl Operator for ReduceSum {
    fn check(&self, operands: &[ValueType], _: WeightMode) -> Result<ValueType, String> {
        let a = unary(operands)?;
        let shape = self.shape(a.shape);
        if let Some(interval) = self.exact(a) {
            return Ok(ValueType { shape, interval });
        }
        self.rescale.quotient_bound(self.accumulator_bound(a))?;
        Ok(ValueType { shape, interval: self.rescale.clamp })
    }

    fn execute(&self, operands: &[&Tensor]) -> Tensor {
        let data = self.accumulate(operands[0]).into_iter().map(|acc| self.rescale.apply(acc)).collect();
        Tensor { shape: self.shape(operands[0].shape), data }
    }

    fn rescale_bound(&self, operands: &[ValueType], _: WeightMode) -> Option<(Rescale, i64)> {
        let a = operands[0];
        self.exact(a).is_none().then(|| (self.rescale, self.accumulator_bound(a)))
    }

    fn work(&self, operands: &[ValueType], result: Shape, batch: usize) -> u64 {
        // Three columns and two look-ups; a wire an axis, an entry taking the room of four cells.
        let a = operands[0].shape;
        padded(result, batch).saturating_mul(5).saturating_add(4 * (a.c + a.h + a.w) as u64)
    }

    fn constrain(&self, builder: &mut Builder<'_>, site: &Site<'_>) -> ColumnId {
        let (a, shape) = (site.operands[0], site.ty.shape);
        let (y, mut terms) = if self.exact(a.ty).is_some() {
            let y = builder.value_column(site.name, shape, |_, trace| site.result(trace));
            (y, alloc::vec![builder.at_tau(F::ONE, y, shape)])
        } else {
            let bound = self.accumulator_bound(a.ty);
            builder.rescale(site.name, shape, self.rescale, bound, |t| self.accumulate(site.read(t)[0]))
        };
        let ranges = Logs::new(builder.batch, shape).ranges(0);
        let mut axes = alloc::vec![Axis::Tau(ranges[0].clone())];
        for ((summed, range), size) in self.axes.into_iter().zip(&ranges[1..]).zip(a.ty.shape.axes()) {
            let all = (0..size).map(|i| entry(0, 0, i, F::ONE)).collect();
            axes.push(if summed { wire(0..0, 0..0, log2_ceil(size), all) } else { Axis::Tau(range.clone()) });
        }
        terms.push(column(int(-i64::from(self.factor)), a.column, axes));
        builder.linear(alloc::format!("{}: sums", site.name), expr(terms));
        y
    }

    fn multiply_adds(&self, operands: &[ValueType]) -> u64 {
        operands[0].shape.len() as u64
    }
}
