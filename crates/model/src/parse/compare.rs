//! Comparisons and logic: results are bits, 0 or 1.
//!
//! A comparison with a constant is exact on the operand's integers; one of two activations is made on their rounded difference.

use super::view::Activation;
use super::{Parser, Value, arithmetic};
use crate::float::{Clamp, Curve, FloatOp};
use crate::onnx::{Constant, Numbers, OnnxNode};

/// `1 - x`.
fn negated(parser: &mut Parser<'_>, node: &OnnxNode, a: Activation) -> Result<Value, String> {
    let one = Constant { dims: Vec::new(), numbers: Numbers::Float(vec![1.0]) };
    arithmetic::shifted(parser, node, a, &one, [-1.0, 1.0]).map(Value::Activation)
}

/// Whether elements lie above (or at) constants.
fn above(
    parser: &mut Parser<'_>,
    node: &OnnxNode,
    a: Activation,
    at: &Constant,
    inclusive: bool,
) -> Result<Activation, String> {
    let a = arithmetic::widened(parser, node, a, at)?;
    let values = arithmetic::by_position(&a, at);
    let (id, [at]) = arithmetic::by_channel(parser, node, &a, [values])?;
    let inclusive = vec![inclusive; at.len()];
    let id = parser.append(node, FloatOp::Threshold { at, inclusive }, vec![id])?;
    Ok(Activation { id, ..a })
}

/// Greater, GreaterOrEqual, Less, LessOrEqual.
pub(super) fn order(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let greater = node.op.starts_with("Greater");
    let inclusive = node.op.ends_with("OrEqual");
    match (parser.value(node, 0)?, parser.value(node, 1)?) {
        (Value::Activation(a), Value::Activation(b)) => {
            let sign = if greater { 1.0 } else { -1.0 };
            let Value::Activation(away) =
                arithmetic::weighted(parser, node, &a, &b, [sign, -sign], Clamp::NONE)?
            else {
                return Err("a difference gave a constant".into());
            };
            let zero = Constant { dims: Vec::new(), numbers: Numbers::Float(vec![0.0]) };
            above(parser, node, away, &zero, inclusive).map(Value::Activation)
        }
        (Value::Activation(a), Value::Constant(c)) if greater => {
            above(parser, node, a, &c, inclusive).map(Value::Activation)
        }
        // x < c is not x >= c.
        (Value::Activation(a), Value::Constant(c)) => {
            let bit = above(parser, node, a, &c, !inclusive)?;
            negated(parser, node, bit)
        }
        (Value::Constant(c), Value::Activation(a)) if greater => {
            let bit = above(parser, node, a, &c, !inclusive)?;
            negated(parser, node, bit)
        }
        (Value::Constant(c), Value::Activation(a)) => {
            above(parser, node, a, &c, inclusive).map(Value::Activation)
        }
        _ => Err("compares two constants: fold constants before the export".into()),
    }
}

/// Equal, to half a step of the difference.
pub(super) fn equal(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let Value::Activation(away) = (match (parser.value(node, 0)?, parser.value(node, 1)?) {
        (Value::Activation(a), Value::Activation(b)) => {
            arithmetic::weighted(parser, node, &a, &b, [1.0, -1.0], Clamp::NONE)?
        }
        (Value::Activation(a), Value::Constant(c)) | (Value::Constant(c), Value::Activation(a)) => {
            arithmetic::shifted(parser, node, a, &c, [1.0, -1.0]).map(Value::Activation)?
        }
        _ => return Err("compares two constants: fold constants before the export".into()),
    }) else {
        return Err("a difference gave a constant".into());
    };
    parser.same(node, FloatOp::Curve(Curve::IsZero), away)
}

pub(super) fn not(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let a = parser.view(node, 0)?;
    negated(parser, node, a)
}

/// And, Or, Xor of two activations.
pub(super) fn logic(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let (a, b) = (parser.view(node, 0)?, parser.view(node, 1)?);
    match node.op.as_str() {
        "And" => arithmetic::product(parser, node, &a, &b).map(Value::Activation),
        "Or" => arithmetic::weighted(parser, node, &a, &b, [1.0, 1.0], Clamp { lo: 0.0, hi: 1.0 }),
        _ => {
            let Value::Activation(away) =
                arithmetic::weighted(parser, node, &a, &b, [1.0, -1.0], Clamp::NONE)?
            else {
                return Err("a difference gave a constant".into());
            };
            parser.same(node, FloatOp::Curve(Curve::Abs), away)
        }
    }
}
