// Operate: earnings net of power, limits that the node obeys, grants, and why something was not paid.

import type { Entry, Grant, GrantDoc, Limits, OwnDoc, OwnNodeDoc, ReceiptDoc } from "../api";
import { get, post } from "../client";
import { badge, fill, figures, h, link, notice, section, short, sigil } from "../dom";
import { count, day, meaning, micro, time, usd } from "../format";
import type { Page, Shown } from "../main";
import { plot } from "../plot";
import { table } from "../table";
import { action, attempt, closeEpoch, field, hasKey, locked, slider } from "./parts";

/** Positions of the slider of windows a day; the last is no limit. */
const A_DAY = [0, 1, 2, 5, 10, 20, 50, 100, 500, 1000, 100_000];

export async function operate(page: Page, name: string): Promise<Shown> {
  if (!hasKey()) return locked("Operate");
  const own = await get<OwnDoc>("/v1/own");
  const node = own.nodes.find((candidate) => candidate.name === name) ?? own.nodes[0];
  const title = h("div", { class: "title" }, h("h1", {}, "Operate"), h("p", {}, "Your machine comes first: what it earns, what it may, and who may use its readings."));
  if (!node) {
    const empty = h("p", { class: "empty" }, "No node of this machine has started yet: ", h("code", {}, "proofmesh node run ewr --station EWR"), ", or ", h("code", {}, "proofmesh up --with ewr=EWR"), ".");
    const news = async () => {
      if ((await get<OwnDoc>("/v1/own")).nodes.length > 0) dispatchEvent(new Event("proofmesh:again"));
    };
    return { element: h("div", { class: "view" }, title, h("section", { class: "card" }, empty)), news };
  }
  const tabs = h(
    "nav",
    { class: "tabs", "aria-label": "Own nodes" },
    own.nodes.map((one) => h("a", { href: `#/operate/${one.name}`, "aria-current": one === node ? "page" : null }, sigil(one.account, 18), one.name, h("small", {}, one.station))),
  );
  const [sums, chart, grants, unpaid, journal] = [h("div"), h("div"), h("div"), h("div"), h("div")];
  const said = notice();
  const claim = action("Claim", said, async () => {
    const done = await post<{ paid: number; epoch: number }>(`/v1/own/claim/${node.name}`);
    return done.paid === 0 ? "Everything that is final was claimed before." : `${usd(done.paid)} paid to your account by the contract, epoch ${done.epoch}.`;
  });
  const close = own.development
    ? action("Close an epoch now", said, () => closeEpoch(page.status.deployment.params.challenge_window_s), "second")
    : null;
  const element = h(
    "div",
    { class: "view" },
    title,
    tabs,
    sums,
    h("div", { class: "columns" }, section("Earned, and what power cost", chart, h("div", { class: "row" }, claim, close), said), limits(node)),
    h("div", { class: "columns three-two" }, section("Grants", h("p", { class: "hint" }, "Who may use this device’s readings, for what, until when. Without a grant that covers a job, the node leaves it alone."), grants, giver(page, node)), section("Why was I not paid?", unpaid)),
    h("section", { class: "card" }, h("h2", {}, "What the node did"), journal),
  );
  const show = async (fresh: OwnNodeDoc) => {
    fill(sums, summary(fresh));
    fill(chart, earnings(fresh, await get<ReceiptDoc[]>("/v1/receipts")));
    fill(grants, grantTable(page, fresh, said));
    fill(unpaid, whyNot(fresh));
    fill(journal, journalTable(fresh));
  };
  await show(node);
  return { element, news: async () => show(await get<OwnNodeDoc>(`/v1/own/nodes/${node.name}`)) };
}

function summary(node: OwnNodeDoc): HTMLElement {
  const net = node.earned - node.power;
  return figures(
    ["Earned", usd(node.earned), `${usd(node.claimed)} claimed, ${usd(node.waiting)} waits for an epoch`],
    ["Net of power", usd(net), `power ${usd(node.power)} at ${node.limits.watts} W and ${usd(node.limits.price_kwh)} a kWh`],
    ["Windows proved", count(node.journal.proved), `${(node.journal.busy_ms / 1000).toFixed(1)} s of work`],
    ["Standing", node.node?.standing ?? "not joined", node.node ? `stake ${usd(node.node.stake, 0)}, ${node.node.strikes} strikes` : ""],
    ["Mode", node.limits.practice ? "practice" : "working", node.limits.practice ? "nothing is handed in" : "receipts are handed in"],
  );
}

function earnings(node: OwnNodeDoc, receipts: ReceiptDoc[]): HTMLElement {
  const paid = receipts.filter((receipt) => receipt.node === node.account && receipt.share > 0).sort((a, b) => a.sequence - b.sequence);
  if (paid.length === 0) return h("p", { class: "empty" }, "Nothing was paid yet.");
  const proving = new Map(node.journal.entries.map((entry) => [entry.receipt, entry.prove_ms]));
  const each = node.power / Math.max(1, node.journal.busy_ms);
  let [earned, power] = [0, 0];
  const lines = paid.map((receipt) => {
    earned += receipt.share / 1e6;
    power += (each * (proving.get(receipt.digest) ?? 0)) / 1e6;
    return [earned, power] as const;
  });
  const label = `${paid.length} paid windows earned ${usd(node.earned)}; proving cost ${usd(node.power)} of power.`;
  return plot(label, paid.map((_, at) => at + 1), [
    { name: "earned, by paid window", color: "accent", values: lines.map((line) => line[0]) },
    { name: "power", color: "wait", values: lines.map((line) => line[1]) },
  ], { unit: " $" });
}

function limits(node: OwnNodeDoc): HTMLElement {
  const now = node.limits;
  const hour = (value: number) => `${String(value).padStart(2, "0")}:00 UTC`;
  const from = slider("from-hour", "Works from", now.from_hour, { min: 0, max: 23 }, hour);
  const until = slider("until-hour", "until", now.until_hour, { min: 0, max: 23 }, hour);
  const share = slider("cpu-share", "Share of the CPU’s time", now.cpu_share_pct, { min: 1, max: 100 }, (value) => `${value} %`);
  const place = A_DAY.findIndex((most) => most >= now.windows_a_day);
  const most = slider("windows-a-day", "Windows a day", place < 0 ? A_DAY.length - 1 : place, { min: 0, max: A_DAY.length - 1 }, (value) => (value === A_DAY.length - 1 ? "no limit" : count(A_DAY[value] ?? 0)));
  const least = h("input", { inputmode: "decimal", value: String(now.least_price / 1e6) }) as HTMLInputElement;
  const watts = h("input", { type: "number", min: 0, max: 5000, value: now.watts }) as HTMLInputElement;
  const kwh = h("input", { inputmode: "decimal", value: String(now.price_kwh / 1e6) }) as HTMLInputElement;
  const practice = h("input", { type: "checkbox", id: "practice", checked: now.practice, role: "switch" }) as HTMLInputElement;
  const said = notice();
  const save = h("button", { type: "submit" }, "Set limits") as HTMLButtonElement;
  const set = async (): Promise<string> => {
    const money = (input: HTMLInputElement): number => {
      const value = micro(input.value);
      if (Number.isNaN(value)) throw new Error(`“${input.value}” is no amount of dollars, such as 0.25`);
      return value;
    };
    const wanted: Limits = {
      from_hour: from.value(),
      until_hour: until.value(),
      cpu_share_pct: share.value(),
      windows_a_day: A_DAY[most.value()] ?? 0,
      least_price: money(least),
      practice: practice.checked,
      watts: Number(watts.value),
      price_kwh: money(kwh),
    };
    await post<OwnNodeDoc>(`/v1/own/nodes/${node.name}/limits`, wanted);
    return "Set. The node obeys from its next window on, also after a restart.";
  };
  const submit = (event: Event) => {
    event.preventDefault();
    void attempt(save, said, set);
  };
  return h(
    "form",
    { class: "card limits", onsubmit: submit },
    h("h2", {}, "Limits"),
    h("div", { class: "pair" }, from.element, until.element),
    h("p", { class: "hint" }, "The same hour twice: all day. May run past midnight."),
    share.element,
    most.element,
    h("div", { class: "trio" }, field("least-price", "Least price, $", least), field("watts", "Power, W", watts), field("kwh", "$ a kWh", kwh)),
    h("div", { class: "switch" }, practice, h("label", { for: "practice" }, "Practice: prove and check everything, hand in nothing")),
    h("div", { class: "row" }, save),
    said,
  );
}

function grantTable(page: Page, node: OwnNodeDoc, said: HTMLElement): HTMLElement {
  const state = (grant: Grant): [string, "good" | "plain" | "bad"] => {
    if (grant.withdrawn_s !== null) return ["withdrawn", "bad"];
    if (grant.until_s !== null && grant.until_s <= page.status.now_s) return ["over", "plain"];
    return ["holds", "good"];
  };
  const withdraw = (grant: Grant) =>
    state(grant)[0] === "holds"
      ? h(
          "button",
          {
            type: "button",
            class: "second small",
            "aria-label": `Withdraw grant ${grant.id}`,
            onclick: (event: Event) =>
              void attempt(event.currentTarget as HTMLButtonElement, said, async () => {
                await post(`/v1/own/nodes/${node.name}/grants/${grant.id}/withdraw`);
                return `Grant ${grant.id} is withdrawn; it counts from the next window on.`;
              }),
          },
          "Withdraw",
        )
      : "–";
  return table<Grant>(
    "Grants",
    [
      { name: "No", show: (row) => row.id, value: (row) => row.id, number: true },
      { name: "Purpose", show: (row) => row.purpose, value: (row) => row.purpose },
      { name: "Model", show: (row) => (row.model ? (page.models.find((card) => card.id === row.model)?.name ?? short(row.model)) : "any"), value: (row) => row.model ?? "any" },
      { name: "Buyer", show: (row) => (row.buyer ? short(row.buyer) : "any"), value: (row) => row.buyer ?? "any" },
      { name: "Until", show: (row) => (row.until_s ? day(row.until_s) : "no end"), value: (row) => (row.until_s ? day(row.until_s) : "") },
      { name: "State", show: (row) => badge(...state(row)), value: (row) => state(row)[0] },
      { name: "Change", show: withdraw, value: () => "" },
    ],
    [...node.grants].reverse(),
    "No grant: the node works for nobody.",
    8,
  );
}

function giver(page: Page, node: OwnNodeDoc): HTMLElement {
  const purpose = h("input", { maxlength: 120, placeholder: "frost insurance, winter" }) as HTMLInputElement;
  const model = h("select", {}, h("option", { value: "" }, "any model"), page.models.map((card) => h("option", { value: card.id }, card.name))) as HTMLSelectElement;
  const buyer = h("input", { placeholder: "any buyer, or 0x…", spellcheck: "false" }) as HTMLInputElement;
  const until = h("input", { type: "date" }) as HTMLInputElement;
  const said = notice();
  const button = h("button", { type: "submit", class: "second" }, "Give the grant") as HTMLButtonElement;
  const give = async (): Promise<string> => {
    const grant: GrantDoc = {
      model: model.value === "" ? null : model.value,
      buyer: buyer.value.trim() === "" ? null : buyer.value.trim(),
      purpose: purpose.value.trim(),
      until_s: until.value === "" ? null : Date.parse(`${until.value}T00:00:00Z`) / 1000,
    };
    await post<OwnNodeDoc>(`/v1/own/nodes/${node.name}/grants`, grant);
    purpose.value = "";
    return "Given.";
  };
  const submit = (event: Event) => {
    event.preventDefault();
    void attempt(button, said, give);
  };
  return h(
    "form",
    { class: "give", onsubmit: submit },
    h("h3", {}, "Give a grant"),
    h("div", { class: "pair" }, field("grant-purpose", "For what", purpose), field("grant-model", "Model", model)),
    h("div", { class: "pair" }, field("grant-buyer", "To whom", buyer), field("grant-until", "Until", until)),
    h("div", { class: "row" }, button),
    said,
  );
}

function whyNot(node: OwnNodeDoc): HTMLElement {
  const unpaid = node.journal.entries.filter((entry) => entry.outcome !== "paid" && entry.reason !== null);
  const refused = node.refused.filter((doc) => !unpaid.some((entry) => entry.receipt === doc.digest));
  const reasons = new Map<string, { times: number; last: Entry | null; receipt: string | null; got: string }>();
  for (const doc of refused) note(doc.reason?.name ?? "", null, doc.digest, doc.reason?.got ?? "");
  for (const entry of unpaid) note(entry.reason?.name ?? "", entry, entry.receipt, entry.reason?.got ?? "");
  function note(name: string, entry: Entry | null, receipt: string | null, got: string): void {
    const known = reasons.get(name);
    reasons.set(name, { times: (known?.times ?? 0) + 1, last: entry, receipt: receipt ?? known?.receipt ?? null, got });
  }
  const practised = node.journal.entries.filter((entry) => entry.outcome === "practised").length;
  if (reasons.size === 0 && practised === 0) return h("p", { class: "empty" }, "Everything that the node did was paid.");
  return h(
    "ul",
    { class: "reasons" },
    practised > 0 ? h("li", {}, h("code", {}, "practice"), h("b", {}, ` × ${practised}`), h("p", {}, "You switched practice on: these windows were proved and checked, and not handed in.")) : null,
    [...reasons].map(([name, found]) =>
      h(
        "li",
        {},
        h("code", {}, name),
        h("b", {}, ` × ${found.times}`),
        h("p", {}, meaning(name), h("small", {}, ` Last: ${found.got}.`), found.receipt ? [" ", link(`#/receipt/${found.receipt}`, "The receipt")] : null),
      ),
    ),
  );
}

function journalTable(node: OwnNodeDoc): HTMLElement {
  const tone = { paid: "good", refused: "bad", practised: "wait", declined: "plain", skipped: "plain" } as const;
  return table<Entry>(
    "Journal",
    [
      { name: "When", show: (row) => time(row.at_s), value: (row) => time(row.at_s) },
      { name: "Day", show: (row) => day(row.window_start_s), value: (row) => day(row.window_start_s) },
      { name: "Job", show: (row) => short(row.job), value: (row) => row.job },
      { name: "What", show: (row) => badge(row.outcome, tone[row.outcome as keyof typeof tone] ?? "plain"), value: (row) => row.outcome },
      { name: "Why", show: (row) => (row.reason ? h("code", {}, row.reason.name) : "–"), value: (row) => row.reason?.name ?? "" },
      { name: "Proved in", show: (row) => (row.prove_ms > 0 ? `${row.prove_ms.toFixed(0)} ms` : "–"), value: (row) => row.prove_ms, number: true },
      { name: "Receipt", show: (row) => (row.receipt ? link(`#/receipt/${row.receipt}`, short(row.receipt)) : "–"), value: (row) => row.receipt ?? "" },
    ],
    [...node.journal.entries].reverse(),
    "Nothing yet.",
    12,
  );
}

