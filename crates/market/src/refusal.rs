//! A refusal: a stable name, what was expected, and what came.
//!
//! Every input of this crate is hostile until it has passed. A refused event leaves the state as it was; a
//! refused encoding is never partly read. Names are part of the interface: programs, pages and tests match on
//! them, and docs/spec/market.md lists them.

use std::fmt::{self, Display};

/// Why something was refused. `name` is stable; the other two are for people.
#[derive(Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Stable name, `area.what`: `receipt.replayed`, `job.unknown`.
    pub name: &'static str,
    /// What would have been accepted.
    pub expected: String,
    /// What came.
    pub got: String,
}

impl Refusal {
    /// A refusal with its name, what was expected and what came.
    #[must_use]
    pub fn new(name: &'static str, expected: impl Display, got: impl Display) -> Self {
        Refusal { name, expected: expected.to_string(), got: got.to_string() }
    }
}

impl Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}, got {}", self.name, self.expected, self.got)
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

impl std::error::Error for Refusal {}

/// Refuses with `name` unless `holds`.
pub(crate) fn require(
    holds: bool,
    name: &'static str,
    expected: impl Display,
    got: impl Display,
) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err(Refusal::new(name, expected, got)) }
}
