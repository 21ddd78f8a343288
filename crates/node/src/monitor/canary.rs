//! The canary: a job of this machine's own, from order to verdict by the same way as everybody's, again and again.
//!
//! A node `canary` replays a day of a recording; the tenant `canary` buys that day with a buyer's account of its own. What is
//! proved, delivered, checked and accepted is counted as `paid`; whatever else happens, with its name, is a failed canary. On a
//! development chain stake and price are test money; elsewhere the node has to be bonded and the buyer to have money.
//!
//! Refuses: `canary.no-model`, `canary.not-drawn`, `canary.not-paid`.

use super::{CanaryRun, METERS, trace};
use crate::fault::{Fault, Result};
use crate::keys::Tenant;
use crate::operator::DayDoc;
use crate::own::WantedDoc;
use crate::up::Up;
use crate::weather::{STATIONS, import_model};
use crate::work::{Heard, Worker};
use crate::zk::model_id;
use proofmesh_market::{Hash32, Usd};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// Name of its node and of its tenant.
pub const NAME: &str = "canary";
/// The day that it proves: a genuine one.
const DAY: &str = "2013-01-22";
/// What it pays for it, micro-USD.
const PRICE: Usd = Usd::from_micro(10_000);
/// How long it waits to be drawn.
const DRAWN_WITHIN: Duration = Duration::from_secs(120);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(250);

/// Nothing to say: what it did is in the metrics.
struct Quiet;

impl Heard for Quiet {
    fn day(&mut self, _: &DayDoc) {}
    fn tell(&mut self, _: &str) {}
}

/// Runs canaries until the task is dropped; `tell` hears of every change from paid to failed and back.
pub async fn stay(up: &Up, every: Duration, tell: &(dyn Fn(&str) + Sync)) {
    let mut told = None;
    loop {
        let result = run(up).await;
        let name = result.as_ref().err().map(|fault| fault.name.clone());
        if told.as_ref() != Some(&name) {
            match &result {
                Ok(seconds) => tell(&format!("canary: paid after {seconds:.1} s")),
                Err(fault) => tell(&format!("canary: not paid: {fault}")),
            }
            told = Some(name);
        }
        tokio::time::sleep(every).await;
    }
}

/// Runs one canary job; gives the seconds from order to verdict.
///
/// # Errors
/// `canary.*`, and the name of whatever stands in its way.
pub async fn run(up: &Up) -> Result<f64> {
    let began = Instant::now();
    let about = |paid: &Result<()>| {
        let result = paid.as_ref().err().map_or("paid".to_owned(), |fault| fault.name.clone());
        vec![("proofmesh.result", result)]
    };
    let paid = trace::span("canary", None, one_job(up), about).await;
    let seconds = began.elapsed().as_secs_f64();
    let mut last = METERS.canary.lock().unwrap_or_else(PoisonError::into_inner);
    let before = last.unwrap_or_default();
    *last = Some(CanaryRun {
        paid: before.paid + u64::from(paid.is_ok()),
        failed: before.failed + u64::from(paid.is_err()),
        last_paid: paid.is_ok(),
        seconds,
        paid_at_s: if paid.is_ok() { up.coordinator.time().now_s() } else { before.paid_at_s },
    });
    paid.map(|()| seconds)
}

async fn one_job(up: &Up) -> Result<()> {
    let client = up.client()?;
    let model = model_id(&import_model()?.file)?;
    if !client.status().await?.models.contains(&model) {
        return Err(Fault::refused("canary.no-model", "the weather model in the market", "others"));
    }
    let (dir, time) = (up.coordinator.dir(), up.coordinator.time().clone());
    let worker = Worker::new(client.clone(), dir, NAME, 0, None, time)?;
    let operator = worker.join(&mut Quiet).await?;
    let tenant: Tenant = NAME.parse()?;
    let wanted = WantedDoc {
        device: operator.device().device(),
        station: STATIONS[0].to_owned(),
        model,
        from: DAY.to_owned(),
        days: 1,
        unit_price: PRICE,
        open_hours: 1,
    };
    let id = up.own().of(&tenant).buy(&wanted).await?.id;
    let days = worker.work(&[drawn(up, id).await?], 1, &mut Quiet).await?;
    match days.first() {
        Some(day) if day.outcome == "paid" => Ok(()),
        day => {
            let got = day.map_or("nothing".to_owned(), |day| {
                day.reason.as_ref().map_or(day.outcome.clone(), |reason| reason.name.clone())
            });
            Err(Fault::refused("canary.not-paid", "a day that is paid", got))
        }
    }
}

/// The job once its node was drawn.
async fn drawn(up: &Up, id: Hash32) -> Result<crate::wire::JobDoc> {
    let client = up.client()?;
    let began = Instant::now();
    while began.elapsed() < DRAWN_WITHIN {
        let job = client.job(&id).await?;
        if job.status == "assigned" {
            return Ok(job);
        }
        tokio::time::sleep(LOOK).await;
    }
    let expected = format!("a draw within {} s", DRAWN_WITHIN.as_secs());
    Err(Fault::refused("canary.not-drawn", expected, "an open job"))
}
