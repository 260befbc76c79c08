/** Measuring the same thing once: a report that is there answers, one that another tab is at is waited for. */
import type { EngineError, EngineEvent, Report } from '../protocol.ts';
import { incompleteKey, measurementKey, type MeasurementIdentity } from './job-key.ts';
import type { Locks } from './locks.ts';
import type { ReportStore } from './report-store.ts';

export interface OnceTask {
  identity: MeasurementIdentity;
  onEvent(event: EngineEvent): void;
  signal: AbortSignal;
  /** Ends waiting, too: what is measured after that is as short as may be. */
  finish: AbortSignal | undefined;
  /** Measures. What it reports goes through `onEvent`. */
  measure(onEvent: (event: EngineEvent) => void): Promise<Report>;
}

export interface MeasurementSurroundings {
  reports: ReportStore;
  locks: Locks;
  channel(): BroadcastChannel;
  /** The report is fine but could not be kept. */
  notKept(thrown: unknown): void;
}

interface Announcement { measurement: string; event: EngineEvent }

/** `known` when nothing had to be measured. */
export async function measureOnce({ identity, onEvent, signal, finish, measure }: OnceTask, { reports, locks, channel: connect, notKept }: MeasurementSurroundings): Promise<{ report: Report; known: boolean }> {
  const key = await measurementKey(identity);
  const channel = connect();
  channel.onmessage = ({ data }: MessageEvent<Announcement>) => { if (data.measurement === key) onEvent(data.event); };
  const release = await locks.hold(key, finish ? AbortSignal.any([signal, finish]) : signal).catch((thrown: unknown) => {
    channel.close();
    if (signal.aborted || !finish?.aborted) throw thrown;
    return null;
  });
  channel.onmessage = null;
  try {
    const kept = await reports.read(key).catch(() => null);
    if (kept?.answers) return { report: kept.report, known: true };
    const warnings: EngineError[] = [];
    const report = await measure((event) => {
      if (event.type === 'warning') warnings.push(event.error);
      // Levels have other names in another tab.
      if (event.type === 'progress' && release) channel.postMessage({ measurement: key, event: { ...event, level: null } } satisfies Announcement);
      onEvent(event);
    });
    const answers = warnings.length === 0 && finish?.aborted !== true && isWhole(report);
    await reports.keep({ key: answers ? key : await incompleteKey(key), createdAt: new Date().toISOString(), answers, report }).catch(notKept);
    return { report, known: false };
  } finally {
    channel.close();
    release?.();
  }
}

/** Whether measuring again could not give more. */
function isWhole({ protocol, inputs, levels }: Report): boolean {
  const measured = protocol ? protocol.stoppedEarly !== true && levels.every(({ perplexity }) => perplexity !== null)
    : Boolean(inputs) && levels.every(({ baseline, outputs }) => baseline || Boolean(outputs));
  return measured && levels.every(({ runtimeDrift, speed }) => !runtimeDrift?.problem && !speed?.some(({ problem }) => problem));
}
