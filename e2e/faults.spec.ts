/** What happens to tabs. After each fault the page works, says what is true, and goes on to the files it gives undisturbed. */
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from '@playwright/test';
import { tinyLanguageModel } from '../models/build.ts';
import {
  choose,
  compareButton,
  DIE,
  downloads,
  FILES,
  finished,
  HOLD,
  MODEL,
  problem,
  reaches,
  test,
  undisturbed,
  when,
} from './disturbed.ts';
import { expect } from './lane.ts';

let expected: Record<string, string>;
test.beforeAll(() => {
  expected = undisturbed();
});

async function compares(page: Page): Promise<void> {
  await compareButton(page).click();
  await finished(page);
  expect(await downloads(page)).toEqual(expected);
}

async function open(page: Page): Promise<void> {
  await page.goto('/');
  await choose(page);
}

// Every stage, with an engine that is ended or heeds a cancel: workers/entry/faults.browser.test.ts.
for (const [stage, shown] of [
  ['quantize', 'Quantize'],
  ['measure', 'Measure'],
] as const) {
  test(`reloaded in stage ${stage}: the job goes on`, async ({ page, between }) => {
    between.plant('engine', when(stage, HOLD), 1);
    await open(page);
    await compareButton(page).click();
    await reaches(page, between, shown);
    await page.reload();
    await choose(page);
    await compares(page);
    await expect(page.getByRole('alert')).toHaveCount(0);
  });

  test(`cancelled in stage ${stage}, with an engine that does not heed it: the page is there at once, and the job goes on`, async ({
    page,
    between,
  }) => {
    between.plant('engine', when(stage, HOLD), 1);
    await open(page);
    await compareButton(page).click();
    await reaches(page, between, shown);
    await page.getByRole('button', { name: 'Cancel' }).click();
    await expect(compareButton(page)).toBeEnabled();
    await expect(page.getByRole('alert')).toHaveCount(0);
    await compares(page);
  });
}

test('a kernel worker killed: another does its work', async ({ page, between }) => {
  between.plant('quantize', DIE, 1);
  await open(page);
  await compares(page);
  await expect(page.getByRole('alert')).toHaveCount(0);
});

test('every kernel worker killed: it is said, and the job can be gone on with', async ({ page, between }) => {
  between.plant('quantize', DIE);
  await open(page);
  await compareButton(page).click();
  await expect(problem(page, 'worker-crashed')).toBeVisible();
  between.plant('quantize', '');
  await compares(page);
  await expect(page.getByRole('alert')).toHaveCount(0);
});

test('the engine killed while it quantizes: it is said, and the job can be gone on with', async ({ page, between }) => {
  between.plant('engine', when('quantize', 'close()'), 1);
  await open(page);
  await compareButton(page).click();
  await expect(problem(page, 'worker-crashed')).toBeVisible();
  await compares(page);
  await expect(page.getByRole('alert')).toHaveCount(0);
});

test('the evaluator killed: files stay, and it can be measured again', async ({ page, between }) => {
  await open(page);
  between.plant('evaluate', DIE, 1);
  await compares(page);
  await expect(
    page.getByText(/^Measuring this model stopped unexpectedly; most often the tab is out of memory\./).first(),
  ).toBeVisible();
  await compares(page);
  await expect(page.getByText(/Perplexity [\d.,]+ → [\d.,]+/).first()).toBeVisible();
});

test('the evaluator out of memory: files stay, it is said, and it can be measured again', async ({ page, between }) => {
  const model = Buffer.from(
    tinyLanguageModel({ vocabulary: 256, width: 64, hidden: 20_000, type: 'float16', tied: true }),
  );
  await page.goto('/');
  await choose(page, { files: [{ name: 'tiny.onnx', mimeType: '', buffer: model }, ...FILES.slice(1)] });
  // No heap grows beyond the 16 MiB it begins with, and this model needs more.
  between.plant(
    'evaluate',
    'WebAssembly.Memory = new Proxy(WebAssembly.Memory, { construct: (Memory, [options]) => new Memory({ ...options, maximum: options.initial }) })',
    1,
  );
  await compareButton(page).click();
  await finished(page);
  await expect(page.getByText(/needs more memory than there is\./).first()).toBeVisible();
  const files = await downloads(page);
  await compareButton(page).click();
  await expect(page.getByText(/Perplexity [\d.,]+ → [\d.,]+/).first()).toBeVisible();
  expect(await downloads(page)).toEqual(files);
});

test('storage full: it is said with figures, files are held in memory, and stored once there is room', async ({
  page,
  context,
  between,
}) => {
  const cdp = await context.newCDPSession(page);
  const quota = (quotaSize?: number) =>
    cdp.send('Storage.overrideQuotaForOrigin', {
      origin: between.url,
      ...(quotaSize === undefined ? {} : { quotaSize }),
    });
  await open(page);
  await quota(100_000);
  await compareButton(page).click();
  await expect(
    page
      .getByText(
        /no room for tiny_[\w-]+\.onnx: [\d.]+ kB are missing\. It is held in memory, until this tab is closed\./,
      )
      .first(),
  ).toBeVisible();
  await finished(page);
  expect(await downloads(page)).toEqual(expected);
  await quota();
  await compares(page);
  await expect(page.getByText(/is held in memory/)).toHaveCount(0);
  await page.reload();
  await page.getByText(/^Earlier results:/).click();
  await page.getByRole('button', { name: 'Open', exact: true }).first().click();
  await finished(page);
  expect(await downloads(page)).toEqual(expected);
});

test('no storage, as in private windows: it is said, and all is as it is', async ({ page, between }) => {
  between.plant(
    'engine',
    'navigator.storage.getDirectory = () => Promise.reject(new DOMException("not in this window", "SecurityError"))',
  );
  await open(page);
  await compares(page);
  await expect(
    page
      .getByText(
        /^This browser keeps no files for this page, as is usual in private windows: results last until the tab is closed\./,
      )
      .first(),
  ).toBeVisible();
});

for (const [what, disturb] of [
  [
    'changed',
    (path: string) => {
      appendFileSync(path, 'more');
    },
  ],
  [
    'deleted',
    (path: string) => {
      rmSync(path);
    },
  ],
] as const) {
  test(`a file ${what} after it was chosen: it is named, and chosen again it works`, async ({ page }) => {
    const folder = mkdtempSync(join(tmpdir(), 'nibble-e2e-'));
    const path = join(folder, 'tiny.onnx');
    writeFileSync(path, MODEL);
    await page.goto('/');
    await choose(page, { files: path });
    disturb(path);
    await compareButton(page).click();
    await expect(problem(page, 'file-unreadable')).toBeVisible();
    writeFileSync(path, MODEL);
    await page.getByLabel('Choose files').setInputFiles(path);
    await expect(compareButton(page)).toBeEnabled();
    await compares(page);
    await expect(page.getByRole('alert')).toHaveCount(0);
    rmSync(folder, { recursive: true });
  });
}

test('a page that is not isolated: one thread, and it says so', async ({ page, between }) => {
  between.unisolate();
  await open(page);
  expect(await page.evaluate(() => [crossOriginIsolated, 'SharedArrayBuffer' in globalThis])).toEqual([false, false]);
  await page.getByText('WASM, 1 thread').hover();
  await expect(page.getByRole('tooltip')).toContainText(
    'this page is not cross-origin isolated and may not share memory between threads',
  );
  await compares(page);
});

test('two tabs at once, each clicked twice: one result, which both have', async ({ page, context }) => {
  await context.addInitScript(() => {
    const { persist } = StorageManager.prototype;
    StorageManager.prototype.persist = function () {
      localStorage.setItem('asked', `${localStorage.getItem('asked') ?? ''}x`);
      return persist.call(this);
    };
  });
  const other = await context.newPage();
  await Promise.all([open(page), open(other)]);
  await Promise.all([compareButton(page).dblclick(), compareButton(other).dblclick()]);
  for (const tab of [page, other]) {
    await finished(tab);
    expect(await downloads(tab)).toEqual(expected);
    await expect(tab.getByRole('alert')).toHaveCount(0);
  }
  await page.reload();
  await expect(page.getByText('Earlier results: 1')).toBeVisible();
  expect(await page.evaluate(() => localStorage.getItem('asked'))).toBe('x');
});
