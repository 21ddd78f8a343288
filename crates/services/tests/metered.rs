//! Metered data: ranges that lie, by name; two sides of which one stops or lies at any tick; hostile bytes;
//! gateways' datagrams.

use proofmesh_market::receipt::output_hash;
use proofmesh_market::*;
use proofmesh_services::inference::{ModelCard, ProofCheck, Rejection};
use proofmesh_services::metered::semtech::{self, PacketMeter, PushData};
use proofmesh_services::metered::session::{Consumer, Offered, Provider};
use proofmesh_services::metered::tick::{RANGE_BYTES, SIGNED_TICK_BYTES};
use proofmesh_services::metered::{Line, Quantity, Range, SignedTick, TERMS_BYTES, Terms};
use proofmesh_services::reference::NoReferences;
use proofmesh_services::{Engines, by_name};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::collections::BTreeMap;

const FROM_S: u64 = 1_700_000_000;
const TICK_S: u64 = 10;
const RANGE: u64 = 8;
const TICK_MAX: u64 = 2_500;
const UNIT: u64 = 1_000;

fn secret(i: u8) -> DeviceSecret {
    DeviceSecret::from_bytes([i; 32])
}
fn provider() -> DeviceSecret {
    secret(1)
}
fn consumer() -> DeviceSecret {
    secret(2)
}
fn account(seed: u8) -> AccountSecret {
    AccountSecret::from_bytes([seed; 32]).expect("below the order")
}
fn domain() -> Domain {
    Domain { chain_id: 31_337, settlement: Address([0x5e; 20]) }
}
fn terms() -> Terms {
    let (quantity, consumer) = (Quantity::Bytes, consumer().device());
    Terms { quantity, consumer, unit: UNIT, tick_s: TICK_S, tick_max: TICK_MAX, range_ticks: RANGE }
}
fn job() -> Job {
    Job {
        buyer: account(1).address(),
        salt: Hash32([7; 32]),
        service: by_name("metered").expect("a row").id(),
        model: Hash32::ZERO,
        input: Hash32::ZERO,
        unit_price: Usd::from_micro(100),
        max_units: 1_000,
        window_from_s: FROM_S,
        window_until_s: FROM_S + 86_400,
        deadline_s: FROM_S + 2 * 86_400,
        assurance: Assurance::Proof,
        slots: 1,
        cell: 0,
        devices: vec![provider().device()],
        terms: terms().encode(),
    }
}
fn line() -> Line {
    let job = job().digest(&domain());
    Line { job, provider: provider().device(), from_s: FROM_S, terms: terms() }
}
fn signed(number: u64, total: u64) -> SignedTick {
    let tick = line().tick(number, total).expect("early");
    SignedTick { tick, provider: tick.sign(&provider()), consumer: tick.sign(&consumer()) }
}
fn range(first: (u64, u64), last: (u64, u64)) -> Range {
    Range { first: signed(first.0, first.1), last: signed(last.0, last.1) }
}

struct NoProofs;

impl ProofCheck for NoProofs {
    fn verify(
        &self,
        _: [u8; 32],
        _: [u8; 32],
        _: &[i32],
        _: &[i32],
        _: [u8; 32],
        _: &[u8],
    ) -> Result<(), Rejection> {
        panic!("a meter asks for no proof")
    }
}

/// What the market finds about a receipt with this evidence; `change` is applied before it is signed.
fn judged(evidence: &[u8], units: u64, change: impl Fn(&mut Receipt)) -> Outcome {
    let second = |number: u64| FROM_S + number * TICK_S;
    let span = Range::decode(evidence).map(|range| (range.first.tick.number, range.last.tick.number));
    let (first, last) = span.unwrap_or((0, 1));
    let node = account(2);
    let mut receipt = Receipt {
        job: job().digest(&domain()),
        sequence: 0,
        node: node.address(),
        device: provider().device(),
        service: job().service,
        model: Hash32::ZERO,
        input: Hash32::ZERO,
        output: output_hash(&[]),
        units,
        window_start: second(first.min(1_000)),
        window_end: second(last.min(1_000)),
        evidence: keccak(evidence),
        previous: Hash32::ZERO,
    };
    change(&mut receipt);
    let output: &[i32] = if receipt.output == output_hash(&[]) { &[] } else { &[7] };
    let receipt = receipt.sign(&domain(), output, &provider(), &node).expect("own keys");
    let models: BTreeMap<Hash32, ModelCard> = BTreeMap::new();
    let engines =
        Engines { proofs: &NoProofs, models: &models, references: &NoReferences, known: Known::NOTHING };
    let service = by_name("metered").expect("a row").checker(engines);
    examine(&domain(), &job(), &receipt, evidence, &service).expect("a receipt of the job")
}

fn name(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Accepted { .. } => "accepted",
        Outcome::Refused(reason) => reason.name(),
    }
}

#[test]
fn ranges_that_lie_have_names() {
    let units = |range: &Range| range.verify(&line(), Known::NOTHING);
    assert_eq!(units(&range((0, 0), (8, 8_000))), Ok(8));
    let refused = |change: &dyn Fn(&mut Range)| {
        let mut lie = range((8, 8_400), (12, 12_000));
        change(&mut lie);
        let refusal = units(&lie).expect_err("a lie");
        // What the market says is the same, and the node's own doing.
        let outcome = judged(&lie.encode(), 1, |_| {});
        assert_eq!(name(&outcome), refusal.name);
        assert!(matches!(outcome, Outcome::Refused(reason) if reason.blame() == Blame::Node));
        refusal.name
    };
    assert_eq!(refused(&|r| r.last = signed(12, 8_399)), "metered.total-shrinks");
    assert_eq!(refused(&|r| r.last = signed(8, 9_000)), "metered.tick-backwards");
    assert_eq!(refused(&|r| r.last = signed(7, 9_000)), "metered.tick-backwards");
    assert_eq!(refused(&|r| r.first = signed(9, 8_400)), "metered.range-start");
    assert_eq!(refused(&|r| r.last = signed(17, 12_000)), "metered.range-too-long");
    assert_eq!(refused(&|r| r.last = signed(12, 8_401 + 4 * TICK_MAX)), "metered.tick-too-large");
    assert_eq!(refused(&|r| r.first = signed(0, 1)), "metered.start-total");
    assert_eq!(refused(&|r| r.last.tick.total += 1), "metered.provider-signature");
    assert_eq!(refused(&|r| r.last.provider = r.first.provider), "metered.provider-signature");
    assert_eq!(refused(&|r| r.first.consumer = DeviceSignature([0; 64])), "metered.consumer-signature");
    assert_eq!(refused(&|r| r.last.consumer = r.last.provider), "metered.consumer-signature");
    assert_eq!(refused(&|r| r.last.consumer = r.last.tick.sign(&secret(3))), "metered.consumer-signature");
    let again = |r: &mut SignedTick| {
        (r.provider, r.consumer) = (r.tick.sign(&provider()), r.tick.sign(&consumer()));
    };
    let signed_by_both = |change: &dyn Fn(&mut proofmesh_services::metered::Tick)| {
        refused(&|r| {
            change(&mut r.last.tick);
            again(&mut r.last);
        })
    };
    assert_eq!(signed_by_both(&|tick| tick.job = Hash32([1; 32])), "metered.other-job");
    assert_eq!(signed_by_both(&|tick| tick.provider = secret(3).device()), "metered.other-provider");
    assert_eq!(signed_by_both(&|tick| tick.time_s += 1), "metered.tick-time");
    assert_eq!(signed_by_both(&|tick| tick.number = u64::MAX), "metered.tick-time");
    // The provider in both roles.
    let alone = Line { terms: Terms { consumer: provider().device(), ..terms() }, ..line() };
    assert_eq!(
        range((0, 0), (1, 1)).verify(&alone, Known::NOTHING).expect_err("one key").name,
        "metered.same-key"
    );
}

#[test]
fn receipts_that_do_not_fit_their_range_have_names() {
    let evidence = range((8, 8_400), (12, 12_900)).encode();
    assert_eq!(judged(&evidence, 4, |_| {}), Outcome::Accepted { units: 4 });
    let named = |units, change: &dyn Fn(&mut Receipt)| name(&judged(&evidence, units, change)).to_owned();
    assert_eq!(named(5, &|_| {}), "receipt.wrong-units");
    // A range that was paid cannot be shown for another window: a replay under a new first second.
    assert_eq!(named(4, &|receipt| receipt.window_start += 80), "metered.wrong-window");
    assert_eq!(named(4, &|receipt| receipt.window_end += 10), "metered.wrong-window");
    assert_eq!(named(4, &|receipt| receipt.output = output_hash(&[7])), "metered.not-empty");
    assert_eq!(named(4, &|receipt| receipt.input = Hash32([1; 32])), "metered.not-empty");
    let small = judged(&range((8, 8_000), (12, 8_999)).encode(), 1, |_| {});
    assert!(matches!(&small, Outcome::Refused(reason) if reason.blame() == Blame::Nobody));
    assert_eq!(name(&small), "metered.no-growth");
}

#[test]
fn ranges_of_a_line_lose_nothing_to_rounding() {
    let totals = [0, 999, 1_001, 5_999, 6_000, 6_500, 9_999];
    let units: u64 = totals
        .windows(2)
        .zip(0..)
        .map(|(two, i)| {
            range((i * RANGE, two[0]), ((i + 1) * RANGE, two[1]))
                .verify(&line(), Known::NOTHING)
                .expect("honest")
        })
        .sum();
    assert_eq!(units, 9_999 / UNIT);
}

/// Who leaves the protocol, how, and at which tick.
#[derive(Clone, Copy, Debug)]
enum Lie {
    Nobody,
    ProviderStops,
    /// Takes ticks and delivers nothing more.
    ProviderDeliversNothing,
    ProviderOverstates,
    /// Signs a larger total alone.
    ProviderForges,
    ProviderShowsOldTick,
    ConsumerStops,
    ConsumerUnderstates,
    /// Gives back a signature of another key.
    ConsumerSignsFalsely,
}

/// Both sides run until one refuses or stops; gives what was delivered and the units that the market pays.
fn run(lie: Lie, at: u64, ticks: u64, mut bytes_of: impl FnMut(u64) -> u64) -> (u64, u64) {
    let (mut sells, mut buys) = (Provider::new(line()), Consumer::new(line()));
    let (mut delivered, mut claimed) = (0u64, 0u64);
    let mut agreed: Vec<SignedTick> = Vec::new();
    for number in 0..=ticks {
        let lies = number >= at;
        if lies && matches!(lie, Lie::ProviderStops) {
            break;
        }
        if number > 0 {
            let more = bytes_of(number).min(sells.allowance(delivered));
            let nothing = lies && matches!(lie, Lie::ProviderDeliversNothing);
            delivered += if nothing { 0 } else { more };
            claimed = delivered;
            if nothing || (lies && matches!(lie, Lie::ProviderOverstates)) {
                claimed = agreed.last().map_or(0, |last| last.tick.total) + TICK_MAX;
            }
        }
        let tick = line().tick(number, claimed).expect("early");
        let offered = Offered { tick, provider: tick.sign(&provider()) };
        let measured = if lies && matches!(lie, Lie::ConsumerUnderstates) { 0 } else { delivered };
        if lies && matches!(lie, Lie::ConsumerStops) {
            break;
        }
        let Ok(mut back) = buys.countersign(&offered, measured, &consumer()) else { break };
        if lies && matches!(lie, Lie::ConsumerSignsFalsely) {
            back.consumer = back.tick.sign(&secret(9));
        }
        if sells.take(&back).is_err() {
            break;
        }
        agreed.push(back);
    }
    let mut paid = 0;
    let starts: Vec<SignedTick> =
        agreed.iter().filter(|signed| signed.tick.number.is_multiple_of(RANGE)).copied().collect();
    for first in starts {
        let until = first.tick.number + RANGE;
        let mut inside = agreed.iter().filter(|signed| signed.tick.number <= until);
        let Some(mut last) = inside.next_back().copied().filter(|last| last.tick.number > first.tick.number)
        else {
            continue;
        };
        let full = last.tick.number == until;
        if !full && matches!(lie, Lie::ProviderForges) {
            last.tick.total += TICK_MAX;
            last.provider = last.tick.sign(&provider());
        }
        if !full && matches!(lie, Lie::ProviderShowsOldTick) && agreed.len() > RANGE as usize {
            last = agreed[1]; // of the range before
        }
        let evidence = Range { first, last }.encode();
        let units = Range { first, last }.verify(&line(), Known::NOTHING).unwrap_or(1);
        if let Outcome::Accepted { units } = judged(&evidence, units, |_| {}) {
            paid += units;
        }
    }
    (delivered, paid)
}

#[test]
fn whoever_stops_or_lies_at_any_tick_nobody_gains_or_loses_more_than_one_tick() {
    let config = Config { cases: 60, failure_persistence: None, ..Config::default() };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, b"proofmesh services: metered seed");
    let mut runner = TestRunner::new_with_rng(config, rng);
    let lies = prop_oneof![
        Just(Lie::Nobody),
        Just(Lie::ProviderStops),
        Just(Lie::ProviderDeliversNothing),
        Just(Lie::ProviderOverstates),
        Just(Lie::ConsumerStops),
        Just(Lie::ConsumerUnderstates),
        Just(Lie::ConsumerSignsFalsely),
    ];
    let strategy = (lies, 0..20u64, 1..20u64, proptest::collection::vec(0..2 * TICK_MAX, 20));
    let outcome = runner.run(&strategy, |(lie, at, ticks, amounts)| {
        let (delivered, paid) = run(lie, at, ticks, |number| amounts[number as usize - 1]);
        let worth = delivered / UNIT;
        let tick = terms().tick_units();
        // The consumer never pays for what did not come; the provider loses one tick at most.
        prop_assert!(paid <= worth, "{:?}: paid {} of {}", lie, paid, worth);
        prop_assert!(worth - paid <= tick, "{:?}: lost {} units, a tick is {}", lie, worth - paid, tick);
        if matches!(lie, Lie::Nobody) {
            prop_assert_eq!(paid, worth);
        }
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn forged_evidence_of_the_last_range_is_not_paid_at_all() {
    let honest = run(Lie::Nobody, 0, 12, |_| TICK_MAX);
    assert_eq!(honest, (12 * TICK_MAX, 30));
    for lie in [Lie::ProviderForges, Lie::ProviderShowsOldTick] {
        assert_eq!(
            run(lie, 0, 12, |_| TICK_MAX),
            (12 * TICK_MAX, 20),
            "{lie:?}: a lie costs the liar's own range"
        );
    }
}

#[test]
fn sides_refuse_by_name() {
    let both = || (Provider::new(line()), Consumer::new(line()));
    let (mut sells, mut buys) = both();
    assert_eq!(sells.allowance(0), 0, "nothing before tick 0");
    assert_eq!(sells.offer(1, 0, &provider()).expect_err("no start").name, "metered.range-start-missing");
    for (number, total) in [(0, 0), (3, 2_000)] {
        let offered = sells.offer(number, total, &provider()).expect("honest");
        let back = buys.countersign(&offered, total, &consumer()).expect("measured");
        sells.take(&back).expect("both signed");
    }
    assert_eq!(sells.allowance(2_000), TICK_MAX);
    assert_eq!(sells.allowance(2_000 + TICK_MAX + 1), 0);
    let offer = |number, total| sells.offer(number, total, &provider()).expect_err("a lie").name;
    assert_eq!(offer(3, 2_500), "metered.tick-backwards");
    assert_eq!(offer(2, 2_500), "metered.tick-backwards");
    assert_eq!(offer(4, 1_999), "metered.total-shrinks");
    assert_eq!(offer(4, 2_001 + TICK_MAX), "metered.tick-too-large");
    assert_eq!(offer(9, 2_500), "metered.range-start-missing");
    assert_eq!(offer(u64::MAX, 2_500), "metered.tick-time");
    assert_eq!(sells.offer(4, 2_500, &secret(3)).expect_err("another's").name, "metered.provider-signature");
    let offered = sells.offer(8, 2_500, &provider()).expect("the next start may be reached at once");
    assert_eq!(
        buys.countersign(&offered, 2_499, &consumer()).expect_err("less").name,
        "metered.not-measured"
    );
    let name = buys.countersign(&offered, 2_500, &secret(3)).expect_err("another's").name;
    assert_eq!(name, "metered.consumer-signature");
    let forged = Offered { provider: offered.tick.sign(&consumer()), ..offered };
    let name = buys.countersign(&forged, 2_500, &consumer()).expect_err("forged").name;
    assert_eq!(name, "metered.provider-signature");
    let back = buys.countersign(&offered, 2_500, &consumer()).expect("refusals changed nothing");
    assert_eq!(
        buys.countersign(&offered, 2_500, &consumer()).expect_err("twice").name,
        "metered.tick-backwards"
    );
    sells.take(&back).expect("both signed");
}

#[test]
fn evidence_has_one_form_and_every_bit_counts() {
    let good = range((8, 8_400), (12, 12_900)).encode();
    assert_eq!(good.len(), RANGE_BYTES);
    assert_eq!(Range::decode(&good).map(|range| range.encode()), Ok(good.clone()));
    for length in (0..good.len()).chain([RANGE_BYTES + 1, 1 << 20]) {
        let mut bytes = good.clone();
        bytes.resize(length, 0);
        assert_eq!(name(&judged(&bytes, 1, |_| {})), "metered.evidence-form", "{length}");
    }
    let huge = vec![1; 5 << 20];
    assert_eq!(name(&judged(&huge, 1, |_| {})), "receipt.evidence-too-long");
    for bit in (0..good.len() * 8).step_by(5) {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let accepted = Range::decode(&bytes).is_ok_and(|range| range.verify(&line(), Known::NOTHING).is_ok());
        assert!(!accepted, "bit {bit} is bound by nothing");
    }
    let tick = good[1..=SIGNED_TICK_BYTES].to_vec();
    assert_eq!(SignedTick::decode(&tick).map(|signed| signed.encode()), Ok(tick));
}

#[test]
fn terms_have_one_form() {
    let good = terms().encode();
    assert_eq!((good.len(), Terms::decode(&good)), (TERMS_BYTES, Ok(terms())));
    for length in 0..good.len() {
        assert_eq!(Terms::decode(&good[..length]).expect_err("short").name(), "metered.terms");
    }
    for bit in 0..good.len() * 8 {
        let mut lie = good.clone();
        lie[bit / 8] ^= 1 << (bit % 8);
        if let Ok(other) = Terms::decode(&lie) {
            assert_ne!(other, terms());
            assert_eq!(other.encode(), lie);
        }
    }
    let refused = |lie: Terms| Terms::decode(&lie.encode()).is_err();
    assert!(refused(Terms { unit: 0, ..terms() }));
    assert!(refused(Terms { tick_s: 0, ..terms() }));
    assert!(refused(Terms { tick_s: 3_601, ..terms() }));
    assert!(refused(Terms { tick_max: 0, ..terms() }));
    assert!(refused(Terms { range_ticks: 0, ..terms() }));
    assert!(refused(Terms { range_ticks: (1 << 20) + 1, ..terms() }));
}

fn datagram(json: &str) -> Vec<u8> {
    let head = [2, 0xab, 0xcd, 0, 0xaa, 0x55, 0x5a, 0, 0, 0, 1, 1];
    [&head[..], json.as_bytes()].concat()
}

/// After the example of the protocol's document, section 4, with members that are passed over.
const HEARD: &str = r#"{"rxpk":[{"time":"2013-03-31T16:21:17.528002Z","tmst":3512348611,"chan":2,"rfch":0,
    "freq":866.349812,"stat":1,"modu":"LORA","datr":"SF7BW125","codr":"4/6","rssi":-35,"lsnr":5.1,"size":32,
    "data":"+DS4CGaDCdG+48eJNM3Vai+zDpsR71Pn9CPA9uCON84"},{"tmst":7,"stat":-1,"size":1,"data":"AA=="},
    {"tmst":8,"stat":1,"size":2,"data":"AAE"}],"stat":{"rxnb":2}}"#;

#[test]
fn gateways_are_read_and_packets_counted_once() {
    let push = PushData::decode(&datagram(HEARD)).expect("as a gateway sends it");
    assert_eq!((push.answer(), push.packets.len()), ([2, 0xab, 0xcd, 1], 3));
    assert_eq!(push.packets[0].data.len(), 32);
    assert_eq!(push.packets.iter().map(|packet| packet.good).collect::<Vec<_>>(), [true, false, true]);
    let mut meter = PacketMeter::default();
    assert_eq!((meter.count(&push), meter.count(&push), meter.total()), (2, 0, 2));
    let other = PushData { gateway: [9; 8], ..push.clone() };
    assert_eq!(meter.count(&other), 2, "another gateway heard them too");
    for tmst in 0..5_000 {
        let mut one = push.clone();
        one.packets.truncate(1);
        one.packets[0].tmst = tmst;
        assert_eq!(meter.count(&one), 1);
    }
    assert_eq!(meter.count(&push), 2, "the memory is bounded, and says so");
    assert_eq!(PushData::decode(&datagram("{}")).expect("a push of nothing").packets, []);
}

#[test]
fn hostile_datagrams_have_names() {
    let name = |bytes: &[u8]| PushData::decode(bytes).expect_err("hostile").name;
    let good = datagram("{}");
    for length in 0..semtech::HEAD_BYTES {
        assert_eq!(name(&good[..length]), "semtech.short");
    }
    assert_eq!(name(&vec![2; 65_508]), "semtech.too-long");
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    assert_eq!(name(&with(0, 1)), "semtech.version");
    assert_eq!(name(&with(3, 2)), "semtech.kind");
    let rxpk = |packet: &str| datagram(&format!(r#"{{"rxpk":[{packet}]}}"#));
    let cases = [
        ("semtech.json", datagram("")),
        ("semtech.json", datagram("{}{}")),
        ("semtech.json", datagram("\u{0}")),
        ("semtech.json", datagram("[]")),
        ("semtech.json", rxpk(r#"[1,1,0,""]"#)),
        ("semtech.json", datagram(&"[".repeat(60_000))),
        ("semtech.json", datagram(r#"{"rxpk":[],"rxpk":[]}"#)),
        ("semtech.json", rxpk(r#"{"tmst":1,"stat":1,"size":0}"#)),
        ("semtech.json", rxpk(r#"{"tmst":4294967296,"stat":1,"size":0,"data":""}"#)),
        ("semtech.json", rxpk(r#"{"tmst":1,"stat":1,"size":-1,"data":""}"#)),
        ("semtech.data", rxpk(r#"{"tmst":1,"stat":1,"size":1,"data":"A*=="}"#)),
        ("semtech.size", rxpk(r#"{"tmst":1,"stat":1,"size":2,"data":"AA=="}"#)),
        ("semtech.size", rxpk(&format!(r#"{{"tmst":1,"stat":1,"size":258,"data":"{}"}}"#, "A".repeat(344)))),
        ("semtech.packets", rxpk(&[r#"{"tmst":1,"stat":1,"size":0,"data":""}"#; 257].join(","))),
    ];
    for (expected, bytes) in cases {
        assert_eq!(name(&bytes), expected, "{}", String::from_utf8_lossy(&bytes[12..bytes.len().min(90)]));
    }
    // Every prefix and every changed byte of a good one: an answer, no panic.
    let heard = datagram(HEARD);
    for at in 0..heard.len() {
        let mut bytes = heard.clone();
        bytes[at] ^= 0x15;
        let _ = PushData::decode(&bytes);
        let _ = PushData::decode(&heard[..at]);
    }
}
