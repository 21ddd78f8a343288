#!/usr/bin/env node
// Builds pkg/verifier.wasm and writes SHA256SUMS. With --check: builds, and fails on any byte of difference; where the wasm target is not
// installed it checks the committed files against SHA256SUMS and says that it did no more.
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
const listed = () =>
  readdirSync(pkg)
    .sort()
    .map((name) => `${digest(join(pkg, name))}  pkg/${name}\n`)
    .join("");

const check = process.argv.includes("--check");
if (!installed && !check) {
  console.error(`no ${target} library in ${sysroot}: rustup target add ${target}`);
  process.exit(3);
}
if (installed) {
  const built = build();
  if (!check) {
    copyFileSync(built, join(pkg, "verifier.wasm"));
    writeFileSync(sums, listed());
  } else if (digest(built) !== digest(join(pkg, "verifier.wasm"))) {
    console.error("pkg/verifier.wasm is not what the sources give: node build.mjs, and commit");
    process.exit(1);
  }
}
if (listed() !== readFileSync(sums, "utf8")) {
  console.error("SHA256SUMS is not of the files in pkg/: node build.mjs, and commit");
  process.exit(1);
}
console.log(installed ? "pkg/ is what the sources give" : `pkg/ is as listed; not rebuilt, there is no ${target} library here`);
