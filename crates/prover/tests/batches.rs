//! Outputs over a batch and committed outputs: honest words, lies with the claim that refuses each, and a value that passes from one proof
//! to the next.

mod toys;

use p3_field::PrimeCharacteristicRing;
use proofmesh_graph::limits;
use proofmesh_graph::op::{Gather, Lut, Op};
use proofmesh_graph::outputs::output_salts;
use proofmesh_graph::program::{Interval, Output, WeightMode};
use proofmesh_graph::statement;
use proofmesh_graph::tensor::Shape;
use proofmesh_proof::field::{F, int};
use proofmesh_prover::{Machine, ProveError, forecast, parts, state};
use toys::{Toy, node, program, refused};

/// One number an input, and outputs about it.
fn numbers(values: &[i32], outputs: Vec<Output>) -> Toy {
    let inputs: Vec<&[i32]> = values.iter().map(core::slice::from_ref).collect();
    Toy::with_inputs(program([1, 1, 1], vec![], outputs, WeightMode::Public), &inputs)
}

/// Makes and checks a proof.
fn proves(toy: &Toy) {
    let proved = toy.prove(5);
    statement::verify(&proved.statement, &proved.file).expect("an honest proof verifies");
}

/// The words about the batch.
fn words(toy: &Toy) -> Vec<i32> {
    let (statement, _) = toy.state();
    assert!(statement.outputs.iter().all(Vec::is_empty));
    statement.batch_outputs
}

const VALUES: [i32; 5] = [3, -5, 7, 7, -127];

#[test]
fn sums() {
    for batch in 1..=5 {
        let toy = numbers(&VALUES[..batch], vec![Output::Sum(0)]);
        let sum: i32 = VALUES[..batch].iter().sum();
        assert_eq!(words(&toy), [sum]);
        refused("honest", &toy.witness(), &[]);
        refused("one more", &toy.claiming(None, 0, sum + 1), &["output 0: sum"]);
        for outside in [127 * batch as i32 + 1, -127 * batch as i32 - 1, sum - 0x7f00_0001] {
            let (mut statement, _) = toy.state();
            statement.batch_outputs[0] = outside;
            assert_eq!(statement.check().expect_err("no sum").check, "statement.output");
        }
    }
    let toy = numbers(&VALUES, vec![Output::Sum(0)]);
    // The input's commitment binds its padding; the sum does not read it.
    let padded = toy.changed(|w| w.column("input")[5] = int(100));
    refused("padding of the batch is not summed", &padded, &["input commitment: absorbed values"]);
    proves(&toy);
}

#[test]
fn the_largest_batch_sums_below_half_the_field() {
    let ends = [limits::MAX_ACTIVATION; limits::MAX_BATCH];
    let mut toy = numbers(&VALUES[..1], vec![Output::Sum(0)]);
    toy.program.input.interval = Interval { lo: -limits::MAX_ACTIVATION, hi: limits::MAX_ACTIVATION };
    let types = toy.program.check().expect("16-bit values");
    let words = toy.program.outputs[0].words(&types[0], limits::MAX_BATCH);
    let largest: i64 = ends.iter().map(|v| i64::from(*v)).sum();
    assert_eq!(i64::from(words.interval.hi), largest);
    assert!(largest < 0x7f00_0001 / 2);
}

#[test]
fn counts() {
    for (theta, most, least) in
        [(-127, 1, 5), (-6, 1, 4), (-5, 2, 4), (7, 5, 2), (8, 5, 0), (-128, 0, 5), (32768, 5, 0)]
    {
        let outputs = vec![
            Output::CountAtMost { value: 0, threshold: theta },
            Output::CountAtLeast { value: 0, threshold: theta },
        ];
        let toy = numbers(&VALUES, outputs);
        assert_eq!(words(&toy), [most, least], "{theta}");
        refused("honest", &toy.witness(), &[]);
        for (word, count) in [(0, most), (1, least)] {
            let other = if count == 5 { 4 } else { count + 1 };
            refused("count", &toy.claiming(None, word, other), &[&format!("output {word}: count")]);
            // The word follows from bits that are not the inputs'.
            let mut lie = toy.claiming(None, word, other);
            let bits = format!("output {word}.counted");
            let at = (0..5).find(|i| lie.small(&bits, *i) == i64::from(count == 5)).expect("a bit to turn");
            lie.add(&bits, at, i64::from(other - count));
            refused("bit", &lie, &[&format!("output {word}: threshold")]);
            // The surplus stands in the padding of the batch.
            let mut lie = toy.claiming(None, word, other);
            lie.add(&bits, 6, i64::from(other - count));
            refused("padding is not counted", &lie, &[&format!("output {word}: count")]);
            // One bit of 2 and one of -1 more: the same sum.
            let moved = toy.changed(|w| {
                w.add(&bits, 0, 1);
                w.add(&bits, 1, -1);
            });
            refused("bits moved", &moved, &[&format!("output {word}: threshold")]);
        }
        let (mut statement, _) = toy.state();
        statement.batch_outputs[0] = 6;
        assert_eq!(statement.check().expect_err("more than the inputs").check, "statement.output");
    }
    for batch in [1, 2] {
        let toy = numbers(&VALUES[..batch], vec![Output::CountAtMost { value: 0, threshold: 0 }]);
        assert_eq!(words(&toy), [batch as i32 - 1]);
        proves(&toy);
    }
}

#[test]
fn increasing_values() {
    let increasing = |ends| vec![Output::Increasing { value: 0, ends }];
    let ordered = [-127, -127, 0, 9, 9, 127];
    for batch in 1..=6 {
        let toy = numbers(&ordered[..batch], increasing(true));
        assert_eq!(words(&toy), [-127, ordered[batch - 1]]);
        refused("honest", &toy.witness(), &[]);
        refused("first", &toy.claiming(None, 0, -126), &["output 0: first"]);
        let last = if ordered[batch - 1] == 5 { 6 } else { 5 };
        refused("last", &toy.claiming(None, 1, last), &["output 0: last"]);
        assert!(words(&numbers(&ordered[..batch], increasing(false))).is_empty());
    }
    let toy = numbers(&ordered, increasing(false));
    proves(&toy);
    // Input 2 above input 3, and in the second row below input 1: both the value and its commitment would have to lie.
    let copied = "input commitment: absorbed values";
    for value in [10, -127 - 1] {
        let lie = toy.changed(|w| w.column("input")[2] = int(value));
        let violated = lie.violated();
        assert!(violated.contains("output 0: increasing") && violated.contains(copied), "{violated:?}");
    }
    let padded = toy.changed(|w| w.column("input")[6] = int(-50));
    refused("the last input is followed by nothing", &padded, &[copied]);
    let falling = numbers(&[3, 2], increasing(true));
    match state(&falling.job()) {
        Err(ProveError::Program(error)) => assert!(error.to_string().contains("input 0"), "{error}"),
        _ => panic!("a falling counter has no statement"),
    }
}

#[test]
fn outputs_about_a_number_need_one() {
    for output in [
        Output::Sum(0),
        Output::CountAtMost { value: 0, threshold: 0 },
        Output::CountAtLeast { value: 0, threshold: 0 },
        Output::Increasing { value: 0, ends: false },
    ] {
        assert!(program([2, 1, 1], vec![], vec![output], WeightMode::Public).check().is_err());
        assert!(program([1, 1, 1], vec![], vec![output], WeightMode::Public).check().is_ok());
    }
    let far = Output::CountAtLeast { value: 0, threshold: limits::MAX_ACTIVATION + 1 };
    assert!(program([1, 1, 1], vec![], vec![far], WeightMode::Public).check().is_err());
}

/// Everything at once, words of inputs and of the batch in one order.
#[test]
fn words_of_inputs_and_of_the_batch_side_by_side() {
    let pick = Gather { shape: Shape::new(1, 1, 1), index: vec![2] };
    let outputs = vec![
        Output::Sum(1),
        Output::Values(0),
        Output::Increasing { value: 1, ends: true },
        Output::AtMost { value: 1, threshold: 4 },
        Output::Committed(0),
        Output::CountAtLeast { value: 1, threshold: 4 },
        Output::ArgMax(0),
    ];
    let program = program([3, 1, 1], vec![node("pick", Op::Gather(pick), &[0])], outputs, WeightMode::Public);
    let toy = Toy::with_inputs(program, &[&[1, 2, 3], &[9, -9, 4], &[-1, 7, 5]]);
    let (statement, _) = toy.state();
    assert_eq!(statement.batch_outputs, [12, 3, 5, 2]);
    assert!(statement.outputs.iter().all(|words| words.len() == 3 + 1 + 8 + 1));
    proves(&toy);
    let proved = toy.prove(6);
    let mut lie = proved.statement.clone();
    lie.batch_outputs[3] = 1;
    assert_eq!(statement::verify(&lie, &proved.file).expect_err("another count").check, "statement.output");
}

/// A value that is committed by one proof and read by the next.
#[test]
fn a_committed_output_is_the_next_programs_input() {
    let table = |first: i32| Op::Lut(Lut { first, table: (0..255).map(|i| (i * 7) % 200 - 90).collect() });
    let first = program(
        [2, 3, 3],
        vec![node("curve", table(-127), &[0])],
        vec![Output::Committed(1)],
        WeightMode::Public,
    );
    let toy = Toy::random(first, 3, 9);
    let (statement, traces) = toy.state();
    refused("honest", &toy.witness(), &[]);
    proves(&toy);
    for word in [0, 7] {
        let other = (statement.outputs[1][word] + 1) % 0x7f00_0000;
        refused("digest", &toy.claiming(Some(1), word, other), &["output 0: digest"]);
    }
    let value = traces.values[2][1].data[4];
    let lie = toy.forged("curve", 2, 4, i64::from(value) + 1);
    assert!(lie.violated().contains("curve: table"), "{:?}", lie.violated());
    let copied = toy.changed(|w| w.add("output 0.message", 0, 1));
    assert!(copied.violated().contains("output 0: absorbed values"));

    // The next program takes the value under the salt that follows from the first input's.
    let ty = toy.program.check().expect("well-formed")[1];
    let mut next = program([2, 3, 3], vec![], vec![Output::ArgMax(0)], WeightMode::Public);
    next.input.interval = ty.interval;
    let inputs = traces.values.iter().map(|trace| trace[1].clone()).collect();
    let mut second = Toy::new(next, inputs, 1);
    second.salts = output_salts(&toy.program, &toy.salts, 0);
    let (following, _) = second.state();
    for (input, words) in following.inputs.iter().zip(&statement.outputs) {
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        assert_eq!(input.commitment, bytes[..]);
    }
    proves(&second);
    // Another salt, another output, another program: another digest of the same value.
    let salt = |toy: &Toy, index| output_salts(&toy.program, &toy.salts, index)[0];
    let mut renamed = toy.clone();
    renamed.program.name.push('x');
    assert_ne!(salt(&toy, 0), salt(&toy, 1));
    assert_ne!(salt(&toy, 0), salt(&renamed, 0));
    let mut resalted = toy.clone();
    resalted.salts[0][3] += F::ONE;
    assert_ne!(salt(&toy, 0), salt(&resalted, 0));
    // Any value can be committed, the input too, also where weights are hidden.
    let both =
        program([1, 2, 2], vec![], vec![Output::Committed(0), Output::Committed(0)], WeightMode::Public);
    let both = Toy::random(both, 2, 3);
    let (statement, _) = both.state();
    assert_ne!(statement.outputs[0][..8], statement.outputs[0][8..]);
    proves(&both);
}

#[test]
fn a_batch_is_cut_where_its_forecast_says() {
    let here = Machine::REFERENCE;
    let program = numbers(&[1], vec![Output::Values(0)]).program;
    // A fifth is left free.
    let peak = |batch: usize| {
        let expected = forecast(&program, batch, here).expect("a program within the limits").peak_bytes;
        expected + expected / 5
    };
    let one = peak(1);
    assert!(matches!(parts(&program, 9, one - 1), Err(ProveError::Memory { needed, .. }) if needed == one));
    for memory in [one, 2 * one, 3 * one] {
        let sizes = parts(&program, 5000, memory).expect("parts");
        let (size, last) = (sizes[0], sizes[sizes.len() - 1]);
        assert_eq!(sizes.iter().sum::<usize>(), 5000);
        assert!(
            size.is_power_of_two() && sizes[..sizes.len() - 1].iter().all(|s| *s == size) && last <= size
        );
        assert!(peak(size) <= memory, "{size} inputs fit");
        assert!(size == limits::MAX_BATCH || peak(2 * size) > memory, "no more than {size} do");
    }
    assert_eq!(parts(&program, 7, usize::MAX).expect("parts"), [7]);
    assert_eq!(parts(&program, 5000, usize::MAX).expect("parts"), [4096, 904]);
    // Counts are the program's, whatever the machine.
    let slow = Machine { fixed: 3.0, growing: 3.0 };
    let (fast, slow) =
        (forecast(&program, 64, here).expect("one"), forecast(&program, 64, slow).expect("two"));
    assert_eq!((&fast.work, fast.peak_bytes), (&slow.work, slow.peak_bytes));
    assert!(slow.prove_ms > 2.9 * fast.prove_ms && slow.prove_ms < 3.1 * fast.prove_ms);
    assert_eq!(fast.work.cells, 1 << fast.cells_log2);
}
