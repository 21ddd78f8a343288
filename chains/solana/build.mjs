#!/usr/bin/env node
// Builds artifacts/proofmesh.so and writes SHA256SUMS. With --check: holds the committed file against SHA256SUMS, builds again and fails on any
// byte of difference; where the compiler of the committed file is not at hand it says SKIPPED and does no more.
//
// The compiler is Debian's (rustc-web, cargo-web, libstd-rust-web-dev-bpf) with crates.io's sbpf-linker on LLVM 22: see docs/chains-other.md. Where
// these are unpacked elsewhere: SBF_RUSTC, SBF_CARGO, SBF_LINKER.
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const artifact = join(here, "artifacts/proofmesh.so");
const sums = join(here, "artifacts/SHA256SUMS");
const target = "bpfel-unknown-none";
const home = process.env.CARGO_HOME ?? join(homedir(), ".cargo");
const rustc = process.env.SBF_RUSTC ?? "/usr/bin/rustc";
const cargo = process.env.SBF_CARGO ?? "/usr/bin/cargo";
const linker = process.env.SBF_LINKER ?? join(home, "bin/sbpf-linker");

const command = (program, ...args) => execFileSync(program, args, { cwd: here, encoding: "utf8" }).trim();
const sysroot = existsSync(rustc) ? command(rustc, "--print", "sysroot") : "";
const missing = [
  [existsSync(rustc), `${rustc} (Debian's rustc-web)`],
  [existsSync(cargo), `${cargo} (Debian's cargo-web)`],
  [existsSync(join(sysroot, "lib/rustlib", target)), `the ${target} library (Debian's libstd-rust-web-dev-bpf)`],
  [existsSync(linker), `${linker} (cargo install sbpf-linker)`],
].find(([there]) => !there)?.[1];
const tools = () => `# ${command(rustc, "--version")}, ${command(linker, "--version").replaceAll("\n", ", ")}\n`;
const digest = (file) => createHash("sha256").update(readFileSync(file)).digest("hex");
const listed = () => `${digest(artifact)}  proofmesh.so\n`;

function fail(why) {
  console.error(`${why}: npm run build, and commit`);
  process.exit(1);
}

/// Compiles for version 3 of the machine, with no path of this machine in the result; gives the file.
function build() {
  const flags = [
    `--remap-path-prefix=${here}=proofmesh`,
    `--remap-path-prefix=${home}=cargo`,
    `--remap-path-prefix=${sysroot}=rust`,
    `-Clinker=${linker}`,
    "-Cpanic=abort",
    "-Crelocation-model=static",
    "-Ctarget-cpu=v3",
    ...["--arch=v3", "--llvm-args=-bpf-stack-size=4096", "--deploy=false"].map((arg) => `-Clink-arg=${arg}`),
  ];
  const env = { ...process.env, RUSTC: rustc, CARGO_ENCODED_RUSTFLAGS: flags.join("\x1f") };
  const done = spawnSync(cargo, ["build", "--locked", "--release", "--target", target], { cwd: here, env, stdio: "inherit" });
  if (done.status !== 0) process.exit(1);
  const metadata = JSON.parse(command(cargo, "metadata", "--format-version=1", "--no-deps", "--locked"));
  return join(metadata.target_directory, target, "release/libproofmesh_solana.so");
}

if (!process.argv.includes("--check")) {
  if (missing) fail(`missing: ${missing}`);
  copyFileSync(build(), artifact);
  writeFileSync(sums, tools() + listed());
  console.log("artifacts/ is written");
} else {
  const committed = readFileSync(sums, "utf8");
  if (committed.slice(committed.indexOf("\n") + 1) !== listed()) fail("SHA256SUMS is not of the file in artifacts/");
  const skipped = missing ? `missing here: ${missing}` : committed.startsWith(tools()) ? "" : `other tools here: ${tools().slice(2)}`;
  if (skipped) {
    console.log(`artifacts/ is as listed. SKIPPED: rebuilding and comparing it (${skipped.trim()})`);
  } else if (digest(build()) !== digest(artifact)) {
    fail("artifacts/proofmesh.so is not what the sources give");
  } else {
    console.log("artifacts/ is what the sources give, byte for byte");
  }
}
