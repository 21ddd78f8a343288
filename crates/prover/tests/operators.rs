//! Every operator on random shapes: the executor against a second reference written from the operators' formulas, and the claims against the
//! honest witness. Seeds are fixed; a failure shrinks and prints its parameters.

mod graphs;
mod reference;
mod toys;

use graphs::{KINDS, has_weights, hold, mode, proves, random_program, random_toy};
use p3_field::PrimeCharacteristicRing;
use proofmesh_graph::limits::MAX_OPERANDS;
use proofmesh_graph::op::{AveragePool, Conv, ExtremePool, Gather, Lut, Op, Rescale, Window};
use proofmesh_graph::program::{Interval, Output, Program, WeightMode};
use proofmesh_graph::tensor::{Shape, Tensor};
use proofmesh_proof::field::F;
use proofmesh_prover::{ProveError, prove};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use toys::{Toy, node, program, rescale, window};

fn runner(cases: u32) -> TestRunner {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]))
}

#[test]
fn each_operator_alone() {
    let parameters =
        (0..KINDS, any::<bool>(), 1..=3usize, (1..=4usize, 1..=5usize, 1..=6usize), any::<u64>());
    let run = |(kind, private, batch, (c, h, w), seed): (usize, bool, usize, (usize, usize, usize), u64)| {
        let mut rng = StdRng::seed_from_u64(seed);
        let program = random_program(&mut rng, Shape::new(c, h, w), &[kind], mode(private));
        hold(&random_toy(program, batch, seed >> 1))
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
            hold(&random_toy(program, batch, seed >> 1))
        };
    runner(120).run(&parameters, run).unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn a_node_reads_as_many_operands_as_it_may() {
    let most = MAX_OPERANDS;
    let of = |operands: usize| {
        // Element 0, 1, 2, 0, .. of one operand each, the last operand first.
        let index = (0..operands).rev().map(|i| (3 * i + i % 3) as u32).collect();
        let gather = Op::Gather(Gather { shape: Shape::new(1, 1, operands), index });
        let nodes = vec![node("many", gather, &vec![0; operands])];
        program([1, 1, 3], nodes, vec![Output::Values(1)], WeightMode::Public)
    };
    let toy = Toy::random(of(most), 2, 9);
    assert_eq!(toy.program.run(&toy.inputs[0]).unwrap()[0], toy.inputs[0].data[(most - 1) % 3]);
    hold(&toy).unwrap();
    proves(&toy, 9);
    let mut lie = toy.witness();
    *lie.element(&toy, 1, 0, 200) += F::ONE;
    assert!(lie.violated_among("many").contains("many: picked"));
    let why = of(most + 1).check().unwrap_err().to_string();
    assert_eq!(why, "node `many`: more than 256 operands");
}

#[test]
fn random_graphs_prove() {
    for seed in 0..14 {
        let mut rng = StdRng::seed_from_u64(1000 + seed);
        let kinds: Vec<usize> = (0..4).map(|i| (seed as usize * 3 + i * 5) % KINDS).collect();
        let shape = Shape::new(rng.random_range(1..=3), rng.random_range(1..=4), rng.random_range(1..=5));
        let mut program = random_program(&mut rng, shape, &kinds, mode(seed % 3 == 0));
        if !has_weights(&program.nodes) {
            program.weights = WeightMode::Public;
        }
        let toy = random_toy(program, 1 + seed as usize % 3, seed);
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
        for batch in [1, 3] {
            let toy = Toy::random(program.clone(), batch, i as u64);
            hold(&toy).unwrap_or_else(|e| panic!("{what}, {batch} inputs: {e}"));
            proves(&toy, i as u64);
        }
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
