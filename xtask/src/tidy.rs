//! Rules with reasons, enforced by a test (`xtask/tests/tidy.rs`).

use std::fs;
use std::path::{Path, PathBuf};

/// Which crates each crate may use: the picture in ARCHITECTURE.md. An arrow that is not here needs a note in docs/decisions.
pub const MAY_USE: [(&str, &[&str]); 18] = [
    ("proof", &[]),
    ("graph", &["proof"]),
    ("prover", &["graph", "proof"]),
    ("model", &["graph"]),
    ("verifier", &["graph", "proof"]),
    ("wrap", &["graph", "proof"]),
    ("python", &["graph", "model", "prover", "verifier"]),
    ("wasm", &["verifier"]),
    ("market", &[]),
    ("services", &["market"]),
    ("settle", &["market"]),
    ("sim", &["market", "services"]),
    (
        "node",
        &["proof", "graph", "prover", "model", "verifier", "wrap", "market", "services", "settle", "sim"],
    ),
    ("xtask", &[]),
    // chains/: contracts, each a Cargo project of its own.
    ("settlement", &["market", "services"]),
    ("zk", &["graph", "proof", "verifier"]),
    ("run", &[]),
    ("program", &[]),
];

/// Longest source file, in lines: past it a file holds more than one idea.
const MAX_FILE_LINES: usize = 700;
/// Longest source line, in characters: past it a reader scrolls. Generated tables and URLs have no exception.
const MAX_LINE: usize = 170;
/// Module names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 6] = ["util.rs", "utils.rs", "common.rs", "helper.rs", "helpers.rs", "misc.rs"];

/// Everything that breaks a rule, as `path:line: what`.
pub fn check(root: &Path) -> Vec<String> {
    let mut findings = imports(root);
    for file in sources(root) {
        findings.extend(source(root, &file));
    }
    findings
}

/// Arrows between crates that the picture lacks, and crates that it lacks. Test-only dependencies are free.
pub fn imports(root: &Path) -> Vec<String> {
    let mut findings = Vec::new();
    let mut manifests: Vec<PathBuf> = ["crates", "bindings", "chains/cosmwasm", "chains/solana"]
        .into_iter()
        .flat_map(|folder| fs::read_dir(root.join(folder)).into_iter().flatten().flatten())
        .map(|e| e.path().join("Cargo.toml"))
        .filter(|p| p.exists())
        .collect();
    manifests.push(root.join("xtask/Cargo.toml"));
    manifests.sort();
    for manifest in manifests {
        let folder = manifest
            .parent()
            .and_then(Path::file_name)
            .and_then(|n| n.to_str())
            .unwrap_or_default()
            .to_string();
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == folder) else {
            findings.push(format!(
                "{folder}: not in the picture of ARCHITECTURE.md; add it there and to MAY_USE"
            ));
            continue;
        };
        for used in used_crates(&fs::read_to_string(&manifest).unwrap_or_default()) {
            if !allowed.contains(&used.as_str()) {
                findings
                    .push(format!("{folder}: uses `{used}`, an arrow that ARCHITECTURE.md does not draw"));
            }
        }
    }
    findings
}

/// Our own crates in the `[dependencies]` of a manifest.
pub fn used_crates(manifest: &str) -> Vec<String> {
    let mut inside = false;
    let mut used = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.contains("dependencies") && !line.contains("dev-");
        }
        if let Some(rest) = line.strip_prefix("proofmesh-").filter(|_| inside) {
            used.push(
                rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default().to_string(),
            );
        }
    }
    used
}

/// Every Rust source of the project.
fn sources(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = ["bindings", "chains", "crates", "xtask"].map(|name| root.join(name)).to_vec();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && path.file_name().is_some_and(|n| n != "target" && n != "node_modules") {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// Breaches in one file.
fn source(root: &Path, file: &Path) -> Vec<String> {
    let name = file.strip_prefix(root).unwrap_or(file).display().to_string();
    let text = fs::read_to_string(file).unwrap_or_default();
    let mut findings = Vec::new();
    if EMPTY_NAMES.iter().any(|n| file.ends_with(n)) {
        findings.push(format!("{name}: the name says nothing"));
    }
    let lines = text.lines().count();
    if lines > MAX_FILE_LINES {
        findings.push(format!("{name}: {lines} lines, more than {MAX_FILE_LINES}"));
    }
    if !text.starts_with("//!") {
        findings.push(format!("{name}:1: a file opens with what it is for (`//!`)"));
    }
    for (i, line) in text.lines().enumerate() {
        if line.chars().count() > MAX_LINE {
            findings.push(format!(
                "{name}:{}: {} characters, more than {MAX_LINE}",
                i + 1,
                line.chars().count()
            ));
        }
        for leftover in [
            concat!("todo", "!("),
            concat!("unimplemented", "!()"),
            concat!("dbg", "!("),
            concat!("FIX", "ME"),
        ] {
            if line.contains(leftover) && !line.trim_start().starts_with("///") && !line.contains("# let") {
                findings.push(format!("{name}:{}: a leftover: {leftover}", i + 1));
            }
        }
    }
    findings
}
