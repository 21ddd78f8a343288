//! Documents that sum up: members, model cards, an epoch on chain, the money over time.

use super::{EpochDoc, NodeDoc};
use proofmesh_market::{Address, Device, Epoch, Hash32, Usd};
use serde::{Deserialize, Serialize};

/// A device and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacedDevice {
    /// The device.
    pub device: Device,
    /// Its cell: as precise as the market knows a place.
    pub cell: u64,
}

/// A node with its devices and what became of its receipts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberDoc {
    /// The node.
    pub node: NodeDoc,
    /// Its devices.
    pub devices: Vec<PlacedDevice>,
    /// Receipts that were paid.
    pub paid: u64,
    /// Receipts that were refused.
    pub refused: u64,
    /// Receipts that wait for a verdict.
    pub pending: u64,
    /// Its shares.
    pub earned: Usd,
    /// Unix second of its last receipt.
    pub last_s: Option<u64>,
}

/// A tensor of a quantised model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TensorDoc {
    /// Name of the ONNX node that gives it.
    pub name: String,
    /// Channels, rows, columns.
    pub shape: Vec<u64>,
    /// Bits that the calibration set uses.
    pub bits: f64,
    /// Largest weight in bits with its sign, 0 without weights.
    pub weight_bits: u32,
    /// Share of calibration values that were clamped.
    pub clipped: f64,
}

/// A model that jobs may ask for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelDoc {
    /// Its id, bound by every proof.
    pub id: Hash32,
    /// For people.
    pub name: String,
    /// `classify`, `binary`, `reconstruct`.
    pub task: String,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// File name of the ONNX model.
    pub source_file: String,
    /// BLAKE3 hash of the ONNX model.
    pub source_hash: Hash32,
    /// Channels, rows, columns of the input.
    pub input_shape: Vec<u64>,
    /// Words of the input that stay private.
    pub private_words: u64,
    /// Words of the input that the job's feed names.
    pub public_words: u64,
    /// Words of the public output.
    pub output_words: u64,
    /// Weights and biases.
    pub parameters: u64,
    /// Multiply-adds of one inference.
    pub multiply_adds: u64,
    /// ONNX operators with their counts.
    pub operators: Vec<(String, u64)>,
    /// Tensors, the input first.
    pub tensors: Vec<TensorDoc>,
    /// Rows that it was calibrated on.
    pub calibration_rows: u64,
    /// Root mean square error of the integer program's output over the float model's deviation.
    pub calibration_error: f64,
    /// Share of calibration rows with the float model's answer.
    pub calibration_agreement: f64,
    /// Forecast of a proof: milliseconds, bytes, bytes of memory.
    pub prove_ms: f64,
    /// Forecast of the proof's bytes.
    pub proof_bytes: u64,
    /// Forecast of peak memory.
    pub peak_bytes: u64,
    /// Proven soundness.
    pub soundness_bits: f64,
    /// Jobs that asked for it.
    pub jobs: u64,
    /// Receipts by word 0 of the output, in the order of the classes.
    pub said: Vec<u64>,
    /// Things to know.
    pub notes: Vec<String>,
}

/// An epoch as the contract has it now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainEpochDoc {
    /// What was posted, read from the contract.
    pub epoch: Epoch,
    /// When, by the chain's clock.
    pub posted_s: u64,
    /// True once its challenge window is over.
    pub is_final: bool,
    /// Chain id.
    pub chain_id: u64,
    /// The contract.
    pub settlement: Address,
}

/// An epoch in the money over time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PayoutDoc {
    /// Number.
    pub epoch: u64,
    /// Receipts settled.
    pub receipts: u64,
    /// To nodes.
    pub shares: Usd,
    /// To the vault.
    pub fees: Usd,
    /// Sum of all cumulative balances.
    pub total: Usd,
}

/// A job's price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceDoc {
    /// The job.
    pub job: Hash32,
    /// The model.
    pub model: Hash32,
    /// The buyer.
    pub buyer: Address,
    /// Receipts count until this second.
    pub deadline_s: u64,
    /// Price of a unit.
    pub unit_price: Usd,
    /// Units paid.
    pub units: u64,
    /// Units asked for.
    pub max_units: u64,
}

/// Where money came from and went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EconomicsDoc {
    /// Fee, parts per million.
    pub fee_ppm: u64,
    /// Epochs, oldest first.
    pub payouts: Vec<PayoutDoc>,
    /// Jobs by deadline, oldest first.
    pub prices: Vec<PriceDoc>,
    /// Refusals by name, most frequent first.
    pub refusals: Vec<(String, u64)>,
    /// Deposited on chain.
    pub deposited: Usd,
    /// Claimed on chain.
    pub claimed: Usd,
    /// Burned on chain by slashing.
    pub burned: Usd,
    /// Stakes of nodes.
    pub stakes: Usd,
    /// Bond of the poster.
    pub poster_bond: Usd,
    /// Fees of the vault, claimable or claimed: the reserve.
    pub vault: Usd,
    /// Paid by frost covers.
    pub covers_paid: Usd,
}

/// Epochs, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochsDoc {
    /// How many there are.
    pub count: u64,
    /// The newest.
    pub epochs: Vec<EpochDoc>,
}

/// That something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewsDoc {
    /// Events in the log.
    pub events: u64,
    /// The coordinator's clock.
    pub now_s: u64,
}
