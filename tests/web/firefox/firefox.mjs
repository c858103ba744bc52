// Drives Firefox through WebDriver BiDi: node firefox.mjs ADDRESS FIREFOX -> JSON.
import puppeteer from "puppeteer-core";

const [address, executablePath] = process.argv.slice(2);
const browser = await puppeteer.launch({
  browser: "firefox",
  executablePath,
  headless: true,
  args: ["--no-remote"],
});
try {
  const page = await browser.newPage();
  await page.setViewport({ width: 1100, height: 900 });
  const problems = [];
  const requests = [];
  page.on("console", (message) => {
    if (["error", "warn"].includes(message.type())) problems.push(message.text());
  });
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("request", (request) => requests.push(request.url()));
  await page.goto(`${address}?epochs=12`);
  await page.waitForSelector("html[data-ready]", { timeout: 180_000 });
  const text = (id) => page.$eval(`#${id}`, (element) => element.textContent);
  const until = async (id, wanted) => {
    for (let i = 0; i < 1200; i++) {
      if ((await text(id)).includes(wanted)) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`#${id} says ${await text(id)}, not ${wanted}`);
  };
  await page.click("#start");
  await until("status", "Trained");
  await until("evaluate-summary", "right");
  await (await page.$("#pad")).scrollIntoView();
  const box = await (await page.$("#pad")).boundingBox();
  const at = (x, y) => [box.x + x * box.width, box.y + y * box.height];
  await page.mouse.move(...at(0.3, 0.18));
  await page.mouse.down();
  await page.mouse.move(...at(0.7, 0.18), { steps: 6 });
  await page.mouse.move(...at(0.46, 0.85), { steps: 8 });
  await page.mouse.up();
  await until("verdict", "7");
  // Its second start: what does not fit would be told in the console.
  const kept = await page.evaluate(async () => {
    const { keepOffline } = await import("/offline.mjs");
    return keepOffline();
  });
  const shown = [await text("metric"), await text("verdict")];
  await page.goto(address);
  await page.waitForSelector("html[data-ready]", { timeout: 180_000 });
  const again = await page.evaluate(async () => {
    const { isMissing } = await import("/kept.mjs");
    const network = await loom.NewNetwork(4, 1, 1, 1, 1);
    const [y] = await network.ForwardCPU(new Float32Array(4));
    return { missing: await isMissing(new URL("/", location).href), y: [...y] };
  });
  const webgpu = await page.evaluate(async () => {
    if (!navigator.gpu) return "no navigator.gpu";
    return (await navigator.gpu.requestAdapter()) ? "adapter" : "no adapter";
  });
  const found = {
    problems,
    foreign: requests.filter((url) => !url.startsWith(address) && !url.startsWith("blob:")),
    metric: shown[0],
    verdict: shown[1],
    kept,
    again,
    version: await browser.version(),
    webgpu,
  };
  console.log(JSON.stringify(found));
} finally {
  await browser.close();
}
