//! Largest (or smallest) element of windows of each channel. Padding is never chosen.

use alloc::string::String;
use serde::{Deserialize, Serialize};

use super::{Operator, Window, unary};
use crate::program::{ValueType, WeightMode};
use crate::tensor::{Shape, Tensor};

/// Maximum or minimum over sliding windows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtremePool {
    /// Kernel, stride, padding.
    pub window: Window,
    /// Minimum instead of maximum.
    pub smallest: bool,
}

impl Operator for ExtremePool {
    fn check(&self, operands: &[ValueType], _: WeightMode) -> Result<ValueType, String> {
        let a = unary(operands)?;
        let [h, w] = self.window.axes(a.shape.h, a.shape.w)?;
        Ok(ValueType { shape: Shape::new(a.shape.c, h.output, w.output), interval: a.interval })
    }

    fn execute(&self, operands: &[&Tensor]) -> Tensor {
        let a = operands[0];
        let [h, w] = self.window.axes(a.shape.h, a.shape.w).expect("checked before execution");
        let mut out = Tensor::zeros(Shape::new(a.shape.c, h.output, w.output));
        for c in 0..a.shape.c {
            for y in 0..h.output {
                for x in 0..w.output {
                    let rows = (0..h.kernel).filter_map(|k| h.source(y, k));
                    let all = rows
                        .flat_map(|iy| (0..w.kernel).filter_map(|k| w.source(x, k)).map(move |ix| (iy, ix)));
                    let values = all.map(|(iy, ix)| a.data[a.shape.at(c, iy, ix)]);
                    let best = if self.smallest { values.min() } else { values.max() };
                    let at = out.shape.at(c, y, x);
                    out.data[at] =
                        best.expect("padding is smaller than the kernel, so every window holds an element");
                }
            }
        }
        out
    }

    fn multiply_adds(&self, _: &[ValueType]) -> u64 {
        0
    }
}
