//! The document that stands for a proof where a batch was proven in parts: how many inputs each part has.
//!
//! The parts' proofs lie beside it, `FILE.1`, `FILE.2` and so on; the statement about all inputs is a document like any other. What holds
//! the parts together is in their proofs ([`proofmesh_graph::parts`]): nothing in this document needs to be believed.
//!
//! Refuses: `parts.manifest`, and whatever [`Cut`] does.

use proofmesh_graph::parts::{Cut, MAX_PARTS};
use proofmesh_proof::reject::Reject;
use serde::{Deserialize, Serialize};

/// Longest manifest that is looked at.
pub const MAX_MANIFEST_BYTES: usize = 16 * MAX_PARTS;

/// Where a batch was cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Inputs of each part, in order.
    pub parts: Vec<usize>,
}

impl Manifest {
    /// Whether a file is a manifest rather than a proof, whose first byte is its version.
    pub fn is(file: &[u8]) -> bool {
        file.first() == Some(&b'{')
    }

    /// Reads a manifest.
    ///
    /// Errors: `parts.manifest`: too long, not JSON, a field unknown or malformed; `parts.size`.
    pub fn read(json: &[u8]) -> Result<Cut, Reject> {
        let refused = |got: &dyn core::fmt::Display| {
            Reject::new("parts.manifest", "a manifest, {\"parts\":[64,64]}", got)
        };
        if json.len() > MAX_MANIFEST_BYTES {
            return Err(refused(&format_args!("{} bytes", json.len())));
        }
        let manifest: Self = serde_json::from_slice(json).map_err(|error| refused(&error))?;
        Cut::new(&manifest.parts)
    }

    /// The manifest of a cut, as it is written.
    pub fn of(cut: &Cut) -> String {
        let sizes: Vec<String> = (0..cut.parts()).map(|part| cut.range(part).len().to_string()).collect();
        format!("{{\"parts\":[{}]}}\n", sizes.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_are_read_as_they_are_written_and_others_are_refused() {
        let cut = Cut::new(&[4, 4, 1]).expect("a cut");
        let text = Manifest::of(&cut);
        assert!(Manifest::is(text.as_bytes()) && !Manifest::is(&[2, 0]) && !Manifest::is(&[]));
        assert_eq!(Manifest::read(text.as_bytes()), Ok(cut));
        let check = |text: &str| Manifest::read(text.as_bytes()).expect_err("refused").check;
        for malformed in
            ["", "{", "[4]", "{\"parts\":[-1]}", "{\"parts\":[1],\"files\":[\"x\"]}", "{\"parts\":[1e30]}"]
        {
            assert_eq!(check(malformed), "parts.manifest", "{malformed}");
        }
        for wrong in ["{\"parts\":[]}", "{\"parts\":[0]}", "{\"parts\":[18446744073709551615,2]}"] {
            assert_eq!(check(wrong), "parts.size", "{wrong}");
        }
        let long = format!("{{\"parts\":[{}1]}}", "1,".repeat(MAX_MANIFEST_BYTES / 2));
        assert_eq!(check(&long), "parts.manifest");
    }
}
