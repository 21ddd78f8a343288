//! The verifier as other languages meet it: a model file, a statement's document and a proof in; a verdict with names out.
//!
//! [`document`] reads what is published, [`verdict`] checks and says which stages passed, [`mod@inspect`] describes a proof. What is sound is
//! decided by [`proofmesh_graph::statement::verify`] alone. The bindings (`bindings/wasm`, `bindings/python`) add only their language's calls.

pub mod document;
pub mod inspect;
pub mod manifest;
pub mod verdict;

pub use document::{StatementDoc, read_program};
pub use inspect::{InspectDoc, Inspected, inspect};
pub use manifest::Manifest;
pub use verdict::{Check, VerdictDoc, verify, verify_program};

use serde::Serialize;

/// Version of this package, and of the statements and proof files that it reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VersionDoc {
    /// The package's.
    pub package: &'static str,
    /// The proof file's.
    pub proof: u8,
}

/// The versions.
pub fn version() -> VersionDoc {
    VersionDoc { package: env!("CARGO_PKG_VERSION"), proof: proofmesh_graph::statement::VERSION }
}
