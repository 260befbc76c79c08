/**
 * Stage `check`: what is looked at when the figures are there. Activations that fp16 cannot hold, runtime drift where there is
 * WebGPU, and speed.
 */
import { formatLevel } from '../../contract/levels/level.ts';
import { SCHEMES } from '../../contract/levels/registry.ts';
import type { Report, RuntimeDrift } from '../../contract/report.ts';
import { notChecked, type EvaluationInput } from '../../evaluate/runtimes/check-runtimes.ts';
import { readText } from '../../io/read-text.ts';
import { laps, timing } from '../../lib/timing.ts';
import { countTogether } from '../check-progress.ts';
import { checkSpeed } from '../check-speed.ts';
import { modelInFloat32 } from '../float32-model.ts';
import type { JobContext, MeasuredLevel } from '../job-context.ts';
import { runnableModel } from '../runnable-model.ts';
import type { Evaluated } from './evaluate.ts';
import type { OpenedJob } from './open.ts';

export interface CheckInput {
  readonly opened: OpenedJob;
  readonly evaluated: Evaluated;
}

/** What the checks found. */
export interface Checked {
  /** The levels evaluated, with runtime drift and speed added to their figures. */
  readonly levels: readonly MeasuredLevel[];
  /** Null where it was not looked at. */
  readonly overflow: NonNullable<Report['overflow']> | null;
  /** Sentences for the report. */
  readonly notes: readonly string[];
}

/** Makes the checks a job asks for, and none when it measures nothing. Errors: `cancelled`. */
export async function check(context: JobContext, input: CheckInput): Promise<Checked> {
  const { job, platform, onEvent, finish } = context;
  const { levels } = input.evaluated;
  if (job.measure === false) return { levels, overflow: null, notes: [] };
  const speedMeter = job.extras?.speed ? platform.speedMeter : undefined;
  const [onRuntimes = onEvent, onSpeed = onEvent] = countTogether(
    [
      job.extras?.runtimeDrift && platform.evaluator.checkRuntimes ? levels.length : 0,
      speedMeter ? levels.length * (await speedMeter.providers()).length : 0,
    ],
    onEvent,
  );
  const material = await checkedOn(job, input);
  const overflow = material ? await checkOverflow(context, input, material) : NOTHING_FOUND;
  const runtimes = material ? await checkRuntimes({ ...context, onEvent: onRuntimes }, levels, material) : NO_DRIFT;
  const stopped =
    material && finish?.aborted && (job.extras?.noiseFloor || job.extras?.runtimeDrift)
      ? ['Noise floor and runtime drift not measured, or not for every level (stopped).']
      : [];
  const speed = speedMeter
    ? await checkSpeed(levels, {
        meter: speedMeter,
        threads: platform.threads,
        onEvent: onSpeed,
        signal: context.signal,
        finish,
      })
    : null;
  return {
    levels: levels.map((level, index) => ({
      ...level,
      figures: {
        ...level.figures,
        runtimeDrift: runtimes.drift.get(formatLevel(level)) ?? null,
        ...(speed && { speed: speed.speeds[index] ?? [] }),
      },
    })),
    overflow: overflow.overflow,
    notes: [...overflow.notes, ...runtimes.notes, ...stopped, ...(speed?.notes ?? [])],
  };
}

const NOTHING_FOUND: Pick<Checked, 'overflow' | 'notes'> = { overflow: null, notes: [] };

/** Whether activations overflow fp16: asked for with the noise floor, and always where levels have fp16 activations. */
async function checkOverflow(
  { job, platform: { evaluator, threads }, onEvent, signal, finish }: JobContext,
  { opened: { sorted, model }, evaluated: { levels } }: CheckInput,
  material: EvaluationInput,
): Promise<Pick<Checked, 'overflow' | 'notes'>> {
  const inHalf =
    model.baseline === 'rounded-to-fp16'
      ? levels.filter(({ id, settings }) => SCHEMES[id].resolve(settings).halfActivations)
      : [];
  const baseline = levels[0] && runnableModel(levels[0]);
  if (!baseline || !(job.extras?.noiseFloor || inHalf.length > 0) || finish?.aborted) return NOTHING_FOUND;
  const lap = laps();
  const reference = await modelInFloat32(sorted, model, baseline);
  const found = reference && (await evaluator.checkOverflow({ model: reference.model, material, threads }, signal));
  signal.throwIfAborted();
  if (!found) return NOTHING_FOUND;
  if (!found.ok) return { overflow: null, notes: [notChecked('Whether activations overflow fp16', found.error)] };
  onEvent(timing('overflow', lap(), { provider: 'wasm' }));
  const { overflow } = found.value;
  const notes = inHalf.flatMap((level) => {
    const spoiled = overflow.filter(({ tensor }) => !level.plan.floats?.has(tensor));
    return spoiled.length > 0 ? [`${formatLevel(level)}: ${whatOverflows(spoiled)}`] : [];
  });
  return { overflow, notes };
}

/** Runtime drift by level, as spelled. */
interface RuntimesChecked {
  drift: ReadonlyMap<string, RuntimeDrift>;
  notes: readonly string[];
}

const NO_DRIFT: RuntimesChecked = { drift: new Map(), notes: [] };

/** Each level on WebGPU against WASM, where the job asks for it and there can be WebGPU. */
async function checkRuntimes(
  { job, platform: { evaluator, threads }, onEvent, signal, finish }: JobContext,
  levels: readonly MeasuredLevel[],
  material: EvaluationInput,
): Promise<RuntimesChecked> {
  if (!job.extras?.runtimeDrift || !evaluator.checkRuntimes || finish?.aborted) return NO_DRIFT;
  const keysOf = new Map(levels.map((level) => [formatLevel(level), level.keys]));
  const models = levels.flatMap((level) => {
    const model = runnableModel(level);
    const { drift, outputs } = level.figures;
    return model ? [{ key: formatLevel(level), model, kld: drift?.kld.mean ?? null, outputs }] : [];
  });
  const checked = await evaluator.checkRuntimes(
    { models, material, threads },
    (event) => {
      const keys = (event.level === null ? null : keysOf.get(event.level)) ?? [null];
      if (event.type === 'timing') onEvent({ ...event, level: keys[0] ?? null });
      else for (const key of keys) onEvent({ ...event, level: key });
    },
    signal,
    finish,
  );
  signal.throwIfAborted();
  if (!checked.ok) return { ...NO_DRIFT, notes: [notChecked('Runtime drift', checked.error)] };
  return { drift: new Map(checked.value.levels.map(({ key, runtimeDrift }) => [key, runtimeDrift])), notes: [] };
}

/** For levels with fp16 activations: which nodes give numbers that those cannot hold. */
function whatOverflows(overflow: NonNullable<Report['overflow']>): string {
  const named = overflow
    .slice(0, 3)
    .map(({ node, operator, largest }) => `${node} (${operator}, ${scientific(largest)})`)
    .join(', ');
  return `${overflow.length === 1 ? 'a node gives' : `${overflow.length} nodes give`} numbers beyond 65,504, which fp16 activations cannot hold: ${named}${overflow.length > 3 ? ' and more' : ''}. Its figures are those of a model that overflows there.`;
}

/** Three digits and a power of ten: `1.31e5`. */
function scientific(value: number): string {
  return value.toExponential(2).replace('e+', 'e');
}

/** What the checks run on: what the figures were measured on. Null when there were none, or the baseline cannot be run here. */
async function checkedOn(
  job: JobContext['job'],
  { opened: { sorted }, evaluated }: CheckInput,
): Promise<EvaluationInput | null> {
  const { tokenizer, tokenizerConfig, text, inputs } = sorted;
  const [baseline] = evaluated.levels;
  if (!baseline || !runnableModel(baseline)) return null;
  if (evaluated.protocol && tokenizer && text) {
    return {
      kind: 'text',
      tokenizerJson: tokenizer.json,
      tokenizerConfig,
      text: (await readText(text)).text,
      maxTokens: job.maxTokens,
      ...(job.protocol && { protocol: job.protocol }),
    };
  }
  return evaluated.inputs ? { kind: 'inputs', files: inputs } : null;
}
