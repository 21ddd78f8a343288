//! Streams of readings that were damaged or forged, each by its own name; days with gaps; hostile bytes.

use proofmesh_market::{DeviceSecret, Hash32};
use proofmesh_services::did::DidSecret;
use proofmesh_services::reading::{Chain, Reading, SignedReading, Values};
use proofmesh_services::window::{Day, HOUR_S, by_hour, reference};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::collections::BTreeMap;

const SEED: [u8; 32] = *b"proofmesh services: reading seed";
/// Bytes of a signed reading of an Ed25519 key.
const ED25519_BYTES: usize = 158;
const START_S: u64 = 1_357_016_400;

fn secret(i: u8) -> DidSecret {
    DeviceSecret::from_bytes([i; 32]).into()
}

fn values(i: u64) -> Values {
    let i = i as i32;
    Values {
        temp_centi_c: Some(390 + 10 * i),
        rh_centi_pct: Some(5_940 - i),
        pressure_pa: (i % 5 != 4).then_some(101_200 + i),
    }
}

/// One after `previous`, an hour later.
fn next(chain: &Chain, secret: &DidSecret, values: Values) -> SignedReading {
    let time_s = START_S + chain.next() * HOUR_S;
    let reading =
        Reading { device: secret.did(), number: chain.next(), time_s, previous: chain.head(), values };
    reading.sign(secret).expect("own key")
}

/// An honest stream of `count`.
fn stream(count: u64) -> Vec<SignedReading> {
    let mut chain = Chain::new(secret(1).did());
    (0..count)
        .map(|i| {
            let signed = next(&chain, &secret(1), values(i));
            chain.accept(&signed).expect("honest");
            signed
        })
        .collect()
}

fn refused(batch: &[SignedReading]) -> &'static str {
    let mut chain = Chain::new(secret(1).did());
    let before = chain.clone();
    let name = chain.accept_all(batch).expect_err("a lie").name;
    assert_eq!(chain, before, "a refused batch changes nothing");
    name
}

/// `honest` with the readings from `from` on made again, by the holder of the key, over a changed past.
fn remade(honest: &[SignedReading], from: usize) -> Vec<SignedReading> {
    let mut chain = Chain::new(secret(1).did());
    chain.accept_all(&honest[..from]).expect("honest");
    let rest = honest[from..].iter().map(|signed| {
        let changed = Values { temp_centi_c: Some(-500), ..signed.reading.values };
        let again = next(&chain, &secret(1), changed);
        chain.accept(&again).expect("its own chain");
        again
    });
    rest.collect()
}

#[test]
fn every_way_to_damage_a_stream_has_its_name() {
    let honest = stream(8);
    let lie = |change: &dyn Fn(&mut Vec<SignedReading>)| {
        let mut batch = honest.clone();
        change(&mut batch);
        refused(&batch)
    };
    assert_eq!(lie(&|batch| batch.retain(|signed| signed.reading.number != 3)), "reading.gap");
    assert_eq!(lie(&|batch| batch.insert(4, batch[3])), "reading.duplicate");
    assert_eq!(lie(&|batch| batch.insert(6, batch[2])), "reading.replayed");
    assert_eq!(lie(&|batch| batch.swap(3, 4)), "reading.reordered");
    assert_eq!(lie(&|batch| batch.swap(0, 7)), "reading.reordered");
    // Changed in the middle by somebody without the key, and by its holder.
    assert_eq!(lie(&|batch| batch[3].reading.values.temp_centi_c = Some(-500)), "reading.signature");
    let other = remade(&honest, 3);
    assert_eq!(lie(&|batch| batch[3] = other[0]), "reading.rewritten", "the next one names the old past");
    assert_eq!(lie(&|batch| batch.insert(4, other[0])), "reading.cloned", "two readings on one past");
    assert_eq!(lie(&|batch| batch.insert(6, other[1])), "reading.rewritten", "an old number on another past");
    assert_eq!(lie(&|batch| batch[5] = other[2]), "reading.rewritten", "a reading on another past");
    // Another key, or another device's name.
    let stranger = next(&Chain::new(secret(2).did()), &secret(2), values(0));
    assert_eq!(lie(&|batch| batch[0] = stranger), "reading.wrong-device");
    assert_eq!(lie(&|batch| batch[0].signature = stranger.signature), "reading.signature");
    let name = Reading { device: secret(1).did(), ..stranger.reading }
        .sign(&secret(2))
        .expect_err("another key")
        .name;
    assert_eq!(name, "reading.wrong-device");
    let back = |time_s| Reading { time_s, ..honest[7].reading }.sign(&secret(1)).expect("own key");
    assert_eq!(lie(&|batch| batch[7] = back(honest[6].reading.time_s)), "reading.time-not-later");
    assert_eq!(lie(&|batch| batch[7] = back(0)), "reading.time-not-later");
    let mut chain = Chain::new(secret(1).did());
    chain.accept_all(&honest).expect("honest");
    assert_eq!(chain.accept_all(&honest).expect_err("yesterday again").name, "reading.replayed");
    assert_eq!((chain.next(), chain.head()), (8, honest[7].reading.digest()));
}

#[test]
fn over_a_gap_the_stream_goes_on_and_what_comes_late_is_named() {
    let honest = stream(10);
    let mut chain = Chain::new(secret(1).did());
    chain.accept_all(&honest[..3]).expect("honest");
    assert_eq!(chain.accept(&honest[6]).expect_err("strict").name, "reading.gap");
    assert_eq!(chain.accept_over_gap(&honest[6]), Ok(3));
    let name = |chain: &mut Chain, signed| chain.accept_over_gap(signed).expect_err("late").name;
    assert_eq!(name(&mut chain, &honest[4]), "reading.reordered", "missing, then there");
    assert_eq!(name(&mut chain, &honest[6]), "reading.duplicate");
    assert_eq!(name(&mut chain, &honest[1]), "reading.replayed");
    let other = remade(&honest, 5);
    assert_eq!(name(&mut chain, &other[1]), "reading.rewritten");
    assert_eq!(name(&mut chain, &other[2]), "reading.rewritten");
    assert_eq!(chain.accept_over_gap(&honest[7]), Ok(0));
    assert_eq!((chain.next(), chain.head()), (8, honest[7].reading.digest()));
}

#[test]
fn what_is_older_than_the_memory_is_a_replay() {
    let mut chain = Chain::new(secret(1).did());
    let first = next(&chain, &secret(1), values(0));
    chain.accept(&first).expect("honest");
    for i in 1..1_100 {
        let signed = next(&chain, &secret(1), values(i));
        chain.accept(&signed).expect("honest");
    }
    assert_eq!(chain.accept(&first).expect_err("long ago").name, "reading.replayed");
}

#[test]
fn a_stream_with_any_one_damage_is_refused() {
    let honest = stream(30);
    let config = Config { cases: 64, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &SEED));
    let strategy = (0..4u8, 0..30usize, 0..30usize, 0..ED25519_BYTES * 8);
    let outcome = runner.run(&strategy, |(kind, a, b, bit)| {
        let mut batch = honest.clone();
        match kind {
            0 if a < 29 => batch.retain(|signed| signed.reading.number != a as u64),
            1 => batch.insert(b, honest[a]),
            2 if a != b => batch.swap(a, b),
            _ => {
                let mut bytes = batch[a].encode();
                bytes[bit / 8] ^= 1 << (bit % 8);
                let Ok(changed) = SignedReading::decode(&bytes) else { return Ok(()) };
                batch[a] = changed;
            }
        }
        let mut chain = Chain::new(secret(1).did());
        prop_assert!(chain.accept_all(&batch).is_err(), "kind {} at {} and {}, bit {}", kind, a, b, bit);
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("seed {SEED:?}: {failure}"));
}

#[test]
fn a_reading_has_one_form() {
    let good = stream(1)[0].encode();
    assert_eq!(SignedReading::decode(&good).map(|signed| signed.encode()), Ok(good.clone()));
    for length in 0..good.len() {
        assert_eq!(SignedReading::decode(&good[..length]).expect_err("short").name, "reading.form");
    }
    assert!(SignedReading::decode(&[&good[..], &[0]].concat()).is_err());
    let present_at = 1 + 32 + 8 + 8 + 32;
    for lie in [(0, 2u8), (0, 3), (present_at, 0), (present_at, 8 | 7), (present_at, 0x87)] {
        let mut bytes = good.clone();
        bytes[lie.0] = lie.1;
        assert_eq!(SignedReading::decode(&bytes).expect_err("another form").name, "reading.form", "{lie:?}");
    }
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(signed) = SignedReading::decode(&bytes) {
            assert_eq!(signed.encode(), bytes);
            assert!(Chain::new(secret(1).did()).accept(&signed).is_err(), "bit {bit} is bound by nothing");
        }
    }
}

fn hours(present: impl Fn(u64) -> bool, temp: impl Fn(u64) -> i32) -> BTreeMap<u64, Values> {
    let value = |hour| Values {
        temp_centi_c: present(hour).then(|| temp(hour)),
        rh_centi_pct: Some(6_000),
        pressure_pa: Some(101_500),
    };
    (0..48).map(|hour| (START_S + hour * HOUR_S, value(hour))).collect()
}

fn day(present: impl Fn(u64) -> bool) -> Result<Day, &'static str> {
    // From hour 12 to 36 of 48.
    Day::new(&hours(present, |hour| 1_000 + 75 * hour as i32), START_S + 12 * HOUR_S)
        .map_err(|refusal| refusal.name)
}

#[test]
fn a_gap_of_four_hours_is_not_filled_and_three_are_on_the_line() {
    let whole = day(|_| true).expect("complete");
    for first in 9..39u64 {
        let gap = |length: u64| day(|hour| !(first..first + length).contains(&hour));
        assert_eq!(gap(3), Ok(whole.clone()), "a straight line is its own filling: gap at {first}");
        let touches = first + 3 >= 12 && first < 36;
        assert_eq!(gap(4).is_err(), touches, "gap at {first}");
    }
    assert_eq!(day(|hour| !(12..16).contains(&hour)), Err("window.incomplete"));
    let empty = BTreeMap::new();
    assert_eq!(Day::new(&empty, START_S).expect_err("no readings").name, "window.incomplete");
}

#[test]
fn days_that_cannot_be() {
    let all = hours(|_| true, |_| 0);
    for start_s in [START_S + 1, u64::MAX - u64::MAX % HOUR_S] {
        assert_eq!(Day::new(&all, start_s).expect_err("no start").name, "window.start");
    }
    let reading = |time_s, temp_centi_c| Reading {
        device: secret(1).did(),
        number: 0,
        time_s,
        previous: Hash32::ZERO,
        values: Values { temp_centi_c, ..Values::default() },
    };
    let name = |readings: &[Reading]| by_hour(readings).expect_err("a lie").name;
    assert_eq!(name(&[reading(7_200, Some(1)), reading(7_201, None)]), "window.hour-twice");
    assert_eq!(name(&[reading(7_200, Some(i32::MIN))]), "window.range");
    assert_eq!(name(&[reading(7_200, Some(300_001))]), "window.range");
    assert_eq!(by_hour(&[reading(u64::MAX, Some(1))]).expect("a late hour").len(), 1);
    let (one, other) =
        (Day::new(&all, START_S).expect("a day"), Day::new(&all, START_S + HOUR_S).expect("a day"));
    assert_eq!(reference(&[]).expect_err("none").name, "window.stations");
    assert_eq!(reference(&[&one, &other]).expect_err("two days").name, "window.stations");
    assert_eq!(reference(&vec![&one; 65]).expect_err("too many").name, "window.stations");
    assert_eq!(reference(&[&one]), Ok(one.words()), "the mean of one is itself");
}

#[test]
fn extremes_are_clamped_and_halves_go_to_the_even_one() {
    let words = |temp: i32| Day::new(&hours(|_| true, |_| temp), START_S).expect("a day").words()[0];
    assert_eq!((words(300_000), words(-300_000), words(1_000)), (127, -127, 0));
    // One step of temperature is 37.5 centi-degrees.
    let two = |a: i32, b: i32| {
        let (a, b) = (Day::new(&hours(|_| true, |_| a), START_S), Day::new(&hours(|_| true, |_| b), START_S));
        reference(&[&a.expect("a day"), &b.expect("a day")]).expect("two stations")[0]
    };
    assert_eq!(two(1_000, 1_000 + 75), 1, "37.5 of 37.5");
    let half = |steps: i32| {
        // Four stations, so that their mean is an odd number of 18.75 centi-degrees above 10.
        let total = 75 * steps;
        let days: Vec<Day> = [total, 0, 0, 0]
            .iter()
            .map(|above| Day::new(&hours(|_| true, |_| 1_000 + above), START_S).expect("a day"))
            .collect();
        reference(&days.iter().collect::<Vec<_>>()).expect("four stations")[0]
    };
    assert_eq!([half(1), half(3), half(5), half(-1), half(-3)], [0, 2, 2, 0, -2]);
}
