/** Where a level is to run, what is not offered there, and what can be done about it. What runs where is the engine's to say. Pure. */
import type { Capabilities } from '../../workers/contract/capabilities.ts';
import type { EngineError } from '../../workers/contract/errors.ts';
import type { LevelPlan, Target } from '../../workers/contract/level-plan.ts';
import {
  ADDABLE_IDS,
  choicesAt,
  normalize,
  settingOf,
  settingsOf,
  type Level,
} from '../../workers/contract/levels/level.ts';
import type { LevelId } from '../../workers/contract/levels/registry.ts';
import { levelName } from '../../workers/contract/levels/words.ts';
import type { SettingId } from '../../workers/contract/settings.ts';

/** By the names the command line has for them. */
export const TARGET_NAMES: Readonly<Record<Target, string>> = {
  wasm: 'wasm: onnxruntime-web, CPU',
  webgpu: 'webgpu: onnxruntime-web, GPU',
  both: 'both wasm and webgpu',
  cpu: 'cpu: onnxruntime',
  cuda: 'cuda: onnxruntime',
  'transformers.js': 'transformers.js',
};
/** In a sentence: `Not offered for both wasm and webgpu`. */
export const targetInWords = (target: Target): string => (target === 'both' ? 'both wasm and webgpu' : target);

/** On a button: `Compare on WASM`. */
export const TARGET_LABELS: Readonly<Record<Target, string>> = {
  wasm: 'WASM',
  webgpu: 'WebGPU',
  both: 'WASM and WebGPU',
  cpu: 'onnxruntime, CPU',
  cuda: 'onnxruntime, CUDA',
  'transformers.js': 'transformers.js',
};

/** Until the machine is known: what every browser has. */
export const FIRST_TARGET: Target = 'wasm';
export const targetNamed = (name: string): Target =>
  (Object.keys(TARGET_NAMES) as Target[]).find((target) => target === name) ?? FIRST_TARGET;

/** What the engine has said of a level: targets that do not run it, and why it cannot be made at all. */
export interface Offer {
  notOn: NonNullable<LevelPlan['notOn']>;
  problem: EngineError | null;
}

/** By `levelName`. */
export type Offers = ReadonlyMap<string, Offer>;

/** Why a target does not run a level, in a sentence; null when it does, and while the engine has not said. */
export function refusal(offers: Offers, target: Target, level: Level): string | null {
  return offers.get(levelName(level))?.notOn.find((entry) => entry.target === target)?.reason ?? null;
}

/** Whether a level takes part in a comparison for a target: the baseline always. */
export const takesPart = (offers: Offers, target: Target, level: Level): boolean =>
  level.id === 'fp16' || (refusal(offers, target, level) === null && !offers.get(levelName(level))?.problem);

export const offered = <T extends Level>(levels: readonly T[], offers: Offers, target: Target): T[] =>
  levels.filter((level) => takesPart(offers, target, level));

/** Which of a target's runtimes does not run a level: of `both` the one that refuses it. */
export function refusedBy(offers: Offers, target: Target, level: Level): Target {
  if (target !== 'both') return target;
  return refusal(offers, 'wasm', level) === null ? 'webgpu' : 'wasm';
}

/** Targets to try when one refuses, the likeliest first. */
const NEXT: readonly Target[] = ['wasm', 'webgpu', 'cpu', 'cuda', 'transformers.js'];

/** The target that runs a level another one refuses; null when none does. */
export const targetFor = (offers: Offers, level: Level): Target | null =>
  NEXT.find((target) => refusal(offers, target, level) === null) ?? null;

/**
 * The target of a page where none was chosen: what this machine has. With an adapter that is WASM and WebGPU, unless
 * one of the levels set up runs on WASM only.
 */
export function defaultTarget(capabilities: Capabilities | null, levels: readonly Level[], offers: Offers): Target {
  if (!capabilities?.webgpu.available) return 'wasm';
  const refuses = (target: Target) =>
    levels.filter((level) => level.id !== 'fp16' && refusal(offers, target, level) !== null).length;
  return refuses('both') > refuses('wasm') ? 'wasm' : 'both';
}

/** Levels that can be made of the model and run on a target, in place of one that cannot be made: other settings first. */
export function replacements(levels: readonly Level[], offers: Offers, target: Target, level: Level): Level[] {
  const there = new Set(levels.map(levelName));
  const known = (setup: Level) =>
    offers.has(levelName(setup)) && !there.has(levelName(setup)) && takesPart(offers, target, setup);
  return [...choicesOf(level).map((choice) => choice.level), ...ADDABLE_IDS.map((id) => ({ id, settings: {} }))].filter(
    known,
  );
}

/** One thing that may be chosen on a level. */
export interface Choice {
  words: string;
  level: Level;
}

/** A level with one setting changed. */
export const withSetting = ({ id, settings }: Level, key: SettingId, value: unknown): Level => ({
  id,
  settings: normalize(id, { ...settings, [key]: value }),
});

/** Settings of a level whose values the page lists; a target may refuse some of them. */
export const listSettings = (id: LevelId): SettingId[] =>
  settingsOf(id).filter((key) => {
    const setting = settingOf(key);
    return setting?.kind === 'choice' && typeof setting.control === 'string';
  });

/** What a level's settings could be changed to on its card, one at a time. Switches are offered everywhere. */
export function choicesOf(level: Level): Choice[] {
  const name = levelName(level);
  return listSettings(level.id)
    .flatMap((key) =>
      choicesAt(level.id, key).map(({ value, words }) => ({ words, level: withSetting(level, key, value) })),
    )
    .filter((choice) => levelName(choice.level) !== name);
}

/** Everything that might be chosen next and that the engine has not spoken of, each once. */
export function unasked(levels: readonly Level[], offers: Offers): Level[] {
  const next = new Map<string, Level>();
  const planned = new Set(levels.map(levelName));
  for (const level of [
    ...ADDABLE_IDS.map((id) => ({ id, settings: {} })),
    ...levels.flatMap((each) => choicesOf(each).map((choice) => choice.level)),
  ]) {
    const name = levelName(level);
    if (!planned.has(name) && !offers.has(name)) next.set(name, level);
  }
  return [...next.values()];
}

export interface Refused {
  words: string[];
  reason: string;
  /** A target that runs all of them. */ target: Target | null;
}

/** Choices a target does not run, gathered by why. */
export function refused(choices: readonly Choice[], offers: Offers, target: Target): Refused[] {
  const byReason = new Map<string, Choice[]>();
  for (const choice of choices) {
    const reason = refusal(offers, target, choice.level);
    if (reason !== null) byReason.set(reason, [...(byReason.get(reason) ?? []), choice]);
  }
  return [...byReason].map(([reason, group]) => ({
    reason,
    words: group.map(({ words }) => words),
    target: NEXT.find((other) => group.every(({ level }) => refusal(offers, other, level) === null)) ?? null,
  }));
}
