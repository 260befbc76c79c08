/** What a level's plan gives to say before anything is run: where its bytes are, what other settings would save. Pure. */
import type { LevelAlternative, LevelPlan } from '../../../workers/contract/level-plan.ts';
import type { LevelSettings } from '../../../workers/contract/settings.ts';

export type AdviceCode = 'stored-twice' | 'larger-than-fp16' | 'embedding-is-most';

/** Something to say about a level's size, with the settings that change it. */
export interface Advice {
  code: AdviceCode;
  /** Bytes it is about: what is stored in addition, or what the file has more than fp16, or what could be saved. */
  bytes: number;
  /** Names of tensors that are stored twice. */
  tensors: string[];
  /** Smaller ways, the one to take first. */
  ways: LevelAlternative[];
}

/** Less than this share of the file is not worth a setting. */
const WORTH = 0.05;
/** Of files that are more than this share of fp16, and of savings from this share on, the default is to quantize the table. */
const HARDLY_SMALLER = 0.8;
const MUCH_SMALLER = 0.45;

/** Null when the level is as small as it should be, and for plans that do not say. */
export function adviceOn(plan: LevelPlan, settings: LevelSettings): Advice | null {
  const { bytes, baselineBytes, storedTwice, alternatives = [], problem } = plan;
  if (problem) return null;
  const saves = (way: LevelAlternative) => bytes - way.bytes >= WORTH * bytes;
  const ways = alternatives
    .filter(saves)
    .toSorted((a, b) => order(a, settings) - order(b, settings) || a.bytes - b.bytes);
  const [first] = ways;
  if (storedTwice && storedTwice.bytes >= WORTH * bytes)
    return {
      code: 'stored-twice',
      bytes: storedTwice.bytes,
      tensors: storedTwice.tensors.map(({ tensor }) => tensor),
      ways,
    };
  if (!first) return null;
  if (baselineBytes !== undefined && bytes > baselineBytes)
    return { code: 'larger-than-fp16', bytes: bytes - baselineBytes, tensors: [], ways };
  return { code: 'embedding-is-most', bytes: bytes - first.bytes, tensors: [], ways };
}

/** The switch before the override, the override before keeping the head. */
const order = ({ settings }: LevelAlternative, before: LevelSettings): number =>
  settings.embedding && !before.embedding
    ? 0
    : (settings.override?.length ?? 0) > (before.override?.length ?? 0)
      ? 1
      : 2;

/**
 * Settings a new level should have on this model instead of none: its token embedding quantized where the table would
 * be stored twice, where the file would hardly be smaller than fp16, and where the table would be most of it.
 */
export function betterDefault(plan: LevelPlan): LevelSettings | null {
  const advice = adviceOn(plan, {});
  const way = advice?.ways.find(({ settings }) => settings.embedding);
  if (!advice || !way) return null;
  const hardlySmaller = plan.baselineBytes !== undefined && plan.bytes > HARDLY_SMALLER * plan.baselineBytes;
  const pays =
    (advice.code === 'stored-twice' && way.storedTwiceBytes < advice.bytes) ||
    hardlySmaller ||
    plan.bytes - way.bytes >= MUCH_SMALLER * plan.bytes;
  return pays ? way.settings : null;
}
