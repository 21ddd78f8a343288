//! Groth16 (eprint 2016/260) over BN254 with one public input: the key and proof bytes of contracts/src/verifiers/Groth16Verifier.sol.
//!
//! A proof (A, B, C) for the input x holds when `e(A, B) = e(alpha, beta) e(IC0 + x IC1, gamma) e(C, delta)`. Words are 32 bytes big-endian; a
//! point of G2 is x.c1 x.c0 y.c1 y.c0 (EIP-197); the point at infinity is all zeros. Checked: lengths, coordinates below the modulus,
//! curve, subgroup (of B; the cofactor of G1 is one), input below the order.
//!
//! Refuses: `groth16.key`, and of a proof `bad-length`, `input-too-large`, `coordinate-too-large`, `point-rejected`, `proof-rejected`,
//! each under `groth16.` here and under `inference.proof.` in evidence.

use crate::state::KEY_BYTES;
use ark_bn254::{Bn254, Fq, Fq2, Fr, G1Affine, G2Affine};
use ark_ec::pairing::Pairing;
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{AdditiveGroup, BigInt, One, PrimeField};
use proofmesh_market::{keccak, Hash32, Refusal};

/// Bytes of a proof.
pub const PROOF_BYTES: usize = 256;

/// A verification key.
pub struct Key {
    alpha: G1Affine,
    beta: G2Affine,
    gamma: G2Affine,
    delta: G2Affine,
    ic: [G1Affine; 2],
}

/// 32 bytes as four limbs, the lowest first.
fn number(word: &[u8; 32]) -> BigInt<4> {
    let mut limbs = [0; 4];
    for (limb, bytes) in limbs.iter_mut().zip(word.as_chunks::<8>().0.iter().rev()) {
        *limb = u64::from_be_bytes(*bytes);
    }
    BigInt(limbs)
}

/// Coordinates, each below the modulus.
fn coordinates<const N: usize>(bytes: &[u8]) -> Option<[Fq; N]> {
    let (words, rest) = bytes.as_chunks::<32>();
    let words: &[[u8; 32]; N] = words.try_into().ok().filter(|_| rest.is_empty())?;
    let mut out = [Fq::ZERO; N];
    for (x, word) in out.iter_mut().zip(words) {
        *x = Fq::from_bigint(number(word))?;
    }
    Some(out)
}

fn g1([x, y]: [Fq; 2]) -> Option<G1Affine> {
    if x == Fq::ZERO && y == Fq::ZERO {
        return Some(G1Affine::identity());
    }
    Some(G1Affine::new_unchecked(x, y)).filter(G1Affine::is_on_curve)
}

fn g2([x1, x0, y1, y0]: [Fq; 4]) -> Option<G2Affine> {
    if [x1, x0, y1, y0] == [Fq::ZERO; 4] {
        return Some(G2Affine::identity());
    }
    let point = G2Affine::new_unchecked(Fq2::new(x0, x1), Fq2::new(y0, y1));
    Some(point).filter(|point| point.is_on_curve() && point.is_in_correct_subgroup_assuming_on_curve())
}

impl Key {
    /// Reads a key that [`Key::check`] let in: coordinates only.
    ///
    /// # Errors
    /// `groth16.key`.
    pub fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        let refused = || Refusal::new("groth16.key", "18 words below the modulus", bytes.len());
        let w: [Fq; 18] = coordinates(bytes).ok_or_else(refused)?;
        let g1 = |i: usize| G1Affine::new_unchecked(w[i], w[i + 1]);
        let g2 = |i: usize| G2Affine::new_unchecked(Fq2::new(w[i + 1], w[i]), Fq2::new(w[i + 3], w[i + 2]));
        Ok(Key { alpha: g1(0), beta: g2(2), gamma: g2(6), delta: g2(10), ic: [g1(14), g1(16)] })
    }

    /// Checks that a key has points of its groups only, none at infinity (which would unbind what it stands for), and gives its name, `H` of
    /// its bytes.
    ///
    /// # Errors
    /// `groth16.key`.
    pub fn check(bytes: &[u8]) -> Result<Hash32, Refusal> {
        let refused =
            |got: &str| Refusal::new("groth16.key", "six points of their groups, none at infinity", got);
        if bytes.len() != KEY_BYTES {
            return Err(refused(&format!("{} bytes", bytes.len())));
        }
        let one = |range: core::ops::Range<usize>| coordinates(&bytes[range]).and_then(g1);
        let two = |range: core::ops::Range<usize>| coordinates(&bytes[range]).and_then(g2);
        let of_g1 = [one(0..64), one(448..512), one(512..576)];
        let of_g2 = [two(64..192), two(192..320), two(320..448)];
        let sound = of_g1.iter().all(|point| point.is_some_and(|point| !point.is_zero()))
            && of_g2.iter().all(|point| point.is_some_and(|point| !point.is_zero()));
        if sound {
            Ok(keccak(bytes))
        } else {
            Err(refused("another"))
        }
    }

    /// Checks a proof for an input, both big-endian.
    ///
    /// # Errors
    /// In the head of this file.
    pub fn verify(&self, statement: &[u8; 32], proof: &[u8]) -> Result<(), Refusal> {
        if proof.len() != PROOF_BYTES {
            return Err(Refusal::new("groth16.bad-length", PROOF_BYTES, proof.len()));
        }
        let Some(x) = Fr::from_bigint(number(statement)) else {
            return Err(Refusal::new("groth16.input-too-large", "an input below the order", "another"));
        };
        let (a, b, c) = (coordinates(&proof[..64]), coordinates(&proof[64..192]), coordinates(&proof[192..]));
        let (Some(a), Some(b), Some(c)) = (a, b, c) else {
            return Err(Refusal::new(
                "groth16.coordinate-too-large",
                "coordinates below the modulus",
                "another",
            ));
        };
        let (Some(a), Some(b), Some(c)) = (g1(a), g2(b), g1(c)) else {
            return Err(Refusal::new("groth16.point-rejected", "points of their groups", "another"));
        };
        let input = (self.ic[1].mul_bigint(x.into_bigint()) + self.ic[0]).into_affine();
        let product =
            Bn254::multi_pairing([a, -self.alpha, -input, -c], [b, self.beta, self.gamma, self.delta]);
        if product.0.is_one() {
            Ok(())
        } else {
            Err(Refusal::new("groth16.proof-rejected", "a proof of this input under this key", "another"))
        }
    }
}
