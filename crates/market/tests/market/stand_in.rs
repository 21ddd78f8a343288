//! Nodes that are drawn for a job's nodes that bring nothing: when, who, and who is paid.

use crate::guards::{ROUND_S, limit, offer, usd};
use crate::world::*;
use proofmesh_market::*;

const SPAN_S: u64 = 20 * DAY_S;

/// A job that any node may do, of one unit for one node, with twenty days from now.
fn one(world: &World) -> Job {
    Job {
        max_units: 1,
        slots: 1,
        devices: Vec::new(),
        window_until_s: WINDOW_S + 2 * DAY_S,
        deadline_s: world.at_s + SPAN_S,
        ..job()
    }
}

impl World {
    fn open() -> World {
        let mut world = World::guarded_members();
        for i in 0..3 {
            world.ok(offer(i, usd(40_000_000)));
        }
        world.commit_next();
        world.at_s += ROUND_S;
        world
    }

    /// Posts a job, which the beacon draws; gives its id and the nodes.
    fn drawn_for(&mut self, wanted: &Job) -> (Hash32, Vec<u8>) {
        self.ok(post(wanted.clone()));
        self.turn();
        let id = wanted.digest(&domain());
        (id, self.nodes_of(&id))
    }

    fn nodes_of(&self, id: &Hash32) -> Vec<u8> {
        let place =
            |address: &Address| (0..3).find(|i| node(*i).address() == *address).expect("one of three");
        self.state.jobs()[id].nodes.iter().map(place).collect()
    }

    fn waits(&self) -> bool {
        self.state.awaits_beacon(self.at_s)
    }

    /// A receipt of one unit, judged by its drawn checker.
    fn brings(&mut self, i: u8, id: Hash32) -> Vec<Effect> {
        let receipt = Receipt { job: id, ..self.receipt(i, 0, b"good") };
        let (digest, effects) = self.deliver(i, receipt);
        if !effects.is_empty() {
            return effects; // refused by a rule
        }
        self.turn();
        self.first(&digest, b"good", &Always(1))
    }

    fn ends(&mut self, id: Hash32) -> Vec<Effect> {
        self.ok(What::JobEnded { job: id })
    }

    fn absences(&self, i: u8) -> u32 {
        self.state.guarded().expect("guards").members[&node(i).address()].absent
    }
}

#[test]
fn another_is_drawn_for_a_silent_node_at_half_time_and_paid_and_the_silence_counts() {
    let mut world = World::open();
    let (id, first) = world.drawn_for(&one(&world));
    let (drawn_s, deadline_s) = (world.at_s, world.state.jobs()[&id].job.deadline_s);
    assert_eq!(first.len(), 1);
    world.at_s = drawn_s + (deadline_s - drawn_s) / 2 - 1;
    assert!(!world.waits(), "a second early");
    world.at_s += 1;
    assert!(world.waits());
    let effects = world.turn();
    let nodes = world.nodes_of(&id);
    assert_eq!((nodes.len(), nodes[0]), (2, first[0]));
    let second = nodes[1];
    let assigned = Effect::Assigned { job: id, nodes: vec![node(second).address()] };
    assert!(second != first[0] && effects.contains(&assigned), "{effects:?}");
    assert!(!world.waits());
    let effects = world.brings(second, id);
    assert!(matches!(effects[0], Effect::ReceiptAccepted { .. }), "{effects:?}");
    // Late is too late: the pay is the other's, by a rule, which says nothing about the node.
    let late = world.brings(first[0], id);
    let [Effect::ReceiptRefused { reason, .. }] = &late[..] else { panic!("{late:?}") };
    assert_eq!(reason.name(), "receipt.cap-reached");
    // Who brought something after all is not absent; who did not is, though no pay is left.
    world.ends(id);
    assert_eq!((world.absences(first[0]), world.absences(second)), (0, 0));
    let mut silent = World::open();
    let (id, first) = silent.drawn_for(&one(&silent));
    silent.at_s = drawn_s + (deadline_s - drawn_s) / 2;
    silent.turn();
    let second = silent.nodes_of(&id)[1];
    silent.brings(second, id);
    silent.ends(id);
    assert_eq!((silent.absences(first[0]), silent.absences(second)), (1, 0));
}

#[test]
fn each_half_of_what_is_left_has_its_stand_in_while_there_is_one_and_time() {
    let mut world = World::open();
    let (id, _) = world.drawn_for(&one(&world));
    let deadline_s = world.state.jobs()[&id].job.deadline_s;
    for count in [2, 3] {
        world.at_s += (deadline_s - world.at_s) / 2;
        world.turn();
        assert_eq!(world.nodes_of(&id).len(), count);
    }
    let mut nodes = world.nodes_of(&id);
    nodes.sort_unstable();
    assert_eq!(nodes, [0, 1, 2], "each once");
    assert!(world.state.jobs()[&id].candidates.is_empty());
    world.at_s = deadline_s - 1;
    assert!(!world.waits(), "nobody is left");
    world.at_s = deadline_s;
    world.ends(id);
    assert_eq!([0, 1, 2].map(|i| world.absences(i)), [1; 3], "each had its time, and pay");
}

#[test]
fn nobody_stands_in_where_all_came_the_buyer_chose_the_pay_is_gone_or_time_is_short() {
    let silent = |change: &dyn Fn(&mut Job, u64)| {
        let mut world = World::open();
        let mut wanted = one(&world);
        change(&mut wanted, world.at_s);
        let (id, nodes) = world.drawn_for(&wanted);
        assert_eq!(nodes.len(), usize::from(wanted.slots));
        world.at_s += (wanted.deadline_s - world.at_s) / 2 + 1;
        let waits = world.waits();
        world.turn();
        (waits, world.nodes_of(&id).len() - nodes.len())
    };
    assert_eq!(silent(&|_, _| {}), (true, 1));
    assert_eq!(silent(&|wanted, _| wanted.slots = 2), (true, 1), "two are silent, and one is left");
    assert_eq!(silent(&|wanted, _| wanted.slots = 3), (false, 0), "none is left");
    assert_eq!(silent(&|wanted, _| wanted.devices = job().devices), (false, 0), "named");
    let short = |wanted: &mut Job, at_s: u64| wanted.deadline_s = at_s + ROUND_S + 7_198;
    assert_eq!(silent(&short), (false, 0), "no hour each");
    // The windows end when half of the time is over: the half after that counts.
    assert_eq!(silent(&|wanted, at_s| wanted.window_until_s = at_s + SPAN_S / 2 + ROUND_S), (false, 0));
    // One of two came: one stands in. Both did: none.
    for (came, stands_in) in [(1, 1), (2, 0)] {
        let mut world = World::open();
        let wanted = Job { slots: 2, max_units: 4, ..one(&world) };
        let (id, nodes) = world.drawn_for(&wanted);
        for i in &nodes[..came] {
            world.brings(*i, id);
        }
        world.at_s = wanted.deadline_s - DAY_S;
        world.turn();
        assert_eq!(world.nodes_of(&id).len(), 2 + stands_in);
    }
    // The pay is gone, to one of two: no stand-in, and no absence.
    let mut world = World::open();
    let wanted = Job { slots: 2, max_units: 1, ..one(&world) };
    let (id, nodes) = world.drawn_for(&wanted);
    world.brings(nodes[0], id);
    world.at_s = wanted.deadline_s - DAY_S;
    world.turn();
    assert_eq!((world.waits(), world.nodes_of(&id).len()), (false, 2));
    world.ends(id);
    assert_eq!(world.absences(nodes[1]), 0);
}

#[test]
fn who_is_busy_now_stands_in_later() {
    let mut world = World::open();
    let (id, first) = world.drawn_for(&one(&world));
    // The others take no open job any more, and then do again.
    let others: Vec<u8> = (0..3).filter(|i| *i != first[0]).collect();
    for i in &others {
        world.ok(limit(*i, usd(0), 0, 1));
    }
    let deadline_s = world.state.jobs()[&id].job.deadline_s;
    world.at_s += (deadline_s - world.at_s) / 2;
    assert!(!world.waits(), "nobody may");
    world.turn();
    assert_eq!(world.nodes_of(&id), first);
    for i in &others {
        world.ok(limit(*i, usd(0), 8, 2));
    }
    world.at_s += (deadline_s - world.at_s) / 2;
    assert!(world.waits());
    world.turn();
    assert_eq!(world.nodes_of(&id).len(), 2);
}
