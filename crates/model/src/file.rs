//! The model file (`.pmesh`): an integer program with what its owner needs to use it.
//!
//! `"PMESHMDL"`, version (u16, little-endian), then the postcard encoding of [`ModelFile`]. The encoding is
//! canonical: a file that decodes to a value which encodes to other bytes is refused, and so are trailing
//! bytes. With private weights the file holds them: it is for their owner; [`ModelFile::public_part`] is
//! what may be shown.

use proofmesh_graph::program::{Program, WeightMode};
use proofmesh_graph::tensor::{Shape, Tensor};
use serde::{Deserialize, Serialize};

use crate::error::ImportError;
use crate::evaluate::Task;
use crate::limits;
use crate::quantiser::{Kind, Quantiser};
use crate::report::Report;

const MAGIC: &[u8; 8] = b"PMESHMDL";
const VERSION: u16 = 1;

/// What the program does not say of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// From numbers to input integers.
    pub input: Quantiser,
    /// What the output means.
    pub task: Task,
    /// Names of the classes, in the order of the output; may be empty.
    pub classes: Vec<String>,
    /// The value of the program that is the model's output.
    pub output_value: usize,
    /// Real value of integer 1 of the output.
    pub output_scale: f64,
    /// File name of the ONNX model.
    pub source_file: String,
    /// BLAKE3 hash of the ONNX model.
    pub source_hash: [u8; 32],
    /// What was seen at import: scales, clipping, tables, calibration.
    pub report: Report,
}

/// A program with its metadata.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelFile {
    /// The integer program; bound by its id in proofs.
    pub program: Program,
    /// For its users; not bound by the program's id.
    pub meta: Metadata,
}

impl ModelFile {
    /// The file's bytes.
    ///
    /// Errors: larger than [`limits::MAX_MODEL_BYTES`].
    pub fn encode(&self) -> Result<Vec<u8>, ImportError> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(postcard::to_allocvec(self).map_err(|e| ImportError::File(e.to_string()))?);
        if bytes.len() > limits::MAX_MODEL_BYTES {
            return Err(ImportError::File(format!(
                "{} bytes, at most {}",
                bytes.len(),
                limits::MAX_MODEL_BYTES
            )));
        }
        Ok(bytes)
    }

    /// Reads a file's bytes.
    ///
    /// Errors: another magic or version, malformed, not canonical, a program that its check refuses,
    /// metadata that contradicts it.
    pub fn decode(bytes: &[u8]) -> Result<Self, ImportError> {
        let fail = |why: &str| ImportError::File(why.to_string());
        if bytes.len() > limits::MAX_MODEL_BYTES {
            return Err(ImportError::File(format!(
                "{} bytes, at most {}",
                bytes.len(),
                limits::MAX_MODEL_BYTES
            )));
        }
        let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| fail("is not a .pmesh file"))?;
        let (version, body) = rest.split_at_checked(2).ok_or_else(|| fail("ends in its header"))?;
        if version != VERSION.to_le_bytes() {
            return Err(fail("has a version that this program does not read: import the model again"));
        }
        let file: Self = postcard::from_bytes(body).map_err(|_| fail("is malformed"))?;
        file.validate()?;
        if file.encode()? != bytes {
            return Err(fail("is not in canonical form"));
        }
        Ok(file)
    }

    pub(crate) fn validate(&self) -> Result<(), ImportError> {
        let fail = |why: &str| Err(ImportError::File(why.to_string()));
        let types = self.program.check()?;
        let meta = &self.meta;
        let positive = |v: f64| v.is_finite() && v > 0.0;
        if !positive(meta.input.scale) || !positive(meta.output_scale) || !self.meta.report.is_finite() {
            return fail("a scale or a figure is not a finite number");
        }
        if meta.input.interval != self.program.input.interval {
            return fail("the quantiser's interval is not that of the program's input");
        }
        if let Kind::Stored { sub } = meta.input.kind
            && sub.unsigned_abs() > 1 << 16
        {
            return fail("the input's offset is beyond 16 bits");
        }
        let Some(output) = types.get(meta.output_value) else {
            return fail("names an output value that the program lacks");
        };
        let count = meta.classes.len();
        if count > limits::MAX_CLASSES || count > 1 && count != output.shape.len() {
            return fail("the number of classes is not that of the outputs");
        }
        let names = meta.classes.iter().chain([&meta.source_file]);
        if names.into_iter().any(|n| n.len() > limits::MAX_NAME_BYTES) {
            return fail("a name is too long");
        }
        Ok(())
    }

    /// Shape of the input.
    pub fn input_shape(&self) -> Shape {
        self.program.input.shape
    }

    /// The program's input for one row of numbers as data files hold them: stored integers exactly, real
    /// values rounded and saturated.
    ///
    /// Errors: the row does not fill the input; a stored number is not whole or lies outside the input's
    /// interval.
    pub fn quantise(&self, row: &[f32]) -> Result<Tensor, ImportError> {
        self.meta.input.tensor(self.input_shape(), row)
    }

    /// The program's input from integers that are already its own (stored number minus `sub`).
    ///
    /// Errors: the integers do not fill the input, or one lies outside its interval.
    pub fn from_integers(&self, integers: &[i32]) -> Result<Tensor, ImportError> {
        let interval = self.program.input.interval;
        if integers.iter().any(|q| *q < interval.lo || *q > interval.hi) {
            return Err(ImportError::data(
                "input",
                format!("an integer lies outside {}..={}", interval.lo, interval.hi),
            ));
        }
        let shape = self.input_shape();
        Tensor::new(shape, integers.to_vec()).ok_or_else(|| {
            ImportError::data("input", format!("{} integers for {} elements", integers.len(), shape.len()))
        })
    }

    /// Name of a class, or its number if it has none.
    pub fn class_name(&self, class: usize) -> String {
        self.meta.classes.get(class).cloned().unwrap_or_else(|| class.to_string())
    }

    /// The file as others may see it: without private weights.
    pub fn public_part(&self) -> Self {
        let mut shown = self.clone();
        if self.program.weights == WeightMode::Private {
            shown.program = self.program.public_part();
        }
        shown
    }
}
