/**
 * `npm run bench:forecast`: how well the page predicts the time of comparisons of the sample model. Each case starts in
 * a browser that has stored no results; the first knows nothing of the machine, the others what the runs before took.
 * `-- --only default` runs the first case alone, `--webgpu` adds the software adapter, `--paces` prints what was learned,
 * `--json FILE` writes the rows.
 */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import { preview } from 'vite';
import { chromiumFlags, requireChromium } from './chromium.mjs';

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    webgpu: { type: 'boolean', default: false },
    paces: { type: 'boolean', default: false },
    json: { type: 'string' },
  },
});
const root = fileURLToPath(new URL('..', import.meta.url));
const MOST_MINUTES = 20;
const PACES = 'nibble.paces/1';

const without = async (page, names) => {
  await page.getByText(/^What to measure:/).click();
  for (const name of names) await page.getByRole('switch', { name }).press('Space');
};
const least = async (page) => {
  await page.getByRole('slider').focus();
  await page.keyboard.press('Home');
};

const CASES = [
  { name: 'default', set: async () => {} },
  { name: 'default, again', set: async () => {} },
  {
    name: '1,024 tokens without extras',
    set: async (page) => {
      await least(page);
      await without(page, ['Noise floor', 'Runtime drift', 'Speed and memory', 'Where the drift is']);
    },
  },
  {
    name: '5 levels, 2,048 tokens',
    set: async (page) => {
      await least(page);
      await page.keyboard.press('ArrowRight');
      for (const id of ['q4f16', 'uint8']) await page.getByRole('button', { name: `Add ${id}` }).click();
    },
  },
];

const server = await preview({ root, logLevel: 'error', preview: { port: 0 } });
const address = server.resolvedUrls.local[0];
const browser = await chromium.launch({
  executablePath: requireChromium(),
  args: chromiumFlags({ webgpu: values.webgpu }),
});
const rows = [];
let paces = null;
for (const { name, set } of CASES.filter((each) => values.only === undefined || each.name === values.only)) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  page.setDefaultTimeout(MOST_MINUTES * 60_000);
  if (paces)
    await page.addInitScript(
      ([key, text]) => {
        localStorage.setItem(key, text);
      },
      [PACES, paces],
    );
  await page.goto(address);
  await page.getByRole('button', { name: 'Try the sample model' }).click();
  await page.getByRole('button', { name: 'Compare', exact: true }).waitFor();
  await set(page);
  // Plans follow the settings after a moment, and forecasts the plans.
  await page.waitForFunction(() => document.querySelectorAll('article p').length > 0);
  await page.waitForTimeout(3000);
  // A moment's run of the model comes before the first forecast that is meant.
  const assumed = Number(await page.locator('[data-seconds]').getAttribute('data-seconds'));
  await page
    .locator('[data-basis=measured]')
    .waitFor({ timeout: 120_000 })
    .catch(() => undefined);
  const predicted = Number(await page.locator('[data-seconds]').getAttribute('data-seconds'));
  const began = performance.now();
  await page.getByRole('button', { name: 'Compare', exact: true }).click();
  await page.getByRole('button', { name: 'Cancel', exact: true }).waitFor();
  await page.getByRole('button', { name: 'Cancel', exact: true }).waitFor({ state: 'detached' });
  const actual = (performance.now() - began) / 1000;
  paces = await page.evaluate((key) => localStorage.getItem(key), PACES);
  const row = {
    name,
    assumed,
    predicted,
    actual,
    ratio: predicted / actual,
    notes: await page
      .locator('section[aria-labelledby=run-heading] > ul:last-of-type li')
      .allInnerTexts()
      .catch(() => []),
  };
  rows.push(row);
  console.log(
    `${name}: predicted ${predicted.toFixed(1)} s, took ${actual.toFixed(1)} s, predicted/actual ${row.ratio.toFixed(2)} (before anything had run here: ${assumed.toFixed(1)} s)`,
  );
  await context.close();
}
if (values.paces)
  console.log(
    JSON.parse(paces ?? '[]')
      .map((pace) => `  ${JSON.stringify(pace)},`)
      .join('\n'),
  );
if (values.json) writeFileSync(values.json, `${JSON.stringify(rows, null, 1)}\n`);
await browser.close();
await server.close();
