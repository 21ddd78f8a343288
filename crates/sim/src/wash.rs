//! Paying oneself: a coalition of two buyers, two nodes and their device, one honest buyer and node beside it, honest
//! checkers, and random legal events. After every event the coalition's wealth is added up from the ledger; it may
//! never be above what it paid in. [`walk`] visits random states, [`search`] lets the coalition choose, at each step,
//! the best of several futures.

use crate::chance::{Chance, bytes};
use crate::checker::Checker;
use crate::physics::{Physics, Source, models};
use crate::population::{DOMAIN, MODEL, service, sign};
use crate::setting::{DAY_S, Regime, START_S, cents};
use proofmesh_market::ledger::Purse;
use proofmesh_market::order::{Bind, Dispute, Enroll, Measured, Offer, Pledge, Thaw, Withdraw};
use proofmesh_market::receipt::output_hash;
use proofmesh_market::state::{ReceiptStatus, Standing};
use proofmesh_market::*;
use proofmesh_services::inference::Terms;
use std::collections::BTreeMap;

/// Events after which a walk begins anew, so that states stay small.
const LENGTH: u64 = 250;
/// Futures that a search looks at.
const FUTURES: u64 = 6;

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Found {
    /// States looked at.
    pub states: u64,
    /// The most that the coalition was ever ahead; micro-USD. Zero is the state in which it did nothing.
    pub best_micro: i64,
    /// The most that it was ahead once something was settled; below zero, or it pays.
    pub best_settled_micro: i64,
    /// States in which money was not conserved.
    pub broken: u64,
    /// Units that it bought from itself and had accepted.
    pub washed: u64,
}

impl Found {
    fn see(&mut self, other: Found) {
        self.states += other.states;
        self.best_micro = self.best_micro.max(other.best_micro);
        self.best_settled_micro = self.best_settled_micro.max(other.best_settled_micro);
        self.broken += other.broken;
        self.washed += other.washed;
    }
}

/// One small market.
#[derive(Clone)]
struct Table {
    state: State,
    now_s: u64,
    chance: Chance,
    coalition: Vec<AccountSecret>, // two buyers, two nodes
    honest: Vec<AccountSecret>,    // a buyer, a node
    devices: BTreeMap<Address, DeviceSecret>,
    checkers: Vec<Checker>,
    physics: Physics,
    evidence: BTreeMap<Hash32, Vec<u8>>,
    paid_in: u64,
    sunk: i64,
    deposits: u64,
    salts: u64,
}

impl Table {
    fn new(seed: u64) -> Self {
        let account =
            |number| AccountSecret::from_bytes(bytes(seed, "wash", number).0).expect("below the order");
        let mut table = Table {
            state: State::new(),
            now_s: START_S,
            chance: Chance::stream(seed, "wash", 0),
            coalition: (0..4).map(account).collect(),
            honest: (4..6).map(account).collect(),
            devices: BTreeMap::new(),
            checkers: (0..3).map(|index| Checker::new(seed, index, false)).collect(),
            physics: Physics::default(),
            evidence: BTreeMap::new(),
            paid_in: 0,
            sunk: 0,
            deposits: 0,
            salts: 0,
        };
        table.open(seed);
        table.sunk = -table.ahead(); // fees of the first listings
        table
    }

    fn open(&mut self, seed: u64) {
        let checkers: Vec<Address> = self.checkers.iter().map(|checker| checker.account.address()).collect();
        let rules = Rules {
            domain: DOMAIN,
            vault: Address([9; 20]),
            fee_ppm: 20_000,
            checkers,
            min_stake: Usd::ZERO,
            freeze_after: 3,
            freeze_s: 3_600,
            penalty: cents(300),
            bond: cents(100),
            dispute_window_s: DAY_S,
            resolve_s: DAY_S,
            judge_s: DAY_S,
        };
        self.step(What::Opened(rules));
        let guards = Regime::default().guards.map(|guards| Guards { round_s: 600, reveal_s: 60, ..guards });
        guards.map(|guards| self.step(What::GuardsSet(guards)));
        for account in self.coalition.clone() {
            self.fund(account.address(), cents(50_000));
            self.paid_in += cents(50_000).micro();
        }
        for account in self.honest.clone() {
            self.fund(account.address(), cents(50_000));
        }
        for index in 0..3 {
            let checker = self.checkers[index].account.clone();
            self.fund(checker.address(), cents(500_000));
            self.pledge(&checker, cents(50_000));
        }
        let nodes = [self.coalition[2].clone(), self.coalition[3].clone(), self.honest[1].clone()];
        for (number, secret) in (0u64..).zip(nodes) {
            let node = secret.address();
            let device = DeviceSecret::from_bytes(bytes(seed, "wash-device", number).0);
            self.ask(Enroll { node, operator: node, nonce: 0 }, &secret, What::NodeEnrolled);
            let checker = self.checkers[0].account.clone();
            let expires_s = self.now_s + 300 * DAY_S;
            let able =
                Measured { checker: checker.address(), node, service: service(), model: MODEL, expires_s };
            self.ask(able, &checker, What::CapabilityMeasured);
            let bind = Bind { node, device: device.device(), cell: 0 };
            let consent = bind.consent(&DOMAIN, &device);
            self.ask(bind, &secret, |bind| What::DeviceBound { bind, consent });
            self.devices.insert(node, device);
            self.pledge(&secret, cents(20_000));
            self.offer(&secret, cents(20_000));
        }
    }

    fn step(&mut self, what: What) -> bool {
        self.state.step(&Event { at_s: self.now_s, what }).is_ok()
    }

    fn ask<T: Order>(
        &mut self,
        order: T,
        secret: &AccountSecret,
        what: impl FnOnce(Signed<T>) -> What,
    ) -> bool {
        sign(order, secret).map(what).is_some_and(|what| self.step(what))
    }

    fn fund(&mut self, account: Address, amount: Usd) {
        self.deposits += 1;
        let chain_ref = ChainRef { tx: keccak(&self.deposits.to_be_bytes()), log_index: 0 };
        self.step(What::DepositSeen { chain_ref, account, amount });
    }

    fn pledge(&mut self, of: &AccountSecret, total: Usd) -> bool {
        let account = of.address();
        let nonce = self.state.guarded().and_then(|guarded| guarded.nonces.get(&account)).copied();
        self.ask(Pledge { account, total, nonce: nonce.unwrap_or_default() }, of, What::Pledged)
    }

    fn offer(&mut self, of: &AccountSecret, exposure: Usd) -> bool {
        let until_s = self.now_s + 300 * DAY_S;
        self.ask(Offer { node: of.address(), service: service(), exposure, until_s }, of, What::Offered)
    }

    fn is_own(&self, account: &Address) -> bool {
        self.coalition.iter().any(|own| own.address() == *account)
    }

    /// What the coalition could ever take out, less what it had when it was listed.
    fn ahead(&self) -> i64 {
        let ledger = self.state.ledger();
        let mut sum = 0u64;
        for own in &self.coalition {
            let own = own.address();
            sum += self.state.balance(&own).micro()
                + self.state.pledge(&own).micro()
                + ledger.claim(&own).micro();
            for receipt in self.state.disputes().keys() {
                sum += ledger.purse(&Purse::Bond(*receipt, own)).micro();
            }
        }
        for (id, posted) in self.state.jobs() {
            if self.is_own(&posted.job.buyer) {
                sum += self.state.escrow(id).micro();
            }
        }
        for (digest, delivered) in self.state.receipts() {
            let buyer = self.state.jobs().get(&delivered.signed.receipt.job).map(|posted| posted.job.buyer);
            let bought = buyer.is_some_and(|buyer| self.is_own(&buyer));
            let accepted = matches!(delivered.status, ReceiptStatus::Accepted { .. });
            // Its own money, or somebody's that it was promised.
            if bought || accepted && self.is_own(&delivered.signed.receipt.node) {
                sum += ledger.purse(&Purse::Held(*digest)).micro();
            }
        }
        sum as i64 - self.paid_in as i64 + self.sunk
    }

    fn found(&self) -> Found {
        let ahead = self.ahead();
        let settled = self.state.receipts().values().any(|delivered| {
            let receipt = &delivered.signed.receipt;
            matches!(delivered.status, ReceiptStatus::Settled { .. }) && self.is_own(&receipt.node)
        });
        Found {
            states: 1,
            best_micro: ahead,
            best_settled_micro: if settled { ahead } else { i64::MIN },
            broken: u64::from(!conservation(&self.state).holds()),
            washed: 0,
        }
    }

    /// One random thing that the coalition, the clock or the coordinator does. Some take several events.
    fn act(&mut self) -> bool {
        let who = self.chance.below(4) as usize;
        let own = self.coalition[who].clone();
        match self.chance.below(20) {
            0..=2 => self.post(who % 2, true),
            3 => self.post(0, false),
            4..=8 => self.deliver(2 + who % 2),
            9..=11 => self.verdict(),
            12 | 13 => self.turn(),
            14 => self.dispute(),
            15 => {
                let epoch = self.state.epochs().len() as u64 + 1;
                self.now_s += self.chance.below(2 * DAY_S);
                self.step(What::EpochClosed { epoch })
            }
            16 => {
                let job = self.any_job();
                job.is_some_and(|job| self.step(What::JobEnded { job }))
            }
            17 => {
                let (account, amount) =
                    (own.address(), Usd::from_micro(self.chance.below(cents(2_000).micro())));
                let nonce = self.state.withdrawal_nonce(&account);
                self.ask(Withdraw { account, amount, nonce }, &own, What::WithdrawalAsked)
            }
            18 => {
                let total = Usd::from_micro(self.chance.below(cents(30_000).micro()));
                self.pledge(&own, total) && who > 1 && self.offer(&own, cents(10_000))
            }
            _ => {
                let frozen = self.state.nodes().get(&own.address()).map(|node| node.standing);
                match frozen {
                    Some(Standing::Frozen { at_event, .. }) => {
                        let (operator, node) = (own.address(), own.address());
                        self.ask(Thaw { operator, node, frozen_at: at_event }, &own, What::NodeThawed)
                    }
                    _ => {
                        self.now_s += self.chance.below(6 * 3_600);
                        false
                    }
                }
            }
        }
    }

    fn any_job(&mut self) -> Option<Hash32> {
        let place = self.chance.below(self.state.jobs().len() as u64) as usize;
        self.state.jobs().keys().nth(place).copied()
    }

    fn post(&mut self, buyer: usize, own: bool) -> bool {
        let secret = if own { self.coalition[buyer].clone() } else { self.honest[0].clone() };
        self.salts += 1;
        let prices = [1, 49, 50, 1 + self.chance.below(1_000), 1 + self.chance.below(12_000_000)];
        let unit_price = Usd::from_micro(prices[self.chance.below(5) as usize]);
        let window_from_s = START_S - 40 * DAY_S;
        let mut devices: Vec<Device> =
            self.coalition[2..].iter().map(|node| self.devices[&node.address()].device()).collect();
        devices.sort_unstable();
        let slots = 1 + self.chance.below(2) as u16;
        let terms = Terms { class: Some(0), window_s: DAY_S, phase_s: 0, ..Terms::default() };
        let job = Job {
            buyer: secret.address(),
            salt: keccak(&self.salts.to_be_bytes()),
            service: service(),
            model: MODEL,
            input: Hash32::ZERO,
            unit_price,
            max_units: 1 + self.chance.below(6),
            window_from_s,
            window_until_s: START_S,
            deadline_s: self.now_s + 1 + self.chance.below(4 * DAY_S),
            assurance: Assurance::Proof,
            slots,
            cell: 0,
            devices: if own { devices } else { Vec::new() },
            terms: terms.encode(),
        };
        self.ask(job, &secret, What::JobPosted)
    }

    /// True work for its own money; for anybody else's, a lie. Sometimes a lie for its own, or a window twice.
    fn deliver(&mut self, node: usize) -> bool {
        let secret = self.coalition[node].clone();
        let address = secret.address();
        let drawn = self.state.jobs().iter().filter(|(_, posted)| posted.nodes.contains(&address));
        let drawn: Vec<Hash32> = drawn.map(|(id, _)| *id).collect();
        let place = self.chance.below(drawn.len() as u64) as usize;
        let Some(id) = drawn.get(place).copied() else { return false };
        let job = self.state.jobs()[&id].job.clone();
        let truth = self.is_own(&job.buyer) && !self.chance.happens(60);
        let device = self.devices[&address].clone();
        let known = &self.state.nodes()[&address];
        let window_start = START_S - (1 + self.chance.below(12)) * DAY_S;
        let salt = self.chance.hash();
        let input = self.physics.commit(Source::Sensor, salt);
        let output = self.physics.output(&input);
        let mut receipt = Receipt {
            job: id,
            sequence: known.next_sequence(),
            node: address,
            device: device.device(),
            service: service(),
            model: MODEL,
            input,
            output: output_hash(&output),
            units: 1 + u64::from(self.chance.happens(30)),
            window_start,
            window_end: window_start + DAY_S,
            evidence: Hash32::ZERO,
            previous: known.head(),
        };
        let context = receipt.context(&DOMAIN);
        let proof = if truth { self.physics.prove(&job, &input, &context) } else { salt.0.to_vec() };
        receipt.evidence = keccak(&proof);
        self.evidence.insert(receipt.evidence, proof);
        let signed = receipt.sign(&DOMAIN, &output, &device, &secret);
        signed.is_ok_and(|signed| self.step(What::Delivered(signed)))
    }

    /// One honest verdict that is wanted.
    fn verdict(&mut self) -> bool {
        let Some(guarded) = self.state.guarded() else { return false };
        let first = guarded.drawn.iter().filter(|(digest, _)| !guarded.panels.contains_key(digest));
        let first = first.filter_map(|(digest, drawn)| Some((*digest, *drawn.checkers.first()?, true)));
        let votes = guarded.panels.iter().filter_map(|(digest, panel)| {
            let seat = panel.seats.iter().find(|seat| !panel.votes.contains_key(seat))?;
            Some((*digest, *seat, false))
        });
        let wanted: Vec<(Hash32, Address, bool)> = first.chain(votes).collect();
        let place = self.chance.below(wanted.len() as u64) as usize;
        let Some((digest, by, is_first)) = wanted.get(place).copied() else { return false };
        let signed = self.state.receipts()[&digest].signed.clone();
        let job = self.state.jobs()[&signed.receipt.job].job.clone();
        let evidence = self.evidence[&signed.receipt.evidence].clone();
        let Some(checker) = self.checkers.iter_mut().find(|checker| checker.account.address() == by) else {
            return false;
        };
        let verdict = checker.verdict(&DOMAIN, &job, &signed, &evidence, &models(MODEL), None);
        verdict.is_some_and(|verdict| {
            self.step(if is_first { What::Judged(verdict) } else { What::PanelVoted(verdict) })
        })
    }

    /// A round of the beacon, from commitments to its value.
    fn turn(&mut self) -> bool {
        let Some(guarded) = self.state.guarded() else { return false };
        let next = guarded.round(self.now_s) + 1;
        let commitments: Vec<What> =
            self.checkers.iter().filter_map(|checker| checker.commit(&DOMAIN, next)).collect();
        for what in commitments {
            self.step(what);
        }
        // Everything of the coalition that waits is drawn with this round or an earlier one.
        let ends_s = self.state.guarded().map_or(0, |guarded| guarded.round_end_s(next));
        self.now_s = self.now_s.max(ends_s);
        let secrets: Vec<What> = self.checkers.iter().filter_map(|checker| checker.reveal(next, 0)).collect();
        for what in secrets {
            self.step(what);
        }
        self.step(What::BeaconClosed { round: next })
    }

    /// A dispute that the coalition may open, about anything.
    fn dispute(&mut self) -> bool {
        let place = self.chance.below(self.state.receipts().len() as u64) as usize;
        let Some((digest, delivered)) = self.state.receipts().iter().nth(place) else { return false };
        let (digest, receipt) = (*digest, delivered.signed.receipt.clone());
        let accepted = matches!(delivered.status, ReceiptStatus::Accepted { .. });
        let buyer = self.state.jobs().get(&receipt.job).map(|posted| posted.job.buyer);
        let by = if accepted { buyer } else { Some(receipt.node) };
        let secret = self.coalition.iter().find(|own| Some(own.address()) == by).cloned();
        secret.is_some_and(|secret| {
            self.ask(Dispute { by: secret.address(), receipt: digest }, &secret, What::DisputeOpened)
        })
    }

    fn washed(&self) -> u64 {
        let own = self.state.jobs().values().filter(|posted| self.is_own(&posted.job.buyer));
        own.map(|posted| posted.units).sum()
    }
}

/// Visits this many random states.
#[must_use]
pub fn walk(seed: u64, states: u64) -> Found {
    visit(seed, states, 1)
}

/// Visits this many states, each the best for the coalition of several that it could go to.
#[must_use]
pub fn search(seed: u64, states: u64) -> Found {
    visit(seed, states, FUTURES)
}

fn visit(seed: u64, states: u64, futures: u64) -> Found {
    let mut found = Found { best_micro: i64::MIN, best_settled_micro: i64::MIN, ..Found::default() };
    let mut number = 0;
    while found.states < states {
        let mut table = Table::new(seed.wrapping_add(number));
        number += 1;
        let (mut legal, mut tried) = (0, 0);
        while legal < LENGTH && tried < 10 * LENGTH && found.states < states {
            tried += 1;
            let before = table.state.events();
            if futures == 1 {
                table.act();
            } else {
                table = best_of(&mut table, futures);
            }
            if table.state.events() > before {
                legal += 1;
                found.see(table.found());
            }
        }
        found.washed += table.washed();
    }
    found
}

/// The best for the coalition of some random futures; of equal ones the last, and sometimes a worse
/// one, so that it goes on.
fn best_of(table: &mut Table, futures: u64) -> Table {
    let mut best = table.clone();
    let mut ahead = i64::MIN;
    for _ in 0..futures {
        let mut future = table.clone();
        future.chance = Chance::stream(table.chance.bits(), "future", 0);
        let moved = future.act();
        let here = future.ahead();
        if moved && (here >= ahead || table.chance.happens(150)) {
            (best, ahead) = (future, here);
        }
    }
    best.chance = Chance::stream(table.chance.bits(), "next", 0);
    best
}
