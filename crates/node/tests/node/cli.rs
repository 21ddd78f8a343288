//! The commands: exit codes, JSON, hostile files.

use crate::place::{Place, Running, document, run};
use serde_json::Value;
use std::process::Output;

/// The fault on stderr of a command with `--json`.
#[track_caller]
fn fault(output: &Output, code: i32) -> Value {
    let talk = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{talk}");
    assert!(output.stdout.is_empty(), "stdout is data: there is none");
    serde_json::from_str(talk.lines().last().expect("a fault")).expect("a fault as JSON")
}

fn text(path: &std::path::Path) -> &str {
    path.to_str().expect("a path in text")
}

#[test]
fn help_is_ok_and_nonsense_is_misuse() {
    let help = run(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    let commands = "demo up node device job receipt epoch claim challenge cover audit model prove verify wrap ceremony \
                    inspect";
    for command in commands.split(' ') {
        assert!(String::from_utf8_lossy(&help.stdout).contains(&format!("  {command} ")), "{command}");
        assert_eq!(run(&[command, "--help"]).status.code(), Some(0), "{command}");
    }
    for nonsense in [&["dance"][..], &["demo", "--days", "32"], &["demo", "--days", "0"], &["prove"], &[]] {
        assert_eq!(run(nonsense).status.code(), Some(2), "{nonsense:?}");
    }
}

#[test]
fn what_is_missing_or_damaged_is_named() {
    let place = Place::new("cli");
    let dir = text(&place.0);
    let name = |arguments: &[&str], code| {
        let mut all = vec!["--json", "--dir", dir];
        all.extend(arguments);
        fault(&run(&all), code)["name"].as_str().expect("a name").to_owned()
    };
    assert_eq!(name(&["audit"], 3), "log.none");
    assert_eq!(name(&["job", "show"], 3), "api.no-coordinator");
    assert_eq!(name(&["job", "show", "--url", "ftp://x"], 2), "api.url");
    assert_eq!(name(&["job", "show", "--url", "http://127.0.0.1:9"], 3), "api.unreachable");
    assert_eq!(name(&["device", "new", "../poster"], 2), "key.name");
    assert_eq!(
        name(&["device", "readings", "a", "--station", "SFO", "--from", "2013-01-01"], 2),
        "station.unknown"
    );
    assert_eq!(
        name(&["device", "readings", "a", "--station", "EWR", "--from", "2013-02-30"], 2),
        "date.form"
    );
    let file = place.path("junk");
    for junk in [&b""[..], b"PMESHMDL", b"PMESHMDL\x01\x00\xff\xff\xff\xff\xff\xff", &[0xff; 4096]] {
        std::fs::write(&file, junk).expect("written");
        let path = text(&file);
        assert_eq!(name(&["model", "show", path], 1), "model.model-file-malformed");
        assert_eq!(name(&["inspect", "--model", path], 1), "model.model-file-malformed");
        assert_eq!(name(&["receipt", "verify", "--file", path], 1).split('.').next(), Some("receipt"));
        std::fs::write(place.path("log"), junk).expect("written");
        std::fs::write(place.path("deployment.json"), junk).expect("written");
        let found = name(&["audit"], 3);
        assert!(found == "log.header" || found == "deployment.json", "{found}");
    }
    std::fs::create_dir_all(place.path("keys")).expect("a directory");
    std::fs::write(place.path("keys/bad.device"), "not a key").expect("written");
    assert_eq!(name(&["device", "new", "bad"], 3), "key.file");
}

#[test]
fn a_proof_verifies_and_every_other_statement_is_refused_by_name() {
    let place = Place::new("prove");
    let (model, proof) = (place.path("weather.pmesh"), place.path("day.proof"));
    let bundle = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/weather-qod");
    let imported: Value = document(&run(&[
        "model",
        "import",
        bundle,
        "--output",
        "argmax",
        "--output",
        "min(0)<=-40",
        "--json",
        "--out",
        text(&model),
    ]));
    assert!(imported["report"]["forecast"]["prove_ms"].is_u64());
    let rows = format!("{bundle}/test/x_i8.npy");
    let (model, proof) = (text(&model), text(&proof));
    let prove =
        ["prove", "--model", model, "--input", &rows, "--row", "3", "--context", "0xc0ffee", "--out", proof];
    let proved: Value = document(&run(&[&prove[..], &["--json"]].concat()));
    assert_eq!(proved["statement"]["context"], "0xc0ffee");
    let verify = ["verify", proof, "--model", model, "--json"];
    assert_eq!(document::<Value>(&run(&verify))["holds"], true);
    let inspected: Value = document(&run(&["inspect", "--model", model, "--proof", proof, "--json"]));
    assert!(inspected["soundness_bits"].as_f64().expect("bits") >= 100.0);
    // The weakest link is the proof, and wrapped for a contract the curve.
    assert_eq!(inspected["security_bits"], inspected["soundness_bits"]);
    assert_eq!(inspected["security_wrapped_bits"], 100.0, "{}", inspected["security_wrapped"]);
    assert_eq!(inspected["security_hired_bits"], 100.0, "{}", inspected["security_hired"]);
    let inside = |by: &str| inspected[by][0]["bits"].as_f64().expect("bits of the proof inside");
    assert!(inside("security_hired") >= 100.0 && inside("security_hired") != inside("security_wrapped"));
    let beside = format!("{proof}.json");
    let statement = std::fs::read_to_string(&beside).expect("a statement");
    let word = |statement: &mut Value, at: &str, to: Value| *statement.pointer_mut(at).expect(at) = to;
    let lies: [(&str, Value, &str); 4] = [
        ("/context", "0xc0fffe".into(), "proof.statement.context"),
        ("/outputs/0/0", 3.into(), "proof.statement.output"),
        ("/inputs/0/public/0", 1.into(), "proof.statement.input"),
        ("/model", format!("0x{}", "1".repeat(64)).into(), "statement.model"),
    ];
    for (at, to, name) in lies {
        let mut lie: Value = serde_json::from_str(&statement).expect("JSON");
        let to = if lie.pointer(at) == Some(&to) { Value::from(2) } else { to };
        word(&mut lie, at, to);
        std::fs::write(&beside, lie.to_string()).expect("written");
        assert_eq!(fault(&run(&verify), 1)["name"], name, "{at}");
    }
    std::fs::write(&beside, "[[[[").expect("written");
    assert_eq!(fault(&run(&verify), 1)["name"], "statement.json");
    std::fs::write(&beside, &statement).expect("written");
    let mut bytes = std::fs::read(proof).expect("a proof");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(proof, bytes).expect("written");
    let name = fault(&run(&verify), 1)["name"].as_str().expect("a name").to_owned();
    assert!(name.starts_with("proof."), "{name}");
}

#[test]
fn a_proof_over_a_batch_says_what_it_states() {
    let place = Place::new("batch");
    let (model, proof) = (place.path("week.pmesh"), place.path("week.proof"));
    let (model, proof) = (text(&model), text(&proof));
    let bundle = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/weather-qod");
    let outputs = ["--output", "argmax", "--output", "count(min(0)<=-40)", "--output", "sum(max(0))"];
    let import = ["model", "import", bundle, "--json", "--out", model];
    document::<Value>(&run(&[&import[..], &outputs].concat()));
    let inspected: Value = document(&run(&["inspect", "--model", model, "--batch", "3", "--json"]));
    assert_eq!(inspected["states"][1], "`trigger1.extreme` <= -40 for 0 of 3 inputs");
    let rows = format!("{bundle}/test/x_i8.npy");
    let batch = ["--row", "3", "--row", "4", "--row", "5", "--out", proof, "--json"];
    let proved: Value =
        document(&run(&[&["prove", "--model", model, "--input", &rows][..], &batch].concat()));
    let verify = ["verify", proof, "--model", model, "--json"];
    let holds: Value = document(&run(&verify));
    assert_eq!(holds["states"], proved["states"]);
    let [cold, sum] = [0, 1].map(|i| holds["batch_outputs"][i].as_i64().expect("a word"));
    assert_eq!(holds["states"][1], format!("`trigger1.extreme` <= -40 for {cold} of 3 inputs"));
    assert_eq!(holds["states"][2], format!("`trigger2.extreme` adds up to {sum} over 3 inputs"));
    let spoken = run(&["verify", proof, "--model", model]);
    let spoken = String::from_utf8_lossy(&spoken.stdout).into_owned();
    assert!(
        spoken.contains(&format!("states    `trigger2.extreme` adds up to {sum} over 3 inputs")),
        "{spoken}"
    );
    let beside = format!("{proof}.json");
    let statement = std::fs::read_to_string(&beside).expect("a statement");
    let mut lie: Value = serde_json::from_str(&statement).expect("JSON");
    *lie.pointer_mut("/batch_outputs/1").expect("the sum") = (sum - 1).into();
    std::fs::write(&beside, lie.to_string()).expect("written");
    assert_eq!(fault(&run(&verify), 1)["name"], "proof.statement.output");
}

/// What the demo does, done by hand with commands.
#[test]
fn the_story_by_hand() {
    let place = Place::new("hand");
    let model = place.path("weather.pmesh");
    let file = proofmesh::weather::import_model().expect("the model").file;
    std::fs::write(&model, file.encode().expect("bytes")).expect("written");
    let dir = place.path("state");
    let mut running = Running::start(&dir, &model, None).expect("starts");
    let (dir, url) = (text(&dir), running.api.clone());
    let call = |arguments: &[&str]| run(&[arguments, &["--json", "--dir", dir, "--url", &url]].concat());
    let joined: Value = document(&call(&["node", "run", "ewr", "--station", "EWR", "--join-only"]));
    assert_eq!(joined["node"]["standing"], "active");
    assert_eq!(fault(&call(&["node", "run", "ewr", "--station", "EWR"]), 1)["name"], "node.no-job");
    let post = ["job", "post", "--device", "ewr", "--station", "EWR", "--from", "2013-01-22", "--days", "2"];
    let job: Value = document(&call(&post));
    assert_eq!(job["status"], "assigned");
    let ran: Value =
        document(&call(&["node", "run", "ewr", "--station", "EWR", "--show", "2013-01-23=stuck"]));
    assert_eq!((&ran["days"][0]["outcome"], &ran["days"][1]["outcome"]), (&"paid".into(), &"refused".into()));
    assert_eq!(ran["days"][1]["reason"]["name"], "inference.not-genuine");
    let (paid, refused) = (&ran["days"][0]["receipt"], &ran["days"][1]["receipt"]);
    let paid = paid.as_str().expect("a digest");
    assert_eq!(document::<Value>(&call(&["receipt", "verify", paid]))["units"], 1);
    let verified = call(&["receipt", "verify", refused.as_str().expect("a digest")]);
    assert_eq!(fault(&verified, 1)["name"], "inference.not-genuine");
    assert_eq!(fault(&call(&["claim", "ewr"]), 1)["name"], "claim.nothing-final");
    let closed: Value = document(&call(&["epoch", "close", "--pass-window"]));
    assert_eq!(closed["receipts"], 1);
    assert_eq!(document::<Value>(&call(&["receipt", "show", paid]))["status"], "settled");
    assert_eq!(document::<Value>(&call(&["claim", "ewr"]))["paid"], 490_000);
    assert_eq!(document::<Value>(&call(&["claim", "ewr"]))["paid"], 0);
    assert_eq!(document::<Value>(&call(&["audit"]))["verdicts"], 2);
    let nowhere = run(&["audit", "--json", "--dir", dir, "--url", ""]);
    assert_eq!(fault(&nowhere, 2)["name"], "api.url");
    running.kill();
    let audited: Value = document(&run(&["audit", "--offline", "--json", "--dir", dir]));
    assert_eq!((&audited["verdicts"], &audited["epochs"]), (&2.into(), &1.into()));
}
