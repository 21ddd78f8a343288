//! `proofmesh move`: wherever it dies, and while receipts come in, a coordinator's state is in one place, whole.

use crate::crash::Story;
use crate::place::{Place, Running, copy, document, run};
use crate::s3::{KEYS, S3Server};
use crate::servers::PostgresServer;
use proofmesh::client::Client;
use proofmesh::engine::place::{Engines, open_journal};
use proofmesh::fault::Fault;
use proofmesh::wire::{MoveDoc, MovedDoc};
use proofmesh_market::order::Enroll;
use proofmesh_market::{AccountSecret, Address, Event, Signed, What};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

/// Moves the state of a directory whose coordinator does not run; true when it was done, false when it died at a place.
fn moves(dir: &Path, to: &[String; 2], abort_at: u64) -> bool {
    let mut command = Command::new(env!("CARGO_BIN_EXE_proofmesh"));
    let [state, blobs] = to;
    command.args(["move", "--state", state, "--blobs", blobs, "--dir", text(dir)]).envs(KEYS);
    let output = command.env("PROOFMESH_ABORT_AT", abort_at.to_string()).output().expect("the binary runs");
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0) | None), "place {abort_at}: {talk}");
    output.status.success()
}

fn receipts(dir: &Path) -> u64 {
    let audit: serde_json::Value = document(&run(&["audit", "--offline", "--json", "--dir", text(dir)]));
    audit["receipts"].as_u64().expect("a number")
}

/// At every place where a move can die: the next start goes on with all there was, and the next move ends it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn killed_at_any_place_it_is_moved_or_not() {
    let Some(server) = tokio::task::block_in_place(PostgresServer::start) else { return };
    let bucket = S3Server::start();
    let story = Story::prepare("moving", &["--unguarded"]).await;
    let (begun, mut acknowledged) = (Place::new("moving"), BTreeSet::new());
    copy(&story.place.path("ready"), &begun.0);
    let start =
        |dir: &Path| Running::start_with(dir, &story.model_path, None, &["--unguarded"]).expect("starts");
    let mut running = tokio::task::block_in_place(|| start(&begun.0));
    story.work(&running.client(), &mut acknowledged).await.expect("works");
    running.kill();
    let mut trips = 0;
    let engines = |trip: u32| [server.fresh(), bucket.url(&format!("t{trip}"))];
    let embedded = ["embedded".to_owned(), "embedded".to_owned()];
    let last = if cfg!(debug_assertions) { u64::MAX } else { 0 };
    for back in [false, true] {
        // Where the trip begins: embedded, or on servers of its own.
        let ready = |trip: u32| {
            let place = Place::new("moving");
            copy(&begun.0, &place.0);
            assert!(!back || moves(&place.0, &engines(trip), 0), "no place is 0");
            (place, if back { embedded.clone() } else { engines(trip + 1_000) })
        };
        let (mut died, mut at) = (0, 0);
        for step in 1..=last {
            // Every place of the last ones, which follow the copying, and of the first; some of the copying.
            at += if step <= 4 { 1 } else { 2 };
            trips += 1;
            let (place, to) = tokio::task::block_in_place(|| ready(trips));
            if tokio::task::block_in_place(|| moves(&place.0, &to, at)) {
                break;
            }
            died += 1;
            let mut running = tokio::task::block_in_place(|| start(&place.0));
            story.check(&running.client(), &acknowledged).await.expect("all there");
            running.kill();
            assert!(tokio::task::block_in_place(|| moves(&place.0, &to, 0)), "ends it, or finds it ended");
            assert_eq!(Engines::of(&place.0).expect("known").state, to[0]);
            assert_eq!(tokio::task::block_in_place(|| receipts(&place.0)), acknowledged.len() as u64);
        }
        println!("back {back}: died at {died} places up to {at}");
        assert!(died >= 4 || !cfg!(debug_assertions));
    }
    // Evidence of what was judged does not get lost unseen.
    std::fs::remove_dir_all(begun.0.join("blobs")).expect("removed");
    let mut command = Command::new(env!("CARGO_BIN_EXE_proofmesh"));
    command.args(["move", "--blobs", &bucket.url("lost"), "--json", "--dir", text(&begun.0)]).envs(KEYS);
    let output = command.output().expect("the binary runs");
    let fault: Fault = serde_json::from_slice(&output.stderr).expect("a fault");
    assert_eq!(fault.name, "blob.missing");
}

/// Enrols accounts, one after the other, until it is stopped; gives those that were acknowledged.
async fn enrol(client: Client, from: u32, stop: Arc<AtomicBool>) -> Vec<Address> {
    let domain = client.status().await.expect("status").domain;
    let mut known = Vec::new();
    for number in from.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let mut secret = [7; 32];
        secret[..4].copy_from_slice(&number.to_be_bytes());
        let secret = AccountSecret::from_bytes(secret).expect("a secret");
        let node = secret.address();
        let order = Enroll { node, operator: node, nonce: 0 };
        let what = What::NodeEnrolled(Signed::new(order, &domain, &secret).expect("signed"));
        match client.order(&what).await {
            Ok(_) => known.push(node),
            Err(fault) if fault.is("api.unreachable") => break,
            Err(fault) => panic!("{fault}"),
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    known
}

/// How often each account is enrolled in the whole log.
async fn enrolled(client: &Client) -> BTreeMap<Address, u32> {
    let (mut found, mut from) = (BTreeMap::new(), 0);
    loop {
        let page = client.log_page(from).await.expect("a page").records;
        if page.is_empty() {
            return found;
        }
        from += page.len() as u64;
        for record in page {
            if let What::NodeEnrolled(order) = Event::decode(&record.0).expect("an event").what {
                *found.entry(order.order.node).or_default() += 1;
            }
        }
    }
}

/// There and back while events and receipts come in, several times; some of the times the coordinator is killed meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn while_it_runs_nothing_is_lost_or_doubled() {
    let Some(server) = tokio::task::block_in_place(PostgresServer::start) else { return };
    let bucket = S3Server::start();
    let story = Story::prepare("moving", &["--unguarded"]).await;
    let place = Place::new("moving");
    copy(&story.place.path("ready"), &place.0);
    let start = || {
        tokio::task::block_in_place(|| {
            Running::start_with(&place.0, &story.model_path, None, &["--unguarded"])
        })
        .expect("starts")
    };
    let (mut running, mut acknowledged, mut known) = (start(), BTreeSet::new(), BTreeSet::new());
    for trip in 0..8_u32 {
        let there = Engines::of(&place.0).expect("known").state == "embedded";
        let doc = if there {
            MoveDoc { state: Some(server.fresh()), blobs: Some(bucket.url(&format!("live{trip}"))) }
        } else {
            MoveDoc { state: Some("embedded".to_owned()), blobs: Some("embedded".to_owned()) }
        };
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                tokio::spawn(enrol(running.client(), 100_000 * (1 + 3 * trip + writer), stop.clone()))
            })
            .collect();
        let (client, asks) = (running.client(), running.client());
        let moving = tokio::spawn(async move { asks.move_to(&doc).await });
        let killed = trip % 2 == 1;
        if killed {
            tokio::time::sleep(Duration::from_millis(15 + 40 * u64::from(trip))).await;
            running.kill();
        } else {
            story.work(&client, &mut acknowledged).await.expect("receipts are taken meanwhile");
        }
        let moved: Result<MovedDoc, Fault> = moving.await.expect("a task");
        match &moved {
            Ok(doc) => println!("trip {trip}: to {}, receipts waited {:.0} ms", doc.state, doc.waited_ms),
            Err(fault) => assert!(killed && fault.is("api.unreachable"), "{fault}"),
        }
        if !killed {
            tokio::time::sleep(Duration::from_millis(50)).await; // some more in the new place
        }
        stop.store(true, Ordering::SeqCst);
        for writer in writers {
            known.extend(writer.await.expect("a writer"));
        }
        if killed {
            running = start();
        }
        let found = enrolled(&running.client()).await;
        assert!(
            known.iter().all(|node| found.contains_key(node)),
            "trip {trip}: an acknowledged event is lost"
        );
        assert!(found.values().all(|times| *times == 1), "trip {trip}: an event is there twice");
    }
    println!("{} events by writers", known.len());
    story.work(&running.client(), &mut acknowledged).await.expect("goes on");
    story.check(&running.client(), &acknowledged).await.expect("all there, once");
    running.kill();
    assert_eq!(tokio::task::block_in_place(|| receipts(&place.0)), acknowledged.len() as u64);
}

/// Nothing begins beside a market, in a journal of another, or in one that was left.
#[test]
fn what_is_not_empty_or_was_left_is_refused() {
    let Some(server) = PostgresServer::start() else { return };
    let (place, other) = (Place::new("moving"), Place::new("moving"));
    let at = |state: &str| Engines { state: state.to_owned(), ..Engines::default() };
    let refused = |dir: &Path, state: &str| {
        let output = run(&["move", "--state", state, "--json", "--dir", text(dir)]);
        let fault: Fault = serde_json::from_slice(&output.stderr).expect("a fault");
        fault.name
    };
    let (first, second) = (server.fresh(), server.fresh());
    open_journal(&place.0, &Engines::default()).expect("opens").journal.append(&[b"ours"]).expect("appends");
    open_journal(&other.0, &at(&second)).expect("opens").journal.append(&[b"theirs"]).expect("appends");
    assert_eq!(refused(&place.0, &second), "journal.other-market");
    assert_eq!(refused(&place.0, "mysql://h/d"), "engine.url");
    assert_eq!(refused(&place.0, "postgres://me@127.0.0.1:1/d"), "journal.unreachable");
    let moved: MovedDoc = document(&run(&["move", "--state", &first, "--json", "--dir", text(&place.0)]));
    assert_eq!((moved.state.as_str(), moved.blobs.as_str()), (first.as_str(), "embedded"));
    let again: MovedDoc = document(&run(&["move", "--state", &first, "--json", "--dir", text(&place.0)]));
    assert_eq!(again, moved, "it is there");
    // Whoever names the file now is told where the journal is.
    assert!(open_journal(&place.0, &at("embedded")).expect_err("left").is("engine.elsewhere"));
    let back: MovedDoc = document(&run(&["move", "--state", "embedded", "--json", "--dir", text(&place.0)]));
    assert_eq!(back.state, "embedded");
    assert_eq!(refused(&place.0, &first), "journal.moved");
    let stranger = Place::new("moving");
    assert!(open_journal(&stranger.0, &at(&first)).expect_err("left").is("journal.moved"));
    assert_eq!(open_journal(&place.0, &Engines::default()).expect("opens").records, [b"ours"]);
}
