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
    const total = rows.reduce((sum, row) => sum + row.Parameters, 0);
    $("network-summary").textContent =
      `${count(rows.length)} ${rows.length === 1 ? "layer" : "layers"}, ${count(total)} parameters`;
    const grid = [];
    rows.forEach((row, index) => {
      const [r, c, l] = row.Place;
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
    const kind = row.Activation ? `${row.Kind} ${row.Activation}` : row.Kind;
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
      make("small", { text: `${row.Takes} → ${row.Gives}` }),
      make("small", {
        text: row.Parameters ? `${count(row.Parameters)} parameters` : "no parameters",
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
    const { samples, sample } = this.#session;
    const boxes = $("grid").querySelectorAll("canvas.activity");
    for (const box of boxes) show(box, Boolean(samples));
    if (!samples) return;
    const { Input, Target } = samples.HeldOut;
    const size = Input.length / Target.length;
    const one = Input.slice(sample * size, (sample + 1) * size);
    one.shape = [1, size];
    const outputs = await network.call("page.LayerActivity", one);
    if (network !== this.#session.network) return;
    const colours = palette();
    outputs.forEach(({ Values, Width, Height, Bound }, i) => {
      if (boxes[i]) diverging(boxes[i], Values, Width, Height, Bound, colours);
    });
  }

  async #weights(network) {
    const { example } = this.#session;
    const found = await network.call("page.LayerWeights", this.#chosen, example?.Image ?? null);
    if (network !== this.#session.network) return;
    const row = this.#rows[this.#chosen];
    $("layer-title").textContent = `${row.Kind} at ${row.Place.join(", ")}`;
    $("layer-note").textContent = found.Note;
    show($("layer-scale"), found.Bound > 0);
    $("scale-low").textContent = short(-found.Bound);
    $("scale-high").textContent = short(found.Bound);
    const colours = palette();
    const steps = Float32Array.from({ length: 64 }, (_, i) => i / 31.5 - 1);
    diverging($("scale"), steps, 64, 1, 1, colours);
    $("weights").classList.toggle("whole", found.Whole);
    $("weights").replaceChildren(
      ...found.Pictures.map(({ Label, Values }) => {
        const [height, width] = Values.shape;
        const canvas = make("canvas", { role: "img", "aria-label": Label, title: Label });
        diverging(canvas, Values, width, height, found.Bound, colours);
        return make("li", {}, canvas);
      }),
    );
  }
}
