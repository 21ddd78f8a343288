//! Refusals: every check has a stable name.

use alloc::string::{String, ToString};
use core::fmt::Display;
use thiserror::Error;

/// Why a proof or a statement was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{check}: expected {expected}, got {got}")]
pub struct Reject {
    /// Stable name of the check.
    pub check: &'static str,
    /// What would have passed.
    pub expected: String,
    /// What came.
    pub got: String,
}

impl Reject {
    /// A refusal by the named check.
    pub fn new(check: &'static str, expected: impl Display, got: impl Display) -> Self {
        Self { check, expected: expected.to_string(), got: got.to_string() }
    }
}
