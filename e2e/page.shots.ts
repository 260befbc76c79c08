/** `npm run screenshots`: the page in its states, light and dark, wide and narrow, into `screenshots/`. For looking at, not for comparing. */
import type { Page } from '@playwright/test';
import { expect, test } from './lane.ts';
import { compareWithStandIn } from './stand-in.ts';

// A service worker answers requests where they cannot be replaced.
test.use({ serviceWorkers: 'block' });

const widths = { wide: { width: 1280, height: 900 }, narrow: { width: 390, height: 844 } };

const shooter = (page: Page) => async (state: string) => {
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    for (const [name, viewport] of Object.entries(widths)) {
      await page.setViewportSize(viewport);
      // Charts take the new width one after the other.
      await expect
        .poll(() => page.evaluate(() => document.documentElement.scrollWidth - innerWidth))
        .toBeLessThanOrEqual(0);
      await page.screenshot({
        path: `screenshots/${state}-${colorScheme}-${name}.png`,
        fullPage: true,
        animations: 'disabled',
      });
    }
  }
};

test('the page in its states', async ({ page }) => {
  const shoot = shooter(page);
  const compare = page.getByRole('button', { name: 'Compare', exact: true });

  await page.goto('/');
  await expect(page.getByRole('button', { name: 'Try the sample model' })).toBeVisible();
  await shoot('1-empty');
  await page.getByRole('button', { name: 'Try the sample model' }).click();
  await expect(compare).toBeEnabled();
  await shoot('2-loaded');
  await compare.click();
  await expect(page.getByRole('button', { name: 'Cancel' })).toBeVisible();
  await shoot('3-running');
  await expect(page.getByRole('button', { name: 'Export JSON' })).toBeEnabled();
  await shoot('4-done');
});

/** With an engine that answers at once: what is looked at is how results look, whatever they are. */
test('results of every kind', async ({ page }) => {
  const shoot = shooter(page);
  const tab = (name: string) => page.getByRole('tab', { name, exact: true }).click();

  await compareWithStandIn(page, 'faulty.onnx');
  await tab('Runtimes');
  await shoot('6-fault');

  await compareWithStandIn(page, 'image.onnx');
  await tab('Speed and memory');
  await shoot('7-image');

  await compareWithStandIn(page, 'model.onnx');
  await page.getByText(/^What to measure/).click();
  await shoot('5-statistics');
  await tab('Words');
  await page.getByRole('listbox').focus();
  await shoot('5-words');
  await tab('Speed and memory');
  await shoot('5-speed');
  await tab('Runtimes');
  await shoot('5-runtimes');
  await tab('Side by side');
  await page.getByRole('button', { name: 'Continue' }).click();
  await expect(page.getByText(/Differs from fp16/)).toBeVisible();
  await shoot('5-side-by-side');
  await page.getByRole('button', { name: 'Paste text' }).click();
  await page.getByRole('textbox', { name: 'Text' }).fill('It was the best of times, it was the worst of times.');
  await shoot('8-paste');
});
