//! Every verb, what it moves and what it costs (cu.json, exactly; BLESS=1 writes it); and lies, each refused by its name.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { after, test } from "node:test";
import {
  PACKET,
  SYSTEM,
  Settlement,
  WINDOW,
  account,
  addressOf,
  addressWord,
  balanceLeaf,
  bytesOf,
  keccak,
  malleate,
  path,
  publicInput,
  receiptHash,
  receiptLeaf,
  root,
  signer,
  tree,
  trapdoor,
  u64,
  uint,
  unhex,
  word,
  words,
} from "./chain.mjs";

const vectors = (name) => JSON.parse(readFileSync(new URL(`../../../vectors/${name}.json`, import.meta.url), "utf8"));
const costs = {};
const MODEL = Buffer.alloc(32, 0x4d);
const zero = Buffer.alloc(32);
const node = account(7);

/// Notes what a verb costs; it must have been done, in one packet.
function done(name, result) {
  assert.equal(result.refusal, "", name);
  assert.ok(result.bytes <= PACKET, `${name}: ${result.bytes} bytes`);
  if (name) costs[name] = { compute_units: result.cu, packet_bytes: result.bytes };
  return result;
}

async function refused(promise, name) {
  assert.equal((await promise).refusal, name);
}

after(() => {
  const file = new URL("../cu.json", import.meta.url);
  const text = JSON.stringify(Object.fromEntries(Object.entries(costs).sort(([a], [b]) => (a < b ? -1 : 1))), null, 2) + "\n";
  if (process.env.BLESS) writeFileSync(file, text);
  assert.equal(readFileSync(file, "utf8"), text, "cu.json differs: if meant, run with BLESS=1 and commit");
});

/// A settlement with deposits, and a payee of the node.
async function funded() {
  const town = await Settlement.open();
  assert.equal(town.opened.refusal, "");
  const purse = addressOf(Buffer.alloc(32, 0x77));
  done("", await town.deposit(account(8).address, 10_000_000_000n));
  const hash = town.digest(town.payeeHash(node.address, bytesOf(purse), 1));
  done("", await town.namePayee(node.address, bytesOf(purse), 1, node.sign(hash)));
  return { town, purse };
}

test("the encodings are those of the market's vectors", () => {
  const { domain, receipts, trees } = vectors("receipts");
  for (const { receipt, structHash, digest, ctx } of receipts) {
    const hashes = ["job", "device", "service", "model", "input", "output", "evidence", "previous", "node"];
    const numbers = ["sequence", "units", "windowStart", "windowEnd"];
    const read = Object.fromEntries([...hashes.map((f) => [f, unhex(receipt[f])]), ...numbers.map((f) => [f, BigInt(receipt[f])])]);
    assert.deepEqual(receiptHash(read), unhex(structHash));
    assert.deepEqual(keccak([0x19, 0x01], unhex(domain.separator), receiptHash(read)), unhex(digest));
    const place = [word(domain.chainId), addressWord(unhex(domain.settlement)), read.job, word(read.sequence)];
    assert.deepEqual(keccak(...place, addressWord(read.node), read.device), unhex(ctx));
  }
  for (const { leaves, root: expected } of trees.receipts.filter(({ leaves }) => leaves.length)) {
    assert.deepEqual(root(tree(leaves.map(unhex))), unhex(expected));
  }
  for (const { model, context, input, public_words, output, public_input } of vectors("groth16").statements) {
    const values = (text) => [...unhex(text).toString("hex").matchAll(/.{8}/g)].map(([digits]) => Number(BigInt.asIntN(32, BigInt(`0x${digits}`))));
    const statement = publicInput(unhex(model), unhex(context), unhex(input), unhex(public_words), values(output));
    assert.deepEqual(statement, unhex(public_input));
  }
});

test("deposits, an epoch of a million accounts, a claim; once, by its own path, to its own payee", async () => {
  const town = await Settlement.open();
  done("open", town.opened);
  const buyer = account(8).address;
  done("deposit, first", await town.deposit(buyer, 9_000_000_000n));
  done("deposit, again", await town.deposit(buyer, 1_000_000_000n));
  const purse = addressOf(Buffer.alloc(32, 0x77));
  const hash = town.digest(town.payeeHash(node.address, bytesOf(purse), 1));
  done("name payee, first", await town.namePayee(node.address, bytesOf(purse), 1, node.sign(hash)));

  const leaves = Array.from({ length: 1_000_000 }, (_, n) => balanceLeaf(keccak(u64(n)).subarray(12), 5));
  leaves[314_159] = balanceLeaf(node.address, 3_000_000_000n);
  const levels = tree(leaves);
  const siblings = path(levels, 314_159);
  assert.equal(siblings.length, 20);
  const total = 999_999n * 5n + 3_000_000_000n;
  done("post, 1,000,000 accounts", await town.post(1, root(levels), zero, total));
  await refused(town.claim(node.address, 3_000_000_000n, siblings, purse), "NothingFinal");
  town.wait(WINDOW);
  // Lies about the path, the amount, the account, the payee.
  await refused(town.claim(node.address, 3_000_000_000n, siblings.slice(1), purse), "WrongPath");
  await refused(town.claim(node.address, 3_000_000_000n, [...siblings, zero], purse), "WrongPath");
  await refused(town.claim(node.address, 3_000_000_001n, siblings, purse), "WrongPath");
  await refused(town.claim(buyer, 3_000_000_000n, siblings, purse), "WrongPath");
  await refused(town.claim(node.address, 3_000_000_000n, path(levels, 7), purse), "WrongPath");
  await refused(town.claim(node.address, 3_000_000_000n, siblings, town.thief.address), "WrongPayee");
  const stranger = keccak(u64(5)).subarray(12);
  await refused(town.claim(stranger, 5n, path(levels, 5), purse), "WrongAccount");
  const before = town.balance(purse);
  done("claim, 1 of 1,000,000", await town.claim(node.address, 3_000_000_000n, siblings, purse));
  assert.equal(town.balance(purse) - before, 3_000_000_000n);
  await refused(town.claim(node.address, 3_000_000_000n, siblings, purse), "NothingToClaim");
  // Another's record in the place of the account's.
  const other = await town.of("a", buyer);
  const args = [node.address, u64(3_000_000_000n), ...siblings];
  assert.equal((await town.send([town.books, other, purse], [5], ...args)).refusal, "WrongAccount");
});

test("leaves that add up to more than the total are cut off", async () => {
  const { town, purse } = await funded();
  const second = account(20);
  const hash = town.digest(town.payeeHash(second.address, bytesOf(purse), 1));
  done("", await town.namePayee(second.address, bytesOf(purse), 1, second.sign(hash)));
  const levels = tree([balanceLeaf(node.address, 2_000_000_000n), balanceLeaf(second.address, 1_000_000_000n)]);
  done("", await town.post(1, root(levels), zero, 2_500_000_000n));
  town.wait(WINDOW);
  done("", await town.claim(node.address, 2_000_000_000n, path(levels, 0), purse));
  await refused(town.claim(second.address, 1_000_000_000n, path(levels, 1), purse), "ClaimExceedsTotal");
});

test("nobody names a payee for another, and no order comes back", async () => {
  const { town } = await funded();
  const to = Buffer.alloc(32, 0x55);
  const sign = (nonce, payee = to) => node.sign(town.digest(town.payeeHash(node.address, payee, nonce)));
  const other = Buffer.alloc(32, 0x56);
  await refused(town.namePayee(node.address, other, 2, sign(2)), "NotSigned");
  await refused(town.namePayee(node.address, to, 3, sign(2)), "NotSigned");
  await refused(town.namePayee(account(8).address, to, 2, sign(2)), "NotSigned");
  await refused(town.namePayee(node.address, to, 2, malleate(sign(2))), "NotSigned");
  const wrong = Buffer.from(sign(2));
  wrong[64] = 29;
  await refused(town.namePayee(node.address, to, 2, wrong), "NotSigned");
  // Signed for another settlement.
  const elsewhere = await Settlement.open({ window: 5n });
  const foreign = node.sign(elsewhere.digest(elsewhere.payeeHash(node.address, to, 2)));
  await refused(town.namePayee(node.address, to, 2, foreign), "NotSigned");
  done("name payee, again", await town.namePayee(node.address, to, 2, sign(2)));
  await refused(town.namePayee(node.address, to, 2, sign(2)), "Replayed");
  await refused(town.namePayee(node.address, other, 1, sign(1, other)), "Replayed");
});

test("the poster keeps its rules, the auditor strikes, and silence opens the exit", async () => {
  const { town } = await funded();
  const buyer = account(8);
  const post = (number, total, by) => town.post(number, balanceLeaf(node.address, total), zero, total, by);
  await refused(post(1, 5n, town.thief), "NotAllowed");
  await refused(post(2, 5n), "EpochOutOfOrder");
  await refused(post(1, 10_000_000_001n), "TotalExceedsDeposits");
  done("", await post(1, 5n));
  await refused(post(2, 4n), "TotalFell");
  await refused(town.veto(1, town.thief), "NotAllowed");
  await refused(town.veto(2), "EpochOutOfOrder");
  done("veto", await town.veto(1));
  for (let n = 1; n <= 15; n++) done("", await post(n, BigInt(n)));
  await refused(post(16, 16n), "TooManyPending");
  town.wait(WINDOW);
  done("post, 15 become final", await post(16, 4_000_000_000n));
  await refused(town.veto(15), "EpochOutOfOrder");
  await refused(town.send([town.books], [6]), "TooEarly");
  // Deposits of after the posting are out of the poster's reach and come back whole; older ones in proportion to what no root owes.
  done("", await town.deposit(buyer.address, 700n));
  const home = addressOf(Buffer.alloc(32, 0x44));
  const order = town.digest(town.payeeHash(buyer.address, bytesOf(home), 1));
  done("", await town.namePayee(buyer.address, bytesOf(home), 1, buyer.sign(order)));
  const record = await town.of("a", buyer.address);
  await refused(town.send([town.books, record, home], [7], buyer.address), "TooEarly");
  town.wait(30 * 86_400);
  done("open exit", await town.send([town.books], [6]));
  await refused(town.send([town.books], [6]), "ExitOpen");
  await refused(post(17, 4_000_000_000n), "ExitOpen");
  await refused(town.deposit(buyer.address, 1n), "ExitOpen");
  await refused(town.send([town.books, record, town.thief.address], [7], buyer.address), "WrongPayee");
  done("exit", await town.send([town.books, record, home], [7], buyer.address));
  assert.equal(town.balance(home), 6_000_000_700n);
  await refused(town.send([town.books, record, home], [7], buyer.address), "AlreadyExited");
});

test("a receipt is shown by its wrapped proof, once for each consumer", async () => {
  const { town } = await funded();
  const [door, other] = [trapdoor("key"), trapdoor("another key")];
  await refused(town.register(MODEL, door.key, town.thief), "NotAllowed");
  const lie = (at, bytes) => Buffer.concat([door.key.subarray(0, at), bytes, door.key.subarray(at + bytes.length)]);
  await refused(town.register(MODEL, lie(63, Buffer.from([door.key[63] ^ 1]))), "BadKey");
  await refused(town.register(MODEL, lie(512, Buffer.alloc(64))), "BadKey");
  await refused(town.register(MODEL, lie(64, unhex(vectors("groth16").off_subgroup))), "BadKey");
  done("register", await town.register(MODEL, door.key));
  await refused(town.register(MODEL, other.key), "Exists");

  const row = Buffer.from(Array.from({ length: 72 }, (_, i) => (i * 37) % 256)); // a byte each
  const output = [1];
  const receipt = (sequence) => ({
    job: keccak(Buffer.from("job")),
    sequence,
    node: node.address,
    device: keccak(Buffer.from("device")),
    service: keccak(Buffer.from("proofmesh/inference/v1")),
    model: MODEL,
    input: Buffer.alloc(32, 0x11),
    output: keccak(words(output)),
    units: 1,
    windowStart: 1_799_000_000,
    windowEnd: 1_799_086_400,
    evidence: zero,
    previous: zero,
  });
  const statement = (r) => publicInput(r.model, town.context(r), r.input, row, output);
  const sign = (r) => node.sign(town.digest(receiptHash(r)));
  const show = (r, { proof = door.prove(statement(r)), signature = sign(r), shown = row, out = output } = {}) =>
    town.prove(r, signature, proof, shown, out);
  const first = receipt(0);
  const flipped = (at) => {
    const bytes = Buffer.from(door.prove(statement(first)));
    bytes[at] ^= 1;
    return bytes;
  };
  // A mutated proof, one under another key, of another receipt, of other words; a swapped input; a wrong signer; an early window.
  for (const at of [31, 63, 95, 191, 255]) await refused(show(first, { proof: flipped(at) }), "PointRejected");
  await refused(show(first, { proof: Buffer.concat([Buffer.alloc(32, 0xff), flipped(255).subarray(32)]) }), "CoordinateTooLarge");
  await refused(show(first, { proof: other.prove(statement(first)) }), "ProofRejected");
  await refused(show(first, { proof: door.prove(statement(receipt(1))) }), "ProofRejected");
  await refused(show(first, { shown: Buffer.from(row.with(3, 99)) }), "ProofRejected");
  const swapped = { ...first, input: Buffer.alloc(32, 0x12) };
  await refused(show(swapped, { proof: door.prove(statement(first)) }), "ProofRejected");
  await refused(show(first, { shown: Buffer.concat([row, Buffer.alloc(4)]) }), "ProofRejected");
  await refused(show(first, { out: [0] }), "WrongOutput");
  await refused(show(first, { signature: account(9).sign(town.digest(receiptHash(first))) }), "NotSigned");
  await refused(show(first, { signature: malleate(sign(first)) }), "NotSigned");
  await refused(show({ ...first, windowEnd: 1_900_000_000 }), "WindowNotOver");
  await refused(show({ ...first, model: zero }), "WrongAccount");
  const shown = done("prove, 72 public words, first of 256", await show(first));
  assert.deepEqual(shown.returned, Buffer.concat([town.digest(receiptHash(first)), keccak(row)]));
  await refused(show(first), "AlreadyDelivered");
  await refused(show({ ...first, units: 2 }), "AlreadyDelivered");
  done("prove, 72 public words, again", await show(receipt(1)));
  const elsewhere = await town.prove(first, sign(first), door.prove(statement(first)), row, output, await town.maker);
  assert.equal(elsewhere.refusal, "", "another consumer gets it too");
});

test("proofs are judged as by the Solidity verifier", async () => {
  const { town } = await funded();
  const { key, cases } = vectors("groth16");
  done("", await town.register(MODEL, unhex(key)));
  const model = await town.of("m", MODEL);
  const here = { BadLength: "Malformed" };
  for (const { name, input, proof, refusal } of cases) {
    const result = await town.send([model], [12], unhex(input), unhex(proof));
    const expected = refusal.replace(/\(.*/, "");
    assert.equal(result.refusal, here[expected] ?? expected, name);
    if (name === "valid 0") done("verify proof", result);
  }
});

test("a million devices are one account: appended by subtrees, shown by a path", async () => {
  const town = await Settlement.open();
  const [maker, roll] = [town.maker, await town.at("r", bytesOf(town.maker.address))];
  const pair = (a, b) => keccak(a, b);
  const leaf = (n) => keccak(keccak(keccak(u64(n)), addressWord(node.address), word(7)));
  const append = (subtree, height, by = maker) => town.send([by, roll, SYSTEM], [10], subtree, [height]);
  // 2^10 devices at once, one by one, a whole million (2^20) at once; the tree of 24 levels is that of Registry.sol.
  const small = tree(Array.from({ length: 1_024 }, (_, n) => leaf(n)), pair);
  done("append 1,024 devices, first", await append(root(small), 10));
  done("append 1 device", await append(leaf(1_024), 0));
  await refused(append(root(small), 10), "Misaligned");
  await refused(append(root(small), 25), "Misaligned");
  await refused(append(zero, 0), "Malformed");
  await refused(append(leaf(5), 0, town.thief), "Exists");
  const fresh = { maker: town.governor, roll: await town.at("r", bytesOf(town.governor.address)) };
  const big = tree(Array.from({ length: 1 << 20 }, (_, n) => leaf(n)), pair);
  done("append 1,048,576 devices", await town.send([fresh.maker, fresh.roll, SYSTEM], [10], root(big), [20]));
  const siblings = path(big, 777_777);
  for (let empty = zero, level = 0; level < 24; level++, empty = pair(empty, empty)) if (level >= 20) siblings.push(empty);
  const check = (index, key, owner, cell, at = siblings, on = fresh.roll) =>
    town.send([on], [11], uint(index, 4), key, owner, u64(cell), ...at);
  const key = keccak(u64(777_777));
  done("check device, 1 of 1,048,576", await check(777_777, key, node.address, 7));
  await refused(check(777_776, key, node.address, 7), "NotOnRoll");
  await refused(check(777_777, keccak(u64(5)), node.address, 7), "NotOnRoll");
  await refused(check(777_777, key, account(9).address, 7), "NotOnRoll");
  await refused(check(777_777, key, node.address, 8), "NotOnRoll");
  await refused(check(777_777, key, node.address, 7, [...siblings.slice(1), zero]), "NotOnRoll");
  await refused(check(777_777, key, node.address, 7, siblings.slice(1)), "Malformed");
  await refused(check((1 << 20) + 5, zero, Buffer.alloc(20), 0), "NotOnRoll");
  await refused(check(777_777, key, node.address, 7, siblings, roll), "NotOnRoll");
  await refused(check(777_777, key, node.address, 7, siblings, town.books), "WrongAccount");
});

test("accounts that are not the program's own, and bytes that are no verb, are refused", async () => {
  const { town } = await funded();
  const second = await Settlement.open({ window: 7n });
  assert.notEqual(second.books, town.books, "the address commits to the config");
  await refused(town.send([town.payer, town.books, SYSTEM], [0], town.config), "Exists");
  await refused(town.send([town.payer, second.books, SYSTEM], [0], town.config), "WrongAccount");
  assert.equal((await Settlement.open({ window: 30n * 86_400n })).opened.refusal, "BadConfig");
  // Books that the thief made: no account of the program.
  const record = await town.of("a", node.address);
  const root = balanceLeaf(node.address, 5n);
  await refused(town.send([town.thief, town.thief.address], [2], u64(1), root, zero, zero, u64(5)), "WrongAccount");
  await refused(town.send([town.poster, record], [2], u64(1), root, zero, zero, u64(5)), "WrongAccount");
  await refused(town.deposit(node.address, 0n), "BadAmount");
  const elsewhere = await town.of("a", account(9).address);
  await refused(town.send([town.payer, town.books, elsewhere, SYSTEM], [1], node.address, u64(5)), "WrongAccount");
  for (const bytes of [[], [13], [255], [0], [1, 2, 3], [2, ...Buffer.alloc(112)], [9, ...Buffer.alloc(700)], [5, 1]]) {
    const result = await town.send([town.payer, town.books, record, SYSTEM], bytes);
    assert.ok(["Malformed", "WrongAccount"].includes(result.refusal), `${bytes}: ${result.refusal}`);
  }
  // Lamports sent ahead to where a record will be are no obstacle.
  const griefed = account(21).address;
  town.svm.airdrop(await town.of("a", griefed), 1_000_000n);
  done("", await town.deposit(griefed, 5n));
});
