// The playground: points in a plane, and how a network divides it while it learns.
import { onGrid, packPoints, toAddress, unpackPoints } from "./address.mjs";
import { palette, shares } from "./colour.mjs";
import { $, count, eachFrame, fill, make, notice, short } from "./dom.mjs";

const CLASSES = 6; // that can be painted
const MOST = 1500; // points
const SIDE = 72; // of the map that Python makes
const SIZE = 640; // of the canvas
const STEP = 1 / 16; // of the keyboard's cursor
/** Control -> its name in the address. */
const KEPT = { "plane-set": "set", "plane-depth": "depth", "plane-units": "units",
  "plane-activation": "f", "plane-rate": "prate", "plane-seed": "pseed" };

export class Playground {
  #loom;
  #network = null;
  #points = { input: new Float32Array(0), target: new Float32Array(0) };
  #own = false; // whether points were painted
  #training = null; // the promise of the run
  #wanted = false; // whether it should be training
  #epochs = 0;
  #map = null;
  #mapping = false;
  #cursor = null;

  constructor(loom) {
    this.#loom = loom;
    $("plane-form").addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#wanted) this.stop();
      else this.start();
    });
    $("plane-reset").addEventListener("click", () => this.#guard(() => this.#renew()));
    $("plane-clear").addEventListener("click", () => this.#guard(() => this.#clear()));
    for (const id of Object.keys(KEPT)) {
      $(id).addEventListener("change", () => this.#guard(() => this.#changed(id)));
    }
    this.#listen();
  }

  /** Take up what the address says. */
  async open(values) {
    const sets = await this.#loom.call("page.PlaneSets");
    const rows = JSON.parse(await this.#loom.ListActivations());
    const plain = rows.filter(({ name }) => name !== "softmax"); // that is for the end
    const options = (list) => list.map(([value, text]) => make("option", { value, text }));
    $("plane-set").replaceChildren(...options(sets.map(({ name, title }) => [name, title])));
    $("plane-activation").replaceChildren(...options(plain.map(({ name }) => [name, name])));
    $("plane-activation").value = "tanh";
    for (let kind = 0; kind < CLASSES; kind++) $("plane-brushes").append(this.#brush(kind));
    for (const [id, key] of Object.entries(KEPT)) fill($(id), values[key]);
    const points = values.points && unpackPoints(values.points, CLASSES);
    if (points) {
      this.#points = points;
      this.#own = true;
    } else await this.#draw();
    await this.#renew();
  }

  /** Colours have changed. */
  recolour() {
    this.#paint();
  }

  /** Train until stop(). */
  start() {
    if (!this.#points.target.length) return;
    this.#wanted = true;
    this.#tell();
    this.#training ??= this.#run().finally(() => {
      this.#training = null;
    });
  }

  /** Stop before the next batch. */
  async stop() {
    this.#wanted = false;
    await this.#network?.stop();
    await this.#training;
    this.#tell();
  }

  async #run() {
    notice($("plane-error"));
    while (this.#wanted) {
      const network = this.#network;
      const input = this.#points.input.slice();
      input.shape = [input.length / 2, 2];
      const before = this.#epochs;
      const config = {
        Epochs: 1_000_000, // until it is stopped
        BatchSize: 16,
        LearningRate: $("plane-rate").valueAsNumber,
        Optimizer: "adam",
        LossType: "softmax_cross_entropy",
      };
      const onProgress = (event) => {
        if (event.Kind !== "epoch" || network !== this.#network) return;
        this.#epochs = before + event.Epoch;
        this.#readings(event.Loss);
        this.#look();
      };
      try {
        await network.TrainAsync([input, this.#points.target.slice()], config, { onProgress });
      } catch (error) {
        if (network === this.#network) {
          this.#wanted = false;
          notice($("plane-error"), error);
        }
      }
    }
    this.#tell();
  }

  /** Let a run under way begin again with what has changed. */
  #again() {
    if (this.#training) this.#network.stop();
  }

  async #changed(id) {
    if (!$("plane-form").reportValidity()) return;
    if (id === "plane-set") {
      this.#own = false;
      await this.#draw();
    }
    if (id === "plane-rate") this.#again();
    else await this.#renew();
    this.#keep();
  }

  async #draw() {
    this.#points = await this.#loom.call(
      "page.PlanePoints", $("plane-set").value, 240, $("plane-seed").valueAsNumber,
    );
  }

  /** A new network with the settings of the form. */
  async #renew() {
    const classes = Math.max(2, ...this.#points.target.map((kind) => kind + 1));
    const before = this.#network;
    this.#network = await this.#loom.call(
      "page.PlaneNetwork",
      $("plane-units").valueAsNumber,
      $("plane-depth").valueAsNumber,
      classes,
      $("plane-activation").value,
      $("plane-seed").valueAsNumber,
    );
    this.kinds = classes;
    this.#epochs = 0;
    before?.free();
    $("plane-epoch").textContent = $("plane-loss").textContent = "–";
    $("plane-count").textContent = count(this.#points.target.length);
    await this.#look();
  }

  async #clear() {
    this.#wanted = false;
    await this.stop();
    this.#points = { input: new Float32Array(0), target: new Float32Array(0) };
    this.#own = true;
    await this.#renew();
    this.#keep();
  }

  /** Ask for the map of the plane; one question at a time. */
  async #look() {
    if (this.#mapping) return;
    this.#mapping = true;
    const network = this.#network;
    try {
      const map = await network.call("page.PlaneMap", SIDE);
      if (network === this.#network) this.#map = map;
    } catch (error) {
      if (network === this.#network) throw error;
    } finally {
      this.#mapping = false;
    }
    if (network === this.#network) this.#paint();
    else await this.#look();
  }

  #paint = eachFrame(() => {
    const canvas = $("plane");
    const context = canvas.getContext("2d");
    const colours = palette();
    if (this.#map) {
      const small = new OffscreenCanvas(SIDE, SIDE);
      shares(small, this.#map, SIDE, SIDE, this.#map.shape[2], colours);
      context.imageSmoothingQuality = "high";
      context.drawImage(small, 0, 0, SIZE, SIZE);
    }
    const { input, target } = this.#points;
    const css = (colour) => `rgb(${colour.join(" ")})`;
    context.lineWidth = 2;
    context.strokeStyle = css(colours.paper);
    for (let i = 0; i < target.length; i++) {
      const [x, y] = [(input[2 * i] + 1) * SIZE / 2, (1 - input[2 * i + 1]) * SIZE / 2];
      context.beginPath();
      context.arc(x, y, 6.5, 0, 2 * Math.PI);
      context.fillStyle = css(colours.classes[target[i]]);
      context.fill();
      context.stroke();
    }
    if (this.#cursor && document.activeElement === canvas) {
      const [x, y] = [(this.#cursor.x + 1) * SIZE / 2, (1 - this.#cursor.y) * SIZE / 2];
      context.strokeStyle = css(colours.ink);
      context.strokeRect(x - 11, y - 11, 22, 22);
    }
  });

  #listen() {
    const canvas = $("plane");
    let down = false;
    const place = ({ offsetX, offsetY }) => ({
      x: (2 * offsetX) / canvas.clientWidth - 1,
      y: 1 - (2 * offsetY) / canvas.clientHeight,
    });
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || event.pointerType === "touch") return;
      down = true;
      canvas.setPointerCapture(event.pointerId);
      this.#add(place(event));
    });
    canvas.addEventListener("click", (event) => {
      if (event.pointerType === "touch") this.#add(place(event));
    });
    let last = 0;
    canvas.addEventListener("pointermove", (event) => {
      if (!down || event.timeStamp - last < 45) return;
      last = event.timeStamp;
      this.#add(place(event));
    });
    for (const name of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(name, () => {
        down = false;
      });
    }
    canvas.addEventListener("keydown", (event) => this.#key(event));
    for (const name of ["focus", "blur"]) canvas.addEventListener(name, () => this.#paint());
  }

  #key(event) {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    this.#cursor ??= { x: 0, y: 0 };
    const cursor = this.#cursor;
    if (event.key in steps) {
      const [right, up] = steps[event.key];
      const keep = (value) => Math.min(1, Math.max(-1, value));
      cursor.x = keep(cursor.x + right * STEP);
      cursor.y = keep(cursor.y + up * STEP);
      $("plane-cell").textContent = `${cursor.x.toFixed(2)}, ${cursor.y.toFixed(2)}`;
    } else if (event.key === " ") {
      this.#add(cursor);
      $("plane-cell").textContent = `Point of class ${this.#kind() + 1} added`;
    } else if (Number(event.key) >= 1 && Number(event.key) <= CLASSES) {
      $(`brush-${event.key}`).checked = true;
      $("plane-cell").textContent = `Class ${event.key}`;
    } else return;
    event.preventDefault();
    this.#paint();
  }

  #kind() {
    return Number($("plane-form").elements.brush.value);
  }

  async #add({ x, y }) {
    const { input, target } = this.#points;
    if (target.length >= MOST || Math.abs(x) > 1 || Math.abs(y) > 1) return;
    this.#own = true;
    const kind = this.#kind();
    this.#points = {
      input: Float32Array.from(onGrid([...input, x, y])), // or a link would learn others
      target: Float32Array.from([...target, kind]),
    };
    $("plane-count").textContent = count(this.#points.target.length);
    this.#paint();
    this.#keep();
    // A class that the network has no output for needs another network.
    if (kind >= this.kinds) await this.#renew();
    else this.#again();
  }

  #brush(kind) {
    const id = `brush-${kind + 1}`;
    const checked = kind === 0;
    const input = make("input", { type: "radio", name: "brush", id, value: kind, checked });
    const dot = make("span", { class: `dot class-${kind + 1}`, "aria-hidden": "true" });
    return make("label", { class: "brush", htmlFor: id, title: `Class ${kind + 1}` }, input, dot,
      make("span", { class: "visually-hidden", text: `Class ${kind + 1}` }));
  }

  #keep = eachFrame(() => {
    const values = Object.entries(KEPT).map(([id, key]) => [key, $(id).value]);
    const { input, target } = this.#points;
    const points = this.#own && target.length ? packPoints(input, target) : null;
    toAddress({ ...Object.fromEntries(values), points });
  });

  #tell() {
    $("plane-start").textContent = this.#wanted ? "Stop" : "Train";
    $("plane-status").textContent = this.#wanted ? "Training" : "";
  }

  #readings = eachFrame((loss) => {
    $("plane-epoch").textContent = count(this.#epochs);
    $("plane-loss").textContent = short(loss);
  });

  async #guard(work) {
    notice($("plane-error"));
    try {
      await work();
    } catch (error) {
      notice($("plane-error"), error);
    }
  }
}
