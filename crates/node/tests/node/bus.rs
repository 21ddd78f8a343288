//! One suite for every bus, and what only a server can do to one: die under a stream, lose its end, hold another's records.

use crate::crash::Story;
use crate::nats::NatsServer;
use crate::place::{Place, Running};
use futures_util::StreamExt;
use proofmesh::engine::bus::{Bus, Voice, Within};
use proofmesh::engine::nats::{At, Nats, follow};
use proofmesh::engine::place::{Engines, open_journal};
use proofmesh::engine::{Journal, Records};
use proofmesh::fault::Fault;
use proofmesh_market::{Address, Effect, Hash32};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// A journal with its book's voice.
#[derive(Clone)]
struct Told {
    journal: Arc<Mutex<Box<dyn Journal>>>,
    voice: Voice,
}

impl Told {
    fn open(place: &Place) -> Self {
        let opened = open_journal(&place.0, &Engines::default()).expect("opens");
        Told { journal: Arc::new(Mutex::new(opened.journal)), voice: Voice::default() }
    }

    fn bus(&self) -> Within {
        let journal = self.journal.clone();
        let records: Records = Arc::new(move |from, most| journal.lock().expect("no panic").read(from, most));
        Within::new(self.voice.clone(), records)
    }

    fn take(&self, number: u32) -> Vec<u8> {
        let record = record(number);
        self.journal.lock().expect("no panic").append(&[&record]).expect("appends");
        self.voice.tell_news();
        record
    }

    fn draw(&self, node: Address, job: Hash32) {
        self.voice.tell(&[Effect::Assigned { job, nodes: vec![Address([0xee; 20]), node] }]);
    }
}

fn record(number: u32) -> Vec<u8> {
    format!("record {number} ").repeat(1 + number as usize % 7).into_bytes()
}

/// A reader that counts.
async fn read(bus: &dyn Bus, until: u64) -> Vec<Vec<u8>> {
    let (mut got, begun) = (Vec::new(), Instant::now());
    while (got.len() as u64) < until {
        assert!(begun.elapsed() < Duration::from_secs(60), "{} of {until} after a minute", got.len());
        match bus.events(got.len() as u64, 100, Duration::from_secs(5)).await {
            Ok(records) => got.extend(records),
            Err(fault) => assert!(fault.is("bus.unreachable"), "{fault}"),
        }
    }
    got
}

/// What every bus is held to. Something brings what `told` says to `bus`.
async fn holds(told: &Told, bus: Arc<dyn Bus>) {
    assert_eq!(bus.events(0, 9, Duration::ZERO).await.expect("answers"), Vec::<Vec<u8>>::new());
    // A reader that was there before, and one that comes later, get all of it, once, in order.
    let early = tokio::spawn({
        let bus = bus.clone();
        async move { read(&*bus, 300).await }
    });
    let records: Vec<Vec<u8>> = (0..300).map(|number| told.take(number)).collect();
    assert_eq!(early.await.expect("a reader"), records);
    assert_eq!(read(&*bus, 300).await, records);
    assert_eq!(bus.events(299, 5, Duration::ZERO).await.expect("answers"), records[299..]);
    assert_eq!(bus.events(17, 0, Duration::from_secs(9)).await.expect("answers"), Vec::<Vec<u8>>::new());
    for from in [300, 301, u64::MAX] {
        assert_eq!(bus.events(from, 5, Duration::ZERO).await.expect("answers"), Vec::<Vec<u8>>::new());
    }
    // Waits, no longer than it has patience, and wakes for what comes.
    let begun = Instant::now();
    let none = bus.events(300, 5, Duration::from_millis(400)).await.expect("answers");
    assert!(none.is_empty() && begun.elapsed() >= Duration::from_millis(380), "{:?}", begun.elapsed());
    let waits = tokio::spawn({
        let bus = bus.clone();
        async move { (bus.events(300, 5, Duration::from_secs(20)).await.expect("answers"), Instant::now()) }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (record, said) = (told.take(300), Instant::now());
    let (got, heard) = waits.await.expect("a reader");
    assert_eq!(got, [record]);
    assert!(heard - said < Duration::from_secs(2), "woken after {:?}", heard - said);
    // Offers reach the node that they are for, and nobody else.
    let (node, other) = (Address([1; 20]), Address([2; 20]));
    let (mut mine, mut others) =
        (bus.offers(&node).await.expect("listens"), bus.offers(&other).await.expect("listens"));
    for number in 1..=3 {
        told.draw(node, Hash32([number; 32]));
        let heard = tokio::time::timeout(Duration::from_secs(5), mine.next()).await;
        assert_eq!(heard.expect("woken"), Some(Hash32([number; 32])));
    }
    assert!(tokio::time::timeout(Duration::from_millis(300), others.next()).await.is_err(), "not for it");
}

/// Follows as `up` does: again and again, until it is stopped or may not.
fn following(told: &Told, url: &str) -> JoinHandle<Fault> {
    let (bus, at) = (told.bus(), At::parse(url).expect("a URL"));
    tokio::spawn(async move {
        loop {
            let Err(fault) = follow(&bus, &at, &|_| {}).await;
            if !fault.is("bus.unreachable") {
                return fault;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
}

async fn nats(url: &str) -> Nats {
    Nats::open(At::parse(url).expect("a URL")).await.expect("opens")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_bus_gives_each_record_once_in_order_and_wakes_nodes() {
    let place = Place::new("bus");
    let told = Told::open(&place);
    holds(&told, Arc::new(told.bus())).await;
    let Some(server) = NatsServer::start() else { return };
    let place = Place::new("bus");
    let told = Told::open(&place);
    let follower = following(&told, &server.url("market"));
    holds(&told, Arc::new(nats(&server.url("market")).await)).await;
    follower.abort();
}

/// The server is killed under a stream of records, and the follower, too; a reader that counts has each once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whichever_side_dies_the_stream_goes_on_where_it_was() {
    let Some(mut server) = NatsServer::start() else { return };
    let (place, url) = (Place::new("bus"), server.url("market"));
    let told = Told::open(&place);
    let mut follower = following(&told, &url);
    let reader = tokio::spawn({
        let bus = nats(&url).await;
        async move { read(&bus, 2_000).await }
    });
    let mut records = Vec::new();
    for number in 0..2_000 {
        records.push(told.take(number));
        if number % 400 == 150 {
            tokio::task::block_in_place(|| {
                server.kill();
                std::thread::sleep(Duration::from_millis(100));
                server.go_on();
            });
        }
        if number % 400 == 350 {
            follower.abort();
            follower = following(&told, &url);
        }
        if number % 10 == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    assert_eq!(reader.await.expect("a reader"), records, "each once, in order");
    assert_eq!(nats(&url).await.len().await.expect("answers"), 2_000);
    follower.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_stream_of_another_market_or_that_forgets_is_refused_and_a_lost_end_is_filled() {
    let Some(server) = NatsServer::start() else { return };
    let (places, url) = ([Place::new("bus"), Place::new("bus")], server.url("market"));
    let (told, other) = (Told::open(&places[0]), Told::open(&places[1]));
    let records: Vec<_> = (0..20).map(|number| told.take(number)).collect();
    let follower = following(&told, &url);
    assert_eq!(read(&nats(&url).await, 20).await, records);
    follower.abort();
    // Another journal, and one that is shorter.
    for number in [7, 8] {
        other.take(number);
        let fault = following(&other, &url).await.expect("ends");
        assert!(fault.is("bus.other-market"), "{fault}");
    }
    // Two that publish for one journal: what is in is not taken twice.
    let (first, second) = (nats(&url).await, nats(&url).await);
    let more: Vec<_> = (20..40).map(|number| told.take(number)).collect();
    let both = tokio::join!(first.publish(20, &more), second.publish(20, &more));
    both.0.expect("in");
    both.1.expect("in");
    assert_eq!(first.publish(41, &more).await.expect_err("a gap").name, "bus.other-market");
    assert_eq!(first.publish(3, &more).await.expect_err("others").name, "bus.other-market");
    assert_eq!(read(&first, 40).await[20..], more);
    // A stream that lost all it had is filled again, and a reader that counts does not notice.
    server.forget("market").await;
    let follower = following(&told, &url);
    let again = read(&nats(&url).await, 40).await;
    assert_eq!((&again[..20], &again[20..]), (&records[..], &more[..]));
    follower.abort();
    server.make_forgetful("short").await;
    let fault = following(&told, &server.url("short")).await.expect("ends");
    assert!(fault.is("bus.settings"), "{fault}");
}

/// A coordinator that is killed, with its bus; and an offer that reaches another process.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_coordinators_events_are_all_there_after_its_death_and_its_offers_reach_others() {
    let Some(mut server) = tokio::task::block_in_place(NatsServer::start) else { return };
    let (story, url) = (Story::prepare("bus", &["--unguarded"]).await, server.url("market"));
    let place = Place::new("bus");
    crate::place::copy(&story.place.path("ready/keys"), &place.path("keys"));
    let start = |more: &[&str]| {
        let more = [&["--unguarded"], more].concat();
        tokio::task::block_in_place(|| Running::start_with(&place.0, &story.model_path, None, &more))
            .expect("starts")
    };
    let mut running = start(&["--bus", &url]);
    let (bus, mut acknowledged) = (nats(&url).await, BTreeSet::new());
    let node = story.node();
    let mut offers = bus.offers(&node).await.expect("listens");
    story.set_up(&running.client(), &place.0).await.expect("set up");
    let offer = tokio::time::timeout(Duration::from_secs(5), offers.next()).await.expect("an offer");
    assert_eq!(offer, Some(story.job_id()));
    running.kill();
    server.kill();
    // The bus is away: nothing waits for it. The directory remembers where it is.
    let mut running = start(&[]);
    let client = running.client();
    story.work(&client, &mut acknowledged).await.expect("works without its bus");
    tokio::task::block_in_place(|| server.go_on());
    story.check(&client, &acknowledged).await.expect("all there");
    let log = client.log_page(0).await.expect("the log");
    let own: Vec<Vec<u8>> = log.records.into_iter().map(|record| record.0).collect();
    assert_eq!(read(&bus, own.len() as u64).await, own);
    running.kill();
}
