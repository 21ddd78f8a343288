//! /vectors/receipts.json and /vectors/market.json (guards.json: guards.rs): made by `BLESS=1 cargo test -p proofmesh-market`, checked
//! otherwise.

use crate::world::*;
use proofmesh_market::domain::DOMAIN_TYPE;
use proofmesh_market::event::{chain_log, draw_commitment};
use proofmesh_market::job::JOB_TYPE;
use proofmesh_market::receipt::{RECEIPT_TYPE, context, output_hash};
use proofmesh_market::tree::{Tree, balance_leaf, receipt_leaf, verify};
use proofmesh_market::*;
use serde_json::{Value, json};

pub fn check_or_bless(file: &str, value: &Value) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors").join(file);
    if std::env::var_os("BLESS").is_some() {
        let text = serde_json::to_string_pretty(value).expect("JSON");
        std::fs::write(&path, text + "\n").expect("the vectors' folder");
        return;
    }
    let text = std::fs::read_to_string(&path).expect("run with BLESS=1 once");
    let committed: Value = serde_json::from_str(&text).expect("JSON");
    assert!(committed == *value, "{file} is not what this code makes; look at the difference after BLESS=1");
}

fn text(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

/// Integers as decimal text: JavaScript numbers end at 2^53.
fn fields(r: &Receipt) -> Value {
    json!({
        "job": r.job, "sequence": r.sequence.to_string(), "node": r.node, "device": Hash32(r.device.0),
        "service": r.service, "model": r.model, "input": r.input, "output": r.output, "units": r.units.to_string(),
        "windowStart": r.window_start.to_string(), "windowEnd": r.window_end.to_string(), "evidence": r.evidence,
        "previous": r.previous,
    })
}

fn receipt_rows() -> Vec<(Vec<i32>, Receipt)> {
    let base = Receipt {
        job: job_id(),
        sequence: 0,
        node: node(0).address(),
        device: device(0).device(),
        service: service(),
        model: model(),
        input: Hash32([0x11; 32]),
        output: output_hash(&OUTPUT),
        units: 1,
        window_start: WINDOW_S,
        window_end: WINDOW_S + DAY_S,
        evidence: keccak(b"good proof"),
        previous: Hash32::ZERO,
    };
    let second = Receipt {
        sequence: 1,
        previous: base.digest(&domain()),
        window_start: WINDOW_S + DAY_S,
        ..base.clone()
    };
    let extremes = vec![i32::MIN, -1, 0, 1, i32::MAX];
    let largest = Receipt {
        sequence: u64::MAX,
        units: u64::MAX,
        window_start: u64::MAX - 1,
        window_end: u64::MAX,
        output: output_hash(&extremes),
        ..base.clone()
    };
    let bare = Receipt { output: output_hash(&[]), ..base.clone() };
    vec![(OUTPUT.to_vec(), base), (OUTPUT.to_vec(), second), (extremes, largest), (Vec::new(), bare)]
}

fn receipt_vector(output: &[i32], receipt: &Receipt) -> Value {
    let signed = receipt.clone().sign(&domain(), output, &device(0), &node(0)).expect("the node's own keys");
    let wire = signed.encode();
    assert_eq!(SignedReceipt::decode(&wire).as_ref(), Ok(&signed));
    assert_eq!(signed.verify(&domain()), Ok(receipt.digest(&domain())));
    json!({
        "receipt": fields(receipt),
        "outputWords": output,
        "outputBytes": text(signed.output_bytes()),
        "structHash": receipt.struct_hash(),
        "digest": receipt.digest(&domain()),
        "ctx": receipt.context(&domain()),
        "deviceSignature": signed.device_signature,
        "nodeSignature": signed.node_signature,
        "wire": text(&wire),
    })
}

/// Wire forms that must be refused, with the name.
fn refused_wires() -> Vec<Value> {
    let (output, receipt) = receipt_rows().remove(0);
    let good = receipt.sign(&domain(), &output, &device(0), &node(0)).expect("the node's own keys").encode();
    let length_at = 1 + 8 * 32 + 20 + 4 * 8;
    let mut lies: Vec<(&str, Vec<u8>)> = Vec::new();
    let mut lie = |name, change: &dyn Fn(&mut Vec<u8>)| {
        let mut wire = good.clone();
        change(&mut wire);
        lies.push((name, wire));
    };
    lie("receipt.version", &|wire| wire[0] = 2);
    lie("receipt.short", &|wire| wire.truncate(0));
    lie("receipt.short", &|wire| wire.truncate(good.len() - 1));
    lie("receipt.trailing", &|wire| wire.push(0));
    lie("receipt.output-too-long", &|wire| {
        wire[length_at..length_at + 4].copy_from_slice(&4_097u32.to_be_bytes())
    });
    lie("receipt.output-too-long", &|wire| {
        wire[length_at..length_at + 4].copy_from_slice(&u32::MAX.to_be_bytes())
    });
    lie("receipt.output-length", &|wire| wire[length_at..length_at + 4].copy_from_slice(&7u32.to_be_bytes()));
    lie("receipt.output-differs", &|wire| wire[length_at + 7] ^= 1);
    lie("receipt.node-signature", &|wire| wire[40] ^= 1); // a byte of the sequence
    lie("receipt.device-signature", &|wire| wire[length_at + 4 + 8] ^= 1);
    let name_of = |wire: &[u8]| match SignedReceipt::decode(wire) {
        Err(refusal) => refusal.name,
        Ok(signed) => signed.verify(&domain()).expect_err("a lie").name,
    };
    for (name, wire) in &lies {
        assert_eq!(name_of(wire), *name);
    }
    lies.into_iter().map(|(name, wire)| json!({ "name": name, "wire": text(&wire) })).collect()
}

fn trees() -> Value {
    let digest = |i: u8| keccak(&[i]);
    let receipts = [0u8, 1, 2, 3, 5, 8].map(|count| {
        let digests: Vec<Hash32> = (0..count).map(digest).collect();
        let leaves: Vec<Hash32> = digests.iter().map(receipt_leaf).collect();
        tree_vector(json!(digests), leaves)
    });
    let balances = [1u8, 2, 5].map(|count| {
        let mut rows: Vec<(Address, Usd)> = (0..count)
            .map(|i| (account(30 + i).address(), Usd::from_micro(1_000_000 * u64::from(i) + 7)))
            .collect();
        rows.sort_unstable();
        let leaves = rows.iter().map(|(address, usd)| balance_leaf(address, *usd)).collect();
        let total: u64 = rows.iter().map(|(_, usd)| usd.micro()).sum();
        let rows: Vec<Value> = rows
            .iter()
            .map(|(a, usd)| json!({ "account": a, "cumulative": usd.micro().to_string() }))
            .collect();
        let mut vector = tree_vector(json!(rows), leaves);
        vector["total"] = json!(total.to_string());
        vector
    });
    json!({ "receipts": receipts, "balances": balances })
}

fn tree_vector(of: Value, leaves: Vec<Hash32>) -> Value {
    let tree = Tree::new(leaves.clone());
    let proofs: Vec<Vec<Hash32>> =
        (0..leaves.len()).map(|index| tree.proof(index).expect("a leaf")).collect();
    for (leaf, proof) in leaves.iter().zip(&proofs) {
        assert!(verify(&tree.root(), leaf, proof));
    }
    json!({ "of": of, "leaves": leaves, "root": tree.root(), "proofs": proofs })
}

#[test]
fn receipts_are_as_the_vectors_say() {
    let rows = receipt_rows();
    let vectors: Vec<Value> = rows.iter().map(|(output, receipt)| receipt_vector(output, receipt)).collect();
    let other = Domain { chain_id: 137, ..domain() };
    let value = json!({
        "about": "Made by BLESS=1 cargo test -p proofmesh-market. Integers of 64 bits are decimal text. Keys are for tests only.",
        "domain": {
            "chainId": domain().chain_id.to_string(), "settlement": domain().settlement, "type": DOMAIN_TYPE,
            "typeHash": keccak(DOMAIN_TYPE.as_bytes()), "separator": domain().separator(),
        },
        "receiptType": RECEIPT_TYPE,
        "receiptTypeHash": keccak(RECEIPT_TYPE.as_bytes()),
        "serviceTag": "proofmesh/inference/v1",
        "service": service(),
        "keys": {
            "nodeSecret": text(&*node(0).to_bytes()), "node": node(0).address(),
            "deviceSecret": text(&*device(0).to_bytes()), "device": Hash32(device(0).device().0), "did": device(0).device(),
        },
        "receipts": vectors,
        "otherChain": {
            "chainId": other.chain_id.to_string(), "separator": other.separator(), "digest": rows[0].1.digest(&other),
            "ctx": context(&other, &rows[0].1.job, 0, &rows[0].1.node, &rows[0].1.device),
        },
        "refused": refused_wires(),
        "trees": trees(),
    });
    check_or_bless("receipts.json", &value);
}

#[test]
fn events_are_as_the_vectors_say() {
    let mut world = World::working();
    let (paid, _) = world.work(0, 0, b"good proof");
    world.work(1, 0, b"weather");
    world.ok(What::EpochClosed { epoch: 1 });
    world.at_s += DAY_S + 1;
    world.ok(withdraw(&buyer(), Usd::from_micro(3), 0));
    world.ok(What::EpochClosed { epoch: 2 });
    let mut head = Hash32::ZERO;
    let log: Vec<Value> = world
        .log
        .iter()
        .map(|event| {
            let bytes = event.encode().expect("logged");
            head = chain_log(&head, &bytes);
            let read: Event = serde_json::from_value(json!(event)).expect("the JSON form goes both ways");
            assert_eq!(read, *event);
            json!({ "event": event, "bytes": text(&bytes), "logHash": head })
        })
        .collect();
    let epochs: Vec<Value> = world
        .state
        .epochs()
        .iter()
        .map(|closed| json!({ "epoch": closed.epoch, "balances": closed.balances, "receipts": closed.receipts }))
        .collect();
    let closed = &world.state.epochs()[1];
    let (cumulative, proof) = closed.balance_proof(&node(0).address()).expect("the node earned");
    assert!(verify(&closed.epoch.balances_root, &balance_leaf(&node(0).address(), cumulative), &proof));
    let receipt_proof = closed.receipt_proof(&paid).expect("settled in the second epoch");
    assert!(verify(&closed.epoch.receipts_root, &receipt_leaf(&paid), &receipt_proof));
    let value = json!({
        "about": "Made by BLESS=1 cargo test -p proofmesh-market. One market from its opening; `bytes` are what the log holds. Keys are for tests only.",
        "jobType": JOB_TYPE,
        "jobTypeHash": keccak(JOB_TYPE.as_bytes()),
        "jobId": job_id(),
        "drawCommitment": { "secret": secret(0), "commitment": draw_commitment(&secret(0)) },
        "log": log,
        "epochs": epochs,
        "claim": { "account": node(0).address(), "epoch": 2, "cumulative": cumulative, "proof": proof },
        "paid": { "receipt": paid, "epoch": 2, "proof": receipt_proof },
    });
    check_or_bless("market.json", &value);
}
