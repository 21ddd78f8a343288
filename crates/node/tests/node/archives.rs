//! Archives: written here, read back by the libraries of those who made the formats, and by ourselves; hostile ones.

use crate::place::{Place, run};
use crate::s3::{S3Server, caller};
use proofmesh::archive::{Files, ans104, car, from_blobs, to_blobs};
use proofmesh::engine::s3::{At, Bucket};
use proofmesh_market::{DeviceSecret, Hash32};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// Files of each size at which the forms differ: none, one leaf, several, equal ones; names that have to be escaped elsewhere.
fn files() -> Files {
    let content =
        |bytes: usize, seed: u8| (0..bytes).map(|i| (i * 31 + i / 977) as u8 ^ seed).collect::<Vec<u8>>();
    let mut files = Files::from([
        ("empty".to_owned(), Vec::new()),
        ("small.json".to_owned(), b"{\"a\":1}".to_vec()),
        ("again.json".to_owned(), b"{\"a\":1}".to_vec()),
        ("leaf".to_owned(), content(car::LEAF_BYTES, 1)),
        ("several".to_owned(), content(2 * car::LEAF_BYTES + 5, 2)),
        ("Zürich & \"x\"".to_owned(), content(300, 3)),
    ]);
    files.insert("n".repeat(255), content(7, 4));
    files
}

type Reader<'a> = &'a dyn Fn(&[u8]) -> proofmesh::fault::Result<Files>;

fn secret() -> DeviceSecret {
    DeviceSecret::from_bytes([7; 32])
}

/// What the other libraries read; `None`, said aloud, where they are not installed.
fn others(form: &str, archive: &[u8], place: &Place) -> Option<serde_json::Map<String, Value>> {
    let at = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/archives");
    if !at.join("node_modules").exists() {
        assert!(std::env::var_os("ARCHIVES_REQUIRED").is_none(), "npm ci in {}", at.display());
        eprintln!("skipped: npm ci in {} for the libraries that read archives back", at.display());
        return None;
    }
    let path = place.path(form);
    std::fs::write(&path, archive).expect("written");
    let output =
        Command::new("node").arg(at.join("read.mjs")).arg(form).arg(&path).output().expect("node runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let Value::Object(read) = serde_json::from_slice(&output.stdout).expect("JSON") else {
        panic!("an object")
    };
    Some(read)
}

fn same(read: &serde_json::Map<String, Value>, files: &Files) {
    for (name, bytes) in files {
        assert!(read[name] == hex::encode(bytes).as_str(), "{name} of {} bytes", bytes.len());
    }
}

#[test]
fn a_car_is_read_back_by_ipld() {
    let (place, files) = (Place::new("archive-car"), files());
    let written = car::write(&files).expect("writes");
    assert!(car::read(&written.bytes).expect("reads") == files);
    let Some(read) = others("car", &written.bytes, &place) else { return };
    assert_eq!(read["root"], hex::encode(&written.root).as_str());
    assert_eq!(read.len(), files.len() + 1);
    same(&read, &files);
}

#[test]
fn a_bundle_is_read_back_by_arbundles() {
    let (place, files) = (Place::new("archive-ans104"), files());
    let written = ans104::write(&files, &secret()).expect("writes");
    let (back, owner) = ans104::read(&written).expect("reads");
    assert!(back == files && owner == secret().device());
    let Some(read) = others("ans104", &written, &place) else { return };
    assert_eq!(read.len(), files.len());
    same(&read, &files);
}

#[test]
fn a_bucket_gives_its_archive_back() {
    let server = S3Server::start();
    let bucket = Bucket::open(At::parse(&server.url("archives")).expect("a URL"), &caller()).expect("opens");
    let list = to_blobs(&bucket, &files()).expect("writes");
    assert!(from_blobs(&bucket, &list).expect("reads") == files());
    assert_eq!(from_blobs(&bucket, &Hash32([1; 32])).expect_err("none").name, "archive.unknown");
}

#[test]
fn damaged_and_hostile_archives_are_refused_by_name() {
    let files = Files::from([("a".to_owned(), vec![5; 40]), ("b".to_owned(), vec![6; 9])]);
    let (car, bundle) =
        (car::write(&files).expect("writes").bytes, ans104::write(&files, &secret()).expect("writes"));
    let read_car = |bytes: &[u8]| car::read(bytes);
    let read_bundle = |bytes: &[u8]| ans104::read(bytes).map(|(files, _)| files);
    let readers: [(&[u8], Reader<'_>); 2] = [(&car, &read_car), (&bundle, &read_bundle)];
    for (good, read) in readers {
        let name = |bytes: &[u8]| read(bytes).expect_err("no archive").name;
        for length in 0..good.len() {
            let name = name(&good[..length]);
            assert!(name == "archive.form" || name == "archive.damaged", "{length}: {name}");
        }
        for bit in 0..good.len() * 8 {
            let mut changed = good.to_vec();
            changed[bit / 8] ^= 1 << (bit % 8);
            // Every bit is bound by a hash, a signature or the form.
            let name = name(&changed);
            assert!(name == "archive.form" || name == "archive.damaged", "bit {bit}: {name}");
        }
        assert_eq!(name(&[good, &[1]].concat()), "archive.form");
        assert_eq!(name(&[0xff; 4_096]), "archive.form");
    }
    assert_eq!(car::write(&Files::new()).expect_err("no files").name, "archive.too-large");
    let path = Files::from([("../a".to_owned(), vec![1])]);
    assert_eq!(ans104::write(&path, &secret()).expect_err("a path").name, "archive.too-large");
}

#[test]
fn restore_says_what_a_file_is_not() {
    let place = Place::new("archive-restore");
    let car = place.path("x.car");
    std::fs::write(&car, car::write(&files()).expect("writes").bytes).expect("written");
    let text = |path: &Path| path.to_str().expect("a path in text").to_owned();
    let (dir, from, to) = (text(&place.path("dir")), text(&car), text(&place.path("out")));
    let call = |of: &str| run(&["storage", "restore", &from, &to, "--of", of, "--json", "--dir", &dir]);
    for of in ["car", "ans104"] {
        let output = call(of);
        assert_eq!(output.status.code(), Some(1));
        let fault: Value = serde_json::from_slice(&output.stderr).expect("a fault");
        assert_eq!(fault["name"], "archive.form", "{of}");
    }
    assert!(!place.path("out").exists());
}
