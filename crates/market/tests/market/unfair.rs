//! What a buyer or a node may not do to another in a guarded market: bind its pledge, call it absent, dispute a rule.

use crate::guards::{ROUND_S, limit, offer, offer_until, usd};
use crate::world::*;
use proofmesh_market::order::Limit;
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
        job.devices.clear();
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

impl World {
    /// Members that offered, the first of them with limits; a round later.
    fn offering(least: Usd, open: u16) -> World {
        let mut world = World::guarded_members();
        world.ok(limit(0, least, open, 5));
        for i in 0..3 {
            world.ok(offer(i, usd(40_000_000)));
        }
        world.commit_next();
        world.at_s += ROUND_S;
        world
    }

    /// Posts two such jobs, which the beacon draws; gives their ids.
    fn two_of(&mut self, wanted: &Job) -> [Hash32; 2] {
        let jobs = [30, 31].map(|salt| Job { salt: Hash32([salt; 32]), ..wanted.clone() });
        for job in &jobs {
            self.ok(post(job.clone()));
        }
        self.turn();
        jobs.map(|job| job.digest(&domain()))
    }

    /// Nodes that the ends of jobs put to rest.
    fn rested(&mut self, jobs: &[Hash32]) -> Vec<Address> {
        let ended: Vec<Effect> = jobs.iter().flat_map(|job| self.ok(What::JobEnded { job: *job })).collect();
        let rested = |effect: &Effect| {
            if let Effect::Rested { node, .. } = effect { Some(*node) } else { None }
        };
        ended.iter().filter_map(rested).collect()
    }
}

/// A job that any node may do, of three units at the usual price.
fn open_job() -> Job {
    Job { max_units: 3, slots: 3, devices: Vec::new(), ..job() }
}

#[test]
fn a_node_is_drawn_for_nothing_below_its_price() {
    let least = PRICE.checked_add(usd(1)).expect("small");
    let mut world = World::offering(least, 8);
    let two = Job { slots: 2, ..open_job() };
    let cheap = world.two_of(&two);
    let drawn = |world: &World, job: &Hash32| world.state.jobs()[job].nodes.contains(&node(0).address());
    assert!(cheap.iter().all(|job| !drawn(&world, job) && world.state.jobs()[job].nodes.len() == 2));
    let mut world = World::offering(least, 8);
    let paid = world.two_of(&Job { unit_price: least, ..open_job() });
    assert!(paid.iter().all(|job| drawn(&world, job)), "at its price it is");
    // Naming its device does not force it either: the third slot of a cheap job stays empty.
    let mut world = World::offering(least, 8);
    let named = world.two_of(&Job { devices: job().devices, ..open_job() });
    assert!(named.iter().all(|job| world.state.jobs()[job].nodes.is_empty()));
}

#[test]
fn nobody_says_again_what_a_node_offered_before() {
    let mut world = World::guarded_members();
    let other = Limit {
        service: model(),
        ..Limit { node: node(0).address(), service: service(), least: usd(1), open: 1, nonce: 1 }
    };
    world.refused(What::Limited(sign(other, &node(0))), "limit.not-measured");
    world.ok(limit(0, usd(9), 1, 7));
    for nonce in [0, 7] {
        world.refused(limit(0, usd(0), 8, nonce), "limit.nonce");
    }
    world.ok(limit(0, usd(9), 1, 8));
    // Nor an offer that ends sooner than the one that counts.
    world.ok(offer_until(0, usd(40_000_000), START_S + 9 * DAY_S));
    world.refused(offer_until(0, usd(40_000_000), START_S + 9 * DAY_S - 1), "offer.until");
    // After a rest an offer takes a fee: the one from before it, handed in again by anybody, would too.
    let mut world = World::offering(usd(0), 8);
    let jobs = world.two_of(&open_job());
    world.at_s = job().deadline_s;
    assert_eq!(world.rested(&jobs).len(), 3);
    world.at_s += 3 * DAY_S;
    world.refused(offer(0, usd(40_000_000)), "offer.until");
    world.ok(offer_until(0, usd(40_000_000), START_S + 200 * DAY_S + 1));
}

#[test]
fn a_node_is_drawn_for_as_many_open_jobs_as_it_offered() {
    let drawn = |open: u16, devices: Vec<Device>| {
        let mut world = World::offering(usd(0), open);
        let jobs = world.two_of(&Job { devices, ..open_job() });
        jobs.iter().filter(|job| world.state.jobs()[*job].nodes.contains(&node(0).address())).count()
    };
    assert_eq!([0, 1, 2].map(|open| drawn(open, Vec::new())), [0, 1, 2]);
    assert_eq!(drawn(0, job().devices), 2, "those that name its device it takes");
    // What waits for room is drawn when there is some.
    let mut world = World::offering(usd(0), 1);
    let short = Job { deadline_s: world.at_s + 4 * ROUND_S, ..open_job() };
    let jobs = world.two_of(&short);
    let late = Job { salt: Hash32([32; 32]), ..open_job() };
    world.ok(post(late.clone()));
    let nodes = |world: &World, job: &Hash32| world.state.jobs()[job].nodes.len();
    while world.at_s < short.deadline_s {
        world.turn();
    }
    let late = late.digest(&domain());
    assert_eq!((nodes(&world, &jobs[0]) + nodes(&world, &jobs[1]), nodes(&world, &late)), (3, 0));
    assert!(world.rested(&jobs).is_empty(), "no time");
    world.turn();
    assert_eq!(nodes(&world, &late), 3);
}

#[test]
fn silence_is_no_absence_where_the_buyer_chose_or_left_neither_time_nor_pay() {
    let silent = |change: &dyn Fn(&mut Job, u64), pay: bool| {
        let mut world = World::offering(usd(0), 8);
        let mut wanted = open_job();
        change(&mut wanted, world.at_s);
        let jobs = world.two_of(&wanted);
        assert!(jobs.iter().all(|job| world.state.jobs()[job].nodes.len() == 3), "{wanted:?}");
        if pay {
            // The buyer's friends take all the pay at once.
            let mut digests = Vec::new();
            for (job, day) in jobs.into_iter().zip(0u64..) {
                for i in 1..3u8 {
                    let receipt = Receipt { job, units: 2, ..world.receipt(i, day, b"good") };
                    digests.push(world.deliver(i, receipt).0);
                }
            }
            world.turn();
            for digest in &digests {
                world.first(digest, b"good", &Always(2));
            }
        } else {
            world.at_s = wanted.deadline_s;
        }
        world.rested(&jobs).len()
    };
    let units = |job: &mut Job, _: u64| job.max_units = 4;
    assert_eq!(silent(&|_, _| {}, false), 3, "open, with time and pay: absent");
    assert_eq!(silent(&|wanted, _| wanted.devices = job().devices, false), 0, "named");
    assert_eq!(
        silent(&|wanted, at_s| wanted.deadline_s = at_s + ROUND_S + 3_599, false),
        0,
        "no time after the draw"
    );
    assert_eq!(silent(&units, true), 0, "nothing left to earn");
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
