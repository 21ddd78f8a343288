//! Graceful exit: a node that leaves hands its piece to another, and the other says so.
//!
//! Bytes, version 1, 145 bytes, big-endian: `0x01 || job 32 || piece commitment 32 || piece bytes u64 || from
//! 32 || to 32 || time u64`. `digest = H(H("proofmesh/handover/v1") || bytes)`; both devices sign. The one
//! that takes over signs only after it has the piece, so the document is worth its word that the piece exists
//! elsewhere; the buyer then posts the job anew for its device, whose first round shows it.
//!
//! Refuses: `storage.handover-form`, `storage.handover-self`, `storage.piece-differs`,
//! `storage.handover-from`, `storage.handover-to`, and `storage.piece-size`.

use super::merkle::Tree;
use crate::wire::{array, u64_at};
use proofmesh_market::{Device, DeviceSecret, DeviceSignature, Hash32, Refusal, keccak};

/// Bytes of a handover with both signatures.
pub const SIGNED_HANDOVER_BYTES: usize = HANDOVER_BYTES + 2 * 64;
const HANDOVER_BYTES: usize = 1 + 32 + 32 + 8 + 32 + 32 + 8;
const VERSION: u8 = 1;

/// Who gives which piece to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handover {
    /// The job that ends.
    pub job: Hash32,
    /// The commitment to the piece.
    pub piece: Hash32,
    /// Bytes of the piece.
    pub bytes: u64,
    /// Who leaves.
    pub from: Device,
    /// Who takes over.
    pub to: Device,
    /// Unix second.
    pub at_s: u64,
}

impl Handover {
    /// The canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&self.job.0);
        bytes.extend_from_slice(&self.piece.0);
        bytes.extend_from_slice(&self.bytes.to_be_bytes());
        bytes.extend_from_slice(&self.from.0);
        bytes.extend_from_slice(&self.to.0);
        bytes.extend_from_slice(&self.at_s.to_be_bytes());
        bytes
    }

    /// What both devices sign.
    #[must_use]
    pub fn digest(&self) -> Hash32 {
        keccak(&[&keccak(b"proofmesh/handover/v1").0[..], &self.encode()].concat())
    }

    /// The signature of the one that leaves.
    #[must_use]
    pub fn give(&self, secret: &DeviceSecret) -> DeviceSignature {
        secret.sign(&self.digest())
    }

    /// The one that takes over checks that it has the piece, and signs.
    ///
    /// # Errors
    /// The names in the head of this file.
    pub fn take(
        self,
        piece: &[u8],
        given: DeviceSignature,
        secret: &DeviceSecret,
    ) -> Result<SignedHandover, Refusal> {
        let found = Tree::new(piece)?.commitment();
        if found != self.piece || piece.len() as u64 != self.bytes {
            return Err(Refusal::new("storage.piece-differs", self.piece, found));
        }
        let signed = SignedHandover { handover: self, from: given, to: secret.sign(&self.digest()) };
        signed.verify()?;
        Ok(signed)
    }
}

/// A handover with both signatures; they are verified by [`SignedHandover::verify`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedHandover {
    /// What is signed.
    pub handover: Handover,
    /// The signature of the one that leaves.
    pub from: DeviceSignature,
    /// The signature of the one that takes over.
    pub to: DeviceSignature,
}

impl SignedHandover {
    /// Verifies both signatures.
    ///
    /// # Errors
    /// `storage.handover-self`, `storage.handover-from`, `storage.handover-to`.
    pub fn verify(&self) -> Result<(), Refusal> {
        let Handover { from, to, .. } = self.handover;
        if from == to {
            return Err(Refusal::new("storage.handover-self", "another device", to));
        }
        let digest = self.handover.digest();
        let named = |name| move |refusal: Refusal| Refusal::new(name, refusal.expected, refusal.got);
        from.verify(&digest, &self.from).map_err(named("storage.handover-from"))?;
        to.verify(&digest, &self.to).map_err(named("storage.handover-to"))
    }

    /// The canonical bytes: the handover, then both signatures.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        [&self.handover.encode()[..], &self.from.0, &self.to.0].concat()
    }

    /// Reads exactly the bytes that [`SignedHandover::encode`] makes.
    ///
    /// # Errors
    /// `storage.handover-form`.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        let form = || Refusal::new("storage.handover-form", "a signed handover, version 1", bytes.len());
        let rest = bytes.strip_prefix(&[VERSION]).filter(|_| bytes.len() == SIGNED_HANDOVER_BYTES);
        let rest = rest.ok_or_else(form)?;
        let handover = Handover {
            job: Hash32(array(&rest[..32])),
            piece: Hash32(array(&rest[32..64])),
            bytes: u64_at(rest, 64),
            from: Device(array(&rest[72..104])),
            to: Device(array(&rest[104..136])),
            at_s: u64_at(rest, 136),
        };
        let from = DeviceSignature(array(&rest[144..208]));
        Ok(SignedHandover { handover, from, to: DeviceSignature(array(&rest[208..])) })
    }
}
