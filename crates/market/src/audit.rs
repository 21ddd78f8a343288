//! Audit: fold the log again, check every evidence again, and compare with what was posted. Reports the first
//! difference by name.
//!
//! Needs public data only: the log's records, the epochs as the chain has them, and (for [`recheck`]) the
//! evidence blobs.
//!
//! Names of differences: `audit.event-undecodable`, `audit.event-refused`, `audit.not-conserved`,
//! `audit.epoch-missing`, `audit.epoch-not-closed`, `audit.evidence-missing`, `audit.verdict-differs`, and
//! `epoch.*` of [`Epoch::require_same`].

use crate::epoch::Epoch;
use crate::event::Event;
use crate::hash::Hash32;
use crate::refusal::Refusal;
use crate::state::{ReceiptStatus, State, conservation};
use crate::verdict::{Check, examine};

/// The first thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Number of the event, from 0, when it is about one.
    pub event: Option<u64>,
    /// Name, what this audit found, what was claimed. For `audit.event-*`, `got` holds the refusal itself.
    pub refusal: Refusal,
}

impl Difference {
    fn at(event: u64, name: &'static str, expected: &str, got: &Refusal) -> Self {
        Difference { event: Some(event), refusal: Refusal::new(name, expected, got) }
    }

    fn outside(refusal: Refusal) -> Self {
        Difference { event: None, refusal }
    }
}

/// Folds events that were decoded elsewhere, conservation checked after each.
///
/// # Errors
/// `audit.event-refused`, `audit.not-conserved`.
pub fn replay<'a>(events: impl IntoIterator<Item = &'a Event>) -> Result<State, Difference> {
    let mut state = State::new();
    for event in events {
        fold(&mut state, event)?;
    }
    Ok(state)
}

fn fold(state: &mut State, event: &Event) -> Result<(), Difference> {
    let number = state.events();
    state
        .step(event)
        .map_err(|refusal| Difference::at(number, "audit.event-refused", "a legal event", &refusal))?;
    let sums = conservation(state);
    if sums.holds() {
        return Ok(());
    }
    let refusal = Refusal::new("audit.not-conserved", sums.deposited, format_args!("{sums:?}"));
    Err(Difference { event: Some(number), refusal })
}

/// Folds a log's records and compares its epochs with the posted ones, in their order.
///
/// # Errors
/// The first difference: in the log before in the epochs.
pub fn audit<'a>(records: impl IntoIterator<Item = &'a [u8]>, posted: &[Epoch]) -> Result<State, Difference> {
    audit_seen(records, posted, |_, _| ())
}

/// As [`audit`], and shows every event with the state that has just taken it.
///
/// # Errors
/// As [`audit`].
pub fn audit_seen<'a>(
    records: impl IntoIterator<Item = &'a [u8]>,
    posted: &[Epoch],
    mut seen: impl FnMut(&Event, &State),
) -> Result<State, Difference> {
    let mut state = State::new();
    for record in records {
        let number = state.events();
        let event = Event::decode(record)
            .map_err(|refusal| Difference::at(number, "audit.event-undecodable", "an event", &refusal))?;
        fold(&mut state, &event)?;
        seen(&event, &state);
    }
    compare(&state, posted)?;
    Ok(state)
}

/// Compares the epochs that a state closed with the posted ones: each posted epoch must be closed with the
/// same roots, from 1 without gaps.
///
/// # Errors
/// `audit.epoch-missing` (a gap in what was posted), `audit.epoch-not-closed` (the log never closed it),
/// `epoch.*` (a field differs).
pub fn compare(state: &State, posted: &[Epoch]) -> Result<(), Difference> {
    for (index, epoch) in posted.iter().enumerate() {
        let number = index as u64 + 1;
        if epoch.number != number {
            return Err(Difference::outside(Refusal::new("audit.epoch-missing", number, epoch.number)));
        }
        let closed = state.epochs().get(index);
        let closed = closed.ok_or_else(|| {
            Difference::outside(Refusal::new("audit.epoch-not-closed", state.epochs().len(), number))
        })?;
        closed.epoch.require_same(epoch).map_err(Difference::outside)?;
    }
    Ok(())
}

/// Checks the evidence of every receipt that has a verdict again, and compares. `evidence` fetches bytes by
/// their hash, `service` the check of a service. Gives how many verdicts were checked.
///
/// # Errors
/// `audit.evidence-missing`, `audit.verdict-differs`, `audit.service-unknown`.
pub fn recheck<'a>(
    state: &State,
    evidence: impl Fn(&Hash32) -> Option<Vec<u8>>,
    service: impl Fn(&Hash32) -> Option<&'a dyn Check>,
) -> Result<u64, Difference> {
    let Some(rules) = state.rules() else { return Ok(0) };
    let mut checked = 0;
    for (digest, delivered) in state.receipts() {
        let verdict = match &delivered.status {
            ReceiptStatus::Accepted { verdict, .. } | ReceiptStatus::Settled { verdict, .. } => verdict,
            ReceiptStatus::Refused { verdict: Some(verdict), .. } => verdict,
            ReceiptStatus::Pending | ReceiptStatus::Refused { verdict: None, .. } => continue,
        };
        let receipt = &delivered.signed.receipt;
        let Some(posted) = state.jobs().get(&receipt.job) else { continue };
        let service = service(&receipt.service).ok_or_else(|| {
            Difference::outside(Refusal::new("audit.service-unknown", "a known service", receipt.service))
        })?;
        let bytes = evidence(&receipt.evidence).ok_or_else(|| {
            Difference::outside(Refusal::new("audit.evidence-missing", receipt.evidence, "no such bytes"))
        })?;
        let outcome = examine(&rules.domain, &posted.job, &delivered.signed, &bytes, service)
            .map_err(Difference::outside)?;
        if outcome != *verdict.outcome() {
            let got = format_args!("{digest}: {:?}", verdict.outcome());
            return Err(Difference::outside(Refusal::new(
                "audit.verdict-differs",
                format_args!("{outcome:?}"),
                got,
            )));
        }
        checked += 1;
    }
    Ok(checked)
}
