//! Lives of jobs that go as they should, and what nodes lose when they do not.

use crate::world::*;
use proofmesh_market::state::{JobStatus, ReceiptStatus, Standing};
use proofmesh_market::*;

fn usd(micro: u64) -> Usd {
    Usd::from_micro(micro)
}

#[test]
fn a_day_is_paid_and_settles_after_its_time_for_disputes() {
    let mut world = World::working();
    let (digest, effects) = world.work(0, 0, b"good");
    // 0.98 of 1.000001 is 0.98000098: the share is rounded down, the vault gets the rest.
    let (share, fee) = (usd(980_000), usd(20_001));
    let node_address = node(0).address();
    assert_eq!(
        effects,
        [Effect::ReceiptAccepted { receipt: digest, node: node_address, units: 1, share, fee }]
    );
    world.ok(What::EpochClosed { epoch: 1 });
    assert_eq!(world.state.epochs()[0].receipts, [], "too young to settle");
    world.at_s += DAY_S;
    world.ok(What::EpochClosed { epoch: 2 });
    assert!(matches!(world.status(&digest), ReceiptStatus::Settled { epoch: 2, .. }));
    let closed = &world.state.epochs()[1];
    assert_eq!(closed.balance_proof(&node_address).map(|(usd, _)| usd), Some(share));
    assert_eq!(closed.balance_proof(&vault()).map(|(usd, _)| usd), Some(fee));
    assert_eq!(closed.epoch.total, PRICE);
    world.ok(What::EpochClosed { epoch: 3 });
    assert_eq!(world.state.epochs()[2].receipts, [], "settled once");
    assert_eq!(world.state.epochs()[2].epoch.total, PRICE);
}

#[test]
fn no_price_or_number_of_units_pays_more_than_98_percent() {
    for (price, units) in [(1, 1), (1, 19), (49, 7), (50, 1), (99, 20), (1_000_001, 3), (33_333_333, 3)] {
        let mut world = World::members();
        let mut odd = job();
        odd.unit_price = usd(price);
        let id = odd.digest(&domain());
        world.ok(deposit(60, &buyer().address(), usd(2_000_000_000)));
        world.ok(post(odd));
        world.ok(What::Assigned { job: id, secret: secret(0) });
        let receipt = Receipt { job: id, units, ..world.receipt(0, 0, b"good") };
        let (digest, _) = world.deliver(0, receipt);
        let verdict = world.verdict_of(&digest, b"good", &checker(), &Always(units));
        let effects = world.ok(What::Judged(verdict));
        let [Effect::ReceiptAccepted { share, fee, .. }] = effects[..] else { panic!("{effects:?}") };
        assert_eq!(share.micro() + fee.micro(), price * units);
        assert!(share.micro() * 100 <= price * units * 98, "{share} of {price} x {units}");
        let one = usd(price).part_down(980_000).expect("a part");
        assert_eq!(one.checked_mul(units), Some(share), "linear in units");
    }
}

#[test]
fn the_end_of_a_job_gives_the_rest_back() {
    let mut world = World::working();
    world.work(0, 0, b"good");
    let waiting = world.receipt(0, 1, b"good late");
    let (waiting, _) = world.deliver(0, waiting);
    world.at_s = job().deadline_s;
    world.refused(What::JobEnded { job: job_id() }, "job.receipts-pending");
    world.at_s += DAY_S;
    let before = world.state.balance(&buyer().address());
    let effects = world.ok(What::JobEnded { job: job_id() });
    let refund = usd(PRICE.micro() * 19);
    let [Effect::ReceiptRefused { receipt, reason, .. }, Effect::JobEnded { refund: paid_back, .. }] =
        &effects[..]
    else {
        panic!("{effects:?}")
    };
    assert_eq!((*receipt, reason.name(), *paid_back), (waiting, "job.not-judged", refund));
    assert_eq!(world.state.balance(&buyer().address()), before.checked_add(refund).expect("small"));
    world.refused(What::JobEnded { job: job_id() }, "job.already-ended");
    let verdict = world.verdict(&waiting, b"good late", &checker());
    world.refused(What::Judged(verdict), "verdict.receipt-not-pending");
}

#[test]
fn a_job_whose_cap_is_spent_ends_at_once_and_pays_no_more() {
    let mut world = World::members();
    let mut short = job();
    short.max_units = 2;
    let id = short.digest(&domain());
    world.ok(post(short));
    world.ok(What::Assigned { job: id, secret: secret(0) });
    for day in 0..2 {
        let receipt = Receipt { job: id, ..world.receipt(0, day, b"good") };
        let (digest, _) = world.deliver(0, receipt);
        let verdict = world.verdict(&digest, b"good", &checker());
        world.ok(What::Judged(verdict));
    }
    let over = Receipt { job: id, ..world.receipt(1, 0, b"good") };
    assert_eq!(world.refused_receipt(1, over), "receipt.cap-reached");
    let effects = world.ok(What::JobEnded { job: id });
    assert_eq!(effects, [Effect::JobEnded { job: id, refund: Usd::ZERO }]);
    assert_eq!(world.state.jobs()[&id].status, JobStatus::Ended);
    let after = Receipt { job: id, ..world.receipt(1, 1, b"good") };
    assert_eq!(world.refused_receipt(1, after), "receipt.job-not-assigned");
}

#[test]
fn a_node_is_frozen_before_a_second_penalty() {
    let mut world = World::working();
    // Five receipts wait when the fault shows; nobody's fault does not count, and one success starts the
    // count anew.
    let mut waiting = Vec::new();
    for day in 0..5 {
        let receipt = world.receipt(0, day, b"broken");
        waiting.push(world.deliver(0, receipt).0);
    }
    world.work(0, 9, b"weather");
    let mut costs = Vec::new();
    for digest in &waiting {
        let verdict = world.verdict(digest, b"broken", &checker());
        let effects = world.ok(What::Judged(verdict));
        costs.push(effects.iter().filter(|effect| matches!(effect, Effect::Penalized { .. })).count());
    }
    assert_eq!(costs, [0, 0, 1, 0, 0]);
    let known = &world.state.nodes()[&node(0).address()];
    assert_eq!(known.penalties, 1);
    let Standing::Frozen { at_event, .. } = known.standing else { panic!("{:?}", known.standing) };
    let frozen = world.receipt(0, 7, b"good");
    assert_eq!(world.refused_receipt(0, frozen), "node.frozen");
    world.refused(thaw(0, at_event), "thaw.too-soon");
    world.at_s += 3_600;
    world.refused(thaw(0, at_event + 1), "thaw.other-freeze");
    world.ok(thaw(0, at_event));
    world.refused(thaw(0, at_event), "thaw.not-frozen");
    world.work(0, 7, b"good");
}

#[test]
fn a_success_between_failures_starts_the_count_anew() {
    let mut world = World::working();
    for (day, evidence) in [(0, "broken"), (1, "broken"), (2, "good"), (3, "broken"), (4, "broken")] {
        world.work(0, day, evidence.as_bytes());
    }
    assert_eq!(world.state.nodes()[&node(0).address()].standing, Standing::Active);
    assert_eq!(world.state.nodes()[&node(0).address()].strikes, 2);
}

#[test]
fn two_receipts_for_one_place_cost_the_stake() {
    // By sequence, by previous, and by a second "first" receipt.
    let lies: [&dyn Fn(&World) -> Receipt; 3] = [
        &|world| Receipt { sequence: 0, previous: Hash32::ZERO, ..world.receipt(0, 5, b"other") },
        &|world| {
            let chain = &world.state.nodes()[&node(0).address()].chain;
            Receipt { sequence: 9, previous: chain[0], ..world.receipt(0, 5, b"other") }
        },
        &|world| Receipt { sequence: 9, previous: Hash32::ZERO, ..world.receipt(0, 5, b"other") },
    ];
    for (lie, holder) in lies.into_iter().zip([0usize, 1, 0]) {
        let mut world = World::working();
        world.work(0, 0, b"good");
        world.work(0, 1, b"good");
        let second = signed(0, lie(&world));
        let held = world.state.nodes()[&node(0).address()].chain[holder];
        let first = world.state.receipts()[&held].signed.clone();
        let before = conservation(&world.state);
        let effects = world.ok(What::Delivered(second.clone()));
        assert_eq!(effects, [Effect::Equivocated { node: node(0).address(), first, second: second.clone() }]);
        assert_eq!(conservation(&world.state), before, "nothing is paid");
        assert_eq!(world.state.nodes()[&node(0).address()].standing, Standing::Jailed);
        world.refused(What::Delivered(second), "node.jailed");
        let honest = signed(0, world.receipt(0, 6, b"good"));
        world.refused(What::Delivered(honest), "node.jailed");
    }
}

#[test]
fn the_draw_is_fixed_by_what_was_committed() {
    // One slot, many salts: every station wins sometimes, and the same secret and salt always give the same
    // one.
    let mut wins = std::collections::BTreeMap::new();
    for salt in 0..40u8 {
        let mut world = World::members();
        let mut one = job();
        (one.slots, one.salt) = (1, Hash32([salt; 32]));
        let id = one.digest(&domain());
        world.ok(post(one));
        let mut again = world.clone();
        let effects = world.ok(What::Assigned { job: id, secret: secret(0) });
        assert_eq!(effects, again.ok(What::Assigned { job: id, secret: secret(0) }));
        let [Effect::Assigned { nodes, .. }] = &effects[..] else { panic!("{effects:?}") };
        *wins.entry(nodes[0]).or_insert(0) += 1;
    }
    assert_eq!(wins.len(), 3, "{wins:?}");
    assert!(wins.values().all(|count| *count >= 5), "{wins:?}");
}
