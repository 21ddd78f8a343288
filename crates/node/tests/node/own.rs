//! The owner's side: nobody gets in without the key, and a node obeys what its owner says.

use crate::place::Place;
use proofmesh::coordinator::{Config, MarketTerms};
use proofmesh::engine::place::Engines;
use proofmesh::fault::Fault;
use proofmesh::operator::DayDoc;
use proofmesh::out::median;
use proofmesh::own::{BUYER, OwnDoc, OwnNodeDoc, QuoteDoc};
use proofmesh::owner::Limits;
use proofmesh::time::Time;
use proofmesh::up::Up;
use proofmesh::weather::import_model;
use proofmesh::wire::IdDoc;
use proofmesh::work::{Heard, Worker};
use proofmesh_market::Usd;
use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// 2026-01-01 00:00 UTC.
const NOW_S: u64 = 1_767_225_600;

struct Quiet;

impl Heard for Quiet {
    fn day(&mut self, _: &DayDoc) {}
    fn tell(&mut self, _: &str) {}
}

/// A coordinator of the place; waits while an earlier one in this process lets go of the directory.
async fn up(place: &Place) -> Up {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    for _ in 0..600 {
        let config = Config {
            dir: place.0.clone(),
            chain: None,
            time: Time::standing_at(NOW_S),
            terms: MarketTerms::default(),
            engines: Engines::default(),
        };
        match Up::start(config, any, any, &|_| ()).await {
            Err(fault) if fault.is("log.in-use") || fault.is("settle.store") => {
                tokio::time::sleep(Duration::from_millis(100)).await; // its log or its chain is still open
            }
            started => return started.expect("starts"),
        }
    }
    panic!("the directory stays in use");
}

struct Caller {
    http: reqwest::Client,
    api: String,
    key: String,
}

impl Caller {
    fn new(up: &Up) -> Self {
        let key = up.page().split_once("#key=").expect("the key is in the page's address").1.to_owned();
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Caller { http, api: up.api.clone(), key }
    }

    async fn call(&self, method: Method, path: &str, key: Option<&str>, body: &Value) -> (u16, Value) {
        let mut request = self.http.request(method, format!("{}{path}", self.api)).json(body);
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let answer = request.send().await.expect("answers");
        (answer.status().as_u16(), answer.json().await.expect("JSON"))
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: Value) -> Result<T, Fault> {
        let (status, doc) = self.call(Method::POST, path, Some(&self.key), &body).await;
        if status == 200 {
            return Ok(serde_json::from_value(doc).expect("the document"));
        }
        Err(serde_json::from_value(doc).expect("a fault"))
    }

    async fn own(&self) -> OwnDoc {
        let (status, doc) = self.call(Method::GET, "/v1/own", Some(&self.key), &Value::Null).await;
        assert_eq!(status, 200, "{doc}");
        serde_json::from_value(doc).expect("the document")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_of_the_owner_asks_for_the_key() {
    let place = Place::new("own-key");
    let up = up(&place).await;
    let caller = Caller::new(&up);
    let routes = [
        (Method::GET, "/v1/own"),
        (Method::GET, "/v1/own/nodes/ewr"),
        (Method::POST, "/v1/own/nodes/ewr/readings"),
        (Method::POST, "/v1/own/nodes/ewr/limits"),
        (Method::POST, "/v1/own/nodes/ewr/grants"),
        (Method::POST, "/v1/own/nodes/ewr/grants/1/withdraw"),
        (Method::POST, "/v1/own/claim/ewr"),
        (Method::POST, "/v1/own/quote"),
        (Method::POST, "/v1/own/jobs"),
        (Method::POST, "/v1/own/budget"),
        (Method::POST, "/v1/own/withdraw"),
        (Method::GET, "/v1/own/no-such-path"),
    ];
    let other = "0".repeat(64);
    for (method, path) in routes {
        for key in [None, Some(""), Some(other.as_str()), Some(&caller.key[..63])] {
            let (status, fault) = caller.call(method.clone(), path, key, &json!({})).await;
            assert_eq!((status, fault["name"].as_str()), (401, Some("owner.key")), "{method} {path}");
        }
    }
    assert!(caller.own().await.nodes.is_empty());
    let unknown = caller.post::<OwnNodeDoc>("/v1/own/nodes/nobody/limits", json!(Limits::default())).await;
    assert!(unknown.expect_err("no such node").is("owner.node.unknown"));
    assert!(
        caller
            .post::<Value>("/v1/own/claim/poster", json!({}))
            .await
            .expect_err("not a node")
            .is("owner.node.unknown")
    );
    // A name from outside leads nowhere else.
    for name in ["..%2f..%2fkeys", "..%2fewr", "poster"] {
        let path = format!("/v1/own/nodes/{name}");
        let (status, fault) = caller.call(Method::GET, &path, Some(&caller.key), &Value::Null).await;
        assert_eq!((status, fault["name"].as_str()), (404, Some("owner.node.unknown")), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_served_under_a_strict_policy() {
    let place = Place::new("page");
    let up = up(&place).await;
    let caller = Caller::new(&up);
    for path in ["/", "/page.js", "/page.css", "/icon.svg", "/verifier.js", "/verifier.wasm"] {
        let answer = caller.http.get(format!("{}{path}", caller.api)).send().await.expect("answers");
        assert_eq!(answer.status(), 200, "{path}");
        let policy = answer.headers()["content-security-policy"].to_str().expect("text").to_owned();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe-inline"), "{policy}");
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
        assert!(answer.bytes().await.expect("bytes").len() > 100, "{path} is empty");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_none_makes_no_node() {
    let place = Place::new("own-name");
    let up = up(&place).await;
    for name in ["../evil", "EWR", "", "a/b"] {
        let client = up.client().expect("a client");
        let made = Worker::new(client, &place.0, name, 0, None, Time::system());
        assert!(made.expect_err("no name").is("key.name"), "{name}");
    }
    assert!(!place.path("nodes").exists() && !place.path("evil").exists());
}

/// A job bought with the built-in key, worked on within limits, settled; the rest comes back.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_obeys_its_owner_also_after_a_restart() {
    let place = Place::new("own-limits");
    let model;
    let key;
    let job: IdDoc;
    {
        let up = up(&place).await;
        model = up.coordinator.add_model(import_model().expect("the model").file).await.expect("added");
        let caller = Caller::new(&up);
        let worker = worker(&up, &place);
        let node = worker.join(&mut Quiet).await.expect("joins");
        let wanted = |days: u64, price: u64| {
            json!({
                "device": node.device().device(), "station": "EWR", "model": model, "from": "2013-01-22",
                "days": days, "unit_price": price, "open_hours": 24,
            })
        };
        let quote: QuoteDoc = caller.post("/v1/own/quote", wanted(3, 500_000)).await.expect("a quote");
        assert_eq!((quote.escrow, quote.node_share), (Usd::from_micro(1_500_000), Usd::from_micro(490_000)));
        assert_eq!((quote.nodes, quote.days_with_reference), (1, 3));
        let buy = |body| caller.post::<IdDoc>("/v1/own/jobs", body);
        let _: Value = caller.post("/v1/own/budget", json!({"spend_a_day": 1_000_000})).await.expect("set");
        assert!(buy(wanted(3, 500_000)).await.expect_err("too dear").is("owner.budget"));
        assert!(buy(wanted(0, 500_000)).await.expect_err("no days").is("buy.days"));
        assert!(buy(wanted(1, 0)).await.expect_err("no price").is("job.price"));
        let _: Value = caller.post("/v1/own/budget", json!({"spend_a_day": 9_000_000})).await.expect("set");
        job = buy(wanted(3, 500_000)).await.expect("bought");
        key = caller.key.clone();

        // Hours that exclude midnight: left alone, by name.
        let limits = Limits { from_hour: 9, until_hour: 17, windows_a_day: 2, ..Limits::default() };
        let set: OwnNodeDoc = caller.post("/v1/own/nodes/ewr/limits", json!(limits)).await.expect("set");
        assert_eq!(set.limits, limits);
        let bad = caller
            .post::<OwnNodeDoc>("/v1/own/nodes/ewr/limits", json!(Limits { cpu_share_pct: 0, ..limits }));
        assert!(bad.await.expect_err("no limits").is("owner.limits"));
        assert_eq!(round(&worker).await, 0);
        assert_eq!(last(&caller).await, ("declined".to_owned(), "owner.outside-hours".to_owned()));
        assert_eq!(round(&worker).await, 0, "and written once");
        assert_eq!(caller.own().await.nodes[0].journal.entries.len(), 1);
    }
    // The process ends; the limits do not.
    let up = up(&place).await;
    let caller = Caller::new(&up);
    assert_eq!(caller.key, key);
    let worker = worker(&up, &place);
    assert_eq!(round(&worker).await, 0, "still night");
    up.coordinator.pass_time(10 * 3_600).await.expect("morning");
    assert_eq!(round(&worker).await, 2);
    assert_eq!(last(&caller).await.1, "owner.windows-a-day");
    // Another day, without a grant.
    up.coordinator.pass_time(24 * 3_600 - 10 * 60).await.expect("the next morning");
    let _: OwnNodeDoc =
        caller.post("/v1/own/nodes/ewr/grants/1/withdraw", json!({})).await.expect("withdrawn");
    assert_eq!(round(&worker).await, 0);
    assert_eq!(last(&caller).await.1, "owner.no-grant");
    let grant = json!({"model": model, "buyer": null, "purpose": "frost insurance", "until_s": null});
    let given: OwnNodeDoc = caller.post("/v1/own/nodes/ewr/grants", grant).await.expect("given");
    assert_eq!(given.grants.len(), 2);
    // Practice: proved and checked, nothing is signed.
    let limits = Limits { practice: true, cpu_share_pct: 50, ..Limits::default() };
    let _: OwnNodeDoc = caller.post("/v1/own/nodes/ewr/limits", json!(limits)).await.expect("set");
    let before = caller.own().await.nodes[0].node.clone().expect("joined").next_sequence;
    let deadline_over = up.client().expect("a client").job(&job.id).await.expect("known").job.deadline_s;
    assert!(up.coordinator.time().now_s() > deadline_over, "a job that is over may still be practised on");
    let began = std::time::Instant::now();
    let days = rounds(&worker).await;
    assert_eq!(days.len(), 1);
    assert!(days.iter().all(|day| day.outcome == "practised"), "{days:?}");
    let rested_ms =
        began.elapsed().as_secs_f64() * 1_000.0 - days.iter().map(|day| day.prove_ms).sum::<f64>();
    assert!(rested_ms >= median(days.iter().map(|day| day.prove_ms).collect()), "half of the time is rest");
    let own = caller.own().await;
    assert_eq!(own.nodes[0].node.as_ref().expect("joined").next_sequence, before);
    assert_eq!((own.nodes[0].earned, own.nodes[0].journal.proved), (Usd::from_micro(980_000), 3));
    assert!(!own.nodes[0].power.is_zero());
    // The job ends, what was not earned is spendable again and can be taken out.
    up.coordinator.close_epoch(None).await.expect("closed");
    assert_eq!(caller.own().await.buyer.account.balance, Usd::from_micro(500_000));
    let _: Value = caller.post("/v1/own/withdraw", json!({})).await.expect("asked for");
    assert!(
        caller
            .post::<Value>("/v1/own/withdraw", json!({}))
            .await
            .expect_err("again")
            .is("owner.nothing-to-withdraw")
    );
    up.coordinator.close_epoch(None).await.expect("closed");
    up.coordinator.pass_time(2 * 3_600).await.expect("final");
    let claimed: Value = caller.post(&format!("/v1/own/claim/{BUYER}"), json!({})).await.expect("claimed");
    assert_eq!(claimed["paid"], 500_000);
    let claimed: Value = caller.post("/v1/own/claim/ewr", json!({})).await.expect("claimed");
    assert_eq!(claimed["paid"], 980_000);
}

fn worker(up: &Up, place: &Place) -> Worker {
    let time = up.coordinator.time().clone();
    Worker::new(up.client().expect("a client"), &place.0, "ewr", 0, None, time).expect("a worker")
}

async fn rounds(worker: &Worker) -> Vec<DayDoc> {
    let node = worker.operator().await.expect("a node").account();
    let all = worker.client().jobs().await.expect("jobs");
    let jobs: Vec<_> = all.into_iter().filter(|job| job.nodes.contains(&node)).collect();
    worker.work(&jobs, usize::MAX, &mut Quiet).await.expect("no trouble")
}

/// Windows worked on in one look at all jobs.
async fn round(worker: &Worker) -> usize {
    rounds(worker).await.len()
}

/// Outcome and reason of the newest entry of the journal.
async fn last(caller: &Caller) -> (String, String) {
    let journal = caller.own().await.nodes.remove(0).journal;
    let entry = journal.entries.back().expect("an entry").clone();
    (entry.outcome, entry.reason.map_or(String::new(), |reason| reason.name))
}
