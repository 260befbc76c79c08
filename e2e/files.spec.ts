/** Models in more than one file, folders, targets, and what is taken away besides a model: as a person does it. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Page } from '@playwright/test';
import { byteTokenizer, splitModel, tinyLanguageModel } from '../models/build.ts';
import { leaveOutExtras } from './extras.ts';
import { expect, test } from './lane.ts';
import { beginWithStandIn, compareWithStandIn } from './stand-in.ts';

const upload = (name: string, content: Uint8Array | string) => ({
  name,
  mimeType: 'application/octet-stream',
  buffer: Buffer.from(content),
});
const TINY = tinyLanguageModel({ vocabulary: 256, width: 64, hidden: 96, type: 'float32', tied: false });
/** The same file name in two folders: only paths tell them apart. */
const { model: MODEL, files: DATA } = splitModel(TINY, (name) =>
  name.includes('up') ? 'up/weights.bin' : name.includes('embed') ? null : 'rest/weights.bin',
);
const compareButton = (page: Page) => page.getByRole('button', { name: 'Compare', exact: true });
const slots = (page: Page) => page.getByRole('group', { name: 'Missing external data' });

let folder: string;
test.beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'nibble-folder-'));
  for (const [path, bytes] of [
    ['model.onnx', MODEL],
    ['tokenizer.json', byteTokenizer()],
    ['generation_config.json', '{"top_k": 7}'],
    ...DATA,
  ] as const) {
    const at = join(folder, 'export', path);
    mkdirSync(dirname(at), { recursive: true });
    writeFileSync(at, bytes);
  }
});
test.afterAll(() => {
  rmSync(folder, { recursive: true });
});

test('each missing file has a slot that takes a file of any name, and then the model is there', async ({ page }) => {
  await page.goto('/');
  await page.getByLabel('Choose files').setInputFiles([upload('model.onnx', MODEL)]);
  await expect(slots(page)).toContainText('2 files');
  await expect(compareButton(page)).toHaveCount(0);
  const [[one, bytes], [other, more]] = [...DATA] as [[string, Uint8Array], [string, Uint8Array]];
  await slots(page)
    .getByLabel(`Choose the file for ${one}`)
    .setInputFiles([upload('download (1).bin', bytes)]);
  await expect(slots(page)).toContainText('1 is there');
  // Dropped on the slot, it is that file and no other.
  await slots(page)
    .getByText(other)
    .evaluate((slot, base64) => {
      const transfer = new DataTransfer();
      transfer.items.add(
        new File([Uint8Array.from(atob(base64), (character) => character.charCodeAt(0))], 'weights.bin'),
      );
      for (const type of ['dragenter', 'dragover', 'drop'])
        slot.dispatchEvent(new DragEvent(type, { dataTransfer: transfer, bubbles: true, cancelable: true }));
    }, Buffer.from(more).toString('base64'));
  await expect(compareButton(page)).toBeEnabled();
  await expect(slots(page)).toHaveCount(0);
});

test('of many missing files a few are named, and a folder is asked for', async ({ page }) => {
  const { model } = splitModel(TINY, (name) => `weights/${name}`);
  await page.goto('/');
  await page.getByLabel('Choose files').setInputFiles([upload('model.onnx', model)]);
  await expect(slots(page).getByLabel(/^Choose the file for/)).toHaveCount(3);
  await expect(slots(page)).toContainText('and 2 more');
  await expect(slots(page)).toContainText('Drop the folder');
});

for (const way of ['chosen', 'dropped'] as const) {
  test(`a folder ${way}: weights of one name in two folders are told apart, and the Hub folder has what came along`, async ({
    page,
  }) => {
    await page.goto('/');
    if (way === 'chosen') await page.getByLabel('Choose a folder').setInputFiles(folder);
    else {
      await expect(page.getByRole('button', { name: 'Try the sample model' })).toBeVisible();
      const devtools = await page.context().newCDPSession(page);
      for (const type of ['dragEnter', 'dragOver', 'drop'] as const) {
        await devtools.send('Input.dispatchDragEvent', {
          type,
          x: 200,
          y: 300,
          data: { items: [], files: [join(folder, 'export')], dragOperationsMask: 1 },
        });
      }
    }
    await expect(page.getByRole('heading', { name: 'model.onnx' })).toBeVisible();
    await expect(slots(page)).toHaveCount(0);
    if (way === 'dropped') return;
    await leaveOutExtras(page);
    await compareButton(page).click();
    await expect(page.getByRole('button', { name: 'Export JSON' })).toBeEnabled();
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Hub folder of int4, a zip' }).click(),
    ]);
    expect(download.suggestedFilename()).toMatch(/^model_q4.*-hub\.zip$/);
    const zip = readFileSync(await download.path()).toString('latin1');
    for (const path of ['README.md', 'tokenizer.json', 'generation_config.json', 'onnx/model_q4'])
      expect(zip).toContain(path);
    expect(zip).toContain('"top_k": 7');
  });
}

test('what a target has no kernels for is not offered, and says why to keyboard and screen reader', async ({
  page,
}) => {
  await page.goto('/');
  await page.getByLabel('Choose files').setInputFiles([upload('tiny.onnx', TINY)]);
  const target = page.getByRole('combobox', { name: 'To run on' });
  await target.selectOption('both');
  const add = page.getByRole('button', { name: 'Add uint8' });
  await expect(add).toHaveAttribute('aria-disabled', 'true');
  await add.focus();
  await expect(page.getByRole('tooltip')).toContainText(/DynamicQuantizeLinear/);
  await page.keyboard.press('Enter');
  await expect(page.getByRole('article')).toHaveCount(3);
  const int8 = page.getByRole('article', { name: /^int8/ });
  await expect(int8.getByRole('option', { name: 'dynamic' })).toBeDisabled();
  await int8.getByText('Not offered for both wasm and webgpu: dynamic').click();
  await expect(int8.getByRole('listitem')).toContainText(/has no kernel for/);

  await int8.getByRole('button', { name: 'Compare on WASM' }).click();
  await expect(target).toHaveValue('wasm');
  await expect(int8.getByText(/Not offered/)).toHaveCount(0);
  await int8.getByRole('combobox', { name: 'Mode' }).selectOption('dynamic');
  await add.click();
  await expect(page.getByRole('article')).toHaveCount(4);
  await target.selectOption('webgpu');
  await expect(page.getByRole('article', { name: /^uint8/ }).getByRole('note')).toContainText(
    'WebGPU cannot run this.',
  );
  await leaveOutExtras(page);
  await compareButton(page).click();
  await expect(page.getByRole('button', { name: 'Export JSON' })).toBeEnabled();
  await expect(page.getByRole('button', { name: /^Download/ })).toHaveCount(2);
});

test.describe('a level in two files', () => {
  test.use({ serviceWorkers: 'block' });

  test('gives both, and says that they belong together', async ({ page }) => {
    await compareWithStandIn(page, 'large.onnx');
    await expect(page.getByText(/Two files that belong together/).first()).toBeVisible();
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Download the data of int4' }).click(),
    ]);
    expect(download.suggestedFilename()).toMatch(/\.onnx_data$/);
  });
});

test.describe('while files are written', () => {
  test.use({ serviceWorkers: 'block' });

  test('each can be downloaded as soon as it is, before anything is measured; the focus stays through Cancel', async ({
    page,
  }) => {
    await beginWithStandIn(page, 'waiting.onnx');
    for (const id of ['fp16', 'int8']) {
      const [download] = await Promise.all([
        page.waitForEvent('download'),
        page.getByRole('button', { name: `Download ${id}`, exact: true }).click(),
      ]);
      expect(readFileSync(await download.path(), 'utf8')).toBe(id);
    }
    await expect(page.getByRole('button', { name: /^Download/ })).toHaveCount(2);
    await expect(page.getByRole('button', { name: 'Export JSON' })).toBeDisabled();
    await expect(page.getByText(/Perplexity so far/)).toHaveCount(0);
    await page.getByRole('button', { name: 'Cancel' }).focus();
    await page.keyboard.press('Enter');
    await expect(compareButton(page)).toBeFocused();
    await expect(page.getByRole('button', { name: /^Download/ })).toHaveCount(2);
  });
});

test('a picture alone is named, and the model is what is missing; the focus goes to the heading, and a removed level comes back', async ({
  page,
}) => {
  await page.goto('/');
  const png = Buffer.from(
    'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
    'base64',
  );
  await page.getByLabel('Choose files').setInputFiles([{ name: 'cat.png', mimeType: 'image/png', buffer: png }]);
  await expect(page.getByRole('listitem').filter({ hasText: 'cat.png' })).toBeVisible();
  await expect(page.getByRole('main').getByText(/ missing$/)).toHaveCount(1);
  await page.getByLabel('Choose files').setInputFiles([upload('tiny.onnx', TINY)]);
  await expect(page.getByRole('heading', { name: 'tiny.onnx' })).toBeVisible();
  await page.getByRole('button', { name: /^Remove int8/ }).focus();
  await page.keyboard.press('Enter');
  await expect(page.getByRole('article')).toHaveCount(2);
  await expect(page.getByRole('button', { name: 'Undo' })).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(page.getByRole('article')).toHaveCount(3);
  await expect(page.getByRole('article').nth(1)).toHaveAccessibleName(/^int8/);
});
