//! Where an account is paid on a chain whose addresses are not Ethereum's: the account names an address there, signed.
//!
//! Accounts are Ethereum addresses everywhere, in leaves and receipts. A contract on another chain pays to the newest payee that the account
//! named for that very contract (the domain); the nonce keeps an older order from coming back.

use crate::domain::struct_words;
use crate::hash::{Hash32, keccak};
use crate::key::Address;
use crate::order::Order;
use serde::{Deserialize, Serialize};

/// The EIP-712 type string. `payee` is hashed.
pub const PAYEE_TYPE: &str = "Payee(address account,bytes payee,uint64 nonce)";

/// What the account signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payee {
    /// The account of the leaves.
    pub account: Address,
    /// Bytes of an address of the chain: 20 or 32 on Cosmos chains, 32 on Solana.
    #[serde(with = "hex_text")]
    pub payee: Vec<u8>,
    /// Above that of the order before.
    pub nonce: u64,
}

impl Order for Payee {
    fn signer(&self) -> Address {
        self.account
    }

    fn struct_hash(&self) -> Hash32 {
        struct_words(PAYEE_TYPE).address(&self.account.0).hash(&keccak(&self.payee)).uint(self.nonce).keccak()
    }
}

/// Bytes as `0x` text.
mod hex_text {
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("0x{}", hex::encode(bytes)))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        let digits = text.strip_prefix("0x").and_then(|digits| hex::decode(digits).ok());
        digits.ok_or_else(|| serde::de::Error::custom("0x and hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Domain;
    use crate::key::AccountSecret;
    use crate::order::Signed;

    #[test]
    fn a_payee_of_another_contract_or_nonce_or_address_is_not_signed() {
        let secret = AccountSecret::from_bytes([3; 32]).expect("a secret");
        let domain = Domain::of_contract("cosmos:juno-1", &[1; 32]);
        let order = Payee { account: secret.address(), payee: vec![5; 20], nonce: 1 };
        let signed = Signed::new(order, &domain, &secret).expect("its own");
        assert!(signed.verify(&domain).is_ok());
        assert!(signed.verify(&Domain::of_contract("cosmos:juno-1", &[2; 32])).is_err());
        let lie = |change: fn(&mut Payee)| {
            let mut lie = signed.clone();
            change(&mut lie.order);
            lie.verify(&domain).expect_err("changed").name
        };
        assert_eq!(lie(|order| order.payee[0] ^= 1), "order.signature");
        assert_eq!(lie(|order| order.payee.push(0)), "order.signature");
        assert_eq!(lie(|order| order.nonce = 2), "order.signature");
    }
}
