//! All test money that was minted is found again: on accounts and in contracts.

use super::stage::Stage;
use crate::fault::{Fault, Result};
use proofmesh_market::Usd;

/// Minted, and found.
pub(super) async fn count(stage: &Stage) -> Result<(Usd, Usd)> {
    let deployment = stage.settlement.deployment();
    let mut places = vec![deployment.settlement, deployment.stake, deployment.cover];
    places.extend([stage.insurer.address(), stage.farmer.address(), deployment.params.poster]);
    places.push(stage.keys.account("vault")?.address());
    places.extend(stage.operators.iter().map(|operator| operator.account()));
    let mut found = Usd::ZERO;
    for place in places {
        let balance = stage.settlement.balance_of(place).await?;
        let sum = found.checked_add(balance);
        found = sum.ok_or_else(|| Fault::trouble("demo.overflow", "sums below 2^64", balance))?;
    }
    Ok((Usd::from_micro(stage.minted), found))
}
