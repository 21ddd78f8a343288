// A receipt, checked here: nothing of the node's answers is believed that can be recomputed. The proof itself goes to
// the same verifier that the network runs, compiled to WebAssembly.

import type { ChainEpochDoc, EpochDoc, FeedDoc, JobDoc, ReceiptDoc, ReceiptProofDoc, StatementDoc, StatusDoc } from "./api";
import { get, raw, Refused } from "./client";
import * as e from "./encoding";

/** What a check needs. */
export interface Material {
  status: StatusDoc;
  doc: ReceiptDoc;
  job: JobDoc;
  feed: FeedDoc | null;
  model: e.Bytes;
  proof: e.Bytes;
  /** The class that the job pays for, by name. */
  paid: string | null;
}

/** A check that ran: it holds, or is refused by name; or one that this page leaves to others. */
export interface Tick {
  name: string;
  about: string;
  ms: number;
  refused: { check: string; expected: string; got: string } | null;
  left?: true;
}

/** One changed byte, and where. */
export type Lie = { place: "proof" | "output" | "receipt"; at: number };

const models = new Map<string, Promise<e.Bytes>>();
const feeds = new Map<string, Promise<FeedDoc>>();

function once<T>(kept: Map<string, Promise<T>>, key: string, fetch: () => Promise<T>): Promise<T> {
  const known = kept.get(key);
  if (known) return known;
  const fresh = fetch();
  kept.set(key, fresh);
  fresh.catch(() => kept.delete(key));
  return fresh;
}

/** Fetches what a receipt's check needs. */
export async function gather(digest: string, classes: (model: string) => string[]): Promise<Material> {
  const [status, doc] = await Promise.all([get<StatusDoc>("/v1/status"), get<ReceiptDoc>(`/v1/receipts/${digest}`)]);
  const job = await get<JobDoc>(`/v1/jobs/${doc.job}`);
  const wanted = e.terms(job.job.terms);
  const feed = wanted.feed;
  const [model, table, proof] = await Promise.all([
    once(models, job.job.model, () => raw(`/v1/models/${job.job.model}`)),
    feed === null ? null : once(feeds, feed, () => get<FeedDoc>(`/v1/feeds/${feed}`)),
    raw(`/v1/blobs/${doc.evidence}`),
  ]);
  const paid = wanted.class === null ? null : (classes(job.job.model)[wanted.class] ?? `class ${wanted.class}`);
  return { status, doc, job, feed: table, model, proof, paid };
}

/** The same material with one byte changed. */
export function withLie(material: Material, lie: Lie | null): Material {
  if (lie === null) return material;
  const flip = (bytes: e.Bytes, at: number): e.Bytes => {
    const changed = bytes.slice();
    const place = Math.min(Math.max(0, at), changed.length - 1);
    changed[place] = (changed[place] ?? 0) ^ 1;
    return changed;
  };
  if (lie.place === "proof") return { ...material, proof: flip(material.proof, lie.at) };
  const wire = e.unhex(material.doc.wire);
  // The output's last byte stands before both signatures; the commitment to the input is bytes 157 to 188.
  const at = lie.place === "output" ? wire.length - 64 - 65 - 1 : 157 + (lie.at % 32);
  return { ...material, doc: { ...material.doc, wire: e.hex(flip(wire, at)) } };
}

const verifier = () => import("./verifier");

/** Checks everything; a check that fails does not stop the others. */
export async function* check(material: Material): AsyncGenerator<Tick> {
  const { status, doc, job, feed, proof } = material;
  let began = performance.now();
  const tick = (name: string, about: string, refused: Tick["refused"]): Tick => {
    const now = performance.now();
    const ms = now - began;
    began = now;
    return { name, about, ms, refused };
  };
  const same = (check: string, expected: string, got: string) => (expected === got ? null : { check, expected, got });

  let receipt: e.Receipt;
  try {
    receipt = e.decodeReceipt(e.unhex(doc.wire));
  } catch (error) {
    const got = error instanceof Error ? error.message : String(error);
    yield tick("receipt", "The receipt's bytes are of the published form.", { check: got, expected: "a receipt, version 1", got: "other bytes" });
    return;
  }
  const digest = e.receiptDigest(status.domain, receipt);
  yield tick("receipt", "The receipt's fields hash to the digest under which it is known.", same("receipt.another", doc.digest, digest));
  yield tick("output", "The public output is the one that the receipt commits to.", same("receipt.output-differs", receipt.output, e.keccak(receipt.outputBytes)));
  yield tick(
    "node signature",
    "The node's account signed exactly this receipt.",
    same("receipt.node-signature", receipt.node, e.signerOf(digest, receipt.nodeSignature) ?? "no signature"),
  );
  const signed = e.deviceSigned(digest, receipt.deviceSignature, receipt.device);
  yield tick(
    "device signature",
    "The device's key signed it too.",
    signed ? null : { check: "receipt.device-signature", expected: "a signature of the device", got: "another" },
  );
  yield tick("job", "The job's terms hash to the job that the receipt names.", same("job.another", receipt.job, e.jobId(status.domain, job.job)));
  yield tick("evidence", "The proof's bytes are the ones that the receipt commits to.", same("receipt.wrong-evidence", receipt.evidence, e.keccak(proof)));

  let public_words: number[] = [];
  const commitment = e.terms(job.job.terms).feed;
  if (commitment !== null && feed !== null) {
    const row = feed.rows.find((row) => row.start_s === Number(receipt.windowStart) && e.deviceKey(row.device) === receipt.device);
    public_words = row?.words ?? [];
    yield tick(
      "public input",
      "The neighbours' readings are the ones that the job committed to before the work.",
      row ? same("feed.another", commitment, e.feedCommitment(feed)) : { check: "inference.reference-missing", expected: "a row for this window", got: "none" },
    );
  }

  // Put together here from job, receipt and feed: nothing of it comes from the prover.
  const statement: StatementDoc = {
    model: job.job.model,
    weights: null,
    inputs: [{ commitment: receipt.input, public: public_words }],
    outputs: [e.outputWords(receipt)],
    batch_outputs: [],
    context: e.context(status.domain, receipt),
  };
  if (e.terms(job.job.terms).wrappable) {
    const about = "This proof is of the kind that a stranger can wrap for the contract. This page does not check such proofs: `proofmesh audit` does.";
    yield { name: "proof", about, ms: 0, refused: null, left: true };
    yield* onChain(digest, doc, tick);
    return;
  }
  const { verify } = await verifier();
  began = performance.now();
  const verdict = await verify({ model: material.model, document: statement }, proof);
  const whole = performance.now() - began;
  const last = verdict.ok ? verdict.checks.length - 1 : -1; // the time of the whole proof stands at its last stage
  for (const [at, stage] of verdict.checks.entries()) yield { name: `proof: ${stage.name}`, about: stage.about, ms: at === last ? whole : 0, refused: null };
  if (!verdict.ok) {
    const { stage, check, expected, got } = verdict;
    yield { name: `proof: ${stage}`, about: "The zero-knowledge proof", ms: whole, refused: { check: `proof.${check}`, expected, got } };
  }
  began = performance.now();
  yield* onChain(digest, doc, tick);
}

async function* onChain(digest: string, doc: ReceiptDoc, tick: (name: string, about: string, refused: Tick["refused"]) => Tick): AsyncGenerator<Tick> {
  if (doc.epoch === null) return;
  const shown = await get<ReceiptProofDoc>(`/v1/receipts/${doc.digest}/proof`);
  const found = e.climb(e.receiptLeaf(digest), shown.proof);
  try {
    const chain = await get<ChainEpochDoc>(`/v1/epochs/${doc.epoch}/chain`);
    const expected = chain.epoch.receipts_root;
    const refused = found === expected ? null : { check: "epoch.receipts-root", expected, got: found };
    yield tick("on chain", `The contract's root of epoch ${doc.epoch} contains this receipt.`, refused);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    const { expected, got } = error.fault;
    yield tick("on chain", `The contract's root of epoch ${doc.epoch} contains this receipt.`, { check: error.fault.name, expected, got });
  }
}

/** Checks an epoch's two roots against the contract's, from what is in them. */
export function epochRoots(epoch: EpochDoc, chain: ChainEpochDoc): Tick[] {
  const receipts = e.root(epoch.receipts.map(e.receiptLeaf));
  const balances = e.root(epoch.balances.map(([account, cumulative]) => e.balanceLeaf(account, cumulative)));
  const total = epoch.balances.reduce((sum, [, cumulative]) => sum + cumulative, 0);
  const row = (name: string, about: string, check: string, expected: string, got: string): Tick => ({
    name,
    about,
    ms: 0,
    refused: expected === got ? null : { check, expected, got },
  });
  return [
    row("receipts root", "The listed receipts hash to the contract's root.", "epoch.receipts-root", chain.epoch.receipts_root, receipts),
    row("balances root", "The listed balances hash to the contract's root.", "epoch.balances-root", chain.epoch.balances_root, balances),
    row("total", "The balances add up to what the contract may pay out.", "epoch.total", String(chain.epoch.total), String(total)),
  ];
}
