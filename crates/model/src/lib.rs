//! A foreign model (ONNX) to an integer program: import, calibrate, quantise, report, model file.
//!
//! [`import`] does it all; [`bundle::load`] reads an example folder; [`ModelFile`] is what is written and
//! read; [`evaluate`] compares with the float model; [`zoo`] makes models to measure with. What is supported: docs/model.md.

pub mod bundle;
mod calibrate;
pub mod data;
mod error;
mod evaluate;
mod exact;
mod file;
mod float;
mod fold;
mod import;
pub mod limits;
mod model;
mod onnx;
mod options;
mod output;
mod parse;
mod quantise;
mod quantiser;
mod report;
mod tables;
pub mod zoo;

pub use error::ImportError;
pub use evaluate::{Evaluation, Score, Task, evaluate};
pub use exact::{Kernels, import_exact, is_tflite};
pub use file::{Metadata, ModelFile};
pub use import::{Imported, import};
pub use model::FloatModel;
pub use options::{ImportOptions, InputScale};
pub use output::{Extreme, Number, OutputChoice};
pub use quantiser::{Kind, Quantiser};
pub use report::{CalibrationReport, Forecast, Report, TensorReport};
pub use tables::{ClampTable, Tables};
