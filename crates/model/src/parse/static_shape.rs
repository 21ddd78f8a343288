//! Shape, Gather, Concat, Cast on sizes that are known at import: exporters compute a Reshape's target with
//! them. On activations they are refused by name.

use std::rc::Rc;

use super::attribute::axis;
use super::{Parser, Value};
use crate::limits;
use crate::onnx::{Constant, Numbers, OnnxNode};

fn sizes(list: Vec<i64>) -> Value {
    Value::Constant(Rc::new(Constant { dims: vec![list.len()], numbers: Numbers::Int(list) }))
}

pub(super) fn shape(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let dims = match parser.value(node, 0)? {
        Value::Constant(c) => c.dims.clone(),
        Value::Activation(a) => a.dims,
    };
    let rank = dims.len() as i64;
    let bound = |v: i64| (if v < 0 { v.saturating_add(rank) } else { v }).clamp(0, rank) as usize;
    let (start, end) = (bound(node.int("start", 0)), bound(node.int("end", rank)));
    Ok(sizes(dims.get(start..end).unwrap_or_default().iter().map(|d| *d as i64).collect()))
}

pub(super) fn gather(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let Value::Constant(data) = parser.value(node, 0)? else {
        return Err(
            "picks elements of an activation: only constants are supported, slice the input instead".into()
        );
    };
    let index = parser.constant(node, 1)?;
    let (Some(list), Some(at)) = (data.ints(), index.ints()) else {
        return Err("only lists of sizes are supported".into());
    };
    if data.dims.len() != 1 || index.dims.len() > 1 || at.len() > limits::MAX_RANK {
        return Err("only lists of sizes are supported".into());
    }
    let picked = at.iter().map(|i| axis(*i, list.len()).map(|i| list[i])).collect::<Result<Vec<_>, _>>()?;
    Ok(Value::Constant(Rc::new(Constant { dims: index.dims.clone(), numbers: Numbers::Int(picked) })))
}

pub(super) fn concat(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let mut all = Vec::new();
    for i in 0..node.inputs.len() {
        let Value::Constant(part) = parser.value(node, i)? else {
            return Err(
                "joins activations, which is not supported: stack them as channels of one Conv".into()
            );
        };
        all.extend_from_slice(part.ints().ok_or("only lists of sizes are supported")?);
        if all.len() > limits::MAX_RANK || part.dims.len() > 1 {
            return Err("only lists of sizes are supported".into());
        }
    }
    Ok(sizes(all))
}

/// Sizes stay integers; an activation stays as it is if it stays float32.
pub(super) fn cast(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let (value, to) = (parser.value(node, 0)?, node.int("to", 1));
    match (&value, to) {
        (Value::Activation(_), 1) | (Value::Constant(_), 1) => Ok(value),
        (Value::Constant(c), 6 | 7) if c.ints().is_some() => Ok(value),
        _ => Err(format!("casts to element type {to}: only float32 is supported")),
    }
}
