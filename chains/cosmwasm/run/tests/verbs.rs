//! Every verb once in the real machine, what it pays to whom, and what it costs: `gas.json`, exactly (`BLESS=1` writes it).

mod town;

use cosmwasm_std::{Binary, CosmosMsg, WasmMsg, from_json};
use proofmesh_cosmwasm_run::{Contract, Gas, artifact, hold_gas};
use proofmesh_cosmwasm_settlement::msg::{Consume, Execute, Query};
use proofmesh_market::tree::{Tree, balance_leaf, receipt_leaf};
use proofmesh_market::{Address, Domain, Epoch, Hash32, keccak};
use std::collections::BTreeMap;
use town::{CHALLENGE_BOND, MODEL, POSTER_BOND, Town, WINDOW_S, account, funds, paid, set_up, usd, who};

/// An epoch of a million accounts, and the node's path in it.
fn million(node: Address) -> (Tree, Vec<Hash32>, u64) {
    let mut leaves: Vec<Hash32> = (0..1_000_000u32)
        .map(|n| {
            let mut account = Address([0; 20]);
            account.0[..4].copy_from_slice(&n.to_be_bytes());
            balance_leaf(&account, usd(5))
        })
        .collect();
    leaves[314_159] = balance_leaf(&node, usd(3_000_000));
    let tree = Tree::new(leaves);
    let proof = tree.proof(314_159).expect("a leaf");
    (tree, proof, 999_999 * 5 + 3_000_000)
}

#[test]
fn every_verb_does_what_it_says_and_costs_what_is_written() {
    let mut gas: BTreeMap<&str, Gas> = BTreeMap::new();
    let mut town = Town::bare();
    gas.insert("instantiate", Contract::new("settlement").instantiate(&set_up()).gas);
    let expected = Domain::of_contract("cosmos:proofmesh-1", &{
        let api = cosmwasm_std::testing::MockApi::default().with_prefix("cosmwasm");
        cosmwasm_std::Api::addr_canonicalize(&api, town.contract.address().as_str())
            .expect("an address")
            .to_vec()
    });
    assert_eq!(town.domain, expected, "receipts are made out to this contract on this chain");

    let (node, buyer) = (town.node.clone(), town.job.buyer);
    let mut run = |town: &mut Town, name: &'static str, sender: &str, coins: u64, message: &Execute| {
        let coins = if coins == 0 { Vec::new() } else { funds(coins) };
        let done = town.send(sender, &coins, message);
        gas.insert(name, done.gas);
        paid(done)
    };
    let none = BTreeMap::new();
    let deposit = Execute::Deposit { account: buyer };
    assert_eq!(run(&mut town, "deposit, first", "anybody", 9_000_000, &deposit), none);
    assert_eq!(run(&mut town, "deposit, again", "anybody", 1_000_000, &deposit), none);
    assert_eq!(run(&mut town, "bond_poster", "poster", POSTER_BOND, &Execute::BondPoster {}), none);
    let register = Execute::RegisterModel { model: MODEL, key: Binary::from(town.toy.key()) };
    assert_eq!(run(&mut town, "register_model", "governor", 0, &register), none);
    let named = town.name_payee(&node, "purse", 1);
    assert_eq!(run(&mut town, "name_payee", "anybody", 0, &named), none);
    town.contract.wait(10);

    // An epoch of a million balances and one receipt, posted, challenged, answered, final, claimed.
    let (tree, proof, total) = million(node.address());
    assert_eq!(proof.len(), 20);
    let receipt = town.receipt(0);
    let digest = receipt.digest(&town.domain);
    let epoch = Epoch {
        number: 1,
        balances_root: tree.root(),
        receipts_root: receipt_leaf(&digest),
        log_hash: Hash32([1; 32]),
        total: usd(total),
    };
    assert_eq!(
        run(&mut town, "post_epoch, 1,000,000 accounts", "poster", 0, &Execute::PostEpoch { epoch }),
        none
    );
    let challenge = Execute::Challenge { epoch: 1, receipt: receipt.clone(), proof: Vec::new() };
    assert_eq!(run(&mut town, "challenge", "doubter", CHALLENGE_BOND, &challenge), none);
    let signed = town.sign(receipt.clone());
    let answer = Execute::Answer { epoch: 1, receipt: signed.clone(), evidence: town.evidence(&receipt) };
    let won = BTreeMap::from([(who("poster").to_string(), CHALLENGE_BOND)]);
    assert_eq!(run(&mut town, "answer", "anybody", 0, &answer), won);
    town.contract.wait(WINDOW_S);
    let claim = Execute::Claim { account: node.address(), cumulative: usd(3_000_000), proof };
    let purse = BTreeMap::from([(who("purse").to_string(), 3_000_000)]);
    assert_eq!(run(&mut town, "claim, 1 of 1,000,000", "anybody", 0, &claim), purse);
    let settled = Query::IsSettled { digest, epoch: 1, proof: Vec::new() };
    assert_eq!(town.contract.query::<bool>(&settled), Ok(true));

    // Delivery without any poster: the consumer gets the result in the same transaction.
    let receipt = town.receipt(1);
    let (signed, shown) = (town.sign(receipt.clone()), town.evidence(&receipt));
    let done = town.send("anybody", &[], &town.deliver(&signed, &shown));
    let response = {
        gas.insert("deliver", done.gas);
        done.response()
    };
    let [message] = &response.messages[..] else { panic!("one message: {:?}", response.messages) };
    let CosmosMsg::Wasm(WasmMsg::Execute { contract_addr, msg, funds: sent }) = &message.msg else {
        panic!("a call: {message:?}")
    };
    assert_eq!((contract_addr.as_str(), sent.len()), (who("cover").as_str(), 0));
    let Consume::Deliver { id, receipt: handed, digest, output, key_hash } =
        from_json(msg).expect("a delivery");
    assert_eq!((id, handed, output), (Hash32([5; 32]), receipt.clone(), vec![town::CLASS]));
    assert_eq!((digest, key_hash), (receipt.digest(&town.domain), keccak(&town.toy.key())));

    // A wrong receipt that nobody can prove: challenged, resolved, the bond moves, the epoch is gone.
    let mut run = |town: &mut Town, name: &'static str, sender: &str, message: &Execute| {
        let done = town.send(sender, &[], message);
        gas.insert(name, done.gas);
        paid(done)
    };
    let wrong = town.receipt(2);
    let (done, _) = town.post(2, &[(node.address(), 9_000_000)], std::slice::from_ref(&wrong));
    done.response();
    let challenge = Execute::Challenge { epoch: 2, receipt: wrong.clone(), proof: Vec::new() };
    town.send("doubter", &funds(CHALLENGE_BOND), &challenge).response();
    town.contract.wait(town::RESPONSE_S + 1);
    let digest = wrong.digest(&town.domain);
    let slashed = BTreeMap::from([
        (who("doubter").to_string(), POSTER_BOND / 2 + CHALLENGE_BOND),
        ("burned".to_owned(), POSTER_BOND / 2),
    ]);
    assert_eq!(run(&mut town, "resolve", "anybody", &Execute::Resolve { epoch: 2, digest }), slashed);
    assert_eq!(town.contract.query(&Query::Epoch { number: 2 }), Ok(None::<serde_json::Value>));

    // The auditor's veto; then silence, and everybody can leave.
    town.send("poster", &funds(POSTER_BOND), &Execute::BondPoster {}).response();
    town.post(2, &[(node.address(), 9_000_000)], std::slice::from_ref(&wrong)).0.response();
    town.send("doubter", &funds(CHALLENGE_BOND), &challenge).response();
    assert_eq!(run(&mut town, "veto", "auditor", &Execute::Veto { epoch: 2 }), none);
    let refund = Execute::RefundChallenge { post: 3, digest };
    let back = BTreeMap::from([(who("doubter").to_string(), CHALLENGE_BOND)]);
    assert_eq!(run(&mut town, "refund_challenge", "anybody", &refund), back);
    let unbond = Execute::UnbondPoster { amount: usd(POSTER_BOND) };
    let bond = BTreeMap::from([(who("poster").to_string(), POSTER_BOND)]);
    assert_eq!(run(&mut town, "unbond_poster", "poster", &unbond), bond);
    town.send("anybody", &[], &town.name_payee(&account(8), "home", 1)).response();
    town.contract.wait(30 * 86_400);
    assert_eq!(run(&mut town, "open_exit", "anybody", &Execute::OpenExit {}), none);
    let rest = BTreeMap::from([(who("home").to_string(), 10_000_000 - total)]);
    assert_eq!(run(&mut town, "exit", "anybody", &Execute::Exit { account: buyer }), rest);
    hold_gas("gas.json", &gas);
}

/// wasmd's limit on a contract's code, unpacked (`MaxWasmSize`).
#[test]
fn the_contracts_are_small_enough_to_be_stored() {
    for name in ["settlement", "zk"] {
        let bytes = artifact(name).len();
        assert!(bytes <= 800 * 1_024, "{name}: {bytes}");
    }
}
