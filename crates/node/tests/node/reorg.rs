//! A chain that takes blocks back: what the log credited from them counts once, and nothing goes on while it is gone.

use crate::place::Place;
use crate::poster::{anvil, scenario};
use proofmesh::audit::of_url;
use proofmesh::buyer::fund;
use proofmesh::client::Client;
use proofmesh::coordinator::{Config, MarketTerms};
use proofmesh::engine::keys::Keys;
use proofmesh::engine::place::Engines;
use proofmesh::time::Time;
use proofmesh::up::Up;
use proofmesh_market::order::Enroll;
use proofmesh_market::{AccountSecret, Signed, Usd, What};
use proofmesh_settle::{EMBEDDED_CHAIN_ID, Settlement, Signer};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

const MONEY: Usd = Usd::from_micro(30_000_000);

struct Scene {
    up: Up,
    client: Client,
    settlement: Arc<dyn Settlement>,
    buyer: AccountSecret,
    chain: anvil::Anvil,
    _place: Place,
}

impl Scene {
    /// A coordinator on an anvil, and a buyer with money in the market.
    async fn build() -> Option<Self> {
        let chain = anvil::start(EMBEDDED_CHAIN_ID, true)?;
        let place = Place::new("reorg");
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let config = Config {
            dir: place.0.clone(),
            chain: Some(chain.url.clone()),
            time: Time::standing_at(scenario::START),
            terms: MarketTerms { guarded: false, ..MarketTerms::default() },
            engines: Engines::default(),
        };
        let up = Up::start(config, any, any, &|_| ()).await.expect("starts");
        let client = up.client().expect("a client");
        let settlement = client.settlement().await.expect("a chain");
        let buyer = Keys::open(&place.path("keys")).expect("keys").account("insurer").expect("an account");
        fund(&client, &*settlement, &buyer, MONEY).await.expect("funded");
        let scene = Scene { up, client, settlement, buyer, chain, _place: place };
        scene.up.coordinator.sync_chain().await.expect("reads");
        assert_eq!(scene.balance(), MONEY);
        Some(scene)
    }

    fn balance(&self) -> Usd {
        self.up.coordinator.with_state(|state| state.balance(&self.buyer.address()))
    }

    async fn control(&self, method: &str, params: Value) -> Value {
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let answer = http.post(&self.chain.url).json(&call).send().await.expect("answers");
        let answer: Value = answer.json().await.expect("JSON");
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// The raw transactions of the newest blocks, oldest first.
    async fn newest(&self, blocks: u64) -> Vec<Value> {
        let head = self.control("eth_blockNumber", json!([])).await;
        let head = u64::from_str_radix(head.as_str().expect("text").trim_start_matches("0x"), 16);
        let head = head.expect("a number");
        let mut raw = Vec::new();
        for number in head + 1 - blocks..=head {
            let block = self.control("eth_getBlockByNumber", json!([format!("{number:#x}"), false])).await;
            for hash in block["transactions"].as_array().expect("transactions") {
                raw.push(self.control("eth_getRawTransactionByHash", json!([hash])).await);
            }
        }
        raw
    }
}

/// Two blocks, those of the approval and of the deposit, are replaced by empty ones: nothing goes on until the deposit is
/// made again, which then counts once.
#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_that_the_chain_took_back_stops_the_market_until_it_is_back() {
    let Some(scene) = Scene::build().await else { return };
    scene.control("anvil_reorg", json!([2, []])).await;
    for _ in 0..2 {
        let gone = scene.up.coordinator.sync_chain().await.expect_err("money is missing");
        assert_eq!(gone.name, "chain.deposit-gone", "{gone}");
    }
    assert_eq!(scene.client.close_epoch().await.expect_err("no epoch").name, "chain.deposit-gone");
    let signer = Signer::new(&scene.buyer);
    scene.settlement.deposit(&signer, MONEY).await.expect("deposited again");
    scene.up.coordinator.sync_chain().await.expect("whole again");
    assert_eq!(scene.balance(), MONEY, "once");
    // What comes on top counts as well.
    let more = Usd::from_micro(42_000_000);
    scene.client.faucet(scene.buyer.address(), more).await.expect("minted");
    scene.settlement.deposit(&signer, more).await.expect("more");
    scene.client.close_epoch().await.expect("closed");
    assert_eq!(scene.balance(), more);
    of_url(&scene.client).await.expect("no difference");
}

/// The same two transactions are mined in one block instead: the deposit's log has another number there, and counts once.
#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_that_moves_to_another_block_counts_once() {
    let Some(scene) = Scene::build().await else { return };
    let raw = scene.newest(2).await;
    assert_eq!(raw.len(), 2, "the approval's and the deposit's");
    let moved: Vec<Value> = raw.iter().map(|raw| json!([raw, 0])).collect();
    scene.control("anvil_reorg", json!([2, moved])).await;
    assert_eq!(scene.settlement.deposited(scene.buyer.address()).await.expect("reads"), MONEY);
    scene.up.coordinator.sync_chain().await.expect("reads again");
    assert_eq!(scene.balance(), MONEY);
    of_url(&scene.client).await.expect("no difference");
}

/// A node's bond is taken back: its stake is, too, until it bonds again.
#[tokio::test(flavor = "multi_thread")]
async fn a_bond_that_the_chain_took_back_is_no_stake() {
    let Some(scene) = Scene::build().await else { return };
    let keys = scene.up.coordinator.dir().join("keys");
    let node = Keys::open(&keys).expect("keys").account("ewr").expect("an account");
    let (account, signer) = (node.address(), Signer::new(&node));
    let stake = Usd::from_micro(20_000_000);
    let order = Enroll { node: account, operator: account, nonce: 0 };
    let order = Signed::new(order, &scene.up.coordinator.domain(), &node).expect("signed");
    scene.client.order(&What::NodeEnrolled(order)).await.expect("enrolled");
    scene.client.faucet(account, stake).await.expect("minted");
    let staked = || scene.up.coordinator.with_state(|state| state.nodes()[&account].stake);
    scene.settlement.bond_node(&signer, account, stake).await.expect("bonded");
    scene.up.coordinator.sync_chain().await.expect("reads");
    assert_eq!(staked(), stake);
    scene.control("anvil_reorg", json!([1, []])).await;
    scene.up.coordinator.sync_chain().await.expect("reads again");
    assert_eq!(staked(), Usd::ZERO);
    scene.settlement.bond_node(&signer, account, stake).await.expect("bonded again");
    scene.up.coordinator.sync_chain().await.expect("reads");
    assert_eq!(staked(), stake);
    of_url(&scene.client).await.expect("no difference");
}
