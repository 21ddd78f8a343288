//! Hostile bytes: every truncation, bit flips, random bytes, and a committed corpus. Nothing panics, nothing
//! allocates beyond its bounds, and what decodes encodes to the same bytes.

use crate::guards::limit;
use crate::world::*;
use proofmesh_market::limits::EVENT_BYTES_MAX;
use proofmesh_market::receipt::{WIRE_BYTES_MAX, WIRE_BYTES_MIN};
use proofmesh_market::*;
use std::path::{Path, PathBuf};

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

/// A small generator (splitmix64), so that a run is the same everywhere.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// Names that a decoder may refuse with.
const RECEIPT_NAMES: [&str; 5] = [
    "receipt.version",
    "receipt.short",
    "receipt.output-too-long",
    "receipt.output-length",
    "receipt.trailing",
];
const EVENT_NAMES: [&str; 4] = ["event.version", "event.too-long", "event.malformed", "event.not-canonical"];

/// Gives true when the bytes decode.
fn receipt(bytes: &[u8]) -> bool {
    match SignedReceipt::decode(bytes) {
        Ok(signed) => {
            assert_eq!(signed.encode(), bytes);
            let _ = signed.verify(&domain());
            true
        }
        Err(refusal) => {
            assert!(RECEIPT_NAMES.contains(&refusal.name), "{refusal}");
            false
        }
    }
}

/// Gives true when the bytes decode. What decodes is also offered to a market, which must stay conserved.
fn event(bytes: &[u8], market: &State) -> bool {
    match Event::decode(bytes) {
        Ok(event) => {
            assert_eq!(event.encode().as_deref(), Ok(bytes));
            let mut state = market.clone();
            if state.step(&event).is_err() {
                assert!(state == *market);
            }
            assert!(conservation(&state).holds());
            true
        }
        Err(refusal) => {
            assert!(EVENT_NAMES.contains(&refusal.name), "{refusal}");
            false
        }
    }
}

fn all_events() -> Vec<Vec<u8>> {
    let mut world = World::working();
    let (paid, _) = world.work(0, 0, b"good");
    world.work(1, 0, b"weather");
    world.ok(dispute(&buyer(), paid));
    let verdict = world.verdict(&paid, b"good", &appeals());
    world.ok(What::DisputeResolved(verdict));
    world.ok(withdraw(&buyer(), Usd::from_micro(3), 0));
    let effects = world.ok(What::EpochClosed { epoch: 1 });
    let [Effect::PostEpoch(epoch)] = &effects[..] else { panic!("{effects:?}") };
    let chain_ref = ChainRef { tx: Hash32([1; 32]), log_index: 300 };
    world.ok(What::EpochPosted { epoch: epoch.clone(), chain_ref });
    let more = [What::DisputeLapsed { receipt: paid }, What::JobEnded { job: job_id() }, thaw(0, 900)];
    let guarded = crate::guards::guarded_life().log;
    let events =
        world.log.iter().cloned().chain(more.map(|what| world.event(what))).chain(one_of_each(guarded));
    let events = events.chain([world.event(limit(0, Usd::from_micro(50_000), 1, 300))]);
    events.map(|event| event.encode().expect("bounded")).collect()
}

/// The first event of each kind that only a guarded market has.
fn one_of_each(log: Vec<Event>) -> Vec<Event> {
    let mut seen = std::collections::BTreeSet::new();
    let kind =
        |event: &Event| format!("{:?}", event.what).split(['(', ' ']).next().unwrap_or_default().to_owned();
    let new = ["GuardsSet", "Pledged", "Offered", "DeviceCertified", "Beacon", "Panel"];
    log.into_iter()
        .filter(|event| new.iter().any(|start| kind(event).starts_with(start)) && seen.insert(kind(event)))
        .collect()
}

fn wires() -> Vec<Vec<u8>> {
    let world = World::working();
    let signed = signed(0, world.receipt(0, 0, b"good"));
    let parts = |output| {
        SignedReceipt::from_parts(
            signed.receipt.clone(),
            output,
            signed.device_signature,
            signed.node_signature,
        )
    };
    let empty = parts(Vec::new()).expect("bounded");
    vec![signed.encode(), empty.encode()]
}

#[test]
fn every_truncation_and_every_flipped_bit_of_a_receipt() {
    let good = wires().remove(0);
    assert!(receipt(&good));
    let honest = SignedReceipt::decode(&good).and_then(|signed| signed.verify(&domain())).expect("honest");
    for length in 0..good.len() {
        assert!(!receipt(&good[..length]), "{length}");
    }
    for bit in 0..good.len() * 8 {
        let mut lie = good.clone();
        lie[bit / 8] ^= 1 << (bit % 8);
        let verified = SignedReceipt::decode(&lie).and_then(|signed| signed.verify(&domain()));
        assert!(verified.is_err(), "bit {bit} of a receipt with digest {honest} is bound by nothing");
    }
    assert_eq!((WIRE_BYTES_MIN, WIRE_BYTES_MAX), (442, 442 + 4_096));
}

#[test]
fn every_truncation_and_many_flipped_bits_of_every_event() {
    let market = World::working().state;
    let mut chance = Chance(1);
    for good in all_events() {
        assert!(event(&good, &market));
        for length in 0..good.len() {
            assert!(!event(&good[..length], &market), "{length} of {}", good.len());
        }
        for _ in 0..300 {
            let mut lie = good.clone();
            let bit = chance.below(lie.len() * 8);
            lie[bit / 8] ^= 1 << (bit % 8);
            event(&lie, &market);
        }
    }
}

#[test]
fn an_event_has_one_form() {
    let world = World::working();
    let bytes = world.event(What::EpochClosed { epoch: 1 }).encode().expect("bounded");
    let last = bytes.len() - 1;
    assert_eq!(bytes[last], 1);
    let mut long = bytes.clone();
    long.splice(last.., [0x81, 0x00]); // 1 as a varint of two bytes
    assert_eq!(Event::decode(&long).expect_err("two bytes for 1").name, "event.not-canonical");
    let mut trailing = bytes.clone();
    trailing.push(0);
    assert_eq!(Event::decode(&trailing).expect_err("a byte more").name, "event.not-canonical");
    let mut version = bytes;
    version[0] = 2;
    assert_eq!(Event::decode(&version).expect_err("version 2").name, "event.version");
    assert_eq!(Event::decode(&[]).expect_err("nothing").name, "event.version");
    assert_eq!(Event::decode(&[1]).expect_err("no fields").name, "event.malformed");
    assert_eq!(Event::decode(&vec![1; EVENT_BYTES_MAX + 1]).expect_err("long").name, "event.too-long");
}

#[test]
fn receipts_as_json_have_the_same_bounds() {
    let world = World::working();
    let good = serde_json::to_value(signed(0, world.receipt(0, 0, b"good"))).expect("JSON");
    let read = |json: serde_json::Value| serde_json::from_value::<SignedReceipt>(json);
    assert!(read(good.clone()).is_ok());
    let long = format!("0x{}", "00".repeat(4_100));
    for (field, lie) in [
        ("output_bytes", "0x000000"),
        ("output_bytes", "00000000"),
        ("output_bytes", "0xzz"),
        ("output_bytes", long.as_str()),
        ("node_signature", "0x00"),
        ("device_signature", ""),
    ] {
        let mut json = good.clone();
        json[field] = lie.into();
        assert!(read(json).is_err(), "{field}");
    }
}

#[test]
fn random_bytes_and_mixtures() {
    let market = World::working().state;
    let seeds: Vec<Vec<u8>> = all_events().into_iter().chain(wires()).collect();
    let mut chance = Chance(20_130_122);
    let mut decoded = [0u32; 2];
    for round in 0..20_000 {
        let mut bytes: Vec<u8> = if round % 4 == 0 {
            (0..chance.below(600)).map(|_| chance.next() as u8).collect()
        } else {
            let (a, b) = (&seeds[chance.below(seeds.len())], &seeds[chance.below(seeds.len())]);
            let cut = chance.below(a.len().min(b.len()));
            [&a[..cut], &b[cut..]].concat()
        };
        for _ in 0..chance.below(4) {
            if !bytes.is_empty() {
                let at = chance.below(bytes.len());
                bytes[at] = [0, 1, 0x7f, 0x80, 0xff, chance.next() as u8][chance.below(6)];
            }
        }
        decoded[0] += u32::from(receipt(&bytes));
        decoded[1] += u32::from(event(&bytes, &market));
    }
    assert!(decoded.iter().all(|count| *count > 100), "the mixtures must get through sometimes: {decoded:?}");
}

/// Files of the corpus are bytes that a decoder once had trouble with, or that stand for a kind of trouble.
/// `BLESS=1` writes the ones that are made here; others may be added by hand.
#[test]
fn the_corpus_gives_errors_or_values() {
    let folder = corpus();
    if std::env::var_os("BLESS").is_some() {
        let mut files: Vec<(String, Vec<u8>)> = Vec::new();
        for (index, bytes) in all_events().into_iter().enumerate() {
            files.push((format!("event-{index:02}.bin"), bytes));
        }
        for (index, bytes) in wires().into_iter().enumerate() {
            files.push((format!("receipt-{index}.bin"), bytes));
        }
        // A list that claims 2^32 - 1 checkers; a receipt that claims 4 GiB of output; a string of 0xff; a
        // job with a huge list of devices.
        let opened = World::working().log[0].encode().expect("bounded");
        files.push((
            "event-huge-list.bin".into(),
            [&opened[..opened.len().min(80)], &[0xff, 0xff, 0xff, 0xff, 0x0f]].concat(),
        ));
        let mut huge = wires().remove(1);
        let at = huge.len() - 4 - 64 - 65;
        huge[at..at + 4].copy_from_slice(&[0xff; 4]);
        files.push(("receipt-huge-output.bin".into(), huge));
        files.push(("ones.bin".into(), vec![0xff; 64]));
        files.push(("event-ones.bin".into(), [&[1u8][..], &[0xff; 64]].concat()));
        for (name, bytes) in files {
            std::fs::write(folder.join(name), bytes).expect("the corpus folder");
        }
    }
    let market = World::working().state;
    let mut files = 0;
    for file in std::fs::read_dir(&folder).expect("the corpus") {
        let path = file.expect("a file").path();
        let bytes = std::fs::read(&path).expect("bytes");
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let decodes = (receipt(&bytes), event(&bytes, &market));
        let number =
            name.trim_end_matches(".bin").rsplit('-').next().and_then(|last| last.parse::<u32>().ok());
        match (name.split('-').next(), number) {
            (Some("event"), Some(_)) => {
                assert!(decodes.1, "{name}: a change of the encoding needs a new version")
            }
            (Some("receipt"), Some(_)) => {
                assert!(decodes.0, "{name}: a change of the encoding needs a new version")
            }
            _ => assert_eq!(decodes, (false, false), "{name}"),
        }
        files += 1;
    }
    assert!(files >= 20, "{files}");
}
