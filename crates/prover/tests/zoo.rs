//! Small models of every family of the zoo, proven and checked; and the same proof refused for other outputs.

use proofmesh_graph::statement::verify;
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
