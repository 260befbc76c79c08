/** Without a network: what has been used once goes on working. */
import { readFileSync } from 'node:fs';
import { byteTokenizer, tinyLanguageModel } from '../models/build.ts';
import { leaveOutExtras } from './extras.ts';
import { expect, test } from './lane.ts';

const upload = (name: string, content: Uint8Array | string) => ({
  name,
  mimeType: 'application/octet-stream',
  buffer: Buffer.from(content),
});
const FILES = [
  upload('tiny.onnx', tinyLanguageModel({ vocabulary: 256, width: 64, hidden: 96, type: 'float32', tied: true })),
  upload('tokenizer.json', byteTokenizer()),
  upload('text.txt', 'It was the best of times, it was the worst of times, it was the age of wisdom. '.repeat(40)),
];

test('a page that was used once works offline, after a reload too', async ({ page, context }) => {
  const compare = async (): Promise<Buffer> => {
    await page.locator('input[type=file]').first().setInputFiles(FILES);
    await expect(page.getByRole('button', { name: 'Compare', exact: true })).toBeEnabled();
    await leaveOutExtras(page);
    await page.getByRole('button', { name: 'Compare', exact: true }).click();
    await expect(page.getByRole('button', { name: 'Export JSON' })).toBeEnabled();
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Download int4', exact: true }).click(),
    ]);
    return readFileSync(await download.path());
  };
  await page.goto('/');
  await page.evaluate(async () => {
    await navigator.serviceWorker.ready;
  });
  // From here on the service worker sees what the page asks for.
  await page.reload();
  const online = await compare();
  await context.setOffline(true);
  await page.reload();
  // With nothing stored all of it is done again.
  await page.getByText(/^Earlier results:/).click();
  await page.getByRole('button', { name: 'Delete all' }).click();
  await page.getByRole('button', { name: 'Yes, delete all' }).click();
  await expect(page.getByText(/^Earlier results:/)).toBeHidden();
  expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
  expect(await compare()).toEqual(online);
  await expect(page.getByText(/Perplexity [\d.,]+ → [\d.,]+/).first()).toBeVisible();
});

test('the service worker keeps only files of this site', async ({ page, baseURL }) => {
  await page.goto('/');
  await page.evaluate(async () => {
    await navigator.serviceWorker.ready;
  });
  await page.reload();
  const kept = await page.evaluate(async () => {
    const names = await caches.keys();
    return (
      await Promise.all(names.map(async (name) => (await (await caches.open(name)).keys()).map(({ url }) => url)))
    ).flat();
  });
  expect(kept.length).toBeGreaterThan(5);
  expect(kept.filter((url) => !url.startsWith(`${baseURL ?? ''}/`))).toEqual([]);
});
