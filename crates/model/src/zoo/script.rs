//! Writes an ONNX graph node by node.

use crate::onnx::{Attribute, Constant, Numbers, OnnxModel, OnnxNode, ValueInfo};

/// The name of the input.
pub(super) const INPUT: &str = "input";

/// A graph under construction.
pub(super) struct Script {
    model: OnnxModel,
}

/// An attribute that is a list of integers.
pub(super) fn ints(name: &str, list: &[usize]) -> Attribute {
    Attribute { name: name.into(), ints: list.iter().map(|v| *v as i64).collect(), ..Attribute::default() }
}

/// An attribute that is an integer.
pub(super) fn int(name: &str, v: i64) -> Attribute {
    Attribute { name: name.into(), int: Some(v), ..Attribute::default() }
}

/// An attribute that is a list of floats.
pub(super) fn floats(name: &str, list: Vec<f32>) -> Attribute {
    Attribute { name: name.into(), floats: list, ..Attribute::default() }
}

fn value(name: &str, dims: &[usize], element: i64) -> ValueInfo {
    ValueInfo { name: name.into(), element, dims: Some(dims.iter().map(|d| Some(*d)).collect()) }
}

impl Script {
    /// A graph with one input; `element` is 1 for float32, 7 for int64.
    pub fn new(opset: i64, dims: &[usize], element: i64) -> Self {
        let inputs = vec![value(INPUT, dims, element)];
        Self { model: OnnxModel { opset, inputs, ..OnnxModel::default() } }
    }

    /// Adds a node with one output and gives that output's name.
    pub fn node(&mut self, op: &str, inputs: &[&str], attributes: Vec<Attribute>) -> String {
        self.nodes(op, inputs, attributes, 1).remove(0)
    }

    /// Adds a node with several outputs.
    pub fn nodes(
        &mut self,
        op: &str,
        inputs: &[&str],
        attributes: Vec<Attribute>,
        outputs: usize,
    ) -> Vec<String> {
        let number = self.model.nodes.len() + 1;
        let outputs: Vec<String> = (0..outputs).map(|i| format!("v{number}.{i}")).collect();
        self.model.nodes.push(OnnxNode {
            name: format!("{}_{number}", op.to_lowercase()),
            op: op.into(),
            domain: if op.starts_with("TreeEnsemble") {
                crate::onnx::ML_DOMAIN.into()
            } else {
                String::new()
            },
            inputs: inputs.iter().map(|i| (*i).to_string()).collect(),
            outputs: outputs.clone(),
            attributes,
        });
        outputs
    }

    fn constant(&mut self, dims: &[usize], numbers: Numbers) -> String {
        let name = format!("c{}", self.model.initializers.len());
        self.model.initializers.push((name.clone(), Ok(Constant { dims: dims.to_vec(), numbers })));
        name
    }

    /// Adds a float constant.
    pub fn tensor(&mut self, dims: &[usize], values: Vec<f32>) -> String {
        self.constant(dims, Numbers::Float(values))
    }

    /// Adds a list of integers.
    pub fn list(&mut self, values: &[i64]) -> String {
        self.constant(&[values.len()], Numbers::Int(values.to_vec()))
    }

    /// Adds integers of given sizes.
    pub fn whole(&mut self, dims: &[usize], values: Vec<i64>) -> String {
        self.constant(dims, Numbers::Int(values))
    }

    /// The graph with the given output, as a file's bytes. Can be called again after more nodes were added.
    pub fn encode(&mut self, output: &str, dims: &[usize]) -> Vec<u8> {
        self.model.outputs = vec![value(output, dims, 1)];
        self.model.encode()
    }
}
