// The verifier in Node, where a file is not fetched but read.
import { readFile } from "node:fs/promises";
import { load } from "./verifier.js";

await load(readFile(new URL("./verifier.wasm", import.meta.url)));
export * from "./verifier.js";
