/** The main job as a person does it: sample → Compare → charts → download, in both lanes, and what goes wrong on the way. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from '@playwright/test';
import {
  byteTokenizer,
  encode,
  graph,
  model,
  node,
  randomValues,
  tensor,
  tinyLanguageModel,
  value,
} from '../models/build.ts';
import type { Report } from '../workers/contract/report.ts';
import { leaveOutExtras } from './extras.ts';
import { EITHER, expect, test } from './lane.ts';

const root = join(import.meta.dirname, '..');
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

const TINY = Buffer.from(tinyLanguageModel({ vocabulary: 256, width: 64, hidden: 96, type: 'float32', tied: true }));
const TOKENIZER = Buffer.from(byteTokenizer());
const TEXT = Buffer.from('It was the best of times, it was the worst of times, it was the age of wisdom. '.repeat(40));
const upload = (name: string, buffer: Buffer) => ({ name, mimeType: 'application/octet-stream', buffer });
const LANGUAGE_MODEL = [upload('tiny.onnx', TINY), upload('tokenizer.json', TOKENIZER), upload('text.txt', TEXT)];

const compareButton = (page: Page) => page.getByRole('button', { name: 'Compare', exact: true });
const exportButton = (page: Page) => page.getByRole('button', { name: 'Export JSON' });

async function bytesOfDownload(page: Page, button: string): Promise<{ name: string; bytes: Buffer }> {
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: button, exact: true }).click(),
  ]);
  return { name: download.suggestedFilename(), bytes: readFileSync(await download.path()) };
}

async function trySample(page: Page) {
  await page.goto('/');
  await page.getByRole('button', { name: 'Try the sample model' }).click();
  await expect(compareButton(page)).toBeEnabled();
  // The least text there is: what is tested here is the way, the figures are tested elsewhere.
  await page.getByRole('slider').focus();
  await page.keyboard.press('Home');
}

/** Records what the page says of a comparison under way; what comes back tells all it said, in order. */
async function statesOnShow(page: Page): Promise<() => Promise<string[]>> {
  const record = await page.evaluateHandle(() => {
    const said: string[] = [];
    new MutationObserver(() => {
      const state = document.querySelector('section[aria-busy=true] > p')?.textContent;
      if (state && state !== said.at(-1)) said.push(state);
    }).observe(document.body, { subtree: true, childList: true, characterData: true });
    return said;
  });
  return () => record.jsonValue();
}

test.describe('the sample model', () => {
  let folder: string;
  const expected = new Map<string, string>();

  test.beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'nibble-e2e-'));
    const { status, stderr } = spawnSync(
      process.execPath,
      [
        join(root, '.ci', 'nibble.mjs'),
        'compare',
        join(root, 'models', 'sample', 'model_fp16.onnx'),
        '--level',
        'int8:embedding=tokens',
        '--level',
        'int4:embedding=tokens',
        '--out',
        folder,
        '--quiet',
      ],
      { encoding: 'utf8' },
    );
    expect(stderr).toMatch(/no tokenizer/);
    expect(status).toBe(0);
    for (const name of ['model_fp16.onnx', 'model_int8_embedding-tokens.onnx', 'model_q4_embedding-tokens.onnx'])
      expected.set(name, sha256(readFileSync(join(folder, name))));
  });
  test.afterAll(() => {
    rmSync(folder, { recursive: true });
  });

  test('compare, look at the charts, download: the same files as the command line writes', async ({ page, webgpu }) => {
    const problems: string[] = [];
    page.on('pageerror', (error) => problems.push(String(error)));
    await trySample(page);
    // What else is measured takes as long again, and is looked at in measured.spec.ts; smooth.spec.ts has the whole of it.
    await leaveOutExtras(page);
    await expect(page.getByText(webgpu ? /WebGPU: .*swiftshader/i : /WASM/).first()).toBeVisible();
    await compareButton(page).click();
    await expect(page.getByRole('button', { name: 'Cancel' })).toBeVisible();
    await expect(exportButton(page)).toBeEnabled();

    for (const chart of ['File size', 'Memory, predicted', 'Perplexity', 'KL divergence from fp16']) {
      await expect(page.getByRole('heading', { name: chart })).toBeVisible();
    }
    await expect(page.locator('.recharts-surface').first()).toBeVisible();
    await expect(
      page.getByText(/int4 embedding is 3\.4× smaller than fp16\. Perplexity [\d.]+ → [\d.]+/).first(),
    ).toBeVisible();

    for (const [button, name] of [
      ['Download fp16', 'model_fp16.onnx'],
      ['Download int8', 'model_int8_embedding-tokens.onnx'],
      ['Download int4', 'model_q4_embedding-tokens.onnx'],
    ] as const) {
      const download = await bytesOfDownload(page, button);
      expect(download.name).toBe(name);
      expect(sha256(download.bytes), name).toBe(expected.get(name));
    }

    const report = JSON.parse((await bytesOfDownload(page, 'Export JSON')).bytes.toString()) as Report;
    expect(report).toMatchObject({
      schema: 'nibble.report/1',
      backend: webgpu ? 'webgpu' : 'wasm',
      protocol: { name: 'llama.cpp', context: 512, provider: 'wasm' },
    });
    expect(report.levels.map(({ id, baseline, file }) => [id, baseline, file])).toEqual([
      ['fp16', true, 'model_fp16.onnx'],
      ['int8', false, 'model_int8_embedding-tokens.onnx'],
      ['int4', false, 'model_q4_embedding-tokens.onnx'],
    ]);
    const [fp16, int8, int4] = report.levels;
    expect(fp16?.perplexity?.value).toBeGreaterThan(10);
    expect(int8?.drift?.kld.mean).toBeGreaterThan(0);
    expect(int4?.drift?.kld.mean).toBeGreaterThan(int8?.drift?.kld.mean ?? Infinity);
    expect(problems).toEqual([]);
  });

  test('Cancel while measuring leaves the page usable, and a second run works', EITHER, async ({ page }) => {
    await trySample(page);
    await page.keyboard.press('End');
    await leaveOutExtras(page);
    await compareButton(page).click();
    await expect(page.getByRole('button', { name: 'Download int4', exact: true })).toBeEnabled();
    await page.getByRole('button', { name: 'Cancel' }).click();
    await expect(compareButton(page)).toBeEnabled();
    // What was written before stays.
    await expect(page.getByRole('button', { name: 'Download int4', exact: true })).toBeEnabled();
    await page.getByRole('slider').focus();
    await page.keyboard.press('Home');
    await compareButton(page).click();
    await expect(exportButton(page)).toBeEnabled();
  });
});

test('stopping while measuring keeps the figures, and says of how much text they are', EITHER, async ({ page }) => {
  await trySample(page);
  await page.keyboard.press('End');
  await leaveOutExtras(page);
  const states = await statesOnShow(page);
  await compareButton(page).click();
  const stop = page.getByRole('button', { name: 'Stop here, keep the figures' });
  await expect(stop).toBeDisabled();
  await expect(page.getByText(/Perplexity so far/).first()).toBeVisible();
  await stop.click();
  await expect(exportButton(page)).toBeEnabled();
  await expect(stop).toHaveCount(0);
  // While the runtime loads the files there is nothing left to say of the writing of them.
  const said = await states();
  const loading = said.findIndex((state) => /^Loading 3 models \([\d.]+\sMB\) to measure them$/.test(state));
  expect(loading, said.join('\n')).toBeGreaterThan(-1);
  expect(said[loading + 1]).toMatch(/^(About .* left in this stage|Working out how long this takes)$/);

  await expect(page.getByText(/Stopped early, after \d+ of 240 windows/).first()).toBeVisible();
  await expect(page.getByRole('heading', { name: 'KL divergence from fp16' })).toBeVisible();
  await expect(
    page.getByText(/int4 embedding is 3\.4× smaller than fp16\. Perplexity [\d.]+ → [\d.]+/).first(),
  ).toBeVisible();
  const download = await bytesOfDownload(page, 'Download int4');
  expect(download.bytes.length).toBeGreaterThan(1_000_000);
  const report = JSON.parse((await bytesOfDownload(page, 'Export JSON')).bytes.toString()) as Report;
  expect(report.protocol).toMatchObject({ stoppedEarly: true, plannedChunks: 240 });
  expect(report.protocol?.chunks).toBeGreaterThan(0);
  expect(report.protocol?.chunks).toBeLessThan(240);
  expect(report.levels.map(({ perplexity }) => perplexity !== null)).toEqual([true, true, true]);
  await expect(page.getByText(`Stopped early, after ${report.protocol?.chunks} of 240 windows`).first()).toBeVisible();
});

test('a protocol is chosen, tags every number, and does not pass for another', EITHER, async ({ page }) => {
  await page.goto('/');
  await page.getByLabel('Choose files').setInputFiles(LANGUAGE_MODEL);
  await expect(compareButton(page)).toBeEnabled();
  const protocol = page.getByRole('combobox', { name: 'Protocol' });
  await protocol.selectOption('lm-eval');
  await leaveOutExtras(page);
  await compareButton(page).click();
  await expect(exportButton(page)).toBeEnabled();
  const report = JSON.parse((await bytesOfDownload(page, 'Export JSON')).bytes.toString()) as Report;
  expect(report.protocol).toMatchObject({ name: 'lm-eval', unit: 'word' });
  const tag = `lm-eval, windows of ${report.protocol?.context.toLocaleString('en')}`;
  await expect(page.getByRole('region', { name: 'Table of figures' }).getByText(tag)).toBeVisible();
  await expect(page.getByRole('heading', { name: 'Word perplexity' })).toBeVisible();
  await expect(page.getByText(/Measured as lm-eval does, by word: /).first()).toBeVisible();

  await page.getByRole('tab', { name: 'Statistics' }).click();
  const statistics = page.getByRole('region', { name: 'All statistics' });
  await expect(statistics.getByText(tag)).toBeVisible();
  for (const row of [
    'Word perplexity',
    'Bits per byte',
    'Correlation with fp16',
    '99.9th percentile',
    'Same top token',
    'Root mean square, percentage points',
  ]) {
    await expect(statistics.getByRole('row', { name: row }).last().getByRole('cell').last()).toHaveText(/\d/);
  }

  await protocol.selectOption('gptq');
  await expect(page.getByText(/The results below were measured by another protocol, lm-eval/)).toBeVisible();
  await expect(statistics.getByText(tag)).toBeVisible();
});

for (const [place, x, y] of [
  ['in the corner', 3, 3],
  ['in the middle', 0.5, 0.5],
  ['at the bottom', 0.5, 0.995],
] as const) {
  test(`files dropped ${place} of the page are opened`, EITHER, async ({ page }) => {
    await page.goto('/');
    await expect(page.getByRole('button', { name: 'Try the sample model' })).toBeVisible();
    await page.evaluate(
      ({ base64, left, top }) => {
        const at = (share: number, size: number) => (share < 1 ? share * size : share);
        const target = document.elementFromPoint(at(left, innerWidth), at(top, innerHeight)) ?? document.body;
        const transfer = new DataTransfer();
        transfer.items.add(
          new File([Uint8Array.from(atob(base64), (character) => character.charCodeAt(0))], 'dropped.onnx'),
        );
        for (const type of ['dragenter', 'dragover', 'drop'])
          target.dispatchEvent(new DragEvent(type, { dataTransfer: transfer, bubbles: true, cancelable: true }));
      },
      { base64: TINY.toString('base64'), left: x, top: y },
    );
    await expect(page.getByText('dropped.onnx').first()).toBeVisible();
  });
}

test(
  'without tokenizer and text the outputs are compared, and the page says what is missing',
  EITHER,
  async ({ page }) => {
    await page.goto('/');
    await page.getByLabel('Choose files').setInputFiles([upload('tiny.onnx', TINY)]);
    await expect(compareButton(page)).toBeEnabled();
    await compareButton(page).click();
    await expect(page.getByRole('button', { name: 'Download int4', exact: true })).toBeEnabled();
    await expect(page.getByText(/There is no tokenizer, so perplexity was not measured/).first()).toBeVisible();
  },
);

test.describe('bad input ends in a sentence, and the page lives on', EITHER, () => {
  const cases: [string, ReturnType<typeof upload>, RegExp][] = [
    ['empty', upload('empty.onnx', Buffer.alloc(0)), /empty\.onnx is empty/],
    [
      'Git LFS pointer',
      upload('pointer.onnx', Buffer.from('version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n')),
      /Git LFS pointer/,
    ],
    ['truncated', upload('cut.onnx', TINY.subarray(0, 20_000)), /cut\.onnx ends in the middle/],
    ['not ONNX', upload('web.onnx', Buffer.from('<!doctype html><title>404</title>')), /holds a web page/],
    ['broken tokenizer', upload('tokenizer.json', Buffer.from('{"model": {')), /not valid JSON/],
  ];
  for (const [name, file, sentence] of cases) {
    test(name, async ({ page }) => {
      await page.goto('/');
      await page.getByLabel('Choose files').setInputFiles([file]);
      await expect(page.getByText(sentence).first()).toBeVisible();
      await page.getByLabel('Choose files').setInputFiles([upload('tiny.onnx', TINY)]);
      await expect(compareButton(page)).toBeEnabled();
    });
  }

  test('markup in a name stays text', async ({ page }) => {
    await page.goto('/');
    await page.getByLabel('Choose files').setInputFiles([upload('<img src=x onerror=alert(1)>.onnx', Buffer.alloc(0))]);
    await expect(page.getByText('<img src=x onerror=alert(1)>.onnx is empty').first()).toBeVisible();
    expect(await page.locator('img[src="x"]').count()).toBe(0);
  });

  test('names of tensors that are markup, paths or parts of prototypes stay names', async ({ page }) => {
    const names = ['__proto__', '../../x', '<img src=x onerror=alert(1)>'];
    const matrices = graph({
      node: names.map((name, i) =>
        node(
          'MatMul',
          [i === 0 ? 'constructor' : `${names[i - 1] ?? ''}/out`, name],
          [i === names.length - 1 ? 'valueOf' : `${name}/out`],
        ),
      ),
      initializer: names.map((name, i) => tensor(name, 'float32', [32, 32], randomValues(i, 1024))),
      input: [value('constructor', 'float32', ['rows', 32])],
      output: [value('valueOf', 'float32', ['rows', 32])],
    });
    await page.goto('/');
    await page
      .getByLabel('Choose files')
      .setInputFiles([upload('__proto__.onnx', Buffer.from(encode(model(matrices))))]);
    await expect(page.getByRole('heading', { name: '__proto__.onnx' })).toBeVisible();
    await expect(page.getByRole('article', { name: 'int8', exact: true })).toContainText(
      '3 weights with 3,072 parameters become int8',
    );
    await expect(compareButton(page)).toBeEnabled();
    expect(await page.locator('img[src="x"]').count()).toBe(0);
  });
});
