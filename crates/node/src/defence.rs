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
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How often the chain is looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// How often an answer that failed is tried again: a key may have come.
const TRY_AGAIN: Duration = Duration::from_secs(60);

/// Demands that could not be answered here, by receipt and posting. What became of each is said once.
#[derive(Debug, Default)]
pub struct Left(BTreeMap<(Hash32, u32), Tried>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tried {
    /// An answer failed then.
    At(Instant),
    /// Its time is over.
    Over,
}

/// Answers until the chain or the coordinator fails, and then says so.
pub async fn stay(coordinator: &Coordinator, client: &Client, tell: &(dyn Fn(&str) + Sync)) {
    let mut left = Left::default();
    loop {
        if let Err(fault) = once(coordinator, client, tell, &mut left).await {
            return tell(&format!("demands on chain: {fault}"));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Answers every demand that is open, but for those `left` a moment ago. Gives what was answered, with the gas.
///
/// # Errors
/// The first trouble, after the other demands had their turn: what is in trouble keeps none of them from its answer.
pub async fn once(
    coordinator: &Coordinator,
    client: &Client,
    tell: &(dyn Fn(&str) + Sync),
    left: &mut Left,
) -> Result<Vec<(Demand, u64)>> {
    coordinator.sync_chain().await?;
    let mut demands = coordinator.demands().await;
    demands.sort_unstable_by_key(|demand| demand.deadline_s);
    let (mut answered, mut trouble) = (Vec::new(), None);
    for demand in demands {
        let Demand { epoch, receipt, deadline_s, post } = demand;
        let known = left.0.get(&(receipt, post)).copied();
        if coordinator.settlement().now().await? > deadline_s {
            if known != Some(Tried::Over) {
                tell(&format!(
                    "receipt {receipt} of epoch {epoch}: nobody proved it in time; the bond is lost"
                ));
                left.0.insert((receipt, post), Tried::Over);
            }
            continue;
        }
        if matches!(known, Some(Tried::At(tried)) if tried.elapsed() < TRY_AGAIN) {
            continue;
        }
        let first = |text: &str| {
            if known.is_none() {
                tell(text);
            }
        };
        first(&format!("somebody demands on chain a proof of receipt {receipt}, epoch {epoch}: answering"));
        match answered_with(coordinator, client, epoch, &receipt, &first).await {
            Ok(gas) => {
                left.0.remove(&(receipt, post));
                tell(&format!(
                    "receipt {receipt} is proved on chain, {gas} gas: the accuser's bond is the poster's"
                ));
                answered.push((demand, gas));
            }
            Err(fault) if fault.kind == Kind::Trouble => {
                trouble.get_or_insert(fault);
            }
            Err(fault) => {
                left.0.insert((receipt, post), Tried::At(Instant::now()));
                first(&format!(
                    "receipt {receipt} of epoch {epoch} has to be proved until {deadline_s}, or the bond is lost: {fault}; then \
                     `proofmesh challenge answer {epoch} {receipt}`"
                ));
            }
        }
    }
    trouble.map_or(Ok(answered), Err)
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
