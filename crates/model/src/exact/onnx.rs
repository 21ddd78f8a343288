//! Quantised ONNX models: `QuantizeLinear`/`DequantizeLinear` pairs around float operators, and QLinear operators.
//!
//! A layer between its dequantised operands and the `QuantizeLinear` behind it is what onnxruntime fuses into one integer kernel: an exact
//! integer accumulator, a float32 multiplier, rounding to the nearest integer with halves to even (MLAS, `MlasRequantizeOutput`). That is what is
//! proven. Without the fusion (graph optimisations off) each layer runs in float32, whose sums depend on their order: docs/model.md has by how
//! much results then differ.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use proofmesh_graph::op::Window;
use proofmesh_graph::program::{ValueId, WeightMode};
use proofmesh_graph::tensor::Shape;

use super::Read;
use super::build::{Build, Layer, Quant};
use super::rounding::Rounding;
use crate::error::ImportError;
use crate::onnx::{Constant, OnnxModel, OnnxNode};
use crate::parse::shape_of;

/// A value of the program under its ONNX sizes.
#[derive(Clone, Debug)]
struct Stored {
    id: ValueId,
    dims: Vec<usize>,
}

/// A layer whose float result waits for the scale that its `QuantizeLinear` gives.
#[derive(Clone, Debug)]
enum Layered {
    Conv { x: Stored, groups: usize, window: Window, weights: Rc<Weights>, bias: Option<Rc<Constant>> },
    Dense { x: Stored, weights: Rc<Weights>, bias: Option<Rc<Constant>> },
    Add { a: Stored, b: Stored },
    Mean { x: Stored },
    Itself { x: Stored },
}

/// Constant weights, first axis the output channels.
#[derive(Clone, Debug)]
struct Weights {
    dims: Vec<usize>,
    /// Minus their zero point.
    values: Vec<i32>,
    /// One, or one a channel.
    scales: Vec<f32>,
}

/// What a name stands for.
#[derive(Clone, Debug)]
enum Value {
    Constant(Rc<Constant>),
    /// Integers of the model.
    Stored(Stored),
    /// Real numbers: a layer's result, bounded from below and above by Relu or Clip.
    Real {
        layer: Layered,
        dims: Vec<usize>,
        clip: [f32; 2],
    },
    /// A dequantised constant: integers, zero points, scales, axis.
    Weights {
        values: Rc<Constant>,
        zeros: Option<Rc<Constant>>,
        scales: Vec<f32>,
        axis: i64,
    },
}

type Translate = fn(&mut Reader<'_>, &OnnxNode) -> Result<Value, String>;

/// Every operator that is read.
const OPERATORS: &[(&str, Translate)] = &[
    ("Add", add),
    ("Clip", clip),
    ("Conv", conv),
    ("DequantizeLinear", dequantize),
    ("Flatten", reshape),
    ("Gemm", gemm),
    ("GlobalAveragePool", global_average),
    ("MatMul", gemm),
    ("MaxPool", max_pool),
    ("QGemm", q_gemm),
    ("QLinearAdd", q_add),
    ("QLinearConv", q_conv),
    ("QLinearGlobalAveragePool", q_global_average),
    ("QLinearMatMul", q_matmul),
    ("QuantizeLinear", quantize),
    ("Relu", relu),
    ("Reshape", reshape),
    ("Squeeze", reshape),
];
/// Left to the client at the end.
const FINAL: [&str; 4] = ["DequantizeLinear", "Softmax", "LogSoftmax", "Sigmoid"];

struct Reader<'a> {
    model: &'a OnnxModel,
    values: BTreeMap<String, Value>,
    broken: BTreeMap<String, String>,
    build: Option<Build>,
    weights: WeightMode,
    input: (String, Vec<usize>),
}

/// Reads a file.
///
/// Errors: as [`OnnxModel::parse`]; more than one input; an operator outside [`OPERATORS`], or one whose rounding onnxruntime does not fix.
pub(crate) fn read(bytes: &[u8], output: Option<&str>, weights: WeightMode) -> Result<Read, ImportError> {
    let model = OnnxModel::parse(bytes)?;
    let names: Vec<&str> = model.outputs.iter().map(|o| o.name.as_str()).collect();
    let mut last = match (output, names.as_slice()) {
        (Some(name), _) if names.contains(&name) => name.to_string(),
        (None, [one]) => (*one).to_string(),
        _ => return Err(ImportError::Options(format!("name one of the outputs {names:?} in the options"))),
    };
    let mut notes = Vec::new();
    while let Some(node) = model.nodes.iter().find(|n| n.outputs.first() == Some(&last))
        && FINAL.contains(&node.op.as_str())
        && let Some(before) = node.inputs.first()
        && notes.len() < FINAL.len()
    {
        notes.push(format!("{} at the end is left to the client: the output is what it reads", node.op));
        last.clone_from(before);
    }
    let mut reader = Reader::new(&model, weights)?;
    let mut wanted = BTreeSet::from([last.as_str()]);
    let mut needed = vec![false; model.nodes.len()];
    for (i, node) in model.nodes.iter().enumerate().rev() {
        if node.outputs.iter().any(|o| wanted.contains(o.as_str())) {
            needed[i] = true;
            wanted.extend(node.inputs.iter().map(String::as_str));
        }
    }
    for (node, _) in model.nodes.iter().zip(&needed).filter(|(_, n)| **n) {
        reader.translate(node)?;
    }
    let (Some(Value::Stored(output)), Some(build)) = (reader.values.remove(&last), reader.build) else {
        return Err(ImportError::Model(format!(
            "`{last}` is not a quantised value: quantise the model's output"
        )));
    };
    notes.push(format!(
        "an output integer is the model's minus its zero point, {}",
        build.quant(output.id).zero
    ));
    Ok(Read { build, output: output.id, notes })
}

impl<'a> Reader<'a> {
    fn new(model: &'a OnnxModel, weights: WeightMode) -> Result<Self, ImportError> {
        let (mut values, mut broken) = (BTreeMap::new(), BTreeMap::new());
        for (name, constant) in &model.initializers {
            match constant {
                Ok(c) => drop(values.insert(name.clone(), Value::Constant(Rc::new(c.clone())))),
                Err(why) => drop(broken.insert(name.clone(), why.clone())),
            }
        }
        let open: Vec<_> = model.inputs.iter().filter(|i| !values.contains_key(&i.name)).collect();
        let [input] = open.as_slice() else {
            return Err(ImportError::Model(format!("has {} inputs, exactly one is supported", open.len())));
        };
        let fixed = |sizes: &Vec<Option<usize>>| sizes.iter().skip(1).copied().collect::<Option<Vec<_>>>();
        let dims = input.dims.as_ref().and_then(fixed).ok_or_else(|| {
            ImportError::Model(format!("input `{}`: an axis other than the batch is not fixed", input.name))
        })?;
        let dims = std::iter::once(1).chain(dims).collect();
        Ok(Self { model, values, broken, build: None, weights, input: (input.name.clone(), dims) })
    }

    fn translate(&mut self, node: &OnnxNode) -> Result<(), ImportError> {
        let fail =
            |reason: String| ImportError::Node { node: node.name.clone(), op: node.op.clone(), reason };
        let own = ["", "ai.onnx", "com.microsoft"].contains(&node.domain.as_str());
        let Some((_, translate)) = OPERATORS.iter().find(|(name, _)| own && *name == node.op) else {
            let known: Vec<&str> = OPERATORS.iter().map(|(n, _)| *n).collect();
            return Err(fail(format!(
                "is not supported in a quantised model: rebuild the layer from {}",
                known.join(", ")
            )));
        };
        let value = translate(self, node).map_err(fail)?;
        if let Some(build) = &mut self.build {
            *build.operators.entry(node.op.clone()).or_default() += 1;
        }
        if let Some(name) = node.outputs.first() {
            self.values.insert(name.clone(), value);
        }
        Ok(())
    }

    fn name<'n>(&self, node: &'n OnnxNode, i: usize) -> Option<&'n str> {
        node.inputs.get(i).map(String::as_str).filter(|n| !n.is_empty())
    }

    fn value(&self, node: &OnnxNode, i: usize) -> Result<Value, String> {
        let name = self.name(node, i).ok_or_else(|| format!("input {i} is missing"))?;
        match (self.values.get(name), self.broken.get(name)) {
            (Some(value), _) => Ok(value.clone()),
            (None, Some(why)) => Err(format!("constant `{name}` cannot be used: {why}")),
            (None, None) => Err(format!("reads `{name}`, which no earlier node gives")),
        }
    }

    fn constant(&self, node: &OnnxNode, i: usize) -> Result<Rc<Constant>, String> {
        match self.value(node, i)? {
            Value::Constant(c) => Ok(c),
            _ => Err(format!("input {i} must be a constant")),
        }
    }

    fn optional(&self, node: &OnnxNode, i: usize) -> Result<Option<Rc<Constant>>, String> {
        self.name(node, i).map(|_| self.constant(node, i)).transpose()
    }

    /// Scale and zero point of one tensor, from inputs `i` and `i + 1`.
    fn quant(&self, node: &OnnxNode, i: usize) -> Result<Quant, String> {
        let scale = self.constant(node, i)?.scalar().ok_or("an activation needs one scale")?;
        let zero = self.constant(node, i + 1)?;
        let [zero_point] = zero.ints().unwrap_or_default() else {
            return Err("an activation needs one zero point".into());
        };
        let unsigned = self.name(node, i + 1).is_some_and(|n| self.model.unsigned.contains(n));
        let (lo, hi) = if unsigned { (0, 255) } else { (-128, 127) };
        let zero = i32::try_from(*zero_point).map_err(|_| "a zero point is beyond 8 bits")?;
        Quant { scale, zero, lo, hi }.checked()
    }

    fn build(&mut self) -> Result<&mut Build, String> {
        self.build.as_mut().ok_or_else(|| "stands before the input is quantised".into())
    }

    /// An integer value, or a dequantised one that nothing was done to.
    fn stored(&self, node: &OnnxNode, i: usize) -> Result<Stored, String> {
        match self.value(node, i)? {
            Value::Stored(s) => Ok(s),
            Value::Real { layer: Layered::Itself { x }, dims, clip } if clip == OPEN => {
                Ok(Stored { id: x.id, dims })
            }
            Value::Real { .. } => Err(format!("input {i} is not quantised: put a QuantizeLinear before it")),
            _ => Err(format!("input {i} is a constant")),
        }
    }

    /// The value laid out as its ONNX sizes say.
    fn shaped(&mut self, node: &OnnxNode, x: &Stored) -> Result<ValueId, String> {
        let shape = shape_of(&x.dims)?;
        let name = format!("{}: layout", node.name);
        let build = self.build()?;
        if build.shape(x.id) == shape {
            return Ok(x.id);
        }
        build.gather(&name, x.id, shape, (0..shape.len() as u32).collect())
    }

    /// Weights from a dequantised constant; `turned` where the first axis is the inner one.
    fn weights(&self, node: &OnnxNode, i: usize, turned: bool) -> Result<Rc<Weights>, String> {
        let Value::Weights { values, zeros, scales, axis } = self.value(node, i)? else {
            return Err(format!("input {i} must be a dequantised constant"));
        };
        let zeros = zeros.map(|z| z.ints().unwrap_or_default().to_vec()).unwrap_or_else(|| vec![0]);
        let rank = values.dims.len() as i64;
        let axis = if axis < 0 { axis + rank } else { axis };
        if scales.len() > 1 && axis != i64::from(turned) {
            return Err(format!("weights have scales along axis {axis}, not along their output channels"));
        }
        weights(&values, &zeros, scales, turned)
    }

    /// A bias of int32 in the accumulator's scale.
    fn bias(
        &self,
        node: &OnnxNode,
        i: usize,
        x: &Stored,
        weights: &Weights,
    ) -> Result<Option<Rc<Constant>>, String> {
        if self.name(node, i).is_none() {
            return Ok(None);
        }
        let Value::Weights { values, zeros, scales, .. } = self.value(node, i)? else {
            return Err("its bias must be a dequantised int32 constant".into());
        };
        let unit = self.build.as_ref().map_or(1.0, |b| b.quant(x.id).scale);
        let close = |(i, s): (usize, &f32)| {
            let expected = unit * weights.scales[i.min(weights.scales.len() - 1)];
            (s / expected - 1.0).abs() < 1e-5
        };
        let zero = zeros.is_none_or(|z| z.ints().is_some_and(|z| z.iter().all(|z| *z == 0)));
        let count = scales.len() == 1 || scales.len() == weights.scales.len();
        if !zero || !count || !scales.iter().enumerate().all(close) {
            return Err("its bias is not in the accumulator's scale, operand times weights".into());
        }
        Ok(Some(values))
    }
}

/// No bounds.
const OPEN: [f32; 2] = [f32::NEG_INFINITY, f32::INFINITY];

/// Integer weights, output channels first.
fn weights(values: &Constant, zeros: &[i64], scales: Vec<f32>, turned: bool) -> Result<Rc<Weights>, String> {
    let mut dims = values.dims.clone();
    let given = values.ints().ok_or("weights are not integers")?;
    if turned {
        dims.reverse();
        if dims.len() != 2 {
            return Err("weights need two axes".into());
        }
    }
    let channels = dims.first().copied().unwrap_or(0);
    let several = |n: usize| n == 1 || n == channels;
    if channels == 0 || given.is_empty() || !several(scales.len()) || !several(zeros.len()) {
        return Err(format!(
            "{} scales and {} zero points for {channels} channels",
            scales.len(),
            zeros.len()
        ));
    }
    if scales.iter().any(|s| !(*s > 0.0 && s.is_finite())) {
        return Err("a weight scale is not positive".into());
    }
    let row = given.len() / channels;
    let value = |i: usize| {
        let from = if turned { i % row * channels + i / row } else { i };
        i32::try_from(given[from] - zeros[if zeros.len() == 1 { 0 } else { i / row }])
            .ok()
            .filter(|w| w.abs() < 512)
    };
    let values = (0..given.len()).map(value).collect::<Option<_>>().ok_or("weights are beyond 8 bits")?;
    Ok(Rc::new(Weights { dims, values, scales }))
}

/// Brings a layer's result to integers.
fn materialise(
    reader: &mut Reader<'_>,
    node: &OnnxNode,
    layer: Layered,
    dims: Vec<usize>,
    out: Quant,
) -> Result<Value, String> {
    let name = node.name.as_str();
    let scale = |reader: &Reader<'_>, x: &Stored| reader.build.as_ref().map_or(1.0, |b| b.quant(x.id).scale);
    let roundings = |x: f32, weights: &Weights| -> Vec<Rounding> {
        weights.scales.iter().map(|w| Rounding::Float(x * w / out.scale)).collect()
    };
    let biases = |bias: Option<Rc<Constant>>, channels: usize| -> Result<Vec<i32>, String> {
        let Some(bias) = bias else { return Ok(vec![0; channels]) };
        let given = bias.ints().filter(|b| b.len() == channels).ok_or("needs one int32 bias a channel")?;
        given.iter().map(|b| i32::try_from(*b).map_err(|_| "a bias is beyond 32 bits".to_string())).collect()
    };
    let id = match layer {
        Layered::Conv { x, groups, window, weights, bias } => {
            let rounding = roundings(scale(reader, &x), &weights);
            let out_channels = weights.dims[0];
            let bias = biases(bias, out_channels)?;
            let id = reader.shaped(node, &x)?;
            let layer = Layer { out_channels, groups, window, weights: weights.values.clone(), bias };
            reader.build()?.conv(name, id, layer, &rounding, out)?
        }
        Layered::Dense { x, weights, bias } => {
            let rounding = roundings(scale(reader, &x), &weights);
            let out_channels = weights.dims[0];
            let bias = biases(bias, out_channels)?;
            let build = reader.build()?;
            let Shape { h, w, .. } = build.shape(x.id);
            let window = Window { kernel: [h, w], stride: [1, 1], pad: [0; 4] };
            let layer = Layer { out_channels, groups: 1, window, weights: weights.values.clone(), bias };
            build.conv(name, x.id, layer, &rounding, out)?
        }
        Layered::Add { a, b } => {
            let [a, b] = [reader.shaped(node, &a)?, reader.shaped(node, &b)?];
            let build = reader.build()?;
            let (qa, qb) = (build.quant(a), build.quant(b));
            let sum = mlas_add(qa, qb, out);
            build.add(name, [a, b], sum, out)?
        }
        Layered::Mean { x } => {
            let id = reader.shaped(node, &x)?;
            let build = reader.build()?;
            let (shape, from) = (build.shape(id), build.quant(id));
            let window = Window { kernel: [shape.h, shape.w], stride: [1, 1], pad: [0; 4] };
            let count = (shape.h * shape.w) as f32;
            // MlasQLinearGlobalAveragePool: scale of the sum.
            let rounding = Rounding::Float(from.scale / (out.scale * count));
            build.window_sum(name, id, window, |sum| rounding.apply(sum), out)?
        }
        Layered::Itself { x } => {
            let build = reader.build()?;
            let from = build.quant(x.id);
            if from.same(&Quant { lo: from.lo, hi: from.hi, ..out })
                && build.quant(x.id).interval() == out.interval()
            {
                x.id
            } else {
                let again = |q: i32| (q as f32 * from.scale / out.scale).round_ties_even() as i64;
                build.table(name, x.id, again, out)?
            }
        }
    };
    Ok(Value::Stored(Stored { id, dims }))
}

/// `MlasQLinearAdd`: the sum of both ratios in float32, with the multiply-adds fused as its kernels do; given for integers minus zero points.
fn mlas_add(a: Quant, b: Quant, out: Quant) -> impl Fn(i32, i32) -> i64 {
    let ratio = [a.scale / out.scale, b.scale / out.scale];
    let fixed = out.zero as f32 - ratio[0].mul_add(a.zero as f32, ratio[1] * b.zero as f32);
    move |x, y| {
        let stored = [(x + a.zero) as f32, (y + b.zero) as f32];
        let sum = stored[0].mul_add(ratio[0], stored[1].mul_add(ratio[1], fixed));
        sum.round_ties_even() as i64 - i64::from(out.zero)
    }
}

/// Sizes of a layer's result, or why its operands do not fit.
fn conv_layer(
    node: &OnnxNode,
    x: Stored,
    weights: Rc<Weights>,
    bias: Option<Rc<Constant>>,
) -> Result<(Layered, Vec<usize>), String> {
    let kernel = weights.dims.get(2..).unwrap_or_default().to_vec();
    if weights.dims.len() != x.dims.len() {
        return Err(format!("weights {:?} on an operand {:?}: their ranks differ", weights.dims, x.dims));
    }
    let window = node.window(&kernel, &x.dims)?;
    let from = shape_of(&x.dims)?;
    let groups = usize::try_from(node.int("group", 1)).ok().filter(|g| (1..=from.c).contains(g));
    let groups = groups.ok_or("a group count that the operand does not have")?;
    if weights.dims[1].checked_mul(groups) != Some(from.c) {
        return Err(format!("weights {:?} with {groups} groups on {} channels", weights.dims, from.c));
    }
    let [h, w] = window.axes(from.h, from.w)?;
    let spatial = if x.dims.len() == 3 { vec![w.output] } else { vec![h.output, w.output] };
    let dims = [vec![1, weights.dims[0]], spatial].concat();
    Ok((Layered::Conv { x, groups, window, weights, bias }, dims))
}

fn dense_layer(
    x: Stored,
    weights: Rc<Weights>,
    bias: Option<Rc<Constant>>,
) -> Result<(Layered, Vec<usize>), String> {
    let (inner, outputs) = (weights.values.len() / weights.dims[0], weights.dims[0]);
    if weights.dims.len() != 2 || x.dims != [1, inner] {
        return Err(format!(
            "weights {:?} on an operand {:?}: a vector times a matrix is supported",
            weights.dims, x.dims
        ));
    }
    Ok((Layered::Dense { x, weights, bias }, vec![1, outputs]))
}

fn real((layer, dims): (Layered, Vec<usize>)) -> Value {
    Value::Real { layer, dims, clip: OPEN }
}

fn quantize(reader: &mut Reader<'_>, node: &OnnxNode) -> Result<Value, String> {
    let out = reader.quant(node, 1)?;
    let (input, dims) = reader.input.clone();
    if reader.name(node, 0) == Some(input.as_str()) {
        if reader.build.is_some() {
            return Err("quantises the input a second time".into());
        }
        reader.build = Some(Build::new(shape_of(&dims)?, out, reader.weights)?);
        return Ok(Value::Stored(Stored { id: 0, dims }));
    }
    match reader.value(node, 0)? {
        Value::Real { layer, dims, clip } => {
            // Rounding does not decrease and keeps what it gives: a bound may as well be rounded itself.
            let stored = |v: f32| (v / out.scale).round_ties_even().clamp(-1e6, 1e6) as i32 + out.zero;
            let out = out.within(stored(clip[0]), stored(clip[1]));
            materialise(reader, node, layer, dims, out)
        }
        _ => Err("quantises something that is not a layer's result".into()),
    }
}

fn dequantize(reader: &mut Reader<'_>, node: &OnnxNode) -> Result<Value, String> {
    match reader.value(node, 0)? {
        Value::Stored(x) => {
            let quant = reader.quant(node, 1)?;
            if !quant.same(&reader.build()?.quant(x.id)) {
                return Err("reads its operand with another scale than it was written with".into());
            }
            Ok(real((Layered::Itself { x: x.clone() }, x.dims)))
        }
        Value::Constant(values) => Ok(Value::Weights {
            values,
            scales: reader.constant(node, 1)?.floats(),
            zeros: reader.optional(node, 2)?,
            axis: node.int("axis", 1),
        }),
        _ => Err("reads something that is not quantised".into()),
    }
}

fn conv(reader: &mut Reader<'_>, node: &OnnxNode) -> Result<Value, String> {
    let (x, weights) = (reader.stored(node, 0)?, reader.weights(node, 1, false)?);
    let bias = reader.bias(node, 2, &x, &weights)?;
    conv_layer(node, x, weights, bias).map(real)
}

fn gemm(reader: &mut Reader<'_>, node: &OnnxNode) -> Result<Value, String> {
    let turned = node.op == "MatMul" || node.int("transB", 0) == 0;
    if node.float("alpha", 1.0)? != 1.0 || node.float("beta", 1.0)? != 1.0 || node.int("transA", 0) != 0 {
        return Err(
            "alpha, beta or transA is not the default: fold them into the weights before quantising".into()
        );
    }
    let (x, weights) = (reader.stored(node, 0)?, reader.weights(node, 1, turned)?);
    let bias = reader.bias(node, 2, &x, &weights)?;
    dense_layer(x, weights, bias).map(real)
}

fn add(reader: &mut Reader<'_>, node: &OnnxNode) -> Result<Value, String> {
    let (a, b) = (reader.stored(node, 0)?, reader.stored(node, 1)?);
    if a.dims != b.dims {
        return Err("the operands' sizes differ: broadcasting is not supported".into());
    }
    let dims = a.dims.clone();
    Ok(real((Layered::Add { a, b }, dims)))
}

/// Sizes with the spatial axes gone to 1.
fn averaged(x: &Stored) -> Result<Vec<usize>, String> {
    if !(3..=4).contains(&x.dims.len()) {
        return Err(format!("an operand {:?} has no spatial axes", x.dims));
    }
    Ok(x.dims.iter().enumerate().map(|(i, d)| if i < 2 { *d } else { 1 }).collect())
}

fn global_average(reader: &mut Reader<'_>, node: &OnnxNode) -> Result<Value, String> {
    let x = reader.stored(node, 0)?;
    let dims = averaged(&x)?;
    Ok(real((Layered::Mean { x }, dims)))
}

fn clipped(reader: &mut Reader<'_>, node: &OnnxNode, bounds: [f32; 2]) -> Result<Value, String> {
    match reader.value(node, 0)? {
        Value::Real { layer, dims, clip } => {
            let clip = [clip[0].max(bounds[0]).min(bounds[1]), clip[1].min(bounds[1]).max(bounds[0])];
            Ok(Value::Real { layer, dims, clip })
        }
        _ => Err("bounds something that is not a layer's result".into()),
    }
}

fn relu(reader: &mut Reader<'_>, node: &OnnxNode) -> Result<Value, String> {
    clipped(reader, node, [0.0, f32::INFINITY])
}

fn clip(reader: &mut Reader<'_>, node: &OnnxNode) -> Result<Value, String> {
    let bound = |i: usize, default: f32| -> Result<f32, String> {
        Ok(reader
            .optional(node, i)?
            .map_or(Some(default), |c| c.scalar())
            .ok_or("a bound is not one number")?)
    };
    let bounds = [bound(1, OPEN[0])?, bound(2, OPEN[1])?];
    if bounds[0] > bounds[1] {
        return Err("its bounds are crossed".into());
    }
    clipped(reader, node, bounds)
}

/// Other sizes for the same elements in the same order; works on integers and on their real numbers alike.
fn reshape(reader: &mut Reader<'_>, node: &OnnxNode) -> Result<Value, String> {
    let value = reader.value(node, 0)?;
    let from = reader.stored(node, 0)?;
    let total = from.dims.iter().product::<usize>();
    let dims: Vec<usize> = match node.op.as_str() {
        "Flatten" if node.int("axis", 1) == 1 => vec![1, total],
        "Reshape" => {
            let wanted = reader.constant(node, 1)?;
            let wanted = wanted.ints().ok_or("its sizes are not integers")?;
            let known: i64 = wanted.iter().filter(|d| **d > 0).fold(1i64, |n, d| n.saturating_mul(*d));
            let size = |(i, d): (usize, &i64)| match *d {
                0 => from.dims.get(i).copied(),
                -1 => usize::try_from(known).ok().filter(|k| *k > 0).map(|k| total / k),
                d => usize::try_from(d).ok(),
            };
            wanted.iter().enumerate().map(size).collect::<Option<_>>().ok_or("a size is not known")?
        }
        "Squeeze" if reader.name(node, 1).is_none() => vec![1, total],
        "Squeeze" => {
            let axes = reader.constant(node, 1)?;
            let rank = from.dims.len() as i64;
            let gone: Vec<i64> =
                axes.ints().unwrap_or_default().iter().map(|a| if *a < 0 { a + rank } else { *a }).collect();
            (0..from.dims.len()).filter(|i| !gone.contains(&(*i as i64))).map(|i| from.dims[i]).collect()
        }
        _ => return Err("its axis is not supported: keep the batch first".into()),
    };
    if dims.iter().fold(1usize, |n, d| n.saturating_mul(*d)) != total || dims.first() != Some(&1) {
        return Err(format!("from {:?} to {dims:?}: keep the batch first and every element", from.dims));
    }
    Ok(match value {
        Value::Stored(x) => Value::Stored(Stored { id: x.id, dims }),
        _ => real((Layered::Itself { x: Stored { id: from.id, dims: dims.clone() } }, dims)),
    })
}

fn max_pool(reader: &mut Reader<'_>, node: &OnnxNode) -> Result<Value, String> {
    let value = reader.value(node, 0)?;
    let x = reader.stored(node, 0)?;
    if node.int("ceil_mode", 0) != 0 {
        return Err("ceil_mode is not supported here: pad the operand or crop it".into());
    }
    let kernel = node.sizes("kernel_shape", x.dims.len().saturating_sub(2), 0)?;
    let window = node.window(&kernel, &x.dims)?;
    let id = reader.shaped(node, &x)?;
    let id = reader.build()?.max_pool(&node.name, id, window)?;
    let Shape { c, h, w } = reader.build()?.shape(id);
    let dims = if x.dims.len() == 3 { vec![1, c, w] } else { vec![1, c, h, w] };
    Ok(match value {
        Value::Stored(_) => Value::Stored(Stored { id, dims }),
        _ => real((Layered::Itself { x: Stored { id, dims: dims.clone() } }, dims)),
    })
}

/// Checks that a QLinear operator reads an operand with the scale that it was written with.
fn operand(reader: &mut Reader<'_>, node: &OnnxNode, i: usize) -> Result<Stored, String> {
    let (x, quant) = (reader.stored(node, i)?, reader.quant(node, i + 1)?);
    if quant.same(&reader.build()?.quant(x.id)) {
        Ok(x)
    } else {
        Err("reads its operand with another scale than it was written with".into())
    }
}

fn q_weights(reader: &Reader<'_>, node: &OnnxNode, i: usize, turned: bool) -> Result<Rc<Weights>, String> {
    let zeros = reader.constant(node, i + 2)?;
    let scales = reader.constant(node, i + 1)?.floats();
    weights(&*reader.constant(node, i)?, zeros.ints().unwrap_or_default(), scales, turned)
}

fn q_conv(reader: &mut Reader<'_>, node: &OnnxNode) -> Result<Value, String> {
    let (x, out) = (operand(reader, node, 0)?, reader.quant(node, 6)?);
    let weights = q_weights(reader, node, 3, false)?;
    let bias = reader.optional(node, 8)?;
    let (layer, dims) = conv_layer(node, x, weights, bias)?;
    materialise(reader, node, layer, dims, out)
}

fn q_matmul(reader: &mut Reader<'_>, node: &OnnxNode) -> Result<Value, String> {
    let (x, out) = (operand(reader, node, 0)?, reader.quant(node, 6)?);
    let (layer, dims) = dense_layer(x, q_weights(reader, node, 3, true)?, None)?;
    materialise(reader, node, layer, dims, out)
}

fn q_gemm(reader: &mut Reader<'_>, node: &OnnxNode) -> Result<Value, String> {
    if node.float("alpha", 1.0)? != 1.0 || node.int("transA", 0) != 0 {
        return Err("alpha or transA is not the default".into());
    }
    let (x, out) = (operand(reader, node, 0)?, reader.quant(node, 7)?);
    let bias = reader.optional(node, 6)?;
    let weights = q_weights(reader, node, 3, node.int("transB", 0) == 0)?;
    let (layer, dims) = dense_layer(x, weights, bias)?;
    materialise(reader, node, layer, dims, out)
}

fn q_add(reader: &mut Reader<'_>, node: &OnnxNode) -> Result<Value, String> {
    let (a, b, out) = (operand(reader, node, 0)?, operand(reader, node, 3)?, reader.quant(node, 6)?);
    if a.dims != b.dims {
        return Err("the operands' sizes differ: broadcasting is not supported".into());
    }
    let dims = a.dims.clone();
    materialise(reader, node, Layered::Add { a, b }, dims, out)
}

fn q_global_average(reader: &mut Reader<'_>, node: &OnnxNode) -> Result<Value, String> {
    if node.int("channels_last", 0) != 0 {
        return Err("channels_last is not supported: keep the channels first".into());
    }
    let (x, out) = (operand(reader, node, 0)?, reader.quant(node, 3)?);
    let dims = averaged(&x)?;
    materialise(reader, node, Layered::Mean { x }, dims, out)
}
