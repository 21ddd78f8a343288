//! What a user chooses at import.

use std::ops::Range;
use std::str::FromStr;

use proofmesh_graph::program::WeightMode;
use serde::{Deserialize, Serialize};

use crate::error::ImportError;
use crate::evaluate::Task;

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

/// Which extreme of a channel a trigger looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Extreme {
    /// The smallest element.
    Min,
    /// The largest element.
    Max,
}

/// An output of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OutputChoice {
    /// Every element of the model's output.
    Values,
    /// Index of the largest element of the model's output.
    ArgMax,
    /// One bit: whether the extreme of an input channel over the whole window is at most a threshold.
    Trigger {
        /// Input channel.
        channel: usize,
        /// Which extreme.
        extreme: Extreme,
        /// In the program's input integers (stored number minus `sub`).
        threshold: i32,
    },
}

impl FromStr for OutputChoice {
    type Err = ImportError;

    /// Reads `values`, `argmax`, or a trigger such as `min(0)<=-40`.
    fn from_str(text: &str) -> Result<Self, ImportError> {
        let plain: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        match plain.as_str() {
            "values" => return Ok(Self::Values),
            "argmax" => return Ok(Self::ArgMax),
            _ => {}
        }
        let trigger = |extreme, rest: &str| -> Option<Self> {
            let (channel, threshold) = rest.split_once(")<=")?;
            Some(Self::Trigger {
                channel: channel.parse().ok()?,
                extreme,
                threshold: threshold.parse().ok()?,
            })
        };
        let parsed = if let Some(rest) = plain.strip_prefix("min(") {
            trigger(Extreme::Min, rest)
        } else {
            plain.strip_prefix("max(").and_then(|rest| trigger(Extreme::Max, rest))
        };
        parsed.ok_or_else(|| {
            ImportError::Options(format!(
                "output `{text:.60}` is none of values, argmax, min(CHANNEL)<=NUMBER, max(CHANNEL)<=NUMBER"
            ))
        })
    }
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
