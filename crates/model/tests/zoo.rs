//! Every model of the zoo: the same bytes for the same seed, the multiply-adds that the literature states, an integer program close to the
//! float model.

use proofmesh_model::zoo::{self, Entry, Size, ZOO};
use proofmesh_model::{Task, bundle, evaluate, import};

/// Seed of these tests.
const SEED: u64 = 7;

/// Imports a model and holds it against the float model: on test rows that calibration did not see, the root mean square difference over
/// the output's standard deviation, and answers.
fn check(entry: &Entry, size: Size, error: f64) {
    let made = entry.make(SEED, size);
    let imported = import(&made.onnx, &made.options(), &made.calibration)
        .unwrap_or_else(|e| panic!("{}: {e}", made.name));
    let found = evaluate(&imported.file, &imported.float, made.task, &made.test, &made.labels).unwrap();
    assert!(
        found.error < error,
        "{}: error {:.4} of the spread\n{}",
        made.name,
        found.error,
        imported.report()
    );
    // Within a point of the float model, or one row of a small test.
    let slack = f64::max(0.01, 1.0 / found.rows as f64) + 1e-9;
    if let (Some(got), Some(float)) = (found.integer.accuracy, found.float.accuracy) {
        let trained = made.task == Task::Classify && !matches!(made.name, "nanogpt");
        assert!(!trained || got > float - slack, "{}: accuracy {got}, float {float}", made.name);
        assert!(found.agreement > 0.85, "{}: same answer on {}", made.name, found.agreement);
    }
}

fn of(name: &str) -> &'static Entry {
    zoo::find(name).unwrap()
}

#[test]
fn small_convolutional_models_are_close_to_float() {
    check(of("lenet5"), Size::Small, 0.08);
    check(of("vgg16"), Size::Small, 0.12);
    check(of("resnet18"), Size::Small, 0.12);
}

#[test]
fn small_recurrences_transformer_and_trees_are_close_to_float() {
    check(of("lstm"), Size::Small, 0.06);
    check(of("gru"), Size::Small, 0.06);
    check(of("nanogpt"), Size::Small, 0.06);
    check(of("trees"), Size::Small, 0.03);
}

#[test]
#[ignore = "full sizes, minutes without optimisation"]
fn full_sizes_are_close_to_float() {
    for entry in ZOO {
        // Ninety-six rows for ten dense layers: other rows go beyond what they showed, headroom or not.
        let error = if entry.name == "autoencoder" { 0.25 } else { 0.12 };
        check(entry, Size::Full, error);
    }
}

#[test]
fn multiply_adds_are_those_of_the_literature() {
    for entry in ZOO.iter().filter(|e| e.million_multiply_adds < 20.0) {
        let made = entry.make(SEED, Size::Full);
        let got = made.float().unwrap().multiply_adds() as f64 / 1e6;
        let share = got / entry.million_multiply_adds;
        assert!(
            (0.93..1.07).contains(&share),
            "{}: {got:.3} million, expected {}",
            entry.name,
            entry.million_multiply_adds
        );
    }
}

#[test]
#[ignore = "the two largest models, a minute without optimisation"]
fn multiply_adds_of_the_largest_are_those_of_the_literature() {
    for entry in ZOO.iter().filter(|e| e.million_multiply_adds >= 20.0) {
        let got = entry.make(SEED, Size::Full).float().unwrap().multiply_adds() as f64 / 1e6;
        assert!((got / entry.million_multiply_adds - 1.0).abs() < 0.03, "{}: {got:.1} million", entry.name);
    }
}

#[test]
fn a_seed_gives_the_same_bytes_and_another_one_others() {
    for entry in ZOO.iter().filter(|e| !matches!(e.name, "mobilenet" | "resnet8" | "ds-cnn")) {
        let [a, b, other] = [SEED, SEED, SEED + 1].map(|seed| entry.make(seed, Size::Small));
        assert_eq!((&a.onnx, &a.calibration, &a.labels), (&b.onnx, &b.calibration, &b.labels));
        assert!(a.onnx != other.onnx && a.calibration != other.calibration, "{}", entry.name);
    }
}

#[test]
fn a_made_bundle_is_a_bundle() {
    let folder = std::env::temp_dir().join(format!("proofmesh-zoo-{}", std::process::id()));
    let made = of("nanogpt").make(SEED, Size::Small);
    made.write(&folder).unwrap();
    let bundle = bundle::load(&folder).unwrap();
    let model = &bundle.models[0];
    assert_eq!(model.onnx().unwrap(), made.onnx);
    assert_eq!(model.calibration().unwrap(), made.calibration);
    let options = model.options();
    assert_eq!(
        (options.task, options.input, options.classes),
        (made.task, made.options().input, made.options().classes)
    );
    let tests = model.tests().unwrap();
    assert_eq!((&tests[0].x, &tests[0].y), (&made.test, &made.labels));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn an_unknown_name_lists_the_known_ones() {
    let text = zoo::find("alexnet").err().expect("there is none").to_string();
    assert!(text.contains("alexnet") && ZOO.iter().all(|e| text.contains(e.name)), "{text}");
}
