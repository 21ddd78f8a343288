//! Project tasks: `cargo xtask tidy | bless | bench | wasm | ci`. `--help` explains each.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use xtask::tidy;

const HELP: &str = "\
cargo xtask TASK

  tidy     checks what every file must keep: imports between crates, sizes, names, no leftovers
  bless    rewrites the vectors in vectors/ from what the code does now; read the diff
  bench    runs the prover's benchmark and prints the tables of docs/benchmarks.md
  wasm     builds bindings/wasm/pkg; with --check compares it with the sources instead
  ci       runs .ci/run, what the project must pass
";

fn main() -> ExitCode {
    let task = std::env::args().nth(1).unwrap_or_default();
    let root = root();
    let done = match task.as_str() {
        "tidy" => {
            let findings = tidy::check(&root);
            findings.iter().for_each(|f| eprintln!("{f}"));
            findings.is_empty()
        }
        "bless" => {
            run(Command::new("cargo").args(["test", "--workspace", "vectors"]).env("BLESS", "1"), &root)
        }
        "bench" => {
            let args = ["run", "--release", "--package", "proofmesh-prover", "--example", "bench", "--"];
            run(Command::new("cargo").args(args).args(std::env::args().skip(2)), &root)
        }
        "wasm" => {
            run(Command::new("node").arg("bindings/wasm/build.mjs").args(std::env::args().skip(2)), &root)
        }
        "ci" => run(Command::new("bash").arg(".ci/run"), &root),
        "--help" | "help" => {
            print!("{HELP}");
            true
        }
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(2);
        }
    };
    if done { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(command: &mut Command, root: &Path) -> bool {
    command.current_dir(root).status().is_ok_and(|s| s.success())
}

/// The project's root: the folder above this crate.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the root").to_path_buf()
}
