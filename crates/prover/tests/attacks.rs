//! Holes that a review found in the first version of the claims, each with the attack that used it.

use p3_field::{Field, PrimeCharacteristicRing};
use proofmesh_graph::arith::Builder;
use proofmesh_graph::assemble::{self, Secrets};
use proofmesh_graph::op::{Conv, ExtremePool, Lut, Op, Rescale, Window};
use proofmesh_graph::program::{InputSpec, Interval, Node, Output, Program, WeightMode};
use proofmesh_graph::statement::{self, InputStatement, Statement};
use proofmesh_graph::tensor::{Shape, Tensor};
use proofmesh_proof::field::{F, int};
use proofmesh_prover::{Job, ProveError, salt, satisfied, state};
use rand::SeedableRng;
use rand::rngs::StdRng;

fn program(shape: Shape, interval: Interval, op: Option<Op>, outputs: Vec<Output>) -> Program {
    Program {
        name: "attack".into(),
        input: InputSpec { shape, interval, public_channels: 0..0 },
        nodes: op.into_iter().map(|op| Node { name: "node".into(), op, inputs: vec![0] }).collect(),
        outputs,
        weights: WeightMode::Public,
    }
}

fn identity() -> Program {
    let table = Op::Lut(Lut { first: -128, table: (-128..=127).collect() });
    program(Shape::new(4, 1, 1), Interval { lo: -128, hi: 127 }, Some(table), vec![Output::Values(1)])
}

/// Two digits of a partly filled element move together: the element, and so the digest, stays.
#[test]
fn free_digits_beside_bound_ones_are_refused() {
    let mut rng = StdRng::seed_from_u64(2);
    let program = identity();
    let salts = [salt(&mut rng)];
    let secrets = Secrets { program: &program, salts: &salts, weight_salt: [F::ONE; 8] };
    let stated = |values: [i32; 4]| {
        let inputs = [Tensor::new(Shape::new(4, 1, 1), values.to_vec()).unwrap()];
        state(&Job { program: &program, inputs: &inputs, salts: &salts, weight_salt: None, context: b"" })
            .unwrap()
    };
    let (honest, images, traces) = stated([1, 2, 3, -100]);
    let committed =
        assemble::build(Builder::new(1, Some(&traces)), &honest, &images, Some(&secrets)).unwrap();
    let (mut lie, _, traces) = stated([1, 2, 3, 99]);
    lie.inputs = honest.inputs.clone();
    let mut forged = assemble::build(Builder::new(1, Some(&traces)), &lie, &images, Some(&secrets)).unwrap();
    for (i, column) in forged.system.columns.iter().enumerate() {
        if column.name.starts_with("input commitment.") {
            forged.cells[i] = committed.cells[i].clone();
        }
        if column.name == "input commitment.message" {
            forged.cells[i][4] = int(99 + 128);
            forged.cells[i][5] = (int(-100) - int(99)) * int(256).inverse();
        }
    }
    match satisfied(&forged.system, forged.cells, &mut rng) {
        Err(ProveError::Unsatisfied(check)) => assert_eq!(check, "input commitment: absorbed values"),
        other => panic!("{other:?}"),
    }
    satisfied(&committed.system, committed.cells, &mut rng).expect("the honest cells hold");
}

/// `y` and `y - p` are one field element; both fit a 32-bit word.
#[test]
fn words_that_alias_in_the_field_are_refused() {
    let mut rng = StdRng::seed_from_u64(3);
    let program = identity();
    let inputs = [Tensor::new(Shape::new(4, 1, 1), vec![-5, 7, 100, 0]).unwrap()];
    let salts = [salt(&mut rng)];
    let job = Job { program: &program, inputs: &inputs, salts: &salts, weight_salt: None, context: b"" };
    let (mut statement, ..) = state(&job).unwrap();
    statement.check().expect("the honest statement stands");
    statement.outputs[0][1] = 7 - 2_130_706_433;
    assert_eq!(statement.check().unwrap_err().check, "statement.output");
}

/// The same readings under another lower bound are another commitment.
#[test]
fn a_commitment_binds_the_offset() {
    let input = |v: i32| Tensor::new(Shape::new(1, 1, 1), vec![v]).unwrap();
    let shifted =
        |lo: i32| program(Shape::new(1, 1, 1), Interval { lo, hi: lo + 255 }, None, vec![Output::Values(0)]);
    let salt = salt(&mut StdRng::seed_from_u64(4));
    let commit = |lo: i32, v: i32| statement::commit_input(&shifted(lo), &input(v), &salt).unwrap();
    assert_ne!(commit(-128, 5), commit(-127, 6));
}

/// Small statements that ask for huge systems are refused before anything is allocated.
#[test]
fn statements_beyond_the_limit_are_refused_by_name() {
    let bit = Interval { lo: 0, hi: 1 };
    let refused = |program: Program, weights: Option<[u8; 32]>, public: Vec<i32>, batch: usize| {
        let input = InputStatement { commitment: [0; 32], public };
        let outputs = vec![vec![0]; batch];
        let inputs = vec![input; batch];
        let statement =
            Statement { program, weights, inputs, outputs, batch_outputs: vec![], context: vec![] };
        statement.blank_images().map(|_| ()).unwrap_err().check
    };
    let window = Window { kernel: [1, 1 << 23], stride: [1, 1], pad: [0; 4] };
    let wide = Op::ExtremePool(ExtremePool { window, smallest: false });
    let wide = program(Shape::new(1, 1, 1 << 24), bit, Some(wide), vec![Output::ArgMax(1)]);
    assert_eq!(refused(wide, None, vec![], 1), "statement.program");

    let mut batch = program(Shape::new(1 << 24, 1, 1), bit, None, vec![Output::ArgMax(0)]);
    batch.input.public_channels = 0..1;
    assert_eq!(refused(batch, None, vec![0], 4096), "statement.size");

    let window = Window { kernel: [1, 1], stride: [1, 1], pad: [0; 4] };
    let rescale = Rescale { shift: 10, clamp: bit };
    let hidden = Conv { out_channels: 1 << 24, groups: 1, window, weights: vec![], bias: vec![], rescale };
    let mut many = program(Shape::new(1, 1, 1), bit, None, vec![Output::ArgMax(1)]);
    many.nodes = vec![Node { name: "wide".into(), op: Op::Conv(hidden), inputs: vec![0] }; 4000];
    many.weights = WeightMode::Private;
    assert_eq!(refused(many.clone(), Some([0; 32]), vec![], 1), "statement.size");

    // The public part of a private program cannot be run or committed to.
    assert!(many.run(&Tensor::zeros(Shape::new(1, 1, 1))).is_err());
    assert!(statement::commit_weights(&many, &[F::ONE; 8]).is_err());
}
