//! The demo, as a user runs it, on the last days of the month alone.

use crate::place::{Place, document, run};
use serde_json::Value;

#[test]
fn the_demo_pays_the_farmer_and_refuses_the_lies() {
    let place = Place::new("demo");
    let dir = place.path("state");
    let dir = dir.to_str().expect("a path in text");
    let output = run(&["demo", "--json", "--days", "23", "--dir", dir]);
    let doc: Value = document(&output);
    assert_eq!(doc["minted"], doc["found"], "money is conserved");
    let lies: Vec<&str> = doc["lies"]
        .as_array()
        .expect("lies")
        .iter()
        .map(|lie| lie["refused"]["name"].as_str().expect("a name"))
        .collect();
    assert_eq!(
        lies,
        [
            "inference.proof.statement.model",
            "inference.proof.statement.output",
            "receipt.replayed",
            "receipt.device-signature"
        ]
    );
    let days = doc["days"].as_array().expect("days");
    assert_eq!(days.len(), 69);
    let refused = days.iter().filter(|day| day["outcome"] == "refused");
    for day in refused {
        assert_eq!(day["reason"]["name"], "inference.not-genuine", "{day}");
    }
    let caught = days.iter().filter(|day| !day["lie"].is_null() && day["outcome"] == "refused").count();
    assert!(caught >= 1, "LGA lies on the 22nd and the 23rd");
    assert_eq!(doc["cover"]["state"], "paid", "EWR and JFK proved frost on the 22nd");
    // What it left behind checks without it.
    let audited: Value = document(&run(&["audit", "--json", "--dir", dir]));
    assert_eq!(audited["verdicts"], doc["audit"]["verdicts"]);
    let again = run(&["demo", "--json", "--dir", dir]);
    assert_eq!(again.status.code(), Some(2), "a directory with a market is not overwritten");
    // A changed byte of the log is found and named.
    let path = std::path::Path::new(dir).join("log");
    let mut log = std::fs::read(&path).expect("a log");
    let middle = log.len() / 2;
    log[middle] ^= 1;
    std::fs::write(&path, log).expect("written");
    let audited = run(&["audit", "--json", "--dir", dir]);
    assert_eq!(audited.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&audited.stderr).contains("log.record"));
}
