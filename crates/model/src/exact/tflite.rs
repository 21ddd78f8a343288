//! TensorFlow Lite int8 models. Source: schema.fbs, version 3 (field numbers below), and the kernels' own sources.
//!
//! The file's tensors are `[1, H, W, C]`; values of the program are `[C, H, W]`, so inputs and outputs with more than one axis are to be given and
//! read channels first.

use proofmesh_graph::op::Window;
use proofmesh_graph::program::{ValueId, WeightMode};
use proofmesh_graph::tensor::Shape;

use super::build::{Build, Layer, Quant};
use super::flatbuffer::Table;
use super::rounding::{Fixed, Rounding};
use super::{Kernels, Read};
use crate::error::ImportError;
use crate::limits;

/// Fields of the tables that are read, by number in the schema.
mod field {
    pub const MODEL_CODES: usize = 1;
    pub const MODEL_SUBGRAPHS: usize = 2;
    pub const MODEL_BUFFERS: usize = 4;
    pub const CODE_OLD: usize = 0;
    pub const CODE: usize = 3;
    pub const GRAPH_TENSORS: usize = 0;
    pub const GRAPH_INPUTS: usize = 1;
    pub const GRAPH_OUTPUTS: usize = 2;
    pub const GRAPH_OPERATORS: usize = 3;
    pub const TENSOR_SHAPE: usize = 0;
    pub const TENSOR_TYPE: usize = 1;
    pub const TENSOR_BUFFER: usize = 2;
    pub const TENSOR_NAME: usize = 3;
    pub const TENSOR_QUANTISATION: usize = 4;
    pub const QUANTISATION_SCALE: usize = 2;
    pub const QUANTISATION_ZERO: usize = 3;
    pub const QUANTISATION_AXIS: usize = 6;
    pub const OPERATOR_CODE: usize = 0;
    pub const OPERATOR_INPUTS: usize = 1;
    pub const OPERATOR_OUTPUTS: usize = 2;
    pub const OPERATOR_OPTIONS: usize = 4;
    pub const BUFFER_DATA: usize = 0;
}

const INT32: i8 = 2;
const INT8: i8 = 9;

/// One tensor of the file.
struct TensorInfo {
    name: String,
    dims: Vec<usize>,
    kind: i8,
    buffer: usize,
    scales: Vec<f32>,
    zeros: Vec<i64>,
    axis: usize,
}

/// One operator of the file.
struct Operator<'a> {
    code: i32,
    inputs: Vec<i32>,
    outputs: Vec<i32>,
    options: Option<Table<'a>>,
}

/// A value of the program under the file's sizes.
#[derive(Clone, Debug)]
struct Placed {
    id: ValueId,
    /// Sizes in the file, as `[1, H, W, C]` or `[1, N]`.
    dims: Vec<usize>,
    /// Sizes under which the value was made: its elements lie channels first of *these*.
    made: Vec<usize>,
    /// Zeros around it that the next layer is to take as its padding: top, left, bottom, right.
    pad: [usize; 4],
}

/// Translates one operator and gives its result.
type Translate = fn(&mut Reader<'_>, &Operator<'_>, &str) -> Result<Placed, String>;

/// Every operator that is read, by its number in the schema.
const OPERATORS: &[(i32, &str, Translate)] = &[
    (0, "ADD", add),
    (1, "AVERAGE_POOL_2D", average_pool),
    (3, "CONV_2D", conv),
    (4, "DEPTHWISE_CONV_2D", depthwise),
    (9, "FULLY_CONNECTED", dense),
    (17, "MAX_POOL_2D", max_pool),
    (22, "RESHAPE", reshape),
    (34, "PAD", pad),
    (40, "MEAN", mean),
];
/// Dropped at the end: the client computes them from the integers before.
const FINAL: &[(i32, &str)] = &[(6, "DEQUANTIZE"), (14, "LOGISTIC"), (25, "SOFTMAX")];
/// Dropped at the start: the client gives the integers.
const QUANTIZE: i32 = 114;

struct Reader<'a> {
    buffers: Vec<Table<'a>>,
    tensors: Vec<TensorInfo>,
    build: Build,
    kernels: Kernels,
    placed: Vec<Option<Placed>>,
    /// Numbers read so far from constants.
    constants: usize,
}

/// Reads a file.
///
/// Errors: malformed, more than one subgraph or input, an operator outside [`OPERATORS`], tensors that are not int8.
pub(crate) fn read(bytes: &[u8], kernels: Kernels, weights: WeightMode) -> Result<Read, ImportError> {
    let malformed = |why: String| ImportError::Tflite(why);
    if bytes.len() > limits::MAX_ONNX_BYTES {
        return Err(malformed(format!("{} bytes, at most {} are read", bytes.len(), limits::MAX_ONNX_BYTES)));
    }
    let model = Table::root(bytes).map_err(malformed)?;
    let graphs = model.tables(field::MODEL_SUBGRAPHS, limits::MAX_NODES).map_err(malformed)?;
    let [graph] = graphs.as_slice() else {
        return Err(ImportError::Model(format!("has {} subgraphs, one is supported", graphs.len())));
    };
    let codes = codes(&model).map_err(malformed)?;
    let tensors = tensors(graph).map_err(malformed)?;
    let operators = operators(graph, &codes, tensors.len()).map_err(malformed)?;
    let buffers = model.tables(field::MODEL_BUFFERS, 2 * limits::MAX_INITIALIZERS).map_err(malformed)?;
    let ends = |i| graph.ints(i, limits::MAX_NODE_FIELDS).map_err(malformed);
    let (inputs, outputs) = (ends(field::GRAPH_INPUTS)?, ends(field::GRAPH_OUTPUTS)?);
    let ([input], [output]) = (inputs.as_slice(), outputs.as_slice()) else {
        return Err(ImportError::Model("needs exactly one input and one output".into()));
    };
    let mut notes = Vec::new();
    let (first, skipped) = match operators.first() {
        Some(op) if op.code == QUANTIZE && op.inputs.first() == Some(input) => (op.outputs.first(), 1),
        _ => (Some(input), 0),
    };
    let (mut last, mut end) = (*output, operators.len());
    while let Some(op) = operators[skipped.min(end)..end].last()
        && let Some((_, name)) = FINAL.iter().find(|f| f.0 == op.code)
        && op.outputs.first() == Some(&last)
    {
        notes.push(format!("{name} at the end is left to the client: the output is what it reads"));
        last = op.inputs.first().copied().unwrap_or(-1);
        end -= 1;
    }
    let input = first.and_then(|i| tensors.get(*i as usize).map(|t| (*i as usize, t)));
    let (at, info) = input.ok_or_else(|| malformed("names an input that it lacks".into()))?;
    let fail = |why: String| ImportError::Model(format!("input `{}`: {why}", info.name));
    let (shape, quant) = (shape_of(&info.dims).map_err(fail)?, info.quant().map_err(fail)?);
    let build = Build::new(shape, quant, weights).map_err(fail)?;
    let dims = info.dims.clone();
    if shape.h * shape.w > 1 && shape.c > 1 {
        notes.push(format!(
            "the input is read channels first: {:?} where the file has {dims:?}",
            shape.axes()
        ));
    }
    let mut placed = vec![None; tensors.len()];
    placed[at] = Some(Placed { id: 0, made: dims.clone(), dims, pad: [0; 4] });
    let mut reader = Reader { buffers, tensors, build, kernels, placed, constants: 0 };
    for op in &operators[skipped..end] {
        reader.translate(op)?;
    }
    let output = usize::try_from(last).ok().and_then(|i| reader.placed.get(i)?.clone());
    let output =
        output.ok_or_else(|| ImportError::Model("its output does not depend on its input".into()))?;
    if output.pad != [0; 4] {
        return Err(ImportError::Model("ends in a PAD: remove it".into()));
    }
    let zero = reader.build.quant(output.id).zero;
    notes.push(format!("an output integer is the file's minus its zero point, {zero}"));
    Ok(Read { build: reader.build, output: output.id, notes })
}

fn codes(model: &Table<'_>) -> Result<Vec<i32>, String> {
    let codes = model.tables(field::MODEL_CODES, limits::MAX_NODES)?;
    let code = |c: &Table<'_>| Ok(c.int(field::CODE, 0)?.max(i32::from(c.byte(field::CODE_OLD, 0)?)));
    codes.iter().map(code).collect()
}

fn tensors(graph: &Table<'_>) -> Result<Vec<TensorInfo>, String> {
    let read = |t: &Table<'_>| {
        let q = t.table(field::TENSOR_QUANTISATION)?;
        let dims = t.ints(field::TENSOR_SHAPE, limits::MAX_RANK)?;
        let dims = dims.iter().map(|d| usize::try_from(*d)).collect::<Result<_, _>>();
        let most = 1 << 14;
        Ok(TensorInfo {
            name: t.text(field::TENSOR_NAME, limits::MAX_NAME_BYTES)?,
            dims: dims.map_err(|_| "a size is negative")?,
            kind: t.byte(field::TENSOR_TYPE, 0)?,
            buffer: t.int(field::TENSOR_BUFFER, 0)? as u32 as usize,
            scales: q.map_or(Ok(Vec::new()), |q| q.floats(field::QUANTISATION_SCALE, most))?,
            zeros: q.map_or(Ok(Vec::new()), |q| q.longs(field::QUANTISATION_ZERO, most))?,
            axis: q.map_or(Ok(0), |q| q.int(field::QUANTISATION_AXIS, 0))? as u32 as usize,
        })
    };
    graph.tables(field::GRAPH_TENSORS, limits::MAX_INITIALIZERS)?.iter().map(read).collect()
}

fn operators<'a>(graph: &Table<'a>, codes: &[i32], tensors: usize) -> Result<Vec<Operator<'a>>, String> {
    let read = |o: &Table<'a>| {
        let ids = |i| o.ints(i, limits::MAX_NODE_FIELDS);
        let code = o.int(field::OPERATOR_CODE, 0)? as u32 as usize;
        let op = Operator {
            code: *codes.get(code).ok_or("an operator has a code that the file lacks")?,
            inputs: ids(field::OPERATOR_INPUTS)?,
            outputs: ids(field::OPERATOR_OUTPUTS)?,
            options: o.table(field::OPERATOR_OPTIONS)?,
        };
        let known = |i: &i32| *i < tensors as i32;
        if op.inputs.iter().chain(&op.outputs).all(known) {
            Ok(op)
        } else {
            Err("a tensor is not there".into())
        }
    };
    graph.tables(field::GRAPH_OPERATORS, limits::MAX_NODES)?.iter().map(read).collect()
}

/// `[C, H, W]` of the file's sizes.
fn shape_of(dims: &[usize]) -> Result<Shape, String> {
    match dims {
        [1, n] => Ok(Shape::new(*n, 1, 1)),
        [1, w, c] => Ok(Shape::new(*c, 1, *w)),
        [1, h, w, c] => Ok(Shape::new(*c, *h, *w)),
        _ => Err(format!("sizes {dims:?} are not those of one input: convert with a batch of 1")),
    }
}

impl TensorInfo {
    /// How its integers stand for numbers.
    fn quant(&self) -> Result<Quant, String> {
        let (INT8, [scale], [zero]) = (self.kind, self.scales.as_slice(), self.zeros.as_slice()) else {
            return Err(format!(
                "tensor `{}` is not int8 with one scale: convert with full integer quantisation",
                self.name
            ));
        };
        let zero = i32::try_from(*zero).map_err(|_| "a zero point is beyond 8 bits")?;
        Quant { scale: *scale, zero, lo: -128, hi: 127 }.checked()
    }
}

impl Operator<'_> {
    fn byte(&self, i: usize, default: i8) -> Result<i8, String> {
        self.options.map_or(Ok(default), |t| t.byte(i, default))
    }

    /// A positive size.
    fn size(&self, i: usize, default: i32) -> Result<usize, String> {
        let v = self.options.map_or(Ok(default), |t| t.int(i, default))?;
        usize::try_from(v)
            .ok()
            .filter(|n| (1..=1 << 20).contains(n))
            .ok_or_else(|| format!("a size of {v} in its options"))
    }
}

/// The bounds that a fused activation leaves of a result. `CalculateActivationRangeQuantized`, kernels/kernel_util.cc.
fn activated(quant: Quant, activation: i8) -> Result<Quant, String> {
    let stored = |real: f32| quant.zero + (real / quant.scale).round() as i32;
    match activation {
        0 => Ok(quant),
        1 => Ok(quant.within(stored(0.0), quant.hi)),
        2 => Ok(quant.within(stored(-1.0), stored(1.0))),
        3 => Ok(quant.within(stored(0.0), stored(6.0))),
        other => Err(format!("fused activation {other} is not supported: use none, Relu or Relu6")),
    }
}

impl Reader<'_> {
    fn translate(&mut self, op: &Operator<'_>) -> Result<(), ImportError> {
        let at = op.outputs.first().and_then(|o| usize::try_from(*o).ok());
        let at = at.ok_or_else(|| ImportError::Tflite("an operator has no result".into()))?;
        let name = self.tensors[at].name.clone();
        let row = OPERATORS.iter().find(|row| row.0 == op.code);
        let kind = row.map_or_else(|| format!("operator {}", op.code), |row| row.1.to_string());
        let fail = |reason: String| ImportError::Node { node: name.clone(), op: kind.clone(), reason };
        let Some((_, known, translate)) = row else {
            let all: Vec<&str> = OPERATORS.iter().map(|row| row.1).collect();
            return Err(fail(format!("is not supported: rebuild the layer from {}", all.join(", "))));
        };
        let placed = translate(self, op, &name).map_err(fail)?;
        *self.build.operators.entry((*known).to_string()).or_default() += 1;
        self.placed[at] = Some(placed);
        Ok(())
    }

    fn info(&self, op: &Operator<'_>, i: usize) -> Result<&TensorInfo, String> {
        let at = op.inputs.get(i).and_then(|t| usize::try_from(*t).ok());
        at.and_then(|t| self.tensors.get(t)).ok_or_else(|| format!("input {i} is missing"))
    }

    fn result<'t>(&'t self, op: &Operator<'_>) -> &'t TensorInfo {
        &self.tensors[op.outputs[0] as usize]
    }

    /// The value that input `i` is, if it depends on the model's input.
    fn value(&self, op: &Operator<'_>, i: usize) -> Result<Placed, String> {
        let at = op.inputs.get(i).and_then(|t| usize::try_from(*t).ok());
        let value = at.and_then(|t| self.placed.get(t)?.clone());
        value.ok_or_else(|| format!("input {i} is a constant or is not given by an earlier operator"))
    }

    /// The same without padding that a layer would have to take.
    fn plain(&self, op: &Operator<'_>, i: usize) -> Result<Placed, String> {
        let value = self.value(op, i)?;
        if value.pad == [0; 4] {
            Ok(value)
        } else {
            Err("a PAD is supported before a convolution only".into())
        }
    }

    /// The numbers of constant input `i` of the given kind.
    fn constant(&mut self, op: &Operator<'_>, i: usize, kind: i8) -> Result<Vec<i32>, String> {
        let info = self.info(op, i)?;
        let count = info.dims.iter().try_fold(1usize, |n, d| n.checked_mul(*d)).unwrap_or(usize::MAX);
        let buffer = self.buffers.get(info.buffer).ok_or("a buffer is not there")?;
        let data = buffer.bytes(field::BUFFER_DATA, limits::MAX_ONNX_BYTES)?;
        let width = if kind == INT8 { 1 } else { 4 };
        if info.kind != kind || data.is_empty() || count.checked_mul(width) != Some(data.len()) {
            return Err(format!("constant `{}` is not of the expected type and size", info.name));
        }
        let numbers = match kind {
            INT8 => data.iter().map(|b| i32::from(*b as i8)).collect(),
            _ => {
                data.chunks_exact(4).map(|c| i32::from_le_bytes(c.try_into().expect("chunks of 4"))).collect()
            }
        };
        self.constants += count;
        if self.constants > limits::MAX_PARAMETERS {
            return Err(format!("the model has more than {} parameters", limits::MAX_PARAMETERS));
        }
        Ok(numbers)
    }

    /// One bias a channel, zeros where it is left out.
    fn bias(&mut self, op: &Operator<'_>, channels: usize) -> Result<Vec<i32>, String> {
        if op.inputs.get(2).is_none_or(|t| *t < 0) {
            return Ok(vec![0; channels]);
        }
        let bias = self.constant(op, 2, INT32)?;
        if bias.len() == channels {
            Ok(bias)
        } else {
            Err(format!("{} biases for {channels} channels", bias.len()))
        }
    }

    /// How each channel's accumulator is brought to the result's scale.
    fn roundings(
        &self,
        op: &Operator<'_>,
        input: f32,
        axis: usize,
        dense: bool,
    ) -> Result<Vec<Rounding>, String> {
        let (weights, output) = (self.info(op, 1)?, self.result(op).quant()?.scale);
        let channels = weights.dims.get(axis).copied().unwrap_or(0);
        let several = weights.scales.len() == channels && (weights.axis == axis || channels == 1);
        if weights.zeros.iter().any(|z| *z != 0) || !(weights.scales.len() == 1 || several) {
            return Err("weights need a zero point of 0 and one scale, or one a channel".into());
        }
        let rounding = |scale: &f32| {
            if !(*scale > 0.0 && scale.is_finite()) {
                return Err(format!("a weight scale of {scale}"));
            }
            let fixed = Fixed::of(f64::from(input) * f64::from(*scale) / f64::from(output));
            Ok(match self.kernels {
                Kernels::Xnnpack => Rounding::Float(input * scale / output),
                Kernels::Reference if dense => Rounding::Once(fixed),
                Kernels::Reference => Rounding::Twice(fixed),
            })
        };
        weights.scales.iter().map(rounding).collect()
    }

    /// The value laid out channels first of its sizes.
    fn spatial(&mut self, value: Placed, name: &str) -> Result<Placed, String> {
        let shape = shape_of(&value.dims)?;
        if self.build.shape(value.id) == shape {
            return Ok(value);
        }
        let places = places(&value.made)?;
        let mut index = vec![0; shape.len()];
        for (logical, at) in self::places(&value.dims)?.into_iter().enumerate() {
            index[at as usize] = places[logical];
        }
        let id = self.build.gather(&format!("{name}: layout"), value.id, shape, index)?;
        Ok(Placed { id, made: value.dims.clone(), ..value })
    }
}

/// Where each element, in the file's order, lies in a value of the program made under the given sizes.
fn places(dims: &[usize]) -> Result<Vec<u32>, String> {
    let Shape { c, h, w } = shape_of(dims)?;
    Ok((0..h * w).flat_map(|p| (0..c).map(move |c| (c * h * w + p) as u32)).collect())
}

/// Padding of an axis: `SAME` (0) as much as a full division of the input needs, `VALID` (1) none.
fn padding(kind: i8, input: usize, kernel: usize, stride: usize) -> Result<[usize; 2], String> {
    match kind {
        0 => {
            let total = ((input.div_ceil(stride) - 1) * stride + kernel).saturating_sub(input);
            Ok([total / 2, total - total / 2])
        }
        1 => Ok([0; 2]),
        other => Err(format!("padding {other} is not known")),
    }
}

/// The window of an operator over a value; `pad` is padding that stands before it already.
fn window(
    kind: i8,
    kernel: [usize; 2],
    stride: [usize; 2],
    shape: Shape,
    pad: [usize; 4],
) -> Result<Window, String> {
    let [top, left, bottom, right] = pad;
    let rows = padding(kind, shape.h + top + bottom, kernel[0], stride[0])?;
    let columns = padding(kind, shape.w + left + right, kernel[1], stride[1])?;
    let pad = [top + rows[0], left + columns[0], bottom + rows[1], right + columns[1]];
    Ok(Window { kernel, stride, pad })
}

fn result(reader: &Reader<'_>, op: &Operator<'_>, id: ValueId) -> Placed {
    let dims = reader.result(op).dims.clone();
    Placed { id, made: dims.clone(), dims, pad: [0; 4] }
}

/// The result, if its sizes in the file are the value's.
fn sized(reader: &Reader<'_>, op: &Operator<'_>, id: ValueId) -> Result<Placed, String> {
    let (found, stated) = (reader.build.shape(id), shape_of(&reader.result(op).dims)?);
    if found == stated {
        Ok(result(reader, op, id))
    } else {
        Err(format!("gives {:?}, the file says {:?}", found.axes(), stated.axes()))
    }
}

/// Options of a convolution: strides, dilations (both 1), and what the operators share.
fn convolve(
    reader: &mut Reader<'_>,
    op: &Operator<'_>,
    name: &str,
    [activation, dilation]: [usize; 2],
    depthwise: bool,
) -> Result<Placed, String> {
    if op.size(dilation, 1)? != 1 || op.size(dilation + 1, 1)? != 1 {
        return Err("dilations other than 1 are not supported: widen the kernel with zeros instead".into());
    }
    let x = reader.value(op, 0)?;
    let pad = x.pad;
    let x = reader.spatial(x, name)?;
    let shape = reader.build.shape(x.id);
    let &[first, kh, kw, last] = reader.info(op, 1)?.dims.as_slice() else {
        return Err("weights need four axes".into());
    };
    let stride = [op.size(2, 1)?, op.size(1, 1)?];
    let window = window(op.byte(0, 0)?, [kh, kw], stride, shape, pad)?;
    let (out_channels, inner, groups) = if depthwise { (last, 1, shape.c) } else { (first, last, 1) };
    let given = reader.constant(op, 1, INT8)?;
    let weights = if depthwise {
        // [1, kh, kw, out] to [out, 1, kh, kw].
        (0..out_channels * kh * kw).map(|i| given[i % (kh * kw) * out_channels + i / (kh * kw)]).collect()
    } else {
        // [out, kh, kw, in] to [out, in, kh, kw].
        let at = |i: usize| {
            let (o, rest) = (i / (inner * kh * kw), i % (inner * kh * kw));
            (o * kh * kw + rest % (kh * kw)) * inner + rest / (kh * kw)
        };
        (0..given.len()).map(|i| given[at(i)]).collect()
    };
    let bias = reader.bias(op, out_channels)?;
    let input = reader.build.quant(x.id).scale;
    let rounding = reader.roundings(op, input, if depthwise { 3 } else { 0 }, false)?;
    let out = activated(reader.result(op).quant()?, op.byte(activation, 0)?)?;
    let layer = Layer { out_channels, groups, window, weights, bias };
    let id = reader.build.conv(name, x.id, layer, &rounding, out)?;
    sized(reader, op, id)
}

fn conv(reader: &mut Reader<'_>, op: &Operator<'_>, name: &str) -> Result<Placed, String> {
    convolve(reader, op, name, [3, 4], false)
}

fn depthwise(reader: &mut Reader<'_>, op: &Operator<'_>, name: &str) -> Result<Placed, String> {
    convolve(reader, op, name, [4, 5], true)
}

fn dense(reader: &mut Reader<'_>, op: &Operator<'_>, name: &str) -> Result<Placed, String> {
    let x = reader.plain(op, 0)?;
    let &[out_channels, inner] = reader.info(op, 1)?.dims.as_slice() else {
        return Err("weights need two axes".into());
    };
    let places = places(&x.made)?;
    if places.len() != inner || reader.build.shape(x.id).len() != inner {
        return Err(format!("weights for {inner} numbers on an operand of {}", places.len()));
    }
    let given = reader.constant(op, 1, INT8)?;
    let mut weights = vec![0; given.len()];
    for (i, w) in given.iter().enumerate() {
        weights[i / inner * inner + places[i % inner] as usize] = *w;
    }
    let shape = reader.build.shape(x.id);
    let window = Window { kernel: [shape.h, shape.w], stride: [1, 1], pad: [0; 4] };
    let bias = reader.bias(op, out_channels)?;
    let rounding = reader.roundings(op, reader.build.quant(x.id).scale, 0, true)?;
    let out = activated(reader.result(op).quant()?, op.byte(0, 0)?)?;
    let layer = Layer { out_channels, groups: 1, window, weights, bias };
    let id = reader.build.conv(name, x.id, layer, &rounding, out)?;
    let total = reader.result(op).dims.iter().product::<usize>();
    if total != out_channels {
        return Err(format!("gives {out_channels} numbers, the file says {total}"));
    }
    let dims = vec![1, out_channels];
    Ok(Placed {
        id,
        made: dims.clone(),
        dims: if reader.result(op).dims.len() == 2 { dims } else { reader.result(op).dims.clone() },
        pad: [0; 4],
    })
}

/// `Add` of kernels/internal/reference/integer_ops/add.h: operands on a common scale with 20 more bits, summed, brought back.
fn add(reader: &mut Reader<'_>, op: &Operator<'_>, name: &str) -> Result<Placed, String> {
    let (a, b) = (reader.plain(op, 0)?, reader.plain(op, 1)?);
    if a.dims != b.dims {
        return Err("the operands' sizes differ: broadcasting is not supported".into());
    }
    let (a, b) = (reader.spatial(a, name)?, reader.spatial(b, name)?);
    let quant = reader.result(op).quant()?;
    let out = activated(quant, op.byte(0, 0)?)?;
    let scales = [a.id, b.id].map(|id| f64::from(reader.build.quant(id).scale));
    let twice = 2.0 * scales[0].max(scales[1]);
    let [first, second] = scales.map(|s| Rounding::Twice(Fixed::of(s / twice)));
    let last = Rounding::Twice(Fixed::of(twice / (f64::from(1 << 20) * f64::from(quant.scale))));
    let sum = |x: i32, y: i32| last.apply(first.apply(i64::from(x) << 20) + second.apply(i64::from(y) << 20));
    let id = reader.build.add(name, [a.id, b.id], sum, out)?;
    sized(reader, op, id)
}

fn pool_window(reader: &Reader<'_>, op: &Operator<'_>, x: &Placed) -> Result<Window, String> {
    let (stride, kernel) = ([op.size(2, 1)?, op.size(1, 1)?], [op.size(4, 1)?, op.size(3, 1)?]);
    window(op.byte(0, 0)?, kernel, stride, reader.build.shape(x.id), [0; 4])
}

/// The operand of a pool, whose scale and zero point are those of the result.
fn pooled(reader: &mut Reader<'_>, op: &Operator<'_>, name: &str) -> Result<(Placed, Quant), String> {
    let x = reader.plain(op, 0)?;
    let x = reader.spatial(x, name)?;
    let (from, to) = (reader.build.quant(x.id), reader.result(op).quant()?);
    if from.same(&to) { Ok((x, to)) } else { Err("a pool needs one scale before and after it".into()) }
}

fn max_pool(reader: &mut Reader<'_>, op: &Operator<'_>, name: &str) -> Result<Placed, String> {
    let (x, quant) = pooled(reader, op, name)?;
    if activated(quant, op.byte(5, 0)?)?.within(quant.lo, quant.hi) != quant {
        return Err("a fused activation is not supported here: put it after the layer before".into());
    }
    let window = pool_window(reader, op, &x)?;
    let id = reader.build.max_pool(name, x.id, window)?;
    sized(reader, op, id)
}

/// `AveragePool` of kernels/internal/reference/integer_ops/pooling.h: the mean of *stored* integers, halves away from zero.
fn average_pool(reader: &mut Reader<'_>, op: &Operator<'_>, name: &str) -> Result<Placed, String> {
    let (x, quant) = pooled(reader, op, name)?;
    let window = pool_window(reader, op, &x)?;
    if window.pad != [0; 4] {
        return Err("padding does not count in its mean, which is not supported: use padding VALID".into());
    }
    let (count, zero) = ((window.kernel[0] * window.kernel[1]) as i64, i64::from(quant.zero));
    let mean = |sum: i64| {
        let stored = sum + count * zero;
        let half = if stored > 0 { count / 2 } else { -(count / 2) };
        (stored + half) / count - zero
    };
    let out = activated(quant, op.byte(5, 0)?)?;
    let id = reader.build.window_sum(name, x.id, window, mean, out)?;
    sized(reader, op, id)
}

/// `QuantizedMeanOrSum` of kernels/internal/reference/reduce.h over both spatial axes.
fn mean(reader: &mut Reader<'_>, op: &Operator<'_>, name: &str) -> Result<Placed, String> {
    let x = reader.plain(op, 0)?;
    let x = reader.spatial(x, name)?;
    let rank = x.dims.len() as i32;
    let mut axes = reader.constant(op, 1, INT32)?;
    axes.iter_mut().for_each(|a| *a += if *a < 0 { rank } else { 0 });
    axes.sort_unstable();
    if rank != 4 || axes != [1, 2] {
        return Err(format!("a mean over axes {axes:?} of {rank}: only both spatial axes are supported"));
    }
    let shape = reader.build.shape(x.id);
    let count = shape.h * shape.w;
    let (from, out) = (reader.build.quant(x.id), reader.result(op).quant()?);
    let rounding = match reader.kernels {
        Kernels::Reference => {
            Rounding::Twice(Fixed::of(f64::from(from.scale) / f64::from(out.scale)).over(count))
        }
        Kernels::Xnnpack => Rounding::Float(from.scale / out.scale / count as f32),
    };
    let window = Window { kernel: [shape.h, shape.w], stride: [1, 1], pad: [0; 4] };
    let id = reader.build.window_sum(name, x.id, window, |sum| rounding.apply(sum), out)?;
    let dims = reader.result(op).dims.clone();
    if dims.iter().product::<usize>() != shape.c {
        return Err(format!("gives {} numbers, the file says {dims:?}", shape.c));
    }
    Ok(result(reader, op, id))
}

fn reshape(reader: &mut Reader<'_>, op: &Operator<'_>, _: &str) -> Result<Placed, String> {
    let x = reader.plain(op, 0)?;
    let info = reader.result(op);
    let count = |dims: &[usize]| dims.iter().fold(1usize, |n, d| n.saturating_mul(*d));
    if count(&info.dims) != count(&x.dims) || !info.quant()?.same(&reader.build.quant(x.id)) {
        return Err("does not keep its operand's elements and scale".into());
    }
    shape_of(&info.dims)?;
    Ok(Placed { dims: info.dims.clone(), ..x })
}

/// Zeros around both spatial axes, which the convolution that follows takes as its own padding.
fn pad(reader: &mut Reader<'_>, op: &Operator<'_>, name: &str) -> Result<Placed, String> {
    let x = reader.plain(op, 0)?;
    let mut x = reader.spatial(x, name)?;
    let sizes = reader.constant(op, 1, INT32)?;
    let &[0, 0, top, bottom, left, right, 0, 0] = sizes.as_slice() else {
        return Err(format!("pads by {sizes:?}: only the two spatial axes of [1, H, W, C] are supported"));
    };
    if !reader.result(op).quant()?.same(&reader.build.quant(x.id)) {
        return Err("changes the scale".into());
    }
    for (to, from) in x.pad.iter_mut().zip([top, left, bottom, right]) {
        *to = usize::try_from(from)
            .ok()
            .filter(|n| *n <= 1 << 20)
            .ok_or("pads by a negative or huge number")?;
    }
    Ok(x)
}
