// Models saved and opened, tables opened; by button, or dropped onto the page.
import { $, make, megabytes, show } from "./dom.mjs";

/** Nothing that belongs here is larger. */
const MOST = 512e6;

export class Files {
  #session;
  #training;

  constructor(session, training) {
    this.#session = session;
    this.#training = training;
    $("save").addEventListener("click", () => this.#guard(() => this.save()));
    $("link").addEventListener("click", () => this.#guard(() => this.#link()));
    $("open").addEventListener("change", async () => {
      const [file] = $("open").files;
      if (file) await this.#guard(() => this.open(file));
      $("open").value = ""; // the same file can be chosen again
    });
    $("target").addEventListener("change", () => this.#guard(() => this.#retarget()));
    session.on(["example"], () => this.#showTarget());
    this.#drops();
  }

  /** Hand the model to the browser as a file. */
  async save() {
    const text = await this.#session.bundle();
    const name = `${(this.#session.example?.name ?? "model").replace(/\.\w+$/, "")}.loom.json`;
    const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    make("a", { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
    return `Saved ${name}, ${megabytes(text.length)}.`;
  }

  /** Open a model, or a table as an example of its own. */
  async open(file) {
    if (this.#session.state !== "idle") throw new Error("Stop the training first.");
    if (file.size > MOST) throw new Error(`${file.name} is ${megabytes(file.size)}: too large.`);
    const text = await file.text();
    if (/\.(csv|tsv|txt)$/i.test(file.name)) return this.#table(text, file.name);
    if (!/^\s*\{/.test(text)) {
      throw new Error(
        `${file.name} is neither a model (.json) nor a table (.csv, .tsv or .txt). ` +
          "Save a sheet as CSV to open it.",
      );
    }
    await this.#session.open(text);
    const { example } = this.#session;
    return `Opened ${file.name}${example ? `, a model for ${example.title}` : ""}.`;
  }

  async #table(text, name, target = null) {
    const row = await this.#session.loom.call("page.ReadCsv", text, name, target);
    await this.#session.refresh();
    this.tables.set(name, { text, choices: row.choices, target: row.target });
    this.#training.menu();
    await this.#training.choose(row.name);
    return `Opened ${name}: learns “${row.target}”.`;
  }

  /** The tables that were opened. @type {Map<string, object>} */
  tables = new Map();

  async #retarget() {
    const { name } = this.#session.example;
    return this.#table(this.tables.get(name).text, name, $("target").value);
  }

  /** The page's address holds its whole state; see address.mjs. */
  async #link() {
    await navigator.clipboard.writeText(location.href);
    const { own, name } = this.#session.example ?? {};
    const rest = own ? `${name} stays here, on this page.` : "";
    return `Copied the link. Whoever opens it has the same settings, seed and points. ${rest}`;
  }

  #showTarget() {
    const table = this.tables.get(this.#session.example?.name);
    show($("target-field"), Boolean(table));
    if (!table) return;
    const options = table.choices.map((text) => make("option", { value: text, text }));
    $("target").replaceChildren(...options);
    $("target").value = table.target;
  }

  #drops() {
    const carries = (event) => event.dataTransfer?.types.includes("Files");
    addEventListener("dragover", (event) => {
      if (!carries(event)) return;
      event.preventDefault();
      show($("drop"));
    });
    addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) show($("drop"), false);
    });
    addEventListener("drop", (event) => {
      if (!carries(event)) return;
      event.preventDefault();
      show($("drop"), false);
      const [file] = event.dataTransfer.files;
      if (file) this.#guard(() => this.open(file));
    });
  }

  async #guard(work) {
    const note = $("file-note");
    note.classList.remove("failed");
    try {
      note.textContent = await work();
    } catch (error) {
      note.textContent = error.message;
      note.classList.add("failed");
    }
  }
}
