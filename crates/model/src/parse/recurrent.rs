//! LSTM and GRU, unrolled over the sequence: the input's part of all gates in one layer, then a step at a time. What has one role has one
//! scale at every step, so that all steps share their tables. Source: ONNX LSTM 14 and GRU 14.

use proofmesh_graph::op::Window;
use proofmesh_graph::tensor::Shape;

use super::view::Activation;
use super::{Parser, Value, linear, select};
use crate::float::{Clamp, Curve, FloatConv, FloatOp, ValueId};
use crate::onnx::{Constant, OnnxNode};

/// Weights of one direction, `[gates * hidden][..]` each.
struct Weights {
    input: Vec<f32>,
    state: Vec<f32>,
    /// Of the input's part, then of the state's.
    bias: [Vec<f32>; 2],
}

/// The operator with its sizes.
struct Cell<'a> {
    node: &'a OnnxNode,
    hidden: usize,
    steps: usize,
    /// Groups of values that share a scale, by role.
    ties: [u32; 9],
}

/// Attributes and inputs that must be left at their defaults.
fn only_defaults(parser: &Parser<'_>, node: &OnnxNode, functions: &[&str]) -> Result<(), String> {
    let named = node.attribute("activations").map(|a| a.texts.as_slice()).unwrap_or_default();
    if named.iter().zip(functions.iter().cycle()).any(|(a, b)| !a.eq_ignore_ascii_case(b)) {
        return Err(format!("activations {named:?} are not supported: only {functions:?}"));
    }
    if node.attribute("clip").is_some() || node.int("input_forget", 0) != 0 {
        return Err("clip and input_forget are not supported".into());
    }
    for (i, what) in [(5, "an initial state"), (6, "an initial cell"), (7, "peepholes")] {
        if node.inputs.get(i).is_some_and(|name| !name.is_empty())
            && parser.optional_constant(node, i)?.is_some_and(|c| c.floats().iter().any(|v| *v != 0.0))
        {
            return Err(format!("{what} other than zeros is not supported"));
        }
    }
    Ok(())
}

/// A direction's part of a constant whose first axis counts directions.
fn part(c: &Constant, direction: usize, directions: usize, length: usize) -> Result<Vec<f32>, String> {
    if c.dims.first() != Some(&directions) || c.len() != directions * length {
        return Err(format!("weights {:?} do not hold {directions} times {length} numbers", c.dims));
    }
    Ok(c.floats()[direction * length..(direction + 1) * length].to_vec())
}

/// LSTM and GRU.
pub(super) fn recurrent(parser: &mut Parser<'_>, node: &OnnxNode) -> Result<Value, String> {
    let gates = if node.op == "LSTM" { 4 } else { 3 };
    only_defaults(
        parser,
        node,
        if gates == 4 { &["Sigmoid", "Tanh", "Tanh"] } else { &["Sigmoid", "Tanh"] },
    )?;
    let mut x = parser.view(node, 0)?;
    if x.dims.len() != 3 {
        return Err(format!("an input {:?} is not [sequence, batch, features]", x.dims));
    }
    let batch_first = node.int("layout", 0) != 0;
    if batch_first {
        x = x.permuted(&[1, 0, 2]);
    }
    let [steps, batch, features] = x.dims[..] else { return Err("an input without three axes".into()) };
    let lengths = parser.optional_constant(node, 4)?;
    if batch != 1 || lengths.is_some_and(|l| l.floats().iter().any(|v| *v != steps as f32)) {
        return Err("a batch other than 1, or sequences cut short, are not supported".into());
    }
    let (w, r) = (parser.constant(node, 1)?, parser.constant(node, 2)?);
    let hidden = r.dims.last().copied().unwrap_or(0);
    let (directions, reverse_first) = match node.text("direction", "forward") {
        "forward" => (1, false),
        "reverse" => (1, true),
        "bidirectional" => (2, false),
        other => return Err(format!("direction `{other}` is not known")),
    };
    if hidden == 0 || node.int("hidden_size", hidden as i64) != hidden as i64 {
        return Err(format!("weights {:?} do not have the stated hidden size", r.dims));
    }
    let Value::Activation(x) = parser.resized(node, x, vec![steps, features])? else {
        return Err("a reshape gave a constant".into());
    };
    let biases = parser.optional_constant(node, 3)?;
    let rows = gates * hidden;
    let (mut states, mut lasts, mut cells) = (Vec::new(), Vec::new(), Vec::new());
    for direction in 0..directions {
        let bias = match &biases {
            Some(b) => part(b, direction, directions, 2 * rows)?,
            None => vec![0.0; 2 * rows],
        };
        let weights = Weights {
            input: part(&w, direction, directions, rows * features)?,
            state: part(&r, direction, directions, rows * hidden)?,
            bias: [bias[..rows].to_vec(), bias[rows..].to_vec()],
        };
        let ties = std::array::from_fn(|_| parser.new_tie());
        let cell = Cell { node, hidden, steps, ties };
        let backwards = reverse_first || direction == 1;
        let order: Vec<usize> = if backwards { (0..steps).rev().collect() } else { (0..steps).collect() };
        let (mut own, last_cell) = if gates == 4 {
            cell.lstm(parser, x.clone(), &weights, &order)?
        } else {
            (cell.gru(parser, x.clone(), &weights, &order)?, None)
        };
        lasts.push(own[steps - 1]);
        cells.extend(last_cell);
        if backwards {
            own.reverse();
        }
        states.push(own);
    }
    let wanted = |i: usize| node.outputs.get(i).is_some_and(|name| !name.is_empty());
    let order =
        |dims: [usize; 4]| if batch_first { vec![dims[2], dims[0], dims[1], dims[3]] } else { dims.to_vec() };
    for (i, ids) in [(1, lasts), (2, cells)] {
        if wanted(i) && !ids.is_empty() {
            let index = (0..(directions * hidden) as u32).collect();
            let dims = if batch_first { vec![1, directions, hidden] } else { vec![directions, 1, hidden] };
            let value = select::joined(parser, node, ids, index, dims)?;
            parser.give(node, i, value);
        }
    }
    // All states, which few models read: without a reader they go.
    let ids = (0..steps).flat_map(|t| states.iter().map(move |own| own[t])).collect();
    let index = (0..(steps * directions * hidden) as u32).collect();
    select::joined(parser, node, ids, index, order([steps, directions, 1, hidden]))
}

impl Cell<'_> {
    fn op(
        &self,
        parser: &mut Parser<'_>,
        op: FloatOp,
        inputs: &[ValueId],
        role: usize,
    ) -> Result<ValueId, String> {
        let id = parser.append(self.node, op, inputs.to_vec())?;
        parser.tie(id, self.ties[role]);
        Ok(id)
    }

    /// Elements `from..from + count` of a vector.
    fn cut(
        &self,
        parser: &mut Parser<'_>,
        id: ValueId,
        from: usize,
        count: usize,
    ) -> Result<ValueId, String> {
        let index = (from..from + count).map(|i| i as u32).collect();
        parser.arrange(self.node, id, Shape::new(count, 1, 1), Some(index))
    }

    /// A dense layer on the state.
    fn dense(&self, state: ValueId, weights: &[f32], bias: &[f32]) -> (FloatOp, ValueId) {
        let window = Window { kernel: [1, 1], stride: [1, 1], pad: [0; 4] };
        let layer = FloatConv {
            out_channels: bias.len(),
            groups: 1,
            window,
            weights: weights.to_vec(),
            bias: bias.to_vec(),
            clamp: Clamp::NONE,
        };
        (FloatOp::Conv(layer), state)
    }

    fn sum(&self, parser: &mut Parser<'_>, a: ValueId, b: ValueId, role: usize) -> Result<ValueId, String> {
        self.op(parser, FloatOp::Sum { factors: [1.0, 1.0], clamp: Clamp::NONE }, &[a, b], role)
    }

    /// The input's part of every gate at every step, as `[gates * hidden, steps, 1]`, and one step of it.
    fn inputs(
        &self,
        parser: &mut Parser<'_>,
        x: Activation,
        weights: &[f32],
        bias: Vec<f32>,
    ) -> Result<ValueId, String> {
        let (id, strides) = parser.channels_last(self.node, &x)?;
        let x = Activation { id, strides, ..x };
        let y = linear::at_every_place(parser, self.node, x, weights.to_vec(), bias, Clamp::NONE)?;
        let moved = y.permuted(&[1, 0]);
        let shape = Shape::new(moved.dims[0], moved.dims[1], 1);
        parser.tie(y.id, self.ties[0]);
        parser.arrange(self.node, y.id, shape, Some(moved.positions()))
    }

    fn step(
        &self,
        parser: &mut Parser<'_>,
        all: ValueId,
        rows: std::ops::Range<usize>,
        t: usize,
    ) -> Result<ValueId, String> {
        let shape = Shape::new(rows.len(), 1, 1);
        let index = rows.map(|g| (g * self.steps + t) as u32).collect();
        parser.arrange(self.node, all, shape, Some(index))
    }

    /// States in the order of the steps, and the last cell. Gates are input, output, forget, cell.
    fn lstm(
        &self,
        parser: &mut Parser<'_>,
        x: Activation,
        weights: &Weights,
        order: &[usize],
    ) -> Result<(Vec<ValueId>, Option<ValueId>), String> {
        let n = self.hidden;
        let bias = weights.bias[0].iter().zip(&weights.bias[1]).map(|(a, b)| a + b).collect();
        let all = self.inputs(parser, x, &weights.input, bias)?;
        let (mut states, mut cell): (Vec<ValueId>, Option<ValueId>) = (Vec::new(), None);
        for t in order {
            let mut gates = self.step(parser, all, 0..4 * n, *t)?;
            if let Some(state) = states.last() {
                let (layer, from) = self.dense(*state, &weights.state, &vec![0.0; 4 * n]);
                let own = self.op(parser, layer, &[from], 1)?;
                gates = self.sum(parser, gates, own, 0)?;
            }
            let open = self.cut(parser, gates, 0, 3 * n)?;
            let open = self.op(parser, FloatOp::Curve(Curve::Sigmoid), &[open], 2)?;
            let new = self.cut(parser, gates, 3 * n, n)?;
            let new = self.op(parser, FloatOp::Curve(Curve::Tanh), &[new], 3)?;
            let [input, output, forget] = [0, n, 2 * n].map(|from| self.cut(parser, open, from, n));
            let next = self.op(parser, FloatOp::Multiply { gain: 1.0 }, &[input?, new], 4)?;
            let next = match cell {
                Some(cell) => {
                    let kept = self.op(parser, FloatOp::Multiply { gain: 1.0 }, &[forget?, cell], 8)?;
                    self.sum(parser, kept, next, 5)?
                }
                // On the scale that all cells share.
                None => {
                    self.op(parser, FloatOp::Affine { scale: vec![1.0; n], shift: vec![0.0; n] }, &[next], 5)?
                }
            };
            cell = Some(next);
            let shown = self.op(parser, FloatOp::Curve(Curve::Tanh), &[next], 6)?;
            states.push(self.op(parser, FloatOp::Multiply { gain: 1.0 }, &[output?, shown], 7)?);
        }
        Ok((states, cell))
    }

    /// States in the order of the steps. Gates are update, reset, hidden.
    fn gru(
        &self,
        parser: &mut Parser<'_>,
        x: Activation,
        weights: &Weights,
        order: &[usize],
    ) -> Result<Vec<ValueId>, String> {
        let n = self.hidden;
        let after = self.node.int("linear_before_reset", 0) != 0;
        // The state's bias joins the input's, but for a hidden gate that is reset after its layer.
        let joint = |g: usize| g < 2 * n || !after;
        let [of_input, of_state] = &weights.bias;
        let bias = (0..3 * n).map(|g| of_input[g] + if joint(g) { of_state[g] } else { 0.0 }).collect();
        let late: Vec<f32> = (2 * n..3 * n).map(|g| if after { of_state[g] } else { 0.0 }).collect();
        let all = self.inputs(parser, x, &weights.input, bias)?;
        let mut states: Vec<ValueId> = Vec::new();
        for t in order {
            let mut open = self.step(parser, all, 0..2 * n, *t)?;
            let mut hidden = self.step(parser, all, 2 * n..3 * n, *t)?;
            let state = states.last().copied();
            if let Some(state) = state {
                let (layer, from) = self.dense(state, &weights.state[..2 * n * n], &vec![0.0; 2 * n]);
                let own = self.op(parser, layer, &[from], 1)?;
                open = self.sum(parser, open, own, 0)?;
            }
            let open = self.op(parser, FloatOp::Curve(Curve::Sigmoid), &[open], 2)?;
            let update = self.cut(parser, open, 0, n)?;
            let reset = self.cut(parser, open, n, n)?;
            let part = match state {
                Some(state) if after => {
                    let (layer, from) = self.dense(state, &weights.state[2 * n * n..], &late);
                    let own = self.op(parser, layer, &[from], 3)?;
                    Some(self.op(parser, FloatOp::Multiply { gain: 1.0 }, &[reset, own], 4)?)
                }
                Some(state) => {
                    let kept = self.op(parser, FloatOp::Multiply { gain: 1.0 }, &[reset, state], 4)?;
                    let (layer, from) = self.dense(kept, &weights.state[2 * n * n..], &late);
                    Some(self.op(parser, layer, &[from], 3)?)
                }
                None if late.iter().any(|v| *v != 0.0) => {
                    let scaled = FloatOp::Affine { scale: late.clone(), shift: vec![0.0; n] };
                    Some(parser.append(self.node, scaled, vec![reset])?)
                }
                None => None,
            };
            if let Some(part) = part {
                hidden = self.sum(parser, hidden, part, 0)?;
            }
            let hidden = self.op(parser, FloatOp::Curve(Curve::Tanh), &[hidden], 5)?;
            // (1 - z) n + z h = n + z (h - n).
            let away = match state {
                Some(state) => {
                    let op = FloatOp::Sum { factors: [1.0, -1.0], clamp: Clamp::NONE };
                    self.op(parser, op, &[state, hidden], 6)?
                }
                None => parser.append(
                    self.node,
                    FloatOp::Affine { scale: vec![-1.0; n], shift: vec![0.0; n] },
                    vec![hidden],
                )?,
            };
            let moved = parser.append(self.node, FloatOp::Multiply { gain: 1.0 }, vec![update, away])?;
            states.push(self.sum(parser, hidden, moved, 7)?);
        }
        Ok(states)
    }
}
