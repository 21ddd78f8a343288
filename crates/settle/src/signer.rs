//! An account that sends transactions.

use alloy::primitives::{Address as EvmAddress, B256};
use alloy::signers::local::PrivateKeySigner;
use proofmesh_market::{AccountSecret, Address};

/// A secp256k1 key as the chain's library wants it. `Debug` shows the address only.
#[derive(Clone)]
pub struct Signer(pub(crate) PrivateKeySigner);

impl Signer {
    /// The signer of an account.
    pub fn new(secret: &AccountSecret) -> Self {
        let signer = PrivateKeySigner::from_bytes(&B256::from_slice(secret.to_bytes().as_slice()));
        Self(signer.expect("an AccountSecret is a scalar of secp256k1, which is all that is asked for"))
    }

    /// The account.
    pub fn account(&self) -> Address {
        Address(self.0.address().into_array())
    }

    pub(crate) fn address(&self) -> EvmAddress {
        self.0.address()
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({})", self.0.address())
    }
}
