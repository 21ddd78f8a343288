//! A small market with fixed keys: three stations, two checkers, a buyer.

use proofmesh_market::event::draw_commitment;
use proofmesh_market::key::DeviceSignature;
use proofmesh_market::order::{Bind, Dispute, Enroll, Measured, Thaw, Withdraw};
use proofmesh_market::receipt::output_hash;
use proofmesh_market::state::ReceiptStatus;
use proofmesh_market::*;

pub const DAY_S: u64 = 86_400;
/// When the events begin.
pub const START_S: u64 = 1_800_000_000;
/// The first window of the job.
pub const WINDOW_S: u64 = 1_357_016_400;
pub const PRICE: Usd = Usd::from_micro(1_000_001); // 0.98 of it is no whole number
pub const DEPOSIT: Usd = Usd::from_micro(100_000_000);
pub const BOND: Usd = Usd::from_micro(5_000_000);
pub const OUTPUT: [i32; 2] = [0, -1];

pub fn account(seed: u8) -> AccountSecret {
    AccountSecret::from_bytes([seed; 32]).expect("below the order")
}
pub fn buyer() -> AccountSecret {
    account(1)
}
pub fn checker() -> AccountSecret {
    account(2)
}
pub fn appeals() -> AccountSecret {
    account(3)
}
pub fn vault() -> Address {
    account(4).address()
}
/// Station `i`, from 0.
pub fn node(i: u8) -> AccountSecret {
    account(10 + i)
}
pub fn operator(i: u8) -> AccountSecret {
    account(20 + i)
}
pub fn device(i: u8) -> DeviceSecret {
    DeviceSecret::from_bytes([100 + i; 32])
}
pub fn service() -> Hash32 {
    keccak(b"proofmesh/inference/v1")
}
pub fn model() -> Hash32 {
    Hash32([0x4d; 32])
}
pub fn secret(i: u8) -> Hash32 {
    Hash32([0xd0 + i; 32])
}

pub fn rules() -> Rules {
    Rules {
        domain: Domain { chain_id: 31_337, settlement: Address([0x5e; 20]) },
        vault: vault(),
        fee_ppm: 20_000,
        checkers: vec![checker().address(), appeals().address()],
        min_stake: Usd::from_micro(50_000_000),
        freeze_after: 3,
        freeze_s: 3_600,
        penalty: Usd::from_micro(1_000_000),
        bond: BOND,
        dispute_window_s: DAY_S,
        resolve_s: 2 * DAY_S,
        judge_s: DAY_S,
    }
}
pub fn domain() -> Domain {
    rules().domain
}

pub fn job() -> Job {
    let mut devices: Vec<Device> = (0..3).map(|i| device(i).device()).collect();
    devices.sort_unstable();
    Job {
        buyer: buyer().address(),
        salt: Hash32([7; 32]),
        service: service(),
        model: model(),
        input: Hash32::ZERO,
        unit_price: PRICE,
        max_units: 20,
        window_from_s: WINDOW_S,
        window_until_s: WINDOW_S + 31 * DAY_S,
        deadline_s: START_S + 30 * DAY_S,
        assurance: Assurance::Proof,
        slots: 3,
        cell: 0,
        devices,
        terms: vec![1, 2, 3],
    }
}
pub fn job_id() -> Hash32 {
    job().digest(&domain())
}

/// Signs with the secret of the order's signer.
pub fn sign<T: Order>(order: T, secret: &AccountSecret) -> Signed<T> {
    Signed::new(order, &domain(), secret).expect("the signer's secret")
}
pub fn deposit(place: u32, account: &Address, amount: Usd) -> What {
    let chain_ref = ChainRef { tx: Hash32([0xc0; 32]), log_index: place };
    What::DepositSeen { chain_ref, account: *account, amount }
}
pub fn enroll(i: u8) -> What {
    let order = Enroll { node: node(i).address(), operator: operator(i).address(), nonce: 0 };
    What::NodeEnrolled(sign(order, &node(i)))
}
pub fn measured(i: u8) -> What {
    let order = Measured {
        checker: checker().address(),
        node: node(i).address(),
        service: service(),
        model: model(),
        expires_s: START_S + 300 * DAY_S,
    };
    What::CapabilityMeasured(sign(order, &checker()))
}
pub fn stake(i: u8) -> What {
    What::StakeSeen { node: node(i).address(), stake: Usd::from_micro(50_000_000), block: 1 }
}
pub fn bind(i: u8) -> What {
    let order = Bind { node: node(i).address(), device: device(i).device(), cell: 7 };
    let consent: DeviceSignature = order.consent(&domain(), &device(i));
    What::DeviceBound { bind: sign(order, &node(i)), consent }
}
pub fn commit(i: u8) -> What {
    What::DrawCommitted { commitment: draw_commitment(&secret(i)) }
}
pub fn post(job: Job) -> What {
    What::JobPosted(sign(job, &buyer()))
}
pub fn withdraw(secret: &AccountSecret, amount: Usd, nonce: u64) -> What {
    What::WithdrawalAsked(sign(Withdraw { account: secret.address(), amount, nonce }, secret))
}
pub fn dispute(by: &AccountSecret, receipt: Hash32) -> What {
    What::DisputeOpened(sign(Dispute { by: by.address(), receipt }, by))
}
pub fn thaw(i: u8, frozen_at: u64) -> What {
    let order = Thaw { operator: operator(i).address(), node: node(i).address(), frozen_at };
    What::NodeThawed(sign(order, &operator(i)))
}

/// A market and the log that made it.
#[derive(Clone, Default)]
pub struct World {
    pub state: State,
    pub log: Vec<Event>,
    pub at_s: u64,
}

impl World {
    /// Open, with three enrolled, staked, measured stations, and money on three accounts.
    pub fn members() -> World {
        let mut world = World { at_s: START_S, ..World::default() };
        world.ok(What::Opened(rules()));
        world.ok(deposit(0, &buyer().address(), DEPOSIT));
        for i in 0..3u8 {
            world.ok(enroll(i));
            world.ok(measured(i));
            world.ok(stake(i));
            world.ok(bind(i));
            world.ok(deposit(1 + u32::from(i), &node(i).address(), DEPOSIT));
        }
        world.ok(commit(0));
        world
    }

    /// ... with a job posted and assigned to all three.
    pub fn working() -> World {
        let mut world = World::members();
        world.ok(post(job()));
        world.ok(What::Assigned { job: job_id(), secret: secret(0) });
        world
    }

    pub fn event(&self, what: What) -> Event {
        Event { at_s: self.at_s, what }
    }

    /// Takes a legal event; checks conservation and that its bytes go both ways.
    pub fn ok(&mut self, what: What) -> Vec<Effect> {
        let event = self.event(what);
        let bytes = event.encode().expect("an event of this size");
        assert_eq!(Event::decode(&bytes), Ok(event.clone()));
        let effects = self.state.step(&event).unwrap_or_else(|refusal| panic!("{refusal}\n{event:?}"));
        assert!(conservation(&self.state).holds(), "{:?}", conservation(&self.state));
        self.log.push(event);
        effects
    }

    /// Offers an illegal event: it must be refused by this name, and leave the state as it was.
    pub fn refused(&mut self, what: What, name: &str) {
        let before = self.state.clone();
        let refusal = self.state.step(&self.event(what)).expect_err(name);
        assert_eq!(refusal.name, name, "{refusal}");
        assert!(before == self.state, "{name} changed the state");
    }

    /// The next receipt of station `i` for the window `day` days after the first; `evidence` decides the
    /// verdict.
    pub fn receipt(&self, i: u8, day: u64, evidence: &[u8]) -> Receipt {
        let known = &self.state.nodes()[&node(i).address()];
        Receipt {
            job: job_id(),
            sequence: known.next_sequence(),
            node: node(i).address(),
            device: device(i).device(),
            service: service(),
            model: model(),
            input: Hash32([0x11 + i; 32]),
            output: output_hash(&OUTPUT),
            units: 1,
            window_start: WINDOW_S + day * DAY_S,
            window_end: WINDOW_S + (day + 1) * DAY_S,
            evidence: keccak(evidence),
            previous: known.head(),
        }
    }

    /// Delivers `receipt`, signed by station `i`; gives its digest and the effects.
    pub fn deliver(&mut self, i: u8, receipt: Receipt) -> (Hash32, Vec<Effect>) {
        let digest = receipt.digest(&domain());
        (digest, self.ok(What::Delivered(signed(i, receipt))))
    }

    /// Delivers a day of station `i` with this evidence and judges it; gives its digest and the verdict's
    /// effects.
    pub fn work(&mut self, i: u8, day: u64, evidence: &[u8]) -> (Hash32, Vec<Effect>) {
        let receipt = self.receipt(i, day, evidence);
        let (digest, effects) = self.deliver(i, receipt);
        assert_eq!(effects, [Effect::CheckWanted { receipt: digest }]);
        let verdict = self.verdict(&digest, evidence, &checker());
        (digest, self.ok(What::Judged(verdict)))
    }

    /// What `by` finds about a delivered receipt of the job.
    pub fn verdict(&self, digest: &Hash32, evidence: &[u8], by: &AccountSecret) -> Verdict {
        self.verdict_of(digest, evidence, by, &ByEvidence)
    }

    pub fn verdict_of(
        &self,
        digest: &Hash32,
        evidence: &[u8],
        by: &AccountSecret,
        how: &dyn Check,
    ) -> Verdict {
        let delivered = &self.state.receipts()[digest];
        let posted = &self.state.jobs()[&delivered.signed.receipt.job];
        check(&domain(), &posted.job, &delivered.signed, evidence, how, by).expect("a receipt of the job")
    }

    pub fn status(&self, digest: &Hash32) -> &ReceiptStatus {
        &self.state.receipts()[digest].status
    }

    /// The name under which an authentic receipt is refused by a rule.
    pub fn refused_receipt(&mut self, i: u8, receipt: Receipt) -> String {
        let (digest, effects) = self.deliver(i, receipt);
        let [Effect::ReceiptRefused { receipt, reason, .. }] = &effects[..] else { panic!("{effects:?}") };
        assert_eq!(*receipt, digest);
        assert!(matches!(self.status(&digest), ReceiptStatus::Refused { verdict: None, .. }));
        reason.name().to_owned()
    }
}

pub fn signed(i: u8, receipt: Receipt) -> SignedReceipt {
    receipt.sign(&domain(), &OUTPUT, &device(i), &node(i)).expect("the station's own keys")
}

/// `good...`: one unit. `weather...`: refused, nobody's fault. Others: refused, the node's fault.
pub struct ByEvidence;

impl Check for ByEvidence {
    fn check(&self, case: &Case<'_>) -> Result<u64, Reason> {
        match case.evidence {
            [b'g', b'o', b'o', b'd', ..] => Ok(1),
            [b'w', b'e', b'a', ..] => {
                Err(Reason::new("test.not-genuine", Blame::Nobody, "genuine", "tampered"))
            }
            _ => Err(Reason::new("test.proof", Blame::Node, "a proof", "none")),
        }
    }
}

/// Says the same about everything.
pub struct Always(pub u64);

impl Check for Always {
    fn check(&self, _: &Case<'_>) -> Result<u64, Reason> {
        match self.0 {
            0 => Err(Reason::new("test.always", Blame::Node, "work", "none")),
            units => Ok(units),
        }
    }
}
