//! Bits: comparisons with constants and sums of bits, exact on the operand's integers.

use proofmesh_graph::op::{Conv, Op, Rescale, Window};
use proofmesh_graph::program::{Interval, WeightMode};

use super::Grid;
use super::lower::{Layer, SAME_SCALE};
use crate::float::FloatConv;

/// Both bits.
const BIT: Interval = Interval { lo: 0, hi: 1 };
/// Shift of a layer whose private weights are bounded by their bits alone: with it that bound gives a small table.
const PRIVATE_SHIFT: u32 = 10;

impl Layer<'_> {
    fn bit_shift(&self) -> u32 {
        if self.source.weights == WeightMode::Private { PRIVATE_SHIFT } else { 0 }
    }

    /// `q > floor(t / s)`, or `q > ceil(t / s) - 1`: the clamp to 0..1 of the difference.
    pub(super) fn threshold(&self, at: &[f32], inclusive: &[bool]) -> Result<(Op, Grid), String> {
        let x = self.operand(0);
        let (lo, hi) = (f64::from(x.interval.lo) - 1.0, f64::from(x.interval.hi));
        let shift = self.bit_shift();
        let bias = |(t, inclusive): (&f32, &bool)| {
            let t = f64::from(*t) / x.scale();
            let last = if *inclusive { t.ceil() - 1.0 } else { t.floor() };
            -(last.clamp(lo, hi) as i32) << shift
        };
        let channels = at.len();
        let conv = Conv {
            out_channels: channels,
            groups: channels,
            window: Window { kernel: [1, 1], stride: [1, 1], pad: [0; 4] },
            weights: vec![1 << shift; channels],
            bias: at.iter().zip(inclusive).map(bias).collect(),
            rescale: Rescale { shift, clamp: BIT },
        };
        Ok((Op::Conv(conv), Grid::uniform(1.0, channels, BIT)))
    }

    /// A sum of bits with whole weights, clamped to a bit.
    pub(super) fn truth(&self, conv: &FloatConv) -> Result<(Op, Grid), String> {
        if (self.operand(0).scale() - 1.0).abs() > SAME_SCALE {
            return Err("reads values that are no bits: this is a fault of the importer, report it".into());
        }
        let shift = self.bit_shift();
        let whole = |list: &[f32]| list.iter().map(|v| (v.round() as i32) << shift).collect();
        let conv = Conv {
            out_channels: conv.out_channels,
            groups: conv.groups,
            window: conv.window,
            weights: whole(&conv.weights),
            bias: whole(&conv.bias),
            rescale: Rescale { shift, clamp: BIT },
        };
        let channels = conv.out_channels;
        Ok((Op::Conv(conv), Grid::uniform(1.0, channels, BIT)))
    }
}
