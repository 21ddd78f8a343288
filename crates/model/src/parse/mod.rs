//! ONNX graph to float graph: one file a family of operators, one row an operator in [`OPERATORS`].
//!
//! Activations are views of values ([`view`]): transpositions and reshapes cost nothing until an operator needs another order.

mod arithmetic;
mod attribute;
mod compare;
mod layout;
mod linear;
mod normalise;
mod pointwise;
mod pool;
mod recurrent;
mod reduce;
mod registry;
mod select;
mod static_shape;
mod trees;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use proofmesh_graph::tensor::Shape;

use crate::error::ImportError;
use crate::float::{Fine, FloatGraph, FloatNode, FloatOp, ValueId};
use crate::limits;
use crate::onnx::{Constant, ML_DOMAIN, OnnxModel, OnnxNode};
use view::Activation;
pub(crate) use view::shape_of;

pub(crate) use registry::{OPERATORS, REFUSED};

/// What a name of the ONNX graph stands for.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Constant(Rc<Constant>),
    Activation(Activation),
}

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
    /// Whether the input is integers (tokens), read as they are stored.
    pub whole_input: bool,
}

/// An order of a value's elements: the value, the sizes, and which element goes where if not all in place.
type Arrangement = (ValueId, [usize; 3], Option<Vec<u32>>);

/// The state of a translation.
pub(crate) struct Parser<'a> {
    model: &'a OnnxModel,
    values: BTreeMap<String, Value>,
    broken: BTreeMap<String, String>,
    graph: FloatGraph,
    shapes: Vec<Shape>,
    /// Orders that were asked for, so that each is made once.
    arranged: BTreeMap<Arrangement, ValueId>,
    /// The batch that the file fixes, if it fixes one.
    batch: Option<usize>,
    whole_input: bool,
    /// Groups of values that share a scale, so far.
    ties: u32,
    output_name: String,
    /// The output and the values that it is a copy of.
    ends: BTreeSet<String>,
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
    parser.ends = ends(model, &parser.output_name, &needed);
    let mut operators = BTreeMap::new();
    for (node, _) in model.nodes.iter().zip(&needed).filter(|(_, needed)| **needed) {
        parser.translate(node)?;
        *operators.entry(node.op.clone()).or_insert(0) += 1;
    }
    let model_error = |why: String| ImportError::Model(why);
    let Some(Value::Activation(result)) = parser.values.get(&parser.output_name).cloned() else {
        return Err(model_error(format!("the output `{}` does not depend on the input", parser.output_name)));
    };
    if result.mask.is_some() {
        return Err(model_error(format!("the output `{}` holds masked scores", parser.output_name)));
    }
    // The output's elements lie as ONNX lists them; its sizes are ONNX's own matter.
    parser.graph.output = if result.is_row_major() {
        result.id
    } else {
        let last =
            OnnxNode { name: parser.output_name.clone(), op: "Transpose".into(), ..OnnxNode::default() };
        parser.canonical(&last, result).map_err(model_error)?.id
    };
    Ok(Parsed {
        whole_input: parser.whole_input,
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

/// Operators that give their first operand's elements in the same order.
const COPIES: [&str; 7] = ["Cast", "Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"];

/// The output, and every value that reaches it through copies alone and that nothing else reads.
fn ends(model: &OnnxModel, output: &str, needed: &[bool]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut name = output;
    while names.insert(name.to_string()) {
        let gives = |n: &&OnnxNode| n.outputs.first().is_some_and(|o| o == name);
        let copy = model.nodes.iter().find(gives).filter(|n| COPIES.contains(&n.op.as_str()));
        let Some(from) = copy.and_then(|n| n.inputs.first()) else { break };
        let nodes = model.nodes.iter().zip(needed).filter(|(_, needed)| **needed);
        if nodes.flat_map(|(n, _)| &n.inputs).filter(|i| *i == from).count() != 1 {
            break;
        }
        name = from;
    }
    names
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
            arranged: BTreeMap::new(),
            batch: None,
            whole_input: false,
            ties: 0,
            ends: BTreeSet::new(),
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
        // Tokens: INT32 and INT64.
        self.whole_input = matches!(input.element, 6 | 7);
        if input.element != 1 && !self.whole_input {
            return fail("is neither float32 nor whole numbers (tokens): export with a float32 input");
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
        self.values.insert(input.name.clone(), Value::Activation(Activation::new(0, dims)));
        Ok(input.name.clone())
    }

    fn translate(&mut self, node: &OnnxNode) -> Result<(), ImportError> {
        let fail =
            |reason: String| ImportError::Node { node: node.name.clone(), op: node.op.clone(), reason };
        let domain = if node.domain == "ai.onnx" { "" } else { node.domain.as_str() };
        let row = OPERATORS.iter().find(|row| row.name == node.op && row.domain() == domain);
        let Some(row) = row else {
            if let Some((_, why)) = REFUSED.iter().find(|(name, _)| *name == node.op) {
                return Err(fail(format!("operator is not supported: {why}")));
            }
            let known: Vec<&str> = OPERATORS.iter().map(|row| row.name).collect();
            let domain = if domain.is_empty() { String::new() } else { format!(" of domain `{domain}`") };
            return Err(fail(format!(
                "operator{domain} is not supported: rebuild the layer from {}",
                known.join(", ")
            )));
        };
        let value = (row.translate)(self, node).map_err(fail)?;
        self.give(node, 0, value);
        Ok(())
    }

    /// Names a value after an output of the node.
    fn give(&mut self, node: &OnnxNode, output: usize, value: Value) {
        if let Some(name) = node.outputs.get(output).filter(|name| !name.is_empty()) {
            self.values.insert(name.clone(), value);
        }
    }

    /// Whether the node's output `i` is the model's.
    fn is_last(&self, node: &OnnxNode, i: usize) -> bool {
        node.outputs.get(i) == Some(&self.output_name)
    }

    /// Whether the node's first output is the model's, or nothing but a copy of it is.
    fn ends_in(&self, node: &OnnxNode) -> bool {
        node.outputs.first().is_some_and(|o| self.ends.contains(o))
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

    /// Appends a node whose result has the given ONNX sizes, in row-major order.
    fn push(
        &mut self,
        node: &OnnxNode,
        op: FloatOp,
        inputs: Vec<ValueId>,
        dims: Vec<usize>,
    ) -> Result<Value, String> {
        let expected = shape_of(&dims)?;
        let id = self.append(node, op, inputs)?;
        if self.shapes[id] != expected {
            return Err(format!("gives {:?}, expected {:?}", self.shapes[id].axes(), expected.axes()));
        }
        Ok(Value::Activation(Activation::new(id, dims)))
    }

    /// Appends a node that keeps the operand's view.
    fn same(&mut self, node: &OnnxNode, op: FloatOp, a: Activation) -> Result<Value, String> {
        let id = self.append(node, op, vec![a.id])?;
        Ok(Value::Activation(Activation { id, ..a }))
    }

    /// Appends a node and gives its value.
    fn append(&mut self, node: &OnnxNode, op: FloatOp, inputs: Vec<ValueId>) -> Result<ValueId, String> {
        let operands: Vec<Shape> = inputs.iter().map(|i| self.shapes[*i]).collect();
        let shape = op.shape(&operands)?;
        if shape.is_empty() || shape.len() > limits::MAX_ACTIVATION_ELEMENTS {
            return Err(format!(
                "its result is empty or beyond {} elements",
                limits::MAX_ACTIVATION_ELEMENTS
            ));
        }
        if self.graph.nodes.len() >= limits::MAX_NODES {
            return Err(format!("the model unrolls to more than {} steps", limits::MAX_NODES));
        }
        self.multiply_adds = self.multiply_adds.saturating_add(op.multiply_adds(&operands, shape));
        if self.multiply_adds > limits::MAX_MULTIPLY_ADDS {
            return Err(format!("the model needs more than {} multiply-adds", limits::MAX_MULTIPLY_ADDS));
        }
        self.parameters = self.parameters.saturating_add(op.parameters());
        if self.parameters > limits::MAX_PARAMETERS {
            return Err(format!("the model has more than {} parameters", limits::MAX_PARAMETERS));
        }
        self.graph.nodes.push(FloatNode {
            name: node.name.clone(),
            source: node.op.clone(),
            op,
            inputs,
            tie: None,
            fine: None,
        });
        self.shapes.push(shape);
        Ok(self.shapes.len() - 1)
    }

    /// Says that 8 bits are too coarse for a value, and why.
    fn fine(&mut self, value: ValueId, why: Fine) {
        if let Some(at) = value.checked_sub(1) {
            self.graph.nodes[at].fine = Some(why);
        }
    }

    /// A new group of values that share a scale.
    fn new_tie(&mut self) -> u32 {
        self.ties += 1;
        self.ties
    }

    /// Puts a value in a group.
    fn tie(&mut self, value: ValueId, group: u32) {
        if let Some(at) = value.checked_sub(1) {
            self.graph.nodes[at].tie = Some(group);
        }
    }
}
