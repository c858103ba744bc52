// How the network does on held-out samples: deviation, confusion, and the samples.
import { $, count, make, percent, show } from "./dom.mjs";
import { Gallery } from "./gallery.mjs";
import { follow } from "./session.mjs";

/** Shares of a confusion cell from which its ground needs light letters. */
const STRONG = 0.55;

export class Evaluation {
  #session;
  #gallery;

  constructor(session) {
    this.#session = session;
    this.#gallery = new Gallery(session);
    this.refresh = follow(session, ["network", "weights"], (network) => this.#evaluate(network));
    $("gallery-wrong").addEventListener("click", () => this.#openWrong());
  }

  /** Colours have changed. */
  recolour() {
    this.#gallery.draw();
  }

  async #evaluate(network) {
    const { samples, example, trained, state } = this.#session;
    if (state === "training") return;
    const ready = Boolean(samples && (trained || state === "paused"));
    show($("evaluation"), ready);
    show($("evaluate-empty"), !ready);
    $("evaluate-summary").textContent = "";
    if (!ready) return;
    const found = await network.call("page.EvaluateHeldOut", example.name);
    if (network !== this.#session.network) return;
    const { metrics, confusion } = found;
    this.#gallery.take(found);
    this.metrics = metrics;
    const total = count(metrics.total_samples);
    $("evaluate-summary").textContent =
      (confusion ? `${percent(metrics.accuracy)} right, score ` : "Score ") +
      `${metrics.score.toFixed(1)} of 100, on ${total} samples it has not learnt from`;
    // In a sequence every place is judged: the rows are not samples to look at.
    const rows = metrics.total_samples === samples.held_out.input.shape[0];
    show($("gallery-part"), rows);
    this.#buckets(metrics, rows);
    show($("confusion-part"), Boolean(confusion));
    show($("gallery-wrong"), Boolean(confusion));
    if (confusion) {
      this.#confusion(confusion, metrics);
      this.#openWrong();
    } else if (rows) {
      this.#open("Furthest off", this.#worst(), null);
    }
  }

  #worst() {
    const rows = [...this.metrics.results];
    return rows.sort((a, b) => b.deviation - a.deviation).map((row) => row.sample_index);
  }

  #openWrong() {
    const wrong = this.metrics.results.filter((row) => row.actual !== row.expected);
    const indices = wrong.map((row) => row.sample_index);
    this.#open("Misread samples", indices, null, "Not one is misread.");
  }

  #open(title, indices, button, none) {
    for (const pressed of $("evaluation").querySelectorAll("[aria-pressed=true]")) {
      pressed.setAttribute("aria-pressed", "false");
    }
    button?.setAttribute("aria-pressed", "true");
    this.#gallery.open(title, indices, none);
    if (button) $("gallery-title").focus({ preventScroll: true });
  }

  #buckets({ buckets, total_samples: total }, open) {
    const rows = Object.entries(buckets).map(([name, bucket]) => {
      const share = bucket.count / total;
      const fill = make("span", { class: "fill" });
      fill.style.width = percent(share, 2);
      const button = make(
        "button",
        {
          type: "button",
          disabled: !open || bucket.count === 0,
          "aria-pressed": "false",
          onclick: () => this.#open(`Deviation ${name}`, bucket.samples, button),
        },
        make("span", { text: name }),
        make("span", { class: "track" }, fill),
        make("span", { class: "count", text: `${count(bucket.count)} · ${percent(share)}` }),
      );
      return make("li", {}, button);
    });
    $("buckets").replaceChildren(...rows);
  }

  #confusion(matrix, { results }) {
    const { classes: names } = this.#session.samples;
    const [size] = matrix.shape;
    const title = (k) => names[k] ?? String(k);
    const corner = make("td", { class: "corner" });
    const head = make("tr", {}, corner);
    const rows = [];
    for (let k = 0; k < size; k++) {
      head.append(make("th", { scope: "col", text: title(k), title: title(k) }));
      const row = make("tr", {}, make("th", { scope: "row", text: title(k), title: title(k) }));
      const cells = [...matrix.slice(k * size, (k + 1) * size)];
      const sum = cells.reduce((a, b) => a + b, 0);
      cells.forEach((value, j) => row.append(this.#cell(value, value / sum, k, j, title, results)));
      rows.push(row);
    }
    $("confusion").style.minWidth = `${1.8 * (size + 1)}rem`; // a finger's width a cell
    $("confusion").replaceChildren(make("thead", {}, head), make("tbody", {}, ...rows));
  }

  #cell(value, share, right, read, title, results) {
    if (!value) return make("td");
    const kind = right === read ? "right" : "wrong";
    const words = `${value} of ${title(right)} read as ${title(read)}`;
    const button = make("button", {
      type: "button",
      text: count(value),
      "aria-pressed": "false",
      "aria-label": words,
      class: share >= STRONG ? "strong" : "",
      onclick: () => {
        const chosen = results.filter((row) => row.expected === right && row.actual === read);
        const indices = chosen.map((row) => row.sample_index);
        this.#open(`${title(right)} read as ${title(read)}`, indices, button);
      },
    });
    const visible = kind === "wrong" ? Math.max(share, 0.18) : share;
    button.style.setProperty("--share", percent(visible, 0));
    return make("td", { class: kind }, button);
  }
}
