import type { Page } from '@playwright/test';
import { expect } from './lane.ts';

/** What takes as long as all the rest, and is looked at in tests of its own. */
const SLOW = ['Noise floor', 'Runtime drift', 'Speed and memory'];

/** Opens what there is to measure and leaves out what takes long; what is not offered for the files is not asked for. */
export async function leaveOutExtras(page: Page, names: readonly string[] = SLOW): Promise<void> {
  await page.getByText(/^What to measure:/).click();
  for (const name of names) {
    // By keyboard: while a text is being counted, what is said of it moves the switches.
    const extra = page.getByRole('switch', { name });
    if ((await extra.count()) === 0) continue;
    // Settings outlive a reload: what was left out before is left out still.
    if (await extra.isChecked()) await extra.press('Space');
    await expect(extra).not.toBeChecked();
  }
}
