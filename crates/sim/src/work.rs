//! What buyers and machines do: jobs, offers, windows done or lied about, crashes, repairs.

use crate::chance::bytes;
use crate::machine::Machine;
use crate::physics::{GENUINE, Source};
use crate::population::{CHAIN_STAKE, DOMAIN, EXPOSURE, MODEL, service, sign};
use crate::setting::{DAY_S, START_S, WORK, cents};
use crate::strategies::{Act, Situation};
use crate::world::{Message, TICK_S, World};
use proofmesh_market::event::draw_commitment;
use proofmesh_market::order::{Offer, Pledge, Thaw};
use proofmesh_market::receipt::{context, output_hash};
use proofmesh_market::state::{JobStatus, Standing};
use proofmesh_market::{AccountSecret, Assurance, Device, Hash32, Job, Order, Receipt, Usd, What, keccak};
use proofmesh_services::inference::Terms;

/// Days from a job's posting to its first window; windows of a job; days after the last for receipts.
const LEAD_DAYS: u64 = 2;
const JOB_DAYS: u64 = 7;
const GRACE_DAYS: u64 = 6;
/// Nodes of a job.
const SLOTS: u16 = 4;

impl World {
    /// A day's step of the price feed, between 0.90 and 1.40 USD.
    pub(crate) fn move_price(&mut self) {
        let step = self.chance.below(61);
        let moved = (self.price.micro() / 1_000 + step).saturating_sub(30);
        self.price = Usd::from_micro(moved.clamp(900, 1_400) * 1_000);
    }

    /// The week's jobs of the honest buyers, and those of liars that buy from themselves.
    pub(crate) fn post_jobs(&mut self, day: u64) {
        for number in 0..(self.setting.nodes / u64::from(SLOTS)).max(1) {
            let buyer = self.buyers[(number % 2) as usize].clone();
            self.post_job(day, number, &buyer, Vec::new(), SLOTS);
        }
        for index in 0..self.machines.len() {
            let machine = &self.machines[index];
            let (washed, device) = (machine.setup.washed, machine.device.device());
            if machine.fake || washed == 0 {
                continue;
            }
            let purchaser = machine.purchaser.clone();
            for number in 0..washed.div_ceil(JOB_DAYS) {
                self.post_job(day, 1_000_000 + machine_number(index, number), &purchaser, vec![device], 1);
            }
        }
    }

    fn post_job(&mut self, day: u64, number: u64, buyer: &AccountSecret, devices: Vec<Device>, slots: u16) {
        if self.state().guarded().is_none() {
            self.deposits += 1;
            let secret = bytes(self.setting.seed, "draw", self.deposits);
            self.draw_secrets.insert(draw_commitment(&secret), secret);
            self.say(Some(What::DrawCommitted { commitment: draw_commitment(&secret) }));
        }
        let class = self.setting.regime.genuine_only.then_some(0);
        let terms = Terms { class, window_s: DAY_S, phase_s: 0, ..Terms::default() };
        let window_from_s = START_S + (day + LEAD_DAYS) * DAY_S;
        let window_until_s = window_from_s + JOB_DAYS * DAY_S;
        let job = Job {
            buyer: buyer.address(),
            salt: bytes(self.setting.seed, "salt", day << 32 | number),
            service: service(),
            model: MODEL,
            input: Hash32::ZERO,
            unit_price: self.price,
            max_units: JOB_DAYS * u64::from(slots),
            window_from_s,
            window_until_s,
            deadline_s: window_until_s + GRACE_DAYS * DAY_S,
            assurance: Assurance::Proof,
            slots,
            cell: 0,
            devices,
            terms: terms.encode(),
        };
        let id = job.digest(&DOMAIN);
        if !self.say(sign(job, buyer).map(What::JobPosted)) || self.state().guarded().is_some() {
            return;
        }
        let secret =
            self.state().jobs().get(&id).and_then(|posted| self.draw_secrets.get(&posted.draw)).copied();
        let Some(secret) = secret else { return };
        let now_s = self.now_s;
        if let Ok(effects) = self.coordinator.take(now_s, What::Assigned { job: id, secret }) {
            self.tell(&effects);
        }
    }

    /// One look of a machine and its owner.
    pub(crate) fn tend_machine(&mut self, index: usize) {
        let (now_s, faults) = (self.now_s, self.setting.faults);
        let (from_s, until_s) = (self.machines[index].from_s, self.machines[index].until_s);
        if (from_s..from_s + TICK_S).contains(&now_s) && from_s > START_S {
            self.join(index);
        }
        if now_s < from_s || now_s >= until_s || !self.machines[index].up {
            return;
        }
        self.tend_standing(index);
        self.wake(index);
        let machine = &mut self.machines[index];
        if machine.chance.below(8_000) < faults.crashes {
            machine.crash();
            let back_s = now_s + 600 + machine.chance.below(9 * 3_600);
            self.at(back_s, Message::Restart(index));
        }
    }

    /// Thaws as soon as it may; offers as soon as it may, with the pledge that this takes.
    fn tend_standing(&mut self, index: usize) {
        let machine = &self.machines[index];
        let (node, secret) = (machine.node.address(), machine.node.clone());
        let Some(known) = self.state().nodes().get(&node) else { return };
        match known.standing {
            Standing::Jailed => return,
            Standing::Frozen { at_event, .. } => {
                let order = Thaw { operator: node, node, frozen_at: at_event };
                if self.say(sign(order, &secret).map(What::NodeThawed)) {
                    self.machines[index].broken_from_s = u64::MAX; // its owner mended it
                }
                return;
            }
            Standing::Active => {}
        }
        let Some(guarded) = self.state().guarded() else { return };
        let member = guarded.members.get(&node).cloned().unwrap_or_default();
        let live = member.listings.values().any(|listing| listing.until_s > self.now_s + DAY_S);
        let exposure = exposure(machine);
        let need = guarded.pledge_for(exposure, &service());
        let have = self.state().pledge(&node);
        if (live && have >= need) || self.now_s < member.rest_until_s {
            return;
        }
        let nonce = guarded.nonces.get(&node).copied().unwrap_or_default();
        if have < need {
            let order = Pledge { account: node, total: need, nonce };
            if !self.say(sign(order, &secret).map(What::Pledged)) {
                return; // no money left
            }
        }
        if !live {
            let order = Offer { node, service: service(), exposure, until_s: self.now_s + 60 * DAY_S };
            let first = member.listings.is_empty();
            if self.say(sign(order, &secret).map(What::Offered)) && first {
                self.machines[index].score.listings += 1;
            }
        }
    }

    /// Does every window that is over, and sends.
    pub(crate) fn wake(&mut self, index: usize) {
        let machine = &self.machines[index];
        if self.now_s < machine.quiet_until_s {
            return;
        }
        let active = |known: &proofmesh_market::state::Node| known.standing == Standing::Active;
        let fit = self.state().nodes().get(&machine.node.address()).is_some_and(active);
        if fit {
            let over = |start_s: u64| start_s + DAY_S <= self.now_s;
            let due: Vec<(u64, Hash32)> =
                machine.todo.iter().filter(|(start_s, _)| over(*start_s)).copied().collect();
            for (start_s, job) in due {
                self.machines[index].todo.remove(&(start_s, job));
                self.window(index, start_s, &job);
            }
        }
        self.send_next(index);
    }

    fn window(&mut self, index: usize, start_s: u64, job_id: &Hash32) {
        let Some(posted) = self.state().jobs().get(job_id) else { return };
        if posted.status != JobStatus::Assigned || self.now_s + TICK_S >= posted.job.deadline_s {
            return; // too late to be of use
        }
        let job = posted.job.clone();
        let machine = &self.machines[index];
        let own = job.buyer == machine.purchaser.address();
        let act = self.decide(index);
        let broken = self.now_s >= self.machines[index].broken_from_s;
        let share = job.unit_price.part_down(980_000).unwrap_or_default();
        let honest = i128::from(share.micro()) * i128::from(GENUINE) / 1_000 - i128::from(WORK.micro());
        let machine = &mut self.machines[index];
        let works = matches!(act, Act::Honest | Act::Twice | Act::Forged | Act::Neighbour);
        if works {
            machine.score.costs += i128::from(WORK.micro());
        }
        let paid_work = machine.fake || own || act == Act::Forged || act == Act::Neighbour;
        if works && paid_work && !machine.is_honest() {
            machine.score.spent += i128::from(WORK.micro());
        }
        if act != Act::Honest {
            machine.score.told += 1;
            // What was thrown away: nothing, where no honest work was to be had.
            if !(machine.fake || machine.setup.unable || own || act == Act::Twice) {
                machine.score.forgone += honest;
            }
        }
        match act {
            Act::Nothing => {}
            Act::Again => {
                if let Some(parcel) = machine.last.clone() {
                    let at_s = self.now_s + 1;
                    self.at(at_s, Message::Deliver(index, parcel));
                }
            }
            _ => self.deliver(index, start_s, job_id, &job, act, broken),
        }
    }

    fn decide(&mut self, index: usize) -> Act {
        let friends = self.checkers.iter().any(|checker| checker.friend);
        let friend = self.state().guarded().is_none().then_some(friends);
        let caught = self.coordinator.frozen.contains(&self.machines[index].node.address());
        let machine = &mut self.machines[index];
        let Some(strategy) = machine.strategy else { return Act::Honest };
        machine.windows += 1;
        if machine.setup.real_works && !machine.fake {
            return Act::Honest;
        }
        let (choice, windows) = (machine.choice.clone(), machine.windows - 1);
        (strategy.act)(&mut Situation {
            choice: &choice,
            windows,
            caught,
            friend,
            chance: &mut machine.chance,
        })
    }

    /// Makes the receipt of an act, signs it and lets it wait in the outbox.
    fn deliver(&mut self, index: usize, start_s: u64, job_id: &Hash32, job: &Job, act: Act, broken: bool) {
        let source = match act {
            Act::Forged => Source::Forged,
            Act::Neighbour => Source::Neighbour,
            _ => Source::Sensor,
        };
        let salt = self.machines[index].chance.hash();
        let input = self.physics.commit(source, salt);
        let machine = &self.machines[index];
        let (node, device) = (machine.node.address(), machine.device.device());
        let bound = context(&DOMAIN, job_id, machine.sequence, &node, &device);
        let made_up = vec![0, 0];
        let copied = if act == Act::Copy { self.newest_of_others(index) } else { None };
        let (output, evidence) = match (act, copied) {
            (Act::Copy, Some(copied)) => copied,
            (Act::Wrong | Act::Copy, _) => (made_up, salt.0.to_vec()),
            (Act::Idle, _) => (made_up, Vec::new()),
            _ if broken => (self.physics.output(&input), keccak(&salt.0).0.to_vec()),
            _ => (self.physics.output(&input), self.physics.prove(job, &input, &bound)),
        };
        let receipt = Receipt {
            job: *job_id,
            sequence: 0,
            node,
            device,
            service: job.service,
            model: job.model,
            input,
            output: output_hash(&output),
            units: 1,
            window_start: start_s,
            window_end: start_s + DAY_S,
            evidence: keccak(&evidence),
            previous: Hash32::ZERO,
        };
        let machine = &mut self.machines[index];
        let (sequence, head) = (machine.sequence, machine.head);
        let shown = if act == Act::Withhold { Vec::new() } else { evidence.clone() };
        let Ok(digest) = machine.sign(&DOMAIN, receipt.clone(), &output, shown) else { return };
        if act != Act::Honest && act != Act::Twice || broken {
            machine.score.lies.insert(digest);
        }
        if act == Act::Twice {
            // The same place again, for the next window: signed by hand, past its own journal.
            let second = Receipt { sequence, previous: head, ..next_window(receipt) };
            let digest = second.digest(&DOMAIN);
            if let Ok(signed) = second.sign(&DOMAIN, &output, &machine.device, &machine.node) {
                machine.score.lies.insert(digest);
                let parcel = crate::machine::Parcel { signed, evidence };
                let at_s = self.now_s + TICK_S / 2;
                self.at(at_s, Message::Deliver(index, parcel));
            }
        }
    }

    /// Somebody else's newest output and evidence.
    fn newest_of_others(&self, index: usize) -> Option<(Vec<i32>, Vec<u8>)> {
        let others =
            self.machines.iter().enumerate().filter(|(other, machine)| *other != index && !machine.fake);
        let chains = others.filter_map(|(_, machine)| self.state().nodes().get(&machine.node.address()));
        let newest = chains
            .filter_map(|node| self.state().receipts().get(&node.head()))
            .max_by_key(|found| found.at_s)?;
        let evidence = self.coordinator.blobs.get(&newest.signed.receipt.evidence)?;
        Some((newest.signed.output_words(), evidence.clone()))
    }
}

fn next_window(receipt: Receipt) -> Receipt {
    Receipt { window_start: receipt.window_start + DAY_S, window_end: receipt.window_end + DAY_S, ..receipt }
}

fn machine_number(index: usize, number: u64) -> u64 {
    (index as u64) << 16 | number
}

/// What a machine offers: more, when it buys from itself.
fn exposure(machine: &Machine) -> Usd {
    let washed = if machine.fake { 0 } else { machine.setup.washed };
    let more = cents(140 * 4 * washed);
    EXPOSURE.checked_add(more).unwrap_or(EXPOSURE)
}

/// What an equivocation costs on chain.
pub(crate) const SLASHED: Usd = CHAIN_STAKE;
