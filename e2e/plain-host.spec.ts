/** The built page on a host that sets no headers: what they would do is done all the same. */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';
import { expect, test as laneTest } from './lane.ts';

const DIST = join(import.meta.dirname, '..', 'dist');
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm',
};

const test = laneTest.extend({
  // What the policy forbids is done here on purpose.
  closed: async ({ webgpu: _lane }, use) => {
    await use(undefined);
  },
  baseURL: async ({ webgpu: _lane }, use) => {
    const server = createServer(({ url = '/' }, response) => {
      try {
        const path = new URL(url, 'http://localhost').pathname;
        const file = path === '/' ? '/index.html' : path;
        response
          .writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'application/octet-stream' })
          .end(readFileSync(join(DIST, file)));
      } catch {
        response.writeHead(404).end();
      }
    });
    await new Promise<void>((resolve) => {
      server.listen(0, 'localhost', resolve);
    });
    await use(`http://localhost:${(server.address() as AddressInfo).port}`);
    server.closeAllConnections();
    await new Promise((resolve) => {
      server.close(resolve);
    });
  },
});

test('the policy holds from the first visit, for workers and shared memory from the second', async ({ page }) => {
  await page.goto('/');
  const refused = page.evaluate(
    () =>
      new Promise((resolve) => {
        const directives: string[] = [];
        addEventListener('securitypolicyviolation', ({ effectiveDirective }) => {
          directives.push(effectiveDirective);
          if (directives.length === 2) resolve({ directives, ranInline: 'ranInline' in globalThis });
        });
        const script = document.createElement('script');
        script.textContent = 'globalThis.ranInline = true';
        document.body.append(script);
        void fetch('https://example.com/').catch(() => undefined);
      }),
  );
  expect(await refused).toEqual({ directives: ['script-src-elem', 'connect-src'], ranInline: false });

  await page.evaluate(async () => {
    await navigator.serviceWorker.ready;
  });
  const worker = page.waitForResponse(/engine\.worker-.*\.js$/);
  await page.reload();
  expect((await (await worker).allHeaders())['content-security-policy']).toContain("default-src 'self'");
  expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
  await expect(page.getByRole('button', { name: 'Try the sample model' })).toBeEnabled();
});
