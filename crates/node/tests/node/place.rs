//! Directories and child processes that end with their test.

use proofmesh::client::Client;
use proofmesh::keys::Keyring;
use serde::de::DeserializeOwned;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

/// A directory that is removed with its value.
pub struct Place(pub PathBuf);

impl Place {
    /// A fresh one.
    pub fn new(name: &str) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("proofmesh-{name}-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory");
        Place(dir)
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Copies a directory with all that is in it.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("entries") {
        let entry = entry.expect("an entry");
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy(&source, &target);
        } else {
            std::fs::copy(&source, &target).expect("copied");
        }
    }
}

/// The binary with arguments, run to its end.
pub fn run<S: AsRef<OsStr>>(arguments: &[S]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_proofmesh"));
    command
        .args(arguments)
        .env_remove("PROOFMESH_DIR")
        .env_remove("PROOFMESH_URL")
        .env_remove("PROOFMESH_KEY")
        .envs(crate::s3::KEYS);
    command.output().expect("the binary runs")
}

/// The JSON document on a command's stdout.
pub fn document<T: DeserializeOwned>(output: &Output) -> T {
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "exit {:?}: {talk}", output.status.code());
    serde_json::from_slice(&output.stdout).expect("one JSON document on stdout")
}

/// A coordinator in a process of its own.
pub struct Running {
    child: Child,
    dir: PathBuf,
    /// URL of its API.
    pub api: String,
}

impl Running {
    /// Starts one; `None` if it died before it was ready. `abort_at` is the place where it dies.
    pub fn start(dir: &Path, model: &Path, abort_at: Option<u64>) -> Option<Self> {
        Self::start_with(dir, model, abort_at, &[])
    }

    /// The same with more arguments.
    pub fn start_with(dir: &Path, model: &Path, abort_at: Option<u64>, more: &[&str]) -> Option<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_proofmesh"));
        command.arg("up");
        if !more.contains(&"--port") {
            command.args(["--port", "0"]);
        }
        command.args(["--rpc-port", "0", "--json", "--model"]).arg(model).arg("--dir").arg(dir).args(more);
        command.stdout(Stdio::piped()).stderr(Stdio::null()).env_remove("PROOFMESH_ABORT_AT");
        command.envs(crate::s3::KEYS);
        if let Some(at) = abort_at {
            command.env("PROOFMESH_ABORT_AT", at.to_string());
        }
        let mut child = command.spawn().expect("the binary runs");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("a line or the end");
        match serde_json::from_str::<proofmesh::out::UpDoc>(&line) {
            Ok(doc) => Some(Running { child, dir: dir.to_owned(), api: doc.api }),
            Err(_) => {
                let status = child.wait().expect("ended");
                assert!(!status.success(), "a coordinator that is not ready must have failed");
                // A death is a signal; an exit code would be an error that recovery does not get over.
                assert!(status.code().is_none(), "refused to start: {status}");
                None
            }
        }
    }

    /// A client of its API, with the owner's key.
    pub fn client(&self) -> Client {
        let key = Keyring::open(&self.dir).expect("keys").owner_key();
        Client::new(&self.api).expect("a client").with_key(key)
    }

    /// kill -9.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}
