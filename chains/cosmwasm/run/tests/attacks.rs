//! Lies and thefts in the real machine, each refused by its name and without any effect.

mod town;

use cosmwasm_std::{Binary, coin};
use proofmesh_cosmwasm_run::{Contract, Done};
use proofmesh_cosmwasm_settlement::msg::{Evidence, Execute, Query};

use proofmesh_market::{AccountSignature, Hash32, Receipt, SignedReceipt, keccak};
use town::toy::Toy;
use town::{CHALLENGE_BOND, MODEL, POSTER_BOND, Town, WINDOW_S, account, funds, paid, set_up, usd, who};

/// An epoch of two accounts and two receipts that is final.
fn settled() -> (Town, town::Books) {
    let mut town = Town::new();
    let balances = [(town.node.address(), 2_000_000), (account(20).address(), 1_000_000)];
    let receipts = [town.receipt(0), town.receipt(1)];
    let (done, books) = town.post(1, &balances, &receipts);
    done.response();
    town.contract.wait(WINDOW_S);
    (town, books)
}

#[test]
fn claims_go_to_the_account_once_and_by_its_own_path() {
    let (mut town, books) = settled();
    let (node, other) = (town.node.address(), account(20).address());
    let [path, other_path] = [0, 1].map(|index| books.balances.proof(index).expect("a leaf"));
    // The wrong path, too little of it, too much; another amount; another's path.
    assert_eq!(town.claim(node, 2_000_000, other_path.clone()).refusal(), "claim.path");
    assert_eq!(town.claim(node, 2_000_000, Vec::new()).refusal(), "claim.path");
    let long = [&path[..], &[Hash32::ZERO]].concat();
    assert_eq!(town.claim(node, 2_000_000, long).refusal(), "claim.path");
    assert_eq!(town.claim(node, 2_000_000, vec![Hash32::ZERO; 65]).refusal(), "claim.path");
    assert_eq!(town.claim(node, 2_000_001, path.clone()).refusal(), "claim.path");
    assert_eq!(town.claim(other, 2_000_000, path.clone()).refusal(), "claim.path");
    // An account that named no payee keeps its money here.
    assert_eq!(town.claim(other, 1_000_000, other_path).refusal(), "claim.no-payee");
    assert_eq!(
        paid(town.claim(node, 2_000_000, path.clone())).into_values().collect::<Vec<_>>(),
        [2_000_000]
    );
    assert_eq!(town.claim(node, 2_000_000, path).refusal(), "claim.nothing");
}

#[test]
fn leaves_that_add_up_to_more_than_the_total_are_cut_off() {
    let mut town = Town::new();
    let (node, other) = (town.node.clone(), account(20));
    town.send("anybody", &[], &town.name_payee(&other, "other", 1)).response();
    let books = town.post(1, &[(node.address(), 2_000_000), (other.address(), 1_000_000)], &[]).1;
    // The same leaves under a smaller total.
    town.send("auditor", &[], &Execute::Veto { epoch: 1 }).response();
    let epoch = proofmesh_market::Epoch {
        number: 1,
        balances_root: books.balances.root(),
        receipts_root: Hash32::ZERO,
        log_hash: Hash32::ZERO,
        total: usd(2_500_000),
    };
    town.send("poster", &[], &Execute::PostEpoch { epoch }).response();
    town.contract.wait(WINDOW_S);
    paid(town.claim(node.address(), 2_000_000, books.balances.proof(0).expect("a leaf")));
    let late = town.claim(other.address(), 1_000_000, books.balances.proof(1).expect("a leaf"));
    assert_eq!(late.refusal(), "claim.exceeds-total");
}

#[test]
fn nobody_names_a_payee_for_another() {
    let mut town = Town::new();
    let named = |order: &Execute, change: fn(&mut proofmesh_market::Payee, &mut AccountSignature)| {
        let Execute::NamePayee { order, signature } = order.clone() else { panic!("an order") };
        let (mut order, mut signature) = (order, signature);
        change(&mut order, &mut signature);
        Execute::NamePayee { order, signature }
    };
    let honest = town.name_payee(&town.node.clone(), "new purse", 2);
    let mut refused = |message: Execute| town.send("thief", &[], &message).refusal();
    assert_eq!(refused(named(&honest, |order, _| order.payee[0] ^= 1)), "payee.signature");
    assert_eq!(refused(named(&honest, |order, _| order.nonce = 3)), "payee.signature");
    assert_eq!(refused(named(&honest, |order, _| order.account.0[0] ^= 1)), "payee.signature");
    assert_eq!(refused(named(&honest, |_, signature| signature.0[0] ^= 1)), "payee.signature");
    assert_eq!(refused(named(&honest, |_, signature| signature.0[64] = 29)), "payee.signature");
    assert_eq!(refused(named(&honest, |_, signature| malleate(signature))), "payee.signature");
    assert_eq!(refused(named(&honest, |order, _| order.payee.truncate(19))), "payee.address");
    // Signed for another contract.
    let elsewhere = proofmesh_market::Domain::of_contract("cosmos:proofmesh-2", b"another");
    let home = std::mem::replace(&mut town.domain, elsewhere);
    let foreign = town.name_payee(&town.node.clone(), "new purse", 2);
    town.domain = home;
    assert_eq!(town.send("thief", &[], &foreign).refusal(), "payee.signature");
    // An older order does not come back.
    town.send("anybody", &[], &honest).response();
    assert_eq!(town.send("thief", &[], &honest).refusal(), "payee.replayed");
    let old = town.name_payee(&town.node.clone(), "purse", 1);
    assert_eq!(town.send("thief", &[], &old).refusal(), "payee.replayed");
}

/// The second signature of the same: n - s with the other v.
fn malleate(signature: &mut AccountSignature) {
    const ORDER: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xba,
        0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41,
    ];
    let mut borrow = 0i32;
    for i in (0..32).rev() {
        let difference = i32::from(ORDER[i]) - i32::from(signature.0[32 + i]) - borrow;
        borrow = i32::from(difference < 0);
        signature.0[32 + i] = difference.rem_euclid(256) as u8;
    }
    signature.0[64] = 55 - signature.0[64];
}

/// What a delivery with a changed receipt (signed anew) or evidence is refused with.
fn delivered(town: &mut Town, change: impl FnOnce(&mut Receipt), shown: impl FnOnce(&mut Evidence)) -> Done {
    let mut receipt = town.receipt(0);
    change(&mut receipt);
    let mut evidence = town.evidence(&town.receipt(0));
    shown(&mut evidence);
    let signed = town.sign(receipt);
    let message = town.deliver(&signed, &evidence);
    town.send("anybody", &[], &message)
}

#[test]
fn evidence_that_does_not_hold_is_refused_by_the_name_of_what_fails() {
    let mut town = Town::new();
    let rejected = "inference.proof.proof-rejected";
    let toy = Toy::new(2);
    let keep = |_: &mut Receipt| ();
    let same = |_: &mut Evidence| ();
    let flip = |at: usize| {
        move |shown: &mut Evidence| {
            let mut bytes = shown.proof.to_vec();
            bytes[at] ^= 1;
            shown.proof = Binary::from(bytes);
        }
    };
    // A mutated proof: off the curve, another point, cut, long.
    for at in [31, 63, 95, 191, 255] {
        assert_eq!(delivered(&mut town, keep, flip(at)).refusal(), "inference.proof.point-rejected", "{at}");
    }
    assert_eq!(delivered(&mut town, keep, flip(0)).refusal(), "inference.proof.point-rejected");
    let short = |shown: &mut Evidence| shown.proof = Binary::from(&shown.proof[..255]);
    assert_eq!(delivered(&mut town, keep, short).refusal(), "inference.proof.bad-length");
    // A proof of another receipt: another context, so another statement. And one under another key.
    let second = town.evidence(&town.receipt(1)).proof;
    assert_eq!(delivered(&mut town, keep, |shown| shown.proof = second).refusal(), rejected);
    let statement = {
        let (receipt, shown) = (town.receipt(0), town.evidence(&town.receipt(0)));
        let context = receipt.context(&town.domain);
        let words = &shown.public_words;
        proofmesh_market::statement::public_input(
            &receipt.model,
            &context,
            &receipt.input,
            words,
            &[town::CLASS],
        )
    };
    let forged = Binary::from(toy.prove(&statement, 0));
    assert_eq!(delivered(&mut town, keep, |shown| shown.proof = forged).refusal(), rejected);
    // Swapped public input: the words are held against the feed, the commitment and the place against the proof.
    let word = |shown: &mut Evidence| {
        let mut bytes = shown.public_words.to_vec();
        bytes[3] ^= 1;
        shown.public_words = bytes.into();
    };
    assert_eq!(delivered(&mut town, keep, word).refusal(), "inference.reference-missing");
    let cut = |shown: &mut Evidence| shown.public_words = Binary::from(&shown.public_words[..71]);
    assert_eq!(delivered(&mut town, keep, cut).refusal(), "evidence.public-words");
    let foreign = town.evidence(&town.receipt(1));
    let row = |shown: &mut Evidence| {
        (shown.public_words, shown.feed_proof) = (foreign.public_words.clone(), foreign.feed_proof.clone());
    };
    assert_eq!(delivered(&mut town, keep, row).refusal(), "inference.reference-missing");
    assert_eq!(delivered(&mut town, |receipt| receipt.input.0[0] ^= 1, same).refusal(), rejected);
    assert_eq!(delivered(&mut town, |receipt| receipt.sequence = 9, same).refusal(), rejected);
    // The job's terms.
    assert_eq!(delivered(&mut town, |receipt| receipt.job.0[0] ^= 1, same).refusal(), "receipt.wrong-job");
    assert_eq!(delivered(&mut town, keep, |shown| shown.job.max_units = 9).refusal(), "receipt.wrong-job");
    assert_eq!(
        delivered(&mut town, |receipt| receipt.model.0[0] ^= 1, same).refusal(),
        "receipt.wrong-model"
    );
    assert_eq!(
        delivered(&mut town, |receipt| receipt.service.0[0] ^= 1, same).refusal(),
        "receipt.wrong-service"
    );
    assert_eq!(delivered(&mut town, |receipt| receipt.units = 2, same).refusal(), "receipt.wrong-units");
    assert_eq!(delivered(&mut town, |receipt| receipt.units = 0, same).refusal(), "receipt.no-units");
    let shifted = |receipt: &mut Receipt| {
        (receipt.window_start, receipt.window_end) = (receipt.window_start + 1, receipt.window_end + 1)
    };
    assert_eq!(delivered(&mut town, shifted, same).refusal(), "inference.wrong-window");
    assert_eq!(
        delivered(&mut town, |receipt| receipt.window_end += 9 * 86_400, same).refusal(),
        "receipt.wrong-window"
    );
    // The signatures: each of the two keys must have signed this digest.
    let honest = town.sign(town.receipt(0));
    let evidence = town.evidence(&town.receipt(0));
    let mut lie = honest.clone();
    lie.node_signature = town.sign(town.receipt(1)).node_signature;
    assert_eq!(town.send("anybody", &[], &town.deliver(&lie, &evidence)).refusal(), "receipt.node-signature");
    let mut lie = honest.clone();
    malleate(&mut lie.node_signature);
    assert_eq!(town.send("anybody", &[], &town.deliver(&lie, &evidence)).refusal(), "receipt.node-signature");
    let mut lie = honest.clone();
    lie.device_signature.0[40] ^= 1;
    assert_eq!(
        town.send("anybody", &[], &town.deliver(&lie, &evidence)).refusal(),
        "receipt.device-signature"
    );
    // Another output than the receipt's.
    let lie = SignedReceipt::from_parts(
        honest.receipt.clone(),
        vec![0; 4],
        honest.device_signature,
        honest.node_signature,
    )
    .expect("a form");
    assert_eq!(town.send("anybody", &[], &town.deliver(&lie, &evidence)).refusal(), "receipt.output-differs");
    // None of it left a mark: the honest delivery goes through, once.
    let message = town.deliver(&honest, &evidence);
    town.send("anybody", &[], &message).response();
    assert_eq!(town.send("copier", &[], &message).refusal(), "delivery.replayed");
}

#[test]
fn a_window_that_is_not_over_and_a_model_without_a_key_are_refused() {
    let mut town = Town::new();
    town.job.window_until_s += 90 * 86_400;
    let mut early = town.receipt(0);
    (early.window_start, early.window_end) =
        (early.window_start + 60 * 86_400, early.window_end + 60 * 86_400);
    let (signed, shown) = (town.sign(early), town.evidence(&town.receipt(0)));
    assert_eq!(
        town.send("anybody", &[], &town.deliver(&signed, &shown)).refusal(),
        "receipt.window-not-over"
    );
    town.job.model = Hash32([2; 32]);
    let (signed, shown) = (town.sign(town.receipt(0)), town.evidence(&town.receipt(0)));
    assert_eq!(town.send("anybody", &[], &town.deliver(&signed, &shown)).refusal(), "model.unknown");
}

#[test]
fn the_poster_cannot_exceed_its_rules() {
    let mut town = Town::new();
    let node = town.node.address();
    let post = |town: &mut Town, number: u64, micro: u64| town.post(number, &[(node, micro)], &[]).0;
    assert_eq!(post(&mut town, 2, 1).refusal(), "epoch.number");
    assert_eq!(post(&mut town, 1, 10_000_001).refusal(), "epoch.total-exceeds-deposits");
    post(&mut town, 1, 5).response();
    assert_eq!(post(&mut town, 1, 6).refusal(), "epoch.number");
    assert_eq!(post(&mut town, 2, 4).refusal(), "epoch.total-fell");
    let unbond = Execute::UnbondPoster { amount: usd(1) };
    assert_eq!(town.send("poster", &[], &unbond).refusal(), "poster.bond-in-use");
    town.contract.wait(WINDOW_S);
    assert_eq!(town.send("thief", &[], &unbond).refusal(), "poster.not");
    town.send("poster", &[], &unbond).response();
    assert_eq!(post(&mut town, 2, 6).refusal(), "poster.bond-too-small");
    let too_much = Execute::UnbondPoster { amount: usd(POSTER_BOND) };
    assert_eq!(town.send("poster", &[], &too_much).refusal(), "poster.bond-too-small");
    assert_eq!(town.send("thief", &[], &Execute::Veto { epoch: 1 }).refusal(), "auditor.not");
    assert_eq!(town.send("auditor", &[], &Execute::Veto { epoch: 1 }).refusal(), "epoch.not-pending");
    // Money that nobody asked for, of another kind, of none.
    let deposit = Execute::Deposit { account: node };
    assert_eq!(town.send("anybody", &[], &deposit).refusal(), "funds.denom");
    assert_eq!(town.send("anybody", &[coin(5, "dust")], &deposit).refusal(), "funds.denom");
    assert_eq!(town.send("anybody", &[coin(u128::MAX, town::DENOM)], &deposit).refusal(), "funds.amount");
    assert_eq!(town.send("anybody", &funds(1), &Execute::OpenExit {}).refusal(), "funds.unasked");
    assert_eq!(town.send("anybody", &[], &Execute::OpenExit {}).refusal(), "exit.too-early");
    assert_eq!(town.send("anybody", &[], &Execute::Exit { account: node }).refusal(), "exit.not-open");
    // Keys: the governor's, once, points only.
    let key = Binary::from(town.toy.key());
    let register = |model: Hash32, key: Binary| Execute::RegisterModel { model, key };
    assert_eq!(town.send("thief", &[], &register(Hash32([3; 32]), key.clone())).refusal(), "governor.not");
    assert_eq!(town.send("governor", &[], &register(MODEL, key.clone())).refusal(), "model.exists");
    let mut off = key.to_vec();
    off[63] ^= 1;
    assert_eq!(town.send("governor", &[], &register(Hash32([3; 32]), off.into())).refusal(), "groth16.key");
    let mut nothing = key.to_vec();
    nothing[512..].fill(0);
    assert_eq!(
        town.send("governor", &[], &register(Hash32([3; 32]), nothing.into())).refusal(),
        "groth16.key"
    );
}

#[test]
fn challenges_are_paid_for_and_decided_once() {
    let mut town = Town::new();
    let (receipt, node) = (town.receipt(0), town.node.address());
    let (done, books) = town.post(1, &[(node, 5)], &[receipt.clone(), town.receipt(1)]);
    done.response();
    let path = books.receipts.proof(0).expect("a leaf");
    let ask = |receipt: &Receipt, proof: &[Hash32]| Execute::Challenge {
        epoch: 1,
        receipt: receipt.clone(),
        proof: proof.to_vec(),
    };
    let bond = funds(CHALLENGE_BOND);
    assert_eq!(town.send("doubter", &bond, &ask(&town.receipt(2), &path)).refusal(), "challenge.path");
    assert_eq!(town.send("doubter", &bond, &ask(&receipt, &[])).refusal(), "challenge.path");
    assert_eq!(town.send("doubter", &funds(1), &ask(&receipt, &path)).refusal(), "challenge.bond");
    let mut other = receipt.clone();
    other.service = keccak(b"proofmesh/storage/v1");
    assert_eq!(town.send("doubter", &bond, &ask(&other, &path)).refusal(), "receipt.wrong-service");
    let mut other = receipt.clone();
    other.model = Hash32([3; 32]);
    assert_eq!(town.send("doubter", &bond, &ask(&other, &path)).refusal(), "model.unknown");
    town.send("doubter", &bond, &ask(&receipt, &path)).response();
    assert_eq!(town.send("second", &bond, &ask(&receipt, &path)).refusal(), "challenge.exists");
    let digest = receipt.digest(&town.domain);
    let resolve = Execute::Resolve { epoch: 1, digest };
    assert_eq!(town.send("doubter", &[], &resolve).refusal(), "challenge.too-early");
    let refund = Execute::RefundChallenge { post: 1, digest };
    assert_eq!(town.send("doubter", &[], &refund).refusal(), "challenge.still-standing");
    // The window alone makes nothing final while the challenge is open, and closes the door for more of them.
    town.contract.wait(WINDOW_S);
    let second = ask(&town.receipt(1), &books.receipts.proof(1).expect("a leaf"));
    assert_eq!(town.send("doubter", &bond, &second).refusal(), "challenge.window-closed");
    assert_eq!(
        town.claim(node, 5, books.balances.proof(0).expect("a leaf")).refusal(),
        "claim.nothing-final"
    );
    // Too late to answer; the poster loses, once.
    let answer =
        Execute::Answer { epoch: 1, receipt: town.sign(receipt.clone()), evidence: town.evidence(&receipt) };
    assert_eq!(town.send("poster", &[], &answer).refusal(), "challenge.late");
    assert_eq!(paid(town.send("anybody", &[], &resolve)).len(), 2);
    assert_eq!(town.send("doubter", &[], &resolve).refusal(), "challenge.none");
    assert_eq!(town.send("doubter", &[], &refund).refusal(), "challenge.none");
    assert_eq!(town.send("poster", &[], &answer).refusal(), "challenge.none");
}

#[test]
fn a_wrong_answer_does_not_close_a_challenge() {
    let mut town = Town::new();
    let (receipt, node) = (town.receipt(0), town.node.address());
    town.post(1, &[(node, 5)], std::slice::from_ref(&receipt)).0.response();
    let ask = Execute::Challenge { epoch: 1, receipt: receipt.clone(), proof: Vec::new() };
    town.send("doubter", &funds(CHALLENGE_BOND), &ask).response();
    let (signed, mut evidence) = (town.sign(receipt.clone()), town.evidence(&receipt));
    let honest = evidence.proof.clone();
    evidence.proof = town.evidence(&town.receipt(1)).proof;
    let answer = |evidence: &Evidence| Execute::Answer {
        epoch: 1,
        receipt: signed.clone(),
        evidence: evidence.clone(),
    };
    assert_eq!(town.send("poster", &[], &answer(&evidence)).refusal(), "inference.proof.proof-rejected");
    evidence.proof = honest;
    town.send("poster", &[], &answer(&evidence)).response();
    assert_eq!(town.send("poster", &[], &answer(&evidence)).refusal(), "challenge.none");
    assert_eq!(town.send("second", &funds(CHALLENGE_BOND), &ask).refusal(), "challenge.exists");
}

#[test]
fn bytes_that_are_no_message_are_refused() {
    let mut town = Town::new();
    let mut deep = vec![b'['; 200_000];
    deep.extend_from_slice(b"{\"deposit\":");
    for bytes in
        [&b""[..], b"{", b"{\"take_all\":{}}", b"{\"deposit\":{\"account\":\"0x00\"}}", b"\xff\xfe", &deep]
    {
        let done = town.contract.execute_bytes(&who("thief"), &[], bytes);
        assert!(done.answer.is_err(), "{:?}", done.answer);
    }
    let mut fresh = Contract::new("settlement");
    let mut wrong = set_up();
    wrong.challenge_window_s = 30 * 86_400;
    assert_eq!(fresh.instantiate(&wrong).refusal(), "config.times");
    wrong.challenge_window_s = 5;
    wrong.challenge_bond = usd(0);
    assert_eq!(fresh.instantiate(&wrong).refusal(), "config.bond");
    wrong.challenge_bond = usd(1);
    wrong.poster = "nobody".to_owned();
    assert_eq!(fresh.instantiate(&wrong).refusal(), "machine");
    assert_eq!(fresh.execute(&who("thief"), &[], &Execute::OpenExit {}).refusal(), "config.none");
}

/// The vectors that the Solidity verifier passes, in the machine: every valid proof taken, every lie refused by the same name.
#[test]
fn proofs_are_judged_as_by_the_solidity_verifier() {
    let path = format!("{}/../../../vectors/groth16.json", env!("CARGO_MANIFEST_DIR"));
    let vectors: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).expect("committed")).expect("JSON");
    let bytes = |value: &serde_json::Value| {
        hex::decode(value.as_str().and_then(|text| text.strip_prefix("0x")).expect("0x text"))
            .expect("hexadecimal")
    };
    let key = Binary::from(bytes(&vectors["key"]));
    let cases = vectors["cases"].as_array().expect("a list");
    assert!(cases.len() >= 40, "{}", cases.len());
    let mut contract = Contract::new("settlement");
    for case in cases {
        let statement = Hash32(bytes(&case["input"]).try_into().expect("32 bytes"));
        let proof = Binary::from(bytes(&case["proof"]));
        let answer = contract.query::<bool>(&Query::VerifyProof { key: key.clone(), statement, proof });
        let expected = case["refusal"].as_str().and_then(|text| text.split('(').next()).expect("a name");
        let got = match answer {
            Ok(_) => String::new(),
            Err(text) => text.split(": ").next().unwrap_or_default().to_owned(),
        };
        assert_eq!(got, solidity(expected), "{}", case["name"]);
    }
    // A point of the twist outside its subgroup is no part of a key.
    let mut off = key.to_vec();
    off[64..192].copy_from_slice(&bytes(&vectors["off_subgroup"]));
    let mut town = Town::new();
    let register = Execute::RegisterModel { model: Hash32([3; 32]), key: off.into() };
    assert_eq!(town.send("governor", &[], &register).refusal(), "groth16.key");
}

/// The name here of Solidity's error.
fn solidity(error: &str) -> &'static str {
    match error {
        "" => "",
        "BadLength" => "groth16.bad-length",
        "InputTooLarge" => "groth16.input-too-large",
        "CoordinateTooLarge" => "groth16.coordinate-too-large",
        "PointRejected" => "groth16.point-rejected",
        "ProofRejected" => "groth16.proof-rejected",
        other => panic!("an error that has no name here: {other}"),
    }
}
