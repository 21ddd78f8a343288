//! Elements picked by constant index: Concat, Slice, Split, Gather, Pad, Resize, Expand, Tile, DepthToSpace. One Gather of the program
//! each, on constants nothing at all. A Gather from a constant by the input's own whole numbers is an embedding.

use std::rc::Rc;

use proofmesh_graph::tensor::Shape;

use super::attribute::axis;
use super::linear;
use super::view::{Activation, broadcast, positions, row_major, shape_of, spread_out};
use super::{Parser, Value};
use crate::float::{Clamp, FloatOp, ValueId, ZERO};
use crate::limits;
use crate::onnx::{Constant, Numbers, OnnxNode};

/// Most elements of a result.
fn bounded(dims: &[usize]) -> Result<usize, String> {
    let count = dims.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
    count.filter(|n| *n <= limits::MAX_PARAMETERS).ok_or_else(|| format!("sizes {dims:?} are too large"))
}

/// The elements at `index` (row-major positions in the operand, or [`ZERO`]) under new sizes.
pub(super) fn picked(
    parser: &mut Parser<'_>,
    node: &OnnxNode,
    value: Value,
    index: Vec<u32>,
    dims: Vec<usize>,
) -> Result<Value, String> {
    match value {
        Value::Constant(c) => {
            let at = |i: &u32| if *i == ZERO { None } else { Some(*i as usize) };
            let numbers = match &c.numbers {
                Numbers::Float(f) => {
                    Numbers::Float(index.iter().map(|i| at(i).map_or(0.0, |i| f[i])).collect())
                }
                Numbers::Int(v) => Numbers::Int(index.iter().map(|i| at(i).map_or(0, |i| v[i])).collect()),
            };
            Ok(Value::Constant(Rc::new(Constant { dims, numbers })))
        }
        Value::Activation(a) => {
            if a.mask.is_some() {
                return Err("reads masked scores (minus infinity): only a Softmax may read them".into());
            }
            let own = a.positions();
            let index = index.into_iter().map(|i| if i == ZERO { ZERO } else { own[i as usize] }).collect();
            let id = parser.arrange(node, a.id, shape_of(&dims)?, Some(index))?;
            Ok(Value::Activation(Activation::new(id, dims)))
        }
    }
}

impl Parser<'_> {
    /// Whether a value has the input's own integers or those of bits, so that no scale can be chosen for it.
    fn is_pinned(&self, id: ValueId) -> bool {
        let Some(at) = id.checked_sub(1) else { return true };
        let node = &self.graph.nodes[at];
        match &node.op {
            FloatOp::Threshold { .. } | FloatOp::Truth(_) => true,
            FloatOp::Gather { .. }
            | FloatOp::Reshape(_)
            | FloatOp::MaxPool(_)
            | FloatOp::MinPool(_)
            | FloatOp::AveragePool(_) => node.inputs.iter().any(|i| self.is_pinned(*i)),
            _ => false,
        }
    }

    /// Whether a value holds whole numbers: tokens or bits.
    pub fn is_whole(&self, id: ValueId) -> bool {
        let Some(at) = id.checked_sub(1) else { return self.whole_input };
        let node = &self.graph.nodes[at];
        match &node.op {
            FloatOp::Threshold { .. } | FloatOp::Truth(_) => true,
            FloatOp::Gather { .. } | FloatOp::Reshape(_) => node.inputs.iter().all(|i| self.is_whole(*i)),
            _ => false,
        }
    }
}

/// The elements at `index` of several values laid end to end. They get one scale: a value that cannot choose its own gets a layer that
/// changes it.
pub(super) fn joined(
    parser: &mut Parser<'_>,
    node: &OnnxNode,
    mut ids: Vec<ValueId>,
    index: Vec<u32>,
    dims: Vec<usize>,
) -> Result<Value, String> {
    if ids.windows(2).any(|w| w[0] != w[1]) {
        for id in &mut ids {
            if parser.is_pinned(*id) {
                let channels = parser.shapes[*id].c;
                let same = FloatOp::Affine { scale: vec![1.0; channels], shift: vec![0.0; channels] };
                *id = parser.append(node, same, vec![*id])?;
            }
        }
    }
    let shape = shape_of(&dims)?;
    let id = parser.append(node, FloatOp::Gather { shape, index }, ids)?;
    Ok(Value::Activation(Activation::new(id, dims)))
}

fn sizes(value: &Value) -> &[usize] {
    match value {
        Value::Constant(c) => &c.dims,
        Value::Activation(a) => &a.dims,
    }
}

pub(super) fn concat(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let values = (0..node.inputs.len()).map(|i| parser.value(node, i)).collect::<Result<Vec<_>, _>>()?;
    let first = sizes(values.first().ok_or("joins nothing")?).to_vec();
    let along = axis(node.int("axis", 0), first.len())?;
    let mut dims = first.clone();
    dims[along] = 0;
    for value in &values {
        let own = sizes(value);
        let fits = own.len() == first.len() && (0..own.len()).all(|i| i == along || own[i] == first[i]);
        if !fits {
            return Err(format!("joins {first:?} and {own:?}: axes other than {along} differ"));
        }
        dims[along] = dims[along].saturating_add(own[along]);
    }
    bounded(&dims)?;
    let (outer, inner): (usize, usize) = (dims[..along].iter().product(), dims[along + 1..].iter().product());
    // For every element of the result its operand and its place there.
    let mut places = Vec::new();
    for o in 0..outer {
        for (k, value) in values.iter().enumerate() {
            let block = sizes(value)[along] * inner;
            places.extend((o * block..(o + 1) * block).map(|place| (k, place)));
        }
    }
    if values.iter().all(|v| matches!(v, Value::Constant(_))) {
        return joined_constants(&values, &places, dims);
    }
    let (mut ids, mut starts, mut own) = (Vec::new(), Vec::new(), Vec::new());
    let mut total = 0u32;
    for value in &values {
        starts.push(total);
        match value {
            Value::Activation(a) if a.mask.is_none() => {
                ids.push(a.id);
                own.push(a.positions());
                total += a.len() as u32;
            }
            Value::Constant(c) if c.floats().iter().all(|v| *v == 0.0) => own.push(Vec::new()),
            Value::Constant(_) => {
                return Err(
                    "joins an activation and a constant other than zeros: add the constant to zeros instead"
                        .into(),
                );
            }
            Value::Activation(_) => return Err("joins masked scores: only a Softmax may read them".into()),
        }
    }
    let at = |(k, place): &(usize, usize)| own[*k].get(*place).map_or(ZERO, |i| starts[*k] + i);
    let index = places.iter().map(at).collect();
    joined(parser, node, ids, index, dims)
}

fn joined_constants(values: &[Value], places: &[(usize, usize)], dims: Vec<usize>) -> Result<Value, String> {
    let constants: Vec<&Constant> =
        values.iter().filter_map(|v| if let Value::Constant(c) = v { Some(&**c) } else { None }).collect();
    let numbers = if constants.iter().all(|c| c.ints().is_some()) {
        Numbers::Int(places.iter().filter_map(|(k, i)| constants[*k].ints().map(|v| v[*i])).collect())
    } else {
        let all: Vec<Vec<f32>> = constants.iter().map(|c| c.floats()).collect();
        Numbers::Float(places.iter().map(|(k, i)| all[*k][*i]).collect())
    };
    Ok(Value::Constant(Rc::new(Constant { dims, numbers })))
}

/// For each axis of the result the places that it picks along that axis of the operand, `None` for zeros.
fn by_axes(
    parser: &mut Parser<'_>,
    node: &OnnxNode,
    value: Value,
    axes: &[Vec<Option<usize>>],
) -> Result<Value, String> {
    let dims: Vec<usize> = axes.iter().map(Vec::len).collect();
    bounded(&dims)?;
    let strides = row_major(sizes(&value));
    let mut index = vec![0u32];
    for (picks, stride) in axes.iter().zip(strides) {
        let step = |base: &u32| {
            let base = *base;
            picks.iter().map(move |p| match p {
                Some(p) if base != ZERO => base + (p * stride) as u32,
                _ => ZERO,
            })
        };
        index = index.iter().flat_map(step).collect();
    }
    picked(parser, node, value, index, dims)
}

/// Every place of every axis.
fn everything(dims: &[usize]) -> Vec<Vec<Option<usize>>> {
    dims.iter().map(|d| (0..*d).map(Some).collect()).collect()
}

fn list(parser: &Parser<'_>, node: &OnnxNode, i: usize) -> Result<Option<Vec<i64>>, String> {
    match parser.optional_constant(node, i)? {
        Some(c) => {
            c.ints().map(|v| Some(v.to_vec())).ok_or_else(|| format!("input {i} is not whole numbers"))
        }
        None => Ok(None),
    }
}

pub(super) fn slice(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let value = parser.value(node, 0)?;
    let dims = sizes(&value).to_vec();
    let starts = list(parser, node, 1)?.ok_or("the starts are missing")?;
    let ends = list(parser, node, 2)?.ok_or("the ends are missing")?;
    let axes = list(parser, node, 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = list(parser, node, 4)?.unwrap_or_else(|| vec![1; starts.len()]);
    if ends.len() != starts.len() || axes.len() != starts.len() || steps.len() != starts.len() {
        return Err("starts, ends, axes and steps differ in length".into());
    }
    let mut picks = everything(&dims);
    for (((start, end), along), step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
        let along = axis(*along, dims.len())?;
        let size = dims[along] as i64;
        let from_end = |v: i64| if v < 0 { v.saturating_add(size) } else { v };
        picks[along] = match *step {
            0 => return Err("a step of 0".into()),
            step if step > 0 => {
                let (start, end) = (from_end(*start).clamp(0, size), from_end(*end).clamp(0, size));
                (start..end.max(start)).step_by(step as usize).map(|i| Some(i as usize)).collect()
            }
            step => {
                let (start, end) = (from_end(*start).clamp(-1, size - 1), from_end(*end).clamp(-1, size - 1));
                let down = (end + 1..=start.max(end)).rev().step_by(step.unsigned_abs() as usize);
                down.map(|i| Some(i as usize)).collect()
            }
        };
    }
    by_axes(parser, node, value, &picks)
}

pub(super) fn split(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let value = parser.value(node, 0)?;
    let dims = sizes(&value).to_vec();
    let along = axis(node.int("axis", 0), dims.len())?;
    let parts = match list(parser, node, 1)? {
        Some(parts) => parts.iter().map(|p| usize::try_from(*p).ok()).collect::<Option<Vec<usize>>>(),
        None => {
            let count =
                usize::try_from(node.int("num_outputs", node.outputs.len() as i64)).unwrap_or(0).max(1);
            let each = dims[along].div_ceil(count);
            Some((0..count).map(|i| each.min(dims[along].saturating_sub(i * each))).collect())
        }
    };
    let parts = parts.filter(|p| p.iter().fold(0usize, |n, p| n.saturating_add(*p)) == dims[along]);
    let parts = parts.ok_or_else(|| format!("the parts do not fill axis {along} of {dims:?}"))?;
    let (mut start, mut first) = (0, None);
    for (i, part) in parts.into_iter().enumerate() {
        let mut picks = everything(&dims);
        picks[along] = (start..start + part).map(Some).collect();
        start += part;
        // A part that no one reads is not made.
        if part == 0 || i > 0 && node.outputs.get(i).is_none_or(String::is_empty) {
            continue;
        }
        let made = by_axes(parser, node, value.clone(), &picks)?;
        if i == 0 {
            first = Some(made);
        } else {
            parser.give(node, i, made);
        }
    }
    first.ok_or_else(|| "its first part is empty".into())
}

pub(super) fn gather(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let (data, index) = (parser.value(node, 0)?, parser.value(node, 1)?);
    let dims = sizes(&data).to_vec();
    let along = axis(node.int("axis", 0), dims.len())?;
    let index = match index {
        Value::Constant(index) => index,
        Value::Activation(tokens) => {
            let Value::Constant(table) = data else {
                return Err(
                    "picks elements of an activation by an activation: only a constant table is supported"
                        .into(),
                );
            };
            return embedding(parser, node, &table, tokens, along);
        }
    };
    let places = index.ints().ok_or("the index is not whole numbers")?;
    let places = places.iter().map(|i| axis(*i, dims[along]).map(Some)).collect::<Result<Vec<_>, _>>()?;
    let mut picks = everything(&dims);
    picks[along] = places;
    let to = [&dims[..along], &index.dims, &dims[along + 1..]].concat();
    match by_axes(parser, node, data, &picks)? {
        Value::Constant(c) => Ok(Value::Constant(Rc::new(Constant { dims: to, numbers: c.numbers.clone() }))),
        Value::Activation(a) => parser.resized(node, a, to),
    }
}

/// Rows of a constant table picked by whole numbers `t` that stay hidden: the bits `t >= v` for `v = 1, 2, ..`, times the differences of
/// neighbouring rows. The bits are proven, so `t` is a row's number and nothing else.
fn embedding(
    parser: &mut Parser<'_>,
    node: &OnnxNode,
    table: &Constant,
    tokens: Activation,
    along: usize,
) -> Result<Value, String> {
    let [rows, width] = table.dims[..] else {
        return Err(format!("a table {:?} is not a matrix", table.dims));
    };
    if along != 0 || rows < 2 || !parser.is_whole(tokens.id) {
        return Err(
            "is supported along axis 0 of a table, by whole numbers that are the model's input".into()
        );
    }
    let places = tokens.len();
    let spread = Shape::new(rows - 1, places, 1);
    let own = tokens.positions();
    let index = (1..rows).flat_map(|_| own.iter().copied()).collect();
    let id = parser.arrange(node, tokens.id, spread, Some(index))?;
    let at = (1..rows).map(|v| v as f32).collect();
    let bits = FloatOp::Threshold { at, inclusive: vec![true; rows - 1] };
    let id = parser.append(node, bits, vec![id])?;
    let values = table.floats();
    let weights = (0..width).flat_map(|d| {
        let values = &values;
        (1..rows).map(move |v| values[v * width + d] - values[(v - 1) * width + d])
    });
    let (weights, bias) = (weights.collect(), values[..width].to_vec());
    let dims = [&tokens.dims[..], &[rows - 1]].concat();
    let strides = [&row_major(&tokens.dims)[..], &[places]].concat();
    let bits = Activation { id, dims, strides, mask: None };
    linear::at_every_place(parser, node, bits, weights, bias, Clamp::NONE).map(Value::Activation)
}

pub(super) fn pad(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let value = parser.value(node, 0)?;
    let dims = sizes(&value).to_vec();
    let pads = match list(parser, node, 1)? {
        Some(pads) => pads,
        None => node.ints("pads").ok_or("the pads are missing")?.to_vec(),
    };
    let axes = list(parser, node, 3)?.unwrap_or_else(|| (0..dims.len() as i64).collect());
    let fill = parser.optional_constant(node, 2)?.and_then(|c| c.scalar()).unwrap_or(0.0);
    if pads.len() != 2 * axes.len() {
        return Err(format!("{} pads for {} axes", pads.len(), axes.len()));
    }
    let mode = node.text("mode", "constant");
    if mode == "constant" && fill != 0.0 {
        return Err(format!("pads with {fill}: only zeros, edge and reflect are supported"));
    }
    let mut picks = everything(&dims);
    for (i, along) in axes.iter().enumerate() {
        let along = axis(*along, dims.len())?;
        let (size, before, after) = (dims[along] as i64, pads[i], pads[axes.len() + i]);
        if before.abs().max(after.abs()) > limits::MAX_ACTIVATION_ELEMENTS as i64 || size == 0 {
            return Err(format!("pads {pads:?} are too large"));
        }
        let source = |i: i64| match mode {
            "edge" => Ok(Some(i.clamp(0, size - 1) as usize)),
            "reflect" => {
                let period = (2 * (size - 1)).max(1);
                let at = i.rem_euclid(period);
                Ok(Some(at.min(period - at) as usize))
            }
            "wrap" => Ok(Some(i.rem_euclid(size) as usize)),
            "constant" => Ok(usize::try_from(i).ok().filter(|_| i < size)),
            other => Err(format!("mode `{other}` is not supported")),
        };
        picks[along] = (-before..size + after).map(source).collect::<Result<_, _>>()?;
    }
    by_axes(parser, node, value, &picks)
}

/// Resize to the nearest element. Source: ONNX Resize 13 and 18.
pub(super) fn resize(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    if node.text("mode", "nearest") != "nearest" {
        return Err("interpolates: only the mode nearest is supported".into());
    }
    let value = parser.value(node, 0)?;
    let dims = sizes(&value).to_vec();
    if node.ints("axes").is_some() {
        return Err("attribute axes is not supported: give a scale for every axis".into());
    }
    let scales = parser.optional_constant(node, 2)?.map(|c| c.floats()).filter(|s| !s.is_empty());
    let wanted = list(parser, node, 3)?.filter(|s| !s.is_empty());
    let place = node.text("coordinate_transformation_mode", "half_pixel").to_string();
    let round = node.text("nearest_mode", "round_prefer_floor").to_string();
    let mut picks = Vec::with_capacity(dims.len());
    for (i, size) in dims.iter().enumerate() {
        let n = *size as f64;
        let (to, scale) = match (&scales, &wanted) {
            (Some(s), _) if s.len() == dims.len() && s[i] > 0.0 => {
                ((n * f64::from(s[i])).floor(), f64::from(s[i]))
            }
            (_, Some(w)) if w.len() == dims.len() && w[i] > 0 => (w[i] as f64, w[i] as f64 / n),
            _ => return Err("needs a positive scale or size for every axis".into()),
        };
        if to > limits::MAX_ACTIVATION_ELEMENTS as f64 {
            return Err(format!("axis {i} would have {to} elements"));
        }
        let source = |o: usize| -> Result<Option<usize>, String> {
            let o = o as f64;
            let at = match place.as_str() {
                "asymmetric" => o / scale,
                "half_pixel" => (o + 0.5) / scale - 0.5,
                "pytorch_half_pixel" => {
                    if to > 1.0 {
                        (o + 0.5) / scale - 0.5
                    } else {
                        0.0
                    }
                }
                "align_corners" => {
                    if to > 1.0 {
                        o * (n - 1.0) / (to - 1.0)
                    } else {
                        0.0
                    }
                }
                other => return Err(format!("coordinates by `{other}` are not supported")),
            };
            let at = match round.as_str() {
                "floor" => at.floor(),
                "ceil" => at.ceil(),
                "round_prefer_floor" => (at - 0.5).ceil(),
                "round_prefer_ceil" => (at + 0.5).floor(),
                other => return Err(format!("rounding by `{other}` is not known")),
            };
            Ok(Some(at.clamp(0.0, n - 1.0) as usize))
        };
        picks.push((0..to as usize).map(source).collect::<Result<Vec<_>, _>>()?);
    }
    by_axes(parser, node, value, &picks)
}

/// Repeats to given sizes.
pub(super) fn expand(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let value = parser.value(node, 0)?;
    let wanted = list(parser, node, 1)?.ok_or("the sizes are missing")?;
    let wanted: Option<Vec<usize>> = wanted.iter().map(|d| usize::try_from(*d).ok()).collect();
    let dims = broadcast(sizes(&value), &wanted.ok_or("a negative size")?)?;
    bounded(&dims)?;
    let own = sizes(&value);
    let index = positions(&dims, &spread_out(own, &row_major(own), &dims));
    picked(parser, node, value, index, dims)
}

/// Repeats each axis a number of times.
pub(super) fn tile(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let value = parser.value(node, 0)?;
    let times = list(parser, node, 1)?.ok_or("the repeats are missing")?;
    let dims = sizes(&value).to_vec();
    if times.len() != dims.len() || times.iter().any(|t| !(1..=1 << 20).contains(t)) {
        return Err(format!("repeats {times:?} do not fit {dims:?}"));
    }
    let picks: Vec<_> =
        dims.iter().zip(&times).map(|(d, t)| (0..d * *t as usize).map(|i| Some(i % d)).collect()).collect();
    by_axes(parser, node, value, &picks)
}

/// DepthToSpace and SpaceToDepth: transpositions.
pub(super) fn blocks(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let a = parser.view(node, 0)?;
    let block = usize::try_from(node.int("blocksize", 0))
        .ok()
        .filter(|b| *b > 0)
        .ok_or("the block size is missing")?;
    let [n, c, h, w] = a.dims[..] else { return Err(format!("an operand {:?} is no image", a.dims)) };
    let (split, perm, to) = if node.op == "SpaceToDepth" {
        (
            vec![n, c, h / block, block, w / block, block],
            [0, 3, 5, 1, 2, 4],
            vec![n, c * block * block, h / block, w / block],
        )
    } else {
        let (inner, to) = (c / (block * block), vec![n, c / (block * block), h * block, w * block]);
        if node.text("mode", "DCR") == "CRD" {
            (vec![n, inner, block, block, h, w], [0, 1, 4, 2, 5, 3], to)
        } else {
            (vec![n, block, block, inner, h, w], [0, 3, 4, 1, 5, 2], to)
        }
    };
    let Value::Activation(a) = parser.resized(node, a, split)? else {
        return Err("a reshape gave a constant".into());
    };
    parser.resized(node, a.permuted(&perm), to)
}
