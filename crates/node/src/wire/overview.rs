//! Documents that sum up: members, model cards, an epoch on chain, the money over time.

use super::{EpochDoc, NodeDoc};
use proofmesh_market::guard::{Guarded, Guards, Limits, Listing, Panel, required};
use proofmesh_market::state::{Node, Standing};
use proofmesh_market::{Address, Device, Epoch, Hash32, State, Usd};
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

/// A checker's seat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeatDoc {
    /// The checker.
    pub checker: Address,
    /// What it has at stake.
    pub pledge: Usd,
    /// Whether that is enough to be drawn, to vote and to commit.
    pub seated: bool,
}

/// What a node's offers of a service take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitDoc {
    /// The service.
    pub service: Hash32,
    /// The least unit price.
    pub least: Usd,
    /// Jobs that name no device, so many at a time.
    pub open: u16,
    /// Nonce of the order that said so; the next has to be above it.
    pub nonce: u64,
}

/// A node's standing with the guards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberGuardDoc {
    /// The node.
    pub node: Address,
    /// What it has at stake.
    pub pledge: Usd,
    /// Nonce of its next pledge.
    pub nonce: u64,
    /// Its offers: service, the most that may be open at a time, and until when.
    pub listings: Vec<(Hash32, Usd, u64)>,
    /// What they take; anything of a service that is not named.
    pub limits: Vec<LimitDoc>,
    /// Value of its parts of open jobs.
    pub at_risk: Usd,
    /// Times that it was caught.
    pub caught: u32,
    /// When it was frozen and the number of that event, if it is frozen.
    pub frozen: Option<(u64, u64)>,
    /// Times put to rest.
    pub rests: u32,
    /// No work before this Unix second.
    pub rest_until_s: u64,
}

/// A panel that sits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PanelDoc {
    /// The receipt.
    pub receipt: Hash32,
    /// `blamed`, `sampled`, `escalated`, `disputed`.
    pub why: String,
    /// Unix second.
    pub opened_s: u64,
    /// Who may vote.
    pub seats: u64,
    /// Votes so far.
    pub votes: u64,
}

/// The guards of a market and what they know: who pledged what, who is caught or rests, where the beacon is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardsDoc {
    /// Their values.
    pub guards: Guards,
    /// The beacon's newest value; zero before the first.
    pub beacon: Hash32,
    /// The oldest round without a value.
    pub next_round: u64,
    /// Measured detection rate by service, parts per million; services without a measurement have the prior's.
    pub detection_ppm: Vec<(Hash32, u64)>,
    /// That prior's.
    pub prior_ppm: u64,
    /// The checkers.
    pub seats: Vec<SeatDoc>,
    /// Nodes that ever offered or pledged.
    pub members: Vec<MemberGuardDoc>,
    /// Certified devices.
    pub certified: Vec<Device>,
    /// Panels that sit.
    pub panels: Vec<PanelDoc>,
}

impl GuardsDoc {
    pub(crate) fn of(state: &State, guarded: &Guarded) -> Self {
        let checkers = state.rules().map_or(&[][..], |rules| &rules.checkers);
        let nonce = |account: &Address| guarded.nonces.get(account).copied().unwrap_or_default();
        let seat = |checker: &Address| {
            let pledge = state.pledge(checker);
            SeatDoc { checker: *checker, pledge, seated: pledge >= guarded.guards.checker_pledge }
        };
        let member = |(address, node): (&Address, &Node)| {
            let member = guarded.members.get(address).cloned().unwrap_or_default();
            let listing = |(service, it): (&Hash32, &Listing)| (*service, it.exposure, it.until_s);
            let limit = |(service, it): (&Hash32, &Limits)| {
                let Limits { least, open, nonce } = *it;
                LimitDoc { service: *service, least, open, nonce }
            };
            let frozen = match node.standing {
                Standing::Frozen { since_s, at_event } => Some((since_s, at_event)),
                Standing::Active | Standing::Jailed => None,
            };
            MemberGuardDoc {
                node: *address,
                pledge: state.pledge(address),
                nonce: nonce(address),
                listings: member.listings.iter().map(listing).collect(),
                limits: member.limits.iter().map(limit).collect(),
                at_risk: member.at_risk(),
                caught: node.penalties,
                frozen,
                rests: member.rests,
                rest_until_s: member.rest_until_s,
            }
        };
        let panel = |(receipt, panel): (&Hash32, &Panel)| PanelDoc {
            receipt: *receipt,
            why: format!("{:?}", panel.why).to_lowercase(),
            opened_s: panel.opened_s,
            seats: panel.seats.len() as u64,
            votes: panel.votes.len() as u64,
        };
        let measured = |service: &Hash32| (*service, guarded.detection_ppm(service));
        GuardsDoc {
            guards: guarded.guards.clone(),
            beacon: guarded.beacon.value,
            next_round: guarded.beacon.next,
            detection_ppm: guarded.detection.keys().map(measured).collect(),
            prior_ppm: guarded.detection_ppm(&Hash32::ZERO),
            seats: checkers.iter().map(seat).collect(),
            members: state.nodes().iter().map(member).collect(),
            certified: guarded.certified.iter().copied().collect(),
            panels: guarded.panels.iter().map(panel).collect(),
        }
    }

    /// The pledge that an offer of this size needs now.
    #[must_use]
    pub fn pledge_for(&self, exposure: Usd, service: &Hash32) -> Usd {
        let known = self.detection_ppm.iter().find(|(of, _)| of == service);
        required(exposure, known.map_or(self.prior_ppm, |(_, rate)| *rate)).max(self.guards.pledge_min)
    }
}
