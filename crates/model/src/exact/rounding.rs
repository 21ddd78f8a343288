//! How integer runtimes bring an accumulator to 8 bits, bit for bit, and the thresholds of that step function.

/// Rounding of `multiplier * accumulator` to an integer, before zero point and clamp.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Rounding {
    /// Fixed point, rounded twice: `SaturatingRoundingDoublingHighMul`, then `RoundingDivideByPOT`. Source: gemmlowp,
    /// fixedpoint/fixedpoint.h; `MultiplyByQuantizedMultiplier` of TensorFlow Lite, kernels/internal/common.h.
    Twice(Fixed),
    /// Fixed point, rounded once, halves up: the same function with single rounding.
    Once(Fixed),
    /// A float32 product rounded to the nearest integer, halves to even: onnxruntime's quantised kernels, XNNPACK.
    Float(f32),
}

/// A positive real number as `multiplier / 2^31 * 2^shift`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fixed {
    pub multiplier: i32,
    pub shift: i32,
}

impl Fixed {
    /// `QuantizeMultiplier` of TensorFlow Lite. Zero for numbers below 2^-32.
    pub fn of(real: f64) -> Self {
        if !(real > 0.0 && real.is_finite()) {
            return Self { multiplier: 0, shift: 0 };
        }
        // real = fraction * 2^shift with 1/2 <= fraction < 1; subnormal numbers are far below the bound.
        let mut shift = ((real.to_bits() >> 52) & 0x7ff) as i32 - 1022;
        let fraction = f64::from_bits(real.to_bits() & !(0x7ff << 52) | 1022 << 52);
        let mut q = (fraction * f64::from(1u32 << 31)).round() as i64;
        if q == 1 << 31 {
            (q, shift) = (q / 2, shift + 1);
        }
        if shift < -31 { Self { multiplier: 0, shift: 0 } } else { Self { multiplier: q as i32, shift } }
    }

    /// The multiplier of a mean over `count` elements, as TensorFlow Lite's quantised mean folds the division in.
    pub fn over(self, count: usize) -> Self {
        let log = count.max(1).ilog2() as i32;
        let log = log.min(32).min(31 + self.shift).max(0);
        let multiplier = (i64::from(self.multiplier) << log) / count.max(1) as i64;
        Self { multiplier: multiplier as i32, shift: self.shift - log }
    }
}

/// `round(a * b / 2^31)`, halves away from zero.
fn doubling_high(a: i64, b: i32) -> i64 {
    let product = i128::from(a) * i128::from(b);
    let nudge = if product >= 0 { 1i128 << 30 } else { 1 - (1i128 << 30) };
    ((product + nudge) / (1i128 << 31)) as i64
}

/// `round(x / 2^exponent)`, halves away from zero.
fn divide_by_power(x: i64, exponent: u32) -> i64 {
    let mask = (1i64 << exponent) - 1;
    let threshold = (mask >> 1) + i64::from(x < 0);
    (x >> exponent) + i64::from((x & mask) > threshold)
}

impl Rounding {
    /// The rounded product.
    pub fn apply(self, acc: i64) -> i64 {
        match self {
            Self::Twice(f) => {
                let left = acc.saturating_mul(1i64 << f.shift.clamp(0, 31));
                divide_by_power(doubling_high(left, f.multiplier), (-f.shift).clamp(0, 62) as u32)
            }
            Self::Once(f) => {
                let shift = (31 - f.shift).clamp(1, 100);
                ((i128::from(acc) * i128::from(f.multiplier) + (1i128 << (shift - 1))) >> shift) as i64
            }
            Self::Float(scale) => (acc as f32 * scale).round_ties_even() as i64,
        }
    }
}

/// The smallest accumulators in `first ..= last` for which `f`, which does not decrease, is at least each of `lo + 1 ..= hi`; `last + 1` where
/// none is.
pub(crate) fn thresholds(f: impl Fn(i64) -> i64, [first, last]: [i64; 2], [lo, hi]: [i32; 2]) -> Vec<i32> {
    let mut from = first;
    let mut all = Vec::with_capacity((hi - lo).max(0) as usize);
    for y in lo + 1..=hi {
        let (mut low, mut high) = (from, last + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            if f(middle) >= i64::from(y) { high = middle } else { low = middle + 1 }
        }
        all.push(low as i32);
        from = low;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_point_numbers_are_those_of_the_runtime() {
        assert_eq!(Fixed::of(0.5), Fixed { multiplier: 1 << 30, shift: 0 });
        assert_eq!(Fixed::of(1.0), Fixed { multiplier: 1 << 30, shift: 1 });
        assert_eq!(Fixed::of(0.1), Fixed { multiplier: 1_717_986_918, shift: -3 });
        assert_eq!(Fixed::of(1.0 - 1e-17), Fixed { multiplier: 1 << 30, shift: 1 });
        assert_eq!(Fixed::of(1e-12), Fixed { multiplier: 0, shift: 0 });
    }

    #[test]
    fn the_three_roundings_differ_where_they_should() {
        let half = Fixed::of(1.0 / 16.0);
        // -40 / 16 = -2.5: halves away from zero, halves up, halves to even.
        assert_eq!(Rounding::Twice(half).apply(-40), -3);
        assert_eq!(Rounding::Once(half).apply(-40), -2);
        assert_eq!(Rounding::Float(0.0625).apply(-40), -2);
        assert_eq!(Rounding::Float(0.0625).apply(40), 2);
        assert_eq!(Rounding::Once(half).apply(40), 3);
        // 0.4999.. is first rounded to a half.
        let small = Fixed::of(0.499_999_999 / 8.0);
        assert_eq!((Rounding::Twice(small).apply(8), Rounding::Once(small).apply(8)), (1, 0));
    }

    #[test]
    fn thresholds_restate_the_function() {
        for rounding in [
            Rounding::Twice(Fixed::of(0.003_71)),
            Rounding::Once(Fixed::of(0.091_3)),
            Rounding::Float(0.013_7),
            Rounding::Twice(Fixed::of(1.7)),
        ] {
            let (lo, hi) = (-20, 30);
            let all = thresholds(|acc| rounding.apply(acc), [-4000, 5000], [lo, hi]);
            assert!(all.is_sorted());
            for acc in -4000..=5000 {
                let steps = all.iter().filter(|t| i64::from(**t) <= acc).count() as i64;
                assert_eq!(
                    i64::from(lo) + steps,
                    rounding.apply(acc).clamp(lo.into(), hi.into()),
                    "{rounding:?} {acc}"
                );
            }
        }
    }
}
