/** What was found is still there after a reload: opened again with the same files, and deleted. */
import { readFileSync } from 'node:fs';
import type { Page } from '@playwright/test';
import { byteTokenizer, tinyLanguageModel } from '../models/build.ts';
import { leaveOutExtras } from './extras.ts';
import { expect, test } from './lane.ts';
import { violations } from './violations.ts';

const upload = (name: string, content: Uint8Array | string) => ({
  name,
  mimeType: 'application/octet-stream',
  buffer: Buffer.from(content),
});
const MODEL = [
  upload('tiny.onnx', tinyLanguageModel({ vocabulary: 256, width: 64, hidden: 96, type: 'float32', tied: true })),
  upload('tokenizer.json', byteTokenizer()),
  upload('text.txt', 'It was the best of times, it was the worst of times. '.repeat(30)),
  upload('config.json', '{"model_type":"gpt2"}'),
];

async function compare(page: Page): Promise<void> {
  await page.goto('/');
  await page.getByLabel('Choose files').setInputFiles(MODEL);
  await leaveOutExtras(page);
  await page.getByRole('button', { name: 'Compare', exact: true }).click();
  await expect(page.getByRole('button', { name: 'Export JSON' })).toBeEnabled();
}

async function download(page: Page, button: string): Promise<{ name: string; bytes: Buffer }> {
  const [file] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: button, exact: true }).click(),
  ]);
  return { name: file.suggestedFilename(), bytes: readFileSync(await file.path()) };
}

/** The report without the keys of its requests, which are new each time a page shows it. */
const json = async (page: Page): Promise<unknown> =>
  JSON.parse((await download(page, 'Export JSON')).bytes.toString(), (name, value: unknown) =>
    name === 'key' ? undefined : value,
  );

const fold = (page: Page) => page.getByText(/^Earlier results:/);

test('a comparison outlives a reload, with its files, until it is deleted', async ({ page }) => {
  await compare(page);
  const int4 = await download(page, 'Download int4');
  const report = await json(page);

  await page.reload();
  await expect(page.getByRole('button', { name: 'Try the sample model' })).toBeVisible();
  await fold(page).click();
  await expect(page.getByText(/tiny\.onnx: fp16; int8.*; int4/)).toBeVisible();
  await expect(page.getByText(/used on this device, kept until you delete it/)).toBeVisible();
  for (const scheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme: scheme });
    expect(await violations(page), scheme).toEqual([]);
  }
  await page.setViewportSize({ width: 390, height: 844 });
  expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0);

  await page.getByRole('button', { name: 'Open', exact: true }).focus();
  await page.keyboard.press('Enter');
  await expect(page.getByRole('heading', { name: /^tiny\.onnx, compared on / })).toBeFocused();
  expect(await download(page, 'Download int4')).toEqual(int4);
  expect(await json(page)).toEqual(report);
  const { bytes: folder } = await download(page, 'Hub folder of int4, a zip');
  for (const path of ['README.md', 'tokenizer.json', 'config.json', 'onnx/'])
    expect(folder.includes(path), path).toBe(true);

  await page.getByRole('button', { name: 'Delete', exact: true }).click();
  await expect(page.getByText(/tiny\.onnx: fp16; int8.*; int4/)).toBeHidden();
  await expect(page.getByRole('button', { name: 'Download int4' })).toBeHidden();
  await expect(page.getByRole('button', { name: 'Export JSON' })).toBeEnabled();
  await page.reload();
  await expect(page.getByRole('button', { name: 'Try the sample model' })).toBeEnabled();
  await expect(fold(page)).toBeHidden();
});

test('all of them are deleted only when that is confirmed', async ({ page }) => {
  await compare(page);
  await fold(page).click();
  await page.getByRole('button', { name: 'Delete all' }).click();
  await expect(page.getByRole('button', { name: 'Keep them' })).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(page.getByText(/tiny\.onnx: fp16; int8.*; int4/)).toBeVisible();
  await page.getByRole('button', { name: 'Delete all' }).click();
  await page.getByRole('button', { name: 'Yes, delete all' }).click();
  await expect(fold(page)).toBeHidden();
});

test('every way of making a level is offered, and what is left out by name stays as it is', async ({ page }) => {
  await page.goto('/');
  await page.getByLabel('Choose files').setInputFiles(MODEL);
  const int8 = page.getByRole('article', { name: /^int8/ });
  await expect(int8).toContainText('3 weights with 28,672 parameters become int8');
  await int8.getByRole('combobox', { name: 'Mode' }).selectOption('dequantize');
  await expect(page.getByRole('article', { name: /^int8 per channel/ })).toContainText('a channel');
  await page.getByRole('combobox', { name: 'To run on' }).selectOption('wasm');
  await int8.getByRole('combobox', { name: 'Mode' }).selectOption('dynamic');
  await int8.getByText(/^Leave out by name:/).click();
  await int8.getByRole('textbox', { name: 'Weights or nodes' }).fill('*');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('article', { name: /^int8 dynamic .*without \*$/ })).toBeVisible();
  await expect(int8).not.toContainText('28,672 parameters become int8');
  await int8.getByRole('button', { name: /^Duplicate/ }).click();
  await expect(page.getByRole('article', { name: /^int8 dynamic .*without \*$/ })).toHaveCount(2);
  await page.getByRole('button', { name: 'Add uint8' }).click();
  await expect(page.getByRole('article', { name: /^uint8/ })).toContainText('the whole tensor');
  // A card that fades in has the contrast of a moment.
  await expect.poll(() => page.evaluate(() => document.getAnimations().length)).toBe(0);
  expect(await violations(page)).toEqual([]);
  await page.setViewportSize({ width: 390, height: 844 });
  expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0);
});
