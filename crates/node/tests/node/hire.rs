//! Wrapping for hire on a guarded market: what is handed over is checked before any node is drawn; a node wraps it and is paid; the buyer checks what it
//! gets. Lies on either side are refused by name.

use crate::place::Place;
use crate::wrapped::program;
use proofmesh::audit::of_url;
use proofmesh::buyer::fund;
use proofmesh::client::Client;
use proofmesh::coordinator::{Config, MarketTerms};
use proofmesh::engine::keys::Keys;
use proofmesh::engine::place::Engines;
use proofmesh::fault::Result;
use proofmesh::hire::{Wanted, Wrapper, collect, name_of, order};
use proofmesh::onchain::{Verifier, verifier_key};
use proofmesh::time::Time;
use proofmesh::up::Up;
use proofmesh::weather::import_model;
use proofmesh::wire::{HandOverDoc, Hex, MeasureDoc};
use proofmesh::{wrapped, zk};
use proofmesh_graph::program::Program;
use proofmesh_graph::statement::Statement;
use proofmesh_market::receipt::output_hash;
use proofmesh_market::{AccountSecret, Hash32, Job, Receipt, Signed, Usd, What, keccak};
use proofmesh_model::ModelFile;
use proofmesh_services::inference;
use proofmesh_services::wrap::{Handed, SERVICE, Terms};
use proofmesh_wrap::groth16::{VerifyingKey, key_words};
use proofmesh_wrap::{development, groth16};
use std::net::{Ipv4Addr, SocketAddr};

const CONTEXT: Hash32 = Hash32([7; 32]);

/// The smallest program there is a circuit of, its first input private.
fn model() -> ModelFile {
    model_of(program(1..2))
}

/// A model file of one of the smallest programs.
pub fn model_of(program: Program) -> ModelFile {
    let mut meta = import_model().expect("the model").file.meta;
    (meta.input.interval, meta.output_value) = (program.input.interval, 1);
    meta.classes.clear();
    let file = ModelFile { program, meta };
    assert_eq!(ModelFile::decode(&file.encode().expect("bytes")).expect("a model file"), file);
    file
}

/// A statement about two words, and a proof of it that hides the first.
fn hidden(model: &ModelFile, words: [i32; 2]) -> (Statement, Vec<u8>) {
    zk::hide(model, &words, [3; 32], &CONTEXT).expect("a proof")
}

/// A guarded market whose contract checks the model's proofs by a key.
pub async fn up(place: &Place, model: &ModelFile, key: &VerifyingKey) -> (Up, Client) {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let config = Config {
        dir: place.path("up"),
        chain: None,
        time: Time::standing_at(1_767_225_600), // 2026-01-01 00:00 UTC
        terms: MarketTerms::default(),
        engines: Engines::default(),
    };
    let up = Up::start(config, any, any, &|_| ()).await.expect("starts");
    let key = verifier_key(&key_words(key));
    let verifier = Verifier { key, hired: true };
    up.coordinator.add_model_with(model.clone(), Some(verifier)).await.expect("a model with a verifier");
    let client = up.client().expect("a client");
    (up, client)
}

pub fn buyer(place: &Place) -> AccountSecret {
    Keys::open(&place.path("buyer/keys")).expect("keys").account("buyer").expect("a key")
}

fn wanted(of: &(Statement, Vec<u8>), key: Hash32) -> Wanted {
    Wanted {
        statement: of.0.clone(),
        proof: Some(of.1.clone()),
        key,
        price: Usd::from_micro(60_000),
        open_s: 3_600,
        devices: Vec::new(),
    }
}

#[track_caller]
fn name<T>(refused: Result<T>) -> String {
    refused.err().expect("refused").name
}

/// Nothing but a proof of the statement that its job is about gets onto the coordinator's disk, and no job is drawn without one.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_handed_over_is_checked_before_a_node_is_drawn() {
    let (place, model) = (Place::new("hand-over"), model());
    let circuit = wrapped::blank_hired(&model.program, 1).expect("a circuit");
    let key = development::verification_key(&circuit, &[5; 32]).expect("a key");
    let (_up, client) = up(&place, &model, &key).await;
    let (honest, buyer, key) = (hidden(&model, [40, -7]), buyer(&place), name_of(&key));
    let refused = async |wanted: Wanted| name(order(&client, &buyer, wanted).await);
    let like = |change: &dyn Fn(&mut Wanted)| {
        let mut wanted = wanted(&honest, key);
        change(&mut wanted);
        wanted
    };
    // A byte changed; the proof of another statement; another output, context, public word.
    let flip = like(&|it| it.proof.iter_mut().for_each(|proof| proof[900] ^= 1));
    assert!(refused(flip).await.starts_with("wrap.handed."));
    let other = hidden(&model, [41, -7]);
    for (what, change) in [
        (
            "another input's proof",
            &(|it: &mut Wanted| it.proof = Some(other.1.clone())) as &dyn Fn(&mut Wanted),
        ),
        ("output", &|it| it.statement.outputs[0][0] += 1),
        ("context", &|it| it.statement.context = vec![8; 32]),
        ("public word", &|it| it.statement.inputs[0].public[0] += 1),
    ] {
        assert!(refused(like(change)).await.starts_with("wrap.handed."), "{what}");
    }
    assert_eq!(refused(like(&|it| it.proof = Some(Vec::new()))).await, "wrap.handed.proof.encoding");
    assert_eq!(refused(like(&|it| it.proof = Some(vec![0; 4 << 20]))).await, "wrap.handed");
    // Refused by its length, before it is read: the client hears it, or finds the line closed while it still sends.
    let large = refused(like(&|it| it.proof = Some(vec![0; 6 << 20]))).await;
    assert!(["api.body-too-large", "api.unreachable"].contains(&large.as_str()), "{large}");
    assert_eq!(refused(like(&|it| it.price = Usd::from_micro(49_999))).await, "wrap.price");
    assert_eq!(refused(like(&|it| it.key = Hash32([9; 32]))).await, "wrap.key-unknown");
    assert_eq!(refused(like(&|it| it.statement.context.clear())).await, "wrap.context");
    let twice = |it: &mut Wanted| it.statement.inputs.push(it.statement.inputs[0].clone());
    assert_eq!(refused(like(&twice)).await, "wrap.batch");
    // Private input, and nothing that hides it.
    assert_eq!(refused(like(&|it| it.proof = None)).await, "wrap.not-handed");
    assert!(client.jobs().await.expect("jobs").is_empty(), "nothing was taken");

    // The job alone, and a proof that is not the one that its terms name; then both.
    let status = client.status().await.expect("status");
    let handed = Handed { output: honest.0.outputs[0].clone(), proof: honest.1.clone() };
    let terms = Terms {
        own: false,
        context: CONTEXT,
        key,
        handed: Some(handed.digest()),
        public: honest.0.inputs[0].public.clone(),
    };
    let job = Job {
        buyer: buyer.address(),
        salt: Hash32([1; 32]),
        service: SERVICE.id(),
        model: zk::model_id(&model).expect("an id"),
        input: Hash32(honest.0.inputs[0].commitment),
        unit_price: Usd::from_micro(50_000),
        max_units: 1,
        window_from_s: status.now_s - 1,
        window_until_s: status.now_s,
        deadline_s: status.now_s + 60,
        assurance: proofmesh_market::Assurance::Proof,
        slots: 1,
        cell: 0,
        devices: Vec::new(),
        terms: terms.encode(),
    };
    let escrow = job.escrow().expect("a price");
    let settlement = client.settlement().await.expect("a chain");
    let signed = Signed::new(job.clone(), &status.domain, &buyer).expect("its own");
    let give = async |order: &Job, bytes: Vec<u8>| {
        let (order, signature) = (order.clone(), signed.signature);
        client.hand_over(&HandOverDoc { order, signature, handed: Hex(bytes) }).await
    };
    assert_eq!(name(client.order(&What::JobPosted(signed.clone())).await), "wrap.not-handed");
    // A node that is drawn has to bring something: not two units, nor by two nodes, nor of windows that are not over.
    let later_s = status.now_s + 600;
    for other in [
        Job { max_units: 2, ..job.clone() },
        Job { slots: 2, ..job.clone() },
        Job { window_until_s: later_s, ..job.clone() },
    ] {
        let other = Signed::new(other, &status.domain, &buyer).expect("its own");
        assert_eq!(name(client.order(&What::JobPosted(other)).await), "wrap.one");
    }
    fund(&client, &*settlement, &buyer, escrow).await.expect("funded");
    let changed = Handed { output: vec![0], ..handed.clone() };
    assert_eq!(name(give(&job, changed.encode()).await), "wrap.other-proof");
    assert_eq!(name(give(&Job { deadline_s: 0, ..job.clone() }, handed.encode()).await), "order.signature");
    let inference = Job { service: inference::SERVICE.id(), ..job.clone() };
    let foreign = Signed::new(inference, &status.domain, &buyer).expect("its own");
    let foreign =
        HandOverDoc { order: foreign.order, signature: foreign.signature, handed: Hex(handed.encode()) };
    assert_eq!(name(client.hand_over(&foreign).await), "wrap.terms");
    assert_eq!(name(client.blob(&handed.digest()).await), "blob.unknown", "nothing was kept");
    let id = give(&job, handed.encode()).await.expect("taken");
    assert_eq!(client.job(&id).await.expect("known").job, job);
    assert_eq!(client.blob(&handed.digest()).await.expect("anybody may read it"), handed.encode());
    // The key is there for whoever audits.
    let served = client.verifier(&job.model).await.expect("served").expect("there is one");
    assert_eq!(served.hash(), key);
    assert_eq!(client.verifier(&Hash32::ZERO).await.expect("served"), None);
    // A wrapped proof under the node's challenge is what a node is measured by, and not anything else.
    let measure = MeasureDoc {
        node: buyer.address(),
        model: job.model,
        input: Hash32::ZERO,
        output: vec![5],
        proof: Hex(vec![0; 256]),
        key: Some(key),
    };
    assert_eq!(name(client.measure(&measure).await), "node.unknown");
}

/// The whole life: `cargo test -p proofmesh --test node -- --ignored for_hire`; a proving key is made, two statements are wrapped.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: a key is made, and three proofs are wrapped"]
async fn a_statement_is_wrapped_for_hire_and_paid() {
    let (place, model) = (Place::new("hire"), model());
    let circuit = wrapped::blank_hired(&model.program, 1).expect("a circuit");
    let began = std::time::Instant::now();
    let key = wrapped::set_up(&circuit, &mut zk::os_rng().expect("randomness")).expect("a key");
    println!("{} constraints, key {:.0} s", circuit.constraints(), began.elapsed().as_secs_f64());
    let plain = wrapped::blank(&model.program, 1).expect("a circuit").digest();
    let check = key.proving.vk.clone();
    let (_up, client) = up(&place, &model, &check).await;
    let (honest, buyer, dir) = (hidden(&model, [40, -7]), buyer(&place), place.path("rig"));
    let join = async |key, least| {
        let watch = &mut |stage: &'static str| println!("{:.0} s: {stage}", began.elapsed().as_secs_f64());
        Wrapper::join(client.clone(), (&dir, "rig"), (model.clone(), key), (Usd::from_micro(least), 4), watch)
            .await
    };
    let mut other = key.clone();
    other.circuit = plain;
    assert_eq!(join(other, 1).await.err().expect("a plain key").name, "wrap.hired-key");
    let mut other = key.clone();
    other.circuit = [9; 32];
    assert_eq!(join(other, 1).await.err().expect("of another model").name, "wrap.key");
    let dear = join(key.clone(), 60_001).await.expect("joins, measured");
    let first = order(&client, &buyer, wanted(&honest, name_of(&check))).await.expect("taken");
    let jobs = dear.assigned().await.expect("drawn");
    assert_eq!(jobs.iter().map(|job| job.id).collect::<Vec<_>>(), [first]);
    assert_eq!(dear.work(&jobs[0], &mut |_| ()).await.expect_err("too cheap for it").name, "wrap.price");
    assert_eq!(collect(&client, &model, &first, &check).await.expect("nothing yet"), None);

    // A second start counts as measured: it wraps nothing before its first job.
    let rig = join(key, 60_000).await.expect("joins again");
    let done = rig.work(&jobs[0], &mut |_| ()).await.expect("wrapped").receipt;
    assert_eq!(
        (done.status.as_str(), done.share),
        ("accepted", Usd::from_micro(58_800)),
        "{:?}",
        done.reason
    );
    assert_eq!(rig.assigned().await.expect("nothing more"), []);
    let (of, proof) = collect(&client, &model, &first, &check).await.expect("holds").expect("is there");
    assert_eq!((&of, &of.outputs[0][..]), (&honest.0, &[83][..]), "(3 * 40 + 35 + 10) / 2, rounded");
    wrapped::check(&check, &of, &proof).expect("as a contract would");
    let mut other = check.clone();
    other.gamma_abc_g1.swap(0, 1);
    assert_eq!(name(collect(&client, &model, &first, &other).await), "wrap.not-my-work");
    assert_eq!(client.close_epoch().await.expect("closed").receipts, 1);

    // Evidence that is not a proof of the statement is the node's own doing.
    let second = order(&client, &buyer, wanted(&honest, name_of(&check))).await.expect("taken");
    let keys = Keys::open(&dir.join("keys")).expect("keys");
    let (account, device) = (keys.account("rig").expect("a key"), keys.device("rig").expect("a key"));
    let (node, job) =
        (client.node(&account.address()).await.expect("known"), client.job(&second).await.expect("posted"));
    let evidence = groth16::encode(&{
        let mut lie = groth16::decode(&proof).expect("points");
        lie.a = -lie.a;
        lie
    });
    let receipt = Receipt {
        job: second,
        sequence: node.next_sequence,
        node: account.address(),
        device: device.device(),
        service: SERVICE.id(),
        model: job.job.model,
        input: job.job.input,
        output: output_hash(&of.outputs[0]),
        units: 1,
        window_start: job.job.window_from_s,
        window_end: job.job.window_until_s,
        evidence: keccak(&evidence),
        previous: node.head,
    };
    let domain = client.status().await.expect("status").domain;
    let signed = receipt.sign(&domain, &of.outputs[0], &device, &account).expect("own keys");
    let lie = client.deliver(&signed, &evidence).await.expect("taken in").receipt;
    assert_eq!(lie.reason.map(|reason| reason.name), Some("wrap.proof.wrap.proof".to_owned()));
    assert_eq!(client.node(&account.address()).await.expect("known").standing, "frozen");
    assert_eq!(collect(&client, &model, &second, &check).await.expect("nothing"), None);
    assert_eq!(of_url(&client).await.expect("no difference").verdicts, 2);
}
