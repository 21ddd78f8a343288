//! Why a call is refused: a market's refusal, a service's reason, or the machine's trouble. All print their stable name first.

use cosmwasm_std::StdError;
use proofmesh_market::{Reason, Refusal};
use std::fmt::{self, Display};

/// Why a call is refused.
#[derive(Debug)]
pub enum Refused {
    /// A rule of the market or of this contract.
    Rule(Refusal),
    /// A service did not accept the evidence.
    Evidence(Reason),
    /// Storage, addresses or JSON.
    Machine(StdError),
}

/// With [`Refused`].
pub type Result<T> = core::result::Result<T, Refused>;

impl Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Rule(refusal) => refusal.fmt(f),
            Refused::Evidence(reason) => reason.fmt(f),
            Refused::Machine(error) => write!(f, "machine: {error}"),
        }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Refused::Rule(refusal)
    }
}

impl From<Reason> for Refused {
    fn from(reason: Reason) -> Self {
        Refused::Evidence(reason)
    }
}

impl From<StdError> for Refused {
    fn from(error: StdError) -> Self {
        Refused::Machine(error)
    }
}

/// Refuses with `name` unless `holds`.
pub fn require(holds: bool, name: &'static str, expected: impl Display, got: impl Display) -> Result<()> {
    if holds {
        Ok(())
    } else {
        Err(Refusal::new(name, expected, got).into())
    }
}

/// A refusal as an error.
pub fn refuse<T>(name: &'static str, expected: impl Display, got: impl Display) -> Result<T> {
    Err(Refusal::new(name, expected, got).into())
}
