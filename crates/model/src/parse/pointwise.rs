//! Relu and its kin, sums of two activations, sums and products with constants, the Softmax at the end.

use super::attribute::axis;
use super::{Activation, Parser, Value};
use crate::float::{Clamp, Curve, FloatOp};
use crate::onnx::{Constant, OnnxNode};

fn unary(parser: &mut Parser<'_>, node: &OnnxNode, op: FloatOp) -> Result<Value, String> {
    let a = parser.activation(node, 0)?;
    parser.push(node, op, vec![a.id], a.dims)
}

pub(super) fn relu(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    unary(parser, node, FloatOp::Clamp(Clamp { lo: 0.0, hi: f32::INFINITY }))
}

/// Clip in both forms: bounds as inputs (11 and later) or as attributes (6).
pub(super) fn clip(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let bound = |i: usize, name: &str, open: f32| -> Result<f32, String> {
        match parser.optional_constant(node, i)? {
            Some(c) => c.scalar().ok_or_else(|| format!("input {i} is not one number")),
            None => Ok(node.attribute(name).and_then(|a| a.float).unwrap_or(open)),
        }
    };
    let clamp = Clamp { lo: bound(1, "min", f32::NEG_INFINITY)?, hi: bound(2, "max", f32::INFINITY)? };
    // A file may also spell "no bound" as the largest float.
    let open = |v: f32| if v.abs() >= f32::MAX { f32::INFINITY.copysign(v) } else { v };
    let clamp = Clamp { lo: open(clamp.lo), hi: open(clamp.hi) };
    if clamp.lo.is_nan() || clamp.hi.is_nan() || clamp.lo > clamp.hi {
        return Err(format!("bounds {} to {} hold nothing", clamp.lo, clamp.hi));
    }
    unary(parser, node, FloatOp::Clamp(clamp))
}

pub(super) fn leaky_relu(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let alpha = node.float("alpha", 0.01)?;
    unary(parser, node, FloatOp::Curve(Curve::LeakyRelu(alpha)))
}

pub(super) fn tanh(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    unary(parser, node, FloatOp::Curve(Curve::Tanh))
}

pub(super) fn sigmoid(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    if node.outputs.first() == Some(&parser.output_name) {
        parser.notes.push(format!(
            "`{}` (Sigmoid) at the end was dropped: the output is the logit, a threshold of 0.5 becomes 0",
            node.name
        ));
        return parser.activation(node, 0).map(Value::Activation);
    }
    unary(parser, node, FloatOp::Curve(Curve::Sigmoid))
}

/// Softmax and LogSoftmax do not change which class is largest, so at the end they go.
pub(super) fn final_softmax(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let a = parser.activation(node, 0)?;
    if node.outputs.first() != Some(&parser.output_name) {
        return Err("is supported only at the very end, where it is dropped: cut the model before it".into());
    }
    let over = axis(node.int("axis", -1), a.dims.len())?;
    if a.dims[over] != parser.shape(&a).len() {
        return Err(format!("works along axis {over} of {:?}, not over all classes", a.dims));
    }
    parser.notes.push(format!(
        "`{}` ({}) at the end was dropped: outputs are logits, the largest class is unchanged",
        node.name, node.op
    ));
    Ok(Value::Activation(a))
}

/// The constant at every element of an activation, checked to be one number a channel of `[C, H, W]`.
fn per_channel(parser: &Parser<'_>, a: &Activation, c: &Constant) -> Result<Vec<f32>, String> {
    let values = c.floats();
    let shape = parser.shape(a);
    if values.len() == 1 && c.dims.len() <= a.dims.len() {
        return Ok(vec![values[0]; shape.c]);
    }
    let lead = a
        .dims
        .len()
        .checked_sub(c.dims.len())
        .ok_or("the constant has more axes than the activation: reshape it")?;
    let fits = c.dims.iter().zip(&a.dims[lead..]).all(|(k, d)| k == d || *k == 1);
    if !fits || values.is_empty() {
        return Err(format!("a constant {:?} does not broadcast into {:?}: reshape it", c.dims, a.dims));
    }
    let plane = shape.h * shape.w;
    let mut out = vec![None; shape.c];
    let mut at = vec![0usize; a.dims.len()];
    for i in 0..shape.len() {
        let position = c
            .dims
            .iter()
            .zip(&at[lead..])
            .fold(0, |position, (size, x)| position * size + if *size == 1 { 0 } else { *x });
        let slot = &mut out[i / plane];
        if slot.is_some_and(|v: f32| v != values[position]) {
            return Err("the constant varies inside a channel: only one number a channel is supported".into());
        }
        *slot = Some(values[position]);
        for x in (0..at.len()).rev() {
            at[x] += 1;
            if at[x] < a.dims[x] {
                break;
            }
            at[x] = 0;
        }
    }
    Ok(out.into_iter().map(|v| v.unwrap_or(0.0)).collect())
}

fn affine(
    parser: &mut Parser<'_>,
    node: &OnnxNode,
    a: Activation,
    scale: Vec<f32>,
    shift: Vec<f32>,
) -> Result<Value, String> {
    if scale.iter().chain(&shift).any(|v| !v.is_finite()) {
        return Err("a factor is infinite or not a number".into());
    }
    parser.push(node, FloatOp::Affine { scale, shift }, vec![a.id], a.dims)
}

/// `x0 + sign * x1`, either of which may be a constant.
fn sum(parser: &mut Parser<'_>, node: &OnnxNode, sign: f32) -> Result<Value, String> {
    match (parser.value(node, 0)?, parser.value(node, 1)?) {
        (Value::Activation(a), Value::Activation(b)) => {
            if a.dims != b.dims {
                return Err(format!(
                    "sums {:?} and {:?}: broadcasting between activations is not supported",
                    a.dims, b.dims
                ));
            }
            let op = FloatOp::Sum { factors: [1.0, sign], clamp: Clamp::NONE };
            parser.push(node, op, vec![a.id, b.id], a.dims)
        }
        (Value::Activation(a), Value::Constant(c)) => {
            let shift: Vec<f32> = per_channel(parser, &a, &c)?.iter().map(|v| sign * v).collect();
            let scale = vec![1.0; shift.len()];
            affine(parser, node, a, scale, shift)
        }
        (Value::Constant(c), Value::Activation(a)) => {
            let shift = per_channel(parser, &a, &c)?;
            let scale = vec![sign; shift.len()];
            affine(parser, node, a, scale, shift)
        }
        _ => Err("works on two constants: fold constants before the export".into()),
    }
}

pub(super) fn add(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    sum(parser, node, 1.0)
}

pub(super) fn sub(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    sum(parser, node, -1.0)
}

fn product(
    parser: &mut Parser<'_>,
    node: &OnnxNode,
    a: Activation,
    c: &Constant,
    inverse: bool,
) -> Result<Value, String> {
    let factor = |v: &f32| if inverse { 1.0 / v } else { *v };
    let scale: Vec<f32> = per_channel(parser, &a, c)?.iter().map(factor).collect();
    let shift = vec![0.0; scale.len()];
    affine(parser, node, a, scale, shift)
}

pub(super) fn mul(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    match (parser.value(node, 0)?, parser.value(node, 1)?) {
        (Value::Activation(a), Value::Constant(c)) | (Value::Constant(c), Value::Activation(a)) => {
            product(parser, node, a, &c, false)
        }
        _ => Err("multiplies two activations: only a product with a constant is supported".into()),
    }
}

pub(super) fn div(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    match (parser.value(node, 0)?, parser.value(node, 1)?) {
        (Value::Activation(a), Value::Constant(c)) => product(parser, node, a, &c, true),
        _ => Err("divides by an activation: only a division by a constant is supported".into()),
    }
}
