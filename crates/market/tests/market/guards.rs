//! Guarded markets: every name that their rules refuse with, what a caught liar and a lying checker lose, and what
//! an honest node does not. The log of one life is /vectors/guards.json.

use crate::vectors::check_or_bless;
use crate::world::*;
use proofmesh_market::event::chain_log;
use proofmesh_market::guard::{beacon_commitment, beacon_value, required};
use proofmesh_market::order::{BeaconCommit, Certify, Enroll, Limit, Offer, Pledge};
use proofmesh_market::state::{ReceiptStatus, Standing};
use proofmesh_market::*;
use serde_json::json;

pub const ROUND_S: u64 = 600;
const MAKER: u8 = 8;

pub fn usd(micro: u64) -> Usd {
    Usd::from_micro(micro)
}
fn checkers() -> Vec<AccountSecret> {
    [2, 3, 5, 6, 7].map(account).to_vec()
}
fn guarded_rules() -> Rules {
    Rules { checkers: checkers().iter().map(AccountSecret::address).collect(), ..rules() }
}
fn guards() -> Guards {
    Guards {
        round_s: ROUND_S,
        reveal_s: 60,
        reveal_penalty: usd(2_000_000),
        checker_pledge: usd(60_000_000),
        recheck_ppm: 250_000,
        prior_caught: 3,
        prior_missed: 1,
        pledge_min: usd(1_000_000),
        listing_fee: usd(100_000),
        quality_receipts: 4,
        quality_ppm: 500_000,
        absences: 2,
        rest_s: 3 * DAY_S,
        jail_after: 3,
        makers: vec![account(MAKER).address()],
    }
}
fn pledge(of: &AccountSecret, total: Usd, nonce: u64) -> What {
    What::Pledged(sign(Pledge { account: of.address(), total, nonce }, of))
}
pub fn offer(i: u8, exposure: Usd) -> What {
    offer_until(i, exposure, START_S + 200 * DAY_S)
}
pub fn offer_until(i: u8, exposure: Usd, until_s: u64) -> What {
    What::Offered(sign(Offer { node: node(i).address(), service: service(), exposure, until_s }, &node(i)))
}
pub fn limit(i: u8, least: Usd, open: u16, nonce: u64) -> What {
    let order = Limit { node: node(i).address(), service: service(), least, open, nonce };
    What::Limited(sign(order, &node(i)))
}
fn certify(i: u8) -> What {
    let maker = account(MAKER);
    What::DeviceCertified(sign(Certify { maker: maker.address(), device: device(i).device() }, &maker))
}
fn beacon_secret(checker: &AccountSecret, round: u64) -> Hash32 {
    keccak(&[&checker.address().0[..], &round.to_be_bytes()].concat())
}
fn commit_to(checker: &AccountSecret, round: u64) -> What {
    let commitment = beacon_commitment(&checker.address(), round, &beacon_secret(checker, round));
    What::BeaconCommitted(sign(BeaconCommit { checker: checker.address(), round, commitment }, checker))
}
fn reveal(checker: &AccountSecret, round: u64) -> What {
    What::BeaconRevealed { checker: checker.address(), round, secret: beacon_secret(checker, round) }
}

impl World {
    /// Guards set, five checkers pledged, three stations measured, certified and pledged; nothing offered yet.
    pub fn guarded_members() -> World {
        let mut world = World { at_s: START_S, ..World::default() };
        world.ok(What::Opened(guarded_rules()));
        world.ok(What::GuardsSet(guards()));
        world.ok(deposit(0, &buyer().address(), DEPOSIT));
        for (i, checker) in (0u32..).zip(checkers()) {
            world.ok(deposit(10 + i, &checker.address(), usd(120_000_000)));
            world.ok(pledge(&checker, usd(60_000_000), 0));
        }
        for i in 0..3u8 {
            for what in [enroll(i), measured(i), stake(i), bind(i), certify(i)] {
                world.ok(what);
            }
            world.ok(deposit(1 + u32::from(i), &node(i).address(), DEPOSIT));
            world.ok(pledge(&node(i), usd(20_000_000), 0));
        }
        world
    }

    /// ... offered, with a job drawn to all three by the beacon's first value.
    pub fn guarded() -> World {
        let mut world = World::guarded_members();
        for i in 0..3 {
            world.ok(offer(i, usd(40_000_000)));
        }
        world.commit_next();
        world.at_s += ROUND_S;
        world.ok(post(job()));
        world.turn();
        assert_eq!(world.state.jobs()[&job_id()].nodes.len(), 3);
        world
    }

    fn round(&self) -> u64 {
        self.state.guarded().expect("guards").round(self.at_s)
    }

    pub fn commit_next(&mut self) {
        let next = self.round() + 1;
        for checker in checkers() {
            if self.state.pledge(&checker.address()) >= guards().checker_pledge {
                self.ok(commit_to(&checker, next));
            }
        }
    }

    /// The round ends, all secrets are revealed, and it gets its value.
    pub fn turn(&mut self) -> Vec<Effect> {
        let beacon = |world: &World| world.state.guarded().expect("guards").beacon.clone();
        let round = self.round();
        for old in beacon(self).commitments.into_keys().filter(|old| *old < round) {
            self.close(old);
        }
        self.commit_next();
        if !beacon(self).commitments.contains_key(&round) {
            // Nobody committed to this round: its end, and then the next.
            self.at_s = self.state.guarded().expect("guards").round_end_s(round);
            self.commit_next();
        }
        let round = self.round();
        self.at_s = self.state.guarded().expect("guards").round_end_s(round);
        self.close(round)
    }

    fn close(&mut self, round: u64) -> Vec<Effect> {
        let known = self.state.guarded().expect("guards").beacon.commitments[&round].clone();
        for checker in checkers().iter().filter(|checker| known.contains_key(&checker.address())) {
            self.ok(reveal(checker, round));
        }
        self.ok(What::BeaconClosed { round })
    }

    fn drawn(&self, digest: &Hash32) -> Vec<AccountSecret> {
        let drawn = &self.state.guarded().expect("guards").drawn[digest].checkers;
        drawn
            .iter()
            .map(|of| checkers().into_iter().find(|known| known.address() == *of).expect("ours"))
            .collect()
    }

    /// Delivers days and has their checkers drawn.
    pub fn hand_in(&mut self, i: u8, days: std::ops::Range<u64>, evidence: &[u8]) -> Vec<Hash32> {
        let mut digests = Vec::new();
        for day in days {
            let receipt = self.receipt(i, day, evidence);
            let digest = receipt.digest(&domain());
            assert_eq!(self.ok(What::Delivered(signed(i, receipt))), [], "no check before the draw");
            digests.push(digest);
        }
        self.turn();
        digests
    }

    /// The first drawn checker judges as `how` says.
    pub fn first(&mut self, digest: &Hash32, evidence: &[u8], how: &dyn Check) -> Vec<Effect> {
        let checker = self.drawn(digest).remove(0);
        let verdict = self.verdict_of(digest, evidence, &checker, how);
        self.ok(What::Judged(verdict))
    }

    /// Everybody on a panel votes as it is, until it is decided.
    pub fn panel(&mut self, digest: &Hash32, evidence: &[u8]) -> Vec<Effect> {
        let mut effects = Vec::new();
        for checker in checkers() {
            let panel = self.state.guarded().expect("guards").panels.get(digest);
            let Some(panel) = panel else { break };
            if panel.seats.contains(&checker.address()) && !panel.votes.contains_key(&checker.address()) {
                let verdict = self.verdict(digest, evidence, &checker);
                effects = self.ok(What::PanelVoted(verdict));
            }
        }
        effects
    }

    fn pledge_of(&self, of: &AccountSecret) -> u64 {
        self.state.pledge(&of.address()).micro()
    }
}

#[test]
fn guards_that_could_not_hold() {
    let mut world = World { at_s: START_S, ..World::default() };
    world.ok(What::Opened(rules()));
    world.refused(What::GuardsSet(guards()), "guards.checkers"); // two are no panel
    world.refused(pledge(&buyer(), usd(1), 0), "guards.not-set");
    let mut world = World { at_s: START_S, ..World::default() };
    world.ok(What::Opened(guarded_rules()));
    let mut lie = |name: &str, change: &dyn Fn(&mut Guards)| {
        let mut guards = guards();
        change(&mut guards);
        world.refused(What::GuardsSet(guards), name);
    };
    lie("guards.span", &|guards| guards.round_s = 0);
    lie("guards.span", &|guards| guards.rest_s = u64::MAX);
    lie("guards.recheck", &|guards| guards.recheck_ppm = 0);
    lie("guards.prior", &|guards| guards.prior_caught = 0);
    lie("guards.quality", &|guards| guards.quality_ppm = 1_000_001);
    lie("guards.count", &|guards| guards.jail_after = 0);
    lie("guards.makers", &|guards| guards.makers = vec![Address([1; 20]); 65]);
    world.ok(What::GuardsSet(guards()));
    world.refused(What::GuardsSet(guards()), "guards.already-set");
    let mut late = World::working();
    late.refused(What::GuardsSet(guards()), "guards.after-a-job");
}

#[test]
fn an_offer_needs_the_stake_that_the_measured_rate_asks_for() {
    let mut world = World::guarded_members();
    // 3 of 4 caught by first checks, a quarter of the rest by the sample: d = 0.8125; 0.1875 / 0.8125 of 100.
    assert_eq!(world.state.guarded().expect("guards").detection_ppm(&service()), 812_500);
    assert_eq!(required(usd(100_000_000), 812_500), usd(23_076_924));
    world.refused(offer(0, usd(100_000_000)), "offer.pledge-short");
    world.ok(pledge(&node(0), usd(23_076_924), 1));
    let vault = world.state.ledger().vault();
    world.ok(offer(0, usd(100_000_000)));
    world.ok(offer(0, usd(90_000_000))); // a changed offer costs nothing
    assert_eq!(world.state.ledger().vault().micro(), vault.micro() + 100_000);
    world.refused(offer(1, usd(86_666_667)), "offer.pledge-short");
    world.ok(offer(1, usd(86_666_666)));
    world.refused(offer(2, Usd::ZERO), "offer.exposure");
    world.refused(offer(3, usd(1)), "node.unknown");
    let order = Offer { node: node(2).address(), service: model(), exposure: usd(1), until_s: START_S + 9 };
    world.refused(What::Offered(sign(order.clone(), &node(2))), "offer.not-measured");
    let over = Offer { service: service(), until_s: START_S, ..order };
    world.refused(What::Offered(sign(over, &node(2))), "offer.until");
    let all = world.state.balance(&node(2).address());
    world.ok(withdraw(&node(2), all, 0));
    world.refused(offer(2, usd(1_000_000)), "offer.fee-short");
    world.refused(pledge(&node(2), usd(20_000_001), 1), "pledge.balance-short");
    world.refused(pledge(&node(2), usd(1), 0), "pledge.nonce");
    world.ok(pledge(&node(2), usd(1), 1)); // nothing is open: it may leave
    world.refused(certify(0), "certificate.repeated");
    let order = Certify { maker: buyer().address(), device: device(7).device() };
    world.refused(What::DeviceCertified(sign(order, &buyer())), "certificate.not-a-maker");
}

#[test]
fn nodes_without_an_offer_a_certificate_or_room_are_not_drawn() {
    let mut world = World::guarded_members();
    for i in 0..2 {
        world.ok(offer(i, usd(40_000_000)));
    }
    world.ok(offer(2, usd(6_000_000))); // a part of the job is 7 units of 1.000001
    world.commit_next();
    world.at_s += ROUND_S;
    world.ok(post(job()));
    world.refused(What::Assigned { job: job_id(), secret: secret(0) }, "assignment.by-beacon");
    assert!(!world.turn().iter().any(|effect| matches!(effect, Effect::Assigned { .. })), "two of three");
    world.ok(offer(2, usd(40_000_000)));
    assert!(
        !world.turn().iter().any(|effect| matches!(effect, Effect::Assigned { .. })),
        "no candidate when posted"
    );
    let mut again = job();
    again.salt = Hash32([8; 32]);
    world.ok(post(again.clone()));
    assert!(world.turn().iter().any(|effect| matches!(effect, Effect::Assigned { .. })));
    world.refused(pledge(&node(2), usd(1), 1), "pledge.at-stake");
    // A device without a certificate, though bound; a part that is used up; a price that no checker's pledge covers.
    let id = again.digest(&domain());
    let order =
        proofmesh_market::order::Bind { node: node(0).address(), device: device(4).device(), cell: 7 };
    let consent = order.consent(&domain(), &device(4));
    world.ok(What::DeviceBound { bind: sign(order, &node(0)), consent });
    let mut open = job();
    (open.salt, open.devices, open.max_units) = (Hash32([9; 32]), Vec::new(), 3);
    world.ok(post(open.clone()));
    world.turn();
    let open_id = open.digest(&domain());
    let lie = Receipt { job: open_id, device: device(4).device(), ..world.receipt(0, 0, b"good") };
    let lie = lie.sign(&domain(), &OUTPUT, &device(4), &node(0)).expect("both keys");
    let effects = world.ok(What::Delivered(lie));
    assert!(
        matches!(&effects[..], [Effect::ReceiptRefused { reason, .. }] if reason.name() == "receipt.device-uncertified")
    );
    let greedy = Receipt { job: id, units: 8, ..world.receipt(0, 0, b"good") };
    assert_eq!(world.refused_receipt(0, greedy), "receipt.share-reached");
    let mut dear = job();
    (dear.salt, dear.unit_price, dear.max_units, dear.slots) = (Hash32([10; 32]), usd(20_000_001), 1, 1);
    world.ok(post(dear.clone()));
    world.turn();
    let dear_id = dear.digest(&domain());
    let i = (0..3).find(|i| world.state.jobs()[&dear_id].nodes.contains(&node(*i).address())).expect("drawn");
    let dear = Receipt { job: dear_id, ..world.receipt(i, 0, b"good") };
    // 60 pledged, a quarter sampled: 60 x 0.25 / 0.75 = 20 at most.
    assert_eq!(world.refused_receipt(i, dear), "receipt.above-checker-pledge");
}

#[test]
fn the_beacon_is_committed_before_and_revealed_after() {
    let mut world = World::guarded_members();
    let [first, second, ..] = &checkers()[..] else { panic!("five") };
    world.refused(commit_to(first, 0), "beacon.round-begun");
    world.refused(commit_to(first, 2), "beacon.round-begun");
    world.refused(commit_to(&buyer(), 1), "beacon.not-a-checker");
    world.ok(commit_to(first, 1));
    world.refused(commit_to(first, 1), "beacon.repeated");
    world.ok(commit_to(second, 1));
    world.refused(pledge(first, usd(0), 1), "pledge.at-stake");
    world.at_s += ROUND_S;
    world.refused(reveal(first, 1), "beacon.not-over");
    world.refused(What::BeaconClosed { round: 1 }, "beacon.not-over");
    world.ok(commit_to(first, 2)); // before round 2, in which nothing is chosen any more
    world.ok(commit_to(second, 2));
    world.at_s += ROUND_S;
    let wrong = What::BeaconRevealed { checker: first.address(), round: 1, secret: beacon_secret(second, 1) };
    world.refused(wrong, "beacon.wrong-secret");
    world.refused(reveal(&buyer(), 1), "beacon.not-committed");
    world.ok(reveal(first, 1));
    world.refused(reveal(first, 1), "beacon.already-revealed");
    world.refused(What::BeaconClosed { round: 1 }, "beacon.secrets-due");
    world.refused(What::BeaconClosed { round: 2 }, "beacon.wrong-round");
    world.at_s += 60;
    let before = world.pledge_of(second);
    let effects = world.ok(What::BeaconClosed { round: 1 });
    let fined = Effect::Fined { account: second.address(), amount: usd(2_000_000) };
    assert_eq!(effects, [fined], "a missing secret is penalised");
    assert_eq!(world.pledge_of(second), before - 2_000_000);
    world.refused(reveal(second, 1), "beacon.not-committed");
    world.refused(commit_to(second, 3), "beacon.not-a-checker"); // its pledge no longer suffices
    let secrets = [(first.address(), beacon_secret(first, 1))].into();
    let value = beacon_value(1, &Hash32::ZERO, &Hash32::ZERO, &secrets);
    assert_eq!(world.state.guarded().expect("guards").beacon.value, value);
    // A round of which nothing is revealed has no value, and both lose.
    world.at_s += ROUND_S;
    let effects = world.ok(What::BeaconClosed { round: 2 });
    assert_eq!(effects.len(), 2);
    assert_eq!(world.state.guarded().expect("guards").beacon.value, value);
}

#[test]
fn only_the_drawn_checker_judges_first_and_an_epoch_waits_for_the_sample() {
    let mut world = World::guarded();
    let receipt = world.receipt(0, 0, b"good");
    let (digest, _) = world.deliver(0, receipt);
    let early = world.verdict(&digest, b"good", &checkers()[0]);
    world.refused(What::Judged(early), "verdict.not-drawn-yet");
    let effects = world.turn();
    assert!(effects.contains(&Effect::CheckWanted { receipt: digest }));
    let drawn = world.drawn(&digest);
    assert_eq!(drawn.len(), 5);
    let second = world.verdict(&digest, b"good", &drawn[1]);
    world.refused(What::Judged(second.clone()), "verdict.not-drawn");
    let mut late = world.clone();
    late.at_s += 60;
    late.ok(What::Judged(second)); // the first did not answer in its time
    world.first(&digest, b"good", &ByEvidence);
    assert!(matches!(world.status(&digest), ReceiptStatus::Accepted { .. }));
    let verdict = world.verdict(&digest, b"good", &drawn[1]);
    world.refused(What::PanelVoted(verdict), "panel.not-open");
    world.at_s += 60;
    world.ok(What::EpochClosed { epoch: 1 });
    assert_eq!(world.state.epochs()[0].receipts, []);
    world.turn();
    world.panel(&digest, b"good"); // if the sample took it
    world.at_s += 2 * DAY_S;
    world.ok(What::EpochClosed { epoch: 2 });
    assert_eq!(world.state.epochs()[1].receipts, [digest]);
}

#[test]
fn a_liar_is_frozen_and_fined_once_by_what_it_had_at_risk() {
    let mut world = World::guarded();
    let digests = world.hand_in(0, 0..3, b"lie");
    // A colluding checker lets the first two pass; the third is blamed.
    world.first(&digests[0], b"lie", &Always(1));
    world.first(&digests[1], b"lie", &Always(1));
    let effects = world.first(&digests[2], b"lie", &ByEvidence);
    assert_eq!(effects, [Effect::PanelWanted { receipt: digests[2] }]);
    assert_eq!(*world.status(&digests[2]), ReceiptStatus::Pending, "nothing happens on one word");
    let first = world.state.guarded().expect("guards").panels[&digests[2]].first.clone();
    world.refused(What::PanelVoted(first.clone()), "panel.voted");
    world.refused(What::Judged(first), "verdict.panel-sits");
    world.refused(What::PanelLapsed { receipt: digests[2] }, "panel.not-lapsed");
    let rate = world.state.guarded().expect("guards").detection_ppm(&service());
    let before = world.pledge_of(&node(0));
    let effects = world.panel(&digests[2], b"lie");
    let fine = required(usd(3 * PRICE.micro()), rate).micro() + 1_000_000;
    assert!(
        effects.contains(&Effect::Fined { account: node(0).address(), amount: usd(fine) }),
        "{effects:?}"
    );
    assert_eq!(world.pledge_of(&node(0)), before - fine);
    let Standing::Frozen { at_event, since_s } = world.state.nodes()[&node(0).address()].standing else {
        panic!("frozen")
    };
    // What it still held is opened again, taken back, and costs the checker that passed it.
    for digest in &digests[..2] {
        let ReceiptStatus::Accepted { verdict, .. } = world.status(digest) else { panic!("accepted so far") };
        let checker = *verdict.checker();
        let pledged = world.state.pledge(&checker).micro();
        let effects = world.panel(digest, b"lie");
        let lost = pledged.min(60_000_000);
        assert!(
            lost == 0 || effects.contains(&Effect::Fined { account: checker, amount: usd(lost) }),
            "{effects:?}"
        );
        assert!(matches!(world.status(digest), ReceiptStatus::Refused { .. }));
    }
    assert_eq!(world.pledge_of(&node(0)), before - fine, "no second penalty while frozen");
    assert_eq!(conservation(&world.state).held, Usd::ZERO);
    world.refused(offer(0, usd(1_000_000)), "offer.standing");
    world.refused(pledge(&node(0), usd(0), 1), "pledge.at-stake");
    world.at_s = since_s + 3_600;
    world.ok(thaw(0, at_event));
    // Twice as long the second time; the third costs the whole pledge and the place.
    for (times, freeze_s) in [(2u32, 7_200), (3, 14_400)] {
        world.turn();
        let day = u64::from(times) + 3;
        let lie = world.hand_in(0, day..day + 1, b"lie");
        world.first(&lie[0], b"lie", &ByEvidence);
        world.panel(&lie[0], b"lie");
        let known = world.state.nodes()[&node(0).address()].clone();
        let Standing::Frozen { at_event, since_s } = known.standing else { panic!("frozen") };
        assert_eq!(known.penalties, times);
        world.at_s = since_s + freeze_s - 1;
        world.refused(thaw(0, at_event), "thaw.too-soon");
        world.at_s += 1;
        world.ok(thaw(0, at_event));
    }
    assert_eq!(world.pledge_of(&node(0)), 0);
    world.refused(offer(0, usd(1_000_000)), "offer.resting");
    world.at_s += 4 * DAY_S;
    world.refused(offer(0, usd(1_000_000)), "offer.pledge-short");
    world.ok(pledge(&node(0), usd(5_000_000), 1));
    world.ok(offer_until(0, usd(1_000_000), START_S + 201 * DAY_S)); // and returns, for the fee
}

#[test]
fn what_was_delivered_before_the_freeze_is_paid_for() {
    let mut world = World::guarded();
    let digests = world.hand_in(0, 0..3, b"broken");
    world.first(&digests[0], b"broken", &ByEvidence);
    world.panel(&digests[0], b"broken");
    let pledged = world.pledge_of(&node(0));
    let Standing::Frozen { at_event, since_s } = world.state.nodes()[&node(0).address()].standing else {
        panic!("frozen")
    };
    world.at_s = since_s + 3_600;
    world.ok(thaw(0, at_event));
    // Its owner mended it. What still waits is judged only now: one refused, one that a friend would let pass.
    world.first(&digests[1], b"broken", &ByEvidence);
    world.panel(&digests[1], b"broken");
    let effects = world.first(&digests[2], b"broken", &Always(1));
    assert!(effects.contains(&Effect::PanelWanted { receipt: digests[2] }), "{effects:?}");
    world.panel(&digests[2], b"broken");
    assert!(digests.iter().all(|digest| matches!(world.status(digest), ReceiptStatus::Refused { .. })));
    assert_eq!(world.pledge_of(&node(0)), pledged, "one penalty for one fault");
    assert_eq!(world.state.nodes()[&node(0).address()].standing, Standing::Active);
}

#[test]
fn an_honest_node_is_not_penalised_on_one_checkers_word() {
    let mut world = World::guarded();
    let digest = world.hand_in(1, 0..1, b"good")[0];
    let liar = world.drawn(&digest).remove(0);
    world.first(&digest, b"good", &Always(0));
    let (before, pledged) = (world.pledge_of(&node(1)), world.pledge_of(&liar));
    world.panel(&digest, b"good");
    assert!(matches!(world.status(&digest), ReceiptStatus::Accepted { .. }));
    assert_eq!(world.pledge_of(&node(1)), before);
    assert_eq!(world.pledge_of(&liar), pledged - 60_000_000);
    assert_eq!(world.state.nodes()[&node(1).address()].standing, Standing::Active);
    // A panel without a majority of all: who voted decides, who did not pays.
    let digest = world.hand_in(2, 0..1, b"good")[0];
    world.first(&digest, b"good", &Always(0));
    let panel = world.state.guarded().expect("guards").panels[&digest].clone();
    let seats: Vec<AccountSecret> =
        checkers().into_iter().filter(|seat| panel.seats.contains(&seat.address())).collect();
    let out =
        checkers().into_iter().find(|checker| !panel.seats.contains(&checker.address())).expect("the liar");
    let verdict = world.verdict(&digest, b"good", &out);
    world.refused(What::PanelVoted(verdict), "panel.no-seat");
    let free: Vec<&AccountSecret> =
        seats.iter().filter(|seat| !panel.votes.contains_key(&seat.address())).collect();
    for seat in &free[..2] {
        let verdict = world.verdict(&digest, b"good", seat);
        world.ok(What::PanelVoted(verdict));
    }
    world.at_s += 2 * DAY_S;
    let effects = world.ok(What::PanelLapsed { receipt: digest });
    assert!(effects.contains(&Effect::Fined { account: free[2].address(), amount: usd(2_000_000) }));
    assert!(matches!(world.status(&digest), ReceiptStatus::Accepted { .. }));
}

#[test]
fn a_dispute_goes_to_the_panel() {
    let mut world = World::guarded();
    let digest = world.hand_in(0, 0..1, b"lie")[0];
    world.first(&digest, b"lie", &Always(1));
    world.ok(dispute(&buyer(), digest));
    let other = world.drawn_or_any(&digest);
    let verdict = world.verdict(&digest, b"lie", &other);
    world.refused(What::DisputeResolved(verdict), "dispute.by-panel");
    world.at_s += 2 * DAY_S;
    world.refused(What::DisputeLapsed { receipt: digest }, "dispute.by-panel");
    let effects = world.panel(&digest, b"lie");
    assert!(effects.contains(&Effect::DisputeClosed { receipt: digest, winner: Some(buyer().address()) }));
    assert!(matches!(world.status(&digest), ReceiptStatus::Refused { .. }));
    assert!(matches!(world.state.nodes()[&node(0).address()].standing, Standing::Frozen { .. }));
}

impl World {
    fn drawn_or_any(&self, digest: &Hash32) -> AccountSecret {
        let panel = &self.state.guarded().expect("guards").panels[digest];
        checkers().into_iter().find(|checker| checker.address() != *panel.first.checker()).expect("another")
    }
}

#[test]
fn poor_work_and_absence_bring_rest() {
    let mut world = World::guarded();
    for digest in world.hand_in(0, 0..4, b"weather") {
        world.first(&digest, b"weather", &ByEvidence);
    }
    let members = &world.state.guarded().expect("guards").members;
    assert_eq!(members[&node(0).address()].rest_until_s, world.at_s + 3 * DAY_S);
    assert!(members[&node(0).address()].listings.is_empty());
    assert_eq!(world.pledge_of(&node(0)), 20_000_000, "nobody's fault costs no pledge");
    world.refused(offer(0, usd(1_000_000)), "offer.resting");
    // Nodes 1 and 2 never came: the buyer had named them.
    world.at_s = job().deadline_s + DAY_S;
    for round in world.state.guarded().expect("guards").beacon.next.. {
        if world.state.guarded().expect("guards").round_end_s(round) > world.at_s {
            break;
        }
        world.ok(What::BeaconClosed { round });
    }
    let effects = world.ok(What::JobEnded { job: job_id() });
    assert_eq!(effects.len(), 1, "{effects:?}");
    for (i, checker) in (60u32..).zip(checkers()) {
        world.ok(deposit(i, &checker.address(), usd(60_000_000)));
        let nonce = world.state.guarded().expect("guards").nonces[&checker.address()];
        world.ok(pledge(&checker, usd(60_000_000), nonce));
    }
    world.commit_next();
    world.at_s += ROUND_S;
    let mut again = job();
    (again.slots, again.deadline_s) = (2, world.at_s + DAY_S);
    again.devices.clear();
    let jobs = [8, 9].map(|salt| Job { salt: Hash32([salt; 32]), ..again.clone() });
    for job in &jobs {
        world.ok(post(job.clone()));
    }
    world.turn();
    world.at_s = again.deadline_s;
    let rested = jobs.map(|job| {
        let effects = world.ok(What::JobEnded { job: job.digest(&domain()) });
        effects.iter().filter(|effect| matches!(effect, Effect::Rested { .. })).count()
    });
    assert_eq!(rested, [0, 2], "once is nothing");
}

#[test]
fn an_equivocator_loses_the_whole_pledge() {
    let mut world = World::guarded();
    let order = Enroll { node: node(0).address(), operator: operator(1).address(), nonce: 1 };
    world.ok(What::NodeEnrolled(sign(order, &node(0))));
    let first = world.receipt(0, 0, b"good");
    world.deliver(0, first.clone());
    let second =
        signed(0, Receipt { window_start: WINDOW_S + DAY_S, window_end: WINDOW_S + 2 * DAY_S, ..first });
    let effects = world.ok(What::Delivered(second));
    assert!(matches!(
        effects[..],
        [Effect::Equivocated { .. }, Effect::Fined { amount, .. }] if amount == usd(20_000_000)
    ));
}

/// One life with a lie in it, for the vectors and the hostile bytes.
pub fn guarded_life() -> World {
    let mut world = World::guarded();
    let good = world.hand_in(1, 0..1, b"good")[0];
    world.first(&good, b"good", &ByEvidence);
    let lie = world.hand_in(0, 0..1, b"lie")[0];
    world.first(&lie, b"lie", &ByEvidence);
    world.panel(&lie, b"lie");
    world.at_s += 2 * DAY_S;
    for receipt in world.state.guarded().expect("guards").panels.keys().copied().collect::<Vec<_>>() {
        world.ok(What::PanelLapsed { receipt });
    }
    world.ok(What::EpochClosed { epoch: 1 });
    world
}

#[test]
fn a_guarded_life_is_as_the_vectors_say() {
    let world = guarded_life();
    let mut head = Hash32::ZERO;
    let log: Vec<serde_json::Value> = world
        .log
        .iter()
        .map(|event| {
            let bytes = event.encode().expect("logged");
            head = chain_log(&head, &bytes);
            json!({ "event": event, "bytes": format!("0x{}", hex::encode(bytes)), "logHash": head })
        })
        .collect();
    let stakes: Vec<serde_json::Value> = [(1u64, 10_000u64), (1_000_000, 333_333), (7, 500_000), (40_000_000, 812_500), (9, 990_000)]
        .into_iter()
        .map(|(gain, d)| json!({ "gain": gain.to_string(), "detectionPpm": d, "required": required(usd(gain), d).micro().to_string() }))
        .collect();
    let guarded = world.state.guarded().expect("guards");
    let pledges: Vec<serde_json::Value> = (0..3)
        .map(node)
        .chain(checkers())
        .map(|of| json!({ "account": of.address(), "pledge": world.pledge_of(&of).to_string() }))
        .collect();
    let value = json!({
        "about": "Made by BLESS=1 cargo test -p proofmesh-market. A guarded market with one lie, from its opening. Keys are for tests only.",
        "stakes": stakes,
        "log": log,
        "beacon": { "next": guarded.beacon.next, "value": guarded.beacon.value },
        "detectionPpm": guarded.detection_ppm(&service()),
        "pledges": pledges,
        "epochs": world.state.epochs().iter().map(|closed| json!(closed.epoch)).collect::<Vec<_>>(),
    });
    check_or_bless("guards.json", &value);
    let again = audit::replay(&world.log).expect("the same log");
    assert!(again == world.state, "a fold of the log and nothing else");
}
