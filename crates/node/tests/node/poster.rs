//! A poster that settles a receipt without worth is challenged and loses its bond, on the embedded chain and on a real anvil.

#[path = "../../../settle/tests/anvil/mod.rs"]
pub mod anvil;

/// What the anvil's genesis needs to know.
pub mod scenario {
    /// Where the demo's clock stands at its beginning: 2012-12-31, 05:00 UTC.
    pub const START: u64 = 1_356_930_000;
}

use crate::place::{Place, Running, document, run};
use proofmesh_settle::EMBEDDED_CHAIN_ID;
use serde_json::{Value, json};

/// The demo's poster, on two days of the month; and what must hold of it on every chain.
fn convicted(more: &[&str]) -> Value {
    let doc: Value = document(&run(&[&["demo", "--json", "--days", "2"], more].concat()));
    let poster = &doc["poster"];
    assert_eq!(poster["epoch"], 1, "{poster}");
    assert_eq!(poster["receipt"], doc["lies"][1]["receipt"]);
    assert_eq!(poster["audit"], "audit.epoch-not-closed");
    assert_eq!(poster["reason"]["name"], "inference.proof.statement.output");
    assert_eq!(
        (&poster["won"]["lost"], &poster["won"]["received"]),
        (&json!(100_000_000), &json!(60_000_000))
    );
    // The honest epochs follow, the buyer takes out what is its own, and no money is missing: half of the bond is burned.
    assert_eq!(doc["epochs"][0]["epoch"]["number"], 1);
    assert_eq!(doc["minted"], doc["found"]);
    let paid = doc["paid"].as_array().expect("payments");
    let of = |who: &str| paid.iter().find(|paid| paid["who"] == who).map(|paid| paid["amount"].clone());
    assert!(of("LGA").is_none_or(|liar| liar != json!(500_000)) && of("insurer").is_some(), "{paid:?}");
    poster.clone()
}

#[test]
fn a_planted_receipt_costs_the_poster_its_bond() {
    let place = Place::new("poster");
    let dir = place.path("state");
    let dir = dir.to_str().expect("a path in text");
    let poster = convicted(&["--dir", dir]);
    // Whoever looks afterwards finds honest epochs only.
    let model = place.path("none.pmesh");
    std::fs::write(
        &model,
        proofmesh::weather::import_model().expect("the model").file.encode().expect("bytes"),
    )
    .expect("written");
    let running = Running::start(std::path::Path::new(dir), &model, None).expect("starts");
    let found: Value =
        document(&run(&["challenge", "find", "--all", "--json", "--dir", dir, "--url", &running.api]));
    assert_eq!(found["wrong"], json!([]));
    assert!(found["receipts"].as_u64().is_some_and(|checked| checked > 0), "{found}");
    // Nothing is open any more: who answers or ends what nobody demanded is refused by the contract.
    let proof = place.path("some.proof");
    std::fs::write(&proof, [0; 256]).expect("written");
    let (proof, digest) = (proof.to_str().expect("text"), poster["receipt"].as_str().expect("a digest"));
    for verb in [&["resolve", "1", digest][..], &["answer", "1", digest, "--proof", proof]] {
        let refused = run(&[&["challenge"], verb, &["--json", "--dir", dir, "--url", &running.api]].concat());
        let talk = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(1), "{talk}");
        assert!(talk.contains("challenge.not-open"), "{verb:?}: {talk}");
    }
    let found: Value = document(&run(&[
        "challenge",
        "find",
        "--all",
        "--by",
        "auditor",
        "--json",
        "--dir",
        dir,
        "--url",
        &running.api,
    ]));
    assert_eq!((&found["wrong"], &found["challenged"]), (&json!([]), &json!([])), "nothing to put a bond on");
}

#[test]
fn and_on_anvil_at_the_same_price() {
    let Some(chain) = anvil::start(EMBEDDED_CHAIN_ID, true) else { return };
    assert_eq!(convicted(&["--chain", &chain.url])["won"]["gas"], convicted(&[])["won"]["gas"]);
}

/// `cargo test --release -p proofmesh --test node -- --ignored --nocapture proofs_alone`
#[test]
#[ignore = "a key's set-up and two wraps of the weather model: minutes, and gigabytes"]
fn the_farmer_is_paid_by_proofs_alone() {
    let place = Place::new("onchain");
    let dir = place.path("state");
    let dir = dir.to_str().expect("a path in text");
    let doc: Value = document(&run(&["demo", "--json", "--days", "23", "--proof", "onchain", "--dir", dir]));
    let proven = doc["proven"].as_array().expect("deliveries");
    println!("{proven:#?}\n{:#?}", doc["answered"]);
    assert_eq!(proven.len(), 2);
    assert_eq!((&proven[0]["paid"], &proven[1]["paid"]), (&json!(0), &json!(50_000_000)));
    assert_eq!((&proven[0]["date"], &doc["cover"]["state"]), (&proven[1]["date"], &json!("paid")));
    // Who doubts an honest receipt on chain loses the bond to the poster, who answers with the same proof.
    assert_eq!(
        (&doc["answered"]["receipt"], &doc["answered"]["bond"]),
        (&proven[0]["receipt"], &json!(10_000_000))
    );
    assert_eq!(doc["minted"], doc["found"]);
}
