/**
 * Where the file of a level goes: into the result store, once. Somebody else who makes the same file is waited for, and
 * what is there already is not written again. Where there is no room the rest is held in memory, within limits.
 */
import { engineError, fail, failure } from '../contract/errors.ts';
import type { OpenSequentialReader } from '../io/sequential-reader.ts';
import { blobSink, copiedFrom, NO_EXTERNAL_BLOBS, type ExternalBlobs, type Sink } from '../onnx/writing/write.ts';
import type { EngineError } from '../contract/errors.ts';
import { blobSource, readChunks } from '../io/source.ts';
import { isFull } from './disk/disk.ts';
import { ENGINE_VERSION, levelKey } from './job-key.ts';
import type { ResultStore, Unfinished } from './result-store.ts';
import { storageFull } from './room.ts';
import { waitForTurn, type Turn, type TurnPlatform, type Waiting } from './disk/turn.ts';

/** A level's file, as much as is known before it is written. */
export interface LevelFile extends Waiting {
  /** File name for downloads. */
  name: string;
  /** The model it is made of. */
  source: File;
  /** Its external data; none when absent. */
  external?: ExternalBlobs;
  /** Of the model, see hash.ts. */
  fingerprint: string;
  /** As `formatLevel` spells it. */
  level: string;
  /** Of its bytes those that are not ranges of the source. */
  madeBytes: number;
  /** Reads what is copied; on this thread when absent. */
  inOrder?: OpenSequentialReader | undefined;
  /** Set where another file refers to it by its name. */
  fixedName?: true;
}

export interface SinkPlatform extends TurnPlatform {
  store: ResultStore;
  /** Bytes the browser would still take. */
  free(): Promise<number>;
  warn(error: EngineError): void;
  /** Bytes that may be held in memory for want of storage. */
  memoryLimit?: number;
}

export const MEMORY_LIMIT = 1 << 30;
const SLAB = 1 << 22;

/**
 * Errors: `storage-full` when there is neither room nor memory for it, `file-changed` when the source is no longer what
 * was dropped, `write-failed` when the storage fails in another way. What has been written stays, to be gone on with.
 */
export async function storedSink(file: LevelFile, surroundings: SinkPlatform): Promise<Sink> {
  // A level that is the model as it is needs no second copy.
  if (file.madeBytes === 0) return blobSink(file.source, file.external);
  const key = await levelKey(file.fingerprint, file.level);
  const turn = await waitForTurn(key, file, surroundings);
  try {
    const there = await look(key, file, surroundings.store);
    if (there.kind === 'unfinished') return await writingSink(key, file, there.unfinished, surroundings, turn);
    turn.end();
    if (there.kind === 'finished') return finishedSink(there.file);
    surroundings.warn(
      engineError(
        'storage-unavailable',
        `This browser's storage does not work just now: ${file.name} is held in memory, until this tab is closed.`,
        "Download it to keep it. If this happens again, clear the data of this site in the browser's settings.",
        String(there.thrown),
      ),
    );
    return blobSink(file.source, file.external);
  } catch (thrown) {
    turn.end();
    throw thrown;
  }
}

type Found =
  | { kind: 'finished'; file: File }
  | { kind: 'unfinished'; unfinished: Unfinished | null }
  | { kind: 'broken'; thrown: unknown };

/** What the store has of the file. `unfinished` is null when there is not even room to begin. */
async function look(
  key: string,
  { name, level, source, fingerprint, bytes }: LevelFile,
  store: ResultStore,
): Promise<Found> {
  try {
    const file = await store.find(key);
    if (file) return { kind: 'finished', file };
    const unfinished = await store.begin(key, {
      file: name,
      level,
      model: { name: source.name, fingerprint },
      total: bytes,
      engine: ENGINE_VERSION,
      createdAt: new Date().toISOString(),
    });
    return { kind: 'unfinished', unfinished };
  } catch (thrown) {
    return isFull(thrown) ? { kind: 'unfinished', unfinished: null } : { kind: 'broken', thrown };
  }
}

function finishedSink(found: File): Sink {
  const refuse = () => Promise.reject(new Error(`${found.name} is finished`));
  return {
    resumeAt: found.size,
    write: refuse,
    copy: refuse,
    finish: () => Promise.resolve(found),
    discard: () => Promise.resolve(),
  };
}

async function writingSink(
  key: string,
  file: LevelFile,
  unfinished: Unfinished | null,
  { store, free, warn, memoryLimit = MEMORY_LIMIT }: SinkPlatform,
  turn: Turn,
): Promise<Sink> {
  /** Takes over when the storage is full. */
  let memory: Sink | null = null;
  const spilled = (): Sink | null => memory;

  const resumeAt = unfinished?.size() ?? 0;

  /** The storage keeps what it has and takes no more; the file goes on in memory, with a copy of that. */
  async function spill(missing: number): Promise<Sink> {
    const there = unfinished?.size() ?? 0;
    const others = (await store.list()).filter((result) => result.key !== key);
    const say = (what: string) => storageFull(file.name, missing, others, what);
    if (there + file.madeBytes > memoryLimit) {
      unfinished?.close();
      throw failure(say('What has been written of it is kept.'));
    }
    const taken = blobSink(file.source, file.external);
    for (let at = 0; at < there; at += SLAB) await taken.write(unfinished!.read(at, Math.min(at + SLAB, there)));
    unfinished?.close();
    warn(say('It is held in memory, until this tab is closed.'));
    memory = taken;
    return taken;
  }

  async function write(bytes: Uint8Array): Promise<void> {
    if (memory) return memory.write(bytes);
    const held = unfinished!;
    try {
      held.append(bytes);
    } catch (thrown) {
      if (!isFull(thrown)) storageFailed(file.name, thrown);
      return (await spill(file.bytes - held.size())).write(bytes);
    }
    turn.announce(held.size());
  }

  try {
    const missing = file.bytes - resumeAt - (await free());
    // Some browsers tell of more room than they give: then all that is known is that there is none for this file.
    if (!unfinished) await spill(Math.max(missing, file.bytes));
    else if (missing > 0) await spill(missing);
  } catch (thrown) {
    unfinished?.close();
    throw thrown;
  }
  return {
    resumeAt,
    write,
    async copy(start, end, onBytes, location) {
      const source = blobSource(
        location ?? file.source.name,
        copiedFrom(file.source, file.external ?? NO_EXTERNAL_BLOBS, location),
        file.inOrder,
      );
      let at = start;
      if (!spilled()) {
        for await (const bytes of readChunks(source, start, end)) {
          file.signal.throwIfAborted();
          await write(bytes);
          at += bytes.length;
          onBytes?.(bytes.length);
          if (spilled()) break;
        }
      }
      if (at === end) return;
      await spilled()?.copy(at, end, undefined, location);
      onBytes?.(end - at);
    },
    async finish() {
      try {
        if (memory) return await memory.finish();
        return await unfinished!.finish();
      } catch (thrown) {
        if (!isFull(thrown)) storageFailed(file.name, thrown);
        return await (await spill(0)).finish();
      } finally {
        turn.end();
      }
    },
    remove: () => store.remove(key),
    async discard(forGood = false) {
      unfinished?.close();
      await memory?.discard();
      if (forGood) await store.remove(key).catch(() => undefined);
      turn.end();
    },
  };
}

function storageFailed(name: string, thrown: unknown): never {
  fail(
    'write-failed',
    `This browser's storage failed while ${name} was written.`,
    "Try again; what has been written of it is kept, unless the site's data was cleared.",
    String(thrown),
  );
}
