//! Groth16 over BN254 with one public input: the key and proof bytes of contracts/src/verifiers/Groth16Verifier.sol, by the chain's own
//! arithmetic.
//!
//! `e(-A, B) e(alpha, beta) e(IC0 + x IC1, gamma) e(C, delta) = 1`. The chain checks that points are on their curve and in their subgroup.

use crate::bytes::{at, Hash};
use crate::refusal::{require, Refusal};
use crate::syscall::{add, multiply, pairing_is_one};
use pinocchio::error::ProgramError;

/// Bytes of a key: alpha, beta, gamma, delta, IC0, IC1.
pub const KEY_BYTES: usize = 576;
/// Modulus of coordinates.
const Q: Hash = [
    0x30, 0x64, 0x4e, 0x72, 0xe1, 0x31, 0xa0, 0x29, 0xb8, 0x50, 0x45, 0xb6, 0x81, 0x81, 0x58, 0x5d, 0x97,
    0x81, 0x6a, 0x91, 0x68, 0x71, 0xca, 0x8d, 0x3c, 0x20, 0x8c, 0x16, 0xd8, 0x7c, 0xfd, 0x47,
];
/// Order of the groups; inputs are below it, or x and x + R would prove one another.
const R: Hash = [
    0x30, 0x64, 0x4e, 0x72, 0xe1, 0x31, 0xa0, 0x29, 0xb8, 0x50, 0x45, 0xb6, 0x81, 0x81, 0x58, 0x5d, 0x28,
    0x33, 0xe8, 0x48, 0x79, 0xb9, 0x70, 0x91, 0x43, 0xe1, 0xf5, 0x93, 0xf0, 0x00, 0x00, 0x01,
];

/// `Q - y` for a coordinate below Q; 0 for 0.
fn negative(y: &Hash) -> Hash {
    let mut out = [0; 32];
    if *y == out {
        return out;
    }
    let mut borrow = 0i16;
    for i in (0..32).rev() {
        let difference = i16::from(Q[i]) - i16::from(y[i]) - borrow;
        borrow = i16::from(difference < 0);
        out[i] = (difference & 255) as u8;
    }
    out
}

fn below_q(words: &[u8]) -> bool {
    words.as_chunks::<32>().0.iter().all(|word| *word < Q)
}

/// Refuses a key with a coordinate out of range, a point not of its group, or one at infinity (which would unbind what it stands for).
#[inline(never)]
pub fn check_key(key: &[u8; KEY_BYTES]) -> Result<(), ProgramError> {
    let refusal = Refusal::BadKey;
    require(below_q(key), refusal)?;
    for place in [0, 448, 512] {
        let point: [u8; 64] = at(key, place);
        require(point != [0; 64], refusal)?;
        let mut sum = [0; 128];
        sum[..64].copy_from_slice(&point);
        add(&sum).ok_or(refusal)?;
    }
    // Each point of G2 with alpha and with -alpha: the product is one exactly if all of them are points.
    let (alpha_x, alpha_y): (Hash, Hash) = (at(key, 0), at(key, 32));
    for place in [64, 192, 320] {
        let point: [u8; 128] = at(key, place);
        require(point != [0; 128], refusal)?;
        let mut pairs = [0; 384];
        for (half, y) in [(0, alpha_y), (192, negative(&alpha_y))] {
            pairs[half..half + 32].copy_from_slice(&alpha_x);
            pairs[half + 32..half + 64].copy_from_slice(&y);
            pairs[half + 64..half + 192].copy_from_slice(&point);
        }
        require(pairing_is_one(&pairs) == Some(true), refusal)?;
    }
    Ok(())
}

/// Returns only if the proof (A, B, C) holds for the input under the key.
#[inline(never)]
pub fn verify(key: &[u8], input: &Hash, proof: &[u8; 256]) -> Result<(), ProgramError> {
    require(*input < R, Refusal::InputTooLarge)?;
    require(below_q(proof), Refusal::CoordinateTooLarge)?;
    let mut scaled = [0; 96];
    scaled[..64].copy_from_slice(&key[512..]);
    scaled[64..].copy_from_slice(input);
    let mut terms = [0; 128];
    terms[..64].copy_from_slice(&multiply(&scaled).ok_or(Refusal::BadKey)?);
    terms[64..].copy_from_slice(&key[448..512]);
    let combined = add(&terms).ok_or(Refusal::BadKey)?;
    let mut pairs = [0; 768];
    pairs[..192].copy_from_slice(&proof[..192]);
    pairs[32..64].copy_from_slice(&negative(&at(proof, 32)));
    pairs[192..384].copy_from_slice(&key[..192]);
    pairs[384..448].copy_from_slice(&combined);
    pairs[448..576].copy_from_slice(&key[192..320]);
    pairs[576..640].copy_from_slice(&proof[192..]);
    pairs[640..].copy_from_slice(&key[320..448]);
    match pairing_is_one(&pairs) {
        None => Err(Refusal::PointRejected.into()),
        Some(one) => require(one, Refusal::ProofRejected),
    }
}
