/**
 * The noise floor: how far the fp16 baseline is from the same model in float32, over the first windows of a pass.
 * Drift below it says nothing about a level. What goes wrong here costs the floor, never the measurement.
 */
import type { ModelFiles } from '../../contract/files.ts';
import type { EngineError, Result } from '../../contract/errors.ts';
import type { NoiseFloor } from '../../contract/report.ts';
import { tallyDistance, type DistanceTally } from '../statistics/distance.ts';
import { failure, outOfMemory } from '../errors.ts';
import type { EvaluationRuntime, LanguageModel } from './language-model.ts';
import type { Window } from './protocols.ts';

/** The model in float32. */
export interface Reference {
  kind: NoiseFloor['reference'];
  model: ModelFiles;
}

export interface NoiseMeter {
  /** Before a pass over windows. */
  open(): Promise<void>;
  /**
   * A window the baseline has just run; those counted in a pass before, and those after the first ones, are passed over.
   * @param logits [targets, vocabulary], of the baseline.
   * @returns Whether the window was run.
   */
  window(index: number, window: Window, logits: Float32Array): Promise<boolean>;
  /** After a pass, however it ended. */
  close(): Promise<void>;
  /** After a pass that ran out of memory: whether the reference was open then. From now on it is done without. */
  giveWay(): boolean;
  /** The floor over the windows so far; null with the reason, or before there was a window. */
  result(): { noiseFloor: NoiseFloor | null; problem: EngineError | null };
}

/** Windows compared, of which the figure is clear enough; each costs a run in float32. */
const MOST_WINDOWS = 16;

export function noiseMeter(runtime: EvaluationRuntime, reference: Reference): NoiseMeter {
  let model: LanguageModel | null = null;
  let tally: DistanceTally | null = null;
  let counted = 0;
  let problem: EngineError | null = null;
  let tookPart = false;

  const close = async () => {
    const open = model;
    model = null;
    await open?.release();
  };
  const giveUp = async ({ error }: { error: EngineError }) => {
    problem = error;
    await close();
  };
  const logitsOf = (open: LanguageModel, { ids, first, targets }: Window): Promise<Result<Float32Array>> =>
    open.logits(ids, first, targets.length);

  return {
    async open() {
      tookPart = !problem && counted < MOST_WINDOWS;
      if (!tookPart) return;
      const opened = await runtime.open(reference.model, { causal: true });
      if (opened.ok) model = opened.value;
      else await giveUp(opened);
    },
    async window(index, window, logits) {
      if (!model || index < counted) return false;
      const float32 = await logitsOf(model, window);
      if (!float32.ok) {
        await giveUp(float32);
        return false;
      }
      if (float32.value.length !== logits.length) {
        await giveUp(
          failure('session-failed', 'The model in float32 gives other logits than the baseline.', 'Report this.'),
        );
        return false;
      }
      tally ??= await tallyDistance(window.ids.length, model.vocabulary);
      tally.add(float32.value, logits, window.targets);
      if (tally.notFinite.against) {
        await giveUp(
          failure(
            'session-failed',
            'The model gives values that are not finite numbers in float32, so there is no noise floor.',
            'Choose another export of the model.',
          ),
        );
        return false;
      }
      counted = index + 1;
      if (counted < MOST_WINDOWS) return true;
      tookPart = false;
      await close();
      return true;
    },
    close,
    giveWay() {
      const gaveWay = tookPart;
      tookPart = false;
      if (gaveWay) problem ??= outOfMemory('Running the model in float32 beside the others', '').error;
      return gaveWay;
    },
    result() {
      const distance = problem ? null : (tally?.distance() ?? null);
      return { noiseFloor: distance && { ...distance, reference: reference.kind }, problem };
    },
  };
}
