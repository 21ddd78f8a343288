#!/usr/bin/env node
// Builds pkg/verifier.wasm and writes SHA256SUMS. With --check: builds, and fails on any byte of difference; with another compiler than the
// committed file's it runs the tests on what it built instead; where the wasm target is not installed it holds the committed files against
// SHA256SUMS and says that it did no more.
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "../..");
const pkg = join(here, "pkg");
const sums = join(here, "SHA256SUMS");
const target = "wasm32-unknown-unknown";

const command = (program, ...args) => execFileSync(program, args, { cwd: root, encoding: "utf8" }).trim();
const sysroot = command(process.env.RUSTC ?? "rustc", "--print", "sysroot");
const installed = existsSync(join(sysroot, "lib/rustlib", target, "lib"));

/// Compiles, with no path of this machine in the result, so that the same compiler gives the same bytes anywhere.
function build() {
  const cargoHome = process.env.CARGO_HOME ?? join(homedir(), ".cargo");
  const flags = [
    `--remap-path-prefix=${root.replace(/\/$/, "")}=proofmesh`,
    `--remap-path-prefix=${cargoHome}=cargo`,
    `--remap-path-prefix=${sysroot}=rust`,
  ];
  const args = ["build", "--locked", "--package", "proofmesh-wasm", "--lib", "--profile", "wasm", "--target", target];
  const env = { ...process.env, CARGO_ENCODED_RUSTFLAGS: flags.join("\x1f") };
  const done = spawnSync("cargo", args, { cwd: root, env, stdio: "inherit" });
  if (done.status !== 0) process.exit(1);
  const metadata = JSON.parse(command("cargo", "metadata", "--format-version=1", "--no-deps", "--locked"));
  return join(metadata.target_directory, target, "wasm/proofmesh_wasm.wasm");
}

const digest = (file) => createHash("sha256").update(readFileSync(file)).digest("hex");
const compiler = `# ${command(process.env.RUSTC ?? "rustc", "--version")}\n`;
const listed = () =>
  readdirSync(pkg)
    .sort()
    .map((name) => `${digest(join(pkg, name))}  pkg/${name}\n`)
    .join("");

function fail(why) {
  console.error(`${why}: cargo xtask wasm, and commit`);
  process.exit(1);
}

if (!process.argv.includes("--check")) {
  if (!installed) fail(`no ${target} library in ${sysroot}: first rustup target add ${target}`);
  copyFileSync(build(), join(pkg, "verifier.wasm"));
  writeFileSync(sums, compiler + listed());
  console.log("pkg/ is written");
} else {
  const committed = readFileSync(sums, "utf8");
  if (committed.slice(committed.indexOf("\n") + 1) !== listed()) fail("SHA256SUMS is not of the files in pkg/");
  if (!installed) {
    console.log(`pkg/ is as listed; not rebuilt, there is no ${target} library here`);
  } else if (committed.startsWith(compiler)) {
    if (digest(build()) !== digest(join(pkg, "verifier.wasm"))) fail("pkg/verifier.wasm is not what the sources give");
    console.log("pkg/verifier.wasm is what the sources give, byte for byte");
  } else {
    const env = { ...process.env, VERIFIER_WASM: build() };
    const done = spawnSync(process.execPath, ["--test", join(here, "test")], { env, stdio: "inherit" });
    if (done.status !== 0) fail("what the sources give does not pass the tests");
    console.log(`another compiler: what it builds passes the tests; the committed file is of ${committed.split("\n")[0].slice(2)}`);
  }
}
