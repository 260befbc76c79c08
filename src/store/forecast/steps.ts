/** The steps that a comparison will take, in order, with how much work each is. Pure. */
import type { Capabilities, Provider } from '../../../workers/contract/capabilities.ts';
import type { Extras } from '../../../workers/contract/job.ts';
import { normalize, settingIds, settingOf, type Level } from '../../../workers/contract/levels/level.ts';
import type { TimedStep } from '../../../workers/contract/events.ts';

/** What is measured besides the text's figures, and the graphics adapter it can be measured on. */
export interface Checks {
  noiseFloor: boolean;
  runtimeDrift: boolean;
  speed: boolean;
  gpu: 'none' | 'software' | 'hardware';
}

export function checksOf(
  { noiseFloor = false, runtimeDrift = false, speed = false }: Extras,
  capabilities: Capabilities | null,
): Checks {
  const gpu = capabilities?.webgpu.available ? (capabilities.webgpu.software ? 'software' : 'hardware') : 'none';
  return { noiseFloor, runtimeDrift, speed, gpu };
}

/** A comparison as far as its time depends on it. */
export interface RunShape {
  model: { bytes: number; parameters: number; baseline: 'as-is' | 'rounded-to-fp16' };
  /** The baseline first. `bytes` is the planned size; `kind` comes from `kindOf`. */
  levels: readonly { key: string; kind: string; bytes: number }[];
  text: {
    bytes: number;
    /** Tokens each model runs; overlapping windows count each time. */ tokens: number;
    window: number;
  };
  /** Where the models are measured. */
  provider: Provider;
  checks: Checks;
}

/** One step and its work. Steps of the same `order` run in turns. */
export interface Step {
  step: TimedStep;
  /** As in `Timing`. */
  level: string | null;
  provider: Provider | null;
  /** How the model computes; empty where no model is run. */
  kind: string;
  /** Parameters of the model. */
  size: number;
  /** Unit as in `Timing`. */
  amount: number;
  order: number;
}

/** Windows of the noise floor (workers/evaluate/text/noise-floor.ts). */
const NOISE_FLOOR_WINDOWS = 16;
export const FLOAT32 = 'float32';

/** Levels of a kind take about the same time: `int4`, `int4 block 16`, `int8 dynamic`. Which tables are quantized matters little. */
export function kindOf({ id, settings }: Level): string {
  const normal = normalize(id, settings);
  const values = settingIds().flatMap((key) => {
    const value: unknown = normal[key];
    if (value === undefined || !settingOf(key)?.setsPace) return [];
    return typeof value === 'string' ? [value] : [`${key} ${JSON.stringify(value)}`];
  });
  return [id, ...values].join(' ');
}

export function stepsOf({ model, levels, text, provider, checks }: RunShape): Step[] {
  const size = model.parameters;
  const plain = (step: TimedStep, order: number, amount: number, on: Provider | null = null): Step => ({
    step,
    level: null,
    provider: on,
    kind: '',
    size,
    amount,
    order,
  });
  const each = (step: TimedStep, order: number, on: Provider | null, amountOf: (bytes: number) => number): Step[] =>
    levels.map(({ key, kind, bytes }) => ({
      step,
      level: key,
      provider: on,
      kind,
      size,
      amount: amountOf(bytes),
      order,
    }));
  const float32 = (step: TimedStep, order: number, amount: number): Step => ({
    step,
    level: null,
    provider,
    kind: FLOAT32,
    size,
    amount,
    order,
  });
  // Activations that are turned to fp16 are looked at, asked for or not.
  const inHalf = model.baseline === 'rounded-to-fp16' && levels.some(({ kind }) => kind.startsWith('q4f16'));
  const baselineBytes = levels[0]?.bytes ?? model.bytes;
  return [
    plain('open', 0, model.bytes),
    // A model that is its own baseline is not written again.
    ...each('quantize', 1, null, (bytes) => bytes).slice(model.baseline === 'as-is' ? 1 : 0),
    plain('start', 2, 1, provider),
    plain('tokenize', 3, text.bytes),
    ...each('load', 4, provider, (bytes) => bytes),
    ...(checks.noiseFloor ? [float32('load', 4, model.baseline === 'as-is' ? 2 * baselineBytes : model.bytes)] : []),
    ...each('run', 5, provider, () => text.tokens),
    ...(checks.noiseFloor ? [float32('run', 5, Math.min(text.tokens, NOISE_FLOOR_WINDOWS * text.window))] : []),
    ...(checks.noiseFloor || inHalf ? [plain('overflow', 6, 1, 'wasm')] : []),
    ...(checks.runtimeDrift && checks.gpu !== 'none'
      ? [plain('start', 7, 1, 'webgpu'), ...each('runtime-drift', 8, 'webgpu', () => 1)]
      : []),
    ...(checks.speed ? each('speed', 9, 'wasm', () => 1) : []),
    ...(checks.speed && checks.gpu === 'hardware' ? each('speed', 10, 'webgpu', () => 1) : []),
  ];
}
