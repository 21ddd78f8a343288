//! Every field of a proof and of its file's header, tampered with: each row names the check that must refuse it.
//!
//! A table row needs its field's struct destructured without `..`: a new field does not compile until it has a row.

mod tamper_rows;
mod toys;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use proofmesh_graph::op::{ExtremePool, Op};
use proofmesh_graph::program::{Output, Program, WeightMode};
use proofmesh_graph::statement::{self, Claimed, ProofFile, Statement, decode_proof, encode_proof};
use proofmesh_graph::tensor::Tensor;
use proofmesh_proof::profile::{Blake, Kind};
use proofmesh_prover::Proved;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tamper_rows::rows;
use toys::{Toy, conv, node, program, rescale, window};

/// The suite of the table.
type S = Blake;
/// Its digests.
type Word = u8;
const WORDS: usize = 32;

fn zero() -> Word {
    0
}

fn alter(digest: &mut [Word; WORDS]) {
    digest[5] ^= 4;
}

/// A convolution, a maximum and two outputs on a batch of two, with a public channel.
fn toy() -> Toy {
    let mut rng = StdRng::seed_from_u64(20);
    let nodes = vec![
        node("conv", conv(&mut rng, [2, 2, 1], window([2, 2], [1, 1]), rescale(8, 0, 127), 40), &[0]),
        node("max", Op::ExtremePool(ExtremePool { window: window([1, 2], [1, 1]), smallest: false }), &[1]),
    ];
    let mut program =
        program([2, 2, 3], nodes, vec![Output::Values(2), Output::ArgMax(2)], WeightMode::Public);
    program.input.public_channels = 1..2;
    Toy::random(program, 2, 21)
}

/// The check that refuses a file.
fn refusal(statement: &Statement, file: &[u8]) -> &'static str {
    statement::verify(statement, file).expect_err("a tampered proof was accepted").check
}

fn decoded(proved: &Proved) -> ProofFile {
    decode_proof(&proved.file).expect("an honest file decodes")
}

#[test]
fn every_field_of_a_proof_has_a_row_and_is_refused_by_name() {
    let toy = toy();
    let (proved, other) = (toy.prove(22), toy.prove(23));
    statement::verify(&proved.statement, &proved.file).expect("an honest proof verifies");
    let (honest, other) = (decoded(&proved), decoded(&other).proof);
    let mut wrong = Vec::new();
    let rows = rows();
    for row in &rows {
        let mut lie = honest.clone();
        (row.change)(&mut lie.proof, &mut other.clone());
        let file = encode_proof(&lie);
        assert!(file != proved.file, "{}: the row changes nothing", row.name);
        let check = refusal(&proved.statement, &file);
        if check != row.check {
            wrong.push(format!("{}: expected {}, refused by {check}", row.name, row.check));
        }
    }
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    println!("{} rows", rows.len());
}

/// A change to the header, and the check that must refuse it.
type HeaderRow = (&'static str, fn(&mut Claimed));

/// Rows for every field of the header: the pattern has no `..`.
fn header_rows(claimed: &Claimed) -> Vec<HeaderRow> {
    let Claimed { format: _, model: _, inputs: _, outputs: _, context: _ } = claimed;
    vec![
        ("statement.version", |c| c.format += 1),
        ("statement.version", |c| c.format = 0),
        ("statement.profile", |c| c.format |= 0xf0),
        ("statement.model", |c| c.model[31] ^= 1),
        ("statement.input", |c| c.inputs[1][0] ^= 1),
        ("statement.input", |c| c.inputs.truncate(1)),
        ("statement.input", |c| c.inputs.clear()),
        ("statement.input", |c| c.inputs.push(c.inputs[0])),
        ("statement.batch-order", |c| c.inputs.swap(0, 1)),
        ("statement.output", |c| c.outputs[7] ^= 128),
        ("statement.context", |c| c.context[0] ^= 1),
    ]
}

#[test]
fn every_field_of_the_header_is_refused_by_name() {
    let proved = toy().prove(24);
    let honest = decoded(&proved);
    for (i, (check, change)) in header_rows(&honest.claimed).into_iter().enumerate() {
        let mut lie = honest.clone();
        change(&mut lie.claimed);
        assert_eq!(refusal(&proved.statement, &encode_proof(&lie)), check, "row {i}");
    }
}

/// Statements that differ from the proven one, each with the check that must refuse the honest file.
fn false_statements(honest: &Statement) -> Vec<(&'static str, Statement)> {
    let with = |change: fn(&mut Statement)| {
        let mut statement = honest.clone();
        change(&mut statement);
        statement
    };
    let weight = |s: &mut Statement| {
        if let Op::Conv(conv) = &mut s.program.nodes[0].op {
            conv.weights[0] += 1;
        }
    };
    let swap = |s: &mut Statement| {
        s.inputs.swap(0, 1);
        s.outputs.swap(0, 1);
    };
    vec![
        ("statement.model", with(weight)),
        ("statement.model", with(|s| s.program.name.push('x'))),
        ("statement.input", with(|s| s.inputs[0].commitment[0] ^= 1)),
        ("statement.input", with(|s| s.inputs[1].public[2] ^= 1)),
        ("statement.batch-order", with(swap)),
        ("statement.batch-order", with(|s| s.inputs.swap(0, 1))),
        ("statement.output", with(|s| s.outputs[0][0] += 1)),
        ("statement.output", with(|s| s.outputs[1].rotate_left(1))),
        ("statement.context", with(|s| s.context[0] ^= 1)),
        ("statement.context", with(|s| s.context.clear())),
    ]
}

#[test]
fn another_statement_is_refused_by_name_and_under_a_rewritten_header_by_the_proof() {
    let proved = toy().prove(25);
    let honest = decoded(&proved);
    for (i, (check, statement)) in false_statements(&proved.statement).into_iter().enumerate() {
        assert_eq!(refusal(&statement, &proved.file), check, "row {i}");
        let rewritten =
            encode_proof(&ProofFile { claimed: statement.claimed(Kind::Device), ..honest.clone() });
        // An argmax word that is no class at all is refused before any cryptography.
        let expected = if statement.check().is_err() { "statement.output" } else { "opening.relation" };
        assert_eq!(refusal(&statement, &rewritten), expected, "row {i}, header rewritten");
    }
}

#[test]
fn private_weights_are_bound_by_their_commitment() {
    let mut rng = StdRng::seed_from_u64(30);
    let dense = conv(&mut rng, [3, 2, 1], window([1, 1], [1, 1]), rescale(8, -127, 127), 9);
    let program: Program =
        program([3, 1, 1], vec![node("dense", dense, &[0])], vec![Output::Values(1)], WeightMode::Private);
    let proved = Toy::random(program, 1, 31).prove(32);
    statement::verify(&proved.statement, &proved.file).expect("an honest proof verifies");
    let mut statement = proved.statement.clone();
    statement.weights.as_mut().expect("private mode")[0] ^= 1;
    assert_eq!(refusal(&statement, &proved.file), "statement.model");
    let rewritten = ProofFile { claimed: statement.claimed(Kind::Device), ..decoded(&proved) };
    assert_eq!(refusal(&statement, &encode_proof(&rewritten)), "statement.weights");
}

#[test]
fn truncated_and_extended_files_are_refused() {
    let proved = toy().prove(26);
    let file = &proved.file;
    let mut rng = StdRng::seed_from_u64(27);
    let lengths = (0..200).chain((0..200).map(|_| rng.random_range(200..file.len()))).chain([file.len() - 1]);
    for length in lengths {
        assert_eq!(refusal(&proved.statement, &file[..length]), "proof.encoding", "first {length} bytes");
    }
    for tail in [vec![0], vec![0xff; 9], file.clone()] {
        assert_eq!(refusal(&proved.statement, &[file.as_slice(), &tail].concat()), "proof.encoding");
    }
    let huge = vec![0; proofmesh_proof::engine::MAX_PROOF_BYTES + 1];
    assert_eq!(refusal(&proved.statement, &huge), "proof.size");
    // Trailing bytes inside the file's own byte string.
    let honest = decoded(&proved);
    let inner = honest.proof.encode();
    let header = file.len() - inner.len();
    let mut longer = file[..header].to_vec();
    let length = longer.len() - 3;
    longer.truncate(length);
    longer.extend(postcard_length(inner.len() + 1));
    longer.extend(inner);
    longer.push(0);
    assert_eq!(refusal(&proved.statement, &longer), "proof.encoding");
    assert_eq!(encode_proof(&honest), *file);
}

/// A length as postcard spells it.
fn postcard_length(mut n: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while n >= 128 {
        bytes.push(n as u8 | 128);
        n >>= 7;
    }
    bytes.push(n as u8);
    bytes
}

/// Flips one bit pattern of each given byte in turn, on two threads; all must be refused. Gives the counts by check.
fn flip(proved: &Proved, positions: &[usize]) -> BTreeMap<&'static str, usize> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut counts = BTreeMap::<&'static str, usize>::new();
        let mut file = proved.file.clone();
        loop {
            let Some(&at) = positions.get(next.fetch_add(1, Ordering::Relaxed)) else { return counts };
            // A pattern other than 0 that depends on the place alone.
            let pattern = (at.wrapping_mul(2_654_435_761) >> 13) as u8 % 255 + 1;
            file[at] ^= pattern;
            let result = statement::verify(&proved.statement, &file);
            let check = result.expect_err(&format!("byte {at} xor {pattern} was accepted")).check;
            *counts.entry(check).or_default() += 1;
            file[at] ^= pattern;
        }
    };
    std::thread::scope(|scope| {
        let threads = [scope.spawn(work), scope.spawn(work)];
        let mut all = BTreeMap::new();
        for thread in threads {
            for (check, count) in thread.join().expect("no flip panics") {
                *all.entry(check).or_default() += count;
            }
        }
        all
    })
}

/// First byte of the commitment's opening proof in a file.
fn opening_starts(proved: &Proved) -> usize {
    let pcs = postcard::to_allocvec(&decoded(proved).proof.pcs).expect("plain data").len();
    proved.file.len() - pcs
}

#[test]
fn flipped_bytes_are_refused() {
    let proved = toy().prove(28);
    let start = opening_starts(&proved);
    let mut rng = StdRng::seed_from_u64(29);
    // All of the header and of our messages, and a sample of the commitment's opening.
    let mut positions: Vec<usize> = (0..start).collect();
    positions.extend((0..600).map(|_| rng.random_range(start..proved.file.len())));
    let counts = flip(&proved, &positions);
    println!("{} of {} bytes flipped: {counts:?}", positions.len(), proved.file.len());
}

/// Parts of the full run, each reported when it is done.
const PARTS: usize = 16;

/// Half an hour of two cores in a release build: `cargo test --release -p proofmesh-prover --test tamper -- --ignored --nocapture`; with
/// `FLIP_PART=3` one part of the sixteen.
#[test]
#[ignore = "verifies a proof for each of its 300,000 bytes"]
fn every_flipped_byte_is_refused() {
    let proved = toy().prove(28);
    let size = proved.file.len();
    let only: Option<usize> = std::env::var("FLIP_PART").ok().map(|p| p.parse().expect("a part's number"));
    for part in (0..PARTS).filter(|part| only.is_none_or(|only| only == *part)) {
        let bytes: Vec<usize> = (size * part / PARTS..size * (part + 1) / PARTS).collect();
        let counts = flip(&proved, &bytes);
        assert_eq!(counts.values().sum::<usize>(), bytes.len());
        println!("part {part} of {PARTS}, {} of {size} bytes: {counts:?}", bytes.len());
    }
}

#[test]
fn mutated_files_never_panic_and_never_verify() {
    let proved = toy().prove(33);
    let mut rng = StdRng::seed_from_u64(34);
    let file = &proved.file;
    for _ in 0..300 {
        let mut lie = file.clone();
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(0..lie.len());
            let length = rng.random_range(1..64).min(lie.len() - at);
            match rng.random_range(0..4) {
                0 => drop(lie.drain(at..at + length)),
                1 => lie.splice(at..at, (0..length).map(|i| i as u8)).for_each(drop),
                2 => lie[at..at + length].fill(0xff),
                _ => lie.copy_within(at..at + length, 0),
            }
        }
        if lie != *file {
            refusal(&proved.statement, &lie);
        }
    }
}

#[test]
fn an_input_outside_the_statement_is_not_proven() {
    // What a prover may do with its own files: prove for one input and show the file for another.
    let toy = toy();
    let mut moved = toy.clone();
    moved.inputs[0] =
        Tensor { data: toy.inputs[0].data.iter().map(|v| -v).collect(), ..toy.inputs[0].clone() };
    let (honest, lie) = (toy.prove(35), moved.prove(36));
    let check = refusal(&honest.statement, &lie.file);
    assert_eq!(check, "statement.input");
    let rewritten = ProofFile { claimed: honest.statement.claimed(Kind::Device), ..decoded(&lie) };
    assert_eq!(refusal(&honest.statement, &encode_proof(&rewritten)), "opening.relation");
}
