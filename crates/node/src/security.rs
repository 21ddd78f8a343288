//! What holds a claim together from end to end, in bits: the proof is one link, and a chain is as strong as its weakest.
//!
//! Bits say that breaking a link is thought to take `2^bits` steps, or that an attempt succeeds with `2^-bits`. Only the proof's own error is proven
//! ([docs/spec/soundness.md](../../../docs/spec/soundness.md)); hashes and curves rest on the best attacks known.

use proofmesh_graph::assemble::has_large_input;
use proofmesh_graph::program::{Program, WeightMode};
use proofmesh_proof::profile::Kind;
use serde::Serialize;

/// One link.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Link {
    /// What it is.
    pub part: &'static str,
    /// Bits.
    pub bits: f64,
    /// Why so many.
    pub why: &'static str,
}

const fn link(part: &'static str, bits: f64, why: &'static str) -> Link {
    Link { part, bits, why }
}

/// BN254 was chosen for 128 bits; the tower number field sieve (Kim and Barbulescu, CRYPTO 2016) takes its field of 254 * 12 bits to about 100
/// (Barbulescu and Duquesne, J. Cryptology 2019).
pub const BN254_BITS: f64 = 100.0;

const BLAKE3: Link = link("hash of transcript and trees", 128.0, "BLAKE3: collisions of 256 bits");
const POSEIDON: Link =
    link("hash of transcript and trees", 126.0, "Poseidon2 over BN254: collisions of a word of 253.6 bits");
const INPUT: Link = link("commitment to inputs", 124.0, "Poseidon2 over KoalaBear: capacity of 248 bits");
const LATTICE: Link = link(
    "commitment to private weights or large inputs",
    323.0,
    "ring-SIS: core-SVP by quantum sieves (docs/decisions/0008)",
);
const RECEIPT: [Link; 2] = [
    link("signature of the device", 126.0, "Ed25519: rho on a group of 2^252"),
    link("signature of the node", 128.0, "secp256k1: rho on a group of 2^256"),
];
const WRAPPED: [Link; 2] = [
    link("statement's digest", 126.0, "SHA-256 cut to 253 bits: collisions"),
    link(
        "Groth16 over BN254",
        BN254_BITS,
        "Kim-Barbulescu tower sieve; knowledge soundness in the generic group model; nothing against whoever knows the set-up's secrets, as of any \
         DEVELOPMENT key",
    ),
];

/// The links of a proof as a coordinator checks it; `proof_bits` is `-log2` of the sum of the profile's error terms.
#[must_use]
pub fn of_proof(program: &Program, profile: Kind, proof_bits: f64) -> Vec<Link> {
    let mut links = vec![link("proof", proof_bits, "the sum of its error terms, proven")];
    links.push(if profile == Kind::Device { BLAKE3 } else { POSEIDON });
    let large = has_large_input(program);
    if !program.input.private_elements().is_empty() && !large {
        links.push(INPUT);
    }
    if program.weights == WeightMode::Private || large {
        links.push(LATTICE);
    }
    links.extend(RECEIPT);
    links
}

/// The links of a proof that is wrapped for a contract; `inner_bits` as in [`of_proof`], of the profile inside, whose verifier the circuit is: plain, or
/// hired where another wraps it.
#[must_use]
pub fn of_wrapped(program: &Program, inner: Kind, inner_bits: f64) -> Vec<Link> {
    of_proof(program, inner, inner_bits).into_iter().chain(WRAPPED).collect()
}

/// The weakest link's bits.
#[must_use]
pub fn least(links: &[Link]) -> f64 {
    links.iter().map(|link| link.bits).fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_proof_is_as_strong_as_its_curve() {
        let program = crate::weather::import_model().expect("the model").file.program;
        let (direct, wrapped) =
            (of_proof(&program, Kind::Device, 101.3), of_wrapped(&program, Kind::Plain, 103.0));
        assert_eq!((least(&direct), least(&wrapped)), (101.3, BN254_BITS));
        assert!(wrapped.iter().all(|link| link != &BLAKE3) && direct.contains(&INPUT));
        for inner in [Kind::Plain, Kind::Hired] {
            assert_eq!(least(&of_wrapped(&program, inner, 99.0)), 99.0);
        }
    }
}
