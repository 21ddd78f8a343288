//! What a user chooses at import.

use std::ops::Range;

use proofmesh_graph::program::WeightMode;

use crate::evaluate::Task;
use crate::output::OutputChoice;

/// How numbers become the program's input integers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum InputScale {
    /// Data files hold integers q that stand for `(q - sub) / div`; `q - sub` is the input, exactly.
    Stored {
        /// Subtracted.
        sub: i32,
        /// Divides.
        div: f64,
    },
    /// Data files hold real values; the sensor's range is known. Preferred for anomaly models: calibration
    /// data lack the anomalies.
    Range {
        /// Smallest value of the sensor.
        lo: f32,
        /// Largest value of the sensor.
        hi: f32,
    },
    /// Data files hold real values; the range is that of the calibration set.
    Calibrated,
}

/// Options of an import.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportOptions {
    /// Name of the program; bound by its id.
    pub name: String,
    /// File name that the model file remembers.
    pub source_file: String,
    /// Which of several ONNX outputs to prove.
    pub onnx_output: Option<String>,
    /// Whether the statement shows the weights.
    pub weights: WeightMode,
    /// Outputs in order; empty means `ArgMax` for classes, else `Values`.
    pub outputs: Vec<OutputChoice>,
    /// Input channels that the statement shows.
    pub public_channels: Range<usize>,
    /// How numbers become input integers.
    pub input: InputScale,
    /// Bounds of the input integers, proven for every input. `None`: the stored type's range if calibration
    /// uses more than half of it, else what calibration holds.
    pub input_interval: Option<(i32, i32)>,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// What the output means.
    pub task: Task,
    /// Clip outliers of hidden values where that lowers the mean square error on the calibration set. Leave
    /// off for anomaly models.
    pub clip: bool,
    /// Largest error of the output that 8 bits may cause, as a share of the output's spread on the
    /// calibration set.
    pub target_error: f64,
    /// Largest share of calibration rows whose answer would turn if the program's errors were three times
    /// what they are.
    pub target_fragile: f64,
}

impl ImportOptions {
    /// Defaults: public weights, the default output of the task, nothing public of the input, calibrated
    /// input.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_string(),
            source_file: String::new(),
            onnx_output: None,
            weights: WeightMode::Public,
            outputs: Vec::new(),
            public_channels: 0..0,
            input: InputScale::Calibrated,
            input_interval: None,
            classes: Vec::new(),
            task: Task::Classify,
            clip: false,
            target_error: 0.05,
            target_fragile: 0.02,
        }
    }
}
