//! Damaged and hostile files: an error or a program, never a panic, in bounded time and memory.
//! Deterministic: seeds are fixed, seeds' files are committed.

mod onnx_writer;

use std::path::Path;

use onnx_writer::{A, Message, Stream, floats, ints, model, node};
use proofmesh_model::data::{Array, Element, parse_csv, parse_npy, parse_npz};
use proofmesh_model::{FloatModel, ImportOptions, ModelFile, import};

fn folder(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Small files that between them use most operators.
fn corpus() -> Vec<Vec<u8>> {
    let mut paths: Vec<_> =
        std::fs::read_dir(folder("tests/corpus")).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 4, "the corpus is committed");
    paths.iter().map(|p| std::fs::read(p).unwrap()).collect()
}

/// One to eight damages: bytes set, flipped, cut, doubled, or spliced in from elsewhere.
fn damaged(seed: &[u8], stream: &mut Stream) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..1 + stream.below(8) {
        if bytes.is_empty() {
            break;
        }
        let at = stream.below(bytes.len());
        let end = (at + 1 + stream.below(16)).min(bytes.len());
        match stream.below(6) {
            0 => bytes[at] = stream.word() as u8,
            1 => bytes[at] ^= 1 << stream.below(8),
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => bytes[at] = [0x00, 0x7f, 0x80, 0xff][stream.below(4)],
        }
    }
    bytes
}

/// Imports on a few made-up rows; counts files that still are models.
fn try_import(bytes: &[u8]) -> bool {
    let Ok(float) = FloatModel::parse(bytes, None) else { return false };
    let width = float.input_shape().len();
    let work = float.output_shape().len().saturating_mul(width);
    if width > 4096 || work > 1 << 22 {
        return false;
    }
    let rows = Array::new(vec![4, width], Element::Float, Stream(5).list(4 * width)).unwrap();
    match import(bytes, &ImportOptions::new("hostile"), &rows) {
        Ok(imported) => {
            let file = imported.file.encode().unwrap();
            assert_eq!(ModelFile::decode(&file).unwrap(), imported.file);
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

#[test]
fn damaged_models_are_refused_or_still_import() {
    let mut stream = Stream(2026);
    let (mut alive, mut total) = (0, 0);
    for seed in corpus() {
        assert!(try_import(&seed), "the undamaged file imports");
        for _ in 0..400 {
            alive += usize::from(try_import(&damaged(&seed, &mut stream)));
            total += 1;
        }
    }
    // Both kinds must occur, or the damage reaches nothing.
    assert!(alive > total / 50 && alive < total * 9 / 10, "{alive} of {total} still import");
}

#[test]
fn damaged_real_models_are_parsed_without_panic() {
    let mut stream = Stream(7);
    for name in ["../../examples/digits/model.onnx", "../../examples/weather-qod/model_dynamic.onnx"] {
        let seed = std::fs::read(folder(name)).unwrap();
        for _ in 0..300 {
            let _ = FloatModel::parse(&damaged(&seed, &mut stream), None);
        }
        for n in (0..seed.len()).step_by(97) {
            assert!(FloatModel::parse(&seed[..n], None).is_err(), "cut at {n}");
        }
    }
}

#[test]
fn random_bytes_are_refused_by_every_reader() {
    let mut stream = Stream(99);
    for n in 0..2000 {
        let bytes: Vec<u8> = (0..n % 200).map(|_| stream.word() as u8).collect();
        assert!(FloatModel::parse(&bytes, None).is_err());
        assert!(ModelFile::decode(&bytes).is_err());
        assert!(parse_npy(&bytes).is_err());
        assert!(parse_npz(&bytes).is_err());
        let _ = parse_csv(&bytes);
    }
}

#[test]
fn floods_of_small_fields_are_refused_before_they_are_stored() {
    let empty = Message::default();
    let flood = |field: u64, n: usize| (0..n).fold(Message::default(), |g, _| g.message(field, &empty)).0;
    let file =
        |graph: Vec<u8>| Message::default().bytes(7, &graph).message(8, &Message::default().int(2, 13)).0;
    let refuse = |bytes: &[u8]| FloatModel::parse(bytes, None).unwrap_err().to_string();
    assert!(refuse(&file(flood(1, 100_000))).contains("more than 4096 nodes"));
    assert!(refuse(&file(flood(5, 100_000))).contains("initializers"));
    assert!(refuse(&file(flood(11, 100_000))).contains("inputs"));
    assert!(refuse(&vec![0; (1 << 26) + 1]).contains("bytes, at most"));
    let attributes = Message::default().bytes(1, &flood(5, 100_000)).0;
    assert!(refuse(&file(attributes)).contains("attributes of a node"));
    // A tensor that claims 2^62 elements and holds none.
    let huge = (0..2).fold(Message::default().int(2, 1), |m, _| m.int(1, 1 << 31)).bytes(8, b"w");
    let relu = model(13, &[1, 2], &[node("Relu", &["x"], "y", &[])], std::slice::from_ref(&huge));
    assert!(FloatModel::parse(&relu, None).is_ok(), "an unused tensor that cannot be read does no harm");
    let add = model(13, &[1, 2], &[node("Add", &["x", "w"], "y", &[])], &[huge]);
    assert!(refuse(&add).contains("too many elements"));
}

fn conv_norm_pool(s: &mut Stream) -> Vec<u8> {
    let square = [1, 1, 1, 1];
    model(
        13,
        &[0, 2, 6, 6],
        &[
            node("Conv", &["x", "w", "b"], "c", &[("pads", A::Ints(&square))]),
            node("BatchNormalization", &["c", "g", "b", "b", "v"], "n", &[]),
            node("Relu", &["n"], "r", &[]),
            node(
                "MaxPool",
                &["r"],
                "m",
                &[("kernel_shape", A::Ints(&[2, 2])), ("strides", A::Ints(&[2, 2]))],
            ),
            node("GlobalAveragePool", &["m"], "p", &[]),
            node("Flatten", &["p"], "f", &[]),
            node("Gemm", &["f", "d"], "l", &[("transB", A::Int(1))]),
            node("Softmax", &["l"], "y", &[]),
        ],
        &[
            floats("w", &[3, 2, 3, 3], &s.list(54)),
            floats("b", &[3], &s.list(3)),
            floats("g", &[3], &[1.0, 0.5, 2.0]),
            floats("v", &[3], &[1.0, 0.5, 2.0]),
            floats("d", &[4, 3], &s.list(12)),
        ],
    )
}

fn signal_residual(s: &mut Stream) -> Vec<u8> {
    model(
        17,
        &[1, 3, 8],
        &[
            node("Conv", &["x", "w"], "c", &[("group", A::Int(3)), ("auto_pad", A::Text("SAME_UPPER"))]),
            node("LeakyRelu", &["c"], "k", &[("alpha", A::Float(0.1))]),
            node("Add", &["k", "x"], "a", &[]),
            node("Clip", &["a", "lo", "hi"], "h", &[]),
            node("Mul", &["h", "hi"], "m", &[]),
            node("ReduceMean", &["m"], "y", &[("axes", A::Ints(&[2])), ("keepdims", A::Int(0))]),
        ],
        &[floats("w", &[3, 1, 3], &s.list(9)), floats("lo", &[], &[0.0]), floats("hi", &[], &[0.8])],
    )
}

fn channels_last(s: &mut Stream) -> Vec<u8> {
    model(
        15,
        &[0, 3, 3, 2],
        &[
            node("Transpose", &["x"], "t", &[("perm", A::Ints(&[0, 3, 1, 2]))]),
            node("AveragePool", &["t"], "p", &[("kernel_shape", A::Ints(&[2, 2]))]),
            node("Transpose", &["p"], "u", &[("perm", A::Ints(&[0, 2, 3, 1]))]),
            node("Reshape", &["u", "s"], "f", &[]),
            node("MatMul", &["f", "w"], "m", &[]),
            node("Sub", &["m", "b"], "y", &[]),
        ],
        &[ints("s", &[2], &[-1, 8]), floats("w", &[8, 3], &s.list(24)), floats("b", &[3], &s.list(3))],
    )
}

fn constants(s: &mut Stream) -> Vec<u8> {
    model(
        14,
        &[1, 4],
        &[
            node("Constant", &[], "w", &[("value", A::Tensor(floats("", &[4, 2], &s.list(8))))]),
            node("Gemm", &["x", "w"], "g", &[]),
            node("Shape", &["g"], "s", &[]),
            node("Reshape", &["g", "s"], "h", &[]),
            node("Unsqueeze", &["h", "axis"], "i", &[]),
            node("Squeeze", &["i", "axis"], "j", &[]),
            node("Tanh", &["j"], "k", &[]),
            node("Dropout", &["k"], "y", &[]),
        ],
        &[ints("axis", &[1], &[2])],
    )
}

/// Writes the corpus; run by hand when the writer changes: `cargo test -p proofmesh-model --test hostile --
/// --ignored`.
#[test]
#[ignore = "writes tests/corpus"]
fn write_corpus() {
    let mut s = Stream(1);
    let files = [
        ("conv_norm_pool.onnx", conv_norm_pool(&mut s)),
        ("signal_residual.onnx", signal_residual(&mut s)),
        ("channels_last.onnx", channels_last(&mut s)),
        ("constants.onnx", constants(&mut s)),
    ];
    for (name, bytes) in files {
        std::fs::write(folder("tests/corpus").join(name), bytes).unwrap();
    }
}
