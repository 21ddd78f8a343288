//! Quantised models of TensorFlow Lite and onnxruntime, proven with their own integers: what the proof states is what the runtime recorded.

use std::path::Path;

use proofmesh_graph::program::WeightMode;
use proofmesh_graph::statement;
use proofmesh_graph::tensor::{Shape, Tensor};
use proofmesh_model::data::{self, Array};
use proofmesh_model::{ImportOptions, Kernels, OutputChoice, import_exact};
use proofmesh_prover::{Job, prove, salt};
use rand::SeedableRng;
use rand::rngs::StdRng;

fn rows(file: &str) -> Array {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/int8");
    data::read(&folder.join(file)).expect("recorded numbers")
}

#[test]
fn what_is_proven_is_what_the_runtime_computed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/int8");
    let cases = [
        ("cnn.tflite", "cnn", "reference", Kernels::Reference, WeightMode::Public),
        ("cnn.tflite", "cnn", "xnnpack", Kernels::Xnnpack, WeightMode::Public),
        ("autoencoder.tflite", "autoencoder", "reference", Kernels::Reference, WeightMode::Private),
        ("cnn_qdq.onnx", "cnn_qdq", "fused", Kernels::Reference, WeightMode::Public),
        ("cnn_qlinear.onnx", "cnn_qlinear", "fused", Kernels::Reference, WeightMode::Public),
        ("dense_qdq.onnx", "dense_qdq", "fused", Kernels::Reference, WeightMode::Public),
    ];
    let mut rng = StdRng::seed_from_u64(8);
    for (file, name, recorded, kernels, weights) in cases {
        let mut options = ImportOptions::new(name);
        (options.outputs, options.weights) = (vec![OutputChoice::Values], weights);
        let bytes = std::fs::read(folder.join(file)).expect("the model");
        let model = import_exact(&bytes, kernels, &options).expect("the model imports");
        let (given, expected) = (rows(&format!("{name}.input.npz")), rows(&format!("{name}.{recorded}.npz")));
        // The last rows are at the ends of the input's type: they saturate.
        let picked = [0, 1, given.rows() - 1];
        let shape = model.input_shape();
        let inputs: Vec<Tensor> = picked
            .iter()
            .map(|i| {
                let row = given.row(*i);
                let Shape { c, h, w } = shape;
                let at = |i: usize| row[i % (h * w) * c + i / (h * w)];
                let first: Vec<f32> = (0..row.len()).map(at).collect();
                model.quantise(if file.ends_with("tflite") { &first } else { row }).expect("a recorded input")
            })
            .collect();
        let salts: Vec<_> = inputs.iter().map(|_| salt(&mut rng)).collect();
        let weight_salt = Some(salt(&mut rng));
        let job =
            Job { program: &model.program, inputs: &inputs, salts: &salts, weight_salt, context: b"exact" };
        let proved = prove(&job, &mut rng).expect("an honest execution proves");
        statement::verify(&proved.statement, &proved.file).expect("an honest proof verifies");
        let zero: Vec<f32> = picked
            .iter()
            .zip(&proved.statement.outputs)
            .flat_map(|(i, outputs)| {
                expected.row(*i).iter().zip(outputs).map(|(e, y)| e - *y as f32).collect::<Vec<_>>()
            })
            .collect();
        assert!(
            zero.iter().all(|z| *z == zero[0]),
            "{file}, {recorded}: one zero point between what is proven and what was recorded"
        );
        println!("{file}, {recorded}: {} numbers proven as recorded", zero.len());
    }
}
