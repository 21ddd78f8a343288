//! The interfaces written for Rust are those of the committed artifacts; every artifact is whole.

use std::collections::BTreeSet;

use alloy::primitives::keccak256;
use alloy::sol_types::SolInterface;
use proofmesh_settle::abi::{Bonds, Books, Frost, Hand, Pairing, Roll, Rules, Token};
use serde_json::Value;

fn artifact(name: &str) -> Value {
    let path = format!("{}/../../contracts/artifacts/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(&path).expect(&path)).expect("JSON")
}

/// The canonical type of a parameter: tuples spelled out.
fn canonical(parameter: &Value) -> String {
    let kind = parameter["type"].as_str().expect("a type");
    match kind.strip_prefix("tuple") {
        Some(array) => format!("({}){array}", list(&parameter["components"])),
        None => kind.to_owned(),
    }
}

fn list(parameters: &Value) -> String {
    parameters.as_array().expect("a list").iter().map(canonical).collect::<Vec<_>>().join(",")
}

/// Hashes of the signatures of all items of a kind.
fn hashes(artifact: &Value, kind: &str) -> BTreeSet<[u8; 32]> {
    let items = artifact["abi"].as_array().expect("an ABI").iter().filter(|item| item["type"] == kind);
    items
        .map(|item| {
            let signature = format!("{}({})", item["name"].as_str().expect("a name"), list(&item["inputs"]));
            keccak256(signature).0
        })
        .collect()
}

fn first4(hashes: &BTreeSet<[u8; 32]>) -> BTreeSet<[u8; 4]> {
    hashes.iter().map(|h| [h[0], h[1], h[2], h[3]]).collect()
}

fn check<Calls: SolInterface, Errors: SolInterface>(name: &str, topics: &[[u8; 32]]) {
    let artifact = artifact(name);
    let functions = first4(&hashes(&artifact, "function"));
    for selector in Calls::selectors() {
        assert!(functions.contains(&selector), "{name} has no function {selector:02x?}");
    }
    let ours: BTreeSet<_> = Errors::selectors().collect();
    assert_eq!(ours, first4(&hashes(&artifact, "error")), "errors of {name}");
    let events = hashes(&artifact, "event");
    for topic in topics {
        assert!(events.contains(topic), "{name} has no event {}", alloy::hex::encode(topic));
    }
}

#[test]
fn the_rust_interfaces_are_the_contracts() {
    check::<Token::TokenCalls, Token::TokenErrors>("TestUSD", &[]);
    check::<Books::BooksCalls, Books::BooksErrors>("Settlement", Books::BooksEvents::SELECTORS);
    check::<Roll::RollCalls, Roll::RollErrors>("Registry", Roll::RollEvents::SELECTORS);
    check::<Bonds::BondsCalls, Bonds::BondsErrors>("Stake", Bonds::BondsEvents::SELECTORS);
    check::<Hand::HandCalls, Hand::HandErrors>("Delivery", Hand::HandEvents::SELECTORS);
    check::<Rules::RulesCalls, Rules::RulesErrors>("Transitions", &[]);
    check::<Pairing::PairingCalls, Pairing::PairingErrors>("Groth16Verifier", &[]);
    check::<Frost::FrostCalls, Frost::FrostErrors>("WeatherCover", Frost::FrostEvents::SELECTORS);
}

#[test]
fn artifacts_come_from_one_compilation() {
    let names = [
        "TestUSD",
        "Settlement",
        "Registry",
        "Stake",
        "WeatherCover",
        "Transitions",
        "Delivery",
        "Groth16Verifier",
    ];
    let inputs: BTreeSet<_> = names.iter().map(|n| artifact(n)["inputSha256"].to_string()).collect();
    assert_eq!(inputs.len(), 1, "npm run build writes all of them");
    for name in names {
        let a = artifact(name);
        for code in ["bytecode", "deployedBytecode"] {
            let bytes = alloy::hex::decode(a[code].as_str().expect("text")).expect("hex, nothing to link");
            assert!(!bytes.is_empty() && bytes.len() <= 24_576 * 2, "{name} {code}");
        }
        assert_eq!(a["evmVersion"], "prague");
    }
}
