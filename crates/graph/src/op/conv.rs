//! Convolution with constant weights; with a kernel as large as its input it is a dense layer.
//!
//! `acc[o, y, x] = bias[o] + sum_{i, dy, dx} W[o, i, dy, dx] * a[g(o) * I + i, y*s + dy - p, x*s + dx - p]`, then [`Rescale`].

use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::{Operator, Rescale, Window, unary};
use crate::limits;
use crate::program::{ValueType, WeightMode};
use crate::tensor::{Shape, Tensor};

/// A convolution's attributes and weights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conv {
    /// Output channels over all groups.
    pub out_channels: usize,
    /// Groups; as many as channels is a depthwise layer.
    pub groups: usize,
    /// Kernel, stride, padding (with zeros).
    pub window: Window,
    /// `[out_channels][in_channels / groups][kh][kw]`, row-major. Empty in the public part of a private model.
    pub weights: Vec<i32>,
    /// One a channel, in accumulator scale. Empty in the public part of a private model.
    pub bias: Vec<i32>,
    /// How the accumulator becomes an activation.
    pub rescale: Rescale,
}

impl Conv {
    /// Input channels of one group, for an operand with `c` channels.
    pub fn group_inputs(&self, c: usize) -> usize {
        c / self.groups
    }

    /// Output channels of one group.
    pub fn group_outputs(&self) -> usize {
        self.out_channels / self.groups
    }

    /// Largest `|acc|` that the operand's interval allows. Public weights: by each row's L1 norm; private: by shape alone.
    pub fn accumulator_bound(&self, operand: ValueType, mode: WeightMode) -> i64 {
        let x = operand.interval.magnitude();
        let terms = self.group_inputs(operand.shape.c) * self.window.kernel[0] * self.window.kernel[1];
        match mode {
            WeightMode::Public => self
                .weights
                .chunks(terms.max(1))
                .zip(&self.bias)
                .map(|(row, b)| {
                    let norm: i64 = row.iter().map(|w| i64::from(*w).abs()).sum();
                    norm.saturating_mul(x).saturating_add(i64::from(*b).abs())
                })
                .max()
                .unwrap_or(0),
            WeightMode::Private => {
                let w = 1i64 << (limits::PRIVATE_WEIGHT_BITS - 1);
                (terms as i64)
                    .saturating_mul(w)
                    .saturating_mul(x)
                    .saturating_add(1 << (limits::PRIVATE_BIAS_BITS - 1))
            }
        }
    }
}

impl Operator for Conv {
    fn check(&self, operands: &[ValueType], mode: WeightMode) -> Result<ValueType, String> {
        let a = unary(operands)?;
        if self.groups == 0
            || !a.shape.c.is_multiple_of(self.groups)
            || !self.out_channels.is_multiple_of(self.groups)
            || self.out_channels == 0
        {
            return Err(alloc::format!(
                "{} groups do not divide {} input and {} output channels",
                self.groups,
                a.shape.c,
                self.out_channels
            ));
        }
        let [h, w] = self.window.axes(a.shape.h, a.shape.w)?;
        let shape = Shape::new(self.out_channels, h.output, w.output);
        let count = self
            .out_channels
            .checked_mul(self.group_inputs(a.shape.c))
            .and_then(|n| n.checked_mul(h.kernel * w.kernel))
            .filter(|n| *n <= limits::MAX_ELEMENTS)
            .ok_or("the weight tensor is too large")?;
        let hidden = mode == WeightMode::Private && self.weights.is_empty() && self.bias.is_empty();
        if !hidden && (self.weights.len() != count || self.bias.len() != self.out_channels) {
            return Err(alloc::format!(
                "has {} weights and {} biases, needs {count} and {}",
                self.weights.len(),
                self.bias.len(),
                self.out_channels
            ));
        }
        if mode == WeightMode::Private {
            let (w, b) = (1i64 << (limits::PRIVATE_WEIGHT_BITS - 1), 1i64 << (limits::PRIVATE_BIAS_BITS - 1));
            let inside = |v: &i32, m: i64| i64::from(*v) >= -m && i64::from(*v) < m;
            if !self.weights.iter().all(|v| inside(v, w)) || !self.bias.iter().all(|v| inside(v, b)) {
                return Err("a private weight needs more than 12 bits or a private bias more than 24: import with fewer weight bits".into());
            }
        }
        self.rescale.quotient_bound(self.accumulator_bound(a, mode))?;
        Ok(ValueType { shape, interval: self.rescale.clamp })
    }

    fn execute(&self, operands: &[&Tensor]) -> Tensor {
        let a = operands[0];
        let [h, w] = self.window.axes(a.shape.h, a.shape.w).expect("checked before execution");
        let mut out = Tensor::zeros(Shape::new(self.out_channels, h.output, w.output));
        let (gi, go) = (self.group_inputs(a.shape.c), self.group_outputs());
        let row = gi * h.kernel * w.kernel;
        for o in 0..self.out_channels {
            let weights = &self.weights[o * row..(o + 1) * row];
            for y in 0..h.output {
                for x in 0..w.output {
                    let mut acc = i64::from(self.bias[o]);
                    for i in 0..gi {
                        let plane = (o / go) * gi + i;
                        for dy in 0..h.kernel {
                            let Some(iy) = h.source(y, dy) else { continue };
                            for dx in 0..w.kernel {
                                let Some(ix) = w.source(x, dx) else { continue };
                                let weight = weights[(i * h.kernel + dy) * w.kernel + dx];
                                acc += i64::from(weight) * i64::from(a.data[a.shape.at(plane, iy, ix)]);
                            }
                        }
                    }
                    let at = out.shape.at(o, y, x);
                    out.data[at] = self.rescale.apply(acc);
                }
            }
        }
        out
    }

    fn multiply_adds(&self, operands: &[ValueType]) -> u64 {
        let a = operands[0].shape;
        self.window.axes(a.h, a.w).map_or(0, |[h, w]| {
            (self.out_channels * h.output * w.output * self.group_inputs(a.c) * h.kernel * w.kernel) as u64
        })
    }
}
