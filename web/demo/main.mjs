// The page: loads Loom into a worker, then hands a session to each section.
import { keepOffline } from "../offline.mjs";
import { fromAddress, toAddress } from "./address.mjs";
import { Compare } from "./compare.mjs";
import { $, fill, notice, show } from "./dom.mjs";
import { Evaluation } from "./evaluation.mjs";
import { Explorer } from "./explorer.mjs";
import { Files } from "./files.mjs";
import { load } from "./loading.mjs";
import { NetworkView } from "./network.mjs";
import { Pad } from "./pad.mjs";
import { Playground } from "./playground.mjs";
import { Session } from "./session.mjs";
import { startTheme } from "./theme.mjs";
import { Training } from "./training.mjs";
import { startUse } from "./use.mjs";

// What needs no Python is made while it starts.
const session = new Session((error) => notice($("train-error"), error));
const training = new Training(session);
const pad = new Pad(session);
const evaluation = new Evaluation(session);
const view = new NetworkView(session);
const compare = new Compare(session);
new Files(session, training);

const loom = await load();
globalThis.loom = loom;
session.loom = loom;
const looked = compare.look();
const listed = session.refresh();
$("version").textContent = loom.version;
show($("app"));
new Explorer(session);
const playground = new Playground(loom);
startUse();
startTheme(() => {
  for (const chart of [training.accuracy, training.loss]) chart.draw();
  for (const part of [pad, evaluation, view, playground]) part.recolour();
});

await listed;
training.menu();
await open(fromAddress());
show($("loading"), false);
document.documentElement.dataset.ready = ""; // for tests
setTimeout(keepOffline, 1000); // what the page does first comes first

/** Take up what the address says, or the first example. */
async function open({ example, epochs, rate, seed, gpu, run, ...rest }) {
  const known = session.examples.some(({ name }) => name === example);
  $("seed").value = /^\d{1,15}$/.test(seed ?? "") ? seed : "1";
  const opening = playground.open(rest);
  await training.choose(known ? example : session.examples[0].name);
  if (gpu === "1") await looked;
  for (const [id, value] of Object.entries({ epochs, rate })) fill($(id), value);
  $("use-gpu").checked = gpu === "1" && session.gpu;
  await opening;
  $("settings").addEventListener("input", keep);
  session.on(["example", "network"], keep);
  if (run === "1") training.run();
}

function keep() {
  const { example } = session;
  // A table of one's own stays on this page, and so does its name.
  toAddress({ example: example?.own ? null : (example?.name ?? null), ...training.settings });
}
