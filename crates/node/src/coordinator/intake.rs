//! What comes in from accounts: orders and, on development chains, requests for test money and enrolments.

use super::Coordinator;
use crate::fault::{Fault, Result};
use proofmesh_market::{Address, Device, Effect, Hash32, Job, State, Usd, What};
use proofmesh_services::{by_id, inference};

/// Most test money that one request may bring an account to.
pub const FAUCET_MAX: Usd = Usd::from_micro(1_000_000_000_000);

impl Coordinator {
    /// Takes an order that an account signed. The market verifies it; this only decides which kinds may come
    /// from outside.
    ///
    /// # Errors
    /// `order.not-from-outside`, `wrap.*` for a wrapping job that nobody can do, `feed.*` for a job about a feed that it does not pay for, and what the market refuses.
    pub async fn order(&self, what: What) -> Result<Vec<Effect>> {
        let outside = matches!(
            what,
            What::NodeEnrolled(_)
                | What::DeviceBound { .. }
                | What::JobPosted(_)
                | What::WithdrawalAsked(_)
                | What::DisputeOpened(_)
                | What::NodeThawed(_)
                | What::Pledged(_)
                | What::Offered(_)
                | What::Limited(_)
                | What::DeviceCertified(_)
        );
        if !outside {
            let expected = "NodeEnrolled, DeviceBound, JobPosted, WithdrawalAsked, DisputeOpened, NodeThawed, Pledged, Offered, Limited or DeviceCertified";
            return Err(Fault::misuse(
                "order.not-from-outside",
                expected,
                "an event of the coordinator's own",
            ));
        }
        if let What::JobPosted(order) = &what {
            self.require_understood(&order.order)?;
            tokio::task::block_in_place(|| self.require_workable(&order.order))?;
        }
        self.sync_chain().await?;
        let enrolled = if let What::NodeEnrolled(order) = &what { Some(order.order.node) } else { None };
        let job = if let What::JobPosted(order) = &what { Some(order.order.clone()) } else { None };
        let effects = match &job {
            Some(job) => tokio::task::block_in_place(|| self.take_job(what, job))?,
            None => self.take(what)?,
        };
        if let Some(node) = enrolled {
            self.look_at_stake(node).await?; // it may have bonded before
        }
        if self.is_guarded() {
            // A job is drawn with the next value, a dispute is voted on at once.
            let panels: Vec<Hash32> = effects.iter().filter_map(seated).collect();
            let sits = |state: &State, digest: &Hash32| {
                state.guarded().is_some_and(|it| it.panels.contains_key(digest))
            };
            self.rounds_until(|state| {
                !state.has_drawable_job(self.time.now_s()) && !panels.iter().any(|digest| sits(state, digest))
            })
            .await?;
        } else {
            self.assign_open()?;
            self.stock_draws()?;
        }
        Ok(effects)
    }

    /// Nodes are drawn for a job before they see it: one that no node could do does not get that far.
    fn require_understood(&self, job: &Job) -> Result<()> {
        let Some(service) = by_id(&job.service) else { return Ok(()) };
        self.with_engines(&self.shared([]), |engines| (service.describe)(job, engines).map(drop))
            .map_err(|reason| Fault::from(&reason))?;
        if job.service != inference::SERVICE.id() || !self.is_wrappable(&job.model) {
            return Ok(());
        }
        // Whoever posts epochs here answers for the receipts on chain, and only such proofs let it.
        let terms = inference::Terms::decode(&job.terms).map_err(|reason| Fault::from(&reason))?;
        if terms.wrappable {
            return Ok(());
        }
        let expected = "terms with the flag *wrappable* (`wrappable` of /v1/status names the models)";
        Err(Fault::refused("inference.not-wrappable", expected, format_args!("model {}", job.model)))
    }

    fn require_development(&self) -> Result<()> {
        if self.settlement().profile().development {
            return Ok(());
        }
        let chain = self.settlement().profile().name;
        Err(Fault::refused("chain.not-development", "a development chain", chain))
    }

    /// Test money: brings an account's token balance up to an amount. Gives what was minted.
    ///
    /// # Errors
    /// `chain.not-development`, `faucet.too-much`.
    pub async fn faucet(&self, account: Address, balance: Usd) -> Result<Usd> {
        self.require_development()?;
        if balance > FAUCET_MAX {
            return Err(Fault::refused("faucet.too-much", FAUCET_MAX, balance));
        }
        let _one_at_a_time = self.governing.lock().await;
        let before = self.settlement().balance_of(account).await?;
        self.settlement().mint(&self.ground.governor, account, balance).await?;
        Ok(balance.checked_sub(before).unwrap_or_default())
    }

    /// Enrols a device in the registry on chain, as its maker would.
    ///
    /// # Errors
    /// `chain.not-development`, the contract's refusals.
    pub async fn enrol_device(&self, device: Device, owner: Address, cell: u64) -> Result<()> {
        self.require_development()?;
        let _one_at_a_time = self.governing.lock().await;
        self.settlement().enrol_device(&self.ground.governor, device, owner, cell).await?;
        tokio::task::block_in_place(|| self.certify(device))
    }

    /// Lets time pass, on the market and the chain alike.
    ///
    /// # Errors
    /// `chain.not-development`, `time.too-far`.
    pub async fn pass_time(&self, seconds: u64) -> Result<()> {
        self.require_development()?;
        if seconds > proofmesh_market::limits::SPAN_S_MAX {
            return Err(Fault::refused("time.too-far", proofmesh_market::limits::SPAN_S_MAX, seconds));
        }
        self.time.pass(seconds);
        match self.chain().embedded() {
            Some(chain) => drop(chain.mine()?), // its clock is the market's
            None => self.settlement().pass_time(seconds).await?,
        }
        Ok(())
    }
}

/// The receipt that a panel is to sit on.
fn seated(effect: &Effect) -> Option<Hash32> {
    if let Effect::PanelWanted { receipt } = effect { Some(*receipt) } else { None }
}
