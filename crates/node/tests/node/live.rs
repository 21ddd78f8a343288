//! Live devices: a real broker, real publishing clients, outages, lies, and money at the end.

use crate::mosquitto::Mosquitto;
use crate::place::{Place, Running, document, run};
use proofmesh::device::Device;
use proofmesh::device::intake::{Intake, Payload, TakenDoc, bind};
use proofmesh::device::mqtt::{Broker, listen};
use proofmesh::device::stream::Seen;
use proofmesh::engine::keys::Keys;
use proofmesh::time::Time;
use proofmesh::weather::{airports, day_start_s};
use proofmesh_market::DeviceSecret;
use proofmesh_services::cose;
use proofmesh_services::did::DidSecret;
use proofmesh_services::reading::Values;
use proofmesh_services::senml::{Form, Measured, encode};
use proofmesh_services::window::{HOUR_S, WINDOW_S};
use serde_json::Value;
use std::io::Write;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// 2026-01-01 00:00 UTC.
const NOW_S: u64 = 1_767_225_600;

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in text")
}

/// The readings of a station's hours.
fn hours(station: usize, from_s: u64, count: u64) -> Vec<Measured> {
    let recording = airports()[station].clone();
    let range = recording.range(from_s..from_s + count * HOUR_S);
    range.map(|(time_s, values)| Measured { time_s: *time_s, values: *values }).collect()
}

/// A publishing client in a process of its own, fed line by line.
struct Sensor {
    child: Child,
    input: ChildStdin,
}

impl Sensor {
    fn start(dir: &Path, broker: &Mosquitto, form: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_proofmesh"));
        command.args(["device", "feed", "ewr", "--form", form, "--file", "-", "--broker", &broker.url()]);
        command.arg("--dir").arg(dir).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the binary runs");
        let input = child.stdin.take().expect("piped");
        Sensor { child, input }
    }

    fn measure(&mut self, readings: &[Measured]) {
        for reading in readings {
            self.input.write_all(&encode(Form::Json, "ewr:", reading)).expect("it reads");
            self.input.write_all(b"\n").expect("it reads");
        }
    }

    /// Messages in its outbox.
    fn spooled(dir: &Path, form: &str) -> usize {
        let log = std::fs::read(dir.join(format!("feeds/ewr/{form}.log"))).unwrap_or_default();
        proofmesh::engine::log::scan(&log).map_or(0, |scan| scan.records.len())
    }

    fn end(self) {
        drop(self.input);
        let Sensor { mut child, .. } = self;
        assert!(child.wait().expect("it ends").success());
    }
}

async fn until(what: &str, mut is: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < Duration::from_secs(60), "waited for {what} in vain");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A day: the broker goes away for six hours of it, the sensor's process dies in them, and the node is away as well.
async fn a_day_with_an_outage(form: &str) {
    let Some(mut broker) = Mosquitto::start() else { return };
    let (place, from_s) = (Place::new("live-outage"), day_start_s("2013-01-22").expect("a date"));
    let day = hours(0, from_s, 24);
    assert_eq!(day.len(), 24);
    let url = broker.url();
    let node = async || {
        let intake = Arc::new(Intake::open(&place.0, "ewr", Time::standing_at(NOW_S)).expect("opens"));
        let (url, heard) = (url.parse::<Broker>().expect("a URL"), intake.clone());
        let said = Arc::new(AtomicBool::new(false));
        let tell = said.clone();
        let listening = tokio::spawn(async move {
            listen(&url, &heard, &|text| tell.store(text.contains("listening at"), Ordering::SeqCst)).await;
        });
        // A broker keeps messages only for whom it has met.
        until("the node to listen", || said.load(Ordering::SeqCst)).await;
        (intake, listening)
    };
    let (intake, listening) = node().await;
    let count = |intake: &Intake| intake.with(Seen::next);
    let mut sensor = Sensor::start(&place.0, &broker, form);
    sensor.measure(&day[..10]);
    until("ten readings", || count(&intake) == 10).await;
    broker.stop();
    sensor.measure(&day[10..13]);
    until("three readings in the outbox", || Sensor::spooled(&place.0, form) == 13).await;
    sensor.child.kill().expect("killed");
    sensor.child.wait().expect("ended");
    let mut sensor = Sensor::start(&place.0, &broker, form);
    sensor.measure(&day[13..16]);
    until("six readings in the outbox", || Sensor::spooled(&place.0, form) == 16).await;
    assert_eq!(count(&intake), 10);
    broker.go_on();
    until("the six hours", || count(&intake) == 16).await;
    // The node's own outage: the broker keeps what comes for it.
    listening.abort();
    let _ = listening.await;
    drop(intake);
    sensor.measure(&day[16..]);
    sensor.end();
    let (intake, listening) = node().await;
    until("the whole day", || count(&intake) == 24).await;
    let counts: Vec<_> = intake.with(|seen| seen.days().cloned().collect());
    let [counted] = &counts[..] else { panic!("one day, not {counts:?}") };
    assert_eq!((counted.first, counted.until, counted.readings, counted.hours), (0, 24, 24, 24));
    assert_eq!((counted.missing, counted.by_gateway), (0, if form == "cose" { 0 } else { 24 }));
    let kept = intake.with(|seen| seen.hours().clone());
    assert!(day.iter().all(|reading| kept[&reading.time_s] == reading.values));
    // Messages that were sent again are told from new ones; nothing else was refused.
    let again = ["reading.duplicate", "reading.replayed"];
    assert!(intake.refused().0.keys().all(|name| again.contains(&name.as_str())), "{:?}", intake.refused());
    listening.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn six_hours_without_network_lose_nothing() {
    a_day_with_an_outage("json").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn six_hours_without_network_lose_nothing_that_was_signed() {
    a_day_with_an_outage("cose").await;
}

fn take(intake: &Intake, payload: Payload, bytes: &[u8]) -> String {
    match intake.take(payload, bytes) {
        Ok(TakenDoc { readings, known }) => format!("{readings} new, {known} known"),
        Err(fault) => fault.name,
    }
}

#[test]
fn a_sensor_without_a_key_is_signed_for_and_its_repetitions_are_named() {
    let place = Place::new("live-plain");
    let intake = Intake::open(&place.0, "ewr", Time::standing_at(NOW_S)).expect("opens");
    let from_s = day_start_s("2013-01-22").expect("a date");
    let day = hours(0, from_s, 4);
    let json = |reading: &Measured| encode(Form::Json, "s:", reading);
    let senml = |bytes: &[u8]| take(&intake, Payload::Senml(Form::Json), bytes);
    assert_eq!(senml(&json(&day[0])), "1 new, 0 known");
    assert_eq!(
        take(&intake, Payload::Senml(Form::Cbor), &encode(Form::Cbor, "s:", &day[2])),
        "1 new, 0 known"
    );
    assert_eq!(senml(&json(&day[2])), "0 new, 1 known");
    assert_eq!(senml(&json(&day[0])), "0 new, 1 known");
    assert_eq!(senml(&json(&day[1])), "reading.reordered");
    let earlier = Measured { time_s: from_s - HOUR_S, ..day[0] };
    assert_eq!(senml(&json(&earlier)), "reading.reordered", "new, however old");
    let changed = Values { temp_centi_c: Some(2_000), ..day[0].values };
    assert_eq!(senml(&json(&Measured { values: changed, ..day[0] })), "reading.rewritten");
    assert_eq!(senml(b"{}"), "senml.syntax");
    assert_eq!(senml(&[b' '; 20_000]), "intake.too-large");
    let refused = intake.refused().0;
    assert_eq!(refused.get("reading.reordered"), Some(&2));
    for name in ["reading.duplicate", "reading.replayed", "reading.rewritten"] {
        assert_eq!(refused.get(name), Some(&1), "{name}");
    }
    // Anybody can see it without disturbing the node, and it is the same after a restart.
    let seen = Seen::look(&place.path("nodes/ewr"), intake.device()).expect("reads");
    let counted = seen.days().next().expect("a day").clone();
    assert_eq!((counted.readings, counted.by_gateway, counted.hours), (2, 2, 2));
    drop(intake);
    let intake = Intake::open(&place.0, "ewr", Time::standing_at(NOW_S)).expect("opens");
    assert_eq!((intake.with(Seen::next), intake.refused().0), (2, refused));
    assert_eq!(take(&intake, Payload::Senml(Form::Json), &json(&day[3])), "1 new, 0 known");
}

#[test]
fn a_sensor_with_a_key_is_believed_alone_and_each_lie_has_its_name() {
    let ed25519 = |byte| DidSecret::from(DeviceSecret::from_bytes([byte; 32]));
    let p256 = |byte| DidSecret::p256([byte; 32]).expect("below the order");
    believed_alone("live-signed", &ed25519(9), &ed25519(8));
    believed_alone("live-signed-p256", &p256(9), &p256(8));
    believed_alone("live-signed-mixed", &p256(9), &ed25519(9));
}

fn believed_alone(name: &str, sensor: &DidSecret, stranger: &DidSecret) {
    let place = Place::new(name);
    bind(&place.path("nodes/ewr"), Some(sensor.did())).expect("bound");
    let intake = Intake::open(&place.0, "ewr", Time::standing_at(NOW_S)).expect("opens");
    let from_s = day_start_s("2013-01-22").expect("a date");
    let stream = |secret: &DidSecret, warmer: i32| -> Vec<Vec<u8>> {
        let mut device = Device::new(secret.clone());
        let sign = |reading: &Measured| {
            let temp_centi_c = reading.values.temp_centi_c.map(|value| value + warmer);
            let values = Values { temp_centi_c, ..reading.values };
            cose::encode(&device.measure(reading.time_s, values).expect("later")).expect("a message")
        };
        hours(0, from_s, 30).iter().map(sign).collect()
    };
    let honest = stream(sensor, 0);
    let cose = |bytes: &[u8]| take(&intake, Payload::Cose, bytes);
    assert_eq!(cose(&honest[0]), "1 new, 0 known");
    assert_eq!(cose(&honest[1]), "1 new, 0 known");
    assert_eq!(cose(&honest[1]), "0 new, 1 known"); // duplicate
    assert_eq!(cose(&honest[0]), "0 new, 1 known"); // replayed
    assert_eq!(cose(&stream(sensor, 5)[0]), "reading.cloned", "another first reading by the same key");
    assert_eq!(cose(&stream(sensor, 5)[1]), "reading.rewritten", "a past that we did not see");
    assert_eq!(cose(&stream(sensor, 5)[2]), "reading.rewritten");
    assert_eq!(cose(&stream(stranger, 0)[2]), "reading.wrong-device");
    let mut damaged = honest[2].clone();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    assert_eq!(cose(&damaged), "reading.signature");
    assert_eq!(cose(&honest[4]), "1 new, 0 known", "over a gap the stream goes on");
    assert_eq!(cose(&honest[3]), "reading.reordered");
    let pack = encode(Form::Json, "s:", &hours(0, from_s + WINDOW_S, 1)[0]);
    assert_eq!(take(&intake, Payload::Senml(Form::Json), &pack), "reading.unsigned");
    let ahead = Device::new(sensor.clone()).measure(NOW_S + 601, Values::default()).expect("signed");
    assert_eq!(cose(&cose::encode(&ahead).expect("a message")), "reading.time-ahead");
    for name in ["reading.gap", "reading.duplicate", "reading.replayed"] {
        assert_eq!(intake.refused().0.get(name), Some(&1), "{name}");
    }
    // A day that is left out shows: its numbers are missing before the next one.
    for message in &honest[26..] {
        assert_eq!(cose(message), "1 new, 0 known");
    }
    let days: Vec<_> = intake.with(|seen| seen.days().cloned().collect());
    assert_eq!(days.len(), 2);
    assert_eq!((days[0].first, days[0].until, days[0].readings, days[0].missing), (0, 5, 3, 2));
    assert_eq!((days[1].first, days[1].until, days[1].missing), (26, 30, 21));
}

/// What README shows: broker, network, job, a publishing client; then proofs, receipts and money.
#[test]
fn a_published_reading_becomes_a_proof_a_receipt_and_money() {
    let Some(broker) = Mosquitto::start() else { return };
    let place = Place::new("live-pay");
    let model = place.path("weather.pmesh");
    let file = proofmesh::weather::import_model().expect("the model").file;
    std::fs::write(&model, file.encode().expect("bytes")).expect("written");
    let (dir, url) = (place.path("state"), broker.url());
    let more = ["--with", "ewr=EWR", "--mqtt", &url];
    let running = Running::start_with(&dir, &model, None, &more).expect("starts");
    let (dir, api) = (text(&dir), running.api.clone());
    let call = |arguments: &[&str]| run(&[arguments, &["--json", "--dir", dir, "--url", &api]].concat());
    let wait = |what: &str, is: &dyn Fn() -> bool| {
        let begun = Instant::now();
        while !is() {
            assert!(begun.elapsed() < Duration::from_secs(120), "waited for {what} in vain");
            std::thread::sleep(Duration::from_millis(300));
        }
    };
    let nodes = |api: &str| -> Value {
        let answer = tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
            let http = reqwest::Client::builder().no_proxy().build().expect("a client");
            http.get(format!("{api}/v1/nodes")).send().await.expect("answers").text().await.expect("text")
        });
        serde_json::from_str(&answer).expect("JSON")
    };
    wait("the node to join and be measured", &|| {
        nodes(&api)[0]["node"]["capabilities"].as_array().is_some_and(|all| !all.is_empty())
    });
    let post = ["job", "post", "--device", "ewr", "--station", "EWR", "--from", "2013-01-22", "--days", "2"];
    let job: Value = document(&call(&post));
    assert_eq!(job["status"], "assigned");
    let id = job["id"].as_str().expect("an id").to_owned();
    let recording = run(&["device", "recording", "--station", "EWR", "--from", "2013-01-22", "--days", "2"]);
    let packs = place.path("readings.senml");
    std::fs::write(&packs, &recording.stdout).expect("written");
    let shown = || -> Value { document(&call(&["job", "show", &id])) };
    assert!(shown()["receipts"].as_array().expect("a list").is_empty(), "no reading, no receipt");
    let fed = run(&[
        "device",
        "feed",
        "ewr",
        "--broker",
        &url,
        "--file",
        text(&packs),
        "--json",
        "--dir",
        text(&place.path("sensor")),
    ]);
    assert_eq!(document::<Value>(&fed)["readings"], 54, "two days, and three hours on both sides");
    wait("two verdicts", &|| {
        let shown = shown();
        let receipts = shown["receipts"].as_array().expect("a list");
        receipts.len() == 2 && receipts.iter().all(|receipt| receipt["status"] != "pending")
    });
    let settled = |receipt: &Value| (receipt["status"].clone(), receipt["units"].clone());
    for receipt in shown()["receipts"].as_array().expect("a list") {
        assert_eq!(settled(receipt).0, "accepted", "{receipt}");
        let digest = receipt["digest"].as_str().expect("a digest");
        assert_eq!(document::<Value>(&call(&["receipt", "verify", digest]))["units"], 1);
    }
    assert_eq!(document::<Value>(&call(&["epoch", "close", "--pass-window"]))["receipts"], 2);
    assert_eq!(document::<Value>(&call(&["claim", "ewr"]))["paid"], 980_000);
    let device: Value = document(&call(&["device", "show", "ewr"]));
    let days = device["days"].as_array().expect("days");
    assert_eq!((&days[1]["date"], &days[1]["readings"]), (&"2013-01-22".into(), &24.into()));
    assert_eq!((&days[1]["by_gateway"], &days[1]["missing"]), (&24.into(), &0.into()));
    assert!(device["device"].as_str().expect("text").starts_with("did:key:z6Mk"));
    assert_eq!(document::<Value>(&call(&["audit"]))["verdicts"], 2);
    // HTTP push, the same way in: for the owner alone, and by its media type.
    let key = Keys::open(&place.path("state/keys")).expect("keys").seed("owner").expect("the owner's");
    let push = |kind: &str, body: Vec<u8>, key: &str| -> (u16, Value) {
        tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
            let http = reqwest::Client::builder().no_proxy().build().expect("a client");
            let request = http.post(format!("{api}/v1/own/nodes/ewr/readings")).header("content-type", kind);
            let answer = request.header("authorization", format!("Bearer {key}")).body(body).send().await;
            let answer = answer.expect("answers");
            let status = answer.status().as_u16();
            (status, serde_json::from_str(&answer.text().await.expect("text")).expect("JSON"))
        })
    };
    let next = hours(0, day_start_s("2013-01-25").expect("a date"), 1)[0];
    let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let json = || encode(Form::Json, "s:", &next);
    assert_eq!(push("application/senml+json", json(), "").0, 401);
    let (status, taken) = push("application/senml+cbor", encode(Form::Cbor, "s:", &next), &key);
    assert_eq!((status, &taken["readings"]), (200, &1.into()), "{taken}");
    assert_eq!(push("application/senml+json", json(), &key).1["known"], 1);
    assert_eq!(push("application/senml+json", b"[]".to_vec(), &key).1["name"], "senml.empty");
    assert_eq!(push("application/json", json(), &key).1["name"], "intake.form");
    assert_eq!(push("text/plain", json(), &key).0, 415);
    assert_eq!(push("application/senml+json", vec![b' '; 20_000], &key).0, 413);
}
