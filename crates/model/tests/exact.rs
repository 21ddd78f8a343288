//! Quantised models against the runtimes that run them: what the program computes is, bit for bit, what `tests/int8` has recorded of TensorFlow
//! Lite and onnxruntime. The scripts that made models and recordings lie beside them.

use std::path::{Path, PathBuf};

use proofmesh_graph::op::Op;
use proofmesh_graph::program::WeightMode;
use proofmesh_graph::tensor::Shape;
use proofmesh_model::data::{self, Array};
use proofmesh_model::{ImportError, ImportOptions, Kernels, ModelFile, OutputChoice, import_exact};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/int8")
}

fn bytes(file: &str) -> Vec<u8> {
    std::fs::read(folder().join(file)).expect("a file of the folder")
}

fn rows(file: &str) -> Array {
    data::read(&folder().join(file)).expect("recorded numbers")
}

fn options() -> ImportOptions {
    let mut options = ImportOptions::new("exact");
    options.outputs = vec![OutputChoice::Values];
    options
}

fn imported(file: &str, kernels: Kernels) -> ModelFile {
    import_exact(&bytes(file), kernels, &options()).unwrap_or_else(|e| panic!("{file}: {e}"))
}

/// A row of the file's `[H, W, C]` as the program's `[C, H, W]`.
fn channels_first(shape: Shape, row: &[f32]) -> Vec<f32> {
    let Shape { c, h, w } = shape;
    (0..c * h * w).map(|i| row[i % (h * w) * c + i / (h * w)]).collect()
}

/// How many of the recorded integers differ from the program's, of how many, and the largest difference.
fn differences(file: &ModelFile, inputs: &Array, outputs: &Array, last: bool) -> (usize, usize, i32) {
    let zero = outputs_zero(file);
    let (mut different, mut count, mut most) = (0, 0, 0);
    for i in 0..inputs.rows() {
        let row =
            if last { channels_first(file.input_shape(), inputs.row(i)) } else { inputs.row(i).to_vec() };
        let input = file.quantise(&row).expect("a recorded input");
        let got = file.program.run(&input).expect("the program runs");
        assert_eq!(got.len(), outputs.row_len());
        for (g, e) in got.iter().zip(outputs.row(i)) {
            let off = (g + zero - *e as i32).abs();
            (different, count, most) = (different + usize::from(off > 0), count + 1, most.max(off));
        }
    }
    (different, count, most)
}

/// The output's zero point, as the report says it.
fn outputs_zero(file: &ModelFile) -> i32 {
    let note =
        file.meta.report.notes.iter().find(|n| n.contains("zero point")).expect("a note on the output");
    note.rsplit(' ').next().expect("its last word").parse().expect("a number")
}

#[test]
fn tensorflow_lite_bit_for_bit() {
    for model in ["cnn", "autoencoder"] {
        let inputs = rows(&format!("{model}.input.npz"));
        for (kernels, recorded) in [(Kernels::Reference, "reference"), (Kernels::Xnnpack, "xnnpack")] {
            let file = imported(&format!("{model}.tflite"), kernels);
            let outputs = rows(&format!("{model}.{recorded}.npz"));
            let (different, count, most) = differences(&file, &inputs, &outputs, true);
            println!("{model}, {recorded}: {different} of {count} differ, by {most} at most");
            assert_eq!(different, 0, "{model}, {recorded}");
        }
        // The optimised built-in kernels of a desktop round some layers once and others twice: close, not equal.
        let file = imported(&format!("{model}.tflite"), Kernels::Reference);
        let (different, count, most) =
            differences(&file, &inputs, &rows(&format!("{model}.builtin.npz")), true);
        println!("{model}, builtin: {different} of {count} differ, by {most} at most");
        assert!(different * 20 < count && most <= 2, "{model}: {different} of {count}, {most}");
    }
}

#[test]
fn onnxruntime_bit_for_bit() {
    for model in ["cnn_qdq", "cnn_qlinear", "dense_qdq", "cnn_qdq_signed"] {
        let file = imported(&format!("{model}.onnx"), Kernels::default());
        let inputs = rows(&format!("{model}.input.npz"));
        for (recorded, exact) in [("fused", model != "cnn_qdq_signed"), ("plain", false)] {
            let outputs = rows(&format!("{model}.{recorded}.npz"));
            let (different, count, most) = differences(&file, &inputs, &outputs, false);
            println!("{model}, {recorded}: {different} of {count} differ, by {most} at most");
            // Layers that onnxruntime runs in float32 are close, not equal: all without its optimisations, and on x86 some with signed operands.
            assert!(
                if exact { different == 0 } else { different * 20 < count && most <= 1 },
                "{model}, {recorded}"
            );
        }
    }
}

#[test]
fn the_two_kernels_are_two_programs() {
    let [a, b] = [Kernels::Reference, Kernels::Xnnpack].map(|k| imported("cnn.tflite", k).program);
    assert_ne!(a, b);
    assert_eq!(a.nodes.len(), b.nodes.len());
}

#[test]
fn weights_may_be_private_and_the_file_holds_together() {
    let mut private = options();
    private.weights = WeightMode::Private;
    for (file, input, output, last) in [
        ("autoencoder.tflite", "autoencoder.input.npz", "autoencoder.reference.npz", true),
        ("dense_qdq.onnx", "dense_qdq.input.npz", "dense_qdq.fused.npz", false),
    ] {
        let made = import_exact(&bytes(file), Kernels::Reference, &private)
            .unwrap_or_else(|e| panic!("{file}: {e}"));
        let again = ModelFile::decode(&made.encode().expect("it fits")).expect("it reads back");
        assert_eq!(differences(&again, &rows(input), &rows(output), last).0, 0, "{file}");
        let shown = again.public_part();
        let hidden = |n: &proofmesh_graph::program::Node| n.op.conv().is_none_or(|c| c.weights.is_empty());
        assert!(shown.program.nodes.iter().all(hidden));
        assert!(shown.program.nodes.iter().any(|n| matches!(n.op, Op::Requantise(_))));
    }
}

#[test]
fn hostile_files_are_refused_without_harm() {
    let refuse = |bytes: &[u8]| import_exact(bytes, Kernels::Reference, &options()).is_err();
    for name in ["cnn.tflite", "autoencoder.tflite", "cnn_qdq.onnx", "cnn_qlinear.onnx"] {
        let whole = bytes(name);
        // The last bytes of an ONNX file may name no more than a second operator set.
        for at in (0..whole.len() * 3 / 4).step_by(whole.len() / 150) {
            assert!(refuse(&whole[..at]), "{name}: the first {at} bytes");
        }
        // Bytes changed here and there: an error or another model, never a panic.
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize
        };
        let mut errors = 0;
        for _ in 0..400 {
            let mut lie = whole.clone();
            for _ in 0..1 + next() % 4 {
                let at = next() % lie.len();
                lie[at] = [0, 0xff, 0x80, 0x7f, next() as u8][next() % 5];
            }
            errors += usize::from(refuse(&lie));
        }
        println!("{name}: {errors} of 400 changed files refused");
        assert!(errors > 20, "{name}: {errors}");
    }
    match import_exact(b"\x10\0\0\0TFL3\0\0\0\0\0\0\0\0", Kernels::Reference, &options()) {
        Err(ImportError::Tflite(_)) => {}
        other => panic!("{other:?}"),
    }
}
