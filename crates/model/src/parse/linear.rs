//! Conv, ConvTranspose, Gemm, MatMul, BatchNormalization. Source: the ONNX operator specifications, versions 11 (Conv), 13
//! (Gemm, MatMul), 14 and 15 (BatchNormalization).

use proofmesh_graph::op::Window;
use proofmesh_graph::tensor::Shape;

use super::view::Activation;
use super::{Parser, Value, arithmetic};
use crate::float::{Clamp, FloatConv, FloatOp, ZERO};
use crate::limits;
use crate::onnx::{Constant, OnnxNode};

/// Kernel, stride and padding of a sliding window over 1 or 2 spatial axes, as an ONNX node gives them.
///
/// Errors: a dilation other than 1, an unknown auto_pad, sizes that do not fit.
pub(super) fn window(node: &OnnxNode, kernel: &[usize], dims: &[usize]) -> Result<Window, String> {
    let spatial = dims.len().saturating_sub(2);
    if !(1..=2).contains(&spatial) || kernel.len() != spatial {
        return Err(format!(
            "works on {spatial} spatial axes with a kernel of {}: 1 or 2 are supported",
            kernel.len()
        ));
    }
    if kernel.iter().any(|k| *k == 0 || *k > limits::MAX_ACTIVATION_ELEMENTS) {
        return Err(format!("a kernel of {kernel:?} is empty or too large"));
    }
    if node.sizes("dilations", spatial, 1)?.iter().any(|d| *d != 1) {
        return Err("dilations other than 1 are not supported: widen the kernel with zeros instead".into());
    }
    let stride = node.sizes("strides", spatial, 1)?;
    if stride.contains(&0) {
        return Err("a stride of 0".into());
    }
    let mut pads = node.sizes("pads", 2 * spatial, 0)?;
    match node.text("auto_pad", "NOTSET") {
        "NOTSET" | "" => {}
        "VALID" => pads.fill(0),
        kind @ ("SAME_UPPER" | "SAME_LOWER") => {
            for axis in 0..spatial {
                let input = dims[2 + axis];
                let output = input.div_ceil(stride[axis]);
                let total = ((output - 1) * stride[axis] + kernel[axis]).saturating_sub(input);
                let (small, large) = (total / 2, total - total / 2);
                let upper = kind == "SAME_UPPER";
                pads[axis] = if upper { small } else { large };
                pads[spatial + axis] = if upper { large } else { small };
            }
        }
        other => return Err(format!("auto_pad `{other}` is not known")),
    }
    Ok(match spatial {
        1 => Window { kernel: [1, kernel[0]], stride: [1, stride[0]], pad: [0, pads[0], 0, pads[1]] },
        _ => Window {
            kernel: [kernel[0], kernel[1]],
            stride: [stride[0], stride[1]],
            pad: [pads[0], pads[1], pads[2], pads[3]],
        },
    })
}

impl OnnxNode {
    /// [`window`], for quantised nodes, which are read elsewhere.
    pub(crate) fn window(&self, kernel: &[usize], dims: &[usize]) -> Result<Window, String> {
        window(self, kernel, dims)
    }
}

/// ONNX sizes of a result with `channels` whose window slides over `from`.
pub(super) fn window_dims(
    window: &Window,
    from: Shape,
    channels: usize,
    rank: usize,
) -> Result<Vec<usize>, String> {
    let [h, w] = window.axes(from.h, from.w)?;
    Ok(if rank == 3 { vec![1, channels, w.output] } else { vec![1, channels, h.output, w.output] })
}

pub(super) fn conv(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let a = parser.activation(node, 0)?;
    let kernel = parser.constant(node, 1)?;
    if kernel.dims.len() != a.dims.len() {
        return Err(format!("weights {:?} on an operand {:?}: their ranks differ", kernel.dims, a.dims));
    }
    if kernel.dims.len() < 3 {
        return Err(format!("an operand {:?} has no spatial axes", a.dims));
    }
    let window = window(node, &kernel.dims[2..], &a.dims)?;
    let stated = node.sizes("kernel_shape", kernel.dims.len() - 2, 0)?;
    if stated != kernel.dims[2..] && stated.iter().any(|s| *s != 0) {
        return Err(format!("kernel_shape {stated:?} is not that of the weights {:?}", kernel.dims));
    }
    let out_channels = kernel.dims[0];
    let groups = usize::try_from(node.int("group", 1)).map_err(|_| "a negative group count")?;
    let bias = match parser.optional_constant(node, 2)? {
        Some(b) => b.floats(),
        None => vec![0.0; out_channels],
    };
    let conv = FloatConv { out_channels, groups, window, weights: kernel.floats(), bias, clamp: Clamp::NONE };
    let dims = window_dims(&window, parser.shape(&a), out_channels, a.dims.len())?;
    parser.push(node, FloatOp::Conv(conv), vec![a.id], dims)
}

/// The sizes of a matrix, or why it is not one.
fn matrix(constant: &Constant) -> Result<[usize; 2], String> {
    constant.dims.as_slice().try_into().map_err(|_| format!("weights {:?} are not a matrix", constant.dims))
}

/// `[K, N]` to `[N, K]`, times a factor.
fn transposed(values: &[f32], [k, n]: [usize; 2], factor: f32) -> Vec<f32> {
    (0..n).flat_map(|j| (0..k).map(move |i| factor * values[i * n + j])).collect()
}

/// `x` times a matrix `[outputs][inputs]` along its last axis, plus a bias: a dense layer on a vector, else a kernel of 1 at every place.
pub(super) fn dense(
    parser: &mut Parser<'_>,
    node: &OnnxNode,
    a: Activation,
    weights: Vec<f32>,
    bias: Vec<f32>,
) -> Result<Activation, String> {
    let (last, outputs) = (a.dims.len() - 1, bias.len());
    if a.len() == a.dims[last] {
        let mut dims = a.dims.clone();
        let a = parser.canonical(node, a)?;
        let layer = FloatConv::dense(parser.shape(&a), weights, bias);
        let id = parser.append(node, FloatOp::Conv(layer), vec![a.id])?;
        dims[last] = outputs;
        return Ok(Activation::new(id, dims));
    }
    let (from, strides) = parser.channels_last(node, &a)?;
    at_every_place(parser, node, Activation { id: from, strides, ..a }, weights, bias, Clamp::NONE)
}

/// The same on a value whose channels are the view's last axis already.
pub(super) fn at_every_place(
    parser: &mut Parser<'_>,
    node: &OnnxNode,
    a: Activation,
    weights: Vec<f32>,
    bias: Vec<f32>,
    clamp: Clamp,
) -> Result<Activation, String> {
    let outputs = bias.len();
    let window = Window { kernel: [1, 1], stride: [1, 1], pad: [0; 4] };
    let layer = FloatConv { out_channels: outputs, groups: 1, window, weights, bias, clamp };
    let shape = parser.shape(&a);
    let id = parser.append(node, FloatOp::Conv(layer), vec![a.id])?;
    let (mut dims, mut strides) = (a.dims, a.strides);
    if let (Some(size), Some(stride)) = (dims.last_mut(), strides.last_mut()) {
        (*size, *stride) = (outputs, shape.h * shape.w);
    }
    Ok(Activation { id, dims, strides, mask: None })
}

pub(super) fn gemm(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let mut a = parser.view(node, 0)?;
    if a.dims.len() != 2 {
        return Err(format!("an operand {:?} is not a matrix: flatten it first", a.dims));
    }
    if node.int("transA", 0) != 0 {
        a = a.permuted(&[1, 0]);
    }
    let b = parser.constant(node, 1)?;
    let (alpha, beta) = (node.float("alpha", 1.0)?, node.float("beta", 1.0)?);
    let sizes = matrix(&b)?;
    let (weights, inputs, outputs) = if node.int("transB", 0) != 0 {
        (b.floats().iter().map(|w| alpha * w).collect(), sizes[1], sizes[0])
    } else {
        (transposed(&b.floats(), sizes, alpha), sizes[0], sizes[1])
    };
    if a.dims[1] != inputs {
        return Err(format!("an operand {:?} for weights {:?}: flatten it first", a.dims, b.dims));
    }
    let zeros = || vec![0.0; outputs];
    match parser.optional(node, 2)? {
        None => dense(parser, node, a, weights, zeros()).map(Value::Activation),
        Some(Value::Constant(c)) if c.len() == 1 || c.len() == outputs && c.dims.last() == Some(&outputs) => {
            let values = c.floats();
            let bias = (0..outputs).map(|o| beta * values[if values.len() == 1 { 0 } else { o }]).collect();
            dense(parser, node, a, weights, bias).map(Value::Activation)
        }
        Some(Value::Constant(c)) => {
            let y = dense(parser, node, a, weights, zeros())?;
            arithmetic::shifted(parser, node, y, &c, [1.0, beta]).map(Value::Activation)
        }
        Some(Value::Activation(c)) => {
            let y = dense(parser, node, a, weights, zeros())?;
            arithmetic::weighted(parser, node, &y, &c, [1.0, beta], Clamp::NONE)
        }
    }
}

pub(super) fn matmul(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    match (parser.value(node, 0)?, parser.value(node, 1)?) {
        (Value::Activation(_), Value::Constant(b)) => {
            let a = parser.view(node, 0)?;
            let [inputs, outputs] = matrix(&b)?;
            if a.dims.last() != Some(&inputs) {
                return Err(format!("an operand {:?} does not fit weights {:?}", a.dims, b.dims));
            }
            let weights = transposed(&b.floats(), [inputs, outputs], 1.0);
            dense(parser, node, a, weights, vec![0.0; outputs]).map(Value::Activation)
        }
        // A x = (x' A')'.
        (Value::Constant(w), Value::Activation(_)) => {
            let x = parser.view(node, 1)?;
            let [outputs, inputs] = matrix(&w)?;
            let rank = x.dims.len();
            if rank < 2 || x.dims[rank - 2] != inputs {
                return Err(format!("weights {:?} do not fit an operand {:?}", w.dims, x.dims));
            }
            let mut swap: Vec<usize> = (0..rank).collect();
            swap.swap(rank - 2, rank - 1);
            let y = dense(parser, node, x.permuted(&swap), w.floats(), vec![0.0; outputs])?;
            Ok(Value::Activation(y.permuted(&swap)))
        }
        (Value::Activation(_), Value::Activation(_)) => {
            let (a, b) = (parser.view(node, 0)?, parser.view(node, 1)?);
            products(parser, node, a, b).map(Value::Activation)
        }
        _ => Err("multiplies two constants: fold constants before the export".into()),
    }
}

/// A batch of matrix products of two activations.
fn products(
    parser: &mut Parser<'_>,
    node: &OnnxNode,
    a: Activation,
    b: Activation,
) -> Result<Activation, String> {
    let (ra, rb) = (a.dims.len(), b.dims.len());
    if ra < 2 || rb < 2 || a.dims[..ra - 2] != b.dims[..rb - 2] || a.dims[ra - 1] != b.dims[rb - 2] {
        return Err(format!("matrices {:?} and {:?} do not fit: make their batches equal", a.dims, b.dims));
    }
    let batch: usize = a.dims[..ra - 2].iter().product();
    let [i, k, j] = [a.dims[ra - 2], a.dims[ra - 1], b.dims[rb - 1]];
    let left = Shape::new(batch, i, k);
    let left = parser.arrange(node, a.id, left, Some(a.positions()))?;
    // The second operand as it lies, if that is a matrix or its transpose.
    let swapped = b.with_last(&[rb - 1, rb - 2]);
    let lies = parser.shape(&b) == Shape::new(batch, j, k) && swapped.is_row_major();
    let right =
        if lies { b.id } else { parser.arrange(node, b.id, Shape::new(batch, k, j), Some(b.positions()))? };
    let id = parser.append(node, FloatOp::MatMul { transposed: lies, gain: 1.0 }, vec![left, right])?;
    let mut dims = a.dims;
    dims[ra - 1] = j;
    Ok(Activation::new(id, dims))
}

/// A convolution on the operand with zeros between its elements, its kernel turned round.
pub(super) fn conv_transpose(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let a = parser.activation(node, 0)?;
    let kernel = parser.constant(node, 1)?;
    let spatial = a.dims.len().saturating_sub(2);
    if !(1..=2).contains(&spatial) || kernel.dims.len() != a.dims.len() {
        return Err(format!(
            "weights {:?} on an operand {:?}: 1 or 2 spatial axes are supported",
            kernel.dims, a.dims
        ));
    }
    if node.sizes("dilations", spatial, 1)?.iter().any(|d| *d != 1) {
        return Err("dilations other than 1 are not supported: widen the kernel with zeros instead".into());
    }
    if node.text("auto_pad", "NOTSET") != "NOTSET" || node.ints("output_shape").is_some() {
        return Err("auto_pad and output_shape are not supported: state pads and output_padding".into());
    }
    let (stride, pads) = (node.sizes("strides", spatial, 1)?, node.sizes("pads", 2 * spatial, 0)?);
    let extra = node.sizes("output_padding", spatial, 0)?;
    let groups =
        usize::try_from(node.int("group", 1)).ok().filter(|g| *g > 0).ok_or("a group count below 1")?;
    let (inputs, outputs) = (kernel.dims[0], kernel.dims[1].saturating_mul(groups));
    let from = parser.shape(&a);
    if stride.contains(&0) || inputs != from.c || !inputs.is_multiple_of(groups) {
        return Err(format!(
            "weights {:?} in {groups} groups do not fit an operand {:?}",
            kernel.dims, a.dims
        ));
    }
    let two = |list: &[usize], fill: usize| if spatial == 2 { [list[0], list[1]] } else { [fill, list[0]] };
    let (k, s, e) = (two(&kernel.dims[2..], 1), two(&stride, 1), two(&extra, 0));
    let (before, after) = (two(&pads[..spatial], 0), two(&pads[spatial..], 0));
    if (0..2).any(|x| before[x] >= k[x] || after[x] >= k[x] || k[x] == 0) {
        return Err(format!("pads {pads:?} are not smaller than the kernel {k:?}"));
    }
    // Zeros between elements, and after them where the output is padded.
    let size = |n: usize, x: usize| ((n - 1) * s[x] + 1).saturating_add(e[x]);
    let wide = Shape::new(from.c, size(from.h, 0), size(from.w, 1));
    if wide.len() > limits::MAX_ACTIVATION_ELEMENTS {
        return Err("its operand is too large with zeros between its elements".into());
    }
    let mut index = vec![ZERO; wide.len()];
    for c in 0..from.c {
        for y in 0..from.h {
            for x in 0..from.w {
                index[wide.at(c, y * s[0], x * s[1])] = from.at(c, y, x) as u32;
            }
        }
    }
    let id = parser.arrange(node, a.id, wide, Some(index))?;
    let pad = [k[0] - 1 - before[0], k[1] - 1 - before[1], k[0] - 1 - after[0], k[1] - 1 - after[1]];
    let window = Window { kernel: k, stride: [1, 1], pad };
    let (gi, go, taps) = (inputs / groups, outputs / groups, k[0] * k[1]);
    let values = kernel.floats();
    let mut weights = Vec::with_capacity(values.len());
    for o in 0..outputs {
        for i in 0..gi {
            let own = (((o / go) * gi + i) * go + o % go) * taps;
            weights.extend(values[own..own + taps].iter().rev());
        }
    }
    let bias = parser.optional_constant(node, 2)?.map_or_else(|| vec![0.0; outputs], |b| b.floats());
    let layer = FloatConv { out_channels: outputs, groups, window, weights, bias, clamp: Clamp::NONE };
    let dims = window_dims(&window, wide, outputs, a.dims.len())?;
    parser.push(node, FloatOp::Conv(layer), vec![id], dims)
}

pub(super) fn batch_normalization(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let a = parser.activation(node, 0)?;
    if node.int("training_mode", 0) != 0 {
        return Err("is in training mode: export the model in evaluation mode".into());
    }
    let epsilon = node.float("epsilon", 1e-5)?;
    let channels = parser.shape(&a).c;
    let part = |i: usize| -> Result<Vec<f32>, String> {
        let part = parser.constant(node, i)?.floats();
        if part.len() == channels {
            return Ok(part);
        }
        Err(format!("input {i} has {} entries for {channels} channels", part.len()))
    };
    let (gain, bias, mean, variance) = (part(1)?, part(2)?, part(3)?, part(4)?);
    let scale: Vec<f32> = gain.iter().zip(&variance).map(|(g, v)| g / (v + epsilon).sqrt()).collect();
    if let Some(c) = scale.iter().position(|s| !s.is_finite()) {
        return Err(format!("the variance of channel {c} is not positive"));
    }
    let shift = (0..channels).map(|c| bias[c] - mean[c] * scale[c]).collect();
    parser.push(node, FloatOp::Affine { scale, shift }, vec![a.id], a.dims)
}
