// The Proofmesh verifier: the same checks and names of refusals as the native one, compiled to WebAssembly.
// Nothing is fetched but verifier.wasm beside this file. Types: verifier.d.ts.

let compiled;

/** Compiles the verifier. Without it the first call compiles `verifier.wasm` beside this file. */
export async function load(source = new URL("./verifier.wasm", import.meta.url)) {
  compiled = compile(source);
  await compiled;
}

async function compile(source) {
  const given = await source;
  if (given instanceof WebAssembly.Module) return given;
  if (given instanceof ArrayBuffer || ArrayBuffer.isView(given)) return WebAssembly.compile(given);
  const response = given instanceof Response ? given : await fetch(given);
  if (!response.ok) throw new Error(`verifier.wasm: HTTP status ${response.status}`);
  return WebAssembly.compile(await response.arrayBuffer());
}

/** A new instance for each call: no state stays, memory is given back, a machine that stopped is dropped. */
async function run(name, args) {
  if (compiled === undefined) await load();
  const { exports } = await WebAssembly.instantiate(await compiled, {});
  try {
    return call(exports, name, args);
  } catch (cause) {
    if (!(cause instanceof WebAssembly.RuntimeError)) throw cause;
    throw new Error("verifier.stopped: the input asks for more than this machine has; nothing is verified", { cause });
  }
}

function call(exports, name, args) {
  args.forEach((bytes, index) => {
    const at = exports.argument(index, bytes.length) >>> 0;
    new Uint8Array(exports.memory.buffer, at, bytes.length).set(bytes);
  });
  const length = exports[name]() >>> 0;
  const answer = new Uint8Array(exports.memory.buffer, exports.answer() >>> 0, length);
  return JSON.parse(new TextDecoder().decode(answer));
}

const NOTHING = new Uint8Array();

function asBytes(value, what) {
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  throw new TypeError(`${what}: expected an ArrayBuffer or a typed array`);
}

/** The two parts of a statement as bytes: model file, document. */
function parts(statement) {
  const { document } = statement;
  const json = typeof document === "string" ? document : JSON.stringify(document);
  if (json === undefined) throw new TypeError("statement.document: expected an object or JSON text");
  return [asBytes(statement.model, "statement.model"), new TextEncoder().encode(json)];
}

/** Checks a proof against a statement. */
export async function verify(statement, proof) {
  return run("verify", [...parts(statement), asBytes(proof, "proof")]);
}

/** Describes a proof without verifying it; with its statement also how sound such a proof is. */
export async function inspect(proof, statement) {
  const head = statement === undefined ? [NOTHING, NOTHING] : parts(statement);
  const answer = await run("inspect", [...head, asBytes(proof, "proof")]);
  if (answer.check !== undefined) throw new Refused(answer);
  return answer;
}

/** The versions of this package and of the proofs that it reads. */
export async function version() {
  return run("version", []);
}

/** A proof or a statement that cannot be read. */
export class Refused extends Error {
  constructor({ check, expected, got }) {
    super(`${check}: expected ${expected}, got ${got}`);
    this.name = "Refused";
    Object.assign(this, { check, expected, got });
  }
}
