// Posts what kernel_host.mjs finds in this browser, or why it failed.
import { check } from "./kernel_host.mjs";

let result;
try {
  const checks = await (await fetch("kernel_checks.py")).text();
  result = await check(new URL("/runtime/", location).href, checks);
} catch (error) {
  result = JSON.stringify({ error: `${error}` });
}
await fetch("/result", { method: "POST", body: result });
