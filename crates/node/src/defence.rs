//! The poster answers by itself: a demand on chain for a receipt whose proof is wrappable is answered from the evidence that the market has, by
//! the proving key of this directory, without the node that made it.
//!
//! The chain says what is open, so a restart forgets nothing. One demand at a time, those that end first before the others; each takes half a
//! minute to minutes of all cores and two gigabytes, of the ten minutes or more that the contract leaves.

use crate::challenge::defend;
use crate::client::Client;
use crate::coordinator::{Coordinator, Demand};
use crate::fault::{Kind, Result};
use proofmesh_market::{Hash32, SignedReceipt};
use std::collections::BTreeSet;
use std::time::Duration;

/// How often the chain is looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// Answers until the chain or the coordinator fails, and then says so.
pub async fn stay(coordinator: &Coordinator, client: &Client, tell: &(dyn Fn(&str) + Sync)) {
    let mut left = BTreeSet::new();
    loop {
        if let Err(fault) = once(coordinator, client, tell, &mut left).await {
            return tell(&format!("demands on chain: {fault}"));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Answers every demand that is open, but for those `left` alone: what cannot be answered here is said once. Gives what was answered, with the gas.
///
/// # Errors
/// Trouble.
pub async fn once(
    coordinator: &Coordinator,
    client: &Client,
    tell: &(dyn Fn(&str) + Sync),
    left: &mut BTreeSet<Hash32>,
) -> Result<Vec<(Demand, u64)>> {
    coordinator.sync_chain().await?;
    let mut demands = coordinator.demands().await;
    demands.sort_unstable_by_key(|demand| demand.deadline_s);
    let mut answered = Vec::new();
    for demand in demands {
        let Demand { epoch, receipt, deadline_s } = demand;
        if left.contains(&receipt) {
            continue;
        }
        if coordinator.settlement().now().await? > deadline_s {
            left.insert(receipt);
            tell(&format!("receipt {receipt} of epoch {epoch}: nobody proved it in time; the bond is lost"));
            continue;
        }
        tell(&format!("somebody demands on chain a proof of receipt {receipt}, epoch {epoch}: answering"));
        match answered_with(coordinator, client, epoch, &receipt, tell).await {
            Ok(gas) => {
                tell(&format!(
                    "receipt {receipt} is proved on chain, {gas} gas: the accuser's bond is the poster's"
                ));
                answered.push((demand, gas));
            }
            Err(fault) if fault.kind == Kind::Trouble => return Err(fault),
            Err(fault) => {
                left.insert(receipt);
                tell(&format!(
                    "receipt {receipt} of epoch {epoch} has to be proved until {deadline_s}, or the bond is lost: {fault}; then \
                     `proofmesh challenge answer {epoch} {receipt}`"
                ));
            }
        }
    }
    Ok(answered)
}

async fn answered_with(
    coordinator: &Coordinator,
    client: &Client,
    epoch: u64,
    receipt: &Hash32,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<u64> {
    let signed = SignedReceipt::decode(&client.receipt(receipt).await?.wire.0)?;
    let settlement = coordinator.settlement();
    let mut watch = |stage: &'static str| tell(stage);
    defend(client, &**settlement, coordinator.poster(), (epoch, signed), coordinator.dir(), &mut watch).await
}
