/** A level's settings in full, as reports and the metadata of files state them. */
import { SETTINGS, type LevelSettings, type Setting } from '../settings.ts';
import { valueAt, type Level } from './level.ts';
import { SCHEMES } from './registry.ts';
import type { SettingId } from '../settings.ts';

/** Settings as used, defaults included. Lists are left out where they are empty; the baseline has none. */
export function reportedSettings(level: Level): LevelSettings {
  const resolved = SCHEMES[level.id].resolve(level.settings);
  if (resolved.baseline) return {};
  return Object.fromEntries(
    Object.entries<Setting>(SETTINGS).flatMap(([id, setting]): [string, unknown][] => {
      const value = valueAt(level, id as SettingId);
      if (Array.isArray(value)) return value.length > 0 ? [[id, [...(value as unknown[])]]] : [];
      const reported =
        setting.kind === 'choice' ? setting.reported(resolved, value as string | number | boolean) : undefined;
      return reported === undefined ? [] : [[id, reported]];
    }),
  );
}
