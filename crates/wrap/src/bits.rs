//! Bits: range checks, canonical forms, comparisons with constants.
//!
//! A range check to n bits costs n constraints: n - 1 new bits, and the last one is what remains of the number, demanded to be a bit too.

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, BigInteger, BigInteger256, Field, PrimeField};

use crate::r1cs::{Builder, Num};

/// KoalaBear's p.
pub const P: u64 = (1 << 31) - (1 << 24) + 1;

/// How many of the top bits of a canonical decomposition are compared; they equal the modulus' own for one element in `2^40`, which is
/// refused with the larger ones: a prover meets it once in `2^40` draws and then needs another proof, a cheat gains nothing.
const COMPARED: usize = 40;

/// `2^n`.
pub fn power_of_two(n: usize) -> Fr {
    let mut value = BigInteger256::default();
    value.0[n / 64] = 1 << (n % 64);
    Fr::from_bigint(value).expect("a power of two below the modulus")
}

/// Bit `i` of a value.
fn bit_of(value: Fr, i: usize) -> bool {
    value.into_bigint().get_bit(i)
}

/// `sum of 2^i * bits[i]`.
pub fn number(bits: &[Num]) -> Num {
    let mut weight = Fr::ONE;
    Num::sum(bits.iter().map(|b| {
        let term = (weight, b);
        weight.double_in_place();
        term
    }))
}

/// The n bits of a number, the lowest first: demands that it is below `2^n`, for n of at most 253.
///
/// # Panics
/// For n = 0 or n above 253, where bits would not determine a number.
pub fn split(b: &mut Builder, num: &Num, n: usize) -> Vec<Num> {
    assert!((1..=253).contains(&n), "a range check needs 1 to 253 bits");
    if let Some(known) = num.known() {
        let in_range = known.into_bigint().num_bits() as usize <= n;
        if !in_range {
            // Nothing can satisfy it: said as a constraint, so that it is refused where all else is.
            b.equal(&Num::constant(Fr::ONE), &Num::default());
        }
        return (0..n).map(|i| Num::constant(Fr::from(bit_of(known, i)))).collect();
    }
    let value = num.value.into_bigint();
    let mut bits: Vec<Num> = (0..n - 1).map(|i| bit(b, value.get_bit(i))).collect();
    let top = num.minus(&number(&bits)).scaled(power_of_two(n - 1).inverse().expect("not 0"));
    b.enforce(&top, &top, &top);
    bits.push(top);
    bits
}

/// A new bit.
pub fn bit(b: &mut Builder, value: bool) -> Num {
    let bit = b.witness(Fr::from(value));
    b.enforce(&bit, &bit, &bit);
    bit
}

/// Demands `0 <= num < 2^n`.
pub fn range(b: &mut Builder, num: &Num, n: usize) {
    split(b, num, n);
}

/// The 31 bits of a number below p: 33 constraints.
///
/// `p = 2^31 - 2^24 + 1`: 31 bits are at least p if and only if the top seven are ones and the others are not all zeros. With
/// `w = (7 - ones) * inverse`, w can be 1 only if a top bit is 0; `(1 - w) * rest = 0`.
pub fn split_canonical(b: &mut Builder, num: &Num) -> Vec<Num> {
    let bits = split(b, num, 31);
    canonical(b, &bits);
    bits
}

/// Demands that 31 bits are a number below p, see [`split_canonical`]: 2 constraints.
pub fn canonical(b: &mut Builder, bits: &[Num]) {
    let ones = Num::sum(bits[24..].iter().map(|bit| (-Fr::ONE, bit)));
    let zeros = ones.shifted(Fr::from(7u64));
    let inverse = b.witness(zeros.value.inverse().unwrap_or_default());
    let w = b.product(&zeros, &inverse);
    let not = w.scaled(-Fr::ONE).shifted(Fr::ONE);
    b.enforce(&not, &number(&bits[..24]), &Num::default());
}

/// Demands `num < limit` given the number's bits, by their top [`COMPARED`]: a number whose top bits are those of the limit is refused too.
fn below(b: &mut Builder, bits: &[Num], limit: BigInteger256) {
    let n = bits.len();
    assert!(limit.num_bits() as usize <= n, "the limit has no more bits than the number");
    let top = COMPARED.min(n);
    let limit_top = (0..top).fold(0u64, |acc, i| acc | u64::from(limit.get_bit(n - top + i)) << i);
    assert!(limit_top > 0, "the limit has a bit among the compared ones");
    let slack = number(&bits[n - top..]).scaled(-Fr::ONE).shifted(Fr::from(limit_top - 1));
    range(b, &slack, top);
}

/// The 254 bits of the one integer below r that a field element is: 294 constraints. Refuses one element in `2^40`, see `COMPARED`.
pub fn split_element(b: &mut Builder, num: &Num) -> Vec<Num> {
    let value = num.value.into_bigint();
    let mut bits: Vec<Num> = (0..253).map(|i| bit(b, value.get_bit(i))).collect();
    let top = num.minus(&number(&bits)).scaled(power_of_two(253).inverse().expect("not 0"));
    b.enforce(&top, &top, &top);
    bits.push(top);
    below(b, &bits, Fr::MODULUS);
    bits
}

/// The five low digits of a field element in base p, each below p: 304 constraints. Refuses one element in `2^40`, see `COMPARED`.
///
/// The element is `sum of p^i d_i + p^5 q` with `q < floor(r / p^5)`: no such sum reaches r, so the digits are those of one integer.
pub fn split_base_p(b: &mut Builder, num: &Num) -> [Num; 5] {
    let mut rest = num.value.into_bigint();
    let digits: [Num; 5] = core::array::from_fn(|_| {
        let digit = divide(&mut rest, P);
        let digit = b.witness(Fr::from(digit));
        split_canonical(b, &digit);
        digit
    });
    let mut limit = Fr::MODULUS;
    (0..5).for_each(|_| {
        divide(&mut limit, P);
    });
    let (mut low, mut weight) = (Num::default(), Fr::ONE);
    for digit in &digits {
        low = low.plus_scaled(digit, weight);
        weight *= Fr::from(P);
    }
    let quotient = num.minus(&low).scaled(weight.inverse().expect("not 0"));
    let bits = split(b, &quotient, limit.num_bits() as usize);
    below(b, &bits, limit);
    digits
}

/// Divides by a 32-bit number and gives the remainder.
pub fn divide(value: &mut BigInteger256, divisor: u64) -> u64 {
    let mut rest = 0u128;
    for word in value.0.iter_mut().rev() {
        let part = rest << 64 | u128::from(*word);
        *word = (part / u128::from(divisor)) as u64;
        rest = part % u128::from(divisor);
    }
    rest as u64
}

/// Whether two bits differ.
pub fn exclusive_or(b: &mut Builder, x: &Num, y: &Num) -> Num {
    // x + y - 2 x y.
    let both = b.product(x, y);
    x.plus(y).plus_scaled(&both, -Fr::from(2u64))
}

/// `bit ? one : zero`.
pub fn select(b: &mut Builder, bit: &Num, one: &Num, zero: &Num) -> Num {
    let difference = b.product(bit, &one.minus(zero));
    zero.plus(&difference)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The i-th of some elements that look random.
    fn arbitrary(i: u64) -> Fr {
        Fr::from_le_bytes_mod_order(blake3::hash(&i.to_le_bytes()).as_bytes())
    }

    /// Changes every witness variable in turn: none may go unnoticed.
    fn every_variable_counts(b: &mut Builder, from: usize) {
        for var in from..b.assignment().len() {
            let value = b.assignment()[var];
            for other in [value + Fr::ONE, value + Fr::from(P), -value + Fr::from(5u64)] {
                if other != value {
                    b.assign(var as u32, other);
                    assert!(b.broken().is_some(), "variable {var} of {} is free", b.assignment().len());
                }
            }
            b.assign(var as u32, value);
        }
        assert_eq!(b.broken(), None);
    }

    #[test]
    fn ranges_hold_what_they_say() {
        for (n, value, fits) in [
            (1, 1u64, true),
            (1, 2, false),
            (31, (1 << 31) - 1, true),
            (31, 1 << 31, false),
            (5, 31, true),
            (5, 32, false),
        ] {
            let mut b = Builder::new(Fr::ZERO);
            let x = b.witness(Fr::from(value));
            let bits = split(&mut b, &x, n);
            assert_eq!((bits.len(), b.constraints(), b.broken().is_none()), (n, n, fits), "{n} {value}");
            let mut known = Builder::new(Fr::ZERO);
            split(&mut known, &Num::constant(Fr::from(value)), n);
            assert_eq!(known.broken().is_none(), fits);
        }
        let mut b = Builder::new(Fr::ZERO);
        let x = b.witness(-Fr::ONE);
        range(&mut b, &x, 253);
        assert!(b.broken().is_some());
    }

    #[test]
    fn canonical_digits_are_below_p() {
        for (value, fits) in
            [(0, true), (P - 1, true), (P, false), (P + 1, false), ((1 << 31) - 1, false), (1 << 30, true)]
        {
            let mut b = Builder::new(Fr::ZERO);
            let x = b.witness(Fr::from(value));
            split_canonical(&mut b, &x);
            assert_eq!((b.constraints(), b.broken().is_none()), (33, fits), "{value}");
            // No other inverse helps.
            for inverse in [Fr::ONE, Fr::from(7u64).inverse().unwrap()] {
                let var = b.assignment().len() as u32 - 2;
                b.assign(var, inverse);
                b.assign(var + 1, Fr::ZERO);
                assert!(fits || b.broken().is_some());
            }
        }
    }

    #[test]
    fn elements_have_one_form() {
        for value in (0..5).map(arbitrary) {
            let mut b = Builder::new(Fr::ZERO);
            let x = b.witness(value);
            let bits = split_element(&mut b, &x);
            assert_eq!((number(&bits).value, b.constraints(), b.broken()), (value, 294, None));
            // The same element plus r, where that has 254 bits, is refused: its bits are another integer.
            let mut sum = value.into_bigint();
            if !sum.add_with_carry(&Fr::MODULUS) && sum.num_bits() <= 254 {
                let mut lie = Builder::new(Fr::ZERO);
                let x = lie.witness(value);
                split_element(&mut lie, &x);
                for i in 0..253 {
                    lie.assign(i + 3, Fr::from(sum.get_bit(i as usize)));
                }
                assert!(lie.broken().is_some());
            }
        }
        let mut b = Builder::new(Fr::ZERO);
        let x = b.witness(-Fr::ONE);
        split_element(&mut b, &x);
        assert!(b.broken().is_some(), "the one element in 2^40");
    }

    #[test]
    fn digits_in_base_p_are_those_of_the_integer() {
        for value in [Fr::ZERO, Fr::ONE, Fr::from(P), arbitrary(1), arbitrary(2)] {
            let mut b = Builder::new(Fr::ZERO);
            let x = b.witness(value);
            let digits = split_base_p(&mut b, &x);
            let mut rest = value.into_bigint();
            for d in &digits {
                assert_eq!(d.value, Fr::from(divide(&mut rest, P)));
            }
            assert_eq!((b.constraints(), b.broken()), (304, None));
        }
        let mut b = Builder::new(Fr::ZERO);
        let x = b.witness(arbitrary(3));
        split_base_p(&mut b, &x);
        every_variable_counts(&mut b, 2);
    }

    #[test]
    fn gates_have_their_tables() {
        for (x, y) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut b = Builder::new(Fr::ZERO);
            let (bx, by) = (bit(&mut b, x), bit(&mut b, y));
            assert_eq!(exclusive_or(&mut b, &bx, &by).value, Fr::from(x ^ y));
            let (one, zero) = (Num::constant(Fr::from(5u64)), Num::constant(Fr::from(6u64)));
            assert_eq!(select(&mut b, &bx, &one, &zero).value, Fr::from(if x { 5u64 } else { 6 }));
            assert_eq!(b.broken(), None);
        }
    }
}
