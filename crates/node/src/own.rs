//! What the owner of this machine sees and does through the API: own nodes with their limits, grants and earnings,
//! and a buyer's built-in key with a budget; and the same for each tenant to whom the owner gave a key ([`crate::keys`]).
//!
//! A [`Side`] is one tenant's: its nodes, its buyer (`keys/tenants/NAME/buyer.account`, `tenants/NAME/buyer.json`; the owner's own
//! in `keys` and `buyer.json`). What is another's is unknown to it. Money is moved by orders that the built-in keys sign, as
//! the commands do.
//!
//! Refuses: `owner.node.unknown`, `owner.node.not-live`, `owner.budget`, `buy.days`, `buy.open`,
//! `owner.nothing-to-withdraw`, and what the market and the chain refuse.

use crate::buyer::{ClaimDoc, DaysWanted, claim, fund, post};
use crate::client::Client;
use crate::coordinator::Coordinator;
use crate::device::intake::{Intake, Payload, TakenDoc};
use crate::engine::keys::Keys;
use crate::fault::{Fault, Result};
use crate::keys::{Keyring, Tenant};
use crate::owner::{DAY_S, Grant, GrantDoc, Journal, Limits, Policy, read_json, write_json};
use crate::weather::{airports, day_start_s, feed, salt, station};
use crate::wire::{AccountDoc, FeedDoc, IdDoc, JobDoc, NodeDoc, ReceiptDoc};
use proofmesh_market::order::{Order, Withdraw};
use proofmesh_market::state::{DeliveredReceipt, ReceiptStatus};
use proofmesh_market::{AccountSecret, Address, Device, Hash32, Signed, Usd, What};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

/// Name of the built-in buyer's account.
pub const BUYER: &str = "buyer";
/// Most days that one purchase asks for: the recordings are one year.
pub const DAYS_MAX: u64 = 366;
/// Most hours for which a purchase stays open.
pub const OPEN_HOURS_MAX: u64 = 24 * 366;

/// A node of this machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OwnNodeDoc {
    /// Its name.
    pub name: String,
    /// Its station.
    pub station: String,
    /// Its account.
    pub account: Address,
    /// Its device.
    pub device: Device,
    /// As the market sees it; `None` before it joined.
    pub node: Option<NodeDoc>,
    /// The owner's limits.
    pub limits: Limits,
    /// The owner's grants.
    pub grants: Vec<Grant>,
    /// What it did.
    pub journal: Journal,
    /// Its shares of all receipts that were not refused.
    pub earned: Usd,
    /// Of these, what no epoch settled yet.
    pub waiting: Usd,
    /// Claimed on chain.
    pub claimed: Usd,
    /// Power that its proving cost, by the owner's figures.
    pub power: Usd,
    /// Receipts that were not paid, newest first.
    pub refused: Vec<ReceiptDoc>,
}

/// What the built-in key bought, and may.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuyerDoc {
    /// Its account in the market.
    pub account: AccountDoc,
    /// Claimed on chain.
    pub claimed: Usd,
    /// What the owner lets it spend a day.
    pub spend_a_day: Usd,
    /// Spent today.
    pub spent_today: Usd,
    /// Its jobs, newest first.
    pub jobs: Vec<JobDoc>,
}

/// All that is the owner's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OwnDoc {
    /// Nodes by name.
    pub nodes: Vec<OwnNodeDoc>,
    /// The built-in buyer.
    pub buyer: BuyerDoc,
    /// Test money and time can be had here.
    pub development: bool,
}

/// Windows that a buyer wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantedDoc {
    /// The device.
    pub device: Device,
    /// The station that it stands at.
    pub station: String,
    /// The model.
    pub model: Hash32,
    /// First day, `2013-01-22`.
    pub from: String,
    /// Days.
    pub days: u64,
    /// Price of a day.
    pub unit_price: Usd,
    /// Hours from now in which receipts count.
    pub open_hours: u64,
}

/// What a purchase would cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuoteDoc {
    /// Price of all days: goes into escrow, what is not earned comes back.
    pub escrow: Usd,
    /// What the service thinks a day is worth.
    pub suggested: Usd,
    /// Of a paid day, what the node gets.
    pub node_share: Usd,
    /// Of a paid day, what the vault gets.
    pub fee: Usd,
    /// Days for which the neighbours' readings are complete: no other can be proved.
    pub days_with_reference: u64,
    /// Nodes that could be drawn.
    pub nodes: u64,
    /// Spendable now.
    pub spendable: Usd,
    /// What the owner's budget still lets be spent today.
    pub budget_left: Usd,
}

/// A new budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetDoc {
    /// What the built-in key may spend a day.
    pub spend_a_day: Usd,
}

/// What the built-in key spent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Budget {
    spend_a_day: Usd,
    day: u64,
    spent: Usd,
    jobs: Vec<Hash32>,
}

impl Default for Budget {
    fn default() -> Self {
        Budget { spend_a_day: Usd::from_micro(100_000_000), day: 0, spent: Usd::ZERO, jobs: Vec::new() }
    }
}

impl Budget {
    fn spent_on(&self, now_s: u64) -> Usd {
        if self.day == now_s / DAY_S { self.spent } else { Usd::ZERO }
    }

    /// The budget after this much more today.
    fn after(&self, amount: Usd, now_s: u64) -> Result<Self> {
        let spent = self.spent_on(now_s).checked_add(amount);
        match spent.filter(|spent| *spent <= self.spend_a_day) {
            Some(spent) => Ok(Budget { day: now_s / DAY_S, spent, ..self.clone() }),
            None => {
                let expected = format!("at most {} USD a day, as the owner says", self.spend_a_day);
                let got = format!("{} USD and {amount} more", self.spent_on(now_s));
                Err(Fault::refused("owner.budget", expected, got))
            }
        }
    }
}

/// The owner's side of a coordinator.
#[derive(Debug)]
pub struct Own {
    coordinator: Arc<Coordinator>,
    client: Client,
    keys: Keys,
    ring: Arc<Keyring>,
    live: std::sync::Mutex<BTreeMap<String, Arc<Intake>>>, // of the nodes in this process
    changing: tokio::sync::Mutex<()>, // one change of a policy, a grant or the budget at a time
}

/// One tenant's part of it.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    own: &'a Own,
    tenant: &'a Tenant,
}

impl Own {
    /// The owner's side of the coordinator that is reached by `client`, which has the owner's key.
    ///
    /// # Errors
    /// `key.file`, `file.io`.
    pub fn open(coordinator: Arc<Coordinator>, client: Client, ring: Arc<Keyring>) -> Result<Self> {
        let keys = Keys::open(&coordinator.dir().join("keys"))?;
        Ok(Own { coordinator, client, keys, ring, live: Default::default(), changing: Default::default() })
    }

    /// Lets readings of a live node be pushed.
    pub fn take_live(&self, intake: Arc<Intake>) {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.insert(intake.name().to_owned(), intake);
    }

    /// The owner's key as text.
    #[must_use]
    pub fn key(&self) -> String {
        self.ring.owner_key()
    }

    /// What is a tenant's.
    #[must_use]
    pub fn of<'a>(&'a self, tenant: &'a Tenant) -> Side<'a> {
        Side { own: self, tenant }
    }
}

impl Side<'_> {
    /// Takes readings that are pushed to a live node.
    ///
    /// # Errors
    /// `owner.node.unknown`, `owner.node.not-live`, and as [`Intake::take`].
    pub fn push(&self, name: &str, payload: Payload, bytes: &[u8]) -> Result<TakenDoc> {
        self.require_own(name)?;
        let intake = self.own.live.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        let intake = intake.ok_or_else(|| {
            let expected = "a node of `up --with NAME=STATION` with --live or --mqtt";
            Fault::refused("owner.node.not-live", expected, format_args!("{name:.40}"))
        })?;
        intake.take(payload, bytes)
    }

    fn dir(&self) -> &Path {
        self.own.coordinator.dir()
    }

    /// Where the tenant's own things are.
    fn place(&self) -> PathBuf {
        if self.tenant.is_local() {
            return self.dir().to_owned();
        }
        self.dir().join("tenants").join(self.tenant.to_string())
    }

    fn now_s(&self) -> u64 {
        self.own.coordinator.time().now_s()
    }

    fn node_dir(&self, name: &str) -> PathBuf {
        self.dir().join("nodes").join(name)
    }

    /// Whether a node of this name, if there is one, is the tenant's.
    fn require_own(&self, name: &str) -> Result<()> {
        if self.own.ring.tenant_of(name)? == *self.tenant {
            return Ok(());
        }
        Err(Fault::refused("owner.node.unknown", "a node of your own", format_args!("{name:.40}")))
    }

    /// Names of the tenant's nodes that have a policy here.
    fn names(&self) -> Result<Vec<String>> {
        let dir = self.dir().join("nodes");
        let mut names = Vec::new();
        match std::fs::read_dir(&dir) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            entries => {
                for entry in entries.map_err(|error| Fault::file(&dir, &error))? {
                    let entry = entry.map_err(|error| Fault::file(&dir, &error))?;
                    if entry.path().join("owner.json").exists() {
                        let name = entry.file_name().to_string_lossy().into_owned();
                        if self.require_own(&name).is_ok() {
                            names.push(name);
                        }
                    }
                }
            }
        }
        names.sort();
        Ok(names)
    }

    fn policy(&self, name: &str) -> Result<Policy> {
        let known = self.names()?.iter().any(|known| known == name);
        let policy = if known { Policy::read(&self.node_dir(name))? } else { None };
        policy.ok_or_else(|| {
            Fault::refused("owner.node.unknown", "a node of your own", format_args!("{name:.40}"))
        })
    }

    /// Everything.
    ///
    /// # Errors
    /// Trouble with a file or the chain.
    pub async fn all(&self) -> Result<OwnDoc> {
        let mut nodes = Vec::new();
        for name in self.names()? {
            nodes.push(self.node(&name).await?);
        }
        let development = self.own.coordinator.settlement().profile().development;
        Ok(OwnDoc { nodes, buyer: self.buyer().await?, development })
    }

    /// One node.
    ///
    /// # Errors
    /// `owner.node.unknown`, trouble.
    pub async fn node(&self, name: &str) -> Result<OwnNodeDoc> {
        let Policy { station, limits, grants } = self.policy(name)?;
        let (account, device) =
            (self.own.keys.account(name)?.address(), self.own.keys.device(name)?.device());
        let journal = Journal::read(&self.node_dir(name))?;
        let claimed = self.own.coordinator.settlement().claimed(account).await?;
        let (node, earned, waiting, refused) = self.own.coordinator.with_state(|state| {
            let known = state.nodes().get(&account);
            let node = known.map(|node| NodeDoc::of(&account, node));
            let chain = known.map_or(&[][..], |node| &node.chain);
            let own: Vec<_> =
                chain.iter().filter_map(|digest| state.receipts().get_key_value(digest)).collect();
            let sum = |which: fn(&DeliveredReceipt) -> Usd| {
                let micro = own.iter().map(|(_, delivered)| which(delivered).micro()).sum();
                Usd::from_micro(micro)
            };
            let refused = own.iter().filter(|(_, of)| matches!(of.status, ReceiptStatus::Refused { .. }));
            let mut refused: Vec<_> = refused.map(|(digest, of)| ReceiptDoc::of(digest, of)).collect();
            refused.sort_by_key(|doc| std::cmp::Reverse(doc.sequence));
            (node, sum(share), sum(waiting_share), refused)
        });
        let power = limits.power_cost(journal.busy_ms);
        let name = name.to_owned();
        Ok(OwnNodeDoc {
            name,
            station,
            account,
            device,
            node,
            limits,
            grants,
            journal,
            earned,
            waiting,
            claimed,
            power,
            refused,
        })
    }

    /// New limits; they count from the node's next window on.
    ///
    /// # Errors
    /// `owner.limits`, `owner.node.unknown`, `file.io`.
    pub async fn set_limits(&self, name: &str, limits: Limits) -> Result<OwnNodeDoc> {
        limits.check()?;
        self.change(name, |policy, _| {
            policy.limits = limits;
            Ok(())
        })
        .await
    }

    /// A new grant.
    ///
    /// # Errors
    /// `grant.*`, `owner.node.unknown`, `file.io`.
    pub async fn give(&self, name: &str, grant: GrantDoc) -> Result<OwnNodeDoc> {
        self.change(name, |policy, now_s| policy.give(grant, now_s).map(drop)).await
    }

    /// Withdraws a grant.
    ///
    /// # Errors
    /// `grant.*`, `owner.node.unknown`, `file.io`.
    pub async fn withdraw_grant(&self, name: &str, id: u64) -> Result<OwnNodeDoc> {
        self.change(name, |policy, now_s| policy.withdraw(id, now_s)).await
    }

    async fn change(
        &self,
        name: &str,
        change: impl FnOnce(&mut Policy, u64) -> Result<()>,
    ) -> Result<OwnNodeDoc> {
        let _one_at_a_time = self.own.changing.lock().await;
        let mut policy = self.policy(name)?;
        change(&mut policy, self.now_s())?;
        policy.write(&self.node_dir(name))?;
        self.own.coordinator.tell_news();
        self.node(name).await
    }

    /// Claims what the newest final epoch owes a node or the buyer.
    ///
    /// # Errors
    /// `owner.node.unknown`, `claim.nothing-final`, `epoch.no-balance`, the contract's.
    pub async fn claim(&self, name: &str) -> Result<ClaimDoc> {
        if name != BUYER {
            self.policy(name)?;
        }
        let secret = if name == BUYER { self.buyer_key()? } else { self.own.keys.account(name)? };
        claim(&self.own.client, &**self.own.coordinator.settlement(), &secret, secret.address()).await
    }

    fn buyer_key(&self) -> Result<AccountSecret> {
        if self.tenant.is_local() {
            return self.own.keys.account(BUYER);
        }
        let dir = self.dir().join("keys/tenants").join(self.tenant.to_string());
        Keys::open(&dir)?.account(BUYER)
    }

    fn budget(&self) -> Result<Budget> {
        Ok(read_json(&self.place().join("buyer.json"), "buyer.json")?.unwrap_or_default())
    }

    fn keep(&self, budget: &Budget) -> Result<()> {
        write_json(&self.place().join("buyer.json"), "buyer.json", budget)
    }

    async fn buyer(&self) -> Result<BuyerDoc> {
        let address = self.buyer_key()?.address();
        let budget = self.budget()?;
        let mut jobs: Vec<JobDoc> = self.own.coordinator.jobs_bought(&address);
        // In the order of purchase; jobs of this key from elsewhere last.
        let place = |doc: &JobDoc| budget.jobs.iter().position(|id| *id == doc.id);
        jobs.sort_by_key(|doc| std::cmp::Reverse(place(doc)));
        Ok(BuyerDoc {
            account: self.own.coordinator.account(&address),
            claimed: self.own.coordinator.settlement().claimed(address).await?,
            spend_a_day: budget.spend_a_day,
            spent_today: budget.spent_on(self.now_s()),
            jobs,
        })
    }

    /// What the built-in key may spend a day.
    ///
    /// # Errors
    /// `file.io`.
    pub async fn set_budget(&self, doc: BudgetDoc) -> Result<BuyerDoc> {
        let _one_at_a_time = self.own.changing.lock().await;
        self.keep(&Budget { spend_a_day: doc.spend_a_day, ..self.budget()? })?;
        self.own.coordinator.tell_news();
        self.buyer().await
    }

    /// The job that is asked for, the feed that goes with it, and how many of its days have a reference.
    fn job(&self, wanted: &WantedDoc) -> Result<(proofmesh_market::Job, FeedDoc, u64)> {
        let between = |name: &str, most: u64, got: u64| {
            if (1..=most).contains(&got) {
                Ok(())
            } else {
                Err(Fault::misuse(name, format_args!("1 to {most}"), got))
            }
        };
        between("buy.days", DAYS_MAX, wanted.days)?;
        between("buy.open", OPEN_HOURS_MAX, wanted.open_hours)?;
        let number = station(&wanted.station)?;
        let from_s = day_start_s(&wanted.from)?;
        let table = feed(&airports(), &[(number, wanted.device)], from_s, wanted.days)?;
        let deadline_s = self.now_s().saturating_add(wanted.open_hours * 3_600);
        let job = DaysWanted {
            model: wanted.model,
            device: wanted.device,
            unit_price: wanted.unit_price,
            from_s,
            days: wanted.days,
            deadline_s,
            feed: table.commitment(),
            wrappable: self.own.coordinator.is_wrappable(&wanted.model),
            salt: salt(&format!(
                "{deadline_s} {}",
                self.own.coordinator.with_state(proofmesh_market::State::events)
            )),
        }
        .job(self.buyer_key()?.address());
        Ok((job, FeedDoc::of(&table), table.rows().len() as u64))
    }

    /// What a purchase would cost. Nothing is signed.
    ///
    /// # Errors
    /// `buy.*`, `station.unknown`, `date.form`, `job.*`, `inference.model-unknown`.
    pub fn quote(&self, wanted: &WantedDoc) -> Result<QuoteDoc> {
        let (job, _, days_with_reference) = self.job(wanted)?;
        let escrow = job.escrow()?;
        let suggested = self.own.coordinator.suggested_price(&job)?;
        let budget = self.budget()?;
        let left = budget.spend_a_day.checked_sub(budget.spent_on(self.now_s()));
        let (node_share, nodes) = self.own.coordinator.with_state(|state| {
            let fee_ppm = state.rules().map_or(0, |rules| rules.fee_ppm);
            let fit = |device: &Device| {
                let node = state.devices().get(device).and_then(|binding| state.nodes().get(&binding.node));
                node.is_some_and(|node| node.capabilities.contains_key(&(job.service, job.model)))
            };
            let share = job.unit_price.part_down(1_000_000u64.saturating_sub(fee_ppm)).unwrap_or_default();
            (share, job.devices.iter().filter(|device| fit(device)).count() as u64)
        });
        Ok(QuoteDoc {
            escrow,
            suggested,
            node_share,
            fee: job.unit_price.checked_sub(node_share).unwrap_or_default(),
            days_with_reference,
            nodes,
            spendable: self.own.coordinator.account(&job.buyer).balance,
            budget_left: left.unwrap_or_default(),
        })
    }

    /// Buys: the whole price goes into escrow (on a development chain with test money), the job is posted.
    ///
    /// # Errors
    /// As [`Side::quote`]; `owner.budget`; the market's and the chain's.
    pub async fn buy(&self, wanted: &WantedDoc) -> Result<IdDoc> {
        let _one_at_a_time = self.own.changing.lock().await;
        let (job, feed, _) = self.job(wanted)?;
        let escrow = job.escrow()?;
        let before = self.budget()?;
        let mut budget = before.after(escrow, self.now_s())?;
        self.keep(&budget)?; // charged first: no crash makes the budget larger
        let id = job.digest(&self.own.coordinator.domain());
        match self.pay(job, &feed, escrow).await {
            Ok(id) => {
                budget.jobs.push(id);
                self.keep(&budget)?;
                Ok(IdDoc { id })
            }
            // What failed after the order was taken: the money is in escrow.
            Err(_) if self.own.coordinator.with_state(|state| state.jobs().contains_key(&id)) => {
                budget.jobs.push(id);
                self.keep(&budget)?;
                Ok(IdDoc { id })
            }
            Err(fault) => {
                self.keep(&before)?;
                Err(fault)
            }
        }
    }

    async fn pay(&self, job: proofmesh_market::Job, feed: &FeedDoc, escrow: Usd) -> Result<Hash32> {
        let buyer = self.buyer_key()?;
        self.own.coordinator.add_feed(self.tenant, feed)?;
        fund(&self.own.client, &**self.own.coordinator.settlement(), &buyer, escrow).await?;
        post(&self.own.client, &self.own.coordinator.domain(), &buyer, job).await
    }

    /// Asks for what the built-in key has spendable: it becomes claimable with the next final epoch.
    ///
    /// # Errors
    /// `owner.nothing-to-withdraw`, the market's.
    pub async fn withdraw(&self) -> Result<AccountDoc> {
        let _one_at_a_time = self.own.changing.lock().await;
        let buyer = self.buyer_key()?;
        let account = buyer.address();
        let known = self.own.coordinator.account(&account);
        if known.balance.is_zero() {
            return Err(Fault::refused("owner.nothing-to-withdraw", "a spendable balance", known.balance));
        }
        let order = Withdraw { account, amount: known.balance, nonce: known.withdrawal_nonce };
        let order = Signed::new(order, &self.own.coordinator.domain(), &buyer)?;
        self.own.client.order(&What::WithdrawalAsked(order)).await?;
        Ok(self.own.coordinator.account(&account))
    }
}

fn share(delivered: &DeliveredReceipt) -> Usd {
    match &delivered.status {
        ReceiptStatus::Accepted { share, .. } | ReceiptStatus::Settled { share, .. } => *share,
        ReceiptStatus::Pending | ReceiptStatus::Refused { .. } => Usd::ZERO,
    }
}

fn waiting_share(delivered: &DeliveredReceipt) -> Usd {
    if let ReceiptStatus::Accepted { share, .. } = &delivered.status { *share } else { Usd::ZERO }
}
