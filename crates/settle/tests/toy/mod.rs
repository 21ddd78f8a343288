//! A small circuit with one public input, its key, and real Groth16 proofs of any statement, in the words that
//! the contracts read. The circuit shows only that the statement is a product, which everything is: it stands
//! for the wrap where the chain's side is what is tested. Seeds are fixed, so keys are the same on every machine
//! and worth nothing.

use ark_bn254::{Bn254, Fq, Fr, G1Affine, G2Affine};
use ark_ff::{BigInteger, Field, PrimeField};
use ark_groth16::{Groth16, ProvingKey};
use ark_relations::gr1cs::{ConstraintSynthesizer, ConstraintSystemRef, SynthesisError};
use ark_relations::lc;
use ark_std::rand::SeedableRng;
use ark_std::rand::rngs::StdRng;
use proofmesh_market::Hash32;
use proofmesh_market::statement::public_input;

/// The one public input of a wrapped proof about one receipt, of plain bytes.
pub fn statement(
    model: &[u8; 32],
    context: &[u8; 32],
    input: &[u8; 32],
    public: &[u8],
    output: &[i32],
) -> [u8; 32] {
    public_input(&Hash32(*model), &Hash32(*context), &Hash32(*input), public, output)
}

/// `x = a b`, and a chain of squares so that it is no single constraint.
struct Product {
    a: Fr,
    b: Fr,
}

impl ConstraintSynthesizer<Fr> for Product {
    fn generate_constraints(self, cs: ConstraintSystemRef<Fr>) -> Result<(), SynthesisError> {
        let x = cs.new_input_variable(|| Ok(self.a * self.b))?;
        let a = cs.new_witness_variable(|| Ok(self.a))?;
        let b = cs.new_witness_variable(|| Ok(self.b))?;
        cs.enforce_r1cs_constraint(|| lc!() + a, || lc!() + b, || lc!() + x)?;
        let (mut value, mut last) = (self.b, b);
        for _ in 0..30 {
            value.square_in_place();
            let next = cs.new_witness_variable(|| Ok(value))?;
            cs.enforce_r1cs_constraint(|| lc!() + last, || lc!() + last, || lc!() + next)?;
            last = next;
        }
        Ok(())
    }
}

/// A key pair of the small circuit.
pub struct Toy {
    pub keys: ProvingKey<Bn254>,
}

impl Toy {
    pub fn new(seed: u64) -> Self {
        let (a, b) = (Fr::from(3u64), Fr::from(5u64));
        let mut rng = StdRng::seed_from_u64(seed);
        let keys = Groth16::<Bn254>::generate_random_parameters_with_reduction(Product { a, b }, &mut rng);
        Self { keys: keys.expect("a circuit that is satisfied") }
    }

    /// alpha, beta, gamma, delta, IC0, IC1: 18 words of 32 bytes, as `Groth16Verifier` takes them.
    pub fn key(&self) -> [u8; 576] {
        let vk = &self.keys.vk;
        let mut words = g1(&vk.alpha_g1);
        for point in [&vk.beta_g2, &vk.gamma_g2, &vk.delta_g2] {
            words.extend(g2(point));
        }
        assert_eq!(vk.gamma_abc_g1.len(), 2, "one public input");
        vk.gamma_abc_g1.iter().for_each(|point| words.extend(g1(point)));
        words.try_into().expect("18 words")
    }

    /// A, B, C: 256 bytes. Another `seed`, another proof of the same.
    pub fn prove(&self, statement: &[u8; 32], seed: u64) -> Vec<u8> {
        let x = Fr::from_be_bytes_mod_order(statement);
        assert_eq!(x.into_bigint().to_bytes_be(), statement, "a statement below the order");
        let b = Fr::from(seed + 2);
        let a = x * b.inverse().expect("not zero");
        let mut rng = StdRng::seed_from_u64(seed);
        let proof =
            Groth16::<Bn254>::create_random_proof_with_reduction(Product { a, b }, &self.keys, &mut rng)
                .expect("a circuit that is satisfied");
        [g1(&proof.a), g2(&proof.b), g1(&proof.c)].concat()
    }
}

fn word(x: Fq) -> Vec<u8> {
    x.into_bigint().to_bytes_be()
}

fn g1(point: &G1Affine) -> Vec<u8> {
    [word(point.x), word(point.y)].concat()
}

/// EIP-197: the imaginary part first.
pub fn g2(point: &G2Affine) -> Vec<u8> {
    [word(point.x.c1), word(point.x.c0), word(point.y.c1), word(point.y.c0)].concat()
}
