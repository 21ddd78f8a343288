// Models: what each is for, how good, how quantised, what a proof costs, what it is bound by.

import type { ModelDoc } from "../api";
import { get } from "../client";
import { facts, fill, figures, h, link, section, short } from "../dom";
import { bytes, count, percent } from "../format";
import type { Page, Shown } from "../main";
import { plot } from "../plot";
import { table } from "../table";

export async function models(_: Page, id: string): Promise<Shown> {
  const inside = h("div", { class: "stack" });
  const news = async () => {
    const all = await get<ModelDoc[]>("/v1/models");
    fill(inside, cards(id === "" ? all : all.filter((card) => card.id === id)));
  };
  await news();
  const element = h(
    "div",
    { class: "view" },
    h("div", { class: "title" }, h("h1", {}, "Models"), h("p", {}, "Integer programs. A proof shows that exactly this one ran, weights included.")),
    id === "" ? null : h("p", {}, link("#/models", "All models")),
    inside,
  );
  return { element, news };
}

function cards(shown: ModelDoc[]): HTMLElement[] {
  if (shown.length === 0) return [h("section", { class: "card" }, h("p", { class: "empty" }, "No model of this market has this id."))];
  return shown.map((card) => (shown.length === 1 ? whole(card) : brief(card)));
}

function brief(card: ModelDoc): HTMLElement {
  return section(card.name, sums(card), h("p", {}, link(`#/models/${card.id}`, "Layers, bits, commitments")));
}

function sums(card: ModelDoc): HTMLElement {
  return figures(
    ["Task", card.task, card.classes.join(", ") || "numbers"],
    ["Agrees with the float model", percent(card.calibration_agreement), `on ${count(card.calibration_rows)} calibration rows`],
    ["Size", count(card.parameters), `${count(card.multiply_adds)} multiply-adds`],
    ["Proof, forecast", `${Math.round(card.prove_ms)} ms`, `${bytes(card.proof_bytes)}, ${bytes(card.peak_bytes)} of memory`],
    ["Soundness, proven", `${card.soundness_bits.toFixed(1)} bits`, "every error term summed"],
  );
}

function whole(card: ModelDoc): HTMLElement {
  const total = card.said.reduce((a, b) => a + b, 0);
  const words = card.classes.map((name, at) => `${name} ${card.said[at] ?? 0}`).join(", ");
  return h(
    "div",
    { class: "stack" },
    section(card.name, sums(card)),
    h(
      "div",
      { class: "columns" },
      section(
        "Commitments",
        facts(
          ["Model id", h("span", { class: "mono wrap" }, card.id)],
          ["Bound by every proof", "operators, weights, scales, outputs"],
          ["ONNX source", h("span", {}, card.source_file, " ", short(card.source_hash))],
          ["Input", `${card.input_shape.join(" × ")}: ${count(card.private_words)} words private, ${count(card.public_words)} public`],
          ["Output", `${card.output_words} words, all public`],
          ["Operators", card.operators.map(([name, times]) => `${name} × ${times}`).join(", ")],
        ),
        card.notes.length > 0 ? h("ul", { class: "notes" }, card.notes.map((note) => h("li", {}, note))) : null,
      ),
      section(
        "What it said so far",
        total === 0
          ? h("p", { class: "empty" }, "Nothing yet.")
          : plot(`Answers of the model in ${total} receipts: ${words}.`, card.said.map((_, at) => at), [{ name: "receipts", color: "accent", values: card.said, bars: true }], { names: card.classes }),
        h("p", { class: "hint" }, `${count(card.jobs)} jobs asked for it.`),
      ),
    ),
    h(
      "section",
      { class: "card" },
      h("h2", {}, "Quantisation"),
      h("p", { class: "hint" }, `Root mean square error of the integer program, over the output’s deviation: ${percent(card.calibration_error, 2)}. Bits are what the calibration set uses of a tensor; clipped is the share of its values cut off at the ends.`),
      table(
        "Tensors",
        [
          { name: "Tensor", show: (row) => row.name, value: (row) => row.name },
          { name: "Shape", show: (row) => row.shape.join(" × "), value: (row) => row.shape.join("x") },
          { name: "Bits used", show: (row) => row.bits.toFixed(1), value: (row) => row.bits, number: true },
          { name: "Weight bits", show: (row) => (row.weight_bits === 0 ? "–" : row.weight_bits), value: (row) => row.weight_bits, number: true },
          { name: "Clipped", show: (row) => percent(row.clipped, 2), value: (row) => row.clipped, number: true },
        ],
        card.tensors,
        "No tensor.",
      ),
    ),
  );
}
