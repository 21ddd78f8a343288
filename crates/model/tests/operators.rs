//! Each operator through an ONNX file against a plain reference that is written here, on random shapes;
//! then the integer program against the float model.

mod onnx_writer;

use onnx_writer::{A, Message, Stream, floats, ints, model, node};
use proofmesh_model::data::{Array, Element};
use proofmesh_model::{FloatModel, ImportOptions, Task, import};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

/// Rows of calibration in these tests.
const ROWS: usize = 24;

/// A `[C, H, W]` block.
#[derive(Clone, Debug)]
struct Block {
    c: usize,
    h: usize,
    w: usize,
    data: Vec<f64>,
}

impl Block {
    /// An element; zero outside.
    fn at(&self, c: usize, y: i64, x: i64) -> f64 {
        if y < 0 || x < 0 || y >= self.h as i64 || x >= self.w as i64 {
            0.0
        } else {
            self.data[(c * self.h + y as usize) * self.w + x as usize]
        }
    }

    fn inside(&self, y: i64, x: i64) -> bool {
        y >= 0 && x >= 0 && y < self.h as i64 && x < self.w as i64
    }
}

/// A window: kernel, stride, pads (top, left, bottom, right).
#[derive(Clone, Copy, Debug)]
struct Slide {
    k: [usize; 2],
    s: [usize; 2],
    p: [usize; 4],
}

impl Slide {
    fn out(&self, h: usize, w: usize) -> (usize, usize) {
        (
            (h + self.p[0] + self.p[2] - self.k[0]) / self.s[0] + 1,
            (w + self.p[1] + self.p[3] - self.k[1]) / self.s[1] + 1,
        )
    }

    /// Calls `f` for every output position with the input positions under its window.
    fn each(&self, b: &Block, mut f: impl FnMut(Vec<(i64, i64)>)) {
        let (oh, ow) = self.out(b.h, b.w);
        for y in 0..oh {
            for x in 0..ow {
                let mut cells = Vec::new();
                for dy in 0..self.k[0] {
                    for dx in 0..self.k[1] {
                        cells.push((
                            (y * self.s[0] + dy) as i64 - self.p[0] as i64,
                            (x * self.s[1] + dx) as i64 - self.p[1] as i64,
                        ));
                    }
                }
                f(cells);
            }
        }
    }

    fn attributes(&self) -> [Vec<i64>; 3] {
        [&self.k[..], &self.s[..], &self.p[..]].map(|l| l.iter().map(|v| *v as i64).collect())
    }
}

fn conv(b: &Block, weights: &[f32], bias: &[f32], groups: usize, slide: Slide) -> Block {
    let (h, w) = slide.out(b.h, b.w);
    let (outs, ins) = (bias.len() / groups, b.c / groups);
    let taps = slide.k[0] * slide.k[1];
    let mut data = Vec::new();
    for o in 0..bias.len() {
        slide.each(b, |cells| {
            let mut sum = f64::from(bias[o]);
            for i in 0..ins {
                for (t, (y, x)) in cells.iter().enumerate() {
                    sum += f64::from(weights[(o * ins + i) * taps + t]) * b.at(o / outs * ins + i, *y, *x);
                }
            }
            data.push(sum);
        });
    }
    Block { c: bias.len(), h, w, data }
}

fn pool(b: &Block, slide: Slide, max: bool) -> Block {
    let (h, w) = slide.out(b.h, b.w);
    let mut data = Vec::new();
    for c in 0..b.c {
        slide.each(b, |cells| {
            let held = cells.iter().filter(|(y, x)| b.inside(*y, *x));
            data.push(if max {
                held.map(|(y, x)| b.at(c, *y, *x)).fold(f64::MIN, f64::max)
            } else {
                held.map(|(y, x)| b.at(c, *y, *x)).sum::<f64>() / cells.len() as f64
            });
        });
    }
    Block { c: b.c, h, w, data }
}

fn map(b: &Block, f: impl Fn(usize, f64) -> f64) -> Block {
    let plane = b.h * b.w;
    Block { data: b.data.iter().enumerate().map(|(i, v)| f(i / plane, *v)).collect(), ..b.clone() }
}

/// Runs a file on random inputs: the float executor against `reference`, then the integer program against
/// the float executor.
fn check(file: &[u8], input: [usize; 3], seed: u64, reference: impl Fn(&Block) -> Vec<f64>) {
    let [c, h, w] = input;
    let float = FloatModel::parse(file, None).unwrap_or_else(|e| panic!("{e}"));
    let mut stream = Stream(seed);
    let rows: Vec<f32> = stream.list(ROWS * c * h * w);
    for row in rows.chunks(c * h * w).take(3) {
        let block = Block { c, h, w, data: row.iter().map(|v| f64::from(*v)).collect() };
        let expected = reference(&block);
        let got = float.run(row).unwrap();
        assert_eq!(got.len(), expected.len());
        for (g, e) in got.iter().zip(&expected) {
            assert!((f64::from(*g) - e).abs() < 1e-4 * e.abs().max(1.0), "float {g}, reference {e}");
        }
    }
    let calibration = Array::new(vec![ROWS, c * h * w], Element::Float, rows).unwrap();
    let options = ImportOptions { task: Task::Reconstruct, ..ImportOptions::new("test") };
    let imported = import(file, &options, &calibration).unwrap_or_else(|e| panic!("{e}"));
    let error = imported.report().calibration.error;
    assert!(error < 0.06, "integer program errs by {error} of the spread\n{}", imported.report());
}

/// Runs a property on 24 cases from a fixed seed.
fn cases<S: Strategy>(strategy: S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let config =
        Config { cases: 24, failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..Config::default() };
    TestRunner::new(config).run(&strategy, test).unwrap();
}

/// Sizes of a spatial operand with a window that fits it.
fn slides() -> impl Strategy<Value = (usize, usize, Slide)> {
    (1usize..=3, 1usize..=3, 0usize..4, 0usize..4, 1usize..=2, 1usize..=2, any::<[u8; 4]>()).prop_map(
        |(kh, kw, eh, ew, sh, sw, pads)| {
            let p = [
                usize::from(pads[0]) % kh,
                usize::from(pads[1]) % kw,
                usize::from(pads[2]) % kh,
                usize::from(pads[3]) % kw,
            ];
            (kh + eh, kw + ew, Slide { k: [kh, kw], s: [sh, sw], p })
        },
    )
}

fn window_attributes(lists: &[Vec<i64>; 3]) -> Vec<(&str, A<'_>)> {
    vec![("kernel_shape", A::Ints(&lists[0])), ("strides", A::Ints(&lists[1])), ("pads", A::Ints(&lists[2]))]
}

#[test]
fn conv_with_groups_strides_and_padding_then_relu() {
    cases(
        (slides(), 1usize..=3, 1usize..=2, 1usize..=2, any::<u64>()),
        |((h, w, slide), groups, ins, outs, seed)| {
            let (c, o) = (groups * ins, groups * outs);
            let mut stream = Stream(seed);
            let (weights, bias) = (stream.list(o * ins * slide.k[0] * slide.k[1]), stream.list(o));
            let lists = slide.attributes();
            let mut attributes = window_attributes(&lists);
            attributes.push(("group", A::Int(groups as i64)));
            let nodes = [node("Conv", &["x", "w", "b"], "h", &attributes), node("Relu", &["h"], "y", &[])];
            let constants =
                [floats("w", &[o, ins, slide.k[0], slide.k[1]], &weights), floats("b", &[o], &bias)];
            let file = model(13, &[0, c, h, w], &nodes, &constants);
            check(&file, [c, h, w], seed, |b| {
                map(&conv(b, &weights, &bias, groups, slide), |_, v| v.max(0.0)).data
            });
            Ok(())
        },
    );
}

/// Hidden values have a scale a channel; grouped readers must take up those of their own group.
#[test]
fn grouped_layers_after_channels_of_very_different_size() {
    cases((1usize..=2, 1usize..=2, 1usize..=2, any::<u64>()), |(groups, ins, outs, seed)| {
        let (groups, mid) = (groups + 1, (groups + 1) * ins);
        let o = groups * outs;
        let mut stream = Stream(seed);
        let (mut first, second) = (stream.list(mid * 2), stream.list(o * ins * 9));
        // Channel i is 3^i times as loud as channel 0, and is read as much softer.
        first.iter_mut().enumerate().for_each(|(i, w)| *w *= 3f32.powi((i / 2) as i32));
        let nodes = [
            node("Conv", &["x", "a"], "h", &[]),
            node("Relu", &["h"], "r", &[]),
            node("Conv", &["r", "b"], "y", &[("group", A::Int(groups as i64))]),
        ];
        let constants = [floats("a", &[mid, 2, 1, 1], &first), floats("b", &[o, ins, 3, 3], &second)];
        let one = Slide { k: [1, 1], s: [1, 1], p: [0; 4] };
        let three = Slide { k: [3, 3], s: [1, 1], p: [0; 4] };
        check(&model(13, &[1, 2, 4, 5], &nodes, &constants), [2, 4, 5], seed, |b| {
            let hidden = map(&conv(b, &first, &vec![0.0; mid], 1, one), |_, v| v.max(0.0));
            conv(&hidden, &second, &vec![0.0; o], groups, three).data
        });
        Ok(())
    });
}

#[test]
fn conv_on_signals_with_same_padding_and_left_out_attributes() {
    cases(
        (1usize..=3, 2usize..9, 1usize..=5, 1usize..=3, any::<bool>(), any::<u64>()),
        |(c, w, k, s, upper, seed)| {
            let weights = Stream(seed).list(2 * c * k);
            let stride = [s as i64];
            let pad = A::Text(if upper { "SAME_UPPER" } else { "SAME_LOWER" });
            let attributes = [("auto_pad", pad), ("strides", A::Ints(&stride))];
            let file = model(
                17,
                &[1, c, w],
                &[node("Conv", &["x", "w"], "y", &attributes)],
                &[floats("w", &[2, c, k], &weights)],
            );
            let total = ((w.div_ceil(s) - 1) * s + k).saturating_sub(w);
            let (small, large) = (total / 2, total - total / 2);
            let (before, after) = if upper { (small, large) } else { (large, small) };
            let slide = Slide { k: [1, k], s: [1, s], p: [0, before, 0, after] };
            check(&file, [c, 1, w], seed, |b| conv(b, &weights, &[0.0, 0.0], 1, slide).data);
            Ok(())
        },
    );
}

#[test]
fn pools_of_both_kinds() {
    cases((slides(), 1usize..=3, any::<bool>(), any::<u64>()), |((h, w, slide), c, max, seed)| {
        let lists = slide.attributes();
        let mut attributes = window_attributes(&lists);
        attributes.push(("count_include_pad", A::Int(1)));
        let op = if max { "MaxPool" } else { "AveragePool" };
        let file = model(15, &[1, c, h, w], &[node(op, &["x"], "y", &attributes)], &[]);
        check(&file, [c, h, w], seed, |b| pool(b, slide, max).data);
        Ok(())
    });
}

#[test]
fn max_pool_rounding_up_keeps_the_last_partial_window() {
    let (k, s) = ([2, 2], [2, 2]);
    let attributes = [("kernel_shape", A::Ints(&k)), ("strides", A::Ints(&s)), ("ceil_mode", A::Int(1))];
    let file = model(13, &[1, 1, 3, 5], &[node("MaxPool", &["x"], "y", &attributes)], &[]);
    let slide = Slide { k: [2, 2], s: [2, 2], p: [0, 0, 1, 1] };
    check(&file, [1, 3, 5], 3, |b| pool(b, slide, true).data);
}

#[test]
fn gemm_in_both_layouts_with_factors_and_a_flatten_before() {
    cases(
        (1usize..=3, 1usize..=3, 1usize..=3, 1usize..=4, any::<bool>(), any::<u64>()),
        |(c, h, w, n, trans, seed)| {
            let k = c * h * w;
            let mut stream = Stream(seed);
            let (rows, bias) = (stream.list(n * k), stream.list(n));
            // `rows` is [n][k]; the other layout is its transpose.
            let stored: Vec<f32> = if trans {
                rows.clone()
            } else {
                (0..k).flat_map(|i| (0..n).map(move |o| (i, o))).map(|(i, o)| rows[o * k + i]).collect()
            };
            let sizes = if trans { [n, k] } else { [k, n] };
            let attributes =
                [("transB", A::Int(i64::from(trans))), ("alpha", A::Float(0.5)), ("beta", A::Float(2.0))];
            let nodes = [node("Flatten", &["x"], "f", &[]), node("Gemm", &["f", "w", "b"], "y", &attributes)];
            let file =
                model(13, &[0, c, h, w], &nodes, &[floats("w", &sizes, &stored), floats("b", &[n], &bias)]);
            check(&file, [c, h, w], seed, |b| {
                (0..n)
                    .map(|o| {
                        2.0 * f64::from(bias[o])
                            + (0..k).map(|i| 0.5 * f64::from(rows[o * k + i]) * b.data[i]).sum::<f64>()
                    })
                    .collect()
            });
            Ok(())
        },
    );
}

#[test]
fn matmul_and_constant_add_are_one_layer() {
    let mut stream = Stream(11);
    let (weights, bias) = (stream.list(12), stream.list(3));
    let nodes = [node("MatMul", &["x", "w"], "m", &[]), node("Add", &["b", "m"], "y", &[])];
    let file = model(13, &[1, 4], &nodes, &[floats("w", &[4, 3], &weights), floats("b", &[3], &bias)]);
    check(&file, [4, 1, 1], 5, |b| {
        (0..3)
            .map(|o| {
                f64::from(bias[o]) + (0..4).map(|i| f64::from(weights[i * 3 + o]) * b.data[i]).sum::<f64>()
            })
            .collect()
    });
    let calibration = Array::new(vec![4, 4], Element::Float, Stream(1).list(16)).unwrap();
    let imported = import(&file, &ImportOptions::new("test"), &calibration).unwrap();
    assert_eq!(imported.program().nodes.len(), 1);
}

/// BatchNormalization before a layer, after one, and alone.
#[test]
fn batch_normalization_wherever_it_stands() {
    for (before, after, pad) in [(true, false, 0i64), (true, false, 1), (false, true, 1), (true, true, 0)] {
        let mut stream = Stream(17);
        let (weights, bias) = (stream.list(2 * 3 * 9), stream.list(2));
        let parts = |stream: &mut Stream, n: usize| {
            let mut p: Vec<Vec<f32>> = (0..4).map(|_| stream.list(n)).collect();
            p[3].iter_mut().for_each(|v| *v = v.abs() + 0.5);
            p
        };
        let (first, second) = (parts(&mut stream, 3), parts(&mut stream, 2));
        let pads = [pad; 4];
        let mut nodes: Vec<Message> = Vec::new();
        let mut value = "x";
        if before {
            nodes.push(node("BatchNormalization", &[value, "a0", "a1", "a2", "a3"], "n", &[]));
            value = "n";
        }
        let out = if after { "h" } else { "y" };
        nodes.push(node("Conv", &[value, "w", "b"], out, &[("pads", A::Ints(&pads))]));
        if after {
            nodes.push(node(
                "BatchNormalization",
                &["h", "b0", "b1", "b2", "b3"],
                "y",
                &[("epsilon", A::Float(0.1))],
            ));
        }
        let mut constants = vec![floats("w", &[2, 3, 3, 3], &weights), floats("b", &[2], &bias)];
        for i in 0..4 {
            constants.push(floats(&format!("a{i}"), &[3], &first[i]));
            constants.push(floats(&format!("b{i}"), &[2], &second[i]));
        }
        let norm = |b: &Block, p: &[Vec<f32>], epsilon: f64| {
            map(b, |c, v| {
                (v - f64::from(p[2][c])) / (f64::from(p[3][c]) + epsilon).sqrt() * f64::from(p[0][c])
                    + f64::from(p[1][c])
            })
        };
        let p = pad as usize;
        let slide = Slide { k: [3, 3], s: [1, 1], p: [p; 4] };
        check(&model(15, &[1, 3, 4, 4], &nodes, &constants), [3, 4, 4], 23, |b| {
            let b = if before { norm(b, &first, 1e-5) } else { b.clone() };
            let b = conv(&b, &weights, &bias, 1, slide);
            if after { norm(&b, &second, 0.1).data } else { b.data }
        });
    }
}

#[test]
fn residual_sum_clip_leaky_relu_and_products() {
    let mut stream = Stream(29);
    let (weights, scale) = (stream.list(9), stream.list(3));
    let constants = [
        floats("w", &[3, 3, 1], &weights),
        floats("s", &[3, 1], &scale),
        floats("two", &[], &[2.0]),
        floats("lo", &[], &[-0.25]),
        floats("hi", &[], &[0.75]),
    ];
    let nodes = [
        node("Conv", &["x", "w"], "c", &[]),
        node("LeakyRelu", &["c"], "l", &[("alpha", A::Float(0.2))]),
        node("Add", &["l", "x"], "r", &[]),
        node("Clip", &["r", "lo", "hi"], "k", &[]),
        node("Mul", &["k", "s"], "m", &[]),
        node("Sub", &["two", "m"], "n", &[]),
        node("Div", &["n", "two"], "d", &[]),
        node("Dropout", &["d"], "p", &[]),
        node("Identity", &["p"], "y", &[]),
    ];
    let slide = Slide { k: [1, 1], s: [1, 1], p: [0; 4] };
    check(&model(14, &[1, 3, 6], &nodes, &constants), [3, 1, 6], 31, |b| {
        let c = map(&conv(b, &weights, &[0.0; 3], 1, slide), |_, v| if v < 0.0 { 0.2 * v } else { v });
        let sum = Block {
            data: c.data.iter().zip(&b.data).map(|(a, b)| (a + b).clamp(-0.25, 0.75)).collect(),
            ..c
        };
        map(&sum, |c, v| (2.0 - v * f64::from(scale[c])) / 2.0).data
    });
}

/// The layout of frameworks that keep channels last: transpose in, transpose out, flatten, dense.
#[test]
fn channels_last_models_lose_their_transpositions() {
    let mut stream = Stream(37);
    let (weights, dense) = (stream.list(2 * 3), stream.list(2 * 4 * 5));
    let (to_first, to_last) = ([0, 3, 1, 2], [0, 2, 3, 1]);
    let nodes = [
        node("Transpose", &["x"], "t", &[("perm", A::Ints(&to_first))]),
        node("Conv", &["t", "w"], "c", &[]),
        node("Relu", &["c"], "r", &[]),
        node("Transpose", &["r"], "u", &[("perm", A::Ints(&to_last))]),
        node("Reshape", &["u", "shape"], "f", &[]),
        node("MatMul", &["f", "d"], "y", &[]),
    ];
    let constants =
        [floats("w", &[2, 3, 1, 1], &weights), ints("shape", &[2], &[-1, 8]), floats("d", &[8, 5], &dense)];
    let file = model(13, &[0, 2, 2, 3], &nodes, &constants);
    // The reference works on [H, W, C] as the file does.
    check(&file, [2, 2, 3], 41, |b| {
        let mut flat = Vec::new();
        for pixel in b.data.chunks(3) {
            for o in 0..2 {
                let sum: f64 = (0..3).map(|i| f64::from(weights[o * 3 + i]) * pixel[i]).sum();
                flat.push(sum.max(0.0));
            }
        }
        (0..5).map(|o| (0..8).map(|i| flat[i] * f64::from(dense[i * 5 + o])).sum()).collect()
    });
    let calibration = Array::new(vec![8, 12], Element::Float, Stream(2).list(96)).unwrap();
    let imported = import(&file, &ImportOptions::new("test"), &calibration).unwrap();
    let kinds: Vec<bool> =
        imported.program().nodes.iter().map(|n| matches!(n.op, proofmesh_graph::op::Op::Gather(_))).collect();
    assert_eq!(kinds, [true, false, false], "one gather at the input, then two layers");
}

#[test]
fn shape_arithmetic_of_exporters_and_means_are_resolved() {
    let weights = Stream(43).list(6);
    let axes = [-1];
    let nodes = [
        node("ReduceMean", &["x"], "m", &[("axes", A::Ints(&axes)), ("keepdims", A::Int(0))]),
        node("Shape", &["m"], "s", &[]),
        node("Gather", &["s", "zero"], "n", &[]),
        node("Unsqueeze", &["n", "zero1"], "n1", &[]),
        node("Concat", &["n1", "rest"], "target", &[("axis", A::Int(0))]),
        node("Reshape", &["m", "target"], "f", &[]),
        node("Gemm", &["f", "w"], "y", &[]),
        node("If", &["x"], "unused", &[]),
    ];
    let constants = [
        ints("zero", &[], &[0]),
        ints("zero1", &[1], &[0]),
        ints("rest", &[1], &[-1]),
        floats("w", &[3, 2], &weights),
    ];
    check(&model(13, &[0, 3, 5], &nodes, &constants), [3, 1, 5], 47, |b| {
        let means: Vec<f64> = b.data.chunks(5).map(|c| c.iter().sum::<f64>() / 5.0).collect();
        (0..2).map(|o| (0..3).map(|i| means[i] * f64::from(weights[i * 2 + o])).sum()).collect()
    });
}

#[test]
fn softmax_at_the_end_is_dropped_with_a_note() {
    let weights = Stream(53).list(6);
    let gemm = || node("Gemm", &["x", "w"], "l", &[]);
    let soft = |from: &str, to: &str| node("Softmax", &[from], to, &[("axis", A::Int(-1))]);
    let import = |nodes: &[onnx_writer::Message]| {
        let constants = [floats("w", &[3, 2], &weights), ints("flat", &[1], &[2])];
        let calibration = Array::new(vec![8, 3], Element::Float, Stream(3).list(24)).unwrap();
        import(&model(13, &[1, 3], nodes, &constants), &ImportOptions::new("test"), &calibration).unwrap()
    };
    let copies = [
        vec![gemm(), soft("l", "y")],
        vec![gemm(), soft("l", "s"), node("Identity", &["s"], "y", &[])],
        vec![
            gemm(),
            soft("l", "s"),
            node("Cast", &["s"], "c", &[("to", A::Int(1))]),
            node("Reshape", &["c", "flat"], "y", &[]),
        ],
    ];
    for nodes in copies {
        let imported = import(&nodes);
        assert_eq!(imported.program().nodes.len(), 1, "only the dense layer is left");
        let note = &imported.report().notes[0];
        assert!(note.contains("(Softmax) at the end was dropped"), "{note}");
    }
    // Something else reads the shares: they are computed.
    let read = import(&[
        gemm(),
        soft("l", "s"),
        node("Identity", &["s"], "i", &[]),
        node("Mul", &["i", "s"], "y", &[]),
    ]);
    assert!(read.program().nodes.len() > 3 && read.report().notes.iter().all(|n| !n.contains("dropped")));
}
