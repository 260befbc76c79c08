/** A moment's measurement of how fast this machine loads and runs a model, to predict from before the first comparison. */
import { filesSize } from '../../onnx/model-files.ts';
import type { ModelFiles } from '../../contract/files.ts';
import type { Result } from '../../contract/errors.ts';
import type { Timing } from '../../contract/events.ts';
import { laps, timing } from '../../lib/timing.ts';
import type { EvaluationRuntime } from '../text/language-model.ts';

/** One window as most comparisons run it. */
const TOKENS = 512;

/**
 * What loading the model and running one window took. The model is run once before it is timed.
 * Errors: those of opening and running it.
 */
export async function calibrate(
  runtime: EvaluationRuntime,
  model: ModelFiles,
  clock: () => number = () => performance.now(),
): Promise<Result<Timing[]>> {
  const lap = laps(clock);
  const opened = await runtime.open(model);
  if (!opened.ok) return opened;
  const load = timing('load', lap(), { provider: runtime.provider, amount: filesSize(model) });
  try {
    const ids = new Int32Array(Math.min(TOKENS, opened.value.longest ?? TOKENS));
    const first = ids.length >> 1;
    const run = () => opened.value.logits(ids, first, ids.length - first);
    const warm = await run();
    if (!warm.ok) return warm;
    lap();
    const timed = await run();
    if (!timed.ok) return timed;
    return { ok: true, value: [load, timing('run', lap(), { provider: runtime.provider, amount: ids.length })] };
  } finally {
    await opened.value.release();
  }
}
