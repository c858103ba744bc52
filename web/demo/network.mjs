// The grid of layers with what flows through them, and the weights of one as pictures.
import { diverging, palette } from "./colour.mjs";
import { $, count, make, short, show } from "./dom.mjs";
import { follow } from "./session.mjs";

export class NetworkView {
  #session;
  #chosen = 0; // index of the layer whose weights are shown
  #rows = [];

  constructor(session) {
    this.#session = session;
    session.on(["example"], () => {
      this.#chosen = 0;
    });
    this.refresh = follow(session, ["network", "weights"], (network) => this.#show(network));
    this.activity = follow(session, ["sample"], (network) => this.#activity(network));
  }

  /** Colours have changed. */
  recolour() {
    this.refresh();
  }

  async #show(network) {
    const rows = await network.call("page.LayerRows");
    if (network !== this.#session.network) return;
    this.#chosen = Math.min(this.#chosen, rows.length - 1);
    if (JSON.stringify(rows) !== JSON.stringify(this.#rows)) this.#grid(rows);
    await this.#activity(network);
    await this.#weights(network);
  }

  #grid(rows) {
    this.#rows = rows;
    const total = rows.reduce((sum, row) => sum + row.parameters, 0);
    $("network-summary").textContent =
      `${count(rows.length)} ${rows.length === 1 ? "layer" : "layers"}, ${count(total)} parameters`;
    const grid = [];
    rows.forEach((row, index) => {
      const [r, c, l] = row.place;
      if (c === 0 && l === 0) grid.push(make("div", { class: "grid-row" }));
      const line = grid.at(-1);
      if (l === 0) line.append(make("div", { class: "cell" }));
      const cell = line.lastChild;
      if (l > 0) cell.append(make("span", { class: "arrow", "aria-hidden": "true", text: "→" }));
      cell.append(this.#layer(row, index, r, c, l));
    });
    $("grid").replaceChildren(...grid);
  }

  #layer(row, index, r, c, l) {
    const kind = row.activation ? `${row.kind} ${row.activation}` : row.kind;
    return make(
      "button",
      {
        type: "button",
        class: "layer",
        "aria-pressed": String(index === this.#chosen),
        title: `Row ${r}, column ${c}, layer ${l}`,
        onclick: () => this.#choose(index),
      },
      make("canvas", { class: "pixels activity", width: 1, height: 1, "aria-hidden": "true" }),
      make("span", { class: "kind", text: kind }),
      make("small", { text: `${row.takes} → ${row.gives}` }),
      make("small", {
        text: row.parameters ? `${count(row.parameters)} parameters` : "no parameters",
      }),
    );
  }

  #choose(index) {
    this.#chosen = index;
    for (const [i, button] of [...$("grid").querySelectorAll(".layer")].entries()) {
      button.setAttribute("aria-pressed", String(i === index));
    }
    this.refresh();
  }

  /** Each layer's outputs for the sample that is looked at. */
  async #activity(network) {
    const { samples } = this.#session;
    const boxes = $("grid").querySelectorAll("canvas.activity");
    for (const box of boxes) show(box, Boolean(samples));
    if (!samples) return;
    const outputs = await network.call("page.LayerActivity", this.#session.one());
    if (network !== this.#session.network) return;
    const colours = palette();
    outputs.forEach(({ values, width, height, bound }, i) => {
      if (boxes[i]) diverging(boxes[i], values, width, height, bound, colours);
    });
  }

  async #weights(network) {
    const { samples } = this.#session;
    const found = await network.call("page.LayerWeights", this.#chosen, samples?.picture ?? null);
    if (network !== this.#session.network) return;
    const row = this.#rows[this.#chosen];
    $("layer-title").textContent = `Weights of ${row.kind} at ${row.place.join(", ")}`;
    $("layer-note").textContent = found.note;
    show($("layer-scale"), found.bound > 0);
    $("scale-low").textContent = short(-found.bound);
    $("scale-high").textContent = short(found.bound);
    const colours = palette();
    const steps = Float32Array.from({ length: 64 }, (_, i) => i / 31.5 - 1);
    diverging($("scale"), steps, 64, 1, 1, colours);
    $("weights").classList.toggle("whole", found.whole);
    $("weights").replaceChildren(
      ...found.pictures.map(({ label, values }) => {
        const [height, width] = values.shape;
        const canvas = make("canvas", { role: "img", "aria-label": label, title: label });
        diverging(canvas, values, width, height, found.bound, colours);
        return make("li", {}, canvas);
      }),
    );
  }
}
