// Every method of the running program, found by reflection, to be tried out.
import { $, count, make } from "./dom.mjs";

/** Longer replies are cut: a page of a million characters helps nobody. */
const MOST = 20_000;

export class Explorer {
  #session;
  #methods;
  #offered = "";

  constructor(session) {
    this.#session = session;
    this.#methods = session.loom.methods;
    $("methods-summary").textContent = `${count(this.#methods.length)} methods`;
    $("method-filter").addEventListener("input", () => this.#list());
    $("method").addEventListener("change", () => this.#choose());
    $("call").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#run();
    });
    this.#list();
    session.on(["network"], () => {
      if ($("arguments").value === this.#offered) this.#choose();
    });
  }

  #list() {
    const words = $("method-filter").value.trim().toLowerCase();
    const found = this.#methods.filter(({ method_name: name, doc }) =>
      `${name} ${doc}`.toLowerCase().includes(words),
    );
    const before = $("method").value;
    $("method").replaceChildren(
      ...found.map(({ method_name: name }) => make("option", { value: name, text: name })),
    );
    $("method").value = found.some((row) => row.method_name === before)
      ? before
      : (found[0]?.method_name ?? "");
    this.#choose();
  }

  async #choose() {
    const row = this.#methods.find(({ method_name: name }) => name === $("method").value);
    $("run").disabled = !row;
    if (!row) return;
    $("method-name").textContent = row.method_name;
    const list = row.parameters.map((p) => `${p.name}: ${p.type}${"default" in p ? "?" : ""}`);
    const several = row.returns.length > 1;
    const result = several ? `(${row.returns.join(", ")})` : (row.returns[0] ?? "nothing");
    $("method-signature").textContent = `(${list.join(", ")}) → ${result}`;
    $("method-doc").textContent = row.doc;
    $("reply").textContent = "";
    $("reply").classList.remove("failed");
    $("call-time").textContent = "";
    const needed = row.parameters.filter((parameter) => !("default" in parameter));
    const values = await Promise.all(needed.map((parameter) => this.#example(parameter)));
    if ($("method").value !== row.method_name) return;
    this.#offered = $("arguments").value = JSON.stringify(values);
  }

  /** A value of a parameter's type that does something sensible on this network. */
  async #example({ name, type }) {
    const { samples, sample } = this.#session;
    if (samples && (type === "Batch[]" || type === "float32[]")) {
      const { target } = samples.held_out;
      const size = target.length / samples.held_out.input.shape[0];
      const expected = [...target.slice(sample * size, (sample + 1) * size)];
      const values = [...this.#session.one()];
      if (type === "Batch[]") return [{ Input: [values], Target: expected }];
      return name === "inputs" ? values : expected;
    }
    if (type === "LayerConfig") {
      // The first layer as it is, with new weights.
      const layer = await this.#session.network?.call("GetLayer", 0, 0, 0);
      return Object.fromEntries(
        Object.entries(layer ?? {}).filter(([, value]) => typeof value !== "object"),
      );
    }
    if (type.endsWith("[]")) return [];
    const plain = { int: 0, float: 0.01, bool: false, string: "ForwardCPU", object: {} };
    return plain[type.split("|")[0]] ?? null;
  }

  async #run() {
    const session = this.#session;
    const name = $("method").value;
    $("run").disabled = true;
    const start = performance.now();
    const reply = await session.network[name]($("arguments").value.trim() || "[]");
    const time = performance.now() - start;
    $("run").disabled = false;
    const value = JSON.parse(reply);
    const failed = value?.error !== undefined;
    const text = failed ? value.error : JSON.stringify(value, null, 1);
    const rest = text.length > MOST ? `\n… ${count(text.length)} characters` : "";
    $("reply").textContent = text.slice(0, MOST) + rest;
    $("reply").classList.toggle("failed", failed);
    $("call-time").textContent = `${failed ? "Refused" : "Done"} in ${time.toFixed(1)} ms`;
    if (!failed) session.tell("weights");
  }
}
