// Elements. Text goes in as text nodes only: nothing that the network says is ever read as markup.

export type Child = Node | string | number | null | undefined | false | Child[];
type Handler = (event: Event) => void;
type Value = string | number | boolean | null | undefined | Handler;

const SVG = new Set(["svg", "path", "rect", "circle", "g", "polygon", "line"]);

/** An element: `h("a", { href: "#/network", class: "quiet", onclick: go }, "Network")`. */
export function h(tag: string, attributes: Record<string, Value> = {}, ...children: Child[]): HTMLElement {
  const element = (
    SVG.has(tag) ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag)
  ) as HTMLElement;
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked" || name === "disabled") Reflect.set(element, name, value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

function append(parent: Node, children: Child[]): void {
  for (const child of children) {
    if (Array.isArray(child)) append(parent, child);
    else if (child instanceof Node) parent.appendChild(child);
    else if (child !== null && child !== undefined && child !== false) parent.appendChild(document.createTextNode(String(child)));
  }
}

/** Puts new children into an element; the keyboard stays where it was if the same link or button is there again. */
export function fill(parent: Element, ...children: Child[]): void {
  const active = document.activeElement;
  const key = active !== null && parent.contains(active) ? keyOf(active) : null;
  const fresh = document.createDocumentFragment();
  append(fresh, children);
  parent.replaceChildren(fresh);
  if (key === null) return;
  for (const candidate of parent.querySelectorAll<HTMLElement>("a, button, [tabindex]")) {
    if (keyOf(candidate) === key) return candidate.focus({ preventScroll: true });
  }
}

function keyOf(element: Element): string {
  return [element.tagName, element.getAttribute("href"), element.getAttribute("aria-label"), element.textContent].join("\n");
}

/** A short name of something long; the whole is in the title, and can be copied. */
export function short(text: string, head = 8, tail = 6): HTMLElement {
  const cut = text.length > head + tail + 1 ? `${text.slice(0, head)}…${text.slice(-tail)}` : text;
  return h("span", { class: "mono", title: text }, cut);
}

export function link(href: string, ...children: Child[]): HTMLElement {
  return h("a", { href }, ...children);
}

/** A state with its colour; the word says it too. */
export function badge(text: string, tone: "good" | "bad" | "wait" | "plain" = "plain"): HTMLElement {
  return h("span", { class: `badge ${tone}` }, text);
}

export function section(title: string, ...children: Child[]): HTMLElement {
  return h("section", { class: "card" }, h("h2", {}, title), ...children);
}

/** Numbers with their names. */
export function figures(...pairs: [name: string, value: Child, note?: Child][]): HTMLElement {
  return h(
    "dl",
    { class: "figures" },
    pairs.map(([name, value, note]) => h("div", {}, h("dt", {}, name), h("dd", {}, value, note ? h("small", {}, note) : null))),
  );
}

/** Names and values, one a line. */
export function facts(...pairs: [name: string, value: Child][]): HTMLElement {
  return h("dl", { class: "facts" }, pairs.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

/** A place that is read aloud when it changes. */
export function notice(): HTMLElement {
  return h("p", { class: "notice", role: "status", "aria-live": "polite" });
}

/** A picture of a key: five by five cells from its bytes, the same for the same key. */
export function sigil(key: string, size = 28): HTMLElement {
  let seed = 2166136261;
  for (const character of key) seed = Math.imul(seed ^ character.charCodeAt(0), 16777619) >>> 0;
  const next = (): number => {
    seed ^= seed << 13;
    seed ^= seed >>> 17;
    seed ^= seed << 5;
    return (seed >>>= 0);
  };
  const hue = next() % 360;
  const cells: Child[] = [];
  for (let column = 0; column < 3; column++) {
    for (let row = 0; row < 5; row++) {
      if (next() % 100 < 48) continue;
      for (const x of new Set([column, 4 - column])) cells.push(h("rect", { x: x + 0.5, y: row + 0.5, width: 1.02, height: 1.02 }));
    }
  }
  return h(
    "svg",
    { class: "sigil", viewBox: "0 0 6 6", width: size, height: size, "aria-hidden": "true" },
    h("rect", { width: 6, height: 6, rx: 1.2, fill: `hsl(${hue} 45% 50% / 0.18)` }),
    h("g", { fill: `hsl(${hue} 55% 48%)` }, cells),
  );
}
