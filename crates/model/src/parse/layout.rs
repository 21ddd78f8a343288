//! Flatten, Reshape, Squeeze, Unsqueeze, Transpose, Constant, Identity, Dropout: nothing is computed,
//! elements keep their order or are picked by index.

use std::rc::Rc;

use super::attribute::axis;
use super::{Activation, Parser, Value, shape_of};
use crate::float::FloatOp;
use crate::onnx::{Constant, Numbers, OnnxNode};

/// The same elements under new sizes.
fn resize(
    parser: &mut Parser<'_>,
    node: &OnnxNode,
    a: Activation,
    dims: Vec<usize>,
) -> Result<Value, String> {
    let (from, to) = (parser.shape(&a), shape_of(&dims)?);
    if from == to {
        return Ok(Value::Activation(Activation { id: a.id, dims }));
    }
    if from.len() != to.len() {
        return Err(format!("{:?} cannot become {dims:?}", a.dims));
    }
    parser.push(node, FloatOp::Reshape(to), vec![a.id], dims)
}

pub(super) fn flatten(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let a = parser.activation(node, 0)?;
    let rank = a.dims.len();
    let at = match node.int("axis", 1) {
        whole if whole == rank as i64 => rank,
        value => axis(value, rank)?,
    };
    let (front, back): (usize, usize) = (a.dims[..at].iter().product(), a.dims[at..].iter().product());
    resize(parser, node, a, vec![front, back])
}

pub(super) fn reshape(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let target = parser.constant(node, 1)?;
    let target = target.ints().ok_or("the new sizes are not integers")?.to_vec();
    let allow_zero = node.int("allowzero", 0) != 0;
    if let Value::Constant(c) = parser.value(node, 0)? {
        let dims = resolve(&target, &c.dims, None, allow_zero)?;
        return Ok(Value::Constant(Rc::new(Constant { dims, numbers: c.numbers.clone() })));
    }
    let a = parser.activation(node, 0)?;
    let dims = resolve(&target, &a.dims, parser.batch, allow_zero)?;
    resize(parser, node, a, dims)
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
            resize(parser, node, a, dims)
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
            resize(parser, node, a, dims)
        }
    }
}

/// For every element of the transposed tensor, its position in the operand.
fn transposition(dims: &[usize], perm: &[usize]) -> Vec<u32> {
    let mut strides = vec![1usize; dims.len()];
    for i in (1..dims.len()).rev() {
        strides[i - 1] = strides[i] * dims[i];
    }
    let mut positions = vec![0u32];
    for axis in perm {
        let step = |base: &u32| {
            let base = *base;
            (0..dims[*axis]).map(move |x| (x, base))
        };
        positions =
            positions.iter().flat_map(step).map(|(x, base)| base + (x * strides[*axis]) as u32).collect();
    }
    positions
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
    let to: Vec<usize> = perm.iter().map(|i| dims[*i]).collect();
    let index = transposition(&dims, &perm);
    match given {
        Value::Constant(c) => {
            let pick = |i: &u32| *i as usize;
            let numbers = match &c.numbers {
                Numbers::Float(f) => Numbers::Float(index.iter().map(|i| f[pick(i)]).collect()),
                Numbers::Int(v) => Numbers::Int(index.iter().map(|i| v[pick(i)]).collect()),
            };
            Ok(Value::Constant(Rc::new(Constant { dims: to, numbers })))
        }
        Value::Activation(a) => {
            if perm.first() != Some(&0) {
                return Err(format!("perm {perm:?} moves the batch axis: keep it first"));
            }
            if index.iter().enumerate().all(|(i, p)| i == *p as usize) {
                return resize(parser, node, a, to);
            }
            let shape = shape_of(&to)?;
            parser.push(node, FloatOp::Gather { shape, index }, vec![a.id], to)
        }
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
