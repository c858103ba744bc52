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
  await stamp(cache, `${scope}runtime/pyodide.asm.wasm`);
}

/**
 * Put a section that means nothing into a file of WebAssembly. The browser keeps compiled
 * code with the file that it compiled. While the page that has fetched it from the network
 * is open, it would take that page's code for the same bytes, and keep none with these:
 * the second start would compile once more.
 */
async function stamp(cache, url) {
  const reply = await cache.match(url);
  const bytes = await reply.blob();
  const section = Uint8Array.of(0, 5, 4, 107, 101, 112, 116); // custom, 5 bytes: "kept"
  const headers = { "Content-Type": reply.headers.get("Content-Type") };
  const parts = [bytes.slice(0, 8), section, bytes.slice(8)];
  await cache.put(url, new Response(new Blob(parts), { headers }));
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
