//! Graceful exit: a keeper that leaves takes no piece any more, shows its rounds as before, and gives each piece to the
//! keeper that its buyer names, straight from disk to disk, against that keeper's signature. Nothing is rebuilt, and at
//! no moment is there one piece less.
//!
//! The buyer's `storage repair` finds that the keeper leaves (`GET /keeper`), posts the piece's job anew for another, and
//! asks for the handover: `POST /leave/JOB {job, url}`, with the job that ends, the one that begins, and the other
//! keeper's address. The other answers `POST /handovers {wire}` with the handover signed by both
//! (`proofmesh_services::storage::handover`). Who may ask is settled by the market: both jobs are of one buyer and of one
//! piece. The day in which a piece moves is paid to who has it at its end.
//!
//! Refuses: `storage.not-leaving`, `storage.not-mine`, `storage.piece.unknown`, and the names of a handover.

use super::keeper::Keeper;
use crate::client::Client;
use crate::engine::blobs::replace;
use crate::fault::{Fault, Result};
use crate::wire::Hex;
use proofmesh_market::{DeviceSignature, Hash32};
use proofmesh_services::storage::SERVICE;
use proofmesh_services::storage::handover::{Handover, SignedHandover};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Where a piece is to go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaveDoc {
    /// The job that begins: the same piece, the same buyer, the other keeper's device.
    pub job: Hash32,
    /// The other keeper's address.
    pub url: String,
}

/// A handover: the second signature is zero until the one that takes over has signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandoverDoc {
    /// `SignedHandover`'s bytes.
    pub wire: Hex,
}

impl Keeper {
    /// Gives the piece of a job to the keeper of another, and drops it once that one signed for it.
    ///
    /// # Errors
    /// The names in the head of this file; the other keeper's refusals.
    pub async fn hand_over(&self, ends: &Hash32, to: &LeaveDoc) -> Result<SignedHandover> {
        if !self.is_leaving() {
            return Err(Fault::refused(
                "storage.not-leaving",
                "`storage serve --leave`",
                "a keeper that stays",
            ));
        }
        let (old, new) =
            (self.member.client.job(ends).await?.job, self.member.client.job(&to.job).await?.job);
        let mine = self.member.device.device();
        let alike = old.service == SERVICE.id() && new.service == SERVICE.id() && old.input == new.input;
        let [taker] = new.devices[..] else {
            return Err(Fault::refused("storage.not-mine", "a job for one device", new.devices.len()));
        };
        if !alike || old.buyer != new.buyer || old.devices != [mine] || taker == mine {
            let expected = format_args!("a piece of {mine} and another job of its buyer for it");
            return Err(Fault::refused("storage.not-mine", expected, to.job));
        }
        let piece = self.piece(&old.input)?;
        let at_s = self.member.client.status().await?.now_s;
        let bytes = piece.len() as u64;
        let handover = Handover { job: *ends, piece: old.input, bytes, from: mine, to: taker, at_s };
        let other = Client::new(&to.url)?;
        other.put(&format!("/pieces/{}", to.job), piece).await?;
        let unsigned = DeviceSignature([0; 64]);
        let given = SignedHandover { handover, from: handover.give(&self.member.device), to: unsigned };
        let answer: HandoverDoc =
            other.post("/handovers", &HandoverDoc { wire: Hex(given.encode()) }).await?;
        let signed = SignedHandover::decode(&answer.wire.0)?;
        if signed.handover != handover {
            return Err(Fault::refused("storage.handover-form", "the handover that was given", taker));
        }
        signed.verify()?;
        replace(&self.receipt_of(ends), &signed.encode())?;
        if self.held(&old.input).await?.is_empty() {
            let path = self.path(&old.input);
            std::fs::remove_file(&path).map_err(|error| Fault::file(&path, &error))?;
        }
        Ok(signed)
    }

    /// Signs for a piece that another keeper gave, once it is on this one's disk.
    ///
    /// # Errors
    /// `storage.not-mine`, `storage.piece.unknown`, the names of a handover.
    pub fn take_over(&self, given: &HandoverDoc) -> Result<HandoverDoc> {
        let given = SignedHandover::decode(&given.wire.0)?;
        let mine = self.member.device.device();
        if given.handover.to != mine {
            return Err(Fault::refused("storage.not-mine", mine, given.handover.to));
        }
        let piece = self.piece(&given.handover.piece)?;
        let signed = given.handover.take(&piece, given.from, &self.member.device)?;
        Ok(HandoverDoc { wire: Hex(signed.encode()) })
    }

    /// Jobs that this keeper still holds pieces for: it may go when there are none.
    ///
    /// # Errors
    /// The API's.
    pub async fn owes(&self) -> Result<usize> {
        let now_s = self.member.client.status().await?.now_s;
        let mine = self.assigned().await?;
        let open = mine.iter().filter(|job| {
            let held = self.path(&job.job.input).exists() && !self.receipt_of(&job.id).exists();
            held && now_s < job.job.window_until_s
        });
        Ok(open.count())
    }

    /// Jobs that still need a piece here.
    async fn held(&self, piece: &Hash32) -> Result<Vec<Hash32>> {
        let mine = self.assigned().await?;
        let held = mine.iter().filter(|job| job.job.input == *piece && !self.receipt_of(&job.id).exists());
        Ok(held.map(|job| job.id).collect())
    }

    /// The file of a handover's signatures.
    fn receipt_of(&self, job: &Hash32) -> PathBuf {
        self.member.dir().join("handovers").join(hex::encode(job.0))
    }
}
