//! The whole life of a job for every row of `SERVICES`, on the market's own state machine: post, draw,
//! deliver, judge, settle, dispute, expire. `world.rs` is the market's: it checks after every event that the
//! event's bytes go both ways and that money is conserved, exactly.
//!
//! A new service needs a [`Kind`] here; `every_service_has_a_life` says so.

#[allow(dead_code, reason = "the market's world knows more than these lives need")]
#[path = "../../market/tests/market/world.rs"]
mod world;

use proofmesh_market::order::Measured;
use proofmesh_market::receipt::{output_bytes, output_hash};
use proofmesh_market::state::{JobStatus, ReceiptStatus, Standing};
use proofmesh_market::*;
use proofmesh_services::inference::{self, ModelCard, ProofCheck, Rejection, Stated};
use proofmesh_services::metered::{self, Line, Quantity, Range, SignedTick};
use proofmesh_services::reference::{NoReferences, References, Row};
use proofmesh_services::seed::{Seeds, WithSeeds};
use proofmesh_services::storage::challenge::{Asked, Challenge};
use proofmesh_services::storage::merkle::{CHUNK_BYTES, Tree};
use proofmesh_services::{Engines, SERVICES, Service, by_id, by_name, storage, wrap};
use std::collections::BTreeMap;
use world::*;

/// What a kind of service adds to a life.
struct Kind {
    name: &'static str,
    /// Its fields of the job: model, input, terms.
    job: fn(Job) -> Job,
    /// Public output, first and last second of window `w`, and units.
    window: fn(w: u64) -> (Vec<i32>, u64, u64, u64),
    /// Honest evidence of window `w` for a receipt whose other fields are final.
    evidence: fn(&Receipt, w: u64) -> Vec<u8>,
    /// Makes honest evidence false; gives the refusal's name.
    lie: fn(Vec<u8>) -> (Vec<u8>, &'static str),
}

const KINDS: [Kind; 4] = [
    Kind {
        name: "inference",
        job: |job| Job { model: model(), terms: inference::Terms::default().encode(), ..job },
        window: |w| (OUTPUT.to_vec(), WINDOW_S + w * DAY_S, WINDOW_S + (w + 1) * DAY_S, 1),
        evidence: |receipt, _| {
            let context = receipt.context(&domain());
            stand_in(receipt.model.0, receipt.input.0, &OUTPUT, context.0)
        },
        lie: |mut proof| {
            proof[0] ^= 1;
            (proof, "inference.proof.statement")
        },
    },
    Kind {
        name: "metered",
        job: |job| Job { model: Hash32::ZERO, terms: meter_terms().encode(), ..job },
        window: |w| {
            let span_s = RANGE_TICKS * meter_terms().tick_s;
            (Vec::new(), WINDOW_S + w * span_s, WINDOW_S + (w + 1) * span_s, 2)
        },
        evidence: |receipt, w| {
            let (job, provider, terms) = (receipt.job, receipt.device, meter_terms());
            let line = Line { job, provider, from_s: WINDOW_S, terms };
            let tick = |number: u64| {
                // Half a unit a tick: 2 units in a range of 4.
                let tick = line.tick(number, number * 500).expect("early");
                let provider = (0..3).map(device).find(|secret| secret.device() == receipt.device);
                let provider = provider.expect("one of the stations");
                SignedTick { tick, provider: tick.sign(&provider), consumer: tick.sign(&consumer()) }
            };
            Range { first: tick(w * RANGE_TICKS), last: tick((w + 1) * RANGE_TICKS) }.encode()
        },
        lie: |mut range| {
            let total_at = metered::tick::RANGE_BYTES - 2 * 64 - 16;
            range[total_at + 7] ^= 1;
            (range, "metered.provider-signature")
        },
    },
    Kind {
        name: "storage",
        job: |job| {
            let input = Tree::new(&piece()).expect("a piece").commitment();
            Job { model: Hash32::ZERO, input, terms: piece_terms().encode(), ..job }
        },
        window: |w| (Vec::new(), WINDOW_S + w * DAY_S, WINDOW_S + (w + 1) * DAY_S, 3),
        evidence: |receipt, w| {
            let seeds = seeds();
            let seed = seeds.after(receipt.window_end).expect("published");
            let seed = Hash32(output_bytes(seed).try_into().expect("32 bytes"));
            let Receipt { job, node, device, .. } = receipt;
            let asked = Asked { job, node, device, round: w };
            let challenge = Challenge::draw(&seed, &asked, piece().len() as u64, piece_terms().questions);
            challenge.answer(&piece(), &Tree::new(&piece()).expect("a piece")).expect("the piece")
        },
        lie: |mut answer| {
            let last = answer.len() - 1;
            answer[last] ^= 1;
            (answer, "storage.chunk-wrong")
        },
    },
    Kind {
        name: "wrap",
        job: |job| {
            let terms = wrap::Terms { context: keccak(b"a contract's"), key: KEY, ..wrap::Terms::default() };
            Job { model: model(), terms: terms.encode(), ..job }
        },
        window: |w| (OUTPUT.to_vec(), WINDOW_S + w * DAY_S, WINDOW_S + (w + 1) * DAY_S, 1),
        evidence: |receipt, _| {
            let own = stand_in(receipt.model.0, receipt.input.0, &OUTPUT, keccak(b"a contract's").0);
            [own, KEY.0.to_vec()].concat()
        },
        lie: |mut proof| {
            proof[0] ^= 1;
            (proof, "wrap.proof.statement")
        },
    },
];

/// Name of the key that wrapped statements are checked by.
const KEY: Hash32 = Hash32([5; 32]);

const RANGE_TICKS: u64 = 4;

fn consumer() -> DeviceSecret {
    DeviceSecret::from_bytes([77; 32])
}

fn meter_terms() -> metered::Terms {
    metered::Terms {
        quantity: Quantity::Bytes,
        consumer: consumer().device(),
        unit: 1_000,
        tick_s: 10,
        tick_max: 500,
        range_ticks: RANGE_TICKS,
    }
}

fn piece() -> Vec<u8> {
    (0..96 * CHUNK_BYTES).map(|i| (i * 31 / 7) as u8).collect()
}

/// A third of the piece a day is one unit.
fn piece_terms() -> storage::Terms {
    let unit_byte_days = 32 * CHUNK_BYTES as u64;
    storage::Terms { piece_bytes: piece().len() as u64, round_s: DAY_S, unit_byte_days, questions: 16 }
}

/// A seed an hour after each day's end.
fn seeds() -> Seeds {
    let mut seeds = Seeds::default();
    for day in 1..=31u8 {
        seeds.publish(WINDOW_S + u64::from(day) * DAY_S + 3_600, &keccak(&[day]));
    }
    seeds
}

/// Stands in for the proof engine, which floor 5 hands in: accepts one byte string a statement.
fn stand_in(model: [u8; 32], input: [u8; 32], output: &[i32], context: [u8; 32]) -> Vec<u8> {
    keccak(&[&model[..], &input, &output_bytes(output), &context].concat()).0.to_vec()
}

fn another() -> Rejection {
    let text = str::to_owned;
    Rejection { check: text("statement"), expected: text("this statement"), got: text("another") }
}

struct StandIn;

impl ProofCheck for StandIn {
    fn verify(
        &self,
        model: [u8; 32],
        input: [u8; 32],
        _: &[i32],
        output: &[i32],
        context: [u8; 32],
        proof: &[u8],
    ) -> Result<(), Rejection> {
        if proof == stand_in(model, input, output, context) { Ok(()) } else { Err(another()) }
    }

    fn verify_wrapped(&self, key: &Hash32, stated: &Stated<'_>, proof: &[u8]) -> Result<(), Rejection> {
        let plain = stand_in(stated.model, stated.input, stated.output, stated.context);
        if proof == [plain, key.0.to_vec()].concat() { Ok(()) } else { Err(another()) }
    }
}

impl Kind {
    fn service(&self) -> &'static Service {
        by_name(self.name).expect("a row")
    }

    fn job(&self) -> Job {
        (self.job)(Job { service: self.service().id(), ..job() })
    }

    fn id(&self) -> Hash32 {
        self.job().digest(&domain())
    }

    /// Members, one job of this kind, posted and drawn.
    fn working(&self) -> World {
        let mut world = World::members();
        for i in 0..3 {
            let order = Measured {
                checker: checker().address(),
                node: node(i).address(),
                service: self.service().id(),
                model: Hash32::ZERO,
                expires_s: START_S + 300 * DAY_S,
            };
            world.ok(What::CapabilityMeasured(sign(order, &checker())));
        }
        world.ok(post(self.job()));
        let effects = world.ok(What::Assigned { job: self.id(), secret: secret(0) });
        assert!(matches!(&effects[..], [Effect::Assigned { nodes, .. }] if nodes.len() == 3), "{effects:?}");
        world
    }

    /// The next receipt of station `i` for window `w`, all but its evidence.
    fn receipt(&self, world: &World, i: u8, w: u64) -> (Receipt, Vec<i32>) {
        let (output, window_start, window_end, units) = (self.window)(w);
        let job = self.job();
        let receipt = Receipt {
            job: self.id(),
            service: job.service,
            model: job.model,
            input: job.input,
            output: output_hash(&output),
            units,
            window_start,
            window_end,
            ..world.receipt(i, 0, b"")
        };
        (receipt, output)
    }

    /// Delivers window `w` of station `i`, with honest evidence or with the lie; gives digest and evidence.
    fn deliver(&self, world: &mut World, i: u8, w: u64, honest: bool) -> (Hash32, Vec<u8>) {
        let (mut receipt, output) = self.receipt(world, i, w);
        let evidence = (self.evidence)(&receipt, w);
        let evidence = if honest { evidence } else { (self.lie)(evidence).0 };
        receipt.evidence = keccak(&evidence);
        let digest = receipt.digest(&domain());
        let signed = receipt.sign(&domain(), &output, &device(i), &node(i)).expect("own keys");
        assert_eq!(
            world.ok(What::Delivered(signed)),
            [Effect::CheckWanted { receipt: digest }],
            "{}",
            self.name
        );
        (digest, evidence)
    }

    /// What `by` finds, with the row's own check.
    fn verdict(&self, world: &World, digest: &Hash32, evidence: &[u8], by: &AccountSecret) -> Verdict {
        let classes = Vec::new();
        let card = ModelCard {
            name: "m".into(),
            output_words: 2,
            public_words: 0,
            word_bytes: 1,
            classes,
            multiply_adds: 1,
        };
        let (models, seeds) = (BTreeMap::from([(model(), card)]), seeds());
        let references = WithSeeds { feeds: &NoReferences, seeds: &seeds };
        let engines =
            Engines { proofs: &StandIn, models: &models, references: &references, known: Known::NOTHING };
        world.verdict_of(digest, evidence, by, &self.service().checker(engines))
    }
}

/// Units times price, split as the market splits it.
fn split(units: u64) -> (Usd, Usd) {
    let share = PRICE.part_down(980_000).and_then(|one| one.checked_mul(units)).expect("small");
    (share, PRICE.checked_mul(units).and_then(|gross| gross.checked_sub(share)).expect("small"))
}

#[test]
fn every_service_has_a_life() {
    let rows: Vec<&str> = SERVICES.iter().map(|service| service.name).collect();
    assert_eq!(KINDS.map(|kind| kind.name).to_vec(), rows, "a row of SERVICES without a Kind here");
    for kind in &KINDS {
        assert_eq!(by_id(&kind.job().service).map(|service| service.name), Some(kind.name));
    }
}

#[test]
fn windows_are_paid_each_once_and_settle() {
    for kind in &KINDS {
        let mut world = kind.working();
        let units = (kind.window)(0).3;
        for (i, w) in [(0, 0), (1, 0), (0, 1), (2, 1)] {
            let (digest, evidence) = kind.deliver(&mut world, i, w, true);
            let effects = world.ok(What::Judged(kind.verdict(&world, &digest, &evidence, &checker())));
            let (share, fee) = split(units);
            let paid =
                Effect::ReceiptAccepted { receipt: digest, node: node(i).address(), units, share, fee };
            assert_eq!(effects, [paid], "{}", kind.name);
        }
        // The same window again: the evidence is as good as before, and not paid twice.
        let (mut again, output) = kind.receipt(&world, 0, 0);
        again.evidence = keccak(&(kind.evidence)(&again, 0));
        let signed = again.sign(&domain(), &output, &device(0), &node(0)).expect("own keys");
        let effects = world.ok(What::Delivered(signed));
        let [Effect::ReceiptRefused { reason, .. }] = &effects[..] else { panic!("{effects:?}") };
        assert_eq!(reason.name(), "receipt.window-already-paid", "{}", kind.name);
        world.at_s += DAY_S;
        world.ok(What::EpochClosed { epoch: 1 });
        let closed = &world.state.epochs()[0];
        assert_eq!(closed.receipts.len(), 4, "{}", kind.name);
        let (share, fee) = split(units);
        let paid = |account: &Address| closed.balance_proof(account).map(|(usd, _)| usd);
        assert_eq!(paid(&node(0).address()), share.checked_mul(2));
        assert_eq!(paid(&vault()), fee.checked_mul(4));
        assert_eq!(closed.epoch.total, PRICE.checked_mul(4 * units).expect("small"));
    }
}

#[test]
fn lies_are_refused_by_name_and_freeze() {
    for kind in &KINDS {
        let mut world = kind.working();
        for w in 0..3 {
            let (digest, evidence) = kind.deliver(&mut world, 0, w, false);
            let verdict = kind.verdict(&world, &digest, &evidence, &checker());
            let name = (kind.lie)(evidence).1;
            let effects = world.ok(What::Judged(verdict));
            let Some(Effect::ReceiptRefused { reason, .. }) = effects.first() else { panic!("{effects:?}") };
            assert_eq!((reason.name(), reason.blame()), (name, Blame::Node), "{}", kind.name);
        }
        assert!(matches!(world.state.nodes()[&node(0).address()].standing, Standing::Frozen { .. }));
        assert_eq!(world.state.jobs()[&kind.id()].units, 0, "nothing was paid");
    }
}

#[test]
fn disputes_are_decided_by_the_same_check_and_the_loser_pays() {
    for kind in &KINDS {
        // An honest receipt that the first checker refused: the node disputes and wins.
        let mut world = kind.working();
        let (digest, evidence) = kind.deliver(&mut world, 0, 0, true);
        let false_verdict = world.verdict_of(&digest, &evidence, &checker(), &Always(0));
        world.ok(What::Judged(false_verdict));
        world.ok(deposit(90, &buyer().address(), DEPOSIT));
        world.ok(dispute(&node(0), digest));
        let effects = world.ok(What::DisputeResolved(kind.verdict(&world, &digest, &evidence, &appeals())));
        let won = Effect::DisputeClosed { receipt: digest, winner: Some(node(0).address()) };
        assert!(effects.contains(&won), "{}: {effects:?}", kind.name);
        assert!(matches!(world.status(&digest), ReceiptStatus::Accepted { .. }), "{}", kind.name);

        // A lie that the first checker let pass: the buyer disputes and wins.
        let (digest, evidence) = kind.deliver(&mut world, 1, 0, false);
        let units = (kind.window)(0).3;
        let false_verdict = world.verdict_of(&digest, &evidence, &checker(), &Always(units));
        world.ok(What::Judged(false_verdict));
        world.ok(dispute(&buyer(), digest));
        let effects = world.ok(What::DisputeResolved(kind.verdict(&world, &digest, &evidence, &appeals())));
        let won = Effect::DisputeClosed { receipt: digest, winner: Some(buyer().address()) };
        assert!(effects.contains(&won), "{}: {effects:?}", kind.name);
        assert!(matches!(world.status(&digest), ReceiptStatus::Refused { .. }), "{}", kind.name);
    }
}

#[test]
fn a_job_that_expires_gives_the_rest_back() {
    for kind in &KINDS {
        let mut world = kind.working();
        let units = (kind.window)(0).3;
        let (digest, evidence) = kind.deliver(&mut world, 0, 0, true);
        world.ok(What::Judged(kind.verdict(&world, &digest, &evidence, &checker())));
        let (waiting, _) = kind.deliver(&mut world, 1, 1, true);
        world.at_s = kind.job().deadline_s + DAY_S;
        let before = world.state.balance(&buyer().address());
        let effects = world.ok(What::JobEnded { job: kind.id() });
        let refund = PRICE.checked_mul(kind.job().max_units - units).expect("small");
        let [Effect::ReceiptRefused { receipt, reason, .. }, Effect::JobEnded { refund: back, .. }] =
            &effects[..]
        else {
            panic!("{effects:?}")
        };
        assert_eq!((*receipt, reason.name(), *back), (waiting, "job.not-judged", refund), "{}", kind.name);
        assert_eq!(world.state.balance(&buyer().address()), before.checked_add(refund).expect("small"));
        assert_eq!(world.state.jobs()[&kind.id()].status, JobStatus::Ended);
    }
}

#[test]
fn rows_describe_and_price_their_jobs() {
    for kind in &KINDS {
        let classes = Vec::new();
        let card = ModelCard {
            name: "m".into(),
            output_words: 2,
            public_words: 0,
            word_bytes: 1,
            classes,
            multiply_adds: 1,
        };
        let models = BTreeMap::from([(model(), card)]);
        let engines =
            Engines { proofs: &StandIn, models: &models, references: &NoReferences, known: Known::NOTHING };
        let (service, mut job) = (kind.service(), kind.job());
        assert!(!(service.describe)(&job, &engines).expect("own terms").is_empty());
        assert!(!(service.price)(&job, &engines).expect("own terms").is_zero());
        job.terms.push(0);
        let name = format!("{}.terms", kind.name);
        assert_eq!((service.describe)(&job, &engines).expect_err("a byte more").name(), name);
    }
}

#[test]
fn wraps_that_do_not_fit_their_job_have_names() {
    let kind = &KINDS[3];
    let world = kind.working();
    let named = |change: &dyn Fn(&mut Job, &mut wrap::Terms), lie: &dyn Fn(&mut Receipt), output: &[i32]| {
        let (mut job, (mut receipt, _)) = (kind.job(), kind.receipt(&world, 0, 0));
        let mut terms = wrap::Terms::decode(&job.terms).expect("own terms");
        change(&mut job, &mut terms);
        job.terms = terms.encode();
        (receipt.job, receipt.input) = (job.digest(&domain()), job.input);
        let evidence = (kind.evidence)(&receipt, 0);
        (receipt.evidence, receipt.output) = (keccak(&evidence), output_hash(output));
        lie(&mut receipt);
        let signed = receipt.sign(&domain(), output, &device(0), &node(0)).expect("own keys");
        let classes = Vec::new();
        let card = ModelCard {
            name: "m".into(),
            output_words: 2,
            public_words: 0,
            word_bytes: 1,
            classes,
            multiply_adds: 1,
        };
        let models = BTreeMap::from([(model(), card)]);
        let engines =
            Engines { proofs: &StandIn, models: &models, references: &NoReferences, known: Known::NOTHING };
        match examine(&domain(), &job, &signed, &evidence, &kind.service().checker(engines)) {
            Ok(Outcome::Accepted { units }) => format!("{units} units"),
            Ok(Outcome::Refused(reason)) => format!("{} {:?}", reason.name(), reason.blame()),
            Err(refusal) => refusal.name.to_owned(),
        }
    };
    let keep = |_: &mut Receipt| {};
    let private = |job: &mut Job, _: &mut wrap::Terms| job.input = Hash32([7; 32]);
    let own = |job: &mut Job, terms: &mut wrap::Terms| {
        (job.input, terms.own) = (Hash32([7; 32]), true);
        job.devices.clear();
    };
    let own_device = |job: &mut Job, terms: &mut wrap::Terms| {
        own(job, terms);
        job.devices = vec![device(0).device()];
    };
    assert_eq!(named(&|_, _| {}, &keep, &OUTPUT), "1 units");
    assert_eq!(named(&own_device, &keep, &OUTPUT), "1 units");
    assert_eq!(named(&private, &keep, &OUTPUT), "wrap.private-input Nobody");
    let handed = |job: &mut Job, terms: &mut wrap::Terms| {
        (job.input, terms.handed) = (Hash32([7; 32]), Some(Hash32([8; 32])));
    };
    assert_eq!(named(&handed, &keep, &OUTPUT), "1 units");
    assert_eq!(named(&own, &keep, &OUTPUT), "wrap.own-node Nobody");
    assert_eq!(named(&|job, _| job.model = Hash32([9; 32]), &keep, &OUTPUT), "wrap.model-unknown Nobody");
    assert_eq!(named(&|_, terms| terms.public = vec![1], &keep, &OUTPUT), "wrap.public-length Nobody");
    assert_eq!(
        named(&|_, _| {}, &|receipt| receipt.input = Hash32([7; 32]), &OUTPUT),
        "wrap.wrong-input Node"
    );
    assert_eq!(named(&|_, _| {}, &keep, &[0]), "wrap.wrong-output Node");
    assert_eq!(named(&|_, terms| terms.key = Hash32([6; 32]), &keep, &OUTPUT), "wrap.proof.statement Node");
    assert_eq!(
        named(&|_, terms| terms.context = Hash32([6; 32]), &keep, &OUTPUT),
        "wrap.proof.statement Node"
    );
    let bytes = kind.job().terms;
    for lie in
        [&bytes[1..], &[&bytes[..], &[0]].concat(), &[&[1, 2][..], &bytes[2..]].concat(), &[1; 5_000][..]]
    {
        assert_eq!(wrap::Terms::decode(lie).expect_err("no terms").name(), "wrap.terms");
    }
    assert_eq!(wrap::Terms::decode(&bytes).expect("terms").encode(), bytes);
    let handed = wrap::Terms { handed: Some(Hash32([8; 32])), public: vec![-1], ..wrap::Terms::default() };
    assert_eq!(wrap::Terms::decode(&handed.encode()), Ok(handed));
    let given = wrap::Handed { output: vec![1, -2], proof: vec![7; 5] };
    assert_eq!(wrap::Handed::decode(&given.encode(), 2), Ok(given.clone()));
    assert_eq!(wrap::Handed::decode(&given.encode(), 4).expect_err("too short").name(), "wrap.handed");
    assert_eq!(given.digest(), keccak(&given.encode()));
}

/// Seeds out of a log, folded as anybody may.
fn seeds_of(log: &[Event]) -> (Seeds, State) {
    let (mut seeds, mut state) = (Seeds::default(), State::new());
    for event in log {
        state.step(event).expect("a legal log");
        seeds.note(event, &state);
    }
    (seeds, state)
}

#[test]
fn a_round_of_storage_waits_for_the_seed_of_the_next_epoch() {
    let kind = &KINDS[2];
    let mut world = kind.working();
    let (mut receipt, output) = kind.receipt(&world, 0, 0);
    let examined = |receipt: &Receipt, evidence: &[u8], log: &[Event]| {
        let (seeds, models) = (seeds_of(log).0, BTreeMap::<Hash32, ModelCard>::new());
        let engines =
            Engines { proofs: &StandIn, models: &models, references: &seeds, known: Known::NOTHING };
        let signed = receipt.clone().sign(&domain(), &output, &device(0), &node(0)).expect("own keys");
        let service = kind.service().checker(engines);
        examine(&domain(), &kind.job(), &signed, evidence, &service).expect("a receipt of the job")
    };
    receipt.evidence = keccak(b"");
    let Outcome::Refused(reason) = examined(&receipt, b"", &world.log) else { panic!("no seed yet") };
    assert_eq!((reason.name(), reason.blame()), ("storage.seed-unknown", Blame::Nobody));
    world.ok(What::EpochClosed { epoch: 1 });
    let seed = world.state.epochs()[0].epoch.log_hash;
    let Receipt { job, node, device, .. } = &receipt;
    let asked = Asked { job, node, device, round: 0 };
    let challenge = Challenge::draw(&seed, &asked, piece().len() as u64, piece_terms().questions);
    let evidence = challenge.answer(&piece(), &Tree::new(&piece()).expect("a piece")).expect("the piece");
    receipt.evidence = keccak(&evidence);
    assert_eq!(examined(&receipt, &evidence, &world.log), Outcome::Accepted { units: 3 });
    world.at_s += DAY_S;
    world.ok(What::EpochClosed { epoch: 2 });
    let later = examined(&receipt, &evidence, &world.log);
    assert_eq!(later, Outcome::Accepted { units: 3 }, "a later epoch changes no answer");
}

#[test]
fn seeds_of_the_logs_in_vectors_are_what_their_states_hold() {
    let log = |file: &str| -> Vec<Event> {
        let path = format!("{}/../../vectors/{file}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).expect("the vectors");
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let bytes = |row: &serde_json::Value| {
            hex::decode(row["bytes"].as_str().expect("text").trim_start_matches("0x")).expect("digits")
        };
        value["log"]
            .as_array()
            .expect("a log")
            .iter()
            .map(|row| Event::decode(&bytes(row)).expect("an event"))
            .collect()
    };
    let (seeds, state) = seeds_of(&log("market.json"));
    let words = |hash: &Hash32| -> Vec<i32> {
        hash.0.as_chunks::<4>().0.iter().map(|word| i32::from_be_bytes(*word)).collect()
    };
    let published: Vec<Vec<i32>> = seeds.rows().values().map(|row| row.to_vec()).collect();
    let closed: Vec<Vec<i32>> = state.epochs().iter().map(|closed| words(&closed.epoch.log_hash)).collect();
    assert_eq!(published, closed);
    assert!(!closed.is_empty());
    // Guarded: the beacon, not the epochs; each value stands at the end of its round, before which no secret of
    // it could be revealed.
    let (seeds, state) = seeds_of(&log("guards.json"));
    let guarded = state.guarded().expect("guards");
    let newest = words(&guarded.beacon.value);
    assert_eq!(seeds.rows().values().next_back().map(|row| row.to_vec()), Some(newest));
    assert!(seeds.rows().len() > 1);
    for at_s in seeds.rows().keys() {
        assert_eq!(guarded.round_end_s(guarded.round(at_s - 1)), *at_s);
    }
}

/// A feed whose rows are no seeds.
struct Short;
impl References for Short {
    fn reference(&self, _: &Hash32, _: &Device, _: u64) -> Option<Row<'_>> {
        Some(Row { words: &[1, 2], word_bytes: 4 })
    }
}

#[test]
fn storage_receipts_that_do_not_fit_their_job_have_names() {
    let kind = &KINDS[2];
    let world = kind.working();
    let named = |change: &dyn Fn(&mut Job), lie: &dyn Fn(&mut Receipt), feeds: &dyn References| {
        let (mut job, (mut receipt, _)) = (kind.job(), kind.receipt(&world, 0, 0));
        change(&mut job);
        receipt.job = job.digest(&domain());
        let evidence = (kind.evidence)(&receipt, 0);
        receipt.evidence = keccak(&evidence);
        lie(&mut receipt);
        let output: &[i32] = if receipt.output == output_hash(&[]) { &[] } else { &[1] };
        let signed = receipt.sign(&domain(), output, &device(0), &node(0)).expect("own keys");
        let models = BTreeMap::<Hash32, ModelCard>::new();
        let checker = kind.service().checker(Engines {
            proofs: &StandIn,
            models: &models,
            references: feeds,
            known: Known::NOTHING,
        });
        match examine(&domain(), &job, &signed, &evidence, &checker).expect("a receipt of the job") {
            Outcome::Accepted { units } => format!("{units} units"),
            Outcome::Refused(reason) => reason.name().to_owned(),
        }
    };
    let seeds = seeds();
    assert_eq!(named(&|_| {}, &|_| {}, &seeds), "3 units");
    assert_eq!(named(&|job| job.input = Hash32::ZERO, &|_| {}, &seeds), "storage.no-commitment");
    assert_eq!(named(&|job| job.devices.clear(), &|_| {}, &seeds), "storage.no-devices");
    assert_eq!(named(&|job| job.input = Hash32([1; 32]), &|_| {}, &seeds), "storage.wrong-commitment");
    assert_eq!(named(&|job| job.window_from_s += 1, &|_| {}, &seeds), "storage.wrong-window");
    assert_eq!(named(&|_| {}, &|receipt| receipt.window_end += 1, &seeds), "storage.wrong-window");
    assert_eq!(named(&|_| {}, &|receipt| receipt.output = output_hash(&[1]), &seeds), "storage.not-empty");
    assert_eq!(named(&|_| {}, &|receipt| receipt.units = 4, &seeds), "receipt.wrong-units");
    assert_eq!(named(&|_| {}, &|_| {}, &NoReferences), "storage.seed-unknown");
    let later = |receipt: &mut Receipt| {
        (receipt.window_start, receipt.window_end) = (WINDOW_S + DAY_S, WINDOW_S + 2 * DAY_S);
    };
    assert_eq!(named(&|_| {}, &later, &seeds), "storage.chunk-wrong", "the answer of another round");
    assert_eq!(named(&|_| {}, &|_| {}, &Short), "storage.seed-form");
}
