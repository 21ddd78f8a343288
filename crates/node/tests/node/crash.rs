//! A coordinator that dies at any moment loses nothing that it acknowledged, and pays nothing twice.
//!
//! A child process is killed at injected places (every append, fsync, rename and transaction) and at random
//! times, started again, and driven on. Proofs are real; they are made once: keys, contracts and jobs are the
//! same in every run, so the same receipts fit all of them.

use crate::place::{Place, Running, copy, document, run};
use proofmesh::buyer::{DaysWanted, claim, fund, post};
use proofmesh::client::Client;
use proofmesh::engine::keys::Keys;
use proofmesh::fault::{Fault, Kind, Result};
use proofmesh::operator::Operator;
use proofmesh::weather::{STATIONS, airports, day_start_s, feed, import_model, neighbours, salt};
use proofmesh::wire::{FeedDoc, Hex, MeasureDoc};
use proofmesh::zk;
use proofmesh_market::receipt::{context, output_hash};
use proofmesh_market::{Address, Domain, Hash32, Job, Receipt, SignedReceipt, Usd, keccak};
use proofmesh_model::ModelFile;
use proofmesh_services::inference::SERVICE;
use proofmesh_services::window::{Day, WINDOW_S};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Receipts of a run.
const RECEIPTS: u64 = 2;
const PRICE: Usd = Usd::from_micro(500_000);
const NODE_NAME: &str = "ewr";
/// A day far away, so that the job's id is the same in every run.
/// Days that the job is open: no longer than a node's offer.
const OPEN_DAYS: u64 = 90;

/// What all runs share.
pub struct Story {
    pub place: Place,
    model: ModelFile,
    pub model_path: PathBuf,
    job: Job,
    feed: FeedDoc,
    measure: MeasureDoc,
    receipts: Vec<(SignedReceipt, Vec<u8>)>,
    domain: Domain,
    more: &'static [&'static str],
}

impl Story {
    fn keys(&self) -> Keys {
        Keys::open(&self.place.path("ready/keys")).expect("keys")
    }

    /// The account of the node.
    pub fn node(&self) -> Address {
        self.keys().account(NODE_NAME).expect("an account").address()
    }

    /// The id of the job.
    pub fn job_id(&self) -> Hash32 {
        use proofmesh_market::order::Order;
        self.job.digest(&self.domain)
    }

    /// Plays everything once up to the first receipt, and keeps the directory as `ready`.
    pub async fn prepare(name: &str, more: &'static [&'static str]) -> Self {
        let place = Place::new(name);
        let model = import_model().expect("the model").file;
        let model_path = place.path("weather.pmesh");
        std::fs::write(&model_path, model.encode().expect("bytes")).expect("written");
        let dir = place.path("ready");
        let mut running = Running::start_with(&dir, &model_path, None, more).expect("ready");
        let client = running.client();
        let operator =
            Operator::new(client.clone(), &dir, NODE_NAME, 0, airports()[0].clone()).await.expect("a node");
        let domain = client.status().await.expect("status").domain;
        let measure = measured(&client, &operator, &model).await;
        let (job, feed) = offered(&dir, &model);
        let receipts = Vec::new();
        let mut story = Story { place, model, model_path, job, feed, measure, receipts, domain, more };
        story.prove();
        story.set_up(&client, &dir).await.expect("set up");
        running.kill();
        story
    }

    fn prove(&mut self) {
        let (airports, keys) = (airports(), self.keys());
        let (account, device) =
            (keys.account(NODE_NAME).expect("an account"), keys.device(NODE_NAME).expect("a device"));
        let mut previous = Hash32::ZERO;
        for sequence in 0..RECEIPTS {
            let start_s = self.job.window_from_s + sequence * WINDOW_S;
            let own = Day::new(&airports[0], start_s).expect("a complete day").words();
            let public = neighbours(&airports, 0, start_s).expect("complete neighbours");
            let context =
                context(&self.domain, &self.job_id(), sequence, &account.address(), &device.device());
            let proved = zk::prove(&self.model, &[own, public].concat(), [sequence as u8; 32], &context)
                .expect("proved");
            let output = proved.statement.outputs[0].clone();
            assert_eq!(output[0], 0, "the story needs days that the model calls genuine");
            let receipt = Receipt {
                job: self.job_id(),
                sequence,
                node: account.address(),
                device: device.device(),
                service: SERVICE.id(),
                model: self.job.model,
                input: Hash32(proved.statement.inputs[0].commitment),
                output: output_hash(&output),
                units: 1,
                window_start: start_s,
                window_end: start_s + WINDOW_S,
                evidence: keccak(&proved.file),
                previous,
            };
            let signed = receipt.sign(&self.domain, &output, &device, &account).expect("signed");
            previous = signed.receipt.digest(&self.domain);
            self.receipts.push((signed, proved.file));
        }
    }

    /// Joining and offering: every step may have been done before.
    pub async fn set_up(&self, client: &Client, dir: &Path) -> Result<()> {
        let operator = Operator::new(client.clone(), dir, NODE_NAME, 0, airports()[0].clone()).await?;
        operator.join(client.status().await?.rules.min_stake).await?;
        if client.node(&operator.account()).await?.capabilities.is_empty() {
            client.measure(&self.measure).await?;
        }
        operator.offer().await?;
        client.add_feed(&self.feed).await?;
        if client.job(&self.job_id()).await.is_ok_and(|job| job.status == "assigned") {
            return Ok(());
        }
        let buyer = self.keys().account("insurer")?;
        if client.job(&self.job_id()).await.is_err() {
            let settlement = client.settlement().await?;
            fund(client, &*settlement, &buyer, self.job.escrow()?).await?;
            post(client, &self.domain, &buyer, self.job.clone()).await?;
        }
        Ok(())
    }

    /// Work and pay: every step may have been done before. What was acknowledged is written down.
    pub async fn work(&self, client: &Client, acknowledged: &mut BTreeSet<Hash32>) -> Result<()> {
        for (receipt, proof) in &self.receipts {
            let digest = receipt.receipt.digest(&self.domain);
            match client.deliver(receipt, proof).await {
                Err(fault) if fault.is("receipt.replayed") => {}
                delivered => {
                    let receipt = delivered?.receipt;
                    assert_eq!(receipt.status, "accepted", "{receipt:?}");
                }
            }
            acknowledged.insert(digest);
        }
        client.close_epoch().await?;
        let status = client.status().await?;
        client.pass_time(status.deployment.params.challenge_window_s).await?;
        let node = self.keys().account(NODE_NAME)?;
        let settlement = client.settlement().await?;
        claim(client, &*settlement, &node, node.address()).await?;
        Ok(())
    }

    /// What must hold at the end, whatever died when.
    pub async fn check(&self, client: &Client, acknowledged: &BTreeSet<Hash32>) -> Result<()> {
        let account = self.keys().account(NODE_NAME)?.address();
        let node = client.node(&account).await?;
        assert_eq!(node.next_sequence, RECEIPTS, "each receipt took one place");
        assert_eq!(node.standing, "active");
        assert_eq!(acknowledged.len() as u64, RECEIPTS);
        for digest in acknowledged {
            assert_eq!(client.receipt(digest).await?.status, "settled", "acknowledged and lost: {digest}");
        }
        let share = Usd::from_micro(PRICE.micro() * 98 / 100 * RECEIPTS);
        let settlement = client.settlement().await?;
        assert_eq!(settlement.claimed(account).await?, share, "paid once");
        assert_eq!(settlement.balance_of(account).await?, share, "the stake is bonded, the rest is pay");
        let status = client.status().await?;
        assert!(status.money.conserved, "{:?}", status.money);
        assert_eq!(status.epochs, status.posted, "every closed epoch is on chain");
        assert_eq!(settlement.total_deposits().await?, status.money.deposited, "every deposit was seen once");
        Ok(())
    }
}

async fn measured(client: &Client, operator: &Operator, model: &ModelFile) -> MeasureDoc {
    use proofmesh_market::order::Enroll;
    use proofmesh_market::{Signed, What};
    let account = operator.account();
    let domain = client.status().await.expect("status").domain;
    let order = Enroll { node: account, operator: account, nonce: 0 };
    let order = Signed::new(order, &domain, operator.secret()).expect("signed");
    client.order(&What::NodeEnrolled(order)).await.expect("enrolled");
    let challenge = client.challenge(&account).await.expect("a challenge");
    let words = vec![0; model.program.input.shape.len()];
    let proved = zk::prove(model, &words, [9; 32], &challenge.context).expect("proved");
    MeasureDoc {
        node: account,
        model: zk::model_id(model).expect("an id"),
        input: Hash32(proved.statement.inputs[0].commitment),
        output: proved.statement.outputs[0].clone(),
        proof: Hex(proved.file),
        key: None,
    }
}

fn offered(dir: &Path, model: &ModelFile) -> (Job, FeedDoc) {
    let keys = Keys::open(&dir.join("keys")).expect("keys");
    let device = keys.device(NODE_NAME).expect("a device").device();
    let from_s = day_start_s("2013-01-22").expect("a date");
    let table = feed(&airports(), &[(0, device)], from_s, RECEIPTS).expect("words fit");
    let wanted = DaysWanted {
        model: zk::model_id(model).expect("an id"),
        device,
        unit_price: PRICE,
        from_s,
        days: RECEIPTS,
        deadline_s: proofmesh::time::Time::system().now_s() + OPEN_DAYS * 86_400,
        feed: table.commitment(),
        wrappable: false,
        salt: salt(STATIONS[0]),
    };
    (wanted.job(keys.account("insurer").expect("an account").address()), FeedDoc::of(&table))
}

/// How a run dies.
#[derive(Clone, Copy, Debug)]
pub enum Death {
    /// At the n-th place, from an empty directory.
    Fresh(u64),
    /// At the n-th place, with everything ready for the first receipt.
    Ready(u64),
    /// After so many microseconds of work, with everything ready for the first receipt.
    Killed(u64),
    /// After so many microseconds of work, from an empty directory.
    Begun(u64),
}

/// One life, one death, one more life, with arguments that name the engines. Gives whether it died at all.
async fn live(story: &Story, death: Death, engines: &str) -> bool {
    let place = Place::new("life");
    let start = |abort_at| {
        let more: Vec<&str> = story.more.iter().copied().chain(engines.split(' ')).collect();
        let start = || Running::start_with(&place.0, &story.model_path, abort_at, &more);
        tokio::task::block_in_place(start)
    };
    match death {
        Death::Fresh(_) | Death::Begun(_) => copy(&story.place.path("ready/keys"), &place.path("keys")),
        Death::Ready(_) | Death::Killed(_) => copy(&story.place.path("ready"), &place.0),
    }
    let mut acknowledged = BTreeSet::new();
    let abort_at = if let Death::Fresh(at) | Death::Ready(at) = death { Some(at) } else { None };
    let first = start(abort_at);
    let mut died = first.is_none();
    if let Some(mut running) = first {
        let client = running.client();
        let work = async {
            story.set_up(&client, &place.0).await?;
            story.work(&client, &mut acknowledged).await
        };
        let done = match death {
            Death::Killed(after_us) | Death::Begun(after_us) => tokio::select! {
                done = work => done,
                () = tokio::time::sleep(Duration::from_micros(after_us)) => {
                    running.kill();
                    Err(Fault::trouble("killed", "", ""))
                }
            },
            _ => work.await,
        };
        if let Err(fault) = done {
            assert_eq!(fault.kind, Kind::Trouble, "{death:?}: {fault}");
            died = true;
        }
    }
    let mut running = start(None);
    let running = running.as_mut().expect("starts again");
    let client = running.client();
    for digest in &acknowledged {
        let status = client.receipt(digest).await.unwrap_or_else(|fault| panic!("{death:?}: {fault}")).status;
        assert!(status == "accepted" || status == "settled", "{death:?}: acknowledged, now {status}");
    }
    let end = async {
        story.set_up(&client, &place.0).await?;
        story.work(&client, &mut acknowledged).await?;
        story.check(&client, &acknowledged).await
    };
    end.await.unwrap_or_else(|fault| panic!("{death:?}: {fault}"));
    running.kill();
    let audit: serde_json::Value =
        document(&run(&["audit", "--offline", "--json", "--dir", place.0.to_str().expect("text")]));
    assert_eq!(audit["receipts"], RECEIPTS, "{death:?}");
    died
}

/// Lives in parallel, each with its engines; gives those that died.
pub async fn all(story: &Arc<Story>, deaths: Vec<(Death, String)>) -> Vec<Death> {
    let (next, deaths) = (Arc::new(AtomicUsize::new(0)), Arc::new(deaths));
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let (story, deaths, next) = (story.clone(), deaths.clone(), next.clone());
            tokio::spawn(async move {
                let mut died = Vec::new();
                while let Some((death, engines)) = deaths.get(next.fetch_add(1, Ordering::SeqCst)) {
                    if live(&story, *death, engines).await {
                        died.push(*death);
                    }
                }
                died
            })
        })
        .collect();
    let mut died = Vec::new();
    for worker in workers {
        died.extend(worker.await.expect("no run may fail"));
    }
    died
}

/// With the journal in the directory.
fn embedded(death: Death) -> (Death, String) {
    (death, "--state embedded".to_owned())
}

/// Deaths at random times, their seed fixed.
fn random(count: usize, seed: u64) -> Vec<(Death, String)> {
    let mut state = seed;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        embedded(Death::Killed((state >> 33) % 120_000))
    };
    (0..count).map(next).collect()
}

/// Abort places exist in debug builds; a release build dies at random times only.
#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn two_hundred_deaths_lose_nothing_and_pay_nothing_twice() {
    let story = Arc::new(Story::prepare("crash", &["--unguarded"]).await);
    let (mut fresh, mut ready) = (0, 0);
    if cfg!(debug_assertions) {
        // Every place from the first receipt on, and every place from an empty directory. Those past the end do
        // not die.
        ready = all(&story, (1..=60).map(Death::Ready).map(embedded).collect()).await.len();
        fresh = all(&story, (1..=100).map(Death::Fresh).map(embedded).collect()).await.len();
    }
    let (mut killed, mut seed) = (0, 20_130_122);
    while fresh + ready + killed < 200 {
        killed += all(&story, random(200 - fresh - ready - killed, seed)).await.len();
        seed += 1;
    }
    println!(
        "died: {ready} at a place of the work, {fresh} at a place from nothing, {killed} at a random time"
    );
}

/// A thousand: every place where a coordinator can die, and random times for the rest.
/// `cargo test -p proofmesh --test node crash::a_thousand -- --ignored --nocapture`, some 20 minutes on two cores.
#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
#[ignore = "long"]
async fn a_thousand_deaths_lose_nothing_and_pay_nothing_twice() {
    let story = Arc::new(Story::prepare("crash-thousand", &["--unguarded"]).await);
    let places = if cfg!(debug_assertions) { 400 } else { 0 };
    let places = (1..=places).flat_map(|place| [Death::Ready(place), Death::Fresh(place)]);
    let mut died = all(&story, places.map(embedded).collect()).await.len();
    let (at_places, mut seed) = (died, 9_007);
    while died < 1_000 {
        let begun =
            random(1_000 - died, seed).into_iter().enumerate().map(|(number, (death, state))| match death {
                Death::Killed(after_us) if number % 2 == 0 => (Death::Begun(10 * after_us), state),
                death => (death, state),
            });
        died += all(&story, begun.collect()).await.len();
        seed += 1;
    }
    println!("died: {at_places} at a place, {} at a random time", died - at_places);
}

/// The same in a market with guards, where rounds of the beacon take their seconds: few deaths, spread over the work.
#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn deaths_between_the_rounds_of_the_beacon_lose_nothing() {
    let story = Arc::new(Story::prepare("crash-guarded", &[]).await);
    let deaths: Vec<Death> = if cfg!(debug_assertions) {
        (0..8).map(|nth| Death::Ready(2 + 5 * nth)).collect()
    } else {
        (0..8).map(|nth| Death::Killed(500_000 * (nth + 1))).collect()
    };
    let died = all(&story, deaths.into_iter().map(embedded).collect()).await.len();
    assert!(died >= 4, "only {died} of 8 died");
}
