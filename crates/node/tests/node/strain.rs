//! What a stranger may do to a coordinator, and what it must not cost.

use crate::place::Place;
use proofmesh::audit::of_url;
use proofmesh::book::Book;
use proofmesh::client::Client;
use proofmesh::coordinator::{Config, Coordinator, MarketTerms};
use proofmesh::engine::keys::Keys;
use proofmesh::engine::place::{self, Engines};
use proofmesh::time::Time;
use proofmesh::up::Up;
use proofmesh::wire::Delivered;
use proofmesh_market::order::Enroll;
use proofmesh_market::receipt::output_hash;
use proofmesh_market::{AccountSecret, ChainRef, DeviceSecret, Hash32, Receipt, Signed, Usd, What, keccak};
use proofmesh_services::inference::SERVICE;
use proofmesh_settle::{Cursor, EventKind, Signer};
use std::net::{Ipv4Addr, SocketAddr};

/// 2026-01-01 00:00 UTC.
const NOW_S: u64 = 1_767_225_600;

fn config(place: &Place) -> Config {
    Config {
        dir: place.0.clone(),
        chain: None,
        time: Time::standing_at(NOW_S),
        terms: MarketTerms { guarded: false, ..MarketTerms::default() },
        engines: Engines::default(),
    }
}

async fn up(place: &Place) -> (Up, Client) {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let up = Up::start(config(place), any, any, &|_| ()).await.expect("starts");
    let client = up.client().expect("a client");
    (up, client)
}

fn account(place: &Place, name: &str) -> AccountSecret {
    Keys::open(&place.path("keys")).expect("keys").account(name).expect("an account")
}

/// All bytes below a directory.
fn bytes_below(dir: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry"));
    entries
        .map(|entry| {
            let about = entry.metadata().expect("known");
            if about.is_dir() { bytes_below(&entry.path()) } else { about.len() }
        })
        .sum()
}

/// A node without a job hands in megabytes: its receipts take their places, refused, and nothing is kept of the megabytes.
#[tokio::test(flavor = "multi_thread")]
async fn evidence_that_nobody_will_read_is_not_kept() {
    let place = Place::new("door");
    let (up, client) = up(&place).await;
    let (node, device) = (account(&place, "stranger"), DeviceSecret::from_bytes([7; 32]));
    let (domain, address) = (up.coordinator.domain(), node.address());
    let order = Enroll { node: address, operator: address, nonce: 0 };
    let order = Signed::new(order, &domain, &node).expect("signed");
    client.order(&What::NodeEnrolled(order)).await.expect("enrolled");
    let before = bytes_below(&place.path("blobs"));
    let hand_in = async |number: u8, sequence: u64, previous: Hash32| {
        let evidence = vec![number; 1 << 20];
        let receipt = Receipt {
            job: Hash32([9; 32]),
            sequence,
            node: address,
            device: device.device(),
            service: SERVICE.id(),
            model: Hash32([1; 32]),
            input: Hash32([7; 32]),
            output: output_hash(&[0, 1]),
            units: 1,
            window_start: NOW_S - 7_200,
            window_end: NOW_S - 3_600,
            evidence: keccak(&evidence),
            previous,
        };
        let signed = receipt.sign(&domain, &[0, 1], &device, &node).expect("signed");
        client.deliver(&signed, &evidence).await
    };
    for number in 0..4 {
        let known = client.node(&address).await.expect("known");
        let Delivered { receipt, .. } =
            hand_in(number, known.next_sequence, known.head).await.expect("takes its place");
        assert_eq!(receipt.status, "refused");
        assert_eq!(receipt.reason.expect("a reason").name, "receipt.wrong-job");
        let kept = client.blob(&keccak(&vec![number; 1 << 20])).await;
        assert_eq!(kept.expect_err("nobody reads it").name, "blob.unknown");
    }
    let head = client.node(&address).await.expect("known").head;
    let fault = hand_in(5, 40, head).await.expect_err("not the next");
    assert_eq!(fault.name, "receipt.wrong-sequence");
    assert!(bytes_below(&place.path("blobs")) < before + (64 << 10));
    of_url(&client).await.expect("an audit misses nothing");
}

/// The log credited a part of a deposit at a place of the chain where more is due now, as after blocks that were taken back:
/// the rest is credited once, and the chain is read on.
#[tokio::test(flavor = "multi_thread")]
async fn more_of_a_deposit_that_the_log_knows_is_credited_once() {
    let place = Place::new("conflict");
    let money = [10, 30, 42].map(|usd| Usd::from_micro(usd * 1_000_000));
    let first = Coordinator::open(config(&place), &|_| ()).await.expect("starts");
    let buyer = account(&place, "insurer");
    let (signer, settlement) = (Signer::new(&buyer), first.settlement().clone());
    first.faucet(buyer.address(), money[2]).await.expect("minted");
    settlement.deposit(&signer, money[1]).await.expect("deposited");
    let page = settlement.events_since(&Cursor::default(), 512).await.expect("events");
    let is_it = |kind: &EventKind| matches!(kind, EventKind::Deposited { account, .. } if *account == buyer.address());
    let found = page.events.iter().find(|event| is_it(&event.kind)).expect("the deposit");
    let log_index = u32::try_from(found.log_index).expect("small");
    let chain_ref = ChainRef { tx: found.tx, log_index };
    drop((settlement, first));
    let opened = place::open(&place.0, &Engines::default()).expect("free").opened;
    let mut book = Book::open(opened, Time::standing_at(NOW_S)).expect("folds").book;
    book.take(What::DepositSeen { chain_ref, account: buyer.address(), amount: money[0] }).expect("new");
    drop(book);
    for _ in 0..2 {
        let again = Coordinator::open(config(&place), &|_| ()).await.expect("reads on");
        assert_eq!(again.account(&buyer.address()).balance, money[1], "all of it, once");
    }
    let (up, client) = up(&place).await;
    up.coordinator.settlement().deposit(&signer, money[2]).await.expect("more");
    up.coordinator.sync_chain().await.expect("reads on");
    assert_eq!(up.coordinator.account(&buyer.address()).balance, money[2]);
    of_url(&client).await.expect("no difference");
}

/// Looking for a seed writes nothing into an idle market; who may write has one drawn.
#[tokio::test(flavor = "multi_thread")]
async fn a_seed_is_drawn_for_who_may_write() {
    let place = Place::new("seed");
    let guarded = Config { terms: MarketTerms::default(), ..config(&place) };
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let up = Up::start(guarded, any, any, &|_| ()).await.expect("starts");
    let (member, anybody) = (up.client().expect("a client"), Client::new(&up.api).expect("a client"));
    let events = async || anybody.status().await.expect("status").events;
    let before = events().await;
    for _ in 0..3 {
        assert_eq!(anybody.seed(NOW_S).await.expect_err("nobody needs it").name, "seed.not-yet");
    }
    assert_eq!(events().await, before);
    let seed = member.seed(NOW_S).await.expect("drawn");
    assert!(events().await > before);
    assert_eq!(anybody.seed(NOW_S).await.expect("it is there now"), seed);
}
