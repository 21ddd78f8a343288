//! Tree ensembles (ONNX-ML), exactly: every test `x[f] <= t` is a bit, a leaf is reached where all bits on its path agree, and the result
//! sums the reached leaves' weights. Three layers and a selection, however many trees there are.

use proofmesh_graph::op::Window;
use proofmesh_graph::tensor::Shape;

use super::view::Activation;
use super::{Parser, Value};
use crate::float::{Clamp, FloatConv, FloatOp};
use crate::limits;
use crate::onnx::OnnxNode;

/// A node of a tree.
#[derive(Clone, Copy, Debug)]
struct Test {
    feature: usize,
    at: f32,
    /// Whether the bit is `x >= at` rather than `x > at`.
    inclusive: bool,
    /// The bit that leads to the true branch.
    when: bool,
    /// Places of the branches, true first.
    next: [usize; 2],
}

/// One tree: nodes in file order, a test or a leaf each.
#[derive(Default)]
struct Tree {
    ids: Vec<i64>,
    nodes: Vec<Option<Test>>,
    branches: Vec<[i64; 2]>,
}

/// A leaf: the tests on its path and what they must be; by its node's place.
type Leaf = (usize, Vec<(usize, bool)>);

fn floats<'a>(node: &'a OnnxNode, name: &str) -> &'a [f32] {
    node.attribute(name).map(|a| a.floats.as_slice()).unwrap_or_default()
}

fn whole<'a>(node: &'a OnnxNode, name: &str) -> &'a [i64] {
    node.attribute(name).map(|a| a.ints.as_slice()).unwrap_or_default()
}

/// The trees of an ensemble with their ids.
fn trees(node: &OnnxNode, features: usize) -> Result<Vec<(i64, Tree)>, String> {
    let ids = whole(node, "nodes_nodeids");
    let owners = whole(node, "nodes_treeids");
    let (of, at) = (whole(node, "nodes_featureids"), floats(node, "nodes_values"));
    let (yes, no) = (whole(node, "nodes_truenodeids"), whole(node, "nodes_falsenodeids"));
    let modes = node.attribute("nodes_modes").map(|a| a.texts.as_slice()).unwrap_or_default();
    let count = ids.len();
    if count == 0
        || [owners.len(), of.len(), at.len(), yes.len(), no.len(), modes.len()].iter().any(|n| *n != count)
    {
        return Err("its lists of nodes are empty or differ in length".into());
    }
    let mut trees: Vec<(i64, Tree)> = Vec::new();
    for i in 0..count {
        if trees.last().is_none_or(|(owner, _)| *owner != owners[i]) {
            if trees.iter().any(|(owner, _)| *owner == owners[i]) {
                return Err(format!("nodes of tree {} do not lie together", owners[i]));
            }
            trees.push((owners[i], Tree::default()));
        }
        let Some((_, tree)) = trees.last_mut() else { return Err("has no trees".into()) };
        let (inclusive, when) = match modes[i].as_str() {
            "LEAF" => {
                tree.nodes.push(None);
                tree.ids.push(ids[i]);
                tree.branches.push([0; 2]);
                continue;
            }
            "BRANCH_LEQ" => (false, false),
            "BRANCH_LT" => (true, false),
            "BRANCH_GTE" => (true, true),
            "BRANCH_GT" => (false, true),
            other => return Err(format!("mode `{other}` is not supported: compare by order")),
        };
        let feature = usize::try_from(of[i]).ok().filter(|f| *f < features);
        let feature = feature.ok_or_else(|| format!("feature {} of an input with {features}", of[i]))?;
        tree.nodes.push(Some(Test { feature, at: at[i], inclusive, when, next: [0; 2] }));
        tree.ids.push(ids[i]);
        tree.branches.push([yes[i], no[i]]);
    }
    for (owner, tree) in &mut trees {
        for i in 0..tree.nodes.len() {
            let places = tree.branches[i].map(|id| tree.ids.iter().position(|own| *own == id));
            if let Some(test) = &mut tree.nodes[i] {
                let [Some(yes), Some(no)] = places else {
                    return Err(format!("tree {owner}: a branch leads nowhere"));
                };
                test.next = [yes, no];
            }
        }
    }
    Ok(trees)
}

impl Tree {
    /// Its leaves with their paths.
    fn leaves(&self) -> Result<Vec<Leaf>, String> {
        let mut open: Vec<Leaf> = vec![(0, Vec::new())];
        let mut leaves = Vec::new();
        while let Some((at, path)) = open.pop() {
            let Some(test) = self.nodes[at] else {
                leaves.push((at, path));
                continue;
            };
            // A path longer than the tree has nodes goes round in a circle; so do more leaves than nodes.
            if path.len() >= self.nodes.len() || leaves.len() + open.len() > self.nodes.len() {
                return Err("a tree's branches go round in a circle".into());
            }
            for (next, bit) in [(test.next[1], !test.when), (test.next[0], test.when)] {
                open.push((next, [&path[..], &[(at, bit)]].concat()));
            }
        }
        Ok(leaves)
    }
}

/// A layer with a kernel of 1.
fn layer(groups: usize, weights: Vec<f32>, bias: Vec<f32>) -> FloatConv {
    let window = Window { kernel: [1, 1], stride: [1, 1], pad: [0; 4] };
    FloatConv { out_channels: bias.len(), groups, window, weights, bias, clamp: Clamp::NONE }
}

/// What leaves add: `(tree, node, target, weight)`.
struct Votes<'a> {
    trees: &'a [i64],
    nodes: &'a [i64],
    targets: &'a [i64],
    weights: &'a [f32],
}

/// The sums of the reached leaves' weights, `[1, bias.len()]`.
fn ensemble(
    parser: &mut Parser<'_>,
    node: &OnnxNode,
    votes: &Votes<'_>,
    bias: Vec<f32>,
    share: impl Fn(usize) -> f32,
) -> Result<Activation, String> {
    let a = parser.activation(node, 0)?;
    let features = a.len();
    if a.dims.last() != Some(&features) {
        return Err(format!("an input {:?} is not one row of features", a.dims));
    }
    if [votes.nodes.len(), votes.targets.len(), votes.weights.len()].iter().any(|n| *n != votes.trees.len()) {
        return Err("its lists of weights differ in length".into());
    }
    let trees = trees(node, features)?;
    let share = share(trees.len());
    let mut shaped = Vec::with_capacity(trees.len());
    for (_, tree) in &trees {
        let tests: Vec<usize> = (0..tree.nodes.len()).filter(|i| tree.nodes[*i].is_some()).collect();
        shaped.push((tests, tree.leaves()?));
    }
    let most = |f: fn(&(Vec<usize>, Vec<Leaf>)) -> usize| shaped.iter().map(f).max().unwrap_or(0).max(1);
    let (tests, leaves) = (most(|s| s.0.len()), most(|s| s.1.len()));
    let (all_tests, all_leaves) = (tests * trees.len(), leaves * trees.len());
    if all_leaves.saturating_mul(tests + bias.len()) > limits::MAX_PARAMETERS {
        return Err("its trees are too many or too uneven: prune them".into());
    }
    // Trees smaller than the largest one are filled with tests that are never passed and leaves that are never reached.
    let mut index = vec![0u32; all_tests];
    let (mut at, mut inclusive) = (vec![f32::MAX; all_tests], vec![false; all_tests]);
    let (mut paths, mut base) = (vec![0.0; all_leaves * tests], vec![0.0; all_leaves]);
    let mut weights = vec![0.0; bias.len() * all_leaves];
    for (t, ((id, tree), (own, ends))) in trees.iter().zip(&shaped).enumerate() {
        for (i, place) in own.iter().enumerate() {
            let Some(test) = tree.nodes[*place] else { continue };
            let bit = t * tests + i;
            (index[bit], at[bit], inclusive[bit]) = (test.feature as u32, test.at, test.inclusive);
        }
        for (l, (place, path)) in ends.iter().enumerate() {
            let leaf = t * leaves + l;
            // 1 if all agree: agreeing bits, minus their number, plus 1.
            base[leaf] = 1.0 - path.iter().filter(|(_, bit)| *bit).count() as f32;
            for (test, bit) in path {
                let i = own.iter().position(|o| o == test).unwrap_or(0);
                paths[leaf * tests + i] = if *bit { 1.0 } else { -1.0 };
            }
            for v in (0..votes.trees.len())
                .filter(|v| votes.trees[*v] == *id && votes.nodes[*v] == tree.ids[*place])
            {
                let target = usize::try_from(votes.targets[v]).ok().filter(|t| *t < bias.len());
                let target = target.ok_or_else(|| format!("a weight for target {}", votes.targets[v]))?;
                weights[target * all_leaves + leaf] += share * votes.weights[v];
            }
        }
    }
    let picked = parser.arrange(node, a.id, Shape::new(all_tests, 1, 1), Some(index))?;
    let bits = parser.append(node, FloatOp::Threshold { at, inclusive }, vec![picked])?;
    let reached = parser.append(node, FloatOp::Truth(layer(trees.len(), paths, base)), vec![bits])?;
    let dims = vec![1, bias.len()];
    let id = parser.append(node, FloatOp::Conv(layer(1, weights, bias)), vec![reached])?;
    Ok(Activation::new(id, dims))
}

/// What each target starts from.
fn base_values(node: &OnnxNode, targets: usize) -> Result<Vec<f32>, String> {
    let base = floats(node, "base_values");
    match base.len() {
        0 => Ok(vec![0.0; targets]),
        n if n == targets => Ok(base.to_vec()),
        n => Err(format!("{n} base values for {targets} targets")),
    }
}

/// Whether a transformation after the sums is dropped; it never changes which one is largest.
fn dropped(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<bool, String> {
    match node.text("post_transform", "NONE") {
        "NONE" => Ok(false),
        kind @ ("LOGISTIC" | "SOFTMAX") => {
            let note = format!("`{}` ends with {kind}, which was dropped: outputs are logits", node.name);
            parser.notes.push(note);
            Ok(true)
        }
        other => Err(format!("post_transform `{other}` is not supported")),
    }
}

pub(super) fn regressor(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let targets =
        usize::try_from(node.int("n_targets", 1)).ok().filter(|n| (1..=limits::MAX_CLASSES).contains(n));
    let bias = base_values(node, targets.ok_or("n_targets is below 1 or too large")?)?;
    let mean = match node.text("aggregate_function", "SUM") {
        "SUM" => false,
        "AVERAGE" => true,
        other => return Err(format!("aggregate_function `{other}` is not supported")),
    };
    dropped(parser, node)?;
    let votes = Votes {
        trees: whole(node, "target_treeids"),
        nodes: whole(node, "target_nodeids"),
        targets: whole(node, "target_ids"),
        weights: floats(node, "target_weights"),
    };
    let share = |trees: usize| if mean { 1.0 / trees as f32 } else { 1.0 };
    ensemble(parser, node, &votes, bias, share).map(Value::Activation)
}

/// Scores are the sums; both outputs of the operator stand for them, the label being the largest one.
pub(super) fn classifier(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let texts = node.attribute("classlabels_strings").map_or(0, |a| a.texts.len());
    let classes = whole(node, "classlabels_int64s").len().max(texts);
    if !(2..=limits::MAX_CLASSES).contains(&classes) {
        return Err(format!("has {classes} classes"));
    }
    let logits = dropped(parser, node)?;
    let mut votes = Votes {
        trees: whole(node, "class_treeids"),
        nodes: whole(node, "class_nodeids"),
        targets: whole(node, "class_ids"),
        weights: floats(node, "class_weights"),
    };
    let single = classes == 2 && votes.targets.windows(2).all(|w| w[0] == w[1]);
    let scores = if single {
        // One sum s for two classes: [1 - s, s] for votes that are shares, else [-s, s].
        let zeros = vec![0; votes.targets.len()];
        votes.targets = &zeros;
        let base = floats(node, "base_values").last().copied().unwrap_or(0.0);
        let s = ensemble(parser, node, &votes, vec![base], |_| 1.0)?;
        let first = if !logits && votes.weights.iter().all(|w| *w >= 0.0) { 1.0 } else { 0.0 };
        let both = FloatOp::Conv(layer(1, vec![-1.0, 1.0], vec![first, 0.0]));
        Activation::new(parser.append(node, both, vec![s.id])?, vec![1, 2])
    } else {
        let bias = base_values(node, classes)?;
        ensemble(parser, node, &votes, bias, |_| 1.0)?
    };
    if parser.is_last(node, 0) {
        parser.notes.push(format!("`{}`: the label is the largest score, output `argmax`", node.name));
    }
    parser.give(node, 1, Value::Activation(scores.clone()));
    Ok(Value::Activation(scores))
}
