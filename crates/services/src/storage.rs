//! Storage: a node still holds a committed piece, shown each round by random chunks of it.
//!
//! The client seals its object ([`seal`]), cuts it into `n` pieces of which any `k` suffice ([`pieces`]),
//! commits to each ([`merkle`]) and posts one job a piece: `input` is the commitment, `devices` names where
//! [`placement`] put it, the pieces with distinct operators. Rounds run from the job's first second; the
//! challenge of one is drawn with a seed that came after its end ([`challenge`], [`crate::seed`]), and the
//! evidence opens the chunks it asks for. A missing piece is rebuilt from any `k` others, with the committed
//! root; a node that leaves hands its piece over ([`handover`]). [`odds`] has the probabilities.
//!
//! What it shows: that whoever answered could produce the chunks after the round. What it does not: where they
//! lay, nor that the node will give the piece back. docs/spec/services.md.
//!
//! Terms, version 1, 27 bytes, big-endian: `0x01 || piece bytes u64 || round_s u64 || unit byte-days u64 ||
//! questions u16`.
//!
//! Refuses: `storage.terms`, `storage.no-commitment`, `storage.no-devices`, `storage.not-empty`,
//! `storage.wrong-window`, `storage.seed-unknown`, `storage.seed-form`, and the names of [`challenge`]. Evidence that does not hold is
//! blamed on the node.

pub mod challenge;
pub mod handover;
pub mod merkle;
pub mod odds;
pub mod pieces;
pub mod placement;
pub mod seal;

use crate::seed::{SEED_WORDS, seed_feed};
use crate::wire::u64_at;
use crate::{Engines, Family, Service, blamed};
use challenge::{Asked, Challenge};
use proofmesh_market::receipt::{output_bytes, output_hash};
use proofmesh_market::{Blame, Case, Hash32, Job, Reason, Usd};

/// The row in [`crate::SERVICES`].
pub const SERVICE: Service = Service {
    name: "storage",
    tag: "proofmesh/storage/v1",
    family: Family::Possession,
    unit: "the terms' number of byte-days",
    describe,
    price,
    check,
    signed: None,
};

/// Bytes of the terms.
pub const TERMS_BYTES: usize = 1 + 8 + 8 + 8 + 2;
/// Seconds of a day.
pub const DAY_S: u64 = 86_400;
/// Longest round: 31 days.
pub const ROUND_S_MAX: u64 = 31 * DAY_S;
/// Most questions of a round; an answer then has at most 1 MiB.
pub const QUESTIONS_MAX: u16 = 1_024;
/// Questions that cut a silent drop of 3 % within 30 daily rounds when 3 refusals in a row freeze: it stays
/// with a probability below 2^-40 ([`odds::not_frozen`]).
pub const QUESTIONS: u16 = 128;
const TERMS_VERSION: u8 = 1;

/// The service's terms of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Bytes of the piece: whole chunks.
    pub piece_bytes: u64,
    /// Seconds of a round, 1 to [`ROUND_S_MAX`].
    pub round_s: u64,
    /// Byte-days of one paid unit; a round is worth at least one.
    pub unit_byte_days: u64,
    /// Questions of a round, 1 to [`QUESTIONS_MAX`].
    pub questions: u16,
}

impl Terms {
    /// The canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![TERMS_VERSION];
        for integer in [self.piece_bytes, self.round_s, self.unit_byte_days] {
            bytes.extend_from_slice(&integer.to_be_bytes());
        }
        bytes.extend_from_slice(&self.questions.to_be_bytes());
        bytes
    }

    /// Reads terms; exactly the bytes that [`Terms::encode`] makes of terms within their bounds.
    ///
    /// # Errors
    /// `storage.terms`.
    pub fn decode(bytes: &[u8]) -> Result<Self, Reason> {
        let refused =
            |got: &str| Reason::new("storage.terms", Blame::Nobody, "terms of storage, version 1", got);
        let bytes: &[u8; TERMS_BYTES] =
            bytes.try_into().map_err(|_| refused(&format!("{} bytes", bytes.len())))?;
        let [version, integers @ .., high, low] = bytes;
        let terms = Terms {
            piece_bytes: u64_at(integers, 0),
            round_s: u64_at(integers, 8),
            unit_byte_days: u64_at(integers, 16),
            questions: u16::from_be_bytes([*high, *low]),
        };
        let bounded = merkle::is_piece_size(terms.piece_bytes)
            && (1..=ROUND_S_MAX).contains(&terms.round_s)
            && (1..=QUESTIONS_MAX).contains(&terms.questions)
            && terms.unit_byte_days > 0
            && terms.units(0) > 0;
        if *version != TERMS_VERSION || !bounded { Err(refused("another form")) } else { Ok(terms) }
    }

    /// Units of a round: `floor((r + 1) b / u) - floor(r b / u)` for `b` byte-seconds a round and `u` a unit,
    /// so that the rounds of a job lose nothing to rounding.
    #[must_use]
    pub fn units(&self, round: u64) -> u64 {
        let of_round = u128::from(self.piece_bytes) * u128::from(self.round_s); // below 2^52 in bounds
        let of_unit = u128::from(self.unit_byte_days) * u128::from(DAY_S);
        let until = |rounds: u128| rounds.saturating_mul(of_round) / of_unit;
        let units = until(u128::from(round) + 1) - until(u128::from(round));
        u64::try_from(units).unwrap_or(u64::MAX)
    }

    /// Units of all rounds in so many seconds.
    #[must_use]
    pub fn units_in(&self, seconds: u64) -> u64 {
        let byte_seconds = u128::from(seconds - seconds % self.round_s) * u128::from(self.piece_bytes);
        let units = byte_seconds / (u128::from(self.unit_byte_days) * u128::from(DAY_S));
        u64::try_from(units).unwrap_or(u64::MAX)
    }

    /// The round of a window, when it is one: from the job's first second, `round_s` long.
    #[must_use]
    pub fn round(&self, from_s: u64, window: (u64, u64)) -> Option<u64> {
        let since_s = window.0.checked_sub(from_s)?;
        let whole = since_s.is_multiple_of(self.round_s) && window.1.checked_sub(window.0)? == self.round_s;
        whole.then_some(since_s / self.round_s)
    }
}

fn describe(job: &Job, _: &Engines<'_>) -> Result<String, Reason> {
    let terms = Terms::decode(&job.terms)?;
    let Terms { piece_bytes, round_s, unit_byte_days, questions } = terms;
    Ok(format!(
        "{piece_bytes} bytes held, {questions} chunks of them shown every {round_s} s; each {unit_byte_days} byte-days is paid"
    ))
}

/// A fair price of so many byte-days: 167 micro-USD a GiB-day (0.005 USD a GiB-month), at least 1 micro-USD.
#[must_use]
pub fn fair_price(byte_days: u64) -> Usd {
    let micro = (u128::from(byte_days) * 167) >> 30;
    Usd::from_micro(u64::try_from(micro).unwrap_or(u64::MAX).max(1))
}

fn price(job: &Job, _: &Engines<'_>) -> Result<Usd, Reason> {
    Ok(fair_price(Terms::decode(&job.terms)?.unit_byte_days))
}

fn check(case: &Case<'_>, engines: &Engines<'_>) -> Result<u64, Reason> {
    let receipt = &case.receipt.receipt;
    let terms = Terms::decode(&case.job.terms)?;
    let nobody = |name, expected: &str, got: &str| Err(Reason::new(name, Blame::Nobody, expected, got));
    if case.job.input == Hash32::ZERO {
        return nobody("storage.no-commitment", "the piece's commitment as the job's input", "none");
    }
    if case.job.devices.is_empty() {
        // Any device would do, and a node could be paid once for each of its devices.
        return nobody("storage.no-devices", "the devices that hold the piece, named by the job", "none");
    }
    if receipt.output != output_hash(&[]) {
        return Err(Reason::new("storage.not-empty", Blame::Node, "no output", receipt.output));
    }
    let window = (receipt.window_start, receipt.window_end);
    let round = terms.round(case.job.window_from_s, window).ok_or_else(|| {
        let expected = format!("a round of {} s from {}", terms.round_s, case.job.window_from_s);
        let got = format_args!("{} to {}", window.0, window.1);
        Reason::new("storage.wrong-window", Blame::Node, expected, got)
    })?;
    let Some(row) = engines.references.reference(&seed_feed(), &receipt.device, window.1) else {
        return nobody("storage.seed-unknown", "a seed from after the round", "none yet");
    };
    let Ok(seed) = <[u8; 4 * SEED_WORDS]>::try_from(output_bytes(row.words)) else {
        return nobody("storage.seed-form", "8 words", "another number");
    };
    let asked = Asked { job: case.job_id, node: &receipt.node, device: &receipt.device, round };
    let challenge = Challenge::draw(&Hash32(seed), &asked, terms.piece_bytes, terms.questions);
    challenge.verify(&case.job.input, case.evidence).map_err(blamed)?;
    Ok(terms.units(round))
}
