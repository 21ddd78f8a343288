// Buy: a quote, the whole price into escrow, the work as it comes in, the rest back.

import type { BuyerDoc, IdDoc, JobDoc, MemberDoc, OwnDoc, QuoteDoc, ReceiptDoc, WantedDoc } from "../api";
import { get, post, Refused } from "../client";
import { badge, facts, fill, figures, h, link, notice, section, short } from "../dom";
import { count, day, micro, said as says, time, usd } from "../format";
import type { Page, Shown } from "../main";
import { table } from "../table";
import { action, attempt, closeEpoch, field, hasKey, locked, statusBadge } from "./parts";

const STATIONS = ["EWR", "JFK", "LGA"];

export async function buy(page: Page, id: string): Promise<Shown> {
  if (!hasKey()) return locked("Buy");
  const [own, members] = await Promise.all([get<OwnDoc>("/v1/own"), get<MemberDoc[]>("/v1/nodes")]);
  const [sums, jobs, one] = [h("div"), h("div"), h("div")];
  const element = h(
    "div",
    { class: "view" },
    h("div", { class: "title" }, h("h1", {}, "Buy"), h("p", {}, "Proven days of a device. What is not earned comes back.")),
    sums,
    h("div", { class: "columns" }, wanted(page, own, members), money(page, own)),
    one,
    h("section", { class: "card" }, h("h2", {}, "Your jobs"), jobs),
  );
  const show = async (page: Page, buyer: BuyerDoc) => {
    fill(sums, summary(buyer));
    fill(jobs, jobTable(buyer.jobs));
    const chosen = buyer.jobs.find((job) => job.id === id) ?? (id === "" ? buyer.jobs[0] : undefined);
    if (!chosen) return fill(one, id === "" ? null : h("section", { class: "card" }, h("p", { class: "empty" }, "No job of the built-in key has this id.")));
    fill(one, life(page, chosen, await get<ReceiptDoc[]>(`/v1/jobs/${chosen.id}/receipts`)));
  };
  await show(page, own.buyer);
  return { element, news: async (page) => show(page, (await get<OwnDoc>("/v1/own")).buyer) };
}

function summary(buyer: BuyerDoc): HTMLElement {
  const escrow = buyer.jobs.reduce((sum, job) => sum + job.escrow, 0);
  return figures(
    ["Spendable", usd(buyer.account.balance), "came back or was not needed"],
    ["In escrow", usd(escrow), `${buyer.jobs.filter((job) => job.status !== "ended").length} jobs open`],
    ["Spent today", usd(buyer.spent_today), `of ${usd(buyer.spend_a_day)} that you allow`],
    ["Taken out", usd(buyer.claimed), `${usd(buyer.account.cumulative - buyer.claimed)} waits for an epoch`],
  );
}

function wanted(page: Page, own: OwnDoc, members: MemberDoc[]): HTMLElement {
  const names = new Map(own.nodes.map((node) => [node.device, node]));
  const devices = members.flatMap((member) => member.devices.map((placed) => placed.device));
  const device = h("select", {}, devices.map((did) => h("option", { value: did }, names.has(did) ? `${names.get(did)?.name} at ${names.get(did)?.station}` : `${did.slice(8, 22)}…`))) as HTMLSelectElement;
  const station = h("select", {}, STATIONS.map((name) => h("option", { value: name }, name))) as HTMLSelectElement;
  const follow = () => {
    const known = names.get(device.value);
    if (known) station.value = known.station;
  };
  follow();
  const model = h("select", {}, page.models.map((card) => h("option", { value: card.id }, card.name))) as HTMLSelectElement;
  const from = h("input", { type: "date", value: "2013-01-22", min: "2013-01-01", max: "2013-12-30" }) as HTMLInputElement;
  const days = h("input", { type: "number", min: 1, max: 366, value: 3 }) as HTMLInputElement;
  const price = h("input", { inputmode: "decimal", value: "0.50" }) as HTMLInputElement;
  const open = h("input", { type: "number", min: 1, max: 8784, value: 24 }) as HTMLInputElement;
  const quoted = h("div", { class: "quote" });
  const said = notice();
  const button = h("button", { type: "submit", class: "big" }, "Put into escrow and buy") as HTMLButtonElement;
  const document_ = (): WantedDoc => {
    const unit_price = micro(price.value);
    if (Number.isNaN(unit_price)) throw new Error(`“${price.value}” is no amount of dollars, such as 0.50`);
    return { device: device.value, station: station.value, model: model.value, from: from.value, days: Number(days.value), unit_price, open_hours: Number(open.value) };
  };
  let turn = 0;
  const quote = async () => {
    const mine = ++turn;
    try {
      const doc = await post<QuoteDoc>("/v1/own/quote", document_());
      if (mine === turn) fill(quoted, quoteFacts(doc, Number(days.value)));
    } catch (error) {
      if (mine === turn) fill(quoted, h("p", { class: "notice bad" }, error instanceof Refused ? `${error.fault.name}: expected ${error.fault.expected}, got ${error.fault.got}` : String(error)));
    }
  };
  const submit = (event: Event) => {
    event.preventDefault();
    void attempt(button, said, async () => {
      const { id } = await post<IdDoc>("/v1/own/jobs", document_());
      location.hash = `#/buy/${id}`;
      return "Bought.";
    });
  };
  const form = h(
    "form",
    { class: "card", onsubmit: submit, oninput: (event: Event) => (event.target === device && follow(), void quote()) },
    h("h2", {}, "What do you want to know?"),
    devices.length === 0 ? h("p", { class: "empty" }, "No device is in this market yet.") : null,
    h("div", { class: "pair" }, field("buy-device", "Device", device), field("buy-station", "Station it stands at", station)),
    h("div", { class: "pair" }, field("buy-model", "Model that judges each day", model), field("buy-from", "From", from)),
    h("div", { class: "trio" }, field("buy-days", "Days", days), field("buy-price", "$ a genuine day", price), field("buy-open", "Open for hours", open)),
    quoted,
    h("div", { class: "row" }, button),
    said,
  );
  if (devices.length > 0) void quote();
  else button.disabled = true;
  return form;
}

function quoteFacts(doc: QuoteDoc, days: number): HTMLElement {
  return facts(
    ["Goes into escrow", h("strong", {}, usd(doc.escrow))],
    ["Of a paid day", `${usd(doc.node_share)} to the node, ${usd(doc.fee)} fee`],
    ["Suggested price", usd(doc.suggested, 3)],
    ["Can be proved", h("span", {}, `${doc.days_with_reference} of ${days} days`, doc.days_with_reference < days ? h("small", {}, " the neighbours’ readings have gaps on the others") : null)],
    ["Can be drawn", doc.nodes === 0 ? badge("no measured node", "bad") : `${doc.nodes} node`],
    ["Budget left today", usd(doc.budget_left)],
  );
}

function money(page: Page, own: OwnDoc): HTMLElement {
  const said = notice();
  const limit = h("input", { inputmode: "decimal", value: String(own.buyer.spend_a_day / 1e6) }) as HTMLInputElement;
  const set = action("Set", said, async () => {
    const spend_a_day = micro(limit.value);
    if (Number.isNaN(spend_a_day)) throw new Error(`“${limit.value}” is no amount of dollars, such as 25`);
    await post("/v1/own/budget", { spend_a_day });
    return `At most ${usd(spend_a_day)} a day from now on.`;
  }, "second");
  const withdraw = action("Ask for it back", said, async () => {
    await post("/v1/own/withdraw");
    return "Asked for. It can be claimed when the next epoch is final.";
  });
  const claim = action("Claim", said, async () => {
    const done = await post<{ paid: number }>("/v1/own/claim/buyer");
    return done.paid === 0 ? "Everything that is final was claimed before." : `${usd(done.paid)} paid to the buyer’s account by the contract.`;
  });
  const seconds = page.status.deployment.params.challenge_window_s;
  const dev = own.development
    ? [
        h("h3", {}, "This is a development chain"),
        h("p", { class: "hint" }, "Money is test money, and time can be had."),
        h("div", { class: "row" }, action("Close an epoch", said, () => closeEpoch(seconds), "second"), action("Let a day pass", said, async () => (await post("/v1/dev/pass-time", { seconds: 86_400 }), "A day has passed."), "second")),
      ]
    : null;
  return section(
    "Money",
    facts(["Buyer’s key", h("span", {}, short(own.buyer.account.account, 12, 8), " built in")]),
    h("h3", {}, "Refund"),
    h("p", { class: "hint" }, "When a job is over, what no receipt earned is spendable again: buy with it, or take it out."),
    h("div", { class: "row" }, withdraw, claim),
    h("h3", {}, "Budget"),
    h("div", { class: "row end" }, field("budget", "At most, $ a day", limit), set),
    dev,
    said,
  );
}

function life(page: Page, job: JobDoc, receipts: ReceiptDoc[]): HTMLElement {
  const settled = receipts.filter((receipt) => receipt.status === "settled").length;
  const delivered = receipts.length;
  const steps: [string, string, boolean][] = [
    ["Escrow", usd(job.job.unit_price * job.job.max_units), true],
    ["Drawn", job.nodes.length > 0 ? "a node was drawn" : "waits for a node", job.nodes.length > 0],
    ["Proved", `${delivered} of ${job.job.max_units} days`, delivered > 0],
    ["Settled", `${settled} on chain`, settled > 0],
    ["Over", job.status === "ended" ? "the rest came back" : `until ${time(job.job.deadline_s)}`, job.status === "ended"],
  ];
  return section(
    "Job",
    h("p", {}, short(job.id, 14, 8), " ", statusBadge(job.status)),
    h("ol", { class: "steps" }, steps.map(([name, note, done]) => h("li", { class: done ? "done" : null }, h("b", {}, name), h("small", {}, note), h("span", { class: "visually-hidden" }, done ? " done" : " not yet")))),
    h(
      "ul",
      { class: "days" },
      receipts.map((receipt) => {
        const { label, frost } = says(receipt.output, page.classes(job.job.model));
        return h(
          "li",
          { class: receipt.status === "refused" ? "bad" : "good" },
          link(`#/receipt/${receipt.digest}`, h("b", {}, day(receipt.window_start_s)), h("span", {}, label), h("small", {}, frost === null ? "" : frost ? "frost" : "no frost"), h("small", {}, receipt.status)),
        );
      }),
    ),
    receipts.length === 0 ? h("p", { class: "empty" }, "No receipt yet; the node’s owner may have set limits.") : null,
  );
}

function jobTable(jobs: JobDoc[]): HTMLElement {
  return table<JobDoc>(
    "Jobs",
    [
      { name: "Job", show: (row) => link(`#/buy/${row.id}`, short(row.id)), value: (row) => row.id },
      { name: "From", show: (row) => day(row.job.window_from_s), value: (row) => day(row.job.window_from_s) },
      { name: "Days paid", show: (row) => `${count(row.units)} of ${count(row.job.max_units)}`, value: (row) => row.units, number: true },
      { name: "Price", show: (row) => usd(row.job.unit_price), value: (row) => row.job.unit_price / 1e6, number: true },
      { name: "In escrow", show: (row) => usd(row.escrow), value: (row) => row.escrow / 1e6, number: true },
      { name: "Status", show: (row) => statusBadge(row.status), value: (row) => row.status },
    ],
    jobs,
    "Nothing was bought yet.",
  );
}
