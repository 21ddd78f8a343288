//! The operator's work loop: what a node does for the jobs that it was drawn for, within its owner's limits.
//!
//! The owner's policy is read again before every window. A job or window outside it is refused by name, written
//! into the journal and left alone; the loop goes on with the next job.

use crate::client::Client;
use crate::device::Readings;
use crate::engine::keys::Keys;
use crate::fault::{Fault, Kind, Result};
use crate::operator::{DayDoc, Operator, require_fit, windows};
use crate::owner::{Journal, Policy};
use crate::time::Time;
use crate::weather::{STATIONS, airports};
use crate::wire::{JobDoc, NodeDoc};
use proofmesh_market::{Device, Hash32, Usd};
use proofmesh_services::inference::Terms;
use proofmesh_services::reference::{ReferenceTable, References};
use proofmesh_services::window::WINDOW_S;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a loop waits for news.
const LOOK_AGAIN: Duration = Duration::from_millis(400);

/// What a worker says of its work as it goes.
pub trait Heard: Send {
    /// A job is begun, with so many windows to do.
    fn job(&mut self, _job: &JobDoc, _windows: usize) {}
    /// A window was worked on.
    fn day(&mut self, day: &DayDoc);
    /// Something a person should know.
    fn tell(&mut self, text: &str);
}

/// A node of this machine.
#[derive(Clone, Debug)]
pub struct Worker {
    client: Client,
    dir: PathBuf,
    name: String,
    station: usize,
    readings: Readings,
    time: Time,
}

impl Worker {
    /// A node of this name at a station, with its state in `dir`; without readings of its own it replays the
    /// station's recording. A node without a policy gets one.
    ///
    /// # Errors
    /// `key.name`, `owner.json`, `file.io`.
    pub fn new(
        client: Client,
        dir: &Path,
        name: &str,
        station: usize,
        readings: Option<Readings>,
        time: Time,
    ) -> Result<Self> {
        Keys::open(&dir.join("keys"))?.account(name)?; // a name that is none leads to no directory
        let readings = readings.unwrap_or_else(|| airports()[station].clone().into());
        let worker = Worker { client, dir: dir.to_owned(), name: name.to_owned(), station, readings, time };
        let place = worker.place();
        match Policy::read(&place)? {
            Some(policy) if policy.station == STATIONS[station] => {}
            Some(policy) => Policy { station: STATIONS[station].to_owned(), ..policy }.write(&place)?,
            None => Policy::new(STATIONS[station], worker.time.now_s()).write(&place)?,
        }
        Ok(worker)
    }

    /// The API that it speaks to.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    fn place(&self) -> PathBuf {
        self.dir.join("nodes").join(&self.name)
    }

    /// The node before its device's first reading.
    ///
    /// # Errors
    /// As [`Operator::new`].
    pub async fn operator(&self) -> Result<Operator> {
        let readings = self.readings.clone();
        Operator::new(self.client.clone(), &self.dir, &self.name, self.station, readings).await
    }

    /// Joins the market, is measured for every model of it, and hands in what an earlier run signed.
    ///
    /// # Errors
    /// The market's and the chain's refusals.
    pub async fn join(&self, heard: &mut dyn Heard) -> Result<Operator> {
        let status = self.client.status().await?;
        let operator = self.operator().await?;
        operator.join(status.rules.min_stake).await?;
        for model in &status.models {
            operator.be_measured(&self.client.model(model).await?).await?;
        }
        if let Some(delivered) = operator.resume().await? {
            heard.tell(&format!("handed in {}, signed by an earlier run", delivered.receipt.digest));
        }
        Ok(operator)
    }

    /// Jobs that a node was drawn for and that are not over.
    ///
    /// # Errors
    /// The API's.
    pub async fn assigned(&self, node: &NodeDoc) -> Result<Vec<JobDoc>> {
        let mine = |job: &JobDoc| job.status == "assigned" && job.nodes.contains(&node.node);
        Ok(self.client.jobs_of(&node.node).await?.into_iter().filter(mine).collect())
    }

    /// Works on some jobs, `most` windows of each at most. Gives what became of every window.
    ///
    /// # Errors
    /// Trouble; what is refused is written into the journal and left alone.
    pub async fn work(&self, jobs: &[JobDoc], most: usize, heard: &mut dyn Heard) -> Result<Vec<DayDoc>> {
        let mut days = Vec::new();
        for job in jobs {
            match self.job(job, most, heard, &mut days).await {
                // A job that asks for what cannot be had, or for more than the owner allows, is not the end of this node's work.
                Err(fault) if fault.kind == Kind::Refused => self.decline(job, fault, heard)?,
                done => done?,
            }
        }
        Ok(days)
    }

    fn decline(&self, job: &JobDoc, fault: Fault, heard: &mut dyn Heard) -> Result<()> {
        let place = self.place();
        let (text, mut journal) =
            (format!("job {} left out: {}", job.id, fault.name), Journal::read(&place)?);
        if journal.decline(&job.id, job.job.window_from_s, fault.into(), self.time.now_s()) {
            journal.write(&place)?;
            heard.tell(&text);
        }
        Ok(())
    }

    /// The policy, if it allows a window of the job now.
    fn allowed(&self, job: &JobDoc) -> Result<Policy> {
        let (place, now_s) = (self.place(), self.time.now_s());
        let policy = Policy::read(&place)?
            .ok_or_else(|| Fault::trouble("owner.json", "the owner's policy", place.display()))?;
        policy.allow(&job.job, Journal::read(&place)?.windows_on(now_s), now_s)?;
        Ok(policy)
    }

    async fn job(
        &self,
        job: &JobDoc,
        most: usize,
        heard: &mut dyn Heard,
        days: &mut Vec<DayDoc>,
    ) -> Result<()> {
        require_fit(&job.job)?;
        let todo = self.todo(job).await?;
        let todo = &todo[..most.min(todo.len())];
        let Some(first_s) = todo.first() else { return Ok(()) };
        self.allowed(job)?; // before anything is read for the job
        let model = self.client.model(&job.job.model).await?;
        let feed: Option<ReferenceTable> =
            match Terms::decode(&job.job.terms).ok().and_then(|terms| terms.feed) {
                Some(feed) => Some(self.client.feed(&feed).await?),
                None => None,
            };
        // The device's stream starts with the job, however often the node does.
        let mut operator = self.operator().await?;
        for start_s in windows(&job.job).into_iter().take_while(|start_s| start_s != first_s) {
            operator.hear(start_s)?;
        }
        heard.job(job, todo.len());
        for start_s in todo {
            let policy = self.allowed(job)?;
            let public = match &feed {
                Some(feed) => {
                    let device: Device = operator.device().device();
                    feed.reference(&feed.commitment(), &device, *start_s).map(|row| row.words.to_vec())
                }
                None => Some(Vec::new()),
            };
            let public = public.as_deref();
            let day = if policy.limits.practice {
                operator.practise(&model, (&job.id, &job.job), public, *start_s).await?
            } else {
                operator.work(&model, &job.id, &job.job, public, *start_s).await?
            };
            self.note(&job.id, *start_s, &day)?;
            heard.day(&day);
            let spent = day.reason.as_ref().is_some_and(|reason| reason.name == "receipt.cap-reached");
            let rest_ms = policy.limits.rest_ms(day.prove_ms);
            days.push(day);
            if spent {
                break;
            }
            tokio::time::sleep(Duration::from_millis(rest_ms)).await;
        }
        Ok(())
    }

    /// Writes into the journal what became of a window.
    ///
    /// # Errors
    /// `journal.json`, `file.io`.
    pub fn note(&self, job: &Hash32, start_s: u64, day: &DayDoc) -> Result<()> {
        let mut journal = Journal::read(&self.place())?;
        journal.add(job, start_s, day, self.time.now_s());
        journal.write(&self.place())
    }

    /// Windows of a job that are over, with readings that came, without a receipt, and not known to be without readings.
    async fn todo(&self, job: &JobDoc) -> Result<Vec<u64>> {
        let receipts = self.client.receipts_of(&job.id).await?;
        let done: BTreeSet<u64> = receipts.iter().map(|doc| doc.window_start_s).collect();
        let practice = Policy::read(&self.place())?.is_some_and(|policy| policy.limits.practice);
        let journal = Journal::read(&self.place())?;
        let now_s = self.client.status().await?.now_s;
        let open = |start_s: &u64| {
            let over = start_s.saturating_add(WINDOW_S) <= now_s; // the market pays no window before its end
            over && self.readings.ready(*start_s)
                && !done.contains(start_s)
                && !journal.is_done(&job.id, *start_s, practice)
        };
        Ok(windows(&job.job).into_iter().filter(open).collect())
    }

    /// Joins, then works on whatever comes until the task is dropped. Trouble is told and tried again.
    pub async fn stay(&self, heard: &mut dyn Heard) {
        let mut told = String::new();
        loop {
            if let Err(fault) = self.until_trouble(heard).await {
                let text = format!("{}: {fault}", self.name);
                if text != told {
                    heard.tell(&text);
                    told = text;
                }
            }
            tokio::time::sleep(5 * LOOK_AGAIN).await;
        }
    }

    /// The least price that the owner asks for.
    fn least(&self) -> Result<Option<Usd>> {
        Ok(Policy::read(&self.place())?.map(|policy| policy.limits.least_price))
    }

    async fn until_trouble(&self, heard: &mut dyn Heard) -> Result<()> {
        let (operator, mut least) = (self.join(heard).await?, self.least()?);
        let account = operator.account();
        loop {
            let asked = self.least()?;
            if asked != least {
                operator.offer().await?; // its owner asks for more, or takes less
                least = asked;
            }
            let node = self.client.node(&account).await?;
            let jobs = self.assigned(&node).await?;
            self.work(&jobs, usize::MAX, heard).await?;
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}
