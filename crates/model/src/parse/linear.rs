//! Conv, Gemm, MatMul, BatchNormalization. Source: the ONNX operator specifications, versions 11 (Conv), 13
//! (Gemm, MatMul), 14 and 15 (BatchNormalization).

use proofmesh_graph::op::Window;
use proofmesh_graph::tensor::Shape;

use super::{Parser, Value};
use crate::float::{Clamp, FloatConv, FloatOp};
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

pub(super) fn gemm(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let a = parser.activation(node, 0)?;
    if node.int("transA", 0) != 0 {
        return Err("transA = 1 is not supported: transpose the operand instead".into());
    }
    let b = parser.constant(node, 1)?;
    let (alpha, beta) = (node.float("alpha", 1.0)?, node.float("beta", 1.0)?);
    let sizes = matrix(&b)?;
    let (weights, inputs, outputs) = if node.int("transB", 0) != 0 {
        (b.floats().iter().map(|w| alpha * w).collect(), sizes[1], sizes[0])
    } else {
        (transposed(&b.floats(), sizes, alpha), sizes[0], sizes[1])
    };
    let bias = match parser.optional_constant(node, 2)? {
        None => vec![0.0; outputs],
        Some(c) if c.len() == 1 => vec![beta * c.floats()[0]; outputs],
        Some(c) if c.len() == outputs && c.dims.last() == Some(&outputs) => {
            c.floats().iter().map(|v| beta * v).collect()
        }
        Some(c) => return Err(format!("a bias {:?} for {outputs} outputs", c.dims)),
    };
    if a.dims != [1, inputs] {
        return Err(format!("an operand {:?} for weights {:?}: flatten it first", a.dims, b.dims));
    }
    let dense = FloatConv::dense(parser.shape(&a), weights, bias);
    parser.push(node, FloatOp::Conv(dense), vec![a.id], vec![1, outputs])
}

pub(super) fn matmul(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let a = parser.activation(node, 0)?;
    let b = parser.constant(node, 1)?;
    let [inputs, outputs] = matrix(&b)?;
    let (last, front) = a.dims.split_last().ok_or("an operand without axes")?;
    if *last != inputs || front.iter().any(|d| *d != 1) {
        return Err(format!(
            "an operand {:?} for weights {:?}: only a vector times a matrix is supported, use Conv with a kernel of 1 for more",
            a.dims, b.dims
        ));
    }
    let weights = transposed(&b.floats(), [inputs, outputs], 1.0);
    let from = parser.shape(&a);
    let dense = FloatConv::dense(from, weights, vec![0.0; outputs]);
    let dims = [front, &[outputs]].concat();
    if front.len() == 1 {
        return parser.push(node, FloatOp::Conv(dense), vec![a.id], dims);
    }
    let Value::Activation(flat) = parser.push(node, FloatOp::Conv(dense), vec![a.id], vec![1, outputs])?
    else {
        return Err("a dense layer gave a constant".into());
    };
    let shape = super::shape_of(&dims)?;
    parser.push(node, FloatOp::Reshape(shape), vec![flat.id], dims)
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
