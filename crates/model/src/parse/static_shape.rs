//! Shape, Cast, ConstantOfShape: what is known at import. Exporters compute a Reshape's target with them.

use std::rc::Rc;

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

/// Sizes stay integers; an activation stays as it is if it stays float32.
pub(super) fn cast(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let (value, to) = (parser.value(node, 0)?, node.int("to", 1));
    match (&value, to) {
        // Bits and whole numbers are numbers like others: only a cast that rounds is refused.
        (_, 1 | 11) => Ok(value),
        (Value::Activation(a), 6 | 7 | 9) if parser.is_whole(a.id) => Ok(value),
        (Value::Constant(c), 6 | 7) if c.ints().is_some() => Ok(value),
        _ => Err(format!("casts to element type {to}: only float32 is supported")),
    }
}

/// A constant of the given sizes.
pub(super) fn constant_of_shape(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let sizes = parser.constant(node, 0)?;
    let size = |v: &i64| usize::try_from(*v).ok();
    let dims = sizes.ints().and_then(|list| list.iter().map(size).collect::<Option<Vec<usize>>>());
    let dims = dims.ok_or("the sizes are not whole numbers")?;
    let count = dims.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
    let count = count.filter(|n| *n <= limits::MAX_PARAMETERS).ok_or("the constant is too large")?;
    let numbers = match node.attribute("value").and_then(|a| a.tensor.clone()).transpose()? {
        Some(Constant { numbers: Numbers::Int(v), .. }) if v.len() == 1 => Numbers::Int(vec![v[0]; count]),
        Some(Constant { numbers: Numbers::Float(v), .. }) if v.len() == 1 => {
            Numbers::Float(vec![v[0]; count])
        }
        None => Numbers::Float(vec![0.0; count]),
        Some(_) => return Err("attribute value is not one number".into()),
    };
    Ok(Value::Constant(Rc::new(Constant { dims, numbers })))
}
