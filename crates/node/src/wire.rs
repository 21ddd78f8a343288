//! The documents that the API answers with and the commands print: one form for programs and pages.
//!
//! Hashes, accounts and devices are text (`0x...`, `did:key:...`), money is micro-USD, times are Unix
//! seconds, bytes are `0x` hexadecimal.

pub mod overview;

use crate::engine::place::Engines;
use proofmesh_market::ledger::Conservation;
use proofmesh_market::state::{DeliveredReceipt, JobStatus, Node, PostedJob, ReceiptStatus, Standing};
use proofmesh_market::{
    AccountSignature, Address, ChainRef, Device, Domain, Epoch, Hash32, Job, Reason, Rules, Usd,
};
use proofmesh_services::wrap;
use proofmesh_settle::Deployment;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Jobs or receipts of one page, at most.
pub const PAGE: usize = 256;

/// Bytes as `0x` text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hex(pub Vec<u8>);

impl Serialize for Hex {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format!("0x{}", hex::encode(&self.0)))
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let digits =
            text.strip_prefix("0x").ok_or_else(|| serde::de::Error::custom("0x and hexadecimal digits"))?;
        hex::decode(digits).map(Hex).map_err(|_| serde::de::Error::custom("0x and hexadecimal digits"))
    }
}

/// Where all money is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoneyDoc {
    /// All deposits seen.
    pub deposited: Usd,
    /// Spendable.
    pub balances: Usd,
    /// In escrow of jobs.
    pub escrow: Usd,
    /// Accepted, not settled.
    pub held: Usd,
    /// Bonds of disputes.
    pub bonds: Usd,
    /// Claimable or claimed, without the vault's.
    pub claims: Usd,
    /// Fees.
    pub vault: Usd,
    /// True when the places add up to the deposits exactly.
    pub conserved: bool,
}

impl From<Conservation> for MoneyDoc {
    fn from(sums: Conservation) -> Self {
        let Conservation { deposited, balances, escrow, held, bonds, claims, vault } = sums;
        MoneyDoc { deposited, balances, escrow, held, bonds, claims, vault, conserved: sums.holds() }
    }
}

/// A coordinator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatusDoc {
    /// What everything is signed for.
    pub domain: Domain,
    /// The contracts.
    pub deployment: Deployment,
    /// JSON-RPC of the embedded chain, if it is served.
    pub rpc: Option<String>,
    /// Its clock.
    pub now_s: u64,
    /// Events in the log.
    pub events: u64,
    /// Head of the log's hash chain.
    pub log_hash: Hash32,
    /// The market's rules.
    pub rules: Rules,
    /// Models that jobs may ask for.
    pub models: Vec<Hash32>,
    /// Those of them whose jobs have to ask for wrappable proofs: a contract may demand that the poster proves their receipts.
    pub wrappable: Vec<Hash32>,
    /// Epochs closed.
    pub epochs: u64,
    /// Epochs posted.
    pub posted: u64,
    /// Money.
    pub money: MoneyDoc,
}

/// An account in the market.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountDoc {
    /// Which.
    pub account: Address,
    /// Spendable.
    pub balance: Usd,
    /// Cumulative: all that may ever have been claimed.
    pub cumulative: Usd,
    /// Nonce of its next withdrawal.
    pub withdrawal_nonce: u64,
}

/// A node in the market.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeDoc {
    /// Which.
    pub node: Address,
    /// Who runs it.
    pub operator: Address,
    /// Nonce of its next enrolment.
    pub nonce: u64,
    /// Stake as last seen.
    pub stake: Usd,
    /// `active`, `frozen`, `jailed`.
    pub standing: String,
    /// Refusals in a row by its own malfunction.
    pub strikes: u32,
    /// Sequence of its next receipt.
    pub next_sequence: u64,
    /// Digest of its last receipt, zero for none.
    pub head: Hash32,
    /// Models that it was measured for, wrapping apart, with the second at which that expires.
    pub capabilities: Vec<(Hash32, u64)>,
}

impl NodeDoc {
    pub(crate) fn of(address: &Address, node: &Node) -> Self {
        let standing = match node.standing {
            Standing::Active => "active",
            Standing::Frozen { .. } => "frozen",
            Standing::Jailed => "jailed",
        };
        NodeDoc {
            node: *address,
            operator: node.operator,
            nonce: node.nonce,
            stake: node.stake,
            standing: standing.to_owned(),
            strikes: node.strikes,
            next_sequence: node.next_sequence(),
            head: node.head(),
            capabilities: node
                .capabilities
                .iter()
                .filter(|((service, _), _)| *service != wrap::SERVICE.id())
                .map(|((_, model), until_s)| (*model, *until_s))
                .collect(),
        }
    }
}

/// A job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobDoc {
    /// Its id.
    pub id: Hash32,
    /// What the buyer signed.
    pub job: Job,
    /// `open`, `assigned`, `ended`.
    pub status: String,
    /// The nodes drawn.
    pub nodes: Vec<Address>,
    /// Units paid so far.
    pub units: u64,
    /// Left in escrow.
    pub escrow: Usd,
    /// Receipts that wait for a verdict.
    pub pending: u64,
}

impl JobDoc {
    pub(crate) fn of(id: &Hash32, posted: &PostedJob, escrow: Usd) -> Self {
        let status = match posted.status {
            JobStatus::Open => "open",
            JobStatus::Assigned => "assigned",
            JobStatus::Ended => "ended",
        };
        JobDoc {
            id: *id,
            job: posted.job.clone(),
            status: status.to_owned(),
            nodes: posted.nodes.clone(),
            units: posted.units,
            escrow,
            pending: posted.pending.len() as u64,
        }
    }
}

/// Why something was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReasonDoc {
    /// Stable name.
    pub name: String,
    /// What would have been accepted.
    pub expected: String,
    /// What came.
    pub got: String,
}

impl From<crate::fault::Fault> for ReasonDoc {
    fn from(fault: crate::fault::Fault) -> Self {
        ReasonDoc { name: fault.name, expected: fault.expected, got: fault.got }
    }
}

impl From<&Reason> for ReasonDoc {
    fn from(reason: &Reason) -> Self {
        let text = |text: &str| text.to_owned();
        ReasonDoc { name: text(reason.name()), expected: text(reason.expected()), got: text(reason.got()) }
    }
}

/// A delivered receipt and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptDoc {
    /// Its digest.
    pub digest: Hash32,
    /// Unix second of its delivery.
    pub at_s: u64,
    /// `pending`, `refused`, `accepted`, `settled`.
    pub status: String,
    /// Why it was refused.
    pub reason: Option<ReasonDoc>,
    /// What its node gets.
    pub share: Usd,
    /// What the vault gets.
    pub fee: Usd,
    /// The epoch that settled it.
    pub epoch: Option<u64>,
    /// The job.
    pub job: Hash32,
    /// The node.
    pub node: Address,
    /// The device.
    pub device: Device,
    /// Place in the node's chain.
    pub sequence: u64,
    /// First second of its window.
    pub window_start_s: u64,
    /// Words of the public output.
    pub output: Vec<i32>,
    /// Hash of the evidence.
    pub evidence: Hash32,
    /// The canonical wire form.
    pub wire: Hex,
}

impl ReceiptDoc {
    pub(crate) fn of(digest: &Hash32, delivered: &DeliveredReceipt) -> Self {
        let receipt = &delivered.signed.receipt;
        let none = Usd::ZERO;
        let (status, reason, share, fee, epoch) = match &delivered.status {
            ReceiptStatus::Pending => ("pending", None, none, none, None),
            ReceiptStatus::Refused { reason, .. } => ("refused", Some(reason.into()), none, none, None),
            ReceiptStatus::Accepted { share, fee, .. } => ("accepted", None, *share, *fee, None),
            ReceiptStatus::Settled { share, fee, epoch, .. } => ("settled", None, *share, *fee, Some(*epoch)),
        };
        ReceiptDoc {
            digest: *digest,
            at_s: delivered.at_s,
            status: status.to_owned(),
            reason,
            share,
            fee,
            epoch,
            job: receipt.job,
            node: receipt.node,
            device: receipt.device,
            sequence: receipt.sequence,
            window_start_s: receipt.window_start,
            output: delivered.signed.output_words(),
            evidence: receipt.evidence,
            wire: Hex(delivered.signed.encode()),
        }
    }
}

/// What became of a delivery.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivered {
    /// The receipt.
    pub receipt: ReceiptDoc,
    /// Milliseconds that its check took; 0 if a rule refused it before any.
    pub check_ms: f64,
}

/// A receipt and its evidence, handed in.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeliverDoc {
    /// The canonical wire form.
    pub receipt: Hex,
    /// The evidence.
    pub evidence: Hex,
    /// Whether to answer as soon as the receipt is durable, before it is judged: its status is then `pending`, and
    /// `GET /v1/receipts/DIGEST` shows what becomes of it.
    pub at_once: Option<bool>,
}

/// A node's proof that it can prove a model.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasureDoc {
    /// The node.
    pub node: Address,
    /// The model.
    pub model: Hash32,
    /// Commitment to any private input.
    pub input: Hash32,
    /// Public output.
    pub output: Vec<i32>,
    /// The proof, under the node's challenge.
    pub proof: Hex,
    /// Name of the verification key, if the proof is a wrapped one: the node is measured for wrapping by it.
    pub key: Option<Hash32>,
}

/// A wrapping job with the proof that it hands over.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandOverDoc {
    /// The job, whose terms name what is handed over.
    pub order: Job,
    /// The buyer's signature of it.
    pub signature: AccountSignature,
    /// Output words and proof: `proofmesh_services::wrap::Handed`.
    pub handed: Hex,
}

/// A node's answer to its challenge about a service that has no model.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadyDoc {
    /// The node.
    pub node: Address,
    /// The service.
    pub service: Hash32,
    /// The device that will sign.
    pub device: Device,
    /// The answer, as `proofmesh_services::ready` makes it.
    pub evidence: Hex,
}

/// What a node has to prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChallengeDoc {
    /// The context of the proof.
    pub context: Hash32,
}

/// One row of a feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedRow {
    /// The device.
    pub device: Device,
    /// First second of the window.
    pub start_s: u64,
    /// Public input words.
    pub words: Vec<i32>,
}

/// A feed of public side inputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedDoc {
    /// Bytes of a word in a row's leaf, 1, 2 or 4: as wide as the model's public input.
    pub word_bytes: u8,
    /// Its rows.
    pub rows: Vec<FeedRow>,
}

/// The name of something that was taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdDoc {
    /// Its id.
    pub id: Hash32,
}

/// An epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochDoc {
    /// Roots and total.
    pub epoch: Epoch,
    /// Where it is on chain, if it was posted.
    pub posted: Option<ChainRef>,
    /// Receipts settled in it.
    pub receipts: Vec<Hash32>,
    /// Cumulative balances.
    pub balances: Vec<(Address, Usd)>,
}

/// An epoch just closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosedDoc {
    /// Roots and total.
    pub epoch: Epoch,
    /// Receipts settled in it.
    pub receipts: u64,
    /// Gas of its posting.
    pub gas: u64,
    /// Its transaction; `None` if it was on the chain before.
    pub tx: Option<Hash32>,
}

/// A posting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostedDoc {
    /// Number.
    pub epoch: u64,
    /// Gas.
    pub gas: u64,
    /// Transaction; `None` if it was on the chain before.
    pub tx: Option<Hash32>,
}

/// An account's balance in an epoch, with its Merkle proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalanceDoc {
    /// The epoch.
    pub epoch: u64,
    /// The account.
    pub account: Address,
    /// Cumulative.
    pub cumulative: Usd,
    /// Siblings.
    pub proof: Vec<Hash32>,
}

/// A settled receipt with its Merkle proof: what a contract wants to see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptProofDoc {
    /// The epoch.
    pub epoch: u64,
    /// The receipt's digest.
    pub digest: Hash32,
    /// Its canonical wire form.
    pub wire: Hex,
    /// Siblings.
    pub proof: Vec<Hash32>,
}

/// A page of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogDoc {
    /// Number of the first record.
    pub from: u64,
    /// The records' bytes.
    pub records: Vec<Hex>,
}

/// A request for test money.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaucetDoc {
    /// Whose.
    pub account: Address,
    /// Token balance to reach.
    pub balance: Usd,
}

/// What was minted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MintedDoc {
    /// How much.
    pub minted: Usd,
}

/// A request to enrol a device on chain.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolDeviceDoc {
    /// The device.
    pub device: Device,
    /// Its owner.
    pub owner: Address,
    /// Its cell.
    pub cell: u64,
}

/// A request to let time pass.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PassTimeDoc {
    /// Seconds.
    pub seconds: u64,
}

/// Where the coordinator's state shall be; what is left out stays where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MoveDoc {
    /// URL of the journal.
    pub state: Option<String>,
    /// URL of the evidence.
    pub blobs: Option<String>,
}

impl MoveDoc {
    /// The same as engines.
    #[must_use]
    pub fn engines(&self) -> Engines {
        let of = |url: &Option<String>| url.clone().unwrap_or_default();
        Engines { state: of(&self.state), blobs: of(&self.blobs), ..Engines::default() }
    }
}

/// Where the coordinator's state is after a move.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MovedDoc {
    /// URL of the journal.
    pub state: String,
    /// URL of the evidence.
    pub blobs: String,
    /// Milliseconds for which receipts waited.
    pub waited_ms: f64,
}

impl MovedDoc {
    /// Of a directory.
    ///
    /// # Errors
    /// `engines.json`, `file.io`.
    pub fn of(dir: &Path, waited_ms: f64) -> crate::fault::Result<Self> {
        let Engines { state, blobs, .. } = Engines::of(dir)?;
        Ok(MovedDoc { state, blobs, waited_ms })
    }
}

/// Done, with nothing to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoneDoc {
    /// True.
    pub done: bool,
}
