//! `proofmesh chain`: rows, and a live chain held against them.

use crate::place::{document, run};
use proofmesh_settle::embedded::{Embedded, Limits};
use proofmesh_settle::{Clock, EMBEDDED_CHAIN_ID, profile_named};
use serde_json::Value;

/// Exit code and the name of the fault of a command with `--json`.
fn refusal(arguments: &[&str]) -> (Option<i32>, String) {
    let output = run(arguments);
    let talk = String::from_utf8_lossy(&output.stderr).into_owned();
    let fault: Value = serde_json::from_str(talk.lines().last().expect("a fault")).expect("a fault as JSON");
    (output.status.code(), fault["name"].as_str().expect("a name").to_owned())
}

#[test]
fn rows_are_listed_and_shown() {
    let all: Value = document(&run(&["chain", "list", "--json"]));
    let names: Vec<_> = all.as_array().expect("a list").iter().map(|row| row["name"].clone()).collect();
    assert!(names.contains(&"polygon".into()) && names.contains(&"iotex".into()), "{names:?}");
    let by_name: Value = document(&run(&["chain", "show", "polygon", "--json"]));
    let by_id: Value = document(&run(&["chain", "show", "137", "--json"]));
    assert_eq!(by_name, by_id);
    assert_eq!(by_name["prices"]["bn254_pairing"][1], 51_000);
    let text = run(&["chain", "show", "iotex"]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("P-256          not there") && text.contains("assumed"), "{text}");
    for unknown in ["narnia", "999999999", "-1"] {
        assert_eq!(
            refusal(&["--json", "chain", "show", "--", unknown]),
            (Some(2), "chain.unknown".to_owned())
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_chain_is_held_against_a_row() {
    let serve = async |chain: &Embedded| {
        let any_port = "127.0.0.1:0".parse().expect("address");
        chain.serve(any_port, Limits::default()).await.expect("serves")
    };
    let clock = || Clock::fixed(1_767_225_600);
    let own = Embedded::in_memory(EMBEDDED_CHAIN_ID, clock()).expect("opens");
    let server = serve(&own).await;
    let url = format!("http://{}", server.address());
    let probe = async |arguments: Vec<String>| {
        tokio::task::spawn_blocking(move || run(&arguments)).await.expect("no panic")
    };
    let words = |more: &[&str]| -> Vec<String> {
        ["chain", "probe", &url, "--json"].iter().chain(more).map(|w| (*w).to_owned()).collect()
    };
    let good: Value = document(&probe(words(&[])).await);
    assert_eq!((&good["row"], &good["chain_id"]), (&"embedded".into(), &EMBEDDED_CHAIN_ID.into()));
    let other = probe(words(&["--as", "polygon"])).await;
    assert_eq!(other.status.code(), Some(1));
    let talk = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(talk.contains("chain.chain-id") && talk.contains("another chain"), "{talk}");

    // A row's own rules on a live chain: it holds.
    let row = profile_named("polygon").expect("row");
    let like = Embedded::like(row, clock(), &[]).expect("opens");
    let like_server = serve(&like).await;
    let at = format!("http://{}", like_server.address());
    let held: Value = document(&probe(["chain", "probe", &at, "--json"].map(str::to_owned).to_vec()).await);
    assert_eq!(held["row"], "polygon");
    let nobody = ["--json", "chain", "probe", "http://127.0.0.1:1"];
    let nobody = tokio::task::spawn_blocking(move || refusal(&nobody)).await.expect("no panic");
    assert_eq!(nobody, (Some(3), "settle.rpc".to_owned()));
}
