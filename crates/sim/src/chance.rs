//! All chance of a run, from one 64-bit seed: splitmix64 (Steele, Lea, Flood 2014), one stream for each use, so
//! that drawing more of one thing does not change another.

use proofmesh_market::{Hash32, keccak};

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// The stream of a seed with a name and a number.
    #[must_use]
    pub fn stream(seed: u64, name: &str, number: u64) -> Self {
        let hash = bytes(seed, name, number).0;
        Chance(hash[..8].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 up to `bound`, exclusive; 0 for a bound of 0. Off by less than `bound / 2^64`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.bits().checked_rem(bound).unwrap_or_default()
    }

    /// True `per_mille` times in a thousand.
    pub fn happens(&mut self, per_mille: u64) -> bool {
        self.below(1_000) < per_mille
    }

    /// 32 random bytes.
    pub fn hash(&mut self) -> Hash32 {
        keccak(&self.bits().to_be_bytes())
    }
}

/// 32 bytes of a seed, a name and a number: keys and secrets.
#[must_use]
pub fn bytes(seed: u64, name: &str, number: u64) -> Hash32 {
    keccak(&[&seed.to_be_bytes()[..], name.as_bytes(), &number.to_be_bytes()].concat())
}
