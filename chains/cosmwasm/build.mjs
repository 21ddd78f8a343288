#!/usr/bin/env node
// Builds artifacts/*.wasm and writes SHA256SUMS. With --check: holds the committed files against SHA256SUMS, builds again and fails on any byte of
// difference; where the compiler of the committed files is not at hand it says SKIPPED and does no more.
//
// The prebuilt standard library uses instructions that the chains' machine refuses (bulk memory, sign extension, saturating conversions):
// binaryen lowers them. The low inlining threshold keeps functions below the machine's 100 locals, and gives the cheapest code.
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "../..");
const artifacts = join(here, "artifacts");
const sums = join(artifacts, "SHA256SUMS");
const target = "wasm32-unknown-unknown";
// Profile of each contract, and how binaryen passes over it: what a verifier gains by speed is not worth more code than a chain stores.
const contracts = {
  settlement: { profile: "release", passes: ["-Os"] },
  zk: { profile: "small", passes: ["-Oz", "--one-caller-inline-max-function-size=50"] },
};
const lowering = [
  ...["bulk-memory", "nontrapping-float-to-int", "sign-ext", "mutable-globals", "reference-types", "multivalue"].map((f) => `--enable-${f}`),
  ...["llvm-memory-copy-fill", "llvm-nontrapping-fptoint", "signext"].map((pass) => `--${pass}-lowering`),
];

const command = (program, ...args) => execFileSync(program, args, { cwd: here, encoding: "utf8" }).trim();
const rustc = process.env.RUSTC ?? "rustc";
const sysroot = command(rustc, "--print", "sysroot");
const optimiser = join(here, "node_modules/.bin/wasm-opt");
const missing = [
  [existsSync(join(sysroot, "lib/rustlib", target, "lib")), `the ${target} library (rustup target add ${target})`],
  [existsSync(optimiser), "binaryen (npm ci)"],
].find(([there]) => !there)?.[1];
const tools = () => `# ${command(rustc, "--version")}, ${command(optimiser, "--version")}\n`;
const digest = (file) => createHash("sha256").update(readFileSync(file)).digest("hex");
const listed = () => Object.keys(contracts).map((name) => `${digest(join(artifacts, `${name}.wasm`))}  ${name}.wasm\n`).join("");

function fail(why) {
  console.error(`${why}: npm run build, and commit`);
  process.exit(1);
}

function run(program, args, env = process.env) {
  if (spawnSync(program, args, { cwd: here, env, stdio: "inherit" }).status !== 0) process.exit(1);
}

/// Cargo names crates outside its workspace (crates/market) by their path, and symbols by these names: one path on every machine.
const fixed = "/tmp/proofmesh-source";

/// Compiles, with no path of this machine in the result; gives the file.
function build(name) {
  const { profile, passes } = contracts[name];
  rmSync(fixed, { force: true });
  symlinkSync(root.replace(/\/$/, ""), fixed);
  const manifest = `--manifest-path=${fixed}/chains/cosmwasm/Cargo.toml`;
  const flags = [
    `--remap-path-prefix=${fixed}=proofmesh`,
    `--remap-path-prefix=${process.env.CARGO_HOME ?? join(homedir(), ".cargo")}=cargo`,
    `--remap-path-prefix=${sysroot}=rust`,
    "-Ctarget-cpu=mvp",
    "-Clink-arg=-s",
    // Nothing here draws: who asks gets an error. The signing halves of the key crates link it.
    '--cfg=getrandom_backend="unsupported"',
  ];
  const crate = `proofmesh-cosmwasm-${name}`;
  const args = ["rustc", manifest, "--locked", "-p", crate, "--lib", "--crate-type", "cdylib", "--profile", profile, "--target", target];
  run("cargo", [...args, "--", "-Cllvm-args=-inline-threshold=25"], { ...process.env, CARGO_ENCODED_RUSTFLAGS: flags.join("\x1f") });
  const metadata = JSON.parse(command("cargo", "metadata", manifest, "--format-version=1", "--no-deps", "--locked"));
  const folder = join(metadata.target_directory, target, profile);
  const lowered = join(folder, `${name}.lowered.wasm`);
  run(optimiser, [...passes, ...lowering, join(folder, `${crate.replaceAll("-", "_")}.wasm`), "-o", lowered]);
  return lowered;
}

if (!process.argv.includes("--check")) {
  if (missing) fail(`missing: ${missing}`);
  for (const name of Object.keys(contracts)) copyFileSync(build(name), join(artifacts, `${name}.wasm`));
  writeFileSync(sums, tools() + listed());
  console.log("artifacts/ is written");
} else {
  const committed = readFileSync(sums, "utf8");
  if (committed.slice(committed.indexOf("\n") + 1) !== listed()) fail("SHA256SUMS is not of the files in artifacts/");
  const skipped = missing ? `missing here: ${missing}` : committed.startsWith(tools()) ? "" : `other tools here: ${tools().slice(2)}`;
  if (skipped) {
    console.log(`artifacts/ is as listed. SKIPPED: rebuilding and comparing them (${skipped.trim()})`);
  } else {
    for (const name of Object.keys(contracts)) {
      if (digest(build(name)) !== digest(join(artifacts, `${name}.wasm`))) fail(`artifacts/${name}.wasm is not what the sources give`);
    }
    console.log("artifacts/ is what the sources give, byte for byte");
  }
}
