// The CPU and the GPU side by side: the same seed, the same samples, the same order.
import { $, count, percent, show, short } from "./dom.mjs";

const EPOCHS = 6;

export class Compare {
  #session;
  /** The networks of a run under way. */
  #made = [];
  #stopped = false;

  constructor(session) {
    this.#session = session;
    $("compare-run").addEventListener("click", () => (this.#busy ? this.stop() : this.run()));
    session.on(["example", "training"], () => this.#offer());
  }

  /** Look for a GPU; without one, say why. */
  async look() {
    const network = await this.#session.loom.NewNetwork(1, 1, 1, 1, 1);
    try {
      await network.call("InitGPU");
      const info = await network.call("GPUInfo");
      const names = [info.vendor, info.architecture, info.device];
      const name = [...new Set(names.filter(Boolean))].join(" ");
      const software = info.type === "software" ? ", played by the processor" : "";
      $("gpu-name").textContent = name + software;
      this.#session.gpu = true;
    } catch (error) {
      $("gpu-name").textContent = `None: ${error.message}`;
    } finally {
      network.free();
    }
    this.#session.tell("training");
  }

  get #busy() {
    return this.#made.length > 0;
  }

  /** End the run under way. */
  stop() {
    this.#stopped = true;
    for (const network of this.#made) network.stop();
  }

  /** Train on both, one after the other. */
  async run() {
    const { loom, example, samples, seed } = this.#session;
    const note = $("compare-note");
    const made = this.#made;
    this.#stopped = false;
    try {
      for (const [place, useGPU] of [["cpu", false], ["gpu", true]]) {
        made.push(await loom.call("page.NewNetwork", example.name, seed));
        this.#offer();
        note.textContent = `Training on the ${place.toUpperCase()}`;
        await this.#train(made.at(-1), place, useGPU, example, samples);
        if (this.#stopped) {
          note.textContent = "Stopped";
          return;
        }
      }
      note.textContent = "Comparing the outputs";
      const inputs = samples.held_out.input;
      const [outputs] = await made[1].ForwardGPU(inputs);
      const same = await made[1].call("page.GreatestDifference", inputs, outputs);
      const apart = await made[0].call("page.GreatestDifference", inputs, outputs);
      note.textContent =
        `Greatest difference of the outputs: ${same.toExponential(1)} with the same weights, ` +
        `${apart.toExponential(1)} after both have trained.`;
    } catch (error) {
      note.textContent = error.message;
    } finally {
      for (const network of made.splice(0)) network.free();
      this.#offer();
    }
  }

  async #train(network, place, useGPU, example, samples) {
    const cells = $(`compare-${place}`).querySelectorAll("td");
    for (const cell of cells) cell.textContent = "–";
    const config = {
      ...example.config,
      Epochs: EPOCHS,
      UseGPU: useGPU,
      ValidationInputs: samples.held_out.input,
      ValidationTargets: samples.held_out.target,
    };
    const { input, target } = samples.train;
    let first = null;
    const onProgress = (event) => {
      if (event.Kind !== "epoch") return;
      first ??= event;
      const row = event.Validation;
      const rest = event.Seconds - first.Seconds;
      if (rest > 0) cells[0].textContent = count((event.Step - first.Step) / rest);
      cells[1].textContent = `${first.Seconds.toFixed(2)} s`;
      cells[2].textContent = short(event.Loss);
      cells[3].textContent = row ? percent(row.Accuracy ?? row.Score / 100) : "–";
      const words = `Training on the ${place.toUpperCase()}, epoch ${event.Epoch} of ${EPOCHS}`;
      if (event.Epoch < EPOCHS) $("compare-note").textContent = words;
    };
    await network.TrainAsync([input, target], config, { onProgress });
  }

  #offer() {
    const { state, samples, gpu } = this.#session;
    $("compare-run").textContent = this.#busy ? "Stop" : "Run both";
    $("compare-run").disabled = !this.#busy && (!gpu || state !== "idle" || !samples);
    show($("compare-note"), Boolean($("compare-note").textContent) || this.#busy);
  }
}
