//! All test money that was minted is found again: on accounts and in contracts.

use super::stage::Stage;
use crate::fault::{Fault, Result};
use proofmesh_market::{Address, Usd};

/// Where the contracts send what nobody earned.
const BURN: Address = Address([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xde, 0xad]);

/// Minted, and found.
pub(super) async fn count(stage: &Stage) -> Result<(Usd, Usd)> {
    let deployment = stage.settlement.deployment();
    let mut places = vec![deployment.settlement, deployment.stake, deployment.cover];
    places.extend([stage.insurer.address(), stage.farmer.address(), deployment.params.poster]);
    places.extend([stage.keys.account("vault")?.address(), stage.keys.account("auditor")?.address(), BURN]);
    places.extend(stage.operators.iter().map(|operator| operator.account()));
    let mut found = Usd::ZERO;
    for place in places {
        let balance = stage.settlement.balance_of(place).await?;
        let sum = found.checked_add(balance);
        found = sum.ok_or_else(|| Fault::trouble("demo.overflow", "sums below 2^64", balance))?;
    }
    Ok((Usd::from_micro(stage.minted), found))
}
