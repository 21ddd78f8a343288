//! Every kind of chain tells the same story at the same price: the embedded chain, and a real anvil that
//! the test starts.

mod anvil;
mod proofs;
mod scenario;
mod toy;

use alloy::providers::{Provider, ProviderBuilder, RootProvider};
use proofmesh_settle::{Chain, Clock, Done, EMBEDDED_CHAIN_ID};
use scenario::*;

/// Gas of every verb as committed; `BLESS=1` writes it anew.
const GAS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gas.json");

fn table(gas: &Gas) -> String {
    let rows: Vec<_> = gas.iter().map(|(case, gas)| format!("  \"{case}\": {gas}")).collect();
    format!("{{\n{}\n}}\n", rows.join(",\n"))
}

/// Both parts of the story, each on a fresh chain.
async fn whole(first: &Chain, second: &Chain) -> Gas {
    let mut gas = tell(first).await;
    proofs::tell(second, &mut gas).await;
    gas
}

async fn embedded() -> Chain {
    Chain::open("embedded:", Clock::fixed(START)).await.expect("opens")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_chain_conforms_at_the_committed_price() {
    let gas = table(&whole(&embedded().await, &embedded().await).await);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(GAS, &gas).expect("writes");
    }
    let committed = std::fs::read_to_string(GAS).expect("tests/gas.json is committed");
    assert_eq!(committed, gas, "gas changed: if meant, run with BLESS=1 and commit");
}

#[tokio::test(flavor = "multi_thread")]
async fn anvil_conforms_at_the_same_price() {
    let (Some(one), Some(two)) =
        (anvil::start(EMBEDDED_CHAIN_ID, true), anvil::start(EMBEDDED_CHAIN_ID, true))
    else {
        return;
    };
    let first = Chain::open(&one.url, Clock::fixed(0)).await.expect("opens");
    let second = Chain::open(&two.url, Clock::fixed(0)).await.expect("opens");
    let gas = whole(&first, &second).await;
    assert_eq!(gas, whole(&embedded().await, &embedded().await).await);
}

/// A run that dies between sending and recording, on a chain that has not mined yet: the next run must not
/// pay twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_verb_cut_off_before_its_block_is_not_done_twice() {
    let Some(anvil) = anvil::start(EMBEDDED_CHAIN_ID, true) else { return };
    let control: RootProvider = ProviderBuilder::default().connect_http(anvil.url.parse().expect("url"));
    let chain = Chain::open(&anvil.url, Clock::fixed(0)).await.expect("opens");
    let s = chain.deploy(&signer(GOVERNOR), &params(1)).await.expect("deploys");
    s.mint(&signer(GOVERNOR), who(BUYER), usd(100)).await.expect("mints");
    // The approval is mined, so that only the deposit is cut off.
    s.deposit(&signer(BUYER), usd(10)).await.expect("deposits");
    let _: () = control.raw_request("evm_setAutomine".into(), [false]).await.expect("anvil");
    s.deposit(&signer(BUYER), usd(10)).await.expect("is there");

    let nonce = control.get_transaction_count(who(BUYER).0.into()).await.expect("reads");
    let token = s.deployment().token;
    for round in 0..2 {
        // The first round is cut off with the approval on its way, the second with the deposit on its way.
        let buyer = signer(BUYER);
        let waiting = s.deposit(&buyer, usd(30));
        tokio::time::timeout(std::time::Duration::from_millis(700), waiting)
            .await
            .expect_err("nothing is mined");
        let pending = control.get_transaction_count(who(BUYER).0.into()).pending().await.expect("reads");
        assert_eq!(pending, nonce + round + 1, "one transaction is on its way");
        if round == 0 {
            let _: serde_json::Value = control.raw_request("evm_mine".into(), ()).await.expect("anvil");
        }
    }
    // A new process: nothing remembered. It competes for the same nonce, the block comes, and the target is
    // reached once.
    let fresh = chain.attach(s.deployment()).await.expect("attaches");
    let (account, miner) = (signer(BUYER), async {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        let _: () = control.raw_request("evm_setAutomine".into(), [true]).await.expect("anvil");
        let _: serde_json::Value = control.raw_request("evm_mine".into(), ()).await.expect("anvil");
    });
    let (done, ()) = tokio::join!(fresh.deposit(&account, usd(30)), miner);
    done.expect("is done");
    assert_eq!(fresh.deposit(&signer(BUYER), usd(30)).await.expect("reads"), Done::Already);
    assert_eq!(fresh.deposited(who(BUYER)).await.expect("reads"), usd(30));
    assert_eq!(fresh.balance_of(who(BUYER)).await.expect("reads"), usd(70));
    assert_ne!(token, who(BUYER));
}

/// A chain with fees, and accounts that pay them.
#[tokio::test(flavor = "multi_thread")]
async fn fees_are_paid_where_gas_costs() {
    let Some(anvil) = anvil::start(31_337, false) else { return };
    let control: RootProvider = ProviderBuilder::default().connect_http(anvil.url.parse().expect("url"));
    for n in [GOVERNOR, BUYER] {
        let rich = (who(n).to_string(), "0xde0b6b3a7640000");
        let _: () = control.raw_request("anvil_setBalance".into(), rich).await.expect("anvil");
    }
    let chain = Chain::open(&anvil.url, Clock::fixed(0)).await.expect("opens");
    let s = chain.deploy(&signer(GOVERNOR), &params(1)).await.expect("deploys");
    s.mint(&signer(GOVERNOR), who(BUYER), usd(100)).await.expect("mints");
    s.deposit(&signer(BUYER), usd(10)).await.expect("deposits");
    assert_eq!(s.deposited(who(BUYER)).await.expect("reads"), usd(10));
    let left = control.get_balance(who(BUYER).0.into()).await.expect("reads");
    assert!(left < alloy::primitives::U256::from(1_000_000_000_000_000_000u64), "gas was paid");
}
