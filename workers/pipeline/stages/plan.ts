/** Stage `plan`: decides for each level which tensor becomes what. A level that cannot be made is skipped, with the reason. */
import { failure, isAboutLevel, settle, type EngineError } from '../../contract/errors.ts';
import type { LevelRequest } from '../../contract/job.ts';
import { fileName, levelSuffix } from '../../contract/levels/file-name.ts';
import { formatLevel } from '../../contract/levels/level.ts';
import { SCHEMES } from '../../contract/levels/registry.ts';
import type { SkippedLevel } from '../../contract/report.ts';
import { SINGLE_FILE_LIMIT } from '../../plan/data-file.ts';
import { planAnyLevel } from '../../plan/half/plan-half.ts';
import type { JobContext, LevelJob } from '../job-context.ts';
import type { OpenedJob } from './open.ts';

/** Levels that go on to the next stage, and those that do not. */
export interface Levels<Level extends LevelJob> {
  /** The baseline first. */
  readonly levels: readonly Level[];
  readonly skipped: readonly SkippedLevel[];
}

/** Plans the levels of the job, and the baseline when it is not among them. Errors: those that concern the baseline, or the model itself. */
export async function plan(
  { job, platform, onEvent }: JobContext,
  { input, hash, misfits }: OpenedJob,
): Promise<Levels<LevelJob>> {
  const options = { fingerprint: hash.fingerprint, limit: platform.singleFileLimit ?? SINGLE_FILE_LIMIT };
  const levels: LevelJob[] = [];
  const skipped: SkippedLevel[] = [];
  for (const { id, settings, keys, spelling } of distinctRequests(withBaseline(job.levels))) {
    const attempt = await settle(() => planAnyLevel(input, SCHEMES[id], settings, misfits, options));
    if (!attempt.ok && !endsLevelOnly(attempt.error, id)) throw failure(attempt.error);
    const error = attempt.ok ? attempt.value.problem : attempt.error;
    if (error) {
      skipped.push({ level: spelling, error, ...(attempt.ok && { ledger: attempt.value.ledger }) });
      for (const level of keys) onEvent({ type: 'warning', error, level });
    } else if (attempt.ok) {
      const file = fileName(input.model.source.name, levelSuffix({ id, settings }));
      levels.push({ keys, id, settings, plan: attempt.value, file });
    }
  }
  return { levels: levels.sort((a, b) => Number(b.id === 'fp16') - Number(a.id === 'fp16')), skipped };
}

/** Whether the job goes on without the level. Without the baseline there is nothing to compare the others with. */
export function endsLevelOnly(error: EngineError, id: LevelRequest['id']): boolean {
  return id !== 'fp16' && (isAboutLevel(failure(error)) || error.code === 'internal');
}

function withBaseline(requests: readonly LevelRequest[]): readonly LevelRequest[] {
  return requests.some(({ id }) => id === 'fp16') ? requests : [{ key: 'fp16', id: 'fp16', settings: {} }, ...requests];
}

/** Requests that are spelled alike are one, which answers all their keys. */
function distinctRequests(
  requests: readonly LevelRequest[],
): (Pick<LevelRequest, 'id' | 'settings'> & { keys: readonly string[]; spelling: string })[] {
  const spellings = new Map<string, { id: LevelRequest['id']; settings: LevelRequest['settings']; keys: string[] }>();
  for (const { key, id, settings } of requests) {
    const spelling = formatLevel({ id, settings });
    const same = spellings.get(spelling);
    if (same) same.keys.push(key);
    else spellings.set(spelling, { id, settings, keys: [key] });
  }
  return [...spellings].map(([spelling, request]) => ({ ...request, spelling }));
}
