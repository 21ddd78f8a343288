//! Papers of sensors: makers' batches and recalls, owners, transfer, revocation; at a node that runs, across restarts, and by the
//! commands.

use crate::place::{Place, document, run};
use proofmesh::device::Device;
use proofmesh::device::enrol::{Enrolment, Paper, enrol, require};
use proofmesh::device::intake::{Intake, Payload, TakenDoc, bind};
use proofmesh::engine::keys::Keys;
use proofmesh::time::Time;
use proofmesh::wire::Hex;
use proofmesh_market::{AccountSecret, DeviceSecret};
use proofmesh_services::cose;
use proofmesh_services::did::DidSecret;
use proofmesh_services::maker::{Certificate, Recall};
use proofmesh_services::reading::Values;
use proofmesh_services::senml::{Form, Measured, encode};
use proofmesh_services::title::{SignedStatement, Title};
use serde_json::Value;
use std::path::Path;

/// 2026-01-01 00:00 UTC.
const NOW_S: u64 = 1_767_225_600;

fn sensor() -> DidSecret {
    DidSecret::p256([9; 32]).expect("below the order")
}

/// A node of this name that is bound to the sensor, its owner's account, and its intake.
fn node(place: &Place, name: &str) -> (AccountSecret, Intake) {
    bind(&place.path("nodes").join(name), Some(sensor().did())).expect("bound");
    let owner = Keys::open(&place.path("keys")).expect("keys").account(name).expect("an account");
    (owner, Intake::open(&place.0, name, Time::standing_at(NOW_S)).expect("opens"))
}

fn tell(place: &Place, node: &str, paper: &Paper) -> String {
    let told = enrol(&place.path("nodes").join(node), paper, NOW_S);
    told.map_or_else(|fault| fault.name, |()| "taken".to_owned())
}

fn statement(signed: &SignedStatement) -> Paper {
    Paper::Statement(Hex(signed.encode()))
}

/// Messages of a sensor at these seconds.
fn messages(secret: &DidSecret, seconds: &[u64]) -> Vec<Vec<u8>> {
    let mut device = Device::new(secret.clone());
    let values = Values { temp_centi_c: Some(210), ..Values::default() };
    let sign = |time_s: &u64| device.measure(*time_s, values).and_then(|signed| Ok(cose::encode(&signed)?));
    seconds.iter().map(sign).collect::<Result<_, _>>().expect("in order")
}

fn take(intake: &Intake, message: &[u8]) -> String {
    match intake.take(Payload::Cose, message) {
        Ok(TakenDoc { readings: 1, known: 0 }) => "taken".to_owned(),
        Ok(_) => "known".to_owned(),
        Err(fault) => fault.name,
    }
}

#[test]
fn a_sensor_changes_hands_and_its_readings_go_with_it() {
    let place = Place::new("sensor-owners");
    let ((first, old), (second, new)) = (node(&place, "old"), node(&place, "new"));
    let at = |after: u64| NOW_S - 1_000 + after;
    let mut title = Title::new(sensor().did());
    let bound = title.next(at(100), Some(first.address())).give_as_sensor(&sensor()).take(&first);
    title.take(&bound).expect("bound");
    let given = title.next(at(500), Some(second.address())).give(&first).take(&second);
    title.take(&given).expect("given");
    let stream = messages(&sensor(), &[at(50), at(200), at(300), at(500), at(600), at(700), at(800)]);
    assert_eq!(tell(&place, "old", &statement(&bound)), "taken");
    assert_eq!(take(&old, &stream[0]), "reading.not-owner", "before it was anybody's");
    assert_eq!(take(&old, &stream[1]), "taken");
    // Half a transfer is none; the whole one counts at the next reading of a node that runs.
    let half = SignedStatement { taken: None, ..given };
    assert_eq!(tell(&place, "old", &statement(&half)), "title.signature");
    assert_eq!(take(&old, &stream[2]), "taken");
    for name in ["old", "new"] {
        let told = if name == "new" { tell(&place, name, &statement(&bound)) } else { "taken".to_owned() };
        assert_eq!((told, tell(&place, name, &statement(&given))), ("taken".to_owned(), "taken".to_owned()));
    }
    assert_eq!(take(&old, &stream[3]), "reading.not-owner");
    assert_eq!(take(&new, &stream[2]), "reading.not-owner", "what was measured before is the old owner's");
    assert_eq!((take(&new, &stream[3]), take(&new, &stream[4])), ("taken".to_owned(), "taken".to_owned()));
    // Old statements again, and the sensor sold twice: named, the second kept as evidence, nothing changes.
    assert_eq!(tell(&place, "new", &statement(&bound)), "title.replayed");
    assert_eq!(tell(&place, "new", &statement(&given)), "title.replayed");
    let third = AccountSecret::from_bytes([3; 32]).expect("below the order");
    let twice = proofmesh_services::title::Statement { to: Some(third.address()), ..given.statement };
    let twice = twice.give(&first).take(&third);
    assert_eq!(tell(&place, "new", &statement(&twice)), "title.forked");
    let known = |name: &str| Enrolment::look(&place.path("nodes").join(name), sensor().did()).expect("reads");
    assert_eq!(known("new").forked, Some(Hex(twice.encode())));
    assert_eq!(known("new").title.owner(), Some(second.address()));
    // Another sensor in between forgets nothing.
    drop(new);
    bind(&place.path("nodes/new"), None).expect("bound");
    assert_eq!(tell(&place, "new", &statement(&given)), "sensor.none");
    let (_, new) = node(&place, "new");
    assert_eq!(tell(&place, "new", &statement(&bound)), "title.replayed");
    assert_eq!(take(&new, &stream[4]), "known");
    // Its owner revokes it: what it signs from then on is refused, what is here stays.
    let revoked = title.next(at(700), None).give(&second);
    assert_eq!(tell(&place, "new", &statement(&revoked)), "taken");
    assert_eq!(
        (take(&new, &stream[5]), take(&new, &stream[6])),
        ("reading.revoked".to_owned(), "reading.revoked".to_owned())
    );
    assert_eq!(new.refused().0.get("reading.revoked"), Some(&2));
    drop(new);
    let (_, new) = node(&place, "new");
    assert_eq!(take(&new, &stream[6]), "reading.revoked");
    let days: Vec<_> = new.with(|seen| seen.days().cloned().collect());
    assert_eq!(days.iter().map(|day| day.readings).sum::<u64>(), 2, "earlier ones stay");
    let late = title.next(NOW_S + 601, Some(third.address())).give(&second).take(&third);
    assert_eq!(tell(&place, "new", &statement(&late)), "paper.time-ahead");
}

#[test]
fn makers_certify_batches_and_take_them_back() {
    let place = Place::new("sensor-makers");
    let (_, intake) = node(&place, "ewr");
    let (maker, stranger) = (
        DidSecret::from(DeviceSecret::from_bytes([1; 32])),
        DidSecret::from(DeviceSecret::from_bytes([2; 32])),
    );
    let dir = place.path("nodes/ewr");
    let other = DidSecret::p256([8; 32]).expect("below the order");
    let at = |after: u64| NOW_S - 1_000 + after;
    let batch = Certificate::sign(&maker, "2026-11", at(0), &[other.did(), sensor().did()]).expect("a batch");
    let stream = messages(&sensor(), &[at(100), at(200), at(300), at(400), at(500)]);
    assert_eq!(take(&intake, &stream[0]), "taken", "nobody asks for a maker");
    require(&dir, Some(maker.did())).expect("written");
    assert_eq!(take(&intake, &stream[1]), "maker.required");
    let recall = Paper::Recall(Recall::sign(&maker, batch[0].batch.root, None, at(400)));
    assert_eq!(tell(&place, "ewr", &recall), "recall.none");
    assert_eq!(tell(&place, "ewr", &Paper::Certificate(batch[0].clone())), "certificate.other");
    let forged = Certificate {
        signature: batch[0].signature,
        ..Certificate::sign(&stranger, "2026-11", at(0), &[sensor().did()]).expect("a batch")[0].clone()
    };
    assert_eq!(tell(&place, "ewr", &Paper::Certificate(forged)), "maker.signature");
    assert_eq!(tell(&place, "ewr", &Paper::Certificate(batch[1].clone())), "taken");
    assert_eq!(take(&intake, &stream[1]), "taken");
    let doc = Enrolment::look(&dir, sensor().did()).expect("reads").doc();
    assert_eq!((doc.maker, doc.batch.as_deref()), (Some(maker.did()), Some("2026-11")));
    require(&dir, Some(stranger.did())).expect("written");
    assert_eq!(take(&intake, &stream[2]), "maker.required");
    require(&dir, Some(maker.did())).expect("written");
    // Another batch of anybody's does not push the certificate out, and with it the recall.
    let again =
        Certificate::sign(&stranger, "2026-12", at(0), &[sensor().did()]).expect("a batch")[0].clone();
    assert_eq!(tell(&place, "ewr", &Paper::Certificate(again)), "certificate.other");
    assert_eq!(tell(&place, "ewr", &recall), "taken");
    assert_eq!(
        (take(&intake, &stream[2]), take(&intake, &stream[3])),
        ("taken".to_owned(), "reading.recalled".to_owned())
    );
    let later = Paper::Recall(Recall::sign(&maker, batch[0].batch.root, Some(sensor().did()), at(900)));
    assert_eq!(tell(&place, "ewr", &later), "taken");
    drop(intake);
    let (_, intake) = node(&place, "ewr");
    assert_eq!(take(&intake, &stream[4]), "reading.recalled", "the earlier one counts, also after a restart");
    // A sensor without a key is no maker's.
    drop(intake);
    bind(&dir, None).expect("bound");
    let intake = Intake::open(&place.0, "ewr", Time::standing_at(NOW_S)).expect("opens");
    let pack = encode(
        Form::Json,
        "s:",
        &Measured { time_s: at(500), values: Values { temp_centi_c: Some(1), ..Values::default() } },
    );
    assert_eq!(intake.take(Payload::Senml(Form::Json), &pack).expect_err("no maker").name, "maker.required");
}

#[test]
fn hostile_papers_are_refused_by_name() {
    for bytes in [
        &b""[..],
        b"null",
        b"{}",
        b"{\"statement\":\"0x\",\"recall\":1}",
        b"{\"statement\":7}",
        &[b'['; 16_384],
    ] {
        assert_eq!(Paper::read(bytes).expect_err("no paper").name, "paper.json");
    }
    let place = Place::new("sensor-hostile");
    let _node = node(&place, "ewr");
    for length in 0..300 {
        for byte in [0, 1, 0xed, 0xff] {
            assert_eq!(tell(&place, "ewr", &Paper::Statement(Hex(vec![byte; length]))), "title.form");
        }
    }
}

/// What docs/devices.md shows, by the commands: maker, sensor, two owners.
#[test]
fn the_commands_make_and_take_every_paper() {
    let place = Place::new("sensor-commands");
    let text = |path: &Path| path.to_str().expect("a path in text").to_owned();
    let dir = |name: &str| text(&place.path(name));
    let call =
        |whose: &str, arguments: &[&str]| run(&[arguments, &["--json", "--dir", &dir(whose)]].concat());
    let refused = |whose: &str, arguments: &[&str]| -> String {
        let output = call(whose, arguments);
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
        let fault: Value = serde_json::from_slice(&output.stderr).expect("a fault");
        fault["name"].as_str().expect("a name").to_owned()
    };
    let keep = |name: &str, output: &std::process::Output| -> String {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::write(place.path(name), &output.stdout).expect("written");
        dir(name)
    };
    let made: Value = document(&call("sensor", &["device", "new", "roof", "--curve", "p256"]));
    let did = made["device"].as_str().expect("text").to_owned();
    assert!(did.starts_with("did:key:zDn"), "{did}");
    std::fs::write(place.path("keys.txt"), format!("{did}\n")).expect("written");
    let batch =
        ["sensor", "batch", "acme", "--name", "2026-11", "--keys", &dir("keys.txt"), "--out", &dir("papers")];
    let maker: Value = document(&call("maker", &batch));
    let maker = maker["maker"].as_str().expect("text").to_owned();
    let certificate = dir(&format!("papers/{}.json", did.strip_prefix("did:key:").expect("a did:key")));
    let mut accounts = Vec::new();
    for owner in ["one", "two"] {
        document::<Value>(&call(owner, &["device", "accept", "ewr", &did]));
        let shown: Value = document(&call(owner, &["sensor", "enrol", "ewr", &certificate]));
        assert_eq!((&shown["maker"], &shown["batch"]), (&maker.as_str().into(), &"2026-11".into()));
        accounts.push(shown["account"].as_str().expect("text").to_owned());
        document::<Value>(&call(owner, &["sensor", "require", "ewr", &maker]));
    }
    let given = keep(
        "given.json",
        &call("sensor", &["sensor", "give", "roof", "--curve", "p256", "--to", &accounts[0]]),
    );
    assert_eq!(refused("two", &["sensor", "take", "ewr", &given]), "title.not-yours");
    let bound = keep("bound.json", &call("one", &["sensor", "take", "ewr", &given]));
    assert_eq!(refused("one", &["sensor", "enrol", "ewr", &bound]), "title.replayed");
    document::<Value>(&call("two", &["sensor", "enrol", "ewr", &bound]));
    assert_eq!(refused("two", &["sensor", "transfer", "ewr", "--to", &accounts[0]]), "title.not-yours");
    std::thread::sleep(std::time::Duration::from_millis(1_100)); // a statement is a second later than the one before
    let offered = keep("offered.json", &call("one", &["sensor", "transfer", "ewr", "--to", &accounts[1]]));
    let taken = keep("taken.json", &call("two", &["sensor", "take", "ewr", &offered]));
    let shown: Value = document(&call("one", &["sensor", "enrol", "ewr", &taken]));
    assert_eq!((&shown["owner"], &shown["statements"]), (&accounts[1].as_str().into(), &2.into()));
    assert_eq!(refused("one", &["sensor", "revoke", "ewr"]), "title.not-yours");
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    keep("revoked.json", &call("two", &["sensor", "revoke", "ewr"]));
    let shown: Value = document(&call("two", &["sensor", "show", "ewr"]));
    assert!(shown["revoked_s"].is_u64() && shown["owner"].is_null(), "{shown}");
    let recall = keep("recall.json", &call("maker", &["sensor", "recall", "acme", &certificate, "--batch"]));
    let shown: Value = document(&call("one", &["sensor", "enrol", "ewr", &recall]));
    assert!(shown["recalled_s"].is_u64(), "{shown}");
    assert_eq!(refused("other", &["sensor", "recall", "acme", &certificate]), "recall.other");
}
