//! Mean over windows: `sum + floor(d/2) = d*y + r`, `0 <= r < d`, d the window's size. Rounds half up; padding counts as zeros.

use alloc::string::String;
use serde::{Deserialize, Serialize};

use super::{Operator, Window, unary};
use crate::limits;
use crate::program::{ValueType, WeightMode};
use crate::tensor::{Shape, Tensor};

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
}

impl Operator for AveragePool {
    fn check(&self, operands: &[ValueType], _: WeightMode) -> Result<ValueType, String> {
        let a = unary(operands)?;
        let [h, w] = self.window.axes(a.shape.h, a.shape.w)?;
        let d = self.divisor();
        if d > 1 << limits::MAX_SHIFT || a.interval.magnitude() * d as i64 >= limits::MAX_ACCUMULATOR {
            return Err(alloc::format!("a window of {d} elements is too large"));
        }
        let interval = crate::program::Interval { lo: a.interval.lo.min(0), hi: a.interval.hi.max(0) };
        Ok(ValueType { shape: Shape::new(a.shape.c, h.output, w.output), interval })
    }

    fn execute(&self, operands: &[&Tensor]) -> Tensor {
        let a = operands[0];
        let [h, w] = self.window.axes(a.shape.h, a.shape.w).expect("checked before execution");
        let mut out = Tensor::zeros(Shape::new(a.shape.c, h.output, w.output));
        let d = self.divisor() as i64;
        for c in 0..a.shape.c {
            for y in 0..h.output {
                for x in 0..w.output {
                    let mut sum = 0i64;
                    for iy in (0..h.kernel).filter_map(|k| h.source(y, k)) {
                        for ix in (0..w.kernel).filter_map(|k| w.source(x, k)) {
                            sum += i64::from(a.data[a.shape.at(c, iy, ix)]);
                        }
                    }
                    let at = out.shape.at(c, y, x);
                    out.data[at] = (sum + d / 2).div_euclid(d) as i32;
                }
            }
        }
        out
    }

    fn multiply_adds(&self, operands: &[ValueType]) -> u64 {
        let a = operands[0].shape;
        self.window.axes(a.h, a.w).map_or(0, |[h, w]| (a.c * h.output * w.output * self.divisor()) as u64)
    }
}
