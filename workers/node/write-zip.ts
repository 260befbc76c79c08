/** Writes the Hub folder to disk: under another name until it is whole. */
import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { fail } from '../errors.ts';
import { hubFolder } from '../hub-folder.ts';
import type { HubFolderJob } from '../protocol.ts';
import { blobSource, readAhead } from '../source.ts';

/** Errors: `write-failed`, and those of `hubFolder`. */
export async function writeZip(path: string, job: HubFolderJob, signal: AbortSignal): Promise<void> {
  const archive = await hubFolder(job, signal);
  const unfinished = `${path}.part`;
  try {
    await pipeline(Readable.from(readAhead(blobSource(path, archive), 0, archive.size)), createWriteStream(unfinished), { signal });
    await rename(unfinished, path);
  } catch (thrown) {
    await rm(unfinished, { force: true });
    signal.throwIfAborted();
    fail('write-failed', `${path} cannot be written.`, 'Check that its folder exists, may be written to and has room.', String(thrown));
  }
}
