/** After the figures: how fast each level is on each provider, and what memory it takes. */
import type { SpeedMeter } from './evaluate/speed-meter.ts';
import { toRun } from './fits.ts';
import type { LevelInHand } from './measure.ts';
import type { EngineEvent } from './protocol.ts';
import { estimateSecondsLeft } from './time-left.ts';
import { laps, timing } from './timing.ts';

export interface SpeedCheck {
  meter: SpeedMeter;
  threads: number;
  onEvent: (event: EngineEvent) => void;
  signal: AbortSignal;
  /** Ends it after the model and provider in hand. */
  finish: AbortSignal | undefined;
}

/**
 * Fills in the speed of the levels.
 * @returns Sentences a reader must know.
 */
export async function checkSpeed(levels: readonly LevelInHand[], { meter, threads, onEvent, signal, finish }: SpeedCheck): Promise<string[]> {
  const providers = await meter.providers();
  for (const level of levels) level.speed = [];
  const runnable = levels.flatMap((level) => {
    const blob = toRun(level);
    return blob ? [{ ...level, blob }] : [];
  });
  const total = runnable.length * providers.length;
  const secondsLeft = estimateSecondsLeft();
  const notes = new Set<string>();
  const lap = laps();
  let done = 0;
  // One provider after the other, so that a device that is lost spoils what comes last.
  for (const provider of providers) {
    for (const { keys, blob, speed: speeds } of runnable) {
      if (finish?.aborted) {
        notes.add(done === 0 ? 'Speed not measured (stopped).' : `Speed measured for ${done} of ${total} pairs of level and provider (stopped).`);
        continue;
      }
      const progress = (count: number) => {
        for (const level of keys) onEvent({ type: 'progress', stage: 'check', level, done: count, total, unit: 'runs', tensor: null, secondsLeft: secondsLeft(count, total) });
      };
      progress(done);
      const speed = await meter.measure(blob, provider, threads, signal);
      signal.throwIfAborted();
      speeds?.push(speed);
      if (!speed.problem) onEvent(timing('speed', lap(), { level: keys[0] ?? null, provider }));
      else lap();
      if (speed.problem) notes.add(`Speed on ${provider === 'webgpu' ? 'WebGPU' : 'WASM'}: ${speed.problem.message}`);
      progress(++done);
    }
  }
  return [...notes];
}
