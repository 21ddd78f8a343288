//! A model's verifier in the registry: set, announced, refused by name; and which keys a chain with money takes.

use ark_bn254::Fr;
use proofmesh::onchain::{Registered, class_of, register, verifier_key, verifiers};
use proofmesh::weather::import_model;
use proofmesh::wrapped;
use proofmesh_market::{AccountSecret, keccak};
use proofmesh_settle::{Chain, Clock, DeployParams, PROFILES, Roles, Settlement, Signer, VerifierKey};
use proofmesh_wrap::groth16::{development_key, key_words};
use proofmesh_wrap::keys::{Key, Origin};
use proofmesh_wrap::r1cs::Builder;
use std::sync::Arc;

/// 2026-01-01 00:00 UTC.
const NOW_S: u64 = 1_767_225_600;

/// A key of a circuit of one product, that says it is of another circuit.
fn key(origin: Origin, circuit: [u8; 32], seed: u8) -> Key {
    let mut b = Builder::new(Fr::from(9u64));
    let three = b.witness(Fr::from(3u64));
    let square = b.product(&three, &three);
    b.equal(&square, &b.public());
    Key { origin, circuit, proving: development_key(&b, &[seed; 32]).expect("a small circuit") }
}

fn contract_key(seed: u8) -> VerifierKey {
    verifier_key(&key_words(&key(Origin::Development, [0; 32], seed).proving.vk))
}

async fn deployed() -> (Arc<dyn Settlement>, Signer) {
    let secret = AccountSecret::from_bytes([7; 32]).expect("small");
    let governor = Signer::new(&secret);
    let chain = Chain::open("embedded:", Clock::fixed(NOW_S)).await.expect("in memory");
    let settlement = chain.deploy(&governor, &DeployParams::of(secret.address())).await.expect("deploys");
    let both = Roles { maker: true, publisher: true };
    settlement.set_roles(&governor, secret.address(), both).await.expect("granted");
    (settlement, governor)
}

#[tokio::test]
async fn a_model_gets_one_verifier_and_keeps_it() {
    let (settlement, governor) = deployed().await;
    let (settlement, one, other) = (&*settlement, contract_key(1), contract_key(2));
    let new = keccak(b"new with a verifier");
    let set = register(settlement, &governor, new, Some(&one), true).await.expect("registered");
    assert!(matches!(&set, Registered::Set { key, .. } if *key == one.hash()), "{set:?}");
    assert_eq!(register(settlement, &governor, new, Some(&one), true).await.expect("again"), set);
    let refused = register(settlement, &governor, new, Some(&other), true).await.expect_err("another key");
    assert_eq!(refused.name, "model.other-verifier");

    // A model that stands without one gets it only after the delay: its receipts were not made to be demanded.
    let old = keccak(b"registered without a verifier");
    assert_eq!(register(settlement, &governor, old, None, true).await.expect("registered"), Registered::None);
    let delay = settlement.deployment().params.verifier_delay_s;
    let announced = register(settlement, &governor, old, Some(&one), true).await.expect("announced");
    assert!(
        matches!(&announced, Registered::Announced { delay_s, .. } if *delay_s == delay),
        "{announced:?}"
    );
    assert_eq!(settlement.verifier_of(old).await.expect("reads"), None);
    settlement.pass_time(delay).await.expect("time passes");
    let set = register(settlement, &governor, old, Some(&one), true).await.expect("accepted");
    assert!(matches!(set, Registered::Set { .. }), "{set:?}");

    // One that the chain forgot, with receipts that nobody could answer for, gets none at once either.
    let forgotten = keccak(b"registered again after blocks were taken back");
    for _ in 0..2 {
        let waits = register(settlement, &governor, forgotten, Some(&one), false).await.expect("registered");
        assert!(matches!(waits, Registered::Announced { .. }), "{waits:?}");
    }
    settlement.pass_time(delay).await.expect("time passes");
    let waits = register(settlement, &governor, forgotten, Some(&one), false).await.expect("not ready");
    assert!(matches!(waits, Registered::Announced { .. }), "{waits:?}");
    assert_eq!(settlement.verifier_of(forgotten).await.expect("reads"), None);
    let set = register(settlement, &governor, forgotten, Some(&one), true).await.expect("ready");
    assert!(matches!(set, Registered::Set { .. }), "{set:?}");

    // Whoever shares a class would get the other's verifier, which is of another circuit.
    let shared = keccak(b"in a class of others");
    settlement
        .register_model(&governor, shared, shared, class_of(&shared) ^ 1)
        .await
        .expect("registered by hand");
    let refused =
        register(settlement, &governor, shared, Some(&one), true).await.expect_err("a class of others");
    assert_eq!(refused.name, "model.shared-class");
}

#[test]
fn keys_are_held_against_circuits_and_chains() {
    let model = import_model().expect("the model").file;
    let circuit = wrapped::circuit(&model.program, 1).expect("a circuit");
    let row = |name: &str| PROFILES.iter().find(|row| row.name == name).expect("a row");
    let (play, money) = (row("embedded"), row("ethereum"));
    let ceremony = Origin::Ceremony { zkey: [3; 32] };
    let take = |key: Key, chain| {
        let keys = verifiers(&[key.verification()], std::slice::from_ref(&model), chain);
        keys.map(|keys| keys[0].as_ref().map(|found| (found.key.hash(), found.hired)))
            .map_err(|fault| fault.name)
    };
    let (known, unknown) = (contract_key(1).hash(), [1; 32]);
    assert_eq!(take(key(Origin::Development, circuit, 1), play), Ok(Some((known, false))));
    assert_eq!(take(key(ceremony, circuit, 1), money), Ok(Some((known, false))));
    let hired = wrapped::blank_hired(&model.program, 1).expect("a circuit").digest();
    assert_eq!(take(key(ceremony, hired, 1), money), Ok(Some((known, true))));
    assert_eq!(take(key(Origin::Development, circuit, 1), money), Err("model.development-key".to_owned()));
    assert_eq!(take(key(ceremony, unknown, 1), money), Err("model.verifier-unused".to_owned()));
    let cut = &key(ceremony, circuit, 1).verification()[..200];
    let refused = verifiers(&[cut.to_vec()], std::slice::from_ref(&model), money).expect_err("cut short");
    assert_eq!(refused.name, "proof.wrap.key");
    assert_eq!(verifiers(&[], std::slice::from_ref(&model), money).expect("no keys"), [None]);
}
