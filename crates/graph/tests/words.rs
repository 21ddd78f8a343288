//! Statements about one program have one system: they differ in the words that it reads, and in nothing else.

use std::sync::Arc;

use p3_field::PrimeCharacteristicRing;
use proofmesh_graph::op::{Op, ReduceSum, Rescale};
use proofmesh_graph::program::{InputSpec, Interval, Node, Output, Program, WeightMode};
use proofmesh_graph::statement::{Images, InputStatement, Statement};
use proofmesh_graph::tensor::Shape;
use proofmesh_graph::words::{Rule, Words};
use proofmesh_proof::field::F;
use proofmesh_proof::system::{Expr, Source, System};

const SHAPE: Shape = Shape { c: 3, h: 1, w: 1 };

/// Two inputs, one public channel each; outputs of every kind that speaks of words.
fn statement(classes: [i32; 2], bits: [i32; 2], sum: i32, public: [i32; 2], digest: u8) -> Statement {
    let interval = Interval { lo: -8, hi: 7 };
    let clamp = Interval { lo: -24, hi: 21 };
    let total = ReduceSum { axes: [true, false, false], factor: 1, rescale: Rescale { shift: 0, clamp } };
    let program = Program {
        name: "words".into(),
        input: InputSpec { shape: SHAPE, interval, public_channels: 1..2 },
        nodes: vec![Node { name: "total".into(), op: Op::ReduceSum(total), inputs: vec![0] }],
        outputs: vec![
            Output::ArgMax(0),
            Output::AtMost { value: 1, threshold: 0 },
            Output::Committed(0),
            Output::Sum(1),
        ],
        weights: WeightMode::Public,
    };
    let inputs = public.map(|v| InputStatement { commitment: [digest; 32], public: vec![v] });
    let outputs = [0, 1].map(|i| {
        let mut words = vec![classes[i], bits[i]];
        words.extend((0..8).map(|j| i32::from(digest) + j));
        words
    });
    Statement {
        program,
        weights: None,
        inputs: inputs.to_vec(),
        outputs: outputs.to_vec(),
        batch_outputs: vec![sum],
        context: Vec::new(),
    }
}

/// The system with every stated value gone, and how many it had.
fn without_values(mut system: System) -> (String, usize) {
    let mut count = 0;
    let mut erase = |expr: &mut Expr| {
        for term in &mut expr.terms {
            if let Source::Stated(stated) = &mut term.source {
                count += stated.words.iter().filter(|w| **w > 0).count();
                stated.values = Arc::new(vec![F::ZERO; stated.values.len()]);
            }
        }
    };
    for lookup in &mut system.lookups {
        erase(&mut lookup.key);
        erase(&mut lookup.value);
    }
    for sum in &mut system.sums {
        sum.factors.iter_mut().for_each(&mut erase);
        erase(&mut sum.rhs);
    }
    system.linears.iter_mut().for_each(|linear| erase(&mut linear.expr));
    (format!("{system:?}"), count)
}

#[test]
fn statements_of_one_program_share_its_system() {
    let system = |statement: &Statement| {
        without_values(statement.system(&Images::default()).expect("a statement that fits").system)
    };
    let (one, count) = system(&statement([0, 2], [1, 0], -5, [3, -2], 1));
    let (other, _) = system(&statement([1, 1], [0, 0], 9, [-8, 7], 9));
    assert_eq!(one, other);

    let statement = statement([0, 2], [1, 0], -5, [3, -2], 1);
    let types = statement.program.check().expect("a valid program");
    let words = Words::new(&statement, &types).expect("a statement that fits");
    // Each word is read once: classes by what follows from them.
    let classes = 2;
    assert_eq!(count, words.values.len() - classes);
    for (rule, value) in words.rules.iter().zip(&words.values) {
        let expected = match *rule {
            Rule::Given => continue,
            Rule::Is { of, value } => words.values[of as usize] == F::from_u32(value),
            Rule::Above { of, value } => words.values[of as usize] == F::TWO && value < 2,
        };
        assert_eq!(*value, F::from_bool(expected), "{rule:?}");
    }
}
