/**
 * The service worker: the page goes on working without a network. It keeps the site's own files and nothing else: the
 * page itself from the start, the rest (WebAssembly of many megabytes) once it has been used. Hosts that cannot set
 * headers get those that make the page isolated, and with it threads, from here.
 */
/// <reference lib="webworker" />
import { cleanupOutdatedCaches, matchPrecache, precache } from 'workbox-precaching';

declare const self: ServiceWorkerGlobalScope;

/** Put here by the build. */
const MANIFEST = self.__WB_MANIFEST as { url: string; revision: string | null }[];
const KEPT_PREFIX = 'nibble-used-';
/** One for each build: the page's own revision names it. */
const KEPT = `${KEPT_PREFIX}${MANIFEST.find(({ url }) => url === 'index.html')?.revision ?? ''}`;
const ISOLATION = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp', 'Cross-Origin-Resource-Policy': 'same-origin' };

precache(MANIFEST);
cleanupOutdatedCaches();
self.addEventListener('install', () => { void self.skipWaiting(); });
self.addEventListener('activate', (event) => { event.waitUntil(Promise.all([dropOld(), self.clients.claim()])); });

self.addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  // Blob and data addresses, ranges and other origins are none of its business.
  if (request.method !== 'GET' || url.origin !== self.location.origin || request.headers.has('range')) return;
  event.respondWith(answer(request).then(isolated));
});

async function dropOld(): Promise<void> {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith(KEPT_PREFIX) && name !== KEPT).map((name) => caches.delete(name)));
}

async function answer(request: Request): Promise<Response> {
  // A page is asked for from the network first, so that a new version is seen; what it consists of has names of its own.
  if (request.mode === 'navigate') return fetch(request).catch(async () => await matchPrecache('index.html') ?? Response.error());
  const known = await matchPrecache(request.url) ?? await caches.match(request, { cacheName: KEPT });
  if (known) return known;
  const response = await fetch(request);
  if (response.ok && response.status === 200) {
    const copy = response.clone();
    await caches.open(KEPT).then((cache) => cache.put(request, copy)).catch(() => undefined);
  }
  return response;
}

function isolated(response: Response): Response {
  if (response.type === 'error' || response.headers.has('Cross-Origin-Embedder-Policy')) return response;
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(ISOLATION)) headers.set(name, value);
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
}
