// Tables that can be taken away as CSV or JSON.

import { h, type Child } from "./dom";

export interface Column<T> {
  name: string;
  /** What is shown. */
  show: (row: T) => Child;
  /** What is exported; the plain value. */
  value: (row: T) => string | number | null;
  number?: boolean;
}

/** A table with a caption; `rows` are shown up to `most`, exported all. */
export function table<T>(caption: string, columns: Column<T>[], rows: T[], empty: string, most = 50): HTMLElement {
  const head = h("tr", {}, columns.map((column) => h("th", { scope: "col", class: column.number ? "number" : null }, column.name)));
  const body = rows.slice(0, most).map((row) =>
    h("tr", {}, columns.map((column) => h("td", { class: column.number ? "number" : null }, column.show(row)))),
  );
  const save = (kind: "csv" | "json") => () => download(caption, kind, kind === "csv" ? csv(columns, rows) : json(columns, rows));
  return h(
    "figure",
    { class: "table" },
    h(
      "figcaption",
      {},
      h("span", { class: "visually-hidden" }, caption),
      rows.length > most ? h("small", {}, `${most} of ${rows.length}`) : null,
      h(
        "span",
        { class: "export" },
        h("button", { type: "button", class: "quiet", onclick: save("csv"), "aria-label": `Save ${caption} as CSV` }, "CSV"),
        h("button", { type: "button", class: "quiet", onclick: save("json"), "aria-label": `Save ${caption} as JSON` }, "JSON"),
      ),
    ),
    rows.length === 0
      ? h("p", { class: "empty" }, empty)
      : h(
          "div",
          { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
          h("table", { "aria-label": caption }, h("thead", {}, head), h("tbody", {}, body)),
        ),
  );
}

/** RFC 4180; a text that a spreadsheet would run as a formula gets an apostrophe. */
export function csv<T>(columns: Column<T>[], rows: T[]): string {
  const cell = (value: string | number | null): string => {
    if (typeof value === "number") return String(value);
    const text = value ?? "";
    const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const lines = [columns.map((column) => cell(column.name)), ...rows.map((row) => columns.map((column) => cell(column.value(row))))];
  return lines.map((line) => line.join(",")).join("\r\n") + "\r\n";
}

function json<T>(columns: Column<T>[], rows: T[]): string {
  const record = (row: T) => Object.fromEntries(columns.map((column) => [column.name, column.value(row)]));
  return `${JSON.stringify(rows.map(record), null, 1)}\n`;
}

function download(caption: string, kind: string, text: string): void {
  const type = kind === "csv" ? "text/csv" : "application/json";
  const address = URL.createObjectURL(new Blob([text], { type }));
  const name = `proofmesh-${caption.toLowerCase().replace(/[^a-z0-9]+/g, "-")}.${kind}`;
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
