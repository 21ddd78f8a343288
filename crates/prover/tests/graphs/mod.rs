//! Random programs over every operator, and what must hold of each.
#![allow(dead_code)] // Each test file uses a part.

use proofmesh_graph::op::{
    Add, AveragePool, Conv, Divide, ExtremePool, Gather, Lut, MatMul, Multiply, Op, ReduceSum, Requantise,
    Rescale, Sum, Window,
};
use proofmesh_graph::program::{InputSpec, Interval, Node, Output, Program, ValueType, WeightMode};
use proofmesh_graph::statement;
use proofmesh_graph::tensor::{Shape, Tensor};
use proptest::prelude::*;
use rand::RngExt;
use rand::rngs::StdRng;

use crate::reference;
use crate::toys::{Toy, node};

/// The kinds of node that are drawn.
pub const KINDS: usize = 14;

/// A program that is being drawn.
pub struct Draw<'a> {
    rng: &'a mut StdRng,
    program: Program,
    types: Vec<ValueType>,
}

/// A window that fits an input of the given size; strides may exceed the kernel.
fn random_window(rng: &mut StdRng, h: usize, w: usize) -> Window {
    let mut axis = |n: usize| {
        let kernel = rng.random_range(1..=4);
        let (before, after) = (rng.random_range(0..kernel), rng.random_range(0..kernel));
        let fits = n + before + after >= kernel;
        let (kernel, before, after) = if fits { (kernel, before, after) } else { (n, 0, 0) };
        (kernel, rng.random_range(1..=5), before, after)
    };
    let ((kh, sh, top, bottom), (kw, sw, left, right)) = (axis(h), axis(w));
    Window { kernel: [kh, kw], stride: [sh, sw], pad: [top, left, bottom, right] }
}

/// A clamp, now and then of one value.
fn random_clamp(rng: &mut StdRng) -> Interval {
    let lo = rng.random_range(-100..=20);
    Interval { lo, hi: lo + rng.random_range(0..4) * rng.random_range(0..60) }
}

/// Ascending thresholds around zero, now and then of equal height.
fn random_thresholds(rng: &mut StdRng, rescale: Rescale) -> Vec<i32> {
    let (width, span) = (1 << rescale.shift, (rescale.clamp.hi - rescale.clamp.lo) as usize);
    let steps: Vec<i32> = (0..span).map(|_| rng.random_range(0..=width)).collect();
    let start = -rng.random_range(0..=steps.iter().sum::<i32>().max(1));
    steps
        .iter()
        .scan(start, |at, step| {
            *at += step;
            Some(*at)
        })
        .collect()
}

impl Draw<'_> {
    /// Adds a node if the program allows it; gives its value.
    fn try_push(&mut self, op: Op, inputs: &[usize]) -> Option<usize> {
        let id = self.types.len();
        self.program.nodes.push(node(&format!("node {id}"), op, inputs));
        match self.program.check() {
            Ok(types) => {
                self.types = types;
                Some(id)
            }
            Err(_) => {
                self.program.nodes.pop();
                None
            }
        }
    }

    fn any(&mut self) -> usize {
        self.rng.random_range(0..self.types.len())
    }

    fn shape(&self, id: usize) -> Shape {
        self.types[id].shape
    }

    /// A table over a value's whole interval with results in a range.
    fn table(&mut self, id: usize, results: core::ops::RangeInclusive<i32>) -> Op {
        let interval = self.types[id].interval;
        let first = interval.lo - self.rng.random_range(0..3);
        let rows = interval.hi - first + 1 + self.rng.random_range(0..3);
        let table = (0..rows).map(|_| self.rng.random_range(results.clone())).collect();
        Op::Lut(Lut { first, table })
    }

    /// Elements of the given values, or zeros.
    fn gather(&mut self, shape: Shape, inputs: &[usize], zeros: bool) -> Op {
        let total: usize = inputs.iter().map(|i| self.shape(*i).len()).sum();
        let mut pick = |_| match self.rng.random_range(0..5) {
            0 if zeros => Gather::ZERO,
            _ => self.rng.random_range(0..total) as u32,
        };
        Op::Gather(Gather { shape, index: (0..shape.len()).map(&mut pick).collect() })
    }

    /// A sum over random axes, exact where it can be.
    fn sum(&mut self) -> Op {
        let axes = [self.rng.random(), self.rng.random(), self.rng.random()];
        let exact = self.rng.random();
        let factor = if exact { self.rng.random_range(-3..=3) } else { self.rng.random_range(-900..=900) };
        let whole = Interval { lo: -32768, hi: 32768 };
        let rescale = if exact {
            Rescale { shift: 0, clamp: whole }
        } else {
            Rescale { shift: self.rng.random_range(0..=16), clamp: random_clamp(self.rng) }
        };
        Op::ReduceSum(ReduceSum { axes, factor, rescale })
    }

    /// A node of a kind that reads earlier values, with whatever it needs before it; a gather if that does not fit.
    fn push(&mut self, kind: usize) {
        if self.try_kind(kind).is_none() {
            let shape = Shape::new(1, self.rng.random_range(1..=2), self.rng.random_range(1..=3));
            let id = self.any();
            let op = self.gather(shape, &[id], true);
            self.try_push(op, &[id]).expect("a gather of one value is well-formed");
        }
    }

    fn try_kind(&mut self, kind: usize) -> Option<usize> {
        let id = self.any();
        let ty = self.types[id];
        let Shape { c, h, w } = ty.shape;
        let window = random_window(self.rng, h, w);
        let shift = self.rng.random_range(3..=14);
        let rescale = Rescale { shift, clamp: random_clamp(self.rng) };
        match kind {
            0 | 1 => {
                let divisors: Vec<usize> = (1..=c).filter(|g| c.is_multiple_of(*g)).collect();
                let groups = if kind == 1 { c } else { divisors[self.rng.random_range(0..divisors.len())] };
                let out_channels = groups * self.rng.random_range(1..=3);
                let count = out_channels * (c / groups) * window.kernel[0] * window.kernel[1];
                let private = self.program.weights == WeightMode::Private;
                let shift =
                    if private { self.rng.random_range(10..=14) } else { self.rng.random_range(5..=12) };
                let weights = (0..count).map(|_| self.rng.random_range(-128..128)).collect();
                let bias = (0..out_channels).map(|_| self.rng.random_range(-9000..9000)).collect();
                let rescale = Rescale { shift, ..rescale };
                self.try_push(Op::Conv(Conv { out_channels, groups, window, weights, bias, rescale }), &[id])
            }
            2 => {
                let same: Vec<usize> =
                    (0..self.types.len()).filter(|i| self.types[*i].shape == ty.shape).collect();
                let other = same[self.rng.random_range(0..same.len())];
                let factors = [self.rng.random_range(-40..40), self.rng.random_range(-40..40)];
                let rescale = Rescale { shift: self.rng.random_range(0..6), ..rescale };
                self.try_push(Op::Add(Add { factors, rescale }), &[id, other])
            }
            3 => self.try_push(Op::AveragePool(AveragePool { window }), &[id]),
            4 => {
                let smallest = self.rng.random();
                self.try_push(Op::ExtremePool(ExtremePool { window, smallest }), &[id])
            }
            5 | 6 => {
                let inputs: Vec<usize> = (0..self.rng.random_range(1..=3)).map(|_| self.any()).collect();
                let mut size = |n| self.rng.random_range(1..=n);
                let shape = Shape::new(size(3), size(3), size(5));
                let op = self.gather(shape, &inputs, kind == 6);
                self.try_push(op, &inputs)
            }
            7 => {
                let op = self.table(id, -120..=120);
                self.try_push(op, &[id])
            }
            8 => {
                let op = self.sum();
                self.try_push(op, &[id])
            }
            9 => {
                // Any value whose shape fits, or a sum of the first one over some axes, on either side.
                let other = self.any();
                let op = Op::Multiply(Multiply { rescale });
                if let Some(found) = self.try_push(op.clone(), &[id, other]) {
                    return Some(found);
                }
                let sum = self.sum();
                let other = self.try_push(sum, &[id])?;
                let pair = if self.rng.random() { [id, other] } else { [other, id] };
                self.try_push(op, &pair)
            }
            10 => {
                let transposed = self.rng.random();
                let op = Op::MatMul(MatMul { transposed, rescale });
                if transposed && self.rng.random() {
                    return self.try_push(op, &[id, id]);
                }
                let columns = self.rng.random_range(1..=5);
                let shape = if transposed { Shape::new(c, columns, w) } else { Shape::new(c, w, columns) };
                let from = self.any();
                let picked = self.gather(shape, &[from], true);
                let second = self.try_push(picked, &[from])?;
                self.try_push(op, &[id, second])
            }
            11 | 12 => {
                // A layer or a sum with a step function in place of the shift, or beyond its ends.
                let inner = self.try_kind(if kind == 11 { 0 } else { 2 })?;
                let mut inner = self.program.nodes[inner - 1].clone();
                let channels = self.types[self.types.len() - 1].shape.c;
                let clamp = match &mut inner.op {
                    Op::Conv(op) => &mut op.rescale.clamp,
                    Op::Add(op) => &mut op.rescale.clamp,
                    _ => unreachable!("kinds 0 and 2"),
                };
                clamp.hi = clamp.hi.max(clamp.lo + 1 + self.rng.random_range(0..3));
                let (sum, rescale) = match inner.op {
                    Op::Conv(op) => (Sum::Conv(op.clone()), op.rescale),
                    Op::Add(op) => (Sum::Add(op.clone()), op.rescale),
                    _ => unreachable!("kinds 0 and 2"),
                };
                let lists = if self.rng.random() { 1 } else { channels };
                let thresholds = (0..lists).flat_map(|_| random_thresholds(self.rng, rescale)).collect();
                self.try_push(Op::Requantise(Requantise { sum, thresholds }), &inner.inputs)
            }
            _ => {
                // A table onto what is not negative, and a divisor from 1: another table, or the sum over some axes, clamped.
                let table = self.table(id, 0..=200);
                let dividend = self.try_push(table, &[id])?;
                let clamp =
                    Interval { lo: self.rng.random_range(1..=20), hi: self.rng.random_range(20..=3000) };
                let divisor = if self.rng.random() {
                    let table = self.table(id, clamp.lo..=clamp.hi);
                    self.try_push(table, &[id])?
                } else {
                    let axes = [self.rng.random(), self.rng.random(), self.rng.random()];
                    let rescale = Rescale { shift: 0, clamp };
                    self.try_push(Op::ReduceSum(ReduceSum { axes, factor: 1, rescale }), &[dividend])?
                };
                let scale = self.rng.random_range(1..=100);
                self.try_push(Op::Divide(Divide { scale }), &[dividend, divisor])
            }
        }
    }
}

/// A program whose nodes are of the given kinds, with every output that its last value allows.
pub fn random_program(rng: &mut StdRng, shape: Shape, kinds: &[usize], weights: WeightMode) -> Program {
    let lo = rng.random_range(-127..=0);
    let interval = Interval { lo, hi: lo + rng.random_range(0..=127) };
    let public_channels = if rng.random_range(0..4) == 0 { 0..rng.random_range(0..=shape.c) } else { 0..0 };
    let program = Program {
        name: "random".into(),
        input: InputSpec { shape, interval, public_channels },
        nodes: Vec::new(),
        outputs: vec![Output::Values(0)],
        weights,
    };
    let types = program.check().expect("an input is well-formed");
    let mut draw = Draw { rng, program, types };
    for kind in kinds {
        draw.push(*kind);
    }
    let last = draw.types.len() - 1;
    let mut outputs = vec![Output::Values(last), Output::ArgMax(last)];
    if draw.rng.random_range(0..3) == 0 {
        outputs.push(Output::Committed(draw.any()));
    }
    let value = if draw.shape(last).len() == 1 {
        Some(last)
    } else {
        let op = draw.gather(Shape::new(1, 1, 1), &[last], false);
        draw.rng.random::<bool>().then(|| draw.try_push(op, &[last])).flatten()
    };
    if let Some(value) = value {
        let mut threshold = || draw.rng.random_range(-50..50);
        outputs.extend([
            Output::AtMost { value, threshold: threshold() },
            Output::Sum(value),
            Output::CountAtMost { value, threshold: threshold() },
            Output::CountAtLeast { value, threshold: threshold() },
            Output::Increasing { value, ends: draw.rng.random() },
        ]);
    }
    draw.program.outputs = outputs;
    draw.program.check().expect("a random program is well-formed");
    draw.program
}

/// A program on random inputs; an order that the inputs do not have is not stated.
pub fn random_toy(mut program: Program, batch: usize, seed: u64) -> Toy {
    let mut toy = Toy::random(program.clone(), batch, seed);
    let traces: Vec<_> =
        toy.inputs.iter().map(|x| program.trace(x).expect("a well-formed program and its input")).collect();
    if program.batch_outputs_of(&traces).is_err() {
        program.outputs.retain(|o| !matches!(o, Output::Increasing { .. }));
        toy.program = program;
    }
    toy
}

/// Holds the executor against the reference and the claims against the honest witness.
pub fn hold(toy: &Toy) -> Result<(), TestCaseError> {
    let types = toy.program.check().expect("well-formed");
    let mut traces = Vec::new();
    for (input, salt) in toy.inputs.iter().zip(&toy.salts) {
        let values = toy.program.trace(input).map_err(|e| TestCaseError::fail(e.to_string()))?;
        let expected = reference::trace(&toy.program, input);
        for (i, (value, expected)) in values.iter().zip(&expected).enumerate() {
            prop_assert_eq!(value, expected, "value {} of {:?}", i, toy.program);
        }
        let words = toy.program.outputs_of(&values, salt);
        prop_assert_eq!(words, reference::outputs(&toy.program, &expected, salt));
        let inside = |(v, t): (&Tensor, &ValueType)| {
            v.data.iter().all(|x| (t.interval.lo..=t.interval.hi).contains(x))
        };
        prop_assert!(
            values.iter().zip(&types).all(inside),
            "a value outside its interval: {:?}",
            toy.program
        );
        traces.push(values);
    }
    let words = toy.program.batch_outputs_of(&traces).map_err(|e| TestCaseError::fail(e.to_string()))?;
    prop_assert_eq!(words, reference::batch_outputs(&toy.program, &traces));
    let named = toy.witness().named();
    prop_assert_eq!(named, None, "{:?}", toy.program);
    Ok(())
}

/// Proves and verifies.
pub fn proves(toy: &Toy, seed: u64) {
    let proved = toy.prove(seed);
    statement::verify(&proved.statement, &proved.file).unwrap_or_else(|e| panic!("{e}: {:?}", toy.program));
}

/// The mode of weights.
pub fn mode(private: bool) -> WeightMode {
    if private { WeightMode::Private } else { WeightMode::Public }
}

/// Nodes of a program, for assertions.
pub fn has_weights(nodes: &[Node]) -> bool {
    nodes.iter().any(|n| n.op.has_weights())
}
