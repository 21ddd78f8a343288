//! SHA-256 (FIPS 180-4) of a fixed number of bytes, for the digest of a statement: about 27,000 constraints a block of 64 bytes whose bits
//! are unknown; known words (tags, counts, padding) fold away where they meet only each other.

use ark_bn254::Fr;
use ark_ff::{Field, PrimeField};

use crate::bits::{exclusive_or, number, power_of_two, split};
use crate::r1cs::{Builder, Num};

/// 32 bits, the lowest first.
pub type Word = [Num; 32];

/// First 32 bits of the fractional parts of the cube roots of the first 64 primes.
const ROUND: [u32; 64] = constants();

/// First 32 bits of the fractional parts of the square roots of the first 8 primes.
const START: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// The round constants by their definition: for each prime n, the integer root of `n * 2^96`, without its whole part.
const fn constants() -> [u32; 64] {
    let mut out = [0; 64];
    let (mut found, mut n) = (0, 2u64);
    while found < 64 {
        let (mut d, mut prime) = (2, true);
        while d * d <= n {
            if n % d == 0 {
                prime = false;
            }
            d += 1;
        }
        if prime {
            // Largest x with x^3 <= n * 2^96: its low 32 bits. x < 2^35, so cubes fit 105 bits.
            let (mut low, mut high) = (0u128, 1u128 << 35);
            while high - low > 1 {
                let middle = (low + high) / 2;
                if middle * middle * middle <= (n as u128) << 96 {
                    low = middle;
                } else {
                    high = middle;
                }
            }
            out[found] = low as u32;
            found += 1;
        }
        n += 1;
    }
    out
}

/// A known word.
pub fn known(value: u32) -> Word {
    core::array::from_fn(|i| Num::constant(Fr::from(value >> i & 1)))
}

fn rotated(word: &Word, by: usize) -> Word {
    core::array::from_fn(|i| word[(i + by) % 32].clone())
}

fn shifted(word: &Word, by: usize) -> Word {
    core::array::from_fn(|i| word.get(i + by).cloned().unwrap_or_default())
}

fn xor3(b: &mut Builder, [x, y, z]: [&Word; 3]) -> Word {
    core::array::from_fn(|i| {
        let both = exclusive_or(b, &x[i], &y[i]);
        exclusive_or(b, &both, &z[i])
    })
}

/// The low 32 bits of a sum of fewer than `2^extra` words.
fn sum(b: &mut Builder, words: &[&Num], extra: usize) -> Word {
    let total = Num::sum(words.iter().map(|w| (Fr::ONE, *w)));
    let bits = split(b, &total, 32 + extra);
    core::array::from_fn(|i| bits[i].clone())
}

/// One block.
fn compress(b: &mut Builder, state: &[Word; 8], block: &[Word]) -> [Word; 8] {
    let mut schedule: Vec<Word> = block.to_vec();
    for t in 16..64 {
        let (x, y) = (schedule[t - 15].clone(), schedule[t - 2].clone());
        let s0 = xor3(b, [&rotated(&x, 7), &rotated(&x, 18), &shifted(&x, 3)]);
        let s1 = xor3(b, [&rotated(&y, 17), &rotated(&y, 19), &shifted(&y, 10)]);
        let terms = [number(&s0), number(&s1), number(&schedule[t - 7]), number(&schedule[t - 16])];
        schedule.push(sum(b, &terms.each_ref(), 2));
    }
    let [mut a, mut bb, mut c, mut d, mut e, mut f, mut g, mut h] = state.clone();
    for (word, constant) in schedule.iter().zip(ROUND) {
        let s1 = xor3(b, [&rotated(&e, 6), &rotated(&e, 11), &rotated(&e, 25)]);
        // Choice: g + e (f - g).
        let choice: Word = core::array::from_fn(|i| crate::bits::select(b, &e[i], &f[i], &g[i]));
        let s0 = xor3(b, [&rotated(&a, 2), &rotated(&a, 13), &rotated(&a, 22)]);
        // Majority: with m = b c, it is m + a (b + c - 2 m).
        let majority: Word = core::array::from_fn(|i| {
            let m = b.product(&bb[i], &c[i]);
            let either = bb[i].plus(&c[i]).plus_scaled(&m, -Fr::from(2u64));
            let with_a = b.product(&a[i], &either);
            m.plus(&with_a)
        });
        let first = [number(&h), number(&s1), number(&choice), number(word)];
        let first = Num::sum(first.iter().map(|n| (Fr::ONE, n))).shifted(Fr::from(constant));
        let next_e = sum(b, &[&number(&d), &first], 3);
        let next_a = sum(b, &[&first, &number(&s0), &number(&majority)], 3);
        (h, g, f, e, d, c, bb, a) = (g, f, e, next_e, c, bb, a, next_a);
    }
    let after = [a, bb, c, d, e, f, g, h];
    core::array::from_fn(|i| sum(b, &[&number(&state[i]), &number(&after[i])], 1))
}

/// The eight words of the digest of words taken as big-endian bytes.
pub fn digest(b: &mut Builder, message: &[Word]) -> [Word; 8] {
    let mut padded = message.to_vec();
    padded.push(known(1 << 31));
    while padded.len() % 16 != 14 {
        padded.push(known(0));
    }
    let length = 32 * message.len() as u64;
    padded.extend([known((length >> 32) as u32), known(length as u32)]);
    padded.chunks(16).fold(START.map(known), |state, block| compress(b, &state, block))
}

/// A digest as a number: big-endian, its three top bits cleared.
pub fn truncated(digest: &[Word; 8]) -> Num {
    let bits: Vec<Num> = digest.iter().rev().flatten().take(253).cloned().collect();
    number(&bits)
}

/// As [`truncated`], of bytes.
pub fn truncated_bytes(digest: &[u8; 32]) -> Fr {
    let bits = digest.iter().rev().flat_map(|byte| (0..8).map(move |i| byte >> i & 1 == 1));
    bits.take(253).enumerate().filter(|(_, bit)| *bit).map(|(i, _)| power_of_two(i)).sum()
}

/// A word of witness bits with the given value.
pub fn witness(b: &mut Builder, value: u32) -> Word {
    core::array::from_fn(|i| crate::bits::bit(b, value >> i & 1 == 1))
}

/// The value of a word.
pub fn value(word: &Word) -> u32 {
    number(word).value.into_bigint().0[0] as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_ff::AdditiveGroup;
    use sha2::{Digest, Sha256};

    fn run(message: &[u8], known_words: usize) -> (Builder, [Word; 8]) {
        let mut b = Builder::new(Fr::ZERO);
        let words =
            message.chunks(4).map(|c| u32::from_be_bytes(c.try_into().expect("whole words"))).enumerate();
        let words: Vec<Word> =
            words.map(|(i, w)| if i < known_words { known(w) } else { witness(&mut b, w) }).collect();
        let digest = digest(&mut b, &words);
        (b, digest)
    }

    #[test]
    fn digests_are_sha256() {
        for (length, known_words) in [(0, 0), (4, 0), (52, 0), (56, 3), (64, 0), (140, 8)] {
            let message: Vec<u8> = (0..length).map(|i| (i * 37 + 11) as u8).collect();
            let (b, words) = run(&message, known_words);
            let expected: [u8; 32] = Sha256::digest(&message).into();
            let got: Vec<u8> = words.iter().flat_map(|w| value(w).to_be_bytes()).collect();
            assert_eq!((got, b.broken()), (expected.to_vec(), None), "{length}");
            assert_eq!(truncated(&words).value, truncated_bytes(&expected));
            assert!(length > 0 || b.constraints() == 0, "what is known is free");
        }
    }

    #[test]
    fn a_block_costs_what_is_said_and_lies_do_not_pass() {
        let (mut b, _) = run(&[7; 64], 0);
        // Two blocks, the second one of padding alone.
        assert!(b.constraints() < 55_000, "{}", b.constraints());
        let mut var = 2;
        while var < b.assignment().len() {
            let value = b.assignment()[var];
            b.assign(var as u32, Fr::ONE - value);
            assert!(b.broken().is_some(), "variable {var}");
            b.assign(var as u32, value);
            var += 997;
        }
    }
}
