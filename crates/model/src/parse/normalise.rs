//! Softmax, LogSoftmax, LayerNormalization as a few operators each.
//!
//! `softmax(x) = e / sum(e)`, `e = exp(x - max(x))`; an element that a mask hides counts for nothing. `layernorm(x) = c / sqrt(mean(c^2) +
//! epsilon)`, `c = x - mean(x)`, a convolution.

use proofmesh_graph::op::Window;
use proofmesh_graph::tensor::Shape;

use super::attribute::axis;
use super::view::{Activation, row_major};
use super::{Parser, Value, arithmetic, linear};
use crate::float::{Clamp, Curve, Fine, FloatOp, ValueId, ZERO};
use crate::onnx::{Constant, Numbers, OnnxNode};

/// The view on a value whose rows (its last axis `W`, whole) are the given axis.
fn in_rows(
    parser: &mut Parser<'_>,
    node: &OnnxNode,
    a: Activation,
    over: usize,
) -> Result<Activation, String> {
    let (shape, n) = (parser.shape(&a), a.dims[over]);
    if shape.w == n && (a.strides[over] == 1 || n == 1) {
        return Ok(a);
    }
    let rows = a.with_last(&[over]);
    let id = parser.arrange(node, a.id, Shape::new(a.len() / n, 1, n), Some(rows.positions()))?;
    let order: Vec<usize> = (0..a.dims.len()).filter(|i| *i != over).chain([over]).collect();
    let moved = row_major(&rows.dims);
    let mut strides = vec![0; order.len()];
    order.iter().zip(moved).for_each(|(axis, stride)| strides[*axis] = stride);
    Ok(Activation { id, strides, ..a })
}

/// For each element of the value whether the view shows it.
fn visible(a: &Activation) -> Option<Vec<bool>> {
    let mask = a.mask.as_ref()?;
    let mut out = vec![true; a.len()];
    a.positions().iter().zip(mask.iter()).for_each(|(at, shown)| out[*at as usize] = *shown);
    Some(out)
}

/// `[c, h, 1]` to `[c, h, w]`.
fn repeated(parser: &mut Parser<'_>, node: &OnnxNode, id: ValueId, to: Shape) -> Result<ValueId, String> {
    let index = (0..to.len()).map(|i| (i / to.w) as u32).collect();
    parser.arrange(node, id, to, Some(index))
}

/// Softmax and LogSoftmax. At the very end, over all elements, they do not change which one is largest and go.
pub(super) fn softmax(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let Value::Activation(a) = parser.value(node, 0)? else {
        return Err("input 0 is a constant: fold constants before the export".into());
    };
    let over = axis(node.int("axis", -1), a.dims.len())?;
    let log = node.op == "LogSoftmax";
    if parser.ends_in(node) && a.dims[over] == a.len() && a.mask.is_none() {
        parser.notes.push(format!(
            "`{}` ({}) at the end was dropped: outputs are logits, the largest class is unchanged",
            node.name, node.op
        ));
        return Ok(Value::Activation(a));
    }
    let a = in_rows(parser, node, a, over)?;
    let (shape, shown) = (parser.shape(&a), visible(&a));
    let row = Window { kernel: [1, shape.w], stride: [1, 1], pad: [0; 4] };
    let mut scores = a.id;
    if let Some(shown) = &shown {
        if log {
            return Err("masked elements have no logarithm: use Softmax".into());
        }
        // A hidden element takes the place of a visible one of its row: the maximum does not change.
        let mut index = Vec::with_capacity(shape.len());
        for (r, row) in shown.chunks(shape.w).enumerate() {
            let first = row.iter().position(|s| *s).ok_or("a mask hides a whole row")?;
            index.extend(
                row.iter().enumerate().map(|(j, s)| (r * shape.w + if *s { j } else { first }) as u32),
            );
        }
        scores = parser.arrange(node, scores, shape, Some(index))?;
    }
    let largest = parser.append(node, FloatOp::MaxPool(row), vec![scores])?;
    let largest = repeated(parser, node, largest, shape)?;
    let away = FloatOp::Sum { factors: [1.0, -1.0], clamp: Clamp::NONE };
    let away = parser.append(node, away, vec![scores, largest])?;
    parser.fine(away, Fine::Exponent);
    let mut terms = parser.append(node, FloatOp::Curve(Curve::Exp), vec![away])?;
    parser.fine(terms, Fine::Weight);
    if let Some(shown) = &shown {
        let index = shown.iter().enumerate().map(|(i, s)| if *s { i as u32 } else { ZERO }).collect();
        terms = parser.append(node, FloatOp::Gather { shape, index }, vec![terms])?;
    }
    // The largest term is exp(0).
    let clamp = Clamp { lo: 1.0, hi: f32::INFINITY };
    let sum = FloatOp::ReduceSum { axes: [false, false, true], gain: 1.0, clamp };
    let sum = parser.append(node, sum, vec![terms])?;
    parser.fine(sum, Fine::Weight);
    let id = if log {
        let log = parser.append(node, FloatOp::Curve(Curve::Log), vec![sum])?;
        let log = repeated(parser, node, log, shape)?;
        parser.append(node, FloatOp::Sum { factors: [1.0, -1.0], clamp: Clamp::NONE }, vec![away, log])?
    } else {
        let shares = parser.append(node, FloatOp::Divide, vec![terms, sum])?;
        parser.fine(shares, Fine::Weight);
        shares
    };
    Ok(Value::Activation(Activation { id, mask: None, ..a }))
}

/// Over the last axes, from attribute `axis` on. Source: ONNX LayerNormalization 17 (Ba, Kiros, Hinton 2016).
pub(super) fn layer(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let a = parser.view(node, 0)?;
    let first = axis(node.int("axis", -1), a.dims.len())?;
    let epsilon = node.float("epsilon", 1e-5)?;
    let whole = a.dims.clone();
    let width: usize = whole[first..].iter().product();
    let joined = [&whole[..first], &[width]].concat();
    let Value::Activation(a) = parser.resized(node, a, joined)? else {
        return Err("a reshape gave a constant".into());
    };
    let (id, strides) = parser.channels_last(node, &a)?;
    let a = Activation { id, strides, ..a };
    let share = 1.0 / width as f32;
    let mut weights = vec![-share; width * width];
    (0..width).for_each(|i| weights[i * width + i] += 1.0);
    let centred = linear::at_every_place(parser, node, a, weights, vec![0.0; width], Clamp::NONE)?;
    let squares = parser.append(node, FloatOp::Curve(Curve::Square), vec![centred.id])?;
    parser.fine(squares, Fine::Square);
    let clamp = Clamp { lo: 0.0, hi: f32::INFINITY };
    let variance = FloatOp::ReduceSum { axes: [true, false, false], gain: share, clamp };
    let variance = parser.append(node, variance, vec![squares])?;
    parser.fine(variance, Fine::Square);
    let root = parser.append(node, FloatOp::Curve(Curve::ReciprocalRoot(epsilon)), vec![variance])?;
    parser.fine(root, Fine::Reciprocal);
    let id = parser.append(node, FloatOp::Multiply { gain: 1.0 }, vec![centred.id, root])?;
    let mut y = Activation { id, ..centred };
    for (i, role) in [(1, "scale"), (2, "bias")] {
        let Some(c) = parser.optional_constant(node, i)? else { continue };
        if c.len() != width {
            return Err(format!("{role} {:?} for {width} elements", c.dims));
        }
        let flat = Constant { dims: vec![width], numbers: Numbers::Float(c.floats()) };
        y = if i == 1 {
            arithmetic::scaled(parser, node, y, &flat, f32::clone)?
        } else {
            arithmetic::shifted(parser, node, y, &flat, [1.0, 1.0])?
        };
    }
    parser.resized(node, y, whole)
}
