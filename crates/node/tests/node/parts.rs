//! A batch in parts: proven within a memory bound, verified as one, and refused by name when the set is not whole.

use crate::place::{Place, document, run};
use serde_json::Value;
use std::path::PathBuf;

/// The name of the fault of a command with `--json`.
#[track_caller]
fn fault(arguments: &[&str], code: i32) -> String {
    let output = run(arguments);
    let talk = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{talk}");
    let fault: Value = serde_json::from_str(talk.lines().last().expect("a fault")).expect("a fault as JSON");
    fault["name"].as_str().expect("a name").to_owned()
}

#[test]
fn a_batch_beyond_its_memory_is_proven_in_parts_that_hold_together() {
    let place = Place::new("parts");
    let rows = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/weather-qod/test/x_i8.npy");
    let proof = place.path("days.proof");
    let proof = proof.to_str().expect("a path in text");
    let part = |n: usize| PathBuf::from(format!("{proof}.{n}"));
    let prove = |memory: &'static str, more: &[&'static str]| {
        let fixed =
            ["prove", "--json", "--input", rows, "--context", "0x07", "--out", proof, "--memory", memory];
        [&fixed[..], more].concat()
    };
    let roomy: Value = document(&run(&prove("1GB", &["--rows", "2..4"])));
    assert!(roomy.get("parts").is_none() && !part(1).exists());
    assert_eq!(document::<Value>(&run(&["verify", proof, "--json"]))["parts"], 1);

    assert_eq!(fault(&prove("1MB", &["--rows", "0..2"]), 1), "prove.memory");
    assert_eq!(fault(&prove("much", &["--rows", "0..2"]), 2), "memory.form");
    assert_eq!(fault(&prove("1GB", &["--rows", "2..2"]), 2), "rows.form");
    assert_eq!(fault(&prove("1GB", &["--rows", "0..999999"]), 2), "input.row");

    let bound: Value = document(&run(&["inspect", "--json", "--batch", "2"]));
    // A fifth is left free.
    let bound = bound["forecast"]["peak_bytes"].as_u64().expect("bytes") * 6 / 5;
    let bound = bound.to_string();
    let tight = [
        "prove",
        "--json",
        "--input",
        rows,
        "--rows",
        "0..5",
        "--context",
        "0x07",
        "--out",
        proof,
        "--memory",
    ];
    let proved: Value = document(&run(&[&tight[..], &[&bound]].concat()));
    let parts: Vec<u64> = serde_json::from_value(proved["parts"].clone()).expect("parts");
    assert_eq!(parts, [2, 2, 1]);
    let verify = ["verify", proof, "--json"];
    let held: Value = document(&run(&verify));
    assert_eq!((&held["parts"], held["outputs"].as_array().map(Vec::len)), (&3.into(), Some(5)));

    let (first, second) = (std::fs::read(part(1)).expect("a part"), std::fs::read(part(2)).expect("a part"));
    let write = |n: usize, bytes: &[u8]| std::fs::write(part(n), bytes).expect("written");
    write(1, &second);
    assert_eq!(fault(&verify, 1), "parts.order", "a part twice");
    write(2, &first);
    assert_eq!(fault(&verify, 1), "parts.order", "two parts in each other's place");
    write(1, &first);
    std::fs::remove_file(part(2)).expect("removed");
    assert_eq!(fault(&verify, 1), "parts.missing");
    write(2, &second);
    assert_eq!(document::<Value>(&run(&verify))["holds"], true);

    // Manifests that leave a part out, or say otherwise where the parts begin.
    for (manifest, name) in [
        ("{\"parts\":[2,2]}", "parts.inputs"),
        ("{\"parts\":[1,2,2]}", "proof.statement.input"),
        ("{\"parts\":[5]}", "proof.statement.input"),
        ("{\"parts\":[]}", "parts.size"),
        ("{\"parts\":5}", "parts.manifest"),
    ] {
        std::fs::write(proof, manifest).expect("written");
        assert_eq!(fault(&verify, 1), name, "{manifest}");
    }
    std::fs::write(proof, "{\"parts\":[2,2,1]}").expect("written");
    // A part is no proof of its inputs by themselves, and a proof of other inputs is no part.
    let statement = format!("{proof}.json");
    let mut lie: Value =
        serde_json::from_slice(&std::fs::read(&statement).expect("a statement")).expect("JSON");
    lie["context"] = "0x08".into();
    std::fs::write(&statement, lie.to_string()).expect("written");
    assert_eq!(fault(&verify, 1), "proof.statement.context");
}
