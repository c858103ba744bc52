// What the page works on: one example, its samples, one network. The sections listen.
//
//     "example"   another example was chosen; its samples are there
//     "network"   another network, or new weights
//     "weights"   the weights have changed: training goes on, or has ended
//     "training"  training began, paused, went on or ended
//     "sample"    a held-out sample is to be looked at

export class Session extends EventTarget {
  /** Decides the weights and which samples are held out. */
  seed = 1;
  /** A row of page.Catalog; null for a model that fits no example. */
  example = null;
  /** What page.Samples gives for it. */
  samples = null;
  network = null;
  /** Whether there is a GPU that can be trained on. */
  gpu = false;
  /** "idle", "training" or "paused". */
  state = "idle";
  /** Index of the held-out sample that is looked at. */
  sample = 0;
  /** Whether the network has learnt anything that could be evaluated. */
  trained = false;

  /** The API, in a worker, once it is loaded. */
  loom = null;

  /** @param {(error: Error) => void} failed  shows what a section could not do */
  constructor(failed) {
    super();
    this.failed = failed;
  }

  /** Read the menu. */
  async refresh() {
    this.examples = await this.loom.call("page.Catalog");
    return this.examples;
  }

  /** Take up an example, with the weights of a seed. */
  async choose(name, seed) {
    const samples = await this.loom.call("page.Samples", name, seed);
    const network = await this.loom.call("page.NewNetwork", name, seed);
    this.seed = seed;
    this.#take(name, samples, network, false);
  }

  /** The same example with the weights, and the samples held out, of a seed. */
  async renew(seed) {
    if (this.example) await this.choose(this.example.name, seed);
  }

  /** Open a bundle's text; an error leaves everything as it was. */
  async open(text) {
    const { network, example: name, seed } = await this.loom.call("page.OpenModel", text);
    const samples = name ? await this.loom.call("page.Samples", name, seed) : null;
    this.seed = seed;
    this.#take(name, samples, network, true);
  }

  /** The bundle of the network, as text. */
  bundle() {
    return this.network.call("page.Save", this.example?.name ?? "");
  }

  /** A held-out sample as it goes into the network, (1, ...). */
  one(index = this.sample) {
    const { input } = this.samples.held_out;
    const [rows, ...shape] = input.shape;
    const size = input.length / rows;
    const values = input.slice(index * size, (index + 1) * size);
    values.shape = [1, ...shape];
    return values;
  }

  /** Look at a held-out sample: on the pad, and through every layer. */
  look(index) {
    this.sample = index;
    this.tell("sample");
  }

  /** Tell the sections. */
  tell(what) {
    this.dispatchEvent(new Event(what));
  }

  /** Go to another state of training. */
  become(state) {
    this.state = state;
    this.tell("training");
  }

  /** Call `listener` at each of these events, one call at a time. */
  on(names, listener) {
    for (const name of names) this.addEventListener(name, listener);
  }

  #take(name, samples, network, trained) {
    const before = this.example;
    this.example = this.examples.find((row) => row.name === name) ?? null;
    this.samples = samples;
    this.sample = 0;
    if (this.example !== before || !name) this.tell("example");
    this.#adopt(network, trained);
  }

  #adopt(network, trained) {
    this.network?.free();
    this.network = network;
    this.trained = trained;
    globalThis.network = network;
    this.tell("network");
  }
}

/**
 * Run `work(network)` at each of these events: one run at a time, and once more if
 * something happened meanwhile. What fails because the network was replaced is no error;
 * any other failure is shown.
 */
export function follow(session, events, work) {
  let running = false;
  let again = false;
  const run = async () => {
    again = true;
    if (running) return;
    running = true;
    try {
      while (again) {
        again = false;
        const network = session.network;
        if (!network) break;
        try {
          await work(network);
        } catch (error) {
          if (network === session.network) session.failed(error);
        }
      }
    } finally {
      running = false;
    }
  };
  session.on(events, run);
  return run;
}
