/** Measures a job unless the same has been measured before: then the stored report answers it. */
import type { EngineEvent } from '../contract/events.ts';
import { storedSpelling } from './stages/write.ts';
import { formatLevel } from '../contract/levels/level.ts';
import type { Report } from '../contract/report.ts';
import { hashContent } from '../io/hash.ts';
import { readText } from '../io/read-text.ts';
import { blobSource } from '../io/source.ts';
import type { MeasurementIdentity } from '../storage/job-key.ts';
import type { Original } from '../storage/measure-once.ts';
import type { JobContext, WrittenLevel } from './job-context.ts';
import type { OpenedJob } from './stages/open.ts';
import type { Levels } from './stages/plan.ts';
import { madeLength } from './stages/write.ts';

/**
 * @param measure Measures and makes the report; its events go through the context it is given.
 * @returns The report, with the files and skipped levels of this job.
 */
export async function knownOrMeasured(
  context: JobContext,
  opened: OpenedJob,
  { levels, skipped }: Levels<WrittenLevel>,
  measure: (context: JobContext) => Promise<Report>,
): Promise<Report> {
  const { job, platform, onEvent, signal, finish } = context;
  if (!platform.once || job.measure === false) return measure(context);
  const { report, known } = await platform.once({
    identity: await identityOf(context, opened, levels),
    onEvent,
    signal,
    finish,
    beside: { files: job.files, original: originalBaseline(opened, levels) },
    measure: (report) => measure({ ...context, onEvent: report }),
  });
  if (known) announce(report, levels, onEvent);
  // What was measured before may have been asked for by other keys, and may have been in files of other names.
  const lines = levels.flatMap(({ keys, file }) => keys.map((key) => ({ key, file })));
  const { skipped: _, ...kept } = report;
  return {
    ...kept,
    ...(skipped.length > 0 && { skipped: [...skipped] }),
    levels: report.levels.map((line, i) => ({ ...line, ...lines[i] })),
  };
}

/** All that decides what a measurement gives. */
async function identityOf(
  { job, platform, signal }: JobContext,
  { sorted, file, hash }: OpenedJob,
  levels: readonly WrittenLevel[],
): Promise<MeasurementIdentity> {
  return {
    model: { name: file.name, fingerprint: hash.fingerprint },
    levels: levels.flatMap((level) => level.keys.map(() => storedSpelling(level))),
    text: sorted.text && { name: sorted.text.name, content: (await readText(sorted.text)).text },
    tokenizer: sorted.tokenizer && { json: sorted.tokenizer.json, config: sorted.tokenizerConfig },
    inputs: await Promise.all(
      sorted.inputs.map(async (input) => ({
        name: input.name,
        ...(await hashContent(blobSource(input.name, input), () => undefined, signal)),
      })),
    ),
    protocol: job.protocol,
    maxTokens: job.maxTokens,
    extras: job.extras,
    provider: job.provider,
    threads: platform.threads,
  };
}

/** The baseline where it is the model as it is, in one file; null where it was made. */
function originalBaseline({ file, external, hash }: OpenedJob, levels: readonly WrittenLevel[]): Original | null {
  const baseline = levels.find(({ id }) => id === 'fp16');
  if (
    !baseline ||
    external.size > 0 ||
    baseline.plan.data ||
    baseline.plan.bytes !== file.size ||
    madeLength(baseline.plan.pieces) > 0
  )
    return null;
  return { file, name: baseline.file, level: formatLevel(baseline), fingerprint: hash.fingerprint };
}

/** The figures of a report that was there already, as if they had just been measured. */
function announce(
  { protocol, levels: figures }: Report,
  levels: readonly WrittenLevel[],
  onEvent: (event: EngineEvent) => void,
): void {
  levels
    .flatMap(({ keys }) => keys)
    .forEach((level, i) => {
      const { perplexity, drift } = figures[i] ?? {};
      if (protocol && perplexity)
        onEvent({ type: 'measured', level, tokens: protocol.tokens, perplexity, drift: drift ?? null, final: true });
    });
}
