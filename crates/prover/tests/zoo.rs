//! Small models of every family of the zoo, proven and checked; and the same proof refused for other outputs.

use proofmesh_graph::statement::verify;
use proofmesh_graph::tensor::Tensor;
use proofmesh_model::import;
use proofmesh_model::zoo::{self, Size};
use proofmesh_prover::{Job, os_rng, prove, salt};

/// Proves one test row of a small model; the outputs must be the executor's.
fn check(name: &str) {
    let made = zoo::find(name).unwrap().make(3, Size::Small);
    let imported =
        import(&made.onnx, &made.options(), &made.calibration).unwrap_or_else(|e| panic!("{name}: {e}"));
    let program = imported.program();
    let input = imported.file.meta.input.tensor(program.input.shape, made.test.row(1)).unwrap();
    let expected = program.run(&input).unwrap();
    let mut rng = os_rng().unwrap();
    let salts = [salt(&mut rng)];
    let job = Job { program, inputs: &[input], salts: &salts, weight_salt: None, context: name.as_bytes() };
    let proved = prove(&job, &mut rng).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(proved.statement.outputs, [expected], "{name}");
    verify(&proved.statement, &proved.file).unwrap_or_else(|e| panic!("{name}: {e}"));
    let mut other = proved.statement.clone();
    other.outputs[0][0] += 1;
    assert!(verify(&other, &proved.file).is_err(), "{name}: another output was taken");
}

#[test]
fn statements_over_a_batch_from_words() {
    let made = zoo::find("trees").unwrap().make(3, Size::Small);
    let words =
        ["sum(output)", "count(output>=0.0)", "count(output<=0.0)", "increasing(output,ends)", "committed"];
    let mut options = made.options();
    options.outputs = words.iter().map(|text| text.parse().unwrap()).collect();
    let imported = import(&made.onnx, &options, &made.calibration).unwrap();
    let (program, meta) = (imported.program(), &imported.file.meta);
    let mut inputs: Vec<_> =
        (0..5).map(|i| meta.input.tensor(program.input.shape, made.test.row(i)).unwrap()).collect();
    let logit = |input: &Tensor| program.trace(input).unwrap()[meta.output_value].data[0];
    inputs.sort_by_key(logit);
    let logits: Vec<i32> = inputs.iter().map(logit).collect();
    let mut rng = os_rng().unwrap();
    let salts: Vec<_> = inputs.iter().map(|_| salt(&mut rng)).collect();
    let job = Job { program, inputs: &inputs, salts: &salts, weight_salt: None, context: b"batch" };
    let proved = prove(&job, &mut rng).unwrap();
    verify(&proved.statement, &proved.file).unwrap();
    let count = |test: fn(&i32) -> bool| logits.iter().filter(|v| test(v)).count();
    let name = &program.nodes[meta.output_value - 1].name;
    let says = proved.statement.sentences();
    let expected = [
        format!("`{name}` adds up to {} over 5 inputs", logits.iter().sum::<i32>()),
        format!("`{name}` >= 0 for {} of 5 inputs", count(|v| *v >= 0)),
        format!("`{name}` <= 0 for {} of 5 inputs", count(|v| *v <= 0)),
        format!("`{name}` never decreases over 5 inputs, from {} to {}", logits[0], logits[4]),
    ];
    assert_eq!(says[..4], expected);
    assert!(says[4].starts_with(&format!("`{name}` is committed to: 0x")), "{}", says[4]);
    for word in 0..proved.statement.batch_outputs.len() {
        let mut lie = proved.statement.clone();
        lie.batch_outputs[word] += if lie.batch_outputs[word] > 0 { -1 } else { 1 };
        assert_eq!(verify(&lie, &proved.file).unwrap_err().check, "statement.output");
    }
    let mut turned = inputs.clone();
    turned.swap(0, 4);
    let job = Job { inputs: &turned, ..job };
    let why = prove(&job, &mut rng).err().expect("it falls").to_string();
    assert!(why.contains("must not decrease"), "{why}");
}

#[test]
fn boosted_trees() {
    check("trees");
}

#[test]
fn a_gru() {
    check("gru");
}

#[test]
fn an_lstm() {
    check("lstm");
}

#[test]
fn a_transformer() {
    check("nanogpt");
}

#[test]
fn a_convolutional_network() {
    check("lenet5");
}
