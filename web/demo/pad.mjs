// A pad to draw a sample on, with pointer or keyboard, read by the network as one draws.
import { grey, palette } from "./colour.mjs";
import { $, eachFrame, make, percent, show } from "./dom.mjs";
import { follow } from "./session.mjs";

const SIZE = 448; // of the pad, in its own pixels
const SENT = 56; // of the drawing that Python gets
const CELLS = 16; // of the keyboard's grid
const STROKE = 40;

export class Pad {
  #session;
  #ink; // the drawing: opaque where there is ink
  #empty = true;
  #cell = null; // of the keyboard's cursor
  #sample = null; // index of a held-out sample that is shown instead of a drawing
  #read;

  constructor(session) {
    this.#session = session;
    this.#ink = new OffscreenCanvas(SIZE, SIZE).getContext("2d", { willReadFrequently: true });
    this.#ink.lineCap = this.#ink.lineJoin = "round";
    this.#ink.lineWidth = STROKE;
    this.#listen();
    $("clear").addEventListener("click", () => this.clear());
    $("sample").addEventListener("click", () => this.#another());
    this.#read = follow(session, ["weights", "network"], (network) => this.#ask(network));
    session.on(["example"], () => this.#showExample());
    session.on(["sample"], () => this.#show(session.sample));
  }

  /** Empty the pad. */
  clear() {
    this.#ink.clearRect(0, 0, SIZE, SIZE);
    this.#empty = true;
    this.#sample = null;
    this.redraw();
    this.#read();
  }

  /** Draw the pad anew from its ink, in the page's colours. */
  redraw = eachFrame(() => {
    const pad = $("pad").getContext("2d");
    pad.globalCompositeOperation = "source-over";
    pad.clearRect(0, 0, SIZE, SIZE);
    pad.drawImage(this.#ink.canvas, 0, 0);
    pad.globalCompositeOperation = "source-in";
    pad.fillStyle = getComputedStyle($("pad")).color;
    pad.fillRect(0, 0, SIZE, SIZE);
    pad.globalCompositeOperation = "source-over";
    if (this.#cell && document.activeElement === $("pad")) {
      const side = SIZE / CELLS;
      pad.strokeStyle = getComputedStyle($("pad")).outlineColor;
      pad.lineWidth = 3;
      pad.strokeRect(this.#cell.x * side + 1.5, this.#cell.y * side + 1.5, side - 3, side - 3);
    }
    show($("pad-hint"), this.#empty);
  });

  /** Colours have changed. */
  recolour() {
    this.redraw();
    this.#read();
  }

  #listen() {
    const pad = $("pad");
    let last = null;
    const place = ({ offsetX, offsetY }) => {
      const scale = SIZE / pad.clientWidth;
      return { x: offsetX * scale, y: offsetY * scale };
    };
    pad.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      pad.setPointerCapture(event.pointerId);
      last = place(event);
      this.#line(last, last);
      event.preventDefault();
      pad.focus({ preventScroll: true, focusVisible: false });
    });
    pad.addEventListener("pointermove", (event) => {
      if (!last) return;
      for (const step of event.getCoalescedEvents?.() ?? [event]) {
        const next = place(step);
        this.#line(last, next);
        last = next;
      }
    });
    for (const name of ["pointerup", "pointercancel"]) {
      pad.addEventListener(name, () => {
        last = null;
      });
    }
    pad.addEventListener("keydown", (event) => this.#key(event));
    pad.addEventListener("blur", () => this.redraw());
    pad.addEventListener("focus", () => this.redraw());
  }

  #key(event) {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    this.#cell ??= { x: CELLS / 2, y: CELLS / 2 };
    const cell = this.#cell;
    const side = SIZE / CELLS;
    const middle = ({ x, y }) => ({ x: (x + 0.5) * side, y: (y + 0.5) * side });
    if (event.key in step) {
      const [right, down] = step[event.key];
      const keep = (value) => Math.min(CELLS - 1, Math.max(0, value));
      const before = { ...cell };
      cell.x = keep(cell.x + right);
      cell.y = keep(cell.y + down);
      if (event.shiftKey) this.#line(middle(before), middle(cell)); // Shift draws along
      $("pad-cell").textContent = `Row ${cell.y + 1}, column ${cell.x + 1}`;
    } else if (event.key === " ") {
      this.#line(middle(cell), middle(cell));
      $("pad-cell").textContent = "Painted";
    } else if (event.key === "Delete" || event.key === "Backspace") {
      this.clear();
      $("pad-cell").textContent = "Cleared";
    } else {
      return;
    }
    event.preventDefault();
    this.redraw();
  }

  #line(from, to) {
    if (this.#sample !== null) this.clear();
    this.#ink.beginPath();
    this.#ink.moveTo(from.x, from.y);
    this.#ink.lineTo(to.x, to.y);
    this.#ink.stroke();
    this.#empty = false;
    this.redraw();
    this.#read();
  }

  /** The drawing, paper 0 to ink 1, (SENT, SENT). */
  #pixels() {
    const small = new OffscreenCanvas(SENT, SENT).getContext("2d", { willReadFrequently: true });
    small.imageSmoothingQuality = "high";
    small.drawImage(this.#ink.canvas, 0, 0, SENT, SENT);
    const { data } = small.getImageData(0, 0, SENT, SENT);
    const pixels = Float32Array.from({ length: SENT * SENT }, (_, i) => data[4 * i + 3] / 255);
    pixels.shape = [SENT, SENT];
    return pixels;
  }

  async #ask(network) {
    const { example } = this.#session;
    if (!example?.drawable) return;
    let seen;
    let probabilities = null;
    if (this.#sample !== null) {
      seen = this.#session.one(this.#sample);
      probabilities = await network.call("page.Predict", seen);
    } else {
      const reading = await network.call("page.ReadDrawing", this.#pixels());
      ({ seen, probabilities } = reading);
    }
    this.#tell(seen, probabilities);
  }

  #tell(seen, probabilities) {
    const { samples, trained, state } = this.#session;
    const [height, width] = samples.picture;
    grey($("seen"), seen, width, height, palette());
    $("seen").setAttribute("aria-label", probabilities ? "The prepared image" : "Empty");
    const best = probabilities ? probabilities.indexOf(Math.max(...probabilities)) : -1;
    const knows = trained || state !== "idle";
    if (best < 0) {
      $("verdict").textContent = knows ? "Draw, and it reads along." : "Train it first.";
    } else {
      const right = this.#sample === null ? null : samples.held_out.target[this.#sample];
      let words = `${percent(probabilities[best], 0)} sure`;
      if (right !== null) words += `; it is ${samples.classes[right]}`;
      if (!knows) words = "a guess: train it first";
      $("verdict").replaceChildren(make("b", { text: samples.classes[best] }), words);
    }
    const rows = $("bars").children;
    for (let i = 0; i < rows.length; i++) {
      const share = probabilities?.[i] ?? 0;
      rows[i].classList.toggle("best", i === best);
      rows[i].querySelector(".fill").style.width = percent(share, 2);
      rows[i].querySelector(".value").textContent = probabilities ? percent(share) : "";
    }
  }

  #showExample() {
    const { example, samples } = this.#session;
    for (const part of document.querySelectorAll("[data-drawable]")) {
      show(part, Boolean(example?.drawable));
    }
    if (!example?.drawable) return;
    const rows = samples.classes.map((name) =>
      make(
        "li",
        {},
        make("span", { text: name }),
        make("span", { class: "track" }, make("span", { class: "fill" })),
        make("span", { class: "value" }),
      ),
    );
    $("bars").replaceChildren(...rows);
    if (this.#sample !== null) this.clear();
  }

  #another() {
    const total = this.#session.samples.held_out.input.shape[0];
    this.#session.look(Math.floor(Math.random() * total));
  }

  /** Show a held-out sample on the pad. */
  #show(index) {
    const { example, samples } = this.#session;
    if (!example?.drawable) return;
    const [height, width] = samples.picture;
    const picture = new OffscreenCanvas(width, height);
    const image = new ImageData(width, height);
    for (let i = 0; i < width * height; i++) {
      image.data[4 * i + 3] = 255 * samples.held_out.input[index * width * height + i];
    }
    picture.getContext("2d").putImageData(image, 0, 0);
    this.#ink.clearRect(0, 0, SIZE, SIZE);
    this.#ink.imageSmoothingEnabled = false;
    this.#ink.drawImage(picture, 0, 0, SIZE, SIZE);
    this.#empty = false;
    this.#sample = index;
    this.redraw();
    this.#read();
  }
}
