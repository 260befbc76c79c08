/** Entry of the thread that measures the speed of one model, so that it has a heap of its own. */
import { parentPort, workerData } from 'node:worker_threads';
import { watchHeap } from '../../evaluate/sessions/heap.ts';
import type { Speed } from '../../contract/report.ts';

/** What the thread is started with. It answers with a `Speed`. */
export interface SpeedWork {
  /** The file's, handed over. */
  bytes: ArrayBuffer;
  threads: number;
}

const { bytes, threads } = workerData as SpeedWork;
// Before the runtime is loaded, which holds on to what it finds.
const heap = watchHeap();
const ort = await import('onnxruntime-web');
const { wasmRuntime } = await import('../../evaluate/sessions/graph-session.ts');
const { seededFeeds } = await import('../../evaluate/outputs/seeded-feeds.ts');
const { measureSpeed } = await import('../../evaluate/speed/speed.ts');
const speed: Speed = await measureSpeed(wasmRuntime(ort, threads), new Blob([bytes]), seededFeeds, {
  now: () => performance.now() / 1000,
  heap,
  gpu: null,
});
parentPort?.postMessage(speed);
