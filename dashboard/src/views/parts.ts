// Pieces that several views show.

import { get, key, post, Refused, setKey } from "../client";
import { badge, fill, h, notice } from "../dom";
import type { Shown } from "../main";

export function statusBadge(status: string): HTMLElement {
  const tone = { settled: "good", accepted: "good", refused: "bad", pending: "wait", assigned: "wait", open: "wait", ended: "plain" } as const;
  return badge(status, tone[status as keyof typeof tone] ?? "plain");
}

/** Asks for the owner's key. */
export function locked(title: string): Shown {
  const input = h("input", { id: "owner-key", type: "password", autocomplete: "off", spellcheck: "false", placeholder: "64 hexadecimal digits" }) as HTMLInputElement;
  const said = notice();
  const unlock = async (event: Event) => {
    event.preventDefault();
    setKey(input.value.trim());
    try {
      await get("/v1/own");
      dispatchEvent(new Event("proofmesh:again"));
    } catch (error) {
      setKey(null);
      fill(said, error instanceof Refused ? `${error.fault.name}: expected ${error.fault.expected}` : String(error));
    }
  };
  const element = h(
    "div",
    { class: "view" },
    h("div", { class: "title" }, h("h1", {}, title), h("p", {}, "Only the owner of this machine sees and changes what is here.")),
    h(
      "form",
      { class: "card narrow", onsubmit: unlock },
      h("h2", {}, "The owner's key"),
      h("p", {}, "It is in ", h("code", {}, "keys/owner.seed"), " of the node's directory, and in the address that ", h("code", {}, "proofmesh up"), " prints. It stays in this tab."),
      h("label", { for: "owner-key" }, "Key"),
      h("div", { class: "row" }, input, h("button", { type: "submit" }, "Unlock")),
      said,
    ),
  );
  return { element };
}

/** True when the key that this tab holds is the owner's. */
export function hasKey(): boolean {
  return key() !== null;
}

/** A button that calls the node and says how that went. */
export function action(name: string, said: HTMLElement, run: () => Promise<string>, kind = ""): HTMLButtonElement {
  const button = h("button", { type: "button", class: kind }, name) as HTMLButtonElement;
  button.addEventListener("click", () => void attempt(button, said, run));
  return button;
}

/** Runs something once at a time and says how it went. */
export async function attempt(button: HTMLButtonElement, said: HTMLElement, run: () => Promise<string>): Promise<void> {
  if (button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  said.classList.remove("bad");
  try {
    fill(said, await run());
  } catch (error) {
    said.classList.add("bad");
    fill(said, error instanceof Refused ? `${error.fault.name}: expected ${error.fault.expected}, got ${error.fault.got}` : String(error));
  } finally {
    button.removeAttribute("aria-busy");
  }
}

/** A slider with its value beside it. */
export function slider(id: string, name: string, value: number, range: { min: number; max: number; step?: number }, show: (value: number) => string): { element: HTMLElement; value: () => number } {
  const output = h("output", { for: id }, show(value));
  const input = h("input", { id, type: "range", min: range.min, max: range.max, step: range.step ?? 1 }) as HTMLInputElement;
  input.value = String(value);
  input.setAttribute("aria-valuetext", show(value));
  input.addEventListener("input", () => {
    fill(output, show(Number(input.value)));
    input.setAttribute("aria-valuetext", show(Number(input.value)));
  });
  return { element: h("div", { class: "slider" }, h("label", { for: id }, name), input, output), value: () => Number(input.value) };
}

/** A field with its label. */
export function field(id: string, name: string, input: HTMLElement, hint?: string): HTMLElement {
  input.id = id;
  if (hint) input.setAttribute("aria-describedby", `${id}-hint`);
  return h("div", { class: "field" }, h("label", { for: id }, name), input, hint ? h("small", { id: `${id}-hint` }, hint) : null);
}

/** Development chains only: closes an epoch, lets its challenge window pass. */
export async function closeEpoch(windowSeconds: number): Promise<string> {
  const closed = await post<{ epoch: { number: number }; receipts: number }>("/v1/epochs");
  await post("/v1/dev/pass-time", { seconds: windowSeconds });
  return `Epoch ${closed.epoch.number} is closed, posted and final: ${closed.receipts} receipts.`;
}
