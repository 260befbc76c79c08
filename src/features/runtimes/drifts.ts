/** Three drifts kept apart: what quantizing changes, what the runtime changes, and what fp16 itself changes. Pure. */
import { greatest, least } from '../../../workers/contract/extremes.ts';
import type { Divergence, Estimate, OutputDrift, RuntimeDrift } from '../../../workers/contract/report.ts';
import type { Provider } from '../../../workers/contract/capabilities.ts';
import { formatDecibels, formatEstimate } from '../../lib/format/numbers.ts';
import { worstOutput } from '../../../workers/contract/metric-readings.ts';
import type { Figure } from '../../store/run.ts';

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
      quantization:
        figure.drift && !figure.baseline ? { value: figure.drift.kld.mean, error: figure.drift.kld.error } : null,
      runtime: distance && { value: distance.kld.value, error: distance.kld.error },
      tokens: distance?.tokens ?? null,
    };
  });
}

export interface LogAxis {
  domain: [number, number];
  ticks: number[];
}

/** Smaller numbers come of the arithmetic of measuring, not of what is measured. */
const SMALLEST = 1e-12;

/** Exponent of the largest power of ten that does not exceed `value`; a logarithm is rounded, and may say the next. */
function decadeOf(value: number): number {
  const exponent = Math.floor(Math.log10(value));
  return Number(`1e${exponent}`) > value ? exponent - 1 : exponent;
}

/** Whole powers of ten around everything above zero. What is zero or below has no place on it. */
export function logAxisOf(values: readonly Estimate[]): LogAxis {
  const known = values.flatMap(({ value, error }) =>
    value > SMALLEST && Number.isFinite(value)
      ? [{ low: value - error > value / 10 ? value - error : value / 2, high: value + error }]
      : [],
  );
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
export interface RuntimeWarning {
  headline: string;
  /** A sentence a level. */
  comparisons: string[];
  /** Where the providers part, if it was found; levels that part at the same place share it. */
  parts: { levels: string[]; at: Divergence }[];
  /** What to do. */
  action: string;
}

/** Null when no provider differs from another by more than quantization does. */
export function runtimeWarningOf(figures: readonly Figure[]): RuntimeWarning | null {
  const wrong = figures.flatMap((figure) =>
    figure.runtimeDrift?.exceeds ? [{ figure, drift: figure.runtimeDrift }] : [],
  );
  const [first] = wrong;
  if (!first) return null;
  const parts = new Map<string, { levels: string[]; at: Divergence }>();
  for (const {
    figure,
    drift: { partsAt },
  } of wrong) {
    if (!partsAt) continue;
    const key = JSON.stringify([partsAt.node, partsAt.operator, partsAt.tensor, partsAt.provider, partsAt.fused]);
    const known = parts.get(key);
    if (known) known.levels.push(figure.name);
    else parts.set(key, { levels: [figure.name], at: partsAt });
  }
  const verdicts = [...new Set(wrong.map(({ drift }) => verdictOf(drift)))].map((verdict) => ({
    verdict,
    files: wrong.filter(({ drift }) => verdictOf(drift) === verdict),
  }));
  const sentences = verdicts.map(({ verdict, files }) =>
    verdictSentences(
      verdict,
      files.map(({ figure }) => figure.name),
      first.drift,
    ),
  );
  return {
    headline: sentences.map(({ headline }) => headline).join(' '),
    comparisons: wrong.map(({ figure, drift }) => comparison(figure, drift)),
    parts: [...parts.values()],
    action: sentences.map(({ action }) => action).join(' '),
  };
}

/** Who is wrong: a provider, both, or nobody knows. */
type Verdict = Provider | 'both' | 'undecided';

/** Reports from before there was an arbiter blame the provider that is held against the other. */
function verdictOf({ provider, arbitration }: RuntimeDrift): Verdict {
  if (arbitration === undefined) return provider;
  const [only, other] = arbitration?.wrong ?? [];
  return only === undefined ? 'undecided' : other === undefined ? only : 'both';
}

/** `against` is the provider that the figures were measured on. */
function verdictSentences(
  verdict: Verdict,
  names: readonly string[],
  { provider, against }: RuntimeDrift,
): { headline: string; action: string } {
  const [these, compute, them] =
    names.length === 1 ? ['this file', 'computes', 'it'] : ['these files', 'compute', 'them'];
  const report = 'The details are what a bug report to onnxruntime needs.';
  switch (verdict) {
    case 'both':
      return {
        headline: `WebGPU and WASM both compute ${these} wrongly: ${listed(names)}.`,
        action: `Neither gives what the graph gives without onnxruntime’s optimizations. The figures below include what ${PROVIDERS[against]} gets wrong. ${report}`,
      };
    case 'undecided':
      return {
        headline: `WebGPU and WASM compute ${these} differently: ${listed(names)}. Which of them is right could not be decided.`,
        action: `The figures below were measured on ${PROVIDERS[against]}. Try ${them} after an update of the browser or the graphics driver. ${report}`,
      };
    case against:
      return {
        headline: `On ${PROVIDERS[against]} ${these} ${compute} something else: ${listed(names)}. ${PROVIDERS[provider]} gives what the graph gives without onnxruntime’s optimizations.`,
        action: `Run ${them} on ${PROVIDERS[provider]}. The figures below were measured on ${PROVIDERS[against]} and include its fault. ${report}`,
      };
    default:
      return {
        headline: `On ${PROVIDERS[provider]} ${these} ${compute} something else: ${listed(names)}. The quantization is fine.`,
        action: `Run ${them} on ${PROVIDERS[against]}, where the figures below were measured, or after an update of the browser or the graphics driver; the details are what a bug report to onnxruntime needs.`,
      };
  }
}

function comparison(figure: Figure, { provider, against, distance, outputs }: RuntimeDrift): string {
  const between = `between ${PROVIDERS[provider]} and ${PROVIDERS[against]}`;
  if (distance) {
    const own =
      figure.drift && !figure.baseline
        ? `, and quantizing accounts for ${formatEstimate({ value: figure.drift.kld.mean, error: figure.drift.kld.error })}`
        : ', more than quantizing changes any level';
    return `${figure.name}: the predictions are ${formatEstimate(distance.kld)} nats apart ${between}${own}.`;
  }
  const far = worstOutput(outputs ?? []);
  if (!far) return `${figure.name}: the outputs are not the same ${between}.`;
  const own = worstOutput(figure.outputs ?? []);
  return `${figure.name}: the output ${far.output} keeps a signal-to-noise ratio of ${formatDecibels(far.sqnr)} ${between}${own ? `, and ${formatDecibels(own.sqnr)} after quantizing` : ''}.`;
}

/** `int8`, `int8 and int4`, `fp16, int8 and int4` */
export function listed(names: readonly string[]): string {
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1) ?? ''}`;
}

/** `They part at node X (MatMulNBits), tensor T.`; of a fused kernel the first and the last node, and whose kernel it is. */
export function partsSentence({ levels, at }: RuntimeWarning['parts'][number], alone: boolean): string {
  const they = alone ? 'They part' : `For ${listed(levels)} they part`;
  const { fused, provider } = at;
  if (!fused)
    return `${they} at node ${at.node} (${at.operator}), tensor ${at.tensor}${provider ? `, which ${PROVIDERS[provider]} computes wrongly` : ''}.`;
  const kernel = fused.into ? `one kernel, ${fused.into}` : 'one kernel';
  return `${they} from node ${fused.firstNode} (${fused.firstOperator}) to node ${at.node} (${at.operator}), ${fused.operators.length} nodes that ${provider ? PROVIDERS[provider] : 'a provider'} fuses into ${kernel}; tensor ${at.tensor}.`;
}

/** Output by output: what quantizing and what the runtime leaves of the signal. */
export function outputDriftRows(
  figures: readonly Figure[],
): { figure: Figure; output: string; quantization: OutputDrift | null; runtime: OutputDrift | null }[] {
  return figures.flatMap((figure) => {
    const [own, runtime] = [figure.outputs ?? [], figure.runtimeDrift?.outputs ?? []];
    const names = new Set([...own, ...runtime].map(({ output }) => output));
    return [...names].map((output) => ({
      figure,
      output,
      quantization: own.find((drift) => drift.output === output) ?? null,
      runtime: runtime.find((drift) => drift.output === output) ?? null,
    }));
  });
}
