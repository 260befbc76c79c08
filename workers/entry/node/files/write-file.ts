/** Writes reports and archives to where the command line says. */
import { open } from 'node:fs/promises';
import { hubFolder } from '../../../pipeline/hub-folder.ts';
import type { HubFolderJob } from '../../../contract/engine.ts';
import { blobSource, readChunks } from '../../../io/source.ts';
import { isStream } from './output-paths.ts';
import { cannotWrite, openWholeFile } from './whole-file.ts';

/** A file appears when it is whole; a device or a pipe is written to. Errors: `write-failed`. */
export async function writeText(path: string, text: string): Promise<void> {
  const bytes = new TextEncoder().encode(text);
  if (await isStream(path)) {
    const handle = await open(path, 'w').catch((thrown: unknown) => cannotWrite(path, thrown));
    try {
      await handle.writeFile(bytes);
    } catch (thrown) {
      cannotWrite(path, thrown);
    } finally {
      await handle.close().catch(() => undefined);
    }
    return;
  }
  await writeWhole(path, (write) => write(bytes));
}

/** The folder for the Hub, zipped. Errors: `write-failed`, and those of `hubFolder`. */
export async function writeZip(path: string, job: HubFolderJob, signal: AbortSignal): Promise<void> {
  const archive = await hubFolder(job, signal);
  await writeWhole(path, async (write) => {
    for await (const bytes of readChunks(blobSource(path, archive), 0, archive.size)) {
      signal.throwIfAborted();
      await write(bytes);
    }
  });
}

async function writeWhole(
  path: string,
  fill: (write: (bytes: Uint8Array) => Promise<void>) => Promise<void>,
): Promise<void> {
  const file = await openWholeFile(path);
  try {
    await fill(file.write);
  } catch (thrown) {
    await file.discard();
    throw thrown;
  }
  await file.finish();
  await file.handle.close();
}
