//! Metered lines through the network: gateways' datagrams over real sockets, and files with running counts.

use crate::place::Place;
use proofmesh::audit::of_url;
use proofmesh::buyer::{fund, post};
use proofmesh::client::Client;
use proofmesh::coordinator::{Config, MarketTerms};
use proofmesh::engine::keys::Keys;
use proofmesh::engine::place::Engines;
use proofmesh::meter::{Consumption, Delivery, Gateways, Gauge, Ticked, join};
use proofmesh::time::Time;
use proofmesh::up::Up;
use proofmesh_market::{Assurance, Hash32, Job, Usd};
use proofmesh_services::metered::{Quantity, SERVICE, Terms};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;

const TICK_S: u64 = 10;
const RANGE: u64 = 3;

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

/// A line between `provider` and `consumer`, its job posted and drawn, both sides ready.
async fn begin(
    place: &Place,
    client: &Client,
    what: (Quantity, u64),
    gauges: (Gauge, Gauge),
) -> (Delivery, proofmesh::meter::Answering) {
    let member = join(client.clone(), &place.path("provider"), "provider").await.expect("joins");
    let device = Keys::open(&place.path("provider/keys")).expect("keys").device("provider").expect("a key");
    let secret = Keys::open(&place.path("consumer/keys")).expect("keys").device("consumer").expect("a key");
    let buyer = Keys::open(&place.path("consumer/keys")).expect("keys").account("buyer").expect("a key");
    let status = client.status().await.expect("status");
    let terms = Terms {
        quantity: what.0,
        consumer: secret.device(),
        unit: what.1,
        tick_s: TICK_S,
        tick_max: 5 * what.1,
        range_ticks: RANGE,
    };
    let job = Job {
        buyer: buyer.address(),
        salt: Hash32([what.0 as u8; 32]),
        service: SERVICE.id(),
        model: Hash32::ZERO,
        input: Hash32::ZERO,
        unit_price: Usd::from_micro(1_000),
        max_units: 1_000,
        window_from_s: status.now_s,
        window_until_s: status.now_s + 1_000,
        deadline_s: status.now_s + 90_000,
        assurance: Assurance::Sampled,
        slots: 1,
        cell: 0,
        devices: vec![device.device()],
        terms: terms.encode(),
    };
    let settlement = client.settlement().await.expect("a chain");
    fund(client, &*settlement, &buyer, job.escrow().expect("a price")).await.expect("funded");
    let id = post(client, &status.domain, &buyer, job).await.expect("posted");
    let doc = client.job(&id).await.expect("known");
    assert_eq!(doc.status, "assigned");
    let consumption = Consumption::begin(&doc, gauges.1, secret).expect("its line");
    let answering = consumption.serve(any()).await.expect("answers");
    let delivery = Delivery::begin(member, &id, &answering.url, gauges.0).await.expect("its line");
    (delivery, answering)
}

fn push(token: u16, tmst: u32, good: bool) -> Vec<u8> {
    let json = format!(
        r#"{{"rxpk":[{{"tmst":{tmst},"stat":{},"size":3,"data":"AQID"}}]}}"#,
        if good { 1 } else { -1 }
    );
    let [high, low] = token.to_be_bytes();
    [&[2, high, low, 0][..], &[7; 8], json.as_bytes()].concat()
}

async fn answer(socket: &UdpSocket) -> [u8; 4] {
    let mut buffer = [0; 16];
    let heard = tokio::time::timeout(Duration::from_secs(5), socket.recv(&mut buffer)).await;
    assert_eq!(heard.expect("in time").expect("a datagram"), 4);
    [buffer[0], buffer[1], buffer[2], buffer[3]]
}

/// A gateway's packets over UDP: counted by both sides, signed each tick, paid by the range, audited.
#[tokio::test(flavor = "multi_thread")]
async fn packets_of_a_gateway_are_counted_by_both_sides_signed_and_paid() {
    let place = Place::new("meter-packets");
    let (_up, client) = up(&place).await;
    let server = Gateways::listen(any(), None).await.expect("listens");
    let provider = Gateways::listen(any(), Some(server.address)).await.expect("listens");
    let gateway = UdpSocket::bind(any()).await.expect("a socket");
    gateway.connect(provider.address).await.expect("connected");
    let (mut delivery, _answering) =
        begin(&place, &client, (Quantity::Packets, 1), (Gauge::Packets(provider), Gauge::Packets(server)))
            .await;
    gateway.send(&[2, 9, 9, 2, 7, 7, 7, 7, 7, 7, 7, 7]).await.expect("sent");
    assert_eq!(answer(&gateway).await, [2, 9, 9, 4], "PULL_ACK");
    assert!(matches!(delivery.tick().await.expect("tick 0"), Ticked::Signed(0)));
    let mut paid = Vec::new();
    for tick in 0..2 * RANGE {
        for packet in 0..2 {
            let number = (2 * tick + packet) as u16;
            gateway.send(&push(number, u32::from(number), true)).await.expect("sent");
            assert_eq!(answer(&gateway).await[3], 1, "PUSH_ACK");
        }
        gateway.send(&push(500, 9_999, false)).await.expect("sent"); // a bad checksum counts for nobody
        answer(&gateway).await;
        tokio::time::sleep(Duration::from_millis(100)).await; // the last datagram is on its way to the consumer
        client.pass_time(TICK_S).await.expect("later");
        if let Ticked::HandedIn(done) = delivery.tick().await.expect("both sign") {
            assert_eq!(done.receipt.status, "accepted", "{:?}", done.receipt.reason);
            paid.push(done.receipt.share);
        }
    }
    // 6 packets a range at 1,000 micro-USD, less the fee.
    assert_eq!(paid, [Usd::from_micro(5_880); 2]);
    assert_eq!(client.close_epoch().await.expect("closed").receipts, 2);
    assert_eq!(of_url(&client).await.expect("no difference").verdicts, 2);
}

/// Files with running counts, for bytes and for watt-hours: what the consumer's own meter does not show is not signed, and
/// what was signed before is paid.
#[tokio::test(flavor = "multi_thread")]
async fn a_total_that_the_consumer_does_not_see_ends_the_line_and_loses_one_tick() {
    for (quantity, unit) in [(Quantity::Bytes, 1_000), (Quantity::WattHours, 10)] {
        let place = Place::new(&format!("meter-file-{}", quantity as u8));
        let (_up, client) = up(&place).await;
        std::fs::create_dir_all(&place.0).expect("a directory");
        let (sent, came) = (place.path("sent"), place.path("came"));
        let show =
            |path: &std::path::Path, count: u64| std::fs::write(path, format!("{count}\n")).expect("written");
        show(&sent, 7_000_000);
        show(&came, 40);
        let gauges = (Gauge::file(&sent).expect("a meter"), Gauge::file(&came).expect("a meter"));
        let (mut delivery, _answering) = begin(&place, &client, (quantity, unit), gauges).await;
        delivery.tick().await.expect("tick 0");
        for tick in 1..=2 {
            show(&sent, 7_000_000 + 3 * unit * tick);
            show(&came, 40 + 3 * unit * tick);
            client.pass_time(TICK_S).await.expect("later");
            assert!(matches!(delivery.tick().await.expect("signed"), Ticked::Signed(_)));
        }
        show(&sent, 7_000_000 + 9 * unit); // the provider says three more; nothing came
        client.pass_time(TICK_S).await.expect("later");
        assert_eq!(delivery.tick().await.expect_err("not signed").name, "metered.not-measured");
        let done = delivery.end().await.expect("handed in").expect("worth something").receipt;
        assert_eq!((done.status.as_str(), done.share), ("accepted", Usd::from_micro(6 * 980)));
        show(&came, 1);
        assert_eq!(Gauge::file(&place.path("nothing")).err().expect("no file").name, "file.io");
    }
}

/// Datagrams that a socket gets before it is quiet.
async fn count(socket: &UdpSocket) -> u64 {
    let (mut buffer, mut count) = ([0; 2_048], 0);
    while tokio::time::timeout(Duration::from_millis(300), socket.recv(&mut buffer)).await.is_ok() {
        count += 1;
    }
    count
}

/// A consumer that takes and signs no more: beyond one tick's most nothing is passed on to it or acknowledged, so the
/// provider's loss is at most that.
#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_stops_signing_gets_one_tick_and_no_more() {
    let place = Place::new("meter-silent");
    let (_up, client) = up(&place).await;
    let consumer = UdpSocket::bind(any()).await.expect("a socket");
    let to = consumer.local_addr().expect("an address");
    let provider = Gateways::listen(any(), Some(to)).await.expect("listens");
    let gateway = UdpSocket::bind(any()).await.expect("a socket");
    gateway.connect(provider.address).await.expect("connected");
    let its_meter = Gauge::Packets(Gateways::listen(any(), None).await.expect("listens"));
    let (mut delivery, answering) =
        begin(&place, &client, (Quantity::Packets, 1), (Gauge::Packets(provider), its_meter)).await;
    delivery.tick().await.expect("tick 0");
    drop(answering); // it goes on receiving and answers no tick
    for number in 0..12 {
        gateway.send(&push(number, u32::from(number), true)).await.expect("sent");
    }
    let tick_max = 5;
    assert_eq!(count(&gateway).await, tick_max, "acknowledged: the gateway keeps the others");
    assert_eq!(count(&consumer).await, tick_max, "passed on");
    client.pass_time(TICK_S).await.expect("later");
    delivery.tick().await.expect_err("nobody signs");
    assert_eq!(delivery.gauge.total().expect("counted"), tick_max);
    assert!(delivery.end().await.expect("nothing to hand in").is_none());
}
