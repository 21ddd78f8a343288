//! What an auditor finds in a log that was tampered with, and in epochs that do not fit it.

use crate::world::*;
use proofmesh_market::audit::{Difference, audit, compare, recheck, replay, with_verdict};
use proofmesh_market::state::ReceiptStatus;
use proofmesh_market::*;

/// A market with two closed epochs, its log's records, and what was posted.
fn history() -> (World, Vec<Vec<u8>>, Vec<Epoch>) {
    let mut world = World::working();
    world.work(0, 0, b"good");
    world.work(1, 0, b"weather");
    world.ok(What::EpochClosed { epoch: 1 });
    world.at_s += DAY_S;
    world.ok(What::EpochClosed { epoch: 2 });
    let records = world.log.iter().map(|event| event.encode().expect("logged")).collect();
    let posted = world.state.epochs().iter().map(|closed| closed.epoch.clone()).collect();
    (world, records, posted)
}

fn found(records: &[Vec<u8>], posted: &[Epoch]) -> (&'static str, Option<u64>) {
    let difference = audit(records.iter().map(Vec::as_slice), posted).expect_err("a difference");
    (difference.refusal.name, difference.event)
}

#[test]
fn an_honest_history_passes_and_every_change_is_named() {
    let (world, records, posted) = history();
    let state = audit(records.iter().map(Vec::as_slice), &posted).expect("honest");
    assert!(state == world.state);
    assert!(replay(&world.log).expect("honest") == state);

    let mut lie = records.clone();
    lie[3].push(0);
    assert_eq!(found(&lie, &posted), ("audit.event-undecodable", Some(3)));
    let mut lie = records.clone();
    lie.remove(2); // a node's enrolment: the next event speaks of an unknown node
    assert_eq!(found(&lie, &posted), ("audit.event-refused", Some(2)));
    let mut lie = records.clone();
    let judged = world.log.iter().rposition(|event| matches!(event.what, What::Judged(_))).expect("two");
    lie.remove(judged); // an unpaid receipt less: legal, but not what was posted
    assert_eq!(found(&lie, &posted), ("epoch.log-hash", None));
    let mut lie = records.clone();
    lie.truncate(records.len() - 1);
    assert_eq!(found(&lie, &posted), ("audit.epoch-not-closed", None));
    assert_eq!(found(&records, &posted[1..]), ("audit.epoch-missing", None));

    let change = |change: &dyn Fn(&mut Epoch)| {
        let mut posted = posted.clone();
        change(&mut posted[1]);
        compare(&state, &posted).expect_err("a difference").refusal.name
    };
    assert_eq!(change(&|epoch| epoch.total = Usd::from_micro(9)), "epoch.total");
    assert_eq!(change(&|epoch| epoch.balances_root.0[0] ^= 1), "epoch.balances-root");
    assert_eq!(change(&|epoch| epoch.receipts_root.0[0] ^= 1), "epoch.receipts-root");
}

/// Checks everything that has a verdict again; gives how many.
fn again(
    state: &State,
    evidence: &dyn Fn(&Hash32) -> Option<Vec<u8>>,
    service: &dyn Fn(&Hash32) -> Option<&'static dyn Check>,
) -> Result<usize, Difference> {
    recheck(state, with_verdict(state), evidence, service)?;
    Ok(with_verdict(state).count())
}

#[test]
fn a_checker_that_lied_is_found_by_checking_again() {
    let (world, ..) = history();
    let fetch = |hash: &Hash32| {
        [&b"good"[..], b"weather", b"broken"]
            .into_iter()
            .find(|bytes| keccak(bytes) == *hash)
            .map(<[u8]>::to_vec)
    };
    let known = |_: &Hash32| Some(&ByEvidence as &'static dyn Check);
    assert_eq!(again(&world.state, &fetch, &known), Ok(2));
    let name = |difference: Difference| difference.refusal.name;
    assert_eq!(again(&world.state, &|_| None, &known).map_err(name), Err("audit.evidence-missing"));
    assert_eq!(again(&world.state, &fetch, &|_| None).map_err(name), Err("audit.service-unknown"));

    let mut world = world;
    let receipt = world.receipt(2, 3, b"broken");
    let (digest, _) = world.deliver(2, receipt);
    let lie = world.verdict_of(&digest, b"broken", &checker(), &Always(1));
    world.ok(What::Judged(lie));
    assert!(
        matches!(world.status(&digest), ReceiptStatus::Accepted { .. }),
        "a signed lie counts until somebody looks"
    );
    assert_eq!(again(&world.state, &fetch, &known).map_err(name), Err("audit.verdict-differs"));
}
