//! The stage: a coordinator with its chain, three nodes, an insurer and a farmer, and the verbs of the story.

use super::{AnsweredDoc, FIRST, LIAR, LIES, MONTH, PaidDoc, Plan, Proof, ProvenDoc};
use crate::buyer::{DaysWanted, claim, fund, open_cover, post, report};
use crate::client::Client;
use crate::coordinator::{CHECKER_PLEDGE, Config, MarketTerms, seats_cost};
use crate::device::forge;
use crate::engine::keys::Keys;
use crate::engine::place::Engines;
use crate::fault::Result;
use crate::onchain::{Verifier, development_verifier, verifier_key};
use crate::operator::{DayDoc, Operator};
use crate::out::Context;
use crate::time::Time;
use crate::up::Up;
use crate::weather::{CELL, STATIONS, airports, date, day_start_s, feed, forgery, import_model, salt};
use crate::wire::{ClosedDoc, FeedDoc, JobDoc};
use crate::work::Worker;
use crate::wrapped;
use proofmesh_market::order::Withdraw;
use proofmesh_market::{AccountSecret, Domain, Hash32, Signed, Usd, What};
use proofmesh_model::ModelFile;
use proofmesh_services::reference::{ReferenceTable, References};
use proofmesh_services::window::{GAP_HOURS, HOUR_S, WINDOW_S};
use proofmesh_settle::{CoverTerms, Evidence, Settlement};
use proofmesh_wrap::groth16::key_words;
use proofmesh_wrap::keys::Key;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

/// Seconds after a day's begin at which all its readings are there, also those that a gap at its end needs.
pub(super) const HEARD_S: u64 = WINDOW_S + GAP_HOURS * HOUR_S;
/// Price of a genuine day.
pub(super) const DAY_PRICE: Usd = Usd::from_micro(500_000);
/// What the farmer gets.
const PAYOUT: Usd = Usd::from_micro(50_000_000);
/// Seconds in which a verdict can be disputed.
const DISPUTE_S: u64 = HOUR_S;
/// Seconds in which an epoch can be challenged.
const CHALLENGE_S: u64 = 6 * HOUR_S;

/// Stations that must prove frost on one day.
pub(super) const QUORUM: u8 = 2;

/// A day on which a station proved frost.
#[derive(Clone, Copy)]
pub(super) struct Frost {
    pub(super) receipt: Hash32,
    pub(super) station: usize,
    pub(super) start_s: u64,
}

/// Everything that the story happens on.
pub(super) struct Stage {
    pub(super) client: Client,
    pub(super) settlement: Arc<dyn Settlement>,
    pub(super) domain: Domain,
    pub(super) model: ModelFile,
    pub(super) model_id: Hash32,
    pub(super) feed: ReferenceTable,
    pub(super) operators: Vec<Operator>,
    pub(super) workers: Vec<Worker>,
    pub(super) jobs: Vec<JobDoc>,
    pub(super) insurer: AccountSecret,
    pub(super) farmer: AccountSecret,
    pub(super) keys: Keys,
    pub(super) first_s: u64,
    pub(super) cover: Hash32,
    pub(super) cover_paid: Option<(String, u64)>,
    pub(super) epochs: Vec<ClosedDoc>,
    pub(super) paid: Vec<PaidDoc>,
    pub(super) minted: u64,
    /// Proved days of frost that no contract has seen yet.
    pub(super) frost: Vec<Frost>,
    /// The key that wraps, if the farmer is paid by proofs.
    pub(super) key: Option<Arc<Key>>,
    /// What was delivered, and what shows it.
    pub(super) proven: Vec<ProvenDoc>,
    pub(super) wrapped: Vec<Evidence>,
    pub(super) answered: Option<AnsweredDoc>,
    up: Up,
}

impl Stage {
    /// Builds it: model, coordinator, nodes, jobs, cover.
    pub(super) async fn build(dir: &Path, plan: &Plan, context: &Context) -> Result<Self> {
        context.tell("importing the model; starting a coordinator and its chain");
        let model = tokio::task::block_in_place(import_model)?.file;
        let first_s = day_start_s(FIRST)?;
        let terms = MarketTerms {
            challenge_window_s: CHALLENGE_S,
            dispute_window_s: DISPUTE_S,
            ..MarketTerms::default()
        };
        let time = Time::standing_at(first_s - WINDOW_S);
        let config = Config {
            dir: dir.to_owned(),
            chain: plan.chain.clone(),
            time,
            terms,
            engines: Engines::default(),
        };
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let up = Up::start(config, any, any, &|text| context.tell(text)).await?;
        context.tell("a verifier contract for the model, under a DEVELOPMENT key");
        let (key, proving) = match plan.proof {
            Proof::Challenge => {
                let seed = Keys::open(&dir.join("keys"))?.seed("wrap")?;
                (tokio::task::block_in_place(|| development_verifier(&model, &seed))?, None)
            }
            Proof::Onchain => {
                let key = tokio::task::block_in_place(|| wrapped::key(&plan.keys, &model.program, 1))?;
                (verifier_key(&key_words(&key.proving.vk)), Some(Arc::new(key)))
            }
        };
        let verifier = Verifier { key, hired: false };
        let (model_id, _) = up.coordinator.add_model_with(model.clone(), Some(verifier)).await?;
        let client = up.client()?;
        let settlement = client.settlement().await?;
        let keys = Keys::open(&dir.join("keys"))?;
        let mut stage = Stage {
            domain: up.coordinator.domain(),
            minted: settlement.deployment().params.poster_bond.micro() + seats_cost(CHECKER_PLEDGE).micro(),
            insurer: keys.account("insurer")?,
            farmer: keys.account("farmer")?,
            feed: feed(&airports(), &[], 0, 0)?,
            cover: Hash32::ZERO,
            operators: Vec::new(),
            workers: Vec::new(),
            jobs: Vec::new(),
            epochs: Vec::new(),
            paid: Vec::new(),
            frost: Vec::new(),
            key: proving,
            proven: Vec::new(),
            wrapped: Vec::new(),
            answered: None,
            cover_paid: None,
            settlement,
            client,
            model,
            model_id,
            keys,
            first_s,
            up,
        };
        context.tell("three nodes join: stake, device, a measured proof each");
        stage.join(dir).await?;
        context.tell("the insurer posts three jobs and funds a frost cover");
        stage.offer().await?;
        Ok(stage)
    }

    async fn join(&mut self, dir: &Path) -> Result<()> {
        let airports = airports();
        let stake = self.client.status().await?.rules.min_stake;
        for (station, name) in STATIONS.iter().enumerate() {
            let mut recording = airports[station].clone();
            for (date, class) in LIES.iter().filter(|_| station == LIAR) {
                forge(&mut recording, day_start_s(date)?, &forgery(station, date, *class)?);
            }
            let name = name.to_ascii_lowercase();
            let time = self.up.coordinator.time().clone();
            self.workers.push(Worker::new(self.client.clone(), dir, &name, station, None, time)?);
            let operator = Operator::new(self.client.clone(), dir, &name, station, recording).await?;
            self.minted += operator.join(stake).await?.micro();
            self.minted += operator.be_measured(&self.model).await?.micro();
            self.operators.push(operator);
        }
        let devices: Vec<_> =
            self.operators.iter().enumerate().map(|(at, node)| (at, node.device().device())).collect();
        self.feed = feed(&airports, &devices, self.first_s, MONTH)?;
        Ok(())
    }

    /// A job a station, in escrow, and the farmer's cover.
    async fn offer(&mut self) -> Result<()> {
        let feed = self.client.add_feed(&FeedDoc::of(&self.feed)).await?;
        let escrow = DAY_PRICE.checked_mul(MONTH * STATIONS.len() as u64).unwrap_or_default();
        self.minted += fund(&self.client, &*self.settlement, &self.insurer, escrow).await?.micro();
        for (station, name) in STATIONS.iter().enumerate() {
            let wanted = DaysWanted {
                model: self.model_id,
                device: self.operators[station].device().device(),
                unit_price: DAY_PRICE,
                from_s: self.first_s,
                days: MONTH,
                deadline_s: self.first_s + (MONTH + 3) * WINDOW_S,
                feed,
                wrappable: false, // its poster can answer for its own nodes' receipts
                salt: salt(name),
            };
            let job = wanted.job(self.insurer.address());
            let id = post(&self.client, &self.domain, &self.insurer, job).await?;
            self.jobs.push(self.client.job(&id).await?);
        }
        let device = |at: usize| self.operators[at].device().device();
        let terms = CoverTerms {
            beneficiary: self.farmer.address(),
            cell: CELL,
            start: self.first_s,
            day_count: MONTH as u16,
            quorum: QUORUM,
            payout: PAYOUT,
            model: self.model_id,
            stations: [device(0), device(1), device(2)],
            jobs: [self.jobs[0].id, self.jobs[1].id, self.jobs[2].id],
        };
        self.minted += self.client.faucet(self.insurer.address(), PAYOUT).await?.micro();
        self.cover = open_cover(&*self.settlement, &self.insurer, &terms, salt("frost")).await?;
        Ok(())
    }

    /// The page's address, with the owner's key.
    pub(super) fn page(&self) -> String {
        self.up.page()
    }

    /// Lets time pass until a second.
    pub(super) async fn reach(&self, at_s: u64) -> Result<()> {
        let now_s = self.client.status().await?.now_s;
        self.client.pass_time(at_s.saturating_sub(now_s)).await?;
        Ok(())
    }

    /// The public input of a station's day.
    pub(super) fn public(&self, station: usize, start_s: u64) -> Option<Vec<i32>> {
        let device = self.operators[station].device().device();
        self.feed.reference(&self.feed.commitment(), &device, start_s).map(|row| row.words.to_vec())
    }

    /// One station's day.
    pub(super) async fn day(&mut self, station: usize, start_s: u64) -> Result<DayDoc> {
        let public = self.public(station, start_s);
        let job = &self.jobs[station];
        let operator = &mut self.operators[station];
        let day = operator.work(&self.model, &job.id, &job.job, public.as_deref(), start_s).await?;
        self.workers[station].note(&job.id, start_s, &day)?;
        if day.outcome == "paid" && day.output == [0, 1] {
            self.frost.extend(day.receipt.map(|receipt| Frost { receipt, station, start_s }));
        }
        Ok(day)
    }

    /// Closes and posts an epoch, lets its window pass, and shows its days of frost to the cover.
    pub(super) async fn settle(&mut self) -> Result<()> {
        self.client.pass_time(DISPUTE_S).await?;
        let closed = self.client.close_epoch().await?;
        let number = closed.epoch.number;
        self.epochs.push(closed);
        super::proven::doubted(self, number).await?;
        self.client.pass_time(CHALLENGE_S).await?;
        for frost in std::mem::take(&mut self.frost) {
            // A farmer who is paid by proofs waits for no epoch.
            if self.cover_paid.is_none() && self.key.is_none() {
                self.show_frost(&frost.receipt).await?;
            }
        }
        Ok(())
    }

    /// The farmer shows a settled receipt; the contract pays when it is the second of a day.
    async fn show_frost(&mut self, digest: &Hash32) -> Result<()> {
        let before = self.settlement.balance_of(self.farmer.address()).await?;
        let done = report(&self.client, &*self.settlement, &self.farmer, self.cover, digest).await?;
        let after = self.settlement.balance_of(self.farmer.address()).await?;
        let amount = after.checked_sub(before).unwrap_or_default();
        if !amount.is_zero() {
            let day = date(self.client.receipt(digest).await?.window_start_s);
            self.pay_farmer(&day, amount, done.gas());
        }
        Ok(())
    }

    /// Notes that the cover paid.
    pub(super) fn pay_farmer(&mut self, day: &str, amount: Usd, gas: u64) {
        self.pay("farmer", self.farmer.address(), &format!("frost proved by two stations on {day}"), amount);
        self.cover_paid = Some((day.to_owned(), gas));
    }

    fn pay(&mut self, who: &str, account: proofmesh_market::Address, why: &str, amount: Usd) {
        self.paid.push(PaidDoc { who: who.to_owned(), account, why: why.to_owned(), amount });
    }

    /// The last epochs: jobs end, what is left goes back to the insurer, everybody claims.
    pub(super) async fn finish(&mut self) -> Result<()> {
        let deadline_s = self.jobs.iter().map(|job| job.job.deadline_s).max().unwrap_or(self.first_s);
        self.reach(deadline_s).await?;
        self.settle().await?;
        let account = self.insurer.address();
        let left = self.client.account(&account).await?;
        if !left.balance.is_zero() {
            let order = Withdraw { account, amount: left.balance, nonce: left.withdrawal_nonce };
            let order = Signed::new(order, &self.domain, &self.insurer)?;
            self.client.order(&What::WithdrawalAsked(order)).await?;
        }
        self.settle().await?;
        let vault = self.keys.account("vault")?;
        let mut owed: Vec<(String, &'static str, AccountSecret)> = Vec::new();
        for operator in &self.operators {
            owed.push((operator.station().to_owned(), "genuine days", operator.secret().clone()));
        }
        owed.push(("insurer".to_owned(), "what was not spent", self.insurer.clone()));
        owed.push(("vault".to_owned(), "fees", vault));
        for (who, why, secret) in owed {
            match claim(&self.client, &*self.settlement, &secret, secret.address()).await {
                Ok(done) => self.pay(&who, done.account, why, done.paid),
                Err(fault) if fault.is("epoch.no-balance") => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }
}
