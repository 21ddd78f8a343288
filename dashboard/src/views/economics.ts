// Economics: prices, payouts, reserve, burn.

import type { EconomicsDoc } from "../api";
import { get } from "../client";
import { facts, fill, figures, h, link, section, short } from "../dom";
import { count, meaning, time, usd } from "../format";
import type { Page, Shown } from "../main";
import { plot } from "../plot";
import { table } from "../table";

export async function economics(page: Page, job: string): Promise<Shown> {
  const inside = h("div", { class: "stack" });
  const element = h("div", { class: "view" }, h("div", { class: "title" }, h("h1", {}, "Economics"), h("p", {}, "No reward for existing: every payout is a paid unit of somebody’s job, less the fee.")), inside);
  const news = async (page: Page) => fill(inside, ...parts(page, await get<EconomicsDoc>("/v1/economics"), job));
  await news(page);
  return { element, news };
}

function parts(page: Page, doc: EconomicsDoc, job: string): HTMLElement[] {
  const { money } = page.status;
  const paid = doc.payouts.reduce((sum, row) => sum + row.shares, 0);
  const numbers = doc.payouts.map((row) => row.epoch);
  const dollars = (values: number[]) => values.map((value) => value / 1e6);
  return [
    figures(
      ["Paid to nodes", usd(paid), `${count(doc.payouts.reduce((sum, row) => sum + row.receipts, 0))} settled receipts`],
      ["Reserve", usd(doc.vault), `fees of ${(doc.fee_ppm / 1e4).toFixed(1)} %`],
      ["Burned", usd(doc.burned), "by slashing"],
      ["Paid by covers", usd(doc.covers_paid), "to the insured"],
      ["At stake", usd(doc.stakes + doc.poster_bond), `${usd(doc.stakes, 0)} of nodes, ${usd(doc.poster_bond, 0)} of the poster`],
    ),
    h(
      "div",
      { class: "columns" },
      section(
        "Payouts by epoch",
        numbers.length === 0
          ? h("p", { class: "empty" }, "No epoch yet.")
          : plot(`Payouts of ${numbers.length} epochs to nodes: ${usd(paid)} in all.`, numbers, [
              { name: "fees", color: "wait-fill", values: dollars(doc.payouts.map((row) => row.shares + row.fees)), bars: true },
              { name: "to nodes", color: "accent", values: dollars(doc.payouts.map((row) => row.shares)), bars: true },
            ], { unit: " $" }),
      ),
      section(
        "Price of a unit, by job",
        doc.prices.length === 0
          ? h("p", { class: "empty" }, "No job yet.")
          : plot(`Unit prices of ${doc.prices.length} jobs, from ${usd(Math.min(...doc.prices.map((row) => row.unit_price)))} to ${usd(Math.max(...doc.prices.map((row) => row.unit_price)))}.`, doc.prices.map((_, at) => at + 1), [
              { name: "price of a unit", color: "accent", values: dollars(doc.prices.map((row) => row.unit_price)), bars: true },
            ], { unit: " $" }),
      ),
    ),
    h(
      "div",
      { class: "columns" },
      section(
        "Where all money is",
        facts(
          ["Deposited", usd(money.deposited)],
          ["= spendable", usd(money.balances)],
          ["+ in escrow", usd(money.escrow)],
          ["+ accepted, not settled", usd(money.held)],
          ["+ bonds of disputes", usd(money.bonds)],
          ["+ claims", usd(money.claims)],
          ["+ reserve", usd(money.vault)],
          ["Adds up", money.conserved ? "exactly" : "NO"],
          ["Claimed on chain so far", usd(doc.claimed)],
        ),
      ),
      section(
        "Not paid, and why",
        table(
          "Refusals",
          [
            { name: "Name", show: (row) => h("code", {}, row[0]), value: (row) => row[0] },
            { name: "Receipts", show: (row) => count(row[1]), value: (row) => row[1], number: true },
            { name: "Meaning", show: (row) => meaning(row[0]), value: (row) => meaning(row[0]) },
          ],
          doc.refusals,
          "Nothing was refused.",
        ),
      ),
    ),
    h(
      "section",
      { class: "card" },
      h("h2", {}, "Jobs"),
      table(
        "Jobs and prices",
        [
          { name: "Job", show: (row) => h("span", { class: row.job === job ? "marked" : null }, link(`#/economics/${row.job}`, short(row.job))), value: (row) => row.job },
          { name: "Buyer", show: (row) => short(row.buyer), value: (row) => row.buyer },
          { name: "Unit price", show: (row) => usd(row.unit_price), value: (row) => row.unit_price / 1e6, number: true },
          { name: "Paid units", show: (row) => `${count(row.units)} of ${count(row.max_units)}`, value: (row) => row.units, number: true },
          { name: "Open until", show: (row) => time(row.deadline_s), value: (row) => time(row.deadline_s) },
        ],
        [...doc.prices].reverse(),
        "No job yet.",
      ),
    ),
    h(
      "section",
      { class: "card" },
      h("h2", {}, "Epochs"),
      table(
        "Payouts",
        [
          { name: "Epoch", show: (row) => link(`#/audit/${row.epoch}`, String(row.epoch)), value: (row) => row.epoch },
          { name: "Receipts", show: (row) => count(row.receipts), value: (row) => row.receipts, number: true },
          { name: "To nodes", show: (row) => usd(row.shares), value: (row) => row.shares / 1e6, number: true },
          { name: "Fees", show: (row) => usd(row.fees), value: (row) => row.fees / 1e6, number: true },
          { name: "Owed in all", show: (row) => usd(row.total), value: (row) => row.total / 1e6, number: true },
        ],
        [...doc.payouts].reverse(),
        "No epoch yet.",
      ),
    ),
  ];
}
