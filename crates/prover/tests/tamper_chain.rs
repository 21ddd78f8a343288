//! The tamper table of `tamper.rs` under the profile *chain*.

mod tamper_rows;
mod toys;

use p3_bn254::Bn254;
use p3_field::PrimeCharacteristicRing;
use proofmesh_graph::program::{Output, WeightMode};
use proofmesh_graph::statement::{self, ProofFile, decode_proof, encode_proof};
use proofmesh_proof::chain::{Chain, Poseidon};
use proofmesh_proof::profile::Kind;
use proofmesh_prover::Proved;
use rand::SeedableRng;
use rand::rngs::StdRng;
use toys::{Toy, conv, node, program, rescale, window};

/// The suite of the table.
type S = Poseidon;
/// Its digests.
type Word = Bn254;
const WORDS: usize = 1;

fn zero() -> Word {
    Bn254::ZERO
}

fn alter(digest: &mut [Word; WORDS]) {
    digest[0] += Bn254::ONE;
}

#[test]
fn every_field_of_a_chain_proof_is_refused_by_name() {
    let mut rng = StdRng::seed_from_u64(60);
    let nodes =
        vec![node("conv", conv(&mut rng, [2, 2, 1], window([2, 2], [1, 1]), rescale(8, 0, 127), 40), &[0])];
    let toy = Toy::random(program([2, 2, 3], nodes, vec![Output::Values(1)], WeightMode::Public), 1, 61);
    let [proved, other]: [Proved; 2] = [62, 63].map(|seed| toy.prove_as(Kind::Chain, seed));
    statement::verify(&proved.statement, &proved.file).expect("an honest proof verifies");
    let decoded =
        |proved: &Proved| -> ProofFile<Chain> { decode_proof(&proved.file).expect("an honest file") };
    let (honest, other) = (decoded(&proved), decoded(&other).proof);
    let mut wrong = Vec::new();
    for row in tamper_rows::rows() {
        let mut lie = honest.clone();
        (row.change)(&mut lie.proof, &mut other.clone());
        let file = encode_proof(&lie);
        assert!(file != proved.file, "{}: the row changes nothing", row.name);
        match statement::verify(&proved.statement, &file) {
            Err(refused) if refused.check == row.check => {}
            refused => wrong.push(format!("{}: expected {}, got {refused:?}", row.name, row.check)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
