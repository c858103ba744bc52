// The curves of a training run, drawn by uPlot in the page's colours.
import uPlot from "../vendor/uplot/uPlot.esm.js";
import { rgb } from "./colour.mjs";
import { $ } from "./dom.mjs";

const LEAST = { width: 200, height: 200 };
const FONT = "12px system-ui, sans-serif";

const variable = (name) => `rgb(${rgb(name).join(" ")})`;

/** A line chart over epochs, as large as its place. */
export class Chart {
  #place;
  #plot = null;
  #data;
  #series;
  #format; // of the ticks
  #range;

  /**
   * @param {string} id  of its element
   * @param {{label: string, colour: string}[]} series  colour: a class of the caption
   * @param {(value: number) => string} format
   * @param {[number | null, number | null]} [range]
   */
  constructor(id, series, format, range = [0, null]) {
    this.#place = $(id);
    this.#series = series;
    this.#format = format;
    this.#range = range;
    this.clear();
    new ResizeObserver(([entry]) => {
      const { width, height } = entry.contentRect;
      if (width > 0) this.#plot?.setSize({ width: Math.floor(width), height: Math.floor(height) });
    }).observe(this.#place);
  }

  /** Forget every point. */
  clear() {
    this.#data = [[], ...this.#series.map(() => [])];
    this.draw();
  }

  /** Add the values of an epoch, one a series; null where there is none. */
  add(epoch, ...values) {
    this.#data[0].push(epoch);
    values.forEach((value, i) => this.#data[i + 1].push(value));
    this.#plot.setData(this.#data);
  }

  /** Draw anew, e.g. in other colours. */
  draw() {
    this.#plot?.destroy();
    const { clientWidth, clientHeight } = this.#place;
    const width = Math.max(LEAST.width, clientWidth);
    const height = Math.max(LEAST.height, clientHeight);
    this.#plot = new uPlot(this.#options(width, height), this.#data, this.#place);
  }

  #options(width, height) {
    const grid = { stroke: variable("--chart-grid"), width: 1 };
    const axis = { stroke: variable("--chart-ink"), font: FONT, grid, ticks: { show: false } };
    const [low, high] = this.#range;
    return {
      width,
      height,
      legend: { show: false },
      cursor: { y: false, points: { size: 6 } },
      padding: [10, 8, 0, 0],
      scales: {
        x: { time: false, range: (_, least, most) => [0, Math.max(most ?? 1, least + 1, 1)] },
        y: {
          range: (_, least, most) => [
            low ?? least ?? 0,
            high ?? (most > (low ?? 0) ? most * 1.08 : 1),
          ],
        },
      },
      axes: [
        { ...axis, size: 28, gap: 4, space: 44, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000] },
        { ...axis, size: 48, gap: 4, values: (_, ticks) => ticks.map(this.#format) },
      ],
      series: [
        {},
        ...this.#series.map(({ label, colour }) => ({
          label,
          stroke: variable(colour),
          width: 2,
          spanGaps: true,
          points: { show: false },
        })),
      ],
    };
  }
}
