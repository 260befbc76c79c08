/** Puts the engine of `test-engine.worker.ts` in the place of the real one, for states that take long or need a fault. */
import { join } from 'node:path';
import type { Page } from '@playwright/test';
import { build } from 'vite';

let script: Promise<string> | null = null;

async function bundle(): Promise<string> {
  const made = await build({
    configFile: false, logLevel: 'error', root: join(import.meta.dirname, '..'),
    build: { write: false, minify: false, target: 'es2023', lib: { entry: join(import.meta.dirname, 'test-engine.worker.ts'), formats: ['es'], fileName: 'engine' } },
  });
  const output = Array.isArray(made) ? made[0] : made;
  if (!output || !('output' in output)) throw new Error('the stand-in was not built');
  return output.output[0].code;
}

/** Before the page is opened. Files then count by their names alone: see the stand-in. */
export async function withStandIn(page: Page): Promise<void> {
  script ??= bundle();
  const body = await script;
  await page.route(/\/engine\.worker-[^/]*\.js$/, (route) => route.fulfill({
    body, contentType: 'text/javascript', headers: { 'Cross-Origin-Embedder-Policy': 'require-corp', 'Cross-Origin-Resource-Policy': 'same-origin' },
  }));
}
