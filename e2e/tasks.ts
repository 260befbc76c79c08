/**
 * How long the page keeps the main thread to itself, task by task, as Chromium's own trace has it. What counts is the
 * processor time of a task (`tdur`), not the time that passed: on a machine that does other things besides, as when the
 * engine's workers use every core, a task of 5 ms may take 100 ms to get its turns, and that says nothing about the page.
 */
import type { CDPSession, Page } from '@playwright/test';

interface TraceEvent { name: string; pid: number; tid: number; ts: number; dur?: number; tdur?: number; args: Record<string, unknown> }

export interface Task {
  /** Milliseconds of processor time, without what the garbage collector took. */
  cpu: number;
  /** Milliseconds that passed. */
  wall: number;
  /** What ran in it, the longest first. */
  inside: string[];
}

/** Records every task of the page's main thread until it is called. */
export async function recordTasks(page: Page): Promise<() => Promise<Task[]>> {
  const devtools: CDPSession = await page.context().newCDPSession(page);
  const events: TraceEvent[] = [];
  devtools.on('Tracing.dataCollected', ({ value }) => { for (const event of value as unknown as TraceEvent[]) events.push(event); });
  await devtools.send('Tracing.start', { transferMode: 'ReportEvents', traceConfig: { includedCategories: ['devtools.timeline', 'toplevel', 'disabled-by-default-devtools.timeline'] } });
  return async () => {
    const complete = new Promise<void>((resolve) => { devtools.once('Tracing.tracingComplete', () => { resolve(); }); });
    await devtools.send('Tracing.end');
    await complete;
    return tasksOf(events);
  };
}

const milliseconds = (microseconds = 0) => microseconds / 1000;

/** Tasks of less than this are not looked into. */
const NOTABLE_MS = 20;

function tasksOf(events: readonly TraceEvent[]): Task[] {
  // Of several renderers the one that ran the page's scripts; others belong to the browser itself.
  const mains = events.filter(({ name, args }) => name === 'thread_name' && args.name === 'CrRendererMain');
  const busy = (main: TraceEvent) => events.filter(({ pid, tid, name }) => pid === main.pid && tid === main.tid && name === 'FunctionCall').length;
  const main = mains.reduce<TraceEvent | null>((best, candidate) => (best && busy(best) >= busy(candidate) ? best : candidate), null);
  if (!main) throw new Error('the trace has no main thread');
  const own = events.filter(({ pid, tid, dur }) => pid === main.pid && tid === main.tid && dur !== undefined);
  return own.filter(({ name, tdur }) => name === 'RunTask' && milliseconds(tdur) >= NOTABLE_MS).map((task) => {
    const within = own.filter((event) => event !== task && event.ts >= task.ts && event.ts + (event.dur ?? 0) <= task.ts + (task.dur ?? 0) && !event.name.endsWith('RunTask'));
    const collected = within.filter(({ name }) => name === 'MinorGC' || name === 'MajorGC').reduce((sum, { tdur }) => sum + milliseconds(tdur), 0);
    return {
      cpu: milliseconds(task.tdur) - collected, wall: milliseconds(task.dur),
      inside: within.sort((a, b) => (b.tdur ?? 0) - (a.tdur ?? 0)).slice(0, 4).map(({ name, tdur }) => `${name} ${milliseconds(tdur).toFixed(0)} ms`),
    };
  });
}
