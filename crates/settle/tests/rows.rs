//! Every row of the table of chains, run: the whole story on an embedded chain with the row's rules, prices, limits
//! and kind of fee, paid by accounts that have money. docs/chains.md has the rows and the gas; `BLESS=1` writes its
//! generated parts anew.

mod proofs;
mod scenario;
mod toy;

use std::fmt::Write as _;

use alloy::sol_types::SolCall;
use p256::ecdsa::signature::hazmat::PrehashSigner;
use p256::ecdsa::{Signature, SigningKey};
use proofmesh_market::receipt::{output_bytes, output_hash};
use proofmesh_market::{Assurance, Device, Hash32, Job, Order, Receipt, keccak};
use proofmesh_settle::{
    Chain, ChainProfile, Clock, CoverTerms, DataFee, Evidence, GasPolicy, Outcome, PROFILES, Roles,
    SettleError, VerifierKey, abi, profile_named,
};
use scenario::*;
use serde_json::{Value, json};
use toy::{Toy, statement};

const DOC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/chains.md");
/// Contracts of a deployment, a transaction each.
const CONTRACTS: u64 = 7;

/// The rows of real chains.
fn real() -> impl Iterator<Item = &'static ChainProfile> {
    PROFILES.iter().filter(|row| !row.development && !row.is_any())
}

fn rehearse(row: &ChainProfile) -> Chain {
    let rich: Vec<_> = (1..=40).map(who).collect();
    Chain::rehearse(row, Clock::fixed(START), &rich).expect("a chain")
}

fn number(value: &Value) -> u64 {
    u64::from_str_radix(value.as_str().expect("hex").trim_start_matches("0x"), 16).expect("a number")
}

/// Gas of the deployment, in all and of its largest transaction.
async fn deployment(row: &ChainProfile) -> (u64, u64) {
    let chain = rehearse(row);
    chain.deploy(&signer(GOVERNOR), &params(7)).await.expect("deploys");
    let rpc = |method, params| chain.embedded().expect("embedded").rpc(method, params).expect(method);
    assert_eq!(number(&rpc("eth_blockNumber", json!([]))), CONTRACTS);
    let used = |n: u64| number(&rpc("eth_getBlockByNumber", json!([format!("{n:#x}"), false]))["gasUsed"]);
    let all: Vec<u64> = (1..=CONTRACTS).map(used).collect();
    (all.iter().sum(), *all.iter().max().expect("some"))
}

/// Bytes of calldata of one call of each kind, and whether every transaction has the row's type and pays.
fn calldata(row: &ChainProfile, chain: &Chain, selectors: &[[u8; 4]]) -> Vec<u64> {
    let rpc = |method, params| chain.embedded().expect("embedded").rpc(method, params).expect(method);
    let mut found = vec![0; selectors.len()];
    for n in 1..=number(&rpc("eth_blockNumber", json!([]))) {
        let block = rpc("eth_getBlockByNumber", json!([format!("{n:#x}"), true]));
        for tx in block["transactions"].as_array().expect("a list") {
            let kind = if row.gas == GasPolicy::Legacy { "0x0" } else { "0x2" };
            assert_eq!(tx["type"], json!(kind), "{}", row.name);
            let receipt = rpc("eth_getTransactionReceipt", json!([tx["hash"]]));
            assert!(number(&receipt["effectiveGasPrice"]) > 0, "{}: gas is paid for", row.name);
            let input = alloy::hex::decode(tx["input"].as_str().expect("hex")).expect("hex");
            for (selector, bytes) in selectors.iter().zip(&mut found) {
                if input.starts_with(selector) {
                    *bytes = input.len() as u64;
                }
            }
        }
    }
    found
}

/// Has a P-256 device's day proven and delivered; gas, or the name of the refusal.
async fn p256(row: &ChainProfile) -> Result<u64, SettleError> {
    let chain = rehearse(row);
    let s = chain.deploy(&signer(GOVERNOR), &params(9)).await.expect("deploys");
    let (by, domain, toy) = (signer(GOVERNOR), s.deployment().domain(), Toy::new(1));
    let key = SigningKey::from_slice(&[9; 32]).expect("small");
    let point = key.verifying_key().to_encoded_point(false);
    let name = Device(keccak(&point.as_bytes()[1..]).0);
    let both = Roles { maker: true, publisher: true };
    s.set_roles(&by, who(GOVERNOR), both).await.expect("sets");
    let verifier = s.deploy_verifier(&by, &VerifierKey(Box::new(toy.key()))).await.expect("deploys");
    s.set_verifier(&by, 1, verifier).await.expect("sets");
    s.register_model(&by, model(), keccak(b"program"), 1).await.expect("registers");
    let stations = [name, device(22).device(), device(23).device()];
    for station in stations {
        // Its owner is not the node: its own signature must speak for it.
        s.enrol_device(&by, station, who(FARMER), 5).await.expect("enrols");
    }
    s.mint(&by, who(INSURER), usd(100)).await.expect("mints");

    let mut terms = vec![1, 1, 0];
    terms.extend_from_slice(&DAY.to_be_bytes());
    terms.extend_from_slice(&(START % DAY).to_be_bytes());
    terms.extend_from_slice(&[0; 32]);
    let job = Job {
        buyer: who(BUYER),
        salt: keccak(b"salt"),
        service: keccak(b"proofmesh/inference/v1"),
        model: model(),
        input: Hash32::ZERO,
        unit_price: usd(1),
        max_units: 90,
        window_from_s: START,
        window_until_s: START + 30 * DAY,
        deadline_s: START + 60 * DAY,
        assurance: Assurance::Proof,
        slots: 1,
        cell: 5,
        devices: Vec::new(),
        terms,
    };
    let words = [0, 1];
    let plain = receipt(&domain, NODE, 21, 0, Hash32::ZERO, &words);
    let r = Receipt {
        job: job.digest(&domain),
        device: name,
        output: output_hash(&words),
        ..plain.receipt.clone()
    };
    let digest = r.digest(&domain);
    let signature: Signature = key.sign_prehash(&digest.0).expect("signs");
    let low = signature.normalize_s().unwrap_or(signature).to_bytes();
    let device_proof: [u8; 128] = [&point.as_bytes()[1..], &low].concat().try_into().expect("128 bytes");
    let x = statement(&r.model.0, &r.context(&domain).0, &r.input.0, &[], &words);
    let mut signed = plain;
    (signed.node_signature, signed.receipt) = (secret(NODE).sign(&digest), r);
    assert_eq!(signed.output_bytes(), output_bytes(&words));
    let evidence = Evidence {
        receipt: signed,
        job: job.clone(),
        feed_proof: Vec::new(),
        proof: toy.prove(&x, 3),
        public_words: Vec::new(),
    };
    let cover = CoverTerms {
        beneficiary: who(FARMER),
        cell: 5,
        start: START,
        day_count: 30,
        quorum: 1,
        payout: usd(50),
        model: model(),
        stations,
        jobs: [job.digest(&domain); 3],
    };
    let id = s.cover_id(who(INSURER), &cover, Hash32::ZERO);
    s.cover_open(&signer(INSURER), &cover, Hash32::ZERO).await.expect("opens");
    s.pass_time(DAY).await.expect("passes");
    let (sender, consumer) = (signer(STRANGER), s.deployment().cover);
    refused(s.deliver_with_proof(&sender, consumer, id, &evidence, None).await, "DeviceNotOfNode");
    if row.prices.p256.is_some() {
        let mut forged = device_proof;
        forged[127] ^= 1;
        let lie = s.deliver_with_proof(&sender, consumer, id, &evidence, Some(&forged)).await;
        refused(lie, "NotSignedByDevice");
    }
    let done = s.deliver_with_proof(&sender, consumer, id, &evidence, Some(&device_proof)).await?;
    assert_eq!(s.balance_of(who(FARMER)).await.expect("reads"), usd(50));
    Ok(done.gas())
}

/// What one row gave.
struct Ran {
    row: &'static ChainProfile,
    deployment: (u64, u64),
    gas: Gas,
    p256: Result<u64, SettleError>,
    calldata: Vec<u64>,
}

async fn run(row: &'static ChainProfile) -> Ran {
    let (first, second) = (rehearse(row), rehearse(row));
    let mut gas = tell(&first).await;
    proofs::tell(&second, &mut gas).await;
    let first_three = [abi::Books::postEpochCall::SELECTOR, abi::Books::claimCall::SELECTOR];
    let mut bytes = calldata(row, &first, &first_three);
    bytes.extend(calldata(row, &second, &[abi::Hand::deliverWithProofCall::SELECTOR]));
    Ran { row, deployment: deployment(row).await, gas, p256: p256(row).await, calldata: bytes }
}

fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn gwei(wei: u128) -> String {
    format!("{} gwei", wei / 1_000_000_000)
}

/// The rows, as the table of the document.
fn table_of_rows() -> String {
    let mut out = String::from(
        "| row | chain id; test networks | rules | fees; most a gas | data fee | P-256 at 0x100 | block gas | \
         confirmations (may be replaced) | block |\n|---|---|---|---|---|---|---|---|---|\n",
    );
    for row in PROFILES {
        let ids: Vec<_> = row.test_ids.iter().map(u64::to_string).collect();
        let id = if row.is_any() { "any other".to_owned() } else { row.chain_id.to_string() };
        let fees = match row.gas {
            GasPolicy::Free => "none".to_owned(),
            GasPolicy::Market => format!("EIP-1559; {}", gwei(row.max_fee)),
            GasPolicy::Legacy => format!("one price; {}", gwei(row.max_fee)),
        };
        let data = match row.data_fee {
            DataFee::None => "-",
            DataFee::FromBalance => "beside gas, by bytes",
            DataFee::AsGas => "as gas, by bytes",
        };
        let p256 = row.prices.p256.map_or("no".to_owned(), thousands);
        writeln!(
            out,
            "| `{}`: {} | {id}{}{} | {:?} | {fees} | {data} | {p256} | {} | {} ({}) | {} s |",
            row.name,
            row.about,
            if ids.is_empty() { "" } else { "; " },
            ids.join(", "),
            row.fork,
            thousands(row.block_gas),
            row.confirmations,
            row.reorg_depth,
            row.block_ms as f64 / 1_000.0,
        )
        .expect("a string");
    }
    out.push_str("\n| prices | ");
    out.push_str(&real().map(|r| format!("`{}`", r.name)).collect::<Vec<_>>().join(" | "));
    out.push_str(" |\n|---|");
    out.push_str(&"---|".repeat(real().count()));
    out.push('\n');
    type Price = (&'static str, fn(&ChainProfile) -> String);
    let prices: [Price; 9] = [
        ("BN254 addition", |r| thousands(r.prices.bn254_add)),
        ("BN254 multiplication", |r| thousands(r.prices.bn254_mul)),
        ("BN254 pairing product of k", |r| {
            format!("{} + {} k", thousands(r.prices.bn254_pairing[0]), thousands(r.prices.bn254_pairing[1]))
        }),
        ("all of these in one check of a proof", |r| thousands(r.prices.groth16())),
        ("cap that a verifier gives to the pairing product", |r| thousands(r.proofs.caps[2])),
        ("gas limit of a transaction with a proof", |r| {
            r.proofs.limit.map_or("estimated".to_owned(), thousands)
        }),
        ("first read of a slot; first access in a write", |r| {
            format!("{}; {}", thousands(r.prices.cold_sload), thousands(r.prices.cold_sstore))
        }),
        ("a transaction", |r| thousands(r.prices.transaction)),
        ("a byte of calldata: zero, other (least, if there is a floor)", |r| {
            let [zero, other] = r.prices.calldata;
            match r.prices.calldata_floor {
                0 => format!("{zero}, {other}"),
                floor => format!("{zero}, {other} ({floor}, {})", 4 * floor),
            }
        }),
    ];
    for (what, show) in prices {
        let cells: Vec<_> = real().map(show).collect();
        writeln!(out, "| {what} | {} |", cells.join(" | ")).expect("a string");
    }
    out.push_str("\nWhere the figures come from, and what to know:\n\n");
    for row in real() {
        writeln!(out, "- `{}`", row.name).expect("a string");
        for source in row.sources {
            let how = if source.assumed { "*assumed*: " } else { "" };
            writeln!(out, "  - {}: {how}{}", source.what, source.from).expect("a string");
        }
        for note in row.notes {
            writeln!(out, "  - **{note}**").expect("a string");
        }
    }
    out
}

fn table_of_gas(all: &[Ran]) -> String {
    let mut out = String::from("| gas | ");
    out.push_str(&all.iter().map(|r| format!("`{}`", r.row.name)).collect::<Vec<_>>().join(" | "));
    out.push_str(" |\n|---|");
    out.push_str(&"---|".repeat(all.len()));
    out.push('\n');
    let mut line = |what: &str, cell: &dyn Fn(&Ran) -> String| {
        let cells: Vec<_> = all.iter().map(cell).collect();
        writeln!(out, "| {what} | {} |", cells.join(" | ")).expect("a string");
    };
    line("deploy, seven transactions", &|r| thousands(r.deployment.0));
    line("the largest of them", &|r| thousands(r.deployment.1));
    for (i, (verb, _)) in all[0].gas.iter().enumerate() {
        line(verb, &|r| thousands(r.gas[i].1));
    }
    line("deliver_with_proof, pays, signed by a P-256 device", &|r| match &r.p256 {
        Ok(gas) => thousands(*gas),
        Err(e) => format!("refused: `{}`", e.revert_name().unwrap_or(e.code())),
    });
    let [epoch, claim, deliver] = all[0].calldata[..] else { panic!("three kinds") };
    writeln!(
        out,
        "\nCalldata, which data fees go by: {epoch} bytes to post an epoch, {claim} to claim from a tree of three, {deliver} to \
         deliver with a proof and 72 public words; a signed transaction has some 110 more.",
    )
    .expect("a string");
    out
}

fn between<'a>(text: &'a str, name: &str) -> (&'a str, &'a str, &'a str) {
    let (open, close) = (format!("<!-- generated: {name} -->\n"), format!("<!-- end: {name} -->"));
    let from = text.find(&open).expect("the mark") + open.len();
    let to = text.find(&close).expect("the end mark");
    (&text[..from], &text[from..to], &text[to..])
}

/// One test, so that all rows run and the document is compared once.
#[tokio::test(flavor = "multi_thread")]
async fn every_row_runs_the_whole_story_at_its_own_prices() {
    let tasks: Vec<_> = real().map(|row| tokio::spawn(run(row))).collect();
    let mut all = Vec::new();
    for task in tasks {
        all.push(task.await.expect("no panic"));
    }
    for ran in &all {
        let row = ran.row;
        assert!(ran.deployment.1 <= 8_000_000, "{}: probe.rs says how large the largest is", row.name);
        match (&ran.p256, row.prices.p256) {
            (Ok(_), Some(_)) => {}
            (Err(e), None) => assert_eq!(e.revert_name(), Some("MissingPrecompile"), "{}: {e}", row.name),
            (other, price) => panic!("{}: {other:?} with price {price:?}", row.name),
        }
        // A fixed limit holds every transaction with a proof, with a third to spare.
        let dearest = ["deliver_with_proof", "deliver_with_proof_pays", "challenge_lost"]
            .map(|verb| ran.gas.iter().find(|(name, _)| *name == verb).expect(verb).1);
        if let Some(limit) = row.proofs.limit {
            assert!(dearest.iter().all(|gas| gas * 4 / 3 <= limit), "{}: {dearest:?} of {limit}", row.name);
        }
    }
    // Polygon's price of a check is 97,490 above Ethereum's (PIP-88 by hand), the rest is storage.
    let gas = |name: &str, verb: &str| {
        let ran = all.iter().find(|r| r.row.name == name).expect(name);
        ran.gas.iter().find(|(v, _)| *v == verb).expect(verb).1
    };
    let dearer = gas("polygon", "deliver_with_proof") - gas("ethereum", "deliver_with_proof");
    let (polygon, ethereum) =
        (profile_named("polygon").expect("row"), profile_named("ethereum").expect("row"));
    assert_eq!(polygon.prices.groth16() - ethereum.prices.groth16(), 97_490);
    assert!(dearer > 97_490 && dearer < 97_490 + 60_000, "{dearer}");

    let text = std::fs::read_to_string(DOC).expect("docs/chains.md");
    let mut wanted = text.clone();
    for (name, part) in [("rows", table_of_rows()), ("gas", table_of_gas(&all))] {
        let (before, _, after) = between(&wanted, name);
        wanted = format!("{before}\n{part}\n{after}");
    }
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(DOC, &wanted).expect("writes");
        return;
    }
    assert!(text == wanted, "docs/chains.md differs: if meant, run with BLESS=1 and commit");
}

#[test]
fn rows_are_found_by_id_and_name_and_make_sense() {
    for (i, row) in PROFILES.iter().enumerate() {
        assert_eq!(profile_named(row.name), Some(row));
        for id in std::iter::once(&row.chain_id).chain(row.test_ids).filter(|id| **id != 0) {
            assert_eq!(proofmesh_settle::profile(*id), row, "{id} is of one row");
        }
        assert!(row.confirmations >= 1 && row.poll_ms >= 1 && row.wait_ms >= row.poll_ms, "{}", row.name);
        let waited = row.confirmations * row.block_ms;
        assert!(row.wait_ms >= 2 * waited, "{}: waits too short for {waited} ms of confirmations", row.name);
        assert!(row.proofs.limit.is_none_or(|gas| gas <= row.transaction_gas()), "{}", row.name);
        assert!(!row.sources.is_empty(), "{}: no figure without a source", row.name);
        assert_eq!(row.is_any(), i + 1 == PROFILES.len(), "the last row is for any other");
        assert_eq!(row.max_fee == 0, row.gas == GasPolicy::Free, "{}", row.name);
    }
    assert!(proofmesh_settle::profile(424_242).is_any());
    let any = PROFILES.last().expect("rows");
    let e = Chain::rehearse(any, Clock::fixed(START), &[]).err().expect("no chain id");
    assert_eq!(e.code(), "settle.bad-input");
}

/// Fees are real there: who has nothing is refused, and a row's bound holds against any price.
#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsed_chain_takes_fees() {
    let row = profile_named("polygon").expect("row");
    let poor = Chain::rehearse(row, Clock::fixed(START), &[]).expect("a chain");
    let e = poor.deploy(&signer(GOVERNOR), &params(1)).await.err().expect("no money");
    assert_eq!(e.code(), "settle.rpc", "{e}");
    let mean = ChainProfile { max_fee: 999_999_999, ..*row };
    let chain = Chain::rehearse(&mean, Clock::fixed(START), &[who(GOVERNOR)]).expect("a chain");
    let e = chain.deploy(&signer(GOVERNOR), &params(1)).await.err().expect("too dear");
    assert!(e.code() == "settle.fee-too-high" && e.is_retryable(), "{e}");
    assert_eq!(chain.embedded().expect("embedded").rpc("eth_blockNumber", json!([])), Ok(json!("0x0")));
}

/// The probe finds each row as it says it is, and another row not.
#[tokio::test(flavor = "multi_thread")]
async fn a_probe_tells_rows_apart() {
    for row in real() {
        let chain = rehearse(row);
        let probe = chain.probe(None, None).await.expect("answers");
        probe.holds().unwrap_or_else(|e| panic!("{e}"));
        let other = if row.name == "polygon" { "iotex" } else { "polygon" };
        let probe = chain.probe(profile_named(other), None).await.expect("answers");
        let failed: Vec<_> = probe.checks.iter().filter(|c| c.outcome == Outcome::Fails).collect();
        assert!(failed.iter().any(|c| c.name == "chain-id"), "{}", row.name);
        assert!(failed.iter().all(|c| !c.to_do.is_empty()));
        assert_eq!(probe.holds().expect_err("another chain").code(), "settle.wrong-chain");
    }
    // A chain without P-256, held against Ethereum's rules; one with Polygon's prices, held against Ethereum's caps.
    let ethereum = profile_named("ethereum").expect("row");
    let polygon = profile_named("polygon").expect("row");
    let missing =
        ChainProfile { prices: proofmesh_settle::Prices { p256: None, ..ethereum.prices }, ..*ethereum };
    let twice = proofmesh_settle::Prices { bn254_pairing: [150_000, 150_000], ..polygon.prices };
    let dear = ChainProfile { prices: twice, chain_id: 1, ..*ethereum };
    for (chain, name) in [(missing, "p256"), (dear, "bn254-pairing-true")] {
        let probe = rehearse(&chain).probe(Some(ethereum), None).await.expect("answers");
        let failed: Vec<_> =
            probe.checks.iter().filter(|c| c.outcome == Outcome::Fails).map(|c| c.name).collect();
        assert!(failed.contains(&name), "{failed:?}");
    }
}
