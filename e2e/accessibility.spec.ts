/** axe finds nothing to complain about in any state of the page, light and dark, wide and narrow. */
import { byteTokenizer, splitModel, tinyLanguageModel } from '../models/build.ts';
import { leaveOutExtras } from './extras.ts';
import { expect, test } from './lane.ts';
import { compareWithStandIn } from './stand-in.ts';
import { violations } from './violations.ts';

const upload = (name: string, content: Uint8Array | string) => ({
  name,
  mimeType: 'application/octet-stream',
  buffer: Buffer.from(content),
});
const MODEL = upload(
  'tiny.onnx',
  tinyLanguageModel({ vocabulary: 256, width: 64, hidden: 96, type: 'float32', tied: true }),
);
const IN_FILES = upload(
  'in-files.onnx',
  splitModel(
    tinyLanguageModel({ vocabulary: 256, width: 64, hidden: 96, type: 'float32', tied: false }),
    (name) => `weights/${name}`,
  ).model,
);
const LANGUAGE_MODEL = [
  MODEL,
  upload('tokenizer.json', byteTokenizer()),
  upload('text.txt', 'Call me Ishmael. '.repeat(200)),
];

/** Every width and every scheme once: what axe finds of a width does not depend on colours, nor the other way round. */
const LOOKS = [
  { colorScheme: 'light', width: 1280, height: 900 },
  { colorScheme: 'dark', width: 390, height: 844 },
] as const;

for (const { colorScheme, ...viewport } of LOOKS) {
  test(`${colorScheme}, ${viewport.width} wide: empty, refused, data missing, loaded, done`, async ({ page }) => {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await page.setViewportSize(viewport);
    await page.goto('/');
    await expect(page.getByRole('button', { name: 'Try the sample model' })).toBeVisible();
    expect(await violations(page), 'empty').toEqual([]);

    await page.getByLabel('Choose files').setInputFiles([upload('empty.onnx', '')]);
    await expect(page.getByText(/empty\.onnx is empty/).first()).toBeVisible();
    expect(await violations(page), 'refused').toEqual([]);

    await page.getByLabel('Choose files').setInputFiles([IN_FILES]);
    await expect(page.getByRole('group', { name: 'Missing external data' })).toBeVisible();
    expect(await violations(page, '[aria-label="Missing external data"]'), 'data missing').toEqual([]);
    expect(
      await page.evaluate(() => document.documentElement.scrollWidth - innerWidth),
      'data missing',
    ).toBeLessThanOrEqual(0);

    await page.getByLabel('Choose files').setInputFiles(LANGUAGE_MODEL);
    const compare = page.getByRole('button', { name: 'Compare', exact: true });
    await expect(compare).toBeEnabled();
    expect(await violations(page), 'loaded').toEqual([]);

    // One that refuses some settings, with its reasons.
    await page.getByLabel('To run on').selectOption('both');
    await leaveOutExtras(page);
    await compare.click();
    await expect(page.getByRole('button', { name: 'Export JSON' })).toBeEnabled();
    await page
      .getByText(/^Not offered for /)
      .first()
      .click();
    await page.getByText(/^Tensor by tensor/).click();
    await expect(page.getByRole('region', { name: 'Ledger' }).getByRole('row').nth(1)).toBeVisible();
    expect(await violations(page), 'done').toEqual([]);
    // Nothing is wider than the page: tables and charts scroll inside themselves.
    expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0);
  });
}

test.describe('results of every kind', () => {
  // A service worker answers requests where they cannot be replaced.
  test.use({ serviceWorkers: 'block' });

  for (const { colorScheme, ...viewport } of LOOKS) {
    test(`${colorScheme}, ${viewport.width} wide: a fault, words, prompts, speed, runtimes, outputs, a dialog`, async ({
      page,
    }) => {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await page.setViewportSize(viewport);
      await compareWithStandIn(page, 'faulty.onnx');
      for (const tab of ['Statistics', 'Words', 'Side by side', 'Speed and memory', 'Runtimes']) {
        await page.getByRole('tab', { name: tab, exact: true }).click();
        if (tab === 'Words') await page.getByRole('listbox').focus();
        if (tab === 'Side by side') {
          await page.getByRole('button', { name: 'Continue' }).click();
          await expect(page.getByText(/^Differs from fp16/)).toBeVisible();
        }
        expect(await violations(page, 'section[aria-labelledby=views-heading]'), tab).toEqual([]);
        expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth), tab).toBeLessThanOrEqual(
          0,
        );
      }
      await page.getByRole('button', { name: 'Paste text' }).click();
      await expect(page.getByRole('dialog')).toBeVisible();
      expect(await violations(page), 'dialog').toEqual([]);

      await compareWithStandIn(page, 'image.onnx');
      expect(await violations(page), 'outputs').toEqual([]);
      expect(
        await page.evaluate(() => document.documentElement.scrollWidth - innerWidth),
        'outputs',
      ).toBeLessThanOrEqual(0);
    });
  }
});

test('by keyboard alone: choose the sample, compare', async ({ page }) => {
  await page.goto('/');
  const sample = page.getByRole('button', { name: 'Try the sample model' });
  for (let i = 0; i < 15 && !(await sample.evaluate((element) => element === document.activeElement)); i++)
    await page.keyboard.press('Tab');
  await expect(sample).toBeFocused();
  await page.keyboard.press('Enter');
  const compare = page.getByRole('button', { name: 'Compare', exact: true });
  await expect(compare).toBeEnabled();
  for (let i = 0; i < 100 && !(await compare.evaluate((element) => element === document.activeElement)); i++)
    await page.keyboard.press('Tab');
  await expect(compare).toBeFocused();
  await page.keyboard.press('Enter');
  const cancel = page.getByRole('button', { name: 'Cancel' });
  await expect(cancel).toBeVisible();
  await cancel.click();
  await expect(compare).toBeEnabled();
});
