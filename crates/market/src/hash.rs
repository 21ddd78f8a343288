//! Keccak-256, and the 32-byte words that Solidity's `abi.encode` makes.
//!
//! `H` in docs/spec/market.md is [`keccak`]. Every hash that a contract recomputes is built with [`Words`],
//! so that there is one place where a value becomes a word: unsigned integers big-endian and left-padded,
//! addresses left-padded, hashes as they are.
//!
//! Refuses: text of a hash that is not `0x` and 64 hexadecimal digits (`hash.text`).

use crate::refusal::Refusal;
use sha3::{Digest, Keccak256};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// A fixed-length byte string with `0x` text: the text form in JSON, the bytes in a binary log.
macro_rules! fixed_bytes {
    ($(#[$doc:meta])* $name:ident, $len:literal, $refusal:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, "0x{}", hex::encode(self.0))
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                core::fmt::Display::fmt(self, f)
            }
        }

        impl core::str::FromStr for $name {
            type Err = $crate::refusal::Refusal;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let refused = || {
                    $crate::refusal::Refusal::new(
                        $refusal,
                        format_args!("0x and {} hexadecimal digits", $len * 2),
                        format_args!("{} characters", text.chars().count()),
                    )
                };
                let digits = text.strip_prefix("0x").ok_or_else(refused)?;
                let mut bytes = [0u8; $len];
                hex::decode_to_slice(digits, &mut bytes).map_err(|_| refused())?;
                Ok(Self(bytes))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                if to.is_human_readable() {
                    return to.collect_str(self);
                }
                use serde::ser::SerializeTuple;
                let mut tuple = to.serialize_tuple($len)?;
                for byte in &self.0 {
                    tuple.serialize_element(byte)?;
                }
                tuple.end()
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                if from.is_human_readable() {
                    let text = <String as serde::Deserialize>::deserialize(from)?;
                    return text.parse().map_err(serde::de::Error::custom);
                }
                from.deserialize_tuple($len, $crate::hash::FixedBytes::<$len>).map(Self)
            }
        }
    };
}
pub(crate) use fixed_bytes;

/// Reads exactly `N` bytes from a serde sequence.
pub(crate) struct FixedBytes<const N: usize>;

impl<'de, const N: usize> serde::de::Visitor<'de> for FixedBytes<N> {
    type Value = [u8; N];

    fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{N} bytes")
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<[u8; N], A::Error> {
        let mut bytes = [0u8; N];
        for (count, byte) in bytes.iter_mut().enumerate() {
            *byte = seq.next_element()?.ok_or_else(|| serde::de::Error::invalid_length(count, &self))?;
        }
        Ok(bytes)
    }
}

fixed_bytes!(
    /// A Keccak-256 hash, or another 32-byte name (a model id, a salted input commitment).
    Hash32, 32, "hash.text"
);

impl Hash32 {
    /// Thirty-two zero bytes: "none before", "no leaves".
    pub const ZERO: Hash32 = Hash32([0; 32]);
}

impl Default for Hash32 {
    fn default() -> Self {
        Hash32::ZERO
    }
}

/// `H(bytes)`: Keccak-256 as in Solidity.
#[must_use]
pub fn keccak(bytes: &[u8]) -> Hash32 {
    let mut hasher = Keccak256::new();
    hasher.update(bytes);
    Hash32(hasher.finalize().into())
}

/// `H(text)` of a constant: every digest begins with the hash of a type string or a tag, so each thread remembers them.
#[must_use]
pub fn tag(text: &'static str) -> Hash32 {
    thread_local! {
        static KNOWN: RefCell<BTreeMap<&'static str, Hash32>> = const { RefCell::new(BTreeMap::new()) };
    }
    KNOWN.with_borrow_mut(|known| *known.entry(text).or_insert_with(|| keccak(text.as_bytes())))
}

/// `H(first || second)`.
#[must_use]
pub fn keccak_pair(first: &Hash32, second: &Hash32) -> Hash32 {
    let mut hasher = Keccak256::new();
    hasher.update(first.0);
    hasher.update(second.0);
    Hash32(hasher.finalize().into())
}

/// The words of one `abi.encode` of static values, in order.
#[derive(Clone, Debug, Default)]
pub struct Words(Vec<u8>);

impl Words {
    /// No words yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a `bytes32`.
    #[must_use]
    pub fn hash(mut self, hash: &Hash32) -> Self {
        self.0.extend_from_slice(&hash.0);
        self
    }

    /// Appends an unsigned integer of any width up to 64 bits.
    #[must_use]
    pub fn uint(mut self, value: u64) -> Self {
        self.0.extend_from_slice(&[0; 24]);
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// Appends an `address`.
    #[must_use]
    pub fn address(mut self, address: &[u8; 20]) -> Self {
        self.0.extend_from_slice(&[0; 12]);
        self.0.extend_from_slice(address);
        self
    }

    /// `H` of the words so far.
    #[must_use]
    pub fn keccak(&self) -> Hash32 {
        keccak(&self.0)
    }
}

/// Parses the `0x` text of a hash.
///
/// # Errors
/// `hash.text` when the text is not `0x` and 64 hexadecimal digits.
pub fn parse(text: &str) -> Result<Hash32, Refusal> {
    text.parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keccak_is_the_one_of_ethereum() {
        // The empty code hash of every account without code.
        let empty = "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470";
        assert_eq!(keccak(b"").to_string(), empty);
        assert_eq!(parse(empty), Ok(keccak(b"")));
    }

    #[test]
    fn text_of_another_length_is_refused() {
        for text in
            ["", "0x", "0x00", "c5d2", &format!("0x{}", "g".repeat(64)), &format!("0x{}", "a".repeat(65))]
        {
            assert_eq!(parse(text).expect_err("not a hash").name, "hash.text", "{text}");
        }
    }

    #[test]
    fn words_are_padded_on_the_left() {
        let words = Words::new().uint(1).address(&[0xaa; 20]).hash(&Hash32([0xbb; 32]));
        assert_eq!(words.0.len(), 96);
        assert_eq!(words.0[31], 1);
        assert_eq!(&words.0[32..44], &[0; 12]);
        assert_eq!(words.0[44], 0xaa);
    }
}
