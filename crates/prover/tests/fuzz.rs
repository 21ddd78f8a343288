//! Random programs over every operator and output: the executor against the reference, the claims against the witness, and the witness
//! against random changes of real elements.
//!
//! A long run: `FUZZ_SEED=1 FUZZ_CASES=20000 cargo test --release -p proofmesh-prover --test fuzz -- --ignored --nocapture`.

mod graphs;
mod reference;
mod toys;

use graphs::{KINDS, has_weights, hold, mode, proves, random_program, random_toy};
use p3_field::PrimeCharacteristicRing;
use proofmesh_graph::program::WeightMode;
use proofmesh_graph::tensor::Shape;
use proofmesh_proof::field::F;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use toys::Toy;

/// A program of a seed, its shapes rarely powers of two, with inputs.
fn case(seed: u64) -> Toy {
    let mut rng = StdRng::seed_from_u64(seed);
    let size = |rng: &mut StdRng, n: usize| rng.random_range(1..=n);
    let shape = Shape::new(size(&mut rng, 5), size(&mut rng, 7), size(&mut rng, 9));
    let kinds: Vec<usize> = (0..rng.random_range(1..=7)).map(|_| rng.random_range(0..KINDS)).collect();
    let private = rng.random_range(0..3) == 0;
    let mut program = random_program(&mut rng, shape, &kinds, mode(private));
    if !has_weights(&program.nodes) {
        program.weights = WeightMode::Public;
    }
    let batch = [1, 1, 2, 3, 5][rng.random_range(0..5)];
    random_toy(program, batch, rng.random())
}

/// Changes real elements of values, one at a time; each must be refused.
fn lies(toy: &Toy, rng: &mut StdRng, count: usize) {
    let honest = toy.witness();
    let types = toy.program.check().expect("well-formed");
    for _ in 0..count {
        let id = rng.random_range(0..types.len());
        let (batch, element) =
            (rng.random_range(0..toy.inputs.len()), rng.random_range(0..types[id].shape.len()));
        // A public input element is bound by the statement, a private one by its commitment; every other value by its operands.
        let mut lie = honest.clone();
        let delta = if rng.random() { F::from_i64(rng.random_range(1..=300)) } else { rng.random::<F>() };
        let delta = if delta == F::ZERO { F::ONE } else { delta };
        *lie.element(toy, id, batch, element) += delta;
        assert!(
            lie.named().is_some(),
            "value {id} of input {batch}, element {element}, may change by {delta}: {:?}",
            toy.program
        );
    }
}

/// Runs the cases of consecutive seeds; every `prove`-th makes a proof too.
fn run(first: u64, cases: u64, prove: u64) {
    let mut rng = StdRng::seed_from_u64(first);
    let mut proofs = 0;
    for seed in first..first + cases {
        let toy = case(seed);
        hold(&toy).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        lies(&toy, &mut rng, 2);
        if seed.is_multiple_of(prove) {
            proves(&toy, seed);
            proofs += 1;
        }
        if seed > first && seed.is_multiple_of(1000) {
            println!("{} cases, {proofs} proofs", seed - first);
        }
    }
    println!("{cases} cases from seed {first}, {proofs} proofs");
}

#[test]
fn random_programs() {
    run(0, 150, 25);
}

#[test]
#[ignore = "as long as asked for: FUZZ_SEED, FUZZ_CASES"]
fn many_random_programs() {
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |v| v.parse().unwrap_or_else(|_| panic!("{name} is no number")))
    };
    run(number("FUZZ_SEED", 1_000_000), number("FUZZ_CASES", 5000), 40);
}
