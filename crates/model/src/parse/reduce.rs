//! Sums, means, extremes over axes; ArgMax at the end.
//!
//! Axes that fill a plane, its rows or its columns become a window; all channels become a sum; others are brought together by
//! a Gather first.

use proofmesh_graph::op::Window;
use proofmesh_graph::tensor::Shape;

use super::attribute::axis;
use super::view::{Activation, row_major};
use super::{Parser, Value};
use crate::float::{Clamp, Curve, Fine, FloatOp};
use crate::onnx::OnnxNode;

/// What is done along the axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reduction {
    Sum,
    Mean,
    Max,
    Min,
}

impl Reduction {
    /// The operator over the last rows and columns that `window` covers.
    fn over(self, window: Window) -> FloatOp {
        match self {
            Self::Mean => FloatOp::AveragePool(window),
            Self::Max => FloatOp::MaxPool(window),
            Self::Min => FloatOp::MinPool(window),
            Self::Sum => {
                let axes = [false, window.kernel[0] > 1, window.kernel[1] > 1];
                FloatOp::ReduceSum { axes, gain: 1.0, clamp: Clamp::NONE }
            }
        }
    }
}

/// A window as large as a plane's part.
fn whole(h: usize, w: usize) -> Window {
    Window { kernel: [h, w], stride: [1, 1], pad: [0; 4] }
}

/// Strides of the kept axes in the result, if the reduced axes are exactly the part of a plane that `[h, w]` covers.
fn kept_strides(shape: Shape, a: &Activation, axes: &[usize], [h, w]: [usize; 2]) -> Option<Vec<usize>> {
    let plane = shape.h * shape.w;
    let mut covered = 1;
    let (rows, columns) = (shape.h / h, shape.w / w);
    let mut strides = Vec::with_capacity(a.dims.len());
    for (i, (size, stride)) in a.dims.iter().zip(&a.strides).enumerate() {
        let reach = (size - 1) * stride;
        if *size == 1 {
            strides.push(1);
        } else if axes.contains(&i) {
            let inside =
                if h == 1 { reach < shape.w } else { reach < plane && (w > 1 || stride % shape.w == 0) };
            if !inside {
                return None;
            }
            covered *= size;
            strides.push(1);
        } else if stride % plane == 0 {
            strides.push(stride / plane * rows * columns);
        } else if reach < plane && w > 1 && stride % shape.w == 0 {
            strides.push(stride / shape.w * columns);
        } else if reach < shape.w && w == 1 {
            strides.push(*stride);
        } else {
            return None;
        }
    }
    (covered == h * w).then_some(strides)
}

/// A reduction over axes that are kept with a size of 1.
pub(super) fn along(
    parser: &mut Parser<'_>,
    node: &OnnxNode,
    a: Activation,
    axes: &[usize],
    reduction: Reduction,
) -> Result<Activation, String> {
    let shape = parser.shape(&a);
    let mut dims = a.dims.clone();
    axes.iter().for_each(|x| dims[*x] = 1);
    let count = a.len() / dims.iter().product::<usize>().max(1);
    if count == 1 {
        return Ok(a);
    }
    for window in [[shape.h, shape.w], [1, shape.w], [shape.h, 1]] {
        if window == [1, 1] {
            continue;
        }
        if let Some(strides) = kept_strides(shape, &a, axes, window) {
            let op = reduction.over(whole(window[0], window[1]));
            let id = parser.append(node, op, vec![a.id])?;
            return Ok(Activation { id, dims, strides, mask: None });
        }
    }
    let channels = axes.iter().all(|x| a.dims[*x] == 1 || a.strides[*x].is_multiple_of(shape.h * shape.w));
    if channels && count == shape.c && matches!(reduction, Reduction::Sum | Reduction::Mean) {
        let gain = if reduction == Reduction::Mean { 1.0 / count as f32 } else { 1.0 };
        let op = FloatOp::ReduceSum { axes: [true, false, false], gain, clamp: Clamp::NONE };
        let id = parser.append(node, op, vec![a.id])?;
        return Ok(Activation { id, dims, strides: a.strides, mask: None });
    }
    let rows = a.with_last(axes);
    let id = parser.arrange(node, a.id, Shape::new(a.len() / count, 1, count), Some(rows.positions()))?;
    let id = parser.append(node, reduction.over(whole(1, count)), vec![id])?;
    Ok(Activation { id, strides: row_major(&dims), dims, mask: None })
}

/// Axes from input 1 or the attribute; all if there are none.
fn axes(parser: &Parser<'_>, node: &OnnxNode, rank: usize) -> Result<Vec<usize>, String> {
    let list = match parser.optional_constant(node, 1)? {
        Some(c) => c.ints().ok_or("the axes are not integers")?.to_vec(),
        None => node.ints("axes").map(<[i64]>::to_vec).unwrap_or_default(),
    };
    if list.is_empty() {
        let none = node.int("noop_with_empty_axes", 0) != 0;
        return Ok(if none { Vec::new() } else { (0..rank).collect() });
    }
    let mut axes = list.iter().map(|v| axis(*v, rank)).collect::<Result<Vec<_>, _>>()?;
    axes.sort_unstable();
    axes.dedup();
    Ok(axes)
}

/// ReduceSum, ReduceMean, ReduceMax, ReduceMin, ReduceL1, ReduceL2, ReduceSumSquare.
pub(super) fn reduce(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let mut a = parser.view(node, 0)?;
    let axes = axes(parser, node, a.dims.len())?;
    if axes.is_empty() {
        return Ok(Value::Activation(a));
    }
    let reduction = match node.op.as_str() {
        "ReduceMean" => Reduction::Mean,
        "ReduceMax" => Reduction::Max,
        "ReduceMin" => Reduction::Min,
        _ => Reduction::Sum,
    };
    let before = match node.op.as_str() {
        "ReduceL1" => Some(Curve::Abs),
        "ReduceL2" | "ReduceSumSquare" => Some(Curve::Square),
        _ => None,
    };
    if let Some(curve) = before {
        a.id = parser.append(node, FloatOp::Curve(curve), vec![a.id])?;
        if curve == Curve::Square {
            parser.fine(a.id, Fine::Square);
        }
    }
    let mut y = along(parser, node, a, &axes, reduction)?;
    if node.op == "ReduceL2" {
        parser.fine(y.id, Fine::Square);
        y.id = parser.append(node, FloatOp::Curve(Curve::Sqrt), vec![y.id])?;
    }
    if node.int("keepdims", 1) != 0 {
        return Ok(Value::Activation(y));
    }
    let kept: Vec<usize> = (0..y.dims.len()).filter(|x| !axes.contains(x)).map(|x| y.dims[x]).collect();
    parser.resized(node, y, kept)
}

/// ArgMax and ArgMin over all elements, at the end: the index is an output of the program.
pub(super) fn arg(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let a = parser.view(node, 0)?;
    let over = axis(node.int("axis", 0), a.dims.len())?;
    if !parser.is_last(node, 0) || a.dims[over] != a.len() || node.int("select_last_index", 0) != 0 {
        return Err("is supported at the very end, over all elements, with the first index on a tie".into());
    }
    parser.notes.push(format!(
        "`{}` ({}) at the end was dropped: choose the output `argmax`, which is the index",
        node.name, node.op
    ));
    if node.op == "ArgMax" {
        return Ok(Value::Activation(a));
    }
    super::arithmetic::neg(parser, node)
}
