/** Where a level is to run, and what is not offered there. What runs where is the engine's to say. Pure. */
import type { BlockSize, LevelId, LevelPlan, LevelSettings, Target } from '../../workers/protocol.ts';
import { ADDABLE, BLOCKED, BLOCKS, levelName, MODES, normalize, type Level, type Mode } from './levels.ts';

/** By the names the command line has for them. */
export const TARGET_NAMES: Readonly<Record<Target, string>> = {
  'wasm': 'wasm: onnxruntime-web, CPU',
  'webgpu': 'webgpu: onnxruntime-web, GPU',
  'both': 'both wasm and webgpu',
  'cpu': 'cpu: onnxruntime',
  'cuda': 'cuda: onnxruntime',
  'transformers.js': 'transformers.js',
};
/** In a sentence: `not made for both wasm and webgpu`. */
export const targetInWords = (target: Target): string => target === 'both' ? 'both wasm and webgpu' : target;

export const DEFAULT_TARGET: Target = 'both';
export const targetNamed = (name: string): Target => (Object.keys(TARGET_NAMES) as Target[]).find((target) => target === name) ?? DEFAULT_TARGET;

/** What the engine has said of levels, by `levelName`: the targets each is not made for. */
export type Offers = ReadonlyMap<string, NonNullable<LevelPlan['notOn']>>;

type Setup = Pick<Level, 'id' | 'settings'>;

/** Why a level is not made for a target, in a sentence; null when it runs there, and while the engine has not said. */
export function refusal(offers: Offers, target: Target, level: Setup): string | null {
  return offers.get(levelName(level))?.find((entry) => entry.target === target)?.reason ?? null;
}

/** Levels that take part in a comparison for a target: the baseline always. */
export const offered = <T extends Setup>(levels: readonly T[], offers: Offers, target: Target): T[] =>
  levels.filter((level) => level.id === 'fp16' || refusal(offers, target, level) === null);

/** One thing that may be chosen on a level. */
export interface Choice { words: string; level: Setup }

export const withMode = ({ id, settings }: Setup, mode: Mode | undefined): Setup => {
  const rest: LevelSettings = { ...settings };
  delete rest.mode;
  return { id, settings: normalize(id, mode ? { ...rest, mode } : rest) };
};
export const withBlock = ({ id, settings }: Setup, block: BlockSize): Setup => ({ id, settings: normalize(id, { ...settings, block }) });
export const withRange = ({ id, settings }: Setup, asymmetric: boolean): Setup => ({ id, settings: normalize(id, { ...settings, asymmetric }) });

export const modeLabel = (id: LevelId, mode: Mode | undefined): string =>
  mode === undefined ? 'blocks' : mode === 'dynamic' ? 'dynamic' : id === 'int8' ? 'per channel' : 'DequantizeLinear';

/** What a level's settings could be changed to, one at a time. */
export function choicesOf(level: Setup): Choice[] {
  const name = levelName(level);
  const modes = MODES[level.id].length > 0 ? [undefined, ...MODES[level.id]] : [];
  return [
    ...modes.map((mode) => ({ words: modeLabel(level.id, mode), level: withMode(level, mode) })),
    ...(BLOCKED.has(level.id) ? BLOCKS.map((block) => ({ words: `block ${block}`, level: withBlock(level, block) })) : []),
    ...(BLOCKED.has(level.id) ? [false, true].map((asymmetric) => ({ words: asymmetric ? 'asymmetric' : 'symmetric', level: withRange(level, asymmetric) })) : []),
  ].filter((choice) => levelName(choice.level) !== name);
}

/** Everything that might be chosen next and that the engine has not spoken of, each once. */
export function unasked(levels: readonly Setup[], offers: Offers): Setup[] {
  const next = new Map<string, Setup>();
  const planned = new Set(levels.map(levelName));
  for (const level of [...ADDABLE.map((id) => ({ id, settings: {} })), ...levels.flatMap((each) => choicesOf(each).map((choice) => choice.level))]) {
    const name = levelName(level);
    if (!planned.has(name) && !offers.has(name)) next.set(name, level);
  }
  return [...next.values()];
}

/** Choices a target has nothing of, gathered by why. */
export function refused(choices: readonly Choice[], offers: Offers, target: Target): { words: string[]; reason: string }[] {
  const byReason = new Map<string, string[]>();
  for (const { words, level } of choices) {
    const reason = refusal(offers, target, level);
    if (reason !== null) byReason.set(reason, [...(byReason.get(reason) ?? []), words]);
  }
  return [...byReason].map(([reason, words]) => ({ words, reason }));
}

