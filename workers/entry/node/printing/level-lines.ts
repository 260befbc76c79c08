/** The levels and their settings, for the usage of the command line. */
import { isRestricted, settingIds, settingsOf, usageOf } from '../../../contract/levels/level.ts';
import { LEVEL_IDS } from '../../../contract/levels/registry.ts';

/** A line for each level with the settings it takes, then the values of each setting. The first value of a list of words is the default. */
export function levelLines(): string[] {
  const width = LEVEL_IDS.reduce((widest, { length }) => Math.max(widest, length), 0);
  const levels = LEVEL_IDS.map((id) => {
    const settings = settingsOf(id).map((key) => (isRestricted(id, key) ? usageOf(id, key) : key));
    return `${id.padEnd(width)}  ${settings.join(', ')}`.trimEnd();
  });
  return [...levels, 'Settings:', ...settingIds().map((key) => `  ${usageOf('', key)}`)];
}
