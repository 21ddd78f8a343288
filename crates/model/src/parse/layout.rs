//! Flatten, Reshape, Squeeze, Unsqueeze, Transpose, Constant, Identity, Dropout: nothing is computed, the view changes.

use std::rc::Rc;

use super::attribute::axis;
use super::view::{Activation, positions, row_major};
use super::{Parser, Value};
use crate::onnx::{Constant, Numbers, OnnxNode};

/// Operand 0 in whatever order its elements lie, masked or not.
fn any_view(parser: &Parser<'_>, node: &OnnxNode) -> Result<Activation, String> {
    match parser.value(node, 0)? {
        Value::Activation(a) => Ok(a),
        Value::Constant(_) => Err("input 0 is a constant: fold constants before the export".into()),
    }
}

pub(super) fn flatten(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let a = any_view(parser, node)?;
    let rank = a.dims.len();
    let at = match node.int("axis", 1) {
        whole if whole == rank as i64 => rank,
        value => axis(value, rank)?,
    };
    let (front, back): (usize, usize) = (a.dims[..at].iter().product(), a.dims[at..].iter().product());
    parser.resized(node, a, vec![front, back])
}

pub(super) fn reshape(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let target = parser.constant(node, 1)?;
    let target = target.ints().ok_or("the new sizes are not integers")?.to_vec();
    let allow_zero = node.int("allowzero", 0) != 0;
    if let Value::Constant(c) = parser.value(node, 0)? {
        let dims = resolve(&target, &c.dims, None, allow_zero)?;
        return Ok(Value::Constant(Rc::new(Constant { dims, numbers: c.numbers.clone() })));
    }
    let a = any_view(parser, node)?;
    let dims = resolve(&target, &a.dims, parser.batch, allow_zero)?;
    parser.resized(node, a, dims)
}

/// Sizes that a Reshape asks for: 0 copies, -1 takes the rest, the file's own batch means 1.
fn resolve(
    target: &[i64],
    from: &[usize],
    batch: Option<usize>,
    allow_zero: bool,
) -> Result<Vec<usize>, String> {
    if target.len() > crate::limits::MAX_RANK || target.iter().filter(|t| **t == -1).count() > 1 {
        return Err(format!("sizes {target:?} have more than one -1 or too many axes"));
    }
    let total: usize = from.iter().product();
    let mut dims = Vec::with_capacity(target.len());
    for (i, t) in target.iter().enumerate() {
        dims.push(match *t {
            0 if !allow_zero => *from.get(i).ok_or("a 0 beyond the operand's axes")?,
            -1 => 1,
            n if i == 0 && batch.is_some_and(|b| i64::try_from(b) == Ok(n)) => 1,
            n => usize::try_from(n).map_err(|_| format!("a size of {n}"))?,
        });
    }
    let known = dims.iter().try_fold(1usize, |n, d| n.checked_mul(*d)).ok_or("sizes overflow")?;
    if let Some(open) = target.iter().position(|t| *t == -1) {
        if known == 0 || !total.is_multiple_of(known) {
            return Err(format!("{from:?} cannot become {target:?}"));
        }
        dims[open] = total / known;
    } else if known != total {
        return Err(format!("{from:?} cannot become {target:?}"));
    }
    Ok(dims)
}

/// Axes from input 1 (opset 13 and later), or from the attribute.
fn axes(parser: &Parser<'_>, node: &OnnxNode) -> Result<Option<Vec<i64>>, String> {
    match parser.optional_constant(node, 1)? {
        Some(c) => Ok(Some(c.ints().ok_or("the axes are not integers")?.to_vec())),
        None => Ok(node.ints("axes").map(<[i64]>::to_vec)),
    }
}

/// Sizes without the given axes of size 1; without every one of them but the batch if none are given.
fn squeezed(dims: &[usize], list: Option<Vec<i64>>) -> Result<Vec<usize>, String> {
    let gone = match list {
        Some(list) => list.iter().map(|v| axis(*v, dims.len())).collect::<Result<Vec<_>, _>>()?,
        None => (1..dims.len()).filter(|i| dims[*i] == 1).collect(),
    };
    if gone.iter().any(|i| dims[*i] != 1) {
        return Err(format!("an axis of {dims:?} that is not 1 cannot be squeezed"));
    }
    Ok((0..dims.len()).filter(|i| !gone.contains(i)).map(|i| dims[i]).collect())
}

fn unsqueezed(dims: &[usize], list: &[i64]) -> Result<Vec<usize>, String> {
    let rank = dims.len() + list.len();
    if rank > crate::limits::MAX_RANK {
        return Err("too many axes".into());
    }
    let new = list.iter().map(|v| axis(*v, rank)).collect::<Result<Vec<_>, _>>()?;
    let mut old = dims.iter();
    let all = (0..rank).map(|i| if new.contains(&i) { Some(1) } else { old.next().copied() });
    all.collect::<Option<Vec<_>>>().ok_or_else(|| format!("axes {list:?} repeat"))
}

pub(super) fn squeeze(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let list = axes(parser, node)?;
    match parser.value(node, 0)? {
        Value::Constant(c) => {
            let dims = squeezed(&c.dims, list)?;
            Ok(Value::Constant(Rc::new(Constant { dims, numbers: c.numbers.clone() })))
        }
        Value::Activation(a) => {
            let dims = squeezed(&a.dims, list)?;
            parser.resized(node, a, dims)
        }
    }
}

pub(super) fn unsqueeze(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let list = axes(parser, node)?.ok_or("the axes are missing")?;
    match parser.value(node, 0)? {
        Value::Constant(c) => {
            let dims = unsqueezed(&c.dims, &list)?;
            Ok(Value::Constant(Rc::new(Constant { dims, numbers: c.numbers.clone() })))
        }
        Value::Activation(a) => {
            let dims = unsqueezed(&a.dims, &list)?;
            parser.resized(node, a, dims)
        }
    }
}

pub(super) fn transpose(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let given = parser.value(node, 0)?;
    let dims = match &given {
        Value::Constant(c) => c.dims.clone(),
        Value::Activation(a) => a.dims.clone(),
    };
    let rank = dims.len();
    let perm = match node.ints("perm") {
        Some(list) => list.iter().map(|v| axis(*v, rank)).collect::<Result<Vec<_>, _>>()?,
        None => (0..rank).rev().collect(),
    };
    if perm.len() != rank || (0..rank).any(|i| !perm.contains(&i)) {
        return Err(format!("perm {perm:?} does not name each of {rank} axes once"));
    }
    match given {
        Value::Constant(c) => {
            let to: Vec<usize> = perm.iter().map(|i| dims[*i]).collect();
            let own = row_major(&dims);
            let index = positions(&to, &perm.iter().map(|i| own[*i]).collect::<Vec<_>>());
            let pick = |i: &u32| *i as usize;
            let numbers = match &c.numbers {
                Numbers::Float(f) => Numbers::Float(index.iter().map(|i| f[pick(i)]).collect()),
                Numbers::Int(v) => Numbers::Int(index.iter().map(|i| v[pick(i)]).collect()),
            };
            Ok(Value::Constant(Rc::new(Constant { dims: to, numbers })))
        }
        Value::Activation(a) => Ok(Value::Activation(a.permuted(&perm))),
    }
}

pub(super) fn constant(_: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let scalar = |numbers| Constant { dims: Vec::new(), numbers };
    let list = |n: usize, numbers| Constant { dims: vec![n], numbers };
    let a = node.attributes.first().ok_or("has no value")?;
    let value = match a.name.as_str() {
        "value" => a.tensor.clone().ok_or("attribute value holds no tensor")??,
        "value_float" => scalar(Numbers::Float(vec![a.float.unwrap_or(0.0)])),
        "value_int" => scalar(Numbers::Int(vec![a.int.unwrap_or(0)])),
        "value_floats" => list(a.floats.len(), Numbers::Float(a.floats.clone())),
        "value_ints" => list(a.ints.len(), Numbers::Int(a.ints.clone())),
        other => return Err(format!("a constant in attribute {other} is not supported")),
    };
    Ok(Value::Constant(Rc::new(value)))
}

pub(super) fn identity(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    parser.value(node, 0)
}

pub(super) fn dropout(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let training = parser.optional_constant(node, 2)?.and_then(|c| c.scalar()).unwrap_or(0.0);
    if training != 0.0 {
        return Err("is in training mode: export the model in evaluation mode".into());
    }
    parser.value(node, 0)
}
