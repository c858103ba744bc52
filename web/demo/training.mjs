// The bench: settings, a run of training and what it tells, live.
import { Chart } from "./charts.mjs";
import { $, count, eachFrame, make, notice, percent, short } from "./dom.mjs";

/** ms between two looks at the weights while training runs. */
const LOOK = 400;

export class Training {
  #session;
  #done = 0; // epochs of earlier runs with these weights
  #seconds = 0;

  constructor(session) {
    this.#session = session;
    const axis = (share) => `${Math.round(100 * share)}%`;
    const heldOut = { label: "Held out", colour: "--indigo" };
    const train = { label: "Training", colour: "--madder" };
    this.accuracy = new Chart("accuracy-chart", [heldOut], axis, [0, 1]);
    this.loss = new Chart("loss-chart", [train, heldOut], (value) => String(+value.toPrecision(3)));
    this.#keys("loss-caption", "Loss", ["train", "Training"], ["held-out", "Held out"]);
    this.#keys("accuracy-caption", "Held-out accuracy");

    $("settings").addEventListener("submit", (event) => {
      event.preventDefault();
      this.run();
    });
    $("example").addEventListener("change", () => this.#guard(() => this.choose()));
    $("seed").addEventListener("change", () => this.#guard(() => this.renew()));
    $("reset").addEventListener("click", () => this.#guard(() => this.renew()));
    $("stop").addEventListener("click", () => session.network.stop());
    $("pause").addEventListener("click", () => this.pause());
    session.on(["example"], () => this.#showExample());
    session.on(["network"], () => this.#forget());
    session.on(["training"], () => this.#showState());
  }

  /** What the address keeps. */
  get settings() {
    const gpu = $("use-gpu").checked ? "1" : null;
    return { epochs: $("epochs").value, rate: $("rate").value, seed: $("seed").value, gpu };
  }

  /** Fill the menu. */
  menu() {
    const options = this.#session.examples.map(({ name, title }) =>
      make("option", { value: name, text: title }),
    );
    $("example").replaceChildren(...options);
    $("example").value = this.#session.example?.name ?? "";
  }

  /** Take up the example of the menu. */
  async choose(name = $("example").value) {
    await this.#session.choose(name, this.#seed());
  }

  /** New weights of the seed in the form. */
  async renew() {
    if (!$("seed").reportValidity()) return;
    await this.#session.renew(this.#seed());
  }

  /** Train for the epochs of the form. */
  async run() {
    const session = this.#session;
    const { network, samples, example } = session;
    if (session.state !== "idle" || !samples) return;
    notice($("train-error"));
    const config = {
      ...example.config,
      Epochs: $("epochs").valueAsNumber,
      LearningRate: $("rate").valueAsNumber,
      UseGPU: $("use-gpu").checked,
      ValidationInputs: samples.held_out.input,
      ValidationTargets: samples.held_out.target,
    };
    const { input, target } = samples.train;
    session.become("training");
    let looked = performance.now();
    let learnt = false;
    const onProgress = (event) => {
      if (network !== session.network) return;
      this.#tell(event);
      learnt ||= event.Step > 0;
      if (event.Kind === "epoch" && performance.now() - looked > LOOK) {
        looked = performance.now();
        session.tell("weights");
      }
    };
    try {
      const result = await network.TrainAsync([input, target], config, { onProgress });
      this.#done += result.Epochs;
      this.#seconds += result.TotalTime / 1e9;
      this.#say(result.Stopped ? "Stopped" : "Trained");
    } catch (error) {
      notice($("train-error"), error);
      this.#say("Failed");
    }
    if (network !== session.network) return;
    session.trained ||= learnt;
    session.become("idle");
    session.tell("weights");
  }

  /** Pause, or go on. */
  pause() {
    const session = this.#session;
    if (session.state === "training") {
      session.network.pause();
      session.become("paused");
      this.#say("Paused");
      session.tell("weights");
    } else if (session.state === "paused") {
      session.network.resume();
      session.become("training");
      this.#say("Training");
    }
  }

  #seed() {
    return $("seed").valueAsNumber || 0;
  }

  async #guard(work) {
    notice($("train-error"));
    try {
      await work();
    } catch (error) {
      notice($("train-error"), error);
    }
  }

  #keys(id, title, ...keys) {
    const items = keys.map(([kind, text]) => make("span", { class: `key ${kind}`, text }));
    $(id).replaceChildren(make("span", { text: title }), ...items);
  }

  /** Give a chart's name, and what it shows, to who does not see it. */
  #describe(text, chart) {
    const name = chart === "loss-chart" ? "Loss" : $("metric-name").textContent;
    $(chart).setAttribute("aria-label", text ? `${name}: ${text}` : name);
  }

  #say(text) {
    $("status").textContent = text;
  }

  #showExample() {
    const { example } = this.#session;
    $("example").value = example?.name ?? "";
    $("about").textContent =
      example?.about ?? "This model fits none of the examples: look at it, run its methods.";
    if (!example) return;
    $("epochs").value = example.config.Epochs;
    $("rate").value = example.config.LearningRate;
    // Standardised values deviate by other shares than those that Evaluate shows.
    const kinds = { loss: "accuracy", score: "score, standardised" };
    const name = `Held-out ${kinds[example.metric] ?? example.metric}`;
    $("metric-name").textContent = name;
    this.#keys("accuracy-caption", name);
  }

  #forget() {
    notice($("train-error"));
    $("seed").value = this.#session.seed;
    this.#done = this.#seconds = 0;
    this.accuracy.clear();
    this.loss.clear();
    for (const chart of ["accuracy-chart", "loss-chart"]) this.#describe("", chart);
    for (const id of ["metric", "loss", "epoch", "time", "speed"]) $(id).textContent = "–";
    this.#say(this.#session.trained ? "Opened" : "Ready");
    this.#session.become("idle");
  }

  #showState() {
    const { state, samples } = this.#session;
    const busy = state !== "idle";
    $("start").disabled = busy || !samples;
    $("reset").disabled = busy || !samples;
    $("pause").disabled = $("stop").disabled = !busy;
    $("pause").textContent = state === "paused" ? "Go on" : "Pause";
    for (const id of ["example", "epochs", "rate", "seed", "target", "open"]) {
      $(id).disabled = busy;
    }
    $("use-gpu").disabled = busy || !this.#session.gpu;
    if (state === "training") this.#say("Training");
  }

  #tell(event) {
    if (event.Kind === "notice") {
      notice($("train-error"), event.Notice);
      return;
    }
    this.#readings(event, this.#done, this.#seconds);
    if (event.Kind !== "epoch") return;
    const epoch = this.#done + event.Epoch;
    const row = event.Validation;
    this.loss.add(epoch, event.Loss, row?.Loss ?? null);
    if (!row) return;
    const metric = row.Accuracy ?? row.Score / 100;
    this.accuracy.add(epoch, metric);
    $("metric").textContent = percent(metric);
    this.#describe(`${percent(metric)} after epoch ${epoch}`, "accuracy-chart");
    this.#describe(`${short(event.Loss)} after epoch ${epoch}`, "loss-chart");
  }

  #readings = eachFrame((event, done, seconds) => {
    $("loss").textContent = short(event.AverageLoss);
    $("epoch").textContent = `${done + event.Epoch} of ${done + event.Epochs}`;
    $("time").textContent = `${(seconds + event.Seconds).toFixed(1)} s`;
    $("speed").textContent = count(event.SamplesPerSecond);
  });
}
