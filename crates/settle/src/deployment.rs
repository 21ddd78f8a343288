//! The record of a deployment: which contracts, where, with which parameters. The caller stores it (JSON)
//! and attaches with it later.

use proofmesh_market::{Address, Domain, Usd};
use serde::{Deserialize, Serialize};

/// What a deployment is to be. Times in seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeployParams {
    /// Lets one chain hold several deployments with equal parameters; part of every address.
    pub salt: u64,
    /// The only account that posts epochs.
    pub poster: Address,
    /// May veto an epoch that is not final; zero for none.
    pub auditor: Address,
    /// Grants roles and sets verifiers in the registry; mints test money. Moves no money of others.
    pub governor: Address,
    /// Challenge window.
    pub challenge_window_s: u64,
    /// Time to answer a challenge. Window and this together stay below 7 days (WeatherCover's bound).
    pub response_time_s: u64,
    /// Bond of the poster.
    pub poster_bond: Usd,
    /// Bond of a challenger.
    pub challenge_bond: Usd,
    /// Delay before a node gets a bond back.
    pub unbonding_delay_s: u64,
    /// Delay before the verifier of a class that has models counts. Longer than window and response time
    /// together, so that a poster can finish and leave first.
    pub verifier_delay_s: u64,
}

impl DeployParams {
    /// For a network of one operator: it governs and posts, nobody may veto. An hour's window, 10 minutes
    /// to answer, 100 USD of the poster, 10 USD of a challenger, 7 days of unbonding.
    pub fn of(operator: Address) -> Self {
        let usd = |dollars: u64| Usd::from_micro(dollars * 1_000_000);
        Self {
            salt: 0,
            poster: operator,
            auditor: Address([0; 20]),
            governor: operator,
            challenge_window_s: 3_600,
            response_time_s: 600,
            poster_bond: usd(100),
            challenge_bond: usd(10),
            unbonding_delay_s: 7 * 86_400,
            verifier_delay_s: 7 * 86_400,
        }
    }
}

/// A deployment as it stands on a chain. Addresses follow from the parameters alone (CREATE2), so deploying
/// again finds the same one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Block from which events are read.
    pub first_block: u64,
    /// Test token.
    pub token: Address,
    /// Registry.
    pub registry: Address,
    /// Settlement; the verifying contract of receipts.
    pub settlement: Address,
    /// Transitions: judges accusations of epochs.
    pub transitions: Address,
    /// Delivery: checks proofs and hands results over.
    pub delivery: Address,
    /// Stake.
    pub stake: Address,
    /// WeatherCover.
    pub cover: Address,
    /// Parameters it was made with.
    pub params: DeployParams,
}

impl Deployment {
    /// The domain in which receipts are signed.
    pub fn domain(&self) -> Domain {
        Domain { chain_id: self.chain_id, settlement: self.settlement }
    }
}
