//! The loop: a tick every three hours, messages in between.

use crate::chance::Chance;
use crate::checker::{Checker, From};
use crate::coordinator::Coordinator;
use crate::machine::{Machine, Parcel};
use crate::network::Network;
use crate::physics::{Physics, models};
use crate::population::{DOMAIN, MODEL, checkers, machines};
use crate::setting::{DAY_S, START_S, Setting};
use proofmesh_market::order::Pledge;
use proofmesh_market::state::{JobStatus, ReceiptStatus};
use proofmesh_market::{AccountSecret, Address, Effect, Hash32, Signed, Usd, What};
use proofmesh_services::inference::ModelCard;
use std::collections::BTreeMap;

/// Seconds between ticks.
pub const TICK_S: u64 = 3 * 3_600;
/// Days after the last working day in which everything settles.
const SETTLING_DAYS: u64 = 28;

/// Something under way.
#[derive(Clone, Debug)]
pub(crate) enum Message {
    /// A receipt to the coordinator.
    Deliver(usize, Parcel),
    /// The coordinator's answer about a receipt: whether it is in the log.
    Answer(usize, Hash32, bool),
    /// The coordinator asks a checker for a verdict; whether it is the first.
    Ask(usize, Hash32, bool),
    /// A checker's answer.
    Say(What),
    /// A machine has power again.
    Restart(usize),
    /// A machine that waited goes on.
    Rejoin(usize),
    /// A checker is up again.
    Return(usize),
}

/// Everything there is.
#[derive(Debug)]
pub struct World {
    pub(crate) setting: Setting,
    /// Unix second.
    pub now_s: u64,
    pub(crate) coordinator: Coordinator,
    pub(crate) machines: Vec<Machine>,
    pub(crate) checkers: Vec<Checker>,
    pub(crate) buyers: Vec<AccountSecret>,
    pub(crate) maker: Option<AccountSecret>,
    pub(crate) physics: Physics,
    pub(crate) models: BTreeMap<Hash32, ModelCard>,
    pub(crate) network: Network,
    pub(crate) chance: Chance,
    pub(crate) price: Usd,
    pub(crate) deposits: u64,
    pub(crate) index_of: BTreeMap<Address, usize>,
    queue: BTreeMap<(u64, u64), Message>,
    sent: u64,
    pub(crate) draw_secrets: BTreeMap<Hash32, Hash32>,
}

impl World {
    /// A world before its first second.
    #[must_use]
    pub fn new(setting: Setting) -> Self {
        let (seed, machines) = (setting.seed, machines(&setting));
        let index_of = machines.iter().enumerate().map(|(index, m)| (m.node.address(), index)).collect();
        World {
            now_s: START_S,
            coordinator: Coordinator::default(),
            checkers: checkers(&setting),
            machines,
            buyers: Vec::new(),
            maker: None,
            physics: Physics::default(),
            models: models(MODEL),
            network: Network::new(seed, setting.faults.cuts, START_S, setting.days),
            chance: Chance::stream(seed, "world", 0),
            price: crate::setting::cents(100),
            deposits: 0,
            index_of,
            queue: BTreeMap::new(),
            sent: 0,
            draw_secrets: BTreeMap::new(),
            setting,
        }
    }

    /// The state of the market.
    #[must_use]
    pub fn state(&self) -> &proofmesh_market::State {
        &self.coordinator.state
    }

    /// Runs to the end.
    pub fn run(&mut self) {
        self.open();
        let end_s = START_S + (self.setting.days + SETTLING_DAYS) * DAY_S;
        while self.now_s < end_s {
            self.tick();
            let next_s = self.now_s + TICK_S;
            self.messages_until(next_s);
            self.now_s = next_s;
        }
        self.coordinator.audit(self.setting.audit);
    }

    fn messages_until(&mut self, until_s: u64) {
        while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 < until_s) {
            let ((at_s, _), message) = entry.remove_entry();
            self.now_s = at_s.max(self.now_s);
            self.handle(message);
        }
    }

    pub(crate) fn at(&mut self, at_s: u64, message: Message) {
        self.sent += 1;
        self.queue.insert((at_s, self.sent), message);
    }

    /// Sends something over a machine's or a checker's line.
    fn post(&mut self, line: (crate::network::Link, u64), message: &Message) {
        for at_s in self.network.send(line.0, line.1, self.now_s) {
            self.at(at_s, message.clone());
        }
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Deliver(index, parcel) => self.take_in(index, &parcel),
            Message::Answer(index, digest, taken) => self.answered(index, &digest, taken),
            Message::Ask(index, digest, first) => self.asked(index, &digest, first),
            Message::Say(what) => {
                self.say(Some(what));
            }
            Message::Restart(index) => {
                let quiet = self.now_s + self.setting.regime.linger_s;
                self.machines[index].up = true;
                self.machines[index].quiet_until_s = quiet;
                self.at(quiet, Message::Rejoin(index));
            }
            Message::Return(index) => self.tend_checker(index),
            Message::Rejoin(index) => {
                if self.machines[index].up && self.now_s >= self.machines[index].quiet_until_s {
                    let mut machine = self.machines[index].clone();
                    machine.rejoin(self.state(), &DOMAIN, |job| self.windows(job));
                    self.machines[index] = machine;
                    self.wake(index);
                }
            }
        }
    }

    /// The coordinator takes in a receipt and answers. What it knows already is an answer, too.
    fn take_in(&mut self, index: usize, parcel: &Parcel) {
        let now_s = self.now_s;
        let taken = match self.coordinator.take_in(now_s, &parcel.signed, &parcel.evidence) {
            Ok(_) => true,
            Err(refusal) => refusal.name == "receipt.replayed",
        };
        let digest = parcel.signed.receipt.digest(&DOMAIN);
        let line = (self.machines[index].link, index as u64);
        self.post(line, &Message::Answer(index, digest, taken));
    }

    fn answered(&mut self, index: usize, digest: &Hash32, taken: bool) {
        let machine = &mut self.machines[index];
        let waits =
            machine.outbox.front().is_some_and(|parcel| parcel.signed.receipt.digest(&DOMAIN) == *digest);
        if !machine.up || !waits {
            return;
        }
        if taken {
            machine.outbox.pop_front();
        } else {
            // Refused before it took a place: whatever was built on it is void.
            let state = &self.coordinator.state;
            machine.go_on_from(state);
        }
        self.send_next(index);
    }

    /// Sends the oldest receipt that is not acknowledged.
    pub(crate) fn send_next(&mut self, index: usize) {
        let machine = &self.machines[index];
        let ready = machine.up && self.now_s >= machine.quiet_until_s;
        let Some(parcel) = machine.outbox.front().filter(|_| ready).cloned() else { return };
        let line = (machine.link, index as u64);
        self.post(line, &Message::Deliver(index, parcel));
    }

    fn asked(&mut self, index: usize, digest: &Hash32, first: bool) {
        if self.now_s < self.checkers[index].down_until_s {
            return;
        }
        let Some(delivered) = self.coordinator.state.receipts().get(digest) else { return };
        let (signed, job_id) = (delivered.signed.clone(), delivered.signed.receipt.job);
        let Some(job) = self.coordinator.state.jobs().get(&job_id).map(|posted| posted.job.clone()) else {
            return;
        };
        let Some(evidence) = self.coordinator.blobs.get(&signed.receipt.evidence).cloned() else { return };
        let liar =
            self.index_of.get(&signed.receipt.node).is_some_and(|from| !self.machines[*from].is_honest());
        let habits = self.habits();
        let from = (if liar { From::Friend } else { From::Stranger }, habits);
        let first_from = first.then_some(from);
        let verdict =
            self.checkers[index].verdict(&DOMAIN, &job, &signed, &evidence, &self.models, first_from);
        let Some(verdict) = verdict else { return };
        let what = if first { What::Judged(verdict) } else { What::PanelVoted(verdict) };
        let line = (self.checkers[index].link, 10_000 + index as u64);
        self.post(line, &Message::Say(what));
    }

    /// What the liars' friends do: as the collusion row says when it is played, or help always.
    pub(crate) fn habits(&self) -> [u64; 3] {
        let chosen = self.machines.iter().find_map(|machine| machine.setup.checkers);
        chosen.unwrap_or([1_000, 0, 0])
    }

    fn tick(&mut self) {
        let day_begins = (self.now_s - START_S).is_multiple_of(DAY_S);
        let day = (self.now_s - START_S) / DAY_S;
        let working = day < self.setting.days;
        if self.chance.below(8_000) < self.setting.faults.coordinator {
            let keep = self.chance.bits();
            self.coordinator.crash(&What::EpochClosed { epoch: 1 }, keep);
        }
        if self.setting.faults.coordinator > 0 && day_begins {
            self.coordinator.mark();
        }
        if day_begins && working {
            self.move_price();
            if day.is_multiple_of(7) {
                self.post_jobs(day);
            }
        }
        self.tend_checkers();
        self.close_rounds();
        self.ask_all();
        self.end_what_is_over();
        if day_begins && day.is_multiple_of(7) {
            let epoch = self.state().epochs().len() as u64 + 1;
            self.say(Some(What::EpochClosed { epoch }));
        }
        for index in 0..self.machines.len() {
            self.tend_machine(index);
        }
    }

    /// Every checker, at a tick: some fall over, and are tended again the second that they are back.
    fn tend_checkers(&mut self) {
        let (now_s, crashes) = (self.now_s, self.setting.faults.crashes);
        for index in 0..self.checkers.len() {
            if let Some(back_s) = self.checkers[index].tick(now_s, crashes) {
                self.at(back_s, Message::Return(index));
            }
            self.tend_checker(index);
        }
    }

    /// A checker's commitments and secrets of the beacon; its pledge topped up.
    fn tend_checker(&mut self, index: usize) {
        let now_s = self.now_s;
        let Some(guarded) = self.coordinator.state.guarded() else { return };
        if now_s < self.checkers[index].down_until_s {
            return;
        }
        let keep = self.habits()[2];
        let account = self.checkers[index].account.clone();
        let address = account.address();
        let round = guarded.round(now_s);
        let committed = |round: &u64| {
            guarded.beacon.commitments.get(round).is_some_and(|known| known.contains_key(&address))
        };
        let revealed =
            |round: &u64| guarded.beacon.secrets.get(round).is_some_and(|known| known.contains_key(&address));
        let due: Vec<u64> = guarded.beacon.commitments.keys().copied().filter(|of| *of < round).collect();
        let due: Vec<u64> = due.into_iter().filter(|of| committed(of) && !revealed(of)).collect();
        let want = guarded.guards.checker_pledge;
        let nonce = guarded.nonces.get(&address).copied().unwrap_or_default();
        let fresh = !committed(&(round + 1));
        if self.state().pledge(&address) < want {
            let order = Pledge { account: address, total: want, nonce };
            let order = Signed::new(order, &DOMAIN, &account).ok();
            self.say(order.map(What::Pledged));
        }
        let mut words: Vec<What> =
            due.into_iter().filter_map(|round| self.checkers[index].reveal(round, keep)).collect();
        if fresh && self.state().pledge(&address) >= want {
            words.extend(self.checkers[index].commit(&DOMAIN, round + 1));
        }
        let line = (self.checkers[index].link, 10_000 + index as u64);
        for what in words {
            self.post(line, &Message::Say(what));
        }
    }

    /// Closes every round whose secrets are there, or whose time is over, and tells the nodes drawn.
    fn close_rounds(&mut self) {
        while let Some(guarded) = self.coordinator.state.guarded() {
            let round = guarded.beacon.next;
            if guarded.round(self.now_s) <= round {
                return;
            }
            let now_s = self.now_s;
            let Ok(effects) = self.coordinator.take(now_s, What::BeaconClosed { round }) else { return };
            self.tell(&effects);
        }
    }

    pub(crate) fn tell(&mut self, effects: &[Effect]) {
        for effect in effects {
            let Effect::Assigned { job, nodes } = effect else { continue };
            let windows = self.windows(job);
            for node in nodes {
                let Some(index) = self.index_of.get(node).copied() else { continue };
                self.machines[index].jobs.push(*job);
                self.machines[index].todo.extend(windows.iter().map(|start_s| (*start_s, *job)));
            }
        }
    }

    /// The first seconds of a job's windows.
    pub(crate) fn windows(&self, job: &Hash32) -> Vec<u64> {
        let Some(posted) = self.state().jobs().get(job) else { return Vec::new() };
        (posted.job.window_from_s..posted.job.window_until_s).step_by(DAY_S as usize).collect()
    }

    /// Asks for every verdict that is wanted: the first of drawn checkers, and all of panels. Read from the state, so
    /// nothing is forgotten.
    fn ask_all(&mut self) {
        let mut asks: Vec<(Address, Hash32, bool)> = Vec::new();
        match self.state().guarded() {
            Some(guarded) => {
                for (digest, drawn) in &guarded.drawn {
                    let turns = (self.now_s.saturating_sub(drawn.at_s) / guarded.guards.reveal_s) as usize;
                    let first =
                        drawn.checkers.iter().take(turns + 1).map(|checker| (*checker, *digest, true));
                    if !guarded.panels.contains_key(digest) {
                        asks.extend(first);
                    }
                }
                for (digest, panel) in &guarded.panels {
                    let missing = panel.seats.iter().filter(|seat| !panel.votes.contains_key(seat));
                    asks.extend(missing.map(|seat| (*seat, *digest, false)));
                }
            }
            None => {
                let pending: Vec<Hash32> =
                    self.state().jobs().values().flat_map(|job| job.pending.clone()).collect();
                for digest in pending {
                    let signed = &self.state().receipts()[&digest].signed;
                    let liar = self.index_of.get(&signed.receipt.node);
                    let liar = liar.is_some_and(|from| !self.machines[*from].is_honest());
                    // Without a beacon the checker follows from the receipt: a liar grinds until it is a friend.
                    let friend = self.checkers.iter().find(|checker| checker.friend && liar);
                    let by_digest = usize::from(digest.0[0]) % self.checkers.len();
                    let checker = friend.unwrap_or(&self.checkers[by_digest]);
                    asks.push((checker.account.address(), digest, true));
                }
            }
        }
        for (checker, digest, first) in asks {
            let index = self.checkers.iter().position(|known| known.account.address() == checker);
            let Some(index) = index else { continue };
            let line = (self.checkers[index].link, 10_000 + index as u64);
            self.post(line, &Message::Ask(index, digest, first));
        }
    }

    /// Ends jobs and lets panels lapse.
    fn end_what_is_over(&mut self) {
        let now_s = self.now_s;
        let resolve_s = self.state().rules().map_or(0, |rules| rules.resolve_s);
        let panels = self.state().guarded().map(|guarded| guarded.panels.clone()).unwrap_or_default();
        for (receipt, panel) in panels {
            if now_s >= panel.opened_s + resolve_s {
                self.say(Some(What::PanelLapsed { receipt }));
            }
        }
        let over = |posted: &proofmesh_market::state::PostedJob| {
            posted.status != JobStatus::Ended && now_s >= posted.job.deadline_s
        };
        let jobs: Vec<Hash32> =
            self.state().jobs().iter().filter(|(_, posted)| over(posted)).map(|(id, _)| *id).collect();
        for job in jobs {
            self.say(Some(What::JobEnded { job }));
        }
    }

    /// Receipts of one status kind: for scoring.
    pub(crate) fn is_paid(&self, digest: &Hash32) -> Option<(Usd, Usd)> {
        match &self.state().receipts().get(digest)?.status {
            ReceiptStatus::Accepted { share, fee, .. } | ReceiptStatus::Settled { share, fee, .. } => {
                Some((*share, *fee))
            }
            _ => None,
        }
    }
}
