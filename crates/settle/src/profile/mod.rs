//! What differs between EVM chains, as a table: one row a chain ([`PROFILES`]), chosen by chain id. A row says how
//! fees are set, what the operations cost that our contracts use, when a block counts as final, and where each
//! figure comes from; what nobody could look up is marked as assumed. The embedded chain runs by the rules of any
//! row ([`Chain::rehearse`](crate::Chain::rehearse)); [`Chain::probe`](crate::Chain::probe) asks a live chain
//! whether the row still holds.

mod rows;

use serde::Serialize;

pub use rows::{EMBEDDED_CHAIN_ID, PROFILES};

/// How fees are set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum GasPolicy {
    /// Gas costs nothing here.
    Free,
    /// EIP-1559: twice the newest base fee plus the node's suggested tip.
    Market,
    /// One price, the node's suggestion; transactions without EIP-2718 types.
    Legacy,
}

/// What a chain above another one charges for having its data posted there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataFee {
    /// Nothing: the chain keeps its own data.
    None,
    /// Taken from the sender's balance beside the gas, by the bytes of the signed transaction (OP stack).
    FromBalance,
    /// Counted as gas, so that it is part of every estimate (Arbitrum).
    AsGas,
}

/// Rules of execution, by Ethereum's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fork {
    /// May 2025. The contracts are compiled for it, since every row has it.
    Prague,
    /// December 2025: P-256 at 0x100, at most 2^24 gas a transaction.
    Osaka,
}

/// Gas of what the contracts use and chains price differently. Everything else costs what the fork says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Prices {
    /// BN254 addition (precompile 0x06).
    pub bn254_add: u64,
    /// BN254 multiplication (0x07).
    pub bn254_mul: u64,
    /// BN254 pairing product (0x08): a constant, and for each pair.
    pub bn254_pairing: [u64; 2],
    /// P-256 verification at 0x100; `None` where it is not there.
    pub p256: Option<u64>,
    /// First read of a slot in a transaction.
    pub cold_sload: u64,
    /// What the first access to a slot adds to a write.
    pub cold_sstore: u64,
    /// A transaction before anything else.
    pub transaction: u64,
    /// A byte of calldata: zero, and not zero.
    pub calldata: [u64; 2],
    /// EIP-7623's least price of a zero byte (four times as much for others); 0 where there is none.
    pub calldata_floor: u64,
}

impl Prices {
    /// EIP-1108, 2929, 3529, 7623.
    pub const ETHEREUM: Self = Self {
        bn254_add: 150,
        bn254_mul: 6_000,
        bn254_pairing: [45_000, 34_000],
        p256: None,
        cold_sload: 2_100,
        cold_sstore: 2_100,
        transaction: 21_000,
        calldata: [4, 16],
        calldata_floor: 10,
    };

    /// Gas of a product of `pairs` pairings.
    pub const fn pairing(&self, pairs: u64) -> u64 {
        self.bn254_pairing[0] + pairs * self.bn254_pairing[1]
    }

    /// Gas of the precompiles behind one check of a Groth16 proof: one addition, one multiplication, four
    /// pairings.
    pub const fn groth16(&self) -> u64 {
        self.bn254_add + self.bn254_mul + self.pairing(4)
    }
}

/// What proofs cost on a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ProofGas {
    /// Gas that a verifier gives to the addition, the multiplication and the pairing product of BN254: twice the
    /// chain's price, since a verifier is for ever and prices move. An invalid point burns this and no more.
    pub caps: [u64; 3],
    /// Gas limit of a transaction that has one proof checked. `None` where a fixed one cannot be known and the
    /// chain is asked: an estimate searches for the least gas that does not fail, and each of its tries pays for
    /// a pairing, so it is slow; but it is right, since a verifier reverts on every failure.
    pub limit: Option<u64>,
}

impl ProofGas {
    /// Twice the prices; `limit` as given.
    pub const fn twice(prices: &Prices, limit: Option<u64>) -> Self {
        Self { caps: [2 * prices.bn254_add, 2 * prices.bn254_mul, 2 * prices.pairing(4)], limit }
    }
}

/// Where figures of a row come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Source {
    /// Which figures.
    pub what: &'static str,
    /// Document, and its date; or why it is assumed.
    pub from: &'static str,
    /// True if nobody looked it up: the probe asks the chain.
    pub assumed: bool,
}

/// Constants of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ChainProfile {
    /// Name for people.
    pub name: &'static str,
    /// EIP-155 chain id; 0 in the row that fits any other.
    pub chain_id: u64,
    /// Chain ids of its test networks, which have the same rules.
    pub test_ids: &'static [u64],
    /// What it is, in a few words.
    pub about: &'static str,
    /// Rules of execution.
    pub fork: Fork,
    /// Prices.
    pub prices: Prices,
    /// What a transaction with a proof may use.
    pub proofs: ProofGas,
    /// Fees.
    pub gas: GasPolicy,
    /// What is paid beside execution.
    pub data_fee: DataFee,
    /// Most that is ever paid for a unit of gas, wei: a spike is waited out, and a node that lies about fees
    /// cannot empty an account.
    pub max_fee: u128,
    /// Gas of a block.
    pub block_gas: u64,
    /// Blocks, counting its own, after which a transaction counts as settled.
    pub confirmations: u64,
    /// Blocks that may still be replaced. At least this many confirm what must not be undone.
    pub reorg_depth: u64,
    /// Time of a block, milliseconds.
    pub block_ms: u64,
    /// Pause between two looks at the chain, milliseconds.
    pub poll_ms: u64,
    /// How long a verb waits for its transaction, milliseconds.
    pub wait_ms: u64,
    /// True if time can be made to pass.
    pub development: bool,
    /// Where the figures come from.
    pub sources: &'static [Source],
    /// What to know before using it.
    pub notes: &'static [&'static str],
}

impl ChainProfile {
    /// Most gas that a transaction may ask for.
    pub const fn transaction_gas(&self) -> u64 {
        match self.fork {
            Fork::Prague => self.block_gas,
            Fork::Osaka if self.block_gas < OSAKA_TRANSACTION_GAS => self.block_gas,
            Fork::Osaka => OSAKA_TRANSACTION_GAS,
        }
    }

    /// True in the row that fits any chain.
    pub const fn is_any(&self) -> bool {
        self.chain_id == 0
    }

    /// True if the row is about this chain id.
    pub fn is_for(&self, chain_id: u64) -> bool {
        self.is_any() || self.chain_id == chain_id || self.test_ids.contains(&chain_id)
    }
}

/// EIP-7825.
const OSAKA_TRANSACTION_GAS: u64 = 1 << 24;

/// The row of a chain id.
pub fn profile(chain_id: u64) -> &'static ChainProfile {
    let any = &PROFILES[PROFILES.len() - 1];
    PROFILES.iter().find(|p| p.is_for(chain_id)).unwrap_or(any)
}

/// The row of that name, `None` if there is none.
pub fn profile_named(name: &str) -> Option<&'static ChainProfile> {
    PROFILES.iter().find(|p| p.name == name)
}
