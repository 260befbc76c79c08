/**
 * A GPU can go away at any time (driver reset, sleep, too long a dispatch). The tensor in hand is then done again
 * elsewhere.
 */
import type { Kernel } from './kernel.ts';

/** `name` of the error a kernel rejects with when its device is gone. */
export const DEVICE_LOST = 'DeviceLost';

/** Uses `kernel` until its device is lost, then `fallback` for good. `onFallback` is called once. */
export function withFallback(
  kernel: Kernel,
  fallback: () => Promise<Kernel>,
  onFallback: (reason: Error) => void,
): Kernel {
  let current = kernel;
  let replacing: Promise<Kernel> | null = null;

  const resiliently = async <T>(work: (by: Kernel) => Promise<T>): Promise<T> => {
    try {
      return await work(current);
    } catch (thrown) {
      if (!(thrown instanceof Error) || thrown.name !== DEVICE_LOST) throw thrown;
      if (!replacing) {
        onFallback(thrown);
        replacing = fallback();
      }
      current = await replacing;
      return work(current);
    }
  };

  return {
    get backend() {
      return current.backend;
    },
    quantize: (...args) => resiliently((by) => by.quantize(...args)),
    quantizePerChannel: (...args) => resiliently((by) => by.quantizePerChannel(...args)),
    dispose: () => {
      current.dispose();
    },
  };
}
