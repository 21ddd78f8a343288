//! A node that lies, dies or is behind, and a chain that takes blocks back: nothing is lost, nothing is paid twice.
//! The proxy stands before the embedded chain and before a real anvil.

mod anvil;
mod proxy;
#[path = "cast/mod.rs"]
mod scenario;

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use alloy::consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy::eips::eip2718::Encodable2718;
use alloy::primitives::{Address, TxKind, U256};
use alloy::providers::{DynProvider, Provider, ProviderBuilder};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use proofmesh_market::Usd;
use proofmesh_settle::{
    Chain, ChainProfile, Clock, Cursor, Deployment, Done, EMBEDDED_CHAIN_ID, EventKind, Evm, GasPolicy,
    Outcome, Settlement, profile, profile_named,
};
use proxy::{Does, Proxy};
use scenario::*;
use serde_json::{Value, json};

/// A chain with contracts, a buyer with 100 USD, 10 of which are deposited; and the row with short waits.
struct World {
    chain: Chain,
    honest: DynProvider,
    s: Arc<dyn Settlement>,
    row: ChainProfile,
}

impl World {
    async fn embedded() -> Self {
        let chain = Chain::open("embedded:", Clock::fixed(START)).await.expect("opens");
        let honest = chain.embedded().expect("embedded").provider();
        Self::new(chain, honest).await
    }

    /// `None`, said aloud, without anvil.
    async fn anvil(chain_id: u64, free: bool) -> Option<(anvil::Anvil, Self)> {
        let anvil = anvil::start(chain_id, free)?;
        let honest = ProviderBuilder::default().connect_http(anvil.url.parse().expect("url")).erased();
        for n in [GOVERNOR, BUYER, STRANGER] {
            let rich = (who(n).to_string(), "0xde0b6b3a7640000");
            let _: Value = honest.raw_request("anvil_setBalance".into(), rich).await.expect("anvil");
        }
        let chain = Chain::open(&anvil.url, Clock::fixed(0)).await.expect("opens");
        Some((anvil, Self::new(chain, honest).await))
    }

    async fn new(chain: Chain, honest: DynProvider) -> Self {
        let s = chain.deploy(&signer(GOVERNOR), &params(1)).await.expect("deploys");
        s.mint(&signer(GOVERNOR), who(BUYER), usd(100)).await.expect("mints");
        s.deposit(&signer(BUYER), usd(10)).await.expect("deposits");
        let row = ChainProfile { wait_ms: 600, poll_ms: 5, ..*chain.profile() };
        Self { chain, honest, s, row }
    }

    fn deployment(&self) -> &Deployment {
        self.s.deployment()
    }

    /// The contracts as seen through a node that follows `script`.
    async fn through(
        &self,
        row: ChainProfile,
        script: impl FnMut(usize, &str, &Value) -> Does + Send + 'static,
    ) -> (Proxy, Evm<DynProvider>) {
        let on = Arc::new(AtomicBool::new(false));
        let (armed, mut script, mut from) = (on.clone(), script, None);
        let proxy = Proxy::new(self.honest.clone(), move |n, method, params| {
            if !armed.load(Ordering::SeqCst) {
                return Does::Honest;
            }
            let first = *from.get_or_insert(n);
            script(n - first, method, params)
        });
        // Attached honestly: what is tested comes after.
        let evm = Evm::attach(proxy.provider(), self.chain.chain_id(), row, self.deployment()).await;
        on.store(true, Ordering::SeqCst);
        let evm = evm.expect("attaches");
        (proxy, evm)
    }

    /// Deposits in all and tokens left, which must always be 100 together.
    async fn money(&self) -> (Usd, Usd) {
        let deposited = self.s.deposited(who(BUYER)).await.expect("reads");
        let left = self.s.balance_of(who(BUYER)).await.expect("reads");
        assert_eq!(deposited.micro() + left.micro(), usd(100).micro(), "nothing lost");
        (deposited, left)
    }

    async fn control(&self, method: &'static str, params: Value) -> Value {
        self.honest.raw_request(method.into(), params).await.unwrap_or_else(|e| panic!("{method}: {e}"))
    }
}

/// Whichever call breaks, before it reaches the chain or after, the same verb called again reaches its target once.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_at_any_call_costs_nothing() {
    let world = World::embedded().await;
    let (mut target, mut broke) = (10, 0);
    for after in [false, true] {
        for k in 0.. {
            target += 1;
            let dies = move |n: usize, _: &str, _: &Value| match (n == k, after) {
                (false, _) => Does::Honest,
                (true, false) => Does::DiesBefore,
                (true, true) => Does::DiesAfter,
            };
            let (proxy, evm) = world.through(world.row, dies).await;
            let start = proxy.calls();
            let first = evm.deposit(&signer(BUYER), usd(target)).await;
            match first {
                Err(e) => assert!(e.is_retryable(), "call {k}: {e}"),
                Ok(done) => assert!(matches!(done, Done::Sent(_))),
            }
            let over = proxy.calls() - start <= k;
            broke += usize::from(!over);
            world.s.deposit(&signer(BUYER), usd(target)).await.expect("honest now");
            assert_eq!(world.money().await.0, usd(target), "call {k}, after {after}");
            if over {
                break;
            }
        }
    }
    assert!(broke >= 30, "a verb makes that many calls: {broke}");
}

/// Nonsense in place of any answer: an error, or the right result; never a panic, never a second payment.
#[tokio::test(flavor = "multi_thread")]
async fn nonsense_in_place_of_any_answer_costs_nothing() {
    let world = World::embedded().await;
    let deep = (0..200).fold(json!(1), |inner, _| json!([inner]));
    let nonsense = [
        json!(null),
        json!(true),
        json!(-1),
        json!("0x"),
        json!("0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"),
        json!("not hex"),
        json!([]),
        json!({}),
        deep,
        json!("x".repeat(100_000)),
    ];
    let mut target = 10;
    for k in 0..16 {
        for lie in &nonsense {
            target += 1;
            // Half a dollar: 160 rounds fit the buyer's money.
            let amount = Usd::from_micro(10_000_000 + (target - 10) * 500_000);
            let said = lie.clone();
            let row = ChainProfile { wait_ms: 30, ..world.row };
            let (_, evm) = world
                .through(row, move |n, _, _| if n == k { Does::Says(said.clone()) } else { Does::Honest })
                .await;
            let _ = evm.deposit(&signer(BUYER), amount).await;
            world.s.deposit(&signer(BUYER), amount).await.expect("honest now");
            assert_eq!(world.money().await.0, amount, "call {k}: {lie:.40}");
        }
    }
}

/// A receipt that is invented, of another transaction, or turned round.
#[tokio::test(flavor = "multi_thread")]
async fn lies_about_receipts_are_no_payment_and_no_second_one() {
    let world = World::embedded().await;
    // A true receipt to lie with: the first deposit's.
    let head = world.control("eth_getBlockByNumber", json!(["latest", false])).await;
    let mut old = world.control("eth_getTransactionReceipt", json!([head["transactions"][0]])).await;

    // The transaction is swallowed; the receipt says that it was mined.
    let shown = old.clone();
    let (proxy, evm) = world
        .through(world.row, move |_, method, params| match method {
            "eth_sendRawTransaction" => Does::Says(json!(format!("0x{}", "11".repeat(32)))),
            "eth_getTransactionReceipt" => {
                let mut invented = shown.clone();
                invented["transactionHash"] = params[0].clone();
                Does::Says(invented)
            }
            _ => Does::Honest,
        })
        .await;
    let e = evm.deposit(&signer(BUYER), usd(20)).await.expect_err("not mined");
    assert!(e.code() == "settle.pending" && e.is_retryable(), "{e}");
    assert!(proxy.sent() >= 1);
    assert_eq!(world.money().await.0, usd(10));

    // Another transaction's receipt as it is.
    let shown = old.clone();
    let (_, evm) = world
        .through(world.row, move |_, method, _| match method {
            "eth_getTransactionReceipt" => Does::Says(shown.clone()),
            _ => Does::Honest,
        })
        .await;
    assert_eq!(evm.deposit(&signer(BUYER), usd(20)).await.expect_err("a lie").code(), "settle.rpc");
    world.s.deposit(&signer(BUYER), usd(20)).await.expect("honest now");
    assert_eq!(world.money().await, (usd(20), usd(80)));

    // A success called a failure.
    let (_, evm) = world
        .through(world.row, |_, method, _| match method {
            "eth_getTransactionReceipt" => Does::Changes(Box::new(|mut receipt| {
                receipt["status"] = json!("0x0");
                receipt
            })),
            _ => Does::Honest,
        })
        .await;
    assert_eq!(evm.deposit(&signer(BUYER), usd(30)).await.expect_err("a lie").code(), "settle.reverted");
    world.s.deposit(&signer(BUYER), usd(30)).await.expect("honest now");
    assert_eq!(world.money().await, (usd(30), usd(70)));

    // A block that is not on the chain.
    old["blockHash"] = json!(format!("0x{}", "77".repeat(32)));
    let elsewhere = old["blockHash"].clone();
    let (_, evm) = world
        .through(world.row, move |_, method, _| match method {
            "eth_getTransactionReceipt" => {
                let elsewhere = elsewhere.clone();
                Does::Changes(Box::new(move |mut receipt| {
                    receipt["blockHash"] = elsewhere;
                    receipt
                }))
            }
            _ => Does::Honest,
        })
        .await;
    // The nonce is used and no receipt counts: the verb looks again and finds its target reached.
    assert_eq!(evm.deposit(&signer(BUYER), usd(40)).await.expect("looks"), Done::Already);
    assert_eq!(world.money().await, (usd(40), usd(60)));
}

/// Logs of others, out of range, twice, in disorder, taken back, or of a chain that changed meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn lies_about_logs_move_no_cursor() {
    let world = World::embedded().await;
    world.s.deposit(&signer(BUYER), usd(20)).await.expect("deposits");
    let honest = world.s.events_since(&Cursor::default(), 100).await.expect("reads");
    assert_eq!(honest.events.iter().filter(|e| matches!(e.kind, EventKind::Deposited { .. })).count(), 2);
    type Change = fn(Value) -> Value;
    let lies: [(&str, Change); 5] = [
        ("twice", |logs| json!([logs[0], logs[0]])),
        ("disorder", |logs| {
            let mut list = logs.as_array().expect("a list").clone();
            list.reverse();
            json!(list)
        }),
        ("another contract", |mut logs| {
            logs[0]["address"] = json!(format!("0x{}", "5e".repeat(20)));
            logs
        }),
        ("far away", |mut logs| {
            logs[0]["blockNumber"] = json!("0xffffff");
            logs
        }),
        ("taken back", |mut logs| {
            logs[0]["removed"] = json!(true);
            logs
        }),
    ];
    for (name, lie) in lies {
        let (_, evm) = world
            .through(world.row, move |_, method, _| match method {
                "eth_getLogs" => Does::Changes(Box::new(lie)),
                _ => Does::Honest,
            })
            .await;
        let e = evm.events_since(&Cursor::default(), 100).await.expect_err(name);
        assert!(e.code() == "settle.rpc" && e.is_retryable(), "{name}: {e}");
        assert_eq!(evm.deployment(), world.deployment());
    }
    // Another block in the place of the last one, once the logs were read.
    let mut asked = 0;
    let (_, evm) = world
        .through(world.row, move |_, method, _| match method {
            "eth_getBlockByNumber" => {
                asked += 1;
                match asked {
                    1 => Does::Honest,
                    _ => Does::Changes(Box::new(|mut block| {
                        block["hash"] = json!(format!("0x{}", "77".repeat(32)));
                        block
                    })),
                }
            }
            _ => Does::Honest,
        })
        .await;
    assert_eq!(
        evm.events_since(&Cursor::default(), 100).await.expect_err("another chain").code(),
        "settle.rpc"
    );
    assert_eq!(world.s.events_since(&Cursor::default(), 100).await.expect("reads"), honest);
}

/// The chain id changes at any call of a verb: the verb stops, and nothing is sent that was not sent before.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_moves_to_another_chain_is_left() {
    let world = World::embedded().await;
    for k in 0..6 {
        let (proxy, evm) = world
            .through(world.row, move |n, method, _| match method {
                "eth_chainId" if n >= k => Does::Says(json!("0x5")),
                _ => Does::Honest,
            })
            .await;
        let before = proxy.sent();
        let e = evm.deposit(&signer(BUYER), usd(20)).await.expect_err("another chain");
        assert_eq!(e.code(), "settle.wrong-chain", "{e}");
        assert_eq!(proxy.sent(), before, "nothing is signed for it");
    }
    assert_eq!(world.money().await.0, usd(10));
}

/// Prices and estimates beyond every bound: nothing is sent.
#[tokio::test(flavor = "multi_thread")]
async fn lies_about_prices_empty_no_account() {
    let world = World::embedded().await;
    let market = ChainProfile { gas: GasPolicy::Market, max_fee: 1_000, ..world.row };
    let legacy = ChainProfile { gas: GasPolicy::Legacy, max_fee: 1_000, ..world.row };
    let huge = format!("{:#x}", u128::MAX);
    let history = |base: &str, tip: &str| json!({ "oldestBlock": "0x0", "baseFeePerGas": [base, base], "gasUsedRatio": [0.5], "reward": [[tip]] });
    let cases = [
        (market, "eth_feeHistory", history(&huge, "0x1"), "settle.fee-too-high"),
        (market, "eth_feeHistory", history("0x1", &huge), "settle.fee-too-high"),
        (market, "eth_feeHistory", history("0x3e8", "0x1"), "settle.fee-too-high"),
        (legacy, "eth_gasPrice", json!(huge), "settle.fee-too-high"),
        (world.row, "eth_estimateGas", json!("0xffffffffffffffff"), "settle.rpc"),
        (world.row, "eth_estimateGas", json!("0x39386ff"), "fine"),
    ];
    for (row, lied, answer, code) in cases {
        let (proxy, evm) = world
            .through(
                row,
                move |_, method, _| if method == lied { Does::Says(answer.clone()) } else { Does::Honest },
            )
            .await;
        match evm.deposit(&signer(BUYER), usd(20)).await {
            Err(e) => {
                assert!(e.code() == code && e.is_retryable(), "{lied}: {e}");
                assert_eq!(proxy.sent(), 0, "{lied}");
                assert_eq!(world.money().await.0, usd(10));
            }
            // Within the bound of a transaction: gas that is not used is not paid.
            Ok(_) => assert_eq!(code, "fine"),
        }
    }
    assert_eq!(world.money().await.0, usd(20));
}

/// Another process with the same key does the same between the look and the sending.
#[tokio::test(flavor = "multi_thread")]
async fn two_processes_of_one_account_pay_once() {
    let world = World::embedded().await;
    // The approval is there, so that the first estimate is the deposit's.
    let other = world.s.clone();
    let runtime = tokio::runtime::Handle::current();
    let mut done = false;
    let (_, evm) = world
        .through(world.row, move |_, method, _| {
            if method == "eth_estimateGas" && !done {
                done = true;
                let (other, buyer) = (other.clone(), signer(BUYER));
                let task = runtime.spawn(async move { other.deposit(&buyer, usd(30)).await });
                let (tell, told) = std::sync::mpsc::channel();
                runtime.spawn(async move { tell.send(task.await.expect("no panic").is_ok()) });
                assert!(
                    tokio::task::block_in_place(|| told.recv()).expect("an end"),
                    "the other one is first"
                );
            }
            Does::Honest
        })
        .await;
    assert_eq!(evm.deposit(&signer(BUYER), usd(30)).await.expect("looks again"), Done::Already);
    assert_eq!(world.money().await, (usd(30), usd(70)));
}

/// Blocks taken back: with their transactions lost, or the whole state of before.
#[tokio::test(flavor = "multi_thread")]
async fn a_reorganisation_is_noticed_and_made_good() {
    let Some((_anvil, world)) = World::anvil(EMBEDDED_CHAIN_ID, true).await else { return };
    let before = world.s.events_since(&Cursor::default(), 100).await.expect("reads").next;
    let snapshot = world.control("evm_snapshot", json!([])).await;
    world.s.deposit(&signer(BUYER), usd(30)).await.expect("deposits");
    let read = world.s.events_since(&before, 100).await.expect("reads");
    assert_eq!(read.events.len(), 1);
    // Three blocks are replaced by empty ones: the approval's and the deposit's are gone.
    world.control("evm_mine", json!([])).await;
    world.control("anvil_reorg", json!([3, []])).await;
    assert_eq!(world.money().await.0, usd(10), "taken back");
    let e = world.s.events_since(&read.next, 100).await.expect_err("its block is gone");
    assert_eq!(e.code(), "settle.reorg");
    let done = world.s.deposit(&signer(BUYER), usd(30)).await.expect("again");
    assert!(matches!(done, Done::Sent(_)));
    assert_eq!(world.money().await, (usd(30), usd(70)));
    let again = world.s.events_since(&before, 100).await.expect("reads from the cursor before");
    assert_eq!(again.events.len(), 1, "once");

    let reverted = world.control("evm_revert", json!([snapshot])).await;
    assert_eq!(reverted, json!(true));
    assert_eq!(world.money().await.0, usd(10));
    world.s.deposit(&signer(BUYER), usd(30)).await.expect("again");
    assert_eq!(world.money().await, (usd(30), usd(70)));
    assert_eq!(world.s.deposit(&signer(BUYER), usd(30)).await.expect("reads"), Done::Already);
}

/// While a verb waits for confirmations, its block is taken back; the transaction is mined again later.
#[tokio::test(flavor = "multi_thread")]
async fn a_block_taken_back_before_it_is_confirmed_does_not_count() {
    let Some((_anvil, world)) = World::anvil(EMBEDDED_CHAIN_ID, true).await else { return };
    world.s.deposit(&signer(BUYER), usd(11)).await.expect("deposits");
    // What was mined before stays.
    for _ in 0..3 {
        world.control("evm_mine", json!([])).await;
    }
    let row = ChainProfile { confirmations: 4, wait_ms: 8_000, ..world.row };
    let (_, evm) = world.through(row, |_, _, _| Does::Honest).await;
    let (buyer, control) = (signer(BUYER), async {
        // The approval stands in a block, not yet confirmed; then the block is gone.
        tokio::time::sleep(Duration::from_millis(300)).await;
        world.control("anvil_reorg", json!([2, []])).await;
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            world.control("evm_mine", json!([])).await;
        }
    });
    tokio::select! {
        done = evm.deposit(&buyer, usd(20)) => done.map(drop).expect("in the end"),
        () = control => unreachable!("it mines for ever"),
    }
    assert_eq!(world.money().await.0, usd(20));
}

/// The pool drops the transaction: the client hands it in again.
#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_transaction_is_handed_in_again() {
    let Some((_anvil, world)) = World::anvil(EMBEDDED_CHAIN_ID, true).await else { return };
    world.s.deposit(&signer(BUYER), usd(11)).await.expect("deposits");
    world.control("evm_setAutomine", json!([false])).await;
    let row = ChainProfile { wait_ms: 8_000, ..world.row };
    let (_, evm) = world.through(row, |_, _, _| Does::Honest).await;
    let (buyer, control) = (signer(BUYER), async {
        let mut dropped = 0;
        for _ in 0..2 {
            let hash = pooled(&world).await;
            dropped +=
                usize::from(world.control("anvil_dropTransaction", json!([hash])).await != Value::Null);
        }
        world.control("evm_setAutomine", json!([true])).await;
        mine(&world).await;
        dropped
    });
    let (done, dropped) = tokio::join!(evm.deposit(&buyer, usd(20)), control);
    done.expect("in the end");
    assert_eq!(dropped, 2, "twice it was gone");
    assert_eq!(world.money().await.0, usd(20));
}

/// Hash of the one transaction in the pool, once it is there.
async fn pooled(world: &World) -> Value {
    for _ in 0..400 {
        let pool = world.control("txpool_content", json!([])).await;
        let pending = pool["pending"].as_object().expect("a pool");
        if let Some(tx) = pending.values().flat_map(|of| of.as_object().expect("by nonce").values()).next() {
            return tx["hash"].clone();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no transaction came");
}

/// Makes a few blocks: what came into the pool before it mined by itself needs one.
async fn mine(world: &World) {
    for _ in 0..5 {
        world.control("evm_mine", json!([])).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A transfer of nothing to nobody with this nonce, by the buyer's key but not by our client.
async fn strange(world: &World, nonce: u64, gwei: u128) -> Value {
    let key = PrivateKeySigner::from_slice(&[BUYER; 32]).expect("small");
    let tx = TxEip1559 {
        chain_id: world.chain.chain_id(),
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: gwei * 1_000_000_000,
        max_priority_fee_per_gas: gwei * 1_000_000_000,
        to: TxKind::Call(Address::from([0x5e; 20])),
        value: U256::ZERO,
        ..TxEip1559::default()
    };
    let signature = key.sign_hash_sync(&tx.signature_hash()).expect("signs");
    let raw = TxEnvelope::Eip1559(tx.into_signed(signature)).encoded_2718();
    world.control("eth_sendRawTransaction", json!([format!("0x{}", alloy::hex::encode(raw))])).await
}

async fn nonce(world: &World) -> u64 {
    world.honest.get_transaction_count(who(BUYER).0.into()).await.expect("reads")
}

/// Another program with the same key replaces our transaction, or leaves a gap of nonces behind.
#[tokio::test(flavor = "multi_thread")]
async fn replaced_transactions_and_gaps_of_nonces_cost_nothing() {
    let Some((_anvil, world)) = World::anvil(31_337, false).await else { return };
    world.s.deposit(&signer(BUYER), usd(11)).await.expect("deposits");
    // A gap: their transaction waits for the nonce that we are about to use.
    strange(&world, nonce(&world).await + 2, 50).await;
    world.s.deposit(&signer(BUYER), usd(20)).await.expect("deposits");
    assert_eq!(world.money().await.0, usd(20));

    world.control("evm_setAutomine", json!([false])).await;
    let at = nonce(&world).await;
    let row = ChainProfile { wait_ms: 10_000, ..world.row };
    let (_, evm) = world.through(row, |_, _, _| Does::Honest).await;
    let (buyer, control) = (signer(BUYER), async {
        pooled(&world).await;
        strange(&world, at, 900).await;
        world.control("evm_mine", json!([])).await;
        world.control("evm_setAutomine", json!([true])).await;
    });
    let (done, ()) = tokio::join!(evm.deposit(&buyer, usd(30)), control);
    done.expect("with the next nonces");
    assert_eq!(world.money().await, (usd(30), usd(70)));
}

/// The price rises after the transaction went out: it is stuck, the next call outbids it; above the row's bound
/// nothing is sent at all.
#[tokio::test(flavor = "multi_thread")]
async fn a_spike_of_fees_is_outbid_up_to_the_rows_bound() {
    let Some((_anvil, world)) = World::anvil(31_337, false).await else { return };
    world.s.deposit(&signer(BUYER), usd(11)).await.expect("deposits");
    world.control("evm_setAutomine", json!([false])).await;
    let at = nonce(&world).await;
    let (_, evm) = world.through(world.row, |_, _, _| Does::Honest).await;
    let e = evm.deposit(&signer(BUYER), usd(20)).await.expect_err("nothing is mined");
    assert_eq!(e.code(), "settle.pending");
    // Forty times as dear: what is in the pool stays there.
    world.control("anvil_setNextBlockBaseFeePerGas", json!(["0x9502f9000"])).await;
    world.control("evm_mine", json!([])).await;
    assert_eq!(nonce(&world).await, at, "stuck");
    let mean = ChainProfile { max_fee: 10_000_000_000, ..world.row };
    let (proxy, evm) = world.through(mean, |_, _, _| Does::Honest).await;
    let e = evm.deposit(&signer(BUYER), usd(20)).await.expect_err("too dear");
    assert!(e.code() == "settle.fee-too-high" && e.is_retryable(), "{e}");
    assert_eq!(proxy.sent(), 0);
    world.control("evm_setAutomine", json!([true])).await;
    let row = ChainProfile { wait_ms: 10_000, ..world.row };
    let (_, evm) = world.through(row, |_, _, _| Does::Honest).await;
    let (buyer, control) = (signer(BUYER), mine(&world));
    let (done, ()) = tokio::join!(evm.deposit(&buyer, usd(20)), control);
    done.expect("outbid");
    assert_eq!(world.money().await.0, usd(20));
}

/// Start-up: the probe on a real node, and what it refuses.
#[tokio::test(flavor = "multi_thread")]
async fn a_probe_refuses_a_node_on_another_chain_and_foreign_code() {
    let Some((_anvil, world)) = World::anvil(31_337, false).await else { return };
    let record = world.deployment().clone();
    world.chain.probe(None, Some(&record)).await.expect("answers").holds().unwrap_or_else(|e| panic!("{e}"));
    // One byte of the delivery contract, its length the same.
    let at = record.delivery.to_string();
    let code = world.control("eth_getCode", json!([at, "latest"])).await;
    let mut bytes = alloy::hex::decode(code.as_str().expect("hex")).expect("hex");
    *bytes.last_mut().expect("code") ^= 1;
    world.control("anvil_setCode", json!([at, format!("0x{}", alloy::hex::encode(bytes))])).await;
    let probe = world.chain.probe(None, Some(&record)).await.expect("answers");
    let failed: Vec<_> =
        probe.checks.iter().filter(|c| c.outcome == Outcome::Fails).map(|c| c.name).collect();
    assert_eq!(failed, ["code-delivery"]);

    // A node that says to be Polygon and has no P-256: nothing is deployed.
    let Some(other) = anvil::start(137, false) else { return };
    let chain = Chain::open(&other.url, Clock::fixed(0)).await.expect("opens");
    assert_eq!(chain.profile().name, "polygon");
    let e = chain.deploy(&signer(GOVERNOR), &params(1)).await.err().expect("not Polygon");
    assert!(e.code() == "settle.wrong-chain" && e.to_string().contains("p256"), "{e}");
    let probe = chain.probe(profile_named("anvil"), Some(&record)).await.expect("answers");
    let failed: Vec<_> =
        probe.checks.iter().filter(|c| c.outcome == Outcome::Fails).map(|c| c.name).collect();
    assert_eq!(failed, ["chain-id", "deployment"]);
    let e = chain.attach(&record).await.err().expect("another chain");
    assert_eq!(e.code(), "settle.wrong-chain");
    assert_eq!(profile(31_337).name, "anvil");
}

/// A server that answers every request with these bytes, again and again if it is to go on for ever.
fn server(head: &'static str, body: Vec<u8>, for_ever: bool) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().take(3) {
            let Ok(mut stream) = stream else { continue };
            let mut request = [0; 4_096];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(head.as_bytes());
            // The client hangs up when it has seen enough.
            while stream.write_all(&body).is_ok() && for_ever {}
        }
    });
    format!("http://{address}")
}

/// Ten gigabytes, half an answer, no JSON, another question's answer, a redirect: an error each, soon, in little
/// memory.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_http_is_refused() {
    let json = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    let endless = format!("{json}Content-Length: 10737418240\r\n\r\n").leak();
    let half = format!("{json}Content-Length: 50\r\n\r\n").leak();
    let whole = format!("{json}Connection: close\r\n\r\n").leak();
    let moved = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
    let failing = "HTTP/1.1 500 Oh\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n";
    let cases: [(&str, &'static str, Vec<u8>, bool); 7] = [
        ("endless", endless, vec![b' '; 1 << 16], true),
        ("half", half, b"{\"jsonrpc\":\"2.0\",".to_vec(), false),
        ("no JSON", whole, b"<html>".to_vec(), false),
        ("deep", whole, vec![b'['; 1 << 20], false),
        ("another id", whole, b"{\"jsonrpc\":\"2.0\",\"id\":77,\"result\":\"0x1\"}".to_vec(), false),
        ("moved", moved, Vec::new(), false),
        ("failing", failing, b"<h1>Oh</h1>".to_vec(), false),
    ];
    for (name, head, body, for_ever) in cases {
        let url = server(head, body, for_ever);
        let opening = Chain::open(&url, Clock::fixed(0));
        let opened = tokio::time::timeout(Duration::from_secs(20), opening).await.expect(name);
        let e = opened.err().expect(name);
        assert!(e.code() == "settle.rpc" && e.is_retryable(), "{name}: {e}");
        assert!(e.to_string().len() < 1_000, "{name}: the answer is not repeated whole");
    }
}
