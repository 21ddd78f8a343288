//! The model file: round trip, canonical form, private weights, every damage refused or harmless.

mod onnx_writer;

use onnx_writer::{Stream, floats, model, node};
use proofmesh_graph::op::Op;
use proofmesh_graph::program::WeightMode;
use proofmesh_model::data::{Array, Element};
use proofmesh_model::{Forecast, ImportOptions, Imported, InputScale, ModelFile, import};

fn imported(weights: WeightMode) -> Imported {
    let mut stream = Stream(3);
    let (w1, w2) = (stream.list(2 * 3 * 3), stream.list(2 * 4));
    let nodes = [
        node("Conv", &["x", "a"], "h", &[]),
        node("Relu", &["h"], "r", &[]),
        node("GlobalAveragePool", &["r"], "g", &[]),
        node("Flatten", &["g"], "f", &[]),
        node("Gemm", &["f", "b"], "y", &[]),
    ];
    let file = model(13, &[1, 3, 5], &nodes, &[floats("a", &[2, 3, 3], &w1), floats("b", &[2, 4], &w2)]);
    let stored = stream.list(64 * 15).iter().map(|v| (v * 100.0).round()).collect();
    let options = ImportOptions {
        weights,
        input: InputScale::Stored { sub: 10, div: 16.0 },
        classes: ["a", "b", "c", "d"].map(String::from).to_vec(),
        source_file: "test.onnx".into(),
        ..ImportOptions::new("test")
    };
    import(&file, &options, &Array::new(vec![64, 15], Element::I8, stored).unwrap()).unwrap()
}

#[test]
fn round_trip_is_exact_and_importing_again_gives_the_same_bytes() {
    let bytes = imported(WeightMode::Public).file.encode().unwrap();
    assert_eq!(bytes, imported(WeightMode::Public).file.encode().unwrap());
    let mut file = ModelFile::decode(&bytes).unwrap();
    assert_eq!(file, imported(WeightMode::Public).file);
    assert_eq!((file.class_name(1), file.class_name(9)), ("b".to_string(), "9".to_string()));
    file.meta.report.forecast = Some(Forecast { prove_ms: 40, peak_bytes: 1 << 27, proof_bytes: 300_000 });
    assert_eq!(ModelFile::decode(&file.encode().unwrap()).unwrap(), file);
    // JSON is for people and other programs: its last digit of a float may differ, nothing else.
    let json = serde_json::to_string(&file.meta.report).unwrap();
    let read: proofmesh_model::Report = serde_json::from_str(&json).unwrap();
    assert_eq!((&read.tables, &read.operators), (&file.meta.report.tables, &file.meta.report.operators));
    assert_eq!(read.to_string(), file.meta.report.to_string());
    assert!(file.meta.report.to_string().contains("multiply-adds"));
}

#[test]
fn every_cut_and_every_flipped_byte_is_refused_or_another_canonical_file() {
    let bytes = imported(WeightMode::Public).file.encode().unwrap();
    for n in 0..bytes.len() {
        assert_eq!(ModelFile::decode(&bytes[..n]).unwrap_err().name(), "model-file-malformed", "cut at {n}");
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert!(ModelFile::decode(&longer).is_err(), "trailing bytes");
    let mut refused = 0;
    for at in 0..bytes.len() {
        for bit in [0, 3, 7] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            match ModelFile::decode(&damaged) {
                Ok(file) => assert_eq!(file.encode().unwrap(), damaged, "byte {at} bit {bit}"),
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > bytes.len() / 4, "only {refused} damages were refused");
}

#[test]
fn contradictory_metadata_is_refused() {
    let good = imported(WeightMode::Public).file;
    let refuse = |change: fn(&mut ModelFile), part: &str| {
        let mut file = good.clone();
        change(&mut file);
        let why = ModelFile::decode(&file.encode().unwrap()).unwrap_err().to_string();
        assert!(why.contains(part), "`{part}` is missing in: {why}");
    };
    refuse(|f| f.meta.output_value = 99, "output value");
    refuse(|f| f.meta.output_scale = f64::NAN, "finite");
    refuse(|f| f.meta.input.scale = 0.0, "finite");
    refuse(|f| f.meta.input.interval.hi += 1, "interval");
    refuse(|f| f.meta.classes.truncate(3), "classes");
    refuse(|f| f.meta.report.tensors[0].scale = f64::INFINITY, "finite");
    refuse(|f| f.program.outputs.clear(), "at least one output");
    refuse(|f| f.program.nodes[0].inputs[0] = 7, "does not exist");
}

#[test]
fn private_weights_fit_their_bits_and_stay_out_of_the_public_part() {
    let imported = imported(WeightMode::Private);
    let file = ModelFile::decode(&imported.file.encode().unwrap()).unwrap();
    let mut layers = 0;
    for node in &file.program.nodes {
        if let Op::Conv(conv) = &node.op {
            assert!(conv.weights.iter().all(|w| (-2048..2048).contains(w)));
            assert!(conv.bias.iter().all(|b| (-(1 << 23)..1 << 23).contains(b)));
            layers += 1;
        }
    }
    assert_eq!(layers, 2);
    let shown = ModelFile::decode(&file.public_part().encode().unwrap()).unwrap();
    let hidden = |n: &proofmesh_graph::program::Node| match &n.op {
        Op::Conv(c) => c.weights.is_empty() && c.bias.is_empty(),
        _ => true,
    };
    assert!(shown.program.nodes.iter().all(hidden));
    assert!(!file.program.nodes.iter().all(hidden));
    assert!(imported.report().calibration.error < 0.1, "{}", imported.report());
}

#[test]
fn stored_integers_are_the_input_exactly_and_nothing_outside_is_let_in() {
    let file = imported(WeightMode::Public).file;
    let row: Vec<f32> = (0..15).map(|i| i as f32 * 3.0 - 20.0).collect();
    let tensor = file.quantise(&row).unwrap();
    let expected: Vec<i32> = row.iter().map(|q| *q as i32 - 10).collect();
    assert_eq!(tensor.data, expected);
    assert_eq!(file.from_integers(&expected).unwrap(), tensor);
    let refuse = |row: &[f32]| file.quantise(row).unwrap_err().to_string();
    assert!(refuse(&row[1..]).contains("14 numbers for 15"));
    let with = |v: f32| [&[v], &row[1..]].concat();
    assert!(refuse(&with(0.5)).contains("whole"));
    assert!(refuse(&with(128.0)).contains("-128..=127"));
    assert!(refuse(&with(f32::NAN)).contains("not a number"));
    assert!(file.from_integers(&[118; 15]).is_err());
    assert!(file.from_integers(&[0; 14]).is_err());
}
