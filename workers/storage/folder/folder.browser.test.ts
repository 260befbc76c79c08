/** The engine writes to a folder: one of OPFS here, which has the interface of one that a person chooses. */
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { tinyLanguageModel } from '../../../models/build.ts';
import type { Engine } from '../../contract/engine.ts';
import type { EngineEvent } from '../../contract/events.ts';
import type { Job } from '../../contract/job.ts';
import type { Report } from '../../contract/report.ts';
import type { Result } from '../../contract/errors.ts';
import type { Storage } from '../../contract/storage.ts';
import { connect, notify, WORKER_CRASHED, type RemoteWorker } from '../../rpc/remote.ts';
import { createFile, discard } from './folder.ts';

const engines: RemoteWorker<Engine>[] = [];
const start = () => {
  const engine = connect<Engine>(
    new Worker(new URL('../../entry/engine.worker.ts', import.meta.url), { type: 'module' }),
  );
  engines.push(engine);
  return engine;
};
const engine = start();

let root: FileSystemDirectoryHandle;
let count = 0;
const folder = () => root.getDirectoryHandle(`chosen-${++count}`, { create: true });

const job: Job = {
  files: [
    new File([tinyLanguageModel({ vocabulary: 256, width: 64, hidden: 96, type: 'float32', tied: true })], 'tiny.onnx'),
  ],
  levels: [
    { key: 'a', id: 'int8', settings: {} },
    { key: 'b', id: 'int4', settings: {} },
  ],
  maxTokens: null,
};

/** As far as its files are written. */
async function run(
  engine: RemoteWorker<Engine>,
  chosen: FileSystemDirectoryHandle | null,
  onEvent: (event: EngineEvent) => void = () => undefined,
) {
  const events: EngineEvent[] = [];
  const result = await engine.callWithEvents<EngineEvent, Result<Report>>(
    (event) => {
      events.push(event);
      onEvent(event);
      if (event.type === 'written' && event.level === 'b') notify(engine, (api) => api.cancel());
    },
    (api, port) => api.compare(chosen ? { ...job, folder: chosen } : job, port),
  );
  const written = events.flatMap((event) => (event.type === 'written' ? event : []));
  return {
    result,
    written,
    tensors: events.filter((event) => event.type === 'progress' && event.tensor !== null).length,
    files: Object.fromEntries(
      await Promise.all(written.map(async ({ file, blob }) => [file, await hashOf(blob)] as const)),
    ),
  };
}

async function hashOf(blob: Blob): Promise<string> {
  return [...new Uint8Array(await crypto.subtle.digest('SHA-256', await blob.arrayBuffer()))].join(' ');
}

/** What Chromium writes to before it swaps it in (`.crswap`) is there a little longer than the worker that wrote it. */
async function filesIn(chosen: FileSystemDirectoryHandle): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for await (const entry of chosen.values())
    if (!entry.name.endsWith('.crswap'))
      files[entry.name] = await hashOf(await (entry as FileSystemFileHandle).getFile());
  return files;
}

let expected: Record<string, string>;
const forget = async () => {
  await engine.call<Result<Storage>>((api) => api.removeAll());
};
beforeAll(async () => {
  root = await (await navigator.storage.getDirectory()).getDirectoryHandle('folders', { create: true });
  await forget();
  expected = (await run(engine, null)).files;
  expect(Object.keys(expected)).toEqual(['tiny_fp16.onnx', 'tiny_int8.onnx', 'tiny_q4.onnx']);
});
beforeEach(forget);
afterAll(async () => {
  for (const started of engines) started.terminate();
  for await (const name of root.keys()) await root.removeEntry(name, { recursive: true }).catch(() => undefined);
});

it('files are written to it and not to the storage, and not made again after a reload', async () => {
  const chosen = await folder();
  const { files, written } = await run(engine, chosen);
  expect(await filesIn(chosen)).toEqual(expected);
  expect(files).toEqual(expected);
  expect(written.map((event) => event.folder)).toEqual([chosen.name, chosen.name, chosen.name]);
  const storage = await engine.call<Result<Storage>>((api) => api.storage());
  expect(storage.ok && storage.value.results).toEqual([]);
  const again = await run(start(), chosen);
  expect(again.tensors).toBe(0);
  expect(await filesIn(chosen)).toEqual(expected);
});

it('files that are stored are copied to it; what has their names stays', async () => {
  const chosen = await folder();
  const own = await (await chosen.getFileHandle('tiny_q4.onnx', { create: true })).createWritable();
  await own.write('my own');
  await own.close();
  await run(engine, null);
  const { tensors } = await run(engine, chosen);
  expect(tensors).toBe(0);
  const { 'tiny_q4.onnx': q4, ...others } = expected;
  expect(await filesIn(chosen)).toEqual({
    ...others,
    'tiny_q4 (2).onnx': q4,
    'tiny_q4.onnx': await hashOf(new Blob(['my own'])),
  });
});

it('a cancel leaves whole files only', async () => {
  // Small files may all be written before a cancel arrives: until one arrives in time.
  for (let left = expected; Object.keys(left).length === Object.keys(expected).length;) {
    await forget();
    const chosen = await folder();
    let asked = false;
    const { result } = await run(engine, chosen, (event) => {
      if (asked || event.type !== 'progress' || event.stage !== 'quantize') return;
      asked = true;
      notify(engine, (api) => api.cancel());
    });
    expect(result).toMatchObject({ ok: false, error: { code: 'cancelled' } });
    left = await filesIn(chosen);
    expect(expected).toMatchObject(left);
    await run(engine, chosen);
    expect(await filesIn(chosen)).toEqual(expected);
  }
});

it('an engine that is ended leaves nothing that looks finished, and the next one goes on under the same names', async () => {
  const chosen = await folder();
  const ended = start();
  const onEvent = (event: EngineEvent) => {
    if (event.type === 'progress' && event.level === 'b') ended.terminate();
  };
  await expect(run(ended, chosen, onEvent)).rejects.toMatchObject({ name: WORKER_CRASHED });
  const nothing = await hashOf(new Blob());
  const left = Object.entries(await filesIn(chosen)).filter(([, hash]) => hash !== nothing);
  expect(expected).toMatchObject(Object.fromEntries(left));
  await run(engine, chosen);
  expect(await filesIn(chosen)).toEqual(expected);
});

it('a folder that is gone is named', async () => {
  const chosen = await folder();
  await root.removeEntry(chosen.name);
  const { result } = await run(engine, chosen);
  expect(result).toMatchObject({
    ok: false,
    error: {
      code: 'write-failed',
      message: `The folder ${chosen.name} is gone, or tiny_fp16.onnx was deleted from it while it was written.`,
    },
  });
});

it('two who write a file of one name at once write two files', async () => {
  const chosen = await folder();
  const [first, second] = [await createFile(chosen, 'm.onnx', false), await createFile(chosen, 'm.onnx', false)];
  expect([first?.name, second?.name]).toEqual(['m.onnx', 'm (2).onnx']);
  expect(await createFile(chosen, 'm.onnx', true)).toBeNull();
  for (const file of [first, second]) if (file) await discard(chosen, file);
  expect(await filesIn(chosen)).toEqual({});
});
