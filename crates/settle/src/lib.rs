//! Proofmesh and chains: one trait of domain verbs, [`Settlement`], and what implements it.
//!
//! [`Chain::open`] takes a URL (`embedded:<directory>` or `http://...`), [`Chain::deploy`] or
//! [`Chain::attach`] gives the verbs. The
//! embedded chain is a real EVM in this process with its state on disk; remote chains are reached over
//! JSON-RPC by the same code.
//!
//! ```no_run
//! # async fn example() -> proofmesh_settle::Result<()> {
//! use proofmesh_market::{AccountSecret, Usd};
//! use proofmesh_settle::{Chain, Clock, DeployParams, Signer};
//!
//! let governor = Signer::new(&AccountSecret::from_bytes([1; 32]).expect("a scalar"));
//! let chain = Chain::open("embedded:./chain", Clock::system()).await?;
//! let contracts = chain.deploy(&governor, &DeployParams::of(governor.account())).await?;
//! contracts.mint(&governor, governor.account(), Usd::from_micro(5_000_000)).await?;
//! contracts.deposit(&governor, Usd::from_micro(5_000_000)).await?;
//! let record = contracts.deployment(); // JSON: keep it, and chain.attach(record) next time
//! # Ok(()) }
//! ```

mod chain;
mod deployment;
pub mod embedded;
mod error;
mod evm;
mod probe;
mod profile;
mod remote;
mod settlement;
mod signer;

pub use chain::{CHAINS, Chain, ChainKind};
pub use deployment::{DeployParams, Deployment};
pub use embedded::Clock;
pub use error::{Result, SettleError};
pub use evm::{Evm, abi};
pub use probe::{Check, Outcome, Probe};
pub use profile::{
    ChainProfile, DataFee, EMBEDDED_CHAIN_ID, Fork, GasPolicy, PROFILES, Prices, ProofGas, Source, profile,
    profile_named,
};
pub use settlement::*;
pub use signer::Signer;
