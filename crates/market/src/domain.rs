//! The EIP-712 domain: one deployment on one chain. Nothing signed for one is good for another.
//!
//! `digest(struct) = H(0x1901 || domainSeparator || structHash)`, `structHash = H(typeHash || fields)`,
//! `typeHash = H(type string)`.

use crate::hash::{Hash32, Words, keccak, tag};
use crate::key::Address;
use serde::{Deserialize, Serialize};
use std::cell::Cell;

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
    /// The domain of a contract on a chain that is not Ethereum's kind, so that receipts keep one encoding everywhere: the chain's id is the
    /// first eight bytes of `H(chain)`, the settlement the last twenty of `H(H(chain) || contract)`.
    ///
    /// `chain` is the CAIP-2 id (`cosmos:juno-1`), `contract` the contract's bytes on that chain. Another contract with the same domain
    /// is a second preimage of 160 bits.
    #[must_use]
    pub fn of_contract(chain: &str, contract: &[u8]) -> Self {
        let chain = keccak(chain.as_bytes());
        let name = keccak(&[&chain.0, contract].concat());
        let mut domain = Domain { chain_id: 0, settlement: Address([0; 20]) };
        domain.chain_id = u64::from_be_bytes(chain.0[..8].try_into().expect("eight bytes"));
        domain.settlement.0.copy_from_slice(&name.0[12..]);
        domain
    }

    /// `H(abi.encode(typeHash, H(name), H(version), chainId, verifyingContract))`.
    #[must_use]
    pub fn separator(&self) -> Hash32 {
        thread_local! {
            /// Of the domain that was asked about last: a process seldom has two.
            static LAST: Cell<Option<(Domain, Hash32)>> = const { Cell::new(None) };
        }
        if let Some((domain, known)) = LAST.get()
            && domain == *self
        {
            return known;
        }
        let words = Words::new().hash(&tag(DOMAIN_TYPE)).hash(&tag(NAME)).hash(&tag(VERSION));
        let separator = words.uint(self.chain_id).address(&self.settlement.0).keccak();
        LAST.set(Some((*self, separator)));
        separator
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
pub(crate) fn struct_words(type_string: &'static str) -> Words {
    Words::new().hash(&tag(type_string))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contracts_and_chains_that_are_not_ethereums_have_domains_of_their_own() {
        let domain = Domain::of_contract("cosmos:juno-1", &[1; 32]);
        assert_eq!(domain, Domain::of_contract("cosmos:juno-1", &[1; 32]));
        let other_chain = Domain::of_contract("cosmos:juno-2", &[1; 32]);
        assert_ne!(domain.chain_id, other_chain.chain_id);
        assert_ne!(domain.settlement, other_chain.settlement);
        // The chain's name has a fixed length before the contract's: no byte can move from one to the other.
        assert_ne!(
            domain.settlement,
            Domain::of_contract("cosmos:juno-", &[&b"1"[..], &[1; 32]].concat()).settlement
        );
        assert_ne!(domain.settlement, Domain::of_contract("cosmos:juno-1", &[1; 31]).settlement);
    }
}
