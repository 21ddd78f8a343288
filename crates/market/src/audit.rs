//! Audit: fold the log again, check every evidence again, and compare with what was posted. Reports the first
//! difference by name.
//!
//! Needs public data only: the log's records, the epochs as the chain has them, and (for [`recheck`]) the
//! evidence blobs. Money is conserved after every event by the ledger's own sums, and those are held against all purses
//! and claims, added up, after every epoch and at the end.
//!
//! Names of differences: `audit.event-undecodable`, `audit.event-refused`, `audit.not-conserved`,
//! `audit.epoch-missing`, `audit.epoch-not-closed`, `audit.evidence-missing`, `audit.verdict-differs`, and
//! `epoch.*` of [`Epoch::require_same`].

use crate::epoch::Epoch;
use crate::event::{Entry, Event, What};
use crate::hash::{Hash32, keccak};
use crate::receipt::SignedReceipt;
use crate::refusal::Refusal;
use crate::state::{ReceiptStatus, State, conservation};
use crate::verdict::{Check, Outcome, examine_delivered};
use crate::verified::Verified;

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
        let folded = state.step(event).map(drop);
        require_legal(&state, event, folded)?;
    }
    require_conserved(&state)?;
    Ok(state)
}

/// Holds what folding an event gave, and the money after it.
fn require_legal(state: &State, event: &Event, folded: Result<(), Refusal>) -> Result<(), Difference> {
    folded.map_err(|refusal| {
        Difference::at(state.events(), "audit.event-refused", "a legal event", &refusal)
    })?;
    if matches!(event.what, What::EpochClosed { .. }) || !state.ledger().sums().holds() {
        require_conserved(state)?;
    }
    Ok(())
}

/// Holds the ledger's sums against each other and against what they are sums of.
fn require_conserved(state: &State) -> Result<(), Difference> {
    let (kept, sums) = (state.ledger().sums(), conservation(state));
    if kept.holds() && kept == sums {
        return Ok(());
    }
    let got = format_args!("{sums:?}, kept as {kept:?}");
    let refusal = Refusal::new("audit.not-conserved", sums.deposited, got);
    Err(Difference { event: state.events().checked_sub(1), refusal })
}

/// A record as an event, with its signatures if they were verified ahead ([`crate::verified::Ahead`]).
pub type Read = Result<(Entry, Option<Verified>), Refusal>;

/// A record as an event; `hash` is `H` of it. Its signatures are verified in its turn.
pub fn read(record: &[u8], hash: Hash32) -> Read {
    Entry::read(record, hash).map(|entry| (entry, None))
}

/// Folds a log's records and compares its epochs with the posted ones, in their order.
///
/// # Errors
/// The first difference: in the log before in the epochs.
pub fn audit<'a>(records: impl IntoIterator<Item = &'a [u8]>, posted: &[Epoch]) -> Result<State, Difference> {
    let mut audit = Audit::default();
    for record in records {
        audit.take(read(record, keccak(record)), |_, _| ())?;
    }
    audit.end(posted)
}

/// An audit of a log that goes on, record by record, for whoever reads ahead on other threads or looks at every event.
#[derive(Debug, Default)]
pub struct Audit {
    state: State,
}

impl Audit {
    /// Takes the next record, and shows its event with the state that has just taken it.
    ///
    /// # Errors
    /// As [`audit()`], but for what [`Audit::end`] compares.
    pub fn take(&mut self, read: Read, seen: impl FnOnce(&Event, &State)) -> Result<(), Difference> {
        let number = self.state.events();
        let (entry, verified) =
            read.map_err(|refusal| Difference::at(number, "audit.event-undecodable", "an event", &refusal))?;
        let folded = self.state.step_entry(&entry, verified.as_ref()).map(drop);
        require_legal(&self.state, entry.event(), folded)?;
        seen(entry.event(), &self.state);
        Ok(())
    }

    /// The log is over: its money adds up, and its epochs are the posted ones.
    ///
    /// # Errors
    /// As [`audit()`].
    pub fn end(self, posted: &[Epoch]) -> Result<State, Difference> {
        require_conserved(&self.state)?;
        compare(&self.state, posted)?;
        Ok(self.state)
    }
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

/// A receipt by its digest, and what its verdict found.
pub type Judged<'a> = (&'a Hash32, &'a SignedReceipt, &'a Outcome);

/// Receipts that have a verdict, with what the verdict found.
pub fn with_verdict(state: &State) -> impl Iterator<Item = Judged<'_>> {
    state.receipts().iter().filter_map(|(digest, delivered)| {
        let verdict = match &delivered.status {
            ReceiptStatus::Accepted { verdict, .. } | ReceiptStatus::Settled { verdict, .. } => verdict,
            ReceiptStatus::Refused { verdict: Some(verdict), .. } => verdict,
            ReceiptStatus::Pending | ReceiptStatus::Refused { verdict: None, .. } => return None,
        };
        Some((digest, &delivered.signed, verdict.outcome()))
    })
}

/// Checks the evidence of receipts again and compares with what their verdicts found. `evidence` fetches bytes by their
/// hash, `service` the check of a service. For all of them: [`with_verdict`], in parts on as many threads as there are.
///
/// # Errors
/// `audit.evidence-missing`, `audit.verdict-differs`, `audit.service-unknown`.
pub fn recheck<'a, 'b>(
    state: &State,
    receipts: impl IntoIterator<Item = Judged<'b>>,
    evidence: impl Fn(&Hash32) -> Option<Vec<u8>>,
    service: impl Fn(&Hash32) -> Option<&'a dyn Check>,
) -> Result<(), Difference> {
    let Some(rules) = state.rules() else { return Ok(()) };
    for (digest, signed, found) in receipts {
        let receipt = &signed.receipt;
        let Some(posted) = state.jobs().get(&receipt.job) else { continue };
        let service = service(&receipt.service).ok_or_else(|| {
            Difference::outside(Refusal::new("audit.service-unknown", "a known service", receipt.service))
        })?;
        let bytes = evidence(&receipt.evidence).ok_or_else(|| {
            Difference::outside(Refusal::new("audit.evidence-missing", receipt.evidence, "no such bytes"))
        })?;
        let outcome = examine_delivered(&rules.domain, &posted.job, (digest, signed), &bytes, service);
        if outcome != *found {
            let got = format_args!("{digest}: {found:?}");
            let expected = format_args!("{outcome:?}");
            return Err(Difference::outside(Refusal::new("audit.verdict-differs", expected, got)));
        }
    }
    Ok(())
}
