/** A build in which one kernel of the WebGPU provider computes wrongly: the page has to say so, and where. */
import { readFileSync } from 'node:fs';
import { byteTokenizer, randomValues, tinyLanguageModel } from '../models/build.ts';
import type { Report } from '../workers/contract/report.ts';
import { leaveOutExtras } from './extras.ts';
import { expect, test } from './lane.ts';

const SHAPE = { vocabulary: 256, width: 64, hidden: 96, type: 'float32', tied: false, activation: 'Softmax' } as const;
/** Large enough for what comes out of the Softmax to matter. */
const DOWN = new Map([['layers.0.down.weight', randomValues(3, SHAPE.hidden * SHAPE.width, 12)]]);
const upload = (name: string, content: Uint8Array | string) => ({
  name,
  mimeType: 'application/octet-stream',
  buffer: Buffer.from(content),
});

test('a fault in one kernel ends in a banner that names its node', async ({ page }) => {
  await page.goto('/');
  await page
    .locator('input[type=file]')
    .first()
    .setInputFiles([
      upload('tiny.onnx', tinyLanguageModel(SHAPE, DOWN)),
      upload('tokenizer.json', byteTokenizer()),
      upload('text.txt', 'It was the best of times, it was the worst of times, it was the age of wisdom. '.repeat(20)),
    ]);
  await expect(page.getByRole('button', { name: 'Compare', exact: true })).toBeEnabled();
  await leaveOutExtras(page, ['Noise floor', 'Speed and memory']);
  await page.getByRole('button', { name: 'Compare', exact: true }).click();
  await expect(page.getByRole('button', { name: 'Export JSON' })).toBeEnabled();

  const banner = page.getByRole('alert').filter({ hasText: 'WebGPU' });
  await expect(banner).toBeVisible();
  await expect(banner).toContainText('t/Softmax');

  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: 'Export JSON' }).click(),
  ]);
  const report = JSON.parse(readFileSync(await download.path(), 'utf8')) as Report;
  const int8 = report.levels.find(({ id }) => id === 'int8');
  // Quantization is fine, measured on the provider that computes rightly; the runtime is not.
  expect(report.protocol?.provider).toBe('wasm');
  expect(int8?.runtimeDrift).toMatchObject({
    provider: 'webgpu',
    against: 'wasm',
    exceeds: true,
    partsAt: { node: 't/Softmax', operator: 'Softmax', tensor: 't' },
  });
  expect(int8?.runtimeDrift?.distance?.kld.value).toBeGreaterThan(int8?.drift?.kld.mean ?? Infinity);
});
