/**
 * The configuration and tokenizer files that came with a model, on a disk. A file is stored once, under the hash of its
 * content; the stored reports that it belongs to name it.
 */
import { sha256 } from 'hash-wasm';
import { z } from 'zod';
import { writeBytes, type Disk } from './disk/disk.ts';
import { isKey } from './job-key.ts';

/** Most bytes of such files that are stored with one report. */
export const COMPANIONS_LIMIT = 64 << 20;

export interface Companion {
  /** Name in the folder for the Hub. */
  path: string;
  sha256: string;
  bytes: number;
}

export const companionSchema: z.ZodType<Companion> = z.object({
  path: z.string().min(1),
  sha256: z.string().refine(isKey),
  bytes: z.number().int().nonnegative(),
});

export interface CompanionStore {
  /** Stores the files; null when they are more than the limit together. Rejects as the disk does. */
  keep(files: readonly { path: string; blob: Blob }[]): Promise<Companion[] | null>;
  /** Null when it is not stored any more. */
  open(companion: Companion): Promise<File | null>;
  /** Bytes of all files stored. */
  bytes(): Promise<number>;
  /** Deletes what no report names. */
  removeUnused(used: readonly Companion[]): Promise<void>;
}

const COMPANIONS = 'companions';

export function openCompanionStore(disk: Disk, limit = COMPANIONS_LIMIT): CompanionStore {
  const path = (hash: string) => {
    if (!isKey(hash)) throw new RangeError(`not a hash: ${hash}`);
    return [COMPANIONS, hash];
  };
  const names = async () => (await disk.list([COMPANIONS])).filter(isKey);
  return {
    async keep(files) {
      if (files.reduce((sum, { blob }) => sum + blob.size, 0) > limit) return null;
      const kept: Companion[] = [];
      for (const { path: name, blob } of files) {
        const bytes = new Uint8Array(await blob.arrayBuffer());
        const hash = await sha256(bytes);
        if ((await disk.file(path(hash)))?.size !== bytes.length) await writeBytes(disk, path(hash), bytes);
        kept.push({ path: name, sha256: hash, bytes: bytes.length });
      }
      return kept;
    },
    async open({ path: name, sha256: hash, bytes }) {
      const file = await disk.file(path(hash));
      return file?.size === bytes ? new File([file], name) : null;
    },
    async bytes() {
      const sizes = await Promise.all((await names()).map(async (name) => (await disk.file(path(name)))?.size ?? 0));
      return sizes.reduce((sum, size) => sum + size, 0);
    },
    async removeUnused(used) {
      const inUse = new Set(used.map(({ sha256: hash }) => hash));
      for (const name of await names()) if (!inUse.has(name)) await disk.remove(path(name));
    },
  };
}
