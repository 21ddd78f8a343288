//! Hostile requests: every one gets a named fault, none a panic, and the coordinator goes on.

use crate::place::Place;
use proofmesh::api::{BODY_BYTES_MAX, SMALL_BODY_BYTES_MAX};
use proofmesh::coordinator::{Config, MarketTerms};
use proofmesh::engine::place::Engines;
use proofmesh::fault::Fault;
use proofmesh::operator::Operator;
use proofmesh::time::Time;
use proofmesh::up::Up;
use proofmesh::weather::Hours;
use proofmesh_market::receipt::output_hash;
use proofmesh_market::{Hash32, Receipt, Usd, keccak};
use reqwest::header::{CONTENT_TYPE, HOST};
use std::net::{Ipv4Addr, SocketAddr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn up(place: &Place) -> Up {
    let config = Config {
        dir: place.0.clone(),
        chain: None,
        time: Time::standing_at(1_767_225_600),
        terms: MarketTerms::default(),
        engines: Engines::default(),
    };
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Up::start(config, any, any, &|_| ()).await.expect("starts")
}

struct Caller {
    http: reqwest::Client,
    api: String,
    key: String,
}

impl Caller {
    async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> (u16, Fault) {
        let request = self.http.post(format!("{}{path}", self.api)).header(CONTENT_TYPE, "application/json");
        self.answer(request.bearer_auth(&self.key).body(body)).await
    }

    async fn get(&self, path: &str) -> (u16, Fault) {
        self.answer(self.http.get(format!("{}{path}", self.api))).await
    }

    /// Announces a body and sends none: it must be refused before it is read.
    async fn announce(&self, path: &str, length: usize) -> String {
        let address = self.api.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).await.expect("connects");
        let key = &self.key;
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
             Authorization: Bearer {key}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> (u16, Fault) {
        let response = request.send().await.expect("an answer");
        let status = response.status().as_u16();
        let bytes = response.bytes().await.expect("a body");
        let fault = serde_json::from_slice(&bytes);
        (status, fault.unwrap_or_else(|_| panic!("{status}: {}", String::from_utf8_lossy(&bytes))))
    }
}

const POSTS: [&str; 7] = [
    "/v1/feeds",
    "/v1/orders",
    "/v1/receipts",
    "/v1/measure",
    "/v1/dev/faucet",
    "/v1/dev/devices",
    "/v1/dev/pass-time",
];

#[tokio::test(flavor = "multi_thread")]
async fn hostile_requests_are_refused_by_name_and_the_coordinator_goes_on() {
    let place = Place::new("http");
    let up = up(&place).await;
    let caller = Caller { http: reqwest::Client::new(), api: up.api.clone(), key: up.own().key() };
    let before = up.coordinator.records(0, usize::MAX).expect("records").len();
    bodies(&caller).await;
    paths(&caller).await;
    callers(&caller).await;
    meanings(&caller).await;
    let after = up.coordinator.records(0, usize::MAX).expect("records").len();
    assert_eq!(before, after, "nothing of this is an event");
    assert!(up.client().expect("a client").status().await.expect("goes on").money.conserved);
}

async fn bodies(caller: &Caller) {
    let deep = format!("{}1{}", "[".repeat(50_000), "]".repeat(50_000));
    for path in POSTS {
        for body in
            ["", "{", "null", "[]", "7", "\"x\"", "{\"a\":1}", "\u{0}", "{\"account\":-1}", deep.as_str()]
        {
            let (status, fault) = caller.post(path, body.to_owned()).await;
            let large = body.len() > SMALL_BODY_BYTES_MAX && status == 413;
            assert!(large || (status == 400 && fault.is("api.body")), "{path} {body:.20}: {status} {fault}");
        }
        let announced = caller.announce(path, BODY_BYTES_MAX + 1).await;
        assert!(
            announced.starts_with("HTTP/1.1 413") && announced.contains("api.body-too-large"),
            "{announced}"
        );
        let request =
            caller.http.post(format!("{}{path}", caller.api)).header(CONTENT_TYPE, "text/plain").body("{}");
        let (status, fault) = caller.answer(request.bearer_auth(&caller.key)).await;
        assert_eq!((status, fault.name.as_str()), (415, "api.content-type"), "{path}");
    }
    // A call without a document: a page elsewhere could send it as a plain form.
    let form =
        caller.http.post(format!("{}/v1/epochs", caller.api)).header(CONTENT_TYPE, "text/plain").body("");
    assert_eq!(form.bearer_auth(&caller.key).send().await.expect("an answer").status(), 415, "/v1/epochs");
    for body in [
        r#"{"receipt":"0x","evidence":"0x","more":1}"#,
        r#"{"receipt":"zz","evidence":"0x"}"#,
        r#"{"receipt":["0x"],"evidence":"0x"}"#,
        r#"{"receipt":"0x0","evidence":"0x"}"#,
    ] {
        assert_eq!(caller.post("/v1/receipts", body.to_owned()).await.0, 400, "{body}");
    }
}

async fn paths(caller: &Caller) {
    for path in ["/other", "/v1", "/v2/status", "/v1/status/x", "/v1/%00"] {
        assert_eq!(caller.get(path).await.1.name, "path.unknown", "{path}");
    }
    for (path, name) in [
        ("/v1/jobs/0x", "job.form"),
        ("/v1/receipts/zz", "receipt.form"),
        ("/v1/epochs/-1", "epoch.form"),
        ("/v1/epochs/18446744073709551616", "epoch.form"),
        ("/v1/epochs/18446744073709551615", "epoch.unknown"),
        ("/v1/epochs/0", "epoch.unknown"),
        ("/v1/accounts/me", "account.form"),
        ("/v1/log/-1", "record.form"),
        ("/v1/nodes/0x0000000000000000000000000000000000000000", "node.unknown"),
        ("/v1/nodes/0x0000000000000000000000000000000000000000/challenge", "node.unknown"),
        ("/v1/blobs/..%2f..%2fkeys%2fposter.account", "blob.form"),
    ] {
        assert_eq!(caller.get(path).await.1.name, name, "{path}");
    }
    let zero = format!("0x{}", "0".repeat(64));
    for what in ["jobs", "receipts", "blobs", "models", "feeds"] {
        let (status, fault) = caller.get(&format!("/v1/{what}/{zero}")).await;
        assert_eq!(status, 404, "{what}: {fault}");
    }
    let (status, fault) = caller.answer(caller.http.put(format!("{}/v1/status", caller.api))).await;
    assert_eq!((status, fault.name.as_str()), (405, "api.method"));
}

/// A page of another origin cannot use this machine's name for itself.
async fn callers(caller: &Caller) {
    for host in ["evil.example", "127.0.0.1.evil.example:80", ""] {
        let request = caller.http.get(format!("{}/v1/status", caller.api)).header(HOST, host);
        let (status, fault) = caller.answer(request).await;
        assert_eq!((status, fault.name.as_str()), (403, "api.host"), "{host}");
    }
}

async fn meanings(caller: &Caller) {
    let zero = format!("0x{}", "0".repeat(64));
    let account = format!("0x{}", "0".repeat(40));
    let own = [
        format!(r#"{{"DrawCommitted":{{"commitment":"{zero}"}}}}"#),
        r#"{"EpochClosed":{"epoch":1}}"#.to_owned(),
        format!(r#"{{"JobEnded":{{"job":"{zero}"}}}}"#),
        format!(r#"{{"StakeSeen":{{"node":"{account}","stake":1,"block":1}}}}"#),
        format!(
            r#"{{"DepositSeen":{{"chain_ref":{{"tx":"{zero}","log_index":0}},
                "account":"{account}","amount":5}}}}"#
        ),
    ];
    for body in own {
        let (status, fault) = caller.post("/v1/orders", body.clone()).await;
        assert_eq!((status, fault.name.as_str()), (400, "order.not-from-outside"), "{body}");
    }
    // A call that could not be read did nothing: its Idempotency-Key is as it was.
    let keyed = |body: String| {
        let request = caller.http.post(format!("{}/v1/dev/faucet", caller.api)).bearer_auth(&caller.key);
        request.header(CONTENT_TYPE, "application/json").header("idempotency-key", "one").body(body)
    };
    let (status, fault) = caller.answer(keyed("[]".to_owned())).await;
    assert_eq!((status, fault.name.as_str()), (400, "api.body"));
    let done = keyed(format!(r#"{{"account":"{account}","balance":7}}"#)).send().await.expect("an answer");
    assert_eq!(done.status(), 200);
    let signature = format!("0x{}", "0".repeat(130));
    let body = format!(
        r#"{{"NodeEnrolled":{{"order":{{"node":"{account}","operator":"{account}","nonce":0}},
            "signature":"{signature}"}}}}"#
    );
    assert_eq!(caller.post("/v1/orders", body).await.1.name, "order.signature");
    let body = r#"{"receipt":"0x01","evidence":"0x"}"#.to_owned();
    assert_eq!(caller.post("/v1/receipts", body).await.1.name, "receipt.short");
    let body = format!(r#"{{"account":"{account}","balance":18446744073709551615}}"#);
    assert_eq!(caller.post("/v1/dev/faucet", body).await.1.name, "faucet.too-much");
    let body = r#"{"seconds":18446744073709551615}"#.to_owned();
    assert_eq!(caller.post("/v1/dev/pass-time", body).await.1.name, "time.too-far");
}

/// Both receipts are refused by other rules as well; signing two for one place is what costs the stake.
#[tokio::test(flavor = "multi_thread")]
async fn two_receipts_for_one_place_cost_the_stake() {
    let place = Place::new("equivocation");
    let up = up(&place).await;
    let client = up.client().expect("a client");
    let operator = Operator::new(client.clone(), &place.0, "liar", 0, Hours::new()).await.expect("a node");
    let stake = client.status().await.expect("status").rules.min_stake;
    operator.join(stake).await.expect("joins");
    let account = operator.account();
    assert_eq!(client.node(&account).await.expect("known").stake, stake);
    let signed = |evidence: &[u8]| {
        let receipt = Receipt {
            job: Hash32::ZERO,
            sequence: 0,
            node: account,
            device: operator.device().device(),
            service: Hash32::ZERO,
            model: Hash32::ZERO,
            input: Hash32::ZERO,
            output: output_hash(&[]),
            units: 1,
            window_start: 0,
            window_end: 1,
            evidence: keccak(evidence),
            previous: Hash32::ZERO,
        };
        receipt.sign(&up.coordinator.domain(), &[], operator.device(), operator.secret()).expect("signed")
    };
    let first = client.deliver(&signed(b"a"), b"a").await.expect("takes its place").receipt;
    assert_eq!(
        (first.status.as_str(), first.reason.expect("why").name.as_str()),
        ("refused", "receipt.wrong-job")
    );
    assert_eq!(client.deliver(&signed(b"a"), b"a").await.expect_err("again").name, "receipt.replayed");
    assert_eq!(
        client.deliver(&signed(b"b"), b"a").await.expect_err("other bytes").name,
        "receipt.wrong-evidence"
    );
    assert_eq!(client.deliver(&signed(b"b"), b"b").await.expect_err("two").name, "receipt.equivocation");
    let node = client.node(&account).await.expect("known");
    assert_eq!((node.standing.as_str(), node.stake), ("jailed", Usd::ZERO));
    assert_eq!(client.deliver(&signed(b"c"), b"c").await.expect_err("jailed").name, "node.jailed");
}
