// Keeps the whole build in the browser: the page starts without a network, and the second
// start fetches nothing. The build puts `const BUILD = {version, files}` before this.
//
// One cache a build. A new build is fetched beside the old one while the page runs, and
// is used from the next start: a page never mixes files of two builds.
"use strict";

const NAME = `loom-${BUILD.version}`;
const scope = new URL("./", self.location).href;
const kept = new Set(BUILD.files.map((file) => new URL(file, scope).href));

async function fill() {
  const cache = await caches.open(NAME);
  // What the page has just fetched comes from the HTTP cache, revalidated.
  await cache.addAll([...kept].map((url) => new Request(url, { cache: "no-cache" })));
  const url = scope + "runtime/pyodide.asm.wasm";
  const reply = await cache.match(url);
  const bytes = new Uint8Array(await reply.arrayBuffer());
  const section = [0, 5, 4, ...new TextEncoder().encode("kept")];
  const body = new Blob([bytes.subarray(0, 8), Uint8Array.from(section), bytes.subarray(8)]);
  const headers = new Headers(reply.headers);
  headers.delete("Content-Encoding");
  headers.delete("Content-Length");
  await cache.put(url, new Response(body, { headers }));
}

async function drop() {
  const names = await caches.keys();
  const old = names.filter((name) => name.startsWith("loom-") && name !== NAME);
  await Promise.all(old.map((name) => caches.delete(name)));
  await self.clients.claim();
}

async function answer(request, url) {
  const cache = await caches.open(NAME);
  return (await cache.match(url)) ?? fetch(request);
}

self.addEventListener("install", (event) => event.waitUntil(fill()));
self.addEventListener("activate", (event) => event.waitUntil(drop()));
self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  url.search = url.hash = "";
  if (url.href === scope) url.pathname += "index.html";
  if (request.method === "GET" && kept.has(url.href)) {
    event.respondWith(answer(request, url.href));
  }
});
