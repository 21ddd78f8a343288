//! Sensors with a P-256 key: messages that other libraries signed, malleable signatures, wrong points, keys of the other kind.

use proofmesh_market::{DeviceSecret, Hash32};
use proofmesh_services::cose;
use proofmesh_services::did::{Did, DidSecret};
use proofmesh_services::reading::{Chain, Reading, SignedReading, Values};
use serde_json::Value;

/// Made by tests/cose/make_cases.py.
const CASES: &str = include_str!("cose/cases.json");

fn cases() -> Vec<Value> {
    serde_json::from_str(CASES).expect("JSON")
}

fn bytes(case: &Value, name: &str) -> Vec<u8> {
    hex::decode(case[name].as_str().expect("text")).expect("hexadecimal")
}

fn p256(byte: u8) -> DidSecret {
    DidSecret::p256([byte; 32]).expect("below the order")
}

fn first(secret: &DidSecret) -> SignedReading {
    let values = Values { temp_centi_c: Some(-125), ..Values::default() };
    let reading =
        Reading { device: secret.did(), number: 0, time_s: 1_358_830_800, previous: Hash32::ZERO, values };
    reading.sign(secret).expect("its own key")
}

#[test]
fn what_another_library_signed_is_taken_whichever_s_it_has() {
    let mut kinds = [0; 2];
    for case in cases() {
        let did: Did = case["did"].as_str().expect("text").parse().expect("a did:key");
        assert_eq!(did.to_string(), case["did"].as_str().expect("text"));
        let signed = cose::decode(&bytes(&case, "cose")).expect("a reading");
        assert_eq!((signed.reading.device, Some(signed.reading.number)), (did, case["number"].as_u64()));
        assert_eq!(signed.reading.values.temp_centi_c, Some(-125));
        Chain::new(did).accept_over_gap(&signed).expect("signed by it");
        assert_eq!(SignedReading::decode(&signed.encode()), Ok(signed));
        kinds[usize::from(matches!(did, Did::P256(_)))] += 1;
        if case.get("other_s").is_some() {
            // Both forms of one signature become the same bytes, so that nothing is kept twice.
            let other = bytes(&case, "other_s");
            assert_eq!(cose::decode(&other), Ok(signed));
            let mut malleated = signed;
            malleated.signature.0.copy_from_slice(&other[other.len() - 64..]);
            let name =
                did.verify(&signed.reading.to_be_signed(), &malleated.signature).expect_err("high").name;
            assert_eq!(name, "did.high-s");
            let mut chain = Chain::new(did);
            assert_eq!(chain.accept_over_gap(&malleated).expect_err("high").name, "reading.signature");
            chain.accept_over_gap(&signed).expect("the low one");
            let again = cose::decode(&other).expect("reads");
            assert_eq!(chain.accept_over_gap(&again).expect_err("the same").name, "reading.duplicate");
        }
        let mut damaged = bytes(&case, "cose");
        let last = damaged.len() - 1;
        damaged[last] ^= 1;
        let refused =
            cose::decode(&damaged).and_then(|read| Chain::new(did).accept_over_gap(&read).map(drop));
        assert_eq!(refused.expect_err("damaged").name, "reading.signature");
    }
    assert_eq!(kinds, [4, 4]);
}

#[test]
fn the_same_bytes_as_a_key_of_the_other_kind_are_somebody_else() {
    let sensor = p256(9);
    let Did::P256(point) = sensor.did() else { panic!("P-256") };
    let x = point[1..].try_into().expect("32 bytes");
    let twin = Did::Ed25519(proofmesh_market::Device(x));
    let signed = first(&sensor);
    assert_eq!(Chain::new(twin).accept(&signed).expect_err("another").name, "reading.wrong-device");
    // Said to be the twin's, the signature is none.
    let lie = SignedReading { reading: Reading { device: twin, ..signed.reading }, ..signed };
    assert_eq!(Chain::new(twin).accept(&lie).expect_err("another").name, "reading.signature");
    // The mirrored point has the same x and is another key.
    let mut mirrored = point;
    mirrored[0] ^= 1;
    let lie = SignedReading { reading: Reading { device: Did::P256(mirrored), ..signed.reading }, ..signed };
    assert_eq!(Chain::new(Did::P256(mirrored)).accept(&lie).expect_err("another").name, "reading.signature");
    // One seed, two keys.
    let ed25519: DidSecret = DeviceSecret::from_bytes([9; 32]).into();
    assert_ne!(ed25519.did().file_name(), sensor.did().file_name());
    Chain::new(sensor.did()).accept(&signed).expect("its own");
}

#[test]
fn points_that_are_none_and_other_texts_are_refused_by_name() {
    let good = p256(3).did().to_string();
    assert!(good.starts_with("did:key:zDn"), "{good}");
    assert_eq!(good.parse(), Ok(p256(3).did()));
    let text =
        |bytes: &[u8]| format!("did:key:z{}", bs58::encode([&[0x80, 0x24], bytes].concat()).into_string());
    let name = |text: &str| text.parse::<Did>().expect_err("no key").name;
    let Did::P256(point) = p256(3).did() else { panic!("P-256") };
    // x = 1: 1 - 3 + b is no square modulo p (tried below, not remembered), so there is no such point.
    let mut none = [0u8; 33];
    (none[0], none[32]) = (2, 1);
    let candidates = (1..=8u8).map(|x| {
        none[32] = x;
        text(&none)
    });
    assert!(
        candidates.map(|text| text.parse::<Did>()).any(|read| read.is_err_and(|it| it.name == "did.key"))
    );
    let mut wide = [0xff; 33]; // x above the field's prime
    wide[0] = 3;
    assert_eq!(name(&text(&wide)), "did.key");
    for first in [0, 4, 5, 6, 7] {
        let mut other = point;
        other[0] = first;
        assert_eq!(name(&text(&other)), "did.key", "no compressed point: {first}");
    }
    assert_eq!(name(&text(&point[..32])), "did.text");
    assert_eq!(name(&text(&[&point[..], &[0]].concat())), "did.text");
    for lie in [
        "",
        "did:key:z",
        "did:key:zDn",
        &good[1..],
        &format!("{good}1"),
        &good.replace('D', "0"),
        &"1".repeat(999),
    ] {
        assert_eq!(name(lie), "did.text", "{lie:.60}");
    }
    // A reading by a key that is no point: its bytes have a form, its signature cannot hold.
    none[32] = u8::MAX;
    none[1..].fill(0xff);
    let mut lie = first(&p256(3));
    lie.reading.device = Did::P256(none);
    assert_eq!(Chain::new(lie.reading.device).accept(&lie).expect_err("no key").name, "reading.signature");
    for signature in [[0; 64], [0xff; 64]] {
        let mut lie = first(&p256(3));
        lie.signature.0 = signature;
        assert_eq!(
            Chain::new(p256(3).did()).accept(&lie).expect_err("no signature").name,
            "reading.signature"
        );
    }
    assert_eq!(DidSecret::p256([0; 32]).expect_err("zero").name, "did.secret");
    assert_eq!(DidSecret::p256([0xff; 32]).expect_err("above").name, "did.secret");
    assert!(!format!("{:?}", p256(7)).contains(&hex::encode([7; 32])));
}
