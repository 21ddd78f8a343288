/** `0x` and hexadecimal digits. */
export type Hex = string;

/** What a proof is about, without the model: the document that `proofmesh prove` writes beside a proof. */
export interface StatementDoc {
  /** The model's id. */
  model: Hex;
  /** Commitment to private weights, or null. */
  weights: Hex | null;
  /** The inputs in order: salted commitment to the private elements, and the public elements. */
  inputs: { commitment: Hex; public: number[] }[];
  /** Public outputs of each input. */
  outputs: number[][];
  /** What the proof is bound to, such as a receipt's context. */
  context: Hex;
}

/** A statement: put it together yourself. One that came with the proof says only what its prover wanted to prove. */
export interface Statement {
  /** The model file (`.pmesh`), as the coordinator's `/v1/models/ID` gives it. */
  model: ArrayBuffer | ArrayBufferView;
  /** The rest, as an object or as JSON text. */
  document: StatementDoc | string;
}

/** Stages of the check, in the order in which they run. */
export type CheckName =
  | "document"
  | "encoding"
  | "statement"
  | "match"
  | "lookups"
  | "claims"
  | "opening"
  | "commitment";

/** A stage that passed, and what has been seen by then. */
export interface Check {
  name: CheckName;
  about: string;
}

export interface Holds {
  ok: true;
  /** All stages. */
  checks: Check[];
}

export interface Refusal {
  ok: false;
  /** The stages that passed before. */
  checks: Check[];
  /** The stage that failed. */
  stage: CheckName;
  /** Stable name of the check that failed, the same as the native verifier's, such as `opening.relation`. */
  check: string;
  expected: string;
  got: string;
}

export type Verdict = Holds | Refusal;

/** A proof, described; nothing in it has been verified. */
export interface Inspected {
  /** Bytes of the file. */
  bytes: number;
  /** Version of the format. */
  version: number;
  /** The model that it says it is about. */
  model: Hex;
  /** Digest of each input's commitment and public elements. */
  inputs: Hex[];
  /** Digest of the outputs. */
  outputs: Hex;
  /** Digest of the context. */
  context: Hex;
  /** -log2 of the chance that a false proof of the given statement passes, and of each term of it. */
  soundness?: { bits: number; terms: { name: string; bits: number; grinding_bits: number }[] };
}

export type Source = URL | string | Request | Response | BufferSource | WebAssembly.Module;

/**
 * Compiles the verifier. Without it the first call compiles `verifier.wasm` beside this file.
 * A page needs the content security policy `script-src 'wasm-unsafe-eval'` and, for the default, `connect-src 'self'`.
 */
export function load(source?: Source | PromiseLike<Source>): Promise<void>;

/** Checks a proof against a statement. A refusal is an answer, not an exception. */
export function verify(statement: Statement, proof: ArrayBuffer | ArrayBufferView): Promise<Verdict>;

/** Describes a proof without verifying it; with its statement also how sound such a proof is. Throws `Refused`. */
export function inspect(proof: ArrayBuffer | ArrayBufferView, statement?: Statement): Promise<Inspected>;

/** The versions of this package and of the proofs that it reads. */
export function version(): Promise<{ package: string; proof: number }>;

/** A proof or a statement that cannot be read. */
export class Refused extends Error {
  check: string;
  expected: string;
  got: string;
}
