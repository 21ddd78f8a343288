//! Load: what one coordinator carries. Nodes join, each with a key, a device, a stake and a pledge; they hand in real receipts
//! of metered data over the API, at a rate that does not wait for the answers; the time from the moment at which a
//! receipt was due to its acknowledgement counts, so a coordinator that stalls cannot hide it.
//!
//! A line of each node runs one tick a second, beginning long ago, and each tick is a receipt: the node hands in a backlog.
//! Ticks are signed by both sides, receipts by device and node, while the load runs.

use crate::buyer::{fund, post};
use crate::client::Client;
use crate::fault::{Fault, Kind, Result};
use crate::member::Member;
use crate::meter::join;
use proofmesh_market::receipt::output_hash;
use proofmesh_market::{
    AccountSecret, Assurance, DeviceSecret, Hash32, Job, Receipt, SignedReceipt, Usd, keccak,
};
use proofmesh_services::metered::{Line, Quantity, Range, SERVICE, SignedTick, Terms};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

/// Nodes of one job.
const SLOTS: usize = proofmesh_market::limits::JOB_DEVICES_MAX;
/// Nodes that join at the same time.
const JOIN_AT_ONCE: usize = 16;
/// What a receipt, one unit, costs.
const UNIT_PRICE: Usd = Usd::from_micro(100);
/// How long a node waits before it hands in again what was not acknowledged.
const AGAIN: Duration = Duration::from_millis(200);
/// Seconds of a figure over time.
const SLICE_S: usize = 10;

/// What is wanted of a load.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Nodes.
    pub nodes: usize,
    /// Receipts a second, of all nodes together.
    pub rate: u64,
    /// For so long.
    pub seconds: u64,
}

impl Wanted {
    /// Receipts of each node.
    fn each(&self) -> u64 {
        (self.rate * self.seconds).div_ceil(self.nodes as u64)
    }
}

/// Milliseconds that so many of all stayed below.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// Half of them.
    pub p50_ms: f64,
    /// 99 of 100.
    pub p99_ms: f64,
    /// 999 of 1,000.
    pub p999_ms: f64,
    /// All of them.
    pub most_ms: f64,
}

impl Quantiles {
    /// Of some times in microseconds; zeros of none.
    #[must_use]
    pub fn of(mut times_us: Vec<u32>) -> Self {
        times_us.sort_unstable();
        let below = |per_mille: usize| {
            let place = (times_us.len() * per_mille).div_ceil(1_000).max(1) - 1;
            times_us.get(place).map_or(0.0, |us| f64::from(*us) / 1_000.0)
        };
        Quantiles { p50_ms: below(500), p99_ms: below(990), p999_ms: below(999), most_ms: below(1_000) }
    }
}

/// What a load did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Carried {
    /// Receipts acknowledged.
    pub receipts: u64,
    /// From the first one due to the last acknowledgement.
    pub seconds: f64,
    /// Acknowledged a second.
    pub per_second: f64,
    /// From due to acknowledged.
    pub acknowledged: Quantiles,
    /// Receipts handed in again because an answer said that the coordinator had trouble.
    pub again: u64,
    /// Acknowledged in each ten seconds.
    pub slices: Vec<u64>,
}

/// A line of one node with a job.
struct Feed {
    member: Member,
    line: Line,
    consumer: DeviceSecret,
    job: Hash32,
    last: SignedTick,
    head: Hash32,
    sequence: u64,
}

impl Feed {
    fn tick(line: &Line, number: u64, device: &DeviceSecret, consumer: &DeviceSecret) -> Result<SignedTick> {
        let tick = line.tick(number, number)?; // a unit a tick
        Ok(SignedTick { tick, provider: tick.sign(device), consumer: tick.sign(consumer) })
    }

    /// The next receipt with its evidence.
    fn next(&mut self) -> Result<(SignedReceipt, Vec<u8>)> {
        let number = self.last.tick.number + 1; // as many as receipts
        let next = Self::tick(&self.line, number, &self.member.device, &self.consumer)?;
        let range = Range { first: self.last, last: next };
        let evidence = range.encode();
        let receipt = Receipt {
            job: self.job,
            sequence: self.sequence,
            node: self.member.address(),
            device: self.line.provider,
            service: SERVICE.id(),
            model: Hash32::ZERO,
            input: Hash32::ZERO,
            output: output_hash(&[]),
            units: 1,
            window_start: range.first.tick.time_s,
            window_end: next.tick.time_s,
            evidence: keccak(&evidence),
            previous: self.head,
        };
        let domain = &self.member.domain;
        (self.head, self.sequence, self.last) = (receipt.digest(domain), self.sequence + 1, next);
        let signed = receipt.sign(domain, &[], &self.member.device, &self.member.account)?;
        Ok((signed, evidence))
    }
}

/// Has so many nodes join, several at the same time. `dir` is for their keys. Gives them with the seconds it took.
///
/// # Errors
/// The market's and the chain's refusals.
pub async fn join_all(client: &Client, dir: &Path, nodes: usize) -> Result<(Vec<Member>, f64)> {
    let (began, next) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
    let mut running = JoinSet::new();
    for _ in 0..JOIN_AT_ONCE {
        let (client, dir, next) = (client.clone(), dir.to_owned(), next.clone());
        running.spawn(async move {
            let mut joined = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::SeqCst);
                if number >= nodes {
                    return Ok(joined);
                }
                joined.push(join(client.clone(), &dir, &format!("load-{number}")).await?);
            }
        });
    }
    let mut members = Vec::new();
    while let Some(joined) = running.join_next().await {
        let joined: Result<Vec<Member>> = joined.map_err(|error| ended(&error))?;
        members.extend(joined?);
    }
    Ok((members, began.elapsed().as_secs_f64()))
}

fn ended(error: &dyn std::fmt::Display) -> Fault {
    Fault::trouble("load.ended", "every task to end", error)
}

/// A load that is ready to run.
pub struct Load {
    wanted: Wanted,
    feeds: Vec<Feed>,
    jobs: Vec<Hash32>,
}

impl Load {
    /// Posts the jobs of nodes that joined, and waits until these are drawn for them.
    ///
    /// # Errors
    /// The market's refusals.
    pub async fn prepare(
        client: &Client,
        buyer: &AccountSecret,
        consumer: &DeviceSecret,
        members: Vec<Member>,
        wanted: Wanted,
    ) -> Result<Self> {
        let (status, settlement) = (client.status().await?, client.settlement().await?);
        let units = wanted.each();
        let terms = Terms {
            quantity: Quantity::Bytes,
            consumer: consumer.device(),
            unit: 1,
            tick_s: 1,
            tick_max: 1,
            range_ticks: 1,
        };
        let escrow = UNIT_PRICE.checked_mul(units.saturating_mul(members.len() as u64));
        let escrow = escrow.ok_or_else(|| Fault::misuse("load.escrow", "a price below 2^64", units))?;
        fund(client, &*settlement, buyer, escrow).await?;
        let from_s = status.now_s.saturating_sub(units + 1);
        let (mut feeds, mut jobs) = (Vec::new(), Vec::new());
        let mut members = members.into_iter().peekable();
        while members.peek().is_some() {
            let some: Vec<Member> = members.by_ref().take(SLOTS).collect();
            let mut devices: Vec<_> = some.iter().map(|member| member.device.device()).collect();
            devices.sort_unstable();
            let job = Job {
                buyer: buyer.address(),
                salt: keccak(&[&from_s.to_be_bytes()[..], &jobs.len().to_be_bytes()].concat()),
                service: SERVICE.id(),
                model: Hash32::ZERO,
                input: Hash32::ZERO,
                unit_price: UNIT_PRICE,
                max_units: units * some.len() as u64,
                window_from_s: from_s,
                window_until_s: status.now_s,
                deadline_s: status.now_s + 30 * 86_400,
                assurance: Assurance::Sampled,
                slots: some.len() as u16, // at most SLOTS
                cell: 0,
                devices,
                terms: terms.encode(),
            };
            let id = post(client, &status.domain, buyer, job).await?;
            jobs.push(id);
            for member in some {
                let line = Line { job: id, provider: member.device.device(), from_s, terms: terms.clone() };
                let node = client.node(&member.address()).await?;
                let consumer = consumer.clone();
                let last = Feed::tick(&line, 0, &member.device, &consumer)?;
                let (head, sequence) = (node.head, node.next_sequence);
                feeds.push(Feed { member, line, consumer, job: id, last, head, sequence });
            }
        }
        for job in &jobs {
            while client.job(job).await?.status == "open" {
                sleep(AGAIN).await;
            }
        }
        Ok(Load { wanted, feeds, jobs })
    }

    /// The jobs that it is for.
    #[must_use]
    pub fn jobs(&self) -> &[Hash32] {
        &self.jobs
    }

    /// Hands in all receipts, each when it is due.
    ///
    /// # Errors
    /// A refusal: no receipt of a load deserves one.
    pub async fn run(self) -> Result<Carried> {
        let Wanted { rate, .. } = self.wanted;
        let (each, nodes) = (self.wanted.each(), self.feeds.len() as u64);
        let (mut running, start) = (JoinSet::new(), Instant::now() + Duration::from_millis(100));
        for (place, mut feed) in (0..).zip(self.feeds) {
            running.spawn(async move {
                let (mut times, mut again) = (Vec::with_capacity(each as usize), 0);
                for number in 0..each {
                    let due = start + Duration::from_secs(number * nodes + place) / rate as u32;
                    sleep_until(due).await;
                    let (receipt, evidence) = feed.next()?;
                    again += hand_in(&feed.member.client, &receipt, &evidence).await?;
                    times.push((due - start, due.elapsed()));
                }
                Ok((times, again))
            });
        }
        let (mut all, mut slices, mut again, mut last) = (Vec::new(), Vec::new(), 0, Duration::ZERO);
        while let Some(ended_task) = running.join_next().await {
            let done: Result<(Vec<(Duration, Duration)>, u64)> = ended_task.map_err(|error| ended(&error))?;
            let (times, more) = done?;
            again += more;
            for (due, took) in times {
                let at = due + took;
                last = last.max(at);
                let slice = at.as_secs() as usize / SLICE_S;
                slices.resize(slices.len().max(slice + 1), 0);
                slices[slice] += 1;
                all.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
            }
        }
        let (receipts, seconds) = (all.len() as u64, last.as_secs_f64());
        let per_second = receipts as f64 / seconds.max(1e-9);
        Ok(Carried { receipts, seconds, per_second, acknowledged: Quantiles::of(all), again, slices })
    }
}

/// Hands a receipt in until it is acknowledged. Gives how often it was handed in again.
async fn hand_in(client: &Client, receipt: &SignedReceipt, evidence: &[u8]) -> Result<u64> {
    let mut again = 0;
    loop {
        match client.deliver_at_once(receipt, evidence).await {
            Ok(_) => return Ok(again),
            Err(fault) if fault.is("receipt.replayed") && again > 0 => return Ok(again),
            Err(fault) if fault.kind == Kind::Trouble => {
                again += 1;
                sleep(AGAIN).await;
            }
            Err(fault) => return Err(fault),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_times_that_so_many_stayed_below() {
        let found = Quantiles::of((1..=1_000).rev().map(|ms| ms * 1_000).collect());
        assert_eq!((found.p50_ms, found.p99_ms), (500.0, 990.0));
        assert_eq!((found.p999_ms, found.most_ms), (999.0, 1_000.0));
        assert_eq!(Quantiles::of(vec![7_000]).p50_ms, 7.0);
        assert_eq!(Quantiles::of(Vec::new()), Quantiles::default());
    }
}
