//! One suite for every store of evidence, and what only a server can do: die, stall, lose an answer, lie.

use crate::crash::{Death, Story, all};
use crate::place::{Place, run};
use crate::s3::{S3Server, caller};
use crate::servers::Wire;
use proofmesh::engine::blobs::{Blobs, Files};
use proofmesh::engine::s3::{At, Bucket, Caller};
use proofmesh::fault::Fault;
use proofmesh_market::limits::EVIDENCE_BYTES_MAX;
use proofmesh_market::{Hash32, keccak};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn bucket(url: &str) -> Bucket {
    Bucket::open(At::parse(url).expect("a URL"), &caller()).expect("opens")
}

/// What every store is held to. `opens` opens the same new store each time, `file` gives the file that some bytes are.
fn holds(opens: &dyn Fn() -> Box<dyn Blobs>, file: &dyn Fn(&Hash32) -> PathBuf) {
    let blobs = opens();
    let kept: Vec<Vec<u8>> = vec![vec![], b"proof".to_vec(), vec![7; 70_000], vec![9; EVIDENCE_BYTES_MAX]];
    for bytes in &kept {
        assert_eq!(blobs.get(&keccak(bytes)).expect("answers"), None);
        for _ in 0..2 {
            assert_eq!(blobs.put(bytes).expect("kept"), keccak(bytes));
        }
    }
    let many: Vec<Vec<u8>> = (0..50_u8).map(|number| vec![8, number]).collect();
    blobs.put_all(&many.iter().map(Vec::as_slice).collect::<Vec<_>>()).expect("kept");
    blobs.put_all(&[]).expect("nothing to keep");
    // Many at once, some of them the same.
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let blobs = &blobs;
            scope.spawn(move || {
                for number in 0..20_u8 {
                    blobs.put(&[thread / 2, number]).expect("kept");
                }
            });
        }
    });
    drop(blobs);
    let blobs = opens();
    for bytes in kept.iter().cloned().chain(many).chain((0..20).flat_map(|n| [vec![0, n], vec![1, n]])) {
        assert_eq!(blobs.get(&keccak(&bytes)).expect("reads"), Some(bytes));
    }
    // Bytes that are no longer the same ones, and bytes that are too many, are named.
    for lie in [b"prooF".to_vec(), b"proo".to_vec(), vec![], vec![0; EVIDENCE_BYTES_MAX + 1]] {
        std::fs::write(file(&keccak(b"proof")), lie).expect("damage");
        assert!(blobs.get(&keccak(b"proof")).expect_err("damaged").is("blob.damaged"));
    }
    assert_eq!(blobs.get(&keccak(&[7; 70_000])).expect("another"), Some(vec![7; 70_000]));
}

fn name(hash: &Hash32) -> String {
    let name = hex::encode(hash.0);
    format!("{}/{name}", &name[..2])
}

#[test]
fn every_store_holds_what_it_acknowledged() {
    let place = Place::new("blobs");
    holds(&|| Box::new(Files::open(&place.0).expect("opens")), &|hash| {
        Files::look(&place.0).expect("looks").path(hash)
    });
    let server = S3Server::start();
    for prefix in ["", "market/one"] {
        holds(&|| Box::new(bucket(&server.url(prefix))), &|hash| server.file(prefix).join(name(hash)));
    }
}

#[test]
fn whoever_may_not_and_what_is_not_there_is_refused_at_once() {
    let server = S3Server::start();
    let (at, begun) = (|url: &str| At::parse(url).expect("a URL"), Instant::now());
    let stranger = Caller { secret: "a guess".to_owned(), ..caller() };
    let nobody = Caller { key: "somebody".to_owned(), ..caller() };
    for caller in [stranger, nobody] {
        let fault = Bucket::open(at(&server.url("")), &caller).expect_err("no way in");
        assert!(fault.is("blobs.refused"), "{fault}");
        assert!(!fault.to_string().contains("a guess"));
    }
    let elsewhere = server.url("").replace("evidence", "another");
    let fault = Bucket::open(at(&elsewhere), &caller()).expect_err("no such bucket");
    assert!(fault.is("blobs.refused"), "{fault}");
    assert!(begun.elapsed() < Duration::from_secs(4), "no patience with what stays so");
}

#[test]
fn a_server_that_goes_and_comes_back_and_an_answer_that_is_lost_change_nothing() {
    let mut server = S3Server::start();
    let wire = Wire::to(server.address());
    let blobs = bucket(&S3Server::url_at(wire.address, "p"));
    for number in 0..12_u8 {
        if number % 3 == 1 {
            wire.cut();
        }
        blobs.put(&[number]).expect("kept, asked again");
        if number % 3 == 2 {
            wire.cut();
        }
        assert_eq!(blobs.get(&keccak(&[number])).expect("read, asked again"), Some(vec![number]));
    }
    // A short outage is waited for; a long one is said within the patience of a caller.
    let direct = bucket(&server.url("p"));
    server.kill();
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| direct.put(b"waits"));
        std::thread::sleep(Duration::from_secs(1));
        server.go_on();
        waits.join().expect("a thread").expect("kept when it is back");
    });
    server.kill();
    let begun = Instant::now();
    let fault = direct.put(b"too long").expect_err("nobody there");
    assert!(fault.is("blobs.unreachable") && begun.elapsed() < Duration::from_secs(12), "{fault}");
    server.go_on();
    assert_eq!(direct.get(&keccak(b"too long")).expect("answers"), None);
    assert_eq!(direct.get(&keccak(b"waits")).expect("answers"), Some(b"waits".to_vec()));
}

/// A server on a thread that reads a request and answers what it is told, a piece at a time.
fn answers(pieces: Vec<&'static [u8]>, pause: Duration) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let pieces = pieces.clone();
            std::thread::spawn(move || {
                let _ = client.read(&mut [0; 1 << 16]);
                for piece in pieces {
                    if client.write_all(piece).is_err() {
                        return;
                    }
                    std::thread::sleep(pause);
                }
                std::thread::sleep(Duration::from_secs(60)); // holds the connection
            });
        }
    });
    address
}

#[test]
fn answers_that_never_come_trickle_or_never_end_are_bounded() {
    let second = Duration::from_secs(1);
    let endless: Vec<&'static [u8]> =
        std::iter::once(&b"HTTP/1.1 200 OK\r\ncontent-type: application/xml\r\n\r\n"[..])
            .chain(std::iter::repeat_n(&[b'x'; 1 << 16][..], 200))
            .collect();
    let trickle: Vec<&'static [u8]> = std::iter::once(&b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n"[..])
        .chain(std::iter::repeat_n(&b"x"[..], 30))
        .collect();
    let garbage = vec![&b"\x00\xff nothing of the kind\r\n\r\n"[..]];
    let error = vec![&b"HTTP/1.1 503 Slow Down\r\ncontent-length: 0\r\n\r\n"[..]];
    let cases =
        [(vec![], second), (trickle, second), (endless, Duration::ZERO), (garbage, second), (error, second)];
    std::thread::scope(|scope| {
        for (number, (pieces, pause)) in cases.into_iter().enumerate() {
            scope.spawn(move || {
                let (address, begun) = (answers(pieces, pause), Instant::now());
                let at = At::parse(&S3Server::url_at(address, "")).expect("a URL");
                let fault: Fault = Bucket::open(at, &caller()).expect_err("no S3 server");
                assert!(fault.is("blobs.unreachable"), "{number}: {fault}");
                assert!(begun.elapsed() < Duration::from_secs(14), "{number}: {:?}", begun.elapsed());
            });
        }
    });
}

/// A write that its client never finished is not there, whole or in part.
#[test]
fn an_interrupted_write_leaves_nothing() {
    let server = S3Server::start();
    let wire = Wire::to(server.address());
    let (through, direct) = (bucket(&S3Server::url_at(wire.address, "p")), bucket(&server.url("p")));
    let bytes = vec![5; EVIDENCE_BYTES_MAX];
    wire.cut_after(1 << 20);
    std::thread::scope(|scope| {
        let put = scope.spawn(|| through.put(&bytes));
        // The first attempt ends in the middle; what is there in between is nothing or all.
        while !put.is_finished() {
            let found = direct.get(&keccak(&bytes)).expect("answers");
            assert!(found.is_none_or(|found| found == bytes));
        }
        put.join().expect("a thread").expect("kept by the next attempt");
    });
    assert_eq!(direct.get(&keccak(&bytes)).expect("answers"), Some(bytes));
}

/// The evidence of a coordinator that dies, on a server; and an audit that reads it from there.
#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn a_coordinator_with_its_evidence_on_a_server_dies_and_loses_nothing() {
    let server = S3Server::start();
    let story = Arc::new(Story::prepare("blobs", &["--unguarded"]).await);
    let places = if cfg!(debug_assertions) { 6 } else { 0 };
    let deaths: Vec<_> = (1..=places)
        .map(|n| Death::Fresh(16 * n))
        .chain((1..=3).map(|n| Death::Begun(180_000 * n)))
        .collect();
    let engines = |number: usize| format!("--blobs {}", server.url(&format!("m{number}")));
    let deaths = deaths.into_iter().enumerate().map(|(number, death)| (death, engines(number))).collect();
    let died = all(&story, deaths).await;
    println!("died: {died:?}");
    assert!(died.len() >= 4);
}

#[test]
fn without_keys_in_the_environment_nothing_is_asked() {
    let (server, place) = (S3Server::start(), Place::new("blobs"));
    let (dir, url) = (place.0.to_str().expect("text"), server.url(""));
    let arguments = ["config", "set", "engines.blobs", &url, "--dir", dir];
    let mut without = Command::new(env!("CARGO_BIN_EXE_proofmesh"));
    let said = without.args(arguments).env_remove("AWS_ACCESS_KEY_ID").output().expect("the binary runs");
    let talk = String::from_utf8_lossy(&said.stderr);
    assert!(!said.status.success() && talk.contains("AWS_ACCESS_KEY_ID"), "{talk}");
    let said = run(&arguments);
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
}
