//! Money: unsigned micro-USD (the token's base units, 6 decimals), checked arithmetic only.
//!
//! There is no `+`, no float and no rounding that is not in a name. Subtraction below zero and sums above
//! 2^64 are values (`None`), not wraps.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Parts per million in a whole.
pub const PPM: u64 = 1_000_000;

/// An amount in micro-USD: 1 USD is 1,000,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Usd(u64);

impl Usd {
    /// Nothing.
    pub const ZERO: Usd = Usd(0);

    /// An amount of micro-USD.
    #[must_use]
    pub const fn from_micro(micro: u64) -> Self {
        Usd(micro)
    }

    /// The amount in micro-USD.
    #[must_use]
    pub const fn micro(self) -> u64 {
        self.0
    }

    /// True for nothing.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum, or `None` above 2^64 - 1 micro-USD.
    #[must_use]
    pub const fn checked_add(self, other: Usd) -> Option<Usd> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Usd(sum)),
            None => None,
        }
    }

    /// The difference, or `None` below zero.
    #[must_use]
    pub const fn checked_sub(self, other: Usd) -> Option<Usd> {
        match self.0.checked_sub(other.0) {
            Some(rest) => Some(Usd(rest)),
            None => None,
        }
    }

    /// `count` times the amount, or `None` above 2^64 - 1 micro-USD.
    #[must_use]
    pub const fn checked_mul(self, count: u64) -> Option<Usd> {
        match self.0.checked_mul(count) {
            Some(product) => Some(Usd(product)),
            None => None,
        }
    }

    /// `floor(amount * ppm / 1,000,000)`, or `None` when `ppm` is above a million (a part is never more than
    /// the whole).
    #[must_use]
    pub const fn part_down(self, ppm: u64) -> Option<Usd> {
        if ppm > PPM {
            return None;
        }
        let part = self.0 as u128 * ppm as u128 / PPM as u128;
        Some(Usd(part as u64)) // part <= self.0, which is a u64
    }
}

/// Dollars and six decimals: `1.250000`.
impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / PPM, self.0 % PPM)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overflow_is_a_value() {
        let most = Usd::from_micro(u64::MAX);
        assert_eq!(most.checked_add(Usd::from_micro(1)), None);
        assert_eq!(Usd::ZERO.checked_sub(Usd::from_micro(1)), None);
        assert_eq!(most.checked_mul(2), None);
        assert_eq!(most.part_down(PPM + 1), None);
        assert_eq!(most.part_down(PPM), Some(most));
    }

    #[test]
    fn a_part_is_rounded_down() {
        assert_eq!(Usd::from_micro(99).part_down(980_000), Some(Usd::from_micro(97))); // 97.02
        assert_eq!(Usd::from_micro(1).part_down(980_000), Some(Usd::ZERO));
        assert_eq!(Usd::from_micro(1_250_000).to_string(), "1.250000");
    }
}
