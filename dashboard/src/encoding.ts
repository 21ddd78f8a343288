// Encodings of docs/spec/market.md, as a client checks them: receipts, jobs, feeds, trees. Vectors: vectors/receipts.json.

import { ed25519 } from "@noble/curves/ed25519.js";
import { secp256k1 } from "@noble/curves/secp256k1.js";
import { keccak_256 } from "@noble/hashes/sha3.js";
import type { Domain, FeedDoc, Job } from "./api";

export const RECEIPT_TYPE =
  "Receipt(bytes32 job,uint64 sequence,address node,bytes32 device,bytes32 service,bytes32 model,bytes32 input,bytes32 output,uint64 units,uint64 windowStart,uint64 windowEnd,bytes32 evidence,bytes32 previous)";
const JOB_TYPE =
  "Job(address buyer,bytes32 salt,bytes32 service,bytes32 model,bytes32 input,uint64 unitPrice,uint64 maxUnits,uint64 windowFrom,uint64 windowUntil,uint64 deadline,uint8 assurance,uint16 slots,uint64 cell,bytes32 devices,bytes32 terms)";
const DOMAIN_TYPE = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)";

export type Bytes = Uint8Array<ArrayBuffer>;

export function unhex(text: string): Bytes {
  if (!/^0x([0-9a-f]{2})*$/.test(text)) throw new Error("0x and hexadecimal digits");
  return Uint8Array.from(text.slice(2).match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

export function hex(bytes: Uint8Array): string {
  return `0x${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

export function concat(...parts: Uint8Array[]): Bytes {
  const all = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

export function keccak(bytes: Uint8Array | string): string {
  return hex(keccak_256(typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes));
}

/** An integer, big-endian. */
function wide(value: number | bigint, width: number): Bytes {
  const bytes = new Uint8Array(width);
  let rest = BigInt(value);
  for (let at = width - 1; at >= 0; at--) {
    bytes[at] = Number(rest & 255n);
    rest >>= 8n;
  }
  return bytes;
}

/** A word of abi.encode: 32 bytes, filled on the left. */
function word(value: string | number | bigint): Bytes {
  if (typeof value !== "string") return wide(value, 32);
  const bytes = unhex(value);
  return concat(new Uint8Array(32 - bytes.length), bytes);
}

function separator(domain: Domain): string {
  return keccak(concat(...[keccak(DOMAIN_TYPE), keccak("Proofmesh"), keccak("1"), domain.chain_id, domain.settlement].map(word)));
}

function digest(domain: Domain, words: (string | number | bigint)[]): string {
  const struct = keccak(concat(...words.map(word)));
  return keccak(concat(new Uint8Array([0x19, 0x01]), unhex(separator(domain)), unhex(struct)));
}

/** The 32 bytes of a device's did:key. */
export function deviceKey(did: string): string {
  const letters = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
  const body = /^did:key:z([1-9A-HJ-NP-Za-km-z]{40,60})$/.exec(did)?.[1];
  if (!body) throw new Error("a did:key of an Ed25519 key");
  let value = 0n;
  for (const letter of body) value = value * 58n + BigInt(letters.indexOf(letter));
  const bytes = wide(value, 34);
  if (bytes[0] !== 0xed || bytes[1] !== 0x01) throw new Error("a did:key of an Ed25519 key");
  return hex(bytes.slice(2));
}

/** The id of a job: what its buyer signed. */
export function jobId(domain: Domain, job: Job): string {
  const assurance = ["None", "Sampled", "Optimistic", "Proof"].indexOf(job.assurance);
  const devices = concat(...job.devices.map((device) => unhex(deviceKey(device))));
  return digest(domain, [
    keccak(JOB_TYPE),
    job.buyer,
    job.salt,
    job.service,
    job.model,
    job.input,
    job.unit_price,
    job.max_units,
    job.window_from_s,
    job.window_until_s,
    job.deadline_s,
    assurance,
    job.slots,
    job.cell,
    keccak(devices),
    keccak(new Uint8Array(job.terms)),
  ]);
}

export interface Receipt {
  job: string;
  sequence: bigint;
  node: string;
  device: string;
  service: string;
  model: string;
  input: string;
  output: string;
  units: bigint;
  windowStart: bigint;
  windowEnd: bigint;
  evidence: string;
  previous: string;
  outputBytes: Bytes;
  deviceSignature: Bytes;
  nodeSignature: Bytes;
}

/** A receipt from its wire form, version 1: exactly its bytes. */
export function decodeReceipt(wire: Bytes): Receipt {
  let at = 1;
  const take = (length: number): Bytes => {
    if (at + length > wire.length) throw new Error("receipt.short");
    return wire.slice(at, (at += length));
  };
  if (wire.length === 0) throw new Error("receipt.short");
  if (wire[0] !== 1) throw new Error("receipt.version");
  const hash = () => hex(take(32));
  const integer = () => BigInt(hex(take(8)));
  const receipt = {
    job: hash(),
    sequence: integer(),
    node: hex(take(20)),
    device: hash(),
    service: hash(),
    model: hash(),
    input: hash(),
    output: hash(),
    units: integer(),
    windowStart: integer(),
    windowEnd: integer(),
    evidence: hash(),
    previous: hash(),
  };
  const length = Number(BigInt(hex(take(4))));
  if (length > 4096) throw new Error("receipt.output-too-long");
  if (length % 4 !== 0) throw new Error("receipt.output-length");
  const done = { ...receipt, outputBytes: take(length), deviceSignature: take(64), nodeSignature: take(65) };
  if (at !== wire.length) throw new Error("receipt.trailing");
  return done;
}

export function receiptDigest(domain: Domain, receipt: Receipt): string {
  const { job, sequence, node, device, service, model, input, output, units, windowStart, windowEnd, evidence, previous } = receipt;
  const fields = [job, sequence, node, device, service, model, input, output, units, windowStart, windowEnd, evidence, previous];
  return digest(domain, [keccak(RECEIPT_TYPE), ...fields]);
}

/** What a receipt's proof is bound to. */
export function context(domain: Domain, receipt: Receipt): string {
  const words = [domain.chain_id, domain.settlement, receipt.job, receipt.sequence, receipt.node, receipt.device];
  return keccak(concat(...words.map(word)));
}

export function outputWords(receipt: Receipt): number[] {
  const view = new DataView(receipt.outputBytes.buffer, receipt.outputBytes.byteOffset, receipt.outputBytes.length);
  return Array.from({ length: receipt.outputBytes.length / 4 }, (_, at) => view.getInt32(4 * at));
}

/** The account whose key made an Ethereum signature `r || s || v`. */
export function signerOf(digest: string, signature: Bytes): string | null {
  const v = (signature[64] ?? 0) - 27;
  if (v !== 0 && v !== 1) return null;
  try {
    const parsed = secp256k1.Signature.fromBytes(signature.slice(0, 64), "compact");
    if (parsed.hasHighS()) return null;
    const point = parsed.addRecoveryBit(v).recoverPublicKey(unhex(digest));
    return `0x${keccak(point.toBytes(false).slice(1)).slice(-40)}`;
  } catch {
    return null;
  }
}

export function deviceSigned(digest: string, signature: Bytes, device: string): boolean {
  try {
    return ed25519.verify(signature, unhex(digest), unhex(device), { zip215: false });
  } catch {
    return false;
  }
}

/** The commitment of a feed: the root over its rows, which ascend by device and second. */
export function feedCommitment(feed: FeedDoc): string {
  const rows = feed.rows.map((row) => ({ device: deviceKey(row.device), start: row.start_s, words: row.words }));
  rows.sort((a, b) => (a.device < b.device ? -1 : a.device > b.device ? 1 : a.start - b.start));
  const leaves = rows.map((row) => {
    const words = row.words.map((value) => wide(BigInt.asUintN(8 * feed.word_bytes, BigInt(value)), feed.word_bytes));
    words.push(new Uint8Array(-(row.words.length * feed.word_bytes) & 3)); // zeros up to whole groups of four
    return keccak(unhex(keccak(concat(unhex(row.device), wide(row.start, 8), ...words))));
  });
  return root(leaves);
}

/** The terms of the service of inference, version 1. */
export function terms(bytes: number[]): { class: number | null; feed: string | null; wrappable: boolean } {
  if (bytes.length !== 51 || bytes[0] !== 1) throw new Error("inference.terms");
  const flags = bytes[1] ?? 0;
  return { class: flags & 1 ? (bytes[2] ?? 0) : null, feed: flags & 2 ? hex(new Uint8Array(bytes.slice(19))) : null, wrappable: (flags & 4) !== 0 };
}

function pair(a: string, b: string): string {
  return a < b ? keccak(concat(unhex(a), unhex(b))) : keccak(concat(unhex(b), unhex(a)));
}

export function receiptLeaf(digest: string): string {
  return keccak(unhex(keccak(unhex(digest))));
}

export function balanceLeaf(account: string, cumulative: number | bigint): string {
  return keccak(unhex(keccak(concat(word(account), word(cumulative)))));
}

/** The root of a tree of leaves; an odd one is carried up. */
export function root(leaves: string[]): string {
  if (leaves.length === 0) return `0x${"0".repeat(64)}`;
  let level = leaves;
  while (level.length > 1) {
    const above: string[] = [];
    for (let at = 0; at < level.length; at += 2) {
      const [left, right] = [level[at] ?? "", level[at + 1]];
      above.push(right === undefined ? left : pair(left, right));
    }
    level = above;
  }
  return level[0] ?? "";
}

/** The root that a leaf and its siblings lead to. */
export function climb(leaf: string, siblings: string[]): string {
  return siblings.reduce(pair, leaf);
}
