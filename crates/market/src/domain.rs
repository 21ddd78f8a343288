//! The EIP-712 domain: one deployment on one chain. Nothing signed for one is good for another.
//!
//! `digest(struct) = H(0x1901 || domainSeparator || structHash)`, `structHash = H(typeHash || fields)`,
//! `typeHash = H(type string)`.

use crate::hash::{Hash32, Words, keccak};
use crate::key::Address;
use serde::{Deserialize, Serialize};

/// The type string of the domain.
pub const DOMAIN_TYPE: &str =
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)";
/// The domain's name.
pub const NAME: &str = "Proofmesh";
/// The domain's version.
pub const VERSION: &str = "1";

/// A deployment: the chain's id and its Settlement contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    /// The chain's EIP-155 id.
    pub chain_id: u64,
    /// The Settlement contract.
    pub settlement: Address,
}

impl Domain {
    /// `H(abi.encode(typeHash, H(name), H(version), chainId, verifyingContract))`.
    #[must_use]
    pub fn separator(&self) -> Hash32 {
        Words::new()
            .hash(&keccak(DOMAIN_TYPE.as_bytes()))
            .hash(&keccak(NAME.as_bytes()))
            .hash(&keccak(VERSION.as_bytes()))
            .uint(self.chain_id)
            .address(&self.settlement.0)
            .keccak()
    }

    /// `H(0x1901 || separator || struct_hash)`: what a key signs.
    #[must_use]
    pub fn digest(&self, struct_hash: &Hash32) -> Hash32 {
        let mut bytes = [0u8; 66];
        bytes[0] = 0x19;
        bytes[1] = 0x01;
        bytes[2..34].copy_from_slice(&self.separator().0);
        bytes[34..].copy_from_slice(&struct_hash.0);
        keccak(&bytes)
    }
}

/// The words of a struct, begun with the hash of its type string.
pub(crate) fn struct_words(type_string: &str) -> Words {
    Words::new().hash(&keccak(type_string.as_bytes()))
}
