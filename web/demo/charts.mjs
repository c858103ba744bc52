// The curves of a training run, drawn by uPlot in the page's colours.
import uPlot from "../vendor/uplot/uPlot.esm.js";
import { $, short } from "./dom.mjs";

const HEIGHT = 200;
const FONT = "12px system-ui, sans-serif";

const variable = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);

/** A line chart over epochs, as wide as its place. */
export class Chart {
  #place;
  #plot = null;
  #data;
  #series;
  #format;
  #range;

  /**
   * @param {string} id  of its element
   * @param {{label: string, colour: string}[]} series  colour: a class of the caption
   * @param {(value: number) => string} [format]
   * @param {[number | null, number | null]} [range]
   */
  constructor(id, series, format = short, range = [0, null]) {
    this.#place = $(id);
    this.#series = series;
    this.#format = format;
    this.#range = range;
    this.clear();
    new ResizeObserver(([entry]) => {
      const width = Math.floor(entry.contentRect.width);
      if (width > 0) this.#plot?.setSize({ width, height: HEIGHT });
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
    const width = Math.max(200, Math.floor(this.#place.clientWidth));
    this.#plot = new uPlot(this.#options(width), this.#data, this.#place);
  }

  #options(width) {
    const grid = { stroke: variable("--chart-grid"), width: 1 };
    const axis = { stroke: variable("--chart-ink"), font: FONT, grid, ticks: { show: false } };
    const [low, high] = this.#range;
    return {
      width,
      height: HEIGHT,
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
