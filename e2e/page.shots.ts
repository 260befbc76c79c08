/** `npm run screenshots`: the page in its states, light and dark, wide and narrow, into `screenshots/`. For looking at, not for comparing. */
import { expect, test } from './lane.ts';

const widths = { wide: { width: 1280, height: 900 }, narrow: { width: 390, height: 844 } };

test('the page in its states', async ({ page }) => {
  test.setTimeout(600_000);
  const shoot = async (state: string) => {
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      for (const [name, viewport] of Object.entries(widths)) {
        await page.setViewportSize(viewport);
        await page.screenshot({ path: `screenshots/${state}-${colorScheme}-${name}.png`, fullPage: true, animations: 'disabled' });
      }
    }
  };
  const compare = page.getByRole('button', { name: 'Compare', exact: true });

  await page.goto('/');
  await expect(page.getByRole('button', { name: 'Try the sample model' })).toBeVisible();
  await shoot('1-empty');
  await page.getByRole('button', { name: 'Try the sample model' }).click();
  await expect(compare).toBeEnabled({ timeout: 60_000 });
  await shoot('2-loaded');
  await compare.click();
  await expect(page.getByRole('button', { name: 'Cancel' })).toBeVisible();
  await shoot('3-running');
  await expect(page.getByRole('button', { name: 'Export JSON' })).toBeEnabled({ timeout: 500_000 });
  await page.getByText('All statistics', { exact: true }).click();
  await shoot('4-done');
});
