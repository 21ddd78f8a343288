// Plots: uPlot in the page's colours. Beside each is a sentence that says what it shows.

import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { h } from "./dom";

export interface Series {
  name: string;
  /** Name of a colour of style.css, without the dashes. */
  color: string;
  values: (number | null)[];
  bars?: boolean;
}

const shown = new Set<{ plot: uPlot; box: HTMLElement; again: () => void }>();

function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** A plot of series over a common axis. `label` says it in words. */
export function plot(label: string, xs: number[], series: Series[], options: { time?: boolean; unit?: string; names?: string[] } = {}): HTMLElement {
  const box = h("div", { class: "plot" });
  const figure = h("figure", { class: "plot-frame", role: "img", "aria-label": label }, box);
  const key = h("ul", { class: "legend", "aria-hidden": "true" }, series.map((one) => h("li", {}, h("i", { class: `swatch ${one.color}` }), one.name)));
  const draw = () => {
    if (!box.isConnected || box.clientWidth === 0) return;
    box.replaceChildren();
    const axis = { stroke: colour("muted"), grid: { stroke: colour("line"), width: 1 }, ticks: { show: false }, font: "11px system-ui" };
    const bars = uPlot.paths.bars?.({ size: [0.62, 40] });
    const made = new uPlot(
      {
        width: box.clientWidth,
        height: 180,
        padding: [8, 12, 0, 0],
        cursor: { y: false, points: { size: 6 } },
        legend: { show: false },
        scales: {
          x: { time: options.time ?? false, range: (_, low, high) => (options.time ? [low - 43200, high + 43200] : [low - 0.6, high + 0.6]) },
          y: { range: (_, low, high) => [Math.min(0, low), high > 0 ? high * 1.12 : 1] },
        },
        axes: [
          {
            ...axis,
            size: 26,
            ...(options.names ? { values: (_: uPlot, at: number[]) => at.map((value) => options.names?.[value] ?? "") } : {}),
            ...(options.time ? { values: (_: uPlot, at: number[]) => at.map((value) => new Date(value * 1000).toISOString().slice(5, 10)) } : { incrs: [1, 2, 5, 10, 20, 50] }),
          },
          { ...axis, size: 56, values: (_: uPlot, at: number[]) => at.map((value) => `${value.toLocaleString("en-US")}${options.unit ?? ""}`) },
        ],
        series: [
          {},
          ...series.map((one) => ({
            label: one.name,
            stroke: colour(one.color),
            width: one.bars ? 0 : 2,
            fill: one.bars ? colour(one.color) : undefined,
            points: { show: !one.bars && xs.length < 2 },
            ...(one.bars && bars ? { paths: bars } : {}),
          })),
        ],
      },
      [xs, ...series.map((one) => one.values)] as uPlot.AlignedData,
      box,
    );
    entry.plot.destroy?.();
    entry.plot = made;
  };
  const entry = { plot: { destroy() {} } as unknown as uPlot, box, again: draw };
  shown.add(entry);
  requestAnimationFrame(draw);
  figure.append(key);
  return figure;
}

/** Draws all plots again: another width, other colours. Plots that are gone are forgotten. */
export function redraw(): void {
  for (const entry of shown) {
    if (entry.box.isConnected) entry.again();
    else shown.delete(entry);
  }
}
