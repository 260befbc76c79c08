/** Levels in words, as the page and sentences name them. */
import { SETTINGS, type SettingId } from '../settings.ts';
import { choicesAt, normalize, parseValue, settingIds, settingOf, split, valueAt, type Level } from './level.ts';
import { SCHEMES } from './registry.ts';
import type { Override } from './scheme.ts';

/** A level by what makes it different from others: `int4 block 128 asymmetric`. Defaults are not mentioned. */
export function levelName(level: Level): string {
  return [level.id, ...settingWords(level)].join(' ');
}

/** Whether two levels write the same file. */
export function sameLevel(a: Level, b: Level): boolean {
  return levelName(a) === levelName(b);
}

/** The settings that differ from the defaults, in words: `block 128`, `asymmetric`. */
export function settingWords({ id, settings }: Level): string[] {
  const normal = normalize(id, settings);
  return settingIds().flatMap((key) => (normal[key] === undefined ? [] : valueWords(id, key, normal[key])));
}

/** Every setting of a level in words, for a result that says what made it. */
export function describeSettings({ id, settings }: Level): string {
  const { settings: taken, resolve } = SCHEMES[id];
  const resolved = resolve(settings);
  if (resolved.baseline) return `weights in ${id}`;
  return settingIds()
    .flatMap((key) => {
      const setting = settingOf(key);
      if (!setting) return [];
      if (!Object.hasOwn(taken, key)) return setting.fixed?.(resolved)?.sentence ?? [];
      const value = valueAt({ id, settings }, key);
      const choice = choicesAt(id, key).find((each) => each.value === value);
      return choice ? (choice.sentence ?? choice.words) : valueWords(id, key, value);
    })
    .filter((words) => words !== '')
    .join(', ');
}

/** A spelling in words: `int4:block=128,embedding=tokens` → `int4, block 128, embedding`. Unknown settings stay as spelled. */
export function spellingInWords(spelling: string): string {
  const [id, rest] = split(spelling, ':');
  const parts = rest === undefined ? [] : rest.split(',');
  return [
    id,
    ...parts.flatMap((part) => {
      const [key, text] = split(part, '=');
      const value = Object.hasOwn(SETTINGS, key) ? parseValue(id, key as SettingId, text) : undefined;
      return value === undefined ? [part] : valueWords(id, key as SettingId, value);
    }),
  ].join(', ');
}

/** A value in words; a list may take several, and none where it is empty. */
function valueWords(id: string, key: SettingId, value: unknown): string[] {
  const setting = settingOf(key);
  switch (setting?.kind) {
    case 'choice':
      return choicesAt(id, key).flatMap((choice) => (choice.value === value ? [choice.words] : []));
    case 'patterns':
      return (value as string[]).length > 0 ? [`${setting.verb} ${(value as string[]).join(' ')}`] : [];
    case 'overrides':
      return (value as Override[]).map(({ name, to }) => `${name} as ${to}`);
    case undefined:
      return [];
  }
}
