//! From numbers to the program's input integers.

use proofmesh_graph::program::Interval;
use proofmesh_graph::tensor::{Shape, Tensor};
use serde::{Deserialize, Serialize};

use crate::error::ImportError;

/// How a number becomes an input integer, the same for every element.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quantiser {
    /// What the numbers are.
    pub kind: Kind,
    /// The real value of integer 1.
    pub scale: f64,
    /// Bounds of the integers, proven for every input.
    pub interval: Interval,
}

/// What the numbers of a data file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Stored integers q: the input is `q - sub`, the real value `(q - sub) * scale`.
    Stored {
        /// Subtracted.
        sub: i32,
    },
    /// Real values v: the input is `round(v / scale)`.
    Real,
}

impl Quantiser {
    /// The integer of one number before any bound.
    fn integer(&self, v: f32) -> i64 {
        match self.kind {
            Kind::Stored { sub } => f64::from(v).round() as i64 - i64::from(sub),
            Kind::Real => (f64::from(v) / self.scale).round() as i64,
        }
    }

    /// Real values of one row of a data file: what the float model reads.
    pub fn real(&self, row: &[f32]) -> Vec<f32> {
        match self.kind {
            Kind::Stored { sub } => {
                row.iter().map(|q| ((f64::from(*q) - f64::from(sub)) * self.scale) as f32).collect()
            }
            Kind::Real => row.to_vec(),
        }
    }

    /// Input integers of one row, clamped into the interval, and how many had to be.
    ///
    /// Errors: the row does not fill the shape, or a value is not finite.
    pub fn clamped(&self, shape: Shape, row: &[f32]) -> Result<(Tensor, usize), ImportError> {
        if row.iter().any(|v| !v.is_finite()) {
            return Err(ImportError::data("input", "a value is infinite or not a number"));
        }
        let (lo, hi) = (i64::from(self.interval.lo), i64::from(self.interval.hi));
        let all: Vec<i64> = row.iter().map(|v| self.integer(*v)).collect();
        let outside = all.iter().filter(|q| **q < lo || **q > hi).count();
        let data = all.iter().map(|q| (*q).clamp(lo, hi) as i32).collect();
        let tensor = Tensor::new(shape, data);
        let tensor = tensor.ok_or_else(|| {
            ImportError::data("input", format!("{} numbers for {} elements", row.len(), shape.len()))
        })?;
        Ok((tensor, outside))
    }

    /// Input integers of one row of a data file. Real values saturate, as a sensor does; stored integers
    /// are exact.
    ///
    /// Errors: the row does not fill the shape; a stored number is not whole or lies outside the interval.
    pub fn tensor(&self, shape: Shape, row: &[f32]) -> Result<Tensor, ImportError> {
        let (tensor, outside) = self.clamped(shape, row)?;
        if let Kind::Stored { sub } = self.kind {
            if row.iter().any(|v| v.fract() != 0.0) {
                return Err(ImportError::data("input", "stored numbers must be whole"));
            }
            if outside > 0 {
                return Err(ImportError::data(
                    "input",
                    format!(
                        "{outside} numbers lie outside {}..={}",
                        self.interval.lo + sub,
                        self.interval.hi + sub
                    ),
                ));
            }
        }
        Ok(tensor)
    }
}
