//! What a buyer, a farmer and a node do with money: fund a job, open a cover, report to it, claim.

use crate::client::Client;
use crate::fault::{Fault, Result};
use crate::weather::{CELL, PHASE_S};
use proofmesh_market::{
    AccountSecret, Address, Assurance, Device, Domain, Hash32, Job, Signed, SignedReceipt, Usd, What,
};
use proofmesh_services::inference::{SERVICE, Terms};
use proofmesh_services::window::WINDOW_S;
use proofmesh_settle::{CoverReport, CoverState, CoverTerms, Done, Settlement, Signer};
use serde::{Deserialize, Serialize};

/// A job about genuine days of one device.
#[derive(Clone, Debug)]
pub struct DaysWanted {
    /// The model.
    pub model: Hash32,
    /// The device.
    pub device: Device,
    /// Price of one genuine day.
    pub unit_price: Usd,
    /// First second of the first day.
    pub from_s: u64,
    /// Days.
    pub days: u64,
    /// Receipts count until this second.
    pub deadline_s: u64,
    /// The feed with the neighbours' readings.
    pub feed: Hash32,
    /// Whether proofs have to be wrappable: `StatusDoc::wrappable` says of which models.
    pub wrappable: bool,
    /// Makes equal jobs differ.
    pub salt: Hash32,
}

impl DaysWanted {
    /// The job that the buyer signs.
    #[must_use]
    pub fn job(&self, buyer: Address) -> Job {
        let terms = Terms {
            class: Some(0),
            window_s: WINDOW_S,
            phase_s: PHASE_S,
            feed: Some(self.feed),
            wrappable: self.wrappable,
        };
        Job {
            buyer,
            salt: self.salt,
            service: SERVICE.id(),
            model: self.model,
            input: Hash32::ZERO,
            unit_price: self.unit_price,
            max_units: self.days,
            window_from_s: self.from_s,
            window_until_s: self.from_s + self.days * WINDOW_S,
            deadline_s: self.deadline_s,
            assurance: Assurance::Proof,
            slots: 1,
            cell: CELL,
            devices: vec![self.device],
            terms: terms.encode(),
        }
    }
}

/// Makes `amount` spendable in the market: test money where there is some, then a deposit. Gives what was
/// minted.
///
/// # Errors
/// The chain's refusals.
pub async fn fund(
    client: &Client,
    settlement: &dyn Settlement,
    buyer: &AccountSecret,
    amount: Usd,
) -> Result<Usd> {
    let account = buyer.address();
    let have = client.account(&account).await?.balance;
    let Some(short) = amount.checked_sub(have).filter(|short| !short.is_zero()) else { return Ok(Usd::ZERO) };
    let minted = client.faucet(account, short).await?;
    let deposited = settlement.deposited(account).await?;
    let target = deposited
        .checked_add(short)
        .ok_or_else(|| Fault::misuse("deposit.overflow", "deposits below 2^64 micro-USD", short))?;
    settlement.deposit(&Signer::new(buyer), target).await?;
    Ok(minted)
}

/// Posts a job and gives its id.
///
/// # Errors
/// The market's refusals.
pub async fn post(client: &Client, domain: &Domain, buyer: &AccountSecret, job: Job) -> Result<Hash32> {
    client.order(&What::JobPosted(Signed::new(job, domain, buyer)?)).await
}

/// Opens a cover and gives its id.
///
/// # Errors
/// The contract's refusals.
pub async fn open_cover(
    settlement: &dyn Settlement,
    insurer: &AccountSecret,
    terms: &CoverTerms,
    salt: Hash32,
) -> Result<Hash32> {
    settlement.cover_open(&Signer::new(insurer), terms, salt).await?;
    Ok(settlement.cover_id(insurer.address(), terms, salt))
}

/// Where a cover stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CoverDoc {
    /// Its id.
    pub id: Hash32,
    /// `open`, `paid`, `reclaimed`.
    pub state: String,
    /// Who funded it.
    pub insurer: Address,
    /// Who is paid.
    pub beneficiary: Address,
    /// How much.
    pub payout: Usd,
    /// Stations needed on one day.
    pub quorum: u8,
    /// First second of its first day.
    pub start_s: u64,
    /// Days.
    pub day_count: u16,
    /// Days on which a station proved a genuine day with frost: number and which stations.
    pub days: Vec<(u64, [bool; 3])>,
}

/// Reads a cover.
///
/// # Errors
/// `cover.unknown`, the chain's.
pub async fn cover(settlement: &dyn Settlement, id: Hash32) -> Result<CoverDoc> {
    let found = settlement.cover(id).await?;
    let found = found.ok_or_else(|| Fault::refused("cover.unknown", "the id of an open cover", id))?;
    let mut days = Vec::new();
    for day in 0..u64::from(found.day_count) {
        let stations = settlement.cover_day(id, day).await?;
        if stations.contains(&true) {
            days.push((day, stations));
        }
    }
    let state = match found.state {
        CoverState::Open => "open",
        CoverState::Paid => "paid",
        CoverState::Reclaimed => "reclaimed",
    };
    Ok(CoverDoc {
        id,
        state: state.to_owned(),
        insurer: found.insurer,
        beneficiary: found.beneficiary,
        payout: found.payout,
        quorum: found.quorum,
        start_s: found.start,
        day_count: found.day_count,
        days,
    })
}

/// Hands a settled receipt to a cover.
///
/// # Errors
/// `receipt.not-settled`, the contract's refusals.
pub async fn report(
    client: &Client,
    settlement: &dyn Settlement,
    by: &AccountSecret,
    id: Hash32,
    digest: &Hash32,
) -> Result<Done> {
    let shown = client.receipt_proof(digest).await?;
    let receipt = SignedReceipt::decode(&shown.wire.0)?;
    let report = CoverReport { receipt, epoch: shown.epoch, proof: shown.proof };
    Ok(settlement.cover_report(&Signer::new(by), id, &report).await?)
}

/// What a claim did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimDoc {
    /// Whose.
    pub account: Address,
    /// The final epoch that it is proved against.
    pub epoch: u64,
    /// All that the account may ever have claimed.
    pub cumulative: Usd,
    /// Paid by this call; zero when it was claimed before.
    pub paid: Usd,
    /// Gas.
    pub gas: u64,
}

/// Claims all that is final for an account. Whoever calls, the account is paid; twice is once.
///
/// # Errors
/// `claim.nothing-final`, `epoch.no-balance`, the contract's refusals.
pub async fn claim(
    client: &Client,
    settlement: &dyn Settlement,
    by: &AccountSecret,
    account: Address,
) -> Result<ClaimDoc> {
    let epoch = settlement.final_epoch().await?;
    if epoch == 0 {
        return Err(Fault::refused("claim.nothing-final", "an epoch past its challenge window", "none"));
    }
    let shown = client.balance_proof(epoch, &account).await?;
    let before = settlement.claimed(account).await?;
    let done = settlement.claim(&Signer::new(by), account, shown.cumulative, &shown.proof).await?;
    let paid = settlement.claimed(account).await?.checked_sub(before).unwrap_or_default();
    Ok(ClaimDoc { account, epoch, cumulative: shown.cumulative, paid, gas: done.gas() })
}
