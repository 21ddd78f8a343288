//! A disk that is full: a coordinator on a small file system of its own says so, acknowledges nothing that it could not keep,
//! loses nothing that it acknowledged, and goes on by itself when there is room.

use crate::crash::Story;
use crate::place::{Place, Running, copy};
use proofmesh::audit::of_dir;
use proofmesh::client::Client;
use proofmesh::fault::{Fault, Kind};
use proofmesh::keys::Keyring;
use proofmesh::out::UpDoc;
use proofmesh_market::order::Enroll;
use proofmesh_market::{AccountSecret, Signed, What};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Mounts a file system in memory at `$1`, copies `$2` there, and becomes what follows.
const ON_A_SMALL_DISK: &str =
    r#"mount -t tmpfs -o size=48m tmpfs "$1" && cp -r "$2/." "$1/" && shift 2 && exec "$@""#;

/// A coordinator on a small disk that nobody else sees but through its process.
struct OnSmallDisk {
    child: Child,
    client: Client,
    /// Its directory, seen from here.
    dir: PathBuf,
}

impl OnSmallDisk {
    /// `None`, said aloud, where this user may mount nothing even in a name space of its own.
    fn start(story: &Story, at: &Path) -> Option<Self> {
        let mut command = Command::new("unshare");
        command.args(["-rm", "sh", "-c", ON_A_SMALL_DISK, "sh"]).arg(at).arg(story.place.path("ready"));
        command.arg(env!("CARGO_BIN_EXE_proofmesh")).args(["up", "--port", "0", "--rpc-port", "0", "--json"]);
        command.args(["--unguarded", "--model"]).arg(&story.model_path).arg("--dir").arg(at);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("unshare runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line or the end");
        let Ok(doc) = serde_json::from_str::<UpDoc>(&line) else {
            let _ = child.wait();
            // Not captured by the test harness, so that nobody takes a skipped test for a passed one.
            writeln!(std::io::stderr(), "skipped: no file system may be mounted here").expect("stderr");
            return None;
        };
        let inside = at.strip_prefix("/").expect("an absolute path");
        let dir = Path::new("/proc").join(child.id().to_string()).join("root").join(inside);
        let key = Keyring::open(&dir).expect("keys").owner_key();
        Some(OnSmallDisk { child, client: Client::new(&doc.api).expect("a client").with_key(key), dir })
    }

    /// Writes until nothing more fits.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.dir.join("fill")).expect("a file");
        for size in [1 << 20, 1 << 12, 1] {
            while file.write_all(&vec![7; size]).is_ok() {}
        }
        let fault = Fault::file(&self.dir, &file.write_all(b"more").expect_err("full"));
        assert!(fault.is("file.full"), "{fault}");
    }

    fn make_room(&self) {
        std::fs::remove_file(self.dir.join("fill")).expect("removed");
    }
}

impl Drop for OnSmallDisk {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_full_disk_loses_nothing_and_is_over_when_there_is_room() {
    let story = Story::prepare("full", &["--unguarded"]).await;
    let place = Place::new("small-disk");
    let Some(small) = OnSmallDisk::start(&story, &place.0) else { return };
    let (client, mut acknowledged) = (&small.client, BTreeSet::new());
    let before = client.status().await.expect("status").events;
    for _ in 0..3 {
        small.fill();
        for _ in 0..3 {
            let fault = story.work(client, &mut acknowledged).await.expect_err("no room");
            assert_eq!((fault.kind, fault.name.as_str()), (Kind::Trouble, "file.full"), "{fault}");
            assert!(fault.expected.contains("goes on by itself"), "{fault}");
        }
        // What there is, is told: reading needs no room.
        client.jobs().await.expect("answers");
        small.make_room();
    }
    assert!(acknowledged.is_empty(), "nothing was acknowledged that was not kept");
    assert_eq!(client.status().await.expect("status").events, before, "and nothing half-kept");
    story.work(client, &mut acknowledged).await.expect("goes on by itself");
    // An event that the state took and the journal could not is owed: nothing more is taken before it is in.
    let domain = client.status().await.expect("status").domain;
    let enrol = |number: u8| {
        let newcomer = AccountSecret::from_bytes([number; 32]).expect("a secret");
        let order = Enroll { node: newcomer.address(), operator: newcomer.address(), nonce: 0 };
        let signed = Signed::new(order, &domain, &newcomer).expect("signed");
        (newcomer.address(), What::NodeEnrolled(signed))
    };
    small.fill();
    // The journal's last block has room for some.
    let mut number = 100;
    let (newcomer, enrolled) = loop {
        let (newcomer, enrolled) = enrol(number);
        match client.order(&enrolled).await {
            Ok(_) => number += 1,
            Err(fault) => {
                assert!(fault.is("file.full"), "{fault}");
                break (newcomer, enrolled);
            }
        }
        assert!(number < 200, "it never fills");
    };
    assert!(client.order(&enrolled).await.expect_err("no room").is("file.full"));
    small.make_room();
    assert_eq!(client.order(&enrolled).await.expect_err("it is in").kind, Kind::Refused);
    client.node(&newcomer).await.expect("once");
    // Full again when an epoch closes, and dead soon after. (The embedded chain's database wants to be opened anew then.)
    small.fill();
    client.close_epoch().await.expect_err("no room");
    small.make_room();
    let kept = Place::new("full-kept");
    copy(&small.dir, &kept.0);
    drop(small);
    let start = || Running::start_with(&kept.0, &story.model_path, None, &["--unguarded"]);
    let mut running = tokio::task::block_in_place(start).expect("starts again");
    story.check(&running.client(), &acknowledged).await.expect("all there, paid once");
    running.kill();
    let audit = of_dir(&kept.0).await.expect("no difference");
    assert_eq!(audit.receipts, acknowledged.len() as u64);
}
