import { afterEach, beforeEach, expect, it } from 'vitest';
import { byteTokenizer, tinyLanguageModel } from '../../models/build.ts';
import type { Engine, HubFolderJob, Zipping } from '../contract/engine.ts';
import type { EngineEvent } from '../contract/events.ts';
import type { Job } from '../contract/job.ts';
import type { OpenedReport, Storage, StoredReport } from '../contract/storage.ts';
import type { Report } from '../contract/report.ts';
import type { Result } from '../contract/errors.ts';
import { connect, notify, type RemoteWorker } from '../rpc/remote.ts';

const engines: RemoteWorker<Engine>[] = [];
const start = () => {
  const engine = connect<Engine>(new Worker(new URL('./engine.worker.ts', import.meta.url), { type: 'module' }));
  engines.push(engine);
  return engine;
};
beforeEach(async () => {
  await start().call<Result<Storage>>((api) => api.removeAll());
});
afterEach(() => {
  for (const engine of engines.splice(0)) engine.terminate();
});

const TEXT = 'It was the best of times, it was the worst of times. '.repeat(30);
const JOB: Job = {
  files: [
    new File([tinyLanguageModel({ vocabulary: 256, width: 64, hidden: 96, type: 'float32', tied: true })], 'tiny.onnx'),
    new File([byteTokenizer()], 'tokenizer.json'),
    new File([TEXT], 'text.txt'),
  ],
  levels: [
    { key: 'a', id: 'int8', settings: {} },
    { key: 'b', id: 'int4', settings: {} },
  ],
  maxTokens: null,
};

async function compare(engine: RemoteWorker<Engine>, job: Job = JOB) {
  const events: EngineEvent[] = [];
  const report = await engine.callWithEvents<EngineEvent, Result<Report>>(
    (event) => {
      events.push(event);
    },
    (api, port) => api.compare(job, port),
  );
  if (!report.ok) throw new Error(JSON.stringify(report.error));
  return { report: report.value, events };
}

const filesOf = (events: readonly EngineEvent[]) =>
  Promise.all(
    events.flatMap((event) =>
      event.type === 'written' ? event.blob.arrayBuffer().then((bytes) => [...new Uint8Array(bytes)]) : [],
    ),
  );

it('what one engine has done the next one has, and does not do again', async () => {
  const first = start();
  const before = await compare(first);
  first.terminate();
  const second = start();
  const after = await compare(second);
  expect(after.report).toEqual(before.report);
  expect(
    after.events.some((event) => event.type === 'progress' && (event.stage === 'measure' || event.tensor !== null)),
  ).toBe(false);
  expect(after.events.filter(({ type }) => type === 'warning')).toEqual([]);
  const files = await filesOf(before.events);
  expect(await filesOf(after.events)).toEqual(files);

  const history = await second.call<Result<StoredReport[]>>((api) => api.history());
  if (!history.ok) throw new Error(history.error.message);
  expect(history.value.map(({ levels }) => levels)).toEqual([['fp16', 'int8', 'int4']]);
  const opened = await second.call<Result<OpenedReport>>((api) => api.openStored(history.value[0]?.key ?? ''));
  if (!opened.ok) throw new Error(opened.error.message);
  expect(opened.value.report).toEqual(before.report);
  // The files outlive the worker that opened them.
  second.terminate();
  expect(
    await Promise.all(
      opened.value.files.map(async ({ file }) => [...new Uint8Array((await file?.arrayBuffer()) ?? [])]),
    ),
  ).toEqual(files);
});

it('two engines at once do nothing twice', async () => {
  const [a, b] = await Promise.all([compare(start()), compare(start())]);
  expect(b.report).toEqual(a.report);
  const [madeByA, madeByB] = [a, b].map(({ events }) =>
    events.flatMap((event) =>
      event.type === 'progress' && event.tensor !== null ? `${event.level ?? ''} ${event.tensor}` : [],
    ),
  );
  expect(madeByA?.concat(madeByB ?? []).length).toBeGreaterThan(0);
  expect(madeByA?.filter((tensor) => madeByB?.includes(tensor))).toEqual([]);
});

/** Text with none of the evaluation text in it. */
const CALIBRATION = Array.from({ length: 400 }, (_, i) => `Call me ${(i * 7919) % 1000}. `).join('');

it('calibrates: its files differ from those of a search without data, and are the same when made again', async () => {
  const job: Job = {
    ...JOB,
    calibration: new File([CALIBRATION], 'calibration.txt'),
    levels: (['search', 'wsearch', 'gptq'] as const).map((method) => ({
      key: method,
      id: 'int4',
      settings: { asymmetric: true, method },
    })),
    measure: false,
  };
  const once = await compare(start(), job);
  expect(once.events.filter(({ type }) => type === 'warning')).toEqual([]);
  expect(once.report.levels.map(({ key }) => key).slice(1)).toEqual(['search', 'wsearch', 'gptq']);
  const files = await filesOf(once.events);
  expect(new Set(files.map((bytes) => bytes.join())).size).toBe(4);
  // A file keeps its size whatever made it, but for the name of the method in its metadata.
  const sizes = files.slice(1).map(({ length }) => length);
  expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThan(32);
  await start().call<Result<Storage>>((api) => api.removeAll());
  expect(await filesOf((await compare(start(), job)).events)).toEqual(files);
});

it('making a Hub folder stops when it is told to', async () => {
  const engine = start();
  const report: Report = {
    schema: 'nibble.report/1',
    model: { name: 'm', sha256: null, bytes: 1, parameters: 1, cacheBytesPerToken: null },
    protocol: null,
    backend: 'wasm',
    levels: [],
    notes: [],
  };
  const large: HubFolderJob = {
    files: [],
    report,
    models: [
      {
        level: 'int4',
        file: 'm.onnx',
        blob: new Blob(Array<Uint8Array<ArrayBuffer>>(64).fill(new Uint8Array(1 << 22))),
      },
    ],
  };
  let read = 0;
  const stopped = await engine.callWithEvents<Zipping, Result<Blob>>(
    ({ done, total }) => {
      read = done / total;
      notify(engine, (api) => api.cancelHubFolder('mine'));
    },
    (api, port) => api.hubFolder(large, port, 'mine'),
  );
  expect(stopped).toMatchObject({ ok: false, error: { code: 'cancelled' } });
  expect(read).toBeGreaterThan(0);
  expect(read).toBeLessThan(1);
});
