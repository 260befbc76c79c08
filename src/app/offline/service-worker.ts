/**
 * The service worker: the page goes on working without a network. It keeps the site's own files and nothing else: the
 * page and its scripts from the start, the rest (WebAssembly of many megabytes) once it has been used. Hosts that cannot
 * set headers get them from here: those that make the page isolated, and with it threads, and the policy its workers are under.
 */
/// <reference lib="webworker" />
declare const self: ServiceWorkerGlobalScope;
/** Put here by the build: the files kept from the start, what tells one build from another, and the content security policy. */
declare const __KEPT_FILES__: string[];
declare const __BUILD__: string;
declare const __POLICY__: string;

const PREFIX = 'nibble-';
const CACHE = `${PREFIX}${__BUILD__}`;
const PAGE = './index.html';
const HEADERS = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Content-Security-Policy': __POLICY__,
};

self.addEventListener('install', (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(__KEPT_FILES__.map((file) => `./${file}`))));
  void self.skipWaiting();
});

self.addEventListener('activate', (event) => {
  event.waitUntil(Promise.all([dropOthers(), self.clients.claim()]));
});

async function dropOthers(): Promise<void> {
  const names = await caches.keys();
  await Promise.all(
    names.filter((name) => name.startsWith(PREFIX) && name !== CACHE).map((name) => caches.delete(name)),
  );
}

self.addEventListener('fetch', (event) => {
  const { request } = event;
  // Ranges and other origins are none of its business.
  if (request.method !== 'GET' || new URL(request.url).origin !== self.location.origin || request.headers.has('range'))
    return;
  event.respondWith(answer(request).then(withHeaders));
});

async function answer(request: Request): Promise<Response> {
  const cache = await caches.open(CACHE);
  // The page is asked for from the network first, so that a new version is seen; what it consists of has names of its own.
  if (request.mode === 'navigate')
    return fetch(request).catch(async () => (await cache.match(PAGE, { ignoreVary: true })) ?? Response.error());
  // What is kept is the same whoever asks: a script that a worker imports is asked for with an Origin, which servers vary on.
  const known = await cache.match(request, { ignoreVary: true });
  if (known) return known;
  const response = await fetch(request);
  // A full disk costs what is kept, not the answer.
  if (response.status === 200) await cache.put(request, response.clone()).catch(() => undefined);
  return response;
}

function withHeaders(response: Response): Response {
  const missing = Object.entries(HEADERS).filter(([name]) => !response.headers.has(name));
  if (response.type === 'error' || missing.length === 0) return response;
  const headers = new Headers(response.headers);
  for (const [name, value] of missing) headers.set(name, value);
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
}

// Makes this a module for TypeScript, whose names are its own; the build takes it away.
export {};
