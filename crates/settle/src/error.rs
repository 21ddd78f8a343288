//! What can go wrong between us and a chain. Every error has a stable code; custom Solidity errors come
//! back by their own names.

/// Result of this crate.
pub type Result<T> = std::result::Result<T, SettleError>;

/// Why a call to a chain gave no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettleError {
    /// A contract refused the call. `name` is the Solidity error's name, `detail` its decoded arguments (or
    /// the raw bytes, if unknown).
    #[error("{contract} refused: {name} {detail}")]
    Reverted {
        /// Contract whose interface has the error, or `?`.
        contract: &'static str,
        /// Name of the Solidity error, such as `NothingToClaim`.
        name: String,
        /// Arguments, for people.
        detail: String,
    },
    /// The thing is on the chain already, with other content: a fault of the caller or of another writer.
    #[error("{what} is on the chain with other content: expected {expected}, found {found}")]
    Conflict {
        /// Kind and id of the thing.
        what: String,
        /// What the caller wanted.
        expected: String,
        /// What the chain has.
        found: String,
    },
    /// The chain did not mine the transaction in time. It may still be mined: calling the same verb again
    /// is safe.
    #[error("transaction {tx} is not mined after {waited_ms} ms")]
    Pending {
        /// Transaction hash, hex.
        tx: String,
        /// Time waited, milliseconds.
        waited_ms: u64,
    },
    /// Other transactions of this account kept taking the nonce: the account is used from elsewhere.
    #[error("account {account} is in use elsewhere: nonce {nonce} was taken")]
    NonceTaken {
        /// The account, hex.
        account: String,
        /// The nonce.
        nonce: u64,
    },
    /// The block that a cursor points at is no longer on the chain: read again from an earlier cursor.
    #[error("block {block} is no longer on the chain")]
    Reorg {
        /// Block number of the cursor.
        block: u64,
    },
    /// Gas costs more now than the chain's row lets us pay. Nothing was sent; the same call works when it is cheaper.
    #[error("gas costs {asked} wei now, at most {most} are paid: wait, or raise the row's max_fee")]
    FeeTooHigh {
        /// Price of a unit of gas, wei.
        asked: u128,
        /// The row's bound, wei.
        most: u128,
    },
    /// This chain has no such operation (passing time on a real chain, for example).
    #[error("{0} is not possible on this chain")]
    Unsupported(&'static str),
    /// A URL, record or argument that makes no sense.
    #[error("bad {what}: {why}")]
    BadInput {
        /// Which argument.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The chain is not the one, or not in the state, that the record says.
    #[error("wrong chain: {0}")]
    WrongChain(String),
    /// The node at the other end failed or answered nonsense.
    #[error("rpc: {0}")]
    Rpc(String),
    /// The embedded chain's store failed.
    #[error("store: {0}")]
    Store(String),
}

impl SettleError {
    /// Stable code of the error, for logs and for people who search.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Reverted { .. } => "settle.reverted",
            Self::Conflict { .. } => "settle.conflict",
            Self::Pending { .. } => "settle.pending",
            Self::NonceTaken { .. } => "settle.nonce-taken",
            Self::Reorg { .. } => "settle.reorg",
            Self::FeeTooHigh { .. } => "settle.fee-too-high",
            Self::Unsupported(_) => "settle.unsupported",
            Self::BadInput { .. } => "settle.bad-input",
            Self::WrongChain(_) => "settle.wrong-chain",
            Self::Rpc(_) => "settle.rpc",
            Self::Store(_) => "settle.store",
        }
    }

    /// Name of the Solidity error, if a contract refused.
    pub fn revert_name(&self) -> Option<&str> {
        match self {
            Self::Reverted { name, .. } => Some(name),
            _ => None,
        }
    }

    /// True if the same call may succeed later without any change (a retry, not a fault).
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Pending { .. } | Self::NonceTaken { .. } | Self::FeeTooHigh { .. } | Self::Rpc(_)
        )
    }

    pub(crate) fn bad(what: &'static str, why: impl ToString) -> Self {
        Self::BadInput { what, why: why.to_string() }
    }
}
