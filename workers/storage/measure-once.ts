/** Measuring the same thing once: a report that is there answers, one that another tab is at is waited for. */
import type { EngineError } from '../contract/errors.ts';
import type { EngineEvent } from '../contract/events.ts';
import type { Report } from '../contract/report.ts';
import { incompleteKey, measurementKey, type MeasurementIdentity } from './job-key.ts';
import type { Locks } from './disk/locks.ts';
import type { KeptReport, ReportStore } from './report-store.ts';

export interface OnceTask {
  identity: MeasurementIdentity;
  onEvent(event: EngineEvent): void;
  signal: AbortSignal;
  /** Ends waiting, too: what is measured after that is as short as may be. */
  finish: AbortSignal | undefined;
  /** Stored with the report. */
  beside?: Beside;
  /** Measures. What it reports goes through `onEvent`. */
  measure(onEvent: (event: EngineEvent) => void): Promise<Report>;
}

/** What a report is stored with, so that it can be used without the files it is about. */
export interface Beside {
  /** All files of the job: configuration and tokenizer files are taken from them. */
  files: readonly File[];
  /** The baseline where it is the model as it is, in one file; null where a file was made for it. */
  original: Original | null;
}

/** A baseline that is the dropped model itself. */
export interface Original {
  file: File;
  name: string;
  level: string;
  fingerprint: string;
}

export interface MeasurementPlatform {
  reports: ReportStore;
  /** Stores the report and what lies beside it. */
  keep(report: KeptReport, beside: Beside | undefined): Promise<void>;
  locks: Locks;
  channel(): BroadcastChannel;
  /** The report is fine but could not be kept. */
  notKept(thrown: unknown): void;
}

interface Announcement {
  measurement: string;
  event: EngineEvent;
}

/** `known` when nothing had to be measured. */
export async function measureOnce(
  { identity, onEvent, signal, finish, beside, measure }: OnceTask,
  { reports, keep, locks, channel: connect, notKept }: MeasurementPlatform,
): Promise<{ report: Report; known: boolean }> {
  const key = await measurementKey(identity);
  const channel = connect();
  channel.onmessage = ({ data }: MessageEvent<Announcement>) => {
    if (data.measurement === key) onEvent(data.event);
  };
  const release = await locks
    .hold(key, finish ? AbortSignal.any([signal, finish]) : signal)
    .catch((thrown: unknown) => {
      channel.close();
      if (signal.aborted || !finish?.aborted) throw thrown;
      return null;
    });
  channel.onmessage = null;
  try {
    const kept = await reports.read(key).catch(() => null);
    if (kept?.answers) {
      // It may have been stored by itself: with other files, or by an older version.
      await keep(kept, beside).catch(() => undefined);
      return { report: kept.report, known: true };
    }
    const warnings: EngineError[] = [];
    const report = await measure((event) => {
      if (event.type === 'warning') warnings.push(event.error);
      // Levels have other names in another tab.
      if (event.type === 'progress' && release)
        channel.postMessage({ measurement: key, event: { ...event, level: null } } satisfies Announcement);
      onEvent(event);
    });
    const answers = warnings.length === 0 && finish?.aborted !== true && isWhole(report);
    await keep(
      { key: answers ? key : await incompleteKey(key), createdAt: new Date().toISOString(), answers, report },
      beside,
    ).catch(notKept);
    return { report, known: false };
  } finally {
    channel.close();
    release?.();
  }
}

/** Whether measuring again could not give more. */
function isWhole({ protocol, inputs, levels }: Report): boolean {
  const measured = protocol
    ? protocol.stoppedEarly !== true && levels.every(({ perplexity }) => perplexity !== null)
    : Boolean(inputs) && levels.every(({ baseline, outputs }) => baseline || Boolean(outputs));
  return (
    measured &&
    levels.every(({ runtimeDrift, speed }) => !runtimeDrift?.problem && !speed?.some(({ problem }) => problem))
  );
}
