//! Upper bounds on integers, rounded up: what makes lazy reduction safe.
//!
//! A wire's limb is an integer that the circuit holds modulo BN254's r. Arithmetic on limbs is arithmetic on integers as long as no absolute
//! value reaches r / 2; every operation therefore carries a [`Bound`], and none is made that could pass [`LIMIT_BITS`].

/// No limb, and no coefficient of a product before it is folded, may reach `2^LIMIT_BITS` in absolute value.
///
/// `r > 2^253`: a limb `x` below the limit and its `q p + rest`, at most four times as large, differ by less than r, so that an equation
/// between them modulo r is one between integers.
pub const LIMIT_BITS: u32 = 249;

/// `mantissa * 2^exponent`, never below the integer that it bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    mantissa: u64,
    exponent: u32,
}

impl Bound {
    /// Bounds nothing but 0.
    pub const ZERO: Self = Self { mantissa: 0, exponent: 0 };
    /// Bounds what 31 bits hold.
    pub const DIGIT: Self = Self::new((1 << 31) - 1);

    /// An exact bound.
    pub const fn new(value: u64) -> Self {
        Self { mantissa: value, exponent: 0 }
    }

    /// The smallest bound of this form that is at least `value * 2^exponent`.
    fn rounded(value: u128, exponent: u32) -> Self {
        let excess = (128 - value.leading_zeros()).saturating_sub(64);
        let mut mantissa = value >> excess;
        mantissa += u128::from(mantissa << excess != value);
        // Rounding up may have made a power of two of 65 bits.
        let carry = u32::from(mantissa >> 64 != 0);
        Self { mantissa: (mantissa >> carry) as u64, exponent: exponent + excess + carry }
    }

    /// Bounds a sum.
    pub fn plus(self, other: Self) -> Self {
        let (low, high) = if self.exponent <= other.exponent { (self, other) } else { (other, self) };
        let shift = high.exponent - low.exponent;
        if shift >= 63 {
            // The smaller one is below one unit of the larger one, or the larger one has room to be spelt with a smaller exponent.
            let room = high.mantissa.leading_zeros().min(shift);
            let high = Self { mantissa: high.mantissa << room, exponent: high.exponent - room };
            let shift = high.exponent - low.exponent;
            let low = if shift >= 64 { u64::from(low.mantissa != 0) } else { (low.mantissa >> shift) + 1 };
            return Self::rounded(u128::from(high.mantissa) + u128::from(low), high.exponent);
        }
        Self::rounded((u128::from(high.mantissa) << shift) + u128::from(low.mantissa), low.exponent)
    }

    /// Bounds a product.
    pub fn times(self, other: Self) -> Self {
        Self::rounded(u128::from(self.mantissa) * u128::from(other.mantissa), self.exponent + other.exponent)
    }

    /// Smallest `b` for which the bound is below `2^b`.
    pub fn bits(self) -> u32 {
        if self.mantissa == 0 { 0 } else { self.exponent + 64 - self.mantissa.leading_zeros() }
    }

    /// Bounds the quotient by a divisor of at least 1.
    pub fn over(self, divisor: u64) -> Self {
        // Two steps keep the precision of a mantissa that is short.
        let room = self.mantissa.leading_zeros().min(self.exponent);
        let mantissa = u128::from(self.mantissa) << room;
        Self::rounded(mantissa.div_ceil(u128::from(divisor)), self.exponent - room)
    }

    /// Whether it is the larger bound.
    pub fn exceeds(self, other: Self) -> bool {
        let top = |b: Self| (b.bits(), b.mantissa.checked_shl(b.mantissa.leading_zeros()).unwrap_or(0));
        top(self) > top(other)
    }

    /// Whether it stays below the limit.
    pub fn fits(self) -> bool {
        self.bits() <= LIMIT_BITS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Whether a bound is at least an integer of at most 128 bits, and less than twice it and a little.
    fn holds(bound: Bound, value: u128) -> bool {
        let shown = u128::from(bound.mantissa) << bound.exponent.min(64);
        bound.exponent <= 64 && shown >= value && shown - value <= value >> 60
    }

    proptest! {
        #[test]
        fn bounds_are_never_below(a in 0..u128::MAX >> 66, b in 0..u128::MAX >> 66, shift in 0..60u32, d in 1..u64::MAX) {
            let (x, y) = (Bound::rounded(a >> shift, 0), Bound::rounded(b, 0));
            prop_assert!(holds(x.times(y), (a >> shift) * b));
            prop_assert!(holds(x.plus(y), (a >> shift) + b));
            let wide = Bound::rounded(a << 60, 0);
            prop_assert!(holds(wide.plus(y), (a << 60) + b));
            let quotient = wide.over(d);
            prop_assert!(u128::from(quotient.mantissa) << quotient.exponent >= (a << 60).div_ceil(u128::from(d)));
            prop_assert_eq!(x.bits(), 128 - (a >> shift).leading_zeros());
        }
    }

    #[test]
    fn far_apart_and_at_the_edge() {
        let big = Bound { mantissa: u64::MAX, exponent: 185 };
        assert_eq!((big.bits(), big.fits()), (249, true));
        assert!(!big.plus(Bound::new(1)).fits());
        let sum = Bound { mantissa: 1, exponent: 200 }.plus(Bound::new(1));
        assert!(sum.exceeds(Bound { mantissa: 1, exponent: 200 }));
        assert_eq!(Bound::ZERO.plus(Bound::DIGIT).bits(), 31);
        assert!(Bound::new(1 << 31).exceeds(Bound::DIGIT));
    }
}
