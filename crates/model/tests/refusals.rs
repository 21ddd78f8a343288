//! What is not supported is refused with the node's name, its operator and what to do.

mod onnx_writer;

use onnx_writer::{A, Message, Stream, floats, ints, model, node, value};
use proofmesh_graph::program::WeightMode;
use proofmesh_model::data::{Array, Element};
use proofmesh_model::{FloatModel, ImportError, ImportOptions, InputScale, OutputChoice, import};

/// Parses a one-node model whose input is `dims` and gives the refusal.
fn refusal(dims: &[usize], node: Message, constants: &[Message]) -> String {
    let error = FloatModel::parse(&model(13, dims, &[node], constants), None).unwrap_err();
    assert_eq!(error.name(), "node-unsupported", "{error}");
    let text = error.to_string();
    assert!(text.starts_with("node `node_y` ("), "the node's name comes first: {text}");
    text
}

#[track_caller]
fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is missing in: {text}");
    }
}

#[test]
fn operators_that_are_missing_or_used_in_ways_that_are_not_read() {
    let image = [1, 2, 4, 4];
    let w = || floats("w", &[2, 2, 3, 3], &Stream(1).list(36));
    let (two, twos, ones) = ([2, 2], [2, 2], [1, 1, 1, 1]);
    says(&refusal(&image, node("Scan", &["x"], "y", &[]), &[]), &["(Scan)", "not supported", "unroll"]);
    says(&refusal(&image, node("Nonsense", &["x"], "y", &[]), &[]), &["(Nonsense)", "not supported", "Conv"]);
    says(&refusal(&image, node("LSTM", &["x"], "y", &[]), &[]), &["not [sequence, batch, features]"]);
    let dilated = node("Conv", &["x", "w"], "y", &[("dilations", A::Ints(&two))]);
    says(&refusal(&image, dilated, &[w()]), &["dilations", "widen the kernel"]);
    let kernel = ("kernel_shape", A::Ints(&twos));
    let average = node("AveragePool", &["x"], "y", &[kernel.clone(), ("pads", A::Ints(&ones))]);
    says(&refusal(&image, average, &[]), &["count_include_pad"]);
    let ceil =
        node("AveragePool", &["x"], "y", &[kernel, ("strides", A::Ints(&[3, 3])), ("ceil_mode", A::Int(1))]);
    says(&refusal(&image, ceil, &[]), &["ceil_mode"]);
    let zero = floats("s", &[], &[0.0]);
    says(&refusal(&image, node("Div", &["x", "s"], "y", &[]), &[zero]), &["infinite"]);
    let wide = node("MatMul", &["x", "w"], "y", &[]);
    says(&refusal(&[1, 5, 3], wide, &[floats("w", &[4, 2], &[0.0; 8])]), &["does not fit weights"]);
    let short = floats("s", &[3], &[0.0; 3]);
    says(&refusal(&image, node("Add", &["x", "s"], "y", &[]), &[short]), &["do not broadcast"]);
    let linear = node("Resize", &["x"], "y", &[("mode", A::Text("linear"))]);
    says(&refusal(&image, linear, &[]), &["only the mode nearest"]);
    let filled = node("Pad", &["x", "p", "v"], "y", &[]);
    let by = [ints("p", &[8], &[0, 0, 1, 1, 0, 0, 1, 1]), floats("v", &[], &[1.0])];
    says(&refusal(&image, filled, &by), &["only zeros"]);
    let index = node("ArgMax", &["x"], "y", &[("axis", A::Int(1))]);
    says(&refusal(&image, index, &[]), &["at the very end, over all elements"]);
    let training = node("Dropout", &["x", "", "t"], "y", &[]);
    says(&refusal(&[1, 3], training, &[ints("t", &[], &[1])]), &["training mode"]);
    says(&refusal(&[1, 3], node("Relu", &["nowhere"], "y", &[]), &[]), &["`nowhere`"]);
    let stride = node("Conv", &["x", "w"], "y", &[("strides", A::Ints(&[0, 1]))]);
    says(&refusal(&image, stride, &[w()]), &["stride of 0"]);
}

#[test]
fn constants_that_cannot_be_read_are_named_where_they_are_used() {
    let external = Message::default().int(1, 2).int(2, 1).bytes(8, b"w").int(14, 1);
    let text = refusal(&[1, 2], node("Add", &["x", "w"], "y", &[]), &[external]);
    says(&text, &["`w`", "another file"]);
    let half = Message::default().int(1, 2).int(2, 10).bytes(8, b"w").bytes(9, &[0; 4]);
    says(&refusal(&[1, 2], node("Add", &["x", "w"], "y", &[]), &[half]), &["16-bit floats"]);
    let short = Message::default().int(1, 5).int(2, 1).bytes(8, b"w").bytes(9, &[0; 4]);
    says(&refusal(&[1, 2], node("Add", &["x", "w"], "y", &[]), &[short]), &["4 bytes for 5 elements"]);
    let nan = floats("w", &[2], &[f32::NAN, 1.0]);
    says(&refusal(&[1, 2], node("Add", &["x", "w"], "y", &[]), &[nan]), &["not a number"]);
}

#[test]
fn inputs_and_files_that_do_not_fit() {
    let relu = || [node("Relu", &["x"], "y", &[])];
    let refuse = |file: &[u8]| FloatModel::parse(file, None).unwrap_err().to_string();
    says(&refuse(&model(13, &[1, 2, 0, 4], &relu(), &[])), &["input `x`", "dynamic"]);
    says(&refuse(&model(13, &[4], &relu(), &[])), &["input `x`", "batch axis"]);
    says(&refuse(&model(13, &[1, 1 << 20, 64], &relu(), &[])), &["beyond"]);
    says(&refuse(&model(12, &[1, 2], &relu(), &[])), &["operator set 12", "13 to 22"]);
    says(&refuse(&model(23, &[1, 2], &relu(), &[])), &["operator set 23"]);
    says(&refuse(b""), &["no operator set"]);
    says(&refuse(b"\x0f"), &["wire type 7"]);
    let graph = Message::default().message(1, &node("Add", &["x", "z"], "y", &[]));
    let graph = graph
        .message(11, &value("x", &[1, 2]))
        .message(11, &value("z", &[1, 2]))
        .message(12, &value("y", &[1, 2]));
    let file = Message::default().message(7, &graph).message(8, &Message::default().int(2, 13)).0;
    says(&refuse(&file), &["2 inputs", "stack them"]);
}

fn dense(weight: f32) -> Vec<u8> {
    let nodes = [
        node("Gemm", &["x", "w"], "h", &[]),
        node("Relu", &["h"], "r", &[]),
        node("Gemm", &["r", "w"], "y", &[]),
    ];
    model(13, &[1, 3], &nodes, &[floats("w", &[3, 3], &[weight; 9])])
}

fn rows(n: usize, width: usize) -> Array {
    Array::new(vec![n, width], Element::Float, Stream(9).list(n * width)).unwrap()
}

#[test]
fn calibration_and_options_that_contradict_the_model() {
    let options = ImportOptions::new("test");
    let refuse = |options: &ImportOptions, data: &Array| import(&dense(0.5), options, data).unwrap_err();
    says(&refuse(&options, &rows(4, 2)).to_string(), &["`calibration`", "the model reads 3"]);
    let stored = ImportOptions { input: InputScale::Stored { sub: 0, div: 4.0 }, ..options.clone() };
    says(&refuse(&stored, &rows(4, 3)).to_string(), &["must be whole"]);
    let channels = ImportOptions { public_channels: 2..4, ..options.clone() };
    says(&refuse(&channels, &rows(4, 3)).to_string(), &["public channels 2..4"]);
    let trigger = ImportOptions { outputs: vec!["max(3)<=5".parse().unwrap()], ..options.clone() };
    says(&refuse(&trigger, &rows(4, 3)).to_string(), &["channel 3", "3 channels"]);
    let output = ImportOptions { onnx_output: Some("z".into()), ..options.clone() };
    assert_eq!(refuse(&output, &rows(4, 3)).name(), "options-contradict");
    assert!("median(0)<=3".parse::<OutputChoice>().is_err());
    let overflow = import(&dense(1e25), &options, &rows(4, 3)).unwrap_err();
    assert!(matches!(overflow, ImportError::Data { .. }), "{overflow}");
    says(&overflow.to_string(), &["not finite"]);
}

#[test]
fn a_layer_that_no_table_fits_is_refused_by_name() {
    let dense = |n: usize| {
        let weights = floats("w", &[n, 1], &vec![1e-3; n]);
        model(13, &[1, n], &[node("Gemm", &["x", "w"], "y", &[])], &[weights])
    };
    let private = ImportOptions { weights: WeightMode::Private, ..ImportOptions::new("test") };
    // A million private weights on 9-bit inputs pass 2^29 even if they have two bits.
    let n = 1 << 20;
    let error = import(&dense(n), &private, &rows(1, n)).unwrap_err();
    assert_eq!(error.name(), "node-unsupported");
    says(&error.to_string(), &["`node_y` (Gemm)", "private", "split the layer or show its weights"]);
    // 4,096 leave them nine, and the report says so.
    let imported = import(&dense(4096), &private, &rows(4, 4096)).unwrap();
    says(
        &imported.report().to_string(),
        &["1 layers (first: `node_y`) have 9 bits", "bounded by shape alone"],
    );
}
