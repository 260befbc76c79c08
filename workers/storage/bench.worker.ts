/** For `.ci/bench-storage.mjs`: writes the same bytes to OPFS plainly and through the result store. */
import { writeAll } from './disk/disk.ts';
import { opfsDisk } from './disk/opfs.ts';
import { openResultStore } from './result-store.ts';

export interface BenchOrder {
  bytes: number;
  chunk: number;
  runs: number;
}
/** Milliseconds of each run. */
export interface BenchResult {
  plain: number[];
  journal: number[];
  resume: number[];
}

const KEY = 'b'.repeat(64);

addEventListener('message', ({ data: { bytes, chunk, runs } }: MessageEvent<BenchOrder>) => {
  void (async (): Promise<BenchResult> => {
    const disk = await opfsDisk();
    const store = await openResultStore(disk);
    const part = Uint8Array.from({ length: chunk }, (_, i) => Math.imul(i, 2654435761) >>> 24);
    const about = {
      file: 'bench.onnx',
      level: 'int4',
      model: { name: 'bench', fingerprint: '' },
      total: bytes,
      engine: '',
      createdAt: new Date().toISOString(),
    };
    const time = async (work: () => Promise<void>) => {
      const start = performance.now();
      await work();
      return performance.now() - start;
    };
    const result: BenchResult = { plain: [], journal: [], resume: [] };
    for (let run = 0; run < runs; run++) {
      await disk.remove(['bench']);
      result.plain.push(
        await time(async () => {
          const file = await disk.open(['bench']);
          for (let at = 0; at < bytes; at += chunk) writeAll(file, part, at);
          file.flush();
          file.close();
        }),
      );
      await disk.remove(['bench']);
      await store.remove(KEY);
      result.journal.push(
        await time(async () => {
          const unfinished = await store.begin(KEY, about);
          for (let at = 0; at < bytes; at += chunk) unfinished.append(part);
          await unfinished.finish();
        }),
      );
      result.resume.push(
        await time(async () => {
          (await store.begin(KEY, about)).close();
        }),
      );
    }
    await store.remove(KEY);
    return result;
  })().then(postMessage);
});
