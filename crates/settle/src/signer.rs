//! An account that signs: transactions for chains, digests for receipts.

use alloy::primitives::{Address, B256};
use alloy::signers::{SignerSync, local::PrivateKeySigner};

use crate::{Account, Hash, Result, SettleError};

/// A secp256k1 key. `Debug` shows the address only.
#[derive(Clone)]
pub struct Signer(pub(crate) PrivateKeySigner);

impl Signer {
    /// From 32 secret bytes.
    ///
    /// # Errors
    /// `settle.bad-input` if they are zero or not below the group order.
    pub fn from_bytes(secret: &[u8; 32]) -> Result<Self> {
        PrivateKeySigner::from_bytes(&B256::from(*secret))
            .map(Self)
            .map_err(|_| SettleError::bad("secret key", "not a secp256k1 scalar"))
    }

    /// The account's address.
    pub fn account(&self) -> Account {
        self.0.address().into_array()
    }

    /// Signs a 32-byte digest: `r || s || v`, v 27 or 28, low s, deterministic (RFC 6979).
    ///
    /// # Errors
    /// `settle.bad-input` if the key refuses to sign, which does not happen with a key made by `from_bytes`.
    pub fn sign_digest(&self, digest: &Hash) -> Result<[u8; 65]> {
        let s = self.0.sign_hash_sync(&B256::from(*digest)).map_err(|e| SettleError::bad("digest", e))?;
        Ok(s.as_bytes())
    }

    pub(crate) fn address(&self) -> Address {
        self.0.address()
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({})", self.0.address())
    }
}
