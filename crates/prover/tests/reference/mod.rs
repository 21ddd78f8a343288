//! A second executor, from the operators' formulas and nothing else: padded planes, 128-bit sums, division by repeated comparison.

use proofmesh_graph::hash::Salt;
use proofmesh_graph::op::{Conv, Gather, Op, Requantise, Rescale, Sum, Window};
use proofmesh_graph::outputs::output_salts;
use proofmesh_graph::program::{InputSpec, Output, Program};
use proofmesh_graph::statement;
use proofmesh_graph::tensor::{Shape, Tensor};

/// An element of a channel, nothing outside.
fn at(x: &Tensor, c: usize, y: i64, column: i64) -> Option<i128> {
    let (h, w) = (x.shape.h as i64, x.shape.w as i64);
    let inside = (0..h).contains(&y) && (0..w).contains(&column);
    inside.then(|| i128::from(x.data[c * (h * w) as usize + (y * w + column) as usize]))
}

/// The largest integer whose product with `d > 0` is at most `n`.
fn floor(n: i128, d: i128) -> i128 {
    let q = n / d;
    if q * d > n { q - 1 } else { q }
}

/// Places of a window along one axis.
fn places(input: usize, kernel: usize, stride: usize, before: usize, after: usize) -> usize {
    (0..).take_while(|o| o * stride + kernel <= input + before + after).count()
}

/// Sizes of a window's result.
fn sizes(window: &Window, x: &Tensor) -> (usize, usize) {
    let [top, left, bottom, right] = window.pad;
    (
        places(x.shape.h, window.kernel[0], window.stride[0], top, bottom),
        places(x.shape.w, window.kernel[1], window.stride[1], left, right),
    )
}

/// What a window at an output place sees of a channel: kernel position and element, real ones only.
fn seen(window: &Window, x: &Tensor, c: usize, oy: usize, ox: usize) -> Vec<((usize, usize), i128)> {
    let mut out = Vec::new();
    for dy in 0..window.kernel[0] {
        for dx in 0..window.kernel[1] {
            let y = (oy * window.stride[0] + dy) as i64 - window.pad[0] as i64;
            let column = (ox * window.stride[1] + dx) as i64 - window.pad[1] as i64;
            out.extend(at(x, c, y, column).map(|v| ((dy, dx), v)));
        }
    }
    out
}

/// `clamp(floor((acc + 2^(k-1)) / 2^k))`; without a shift the accumulator itself.
fn rescaled(rescale: &Rescale, acc: i128) -> i32 {
    let q =
        if rescale.shift == 0 { acc } else { floor(acc + (1 << (rescale.shift - 1)), 1 << rescale.shift) };
    let (lo, hi) = (i128::from(rescale.clamp.lo), i128::from(rescale.clamp.hi));
    (if q < lo {
        lo
    } else if q > hi {
        hi
    } else {
        q
    }) as i32
}

/// One result a channel and place.
fn windowed(window: &Window, x: &Tensor, channels: usize, f: impl Fn(usize, usize, usize) -> i32) -> Tensor {
    let (h, w) = sizes(window, x);
    let mut data = Vec::new();
    for c in 0..channels {
        for y in 0..h {
            data.extend((0..w).map(|column| f(c, y, column)));
        }
    }
    Tensor { shape: Shape::new(channels, h, w), data }
}

/// A convolution whose accumulators become results by `f(channel, accumulator)`.
fn convolved(op: &Conv, x: &Tensor, f: impl Fn(usize, i128) -> i32) -> Tensor {
    let inner = x.shape.c / op.groups;
    let [kh, kw] = op.window.kernel;
    windowed(&op.window, x, op.out_channels, |o, y, column| {
        let group = o * op.groups / op.out_channels;
        let mut acc = i128::from(op.bias[o]);
        for i in 0..inner {
            for ((dy, dx), v) in seen(&op.window, x, group * inner + i, y, column) {
                acc += i128::from(op.weights[((o * inner + i) * kh + dy) * kw + dx]) * v;
            }
        }
        f(o, acc)
    })
}

/// A weighted sum of two.
fn summed(factors: [i32; 2], x: &[&Tensor], mut f: impl FnMut(i128) -> i32) -> Tensor {
    let [a, b] = factors.map(i128::from);
    let sum = |i: usize| a * i128::from(x[0].data[i]) + b * i128::from(x[1].data[i]);
    Tensor { shape: x[0].shape, data: (0..x[0].data.len()).map(|i| f(sum(i))).collect() }
}

/// As many steps above the clamp's lower end as there are thresholds of the channel at or below the accumulator.
fn stepped(op: &Requantise, channel: usize, acc: i128, rescale: &Rescale) -> i32 {
    let span = (rescale.clamp.hi - rescale.clamp.lo) as usize;
    let lists: Vec<&[i32]> = op.thresholds.chunks(span).collect();
    let list = lists[if lists.len() == 1 { 0 } else { channel }];
    rescale.clamp.lo + list.iter().filter(|t| i128::from(**t) <= acc).count() as i32
}

/// The meaning of a node.
fn execute(op: &Op, x: &[&Tensor]) -> Tensor {
    match op {
        Op::Conv(op) => convolved(op, x[0], |_, acc| rescaled(&op.rescale, acc)),
        Op::Add(op) => summed(op.factors, x, |acc| rescaled(&op.rescale, acc)),
        Op::Requantise(op) => match &op.sum {
            Sum::Conv(conv) => convolved(conv, x[0], |o, acc| stepped(op, o, acc, &conv.rescale)),
            Sum::Add(add) => {
                let plane = x[0].shape.h * x[0].shape.w;
                let mut at = 0..x[0].data.len();
                summed(add.factors, x, |acc| {
                    let i = at.next().expect("a result an element");
                    stepped(op, i / plane, acc, &add.rescale)
                })
            }
        },
        Op::AveragePool(op) => {
            let d = (op.window.kernel[0] * op.window.kernel[1]) as i128;
            windowed(&op.window, x[0], x[0].shape.c, |c, y, column| {
                let sum: i128 = seen(&op.window, x[0], c, y, column).iter().map(|(_, v)| v).sum();
                floor(sum + floor(d, 2), d) as i32
            })
        }
        Op::ExtremePool(op) => windowed(&op.window, x[0], x[0].shape.c, |c, y, column| {
            let mut all: Vec<i128> = seen(&op.window, x[0], c, y, column).iter().map(|(_, v)| *v).collect();
            all.sort_unstable();
            (if op.smallest { all[0] } else { all[all.len() - 1] }) as i32
        }),
        Op::Gather(op) => {
            let mut all = Vec::new();
            x.iter().for_each(|t| all.extend(t.data.clone()));
            let pick = |i: &u32| if *i == Gather::ZERO { 0 } else { all[*i as usize] };
            Tensor { shape: op.shape, data: op.index.iter().map(pick).collect() }
        }
        Op::Lut(op) => {
            let row = |v: &i32| op.table[usize::try_from(v - op.first).expect("covered by the table")];
            Tensor { shape: x[0].shape, data: x[0].data.iter().map(row).collect() }
        }
        Op::Multiply(op) => {
            let larger = |f: fn(&Shape) -> usize| f(&x[0].shape).max(f(&x[1].shape));
            let shape = Shape::new(larger(|s| s.c), larger(|s| s.h), larger(|s| s.w));
            elementwise(shape, |c, y, column| {
                rescaled(&op.rescale, spread(x[0], c, y, column) * spread(x[1], c, y, column))
            })
        }
        Op::MatMul(op) => {
            let (a, b) = (x[0], x[1]);
            let columns = if op.transposed { b.shape.h } else { b.shape.w };
            elementwise(Shape::new(a.shape.c, a.shape.h, columns), |c, i, j| {
                let second = |k| if op.transposed { spread(b, c, j, k) } else { spread(b, c, k, j) };
                let acc = (0..a.shape.w).map(|k| spread(a, c, i, k) * second(k)).sum();
                rescaled(&op.rescale, acc)
            })
        }
        Op::Divide(op) => elementwise(x[0].shape, |c, y, column| {
            let (a, b) = (spread(x[0], c, y, column), spread(x[1], c, y, column));
            floor(2 * a * i128::from(op.scale) + b, 2 * b) as i32
        }),
        Op::ReduceSum(op) => {
            let Shape { c, h, w } = x[0].shape;
            let of = |i: usize, n: usize| if op.axes[i] { 1 } else { n };
            elementwise(Shape::new(of(0, c), of(1, h), of(2, w)), |oc, oy, ox| {
                let mut acc = 0;
                for (ic, iy, ix) in (0..c * h * w).map(|i| (i / (h * w), i / w % h, i % w)) {
                    let mine = [(0, ic, oc), (1, iy, oy), (2, ix, ox)];
                    if mine.into_iter().all(|(axis, i, o)| op.axes[axis] || i == o) {
                        acc += spread(x[0], ic, iy, ix);
                    }
                }
                rescaled(&op.rescale, acc * i128::from(op.factor))
            })
        }
    }
}

/// An element, the first one along axes of one element.
fn spread(x: &Tensor, c: usize, y: usize, column: usize) -> i128 {
    let within = |i: usize, n: usize| (i % n) as i64;
    let place = (within(y, x.shape.h), within(column, x.shape.w));
    at(x, within(c, x.shape.c) as usize, place.0, place.1).expect("an element")
}

/// A tensor element by element.
fn elementwise(shape: Shape, f: impl Fn(usize, usize, usize) -> i32) -> Tensor {
    let mut data = Vec::new();
    for c in 0..shape.c {
        for y in 0..shape.h {
            data.extend((0..shape.w).map(|column| f(c, y, column)));
        }
    }
    Tensor { shape, data }
}

/// Every value of a program on an input.
pub fn trace(program: &Program, input: &Tensor) -> Vec<Tensor> {
    let mut values = vec![input.clone()];
    for node in &program.nodes {
        let operands: Vec<&Tensor> = node.inputs.iter().map(|i| &values[*i]).collect();
        values.push(execute(&node.op, &operands));
    }
    values
}

/// The public words of an execution.
pub fn outputs(program: &Program, values: &[Tensor], salt: &Salt) -> Vec<i32> {
    let types = program.check().expect("well-formed");
    let words = |(i, output): (usize, &Output)| match *output {
        Output::Values(v) => values[v].data.clone(),
        Output::ArgMax(v) => {
            let data = &values[v].data;
            let largest = data.iter().max().expect("values are not empty");
            vec![data.iter().position(|x| x == largest).expect("it is one of them") as i32]
        }
        Output::AtMost { value, threshold } => vec![i32::from(values[value].data[0] <= threshold)],
        Output::Committed(value) => {
            // What another program says of it as its input.
            let (shape, interval) = (types[value].shape, types[value].interval);
            let mut next = program.clone();
            next.input = InputSpec { shape, interval, public_channels: 0..0 };
            let salt = output_salts(program, &[*salt], i)[0];
            let digest = statement::commit_input(&next, &values[value], &salt).expect("it fits");
            digest.digest.chunks(4).map(|w| i32::from_le_bytes(w.try_into().expect("four bytes"))).collect()
        }
        Output::Sum(_) | Output::CountAtMost { .. } | Output::CountAtLeast { .. } => vec![],
        Output::Increasing { .. } => vec![],
    };
    program.outputs.iter().enumerate().flat_map(words).collect()
}

/// The public words of a batch's executions.
pub fn batch_outputs(program: &Program, traces: &[Vec<Tensor>]) -> Vec<i32> {
    let words = |output: &Output| {
        let all: Vec<i32> = traces.iter().map(|t| t[output.value()].data[0]).collect();
        let count = |f: &dyn Fn(i32) -> bool| vec![all.iter().map(|v| i32::from(f(*v))).sum()];
        match *output {
            Output::Sum(_) => vec![all.iter().sum()],
            Output::CountAtMost { threshold, .. } => count(&|v| v <= threshold),
            Output::CountAtLeast { threshold, .. } => count(&|v| v >= threshold),
            Output::Increasing { ends: true, .. } => vec![all[0], all[all.len() - 1]],
            _ => vec![],
        }
    };
    program.outputs.iter().flat_map(words).collect()
}
