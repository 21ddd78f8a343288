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

/// Where an accumulator can lie, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Smallest.
    pub lo: i64,
    /// Largest.
    pub hi: i64,
}

impl Reach {
    /// `-bound ..= bound`.
    pub fn symmetric(bound: i64) -> Self {
        Self { lo: -bound, hi: bound }
    }

    /// Largest absolute value.
    pub fn magnitude(&self) -> i64 {
        self.lo.saturating_abs().max(self.hi.saturating_abs())
    }

    /// The reach of a sum of two.
    pub fn plus(&self, other: Self) -> Self {
        Self { lo: self.lo.saturating_add(other.lo), hi: self.hi.saturating_add(other.hi) }
    }

    /// The reach of a product of two values.
    pub fn product(a: Interval, b: Interval) -> Self {
        let ends = |x: Interval| [x.lo, x.hi].map(i64::from);
        let all = ends(a).into_iter().flat_map(|x| ends(b).map(|y| x * y));
        all.fold(Self { lo: i64::MAX, hi: i64::MIN }, |r, v| Self { lo: r.lo.min(v), hi: r.hi.max(v) })
    }

    /// The reach of a sum of `n` terms of this reach.
    pub fn times(&self, n: usize) -> Self {
        let n = i64::try_from(n).unwrap_or(i64::MAX);
        Self { lo: self.lo.saturating_mul(n), hi: self.hi.saturating_mul(n) }
    }

    /// The reach of `factor * x` for x in an interval.
    pub fn scaled(interval: Interval, factor: i32) -> Self {
        let [a, b] = [interval.lo, interval.hi].map(|x| i64::from(x) * i64::from(factor));
        Self { lo: a.min(b), hi: a.max(b) }
    }
}

impl Rescale {
    /// The quotients of a reach, both ends included, or why it is too large for the field or for the clamp table.
    pub fn quotients(&self, reach: Reach) -> Result<Reach, String> {
        self.quotient_bound(reach.magnitude())?;
        Ok(Reach { lo: self.divide(reach.lo).0, hi: self.divide(reach.hi).0 })
    }

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
