/** After the figures: how fast each level is on each provider, and what memory it takes. */
import { mergeSpeeds } from '../evaluate/speed/merge-speed.ts';
import type { SpeedMeter } from '../evaluate/speed/speed-meter.ts';
import { runnableModel } from './runnable-model.ts';
import type { WrittenLevel } from './job-context.ts';
import type { Speed } from '../contract/report.ts';
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

export interface SpeedChecked {
  /** For each level its speed on each provider it was measured on. */
  speeds: Speed[][];
  /** Sentences for the report. */
  notes: string[];
}

/** Measures the speed of levels. What goes wrong with one is its `problem`. Errors: `cancelled`. */
export async function checkSpeed(
  levels: readonly WrittenLevel[],
  { meter, threads, onEvent, signal, finish }: SpeedCheck,
): Promise<SpeedChecked> {
  const providers = await meter.providers();
  const speeds: Speed[][] = levels.map(() => []);
  const runnable = levels.flatMap((level, index) => {
    const files = runnableModel(level);
    return files ? [{ keys: level.keys, files, measured: speeds[index]! }] : [];
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
      for (const { keys, files, measured: lines } of runnable) {
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
        const before = lines.find((line) => line.provider === provider);
        progress(done);
        if (!before?.problem) {
          const speed = await meter.measure(files, provider, threads, signal);
          signal.throwIfAborted();
          if (before) lines[lines.indexOf(before)] = mergeSpeeds(before, speed);
          else {
            lines.push(speed);
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
  return { speeds, notes: [...notes] };
}
