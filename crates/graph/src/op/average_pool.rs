//! Mean over windows: `sum + floor(d/2) = d*y + r`, `0 <= r < d`, d the window's size. Rounds half up; padding counts as zeros.

use alloc::string::String;
use alloc::vec::Vec;
use p3_field::PrimeCharacteristicRing;
use proofmesh_proof::field::{F, int, log2_ceil};
use proofmesh_proof::system::{Axis, ColumnId, Term};
use serde::{Deserialize, Serialize};

use super::{Operator, Site, Window, padded, unary};
use crate::arith::{Builder, Logs, column, entry, expr, wire};
use crate::limits;
use crate::tensor::{Shape, Tensor};
use crate::value::{Interval, ValueType, WeightMode};
use crate::window::plane_reads;

/// Mean over sliding windows of each channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AveragePool {
    /// Kernel, stride, padding.
    pub window: Window,
}

impl AveragePool {
    /// Elements in a window: the divisor.
    pub fn divisor(&self) -> usize {
        self.window.kernel[0] * self.window.kernel[1]
    }

    /// `(y, r)` of a sum.
    fn divide(&self, sum: i64) -> (i64, i64) {
        let d = self.divisor() as i64;
        ((sum + d / 2).div_euclid(d), (sum + d / 2).rem_euclid(d))
    }

    /// The sum over every window.
    fn sums(&self, a: &Tensor) -> Vec<i64> {
        let [h, w] = self.window.axes(a.shape.h, a.shape.w).expect("checked before execution");
        let mut sums = Vec::with_capacity(a.shape.c * h.output * w.output);
        for c in 0..a.shape.c {
            for y in 0..h.output {
                for x in 0..w.output {
                    let mut sum = 0i64;
                    for iy in (0..h.kernel).filter_map(|k| h.source(y, k)) {
                        for ix in (0..w.kernel).filter_map(|k| w.source(x, k)) {
                            sum += i64::from(a.data[a.shape.at(c, iy, ix)]);
                        }
                    }
                    sums.push(sum);
                }
            }
        }
        sums
    }
}

impl Operator for AveragePool {
    fn check(&self, operands: &[ValueType], _: WeightMode) -> Result<ValueType, String> {
        let a = unary(operands)?;
        let [h, w] = self.window.axes(a.shape.h, a.shape.w)?;
        let d = self.divisor();
        if d > 1 << limits::MAX_SHIFT || a.interval.magnitude() * d as i64 >= limits::MAX_ACCUMULATOR {
            return Err(alloc::format!("a window of {d} elements is too large"));
        }
        let interval = Interval { lo: a.interval.lo.min(0), hi: a.interval.hi.max(0) };
        Ok(ValueType { shape: Shape::new(a.shape.c, h.output, w.output), interval })
    }

    fn execute(&self, operands: &[&Tensor]) -> Tensor {
        let a = operands[0];
        let [h, w] = self.window.axes(a.shape.h, a.shape.w).expect("checked before execution");
        let data = self.sums(a).into_iter().map(|sum| self.divide(sum).0 as i32).collect();
        Tensor { shape: Shape::new(a.shape.c, h.output, w.output), data }
    }

    fn work(&self, operands: &[ValueType], result: Shape, batch: usize) -> u64 {
        6 * padded(result, batch) + self.window.work(operands[0].shape.h, operands[0].shape.w)
    }

    fn constrain(&self, builder: &mut Builder<'_>, site: &Site<'_>) -> ColumnId {
        let (a, shape) = (site.operands[0], site.ty.shape);
        let d = self.divisor() as i64;
        let y = builder.value_column(site.name, shape, |_, trace| site.result(trace));
        builder.interval(&alloc::format!("{}: mean", site.name), y, shape, site.ty.interval);
        // The remainder sum + floor(d/2) - d y.
        let axes = self.window.axes(a.ty.shape.h, a.ty.shape.w).expect("checked before constraining");
        let [batch, channel, plane] = Logs::new(builder.batch, shape).ranges();
        let reads = plane_reads(&axes).into_iter().map(|[o, _, i]| entry(0, o, i, F::ONE)).collect();
        let window = wire(0..0, plane, log2_ceil(a.ty.shape.h * a.ty.shape.w), reads);
        let mut key = expr(alloc::vec![
            column(F::ONE, a.column, alloc::vec![Axis::Var(batch), Axis::Var(channel), window]),
            Term { coef: -int(d), ..builder.rows(y, shape) },
        ]);
        key.constant = int(d / 2);
        let (vars, real) = builder.real_rows(shape);
        builder.range(&alloc::format!("{}: remainder", site.name), d, vars, key, real);
        y
    }

    fn multiply_adds(&self, operands: &[ValueType]) -> u64 {
        let a = operands[0].shape;
        self.window.axes(a.h, a.w).map_or(0, |[h, w]| (a.c * h.output * w.output * self.divisor()) as u64)
    }
}
