//! The statement of a wrapped proof: the one public input, and the words that the claims read, as wires.
//!
//! The public input is `SHA-256(preimage)` read big-endian, its three top bits cleared. The preimage, all of it big-endian:
//!
//! ```text
//! model id 32 | context 32 | u32 number of inputs | their commitments, 32 bytes each
//! | u32 number of public words | the inputs' public elements, input by input, i32 each
//! | u32 number of output words | the outputs, input by input, then the batch's, i32 each
//! ```
//!
//! `contracts/src/Statements.sol` computes the same. Counts follow from the program and the batch size: a key serves one preimage length.

use ark_bn254::Fr;
use ark_ff::Field;
use proofmesh_graph::hash::RATE;
use proofmesh_graph::program::Program;
use proofmesh_graph::statement::{InputStatement, Statement};
use proofmesh_graph::value::Interval;
use proofmesh_graph::words::{Rule, Words};
use proofmesh_proof::reject::Reject;

use crate::bits::{bit, canonical, number, power_of_two, range};
use crate::bound::Bound;
use crate::circuit::Circuit;
use crate::groth16::sha256;
use crate::r1cs::{Builder, Num};
use crate::scalar::Wire;
use crate::sha256::{self as gadget, Word};

/// Bytes of a context that a wrapped proof can state: a digest.
pub const CONTEXT_BYTES: usize = 32;

/// The hashed bytes.
///
/// Errors: `wrap.context` for a context that is not 32 bytes; `wrap.lattice` for a program with private weights or inputs so large that they
/// are committed to by a lattice, whose digest is BLAKE3's over 4 KiB.
pub fn preimage(statement: &Statement) -> Result<Vec<u8>, Reject> {
    if statement.context.len() != CONTEXT_BYTES {
        return Err(Reject::new(
            "wrap.context",
            "a context of 32 bytes: hash a longer one",
            statement.context.len(),
        ));
    }
    if statement.weights.is_some() || proofmesh_graph::assemble::has_large_input(&statement.program) {
        return Err(Reject::new(
            "wrap.lattice",
            "public weights and inputs that the proof hashes itself",
            "a lattice commitment",
        ));
    }
    let mut bytes = [statement.model_id(), statement.context[..].try_into().expect("checked")].concat();
    let count = |n: usize| (n as u32).to_be_bytes();
    bytes.extend(count(statement.inputs.len()));
    statement.inputs.iter().for_each(|i| bytes.extend(i.commitment));
    let public = statement.inputs.iter().flat_map(|i| &i.public);
    let outputs = statement.outputs.iter().flatten().chain(&statement.batch_outputs);
    bytes.extend(count(public.clone().count()));
    public.for_each(|v| bytes.extend(v.to_be_bytes()));
    bytes.extend(count(outputs.clone().count()));
    outputs.for_each(|v| bytes.extend(v.to_be_bytes()));
    Ok(bytes)
}

/// A statement of the program's and batch size's form, with words that could be any: what a circuit, and so a key, is made from.
///
/// Errors: `statement.program`.
pub fn blank(program: &Program, batch: usize) -> Result<Statement, Reject> {
    let types = program.check().map_err(|e| Reject::new("statement.program", "a valid program", e))?;
    let (output, batch_outputs) = program.sample_outputs(&types, batch);
    let public = vec![program.input.interval.lo; program.input.public_elements().len()];
    Ok(Statement {
        program: program.public_part(),
        weights: None,
        inputs: vec![InputStatement { commitment: [0; 32], public }; batch],
        outputs: vec![output; batch],
        batch_outputs,
        context: vec![0; CONTEXT_BYTES],
    })
}

/// The public input of a statement's wrapped proof.
///
/// Errors: as [`preimage`].
pub fn public_input(statement: &Statement) -> Result<Fr, Reject> {
    Ok(gadget::truncated_bytes(&sha256(&preimage(statement)?)))
}

/// Which of the preimage's words are the same in every statement of the program and batch size, and what each of the others is.
enum Kind {
    /// A word of the model's name, a count, a commitment of nothing.
    Fixed,
    /// Of the context.
    Opaque,
    /// An element of KoalaBear as a digest has it: four bytes, little-endian.
    Digest,
    /// An integer of an interval.
    Integer(Interval),
}

/// The kinds of the preimage's words, in order.
fn kinds(statement: &Statement) -> Result<Vec<Kind>, Reject> {
    let program = &statement.program;
    let types = program.check().map_err(|e| Reject::new("statement.program", "a valid program", e))?;
    let batch = statement.inputs.len();
    let mut kinds: Vec<Kind> = (0..8).map(|_| Kind::Fixed).collect();
    kinds.extend((0..8).map(|_| Kind::Opaque));
    kinds.push(Kind::Fixed);
    let hashed = !program.input.private_elements().is_empty();
    kinds.extend((0..batch * RATE).map(|_| if hashed { Kind::Digest } else { Kind::Fixed }));
    kinds.push(Kind::Fixed);
    let public = batch * program.input.public_elements().len();
    kinds.extend((0..public).map(|_| Kind::Integer(program.input.interval)));
    kinds.push(Kind::Fixed);
    let mut outputs = |of_batch: bool| {
        for output in &program.outputs {
            let words = output.words(&types[output.value()], batch);
            if words.batch == of_batch {
                kinds.extend((0..words.count).map(|_| Kind::Integer(words.interval)));
            }
        }
    };
    (0..batch).for_each(|_| outputs(false));
    outputs(true);
    Ok(kinds)
}

/// One word of the preimage: its bits, and what claims read it as.
fn word(circuit: &Circuit, kind: &Kind, bytes: [u8; 4]) -> (Word, Option<Num>) {
    let b = &mut *circuit.builder();
    match kind {
        Kind::Fixed => (gadget::known(u32::from_be_bytes(bytes)), None),
        Kind::Opaque => (gadget::witness(b, u32::from_be_bytes(bytes)), None),
        Kind::Digest => {
            let value = u32::from_le_bytes(bytes);
            let bits: Vec<Num> = (0..31).map(|i| bit(b, value >> i & 1 == 1)).collect();
            canonical(b, &bits);
            // Byte k of the element is byte 3 - k of the word.
            let place = |i: usize| 8 * (3 - i / 8) + i % 8;
            let word = core::array::from_fn(|i| bits.get(place(i)).cloned().unwrap_or_default());
            (word, Some(number(&bits)))
        }
        Kind::Integer(interval) => {
            let word = gadget::witness(b, u32::from_be_bytes(bytes));
            let value = number(&word[..31]).plus_scaled(&word[31], -power_of_two(31));
            let bits = (i64::from(interval.hi) - i64::from(interval.lo)).max(1).ilog2() as usize + 1;
            range(b, &value.shifted(-Fr::from(interval.lo)), bits);
            range(b, &value.scaled(-Fr::ONE).shifted(Fr::from(interval.hi)), bits);
            let value = b.variable(&value);
            (word, Some(value))
        }
    }
}

/// The statement in the circuit: demands that the public input is its digest, that every word is one that the program can give, and that
/// words that follow from others do. Gives the words that claims read, in their order.
///
/// Errors: as [`preimage`], and those of a statement that does not fit its program.
pub fn words<'c>(
    circuit: &'c Circuit,
    statement: &Statement,
    words: &Words,
) -> Result<Vec<Wire<'c>>, Reject> {
    let before = circuit.builder().enter("statement");
    let (message, stated) = (preimage(statement)?, kinds(statement)?);
    assert_eq!(message.len(), 4 * stated.len(), "every word of the preimage has a kind");
    let parts =
        message.as_chunks::<4>().0.iter().zip(&stated).map(|(bytes, kind)| word(circuit, kind, *bytes));
    let (bits, values): (Vec<Word>, Vec<Option<Num>>) = parts.unzip();
    {
        let b = &mut *circuit.builder();
        let digest = gadget::digest(b, &bits);
        let public = b.public();
        b.equal(&gadget::truncated(&digest), &public);
    }
    let given = in_claims_order(statement, &values);
    let nums = follow(&mut circuit.builder(), &words.rules, given);
    circuit.builder().enter(before);
    // Everything here is an integer between -2^31 and 2^31.
    Ok(nums.into_iter().map(|n| Wire::At(circuit, circuit.of_integer(n, Bound::new(1 << 31)))).collect())
}

/// The preimage has all commitments before all public elements; claims have them input by input.
fn in_claims_order(statement: &Statement, values: &[Option<Num>]) -> Vec<Num> {
    let batch = statement.inputs.len();
    let (commitments, rest) = values[17..].split_at(batch * RATE);
    let public = statement.inputs.first().map_or(0, |i| i.public.len());
    let (public_words, outputs) = rest[1..].split_at(batch * public);
    let mut order = Vec::new();
    for i in 0..batch {
        order.extend(commitments[i * RATE..(i + 1) * RATE].iter().flatten().cloned());
        order.extend(public_words[i * public..(i + 1) * public].iter().flatten().cloned());
    }
    order.extend(outputs[1..].iter().flatten().cloned());
    order
}

/// Adds the words that follow from given ones.
///
/// For the words `Is` about one word: bits that add up to 1, and weighed by what they compare with, to that word. `Above v` is then the sum
/// of the bits for values above v.
fn follow(b: &mut Builder, rules: &[Rule], mut nums: Vec<Num>) -> Vec<Num> {
    let mut bits: Vec<(u32, Num)> = Vec::new();
    let mut about = None;
    for (i, rule) in rules.iter().enumerate().skip(nums.len()) {
        match *rule {
            Rule::Given => unreachable!("given words come first"),
            Rule::Is { of, value } => {
                if about != Some(of) {
                    bits.clear();
                    about = Some(of);
                }
                let is = bit(b, nums[of as usize].value == Fr::from(value));
                bits.push((value, is.clone()));
                if !matches!(rules.get(i + 1), Some(Rule::Is { of: next, .. }) if *next == of) {
                    let all = Num::sum(bits.iter().map(|(_, bit)| (Fr::ONE, bit)));
                    b.equal(&all, &Num::constant(Fr::ONE));
                    let weighed = Num::sum(bits.iter().map(|(v, bit)| (Fr::from(*v), bit)));
                    let word = nums[of as usize].clone();
                    b.equal(&weighed, &word);
                }
                nums.push(is);
            }
            Rule::Above { of, value } => {
                assert_eq!(about, Some(of), "comparisons with a word follow its classes");
                nums.push(Num::sum(bits.iter().filter(|(v, _)| *v > value).map(|(_, bit)| (Fr::ONE, bit))));
            }
        }
    }
    nums
}
