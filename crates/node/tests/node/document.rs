//! The API against its own description: nobody gets in without the key that a route names, nobody into what is another's, and what
//! is done once is done once. Every test walks the document that the server gives out.
//!
//! `BLESS=1 cargo test -p proofmesh description_vectors` (or `cargo xtask bless`) rewrites `docs/openapi.json` and the table in `API.md`.

use crate::place::Place;
use proofmesh::api::openapi::describe;
use proofmesh::api::routes::ROUTES;
use proofmesh::coordinator::{Config, MarketTerms, Page};
use proofmesh::engine::place::Engines;
use proofmesh::keys::{Keyring, LOCAL, PER_SECOND_MAX, SCOPES, Scope, WantedKey};
use proofmesh::time::Time;
use proofmesh::up::Up;
use proofmesh::weather::import_model;
use proofmesh::wire::PAGE;
use proofmesh::work::Worker;
use proofmesh_market::Hash32;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

/// 2026-01-01 00:00 UTC.
pub const NOW_S: u64 = 1_767_225_600;

/// A coordinator with a model, and a node `ewr` that never worked.
pub struct Net {
    pub up: Up,
    pub ring: Keyring,
    pub model: Hash32,
    http: reqwest::Client,
}

impl Net {
    pub async fn start(place: &Place) -> Self {
        let config = Config {
            dir: place.0.clone(),
            chain: None,
            time: Time::standing_at(NOW_S),
            terms: MarketTerms::default(),
            engines: Engines::default(),
        };
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let up = Up::start(config, any, any, &|_| ()).await.expect("starts");
        let model = up.coordinator.add_model(import_model().expect("the model").file).await.expect("added");
        let client = up.client().expect("a client");
        Worker::new(client, &place.0, "ewr", 0, None, up.coordinator.time().clone()).expect("a worker");
        let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().expect("a client");
        Net { up, ring: Keyring::open(&place.0).expect("keys"), model, http }
    }

    /// A key's text.
    pub fn key(&self, tenant: &str, scopes: &[Scope], nodes: &[&str]) -> String {
        let wanted = WantedKey {
            tenant: tenant.parse().expect("a name"),
            scopes: scopes.iter().copied().collect(),
            nodes: nodes.iter().map(|node| (*node).to_owned()).collect(),
            per_second: PER_SECOND_MAX,
            until_s: None,
        };
        self.ring.make(wanted, NOW_S).expect("made").key
    }

    pub fn request(&self, method: &Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method.clone(), format!("{}{path}", self.up.api))
    }

    /// Sends a request as it is.
    pub async fn send(&self, request: reqwest::Request) -> reqwest::Result<reqwest::Response> {
        self.http.execute(request).await
    }

    /// Status and body of a call with an empty document.
    async fn call(&self, method: &Method, path: &str, key: Option<&str>) -> (u16, String) {
        self.call_with(method, path, key, &json!({})).await
    }

    async fn call_with(&self, method: &Method, path: &str, key: Option<&str>, body: &Value) -> (u16, String) {
        let mut request = self.request(method, path);
        if *method == Method::POST {
            request = request.json(body);
        }
        if let Some(key) = key {
            request = request.bearer_auth(key);
        }
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    }

    /// The description that it gives out.
    pub async fn description(&self) -> Value {
        let (status, text) = self.call(&Method::GET, "/v1/openapi.json", None).await;
        assert_eq!(status, 200);
        serde_json::from_str(&text).expect("JSON")
    }
}

fn name(fault: &str) -> String {
    let fault: Value = serde_json::from_str(fault).unwrap_or_else(|_| panic!("no fault: {fault:.200}"));
    fault["name"].as_str().expect("a name").to_owned()
}

/// An operation of the document.
pub struct Operation<'a> {
    pub method: Method,
    pub path: &'a str,
    pub of: &'a Value,
}

impl Operation<'_> {
    /// The scope that it asks for.
    pub fn scope(&self) -> Option<Scope> {
        let scope = self.of.pointer("/security/0/key/0")?;
        Some(scope.as_str().expect("a scope's name").parse().expect("a scope"))
    }

    /// Its path with values of the right form: node `ewr`, zeros.
    pub fn filled(&self) -> String {
        let parameters = self.of["parameters"].as_array().cloned().unwrap_or_default();
        parameters.iter().filter(|of| of["in"] == "path").fold(self.path.to_owned(), |path, of| {
            let name = of["name"].as_str().expect("a name");
            let value = match of["schema"]["pattern"].as_str().expect("a pattern") {
                "^0x[0-9a-fA-F]{40}$" => format!("0x{}", "0".repeat(40)),
                "^0x[0-9a-fA-F]{64}$" => format!("0x{}", "0".repeat(64)),
                "^[0-9]{1,19}$" => "1".to_owned(),
                "^[a-z0-9-]{1,32}$" => "ewr".to_owned(),
                other => panic!("{name}: a form without an example: {other}"),
            };
            path.replace(&format!("{{{name}}}"), &value)
        })
    }
}

/// All operations of a document.
pub fn operations(document: &Value) -> Vec<Operation<'_>> {
    let paths = document["paths"].as_object().expect("paths");
    let each = paths.iter().flat_map(|(path, methods)| {
        methods.as_object().expect("methods").iter().map(move |(method, of)| {
            let method = method.to_uppercase().parse().expect("a method");
            Operation { method, path, of }
        })
    });
    each.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_asks_for_the_key_that_its_description_names() {
    let place = Place::new("document");
    let net = Net::start(&place).await;
    let document = net.description().await;
    let all = operations(&document);
    assert_eq!(all.len(), ROUTES.len(), "a route of the table is in the document, and nothing else");
    let revoked = net.key(LOCAL, &SCOPES, &[]);
    let id = revoked.split('_').nth(1).expect("an id");
    net.ring.revoke(id, NOW_S).expect("revoked");
    let owner = net.up.own().key();
    let alice = net.key("alice", &SCOPES[..4], &["ewr"]);
    for operation in &all {
        let (method, path) = (&operation.method, &operation.filled());
        let Some(scope) = operation.scope() else {
            // What anybody may see is the same for everybody, and nothing is changed by seeing it.
            assert_eq!(*method, Method::GET, "{path} changes something and asks for no key");
            assert!(!path.starts_with("/v1/own") && !path.starts_with("/v1/dev"), "{path}");
            if !path.ends_with("/events") {
                let seen = net.call(method, path, None).await;
                assert!(seen.0 < 500 && seen.0 != 401, "{path}: {seen:?}");
                // A seed that nothing waits for is drawn for who may write; then it is everybody's.
                if path.starts_with("/v1/seeds/") {
                    let drawn = net.call(method, path, Some(&owner)).await;
                    assert_eq!(net.call(method, path, None).await, drawn, "{path}");
                    continue;
                }
                for key in [&owner, &alice, &revoked] {
                    assert_eq!(net.call(method, path, Some(key)).await, seen, "{path}");
                }
            }
            continue;
        };
        let cut = &owner[..owner.len() - 1];
        for key in [None, Some(""), Some("owner"), Some(cut), Some(revoked.as_str())] {
            let (status, fault) = net.call(method, path, key).await;
            assert_eq!((status, name(&fault).as_str()), (401, "owner.key"), "{method} {path} with {key:?}");
        }
        let others: Vec<Scope> = SCOPES.into_iter().filter(|other| *other != scope).collect();
        let other = net.key(LOCAL, &others, &[]);
        let (status, fault) = net.call(method, path, Some(&other)).await;
        assert_eq!((status, name(&fault).as_str()), (403, "api.scope"), "{method} {path}");
        if matches!(scope, Scope::Operate | Scope::Monitor) {
            assert_eq!(net.call(method, path, Some(&alice)).await.0, 403, "{method} {path}: a tenant's key");
        }
        let only = net.key(LOCAL, &[scope], &[]);
        let (status, answer) = net.call(method, path, Some(&only)).await;
        assert!(![401, 403].contains(&status) && status < 500, "{method} {path}: {status} {answer}");
    }
    // Whatever the caller has, a path that no table names is none.
    assert_eq!(net.call(&Method::GET, "/v1/keys", Some(&owner)).await.0, 404);
    assert_eq!(net.call(&Method::GET, "/v1/own/keys", None).await.0, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_sees_and_changes_nothing_of_anothers() {
    let place = Place::new("tenants");
    let net = Net::start(&place).await;
    let (alice, bob) = (net.key("alice", &SCOPES[..4], &["ewr"]), net.key("bob", &SCOPES[..4], &[]));
    let owner = net.up.own().key();
    let budget = |micro: u64| json!({ "spend_a_day": micro });
    let set = net.call_with(&Method::POST, "/v1/own/budget", Some(&alice), &budget(7)).await;
    assert_eq!(set.0, 200, "{}", set.1);
    let own = |key: String| {
        let net = &net;
        async move { net.call(&Method::GET, "/v1/own", Some(&key)).await.1 }
    };
    let before = own(alice.clone()).await;
    assert!(before.contains("\"ewr\"") && before.contains("\"spend_a_day\":7"), "{before}");
    let document = net.description().await;
    let device = net.up.own().of(&"alice".parse().expect("a name")).node("ewr").await.expect("hers").device;
    let wanted = json!({
        "device": device, "station": "EWR", "model": net.model, "from": "2013-01-22", "days": 1,
        "unit_price": 500_000, "open_hours": 24,
    });
    let bodies = [
        (
            "/v1/own/nodes/ewr/limits",
            json!(proofmesh::owner::Limits { practice: true, ..Default::default() }),
        ),
        (
            "/v1/own/nodes/ewr/grants",
            json!({ "model": null, "buyer": null, "purpose": "bob's", "until_s": null }),
        ),
        ("/v1/own/quote", wanted.clone()),
        ("/v1/own/jobs", wanted.clone()),
        ("/v1/own/budget", budget(9_000_000)),
    ];
    for operation in operations(&document).iter().filter(|operation| operation.path.starts_with("/v1/own")) {
        let path = operation.filled();
        let body = bodies.iter().find(|(at, _)| *at == path).map_or(json!({}), |(_, body)| body.clone());
        for key in [&bob, &owner] {
            let (status, answer) = net.call_with(&operation.method, &path, Some(key), &body).await;
            if operation.path.contains("{name}") {
                let expected = if path.ends_with("readings") { "intake.form" } else { "owner.node.unknown" };
                assert_eq!(name(&answer), expected, "{path}: {status}");
            }
            assert!(
                !answer.contains("ewr") || path.contains("ewr"),
                "{path} tells of alice's node: {answer}"
            );
        }
    }
    let pack = net.request(&Method::POST, "/v1/own/nodes/ewr/readings").bearer_auth(&bob);
    let pushed =
        pack.header("content-type", "application/senml+json").body("[]").send().await.expect("answers");
    assert_eq!(name(&pushed.text().await.expect("text")), "owner.node.unknown");
    assert_eq!(own(alice.clone()).await, before, "nothing of hers has changed");
    // What bob bought is bob's: by an account of his own, out of his own budget.
    let theirs: Value = serde_json::from_str(&own(bob.clone()).await).expect("JSON");
    assert_eq!(
        (theirs["buyer"]["jobs"].as_array().map(Vec::len), theirs["nodes"].as_array().map(Vec::len)),
        (Some(1), Some(0))
    );
    assert_eq!(theirs["buyer"]["spent_today"], 500_000);
    let hers: Value = serde_json::from_str(&before).expect("JSON");
    assert_ne!(hers["buyer"]["account"]["account"], theirs["buyer"]["account"]["account"]);
    let status = net.up.client().expect("a client").status().await.expect("status");
    assert!(status.money.conserved);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_once_is_done_once() {
    let place = Place::new("once");
    let net = Net::start(&place).await;
    let (alice, bob) = (net.key("alice", &SCOPES[..4], &["ewr"]), net.key("bob", &SCOPES[..4], &[]));
    let device = net.up.own().of(&"alice".parse().expect("a name")).node("ewr").await.expect("hers").device;
    let wanted = |days: u64| {
        json!({
            "device": device, "station": "EWR", "model": net.model, "from": "2013-01-22", "days": days,
            "unit_price": 500_000, "open_hours": 24,
        })
    };
    let buy = |key: String, once: &'static str, days: u64| {
        let request =
            net.request(&Method::POST, "/v1/own/jobs").bearer_auth(key).header("idempotency-key", once);
        async move {
            let answer = request.json(&wanted(days)).send().await.expect("answers");
            let again = answer.headers().contains_key("idempotency-replayed");
            (answer.status(), again, answer.text().await.expect("text"))
        }
    };
    let jobs = || net.up.coordinator.jobs(&Page { after: None, limit: PAGE }).len();
    let first = buy(alice.clone(), "a", 1).await;
    assert_eq!((first.0, first.1, jobs()), (StatusCode::OK, false, 1), "{}", first.2);
    let second = buy(alice.clone(), "a", 1).await;
    assert_eq!((second.0, second.1, &second.2, jobs()), (StatusCode::OK, true, &first.2, 1));
    let other = buy(alice.clone(), "a", 2).await;
    assert_eq!((other.0, name(&other.2).as_str()), (StatusCode::CONFLICT, "idempotency.reused"));
    // The key is the tenant's: another's is another call.
    let (status, again, answer) = buy(bob, "a", 1).await;
    assert_eq!((status, again, jobs()), (StatusCode::OK, false, 2), "{answer}");
    // Many at once: one of them is carried out.
    let many: Vec<_> = (0..8).map(|_| tokio::spawn(buy_owned(&net, &alice, wanted(3)))).collect();
    let mut done = 0;
    for one in many {
        let (status, text) = one.await.expect("ends");
        assert!(status == 200 || name(&text) == "idempotency.running", "{status} {text}");
        done += usize::from(status == 200);
    }
    assert!(done >= 1);
    assert_eq!(jobs(), 3);
    for bad in ["", " ", "a b", &"x".repeat(65)] {
        let request = net.request(&Method::POST, "/v1/epochs").bearer_auth(net.up.own().key());
        let answer = request.header("idempotency-key", bad).json(&json!({})).send().await.expect("answers");
        assert_eq!(name(&answer.text().await.expect("text")), "idempotency.form", "{bad:?}");
    }
    // Every route of the document that creates money or jobs takes the header.
    let document = net.description().await;
    let takes = |operation: &Operation<'_>| {
        let parameters = operation.of["parameters"].as_array().cloned().unwrap_or_default();
        parameters.iter().any(|of| of["name"] == "Idempotency-Key")
    };
    let once: Vec<_> =
        operations(&document).iter().filter(|of| takes(of)).map(|of| of.path.to_owned()).collect();
    for path in [
        "/v1/orders",
        "/v1/own/jobs",
        "/v1/own/withdraw",
        "/v1/own/claim/{name}",
        "/v1/dev/faucet",
        "/v1/epochs",
    ] {
        assert!(once.iter().any(|of| of == path), "{path}");
    }
    // A call that was cut off is not carried out again.
    let cut = json!({ "at_s": NOW_S, "request": Hash32::ZERO, "answer": null });
    for entry in std::fs::read_dir(place.path("once")).expect("calls") {
        let path = entry.expect("an entry").path();
        let mut kept: Value = serde_json::from_slice(&std::fs::read(&path).expect("read")).expect("JSON");
        kept["answer"] = cut["answer"].clone();
        std::fs::write(path, kept.to_string()).expect("written");
    }
    let unfinished = buy(alice, "a", 1).await;
    assert_eq!((name(&unfinished.2).as_str(), jobs()), ("idempotency.unfinished", 3));
}

fn buy_owned(net: &Net, key: &str, body: Value) -> impl Future<Output = (u16, String)> + use<> {
    let request =
        net.request(&Method::POST, "/v1/own/jobs").bearer_auth(key).header("idempotency-key", "many");
    let request = request.json(&body);
    async move {
        let answer = request.send().await.expect("answers");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_calls_too_often_waits_and_nobody_else_does() {
    let place = Place::new("rate");
    let net = Net::start(&place).await;
    let wanted = WantedKey {
        tenant: "alice".parse().expect("a name"),
        scopes: [Scope::View].into(),
        nodes: Vec::new(),
        per_second: 5,
        until_s: None,
    };
    let slow = net.ring.make(wanted, NOW_S).expect("made").key;
    let mut refused = 0;
    for _ in 0..20 {
        let answer =
            net.request(&Method::GET, "/v1/status").bearer_auth(&slow).send().await.expect("answers");
        if answer.status() == 429 {
            assert_eq!(answer.headers()["retry-after"], "1");
            assert_eq!(name(&answer.text().await.expect("text")), "api.too-fast");
            refused += 1;
        }
    }
    assert!(refused >= 10, "{refused}");
    let mut refused = 0;
    for _ in 0..3_000 {
        refused += usize::from(net.call(&Method::GET, "/v1/jobs", None).await.0 == 429);
    }
    assert!(refused > 100, "an address without a key is held back: {refused}");
    let owner = net.up.own().key();
    assert_eq!(net.call(&Method::GET, "/v1/own", Some(&owner)).await.0, 200, "the owner is not");
}

#[test]
fn description_vectors_are_what_the_table_says() {
    let bless = std::env::var_os("BLESS").is_some();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (described, path) = (describe().expect("described"), root.join("../../docs/openapi.json"));
    if bless {
        std::fs::write(&path, format!("{described:#}\n")).expect("written");
    }
    let kept: Value =
        serde_json::from_slice(&std::fs::read(&path).expect("docs/openapi.json")).expect("JSON");
    assert_eq!(kept, described, "the API changed: `cargo xtask bless`, and read the diff");
    let row = |route: &proofmesh::api::routes::Route| {
        let method = if route.is_post() { "POST" } else { "GET" };
        let scope = route.scope.map_or("", Scope::name);
        let once = if route.once { "; once for an `Idempotency-Key`" } else { "" };
        format!("| `{method} {}` | {scope} | {}{once} |\n", route.path, route.about)
    };
    let table: String = ROUTES.iter().map(row).collect();
    let path = root.join("API.md");
    let text = std::fs::read_to_string(&path).expect("API.md");
    let (head, rest) = text.split_once("<!-- routes -->\n").expect("where the table begins");
    let (_, tail) = rest.split_once("<!-- end -->\n").expect("where it ends");
    let fresh =
        format!("{head}<!-- routes -->\n| call | scope | what |\n|---|---|---|\n{table}<!-- end -->\n{tail}");
    if bless {
        std::fs::write(&path, &fresh).expect("written");
    }
    assert_eq!(std::fs::read_to_string(&path).expect("API.md"), fresh, "`cargo xtask bless`");
}
