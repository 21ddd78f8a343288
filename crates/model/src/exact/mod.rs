//! Models that are 8-bit integers already: proven with *their own* integer semantics, bit for bit what the device's runtime computes.
//!
//! Zero points, per-channel multipliers and the runtime's rounding become a step function of each layer's accumulator
//! ([`proofmesh_graph::op::Requantise`]); nothing is calibrated and nothing is rounded anew. Formats: ONNX with QDQ pairs or QLinear
//! operators ([`onnx`]), TensorFlow Lite ([`tflite`]).

mod build;
mod flatbuffer;
mod onnx;
mod rounding;
mod tflite;

use std::str::FromStr;

use proofmesh_graph::program::{Program, ValueId};

use crate::error::ImportError;
use crate::file::{Metadata, ModelFile};
use crate::limits;
use crate::options::ImportOptions;
use crate::output::with_outputs;
use crate::quantiser::{Kind, Quantiser};
use crate::report::{CalibrationReport, Report, TensorReport};
use crate::tables::Tables;
use build::Build;

/// Whose arithmetic a TensorFlow Lite file is proven with: the rounding of a layer is the kernel's, not the file's. An ONNX file is always
/// onnxruntime's, with its QDQ pairs fused into integer kernels, as its sessions do unless told not to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kernels {
    /// The reference kernels: fixed-point multipliers.
    #[default]
    Reference,
    /// The XNNPACK delegate, which interpreters on phones and servers use unless told not to: float32 multipliers.
    Xnnpack,
}

impl FromStr for Kernels {
    type Err = ImportError;

    /// Reads `reference` or `xnnpack`.
    fn from_str(text: &str) -> Result<Self, ImportError> {
        match text {
            "reference" => Ok(Self::Reference),
            "xnnpack" => Ok(Self::Xnnpack),
            other => {
                Err(ImportError::Options(format!("kernels `{other:.40}` are neither reference nor xnnpack")))
            }
        }
    }
}

/// A foreign quantised model, read.
struct Read {
    build: Build,
    output: ValueId,
    notes: Vec<String>,
}

/// Whether bytes are a TensorFlow Lite file, by its file identifier.
pub fn is_tflite(bytes: &[u8]) -> bool {
    bytes.get(4..8) == Some(b"TFL3")
}

/// Turns a quantised model (TensorFlow Lite int8; ONNX int8 or uint8, QDQ or QLinear) into a program that computes the same integers.
///
/// Every value of the program is the model's stored integer minus its zero point. Of the options the scales and the calibration targets have no
/// meaning here and are ignored.
///
/// Errors: a file that is malformed, an operator that is not supported or whose rounding cannot be matched, options that contradict the model.
pub fn import_exact(
    bytes: &[u8],
    kernels: Kernels,
    options: &ImportOptions,
) -> Result<ModelFile, ImportError> {
    let read = if is_tflite(bytes) {
        tflite::read(bytes, kernels, options.weights)?
    } else {
        onnx::read(bytes, options.onnx_output.as_deref(), options.weights)?
    };
    let Read { build, output, notes } = read;
    let (input, last) = (build.quants()[0], build.quants()[output]);
    let shown = (output, f64::from(last.scale));
    let program = with_outputs(build.program(&options.name, output), shown, options)?;
    let meta = Metadata {
        input: Quantiser {
            kind: Kind::Stored { sub: input.zero },
            scale: f64::from(input.scale),
            interval: input.interval(),
        },
        task: options.task,
        classes: options.classes.clone(),
        output_value: output,
        output_scale: f64::from(last.scale),
        source_file: options.source_file.clone(),
        source_hash: *blake3::hash(bytes).as_bytes(),
        report: report(&build, &program, notes)?,
    };
    let file = ModelFile { program, meta };
    file.validate()?;
    Ok(file)
}

fn report(build: &Build, program: &Program, notes: Vec<String>) -> Result<Report, ImportError> {
    let types = program.check()?;
    let mut report = Report {
        operators: build.operators.iter().map(|(name, n)| (name.clone(), *n)).collect(),
        parameters: build.parameters,
        multiply_adds: 0,
        tensors: Vec::new(),
        shifts: Vec::new(),
        tables: Tables::of(program)?,
        // The program is the model: there is nothing to calibrate and no difference to measure.
        calibration: CalibrationReport { rows: 0, error: 0.0, agreement: 1.0, fragile: 0.0 },
        notes,
        warnings: Vec::new(),
        forecast: None,
    };
    for (value, quant) in build.quants().iter().enumerate() {
        let node = value.checked_sub(1).map(|i| &program.nodes[i]);
        let weights = node.and_then(|n| n.op.conv()).map_or(&[][..], |c| &c.weights);
        let steps = f64::from(types[value].interval.hi) - f64::from(types[value].interval.lo) + 1.0;
        report.tensors.push(TensorReport {
            name: node.map_or("input", |n| &n.name).chars().take(limits::MAX_NAME_BYTES / 4).collect(),
            value,
            shape: types[value].shape.axes(),
            scale: f64::from(quant.scale),
            finest_scale: f64::from(quant.scale),
            interval: types[value].interval,
            clipped: 0.0,
            bits: steps.log2(),
            weight_bits: weights.iter().map(|w| 33 - w.unsigned_abs().leading_zeros()).max().unwrap_or(0),
        });
    }
    for node in &program.nodes {
        let operands: Vec<_> = node.inputs.iter().map(|i| types[*i]).collect();
        report.multiply_adds += node.op.row().multiply_adds(&operands);
        let rescale = node.op.row().rescale_reach(&operands, program.weights);
        report.shifts.extend(rescale.map(|(rescale, _)| rescale.shift));
    }
    Ok(report)
}
