//! A poster that lies: it settles a receipt that the coordinator refused, in a root of its own making. An auditor finds it, demands its proof
//! on chain, and the poster, which has none, loses its bond. The honest epoch follows.

use super::lies::CHANGED_OUTPUT;
use super::stage::{DAY_PRICE, Stage};
use super::{LIAR, LieDoc};
use crate::audit::of_url;
use crate::challenge::{Published, Won, open, resolve, wrong};
use crate::fault::{Fault, Result};
use crate::out::Context;
use crate::wire::ReasonDoc;
use proofmesh_market::tree::{Tree, balance_leaf, receipt_leaf};
use proofmesh_market::{AccountSecret, Address, Epoch, Hash32, SignedReceipt, Usd, keccak};
use proofmesh_settle::Signer;
use serde::Serialize;

/// What became of it.
#[derive(Clone, Debug, Serialize)]
pub struct PosterDoc {
    /// The epoch that it forged.
    pub epoch: u64,
    /// Digest of the receipt that it planted.
    pub receipt: Hash32,
    /// What the audit of the log against the chain says.
    pub audit: String,
    /// What the receipt's own check says.
    pub reason: ReasonDoc,
    /// What the auditor put at stake.
    pub challenge_bond: Usd,
    /// Gas of the challenge.
    pub challenge_gas: u64,
    /// How it ended.
    pub won: Won,
    /// What the planted receipt would have moved from the buyer to the liar.
    pub kept: Usd,
}

/// Tells it; `None` when the lie that it needs was not told.
pub(super) async fn tell(stage: &mut Stage, lies: &[LieDoc], context: &Context) -> Result<Option<PosterDoc>> {
    let planted = lies.iter().find(|lie| lie.lie == CHANGED_OUTPUT).and_then(|lie| lie.receipt);
    let Some(planted) = planted else { return Ok(None) };
    context.tell("the poster settles a refused receipt in an epoch of its own; an auditor reads along");
    let poster = stage.keys.account("poster")?;
    let published = forge(stage, &poster, &planted).await?;

    // The auditor: log and chain differ, and one of the receipts that the epoch was published with is worth nothing.
    let audit = match of_url(&stage.client).await {
        Err(fault) if fault.kind == crate::fault::Kind::Refused => fault.name,
        found => return Err(Fault::trouble("demo.lie-passed", "a difference", format_args!("{found:?}"))),
    };
    let auditor = Signer::new(&stage.keys.account("auditor")?);
    let challenge_bond = stage.settlement.deployment().params.challenge_bond;
    stage.minted += stage.client.faucet(auditor.account(), challenge_bond).await?.micro();
    let mut found = wrong(&stage.client, &*stage.settlement, &published).await?;
    let Some(found) = found.pop() else {
        return Err(Fault::trouble("demo.lie-passed", "a wrong receipt", planted));
    };
    let challenged =
        open(&*stage.settlement, &auditor, found.epoch, &found.receipt.receipt, &found.path).await?;
    stage.client.pass_time(stage.settlement.deployment().params.response_time_s + 1).await?;
    let won = resolve(&*stage.settlement, &auditor, found.epoch, found.digest).await?;
    if stage.settlement.epoch(published.epoch).await?.is_some() {
        return Err(Fault::trouble("demo.lie-stands", "an epoch that was struck", published.epoch));
    }

    // A poster that goes on needs a whole bond.
    let bond = stage.settlement.deployment().params.poster_bond;
    stage.minted += stage.client.faucet(poster.address(), bond).await?.micro();
    stage.settlement.bond_poster(&Signer::new(&poster), bond).await?;
    Ok(Some(PosterDoc {
        epoch: published.epoch,
        receipt: planted,
        audit,
        reason: found.reason,
        challenge_bond,
        challenge_gas: challenged.gas(),
        won,
        kept: DAY_PRICE,
    }))
}

/// Posts an epoch that settles the planted receipt and pays its node, and gives what a poster must publish for it to be of use.
async fn forge(stage: &Stage, poster: &AccountSecret, planted: &Hash32) -> Result<Published> {
    let latest = stage.settlement.latest_epoch().await?;
    let honest = if latest == 0 { Vec::new() } else { stage.client.epoch(latest).await?.balances };
    let liar = stage.operators[LIAR].account();
    let mut balances: std::collections::BTreeMap<Address, Usd> = honest.into_iter().collect();
    let paid = balances.entry(liar).or_insert(Usd::ZERO);
    *paid = paid.checked_add(DAY_PRICE).unwrap_or(*paid);
    let total = balances.values().map(|usd| usd.micro()).sum();
    let leaves = balances.iter().map(|(account, cumulative)| balance_leaf(account, *cumulative));
    let number = latest + 1;
    let epoch = Epoch {
        number,
        balances_root: Tree::new(leaves.collect()).root(),
        receipts_root: Tree::new(vec![receipt_leaf(planted)]).root(),
        log_hash: keccak(b"a log that nobody has"),
        total: Usd::from_micro(total),
    };
    stage.settlement.post_epoch(&Signer::new(poster), &epoch).await?;
    let wire = stage.client.receipt(planted).await?.wire;
    Ok(Published { epoch: number, receipts: vec![SignedReceipt::decode(&wire.0)?] })
}
