/** What one call does with the GPU: its uploads, its results on their way back, and what the device refused of it. */
import { throwIfAborted } from '../yielder.ts';
import type { Context } from './context.ts';
import type { BufferSet } from './buffers.ts';

export interface Work {
  /** Runs GPU calls; what the device refuses of them comes out of `reserve`, a reading or `finished`. */
  checked<T>(calls: () => T): T;
  /** `checked` for calls that may make buffers: waits until they are there, if any was made. Rejects with `OutOfMemory`. */
  reserve<T>(rooms: readonly BufferSet[], calls: () => T): Promise<T>;
  /** A buffer for `copyBufferToBuffer` with what `fill` wrote into its bytes. In turn only, and used before the next. */
  upload(common: BufferSet, bytes: number, fill: (mapped: Uint8Array) => void): Promise<GPUBuffer>;
  /**
   * Has `copy` fill a buffer of at most `bytes`, and `use` see it once it is there; it must be done with it when it
   * returns. Resolves when all is submitted; `read` settles after `use`.
   */
  readBack(
    bytes: number,
    copy: (encoder: GPUCommandEncoder, target: GPUBuffer) => void,
    use: (mapped: ArrayBuffer) => void,
  ): Promise<{ read: Promise<void> }>;
  /** When all is read; rejects with the first thing that went wrong. */
  finished(): Promise<void>;
  /** When nothing is being read any more, whatever came of it. */
  settled(): Promise<void>;
}

/** An abort shows in `upload`, `readBack` and a reading, as an `AbortError`. */
export function createWork(gpu: Context, signal: AbortSignal | undefined): Work {
  const { device, orLost } = gpu;
  const reads: Promise<void>[] = [];
  let refusals: Promise<GPUError | null>[] = [];
  let failed: { thrown: unknown } | null = null;

  const goOn = () => {
    throwIfAborted(signal);
    if (failed) throw failed.thrown;
  };

  const checked: Work['checked'] = (calls) => {
    device.pushErrorScope('out-of-memory');
    device.pushErrorScope('validation');
    const value = calls();
    for (const refusal of [device.popErrorScope(), device.popErrorScope()]) {
      refusal.catch(() => undefined);
      refusals.push(refusal);
    }
    return value;
  };

  /** Rejects if the device refused one of the calls since. */
  const settle = async () => {
    const waiting = refusals;
    refusals = [];
    const error = (await Promise.all(waiting)).find((found) => found !== null);
    if (!error) return;
    gpu.startAnew();
    const name = error instanceof GPUOutOfMemoryError ? 'OutOfMemory' : 'GpuError';
    throw Object.assign(new Error(error.message || 'The GPU has not enough memory'), { name });
  };

  const reserve: Work['reserve'] = async (rooms, calls) => {
    const made = () => rooms.reduce((sum, room) => sum + room.made, 0);
    const before = made();
    const value = checked(calls);
    if (made() > before) await orLost(settle());
    return value;
  };

  return {
    checked,
    reserve,
    async upload(common, bytes, fill) {
      goOn();
      const name = gpu.nextUpload();
      const buffer = await reserve([common], () =>
        common.buffer(name, bytes, GPUBufferUsage.MAP_WRITE | GPUBufferUsage.COPY_SRC),
      );
      const write = async () => {
        await buffer.mapAsync(GPUMapMode.WRITE);
        try {
          fill(new Uint8Array(buffer.getMappedRange()));
        } finally {
          buffer.unmap();
        }
      };
      await orLost(write());
      goOn();
      return buffer;
    },
    async readBack(bytes, copy, use) {
      goOn();
      return new Promise((submitted, refused) => {
        const lent = gpu.results.use(async (room) => {
          goOn();
          const buffer = await reserve([room], () =>
            room.buffer('result', bytes, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST),
          );
          checked(() => {
            const encoder = device.createCommandEncoder();
            copy(encoder, buffer);
            device.queue.submit([encoder.finish()]);
          });
          const readIt = async () => {
            try {
              await Promise.all([settle(), buffer.mapAsync(GPUMapMode.READ)]);
              if (!signal?.aborted) use(buffer.getMappedRange());
            } finally {
              buffer.unmap();
            }
          };
          const reading = readIt();
          const read = orLost(reading).then(() => {
            throwIfAborted(signal);
          });
          read.catch((thrown: unknown) => {
            failed ??= { thrown };
          });
          reads.push(read);
          submitted({ read });
          // The set stays lent until the buffer is unmapped, also when the device is lost meanwhile.
          await reading.catch(() => undefined);
        });
        // Before it was submitted: afterwards the promise is settled, and this says nothing.
        lent.catch(refused);
      });
    },
    async finished() {
      await Promise.all([...reads, orLost(settle())]);
    },
    async settled() {
      await Promise.allSettled(reads);
    },
  };
}
