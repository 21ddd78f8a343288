//! A proof of a small program, verified by the circuit; lies that it refuses.

use std::sync::OnceLock;

use ark_ff::{AdditiveGroup, Field, PrimeField};
use p3_field::PrimeCharacteristicRing;
use proofmesh_graph::arith::Builder as Assembly;
use proofmesh_graph::assemble::{self, Secrets};
use proofmesh_graph::op::{Conv, Op, Rescale, Window};
use proofmesh_graph::program::{InputSpec, Interval, Node, Output, Program, WeightMode};
use proofmesh_graph::statement::{Images, Statement};
use proofmesh_graph::tensor::{Shape, Tensor};
use proofmesh_proof::engine::Proof;
use proofmesh_proof::field::{F, K};
use proofmesh_proof::hired::Hired;
use proofmesh_proof::opening::MaskProof;
use proofmesh_proof::plain::Plain;
use proofmesh_proof::profile::SALT;
use proofmesh_prover::{Job, prove_system_as, salt, state};
use proofmesh_wrap::statement::public_input;
use proofmesh_wrap::verifier::{Messages, Wrapped, binding, build, circuit};
use rand::SeedableRng;
use rand::rngs::StdRng;

/// A dense layer of four inputs, one of them public, onto three classes.
fn program() -> Program {
    let dense = Op::Conv(Conv {
        out_channels: 3,
        groups: 1,
        window: Window { kernel: [1, 1], stride: [1, 1], pad: [0; 4] },
        weights: vec![3, -5, 7, 11, -2, 9, 4, -8, 1, 6, -3, 2],
        bias: vec![10, -20, 30],
        rescale: Rescale { shift: 1, clamp: Interval { lo: -127, hi: 127 } },
    });
    let interval = Interval { lo: -127, hi: 127 };
    Program {
        name: "small".into(),
        input: InputSpec { shape: Shape::new(4, 1, 1), interval, public_channels: 2..4 },
        nodes: vec![Node { name: "dense".into(), op: dense, inputs: vec![0] }],
        outputs: vec![Output::Values(1), Output::ArgMax(1)],
        weights: WeightMode::Public,
    }
}

/// A statement about an input, and its proof bound to the wrap's digest.
fn prove<P: Wrapped>(data: [i32; 4], context: &[u8; 32]) -> (Statement, Proof<P>) {
    let program = program();
    let mut rng = StdRng::seed_from_u64(9);
    let inputs = [Tensor::new(program.input.shape, data.to_vec()).expect("four elements")];
    let salts = [salt(&mut rng)];
    let job = Job { program: &program, inputs: &inputs, salts: &salts, weight_salt: None, context };
    let (statement, images, traces) = state(&job).expect("a valid job");
    let secrets = Secrets { program: &program, salts: &salts, weight_salt: [F::ZERO; 8] };
    let assembly = Assembly::new(1, Some(&traces));
    let arithmetized =
        assemble::build(assembly, &statement, &images, Some(&secrets)).expect("a program that fits");
    let binding = binding(&statement).expect("a statement that can be wrapped");
    let proof = prove_system_as::<P>(arithmetized, &binding, &mut rng).expect("an honest execution");
    let system = statement.system(&Images::default()).expect("a statement of the program").system;
    proofmesh_proof::engine::verify::<P>(&system, &binding, &proof).expect("the native verifier accepts");
    (statement, proof)
}

fn honest() -> &'static (Statement, Proof<Plain>) {
    static HONEST: OnceLock<(Statement, Proof<Plain>)> = OnceLock::new();
    HONEST.get_or_init(|| prove([50, -70, 127, 4], &[7; 32]))
}

/// The same statement, its proof one that hides.
fn hidden() -> &'static (Statement, Proof<Hired>) {
    static HIDDEN: OnceLock<(Statement, Proof<Hired>)> = OnceLock::new();
    HIDDEN.get_or_init(|| prove([50, -70, 127, 4], &[7; 32]))
}

fn satisfies<P: Wrapped>((statement, proof): &(Statement, Proof<P>)) {
    let b = circuit(statement, Some(proof)).expect("a proof of the program's sizes");
    let entries: usize = b.matrices().iter().map(|m| m.entries()).sum();
    eprintln!("{}: {} constraints, {} entries: {:?}", P::NAME, b.constraints(), entries, b.parts());
    assert_eq!(b.broken(), None);
    assert_eq!(b.assignment()[1], public_input(statement).unwrap());
}

#[test]
fn an_honest_proof_satisfies_the_circuit() {
    satisfies(honest());
    satisfies(hidden());
}

fn same_shape<P: Wrapped>((statement, proof): &(Statement, Proof<P>)) -> [u8; 32] {
    let (other, other_proof) = prove::<P>([-127, 0, 1, -9], &[8; 32]);
    let digest = circuit(statement, Some(proof)).unwrap().digest();
    assert_eq!(digest, circuit::<P>(statement, None).unwrap().digest());
    let of_other = circuit(&other, Some(&other_proof)).unwrap();
    assert_eq!((of_other.digest(), of_other.broken()), (digest, None));
    digest
}

#[test]
fn the_circuit_is_the_same_for_every_statement_and_another_for_every_profile() {
    assert_ne!(same_shape(honest()), same_shape(hidden()));
}

/// A class of message, and a way in which one is wrong.
type Lie<P> = (&'static str, fn(&mut Messages<P>));

/// What proofs of every profile say.
fn common<P: Wrapped>() -> Vec<Lie<P>> {
    vec![
        ("commitment", |m| m.opened.cap[1] += ark_bn254::Fr::ONE),
        ("logup.root", |m| m.logup.root[2] += K::ONE),
        ("logup.rounds", |m| m.logup.layers[1].rounds[0][0] += K::ONE),
        ("logup.values", |m| m.logup.layers[2].values[3] += K::ONE),
        ("claims.rounds", |m| m.main.rounds[0][0] += K::ONE),
        ("claims.values", |m| m.main.values[0] += K::ONE),
        ("opening.rounds", |m| m.opening.rounds[0][1] += K::ONE),
        ("opening.value", |m| m.opened.value += K::ONE),
    ]
}

fn of_plain() -> Vec<Lie<Plain>> {
    vec![
        ("whir.outside", |m| m.opened.opening.outside[0] += K::ONE),
        ("whir.fold", |m| m.opened.opening.fold.rounds[0][0] += K::ONE),
        ("whir.row", |m| m.opened.opening.rounds[0].queries.rows[0][0] += F::ONE),
        ("whir.sibling", |m| m.opened.opening.rounds[0].queries.siblings[0] += ark_bn254::Fr::ONE),
        ("whir.work", |m| m.opened.opening.rounds[0].queries.work += F::ONE),
        ("whir.round.cap", |m| m.opened.opening.rounds[0].cap[0] += ark_bn254::Fr::ONE),
        ("whir.round.outside", |m| m.opened.opening.rounds[0].outside[0] += K::ONE),
        ("whir.round.fold", |m| m.opened.opening.rounds[0].fold.rounds[0][1] += K::ONE),
        ("whir.last", |m| m.opened.opening.last[0] += K::ONE),
        ("whir.last.row", |m| m.opened.opening.queries.rows[0][3] += F::ONE),
        ("whir.last.sibling", |m| m.opened.opening.queries.siblings[0] += ark_bn254::Fr::ONE),
        ("whir.last.work", |m| m.opened.opening.queries.work += F::ONE),
        ("whir.last.fold", |m| m.opened.opening.last_fold.rounds[0][0] += K::ONE),
    ]
}

/// The masks of a proof that hides.
fn masks(m: &mut Messages<Hired>) -> &mut MaskProof {
    m.opened.masks.as_mut().expect("the rounds are masked")
}

fn of_hired() -> Vec<Lie<Hired>> {
    vec![
        ("masks.cross", |m| masks(m).cross += K::ONE),
        ("masks.first", |m| masks(m).masks[0] += K::ONE),
        ("masks.last", |m| *masks(m).masks.last_mut().unwrap() += K::ONE),
        ("hired.masked", |m| m.opened.opening.masked += K::ONE),
        ("hired.combined", |m| m.opened.opening.combined[0] += K::ONE),
        ("hired.combined, a random coefficient", |m| {
            *m.opened.opening.combined.last_mut().unwrap() += K::ONE;
        }),
        ("hired.masks", |m| m.opened.opening.masks[0] += K::ONE),
        ("hired.masks, the last", |m| *m.opened.opening.masks.last_mut().unwrap() += K::ONE),
        ("hired.work", |m| m.opened.opening.queries.work += F::ONE),
        ("hired.row", |m| m.opened.opening.queries.rows[0][0] += F::ONE),
        ("hired.row, the last", |m| m.opened.opening.queries.rows.last_mut().unwrap()[1] += F::ONE),
        ("hired.row, the masks' columns", |m| {
            let row = &mut m.opened.opening.queries.rows[1];
            let place = row.len() - SALT - 1;
            row[place] += F::ONE;
        }),
        ("hired.salt", |m| *m.opened.opening.queries.rows[2].last_mut().unwrap() += F::ONE),
        ("hired.sibling", |m| m.opened.opening.queries.siblings[0] += ark_bn254::Fr::ONE),
        // What the transcript alone would let pass: values and masks that agree with each other, not with the commitment.
        ("hired.value and its masked one", |m| {
            m.opened.value += K::ONE;
            m.opened.opening.masked -= K::ONE;
        }),
    ]
}

fn checked<P: Wrapped>((statement, proof): &(Statement, Proof<P>), lies: Vec<Lie<P>>) {
    let messages = Messages::try_from(proof).unwrap();
    for (name, lie) in lies {
        let mut wrong = messages.clone();
        lie(&mut wrong);
        let b = build(statement, Some(&wrong)).expect("the same sizes");
        assert!(b.broken().is_some(), "{}: {name} is not checked", P::NAME);
    }
}

#[test]
fn every_class_of_message_is_checked() {
    checked(honest(), common().into_iter().chain(of_plain()).collect());
}

#[test]
fn every_class_of_message_of_a_proof_that_hides_is_checked() {
    checked(hidden(), of_hired());
    // What is read by the text that both profiles share: its ends.
    let ends = ["commitment", "claims.rounds", "opening.rounds", "opening.value"];
    checked(hidden(), common().into_iter().filter(|lie| ends.contains(&lie.0)).collect());
}

fn of_no_other<P: Wrapped>((statement, proof): &(Statement, Proof<P>), count: usize) {
    let lies: [fn(&mut Statement); 5] = [
        |s| s.outputs[0][0] = if s.outputs[0][0] > 0 { s.outputs[0][0] - 1 } else { s.outputs[0][0] + 1 },
        |s| s.outputs[0][3] = (s.outputs[0][3] + 1) % 3,
        |s| s.inputs[0].commitment[0] ^= 1,
        |s| s.inputs[0].public[0] -= 1,
        |s| s.context[5] ^= 1,
    ];
    for (i, lie) in lies.iter().enumerate().take(count) {
        let mut other = statement.clone();
        lie(&mut other);
        assert!(circuit(&other, Some(proof)).unwrap().broken().is_some(), "statement {i}");
        // Nor does the honest witness with the other statement's digest.
        let mut b = circuit(statement, Some(proof)).unwrap();
        b.assign(1, public_input(&other).unwrap());
        assert_eq!(b.broken().map(|b| b.1), Some("statement"), "statement {i}");
    }
}

#[test]
fn a_proof_of_one_statement_satisfies_no_other() {
    of_no_other(honest(), 5);
    of_no_other(hidden(), 1);
}

#[test]
fn what_cannot_be_wrapped_is_refused_by_name() {
    let (statement, proof) = honest();
    let mut short = statement.clone();
    short.context.pop();
    assert_eq!(circuit(&short, Some(proof)).map(drop).unwrap_err().check, "wrap.context");
    let mut other = Messages::try_from(proof).unwrap();
    other.main.rounds[0].push(K::ZERO);
    assert_eq!(build(statement, Some(&other)).map(drop).unwrap_err().check, "proof.shape");
    let mut fewer = Messages::try_from(proof).unwrap();
    fewer.opened.opening.rounds[0].queries.siblings.clear();
    assert!(build(statement, Some(&fewer)).unwrap().broken().is_some());
    let (statement, proof) = hidden();
    let lies: [fn(&mut Messages<Hired>); 4] = [
        |m| m.opened.masks = None,
        |m| masks(m).masks.truncate(3),
        |m| m.opened.opening.combined.push(K::ZERO),
        |m| m.opened.opening.queries.rows[0].truncate(3),
    ];
    for lie in lies {
        let mut other = Messages::try_from(proof).unwrap();
        lie(&mut other);
        assert_eq!(build(statement, Some(&other)).map(drop).unwrap_err().check, "proof.shape");
    }
    let mut fewer = Messages::try_from(proof).unwrap();
    fewer.opened.opening.queries.siblings.truncate(5);
    assert!(build(statement, Some(&fewer)).unwrap().broken().is_some());
}

/// vectors/wrap.json, which the contract's own test reads too (contracts/test/delivery): `BLESS=1` writes it.
#[test]
fn preimages_are_those_of_the_vectors() {
    const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/wrap.json");
    let hex = |bytes: &[u8]| format!("0x{}", proofmesh_wrap::keys::hex(bytes));
    let words = |words: &[i32]| hex(&words.iter().flat_map(|w| w.to_be_bytes()).collect::<Vec<u8>>());
    let program = program();
    let row = |data: [i32; 4], context: &[u8; 32]| {
        let inputs = [Tensor::new(program.input.shape, data.to_vec()).expect("four elements")];
        let salts = [salt(&mut StdRng::seed_from_u64(9))];
        let job = Job { program: &program, inputs: &inputs, salts: &salts, weight_salt: None, context };
        let (of, ..) = state(&job).expect("a valid job");
        let input = &of.inputs[0];
        serde_json::json!({
            "model": hex(&of.model_id()), "context": hex(context), "input": hex(&input.commitment),
            "public_words": hex(&proofmesh_wrap::statement::public_bytes(&of).expect("of the interval")), "output": words(&of.outputs[0]),
            "preimage": hex(&proofmesh_wrap::statement::preimage(&of).expect("can be wrapped")),
            "public_input": hex(&binding(&of).expect("can be wrapped")),
        })
    };
    let document = serde_json::json!({
        "about": "Statements of a small model: the bytes that are hashed, and the wrapped proof's public input (docs/spec/wrap.md). \
            Made by crates/wrap/tests/wrap.rs.",
        "statements": [row([50, -70, 127, 4], &[7; 32]), row([-127, 0, 1, -9], &[8; 32])],
    });
    let text = serde_json::to_string_pretty(&document).expect("JSON") + "\n";
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(PATH, &text).expect("writes");
    }
    let committed = std::fs::read_to_string(PATH).expect("vectors/wrap.json is committed");
    assert!(committed == text, "vectors/wrap.json differs: if meant, run with BLESS=1 and commit");
}

#[test]
fn the_digest_is_that_of_the_contract() {
    let (statement, _) = honest();
    let preimage = proofmesh_wrap::statement::preimage(statement).unwrap();
    assert_eq!(preimage.len(), 32 + 32 + 4 + 32 + 4 + 4 + 4 + 4 * 4);
    assert_eq!(preimage[..32], statement.model_id());
    assert_eq!(preimage[64..68], [0, 0, 0, 1]);
    assert_eq!(preimage[100..112], [0, 0, 0, 1, 127, 4, 0, 0, 0, 0, 0, 4]);
    let x = public_input(statement).unwrap();
    assert!(x.into_bigint().0[3] >> 61 == 0 && x != ark_bn254::Fr::ZERO);
}
