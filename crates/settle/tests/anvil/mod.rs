//! Starts the anvil that `npm ci` in contracts/ installs.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A running anvil; ends when dropped.
pub struct Anvil {
    child: Child,
    pub url: String,
}

impl Drop for Anvil {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn binary() -> Option<PathBuf> {
    let installed = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../contracts/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"
    );
    let path = std::env::var_os("ANVIL").map_or_else(|| PathBuf::from(installed), PathBuf::from);
    path.exists().then_some(path)
}

/// Starts one with the embedded chain's rules. `None`, said aloud, if it is not installed; with
/// `ANVIL_REQUIRED` set that is a failure.
pub fn start(chain_id: u64, free: bool) -> Option<Anvil> {
    let Some(path) = binary() else {
        let why = "skipped: anvil not installed, run npm ci in contracts (or set ANVIL)";
        assert!(std::env::var_os("ANVIL_REQUIRED").is_none(), "{why}");
        // Not captured by the test harness, so that nobody takes a skipped test for a passed one.
        use std::io::Write;
        writeln!(std::io::stderr(), "{why}").expect("stderr");
        return None;
    };
    let mut command = Command::new(path);
    command.args(["--port", "0", "--hardfork", "prague", "--accounts", "1"]);
    command.args(["--chain-id", &chain_id.to_string(), "--timestamp", &super::scenario::START.to_string()]);
    if free {
        command.args(["--gas-price", "0", "--block-base-fee-per-gas", "0"]);
    }
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("anvil starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let address = lines
        .by_ref()
        .map_while(Result::ok)
        .find_map(|l| l.strip_prefix("Listening on ").map(str::to_owned))
        .expect("anvil says where it listens");
    // It goes on printing every call: keep its pipe empty.
    std::thread::spawn(move || lines.for_each(drop));
    Some(Anvil { child, url: format!("http://{address}") })
}
