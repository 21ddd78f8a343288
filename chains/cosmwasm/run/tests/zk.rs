//! The zero-knowledge proof itself in the machine: genuine proofs taken, lies refused by name, and what it costs (gas-zk.json).

use cosmwasm_std::{Binary, Checksum};
use proofmesh_cosmwasm_run::{Contract, Done, Gas, hold_gas};
use proofmesh_cosmwasm_zk::{DOCUMENT_BYTES, Execute, Instantiate, MODEL_BYTES, PROOF_BYTES, Query};
use std::collections::BTreeMap;

fn vector(name: &str) -> Vec<u8> {
    let path = format!("{}/../../../vectors/verifier/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A model, a statement about it and its proof.
struct Vector {
    model: Checksum,
    file: Vec<u8>,
    document: String,
    proof: Vec<u8>,
}

impl Vector {
    fn read(name: &str) -> Self {
        let [file, document, proof] =
            ["pmesh", "json", "proof"].map(|kind| vector(&format!("{name}.{kind}")));
        let document = String::from_utf8(document).expect("JSON");
        Vector { model: Checksum::generate(&file), file, document, proof }
    }
}

fn send(contract: &mut Contract, message: &Execute) -> Done {
    contract.execute(&Contract::who("anybody"), &[], message)
}

fn add(contract: &mut Contract, file: &[u8]) -> Done {
    send(contract, &Execute::AddModel { file: Binary::from(file) })
}

fn verify(contract: &mut Contract, model: Checksum, document: &str, proof: &[u8]) -> Done {
    send(contract, &Execute::Verify { model, document: document.to_owned(), proof: Binary::from(proof) })
}

#[test]
fn the_machine_checks_the_zero_knowledge_proof_itself() {
    let mut gas: BTreeMap<&str, Gas> = BTreeMap::new();
    let mut contract = Contract::new("zk");
    gas.insert("instantiate", contract.instantiate(&Instantiate {}).gas);
    let all = ["weather", "public", "private"].map(Vector::read);
    let rows = ["verify, weather", "verify, public", "verify, private"];
    for (Vector { model, file, document, proof }, row) in all.iter().zip(rows) {
        assert_eq!(verify(&mut contract, *model, document, proof).refusal(), "model.unknown");
        let added = add(&mut contract, file);
        if row == "verify, weather" {
            gas.insert("add_model, weather", added.gas);
        }
        added.response();
        assert!(contract.query::<bool>(&Query::HasModel { model: *model }).expect("an answer"));
        let done = verify(&mut contract, *model, document, proof);
        gas.insert(row, done.gas);
        done.response();
    }
    hold_gas("gas-zk.json", &gas);
}

#[test]
fn lies_about_a_zero_knowledge_proof_are_refused_by_name() {
    let mut contract = Contract::new("zk");
    contract.instantiate(&Instantiate {}).response();
    let [Vector { model, file, document, proof }, other] = ["weather", "public"].map(Vector::read);
    add(&mut contract, &file).response();
    add(&mut contract, &other.file).response();
    // A bit changed anywhere, cut short, longer, empty.
    for at in [0, proof.len() / 3, proof.len() / 2, proof.len() - 1] {
        let mut lie = proof.clone();
        lie[at] ^= 1;
        let done = verify(&mut contract, model, &document, &lie);
        assert!(done.gas.memory_kib <= 32 << 10, "{at}: {} KiB", done.gas.memory_kib);
        let refusal = done.refusal();
        let families = ["proof.", "statement.", "logup.", "claims.", "opening.", "commitment."];
        assert!(families.iter().any(|family| refusal.starts_with(family)), "byte {at}: {refusal}");
    }
    let lengths = [&proof[..proof.len() - 1], &[&proof[..], &[0]].concat(), &[]];
    for lie in lengths {
        let refusal = verify(&mut contract, model, &document, lie).refusal();
        assert!(refusal.starts_with("proof."), "{} bytes: {refusal}", lie.len());
    }
    // Another model; another proof; another statement.
    assert_eq!(verify(&mut contract, other.model, &document, &proof).refusal(), "statement.model");
    assert_eq!(verify(&mut contract, model, &document, &other.proof).refusal(), "statement.model");
    let context = document.replacen("\"context\": \"0x", "\"context\": \"0x00", 1);
    assert_ne!(context, document);
    assert_eq!(verify(&mut contract, model, &context, &proof).refusal(), "statement.context");
    assert_eq!(verify(&mut contract, model, "{}", &proof).refusal(), "statement.json");
    // The document says what the proof does not: another output, another public word.
    let altered = |from: &str, to: &str| {
        let lie = document.replacen(from, to, 1);
        assert_ne!(lie, document);
        lie
    };
    let outputs = document.find("\"outputs\"").expect("the outputs stand last");
    let (inputs, rest) = document.split_at(outputs);
    let output = format!("{inputs}{}", rest.replacen('1', "0", 1));
    assert_eq!(verify(&mut contract, model, &output, &proof).refusal(), "statement.output");
    let public = altered("-10,", "-9,");
    assert_eq!(verify(&mut contract, model, &public, &proof).refusal(), "statement.input");
    // A file of the profile whose hash is Poseidon2 over BN254, made for circuits: it is told by its first byte, before anything of it is read.
    let mut chain = proof.clone();
    chain[0] |= 1 << 4; // profile 1, chain, beside the version
    assert_ne!(chain, proof);
    assert_eq!(verify(&mut contract, model, &document, &chain).refusal(), "statement.profile");
    // A file that is no model; messages beyond their bounds.
    assert_eq!(add(&mut contract, &file[..file.len() / 4]).refusal(), "model.model-file-malformed");
    assert_eq!(add(&mut contract, &vec![0; MODEL_BYTES + 1]).refusal(), "message.too-large");
    let long = " ".repeat(DOCUMENT_BYTES + 1);
    assert_eq!(verify(&mut contract, model, &long, &proof).refusal(), "message.too-large");
    let long = vec![0; PROOF_BYTES + 1];
    let done = verify(&mut contract, model, &document, &long);
    assert!(done.gas.memory_kib <= 32 << 10, "{} KiB", done.gas.memory_kib);
    assert_eq!(done.refusal(), "message.too-large");
}
