//! The statement of a wrapped proof: the one public input, and the words that the claims read, as wires.
//!
//! The public input is `SHA-256(preimage)` read big-endian, its three top bits cleared. The preimage, all of it big-endian:
//!
//! ```text
//! model id 32 | context 32 | u32 number of inputs | their commitments, 32 bytes each
//! | u32 n | the inputs' public elements, input by input, w bytes each, zeros up to 4 n bytes
//! | u32 number of output words | the outputs, input by input, then the batch's, i32 each
//! ```
//!
//! Integers are in two's complement; w is 1, 2 or 4, by the input's interval ([`proofmesh_graph::program::InputSpec::public_bytes`]).
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
    let outputs = statement.outputs.iter().flatten().chain(&statement.batch_outputs);
    let public = public_bytes(statement)?;
    bytes.extend(count(public.len() / 4));
    bytes.extend(public);
    bytes.extend(count(outputs.clone().count()));
    outputs.for_each(|v| bytes.extend(v.to_be_bytes()));
    Ok(bytes)
}

/// The inputs' public elements as the preimage has them, whole groups of four bytes.
///
/// Errors: `statement.input` for an element outside of the program's interval.
pub fn public_bytes(statement: &Statement) -> Result<Vec<u8>, Reject> {
    let spec = &statement.program.input;
    let width = usize::from(spec.public_bytes());
    let mut bytes = Vec::new();
    for value in statement.inputs.iter().flat_map(|i| &i.public) {
        if !(spec.interval.lo..=spec.interval.hi).contains(value) {
            return Err(Reject::new("statement.input", "an element of the program's interval", value));
        }
        bytes.extend(&value.to_be_bytes()[4 - width..]);
    }
    bytes.resize(bytes.len().next_multiple_of(4), 0);
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
    /// Integers of an interval, `bytes` each, from the top; what they leave is zero.
    Integers { interval: Interval, bytes: usize, count: usize },
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
    let (interval, bytes) = (program.input.interval, usize::from(program.input.public_bytes()));
    let mut public = batch * program.input.public_elements().len();
    while public > 0 {
        let count = public.min(4 / bytes);
        kinds.push(Kind::Integers { interval, bytes, count });
        public -= count;
    }
    kinds.push(Kind::Fixed);
    let mut outputs = |of_batch: bool| {
        for output in &program.outputs {
            let words = output.words(&types[output.value()], batch);
            if words.batch == of_batch {
                let kind = || Kind::Integers { interval: words.interval, bytes: 4, count: 1 };
                kinds.extend((0..words.count).map(|_| kind()));
            }
        }
    };
    (0..batch).for_each(|_| outputs(false));
    outputs(true);
    Ok(kinds)
}

/// One word of the preimage: its bits, and the values that claims read from it.
fn word(circuit: &Circuit, kind: &Kind, stated: [u8; 4]) -> (Word, Vec<Num>) {
    let b = &mut *circuit.builder();
    match kind {
        Kind::Fixed => (gadget::known(u32::from_be_bytes(stated)), Vec::new()),
        Kind::Opaque => (gadget::witness(b, u32::from_be_bytes(stated)), Vec::new()),
        Kind::Digest => {
            let value = u32::from_le_bytes(stated);
            let bits: Vec<Num> = (0..31).map(|i| bit(b, value >> i & 1 == 1)).collect();
            canonical(b, &bits);
            // Byte k of the element is byte 3 - k of the word.
            let place = |i: usize| 8 * (3 - i / 8) + i % 8;
            let word = core::array::from_fn(|i| bits.get(place(i)).cloned().unwrap_or_default());
            (word, vec![number(&bits)])
        }
        Kind::Integers { interval, bytes, count } => {
            let (width, value) = (8 * bytes, u32::from_be_bytes(stated));
            let spare = 32 - width * count;
            let word: Word = core::array::from_fn(|i| match i < spare {
                true => Num::default(),
                false => bit(b, value >> i & 1 == 1),
            });
            let range_bits = (i64::from(interval.hi) - i64::from(interval.lo)).max(1).ilog2() as usize + 1;
            let integer = |bits: &[Num]| {
                let (low, sign) = bits.split_at(width - 1);
                let value = number(low).plus_scaled(&sign[0], -power_of_two(width - 1));
                range(b, &value.shifted(-Fr::from(interval.lo)), range_bits);
                range(b, &value.scaled(-Fr::ONE).shifted(Fr::from(interval.hi)), range_bits);
                b.variable(&value)
            };
            // The first integer stands at the top.
            let values = word[spare..].rchunks(width).map(integer).collect();
            (word, values)
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
    let (bits, values): (Vec<Word>, Vec<Vec<Num>>) = parts.unzip();
    {
        let b = &mut *circuit.builder();
        let digest = gadget::digest(b, &bits);
        let public = b.public();
        b.equal(&gadget::truncated(&digest), &public);
    }
    let given = in_claims_order(statement, values.into_iter().flatten());
    let nums = follow(&mut circuit.builder(), &words.rules, given);
    circuit.builder().enter(before);
    // Everything here is an integer between -2^31 and 2^31.
    Ok(nums.into_iter().map(|n| Wire::At(circuit, circuit.of_integer(n, Bound::new(1 << 31)))).collect())
}

/// The preimage has all commitments before all public elements; claims have them input by input.
fn in_claims_order(statement: &Statement, mut values: impl Iterator<Item = Num>) -> Vec<Num> {
    let batch = statement.inputs.len();
    let hashed = !statement.program.input.private_elements().is_empty();
    let digests: Vec<Num> = values.by_ref().take(if hashed { batch * RATE } else { 0 }).collect();
    let mut order = Vec::new();
    for (i, input) in statement.inputs.iter().enumerate() {
        order.extend(digests.iter().skip(i * RATE).take(RATE).cloned());
        order.extend(values.by_ref().take(input.public.len()));
    }
    order.extend(values);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A word of integers: what is read from it, and whether the constraints hold.
    fn read(interval: Interval, bytes: usize, values: &[i32]) -> (Vec<Num>, bool) {
        let mut stated = [0; 4];
        for (place, value) in stated.chunks_mut(bytes).zip(values) {
            place.copy_from_slice(&value.to_be_bytes()[4 - bytes..]);
        }
        let circuit = Circuit::new(Fr::ONE);
        let (word, values) = word(&circuit, &Kind::Integers { interval, bytes, count: values.len() }, stated);
        assert_eq!(number(&word).value, Fr::from(u32::from_be_bytes(stated)), "the bits that are hashed");
        (values, circuit.into_builder().broken().is_none())
    }

    #[test]
    fn integers_are_read_from_the_bytes_that_are_hashed() {
        let (int8, int16) = (Interval { lo: -127, hi: 127 }, Interval { lo: -1_000, hi: 1_000 });
        let whole = Interval { lo: i32::MIN / 2, hi: i32::MAX / 2 };
        let cases: [(Interval, usize, &[i32]); 6] = [
            (int8, 1, &[-127, 127, 0, -1]),
            (int8, 1, &[5]),
            (int8, 1, &[-1, 1, -2]),
            (int16, 2, &[-1_000, 1_000]),
            (int16, 2, &[-3]),
            (whole, 4, &[i32::MIN / 2]),
        ];
        for (interval, bytes, values) in cases {
            let (read, holds) = read(interval, bytes, values);
            let expected: Vec<Fr> = values.iter().map(|v| Fr::from(*v)).collect();
            assert_eq!((read.iter().map(|n| n.value).collect::<Vec<_>>(), holds), (expected, true));
        }
        for (interval, bytes, values) in
            [(int8, 1, [0, -128]), (int16, 2, [1_001, 0]), (int16, 2, [0, -1_001])]
        {
            assert!(!read(interval, bytes, &values).1, "{values:?} is outside of the interval");
        }
    }
}
