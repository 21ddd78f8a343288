//! The soundness table in docs/spec is the one that the code computes.

use std::fs;
use std::path::Path;

use proofmesh_graph::statement::{self, Statement};
use proofmesh_model::{bundle, import};
use proofmesh_proof::profile::Kind;
use proofmesh_prover::{Job, salt, state};
use rand::SeedableRng;
use rand::rngs::StdRng;

#[test]
fn vectors_of_the_soundness_table_are_those_of_the_docs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let bundle = bundle::load(&root.join("examples/weather-qod")).expect("the bundle loads");
    let model = &bundle.models[0];
    let calibration = model.calibration().expect("calibration data");
    let imported =
        import(&model.onnx().expect("the model"), &model.options(), &calibration).expect("the model imports");
    let input = imported.file.quantise(calibration.row(0)).expect("a row fits");
    let salts = [salt(&mut StdRng::seed_from_u64(1))];
    let job =
        Job { program: imported.program(), inputs: &[input], salts: &salts, weight_salt: None, context: b"" };
    let (statement, ..) = state(&job).expect("the statement stands");
    compare(&root, &statement, Kind::Device, "soundness");
    compare(&root, &statement, Kind::Hired, "soundness of hired");
}

/// Compares the table between a pair of marks.
fn compare(root: &Path, statement: &Statement, profile: Kind, mark: &str) {
    let (terms, total) = statement::soundness(statement, profile).expect("terms");
    let mut table = String::from("| term | bits | of which proof-of-work |\n|---|---|---|\n");
    for term in &terms {
        table += &format!("| {} | {:.1} | {} |\n", term.name.replace('|', "\\|"), term.bits, term.pow_bits);
    }
    table += &format!("| **sum** | **{total:.1}** | |\n");
    let bare = proofmesh_proof::soundness::bits_without_grinding(&terms);
    table += &format!("| sum without proof-of-work | {bare:.1} | |\n");

    let path = root.join("docs/spec/soundness.md");
    let text = fs::read_to_string(&path).expect("the docs");
    let [begin, end] = ["begin", "end"].map(|side| format!("<!-- {mark}:{side} -->"));
    let (head, rest) = text.split_once(&format!("{begin}\n")).expect("a begin mark");
    let (now, tail) = rest.split_once(&end).expect("an end mark");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, format!("{head}{begin}\n{table}{end}{tail}")).expect("written");
    } else {
        assert_eq!(now, table, "run `cargo xtask bless` and read the diff");
    }
    assert!(total >= 100.0);
}
