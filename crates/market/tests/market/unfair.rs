//! What a buyer or a node may not do to another in a guarded market: bind its pledge, call it absent, dispute a rule.

use crate::guards::{ROUND_S, offer, usd};
use crate::world::*;
use proofmesh_market::state::ReceiptStatus;
use proofmesh_market::*;

#[test]
fn nobody_is_absent_from_work_that_could_not_be_done() {
    let mut world = World::guarded_members();
    for i in 0..3 {
        world.ok(offer(i, usd(40_000_000)));
    }
    world.commit_next();
    world.at_s += ROUND_S;
    let mut jobs = Vec::new();
    for salt in 20..24 {
        let mut job = job();
        (job.salt, job.max_units, job.slots) = (Hash32([salt; 32]), 3, 3);
        // The windows end half an hour before the deadline.
        (job.window_from_s, job.window_until_s) = (job.deadline_s - DAY_S, job.deadline_s - 1_800);
        world.ok(post(job.clone()));
        jobs.push(job.digest(&domain()));
    }
    world.turn();
    world.at_s = job().deadline_s;
    for id in jobs {
        assert_eq!(world.state.jobs()[&id].nodes.len(), 3);
        let effects = world.ok(What::JobEnded { job: id });
        assert!(matches!(&effects[..], [Effect::JobEnded { .. }]), "{effects:?}");
    }
}

#[test]
fn a_job_binds_no_pledge_longer_than_its_node_offered() {
    let mut world = World::guarded_members();
    for i in 0..3 {
        world.ok(offer(i, usd(40_000_000))); // for 200 days
    }
    world.commit_next();
    world.at_s += ROUND_S;
    let mut long = job();
    (long.unit_price, long.max_units, long.slots) = (usd(1), 3, 1);
    long.deadline_s = START_S + 200 * DAY_S - rules().judge_s + 1;
    world.ok(post(long.clone()));
    assert!(!world.turn().iter().any(|effect| matches!(effect, Effect::Assigned { .. })));
    (long.salt, long.deadline_s) = (Hash32([8; 32]), long.deadline_s - 1);
    world.ok(post(long));
    assert!(world.turn().iter().any(|effect| matches!(effect, Effect::Assigned { .. })));
}

#[test]
fn what_a_rule_does_not_pay_is_neither_disputed_nor_poor_work() {
    let mut world = World::guarded();
    let digests = world.hand_in(0, 0..12, b"good"); // its part is 7 units
    for digest in &digests {
        world.first(digest, b"good", &ByEvidence);
    }
    for digest in &digests[7..] {
        let ReceiptStatus::Refused { reason, .. } = world.status(digest) else { panic!("paid") };
        assert_eq!(reason.name(), "receipt.share-reached");
        world.refused(dispute(&node(0), *digest), "dispute.not-judged");
    }
    let members = &world.state.guarded().expect("guards").members;
    assert!(!members[&node(0).address()].listings.is_empty(), "no rest");
    assert_eq!(members[&node(0).address()].parts[&job_id()].paid, 7);
}

/// Refuses without blame, whatever it sees.
struct NotGenuine;

impl Check for NotGenuine {
    fn check(&self, _: &proofmesh_market::Case<'_>) -> Result<u64, Reason> {
        Err(Reason::new("test.not-genuine", Blame::Nobody, "genuine", "tampered"))
    }
}

#[test]
fn what_is_set_aside_for_a_dispute_counts_for_its_nodes_part() {
    let paid = |world: &World| {
        world.state.guarded().expect("guards").members[&node(0).address()].parts[&job_id()].paid
    };
    let mut world = World::guarded();
    let weather = world.hand_in(0, 0..1, b"weather")[0];
    world.first(&weather, b"weather", &ByEvidence);
    world.ok(dispute(&node(0), weather));
    assert_eq!(paid(&world), 1);
    world.panel(&weather, b"weather");
    assert_eq!(paid(&world), 0, "the panel agreed");
    let wronged = world.hand_in(0, 1..3, b"good");
    for digest in &wronged {
        world.first(digest, b"good", &NotGenuine);
    }
    world.ok(dispute(&node(0), wronged[0]));
    assert_eq!(paid(&world), 1);
    world.panel(&wronged[0], b"good");
    assert!(matches!(world.status(&wronged[0]), ReceiptStatus::Accepted { .. }));
    assert_eq!(paid(&world), 1, "counted once");
    let digests = world.hand_in(0, 3..9, b"good");
    for digest in &digests {
        world.first(digest, b"good", &ByEvidence);
    }
    assert_eq!(paid(&world), 7);
    world.refused(dispute(&node(0), wronged[1]), "receipt.share-reached");
}
