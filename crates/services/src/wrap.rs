//! Prover for hire: from a statement to the 256 bytes that a contract checks.
//!
//! The job names what is to be shown: a model, the commitment to its input (`job.input`, zero for a model without private input), its public words, the
//! context that the proof is bound to (that of a receipt on some chain, say; never that of the wrapping receipt) and the key of the contract that will
//! check it. The node runs the model and wraps; its receipt has the output words, and its evidence is the Groth16 proof itself, which anybody checks by
//! the key in milliseconds, whatever the model. A job is about one statement: a buyer asks for one unit of one node, since evidence is public once
//! it is delivered, and a second node could copy it.
//!
//! Whom it can be handed to: a model whose input is all public, to anybody: the words are in the terms. Private input to a node that the buyer calls its
//! own (a second machine of the owner's, named by its device; words and salt reach it beside the market), or to a stranger with a *proof that hides*
//! (docs/spec/wrap.md): the terms name it by its hash, it shows no more than the statement, and the stranger, who checks it first, wraps it. The key
//! must be one of the circuit that verifies such proofs.
//!
//! Terms, version 1, big-endian: `0x01 || flags u8 (1: the node is the buyer's own; 2: a proof that hides is handed over) || context 32 || key 32 ||
//! (flag 2) H of what is handed over 32 || public words, 4 bytes each`; the key is named by H of its 18 words. Handed over is [`Handed`]: the output
//! words, which the terms do not have, and the proof.
//!
//! Refuses: `wrap.terms`, `wrap.handed`, `wrap.model-unknown`, `wrap.public-length`, `wrap.private-input`, `wrap.own-node`; the node's own doing:
//! `wrap.wrong-input`, `wrap.wrong-output`, `wrap.proof.CHECK` with the verifier's name of the check.

use crate::inference::{Stated, plain_or_refused};
use crate::wire::array;
use crate::{Engines, Family, Service};
use proofmesh_market::limits::TERMS_BYTES_MAX;
use proofmesh_market::{Blame, Case, Hash32, Job, Reason, Usd, keccak};

/// The row in [`crate::SERVICES`].
pub const SERVICE: Service = Service {
    name: "wrap",
    tag: "proofmesh/wrap/v1",
    family: Family::Proof,
    unit: "one wrapped statement",
    describe,
    price,
    check,
    signed: None,
};

/// Bytes of the terms before the public words.
pub const HEAD_BYTES: usize = 1 + 1 + 32 + 32;
const TERMS_VERSION: u8 = 1;
const FLAG_OWN: u8 = 1;
const FLAG_HANDED: u8 = 2;

/// The service's terms of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The buyer says that the node is its own and may know the private input.
    pub own: bool,
    /// What the proof is bound to.
    pub context: Hash32,
    /// Name of the verification key.
    pub key: Hash32,
    /// [`Handed::digest`], where a proof that hides is handed over.
    pub handed: Option<Hash32>,
    /// Public elements of the input.
    pub public: Vec<i32>,
}

impl Terms {
    /// The canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let own = if self.own { FLAG_OWN } else { 0 };
        let mut bytes = vec![TERMS_VERSION, own | self.handed.map_or(0, |_| FLAG_HANDED)];
        bytes.extend_from_slice(&self.context.0);
        bytes.extend_from_slice(&self.key.0);
        bytes.extend(self.handed.iter().flat_map(|digest| digest.0));
        bytes.extend(self.public.iter().flat_map(|word| word.to_be_bytes()));
        bytes
    }

    /// Reads terms; exactly the bytes that [`Terms::encode`] makes.
    ///
    /// # Errors
    /// `wrap.terms`.
    pub fn decode(bytes: &[u8]) -> Result<Self, Reason> {
        let refused = |got: &str| Reason::new("wrap.terms", Blame::Nobody, "terms of wrap, version 1", got);
        if bytes.len() > TERMS_BYTES_MAX {
            return Err(refused("more bytes than a job takes"));
        }
        let Some((head, words)) = bytes.split_at_checked(HEAD_BYTES) else {
            return Err(refused(&format!("{} bytes", bytes.len())));
        };
        let handed = (head[1] & FLAG_HANDED != 0).then(|| words.split_at_checked(32));
        let (handed, words) = match handed {
            None => (None, words),
            Some(Some((digest, words))) => (Some(Hash32(array(digest))), words),
            Some(None) => return Err(refused("no digest of the proof that is handed over")),
        };
        let (words, rest) = words.as_chunks::<4>();
        let terms = Terms {
            own: head[1] & FLAG_OWN != 0,
            context: Hash32(array(&head[2..34])),
            key: Hash32(array(&head[34..])),
            handed,
            public: words.iter().map(|word| i32::from_be_bytes(*word)).collect(),
        };
        if head[0] != TERMS_VERSION || head[1] > FLAG_HANDED || !rest.is_empty() {
            return Err(refused("another form"));
        }
        Ok(terms)
    }
}

/// What a stranger gets who wraps a proof that hides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handed {
    /// Output words of the statement.
    pub output: Vec<i32>,
    /// The proof.
    pub proof: Vec<u8>,
}

impl Handed {
    /// `output words, 4 bytes each, big-endian || proof`; how many words there are follows from the model.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let words = self.output.iter().flat_map(|word| word.to_be_bytes());
        words.chain(self.proof.iter().copied()).collect()
    }

    /// Reads what [`Handed::encode`] made for a model with so many output words.
    ///
    /// # Errors
    /// `wrap.handed`.
    pub fn decode(bytes: &[u8], words: usize) -> Result<Self, Reason> {
        let Some((head, proof)) = bytes.split_at_checked(4 * words) else {
            let expected = format_args!("{words} output words and a proof");
            return Err(Reason::new(
                "wrap.handed",
                Blame::Nobody,
                expected,
                format_args!("{} bytes", bytes.len()),
            ));
        };
        let output = head.as_chunks::<4>().0.iter().map(|word| i32::from_be_bytes(*word)).collect();
        Ok(Handed { output, proof: proof.to_vec() })
    }

    /// Keccak-256 of the bytes: the name by which terms ask for them.
    #[must_use]
    pub fn digest(&self) -> Hash32 {
        keccak(&self.encode())
    }
}

/// The terms of a job that can be worked on: of a known model, for a node that may know its input.
///
/// # Errors
/// `wrap.terms`, `wrap.private-input`, `wrap.own-node`, `wrap.model-unknown`, `wrap.public-length`.
pub fn terms(job: &Job, engines: &Engines<'_>) -> Result<Terms, Reason> {
    let nobody = |name, expected: &dyn std::fmt::Display, got: &dyn std::fmt::Display| {
        Err(Reason::new(name, Blame::Nobody, expected, got))
    };
    let terms = Terms::decode(&job.terms)?;
    let private = job.input != Hash32::ZERO;
    if private && !terms.own && terms.handed.is_none() {
        let expected = "public input, a node that the buyer says is its own, or a proof that hides: whoever wraps a plain one sees all of the input";
        return nobody("wrap.private-input", &expected, &job.input);
    }
    if terms.own && job.devices.is_empty() {
        return nobody("wrap.own-node", &"the devices of the buyer's own node", &"any node");
    }
    let Some(card) = engines.models.card(&job.model) else {
        return nobody("wrap.model-unknown", &"a model of the catalogue", &job.model);
    };
    if card.public_words != terms.public.len() {
        return nobody("wrap.public-length", &card.public_words, &terms.public.len());
    }
    Ok(terms)
}

fn describe(job: &Job, engines: &Engines<'_>) -> Result<String, Reason> {
    let terms = terms(job, engines)?;
    let name = engines.models.card(&job.model).map_or("a model", |card| card.name.as_str());
    let whom = match (terms.own, terms.handed) {
        (true, _) => "the buyer's own node",
        (false, None) => "any node: all input is public",
        (false, Some(_)) => "any node, around a proof that hides",
    };
    Ok(format!("a Groth16 proof of {name} under key {}, by {whom}", terms.key))
}

/// What one wrapped statement is worth to begin with: a minute or two of two cores and some gigabytes of memory.
pub const PRICE: Usd = Usd::from_micro(50_000);

fn price(job: &Job, engines: &Engines<'_>) -> Result<Usd, Reason> {
    terms(job, engines).map(|_| PRICE)
}

fn check(case: &Case<'_>, engines: &Engines<'_>) -> Result<u64, Reason> {
    let receipt = &case.receipt.receipt;
    let terms = terms(case.job, engines)?;
    let node = |name, expected: &dyn std::fmt::Display, got: &dyn std::fmt::Display| {
        Err(Reason::new(name, Blame::Node, expected, got))
    };
    // The market lets a job without an input take any: here zero is the commitment to no private input.
    if receipt.input != case.job.input {
        return node("wrap.wrong-input", &case.job.input, &receipt.input);
    }
    let output = case.receipt.output_words();
    let words = engines.models.card(&case.job.model).map_or(0, |card| card.output_words);
    if output.len() != words {
        return node("wrap.wrong-output", &words, &output.len());
    }
    let stated = Stated {
        model: case.job.model.0,
        input: case.job.input.0,
        public_input: &terms.public,
        output: &output,
        context: terms.context.0,
    };
    engines.proofs.verify_wrapped(&terms.key, &stated, case.evidence).map_err(|rejection| {
        let name = format!("wrap.proof.{}", plain_or_refused(&rejection.check));
        Reason::new(&name, Blame::Node, &rejection.expected, &rejection.got)
    })?;
    Ok(1)
}
