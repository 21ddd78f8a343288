//! A settlement in litesvm: accounts and instructions of the program, in the bytes of its table, and what each costs.
import { readFileSync } from "node:fs";
import { bn254 } from "@noble/curves/bn254.js";
import { secp256k1 } from "@noble/curves/secp256k1.js";
import { keccak_256 } from "@noble/hashes/sha3.js";
import { sha256 } from "@noble/hashes/sha2.js";
import {
  AccountRole,
  appendTransactionMessageInstruction,
  createKeyPairSignerFromPrivateKeyBytes,
  createTransactionMessage,
  getAddressDecoder,
  getAddressEncoder,
  getProgramDerivedAddress,
  getTransactionEncoder,
  lamports,
  pipe,
  setTransactionMessageFeePayerSigner,
  signTransactionMessageWithSigners,
} from "@solana/kit";
import { FailedTransactionMetadata, LiteSVM } from "litesvm";

const here = new URL(".", import.meta.url);
const names = new Map(
  [...readFileSync(new URL("../program/src/refusal.rs", here), "utf8").matchAll(/^ {4}(\w+) = (\d+),/gm)].map(([, name, n]) => [Number(n), name]),
);

export const PACKET = 1232;
export const WINDOW = 3600n;
export const SYSTEM = "11111111111111111111111111111111";
export const concat = (...parts) => Buffer.concat(parts.map((part) => Buffer.from(part)));
export const keccak = (...parts) => Buffer.from(keccak_256(concat(...parts)));
export const unhex = (text) => Buffer.from(text.replace(/^0x/, ""), "hex");
export const uint = (value, bytes) => unhex(BigInt(value).toString(16).padStart(2 * bytes, "0"));
export const u64 = (value) => uint(value, 8);
export const word = (value) => uint(value, 32);
export const addressWord = (account) => concat(Buffer.alloc(12), account);
export const bytesOf = (address) => Buffer.from(getAddressEncoder().encode(address));
export const addressOf = (bytes) => getAddressDecoder().decode(bytes);

/// A signer of the chain, by a number.
export const signer = (n) => createKeyPairSignerFromPrivateKeyBytes(new Uint8Array(32).fill(n));

// ---------------------------------------------------------------- the market's accounts, trees, statements

/// An account of the market: secp256k1, named by its Ethereum address.
export function account(n) {
  const secret = new Uint8Array(32).fill(n);
  const point = secp256k1.getPublicKey(secret, false);
  const sign = (digest) => {
    const recovered = secp256k1.sign(digest, secret, { prehash: false, format: "recovered", lowS: true });
    return concat(recovered.slice(1), [27 + recovered[0]]);
  };
  return { address: keccak(point.slice(1)).subarray(12), sign };
}

/// Half the signature's twin: n - s with the other v.
export function malleate(signature) {
  const s = secp256k1.Point.CURVE().n - BigInt("0x" + signature.subarray(32, 64).toString("hex"));
  return concat(signature.subarray(0, 32), word(s), [55 - signature[64]]);
}

export const balanceLeaf = (who, cumulative) => keccak(keccak(addressWord(who), word(cumulative)));
export const receiptLeaf = (digest) => keccak(keccak(digest));
const sortedPair = (a, b) => (Buffer.compare(a, b) <= 0 ? keccak(a, b) : keccak(b, a));

/// The levels of a tree of the market, leaves first.
export function tree(leaves, pair = sortedPair) {
  const levels = [leaves];
  while (levels.at(-1).length > 1) {
    const below = levels.at(-1);
    const above = new Array((below.length + 1) >> 1);
    for (let i = 0; i < above.length; i++) above[i] = 2 * i + 1 < below.length ? pair(below[2 * i], below[2 * i + 1]) : below[2 * i];
    levels.push(above);
  }
  return levels;
}
export const root = (levels) => levels.at(-1)[0];
export const path = (levels, index) => levels.slice(0, -1).flatMap((level, depth) => level[(index >> depth) ^ 1] ?? []);

/// The wire order of a receipt's fields, and the words that its digest hashes.
const FIELDS = [
  ["job", 32],
  ["sequence", 8],
  ["node", 20],
  ["device", 32],
  ["service", 32],
  ["model", 32],
  ["input", 32],
  ["output", 32],
  ["units", 8],
  ["windowStart", 8],
  ["windowEnd", 8],
  ["evidence", 32],
  ["previous", 32],
];
const field = (receipt, [name, bytes]) => (bytes === 8 ? u64(receipt[name]) : receipt[name]);
const fieldWord = (receipt, [name, bytes]) =>
  bytes === 8 ? word(receipt[name]) : bytes === 20 ? addressWord(receipt[name]) : receipt[name];
export const receiptBytes = (receipt) => concat(...FIELDS.map((f) => field(receipt, f)));
export const receiptHash = (receipt) =>
  keccak(
    keccak(
      Buffer.from(
        "Receipt(bytes32 job,uint64 sequence,address node,bytes32 device,bytes32 service,bytes32 model,bytes32 input,bytes32 output," +
          "uint64 units,uint64 windowStart,uint64 windowEnd,bytes32 evidence,bytes32 previous)",
      ),
    ),
    ...FIELDS.map((f) => fieldWord(receipt, f)),
  );

/// Big-endian two's complement.
export function words(values, bytes = 4) {
  return concat(...values.map((value) => uint(BigInt.asUintN(8 * bytes, BigInt(value)), bytes)));
}

/// `row`: the public words as the feed has them, whole groups of four bytes.
export function publicInput(model, context, input, row, output) {
  const counted = (bytes) => concat(uint(bytes.length / 4, 4), bytes);
  const digest = Buffer.from(sha256(concat(model, context, uint(1, 4), input, counted(row), counted(words(output)))));
  digest[0] &= 0x1f;
  return digest;
}

// ---------------------------------------------------------------- Groth16 with a known trapdoor: a key worth nothing

const { Fr } = bn254.fields;
const g1 = (k) => bn254.G1.Point.BASE.multiply(k).toAffine();
const g2 = (k) => bn254.G2.Point.BASE.multiply(k).toAffine();
const g1Bytes = ({ x, y }) => concat(word(x), word(y));
const g2Bytes = ({ x, y }) => concat(word(x.c1), word(x.c0), word(y.c1), word(y.c0));

/// A key and proofs of anything under it, by who knows the trapdoor: what the pairing equation asks for, and nothing else.
export function trapdoor(seed) {
  const secret = (name) => Fr.create(BigInt("0x" + keccak(Buffer.from(`${seed} ${name}`)).toString("hex")));
  const [alpha, beta, gamma, delta, ic0, ic1] = ["alpha", "beta", "gamma", "delta", "ic0", "ic1"].map(secret);
  const key = concat(g1Bytes(g1(alpha)), ...[beta, gamma, delta].map((k) => g2Bytes(g2(k))), g1Bytes(g1(ic0)), g1Bytes(g1(ic1)));
  const prove = (statement, n = 0) => {
    const x = BigInt("0x" + statement.toString("hex"));
    const [a, b] = [secret(`a ${n}`), secret(`b ${n}`)];
    const input = Fr.add(ic0, Fr.mul(x, ic1));
    const rest = Fr.sub(Fr.sub(Fr.mul(a, b), Fr.mul(alpha, beta)), Fr.mul(input, gamma));
    return concat(g1Bytes(g1(a)), g2Bytes(g2(b)), g1Bytes(g1(Fr.div(rest, delta))));
  };
  return { key, prove };
}

// ---------------------------------------------------------------- the chain

export class Settlement {
  /// A settlement that is open, with its signers funded.
  static async open(changes = {}) {
    const self = new Settlement();
    self.svm = new LiteSVM();
    self.program = (await signer(99)).address;
    self.svm.addProgramFromFile(self.program, new URL("../artifacts/proofmesh.so", here).pathname);
    for (const [i, name] of ["payer", "poster", "auditor", "governor", "consumer", "maker", "thief"].entries()) {
      self[name] = await signer(i + 1);
      self.svm.airdrop(self[name].address, lamports(1_000_000_000_000n));
    }
    self.setTime(1_800_000_000n);
    const config = { window: WINDOW, chain: keccak(Buffer.from("solana:proofmesh-test")), ...changes };
    self.config = concat(...["poster", "auditor", "governor"].map((name) => bytesOf(self[name].address)), config.chain, u64(config.window));
    self.books = await self.at("b", keccak(self.config));
    self.opened = await self.send([self.payer, self.books, SYSTEM], [0], self.config);
    const settlement = keccak(config.chain, bytesOf(self.books)).subarray(12);
    const chainId = config.chain.subarray(0, 8);
    self.domainWords = concat(Buffer.alloc(24), chainId, addressWord(settlement));
    const type = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)";
    self.separator = keccak(...[type, "Proofmesh", "1"].map((text) => keccak(Buffer.from(text))), self.domainWords);
    return self;
  }

  setTime(seconds) {
    const clock = this.svm.getClock();
    clock.unixTimestamp = seconds;
    this.svm.setClock(clock);
  }

  now() {
    return this.svm.getClock().unixTimestamp;
  }

  wait(seconds) {
    this.setTime(this.now() + BigInt(seconds));
  }

  /// The canonical address of a kind, an owner and a key.
  async at(kind, of, key = Buffer.alloc(0)) {
    const [address] = await getProgramDerivedAddress({ programAddress: this.program, seeds: [Buffer.from(kind), of, key] });
    return address;
  }

  of(kind, key) {
    return this.at(kind, bytesOf(this.books), key);
  }

  digest(structHash) {
    return keccak([0x19, 0x01], this.separator, structHash);
  }

  context(receipt) {
    return keccak(this.domainWords, receipt.job, word(receipt.sequence), addressWord(receipt.node), receipt.device);
  }

  /// Sends one instruction. Accounts are signers or addresses, all written. Gives its compute units, its refusal's name or "", and what it returned.
  async send(accounts, verb, ...args) {
    const data = concat(verb, ...args);
    const metas = accounts.map((a) =>
      typeof a === "string"
        ? { address: a, role: a === SYSTEM ? AccountRole.READONLY : AccountRole.WRITABLE }
        : { address: a.address, role: AccountRole.WRITABLE_SIGNER, signer: a },
    );
    this.svm.expireBlockhash();
    const transaction = await pipe(
      createTransactionMessage({ version: 0 }),
      (tx) => setTransactionMessageFeePayerSigner(this.payer, tx),
      (tx) => this.svm.setTransactionMessageLifetimeUsingLatestBlockhash(tx),
      (tx) => appendTransactionMessageInstruction({ programAddress: this.program, accounts: metas, data }, tx),
      (tx) => signTransactionMessageWithSigners(tx),
    );
    const bytes = getTransactionEncoder().encode(transaction).length;
    const result = this.svm.sendTransaction(transaction);
    const failed = result instanceof FailedTransactionMetadata;
    const meta = failed ? result.meta() : result;
    const error = failed ? String(result.toString()) : "";
    const custom = /Custom\((\d+)\)/.exec(error)?.[1];
    const refusal = failed ? (names.get(Number(custom)) ?? error) : "";
    return { cu: Number(meta.computeUnitsConsumed()), refusal, bytes, returned: Buffer.from(meta.returnData().data()) };
  }

  async deposit(who, amount) {
    return this.send([this.payer, this.books, await this.of("a", who), SYSTEM], [1], who, u64(amount));
  }

  async post(number, balances, receipts, total, by = this.poster) {
    return this.send([by, this.books], [2], u64(number), balances, receipts, keccak(u64(number)), u64(total));
  }

  veto(number, by = this.auditor) {
    return this.send([by, this.books], [3], u64(number));
  }

  payeeHash(who, payee, nonce) {
    const type = keccak(Buffer.from("Payee(address account,bytes payee,uint64 nonce)"));
    return keccak(type, addressWord(who), keccak(payee), word(nonce));
  }

  async namePayee(who, payee, nonce, signature) {
    return this.send([this.payer, this.books, await this.of("a", who), SYSTEM], [4], who, payee, u64(nonce), signature);
  }

  async claim(who, cumulative, siblings, payee) {
    return this.send([this.books, await this.of("a", who), payee], [5], who, u64(cumulative), ...siblings);
  }

  async register(model, key, by = this.governor) {
    return this.send([by, this.books, await this.of("m", model), SYSTEM], [8], model, key);
  }

  /// Shows a receipt to the consumer.
  async prove(receipt, signature, proof, row, output, consumer = this.consumer) {
    const name = keccak(bytesOf(consumer.address), receipt.node, u64(BigInt(receipt.sequence) >> 8n));
    const accounts = [consumer, this.payer, this.books, await this.of("m", receipt.model), await this.of("d", name), SYSTEM];
    const shown = concat(uint(row.length / 4, 2), row, words(output));
    return this.send(accounts, [9], receiptBytes(receipt), signature, proof, shown);
  }

  balance(address) {
    return BigInt(this.svm.getBalance(address) ?? 0n);
  }
}
