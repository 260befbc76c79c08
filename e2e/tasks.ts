/**
 * How much work the page does on the main thread, task by task, as Chromium's own trace has it.
 *
 * What counts is the processor time of a task (`tdur`), without the garbage collector's, in units of a fixed piece of work
 * that the page does every two seconds meanwhile. Neither the time that passed nor the processor time alone tells what the
 * page's code does: where the engine's workers and other programs share cores and caches, both are several times what they
 * are on an idle machine.
 */
import type { CDPSession, Page } from '@playwright/test';

interface TraceEvent {
  name: string;
  pid: number;
  tid: number;
  ts: number;
  dur?: number;
  tdur?: number;
  args: Record<string, unknown>;
}

export interface Task {
  /** Milliseconds of processor time without the garbage collector, at the speed at which the reference work takes `REFERENCE_MS`. */
  work: number;
  /** Milliseconds of processor time as they were, without the garbage collector. */
  cpu: number;
  /** Milliseconds that passed. */
  wall: number;
  /** What ran in it, the longest first. */
  inside: string[];
}

/**
 * Processor time of the reference work on a core that has nothing else to do: what makes a task's work milliseconds again.
 * It is about as long as the tasks that are judged, so that it is interrupted as often, and finds its caches emptied as often.
 */
const REFERENCE_MS = 26;
const REFERENCE_EVERY_MS = 2000;
/** A task is measured by so many pieces of reference work around it: what else the machine does changes from second to second. */
const REFERENCES = 5;

/** Starts the reference work in the page: objects, strings, sorting and elements, as the page's own tasks make them. */
function startReference(everyMs: number): void {
  function makeList() {
    const rows = Array.from({ length: 3000 }, (_, index) => ({
      key: `row ${(index * 7919) % 3000}`,
      value: Math.sin(index),
      parts: [index, index + 1],
    }));
    rows.sort((a, b) => (a.key < b.key ? -1 : 1));
    const list = document.createElement('ul');
    for (const { key, value } of (JSON.parse(JSON.stringify(rows)) as typeof rows).slice(0, 300)) {
      const item = document.createElement('li');
      item.textContent = `${key}: ${value.toFixed(3)}`;
      item.setAttribute('class', key);
      list.append(item);
    }
  }
  function nibbleReferenceWork() {
    for (let round = 0; round < 4; round++) makeList();
  }
  setInterval(nibbleReferenceWork, everyMs);
}

/** Records every task of the page's main thread until it is called. */
export async function recordTasks(page: Page): Promise<() => Promise<Task[]>> {
  await page.evaluate(startReference, REFERENCE_EVERY_MS);
  const devtools: CDPSession = await page.context().newCDPSession(page);
  const events: TraceEvent[] = [];
  devtools.on('Tracing.dataCollected', ({ value }) => {
    for (const event of value as unknown as TraceEvent[]) events.push(event);
  });
  await devtools.send('Tracing.start', {
    transferMode: 'ReportEvents',
    traceConfig: {
      includedCategories: ['devtools.timeline', 'toplevel', 'disabled-by-default-devtools.timeline', 'blink_gc'],
    },
  });
  return async () => {
    const complete = new Promise<void>((resolve) => {
      devtools.once('Tracing.tracingComplete', () => {
        resolve();
      });
    });
    await devtools.send('Tracing.end');
    await complete;
    return tasksOf(events);
  };
}

const milliseconds = (microseconds = 0) => microseconds / 1000;

/** Tasks of less than this are not looked into. */
const NOTABLE_MS = 20;

/** V8's collector and Blink's: whole collections, and the steps of one that are taken in between. */
const isCollection = ({ name }: TraceEvent) => /^(MinorGC|MajorGC|V8\.GC|BlinkGC|CppGC)/.test(name);

const isReference = ({ name, args }: TraceEvent) =>
  name === 'FunctionCall' &&
  (args.data as { functionName?: string } | undefined)?.functionName === 'nibbleReferenceWork';

const isWithin = (inner: TraceEvent, outer: TraceEvent) =>
  inner !== outer && inner.ts >= outer.ts && inner.ts + (inner.dur ?? 0) <= outer.ts + (outer.dur ?? 0);

/** Processor time in milliseconds of the garbage collector in events that are part of one task. */
function collectorMs(within: readonly TraceEvent[]): number {
  const collections = within.filter(isCollection);
  return collections
    .filter((one) => !collections.some((other) => isWithin(one, other)))
    .reduce((sum, { tdur }) => sum + milliseconds(tdur), 0);
}

function tasksOf(events: readonly TraceEvent[]): Task[] {
  // Of several renderers the one that ran the page's scripts; others belong to the browser itself.
  const mains = events.filter(({ name, args }) => name === 'thread_name' && args.name === 'CrRendererMain');
  const busy = (main: TraceEvent) =>
    events.filter(({ pid, tid, name }) => pid === main.pid && tid === main.tid && name === 'FunctionCall').length;
  const main = mains.reduce<TraceEvent | null>(
    (best, candidate) => (best && busy(best) >= busy(candidate) ? best : candidate),
    null,
  );
  if (!main) throw new Error('the trace has no main thread');
  const own = events.filter(({ pid, tid, dur }) => pid === main.pid && tid === main.tid && dur !== undefined);
  const cpuMs = (event: TraceEvent) =>
    milliseconds(event.tdur) - collectorMs(own.filter((other) => isWithin(other, event)));
  const references = own.filter(isReference);
  if (references.length === 0) throw new Error('the trace has no reference work');
  const unitAt = (ts: number) =>
    median(
      [...references]
        .sort((a, b) => Math.abs(a.ts - ts) - Math.abs(b.ts - ts))
        .slice(0, REFERENCES)
        .map(cpuMs),
    );
  return own
    .filter(
      (task) =>
        task.name === 'RunTask' &&
        milliseconds(task.tdur) >= NOTABLE_MS &&
        !references.some((reference) => isWithin(reference, task)),
    )
    .map((task) => {
      const cpu = cpuMs(task);
      const within = own.filter((event) => isWithin(event, task) && !event.name.endsWith('RunTask'));
      return {
        work: (cpu / unitAt(task.ts)) * REFERENCE_MS,
        cpu,
        wall: milliseconds(task.dur),
        inside: within
          .sort((a, b) => (b.tdur ?? 0) - (a.tdur ?? 0))
          .slice(0, 4)
          .map(({ name, tdur }) => `${name} ${milliseconds(tdur).toFixed(0)} ms`),
      };
    });
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}
