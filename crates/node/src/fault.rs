//! What goes wrong, in three kinds that are exit codes: refused (1), misuse (2), trouble (3).
//!
//! A refusal is an answer: a rule said no, by a stable name. Misuse is the caller's. Trouble is the world's
//! (disk, network, a damaged file); it says what to do where there is something to do.

use proofmesh_market::{Reason, Refusal};
use proofmesh_settle::SettleError;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display};
use std::path::Path;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Fault>;

/// Which exit code, and what a caller can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A rule said no.
    Refused,
    /// The call makes no sense.
    Misuse,
    /// The world failed; the same call may work later.
    Trouble,
}

/// Why there is no result. The JSON form is what `--json` prints on stderr and what the API answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Kind.
    pub kind: Kind,
    /// Stable name, `area.what`.
    pub name: String,
    /// What would have been accepted, or what to do.
    pub expected: String,
    /// What came, or what happened.
    pub got: String,
}

impl Fault {
    /// A fault of any kind.
    pub fn new(kind: Kind, name: impl Display, expected: impl Display, got: impl Display) -> Self {
        Fault { kind, name: name.to_string(), expected: expected.to_string(), got: got.to_string() }
    }

    /// A rule said no.
    pub fn refused(name: impl Display, expected: impl Display, got: impl Display) -> Self {
        Self::new(Kind::Refused, name, expected, got)
    }

    /// The call makes no sense.
    pub fn misuse(name: impl Display, expected: impl Display, got: impl Display) -> Self {
        Self::new(Kind::Misuse, name, expected, got)
    }

    /// The world failed.
    pub fn trouble(name: impl Display, expected: impl Display, got: impl Display) -> Self {
        Self::new(Kind::Trouble, name, expected, got)
    }

    /// A file that could not be read or written: `file.full` when there was no room for it, else `file.io`.
    pub fn file(path: &Path, error: &std::io::Error) -> Self {
        use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let path = path.display();
        match error.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => {
                let expected =
                    format!("room on the disk of {path}; what waits goes on by itself when there is some");
                Self::trouble("file.full", expected, error)
            }
            _ => Self::trouble("file.io", format_args!("{path} to be usable"), error),
        }
    }

    /// Exit code.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::Refused => 1,
            Kind::Misuse => 2,
            Kind::Trouble => 3,
        }
    }

    /// True when it is the refusal or trouble of this name.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.name == name
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}, got {}", self.name, self.expected, self.got)
    }
}

impl std::error::Error for Fault {}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::refused(refusal.name, refusal.expected, refusal.got)
    }
}

impl From<&Reason> for Fault {
    fn from(reason: &Reason) -> Self {
        Self::refused(reason.name(), reason.expected(), reason.got())
    }
}

impl From<proofmesh_proof::reject::Reject> for Fault {
    fn from(reject: proofmesh_proof::reject::Reject) -> Self {
        Self::refused(format_args!("proof.{}", reject.check), reject.expected, reject.got)
    }
}

impl From<proofmesh_graph::program::ProgramError> for Fault {
    fn from(error: proofmesh_graph::program::ProgramError) -> Self {
        Self::refused("program.refused", "an input and a program that fit", error)
    }
}

impl From<proofmesh_model::ImportError> for Fault {
    fn from(error: proofmesh_model::ImportError) -> Self {
        Self::refused(format_args!("model.{}", error.name()), "a model that can be proven", error)
    }
}

impl From<SettleError> for Fault {
    fn from(error: SettleError) -> Self {
        match &error {
            SettleError::Reverted { contract, name, detail } => {
                Self::refused(format_args!("chain.{name}"), format_args!("{contract} to accept"), detail)
            }
            SettleError::Conflict { what, expected, found } => {
                Self::refused("settle.conflict", format_args!("{what}: {expected}"), found)
            }
            _ => Self::trouble(error.code(), "the chain to answer", &error),
        }
    }
}
