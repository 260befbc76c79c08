/** What is measured, by the real engine: a language model on the provider asked for, and models of other kinds on both. */
import { readFileSync } from 'node:fs';
import type { Page } from '@playwright/test';
import { byteTokenizer, imageModel, tinyLanguageModel, twoOutputModel } from '../models/build.ts';
import type { Report } from '../workers/contract/report.ts';
import { leaveOutExtras } from './extras.ts';
import { expect, test } from './lane.ts';

const upload = (name: string, content: Uint8Array | string) => ({
  name,
  mimeType: 'application/octet-stream',
  buffer: Buffer.from(content),
});

async function compare(page: Page): Promise<Report> {
  await page.getByRole('button', { name: 'Compare', exact: true }).click();
  await expect(page.getByRole('button', { name: 'Export JSON' })).toBeEnabled();
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: 'Export JSON' }).click(),
  ]);
  return JSON.parse(readFileSync(await download.path(), 'utf8')) as Report;
}

test('a language model, its tokenizer and a text are chosen, and measured on the provider asked for, with everything beside it', async ({
  page,
  webgpu,
}) => {
  await page.goto('/');
  await page
    .getByLabel('Choose files')
    .setInputFiles([
      upload('tiny.onnx', tinyLanguageModel({ vocabulary: 256, width: 64, hidden: 96, type: 'float16', tied: false })),
      upload('tokenizer.json', byteTokenizer()),
      upload('text.txt', 'It was the best of times, it was the worst of times. '.repeat(12)),
    ]);
  const provider = page.getByRole('combobox', { name: 'Measure on' });
  if (webgpu) await provider.selectOption('webgpu');
  else await expect(provider).toHaveCount(0);
  // The CPU plays the adapter, and takes as long again for each level.
  if (webgpu) await page.getByRole('button', { name: 'Remove int8' }).click();
  const report = await compare(page);

  expect(report.protocol?.provider).toBe(webgpu ? 'webgpu' : 'wasm');
  expect(report.protocol?.tokens).toBeGreaterThan(100);
  expect(report.levels.map(({ perplexity }) => perplexity !== null)).toEqual(
    webgpu ? [true, true] : [true, true, true],
  );
  expect(report.noiseFloor?.reference).toBe('widened');
  expect(report.overflow).toEqual([]);
  expect(report.words?.passages[0]?.tokens.join('')).toContain('best of times');
  const f16 =
    webgpu &&
    (await page.evaluate(async () => (await navigator.gpu.requestAdapter())?.features.has('shader-f16') === true));
  for (const { baseline, drift, runtimeDrift, speed } of report.levels) {
    if (!baseline) expect(drift?.kld.mean).toBeGreaterThan(0);
    expect(speed?.map((figures) => figures.provider)).toEqual(webgpu ? ['wasm', 'webgpu'] : ['wasm']);
    for (const figures of speed ?? []) {
      expect(figures.problem).toBeNull();
      expect(figures.load?.median).toBeGreaterThan(0);
      expect(figures.prefill?.tokensPerSecond.median).toBeGreaterThan(0);
      expect(figures.memory?.heap).toBeGreaterThan(0);
    }
    if (!webgpu) continue;
    expect(speed?.[1]?.memory?.gpu?.steady).toBeGreaterThan(0);
    expect(speed?.[1]?.fallback).not.toBeNull();
    expect(runtimeDrift).toMatchObject({
      provider: 'webgpu',
      against: 'wasm',
      exceeds: false,
      widened: !f16,
      problem: null,
    });
    expect(runtimeDrift?.distance?.tokens).toBeGreaterThan(20);
  }

  await page.getByRole('tab', { name: 'Side by side', exact: true }).click();
  await page.getByRole('textbox', { name: 'Prompt' }).fill('It was the');
  await page.getByRole('button', { name: 'Continue' }).click();
  const columns = page.getByRole('list', { name: 'Continuations' }).getByRole('listitem');
  await expect(columns).toHaveCount(webgpu ? 2 : 3);
  for (const column of await columns.all()) await expect(column).toContainText(/[\d.,]+\stokens\/s/);
  await expect(columns.nth(1)).toContainText(/The same as fp16, to the last token|Differs from fp16/);
});

for (const [kind, model, outputs] of [
  ['an image-like model', imageModel({ size: 32 }), ['scores']],
  ['a model with two outputs', twoOutputModel(), null],
] as const) {
  test(`${kind} is compared by its outputs, on every provider there is`, async ({ page, webgpu }) => {
    await page.goto('/');
    await page
      .locator('input[type=file]')
      .first()
      .setInputFiles([upload('model.onnx', model)]);
    await expect(page.getByRole('button', { name: 'Compare', exact: true })).toBeEnabled();
    await leaveOutExtras(page, ['Speed and memory']);
    const report = await compare(page);

    expect(report.protocol).toBeNull();
    expect(report.inputs).toMatchObject({ kind: 'random', seed: 1, samples: 8 });
    await expect(page.getByText(/random inputs/).first()).toBeVisible();
    const [fp16, int8, int4] = report.levels;
    expect(fp16?.outputs).toBeNull();
    expect(int8?.outputs).toHaveLength(outputs?.length ?? 2);
    if (outputs) expect(int8?.outputs?.map(({ output }) => output)).toEqual(outputs);
    // An output of whole numbers may be the same at every level.
    const changed = (int8?.outputs ?? []).flatMap(({ sqnr }, index) =>
      sqnr === null ? [] : [{ sqnr, int4: int4?.outputs?.[index]?.sqnr ?? Infinity }],
    );
    expect(changed.length).toBeGreaterThan(0);
    for (const ratio of changed) expect(ratio.sqnr).toBeGreaterThan(ratio.int4);
    if (!webgpu) return;
    for (const { runtimeDrift } of report.levels) {
      expect(runtimeDrift).toMatchObject({ provider: 'webgpu', against: 'wasm', exceeds: false, problem: null });
      for (const { cosine } of runtimeDrift?.outputs ?? []) expect(cosine).toBeGreaterThan(0.999);
    }
  });
}
