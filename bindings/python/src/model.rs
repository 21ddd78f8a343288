//! A model in Python's hands: imported from ONNX or read from a file.

use proofmesh_graph::program::WeightMode;
use proofmesh_graph::statement::model_id;
use proofmesh_graph::tensor::Tensor;
use proofmesh_model::data::{Array, Element};
use proofmesh_model::{FloatModel, ImportOptions, InputScale, ModelFile, Task, evaluate, import};
use proofmesh_prover::{Machine, forecast};
use pyo3::buffer::PyBuffer;
use pyo3::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{failure, import_failure, json, prove_failure};

/// A model file; after an import also the float model, to compare with.
#[pyclass(frozen, module = "proofmesh._native")]
pub struct Model {
    /// The integer program and its metadata.
    pub file: ModelFile,
    float: Option<FloatModel>,
}

/// The options of an import, as the Python side writes them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    name: String,
    source_file: String,
    onnx_output: Option<String>,
    private_weights: bool,
    outputs: Vec<String>,
    public_channels: (usize, usize),
    stored: Option<(i32, f64)>,
    input_range: Option<(f32, f32)>,
    input_interval: Option<(i32, i32)>,
    classes: Vec<String>,
    task: Task,
    clip: bool,
    target_error: Option<f64>,
}

impl Options {
    fn read(self) -> PyResult<ImportOptions> {
        let mut options = ImportOptions::new(&self.name);
        options.source_file = self.source_file;
        options.onnx_output = self.onnx_output;
        options.weights = if self.private_weights { WeightMode::Private } else { WeightMode::Public };
        let outputs: Result<_, _> = self.outputs.iter().map(|text| text.parse()).collect();
        options.outputs = outputs.map_err(|error| import_failure(&error))?;
        options.public_channels = self.public_channels.0..self.public_channels.1;
        options.input = match (self.stored, self.input_range) {
            (Some((sub, div)), _) => InputScale::Stored { sub, div },
            (None, Some((lo, hi))) => InputScale::Range { lo, hi },
            (None, None) => InputScale::Calibrated,
        };
        options.input_interval = self.input_interval;
        options.classes = self.classes;
        options.task = self.task;
        options.clip = self.clip;
        options.target_error = self.target_error.unwrap_or(options.target_error);
        Ok(options)
    }
}

/// What a model is, for Python.
#[derive(Serialize)]
struct ModelDoc<'a> {
    name: &'a str,
    id: Option<String>,
    private_weights: bool,
    input_shape: [usize; 3],
    input_interval: (i32, i32),
    output_words: usize,
    classes: &'a [String],
    report: &'a proofmesh_model::Report,
}

/// Numbers of a float32 buffer.
///
/// Errors: another kind of buffer.
pub fn numbers(buffer: &Bound<'_, PyAny>) -> PyResult<Vec<f32>> {
    PyBuffer::<f32>::get(buffer)?.to_vec(buffer.py())
}

/// Rows of numbers with the kind that they were stored as (`i8`, `u8`, `int`, `float`).
fn array(buffer: &Bound<'_, PyAny>, shape: Vec<usize>, element: &str) -> PyResult<Array> {
    let element = match element {
        "i8" => Element::I8,
        "u8" => Element::U8,
        "int" => Element::Int,
        _ => Element::Float,
    };
    Array::new(shape, element, numbers(buffer)?).map_err(|why| failure("model.data-malformed", why))
}

impl Model {
    /// Rows of numbers as inputs of the program.
    ///
    /// Errors: the numbers do not fill rows, or do not fit the input.
    pub fn inputs(&self, values: &[f32]) -> PyResult<Vec<Tensor>> {
        let length = self.file.input_shape().len();
        if values.is_empty() || !values.len().is_multiple_of(length) {
            let got = format!("{} numbers do not fill rows of {length}", values.len());
            return Err(failure("model.data-malformed", got));
        }
        let rows = values.chunks_exact(length).map(|row| self.file.quantise(row));
        rows.collect::<Result<_, _>>().map_err(|error| import_failure(&error))
    }
}

#[pymethods]
impl Model {
    /// Imports an ONNX model; `options` is JSON text.
    #[staticmethod]
    fn import_onnx(
        py: Python<'_>,
        onnx: &[u8],
        rows: &Bound<'_, PyAny>,
        shape: Vec<usize>,
        element: &str,
        options: &str,
    ) -> PyResult<Self> {
        let calibration = array(rows, shape, element)?;
        let options: Options =
            serde_json::from_str(options).map_err(|error| failure("model.options-contradict", error))?;
        let options = options.read()?;
        let imported = py.detach(|| import(onnx, &options, &calibration));
        let imported = imported.map_err(|error| import_failure(&error))?;
        Ok(Self { file: imported.file, float: Some(imported.float) })
    }

    /// Reads a model file.
    #[staticmethod]
    fn decode(bytes: &[u8]) -> PyResult<Self> {
        let file = ModelFile::decode(bytes).map_err(|error| import_failure(&error))?;
        Ok(Self { file, float: None })
    }

    /// The model file; `public`: without private weights.
    fn encode(&self, public: bool) -> PyResult<Vec<u8>> {
        let bytes = if public { self.file.public_part().encode() } else { self.file.encode() };
        bytes.map_err(|error| import_failure(&error))
    }

    /// What it is, as JSON.
    fn describe(&self) -> String {
        let program = &self.file.program;
        let types = program.check().expect("a model file's program was checked");
        let private = program.weights == WeightMode::Private;
        let id = || model_id(program, None).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        json(&ModelDoc {
            name: &program.name,
            id: (!private).then(|| format!("0x{}", id())),
            private_weights: private,
            input_shape: program.input.shape.axes(),
            input_interval: (program.input.interval.lo, program.input.interval.hi),
            output_words: program.output_len(&types),
            classes: &self.file.meta.classes,
            report: &self.file.meta.report,
        })
    }

    /// The import's report for people.
    fn report(&self) -> String {
        self.file.meta.report.to_string()
    }

    /// The program's public outputs for each row, one after the other.
    fn run(&self, py: Python<'_>, rows: &Bound<'_, PyAny>) -> PyResult<Vec<i32>> {
        let inputs = self.inputs(&numbers(rows)?)?;
        let outputs = py.detach(|| {
            inputs.iter().map(|input| self.file.program.run(input)).collect::<Result<Vec<_>, _>>()
        });
        Ok(outputs.map_err(|error| failure("program.refused", error))?.concat())
    }

    /// The program beside the float model on labelled rows, as JSON.
    fn evaluate(
        &self,
        py: Python<'_>,
        rows: &Bound<'_, PyAny>,
        shape: Vec<usize>,
        element: &str,
        labels: &Bound<'_, PyAny>,
    ) -> PyResult<String> {
        let float = self.float.as_ref();
        let float =
            float.ok_or_else(|| failure("model.no-float-model", "only a model imported here has one"))?;
        let xs = array(rows, shape, element)?;
        let ys = array(labels, vec![xs.rows()], "int")?;
        let found = py.detach(|| evaluate(&self.file, float, self.file.meta.task, &xs, &ys));
        Ok(json(&found.map_err(|error| import_failure(&error))?))
    }

    /// What a proof of so many inputs costs on this machine, as JSON.
    fn forecast(&self, batch: usize) -> PyResult<String> {
        let forecast = Machine::measured().and_then(|here| forecast(&self.file.program, batch, here));
        Ok(json(&forecast.map_err(|error| prove_failure(&error))?))
    }
}
