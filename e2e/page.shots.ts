/** `npm run screenshots`: the page in its states, light and dark, wide and narrow, into `screenshots/`. For looking at, not for comparing. */
import { expect, test } from './lane.ts';

const widths = { wide: { width: 1280, height: 900 }, narrow: { width: 390, height: 844 } };

for (const colorScheme of ['light', 'dark'] as const) {
  for (const [name, viewport] of Object.entries(widths)) {
    test(`${colorScheme} ${name}`, async ({ page }) => {
      test.setTimeout(600_000);
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize(viewport);
      const shot = (state: string) => page.screenshot({ path: `screenshots/${state}-${colorScheme}-${name}.png`, fullPage: true });

      await page.goto('/');
      await expect(page.getByRole('button', { name: 'Try the sample model' })).toBeVisible();
      await shot('1-empty');
      await page.getByRole('button', { name: 'Try the sample model' }).click();
      await expect(page.getByRole('button', { name: 'Compare', exact: true })).toBeEnabled({ timeout: 60_000 });
      await shot('2-loaded');
      await page.getByRole('button', { name: 'Compare', exact: true }).click();
      await expect(page.getByRole('button', { name: 'Cancel' })).toBeVisible();
      await shot('3-running');
      await expect(page.getByRole('button', { name: 'Export JSON' })).toBeEnabled({ timeout: 500_000 });
      await shot('4-done');
    });
  }
}
