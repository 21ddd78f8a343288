//! zk inference: a committed model ran on a committed private input, with the public input that the job's
//! feed names, and gave this output.
//!
//! The checker rebuilds the statement from the job and the receipt: model id (job), input commitment
//! (receipt), public input (the job's feed), output words (receipt), context (receipt). Nothing of it is
//! taken from the prover. Then the [`ProofCheck`] that was handed in verifies the proof, and only then is the
//! output read: its word 0 must be the class that the terms ask for.
//!
//! Terms, version 1, 51 bytes, big-endian: `0x01 || flags u8 (1: a class is required, 2: there is a feed, 4: wrappable) ||
//! class u8 || window seconds u64 || window phase u64 || feed commitment 32`. Fields whose flag is off are
//! zero. Window seconds 0: any window. *Wrappable*: the proof is of the profile *hired*, so that whoever settles the receipt can wrap it for
//! the contract, if one demands that, without the node's help.
//!
//! Refuses: `inference.terms`, `inference.model-unknown`, `inference.class-unknown`, `inference.wrong-window`, `inference.wrong-output`,
//! `inference.reference-missing`, `inference.reference-length`, `inference.reference-width`,
//! `inference.proof.CHECK` with the verifier's name of the check, `inference.not-CLASS` with the model's name of the class (`inference.not-genuine`; what
//! the proof shows is in `got`). A proof that does not check, or a wrong form, is blamed on the node; a class
//! is not: the model is wrong about one honest day in twenty, and losing the day's pay is enough.

use crate::reference::Row;
use crate::wire::u64_at;
use crate::{Engines, Family, Service};
use proofmesh_market::{Blame, Case, Hash32, Job, Reason, Usd};
use std::collections::BTreeMap;

/// The row in [`crate::SERVICES`].
pub const SERVICE: Service = Service {
    name: "inference",
    tag: "proofmesh/inference/v1",
    family: Family::Proof,
    unit: "one proven window",
    describe,
    price,
    check,
    signed: None,
};

/// Bytes of the terms.
pub const TERMS_BYTES: usize = 1 + 1 + 1 + 8 + 8 + 32;
/// Most classes of a model.
pub const CLASSES_MAX: usize = 256;
const TERMS_VERSION: u8 = 1;
const FLAG_CLASS: u8 = 1;
const FLAG_FEED: u8 = 2;
const FLAG_WRAPPABLE: u8 = 4;

/// Why a proof was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Stable name of the check that failed, of `a-z 0-9 . -`.
    pub check: String,
    /// What would have held.
    pub expected: String,
    /// What came.
    pub got: String,
}

/// A verifier of proofs, handed in. It must be pure: the same arguments, the same answer.
pub trait ProofCheck: Sync {
    /// Accepts when `proof` shows that `model` on the input behind `input` and on `public_input` gives
    /// `output`, bound to `context`.
    ///
    /// # Errors
    /// The check that failed. Hostile bytes must give an error, not a panic.
    fn verify(
        &self,
        model: [u8; 32],
        input: [u8; 32],
        public_input: &[i32],
        output: &[i32],
        context: [u8; 32],
        proof: &[u8],
    ) -> Result<(), Rejection>;

    /// Accepts when `proof` shows `stated`, hides all else, and can be wrapped by a stranger. A verifier that does not know such proofs refuses.
    ///
    /// # Errors
    /// As [`ProofCheck::verify`].
    fn verify_hidden(&self, _stated: &Stated<'_>, _proof: &[u8]) -> Result<(), Rejection> {
        let (expected, got) = ("a checker of proofs that hide".to_owned(), "another".to_owned());
        Err(Rejection { check: "hidden".to_owned(), expected, got })
    }

    /// Accepts when `proof` is a Groth16 proof of `stated` under the verification key of this name (Keccak-256 of its words). A verifier that has no
    /// keys refuses.
    ///
    /// # Errors
    /// As [`ProofCheck::verify`].
    fn verify_wrapped(&self, key: &Hash32, _stated: &Stated<'_>, _proof: &[u8]) -> Result<(), Rejection> {
        let (expected, got) = (format!("a checker with key {key}"), "none".to_owned());
        Err(Rejection { check: "key".to_owned(), expected, got })
    }
}

/// What a proof about one input states.
#[derive(Clone, Copy, Debug)]
pub struct Stated<'a> {
    /// The model's id.
    pub model: [u8; 32],
    /// Commitment to the private input.
    pub input: [u8; 32],
    /// Public elements of the input.
    pub public_input: &'a [i32],
    /// Output words.
    pub output: &'a [i32],
    /// What it is bound to.
    pub context: [u8; 32],
}

/// What there is to know about a model before any proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelCard {
    /// For people.
    pub name: String,
    /// Words of the public output.
    pub output_words: usize,
    /// Words of the public input; 0 when all input is private.
    pub public_words: usize,
    /// Bytes that a public word takes where contracts hash it: 1, 2 or 4.
    pub word_bytes: u8,
    /// Names of the classes that output word 0 can be, from 0; empty when it is no class.
    pub classes: Vec<String>,
    /// Multiply-adds of one inference.
    pub multiply_adds: u64,
}

/// Knows models by id.
pub trait Catalogue: Sync {
    /// The card of a model.
    fn card(&self, model: &Hash32) -> Option<&ModelCard>;
}

impl Catalogue for BTreeMap<Hash32, ModelCard> {
    fn card(&self, model: &Hash32) -> Option<&ModelCard> {
        self.get(model)
    }
}

/// The service's terms of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The class that output word 0 must be, if it must be one.
    pub class: Option<u8>,
    /// Length of a window; 0 for any.
    pub window_s: u64,
    /// Windows start at this Unix second modulo the length.
    pub phase_s: u64,
    /// Commitment of the feed that the public input comes from, if there is one.
    pub feed: Option<Hash32>,
    /// The proof is of the kind that a stranger can wrap for a contract.
    pub wrappable: bool,
}

impl Terms {
    /// The canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(TERMS_BYTES);
        let class = if self.class.is_some() { FLAG_CLASS } else { 0 };
        let feed = if self.feed.is_some() { FLAG_FEED } else { 0 };
        let wrappable = if self.wrappable { FLAG_WRAPPABLE } else { 0 };
        bytes.extend_from_slice(&[TERMS_VERSION, class | feed | wrappable, self.class.unwrap_or(0)]);
        bytes.extend_from_slice(&self.window_s.to_be_bytes());
        bytes.extend_from_slice(&self.phase_s.to_be_bytes());
        bytes.extend_from_slice(&self.feed.unwrap_or_default().0);
        bytes
    }

    /// Reads terms; exactly the bytes that [`Terms::encode`] makes.
    ///
    /// # Errors
    /// `inference.terms`.
    pub fn decode(bytes: &[u8]) -> Result<Self, Reason> {
        let refused =
            |got: &str| Reason::new("inference.terms", Blame::Nobody, "terms of inference, version 1", got);
        let bytes: &[u8; TERMS_BYTES] =
            bytes.try_into().map_err(|_| refused(&format!("{} bytes", bytes.len())))?;
        let [version, flags, class, numbers @ ..] = bytes;
        let (integers, feed) = numbers.split_at(16);
        let feed: [u8; 32] = feed.try_into().map_err(|_| refused("a feed cut short"))?;
        let terms = Terms {
            class: (flags & FLAG_CLASS != 0).then_some(*class),
            window_s: u64_at(integers, 0),
            phase_s: u64_at(integers, 8),
            feed: (flags & FLAG_FEED != 0).then_some(Hash32(feed)),
            wrappable: flags & FLAG_WRAPPABLE != 0,
        };
        let phase = if terms.window_s == 0 { terms.phase_s == 0 } else { terms.phase_s < terms.window_s };
        if *version != TERMS_VERSION || terms.encode() != bytes || !phase {
            return Err(refused("another form"));
        }
        Ok(terms)
    }
}

fn card<'a>(job: &Job, engines: &Engines<'a>) -> Result<&'a ModelCard, Reason> {
    let card = engines.models.card(&job.model).filter(|card| card.classes.len() <= CLASSES_MAX);
    card.ok_or_else(|| {
        Reason::new("inference.model-unknown", Blame::Nobody, "a model of the catalogue", job.model)
    })
}

fn describe(job: &Job, engines: &Engines<'_>) -> Result<String, Reason> {
    let card = card(job, engines)?;
    let terms = Terms::decode(&job.terms)?;
    // No node could bring a class that the model does not have.
    if let Some(class) = terms.class.filter(|class| usize::from(*class) >= card.classes.len()) {
        let expected = format_args!("a class below {}", card.classes.len());
        return Err(Reason::new("inference.class-unknown", Blame::Nobody, expected, class));
    }
    let class = terms
        .class
        .map_or("any output".to_owned(), |class| format!("only {}", class_name(card, i32::from(class))));
    let window = if terms.window_s == 0 {
        "any window".to_owned()
    } else {
        format!("a window of {} s", terms.window_s)
    };
    let feed =
        terms.feed.map_or("no public input".to_owned(), |feed| format!("public input from feed {feed}"));
    let kind = if terms.wrappable { "wrappable proof" } else { "proof" };
    Ok(format!("{kind} of {} for {window}, {feed}, {class} is paid", card.name))
}

/// 1,000 micro-USD, and 1 more for each 100 multiply-adds that have to be proven.
fn price(job: &Job, engines: &Engines<'_>) -> Result<Usd, Reason> {
    Ok(Usd::from_micro(1_000 + card(job, engines)?.multiply_adds / 100))
}

fn check(case: &Case<'_>, engines: &Engines<'_>) -> Result<u64, Reason> {
    let receipt = &case.receipt.receipt;
    let terms = Terms::decode(&case.job.terms)?;
    let card = card(case.job, engines)?;
    require_window(&terms, receipt.window_start, receipt.window_end)?;
    let output = case.receipt.output_words();
    let node = |name, expected: usize, got: usize| Err(Reason::new(name, Blame::Node, expected, got));
    if output.len() != card.output_words {
        return node("inference.wrong-output", card.output_words, output.len());
    }
    let row = match &terms.feed {
        None => Row { words: &[], word_bytes: card.word_bytes },
        Some(feed) => {
            engines.references.reference(feed, &receipt.device, receipt.window_start).ok_or_else(|| {
                let window = receipt.window_start;
                Reason::new(
                    "inference.reference-missing",
                    Blame::Nobody,
                    format_args!("a row for {window}"),
                    "none",
                )
            })?
        }
    };
    let Row { words: public_input, word_bytes } = row;
    if public_input.len() != card.public_words {
        let length = public_input.len();
        return Err(Reason::new("inference.reference-length", Blame::Nobody, card.public_words, length));
    }
    // Else no wrapped proof could answer for the receipt: the contract hashes the row as the feed has it.
    if word_bytes != card.word_bytes {
        return Err(Reason::new("inference.reference-width", Blame::Nobody, card.word_bytes, word_bytes));
    }
    let (model, input, context) = (case.job.model.0, receipt.input.0, case.context.0);
    let verified = if terms.wrappable {
        let stated = Stated { model, input, public_input, output: &output, context };
        engines.proofs.verify_hidden(&stated, case.evidence)
    } else {
        engines.proofs.verify(model, input, public_input, &output, context, case.evidence)
    };
    verified.map_err(|rejection| proof_refused(&rejection))?;
    require_class(&terms, card, &output)?;
    Ok(1)
}

fn require_window(terms: &Terms, start_s: u64, end_s: u64) -> Result<(), Reason> {
    if terms.window_s == 0 {
        return Ok(());
    }
    let long = end_s.checked_sub(start_s) == Some(terms.window_s);
    if long && start_s % terms.window_s == terms.phase_s {
        return Ok(());
    }
    let expected = format!("{} s from {} modulo that", terms.window_s, terms.phase_s);
    Err(Reason::new("inference.wrong-window", Blame::Node, expected, format_args!("{start_s} to {end_s}")))
}

/// The verifier's own name of the check, under this service's; a name that is not plain is not passed on.
fn proof_refused(rejection: &Rejection) -> Reason {
    let name = format!("inference.proof.{}", plain_or_refused(&rejection.check));
    Reason::new(&name, Blame::Node, &rejection.expected, &rejection.got)
}

/// A check's name if it may be part of a stable name, else `refused`.
pub(crate) fn plain_or_refused(check: &str) -> &str {
    if is_plain(check) { check } else { "refused" }
}

fn require_class(terms: &Terms, card: &ModelCard, output: &[i32]) -> Result<(), Reason> {
    let Some(class) = terms.class.map(i32::from) else { return Ok(()) };
    let shown = output.first().copied();
    if shown == Some(class) {
        return Ok(());
    }
    let expected = class_name(card, class);
    let got = shown.map_or("no output".to_owned(), |shown| class_name(card, shown));
    let name = if is_plain(&expected) {
        format!("inference.not-{expected}")
    } else {
        "inference.not-class".to_owned()
    };
    Err(Reason::new(&name, Blame::Nobody, expected, got))
}

fn class_name(card: &ModelCard, class: i32) -> String {
    let named = usize::try_from(class).ok().and_then(|index| card.classes.get(index));
    named.cloned().unwrap_or_else(|| format!("class {class}"))
}

/// True for text that may be part of a stable name: up to 40 of `a-z 0-9 . -`.
fn is_plain(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    !text.is_empty() && text.len() <= 40 && text.bytes().all(plain)
}
