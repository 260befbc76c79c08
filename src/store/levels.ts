/** The levels a person has set up: plain values, each with an identity of its own. */
import type { BlockSize, LevelId, LevelSettings } from '../../workers/contract/level-settings.ts';
import type { LevelReport } from '../../workers/contract/report.ts';
import type { LevelRequest } from '../../workers/contract/job.ts';

export interface Level {
  /** Identity within this tab; a duplicate gets its own. */
  uid: string;
  id: LevelId;
  settings: LevelSettings;
  /** Milliseconds since the epoch. */
  created: number;
  /** Which colour, shape and pattern it wears everywhere; 0 is the baseline's grey. */
  slot: number;
}

/** Where new identities and times come from. */
export interface Origin {
  uid(): string;
  now(): number;
}

export type Mode = NonNullable<LevelSettings['mode']>;

/** Other ways of computing that a level has. */
export const MODES: Readonly<Record<LevelId, readonly Mode[]>> = {
  fp16: [],
  int8: ['dequantize', 'dynamic'],
  int4: ['dequantize'],
  q4f16: [],
  uint8: [],
};

/** Levels whose block and symmetry are chosen. */
export const BLOCKED: ReadonlySet<LevelId> = new Set<LevelId>(['int4', 'q4f16']);

export const SLOTS = 8;
export const DEFAULT_BLOCK: BlockSize = 32;
export const BLOCKS: readonly BlockSize[] = [16, 32, 64, 128, 256];
/** Ids that may be added; the baseline is there already. */
export const ADDABLE: readonly LevelId[] = ['int8', 'int4', 'q4f16', 'uint8'];

/** Slots int8 and int4 take when free, so that they look the same in every comparison. */
const HOME_SLOT: Record<LevelId, number> = { fp16: 0, int8: 1, int4: 2, uint8: 3, q4f16: 4 };

function freeSlot(id: LevelId, taken: readonly number[]): number {
  if (!taken.includes(HOME_SLOT[id])) return HOME_SLOT[id];
  const others = [3, 4, 5, 6, 7, 1, 2];
  return others.find((slot) => !taken.includes(slot)) ?? others[taken.length % others.length] ?? 3;
}

export function defaultLevels(origin: Origin): Level[] {
  return (['fp16', 'int8', 'int4'] as const).map((id) => ({
    uid: origin.uid(),
    id,
    settings: {},
    created: origin.now(),
    slot: HOME_SLOT[id],
  }));
}

export function addLevel(levels: readonly Level[], id: LevelId, origin: Origin): Level[] {
  const slot = freeSlot(
    id,
    levels.map((level) => level.slot),
  );
  return [...levels, { uid: origin.uid(), id, settings: {}, created: origin.now(), slot }];
}

/** The duplicate stands right behind its original. */
export function duplicateLevel(levels: readonly Level[], uid: string, origin: Origin): Level[] {
  const slot = freeSlot(
    levels.find((level) => level.uid === uid)?.id ?? 'int4',
    levels.map((level) => level.slot),
  );
  return levels.flatMap((level) =>
    level.uid === uid && level.id !== 'fp16'
      ? [level, { ...level, settings: structuredClone(level.settings), uid: origin.uid(), created: origin.now(), slot }]
      : [level],
  );
}

/** The baseline stays. */
export function removeLevel(levels: readonly Level[], uid: string): Level[] {
  return levels.filter((level) => level.uid !== uid || level.id === 'fp16');
}

/** Another level where one stood, with the identity and the colour of that one. */
export function replaceLevel(
  levels: readonly Level[],
  uid: string,
  { id, settings }: Pick<Level, 'id' | 'settings'>,
): Level[] {
  return levels.map((level) =>
    level.uid === uid && level.id !== 'fp16' ? { ...level, id, settings: normalize(id, settings) } : level,
  );
}

/** Replaces settings, leaving out what equals the default so that equal levels compare equal. */
export function editLevel(levels: readonly Level[], uid: string, settings: LevelSettings): Level[] {
  return levels.map((level) =>
    level.uid === uid && level.id !== 'fp16' ? { ...level, settings: normalize(level.id, settings) } : level,
  );
}

export function normalize(id: LevelId, settings: LevelSettings | LevelReport['settings']): LevelSettings {
  if (id === 'fp16') return {};
  return {
    ...(BLOCKED.has(id) && settings.block !== undefined && settings.block !== DEFAULT_BLOCK
      ? { block: settings.block }
      : {}),
    ...(BLOCKED.has(id) && settings.asymmetric ? { asymmetric: true } : {}),
    ...(settings.head === 'keep' ? { head: 'keep' as const } : {}),
    ...(settings.embedding ? { embedding: settings.embedding } : {}),
    ...(settings.source === 'original' ? { source: settings.source } : {}),
    ...(settings.mode && MODES[id].includes(settings.mode) ? { mode: settings.mode } : {}),
    ...(settings.exclude && settings.exclude.length > 0 ? { exclude: [...settings.exclude] } : {}),
    ...(settings.override && settings.override.length > 0 ? { override: [...settings.override] } : {}),
  };
}

/** What makes two levels the same file: `int4 block 128 asymmetric`. Defaults are not mentioned. */
export function levelName(level: Pick<Level, 'id' | 'settings'>): string {
  return [level.id, ...settingWords(level)].join(' ');
}

/** Settings that differ from the defaults, in words. */
export function settingWords({ id, settings }: Pick<Level, 'id' | 'settings'>): string[] {
  const { block, asymmetric, head, embedding, source, mode, exclude, override } = normalize(id, settings);
  return [
    ...(mode ? [modeWords(id, mode)] : []),
    ...(block === undefined ? [] : [`block ${block}`]),
    ...(asymmetric ? ['asymmetric'] : []),
    ...(head ? ['head kept'] : []),
    ...(embedding ? [embedding === 'tokens' ? 'embedding' : 'all tables'] : []),
    ...(source ? ['from float32'] : []),
    ...(exclude ? [`without ${exclude.join(' ')}`] : []),
    ...(override ? override.map(({ name, to }) => `${name} as ${to}`) : []),
  ];
}

/** `per channel`: int8 behind DequantizeLinear has one scale a channel, int4 keeps its blocks. */
const modeWords = (id: LevelId, mode: Mode): string =>
  mode === 'dynamic' ? 'dynamic' : id === 'int8' ? 'per channel' : 'DequantizeLinear';

/** Names and patterns as typed, parted by commas or spaces, to what a level leaves as it is. */
export const excludeFrom = (text: string): string[] => [
  ...new Set(text.split(/[\s,|]+/).filter((pattern) => pattern !== '')),
];

/** Every setting in words, for a result that must say what made it. */
export function describeSettings({ id, settings }: Pick<Level, 'id' | 'settings'>): string {
  if (id === 'fp16') return 'weights in fp16';
  const { block, asymmetric, head, embedding, source, mode, exclude, override } = normalize(id, settings);
  const scales =
    id === 'uint8'
      ? 'one scale a tensor'
      : id === 'int8' && mode
        ? 'one scale a channel'
        : `block ${block ?? DEFAULT_BLOCK}`;
  const symmetric = id === 'uint8' || asymmetric ? 'asymmetric' : 'symmetric';
  return [
    scales,
    symmetric,
    ...(mode === 'dequantize' ? ['behind DequantizeLinear'] : []),
    ...(mode === 'dynamic' || id === 'uint8' ? ['activations quantized while running'] : []),
    head === 'keep' ? 'head kept' : 'head quantized',
    embedding
      ? embedding === 'tokens'
        ? 'embedding quantized'
        : 'embedding and position tables quantized'
      : 'embedding kept',
    ...(source ? ['from the float32 weights'] : []),
    ...(exclude ? [`without ${exclude.join(' ')}`] : []),
    ...(override ? override.map(({ name, to }) => `${name} as ${to}`) : []),
  ].join(', ');
}

export const sameLevel = (a: Pick<Level, 'id' | 'settings'>, b: Pick<Level, 'id' | 'settings'>): boolean =>
  levelName(a) === levelName(b);

export const toRequests = (levels: readonly Level[]): LevelRequest[] =>
  levels.map(({ uid, id, settings }) => ({ key: uid, id, settings }));
