/** Levels are measured side by side, in one pass over the samples, or in halves one after the other where memory does not suffice for that. */
import type { EngineError, Result } from '../contract/errors.ts';

/** The part of the whole work a pass is, as fractions. */
export interface Share {
  from: number;
  to: number;
}

export interface Measuring<Level, Outcome> {
  /** One pass over all of these; `out-of-memory` is answered with smaller ones. */
  pass(levels: Level[], share: Share): Promise<Result<Outcome>>;
  /** The outcome of a pass without levels, for a level that does not fit beside the baseline. */
  unmeasured(baseline: Outcome, level: Level, problem: EngineError): Outcome;
  /** Of both halves. `second` is null, and `rest` its levels, when the work was finished before it began. */
  join(first: Outcome, second: Outcome | null, rest: Level[]): Outcome;
  finish: AbortSignal | undefined;
}

export async function splitOnOutOfMemory<Level, Outcome>(
  measuring: Measuring<Level, Outcome>,
  levels: Level[],
  share: Share,
): Promise<Result<Outcome>> {
  const together = await measuring.pass(levels, share);
  const [only] = levels;
  if (together.ok || together.error.code !== 'out-of-memory' || only === undefined) return together;
  if (levels.length === 1) {
    const baseline = await splitOnOutOfMemory(measuring, [], share);
    return baseline.ok ? { ok: true, value: measuring.unmeasured(baseline.value, only, together.error) } : baseline;
  }
  const half = Math.ceil(levels.length / 2);
  const middle = share.from + ((share.to - share.from) * half) / levels.length;
  const first = await splitOnOutOfMemory(measuring, levels.slice(0, half), { from: share.from, to: middle });
  if (!first.ok) return first;
  const rest = levels.slice(half);
  const second = measuring.finish?.aborted
    ? null
    : await splitOnOutOfMemory(measuring, rest, { from: middle, to: share.to });
  if (second?.ok === false) return second;
  return { ok: true, value: measuring.join(first.value, second?.value ?? null, rest) };
}
