/** Writes a level to disk: under another name until it is whole, so that a broken run leaves no half model behind. */
import { openAsBlob } from 'node:fs';
import { open, realpath, rename, rm } from 'node:fs/promises';
import { fail } from '../errors.ts';
import { copiedFrom, NO_EXTERNAL_BLOBS, type ExternalBlobs, type Sink } from '../onnx/write.ts';

const SLAB = 1 << 22;

/**
 * @param path Where the file goes. Fails with `write-failed` when that is the source itself and anything in it would
 * change; a level that is the model as it is needs no second copy.
 * @param reading Paths of the model's other files, which are not written over either.
 */
export async function fileSink(path: string, source: File, sourcePath: string, external: ExternalBlobs = NO_EXTERNAL_BLOBS, reading: readonly string[] = []): Promise<Sink> {
  if (await sameFile(path, sourcePath)) return sourceItself(path, source);
  for (const other of reading) if (await sameFile(path, other)) fail('write-failed', `${path} holds weights of the model being read.`, 'Choose another --out folder.');
  const unfinished = `${path}.part`;
  const handle = await open(unfinished, 'w').catch((thrown: unknown) => cannotWrite(path, thrown));
  const write = async (bytes: Uint8Array) => {
    for (let at = 0; at < bytes.length;) {
      const { bytesWritten } = await handle.write(bytes, at).catch((thrown: unknown) => cannotWrite(path, thrown));
      at += bytesWritten;
    }
  };
  return {
    write,
    async copy(start, end, _, location) {
      const from = copiedFrom(source, external, location);
      for (let at = start; at < end; at += SLAB) {
        await write(new Uint8Array(await from.slice(at, Math.min(end, at + SLAB)).arrayBuffer()));
      }
    },
    async finish() {
      await handle.close();
      await rename(unfinished, path);
      return openAsBlob(path);
    },
    async discard() {
      await handle.close();
      await rm(unfinished, { force: true });
    },
  };
}

function sourceItself(path: string, source: File): Sink {
  const refuse = () => fail('write-failed', `${path} is the model being read.`, 'Choose another --out folder.');
  return {
    write: refuse,
    copy: (start, end, _, location) => (location === undefined && start === 0 && end === source.size ? Promise.resolve() : refuse()),
    finish: () => Promise.resolve(source),
    discard: () => Promise.resolve(),
  };
}

async function sameFile(a: string, b: string): Promise<boolean> {
  return (await realpath(a).catch(() => a)) === (await realpath(b).catch(() => b));
}

function cannotWrite(path: string, thrown: unknown): never {
  fail('write-failed', `${path} cannot be written.`, 'Check that the folder exists, may be written to and has space left.', String(thrown));
}
