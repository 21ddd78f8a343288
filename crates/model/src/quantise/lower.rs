//! One pass over a folded float graph: scales, integer weights, nodes of the program.

use proofmesh_graph::limits as bounds;
use proofmesh_graph::op::{Add, AveragePool, Conv, ExtremePool, Gather, Lut, Op, Rescale};
use proofmesh_graph::program::{InputSpec, Interval, Node, Output, Program, ValueType, WeightMode};
use proofmesh_graph::tensor::Shape;

use super::Grid;
use super::settings::Settings;
use crate::calibrate::Observations;
use crate::error::ImportError;
use crate::float::{Clamp, Curve, FloatConv, FloatGraph, FloatNode, FloatOp};

/// Widest bounds of the output: differences of two outputs fit 4096 rows.
pub(crate) const OUTPUT: Interval = Interval { lo: -2048, hi: 2047 };
/// How often a scale is widened by a hundredth until its layer fits the clamp table.
const WIDENINGS: usize = 700;

/// What is quantised.
pub(crate) struct Source<'a> {
    pub name: &'a str,
    pub graph: &'a FloatGraph,
    pub shapes: &'a [Shape],
    pub observed: &'a Observations,
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
/// Errors: a layer that fits neither the field nor the clamp table at any scale; a table beyond its limit; whatever [`Program::check`] refuses.
pub(crate) fn lower(source: &Source<'_>, settings: &Settings) -> Result<Lowered, ImportError> {
    let mut grids = vec![source.input];
    let mut nodes = Vec::with_capacity(source.graph.nodes.len());
    for (i, node) in source.graph.nodes.iter().enumerate() {
        let layer = Layer { source, settings, grids: &grids, node, value: i + 1 };
        let (op, grid) = layer.lower().map_err(|reason| fail(node, reason))?;
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
    Ok(Lowered { program, grids })
}

struct Layer<'a> {
    source: &'a Source<'a>,
    settings: &'a Settings,
    grids: &'a [Grid],
    node: &'a FloatNode,
    value: usize,
}

impl Layer<'_> {
    fn operand(&self, i: usize) -> Grid {
        self.grids[self.node.inputs[i]]
    }

    fn is_output(&self) -> bool {
        self.source.graph.output == self.value
    }

    fn lower(&self) -> Result<(Op, Grid), String> {
        let first = self.operand(0);
        match &self.node.op {
            FloatOp::Conv(conv) => self.conv(conv),
            FloatOp::Sum { factors, clamp } => self.sum(*factors, *clamp),
            FloatOp::Curve(curve) => self.curve(*curve),
            FloatOp::MaxPool(window) => {
                Ok((Op::ExtremePool(ExtremePool { window: *window, smallest: false }), first))
            }
            FloatOp::AveragePool(window) => {
                let interval = Interval { lo: first.interval.lo.min(0), hi: first.interval.hi.max(0) };
                Ok((Op::AveragePool(AveragePool { window: *window }), Grid { interval, ..first }))
            }
            FloatOp::Reshape(shape) => {
                Ok((Op::Gather(Gather { shape: *shape, index: (0..shape.len() as u32).collect() }), first))
            }
            FloatOp::Gather { shape, index } => {
                Ok((Op::Gather(Gather { shape: *shape, index: index.clone() }), first))
            }
            FloatOp::Affine { .. } | FloatOp::Clamp(_) => {
                Err("was not folded into a layer: this is a fault of the importer, report it".into())
            }
        }
    }

    /// The finest scale that the calibration set and the value's levels allow.
    fn calibrated_scale(&self, clamp: Clamp) -> f64 {
        let observed = &self.source.observed.values[self.value];
        let levels = self.levels();
        let bound = observed.bound(levels, self.settings.clip && !self.is_output());
        // A value that never moves still needs a scale.
        let bound = if bound > 0.0 { bound } else { 1.0 };
        let stated = f64::from(clamp.hi.abs().max(clamp.lo.abs()));
        bound.min(if stated > 0.0 { stated } else { f64::INFINITY }) / f64::from(levels)
    }

    fn levels(&self) -> i32 {
        if self.is_output() { OUTPUT.hi } else { self.settings.levels[self.value] }
    }

    /// The clamp in integers.
    fn interval(&self, clamp: Clamp, scale: f64) -> Interval {
        let widest = self.levels();
        let lowest = if self.is_output() { OUTPUT.lo } else { -widest };
        let at = |bound: f32| {
            (f64::from(bound) / scale).round().clamp(f64::from(lowest), f64::from(widest)) as i32
        };
        Interval { lo: at(clamp.lo), hi: at(clamp.hi) }
    }

    /// Tries scales from the finest on until `build` gives a layer that fits the clamp table; gives it with its grid.
    fn fit<T>(
        &self,
        clamp: Clamp,
        shift: u32,
        finest: f64,
        build: impl Fn(f64, Rescale) -> Result<(T, i64), String>,
    ) -> Result<(T, Grid), String> {
        let mut scale = finest.max(1e-30);
        let mut why = String::new();
        for _ in 0..WIDENINGS {
            let interval = self.interval(clamp, scale);
            let rescale = Rescale { shift, clamp: interval };
            match build(scale, rescale) {
                Ok((op, bound)) => match rescale.quotient_bound(bound) {
                    Ok(q) if 2 * q < 1 << self.settings.rows_log2 => {
                        return Ok((op, Grid { scale, interval }));
                    }
                    Ok(q) => why = format!("the quotient can reach {q}"),
                    Err(reason) => why = reason,
                },
                Err(reason) => why = reason,
            }
            scale *= 1.01;
        }
        Err(format!("no scale fits a clamp table of 2^{} rows: {why}", self.settings.rows_log2))
    }

    fn conv(&self, conv: &FloatConv) -> Result<(Op, Grid), String> {
        let x = self.operand(0);
        let shape = self.source.shapes[self.node.inputs[0]];
        let row = conv.row_len();
        let reach = |o: usize| {
            let norm: f64 = conv.weights[o * row..(o + 1) * row].iter().map(|w| f64::from(w.abs())).sum();
            norm * x.interval.magnitude() as f64 * x.scale + f64::from(conv.bias[o].abs())
        };
        let worst = (0..conv.out_channels).map(reach).fold(0.0, f64::max);
        let public = self.source.weights == WeightMode::Public;
        let operand = ValueType { shape, interval: x.interval };
        let rows = f64::from(1u32 << self.settings.rows_log2);
        let (shift, floor) = if public {
            (self.settings.shift, 2.0 * worst / (rows - 3.0))
        } else {
            let shift = self.private_shift(conv, operand)?;
            (shift, narrowest_scale(conv, shift, x.scale))
        };
        let finest = self.calibrated_scale(conv.clamp).max(floor);
        let (op, grid) = self.fit(conv.clamp, shift, finest, |scale, rescale| {
            let factor = f64::from(1u32 << rescale.shift) / scale;
            let weights = integers(&conv.weights, factor * x.scale)?;
            let bias = integers(&conv.bias, factor)?;
            if !public {
                within(&weights, bounds::PRIVATE_WEIGHT_BITS, "weight")?;
                within(&bias, bounds::PRIVATE_BIAS_BITS, "bias")?;
            }
            let (out_channels, groups, window) = (conv.out_channels, conv.groups, conv.window);
            let op = Conv { out_channels, groups, window, weights, bias, rescale };
            let bound = op.accumulator_bound(operand, self.source.weights);
            Ok((op, bound))
        })?;
        Ok((Op::Conv(op), grid))
    }

    /// The smallest shift from the settings' on for which a private layer of this shape fits the clamp table, whatever its weights are.
    fn private_shift(&self, conv: &FloatConv, operand: ValueType) -> Result<u32, String> {
        let hollow = Conv {
            out_channels: conv.out_channels,
            groups: conv.groups,
            window: conv.window,
            weights: Vec::new(),
            bias: Vec::new(),
            rescale: Rescale { shift: 0, clamp: OUTPUT },
        };
        let bound = hollow.accumulator_bound(operand, WeightMode::Private);
        let fits = |shift: &u32| {
            let rescale = Rescale { shift: *shift, clamp: OUTPUT };
            rescale.quotient_bound(bound).is_ok_and(|q| 2 * q < 1 << self.settings.rows_log2)
        };
        (self.settings.shift..=bounds::MAX_SHIFT).find(fits).ok_or_else(|| {
            format!(
                "with private weights its accumulator can reach {bound}: split the layer or show its weights"
            )
        })
    }

    fn sum(&self, factors: [f32; 2], clamp: Clamp) -> Result<(Op, Grid), String> {
        let operands = [self.operand(0), self.operand(1)];
        let reach = |i: usize| {
            f64::from(factors[i].abs()) * operands[i].scale * operands[i].interval.magnitude() as f64
        };
        let rows = f64::from(1u32 << self.settings.rows_log2);
        let finest = self.calibrated_scale(clamp).max(2.0 * (reach(0) + reach(1)) / (rows - 3.0));
        let shape = self.source.shapes[self.value];
        let types = operands.map(|g| ValueType { shape, interval: g.interval });
        let (op, grid) = self.fit(clamp, self.settings.shift, finest, |scale, rescale| {
            let factor = f64::from(1u32 << rescale.shift) / scale;
            let one = |i: usize| integers(&factors[i..=i], factor * operands[i].scale).map(|v| v[0]);
            let op = Add { factors: [one(0)?, one(1)?], rescale };
            let bound = op.accumulator_bound(&types);
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
        let scale = self.calibrated_scale(Clamp::NONE);
        let within = self.interval(Clamp::NONE, scale);
        let row = |q: i32| {
            let y = f64::from(curve.apply((f64::from(q) * x.scale) as f32)) / scale;
            y.round().clamp(f64::from(within.lo), f64::from(within.hi)) as i32
        };
        let table: Vec<i32> = (lo..=hi).map(row).collect();
        let interval = Interval {
            lo: table.iter().copied().min().unwrap_or(0),
            hi: table.iter().copied().max().unwrap_or(0),
        };
        Ok((Op::Lut(Lut { first: lo, table }), Grid { scale, interval }))
    }
}

/// The finest scale of a result for which private weights and biases fit their bits.
fn narrowest_scale(conv: &FloatConv, shift: u32, operand_scale: f64) -> f64 {
    let largest = |values: &[f32]| values.iter().fold(0.0, |m: f64, v| m.max(f64::from(v.abs())));
    let factor = f64::from(1u32 << shift);
    let most = |bits: u32| f64::from((1u32 << (bits - 1)) - 1);
    let weights = largest(&conv.weights) * operand_scale * factor / most(bounds::PRIVATE_WEIGHT_BITS);
    weights.max(largest(&conv.bias) * factor / most(bounds::PRIVATE_BIAS_BITS))
}

/// `round(v * factor)`, refused beyond the accumulator.
fn integers(values: &[f32], factor: f64) -> Result<Vec<i32>, String> {
    let most = bounds::MAX_ACCUMULATOR as f64;
    let one = |v: &f32| {
        let q = (f64::from(*v) * factor).round();
        if q.abs() < most {
            Ok(q as i32)
        } else {
            Err(format!("a weight or bias of {q:.0} does not fit the field"))
        }
    };
    values.iter().map(one).collect()
}

/// Checks that every number is a signed integer of `bits` bits.
fn within(values: &[i32], bits: u32, what: &str) -> Result<(), String> {
    let most = 1i64 << (bits - 1);
    match values.iter().find(|v| !(-most..most).contains(&i64::from(**v))) {
        Some(v) => Err(format!("a private {what} of {v} needs more than {bits} bits")),
        None => Ok(()),
    }
}
