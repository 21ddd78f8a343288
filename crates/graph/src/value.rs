//! What is known of a value before any execution: its name, its shape, its bounds.

use serde::{Deserialize, Serialize};

use crate::tensor::Shape;

/// Names a value: 0 is the input, `i + 1` the result of node `i`.
pub type ValueId = usize;

/// Smallest and largest integer that a value can hold, inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interval {
    /// Smallest.
    pub lo: i32,
    /// Largest.
    pub hi: i32,
}

impl Interval {
    /// Largest absolute value.
    pub fn magnitude(&self) -> i64 {
        i64::from(self.lo).abs().max(i64::from(self.hi).abs())
    }
}

/// Whether the statement shows the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WeightMode {
    /// Part of the program, known to every verifier.
    Public,
    /// Hidden behind a commitment; the program shows shapes, shifts and clamp bounds only.
    Private,
}

/// Shape and interval of a value, as the program implies them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValueType {
    /// Sizes.
    pub shape: Shape,
    /// Bounds.
    pub interval: Interval,
}
