//! Builds an ONNX network layer by layer, and runs it on a small batch as it grows: so that normalisation layers hold the batch's true
//! means and variances, and the last layer can be fitted to the classes.

use proofmesh_graph::op::Window;
use proofmesh_graph::tensor::Shape;

use super::script::{INPUT, Script, int, ints};
use super::stream::Stream;
use crate::float::{Clamp, FloatConv, FloatOp, run};
use crate::onnx::Attribute;

/// Added to variances.
const EPSILON: f32 = 1e-3;
/// Standard deviation of the fitted logits.
const LOGIT_SPREAD: f32 = 4.0;

/// Names a value of a [`Net`]; 0 is the input.
pub(super) type Id = usize;

/// A convolution without its weights.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layer {
    pub out: usize,
    pub window: Window,
    pub groups: usize,
}

impl Layer {
    /// A square kernel whose result is as large as its operand, divided by the stride.
    pub fn square(out: usize, kernel: usize, stride: usize) -> Self {
        let window = Window { kernel: [kernel; 2], stride: [stride; 2], pad: [kernel / 2; 4] };
        Self { out, window, groups: 1 }
    }

    /// A kernel a channel.
    pub fn depthwise(channels: usize, kernel: usize, stride: usize) -> Self {
        Self { groups: channels, ..Self::square(channels, kernel, stride) }
    }
}

/// Sizes and values of a constant.
type Tensor = (Vec<usize>, Vec<f32>);

/// A value on every row of the batch.
struct Held {
    name: String,
    shape: Shape,
    rows: Vec<Vec<f32>>,
}

/// A network under construction.
pub(super) struct Net {
    pub stream: Stream,
    script: Script,
    held: Vec<Held>,
}

fn window_attributes(window: &Window) -> Vec<Attribute> {
    vec![
        ints("kernel_shape", &window.kernel),
        ints("strides", &window.stride),
        ints("pads", &[window.pad[0], window.pad[1], window.pad[2], window.pad[3]]),
    ]
}

impl Net {
    /// A network on `[c, h, w]` images, or on vectors if `h = w = 1`, with the batch that it runs on.
    pub fn new(stream: Stream, shape: Shape, rows: Vec<Vec<f32>>) -> Self {
        let dims = if shape.h * shape.w == 1 { vec![1, shape.c] } else { vec![1, shape.c, shape.h, shape.w] };
        let held = vec![Held { name: INPUT.into(), shape, rows }];
        Self { stream, script: Script::new(17, &dims, 1), held }
    }

    pub fn shape(&self, id: Id) -> Shape {
        self.held[id].shape
    }

    /// Adds a node with its constants; `op` is what it does, for the batch.
    fn push(
        &mut self,
        kind: &str,
        inputs: &[Id],
        constants: Vec<Tensor>,
        attributes: Vec<Attribute>,
        op: &FloatOp,
    ) -> Id {
        let mut names: Vec<String> = inputs.iter().map(|i| self.held[*i].name.clone()).collect();
        names.extend(constants.into_iter().map(|(dims, values)| self.script.tensor(&dims, values)));
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let name = self.script.node(kind, &names, attributes);
        let shapes: Vec<Shape> = inputs.iter().map(|i| self.shape(*i)).collect();
        let to = op.shape(&shapes).expect("the zoo's layers fit their operands");
        let row = |r: usize| {
            let operands: Vec<&[f32]> = inputs.iter().map(|i| self.held[*i].rows[r].as_slice()).collect();
            run::apply(op, &shapes, to, &operands)
        };
        let rows = (0..self.held[0].rows.len()).map(row).collect();
        self.held.push(Held { name, shape: to, rows });
        self.held.len() - 1
    }

    /// He et al. 2015: keeps the variance through a layer that a Relu follows.
    fn he(&mut self, count: usize, fan_in: usize) -> Vec<f32> {
        self.stream.normals(count, (2.0 / fan_in as f32).sqrt())
    }

    pub fn conv(&mut self, x: Id, layer: Layer) -> Id {
        let inputs = self.shape(x).c / layer.groups;
        let [kh, kw] = layer.window.kernel;
        let weights = self.he(layer.out * inputs * kh * kw, inputs * kh * kw);
        let kernel = (vec![layer.out, inputs, kh, kw], weights.clone());
        let mut attributes = window_attributes(&layer.window);
        attributes.push(int("group", layer.groups as i64));
        let op = FloatOp::Conv(FloatConv {
            out_channels: layer.out,
            groups: layer.groups,
            window: layer.window,
            weights,
            bias: vec![0.0; layer.out],
            clamp: Clamp::NONE,
        });
        self.push("Conv", &[x], vec![kernel], attributes, &op)
    }

    /// A dense layer with given weights `[out][in]`, on a vector.
    fn gemm(&mut self, x: Id, weights: Vec<f32>, bias: Vec<f32>) -> Id {
        let (from, out) = (self.shape(x), bias.len());
        let constants = vec![(vec![out, from.c], weights.clone()), (vec![out], bias.clone())];
        let op = FloatOp::Conv(FloatConv::dense(from, weights, bias));
        self.push("Gemm", &[x], constants, vec![int("transB", 1)], &op)
    }

    pub fn dense(&mut self, x: Id, out: usize) -> Id {
        let from = self.shape(x).c;
        let weights = self.he(out * from, from);
        let bias = self.stream.uniforms(out, -0.1, 0.1);
        self.gemm(x, weights, bias)
    }

    /// Normalises with the batch's own mean and variance, then scales by about 1 and shifts a little, as trained layers do.
    pub fn normalise(&mut self, x: Id) -> Id {
        let Held { shape, rows, .. } = &self.held[x];
        let plane = shape.h * shape.w;
        let count = (rows.len() * plane) as f64;
        let moment = |c: usize, f: &dyn Fn(f64) -> f64| {
            let all = rows.iter().flat_map(|row| &row[c * plane..(c + 1) * plane]);
            all.map(|v| f(f64::from(*v))).sum::<f64>() / count
        };
        let mean: Vec<f64> = (0..shape.c).map(|c| moment(c, &|v| v)).collect();
        let variance: Vec<f32> = (0..shape.c).map(|c| moment(c, &|v| (v - mean[c]).powi(2)) as f32).collect();
        let mean: Vec<f32> = mean.into_iter().map(|m| m as f32).collect();
        let channels = shape.c;
        let gain = self.stream.uniforms(channels, 0.8, 1.2);
        let bias = self.stream.uniforms(channels, -0.3, 0.3);
        let scale: Vec<f32> = gain.iter().zip(&variance).map(|(g, v)| g / (v + EPSILON).sqrt()).collect();
        let shift = (0..channels).map(|c| bias[c] - mean[c] * scale[c]).collect();
        let constants = [gain, bias, mean, variance].map(|v| (vec![channels], v)).to_vec();
        let epsilon = Attribute { name: "epsilon".into(), float: Some(EPSILON), ..Attribute::default() };
        self.push("BatchNormalization", &[x], constants, vec![epsilon], &FloatOp::Affine { scale, shift })
    }

    pub fn relu(&mut self, x: Id) -> Id {
        self.push("Relu", &[x], Vec::new(), Vec::new(), &FloatOp::Clamp(Clamp { lo: 0.0, hi: f32::INFINITY }))
    }

    /// Convolution, normalisation, Relu.
    pub fn block(&mut self, x: Id, layer: Layer) -> Id {
        let y = self.conv(x, layer);
        let y = self.normalise(y);
        self.relu(y)
    }

    pub fn add(&mut self, a: Id, b: Id) -> Id {
        self.push(
            "Add",
            &[a, b],
            Vec::new(),
            Vec::new(),
            &FloatOp::Sum { factors: [1.0; 2], clamp: Clamp::NONE },
        )
    }

    pub fn pool(&mut self, x: Id, size: usize, max: bool) -> Id {
        let window = Window { kernel: [size; 2], stride: [size; 2], pad: [0; 4] };
        let (kind, op) = if max {
            ("MaxPool", FloatOp::MaxPool(window))
        } else {
            ("AveragePool", FloatOp::AveragePool(window))
        };
        self.push(kind, &[x], Vec::new(), window_attributes(&window), &op)
    }

    pub fn global_average(&mut self, x: Id) -> Id {
        let Shape { h, w, .. } = self.shape(x);
        let op = FloatOp::AveragePool(Window { kernel: [h, w], stride: [1, 1], pad: [0; 4] });
        self.push("GlobalAveragePool", &[x], Vec::new(), Vec::new(), &op)
    }

    pub fn flatten(&mut self, x: Id) -> Id {
        let op = FloatOp::Reshape(Shape::new(self.shape(x).len(), 1, 1));
        self.push("Flatten", &[x], Vec::new(), Vec::new(), &op)
    }

    /// A last layer fitted to the batch, whose row `i` is of class `i % classes`: the nearest class mean as a linear layer.
    pub fn classify(&mut self, x: Id, classes: usize) -> Id {
        let (weights, bias) = fitted(&self.held[x].rows, classes);
        self.gemm(x, weights, bias)
    }

    /// The finished file's bytes; `y` is its output.
    pub fn finish(mut self, y: Id) -> Vec<u8> {
        let Shape { c, h, w } = self.shape(y);
        let dims = if h * w == 1 { vec![1, c] } else { vec![1, c, h, w] };
        let name = self.held[y].name.clone();
        self.script.encode(&name, &dims)
    }
}

/// Weights and bias of the nearest class mean as a linear layer, fitted to rows of which row `i` is of class `i % classes`.
pub(super) fn fitted(rows: &[Vec<f32>], classes: usize) -> (Vec<f32>, Vec<f32>) {
    let width = rows[0].len();
    let mean = |rows: &mut dyn Iterator<Item = &Vec<f32>>| {
        let (mut sum, mut n) = (vec![0f64; width], 0.0);
        for row in rows {
            sum.iter_mut().zip(row).for_each(|(s, v)| *s += f64::from(*v));
            n += 1.0;
        }
        sum.iter_mut().for_each(|s| *s /= f64::max(n, 1.0));
        sum
    };
    let middle = mean(&mut rows.iter());
    let (mut weights, mut bias) = (Vec::with_capacity(classes * width), Vec::with_capacity(classes));
    for class in 0..classes {
        let own = mean(&mut rows.iter().skip(class).step_by(classes));
        let away: Vec<f64> = own.iter().zip(&middle).map(|(o, m)| o - m).collect();
        bias.push(
            away.iter().zip(own.iter().zip(&middle)).map(|(a, (o, m))| -a * (o + m) / 2.0).sum::<f64>(),
        );
        weights.extend(away);
    }
    let logits = rows.iter().flat_map(|row| {
        let dot = |class: usize| -> f64 {
            let line = &weights[class * width..(class + 1) * width];
            bias[class] + line.iter().zip(row).map(|(w, v)| w * f64::from(*v)).sum::<f64>()
        };
        (0..classes).map(dot).collect::<Vec<_>>()
    });
    let logits: Vec<f64> = logits.collect();
    let spread = (logits.iter().map(|v| v * v).sum::<f64>() / logits.len().max(1) as f64).sqrt();
    let gain = f64::from(LOGIT_SPREAD) / spread.max(1e-6);
    let real = |list: Vec<f64>| list.into_iter().map(|v| (v * gain) as f32).collect();
    (real(weights), real(bias))
}
