/** What a precision level is, and how one is defined. */
import type { Dtype } from './dtypes.ts';
import { SETTINGS, type ChoiceValue, type FullSettings, type LevelSettings, type SettingId } from '../settings.ts';
import type { ResolvedLevel } from './scheme.ts';

/** How a level takes a setting; `{}` takes it as the table has it. */
export interface Takes {
  /** The values that may be chosen, a part of the setting's; all when absent. */
  values?: readonly ChoiceValue[];
  /** The default here, where it is another than the setting's. */
  default?: ChoiceValue;
  /** What values are called here, by value, where the setting's words do not fit. */
  words?: Readonly<Record<string, string>>;
}

/** A precision level. */
export interface Scheme<Id extends string = string> {
  id: Id;
  /** One sentence: what becomes of a weight, on hover. */
  help: string;
  /** Colour, shape and pattern on the page while they are free, see src/ui/mark.tsx. */
  slot: number;
  /** Bits of a weight, without scales. */
  bits: number;
  /** What the ledger calls a weight of this level. */
  element: string;
  /** Compared when nothing else is asked for. */
  byDefault?: true;
  /** The settings that may be given. */
  settings: Readonly<Partial<Record<SettingId, Takes>>>;
  /** The formats that settings amount to. */
  resolve(settings: LevelSettings): ResolvedLevel;
  /** What transformers.js calls the level; its file names follow from that. */
  dtype(settings: LevelSettings): Dtype;
}

/** A level as its file defines it: `resolve` and `dtype` are given settings with defaults filled in. */
export interface LevelDefinition extends Omit<Scheme, 'resolve' | 'dtype'> {
  resolve(settings: FullSettings): Omit<ResolvedLevel, keyof CommonSettings | 'id'> & Partial<CommonSettings>;
  dtype: Dtype | ((settings: FullSettings) => Dtype);
}

type CommonSettings = Pick<ResolvedLevel, 'baseline' | 'head' | 'tables' | 'source' | 'exclude' | 'override'>;

/** The settings that every level but the baseline takes. */
export const COMMON_SETTINGS = { head: {}, embedding: {}, source: {}, exclude: {}, override: {} } as const;

/** Makes a level of its definition: settings are filled in, and those that all levels take alike are resolved. */
export function defineLevel<const Id extends string>(definition: LevelDefinition & { id: Id }): Scheme<Id> {
  const { dtype } = definition;
  return {
    ...definition,
    resolve(settings) {
      const full = fullSettings(definition.settings, settings);
      const { head, embedding, source, exclude, override } = full;
      return {
        id: definition.id,
        baseline: false,
        head: head === 'quantize',
        tables: embedding === 'tokens' ? 'tokens' : embedding ? 'all' : 'none',
        source,
        exclude,
        override,
        ...definition.resolve(full),
      };
    },
    dtype: (settings) => (typeof dtype === 'string' ? dtype : dtype(fullSettings(definition.settings, settings))),
  };
}

/** The default of a setting at a level that takes it so. */
export function defaultOf(id: SettingId, takes: Takes | undefined): unknown {
  const setting = SETTINGS[id];
  return setting.kind === 'choice' ? (takes?.default ?? setting.default) : [];
}

/** Settings with the defaults of a level filled in. */
function fullSettings(taken: Scheme['settings'], settings: LevelSettings): FullSettings {
  const ids = Object.keys(SETTINGS) as SettingId[];
  return Object.fromEntries(ids.map((id) => [id, settings[id] ?? defaultOf(id, taken[id])])) as FullSettings;
}
