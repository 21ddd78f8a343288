//! What the product asks of a chain, in its own words. One trait; no type of any chain's library in it.
//!
//! Money is in token base units ([`Usd`]), times are Unix seconds. Receipts, epochs and their proofs are
//! those of `proofmesh-market`. Verbs that change the chain name a *target* (a cumulative amount, a
//! record, an epoch), never a step, and look at the chain first: calling one again after a crash finds the
//! target reached and
//! answers [`Done::Already`]. Nothing is ever paid, deposited or posted twice.

use async_trait::async_trait;
use proofmesh_market::{Address, Device, Epoch, Hash32, Job, Receipt, SignedReceipt, Usd};
use serde::{Deserialize, Serialize};

use crate::{ChainProfile, Deployment, Result, Signer};

/// What a verb did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// The target had been reached before; nothing was sent.
    Already,
    /// One transaction was mined, with the chain profile's confirmations.
    Sent(Sent),
}

/// A mined transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Transaction hash.
    pub tx: Hash32,
    /// Block number.
    pub block: u64,
    /// Gas used by the verb's own call (an approval sent before it is not counted).
    pub gas: u64,
}

impl Done {
    /// Gas used, 0 if nothing was sent.
    pub fn gas(&self) -> u64 {
        match self {
            Self::Already => 0,
            Self::Sent(s) => s.gas,
        }
    }
}

/// An epoch as the chain has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostedEpoch {
    /// What was posted.
    pub epoch: Epoch,
    /// Number of this posting; an epoch's number can be posted again after it was struck.
    pub posting: u32,
    /// When.
    pub posted_at: u64,
    /// True for ever once the window is over and no challenge is open.
    pub is_final: bool,
}

/// A device as registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRecord {
    /// Owner's account.
    pub owner: Address,
    /// Cell (place) it stands in.
    pub cell: u64,
    /// Id of the maker that vouches for it, from 1. Set by the registry.
    pub maker: u32,
    /// False once revoked.
    pub active: bool,
}

/// A model as registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelRecord {
    /// Commitment to the program.
    pub program: Hash32,
    /// Verifier class, see `IProofVerifier`.
    pub verifier_class: u32,
    /// Who registered it. Set by the registry.
    pub publisher: Address,
    /// False once revoked.
    pub active: bool,
}

/// A node as registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRecord {
    /// Who runs it.
    pub operator: Address,
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
    pub bonded: Usd,
    /// On its way out, still at stake.
    pub unbonding: Usd,
    /// When that may be withdrawn.
    pub unbond_at: u64,
}

/// Terms of a frost cover.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoverTerms {
    /// Farmer.
    pub beneficiary: Address,
    /// Cell that all stations stand in.
    pub cell: u64,
    /// Unix second at which day 0 begins.
    pub start: u64,
    /// Days covered.
    pub day_count: u16,
    /// Stations that must prove the same day.
    pub quorum: u8,
    /// Paid once.
    pub payout: Usd,
    /// Model that decides; fixes the threshold.
    pub model: Hash32,
    /// Three distinct device keys.
    pub stations: [Device; 3],
    /// For each station the job whose receipts count. A job's id commits to its reference feed, so nobody
    /// can have days proved against a feed of their own.
    pub jobs: [Hash32; 3],
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
    pub insurer: Address,
    /// Farmer.
    pub beneficiary: Address,
    /// First second of day 0.
    pub start: u64,
    /// Days covered.
    pub day_count: u16,
    /// Stations needed on one day.
    pub quorum: u8,
    /// Payout.
    pub payout: Usd,
    /// State.
    pub state: CoverState,
}

/// One settled receipt, handed to a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoverReport {
    /// The receipt, with its output.
    pub receipt: SignedReceipt,
    /// Final epoch that holds the receipt.
    pub epoch: u64,
    /// Siblings from the receipt's leaf to the receipts root.
    pub proof: Vec<Hash32>,
}

/// What shows a contract that a receipt of the inference service holds: it opens the hashes that the receipt
/// names, and the wrapped proof does the rest (docs/spec/market.md, "Evidence").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The receipt, with its output and its node's signature.
    pub receipt: SignedReceipt,
    /// The job that it names, with the service's terms.
    pub job: Job,
    /// Public words of the window as the job's feed has them (`reference::packed`); empty if there is no feed.
    pub public_words: Vec<u8>,
    /// Siblings from the window's row to the feed's commitment (`ReferenceTable::proof`).
    pub feed_proof: Vec<Hash32>,
    /// The Groth16 proof: A, B, C, 256 bytes.
    pub proof: Vec<u8>,
}

/// A Groth16 verification key with one public input: alpha, beta, gamma, delta, IC0, IC1, 18 words of 32 bytes
/// big-endian, points of G2 with the imaginary part first (EIP-197).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey(pub Box<[u8; 576]>);

impl VerifierKey {
    /// The key's name: Keccak-256 of its words.
    #[must_use]
    pub fn hash(&self) -> Hash32 {
        proofmesh_market::keccak(&*self.0)
    }
}

/// An account's leaf in a balances tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BalanceLeaf {
    /// Whose.
    pub account: Address,
    /// Its cumulative balance there.
    pub cumulative: Usd,
    /// Siblings from the leaf to the balances root.
    pub proof: Vec<Hash32>,
}

/// A receipt in the receipts tree of a standing epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettledReceipt {
    /// The epoch.
    pub epoch: u64,
    /// The receipt.
    pub receipt: Receipt,
    /// Siblings from its leaf to the receipts root.
    pub proof: Vec<Hash32>,
}

/// A rule of the market that an epoch breaks, shown by Merkle paths alone. No honest epoch breaks any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Breach {
    /// An account has less than in the epoch before.
    BalanceFell {
        /// In the epoch before.
        was: BalanceLeaf,
        /// In the accused epoch.
        now: BalanceLeaf,
    },
    /// An account has less than it has claimed.
    BelowClaimed(BalanceLeaf),
    /// An account has two different leaves.
    AccountTwice(BalanceLeaf, BalanceLeaf),
    /// These leaves, ascending by account, add up to more than the epoch's total.
    SumAboveTotal(Vec<BalanceLeaf>),
    /// One receipt settled twice, or two for one window of a device under one job, or for one place in a
    /// node's chain.
    PaidTwice(Box<SettledReceipt>, Box<SettledReceipt>),
    /// These receipts of the job, ascending by digest, have more units than it pays for.
    AboveCap(Box<Job>, Vec<SettledReceipt>),
    /// The receipt does not keep the terms of its job.
    AgainstJob(Box<Job>, Box<SettledReceipt>),
}

/// A maker's roll of devices: an incremental tree of [`ROLL_DEPTH`] levels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roll {
    /// Its root, zero while it is empty.
    pub root: Hash32,
    /// Places taken.
    pub count: u32,
}

/// Levels of a roll.
pub const ROLL_DEPTH: usize = 24;

/// Where a device is on a roll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RollPlace {
    /// The maker's id.
    pub maker: u32,
    /// Index, from 0.
    pub index: u32,
    /// Siblings from the leaf up; positions say left and right.
    pub proof: [Hash32; ROLL_DEPTH],
}

/// A place in the chain's events: everything up to and including `log_index` of `block` has been read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Block number.
    pub block: u64,
    /// Its hash, zero for the start.
    pub block_hash: Hash32,
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
    pub tx: Hash32,
    /// What happened.
    pub kind: EventKind,
}

/// What happened on the chain, as far as the market must know it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs)] // fields are named as in the contracts' events, which explain them
pub enum EventKind {
    Deposited { account: Address, amount: Usd, deposited: Usd },
    Claimed { account: Address, amount: Usd, cumulative: Usd },
    EpochPosted(Epoch),
    EpochsRolledBack { from: u64, to: u64 },
    Challenged { epoch: u64, digest: Hash32, challenger: Address, deadline: u64, post: u32 },
    ChallengeClosed { post: u32, digest: Hash32, answered: bool },
    PosterSlashed { reward: Usd, burned: Usd },
    Struck { epoch: u64, accuser: Address },
    SuccessorNamed { successor: Address, retire_at: u64 },
    Delivered { consumer: Address, id: Hash32, digest: Hash32 },
    ExitOpened,
    Exited { account: Address, amount: Usd },
    NodeRegistered { node: Address, operator: Address },
    DeviceEnrolled { key: Device, owner: Address, cell: u64 },
    DeviceRevoked { key: Device },
    ModelRegistered { id: Hash32, program: Hash32, verifier_class: u32 },
    ModelRevoked { id: Hash32 },
    Bonded { node: Address, amount: Usd, bonded: Usd },
    Unbonding { node: Address, amount: Usd },
    NodeSlashed { node: Address, reporter: Address, reward: Usd, burned: Usd },
    CoverOpened { id: Hash32, insurer: Address, beneficiary: Address, payout: Usd },
    CoverDayReported { id: Hash32, day: u64, device: Device, digest: Hash32, stations: u64 },
    CoverPaid { id: Hash32, beneficiary: Address, payout: Usd, day: u64 },
    CoverReclaimed { id: Hash32, insurer: Address, payout: Usd },
}

/// A chain with our contracts on it.
///
/// # Errors
/// Every verb: `settle.reverted` with the Solidity error's name if a contract refuses, `settle.rpc` or
/// `settle.pending` if the chain
/// does not answer in time (calling again is safe), `settle.conflict` if the target is there with other
/// content.
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
    async fn balance_of(&self, account: Address) -> Result<Usd>;
    /// Test money: mints what `to` lacks to have `balance`. `by` must be the governor.
    async fn mint(&self, by: &Signer, to: Address, balance: Usd) -> Result<Done>;

    // Deposits, epochs, claims.
    /// Brings all deposits ever of `by` up to `cumulative`.
    async fn deposit(&self, by: &Signer, cumulative: Usd) -> Result<Done>;
    /// All deposits ever of an account.
    async fn deposited(&self, account: Address) -> Result<Usd>;
    /// All deposits ever.
    async fn total_deposits(&self) -> Result<Usd>;
    /// Brings the poster's bond up to `bond`. `by` must be the poster.
    async fn bond_poster(&self, by: &Signer, bond: Usd) -> Result<Done>;
    /// Brings the poster's bond down to `bond`, while nothing is pending.
    async fn unbond_poster(&self, by: &Signer, bond: Usd) -> Result<Done>;
    /// The poster's bond.
    async fn poster_bond(&self) -> Result<Usd>;
    /// Posts an epoch. Posted already with equal content is [`Done::Already`], with other content
    /// `settle.conflict`.
    async fn post_epoch(&self, by: &Signer, epoch: &Epoch) -> Result<Done>;
    /// An epoch, `None` if not posted.
    async fn epoch(&self, epoch: u64) -> Result<Option<PostedEpoch>>;
    /// Newest posted epoch, 0 if none.
    async fn latest_epoch(&self) -> Result<u64>;
    /// Newest final epoch, 0 if none: claims prove against this one.
    async fn final_epoch(&self) -> Result<u64>;
    /// True if the epoch is final.
    async fn is_final(&self, epoch: u64) -> Result<bool>;
    /// Claims for `account`, whoever `by` is. Claimed already is [`Done::Already`]. The proof is against
    /// the newest final epoch.
    async fn claim(&self, by: &Signer, account: Address, cumulative: Usd, proof: &[Hash32]) -> Result<Done>;
    /// All that the account ever claimed.
    async fn claimed(&self, account: Address) -> Result<Usd>;
    /// True if the digest is in the receipts root of a final epoch.
    async fn is_settled_receipt(&self, digest: Hash32, epoch: u64, proof: &[Hash32]) -> Result<bool>;
    /// The contract's own digest of a receipt.
    async fn receipt_digest(&self, receipt: &Receipt) -> Result<Hash32>;

    // Veto, challenge, exit.
    /// The auditor strikes a pending epoch and all after it.
    async fn veto(&self, by: &Signer, epoch: u64) -> Result<Done>;
    /// Demands a proof for a receipt of a pending epoch.
    async fn challenge(&self, by: &Signer, epoch: u64, receipt: &Receipt, proof: &[Hash32]) -> Result<Done>;
    /// Answers a challenge. Check the proof off chain first: a false one costs the gas of a true one.
    async fn answer(&self, by: &Signer, epoch: u64, evidence: &Evidence) -> Result<Done>;
    /// Ends a challenge that nobody answered in time.
    async fn resolve(&self, by: &Signer, epoch: u64, digest: Hash32) -> Result<Done>;
    /// Returns the bond of a challenge whose posting was struck for another reason.
    async fn refund_challenge(&self, by: &Signer, posting: u32, digest: Hash32) -> Result<Done>;
    /// Strikes a pending epoch that breaks a rule; half of the poster's bond goes to `by`.
    async fn strike(&self, by: &Signer, epoch: u64, breach: &Breach) -> Result<Done>;
    /// Names the contract that accounts may move to, zero to take it back. `by` must be the governor.
    async fn name_successor(&self, by: &Signer, successor: Address) -> Result<Done>;
    /// Ends the settlement when its successor's notice is over: opens the exit.
    async fn retire(&self, by: &Signer) -> Result<Done>;
    /// Opens the forced exit.
    async fn open_exit(&self, by: &Signer) -> Result<Done>;
    /// Pays an account its part by the forced exit.
    async fn exit(&self, by: &Signer, account: Address) -> Result<Done>;
    /// What the exit would pay the account.
    async fn exit_amount(&self, account: Address) -> Result<Usd>;

    // Registry.
    /// Sets the roles of an account. `by` must be the governor.
    async fn set_roles(&self, by: &Signer, account: Address, roles: Roles) -> Result<Done>;
    /// Puts a verifier for a key on the chain, with the profile's caps on gas; its address follows from both.
    async fn deploy_verifier(&self, by: &Signer, key: &VerifierKey) -> Result<Address>;
    /// Sets the verifier contract of a class that no model has yet, once. `by` must be the governor.
    async fn set_verifier(&self, by: &Signer, class: u32, verifier: Address) -> Result<Done>;
    /// Announces the verifier of a class that has models. `by` must be the governor.
    async fn propose_verifier(&self, by: &Signer, class: u32, verifier: Address) -> Result<Done>;
    /// Sets an announced verifier when the delay is over.
    async fn accept_verifier(&self, by: &Signer, class: u32) -> Result<Done>;
    /// The verifier of a model's class, `None` while there is none.
    async fn verifier_of(&self, model: Hash32) -> Result<Option<Address>>;
    /// The verifier of a key, `None` if none was ever set.
    async fn verifier_of_key(&self, key_hash: Hash32) -> Result<Option<Address>>;
    /// Appends `2^height` devices to the roll of the maker `by`, the first at place `first`, by the root of
    /// their subtree. Appended already is [`Done::Already`].
    async fn append_devices(&self, by: &Signer, first: u32, subtree: Hash32, height: u8) -> Result<Done>;
    /// A maker's roll.
    async fn roll(&self, maker: u32) -> Result<Roll>;
    /// True if the device is on a roll at that place, and not revoked there.
    async fn is_on_roll(&self, key: Device, owner: Address, cell: u64, place: &RollPlace) -> Result<bool>;
    /// Gives a device of a roll a record of its own.
    async fn unpack_device(
        &self,
        by: &Signer,
        key: Device,
        owner: Address,
        cell: u64,
        place: &RollPlace,
    ) -> Result<Done>;
    /// Registers the account of `by` as a node, run by `operator`.
    async fn register_node(&self, by: &Signer, operator: Address) -> Result<Done>;
    /// Retires a node. `by` must be its operator.
    async fn retire_node(&self, by: &Signer, node: Address) -> Result<Done>;
    /// A node, `None` if unknown.
    async fn node(&self, node: Address) -> Result<Option<NodeRecord>>;
    /// Enrols a device. `by` must be a maker.
    async fn enrol_device(&self, by: &Signer, key: Device, owner: Address, cell: u64) -> Result<Done>;
    /// Hands a device over. `by` must be its owner.
    async fn transfer_device(&self, by: &Signer, key: Device, owner: Address) -> Result<Done>;
    /// Revokes a device. `by` must be its owner or maker.
    async fn revoke_device(&self, by: &Signer, key: Device) -> Result<Done>;
    /// A device, `None` if unknown.
    async fn device(&self, key: Device) -> Result<Option<DeviceRecord>>;
    /// Registers a model. `by` must be a publisher.
    async fn register_model(
        &self,
        by: &Signer,
        id: Hash32,
        program: Hash32,
        verifier_class: u32,
    ) -> Result<Done>;
    /// Revokes a model. `by` must be its publisher.
    async fn revoke_model(&self, by: &Signer, id: Hash32) -> Result<Done>;
    /// A model, `None` if unknown.
    async fn model(&self, id: Hash32) -> Result<Option<ModelRecord>>;

    // Stake.
    /// Brings the bond of `node` up to `bonded`, with money of `by`.
    async fn bond_node(&self, by: &Signer, node: Address, bonded: Usd) -> Result<Done>;
    /// Starts to take the bond of the node `by` down to `bonded`.
    async fn unbond_node(&self, by: &Signer, bonded: Usd) -> Result<Done>;
    /// Withdraws what has finished unbonding.
    async fn withdraw_bond(&self, by: &Signer) -> Result<Done>;
    /// A node's bond.
    async fn bond(&self, node: Address) -> Result<Bond>;
    /// Takes the stake of a node that signed both.
    async fn slash_equivocation(&self, by: &Signer, a: &SignedReceipt, b: &SignedReceipt) -> Result<Done>;
    /// The same, where the second receipt has only its device's P-256 signature (x, y, r, s, as for the first).
    async fn slash_device_equivocation(
        &self,
        by: &Signer,
        a: (&SignedReceipt, &[u8; 128]),
        b: (&Receipt, &[u8; 128]),
    ) -> Result<Done>;

    // Frost cover.
    /// Id of the policy that `insurer` opens with these terms and salt.
    fn cover_id(&self, insurer: Address, terms: &CoverTerms, salt: Hash32) -> Hash32;
    /// Opens and funds a policy with money of `by`, the insurer.
    async fn cover_open(&self, by: &Signer, terms: &CoverTerms, salt: Hash32) -> Result<Done>;
    /// Hands a settled receipt to a policy; pays the farmer if it completes the quorum. Counted already is
    /// [`Done::Already`].
    async fn cover_report(&self, by: &Signer, id: Hash32, report: &CoverReport) -> Result<Done>;
    /// The insurer takes back the money of an expired policy.
    async fn cover_reclaim(&self, by: &Signer, id: Hash32) -> Result<Done>;
    /// A policy, `None` if unknown. Which stations, jobs and model it counts the chain has as hashes: the id commits to them, and
    /// [`Settlement::cover_station`] asks for one.
    async fn cover(&self, id: Hash32) -> Result<Option<Cover>>;
    /// Which of the policy's stations, from 0, a device is whose receipts of this job and model count, if it is one.
    async fn cover_station(
        &self,
        id: Hash32,
        device: Device,
        job: Hash32,
        model: Hash32,
    ) -> Result<Option<usize>>;
    /// Which of the policy's stations proved `day`.
    async fn cover_day(&self, id: Hash32, day: u64) -> Result<[bool; 3]>;

    // Proof now.
    /// Has the receipt's proof checked and the result handed to `consumer` for its agreement `id`, in one
    /// transaction; all or nothing. `device` is a P-256 device's x, y, r, s; without it the device's owner must
    /// be the node. Delivered already is [`Done::Already`]. Check the proof off chain first: a false one costs
    /// the gas of a true one.
    async fn deliver_with_proof(
        &self,
        by: &Signer,
        consumer: Address,
        id: Hash32,
        evidence: &Evidence,
        device: Option<&[u8; 128]>,
    ) -> Result<Done>;

    /// Events after `cursor`, up to the newest confirmed block, at most about `limit`.
    ///
    /// # Errors
    /// `settle.reorg` if the cursor's block is gone.
    async fn events_since(&self, cursor: &Cursor, limit: usize) -> Result<EventPage>;
}
