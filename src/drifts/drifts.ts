/** Three drifts kept apart: what quantizing changes, what the runtime changes, and what fp16 itself changes. Pure. */
import { greatest, least } from '../format/extremes.ts';
import type { Divergence, Estimate, OutputDrift, RuntimeDrift } from '../../workers/protocol.ts';
import { formatDecibels, formatEstimate } from '../format/numbers.ts';
import { headline } from '../outputs/outputs.ts';
import type { Figure } from '../store/run.ts';

export const PROVIDERS = { webgpu: 'WebGPU', wasm: 'WASM' } as const;

/** Of one level. Null where it was not measured, or has none. */
export interface DriftRow {
  figure: Figure;
  quantization: Estimate | null;
  runtime: Estimate | null;
  /** Tokens that runtime drift was measured on. */
  tokens: number | null;
}

/** A language model's drifts: KL divergence per token, nats. */
export function driftRows(figures: readonly Figure[]): DriftRow[] {
  return figures.map((figure) => {
    const distance = figure.runtimeDrift?.distance ?? null;
    return {
      figure,
      quantization: figure.drift && !figure.baseline ? { value: figure.drift.kld.mean, error: figure.drift.kld.error } : null,
      runtime: distance && { value: distance.kld.value, error: distance.kld.error },
      tokens: distance?.tokens ?? null,
    };
  });
}

export interface LogAxis { domain: [number, number]; ticks: number[] }

/** Smaller numbers come of the arithmetic of measuring, not of what is measured. */
const SMALLEST = 1e-12;

/** Exponent of the largest power of ten that does not exceed `value`; a logarithm is rounded, and may say the next. */
function decadeOf(value: number): number {
  const exponent = Math.floor(Math.log10(value));
  return Number(`1e${exponent}`) > value ? exponent - 1 : exponent;
}

/** Whole powers of ten around everything above zero. What is zero or below has no place on it. */
export function logAxisOf(values: readonly Estimate[]): LogAxis {
  const known = values.flatMap(({ value, error }) => value > SMALLEST && Number.isFinite(value) ? [{ low: value - error > value / 10 ? value - error : value / 2, high: value + error }] : []);
  if (known.length === 0) return { domain: [1e-6, 1], ticks: [1e-6, 1e-4, 1e-2, 1] };
  const first = decadeOf(least(known.map(({ low }) => low)));
  const highest = greatest(known.map(({ high }) => high));
  const decade = decadeOf(highest);
  const last = Math.max(first + 1, Number(`1e${decade}`) < highest ? decade + 1 : decade);
  const step = last - first > 7 ? 2 : 1;
  const ticks: number[] = [];
  for (let exponent = first; exponent <= last; exponent += step) ticks.push(Number(`1e${exponent}`));
  return { domain: [Number(`1e${first}`), Number(`1e${last}`)], ticks };
}

/** How many times the one before it each line of the axis is. */
export const timesPerTick = ({ ticks: [first = 1, second = 10] }: LogAxis): number => Math.round(second / first);

/** Where a value lies on a logarithmic axis, 0…1; what is at or below zero lies at its start. */
export function placeOn({ domain: [low, high] }: LogAxis, value: number): number {
  if (!(value > low)) return 0;
  return Math.min(1, Math.log(value / low) / Math.log(high / low));
}

/** What a banner says of files that a provider computes wrongly. */
export interface Alarm {
  headline: string;
  /** A sentence a level. */
  comparisons: string[];
  /** Where the providers part, if it was found; levels that part at the same place share it. */
  parts: { levels: string[]; at: Divergence }[];
  /** What to do. */
  action: string;
}

/** Null when no provider differs from another by more than quantization does. */
export function alarmOf(figures: readonly Figure[]): Alarm | null {
  const wrong = figures.flatMap((figure) => figure.runtimeDrift?.exceeds ? [{ figure, drift: figure.runtimeDrift }] : []);
  const [first] = wrong;
  if (!first) return null;
  const parts = new Map<string, { levels: string[]; at: Divergence }>();
  for (const { figure, drift: { partsAt } } of wrong) {
    if (!partsAt) continue;
    const key = JSON.stringify([partsAt.node, partsAt.operator, partsAt.tensor]);
    const known = parts.get(key);
    if (known) known.levels.push(figure.name);
    else parts.set(key, { levels: [figure.name], at: partsAt });
  }
  const { provider, against } = first.drift;
  const names = listed(wrong.map(({ figure }) => figure.name));
  return {
    headline: `On ${PROVIDERS[provider]} ${wrong.length === 1 ? 'this file computes' : 'these files compute'} something else: ${names}. The quantization is fine.`,
    comparisons: wrong.map(({ figure, drift }) => comparison(figure, drift)),
    parts: [...parts.values()],
    action: `Run ${wrong.length === 1 ? 'it' : 'them'} on ${PROVIDERS[against]}, where the figures below were measured, or after an update of the browser or the graphics driver; the details are what a bug report to onnxruntime needs.`,
  };
}

function comparison(figure: Figure, { provider, against, distance, outputs }: RuntimeDrift): string {
  const between = `between ${PROVIDERS[provider]} and ${PROVIDERS[against]}`;
  if (distance) {
    const own = figure.drift && !figure.baseline ? `, and quantizing accounts for ${formatEstimate({ value: figure.drift.kld.mean, error: figure.drift.kld.error })}` : ', more than quantizing changes any level';
    return `${figure.name}: the predictions are ${formatEstimate(distance.kld)} nats apart ${between}${own}.`;
  }
  const far = headline(outputs ?? []);
  if (!far) return `${figure.name}: the outputs are not the same ${between}.`;
  const own = headline(figure.outputs ?? []);
  return `${figure.name}: the output ${far.output} keeps a signal-to-noise ratio of ${formatDecibels(far.sqnr)} ${between}${own ? `, and ${formatDecibels(own.sqnr)} after quantizing` : ''}.`;
}

/** `int8`, `int8 and int4`, `fp16, int8 and int4` */
export function listed(names: readonly string[]): string {
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1) ?? ''}`;
}

/** `They part at node X (MatMulNBits), whose output is the tensor T.` */
export function partsSentence({ levels, at }: Alarm['parts'][number], alone: boolean): string {
  return `${alone ? 'They part' : `For ${listed(levels)} they part`} at node ${at.node} (${at.operator}), tensor ${at.tensor}.`;
}

/** Output by output: what quantizing and what the runtime leaves of the signal. */
export function outputDriftRows(figures: readonly Figure[]): { figure: Figure; output: string; quantization: OutputDrift | null; runtime: OutputDrift | null }[] {
  return figures.flatMap((figure) => {
    const [own, runtime] = [figure.outputs ?? [], figure.runtimeDrift?.outputs ?? []];
    const names = new Set([...own, ...runtime].map(({ output }) => output));
    return [...names].map((output) => ({
      figure, output,
      quantization: own.find((drift) => drift.output === output) ?? null,
      runtime: runtime.find((drift) => drift.output === output) ?? null,
    }));
  });
}
