//! Storage through the network: keepers with disks of their own, real challenges after each day, loss, repair.

use crate::place::Place;
use proofmesh::archive::{Files, OBJECT, SEALED, car};
use proofmesh::audit::of_url;
use proofmesh::client::Client;
use proofmesh::coordinator::{Config, MarketTerms};
use proofmesh::engine::place::Engines;
use proofmesh::storage::GRACE_S;
use proofmesh::storage::keeper::{Keeper, Listening};
use proofmesh::storage::leave::LeaveDoc;
use proofmesh::storage::store::{Keeping, Store};
use proofmesh::time::Time;
use proofmesh::up::Up;
use proofmesh_market::{Hash32, Usd};
use proofmesh_services::storage::DAY_S;
use proofmesh_services::storage::handover::SignedHandover;
use proofmesh_services::storage::merkle::{CHUNK_BYTES, Tree};
use proofmesh_services::storage::pieces::Coding;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

const KEEPERS: usize = 13;

fn any() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

async fn up(place: &Place) -> (Up, Client) {
    // 2026-01-01 00:00 UTC.
    let time = Time::standing_at(1_767_225_600);
    let config = Config {
        dir: place.path("up"),
        chain: None,
        time,
        terms: MarketTerms::default(),
        engines: Engines::default(),
    };
    let up = Up::start(config, any(), any(), &|_| ()).await.expect("starts");
    let client = up.client().expect("a client");
    (up, client)
}

async fn keeper(place: &Place, client: &Client, name: &str) -> (Arc<Keeper>, Listening) {
    let keeper = Keeper::join(client.clone(), &place.path(name), name, 16 << 20).await.expect("joins");
    let listening = keeper.serve(any()).await.expect("listens");
    (keeper, listening)
}

/// Bytes that no compression could hide.
fn object(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut byte = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..bytes).map(|_| byte()).collect()
}

/// Three objects, any 4 of 10 pieces, 13 operators. Days are shown and paid; then 30 % of the operators vanish at once;
/// every object comes back, is repaired onto others, and comes back again when more vanish.
#[tokio::test(flavor = "multi_thread")]
async fn thirty_per_cent_of_the_nodes_vanish_and_every_object_comes_back() {
    let place = Place::new("storage-loss");
    let (up, client) = up(&place).await;
    let mut keepers = Vec::new();
    for number in 0..KEEPERS {
        keepers.push(Some(keeper(&place, &client, &format!("keeper-{number}")).await));
    }
    let urls: Vec<String> = keepers.iter().flatten().map(|(_, listening)| listening.url.clone()).collect();
    let store = Store::open(client.clone(), &place.path("client"), "storer").await.expect("opens");
    let how = Keeping { coding: Coding::new(4, 10).expect("a coding"), days: 5, price: None };
    let mut objects = Vec::new();
    for number in 0..3u64 {
        let bytes = object(20_000 + 7_001 * number as usize, number + 1);
        let doc = store.put(&format!("object {number}"), &bytes, &urls, how).await.expect("kept");
        assert_eq!(doc.pieces.len(), 10);
        objects.push((doc.id, bytes));
    }
    assert_eq!(store.list().expect("a list").len(), 3);
    // A day passes; every keeper shows what it holds.
    client.pass_time(DAY_S + 60).await.expect("a day");
    let mut paid = 0;
    for (keeper, _) in keepers.iter().flatten() {
        for shown in keeper.look().await.expect("no trouble") {
            assert_eq!(shown.delivered.receipt.status, "accepted", "{:?}", shown.delivered.receipt.reason);
            paid += 1;
        }
    }
    assert_eq!(paid, 30, "each piece of each object, once");
    let closed = client.close_epoch().await.expect("closed");
    assert_eq!(closed.receipts, 30);
    // 4 of 13 operators are gone.
    for gone in [1, 4, 7, 10] {
        keepers[gone] = None;
    }
    for (id, bytes) in &objects {
        let (back, fetched) = store.get(id).await.expect("comes back");
        assert!(back == *bytes && fetched.piece_ms.len() == 4);
    }
    // Those 9 that are left hold one piece each; a tenth operator joins for every piece that is missing beyond them.
    let mut fresh = Vec::new();
    for number in 0..4 {
        fresh.push(keeper(&place, &client, &format!("fresh-{number}")).await);
    }
    let left: Vec<String> = keepers.iter().flatten().map(|(_, listening)| listening.url.clone()).collect();
    let urls: Vec<String> = left.into_iter().chain(fresh.iter().map(|(_, it)| it.url.clone())).collect();
    for (id, _) in &objects {
        let lost = store.repair(id, &urls).await.expect("repaired");
        assert!((1..=4).contains(&lost.len()), "{lost:?}");
        assert_eq!(store.repair(id, &urls).await.expect("whole"), Vec::<u16>::new());
    }
    for gone in [0, 2, 3] {
        keepers[gone] = None;
    }
    for (id, bytes) in &objects {
        assert!(store.get(id).await.expect("comes back").0 == *bytes);
    }
    // Repaired pieces are shown and paid as well, and a stranger finds the same.
    client.pass_time(DAY_S).await.expect("a day");
    let shown = fresh[0].0.look().await.expect("no trouble");
    assert!(shown.iter().all(|it| it.delivered.receipt.status == "accepted"), "{shown:?}");
    client.close_epoch().await.expect("closed");
    let audit = of_url(&client).await.expect("no difference");
    assert_eq!(audit.verdicts, 30 + shown.len() as u64);
    drop(up);
}

/// A keeper that dropped 3 % of its chunks and answers with what it has left is out within 30 daily rounds: here at the
/// first question that hits a gap.
#[tokio::test(flavor = "multi_thread")]
async fn a_keeper_that_drops_three_per_cent_in_silence_is_cut_within_thirty_days() {
    let place = Place::new("storage-drop");
    let (_up, client) = up(&place).await;
    let first = keeper(&place, &client, "honest").await;
    let second = keeper(&place, &client, "cheat").await;
    let urls = [first.1.url.clone(), second.1.url.clone()];
    let store = Store::open(client.clone(), &place.path("client"), "storer").await.expect("opens");
    let how = Keeping { coding: Coding::new(1, 2).expect("a coding"), days: 30, price: None };
    let bytes = object(200_000, 9);
    let doc = store.put("log", &bytes, &urls, how).await.expect("kept");
    let cheat = second.0.doc();
    let held = doc.pieces.iter().find(|placed| placed.device == cheat.device).expect("holds one").clone();
    let job = client.job(&held.job).await.expect("known");
    let whole = second.0.piece(&job.job.input).expect("on its disk");
    let tree = Tree::new(&whole).expect("a tree");
    let mut dropped = whole.clone();
    let chunks = whole.len() / CHUNK_BYTES;
    for chunk in (0..chunks).step_by(33) {
        dropped[chunk * CHUNK_BYTES..(chunk + 1) * CHUNK_BYTES].fill(0); // 3 % of the chunks
    }
    let mut days = 0;
    for round in 0..30 {
        client.pass_time(DAY_S).await.expect("a day");
        let shown = second.0.show(&job, round, &dropped, &tree).await.expect("no trouble");
        for honest in first.0.look().await.expect("no trouble") {
            assert_eq!(honest.delivered.receipt.status, "accepted");
        }
        days += 1;
        if let Some(reason) = shown.delivered.receipt.reason {
            assert_eq!(reason.name, "storage.chunk-wrong");
            break;
        }
    }
    assert!(days <= 30);
    assert_eq!(client.node(&cheat.node).await.expect("known").standing, "frozen", "after {days} days");
    assert_eq!(client.node(&first.0.doc().node).await.expect("known").standing, "active");
    // Its pieces are not trusted any more: placed again with somebody else.
    let third = keeper(&place, &client, "third").await;
    let lost = store.repair(&doc.id, std::slice::from_ref(&third.1.url)).await.expect("repaired");
    assert_eq!(lost.len(), 1);
    let (back, _) = store.get(&doc.id).await.expect("comes back");
    assert!(back == bytes);
}

/// A keeper leaves: it takes nothing more, its piece goes to another against a signature, nobody else can have it sent
/// anywhere, and the object is whole at every moment.
#[tokio::test(flavor = "multi_thread")]
async fn a_keeper_that_leaves_hands_its_pieces_over() {
    let place = Place::new("storage-leave");
    let (_up, client) = up(&place).await;
    let mut keepers = Vec::new();
    for name in ["a", "b", "c"] {
        keepers.push(keeper(&place, &client, name).await);
    }
    let urls: Vec<String> = keepers.iter().map(|(_, listening)| listening.url.clone()).collect();
    let store = Store::open(client.clone(), &place.path("client"), "storer").await.expect("opens");
    let how = Keeping { coding: Coding::new(2, 3).expect("a coding"), days: 5, price: None };
    let bytes = object(50_000, 3);
    let doc = store.put("letters", &bytes, &urls, how).await.expect("kept");
    client.pass_time(DAY_S + 60).await.expect("a day");
    let (leaver, _) = &keepers[1];
    assert_eq!(leaver.look().await.expect("no trouble").len(), 1, "paid for the day before it goes");
    let piece = doc.pieces.iter().find(|it| it.device == leaver.doc().device).expect("holds one").clone();
    let fresh = keeper(&place, &client, "d").await;
    let to = LeaveDoc { job: piece.job, url: fresh.1.url.clone() };
    assert_eq!(leaver.hand_over(&piece.job, &to).await.expect_err("it stays").name, "storage.not-leaving");
    leaver.leave();
    assert_eq!((leaver.doc().room, leaver.owes().await.expect("known")), (0, 1));
    // Not to a keeper that no job of the buyer names.
    assert_eq!(leaver.hand_over(&piece.job, &to).await.expect_err("no job").name, "storage.not-mine");
    let commitment = client.job(&piece.job).await.expect("known").job.input;
    assert!(leaver.piece(&commitment).is_ok(), "still there");
    let moved = store.repair(&doc.id, std::slice::from_ref(&fresh.1.url)).await.expect("handed over");
    assert_eq!(moved.len(), 1);
    assert_eq!(leaver.piece(&commitment).expect_err("dropped").name, "storage.piece.unknown");
    assert_eq!(leaver.owes().await.expect("known"), 0, "it may go");
    let placed = store.list().expect("a list")[0].pieces[usize::from(moved[0])].clone();
    let signed = SignedHandover::decode(&placed.handover.expect("signatures").0).expect("a handover");
    signed.verify().expect("both signed");
    assert_eq!((signed.handover.from, signed.handover.to), (piece.device, fresh.0.doc().device));
    // With the leaver and one more gone, it is two of three; the new keeper is paid for the day in which it came.
    drop(keepers);
    let (last, _listening) = keeper(&place, &client, "a").await;
    let path = place.path("a").join("nodes/a/pieces");
    assert_eq!(std::fs::read_dir(path).expect("a disk").count(), 1, "what it kept outlives it");
    client.pass_time(DAY_S).await.expect("a day");
    for shown in fresh.0.look().await.expect("no trouble") {
        assert_eq!(shown.delivered.receipt.status, "accepted", "{:?}", shown.delivered.receipt.reason);
    }
    assert_eq!(last.look().await.expect("no trouble").len(), 2, "both days, shown after its return");
    client.close_epoch().await.expect("closed");
    assert_eq!(of_url(&client).await.expect("no difference").verdicts, 4);
}

/// A piece stays while its job runs and through the grace, and is deleted after it; one that a longer job needs stays.
/// What no job pays for is refused before its bytes are looked at.
#[tokio::test(flavor = "multi_thread")]
async fn pieces_of_ended_jobs_are_deleted_and_unpaid_ones_never_taken() {
    let place = Place::new("storage-ended");
    let (_up, client) = up(&place).await;
    let (holder, listening) = keeper(&place, &client, "holder").await;
    let (second, beside) = keeper(&place, &client, "second").await;
    let urls = [listening.url.clone(), beside.url.clone()];
    let store = Store::open(client.clone(), &place.path("client"), "storer").await.expect("opens");
    let how = |days, price| Keeping { coding: Coding::new(1, 2).expect("a coding"), days, price };
    let short = store.put("short", &object(30_000, 1), &urls, how(1, None)).await.expect("kept");
    let long = store.put("long", &object(30_000, 2), &urls, how(12, None)).await.expect("kept");
    // Its owner's archive outlives keepers and coordinator, and is noise without the key.
    let files = store.archived(&long.id).await.expect("pieces enough");
    let files = car::read(&car::write(&files).expect("writes").bytes).expect("reads");
    let (doc, back) = Store::restore(&place.path("client"), "storer", &files).expect("restored");
    assert!(doc == long && back == object(30_000, 2));
    let stranger = Store::restore(&place.path("stranger"), "storer", &files).expect_err("no key");
    assert_eq!(stranger.name, "storage.wrong-key");
    let other = store.archived(&short.id).await.expect("pieces enough");
    let mixed =
        Files::from([(OBJECT.to_owned(), files[OBJECT].clone()), (SEALED.to_owned(), other[SEALED].clone())]);
    assert_eq!(
        Store::restore(&place.path("client"), "storer", &mixed).expect_err("another's").name,
        "archive.damaged"
    );
    let whole = holder.doc().room;
    // Which of an object's pieces is the holder's.
    let held = |pieces: Vec<Hash32>| async {
        for job in pieces {
            let job = client.job(&job).await.expect("known");
            if holder.admit(&job.id).await.err().is_none_or(|fault| fault.name != "storage.not-mine") {
                return job;
            }
        }
        panic!("none is")
    };
    let job = held(short.pieces.iter().map(|piece| piece.job).collect()).await;
    let longer = held(long.pieces.iter().map(|piece| piece.job).collect()).await;
    let piece = holder.piece(&job.job.input).expect("on its disk");
    assert_eq!(holder.sweep().await.expect("no trouble"), []);
    client.pass_time(DAY_S + 60).await.expect("a day");
    assert_eq!(holder.look().await.expect("no trouble").len(), 2);
    assert_eq!(holder.take(&job.id, &piece).await.expect_err("over").name, "storage.over");
    assert_eq!(holder.sweep().await.expect("no trouble"), [], "its buyer may still fetch it");
    assert!(store.get(&short.id).await.is_ok());
    client.pass_time(GRACE_S).await.expect("the grace");
    assert_eq!(holder.sweep().await.expect("no trouble"), [job.job.input]);
    assert_eq!(holder.piece(&job.job.input).expect_err("gone").name, "storage.piece.unknown");
    assert_eq!(holder.sweep().await.expect("no trouble"), []);
    assert!(holder.doc().room > whole);
    assert_eq!(store.get(&long.id).await.expect("comes back").0, object(30_000, 2));
    // 13 MB are worth 2 micro-USD a day; the job is posted, its piece never taken.
    store
        .put("cheap", &object(13_000_000, 3), &urls, how(1, Some(Usd::from_micro(1))))
        .await
        .expect_err("too little");
    let jobs = client.jobs().await.expect("known");
    let cheap = jobs
        .iter()
        .find(|doc| doc.job.max_units == 1 && short.pieces.iter().all(|piece| piece.job != doc.id))
        .expect("posted");
    let asked = if cheap.nodes == job.nodes { &holder } else { &second };
    assert_eq!(asked.admit(&cheap.id).await.expect_err("too little").name, "storage.worth");
    assert_eq!(asked.piece(&cheap.job.input).expect_err("not taken").name, "storage.piece.unknown");
    let other = keeper(&place, &client, "other").await;
    assert_eq!(other.0.take(&longer.id, &piece).await.expect_err("another's").name, "storage.not-mine");
    let differs = holder.take(&longer.id, &piece).await.expect_err("another piece");
    assert_eq!(differs.name, "storage.piece-differs");
}
