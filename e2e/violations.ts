import AxeBuilder from '@axe-core/playwright';
import type { Page } from '@playwright/test';
import { expect } from './lane.ts';

/**
 * What axe finds, rule by rule and element by element.
 * @param within A selector: only what it finds is looked at.
 */
export async function violations(page: Page, within?: string): Promise<string[]> {
  // An explanation that happens to be open under the pointer lies outside every landmark, as tooltips do.
  await page.mouse.move(0, 0);
  await expect(page.getByRole('tooltip')).toHaveCount(0);
  // In the page itself: the other mode opens a second page each time, for frames of other origins, and there are none.
  // And of what is in order nothing is told: a selector for every element takes longer than the rules.
  const axe = new AxeBuilder({ page }).setLegacyMode().options({ resultTypes: ['violations'] });
  const { violations: found } = await (within === undefined ? axe : axe.include(within)).analyze();
  return found.flatMap(({ id, nodes }) => nodes.map(({ target, html }) => `${id}: ${target.join(' ')}, ${html}`));
}
