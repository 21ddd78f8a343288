//! The farmer paid by proofs alone: as soon as enough stations have proved frost on one day, their receipts are wrapped and delivered to the cover.
//! No epoch, no poster, no window. A receipt that is wrapped anyway also shows the other end of a challenge: somebody doubts it on chain, and loses.

use super::stage::{Frost, Stage};
use crate::challenge::{Published, answer, open};
use crate::fault::Result;
use crate::onchain::evidence;
use crate::out::Context;
use crate::weather::{STATIONS, date};
use proofmesh_market::{Hash32, SignedReceipt, Usd};
use proofmesh_settle::Signer;
use serde::Serialize;
use std::time::Instant;

/// A receipt whose wrapped proof a contract checked.
#[derive(Clone, Debug, Serialize)]
pub struct ProvenDoc {
    /// The station.
    pub station: String,
    /// The day.
    pub date: String,
    /// Digest of the receipt.
    pub receipt: Hash32,
    /// Seconds from the readings to the wrapped proof.
    pub wrap_s: f64,
    /// Gas of the delivery, check and payment included.
    pub gas: u64,
    /// What the cover paid in this delivery.
    pub paid: Usd,
}

/// A challenge of an honest receipt, and its answer.
#[derive(Clone, Debug, Serialize)]
pub struct AnsweredDoc {
    /// The epoch.
    pub epoch: u64,
    /// Digest of the receipt.
    pub receipt: Hash32,
    /// What the challenger lost to the poster.
    pub bond: Usd,
    /// Gas of the challenge.
    pub challenge_gas: u64,
    /// Gas of the answer.
    pub answer_gas: u64,
}

/// Wraps and delivers the day's receipts of frost, if they are enough for the cover and it has not paid.
pub(super) async fn deliver(stage: &mut Stage, start_s: u64, context: &Context) -> Result<()> {
    let Some(key) = stage.key.clone() else { return Ok(()) };
    let frost: Vec<Frost> = stage.frost.iter().filter(|frost| frost.start_s == start_s).copied().collect();
    if stage.cover_paid.is_some() || frost.len() < usize::from(super::stage::QUORUM) {
        return Ok(());
    }
    let cover = stage.settlement.deployment().cover;
    for Frost { receipt: digest, station, .. } in frost.into_iter().take(usize::from(super::stage::QUORUM)) {
        let day = date(start_s);
        context.tell(&format!("  {} {day}: frost; wrapping its proof for the contract", STATIONS[station]));
        let signed = SignedReceipt::decode(&stage.client.receipt(&digest).await?.wire.0)?;
        let public = stage.public(station, start_s).unwrap_or_default();
        let began = Instant::now();
        let wrap = || stage.operators[station].wrap(&stage.model, &key, &signed, &public);
        let proof = tokio::task::block_in_place(wrap)?.to_vec();
        let wrap_s = began.elapsed().as_secs_f64();
        let evidence = evidence(&stage.client, signed, proof).await?;
        let before = stage.settlement.balance_of(stage.farmer.address()).await?;
        let by = Signer::new(&stage.farmer);
        let done = stage.settlement.deliver_with_proof(&by, cover, stage.cover, &evidence, None).await?;
        let after = stage.settlement.balance_of(stage.farmer.address()).await?;
        let paid = after.checked_sub(before).unwrap_or_default();
        let gas = done.gas();
        context.tell(&format!("  the contract checked it, {gas} gas; it took {wrap_s:.0} s to make"));
        if !paid.is_zero() {
            stage.pay_farmer(&day, paid, gas);
        }
        let station = STATIONS[station].to_owned();
        stage.proven.push(ProvenDoc { station, date: day, receipt: digest, wrap_s, gas, paid });
        stage.wrapped.push(evidence);
    }
    Ok(())
}

/// Somebody doubts a receipt of a fresh epoch whose wrapped proof is there, with a bond; the poster answers with it.
pub(super) async fn doubted(stage: &mut Stage, epoch: u64) -> Result<()> {
    if stage.answered.is_some() || stage.wrapped.is_empty() {
        return Ok(());
    }
    let published = Published::of(&stage.client, epoch).await?;
    for evidence in &stage.wrapped {
        let receipt = evidence.receipt.receipt.digest(&stage.domain);
        let Some(path) = published.path(&stage.domain, &receipt) else { continue };
        let (doubter, poster) = (stage.keys.account("auditor")?, stage.keys.account("poster")?);
        let bond = stage.settlement.deployment().params.challenge_bond;
        stage.minted += stage.client.faucet(doubter.address(), bond).await?.micro();
        let by = Signer::new(&doubter);
        let challenged = open(&*stage.settlement, &by, epoch, &evidence.receipt.receipt, &path).await?;
        let answer_gas = answer(&*stage.settlement, &Signer::new(&poster), epoch, evidence).await?;
        stage.answered =
            Some(AnsweredDoc { epoch, receipt, bond, challenge_gas: challenged.gas(), answer_gas });
        break;
    }
    Ok(())
}
