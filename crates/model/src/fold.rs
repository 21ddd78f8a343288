//! Simplifies a float graph before calibration, without changing what it computes:
//!
//! 1. reshapes that move nothing go; the others sink below element-wise steps and vanish into the dense
//!    layer that follows (as does a transposition);
//! 2. Relu and Clip rise above max pools and fuse into the layer before them;
//! 3. a per-channel affine step (BatchNormalization, products and sums with constants) fuses into the
//!    linear layer before it, else into the one after
//!    it (not through zero padding if it shifts), else it becomes a depthwise layer with a kernel of 1;
//! 4. selections of selections become one; what the output does not depend on goes.
//!
//! Each rule rewrites one edge and is tried until none applies; every rewrite removes a node or moves it
//! one step in a fixed direction, so this ends.

use proofmesh_graph::tensor::Shape;

use crate::float::{Clamp, FloatConv, FloatGraph, FloatNode, FloatOp, ValueId, ZERO};

/// The simplified graph.
///
/// Errors: shapes that do not hold together.
pub(crate) fn fold(mut graph: FloatGraph) -> Result<FloatGraph, String> {
    drop_dead(&mut graph);
    // Stopping early leaves a graph that computes the same with more layers.
    let limit = 64 + 4 * graph.nodes.len();
    for _ in 0..limit {
        let shapes = graph.shapes()?;
        let uses = graph.uses();
        let rewritten = (0..graph.nodes.len()).any(|at| rewrite(&mut graph, &shapes, &uses, at));
        if !rewritten {
            break;
        }
    }
    let shapes = graph.shapes()?;
    for (i, node) in graph.nodes.iter_mut().enumerate() {
        let channels = shapes[i + 1].c;
        let identity = || FloatConv::affine(vec![1.0; channels], vec![0.0; channels]);
        match &node.op {
            FloatOp::Affine { scale, shift } => {
                node.op = FloatOp::Conv(FloatConv::affine(scale.clone(), shift.clone()));
            }
            FloatOp::Clamp(clamp) => node.op = FloatOp::Conv(FloatConv { clamp: *clamp, ..identity() }),
            _ => {}
        }
    }
    fuse_clamps(&mut graph);
    drop_dead(&mut graph);
    graph.shapes()?;
    Ok(graph)
}

/// Removes nodes that the output does not depend on.
fn drop_dead(graph: &mut FloatGraph) {
    let mut at = graph.nodes.len();
    let mut uses = graph.uses();
    while at > 0 {
        at -= 1;
        if uses[at + 1] == 0 {
            graph.nodes[at].inputs.iter().for_each(|v| uses[*v] -= 1);
            uses.remove(at + 1);
            // No one reads it, so no one reads its operand instead.
            remove(graph, at, 0);
        }
    }
}

/// Whether a Gather only changes the order.
fn is_permutation(shapes: &[Shape], node: &FloatNode, index: &[u32]) -> bool {
    let [from] = node.inputs[..] else { return false };
    let mut seen = vec![false; shapes[from].len()];
    index.len() == seen.len()
        && index.iter().all(|i| seen.get_mut(*i as usize).is_some_and(|s| !std::mem::replace(s, true)))
}

/// An affine layer made from a lone step may now take the clamp after it.
fn fuse_clamps(graph: &mut FloatGraph) {
    let mut at = 0;
    while at < graph.nodes.len() {
        let uses = graph.uses();
        if identity_clamp(graph, at).is_some_and(|clamp| absorb_clamp(graph, &uses, at, clamp)) {
            continue;
        }
        at += 1;
    }
}

/// The clamp of a layer that does nothing else.
fn identity_clamp(graph: &FloatGraph, at: usize) -> Option<Clamp> {
    match &graph.nodes[at].op {
        FloatOp::Conv(c)
            if c.groups == c.out_channels
                && c.window.kernel == [1, 1]
                && c.window.stride == [1, 1]
                && c.window.pad == [0; 4]
                && c.row_len() == 1
                && c.weights.iter().all(|w| *w == 1.0)
                && c.bias.iter().all(|b| *b == 0.0) =>
        {
            Some(c.clamp)
        }
        _ => None,
    }
}

/// Removes node `at`; its readers read `instead`.
fn remove(graph: &mut FloatGraph, at: usize, instead: ValueId) {
    let gone = at + 1;
    graph.nodes.remove(at);
    let moved = |v: ValueId| {
        let v = if v == gone { instead } else { v };
        if v > gone { v - 1 } else { v }
    };
    for node in &mut graph.nodes {
        node.inputs.iter_mut().for_each(|v| *v = moved(*v));
    }
    graph.output = moved(graph.output);
}

/// Index of the node that gives a value, if no one else reads it.
fn sole_producer(uses: &[usize], value: ValueId) -> Option<usize> {
    (value > 0 && uses[value] == 1).then(|| value - 1)
}

/// Tries every rule on node `at`.
fn rewrite(graph: &mut FloatGraph, shapes: &[Shape], uses: &[usize], at: usize) -> bool {
    match &graph.nodes[at].op {
        FloatOp::Reshape(shape) => {
            let shape = *shape;
            drop_reshape(graph, shapes, at, shape) || join_gathers(graph, uses, at)
        }
        FloatOp::Gather { .. } => join_gathers(graph, uses, at),
        FloatOp::Clamp(clamp) => {
            let clamp = *clamp;
            absorb_clamp(graph, uses, at, clamp) || swap_with_producer(graph, shapes, uses, at, true)
        }
        FloatOp::Curve(_) => swap_with_producer(graph, shapes, uses, at, false),
        FloatOp::Affine { .. } => absorb_affine(graph, uses, at),
        FloatOp::Conv(_) => absorb_layout(graph, shapes, uses, at) || absorb_affine_before(graph, uses, at),
        _ => false,
    }
}

/// A reshape that keeps `[C, H, W]`, follows another one, or is the output changes nothing that is computed.
fn drop_reshape(graph: &mut FloatGraph, shapes: &[Shape], at: usize, shape: Shape) -> bool {
    let from = graph.nodes[at].inputs[0];
    if shapes[from] == shape || graph.output == at + 1 && graph.uses()[at + 1] == 1 {
        remove(graph, at, from);
        return true;
    }
    if from > 0
        && let FloatOp::Reshape(_) = graph.nodes[from - 1].op
    {
        graph.nodes[at].inputs[0] = graph.nodes[from - 1].inputs[0];
        // The first reshape may have lost its last reader.
        if graph.uses()[from] == 0 {
            remove(graph, from - 1, graph.nodes[from - 1].inputs[0]);
        }
        return true;
    }
    false
}

/// A Gather or Reshape of a Gather that no one else reads, or of a Reshape, is one Gather.
fn join_gathers(graph: &mut FloatGraph, uses: &[usize], at: usize) -> bool {
    let [from] = graph.nodes[at].inputs[..] else { return false };
    let Some(before) = from.checked_sub(1) else { return false };
    let outer = match &graph.nodes[at].op {
        FloatOp::Gather { shape, index } => (*shape, Some(index)),
        FloatOp::Reshape(shape) => (*shape, None),
        _ => return false,
    };
    let joint = match (&graph.nodes[before].op, outer) {
        (FloatOp::Gather { index, .. }, (shape, Some(picks))) if uses[from] == 1 => {
            let pick = |i: &u32| if *i == ZERO { ZERO } else { index[*i as usize] };
            FloatOp::Gather { shape, index: picks.iter().map(pick).collect() }
        }
        (FloatOp::Gather { index, .. }, (shape, None)) if uses[from] == 1 => {
            FloatOp::Gather { shape, index: index.clone() }
        }
        (FloatOp::Reshape(_), (shape, Some(picks))) => FloatOp::Gather { shape, index: picks.clone() },
        _ => return false,
    };
    graph.nodes[at].inputs = graph.nodes[before].inputs.clone();
    graph.nodes[at].op = joint;
    if uses[from] == 1 {
        remove(graph, before, 0);
    }
    true
}

/// `f(reshape(x)) = reshape(f(x))` for element-wise f; a clamp also commutes with a maximum, as both are
/// monotone.
fn swap_with_producer(
    graph: &mut FloatGraph,
    shapes: &[Shape],
    uses: &[usize],
    at: usize,
    clamp: bool,
) -> bool {
    let Some(before) = sole_producer(uses, graph.nodes[at].inputs[0]) else { return false };
    let commutes = match &graph.nodes[before].op {
        FloatOp::Reshape(_) => true,
        FloatOp::Gather { index, .. } => is_permutation(shapes, &graph.nodes[before], index),
        FloatOp::MaxPool(_) | FloatOp::MinPool(_) => clamp,
        _ => false,
    };
    if !commutes || before + 1 != at {
        return false;
    }
    let inputs = graph.nodes[before].inputs.clone();
    graph.nodes.swap(before, at);
    graph.nodes[before].inputs = inputs;
    graph.nodes[at].inputs = vec![before + 1];
    true
}

fn absorb_clamp(graph: &mut FloatGraph, uses: &[usize], at: usize, clamp: Clamp) -> bool {
    let from = graph.nodes[at].inputs[0];
    let Some(before) = sole_producer(uses, from) else { return false };
    match &mut graph.nodes[before].op {
        FloatOp::Conv(FloatConv { clamp: own, .. })
        | FloatOp::Sum { clamp: own, .. }
        | FloatOp::Clamp(own) => *own = own.then(clamp),
        _ => return false,
    }
    remove(graph, at, from);
    true
}

fn absorb_affine(graph: &mut FloatGraph, uses: &[usize], at: usize) -> bool {
    let from = graph.nodes[at].inputs[0];
    let Some(before) = sole_producer(uses, from) else { return false };
    // The producer is an earlier node, so the two halves are disjoint.
    let (earlier, later) = graph.nodes.split_at_mut(at);
    let FloatOp::Affine { scale, shift } = &later[0].op else { return false };
    // A step that shares its scale with others is there to choose it.
    if later[0].tie.is_some() {
        return false;
    }
    match &mut earlier[before].op {
        FloatOp::Conv(c) if c.clamp == Clamp::NONE => {
            let row = c.row_len();
            for o in 0..c.out_channels {
                c.weights[o * row..(o + 1) * row].iter_mut().for_each(|w| *w *= scale[o]);
                c.bias[o] = c.bias[o] * scale[o] + shift[o];
            }
        }
        // One factor for all elements: the product's own scale takes it up.
        FloatOp::MatMul { gain, .. } | FloatOp::Multiply { gain }
            if scale[0] > 0.0 && scale.iter().all(|v| *v == scale[0]) && shift.iter().all(|v| *v == 0.0) =>
        {
            *gain *= scale[0];
        }
        FloatOp::Affine { scale: s, shift: t } => {
            for o in 0..s.len() {
                s[o] *= scale[o];
                t[o] = t[o] * scale[o] + shift[o];
            }
        }
        _ => return false,
    }
    remove(graph, at, from);
    true
}

/// A convolution takes an affine step before it: `W (s x + t) + b = (W s) x + (W t + b)`, unless padding
/// would have to become `t`.
fn absorb_affine_before(graph: &mut FloatGraph, uses: &[usize], at: usize) -> bool {
    let Some(before) = sole_producer(uses, graph.nodes[at].inputs[0]) else { return false };
    let (earlier, later) = graph.nodes.split_at_mut(at);
    let FloatOp::Affine { scale, shift } = &earlier[before].op else { return false };
    let FloatOp::Conv(conv) = &mut later[0].op else { return false };
    if conv.window.pad != [0; 4] && shift.iter().any(|t| *t != 0.0) {
        return false;
    }
    let (inputs, outputs) = (scale.len() / conv.groups, conv.out_channels / conv.groups);
    let (row, taps) = (conv.row_len(), conv.window.kernel[0] * conv.window.kernel[1]);
    for o in 0..conv.out_channels {
        let mut constant = f64::from(conv.bias[o]);
        for i in 0..inputs {
            let channel = (o / outputs) * inputs + i;
            for w in &mut conv.weights[o * row + i * taps..o * row + (i + 1) * taps] {
                constant += f64::from(*w) * f64::from(shift[channel]);
                *w *= scale[channel];
            }
        }
        conv.bias[o] = constant as f32;
    }
    remove(graph, before, graph.nodes[before].inputs[0]);
    true
}

/// A dense layer on a vector that is a reshaped or transposed block reads the block itself, with a kernel
/// as large as the block.
fn absorb_layout(graph: &mut FloatGraph, shapes: &[Shape], uses: &[usize], at: usize) -> bool {
    let FloatOp::Conv(conv) = &graph.nodes[at].op else { return false };
    let value = graph.nodes[at].inputs[0];
    let vector = shapes[value];
    let dense = conv.groups == 1
        && conv.window.kernel == [vector.h, vector.w]
        && conv.window.pad == [0; 4]
        && shapes[at + 1] == Shape::new(conv.out_channels, 1, 1);
    let Some(before) = sole_producer(uses, value).filter(|_| dense) else { return false };
    let from = graph.nodes[before].inputs[0];
    let block = shapes[from];
    let weights = match &graph.nodes[before].op {
        FloatOp::Reshape(_) => conv.weights.clone(),
        FloatOp::Gather { index, .. } if graph.nodes[before].inputs.len() == 1 && !index.contains(&ZERO) => {
            let row = conv.row_len();
            let mut weights = vec![0.0; conv.out_channels * block.len()];
            for o in 0..conv.out_channels {
                for (j, i) in index.iter().enumerate() {
                    weights[o * block.len() + *i as usize] += conv.weights[o * row + j];
                }
            }
            weights
        }
        _ => return false,
    };
    let dense = FloatConv { clamp: conv.clamp, ..FloatConv::dense(block, weights, conv.bias.clone()) };
    graph.nodes[at].op = FloatOp::Conv(dense);
    remove(graph, before, from);
    true
}
