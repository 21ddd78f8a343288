//! The float graph: a foreign model after parsing, in the operators and the `[C, H, W]` layout that the
//! integer program has.
//!
//! Value 0 is the input, value `i + 1` the result of node `i`, as in [`proofmesh_graph::program`]. The
//! parser fills it, [`crate::fold`] simplifies it, [`run`] executes it, [`crate::quantise`] lowers it.

mod conv;
mod curve;
pub(crate) mod run;

use proofmesh_graph::op::Window;
use proofmesh_graph::tensor::Shape;

pub(crate) use curve::Curve;

/// Names a value of a [`FloatGraph`].
pub(crate) type ValueId = usize;

/// Bounds that a value is clamped to. `(0, inf)` is Relu.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Clamp {
    pub lo: f32,
    pub hi: f32,
}

impl Clamp {
    /// No bounds.
    pub const NONE: Self = Self { lo: f32::NEG_INFINITY, hi: f32::INFINITY };

    /// First `self`, then `next`: again a clamp.
    pub fn then(self, next: Self) -> Self {
        Self { lo: self.lo.max(next.lo).min(next.hi), hi: self.hi.min(next.hi).max(next.lo) }
    }

    /// Applies it.
    pub fn apply(self, x: f32) -> f32 {
        x.max(self.lo).min(self.hi)
    }
}

/// A convolution; with a kernel as large as its input a dense layer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FloatConv {
    pub out_channels: usize,
    pub groups: usize,
    pub window: Window,
    /// `[out_channels][in_channels / groups][kh][kw]`.
    pub weights: Vec<f32>,
    pub bias: Vec<f32>,
    pub clamp: Clamp,
}

/// Marks an element of a [`FloatOp::Gather`] that is zero.
pub(crate) const ZERO: u32 = u32::MAX;

/// Why a value starts with 12 bits instead of 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fine {
    /// What is subtracted before an exponential: a step is a factor.
    Exponent,
    /// A term or the sum of a softmax: small ones count together.
    Weight,
    /// A square or a variance: its range is that of its operand squared.
    Square,
    /// A reciprocal or a root of one: large where its operand is small.
    Reciprocal,
}

impl Fine {
    /// In words, for the report.
    pub fn why(self) -> &'static str {
        match self {
            Self::Exponent => "an exponential turns a step of it into a factor",
            Self::Weight => "many small terms of a softmax count together",
            Self::Square => "a square has twice its operand's range in bits",
            Self::Reciprocal => "a reciprocal is large where its operand is small",
        }
    }
}

/// What a node of the float graph does.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum FloatOp {
    Conv(FloatConv),
    /// `y = scale[c] * x + shift[c]`: BatchNormalization, products and sums with constants.
    Affine {
        scale: Vec<f32>,
        shift: Vec<f32>,
    },
    Clamp(Clamp),
    Curve(Curve),
    /// One bit an element: `x > at[c]`, or `x >= at[c]` where `inclusive[c]`.
    Threshold {
        at: Vec<f32>,
        inclusive: Vec<bool>,
    },
    /// A sum of bits with whole weights, clamped to 0..1: and, or, membership of a leaf. Exact.
    Truth(FloatConv),
    /// `gain x0 x1`; an axis of 1 of either operand is repeated.
    Multiply {
        gain: f32,
    },
    /// `x0 / x1`, the shares of a softmax: neither is negative, x1 is at least 1; an axis of 1 of x1 is repeated.
    Divide,
    /// `gain` times the sum over the chosen ones of channels, rows and columns, clamped.
    ReduceSum {
        axes: [bool; 3],
        gain: f32,
        clamp: Clamp,
    },
    /// `y[c] = gain x0[c] x1[c]` for matrices `[h, w]`, the second one transposed if so marked.
    MatMul {
        transposed: bool,
        gain: f32,
    },
    /// `factors[0] * x0 + factors[1] * x1`, clamped.
    Sum {
        factors: [f32; 2],
        clamp: Clamp,
    },
    MaxPool(Window),
    MinPool(Window),
    /// Padding counts as zeros.
    AveragePool(Window),
    /// The same elements in the same order.
    Reshape(Shape),
    /// Elements picked by index from the operands laid end to end: transposition, slice, concatenation; or [`ZERO`].
    Gather {
        shape: Shape,
        index: Vec<u32>,
    },
}

/// A node.
#[derive(Clone, Debug)]
pub(crate) struct FloatNode {
    /// Name of the ONNX node it came from.
    pub name: String,
    /// ONNX operator type it came from.
    pub source: String,
    pub op: FloatOp,
    pub inputs: Vec<ValueId>,
    /// Values of one group share a scale.
    pub tie: Option<u32>,
    /// Why 8 bits are too coarse for the result, if they are.
    pub fine: Option<Fine>,
}

/// A parsed model.
#[derive(Clone, Debug)]
pub(crate) struct FloatGraph {
    pub input: Shape,
    pub nodes: Vec<FloatNode>,
    pub output: ValueId,
}

impl FloatOp {
    /// Shape of the result, or why the operands do not fit.
    pub fn shape(&self, operands: &[Shape]) -> Result<Shape, String> {
        let first = *operands.first().ok_or("has no operand")?;
        match self {
            Self::Conv(conv) => conv.shape(first),
            Self::Affine { scale, shift } if scale.len() == first.c && shift.len() == first.c => Ok(first),
            Self::Affine { scale, .. } => Err(format!("{} factors for {} channels", scale.len(), first.c)),
            Self::Clamp(_) | Self::Curve(_) => Ok(first),
            Self::Threshold { at, inclusive } if at.len() == first.c && inclusive.len() == first.c => {
                Ok(first)
            }
            Self::Threshold { at, .. } => Err(format!("{} thresholds for {} channels", at.len(), first.c)),
            Self::Truth(conv) => conv.shape(first),
            Self::Sum { .. } if operands.len() == 2 && operands[1] == first => Ok(first),
            Self::Sum { .. } => Err("the operands' shapes differ: reshape one of them".into()),
            Self::Multiply { .. } | Self::Divide => {
                let second = *operands.get(1).ok_or("needs two operands")?;
                let axis = |(a, b): (usize, usize)| match (a, b) {
                    (a, b) if a == b || b == 1 => Ok(a),
                    (1, b) => Ok(b),
                    _ => Err(format!("{:?} and {:?} do not broadcast", first.axes(), second.axes())),
                };
                let [c, h, w] = [(first.c, second.c), (first.h, second.h), (first.w, second.w)].map(axis);
                Ok(Shape::new(c?, h?, w?))
            }
            Self::ReduceSum { axes, .. } => {
                let [c, h, w] = [0, 1, 2].map(|i| if axes[i] { 1 } else { first.axes()[i] });
                Ok(Shape::new(c, h, w))
            }
            Self::MatMul { transposed, .. } => {
                let second = *operands.get(1).ok_or("needs two operands")?;
                let (inner, outer) = if *transposed { (second.w, second.h) } else { (second.h, second.w) };
                if first.c != second.c || first.w != inner {
                    return Err(format!("matrices {:?} and {:?} do not fit", first.axes(), second.axes()));
                }
                Ok(Shape::new(first.c, first.h, outer))
            }
            Self::MaxPool(window) | Self::MinPool(window) | Self::AveragePool(window) => {
                let [h, w] = window.axes(first.h, first.w)?;
                Ok(Shape::new(first.c, h.output, w.output))
            }
            Self::Reshape(shape) if shape.len() == first.len() => Ok(*shape),
            Self::Reshape(shape) => Err(format!("{} elements cannot become {}", first.len(), shape.len())),
            Self::Gather { shape, index } => {
                let total = operands.iter().fold(0usize, |n, o| n.saturating_add(o.len()));
                let inside = |i: &u32| *i == ZERO || (*i as usize) < total;
                if index.len() == shape.len() && index.iter().all(inside) {
                    Ok(*shape)
                } else {
                    Err("an index lies outside the operands".into())
                }
            }
        }
    }

    /// Numbers in weights, biases, factors.
    pub fn parameters(&self) -> usize {
        match self {
            Self::Conv(c) | Self::Truth(c) => c.weights.len() + c.bias.len(),
            Self::Threshold { at, .. } => at.len(),
            Self::Affine { scale, shift } => scale.len() + shift.len(),
            _ => 0,
        }
    }

    /// Multiply-adds for one input.
    pub fn multiply_adds(&self, operands: &[Shape], result: Shape) -> u64 {
        match self {
            Self::Conv(conv) | Self::Truth(conv) => {
                let terms = (operands[0].c / conv.groups) as u64 * window_len(&conv.window);
                (result.len() as u64).saturating_mul(terms)
            }
            Self::MatMul { .. } => (result.len() as u64).saturating_mul(operands[0].w as u64),
            Self::ReduceSum { .. } => operands[0].len() as u64,
            Self::MaxPool(window) | Self::MinPool(window) | Self::AveragePool(window) => {
                (result.len() as u64).saturating_mul(window_len(window))
            }
            _ => result.len() as u64,
        }
    }
}

fn window_len(window: &Window) -> u64 {
    (window.kernel[0] as u64).saturating_mul(window.kernel[1] as u64)
}

impl FloatConv {
    /// A dense layer over a whole operand.
    pub fn dense(operand: Shape, weights: Vec<f32>, bias: Vec<f32>) -> Self {
        let window = Window { kernel: [operand.h, operand.w], stride: [1, 1], pad: [0; 4] };
        Self { out_channels: bias.len(), groups: 1, window, weights, bias, clamp: Clamp::NONE }
    }

    /// `y = scale[c] * x + shift[c]` as a depthwise layer with a kernel of 1.
    pub fn affine(scale: Vec<f32>, shift: Vec<f32>) -> Self {
        let window = Window { kernel: [1, 1], stride: [1, 1], pad: [0; 4] };
        Self {
            out_channels: scale.len(),
            groups: scale.len(),
            window,
            weights: scale,
            bias: shift,
            clamp: Clamp::NONE,
        }
    }

    /// Weights of one output channel.
    pub fn row_len(&self) -> usize {
        self.weights.len() / self.out_channels.max(1)
    }

    fn shape(&self, a: Shape) -> Result<Shape, String> {
        let (groups, out) = (self.groups, self.out_channels);
        if groups == 0 || out == 0 || !a.c.is_multiple_of(groups) || !out.is_multiple_of(groups) {
            return Err(format!("{groups} groups do not divide {} input and {out} output channels", a.c));
        }
        let [h, w] = self.window.axes(a.h, a.w)?;
        let count = [out, a.c / groups, h.kernel, w.kernel].iter().try_fold(1usize, |n, d| n.checked_mul(*d));
        if count != Some(self.weights.len()) || self.bias.len() != out {
            return Err(format!(
                "{} weights and {} biases do not fit {} channels in {groups} groups and {out} out",
                self.weights.len(),
                self.bias.len(),
                a.c
            ));
        }
        Ok(Shape::new(out, h.output, w.output))
    }
}

impl FloatGraph {
    /// Shape of every value, the input first.
    pub fn shapes(&self) -> Result<Vec<Shape>, String> {
        let mut shapes = vec![self.input];
        for node in &self.nodes {
            let operands: Vec<Shape> = node.inputs.iter().map(|i| shapes[*i]).collect();
            shapes.push(node.op.shape(&operands).map_err(|why| format!("node `{}`: {why}", node.name))?);
        }
        Ok(shapes)
    }

    /// How many nodes read each value; the output counts once more.
    pub fn uses(&self) -> Vec<usize> {
        let mut uses = vec![0; self.nodes.len() + 1];
        self.nodes.iter().flat_map(|n| &n.inputs).for_each(|i| uses[*i] += 1);
        uses[self.output] += 1;
        uses
    }
}
