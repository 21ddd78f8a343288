// Audit: an epoch checked again in this tab: every receipt, every proof, both roots, against the contract.

import type { ChainEpochDoc, EpochDoc, EpochsDoc } from "../api";
import { get } from "../client";
import { badge, facts, fill, h, link, notice, section, short } from "../dom";
import { count, time, usd } from "../format";
import type { Page, Shown } from "../main";
import { table } from "../table";
import { check, epochRoots, gather } from "../verify";
import { attempt, field } from "./parts";

interface Found {
  digest: string;
  checks: number;
  ms: number;
  refused: string;
}

export async function audit(page: Page, what: string): Promise<Shown> {
  const title = h("div", { class: "title" }, h("h1", {}, "Audit"), h("p", {}, "Take nobody’s word: every proof of an epoch checked again, its roots computed again and held against the contract."));
  const closed = await get<EpochsDoc>("/v1/epochs");
  if (closed.count === 0) {
    return { element: h("div", { class: "view" }, title, h("section", { class: "card" }, h("p", { class: "empty" }, "No epoch is closed yet. When one is, it can be checked here."))), news: again };
  }
  const number = what === "" ? closed.count : Number(what);
  const epoch = await get<EpochDoc>(`/v1/epochs/${number}`);
  const choice = h(
    "select",
    { onchange: (event: Event) => (location.hash = `#/audit/${(event.target as HTMLSelectElement).value}`) },
    closed.epochs.map((row) => h("option", { value: row.epoch.number, selected: row.epoch.number === number }, `Epoch ${row.epoch.number}: ${row.receipts.length} receipts`)),
  ) as HTMLSelectElement;
  const chain = await get<ChainEpochDoc>(`/v1/epochs/${number}/chain`).catch(() => null);
  const bar = h("progress", { max: Math.max(1, epoch.receipts.length), "aria-label": "Receipts checked" }) as HTMLProgressElement;
  bar.value = 0;
  const verdict = h("p", { class: "verdict", role: "status", "aria-live": "polite" });
  const result = h("div");
  const said = notice();
  const button = h("button", { type: "button", class: "big" }, "Check this epoch") as HTMLButtonElement;
  button.addEventListener("click", () => void attempt(button, said, () => run(page, epoch, chain, bar, verdict, result)));
  const element = h(
    "div",
    { class: "view" },
    title,
    h(
      "div",
      { class: "columns" },
      section(
        `Epoch ${number}`,
        field("epoch", "Epoch", choice),
        facts(
          ["Receipts", count(epoch.receipts.length)],
          ["Owed in all", usd(epoch.epoch.total)],
          ["Receipts root", short(epoch.epoch.receipts_root, 14, 8)],
          ["Balances root", short(epoch.epoch.balances_root, 14, 8)],
          ["Head of the log", short(epoch.epoch.log_hash, 14, 8)],
          ["On chain", chain ? h("span", {}, badge(chain.is_final ? "final" : "in its challenge window", chain.is_final ? "good" : "wait"), ` ${time(chain.posted_s)}`) : badge("not posted", "wait")],
        ),
      ),
      h("section", { class: "card" }, h("h2", {}, "Check it here"), h("p", { class: "hint" }, "The log’s money rules need the whole log: ", h("code", {}, "proofmesh audit"), " folds it again, from the same public data."), button, bar, verdict, said),
    ),
    result,
    h(
      "section",
      { class: "card" },
      h("h2", {}, "Balances"),
      table(
        `Balances of epoch ${number}`,
        [
          { name: "Account", show: (row) => short(row[0], 12, 8), value: (row) => row[0] },
          { name: "Cumulative", show: (row) => usd(row[1]), value: (row) => row[1] / 1e6, number: true },
        ],
        epoch.balances,
        "No balance.",
      ),
    ),
  );
  return { element };
}

/** A page without epochs becomes one with them. */
function again(page: Page): void {
  if (page.status.epochs > 0) dispatchEvent(new Event("proofmesh:again"));
}

async function run(page: Page, epoch: EpochDoc, chain: ChainEpochDoc | null, bar: HTMLProgressElement, verdict: HTMLElement, result: HTMLElement): Promise<string> {
  const began = performance.now();
  const found: Found[] = [];
  const rows: Found[] = [];
  verdict.className = "verdict";
  bar.value = 0;
  for (const digest of epoch.receipts) {
    fill(verdict, `Receipt ${found.length + 1} of ${epoch.receipts.length}…`);
    const one: Found = { digest, checks: 0, ms: 0, refused: "" };
    try {
      const material = await gather(digest, page.classes);
      const at = performance.now();
      for await (const tick of check(material)) {
        one.checks++;
        if (tick.left && one.refused === "") one.refused = "proof not checked here";
        if (tick.refused && one.refused === "") one.refused = tick.refused.check;
      }
      if (material.doc.epoch !== epoch.epoch.number && one.refused === "") one.refused = "epoch.another";
      one.ms = performance.now() - at;
    } catch (error) {
      one.refused = error instanceof Error ? error.message.split(":")[0] ?? "trouble" : "trouble";
    }
    found.push(one);
    bar.value = found.length;
    await new Promise((resolve) => requestAnimationFrame(resolve));
  }
  if (chain === null) rows.push({ digest: "contract", checks: 0, ms: 0, refused: "epoch.not-posted" });
  else for (const tick of epochRoots(epoch, chain)) rows.push({ digest: tick.name, checks: 1, ms: 0, refused: tick.refused?.check ?? "" });
  const bad = [...found, ...rows].filter((one) => one.refused !== "");
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  verdict.className = bad.length === 0 ? "verdict good" : "verdict bad";
  fill(
    verdict,
    bad.length === 0
      ? [h("strong", {}, "No difference"), `: ${found.length} receipts and their proofs, both roots and the total, in ${seconds} s.`]
      : [h("strong", {}, `${bad.length} differences: `), h("code", {}, [...new Set(bad.map((one) => one.refused))].join(", "))],
  );
  fill(result, h("section", { class: "card" }, h("h2", {}, "Result"), resultTable([...rows, ...found])));
  return "";
}

function resultTable(rows: Found[]): HTMLElement {
  return table<Found>(
    "Checked",
    [
      { name: "What", show: (row) => (row.digest.startsWith("0x") ? link(`#/receipt/${row.digest}`, short(row.digest)) : row.digest), value: (row) => row.digest },
      { name: "Checks", show: (row) => row.checks, value: (row) => row.checks, number: true },
      { name: "ms", show: (row) => row.ms.toFixed(0), value: (row) => row.ms, number: true },
      { name: "Result", show: (row) => (row.refused === "" ? badge("holds", "good") : badge(row.refused, "bad")), value: (row) => row.refused || "holds" },
    ],
    rows,
    "Nothing was checked.",
    100,
  );
}

