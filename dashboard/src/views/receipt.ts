// Receipt: what was claimed, by which model, what stays hidden; checked here; and what happens to a lie.

import type { ChainEpochDoc, JobDoc, ReceiptDoc } from "../api";
import { get } from "../client";
import { badge, facts, fill, h, link, notice, section, short, sigil } from "../dom";
import { bytes, count, day, meaning, said, time, usd } from "../format";
import type { Page, Shown } from "../main";
import { check, gather, withLie, type Lie, type Material, type Tick } from "../verify";
import { modelOf } from "./network";
import { attempt, field, statusBadge } from "./parts";

export async function receipt(page: Page, digest: string): Promise<Shown> {
  if (digest === "") {
    const newest = await get<ReceiptDoc[]>("/v1/receipts");
    const best = newest.find((row) => row.status === "settled") ?? newest[0];
    if (!best) return { element: h("div", { class: "view" }, title(), h("section", { class: "card" }, finder(), h("p", { class: "empty" }, "No receipt was delivered yet."))) };
    history.replaceState(null, "", `#/receipt/${best.digest}`);
    return receipt(page, best.digest);
  }
  const doc = await get<ReceiptDoc>(`/v1/receipts/${digest}`);
  const job = await get<JobDoc>(`/v1/jobs/${doc.job}`);
  const [claim, chain] = [h("div"), h("div")];
  const element = h(
    "div",
    { class: "view" },
    title(),
    h("div", { class: "finder-row" }, finder()),
    h("div", { class: "columns beside" }, h("div", { class: "stack" }, claim, chain), checker(page, digest, doc)),
  );
  const news = async (page: Page) => {
    const fresh = await get<ReceiptDoc>(`/v1/receipts/${digest}`);
    fill(claim, claimed(page, fresh, job));
    fill(chain, await onChain(page, fresh));
  };
  await news(page);
  return { element, news };
}

function title(): HTMLElement {
  return h("div", { class: "title" }, h("h1", {}, "Receipt"), h("p", {}, "One unit of work, and the proof that it was done as claimed. Check it yourself: nothing leaves this tab."));
}

function finder(): HTMLElement {
  const input = h("input", { placeholder: "0x… digest of a receipt", spellcheck: "false", autocomplete: "off" }) as HTMLInputElement;
  const go = (event: Event) => {
    event.preventDefault();
    if (input.value.trim() !== "") location.hash = `#/receipt/${encodeURIComponent(input.value.trim())}`;
  };
  return h("form", { class: "finder", onsubmit: go }, field("find-receipt", "Another receipt", input), h("button", { type: "submit", class: "second" }, "Show"));
}

function claimed(page: Page, doc: ReceiptDoc, job: JobDoc): HTMLElement {
  const model = page.models.find((card) => card.id === modelOf(doc));
  const { label, frost } = said(doc.output, page.classes(modelOf(doc)));
  return section(
    "What was claimed",
    h(
      "p",
      { class: "claim" },
      sigil(doc.device, 40),
      h(
        "span",
        {},
        "On ",
        h("strong", {}, day(doc.window_start_s)),
        " the model says of this device’s day: ",
        h("strong", {}, label),
        frost === null ? null : [", ", h("strong", {}, frost ? "frost" : "no frost")],
        ". ",
        statusBadge(doc.status),
      ),
    ),
    doc.reason ? h("p", { class: "why" }, h("code", {}, doc.reason.name), " ", meaning(doc.reason.name), h("small", {}, ` Expected ${doc.reason.expected}, got ${doc.reason.got}.`)) : null,
    facts(
      ["Model", link(`#/models/${modelOf(doc)}`, model?.name ?? "another model")],
      ["Device", short(doc.device, 16, 6)],
      ["Node", h("span", {}, short(doc.node), ` · its receipt ${count(doc.sequence)}`)],
      ["Job", link(`#/economics/${doc.job}`, short(doc.job))],
      ["Delivered", time(doc.at_s)],
      ["Pays", `${usd(doc.share)} to the node, ${usd(doc.fee)} fee, of ${usd(job.job.unit_price)}`],
    ),
    h("h3", {}, "Who sees what"),
    h(
      "ul",
      { class: "hidden-list" },
      h("li", { class: "hidden" }, h("b", {}, "Hidden"), h("span", {}, `${model?.private_words ?? "All"} readings of the device: temperature, humidity, pressure, hour by hour. They never left the node; there is only a salted commitment, which no guess can be tried on.`)),
      h("li", {}, h("b", {}, "Public"), h("span", {}, `the answer; the model; ${model?.public_words ?? "the"} words of the neighbours’ readings, which the buyer’s job committed to before the work.`)),
      h("li", { class: "trust" }, h("b", {}, "On trust"), h("span", {}, "that the sensor stood where it should and measured the world. No proof shows that.")),
    ),
  );
}

async function onChain(page: Page, doc: ReceiptDoc): Promise<HTMLElement> {
  if (doc.epoch === null) {
    return section("On chain", h("p", { class: "empty" }, doc.status === "refused" ? "A refused receipt enters no epoch." : "Accepted; the next epoch settles it."));
  }
  const chain = await get<ChainEpochDoc>(`/v1/epochs/${doc.epoch}/chain`).catch(() => null);
  const posted = (await get<{ posted: { tx: string; log_index: number } | null }>(`/v1/epochs/${doc.epoch}`)).posted;
  return section(
    "On chain",
    facts(
      ["Epoch", h("span", {}, link(`#/audit/${doc.epoch}`, `${doc.epoch}`), " ", chain ? badge(chain.is_final ? "final" : "in its challenge window", chain.is_final ? "good" : "wait") : badge("not posted", "wait"))],
      ["Transaction", posted ? h("span", { class: "mono wrap" }, posted.tx) : "not posted yet"],
      ["Root of receipts", chain ? short(chain.epoch.receipts_root, 14, 8) : "–"],
      ["Contract", h("span", {}, short(page.status.deployment.settlement), ` on chain ${page.status.deployment.chain_id}`)],
      ["Posted", chain ? time(chain.posted_s) : "–"],
    ),
  );
}

function checker(page: Page, digest: string, doc: ReceiptDoc): HTMLElement {
  const list = h("ol", { class: "checks", "aria-label": "Checks" });
  const verdict = h("p", { class: "verdict", role: "status", "aria-live": "polite" });
  const said = notice();
  const lies = h("select", {}, [
    ["none", "tell the truth"],
    ["proof", "flip one bit of the proof"],
    ["output", "flip one bit of the answer"],
    ["receipt", "flip one bit of the hidden input’s commitment"],
  ].map(([value, name]) => h("option", { value: value ?? "" }, name ?? ""))) as HTMLSelectElement;
  const place = h("input", { type: "number", min: 0, value: 1000 }) as HTMLInputElement;
  const placed = field("lie-place", "Byte", place);
  placed.hidden = true;
  lies.addEventListener("change", () => {
    placed.hidden = lies.value !== "proof";
  });
  let material: Promise<Material> | null = null;
  const run = async (): Promise<string> => {
    list.replaceChildren();
    verdict.className = "verdict";
    fill(verdict, "Fetching receipt, job, model, feed and proof…");
    material ??= gather(digest, page.classes);
    const truth = await material.catch((error: unknown) => {
      material = null;
      throw error;
    });
    const lie: Lie | null = lies.value === "none" ? null : { place: lies.value as Lie["place"], at: Number(place.value) || 0 };
    place.max = String(truth.proof.length - 1);
    return judge(truth, lie, list, verdict, doc);
  };
  const button = h("button", { type: "button", class: "big" }, "Verify here") as HTMLButtonElement;
  button.addEventListener("click", () => {
    void attempt(button, said, run).then(() => {
      if (said.classList.contains("bad")) fill(verdict);
    });
  });
  return h(
    "section",
    { class: "card checker" },
    h("h2", {}, "Verify here"),
    h("p", { class: "hint" }, "The verifier of the network, compiled to WebAssembly, runs in this tab. It rebuilds the statement from the job, the receipt and the feed, and believes nothing that it can compute."),
    h("div", { class: "lie" }, field("lie", "The lie switch", lies), placed, button),
    verdict,
    list,
    said,
  );
}

async function judge(truth: Material, lie: Lie | null, list: HTMLElement, verdict: HTMLElement, doc: ReceiptDoc): Promise<string> {
  const began = performance.now();
  const refused: Tick[] = [];
  let [all, left] = [0, 0];
  for await (const tick of check(withLie(truth, lie))) {
    if (tick.left) left++;
    else all++;
    if (tick.refused) refused.push(tick);
    list.append(row(tick));
    await new Promise((resolve) => requestAnimationFrame(resolve));
  }
  const ms = performance.now() - began;
  const first = refused[0]?.refused;
  if (first) {
    verdict.className = "verdict bad";
    const names = [...new Set(refused.map((tick) => tick.refused?.check))].join(", ");
    fill(verdict, h("strong", {}, lie ? "The lie is refused: " : "Refused: "), h("code", {}, names), lie ? " One changed bit is enough." : "");
  } else if (left > 0) {
    verdict.className = "verdict";
    fill(verdict, h("strong", {}, `${all} checks hold, the proof was not checked`), " here: it is of the kind that a stranger can wrap. ", h("code", {}, "proofmesh audit"), " checks it.");
  } else {
    verdict.className = "verdict good";
    const paid = doc.status === "refused" ? ` The proof holds; the receipt is not paid because of ${doc.reason?.name ?? "a rule"}.` : "";
    fill(verdict, h("strong", {}, `All ${all} checks hold`), ` in ${Math.round(ms)} ms, ${bytes(truth.proof.length)} of proof.${paid}`);
  }
  return "";
}

function row(tick: Tick): HTMLElement {
  const bad = tick.refused;
  const [mark, said] = bad ? ["✕", " refused"] : tick.left ? ["–", " not checked here"] : ["✓", " holds"];
  return h(
    "li",
    { class: bad ? "bad" : tick.left ? "" : "good" },
    h("span", { class: "mark", "aria-hidden": "true" }, mark),
    h("span", {}, h("b", {}, tick.name), h("span", { class: "visually-hidden" }, said), h("small", {}, bad ? [h("code", {}, bad.check), " expected ", short(bad.expected, 22, 8), ", got ", short(bad.got, 22, 8)] : tick.about)),
    h("span", { class: "ms" }, tick.ms >= 0.05 ? `${tick.name.startsWith("proof:") ? "whole proof " : ""}${tick.ms.toFixed(1)} ms` : ""),
  );
}
