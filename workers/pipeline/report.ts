/** The report of a job, from what its stages returned. */
import type { Stage } from '../contract/job.ts';
import { levelSuffix } from '../contract/levels/file-name.ts';
import { formatLevel } from '../contract/levels/level.ts';
import { SCHEMES } from '../contract/levels/registry.ts';
import { reportedSettings } from '../contract/levels/reported.ts';
import { REPORT_SCHEMA, type LevelReport, type Report, type SkippedLevel } from '../contract/report.ts';
import { shownSentence } from '../lib/shown.ts';
import { describePattern } from '../plan/patterns.ts';
import type { Figures, WrittenLevel } from './job-context.ts';
import type { DistinctLevels } from './same-files.ts';
import type { Checked } from './stages/check.ts';
import type { Evaluated } from './stages/evaluate.ts';
import type { OpenedJob } from './stages/open.ts';

export interface ReportInput {
  readonly opened: OpenedJob;
  readonly backend: Report['backend'];
  /** All levels written, and which of them were measured. */
  readonly levels: readonly WrittenLevel[];
  readonly distinct: DistinctLevels;
  readonly skipped: readonly SkippedLevel[];
  readonly calibrated: { readonly notes: readonly string[] };
  readonly evaluated: Evaluated;
  readonly checked: Checked;
  readonly seconds: Partial<Record<Stage, number>>;
}

/** A line for each request: requests that were answered by the same level have the same figures. */
export function buildReport({
  opened,
  backend,
  levels,
  distinct,
  skipped,
  calibrated,
  evaluated,
  checked,
  seconds,
}: ReportInput): Report {
  const { file, hash, model } = opened;
  return {
    schema: REPORT_SCHEMA,
    model: {
      name: file.name,
      sha256: hash.sha256,
      fingerprint: hash.fingerprint,
      bytes: model.bytes,
      parameters: model.parameters,
      cacheBytesPerToken: model.cacheBytesPerToken,
    },
    protocol: evaluated.protocol,
    backend,
    levels: levels.flatMap((level, index) => {
      const line = levelReport(level, checked.levels[distinct.measuredAs[index]!]!.figures, distinct.sameFileAs[index]);
      return level.keys.map((key) => ({ ...line, key }));
    }),
    ...(skipped.length > 0 && { skipped: [...skipped] }),
    seconds,
    noiseFloor: evaluated.noiseFloor,
    ...(evaluated.words && { words: evaluated.words }),
    inputs: evaluated.inputs,
    overflow: checked.overflow,
    notes: [
      ...levels.flatMap(patternNotes),
      ...calibrated.notes,
      ...distinct.notes,
      ...evaluated.notes,
      ...checked.notes,
    ].map(shownSentence),
  };
}

/** What a level's patterns apply to, in sentences. */
function patternNotes(level: WrittenLevel): string[] {
  return (level.plan.patterns ?? []).map((use) => `${formatLevel(level)}: ${describePattern(use)}`);
}

/** The line of the report on a level, without the key of the request it answers. */
function levelReport(
  { id, settings, plan, data, file, memory }: WrittenLevel,
  { perplexity, drift, activationRanges, outputs, runtimeDrift, speed }: Figures,
  sameFileAs: string | null | undefined,
): Omit<LevelReport, 'key'> {
  return {
    id,
    level: formatLevel({ id, settings }),
    baseline: SCHEMES[id].resolve(settings).baseline,
    settings: reportedSettings({ id, settings }),
    suffix: levelSuffix({ id, settings }),
    file,
    bytes: plan.bytes,
    ...(data && { data: { file: data.file, bytes: data.bytes } }),
    weightBytes: plan.weightBytes,
    ...(memory && { memory }),
    ...(typeof sameFileAs === 'string' && { sameFileAs }),
    perplexity,
    drift,
    ...(activationRanges && { activationRanges }),
    outputs,
    runtimeDrift,
    ...(speed && { speed }),
    ...(plan.patterns && { patterns: plan.patterns }),
    ledger: plan.ledger,
  };
}
