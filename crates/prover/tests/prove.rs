//! Whole proofs of small programs, one an operator and mode.

use proofmesh_graph::op::{Add, AveragePool, Conv, ExtremePool, Gather, Lut, Op, Rescale, Window};
use proofmesh_graph::program::{InputSpec, Interval, Node, Output, Program, WeightMode};
use proofmesh_graph::statement;
use proofmesh_graph::tensor::{Shape, Tensor};
use proofmesh_proof::profile::Kind;
use proofmesh_prover::{Job, prove, salt};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// A 3x3 (or as given) convolution with small random weights.
fn conv(
    rng: &mut StdRng,
    from: usize,
    to: usize,
    groups: usize,
    kernel: [usize; 2],
    pad: [usize; 4],
    lo: i32,
) -> Op {
    let count = to * from / groups * kernel[0] * kernel[1];
    Op::Conv(Conv {
        out_channels: to,
        groups,
        window: Window { kernel, stride: [1, 1], pad },
        weights: (0..count).map(|_| rng.random_range(-60..60)).collect(),
        bias: (0..to).map(|_| rng.random_range(-3000..3000)).collect(),
        rescale: Rescale { shift: 8, clamp: Interval { lo, hi: 127 } },
    })
}

fn node(name: &str, op: Op, inputs: &[usize]) -> Node {
    Node { name: name.into(), op, inputs: inputs.to_vec() }
}

/// Every operator once: grouped and depthwise convolutions, a residual, pools, a table, a dense layer, a minimum.
fn program(rng: &mut StdRng, weights: WeightMode) -> Program {
    let pool = |k: usize, s: usize| Window { kernel: [k, k], stride: [s, s], pad: [0; 4] };
    let padded = Window { kernel: [2, 3], stride: [1, 2], pad: [1, 1, 0, 1] };
    let first = Gather { shape: Shape::new(1, 6, 5), index: (0..30).collect() };
    let nodes = vec![
        node("conv", conv(rng, 3, 6, 1, [3, 3], [1, 1, 1, 1], -127), &[0]),
        node("grouped", conv(rng, 6, 6, 3, [1, 3], [0, 1, 0, 1], 0), &[1]),
        node("depthwise", conv(rng, 6, 6, 6, [3, 1], [1, 0, 1, 0], 0), &[2]),
        node(
            "residual",
            Op::Add(Add {
                factors: [3, -5],
                rescale: Rescale { shift: 3, clamp: Interval { lo: -90, hi: 100 } },
            }),
            &[1, 3],
        ),
        node(
            "leaky",
            Op::Lut(Lut { first: -90, table: (-90..=100).map(|x| if x < 0 { x / 8 } else { x }).collect() }),
            &[4],
        ),
        node("max", Op::ExtremePool(ExtremePool { window: padded, smallest: false }), &[5]),
        node("mean", Op::AveragePool(AveragePool { window: pool(3, 1) }), &[6]),
        node("dense", conv(rng, 6, 4, 1, [4, 1], [0; 4], -127), &[7]),
        node("channel 0", Op::Gather(first), &[0]),
        node(
            "smallest",
            Op::ExtremePool(ExtremePool {
                window: Window { kernel: [6, 5], stride: [1, 1], pad: [0; 4] },
                smallest: true,
            }),
            &[9],
        ),
    ];
    Program {
        name: "every operator".into(),
        input: InputSpec {
            shape: Shape::new(3, 6, 5),
            interval: Interval { lo: -127, hi: 127 },
            public_channels: 2..3,
        },
        nodes,
        outputs: vec![Output::ArgMax(8), Output::Values(8), Output::AtMost { value: 10, threshold: -120 }],
        weights,
    }
}

fn inputs(rng: &mut StdRng, program: &Program, batch: usize) -> Vec<Tensor> {
    let shape = program.input.shape;
    (0..batch)
        .map(|_| Tensor { shape, data: (0..shape.len()).map(|_| rng.random_range(-127..=127)).collect() })
        .collect()
}

#[test]
fn every_operator_proves_and_verifies() {
    let mut rng = StdRng::seed_from_u64(11);
    for weights in [WeightMode::Public, WeightMode::Private] {
        let program = program(&mut rng, weights);
        program.check().expect("the program is well-formed");
        for batch in [1, 3] {
            let inputs = inputs(&mut rng, &program, batch);
            let salts: Vec<_> = inputs.iter().map(|_| salt(&mut rng)).collect();
            let weight_salt = Some(salt(&mut rng));
            let job =
                Job { program: &program, inputs: &inputs, salts: &salts, weight_salt, context: b"context" };
            let proved = prove(&job, &mut rng).expect("an honest execution proves");
            for (input, outputs) in inputs.iter().zip(&proved.statement.outputs) {
                assert_eq!(*outputs, program.run(input).unwrap());
            }
            statement::verify(&proved.statement, &proved.file).expect("an honest proof verifies");
            let (_, bits) = statement::soundness(&proved.statement, Kind::Device).unwrap();
            assert!(bits >= 100.0, "{bits}");
            println!("{weights:?} batch {batch}: {} bytes, {bits:.1} bits", proved.file.len());
        }
    }
}
