//! What the coordinator stands on: a chain with the contracts, its own accounts there, and the terms of a new
//! market.

use super::Config;
use crate::engine::blobs::replace;
use crate::engine::crash;
use crate::engine::keys::Keys;
use crate::fault::{Fault, Result};
use crate::onchain::{self, Registered};
use proofmesh_market::{Address, Domain, Guards, Hash32, Rules, Usd};
use proofmesh_settle::{Chain, DeployParams, Deployment, Roles, Settlement, Signer, VerifierKey};
use std::path::Path;
use std::sync::Arc;

/// Longest challenge window: with the response time it stays below the cover's bound of 7 days.
pub const WINDOW_MAX_S: u64 = 6 * 86_400;
/// What each checker of a guarded market has at stake.
pub const CHECKER_PLEDGE: Usd = Usd::from_micro(50_000_000);

/// Terms of a new market. What can go wrong with them, the market and the contracts refuse.
#[derive(Clone, Debug)]
pub struct MarketTerms {
    /// Seconds in which a posted epoch can be challenged.
    pub challenge_window_s: u64,
    /// Seconds in which a verdict can be disputed.
    pub dispute_window_s: u64,
    /// Fee, parts per million.
    pub fee_ppm: u64,
    /// Least stake of a node.
    pub min_stake: Usd,
    /// Bond of the poster.
    pub poster_bond: Usd,
    /// Whether lying is made a loss by pledges, a beacon, panels and rests; else one checker judges alone.
    pub guarded: bool,
}

impl Default for MarketTerms {
    fn default() -> Self {
        MarketTerms {
            challenge_window_s: 3_600,
            dispute_window_s: 0,
            fee_ppm: 20_000,
            min_stake: Usd::from_micro(20_000_000),
            poster_bond: Usd::from_micro(100_000_000),
            guarded: true,
        }
    }
}

impl MarketTerms {
    pub(super) fn rules(&self, domain: Domain, vault: Address, mut checkers: Vec<Address>) -> Rules {
        checkers.truncate(if self.guarded { checkers.len() } else { 1 });
        Rules {
            domain,
            vault,
            fee_ppm: self.fee_ppm,
            checkers,
            min_stake: self.min_stake,
            freeze_after: 3,
            freeze_s: 86_400,
            penalty: Usd::from_micro(1_000_000),
            bond: Usd::from_micro(1_000_000),
            dispute_window_s: self.dispute_window_s,
            resolve_s: 7 * 86_400,
            judge_s: 7 * 86_400,
        }
    }

    /// The guards of a new market: the values that are attacked in `proofmesh sim`, with rounds that one machine can wait
    /// for. `maker` certifies devices.
    pub(super) fn guards(&self, maker: Address) -> Option<Guards> {
        self.guarded.then(|| Guards {
            round_s: 1,
            reveal_s: 60,
            reveal_penalty: Usd::from_micro(5_000_000),
            checker_pledge: CHECKER_PLEDGE,
            recheck_ppm: 200_000,
            prior_caught: 6,
            prior_missed: 3,
            pledge_min: Usd::from_micro(10_000_000),
            listing_fee: Usd::from_micro(1_000_000),
            quality_receipts: 10,
            quality_ppm: 500_000,
            absences: 2,
            rest_s: 14 * 86_400,
            jail_after: 3,
            makers: vec![maker],
        })
    }

    fn params(&self, poster: Address, governor: Address) -> DeployParams {
        DeployParams {
            salt: 0,
            poster,
            auditor: governor,
            governor,
            challenge_window_s: self.challenge_window_s,
            response_time_s: 600,
            poster_bond: self.poster_bond,
            challenge_bond: Usd::from_micro(10_000_000),
            unbonding_delay_s: 7 * 86_400,
            verifier_delay_s: 7 * 86_400,
        }
    }
}

/// The chain and the coordinator's accounts on it.
pub(super) struct Ground {
    pub(super) chain: Chain,
    pub(super) settlement: Arc<dyn Settlement>,
    pub(super) governor: Signer,
    pub(super) poster: Signer,
}

impl Ground {
    /// Opens the chain; the contracts, roles and bond that are missing are made. Safe to call again, also
    /// after a crash in the middle.
    pub(super) async fn open(config: &Config, keys: &Keys) -> Result<Self> {
        let governor = Signer::new(&keys.account("governor")?);
        let poster = Signer::new(&keys.account("poster")?);
        let url = config.chain.clone().unwrap_or_else(|| embedded_url(&config.dir));
        let chain = Chain::open(&url, config.time.for_chain()).await?;
        let path = config.dir.join("deployment.json");
        let settlement = match read_deployment(&config.dir)? {
            Some(deployment) => chain.attach(&deployment).await?,
            None => {
                let params = config.terms.params(poster.account(), governor.account());
                let settlement = chain.deploy(&governor, &params).await?;
                crash::point();
                let text = serde_json::to_vec_pretty(settlement.deployment())
                    .map_err(|error| Fault::trouble("deployment.json", "a record", error))?;
                replace(&path, &text)?;
                settlement
            }
        };
        config.time.reach(settlement.now().await?);
        let ground = Ground { chain, settlement, governor, poster };
        ground.stand().await?;
        Ok(ground)
    }

    /// Roles of the governor and the bond of the poster.
    pub(super) async fn stand(&self) -> Result<()> {
        let both = Roles { maker: true, publisher: true };
        self.settlement.set_roles(&self.governor, self.governor.account(), both).await?;
        crash::point();
        let wanted = self.settlement.deployment().params.poster_bond;
        let bonded = self.settlement.poster_bond().await?;
        if let Some(short) = wanted.checked_sub(bonded).filter(|short| !short.is_zero()) {
            if self.settlement.profile().development {
                self.settlement.mint(&self.governor, self.poster.account(), short).await?;
                crash::point();
            }
            self.settlement.bond_poster(&self.poster, wanted).await?;
            crash::point();
        }
        Ok(())
    }

    /// Registers a model's id, with the verifier of its key if it has one; one that stands without gets it when `ready`.
    pub(super) async fn register_model(
        &self,
        id: Hash32,
        key: Option<&VerifierKey>,
        ready: bool,
    ) -> Result<Registered> {
        let registered = onchain::register(&*self.settlement, &self.governor, id, key, ready).await?;
        crash::point();
        Ok(registered)
    }
}

/// URL of the embedded chain in a coordinator's directory.
#[must_use]
pub fn embedded_url(dir: &Path) -> String {
    format!("embedded:{}", dir.join("chain").display())
}

/// The record of the contracts of a coordinator's directory, `None` before there are any.
///
/// # Errors
/// `deployment.json`, `file.io`.
pub fn read_deployment(dir: &Path) -> Result<Option<Deployment>> {
    let path = dir.join("deployment.json");
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Fault::file(&path, &error)),
    };
    let deployment = serde_json::from_slice(&text)
        .map_err(|error| Fault::trouble("deployment.json", "the record of a deployment", error))?;
    Ok(Some(deployment))
}
