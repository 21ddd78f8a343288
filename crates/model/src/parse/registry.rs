//! Every operator that is read, one row each: docs/model.md's table is made from these rows.

use super::{
    ML_DOMAIN, OnnxNode, Parser, Value, arithmetic, compare, layout, linear, normalise, pointwise, pool,
    recurrent, reduce, select, static_shape, trees,
};

/// Translates one operator. The error says what is wrong and what to do.
type Translate = fn(&mut Parser<'_>, &OnnxNode) -> Result<Value, String>;

/// An operator that is read.
pub(crate) struct Row {
    pub name: &'static str,
    pub translate: Translate,
    /// What becomes of it in the program; for the document.
    #[cfg_attr(not(test), expect(dead_code, reason = "a test writes it into docs/model.md"))]
    pub becomes: &'static str,
    /// What is refused, empty if nothing; for the document.
    #[cfg_attr(not(test), expect(dead_code, reason = "a test writes it into docs/model.md"))]
    pub refuses: &'static str,
}

impl Row {
    /// The ONNX domain that it belongs to.
    pub fn domain(&self) -> &'static str {
        if self.name.starts_with("TreeEnsemble") { ML_DOMAIN } else { "" }
    }
}

const fn row(name: &'static str, translate: Translate, becomes: &'static str, refuses: &'static str) -> Row {
    Row { name, translate, becomes, refuses }
}

/// Every operator that is read, by name.
pub(crate) const OPERATORS: &[Row] = &[
    row("Abs", pointwise::function, "table", ""),
    row(
        "Add",
        arithmetic::sum,
        "Add; a constant folds into the layer before or after; minus infinity is a mask",
        "",
    ),
    row("And", compare::logic, "Multiply", ""),
    row("ArgMax", reduce::arg, "the output `argmax`", "anywhere but at the end, over all elements"),
    row(
        "ArgMin",
        reduce::arg,
        "the output `argmax` of the negated values",
        "anywhere but at the end, over all elements",
    ),
    row(
        "AveragePool",
        pool::average,
        "AveragePool",
        "padding that does not count in the mean, partial windows",
    ),
    row(
        "BatchNormalization",
        linear::batch_normalization,
        "folded into the layer before or after, else a depthwise layer",
        "training mode",
    ),
    row("Cast", static_shape::cast, "nothing", "rounding an activation"),
    row("Ceil", pointwise::function, "table", ""),
    row("Celu", pointwise::function, "table", ""),
    row("Clip", pointwise::clip, "the clamp of the layer before, else a layer", ""),
    row(
        "Concat",
        select::concat,
        "Gather, its operands on one scale",
        "constants other than zeros beside activations",
    ),
    row("Constant", layout::constant, "nothing", "strings, sparse tensors"),
    row("ConstantOfShape", static_shape::constant_of_shape, "nothing", ""),
    row("Conv", linear::conv, "Conv", "dilations, 3-D, weights that are not constant"),
    row(
        "ConvTranspose",
        linear::conv_transpose,
        "Gather with zeros, then Conv",
        "dilations, auto_pad, output_shape, pads as large as the kernel",
    ),
    row("Cos", pointwise::function, "table", ""),
    row("DepthToSpace", select::blocks, "Gather", ""),
    row("Div", arithmetic::div, "Divide; by a constant as Mul; a constant by an activation: table", ""),
    row("Dropout", layout::dropout, "nothing", "training mode"),
    row("Elu", pointwise::function, "table", ""),
    row("Equal", compare::equal, "Add, table (to half a step)", ""),
    row("Erf", pointwise::function, "table", ""),
    row("Exp", pointwise::function, "table", ""),
    row("Expand", select::expand, "Gather", ""),
    row("Flatten", layout::flatten, "nothing, or Gather", ""),
    row("Floor", pointwise::function, "table", ""),
    row(
        "GRU",
        recurrent::recurrent,
        "unrolled: Conv, Add, Multiply, tables",
        "a batch other than 1, initial states, other activations, clip",
    ),
    row(
        "Gather",
        select::gather,
        "Gather; a constant table by the input's whole numbers: an embedding (Conv on proven bits)",
        "indices that an activation computes",
    ),
    row("Gelu", pointwise::function, "table", ""),
    row(
        "Gemm",
        linear::gemm,
        "Conv with a kernel as large as its input, or of 1",
        "weights that are not constant",
    ),
    row("GlobalAveragePool", pool::global_average, "AveragePool", ""),
    row("GlobalMaxPool", pool::global_max, "ExtremePool", ""),
    row("Greater", compare::order, "Conv of one weight, clamped to a bit; of two activations: Add first", ""),
    row("GreaterOrEqual", compare::order, "as Greater", ""),
    row("HardSigmoid", pointwise::function, "table", ""),
    row("HardSwish", pointwise::function, "table", ""),
    row("Identity", layout::identity, "nothing", ""),
    row(
        "LSTM",
        recurrent::recurrent,
        "unrolled: Conv, Add, Multiply, tables",
        "a batch other than 1, initial states, other activations, peepholes, clip",
    ),
    row("LayerNormalization", normalise::layer, "Conv (centres), tables, Conv, Multiply", ""),
    row("LeakyRelu", pointwise::function, "table", ""),
    row("Less", compare::order, "as Greater", ""),
    row("LessOrEqual", compare::order, "as Greater", ""),
    row("Log", pointwise::function, "table", ""),
    row(
        "LogSoftmax",
        normalise::softmax,
        "as Softmax, with a table for the logarithm; at the very end over all elements nothing",
        "masks",
    ),
    row(
        "MatMul",
        linear::matmul,
        "MatMul; with a constant matrix as Gemm",
        "a constant with batches, batches that broadcast",
    ),
    row("Max", arithmetic::extreme, "two Adds; with one number a clamp", ""),
    row("MaxPool", pool::max, "ExtremePool", "dilations"),
    row("Mean", arithmetic::mean, "Adds", ""),
    row("Min", arithmetic::extreme, "two Adds; with one number a clamp", ""),
    row("Mish", pointwise::function, "table", ""),
    row(
        "Mul",
        arithmetic::mul,
        "Multiply; with a constant folded into the layer before or after, else a depthwise layer",
        "",
    ),
    row("Neg", arithmetic::neg, "as Mul", ""),
    row("Not", compare::not, "as Mul", ""),
    row("Or", compare::logic, "Add with a clamp", ""),
    row("PRelu", pointwise::prelu, "two clamps and Add", ""),
    row("Pad", select::pad, "Gather", "a constant other than 0"),
    row("Pow", arithmetic::pow, "table", "an exponent that is not one constant"),
    row("Reciprocal", pointwise::function, "table", ""),
    row("ReduceL1", reduce::reduce, "table, Conv of ones", ""),
    row("ReduceL2", reduce::reduce, "table, Conv of ones, table", ""),
    row("ReduceMax", reduce::reduce, "ExtremePool, after a Gather where axes lie apart", ""),
    row(
        "ReduceMean",
        reduce::reduce,
        "AveragePool, Conv over channels, after a Gather where axes lie apart",
        "",
    ),
    row("ReduceMin", reduce::reduce, "as ReduceMax", ""),
    row("ReduceSum", reduce::reduce, "Conv of ones, after a Gather where axes lie apart", ""),
    row("ReduceSumSquare", reduce::reduce, "table, Conv of ones", ""),
    row(
        "Relu",
        pointwise::relu,
        "the clamp of the layer before (also through pools and reshapes), else a layer",
        "",
    ),
    row("Reshape", layout::reshape, "nothing, absorbed by the dense layer that follows, or Gather", ""),
    row("Resize", select::resize, "Gather", "interpolation"),
    row("Round", pointwise::function, "table", ""),
    row("Selu", pointwise::function, "table", ""),
    row("Shape", static_shape::shape, "nothing", ""),
    row("Sigmoid", pointwise::sigmoid, "table; at the very end nothing: the output is the logit", ""),
    row("Sign", pointwise::function, "table", ""),
    row("Sin", pointwise::function, "table", ""),
    row("Slice", select::slice, "Gather", ""),
    row(
        "Softmax",
        normalise::softmax,
        "ExtremePool, Gather, Add, table, Conv of ones, Divide; at the very end over all elements nothing",
        "a mask that hides a row",
    ),
    row("Softplus", pointwise::function, "table", ""),
    row("Softsign", pointwise::function, "table", ""),
    row("SpaceToDepth", select::blocks, "Gather", ""),
    row("Split", select::split, "Gathers", ""),
    row("Sqrt", pointwise::function, "table", ""),
    row("Squeeze", layout::squeeze, "nothing", ""),
    row("Sub", arithmetic::sum, "as Add", ""),
    row("Sum", arithmetic::sum, "Adds", ""),
    row("Tanh", pointwise::function, "table", ""),
    row("ThresholdedRelu", pointwise::function, "table", ""),
    row("Tile", select::tile, "Gather", ""),
    row("Transpose", layout::transpose, "nothing, absorbed by the layer that follows, or Gather", ""),
    row(
        "TreeEnsembleClassifier",
        trees::classifier,
        "Conv: tests as bits, leaves as bits, scores; exact on the input's integers",
        "equality tests, probit",
    ),
    row(
        "TreeEnsembleRegressor",
        trees::regressor,
        "Conv: tests as bits, leaves as bits, sums; exact on the input's integers",
        "equality tests, MIN and MAX aggregates",
    ),
    row("Unsqueeze", layout::unsqueeze, "nothing", ""),
    row(
        "Where",
        arithmetic::choose,
        "Gather for a constant condition, else Multiply and Adds; minus infinity is a mask",
        "two constants under a constant condition",
    ),
    row("Xor", compare::logic, "Add, table", ""),
];

/// Operators that are known and refused: the reason, or what to do instead.
pub(crate) const REFUSED: &[(&str, &str)] = &[
    ("BitShift", "works on the bits of whole numbers, activations are scaled: compute it before the model"),
    ("CumSum", "sums along an axis: multiply by a triangular constant matrix instead"),
    ("Einsum", "write it as MatMul and Transpose"),
    ("GatherElements", "picks by a tensor: use Gather with a constant list"),
    ("GatherND", "picks by a tensor: use Gather with a constant list"),
    ("GroupNormalization", "export its decomposition (opset 17 and below)"),
    ("If", "a program has one path: export the branch that is taken"),
    ("InstanceNormalization", "rebuild it from ReduceMean, Sub, Mul, Sqrt, Div"),
    ("LRN", "rebuild it from Mul, Conv, Pow, Div, or drop it"),
    ("Loop", "a program has a fixed number of steps: unroll it before the export"),
    ("LpNormalization", "rebuild it from ReduceL2 and Div"),
    ("MeanVarianceNormalization", "rebuild it from ReduceMean, Sub, Mul, Sqrt, Div"),
    ("Mod", "remainders of scaled values have no meaning: compute it before the model"),
    ("MultiHeadAttention", "export its decomposition"),
    ("NonMaxSuppression", "picks a varying number of boxes: run it on the proven output"),
    ("NonZero", "gives a varying number of elements"),
    ("OneHot", "read tokens by Gather from a constant table"),
    ("RNN", "use GRU or LSTM"),
    ("RandomNormal", "a program has no chance: make noise an input"),
    ("ReduceProd", "a product of many values overflows: sum logarithms"),
    ("RoiAlign", "samples between elements: run it outside the model"),
    ("Scan", "a program has a fixed number of steps: unroll it before the export"),
    ("ScatterElements", "writes by index: use Concat and Where"),
    ("ScatterND", "writes by index: use Concat and Where"),
    ("TopK", "sorts: use ArgMax at the end or thresholds"),
    ("ZipMap", "gives dictionaries: export with zipmap off"),
];

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = "<!-- operators: made from crates/model/src/parse/registry.rs -->\n";
    const END: &str = "<!-- end of operators -->\n";

    /// The tables of docs/model.md.
    fn tables() -> String {
        let mut text = String::from("\n| ONNX | becomes | refused |\n|---|---|---|\n");
        for row in OPERATORS {
            let refuses = if row.refuses.is_empty() { "-" } else { row.refuses };
            text += &format!("| {} | {} | {refuses} |\n", row.name, row.becomes);
        }
        text += "\nKnown and refused:\n\n| ONNX | why, or what to do |\n|---|---|\n";
        REFUSED.iter().for_each(|(name, why)| text += &format!("| {name} | {why} |\n"));
        text + "\n"
    }

    #[test]
    fn the_document_holds_these_rows() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/model.md");
        let text = std::fs::read_to_string(path).unwrap();
        let (before, rest) = text.split_once(START).expect("the document marks where its tables begin");
        let (found, after) = rest.split_once(END).expect("the document marks where its tables end");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(path, format!("{before}{START}{}{END}{after}", tables())).unwrap();
        } else {
            assert_eq!(found, tables(), "run BLESS=1 cargo test -p proofmesh-model registry");
        }
    }

    #[test]
    fn names_are_in_order_and_once() {
        assert!(OPERATORS.windows(2).all(|w| w[0].name < w[1].name));
        assert!(REFUSED.windows(2).all(|w| w[0].0 < w[1].0));
        assert!(REFUSED.iter().all(|(name, _)| OPERATORS.iter().all(|row| row.name != *name)));
    }
}
