//! A member of the market that delivers: an account with a device and a directory. It joins, knows its place in its
//! chain of receipts, and hands in what it signed.
//!
//! A node must never sign two receipts for one place, so a receipt is durable in the outbox (evidence first, then
//! receipt) before it is sent, and what is in the outbox is sent again, never made again.

use crate::client::Client;
use crate::engine::blobs::replace;
use crate::engine::keys::Keys;
use crate::fault::{Fault, Result};
use crate::pledge::{Takes, offer};
use crate::weather::CELL;
use crate::wire::{Delivered, NodeDoc};
use proofmesh_market::order::{Bind, Enroll};
use proofmesh_market::{
    AccountSecret, Address, DeviceSecret, Domain, Hash32, Signed, SignedReceipt, Usd, What,
};
use proofmesh_settle::{Settlement, Signer};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An account, its device and its outbox.
pub struct Member {
    pub(crate) client: Client,
    pub(crate) settlement: Arc<dyn Settlement>,
    pub(crate) domain: Domain,
    pub(crate) account: AccountSecret,
    pub(crate) device: DeviceSecret,
    dir: PathBuf,
}

impl Member {
    /// The member of this name: keys under `dir/keys`, outbox under `dir/nodes/NAME`.
    ///
    /// # Errors
    /// `key.*`, `api.*`, the chain's.
    pub async fn open(client: Client, dir: &Path, name: &str) -> Result<Self> {
        let keys = Keys::open(&dir.join("keys"))?;
        let device = keys.device(name)?;
        Ok(Member {
            settlement: client.settlement().await?,
            domain: client.status().await?.domain,
            client,
            account: keys.account(name)?,
            device,
            dir: dir.join("nodes").join(name),
        })
    }

    /// Its account.
    #[must_use]
    pub fn address(&self) -> Address {
        self.account.address()
    }

    /// Its directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Joins the market, as far as it has not: on chain (node, stake, device) and in the log (enrolment, device). Gives
    /// the test money minted.
    ///
    /// # Errors
    /// The market's and the chain's refusals.
    pub async fn join(&self, stake: Usd) -> Result<Usd> {
        let (account, device) = (self.address(), self.device.device());
        let signer = Signer::new(&self.account);
        let bonded = self.settlement.bond(account).await?.bonded;
        let mut minted = Usd::ZERO;
        if let Some(short) = stake.checked_sub(bonded).filter(|short| !short.is_zero()) {
            minted = self.client.faucet(account, short).await?;
            self.settlement.bond_node(&signer, account, stake).await?;
        }
        self.settlement.register_node(&signer, account).await?;
        let certified = self.client.guards().await?.is_none_or(|guards| guards.certified.contains(&device));
        if !certified || self.settlement.device(device).await?.is_none() {
            self.client.enrol_device(device, account, CELL).await?;
        }
        if let Err(fault) = self.client.node(&account).await {
            if !fault.is("node.unknown") {
                return Err(fault);
            }
            let order = Enroll { node: account, operator: account, nonce: 0 };
            self.client.order(&What::NodeEnrolled(Signed::new(order, &self.domain, &self.account)?)).await?;
        }
        let order = Bind { node: account, device, cell: CELL };
        let consent = order.consent(&self.domain, &self.device);
        let bind = Signed::new(order, &self.domain, &self.account)?;
        match self.client.order(&What::DeviceBound { bind, consent }).await {
            Err(fault) if fault.is("device.already-bound") => {}
            bound => drop(bound?),
        }
        Ok(minted)
    }

    /// Pledges and offers work of a service that it was measured for, where the market has guards: [`offer`]. Gives the
    /// test money minted.
    ///
    /// # Errors
    /// `limit.*`, `offer.*`, `pledge.*`, the chain's.
    pub async fn offer(&self, service: Hash32, takes: Takes) -> Result<Usd> {
        offer(&self.client, &*self.settlement, &self.account, service, takes).await
    }

    /// The node as the market has it, its next place checked to be the one after this member's own last receipt: two
    /// receipts after one would cost the stake, whoever asked for them.
    ///
    /// # Errors
    /// `outbox.other-head`, `file.io`.
    pub async fn place(&self) -> Result<NodeDoc> {
        let node = self.client.node(&self.address()).await?;
        let own = match node.next_sequence.checked_sub(1) {
            None => Hash32::ZERO,
            Some(last) => {
                let path = self.outbox(last, "receipt");
                let wire = std::fs::read(&path).map_err(|error| Fault::file(&path, &error))?;
                SignedReceipt::decode(&wire)?.receipt.digest(&self.domain)
            }
        };
        if own != node.head {
            return Err(Fault::refused("outbox.other-head", own, node.head));
        }
        Ok(node)
    }

    fn outbox(&self, sequence: u64, ending: &str) -> PathBuf {
        self.dir.join("outbox").join(format!("{sequence:08}.{ending}"))
    }

    /// Makes a receipt durable, then hands it in. What is in the outbox for its place is what counts.
    ///
    /// # Errors
    /// `outbox.taken` when another receipt was signed for this place; the coordinator's refusals.
    pub async fn hand_in(&self, receipt: &SignedReceipt, evidence: &[u8]) -> Result<Delivered> {
        let sequence = receipt.receipt.sequence;
        let (proof_path, receipt_path) = (self.outbox(sequence, "proof"), self.outbox(sequence, "receipt"));
        match std::fs::read(&receipt_path) {
            Ok(bytes) if bytes != receipt.encode() => {
                return Err(Fault::trouble(
                    "outbox.taken",
                    "the receipt signed before",
                    receipt_path.display(),
                ));
            }
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                replace(&proof_path, evidence)?;
                replace(&receipt_path, &receipt.encode())?;
            }
            Err(error) => return Err(Fault::file(&receipt_path, &error)),
        }
        self.deliver(receipt, evidence).await
    }

    async fn deliver(&self, receipt: &SignedReceipt, evidence: &[u8]) -> Result<Delivered> {
        match self.client.deliver(receipt, evidence).await {
            // It arrived before, and the answer was lost.
            Err(fault) if fault.is("receipt.replayed") => {
                let receipt = self.client.receipt(&receipt.receipt.digest(&self.domain)).await?;
                Ok(Delivered { receipt, check_ms: 0.0 })
            }
            delivered => delivered,
        }
    }

    /// Hands in again what an earlier run signed and may not have delivered. Gives what became of it.
    ///
    /// # Errors
    /// `file.io`, `receipt.*`.
    pub async fn resume(&self) -> Result<Option<Delivered>> {
        let node = self.client.node(&self.address()).await?;
        let path = self.outbox(node.next_sequence, "receipt");
        let Ok(wire) = std::fs::read(&path) else { return Ok(None) };
        let proof = self.outbox(node.next_sequence, "proof");
        let proof = std::fs::read(&proof).map_err(|error| Fault::file(&proof, &error))?;
        self.deliver(&SignedReceipt::decode(&wire)?, &proof).await.map(Some)
    }
}
