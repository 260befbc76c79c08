/** After the figures: how fast each level is on each provider, and what memory it takes. */
import { mergeSpeeds } from '../evaluate/speed/merge-speed.ts';
import type { SpeedMeter } from '../evaluate/speed/speed-meter.ts';
import { runnableModel } from './runnable-model.ts';
import type { LevelJob } from './measure.ts';
import type { EngineEvent } from '../contract/events.ts';
import { estimateSecondsLeft } from '../lib/time-left.ts';
import { laps, timing } from '../lib/timing.ts';

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
export async function checkSpeed(
  levels: readonly LevelJob[],
  { meter, threads, onEvent, signal, finish }: SpeedCheck,
): Promise<string[]> {
  const providers = await meter.providers();
  for (const level of levels) level.speed = [];
  const runnable = levels.flatMap((level) => {
    const files = runnableModel(level);
    return files ? [{ ...level, files }] : [];
  });
  // Each is measured in two rounds with the others in between: what else the machine does at a time hits one run, not one level.
  const rounds = runnable.length > 1 ? 2 : 1;
  const total = runnable.length * providers.length;
  const runs = total * rounds;
  const secondsLeft = estimateSecondsLeft();
  const notes = new Set<string>();
  const lap = laps();
  let done = 0;
  let measured = 0;
  let stopped = false;
  // One provider after the other, so that a device that is lost spoils what comes last.
  for (const provider of providers) {
    for (let round = 0; round < rounds; round++) {
      for (const { keys, files, speed: speeds } of runnable) {
        if (finish?.aborted) {
          stopped = true;
          continue;
        }
        const progress = (count: number) => {
          for (const level of keys)
            onEvent({
              type: 'progress',
              stage: 'check',
              level,
              done: count,
              total: runs,
              unit: 'runs',
              tensor: null,
              secondsLeft: secondsLeft(count, runs),
            });
        };
        const before = speeds?.find((line) => line.provider === provider);
        progress(done);
        if (!before?.problem) {
          const speed = await meter.measure(files, provider, threads, signal);
          signal.throwIfAborted();
          if (speeds && before) speeds[speeds.indexOf(before)] = mergeSpeeds(before, speed);
          else {
            speeds?.push(speed);
            measured++;
          }
          const seconds = lap();
          if (speed.problem)
            notes.add(`Speed on ${provider === 'webgpu' ? 'WebGPU' : 'WASM'}: ${speed.problem.message}`);
          else onEvent(timing('speed', seconds, { level: keys[0] ?? null, provider, amount: 1 / rounds }));
        }
        progress(++done);
      }
    }
  }
  if (stopped && measured < total)
    notes.add(
      measured === 0
        ? 'Speed not measured (stopped).'
        : `Speed measured for ${measured} of ${total} pairs of level and provider (stopped).`,
    );
  return [...notes];
}
