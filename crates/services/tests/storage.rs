//! Storage: answers that lie, by name; pieces lost, rebuilt and handed over; the probabilities, computed and
//! drawn; hostile bytes.

use proofmesh_market::*;
use proofmesh_services::storage::challenge::{Asked, Challenge};
use proofmesh_services::storage::handover::{Handover, SIGNED_HANDOVER_BYTES, SignedHandover};
use proofmesh_services::storage::merkle::{CHUNK_BYTES, Tree, climb, depth};
use proofmesh_services::storage::odds::{loss, not_frozen, round_passed};
use proofmesh_services::storage::pieces::{Coding, Manifest};
use proofmesh_services::storage::placement::{Candidate, place};
use proofmesh_services::storage::seal::{OBJECT_BYTES_MAX, ObjectKey, SEAL_BYTES};
use proofmesh_services::storage::{DAY_S, QUESTIONS, TERMS_BYTES, Terms};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::collections::{BTreeMap, BTreeSet};

const SEED: &[u8; 32] = b"proofmesh services: storage seed";

/// Numbers from a seed, for draws in tests.
struct Chance(blake3::OutputReader);

impl Chance {
    fn new(about: &str, seed: u64) -> Self {
        let mut hasher = blake3::Hasher::new();
        Chance(hasher.update(about.as_bytes()).update(&seed.to_be_bytes()).finalize_xof())
    }
    fn below(&mut self, bound: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_be_bytes(bytes) % bound
    }
    fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.0.fill(&mut bytes);
        bytes
    }
    /// `take` different numbers below `of`.
    fn choose(&mut self, take: usize, of: u64) -> BTreeSet<u64> {
        let mut chosen = BTreeSet::new();
        while chosen.len() < take {
            chosen.insert(self.below(of));
        }
        chosen
    }
}

fn secret(i: u8) -> DeviceSecret {
    DeviceSecret::from_bytes([i; 32])
}

/// The challenge of round `round` of one job, with the seed of `day`.
fn challenge(day: u64, round: u64, bytes: u64, questions: u16) -> Challenge {
    let (job, node, device) = (Hash32([1; 32]), Address([2; 20]), secret(3).device());
    let asked = Asked { job: &job, node: &node, device: &device, round };
    Challenge::draw(&keccak(&day.to_be_bytes()), &asked, bytes, questions)
}

#[test]
fn answers_that_lie_have_names() {
    let piece = Chance::new("piece", 0).bytes(37 * CHUNK_BYTES);
    let tree = Tree::new(&piece).expect("a piece");
    let committed = tree.commitment();
    let asked = challenge(1, 0, piece.len() as u64, 20);
    let good = asked.answer(&piece, &tree).expect("the piece");
    assert_eq!(asked.verify(&committed, &good), Ok(()));
    assert_eq!(good.len(), asked.answer_bytes());
    let name = |asked: &Challenge, answer: &[u8]| asked.verify(&committed, answer).expect_err("a lie").name;
    // Another round, another day, another node's: the questions differ, and so must the answer.
    assert_eq!(name(&challenge(1, 1, piece.len() as u64, 20), &good), "storage.chunk-wrong");
    assert_eq!(name(&challenge(2, 0, piece.len() as u64, 20), &good), "storage.chunk-wrong");
    let (job, device) = (Hash32([1; 32]), secret(3).device());
    let other = Asked { job: &job, node: &Address([9; 20]), device: &device, round: 0 };
    let other = Challenge::draw(&keccak(&1u64.to_be_bytes()), &other, piece.len() as u64, 20);
    assert_eq!(name(&other, &good), "storage.chunk-wrong", "a copied answer");
    // Another piece, wholly consistent in itself.
    let mut changed = piece.clone();
    changed[0] ^= 1;
    let forged = asked.answer(&changed, &Tree::new(&changed).expect("a piece")).expect("long enough");
    assert_eq!(name(&asked, &forged), "storage.wrong-commitment");
    // The right root over chunks that are not there any more.
    let mut zeros = asked.answer(&vec![0; piece.len()], &tree).expect("long enough");
    assert_eq!(name(&asked, &zeros), "storage.chunk-wrong");
    zeros[0] = 2;
    assert_eq!(name(&asked, &zeros), "storage.evidence-form");
    for length in [0, 1, 33, good.len() - 1, good.len() + 1, 1 << 22] {
        let mut bytes = good.clone();
        bytes.resize(length, 1);
        assert_eq!(name(&asked, &bytes), "storage.evidence-length", "{length}");
    }
    for bit in (0..good.len() * 8).step_by(97) {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(asked.verify(&committed, &bytes).is_err(), "bit {bit} is bound by nothing");
    }
    let short = asked.answer(&piece[..CHUNK_BYTES], &tree).expect_err("lost the rest");
    assert_eq!(short.name, "storage.piece-differs");
}

#[test]
fn a_tree_binds_length_place_and_every_chunk() {
    let mut seen = BTreeSet::new();
    for count in [1usize, 2, 3, 4, 5, 7, 8, 9, 33] {
        let piece = vec![5; count * CHUNK_BYTES];
        let tree = Tree::new(&piece).expect("a piece");
        assert!(seen.insert(tree.commitment()), "lengths differ, and nothing else");
        for index in 0..count as u64 {
            let path = tree.path(index).expect("a chunk of it");
            assert_eq!(path.len(), depth(piece.len() as u64));
            assert_eq!(climb(index, &piece[..CHUNK_BYTES], &path), tree.root());
            assert_ne!(climb(index ^ 1, &piece[..CHUNK_BYTES], &path), tree.root(), "another place");
        }
        assert_eq!(tree.path(count as u64), None);
    }
    for length in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES + 1] {
        assert_eq!(Tree::new(&vec![0; length]).expect_err("no piece").name, "storage.piece-size");
    }
}

#[test]
fn evidence_grows_with_the_logarithm_of_the_piece() {
    let bytes = |piece: u64| challenge(0, 0, piece, QUESTIONS).answer_bytes();
    assert_eq!(bytes(1 << 20), 33 + 128 * (256 + 12 * 32));
    assert_eq!(
        bytes(1 << 30),
        33 + 128 * (256 + 22 * 32),
        "1,024 times the piece, 10 hashes a question more"
    );
    assert!(challenge(0, 0, 1 << 30, 1_024).answer_bytes() < 1 << 20);
}

#[test]
fn questions_are_spread_over_the_piece() {
    // 64 chunks, 200 rounds of 128: 400 a chunk expected, standard deviation 20.
    let mut counts = [0u32; 64];
    for round in 0..200 {
        for question in challenge(7, round, 64 * CHUNK_BYTES as u64, 128).questions() {
            counts[*question as usize] += 1;
        }
    }
    assert!(counts.iter().all(|count| (300..500).contains(count)), "{counts:?}");
}

#[test]
fn a_silent_drop_of_three_percent_is_cut_within_thirty_rounds() {
    // Exact: 0.97^128 of a round; three refusals in a row among 30 rounds.
    assert!((round_passed(0.03, QUESTIONS) - 0.020_27).abs() < 1e-4);
    let stays = not_frozen(0.03, QUESTIONS, 30, 3);
    assert!(stays < 2f64.powi(-40), "{stays:e}");
    assert!(not_frozen(0.03, 31, 30, 3) > 0.001, "31 would show the drop, but not three times in a row");
    assert_eq!(not_frozen(0.0, QUESTIONS, 30, 3), 1.0, "who holds everything is never refused");
    // The recursion against all 2^12 courses of 12 rounds.
    let (passed, mut all) = (round_passed(0.03, 31), 0.0);
    for course in 0..1u32 << 12 {
        if (0..=9).any(|i| course >> i & 7 == 7) {
            continue; // three refusals in a row
        }
        let refused = course.count_ones() as i32;
        all += (1.0 - passed).powi(refused) * passed.powi(12 - refused);
    }
    assert!((not_frozen(0.03, 31, 12, 3) - all).abs() < 1e-12);
    // Drawn: 300 nodes, each without 3 % of a piece of 10,000 chunks of its own choice.
    let (chunks, mut latest) = (10_000u64, 0);
    for node in 0..300 {
        let dropped = Chance::new("dropped", node).choose(300, chunks);
        let (mut in_row, mut frozen) = (0, None);
        for round in 0..30 {
            let asked = challenge(1_000 * node + round, round, chunks * CHUNK_BYTES as u64, QUESTIONS);
            let caught = asked.questions().iter().any(|question| dropped.contains(question));
            in_row = if caught { in_row + 1 } else { 0 };
            if in_row == 3 {
                frozen = Some(round + 1);
                break;
            }
        }
        latest = latest.max(frozen.expect("cut within 30 rounds"));
    }
    assert!(latest <= 12, "the last of 300 was cut after {latest} rounds");
}

fn small_coding() -> impl Strategy<Value = (u16, u16)> {
    (1..8u16).prop_flat_map(|k| (Just(k), k + 1..k + 9))
}

#[test]
fn no_object_is_lost_when_any_n_minus_k_pieces_vanish_at_once() {
    let config = Config { cases: 60, failure_persistence: None, ..Config::default() };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, SEED);
    let strategy = (small_coding(), 0..6_000usize, any::<u64>());
    let outcome = TestRunner::new_with_rng(config, rng).run(&strategy, |((k, n), length, seed)| {
        let mut chance = Chance::new("vanish", seed);
        let (key, object) = (ObjectKey::from_bytes([4; 32]), chance.bytes(length));
        let nonce = chance.bytes(24).try_into().expect("24");
        let sealed = key.seal(nonce, &object).expect("small");
        let coding = Coding::new(k, n).expect("a coding");
        let (manifest, pieces) = coding.split(&sealed).expect("small");
        prop_assert_eq!(Manifest::decode(&manifest.encode()), Ok(manifest.clone()));
        let kept = chance.choose(usize::from(k), u64::from(n));
        let left: BTreeMap<u16, Vec<u8>> =
            kept.iter().map(|at| (*at as u16, pieces[*at as usize].clone())).collect();
        let joined = manifest.join(&left).expect("k pieces");
        prop_assert_eq!(key.open(&joined), Ok(object));
        // Every piece that vanished is rebuilt, with its committed root.
        for (missing, piece) in (0..n).zip(&pieces) {
            prop_assert_eq!(&manifest.repair(&left, missing).expect("k pieces"), piece);
        }
        let mut fewer = left;
        fewer.pop_first();
        prop_assert_eq!(manifest.join(&fewer).expect_err("k - 1").name, "storage.pieces-missing");
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn a_false_piece_is_named_and_never_joined() {
    let coding = Coding::new(3, 7).expect("a coding");
    let sealed = Chance::new("object", 1).bytes(5_000);
    let (manifest, pieces) = coding.split(&sealed).expect("small");
    let some = |numbers: &[u16]| -> BTreeMap<u16, Vec<u8>> {
        numbers.iter().map(|at| (*at, pieces[usize::from(*at)].clone())).collect()
    };
    assert_eq!(manifest.join(&some(&[4, 5, 6])), Ok(sealed.clone()));
    for at in [0, 2, 6] {
        let mut false_one = some(&[0, 2, 6]);
        false_one.get_mut(&at).expect("there")[1_000] ^= 1;
        assert_eq!(manifest.join(&false_one).expect_err("changed").name, "storage.piece-differs");
        assert_eq!(manifest.repair(&false_one, 1).expect_err("changed").name, "storage.piece-differs");
    }
    let mut swapped = some(&[0, 1, 2]);
    let (zero, one) = (swapped[&0].clone(), swapped[&1].clone());
    swapped.extend([(0, one), (1, zero)]);
    assert_eq!(manifest.join(&swapped).expect_err("another's place").name, "storage.piece-differs");
    let mut beyond = some(&[0, 1, 2]);
    beyond.insert(7, pieces[0].clone());
    assert_eq!(manifest.join(&beyond).expect_err("no piece 7").name, "storage.piece-unknown");
    assert_eq!(manifest.repair(&some(&[0, 1, 2]), 7).expect_err("no piece 7").name, "storage.piece-unknown");
    let mut long = some(&[0, 1]);
    long.insert(2, vec![0; 1 << 20]);
    assert_eq!(manifest.join(&long).expect_err("another length").name, "storage.piece-differs");
}

#[test]
fn objects_outlive_thirty_percent_of_all_operators() {
    let durable = Coding::DURABLE;
    // Exact, for networks of several sizes: below 10^-13 an object, wherever 30 % vanish at once.
    for (operators, most) in [(100, 1e-19), (1_000, 1e-14), (100_000, 1e-13)] {
        let lost = loss(durable, operators, operators * 3 / 10);
        assert!(lost < most, "{operators}: {lost:e}");
    }
    assert_eq!(loss(durable, 80, 56), 0.0, "n - k and no more");
    assert_eq!(loss(durable, 79, 0), 1.0, "too few operators");
    assert!((loss(durable, 80, 57) - 1.0).abs() < 1e-9);
    // The tail against a count of all ways: 4 pieces with 6 operators, 4 of them gone, C(6,4) = 15 placements;
    // C(4,3) C(2,1) + C(4,4) = 9 of them have 3 or 4 pieces among the gone.
    let small = Coding::new(2, 4).expect("a coding");
    assert!((loss(small, 6, 4) - 9.0 / 15.0).abs() < 1e-12);
    // Drawn: 60 objects, each among 200 operators of three devices; 30 % of the operators vanish.
    let operator = |i: u64| Address([&[7u8; 12][..], &i.to_be_bytes()].concat().try_into().expect("20"));
    let candidates: Vec<Candidate> = (0..600u64)
        .map(|i| Candidate { device: Device(keccak(&i.to_be_bytes()).0), operator: operator(i / 3) })
        .collect();
    let operator_of: BTreeMap<Device, Address> =
        candidates.iter().map(|candidate| (candidate.device, candidate.operator)).collect();
    for round in 0..60u64 {
        let gone: BTreeSet<Address> =
            Chance::new("gone", round).choose(60, 200).into_iter().map(operator).collect();
        let devices = place(&candidates, &keccak(&round.to_be_bytes()), &Hash32([9; 32]), durable.n());
        let devices = devices.expect("operators enough");
        let operators: BTreeSet<Address> = devices.iter().map(|device| operator_of[device]).collect();
        assert_eq!(operators.len(), 80, "distinct operators");
        let alive: Vec<u16> = (0u16..)
            .zip(&devices)
            .filter(|(_, d)| !gone.contains(&operator_of[*d]))
            .map(|(i, _)| i)
            .collect();
        assert!(alive.len() >= usize::from(durable.k()), "{}", alive.len());
        if round < 5 {
            let sealed = Chance::new("object", round).bytes(30_000);
            let (manifest, pieces) = durable.split(&sealed).expect("small");
            let left = alive.iter().map(|at| (*at, pieces[usize::from(*at)].clone())).collect();
            assert_eq!(manifest.join(&left), Ok(sealed));
        }
    }
    let few = place(&candidates[..189], &Hash32::ZERO, &Hash32::ZERO, 64).expect_err("63 operators");
    assert_eq!(few.name, "storage.operators");
}

#[test]
fn what_leaves_the_client_says_nothing_and_opens_for_its_key_alone() {
    let (key, object) = (ObjectKey::from_bytes([4; 32]), b"a canary of the client: 31415926".repeat(40));
    let sealed = key.seal([5; 24], &object).expect("small");
    assert_eq!((sealed.len(), key.open(&sealed)), (object.len() + SEAL_BYTES, Ok(object.clone())));
    let (_, pieces) = Coding::new(2, 5).expect("a coding").split(&sealed).expect("small");
    let canary = b"canary";
    assert!(pieces.iter().all(|piece| piece.windows(canary.len()).all(|seen| seen != canary)));
    let wrong = ObjectKey::from_bytes([6; 32]).open(&sealed).expect_err("another key");
    assert_eq!(wrong.name, "storage.wrong-key");
    for at in 1..sealed.len() {
        let mut lie = sealed.clone();
        lie[at] ^= 0x40;
        assert_eq!(key.open(&lie).expect_err("changed").name, "storage.wrong-key", "{at}");
    }
    for length in 0..SEAL_BYTES {
        assert_eq!(key.open(&sealed[..length]).expect_err("short").name, "storage.sealed-form");
    }
    assert_eq!(
        key.open(&[&[2][..], &sealed[1..]].concat()).expect_err("version").name,
        "storage.sealed-form"
    );
    assert_eq!(key.open(&key.seal([5; 24], b"").expect("empty")), Ok(Vec::new()));
    assert!(!format!("{key:?}").contains('4'));
}

#[test]
fn a_piece_is_handed_over_and_the_document_holds() {
    let piece = Chance::new("piece", 2).bytes(9 * CHUNK_BYTES);
    let (from, to) = (secret(1), secret(2));
    let order = Handover {
        job: Hash32([8; 32]),
        piece: Tree::new(&piece).expect("a piece").commitment(),
        bytes: piece.len() as u64,
        from: from.device(),
        to: to.device(),
        at_s: 1_700_000_000,
    };
    let signed = order.take(&piece, order.give(&from), &to).expect("handed over");
    let bytes = signed.encode();
    assert_eq!((bytes.len(), SignedHandover::decode(&bytes)), (SIGNED_HANDOVER_BYTES, Ok(signed)));
    let name = |result: Result<SignedHandover, Refusal>| result.expect_err("a lie").name;
    let mut other = piece.clone();
    other[7] ^= 1;
    assert_eq!(name(order.take(&other, order.give(&from), &to)), "storage.piece-differs");
    assert_eq!(name(order.take(&piece[1..], order.give(&from), &to)), "storage.piece-size");
    assert_eq!(name(order.take(&piece, order.give(&to), &to)), "storage.handover-from");
    assert_eq!(name(order.take(&piece, order.give(&from), &from)), "storage.handover-to");
    let own = Handover { to: from.device(), ..order };
    assert_eq!(name(own.take(&piece, own.give(&from), &from)), "storage.handover-self");
    for length in (0..bytes.len()).chain([bytes.len() + 1]) {
        let mut lie = bytes.clone();
        lie.resize(length, 0);
        assert_eq!(SignedHandover::decode(&lie).expect_err("length").name, "storage.handover-form");
    }
    for bit in (0..bytes.len() * 8).step_by(7) {
        let mut lie = bytes.clone();
        lie[bit / 8] ^= 1 << (bit % 8);
        let holds = SignedHandover::decode(&lie).is_ok_and(|signed| signed.verify().is_ok());
        assert!(!holds, "bit {bit} is bound by nothing");
    }
}

#[test]
fn manifests_and_codings_have_one_form() {
    for (k, n) in [(0, 2), (2, 2), (3, 2), (1, 257), (0, 0)] {
        assert_eq!(Coding::new(k, n).expect_err("no coding").name, "storage.coding");
    }
    let (manifest, _) = Coding::new(2, 3).expect("a coding").split(b"object").expect("small");
    let good = manifest.encode();
    for length in (0..good.len()).chain([good.len() + 1, good.len() + 32]) {
        let mut lie = good.clone();
        lie.resize(length, 0);
        assert_eq!(Manifest::decode(&lie).expect_err("length").name, "storage.manifest-form", "{length}");
    }
    let with = |at: usize, byte: u8| {
        let mut lie = good.clone();
        lie[at] = byte;
        Manifest::decode(&lie).expect_err("a lie").name
    };
    assert_eq!(with(0, 2), "storage.manifest-form");
    assert_eq!(with(2, 3), "storage.coding");
    assert_eq!(with(4, 4), "storage.manifest-form");
    assert_eq!(with(5, 1), "storage.object-size");
    let most = (OBJECT_BYTES_MAX + SEAL_BYTES + 1) as u64;
    let huge = [&good[..5], &most.to_be_bytes(), &good[13..]].concat();
    assert_eq!(Manifest::decode(&huge).expect_err("huge").name, "storage.object-size");
}

fn terms() -> Terms {
    Terms { piece_bytes: 1 << 20, round_s: DAY_S, unit_byte_days: 300_000, questions: QUESTIONS }
}

#[test]
fn terms_have_one_form_and_rounds_lose_nothing_to_rounding() {
    let good = terms().encode();
    assert_eq!((good.len(), Terms::decode(&good)), (TERMS_BYTES, Ok(terms())));
    for length in 0..good.len() {
        assert_eq!(Terms::decode(&good[..length]).expect_err("short").name(), "storage.terms");
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
    assert!(refused(Terms { piece_bytes: 0, ..terms() }));
    assert!(refused(Terms { piece_bytes: 257, ..terms() }));
    assert!(refused(Terms { piece_bytes: (1 << 30) + 256, unit_byte_days: 1, ..terms() }));
    assert!(refused(Terms { round_s: 0, ..terms() }));
    assert!(refused(Terms { round_s: 32 * DAY_S, ..terms() }));
    assert!(refused(Terms { unit_byte_days: 0, ..terms() }));
    assert!(refused(Terms { unit_byte_days: (1 << 20) + 1, ..terms() }), "a round of no unit");
    assert!(refused(Terms { questions: 0, ..terms() }));
    assert!(refused(Terms { questions: 1_025, ..terms() }));
    let units: Vec<u64> = (0..90).map(|round| terms().units(round)).collect();
    assert!(units.iter().all(|units| (3..=4).contains(units)), "{units:?}");
    assert_eq!(units.iter().sum::<u64>(), 90 * (1 << 20) / 300_000);
    assert_eq!(terms().units(u64::MAX - 1), 3, "the end of time is no overflow");
    assert_eq!(terms().round(100, (100 + 3 * DAY_S, 100 + 4 * DAY_S)), Some(3));
    for window in [(99, 99 + DAY_S), (101, 101 + DAY_S), (100, 100 + 2 * DAY_S), (100 + DAY_S, 100)] {
        assert_eq!(terms().round(100, window), None, "{window:?}");
    }
}
