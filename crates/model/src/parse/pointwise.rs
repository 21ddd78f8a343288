//! Functions of one activation: clamps, and curves that become tables.

use super::{Parser, Value};
use crate::float::{Clamp, Curve, Fine, FloatOp};
use crate::onnx::OnnxNode;

/// Appends a curve.
pub(super) fn curve(parser: &mut Parser<'_>, node: &OnnxNode, curve: Curve) -> Result<Value, String> {
    let a = parser.view(node, 0)?;
    let value = parser.same(node, FloatOp::Curve(curve), a)?;
    let fine = match curve {
        Curve::Square => Some(Fine::Square),
        Curve::Reciprocal | Curve::ReciprocalRoot(_) => Some(Fine::Reciprocal),
        _ => None,
    };
    if let (Some(fine), Value::Activation(a)) = (fine, &value) {
        parser.fine(a.id, fine);
    }
    Ok(value)
}

/// Appends a clamp.
pub(super) fn clamp(parser: &mut Parser<'_>, node: &OnnxNode, clamp: Clamp) -> Result<Value, String> {
    let a = parser.view(node, 0)?;
    parser.same(node, FloatOp::Clamp(clamp), a)
}

pub(super) fn relu(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    clamp(parser, node, Clamp { lo: 0.0, hi: f32::INFINITY })
}

/// Clip in both forms: bounds as inputs (11 and later) or as attributes (6).
pub(super) fn clip(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let bound = |i: usize, name: &str, open: f32| -> Result<f32, String> {
        match parser.optional_constant(node, i)? {
            Some(c) => c.scalar().ok_or_else(|| format!("input {i} is not one number")),
            None => Ok(node.attribute(name).and_then(|a| a.float).unwrap_or(open)),
        }
    };
    let limits = Clamp { lo: bound(1, "min", f32::NEG_INFINITY)?, hi: bound(2, "max", f32::INFINITY)? };
    // A file may also spell "no bound" as the largest float.
    let open = |v: f32| if v.abs() >= f32::MAX { f32::INFINITY.copysign(v) } else { v };
    let limits = Clamp { lo: open(limits.lo), hi: open(limits.hi) };
    if limits.lo.is_nan() || limits.hi.is_nan() || limits.lo > limits.hi {
        return Err(format!("bounds {} to {} hold nothing", limits.lo, limits.hi));
    }
    clamp(parser, node, limits)
}

/// The curve of an operator without attributes.
fn plain(op: &str) -> Option<Curve> {
    Some(match op {
        "Abs" => Curve::Abs,
        "Ceil" => Curve::Ceil,
        "Cos" => Curve::Cos,
        "Erf" => Curve::Erf,
        "Exp" => Curve::Exp,
        "Floor" => Curve::Floor,
        "HardSwish" => Curve::HardSwish,
        "Log" => Curve::Log,
        "Mish" => Curve::Mish,
        "Reciprocal" => Curve::Reciprocal,
        "Round" => Curve::Round,
        "Sign" => Curve::Sign,
        "Sin" => Curve::Sin,
        "Softplus" => Curve::Softplus,
        "Softsign" => Curve::Softsign,
        "Sqrt" => Curve::Sqrt,
        "Tanh" => Curve::Tanh,
        _ => return None,
    })
}

/// An operator that is a curve, with its attributes.
pub(super) fn function(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let number = |name: &str, default: f32| node.float(name, default);
    let found = match node.op.as_str() {
        "Celu" => Curve::Celu(number("alpha", 1.0)?),
        "Elu" => Curve::Elu(number("alpha", 1.0)?),
        "Gelu" if node.text("approximate", "none") == "tanh" => Curve::GeluTanh,
        "Gelu" => Curve::Gelu,
        "HardSigmoid" => Curve::HardSigmoid(number("alpha", 0.2)?, number("beta", 0.5)?),
        "LeakyRelu" => Curve::LeakyRelu(number("alpha", 0.01)?),
        "Selu" => Curve::Selu(number("alpha", 1.673_263_2)?, number("gamma", 1.050_701)?),
        "ThresholdedRelu" => Curve::ThresholdedRelu(number("alpha", 1.0)?),
        other => plain(other).ok_or("is no known function")?,
    };
    curve(parser, node, found)
}

pub(super) fn sigmoid(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    if parser.ends_in(node) {
        parser.notes.push(format!(
            "`{}` (Sigmoid) at the end was dropped: the output is the logit, a threshold of 0.5 becomes 0",
            node.name
        ));
        return parser.view(node, 0).map(Value::Activation);
    }
    curve(parser, node, Curve::Sigmoid)
}

/// `x` above zero, `slope x` below, the slope being a constant.
pub(super) fn prelu(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let (a, slope) = (parser.view(node, 0)?, parser.constant(node, 1)?);
    let above = parser.append(node, FloatOp::Clamp(Clamp { lo: 0.0, hi: f32::INFINITY }), vec![a.id])?;
    let below = Clamp { lo: f32::NEG_INFINITY, hi: 0.0 };
    let Value::Activation(below) = parser.same(node, FloatOp::Clamp(below), a.clone())? else {
        return Err("a clamp gave a constant".into());
    };
    let sloped = super::arithmetic::scaled(parser, node, below, &slope, f32::clone)?;
    let above = super::view::Activation { id: above, ..a };
    super::arithmetic::weighted(parser, node, &above, &sloped, [1.0, 1.0], Clamp::NONE)
}
