//! Client-side encryption: what leaves the client is XChaCha20-Poly1305 under a key that stays there
//! (draft-irtf-cfrg-xchacha-03; RFC 8439). Its 24-byte nonces may be drawn at random.
//!
//! Bytes of a sealed object: `0x01 || nonce 24 || ciphertext || tag 16`. The associated data is
//! `proofmesh/object/v1`.
//!
//! Refuses: `storage.object-size`, `storage.sealed-form`, `storage.wrong-key`.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use proofmesh_market::Refusal;
use std::fmt;
use zeroize::Zeroizing;

/// Largest object before sealing: 1 GiB. Larger ones are stored in parts.
pub const OBJECT_BYTES_MAX: usize = 1 << 30;
/// Bytes of a nonce.
pub const NONCE_BYTES: usize = 24;
/// What sealing adds.
pub const SEAL_BYTES: usize = 1 + NONCE_BYTES + 16;
const VERSION: u8 = 1;
const ABOUT: &[u8] = b"proofmesh/object/v1";

/// The client's key of its objects. Wiped on drop; not printed.
#[derive(Clone)]
pub struct ObjectKey(Zeroizing<[u8; 32]>);

impl ObjectKey {
    /// The key with these bytes, drawn by the client.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        ObjectKey(Zeroizing::new(bytes))
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&(*self.0).into())
    }

    /// Seals an object. A nonce must never be used twice with one key: draw it.
    ///
    /// # Errors
    /// `storage.object-size`.
    pub fn seal(&self, nonce: [u8; NONCE_BYTES], object: &[u8]) -> Result<Vec<u8>, Refusal> {
        let refused = || Refusal::new("storage.object-size", OBJECT_BYTES_MAX, object.len());
        if object.len() > OBJECT_BYTES_MAX {
            return Err(refused());
        }
        let payload = Payload { msg: object, aad: ABOUT };
        let body = self.cipher().encrypt(&XNonce::from(nonce), payload).map_err(|_| refused())?;
        Ok([&[VERSION][..], &nonce, &body].concat())
    }

    /// Opens a sealed object.
    ///
    /// # Errors
    /// `storage.sealed-form`; `storage.wrong-key`, also when a byte was changed.
    pub fn open(&self, sealed: &[u8]) -> Result<Vec<u8>, Refusal> {
        let form = || Refusal::new("storage.sealed-form", "a sealed object, version 1", sealed.len());
        let bounded = (SEAL_BYTES..=OBJECT_BYTES_MAX + SEAL_BYTES).contains(&sealed.len());
        let rest = sealed.strip_prefix(&[VERSION]).filter(|_| bounded).ok_or_else(form)?;
        let (nonce, body) = rest.split_first_chunk::<NONCE_BYTES>().ok_or_else(form)?;
        let payload = Payload { msg: body, aad: ABOUT };
        self.cipher()
            .decrypt(&XNonce::from(*nonce), payload)
            .map_err(|_| Refusal::new("storage.wrong-key", "the key and the bytes it sealed", "another"))
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ObjectKey(..)")
    }
}
