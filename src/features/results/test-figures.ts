/** A report as the figures of a finished run, for tests. */
import type { Report } from '../../../workers/contract/report.ts';
import { normalize } from '../../../workers/contract/levels/level.ts';
import { startLive } from '../../store/live.ts';
import { figuresOf, type Figure, type Run } from '../../store/run.ts';

export function runOf(report: Report): Run {
  const levels = report.levels.map(({ id, settings }, slot) => ({
    uid: `${id}-${slot}`,
    id,
    settings: normalize(id, settings),
    created: 0,
    slot,
  }));
  return {
    id: 'run',
    startedAt: 0,
    endedAt: 60_000,
    status: 'done',
    levels,
    model: { ...report.model, baseline: 'as-is' },
    subject: report.protocol ? 'text' : 'inputs',
    protocol: { name: report.protocol?.name ?? 'llama.cpp' },
    extras: { noiseFloor: true, runtimeDrift: true, words: true, speed: true },
    tokenizer: [],
    companions: [],
    live: startLive(levels.map(({ uid }) => uid)),
    report: { ...report, levels: report.levels.map((line, at) => ({ ...line, key: levels[at]?.uid ?? '' })) },
    error: null,
  };
}

export const figuresIn = (report: Report): Figure[] => figuresOf(runOf(report));
