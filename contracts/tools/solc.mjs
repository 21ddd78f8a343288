#!/usr/bin/env node
// Lets forge use the npm `solc` (WebAssembly) as if it were a native compiler: answers `--version` and `--standard-json`.
import solc from "solc";

if (process.argv.includes("--version")) {
  console.log(`solc, the solidity compiler commandline interface\nVersion: ${solc.version().replace(".clang", ".g++")}`);
} else if (process.argv.includes("--standard-json")) {
  let input = "";
  process.stdin.setEncoding("utf8");
  for await (const chunk of process.stdin) input += chunk;
  process.stdout.write(solc.compile(input));
} else {
  console.error("solc.mjs: only --version and --standard-json");
  process.exit(2);
}
