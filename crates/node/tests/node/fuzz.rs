//! Hostile values in every place that the API's description has: types, sizes, encodings, paths, headers, from seeds.
//!
//! No answer is of the kind 5xx, none is missing (a panic would drop the connection), every refusal is a fault with a name, and
//! the money is where it was. `PROOFMESH_FUZZ_SEED=N` starts elsewhere, `PROOFMESH_FUZZ_SECONDS` says for how long.

use crate::document::{Net, Operation, operations};
use crate::place::Place;
use proofmesh::fault::Fault;
use proofmesh::keys::SCOPES;
use reqwest::Method;
use serde_json::{Map, Value, json};
use std::time::{Duration, Instant};

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, most: usize) -> usize {
        (self.next() % most as u64) as usize
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    fn once_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}

const SEGMENTS: [&str; 24] = [
    "..%2f..%2fkeys%2fowner.seed",
    "%2e%2e",
    ".",
    "%00",
    "%ff%fe",
    "%c0%ae",
    "%",
    "%zz",
    "-1",
    "0",
    "18446744073709551615",
    "18446744073709551616",
    "1e9",
    "NaN",
    "null",
    "0x",
    "0x0",
    "0xzz",
    "%F0%9F%92%A9",
    "a%20b",
    "%22%3E%3Cscript%3E",
    "$(id)",
    "'%20OR%201=1--",
    "buyer",
];

const TEXTS: [&str; 16] = [
    "",
    "\u{0}",
    "\u{feff}x",
    "\u{202e}abc",
    "../../etc/passwd",
    "0x",
    "0xG",
    "did:key:z6Mk",
    "did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme",
    "9999-99-99",
    "2013-02-30",
    "EWR",
    "\r\nX: y",
    "'; DROP TABLE jobs; --",
    "💩",
    "-0",
];

/// A value that fits a schema.
fn fitting(chance: &mut Chance, schema: &Value, document: &Value, depth: usize) -> Value {
    if let Some(reference) = schema["$ref"].as_str() {
        let found =
            document.pointer(reference.trim_start_matches('#')).expect("a reference that leads somewhere");
        return fitting(chance, found, document, depth);
    }
    for any in ["anyOf", "oneOf"] {
        if let Some(of) = schema[any].as_array() {
            let chosen = chance.one(of);
            return fitting(chance, chosen, document, depth);
        }
    }
    if let Some(texts) = schema["enum"].as_array() {
        return texts[chance.below(texts.len())].clone();
    }
    match schema["type"].as_str() {
        Some("object") => {
            let fields = schema["properties"].as_object().cloned().unwrap_or_default();
            fields
                .iter()
                .map(|(name, of)| (name.clone(), fitting(chance, of, document, depth + 1)))
                .collect::<Map<_, _>>()
                .into()
        }
        Some("array") if schema.get("prefixItems").is_some() => {
            let all = schema["prefixItems"].as_array().cloned().unwrap_or_default();
            all.iter().map(|of| fitting(chance, of, document, depth + 1)).collect()
        }
        Some("array") => {
            let count = chance.below(if depth > 3 { 2 } else { 4 });
            (0..count).map(|_| fitting(chance, &schema["items"], document, depth + 1)).collect()
        }
        Some("integer") => {
            let (least, most) =
                (schema["minimum"].as_i64().unwrap_or(0), schema["maximum"].as_u64().unwrap_or(1));
            match chance.below(6) {
                0 => json!(least),
                1 => json!(most),
                2 => json!(most.saturating_sub(1)),
                3 => json!(most / 2),
                _ => json!(chance.below(100_000)),
            }
        }
        Some("number") => json!(chance.below(1_000) as f64 / 8.0),
        Some("boolean") => json!(chance.once_in(2)),
        Some("null") => Value::Null,
        _ => text(chance, schema["pattern"].as_str()),
    }
}

fn text(chance: &mut Chance, pattern: Option<&str>) -> Value {
    let digits = |chance: &mut Chance, count: usize| -> String {
        (0..count).map(|_| char::from_digit(chance.below(16) as u32, 16).expect("a digit")).collect()
    };
    match pattern {
        Some("^0x([0-9a-fA-F]{2})*$") => {
            let bytes = chance.below(400);
            format!("0x{}", digits(chance, 2 * bytes)).into()
        }
        Some(of) if of.starts_with("^0x[0-9a-fA-F]{") => {
            let count =
                of.trim_start_matches("^0x[0-9a-fA-F]{").trim_end_matches("}$").parse().expect("a count");
            format!("0x{}", digits(chance, count)).into()
        }
        Some(of) if of.starts_with("^did:key") => {
            "did:key:z6MkeTG3bFFSLYVU7VqhgZxqr6YzpaGrQtFMh1uvqGy1vDnP".into()
        }
        _ => (*chance.one(&["EWR", "2013-01-22", "frost", "x", ""])).into(),
    }
}

/// Spoils one place of a value.
fn spoil(chance: &mut Chance, value: &mut Value) {
    let inside = match value {
        Value::Object(fields) if !fields.is_empty() && !chance.once_in(4) => {
            let key = fields.keys().nth(chance.below(fields.len())).expect("a field").clone();
            match chance.below(6) {
                0 => {
                    fields.remove(&key);
                    return;
                }
                1 => {
                    fields.insert("more".to_owned(), json!(1));
                    return;
                }
                _ => fields.get_mut(&key),
            }
        }
        Value::Array(all) if !all.is_empty() && !chance.once_in(3) => {
            let place = chance.below(all.len());
            all.get_mut(place)
        }
        _ => None,
    };
    if let Some(inside) = inside {
        return spoil(chance, inside);
    }
    *value = match chance.below(12) {
        0 => Value::Null,
        1 => json!(-1),
        2 => json!(u64::MAX),
        3 => json!(1.5e300),
        4 => json!([]),
        5 => json!({}),
        6 => json!(true),
        7 => "A".repeat(1 + chance.below(70_000)).into(),
        8 => json!(vec![0; chance.below(5_000)]),
        9 => json!(i64::MIN),
        _ => (*chance.one(&TEXTS)).into(),
    };
}

/// Bytes that are hardly JSON.
fn raw(chance: &mut Chance, whole: Vec<u8>) -> Vec<u8> {
    let mut bytes = whole;
    match chance.below(8) {
        0 => bytes.truncate(chance.below(bytes.len() + 1)),
        1 => bytes = vec![0xff; 1 + chance.below(100)],
        2 => bytes.splice(0..0, *b"\xef\xbb\xbf").for_each(drop),
        3 => bytes = format!("{}1{}", "[".repeat(20_000), "]".repeat(20_000)).into_bytes(),
        4 => bytes.extend_from_slice(b" {}"),
        5 => bytes = String::from_utf8_lossy(&bytes).replace(':', ":1e999,\"a\":").into_bytes(),
        6 => bytes = vec![b' '; 70_000],
        _ => {
            for _ in 0..=chance.below(8) {
                if !bytes.is_empty() {
                    let place = chance.below(bytes.len());
                    bytes[place] = chance.next() as u8;
                }
            }
        }
    }
    bytes
}

fn path(chance: &mut Chance, operation: &Operation<'_>) -> String {
    let mut path = operation.filled();
    if operation.path.contains('{') && chance.once_in(3) {
        path = operation
            .path
            .split('/')
            .map(|part| match part.starts_with('{') {
                true if chance.once_in(9) => "x".repeat(chance.below(6_000)),
                true => (*chance.one(&SEGMENTS)).to_owned(),
                false => part.to_owned(),
            })
            .collect::<Vec<_>>()
            .join("/");
    }
    match chance.below(24) {
        0 => format!("{path}/"),
        1 => format!("{path}//"),
        2 => format!("{path}?a=%ff&b[]=1&{}", "c".repeat(chance.below(4_000))),
        3 => format!("{path}/{}", chance.one(&SEGMENTS)),
        _ => path,
    }
}

fn request(
    chance: &mut Chance,
    net: &Net,
    operation: &Operation<'_>,
    document: &Value,
    keys: &[String],
) -> reqwest::RequestBuilder {
    let methods = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::HEAD,
        Method::OPTIONS,
        Method::PATCH,
    ];
    let method = if chance.once_in(20) { chance.one(&methods).clone() } else { operation.method.clone() };
    let mut request = net.request(&method, &path(chance, operation));
    request = match chance.below(12) {
        0 => request.header(
            "authorization",
            *chance.one(&["", "Bearer", "Bearer ", "Basic eDp5", "Bearer \u{7f}x", "pm_0_0"]),
        ),
        _ => request.bearer_auth(chance.one(keys)),
    };
    if chance.once_in(10) {
        request = request.header("idempotency-key", "k".repeat(chance.below(80)));
    }
    if chance.once_in(30) {
        request = request.header("x-long", "y".repeat(chance.below(20_000)));
    }
    if method != Method::POST {
        return request;
    }
    let media = operation.of["requestBody"]["content"].as_object().cloned().unwrap_or_default();
    let chosen = media.iter().nth(chance.below(media.len().max(1)));
    let (kind, schema) = chosen.map_or(("application/json".to_owned(), Value::Null), |(kind, of)| {
        (kind.clone(), of["schema"].clone())
    });
    let mut body = fitting(chance, &schema, document, 0);
    for _ in 0..chance.below(3) {
        spoil(chance, &mut body);
    }
    let mut bytes = serde_json::to_vec(&body).expect("JSON");
    if chance.once_in(5) {
        bytes = raw(chance, bytes);
    }
    let kind = match chance.below(24) {
        0 => "text/plain",
        1 => "application/json; charset=utf-16",
        2 => "application/senml+cbor",
        _ => kind.as_str(),
    };
    request.header("content-type", kind).body(bytes)
}

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_values_in_every_place_of_the_description_are_refused_by_name() {
    let place = Place::new("fuzz");
    let net = Net::start(&place).await;
    let keys =
        [net.up.own().key(), net.key("alice", &SCOPES[..4], &["ewr"]), net.key("bob", &SCOPES[..4], &[])];
    let document = net.description().await;
    let all = operations(&document);
    let (seed, seconds) = (setting("PROOFMESH_FUZZ_SEED", 1), setting("PROOFMESH_FUZZ_SECONDS", 60));
    let (began, mut calls, mut done) = (Instant::now(), 0u64, 0u64);
    // At least one round of so many for each route, whatever the machine.
    while calls < 20 * all.len() as u64 || began.elapsed() < Duration::from_secs(seconds) {
        let mut chance = Chance(seed.wrapping_add(calls).wrapping_mul(0x2545_f491_4f6c_dd1d));
        let operation = &all[(calls % all.len() as u64) as usize];
        let at = format!("PROOFMESH_FUZZ_SEED={} {} {}", seed + calls, operation.method, operation.path);
        calls += 1;
        let request = request(&mut chance, &net, operation, &document, &keys);
        let Ok(request) = request.build() else { continue }; // what cannot be sent
        let shown = format!(
            "{at}: {} {:?}",
            request.url(),
            request.body().and_then(|body| body.as_bytes()).map(shorten)
        );
        let is_head = *request.method() == Method::HEAD;
        // A connection that the server closed, because it refused a body before its end, may not know it yet; a panic comes again.
        let again = request.try_clone().expect("a body in memory");
        let answer = match net.send(request).await {
            Err(_) => net.send(again).await,
            answer => answer,
        };
        let answer = answer.unwrap_or_else(|error| panic!("{shown}: no answer: {error}"));
        let status = answer.status();
        assert!(status.as_u16() < 500, "{shown}: {status} {}", answer.text().await.unwrap_or_default());
        if status.is_success() {
            done += 1;
        } else if !is_head && status != 431 {
            let text = answer.text().await.expect("text");
            let fault: Fault = serde_json::from_str(&text)
                .unwrap_or_else(|_| panic!("{shown}: {status} is no fault: {text:.200}"));
            assert!(fault.name.contains('.') && text.len() < 4_096, "{shown}: {text:.200}");
        }
    }
    assert!(done > calls / 20, "most of it never got far: {done} of {calls}");
    let status = net.up.client().expect("a client").status().await.expect("goes on");
    assert!(status.money.conserved);
    println!("{calls} calls, {done} of them done, in {:.1} s", began.elapsed().as_secs_f64());
}

fn shorten(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(300)]).into_owned()
}
