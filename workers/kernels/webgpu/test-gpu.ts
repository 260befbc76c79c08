/** A GPU whose one device is at hand, so that a test can meddle with it. */
export async function openGpu(): Promise<{ gpu: GPU; device: GPUDevice }> {
  const adapter = (await navigator.gpu.requestAdapter())!;
  const device = await adapter.requestDevice();
  const own = { requestDevice: () => Promise.resolve(device), info: adapter.info, features: adapter.features };
  return { gpu: { requestAdapter: () => Promise.resolve(own) } as unknown as GPU, device };
}

export interface Watched {
  /** Buffers made since it was watched; destroyed ones are taken out. */
  live: Set<GPUBuffer>;
  /** The names and sizes of all that were made. */
  made: string[];
  /** In order: `write` when an upload is mapped, `submit`, `read` when a result is about to be mapped. */
  events: string[];
  /** Readings begun and not settled, at most. */
  mostReads: number;
  /** While set, readings do not settle before it does; a lost device ends them all the same. */
  gate: Promise<void> | null;
  /** The next buffer of this name is one the device refuses. */
  refuse: string | null;
}

/** Notes what is done with a device from now on. */
export function watch(device: GPUDevice): Watched {
  const watched: Watched = { live: new Set(), made: [], events: [], mostReads: 0, gate: null, refuse: null };
  const createBuffer = device.createBuffer.bind(device);
  let reads = 0;
  device.createBuffer = (descriptor) => {
    const refused = watched.refuse !== null && descriptor.label === watched.refuse;
    if (refused) watched.refuse = null;
    const buffer = createBuffer(
      refused ? { ...descriptor, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.MAP_WRITE } : descriptor,
    );
    watched.made.push(`${buffer.label} ${buffer.size}`);
    watched.live.add(buffer);
    const destroy = buffer.destroy.bind(buffer);
    buffer.destroy = () => {
      watched.live.delete(buffer);
      destroy();
      return undefined;
    };
    const mapAsync = buffer.mapAsync.bind(buffer);
    buffer.mapAsync = async (mode) => {
      if (mode === GPUMapMode.WRITE) {
        watched.events.push('write');
        return mapAsync(mode);
      }
      watched.events.push('read');
      watched.mostReads = Math.max(watched.mostReads, ++reads);
      const { gate } = watched;
      try {
        await mapAsync(mode);
        await Promise.race([gate, gate && device.lost]);
      } finally {
        reads--;
      }
    };
    return buffer;
  };
  const submit = device.queue.submit.bind(device.queue);
  device.queue.submit = (buffers) => {
    watched.events.push('submit');
    submit(buffers);
    return undefined;
  };
  return watched;
}
