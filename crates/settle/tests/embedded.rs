//! The embedded chain on its own: what is on disk survives, hostile callers get errors.

mod scenario;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};

use proofmesh_market::Usd;
use proofmesh_settle::embedded::{Embedded, Limits};
use proofmesh_settle::{Chain, Clock, Cursor, Done, EMBEDDED_CHAIN_ID};
use scenario::*;
use serde_json::{Value, json};

fn url(dir: &tempfile::TempDir) -> String {
    format!("embedded:{}", dir.path().display())
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_there_after_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let (record, events, now, logs);
    let all = json!([{ "fromBlock": "0x0", "toBlock": "latest" }]);
    {
        let chain = Chain::open(&url(&dir), Clock::fixed(START)).await.expect("opens");
        let s = chain.deploy(&signer(GOVERNOR), &params(1)).await.expect("deploys");
        s.mint(&signer(GOVERNOR), who(BUYER), usd(10)).await.expect("mints");
        s.deposit(&signer(BUYER), usd(4)).await.expect("deposits");
        s.pass_time(77).await.expect("time passes");
        record = s.deployment().clone();
        events = s.events_since(&Cursor::default(), 100).await.expect("reads");
        now = s.now().await.expect("reads");
        logs = chain.embedded().expect("embedded").rpc("eth_getLogs", all.clone()).expect("logs");
    }
    let chain = Chain::open(&url(&dir), Clock::fixed(START)).await.expect("opens again");
    let s = chain.attach(&record).await.expect("attaches");
    assert_eq!(s.balance_of(who(BUYER)).await.expect("reads"), usd(6));
    assert_eq!(s.deposited(who(BUYER)).await.expect("reads"), usd(4));
    assert_eq!(s.deposit(&signer(BUYER), usd(4)).await.expect("reads"), Done::Already);
    assert_eq!(s.events_since(&Cursor::default(), 100).await.expect("reads"), events);
    assert_eq!((now, s.now().await.expect("reads")), (START + 77, now));
    let embedded = chain.embedded().expect("embedded");
    assert_eq!(embedded.rpc("eth_getLogs", all), Ok(logs));
    let nonce = embedded.rpc("eth_getTransactionCount", json!([who(BUYER), "latest"]));
    assert_eq!(nonce, Ok(json!("0x2")), "approve and deposit");
    // The passed time goes on counting: the next block is not earlier.
    s.deposit(&signer(BUYER), usd(5)).await.expect("deposits");
    assert_eq!(s.now().await.expect("reads"), START + 77);
}

#[test]
fn another_chain_id_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    drop(Embedded::open(dir.path(), 1, Clock::fixed(START)).expect("opens"));
    let e = Embedded::open(dir.path(), 2, Clock::fixed(START)).err().expect("another chain");
    assert_eq!(e.code(), "settle.wrong-chain");
}

#[test]
fn a_file_that_is_no_chain_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("chain.redb"), [7; 5_000]).expect("writes");
    let e = Embedded::open(dir.path(), 1, Clock::fixed(START)).err().expect("no chain");
    assert_eq!(e.code(), "settle.store");
}

/// The child of the next test: makes blocks until it is killed, saying each one aloud *after* it is
/// committed.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by killed_at_any_moment_the_last_whole_block_stands, in a process of its own"]
async fn child_makes_blocks_until_killed() {
    let dir = std::env::var_os("SETTLE_KILL_DIR").expect("its parent names the directory");
    let chain =
        Chain::open(&format!("embedded:{}", dir.display()), Clock::fixed(START)).await.expect("opens");
    let s = chain.deploy(&signer(GOVERNOR), &params(1)).await.expect("deploys");
    let mut balance = s.balance_of(who(BUYER)).await.expect("reads").micro();
    loop {
        balance += 1;
        s.mint(&signer(GOVERNOR), who(BUYER), Usd::from_micro(balance)).await.expect("mints");
        println!("balance {balance}");
    }
}

/// Killed at 20 moments, also in the middle of a block: nothing acknowledged is lost, and no block is there
/// in part.
#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_the_last_whole_block_stands() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut acknowledged = 0;
    for round in 0..20u64 {
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args([
                "child_makes_blocks_until_killed",
                "--exact",
                "--ignored",
                "--nocapture",
                "--test-threads=1",
            ])
            .env("SETTLE_KILL_DIR", dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut seen = 0;
        for line in lines.map_while(Result::ok) {
            let Some(balance) = line.strip_prefix("balance ") else { continue };
            acknowledged = balance.parse().expect("a number");
            seen += 1;
            if seen == 2 {
                // A different place in the next block's making each time.
                std::thread::sleep(std::time::Duration::from_micros(137 * round));
                child.kill().expect("killed");
            }
        }
        child.wait().expect("ended");

        let chain = Chain::open(&url(&dir), Clock::fixed(START)).await.expect("opens");
        let s = chain.deploy(&signer(GOVERNOR), &params(1)).await.expect("is there");
        let balance = s.balance_of(who(BUYER)).await.expect("reads").micro();
        assert!(balance >= acknowledged, "round {round}: {balance} of {acknowledged}");
        assert!(balance <= acknowledged + 1, "round {round}: one block at most was on its way");
        // Every table tells of the same blocks: seven deployments and one mint a block.
        let rpc = |method, params| chain.embedded().expect("embedded").rpc(method, params).expect(method);
        let head = 7 + balance;
        assert_eq!(rpc("eth_blockNumber", json!([])), json!(format!("{head:#x}")));
        assert_eq!(rpc("eth_getTransactionCount", json!([who(GOVERNOR)])), json!(format!("{head:#x}")));
        let block = rpc("eth_getBlockByNumber", json!(["latest", false]));
        let receipt = rpc("eth_getTransactionReceipt", json!([block["transactions"][0]]));
        assert_eq!((&receipt["status"], &receipt["blockHash"]), (&json!("0x1"), &block["hash"]));
    }
    assert!(acknowledged >= 20, "blocks were made");
}

#[test]
fn only_the_clock_and_passed_time_move_time() {
    let now = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(START));
    let read = now.clone();
    let clock = Clock::from_fn(move || read.load(std::sync::atomic::Ordering::SeqCst));
    let chain = Embedded::in_memory(EMBEDDED_CHAIN_ID, clock).expect("opens");
    let time = || {
        chain.mine().expect("a block");
        let block = chain.rpc("eth_getBlockByNumber", json!(["latest", false])).expect("a block");
        let text = block["timestamp"].as_str().expect("hex").to_owned();
        u64::from_str_radix(&text[2..], 16).expect("hex")
    };
    assert_eq!((time(), time()), (START, START));
    now.store(START + 9, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(time(), START + 9);
    now.store(START, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(time(), START + 9, "never back");
    chain.increase_time(100).expect("passes");
    assert_eq!(time(), START + 100);
    assert_eq!(chain.increase_time(u64::MAX).expect_err("too far").code(), "settle.bad-input");
}

#[test]
fn hostile_calls_get_errors() {
    let chain = Embedded::in_memory(EMBEDDED_CHAIN_ID, Clock::fixed(START)).expect("opens");
    let code = |method: &str, params: Value| chain.rpc(method, params).expect_err(method).code;
    assert_eq!(code("eth_nothing", json!([])), -32_601);
    assert_eq!(code("eth_getBalance", json!([])), -32_602);
    assert_eq!(code("eth_getBalance", json!(["0x12"])), -32_602);
    assert_eq!(code("eth_getBalance", json!({ "a": 1 })), -32_602);
    assert_eq!(code("eth_getBalance", json!([who(BUYER), "0x5"])), -32_000);
    assert_eq!(code("eth_call", json!([{ "to": 5 }])), -32_602);
    assert_eq!(code("eth_sendRawTransaction", json!(["0x"])), -32_602);
    assert_eq!(code("eth_sendRawTransaction", json!(["0x02c0"])), -32_602);
    assert_eq!(code("eth_getLogs", json!([{ "fromBlock": "0x0", "toBlock": "zz" }])), -32_602);
    assert_eq!(code("eth_feeHistory", json!(["0x1", "latest", vec![1.0; 101]])), -32_602);
    assert_eq!(code("evm_increaseTime", json!([u64::MAX])), -32_602);
    assert_eq!(code("evm_increaseTime", json!(["-1"])), -32_602);
    // A call that never ends by itself ends by its gas: JUMPDEST PUSH0 JUMP as creation code.
    assert_eq!(code("eth_call", json!([{ "data": "0x5b5f56", "gas": "0xffffffffffff" }])), -32_000);
    // Ranges beyond the chain are empty, not walked.
    let far = json!([{ "fromBlock": "0xffffffffffffff00", "toBlock": "0xffffffffffffffff" }]);
    assert_eq!(chain.rpc("eth_getLogs", far), Ok(json!([])));
    let far = json!(["0xffffffffffffffff", false]);
    assert_eq!(chain.rpc("eth_getBlockByNumber", far), Ok(Value::Null));
}

/// Every method with every kind of wrong parameter: an answer or an error, never a panic.
#[test]
fn no_parameters_make_it_panic() {
    let chain = Embedded::in_memory(EMBEDDED_CHAIN_ID, Clock::fixed(START)).expect("opens");
    let methods = "eth_feeHistory eth_getBalance eth_getTransactionCount eth_getCode eth_getStorageAt eth_getBlockByNumber \
        eth_getBlockByHash eth_call eth_estimateGas eth_sendRawTransaction eth_getTransactionByHash \
        eth_getTransactionReceipt eth_getLogs evm_increaseTime evm_mine eth_blockNumber eth_chainId";
    let values = [
        json!(null),
        json!(true),
        json!(-1),
        json!(1e300),
        json!(u64::MAX),
        json!(""),
        json!("0x"),
        json!("latest"),
        json!("0xffffffffffffffff"),
        json!(format!("0x{}", "f".repeat(40))),
        json!(format!("0x{}", "f".repeat(64))),
        json!(format!("0x02{}", "f".repeat(64))),
        json!([]),
        json!([[[]]]),
        json!({}),
        json!({ "to": format!("0x{}", "4".repeat(40)), "data": "0xff", "value": "0xffffffffffffffffffff" }),
        json!({ "data": "0x600060005360016000f3", "gas": "0x0", "from": format!("0x{}", "f".repeat(40)) }),
        json!({ "fromBlock": "0x5", "toBlock": "0x1", "topics": [null, [], ["0x"]] }),
        json!({ "blockHash": format!("0x{}", "0".repeat(64)) }),
    ];
    let mut answered = 0;
    for method in methods.split_whitespace() {
        for a in &values {
            for b in &values {
                answered += usize::from(chain.rpc(method, json!([a, b, a])).is_ok());
            }
            answered += usize::from(chain.rpc(method, a.clone()).is_ok());
        }
    }
    assert!(answered > 100, "some of them make sense: {answered}");
}

/// One HTTP exchange by hand: status and body.
async fn http(address: std::net::SocketAddr, head: &str, body: &[u8]) -> (u16, String) {
    let head = format!("{head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let body = body.to_vec();
    let exchange = move || {
        let mut stream = std::net::TcpStream::connect(address).expect("connects");
        stream.write_all(head.as_bytes()).expect("writes");
        // A server that refuses early may close before it has read all: then its answer is what counts.
        let _ = stream.write_all(&body);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer).into_owned();
        let status = text.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or_default();
        (status, text.split_once("\r\n\r\n").map(|(_, b)| b.to_owned()).unwrap_or_default())
    };
    tokio::task::spawn_blocking(exchange).await.expect("no panic")
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_bodies_get_json_rpc_errors() {
    let chain = Embedded::in_memory(EMBEDDED_CHAIN_ID, Clock::fixed(START)).expect("opens");
    let limits = Limits { body_bytes: 4_096, batch: 3, ..Limits::default() };
    let server = chain.serve("127.0.0.1:0".parse().expect("address"), limits).await.expect("serves");
    let at = server.address();
    let good = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json";
    let ask = |body: String| async move {
        let (status, body) = http(at, good, body.as_bytes()).await;
        (status, serde_json::from_str::<Value>(&body).unwrap_or_default())
    };
    let call = json!({ "jsonrpc": "2.0", "id": 7, "method": "eth_chainId" });
    let (status, answer) = ask(call.to_string()).await;
    assert_eq!(
        (status, &answer["id"], &answer["result"]),
        (200, &json!(7), &json!(format!("{EMBEDDED_CHAIN_ID:#x}")))
    );

    for (body, code) in [
        ("", -32_700),
        ("{", -32_700),
        ("\u{0}\u{ff}", -32_700),
        (&"[".repeat(4_000), -32_700),
        ("[]", -32_600),
        ("5", -32_600),
        ("{}", -32_600),
        (r#"{"method":5,"id":1}"#, -32_600),
        (r#"{"method":"eth_call","params":{"x":1},"id":1}"#, -32_602),
        (r#"{"method":"evm_increaseTime","params":[5],"id":1}"#, -32_601),
        ("[1,2,3,4]", -32_600),
    ] {
        let (status, answer) = ask(body.to_owned()).await;
        assert_eq!((status, answer["error"]["code"].as_i64()), (200, Some(code)), "{body:.40}: {answer}");
    }
    let (_, answers) = ask(json!([call, 5, call]).to_string()).await;
    assert_eq!(answers.as_array().map(Vec::len), Some(3));
    assert_eq!(answers[1]["error"]["code"], json!(-32_600));
    let (status, _) = ask(json!({ "jsonrpc": "2.0", "method": "eth_chainId" }).to_string()).await;
    assert_eq!(status, 204, "a notification");
    let (status, _) = http(at, good, &vec![b' '; 10_000]).await;
    assert_eq!(status, 413);

    // A page in a browser: a form's content type, another host name that resolves here, a GET.
    let body = call.to_string();
    let form = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain";
    assert_eq!(http(at, form, body.as_bytes()).await.0, 415);
    let rebound = "POST / HTTP/1.1\r\nHost: evil.example:80\r\nContent-Type: application/json";
    assert_eq!(http(at, rebound, body.as_bytes()).await.0, 403);
    assert_eq!(http(at, "GET / HTTP/1.1\r\nHost: 127.0.0.1", b"").await.0, 405);
}

/// A wallet's view: the same verbs through HTTP as in the process.
#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_chain_conforms_over_http() {
    let chain = Embedded::in_memory(EMBEDDED_CHAIN_ID, Clock::fixed(START)).expect("opens");
    let limits = Limits { time_travel: true, ..Limits::default() };
    let server = chain.serve("127.0.0.1:0".parse().expect("address"), limits).await.expect("serves");
    let remote = Chain::open(&format!("http://{}", server.address()), Clock::fixed(0)).await.expect("opens");
    let here = Chain::open("embedded:", Clock::fixed(START)).await.expect("opens");
    assert_eq!(tell(&remote).await, tell(&here).await);
}

#[tokio::test]
async fn unknown_urls_are_refused() {
    for url in ["", "embedded", "ws://localhost", "ftp:x", "http", "http://"] {
        let e = Chain::open(url, Clock::fixed(0)).await.err().expect(url);
        assert_eq!(e.code(), "settle.bad-input", "{url}");
    }
    let e = Chain::open("http://127.0.0.1:1", Clock::fixed(0)).await.err().expect("nobody there");
    assert!(e.code() == "settle.rpc" && e.is_retryable());
}
