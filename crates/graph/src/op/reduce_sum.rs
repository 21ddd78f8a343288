//! Sum over whole axes: `acc = factor * sum of x over the chosen axes`, then [`Rescale`]. The chosen axes of the result have one element.
//!
//! Claim: the accumulator is linear in the operand's real elements, and rescaled. Without a shift, and with a clamp that
//! holds every possible sum, the result is the sum itself and costs no look-up. *No wrap*: `|acc|` is at most `|factor|` times the number
//! of elements times the magnitude, refused from 2^29 on; where the result is the sum itself, refused beyond 16 bits.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;
use p3_field::PrimeCharacteristicRing;
use proofmesh_proof::field::{F, int, log2_ceil};
use proofmesh_proof::system::{Axis, ColumnId};
use serde::{Deserialize, Serialize};

use super::{Operator, Reach, Rescale, Site, padded, unary};
use crate::arith::{Accumulator, Builder, Logs, column, entry, expr, repeated, wire};
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

    /// Where the sum can lie.
    fn reach(&self, a: ValueType) -> Reach {
        Reach::scaled(a.interval, self.factor).times(a.shape.len() / self.shape(a.shape).len())
    }

    /// The interval of the sums when nothing is shifted or clamped away.
    fn exact(&self, a: ValueType) -> Option<Interval> {
        let Reach { lo, hi } = self.reach(a);
        let clamp = self.rescale.clamp;
        let inside = self.rescale.shift == 0
            && i64::from(clamp.lo.max(-limits::MAX_ACTIVATION)) <= lo
            && hi <= i64::from(clamp.hi.min(limits::MAX_ACTIVATION));
        inside.then_some(Interval { lo: lo as i32, hi: hi as i32 })
    }

    /// The operand summed: real elements, at tau or on the rows of the result.
    fn axes(&self, batch: usize, a: Shape, tau: bool) -> Vec<Axis> {
        let shape = self.shape(a);
        let [batch, channel, plane] = Logs::new(batch, shape).ranges();
        let keep = |range| if tau { Axis::Tau(range) } else { Axis::Var(range) };
        let sum = |range: Range<usize>, log, pairs: &mut dyn Iterator<Item = (usize, usize)>| {
            if tau {
                wire(range, 0..0, log, pairs.map(|(i, o)| entry(o, 0, i, F::ONE)).collect())
            } else {
                wire(0..0, range, log, pairs.map(|(i, o)| entry(0, o, i, F::ONE)).collect())
            }
        };
        let [c, h, w] = self.axes;
        let flat = |s: Shape| Shape { c: 1, ..s };
        let channels = sum(channel.clone(), log2_ceil(a.c), &mut (0..a.c).map(|i| (i, 0)));
        let cells = sum(plane.clone(), log2_ceil(a.h * a.w), &mut repeated(flat(shape), flat(a)).enumerate());
        alloc::vec![
            keep(batch),
            if c { channels } else { keep(channel) },
            if h || w { cells } else { keep(plane) },
        ]
    }

    /// Every sum before the rescale.
    fn accumulate(&self, a: &Tensor) -> Vec<i64> {
        let shape = self.shape(a.shape);
        let mut sums = alloc::vec![0i64; shape.len()];
        for (x, i) in a.data.iter().zip(repeated(shape, a.shape)) {
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
        self.rescale.quotients(self.reach(a))?;
        Ok(ValueType { shape, interval: self.rescale.clamp })
    }

    fn execute(&self, operands: &[&Tensor]) -> Tensor {
        let data = self.accumulate(operands[0]).into_iter().map(|acc| self.rescale.apply(acc)).collect();
        Tensor { shape: self.shape(operands[0].shape), data }
    }

    fn rescale_reach(&self, operands: &[ValueType], _: WeightMode) -> Option<(Rescale, Reach)> {
        let a = operands[0];
        self.exact(a).is_none().then(|| (self.rescale, self.reach(a)))
    }

    fn work(&self, operands: &[ValueType], result: Shape, batch: usize) -> u64 {
        // Two columns and two look-ups; wires over channels and plane, an entry taking the room of four cells.
        let a = operands[0].shape;
        padded(result, batch).saturating_mul(4).saturating_add(4 * (a.c + a.h * a.w) as u64)
    }

    fn constrain(&self, builder: &mut Builder<'_>, site: &Site<'_>) -> ColumnId {
        let (a, shape) = (site.operands[0], site.ty.shape);
        let coef = int(i64::from(self.factor));
        if self.exact(a.ty).is_some() {
            let y = builder.value_column(site.name, shape, |_, trace| site.result(trace));
            let result = builder.at_tau(-F::ONE, y, shape);
            let sums = column(coef, a.column, self.axes(builder.batch, a.ty.shape, true));
            builder.linear(alloc::format!("{}: sums", site.name), expr(alloc::vec![result, sums]));
            return y;
        }
        let linear = alloc::vec![column(coef, a.column, self.axes(builder.batch, a.ty.shape, false))];
        let values = builder.each_trace(|trace| self.accumulate(site.read(trace)[0]));
        let accumulator = Accumulator { linear, sum: None, values };
        builder.rescale(site.name, shape, (self.rescale, self.reach(a.ty)), &accumulator)
    }

    fn multiply_adds(&self, operands: &[ValueType]) -> u64 {
        operands[0].shape.len() as u64
    }
}
