//! A job: what a buyer wants, at what price, with the whole price in escrow.
//!
//! One job gets many receipts; a unit is what its service counts (for weather: one proved station day). The
//! job's id is the EIP-712 digest that the buyer signed, so it binds every term, the chain and the Settlement
//! contract.
//!
//! Refuses: `job.price`, `job.units`, `job.price-overflow`, `job.slots`, `job.devices`, `job.terms-too-long`,
//! `job.window`.

use crate::domain::struct_words;
use crate::hash::{Hash32, keccak};
use crate::key::{Address, Device};
use crate::limits::{JOB_DEVICES_MAX, JOB_SLOTS_MAX, TERMS_BYTES_MAX};
use crate::money::Usd;
use crate::order::Order;
use crate::receipt::Receipt;
use crate::refusal::{Refusal, require};
use serde::{Deserialize, Serialize};

/// The EIP-712 type string. `devices` is `H` of the 32-byte keys one after the other, `terms` is `H` of the
/// bytes.
pub const JOB_TYPE: &str = "Job(address buyer,bytes32 salt,bytes32 service,bytes32 model,bytes32 input,uint64 unitPrice,\
    uint64 maxUnits,uint64 windowFrom,uint64 windowUntil,uint64 deadline,uint8 assurance,\
    uint16 slots,uint64 cell,bytes32 devices,bytes32 terms)";

/// How sure the buyer wants to be; it has a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Assurance {
    /// Nothing is checked.
    None,
    /// A secret sample is checked.
    Sampled,
    /// Accepted unless somebody disputes, with a bond.
    Optimistic,
    /// Every receipt carries a proof.
    Proof,
}

/// What the buyer signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Who pays.
    pub buyer: Address,
    /// Drawn by the buyer: makes the id unique, and the draw of nodes unforeseeable for the coordinator.
    pub salt: Hash32,
    /// The service.
    pub service: Hash32,
    /// The model id.
    pub model: Hash32,
    /// The input commitment wanted; zero when each receipt brings its own (a device's data).
    pub input: Hash32,
    /// Price of one unit, what the buyer pays.
    pub unit_price: Usd,
    /// Most units that are paid; the escrow is `unit_price * max_units`.
    pub max_units: u64,
    /// No window may start before this Unix second.
    pub window_from_s: u64,
    /// No window may end after this Unix second.
    pub window_until_s: u64,
    /// Receipts delivered from this Unix second on are not paid.
    pub deadline_s: u64,
    /// How receipts are checked.
    pub assurance: Assurance,
    /// Nodes to draw.
    pub slots: u16,
    /// Devices must stand in this cell; 0 for anywhere.
    pub cell: u64,
    /// Devices whose receipts are wanted, strictly ascending; empty for any.
    pub devices: Vec<Device>,
    /// The service's own terms, in the service's encoding.
    pub terms: Vec<u8>,
}

impl Job {
    /// `unit_price * max_units`, after every rule that needs no state.
    ///
    /// # Errors
    /// The names in the head of this file.
    pub fn escrow(&self) -> Result<Usd, Refusal> {
        require(!self.unit_price.is_zero(), "job.price", "a price above zero", self.unit_price)?;
        require(self.max_units > 0, "job.units", "at least one unit", self.max_units)?;
        require(
            (1..=JOB_SLOTS_MAX).contains(&self.slots),
            "job.slots",
            format_args!("1 to {JOB_SLOTS_MAX}"),
            self.slots,
        )?;
        let ascending = self.devices.is_sorted_by(|a, b| a < b);
        let count = self.devices.len();
        require(
            ascending && count <= JOB_DEVICES_MAX,
            "job.devices",
            format_args!("at most {JOB_DEVICES_MAX}, strictly ascending"),
            format_args!("{count}, ascending: {ascending}"),
        )?;
        require(
            self.terms.len() <= TERMS_BYTES_MAX,
            "job.terms-too-long",
            TERMS_BYTES_MAX,
            self.terms.len(),
        )?;
        let from = self.window_from_s;
        require(
            from < self.window_until_s,
            "job.window",
            format_args!("an end after {from}"),
            self.window_until_s,
        )?;
        self.unit_price.checked_mul(self.max_units).ok_or_else(|| {
            Refusal::new("job.price-overflow", "unit price x units below 2^64", self.max_units)
        })
    }
}

impl Job {
    /// Refuses a receipt that breaks a term of the job that its fields alone show; `at_s` is now, Unix.
    ///
    /// # Errors
    /// `receipt.wrong-device`, `receipt.wrong-service`, `receipt.wrong-model`, `receipt.wrong-input`, `receipt.wrong-window`,
    /// `receipt.window-not-over`, `receipt.no-units`.
    pub fn require_kept(&self, receipt: &Receipt, at_s: u64) -> Result<(), Refusal> {
        let wanted = self.devices.is_empty() || self.devices.binary_search(&receipt.device).is_ok();
        require(wanted, "receipt.wrong-device", "a device of the node that the job wants", receipt.device)?;
        require(receipt.service == self.service, "receipt.wrong-service", self.service, receipt.service)?;
        require(receipt.model == self.model, "receipt.wrong-model", self.model, receipt.model)?;
        let any_input = self.input == Hash32::ZERO;
        require(any_input || receipt.input == self.input, "receipt.wrong-input", self.input, receipt.input)?;
        let inside = receipt.window_start >= self.window_from_s && receipt.window_end <= self.window_until_s;
        let forward = receipt.window_start < receipt.window_end;
        let span = format_args!("{} to {}", self.window_from_s, self.window_until_s);
        let got = format_args!("{} to {}", receipt.window_start, receipt.window_end);
        require(inside && forward, "receipt.wrong-window", span, got)?;
        let over = receipt.window_end <= at_s;
        require(over, "receipt.window-not-over", format_args!("an end by {at_s}"), receipt.window_end)?;
        require(receipt.units > 0, "receipt.no-units", "at least one unit", receipt.units)
    }
}

impl Order for Job {
    fn signer(&self) -> Address {
        self.buyer
    }

    fn struct_hash(&self) -> Hash32 {
        let devices: Vec<u8> = self.devices.iter().flat_map(|device| device.0).collect();
        struct_words(JOB_TYPE)
            .address(&self.buyer.0)
            .hash(&self.salt)
            .hash(&self.service)
            .hash(&self.model)
            .hash(&self.input)
            .uint(self.unit_price.micro())
            .uint(self.max_units)
            .uint(self.window_from_s)
            .uint(self.window_until_s)
            .uint(self.deadline_s)
            .uint(self.assurance as u64)
            .uint(u64::from(self.slots))
            .uint(self.cell)
            .hash(&keccak(&devices))
            .hash(&keccak(&self.terms))
            .keccak()
    }
}
