//! Why an import is refused: a stable name, where, what was found and what to do.

use proofmesh_graph::program::ProgramError;
use thiserror::Error;

/// Why a model, a data file or a model file is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ImportError {
    /// The bytes are not an ONNX file that we read.
    #[error("onnx file: {0}")]
    Onnx(String),
    /// The bytes are not a TensorFlow Lite file that we read.
    #[error("tflite file: {0}")]
    Tflite(String),
    /// A node of the foreign graph is not supported as it stands.
    #[error("node `{node}` ({op}): {reason}")]
    Node {
        /// The node's name, or that of its first output if it has none.
        node: String,
        /// ONNX operator type.
        op: String,
        /// What was found and what to do.
        reason: String,
    },
    /// The model as a whole does not fit.
    #[error("model: {0}")]
    Model(String),
    /// A data file or a bundle is malformed or does not fit the model.
    #[error("data `{file}`: {reason}")]
    Data {
        /// Which file or argument.
        file: String,
        /// What was found and what to do.
        reason: String,
    },
    /// The options contradict the model.
    #[error("options: {0}")]
    Options(String),
    /// The integer program does not fit the field or the tables.
    #[error("program: {0}")]
    Program(#[from] ProgramError),
    /// The bytes are not a model file.
    #[error("model file: {0}")]
    File(String),
}

impl ImportError {
    /// A stable name for scripts and logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Onnx(_) => "onnx-malformed",
            Self::Tflite(_) => "tflite-malformed",
            Self::Node { .. } => "node-unsupported",
            Self::Model(_) => "model-unsupported",
            Self::Data { .. } => "data-malformed",
            Self::Options(_) => "options-contradict",
            Self::Program(_) => "program-out-of-bounds",
            Self::File(_) => "model-file-malformed",
        }
    }

    /// A refusal of a data file.
    pub(crate) fn data(file: &str, reason: impl Into<String>) -> Self {
        Self::Data { file: file.to_string(), reason: reason.into() }
    }
}
