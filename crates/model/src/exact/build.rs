//! Builds an integer program whose values are a quantised model's own integers minus their zero points.

use std::collections::BTreeMap;

use proofmesh_graph::limits as bounds;
use proofmesh_graph::op::{Add, Conv, ExtremePool, Gather, Lut, Op, Requantise, Rescale, Sum, Window};
use proofmesh_graph::program::{InputSpec, Interval, Node, Output, Program, ValueId, ValueType, WeightMode};
use proofmesh_graph::tensor::Shape;

use super::rounding::{Rounding, thresholds};
use crate::limits;

/// Factors of a sum that are tried, largest first, and how many of the best are held against every pair of operands.
const FACTORS: std::ops::Range<i64> = 1 << 10..1 << 14;
const TRIED: usize = 64;

/// How a value stands for real numbers: `scale * (stored - zero)`, stored integers in `lo ..= hi`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Quant {
    pub scale: f32,
    pub zero: i32,
    pub lo: i32,
    pub hi: i32,
}

impl Quant {
    /// Bounds of `stored - zero`.
    pub fn interval(&self) -> Interval {
        Interval { lo: self.lo - self.zero, hi: self.hi - self.zero }
    }

    /// The same with its bounds narrowed to those of a fused activation, given in stored integers.
    pub fn within(self, lo: i32, hi: i32) -> Self {
        Self { lo: self.lo.max(lo), hi: self.hi.min(hi), ..self }
    }

    /// Refuses what no runtime accepts: a scale that is not positive, a zero point outside the stored type.
    pub fn checked(self) -> Result<Self, String> {
        let fits = self.scale.is_finite() && self.scale > 0.0 && self.lo <= self.zero && self.zero <= self.hi;
        if fits {
            Ok(self)
        } else {
            Err(format!("scale {} with zero point {} is not a quantisation of 8 bits", self.scale, self.zero))
        }
    }

    /// Whether stored integers mean the same numbers.
    pub fn same(&self, other: &Self) -> bool {
        self.scale == other.scale && self.zero == other.zero
    }
}

/// A program under construction.
pub(crate) struct Build {
    input: InputSpec,
    nodes: Vec<Node>,
    types: Vec<ValueType>,
    quants: Vec<Quant>,
    weights: WeightMode,
    multiply_adds: u64,
    /// Operators with their counts.
    pub operators: BTreeMap<String, u64>,
    /// Weights and biases.
    pub parameters: u64,
}

/// A convolution before it is known how its results are bounded.
pub(crate) struct Layer {
    pub out_channels: usize,
    pub groups: usize,
    pub window: Window,
    /// `[out][in / groups][kh][kw]`, minus their zero points.
    pub weights: Vec<i32>,
    pub bias: Vec<i32>,
}

impl Build {
    pub fn new(shape: Shape, quant: Quant, weights: WeightMode) -> Result<Self, String> {
        if shape.is_empty() || shape.len() > limits::MAX_ACTIVATION_ELEMENTS {
            return Err(format!("an input of {:?} is empty or too large", shape.axes()));
        }
        let interval = quant.checked()?.interval();
        let input = InputSpec { shape, interval, public_channels: 0..0 };
        Ok(Self {
            input,
            nodes: Vec::new(),
            types: vec![ValueType { shape, interval }],
            quants: vec![quant],
            weights,
            multiply_adds: 0,
            operators: BTreeMap::new(),
            parameters: 0,
        })
    }

    pub fn shape(&self, id: ValueId) -> Shape {
        self.types[id].shape
    }

    pub fn quant(&self, id: ValueId) -> Quant {
        self.quants[id]
    }

    fn push(&mut self, name: &str, op: Op, inputs: Vec<ValueId>, quant: Quant) -> Result<ValueId, String> {
        let operands: Vec<ValueType> = inputs.iter().map(|i| self.types[*i]).collect();
        let ty = op.row().check(&operands, self.weights)?;
        if ty.shape.len() > limits::MAX_ACTIVATION_ELEMENTS || self.nodes.len() >= limits::MAX_NODES {
            return Err("the result is too large, or the model has too many nodes".into());
        }
        self.multiply_adds = self.multiply_adds.saturating_add(op.row().multiply_adds(&operands));
        if self.multiply_adds > limits::MAX_MULTIPLY_ADDS {
            return Err(format!("the model needs more than {} multiply-adds", limits::MAX_MULTIPLY_ADDS));
        }
        self.nodes.push(Node { name: name.to_string(), op, inputs });
        self.types.push(ty);
        self.quants.push(quant);
        Ok(self.types.len() - 1)
    }

    /// A convolution whose accumulators of channel c become `round_c(acc)`, clamped. One rounding for all channels, or one a channel.
    pub fn conv(
        &mut self,
        name: &str,
        x: ValueId,
        layer: Layer,
        rounding: &[Rounding],
        out: Quant,
    ) -> Result<ValueId, String> {
        let Layer { out_channels, groups, window, weights, bias } = layer;
        if rounding.len() != 1 && rounding.len() != out_channels {
            return Err(format!("{} multipliers for {out_channels} channels", rounding.len()));
        }
        self.parameters += (weights.len() + bias.len()) as u64;
        let rescale = Rescale { shift: bounds::MAX_SHIFT, clamp: out.checked()?.interval() };
        let mut conv = Conv { out_channels, groups, window, weights, bias, rescale };
        // The layer's own check: from here on its sizes agree.
        Op::Conv(conv.clone()).row().check(&[self.types[x]], self.weights)?;
        let reach = self.reach(&conv, x);
        let row = |c: usize| {
            let reach = if rounding.len() == 1 { joined(&reach) } else { reach[c] };
            thresholds(|acc| rounding[c].apply(acc), reach, [rescale.clamp.lo, rescale.clamp.hi])
        };
        let thresholds: Vec<i32> = (0..rounding.len()).flat_map(row).collect();
        let bound = conv.accumulator_bound(self.types[x], self.weights);
        conv.rescale.shift = step_bits(&thresholds, conv.rescale.clamp, bound)?;
        self.push(name, Op::Requantise(Requantise { sum: Sum::Conv(conv), thresholds }), vec![x], out)
    }

    /// What each channel's accumulator can be: by its weights, or by shape alone where they are private.
    fn reach(&self, conv: &Conv, x: ValueId) -> Vec<[i64; 2]> {
        let ty = self.types[x];
        if self.weights == WeightMode::Private {
            let bound = conv.accumulator_bound(ty, self.weights);
            return vec![[-bound, bound]; conv.out_channels];
        }
        let ends = [ty.interval.lo.min(0), ty.interval.hi.max(0)].map(i64::from);
        let rows = conv.weights.chunks(conv.weights.len() / conv.out_channels).zip(&conv.bias);
        let reach = |(row, bias): (&[i32], &i32)| {
            row.iter().fold([i64::from(*bias); 2], |[low, high], w| {
                let [a, b] = ends.map(|x| x * i64::from(*w));
                [low + a.min(b), high + a.max(b)]
            })
        };
        rows.map(reach).collect()
    }

    /// The mean (or another step function of the sum) over windows.
    pub fn window_sum(
        &mut self,
        name: &str,
        x: ValueId,
        window: Window,
        f: impl Fn(i64) -> i64,
        out: Quant,
    ) -> Result<ValueId, String> {
        let (c, interval) = (self.shape(x).c, out.checked()?.interval());
        window.axes(self.shape(x).h, self.shape(x).w)?;
        let taps = window.kernel[0] * window.kernel[1];
        let rescale = Rescale { shift: bounds::MAX_SHIFT, clamp: interval };
        let mut conv = Conv {
            out_channels: c,
            groups: c,
            window,
            weights: vec![1; c * taps],
            bias: vec![0; c],
            rescale,
        };
        let reach = joined(&self.reach(&conv, x));
        let thresholds = thresholds(f, reach, [interval.lo, interval.hi]);
        let bound = conv.accumulator_bound(self.types[x], self.weights);
        conv.rescale.shift = step_bits(&thresholds, interval, bound)?;
        self.push(name, Op::Requantise(Requantise { sum: Sum::Conv(conv), thresholds }), vec![x], out)
    }

    /// A function of two values, given for the integers of the program, that is a step function of `scale_a * a + scale_b * b`: two integer
    /// factors are searched whose sum orders every pair of operands as the function does.
    pub fn add(
        &mut self,
        name: &str,
        [a, b]: [ValueId; 2],
        f: impl Fn(i32, i32) -> i64,
        out: Quant,
    ) -> Result<ValueId, String> {
        let clamp = out.checked()?.interval();
        let (x, y) = (self.types[a].interval, self.types[b].interval);
        let pairs = || (x.lo..=x.hi).flat_map(|i| (y.lo..=y.hi).map(move |j| (i, j)));
        let results: Vec<i32> =
            pairs().map(|(i, j)| f(i, j).clamp(clamp.lo.into(), clamp.hi.into()) as i32).collect();
        let ratio = f64::from(self.quants[a].scale) / f64::from(self.quants[b].scale);
        let mut fewest = usize::MAX;
        for factors in factor_pairs(ratio) {
            let [p, q] = factors.map(i64::from);
            let sums = pairs().map(|(i, j)| p * i64::from(i) + q * i64::from(j));
            // The extreme sums of every result; the largest of lower results must lie below the smallest of higher ones.
            let span = (clamp.hi - clamp.lo) as usize;
            let (mut least, mut most) = (vec![i64::MAX; span + 1], vec![i64::MIN; span + 1]);
            for (sum, result) in sums.zip(&results) {
                let at = (result - clamp.lo) as usize;
                least[at] = least[at].min(sum);
                most[at] = most[at].max(sum);
            }
            let mut above = vec![i64::MAX; span + 2];
            (0..=span).rev().for_each(|i| above[i] = above[i + 1].min(least[i]));
            let mut below = i64::MIN;
            let mut thresholds = Vec::with_capacity(span);
            let mut torn = 0;
            let top = most.iter().copied().max().unwrap_or(0);
            for i in 1..=span {
                below = below.max(most[i - 1]);
                torn += usize::from(above[i] <= below);
                thresholds.push(above[i].min(top + 1) as i32);
            }
            if torn == 0 {
                let rescale = Rescale { shift: bounds::MAX_SHIFT, clamp };
                let mut add = Add { factors, rescale };
                let bound = add.accumulator_bound(&[self.types[a], self.types[b]]);
                add.rescale.shift = step_bits(&thresholds, clamp, bound)?;
                let op = Op::Requantise(Requantise { sum: Sum::Add(add), thresholds });
                return self.push(name, op, vec![a, b], out);
            }
            fewest = fewest.min(torn);
        }
        Err(format!(
            "no sum of integer multiples rounds as the runtime does: {fewest} of its steps would be misplaced for some operands; \
             quantise the operands with other scales"
        ))
    }

    /// A function of one value, given for the integers of the program.
    pub fn table(
        &mut self,
        name: &str,
        x: ValueId,
        f: impl Fn(i32) -> i64,
        out: Quant,
    ) -> Result<ValueId, String> {
        let (from, to) = (self.types[x].interval, out.checked()?.interval());
        let row = |i: i32| f(i).clamp(to.lo.into(), to.hi.into()) as i32;
        let table = (from.lo..=from.hi).map(row).collect();
        self.push(name, Op::Lut(Lut { first: from.lo, table }), vec![x], out)
    }

    /// The largest element of windows; padding is never chosen.
    pub fn max_pool(&mut self, name: &str, x: ValueId, window: Window) -> Result<ValueId, String> {
        let op = Op::ExtremePool(ExtremePool { window, smallest: false });
        self.push(name, op, vec![x], self.quants[x])
    }

    /// Elements in another order.
    pub fn gather(
        &mut self,
        name: &str,
        x: ValueId,
        shape: Shape,
        index: Vec<u32>,
    ) -> Result<ValueId, String> {
        self.push(name, Op::Gather(Gather { shape, index }), vec![x], self.quants[x])
    }

    /// The program; its only output is every element of the given value.
    pub fn program(&self, name: &str, output: ValueId) -> Program {
        Program {
            name: name.to_string(),
            input: self.input.clone(),
            nodes: self.nodes.clone(),
            outputs: vec![Output::Values(output)],
            weights: self.weights,
        }
    }

    pub fn quants(&self) -> &[Quant] {
        &self.quants
    }
}

/// The smallest interval that holds all.
fn joined(all: &[[i64; 2]]) -> [i64; 2] {
    all.iter().fold([0, 0], |[low, high], [a, b]| [low.min(*a), high.max(*b)])
}

/// Bits of the width of a step: every step fits it, and steps beyond the clamp are few.
fn step_bits(thresholds: &[i32], clamp: Interval, bound: i64) -> Result<u32, String> {
    let span = (clamp.hi - clamp.lo).max(1) as usize;
    let gaps =
        thresholds.chunks(span).flat_map(|list| list.windows(2).map(|t| i64::from(t[1]) - i64::from(t[0])));
    let widest = gaps.max().unwrap_or(0).max(1);
    let fits = (0..=bounds::MAX_SHIFT).find(|s| 1 << s >= widest);
    let least = fits.ok_or_else(|| {
        format!("a step is {widest} accumulators wide, more than 2^16: quantise this layer with a coarser weight scale")
    })?;
    // Rows of the range and of the clamp table together are fewest near the root of what the accumulator can reach.
    Ok(least.max((bound.max(1).ilog2() + 2) / 2).min(bounds::MAX_SHIFT))
}

/// Pairs of factors whose quotient is closest to a ratio, the closest first.
fn factor_pairs(ratio: f64) -> Vec<[i32; 2]> {
    let (large, turned) = if ratio >= 1.0 { (ratio, false) } else { (1.0 / ratio, true) };
    let small = |p: i64| ((p as f64 / large).round() as i64).max(1);
    let off = |p: i64| ((p as f64 / small(p) as f64) / large - 1.0).abs();
    let mut all: Vec<i64> = FACTORS.collect();
    all.sort_by(|a, b| off(*a).total_cmp(&off(*b)));
    // Equal scales first of all: one and one.
    let best = all.into_iter().take(TRIED).map(|p| [p as i32, small(p) as i32]);
    let one = (large == 1.0).then_some([1, 1]);
    one.into_iter().chain(best).map(|[p, q]| if turned { [q, p] } else { [p, q] }).collect()
}
