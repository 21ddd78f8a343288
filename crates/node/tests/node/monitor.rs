//! What is watched: one set of names, in code, docs, dashboard and alerts; a canary that is paid; spans at a collector; a doctor
//! that finds what is broken.
//!
//! `BLESS=1 cargo test -p proofmesh names_vectors` (or `cargo xtask bless`) rewrites the tables in docs/monitoring.md.

use crate::document::Net;
use crate::place::{Place, Running, document, run};
use axum::routing::post;
use proofmesh::monitor::{Kind, METRICS, SPANS, canary};
use reqwest::Method;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

fn docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Words that begin with `proofmesh_`.
fn names(text: &str) -> BTreeSet<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c: char| !word(c))
        .filter(|found| found.starts_with("proofmesh_"))
        .map(str::to_owned)
        .collect()
}

/// Names that a query may use.
fn known() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for metric in METRICS {
        let endings: &[&str] =
            if metric.kind == Kind::Histogram { &["_bucket", "_sum", "_count"] } else { &[""] };
        all.extend(endings.iter().map(|ending| format!("{}{ending}", metric.name)));
    }
    all
}

#[test]
fn names_vectors_are_those_of_the_code() {
    let known = known();
    for name in ["monitoring/grafana.json", "monitoring/alerts.yml"] {
        let used = names(&read(&docs(name)));
        let unknown: Vec<_> = used.difference(&known).collect();
        assert!(unknown.is_empty(), "{name} uses {unknown:?}");
        assert!(used.len() > 8, "{name} uses {used:?}");
    }
    let dashboard: Value = serde_json::from_str(&read(&docs("monitoring/grafana.json"))).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    assert!(panels.iter().all(|panel| panel["targets"][0]["expr"].is_string()), "a panel without a query");
    let metrics: String = METRICS
        .iter()
        .map(|metric| {
            let kind = format!("{:?}", metric.kind).to_lowercase();
            format!("| `{}` | {kind} | {} | {} |\n", metric.name, metric.labels.join(", "), metric.about)
        })
        .collect();
    let spans: String = SPANS
        .iter()
        .map(|(name, attributes, about)| format!("| `{name}` | {} | {about} |\n", attributes.join(", ")))
        .collect();
    let path = docs("monitoring.md");
    let text = read(&path);
    let (head, rest) = text.split_once("<!-- metrics -->\n").expect("where the table begins");
    let (_, tail) = rest.split_once("<!-- end -->\n").expect("where it ends");
    let fresh = format!(
        "{head}<!-- metrics -->\n| metric | kind | labels | what |\n|---|---|---|---|\n{metrics}\n\
         | span | attributes | what |\n|---|---|---|\n{spans}<!-- end -->\n{tail}"
    );
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &fresh).expect("written");
    }
    assert_eq!(read(&path), fresh, "the names changed: `cargo xtask bless`");
}

/// Value by series.
fn series(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
            (name.to_owned(), value.parse().unwrap_or_else(|_| panic!("no number: {line}")))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_is_paid_and_every_metric_of_the_table_has_a_value() {
    let place = Place::new("metrics");
    let net = Net::start(&place).await;
    let seconds = canary::run(&net.up).await.expect("a canary that is paid");
    assert!(seconds > 0.0 && seconds < 120.0);
    let own = net.up.own().of(&canary::NAME.parse().expect("a name")).all().await.expect("its own side");
    assert_eq!(own.buyer.jobs.len(), 1, "bought by an account of its own");
    let ask = || async {
        let request = net.request(&Method::GET, "/metrics").bearer_auth(net.up.own().key());
        let answer = request.send().await.expect("answers");
        assert!(answer.headers()["content-type"].to_str().expect("text").starts_with("text/plain"));
        answer.text().await.expect("text")
    };
    ask().await;
    let text = ask().await;
    let found = series(&text);
    let known = known();
    for name in found.keys().map(|series| series.split('{').next().unwrap_or_default()) {
        assert!(known.contains(name), "{name} is not in the table");
    }
    // Absent: nothing was refused, and the waiting receipts of no node.
    for metric in METRICS.iter().filter(|metric| metric.name != "proofmesh_refusals") {
        assert!(found.keys().any(|series| series.starts_with(metric.name)), "{} has no value", metric.name);
    }
    let at = |series: &str| *found.get(series).unwrap_or_else(|| panic!("{series} is missing:\n{text}"));
    assert_eq!(
        (at("proofmesh_canary_ok"), at("proofmesh_money_conserved"), at("proofmesh_chain_up")),
        (1.0, 1.0, 1.0)
    );
    assert_eq!(at("proofmesh_receipts{state=\"accepted\"}"), 1.0);
    assert_eq!(at("proofmesh_spool_receipts{node=\"canary\"}"), 0.0);
    let places = ["balances", "escrow", "held", "bonds", "claims", "vault"];
    let sum: f64 =
        places.map(|place| at(&format!("proofmesh_money_micro_usd{{place=\"{place}\"}}"))).iter().sum();
    assert_eq!(sum, at("proofmesh_money_micro_usd{place=\"deposited\"}"));
    assert!(at("proofmesh_check_seconds_count") >= 1.0 && at("proofmesh_proof_seconds_count") >= 1.0);
    assert!(at("proofmesh_http_requests_total{path=\"/metrics\",status=\"200\"}") >= 1.0);
    assert!(at("proofmesh_disk_free_bytes") > 0.0 && at("proofmesh_memory_bytes{of=\"available\"}") > 0.0);
    // A canary that cannot be paid says so.
    let tenant = canary::NAME.parse().expect("a name");
    let budget = proofmesh::own::BudgetDoc { spend_a_day: proofmesh_market::Usd::ZERO };
    net.up.own().of(&tenant).set_budget(budget).await.expect("set");
    assert!(canary::run(&net.up).await.expect_err("no money").is("owner.budget"));
    assert_eq!(series(&ask().await)["proofmesh_canary_ok"], 0.0);
}

type Messages = Arc<Mutex<Vec<Value>>>;

/// A collector of spans on a free port.
async fn collector() -> (String, Messages) {
    let messages = Messages::default();
    let kept = messages.clone();
    let take = move |body: String| {
        let kept = kept.clone();
        async move { kept.lock().expect("unbroken").push(serde_json::from_str(&body).expect("JSON")) }
    };
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    tokio::spawn(
        async move { axum::serve(listener, axum::Router::new().route("/v1/traces", post(take))).await },
    );
    (url, messages)
}

fn findings(dir: &Path) -> (Option<i32>, BTreeMap<String, String>) {
    let output = run(&["doctor", "--json", "--dir", dir.to_str().expect("text")]);
    let found: Vec<Value> = serde_json::from_slice(&output.stdout).expect("findings");
    for finding in &found {
        let is_well = finding["state"] == "well";
        assert_eq!(is_well, finding["next"] == "", "what is not well says what to do next: {finding}");
    }
    let state = |finding: &Value| {
        let text = |key: &str| finding[key].as_str().expect("text").to_owned();
        (text("name"), text("state"))
    };
    (output.status.code(), found.iter().map(state).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_reach_a_collector_and_the_doctor_finds_what_is_broken() {
    let place = Place::new("doctor");
    let dir = place.path("state");
    let at = dir.to_str().expect("text").to_owned();
    let config = |arguments: &[&str]| run(&[&["config"], arguments, &["--json", "--dir", &at]].concat());
    let (url, messages) = collector().await;
    let set = tokio::task::block_in_place(|| {
        assert!(config(&["set", "api.port", "0"]).status.success());
        assert!(config(&["set", "api.rpc_port", "0"]).status.success());
        config(&["set", "monitor.otlp", &url])
    });
    assert_eq!(document::<Value>(&set)["number"], 3);
    let bad = config(&["set", "monitor.oltp", &url]);
    assert_eq!(bad.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&bad.stderr).contains("monitor.otlp, perhaps"));
    let model = place.path("weather.pmesh");
    let file = proofmesh::weather::import_model().expect("the model").file;
    std::fs::write(&model, file.encode().expect("bytes")).expect("written");
    let mut running = tokio::task::block_in_place(|| Running::start(&dir, &model, None)).expect("starts");
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    http.get(format!("{}/v1/jobs", running.api)).header("traceparent", parent).send().await.expect("answers");
    let span = |messages: &Messages| {
        let all = messages.lock().expect("unbroken");
        let spans = all
            .iter()
            .flat_map(|message| message["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().cloned());
        spans.flatten().find(|span| span["name"] == "GET /v1/jobs")
    };
    let began = Instant::now();
    while span(&messages).is_none() {
        assert!(began.elapsed() < Duration::from_secs(30), "no span came");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let span = span(&messages).expect("a span");
    assert_eq!((&span["traceId"], &span["parentSpanId"]), (&parent[3..35].into(), &parent[36..52].into()));
    assert_eq!(span["attributes"][2]["value"]["stringValue"], "200");

    tokio::task::block_in_place(|| {
        let (code, all) = findings(&dir);
        assert_eq!(code, Some(0), "{all:?}");
        for name in [
            "disk",
            "clock",
            "config",
            "ports",
            "keys",
            "log",
            "chain",
            "coordinator",
            "version",
            "demands",
            "spool",
            "memory",
        ] {
            assert_eq!(all.get(name).map(String::as_str), Some("well"), "{name}: {all:?}");
        }
        running.kill();
        let ill = |expected: &str| {
            let (code, all) = findings(&dir);
            assert_eq!(
                (code, all.get(expected).map(String::as_str)),
                (Some(1), Some("ill")),
                "{expected}: {all:?}"
            );
        };
        let key = dir.join("keys/owner.seed");
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).expect("opened");
        ill("keys");
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).expect("closed");
        let (log, bytes) = (dir.join("log"), std::fs::read(dir.join("log")).expect("a log"));
        std::fs::write(&log, &bytes[..bytes.len() - 3]).expect("torn");
        let (code, all) = findings(&dir);
        assert_eq!(
            (code, all["log"].as_str(), all["coordinator"].as_str()),
            (Some(0), "watch", "watch"),
            "{all:?}"
        );
        let mut damaged = bytes.clone();
        damaged[40] ^= 1;
        std::fs::write(&log, &damaged).expect("damaged");
        ill("log");
        std::fs::write(&log, &bytes).expect("mended");
        assert!(config(&["set", "api.port", "0"]).status.success());
        std::fs::write(dir.join("config/000004.toml"), "[api]\nport = 1\n").expect("another hand");
        ill("config");
        std::fs::write(dir.join("deployment.json"), "{").expect("damaged");
        ill("chain");
    });
}

/// What is printed for systemd keeps to what it says: hardened, restarted, giving way.
#[test]
fn the_unit_is_hardened_and_names_its_program() {
    let output = run(&["service", "print", "--program", "/usr/local/bin/proofmesh"]);
    let unit = String::from_utf8(output.stdout).expect("text");
    for line in [
        "ExecStart=/usr/local/bin/proofmesh up --dir /var/lib/proofmesh",
        "Restart=always",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "CapabilityBoundingSet=",
        "UMask=0077",
        "Nice=10",
    ] {
        assert!(unit.lines().any(|found| found == line), "{line}:\n{unit}");
    }
    for bad in ["relative/proofmesh", "/bin/sh -c x", "/bin/x\nExecStart=/bin/y"] {
        assert_eq!(run(&["service", "print", "--program", bad]).status.code(), Some(2), "{bad}");
    }
}
