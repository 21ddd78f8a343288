//! Proofmesh and chains: one trait of domain verbs, [`Settlement`], and what implements it.
//!
//! [`Chain::open`] takes a URL (`embedded:<directory>` or `http://...`), [`Chain::deploy`] or
//! [`Chain::attach`] gives the verbs. The
//! embedded chain is a real EVM in this process with its state on disk; remote chains are reached over
//! JSON-RPC by the same code.

mod chain;
mod deployment;
pub mod embedded;
mod error;
mod evm;
mod settlement;
mod signer;

pub use chain::{CHAINS, Chain, ChainKind, ChainProfile, EMBEDDED_CHAIN_ID, GasPolicy, PROFILES, profile};
pub use deployment::{DeployParams, Deployment};
pub use embedded::Clock;
pub use error::{Result, SettleError};
pub use evm::{Evm, abi};
pub use settlement::*;
pub use signer::Signer;
