//! Products and quotients of two activations, sums over axes: a result's scale follows from its operands' up to a power of two or a whole
//! factor.

use proofmesh_graph::op::{Divide, MatMul, Multiply, Op, ReduceSum, Rescale};
use proofmesh_graph::program::{Interval, ValueType};
use proofmesh_graph::{limits as bounds, tensor::Shape};

use super::Grid;
use super::lower::{Layer, SAME_SCALE};
use crate::float::Clamp;

impl Layer<'_> {
    /// Shape and interval of each operand.
    fn operand_types(&self) -> Vec<ValueType> {
        let shape = |v: &usize| self.source.shapes[*v];
        let one = |(i, v): (usize, &usize)| ValueType { shape: shape(v), interval: self.operand(i).interval };
        self.node.inputs.iter().enumerate().map(one).collect()
    }

    /// The scale of a product and its rescale: the accumulator's step times the smallest power of two that the calibration set and the
    /// clamp table allow. `bound` is the largest accumulator.
    fn product(&self, gain: f32, bound: i64) -> Result<(Rescale, f64), String> {
        let step = f64::from(gain) * self.operand(0).scale() * self.operand(1).scale();
        let finest = self.calibrated_scales(Clamp::NONE)[0].max(1e-30) * (1.0 - SAME_SCALE);
        let mut why = String::new();
        for shift in 0..=bounds::MAX_SHIFT {
            let scale = step * f64::from(1u32 << shift);
            if scale < finest {
                continue;
            }
            let rescale = Rescale { shift, clamp: self.interval(Clamp::NONE, scale) };
            match rescale.quotient_bound(bound) {
                Ok(q) if 2 * q < 1 << self.rows_log2() => return Ok((rescale, scale)),
                Ok(q) => why = format!("the quotient can reach {q}"),
                Err(reason) => why = reason,
            }
        }
        Err(format!("no scale fits a clamp table of 2^{} rows: {why}", self.rows_log2()))
    }

    pub(super) fn multiply(&self, gain: f32) -> Result<(Op, Grid), String> {
        let bound = self.operand_types().iter().map(|o| o.interval.magnitude()).product();
        let (rescale, scale) = self.product(gain, bound)?;
        let grid = Grid::uniform(scale, self.channels(), rescale.clamp);
        Ok((Op::Multiply(Multiply { rescale }), grid))
    }

    pub(super) fn matmul(&self, transposed: bool, gain: f32) -> Result<(Op, Grid), String> {
        let operands = self.operand_types();
        let terms = operands[0].shape.w as i64;
        let bound = operands.iter().fold(terms, |n, o| n.saturating_mul(o.interval.magnitude()));
        let (rescale, scale) = self.product(gain, bound)?;
        let grid = Grid::uniform(scale, self.channels(), rescale.clamp);
        Ok((Op::MatMul(MatMul { transposed, rescale }), grid))
    }

    /// `a / b = y s`, `s = s_a / (s_b scale)`.
    pub(super) fn divide(&self) -> Result<(Op, Grid), String> {
        let (a, b) = (self.operand(0), self.operand(1));
        if a.interval.lo < 0 || b.interval.lo < 1 {
            return Err(
                "its operands can be negative or zero: this is a fault of the importer, report it".into()
            );
        }
        let step = a.scale() / b.scale();
        let scale = (step / self.calibrated_scales(Clamp::NONE)[0]).floor().clamp(1.0, 32768.0) as i32;
        let quotient = |x: i32, y: i32| {
            let (x, y, s) = (i64::from(x), i64::from(y), i64::from(scale));
            ((2 * s * x + y) / (2 * y)) as i32
        };
        let interval = Interval {
            lo: quotient(a.interval.lo, b.interval.hi),
            hi: quotient(a.interval.hi, b.interval.lo),
        };
        let grid = Grid::uniform(step / f64::from(scale), self.channels(), interval);
        Ok((Op::Divide(Divide { scale }), grid))
    }

    /// `gain sum(x) = y s`, `s = gain s_x 2^k / factor`.
    pub(super) fn reduce_sum(&self, axes: [bool; 3], gain: f32, clamp: Clamp) -> Result<(Op, Grid), String> {
        let x = self.operand_types()[0];
        let step = f64::from(gain) * self.operand(0).scale();
        let terms = (x.shape.len() / self.source.shapes[self.value].len().max(1)) as i64;
        let reach = terms.saturating_mul(x.interval.magnitude());
        let finest = self.calibrated_scales(clamp);
        let shape: Shape = self.source.shapes[self.value];
        // The finest shift for which the factor has precision and the accumulator fits.
        for shift in (0..=self.settings.shift).rev() {
            let whole = |scale: f64| (step * f64::from(1u32 << shift) / scale).floor();
            if whole(finest[0]).max(1.0) * reach as f64 >= bounds::MAX_ACCUMULATOR as f64 {
                continue;
            }
            let mut scale = finest[0];
            loop {
                let factor = whole(scale * (1.0 - SAME_SCALE)).max(1.0);
                scale = step * f64::from(1u32 << shift) / factor;
                let mut within = self.interval(clamp, scale);
                if within.lo > 1 {
                    // A bound that is never reached: a power of two is shared by more tables.
                    within.lo = 1 << within.lo.ilog2();
                }
                let rescale = Rescale { shift, clamp: within };
                let bound = reach.saturating_mul(factor as i64);
                if rescale.quotient_bound(bound).is_ok_and(|q| 2 * q < 1 << self.rows_log2()) {
                    let op = ReduceSum { axes, factor: factor as i32, rescale };
                    return Ok((Op::ReduceSum(op), Grid::uniform(scale, shape.c, rescale.clamp)));
                }
                if factor <= 1.0 {
                    break;
                }
                scale *= 1.01;
            }
        }
        Err(format!("a sum of {terms} terms fits no clamp table of 2^{} rows", self.rows_log2()))
    }
}
