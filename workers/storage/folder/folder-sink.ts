/**
 * Where the file of a level goes when a person has chosen a folder: straight there. Nothing of it is held in the
 * browser's storage, nor in memory but what is being written. Bytes that are there already are copied, not made again.
 */
import { failure, toEngineError } from '../../contract/errors.ts';
import { blobSink, copiedFrom, NO_EXTERNAL_BLOBS, type Sink } from '../../onnx/writing/write.ts';
import { blobSource, readChunks } from '../../io/source.ts';
import { createFile, discard, folderFailed, isTaken, nameTaken, type FileInFolder } from './folder.ts';
import { levelKey } from '../job-key.ts';
import type { PlannedFile } from '../job-room.ts';
import type { LevelFile } from '../stored-sink.ts';
import { waitForTurn, type Turn, type TurnPlatform } from '../disk/turn.ts';
import type { WrittenNotes } from '../written-notes.ts';

export interface FolderPlatform extends TurnPlatform {
  folder: FileSystemDirectoryHandle;
  /** What the browser's storage has of a file from its start, by its key; null when that is nothing. */
  stored(key: string): Promise<Blob | null>;
  notes: WrittenNotes;
}

/** Small pieces are gathered up to this: each write to a folder goes through another process. */
const GATHER = 1 << 20;

/**
 * Errors: `storage-full` when the folder's disk is full; `write-failed` when it cannot be written to, or when the name
 * cannot be another and is taken; `file-changed` when the source is no longer what was dropped. Nothing stays of a file
 * that was not finished.
 */
export async function folderSink(file: LevelFile, surroundings: FolderPlatform): Promise<Sink> {
  // A level that is the model as it is needs no second copy.
  if (file.madeBytes === 0) return blobSink(file.source, file.external);
  const { folder, stored, notes } = surroundings;
  const key = await levelKey(file.fingerprint, file.level);
  const turn = await waitForTurn(`folder ${key}`, file, surroundings);
  try {
    const there = await written(folder, key, notes);
    if (there?.size === file.bytes) {
      turn.end();
      return finishedSink(folder, there);
    }
    const opened = await inFolder(folder, file.name, () => createFile(folder, file.name, file.fixedName === true));
    if (!opened) throw failure(nameTaken(folder.name, file.name));
    const known = await stored(key);
    return await writingSink(key, file, opened, known && known.size <= file.bytes ? known : null, surroundings, turn);
  } catch (thrown) {
    turn.end();
    throw thrown;
  }
}

/** Rejects with `write-failed` when a name that cannot be another is taken by another file. Nothing has been written then. */
export async function checkFreeNames(
  files: readonly PlannedFile[],
  { folder, notes }: Pick<FolderPlatform, 'folder' | 'notes'>,
): Promise<void> {
  for (const { name, fingerprint, level, bytes } of files.filter(({ fixedName }) => fixedName)) {
    const there = await written(folder, await levelKey(fingerprint, level), notes);
    if (there?.size !== bytes && (await inFolder(folder, name, () => isTaken(folder, name))))
      throw failure(nameTaken(folder.name, name));
  }
}

/** The file of this key as it was written to the folder; null when there is none, or something else has been at it. */
async function written(folder: FileSystemDirectoryHandle, key: string, notes: WrittenNotes): Promise<File | null> {
  const note = await notes.find(key);
  if (!note) return null;
  try {
    if ((await folder.resolve(note.handle))?.length !== 1) return null;
    const file = await note.handle.getFile();
    return file.size === note.bytes && file.lastModified === note.modified ? file : null;
  } catch {
    return null;
  }
}

async function inFolder<T>(folder: FileSystemDirectoryHandle, name: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (thrown) {
    throw folderFailed(folder.name, name, thrown);
  }
}

function finishedSink(folder: FileSystemDirectoryHandle, found: File): Sink {
  const refuse = () => Promise.reject(new Error(`${found.name} is finished`));
  return {
    resumeAt: found.size,
    place: { folder: folder.name, file: found.name },
    write: refuse,
    copy: refuse,
    finish: () => Promise.resolve(found),
    discard: () => Promise.resolve(),
  };
}

async function writingSink(
  key: string,
  file: LevelFile,
  opened: FileInFolder,
  known: Blob | null,
  { folder, notes }: FolderPlatform,
  turn: Turn,
): Promise<Sink> {
  const { name, handle, writable } = opened;
  const gathered = new Uint8Array(GATHER);
  let waiting = 0;
  let done = 0;

  const put = (bytes: Uint8Array) =>
    inFolder(folder, name, async () => {
      await writable.write(bytes as Uint8Array<ArrayBuffer>);
      turn.announce(done);
    });
  const flush = async () => {
    const bytes = gathered.subarray(0, waiting);
    waiting = 0;
    if (bytes.length > 0) await put(bytes);
  };
  /** Settles when the bytes are no longer needed. */
  const write = async (bytes: Uint8Array) => {
    if (waiting + bytes.length > GATHER) await flush();
    done += bytes.length;
    if (bytes.length >= GATHER) return put(bytes);
    gathered.set(bytes, waiting);
    waiting += bytes.length;
  };
  const copy = async (from: string, source: Blob, start: number, end: number, onBytes: (bytes: number) => void) => {
    for await (const bytes of readChunks(blobSource(from, source, file.inOrder), start, end)) {
      file.signal.throwIfAborted();
      await write(bytes);
      onBytes(bytes.length);
    }
  };
  const giveUp = async () => {
    await discard(folder, opened);
    turn.end();
  };

  try {
    if (known)
      await copy(name, known, 0, known.size, () => {
        file.onProgress({ done, total: file.bytes, tensor: null });
      });
  } catch (thrown) {
    // What is stored may be deleted meanwhile: then the rest is made.
    if (toEngineError(thrown).code !== 'file-changed') {
      await giveUp();
      throw thrown;
    }
  }
  return {
    resumeAt: done,
    place: { folder: folder.name, file: name },
    write,
    copy: (start, end, onBytes, location) =>
      copy(
        location ?? file.source.name,
        copiedFrom(file.source, file.external ?? NO_EXTERNAL_BLOBS, location),
        start,
        end,
        (bytes) => onBytes?.(bytes),
      ),
    async finish() {
      await flush();
      const whole = await inFolder(folder, name, async () => {
        await writable.close();
        const found = await handle.getFile();
        if (found.size === file.bytes) return found;
        await folder.removeEntry(name);
        throw new Error(`the file just written has ${found.size} bytes, and should have ${file.bytes}`);
      });
      await notes.keep(key, { handle, bytes: whole.size, modified: whole.lastModified });
      turn.end();
      return whole;
    },
    discard: giveUp,
    remove: () => inFolder(folder, name, () => folder.removeEntry(name)),
  };
}
