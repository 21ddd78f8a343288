//! The one public input of a wrapped proof about a receipt (docs/spec/market.md, "Statement"), as contracts compute it.

use crate::hash::Hash32;
use crate::receipt::output_bytes;
use sha2::{Digest, Sha256};

/// `SHA-256(model 32 || context 32 || u32 1 || input 32 || u32 n || public elements, 4 n bytes || u32 output words || words)`, big-endian, its
/// three top bits cleared: below 2^253, and so below the order of BN254's groups.
///
/// `context` is [`crate::Receipt::context`], `input` the commitment to the private input, `public` the row as the feed has it: whole groups
/// of four bytes.
///
/// Panics: for 2^32 words and more, which no memory of a contract holds.
#[must_use]
pub fn public_input(
    model: &Hash32,
    context: &Hash32,
    input: &Hash32,
    public: &[u8],
    output_words: &[i32],
) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(model.0);
    hasher.update(context.0);
    hasher.update(1u32.to_be_bytes());
    hasher.update(input.0);
    for bytes in [public, &output_bytes(output_words)] {
        hasher.update(u32::try_from(bytes.len() / 4).expect("fewer words than addresses").to_be_bytes());
        hasher.update(bytes);
    }
    let mut digest: [u8; 32] = hasher.finalize().into();
    digest[0] &= 0x1f;
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_those_of_the_vectors() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/groth16.json");
        let vectors: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(path).expect("committed")).expect("JSON");
        let statements = vectors["statements"].as_array().expect("a list");
        assert!(statements.len() >= 5, "{}", statements.len());
        for case in statements {
            let hash = |name: &str| case[name].as_str().expect("text").parse::<Hash32>().expect("a hash");
            let bytes = |name: &str| {
                let digits = case[name].as_str().and_then(|text| text.strip_prefix("0x")).expect("0x text");
                hex::decode(digits).expect("hexadecimal")
            };
            let (public, output) = (bytes("public_words"), bytes("output"));
            let output: Vec<i32> =
                output.as_chunks::<4>().0.iter().map(|word| i32::from_be_bytes(*word)).collect();
            let got = public_input(&hash("model"), &hash("context"), &hash("input"), &public, &output);
            assert_eq!(Hash32(got), hash("public_input"));
        }
    }
}
