// A real network for the tests: the binary with three nodes, in a directory of its own.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const here = dirname(fileURLToPath(import.meta.url));
export const root = join(here, "../..");
const binaries = [process.env.PROOFMESH_BIN, join(root, "target/debug/proofmesh"), join(root, "target/release/proofmesh")];
const browsers = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

function found(candidates, what) {
  const path = candidates.find((candidate) => candidate && existsSync(candidate));
  if (!path) throw new Error(`${what}: none of ${candidates.filter(Boolean).join(", ")}`);
  return path;
}

/** Asks again until it is true; loaded machines are slow, not wrong. */
export async function until(what, look, seconds = 60) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const value = await look();
    if (value) return value;
    if (Date.now() > end) throw new Error(`not within ${seconds} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Starts `proofmesh up` with nodes; gives its API, the owner's key, and how to stop it. */
export async function network(nodes) {
  const dir = await mkdtemp(join(tmpdir(), "proofmesh-page-"));
  const binary = found(binaries, "the proofmesh binary (cargo build)");
  const args = ["up", "--port", "0", "--rpc-port", "0", "--json", "--dir", dir, ...nodes.flatMap((node) => ["--with", node])];
  const { PROOFMESH_DIR: _dir, PROOFMESH_URL: _url, ...env } = process.env;
  const child = spawn(binary, args, { stdio: ["ignore", "pipe", "pipe"], env });
  const talk = [];
  child.stderr.on("data", (text) => talk.push(String(text)));
  const ended = once(child, "exit");
  const line = once(createInterface({ input: child.stdout }), "line");
  const first = await Promise.race([line, ended.then(() => Promise.reject(new Error(talk.join(""))))]);
  const { api } = JSON.parse(first[0]);
  const key = (await readFile(join(dir, "keys/owner.seed"), "utf8")).trim();
  const call = async (path, { body, owner = true } = {}) => {
    const headers = owner ? { authorization: `Bearer ${key}` } : {};
    const post = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
    if (body !== undefined) headers["content-type"] = "application/json";
    const response = await fetch(api + path, { headers, ...post });
    return { status: response.status, doc: await response.json() };
  };
  const get = async (path) => (await call(path)).doc;
  await until("all nodes are measured", async () => {
    const members = await get("/v1/nodes");
    return members.length === nodes.length && members.every((member) => member.node.capabilities.length > 0 && member.devices.length > 0);
  });
  const stop = async () => {
    child.kill("SIGTERM");
    await ended;
    await rm(dir, { recursive: true, force: true });
  };
  return { api, key, call, get, stop, run: (...args) => run(api, dir, args) };
}

/** Runs a command to its end; gives its document. */
async function run(api, dir, args) {
  const { PROOFMESH_DIR: _dir, PROOFMESH_URL: _url, ...env } = process.env;
  const child = spawn(found(binaries, "the proofmesh binary"), [...args, "--json", "--dir", dir, "--url", api], { stdio: ["ignore", "pipe", "pipe"], env });
  const [out, talk] = [[], []];
  child.stdout.on("data", (text) => out.push(String(text)));
  child.stderr.on("data", (text) => talk.push(String(text)));
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`${args.join(" ")}: ${talk.join("")}`);
  return JSON.parse(out.join(""));
}

/** A real Chromium. */
export function browser() {
  return chromium.launch({ executablePath: found(browsers, "Chromium"), args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
}

const files = { "/": "index.html", "/page.js": "page.js", "/page.css": "page.css", "/icon.svg": "icon.svg", "/verifier.js": "verifier.js" };

/** While the page is written: takes its files from `dist`, with the binary's headers, without building the binary again. */
export async function fromDist(context, api) {
  if (!process.env.PROOFMESH_PAGE_FROM_DIST) return;
  for (const [path, file] of Object.entries(files)) {
    await context.route(api + path, async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, body: await readFile(join(here, "../dist", file)) });
    });
  }
}
