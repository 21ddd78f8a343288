//! One suite for every engine, and what only servers can do to a coordinator: die, come back, lose an answer, be shared.

use crate::crash::{Death, Story, all};
use crate::place::{Place, Running};
use crate::servers::{PostgresServer, Wire, database};
use proofmesh::engine::Opened;
use proofmesh::engine::place::{Engines, open_journal};
use proofmesh::fault::Result;
use proofmesh_market::Hash32;
use proofmesh_market::event::chain_log;
use proofmesh_market::limits::EVENT_BYTES_MAX;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Opens; waits while whoever had it before lets go.
fn open(opens: &dyn Fn() -> Result<Opened>) -> Opened {
    let begun = Instant::now();
    loop {
        match opens() {
            Err(fault) if fault.is("log.in-use") && begun.elapsed() < Duration::from_secs(30) => {}
            opened => return opened.expect("opens"),
        }
    }
}

fn head_of<R: AsRef<[u8]>>(records: &[R]) -> Hash32 {
    records.iter().fold(Hash32::ZERO, |head, record| chain_log(&head, record.as_ref()))
}

/// As an append takes them.
fn slices<R: AsRef<[u8]>>(records: &[R]) -> Vec<&[u8]> {
    records.iter().map(AsRef::as_ref).collect()
}

/// What every journal is held to. `opens` opens the same new journal each time.
fn holds(opens: &dyn Fn() -> Result<Opened>) {
    let records: Vec<Vec<u8>> = (0..1_100_u32).map(|n| n.to_be_bytes().repeat(1 + n as usize % 5)).collect();
    let mut journal = open(opens).journal;
    assert!(journal.is_empty() && journal.head() == Hash32::ZERO);
    assert_eq!(journal.read(0, 9).expect("reads"), Vec::<Vec<u8>>::new());
    // Batches of 0 to 6 records, and one of hundreds.
    let (mut rest, mut size) = (&records[..], 0);
    while !rest.is_empty() {
        let batch = if rest.len() == 700 { rest } else { &rest[..size.min(rest.len() - 700)] };
        journal.append(&slices(batch)).expect("appends");
        (rest, size) = (&rest[batch.len()..], (size + 1) % 7);
        assert_eq!(journal.len(), (records.len() - rest.len()) as u64);
    }
    assert_eq!(journal.head(), head_of(&records));
    assert_eq!(journal.read(0, 3).expect("reads"), records[..3]);
    assert_eq!(journal.read(1_098, 512).expect("reads"), records[1_098..]);
    assert_eq!(journal.read(1_100, 5).expect("reads"), Vec::<Vec<u8>>::new());
    assert_eq!(journal.read(u64::MAX, 5).expect("reads"), Vec::<Vec<u8>>::new());
    assert!(opens().expect_err("one writer").is("log.in-use"));
    drop(journal);
    let again = open(opens);
    assert_eq!((again.records, again.torn_bytes), (records.clone(), 0));
    let mut journal = again.journal;
    let longest = vec![7; EVENT_BYTES_MAX];
    journal.append(&[&longest]).expect("the longest record");
    drop(journal);
    let again = open(opens);
    assert_eq!(again.records.last(), Some(&longest));
    assert_eq!(again.journal.head(), head_of(&again.records));
}

/// What is no record is refused, and nothing of it is in.
fn refuses(opens: &dyn Fn() -> Result<Opened>) {
    for wrong in [vec![], vec![7; EVENT_BYTES_MAX + 1]] {
        let mut opened = open(opens);
        opened.journal.append(&[&wrong]).expect_err("no record");
        opened.journal.append(&[b"one", &wrong]).expect_err("and one that is one");
        drop(opened);
    }
    assert!(open(opens).records.is_empty());
}

fn at(state: &str) -> Engines {
    Engines { state: state.to_owned(), ..Engines::default() }
}

#[test]
fn every_journal_holds_what_it_acknowledged() {
    let place = Place::new("engines");
    for suite in [holds, refuses] {
        let place = Place::new("engines");
        suite(&|| open_journal(&place.0, &Engines::default()));
    }
    let Some(server) = PostgresServer::start() else { return };
    for suite in [holds, refuses] {
        let url = server.fresh();
        let place = Place::new("engines");
        suite(&|| open_journal(&place.0, &at(&url)));
    }
    // The directory remembers, and nobody begins a second history by leaving out the flag.
    let url = server.fresh();
    open_journal(&place.0, &at(&url)).expect("opens").journal.append(&[b"first"]).expect("appends");
    assert_eq!(open(&|| open_journal(&place.0, &Engines::default())).records, [b"first"]);
    for elsewhere in [server.fresh(), "embedded".to_owned()] {
        assert!(open_journal(&place.0, &at(&elsewhere)).expect_err("another").is("engine.elsewhere"));
    }
    let begun = Place::new("engines");
    open_journal(&begun.0, &Engines::default()).expect("opens").journal.append(&[b"first"]).expect("appends");
    assert!(open_journal(&begun.0, &at(&url)).expect_err("begun").is("engine.elsewhere"));
}

#[test]
fn a_url_with_a_password_or_of_no_engine_is_refused() {
    let place = Place::new("engines");
    for (url, name) in [
        ("postgres://me:secret@127.0.0.1/db", "engine.password"),
        ("mysql://127.0.0.1/db", "engine.url"),
        ("postgres:///db", "engine.url"),
        ("postgres://me@127.0.0.1:port/db", "engine.url"),
    ] {
        let fault = open_journal(&place.0, &at(url)).expect_err(url);
        assert!(fault.is(name), "{url}: {fault}");
        assert!(!fault.to_string().contains("secret"));
    }
    let closed = at("postgres://me@127.0.0.1:1/db");
    assert!(open_journal(&place.0, &closed).expect_err("nobody there").is("journal.unreachable"));
}

#[test]
fn a_changed_dropped_or_moved_row_is_refused() {
    let Some(server) = PostgresServer::start() else { return };
    for change in [
        "UPDATE proofmesh.journal SET record = 'x' WHERE number = 1",
        "UPDATE proofmesh.journal SET head = 'x' WHERE number = 2",
        "DELETE FROM proofmesh.journal WHERE number = 1",
        "UPDATE proofmesh.journal SET number = 3 WHERE number = 2",
    ] {
        let (url, place) = (server.fresh(), Place::new("engines"));
        let opens = || open_journal(&place.0, &at(&url));
        let mut journal = open(&opens).journal;
        for record in [b"a", b"b", b"c"] {
            journal.append(&[record]).expect("appends");
        }
        drop(journal);
        server.sql(database(&url), change);
        let fault = loop {
            match opens().expect_err("damaged") {
                fault if fault.is("log.in-use") => {}
                fault => break fault,
            }
        };
        assert!(fault.is("log.record-damaged"), "{change}: {fault}");
    }
    let (url, place) = (server.fresh(), Place::new("engines"));
    server.sql("postgres", &format!("ALTER DATABASE {} SET synchronous_commit = off", database(&url)));
    assert!(open_journal(&place.0, &at(&url)).expect_err("no disk").is("journal.not-durable"));
}

/// A coordinator that was cut off and believes that it still is the one appends nothing more.
#[test]
fn of_two_coordinators_on_one_journal_the_earlier_appends_nothing_more() {
    let Some(server) = PostgresServer::start() else { return };
    let (url, places) = (server.fresh(), [Place::new("engines"), Place::new("engines")]);
    let mut first = open(&|| open_journal(&places[0].0, &at(&url))).journal;
    first.append(&[b"of the first"]).expect("appends");
    // The first one's session ends as with a network that is cut; it has not noticed when the second one opens.
    let end = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND database =
               (SELECT oid FROM pg_database WHERE datname = current_database())";
    server.sql(database(&url), end);
    let second = open(&|| open_journal(&places[1].0, &at(&url)));
    assert_eq!(second.records, [b"of the first"]);
    let mut second = second.journal;
    assert!(first.append(&[b"too late"]).expect_err("another writes").is("log.in-use"));
    second.append(&[b"of the second"]).expect("appends");
    drop(second);
    // Nobody holds the lock now; the token still says that another was the writer in between.
    let fault = loop {
        match first.append(&[b"too late"]).expect_err("another wrote") {
            fault if fault.is("log.in-use") => {}
            fault => break fault,
        }
    };
    assert!(fault.is("journal.fenced"), "{fault}");
    let rows =
        server.sql(database(&url), "SELECT encode(record, 'escape') FROM proofmesh.journal ORDER BY number");
    assert_eq!(rows, ["of the first", "of the second"]);
}

/// The statement of a session that was given up arrives after the next session's: the token refuses it.
#[test]
fn a_statement_of_an_earlier_session_that_arrives_late_inserts_nothing() {
    let Some(server) = PostgresServer::start() else { return };
    let (url, place) = (server.fresh(), Place::new("engines"));
    let mut journal = open(&|| open_journal(&place.0, &at(&url))).journal;
    journal.append(&[b"first"]).expect("appends");
    let token = server.sql(database(&url), "SELECT token FROM proofmesh.writer").remove(0);
    let late = format!(
        "INSERT INTO proofmesh.journal (number, record, head) SELECT 1, 'late', 'late' FROM proofmesh.writer
         WHERE token = {token} - 1 AND moved_to IS NULL FOR SHARE"
    );
    server.sql(database(&url), &late);
    journal.append(&[b"second"]).expect("its number is free");
    assert_eq!(server.sql(database(&url), "SELECT count(*) FROM proofmesh.journal"), ["2"]);
}

#[test]
fn a_server_is_spoken_to_by_tls_if_its_name_is_certified_by_whom_one_trusts() {
    let Some(server) = PostgresServer::start() else { return };
    let place = Place::new("engines");
    let plain = server.fresh();
    let with = |more: &str| format!("{plain}?{more}");
    let refused = |url: &str| open_journal(&Place::new("engines").0, &at(url)).expect_err(url).name;
    let other = PostgresServer::start().expect("it is installed");
    let strange = other.certify(&["127.0.0.1"]);
    let trusting =
        |file: &std::path::Path| with(&format!("sslmode=verify-full&sslrootcert={}", file.display()));
    assert_eq!(refused(&trusting(&strange)), "journal.tls", "a server without TLS");
    let authority = server.certify(&["127.0.0.1"]);
    let url = trusting(&authority);
    let mut journal = open(&|| open_journal(&place.0, &at(&url))).journal;
    journal.append(&[b"first", b"second"]).expect("appends");
    assert_eq!(journal.read(0, 9).expect("reads"), [b"first".to_vec(), b"second".to_vec()]);
    let encrypted = "SELECT count(*) FILTER (WHERE ssl), count(*) FILTER (WHERE NOT ssl) FROM pg_stat_ssl
        JOIN pg_stat_activity USING (pid) WHERE application_name = 'proofmesh'";
    assert_eq!(server.sql("postgres", encrypted), ["2|0"], "the writer and the reader");
    drop(journal);
    // Another authority's, the machine's own, another name, and words that ask for less than that.
    assert_eq!(refused(&trusting(&strange)), "journal.tls");
    assert_eq!(refused(&url.replace("@127.0.0.1", "@localhost")), "journal.tls");
    for less in [
        "sslmode=require",
        "sslmode=prefer",
        "sslrootcert=/nowhere",
        "sslmode=verify-full&sslrootcert=/nowhere",
    ] {
        assert_eq!(refused(&with(less)), "engine.tls", "{less}");
    }
    assert!(refused(&with("sslmode=verify-full")).ends_with(".tls"), "the machine trusts no such server");
    // The same place without it, which is no other engine.
    let journal = open(&|| open_journal(&place.0, &at(&with("sslmode=disable")))).journal;
    assert_eq!(journal.len(), 2);
}

#[test]
fn an_append_whose_answer_is_lost_is_in_once() {
    let Some(server) = PostgresServer::start() else { return };
    let (wire, fresh, place) = (Wire::to(server.address()), server.fresh(), Place::new("engines"));
    let url = PostgresServer::url_at(wire.address, database(&fresh));
    let mut journal = open(&|| open_journal(&place.0, &at(&url))).journal;
    let records: Vec<[u8; 1]> = (0..40).map(|n| [n]).collect();
    // Ten cuts, of appends of one record to four.
    for (size, rest) in (0..).zip(records.chunks(4)) {
        wire.cut();
        for batch in rest.chunks(1 + size % 4) {
            journal.append(&slices(batch)).expect("appends, if need be in a new session");
        }
    }
    assert_eq!(journal.head(), head_of(&records));
    assert_eq!(journal.read(0, 100).expect("reads"), records);
    assert_eq!(server.sql(database(&url), "SELECT token FROM proofmesh.writer"), ["11"], "each cut was one");
}

/// Appends a stream while the server is killed and started again, over and over.
#[test]
fn a_server_that_is_killed_under_a_stream_loses_and_doubles_nothing() {
    let Some(mut server) = PostgresServer::start() else { return };
    let (url, place) = (server.fresh(), Place::new("engines"));
    let mut journal = open(&|| open_journal(&place.0, &at(&url))).journal;
    let ended = std::sync::atomic::AtomicBool::new(false);
    let (records, unreachable) = std::thread::scope(|scope| {
        let stream = scope.spawn(|| {
            let (mut records, mut unreachable) = (Vec::new(), 0);
            while !ended.load(std::sync::atomic::Ordering::SeqCst) {
                let size = 1 + records.len() % 9;
                let batch: Vec<String> = (0..size).map(|n| format!("record {}", records.len() + n)).collect();
                // What is not acknowledged is offered again, as a book does.
                while let Err(fault) = journal.append(&slices(&batch)) {
                    assert!(fault.is("journal.unreachable"), "{fault}");
                    unreachable += 1;
                    std::thread::sleep(Duration::from_millis(20));
                }
                records.extend(batch);
            }
            (records, unreachable)
        });
        for death in 0..6_u64 {
            std::thread::sleep(Duration::from_millis(150 + 37 * death));
            server.kill();
            // Once longer than an append waits.
            std::thread::sleep(Duration::from_millis(if death == 3 { 6_500 } else { 100 }));
            server.go_on();
        }
        std::thread::sleep(Duration::from_millis(300));
        ended.store(true, std::sync::atomic::Ordering::SeqCst);
        stream.join().expect("the stream ends")
    });
    assert!(unreachable > 0, "the long outage was noticed");
    println!("{} records over six deaths, {unreachable} times unreachable", records.len());
    drop(journal);
    let again = open(&|| open_journal(&place.0, &at(&url)));
    assert!(again.records.iter().eq(records.iter().map(String::as_bytes)), "each once, in order");
}

/// Every twelfth place where a coordinator can die, and some random times, its journal on the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn a_coordinator_on_a_server_that_dies_loses_nothing_and_pays_nothing_twice() {
    let Some(server) = tokio::task::block_in_place(PostgresServer::start) else { return };
    let story = Arc::new(Story::prepare("engines", &["--unguarded"]).await);
    let places = if cfg!(debug_assertions) { 8 } else { 0 };
    let deaths = (1..=places).map(|n| Death::Fresh(12 * n)).chain((1..=6).map(|n| Death::Begun(90_000 * n)));
    let died =
        all(&story, deaths.map(|death| (death, format!("--state {}", server.fresh()))).collect()).await;
    println!("died: {died:?}");
    assert!(died.len() >= 6);
}

/// The server is killed three times while the whole story runs; the coordinator stays and goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn a_coordinator_goes_on_when_its_server_comes_back() {
    let Some(mut server) = tokio::task::block_in_place(PostgresServer::start) else { return };
    let story = Story::prepare("engines", &["--unguarded"]).await;
    let (place, url) = (Place::new("engines"), server.fresh());
    crate::place::copy(&story.place.path("ready/keys"), &place.path("keys"));
    let start = || Running::start_with(&place.0, &story.model_path, None, &["--unguarded", "--state", &url]);
    let mut running = tokio::task::block_in_place(start).expect("starts");
    let killer = std::thread::spawn(move || {
        for away_ms in [300, 7_000, 50] {
            std::thread::sleep(Duration::from_millis(250));
            server.kill();
            std::thread::sleep(Duration::from_millis(away_ms));
            server.go_on();
        }
        server
    });
    let (client, mut acknowledged, mut troubles) = (running.client(), BTreeSet::new(), Vec::new());
    let begun = Instant::now();
    loop {
        let whole = async {
            story.set_up(&client, &place.0).await?;
            story.work(&client, &mut acknowledged).await
        };
        match whole.await {
            Err(fault) => {
                assert!(begun.elapsed() < Duration::from_secs(120), "{fault}");
                troubles.push(fault.name);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Ok(()) if killer.is_finished() => break,
            Ok(()) => {}
        }
    }
    let _server = killer.join().expect("the server stands again");
    println!("troubles: {troubles:?}");
    story.check(&client, &acknowledged).await.expect("all there, once");
    running.kill();
    let audit = proofmesh::audit::of_dir(&place.0).await.expect("no difference");
    assert_eq!(audit.receipts, acknowledged.len() as u64);
}

/// What one append costs: `cargo test -p proofmesh --test node engines::cost -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn cost_of_an_append() {
    let Some(server) = PostgresServer::start() else { return };
    for (name, url) in [("embedded", "embedded".to_owned()), ("PostgreSQL", server.fresh())] {
        let place = Place::new("engines");
        let mut journal = open(&|| open_journal(&place.0, &at(&url))).journal;
        let begun = Instant::now();
        for number in 0..500_u32 {
            journal.append(&[&number.to_be_bytes().repeat(100)]).expect("appends");
        }
        println!("{name}: {:.0} us an append of 400 bytes", begun.elapsed().as_secs_f64() * 1e6 / 500.0);
        let (begun, record) = (Instant::now(), vec![7; 600]);
        for _ in 0..100 {
            journal.append(&[&record[..]; 64]).expect("appends");
        }
        println!("{name}: {:.0} us an append of 64 x 600 bytes", begun.elapsed().as_secs_f64() * 1e6 / 100.0);
    }
}
