/** Entry of the thread that measures the speed of one model, so that it has a heap of its own. */
import { parentPort, workerData } from 'node:worker_threads';
import { watchHeap } from '../../evaluate/sessions/heap.ts';
import type { Speed } from '../../contract/report.ts';

/** What the thread is started with. It answers with a `Speed`. */
export interface SpeedWork {
  /** Bytes of the model's file, transferred. */
  bytes: ArrayBuffer;
  /** Its data file, transferred; null where it has none. */
  data: { file: string; bytes: ArrayBuffer } | null;
  threads: number;
}

const { bytes, data, threads } = workerData as SpeedWork;
// Before the runtime is loaded, which holds on to what it finds.
const heap = watchHeap();
const ort = await import('onnxruntime-web');
const { wasmRuntime } = await import('../../evaluate/sessions/graph-session.ts');
const { seededFeeds } = await import('../../evaluate/outputs/seeded-feeds.ts');
const { measureSpeed } = await import('../../evaluate/speed/speed.ts');
const model = {
  model: new Blob([bytes]),
  data: data && { file: data.file, blob: new Blob([data.bytes]) },
};
const speed: Speed = await measureSpeed(wasmRuntime(ort, threads), model, seededFeeds, {
  now: () => performance.now() / 1000,
  heap,
  gpu: null,
});
parentPort?.postMessage(speed);
