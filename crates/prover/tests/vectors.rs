//! /vectors/proof.json: a statement's digests and its proof's, made by `BLESS=1 cargo test -p proofmesh-prover`, checked otherwise.

mod toys;

use proofmesh_graph::op::{ExtremePool, Op};
use proofmesh_graph::program::{Output, WeightMode};
use proofmesh_graph::statement;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use toys::{Toy, conv, node, program, rescale, window};

/// A convolution, a pool and a dense layer on a batch of two.
fn toy(weights: WeightMode) -> Toy {
    let mut rng = StdRng::seed_from_u64(1);
    let nodes = vec![
        node("conv", conv(&mut rng, [1, 3, 1], window([2, 2], [1, 1]), rescale(7, 0, 127), 100), &[0]),
        node("max", Op::ExtremePool(ExtremePool { window: window([2, 2], [2, 1]), smallest: false }), &[1]),
        node("dense", conv(&mut rng, [3, 4, 1], window([1, 2], [1, 1]), rescale(7, -127, 127), -50), &[2]),
    ];
    let mut program = program([1, 3, 4], nodes, vec![Output::Values(3), Output::ArgMax(3)], weights);
    program.name = "vector".into();
    Toy::random(program, 2, 2)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn vector(weights: WeightMode) -> Value {
    let toy = toy(weights);
    let proved = toy.prove(3);
    statement::verify(&proved.statement, &proved.file).expect("an honest proof verifies");
    let s = &proved.statement;
    json!({
        "weights": format!("{weights:?}"),
        "model": hex(&s.model_id()),
        "weightCommitment": s.weights.map(|d| hex(&d)),
        "inputs": toy.inputs.iter().map(|x| x.data.clone()).collect::<Vec<_>>(),
        "inputCommitments": s.inputs.iter().map(|i| hex(&i.commitment)).collect::<Vec<_>>(),
        "outputs": s.outputs,
        "context": hex(&s.context),
        "statement": hex(&s.binding()),
        "proofSeed": 3,
        "proofBytes": proved.file.len(),
        "proof": hex(blake3::hash(&proved.file).as_bytes()),
    })
}

#[test]
fn vectors_are_what_the_code_makes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/proof.json");
    let made = json!({
        "about": "Made by BLESS=1 cargo test -p proofmesh-prover --test vectors. The program is in crates/prover/tests/vectors.rs; digests are hex.",
        "proofs": [vector(WeightMode::Public), vector(WeightMode::Private)],
    });
    if std::env::var_os("BLESS").is_some() {
        let text = serde_json::to_string_pretty(&made).expect("plain data") + "\n";
        std::fs::write(path, text).expect("the vectors' folder is writable");
        return;
    }
    let text = std::fs::read_to_string(path).expect("run with BLESS=1 once");
    let committed: Value = serde_json::from_str(&text).expect("the vectors are JSON");
    assert_eq!(
        committed, made,
        "vectors/proof.json is not what this code makes; BLESS=1 and read the difference"
    );
}

#[test]
fn threads_do_not_change_a_proof() {
    let toy = toy(WeightMode::Public);
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool of threads");
        pool.install(|| toy.prove(5).file)
    };
    let alone = with(1);
    for _ in 0..6 {
        assert!(with(4) == alone, "the same seed gave another proof");
    }
    assert!(alone != toy.prove(6).file, "another seed gives another proof");
}
