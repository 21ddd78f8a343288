//! The rules of work and money: who owes whom, as a pure fold over signed events.
//!
//! No clock, no disk, no network, no name of a service. Time, chance and the world arrive as
//! [`event::Event`]s; [`state::State::step`] takes one and gives effects, or refuses it and stays as it was.
//! Start at [`event::What`] for what can happen, and at [`step`] for what it does.
//!
//! Encodings: docs/spec/market.md. Vectors: /vectors/receipts.json and /vectors/market.json.

pub mod audit;
pub mod domain;
pub mod epoch;
pub mod event;
pub mod guard;
pub mod hash;
pub mod job;
pub mod key;
pub mod ledger;
pub mod limits;
pub mod many;
pub mod money;
pub mod order;
pub mod payee;
pub mod receipt;
pub mod refusal;
pub mod state;
pub mod statement;
pub mod step;
pub mod tree;
pub mod verdict;
pub mod verified;

pub use domain::Domain;
pub use epoch::Epoch;
pub use event::{ChainRef, Entry, Event, Rules, What};
pub use guard::Guards;
pub use hash::{Hash32, keccak, tag};
pub use job::{Assurance, Job};
pub use key::{AccountSecret, AccountSignature, Address, Device, DeviceSecret, DeviceSignature};
pub use many::devices::{DeviceClaim, Known};
pub use money::Usd;
pub use order::{Order, Signed};
pub use payee::Payee;
pub use receipt::{Receipt, SignedReceipt};
pub use refusal::Refusal;
pub use state::{State, conservation};
pub use step::Effect;
pub use verdict::{
    Blame, Case, Check, Outcome, Reason, Verdict, check, check_delivered, examine, examine_delivered,
};
pub use verified::{Ahead, Verified};
