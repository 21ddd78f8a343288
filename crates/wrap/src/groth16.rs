//! Groth16 (Groth, eprint 2016/260) over BN254 around a finished constraint system, by arkworks.
//!
//! The proving key is that of arkworks: queries in the order of our assignment `(1, public, witness..)`, generators of the groups as EIP-197
//! has them, the reduction to a quadratic arithmetic program that ceremonies by snarkjs use ([`crate::qap`]).

use ark_bn254::{Bn254, Fq, Fr, G1Affine, G1Projective, G2Affine, G2Projective};
use ark_ec::{AffineRepr, PrimeGroup};
use ark_ff::{BigInteger, PrimeField};
use ark_groth16::{Groth16, Proof, ProvingKey, prepare_verifying_key};
use ark_relations::gr1cs::{
    ConstraintSynthesizer, ConstraintSystemRef, LinearCombination, SynthesisError, Variable,
};
use ark_std::rand::{SeedableRng, rngs::StdRng};
use proofmesh_proof::reject::Reject;
use sha2::{Digest, Sha256};

use crate::qap::Odd;
use crate::r1cs::{Builder, PUBLIC_INPUTS, Var};

/// A verification key.
pub type VerifyingKey = ark_groth16::VerifyingKey<Bn254>;

/// Bytes of a proof as a contract reads it.
pub const PROOF_BYTES: usize = 256;

/// Numbers of 32 bytes in a verification key with one public input.
pub const KEY_WORDS: usize = 18;

/// What arkworks' generator reads.
struct Matrices<'a>(&'a Builder);

impl ConstraintSynthesizer<Fr> for Matrices<'_> {
    fn generate_constraints(self, cs: ConstraintSystemRef<Fr>) -> Result<(), SynthesisError> {
        let Self(b) = self;
        for (i, value) in b.assignment().iter().enumerate().skip(1) {
            let _ = if i <= PUBLIC_INPUTS {
                cs.new_input_variable(|| Ok(*value))?
            } else {
                cs.new_witness_variable(|| Ok(*value))?
            };
        }
        let variable = |var: Var| match var as usize {
            0 => Variable::One,
            i if i <= PUBLIC_INPUTS => Variable::instance(i),
            i => Variable::witness(i - 1 - PUBLIC_INPUTS),
        };
        let row = |matrix: usize, i: usize| {
            let terms = b.matrices()[matrix].row(i).iter();
            LinearCombination(terms.map(|(v, c)| (b.coefficients()[*c as usize], variable(*v))).collect())
        };
        for i in 0..b.constraints() {
            cs.enforce_r1cs_constraint(|| row(0, i), || row(1, i), || row(2, i))?;
        }
        Ok(())
    }
}

/// Rows of a circuit's domain: a power of two, with one more row for each public value.
pub fn domain(b: &Builder) -> usize {
    (b.constraints() + 1 + PUBLIC_INPUTS).next_power_of_two()
}

/// A field element from a seed: 512 bits modulo r.
pub(crate) fn scalar(seed: &[u8; 32], index: u8) -> Fr {
    let mut bytes = [0; 64];
    blake3::Hasher::new_derive_key("proofmesh wrap development key 1")
        .update(seed)
        .update(&[index])
        .finalize_xof()
        .fill(&mut bytes);
    Fr::from_le_bytes_mod_order(&bytes)
}

/// A DEVELOPMENT key: whoever knows the seed can forge proofs of anything. For tests and demonstrations; a key that money depends on comes
/// from a ceremony over the same constraint system.
///
/// Errors: `wrap.setup`, for a system too large for BN254's roots of unity (`2^28`).
pub fn development_key(b: &Builder, seed: &[u8; 32]) -> Result<ProvingKey<Bn254>, Reject> {
    let [alpha, beta, gamma, delta] = [0, 1, 2, 3].map(|i| scalar(seed, i));
    let mut rng = StdRng::from_seed(*seed);
    Groth16::<Bn254, Odd>::generate_parameters_with_qap(
        Matrices(b),
        alpha,
        beta,
        gamma,
        delta,
        G1Projective::generator(),
        G2Projective::generator(),
        &mut rng,
    )
    .map_err(|e| Reject::new("wrap.setup", "a system of at most 2^28 rows", e))
}

/// A proof that somebody knows the witness. Fresh randomness from the operating system hides it.
///
/// Errors: `wrap.witness`, naming the part of the circuit that the assignment breaks; `wrap.key`, for the key of another circuit;
/// `wrap.random` where the operating system gives no randomness.
pub fn prove(b: &Builder, key: &ProvingKey<Bn254>) -> Result<Proof<Bn254>, Reject> {
    if let Some((i, part)) = b.broken() {
        return Err(Reject::new(
            "wrap.witness",
            "a proof that the native verifier accepts",
            format!("row {i}, {part}"),
        ));
    }
    if key.a_query.len() != b.assignment().len() || key.vk.gamma_abc_g1.len() != 1 + PUBLIC_INPUTS {
        return Err(Reject::new("wrap.key", b.assignment().len(), key.a_query.len()));
    }
    let [r, s] = [random()?, random()?];
    // The prover needs only the rows' values: one entry a row, on the variable that is 1.
    let matrices = [0, 1, 2].map(|m| (0..b.constraints()).map(|i| vec![(b.evaluate(m, i), 0)]).collect());
    Groth16::<Bn254, Odd>::create_proof_with_reduction_and_matrices(
        key,
        r,
        s,
        &matrices,
        1 + PUBLIC_INPUTS,
        b.constraints(),
        b.assignment(),
    )
    .map_err(|e| Reject::new("wrap.key", "the key of this circuit", e))
}

fn random() -> Result<Fr, Reject> {
    let mut bytes = [0; 64];
    getrandom::fill(&mut bytes).map_err(|e| Reject::new("wrap.random", "randomness", e))?;
    Ok(Fr::from_le_bytes_mod_order(&bytes))
}

/// Checks a proof against the one public input.
///
/// Errors: `wrap.key`, `wrap.proof`.
pub fn verify(key: &VerifyingKey, public: Fr, proof: &Proof<Bn254>) -> Result<(), Reject> {
    let accepted = Groth16::<Bn254, Odd>::verify_proof(&prepare_verifying_key(key), proof, &[public])
        .map_err(|e| Reject::new("wrap.key", "a key with one public input", e))?;
    if accepted { Ok(()) } else { Err(Reject::new("wrap.proof", "a proof of this statement", "another")) }
}

/// A coordinate, big-endian.
fn word(x: Fq) -> [u8; 32] {
    x.into_bigint().to_bytes_be().try_into().expect("32 bytes")
}

fn words_g1(p: &G1Affine) -> [[u8; 32]; 2] {
    // The point at infinity is (0, 0) to the precompiles.
    p.xy().map_or([[0; 32]; 2], |(x, y)| [word(x), word(y)])
}

/// EIP-197 writes an element of the quadratic field with its imaginary part first.
fn words_g2(p: &G2Affine) -> [[u8; 32]; 4] {
    p.xy().map_or([[0; 32]; 4], |(x, y)| [word(x.c1), word(x.c0), word(y.c1), word(y.c0)])
}

/// A proof as a contract reads it: `A`, `B`, `C`, coordinates big-endian, in EIP-197's order.
pub fn encode(proof: &Proof<Bn254>) -> [u8; PROOF_BYTES] {
    let words = [&words_g1(&proof.a)[..], &words_g2(&proof.b), &words_g1(&proof.c)].concat();
    words.concat().try_into().expect("eight words")
}

/// Reads what [`encode`] gives.
///
/// Errors: `wrap.encoding`: another length, a coordinate not below q, a point off its curve or outside the group of order r, infinity.
pub fn decode(bytes: &[u8]) -> Result<Proof<Bn254>, Reject> {
    let malformed = || Reject::new("wrap.encoding", "256 bytes of three points in their groups", "others");
    let (words, []) = bytes.as_chunks::<32>() else { return Err(malformed()) };
    let coordinates: Vec<Fq> = words
        .iter()
        .map(|w| {
            let value = Fq::from_be_bytes_mod_order(w);
            (word(value) == *w).then_some(value)
        })
        .collect::<Option<_>>()
        .ok_or_else(malformed)?;
    let [ax, ay, bx1, bx0, by1, by0, cx, cy] = coordinates[..] else { return Err(malformed()) };
    let g1 = |x, y| {
        let p = G1Affine::new_unchecked(x, y);
        let inside = !p.is_zero() && p.is_on_curve() && p.is_in_correct_subgroup_assuming_on_curve();
        inside.then_some(p).ok_or_else(malformed)
    };
    let b = G2Affine::new_unchecked(ark_bn254::Fq2::new(bx0, bx1), ark_bn254::Fq2::new(by0, by1));
    if b.is_zero() || !b.is_on_curve() || !b.is_in_correct_subgroup_assuming_on_curve() {
        return Err(malformed());
    }
    Ok(Proof { a: g1(ax, ay)?, b, c: g1(cx, cy)? })
}

/// A verification key as a contract holds it: `alpha`, `beta`, `gamma`, `delta`, then the two points of the public input.
///
/// # Panics
/// For a key with another number of public inputs than one.
pub fn key_words(key: &VerifyingKey) -> [[u8; 32]; KEY_WORDS] {
    let mut words = words_g1(&key.alpha_g1).to_vec();
    for p in [&key.beta_g2, &key.gamma_g2, &key.delta_g2] {
        words.extend(words_g2(p));
    }
    key.gamma_abc_g1.iter().for_each(|p| words.extend(words_g1(p)));
    words.try_into().expect("one public input")
}

/// Reads a verification key from the words that a contract holds.
///
/// Errors: `wrap.key`: another length, a coordinate not below q, a point at infinity, off its curve or outside the group of order r.
pub fn key_of_words(bytes: &[u8]) -> Result<VerifyingKey, Reject> {
    let malformed = || {
        Reject::new("wrap.key", "18 words of six points in their groups", format!("{} bytes", bytes.len()))
    };
    let (words, []) = bytes.as_chunks::<32>() else { return Err(malformed()) };
    let coordinate = |w: &[u8; 32]| {
        let value = Fq::from_be_bytes_mod_order(w);
        (word(value) == *w).then_some(value)
    };
    let x = words
        .iter()
        .map(coordinate)
        .collect::<Option<Vec<Fq>>>()
        .filter(|x| x.len() == KEY_WORDS)
        .ok_or_else(malformed)?;
    let g1 = |i: usize| {
        let p = G1Affine::new_unchecked(x[i], x[i + 1]);
        (!p.is_zero() && p.is_on_curve() && p.is_in_correct_subgroup_assuming_on_curve()).then_some(p)
    };
    let g2 = |i: usize| {
        let pair = |i: usize| ark_bn254::Fq2::new(x[i + 1], x[i]);
        let p = G2Affine::new_unchecked(pair(i), pair(i + 2));
        (!p.is_zero() && p.is_on_curve() && p.is_in_correct_subgroup_assuming_on_curve()).then_some(p)
    };
    let points = || {
        let gamma_abc_g1 = vec![g1(14)?, g1(16)?];
        Some(VerifyingKey {
            alpha_g1: g1(0)?,
            beta_g2: g2(2)?,
            gamma_g2: g2(6)?,
            delta_g2: g2(10)?,
            gamma_abc_g1,
        })
    };
    points().ok_or_else(malformed)
}

/// SHA-256, as keys' files are named by.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bits::range;
    use crate::r1cs::Num;
    use ark_ff::Field;

    /// `x^2 = public`, x below 2^8.
    fn square(x: u64, public: u64) -> Builder {
        let mut b = Builder::new(Fr::from(public));
        let x = b.witness(Fr::from(x));
        range(&mut b, &x, 8);
        let y = b.product(&x, &x);
        let public = b.public();
        b.equal(&y, &public);
        // A row of constants alone.
        b.equal(&Num::constant(Fr::ONE), &Num::constant(Fr::ONE));
        b
    }

    #[test]
    fn proofs_are_accepted_for_their_statement_only() {
        let key = development_key(&square(0, 0), &[7; 32]).unwrap();
        let proof = prove(&square(12, 144), &key).unwrap();
        assert_eq!(verify(&key.vk, Fr::from(144u64), &proof), Ok(()));
        assert_eq!(verify(&key.vk, Fr::from(145u64), &proof).unwrap_err().check, "wrap.proof");
        assert_ne!(proof, prove(&square(12, 144), &key).unwrap(), "proofs are randomised");
        let other = development_key(&square(0, 0), &[8; 32]).unwrap();
        assert_eq!(verify(&other.vk, Fr::from(144u64), &proof).unwrap_err().check, "wrap.proof");
        let lie = prove(&square(12, 145), &key).unwrap_err();
        assert_eq!((lie.check, lie.got.contains("other")), ("wrap.witness", true));
        let mut larger = square(12, 144);
        larger.witness(Fr::from(1u64));
        assert_eq!(prove(&larger, &key).unwrap_err().check, "wrap.key");
    }

    #[test]
    fn encodings_are_read_back_and_others_refused() {
        let key = development_key(&square(0, 0), &[7; 32]).unwrap();
        let proof = prove(&square(5, 25), &key).unwrap();
        let bytes = encode(&proof);
        assert_eq!(decode(&bytes).unwrap(), proof);
        assert_eq!(decode(&bytes[1..]).unwrap_err().check, "wrap.encoding");
        for i in 0..PROOF_BYTES {
            let mut lie = bytes;
            lie[i] ^= 1;
            let refused = decode(&lie).and_then(|p| verify(&key.vk, Fr::from(25u64), &p));
            assert!(refused.is_err(), "byte {i}");
        }
        assert_eq!(decode(&[0; 256]).unwrap_err().check, "wrap.encoding");
        // q + x is another spelling of x.
        let q = word(-Fq::from(1u64));
        let mut lie = [0; 256];
        lie[..32].copy_from_slice(&q);
        lie[31] += 1;
        assert_eq!(decode(&lie).unwrap_err().check, "wrap.encoding");
        let words = key_words(&key.vk).concat();
        assert_eq!(key_of_words(&words).unwrap(), key.vk);
        assert_eq!(key_of_words(&words[1..]).unwrap_err().check, "wrap.key");
        for i in 0..KEY_WORDS {
            let mut lie = words.clone();
            lie[32 * i + 31] ^= 1;
            assert_eq!(key_of_words(&lie).unwrap_err().check, "wrap.key", "word {i}");
        }
    }
}
