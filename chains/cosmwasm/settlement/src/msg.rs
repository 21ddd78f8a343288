//! What the contract is told and asked. Hashes, addresses and signatures are `0x` text, money is micro-units of the denomination.

use cosmwasm_std::Binary;
use proofmesh_market::{AccountSignature, Address, Epoch, Hash32, Job, Payee, Receipt, SignedReceipt, Usd};
use serde::{Deserialize, Serialize};

/// How a contract is set up. Times in seconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instantiate {
    /// Denomination of account.
    pub denom: String,
    /// Registers models' keys; nothing else.
    pub governor: String,
    /// The only account that posts.
    pub poster: String,
    /// May veto an epoch that is not final.
    pub auditor: Option<String>,
    /// From an epoch's posting to its finality, if nobody challenges it.
    pub challenge_window_s: u64,
    /// What the poster has to answer, for each challenge that is open.
    pub response_s: u64,
    /// Must lie here for a posting; all of it is lost with one unanswered challenge.
    pub poster_bond: Usd,
    /// A challenger's; the poster's if it answers.
    pub challenge_bond: Usd,
}

/// What shows that a receipt of the inference service holds (docs/spec/market.md, "Evidence"); both signatures and the output are in the
/// signed receipt.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The job that the receipt names.
    pub job: Job,
    /// Public input of the window as the feed has it, whole groups of four bytes; none if the terms name no feed.
    pub public_words: Binary,
    /// Siblings from the window's row to the feed's root.
    pub feed_proof: Vec<Hash32>,
    /// A, B, C: 256 bytes.
    pub proof: Binary,
}

/// The verbs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Execute {
    /// The funds sent become the account's.
    Deposit {
        /// Whose.
        account: Address,
    },
    /// An account says where it is paid.
    NamePayee {
        /// What it signed.
        order: Payee,
        /// Its signature in this contract's domain.
        signature: AccountSignature,
    },
    /// Pays what the newest final root owes beyond what was claimed. Anybody; the payee gets the money.
    Claim {
        /// Whose.
        account: Address,
        /// All that it may ever have taken out.
        cumulative: Usd,
        /// Siblings from its leaf to the balances root.
        proof: Vec<Hash32>,
    },
    /// Opens the exit if the newest standing posting is 30 days old. For ever.
    OpenExit {},
    /// Pays an account its part of what no root accounts for, once.
    Exit {
        /// Whose.
        account: Address,
    },
    /// The poster adds the funds sent to its bond.
    BondPoster {},
    /// The poster takes from its bond, while no epoch waits.
    UnbondPoster {
        /// How much.
        amount: Usd,
    },
    /// The governor gives a model its verification key, once and for ever.
    RegisterModel {
        /// The model id.
        model: Hash32,
        /// alpha, beta, gamma, delta, IC0, IC1: 576 bytes, as Groth16Verifier.sol has them.
        key: Binary,
    },
    /// The poster posts the next epoch.
    PostEpoch {
        /// What it says.
        epoch: Epoch,
    },
    /// The auditor strikes a pending epoch and all after it. Moves no money.
    Veto {
        /// The first that falls.
        epoch: u64,
    },
    /// Asks the poster to prove one receipt of a pending epoch; the funds sent are the bond.
    Challenge {
        /// The epoch that holds it.
        epoch: u64,
        /// The receipt.
        receipt: Receipt,
        /// Siblings from its leaf to the receipts root.
        proof: Vec<Hash32>,
    },
    /// Answers an open challenge. Anybody; the poster gets the challenger's bond.
    Answer {
        /// The epoch that holds it.
        epoch: u64,
        /// The receipt with its signatures.
        receipt: SignedReceipt,
        /// What shows that it holds.
        evidence: Evidence,
    },
    /// After the deadline of an unanswered challenge: the epoch falls, the poster's bond goes half to the challenger, half to nobody.
    Resolve {
        /// The epoch.
        epoch: u64,
        /// The receipt's digest.
        digest: Hash32,
    },
    /// Returns the bond of a challenge whose posting fell for another reason.
    RefundChallenge {
        /// The posting.
        post: u32,
        /// The receipt's digest.
        digest: Hash32,
    },
    /// Checks a receipt and its proof now and hands the result to a consumer in the same transaction.
    Deliver {
        /// The contract that takes the result.
        consumer: String,
        /// Its own agreement.
        id: Hash32,
        /// The receipt with its signatures.
        receipt: SignedReceipt,
        /// What shows that it holds.
        evidence: Evidence,
    },
}

/// What a consumer is sent by [`Execute::Deliver`]. It must refuse every sender but the settlement that it trusts, and refuse what does not
/// count: then nothing has happened.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Consume {
    /// One receipt whose proof has just been checked.
    Deliver {
        /// The consumer's own agreement.
        id: Hash32,
        /// The receipt.
        receipt: Receipt,
        /// Its digest.
        digest: Hash32,
        /// Words whose hash is the receipt's output.
        output: Vec<i32>,
        /// Name of the verification key.
        key_hash: Hash32,
    },
}

/// The questions.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Query {
    /// [`crate::state::Config`].
    Config {},
    /// [`crate::state::Books`], as they are now.
    Books {},
    /// [`crate::state::Posted`], or nothing.
    Epoch {
        /// Which.
        number: u64,
    },
    /// [`crate::state::Account`].
    Account {
        /// Whose.
        account: Address,
    },
    /// True if a final epoch's receipts root holds the digest.
    IsSettled {
        /// The receipt's digest.
        digest: Hash32,
        /// The epoch.
        epoch: u64,
        /// Siblings from its leaf.
        proof: Vec<Hash32>,
    },
    /// True, or refused by name.
    VerifyProof {
        /// 576 bytes.
        key: Binary,
        /// The public input, big-endian.
        statement: Hash32,
        /// 256 bytes.
        proof: Binary,
    },
}
