//! Many nodes hand in at once, and the coordinator is killed under them.

use crate::place::{Place, Running};
use crate::servers::free_port;
use proofmesh::audit::of_dir;
use proofmesh::client::Client;
use proofmesh::engine::keys::Keys;
use proofmesh::load::{Load, Wanted, join_all};
use proofmesh::weather::import_model;
use proofmesh::wire::{PAGE, ReceiptDoc};
use proofmesh_market::Hash32;
use std::collections::BTreeSet;
use std::time::Duration;

/// Kills in the midst of batches: what was acknowledged is there, nothing is there twice, and the nodes, who ask again, do not
/// notice more than a pause.
async fn carried_over_kills(more: &[&str], kills: usize) {
    let (place, port) = (Place::new("load"), free_port().to_string());
    let (home, model) = (place.path("coordinator"), place.path("weather.pmesh"));
    std::fs::write(&model, import_model().expect("the model").file.encode().expect("bytes"))
        .expect("written");
    let more = [more, &["--port", &port]].concat();
    let start = || tokio::task::block_in_place(|| Running::start_with(&home, &model, None, &more));
    let mut running = start().expect("starts");
    let client = running.client();
    let wanted = Wanted { nodes: 6, rate: 60, seconds: 4 };
    let (members, _) = join_all(&client, &place.0, wanted.nodes).await.expect("all join");
    assert_eq!(members.iter().map(|member| member.address()).collect::<BTreeSet<_>>().len(), wanted.nodes);
    let keys = Keys::open(&place.path("keys")).expect("keys");
    let (buyer, consumer) = (keys.account("buyer").expect("a key"), keys.device("consumer").expect("a key"));
    let load = Load::prepare(&client, &buyer, &consumer, members, wanted).await.expect("jobs");
    let jobs = load.jobs().to_vec();
    let carrying = tokio::spawn(load.run());
    for kill in 0..kills {
        tokio::time::sleep(Duration::from_millis(500 + 137 * kill as u64)).await;
        running.kill();
        running = start().expect("starts again");
    }
    let carried = carrying.await.expect("a task").expect("nothing is refused");
    assert_eq!(carried.receipts, 240);
    assert!(kills == 0 || carried.again > 0, "nobody noticed {kills} kills");
    assert_eq!(carried.slices.iter().sum::<u64>(), carried.receipts);
    assert!(carried.acknowledged.p50_ms <= carried.acknowledged.p99_ms && carried.acknowledged.p50_ms > 0.0);
    // Each is judged without anybody waiting for it, and paid once.
    let (mut paid, mut waiting) = (0, 1);
    while waiting > 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        (paid, waiting) = (0, 0);
        for job in &jobs {
            let doc = client.job(job).await.expect("answers");
            (paid, waiting) = (paid + doc.units, waiting + doc.pending);
        }
    }
    assert_eq!(paid, carried.receipts);
    for job in &jobs {
        pages_are_the_whole(&client, job).await;
    }
    let settled = client.close_epoch().await.expect("closes").receipts
        + client.close_epoch().await.expect("closes").receipts;
    assert_eq!(settled, carried.receipts);
    running.kill();
    let audit = of_dir(&home).await.expect("no difference");
    assert_eq!((audit.receipts, audit.verdicts), (carried.receipts, carried.receipts));
}

/// Pages of a job's receipts, however long, are each receipt once and in one order, a receipt of another job begins none, and what is no page
/// is refused by name. After a restart they are folded anew, and the same.
async fn pages_are_the_whole(client: &Client, job: &Hash32) {
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let api = client.url();
    let get = async |path: &str| {
        let answer = http.get(format!("{api}{path}")).send().await.expect("answers");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    };
    let path = format!("/v1/jobs/{job}/receipts");
    let mut wholes = Vec::new();
    for limit in [7, 100, PAGE] {
        let (mut all, mut after) = (Vec::<ReceiptDoc>::new(), String::new());
        loop {
            let (status, text) = get(&format!("{path}?limit={limit}{after}")).await;
            assert_eq!(status, 200, "{text}");
            let page: Vec<ReceiptDoc> = serde_json::from_str(&text).expect("receipts");
            assert!(page.len() <= limit);
            let last = page.len() < limit;
            all.extend(page);
            let Some(end) = all.last().filter(|_| !last) else { break };
            after = format!("&after={}", end.digest);
        }
        wholes.push(all.iter().map(|doc| doc.digest).collect::<Vec<_>>());
    }
    let whole = wholes.pop().expect("three");
    assert!(whole.len() > 7 && wholes.iter().all(|other| *other == whole));
    assert_eq!(whole.iter().collect::<BTreeSet<_>>().len(), whole.len(), "each once");
    let sorted = client.receipts_of(job).await.expect("all");
    assert!(sorted.iter().all(|doc| doc.job == *job && whole.contains(&doc.digest)));
    assert_eq!(sorted.len(), whole.len());
    for (query, name) in [
        ("limit=0", "page.limit"),
        ("limit=257", "page.limit"),
        ("limit=-1", "page.limit"),
        ("after=0x12", "page.after"),
        ("before=1", "page.query"),
        ("limit", "page.query"),
    ] {
        let (status, text) = get(&format!("{path}?{query}")).await;
        assert!((400..500).contains(&status) && text.contains(name), "{query}: {status} {text}");
    }
    let (status, text) = get(&format!("{path}?after={job}")).await;
    assert!((400..500).contains(&status) && text.contains("receipt.unknown"), "{status} {text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_many_nodes_hand_in_outlives_kills_in_the_midst() {
    carried_over_kills(&["--unguarded"], 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_answered_at_once_is_judged_by_drawn_checkers_after() {
    carried_over_kills(&[], 1).await;
}
