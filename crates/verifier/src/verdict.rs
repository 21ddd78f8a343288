//! The verdict: whether a proof shows what its statement says, and which stages of the check passed.
//!
//! [`statement::verify`] runs its stages one after the other and stops at the first that fails. So the name of the check that refused tells
//! which stages passed before it, and a proof that holds passed all of them. A name that two stages share counts for the first of the two
//! that fails, and a name that no stage knows for the very first: never is a stage said to have passed that did not run.

use proofmesh_graph::program::Program;
use proofmesh_graph::statement;
use proofmesh_proof::reject::Reject;
use serde::Serialize;

use crate::document::{StatementDoc, read_program};

/// A stage of the check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Stable name.
    pub name: &'static str,
    /// What has been seen when it passes, for people.
    pub about: &'static str,
}

/// All stages, in the order in which they run.
pub const CHECKS: [Check; 8] = [
    Check { name: "document", about: "The statement is about this very model." },
    Check { name: "encoding", about: "The proof file is well-formed, in its one canonical spelling." },
    Check { name: "statement", about: "The statement fits the model: its inputs, outputs and size." },
    Check { name: "match", about: "The proof speaks of this model, these inputs, outputs and context." },
    Check {
        name: "lookups",
        about: "Every range and table look-up comes down to equations on the hidden values.",
    },
    Check { name: "claims", about: "So does every sum of products that the model computes." },
    Check { name: "opening", about: "All these equations together come out right." },
    Check { name: "commitment", about: "The hidden values in them are the committed ones." },
];

/// Position in [`CHECKS`] of the stage that a check belongs to. `fits`: whether the statement alone is in order.
fn stage(check: &str, fits: bool) -> usize {
    let name = match check.split_once('.') {
        _ if check == "commitment.opening" => "commitment",
        Some(("opening", _)) => "opening",
        Some(("claims", _)) => "claims",
        Some(("logup", _)) => "lookups",
        Some(("statement", _)) if fits => "match",
        Some(("statement" | "system" | "commitment" | "parts", _)) => "statement",
        Some(("proof", _)) => "encoding",
        _ => "document",
    };
    CHECKS.iter().position(|check| check.name == name).expect("every name above is in the table")
}

/// The verdict as a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VerdictDoc {
    /// Whether the proof shows what the statement says.
    pub ok: bool,
    /// The stages that passed, in order.
    pub checks: Vec<Check>,
    /// Why it does not.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<RefusalDoc>,
}

/// Why a proof is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusalDoc {
    /// Name in [`CHECKS`] of the stage that failed.
    pub stage: &'static str,
    /// Stable name of the check that failed.
    pub check: &'static str,
    /// What would have passed.
    pub expected: String,
    /// What came.
    pub got: String,
}

impl VerdictDoc {
    fn holds() -> Self {
        Self { ok: true, checks: CHECKS.to_vec(), refusal: None }
    }

    fn refused(stage: usize, Reject { check, expected, got }: Reject) -> Self {
        let refusal = RefusalDoc { stage: CHECKS[stage].name, check, expected, got };
        Self { ok: false, checks: CHECKS[..stage].to_vec(), refusal: Some(refusal) }
    }
}

/// Checks a proof file against a model file and a statement's document.
pub fn verify(model: &[u8], document: &[u8], proof: &[u8]) -> VerdictDoc {
    match read_program(model) {
        Ok(program) => verify_program(&program, document, proof),
        Err(reject) => VerdictDoc::refused(0, reject),
    }
}

/// Checks a proof file against a program and a statement's document.
pub fn verify_program(program: &Program, document: &[u8], proof: &[u8]) -> VerdictDoc {
    let statement = match StatementDoc::read(document).and_then(|document| document.about(program)) {
        Ok(statement) => statement,
        Err(reject) => return VerdictDoc::refused(0, reject),
    };
    match statement::verify(&statement, proof) {
        Ok(()) => VerdictDoc::holds(),
        Err(reject) => VerdictDoc::refused(stage(reject.check, statement.check().is_ok()), reject),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_that_the_verifier_can_refuse_with_has_a_stage() {
        let mut names = std::collections::BTreeSet::new();
        for folder in ["proof", "graph"] {
            let mut folders =
                vec![std::path::PathBuf::from(format!("{}/../{folder}/src", env!("CARGO_MANIFEST_DIR")))];
            while let Some(folder) = folders.pop() {
                for entry in std::fs::read_dir(folder).expect("a source folder") {
                    let path = entry.expect("an entry").path();
                    if path.is_dir() {
                        folders.push(path);
                    } else {
                        let text = std::fs::read_to_string(path).expect("a source");
                        names.extend(text.split('"').filter(|part| is_name(part)).map(str::to_owned));
                    }
                }
            }
        }
        assert!(names.contains("opening.relation") && names.contains("logup.root"), "{names:?}");
        for name in names {
            assert_ne!(stage(&name, true), 0, "{name} has no stage: give it one in `stage`");
        }
    }

    /// True for the text of a check's name.
    fn is_name(text: &str) -> bool {
        let plain = |part: &str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
        };
        text.split_once('.').is_some_and(|(family, check)| plain(family) && plain(check))
    }
}
