//! ONNX graph to float graph: one file a family of operators, one row an operator in [`OPERATORS`].
//!
//! Every activation carries its ONNX sizes with a batch of 1 in front; its elements lie in the same order
//! in `[C, H, W]`, so that reshapes move nothing.

mod attribute;
mod layout;
mod linear;
mod pointwise;
mod pool;
mod static_shape;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use proofmesh_graph::tensor::Shape;

use crate::error::ImportError;
use crate::float::{FloatGraph, FloatNode, FloatOp, ValueId};
use crate::limits;
use crate::onnx::{Constant, OnnxModel, OnnxNode};

/// An activation: a value of the float graph under its ONNX sizes.
#[derive(Clone, Debug)]
pub(crate) struct Activation {
    pub id: ValueId,
    /// Sizes as in the ONNX graph, the batch (1) first.
    pub dims: Vec<usize>,
}

/// What a name of the ONNX graph stands for.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Constant(Rc<Constant>),
    Activation(Activation),
}

/// Translates one operator. The error says what is wrong and what to do.
type Translate = fn(&mut Parser<'_>, &OnnxNode) -> Result<Value, String>;

/// Every operator that is read.
const OPERATORS: &[(&str, Translate)] = &[
    ("Add", pointwise::add),
    ("AveragePool", pool::average),
    ("BatchNormalization", linear::batch_normalization),
    ("Cast", static_shape::cast),
    ("Clip", pointwise::clip),
    ("Concat", static_shape::concat),
    ("Constant", layout::constant),
    ("Conv", linear::conv),
    ("Div", pointwise::div),
    ("Dropout", layout::dropout),
    ("Flatten", layout::flatten),
    ("Gather", static_shape::gather),
    ("Gemm", linear::gemm),
    ("GlobalAveragePool", pool::global_average),
    ("GlobalMaxPool", pool::global_max),
    ("Identity", layout::identity),
    ("LeakyRelu", pointwise::leaky_relu),
    ("LogSoftmax", pointwise::final_softmax),
    ("MatMul", linear::matmul),
    ("MaxPool", pool::max),
    ("Mul", pointwise::mul),
    ("ReduceMean", pool::reduce_mean),
    ("Relu", pointwise::relu),
    ("Reshape", layout::reshape),
    ("Shape", static_shape::shape),
    ("Sigmoid", pointwise::sigmoid),
    ("Softmax", pointwise::final_softmax),
    ("Squeeze", layout::squeeze),
    ("Sub", pointwise::sub),
    ("Tanh", pointwise::tanh),
    ("Transpose", layout::transpose),
    ("Unsqueeze", layout::unsqueeze),
];

/// A parsed model with what the parser has to say about it.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub graph: FloatGraph,
    pub input_name: String,
    pub output_name: String,
    /// Things a user must know, such as a dropped Softmax.
    pub notes: Vec<String>,
    /// Operators that the output depends on, with their counts.
    pub operators: BTreeMap<String, usize>,
    /// Elements of all constants that layers use.
    pub parameters: usize,
    /// Multiply-adds for one input.
    pub multiply_adds: u64,
}

/// The state of a translation.
pub(crate) struct Parser<'a> {
    model: &'a OnnxModel,
    values: BTreeMap<String, Value>,
    broken: BTreeMap<String, String>,
    graph: FloatGraph,
    shapes: Vec<Shape>,
    /// The batch that the file fixes, if it fixes one.
    batch: Option<usize>,
    output_name: String,
    notes: Vec<String>,
    multiply_adds: u64,
    parameters: usize,
}

/// Translates a parsed file. `output` picks one of several outputs by name.
///
/// Errors: an operator that [`OPERATORS`] lacks, or one used in a way that it does not support, with the
/// node's name; inputs other than one float tensor.
pub(crate) fn parse(model: &OnnxModel, output: Option<&str>) -> Result<Parsed, ImportError> {
    let output_name = pick_output(model, output)?;
    let mut parser = Parser::new(model, output_name)?;
    let input_name = parser.read_input()?;
    let needed = needed_nodes(model, &parser.output_name);
    let mut operators = BTreeMap::new();
    for (node, _) in model.nodes.iter().zip(&needed).filter(|(_, needed)| **needed) {
        parser.translate(node)?;
        *operators.entry(node.op.clone()).or_insert(0) += 1;
    }
    let model_error = |why: String| ImportError::Model(why);
    let Some(Value::Activation(result)) = parser.values.get(&parser.output_name) else {
        return Err(model_error(format!("the output `{}` does not depend on the input", parser.output_name)));
    };
    parser.graph.output = result.id;
    Ok(Parsed {
        parameters: parser.parameters,
        multiply_adds: parser.multiply_adds,
        graph: parser.graph,
        input_name,
        output_name: parser.output_name,
        notes: parser.notes,
        operators,
    })
}

fn pick_output(model: &OnnxModel, wanted: Option<&str>) -> Result<String, ImportError> {
    let names: Vec<&str> = model.outputs.iter().map(|o| o.name.as_str()).collect();
    match (wanted, names.as_slice()) {
        (Some(name), _) if names.contains(&name) => Ok(name.to_string()),
        (Some(name), _) => {
            Err(ImportError::Options(format!("no output is called `{name}`, there are {names:?}")))
        }
        (None, [one]) => Ok((*one).to_string()),
        (None, _) => Err(ImportError::Model(format!(
            "has {} outputs {names:?}: name the one to prove in the options",
            names.len()
        ))),
    }
}

/// Which nodes the output depends on. ONNX lists nodes in an order in which producers come first.
fn needed_nodes(model: &OnnxModel, output: &str) -> Vec<bool> {
    let mut wanted: BTreeSet<&str> = BTreeSet::from([output]);
    let mut needed = vec![false; model.nodes.len()];
    for (i, node) in model.nodes.iter().enumerate().rev() {
        if node.outputs.iter().any(|o| wanted.contains(o.as_str())) {
            needed[i] = true;
            wanted.extend(node.inputs.iter().map(String::as_str));
        }
    }
    needed
}

impl<'a> Parser<'a> {
    fn new(model: &'a OnnxModel, output_name: String) -> Result<Self, ImportError> {
        let (mut values, mut broken) = (BTreeMap::new(), BTreeMap::new());
        for (name, constant) in &model.initializers {
            match constant {
                Ok(c) => drop(values.insert(name.clone(), Value::Constant(Rc::new(c.clone())))),
                Err(why) => drop(broken.insert(name.clone(), why.clone())),
            }
        }
        let graph = FloatGraph { input: Shape::new(0, 0, 0), nodes: Vec::new(), output: 0 };
        Ok(Self {
            model,
            values,
            broken,
            graph,
            shapes: Vec::new(),
            batch: None,
            output_name,
            notes: Vec::new(),
            multiply_adds: 0,
            parameters: 0,
        })
    }

    /// Reads the only input and gives its name.
    fn read_input(&mut self) -> Result<String, ImportError> {
        let given: BTreeSet<&str> = self.model.initializers.iter().map(|(n, _)| n.as_str()).collect();
        let open: Vec<_> = self.model.inputs.iter().filter(|i| !given.contains(i.name.as_str())).collect();
        let [input] = open.as_slice() else {
            let names: Vec<&str> = open.iter().map(|i| i.name.as_str()).collect();
            return Err(ImportError::Model(format!(
                "has {} inputs {names:?}, exactly one is supported: stack them as channels",
                names.len()
            )));
        };
        let fail = |why: &str| Err(ImportError::Model(format!("input `{}`: {why}", input.name)));
        if input.element != 1 {
            return fail("is not float32: export with a float32 input");
        }
        let Some(sizes) = &input.dims else { return fail("has no shape: export with a fixed shape") };
        if !(2..=4).contains(&sizes.len()) {
            return fail("needs a batch axis and one to three more: [N, C], [N, C, W] or [N, C, H, W]");
        }
        let mut dims = vec![1];
        for size in &sizes[1..] {
            let Some(size) = size else {
                return fail("an axis other than the batch is dynamic: export with a fixed shape");
            };
            dims.push(*size);
        }
        self.batch = sizes[0];
        let shape = match shape_of(&dims) {
            Ok(shape) => shape,
            Err(why) => return fail(&why),
        };
        self.graph.input = shape;
        self.shapes.push(shape);
        self.values.insert(input.name.clone(), Value::Activation(Activation { id: 0, dims }));
        Ok(input.name.clone())
    }

    fn translate(&mut self, node: &OnnxNode) -> Result<(), ImportError> {
        let fail =
            |reason: String| ImportError::Node { node: node.name.clone(), op: node.op.clone(), reason };
        let row = OPERATORS.iter().find(|(name, _)| *name == node.op);
        let own = node.domain.is_empty() || node.domain == "ai.onnx";
        let Some((_, translate)) = row.filter(|_| own) else {
            let known: Vec<&str> = OPERATORS.iter().map(|(n, _)| *n).collect();
            let domain = if own { String::new() } else { format!(" of domain `{}`", node.domain) };
            return Err(fail(format!(
                "operator{domain} is not supported: rebuild the layer from {}",
                known.join(", ")
            )));
        };
        let value = translate(self, node).map_err(fail)?;
        if let Some(name) = node.outputs.first() {
            self.values.insert(name.clone(), value);
        }
        Ok(())
    }

    /// The value of input `i`, or `None` if it is left out.
    fn optional(&self, node: &OnnxNode, i: usize) -> Result<Option<Value>, String> {
        match node.inputs.get(i).map(String::as_str) {
            None | Some("") => Ok(None),
            Some(name) => match (self.values.get(name), self.broken.get(name)) {
                (Some(value), _) => Ok(Some(value.clone())),
                (None, Some(why)) => Err(format!("constant `{name}` cannot be used: {why}")),
                (None, None) => Err(format!("reads `{name}`, which no earlier node gives")),
            },
        }
    }

    fn value(&self, node: &OnnxNode, i: usize) -> Result<Value, String> {
        self.optional(node, i)?.ok_or_else(|| format!("input {i} is missing"))
    }

    fn activation(&self, node: &OnnxNode, i: usize) -> Result<Activation, String> {
        match self.value(node, i)? {
            Value::Activation(a) => Ok(a),
            Value::Constant(_) => Err(format!("input {i} is a constant: fold constants before the export")),
        }
    }

    fn optional_constant(&self, node: &OnnxNode, i: usize) -> Result<Option<Rc<Constant>>, String> {
        match self.optional(node, i)? {
            None => Ok(None),
            Some(Value::Constant(c)) => Ok(Some(c)),
            Some(Value::Activation(_)) => {
                Err(format!("input {i} depends on the model's input: only constants are supported there"))
            }
        }
    }

    fn constant(&self, node: &OnnxNode, i: usize) -> Result<Rc<Constant>, String> {
        self.optional_constant(node, i)?.ok_or_else(|| format!("input {i} is missing"))
    }

    /// Appends a node whose result has the given ONNX sizes.
    fn push(
        &mut self,
        node: &OnnxNode,
        op: FloatOp,
        inputs: Vec<ValueId>,
        dims: Vec<usize>,
    ) -> Result<Value, String> {
        let operands: Vec<Shape> = inputs.iter().map(|i| self.shapes[*i]).collect();
        let shape = op.shape(&operands)?;
        let expected = shape_of(&dims)?;
        if shape != expected {
            return Err(format!("gives {:?}, expected {:?}", shape.axes(), expected.axes()));
        }
        self.multiply_adds = self.multiply_adds.saturating_add(op.multiply_adds(operands[0], shape));
        if self.multiply_adds > limits::MAX_MULTIPLY_ADDS {
            return Err(format!("the model needs more than {} multiply-adds", limits::MAX_MULTIPLY_ADDS));
        }
        self.parameters = self.parameters.saturating_add(op.parameters());
        self.graph.nodes.push(FloatNode { name: node.name.clone(), source: node.op.clone(), op, inputs });
        self.shapes.push(shape);
        if self.parameters > limits::MAX_PARAMETERS {
            return Err(format!("the model has more than {} parameters", limits::MAX_PARAMETERS));
        }
        Ok(Value::Activation(Activation { id: self.shapes.len() - 1, dims }))
    }

    fn shape(&self, a: &Activation) -> Shape {
        self.shapes[a.id]
    }
}

/// The `[C, H, W]` shape of ONNX sizes with a batch of 1: `[1, C]`, `[1, C, W]`, `[1, C, H, W]`; other
/// ranks lie flat.
pub(crate) fn shape_of(dims: &[usize]) -> Result<Shape, String> {
    if dims.first() != Some(&1) {
        return Err(format!("sizes {dims:?} have no batch axis of 1 in front: keep the batch first"));
    }
    let shape = match dims {
        [_, c] => Shape::new(*c, 1, 1),
        [_, c, w] => Shape::new(*c, 1, *w),
        [_, c, h, w] => Shape::new(*c, *h, *w),
        [_, rest @ ..] => Shape::new(rest.iter().fold(1, |n: usize, d| n.saturating_mul(*d)), 1, 1),
        [] => Shape::new(0, 0, 0),
    };
    if shape.is_empty() || shape.len() > limits::MAX_ACTIVATION_ELEMENTS {
        return Err(format!(
            "sizes {dims:?} are empty or beyond {} elements",
            limits::MAX_ACTIVATION_ELEMENTS
        ));
    }
    Ok(shape)
}
