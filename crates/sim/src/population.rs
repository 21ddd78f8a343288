//! Who is there: the opening of the market, machines honest and not, checkers and buyers, and their money.

use crate::chance::{Chance, bytes};
use crate::checker::Checker;
use crate::machine::Machine;
use crate::network::Link;
use crate::setting::{DAY_S, DEVICE, RENT, START_S, Setting, cents};
use crate::strategies::{STRATEGIES, Setup};
use crate::world::World;
use proofmesh_market::order::{Bind, Certify, Enroll, Measured};
use proofmesh_market::{
    AccountSecret, Address, ChainRef, Domain, Guards, Hash32, Order, Rules, Signed, Usd, What, keccak,
};

/// The deployment of this world.
pub(crate) const DOMAIN: Domain = Domain { chain_id: 31_337, settlement: Address([0x5e; 20]) };
/// The only model.
pub(crate) const MODEL: Hash32 = Hash32([0x4d; 32]);
/// Stake on chain; an equivocation costs it.
pub(crate) const CHAIN_STAKE: Usd = cents(1_000);
/// What a machine begins with.
pub(crate) const PURSE: Usd = cents(20_000);
/// Exposure of an ordinary offer: some three parts of jobs.
pub(crate) const EXPOSURE: Usd = cents(6_000);
/// Made up nodes are numbered from here.
const FAKES_FROM: u64 = 100_000;

/// The id of the inference service.
pub(crate) fn service() -> Hash32 {
    keccak(b"proofmesh/inference/v1")
}

/// Signs an order with its signer's secret.
pub(crate) fn sign<T: Order>(order: T, secret: &AccountSecret) -> Option<Signed<T>> {
    Signed::new(order, &DOMAIN, secret).ok()
}

fn account(seed: u64, name: &str, number: u64) -> AccountSecret {
    AccountSecret::from_bytes(bytes(seed, name, number).0).expect("below the order but for one in 2^128")
}

/// The machines of a run, liars spread among them.
pub(crate) fn machines(setting: &Setting) -> Vec<Machine> {
    let mut chance = Chance::stream(setting.seed, "population", 0);
    let liars = setting.nodes * setting.liars / 100;
    let turn = chance.below(STRATEGIES.len() as u64);
    let mut machines = Vec::new();
    let mut fakes = Vec::new();
    let faults = setting.faults;
    for index in 0..setting.nodes {
        let mut machine = Machine::new(setting.seed, index);
        if index < liars {
            let next = &STRATEGIES[((turn + index) % STRATEGIES.len() as u64) as usize];
            let strategy = setting.strategy.unwrap_or(next);
            let choice = setting.choice(strategy);
            machine.setup = (strategy.setup)(&choice);
            (machine.strategy, machine.choice) = (Some(strategy), choice);
            for _ in 0..machine.setup.fakes {
                fakes.push(fake(setting.seed, FAKES_FROM + fakes.len() as u64, &machine));
            }
        } else {
            let length_s = setting.days * DAY_S;
            if chance.happens(faults.misconfigured) {
                machine.broken_from_s = START_S + chance.below(length_s);
                machine.was_broken = true;
            }
            if chance.happens(faults.churn) {
                let at_s = START_S + length_s / 4 + chance.below(length_s / 2);
                if chance.happens(500) { machine.from_s = at_s } else { machine.until_s = at_s }
            }
        }
        if chance.happens(faults.slow_links) {
            machine.link = Link::SLOW;
        }
        machine.lying_disk = chance.happens(faults.lying_disks);
        machines.push(machine);
    }
    machines.extend(fakes);
    machines
}

/// A made up node beside a real one.
fn fake(seed: u64, index: u64, real: &Machine) -> Machine {
    let mut machine = Machine::new(seed, index);
    (machine.strategy, machine.choice, machine.setup) = (real.strategy, real.choice.clone(), real.setup);
    (machine.fake, machine.certified) = (true, real.setup.certified);
    if real.setup.one_device {
        machine.device = real.device.clone();
    }
    if machine.certified {
        machine.score.spent += i128::from(DEVICE.micro());
    }
    machine
}

/// The checkers of a run; friends of the liars come first.
pub(crate) fn checkers(setting: &Setting) -> Vec<Checker> {
    let friends = setting.checkers * setting.colluders / 100;
    (0..setting.checkers).map(|index| Checker::new(setting.seed, index, index < friends)).collect()
}

impl World {
    /// An order or an event of the coordinator's own; refusals are counted there.
    pub(crate) fn say(&mut self, what: Option<What>) -> bool {
        let now_s = self.now_s;
        what.is_some_and(|what| self.coordinator.take(now_s, what).is_ok())
    }

    /// Money from outside.
    pub(crate) fn fund(&mut self, account: Address, amount: Usd) {
        self.deposits += 1;
        let chain_ref = ChainRef { tx: keccak(&self.deposits.to_be_bytes()), log_index: 0 };
        self.say(Some(What::DepositSeen { chain_ref, account, amount }));
    }

    /// Opens the market, funds everybody, and lets the machines that are there join.
    pub(crate) fn open(&mut self) {
        let seed = self.setting.seed;
        self.maker = Some(account(seed, "maker", 0));
        self.buyers = (0..2).map(|number| account(seed, "buyer", number)).collect();
        let rules = Rules {
            domain: DOMAIN,
            vault: account(seed, "vault", 0).address(),
            fee_ppm: 20_000,
            checkers: self.checkers.iter().map(|checker| checker.account.address()).collect(),
            min_stake: CHAIN_STAKE,
            freeze_after: 3,
            freeze_s: DAY_S,
            penalty: self.setting.regime.penalty,
            bond: cents(500),
            dispute_window_s: self.setting.regime.hold_s,
            resolve_s: 3 * DAY_S,
            judge_s: 5 * DAY_S,
        };
        self.say(Some(What::Opened(rules)));
        if let Some(guards) = self.setting.regime.guards.clone() {
            let maker = self.maker.as_ref().map(AccountSecret::address);
            let makers = if self.setting.regime.makers { maker.into_iter().collect() } else { Vec::new() };
            self.say(Some(What::GuardsSet(Guards { makers, ..guards })));
        }
        for buyer in self.buyers.clone() {
            self.fund(buyer.address(), cents(100_000_000));
        }
        for checker in self.checkers.clone() {
            self.fund(checker.account.address(), cents(20_000)); // four pledges
        }
        for index in 0..self.machines.len() {
            if self.machines[index].from_s <= self.now_s {
                self.join(index);
            }
        }
    }

    /// A machine enrols, is measured, bound and certified.
    pub(crate) fn join(&mut self, index: usize) {
        let machine = self.machines[index].clone();
        let node = machine.node.address();
        self.fund(node, PURSE);
        self.say(sign(Enroll { node, operator: node, nonce: 0 }, &machine.node).map(What::NodeEnrolled));
        self.say(Some(What::StakeSeen { node, stake: CHAIN_STAKE, block: 1 }));
        let checker = self.checkers[self.checkers.len() - 1].account.clone();
        let expires_s = self.now_s + 360 * DAY_S;
        let order =
            Measured { checker: checker.address(), node, service: service(), model: MODEL, expires_s };
        self.say(sign(order, &checker).map(What::CapabilityMeasured));
        let bind = Bind { node, device: machine.device.device(), cell: 7 };
        let consent = bind.consent(&DOMAIN, &machine.device);
        self.say(sign(bind, &machine.node).map(|bind| What::DeviceBound { bind, consent }));
        if let Some(maker) = self.maker.clone().filter(|_| machine.certified && self.setting.regime.makers) {
            let order = Certify { maker: maker.address(), device: machine.device.device() };
            self.say(sign(order, &maker).map(What::DeviceCertified));
        }
        if machine.setup.unable {
            self.machines[index].score.spent += i128::from(RENT.micro());
        }
        if machine.setup != Setup::default() && machine.setup.washed > 0 && !machine.fake {
            self.fund(machine.purchaser.address(), cents(1_000_000));
        }
    }
}
