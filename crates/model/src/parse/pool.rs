//! MaxPool, AveragePool, the global pools. Source: ONNX operator specifications, MaxPool 12, AveragePool 11.

use proofmesh_graph::op::Window;

use super::linear::{window, window_dims};
use super::{Parser, Value};
use crate::float::FloatOp;
use crate::onnx::OnnxNode;

/// The node's window, and with `ceil_mode` the padding after the end that makes the last, partial windows
/// whole.
fn pool_window(node: &OnnxNode, dims: &[usize]) -> Result<(Window, bool), String> {
    let kernel = node.sizes("kernel_shape", dims.len().saturating_sub(2), 0)?;
    let mut window = window(node, &kernel, dims)?;
    let mut grown = false;
    if node.int("ceil_mode", 0) != 0 {
        let inputs = [if dims.len() == 4 { dims[2] } else { 1 }, dims[dims.len() - 1]];
        for (i, input) in inputs.into_iter().enumerate() {
            let (k, s, before, after) =
                (window.kernel[i], window.stride[i], window.pad[i], window.pad[2 + i]);
            let span =
                (input + before + after).checked_sub(k).ok_or("the kernel is larger than the operand")?;
            let mut last = span.div_ceil(s) * s;
            if last >= input + before {
                last -= s;
            }
            let extra = (last + k).saturating_sub(input + before + after);
            window.pad[2 + i] += extra;
            grown |= extra > 0;
        }
    }
    Ok((window, grown))
}

pub(super) fn max(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let a = parser.activation(node, 0)?;
    let (window, _) = pool_window(node, &a.dims)?;
    let from = parser.shape(&a);
    let dims = window_dims(&window, from, from.c, a.dims.len())?;
    parser.push(node, FloatOp::MaxPool(window), vec![a.id], dims)
}

pub(super) fn average(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let a = parser.activation(node, 0)?;
    let (window, grown) = pool_window(node, &a.dims)?;
    if grown {
        return Err("ceil_mode with partial windows is not supported: pad the operand or crop it".into());
    }
    if window.pad != [0; 4] && node.int("count_include_pad", 0) == 0 {
        return Err(
            "padding that does not count in the mean is not supported: set count_include_pad = 1 or pad with 0".into()
        );
    }
    let from = parser.shape(&a);
    let dims = window_dims(&window, from, from.c, a.dims.len())?;
    parser.push(node, FloatOp::AveragePool(window), vec![a.id], dims)
}

/// A window over all of the given spatial axes of `[C, H, W]`.
fn whole(h: usize, w: usize) -> Window {
    Window { kernel: [h, w], stride: [1, 1], pad: [0; 4] }
}

fn global(parser: &mut Parser<'_>, node: &OnnxNode, mean: bool) -> Result<Value, String> {
    let a = parser.activation(node, 0)?;
    let from = parser.shape(&a);
    if !(3..=4).contains(&a.dims.len()) {
        return Err(format!("an operand {:?} has no spatial axes", a.dims));
    }
    let window = whole(from.h, from.w);
    let op = if mean { FloatOp::AveragePool(window) } else { FloatOp::MaxPool(window) };
    let mut dims = a.dims;
    dims[2..].fill(1);
    parser.push(node, op, vec![a.id], dims)
}

pub(super) fn global_average(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    global(parser, node, true)
}

pub(super) fn global_max(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    global(parser, node, false)
}
