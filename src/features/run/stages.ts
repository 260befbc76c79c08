/** How far each stage of a run is, and what it says. A stage in which nothing was done is not called done. Pure. */
import type { Report } from '../../../workers/contract/report.ts';
import type { Stage } from '../../../workers/contract/job.ts';
import { loadingToMeasure, modelsLoaded } from '../../store/live.ts';
import { isActive, skippedIn, stagesOf, type Run } from '../../store/run.ts';

export interface StageLine {
  name: string;
  /** 0…1 */
  done: number;
  state: 'ahead' | 'now' | 'done' | 'not-run';
  /** Words in place of a percentage; null for that. */
  figure: string | null;
}

export const isLoading = (run: Run): boolean => isActive(run) && loadingToMeasure(run.live);

export function stageLines(run: Run): StageLine[] {
  const { live, report } = run;
  const made = run.levels.length - skippedIn(run);
  const written = [...live.rows.values()].filter((row) => row.written).length;
  const over = run.status === 'done';
  const loads = isLoading(run);
  const reached = (stage: Stage) => live.stage === stage && !over;
  const line = (name: string, done: number, now: boolean, figure: string | null = null): StageLine => ({
    name,
    done,
    state: done >= 1 ? 'done' : now ? 'now' : 'ahead',
    figure,
  });
  const notRun = (name: string): StageLine => ({ name, done: 0, state: 'not-run', figure: 'not run' });
  const ended = (name: string, share: number): StageLine => ({
    name,
    done: share,
    state: share >= 1 ? 'done' : 'not-run',
    figure: null,
  });
  return [
    line('Open', over ? 1 : live.done.open, reached('open') || (live.stage === null && !over)),
    line('Quantize', over ? 1 : live.done.quantize, reached('quantize') && !loads),
    line('Write', over ? 1 : written / Math.max(1, made), reached('quantize') && !loads, `${written} of ${made}`),
    over && report
      ? wasMeasured(report)
        ? ended('Measure', measuredShare(report))
        : notRun('Measure')
      : line(
          'Measure',
          live.done.measure,
          reached('measure') || loads,
          loads ? `loading ${modelsLoaded(live)} of ${made}` : null,
        ),
    ...(!stagesOf(run).includes('check')
      ? []
      : [
          over && report
            ? checkedShare(report, run) > 0
              ? ended('Check', checkedShare(report, run))
              : notRun('Check')
            : line('Check', live.done.check, reached('check')),
        ]),
  ];
}

const wasMeasured = ({ protocol, inputs }: Report): boolean => protocol !== null || inputs != null;

const measuredShare = ({ protocol }: Report): number =>
  protocol?.stoppedEarly && protocol.plannedChunks ? protocol.chunks / protocol.plannedChunks : 1;

/** Levels that have what was asked for, of all: speed, else runtime drift. */
function checkedShare({ levels }: Report, { extras }: Pick<Run, 'extras'>): number {
  const checked = levels.filter(
    ({ speed, runtimeDrift }) => (extras.speed && (speed ?? []).length > 0) || (!extras.speed && runtimeDrift != null),
  );
  if (checked.length > 0) return checked.length / levels.length;
  // Runtime drift comes before speed.
  return levels.some(({ runtimeDrift }) => runtimeDrift != null) ? 0.5 : 0;
}
