// Reads an archive by the libraries of those who made the format, and prints {name: hex of its bytes}.
// node read.mjs car FILE | node read.mjs ans104 FILE
import { readFile } from "node:fs/promises";

const [form, path] = process.argv.slice(2);
const bytes = await readFile(path);
const out = {};

if (form === "car") {
  const { CarReader } = await import("@ipld/car");
  const { sha256 } = await import("multiformats/hashes/sha2");
  const { exporter, recursive } = await import("ipfs-unixfs-exporter");
  const car = await CarReader.fromBytes(bytes);
  const [root] = await car.getRoots();
  const blocks = new Map();
  for await (const { cid, bytes: block } of car.blocks()) {
    const hash = await sha256.digest(block);
    if (Buffer.compare(hash.bytes, cid.multihash.bytes) !== 0) throw new Error(`another block than ${cid}`);
    blocks.set(cid.toString(), block);
  }
  const store = {
    async *get(cid) {
      const block = blocks.get(cid.toString());
      if (!block) throw new Error(`no block ${cid}`);
      yield block;
    },
  };
  for await (const { cid, name } of recursive(root, store)) {
    if (cid.equals(root)) continue;
    const parts = [];
    for await (const part of (await exporter(cid, store)).content()) parts.push(part);
    out[name] = Buffer.concat(parts).toString("hex");
  }
  out["root"] = Buffer.from(root.toString()).toString("hex");
} else {
  const { Bundle } = await import("arbundles");
  const bundle = new Bundle(bytes);
  if (!(await bundle.verify())) throw new Error("the bundle does not verify");
  for (const item of bundle.items) {
    if (!(await item.isValid())) throw new Error(`${item.id} does not verify`);
    const name = item.tags.find((tag) => tag.name === "Name").value;
    out[name] = item.rawData.toString("hex");
  }
}
console.log(JSON.stringify(out));
