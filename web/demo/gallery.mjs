// Samples to look at: images as images, rows of a table as their values.
import { grey, palette } from "./colour.mjs";
import { $, count, make, percent, short } from "./dom.mjs";

const MOST = 60;

export class Gallery {
  #session;
  #results = [];
  #confidence = null;
  #shown = { title: "", indices: [], none: "" };

  constructor(session) {
    this.#session = session;
  }

  /** Keep an evaluation's results. */
  take({ metrics, confidence }) {
    this.#results = metrics.results;
    this.#confidence = confidence;
  }

  /** Show samples by index. */
  open(title, indices, none = "No samples.") {
    this.#shown = { title, indices, none };
    this.draw();
  }

  /** Draw anew. */
  draw() {
    const { title, indices, none } = this.#shown;
    const shown = indices.slice(0, MOST);
    $("gallery-title").textContent = `${title} (${count(indices.length)})`;
    const colours = palette();
    $("gallery").replaceChildren(...shown.map((index) => this.#item(index, colours)));
    let note = "";
    if (!indices.length) note = none;
    else if (indices.length > shown.length) note = `The first ${MOST} are shown.`;
    $("gallery-note").textContent = note;
  }

  #item(index, colours) {
    const { samples } = this.#session;
    const row = this.#results[index];
    const classes = this.#confidence !== null;
    const title = (value) => (classes ? (samples.classes[value] ?? "?") : short(value));
    const wrong = classes && row.actual !== row.expected;
    const right = classes && !wrong ? "" : `, is ${title(row.expected)}`;
    const words = title(row.actual) + right;
    const sure = this.#confidence && `${percent(this.#confidence[index], 0)} sure`;
    const far = !classes && `${short(row.deviation)}% off`;
    const button = make(
      "button",
      { type: "button", onclick: () => this.#session.look(index), title: `Sample ${index}` },
      this.#picture(index, colours),
      make("span", { class: wrong ? "wrong" : "", text: `Read ${words}` }),
      make("small", { text: sure || far || "" }),
    );
    return make("li", {}, button);
  }

  #picture(index, colours) {
    const { picture, columns, held_out: { plain } } = this.#session.samples;
    const size = plain.length / plain.shape[0];
    const values = plain.subarray(index * size, (index + 1) * size);
    if (picture) {
      const [height, width] = picture;
      const canvas = make("canvas", { class: "pixels", "aria-hidden": "true" });
      canvas.style.setProperty("--aspect", `${width} / ${height}`);
      grey(canvas, values, width, height, colours);
      return canvas;
    }
    const shown = columns.slice(0, 4).map((name, i) => `${name} ${short(values[i])}`);
    return make("small", { text: shown.join(", ") });
  }
}
