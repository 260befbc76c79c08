/** Levels as text: `id[:key[=value],…]`, e.g. `int4:block=128,asymmetric,exclude=lm_head*|model.layers.0.*`. */
import { engineError, type Result } from '../errors.ts';
import { SETTINGS, type Choice, type LevelSettings, type Setting, type SettingId } from '../settings.ts';
import { defaultOf, type Scheme } from './definition.ts';
import { LEVEL_IDS, SCHEMES, type LevelId } from './registry.ts';
import type { Override } from './scheme.ts';

/** A level with its settings. */
export interface Level {
  id: LevelId;
  settings: LevelSettings;
}

/** Ids of the levels that can be added to a comparison: all but the baseline, which is always compared. */
export const ADDABLE_IDS: readonly LevelId[] = LEVEL_IDS.filter((id) => id !== 'fp16');

/** Ids of the levels that are compared with the baseline when no others are asked for. */
export const DEFAULT_IDS: readonly LevelId[] = ADDABLE_IDS.filter((id) => SCHEMES[id].byDefault);

/** Whether a level has this id. */
export function isLevelId(id: string): id is LevelId {
  return Object.hasOwn(SCHEMES, id);
}

/** A setting by its key; undefined when there is none. */
export function settingOf(key: string): Setting | undefined {
  return Object.hasOwn(SETTINGS, key) ? SETTINGS[key as SettingId] : undefined;
}

/** Keys of the settings in the order in which they are written: those that lead come first. */
export function settingIds(): SettingId[] {
  const ids = Object.keys(SETTINGS) as SettingId[];
  return [...ids.filter((id) => settingOf(id)?.leads), ...ids.filter((id) => !settingOf(id)?.leads)];
}

/** Keys of the settings that a level takes, in the order in which they are written. */
export function settingsOf(id: LevelId): SettingId[] {
  return settingIds().filter((key) => Object.hasOwn(SCHEMES[id].settings, key));
}

/** The values a level takes of a setting, in the level's words; all of them for an id of no level. */
export function choicesAt(id: string, key: SettingId): Choice[] {
  const setting = settingOf(key);
  if (setting?.kind !== 'choice') return [];
  const scheme: Scheme | undefined = isLevelId(id) ? SCHEMES[id] : undefined;
  const { values, words = {} } = scheme?.settings[key] ?? {};
  return setting.choices
    .filter(({ value }) => values?.includes(value) ?? true)
    .map((choice) => ({ ...choice, words: words[String(choice.value)] ?? choice.words }));
}

/** The value of a setting that a level has, its default included. */
export function valueAt(level: Level, key: SettingId): unknown {
  return level.settings[key] ?? defaultOf(key, SCHEMES[level.id].settings[key]);
}

/** Reads a level. Errors: `level-unknown`; `level-invalid`, which names the settings that the level takes. */
export function parseLevel(text: string): Result<Level> {
  const [id, rest] = split(text, ':');
  if (!isLevelId(id)) {
    return {
      ok: false,
      error: engineError('level-unknown', `There is no level called "${id}".`, `Use one of ${LEVEL_IDS.join(', ')}.`),
    };
  }
  const given = new Map<string, unknown>();
  for (const part of rest === undefined ? [] : rest.split(',')) {
    const [key, value] = split(part.trim(), '=');
    if (given.has(key)) return invalid(text, id, `"${key}" is given twice`);
    if (!Object.hasOwn(SCHEMES[id].settings, key)) return invalid(text, id, `${id} has no setting "${key}"`);
    const read = parseValue(id, key as SettingId, value);
    if (read === undefined) return invalid(text, id, `"${key}" cannot have that value`);
    given.set(key, read);
  }
  return { ok: true, value: { id, settings: normalize(id, Object.fromEntries(given)) } };
}

/** The text a level is written as. Defaults are left out, so equal levels have equal text. */
export function formatLevel({ id, settings }: Level): string {
  const normal = normalize(id, settings);
  const parts = settingIds().flatMap((key) => (normal[key] === undefined ? [] : [formatValue(key, normal[key])]));
  return parts.length === 0 ? id : `${id}:${parts.join(',')}`;
}

/** The settings that make a level what it is: without defaults, and without what the level does not take. */
export function normalize(id: LevelId, settings: LevelSettings): LevelSettings {
  const { settings: taken } = SCHEMES[id];
  const keys = (Object.keys(SETTINGS) as SettingId[]).filter((key) => Object.hasOwn(taken, key));
  return Object.fromEntries(
    keys.flatMap((key): [string, unknown][] => {
      const value = settings[key];
      if (Array.isArray(value)) return value.length > 0 ? [[key, [...value]]] : [];
      const isChosen =
        value !== defaultOf(key, taken[key]) && choicesAt(id, key).some((choice) => choice.value === value);
      return isChosen ? [[key, value]] : [];
    }),
  );
}

/** Reads what follows a key's `=`, undefined where nothing does. Undefined for what the level does not take. */
export function parseValue(id: string, key: SettingId, text: string | undefined): unknown {
  const setting = settingOf(key);
  switch (setting?.kind) {
    case 'choice':
      return choicesAt(id, key).find(({ value }) => value === scalar(text))?.value;
    case 'patterns': {
      const patterns = text?.split('|');
      return patterns?.every((pattern) => pattern !== '') ? patterns : undefined;
    }
    case 'overrides': {
      const overrides = text?.split('|').map(overrideOf);
      return overrides?.every(({ name, to }) => name !== '' && (setting.targets as readonly string[]).includes(to))
        ? overrides
        : undefined;
    }
    case undefined:
      return undefined;
  }
}

/** Names and patterns as a person types them, separated by commas or spaces; each once. */
export function readPatterns(text: string): string[] {
  return [...new Set(text.split(/[\s,|]+/).filter((pattern) => pattern !== ''))];
}

/** A setting as it is written in a level: `block=128`, `asymmetric`. */
export function formatValue(key: SettingId, value: unknown): string {
  if (value === true) return key;
  if (!Array.isArray(value)) return `${key}=${String(value)}`;
  const entries = value as (string | Override)[];
  return `${key}=${entries
    .map((entry) => (typeof entry === 'string' ? spelled(entry) : `${spelled(entry.name)}=${entry.to}`))
    .join('|')}`;
}

/** How a level takes a setting, for its usage: `block=16|32|64|128|256`, `embedding[=tokens]`, `exclude=NAME|…`. */
export function usageOf(id: string, key: SettingId): string {
  const setting = settingOf(key);
  if (setting?.kind === 'patterns') return `${key}=NAME|…`;
  if (setting?.kind === 'overrides') return `${key}=${setting.targets.map((to) => `NAME=${to}`).join('|')}|…`;
  const values = choicesAt(id, key).map(({ value }) => value);
  const named = values.filter((value) => typeof value !== 'boolean').join('|');
  return values.includes(true) ? `${key}${named === '' ? '' : `[=${named}]`}` : `${key}=${named}`;
}

/** Whether a level takes only some values of a setting. */
export function isRestricted(id: LevelId, key: SettingId): boolean {
  return SCHEMES[id].settings[key]?.values !== undefined;
}

/** `128`, `true` and other words as values; a key alone means true. */
function scalar(text: string | undefined): string | number | boolean {
  if (text === undefined || text === 'true') return true;
  if (text === 'false') return false;
  return /^\d+$/.test(text) ? Number(text) : text;
}

/** `NAME=LEVEL`; a name may contain an equals sign. */
function overrideOf(text: string): { name: string; to: string } {
  const at = text.lastIndexOf('=');
  return { name: text.slice(0, Math.max(at, 0)), to: text.slice(at + 1) };
}

/** A pattern without the characters that separate settings and patterns. */
function spelled(pattern: string): string {
  return pattern.replace(/[,|]/g, '?');
}

/** The text before the first separator, and that after it; undefined where there is no separator. */
export function split(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}

function invalid(text: string, id: LevelId, why: string): Result<never> {
  const keys = settingsOf(id);
  return {
    ok: false,
    error: engineError(
      'level-invalid',
      `"${text}" is not a level: ${why}.`,
      keys.length === 0 ? `${id} takes no settings.` : `${id} takes ${keys.map((key) => usageOf(id, key)).join(', ')}.`,
    ),
  };
}
