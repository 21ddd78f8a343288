//! The poster and what the chain demands of it: jobs about a model with a verifier ask for wrappable proofs, a demand is answered without the node,
//! and a receipt that nobody proved does not cost a second bond.

use crate::hire::{buyer, model_of, up};
use crate::place::Place;
use crate::wrapped::program;
use proofmesh::audit::of_url;
use proofmesh::buyer::fund;
use proofmesh::challenge::{Published, open, resolve};
use proofmesh::client::Client;
use proofmesh::coordinator::{Answers, answers, middle};
use proofmesh::defence::{Left, once};
use proofmesh::engine::keys::Keys;
use proofmesh::fault::Result;
use proofmesh::member::Member;
use proofmesh::onchain::{Registered, Verifier, verifier_key};
use proofmesh::pledge::Takes;
use proofmesh::up::Up;
use proofmesh::wire::{Delivered, Hex, MeasureDoc};
use proofmesh::{wrapped, zk};
use proofmesh_market::receipt::output_hash;
use proofmesh_market::{
    AccountSecret, Assurance, DeviceSecret, Hash32, Job, Receipt, Signed, Usd, What, keccak,
};
use proofmesh_model::ModelFile;
use proofmesh_services::inference::{SERVICE, Terms};
use proofmesh_settle::Signer;
use proofmesh_wrap::development;
use proofmesh_wrap::groth16::{VerifyingKey, key_words};

const PRICE: Usd = Usd::from_micro(100_000);

/// A market with a node, its model all private, under a verifier of the hired circuit.
struct Scene {
    up: Up,
    client: Client,
    model: ModelFile,
    id: Hash32,
    node: Member,
    account: AccountSecret,
    device: DeviceSecret,
    buyer: AccountSecret,
    auditor: AccountSecret,
    place: Place,
}

impl Scene {
    async fn build(name: &str, model: ModelFile, key: &VerifyingKey) -> Self {
        let place = Place::new(name);
        let (up, client) = up(&place, &model, key).await;
        let (id, buyer) = (zk::model_id(&model).expect("an id"), buyer(&place));
        let auditor =
            Keys::open(&place.path("auditor/keys")).expect("keys").account("auditor").expect("a key");
        let node = Member::open(client.clone(), &place.path("node"), "worker").await.expect("keys");
        let keys = Keys::open(&place.path("node/keys")).expect("keys");
        let (account, device) =
            (keys.account("worker").expect("a key"), keys.device("worker").expect("a key"));
        node.join(client.status().await.expect("status").rules.min_stake).await.expect("joins");
        let context = client.challenge(&node.address()).await.expect("a challenge").context;
        let words = vec![middle(model.program.input.interval); 2];
        let proved = zk::prove(&model, &words, [1; 32], &context).expect("a proof");
        let doc = MeasureDoc {
            node: node.address(),
            model: id,
            input: Hash32(proved.statement.inputs[0].commitment),
            output: proved.statement.outputs[0].clone(),
            proof: Hex(proved.file),
            key: None,
        };
        client.measure(&doc).await.expect("measured");
        node.offer(SERVICE.id(), Takes::named(Usd::ZERO)).await.expect("offers");
        Scene { up, client, model, id, node, account, device, buyer, auditor, place }
    }

    /// Posts a job for two receipts.
    async fn job(&self, salt: u8, wrappable: bool) -> Result<Hash32> {
        let status = self.client.status().await.expect("status");
        let job = Job {
            buyer: self.buyer.address(),
            salt: Hash32([salt; 32]),
            service: SERVICE.id(),
            model: self.id,
            input: Hash32::ZERO,
            unit_price: PRICE,
            max_units: 2,
            window_from_s: status.now_s - 20,
            window_until_s: status.now_s,
            deadline_s: status.now_s + 86_400,
            assurance: Assurance::Proof,
            slots: 1,
            cell: 0,
            devices: vec![self.device.device()],
            terms: Terms { wrappable, ..Terms::default() }.encode(),
        };
        let settlement = self.client.settlement().await.expect("a chain");
        fund(&self.client, &*settlement, &self.buyer, job.escrow().expect("a price")).await.expect("funded");
        self.client.order(&What::JobPosted(Signed::new(job, &status.domain, &self.buyer)?)).await
    }

    /// Hands in a receipt of a job for its window of a number, with a proof of either kind.
    async fn deliver(&self, job: &Hash32, number: u64, hidden: bool) -> Delivered {
        let (place, known) =
            (self.node.place().await.expect("a place"), self.client.job(job).await.expect("posted").job);
        let (account, device) = (self.node.address(), self.device.device());
        let domain = self.up.coordinator.domain();
        let context =
            proofmesh_market::receipt::context(&domain, job, place.next_sequence, &account, &device);
        let words = [40, number as i32];
        let (of, proof) = if hidden {
            zk::hide(&self.model, &words, [3; 32], &context).expect("a proof")
        } else {
            let proved = zk::prove(&self.model, &words, [3; 32], &context).expect("a proof");
            (proved.statement, proved.file)
        };
        let receipt = Receipt {
            job: *job,
            sequence: place.next_sequence,
            node: account,
            device,
            service: SERVICE.id(),
            model: self.id,
            input: Hash32(of.inputs[0].commitment),
            output: output_hash(&of.outputs[0]),
            units: 1,
            window_start: known.window_from_s + 10 * number,
            window_end: known.window_from_s + 10 * number + 10,
            evidence: keccak(&proof),
            previous: place.head,
        };
        let signed = receipt.sign(&domain, &of.outputs[0], &self.device, &self.account);
        self.node.hand_in(&signed.expect("own keys"), &proof).await.expect("taken in")
    }

    /// The auditor demands a proof of a receipt that an epoch settled.
    async fn demand(&self, epoch: u64, digest: &Hash32) {
        let (settlement, auditor) =
            (self.client.settlement().await.expect("a chain"), Signer::new(&self.auditor));
        let bond = settlement.deployment().params.challenge_bond;
        self.client.faucet(auditor.account(), bond).await.expect("test money");
        let published = Published::of(&self.client, epoch).await.expect("published");
        let path = published.path(&self.up.coordinator.domain(), digest).expect("of the epoch");
        let of =
            published.receipts.iter().find(|it| it.receipt.digest(&self.up.coordinator.domain()) == *digest);
        let receipt = &of.expect("of the epoch").receipt;
        open(&*settlement, &auditor, epoch, receipt, &path).await.expect("demanded");
    }

    async fn auditors_money(&self) -> Usd {
        let settlement = self.client.settlement().await.expect("a chain");
        settlement.balance_of(self.auditor.address()).await.expect("reads")
    }
}

fn private() -> ModelFile {
    model_of(program(0..0))
}

/// Without the proving key: what is demanded is lost, once; the owner's word or the key posts the epoch again.
#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_nobody_proved_costs_one_bond_and_no_second() {
    let model = private();
    let circuit = wrapped::blank_hired(&model.program, 1).expect("a circuit");
    let key = development::verification_key(&circuit, &[5; 32]).expect("a key");
    let scene = Scene::build("demands", model, &key).await;
    let client = &scene.client;
    assert_eq!(client.status().await.expect("status").wrappable, [scene.id]);
    let standing = || answers(scene.up.coordinator.dir(), &scene.id, &scene.model.program).expect("reads");
    assert!(matches!(standing(), Answers::KeyMissing(_)) && standing().warning().is_some());
    assert_eq!(scene.job(1, false).await.expect_err("not wrappable").name, "inference.not-wrappable");

    // The terms say which kind of proof; the other is the node's own doing.
    let job = scene.job(2, true).await.expect("posted");
    let good = scene.deliver(&job, 0, true).await.receipt;
    assert_eq!(good.status, "accepted", "{:?}", good.reason);
    assert_eq!(client.close_epoch().await.expect("posted").receipts, 1);
    assert_eq!(of_url(client).await.expect("no difference").verdicts, 1);

    scene.demand(1, &good.digest).await;
    let (coordinator, told) = (&scene.up.coordinator, std::sync::Mutex::new(Vec::new()));
    let tell = |text: &str| told.lock().expect("one thread").push(text.to_owned());
    let mut left = Left::default();
    for _ in 0..2 {
        assert_eq!(once(coordinator, client, &tell, &mut left).await.expect("no trouble"), []);
    }
    let said = told.lock().expect("one thread").join("\n");
    assert_eq!(said.matches("wrap.no-key").count(), 1, "said once: {said}");
    assert!(said.contains("wrap set-up --hiding"), "{said}");
    assert_eq!(coordinator.demands().await.len(), 1);

    let settlement = client.settlement().await.expect("a chain");
    let params = settlement.deployment().params.clone();
    client.pass_time(params.response_time_s + 1).await.expect("time passes");
    let auditor = Signer::new(&scene.auditor);
    let won = resolve(&*settlement, &auditor, 1, good.digest).await.expect("nobody answered");
    assert_eq!(won.lost, params.poster_bond);
    // Not again, by itself; other business goes on, and the epoch waits.
    for _ in 0..2 {
        assert_eq!(client.close_epoch().await.expect_err("not again").name, "epoch.receipt-lost");
    }
    assert_eq!(settlement.latest_epoch().await.expect("reads"), 0);
    assert_eq!(coordinator.demands().await, []);
    let other = client.close_epoch_again(&job).await.expect_err("no receipt that was lost");
    assert_eq!(other.name, "epoch.receipt-lost");
    client
        .close_epoch_again(&good.digest)
        .await
        .expect_err("the bond is gone, and only the owner brings another");
}

/// With it: the demand is answered while the node is silent. `cargo test -p proofmesh --test node -- --ignored --nocapture silent`
#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: a key is made"]
async fn an_honest_receipt_is_defended_while_its_node_is_silent() {
    let model = private();
    let circuit = wrapped::blank_hired(&model.program, 1).expect("a circuit");
    let began = std::time::Instant::now();
    let key = wrapped::set_up(&circuit, &mut zk::os_rng().expect("randomness")).expect("a key");
    println!("{} constraints, key {:.0} s", circuit.constraints(), began.elapsed().as_secs_f64());
    let scene = Scene::build("defended", model, &key.proving.vk).await;
    let (client, coordinator) = (&scene.client, &scene.up.coordinator);
    wrapped::save(&key, &wrapped::key_path(coordinator.dir(), &key.circuit)).expect("kept");
    let standing = answers(coordinator.dir(), &scene.id, &scene.model.program).expect("reads");
    assert!(matches!(standing, Answers::Alone(_)) && standing.warning().is_none());
    let job = scene.job(1, true).await.expect("posted");
    let honest = scene.deliver(&job, 0, true).await.receipt;
    assert_eq!(honest.status, "accepted", "{:?}", honest.reason);
    client.close_epoch().await.expect("posted");
    scene.demand(1, &honest.digest).await;
    let before = scene.auditors_money().await;

    // The node's keys, readings and salts are gone.
    std::fs::remove_dir_all(scene.place.path("node")).expect("gone");
    let tell = |text: &str| println!("{:.0} s: {text}", began.elapsed().as_secs_f64());
    let answered = once(coordinator, client, &tell, &mut Left::default()).await.expect("no trouble");
    assert_eq!(answered.len(), 1);
    println!("{} gas", answered[0].1);
    assert_eq!(once(coordinator, client, &tell, &mut Left::default()).await.expect("nothing more"), []);
    assert_eq!(coordinator.demands().await, []);
    assert_eq!(scene.auditors_money().await, before, "its bond is the poster's");
    let settlement = client.settlement().await.expect("a chain");
    client.pass_time(settlement.deployment().params.challenge_window_s + 1).await.expect("time passes");
    assert!(settlement.is_final(1).await.expect("reads"));
}

/// A proof of the kind that only its node can wrap is no evidence where wrappable ones are asked for; nor the other way round.
#[tokio::test(flavor = "multi_thread")]
async fn the_terms_say_which_kind_of_proof_is_evidence() {
    let model = private();
    let circuit = wrapped::blank_hired(&model.program, 1).expect("a circuit");
    let key = development::verification_key(&circuit, &[5; 32]).expect("a key");
    let scene = Scene::build("kinds", model, &key).await;
    let job = scene.job(1, true).await.expect("posted");
    let lie = scene.deliver(&job, 0, false).await.receipt;
    let reason = lie.reason.expect("refused").name;
    assert!(reason.starts_with("inference.proof."), "{reason}");
}

/// A model that stands without a verifier gets one when no receipt is left that its poster could not answer for.
#[tokio::test(flavor = "multi_thread")]
async fn a_verifier_waits_for_the_last_receipt_that_could_not_be_wrapped() {
    let model = private();
    let circuit = wrapped::blank_hired(&model.program, 1).expect("a circuit");
    let key = development::verification_key(&circuit, &[5; 32]).expect("a key");
    let other = model_of(program(1..2));
    let scene = Scene::build("waits", other.clone(), &key).await;
    let coordinator = &scene.up.coordinator;
    let id = coordinator.add_model(model.clone()).await.expect("without a verifier");
    assert_ne!(id, scene.id);
    let scene = Scene { id, model: model.clone(), ..scene };
    let words = vec![0; 2];
    let context = scene.client.challenge(&scene.node.address()).await.expect("a challenge").context;
    let proved = zk::prove(&model, &words, [1; 32], &context).expect("a proof");
    let doc = MeasureDoc {
        node: scene.node.address(),
        model: id,
        input: Hash32(proved.statement.inputs[0].commitment),
        output: proved.statement.outputs[0].clone(),
        proof: Hex(proved.file),
        key: None,
    };
    scene.client.measure(&doc).await.expect("measured");
    let job = scene.job(1, false).await.expect("nobody can demand anything yet");
    let verifier = Verifier { key: verifier_key(&key_words(&key)), hired: true };
    let add = async || {
        let added = scene.up.coordinator.add_model_with(model.clone(), Some(verifier.clone())).await;
        added.expect("known").1
    };
    assert!(matches!(add().await, Registered::Announced { .. }));
    let settlement = scene.client.settlement().await.expect("a chain");
    let delay_s = settlement.deployment().params.verifier_delay_s;
    // New jobs ask for wrappable proofs from now on; the old one goes on.
    assert_eq!(scene.job(2, false).await.expect_err("announced").name, "inference.not-wrappable");
    let receipt = scene.deliver(&job, 0, false).await.receipt;
    assert_eq!(receipt.status, "accepted", "{:?}", receipt.reason);
    scene.client.pass_time(delay_s + 1).await.expect("time passes");
    assert!(matches!(add().await, Registered::Announced { .. }), "its receipt is not on chain");
    assert_eq!(settlement.verifier_of(id).await.expect("reads"), None);
    scene.client.close_epoch().await.expect("posted; the job is over");
    // Struck and posted again, its receipt could be demanded.
    assert!(matches!(add().await, Registered::Announced { .. }), "its epoch is not final");
    let window_s = settlement.deployment().params.challenge_window_s;
    scene.client.pass_time(window_s + 1).await.expect("time passes");
    assert!(matches!(add().await, Registered::Set { .. }));
    assert!(settlement.verifier_of(id).await.expect("reads").is_some());
}
