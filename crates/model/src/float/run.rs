//! Executes a float graph in float32: the yardstick for the integer program. Long sums run in float64.

use proofmesh_graph::op::Window;
use proofmesh_graph::tensor::Shape;

use super::conv::conv;
use super::{FloatGraph, FloatOp, ValueId, ZERO};

/// Every value for one input, row-major, the input first.
///
/// Preconditions: the graph's shapes hold ([`FloatGraph::shapes`] gave `shapes`), `input` has the input's
/// length.
pub(crate) fn trace(graph: &FloatGraph, shapes: &[Shape], input: &[f32]) -> Vec<Vec<f32>> {
    assert_eq!(input.len(), graph.input.len(), "the caller checked the input's length");
    let mut values = vec![input.to_vec()];
    for (i, node) in graph.nodes.iter().enumerate() {
        let operands: Vec<&[f32]> = node.inputs.iter().map(|v| values[*v].as_slice()).collect();
        let from: Vec<Shape> = node.inputs.iter().map(|v| shapes[*v]).collect();
        let result = apply(&node.op, &from, shapes[i + 1], &operands);
        values.push(result);
    }
    values
}

/// The output for one input.
pub(crate) fn run(graph: &FloatGraph, shapes: &[Shape], input: &[f32]) -> Vec<f32> {
    trace(graph, shapes, input).swap_remove(graph.output)
}

/// The output of a trace in which one value is another one.
pub(crate) fn replay(
    graph: &FloatGraph,
    shapes: &[Shape],
    trace: &[Vec<f32>],
    value: ValueId,
    instead: Vec<f32>,
) -> Vec<f32> {
    let mut changed: Vec<Option<Vec<f32>>> = vec![None; trace.len()];
    changed[value] = Some(instead);
    for (i, node) in graph.nodes.iter().enumerate().skip(value) {
        if node.inputs.iter().any(|v| changed[*v].is_some()) {
            let read = |v: &ValueId| changed[*v].as_deref().unwrap_or(&trace[*v]);
            let operands: Vec<&[f32]> = node.inputs.iter().map(read).collect();
            let from: Vec<Shape> = node.inputs.iter().map(|v| shapes[*v]).collect();
            changed[i + 1] = Some(apply(&node.op, &from, shapes[i + 1], &operands));
        }
    }
    changed.swap_remove(graph.output).unwrap_or_else(|| trace[graph.output].clone())
}

/// One operator.
///
/// Preconditions: [`FloatOp::shape`] gave `to`.
pub(crate) fn apply(op: &FloatOp, shapes: &[Shape], to: Shape, operands: &[&[f32]]) -> Vec<f32> {
    let (x, from) = (operands[0], shapes[0]);
    let plane = (from.h * from.w).max(1);
    match op {
        FloatOp::Conv(c) => conv(c, from, to, x),
        FloatOp::Affine { scale, shift } => {
            x.iter().enumerate().map(|(i, v)| v * scale[i / plane] + shift[i / plane]).collect()
        }
        FloatOp::Clamp(clamp) => x.iter().map(|v| clamp.apply(*v)).collect(),
        FloatOp::Curve(curve) => x.iter().map(|v| curve.apply(*v)).collect(),
        FloatOp::Truth(c) => conv(c, from, to, x).into_iter().map(|v| v.round().clamp(0.0, 1.0)).collect(),
        FloatOp::Threshold { at, inclusive } => {
            let bit = |(i, v): (usize, &f32)| {
                let c = i / plane;
                f32::from(u8::from(*v > at[c] || (inclusive[c] && *v == at[c])))
            };
            x.iter().enumerate().map(bit).collect()
        }
        FloatOp::Multiply { gain } => pairs(shapes, to, operands, |a, b| gain * a * b),
        FloatOp::Divide => pairs(shapes, to, operands, |a, b| a / b),
        FloatOp::MatMul { transposed, gain } => {
            matmul(*transposed, shapes, to, operands).into_iter().map(|v| gain * v).collect()
        }
        FloatOp::ReduceSum { axes, gain, clamp } => {
            let mut sums = vec![0f64; to.len()];
            let kept = |i: usize, at: usize| if axes[i] { 0 } else { at };
            for (i, v) in x.iter().enumerate() {
                let (c, y, px) = (i / plane, i % plane / from.w, i % from.w);
                sums[to.at(kept(0, c), kept(1, y), kept(2, px))] += f64::from(*v);
            }
            sums.into_iter().map(|v| clamp.apply((f64::from(*gain) * v) as f32)).collect()
        }
        FloatOp::Sum { factors, clamp } => {
            let both = x.iter().zip(operands[1]);
            both.map(|(a, b)| clamp.apply(factors[0] * a + factors[1] * b)).collect()
        }
        FloatOp::MaxPool(window) => {
            pool(window, from, to, x, |items| items.fold(f32::NEG_INFINITY, f32::max))
        }
        FloatOp::MinPool(window) => pool(window, from, to, x, |items| items.fold(f32::INFINITY, f32::min)),
        FloatOp::AveragePool(window) => {
            let d = (window.kernel[0] * window.kernel[1]) as f64;
            pool(window, from, to, x, |items| (items.map(f64::from).sum::<f64>() / d) as f32)
        }
        FloatOp::Reshape(_) => x.to_vec(),
        FloatOp::Gather { index, .. } => {
            let all: Vec<f32> = operands.concat();
            index.iter().map(|i| if *i == ZERO { 0.0 } else { all[*i as usize] }).collect()
        }
    }
}

/// An element-wise function of two operands, axes of 1 being repeated.
fn pairs(shapes: &[Shape], to: Shape, operands: &[&[f32]], f: impl Fn(f32, f32) -> f32) -> Vec<f32> {
    let mut out = Vec::with_capacity(to.len());
    let read = |i: usize, c: usize, y: usize, x: usize| {
        let s = shapes[i];
        operands[i][s.at(c.min(s.c - 1), y.min(s.h - 1), x.min(s.w - 1))]
    };
    for c in 0..to.c {
        for y in 0..to.h {
            out.extend((0..to.w).map(|x| f(read(0, c, y, x), read(1, c, y, x))));
        }
    }
    out
}

fn matmul(transposed: bool, shapes: &[Shape], to: Shape, operands: &[&[f32]]) -> Vec<f32> {
    let [a, b] = [shapes[0], shapes[1]];
    let mut out = Vec::with_capacity(to.len());
    for c in 0..to.c {
        for i in 0..to.h {
            for j in 0..to.w {
                let term = |k: usize| {
                    let second = if transposed { b.at(c, j, k) } else { b.at(c, k, j) };
                    f64::from(operands[0][a.at(c, i, k)]) * f64::from(operands[1][second])
                };
                out.push((0..a.w).map(term).sum::<f64>() as f32);
            }
        }
    }
    out
}

fn pool(
    window: &Window,
    from: Shape,
    to: Shape,
    x: &[f32],
    reduce: impl Fn(&mut dyn Iterator<Item = f32>) -> f32,
) -> Vec<f32> {
    let [h, w] = window.axes(from.h, from.w).expect("shapes were checked");
    let mut out = Vec::with_capacity(to.len());
    for c in 0..to.c {
        for y in 0..to.h {
            for px in 0..to.w {
                let rows = (0..h.kernel).filter_map(|k| h.source(y, k));
                let cells =
                    rows.flat_map(|iy| (0..w.kernel).filter_map(|k| w.source(px, k)).map(move |ix| (iy, ix)));
                out.push(reduce(&mut cells.map(|(iy, ix)| x[from.at(c, iy, ix)])));
            }
        }
    }
    out
}
