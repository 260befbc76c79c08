/** A comparison, from its first byte to its last figure: the same rows all the way, so that nothing jumps. */
import { VisuallyHidden } from '@mantine/core';
import { formatBytes, formatDuration, formatProgress, formatWhen, plural } from '../../lib/format/numbers.ts';
import layout from '../../ui/layout.module.css';
import { ExportButtons } from '../export/export-buttons.tsx';
import { Results } from '../results/results.tsx';
import { useFigures } from '../../store/use-figures.ts';
import { hasFindings, isActive, provenance, skippedIn, type Run } from '../../store/run.ts';
import { LevelRow } from './level-row.tsx';
import classes from './run.module.css';
import { isLoading, stageLines } from './stages.ts';

export function RunSection({ run }: { run: Run }) {
  const figures = useFigures(run);
  const baseline = figures.find((figure) => figure.baseline);
  const how = provenance(run);
  const remarks = remarksOn(run);
  return (
    <section aria-labelledby="run-heading" aria-busy={isActive(run)}>
      <div className={layout.sectionHead}>
        <h2 id="run-heading" tabIndex={-1} className={layout.heading}>
          {heading(run)}
        </h2>
        {isActive(run) && run.progress && <span className={classes.whole}>{whole(run.progress)}</span>}
        <ExportButtons run={run} />
      </div>
      <Strip run={run} />
      <ul className={`${layout.panel} ${classes.rows}`}>
        {figures.map((figure) => (
          <LevelRow key={figure.level.uid} run={run} figure={figure} baseline={baseline} provenance={how} />
        ))}
      </ul>
      <p className={classes.status}>{status(run)}</p>
      {remarks.length > 0 && (
        <ul className={classes.notes}>
          {remarks.map((remark) => (
            <li key={remark}>{remark}</li>
          ))}
        </ul>
      )}
      {hasFindings(run) && <Results run={run} figures={figures} />}
    </section>
  );
}

/** The report's notes, and the warnings on the way that it does not repeat. */
function remarksOn({ report, live }: Run): string[] {
  const notes = report?.notes ?? [];
  // A level's own row says why it was skipped.
  const inRows = new Set([...live.rows.values()].flatMap(({ skipped }) => skipped ?? []));
  const warnings = live.warnings.filter(
    (warning) => !inRows.has(warning) && !notes.some((note) => note.startsWith(warning.message)),
  );
  return [...new Set([...notes, ...warnings.map(({ message, action }) => `${message} ${action}`)])];
}

function heading(run: Run): string {
  switch (run.status) {
    case 'running':
    case 'finishing':
      return `Comparing ${run.model.name}`;
    case 'cancelling':
      return 'Cancelling';
    case 'cancelled':
      return 'Cancelled: what was found until then';
    case 'failed':
      return 'Broken off: what was found until then';
    case 'done':
      return `${run.model.name}, compared${run.storedAt === undefined ? '' : ` on ${formatWhen(run.storedAt)}`}`;
  }
}

function status(run: Run): string {
  if (isActive(run)) {
    if (run.status === 'finishing') return 'Stopping after the window in hand';
    if (isLoading(run)) return loading(run);
    const { latest } = run.live;
    const left = latest?.secondsLeft;
    if (latest?.stage === 'check' && left == null)
      return `Checking speed, memory and other providers${latest.tensor === null ? '' : `: ${latest.tensor}`}`;
    if (left == null) return 'Working out how long this takes';
    return left < 1 ? 'Less than a second left in this stage' : `About ${formatDuration(left)} left in this stage`;
  }
  const took = run.endedAt === null ? '' : ` in ${formatDuration((run.endedAt - run.startedAt) / 1000)}`;
  const backend = run.report ? ` Weights quantized on ${run.report.backend === 'webgpu' ? 'WebGPU' : 'WASM'}.` : '';
  const how = provenance(run);
  const protocol = how ? ` ${how.sentence}` : '';
  return run.status === 'done'
    ? `${plural(run.levels.length - skippedIn(run), 'level')} compared${took}.${backend}${protocol}`
    : '';
}

/** `42 %, about 2 min left`: of the whole run, as predicted and corrected on the way. */
function whole({ share, secondsLeft }: NonNullable<Run['progress']>): string {
  const left =
    secondsLeft === null
      ? ''
      : secondsLeft < 1
        ? ', less than a second left'
        : `, about ${formatDuration(secondsLeft)} left`;
  return `${formatProgress(share)}${left}`;
}

function loading({ live }: Run): string {
  const files = [...live.rows.values()].flatMap(({ written }) => (written ? [written.bytes] : []));
  return `Loading ${plural(files.length, 'model')} (${formatBytes(files.reduce((sum, bytes) => sum + bytes, 0))}) to measure ${files.length === 1 ? 'it' : 'them'}`;
}

function Strip({ run }: { run: Run }) {
  return (
    <ol className={classes.strip} aria-label="Stages">
      {stageLines(run).map(({ name, done, state, figure }) => (
        <li key={name} className={classes.stage} data-state={state}>
          <span className={classes.stageHead}>
            <span className={classes.stageName}>{name}</span>
            <span>
              {state === 'done' ? (
                <>
                  <span aria-hidden="true">✓</span>
                  <VisuallyHidden>done</VisuallyHidden>
                </>
              ) : (
                (figure ?? (state === 'now' || done > 0 ? formatProgress(done) : ''))
              )}
            </span>
          </span>
          <span className={classes.track} aria-hidden="true">
            <span className={classes.fill} style={{ '--done': done }} />
          </span>
        </li>
      ))}
    </ol>
  );
}
