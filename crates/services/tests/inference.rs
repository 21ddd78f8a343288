//! Inference receipts that lie, by name; and the one that is paid. The stand-in verifier accepts exactly one
//! byte string for each statement, so that it shows which statement the checker rebuilt.

use proofmesh_market::receipt::{output_bytes, output_hash};
use proofmesh_market::*;
use proofmesh_services::inference::{Catalogue, ModelCard, ProofCheck, Rejection, Terms};
use proofmesh_services::reference::{NoReferences, ReferenceTable, References};
use proofmesh_services::{Engines, by_name};
use std::collections::BTreeMap;

const DAY_S: u64 = 86_400;
const PHASE_S: u64 = 5 * 3_600;
const START_S: u64 = 1_357_016_400; // 2013-01-01T05:00Z
const MODEL: Hash32 = Hash32([0x4d; 32]);

/// "Proof" of a statement: its hash.
fn prove(
    model: [u8; 32],
    input: [u8; 32],
    public_input: &[i32],
    output: &[i32],
    context: [u8; 32],
) -> Vec<u8> {
    let parts =
        [&model[..], &input, &output_bytes(public_input), b"/", &output_bytes(output), &context].concat();
    keccak(&parts).0.to_vec()
}

struct StandIn;

impl ProofCheck for StandIn {
    fn verify(
        &self,
        model: [u8; 32],
        input: [u8; 32],
        public_input: &[i32],
        output: &[i32],
        context: [u8; 32],
        proof: &[u8],
    ) -> Result<(), Rejection> {
        if proof == b"odd" {
            return Err(Rejection {
                check: "Not a plain name\n".into(),
                expected: String::new(),
                got: String::new(),
            });
        }
        if proof == prove(model, input, public_input, output, context) {
            return Ok(());
        }
        Err(Rejection { check: "statement".into(), expected: "this statement".into(), got: "another".into() })
    }
}

fn account(seed: u8) -> AccountSecret {
    AccountSecret::from_bytes([seed; 32]).expect("below the order")
}
fn device() -> DeviceSecret {
    DeviceSecret::from_bytes([9; 32])
}
fn domain() -> Domain {
    Domain { chain_id: 31_337, settlement: Address([0x5e; 20]) }
}
fn feed() -> ReferenceTable {
    let row = |day: u64| ((device().device(), START_S + day * DAY_S), vec![day as i32, -7]);
    ReferenceTable::new(1, (0..3).map(row).collect()).expect("words of a byte")
}
fn terms() -> Terms {
    let feed = Some(feed().commitment());
    Terms { class: Some(0), window_s: DAY_S, phase_s: PHASE_S, feed, wrappable: false }
}
fn card() -> ModelCard {
    let classes = ["genuine", "replay", "tampered", "stuck"].map(str::to_owned).to_vec();
    ModelCard {
        name: "weather-qod".into(),
        output_words: 2,
        public_words: 2,
        word_bytes: 1,
        classes,
        multiply_adds: 35_840,
    }
}
fn job() -> Job {
    Job {
        buyer: account(1).address(),
        salt: Hash32([7; 32]),
        service: by_name("inference").expect("a row").id(),
        model: MODEL,
        input: Hash32::ZERO,
        unit_price: Usd::from_micro(10_000),
        max_units: 30,
        window_from_s: START_S,
        window_until_s: START_S + 30 * DAY_S,
        deadline_s: 1_900_000_000,
        assurance: Assurance::Proof,
        slots: 1,
        cell: 0,
        devices: vec![device().device()],
        terms: terms().encode(),
    }
}

/// What a station hands in: everything that a lie can change.
#[derive(Clone)]
struct Handed {
    job: Job,
    start_s: u64,
    end_s: u64,
    output: Vec<i32>,
    sequence: u64,
    proof: Option<Vec<u8>>,
    public_input: Vec<i32>,
    card: ModelCard,
    models: bool,
}

fn honest() -> Handed {
    Handed {
        job: job(),
        start_s: START_S,
        end_s: START_S + DAY_S,
        output: vec![0, 1],
        sequence: 3,
        proof: None,
        public_input: vec![0, -7],
        card: card(),
        models: true,
    }
}

/// Proves, signs and has it checked.
fn judge(handed: &Handed, references: &dyn References) -> Outcome {
    let node = account(2);
    let mut receipt = Receipt {
        job: handed.job.digest(&domain()),
        sequence: handed.sequence,
        node: node.address(),
        device: device().device(),
        service: handed.job.service,
        model: MODEL,
        input: Hash32([3; 32]),
        output: output_hash(&handed.output),
        units: 1,
        window_start: handed.start_s,
        window_end: handed.end_s,
        evidence: Hash32::ZERO,
        previous: Hash32::ZERO,
    };
    let context = receipt.context(&domain());
    let proof = handed.proof.clone();
    let proof =
        proof.unwrap_or_else(|| prove(MODEL.0, [3; 32], &handed.public_input, &handed.output, context.0));
    receipt.evidence = keccak(&proof);
    let signed = receipt.sign(&domain(), &handed.output, &device(), &node).expect("own keys");
    let models: BTreeMap<Hash32, ModelCard> =
        handed.models.then(|| (MODEL, handed.card.clone())).into_iter().collect();
    let engines =
        Engines { proofs: &StandIn, models: &models as &dyn Catalogue, references, known: Known::NOTHING };
    let service = by_name("inference").expect("a row").checker(engines);
    let verdict =
        check(&domain(), &handed.job, &signed, &proof, &service, &account(4)).expect("a receipt of the job");
    verdict.outcome().clone()
}

fn refused(change: impl Fn(&mut Handed)) -> (String, Blame, String) {
    let mut handed = honest();
    change(&mut handed);
    match judge(&handed, &feed()) {
        Outcome::Refused(reason) => (reason.name().to_owned(), reason.blame(), reason.got().to_owned()),
        Outcome::Accepted { units } => panic!("{units} units"),
    }
}

fn with_terms(change: impl Fn(&mut Terms)) -> impl Fn(&mut Handed) {
    move |handed| {
        let mut terms = terms();
        change(&mut terms);
        handed.job.terms = terms.encode();
    }
}

#[test]
fn a_class_that_the_terms_do_not_take_is_named_and_blamed_on_nobody() {
    for (class, name) in [(1, "replay"), (2, "tampered"), (3, "stuck"), (4, "class 4"), (-1, "class -1")] {
        let found = refused(|handed| handed.output = vec![class, 0]);
        assert_eq!(found, ("inference.not-genuine".into(), Blame::Nobody, name.into()));
    }
    let unnamed = refused(|handed| {
        handed.card.classes[0] = "No plain name".to_owned();
        handed.output = vec![1, 0];
    });
    assert_eq!(unnamed.0, "inference.not-class");
}

#[test]
fn statements_that_the_prover_would_like_are_not_the_ones_checked() {
    let refused_proof = |change: &dyn Fn(&mut Handed)| {
        let (name, blame, _) = refused(change);
        assert_eq!((name.as_str(), blame), ("inference.proof.statement", Blame::Node));
    };
    let context = |sequence| {
        let id = job().digest(&domain());
        proofmesh_market::receipt::context(
            &domain(),
            &id,
            sequence,
            &account(2).address(),
            &device().device(),
        )
    };
    let of = |model: [u8; 32], input: [u8; 32], output: &[i32], sequence| {
        prove(model, input, &[0, -7], output, context(sequence).0)
    };
    refused_proof(&|handed| handed.public_input = vec![0, -6]); // other neighbours
    refused_proof(&|handed| handed.proof = Some(of([0; 32], [3; 32], &[0, 1], 3))); // another model
    refused_proof(&|handed| handed.proof = Some(of(MODEL.0, [4; 32], &[0, 1], 3))); // another input
    refused_proof(&|handed| handed.proof = Some(of(MODEL.0, [3; 32], &[1, 1], 3))); // a changed output
    refused_proof(&|handed| handed.proof = Some(of(MODEL.0, [3; 32], &[0, 1], 2))); // the receipt before this one
    refused_proof(&|handed| handed.proof = Some(Vec::new()));
    let odd = refused(|handed| handed.proof = Some(b"odd".to_vec()));
    assert_eq!(odd.0, "inference.proof.refused", "a verifier's name that is not plain goes no further");
    // The last line shows that the proofs above fail for what they say: the honest one, made the same way,
    // passes.
    let fine = Handed { proof: Some(of(MODEL.0, [3; 32], &[0, 1], 3)), ..honest() };
    assert_eq!(judge(&fine, &feed()), Outcome::Accepted { units: 1 });
}

#[test]
fn windows_outputs_models_and_feeds_that_do_not_fit() {
    let name = |change: &dyn Fn(&mut Handed)| refused(change).0;
    assert_eq!(name(&|handed| handed.end_s -= 1), "inference.wrong-window");
    assert_eq!(name(&|handed| handed.end_s += DAY_S), "inference.wrong-window");
    let shifted = |handed: &mut Handed| (handed.start_s, handed.end_s) = (START_S + 60, START_S + 60 + DAY_S);
    assert_eq!(name(&shifted), "inference.wrong-window");
    assert_eq!(
        name(&|handed| (handed.start_s, handed.end_s) = (START_S + DAY_S, START_S)),
        "inference.wrong-window"
    );
    assert_eq!(name(&|handed| handed.output = vec![0]), "inference.wrong-output");
    assert_eq!(name(&|handed| handed.output = vec![0, 1, 2]), "inference.wrong-output");
    assert_eq!(name(&|handed| handed.models = false), "inference.model-unknown");
    assert_eq!(name(&|handed| handed.card.public_words = 3), "inference.reference-length");
    assert_eq!(name(&|handed| handed.card.word_bytes = 4), "inference.reference-width");
    assert_eq!(name(&with_terms(|terms| terms.feed = None)), "inference.reference-length");
    assert_eq!(name(&with_terms(|terms| terms.feed = Some(Hash32([1; 32])))), "inference.reference-missing");
    let later =
        |handed: &mut Handed| (handed.start_s, handed.end_s) = (START_S + 3 * DAY_S, START_S + 4 * DAY_S);
    assert_eq!(name(&later), "inference.reference-missing");
    assert_eq!(name(&|handed| handed.job.terms.clear()), "inference.terms");
    let Outcome::Refused(reason) = judge(&honest(), &NoReferences) else { panic!("no feed") };
    assert_eq!((reason.name(), reason.blame()), ("inference.reference-missing", Blame::Nobody));
}

#[test]
fn an_honest_day_is_one_unit_and_terms_choose_what_else_is() {
    assert_eq!(judge(&honest(), &feed()), Outcome::Accepted { units: 1 });
    let mut any = honest();
    with_terms(|terms| (terms.class, terms.window_s, terms.phase_s) = (None, 0, 0))(&mut any);
    (any.output, any.end_s) = (vec![3, 0], START_S + 5);
    // The job's id changed with its terms, and so did the context: `judge` proves for the new one.
    assert_eq!(judge(&any, &feed()), Outcome::Accepted { units: 1 });
}

#[test]
fn the_row_describes_and_prices() {
    let (models, feed) = (BTreeMap::from([(MODEL, card())]), feed());
    let engines = Engines { proofs: &StandIn, models: &models, references: &feed, known: Known::NOTHING };
    let row = by_name("inference").expect("a row");
    let words = (row.describe)(&job(), &engines).expect("known");
    assert!(words.contains("weather-qod") && words.contains("genuine") && words.contains("86400"), "{words}");
    assert_eq!((row.price)(&job(), &engines), Ok(Usd::from_micro(1_358)));
    let mut unknown = job();
    unknown.model = Hash32::ZERO;
    assert_eq!((row.price)(&unknown, &engines).expect_err("unknown").name(), "inference.model-unknown");
    assert_eq!((row.describe)(&unknown, &engines).expect_err("unknown").name(), "inference.model-unknown");
    let mut beyond = job();
    beyond.terms = Terms { class: Some(4), ..terms() }.encode();
    assert_eq!(
        (row.describe)(&beyond, &engines).expect_err("no such class").name(),
        "inference.class-unknown"
    );
}

#[test]
fn terms_have_one_form() {
    let good = terms().encode();
    assert_eq!(Terms::decode(&good), Ok(terms()));
    let bare = Terms::default();
    assert_eq!(Terms::decode(&bare.encode()), Ok(bare));
    for length in 0..good.len() {
        assert_eq!(Terms::decode(&good[..length]).expect_err("short").name(), "inference.terms");
    }
    assert!(Terms::decode(&[&good[..], &[0]].concat()).is_err(), "a byte more");
    // Every single bit: another meaning, or refused; never the same meaning in two forms.
    for bit in 0..good.len() * 8 {
        let mut lie = good.clone();
        lie[bit / 8] ^= 1 << (bit % 8);
        if let Ok(other) = Terms::decode(&lie) {
            assert_ne!(other, terms());
            assert_eq!(other.encode(), lie);
        }
    }
    let lie = |terms: Terms| Terms::decode(&terms.encode()).is_err();
    assert!(lie(Terms { phase_s: DAY_S, ..terms() }), "a phase as long as the window");
    assert!(lie(Terms { window_s: 0, ..terms() }), "a phase without a window");
    let mut hidden = Terms { class: None, ..terms() }.encode();
    hidden[2] = 1;
    assert!(Terms::decode(&hidden).is_err(), "a class whose flag is off");
    let mut hidden = Terms { feed: None, ..terms() }.encode();
    hidden[50] = 1;
    assert!(Terms::decode(&hidden).is_err(), "a feed whose flag is off");
}
