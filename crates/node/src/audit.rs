//! Audit: recompute everything from public data, the log, the evidence and the chain, and name the first
//! difference.
//!
//! 1. Fold the log again, conservation checked after every event; compare its epochs with those on chain
//!    (`market::audit`).
//! 2. Check the evidence of every verdict again, with the public models and feeds.
//! 3. Hold the chain's money against the log: every deposit seen is on chain, nobody claimed more than an
//!    epoch gives, and the contract holds what is left.
//!
//! Differences: those of `market::audit`, and `audit.deposit-unknown`, `audit.claimed-too-much`,
//! `audit.chain-not-conserved`.

use crate::client::Client;
use crate::coordinator::{embedded_url, feed_of, read_deployment, read_feeds, read_models};
use crate::cores::{on_all_cores, read_ahead};
use crate::engine::place;
use crate::fault::{Fault, Result};
use crate::zk::Models;
use axum::body::Bytes;
use proofmesh_market::audit::{Audit, Difference, recheck, with_verdict};
use proofmesh_market::{
    Address, Check, Epoch, Event, Hash32, Job, Known, SignedReceipt, State, Usd, What, conservation, keccak,
};
use proofmesh_services::reference::ReferenceTable;
use proofmesh_services::seed::{Seeds, WithSeeds};
use proofmesh_services::{Checker, Engines, SERVICES, by_id};
use proofmesh_settle::{Chain, Clock, Cursor, EventKind, Settlement};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// What an audit that found no difference went through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditDoc {
    /// Events folded.
    pub events: u64,
    /// Head of the log's hash chain.
    pub log_hash: Hash32,
    /// Receipts in the log.
    pub receipts: u64,
    /// Verdicts whose evidence was checked again.
    pub verdicts: u64,
    /// Epochs that the chain has, all equal to the log's.
    pub epochs: u64,
    /// Epochs closed and not on chain yet.
    pub unposted: u64,
    /// Deposits on chain.
    pub deposited: Usd,
    /// Claimed on chain.
    pub claimed: Usd,
    /// Bytes of an unfinished record at the log's end, never acknowledged.
    pub torn_bytes: u64,
    /// What the guards did, in a market that has them.
    pub guards: Option<GuardAuditDoc>,
}

/// What an audit folded of a market's guards: every draw was recomputed from the revealed secrets, every vote and fine
/// follows from the rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardAuditDoc {
    /// Rounds of the beacon that have a value or passed without one.
    pub rounds: u64,
    /// Votes of panels.
    pub votes: u64,
    /// Panels that lapsed without a majority of all seats.
    pub lapsed: u64,
    /// Times that a node was caught and frozen.
    pub caught: u64,
}

impl GuardAuditDoc {
    fn note(&mut self, event: &Event) {
        match event.what {
            What::BeaconClosed { .. } => self.rounds += 1,
            What::PanelVoted(_) => self.votes += 1,
            What::PanelLapsed { .. } => self.lapsed += 1,
            _ => {}
        }
    }
}

/// Receipts that one thread checks again at a time; signatures of their devices are verified together.
const PART: usize = 4_096;

/// Public data of a market.
struct Public {
    records: Vec<Bytes>,
    hashes: Vec<Hash32>,
    torn_bytes: u64,
    models: Models,
    feeds: BTreeMap<Hash32, ReferenceTable>,
    settlement: Arc<dyn Settlement>,
}

/// Audits the directory of a coordinator that is not running.
///
/// # Errors
/// The first difference, by its name; trouble.
pub async fn of_dir(dir: &Path) -> Result<AuditDoc> {
    let blobs = {
        let dir = dir.to_owned();
        tokio::task::spawn_blocking(move || place::look_blobs(&dir))
    };
    let found = tokio::task::block_in_place(|| place::look(dir))?
        .ok_or_else(|| Fault::trouble("log.none", "the directory of a coordinator", dir.display()))?;
    let deployment = read_deployment(dir)?
        .ok_or_else(|| Fault::trouble("deployment.json", "the directory of a coordinator", dir.display()))?;
    let chain = Chain::open(&embedded_url(dir), Clock::system()).await?;
    let public = Public {
        records: found.records,
        hashes: found.hashes,
        torn_bytes: found.torn_bytes,
        models: read_models(dir)?,
        feeds: read_feeds(dir)?,
        settlement: chain.attach(&deployment).await?,
    };
    let ended = |error| Fault::trouble("audit.ended", "a look at the evidence", error);
    let blobs = blobs.await.map_err(ended)??;
    run(&public, |hash| blobs.get(hash).ok().flatten()).await
}

/// Adds a model, and the key by which its wrapped proofs are checked, if it has one. Either is what its name says.
async fn fetch(models: &mut Models, client: &Client, model: &Hash32) -> Result<()> {
    models.add(client.model(model).await?)?;
    if let Some(key) = client.verifier(model).await? {
        models.add_key(&key)?;
    }
    Ok(())
}

/// Audits a running coordinator over its API, as anybody may: nothing of its answers is believed that can be
/// recomputed.
///
/// # Errors
/// The first difference, by its name; trouble.
pub async fn of_url(client: &Client) -> Result<AuditDoc> {
    let settlement = client.settlement().await?;
    let records = whole_log(client).await?;
    let (mut models, mut feeds) = (Models::default(), BTreeMap::new());
    for job in jobs_in(&records) {
        if job.model != Hash32::ZERO && models.get(&job.model).is_none() {
            fetch(&mut models, client, &job.model).await?;
        }
        if let Some(feed) = feed_of(&job) {
            feeds.insert(feed, client.feed(&feed).await?);
        }
    }
    let hashes = hashes_of(&records);
    let public = Public { records, hashes, torn_bytes: 0, models, feeds, settlement };
    let handle = tokio::runtime::Handle::current();
    run(&public, |hash| handle.block_on(client.blob(hash)).ok()).await
}

async fn whole_log(client: &Client) -> Result<Vec<Bytes>> {
    let mut records: Vec<Bytes> = Vec::new();
    loop {
        let page = client.log_page(records.len() as u64).await?;
        if page.records.is_empty() {
            return Ok(records);
        }
        records.extend(page.records.into_iter().map(|record| Bytes::from(record.0)));
    }
}

fn hashes_of(records: &[Bytes]) -> Vec<Hash32> {
    on_all_cores(records, |record| keccak(record))
}

/// The public seeds that a log brings, folded from all of it: challenges of storage are drawn with them.
///
/// # Errors
/// The first difference of a fold, by its name; trouble.
pub async fn seeds(client: &Client) -> Result<Seeds> {
    let (records, mut seeds) = (whole_log(client).await?, Seeds::default());
    fold(&records, &hashes_of(&records), &[], |event, state| seeds.note(event, state))?;
    Ok(seeds)
}

/// Folds a log and compares its epochs with the posted ones; shows every event.
fn fold(
    records: &[Bytes],
    hashes: &[Hash32],
    posted: &[Epoch],
    mut seen: impl FnMut(&Event, &State),
) -> Result<State> {
    let mut audit = Audit::default();
    read_ahead(records, hashes, |read| audit.take(read, &mut seen)).map_err(named)?;
    audit.end(posted).map_err(named)
}

fn jobs_in(records: &[Bytes]) -> Vec<Job> {
    let job = |record: &Bytes| match Event::decode(record).ok()?.what {
        What::JobPosted(signed) => Some(signed.order),
        _ => None,
    };
    records.iter().filter_map(job).collect()
}

fn named(difference: Difference) -> Fault {
    let Difference { event, refusal } = difference;
    let place = event.map(|number| format!(" (event {number})")).unwrap_or_default();
    Fault::refused(refusal.name, refusal.expected, format_args!("{}{place}", refusal.got))
}

async fn run(public: &Public, evidence: impl Fn(&Hash32) -> Option<Vec<u8>> + Sync) -> Result<AuditDoc> {
    let posted = posted(&*public.settlement).await?;
    let chain = money(&*public.settlement).await?;
    let (mut seeds, mut guards, mut seen) = (Seeds::default(), GuardAuditDoc::default(), Vec::new());
    let state = fold(&public.records, &public.hashes, &posted, |event, state| {
        seeds.note(event, state);
        guards.note(event);
        if let What::DepositSeen { account, amount, .. } = &event.what {
            seen.push((*account, *amount));
        }
    })?;
    guards.caught = state.nodes().values().map(|node| u64::from(node.penalties)).sum();
    let verdicts = tokio::task::block_in_place(|| checked_again(public, &seeds, &state, evidence))?;
    compare_money(public, &state, &chain, &seen).await?;
    Ok(AuditDoc {
        events: state.events(),
        log_hash: state.log_hash(),
        receipts: state.receipts().len() as u64,
        verdicts,
        epochs: posted.len() as u64,
        unposted: state.epochs().len() as u64 - posted.len() as u64,
        deposited: chain.deposited,
        claimed: chain.claimed,
        torn_bytes: public.torn_bytes,
        guards: state.guarded().map(|_| guards),
    })
}

fn checked_again(
    public: &Public,
    seeds: &Seeds,
    state: &State,
    evidence: impl Fn(&Hash32) -> Option<Vec<u8>> + Sync,
) -> Result<u64> {
    let references = WithSeeds { feeds: &public.feeds, seeds };
    // Those of one node follow each other, as its ticks do: two receipts that meet in one have its signatures verified once.
    let mut judged: Vec<_> = with_verdict(state).collect();
    judged.sort_by_cached_key(|(_, signed, _)| (signed.receipt.node, signed.receipt.sequence));
    let parts: Vec<_> = judged.chunks(PART).collect();
    let checked = on_all_cores(&parts, |part| {
        let (mut claims, mut fetched) = (Vec::new(), BTreeMap::new());
        for (_, signed, _) in *part {
            let receipt = &signed.receipt;
            let job = state.jobs().get(&receipt.job).map(|posted| &posted.job);
            if let (Some(job), Some(service)) = (job, by_id(&receipt.service))
                && let Some(signed) = service.signed
                && let Some(bytes) = evidence(&receipt.evidence)
            {
                let before = claims.len();
                claims.extend(signed(job, receipt, &bytes));
                if claims.len() > before {
                    fetched.insert(receipt.evidence, bytes); // of the form that is some hundred bytes long, whatever a node handed in
                }
            }
        }
        let (proofs, references, known) = (&public.models, &references, &Known::of(claims));
        let engines = Engines { proofs, models: proofs, references, known };
        let checkers: Vec<(Hash32, Checker<'_>)> =
            SERVICES.iter().map(|service| (service.id(), service.checker(engines))).collect();
        let service = |id: &Hash32| {
            let found = checkers.iter().find(|(known, _)| known == id);
            found.map(|(_, checker)| checker as &dyn Check)
        };
        let evidence = |hash: &Hash32| fetched.get(hash).cloned().or_else(|| evidence(hash));
        recheck(state, part.iter().copied(), evidence, service)
    });
    checked.into_iter().try_for_each(|part| part.map_err(named))?;
    Ok(judged.len() as u64)
}

async fn posted(settlement: &dyn Settlement) -> Result<Vec<Epoch>> {
    let mut posted = Vec::new();
    for number in 1..=settlement.latest_epoch().await? {
        posted.extend(settlement.epoch(number).await?.map(|found| found.epoch));
    }
    Ok(posted)
}

/// What the chain's events say about money.
#[derive(Default)]
struct ChainMoney {
    /// Of each account, all it ever deposited.
    deposits: BTreeMap<Address, Usd>,
    deposited: Usd,
    claimed: Usd,
}

async fn money(settlement: &dyn Settlement) -> Result<ChainMoney> {
    let too_much = || Fault::trouble("audit.overflow", "sums below 2^64", "more");
    let (mut money, mut cursor) = (ChainMoney::default(), Cursor::default());
    loop {
        let page = settlement.events_since(&cursor, 512).await?;
        for event in &page.events {
            match &event.kind {
                EventKind::Deposited { account, amount, deposited } => {
                    money.deposits.insert(*account, *deposited);
                    money.deposited = money.deposited.checked_add(*amount).ok_or_else(too_much)?;
                }
                EventKind::Claimed { amount, .. } => {
                    money.claimed = money.claimed.checked_add(*amount).ok_or_else(too_much)?;
                }
                _ => {}
            }
        }
        if page.next == cursor {
            return Ok(money);
        }
        cursor = page.next;
    }
}

/// `seen`: the deposits that the log took, in their order.
async fn compare_money(
    public: &Public,
    state: &State,
    chain: &ChainMoney,
    seen: &[(Address, Usd)],
) -> Result<()> {
    // By account, not by transaction: a chain may take a block back and mine its transactions in another.
    let mut credited: BTreeMap<Address, Usd> = BTreeMap::new();
    for (account, amount) in seen {
        let sum = credited.entry(*account).or_default();
        *sum = sum.checked_add(*amount).unwrap_or(Usd::from_micro(u64::MAX));
        let most = chain.deposits.get(account).copied().unwrap_or_default();
        if *sum > most {
            let expected = format!("at most {most} credited to {account}");
            return Err(Fault::refused("audit.deposit-unknown", expected, *sum));
        }
    }
    let settlement = &*public.settlement;
    let newest = settlement.final_epoch().await?;
    let owed = usize::try_from(newest).ok().and_then(|number| state.epochs().get(number.checked_sub(1)?));
    for (account, cumulative) in owed.map_or(&[][..], |closed| &closed.balances) {
        let claimed = settlement.claimed(*account).await?;
        if claimed > *cumulative {
            let expected = format!("at most {cumulative} for {account}");
            return Err(Fault::refused("audit.claimed-too-much", expected, claimed));
        }
    }
    let held = settlement.balance_of(settlement.deployment().settlement).await?;
    let bond = settlement.poster_bond().await?;
    let left = chain.deposited.checked_sub(chain.claimed).and_then(|left| left.checked_add(bond));
    // Bonds of open challenges are more; less is never right.
    if left.is_none_or(|left| held < left) || !conservation(state).holds() {
        let expected = format!("deposits {} - claims {} + bond {bond}", chain.deposited, chain.claimed);
        return Err(Fault::refused("audit.chain-not-conserved", expected, held));
    }
    Ok(())
}

/// Checks one delivered receipt as a stranger would: everything fetched, nothing believed.
///
/// # Errors
/// The reason why it is not worth its pay, by its name; trouble.
pub async fn verify_receipt(client: &Client, signed: &SignedReceipt) -> Result<u64> {
    let status = client.status().await?;
    let posted = client.job(&signed.receipt.job).await?;
    let mut models = Models::default();
    if posted.job.model != Hash32::ZERO {
        fetch(&mut models, client, &posted.job.model).await?;
    }
    let needs_seeds = posted.job.service == proofmesh_services::storage::SERVICE.id();
    let seeds = if needs_seeds { seeds(client).await? } else { Seeds::default() };
    let mut feeds = BTreeMap::new();
    if let Some(feed) = feed_of(&posted.job) {
        feeds.insert(feed, client.feed(&feed).await?);
    }
    let evidence = client.blob(&signed.receipt.evidence).await?;
    let references = WithSeeds { feeds: &feeds, seeds: &seeds };
    let (references, known) = (&references, Known::NOTHING);
    let engines = Engines { proofs: &models, models: &models, references, known };
    let service = proofmesh_services::by_id(&posted.job.service)
        .ok_or_else(|| Fault::refused("service.unknown", "a service of this program", posted.job.service))?;
    let examine = || {
        let checker = service.checker(engines);
        proofmesh_market::examine(&status.domain, &posted.job, signed, &evidence, &checker)
    };
    match tokio::task::block_in_place(examine)? {
        proofmesh_market::Outcome::Accepted { units } => Ok(units),
        proofmesh_market::Outcome::Refused(reason) => Err(Fault::from(&reason)),
    }
}
