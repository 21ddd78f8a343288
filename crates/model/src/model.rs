//! A parsed float model: the yardstick for its integer program.

use proofmesh_graph::tensor::Shape;

use crate::error::ImportError;
use crate::float::{FloatGraph, run};
use crate::onnx::OnnxModel;
use crate::parse::{Parsed, parse};

/// An ONNX model in float32, as parsed, before any folding.
#[derive(Debug)]
pub struct FloatModel {
    pub(crate) parsed: Parsed,
    shapes: Vec<Shape>,
}

impl FloatModel {
    /// Parses an ONNX file. `output` picks one of several outputs by name.
    ///
    /// Errors: a malformed file, an unsupported operator (with the node's name), sizes that do not fit.
    pub fn parse(onnx: &[u8], output: Option<&str>) -> Result<Self, ImportError> {
        let parsed = parse(&OnnxModel::parse(onnx)?, output)?;
        let shapes = parsed.graph.shapes().map_err(ImportError::Model)?;
        Ok(Self { parsed, shapes })
    }

    /// Shape of the input.
    pub fn input_shape(&self) -> Shape {
        self.parsed.graph.input
    }

    /// Shape of the output.
    pub fn output_shape(&self) -> Shape {
        self.shapes[self.parsed.graph.output]
    }

    /// Multiply-adds for one input.
    pub fn multiply_adds(&self) -> u64 {
        self.parsed.multiply_adds
    }

    /// Names of the ONNX input and output.
    pub fn names(&self) -> (&str, &str) {
        (&self.parsed.input_name, &self.parsed.output_name)
    }

    /// The output for one input of real values, both row-major.
    ///
    /// Errors: the number of values is not the input's.
    pub fn run(&self, input: &[f32]) -> Result<Vec<f32>, ImportError> {
        if input.len() != self.input_shape().len() {
            return Err(ImportError::data(
                "input",
                format!("{} numbers for {} elements", input.len(), self.input_shape().len()),
            ));
        }
        Ok(run::run(&self.parsed.graph, &self.shapes, input))
    }

    pub(crate) fn graph(&self) -> &FloatGraph {
        &self.parsed.graph
    }
}
