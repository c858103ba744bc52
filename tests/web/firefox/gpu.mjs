// Runs scripts on Firefox's GPU through WebDriver BiDi: node gpu.mjs ADDRESS FIREFOX, a JSON
// list of {script, argument} as standard input -> JSON {adapter, version, results}.
import { text } from "node:stream/consumers";
import puppeteer from "puppeteer-core";

const [address, executablePath] = process.argv.slice(2);
const scripts = JSON.parse(await text(process.stdin));
const browser = await puppeteer.launch({
  browser: "firefox",
  executablePath,
  headless: true,
  args: ["--no-remote"],
  // Off in this build, and refused for adapters that are played by a processor.
  extraPrefsFirefox: { "dom.webgpu.enabled": true, "gfx.webgpu.ignore-blocklist": true },
});
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(180_000);
  await page.goto(`${address}loom.d.mts`); // any text of this origin
  const run = (script, argument) =>
    page.evaluate(`(async (argument) => { ${script} })(${JSON.stringify(argument)})`);
  const adapter = await run("return Boolean(await navigator.gpu?.requestAdapter());");
  const results = [];
  if (adapter) {
    await run(`window.loom = await (await import("/loom.mjs")).loadLoom();`);
    for (const { script, argument } of scripts) {
      results.push(await run(script, argument ?? null));
    }
  }
  console.log(JSON.stringify({ adapter, version: await browser.version(), results }));
} finally {
  await browser.close();
}
