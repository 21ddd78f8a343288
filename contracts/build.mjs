#!/usr/bin/env node
// Compiles src/ with the pinned solc into artifacts/. With --check: compiles and fails on any byte of difference, writes nothing.
// The input is built from sorted, repository-relative names, so the same sources give the same bytes on any machine.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import solc from "solc";

const here = dirname(fileURLToPath(import.meta.url));
const contracts = ["Delivery", "Groth16Verifier", "Registry", "Settlement", "Stake", "TestUSD", "Transitions", "WeatherCover"];
const sourceOf = (name) => (name === "Groth16Verifier" ? `src/verifiers/${name}.sol` : `src/${name}.sol`);
const roots = { "@openzeppelin/": "node_modules/@openzeppelin/", "solady/": "node_modules/solady/src/" };

function fileOf(unit) {
  for (const [prefix, folder] of Object.entries(roots)) {
    if (unit.startsWith(prefix)) return join(here, folder, unit.slice(prefix.length));
  }
  return join(here, unit);
}

/// Every source that `unit` needs, by its own name.
function collect(unit, sources) {
  if (unit in sources) return;
  const content = readFileSync(fileOf(unit), "utf8");
  sources[unit] = { content };
  for (const [, path] of content.matchAll(/^\s*(?:import|\}\s*from)\b[^"';]*["']([^"']+)["'];/gm)) {
    collect(path.startsWith(".") ? join(dirname(unit), path) : path, sources);
  }
}

function standardInput() {
  const sources = {};
  for (const name of contracts) collect(sourceOf(name), sources);
  return JSON.stringify({
    language: "Solidity",
    sources: Object.fromEntries(Object.entries(sources).sort(([a], [b]) => (a < b ? -1 : 1))),
    settings: {
      evmVersion: "prague",
      optimizer: { enabled: true, runs: 10_000 },
      metadata: { bytecodeHash: "none", appendCBOR: false },
      outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } },
    },
  });
}

const input = standardInput();
const output = JSON.parse(solc.compile(input));
// Warnings in our own sources are errors; those in pinned dependencies are not ours to mend.
const faults = (output.errors ?? []).filter(
  (e) => e.severity === "error" || (e.sourceLocation?.file ?? "").startsWith("src/"),
);
for (const e of faults) console.error(e.formattedMessage);
if (faults.length > 0) process.exit(1);

let different = 0;
mkdirSync(join(here, "artifacts"), { recursive: true });
for (const name of contracts) {
  const { abi, evm } = output.contracts[sourceOf(name)][name];
  const text =
    JSON.stringify(
      {
        contract: name,
        compiler: solc.version(),
        evmVersion: "prague",
        inputSha256: createHash("sha256").update(input).digest("hex"),
        abi,
        bytecode: "0x" + evm.bytecode.object,
        deployedBytecode: "0x" + evm.deployedBytecode.object,
      },
      null,
      1,
    ) + "\n";
  const path = join(here, "artifacts", `${name}.json`);
  const same = existsSync(path) && readFileSync(path, "utf8") === text;
  if (process.argv.includes("--check")) {
    if (!same) {
      different += 1;
      console.error(`artifacts/${name}.json does not match the sources: run "npm run build" and commit`);
    }
  } else {
    writeFileSync(path, text);
  }
  console.log(`${name}: ${evm.deployedBytecode.object.length / 2} bytes${same ? "" : ", changed"}`);
}
const known = new Set(contracts.map((name) => `${name}.json`));
for (const file of readdirSync(join(here, "artifacts"))) {
  if (!known.has(file)) {
    different += 1;
    console.error(`artifacts/${file} belongs to no contract`);
  }
}
process.exit(different ? 1 : 0);
