//! One pass over a folded float graph: scales, integer weights, nodes of the program.

use proofmesh_graph::limits as bounds;
use proofmesh_graph::op::{Add, AveragePool, Conv, ExtremePool, Gather, Lut, Op, Rescale};
use proofmesh_graph::program::{InputSpec, Interval, Node, Output, Program, ValueType, WeightMode};
use proofmesh_graph::tensor::Shape;

use super::Grid;
use super::joint::Joint;
use super::settings::{LEVELS, Settings};
use crate::calibrate::Observed;
use crate::error::ImportError;
use crate::float::{Clamp, Curve, FloatConv, FloatGraph, FloatNode, FloatOp, ZERO};

/// Widest bounds of the output: differences of two outputs fit 4096 rows.
pub(crate) const OUTPUT: Interval = Interval { lo: -2048, hi: 2047 };
/// How often a scale is widened by a hundredth until its layer fits the clamp table.
const WIDENINGS: usize = 700;

/// How often the scale of a group of values is widened.
const REJOININGS: usize = 64;
/// Scales that differ by less are one.
pub(super) const SAME_SCALE: f64 = 1e-9;

/// A channel's scale is at least this share of the loudest channel's: the calibration set may have missed
/// what it can do.
const QUIETEST_CHANNEL: f64 = 1.0 / 16.0;

/// What is quantised.
pub(crate) struct Source<'a> {
    pub name: &'a str,
    pub graph: &'a FloatGraph,
    pub shapes: &'a [Shape],
    /// One a value.
    pub observed: &'a [Observed],
    pub input: Grid,
    pub weights: WeightMode,
}

/// An integer program and the grid of each of its values.
#[derive(Clone, Debug)]
pub(crate) struct Lowered {
    /// Its only output is [`Output::Values`] of the model's output.
    pub program: Program,
    /// One a value, the input first. Values of the program are those of the folded float graph.
    pub grids: Vec<Grid>,
}

/// Why lowering failed at a node.
fn fail(node: &FloatNode, reason: impl Into<String>) -> ImportError {
    ImportError::Node { node: node.name.clone(), op: node.source.clone(), reason: reason.into() }
}

/// Lowers the graph under the given settings.
///
/// Errors: a layer that fits neither the field nor the clamp table at any scale; a table beyond its limit;
/// whatever [`Program::check`] refuses.
pub(crate) fn lower(source: &Source<'_>, settings: &Settings) -> Result<Lowered, ImportError> {
    let mut joint = Joint::of(source, settings);
    for _ in 0..REJOININGS {
        if let Some(lowered) = once(source, settings, &mut joint)? {
            return Ok(lowered);
        }
    }
    Err(ImportError::Model(
        "values that are joined found no common scale: change what is concatenated".into(),
    ))
}

/// One pass; `None` if a member of a group needed a larger scale than the group had, which it has now.
fn once(source: &Source<'_>, settings: &Settings, joint: &mut Joint) -> Result<Option<Lowered>, ImportError> {
    let mut grids = vec![source.input.clone()];
    let mut free = free_values(source.graph, joint);
    if settings.uniform {
        free.fill(false);
    }
    let mut nodes = Vec::with_capacity(source.graph.nodes.len());
    for (i, node) in source.graph.nodes.iter().enumerate() {
        let value = i + 1;
        let scale = joint.scale(value);
        let layer = Layer { source, settings, grids: &grids, node, value, free: free[value], joint: scale };
        let (op, grid) = layer.lower().map_err(|reason| fail(node, reason))?;
        if joint.widen(value, grid.scale()) {
            return Ok(None);
        }
        nodes.push(Node { name: node.name.clone(), op, inputs: node.inputs.clone() });
        grids.push(grid);
    }
    let program = Program {
        name: source.name.to_string(),
        input: InputSpec {
            shape: source.graph.input,
            interval: source.input.interval,
            public_channels: 0..0,
        },
        nodes,
        outputs: vec![Output::Values(source.graph.output)],
        weights: source.weights,
    };
    program.check()?;
    Ok(Some(Lowered { program, grids }))
}

pub(super) struct Layer<'a> {
    pub(super) source: &'a Source<'a>,
    pub(super) settings: &'a Settings,
    grids: &'a [Grid],
    pub(super) node: &'a FloatNode,
    pub(super) value: usize,
    /// Whether each channel of the result may have a scale of its own.
    free: bool,
    /// The scale of the group that the result belongs to, if it shares one.
    joint: Option<f64>,
}

/// Which values may have one scale a channel: results of layers with no bound but 0, which only layers and
/// pools read.
fn free_values(graph: &FloatGraph, joint: &Joint) -> Vec<bool> {
    let mut free = vec![true; graph.nodes.len() + 1];
    free[0] = false;
    free[graph.output] = false;
    for (i, node) in graph.nodes.iter().enumerate().rev() {
        let value = i + 1;
        free[value] &= joint.scale(value).is_none();
        let passes = match &node.op {
            FloatOp::Conv(conv) => {
                let bound = |b: f32| b == 0.0 || b.is_infinite();
                free[value] &= bound(conv.clamp.lo) && bound(conv.clamp.hi);
                true
            }
            FloatOp::MaxPool(_) | FloatOp::MinPool(_) | FloatOp::AveragePool(_) => free[value],
            _ => {
                free[value] = false;
                false
            }
        };
        node.inputs.iter().for_each(|v| free[*v] &= passes);
    }
    free
}

impl Layer<'_> {
    pub(super) fn operand(&self, i: usize) -> &Grid {
        &self.grids[self.node.inputs[i]]
    }

    pub(super) fn channels(&self) -> usize {
        self.source.shapes[self.value].c
    }

    pub(super) fn is_output(&self) -> bool {
        self.source.graph.output == self.value
    }

    fn lower(&self) -> Result<(Op, Grid), String> {
        let first = self.operand(0);
        match &self.node.op {
            FloatOp::Conv(conv) => self.conv(conv),
            FloatOp::Truth(conv) => self.truth(conv),
            FloatOp::Threshold { at, inclusive } => self.threshold(at, inclusive),
            FloatOp::Sum { factors, clamp } => self.sum(*factors, *clamp),
            FloatOp::Multiply { gain } => self.multiply(*gain),
            FloatOp::MatMul { transposed, gain } => self.matmul(*transposed, *gain),
            FloatOp::Divide => self.divide(),
            FloatOp::ReduceSum { axes, gain, clamp } => self.reduce_sum(*axes, *gain, *clamp),
            FloatOp::Curve(curve) => self.curve(*curve),
            FloatOp::MaxPool(window) | FloatOp::MinPool(window) => {
                let smallest = matches!(self.node.op, FloatOp::MinPool(_));
                Ok((Op::ExtremePool(ExtremePool { window: *window, smallest }), first.clone()))
            }
            FloatOp::AveragePool(window) => {
                let interval = Interval { lo: first.interval.lo.min(0), hi: first.interval.hi.max(0) };
                let grid = Grid { interval, scales: first.scales.clone() };
                Ok((Op::AveragePool(AveragePool { window: *window }), grid))
            }
            FloatOp::Reshape(shape) => self.picked(*shape, (0..shape.len() as u32).collect()),
            FloatOp::Gather { shape, index } => self.picked(*shape, index.clone()),
            FloatOp::Affine { .. } | FloatOp::Clamp(_) => {
                Err("was not folded into a layer: this is a fault of the importer, report it".into())
            }
        }
    }

    /// Elements of one or several values on one scale.
    fn picked(&self, shape: Shape, index: Vec<u32>) -> Result<(Op, Grid), String> {
        let operands: Vec<&Grid> = (0..self.node.inputs.len()).map(|i| self.operand(i)).collect();
        let scale = operands[0].scale();
        if operands.iter().any(|g| (g.scale() / scale - 1.0).abs() > SAME_SCALE) {
            return Err("joins values of different scales: this is a fault of the importer, report it".into());
        }
        let zero = index.contains(&ZERO);
        let bound =
            |f: fn(&Interval) -> i32| operands.iter().map(move |g| f(&g.interval)).chain(zero.then_some(0));
        let interval =
            Interval { lo: bound(|i| i.lo).min().unwrap_or(0), hi: bound(|i| i.hi).max().unwrap_or(0) };
        Ok((Op::Gather(Gather { shape, index }), Grid::uniform(scale, shape.c, interval)))
    }

    /// For each channel the finest scale that the calibration set and the value's levels allow.
    pub(super) fn calibrated_scales(&self, clamp: Clamp) -> Vec<f64> {
        if let Some(scale) = self.joint {
            return vec![scale; self.channels()];
        }
        let observed = &self.source.observed[self.value];
        let levels = self.levels();
        let largest = f64::from(observed.lo.abs().max(observed.hi.abs()));
        // The output's integers span more than its table lets through: it is not clamped to what was seen.
        let headroom = if self.is_output() { 1.0 } else { observed.headroom };
        let bound = headroom * observed.bound(levels, self.settings.clip && !self.is_output());
        // A value that never moves still needs a scale.
        let bound = if bound > 0.0 { bound } else { 1.0 };
        let stated = f64::from(clamp.hi.abs().max(clamp.lo.abs()));
        let bound = bound.min(if stated > 0.0 { stated } else { f64::INFINITY });
        if !self.free {
            return vec![bound / f64::from(levels); self.channels()];
        }
        let share = |c: &f32| if largest > 0.0 { f64::from(*c) / largest } else { 1.0 };
        observed.channels.iter().map(|c| bound * share(c).max(QUIETEST_CHANNEL) / f64::from(levels)).collect()
    }

    pub(super) fn rows_log2(&self) -> u32 {
        if self.is_output() { self.settings.output_rows_log2 } else { self.settings.rows_log2 }
    }

    pub(super) fn levels(&self) -> i32 {
        if self.is_output() { OUTPUT.hi } else { self.settings.levels[self.value] }
    }

    /// The layer's shift: the settings', and as many bits more as an operand has beyond 12 and the result has not. A fine operand's step
    /// counted in a coarse result's is a small number, which a factor must hold all the same.
    fn shift(&self) -> u32 {
        let beyond =
            |levels: i64| (levels / (i64::from(LEVELS[2]) + 1)).checked_ilog2().map_or(0, |log| log + 1);
        let operands = (0..self.node.inputs.len()).map(|i| beyond(self.operand(i).interval.magnitude()));
        let more = operands.max().unwrap_or(0).saturating_sub(beyond(i64::from(self.levels())));
        // More than this and the accumulator leaves the field before the table is full.
        let most = bounds::MAX_ACCUMULATOR.ilog2() + 1 - self.rows_log2();
        (self.settings.shift + more).min(bounds::MAX_SHIFT).min(most.max(self.settings.shift))
    }

    /// The clamp in integers.
    pub(super) fn interval(&self, clamp: Clamp, scale: f64) -> Interval {
        let widest = self.levels();
        let lowest = if self.is_output() { OUTPUT.lo } else { -widest };
        let at = |bound: f32| {
            (f64::from(bound) / scale).round().clamp(f64::from(lowest), f64::from(widest)) as i32
        };
        Interval { lo: at(clamp.lo), hi: at(clamp.hi) }
    }

    /// Tries scales from the finest on until `build` gives a layer that fits the clamp table; gives it with
    /// its grid.
    pub(super) fn fit<T>(
        &self,
        clamp: Clamp,
        shift: u32,
        finest: Vec<f64>,
        build: impl Fn(&[f64], Rescale) -> Result<(T, i64), String>,
    ) -> Result<(T, Grid), String> {
        let mut scales: Vec<f64> = finest.iter().map(|s| s.max(1e-30)).collect();
        let mut why = String::new();
        for _ in 0..WIDENINGS {
            let interval = self.interval(clamp, scales[0]);
            let rescale = Rescale { shift, clamp: interval };
            match build(&scales, rescale) {
                Ok((op, bound)) => match rescale.quotient_bound(bound) {
                    Ok(q) if 2 * q < 1 << self.rows_log2() => {
                        return Ok((op, Grid { scales, interval }));
                    }
                    Ok(q) => why = format!("the quotient can reach {q}"),
                    Err(reason) => why = reason,
                },
                Err(reason) => why = reason,
            }
            scales.iter_mut().for_each(|s| *s *= 1.01);
        }
        Err(format!("no scale fits a clamp table of 2^{} rows: {why}", self.rows_log2()))
    }

    fn conv(&self, conv: &FloatConv) -> Result<(Op, Grid), String> {
        let x = self.operand(0);
        let shape = self.source.shapes[self.node.inputs[0]];
        let operand = ValueType { shape, interval: x.interval };
        // Weights per integer step of the operand: from here on its scales are gone.
        let steps = per_step(conv, &x.scales);
        let public = self.source.weights == WeightMode::Public;
        // What a verifier sees of the layer in private mode.
        let hollow = Conv {
            out_channels: conv.out_channels,
            groups: conv.groups,
            window: conv.window,
            weights: Vec::new(),
            bias: Vec::new(),
            rescale: Rescale { shift: 0, clamp: OUTPUT },
        };
        let row = conv.row_len();
        let rows = f64::from(1u32 << self.rows_log2());
        let mut finest = self.calibrated_scales(conv.clamp);
        let narrowest = |o: usize, shift: u32| {
            let hollow = Conv { rescale: Rescale { shift, ..hollow.rescale }, ..hollow.clone() };
            let bits = (hollow.private_bits(operand), hollow.private_bias_bits());
            narrowest_scale(&steps[o * row..(o + 1) * row], conv.bias[o], shift, bits)
        };
        let fine = |shift: u32| finest.iter().enumerate().all(|(o, s)| narrowest(o, shift) <= *s);
        let shift = if public { self.shift() } else { self.private_shift(&hollow, operand, fine)? };
        let floor = |o: usize| {
            if public {
                let norm: f64 = steps[o * row..(o + 1) * row].iter().map(|w| w.abs()).sum();
                2.0 * (norm * x.interval.magnitude() as f64 + f64::from(conv.bias[o].abs())) / (rows - 3.0)
            } else {
                narrowest(o, shift)
            }
        };
        let floors: Vec<f64> = (0..finest.len()).map(floor).collect();
        finest.iter_mut().zip(floors).for_each(|(s, floor)| *s = s.max(floor));
        if !self.free {
            let widest = finest.iter().copied().fold(0.0, f64::max);
            finest.fill(widest);
        }
        let (op, grid) = self.fit(conv.clamp, shift, finest, |scales, rescale| {
            let factor = |o: usize| f64::from(1u32 << rescale.shift) / scales[o];
            let weights = integers(steps.iter().enumerate().map(|(i, w)| w * factor(i / row)))?;
            let bias = integers(conv.bias.iter().enumerate().map(|(o, b)| f64::from(*b) * factor(o)))?;
            let op = Conv { weights, bias, rescale, ..hollow.clone() };
            if !public {
                within(&op.weights, op.private_bits(operand), "weight")?;
                within(&op.bias, op.private_bias_bits(), "bias")?;
            }
            let bound = op.reach(operand, self.source.weights).magnitude();
            Ok((op, bound))
        })?;
        Ok((Op::Conv(op), grid))
    }

    /// The shift of a private layer: the largest up to the settings' with which no weight makes the result coarser than calibration allows, but
    /// not less than the smallest with which a layer of this shape fits the clamp table, whatever its weights are.
    fn private_shift(
        &self,
        hollow: &Conv,
        operand: ValueType,
        fine: impl Fn(u32) -> bool,
    ) -> Result<u32, String> {
        let shifted = |shift: u32| Conv { rescale: Rescale { shift, clamp: OUTPUT }, ..hollow.clone() };
        let bound = |shift: u32| shifted(shift).reach(operand, WeightMode::Private).magnitude();
        let fits = |shift: &u32| {
            let rescale = Rescale { shift: *shift, clamp: OUTPUT };
            rescale.quotient_bound(bound(*shift)).is_ok_and(|q| 2 * q < 1 << self.rows_log2())
        };
        let least = (0..=bounds::MAX_SHIFT).find(fits).ok_or_else(|| {
            format!(
                "with private weights its accumulator can reach {}: split the layer or show its weights",
                bound(bounds::MAX_SHIFT)
            )
        })?;
        Ok((least..=self.shift().max(least)).rev().find(|shift| fine(*shift)).unwrap_or(least))
    }

    fn sum(&self, factors: [f32; 2], clamp: Clamp) -> Result<(Op, Grid), String> {
        let operands = [self.operand(0), self.operand(1)];
        let step = |i: usize| f64::from(factors[i]) * operands[i].scale();
        let reach = |i: usize| step(i).abs() * operands[i].interval.magnitude() as f64;
        let floor = 2.0 * (reach(0) + reach(1)) / (f64::from(1u32 << self.rows_log2()) - 3.0);
        let finest = self.calibrated_scales(clamp).iter().copied().fold(floor, f64::max);
        let shape = self.source.shapes[self.value];
        let types = operands.map(|g| ValueType { shape, interval: g.interval });
        let finest = vec![finest; shape.c];
        let (op, grid) = self.fit(clamp, self.shift(), finest, |scales, rescale| {
            let factor = f64::from(1u32 << rescale.shift) / scales[0];
            let both = integers([0, 1].into_iter().map(|i| step(i) * factor))?;
            let op = Add { factors: [both[0], both[1]], rescale };
            let bound = op.reach(&types).magnitude();
            Ok((op, bound))
        })?;
        Ok((Op::Add(op), grid))
    }

    fn curve(&self, curve: Curve) -> Result<(Op, Grid), String> {
        let x = self.operand(0);
        let Interval { lo, hi } = x.interval;
        if hi - lo >= bounds::MAX_LUT_ROWS as i32 {
            return Err(format!(
                "its operand takes {} values, a table holds {}: use fewer bits for it",
                hi - lo + 1,
                bounds::MAX_LUT_ROWS
            ));
        }
        let scale = self.calibrated_scales(Clamp::NONE)[0];
        let within = self.interval(Clamp::NONE, scale);
        let row = |q: i32| {
            let y = f64::from(curve.apply((f64::from(q) * x.scale()) as f32)) / scale;
            // Beyond what calibration saw a function may have no value: any integer does.
            let y = if y.is_nan() { 0.0 } else { y };
            y.round().clamp(f64::from(within.lo), f64::from(within.hi)) as i32
        };
        let table: Vec<i32> = (lo..=hi).map(row).collect();
        let interval = Interval {
            lo: table.iter().copied().min().unwrap_or(0),
            hi: table.iter().copied().max().unwrap_or(0),
        };
        Ok((Op::Lut(Lut { first: lo, table }), Grid::uniform(scale, self.channels(), interval)))
    }
}

/// Weights times the scale of the operand's channel that they read.
fn per_step(conv: &FloatConv, scales: &[f64]) -> Vec<f64> {
    let taps = conv.window.kernel[0] * conv.window.kernel[1];
    let (inputs, outputs) = (scales.len() / conv.groups, conv.out_channels / conv.groups);
    let row = conv.row_len();
    let channel = |i: usize| (i / row / outputs) * inputs + i % row / taps;
    conv.weights.iter().enumerate().map(|(i, w)| f64::from(*w) * scales[channel(i)]).collect()
}

/// The finest scale of a channel for which its private weights and its bias fit their bits.
fn narrowest_scale(steps: &[f64], bias: f32, shift: u32, (weights, biases): (u32, u32)) -> f64 {
    let factor = f64::from(1u32 << shift);
    let most = |bits: u32| f64::from((1u32 << (bits - 1)) - 1);
    let largest = steps.iter().fold(0.0, |m: f64, w| m.max(w.abs()));
    (largest * factor / most(weights)).max(f64::from(bias.abs()) * factor / most(biases))
}

/// Rounded numbers, refused beyond the accumulator.
fn integers(values: impl Iterator<Item = f64>) -> Result<Vec<i32>, String> {
    let most = bounds::MAX_ACCUMULATOR as f64;
    let one = |v: f64| {
        let q = v.round();
        if q.abs() < most {
            Ok(q as i32)
        } else {
            Err(format!("a weight or bias of {q:.0} does not fit the field"))
        }
    };
    values.map(one).collect()
}

/// Checks that every number is a signed integer of `bits` bits.
fn within(values: &[i32], bits: u32, what: &str) -> Result<(), String> {
    let most = 1i64 << (bits - 1);
    match values.iter().find(|v| !(-most..most).contains(&i64::from(**v))) {
        Some(v) => Err(format!("a private {what} of {v} needs more than {bits} bits")),
        None => Ok(()),
    }
}
