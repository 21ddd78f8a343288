//! Disputes: a bond on both sides, the loser's goes to the winner, and the receipt ends as the second check
//! says.

use crate::world::*;
use proofmesh_market::state::ReceiptStatus;
use proofmesh_market::*;

fn balance(world: &World, of: &AccountSecret) -> u64 {
    world.state.balance(&of.address()).micro()
}

#[test]
fn disputes_that_nobody_may_open() {
    let mut world = World::working();
    let (paid, _) = world.work(0, 0, b"good");
    let (refused, _) = world.work(0, 1, b"weather");
    let waiting = world.receipt(0, 2, b"good");
    let (waiting, _) = world.deliver(0, waiting);
    world.refused(dispute(&buyer(), Hash32::ZERO), "dispute.receipt-unknown");
    world.refused(dispute(&buyer(), waiting), "dispute.not-judged");
    world.refused(dispute(&node(0), paid), "dispute.not-a-party");
    world.refused(dispute(&buyer(), refused), "dispute.not-a-party");
    let mut poor = world.clone();
    let all = poor.state.balance(&buyer().address());
    poor.ok(withdraw(&buyer(), all, 0));
    poor.refused(dispute(&buyer(), paid), "dispute.bond-short");
    world.refused(What::DisputeLapsed { receipt: paid }, "dispute.not-open");
    let verdict = world.verdict(&paid, b"good", &appeals());
    world.refused(What::DisputeResolved(verdict), "dispute.not-open");
    world.ok(dispute(&buyer(), paid));
    world.refused(dispute(&buyer(), paid), "dispute.already");
    let verdict = world.verdict(&paid, b"good", &checker());
    world.refused(What::DisputeResolved(verdict), "dispute.same-checker");
    world.refused(What::DisputeLapsed { receipt: paid }, "dispute.not-lapsed");
    world.at_s += DAY_S + 1;
    world.refused(dispute(&node(0), refused), "dispute.too-late");
}

#[test]
fn a_buyer_that_is_wrong_pays_the_node() {
    let mut world = World::working();
    let (paid, _) = world.work(0, 0, b"good");
    let (buyer_before, node_before) = (balance(&world, &buyer()), balance(&world, &node(0)));
    world.ok(dispute(&buyer(), paid));
    assert_eq!(conservation(&world.state).bonds.micro(), 2 * BOND.micro(), "both sides");
    world.at_s += DAY_S;
    world.ok(What::EpochClosed { epoch: 1 });
    assert_eq!(world.state.epochs()[0].receipts, [], "a disputed receipt does not settle");
    let verdict = world.verdict(&paid, b"good", &appeals());
    let effects = world.ok(What::DisputeResolved(verdict));
    assert_eq!(effects, [Effect::DisputeClosed { receipt: paid, winner: Some(node(0).address()) }]);
    assert_eq!(balance(&world, &buyer()), buyer_before - BOND.micro());
    assert_eq!(balance(&world, &node(0)), node_before + BOND.micro());
    world.refused(dispute(&buyer(), paid), "dispute.already");
    world.ok(What::EpochClosed { epoch: 2 });
    assert_eq!(world.state.epochs()[1].receipts, [paid]);
}

#[test]
fn a_receipt_that_was_wrongly_accepted_is_taken_back() {
    let mut world = World::working();
    // The first checker accepts what the evidence does not show.
    let receipt = world.receipt(0, 0, b"broken");
    let (digest, _) = world.deliver(0, receipt);
    let lie = world.verdict_of(&digest, b"broken", &checker(), &Always(1));
    world.ok(What::Judged(lie));
    let escrow = world.state.escrow(&job_id()).micro();
    let (buyer_before, node_before) = (balance(&world, &buyer()), balance(&world, &node(0)));
    world.ok(dispute(&buyer(), digest));
    let verdict = world.verdict(&digest, b"broken", &appeals());
    world.ok(What::DisputeResolved(verdict));
    assert_eq!(balance(&world, &buyer()), buyer_before + BOND.micro());
    assert_eq!(balance(&world, &node(0)), node_before - BOND.micro());
    assert_eq!(world.state.escrow(&job_id()).micro(), escrow + PRICE.micro());
    assert!(matches!(world.status(&digest), ReceiptStatus::Refused { .. }));
    assert_eq!(world.state.jobs()[&job_id()].units, 0);
    world.work(0, 0, b"good"); // the window is free again
    world.at_s += 2 * DAY_S;
    world.ok(What::EpochClosed { epoch: 1 });
    assert_eq!(world.state.epochs()[0].receipts.len(), 1);
}

#[test]
fn a_node_that_was_wrongly_refused_is_paid() {
    let mut world = World::working();
    let receipt = world.receipt(0, 0, b"good");
    let (digest, _) = world.deliver(0, receipt);
    let lie = world.verdict_of(&digest, b"good", &checker(), &Always(0));
    world.ok(What::Judged(lie));
    let node_before = balance(&world, &node(0));
    world.ok(dispute(&node(0), digest));
    let again = world.receipt(0, 0, b"good again");
    assert_eq!(world.refused_receipt(0, again), "receipt.window-already-paid");
    let verdict = world.verdict(&digest, b"good", &appeals());
    world.ok(What::DisputeResolved(verdict));
    assert_eq!(balance(&world, &node(0)), node_before + BOND.micro());
    world.ok(What::EpochClosed { epoch: 1 });
    assert_eq!(world.state.epochs()[0].receipts, [digest]);
    assert_eq!(world.state.ledger().claim(&node(0).address()).micro(), 980_000);
}

#[test]
fn a_node_that_is_wrong_pays_the_buyer() {
    let mut world = World::working();
    let (digest, _) = world.work(0, 0, b"weather");
    let escrow = world.state.escrow(&job_id());
    let buyer_before = balance(&world, &buyer());
    world.ok(dispute(&node(0), digest));
    let verdict = world.verdict(&digest, b"weather", &appeals());
    world.ok(What::DisputeResolved(verdict));
    assert_eq!(balance(&world, &buyer()), buyer_before + BOND.micro());
    assert_eq!(world.state.escrow(&job_id()), escrow);
    world.work(0, 0, b"good"); // the window was kept for the dispute only
}

#[test]
fn a_window_paid_meanwhile_cannot_be_won_again() {
    let mut world = World::working();
    let (digest, _) = world.work(0, 0, b"weather");
    world.work(0, 0, b"good");
    world.refused(dispute(&node(0), digest), "dispute.window-already-paid");
}

#[test]
fn without_escrow_there_is_nothing_to_win() {
    let mut world = World::working();
    let (digest, _) = world.work(0, 0, b"weather");
    world.at_s = job().deadline_s;
    let mut late = World::working();
    late.at_s = job().deadline_s - 1;
    let (young, _) = late.work(0, 0, b"weather");
    late.at_s += 1;
    late.ok(What::JobEnded { job: job_id() });
    late.refused(dispute(&node(0), young), "dispute.escrow-short");
    world.refused(dispute(&node(0), digest), "dispute.too-late");
}

#[test]
fn a_dispute_that_nobody_decides_changes_nothing() {
    for evidence in ["good", "weather"] {
        let mut world = World::working();
        let (digest, _) = world.work(0, 0, evidence.as_bytes());
        let before = conservation(&world.state);
        let status = world.status(&digest).clone();
        let opener = if evidence == "good" { buyer() } else { node(0) };
        world.ok(dispute(&opener, digest));
        world.at_s += 2 * DAY_S;
        let effects = world.ok(What::DisputeLapsed { receipt: digest });
        assert_eq!(effects, [Effect::DisputeClosed { receipt: digest, winner: None }]);
        assert_eq!(conservation(&world.state), before);
        assert_eq!(*world.status(&digest), status);
    }
}

#[test]
fn money_of_a_job_that_ended_during_a_dispute_goes_to_the_buyer() {
    let mut world = World::working();
    world.at_s = job().deadline_s - 1;
    let (digest, _) = world.work(0, 0, b"weather");
    world.ok(dispute(&node(0), digest));
    world.at_s += 1;
    world.ok(What::JobEnded { job: job_id() });
    let buyer_before = balance(&world, &buyer());
    let verdict = world.verdict(&digest, b"weather", &appeals());
    world.ok(What::DisputeResolved(verdict));
    assert_eq!(balance(&world, &buyer()), buyer_before + 2 * BOND.micro() + PRICE.micro());
}

#[test]
fn a_buyer_that_is_also_the_node_gains_nothing_by_a_dispute() {
    let mut world = World::members();
    let mut own = job();
    own.buyer = node(0).address();
    let id = own.digest(&domain());
    world.ok(What::JobPosted(sign(own, &node(0))));
    world.ok(What::Assigned { job: id, secret: secret(0) });
    let receipt = Receipt { job: id, ..world.receipt(0, 0, b"good") };
    let (digest, _) = world.deliver(0, receipt);
    let verdict = world.verdict(&digest, b"good", &checker());
    world.ok(What::Judged(verdict));
    let before = balance(&world, &node(0));
    world.ok(dispute(&node(0), digest));
    let verdict = world.verdict(&digest, b"good", &appeals());
    world.ok(What::DisputeResolved(verdict));
    assert_eq!(balance(&world, &node(0)), before);
}
