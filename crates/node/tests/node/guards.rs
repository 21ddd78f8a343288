//! A coordinator with guards: pledges, the beacon, panels, freeze, return, disputes.

use crate::place::Place;
use futures_util::StreamExt;
use proofmesh::audit::of_url;
use proofmesh::buyer::{DaysWanted, fund, post};
use proofmesh::client::Client;
use proofmesh::coordinator::{Config, MarketTerms};
use proofmesh::engine::bus::Bus;
use proofmesh::engine::place::Engines;
use proofmesh::meter::join;
use proofmesh::operator::Operator;
use proofmesh::owner::Policy;
use proofmesh::pledge::{EXPOSURE, Takes, thaw};
use proofmesh::time::Time;
use proofmesh::up::Up;
use proofmesh::weather::{airports, day_start_s, feed, import_model, salt};
use proofmesh::wire::overview::MemberGuardDoc;
use proofmesh::wire::{FeedDoc, FeedRow};
use proofmesh_market::order::{Dispute, Offer};
use proofmesh_market::receipt::output_hash;
use proofmesh_market::{AccountSecret, Event, Hash32, Job, Receipt, Signed, Usd, What, keccak};
use proofmesh_services::inference::SERVICE;
use proofmesh_services::metered;
use proofmesh_services::reference::References;
use proofmesh_services::window::WINDOW_S;
use std::net::{Ipv4Addr, SocketAddr};

/// 2026-01-01 00:00 UTC.
const NOW_S: u64 = 1_767_225_600;
const DAYS: u64 = 6;
const PRICE: Usd = Usd::from_micro(500_000);

struct Scene {
    up: Up,
    client: Client,
    operator: Operator,
    buyer: AccountSecret,
    job: Hash32,
    model: Hash32,
    from_s: u64,
    place: Place,
}

impl Scene {
    /// A coordinator, a node, and a job that it was drawn for.
    async fn build(name: &str) -> Self {
        let place = Place::new(name);
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let terms = MarketTerms { dispute_window_s: 86_400, ..MarketTerms::default() };
        let config = Config {
            dir: place.0.clone(),
            chain: None,
            time: Time::standing_at(NOW_S),
            terms,
            engines: Engines::default(),
        };
        let up = Up::start(config, any, any, &|_| ()).await.expect("starts");
        let file = import_model().expect("the model").file;
        let model = up.coordinator.add_model(file.clone()).await.expect("added");
        let client = up.client().expect("a client");
        let recording = airports()[0].clone();
        let operator = Operator::new(client.clone(), &place.0, "ewr", 0, recording).await.expect("a node");
        operator.join(client.status().await.expect("status").rules.min_stake).await.expect("joins");
        operator.be_measured(&file).await.expect("measured");
        let keys = proofmesh::engine::keys::Keys::open(&place.path("keys")).expect("keys");
        let buyer = keys.account("insurer").expect("an account");
        let from_s = day_start_s("2013-01-22").expect("a date");
        let table = feed(&airports(), &[(0, operator.device().device())], from_s, DAYS).expect("words fit");
        client.add_feed(&FeedDoc::of(&table)).await.expect("kept");
        let wanted = DaysWanted {
            model,
            device: operator.device().device(),
            unit_price: PRICE,
            from_s,
            days: DAYS,
            deadline_s: NOW_S + 60 * 86_400,
            feed: table.commitment(),
            wrappable: false,
            salt: salt("guards"),
        };
        let job = wanted.job(buyer.address());
        let settlement = client.settlement().await.expect("a chain");
        let money = job.escrow().expect("a price").checked_add(Usd::from_micro(5_000_000)).expect("small");
        fund(&client, &*settlement, &buyer, money).await.expect("funded");
        let domain = up.coordinator.domain();
        let id = post(&client, &domain, &buyer, job).await.expect("posted");
        Scene { up, client, operator, buyer, job: id, model, from_s, place }
    }

    async fn member(&self) -> MemberGuardDoc {
        let guards = self.client.guards().await.expect("answers").expect("guards");
        guards.members.into_iter().find(|it| it.node == self.operator.account()).expect("a member")
    }

    /// Hands in a receipt of a day with a proof that is none; gives the name of its refusal.
    async fn lie(&self, day: u64) -> String {
        let place = self.client.node(&self.operator.account()).await.expect("known");
        let evidence = [day as u8; 64];
        let receipt = Receipt {
            job: self.job,
            sequence: place.next_sequence,
            node: self.operator.account(),
            device: self.operator.device().device(),
            service: SERVICE.id(),
            model: self.model,
            input: Hash32([7; 32]),
            output: output_hash(&[0, 1]),
            units: 1,
            window_start: self.from_s + day * WINDOW_S,
            window_end: self.from_s + (day + 1) * WINDOW_S,
            evidence: keccak(&evidence),
            previous: place.head,
        };
        let domain = self.up.coordinator.domain();
        let signed =
            receipt.sign(&domain, &[0, 1], self.operator.device(), self.operator.secret()).expect("signed");
        let done = self.client.deliver(&signed, &evidence).await.expect("takes its place");
        done.receipt.reason.expect("refused").name
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_liar_is_frozen_fined_once_comes_back_and_loses_all_the_third_time() {
    let scene = Scene::build("guards-liar").await;
    let (client, node) = (&scene.client, scene.operator.secret());
    let domain = scene.up.coordinator.domain();
    let guards = client.guards().await.expect("answers").expect("guards");
    assert!(guards.seats.len() == 3 && guards.seats.iter().all(|seat| seat.seated), "{:?}", guards.seats);
    assert_ne!(guards.beacon, Hash32::ZERO, "the job was drawn by a round of the beacon");
    assert_eq!(guards.certified, [scene.operator.device().device()]);
    let member = scene.member().await;
    assert_eq!(member.pledge, guards.pledge_for(EXPOSURE, &SERVICE.id()));
    // Below the pledge: refused by name.
    let exposure = Usd::from_micro(10_000_000_000);
    let offer = Offer { node: node.address(), service: SERVICE.id(), exposure, until_s: NOW_S + 86_400_000 };
    let offer = What::Offered(Signed::new(offer, &domain, node).expect("signed"));
    assert_eq!(client.order(&offer).await.expect_err("too little").name, "offer.pledge-short");
    // The order of the log is the order of time: committed, posted, revealed, drawn.
    let records = scene.up.coordinator.records(0, 512).expect("a log");
    let events: Vec<What> = records.iter().map(|it| Event::decode(it).expect("an event").what).collect();
    let place = |is: &dyn Fn(&What) -> bool| events.iter().position(is).expect("in the log");
    let posted = place(&|what| matches!(what, What::JobPosted(_)));
    let revealed = place(&|what| matches!(what, What::BeaconRevealed { .. }));
    let closed = place(&|what| matches!(what, What::BeaconClosed { .. }));
    assert!(posted < revealed && revealed < closed);
    // Caught: frozen before anything else, one fine.
    let first = scene.lie(0).await;
    assert!(first.starts_with("inference.proof"), "{first}");
    let frozen = scene.member().await;
    assert!(frozen.frozen.is_some() && frozen.caught == 1 && frozen.pledge < member.pledge);
    assert_eq!(scene.lie(1).await, "node.frozen");
    assert_eq!(scene.member().await.pledge, frozen.pledge, "no second fine while frozen");
    assert_eq!(thaw(client, node).await.expect_err("a day").name, "thaw.too-soon");
    let freeze_s = client.status().await.expect("status").rules.freeze_s;
    client.pass_time(freeze_s).await.expect("later");
    thaw(client, node).await.expect("comes back");
    assert_eq!(client.node(&node.address()).await.expect("known").standing, "active");
    // Twice as long, then everything.
    let second = scene.lie(2).await;
    assert!(second.starts_with("inference.proof"), "{second}");
    client.pass_time(freeze_s).await.expect("later");
    assert_eq!(thaw(client, node).await.expect_err("two days").name, "thaw.too-soon");
    client.pass_time(freeze_s).await.expect("later");
    thaw(client, node).await.expect("comes back");
    let third = scene.lie(4).await;
    assert!(third.starts_with("inference.proof"), "{third}");
    let out = scene.member().await;
    assert_eq!((out.pledge, out.caught, out.rests), (Usd::ZERO, 3, 1), "the third time costs all of it");
    assert!(out.listings.is_empty() && out.rest_until_s > scene.up.coordinator.time().now_s());
    let audit = of_url(client).await.expect("no difference");
    let seen = audit.guards.expect("guards");
    assert_eq!((seen.caught, seen.lapsed), (3, 0));
    assert!(seen.votes >= 3 && seen.rounds >= 4, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispute_is_decided_by_the_panel_at_once() {
    let mut scene = Scene::build("guards-dispute").await;
    let posted = scene.client.job(&scene.job).await.expect("known");
    let model = import_model().expect("the model").file;
    let public = {
        let table = feed(&airports(), &[(0, scene.operator.device().device())], scene.from_s, DAYS)
            .expect("words fit");
        let device = scene.operator.device().device();
        table.reference(&table.commitment(), &device, scene.from_s).map(|row| row.words.to_vec())
    };
    let day = scene.operator.work(&model, &scene.job, &posted.job, public.as_deref(), scene.from_s).await;
    let day = day.expect("no trouble");
    assert_eq!(day.outcome, "paid", "{day:?}");
    let receipt = day.receipt.expect("a receipt");
    let order = Dispute { by: scene.buyer.address(), receipt };
    let order = Signed::new(order, &scene.up.coordinator.domain(), &scene.buyer).expect("signed");
    scene.client.order(&What::DisputeOpened(order)).await.expect("opened");
    let open = scene.up.coordinator.with_state(|state| state.disputes().len());
    assert_eq!(open, 0, "decided by the votes, not by time");
    assert_eq!(scene.client.receipt(&receipt).await.expect("known").status, "accepted");
    let bond = scene.client.status().await.expect("status").rules.bond;
    let left = scene.client.account(&scene.buyer.address()).await.expect("known").balance;
    assert_eq!(left, Usd::from_micro(5_000_000 - bond.micro()), "who disputes what holds pays for it");
    let audit = of_url(&scene.client).await.expect("no difference");
    assert_eq!(audit.guards.expect("guards").lapsed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_drawn_for_what_its_owner_asks_and_for_jobs_that_name_it() {
    let scene = Scene::build("guards-least").await;
    let (client, domain) = (&scene.client, scene.up.coordinator.domain());
    let limits = scene.member().await.limits;
    assert_eq!(
        limits.iter().map(|it| (it.least, it.open, it.nonce)).collect::<Vec<_>>(),
        [(Usd::ZERO, 0, 0)]
    );
    // The owner asks for more than the first job paid.
    let dir = scene.place.path("nodes/ewr");
    let mut policy = Policy::new("EWR", NOW_S);
    policy.limits.least_price = PRICE.checked_add(Usd::from_micro(1)).expect("small");
    policy.write(&dir).expect("written");
    scene.operator.offer().await.expect("offers again");
    scene.operator.offer().await.expect("and says nothing twice");
    let limits = scene.member().await.limits;
    assert_eq!((limits[0].least, limits[0].nonce, limits.len()), (policy.limits.least_price, 1, 1));
    let settlement = client.settlement().await.expect("a chain");
    fund(client, &*settlement, &scene.buyer, Usd::from_micro(20_000_000)).await.expect("funded");
    let first = client.job(&scene.job).await.expect("known").job;
    let status = async |salt: u8, change: &dyn Fn(&mut Job)| {
        let mut job = Job { salt: Hash32([salt; 32]), ..first.clone() };
        change(&mut job);
        let id = post(client, &domain, &scene.buyer, job).await.expect("posted");
        client.job(&id).await.expect("known").status
    };
    assert_eq!(status(1, &|_| {}).await, "open", "drawn for nothing that it would have to leave out");
    assert_eq!(status(2, &|job| job.unit_price = policy.limits.least_price).await, "assigned");
    let any = |job: &mut Job| (job.unit_price, job.devices) = (policy.limits.least_price, Vec::new());
    assert_eq!(
        status(3, &any).await,
        "open",
        "it may lack the readings, and its owner may not want the buyer"
    );
    of_url(client).await.expect("no difference");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_is_known_in_the_form_in_which_it_came_first() {
    let scene = Scene::build("guards-twin").await;
    let doc = |words: &[i32]| FeedDoc {
        word_bytes: 1,
        rows: vec![FeedRow { device: scene.operator.device().device(), start_s: 7, words: words.to_vec() }],
    };
    let first = scene.client.add_feed(&doc(&[1])).await.expect("taken");
    assert_eq!(scene.client.add_feed(&doc(&[1])).await.expect("the same again"), first);
    let twin = doc(&[1, 0, 0, 0]);
    assert_eq!(twin.table().expect("a table").commitment(), first, "its leaf is the same");
    assert_eq!(scene.client.add_feed(&twin).await.expect_err("another form").name, "feed.other-form");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_node_stands_in_for_a_silent_one_when_half_of_its_time_is_over() {
    let scene = Scene::build("guards-stand-in").await;
    let (client, domain, dir) = (&scene.client, scene.up.coordinator.domain(), scene.place.path("lines"));
    let mut nodes = Vec::new();
    for name in ["first", "second"] {
        let member = join(client.clone(), &dir, name).await.expect("joins");
        let takes = Takes { exposure: EXPOSURE, least: Usd::ZERO, open: 2 };
        member.offer(metered::SERVICE.id(), takes).await.expect("takes jobs that name nobody");
        nodes.push(member.address());
    }
    let consumer = proofmesh::engine::keys::Keys::open(&scene.place.path("keys")).expect("keys");
    let terms = metered::Terms {
        quantity: metered::Quantity::Bytes,
        consumer: consumer.device("consumer").expect("a key").device(),
        unit: 1,
        tick_s: 1,
        tick_max: 1,
        range_ticks: 1,
    };
    let now_s = client.status().await.expect("status").now_s;
    let job = Job {
        service: metered::SERVICE.id(),
        model: Hash32::ZERO,
        unit_price: Usd::from_micro(1_000),
        max_units: 1,
        window_from_s: now_s - 1_000,
        window_until_s: now_s,
        deadline_s: now_s + 20 * 86_400,
        slots: 1,
        devices: Vec::new(),
        terms: terms.encode(),
        ..client.job(&scene.job).await.expect("known").job
    };
    let id = post(client, &domain, &scene.buyer, job).await.expect("posted");
    let drawn = client.job(&id).await.expect("known").nodes;
    assert!(drawn.len() == 1 && nodes.contains(&drawn[0]));
    let other = nodes.into_iter().find(|node| *node != drawn[0]).expect("one of two");
    let mut offers = scene.up.coordinator.bus().offers(&other).await.expect("listens");
    assert!(client.jobs_of(&other).await.expect("answers").is_empty());
    scene.up.coordinator.draw_due();
    client.pass_time(10 * 86_400).await.expect("half of its time");
    scene.up.coordinator.draw_due();
    let heard = tokio::time::timeout(std::time::Duration::from_secs(60), offers.next()).await;
    assert_eq!(heard.expect("drawn, and told"), Some(id));
    assert_eq!(client.job(&id).await.expect("known").nodes, [drawn[0], other]);
    let works = client.jobs_of(&other).await.expect("answers");
    assert_eq!(works.iter().map(|doc| doc.id).collect::<Vec<_>>(), [id]);
    of_url(client).await.expect("no difference");
}
