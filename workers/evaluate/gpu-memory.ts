/** GPU memory as it is observed at the device: the bytes of all buffers made and not yet given back. */

export interface GpuMemory {
  /** Bytes of the buffers there are. */
  live(): number;
  /** The most there were since the start or the last `resetPeak`. */
  peak(): number;
  resetPeak(): void;
}

interface Holding { size: number; held: boolean }

let watched: GpuMemory | undefined;

/**
 * Watches every device of this thread; to be called before onnxruntime-web makes its own. A buffer counts until it is
 * destroyed, its device is destroyed, or it is collected as garbage. Without WebGPU there are no bytes.
 */
export function watchGpuMemory(): GpuMemory {
  watched ??= watch();
  return watched;
}

function watch(): GpuMemory {
  let live = 0;
  let peak = 0;
  const memory: GpuMemory = { live: () => live, peak: () => peak, resetPeak: () => { peak = live; } };
  if (!('GPUDevice' in globalThis)) return memory;

  const ofBuffer = new WeakMap<GPUBuffer, Holding>();
  const ofDevice = new WeakMap<GPUDevice, Set<Holding>>();
  const letGo = (holding: Holding) => {
    if (holding.held) live -= holding.size;
    holding.held = false;
  };
  const collected = new FinalizationRegistry(letGo);
  const { createBuffer, destroy: destroyDevice } = GPUDevice.prototype;
  const { destroy: destroyBuffer } = GPUBuffer.prototype;

  GPUDevice.prototype.createBuffer = function (descriptor) {
    const buffer = createBuffer.call(this, descriptor);
    const holding = { size: buffer.size, held: true };
    ofBuffer.set(buffer, holding);
    collected.register(buffer, holding);
    const holdings = ofDevice.get(this) ?? new Set();
    ofDevice.set(this, holdings.add(holding));
    live += holding.size;
    peak = Math.max(peak, live);
    return buffer;
  };
  GPUBuffer.prototype.destroy = function () {
    const holding = ofBuffer.get(this);
    if (holding) letGo(holding);
    destroyBuffer.call(this);
  };
  GPUDevice.prototype.destroy = function () {
    ofDevice.get(this)?.forEach(letGo);
    destroyDevice.call(this);
  };
  return memory;
}
