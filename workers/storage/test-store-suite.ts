/**
 * What holds for stored results on every disk, as functions that throw: they run in Node on a disk in memory, and in a
 * worker of a browser on OPFS, where no test runner reaches.
 */
import fc from 'fast-check';
import { toEngineError } from '../contract/errors.ts';
import type { Piece } from '../onnx/writing/splice.ts';
import { pieceLength, piecesLength } from '../onnx/writing/splice.ts';
import { atOnce, writePieces } from '../onnx/writing/write.ts';
import type { EngineError } from '../contract/errors.ts';
import { writeAll, type Disk } from './disk/disk.ts';
import { isKey, levelKey } from './job-key.ts';
import { localLocks } from './disk/locks.ts';
import { openResultStore, type About } from './result-store.ts';
import { storedSink, type LevelFile, type SinkPlatform } from './stored-sink.ts';
import { faulty, type Fate } from './test-disk.ts';

export interface TestTask {
  name: string;
  seed: number;
  parts: { part: string; length: number }[];
}

/** A file to be written: the parts of a task lie side by side, as plans have them. */
export interface TestFile {
  source: Uint8Array<ArrayBuffer>;
  pieces: Piece<TestTask>[];
  expected: Uint8Array;
}

/** Bytes that tell where they come from. */
export function bytesOf(seed: number, length: number): Uint8Array<ArrayBuffer> {
  let state = (seed * 2654435761 + 1) >>> 0;
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

/** Where two files part, or -1. */
export function firstDifference(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < Math.max(a.length, b.length); i++) if (a[i] !== b[i]) return i;
  return -1;
}

export const carryOut = (task: TestTask): Map<string, Uint8Array> =>
  new Map(task.parts.map(({ part, length }, i) => [part, bytesOf(task.seed + i, length)]));

export function testFile(source: Uint8Array<ArrayBuffer>, pieces: Piece<TestTask>[]): TestFile {
  const expected = new Uint8Array(piecesLength(pieces));
  let at = 0;
  for (const piece of pieces) {
    expected.set(
      piece.kind === 'copy'
        ? source.subarray(piece.start, piece.end)
        : piece.kind === 'bytes'
          ? piece.bytes
          : (carryOut(piece.task).get(piece.part) ?? []),
      at,
    );
    at += pieceLength(piece);
  }
  return { source, pieces, expected };
}

/** A file of ranges of its source and tensors in turn. */
export interface WriteOrder {
  /** Names the file to be made. */
  model: string;
  source: File;
  tensors: number;
  bytesEach: number;
  /** Milliseconds each tensor takes. */
  pace: number;
  /** A Web Lock that half of the tensors wait for. */
  gate?: string;
}

export function orderedPieces({ source, tensors, bytesEach }: WriteOrder): Piece<TestTask>[] {
  const share = Math.floor(source.size / tensors);
  return Array.from({ length: tensors }, (_, i): Piece<TestTask>[] => [
    { kind: 'copy', start: i * share, end: (i + 1) * share },
    {
      kind: 'made',
      task: { name: `tensor ${i}`, seed: i, parts: [{ part: 'codes', length: bytesEach }] },
      part: 'codes',
      length: bytesEach,
    },
  ]).flat();
}

const SOURCE = bytesOf(1, 600);

const anyFile: fc.Arbitrary<TestFile> = fc
  .array(
    fc.oneof(
      fc
        .tuple(fc.nat(600), fc.nat(600))
        .map(([a, b]): Piece<TestTask>[] => [{ kind: 'copy', start: Math.min(a, b), end: Math.max(a, b) }]),
      fc.uint8Array({ maxLength: 20 }).map((bytes): Piece<TestTask>[] => [{ kind: 'bytes', bytes }]),
      fc
        .tuple(fc.nat(1e6), fc.array(fc.integer({ min: 1, max: 150 }), { minLength: 1, maxLength: 3 }))
        .map(([seed, lengths]): Piece<TestTask>[] => {
          const parts = lengths.map((length, i) => ({ part: `part ${i}`, length }));
          const task: TestTask = { name: `tensor ${seed}`, seed, parts };
          return parts.flatMap(({ part, length }): Piece<TestTask>[] => [
            { kind: 'bytes', bytes: Uint8Array.of(7) },
            { kind: 'made', task: task, part, length },
          ]);
        }),
    ),
    { minLength: 1, maxLength: 12 },
  )
  .map((pieces) => testFile(SOURCE, [...pieces.flat(), { kind: 'bytes', bytes: Uint8Array.of(1, 2, 3) }]));

interface Attempt {
  result: Uint8Array | EngineError;
  blob: Blob | null;
  made: TestTask[];
  resumeAt: number;
  warnings: EngineError[];
}

interface AttemptOptions extends Partial<Pick<SinkPlatform, 'locks' | 'memoryLimit'>> {
  source?: File;
  recordEvery?: number;
  signal?: AbortSignal;
  onMake?(task: TestTask): void | Promise<void>;
}

let files = 0;
/** Each run of a property has a file of its own. */
const anotherModel = () => `model ${++files} ${crypto.randomUUID()}`;

/** Writes a file as a job does. */
async function attempt(
  disk: Disk,
  model: string,
  { source, pieces, expected }: TestFile,
  options: AttemptOptions = {},
): Promise<Attempt> {
  const warnings: EngineError[] = [];
  const made: TestTask[] = [];
  const signal = options.signal ?? new AbortController().signal;
  let resumeAt = -1;
  try {
    const store = await openResultStore(disk, { recordEvery: options.recordEvery ?? 40 });
    const file: LevelFile = {
      name: 'file.onnx',
      source: options.source ?? new File([source], 'source.onnx'),
      fingerprint: model,
      level: 'int4',
      bytes: expected.length,
      madeBytes: piecesLength(pieces.filter(({ kind }) => kind !== 'copy')),
      signal,
      onProgress: () => undefined,
    };
    const sink = await storedSink(file, {
      store,
      free: async () => {
        const { used, quota } = await disk.room();
        return quota - used;
      },
      locks: options.locks ?? localLocks(),
      channel: () => new BroadcastChannel('nibble:test'),
      warn: (error) => {
        warnings.push(error);
      },
      ...(options.memoryLimit === undefined ? {} : { memoryLimit: options.memoryLimit }),
    });
    resumeAt = sink.resumeAt ?? 0;
    const blob = await writePieces({
      pieces,
      sink,
      signal,
      nameOf: ({ name }) => name,
      onProgress: () => undefined,
      ...atOnce(pieces, async (task) => {
        made.push(task);
        await options.onMake?.(task);
        return carryOut(task);
      }),
    });
    return { result: new Uint8Array(await blob.arrayBuffer()), blob, made, resumeAt, warnings };
  } catch (thrown) {
    return { result: toEngineError(thrown), blob: null, made, resumeAt, warnings };
  }
}

function check(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(what);
}

function same(result: Attempt['result'], expected: Uint8Array): void {
  if (!(result instanceof Uint8Array)) throw new Error(`ended with ${JSON.stringify(result)}`);
  check(result.length === expected.length, `${result.length} bytes instead of ${expected.length}`);
  const at = firstDifference(result, expected);
  check(at < 0, `byte ${at} of ${expected.length} differs`);
}

function endsWith(result: Attempt['result'], code: string): void {
  check(
    !(result instanceof Uint8Array) && result.code === code,
    `instead of ${code}: ${result instanceof Uint8Array ? 'a file' : JSON.stringify(result)}`,
  );
}

/** Goes on after a disturbance: the same bytes, nothing made that was there, and after that nothing to do. */
async function goesOn(disk: Disk, model: string, file: TestFile, locks?: AttemptOptions): Promise<Attempt> {
  const second = await attempt(disk, model, file, locks);
  same(second.result, file.expected);
  let at = 0;
  for (const piece of file.pieces) {
    at += pieceLength(piece);
    if (piece.kind !== 'made' || at > second.resumeAt) continue;
    const { task: task } = piece;
    const last = file.pieces.findLast((other) => other.kind === 'made' && other.task === task);
    if (last === piece) check(!second.made.includes(task), `${task.name} was there and was made again`);
  }
  const third = await attempt(disk, model, file, locks);
  same(third.result, file.expected);
  check(third.made.length === 0 && third.resumeAt === file.expected.length, 'what was finished was begun again');
  return second;
}

/** Fates of writes: the n-th and all after it go wrong, the first of them after some of its bytes. */
const breakAt = (n: number, bytes: number, error: () => Error) => {
  let broken = false;
  return (write: number, _: readonly string[], length: number): Fate => {
    if (write < n) return null;
    const taken = broken ? 0 : Math.min(bytes, length);
    broken = true;
    return { bytes: taken, error: error() };
  };
};

const torn = () => new DOMException('the worker is gone', 'InvalidStateError');
const full = () => new DOMException('no room', 'QuotaExceededError');

async function overwrite(
  disk: Disk,
  model: string,
  file: 'journal' | 'data',
  change: (bytes: Uint8Array<ArrayBuffer>) => Uint8Array,
): Promise<void> {
  const path = ['results', await levelKey(model, 'int4'), file];
  const stored = await disk.file(path);
  if (!stored) return;
  const changed = change(new Uint8Array(await stored.arrayBuffer()));
  const handle = await disk.open(path);
  handle.truncate(0);
  writeAll(handle, changed, 0);
  handle.close();
}

/** @param runs How many cases of each property. */
export function storeChecks(runs: number): Map<string, (disk: Disk) => Promise<void>> {
  const property = <T extends unknown[]>(
    arbitraries: { [K in keyof T]: fc.Arbitrary<T[K]> },
    holds: (...values: T) => Promise<void>,
  ) =>
    fc.assert(
      fc.asyncProperty(...(arbitraries as [fc.Arbitrary<T[0]>]), holds as unknown as (first: T[0]) => Promise<void>),
      { numRuns: runs },
    );

  return new Map<string, (disk: Disk) => Promise<void>>([
    [
      'a file comes out as planned, and then is there',
      (disk) =>
        property<[TestFile, number]>([anyFile, fc.integer({ min: 1, max: 300 })], async (file, recordEvery) => {
          const model = anotherModel();
          const first = await attempt(disk, model, file, { recordEvery });
          same(first.result, file.expected);
          check(first.resumeAt === 0 && first.warnings.length === 0, 'the first attempt had help');
          const store = await openResultStore(disk);
          if (piecesLength(file.pieces.filter(({ kind }) => kind !== 'copy')) > 0) {
            check(await store.verify(await levelKey(model, 'int4')), 'the file does not have its checksums');
          }
          await goesOn(disk, model, file);
        }),
    ],

    [
      'a worker that ends in the middle of a write leaves a file to go on with',
      (disk) =>
        property<[TestFile, number, number]>([anyFile, fc.nat(60), fc.nat(200)], async (file, n, bytes) => {
          const model = anotherModel();
          await attempt(faulty(disk, breakAt(n, bytes, torn)), model, file);
          await goesOn(disk, model, file);
        }),
    ],

    [
      'a job that is broken off again and again comes to its end',
      (disk) =>
        property<[TestFile, number[]]>([anyFile, fc.array(fc.nat(25), { maxLength: 5 })], async (file, cuts) => {
          const model = anotherModel();
          let reached = 0;
          for (const n of cuts) {
            const { resumeAt } = await attempt(faulty(disk, breakAt(n, 10, torn)), model, file);
            check(resumeAt === -1 || resumeAt >= reached, `${reached} bytes had been there, then ${resumeAt}`);
            reached = Math.max(reached, resumeAt);
          }
          await goesOn(disk, model, file);
        }),
    ],

    [
      'a journal cut or garbled anywhere costs work, never bytes',
      (disk) =>
        property<[TestFile, number, number, number, boolean]>(
          [anyFile, fc.nat(60), fc.nat(1000), fc.integer({ min: 1, max: 255 }), fc.boolean()],
          async (file, n, place, flip, cut) => {
            const model = anotherModel();
            await attempt(faulty(disk, breakAt(n, 5, torn)), model, file);
            await overwrite(disk, model, 'journal', (bytes) => {
              if (bytes.length === 0) return bytes;
              const at = place % bytes.length;
              if (cut) return bytes.subarray(0, at);
              bytes[at] = (bytes[at] ?? 0) ^ flip;
              return bytes;
            });
            await goesOn(disk, model, file);
          },
        ),
    ],

    [
      'records of other work behind the journal are not believed',
      (disk) =>
        property<[TestFile, TestFile, number]>([anyFile, anyFile, fc.nat(60)], async (file, other, n) => {
          const [model, otherModel] = [anotherModel(), anotherModel()];
          await attempt(disk, otherModel, other);
          await attempt(faulty(disk, breakAt(n, 5, torn)), model, file);
          let foreign: Uint8Array = new Uint8Array();
          await overwrite(disk, otherModel, 'journal', (bytes) => (foreign = bytes));
          await overwrite(disk, model, 'journal', (bytes) => Uint8Array.of(...bytes, ...foreign.subarray(24)));
          await goesOn(disk, model, file);
        }),
    ],

    [
      'bytes that never reached the disk are not believed',
      (disk) =>
        property<[TestFile, number, number, boolean]>(
          [anyFile, fc.nat(60), fc.nat(1000), fc.boolean()],
          async (file, n, back, cut) => {
            const model = anotherModel();
            await attempt(faulty(disk, breakAt(n, 5, torn)), model, file);
            const store = await openResultStore(disk);
            if (await store.find(await levelKey(model, 'int4'))) return;
            await overwrite(disk, model, 'data', (bytes) => {
              if (bytes.length === 0) return bytes;
              // The last record covers at least this much from the end.
              const at = bytes.length - 1 - (back % Math.min(bytes.length, 3));
              if (cut) return bytes.subarray(0, at);
              bytes[at] = (bytes[at] ?? 0) ^ 1;
              return bytes;
            });
            await goesOn(disk, model, file);
          },
        ),
    ],

    [
      'a record that cannot be written is made good by the next',
      (disk) =>
        property<[TestFile, number, number]>([anyFile, fc.nat(20), fc.nat(23)], async (file, n, bytes) => {
          const model = anotherModel();
          let records = 0;
          const first = await attempt(
            faulty(disk, (_, path) =>
              path.at(-1) === 'journal' && records++ === n + 1 ? { bytes, error: torn() } : null,
            ),
            model,
            file,
            { recordEvery: 1 },
          );
          const store = await openResultStore(disk);
          const key = await levelKey(model, 'int4');
          if (first.result instanceof Uint8Array) {
            same(first.result, file.expected);
            check(
              first.blob === null || (await store.find(key)) === null || (await store.verify(key)),
              'the checksums do not fit',
            );
          } else {
            // The last record of all.
            endsWith(first.result, 'write-failed');
          }
          await goesOn(disk, model, file);
        }),
    ],

    [
      'storage that does not work at all: the file is held in memory, and it is said',
      (disk) =>
        property<[TestFile]>([anyFile], async (file) => {
          const model = anotherModel();
          const broken: Disk = { ...disk, open: () => Promise.reject(new DOMException('broken', 'UnknownError')) };
          const { result, warnings } = await attempt(broken, model, file);
          same(result, file.expected);
          check(warnings.length === 1 && warnings[0]?.code === 'storage-unavailable', 'nothing was said');
          await goesOn(disk, model, file);
        }),
    ],

    [
      'a full disk: the rest is held in memory, and the disk keeps what it has',
      (disk) =>
        property<[TestFile, number, number]>([anyFile, fc.nat(60), fc.nat(100)], async (file, n, bytes) => {
          const model = anotherModel();
          const first = await attempt(faulty(disk, breakAt(n, bytes, full)), model, file);
          same(first.result, file.expected);
          check(
            first.warnings.every(({ code }) => code === 'storage-full'),
            'a warning of another kind',
          );
          const second = await attempt(disk, model, file);
          check(first.warnings.length === 1 || second.made.length === 0, 'nothing was said, and nothing was kept');
          await goesOn(disk, model, file);
        }),
    ],

    [
      'a full disk and no memory: an error that says so, and the disk keeps what it has',
      (disk) =>
        property<[TestFile, number, number]>([anyFile, fc.nat(60), fc.nat(100)], async (file, n, bytes) => {
          const model = anotherModel();
          const first = await attempt(faulty(disk, breakAt(n, bytes, full)), model, file, {
            memoryLimit: 0,
            recordEvery: 1,
          });
          if (first.result instanceof Uint8Array) same(first.result, file.expected);
          else endsWith(first.result, 'storage-full');
          const second = await goesOn(disk, model, file);
          const madeAgain = second.made.filter((task) => first.made.includes(task));
          check(madeAgain.length <= 1, `${madeAgain.length} tensors were made again, not only the one in hand`);
        }),
    ],

    [
      'a dropped file that changes: an error that says so, and what was written is kept',
      (disk) =>
        property<[TestFile, number]>([anyFile, fc.nat(8)], async (file, reads) => {
          const model = anotherModel();
          let left = reads;
          const source = new File([file.source], 'source.onnx');
          const slice = source.slice.bind(source);
          source.slice = (start, end) => {
            const blob = slice(start, end);
            if (left-- <= 0)
              blob.arrayBuffer = () => Promise.reject(new DOMException('it changed', 'NotReadableError'));
            return blob;
          };
          const copies = file.pieces.filter((piece) => piece.kind === 'copy' && piece.end > piece.start).length;
          const first = await attempt(disk, model, file, { source });
          if (copies > reads) endsWith(first.result, 'file-changed');
          else same(first.result, file.expected);
          await goesOn(disk, model, file);
        }),
    ],

    [
      'cancelled at a tensor: it goes on from there',
      (disk) =>
        property<[TestFile, number]>([anyFile, fc.nat(6)], async (file, n) => {
          const model = anotherModel();
          const stop = new AbortController();
          let count = 0;
          const first = await attempt(disk, model, file, {
            signal: stop.signal,
            onMake: () => {
              if (count++ === n) stop.abort();
            },
          });
          const second = await goesOn(disk, model, file);
          // All that was written before is there: cancelling records it.
          const madeAgain = second.made.filter((task) => first.made.includes(task));
          check(madeAgain.length <= 1, `${madeAgain.length} tensors were made again`);
        }),
    ],

    [
      'two at once make it once',
      (disk) =>
        property<[TestFile, number]>([anyFile, fc.nat(3)], async (file, others) => {
          const model = anotherModel();
          const locks = localLocks();
          const all = await Promise.all(
            Array.from({ length: others + 2 }, () =>
              attempt(disk, model, file, { locks, onMake: () => Promise.resolve() }),
            ),
          );
          for (const { result } of all) same(result, file.expected);
          const tasks = new Set(file.pieces.flatMap((piece) => (piece.kind === 'made' ? piece.task : [])));
          const made = all.reduce((sum, one) => sum + one.made.length, 0);
          check(made === tasks.size, `${made} tensors made for ${tasks.size}`);
        }),
    ],

    [
      'two at once, one of which fails: the other goes on',
      (disk) =>
        property<[TestFile, number]>([anyFile, fc.nat(40)], async (file, n) => {
          const model = anotherModel();
          const locks = localLocks();
          const [, second] = await Promise.all([
            attempt(faulty(disk, breakAt(n, 3, torn)), model, file, { locks }),
            attempt(disk, model, file, { locks }),
          ]);
          same(second.result, file.expected);
        }),
    ],

    [
      'a finished file that is changed on the disk is noticed when it is verified',
      (disk) =>
        property<[TestFile, number]>([anyFile, fc.nat(5000)], async (file, place) => {
          const model = anotherModel();
          const { blob } = await attempt(disk, model, file);
          const store = await openResultStore(disk);
          const key = await levelKey(model, 'int4');
          if (!blob || !(await store.find(key))) return;
          await overwrite(disk, model, 'data', (bytes) => {
            bytes[place % bytes.length]! ^= 1;
            return bytes;
          });
          check(!(await store.verify(key)), 'a changed byte went unnoticed');
          await overwrite(disk, model, 'data', (bytes) => bytes.subarray(0, -1));
          check((await store.find(key)) === null, 'a file that is cut short counts as finished');
        }),
    ],

    [
      'results are listed with their sizes, and go when removed',
      async (disk) => {
        let time = 0;
        const store = await openResultStore(disk, {
          recordEvery: 1,
          now: () => new Date(Date.UTC(2000, 0, 1, 0, 0, time++)),
        });
        for (const key of await store.keys()) await store.remove(key);
        const about: About = {
          file: '../../<b>.onnx',
          level: 'int4',
          model: { name: '__proto__', fingerprint: 'x' },
          total: 4,
          engine: 'e',
          createdAt: '2000-01-01T00:00:00.000Z',
        };
        const [a, b, c] = [await levelKey('a', 'x'), await levelKey('b', 'x'), await levelKey('c', 'x')];
        for (const key of [a, b]) {
          const unfinished = await store.begin(key, about);
          unfinished.append(bytesOf(1, 4));
          await unfinished.finish();
        }
        const half = await store.begin(c, about);
        half.append(bytesOf(1, 3));
        half.close();
        await store.find(a);
        const listed = await store.list();
        check(listed.length === 3, `${listed.length} results`);
        check(
          listed
            .filter(({ finished }) => finished)
            .map(({ key }) => key)
            .join() === [a, b].join(),
          'not in the order they were used',
        );
        const line = listed.find(({ key }) => key === c);
        check(
          line?.finished === false &&
            line.bytes === 3 &&
            line.total === 4 &&
            line.model.name === '__proto__' &&
            line.file === '../../<b>.onnx',
          'not as it is',
        );
        await store.remove(b);
        check(
          (await store.find(b)) === null && (await store.list()).length === 2 && (await store.keys()).every(isKey),
          'still there',
        );
      },
    ],

    [
      'nothing but keys reaches the disk',
      async (disk) => {
        const store = await openResultStore(disk);
        for (const name of ['', '..', '../a', 'A'.repeat(64), '__proto__', `${'0'.repeat(63)}/`]) {
          const refused = await store.find(name).then(
            () => false,
            () => true,
          );
          check(refused, `${name} was taken for a key`);
        }
      },
    ],
  ]);
}
