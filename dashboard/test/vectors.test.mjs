// The page's encodings against the vectors that Rust and Solidity are tested with.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { build } from "vite";
import { root } from "./network.mjs";

const entry = join(root, "dashboard/src/encoding.ts");
const built = await build({ configFile: false, logLevel: "error", build: { write: false, lib: { entry, formats: ["es"], fileName: "encoding" } } });
const e = await import(`data:text/javascript;base64,${Buffer.from([built].flat()[0].output[0].code).toString("base64")}`);
const vectors = JSON.parse(await readFile(join(root, "vectors/receipts.json"), "utf8"));
const domain = { chain_id: Number(vectors.domain.chainId), settlement: vectors.domain.settlement };

test("receipts decode, hash, and are signed as the vectors say", () => {
  assert.equal(e.deviceKey(vectors.keys.did), vectors.keys.device);
  for (const vector of vectors.receipts) {
    const receipt = e.decodeReceipt(e.unhex(vector.wire));
    for (const [name, value] of Object.entries(vector.receipt)) assert.equal(String(receipt[name]), value, name);
    assert.deepEqual(e.outputWords(receipt), vector.outputWords);
    assert.equal(e.receiptDigest(domain, receipt), vector.digest);
    assert.equal(e.context(domain, receipt), vector.ctx);
    assert.equal(e.signerOf(vector.digest, receipt.nodeSignature), receipt.node);
    assert.ok(e.deviceSigned(vector.digest, receipt.deviceSignature, receipt.device));
    assert.ok(!e.deviceSigned(vectors.otherChain.digest, receipt.deviceSignature, receipt.device));
    assert.notEqual(e.signerOf(vectors.otherChain.digest, receipt.nodeSignature), receipt.node);
  }
});

test("what the vectors refuse is refused here by the same name", () => {
  for (const { name, wire } of vectors.refused) {
    const refusal = () => {
      const receipt = e.decodeReceipt(e.unhex(wire));
      const digest = e.receiptDigest(domain, receipt);
      if (e.keccak(receipt.outputBytes) !== receipt.output) return "receipt.output-differs";
      if (e.signerOf(digest, receipt.nodeSignature) !== receipt.node) return "receipt.node-signature";
      if (!e.deviceSigned(digest, receipt.deviceSignature, receipt.device)) return "receipt.device-signature";
      return "accepted";
    };
    let found;
    try {
      found = refusal();
    } catch (error) {
      found = error.message;
    }
    assert.equal(found, name);
  }
});

test("trees have the roots and proofs of the vectors", () => {
  for (const tree of vectors.trees.receipts) {
    const leaves = tree.of.map(e.receiptLeaf);
    assert.deepEqual(leaves, tree.leaves);
    assert.equal(e.root(leaves), tree.root);
    tree.proofs.forEach((proof, at) => assert.equal(e.climb(leaves[at], proof), tree.root));
  }
  for (const tree of vectors.trees.balances) {
    const leaves = tree.of.map(({ account, cumulative }) => e.balanceLeaf(account, BigInt(cumulative)));
    assert.deepEqual(leaves, tree.leaves);
    assert.equal(e.root(leaves), tree.root);
  }
});
