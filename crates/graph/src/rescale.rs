//! From an accumulator to an activation.

use alloc::string::String;
use serde::{Deserialize, Serialize};

use crate::limits;
use crate::value::Interval;

/// Rescale: `acc + 2^(shift-1) = 2^shift * q + r`, `0 <= r < 2^shift`, `y = clamp(q, lo, hi)`. Rounds half up. `shift = 0` keeps `acc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rescale {
    /// Right shift in bits, at most [`limits::MAX_SHIFT`].
    pub shift: u32,
    /// Clamp; `lo = 0` is a ReLU.
    pub clamp: Interval,
}

impl Rescale {
    /// `(q, r)` of an accumulator.
    pub fn divide(&self, acc: i64) -> (i64, i64) {
        let shifted = acc + self.half();
        let q = shifted >> self.shift;
        (q, shifted - (q << self.shift))
    }

    /// The rounding term `2^(shift-1)`, 0 for no shift.
    pub fn half(&self) -> i64 {
        if self.shift == 0 { 0 } else { 1 << (self.shift - 1) }
    }

    /// The rescaled and clamped value.
    pub fn apply(&self, acc: i64) -> i32 {
        self.divide(acc).0.clamp(i64::from(self.clamp.lo), i64::from(self.clamp.hi)) as i32
    }

    /// Largest `|q|` for accumulators up to `bound`, or why the bound is too large for the field or for the clamp table.
    pub fn quotient_bound(&self, bound: i64) -> Result<i64, String> {
        if self.shift > limits::MAX_SHIFT || self.clamp.lo > self.clamp.hi {
            return Err("the rescale's shift or clamp is out of bounds".into());
        }
        if bound >= limits::MAX_ACCUMULATOR {
            return Err(alloc::format!(
                "the accumulator can reach {bound}, more than 2^29: use fewer weight bits or split the layer"
            ));
        }
        let q = (bound + self.half()).div_euclid(1 << self.shift) + 1;
        if q << self.shift > limits::MAX_QUOTIENT_SIDE {
            return Err("the rescaled quotient does not fit the field: use fewer weight bits".into());
        }
        if 2 * q + 1 > 1 << limits::MAX_CLAMP_ROWS_LOG2 {
            return Err(alloc::format!(
                "the quotient can reach {q}, more than the clamp table holds: use a larger shift"
            ));
        }
        Ok(q)
    }
}
