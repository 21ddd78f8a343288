//! Executes a float graph in float32: the yardstick for the integer program. Long sums run in float64.

use proofmesh_graph::op::Window;
use proofmesh_graph::tensor::Shape;

use super::conv::conv;
use super::{FloatGraph, FloatOp};

/// Every value for one input, row-major, the input first.
///
/// Preconditions: the graph's shapes hold ([`FloatGraph::shapes`] gave `shapes`), `input` has the input's
/// length.
pub(crate) fn trace(graph: &FloatGraph, shapes: &[Shape], input: &[f32]) -> Vec<Vec<f32>> {
    assert_eq!(input.len(), graph.input.len(), "the caller checked the input's length");
    let mut values = vec![input.to_vec()];
    for (i, node) in graph.nodes.iter().enumerate() {
        let operands: Vec<&[f32]> = node.inputs.iter().map(|v| values[*v].as_slice()).collect();
        let operand_shape = shapes[node.inputs[0]];
        let result = apply(&node.op, operand_shape, shapes[i + 1], &operands);
        values.push(result);
    }
    values
}

/// The output for one input.
pub(crate) fn run(graph: &FloatGraph, shapes: &[Shape], input: &[f32]) -> Vec<f32> {
    trace(graph, shapes, input).swap_remove(graph.output)
}

/// One operator.
///
/// Preconditions: [`FloatOp::shape`] gave `to`.
pub(crate) fn apply(op: &FloatOp, from: Shape, to: Shape, operands: &[&[f32]]) -> Vec<f32> {
    let x = operands[0];
    let plane = (from.h * from.w).max(1);
    match op {
        FloatOp::Conv(c) => conv(c, from, to, x),
        FloatOp::Affine { scale, shift } => {
            x.iter().enumerate().map(|(i, v)| v * scale[i / plane] + shift[i / plane]).collect()
        }
        FloatOp::Clamp(clamp) => x.iter().map(|v| clamp.apply(*v)).collect(),
        FloatOp::Curve(curve) => x.iter().map(|v| curve.apply(*v)).collect(),
        FloatOp::Sum { factors, clamp } => {
            let both = x.iter().zip(operands[1]);
            both.map(|(a, b)| clamp.apply(factors[0] * a + factors[1] * b)).collect()
        }
        FloatOp::MaxPool(window) => {
            pool(window, from, to, x, |items| items.fold(f32::NEG_INFINITY, f32::max))
        }
        FloatOp::AveragePool(window) => {
            let d = (window.kernel[0] * window.kernel[1]) as f64;
            pool(window, from, to, x, |items| (items.map(f64::from).sum::<f64>() / d) as f32)
        }
        FloatOp::Reshape(_) => x.to_vec(),
        FloatOp::Gather { index, .. } => index.iter().map(|i| x[*i as usize]).collect(),
    }
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
