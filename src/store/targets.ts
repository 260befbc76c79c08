/** Where a level is to run, what is not offered there, and what can be done about it. What runs where is the engine's to say. Pure. */
import type { BlockSize, LevelId, LevelSettings } from '../../workers/contract/level-settings.ts';
import type { Capabilities } from '../../workers/contract/capabilities.ts';
import type { EngineError } from '../../workers/contract/errors.ts';
import type { LevelPlan, Target } from '../../workers/contract/level-plan.ts';
import { ADDABLE, BLOCKED, BLOCKS, levelName, MODES, normalize, type Level, type Mode } from './levels.ts';

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

type Setup = Pick<Level, 'id' | 'settings'>;

/** Why a target does not run a level, in a sentence; null when it does, and while the engine has not said. */
export function refusal(offers: Offers, target: Target, level: Setup): string | null {
  return offers.get(levelName(level))?.notOn.find((entry) => entry.target === target)?.reason ?? null;
}

/** Whether a level takes part in a comparison for a target: the baseline always. */
export const takesPart = (offers: Offers, target: Target, level: Setup): boolean =>
  level.id === 'fp16' || (refusal(offers, target, level) === null && !offers.get(levelName(level))?.problem);

export const offered = <T extends Setup>(levels: readonly T[], offers: Offers, target: Target): T[] =>
  levels.filter((level) => takesPart(offers, target, level));

/** Which of a target's runtimes does not run a level: of `both` the one that refuses it. */
export function refusedBy(offers: Offers, target: Target, level: Setup): Target {
  if (target !== 'both') return target;
  return refusal(offers, 'wasm', level) === null ? 'webgpu' : 'wasm';
}

/** Targets to try when one refuses, the likeliest first. */
const NEXT: readonly Target[] = ['wasm', 'webgpu', 'cpu', 'cuda', 'transformers.js'];

/** The target that runs a level another one refuses; null when none does. */
export const targetFor = (offers: Offers, level: Setup): Target | null =>
  NEXT.find((target) => refusal(offers, target, level) === null) ?? null;

/**
 * The target of a page where none was chosen: what this machine has. With an adapter that is WASM and WebGPU, unless
 * one of the levels set up runs on WASM only.
 */
export function defaultTarget(capabilities: Capabilities | null, levels: readonly Setup[], offers: Offers): Target {
  if (!capabilities?.webgpu.available) return 'wasm';
  const refuses = (target: Target) =>
    levels.filter((level) => level.id !== 'fp16' && refusal(offers, target, level) !== null).length;
  return refuses('both') > refuses('wasm') ? 'wasm' : 'both';
}

/** Levels that can be made of the model and run on a target, in place of one that cannot be made: other settings first. */
export function replacements(levels: readonly Setup[], offers: Offers, target: Target, level: Setup): Setup[] {
  const there = new Set(levels.map(levelName));
  const known = (setup: Setup) =>
    offers.has(levelName(setup)) && !there.has(levelName(setup)) && takesPart(offers, target, setup);
  return [...choicesOf(level).map((choice) => choice.level), ...ADDABLE.map((id) => ({ id, settings: {} }))].filter(
    known,
  );
}

/** One thing that may be chosen on a level. */
export interface Choice {
  words: string;
  level: Setup;
}

export const withMode = ({ id, settings }: Setup, mode: Mode | undefined): Setup => {
  const rest: LevelSettings = { ...settings };
  delete rest.mode;
  return { id, settings: normalize(id, mode ? { ...rest, mode } : rest) };
};
export const withBlock = ({ id, settings }: Setup, block: BlockSize): Setup => ({
  id,
  settings: normalize(id, { ...settings, block }),
});
export const withRange = ({ id, settings }: Setup, asymmetric: boolean): Setup => ({
  id,
  settings: normalize(id, { ...settings, asymmetric }),
});

export const modeLabel = (id: LevelId, mode: Mode | undefined): string =>
  mode === undefined ? 'blocks' : mode === 'dynamic' ? 'dynamic' : id === 'int8' ? 'per channel' : 'DequantizeLinear';

/** What a level's settings could be changed to, one at a time. */
export function choicesOf(level: Setup): Choice[] {
  const name = levelName(level);
  const modes = MODES[level.id].length > 0 ? [undefined, ...MODES[level.id]] : [];
  return [
    ...modes.map((mode) => ({ words: modeLabel(level.id, mode), level: withMode(level, mode) })),
    ...(BLOCKED.has(level.id)
      ? BLOCKS.map((block) => ({ words: `block ${block}`, level: withBlock(level, block) }))
      : []),
    ...(BLOCKED.has(level.id)
      ? [false, true].map((asymmetric) => ({
          words: asymmetric ? 'asymmetric' : 'symmetric',
          level: withRange(level, asymmetric),
        }))
      : []),
  ].filter((choice) => levelName(choice.level) !== name);
}

/** Everything that might be chosen next and that the engine has not spoken of, each once. */
export function unasked(levels: readonly Setup[], offers: Offers): Setup[] {
  const next = new Map<string, Setup>();
  const planned = new Set(levels.map(levelName));
  for (const level of [
    ...ADDABLE.map((id) => ({ id, settings: {} })),
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
