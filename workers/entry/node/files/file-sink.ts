/** Writes a level to disk: under another name until it is whole, so that a broken run leaves no half model behind. */
import { createHash } from 'node:crypto';
import { existsSync, openAsBlob } from 'node:fs';
import { fail } from '../../../contract/errors.ts';
import { copiedFrom, NO_EXTERNAL_BLOBS, type ExternalBlobs, type Sink } from '../../../onnx/writing/write.ts';
import { shown } from '../../../lib/shown.ts';
import type { OpenSequentialReader } from '../../../io/sequential-reader.ts';
import { blobSource, readChunks } from '../../../io/source.ts';
import { openWholeFile, type WholeFile } from './whole-file.ts';

export interface FileSinkOptions {
  external?: ExternalBlobs | undefined;
  /** Reads what is copied. */
  inOrder?: OpenSequentialReader | undefined;
  /** Given the file's SHA-256, hexadecimal, when it is finished. */
  onHash?: ((sha256: string) => void) | undefined;
}

/** @param path Where the file goes: not one that is read, see output-paths.ts. Errors: `write-failed`. */
export async function fileSink(
  path: string,
  source: File,
  { external = NO_EXTERNAL_BLOBS, inOrder, onHash }: FileSinkOptions = {},
): Promise<Sink> {
  const file = await openWholeFile(path);
  const hash = onHash && createHash('sha256');
  const write = async (bytes: Uint8Array) => {
    hash?.update(bytes);
    await file.write(bytes);
  };
  return {
    write,
    async copy(start, end, onBytes, location) {
      const from = copiedFrom(source, external, location);
      for await (const bytes of readChunks(blobSource(location ?? source.name, from, inOrder), start, end)) {
        await write(bytes);
        onBytes?.(bytes.length);
      }
    },
    async finish() {
      await file.finish();
      if (hash) onHash(hash.digest('hex'));
      return asBlob(path, file);
    },
    discard: () => file.discard(),
    remove: () => file.discard(),
  };
}

/** For a level that is the model as it is, in the model's own place: it needs no second copy. */
export function sourceItself(path: string, source: File): Sink {
  const refuse = () => fail('write-failed', `${shown(path)} is the model being read.`, 'Choose another --out folder.');
  return {
    write: refuse,
    copy: (start, end, _, location) =>
      location === undefined && start === 0 && end === source.size ? Promise.resolve() : refuse(),
    finish: () => Promise.resolve(source),
    discard: () => Promise.resolve(),
  };
}

/** Open until the process ends. */
const written = new Set<WholeFile>();

/** By its handle where the system has a path for that: another run may put a file of its own under the name meanwhile. */
function asBlob(path: string, file: WholeFile): Promise<Blob> {
  written.add(file);
  const byHandle = `/proc/self/fd/${file.handle.fd}`;
  return openAsBlob(existsSync(byHandle) ? byHandle : path);
}
