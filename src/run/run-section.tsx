/** A comparison, from its first byte to its last figure: the same rows all the way, so that nothing jumps. */
import { VisuallyHidden } from '@mantine/core';
import { useDeferredValue } from 'react';
import type { Stage } from '../../workers/protocol.ts';
import { formatBytes, formatDuration, formatProgress, formatWhen, formatShareOf, plural } from '../format/numbers.ts';
import layout from '../layout.module.css';
import { ExportButton } from '../report/export-button.tsx';
import { Results } from '../report/results.tsx';
import { loadingToMeasure, modelsLoaded } from '../store/live.ts';
import { useFigures } from '../store/use-figures.ts';
import { hasFindings, isActive, provenance, stagesOf, type Run } from '../store/run.ts';
import { LevelRow } from './level-row.tsx';
import classes from './run.module.css';

export function RunSection({ run }: { run: Run }) {
  const figures = useFigures(run);
  // What is far below may be a moment late; the rows may not.
  const later = useDeferredValue(run);
  const baseline = figures.find((figure) => figure.baseline);
  const how = provenance(run);
  const remarks = remarksOn(run);
  return (
    <section aria-labelledby="run-heading" aria-busy={isActive(run)}>
      <div className={layout.sectionHead}>
        <h2 id="run-heading" tabIndex={-1} className={layout.heading}>{heading(run)}</h2>
        {isActive(run) && run.progress && <span className={classes.whole}>{whole(run.progress)}</span>}
        <ExportButton run={run} />
      </div>
      <Strip run={run} />
      <ul className={`${layout.panel} ${classes.rows}`}>
        {figures.map((figure) => (
          <LevelRow key={figure.level.uid} run={run} figure={figure} baseline={baseline} provenance={how} />
        ))}
      </ul>
      <p className={classes.status}>{status(run)}</p>
      {remarks.length > 0 && <ul className={classes.notes}>{remarks.map((remark) => <li key={remark}>{remark}</li>)}</ul>}
      {hasFindings(later) && <LaterResults run={later} />}
    </section>
  );
}

function LaterResults({ run }: { run: Run }) {
  return <Results run={run} figures={useFigures(run)} />;
}

/** The report's notes, and the warnings on the way that it does not repeat. */
function remarksOn({ report, live }: Run): string[] {
  const notes = report?.notes ?? [];
  const warnings = live.warnings.filter(({ message }) => !notes.some((note) => note.startsWith(message)));
  return [...new Set([...notes, ...warnings.map(({ message, action }) => `${message} ${action}`)])];
}

function heading(run: Run): string {
  switch (run.status) {
    case 'running':
    case 'finishing': return `Comparing ${run.model.name}`;
    case 'cancelling': return 'Cancelling';
    case 'cancelled': return 'Cancelled: what was found until then';
    case 'failed': return 'Broken off: what was found until then';
    case 'done': return `${run.model.name}, compared${run.storedAt === undefined ? '' : ` on ${formatWhen(run.storedAt)}`}`;
  }
}

function status(run: Run): string {
  if (isActive(run)) {
    if (run.status === 'finishing') return 'Stopping after the window in hand';
    if (isLoading(run)) return loading(run);
    const { latest } = run.live;
    const left = latest?.secondsLeft;
    if (latest?.stage === 'check' && left == null) return `Checking speed, memory and other providers${latest.tensor === null ? '' : `: ${latest.tensor}`}`;
    if (left == null) return 'Working out how long this takes';
    return left < 1 ? 'Less than a second left in this stage' : `About ${formatDuration(left)} left in this stage`;
  }
  const took = run.endedAt === null ? '' : ` in ${formatDuration((run.endedAt - run.startedAt) / 1000)}`;
  const backend = run.report ? ` Weights quantized on ${run.report.backend === 'webgpu' ? 'WebGPU' : run.report.backend === 'wasm' ? 'WASM' : 'the reference kernels'}.` : '';
  const how = provenance(run);
  const protocol = how ? ` ${how.sentence}` : '';
  return run.status === 'done' ? `${plural(run.levels.length, 'level')} compared${took}.${backend}${protocol}` : '';
}

/** `42 %, about 2 min left`: of the whole run, as predicted and corrected on the way. */
function whole({ share, secondsLeft }: NonNullable<Run['progress']>): string {
  const left = secondsLeft === null ? '' : secondsLeft < 1 ? ', less than a second left' : `, about ${formatDuration(secondsLeft)} left`;
  return `${formatProgress(share)}${left}`;
}

const isLoading = (run: Run): boolean => isActive(run) && loadingToMeasure(run.live);

function loading({ live }: Run): string {
  const files = [...live.rows.values()].flatMap(({ written }) => written ? [written.bytes] : []);
  return `Loading ${plural(files.length, 'model')} (${formatBytes(files.reduce((sum, bytes) => sum + bytes, 0))}) to measure ${files.length === 1 ? 'it' : 'them'}`;
}

function Strip({ run }: { run: Run }) {
  const { live, levels } = run;
  const written = [...live.rows.values()].filter((row) => row.written).length;
  const over = run.status === 'done';
  const loads = isLoading(run);
  const { protocol } = run.report ?? {};
  const stopped = protocol?.stoppedEarly && protocol.plannedChunks ? { share: protocol.chunks / protocol.plannedChunks, text: `stopped, ${formatShareOf(protocol.chunks, protocol.plannedChunks)}` } : null;
  const reached = (stage: Stage) => live.stage === stage && !over;
  const stages = [
    { name: 'Open', done: live.done.open, now: reached('open') || (live.stage === null && !over), figure: null },
    { name: 'Quantize', done: live.done.quantize, now: reached('quantize') && !loads, figure: null },
    { name: 'Write', done: written / Math.max(1, levels.length), now: reached('quantize') && !loads, figure: `${written} of ${levels.length}` },
    { name: 'Measure', done: stopped?.share ?? (over ? 1 : live.done.measure), now: reached('measure') || loads || stopped !== null, figure: stopped?.text ?? (loads ? `loading ${modelsLoaded(live)} of ${levels.length}` : null) },
    ...(stagesOf(run).includes('check') ? [{ name: 'Check', done: live.done.check, now: reached('check'), figure: null }] : []),
  ];
  return (
    <ol className={classes.strip} aria-label="Stages">
      {stages.map(({ name, done, now, figure }) => {
        const fraction = over && name !== 'Measure' ? 1 : done;
        return (
          <li key={name} className={classes.stage} data-state={fraction >= 1 ? 'done' : now ? 'now' : 'ahead'}>
            <span className={classes.stageHead}>
              <span className={classes.stageName}>{name}</span>
              <span>{fraction >= 1 ? <><span aria-hidden="true">✓</span><VisuallyHidden>done</VisuallyHidden></> : figure ?? (now || fraction > 0 ? formatProgress(fraction) : '')}</span>
            </span>
            <span className={classes.track} aria-hidden="true"><span className={classes.fill} style={{ '--done': fraction }} /></span>
          </li>
        );
      })}
    </ol>
  );
}
