//! Every lie that a rule of the market refuses, by name. The last test compares the names with those in the
//! sources.

use crate::world::*;
use proofmesh_market::order::{Bind, Enroll, Measured, Thaw, Withdraw};
use proofmesh_market::*;
use std::collections::BTreeSet;

fn usd(micro: u64) -> Usd {
    Usd::from_micro(micro)
}

/// A signature of somebody else over the same order.
fn forged<T: Order>(order: T) -> Signed<T> {
    let signature = account(99).sign(&order.digest(&domain()));
    Signed { order, signature }
}

#[test]
fn before_the_opening_and_twice() {
    let mut world = World { at_s: START_S, ..World::default() };
    world.refused(commit(0), "market.not-open");
    let lie = |change: &dyn Fn(&mut Rules)| {
        let mut rules = rules();
        change(&mut rules);
        What::Opened(rules)
    };
    world.refused(lie(&|rules| rules.fee_ppm = 19_999), "rules.fee");
    world.refused(lie(&|rules| rules.fee_ppm = 500_001), "rules.fee");
    world.refused(lie(&|rules| rules.checkers.clear()), "rules.checkers");
    world.refused(lie(&|rules| rules.checkers = vec![Address([1; 20]); 65]), "rules.checkers");
    world.refused(lie(&|rules| rules.freeze_after = 0), "rules.freeze-after");
    world.refused(lie(&|rules| rules.judge_s = u64::MAX), "rules.span");
    world.ok(What::Opened(rules()));
    world.refused(What::Opened(rules()), "market.already-open");
    world.at_s -= 1;
    world.refused(commit(0), "event.time-backwards");
    world.at_s = u64::MAX;
    world.refused(commit(0), "event.time-range");
}

#[test]
fn money_that_is_not_there() {
    let mut world = World::members();
    let someone = account(50).address();
    world.refused(deposit(0, &buyer().address(), DEPOSIT), "deposit.already-seen");
    world.refused(deposit(0, &someone, DEPOSIT), "deposit.conflict");
    world.refused(deposit(0, &buyer().address(), usd(1)), "deposit.conflict");
    world.refused(deposit(9, &someone, Usd::ZERO), "deposit.zero");
    world.refused(deposit(9, &someone, usd(u64::MAX)), "deposit.overflow");
    world.refused(withdraw(&buyer(), usd(DEPOSIT.micro() + 1), 0), "withdrawal.balance-short");
    world.refused(withdraw(&buyer(), Usd::ZERO, 0), "withdrawal.zero");
    world.refused(withdraw(&buyer(), usd(1), 1), "withdrawal.nonce");
    let order = Withdraw { account: buyer().address(), amount: usd(1), nonce: 0 };
    world.refused(What::WithdrawalAsked(forged(order)), "order.signature");
    world.ok(withdraw(&buyer(), usd(1), 0));
    world.refused(withdraw(&buyer(), usd(1), 0), "withdrawal.nonce");
    assert_eq!(world.state.ledger().claim(&buyer().address()), usd(1));
}

#[test]
fn members_that_are_not() {
    let mut world = World::members();
    world.refused(enroll(0), "node.nonce");
    let order = Enroll { node: vault(), operator: vault(), nonce: 0 };
    world.refused(What::NodeEnrolled(sign(order, &account(4))), "node.is-vault");
    let order = Enroll { node: node(3).address(), operator: operator(3).address(), nonce: 0 };
    world.refused(What::NodeEnrolled(forged(order)), "order.signature");
    world.refused(stake(3), "node.unknown");
    world.refused(What::StakeSeen { node: node(0).address(), stake: usd(9), block: 0 }, "stake.old-block");
    world.refused(measured(3), "node.unknown");
    let measure = |checker: &AccountSecret, expires_s| {
        let checker_address = checker.address();
        let order = Measured {
            checker: checker_address,
            node: node(0).address(),
            service: service(),
            model: model(),
            expires_s,
        };
        What::CapabilityMeasured(sign(order, checker))
    };
    world.refused(measure(&node(0), START_S + 1), "capability.not-a-checker");
    world.refused(measure(&checker(), START_S), "capability.expired");
    world.refused(bind(0), "device.already-bound");
    let order = Bind { node: node(1).address(), device: device(5).device(), cell: 0 };
    let consent = order.consent(&domain(), &device(1));
    world.refused(What::DeviceBound { bind: sign(order, &node(1)), consent }, "device.consent");
    let order = Bind { node: node(3).address(), device: device(5).device(), cell: 0 };
    let consent = order.consent(&domain(), &device(5));
    world.refused(What::DeviceBound { bind: sign(order, &node(3)), consent }, "node.unknown");
    for model in 0..63u8 {
        let order = Measured {
            checker: checker().address(),
            node: node(0).address(),
            service: service(),
            model: Hash32([model; 32]),
            expires_s: START_S + 9,
        };
        world.ok(What::CapabilityMeasured(sign(order, &checker())));
    }
    let order = Measured {
        checker: checker().address(),
        node: node(0).address(),
        service: service(),
        model: Hash32([200; 32]),
        expires_s: START_S + 9,
    };
    world.refused(What::CapabilityMeasured(sign(order, &checker())), "capability.too-many");
}

#[test]
fn checkers_that_are_their_own_judge() {
    let mut world = World::members();
    let order = Enroll { node: node(0).address(), operator: checker().address(), nonce: 1 };
    world.refused(What::NodeEnrolled(sign(order, &node(0))), "node.operator-checks");
    // A checker that says itself who runs it, and whose operator runs a node.
    let order = Enroll { node: checker().address(), operator: operator(0).address(), nonce: 0 };
    world.ok(What::NodeEnrolled(sign(order, &checker())));
    world.refused(measured(0), "capability.own-node");
    let order = Enroll { node: node(1).address(), operator: operator(0).address(), nonce: 1 };
    world.refused(What::NodeEnrolled(sign(order, &node(1))), "node.operator-checks");
    // The operator of a checker is not drawn: three slots, two left.
    world.ok(post(job()));
    world.refused(What::Assigned { job: job_id(), secret: secret(0) }, "assignment.too-few");
}

#[test]
fn jobs_that_do_not_hold() {
    let mut world = World::members();
    let lie = |change: &dyn Fn(&mut Job)| {
        let mut job = job();
        change(&mut job);
        post(job)
    };
    world.refused(What::JobPosted(forged(job())), "order.signature");
    world.refused(lie(&|job| job.unit_price = Usd::ZERO), "job.price");
    world.refused(lie(&|job| job.max_units = 0), "job.units");
    world.refused(lie(&|job| job.max_units = u64::MAX), "job.price-overflow");
    world.refused(lie(&|job| job.max_units = 100), "job.balance-short");
    world.refused(lie(&|job| job.slots = 0), "job.slots");
    world.refused(lie(&|job| job.slots = 65), "job.slots");
    world.refused(lie(&|job| job.devices.reverse()), "job.devices");
    world.refused(lie(&|job| job.devices = vec![Device([1; 32]); 2]), "job.devices");
    world.refused(lie(&|job| job.terms = vec![0; 4_097]), "job.terms-too-long");
    world.refused(lie(&|job| job.window_until_s = job.window_from_s), "job.window");
    world.refused(lie(&|job| job.deadline_s = START_S), "job.deadline");
    world.refused(lie(&|job| job.deadline_s = u64::MAX), "job.deadline");
    let mut own = job();
    own.buyer = vault();
    world.refused(What::JobPosted(sign(own, &account(4))), "job.buyer-is-vault");
    world.ok(post(job()));
    world.refused(post(job()), "job.already-posted");
    world.refused(lie(&|job| job.salt = Hash32([8; 32])), "draw.none-committed");
    world.refused(What::JobEnded { job: Hash32::ZERO }, "job.unknown");
    world.refused(What::JobEnded { job: job_id() }, "job.not-over");
}

#[test]
fn draws_that_are_not_the_committed_ones() {
    let mut world = World::members();
    world.refused(commit(0), "draw.repeated");
    world.ok(post(job()));
    world.refused(What::Assigned { job: job_id(), secret: secret(1) }, "assignment.wrong-secret");
    world.refused(What::Assigned { job: Hash32::ZERO, secret: secret(0) }, "job.unknown");
    let mut late = world.clone();
    late.at_s = job().deadline_s;
    late.refused(What::Assigned { job: job_id(), secret: secret(0) }, "job.deadline-passed");
    let mut poor = world.clone();
    poor.ok(What::StakeSeen { node: node(2).address(), stake: usd(49_999_999), block: 2 });
    poor.refused(What::Assigned { job: job_id(), secret: secret(0) }, "assignment.too-few");
    world.ok(What::Assigned { job: job_id(), secret: secret(0) });
    world.refused(What::Assigned { job: job_id(), secret: secret(0) }, "assignment.not-open");
    world.refused(commit(0), "draw.repeated");
}

#[test]
fn a_node_that_came_after_the_job_is_not_drawn() {
    let mut world = World { at_s: START_S, ..World::default() };
    world.ok(What::Opened(rules()));
    world.ok(deposit(0, &buyer().address(), DEPOSIT));
    world.ok(commit(0));
    let mut one = job();
    one.slots = 1;
    world.ok(post(one.clone()));
    for what in [enroll(0), measured(0), stake(0), bind(0)] {
        world.ok(what);
    }
    world.refused(What::Assigned { job: one.digest(&domain()), secret: secret(0) }, "assignment.too-few");
}

#[test]
fn a_node_that_was_measured_after_the_job_is_not_drawn() {
    // Else whoever knows the secret could let a node in that it wins with.
    let mut world = World { at_s: START_S, ..World::default() };
    world.ok(What::Opened(rules()));
    world.ok(deposit(0, &buyer().address(), DEPOSIT));
    world.ok(commit(0));
    for what in [enroll(0), stake(0), bind(0)] {
        world.ok(what);
    }
    let mut one = job();
    one.slots = 1;
    world.ok(post(one.clone()));
    world.ok(measured(0));
    world.refused(What::Assigned { job: one.digest(&domain()), secret: secret(0) }, "assignment.too-few");
}

#[test]
fn receipts_that_are_not_authentic() {
    let mut world = World::working();
    let honest = world.receipt(0, 0, b"good");
    let stranger = Receipt { node: node(3).address(), ..honest.clone() };
    let stranger = stranger.sign(&domain(), &OUTPUT, &device(0), &node(3)).expect("own keys");
    world.refused(What::Delivered(stranger), "node.unknown");
    // Somebody else's receipt with the liar's name on it, and the honest one under another chain's domain.
    let good = signed(0, honest.clone());
    let take_over = Receipt { node: node(1).address(), ..honest.clone() };
    let rebuilt = |receipt: Receipt, of: &SignedReceipt| {
        let output = of.output_bytes().to_vec();
        SignedReceipt::from_parts(receipt, output, of.device_signature, of.node_signature).expect("bounded")
    };
    world.refused(What::Delivered(rebuilt(take_over, &good)), "receipt.node-signature");
    let other = Domain { chain_id: 1, ..domain() };
    let elsewhere = honest.clone().sign(&other, &OUTPUT, &device(0), &node(0)).expect("own keys");
    world.refused(What::Delivered(elsewhere), "receipt.node-signature");
    let digest = honest.digest(&domain());
    let output = good.output_bytes().to_vec();
    let lie = SignedReceipt::from_parts(honest.clone(), output, device(1).sign(&digest), good.node_signature);
    world.refused(What::Delivered(lie.expect("bounded")), "receipt.device-signature");
    let lie =
        SignedReceipt::from_parts(honest.clone(), vec![0; 8], good.device_signature, good.node_signature);
    world.refused(What::Delivered(lie.expect("bounded")), "receipt.output-differs");
    // The wrong place in the chain.
    world.refused(
        What::Delivered(signed(0, Receipt { sequence: 1, ..honest.clone() })),
        "receipt.wrong-sequence",
    );
    let lie = Receipt { previous: Hash32([9; 32]), ..honest.clone() };
    world.refused(What::Delivered(signed(0, lie)), "receipt.wrong-previous");
    world.ok(What::Delivered(good.clone()));
    world.refused(What::Delivered(good), "receipt.replayed");
}

#[test]
fn a_window_that_is_not_over_is_not_paid() {
    let mut world = World::members();
    let future = Job { window_until_s: START_S + 31 * DAY_S, ..job() };
    let id = future.digest(&domain());
    world.ok(post(future));
    world.ok(What::Assigned { job: id, secret: secret(0) });
    let mut receipt = world.receipt(0, 0, b"good");
    (receipt.job, receipt.window_start, receipt.window_end) = (id, START_S, START_S + DAY_S);
    assert_eq!(world.refused_receipt(0, receipt), "receipt.window-not-over");
}

#[test]
fn authentic_receipts_that_no_rule_pays_take_their_place() {
    let mut world = World::working();
    let mut refused = |i: u8, name: &str, change: &dyn Fn(&mut Receipt)| {
        let mut receipt = world.receipt(i, 0, b"good");
        change(&mut receipt);
        let before = world.state.nodes()[&node(i).address()].next_sequence();
        assert_eq!(world.refused_receipt(i, receipt), name);
        assert_eq!(world.state.nodes()[&node(i).address()].next_sequence(), before + 1);
    };
    refused(0, "receipt.wrong-job", &|receipt| receipt.job = Hash32([1; 32]));
    refused(0, "receipt.wrong-service", &|receipt| receipt.service = model());
    refused(0, "receipt.wrong-model", &|receipt| receipt.model = service());
    refused(0, "receipt.wrong-window", &|receipt| receipt.window_start = receipt.window_end);
    refused(0, "receipt.wrong-window", &|receipt| receipt.window_start = WINDOW_S - 1);
    refused(0, "receipt.wrong-window", &|receipt| receipt.window_end = WINDOW_S + 31 * DAY_S + 1);
    refused(0, "receipt.no-units", &|receipt| receipt.units = 0);
    refused(0, "receipt.cap-reached", &|receipt| receipt.units = 21);
    refused(0, "receipt.cap-reached", &|receipt| receipt.units = u64::MAX);
    // A device of another node, which even signs.
    let mut lie = world.receipt(0, 0, b"good");
    lie.device = device(1).device();
    let lie = lie.sign(&domain(), &OUTPUT, &device(1), &node(0)).expect("both keys");
    let effects = world.ok(What::Delivered(lie));
    assert!(
        matches!(&effects[..], [Effect::ReceiptRefused { reason, .. }] if reason.name() == "receipt.wrong-device")
    );
    world.at_s = job().deadline_s;
    let late = world.receipt(0, 0, b"good");
    assert_eq!(world.refused_receipt(0, late), "receipt.late");
}

#[test]
fn a_node_that_was_not_drawn_is_not_paid() {
    let mut world = World::members();
    let mut one = job();
    one.slots = 1;
    let id = one.digest(&domain());
    world.ok(post(one));
    let early = Receipt { job: id, ..world.receipt(0, 0, b"good") };
    assert_eq!(world.refused_receipt(0, early), "receipt.job-not-assigned");
    world.ok(What::Assigned { job: id, secret: secret(0) });
    let drawn = world.state.jobs()[&id].nodes.clone();
    let others: Vec<u8> = (0..3).filter(|i| !drawn.contains(&node(*i).address())).collect();
    assert_eq!(others.len(), 2);
    for i in others {
        let receipt = Receipt { job: id, ..world.receipt(i, 0, b"good") };
        assert_eq!(world.refused_receipt(i, receipt), "receipt.wrong-node");
    }
}

#[test]
fn a_job_for_one_input_or_one_cell_takes_no_other() {
    let mut world = World::members();
    let mut picky = job();
    picky.input = Hash32([0x77; 32]);
    let id = picky.digest(&domain());
    world.ok(post(picky));
    world.ok(What::Assigned { job: id, secret: secret(0) });
    let receipt = Receipt { job: id, ..world.receipt(0, 0, b"good") };
    assert_eq!(world.refused_receipt(0, receipt), "receipt.wrong-input");
    world.ok(commit(1));
    let mut away = job();
    away.cell = 8; // the stations stand in 7
    let id = away.digest(&domain());
    world.ok(post(away));
    world.refused(What::Assigned { job: id, secret: secret(1) }, "assignment.too-few");
}

#[test]
fn a_window_is_paid_once() {
    let mut world = World::working();
    world.work(0, 0, b"good");
    let again = world.receipt(0, 0, b"good again");
    assert_eq!(world.refused_receipt(0, again), "receipt.window-already-paid");
    // Two of one window before either is judged: the second verdict finds it paid.
    let first = world.receipt(0, 1, b"good one");
    let (first, _) = world.deliver(0, first);
    let second = world.receipt(0, 1, b"good two");
    let (second, _) = world.deliver(0, second);
    let verdict = world.verdict(&first, b"good one", &checker());
    world.ok(What::Judged(verdict));
    let held = conservation(&world.state).held;
    let verdict = world.verdict(&second, b"good two", &checker());
    let effects = world.ok(What::Judged(verdict));
    let [Effect::ReceiptRefused { reason, .. }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!((reason.name(), reason.blame()), ("receipt.window-already-paid", Blame::Nobody));
    assert_eq!(conservation(&world.state).held, held);
    // Another device's window at the same time is another window.
    world.work(1, 0, b"good");
}

#[test]
fn verdicts_that_are_not() {
    let mut world = World::working();
    let receipt = world.receipt(0, 0, b"good");
    let (digest, _) = world.deliver(0, receipt);
    let outsider = world.verdict(&digest, b"good", &account(60));
    world.refused(What::Judged(outsider), "verdict.not-a-checker");
    let good = world.verdict(&digest, b"good", &checker());
    let mut elsewhere = World::working();
    elsewhere.refused(What::Judged(good.clone()), "verdict.receipt-unknown");
    // A verdict's bytes with another outcome: whoever edits the log edits in vain.
    let mut json = serde_json::to_value(&good).expect("JSON");
    json["outcome"] = serde_json::json!({ "Accepted": { "units": 2 } });
    let edited: Verdict = serde_json::from_value(json.clone()).expect("the form of a verdict");
    world.refused(What::Judged(edited), "verdict.signature");
    json["outcome"] =
        serde_json::json!({ "Refused": { "name": "\n", "blame": "Node", "expected": "", "got": "" } });
    let edited: Verdict = serde_json::from_value(json).expect("the form of a verdict");
    world.refused(What::Judged(edited), "verdict.reason");
    world.ok(What::Judged(good.clone()));
    world.refused(What::Judged(good), "verdict.receipt-not-pending");
}

/// A checker that signs with its own program what `check` never would: it must write the digest itself, as
/// docs/spec/market.md says.
fn rogue(receipt: Hash32, units: u64) -> Verdict {
    let type_string = "Verdict(address checker,bytes32 receipt,bool accepted,uint64 units,string name,uint8 blame,string expected,string got)";
    let none = keccak(b"");
    let words = hash::Words::new()
        .hash(&keccak(type_string.as_bytes()))
        .address(&checker().address().0)
        .hash(&receipt);
    let words = words.uint(1).uint(units).hash(&none).uint(0).hash(&none).hash(&none);
    let signature = checker().sign(&domain().digest(&words.keccak()));
    let json = serde_json::json!({
        "checker": checker().address(), "receipt": receipt, "outcome": { "Accepted": { "units": units } }, "signature": signature,
    });
    serde_json::from_value(json).expect("the form of a verdict")
}

#[test]
fn a_rogue_checker_pays_no_other_units_than_the_node_claimed() {
    let mut world = World::working();
    let receipt = world.receipt(0, 0, b"good");
    let (digest, _) = world.deliver(0, receipt);
    world.refused(What::Judged(rogue(digest, 2)), "verdict.units");
    world.refused(What::Judged(rogue(digest, 0)), "verdict.units");
    world.ok(What::Judged(rogue(digest, 1))); // the digest is the right one: only the units were wrong
    let mut world = World::working();
    let idle = world.receipt(0, 0, b"good");
    let (digest, _) = world.deliver(0, Receipt { units: 0, ..idle });
    world.refused(What::Judged(rogue(digest, 0)), "verdict.units");
}

#[test]
fn a_checker_that_bought_the_work_may_not_judge_it() {
    let mut world = World::members();
    world.ok(deposit(40, &checker().address(), DEPOSIT));
    let mut own = job();
    own.buyer = checker().address();
    let id = own.digest(&domain());
    world.ok(What::JobPosted(sign(own, &checker())));
    world.ok(What::Assigned { job: id, secret: secret(0) });
    let receipt = Receipt { job: id, ..world.receipt(0, 0, b"good") };
    let (digest, _) = world.deliver(0, receipt);
    let verdict = world.verdict(&digest, b"good", &checker());
    world.refused(What::Judged(verdict), "verdict.own-receipt");
    let verdict = world.verdict(&digest, b"good", &appeals());
    world.ok(What::Judged(verdict));
}

#[test]
fn the_checker_counts_and_the_evidence_is_the_named_one() {
    let mut world = World::working();
    let receipt = Receipt { units: 2, ..world.receipt(0, 0, b"good") };
    let (digest, _) = world.deliver(0, receipt);
    let name = |verdict: &Verdict| match verdict.outcome() {
        Outcome::Refused(reason) => (reason.name().to_owned(), reason.blame()),
        Outcome::Accepted { units } => panic!("{units} units"),
    };
    assert_eq!(
        name(&world.verdict(&digest, b"good", &checker())),
        ("receipt.wrong-units".into(), Blame::Node)
    );
    assert_eq!(
        name(&world.verdict(&digest, b"other", &checker())),
        ("receipt.wrong-evidence".into(), Blame::Node)
    );
    let long = vec![0; (4 << 20) + 1];
    assert_eq!(
        name(&world.verdict(&digest, &long, &checker())),
        ("receipt.evidence-too-long".into(), Blame::Node)
    );
    let signed = world.state.receipts()[&digest].signed.clone();
    let mut other = job();
    other.terms.clear();
    let refusal =
        check(&domain(), &other, &signed, b"good", &ByEvidence, &checker()).expect_err("another job");
    assert_eq!(refusal.name, "receipt.wrong-job");
}

#[test]
fn epochs_and_thaws_out_of_turn() {
    let mut world = World::working();
    world.refused(What::EpochClosed { epoch: 0 }, "epoch.number");
    world.refused(What::EpochClosed { epoch: 2 }, "epoch.number");
    let effects = world.ok(What::EpochClosed { epoch: 1 });
    let [Effect::PostEpoch(epoch)] = &effects[..] else { panic!("{effects:?}") };
    let chain_ref = ChainRef { tx: Hash32([3; 32]), log_index: 0 };
    let posted = |epoch: Epoch| What::EpochPosted { epoch, chain_ref };
    world.refused(posted(Epoch { number: 2, ..epoch.clone() }), "epoch.unknown");
    world.refused(posted(Epoch { number: 0, ..epoch.clone() }), "epoch.unknown");
    world.refused(posted(Epoch { log_hash: Hash32::ZERO, ..epoch.clone() }), "epoch.log-hash");
    world.refused(posted(Epoch { receipts_root: Hash32([1; 32]), ..epoch.clone() }), "epoch.receipts-root");
    world.refused(posted(Epoch { balances_root: Hash32([1; 32]), ..epoch.clone() }), "epoch.balances-root");
    world.refused(posted(Epoch { total: usd(1), ..epoch.clone() }), "epoch.total");
    world.ok(posted(epoch.clone()));
    world.refused(posted(epoch.clone()), "epoch.already-posted");
    world.refused(thaw(0, 0), "thaw.not-frozen");
    world.refused(thaw(3, 0), "node.unknown");
    let order = Thaw { operator: operator(1).address(), node: node(0).address(), frozen_at: 0 };
    world.refused(What::NodeThawed(sign(order, &operator(1))), "thaw.not-the-operator");
}

#[test]
fn an_event_that_no_log_takes() {
    let mut world = World::working();
    let long = Rules { checkers: vec![Address([1; 20]); 2_000], ..rules() };
    world.refused(What::Opened(long), "event.too-long");
}

/// Names that only an internal fault could raise: the purse they speak of was filled by the same amount
/// before. Listed here, so that the next test knows them.
#[allow(dead_code, reason = "read as text by the next test")]
const CANNOT_HAPPEN: [&str; 5] =
    ["epoch.held-short", "pledge.short", "job.escrow-short", "dispute.held-short", "audit.not-conserved"];

#[test]
fn commitments_without_end() {
    let mut world = World::members();
    for i in 1..4_096u32 {
        let commitment = keccak(&i.to_be_bytes());
        world.state.step(&world.event(What::DrawCommitted { commitment })).expect("room");
    }
    world.refused(commit(1), "draw.too-many");
}

#[test]
fn every_name_in_the_sources_has_a_lie() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |folder: &str| -> Vec<String> {
        let files = std::fs::read_dir(root.join(folder)).expect("a folder");
        let files = files
            .map(|file| file.expect("a file").path())
            .filter(|path| path.extension().is_some_and(|end| end == "rs"));
        files.map(|path| std::fs::read_to_string(path).expect("text")).collect()
    };
    let areas = "market rules event deposit withdrawal node stake capability device draw job assignment receipt verdict epoch thaw dispute \
                 order signature key hash audit guards pledge offer certificate beacon panel";
    let is_name = |word: &str| {
        let plain = word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-' || byte == b'.');
        plain
            && word
                .split_once('.')
                .is_some_and(|(area, rest)| areas.split(' ').any(|known| known == area) && !rest.is_empty())
    };
    let (mut raised, mut tested) = (BTreeSet::new(), BTreeSet::new());
    let take = |text: &str, into: &mut BTreeSet<String>| {
        into.extend(text.split('"').filter(|word| is_name(word)).map(str::to_owned))
    };
    for file in ["src", "src/step", "src/many"].into_iter().flat_map(read) {
        let (code, tests) = file.split_once("#[cfg(test)]").unwrap_or((&file, ""));
        take(code, &mut raised);
        take(tests, &mut tested);
    }
    for file in read("tests/market") {
        take(&file, &mut tested);
    }
    assert!(raised.len() > 125, "{}", raised.len());
    let untested: Vec<&String> = raised.difference(&tested).collect();
    assert!(untested.is_empty(), "no lie breaks {untested:?}");
}
