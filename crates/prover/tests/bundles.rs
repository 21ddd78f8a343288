//! Real models on real data: proven outputs equal the integer executor's, bit for bit.

use std::path::{Path, PathBuf};

use proofmesh_graph::program::{Program, WeightMode};
use proofmesh_graph::statement;
use proofmesh_graph::tensor::Tensor;
use proofmesh_model::bundle::{self, BundleModel};
use proofmesh_model::{Imported, import};
use proofmesh_prover::{Job, prove, salt};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Rows of each model, and rows in one proof.
const ROWS: usize = 200;
const BATCH: usize = 25;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn imported(model: &BundleModel, weights: WeightMode) -> Imported {
    let mut options = model.options();
    options.weights = weights;
    let calibration = model.calibration().expect("calibration data");
    import(&model.onnx().expect("the model"), &options, &calibration).expect("the model imports")
}

/// Proves the inputs in one proof, verifies it, and holds its outputs against the executor's.
fn check(program: &Program, inputs: &[Tensor], rng: &mut StdRng) {
    let salts: Vec<_> = inputs.iter().map(|_| salt(rng)).collect();
    let weight_salt = Some(salt(rng));
    let job = Job { program, inputs, salts: &salts, weight_salt, context: b"bundles" };
    let proved = prove(&job, rng).expect("an honest execution proves");
    statement::verify(&proved.statement, &proved.file).expect("an honest proof verifies");
    for (input, outputs) in inputs.iter().zip(&proved.statement.outputs) {
        assert_eq!(*outputs, program.run(input).expect("runs"), "{}", program.name);
    }
}

fn random_rows(imported: &Imported, model: &BundleModel, count: usize, rng: &mut StdRng) -> Vec<Tensor> {
    let tests = model.tests().expect("test sets");
    let rows = &tests[0].x;
    let row = |_| imported.file.quantise(rows.row(rng.random_range(0..rows.rows()))).expect("a row fits");
    (0..count).map(row).collect()
}

#[test]
fn two_hundred_rows_of_each_public_model_are_proven_as_executed() {
    let mut rng = StdRng::seed_from_u64(200);
    for folder in ["weather-qod", "digits"] {
        for model in &bundle::load(&root().join("examples").join(folder)).expect("the bundle").models {
            let imported = imported(model, WeightMode::Public);
            for inputs in random_rows(&imported, model, ROWS, &mut rng).chunks(BATCH) {
                check(imported.program(), inputs, &mut rng);
            }
        }
    }
}

#[test]
fn every_other_bundle_imports_and_proves() {
    let folder = root().join("../shared/examples/for-tests-only");
    if !folder.is_dir() {
        println!("skipped: the bundles for tests only are not beside this checkout");
        return;
    }
    let mut rng = StdRng::seed_from_u64(7);
    for name in ["nab-machine-temp", "meter-digits", "kws-digits", "fan-vibration"] {
        for model in &bundle::load(&folder.join(name)).expect("the bundle").models {
            let imported = imported(model, WeightMode::Public);
            check(imported.program(), &random_rows(&imported, model, 1, &mut rng), &mut rng);
        }
    }
}

#[test]
fn private_weights_of_a_real_model_prove() {
    let mut rng = StdRng::seed_from_u64(8);
    let bundle = bundle::load(&root().join("examples/weather-qod")).expect("the bundle");
    let imported = imported(&bundle.models[0], WeightMode::Private);
    check(imported.program(), &random_rows(&imported, &bundle.models[0], 1, &mut rng), &mut rng);
}
