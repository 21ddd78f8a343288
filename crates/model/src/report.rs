//! What an import found: as data, and as text for people.

use std::fmt;

use proofmesh_graph::program::Interval;
use serde::{Deserialize, Serialize};

use crate::tables::Tables;

/// More clipped than this is worth a warning.
const CLIPPED_WARNING: f64 = 0.01;
/// Fewer bits than this are worth a warning.
const BITS_WARNING: f64 = 5.0;

/// One tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TensorReport {
    /// Name of the ONNX node that gives it; `input` for the input.
    pub name: String,
    /// Value of the program.
    pub value: usize,
    /// Channels, rows, columns.
    pub shape: [usize; 3],
    /// Real value of integer 1, in the channel where it is largest.
    pub scale: f64,
    /// The same, in the channel where it is smallest.
    pub finest_scale: f64,
    /// Integers that it may take.
    pub interval: Interval,
    /// Share of calibration values beyond the interval that were clamped to its ends (not by a Relu or Clip
    /// of the model).
    pub clipped: f64,
    /// Bits that the calibration set uses: log2 of one more than the distance of a channel's extremes in
    /// integer steps, averaged over the channels.
    pub bits: f64,
    /// Largest weight in bits with its sign, 0 without weights.
    pub weight_bits: u32,
}

/// Figures on the calibration set.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CalibrationReport {
    /// Rows used.
    pub rows: usize,
    /// Root mean square error of the output over its standard deviation.
    pub error: f64,
    /// Share of rows with the float model's largest element.
    pub agreement: f64,
    /// Share of rows whose answer would turn if the program's errors were three times what they are.
    pub fragile: f64,
}

/// A forecast of what a proof costs, filled in by whoever can forecast it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forecast {
    /// Time to prove in milliseconds.
    pub prove_ms: u64,
    /// Peak memory in bytes.
    pub peak_bytes: u64,
    /// Size of the proof in bytes.
    pub proof_bytes: u64,
}

/// What an import found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// ONNX operators with their counts, by name.
    pub operators: Vec<(String, u64)>,
    /// Weights and biases of the ONNX model that the output depends on.
    pub parameters: u64,
    /// Multiply-adds of the integer program for one input.
    pub multiply_adds: u64,
    /// Every tensor of the program up to the model's output, the input first.
    pub tensors: Vec<TensorReport>,
    /// The shifts of its layers.
    pub shifts: Vec<u32>,
    /// Look-up tables that a proof pays for.
    pub tables: Tables,
    /// Figures on the calibration set.
    pub calibration: CalibrationReport,
    /// Things to know: dropped operators, tensors that needed more bits.
    pub notes: Vec<String>,
    /// Things to mend before proving.
    pub warnings: Vec<String>,
    /// Cost of a proof, if it was forecast.
    pub forecast: Option<Forecast>,
}

impl Report {
    /// Adds warnings for clipped and coarse tensors.
    pub(crate) fn warn(&mut self) {
        for t in &self.tensors {
            if t.clipped > CLIPPED_WARNING {
                self.warnings.push(format!(
                    "tensor `{}`: {:.1} % of its values are clipped: calibrate on data that cover its range",
                    t.name,
                    100.0 * t.clipped
                ));
            }
            // The input is what it is; only a scale that was chosen here can be too coarse.
            // Bits are exact.
            let bit = t.interval == Interval { lo: 0, hi: 1 };
            if t.bits < BITS_WARNING && t.value > 0 && !bit {
                self.warnings.push(format!(
                    "tensor `{}` uses {:.1} bits: it may be too coarse, check the accuracy",
                    t.name, t.bits
                ));
            }
        }
    }

    /// Whether every figure is a finite number.
    pub(crate) fn is_finite(&self) -> bool {
        let tensors = self.tensors.iter().all(|t| {
            t.scale.is_finite() && t.finest_scale.is_finite() && t.clipped.is_finite() && t.bits.is_finite()
        });
        let c = &self.calibration;
        tensors && c.error.is_finite() && c.agreement.is_finite() && c.fragile.is_finite()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operators: Vec<String> = self.operators.iter().map(|(name, n)| format!("{n} {name}")).collect();
        writeln!(f, "operators      {}", operators.join(", "))?;
        writeln!(f, "parameters     {}", self.parameters)?;
        writeln!(f, "multiply-adds  {}", self.multiply_adds)?;
        writeln!(
            f,
            "{:<28} {:>12} {:>12} {:>14} {:>8} {:>6} {:>8}",
            "tensor", "shape", "scale", "interval", "clipped", "bits", "weights"
        )?;
        for t in &self.tensors {
            let name: String = t.name.chars().take(28).collect();
            let shape = t.shape.map(|d| d.to_string()).join("x");
            let interval = format!("{}..{}", t.interval.lo, t.interval.hi);
            let weights = if t.weight_bits > 0 { format!("{} bits", t.weight_bits) } else { String::new() };
            writeln!(
                f,
                "{name:<28} {shape:>12} {:>12.6} {interval:>14} {:>6.2} % {:>6.1} {weights:>8}",
                t.scale,
                100.0 * t.clipped,
                t.bits
            )?;
        }
        let shifts: Vec<String> = self.shifts.iter().map(u32::to_string).collect();
        writeln!(f, "shifts         {}", shifts.join(" "))?;
        for c in &self.tables.clamps {
            writeln!(
                f,
                "clamp table    {}..{}: {} rows ({} needed), {} layers",
                c.interval.lo, c.interval.hi, c.rows, c.needed, c.layers
            )?;
        }
        writeln!(f, "table rows     {} in all", self.tables.total_rows())?;
        writeln!(
            f,
            "calibration    {} rows: error {:.4} of the output's spread, same answer as float on {:.2} %, {:.2} % close to turning",
            self.calibration.rows,
            self.calibration.error,
            100.0 * self.calibration.agreement,
            100.0 * self.calibration.fragile
        )?;
        if let Some(c) = &self.forecast {
            writeln!(
                f,
                "a proof        {} ms, {} bytes of memory, {} bytes",
                c.prove_ms, c.peak_bytes, c.proof_bytes
            )?;
        }
        self.notes.iter().try_for_each(|n| writeln!(f, "note: {n}"))?;
        self.warnings.iter().try_for_each(|w| writeln!(f, "warning: {w}"))
    }
}
