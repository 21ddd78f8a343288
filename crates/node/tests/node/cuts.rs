//! The line to the coordinator is cut while the whole story runs over it: requests end in their middle, answers are lost. Nothing that was acknowledged
//! is lost, nothing is paid twice, money is exact.

use crate::crash::Story;
use crate::place::{Place, Running};
use crate::servers::Wire;
use proofmesh::client::Client;
use proofmesh::keys::Keyring;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Requests that must have met a cut before the line is left alone.
const CUTS: u32 = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_line_that_is_cut_again_and_again_loses_nothing_and_pays_nothing_twice() {
    let story = Story::prepare("cuts", &["--unguarded"]).await;
    let place = Place::new("cuts");
    crate::place::copy(&story.place.path("ready/keys"), &place.path("keys"));
    let start = || Running::start_with(&place.0, &story.model_path, None, &["--unguarded"]);
    let mut running = tokio::task::block_in_place(start).expect("starts");
    let address =
        running.api.trim_start_matches("http://").trim_end_matches('/').parse().expect("an address");
    let (wire, ended) = (Arc::new(Wire::to(address)), Arc::new(AtomicBool::new(false)));
    let key = Keyring::open(&place.0).expect("keys").owner_key();
    let client = Client::new(&format!("http://{}", wire.address)).expect("a URL").with_key(key);

    let (cutter, line, over) = (wire.clone(), tokio::runtime::Handle::current(), ended.clone());
    let cutting = line.spawn(async move {
        let mut rng = StdRng::seed_from_u64(7);
        while !over.load(Ordering::SeqCst) {
            if rng.random_bool(0.5) {
                cutter.cut(); // the request arrives, its answer does not
            } else {
                cutter.cut_after(rng.random_range(1..120_000)); // in the head, in a proof, in the connection's next request
            }
            tokio::time::sleep(Duration::from_millis(rng.random_range(2..60))).await;
        }
    });
    let (mut acknowledged, mut troubles) = (BTreeSet::new(), BTreeMap::<String, u32>::new());
    let begun = Instant::now();
    loop {
        let whole = async {
            story.set_up(&client, &place.0).await?;
            story.work(&client, &mut acknowledged).await
        };
        match whole.await {
            Err(fault) => {
                assert_eq!(
                    fault.name, "api.unreachable",
                    "a cut is trouble with the line and nothing else: {fault}"
                );
                *troubles.entry(fault.got).or_default() += 1;
                assert!(begun.elapsed() < Duration::from_secs(240), "{troubles:?}");
            }
            Ok(()) if ended.load(Ordering::SeqCst) => break,
            Ok(()) => {}
        }
        if troubles.values().sum::<u32>() >= CUTS {
            ended.store(true, Ordering::SeqCst);
        }
    }
    cutting.await.expect("ends");
    println!("{troubles:?}");
    story.check(&running.client(), &acknowledged).await.expect("all there, once");
    running.kill();
    let audit = proofmesh::audit::of_dir(&place.0).await.expect("no difference");
    assert_eq!(audit.receipts, acknowledged.len() as u64);
}
