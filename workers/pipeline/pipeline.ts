/**
 * The order of the stages, and nothing else: open → plan → calibrate → quantize and write → evaluate → check → report. Stages work on files
 * and blobs, so a job runs alike in a browser worker and in Node; what differs is in the `Platform`.
 */
import type { EngineEvent } from '../contract/events.ts';
import type { Job, Stage } from '../contract/job.ts';
import type { Report } from '../contract/report.ts';
import { beginJob, type Platform } from './job-context.ts';
import { knownOrMeasured } from './known-report.ts';
import { buildReport } from './report.ts';
import { distinctLevels } from './same-files.ts';
import { calibrateJob } from './stages/calibrate.ts';
import { check } from './stages/check.ts';
import { evaluate } from './stages/evaluate.ts';
import { open } from './stages/open.ts';
import { plan } from './stages/plan.ts';
import { quantize } from './stages/quantize.ts';
import { write } from './stages/write.ts';

/**
 * Runs a job.
 * @param signal Cancels it: rejects with the signal's reason or `cancelled`.
 * @param finish Ends the measurement early; the report is on what was measured until then.
 */
export async function compare(
  job: Job,
  platform: Platform,
  onEvent: (event: EngineEvent) => void,
  signal: AbortSignal,
  finish?: AbortSignal,
): Promise<Report> {
  const context = beginJob(job, platform, onEvent, signal, finish);
  const { seconds, ended } = stageClock();

  const opened = await open(context);
  const planned = await plan(context, opened);
  ended('open');

  const calibrated = await calibrateJob(context, opened, planned.levels);
  const quantizer = await quantize(context, opened);
  const written = await write(context, { opened, planned: { ...planned, levels: calibrated.levels }, quantizer });
  quantizer.dispose();
  ended('quantize');

  return knownOrMeasured(context, opened, written, async (measuring) => {
    const distinct = distinctLevels(written.levels, job.measure === false);
    const evaluated = await evaluate(measuring, { opened, levels: distinct.levels });
    ended('measure');
    const checked = await check(measuring, { opened, evaluated });
    ended('check');
    return buildReport({
      opened,
      backend: quantizer.backend(),
      ...written,
      distinct,
      calibrated,
      evaluated,
      checked,
      seconds,
    });
  });
}

/** Times stages that follow one another: `ended` ends one and begins the next. */
function stageClock(): { seconds: Partial<Record<Stage, number>>; ended: (stage: Stage) => void } {
  const seconds: Partial<Record<Stage, number>> = {};
  let began = performance.now();
  return {
    seconds,
    ended(stage) {
      const now = performance.now();
      seconds[stage] = (now - began) / 1000;
      began = now;
    },
  };
}
