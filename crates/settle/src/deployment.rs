//! The record of a deployment: which contracts, where, with which parameters. The caller stores it (JSON) and attaches with it later.

use serde::{Deserialize, Serialize};

use crate::Account;

/// What a deployment is to be. Times in seconds, money in token base units (micro-USD).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeployParams {
    /// Lets one chain hold several deployments with equal parameters; part of every address.
    pub salt: u64,
    /// The only account that posts epochs.
    #[serde(with = "alloy::hex::serde")]
    pub poster: Account,
    /// May veto an epoch that is not final; zero for none.
    #[serde(with = "alloy::hex::serde")]
    pub auditor: Account,
    /// Grants roles and sets verifiers in the registry; mints test money. Moves no money of others.
    #[serde(with = "alloy::hex::serde")]
    pub governor: Account,
    /// Challenge window.
    pub challenge_window_s: u64,
    /// Time to answer a challenge. Window and this together stay below 7 days (WeatherCover's bound).
    pub response_time_s: u64,
    /// Bond of the poster.
    pub poster_bond: u64,
    /// Bond of a challenger.
    pub challenge_bond: u64,
    /// Delay before a node gets a bond back.
    pub unbonding_delay_s: u64,
}

/// A deployment as it stands on a chain. Addresses follow from the parameters alone (CREATE2), so deploying again finds the same one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Block from which events are read.
    pub first_block: u64,
    /// Test token.
    #[serde(with = "alloy::hex::serde")]
    pub token: Account,
    /// Registry.
    #[serde(with = "alloy::hex::serde")]
    pub registry: Account,
    /// Settlement; the verifying contract of receipts.
    #[serde(with = "alloy::hex::serde")]
    pub settlement: Account,
    /// Stake.
    #[serde(with = "alloy::hex::serde")]
    pub stake: Account,
    /// WeatherCover.
    #[serde(with = "alloy::hex::serde")]
    pub cover: Account,
    /// Parameters it was made with.
    pub params: DeployParams,
}
