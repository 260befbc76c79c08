/** GPU memory as it is observed at the device: the bytes of all buffers made and not yet given back. */

export interface GpuMemory {
  /** Bytes of the buffers there are. */
  live(): number;
  /** The most there were since the start or the last `resetPeak`. */
  peak(): number;
  resetPeak(): void;
}

interface Holding {
  size: number;
  /** Those of the device that are not given back. */ among: Set<Holding>;
}

let watched: GpuMemory | undefined;

/**
 * Watches every device of this thread; to be called before onnxruntime-web makes its own. A buffer counts until it is
 * destroyed or collected as garbage, or its device is lost, as a destroyed one is. Without WebGPU there are no bytes.
 * onnxruntime lets go of a released session's buffers without destroying them, or keeps them for later ones: what a model
 * takes shows when it is the first in its worker.
 */
export function watchGpuMemory(): GpuMemory {
  watched ??= watch();
  return watched;
}

function watch(): GpuMemory {
  let live = 0;
  let peak = 0;
  const memory: GpuMemory = {
    live: () => live,
    peak: () => peak,
    resetPeak: () => {
      peak = live;
    },
  };
  if (!('GPUDevice' in globalThis)) return memory;

  const ofBuffer = new WeakMap<GPUBuffer, Holding>();
  /** Null once the device is lost: what is made on it then takes nothing. */
  const ofDevice = new WeakMap<GPUDevice, Set<Holding> | null>();
  const letGo = (holding: Holding) => {
    if (holding.among.delete(holding)) live -= holding.size;
  };
  const collected = new FinalizationRegistry(letGo);
  const { createBuffer } = GPUDevice.prototype;
  const { destroy } = GPUBuffer.prototype;

  const holdingsOf = (device: GPUDevice): Set<Holding> | null => {
    let holdings = ofDevice.get(device);
    if (holdings === undefined) {
      ofDevice.set(device, (holdings = new Set()));
      void device.lost.then(() => {
        ofDevice.get(device)?.forEach(letGo);
        ofDevice.set(device, null);
      });
    }
    return holdings;
  };

  GPUDevice.prototype.createBuffer = function (descriptor) {
    const buffer = createBuffer.call(this, descriptor);
    const holdings = holdingsOf(this);
    if (!holdings) return buffer;
    const holding = { size: buffer.size, among: holdings };
    holdings.add(holding);
    ofBuffer.set(buffer, holding);
    collected.register(buffer, holding);
    live += holding.size;
    peak = Math.max(peak, live);
    return buffer;
  };
  GPUBuffer.prototype.destroy = function () {
    const holding = ofBuffer.get(this);
    if (holding) letGo(holding);
    destroy.call(this);
  };
  return memory;
}
