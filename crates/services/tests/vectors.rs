//! /vectors/services.json: the canonical encodings of metered data and storage, from fixed keys. Made by
//! `BLESS=1 cargo test -p proofmesh-services vectors`, checked otherwise.

use proofmesh_market::{Address, DeviceSecret, Hash32, Known, keccak};
use proofmesh_services::metered::{self, Line, Quantity, Range, SignedTick};
use proofmesh_services::seed::seed_feed;
use proofmesh_services::storage::challenge::{Asked, Challenge};
use proofmesh_services::storage::handover::Handover;
use proofmesh_services::storage::merkle::{CHUNK_BYTES, Tree};
use proofmesh_services::storage::pieces::Coding;
use proofmesh_services::storage::placement::{Candidate, place};
use proofmesh_services::storage::seal::ObjectKey;
use proofmesh_services::{SERVICES, storage};
use serde_json::{Value, json};

fn text(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

fn secret(i: u8) -> DeviceSecret {
    DeviceSecret::from_bytes([i; 32])
}

fn metered() -> Value {
    let terms = metered::Terms {
        quantity: Quantity::Packets,
        consumer: secret(2).device(),
        unit: 100,
        tick_s: 60,
        tick_max: 250,
        range_ticks: 4,
    };
    let (job, provider, from_s) = (keccak(b"a job"), secret(1).device(), 1_700_000_000);
    let line = Line { job, provider, from_s, terms };
    let signed = |number, total| {
        let tick = line.tick(number, total).expect("early");
        SignedTick { tick, provider: tick.sign(&secret(1)), consumer: tick.sign(&secret(2)) }
    };
    let range = Range { first: signed(4, 950), last: signed(7, 1_640) };
    let tick = |signed: &SignedTick| {
        json!({
            "number": signed.tick.number.to_string(), "total": signed.tick.total.to_string(),
            "time": signed.tick.time_s.to_string(), "bytes": text(&signed.tick.encode()), "digest": signed.tick.digest(),
            "provider_signature": signed.provider, "consumer_signature": signed.consumer,
        })
    };
    json!({
        "terms": {
            "quantity": 2, "consumer": Hash32(secret(2).device().0), "unit": "100", "tick_s": "60", "tick_max": "250",
            "range_ticks": "4", "bytes": text(&line.terms.encode()),
        },
        "job": job, "provider": Hash32(provider.0), "window_from": from_s.to_string(),
        "first": tick(&range.first), "last": tick(&range.last),
        "evidence": text(&range.encode()), "units": range.verify(&line, Known::NOTHING).expect("honest").to_string(),
    })
}

fn storage() -> Value {
    let bytes = 5 * CHUNK_BYTES;
    let piece: Vec<u8> = (0..bytes).map(|i| (i % 251) as u8).collect();
    let tree = Tree::new(&piece).expect("a piece");
    let terms =
        storage::Terms { piece_bytes: bytes as u64, round_s: 86_400, unit_byte_days: 500, questions: 3 };
    let (seed, job, node, device) =
        (keccak(b"a seed"), keccak(b"a job"), Address([9; 20]), secret(1).device());
    let asked = Asked { job: &job, node: &node, device: &device, round: 6 };
    let challenge = Challenge::draw(&seed, &asked, bytes as u64, terms.questions);
    let answer = challenge.answer(&piece, &tree).expect("the piece");
    challenge.verify(&tree.commitment(), &answer).expect("honest");
    let sealed = ObjectKey::from_bytes([7; 32]).seal([8; 24], b"an object of a client").expect("small");
    let (manifest, pieces) = Coding::new(2, 4).expect("a coding").split(&sealed).expect("small");
    let handover = Handover {
        job,
        piece: tree.commitment(),
        bytes: bytes as u64,
        from: secret(1).device(),
        to: secret(2).device(),
        at_s: 1_700_000_000,
    };
    let signed = handover.take(&piece, handover.give(&secret(1)), &secret(2)).expect("handed over");
    let candidates: Vec<Candidate> =
        (1..=6u8).map(|i| Candidate { device: secret(i).device(), operator: Address([i / 2; 20]) }).collect();
    let placed = place(&candidates, &keccak(b"an object"), &seed, 3).expect("operators enough");
    let questions: Vec<String> = challenge.questions().iter().map(u64::to_string).collect();
    let candidate = |candidate: &Candidate| json!({ "device": Hash32(candidate.device.0), "operator": candidate.operator });
    json!({
        "terms": {
            "piece_bytes": bytes.to_string(), "round_s": "86400", "unit_byte_days": "500", "questions": 3,
            "bytes": text(&terms.encode()),
        },
        "piece": "byte i is i mod 251", "root": text(&tree.root()), "commitment": tree.commitment(),
        "challenge": {
            "seed": seed, "job": job, "node": node, "device": Hash32(device.0), "round": "6", "questions": questions,
        },
        "evidence": text(&answer), "units": terms.units(6).to_string(),
        "object": {
            "key": text(&[7; 32]), "nonce": text(&[8; 24]), "plain": text(b"an object of a client"), "sealed": text(&sealed),
            "manifest": text(&manifest.encode()), "pieces": pieces.iter().map(|piece| text(piece)).collect::<Vec<_>>(),
        },
        "handover": { "bytes": text(&signed.handover.encode()), "digest": handover.digest(), "signed": text(&signed.encode()) },
        "placement": {
            "object": keccak(b"an object"), "seed": seed, "candidates": candidates.iter().map(candidate).collect::<Vec<_>>(),
            "devices": placed.iter().map(|device| Hash32(device.0)).collect::<Vec<_>>(),
        },
    })
}

#[test]
fn vectors_of_services() {
    let ids: Vec<Value> = SERVICES
        .iter()
        .map(|service| json!({ "name": service.name, "tag": service.tag, "id": service.id() }))
        .collect();
    let value =
        json!({ "services": ids, "seed_feed": seed_feed(), "metered": metered(), "storage": storage() });
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/services.json");
    if std::env::var_os("BLESS").is_some() {
        let text = serde_json::to_string_pretty(&value).expect("JSON");
        std::fs::write(path, text + "\n").expect("the vectors' folder");
        return;
    }
    let text = std::fs::read_to_string(path).expect("run with BLESS=1 once");
    let committed: Value = serde_json::from_str(&text).expect("JSON");
    assert!(
        committed == value,
        "services.json is not what this code makes; look at the difference after BLESS=1"
    );
}
