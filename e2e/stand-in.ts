/** Puts the engine of `test-engine.worker.ts` in the place of the real one, for states that take long or need a fault. */
import { join } from 'node:path';
import { expect, type Page } from '@playwright/test';
import { build } from 'vite';

let script: Promise<string> | null = null;

async function bundle(): Promise<string> {
  const made = await build({
    configFile: false,
    logLevel: 'error',
    root: join(import.meta.dirname, '..'),
    build: {
      write: false,
      minify: false,
      target: 'es2023',
      lib: { entry: join(import.meta.dirname, 'test-engine.worker.ts'), formats: ['es'], fileName: 'engine' },
    },
  });
  const output = Array.isArray(made) ? made[0] : made;
  if (!output || !('output' in output)) throw new Error('the stand-in was not built');
  return output.output[0].code;
}

/** Before the page is opened. Files then count by their names alone: see the stand-in. */
async function withStandIn(page: Page): Promise<void> {
  script ??= bundle();
  const body = await script;
  await page.route(/\/engine\.worker-[^/]*\.js$/, (route) =>
    route.fulfill({
      body,
      contentType: 'text/javascript',
      headers: { 'Cross-Origin-Embedder-Policy': 'require-corp', 'Cross-Origin-Resource-Policy': 'same-origin' },
    }),
  );
}

const upload = (name: string, content: string) => ({
  name,
  mimeType: 'application/octet-stream',
  buffer: Buffer.from(content),
});

/** Opens the page with a model of that name, a language model with tokenizer and text unless it is called `image`, and compares. */
export async function compareWithStandIn(page: Page, model: string): Promise<void> {
  await beginWithStandIn(page, model);
  await expect(page.getByRole('button', { name: 'Export JSON' })).toBeEnabled();
  await expect(page.getByRole('tab').first()).toBeVisible();
}

/** As `compareWithStandIn`, without waiting for the end. */
export async function beginWithStandIn(page: Page, model: string): Promise<void> {
  await withStandIn(page);
  await page.goto('/');
  const language = model.startsWith('image')
    ? []
    : [upload('tokenizer.json', '{}'), upload('text.txt', 'Call me Ishmael. '.repeat(2000))];
  await page.getByLabel('Choose files').setInputFiles([upload(model, ''), ...language]);
  await page.getByRole('button', { name: 'Compare', exact: true }).click();
}
