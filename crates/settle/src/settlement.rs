//! What the product asks of a chain, in its own words. One trait; no type of any chain's library in it.
//!
//! Money is in token base units (micro-USD), times are Unix seconds. Verbs that change the chain name a *target* (a cumulative amount, a
//! record, an epoch), never a step, and look at the chain first: calling one again after a crash finds the target reached and
//! answers [`Outcome::Already`]. Nothing is ever paid, deposited or posted twice.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{ChainProfile, Deployment, Result, Signer};

/// Address of an account or contract.
pub type Account = [u8; 20];
/// A 32-byte digest, key or id.
pub type Hash = [u8; 32];

/// What a verb did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The target had been reached before; nothing was sent.
    Already,
    /// One transaction was mined, with the chain profile's confirmations.
    Sent(Sent),
}

/// A mined transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Transaction hash.
    pub tx: Hash,
    /// Block number.
    pub block: u64,
    /// Gas used by the verb's own call (an approval sent before it is not counted).
    pub gas: u64,
}

impl Outcome {
    /// Gas used, 0 if nothing was sent.
    pub fn gas(&self) -> u64 {
        match self {
            Self::Already => 0,
            Self::Sent(s) => s.gas,
        }
    }
}

/// Arguments of `postEpoch`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochRoots {
    /// Number, from 1, no gaps.
    pub epoch: u64,
    /// Root over (account, cumulative).
    pub balances_root: Hash,
    /// Root over receipt digests.
    pub receipts_root: Hash,
    /// Head of the event log's hash chain.
    pub log_hash: Hash,
    /// Sum of all cumulatives.
    pub total: u64,
}

/// An epoch as the chain has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostedEpoch {
    /// What was posted.
    pub roots: EpochRoots,
    /// When.
    pub posted_at: u64,
    /// True for ever once the window is over and no challenge is open.
    pub is_final: bool,
}

/// The 13 signed fields of a receipt (docs/spec/market.md).
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // named and explained by the specification
pub struct Receipt {
    pub job: Hash,
    pub sequence: u64,
    pub node: Account,
    pub device: Hash,
    pub service: Hash,
    pub model: Hash,
    pub input: Hash,
    pub output: Hash,
    pub units: u64,
    pub window_start: u64,
    pub window_end: u64,
    pub evidence: Hash,
    pub previous: Hash,
}

/// A device as registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Owner's account.
    pub owner: Account,
    /// Cell (place) it stands in.
    pub cell: u64,
    /// Id of the maker that vouches for it, from 1. Set by the registry.
    pub maker: u32,
    /// False once revoked.
    pub active: bool,
}

/// A model as registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// Commitment to the program.
    pub program: Hash,
    /// Verifier class, see `IProofVerifier`.
    pub verifier_class: u32,
    /// Who registered it. Set by the registry.
    pub publisher: Account,
    /// False once revoked.
    pub active: bool,
}

/// A node as registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Who runs it.
    pub operator: Account,
    /// When it was registered.
    pub since: u64,
    /// False once retired.
    pub active: bool,
}

/// Roles that the governor grants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    /// May enrol devices.
    pub maker: bool,
    /// May register models.
    pub publisher: bool,
}

/// A node's bond.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bond {
    /// Bonded.
    pub bonded: u64,
    /// On its way out, still at stake.
    pub unbonding: u64,
    /// When that may be withdrawn.
    pub unbond_at: u64,
}

/// A receipt with the node's signature of its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedReceipt {
    /// The receipt.
    pub receipt: Receipt,
    /// `r || s || v`, low s.
    pub signature: [u8; 65],
}

/// Terms of a frost cover.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoverTerms {
    /// Farmer.
    pub beneficiary: Account,
    /// Cell that all stations stand in.
    pub cell: u64,
    /// Unix second at which day 0 begins.
    pub start: u64,
    /// Days covered.
    pub day_count: u16,
    /// Stations that must prove the same day.
    pub quorum: u8,
    /// Paid once.
    pub payout: u64,
    /// Model that decides; fixes the threshold.
    pub model: Hash,
    /// Three distinct device keys.
    pub stations: [Hash; 3],
}

/// Where a policy stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoverState {
    /// Funded, waiting.
    Open,
    /// The farmer has the money.
    Paid,
    /// The insurer took it back.
    Reclaimed,
}

/// A policy as the chain has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cover {
    /// Who funded it.
    pub insurer: Account,
    /// Farmer.
    pub beneficiary: Account,
    /// First second of day 0.
    pub start: u64,
    /// Days covered.
    pub day_count: u16,
    /// Stations needed on one day.
    pub quorum: u8,
    /// Payout.
    pub payout: u64,
    /// Model.
    pub model: Hash,
    /// Stations.
    pub stations: [Hash; 3],
    /// State.
    pub state: CoverState,
}

/// One settled receipt, handed to a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoverReport {
    /// The receipt.
    pub receipt: Receipt,
    /// Output bytes that `receipt.output` commits to.
    pub output_bytes: Vec<u8>,
    /// Final epoch that holds the receipt.
    pub epoch: u64,
    /// Siblings from the receipt's leaf to the receipts root.
    pub proof: Vec<Hash>,
}

/// A place in the chain's events: everything up to and including `log_index` of `block` has been read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Block number.
    pub block: u64,
    /// Its hash, zero for the start.
    pub block_hash: Hash,
    /// Index of the last event read in the block; `None` if the whole block was read.
    pub log_index: Option<u64>,
}

/// Events of one read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventPage {
    /// In chain order.
    pub events: Vec<ChainEvent>,
    /// Give this to the next read.
    pub next: Cursor,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainEvent {
    /// Block number.
    pub block: u64,
    /// Index in the block.
    pub log_index: u64,
    /// Transaction.
    pub tx: Hash,
    /// What happened.
    pub kind: EventKind,
}

/// What happened on the chain, as far as the market must know it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs)] // fields are named as in the contracts' events, which explain them
pub enum EventKind {
    Deposited { account: Account, amount: u64, deposited: u64 },
    Claimed { account: Account, amount: u64, cumulative: u64 },
    EpochPosted(EpochRoots),
    EpochsRolledBack { from: u64, to: u64 },
    Challenged { epoch: u64, digest: Hash, challenger: Account, deadline: u64 },
    PosterSlashed { reward: u64, burned: u64 },
    ExitOpened,
    Exited { account: Account, amount: u64 },
    NodeRegistered { node: Account, operator: Account },
    DeviceEnrolled { key: Hash, owner: Account, cell: u64 },
    DeviceRevoked { key: Hash },
    ModelRegistered { id: Hash, program: Hash, verifier_class: u32 },
    ModelRevoked { id: Hash },
    Bonded { node: Account, amount: u64, bonded: u64 },
    NodeSlashed { node: Account, reporter: Account, reward: u64, burned: u64 },
    CoverOpened { id: Hash, insurer: Account, beneficiary: Account, payout: u64 },
    CoverDayReported { id: Hash, day: u64, device: Hash, digest: Hash, stations: u64 },
    CoverPaid { id: Hash, beneficiary: Account, payout: u64, day: u64 },
    CoverReclaimed { id: Hash, insurer: Account, payout: u64 },
}

/// A chain with our contracts on it.
///
/// # Errors
/// Every verb: `settle.reverted` with the Solidity error's name if a contract refuses, `settle.rpc` or `settle.pending` if the chain
/// does not answer in time (calling again is safe), `settle.conflict` if the target is there with other content.
#[async_trait]
pub trait Settlement: Send + Sync {
    /// The record to attach with later.
    fn deployment(&self) -> &Deployment;
    /// Constants of the chain.
    fn profile(&self) -> &ChainProfile;
    /// Time of the newest block.
    async fn now(&self) -> Result<u64>;
    /// Lets `seconds` pass, by a new empty block. Development chains only, else `settle.unsupported`.
    async fn pass_time(&self, seconds: u64) -> Result<()>;

    // Token.
    /// Token balance.
    async fn balance_of(&self, account: Account) -> Result<u64>;
    /// Test money: mints what `to` lacks to have `balance`. `by` must be the governor.
    async fn mint(&self, by: &Signer, to: Account, balance: u64) -> Result<Outcome>;

    // Deposits, epochs, claims.
    /// Brings all deposits ever of `by` up to `cumulative`.
    async fn deposit(&self, by: &Signer, cumulative: u64) -> Result<Outcome>;
    /// All deposits ever of an account.
    async fn deposited(&self, account: Account) -> Result<u64>;
    /// All deposits ever.
    async fn total_deposits(&self) -> Result<u64>;
    /// Brings the poster's bond up to `bond`. `by` must be the poster.
    async fn bond_poster(&self, by: &Signer, bond: u64) -> Result<Outcome>;
    /// Brings the poster's bond down to `bond`, while nothing is pending.
    async fn unbond_poster(&self, by: &Signer, bond: u64) -> Result<Outcome>;
    /// The poster's bond.
    async fn poster_bond(&self) -> Result<u64>;
    /// Posts an epoch. Posted already with equal content is [`Outcome::Already`], with other content `settle.conflict`.
    async fn post_epoch(&self, by: &Signer, roots: &EpochRoots) -> Result<Outcome>;
    /// An epoch, `None` if not posted.
    async fn epoch(&self, epoch: u64) -> Result<Option<PostedEpoch>>;
    /// Newest posted epoch, 0 if none.
    async fn latest_epoch(&self) -> Result<u64>;
    /// True if the epoch is final.
    async fn is_final(&self, epoch: u64) -> Result<bool>;
    /// Claims for `account`, whoever `by` is. Claimed already is [`Outcome::Already`]. The proof is against the newest final epoch.
    async fn claim(&self, by: &Signer, account: Account, cumulative: u64, proof: &[Hash]) -> Result<Outcome>;
    /// All that the account ever claimed.
    async fn claimed(&self, account: Account) -> Result<u64>;
    /// True if the digest is in the receipts root of a final epoch.
    async fn is_settled_receipt(&self, digest: Hash, epoch: u64, proof: &[Hash]) -> Result<bool>;
    /// The contract's own digest of a receipt.
    async fn receipt_digest(&self, receipt: &Receipt) -> Result<Hash>;

    // Veto, challenge, exit.
    /// The auditor strikes a pending epoch and all after it.
    async fn veto(&self, by: &Signer, epoch: u64) -> Result<Outcome>;
    /// Demands a proof for a receipt of a pending epoch.
    async fn challenge(&self, by: &Signer, epoch: u64, receipt: &Receipt, proof: &[Hash]) -> Result<Outcome>;
    /// Answers a challenge with a proof that the model's verifier accepts.
    async fn answer(&self, by: &Signer, epoch: u64, receipt: &Receipt, proof: &[u8]) -> Result<Outcome>;
    /// Ends a challenge that nobody answered in time.
    async fn resolve(&self, by: &Signer, epoch: u64, digest: Hash) -> Result<Outcome>;
    /// Opens the forced exit.
    async fn open_exit(&self, by: &Signer) -> Result<Outcome>;
    /// Pays an account its part by the forced exit.
    async fn exit(&self, by: &Signer, account: Account) -> Result<Outcome>;
    /// What the exit would pay the account.
    async fn exit_amount(&self, account: Account) -> Result<u64>;

    // Registry.
    /// Sets the roles of an account. `by` must be the governor.
    async fn set_roles(&self, by: &Signer, account: Account, roles: Roles) -> Result<Outcome>;
    /// Sets the verifier contract of a class, once. `by` must be the governor.
    async fn set_verifier(&self, by: &Signer, class: u32, verifier: Account) -> Result<Outcome>;
    /// Registers the account of `by` as a node, run by `operator`.
    async fn register_node(&self, by: &Signer, operator: Account) -> Result<Outcome>;
    /// Retires a node. `by` must be its operator.
    async fn retire_node(&self, by: &Signer, node: Account) -> Result<Outcome>;
    /// A node, `None` if unknown.
    async fn node(&self, node: Account) -> Result<Option<Node>>;
    /// Enrols a device. `by` must be a maker.
    async fn enrol_device(&self, by: &Signer, key: Hash, owner: Account, cell: u64) -> Result<Outcome>;
    /// Hands a device over. `by` must be its owner.
    async fn transfer_device(&self, by: &Signer, key: Hash, owner: Account) -> Result<Outcome>;
    /// Revokes a device. `by` must be its owner or maker.
    async fn revoke_device(&self, by: &Signer, key: Hash) -> Result<Outcome>;
    /// A device, `None` if unknown.
    async fn device(&self, key: Hash) -> Result<Option<Device>>;
    /// Registers a model. `by` must be a publisher.
    async fn register_model(
        &self,
        by: &Signer,
        id: Hash,
        program: Hash,
        verifier_class: u32,
    ) -> Result<Outcome>;
    /// Revokes a model. `by` must be its publisher.
    async fn revoke_model(&self, by: &Signer, id: Hash) -> Result<Outcome>;
    /// A model, `None` if unknown.
    async fn model(&self, id: Hash) -> Result<Option<Model>>;

    // Stake.
    /// Brings the bond of `node` up to `bonded`, with money of `by`.
    async fn bond_node(&self, by: &Signer, node: Account, bonded: u64) -> Result<Outcome>;
    /// Starts to take the bond of the node `by` down to `bonded`.
    async fn unbond_node(&self, by: &Signer, bonded: u64) -> Result<Outcome>;
    /// Withdraws what has finished unbonding.
    async fn withdraw_bond(&self, by: &Signer) -> Result<Outcome>;
    /// A node's bond.
    async fn bond(&self, node: Account) -> Result<Bond>;
    /// Takes the stake of a node that signed both.
    async fn slash_equivocation(&self, by: &Signer, a: &SignedReceipt, b: &SignedReceipt) -> Result<Outcome>;

    // Frost cover.
    /// Id of the policy that `insurer` opens with these terms and salt.
    fn cover_id(&self, insurer: Account, terms: &CoverTerms, salt: Hash) -> Hash;
    /// Opens and funds a policy with money of `by`, the insurer.
    async fn cover_open(&self, by: &Signer, terms: &CoverTerms, salt: Hash) -> Result<Outcome>;
    /// Hands a settled receipt to a policy; pays the farmer if it completes the quorum. Counted already is [`Outcome::Already`].
    async fn cover_report(&self, by: &Signer, id: Hash, report: &CoverReport) -> Result<Outcome>;
    /// The insurer takes back the money of an expired policy.
    async fn cover_reclaim(&self, by: &Signer, id: Hash) -> Result<Outcome>;
    /// A policy, `None` if unknown.
    async fn cover(&self, id: Hash) -> Result<Option<Cover>>;
    /// Which of the policy's stations proved `day`.
    async fn cover_day(&self, id: Hash, day: u64) -> Result<[bool; 3]>;

    /// Events after `cursor`, up to the newest confirmed block, at most about `limit`.
    ///
    /// # Errors
    /// `settle.reorg` if the cursor's block is gone.
    async fn events_since(&self, cursor: &Cursor, limit: usize) -> Result<EventPage>;
}
