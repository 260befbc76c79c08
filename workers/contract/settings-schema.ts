/** Schemas of settings, derived from the table. */
import { z } from 'zod';
import { SETTINGS, type LevelSettings, type Setting } from './settings.ts';

/** Settings as a report states them: each may be absent. */
export const settingsSchema: z.ZodType<LevelSettings> = z.object(
  Object.fromEntries(
    Object.entries<Setting>(SETTINGS).map(([id, setting]) => [id, valueSchema(setting).exactOptional()]),
  ),
);

function valueSchema(setting: Setting): z.ZodType {
  switch (setting.kind) {
    case 'choice':
      return z.literal(setting.choices.map(({ value }) => value));
    case 'patterns':
      return z.array(z.string());
    case 'overrides':
      return z.array(z.object({ name: z.string(), to: z.enum(setting.targets) }));
  }
}
