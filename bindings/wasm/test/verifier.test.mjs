// WebAssembly against native: every case of /vectors/verifier.json gives the same verdict, word for word. `node --test bindings/wasm/test`.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { inspect, load, Refused, verify, version } from "../pkg/node.js";

// Or the module of another build.
const module = process.env.VERIFIER_WASM ?? new URL("../pkg/verifier.wasm", import.meta.url);
await load(readFileSync(module));

const vectors = new URL("../../../vectors/", import.meta.url);
const read = (path) => new Uint8Array(readFileSync(new URL(path, vectors)));
const { cases } = JSON.parse(readFileSync(new URL("verifier.json", vectors), "utf8"));

const bases = Object.fromEntries(
  [...new Set(cases.map((c) => c.base))].map((name) => [
    name,
    { model: read(`verifier/${name}.pmesh`), document: read(`verifier/${name}.json`), proof: read(`verifier/${name}.proof`) },
  ]),
);

/** Bytes with a splice: place, bytes removed, bytes inserted in hex. */
function spliced(bytes, splice) {
  if (splice === null) return bytes;
  const [at, removed, inserted] = splice;
  return Buffer.concat([bytes.subarray(0, at), Buffer.from(inserted, "hex"), bytes.subarray(at + removed)]);
}

const text = (bytes) => new TextDecoder().decode(bytes);

for (const [name, base] of Object.entries(bases)) {
  test(`verdicts on ${name} are the native ones`, async () => {
    const own = cases.filter((c) => c.base === name);
    assert.ok(own.length > 100);
    for (const c of own) {
      const statement = {
        model: spliced(base.model, c.model),
        document: text(spliced(base.document, c.document)),
      };
      const verdict = await verify(statement, spliced(base.proof, c.proof));
      assert.deepEqual(verdict, c.verdict, c.name);
    }
  });
}

test("a document may be an object, and every passed check has a name and a sentence", async () => {
  const { model, document, proof } = bases.public;
  const statement = { model, document: JSON.parse(text(document)) };
  const verdict = await verify(statement, proof.buffer.slice(proof.byteOffset, proof.byteOffset + proof.byteLength));
  assert.equal(verdict.ok, true);
  const names = ["document", "encoding", "statement", "match", "lookups", "claims", "opening", "commitment"];
  assert.deepEqual(verdict.checks.map((c) => c.name), names);
  assert.ok(verdict.checks.every((c) => c.about.length > 20));
});

test("inspect describes a proof, and with its statement how sound it is", async () => {
  const { model, document, proof } = bases.weather;
  const alone = await inspect(proof);
  assert.equal(alone.bytes, proof.length);
  assert.equal(alone.model, JSON.parse(text(document)).model);
  assert.equal(alone.soundness, undefined);
  const { soundness } = await inspect(proof, { model, document: text(document) });
  assert.ok(soundness.bits >= 100 && soundness.terms.length > 5);
  await assert.rejects(inspect(proof.subarray(1)), (e) => e instanceof Refused && e.check === "proof.encoding");
});

test("what is no argument is refused before any call", async () => {
  const { model, document, proof } = bases.public;
  await assert.rejects(verify({ model, document: text(document) }, "proof"), TypeError);
  await assert.rejects(verify({ model: undefined, document: text(document) }, proof), TypeError);
  await assert.rejects(verify({ model, document: undefined }, proof), TypeError);
});

test("calls at once do not disturb each other", async () => {
  const { model, document, proof } = bases.public;
  const statement = { model, document: text(document) };
  const lie = Uint8Array.from(proof);
  lie[lie.length - 1] ^= 1;
  const verdicts = await Promise.all([proof, lie, proof, lie].map((p) => verify(statement, p)));
  assert.deepEqual(verdicts.map((v) => v.ok), [true, false, true, false]);
});

test("versions are those of the package", async () => {
  const { version: expected } = JSON.parse(readFileSync(new URL("../pkg/package.json", import.meta.url), "utf8"));
  assert.equal((await version()).package, expected);
});

test("a weather proof checks within 100 ms, and the module is below 1 MB compressed", async (t) => {
  const { model, document, proof } = bases.weather;
  const statement = { model, document: text(document) };
  const times = [];
  for (let i = 0; i < 15; i++) {
    const began = performance.now();
    assert.equal((await verify(statement, proof)).ok, true);
    times.push(performance.now() - began);
  }
  times.sort((a, b) => a - b);
  t.diagnostic(`weather proof: median ${times[7].toFixed(1)} ms, least ${times[0].toFixed(1)} ms`);
  assert.ok(times[0] <= 100, `${times[0]} ms`);
  const size = gzipSync(readFileSync(module)).length;
  t.diagnostic(`verifier.wasm: ${size} bytes compressed`);
  assert.ok(size <= 1_000_000);
});

test("the module may be given, compiled or as bytes", async () => {
  const bytes = readFileSync(module);
  await load(bytes);
  await load(new WebAssembly.Module(bytes));
  assert.equal((await version()).proof, (await inspect(bases.public.proof)).version);
  await load(new Response(bytes, { headers: { "content-type": "application/wasm" } }));
  await assert.rejects(load(new Response("", { status: 404 })), /HTTP status 404/);
  await load(bytes);
});

test("a machine that stops is an error, and the next call is served", async () => {
  // (module (memory (export "memory") 1) (func (export "argument") (param i32 i32) (result i32) unreachable))
  const stops = "0061736d0100000001070160027f7f017f03020100050301000107150206" + "6d656d6f72790200" + "08617267756d656e740000" + "0a0501030000" + "0b";
  await load(Buffer.from(stops, "hex"));
  await assert.rejects(inspect(bases.public.proof), /^Error: verifier\.stopped/);
  await load(readFileSync(module));
  assert.equal((await inspect(bases.public.proof)).bytes, bases.public.proof.length);
});
