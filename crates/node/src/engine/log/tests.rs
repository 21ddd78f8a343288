//! The log keeps what it acknowledged and refuses what was damaged.

use super::*;
use std::sync::atomic::{AtomicU64, Ordering};

/// A fresh directory under the system's own place for such.
pub(crate) fn temp_dir(name: &str) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("proofmesh-{name}-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory");
    dir
}

/// A log's bytes with these records.
fn bytes_of(records: &[&[u8]]) -> Vec<u8> {
    let dir = temp_dir("log");
    let path = dir.join("log");
    let mut log = Log::open(&path).expect("opens").log;
    log.append(records).expect("appends");
    let bytes = std::fs::read(&path).expect("reads");
    std::fs::remove_dir_all(dir).expect("cleaned");
    bytes
}

const RECORDS: [&[u8]; 4] = [b"opened", b"deposit of 7", b"a", b"epoch closed, and a rather longer record"];

#[test]
fn every_cut_of_the_file_leaves_the_whole_records_before_it() {
    let bytes = bytes_of(&RECORDS);
    let mut ends = vec![HEADER.len()];
    ends.extend(RECORDS.iter().scan(HEADER.len(), |at, record| {
        *at += MARKS + record.len();
        Some(*at)
    }));
    for cut in 0..=bytes.len() {
        let found = scan(&bytes[..cut]).expect("a cut is no damage");
        let whole = ends.iter().filter(|end| **end <= cut).count().saturating_sub(1);
        assert_eq!(found.records, RECORDS[..whole], "cut at {cut}");
    }
}

#[test]
fn every_flipped_bit_of_a_finished_record_is_refused_by_name() {
    let bytes = bytes_of(&RECORDS);
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut lie = bytes.clone();
            lie[at] ^= 1 << bit;
            let fault = scan(&lie).expect_err("damage");
            let name = if at < HEADER.len() { "log.header" } else { "log.record" };
            assert!(fault.name.starts_with(name), "byte {at}: {fault}");
        }
    }
}

#[test]
fn moved_dropped_and_repeated_records_are_refused() {
    let bytes = bytes_of(&RECORDS);
    let at = HEADER.len();
    let (first, second) = (MARKS + RECORDS[0].len(), MARKS + RECORDS[1].len());
    let (a, b, rest) =
        (&bytes[at..at + first], &bytes[at + first..at + first + second], &bytes[at + first + second..]);
    for lie in [
        [&bytes[..at], b, a, rest].concat(),
        [&bytes[..at], b, rest].concat(),
        [&bytes[..at], a, a, b, rest].concat(),
    ] {
        assert!(scan(&lie).expect_err("another order").is("log.record-length"));
    }
}

#[test]
fn an_end_that_was_never_written_is_cut_off_and_the_log_goes_on() {
    let dir = temp_dir("log");
    let path = dir.join("log");
    let mut bytes = bytes_of(&RECORDS);
    let good = bytes.len() - RECORDS[3].len() - MARKS;
    let end = bytes.len();
    bytes[end - 20..].fill(0);
    for tail in [bytes.clone(), [&bytes[..good], &[0; 300]].concat(), bytes[..end - 3].to_vec()] {
        std::fs::write(&path, &tail).expect("written");
        let opened = Log::open(&path).expect("repaired");
        assert_eq!((opened.records.len(), opened.torn_bytes), (3, (tail.len() - good) as u64));
        let mut log = opened.log;
        log.append(&[b"after"]).expect("goes on");
        assert_eq!(log.read(2, 9).expect("reads"), vec![RECORDS[2].to_vec(), b"after".to_vec()]);
        drop(log);
        assert_eq!(Log::open(&path).expect("opens").records.len(), 4);
    }
    std::fs::remove_dir_all(dir).expect("cleaned");
}

#[test]
fn a_second_process_is_refused() {
    let dir = temp_dir("log");
    let path = dir.join("log");
    let held = Log::open(&path).expect("opens");
    assert!(Log::open(&path).expect_err("held").is("log.in-use"));
    drop(held);
    assert!(Log::open(&path).expect("free again").log.is_empty());
    std::fs::remove_dir_all(dir).expect("cleaned");
}

#[test]
fn random_bytes_never_panic() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..2_000 {
        let mut bytes: Vec<u8> = if round % 2 == 0 { HEADER.to_vec() } else { Vec::new() };
        for _ in 0..round % 97 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            bytes.push((seed >> 56) as u8);
        }
        let _ = scan(&bytes);
    }
}
