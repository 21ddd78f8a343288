//! Requantisation exactly as an integer runtime does it: a linear layer whose result is a *step function* of its accumulator.
//!
//! For a fixed multiplier `m`, `y = clamp(round(m * acc) + z)` does not decrease in `acc`, whatever the runtime's rounding. So it is given, a
//! channel, by the thresholds `T(y)`: the smallest accumulator whose result is at least `y`. Beyond the clamp's ends the steps go on with
//! width `2^shift`, so that a saturated accumulator has an unclamped result `v` as in [`Rescale`]:
//!
//! `acc = T(y) + 2^shift (v - y) + r`, `y = clamp(v)`, `0 <= r < 2^shift`, `0 <= T(y + 1) - 1 - T(y) - r < 2^shift`.

use alloc::string::String;
use alloc::vec::Vec;
use p3_field::PrimeCharacteristicRing;
use proofmesh_proof::field::{F, int};
use proofmesh_proof::system::{Axis, ColumnId, Expr, Term};
use serde::{Deserialize, Serialize};

use super::{Add, Conv, Operator, Rescale, Site, padded};
use crate::arith::{Accumulator, Builder, Logs, expr, public};
use crate::limits;
use crate::tensor::{Shape, Tensor};
use crate::value::{Interval, ValueType, WeightMode};

/// The layer that gives the accumulators. Its rescale says where results are clamped and, by its shift, how wide a step is beyond that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sum {
    /// A convolution; also a dense layer, and a mean as a depthwise convolution with ones.
    Conv(Conv),
    /// A weighted sum of two values.
    Add(Add),
}

impl Sum {
    fn row(&self) -> &dyn Operator {
        match self {
            Self::Conv(op) => op,
            Self::Add(op) => op,
        }
    }

    fn rescale(&self) -> Rescale {
        match self {
            Self::Conv(op) => op.rescale,
            Self::Add(op) => op.rescale,
        }
    }

    fn accumulate(&self, operands: &[&Tensor]) -> Vec<i64> {
        match self {
            Self::Conv(op) => op.accumulate(operands[0]),
            Self::Add(op) => op.accumulate(operands),
        }
    }

    fn accumulator_bound(&self, operands: &[ValueType], mode: WeightMode) -> i64 {
        match self {
            Self::Conv(op) => op.accumulator_bound(operands[0], mode),
            Self::Add(op) => op.accumulator_bound(operands),
        }
    }
}

/// A linear layer followed by a step function a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requantise {
    /// What is summed.
    pub sum: Sum,
    /// For each result `lo + 1 ..= hi` the smallest accumulator that gives it or more, ascending; one list for all channels, or one a channel.
    pub thresholds: Vec<i32>,
}

/// One accumulator's part of the witness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    /// The result before the clamp.
    v: i64,
    /// The clamped result.
    y: i64,
    /// `T(y)` and `T(y + 1)`.
    edges: [i64; 2],
    /// Distance from the step's start.
    r: i64,
}

impl Requantise {
    fn clamp(&self) -> Interval {
        self.sum.rescale().clamp
    }

    /// Width of a step beyond the clamp.
    fn width(&self) -> i64 {
        1 << self.sum.rescale().shift
    }

    /// Thresholds in one list.
    fn span(&self) -> usize {
        (i64::from(self.clamp().hi) - i64::from(self.clamp().lo)).max(0) as usize
    }

    /// The thresholds of a channel.
    fn channel(&self, c: usize) -> &[i32] {
        let start = if self.thresholds.len() == self.span() { 0 } else { c * self.span() };
        &self.thresholds[start..start + self.span()]
    }

    /// `T(lo) ..= T(hi + 1)` of a channel.
    fn edges(&self, c: usize) -> Vec<i64> {
        let inner = self.channel(c);
        let (first, last) = (i64::from(inner[0]), i64::from(inner[inner.len() - 1]));
        let mut all = alloc::vec![first - self.width()];
        all.extend(inner.iter().map(|t| i64::from(*t)));
        all.push(last + self.width());
        all
    }

    /// The result for an accumulator of channel `c`.
    pub fn apply(&self, c: usize, acc: i64) -> i32 {
        self.clamp().lo + self.channel(c).partition_point(|t| i64::from(*t) <= acc) as i32
    }

    fn step(&self, edges: &[i64], acc: i64) -> Step {
        let (lo, inner) = (i64::from(self.clamp().lo), &edges[1..edges.len() - 1]);
        let at = inner.partition_point(|t| *t <= acc);
        // Whole widths before the first step or after the last: at most 0 and at least 0.
        let beyond =
            if at == 0 || at == inner.len() { (acc - edges[at]).div_euclid(self.width()) } else { 0 };
        let (y, r) = (lo + at as i64, acc - edges[at] - self.width() * beyond);
        Step { v: y + beyond, y, edges: [edges[at], edges[at + 1]], r }
    }

    /// The bound on everything that an accumulator's equation holds beside `2^shift v` and the accumulator's own: see [`Operator::check`].
    fn reach(&self, bound: i64) -> i64 {
        let edge = self.thresholds.iter().map(|t| i64::from(*t).abs()).max().unwrap_or(0);
        bound + edge + self.width() * (self.clamp().magnitude() + 2)
    }

    /// Rows of the table of thresholds.
    pub fn rows(&self) -> usize {
        self.thresholds.len() / self.span().max(1) * (self.span() + 2)
    }

    /// The table: row `c * (span + 2) + y - lo` is `T_c(y)`.
    fn table(&self) -> Vec<i32> {
        let lists = self.thresholds.len() / self.span();
        (0..lists).flat_map(|c| self.edges(c)).map(|t| t as i32).collect()
    }

    /// `c * (span + 2) + y - lo + next` on the rows of the result.
    fn key(&self, builder: &Builder<'_>, y: ColumnId, shape: Shape, next: i64) -> Expr {
        let rows = self.span() as i64 + 2;
        let mut key = expr(alloc::vec![builder.rows(y, shape)]);
        key.constant = int(next - i64::from(self.clamp().lo));
        if self.thresholds.len() > self.span() {
            let channel = Logs::new(builder.batch, shape).ranges()[1].clone();
            let starts = (0..1i64 << channel.len()).map(|c| int(c * rows)).collect();
            key.terms.push(public(F::ONE, starts, alloc::vec![Axis::Var(channel)]));
        }
        key
    }

    /// The result's column, bound to the layer's accumulator.
    fn columns(&self, builder: &mut Builder<'_>, site: &Site<'_>, accumulator: &Accumulator<'_>) -> ColumnId {
        let (shape, name) = (site.ty.shape, site.name);
        let plane = shape.h * shape.w;
        let edges: Vec<Vec<i64>> = (0..shape.c).map(|c| self.edges(c)).collect();
        let of = |values: &Vec<i64>| -> Vec<Step> {
            values.iter().enumerate().map(|(i, acc)| self.step(&edges[i / plane], *acc)).collect()
        };
        let steps: Vec<Vec<Step>> = accumulator.values.iter().map(of).collect();
        let each = |f: fn(&Step) -> i64| {
            let steps = &steps;
            move |b: usize, _: &[Tensor]| steps[b].iter().map(f).collect::<Vec<i64>>()
        };
        let part = |what: &str| alloc::format!("{name}.{what}");
        let y = builder.value_column(name, shape, each(|s| s.y));
        let v = builder.value_column(part("v"), shape, each(|s| s.v));
        let start = builder.value_column(part("start"), shape, each(|s| s.edges[0]));
        let end = builder.value_column(part("end"), shape, each(|s| s.edges[1]));

        let claim = |what: &str| alloc::format!("{name}: {what}");
        let (vars, real) = builder.real_rows(shape);
        let rows = |builder: &Builder<'_>, of: ColumnId| expr(alloc::vec![builder.rows(of, shape)]);
        let thresholds = builder.row_table(0, &self.table());
        for (what, next, value) in [("start", 0, start), ("end", 1, end)] {
            let (key, value) = (self.key(builder, y, shape, next), rows(builder, value));
            builder.lookup(claim(what), thresholds, vars, key, value, real.clone());
        }
        let rescale = self.sum.rescale();
        let table = builder.clamp_table(rescale, self.reach(self.bound(site)));
        let (key, value) = (rows(builder, v), rows(builder, y));
        builder.lookup(claim("clamp"), table, vars, key, value, real);
        // r = acc - T(y) - 2^shift (v - y), and what is left of the step after it.
        let width = int(self.width());
        let terms = |parts: &[(F, ColumnId)]| {
            let term = |(coef, of): &(F, ColumnId)| Term { coef: *coef, ..builder.rows(*of, shape) };
            expr(parts.iter().map(term).collect())
        };
        let offset = terms(&[(-F::ONE, start), (-width, v), (width, y)]);
        let mut rest = terms(&[(F::ONE, end), (width, v), (-width, y)]);
        rest.constant = -F::ONE;
        builder.range_around(&claim("from the start"), rescale.shift, shape, offset, (1, accumulator));
        builder.range_around(&claim("to the end"), rescale.shift, shape, rest, (-1, accumulator));
        y
    }

    fn bound(&self, site: &Site<'_>) -> i64 {
        self.sum.accumulator_bound(&site.operand_types(), site.mode)
    }
}

impl Operator for Requantise {
    /// Beside the layer's own check: the thresholds ascend by at most `2^shift`, and no side of an equation wraps. With `|acc| <= bound`,
    /// `|T|`, `2^shift |y|` and bound together below 2^29, and `|2^shift v| <= 2^30` for every row of the clamp table, the two sides of the
    /// accumulator's equation differ by less than `2^30 + 2^29 + 2^16 < p`.
    fn check(&self, operands: &[ValueType], mode: WeightMode) -> Result<ValueType, String> {
        let ty = self.sum.row().check(operands, mode)?;
        let span = self.span();
        if span == 0 || span > limits::MAX_LUT_ROWS {
            return Err(alloc::format!(
                "a step function needs 2 to {} results, has {}",
                limits::MAX_LUT_ROWS,
                span + 1
            ));
        }
        let lists = self.thresholds.len() / span;
        if !self.thresholds.len().is_multiple_of(span) || (lists != 1 && lists != ty.shape.c) {
            return Err(alloc::format!(
                "has {} thresholds, needs {span} for all channels or for each of {}",
                self.thresholds.len(),
                ty.shape.c
            ));
        }
        let ascends = |list: &[i32]| {
            list.windows(2).all(|t| (0..=self.width()).contains(&(i64::from(t[1]) - i64::from(t[0]))))
        };
        if !self.thresholds.chunks(span).all(ascends) {
            return Err("the thresholds of a step function must ascend by at most the step's width".into());
        }
        let bound = self.sum.accumulator_bound(operands, mode);
        self.sum.rescale().quotient_bound(self.reach(bound))?;
        Ok(ty)
    }

    fn execute(&self, operands: &[&Tensor]) -> Tensor {
        let shape = match &self.sum {
            Sum::Add(_) => operands[0].shape,
            Sum::Conv(op) => {
                let a = operands[0].shape;
                let [h, w] = op.window.axes(a.h, a.w).expect("checked before execution");
                Shape::new(op.out_channels, h.output, w.output)
            }
        };
        let sums = self.sum.accumulate(operands).into_iter().enumerate();
        Tensor { shape, data: sums.map(|(i, acc)| self.apply(i / (shape.h * shape.w), acc)).collect() }
    }

    fn multiply_adds(&self, operands: &[ValueType]) -> u64 {
        self.sum.row().multiply_adds(operands)
    }

    fn work(&self, operands: &[ValueType], result: Shape, batch: usize) -> u64 {
        // Four columns and five look-ups a result where a rescale has two and two.
        self.sum.row().work(operands, result, batch)
            + 5 * padded(result, batch)
            + self.thresholds.len() as u64
    }

    fn rescale_bound(&self, operands: &[ValueType], mode: WeightMode) -> Option<(Rescale, i64)> {
        Some((self.sum.rescale(), self.reach(self.sum.accumulator_bound(operands, mode))))
    }

    fn constrain(&self, builder: &mut Builder<'_>, site: &Site<'_>) -> ColumnId {
        let accumulator = match &self.sum {
            Sum::Conv(op) => op.accumulator(builder, site),
            Sum::Add(op) => op.accumulator(builder, site),
        };
        self.columns(builder, site, &accumulator)
    }
}
