//! Seeded numbers and smooth random fields: what the zoo's weights and inputs are drawn from.

use std::f32::consts::TAU;

/// A deterministic stream of numbers (SplitMix64, Steele, Lea, Flood 2014).
#[derive(Clone, Debug)]
pub(super) struct Stream(u64);

impl Stream {
    /// The stream of a seed and a purpose: streams of different purposes have nothing to do with each other.
    pub fn new(seed: u64, purpose: &str) -> Self {
        let mut hash = blake3::Hasher::new_derive_key("proofmesh zoo stream v1");
        hash.update(&seed.to_le_bytes()).update(purpose.as_bytes());
        let bytes: [u8; 8] = hash.finalize().as_bytes()[..8].try_into().expect("8 bytes were taken");
        Self(u64::from_le_bytes(bytes))
    }

    fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.word() % n.max(1) as u64) as usize
    }

    /// A number in `[lo, hi)`.
    pub fn uniform(&mut self, lo: f32, hi: f32) -> f32 {
        lo + (hi - lo) * ((self.word() >> 40) as f32 / (1u64 << 24) as f32)
    }

    /// `n` numbers in `[lo, hi)`.
    pub fn uniforms(&mut self, n: usize, lo: f32, hi: f32) -> Vec<f32> {
        (0..n).map(|_| self.uniform(lo, hi)).collect()
    }

    /// A number of mean 0 and the given standard deviation (Box and Muller 1958).
    pub fn normal(&mut self, deviation: f32) -> f32 {
        let radius = (-2.0 * self.uniform(1e-7, 1.0).ln()).sqrt();
        deviation * radius * (TAU * self.uniform(0.0, 1.0)).cos()
    }

    /// `n` of them.
    pub fn normals(&mut self, n: usize, deviation: f32) -> Vec<f32> {
        (0..n).map(|_| self.normal(deviation)).collect()
    }
}

/// Waves in a field.
const WAVES: usize = 6;

/// A smooth random field over `[c, h, w]`: a few plane waves of at most three periods, mean 0, variance about 1.
pub(super) fn field(stream: &mut Stream, [c, h, w]: [usize; 3]) -> Vec<f32> {
    let mut out = vec![0.0; c * h * w];
    let amplitude = (2.0 / WAVES as f32).sqrt();
    for _ in 0..WAVES {
        let (fy, fx) = (stream.uniform(-3.0, 3.0), stream.uniform(-3.0, 3.0));
        let phases = stream.uniforms(c, 0.0, TAU);
        for (i, v) in out.iter_mut().enumerate() {
            let (y, x) = ((i / w % h) as f32 / h as f32, (i % w) as f32 / w as f32);
            *v += amplitude * (TAU * (fy * y + fx * x) + phases[i / (h * w)]).cos();
        }
    }
    out
}
