/** Without a network: what has been used once goes on working. */
import { byteTokenizer, tinyLanguageModel } from '../models/build.ts';
import { expect, test } from './lane.ts';

const upload = (name: string, content: Uint8Array | string) => ({ name, mimeType: 'application/octet-stream', buffer: Buffer.from(content) });
const FILES = [
  upload('tiny.onnx', tinyLanguageModel({ vocabulary: 256, width: 64, hidden: 96, type: 'float32', tied: true })),
  upload('tokenizer.json', byteTokenizer()),
  upload('text.txt', 'It was the best of times, it was the worst of times, it was the age of wisdom. '.repeat(40)),
];

test('a page that was used once works offline, after a reload too', async ({ page, context }) => {
  test.setTimeout(180_000);
  const compare = async () => {
    await page.locator('input[type=file]').first().setInputFiles(FILES);
    await page.getByRole('button', { name: 'Compare', exact: true }).click({ timeout: 30_000 });
    await expect(page.getByRole('button', { name: 'Export JSON' })).toBeEnabled({ timeout: 90_000 });
  };
  await page.goto('/');
  await page.evaluate(async () => { await navigator.serviceWorker.ready; });
  // From here on the service worker sees what the page asks for.
  await page.reload();
  await compare();
  await context.setOffline(true);
  await page.reload();
  expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
  await compare();
  await expect(page.getByText(/Perplexity [\d.,]+ → [\d.,]+/).first()).toBeVisible();
});

test('the service worker keeps only files of this site', async ({ page, baseURL }) => {
  await page.goto('/');
  await page.evaluate(async () => { await navigator.serviceWorker.ready; });
  await page.reload();
  const kept = await page.evaluate(async () => {
    const names = await caches.keys();
    return (await Promise.all(names.map(async (name) => (await (await caches.open(name)).keys()).map(({ url }) => url)))).flat();
  });
  expect(kept.length).toBeGreaterThan(5);
  expect(kept.filter((url) => !url.startsWith(`${baseURL ?? ''}/`))).toEqual([]);
});
