//! A verdict: what a checker found about a receipt. Only [`check`] and [`check_delivered`] make one; only a verdict moves
//! money.
//!
//! A `Verdict` has private fields and carries its checker's signature (EIP-712). Reading one back from the
//! log gives the same type: what makes it count is the signature, which the state machine verifies again at
//! every replay, so bytes alone cannot forge one (docs/decisions/0005-signed-verdicts.md).
//!
//! Refuses: `receipt.wrong-evidence`, `receipt.evidence-too-long`, `receipt.wrong-units` (in the verdict),
//! and `verdict.signature`.

use crate::domain::{Domain, struct_words};
use crate::hash::{Hash32, keccak};
use crate::job::Job;
use crate::key::{AccountSecret, AccountSignature, Address};
use crate::limits::{DETAIL_BYTES_MAX, EVIDENCE_BYTES_MAX, REASON_BYTES_MAX};
use crate::many::accounts::AccountClaim;
use crate::order::Order;
use crate::receipt::SignedReceipt;
use crate::refusal::{Refusal, require};
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display};

/// Whose doing a refusal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Blame {
    /// Nobody's that could be shown: the unit is not paid, and that is all.
    Nobody,
    /// The node's own malfunction (evidence that does not check, a wrong count). Several in a row freeze the
    /// node.
    Node,
}

/// Why a receipt was refused: stable name, expected, got, and whose doing it is. Text is bounded and
/// printable ASCII.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    name: String,
    blame: Blame,
    expected: String,
    got: String,
}

impl Reason {
    /// A reason. Text is cut to its limit, and what is not printable ASCII becomes `?`.
    #[must_use]
    pub fn new(name: &str, blame: Blame, expected: impl Display, got: impl Display) -> Self {
        Reason {
            name: printable(name, REASON_BYTES_MAX),
            blame,
            expected: printable(&expected.to_string(), DETAIL_BYTES_MAX),
            got: printable(&got.to_string(), DETAIL_BYTES_MAX),
        }
    }

    /// The stable name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whose doing.
    #[must_use]
    pub fn blame(&self) -> Blame {
        self.blame
    }

    /// What would have been accepted.
    #[must_use]
    pub fn expected(&self) -> &str {
        &self.expected
    }

    /// What came.
    #[must_use]
    pub fn got(&self) -> &str {
        &self.got
    }

    /// True when the text is as [`Reason::new`] makes it; a log may hold anything.
    fn is_bounded(&self) -> bool {
        let fits = |text: &str, most: usize| {
            text.len() <= most && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        };
        !self.name.is_empty()
            && fits(&self.name, REASON_BYTES_MAX)
            && fits(&self.expected, DETAIL_BYTES_MAX)
            && fits(&self.got, DETAIL_BYTES_MAX)
    }
}

impl Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}, got {}", self.name, self.expected, self.got)
    }
}

/// A rule of the market refused an authentic receipt: nobody is blamed.
impl From<&Refusal> for Reason {
    fn from(refusal: &Refusal) -> Self {
        Reason::new(refusal.name, Blame::Nobody, &refusal.expected, &refusal.got)
    }
}

fn printable(text: &str, most: usize) -> String {
    text.chars().map(|c| if (' '..='~').contains(&c) { c } else { '?' }).take(most).collect()
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The work was done; this many units are paid.
    Accepted {
        /// Units counted, equal to those claimed.
        units: u64,
    },
    /// Nothing is paid.
    Refused(Reason),
}

/// What a service is given to check. The receipt is authentic and its evidence is the one it names.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The job's id.
    pub job_id: &'a Hash32,
    /// The job, as the buyer signed it.
    pub job: &'a Job,
    /// The receipt, both signatures verified.
    pub receipt: &'a SignedReceipt,
    /// The receipt's digest.
    pub digest: &'a Hash32,
    /// What the evidence must be bound to.
    pub context: &'a Hash32,
    /// Bytes with `H(evidence)` as in the receipt, at most [`EVIDENCE_BYTES_MAX`].
    pub evidence: &'a [u8],
}

/// A service's way of checking. Pure: the same case gives the same answer anywhere, at any time.
pub trait Check {
    /// The units of work that the evidence shows, or why it shows none.
    ///
    /// # Errors
    /// A [`Reason`] with the service's own stable name.
    fn check(&self, case: &Case<'_>) -> Result<u64, Reason>;
}

/// A checker's signed finding about one receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    checker: Address,
    receipt: Hash32,
    outcome: Outcome,
    signature: AccountSignature,
}

impl Verdict {
    /// Who checked.
    #[must_use]
    pub fn checker(&self) -> &Address {
        &self.checker
    }

    /// Digest of the receipt.
    #[must_use]
    pub fn receipt(&self) -> &Hash32 {
        &self.receipt
    }

    /// What was found.
    #[must_use]
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// Verifies the checker's signature.
    ///
    /// # Errors
    /// `verdict.signature`, `verdict.reason` when a reason is not bounded text.
    pub fn verify(&self, domain: &Domain) -> Result<(), Refusal> {
        let (digest, signature, checker) = self.claim(domain)?;
        signature
            .verify(&digest, &checker)
            .map_err(|refusal| Refusal::new("verdict.signature", refusal.expected, refusal.got))
    }

    /// What its signature says: that the checker signed the digest.
    pub(crate) fn claim(&self, domain: &Domain) -> Result<AccountClaim, Refusal> {
        if let Outcome::Refused(reason) = &self.outcome
            && !reason.is_bounded()
        {
            return Err(Refusal::new("verdict.reason", "a name and bounded printable text", "another"));
        }
        let digest = verdict_digest(domain, &self.checker, &self.receipt, &self.outcome);
        Ok((digest, self.signature, self.checker))
    }
}

/// `Verdict(address checker,bytes32 receipt,bool accepted,uint64 units,string name,uint8 blame,string
/// expected,string got)`.
fn verdict_digest(domain: &Domain, checker: &Address, receipt: &Hash32, outcome: &Outcome) -> Hash32 {
    let words = struct_words(
        "Verdict(address checker,bytes32 receipt,bool accepted,uint64 units,string name,uint8 blame,string expected,string got)",
    )
    .address(&checker.0)
    .hash(receipt);
    let words = match outcome {
        Outcome::Accepted { units } => {
            let none = keccak(b"");
            words.uint(1).uint(*units).hash(&none).uint(0).hash(&none).hash(&none)
        }
        Outcome::Refused(reason) => words
            .uint(0)
            .uint(0)
            .hash(&keccak(reason.name.as_bytes()))
            .uint(reason.blame as u64)
            .hash(&keccak(reason.expected.as_bytes()))
            .hash(&keccak(reason.got.as_bytes())),
    };
    domain.digest(&words.keccak())
}

/// Examines a receipt and its evidence without signing: what [`check`] signs, and what an auditor compares
/// with a verdict.
///
/// # Errors
/// What [`SignedReceipt::verify`] refuses, and `receipt.wrong-job`: such a receipt is no receipt of this job,
/// and gets no verdict.
pub fn examine(
    domain: &Domain,
    job: &Job,
    receipt: &SignedReceipt,
    evidence: &[u8],
    service: &dyn Check,
) -> Result<Outcome, Refusal> {
    verify(domain, job, receipt)?;
    let digest = receipt.receipt.digest(domain);
    Ok(examine_delivered(domain, job, (&digest, receipt), evidence, service))
}

fn verify(domain: &Domain, job: &Job, receipt: &SignedReceipt) -> Result<(), Refusal> {
    receipt.verify(domain)?;
    let id = job.digest(domain);
    require(receipt.receipt.job == id, "receipt.wrong-job", id, receipt.receipt.job)
}

/// As [`examine`], of a receipt that a state took in, and the job that it has by the receipt's name: signatures were verified, and
/// names computed, then.
#[must_use]
pub fn examine_delivered(
    domain: &Domain,
    job: &Job,
    (digest, receipt): (&Hash32, &SignedReceipt),
    evidence: &[u8],
    service: &dyn Check,
) -> Outcome {
    let fields = &receipt.receipt;
    let refused = |name, expected: &dyn Display, got: &dyn Display| {
        Outcome::Refused(Reason::new(name, Blame::Node, expected, got))
    };
    if evidence.len() > EVIDENCE_BYTES_MAX {
        return refused("receipt.evidence-too-long", &EVIDENCE_BYTES_MAX, &evidence.len());
    }
    let hash = keccak(evidence);
    if hash != fields.evidence {
        return refused("receipt.wrong-evidence", &fields.evidence, &hash);
    }
    let context = fields.context(domain);
    let case = Case { job_id: &fields.job, job, receipt, digest, context: &context, evidence };
    match service.check(&case) {
        Err(reason) => Outcome::Refused(reason),
        Ok(units) if units == 0 || units != fields.units => {
            refused("receipt.wrong-units", &units, &fields.units)
        }
        Ok(units) => Outcome::Accepted { units },
    }
}

/// Checks a receipt and its evidence and signs the finding. With [`check_delivered`] the only maker of a [`Verdict`].
///
/// # Errors
/// As [`examine`].
pub fn check(
    domain: &Domain,
    job: &Job,
    receipt: &SignedReceipt,
    evidence: &[u8],
    service: &dyn Check,
    checker: &AccountSecret,
) -> Result<Verdict, Refusal> {
    verify(domain, job, receipt)?;
    let digest = receipt.receipt.digest(domain);
    Ok(check_delivered(domain, job, (&digest, receipt), evidence, service, checker))
}

/// As [`check`], of a receipt that a state took in: see [`examine_delivered`].
#[must_use]
pub fn check_delivered(
    domain: &Domain,
    job: &Job,
    (digest, receipt): (&Hash32, &SignedReceipt),
    evidence: &[u8],
    service: &dyn Check,
    checker: &AccountSecret,
) -> Verdict {
    let outcome = examine_delivered(domain, job, (digest, receipt), evidence, service);
    let receipt = *digest;
    let address = checker.address();
    let signature = checker.sign(&verdict_digest(domain, &address, &receipt, &outcome));
    Verdict { checker: address, receipt, outcome, signature }
}
