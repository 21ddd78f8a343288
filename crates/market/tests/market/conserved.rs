//! Random sequences of legal and illegal events: money is conserved after every one, a refusal changes
//! nothing, claims never fall, and a second fold of the log gives the same state.

use crate::world::*;
use proofmesh_market::state::ReceiptStatus;
use proofmesh_market::*;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Fixed, and printed by proptest with a failure.
const SEED: [u8; 32] = *b"proofmesh market: conserved seed";

/// What to try next; numbers choose among what there is.
#[derive(Clone, Debug)]
enum Try {
    Deposit(u8, u64),
    Withdraw(u8, u64),
    Commit(u8),
    Post { salt: u8, price: u64, units: u64, slots: u16 },
    Assign { job: u8, secret: u8 },
    Deliver { station: u8, job: u8, day: u64, units: u64, kind: u8, lie: u8 },
    Judge { receipt: u8, by: u8, lie: u8 },
    Dispute { receipt: u8, by: u8 },
    Resolve { receipt: u8, by: u8, lie: u8 },
    Lapse { receipt: u8 },
    End { job: u8 },
    Epoch { off: u64 },
    Thaw { station: u8 },
    Wait(u64),
}

fn tries() -> impl Strategy<Value = Try> {
    let small = 0u8..6;
    prop_oneof![
        2 => (0u8..6, prop_oneof![0..5u64, 1_000_000..50_000_000u64, Just(u64::MAX)]).prop_map(|(a, n)| Try::Deposit(a, n)),
        2 => (0u8..6, 0..60_000_000u64).prop_map(|(a, n)| Try::Withdraw(a, n)),
        2 => small.clone().prop_map(Try::Commit),
        3 => (0u8..4, prop_oneof![0..60u64, 900_000..1_100_000u64], 0..12u64, 0u16..4)
            .prop_map(|(salt, price, units, slots)| Try::Post { salt, price, units, slots }),
        3 => (0u8..4, 0u8..6).prop_map(|(job, secret)| Try::Assign { job, secret }),
        14 => (0u8..3, prop_oneof![4 => Just(0u8), 1 => 0u8..4], 0..8u64, 1..3u64, 0u8..4, prop_oneof![2 => Just(9u8), 1 => 0u8..6])
            .prop_map(|(station, job, day, units, kind, lie)| Try::Deliver { station, job, day, units, kind, lie }),
        14 => (any::<u8>(), prop_oneof![4 => Just(0u8), 1 => 0u8..3], 0u8..9).prop_map(|(receipt, by, lie)| Try::Judge { receipt, by, lie }),
        4 => (any::<u8>(), 0u8..4).prop_map(|(receipt, by)| Try::Dispute { receipt, by }),
        4 => (any::<u8>(), 0u8..3, 0u8..5).prop_map(|(receipt, by, lie)| Try::Resolve { receipt, by, lie }),
        1 => any::<u8>().prop_map(|receipt| Try::Lapse { receipt }),
        1 => (0u8..4).prop_map(|job| Try::End { job }),
        3 => (0..2u64).prop_map(|off| Try::Epoch { off }),
        1 => (0u8..3).prop_map(|station| Try::Thaw { station }),
        3 => prop_oneof![12 => 0..100u64, 4 => Just(DAY_S), 1 => Just(20 * DAY_S)].prop_map(Try::Wait),
    ]
}

/// The jobs that this run may post, by salt; each is known by its id once posted.
struct Run {
    world: World,
    jobs: Vec<Job>,
    deposits: u32,
}

fn who(i: u8) -> AccountSecret {
    match i {
        0..=2 => node(i),
        3 => buyer(),
        4 => checker(),
        _ => account(70),
    }
}

impl Run {
    fn job(&self, i: u8) -> Hash32 {
        self.jobs.get(usize::from(i)).map_or(job_id(), |job| job.digest(&domain()))
    }

    /// A receipt that fits (three times in four, if there is one), or any.
    fn pick(&self, i: u8, fits: impl Fn(&Hash32) -> bool) -> Option<Hash32> {
        let mut among: Vec<&Hash32> =
            self.world.state.receipts().keys().filter(|digest| i.is_multiple_of(4) || fits(digest)).collect();
        if among.is_empty() {
            among.extend(self.world.state.receipts().keys());
        }
        among.get(usize::from(i).checked_rem(among.len())?).map(|digest| **digest)
    }

    fn pending(&self, i: u8) -> Option<Hash32> {
        self.pick(i, |digest| *self.world.status(digest) == ReceiptStatus::Pending)
    }

    fn disputed(&self, i: u8) -> Option<Hash32> {
        self.pick(i, |digest| self.world.state.disputes().contains_key(digest))
    }

    fn judged(&self, i: u8) -> Option<Hash32> {
        self.pick(i, |digest| *self.world.status(digest) != ReceiptStatus::Pending)
    }

    /// Who may dispute a receipt, or, sometimes, anybody.
    fn disputant(&self, receipt: &Hash32, by: u8) -> AccountSecret {
        let delivered = &self.world.state.receipts()[receipt];
        let station = (0..3).find(|i| node(*i).address() == delivered.signed.receipt.node).unwrap_or(0);
        match (by, &delivered.status) {
            (0, _) => account(70),
            (_, ReceiptStatus::Refused { .. }) => node(station),
            _ => buyer(),
        }
    }

    fn evidence(kind: u8) -> &'static [u8] {
        [b"good", b"weat", b"junk", b"good"][usize::from(kind % 4)]
    }

    fn deliver(&self, station: u8, job: Hash32, day: u64, units: u64, kind: u8, lie: u8) -> What {
        let mut receipt = Receipt { job, units, ..self.world.receipt(station, day, Self::evidence(kind)) };
        let mut hand = station;
        match lie {
            0 => receipt.sequence = receipt.sequence.wrapping_add(1),
            1 => receipt.previous = Hash32([5; 32]),
            2 => receipt.device = device((station + 1) % 3).device(),
            3 => hand = (station + 1) % 3,
            4 if day == 7 => receipt.sequence = 0,
            5 => receipt.units = u64::MAX,
            _ => {}
        }
        let digest = receipt.digest(&domain());
        let output = proofmesh_market::receipt::output_bytes(&OUTPUT);
        let by_device = if lie == 2 { device((station + 1) % 3) } else { device(station) };
        let signed =
            SignedReceipt::from_parts(receipt, output, by_device.sign(&digest), node(hand).sign(&digest));
        What::Delivered(signed.expect("bounded"))
    }

    fn verdict(&self, digest: Hash32, by: u8, lie: u8) -> Option<Verdict> {
        let signed = &self.world.state.receipts()[&digest].signed;
        if !self.world.state.jobs().contains_key(&signed.receipt.job) {
            return None;
        }
        let evidence = [&b"good"[..], b"weat", b"junk"]
            .into_iter()
            .find(|bytes| keccak(bytes) == signed.receipt.evidence)?;
        let by = [checker(), appeals(), account(70)][usize::from(by)].clone();
        Some(match lie {
            0 => self.world.verdict_of(&digest, evidence, &by, &Always(signed.receipt.units)),
            1 => self.world.verdict_of(&digest, evidence, &by, &Always(0)),
            _ => self.world.verdict(&digest, evidence, &by),
        })
    }

    fn what(&mut self, next: &Try) -> Option<What> {
        Some(match *next {
            Try::Deposit(i, micro) => {
                self.deposits += 1;
                deposit(100 + self.deposits, &who(i).address(), Usd::from_micro(micro))
            }
            Try::Withdraw(i, micro) => {
                let nonce = self.world.state.withdrawal_nonce(&who(i).address());
                withdraw(&who(i), Usd::from_micro(micro), nonce)
            }
            Try::Commit(i) => commit(i),
            Try::Post { salt, price, units, slots } => {
                let mut job = job();
                (job.salt, job.slots, job.max_units) = (Hash32([salt; 32]), slots, units);
                job.unit_price = Usd::from_micro(price);
                self.jobs.push(job.clone());
                post(job)
            }
            Try::Assign { job, secret: i } => What::Assigned { job: self.job(job), secret: secret(i) },
            Try::Deliver { station, job, day, units, kind, lie } => {
                self.deliver(station, self.job(job), day, units, kind, lie)
            }
            Try::Judge { receipt, by, lie } => What::Judged(self.verdict(self.pending(receipt)?, by, lie)?),
            Try::Dispute { receipt, by } => {
                let receipt = self.judged(receipt)?;
                dispute(&self.disputant(&receipt, by), receipt)
            }
            Try::Resolve { receipt, by, lie } => {
                What::DisputeResolved(self.verdict(self.disputed(receipt)?, by, lie)?)
            }
            Try::Lapse { receipt } => What::DisputeLapsed { receipt: self.disputed(receipt)? },
            Try::End { job } => What::JobEnded { job: self.job(job) },
            Try::Epoch { off } => {
                What::EpochClosed { epoch: self.world.state.epochs().len() as u64 + 1 + off }
            }
            Try::Thaw { station } => match self.world.state.nodes()[&node(station).address()].standing {
                state::Standing::Frozen { at_event, .. } => thaw(station, at_event),
                _ => thaw(station, 0),
            },
            Try::Wait(seconds) => {
                self.world.at_s += seconds;
                return None;
            }
        })
    }
}

/// One sequence; gives how many events were legal, and which refusals came.
fn run(tries: &[Try]) -> Result<(Vec<&'static str>, usize, u64), TestCaseError> {
    let mut run = Run { world: World::working(), jobs: vec![job()], deposits: 0 };
    let mut refusals = Vec::new();
    for next in tries {
        let Some(what) = run.what(next) else { continue };
        let event = run.world.event(what);
        let before = run.world.state.clone();
        match run.world.state.step(&event) {
            Ok(_) => run.world.log.push(event),
            Err(refusal) => {
                refusals.push(refusal.name);
                prop_assert!(before == run.world.state, "{} changed the state", refusal);
            }
        }
        let sums = conservation(&run.world.state);
        prop_assert!(sums.holds(), "{:?} after {:?}", sums, next);
        for account in (0..6).map(|i| who(i).address()) {
            prop_assert!(run.world.state.ledger().claim(&account) >= before.ledger().claim(&account));
        }
        prop_assert!(run.world.state.ledger().vault() >= before.ledger().vault());
    }
    paid_once(&run.world.state)?;
    let again =
        audit::replay(&run.world.log).map_err(|difference| TestCaseError::fail(format!("{difference:?}")))?;
    prop_assert!(again == run.world.state);
    let paid = run.world.state.jobs().values().map(|posted| posted.units).sum();
    Ok((refusals, run.world.log.len(), paid))
}

/// No window of a device is paid twice by a job, and a job pays no more than its cap.
fn paid_once(state: &State) -> Result<(), TestCaseError> {
    let mut windows = std::collections::BTreeSet::new();
    let mut units = std::collections::BTreeMap::new();
    for delivered in state.receipts().values() {
        if let ReceiptStatus::Accepted { .. } | ReceiptStatus::Settled { .. } = delivered.status {
            let receipt = &delivered.signed.receipt;
            prop_assert!(windows.insert((receipt.job, receipt.device, receipt.window_start)));
            *units.entry(receipt.job).or_insert(0) += receipt.units;
        }
    }
    for (id, posted) in state.jobs() {
        let counted = units.get(id).copied().unwrap_or(0);
        prop_assert_eq!(posted.units, counted);
        prop_assert!(counted <= posted.job.max_units);
    }
    Ok(())
}

#[test]
fn money_is_conserved_whatever_happens() {
    let config = Config { cases: 96, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &SEED));
    let seen = std::cell::RefCell::new((std::collections::BTreeMap::<&str, u32>::new(), 0usize, 0u64));
    let outcome = runner.run(&proptest::collection::vec(tries(), 20..140), |tries| {
        let (refusals, legal, paid) = run(&tries)?;
        let mut seen = seen.borrow_mut();
        for name in refusals {
            *seen.0.entry(name).or_default() += 1;
        }
        seen.1 += legal;
        seen.2 += paid;
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("seed {SEED:?}: {failure}"));
    // The sequences must reach the interesting places, or they prove nothing.
    let (refusals, legal, paid) = seen.into_inner();
    println!("{legal} legal events, {paid} units paid, refusals {refusals:?}");
    assert!(legal > 5_000 && paid > 300, "{legal} legal, {paid} paid");
    assert!(refusals.len() >= 25, "{refusals:?}");
}
