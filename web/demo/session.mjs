// What the page works on: one example, its samples, one network. The sections listen.
//
//     "example"   another example was chosen; its samples are there
//     "network"   another network, or new weights
//     "weights"   the weights have changed: training goes on, or has ended
//     "training"  training began, paused, went on or ended
//     "sample"    a held-out sample is to be looked at

export class Session extends EventTarget {
  /** A row of page.Examples. */
  example = null;
  /** {Train, HeldOut}, each {Input, Target}; null for a model that fits no example. */
  samples = null;
  network = null;
  /** "idle", "training" or "paused". */
  state = "idle";
  /** Index of the held-out sample that is looked at. */
  sample = 0;
  /** Whether the network has learnt anything that could be evaluated. */
  trained = false;

  /** @param {object} loom  the API, in a worker */
  constructor(loom) {
    super();
    this.loom = loom;
  }

  /** Read the menu. */
  async refresh() {
    this.examples = await this.loom.call("page.Examples");
    return this.examples;
  }

  /** Take up an example, with the weights of a seed. */
  async choose(name, seed) {
    const samples = await this.loom.call("page.DataOf", name);
    const network = await this.loom.call("page.NewNetwork", name, seed);
    this.#take(name, samples, network, false);
  }

  /** The same network with the initial weights of a seed. */
  async renew(seed) {
    if (!this.example) return;
    this.#adopt(await this.loom.call("page.NewNetwork", this.example.Name, seed), false);
  }

  /** Open a bundle's text; an error leaves everything as it was. */
  async open(text) {
    const { Network: network, Example: name } = await this.loom.call("page.OpenModel", text);
    const samples = name ? await this.loom.call("page.DataOf", name) : null;
    this.#take(name, samples, network, true);
  }

  /** The bundle of the network, as text. */
  bundle() {
    return this.network.call("page.Save", this.example?.Name ?? "");
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
    this.example = this.examples.find((row) => row.Name === name) ?? null;
    this.samples = samples;
    this.sample = 0;
    this.tell("example");
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
 * something happened meanwhile. What fails because the network was replaced is no error.
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
          if (network === session.network) throw error;
        }
      }
    } finally {
      running = false;
    }
  };
  session.on(events, run);
  return run;
}
