//! /vectors/proof.json: a statement's digests and its proof's, made by `BLESS=1 cargo test -p proofmesh-prover`, checked otherwise.

mod toys;

use proofmesh_graph::program::WeightMode;
use proofmesh_graph::statement;
use proofmesh_proof::profile::Kind;
use serde_json::{Value, json};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn vector(weights: WeightMode) -> Value {
    let toy = toys::of_vectors(weights);
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
        "statement": hex(&s.binding(Kind::Device)),
        "proofSeed": 3,
        "proofBytes": proved.file.len(),
        "proof": hex(blake3::hash(&proved.file).as_bytes()),
    })
}

#[test]
fn vectors_are_what_the_code_makes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/proof.json");
    let made = json!({
        "about": "Made by BLESS=1 cargo test -p proofmesh-prover --test vectors. The program is in crates/prover/tests/toys/mod.rs; digests are hex.",
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
    let toy = toys::of_vectors(WeightMode::Public);
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
