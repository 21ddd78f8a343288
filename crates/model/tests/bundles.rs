//! Every example bundle: our float executor against the stored float outputs, the integer program against
//! the float model.
//!
//! Models outside the project are read in place and skipped aloud where they are absent. `cargo test --
//! --ignored` runs whole test files of the two slow ones; by default every third or fifth row.

use std::path::{Path, PathBuf};

use proofmesh_graph::program::WeightMode;
use proofmesh_model::bundle::{Bundle, BundleModel, TestSet, load};
use proofmesh_model::{FloatModel, ImportOptions, Score, Task, evaluate, import};

/// A point of accuracy or AUC.
const POINT: f64 = 0.01;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A bundle of the project, or one beside it that may be absent.
fn bundle(name: &str) -> Option<Bundle> {
    let own = root().join("examples").join(name);
    let beside = root().join("../shared/examples/for-tests-only").join(name);
    if own.is_dir() {
        return Some(load(&own).unwrap());
    }
    if beside.is_dir() {
        return Some(load(&beside).unwrap());
    }
    println!("skipped: {name}, there is no folder {}", beside.display());
    None
}

fn model<'a>(bundle: &'a Bundle, file: &str) -> &'a BundleModel {
    bundle.models.iter().find(|m| m.file() == file).unwrap()
}

/// The float executor gives what the exporter's framework stored.
fn float_matches(model: &BundleModel, float: &FloatModel, options: &ImportOptions, test: &TestSet) {
    let real = |row: &[f32]| match model.transform() {
        Some(t) => row.iter().map(|q| (q - t.sub as f32) / t.div as f32).collect(),
        None => row.to_vec(),
    };
    let mut compared = 0;
    for i in (0..test.x.rows()).step_by(7) {
        let x: Vec<f32> = real(test.x.row(i));
        let y = float.run(&x).unwrap();
        let (got, expected) = match (&test.outputs, &test.scores) {
            (Some(stored), _) => (y.clone(), stored.row(i).to_vec()),
            (None, Some(stored)) => {
                let mean = y.iter().zip(&x).map(|(a, b)| (a - b).powi(2)).sum::<f32>() / y.len() as f32;
                (vec![mean], stored.row(i).to_vec())
            }
            (None, None) => continue,
        };
        for (a, b) in got.iter().zip(&expected) {
            assert!((a - b).abs() <= 1e-4 * b.abs().max(10.0), "{} row {i}: {a}, stored {b}", options.name);
            compared += 1;
        }
    }
    assert!(compared > 0, "{} has no stored outputs", options.name);
}

fn thin(test: &TestSet, step: usize) -> TestSet {
    let most = test.x.rows().div_ceil(step);
    TestSet { x: test.x.thinned(most), y: test.y.thinned(most), ..test.clone() }
}

fn lost(float: Score, integer: Score) -> f64 {
    let drop = |f: Option<f64>, i: Option<f64>| f.zip(i).map_or(0.0, |(f, i)| f - i);
    drop(float.accuracy, integer.accuracy).max(drop(float.auc, integer.auc))
}

/// Imports a model and checks every test set; `figures` are the metrics that the bundle's README states for
/// the float model.
fn check(name: &str, file: &str, step: usize, figures: &[f64]) {
    let Some(bundle) = bundle(name) else { return };
    let model = model(&bundle, file);
    let options = model.options();
    let imported = import(&model.onnx().unwrap(), &options, &model.calibration().unwrap()).unwrap();
    println!("{}", imported.report());
    let tests = model.tests().unwrap();
    assert_eq!(tests.len(), figures.len());
    for (test, stated) in tests.iter().zip(figures) {
        float_matches(model, &imported.float, &options, test);
        let rows = thin(test, step);
        let e = evaluate(&imported.file, &imported.float, model.task, &rows.x, &rows.y).unwrap();
        println!("{name} {file} {}: {e:?}", test.name);
        let metric =
            if model.task == Task::Classify { e.float.accuracy } else { e.float.auc.or(e.float.accuracy) };
        let metric = metric.unwrap();
        if step == 1 {
            assert!((metric - stated).abs() < 6e-4, "{name} {}: float {metric}, stated {stated}", test.name);
        }
        assert!(lost(e.float, e.integer) <= POINT, "{name} {}: {e:?}", test.name);
        assert!(e.clamped_inputs < 0.001, "{name} {}: {e:?}", test.name);
    }
}

#[test]
fn weather_qod_keeps_its_accuracy() {
    check("weather-qod", "model.onnx", 1, &[0.976]);
}

#[test]
fn digits_cnn_keeps_its_accuracy() {
    check("digits", "model.onnx", 1, &[0.9922, 0.9804]);
}

#[test]
fn digits_mlp_keeps_its_accuracy() {
    check("digits", "mlp.onnx", 1, &[0.9805, 0.9255]);
}

#[test]
fn fan_vibration_keeps_its_accuracy() {
    check("fan-vibration", "model.onnx", 1, &[0.9439, 0.9286]);
}

#[test]
fn machine_temperature_autoencoder_keeps_its_auc() {
    check("nab-machine-temp", "model.onnx", 1, &[0.865]);
}

#[test]
fn machine_temperature_health_keeps_its_accuracy_and_auc() {
    check("nab-machine-temp", "health.onnx", 1, &[0.958]);
}

#[test]
fn spoken_digits_keep_their_accuracy() {
    check("kws-digits", "model.onnx", 3, &[0.964, 0.82]);
}

#[test]
fn meter_digits_keep_their_accuracy() {
    check("meter-digits", "model.onnx", 5, &[0.9818, 0.9177]);
}

#[test]
#[ignore = "whole test files of the two largest models, half a minute"]
fn slow_bundles_keep_their_accuracy_on_whole_test_files() {
    check("kws-digits", "model.onnx", 1, &[0.964, 0.82]);
    check("meter-digits", "model.onnx", 1, &[0.9818, 0.9177]);
}

#[test]
fn a_dynamic_batch_gives_the_same_program() {
    for name in ["weather-qod", "digits"] {
        let bundle = bundle(name).unwrap();
        let model = model(&bundle, "model.onnx");
        let calibration = model.calibration().unwrap();
        let fixed = import(&model.onnx().unwrap(), &model.options(), &calibration).unwrap();
        let bytes = std::fs::read(root().join("examples").join(name).join("model_dynamic.onnx")).unwrap();
        let open = import(&bytes, &model.options(), &calibration).unwrap();
        assert_eq!(fixed.program().nodes.len(), open.program().nodes.len());
        assert_eq!(fixed.program(), open.program());
    }
}

/// Marks of the table in docs/model.md.
const TABLE: [&str; 2] =
    ["<!-- accuracy: made by crates/model/tests/bundles.rs -->\n\n", "\n<!-- end of accuracy -->"];

/// A row of the table for each test set of a model, with public and with private weights: within a point of the float model.
fn accuracy_rows(name: &str, file: &str) -> String {
    let bundle = bundle(name).unwrap();
    let model = model(&bundle, file);
    let import = |weights| {
        let options = ImportOptions { weights, ..model.options() };
        import(&model.onnx().unwrap(), &options, &model.calibration().unwrap()).unwrap()
    };
    let both = [WeightMode::Public, WeightMode::Private].map(import);
    let mut rows = String::new();
    for test in model.tests().unwrap() {
        let [public, private] = both.each_ref().map(|imported| {
            let e = evaluate(&imported.file, &imported.float, model.task, &test.x, &test.y).unwrap();
            assert!(lost(e.float, e.integer) <= POINT, "{name} {}: {e:?}", test.name);
            e
        });
        let [float, public_is, private_is] =
            [public.float, public.integer, private.integer].map(|score| score.accuracy.unwrap());
        rows += &format!(
            "| {name}, {file} | {}, {} rows | {float:.3} | {public_is:.3} | {private_is:.3} |\n",
            test.name, public.rows
        );
    }
    rows
}

#[test]
fn public_and_private_weights_keep_the_accuracy_that_the_page_states() {
    let head = "| model | test set | float | weights public | weights private |\n|---|---|---|---|---|\n";
    let models = [("weather-qod", "model.onnx"), ("digits", "model.onnx"), ("digits", "mlp.onnx")];
    let found: String = models.iter().map(|(name, file)| accuracy_rows(name, file)).collect();
    let path = root().join("docs/model.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(TABLE[0]).expect("the page has the table's first mark");
    let (_, after) = rest.split_once(TABLE[1]).expect("the page has the table's last mark");
    let blessed = format!("{before}{}{head}{found}{}{after}", TABLE[0], TABLE[1]);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, blessed).unwrap();
    } else {
        assert!(
            page == blessed,
            "docs/model.md states other figures, run BLESS=1 cargo test -p proofmesh-model --test bundles"
        );
    }
}

#[test]
fn weather_demo_has_public_references_class_and_frost_bit() {
    let bundle = bundle("weather-qod").unwrap();
    let model = model(&bundle, "model.onnx");
    let mut options = model.options();
    options.outputs = vec!["argmax".parse().unwrap(), "min(0) <= -40".parse().unwrap()];
    let imported = import(&model.onnx().unwrap(), &options, &model.calibration().unwrap()).unwrap();
    assert_eq!(imported.program().input.public_channels, 3..6);
    let test = &model.tests().unwrap()[0];
    let mut seen = [0, 0];
    for i in (0..test.x.rows()).step_by(5) {
        let row = test.x.row(i);
        let out = imported.program().run(&imported.file.quantise(row).unwrap()).unwrap();
        let frost = row[..24].iter().any(|t| *t <= -40.0);
        assert_eq!(out[1], i32::from(frost), "row {i}");
        seen[usize::from(frost)] += 1;
        let logits = imported.file.real_output(&imported.file.quantise(row).unwrap()).unwrap();
        let largest = logits.iter().copied().fold(f32::MIN, f32::max);
        assert_eq!(logits[out[0] as usize], largest);
    }
    assert!(seen[0] > 0 && seen[1] > 0, "both sides of the threshold must occur: {seen:?}");
}
