// The shell: navigation, theme, news, and which view is shown. Addresses are `#/view/what`.

import "./style.css";
import type { ModelDoc, StatusDoc } from "./api";
import { get, key, listen, Refused, takeKeyFromAddress } from "./client";
import { fill, h } from "./dom";
import { count, time } from "./format";
import { redraw } from "./plot";
import { audit } from "./views/audit";
import { buy } from "./views/buy";
import { economics } from "./views/economics";
import { models } from "./views/models";
import { network } from "./views/network";
import { operate } from "./views/operate";
import { receipt } from "./views/receipt";

/** What every view is given. */
export interface Page {
  status: StatusDoc;
  models: ModelDoc[];
  /** Names of a model's classes. */
  classes: (model: string) => string[];
}

/** A view on the page: `news` runs when something happened. */
export interface Shown {
  element: HTMLElement;
  news?: (page: Page) => Promise<void> | void;
}

type View = (page: Page, what: string) => Promise<Shown>;

const VIEWS: [path: string, name: string, view: View, own?: boolean][] = [
  ["network", "Network", network],
  ["receipt", "Receipt", receipt],
  ["models", "Models", models],
  ["operate", "Operate", operate, true],
  ["buy", "Buy", buy, true],
  ["audit", "Audit", audit],
  ["economics", "Economics", economics],
];

takeKeyFromAddress();
const body = document.querySelector("#page") as HTMLElement;
const main = h("main", { id: "main", tabindex: "-1" });
const nav = h("nav", { "aria-label": "Views" });
const clock = h("span", { class: "clock", role: "status", "aria-live": "off" }, "connecting…");
const pulse = h("span", { class: "pulse", "aria-hidden": "true" });
let shown: Shown | null = null;
let turn = 0;

function theme(choice: string | null): void {
  if (choice === null) document.documentElement.removeAttribute("data-theme");
  else document.documentElement.setAttribute("data-theme", choice);
  requestAnimationFrame(redraw);
}

function toggle(): void {
  const dark = getComputedStyle(document.documentElement).colorScheme === "dark";
  const choice = dark ? "light" : "dark";
  localStorage.setItem("proofmesh.theme", choice);
  theme(choice);
}

theme(localStorage.getItem("proofmesh.theme"));
body.append(
  h("a", { class: "skip", href: "#main", onclick: (event: Event) => (event.preventDefault(), main.focus()) }, "Skip to the content"),
  h(
    "header",
    {},
    h("a", { class: "brand", href: "#/network" }, h("img", { src: "./icon.svg", alt: "", width: 24, height: 24 }), "Proofmesh"),
    nav,
    h("div", { class: "state" }, pulse, clock, h("button", { type: "button", class: "quiet", onclick: toggle, "aria-label": "Light or dark" }, "◐")),
  ),
  main,
);

let cards: ModelDoc[] = [];
async function page(): Promise<Page> {
  const status = await get<StatusDoc>("/v1/status");
  const known = status.models.length === cards.length && status.models.every((id) => cards.some((card) => card.id === id));
  if (!known) cards = await get<ModelDoc[]>("/v1/models");
  return { status, models: cards, classes: (model) => cards.find((card) => card.id === model)?.classes ?? [] };
}

function address(): [path: string, what: string] {
  const [, path = "", ...rest] = location.hash.split("/");
  return [path, decodeURIComponent(rest.join("/"))];
}

function problem(error: unknown): HTMLElement {
  const fault = error instanceof Refused ? error.fault : { name: "page.trouble", expected: "this view", got: String(error) };
  return h(
    "section",
    { class: "card trouble", role: "alert" },
    h("h1", {}, fault.name),
    h("p", {}, `Expected ${fault.expected}; got ${fault.got}.`),
    h("p", {}, h("a", { href: "#/network" }, "To the network")),
  );
}

async function show(): Promise<void> {
  const mine = ++turn;
  const [path, what] = address();
  const row = VIEWS.find(([candidate]) => candidate === path) ?? VIEWS[0];
  if (!row) return;
  fill(
    nav,
    VIEWS.map(([view, name, , own]) =>
      h("a", { href: `#/${view}`, "aria-current": view === row[0] ? "page" : null }, name, own && key() === null ? h("span", { class: "lock", title: "needs the owner's key" }, " ⚿") : null),
    ),
  );
  document.title = `${row[1]} · Proofmesh`;
  let next: Shown;
  try {
    next = await row[2](await page(), what);
  } catch (error) {
    next = { element: problem(error) };
  }
  if (mine !== turn) return;
  shown = next;
  main.replaceChildren(next.element);
  main.dataset.view = row[0];
}

addEventListener("hashchange", () => {
  void show().then(() => {
    main.focus({ preventScroll: true });
    scrollTo(0, 0);
  });
});
let width = innerWidth;
addEventListener("resize", () => {
  if (innerWidth !== width) requestAnimationFrame(redraw);
  width = innerWidth;
});
addEventListener("proofmesh:again", () => void show());

let telling = false;
let more = false;
async function tell(): Promise<void> {
  if (telling) {
    more = true;
    return;
  }
  telling = true;
  try {
    do {
      more = false;
      const mine = turn;
      const current = shown;
      if (current?.news) {
        const fresh = await page();
        if (mine === turn) await current.news(fresh);
      }
    } while (more);
  } catch {
    pulse.classList.add("gone"); // the next news tries again
  } finally {
    telling = false;
  }
}

await show();
let seen = -1;
listen(
  (news) => {
    fill(clock, `${time(news.now_s)} · ${count(news.events)} events`);
    pulse.classList.remove("gone");
    if (seen !== -1) {
      pulse.classList.remove("beat");
      requestAnimationFrame(() => pulse.classList.add("beat"));
      void tell();
    }
    seen = news.events;
  },
  (gone) => {
    pulse.classList.toggle("gone", gone);
    if (gone) fill(clock, "the node does not answer; trying again");
  },
);
