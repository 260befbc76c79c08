import { afterEach, describe, expect, test } from 'vitest';
import { tinyLanguageModel } from '../../../models/build.ts';
import { settle } from '../../contract/errors.ts';
import type { Evaluator } from '../../evaluate/text/evaluate.ts';
import { createNodeEvaluator } from '../../evaluate/evaluator.node.ts';
import { createReferenceKernel } from '../../kernels/reference.ts';
import { compare } from '../../pipeline/pipeline.ts';
import type { EngineEvent } from '../../contract/events.ts';
import type { LevelRequest } from '../../contract/job.ts';
import { numbered, safeName } from './folder.ts';
import { localLocks } from '../disk/locks.ts';
import { createResultRepository } from '../storage.ts';
import { memoryDisk } from '../test-disk.ts';
import { memoryFolder, type MemoryFolder } from '../test-folder.ts';
import { heldNotes } from '../written-notes.ts';

const MODEL = tinyLanguageModel({ vocabulary: 256, width: 64, hidden: 96, type: 'float32', tied: true });
const INT8: LevelRequest = { key: 'a', id: 'int8', settings: {} };
const INT4: LevelRequest = { key: 'b', id: 'int4', settings: {} };
const NAMES = ['tiny_fp16.onnx', 'tiny_int8.onnx', 'tiny_q4.onnx'];

const channels: BroadcastChannel[] = [];
afterEach(() => {
  for (const channel of channels.splice(0)) channel.close();
});

/** Outputs are of no interest here. */
const evaluator: Evaluator = {
  ...createNodeEvaluator(),
  compareOutputs: async () => ({
    ok: false,
    error: { code: 'session-failed', message: 'Not here.', action: '', details: '' },
  }),
};

interface Order {
  folder?: MemoryFolder;
  name?: string;
  levels?: LevelRequest[];
  stop?: AbortController;
  limit?: number;
  onEvent?: (event: EngineEvent) => void;
}

/** A tab over a disk, with the kernel's work counted. */
async function tab(disk = memoryDisk(), memoryLimit = 1 << 30) {
  const notes = heldNotes();
  const keeper = await createResultRepository(disk, {
    locks: localLocks(),
    notes,
    memoryLimit,
    channel: () => {
      const channel = new BroadcastChannel('nibble:test-folder');
      channels.push(channel);
      return channel;
    },
  });
  const kernel = createReferenceKernel();
  let made = 0;
  const run = async ({
    folder,
    name = 'tiny.onnx',
    levels = [INT8, INT4],
    stop = new AbortController(),
    limit,
    onEvent,
  }: Order) => {
    const before = made;
    const events: EngineEvent[] = [];
    const report = await settle(() =>
      compare(
        { files: [new File([MODEL], name)], levels, maxTokens: null },
        {
          ...keeper.job((error) => {
            events.push({ type: 'warning', error });
          }, folder?.handle),
          kernel: async () => ({
            ...kernel,
            quantize: (...args) => {
              made++;
              return kernel.quantize(...args);
            },
          }),
          evaluator,
          threads: 1,
          ...(limit === undefined ? {} : { singleFileLimit: limit }),
        },
        (event) => {
          events.push(event);
          onEvent?.(event);
        },
        stop.signal,
      ),
    );
    const written = events.flatMap((event) => (event.type === 'written' ? event : []));
    return { report, written, made: made - before };
  };
  return { keeper, notes, run };
}

const bytesOf = async (blob: Blob) => Buffer.from(await blob.arrayBuffer()).toString('base64');
const held = ({ files }: MemoryFolder) =>
  Object.fromEntries([...files].map(([name, bytes]) => [name, Buffer.from(bytes).toString('base64')]));

async function expected(limit?: number): Promise<Record<string, string>> {
  const { written } = await (await tab()).run(limit === undefined ? {} : { limit });
  return Object.fromEntries(
    await Promise.all(
      written
        .flatMap(({ file, blob, data }) => [{ file, blob }, ...(data ? [data] : [])])
        .map(async ({ file, blob }) => [file, await bytesOf(blob)] as const),
    ),
  );
}

describe('files written to a folder', () => {
  test('are those the browser would keep, which keeps none of them', async () => {
    const disk = memoryDisk();
    const { run, keeper } = await tab(disk);
    const folder = memoryFolder();
    const { report, written } = await run({ folder });
    expect(held(folder)).toEqual(await expected());
    expect(written.map(({ file, folder }) => [file, folder])).toEqual(NAMES.map((name) => [name, 'chosen']));
    expect(await Promise.all(written.map(({ blob }) => bytesOf(blob)))).toEqual(Object.values(held(folder)));
    expect(report.ok && report.value.levels.map(({ file }) => file)).toEqual(NAMES);
    expect((await keeper.storage()).results).toEqual([]);
  });

  test('are not counted against the storage of the browser', async () => {
    const disk = memoryDisk();
    disk.quota = 1000;
    const { run } = await tab(disk, 1000);
    expect((await run({})).report).toMatchObject({ ok: false, error: { code: 'storage-full' } });
    const folder = memoryFolder();
    expect((await run({ folder })).report.ok).toBe(true);
    expect(held(folder)).toEqual(await expected());
  });

  test('are copied when they are stored already', async () => {
    const { run } = await tab();
    await run({});
    const folder = memoryFolder();
    const { made, written } = await run({ folder });
    expect(made).toBe(0);
    expect(held(folder)).toEqual(await expected());
    expect(written.map(({ file }) => file)).toEqual(NAMES);
  });

  test('that were begun in the storage are gone on with', async () => {
    const { run, keeper } = await tab();
    const stop = new AbortController();
    const tensors = new Set<string>();
    await run({
      levels: [INT8],
      stop,
      onEvent(event) {
        if (
          event.type === 'progress' &&
          event.level === 'a' &&
          event.tensor !== null &&
          tensors.add(event.tensor).size === 3
        )
          stop.abort();
      },
    });
    const begun = (await keeper.storage()).results.find(({ finished }) => !finished);
    expect(begun?.bytes).toBeGreaterThan(20_000);
    const folder = memoryFolder();
    const { made } = await run({ folder, levels: [INT8] });
    expect(made).toBeLessThan((await (await tab()).run({ levels: [INT8] })).made);
    expect(Object.entries(await expected())).toEqual(expect.arrayContaining(Object.entries(held(folder))));
    expect([...folder.files.keys()]).toEqual(NAMES.slice(0, 2));
  });

  test('are not made again there, unless somebody has been at them', async () => {
    const { run } = await tab();
    const folder = memoryFolder();
    const first = await run({ folder });
    const second = await run({ folder });
    expect(second.made).toBe(0);
    expect([...folder.files.keys()]).toEqual(NAMES);
    expect(second.report.ok && second.report.value.levels.map(({ file }) => file)).toEqual(NAMES);
    folder.files.set('tiny_q4.onnx', new Uint8Array([1, 2, 3]));
    const third = await run({ folder });
    expect(third.made).toBeGreaterThan(0);
    expect(third.made).toBeLessThan(first.made);
    expect(folder.files.get('tiny_q4.onnx')).toEqual(new Uint8Array([1, 2, 3]));
    expect(third.written.map(({ file }) => file)).toEqual(['tiny_fp16.onnx', 'tiny_int8.onnx', 'tiny_q4 (2).onnx']);
    expect(third.report.ok && third.report.value.levels.at(-1)?.file).toBe('tiny_q4 (2).onnx');
    expect(held(folder)['tiny_q4 (2).onnx']).toBe((await expected())['tiny_q4.onnx']);
  });

  test('of a model that is its own baseline leave that out', async () => {
    const { run } = await tab();
    const folder = memoryFolder();
    const {
      written: [fp16],
    } = await run({ folder });
    if (!fp16) throw new Error('nothing was written');
    const half = memoryFolder();
    const own = await settle(async () =>
      compare(
        { files: [new File([fp16.blob], 'half.onnx')], levels: [INT8], maxTokens: null },
        {
          ...(await tab()).keeper.job(() => undefined, half.handle),
          kernel: async () => createReferenceKernel(),
          evaluator,
          threads: 1,
        },
        () => undefined,
        new AbortController().signal,
      ),
    );
    expect(own.ok).toBe(true);
    expect([...half.files.keys()]).toEqual(['half_int8.onnx']);
  });
});

describe('names', () => {
  test('that are taken get a number, by a file or a folder; an empty file is no file', async () => {
    const { run } = await tab();
    const folder = memoryFolder();
    folder.files.set('tiny_int8.onnx', new Uint8Array([7]));
    folder.folders.add('tiny_q4.onnx').add('tiny_q4 (2).onnx');
    folder.files.set('tiny_fp16.onnx', new Uint8Array());
    const { written } = await run({ folder });
    expect(written.map(({ file }) => file)).toEqual(['tiny_fp16.onnx', 'tiny_int8 (2).onnx', 'tiny_q4 (3).onnx']);
    expect(folder.files.get('tiny_int8.onnx')).toEqual(new Uint8Array([7]));
  });

  test('of two files at once: the second one keeps its name, or nothing is written', async () => {
    const limit = 20_000;
    const folder = memoryFolder();
    const { run } = await tab();
    const { written } = await run({ folder, levels: [INT8], limit });
    expect(written.map(({ file, data }) => [file, data?.file])).toContainEqual([
      'tiny_int8.onnx',
      'tiny_int8.onnx_data',
    ]);
    expect(held(folder)).toEqual(
      Object.fromEntries(Object.entries(await expected(limit)).filter(([name]) => !name.includes('q4'))),
    );
    // Its own files are in nobody's way.
    expect((await run({ folder, levels: [INT8], limit })).made).toBe(0);
    const before = held(folder);
    folder.files.set('tiny_q4.onnx_data', new Uint8Array([7]));
    const { report } = await run({ folder, limit });
    expect(report).toMatchObject({
      ok: false,
      error: {
        code: 'write-failed',
        message:
          'The folder chosen holds another tiny_q4.onnx_data already, and a model calls its second file by that name.',
      },
    });
    expect(held(folder)).toEqual({ ...before, 'tiny_q4.onnx_data': 'Bw==' });
  });

  test.each([
    ['a/b:c?.onnx', 'a_b_c_.onnx'],
    ['..', 'model.onnx'],
    ['line\nbreak.onnx ', 'line_break.onnx'],
    ['__proto__', '__proto__'],
  ])('%s becomes %s', (name, safe) => {
    expect(safeName(name)).toBe(safe);
  });

  test('are numbered before their end', () => {
    expect(['m.onnx', 'm', '.onnx', 'a.b.onnx'].map((name) => numbered(name, 2))).toEqual([
      'm (2).onnx',
      'm (2)',
      '.onnx (2)',
      'a.b (2).onnx',
    ]);
  });
});

describe('a folder that fails', () => {
  test.each<[string, string, (folder: MemoryFolder) => void]>([
    [
      'is full',
      'storage-full',
      (folder) => {
        folder.room = 60_000;
      },
    ],
    [
      'may not be written to any more',
      'write-failed',
      (folder) => {
        folder.broken = new DOMException('no', 'NotAllowedError');
      },
    ],
    [
      'is gone',
      'write-failed',
      (folder) => {
        folder.broken = new DOMException('no', 'NotFoundError');
      },
    ],
    [
      'fails in a way of its own',
      'write-failed',
      (folder) => {
        folder.broken = new DOMException('no', 'AbortError');
      },
    ],
  ])('because it %s: it is said, nothing half is there, and it can be gone on with', async (_, code, fail) => {
    const { run } = await tab();
    const folder = memoryFolder();
    let writes = 0;
    folder.onWrite = () => {
      if (++writes === 2) fail(folder);
    };
    const { report, written } = await run({ folder });
    expect(report).toMatchObject({ ok: false, error: { code } });
    expect(written.length).toBeLessThan(3);
    Object.assign(folder, { room: Infinity, broken: null });
    expect([...folder.files].filter(([, bytes]) => bytes.length > 0).map(([name]) => name)).toEqual(
      written.map(({ file }) => file),
    );
    const again = await run({ folder });
    expect(again.written.map(({ file }) => file)).toEqual(NAMES);
    expect(held(folder)).toEqual(await expected());
  });

  test('that was cancelled has only what was finished', async () => {
    const { run } = await tab();
    const folder = memoryFolder();
    const stop = new AbortController();
    let writes = 0;
    folder.onWrite = () => {
      if (++writes === 2) stop.abort();
    };
    const { report, written } = await run({ folder, stop });
    expect(report).toMatchObject({ ok: false, error: { code: 'cancelled' } });
    expect(written.length).toBeLessThan(3);
    expect([...folder.files.keys()]).toEqual(written.map(({ file }) => file));
  });
});
