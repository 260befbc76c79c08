/** How fast this machine computes just now, from a moment's work: what times are predicted from before anything was run here. */
import type { Kernel } from './kernel.ts';

const K = 1024;
const N = 128;
/** Enough for a clock that browsers coarsen to 0.1 ms, and too little to wait for. */
const SECONDS = 0.05;

/** Parameters a second that the kernel quantizes to int4 on this thread. */
export async function measurePace(kernel: Kernel, now: () => number = () => performance.now() / 1000): Promise<number> {
  const data = new Uint8Array(
    Float32Array.from({ length: K * N }, (_, index) => ((index * 7919) % 2003) / 1001 - 1).buffer,
  );
  const run = () =>
    kernel.quantize(
      { data, type: 'float32', layout: 'kn', k: K, n: N },
      { bits: 4, block: 32, symmetric: true },
      new AbortController().signal,
    );
  // The first run compiles.
  await run();
  const start = now();
  let runs = 0;
  let seconds = 0;
  // All runs count, the slow ones too: what else this machine does slows down a job as well.
  while (seconds < SECONDS) {
    await run();
    runs++;
    seconds = now() - start;
  }
  return (runs * K * N) / seconds;
}
