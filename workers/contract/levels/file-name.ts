/** Names of the files that levels are written to, as transformers.js looks for them. */
import { normalize, settingIds, settingOf, choicesAt, type Level } from './level.ts';
import { DTYPE_SUFFIXES } from './dtypes.ts';
import { SCHEMES } from './registry.ts';
import type { Override } from './scheme.ts';

/** `model_fp16.onnx` at level int4 becomes `model_q4.onnx`. */
export function fileName(model: string, suffix: string): string {
  // On Windows a backslash separates folders, too.
  const base = model.split(/[/\\]/).at(-1) ?? model;
  return `${base.replace(/\.onnx$/i, '').replace(/_(fp16|fp32|float16|float32)$/i, '') || 'model'}${suffix}.onnx`;
}

/** What transformers.js and Optimum call the data file of a model. */
export function dataFileName(model: string): string {
  return `${model}_data`;
}

/** The suffix that transformers.js looks for; `levelSuffix` begins with it. */
export function dtypeSuffix({ id, settings }: Level): string {
  return DTYPE_SUFFIXES[SCHEMES[id].dtype(settings)];
}

/** End of a level's file names, with what differs from the default settings: `_q4_block128_asymmetric`. */
export function levelSuffix(level: Level): string {
  const normal = normalize(level.id, level.settings);
  return [
    dtypeSuffix(level),
    ...settingIds().map((key) => {
      const setting = settingOf(key);
      const value: unknown = normal[key];
      if (!setting || value === undefined) return '';
      if (setting.kind === 'choice') return choicesAt(level.id, key).find((each) => each.value === value)?.suffix ?? '';
      const entries = (value as (string | Override)[]).map((entry) =>
        typeof entry === 'string' ? entry : `${entry.name}=${entry.to}`,
      );
      return `${setting.suffix}-${fingerprint(entries)}`;
    }),
  ].join('');
}

/** A short mark that tells lists of patterns apart (FNV-1a): patterns may contain what file names may not. */
function fingerprint(patterns: readonly string[]): string {
  let hash = 0x811c9dc5;
  for (const character of patterns.join('|')) hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, '0');
}
