// Network: nodes by cell, live receipts, epochs, health.

import type { EpochsDoc, MemberDoc, ReceiptDoc } from "../api";
import { get } from "../client";
import { badge, fill, figures, h, link, section, short, sigil } from "../dom";
import { ago, count, day, said, usd } from "../format";
import type { Page, Shown } from "../main";
import { plot } from "../plot";
import { table } from "../table";
import { statusBadge } from "./parts";

export async function network(page: Page): Promise<Shown> {
  const [sums, cells, chart, receipts, epochs] = [h("div"), h("div"), h("div"), h("div"), h("div")];
  const element = h(
    "div",
    { class: "view" },
    h("div", { class: "title" }, h("h1", {}, "Network"), h("p", {}, "Machines that are paid only for work they can prove.")),
    sums,
    h("div", { class: "columns" }, section("Nodes by cell", h("p", { class: "hint" }, "A cell is all that the market knows of a place; homes are not on any map."), cells), section("Receipts by day of the readings", chart)),
    h("section", { class: "card" }, h("h2", {}, "Live receipts"), receipts),
    h("section", { class: "card" }, h("h2", {}, "Epochs"), epochs),
  );
  const news = async (page: Page) => {
    const [members, newest, closed] = await Promise.all([get<MemberDoc[]>("/v1/nodes"), get<ReceiptDoc[]>("/v1/receipts"), get<EpochsDoc>("/v1/epochs")]);
    fill(sums, summary(page, members));
    fill(cells, byCell(page, members));
    fill(chart, byDay(newest));
    fill(receipts, receiptTable(page, newest));
    fill(epochs, epochTable(closed));
  };
  await news(page);
  return { element, news };
}

function summary(page: Page, members: MemberDoc[]): HTMLElement {
  const { money, epochs, posted } = page.status;
  const active = members.filter((member) => member.node.standing === "active").length;
  const paid = members.reduce((sum, member) => sum + member.paid, 0);
  const refused = members.reduce((sum, member) => sum + member.refused, 0);
  return figures(
    ["Nodes", `${active}`, active === members.length ? "all active" : `of ${members.length} active`],
    ["Receipts paid", count(paid), `${count(refused)} refused`],
    ["Epochs", count(epochs), `${count(posted)} on chain`],
    ["In escrow", usd(money.escrow), "of open jobs"],
    ["Owed to nodes and buyers", usd(money.claims + money.held), money.conserved ? "conserved to the micro-dollar" : "NOT CONSERVED"],
  );
}

function byCell(page: Page, members: MemberDoc[]): HTMLElement {
  if (members.length === 0) return h("p", { class: "empty" }, "No node has joined yet: proofmesh node run ewr --station EWR");
  const cells = new Map<number, MemberDoc[]>();
  for (const member of members) {
    const cell = member.devices[0]?.cell ?? 0;
    cells.set(cell, [...(cells.get(cell) ?? []), member]);
  }
  return h(
    "div",
    { class: "cells" },
    [...cells].map(([cell, inside]) =>
      h(
        "div",
        { class: "cell" },
        h("h3", {}, cell === 0 ? "no device yet" : `cell ${cell}`),
        h("ul", { class: "nodes" }, inside.map((member) => nodeTile(page, member))),
      ),
    ),
  );
}

function nodeTile(page: Page, member: MemberDoc): HTMLElement {
  const { node } = member;
  const tone = node.standing === "active" ? "good" : node.standing === "frozen" ? "wait" : "bad";
  const able = node.capabilities.filter(([, until]) => until > page.status.now_s).length;
  return h(
    "li",
    { class: "node" },
    sigil(node.node, 34),
    h(
      "div",
      {},
      h("div", { class: "row" }, short(node.node), badge(node.standing, tone)),
      h("div", { class: "muted" }, `${count(member.paid)} paid, ${count(member.refused)} refused · ${usd(member.earned)}`),
      h("div", { class: "muted" }, `stake ${usd(node.stake, 0)} · measured for ${able} model${able === 1 ? "" : "s"}${member.last_s === null ? "" : ` · ${ago(member.last_s, page.status.now_s)}`}`),
    ),
  );
}

function byDay(receipts: ReceiptDoc[]): HTMLElement {
  if (receipts.length === 0) return h("p", { class: "empty" }, "No receipts yet.");
  const days = [...new Set(receipts.map((receipt) => receipt.window_start_s))].sort((a, b) => a - b);
  const of = (paid: boolean) => days.map((start) => receipts.filter((receipt) => receipt.window_start_s === start && (receipt.status === "refused") !== paid).length);
  const [paid, refused] = [of(true), of(false)];
  const total = paid.map((value, at) => value + (refused[at] ?? 0));
  const sum = (values: number[]) => values.reduce((a, b) => a + b, 0);
  const label = `Receipts of ${days.length} days from ${day(days[0] ?? 0)} to ${day(days.at(-1) ?? 0)}: ${sum(paid)} paid, ${sum(refused)} refused.`;
  return plot(label, days, [
    { name: "refused", color: "bad-fill", values: total, bars: true },
    { name: "paid", color: "accent", values: paid, bars: true },
  ], { time: true });
}

export function receiptTable(page: Page, receipts: ReceiptDoc[], caption = "Receipts"): HTMLElement {
  return table<ReceiptDoc>(
    caption,
    [
      { name: "Receipt", show: (row) => link(`#/receipt/${row.digest}`, short(row.digest)), value: (row) => row.digest },
      { name: "Day", show: (row) => day(row.window_start_s), value: (row) => day(row.window_start_s) },
      { name: "Node", show: (row) => h("span", { class: "row" }, sigil(row.node, 18), short(row.node, 6, 4)), value: (row) => row.node },
      {
        name: "What it says",
        show: (row) => {
          const { label, frost } = said(row.output, page.classes(modelOf(row)));
          return `${label}${frost === null ? "" : frost ? ", frost" : ", no frost"}`;
        },
        value: (row) => said(row.output, page.classes(modelOf(row))).label,
      },
      { name: "Status", show: (row) => statusBadge(row.status), value: (row) => row.status },
      { name: "Why not paid", show: (row) => (row.reason ? h("code", {}, row.reason.name) : "–"), value: (row) => row.reason?.name ?? "" },
      { name: "Pays", show: (row) => usd(row.share), value: (row) => row.share / 1e6, number: true },
      { name: "Epoch", show: (row) => (row.epoch === null ? "–" : link(`#/audit/${row.epoch}`, String(row.epoch))), value: (row) => row.epoch, number: true },
    ],
    receipts,
    "Nothing was delivered yet.",
    14,
  );
}

/** The model of a receipt, from its bytes: its place in the wire form is fixed. */
export function modelOf(receipt: ReceiptDoc): string {
  return `0x${receipt.wire.slice(2 + 2 * 125, 2 + 2 * 157)}`;
}

function epochTable(closed: EpochsDoc): HTMLElement {
  return table(
    "Epochs",
    [
      { name: "Epoch", show: (row) => link(`#/audit/${row.epoch.number}`, String(row.epoch.number)), value: (row) => row.epoch.number },
      { name: "Receipts", show: (row) => count(row.receipts.length), value: (row) => row.receipts.length, number: true },
      { name: "Owed in all", show: (row) => usd(row.epoch.total), value: (row) => row.epoch.total / 1e6, number: true },
      { name: "Root of receipts", show: (row) => short(row.epoch.receipts_root), value: (row) => row.epoch.receipts_root },
      { name: "Root of balances", show: (row) => short(row.epoch.balances_root), value: (row) => row.epoch.balances_root },
      { name: "Transaction", show: (row) => (row.posted ? short(row.posted.tx) : badge("not posted", "wait")), value: (row) => row.posted?.tx ?? "" },
    ],
    closed.epochs,
    "No epoch is closed yet: proofmesh epoch close",
    8,
  );
}

