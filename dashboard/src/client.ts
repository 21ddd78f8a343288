// The API of the node that served this page, and its news. The owner's key stays in this tab's session.

import type { Fault, NewsDoc } from "./api";

const KEY = "proofmesh.owner-key";

/** A call that was refused or failed, with the node's stable name of why. */
export class Refused extends Error {
  constructor(readonly fault: Fault) {
    super(`${fault.name}: expected ${fault.expected}, got ${fault.got}`);
  }
}

/** Takes a key out of the address (`#key=...`), so that it is in no history. */
export function takeKeyFromAddress(): void {
  const found = /^#key=([0-9a-f]{64})$/.exec(location.hash);
  if (!found) return;
  setKey(found[1] ?? "");
  history.replaceState(null, "", "#/network");
}

export function key(): string | null {
  return sessionStorage.getItem(KEY);
}

export function setKey(text: string | null): void {
  if (text === null) sessionStorage.removeItem(KEY);
  else sessionStorage.setItem(KEY, text);
}

async function call(path: string, init: RequestInit = {}): Promise<Response> {
  const headers: Record<string, string> = {};
  if (init.method === "POST") headers["content-type"] = "application/json";
  const owner = key();
  if (owner !== null) headers.authorization = `Bearer ${owner}`;
  let response: Response;
  try {
    response = await fetch(path, { ...init, headers });
  } catch (error) {
    throw new Refused({ kind: "trouble", name: "page.unreachable", expected: "the node that served this page", got: String(error) });
  }
  if (response.ok) return response;
  const body: unknown = await response.json().catch(() => null);
  const fault = body as Fault | null;
  throw new Refused(fault?.name ? fault : { kind: "trouble", name: "page.answer", expected: "a document", got: `status ${response.status}` });
}

export async function get<T>(path: string): Promise<T> {
  return (await (await call(path)).json()) as T;
}

export async function post<T>(path: string, body: unknown = {}): Promise<T> {
  return (await (await call(path, { method: "POST", body: JSON.stringify(body) })).json()) as T;
}

export async function raw(path: string): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await (await call(path)).arrayBuffer());
}

/** Hears of news until it is closed; `lost` hears whether the node is gone. */
export function listen(heard: (news: NewsDoc) => void, lost: (gone: boolean) => void): EventSource {
  const source = new EventSource("/v1/events");
  source.addEventListener("news", (event) => {
    lost(false);
    heard(JSON.parse((event as MessageEvent<string>).data) as NewsDoc);
  });
  source.addEventListener("error", () => lost(true));
  return source;
}
