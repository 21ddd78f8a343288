//! Sums, products, quotients, powers, extremes, choices, of activations and constants, with ONNX's broadcasting.

use std::rc::Rc;

use proofmesh_graph::tensor::Shape;

use super::view::{Activation, broadcast, positions, row_major, spread_out};
use super::{Parser, Value, pointwise, select};
use crate::float::{Clamp, Curve, Fine, FloatOp};
use crate::onnx::{Constant, Numbers, OnnxNode};

/// At or below this a constant that is added to scores, or chosen in their place, stands for minus infinity.
const MASKED: f32 = -1e4;

/// `factors[0] a + factors[1] b`, clamped.
pub(super) fn weighted(
    parser: &mut Parser<'_>,
    node: &OnnxNode,
    a: &Activation,
    b: &Activation,
    factors: [f32; 2],
    clamp: Clamp,
) -> Result<Value, String> {
    let (ids, dims, strides) = parser.together(node, a, b, false)?;
    let id = parser.append(node, FloatOp::Sum { factors, clamp }, ids.to_vec())?;
    Ok(Value::Activation(Activation { id, dims, strides, mask: None }))
}

/// The product of two activations.
pub(super) fn product(
    parser: &mut Parser<'_>,
    node: &OnnxNode,
    a: &Activation,
    b: &Activation,
) -> Result<Activation, String> {
    let (ids, dims, strides) = parser.together(node, a, b, true)?;
    let id = parser.append(node, FloatOp::Multiply { gain: 1.0 }, ids.to_vec())?;
    Ok(Activation { id, dims, strides, mask: None })
}

/// The activation, repeated so that the constant's sizes broadcast into its own.
pub(super) fn widened(
    parser: &mut Parser<'_>,
    node: &OnnxNode,
    a: Activation,
    c: &Constant,
) -> Result<Activation, String> {
    let dims = broadcast(&a.dims, &c.dims)?;
    if dims.iter().product::<usize>() == a.len() {
        return Ok(Activation { strides: spread_out(&a.dims, &a.strides, &dims), dims, ..a });
    }
    let from = spread_out(&a.dims, &row_major(&a.dims), &dims);
    match select::picked(parser, node, Value::Activation(a), positions(&dims, &from), dims)? {
        Value::Activation(a) => Ok(a),
        Value::Constant(_) => Err("a repetition gave a constant".into()),
    }
}

/// The constant's number at each element of the value that `a` is a view of.
///
/// Preconditions: `a` was [`widened`].
pub(super) fn by_position(a: &Activation, c: &Constant) -> Vec<f32> {
    let values = c.floats();
    let mut out = vec![0.0; a.len()];
    let from = positions(&a.dims, &spread_out(&c.dims, &row_major(&c.dims), &a.dims));
    a.positions().iter().zip(from).for_each(|(to, from)| out[*to as usize] = values[from as usize]);
    out
}

/// Lists of one number an element as one number a channel, the value being reshaped where they vary inside a channel. Gives the id.
pub(super) fn by_channel<const N: usize>(
    parser: &mut Parser<'_>,
    node: &OnnxNode,
    a: &Activation,
    lists: [Vec<f32>; N],
) -> Result<(usize, [Vec<f32>; N]), String> {
    let own = parser.shape(a);
    let shapes = [own, Shape::new(own.c * own.h, 1, own.w), Shape::new(own.len(), 1, 1)];
    for shape in shapes {
        let plane = shape.h * shape.w;
        if lists.iter().all(|list| list.chunks(plane).all(|p| p.iter().all(|v| *v == p[0]))) {
            let id = parser.arrange(node, a.id, shape, None)?;
            return Ok((id, lists.map(|list| list.chunks(plane).map(|p| p[0]).collect())));
        }
    }
    Err("a constant varies inside single elements".into())
}

/// `scale x + shift`, one of either an element of the value.
fn affine(
    parser: &mut Parser<'_>,
    node: &OnnxNode,
    a: Activation,
    scale: Vec<f32>,
    shift: Vec<f32>,
) -> Result<Activation, String> {
    if scale.iter().chain(&shift).any(|v| !v.is_finite()) {
        return Err("a factor is infinite or not a number".into());
    }
    let own = parser.shape(&a);
    let (id, [scale, shift]) = by_channel(parser, node, &a, [scale, shift])?;
    let id = parser.append(node, FloatOp::Affine { scale, shift }, vec![id])?;
    // Back in its shape: what follows may want its channels.
    let id = parser.arrange(node, id, own, None)?;
    Ok(Activation { id, ..a })
}

/// `f(c) x`.
pub(super) fn scaled(
    parser: &mut Parser<'_>,
    node: &OnnxNode,
    a: Activation,
    c: &Constant,
    f: impl Fn(&f32) -> f32,
) -> Result<Activation, String> {
    let a = widened(parser, node, a, c)?;
    let scale: Vec<f32> = by_position(&a, c).iter().map(f).collect();
    let shift = vec![0.0; scale.len()];
    affine(parser, node, a, scale, shift)
}

/// `factor x + sign c`.
pub(super) fn shifted(
    parser: &mut Parser<'_>,
    node: &OnnxNode,
    a: Activation,
    c: &Constant,
    [factor, sign]: [f32; 2],
) -> Result<Activation, String> {
    let a = widened(parser, node, a, c)?;
    let shift: Vec<f32> = by_position(&a, c).iter().map(|v| sign * v).collect();
    let scale = vec![factor; shift.len()];
    affine(parser, node, a, scale, shift)
}

/// The activation with the elements hidden where the constant stands for minus infinity.
fn masked(
    parser: &mut Parser<'_>,
    node: &OnnxNode,
    a: Activation,
    dims: &[usize],
    hidden: Vec<bool>,
) -> Result<Value, String> {
    let mask = Constant {
        dims: dims.to_vec(),
        numbers: Numbers::Int(hidden.iter().map(|h| i64::from(*h)).collect()),
    };
    let a = widened(parser, node, a, &mask)?;
    let from = positions(&a.dims, &spread_out(dims, &row_major(dims), &a.dims));
    let visible = from.into_iter().map(|i| !hidden[i as usize]).collect();
    Ok(Value::Activation(Activation { mask: Some(Rc::new(visible)), ..a }))
}

/// An element-wise function of two constants.
fn folded(a: &Constant, b: &Constant, f: fn(f64, f64) -> f64) -> Result<Value, String> {
    let dims = broadcast(&a.dims, &b.dims)?;
    if dims.iter().product::<usize>() > crate::limits::MAX_PARAMETERS {
        return Err("a constant is too large".into());
    }
    let at = |c: &Constant| positions(&dims, &spread_out(&c.dims, &row_major(&c.dims), &dims));
    let pairs = at(a).into_iter().zip(at(b));
    let numbers = match (&a.numbers, &b.numbers) {
        (Numbers::Int(x), Numbers::Int(y)) => {
            let one = |(i, j): (u32, u32)| f(x[i as usize] as f64, y[j as usize] as f64) as i64;
            Numbers::Int(pairs.map(one).collect())
        }
        _ => {
            let (x, y) = (a.floats(), b.floats());
            let one = |(i, j): (u32, u32)| f(f64::from(x[i as usize]), f64::from(y[j as usize])) as f32;
            Numbers::Float(pairs.map(one).collect())
        }
    };
    Ok(Value::Constant(Rc::new(Constant { dims, numbers })))
}

/// `a + sign b`, of values.
fn sum_of(parser: &mut Parser<'_>, node: &OnnxNode, a: Value, b: Value, sign: f32) -> Result<Value, String> {
    match (a, b) {
        (Value::Activation(a), Value::Activation(b)) => {
            weighted(parser, node, &a, &b, [1.0, sign], Clamp::NONE)
        }
        (Value::Activation(a), Value::Constant(c)) | (Value::Constant(c), Value::Activation(a))
            if sign > 0.0 && is_mask(&c) =>
        {
            let hidden = c.floats().iter().map(|v| *v <= MASKED).collect();
            masked(parser, node, a, &c.dims, hidden)
        }
        (Value::Activation(a), Value::Constant(c)) => {
            shifted(parser, node, a, &c, [1.0, sign]).map(Value::Activation)
        }
        (Value::Constant(c), Value::Activation(a)) => {
            shifted(parser, node, a, &c, [sign, 1.0]).map(Value::Activation)
        }
        (Value::Constant(a), Value::Constant(b)) if sign > 0.0 => folded(&a, &b, |x, y| x + y),
        (Value::Constant(a), Value::Constant(b)) => folded(&a, &b, |x, y| x - y),
    }
}

/// Zeros and numbers that stand for minus infinity, at least one of these.
fn is_mask(c: &Constant) -> bool {
    let values = c.floats();
    values.iter().any(|v| *v <= MASKED) && values.iter().all(|v| *v == 0.0 || *v <= MASKED)
}

fn unmasked(value: Value) -> Result<Value, String> {
    match value {
        Value::Activation(a) if a.mask.is_some() => {
            Err("reads masked scores (minus infinity): only a Softmax may read them".into())
        }
        other => Ok(other),
    }
}

/// Add, Sub, and Sum of any number of operands.
pub(super) fn sum(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let sign = if node.op == "Sub" { -1.0 } else { 1.0 };
    let mut total = unmasked(parser.value(node, 0)?)?;
    for i in 1..node.inputs.len() {
        let next = unmasked(parser.value(node, i)?)?;
        total = sum_of(parser, node, total, next, sign)?;
    }
    Ok(total)
}

/// Mean of any number of operands.
pub(super) fn mean(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let Value::Activation(total) = sum(parser, node)? else { return Err("works on constants alone".into()) };
    let share = Constant { dims: Vec::new(), numbers: Numbers::Float(vec![1.0 / node.inputs.len() as f32]) };
    scaled(parser, node, total, &share, f32::clone).map(Value::Activation)
}

pub(super) fn mul(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    match (unmasked(parser.value(node, 0)?)?, unmasked(parser.value(node, 1)?)?) {
        (Value::Activation(a), Value::Constant(c)) | (Value::Constant(c), Value::Activation(a)) => {
            scaled(parser, node, a, &c, f32::clone).map(Value::Activation)
        }
        (Value::Activation(a), Value::Activation(b)) if a.id == b.id && a.strides == b.strides => {
            pointwise::curve(parser, node, Curve::Square)
        }
        (Value::Activation(a), Value::Activation(b)) => product(parser, node, &a, &b).map(Value::Activation),
        (Value::Constant(a), Value::Constant(b)) => folded(&a, &b, |x, y| x * y),
    }
}

pub(super) fn div(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    match (unmasked(parser.value(node, 0)?)?, unmasked(parser.value(node, 1)?)?) {
        (Value::Activation(a), Value::Constant(c)) => {
            scaled(parser, node, a, &c, |v| 1.0 / v).map(Value::Activation)
        }
        (Value::Activation(a), Value::Activation(b)) => {
            let id = parser.append(node, FloatOp::Curve(Curve::Reciprocal), vec![b.id])?;
            parser.fine(id, Fine::Reciprocal);
            product(parser, node, &a, &Activation { id, ..b }).map(Value::Activation)
        }
        (Value::Constant(c), Value::Activation(a)) => {
            let id = parser.append(node, FloatOp::Curve(Curve::Reciprocal), vec![a.id])?;
            parser.fine(id, Fine::Reciprocal);
            scaled(parser, node, Activation { id, ..a }, &c, f32::clone).map(Value::Activation)
        }
        (Value::Constant(a), Value::Constant(b)) => {
            if b.ints().is_some_and(|list| list.contains(&0)) {
                return Err("divides by zero".into());
            }
            folded(&a, &b, |x, y| x / y)
        }
    }
}

pub(super) fn neg(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let a = parser.view(node, 0)?;
    let channels = parser.shape(&a).c;
    parser.same(node, FloatOp::Affine { scale: vec![-1.0; channels], shift: vec![0.0; channels] }, a)
}

/// A power with a constant exponent.
pub(super) fn pow(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let exponent = parser.constant(node, 1)?.scalar().ok_or("the exponent is not one number")?;
    let curve = match exponent {
        2.0 => Curve::Square,
        0.5 => Curve::Sqrt,
        -0.5 => Curve::ReciprocalRoot(0.0),
        -1.0 => Curve::Reciprocal,
        1.0 => return parser.view(node, 0).map(Value::Activation),
        p => Curve::Pow(p),
    };
    pointwise::curve(parser, node, curve)
}

/// Max and Min of any number of operands.
pub(super) fn extreme(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let largest = node.op == "Max";
    let mut best = unmasked(parser.value(node, 0)?)?;
    for i in 1..node.inputs.len() {
        let next = unmasked(parser.value(node, i)?)?;
        best = match (best, next) {
            (Value::Activation(a), Value::Activation(b)) => {
                // max(a, b) = b + max(a - b, 0), min(a, b) = b - max(b - a, 0).
                let (sign, rest) = if largest { (1.0, 1.0) } else { (-1.0, -1.0) };
                let over = Clamp { lo: 0.0, hi: f32::INFINITY };
                let Value::Activation(over) = weighted(parser, node, &a, &b, [sign, -sign], over)? else {
                    return Err("a difference gave a constant".into());
                };
                weighted(parser, node, &b, &over, [1.0, rest], Clamp::NONE)?
            }
            (Value::Activation(a), Value::Constant(c)) | (Value::Constant(c), Value::Activation(a)) => {
                bounded(parser, node, a, &c, largest)?
            }
            (Value::Constant(a), Value::Constant(b)) if largest => folded(&a, &b, f64::max)?,
            (Value::Constant(a), Value::Constant(b)) => folded(&a, &b, f64::min)?,
        };
    }
    Ok(best)
}

/// The larger (or smaller) of an activation and a constant.
fn bounded(
    parser: &mut Parser<'_>,
    node: &OnnxNode,
    a: Activation,
    c: &Constant,
    largest: bool,
) -> Result<Value, String> {
    let side = |bound: f32| {
        if largest { Clamp { lo: bound, ..Clamp::NONE } } else { Clamp { hi: bound, ..Clamp::NONE } }
    };
    if let (Some(bound), true) = (c.scalar(), c.dims.len() <= a.dims.len()) {
        return parser.same(node, FloatOp::Clamp(side(bound)), a);
    }
    let away = shifted(parser, node, a, c, [1.0, -1.0])?;
    let Value::Activation(kept) = parser.same(node, FloatOp::Clamp(side(0.0)), away)? else {
        return Err("a clamp gave a constant".into());
    };
    shifted(parser, node, kept, c, [1.0, 1.0]).map(Value::Activation)
}

/// `Where(condition, x, y)`.
pub(super) fn choose(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let [condition, x, y] = [0, 1, 2].map(|i| parser.value(node, i).and_then(unmasked));
    match (condition?, x?, y?) {
        (Value::Constant(pick), Value::Activation(a), Value::Constant(c)) => {
            kept(parser, node, a, &pick, &c, true)
        }
        (Value::Constant(pick), Value::Constant(c), Value::Activation(a)) => {
            kept(parser, node, a, &pick, &c, false)
        }
        (Value::Constant(pick), Value::Activation(a), Value::Activation(b)) => {
            let dims = broadcast(&broadcast(&a.dims, &b.dims)?, &pick.dims)?;
            let at = |d: &[usize], s: &[usize]| positions(&dims, &spread_out(d, s, &dims));
            let flags = pick.floats();
            let wanted: Vec<bool> = at(&pick.dims, &row_major(&pick.dims))
                .into_iter()
                .map(|i| flags[i as usize] != 0.0)
                .collect();
            let (of_a, of_b) = (at(&a.dims, &a.strides), at(&b.dims, &b.strides));
            let second = parser.shape(&a).len() as u32;
            let one = |(i, first): (usize, bool)| if first { of_a[i] } else { second + of_b[i] };
            let index = wanted.into_iter().enumerate().map(one).collect();
            select::joined(parser, node, vec![a.id, b.id], index, dims)
        }
        (Value::Activation(bit), Value::Activation(a), Value::Activation(b)) => {
            // b + bit (a - b).
            let Value::Activation(away) = weighted(parser, node, &a, &b, [1.0, -1.0], Clamp::NONE)? else {
                return Err("a difference gave a constant".into());
            };
            let moved = product(parser, node, &bit, &away)?;
            weighted(parser, node, &b, &moved, [1.0, 1.0], Clamp::NONE)
        }
        (Value::Activation(bit), Value::Activation(a), Value::Constant(c)) => {
            let away = shifted(parser, node, a, &c, [1.0, -1.0])?;
            let moved = product(parser, node, &bit, &away)?;
            shifted(parser, node, moved, &c, [1.0, 1.0]).map(Value::Activation)
        }
        (Value::Activation(bit), Value::Constant(c), Value::Activation(b)) => {
            let away = shifted(parser, node, b.clone(), &c, [-1.0, 1.0])?;
            let moved = product(parser, node, &bit, &away)?;
            weighted(parser, node, &b, &moved, [1.0, 1.0], Clamp::NONE)
        }
        (Value::Activation(bit), Value::Constant(a), Value::Constant(b)) => {
            let Value::Constant(away) = folded(&a, &b, |x, y| x - y)? else {
                return Err("a difference of constants gave an activation".into());
            };
            let moved = scaled(parser, node, bit, &away, f32::clone)?;
            shifted(parser, node, moved, &b, [1.0, 1.0]).map(Value::Activation)
        }
        (Value::Constant(_), Value::Constant(_), Value::Constant(_)) => {
            Err("chooses between constants: fold constants before the export".into())
        }
    }
}

/// An activation where the constant flags equal `when`, else another constant; minus infinity there makes a mask.
fn kept(
    parser: &mut Parser<'_>,
    node: &OnnxNode,
    a: Activation,
    pick: &Constant,
    c: &Constant,
    when: bool,
) -> Result<Value, String> {
    if c.len() > 0 && c.floats().iter().all(|v| *v <= MASKED) {
        let hidden = pick.floats().iter().map(|v| (*v != 0.0) != when).collect();
        return masked(parser, node, a, &pick.dims, hidden);
    }
    let a = widened(parser, node, a, pick)?;
    let a = widened(parser, node, a, c)?;
    let scale: Vec<f32> =
        by_position(&a, pick).iter().map(|v| f32::from(u8::from((*v != 0.0) == when))).collect();
    let shift = by_position(&a, c).iter().zip(&scale).map(|(v, s)| v * (1.0 - s)).collect();
    affine(parser, node, a, scale, shift).map(Value::Activation)
}
