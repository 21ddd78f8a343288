//! Recurrent networks, a small transformer and boosted trees of the zoo.

use super::net::fitted;
use super::script::{INPUT, Script, floats, int, ints};
use super::stream::Stream;
use crate::model::FloatModel;
use crate::onnx::Attribute;

/// Features of a step of the recurrent models.
pub(super) const FEATURES: usize = 8;
/// Steps of the recurrent models.
pub(super) const STEPS: usize = 32;
/// Hidden units of the recurrent models.
const HIDDEN: usize = 32;

/// An LSTM or GRU over a window, and classes from its last state.
pub(super) fn recurrent(
    mut stream: Stream,
    op: &str,
    steps: usize,
    rows: &[Vec<f32>],
    classes: usize,
) -> Vec<u8> {
    let gates = if op == "LSTM" { 4 } else { 3 };
    let mut s = Script::new(17, &[1, steps, FEATURES], 1);
    let x = s.node("Transpose", &[INPUT], vec![ints("perm", &[1, 0, 2])]);
    let bound = 1.5 / (HIDDEN as f32).sqrt();
    let mut weights = |s: &mut Script, dims: &[usize]| {
        let count = dims.iter().product();
        s.tensor(dims, stream.uniforms(count, -bound, bound))
    };
    let w = weights(&mut s, &[1, gates * HIDDEN, FEATURES]);
    let r = weights(&mut s, &[1, gates * HIDDEN, HIDDEN]);
    let b = weights(&mut s, &[1, 2 * gates * HIDDEN]);
    let mut attributes = vec![int("hidden_size", HIDDEN as i64)];
    if op == "GRU" {
        attributes.push(int("linear_before_reset", 1));
    }
    let outputs = s.nodes(op, &[&x, &w, &r, &b], attributes, 2);
    let state = s.node("Flatten", &[&outputs[1]], Vec::new());
    let float = FloatModel::parse(&s.encode(&state, &[1, HIDDEN]), None).expect("the zoo's models are read");
    let states: Vec<Vec<f32>> = rows.iter().map(|row| float.run(row).expect("rows fit the input")).collect();
    let (weights, bias) = fitted(&states, classes);
    let (w, b) = (s.tensor(&[classes, HIDDEN], weights), s.tensor(&[classes], bias));
    let y = s.node("Gemm", &[&state, &w, &b], vec![int("transB", 1)]);
    s.encode(&y, &[1, classes])
}

/// Sizes of the transformer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gpt {
    pub vocabulary: usize,
    pub context: usize,
    pub width: usize,
    pub heads: usize,
    pub layers: usize,
}

/// A dense layer along the last axis.
fn dense(s: &mut Script, stream: &mut Stream, x: &str, [from, to]: [usize; 2], gain: f32) -> String {
    let w = s.tensor(&[from, to], stream.normals(from * to, gain / (from as f32).sqrt()));
    let b = s.tensor(&[to], stream.uniforms(to, -0.1, 0.1));
    let y = s.node("MatMul", &[x, &w], Vec::new());
    s.node("Add", &[&y, &b], Vec::new())
}

fn normalised(s: &mut Script, stream: &mut Stream, x: &str, width: usize) -> String {
    let gain = s.tensor(&[width], stream.uniforms(width, 0.8, 1.2));
    let bias = s.tensor(&[width], stream.uniforms(width, -0.1, 0.1));
    s.node("LayerNormalization", &[x, &gain, &bias], vec![int("axis", -1)])
}

/// A GPT (Radford et al. 2019) in nanoGPT's layout: next-token scores after the last of `context` tokens.
pub(super) fn gpt(mut stream: Stream, sizes: Gpt) -> Vec<u8> {
    let Gpt { vocabulary, context, width, heads, layers } = sizes;
    let (rng, each) = (&mut stream, width / heads);
    let mut s = Script::new(20, &[1, context], 7);
    let table = s.tensor(&[vocabulary, width], rng.normals(vocabulary * width, 1.0));
    let places = s.tensor(&[context, width], rng.normals(context * width, 0.5));
    let tokens = s.node("Gather", &[&table, INPUT], Vec::new());
    let mut x = s.node("Add", &[&tokens, &places], Vec::new());
    let visible = (0..context * context).map(|i| i64::from(i % context <= i / context)).collect();
    let visible = s.whole(&[1, 1, context, context], visible);
    let lowest = s.tensor(&[], vec![f32::MIN]);
    let scale = s.tensor(&[], vec![1.0 / (each as f32).sqrt()]);
    let split = s.list(&[1, context as i64, heads as i64, each as i64]);
    let joined = s.list(&[1, context as i64, width as i64]);
    for _ in 0..layers {
        let y = normalised(&mut s, rng, &x, width);
        let all = dense(&mut s, rng, &y, [width, 3 * width], 1.2);
        let parts = s.nodes("Split", &[&all], vec![int("axis", 2), int("num_outputs", 3)], 3);
        let mut head = |part: &str, perm: &[usize]| {
            let y = s.node("Reshape", &[part, &split], Vec::new());
            s.node("Transpose", &[&y], vec![ints("perm", perm)])
        };
        let q = head(&parts[0], &[0, 2, 1, 3]);
        let k = head(&parts[1], &[0, 2, 3, 1]);
        let v = head(&parts[2], &[0, 2, 1, 3]);
        let scores = s.node("MatMul", &[&q, &k], Vec::new());
        let scores = s.node("Mul", &[&scores, &scale], Vec::new());
        let scores = s.node("Where", &[&visible, &scores, &lowest], Vec::new());
        let shares = s.node("Softmax", &[&scores], vec![int("axis", -1)]);
        let mixed = s.node("MatMul", &[&shares, &v], Vec::new());
        let mixed = s.node("Transpose", &[&mixed], vec![ints("perm", &[0, 2, 1, 3])]);
        let mixed = s.node("Reshape", &[&mixed, &joined], Vec::new());
        let y = dense(&mut s, rng, &mixed, [width, width], 0.7);
        x = s.node("Add", &[&x, &y], Vec::new());
        let y = normalised(&mut s, rng, &x, width);
        let y = dense(&mut s, rng, &y, [width, 4 * width], 1.0);
        let y = s.node("Gelu", &[&y], Vec::new());
        let y = dense(&mut s, rng, &y, [4 * width, width], 0.7);
        x = s.node("Add", &[&x, &y], Vec::new());
    }
    let last = s.whole(&[], vec![context as i64 - 1]);
    let x = s.node("Gather", &[&x, &last], vec![int("axis", 1)]);
    let x = normalised(&mut s, rng, &x, width);
    let y = dense(&mut s, rng, &x, [width, vocabulary], 2.0);
    s.encode(&y, &[1, vocabulary])
}

/// Sizes of the boosted trees.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forest {
    pub features: usize,
    pub trees: usize,
    pub depth: usize,
}

/// Boosted regression trees whose sum is a logit; thresholds lie in `[-2, 2]`. Branches end early now and then, as grown trees' do.
pub(super) fn boosted(mut stream: Stream, sizes: Forest) -> Vec<u8> {
    let Forest { features, trees, depth } = sizes;
    let mut lists: [Vec<usize>; 5] = Default::default();
    let [tree_ids, node_ids, feature_ids, yes, no] = &mut lists;
    let (mut at, mut modes) = (Vec::new(), Vec::new());
    let (mut leaf_trees, mut leaf_nodes, mut weights) = (Vec::new(), Vec::new(), Vec::new());
    for tree in 0..trees {
        // Depth of each node that is to be written, in the order of their ids.
        let mut depths = vec![0];
        let mut id = 0;
        while id < depths.len() {
            tree_ids.push(tree);
            node_ids.push(id);
            let leaf = depths[id] == depth || (depths[id] > 1 && stream.below(8) == 0);
            if leaf {
                modes.push("LEAF".to_string());
                at.push(0.0);
                [&mut *feature_ids, yes, no].iter_mut().for_each(|list| list.push(0));
                leaf_trees.push(tree);
                leaf_nodes.push(id);
                weights.push(stream.normal(0.3));
            } else {
                modes.push("BRANCH_LEQ".to_string());
                at.push(stream.uniform(-2.0, 2.0));
                feature_ids.push(stream.below(features));
                yes.push(depths.len());
                no.push(depths.len() + 1);
                depths.extend([depths[id] + 1; 2]);
            }
            id += 1;
        }
    }
    let zeros = vec![0; weights.len()];
    let mut attributes = vec![
        int("n_targets", 1),
        floats("nodes_values", at),
        floats("target_weights", weights),
        floats("base_values", vec![0.1]),
        Attribute { name: "nodes_modes".into(), texts: modes, ..Attribute::default() },
    ];
    let names =
        ["nodes_treeids", "nodes_nodeids", "nodes_featureids", "nodes_truenodeids", "nodes_falsenodeids"];
    attributes.extend(names.iter().zip(&lists).map(|(name, list)| ints(name, list)));
    for (name, list) in
        [("target_treeids", leaf_trees), ("target_nodeids", leaf_nodes), ("target_ids", zeros)]
    {
        attributes.push(ints(name, &list));
    }
    let mut s = Script::new(17, &[1, features], 1);
    let y = s.node("TreeEnsembleRegressor", &[INPUT], attributes);
    s.encode(&y, &[1, 1])
}
