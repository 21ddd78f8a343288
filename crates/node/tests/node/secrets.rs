//! Canaries in what is private: a device's whole day from its readings to money, and then a look at everything that there is.
//!
//! Planted: readings with their digests and the words that the model sees, in every encoding they might have; the name of a
//! sensor; what an owner wrote into a grant; every secret key, and a tenant's API key. They may be in the vault, the node's own
//! directory without its outbox, and the key directory; in the owner's answers of `/v1/own`; and nowhere else: not in the log, blobs, the chain's
//! store, any other file, what the process said, any answer to anybody else, a metric or a span.

use crate::document::operations;
use crate::place::{Place, document, run};
use proofmesh::client::Client;
use proofmesh::device::Device;
use proofmesh::engine::keys::Keys;
use proofmesh::keys::Keyring;
use proofmesh::out::UpDoc;
use proofmesh::weather::{airports, day_start_s};
use proofmesh::wire::JobDoc;
use proofmesh_services::senml::{Form, Measured, encode};
use proofmesh_services::window::{Day, GAP_HOURS, HOUR_S, WINDOW_S};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Words that nobody else says.
const SENSOR: &str = "roof-of-kestrel-quince-77131";
const PURPOSE: &str = "for aunt tourmaline-osprey-40417";

/// A process that ends with its test.
struct Network(Child);

impl Drop for Network {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Something private in one of its encodings.
struct Secret {
    name: String,
    bytes: Vec<u8>,
}

/// Bytes as they are, and as hexadecimal text.
fn raw_and_hex(name: &str, bytes: &[u8], secrets: &mut Vec<Secret>) {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    secrets.push(Secret { name: name.to_owned(), bytes: bytes.to_vec() });
    secrets.push(Secret { name: format!("{name} in hexadecimal"), bytes: hex.into_bytes() });
}

/// Twelve words in a row, in every width, order and notation that something here writes numbers in.
fn encodings(name: &str, words: &[i32], secrets: &mut Vec<Secret>) {
    let mut add = |how: &str, bytes: Vec<u8>| secrets.push(Secret { name: format!("{name} {how}"), bytes });
    add("as bytes", words.iter().map(|word| *word as u8).collect());
    add("as i32 LE", words.iter().flat_map(|word| word.to_le_bytes()).collect());
    add("as i32 BE", words.iter().flat_map(|word| word.to_be_bytes()).collect());
    add("as i64 LE", words.iter().flat_map(|word| i64::from(*word).to_le_bytes()).collect());
    for between in [",", ", ", " ", "\n", ";"] {
        let text: Vec<String> = words.iter().map(i32::to_string).collect();
        add("as text", text.join(between).into_bytes());
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut places = vec![dir.to_owned()];
    while let Some(place) = places.pop() {
        for entry in std::fs::read_dir(place).expect("entries") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { places.push(path) } else { found.push(path) }
        }
    }
    found
}

/// What of the secrets is in a text. Looks at each place of it once, by the eight bytes there.
fn found<'a>(secrets: &'a [Secret], text: &[u8]) -> Vec<&'a Secret> {
    let mut by_start: HashMap<[u8; 8], Vec<&Secret>> = HashMap::new();
    for secret in secrets {
        by_start.entry(*secret.bytes.first_chunk().expect("eight bytes")).or_default().push(secret);
    }
    let at = |place: usize| {
        let rest = &text[place..];
        let same = rest.first_chunk().and_then(|start| by_start.get(start)).into_iter().flatten();
        same.filter(move |secret| rest.starts_with(&secret.bytes)).copied()
    };
    (0..text.len()).flat_map(at).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_private_is_in_the_vault_and_nowhere_else() {
    let place = Place::new("secrets");
    let (dir, model) = (place.path("state"), place.path("weather.pmesh"));
    let file = proofmesh::weather::import_model().expect("the model").file;
    std::fs::write(&model, file.encode().expect("bytes")).expect("written");
    let said = place.path("said");
    let mut command = Command::new(env!("CARGO_BIN_EXE_proofmesh"));
    command.args([
        "up",
        "--port",
        "0",
        "--rpc-port",
        "0",
        "--json",
        "--with",
        "ewr=EWR",
        "--live",
        "--canary-every",
        "3600",
    ]);
    command.arg("--model").arg(&model).arg("--dir").arg(&dir);
    command.stdout(Stdio::piped()).stderr(File::create(&said).expect("a file"));
    let mut network = Network(command.spawn().expect("the binary runs"));
    let mut line = String::new();
    BufReader::new(network.0.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    let api = serde_json::from_str::<UpDoc>(&line).expect("ready").api;
    let at = dir.to_str().expect("text").to_owned();
    let call = |arguments: &[&str]| {
        tokio::task::block_in_place(|| run(&[arguments, &["--json", "--dir", &at, "--url", &api]].concat()))
    };
    let made: Value =
        document(&call(&["api", "key", "new", "alice", "--scope", "view", "--scope", "submit"]));
    let tenant_key = made["key"].as_str().expect("a key").to_owned();

    // A day's life.
    let owner = Keyring::open(&dir).expect("keys").owner_key();
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let post = async |path: &str, kind: &str, body: Vec<u8>| {
        let request = http.post(format!("{api}{path}")).bearer_auth(&owner).header("content-type", kind);
        let answer = request.body(body).send().await.expect("answers");
        let status = answer.status();
        assert!(status.is_success(), "{path}: {status} {}", answer.text().await.expect("text"));
    };
    let client = Client::new(&api).expect("a client").with_key(owner.clone());
    let keys = Keys::open(&dir.join("keys")).expect("keys");
    let account = keys.account("ewr").expect("an account").address();
    let until = async |what: &str, is: &dyn Fn(Value) -> bool, path: String| {
        let began = Instant::now();
        loop {
            let answer = http.get(format!("{api}{path}")).send().await.expect("answers");
            if is(answer.json().await.expect("JSON")) {
                return;
            }
            assert!(began.elapsed() < Duration::from_secs(120), "waited for {what} in vain");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let measured = |node: Value| node["capabilities"].as_array().is_some_and(|all| !all.is_empty());
    until("the node", &measured, format!("/v1/nodes/{account}")).await;
    let grant = json!({ "model": null, "buyer": null, "purpose": PURPOSE, "until_s": null });
    post("/v1/own/nodes/ewr/grants", "application/json", grant.to_string().into_bytes()).await;
    let job =
        call(&["job", "post", "--device", "ewr", "--station", "EWR", "--from", "2013-01-22", "--days", "1"]);
    let job: JobDoc = document(&job);
    let from_s = day_start_s("2013-01-22").expect("a date");
    let (recording, gap_s) = (airports()[0].clone(), GAP_HOURS * HOUR_S);
    let mut device = Device::new(keys.device("ewr").expect("a device"));
    let mut secrets = Vec::new();
    for (time_s, values) in recording.range(from_s - gap_s..from_s + WINDOW_S + gap_s) {
        let pack = encode(Form::Json, &format!("{SENSOR}:"), &Measured { time_s: *time_s, values: *values });
        post("/v1/own/nodes/ewr/readings", "application/senml+json", pack).await;
        let signed = device.measure(*time_s, *values).expect("later");
        raw_and_hex("a reading", &signed.reading.encode(), &mut secrets);
        raw_and_hex("a reading's digest", &signed.reading.digest().0, &mut secrets);
        raw_and_hex("a reading's signature", &signed.signature.0, &mut secrets);
    }
    let paid = |job: Value| job["units"] == 1;
    until("the day to be paid", &paid, format!("/v1/jobs/{}", job.id)).await;
    let closed: Value = document(&call(&["epoch", "close", "--pass-window"]));
    assert!(closed["receipts"].as_u64().is_some_and(|count| count >= 1), "{closed}");
    document::<Value>(&call(&["claim", "ewr"]));

    // What must not be found.
    let words = Day::new(&recording, from_s).expect("a whole day").words();
    for (start, name) in [(0, "temperatures"), (24, "humidities"), (48, "pressures")] {
        encodings(name, &words[start..start + 12], &mut secrets);
    }
    for text in [SENSOR, PURPOSE] {
        secrets.push(Secret { name: text.to_owned(), bytes: text.as_bytes().to_vec() });
    }
    secrets.push(Secret { name: "a tenant's key".to_owned(), bytes: tenant_key.into_bytes() });
    for path in files(&dir.join("keys"))
        .iter()
        .filter(|path| path.extension().is_some_and(|end| end != "json" && end != "lock"))
    {
        let text = std::fs::read_to_string(path).expect("a key");
        raw_and_hex(&path.display().to_string(), &key_bytes(&text), &mut secrets);
    }
    assert!(secrets.len() > 150, "{}", secrets.len());

    // Everything that there is: answers first.
    let mut seen: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let description = client.description().await.expect("described");
    let receipts = client.receipts_of(&job.id).await.expect("receipts");
    let receipt = receipts.first().expect("a receipt");
    let values = [
        ("account", account.to_string()),
        ("node", account.to_string()),
        ("job", job.id.to_string()),
        ("receipt", receipt.digest.to_string()),
        ("model", job.job.model.to_string()),
        ("blob", receipt.evidence.to_string()),
        ("feed", client.status().await.expect("status").log_hash.to_string()),
        ("epoch", "1".to_owned()),
        ("record", "0".to_owned()),
        ("name", "ewr".to_owned()),
        ("grant", "1".to_owned()),
    ];
    let alice = seen_key(&secrets);
    for operation in
        operations(&description).iter().filter(|operation| operation.method == reqwest::Method::GET)
    {
        let path = values.iter().fold(operation.path.to_owned(), |path, (name, value)| {
            path.replace(&format!("{{{name}}}"), value)
        });
        for (who, key) in [("anybody", None), ("alice", Some(&alice)), ("the owner", Some(&owner))] {
            if who == "the owner" && path.starts_with("/v1/own") {
                continue; // what is the owner's own
            }
            let mut request = http.get(format!("{api}{path}"));
            if let Some(key) = key {
                request = request.bearer_auth(key);
            }
            let mut answer = request.send().await.expect("answers");
            let mut bytes = Vec::new();
            while let Ok(Some(chunk)) = answer.chunk().await {
                bytes.extend_from_slice(&chunk);
                if path.ends_with("/events") {
                    break;
                }
            }
            seen.insert(format!("GET {path} by {who}"), bytes);
        }
    }
    drop(network);
    seen.insert("what the process said".to_owned(), std::fs::read(&said).expect("read"));
    seen.insert("what it printed".to_owned(), line.into_bytes());
    let vault = |path: &Path| {
        let own = path.starts_with(dir.join("nodes/ewr")) && !path.starts_with(dir.join("nodes/ewr/outbox"));
        own || path.starts_with(dir.join("keys"))
    };
    let (mut kept, mut count) = (Vec::new(), 0);
    for path in files(&dir) {
        let bytes = std::fs::read(&path).expect("read");
        if vault(&path) {
            kept.extend(bytes);
        } else {
            count += 1;
            seen.insert(path.strip_prefix(&dir).expect("below").display().to_string(), bytes);
        }
    }
    assert!(
        count > 8 && seen.contains_key("log") && seen.keys().any(|name| name.starts_with("chain")),
        "{:?}",
        seen.keys()
    );
    assert!(
        seen.keys().any(|name| name.starts_with("blobs")) && seen.keys().any(|name| name.contains("outbox"))
    );
    for (name, bytes) in &seen {
        let leaked: Vec<&str> = found(&secrets, bytes).iter().map(|secret| secret.name.as_str()).collect();
        assert!(leaked.is_empty(), "{name} holds {leaked:?}");
    }
    // The search finds what is there.
    let there: BTreeSet<&str> = found(&secrets, &kept).iter().map(|secret| secret.name.as_str()).collect();
    for name in ["a reading", "a reading's signature", PURPOSE] {
        assert!(there.contains(name), "{name} is not even in the vault: {there:?}");
    }
}

/// The tenant's key among the secrets.
fn seen_key(secrets: &[Secret]) -> String {
    let found = secrets.iter().find(|secret| secret.name == "a tenant's key").expect("planted");
    String::from_utf8(found.bytes.clone()).expect("text")
}

/// A key file's 32 bytes.
fn key_bytes(text: &str) -> [u8; 32] {
    let digit = |byte: u8| char::from(byte).to_digit(16).expect("a digit") as u8;
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.trim().as_bytes().chunks(2)) {
        *byte = digit(pair[0]) << 4 | digit(pair[1]);
    }
    bytes
}
