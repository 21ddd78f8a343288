//! Every operator on random shapes: the executor against a second reference written from the operators' formulas, and the claims against the
//! honest witness. Seeds are fixed; a failure shrinks and prints its parameters.

mod reference;
mod toys;

use proofmesh_graph::op::{
    Add, AveragePool, Conv, ExtremePool, Gather, Lut, Op, Requantise, Rescale, Sum, Window,
};
use proofmesh_graph::program::{InputSpec, Interval, Node, Output, Program, ValueType, WeightMode};
use proofmesh_graph::statement;
use proofmesh_graph::tensor::{Shape, Tensor};
use proofmesh_prover::{ProveError, prove};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use toys::{Toy, node, program, rescale, window};

/// The kinds of node that are drawn.
const KINDS: usize = 9;

fn runner(cases: u32) -> TestRunner {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]))
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

/// A node of a kind that reads earlier values.
fn random_node(rng: &mut StdRng, kind: usize, types: &[ValueType], mode: WeightMode) -> Node {
    let id = rng.random_range(0..types.len());
    let ty = types[id];
    let Shape { c, h, w } = ty.shape;
    let window = random_window(rng, h, w);
    let name = format!("node {}", types.len());
    match kind {
        0 | 1 => {
            let divisors: Vec<usize> = (1..=c).filter(|g| c.is_multiple_of(*g)).collect();
            let groups = if kind == 1 { c } else { divisors[rng.random_range(0..divisors.len())] };
            let out_channels = groups * rng.random_range(1..=3);
            let count = out_channels * (c / groups) * window.kernel[0] * window.kernel[1];
            let clamp = random_clamp(rng);
            let shift = if mode == WeightMode::Private {
                rng.random_range(10..=14)
            } else {
                rng.random_range(5..=12)
            };
            let weights = (0..count).map(|_| rng.random_range(-128..128)).collect();
            let bias = (0..out_channels).map(|_| rng.random_range(-9000..9000)).collect();
            let conv =
                Conv { out_channels, groups, window, weights, bias, rescale: Rescale { shift, clamp } };
            node(&name, Op::Conv(conv), &[id])
        }
        2 => {
            let same: Vec<usize> = (0..types.len()).filter(|i| types[*i].shape == ty.shape).collect();
            let other = same[rng.random_range(0..same.len())];
            let factors = [rng.random_range(-40..40), rng.random_range(-40..40)];
            let rescale = Rescale { shift: rng.random_range(0..6), clamp: random_clamp(rng) };
            node(&name, Op::Add(Add { factors, rescale }), &[id, other])
        }
        3 => node(&name, Op::AveragePool(AveragePool { window }), &[id]),
        4 => node(&name, Op::ExtremePool(ExtremePool { window, smallest: rng.random() }), &[id]),
        5 => {
            let inputs: Vec<usize> =
                (0..rng.random_range(1..=3)).map(|_| rng.random_range(0..types.len())).collect();
            let total: usize = inputs.iter().map(|i| types[*i].shape.len()).sum();
            let shape = Shape::new(rng.random_range(1..=3), rng.random_range(1..=3), rng.random_range(1..=5));
            let index = (0..shape.len()).map(|_| rng.random_range(0..total) as u32).collect();
            node(&name, Op::Gather(Gather { shape, index }), &inputs)
        }
        6 => {
            let first = ty.interval.lo - rng.random_range(0..3);
            let rows = ty.interval.hi - first + 1 + rng.random_range(0..3);
            let table = (0..rows).map(|_| rng.random_range(-120..=120)).collect();
            node(&name, Op::Lut(Lut { first, table }), &[id])
        }
        _ => {
            // A layer or a sum with a step function in place of the shift, or beyond its ends.
            let mut inner = random_node(rng, if kind == 7 { 0 } else { 2 }, types, mode);
            let (sum, channels) = match &mut inner.op {
                Op::Conv(op) => (Sum::Conv(stepped(rng, op.clone(), |op| &mut op.rescale)), op.out_channels),
                Op::Add(op) => {
                    (Sum::Add(stepped(rng, op.clone(), |op| &mut op.rescale)), types[inner.inputs[0]].shape.c)
                }
                _ => unreachable!("kinds 0 and 2"),
            };
            let rescale = match &sum {
                Sum::Conv(op) => op.rescale,
                Sum::Add(op) => op.rescale,
            };
            let lists = if rng.random() { 1 } else { channels };
            let thresholds = (0..lists).flat_map(|_| random_thresholds(rng, rescale)).collect();
            node(&name, Op::Requantise(Requantise { sum, thresholds }), &inner.inputs)
        }
    }
}

/// A layer whose clamp has two values at least.
fn stepped<T>(rng: &mut StdRng, mut op: T, rescale: impl Fn(&mut T) -> &mut Rescale) -> T {
    let clamp = &mut rescale(&mut op).clamp;
    clamp.hi = clamp.hi.max(clamp.lo + 1 + rng.random_range(0..3));
    op
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

/// A program whose nodes are of the given kinds, with every output that its last value allows.
fn random_program(rng: &mut StdRng, shape: Shape, kinds: &[usize], weights: WeightMode) -> Program {
    let lo = rng.random_range(-127..=0);
    let interval = Interval { lo, hi: lo + rng.random_range(0..=127) };
    let public_channels = if rng.random_range(0..4) == 0 { 0..rng.random_range(0..=shape.c) } else { 0..0 };
    let mut program = Program {
        name: "random".into(),
        input: InputSpec { shape, interval, public_channels },
        nodes: Vec::new(),
        outputs: vec![Output::Values(0)],
        weights,
    };
    for kind in kinds {
        let types = program.check().expect("the program so far is well-formed");
        program.nodes.push(random_node(rng, *kind, &types, weights));
    }
    let last = program.nodes.len();
    let types = program.check().expect("a random program is well-formed");
    program.outputs = vec![Output::Values(last), Output::ArgMax(last)];
    if types[last].shape.len() == 1 {
        program.outputs.push(Output::AtMost { value: last, threshold: rng.random_range(-50..50) });
    }
    program
}

/// Holds the executor against the reference and the claims against the honest witness.
fn hold(toy: &Toy) -> Result<(), TestCaseError> {
    for input in &toy.inputs {
        let values = toy.program.trace(input).map_err(|e| TestCaseError::fail(e.to_string()))?;
        let expected = reference::trace(&toy.program, input);
        for (i, (value, expected)) in values.iter().zip(&expected).enumerate() {
            prop_assert_eq!(value, expected, "value {} of {:?}", i, toy.program);
        }
        prop_assert_eq!(toy.program.outputs_of(&values), reference::outputs(&toy.program, &expected));
        let types = toy.program.check().expect("well-formed");
        let inside = |(v, t): (&Tensor, &ValueType)| {
            v.data.iter().all(|x| (t.interval.lo..=t.interval.hi).contains(x))
        };
        prop_assert!(
            values.iter().zip(&types).all(inside),
            "a value outside its interval: {:?}",
            toy.program
        );
    }
    let named = toy.witness().named();
    prop_assert_eq!(named, None, "{:?}", toy.program);
    Ok(())
}

/// Proves and verifies.
fn proves(toy: &Toy, seed: u64) {
    let proved = toy.prove(seed);
    statement::verify(&proved.statement, &proved.file).unwrap_or_else(|e| panic!("{e}: {:?}", toy.program));
}

fn mode(private: bool) -> WeightMode {
    if private { WeightMode::Private } else { WeightMode::Public }
}

#[test]
fn each_operator_alone() {
    let parameters =
        (0..KINDS, any::<bool>(), 1..=3usize, (1..=4usize, 1..=5usize, 1..=6usize), any::<u64>());
    let run = |(kind, private, batch, (c, h, w), seed): (usize, bool, usize, (usize, usize, usize), u64)| {
        let mut rng = StdRng::seed_from_u64(seed);
        let program = random_program(&mut rng, Shape::new(c, h, w), &[kind], mode(private));
        hold(&Toy::random(program, batch, seed >> 1))
    };
    runner(300).run(&parameters, run).unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn random_graphs() {
    let kinds = prop::collection::vec(0..KINDS, 2..6);
    let parameters = (kinds, any::<bool>(), 1..=3usize, (1..=3usize, 1..=4usize, 1..=5usize), any::<u64>());
    let run =
        |(kinds, private, batch, (c, h, w), seed): (Vec<usize>, bool, usize, (usize, usize, usize), u64)| {
            let mut rng = StdRng::seed_from_u64(seed);
            let program = random_program(&mut rng, Shape::new(c, h, w), &kinds, mode(private));
            hold(&Toy::random(program, batch, seed >> 1))
        };
    runner(120).run(&parameters, run).unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn random_graphs_prove() {
    for seed in 0..14 {
        let mut rng = StdRng::seed_from_u64(1000 + seed);
        let kinds: Vec<usize> = (0..4).map(|i| (seed as usize * 3 + i * 2) % KINDS).collect();
        let shape = Shape::new(rng.random_range(1..=3), rng.random_range(1..=4), rng.random_range(1..=5));
        let program = random_program(&mut rng, shape, &kinds, mode(seed % 3 == 0));
        let toy = Toy::random(program, 1 + seed as usize % 3, seed);
        hold(&toy).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        proves(&toy, seed);
    }
}

/// A dense layer of one output.
fn dense(weights: Vec<i32>, bias: i32, rescale: Rescale) -> Op {
    let (out_channels, window) = (1, window([1, 1], [1, 1]));
    Op::Conv(Conv { out_channels, groups: 1, window, weights, bias: vec![bias], rescale })
}

/// A program of one dense layer over an interval.
fn layer(interval: Interval, op: Op, weights: WeightMode) -> Program {
    let inputs = if let Op::Conv(conv) = &op { conv.weights.len() } else { 1 };
    let mut program =
        program([inputs, 1, 1], vec![node("dense", op, &[0])], vec![Output::Values(1)], weights);
    program.input.interval = interval;
    program
}

#[test]
fn largest_accumulators() {
    let wide = Interval { lo: -32768, hi: 32768 };
    let limit = (1 << 29) - 1;
    // L1 norm 16383 at the magnitude 32768, and a bias up to the last accumulator that is allowed.
    let (weights, bias) = (vec![8000, -8383], limit - 16383 * 32768);
    for shift in [13, 16] {
        let program =
            layer(wide, dense(weights.clone(), bias, rescale(shift, -30000, 30000)), WeightMode::Public);
        let toy = Toy::with_inputs(program, &[&[32768, -32768], &[-32768, 32768], &[0, 0]]);
        hold(&toy).unwrap_or_else(|e| panic!("{e}"));
        let q = (i64::from(limit) + (1 << (shift - 1))) >> shift;
        assert_eq!(i64::from(toy.program.run(&toy.inputs[0]).unwrap()[0]), q.min(30000));
        proves(&toy, 1);
    }
    let refused = |weights: Vec<i32>, bias, shift| {
        layer(wide, dense(weights, bias, rescale(shift, 0, 1)), WeightMode::Public).check().is_err()
    };
    assert!(refused(weights.clone(), bias + 1, 16), "an accumulator of 2^29");
    assert!(refused(weights.clone(), bias, 12), "more quotients than a clamp table holds");
    assert!(refused(vec![16384], 0, 16), "an accumulator of 2^29 without a bias");
    assert!(refused(vec![i32::MIN; 3], i32::MIN, 16), "weights at the end of their type");
    assert!(refused(weights, bias, 17), "a shift past the limit");
}

#[test]
fn private_bounds() {
    let interval = Interval { lo: -128, hi: 127 };
    let with = |weights: Vec<i32>, bias: i32| {
        layer(interval, dense(weights, bias, rescale(12, -128, 127)), WeightMode::Private)
    };
    for (weights, bias) in [([-2048, 2047], -(1 << 23)), ([2047, -2048], (1 << 23) - 1), ([0, 0], 0)] {
        let toy = Toy::with_inputs(with(weights.to_vec(), bias), &[&[-128, 127], &[127, -128]]);
        hold(&toy).unwrap_or_else(|e| panic!("{e}"));
        proves(&toy, 2);
    }
    assert!(with(vec![2048, 0], 0).check().is_err());
    assert!(with(vec![0, -2049], 0).check().is_err());
    assert!(with(vec![0, 0], 1 << 23).check().is_err());
    assert!(with(vec![0, 0], -(1 << 23) - 1).check().is_err());
}

#[test]
fn edges() {
    let one = window([1, 1], [1, 1]);
    let table = Op::Lut(Lut { first: 5, table: vec![-7] });
    let mut constant =
        program([1, 1, 1], vec![node("table", table, &[0])], vec![Output::Values(1)], WeightMode::Public);
    constant.input.interval = Interval { lo: 5, hi: 5 };
    let single = Interval { lo: 3, hi: 3 };
    let small = Interval { lo: -3, hi: 4 };
    let alone = |op: Op| {
        program(
            [1, 1, 1],
            vec![node("only", op, &[0])],
            vec![Output::Values(1), Output::ArgMax(1)],
            WeightMode::Public,
        )
    };
    let strided = Window { kernel: [1, 2], stride: [3, 5], pad: [0, 1, 0, 1] };
    let wide = |op: Op| {
        program([2, 5, 7], vec![node("only", op, &[0])], vec![Output::Values(1)], WeightMode::Public)
    };
    let mut shown = alone(dense(vec![1], 0, rescale(0, -127, 127)));
    shown.input.public_channels = 0..1;
    let cases: Vec<(&str, Program)> = vec![
        ("an input interval of one value", constant),
        (
            "a clamp of one value",
            layer(small, dense(vec![7, -7], 1, Rescale { shift: 1, clamp: single }), WeightMode::Public),
        ),
        ("no shift", layer(small, dense(vec![3, -5], 2, rescale(0, -40, 40)), WeightMode::Public)),
        ("no shift, saturated", layer(small, dense(vec![30, -50], 2, rescale(0, -4, 4)), WeightMode::Public)),
        ("zero weights", layer(small, dense(vec![0, 0], 0, rescale(4, -4, 4)), WeightMode::Public)),
        ("1x1 mean", alone(Op::AveragePool(AveragePool { window: one }))),
        ("1x1 maximum", alone(Op::ExtremePool(ExtremePool { window: one, smallest: false }))),
        ("one element twice", alone(Op::Gather(Gather { shape: Shape::new(1, 1, 2), index: vec![0, 0] }))),
        ("stride beyond the kernel, mean", wide(Op::AveragePool(AveragePool { window: strided }))),
        (
            "stride beyond the kernel, minimum",
            wide(Op::ExtremePool(ExtremePool { window: strided, smallest: true })),
        ),
        ("everything public", shown),
        (
            "no nodes",
            program([2, 1, 3], vec![], vec![Output::Values(0), Output::ArgMax(0)], WeightMode::Public),
        ),
    ];
    for (i, (what, program)) in cases.into_iter().enumerate() {
        assert_eq!(program.check().err(), None, "{what}");
        let toy = Toy::random(program, 3, i as u64);
        hold(&toy).unwrap_or_else(|e| panic!("{what}: {e}"));
        proves(&toy, i as u64);
    }
}

#[test]
fn a_private_mode_without_weights_is_refused() {
    let program = program([2, 1, 3], vec![], vec![Output::Values(0)], WeightMode::Private);
    match prove(&Toy::random(program, 1, 3).job(), &mut StdRng::seed_from_u64(4)).err() {
        Some(ProveError::Statement(reject)) => assert_eq!(reject.check, "statement.weights"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn rounding_is_half_up_for_either_sign() {
    let rescale = rescale(2, -1000, 1000);
    for (acc, y) in [(-7, -2), (-6, -1), (-5, -1), (-3, -1), (-2, 0), (-1, 0), (1, 0), (2, 1), (5, 1), (6, 2)]
    {
        assert_eq!(rescale.apply(acc), y, "{acc} / 4");
    }
    let mean = Op::AveragePool(AveragePool { window: window([1, 2], [1, 1]) });
    for (pair, y) in [([1, 2], 2), ([-1, -2], -1), ([-2, -3], -2), ([0, -1], 0), ([0, 1], 1)] {
        let x = Tensor::new(Shape::new(1, 1, 2), pair.to_vec()).unwrap();
        assert_eq!(mean.row().execute(&[&x]).data, [y], "{pair:?}");
    }
}
