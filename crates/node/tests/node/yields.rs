//! The owner comes first: what the owner says counts within a second, whatever the node is at.

use crate::document::Net;
use crate::place::Place;
use proofmesh::keys::Tenant;
use proofmesh::operator::DayDoc;
use proofmesh::own::WantedDoc;
use proofmesh::owner::Limits;
use proofmesh::work::{Heard, Worker};
use proofmesh_market::Usd;
use std::time::{Duration, Instant};

struct Quiet;

impl Heard for Quiet {
    fn day(&mut self, _: &DayDoc) {}
    fn tell(&mut self, _: &str) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_gives_way_within_a_second_and_goes_on_when_it_may() {
    let place = Place::new("yields");
    let net = Net::start(&place).await;
    let time = net.up.coordinator.time().clone();
    let client = net.up.client().expect("a client");
    let worker = Worker::new(client.clone(), &place.0, "ewr", 0, None, time).expect("a worker");
    let operator = worker.join(&mut Quiet).await.expect("joins");
    let local = Tenant::local();
    let own = net.up.own().of(&local);
    let wanted = WantedDoc {
        device: operator.device().device(),
        station: "EWR".to_owned(),
        model: net.model,
        from: "2013-01-01".to_owned(),
        days: 200,
        unit_price: Usd::from_micro(100_000),
        open_hours: 24,
    };
    let job = own.buy(&wanted).await.expect("bought").id;
    let begin = || {
        let (worker, client) = (worker.clone(), client.clone());
        tokio::spawn(async move {
            let job = client.job(&job).await.expect("known");
            worker.work(&[job], usize::MAX, &mut Quiet).await.expect("no trouble").len()
        })
    };
    let proved = async || own.node("ewr").await.expect("known").journal.proved;
    let working = begin();
    let began = Instant::now();
    while proved().await < 3 {
        assert!(began.elapsed() < Duration::from_secs(60), "it never began");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let stop = Limits { windows_a_day: 0, ..Limits::default() };
    own.set_limits("ewr", stop).await.expect("set");
    let said = Instant::now();
    let windows = tokio::time::timeout(Duration::from_secs(1), working).await.expect("within a second");
    let after = proved().await;
    assert!((3..150).contains(&after), "it was stopped in the middle: {after}");
    assert!(windows.expect("ends") as u64 >= after);
    assert_eq!(begin().await.expect("ends"), 0, "nor does it begin again");
    assert_eq!(proved().await, after, "{:?}", said.elapsed());
    // And goes on as far as it may.
    own.set_limits("ewr", Limits { windows_a_day: (after + 2) as u32, ..Limits::default() })
        .await
        .expect("set");
    begin().await.expect("ends");
    assert_eq!(proved().await, after + 2);
}
