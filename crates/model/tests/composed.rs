//! Operators that are composed of several: the float executor against what is written here, then the integer program against the float
//! executor.

mod onnx_writer;

use onnx_writer::{A, Message, Stream, floats, ints, model, node};
use proofmesh_model::data::{Array, Element};
use proofmesh_model::{FloatModel, ImportOptions, InputScale, Task, import};

/// Runs a file on random inputs of `n` elements: float executor against `reference`, then the integer program against the float executor.
fn check(
    name: &str,
    input: &[usize],
    nodes: &[Message],
    constants: &[Message],
    reference: impl Fn(&[f64]) -> Vec<f64>,
) {
    let file = model(17, input, nodes, constants);
    let n: usize = input.iter().product();
    let float = FloatModel::parse(&file, None).unwrap_or_else(|e| panic!("{name}: {e}"));
    let rows = Stream(11).list(64 * n);
    for row in rows.chunks(n).take(3) {
        let expected = reference(&row.iter().map(|v| f64::from(*v)).collect::<Vec<_>>());
        let got = float.run(row).unwrap();
        assert_eq!(got.len(), expected.len(), "{name}");
        for (i, (g, e)) in got.iter().zip(&expected).enumerate() {
            assert!(
                (f64::from(*g) - e).abs() < 1e-4 * e.abs().max(1.0),
                "{name} at {i}: float {g}, reference {e}"
            );
        }
    }
    let calibration = Array::new(vec![64, n], Element::Float, rows).unwrap();
    let options = ImportOptions { task: Task::Reconstruct, ..ImportOptions::new("test") };
    let imported = import(&file, &options, &calibration).unwrap_or_else(|e| panic!("{name}: {e}"));
    let error = imported.report().calibration.error;
    assert!(error < 0.06, "{name}: integer program errs by {error} of the spread\n{}", imported.report());
}

fn op(op: &str, inputs: &[&str], attributes: &[(&str, A<'_>)]) -> Message {
    node(op, inputs, "y", attributes)
}

fn mid(op: &str, inputs: &[&str], output: &str, attributes: &[(&str, A<'_>)]) -> Message {
    node(op, inputs, output, attributes)
}

/// The error function by its integral, as the executor does not compute it.
fn erf(x: f64) -> f64 {
    let step = x / 2000.0;
    let f = |t: f64| (-t * t).exp();
    let inner: f64 = (1..2000).map(|i| f(f64::from(i) * step)).sum();
    2.0 / std::f64::consts::PI.sqrt() * step * (inner + (f(0.0) + f(x)) / 2.0)
}

#[test]
fn functions_of_one_number() {
    let dims = [1, 2, 3, 4];
    let alpha = |v: f32| ("alpha", A::Float(v));
    type Case<'a> = (&'a str, Vec<(&'a str, A<'a>)>, fn(f64) -> f64);
    let cases: Vec<Case<'_>> = vec![
        ("Abs", vec![], f64::abs),
        ("Neg", vec![], |x| -x),
        ("Exp", vec![], f64::exp),
        ("Erf", vec![], erf),
        ("Sin", vec![], f64::sin),
        ("Softplus", vec![], |x| (1.0 + x.exp()).ln()),
        ("Softsign", vec![], |x| x / (1.0 + x.abs())),
        ("Gelu", vec![], |x| 0.5 * x * (1.0 + erf(x / 2f64.sqrt()))),
        ("HardSwish", vec![], |x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0)),
        ("HardSigmoid", vec![alpha(0.4), ("beta", A::Float(0.3))], |x| (0.4 * x + 0.3).clamp(0.0, 1.0)),
        ("Elu", vec![alpha(0.5)], |x| if x < 0.0 { 0.5 * (x.exp() - 1.0) } else { x }),
        ("Selu", vec![], |x| 1.050_701 * if x < 0.0 { 1.673_263_2 * (x.exp() - 1.0) } else { x }),
        ("Tanh", vec![], f64::tanh),
        ("Mish", vec![], |x| x * (1.0 + x.exp()).ln().tanh()),
    ];
    for (name, attributes, f) in cases {
        check(name, &dims, &[op(name, &["x"], &attributes)], &[], |x| x.iter().map(|v| f(*v)).collect());
    }
    let two = floats("two", &[], &[2.0]);
    check("Pow", &dims, &[op("Pow", &["x", "two"], &[])], &[two], |x| x.iter().map(|v| v * v).collect());
}

#[test]
fn sums_products_and_extremes_broadcast() {
    let dims = [1, 2, 3, 4];
    let cut = || [ints("from", &[1], &[1]), ints("to", &[1], &[2]), ints("axis", &[1], &[3])];
    // Column 1 of every row, [1, 2, 3, 1].
    let column = || mid("Slice", &["x", "from", "to", "axis"], "c", &[]);
    let of = |x: &[f64], i: usize| x[i / 4 * 4 + 1];
    type Case = (&'static str, fn(f64, f64) -> f64);
    let cases: [Case; 5] = [
        ("Add", |a, b| a + b),
        ("Sub", |a, b| a - b),
        ("Mul", |a, b| a * b),
        ("Max", f64::max),
        ("Min", f64::min),
    ];
    for (name, f) in cases {
        let nodes = [column(), op(name, &["x", "c"], &[])];
        check(name, &dims, &nodes, &cut(), |x| (0..24).map(|i| f(x[i], of(x, i))).collect());
    }
    let nodes = [column(), mid("Exp", &["c"], "e", &[]), op("Div", &["x", "e"], &[])];
    check("Div", &dims, &nodes, &cut(), |x| (0..24).map(|i| x[i] / of(x, i).exp()).collect());
    // A constant that varies inside channels, and one that broadcasts the operand.
    let list: Vec<f32> = Stream(3).list(4);
    let row = floats("row", &[4], &list);
    let nodes = [op("Add", &["x", "row"], &[])];
    check("Add a row", &dims, &nodes, &[row], |x| (0..24).map(|i| x[i] + f64::from(list[i % 4])).collect());
    let wide = floats("wide", &[2, 1, 1], &[2.0, -3.0]);
    let nodes = [op("Mul", &["x", "wide"], &[])];
    check("Mul wider", &[1, 4], &nodes, &[wide], |x| {
        [2.0, -3.0].iter().flat_map(|k| x.iter().map(move |v| k * v)).collect()
    });
}

#[test]
fn choices_and_comparisons() {
    let dims = [1, 2, 6];
    let half = || floats("half", &[], &[0.25]);
    for (name, f) in [("Greater", f64::gt as fn(&f64, &f64) -> bool), ("Less", f64::lt)] {
        let nodes = [mid(name, &["x", "half"], "b", &[]), op("Where", &["b", "x", "half"], &[])];
        check(name, &dims, &nodes, &[half()], |x| {
            x.iter().map(|v| if f(v, &0.25) { *v } else { 0.25 }).collect()
        });
    }
    let pick = ints("pick", &[6], &[1, 0, 1, 1, 0, 0]);
    let nodes = [mid("Neg", &["x"], "n", &[]), op("Where", &["pick", "x", "n"], &[])];
    let flags = [true, false, true, true, false, false];
    check("Where", &dims, &nodes, &[pick], |x| {
        (0..12).map(|i| if flags[i % 6] { x[i] } else { -x[i] }).collect()
    });
}

#[test]
fn selections() {
    let dims = [1, 2, 3, 4];
    let at = |x: &[f64], c: usize, h: usize, w: usize| x[(c * 3 + h) * 4 + w];
    let nodes = [mid("Tanh", &["x"], "t", &[]), op("Concat", &["x", "t"], &[("axis", A::Int(2))])];
    check("Concat", &dims, &nodes, &[], |x| {
        let block = |c: usize| x[c * 12..(c + 1) * 12].to_vec();
        (0..2).flat_map(|c| [block(c), block(c).iter().map(|v| v.tanh()).collect()].concat()).collect()
    });
    let constants =
        [ints("s", &[1], &[-1]), ints("e", &[1], &[-5]), ints("a", &[1], &[3]), ints("k", &[1], &[-2])];
    check("Slice", &dims, &[op("Slice", &["x", "s", "e", "a", "k"], &[])], &constants, |x| {
        (0..6).flat_map(|r| [x[r * 4 + 3], x[r * 4 + 1]]).collect()
    });
    let pads = ints("p", &[8], &[0, 0, 1, 0, 0, 0, 0, 2]);
    let reflect = [("mode", A::Text("reflect"))];
    check("Pad", &dims, &[op("Pad", &["x", "p"], &reflect)], &[pads], |x| {
        let (rows, columns) = (&[1, 0, 1, 2], &[0, 1, 2, 3, 2, 1]);
        let places = (0..2).flat_map(|c| rows.iter().map(move |h| (c, *h)));
        places.flat_map(|(c, h)| columns.iter().map(move |w| at(x, c, h, *w))).collect()
    });
    let zeros = ints("p", &[8], &[0, 0, 0, 1, 0, 0, 0, 0]);
    check("Pad with zeros", &dims, &[op("Pad", &["x", "p"], &[])], &[zeros], |x| {
        x.chunks(4).flat_map(|row| [&[0.0], row].concat()).collect()
    });
    let scales = floats("k", &[4], &[1.0, 1.0, 2.0, 1.0]);
    let attributes =
        [("nearest_mode", A::Text("floor")), ("coordinate_transformation_mode", A::Text("asymmetric"))];
    check("Resize", &dims, &[op("Resize", &["x", "", "k"], &attributes)], &[scales], |x| {
        (0..2).flat_map(|c| (0..6).flat_map(move |h| (0..4).map(move |w| at(x, c, h / 2, w)))).collect()
    });
    let repeats = ints("r", &[4], &[1, 1, 2, 1]);
    check("Tile", &dims, &[op("Tile", &["x", "r"], &[])], &[repeats], |x| {
        x.chunks(12).flat_map(|plane| [plane, plane].concat()).collect()
    });
    let perm = A::Ints(&[0, 3, 1, 2]);
    check("Transpose", &dims, &[op("Transpose", &["x"], &[("perm", perm)])], &[], |x| {
        (0..4).flat_map(|w| (0..6).map(move |r| x[r * 4 + w])).collect()
    });
    let block = [("blocksize", A::Int(2))];
    check("DepthToSpace", &[1, 4, 1, 2], &[op("DepthToSpace", &["x"], &block)], &[], |x| {
        [0, 2, 1, 3, 4, 6, 5, 7].iter().map(|i| x[*i]).collect()
    });
}

#[test]
fn reductions() {
    let dims = [1, 2, 3, 4];
    let cases: [(&str, &[i64], i64); 6] = [
        ("ReduceSum", &[1], 1),
        ("ReduceSum", &[2], 0),
        ("ReduceMax", &[3], 1),
        ("ReduceMin", &[1, 3], 0),
        ("ReduceMean", &[1], 0),
        ("ReduceL2", &[2, 3], 1),
    ];
    for (name, axes, keep) in cases {
        let constants = [ints("a", &[axes.len()], axes)];
        let as_input = name == "ReduceSum";
        let attributes = [("keepdims", A::Int(keep)), ("axes", A::Ints(axes))];
        let made =
            if as_input { op(name, &["x", "a"], &attributes[..1]) } else { op(name, &["x"], &attributes) };
        let constants = if as_input { &constants[..] } else { &[] };
        check(name, &dims, &[made], constants, |x| {
            let mut groups: Vec<(Vec<usize>, Vec<f64>)> = Vec::new();
            for (i, v) in x.iter().enumerate() {
                let place = [0, i / 12, i / 4 % 3, i % 4];
                let key: Vec<usize> =
                    (0..4).map(|a| if axes.contains(&(a as i64)) { 0 } else { place[a] }).collect();
                match groups.iter_mut().find(|(k, _)| *k == key) {
                    Some((_, list)) => list.push(*v),
                    None => groups.push((key, vec![*v])),
                }
            }
            groups.sort_by(|a, b| a.0.cmp(&b.0));
            let reduce = |list: &Vec<f64>| match name {
                "ReduceSum" => list.iter().sum(),
                "ReduceMean" => list.iter().sum::<f64>() / list.len() as f64,
                "ReduceMax" => list.iter().copied().fold(f64::MIN, f64::max),
                "ReduceMin" => list.iter().copied().fold(f64::MAX, f64::min),
                _ => list.iter().map(|v| v * v).sum::<f64>().sqrt(),
            };
            groups.iter().map(|(_, list)| reduce(list)).collect()
        });
    }
}

/// `[m, k]` times `[k, n]`.
fn times(a: &[f64], b: &[f64], [m, k, n]: [usize; 3]) -> Vec<f64> {
    let cell = |i: usize, j: usize| (0..k).map(|l| a[i * k + l] * b[l * n + j]).sum();
    (0..m).flat_map(|i| (0..n).map(move |j| (i, j))).map(|(i, j)| cell(i, j)).collect()
}

#[test]
fn matrix_products() {
    let list = Stream(5).list(12);
    let wide: Vec<f64> = list.iter().map(|v| f64::from(*v)).collect();
    let w = || floats("w", &[4, 3], &list);
    check("by a constant", &[1, 5, 4], &[op("MatMul", &["x", "w"], &[])], &[w()], |x| {
        times(x, &wide, [5, 4, 3])
    });
    check("of a constant", &[1, 3, 5], &[op("MatMul", &["w", "x"], &[])], &[w()], |x| {
        times(&wide, x, [4, 3, 5])
    });
    let turned = mid("Transpose", &["x"], "t", &[("perm", A::Ints(&[0, 2, 1]))]);
    let flipped =
        |x: &[f64]| -> Vec<f64> { (0..4).flat_map(|j| (0..5).map(move |i| x[i * 4 + j])).collect() };
    let nodes = [turned.clone(), op("MatMul", &["x", "t"], &[])];
    check("with its transpose", &[1, 5, 4], &nodes, &[], |x| times(x, &flipped(x), [5, 4, 5]));
    let nodes = [turned, mid("Tanh", &["t"], "s", &[]), op("MatMul", &["s", "x"], &[])];
    check("transposed first", &[1, 5, 4], &nodes, &[], |x| {
        let s: Vec<f64> = flipped(x).iter().map(|v| v.tanh()).collect();
        times(&s, x, [4, 5, 4])
    });
}

fn softmax(row: &[f64]) -> Vec<f64> {
    let most = row.iter().copied().fold(f64::MIN, f64::max);
    let terms: Vec<f64> = row.iter().map(|v| (v - most).exp()).collect();
    let sum: f64 = terms.iter().sum();
    terms.iter().map(|t| t / sum).collect()
}

#[test]
fn softmax_with_and_without_a_mask() {
    let dims = [1, 3, 4];
    check("rows", &dims, &[op("Softmax", &["x"], &[])], &[], |x| x.chunks(4).flat_map(softmax).collect());
    check("columns", &dims, &[op("Softmax", &["x"], &[("axis", A::Int(1))])], &[], |x| {
        let columns: Vec<Vec<f64>> = (0..4).map(|j| softmax(&[x[j], x[4 + j], x[8 + j]])).collect();
        (0..12).map(|i| columns[i % 4][i / 4]).collect()
    });
    check("logarithm", &dims, &[op("LogSoftmax", &["x"], &[])], &[], |x| {
        x.chunks(4).flat_map(softmax).map(f64::ln).collect()
    });
    let mask: Vec<f32> = (0..12).map(|i| if i % 4 <= i / 4 { 0.0 } else { f32::NEG_INFINITY }).collect();
    let nodes = [mid("Add", &["x", "m"], "s", &[]), op("Softmax", &["s"], &[])];
    check("causal", &dims, &nodes, &[floats("m", &[3, 4], &mask)], |x| {
        let row = |r: usize| [softmax(&x[r * 4..r * 4 + r + 1]), vec![0.0; 3 - r]].concat();
        (0..3).flat_map(row).collect()
    });
}

#[test]
fn layer_normalisation() {
    let (gain, bias) = (Stream(8).list(6), Stream(9).list(6));
    let constants = [floats("g", &[6], &gain), floats("b", &[6], &bias)];
    check(
        "LayerNormalization",
        &[1, 4, 6],
        &[op("LayerNormalization", &["x", "g", "b"], &[])],
        &constants,
        |x| {
            let one = |row: &[f64]| -> Vec<f64> {
                let mean = row.iter().sum::<f64>() / 6.0;
                let deviation = (row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 6.0 + 1e-5).sqrt();
                (0..6)
                    .map(|i| (row[i] - mean) / deviation * f64::from(gain[i]) + f64::from(bias[i]))
                    .collect()
            };
            x.chunks(6).flat_map(one).collect()
        },
    );
}

#[test]
fn transposed_convolution() {
    let list = Stream(6).list(2 * 3 * 9);
    let attributes = [
        ("strides", A::Ints(&[2, 2])),
        ("pads", A::Ints(&[1, 1, 1, 1])),
        ("output_padding", A::Ints(&[1, 0])),
    ];
    let constants = [floats("w", &[2, 3, 3, 3], &list)];
    check(
        "ConvTranspose",
        &[1, 2, 3, 4],
        &[op("ConvTranspose", &["x", "w"], &attributes)],
        &constants,
        |x| {
            let (h, w) = (6, 7);
            let mut y = vec![0.0; 3 * h * w];
            for (i, v) in x.iter().enumerate() {
                let (c, iy, ix) = (i / 12, i / 4 % 3, i % 4);
                for (o, (dy, dx)) in (0..3).flat_map(|o| (0..9).map(move |t| (o, (t / 3, t % 3)))) {
                    let (oy, ox) = ((2 * iy + dy) as i64 - 1, (2 * ix + dx) as i64 - 1);
                    if (0..h as i64).contains(&oy) && (0..w as i64).contains(&ox) {
                        y[(o * h + oy as usize) * w + ox as usize] +=
                            v * f64::from(list[((c * 3 + o) * 3 + dy) * 3 + dx]);
                    }
                }
            }
            y
        },
    );
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// `bias + rows of w times v`.
fn affine(w: &[f64], v: &[f64], bias: &[f64]) -> Vec<f64> {
    bias.iter()
        .enumerate()
        .map(|(o, b)| b + v.iter().enumerate().map(|(i, x)| w[o * v.len() + i] * x).sum::<f64>())
        .collect()
}

#[test]
fn recurrences() {
    let (steps, n, features) = (4usize, 3usize, 2usize);
    for (name, gates, late) in [("LSTM", 4, 0), ("GRU", 3, 0), ("GRU", 3, 1)] {
        let [w, r, b] = [(1, features), (2, n), (3, 2)].map(|(seed, k)| Stream(seed).list(gates * n * k));
        let constants = [
            floats("w", &[1, gates * n, features], &w),
            floats("r", &[1, gates * n, n], &r),
            floats("b", &[1, 2 * gates * n], &b),
            ints("all", &[3], &[steps as i64, 1, features as i64]),
        ];
        let mut attributes = vec![("hidden_size", A::Int(n as i64))];
        if name == "GRU" {
            attributes.push(("linear_before_reset", A::Int(late)));
        }
        let nodes = [mid("Reshape", &["x", "all"], "s", &[]), op(name, &["s", "w", "r", "b"], &attributes)];
        let [w, r, b] = [w, r, b].map(|l| l.iter().map(|v| f64::from(*v)).collect::<Vec<f64>>());
        check(name, &[1, steps, features], &nodes, &constants, |x| {
            let (mut h, mut c, mut out) = (vec![0.0; n], vec![0.0; n], Vec::new());
            for x in x.chunks(features) {
                let a = affine(&w, x, &b[..gates * n]);
                let u = affine(&r, &h, &b[gates * n..]);
                let sum = |g: usize, i: usize| a[g * n + i] + u[g * n + i];
                if gates == 4 {
                    for i in 0..n {
                        c[i] = sigmoid(sum(2, i)) * c[i] + sigmoid(sum(0, i)) * sum(3, i).tanh();
                        h[i] = sigmoid(sum(1, i)) * c[i].tanh();
                    }
                } else {
                    let reset: Vec<f64> = (0..n).map(|i| sigmoid(sum(1, i))).collect();
                    let kept: Vec<f64> = (0..n).map(|i| reset[i] * h[i]).collect();
                    let inner = affine(&r[2 * n * n..], &kept, &b[5 * n..]);
                    let old = h.clone();
                    for i in 0..n {
                        let z = sigmoid(sum(0, i));
                        let part = if late == 1 { reset[i] * u[2 * n + i] } else { inner[i] };
                        h[i] = (1.0 - z) * (a[2 * n + i] + part).tanh() + z * old[i];
                    }
                }
                out.extend(&h);
            }
            out
        });
    }
}

#[test]
fn an_embedding_is_read_by_hidden_whole_numbers() {
    let table = Stream(4).list(5 * 3);
    let nodes = [node("Gather", &["t", "x"], "e", &[]), node("Flatten", &["e"], "y", &[])];
    let mut file = model(17, &[1, 4], &nodes, &[floats("t", &[5, 3], &table)]);
    // The input's element type: float32 to int64.
    let at = file.windows(5).position(|w| w == [0x0a, 1, b'x', 0x12, 0x0e]).expect("the input is written");
    assert_eq!(file[at + 7..at + 9], [8, 1], "the tensor type's first field is its element");
    file[at + 8] = 7;
    let rows: Vec<f32> = (0..40).flat_map(|i| (0..4).map(move |j| ((i * 3 + j * j) % 5) as f32)).collect();
    let float = FloatModel::parse(&file, None).unwrap();
    let expected: Vec<f32> = rows[..4].iter().flat_map(|t| table[*t as usize * 3..][..3].to_vec()).collect();
    let got = float.run(&rows[..4]).unwrap();
    assert!(got.iter().zip(&expected).all(|(g, e)| (g - e).abs() < 1e-5), "{got:?}, expected {expected:?}");
    let calibration = Array::new(vec![40, 4], Element::U8, rows).unwrap();
    let options = ImportOptions { task: Task::Reconstruct, ..ImportOptions::new("test") };
    let imported = import(&file, &options, &calibration).unwrap();
    assert!(imported.report().calibration.error < 0.01, "{}", imported.report());
}

/// The difference of two large values that lie close together.
fn difference(rows: [[f32; 4]; 2]) -> Vec<u8> {
    let weights: Vec<f32> = (0..4).flat_map(|i| [rows[0][i], rows[1][i]]).collect();
    let constants = [
        floats("w", &[4, 2], &weights),
        ints("zero", &[1], &[0]),
        ints("one", &[1], &[1]),
        ints("two", &[1], &[2]),
    ];
    let nodes = [
        mid("MatMul", &["x", "w"], "h", &[]),
        mid("Slice", &["h", "zero", "one", "one"], "a", &[]),
        mid("Slice", &["h", "one", "two", "one"], "b", &[]),
        op("Sub", &["b", "a"], &[]),
    ];
    model(17, &[1, 4], &nodes, &constants)
}

#[test]
fn values_get_sixteen_bits_where_twelve_are_too_coarse_and_the_report_says_why() {
    let file = difference([[8.0, 8.0, 8.0, 0.0], [8.0, 8.0, 8.0, 0.05]]);
    let stored: Vec<f32> = Stream(21).list(4 * 128).iter().map(|v| (v * 127.0).round()).collect();
    let calibration = Array::new(vec![128, 4], Element::I8, stored).unwrap();
    let options = ImportOptions {
        task: Task::Reconstruct,
        input: InputScale::Stored { sub: 0, div: 1.0 },
        ..ImportOptions::new("test")
    };
    let imported = import(&file, &options, &calibration).unwrap();
    let report = imported.report();
    assert!(report.calibration.error < 0.05, "{report}");
    let why = "tensor `node_h` uses 16 bits: rounding it to 12 alone moves the output by 0.";
    assert!(report.notes.iter().any(|n| n.starts_with(why)), "{report}");
    let widest = report.tensors.iter().map(|t| t.interval.hi).max();
    assert!(widest > Some(8000) && report.tables.clamps.iter().all(|c| c.rows <= 1 << 18), "{report}");
    // Rows that calibration did not see.
    let mut worst = 0f64;
    for row in Stream(22).list(4 * 40).chunks(4) {
        let row: Vec<f32> = row.iter().map(|v| (v * 120.0).round()).collect();
        let input = imported.file.quantise(&row).unwrap();
        let got = imported.file.real_output(&input).unwrap()[0];
        worst = worst.max(f64::from(got - 0.05 * row[3]).abs());
    }
    assert!(worst < 0.6, "{worst} on an output of up to 6");
}

#[test]
fn an_input_gets_more_bits_where_its_rounding_alone_would_move_the_output() {
    let file = difference([[0.0, 0.0, 0.0, 0.0], [10.0, -10.0, 0.0, 0.0]]);
    // Two sensors between -100 and 100 whose readings differ by a tenth.
    let numbers = Stream(23).list(4 * 64);
    let rows: Vec<f32> =
        numbers.chunks(4).flat_map(|r| [100.0 * r[0], 100.0 * r[0] + 0.1 * r[1], r[2], r[3]]).collect();
    let calibration = Array::new(vec![64, 4], Element::Float, rows).unwrap();
    let options = ImportOptions { task: Task::Reconstruct, ..ImportOptions::new("test") };
    let imported = import(&file, &options, &calibration).unwrap();
    let report = imported.report();
    assert!(report.notes[0].starts_with("the input uses 16 bits: "), "{report}");
    assert!(report.calibration.error < 0.06, "{report}");
}
